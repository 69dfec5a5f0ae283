"""Sections of results.py: the table's time beside the published recipe's, and where the time of our scripts goes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import published_recipe as recipe
import torch
from pages import read_measures, seconds, table
from results_pieces import PIECES, first_round, work_of
from tqdm import tqdm

from specdnn.network import netfile

ROOT = Path(__file__).resolve().parent.parent
CLASSES = recipe.CLASSES
STAGES = ("train", "warm-up", "oslom", "brief training", "trim", "retrain")
JOBS = min(4, len(os.sched_getaffinity(0)))  # classes that the scripts make at once
SEARCH, LONG = "oslom", "retrain"  # from the activations to the kept units; what it should be small beside
GOAL_SEARCH = 0.05


@dataclass(frozen=True)
class Script:
    """A spec script, the classes that it is run for here, and how many times as fast as the recipe it should be.

    `compensate` is the option of that name in it.
    """

    network: str
    arch: str
    folder: str
    spec: str
    classes: tuple[int, ...]
    goal: int = 0
    compensate: str = "zero"


LENETS = (
    Script("LeNet-300-100", "LeNet_300_100", "MNIST", "spec.lenet_300_100.sh", tuple(range(CLASSES)), 150),
    Script("LeNet-5", "LeNet_5", "MNIST", "spec.lenet_5.sh", (0, 1), 60),
)
RESNET = Script("ResNet-20", "ResNet_20", "CIFAR10", "spec.resnet_20.sh", (3,), compensate="regress")


# ------------------------------------------------------------------------------------------ running a script


def run(script: Script, data_dir: Path, saved: Path, *words: str, **settings) -> float:
    """Seconds of a spec script as a user calls it; raises CalledProcessError, after its own words on stderr."""
    python = Path(sys.executable).parent
    own = {"VIRTUAL_ENV": sys.prefix, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    command = [ROOT / script.folder / script.spec, "--data-dir", data_dir.absolute(), "--save-dir", saved, *words]
    command += ["--log-interval", 1000, "--classes", *script.classes]
    called = {"env": {**os.environ, **own, **settings}, "stdout": subprocess.DEVNULL, "check": True}
    return seconds(lambda: subprocess.run([str(word) for word in command], **called))


def stages(script: Script, saved: Path) -> dict[str, dict[str, float]]:
    """class -> seconds of every stage; the parent's training counts for no class."""
    return {str(c): {name: s for name, s in both(script, saved, c).items() if name != "train"} for c in script.classes}


def both(script: Script, saved: Path, wanted: int) -> dict[str, float]:
    """Seconds of the stages of one class, those of the parent's training with them where it was the first."""
    names = (f"{script.arch}.specialize.{wanted}.{part}.json" for part in ("OSLOM", "best_retrained"))
    told = [json.loads((saved / name).read_text(encoding="utf-8"))["seconds"] for name in names]
    return told[0] | told[1]


def accuracy(script: Script, saved: Path) -> float:
    names = (f"{script.arch}.specialize.{c}.best_retrained.json" for c in script.classes)
    return float(np.mean([json.loads((saved / name).read_text(encoding="utf-8"))["accuracy"] for name in names]))


def published_accuracy(script: Script) -> float:
    """Mean of the same classes in the results that are published here, seed 1."""
    names = {f"{script.arch}.specialize.{c}.best_retrained.json" for c in script.classes}
    records = read_measures(ROOT / script.folder / "results" / f"{script.arch}.runs.jsonl")
    return float(np.mean([record["accuracy"] for record in records if record["name"] in names] or np.nan))


def multiplied(wall: float, classes: list[float], jobs: int, count: int = CLASSES) -> float:
    """Seconds of a script for `count` classes, `jobs` at once, from those for a few: others take their mean."""
    return wall + (count - len(classes)) * sum(classes) / len(classes) / jobs


# ------------------------------------------------------------------------------------------ the table


def measure_table(given) -> Iterator[dict]:
    """Per LeNet: an epoch of the recipe, parent and masked; then our script, and the pieces of a first round."""
    from MNIST import models

    if missing := lacking_mnist(given):
        yield {"missing": missing}
        return
    train, test = recipe.loaders(given.mnist)
    for script in LENETS:
        epochs = recipe_epochs(models.ARCHITECTURES[script.arch], train, test, given.repeats)
        yield {"network": script.network, "recipe": epochs, "images": len(train.dataset)}
        yield {"network": script.network, "jobs": JOBS, **script_row(script, given.mnist, given.threads)}


def lacking(what: str, option: str, *places: Path | None) -> str:
    """A sentence where something is at none of these places."""
    there = any(place is not None and place.exists() for place in places)
    return "" if there else f"not measured: {option} names no {what}"


def lacking_mnist(given) -> str:
    return lacking("images of MNIST", "--mnist", given.mnist / "MNIST" / "raw")


def lacking_resnet(given) -> str:
    folders = (given.cifar / f"cifar-10-batches-{kind}" for kind in ("bin", "py"))
    return lacking("images of CIFAR-10", "--cifar", *folders) or lacking("trained ResNet-20", "--resnet", given.resnet)


def recipe_epochs(make, train, test, repeats: int) -> dict[str, float]:
    """Median seconds of an epoch of either kind. They take turns, and the first batches of either are not counted."""
    parent, masked = make(), recipe.with_one_output(make())
    kinds = {"parent": (parent, CLASSES, {}), "masked": (masked, 1, recipe.random_masks(masked, 0.05))}
    some = [batch for batch, _ in zip(train, range(3), strict=False)]
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    for network, outputs, masks in kinds.values():
        recipe.epoch(network, outputs, some, some, masks)
    for _ in tqdm(range(repeats), "recipe"):
        for kind, (network, outputs, masks) in kinds.items():
            taken[kind].append(seconds(lambda n=network, o=outputs, m=masks: recipe.epoch(n, o, train, test, m)))
    return {kind: float(np.median(found)) for kind, found in taken.items()}


def script_row(script: Script, data_dir: Path, threads: int) -> dict:
    with tempfile.TemporaryDirectory() as place:
        saved = Path(place)
        wall = run(script, data_dir, saved)
        training = json.loads((saved / f"{script.arch}.best_origin.json").read_text(encoding="utf-8"))["seconds"]
        own = {"wall": wall, "parent": training["train"], "stages": stages(script, saved)}
        own |= {"accuracy": accuracy(script, saved), "published": published_accuracy(script)}
        return {**own, "pieces": pieces(script, saved / f"{script.arch}.best_origin.pth.tar", data_dir, threads)}


def pieces(script: Script, parent: Path, data_dir: Path, threads: int) -> dict:
    """What the first round of a class takes, piece by piece."""
    if script.folder == "MNIST":
        from MNIST import dataset, models
    else:
        from CIFAR10 import dataset, models
    data = dataset.load(dataset.DEFAULT, data_dir, torch.device("cpu"))
    loaded = netfile.load(parent, models.ARCHITECTURES, script.arch, data.train.images[0])
    data = data.renormalised(loaded.normalisation or data.normalisation)
    work = work_of(data, script.arch, script.classes[:1], threads, compensate=script.compensate)
    return first_round(work, loaded.compact)


def text_table(rows: list[dict]) -> str:
    columns = ["network", "recipe: epoch of the parent (s)", "masked (s)", "550 epochs (s)", "our script (s)", "of it"]
    columns += ["times as fast", "goal", "accuracy here %", "published here %"]
    lines = [line for script in LENETS if (line := table_line(script, rows))]
    return (
        "The recipe: torchvision's `DataLoader`, `ToTensor` and `Normalize` image by image, batches of 128, a pass "
        "over the test images after every epoch, whole networks masked for the class; 50 epochs of the parent and of "
        "each of ten classes. An epoch of either kind is timed in full and multiplied out. Ours: the spec script as a "
        "user calls it, with data loading, all metrics and the report, up to four classes at once on a processor core "
        "each. *Of it*: the classes for which it ran; those "
        "that are missing to ten are multiplied out from their mean. *Accuracy*: the mean over the classes that ran, "
        "on the test split, and of the same classes in `MNIST/results`, seed 1.\n\n" + table(columns, lines)
    )


def table_line(script: Script, rows: list[dict]) -> list[str]:
    own = [row for row in rows if row.get("network") == script.network]
    asked, ours = (next((row for row in own if name in row), None) for name in ("recipe", "wall"))
    if not (asked and ours):
        return []
    theirs = recipe.multiplied(**asked["recipe"])
    whole = multiplied(ours["wall"], [sum(told.values()) for told in ours["stages"].values()], ours["jobs"])
    told = [f"{asked['recipe'][kind]:.1f}" for kind in ("parent", "masked")] + [f"{theirs:,.0f}", f"{whole:.0f}"]
    told += [f"{len(ours['stages'])} of {CLASSES} classes", f"{theirs / whole:.0f}", f"≥ {script.goal}"]
    return [script.network, *told, *(f"{100 * ours[name]:.2f}" for name in ("accuracy", "published"))]


# ------------------------------------------------------------------------------------------ where the time goes


def measure_stages(given) -> Iterator[dict]:
    """One class of the published ResNet-20; of the long retraining one epoch. The LeNets are those of the table."""
    if missing := lacking_resnet(given):
        yield {"missing": missing}
        return
    epochs = int(re.search(r"--retrain-epochs (\d+)", (ROOT / RESNET.folder / RESNET.spec).read_text())[1])
    with tempfile.TemporaryDirectory() as saved:
        settings = {"PARENT": str(given.resnet.absolute()), "SAVED": saved}
        wall = run(RESNET, given.cifar, Path(saved), "--retrain-epochs", "1", **settings)
        taken = stages(RESNET, Path(saved))
    for one in taken.values():
        one[LONG] *= epochs
    own = {"network": RESNET.network, "wall": wall, "stages": taken, "epochs": epochs}
    yield {**own, "pieces": pieces(RESNET, given.resnet, given.cifar, given.threads)}


def text_stages(rows: list[dict]) -> str:
    measured = [row for row in rows if "stages" in row]
    own = [name for name in STAGES if any(name in one for row in measured for one in row["stages"].values())]
    columns = ["network", "parent's training", *own, "search / retraining", "goal"]
    lines = [stage_line(row, own) for row in measured]
    columns_of_pieces = ["network", *PIECES, "connections"]
    lines_of_pieces = [piece_line(row) for row in measured]
    return (
        "Seconds for one class on one thread, means over the classes that ran; *oslom* is all from the activations to "
        "the kept units, in all rounds. Of ResNet-20's retraining one epoch was timed and multiplied out by the number "
        "of epochs in the script.\n\n"
        f"{table(columns, lines)}\n\nOne round, on the whole parent, piece by piece, in seconds:\n\n"
        f"{table(columns_of_pieces, lines_of_pieces)}"
    )


def stage_line(row: dict, names: list[str]) -> list[str]:
    means = {name: float(np.mean([one.get(name, 0.0) for one in row["stages"].values()])) for name in names}
    share = means[SEARCH] / means[LONG]
    parent = f"{row['parent']:.1f}" if "parent" in row else "given"
    told = [f"{100 * share:.1f} %", f"≤ {100 * GOAL_SEARCH:.0f} %"]
    return [row["network"], parent, *(f"{s:.1f}" for s in means.values()), *told]


def piece_line(row: dict) -> list[str]:
    return [row["network"], *(f"{row['pieces'][name]:.3f}" for name in PIECES), f"{row['pieces']['edges']:,}"]
