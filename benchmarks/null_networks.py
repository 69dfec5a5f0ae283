"""Does OSLOM report a class community where a network has learnt nothing? LeNet-300-100 on MNIST, many seeds.

    python benchmarks/null_networks.py --mnist FOLDER            # `make bench-null`

The first round of the method at its defaults, without a warm-up, which would teach the class: class graph, OSLOM, class
community. One class a seed, each in its turn. Networks are trained for a few epochs. The page, benchmarks/null.md, is
made of the figures in benchmarks/null.jsonl; a run broken off goes on where it stopped.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from pages import made_on, read_measures, table, write_measures
from torch import nn
from tqdm import tqdm

from specdnn import method
from specdnn.network.surgery import CompactNetwork
from specdnn.options import DEFAULTS, Options
from specdnn.structures import Dataset, SpecDNNError, Split
from specdnn.work import Work, fit, recipe, wanted_outputs

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent))

FIGURES, PAGE = FOLDER / "null.jsonl", FOLDER / "null.md"
THREADS, RATE = 1, 0.003  # the rate is that of every parent
KINDS = {
    "trained": "the real parent",
    "trained, warmed up": "the same after the method's warm-up for the class",
    "shuffled weights": "the real parent, the numbers of every tensor in a random order",
    "untrained": "first weights",
    "shuffled labels": "trained on labels in a random order; these labels tell the class",
    "shuffled labels, true classes": "the same network; the true labels tell the class",
}
REAL = ("trained", "trained, warmed up")


# ------------------------------------------------------------------------------------------ networks


@torch.no_grad()
def with_shuffled_weights(network: nn.Module, seed: int) -> nn.Module:
    """A copy, the numbers of every parameter in a random order."""
    shuffled, generator = copy.deepcopy(network), torch.Generator().manual_seed(seed)
    for one in shuffled.parameters():
        one.copy_(one.flatten()[torch.randperm(one.numel(), generator=generator)].view_as(one))
    return shuffled


def with_shuffled_labels(data: Dataset, seed: int) -> Dataset:
    """The same images, training and validation labels in a random order."""
    generator = torch.Generator().manual_seed(seed)

    def shuffled(split: Split) -> Split:
        return Split(split.images, split.labels[torch.randperm(len(split), generator=generator)])

    return dataclasses.replace(data, train=shuffled(data.train), validation=shuffled(data.validation))


def networks(make, data: Dataset, seed: int, epochs: int) -> Iterator[tuple[str, Work, CompactNetwork]]:
    """(kind, what the method works with, whole network) of all kinds."""
    image, false = data.train.images[0], with_shuffled_labels(data, seed)
    real, noise = work_of(data, seed), work_of(false, seed)
    torch.manual_seed(seed)
    first, trained, fooled = (CompactNetwork.parent(one, image) for one in [make()] * 3)
    for work, network in ((real, trained), (noise, fooled)):
        fit(work, network, recipe(work.options, epochs, RATE), "train")
    yield "trained", real, trained
    yield "trained, warmed up", real, method.warmed_up(real, trained, real.options.classes).compact
    yield "shuffled weights", real, CompactNetwork.parent(with_shuffled_weights(trained.network, seed), image)
    yield "untrained", real, first
    yield "shuffled labels", noise, fooled
    yield "shuffled labels, true classes", real, fooled


def work_of(data: Dataset, seed: int) -> Work:
    """One class a seed, each in its turn; nothing is said."""
    given = {"arch": "LeNet_300_100", "dataset": data.name, "classes": (seed % 10,), "seed": seed, "threads": THREADS}
    return Work(Options(**{**DEFAULTS, **given}), data, lambda text: None)


# ------------------------------------------------------------------------------------------ what is reported


def figures_of(work: Work, network: CompactNetwork) -> dict:
    """What the first round reports of a network."""
    whole = wanted_outputs(network, work.options.classes)
    try:
        kept, run, told = method.find_community(work, whole, 1, method.OSLOM)
    except SpecDNNError as error:
        return {"found": False, "why": str(error)}
    first = told["keep"] == work.options.keep and told["oslom_t"] == work.options.oslom_t and "spanning" not in told
    units, weights = sum(kept.widths[:-1]), whole.wiring.weights(kept) / whole.wiring.weights(whole.kept)
    own = {name: told[name] for name in ("significance", "captured_relevance", "joined", "output_in_community")}
    modules = len(run.cover.significant)
    return {"found": True, "at_once": first, "units": units, "weights": weights, "modules": modules, **own}


def measure(make, data: Dataset, seeds: range, epochs: int) -> None:
    rows = [row for row in read_measures(FIGURES) if row["epochs"] == epochs]
    on = made_on(THREADS, "torch", "numpy")
    done = {row["seed"] for row in rows}
    for seed in tqdm([seed for seed in seeds if seed not in done], unit="seed"):
        for kind, work, network in networks(make, data, seed, epochs):
            told = {"kind": kind, "seed": seed, "class": work.options.classes[0], "epochs": epochs, "on": on}
            rows.append({**told, **figures_of(work, network)})
        write_measures(FIGURES, rows)


# ------------------------------------------------------------------------------------------ the page


def page(rows: list[dict]) -> str:
    columns = ["network", "class graphs", "community reported", "at the first attempt", "modules", "bs, median"]
    columns += ["units", "share of the weights %", "relevance captured %", "holds the output"]
    lines = table(columns, [line(kind, own) for kind in KINDS if (own := [r for r in rows if r["kind"] == kind])])
    legend = "\n".join(f"* *{kind}*: {words}" for kind, words in KINDS.items())
    epochs, on = rows[0]["epochs"], rows[-1]["on"]
    return (
        f"# Class communities where nothing was learnt\n\n{summary(rows)}\n\n"
        "LeNet-300-100 on MNIST, the first round of the method at its defaults: class graph, OSLOM, class community; "
        "one class for every seed, each in its turn. Parents and the networks of shuffled labels are trained for "
        f"{epochs} epochs (published parents for 20), images of the training split show the classes. The method tries "
        "a denser graph and a larger tolerance before it reports none; *at the first attempt* is without these. Of "
        f"units, weights and relevance: mean, and the smallest and largest.\n\n{lines}\n\n{legend}\n\n{on}; "
        "`make bench-null`.\n"
    )


def summary(rows: list[dict]) -> str:
    """How often a community is reported of networks that learnt nothing of the classes, and of the real ones."""
    real = [row["found"] for row in rows if row["kind"] in REAL]
    null = [row["found"] for row in rows if row["kind"] not in REAL]
    return (
        f"The method reports a significant class community in {sum(null)} of {len(null)} class graphs of networks that "
        f"learnt nothing of the classes, and in {sum(real)} of {len(real)} of networks that did."
    )


def line(kind: str, rows: list[dict]) -> list[str]:
    found = [row for row in rows if row["found"]]
    counts = [len(rows), len(found), sum(row["at_once"] for row in found)]
    if not found:
        return [kind, *map(str, counts), *["–"] * 6]
    bs = np.median([row["significance"] for row in found])
    told = [spread(found, "modules"), f"{bs:.2g}", spread(found, "units")]
    told += [spread(found, name, 100) for name in ("weights", "captured_relevance")]
    return [kind, *map(str, counts), *told, str(sum(row["output_in_community"] for row in found))]


def spread(rows: list[dict], name: str, factor: float = 1) -> str:
    """Mean (smallest to largest) of a figure."""
    values = [factor * row[name] for row in rows]
    return f"{np.mean(values):.1f} ({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    place = FOLDER.parent / "MNIST" / "data"
    parser.add_argument("--mnist", type=Path, default=place, metavar="DIR", help="images of MNIST")
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="seeds 1 to N (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3, metavar="N", help="of training (default: %(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(THREADS)
    from MNIST import dataset, models

    data = dataset.load("MNIST", given.mnist, torch.device("cpu"))
    measure(models.ARCHITECTURES["LeNet_300_100"], data, range(1, given.seeds + 1), given.epochs)
    PAGE.write_text(page(read_measures(FIGURES)), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
