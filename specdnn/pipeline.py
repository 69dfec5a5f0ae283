"""The method as named stages: train, prune, retrain, evaluate, sweep.

A stage leaves a checkpoint and the metrics file beside it. It is skipped when that metrics file carries the same
options and the same hash of its inputs, and the checkpoint is the file that was measured. While a stage works on a
checkpoint it holds the lock of its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from specdnn import algorithms, files, trimming
from specdnn.checkpoint import Checkpoint
from specdnn.job import (
    Job,
    check_images,
    finish,
    fit,
    lacking,
    made_by,
    metrics_of,
    progress,
    recipe,
    skip,
    validation_score,
    wanted_outputs,
)
from specdnn.network.surgery import CompactNetwork
from specdnn.structures import SpecDNNError


def train_parent(job: Job) -> Path:
    """Train the whole network on all classes."""
    path = job.saved.parent()
    with files.lock(path, job.log):
        return path if skip(job, "train", path, "") else _train(job, path)


def _train(job: Job, path: Path) -> Path:
    o = job.options
    if words := lacking(job, job.all_classes, ("train", "validation", "test")):
        job.log(f"{words}: this class cannot be specialised to")
    if not o.epochs:
        job.log("--epochs 0: the network is saved with its first weights, untrained")
    torch.manual_seed(o.seed)
    network = job.network_type().to(job.data.train.images.device)
    parent = CompactNetwork.parent(network, job.data.train.images[0])
    with job.timed("train"):
        accuracy = fit(job, parent, recipe(o, o.epochs, o.lr), "train")
    made = Checkpoint(o.arch, o.dataset, parent, job.data.normalisation, accuracy, "", o.seed)
    return finish(job, "train", path, made, "")


def prune(job: Job, origin: Path, loaded: Checkpoint) -> Path:
    """Steps 0 to 7 of the method: warm-up, rounds of communities, trim to the budget; or what --algo does instead."""
    job = job.used_to(loaded)
    o, origin_hash = job.options, files.file_hash(origin)
    path = files.never_over(origin, job.saved.pruned(o.classes, o.algo))
    with files.lock(path, job.log):
        reference = reference_of(job, origin_hash)
        input_hash = origin_hash + algorithms.digest(reference)
        if skip(job, "prune", path, input_hash):
            return path
        check_images(job, o.classes or loaded.classes)
        algorithms.check(job, loaded, reference)
        found = _extracted(job, origin_hash, loaded, reference)
        story = {**found.story, "steps": [dataclasses.asdict(step) for step in found.steps]}
        score, owed = validation_score(job, found.compact), found.story.get("owed_epochs", 0)
        kind, whole = (type(one.network).__name__ for one in (found.compact, loaded.compact))
        other = {"network": kind if kind != whole else loaded.network}  # a control may be another one of the folder
        made = origin_of(job, loaded, compact=found.compact, accuracy=score, algo=o.algo, owed_epochs=owed, **other)
        return finish(job, "prune", path, made, input_hash, story, found.evidence)


def _extracted(job: Job, origin_hash: str, loaded: Checkpoint, reference) -> trimming.Extraction:
    if job.options.algo in algorithms.CONTROLS:
        return algorithms.CONTROLS[job.options.algo](job, loaded, reference)
    return algorithms.extract(job, algorithms.warmed_up(job, origin_hash, loaded), reference)


def reference_of(job: Job, origin_hash: str) -> trimming.Reference | None:
    """The OSLOM run that --algo follows, here or in --resume-from; None if there is none or it does not follow."""
    o = job.options
    algorithm = algorithms.ALGORITHMS.get(o.algo)
    if algorithm and not algorithm.follows:
        return None
    same, path = job.with_options(algo="OSLOM"), job.saved.pruned(o.classes, "OSLOM")
    for found in (files.read_metrics(files.metrics_path(path)), published(job, path)):
        if found and made_by(same, "prune", found, origin_hash):
            return trimming.Reference.of(found)
    return None


def origin_of(job: Job, loaded: Checkpoint, **changed) -> Checkpoint:
    """The checkpoint to save: where it comes from, with what a stage changed."""
    own = {"dataset": job.options.dataset, "normalisation": job.data.normalisation, "seed": job.options.seed}
    return dataclasses.replace(loaded, **own, **changed)


def retrain(job: Job, origin: Path, loaded: Checkpoint) -> Path:
    """The long retraining of what `prune` saved; it never leaves a network that is worse on validation than that."""
    job = job.used_to(loaded)
    o, input_hash = job.options, files.file_hash(origin)
    algo = loaded.algo or "none"  # a network that nothing was cut from
    path = files.never_over(origin, job.saved.retrained(o.classes, algo))
    with files.lock(path, job.log):
        if skip(job, "retrain", path, input_hash):
            return path
        check_images(job, o.classes or loaded.classes)
        compact = wanted_outputs(loaded.compact, o.classes or loaded.classes)
        epochs = o.retrain_epochs + loaded.owed_epochs
        with job.timed("retrain"):
            accuracy = fit(job, compact, recipe(o, epochs, o.retrain_lr), "retrain", may_stay=True)
        made = origin_of(job, loaded, compact=compact, accuracy=accuracy, algo=algo, owed_epochs=0)
        return finish(job, "retrain", path, made, input_hash, {"epochs": epochs})


def evaluate(job: Job, origin: Path, loaded: Checkpoint) -> dict:
    """All metrics and sizes of any checkpoint; writes nothing."""
    job = job.used_to(loaded)
    compact = wanted_outputs(loaded.compact, job.options.classes or loaded.classes)
    return metrics_of(job, "evaluate", dataclasses.replace(loaded, compact=compact), files.file_hash(origin))


# ------------------------------------------------------------------------------------------ all cells


def sweep(job: Job, load: Callable[[Path], Checkpoint]) -> list[str]:
    """Per seed the parent, then for each class and algorithm prune and retrain; returns what went wrong, per cell.

    A cell that fails is logged and the others go on. A parent is made when the first cell needs it.
    """
    check_images(job, job.options.classes or job.all_classes)
    failures: list[str] = []
    parents: dict[int, tuple[Path, Checkpoint]] = {}
    cells = list_of_cells(job)
    for one in {cell.options.rate: cell for cell in cells}.values():  # the budgets that there are
        trimming.check_budget(one, CompactNetwork(one.whole, one.whole.everything))
    for one in progress(cells, "cells"):
        if len(cells) > 1:
            job.log(name_of(one))
        if is_published(one):
            job.log("already published")
            continue
        seed = one.options.seed
        if seed not in parents:
            path = train_parent(one)
            parents[seed] = path, load(path)
        try:
            run_cell(one, *parents[seed], load)
        except SpecDNNError as error:
            job.log(f"{name_of(one)} failed: {error}")
            failures.append(f"{name_of(one)} ({error})")
    return failures


def list_of_cells(job: Job) -> list[Job]:
    """One job per seed, class and algorithm; OSLOM before those that follow it."""
    o = job.options
    algos = sorted(o.algos, key=lambda algo: algo != "OSLOM")
    classes = o.classes or job.all_classes
    return [job.for_cell(seed, (wanted,), algo) for seed in o.seeds for wanted in classes for algo in algos]


def name_of(job: Job) -> str:
    """A cell in words."""
    o = job.options
    return f"seed {o.seed}, class {files.joined(o.classes)}, {o.algo}"


def run_cell(job: Job, origin: Path, parent: Checkpoint, load: Callable[[Path], Checkpoint]) -> None:
    o = job.options
    oslom = job.for_cell(o.seed, o.classes, "OSLOM")
    if o.algo != "OSLOM" and is_published(oslom) and reference_of(job, files.file_hash(origin)) is None:
        prune(oslom, origin, parent)  # published for another parent file, so there is nothing to follow yet
    pruned = prune(job, origin, parent)
    retrain(job, pruned, load(pruned))


def is_published(job: Job) -> bool:
    """Whether --resume-from holds a cell with the same options: parent, extraction and retraining, each of the last."""
    o, input_hash = job.options, ""
    stages = {
        "train": job.saved.parent(),
        "prune": job.saved.pruned(o.classes, o.algo),
        "retrain": job.saved.retrained(o.classes, o.algo),
    }
    for verb, path in stages.items():
        found = published(job, path)
        follows = algorithms.digest(reference_of(job, input_hash)) if verb == "prune" else ""
        if not found or not made_by(job, verb, found, input_hash + follows):
            return False
        input_hash = found.get("checkpoint_hash", "")
    return True


def published(job: Job, path: Path) -> dict | None:
    """The metrics that --resume-from holds of a checkpoint."""
    return job.published.get(job.saved.published_name(path))
