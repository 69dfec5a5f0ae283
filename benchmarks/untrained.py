"""Cut without training: every algorithm at OSLOM's own widths and at equal shares of every layer, three compensations.

    python benchmarks/untrained.py --resnet resnet20-12fca82f.th --cifar FOLDER      # `make bench-untrained`
    python benchmarks/untrained.py --only LeNet-300-100                              # the others stay as they are

The LeNets are those of MNIST/saved_models, trained first where they are not there. The page, benchmarks/untrained.md,
is made of the figures in benchmarks/untrained.tsv, all on validation images. An output's threshold is chosen on
training images.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pages import made_on, table
from tqdm import tqdm

from specdnn import method, rivals, selection
from specdnn.network import evaluation, netfile
from specdnn.network.compensation import COMPENSATIONS, enough_of, sample_of
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.options import DEFAULTS, Options
from specdnn.structures import Dataset, KeptUnits, SpecDNNError
from specdnn.trimming import Scores
from specdnn.work import Work, wanted_outputs

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
sys.path.append(str(ROOT))

FIGURES, PAGE = FOLDER / "untrained.tsv", FOLDER / "untrained.md"
SEED, THREADS = 1, 1
SHARES = (0.25, 0.12, 0.06)  # of the units of every layer but the pixels' channels
OWN = "OSLOM's"
COMMUNITIES = {"OSLOM": method.OSLOM, "CCME": method.CCME}
RANKINGS = {
    "relevance": method.relevance_scores,
    "attribution": method.attribution_scores,
    "taylor": rivals.taylor_scores,
    "magnitude": method.norm_scores,
    "graph-null": rivals.graph_scores,
    "random": rivals.random_scores,
}
WAYS = ("zero", *COMPENSATIONS)
COLUMNS = ("network", "class", "widths", "algo", "weights", "way", "at_zero", "balanced", "auroc", "seconds", "scored")
MOST_FOR_THRESHOLDS = 5000


@dataclass(frozen=True)
class Case:
    """A network, where its checkpoint and its images come from, and which classes are cut from it."""

    name: str
    arch: str
    folder: str
    classes: tuple[int, ...]


CASES = (
    Case("LeNet-300-100", "LeNet_300_100", "MNIST", tuple(range(10))),
    Case("LeNet-5", "LeNet_5", "MNIST", (0, 3, 8)),
    Case("ResNet-20", "ResNet_20", "CIFAR10", (3,)),
)


# ------------------------------------------------------------------------------------------ networks and images


def parent_of(case: Case, data_dir: Path, checkpoint: Path | None) -> tuple[netfile.Checkpoint, Dataset]:
    """A trained network and its images, normalised as it was trained."""
    if case.folder == "MNIST":
        from MNIST import dataset, models
    else:
        from CIFAR10 import dataset, models
    if checkpoint is None:
        checkpoint = ROOT / case.folder / "saved_models" / f"{case.arch}.best_origin.pth.tar"
        command = [sys.executable, ROOT / case.folder / "main.py", "--arch", case.arch, "--data-dir", data_dir]
        command += ["--threads", str(THREADS)]
        subprocess.run(command, check=True)  # at once where it is finished
    data = dataset.load(dataset.DEFAULT, data_dir, torch.device("cpu"))
    loaded = netfile.load(checkpoint, models.ARCHITECTURES, case.arch, data.train.images[0])
    return loaded, data.renormalised(loaded.normalisation or data.normalisation)


# ------------------------------------------------------------------------------------------ who is kept


def scores_of(work: Work, whole: CompactNetwork) -> Iterator[tuple[str, Scores, KeptUnits | None, float]]:
    """(algorithm, scores of all units, its own choice if it has one, seconds); one whose search finds nothing is out.

    A search puts the units of its community before the others, both by relevance.
    """
    for name, search in COMMUNITIES.items():
        start = time.perf_counter()
        try:
            kept, _, _ = method.find_community(work, whole, 1, search)
        except SpecDNNError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        relevance = method.relevance_scores(work, whole)
        inside = [np.isin(own, some) for own, some in zip(whole.kept.units, kept.units, strict=True)]
        scores = [score + (1 + score.max()) * there for score, there in zip(relevance, inside, strict=False)]
        yield name, scores, kept, time.perf_counter() - start
    for name, scored in RANKINGS.items():
        start = time.perf_counter()
        scores = scored(work, whole)
        yield name, scores, None, time.perf_counter() - start


def choices(whole: CompactNetwork, scores: Scores, own: KeptUnits) -> Iterator[tuple[str, KeptUnits]]:
    """(name of the widths, kept units)."""
    layers = whole.wiring.layers
    yield OWN, selection.strongest_in_channels(layers, whole.kept, scores, own.widths, own.channels(layers))
    for share in SHARES:
        widths = [max(1, round(share * n)) if d in layers.prunable else n for d, n in enumerate(layers.widths)]
        widths[0] = max(widths[0], whole.wiring.image_shape[0])  # of an image of three channels all of them
        yield f"{100 * share:g} %", selection.strongest(whole.kept, scores, widths)


# ------------------------------------------------------------------------------------------ what is left


def cells(work: Work, case: Case, parent: CompactNetwork, wanted: int, tick: Callable) -> Iterator[dict]:
    """One row per algorithm, widths and compensation."""
    whole = wanted_outputs(parent, (wanted,))
    sample, own = sample_of(work.data.train, (wanted,), SEED), None
    for algo, scores, kept, seconds in scores_of(work, whole):
        own = own or kept  # OSLOM's, which comes first
        for widths, units in choices(whole, scores, own):
            for way in WAYS:
                start = time.perf_counter()
                small = cut(whole, units)
                if way in COMPENSATIONS:
                    COMPENSATIONS[way](whole, small, sample)
                taken = time.perf_counter() - start
                told = {"weights": whole.wiring.weights(units), "way": way, **measured(work, small, wanted)}
                named = {"network": case.name, "class": wanted, "widths": widths, "algo": algo}
                yield {**named, **told, "seconds": taken, "scored": seconds}
                tick()


def measured(work: Work, small: CompactNetwork, wanted: int) -> dict[str, float]:
    """On validation: balanced accuracy at 0 and at the threshold that is best for training images, and AUROC."""
    data, network = work.data, small.network
    some = enough_of(data.train, MOST_FOR_THRESHOLDS)
    best = evaluation.thresholds(evaluation.logits_of(network, some.images), some.labels, (wanted,), "balanced")
    logits, labels = evaluation.logits_of(network, data.validation.images), data.validation.labels
    at_zero, found = (evaluation.all_metrics(logits, labels, (wanted,), 10, chosen) for chosen in ((), best))
    return {"at_zero": at_zero["balanced_accuracy"], "balanced": found["balanced_accuracy"], "auroc": found["auroc"]}


def run(case: Case, data_dir: Path, checkpoint: Path | None) -> list[dict]:
    loaded, data = parent_of(case, data_dir, checkpoint)
    rows = []
    count = len(case.classes) * (len(COMMUNITIES) + len(RANKINGS)) * (1 + len(SHARES)) * len(WAYS)
    with tqdm(total=count, desc=case.name) as shown:
        for wanted in case.classes:
            given = {"arch": case.arch, "dataset": data.name, "classes": (wanted,), "seed": SEED, "threads": THREADS}
            options = Options(**{**DEFAULTS, **given, "compensate": "regress"})
            work = Work(options, data, lambda text: tqdm.write(text, file=sys.stderr))
            rows += cells(work, case, loaded.compact, wanted, shown.update)
    return rows


# ------------------------------------------------------------------------------------------ the figures and the page


def read_figures() -> list[dict]:
    if not FIGURES.exists():
        return []
    with FIGURES.open(encoding="utf-8") as file:
        return list(csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t"))


def write_figures(rows: list[dict]) -> None:
    with FIGURES.open("w", encoding="utf-8") as file:
        file.write(f"# seed {SEED}; {made_on(THREADS, 'torch', 'numpy')}\n")
        table = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerows({n: f"{v:.6g}" if isinstance(v, float) else v for n, v in row.items()} for row in rows)


def page() -> str:
    made_on = FIGURES.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    parts = [section(case, [row for row in read_figures() if row["network"] == case.name]) for case in CASES]
    return (
        "# Cut without training\n\nOf a pretrained network some units of every layer are kept for one class, and "
        "nothing is trained. What is removed is replaced by nothing (*zero*), by its mean (*mean*) or by what the kept "
        "units can say of it (*regress*). Each cell: balanced accuracy at the threshold that is best for training "
        "images / AUROC, both in % on validation images, means over the classes. OSLOM and CCME keep the units of "
        "their community first, then others by relevance; *random* is what OSLOM-null is here.\n\n"
        f"{''.join(filter(None, parts))}{made_on}; `make bench-untrained`.\n"
    )


def section(case: Case, rows: list[dict]) -> str:
    if not rows:
        return ""
    classes = sorted({row["class"] for row in rows})
    told = "\n".join(f"\n{part}" for part in (table_of(rows, w) for w in dict.fromkeys(row["widths"] for row in rows)))
    named = f"class {classes[0]}" if len(classes) == 1 else f"{len(classes)} classes ({', '.join(classes)})"
    return f"## {case.name}, {named}\n{told}\n\n{seconds_of(rows)}\n\n"


def table_of(rows: list[dict], widths: str) -> str:
    own = [row for row in rows if row["widths"] == widths]
    named = f"{widths} widths" if widths == OWN else f"{widths} of every layer"
    lines = []
    for algo in dict.fromkeys(row["algo"] for row in own):
        some = [row for row in own if row["algo"] == algo]
        both = [[mean(some, name, way) for name in ("balanced", "auroc")] for way in WAYS]
        lines.append([algo, f"{mean(some, 'weights'):,.0f}", *(f"{100 * a:.1f} / {100 * b:.1f}" for a, b in both)])
    return table([named, "weights", *WAYS], lines)


def mean(rows: list[dict], name: str, way: str | None = None) -> float:
    return float(np.mean([float(row[name]) for row in rows if way in (None, row["way"])]))


def seconds_of(rows: list[dict]) -> str:
    scored = {algo: mean([row for row in rows if row["algo"] == algo], "scored") for algo in (*COMMUNITIES, *RANKINGS)}
    ways = ", ".join(f"{way} {mean(rows, 'seconds', way):.1f}" for way in WAYS)
    found = ", ".join(f"{algo} {seconds:.1f}" for algo, seconds in scored.items() if seconds == seconds)
    return f"Seconds: to rank the units {found}; to cut and compensate {ways}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, default=ROOT / "MNIST" / "data", metavar="DIR", help="images of MNIST")
    parser.add_argument("--cifar", type=Path, default=ROOT / "CIFAR10" / "data", metavar="DIR", help="of CIFAR-10")
    parser.add_argument("--resnet", type=Path, metavar="FILE", help="a trained ResNet-20")
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES], help="networks (default: all)")
    given = parser.parse_args()
    torch.set_num_threads(THREADS)
    for case in (case for case in CASES if given.only is None or case.name in given.only):
        own = (given.mnist, None) if case.folder == "MNIST" else (given.cifar, given.resnet)
        rows = run(case, *own)
        write_figures([row for row in read_figures() if row["network"] != case.name] + rows)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
