"""What the method works with, as a value that can be sent to a worker; training with a log, scores on validation."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tqdm import tqdm

from specdnn import files
from specdnn.board import Board
from specdnn.memory import Clock, Memory
from specdnn.network import evaluation, training
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.network.wiring import Wiring
from specdnn.options import Options
from specdnn.structures import Dataset, KeptUnits, Recipe, Record, SpecDNNError, Tensor

Item = TypeVar("Item")

# The option that sets the learning rate of a training, by the first word of its name.
RATES = {
    "train": "--lr",
    "warm-up": "--brief-lr (with --prune also --lr)",
    "round": "--brief-lr (with --prune also --lr)",
    "trim": "--trim-lr",
    "multiples": "--brief-lr (with --prune also --lr)",
    "retrain": "--retrain-lr (with --retrain also --lr)",
}


@dataclass(frozen=True)
class Work:
    """What the method works with: options, images, where to log, a clock, TensorBoard for those who watch, and what is
    remembered of the stage.

    `rule(widths)`: weights as a published table counts them, if there is one for the network; `linear` gives the
    network without a hidden layer that it is compared with.
    """

    options: Options
    data: Dataset
    log: Callable[[str], None]
    rule: Callable[[tuple[int, ...]], int] | None = None
    linear: Callable[[], Any] | None = None
    clock: Clock = field(default_factory=Clock)
    board: Board = field(default_factory=Board)
    memory: Memory = field(default_factory=Memory)

    @property
    def all_classes(self) -> tuple[int, ...]:
        return tuple(range(len(self.data.class_names)))

    def rate(self, wiring: Wiring, kept: KeptUnits) -> float:
        """Share of the parent's weights: as the published table counts them, if there is a rule."""
        if self.rule is None:
            return wiring.weights(kept) / wiring.parent_sizes[0]
        return self.rule(kept.widths) / self.rule(wiring.layers.widths)

    def with_options(self, **changed: Any) -> Work:
        """The same with other options."""
        return dataclasses.replace(self, options=dataclasses.replace(self.options, **changed))


# ------------------------------------------------------------------------------------------ training


def recipe(o: Options, epochs: int, lr: float, group_l1: float = 0.0) -> Recipe:
    own: dict[str, Any] = {"epochs": epochs, "lr": lr, "group_l1": group_l1}
    return Recipe(**own, **{f.name: getattr(o, f.name) for f in dataclasses.fields(Recipe) if f.name not in own})


def fit(
    work: Work,
    compact: CompactNetwork,
    how: Recipe,
    stage: str,
    may_stay: bool = False,
    first: Callable[[], None] = lambda: None,
) -> float:
    """Train a network in place, one log line an epoch; returns its best validation score.

    `may_stay`: the network as it was counts as epoch 0, so that training never leaves a worse one. `first` is done
    before, in place. What is remembered of the training is not done again, nor is `first` then.
    """
    how = dataclasses.replace(how, loss=loss_of(work, compact))
    left = work.memory.begin(stage)
    if left is None:
        first()
        best = validation_score(work, compact) if may_stay or not how.epochs else float("-inf")
        left = {"best": best, "stays": how.epochs > 0, "state": None}
    if "network" in left:
        training.restore(compact, work.data.train, how, left["network"])
        remembered: float = left["best"]
        return remembered
    best = trained(work, compact, how, stage, **left)
    remember(work, compact, best)
    return best


def trained(
    work: Work, compact: CompactNetwork, how: Recipe, stage: str, best: float, stays: bool, state: Record | None
) -> float:
    """The epochs of a training, all or those behind `state`; returns the best validation score.

    `best`: that so far; `stays`: whether it is the score that the network had before.
    """
    for record in epochs_of(work, compact, how, stage, math.nextafter(best, float("-inf")), state):
        best, stays = max(best, record.score), stays and not record.best
        tell_epoch(work, compact, record, stage, how.epochs)
        if record.epoch < how.epochs and work.memory.is_due(record.epoch, work.options.save_every):
            left = {"best": best, "stays": stays, "state": record.state()}
            work.memory.keep(left, f"epoch {record.epoch}/{how.epochs}")
    if stays:
        work.log(
            f"{told(work, compact.kept.classes)}{stage}: no epoch was as good on validation as the network before, "
            f"{100 * best:.2f} %, which stays"
        )
    return best


def remember(work: Work, compact: CompactNetwork, score: float) -> None:
    """Keep a network that a training has left."""
    work.memory.keep({"best": score, "network": compact.network.state_dict()})


def tell_epoch(work: Work, compact: CompactNetwork, record: training.EpochRecord, stage: str, epochs: int) -> None:
    """Tell TensorBoard, and now and then the log."""
    tag = stage.partition(" to ")[0]  # without the widths of a cut
    work.board.tell(run_of(work), {f"{tag}/loss": record.loss, f"{tag}/validation": record.score}, record.epoch)
    if record.epoch % work.options.log_interval == 0 or record.epoch == epochs:
        work.log(
            f"{told(work, compact.kept.classes)}{stage} epoch {record.epoch}/{epochs} loss {record.loss:.5f} "
            f"validation {100 * record.score:.2f} %{', the best so far' if record.best else ''}"
        )


def epochs_of(
    work: Work, compact: CompactNetwork, how: Recipe, stage: str, to_beat: float, state: Record | None
) -> Iterator[training.EpochRecord]:
    """The records of a training, under a progress bar; a training that diverges names the option of its rate."""
    data, classes = work.data, compact.kept.classes
    batches = training.steps_of_an_epoch(data.train, classes, how)
    with bar(how.epochs * batches, stage) as shown, naming_the_rate(stage):
        shown.update(batches * state["epoch"] if state else 0)
        score = lambda logits: score_of(work, logits, classes)  # noqa: E731
        yield from training.train(
            compact, data.train, classes, how, score, data.validation, shown.update, to_beat, data.augment, state
        )


@contextlib.contextmanager
def naming_the_rate(stage: str) -> Iterator[None]:
    """Says which option sets the learning rate of a training that diverges."""
    try:
        yield
    except training.Diverged as error:
        option = RATES[next(word for word in RATES if stage.startswith(word))]
        raise SpecDNNError(f"{stage}: {error}: give a smaller {option}") from None


def loss_of(work: Work, compact: CompactNetwork) -> str:
    """--loss, but one-against-rest has no other class that cross-entropy could compare with."""
    loss = work.options.loss
    return "bce" if loss == "ce" and compact.kept.classes != work.all_classes else loss


def run_of(work: Work) -> str:
    """What a run is called that others are compared with: `seed1.class3.OSLOM`."""
    o = work.options
    return ".".join([f"seed{o.seed}", *([f"class{files.joined(o.classes)}"] if o.classes else []), o.algo])


def told(work: Work, classes: tuple[int, ...]) -> str:
    """The prefix of a log line."""
    return "" if classes == work.all_classes else f"class {files.joined(classes)} "


# ------------------------------------------------------------------------------------------ scores


def score_of(work: Work, logits: Tensor, classes: tuple[int, ...]) -> float:
    """What epochs are chosen by: argmax accuracy for all classes, else what --threshold names, at its threshold; where
    that is 0, the mean of accuracy and balanced accuracy.
    """
    found = measured(work, logits, classes)
    accuracy, balanced = evaluation.headline(found)
    f1: float = found["mean_f1"] if "mean_f1" in found else found["f1"]
    scores = {"zero": (accuracy + balanced) / 2, "balanced": balanced, "f1": f1}
    return accuracy if classes == work.all_classes else scores[work.options.threshold]


def measured(work: Work, logits: Tensor, classes: tuple[int, ...]) -> Record:
    """Measures of validation logits (n, classes) by which all choices are made, at the thresholds best for them.

    Raises SpecDNNError where a choice would rest on a number that does not exist.
    """
    labels = work.data.validation.labels
    best = evaluation.thresholds(logits, labels, classes, work.options.threshold)
    found = evaluation.all_metrics(logits, labels, classes, len(work.all_classes), best)
    accuracy, balanced = evaluation.headline(found)
    if not math.isfinite(accuracy) or not (math.isfinite(balanced) or classes == work.all_classes):
        raise SpecDNNError(f"the score on validation is undefined: {lacking(work, classes) or 'it is not a number'}")
    return found


def lacking(work: Work, classes: Iterable[int], splits: Iterable[str] = ("validation",)) -> str:
    """Which of some splits has no image of a class, or of nothing but it; empty if all have both kinds."""
    counts = work.data.images_per_class()
    for split in splits:
        for wanted in classes:
            own, others = counts[split][wanted], sum(counts[split]) - counts[split][wanted]
            if not (own and others):
                missing = f"class {wanted}" if not own else f"any class but {wanted}"
                there = ", ".join(f"{name} {counts[name][wanted]}" for name in counts)
                return f"{split} has no image of {missing} (images of class {wanted}: {there})"
    return ""


def classes_among(asked: Iterable[int], count: int) -> tuple[int, ...]:
    """The classes asked for, sorted; raises SpecDNNError if one is none of 0 to `count` - 1."""
    wanted = tuple(sorted(set(map(int, asked))))
    for unknown in (c for c in wanted if not 0 <= c < count):
        raise SpecDNNError(f"there is no class {unknown}: classes are 0 to {count - 1}")
    return wanted


def check_images(work: Work, classes: Iterable[int]) -> None:
    """Raise SpecDNNError, before any training, if a wanted class cannot be learned or its score is undefined."""
    if words := lacking(work, classes, ("train", "validation")):
        raise SpecDNNError(f"{words}: give more images, or name other classes with --specialize")


def validation_score(work: Work, compact: CompactNetwork) -> float:
    return score_of(work, validation_logits(work, compact), compact.kept.classes)


def validation_logits(work: Work, compact: CompactNetwork) -> Tensor:
    return evaluation.logits_of(compact.network, work.data.validation.images)


def thresholds(work: Work, compact: CompactNetwork) -> tuple[float, ...]:
    """The threshold of every output, chosen on validation; none where it is 0, or classes exclude each other."""
    if work.options.threshold == "zero" or loss_of(work, compact) == "ce":
        return ()
    logits, labels = validation_logits(work, compact), work.data.validation.labels
    return evaluation.thresholds(logits, labels, compact.kept.classes, work.options.threshold)


def wanted_outputs(compact: CompactNetwork, classes: Iterable[int]) -> CompactNetwork:
    """The network with the outputs of the wanted classes only."""
    return cut(compact, compact.kept.replace(len(compact.kept.units) - 1, classes))


# ------------------------------------------------------------------------------------------ progress


def bar(total: int, text: str) -> tqdm:
    """A progress bar for work that may last longer than two seconds; silent where stderr is no terminal."""
    return tqdm(total=total, desc=text, disable=None, leave=False, delay=2, file=sys.stderr)


def progress(items: Iterable[Item], text: str) -> Iterable[Item]:
    shown: Iterable[Item] = tqdm(items, desc=text, disable=None, leave=False, file=sys.stderr)
    return shown
