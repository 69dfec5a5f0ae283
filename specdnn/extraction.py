"""From Python: a trained classifier and images in, the small network of some of its classes out."""

from __future__ import annotations

import contextlib
import dataclasses
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from specdnn import composing, exporting, files, options, rivals, stages, trimming
from specdnn.board import Board
from specdnn.images import dataset_of
from specdnn.measures import metrics_of
from specdnn.method import warmed_up
from specdnn.network import evaluation, netfile
from specdnn.network.netfile import Checkpoint
from specdnn.network.surgery import CompactNetwork
from specdnn.network.wiring import Wiring
from specdnn.structures import KeptUnits, Record, SpecDNNError, Split
from specdnn.work import Work, check_images, classes_among

OF_ALL = ("arch", "dataset", "seed", "split", *exporting.ORIGIN)  # what members have in common
UNTRAINED = {
    **dict.fromkeys(("warmup_epochs", "brief_epochs", "retrain_epochs"), 0),
    **{"rounds": 1, "candidates": ("shape",), "compensate": "regress", "trim": "attribution"},
}
MEMORY = 4e9  # bytes of images that are kept in memory as one tensor


@dataclass(frozen=True, repr=False)
class Specialised:
    """The small network of some classes: images as the parent took them -> logits (images, wanted classes).

    `metrics`: sizes as shares of the parent's, and measures on the test images, or on validation where none were given;
    `community`: the figures of the class community, and every cut.
    """

    checkpoint: Checkpoint
    metrics: Record
    community: Record
    parent: CompactNetwork
    shown: Split  # of the images that it was measured on, a thousand
    class_names: tuple[str, ...]

    def __repr__(self) -> str:
        """One line, in the place of all images and numbers."""
        measured, widths = self.metrics, files.joined(self.kept.widths)
        sizes = f"{measured['true_parameters']:,} parameters, {100 * measured['true_rate']:.3g} % of the weights"
        right = f"balanced accuracy {100 * evaluation.headline(measured)[1]:.2f} %"
        names = ", ".join(self.class_names[wanted] for wanted in self.kept.classes)
        return f"<Specialised: {names}; {widths} units, {sizes}; {right}>"

    @property
    def network(self) -> nn.Module:
        return self.checkpoint.compact.network

    @property
    def kept(self) -> KeptUnits:
        """Per layer the units of the parent that are left."""
        return self.checkpoint.compact.kept

    @property
    def wiring(self) -> Wiring:
        return self.checkpoint.compact.wiring

    def save(self, path: str | Path) -> None:
        """Write the network to a file that `specdnn.load` reads without its class."""
        files.check_writable(Path(path).parent)
        netfile.save(Path(path), self.checkpoint)

    def export(self, folder: str | Path, normalisation: Sequence[float | Sequence[float]] = ()) -> str:
        """Write the network for use elsewhere into a new folder: ONNX, safetensors, C, a model card; all or nothing.

        `normalisation`: (mean, deviation) of the images that were given, numbers or one per channel; it goes into the
        exported networks, which then take intensities in 0..1. Returns a table of sizes and speeds beside the parent's.
        Raises SpecDNNError, one sentence, if a package is missing, if `folder` is there already, or if an exported
        network differs from this one.
        """
        given = tuple(tuple(map(float, n)) if isinstance(n, Sequence) else float(n) for n in normalisation)
        saved = dataclasses.replace(self.checkpoint, normalisation=given or self.checkpoint.normalisation)
        parent = dataclasses.replace(saved, compact=self.parent)
        raw = exporting.raw_images(self.shown.images, saved.normalisation)
        told = {"class_names": self.class_names, "provenance": exporting.provenance(self.metrics)}
        return exporting.export(Path(folder), saved, parent, raw, self.metrics, told)


def extract(
    model: nn.Module,
    data: Any,
    classes: int | Sequence[int] | None = None,
    *,
    validation: Any = None,
    test: Any = None,
    class_names: Sequence[str] | None = None,
    max_params: int | None = None,
    rate: float | None = None,
    min_balanced: float | None = None,
    algo: str = "OSLOM",
    train: bool = True,
    seed: int = 1,
    like: Specialised | None = None,
    memory: float = MEMORY,
    log: Callable[[str], None] = lambda text: None,
    **others: Any,
) -> Specialised:
    """The part of a trained classifier that recognises some of its classes, as a network of its own.

    `model`: images (n, ...) -> logits (n, all classes), any network that torch.fx can trace; it stays as it is. `data`,
    `validation`, `test`: a pair of tensors (images as the model takes them, labels), a `torch.utils.data.Dataset` of
    such pairs, or a `DataLoader` of one; without `validation` an eighth of `data` is held out. What takes more than
    `memory` bytes is streamed. Where the model begins with an Embedding, images are the numbers of words. `classes`:
    one, several (one output each), or None for all.

    The size: `max_params` parameters, `rate` (share of the parent's weights), or the smallest that reaches a balanced
    accuracy of `min_balanced` on validation. `algo` and `others` are the options of `main.py`, by their names there
    (`warmup_epochs`, `brief_epochs`, `retrain_epochs`, `keep`, `threads`, ...). Without `train` nothing is trained: the
    pretrained network is cut in one go, and regression makes up for what is gone, in seconds. `like`: an earlier
    result whose cuts another `algo` is to follow. The same seed gives the same bytes. `log` takes what happens, line by
    line.

    Raises SpecDNNError, one sentence, where something given is wrong or no community is found.
    """
    others = others if train else {**UNTRAINED, **others}
    chosen = _options(algo=algo, seed=seed, max_params=max_params, rate=rate, min_balanced=min_balanced, **others)
    with undisturbed(chosen, model):
        whole = CompactNetwork.parent(model, _first_image(data))
        like_model = next(whole.network.parameters())
        count = whole.wiring.layers.widths[-1]
        vocabulary = whole.wiring.vocabulary
        images = dataset_of(data, validation, test, count, class_names, like_model, memory, vocabulary)
        chosen = dataclasses.replace(
            chosen,
            arch=type(whole.network).__name__,
            dataset="",
            classes=_wanted(classes, count),
            split="validation" if test is None else "test",
            cuda=like_model.is_cuda,
        )
        for sentence in whole.wiring.told():
            log(sentence)
        board = Board(Path(chosen.tensorboard) if chosen.tensorboard else None)
        return _extracted(Work(chosen, images, log, board=board), whole, like)


def _extracted(work: Work, whole: CompactNetwork, like: Specialised | None) -> Specialised:
    """Steps 0 to 7 and the long retraining."""
    o, reference = work.options, None
    if like is not None:
        reference = trimming.Reference.of({**like.community, "kept": like.metrics["pruned"]})
    wanted = o.classes or whole.kept.classes
    check_images(work, wanted)
    rivals.check(work, whole, reference)
    accuracy = evaluation.headline(_validated(work, whole))[0]
    parent = Checkpoint(o.arch, o.dataset, whole, work.data.normalisation, accuracy, "", o.seed)
    warm = None if o.algo in rivals.CONTROLS else warmed_up(work, whole, wanted)
    found = rivals.extracted(work, whole, reference, warm)
    pruned = stages.pruned(work, parent, found)
    made = stages.retrained(work, pruned, o.algo)
    sizes = evaluation.sizes(made.compact, None, whole.wiring.parent_sizes[0], whole.wiring.parent_sizes)
    told = {"pruned": pruned.compact.kept.by_layer(whole.wiring.layers), "parent_accuracy": accuracy}
    story = {**found.story, "steps": [dataclasses.asdict(step) for step in found.steps]}
    metrics = {**metrics_of(work, "retrain", made, sizes), **told}
    measured = work.data.split(o.split)
    shown = Split(*(part[: exporting.MOST_IMAGES] for part in (measured.images, measured.labels)))
    return Specialised(made, metrics, story, whole, shown, work.data.class_names)


def _validated(work: Work, whole: CompactNetwork) -> Record:
    logits = evaluation.logits_of(whole.network, work.data.validation.images)
    return evaluation.all_metrics(logits, work.data.validation.labels, whole.kept.classes, len(work.all_classes))


def load(path: str | Path) -> nn.Module:
    """The network of a saved file, or of a folder that `export` made: images -> logits (images, wanted classes).

    Nothing in the file is executed.
    """
    return netfile.load_network(Path(path))


def compose(members: Sequence[Specialised]) -> Specialised:
    """One network of several that were extracted from one parent: images -> logits (images, classes), ascending.

    Before any further training its outputs are those of the members, to the last bit; what is equal in them is stored
    once. `metrics`: measures on a thousand images of the first one's, the sizes of all, kept units of the members, and
    how far these overlap. Raises SpecDNNError, one
    sentence, where two have a class in common or they were not extracted from one parent.
    """
    checkpoints = [one.checkpoint for one in members]
    made, first = composing.composition(checkpoints), members[0]
    logits = evaluation.logits_of(made.compact.network, first.shown.images)
    measured = evaluation.all_metrics(logits, first.shown.labels, made.classes, len(first.class_names))
    sizes = evaluation.sizes(made.compact, None, made.compact.wiring.parent_sizes[0], made.compact.wiring.parent_sizes)
    origin = {"classes": list(made.classes), "algo": made.algo, **composing.described(checkpoints, made)}
    metrics = {**{name: first.metrics[name] for name in OF_ALL}, **measured, **sizes, **origin}
    return dataclasses.replace(first, checkpoint=made, metrics=metrics, community={})


# ------------------------------------------------------------------------------------------ what is given


def _options(**given: Any) -> options.Options:
    """Options of these names, in their ranges."""
    unknown = sorted(set(given) - set(options.DEFAULTS))
    if unknown:
        raise SpecDNNError(f"there is no option {unknown[0]}; there are {', '.join(sorted(options.DEFAULTS))}")
    if given["algo"] not in options.ALGORITHMS:
        raise SpecDNNError(f"there is no algo {given['algo']}; there are {', '.join(options.ALGORITHMS)}")
    options.check_ranges(types.SimpleNamespace(**given))
    return options.Options(**{**options.DEFAULTS, "threads": torch.get_num_threads(), **given})


def _wanted(classes: int | Sequence[int] | None, count: int) -> tuple[int, ...] | None:
    """The classes asked for, sorted; None for all of them."""
    if classes is None:
        return None
    wanted = classes_among([classes] if isinstance(classes, int) else classes, count)
    if not wanted:
        raise SpecDNNError("classes names no class")
    return None if len(wanted) == count else wanted


def _first_image(data: Any) -> torch.Tensor:
    """An example to trace with."""
    source = getattr(data, "dataset", data)
    try:
        return torch.as_tensor(source[0][0]).detach()
    except Exception:  # whatever a user's Dataset raises; what is wrong with it is told when it is read
        raise SpecDNNError("data has no first image: give images and labels") from None


@contextlib.contextmanager
def undisturbed(chosen: options.Options, model: nn.Module) -> Iterator[None]:
    """While this lasts torch is as the method wants it; after it, random numbers, threads and modes are as before."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    deterministic = torch.get_deterministic_debug_mode()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices), torch.inference_mode(False), torch.enable_grad():
        try:
            torch.set_num_threads(chosen.threads)
            torch.set_default_dtype(torch.float32)
            torch.set_deterministic_debug_mode("warn")
            yield
        finally:
            torch.set_deterministic_debug_mode(deterministic)
            torch.set_default_dtype(dtype)
            torch.set_num_threads(threads)
