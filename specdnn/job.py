"""What every stage works with: the job, training with a log, skip-if-done, the metrics file, progress bars."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import math
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import networkx
import numpy as np
import sklearn
import torch
from tqdm import tqdm

import specdnn
from specdnn import checkpoint, files
from specdnn.checkpoint import Checkpoint
from specdnn.files import SavedModels
from specdnn.network import evaluation, training
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.network.wiring import Wiring
from specdnn.options import Options
from specdnn.structures import Dataset, KeptUnits, Recipe, SpecDNNError, paper_rule_of

# The option that sets the learning rate of a training, by the first word of its name.
RATES = {
    "train": "--lr",
    "warm-up": "--brief-lr (with --prune also --lr)",
    "round": "--brief-lr (with --prune also --lr)",
    "trim": "--trim-lr",
    "retrain": "--retrain-lr (with --retrain also --lr)",
}


@dataclass
class Job:
    """What every stage works with: options, data, the network's type, names of files, a place to log.

    `whole` is the wiring of a network that nothing was cut from, `architectures` are all networks of the folder,
    `published` the records of --resume-from by their names. `shared` keeps what algorithms have in common: the last
    warm-up.
    """

    options: Options
    data: Dataset
    network_type: type
    whole: Wiring
    saved: SavedModels
    log: Callable[[str], None]
    data_hash: str
    architectures: dict = field(default_factory=dict)
    published: dict[str, dict] = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)
    shared: dict = field(default_factory=dict)

    @property
    def all_classes(self) -> tuple[int, ...]:
        return tuple(range(len(self.data.class_names)))

    def counted(self, kept: KeptUnits) -> float:
        """Weights of some units as the published table counts them, if the network's file has a rule; else weights."""
        rule = paper_rule_of(self.network_type)
        return rule(kept.widths) if rule else self.whole.weights(kept)

    def rate(self, kept: KeptUnits) -> float:
        """The same as a share of the parent's."""
        return self.counted(kept) / self.counted(self.whole.everything)

    def used_to(self, loaded: Checkpoint) -> Job:
        """The same job on images normalised as this network was trained; the hash stays that of the data set."""
        data = self.data.renormalised(loaded.normalisation or self.data.normalisation)
        if data is self.data:
            return self
        (mean, deviation), (other_mean, other_deviation) = self.data.normalisation, data.normalisation
        self.log(
            f"images are normalised with mean {other_mean:g} and deviation {other_deviation:g}, "
            f"as the checkpoint says, not with {mean:g} and {deviation:g}"
        )
        return dataclasses.replace(self, data=data)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def with_options(self, **changed) -> Job:
        """The same job with other options."""
        return dataclasses.replace(self, options=dataclasses.replace(self.options, **changed))

    def for_cell(self, seed: int, classes, algo: str) -> Job:
        """The job of one cell of a sweep, with a clock of its own."""
        rate = dict(self.options.class_rates).get(classes[0], self.options.rate)
        one = self.with_options(seed=seed, classes=classes, algo=algo, rate=rate)
        return dataclasses.replace(one, saved=dataclasses.replace(self.saved, seed=seed), seconds={})


# ------------------------------------------------------------------------------------------ training


def recipe(o: Options, epochs: int, lr: float, group_l1: float = 0.0) -> Recipe:
    own = {"epochs": epochs, "lr": lr, "group_l1": group_l1}
    return Recipe(**own, **{f.name: getattr(o, f.name) for f in dataclasses.fields(Recipe) if f.name not in own})


def fit(job: Job, compact: CompactNetwork, how: Recipe, stage: str, may_stay: bool = False) -> float:
    """Train a network in place, one log line an epoch; returns its best validation score.

    `may_stay`: the network as it was counts as epoch 0, so that training never leaves a worse one.
    """
    how = dataclasses.replace(how, loss=loss_of(job, compact))
    best = validation_score(job, compact) if may_stay or not how.epochs else float("-inf")
    stays = how.epochs > 0
    for record in epochs_of(job, compact, how, stage, math.nextafter(best, float("-inf"))):
        best, stays = max(best, record.score), stays and not record.best
        if record.epoch % job.options.log_interval == 0 or record.epoch == how.epochs:
            job.log(
                f"{told(job, compact.kept.classes)}{stage} epoch {record.epoch}/{how.epochs} loss {record.loss:.5f} "
                f"validation {100 * record.score:.2f} %{', the best so far' if record.best else ''}"
            )
    if stays:
        job.log(
            f"{told(job, compact.kept.classes)}{stage}: no epoch was as good on validation as the network before, "
            f"{100 * best:.2f} %, which stays"
        )
    return best


def epochs_of(job: Job, compact: CompactNetwork, how: Recipe, stage: str, to_beat: float) -> Iterator:
    """The records of a training, under a progress bar; a training that diverges names the option of its rate."""
    data, classes = job.data, compact.kept.classes
    with bar(how.epochs * -(-len(data.train) // how.batch_size), stage) as shown, naming_the_rate(stage):
        score = lambda logits: score_of(job, logits, classes)  # noqa: E731
        yield from training.train(compact, data.train, classes, how, score, data.validation, shown.update, to_beat)


@contextlib.contextmanager
def naming_the_rate(stage: str) -> Iterator[None]:
    """Says which option sets the learning rate of a training that diverges."""
    try:
        yield
    except training.Diverged as error:
        option = RATES[next(word for word in RATES if stage.startswith(word))]
        raise SpecDNNError(f"{stage}: {error}: give a smaller {option}") from None


def loss_of(job: Job, compact: CompactNetwork) -> str:
    """--loss, but one-against-rest has no other class that cross-entropy could compare with."""
    loss = job.options.loss
    return "bce" if loss == "ce" and compact.kept.classes != job.all_classes else loss


def told(job: Job, classes) -> str:
    """The prefix of a log line."""
    return "" if classes == job.all_classes else f"class {files.joined(classes)} "


def score_of(job: Job, logits, classes) -> float:
    """What epochs are chosen by: argmax accuracy for all classes, else the mean of accuracy and balanced accuracy."""
    accuracy, balanced = headline_of(job, logits, classes)
    return accuracy if classes == job.all_classes else (accuracy + balanced) / 2


def headline_of(job: Job, logits, classes) -> tuple[float, float]:
    """(accuracy, balanced accuracy) of validation logits (n, classes).

    Raises SpecDNNError where a choice would rest on a number that does not exist; all choices are made by these two.
    """
    found = evaluation.headline(
        evaluation.all_metrics(logits, job.data.validation.labels, classes, len(job.all_classes))
    )
    if not math.isfinite(found[0]) or not (math.isfinite(found[1]) or classes == job.all_classes):
        raise SpecDNNError(f"the score on validation is undefined: {lacking(job, classes) or 'it is not a number'}")
    return found


def lacking(job: Job, classes, splits=("validation",)) -> str:
    """Which of some splits has no image of a class, or of nothing but it; empty if all have both kinds."""
    counts = job.data.images_per_class()
    for split in splits:
        for wanted in classes:
            own, others = counts[split][wanted], sum(counts[split]) - counts[split][wanted]
            if not (own and others):
                missing = f"class {wanted}" if not own else f"any class but {wanted}"
                there = ", ".join(f"{name} {counts[name][wanted]}" for name in counts)
                return f"{split} has no image of {missing} (images of class {wanted}: {there})"
    return ""


def check_images(job: Job, classes) -> None:
    """Raise SpecDNNError, before any training, if a wanted class cannot be learned or its score is undefined."""
    if words := lacking(job, classes, ("train", "validation")):
        raise SpecDNNError(f"{words}: give more images, or name other classes with --specialize")


def validation_score(job: Job, compact: CompactNetwork) -> float:
    return score_of(job, validation_logits(job, compact), compact.kept.classes)


def validation_logits(job: Job, compact: CompactNetwork):
    return evaluation.logits_of(compact.network, job.data.validation.images)


def wanted_outputs(compact: CompactNetwork, classes) -> CompactNetwork:
    """The network with the outputs of the wanted classes only."""
    return cut(compact, compact.kept.replace(len(compact.kept.units) - 1, classes))


# ------------------------------------------------------------------------------------------ finishing a stage


def skip(job: Job, verb: str, path: Path, input_hash: str) -> bool:
    """Whether this very step was finished before; says so, and says why where an old result is made again."""
    found = files.read_metrics(files.metrics_path(path))
    if found is None or not path.is_file():
        return False
    reason = why_again(job, verb, found, input_hash, path)
    job.log(f"{path.name}: {f'{reason}, so it is made again' if reason else 'already finished'}")
    return not reason


def why_again(job: Job, verb: str, found: dict, input_hash: str, path: Path) -> str:
    """What is not as this stage would leave it; empty if nothing is."""
    told, now = found.get("options") or {}, job.options.shaping(verb)
    missing = object()
    differing = [name for name in {**told, **now} if told.get(name, missing) != now.get(name, missing)]
    if differing:
        words = "; ".join(f"{name} {told.get(name)}, now {now.get(name)}" for name in differing)
        return f"made with other options ({words})"
    if found.get("input_hash") != stamp(job, input_hash):
        return "made from other inputs (images, or the checkpoint that it starts from)"
    return "" if found.get("checkpoint_hash") == files.file_hash(path) else "not the file that was measured"


def made_by(job: Job, verb: str, found: dict, input_hash: str) -> bool:
    """Whether a metrics file is that of this stage with these options and inputs."""
    return found.get("options") == job.options.shaping(verb) and found.get("input_hash") == stamp(job, input_hash)


def stamp(job: Job, input_hash: str) -> str:
    """Hash of what a stage starts from: the data and the checkpoint."""
    return hashlib.sha256(f"{job.data_hash} {input_hash}".encode()).hexdigest()


def hash_of(data: Dataset) -> str:
    """Hash of all images and labels, to the last bit."""
    digest = hashlib.sha256()
    for split in (data.train, data.validation, data.test):
        digest.update(split.labels.cpu().numpy())
        digest.update(split.images.cpu().numpy())
    return digest.hexdigest()


def finish(job: Job, verb: str, path: Path, made: Checkpoint, input_hash: str, story=None, evidence=()) -> Path:
    """Save the checkpoint and, last, its metrics file, which is what makes the step finished.

    An earlier result of that name is set aside. `story` is for the metrics file, `evidence` the files of every round.
    """
    measured = metrics_of(job, verb, made, input_hash)
    if earlier := files.set_aside(path):
        job.log(f"{path.name}: the earlier one is kept as {earlier}")
    files.write_rounds(path, evidence)
    checkpoint.save(path, made)
    file = {"file_bytes": path.stat().st_size, "checkpoint_hash": files.file_hash(path)}
    files.write_metrics(path, {**measured, **(story or {}), **file})
    job.log(f"{told(job, made.classes)}{verb}: {summary(measured)} -> {path}")
    return path


def metrics_of(job: Job, verb: str, made: Checkpoint, input_hash: str) -> dict:
    """The metrics file of a network: measures on the chosen split, sizes, origin."""
    o, network = job.options, made.compact.network
    split = job.data.split(o.split)
    measured = evaluation.all_metrics(
        evaluation.logits_of(network, split.images, o.test_batch_size), split.labels, made.classes, len(job.all_classes)
    )
    return {
        "verb": verb,
        "arch": made.arch,
        "dataset": job.data.name,
        "classes": list(made.classes),
        "algo": made.algo,
        "seed": o.seed,
        "split": o.split,
        **measured,
        "kept": dict(zip(made.compact.wiring.layers.names, made.compact.kept.units, strict=True)),
        **sizes_of(job, made),
        "pins": {pin.operation: pin.units for pin in made.compact.wiring.pins},
        "latency_ms": evaluation.latency_ms(network, made.compact.wiring.image_shape),
        "validation_score": made.accuracy,
        "validation_balanced_accuracy": validation_balanced(job, made),
        **{f"{name}_images": sum(counted) for name, counted in job.data.images_per_class().items()},
        "seconds": {stage: round(s, 2) for stage, s in job.seconds.items()},
        "threads": o.threads,
        "options": o.shaping(verb),
        "input_hash": stamp(job, input_hash),
        **provenance(),
    }


def sizes_of(job: Job, made: Checkpoint) -> dict:
    """Both size conventions; a control may be another network of the folder, measured against the same parent."""
    named = {kind.__name__: kind for kind in job.architectures.values()}
    own = named[made.network] if made.network else job.network_type
    return evaluation.sizes(made.compact, paper_rule_of(own), job.counted(job.whole.everything), job.whole.parent_sizes)


def validation_balanced(job: Job, made: Checkpoint) -> float:
    """What --min-balanced asks for, whatever the split that is measured: nan where it is undefined."""
    logits, labels = validation_logits(job, made.compact), job.data.validation.labels
    return evaluation.headline(evaluation.all_metrics(logits, labels, made.classes, len(job.all_classes)))[1]


def summary(found: dict) -> str:
    accuracy, balanced = evaluation.headline(found)
    return (
        f"{found['split']} accuracy {100 * accuracy:.2f} %, balanced {100 * balanced:.2f} % "
        f"(validation {100 * found['validation_balanced_accuracy']:.2f} %), "
        f"{found['true_weights']} weights, {found['true_parameters']} parameters, "
        f"paper rule {100 * found['paper_rule_rate']:.3f} %"
    )


def provenance() -> dict:
    """Versions, commit and date."""
    return {
        "specdnn_version": specdnn.__version__,
        "python_version": platform.python_version(),
        "torch_version": torch.__version__,
        "numpy_version": np.__version__,
        "networkx_version": networkx.__version__,
        "sklearn_version": sklearn.__version__,
        "git_commit": git_commit(),
        "date": datetime.date.today().isoformat(),
    }


def git_commit() -> str:
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        here = Path(__file__).resolve().parent
        asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        return asked.stdout.strip()
    return "unknown"


# ------------------------------------------------------------------------------------------ progress


def bar(total: int, text: str):
    """A progress bar for work that may last longer than two seconds; silent where stderr is no terminal."""
    return tqdm(total=total, desc=text, disable=None, leave=False, delay=2, file=sys.stderr)


def progress(items, text: str):
    return tqdm(items, desc=text, disable=None, leave=False, file=sys.stderr)
