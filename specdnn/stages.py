"""The method as named stages: train, prune, retrain, evaluate, sweep.

A stage leaves a checkpoint and the metrics file beside it. It is skipped when that metrics file carries the same
options and the same hash of its inputs, and the checkpoint is the file that was measured. While a stage works on a
checkpoint it holds the lock of its name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from specdnn import files, jobs, rivals, trimming
from specdnn.finished import Job, finish, going_on, made_by, measured_of, skip
from specdnn.method import class_means, warmed_up
from specdnn.network.netfile import Checkpoint
from specdnn.network.surgery import CompactNetwork
from specdnn.network.watching import ClassMeans
from specdnn.structures import Record, SpecDNNError
from specdnn.work import (
    Work,
    bar,
    check_images,
    fit,
    lacking,
    loss_of,
    progress,
    recipe,
    remember,
    thresholds,
    validation_score,
    wanted_outputs,
)

Load = Callable[[Path], Checkpoint]


def train_parent(job: Job) -> Path:
    """Train the whole network on all classes."""
    path = job.saved.parent()
    with files.lock(path, job.work.log):
        return path if skip(job, "train", path, "") else _train(job, path)


def _train(job: Job, path: Path) -> Path:
    work, o = job.work, job.work.options
    if words := lacking(work, work.all_classes, ("train", "validation", "test")):
        work.log(f"{words}: this class cannot be specialised to")
    if not o.epochs:
        work.log("--epochs 0: the network is saved with its first weights, untrained")
    torch.manual_seed(o.seed)
    images = work.data.train.images
    parent = CompactNetwork.parent(job.network_type().to(images.device), images[0])
    with going_on(job, "train", path, "") as work:
        with work.clock("train"):
            accuracy = fit(work, parent, recipe(o, o.epochs, o.lr), "train")
        softmax = loss_of(work, parent) == "ce"
        told: Record = {"softmax": softmax, "thresholds": thresholds(work, parent)}
        made = Checkpoint(o.arch, o.dataset, parent, work.data.normalisation, accuracy, "", o.seed, **told)
        return finish(job, "train", path, made, "")


def prune(job: Job, origin: Path, loaded: Checkpoint, warm_ups: WarmUps | None = None) -> Path:
    """Steps 0 to 7 of the method: warm-up, rounds of communities, trim to the budget; or what --algo does instead."""
    job = job.used_to(loaded)
    work, o, origin_hash = job.work, job.work.options, files.file_hash(origin)
    path = files.never_over(origin, job.saved.pruned(o.classes, o.algo))
    with files.lock(path, work.log):
        reference = reference_of(job, origin_hash)
        input_hash = origin_hash + rivals.digest(reference)
        if skip(job, "prune", path, input_hash):
            return path
        for sentence in loaded.compact.wiring.told():
            work.log(sentence)
        check_images(work, o.classes or loaded.classes)
        rivals.check(work, loaded.compact, reference)
        with going_on(job, "prune", path, input_hash) as work:
            warm = None if o.algo in rivals.CONTROLS else (warm_ups or WarmUps()).of(work, origin_hash, loaded)
            found = rivals.extracted(work, loaded.compact, reference, warm)
            story = {**found.story, "steps": [dataclasses.asdict(step) for step in found.steps]}
            return finish(job, "prune", path, pruned(work, loaded, found), input_hash, story, found.evidence)


def pruned(work: Work, loaded: Checkpoint, found: trimming.Extraction) -> Checkpoint:
    """What an extraction from a network leaves, to be saved."""
    score, owed = validation_score(work, found.compact), found.story.get("owed_epochs", 0)
    kind, whole = (type(one.network).__name__ for one in (found.compact, loaded.compact))
    other = kind if kind != whole else loaded.network  # a control may be another network of the folder
    own: Record = {"compact": found.compact, "accuracy": score, "owed_epochs": owed, "network": other}
    return origin_of(work, loaded, algo=work.options.algo, **own)


class WarmUps:
    """Step 0, done once for all algorithms of a class and seed; a sweep goes class by class, so the last is kept.

    Where it trains nothing, what flows in the parent is seen once for all classes.
    """

    def __init__(self) -> None:
        self.seen: tuple[object, ClassMeans] | None = None
        self.last: tuple[object, trimming.Extraction, float] | None = None

    def of(self, work: Work, origin_hash: str, loaded: Checkpoint) -> trimming.Extraction:
        """The warmed-up network of a parent; the seconds that it took count for all who use it.

        Each of them remembers it: who goes on after a break may be the only one that is left.
        """
        o = work.options
        key = (origin_hash, o.classes, recipe(o, o.warmup_epochs, o.brief_lr, o.group_l1))
        if self.last is None or self.last[0] != key:
            warm = warmed_up(work, loaded.compact, o.classes or loaded.classes)
            if not o.warmup_epochs:
                warm = dataclasses.replace(warm, flows=functools.partial(self._flows, work, origin_hash, loaded))
            self.last = key, warm, work.clock.seconds["warm-up"]
            return warm
        _, warm, work.clock.seconds["warm-up"] = self.last
        if work.memory.begin("warm-up") is None:
            remember(work, warm.compact, warm.score)
        return warm

    def _flows(self, work: Work, origin_hash: str, loaded: Checkpoint) -> ClassMeans:
        key = (origin_hash, work.options.compensate == "zero")  # which decides how many images are seen
        if self.seen is None or self.seen[0] != key:
            self.seen = key, class_means(work, loaded.compact)
        return self.seen[1]


def reference_of(job: Job, origin_hash: str) -> trimming.Reference | None:
    """The OSLOM run that --algo follows, here or in --resume-from; None if there is none or it does not follow."""
    o = job.work.options
    algorithm = rivals.ALGORITHMS.get(o.algo)
    if algorithm and not algorithm.follows:
        return None
    same, path = job.with_options(algo="OSLOM"), job.saved.pruned(o.classes, "OSLOM")
    for found in (files.read_metrics(files.metrics_path(path)), published(job, path)):
        if found and made_by(same, "prune", found, origin_hash):
            return trimming.Reference.of(found)
    return None


def origin_of(work: Work, loaded: Checkpoint, compact: CompactNetwork, **changed: Any) -> Checkpoint:
    """The checkpoint to save: where it comes from, with what a stage changed."""
    own: Record = {"dataset": work.options.dataset, "normalisation": work.data.normalisation, "seed": work.options.seed}
    own |= {"softmax": loss_of(work, compact) == "ce", "thresholds": thresholds(work, compact)}
    return dataclasses.replace(loaded, compact=compact, **own, **changed)


def retrain(job: Job, origin: Path, loaded: Checkpoint) -> Path:
    """The long retraining of what `prune` saved; it never leaves a network that is worse on validation than that."""
    job = job.used_to(loaded)
    work, o, input_hash = job.work, job.work.options, files.file_hash(origin)
    algo = loaded.algo or "none"  # a network that nothing was cut from
    path = files.never_over(origin, job.saved.retrained(o.classes, algo))
    with files.lock(path, work.log):
        if skip(job, "retrain", path, input_hash):
            return path
        check_images(work, o.classes or loaded.classes)
        with going_on(job, "retrain", path, input_hash) as work:
            epochs = o.retrain_epochs + loaded.owed_epochs
            return finish(job, "retrain", path, retrained(work, loaded, algo), input_hash, {"epochs": epochs})


def retrained(work: Work, loaded: Checkpoint, algo: str) -> Checkpoint:
    """A network after the long retraining, to be saved."""
    o = work.options
    compact = wanted_outputs(loaded.compact, o.classes or loaded.classes)
    how = recipe(o, o.retrain_epochs + loaded.owed_epochs, o.retrain_lr)
    with work.clock("retrain"):
        accuracy = fit(work, compact, how, "retrain", may_stay=True)
    return origin_of(work, loaded, compact=compact, accuracy=accuracy, algo=algo, owed_epochs=0)


def evaluate(job: Job, origin: Path, loaded: Checkpoint) -> Record:
    """All metrics and sizes of any checkpoint; writes nothing."""
    job = job.used_to(loaded)
    return measured_of(job, "evaluate", wanted(job, loaded), files.file_hash(origin))


def wanted(job: Job, loaded: Checkpoint) -> Checkpoint:
    """A checkpoint with the wanted outputs only, and with the thresholds that --threshold names, else its own."""
    compact = wanted_outputs(loaded.compact, job.work.options.classes or loaded.classes)
    own = dict(zip(loaded.classes, loaded.thresholds, strict=False))
    kept = tuple(own[c] for c in compact.kept.classes if c in own)
    return dataclasses.replace(loaded, compact=compact, thresholds=thresholds(job.work, compact) or kept)


# ------------------------------------------------------------------------------------------ all cells


@dataclasses.dataclass(frozen=True)
class Cell:
    """One network of a sweep. As text it is what the log calls it."""

    seed: int
    classes: tuple[int, ...]
    algo: str

    def __str__(self) -> str:
        return f"seed {self.seed}, class {files.joined(self.classes)}, {self.algo}"


def sweep(job: Job, load: Load, crew_of: Callable[[dict[int, Path], int], jobs.Crew | None]) -> list[str]:
    """The parents of all seeds, then for each class and algorithm prune and retrain; returns what went wrong, per cell.

    A cell that fails is logged and the others go on. Parents are made for the cells that are not published, unless
    --pretrained names one. `crew_of(parents, number of groups)`: who makes the cells of these parents; None: nobody
    else, they are made here.
    """
    check_images(job.work, job.work.options.classes or job.work.all_classes)
    groups = groups_of_cells(job)
    ones = [job.for_cell(*dataclasses.astuple(cell)) for group in groups for cell in group]
    for one in {one.work.options.rate: one for one in ones}.values():  # the budgets that there are
        trimming.check_budget(one.work, CompactNetwork(one.whole, one.whole.everything))
    parents: dict[int, Path] = {}
    for one in ones:
        if one.work.options.seed not in parents and not is_published(one):
            parents[one.work.options.seed] = parent_of(one, load)
    crew = crew_of(parents, len(groups))
    if crew is not None:
        return _by_crew(job, groups, crew)
    cells = Cells(job, load, parents)
    told = [cells(one) for one in progress(list(itertools.chain.from_iterable(groups)), "cells")]
    return [failure for failure in told if failure]


def _by_crew(job: Job, groups: list[list[Cell]], crew: jobs.Crew) -> list[str]:
    """The same cells, several at a time. What they say comes out as if they had followed each other."""
    failures: list[str] = []
    with bar(sum(map(len, groups)), "cells") as shown:

        def running(cells: list[Cell], done: int) -> None:
            shown.update(done - shown.n)
            shown.set_postfix_str(" | ".join(map(str, cells)))

        with contextlib.closing(jobs.outcomes(groups, crew, running)) as found:
            for one in itertools.chain.from_iterable(found):
                for line in one.lines:
                    job.work.log(line)
                if one.noise:
                    shown.write(one.noise, file=sys.stderr, end="")
                failures += [one.failure] if one.failure else []
    return failures


class Cells:
    """Makes one cell of a sweep after the other; they share parents and warm-ups.

    `parents`: seed -> the file of its parent, of the seeds that have a cell to make.
    """

    def __init__(self, job: Job, load: Load, parents: dict[int, Path]) -> None:
        self.job, self.load, self.warm_ups = job, load, WarmUps()
        self.parents, self.loaded = parents, dict[Path, Checkpoint]()
        self.several = sum(map(len, groups_of_cells(job))) > 1

    def __call__(self, cell: Cell) -> str:
        """Prune and retrain; what went wrong, empty if nothing did."""
        log, one = self.job.work.log, self.job.for_cell(*dataclasses.astuple(cell))
        if self.several:
            log(f"{cell}")
        if is_published(one):
            log("already published")
            return ""
        try:
            run_cell(one, *self.parent(cell.seed), self.load, self.warm_ups)
        except SpecDNNError as error:
            log(f"{cell} failed: {error}")
            return f"{cell} ({error})"
        return ""

    def parent(self, seed: int) -> tuple[Path, Checkpoint]:
        path = self.parents[seed]
        if path not in self.loaded:
            self.loaded[path] = self.load(path)
        return path, self.loaded[path]


def parent_of(job: Job, load: Load) -> Path:
    """The file of the network that cells are cut from, the one that was given or one trained here."""
    given = job.work.options.pretrained
    if given is None:
        return train_parent(job)
    adopt(job, given, load(given))
    return given


def adopt(job: Job, given: Path, loaded: Checkpoint) -> None:
    """Measure a whole network that was given and save it as the parent, which reports and --compose look for."""
    if loaded.compact.kept != loaded.compact.wiring.everything:
        raise SpecDNNError(f"{given} holds a part of a network: a sweep starts from a whole one")
    path, job = job.saved.parent(), job.used_to(loaded)
    if files.same_file(path, given):
        return
    with files.lock(path, job.work.log):
        input_hash = files.file_hash(given)
        if not skip(job, "train", path, input_hash):
            accuracy = validation_score(job.work, loaded.compact)
            made = origin_of(job.work, loaded, compact=loaded.compact, accuracy=accuracy)
            finish(job, "train", path, made, input_hash, {"given": given.name})


def groups_of_cells(job: Job) -> list[list[Cell]]:
    """The cells of each seed and class, which share a warm-up; OSLOM before those that follow it."""
    o = job.work.options
    algos = sorted(o.algos, key=lambda algo: algo != "OSLOM")
    classes = o.classes or job.work.all_classes
    return [[Cell(seed, (wanted,), algo) for algo in algos] for seed in o.seeds for wanted in classes]


def run_cell(job: Job, origin: Path, parent: Checkpoint, load: Load, warm_ups: WarmUps) -> None:
    o = job.work.options
    assert o.classes is not None  # those of the cell
    oslom = job.for_cell(o.seed, o.classes, "OSLOM")
    if o.algo != "OSLOM" and is_published(oslom) and reference_of(job, files.file_hash(origin)) is None:
        prune(oslom, origin, parent, warm_ups)  # published for another parent file, so there is nothing to follow yet
    pruned = prune(job, origin, parent, warm_ups)
    retrain(job, pruned, load(pruned))


def is_made(job: Job, origin: Path | None) -> bool:
    """Whether nothing is left to do for a cell: it is published, or pruned and retrained from this parent."""
    if origin is None or is_published(job):  # there are parents of all seeds that have a cell to make
        return True
    o, quiet = job.work.options, dataclasses.replace(job, work=dataclasses.replace(job.work, log=lambda text: None))
    origin_hash = files.file_hash(origin)
    input_hash = origin_hash + rivals.digest(reference_of(job, origin_hash))
    pruned = files.never_over(origin, job.saved.pruned(o.classes, o.algo))
    if not skip(quiet, "prune", pruned, input_hash):
        return False
    retrained = files.never_over(pruned, job.saved.retrained(o.classes, o.algo))
    return skip(quiet, "retrain", retrained, files.file_hash(pruned))


def is_published(job: Job) -> bool:
    """Whether --resume-from holds a cell with the same options: parent, extraction and retraining, each of the last."""
    o, given = job.work.options, job.work.options.pretrained
    input_hash = files.file_hash(given) if given else ""
    stages = {
        "train": job.saved.parent(),
        "prune": job.saved.pruned(o.classes, o.algo),
        "retrain": job.saved.retrained(o.classes, o.algo),
    }
    for verb, path in stages.items():
        found = published(job, path)
        follows = rivals.digest(reference_of(job, input_hash)) if verb == "prune" else ""
        if not found or not made_by(job, verb, found, input_hash + follows):
            return False
        if not (given and verb == "train"):  # the cells start from the file that was given
            input_hash = found.get("checkpoint_hash", "")
    return True


def published(job: Job, path: Path) -> Record | None:
    """The metrics that --resume-from holds of a checkpoint."""
    return job.published.get(job.saved.published_name(path))
