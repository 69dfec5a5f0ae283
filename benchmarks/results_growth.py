"""Sections of results.py: how a first round grows with classes, widths and depth; how long a start takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from pages import median_seconds, table
from results_pieces import PIECES, first_round, work_of
from results_scripts import lacking_mnist
from torch import nn

from specdnn.network.surgery import CompactNetwork
from specdnn.structures import Dataset, Recipe, Split
from specdnn.work import Work, fit

ROOT = Path(__file__).resolve().parent.parent
CLASSES, WIDER, BLOCKS = (1, 5, 10), (1, 2, 4, 8), (3, 5, 7, 9)
WANTED = 3
IMAGES = 5_000  # that the growing networks see
MARGIN_MIB = 0.5  # what a program takes differs by less from start to start
GRAPH = ("strengths, relevance", "class graph")


# ------------------------------------------------------------------------------------------ growth


def measure_growth(given) -> Iterator[dict]:
    if missing := lacking_mnist(given):
        yield {"missing": missing}
    else:
        yield from of_widths(given)
    yield from of_depth(given)


def of_widths(given) -> Iterator[dict]:
    """LeNet-300-100 for more classes, and with wider hidden layers, trained for an epoch."""
    from MNIST import dataset

    torch.manual_seed(0)
    data = dataset.load("MNIST", given.mnist, torch.device("cpu"))
    arch, few = "LeNet_300_100", fewer(data)
    for times in WIDER:
        network = CompactNetwork.parent(wider(times), data.train.images[0])
        fit(work_of(data, arch, (WANTED,), given.threads), network, Recipe(epochs=1, lr=3e-3), "train")
        for count in CLASSES if times == 1 else (1,):
            wanted = tuple(range(count)) if count > 1 else (WANTED,)
            yield row(f"{300 * times}-{100 * times}", count, network, work_of(few, arch, wanted, given.threads))


def of_depth(given) -> Iterator[dict]:
    """ResNets with first weights and random images: what they can do is not asked."""
    from CIFAR10.models.resnet import ResNet

    torch.manual_seed(0)
    data = random_images((3, 32, 32))
    for blocks in BLOCKS:
        network = CompactNetwork.parent(settled(ResNet(blocks), data.train.images[:256]), data.train.images[0])
        work = work_of(data, "ResNet_20", (WANTED,), given.threads)
        yield row(f"ResNet-{6 * blocks + 2}", 1, network, work)


def row(name: str, classes: int, network: CompactNetwork, work: Work) -> dict:
    return {"network": name, "classes": classes, **first_round(work, network)}


def wider(times: int) -> nn.Sequential:
    """LeNet-300-100 with so many times the hidden units."""
    ip1, ip2 = 300 * times, 100 * times
    layers = [nn.Flatten(), nn.Linear(784, ip1), nn.ReLU(), nn.Linear(ip1, ip2), nn.ReLU(), nn.Linear(ip2, 10)]
    return nn.Sequential(*layers)


@torch.no_grad()
def settled(network: nn.Module, images: torch.Tensor) -> nn.Module:
    """The same network, its BatchNorms used to these images."""
    for one in network.train().modules():
        if isinstance(one, nn.BatchNorm2d):
            one.momentum = None  # the mean of all batches
    network(images)
    return network.eval()


def fewer(data: Dataset) -> Dataset:
    """The same data with the first IMAGES training images."""
    train = Split(data.train.images[:IMAGES], data.train.labels[:IMAGES])
    return Dataset(data.name, data.class_names, data.normalisation, train, data.validation, data.test)


def random_images(shape: tuple[int, ...], count: int = IMAGES // 5) -> Dataset:
    labels = torch.arange(count) % 10
    split = Split(torch.randn(count, *shape), labels)
    return Dataset("random", tuple("0123456789"), (0.0, 1.0), split, split, split)


def text_growth(rows: list[dict]) -> str:
    columns = ["network", "classes", "connections", "in the graph", *PIECES, "graph, s per million", "bytes each"]
    columns += ["OSLOM, s per million in the graph", "bytes each", "modules"]
    return (
        "The pieces of a first round on the whole network, in seconds. *Graph*: strengths, relevance and class graph, "
        "per connection of the network: Python's and numpy's memory at most. *OSLOM*: the program, per connection of "
        "the graph: all its memory, where it is more than that of the interpreter which starts it. LeNet-300-100 and "
        f"wider ones: trained for an epoch, {IMAGES:,} images of MNIST; ResNets: first weights, {IMAGES // 5:,} random "
        "images.\n\n"
        f"{table(columns, map(growth_line, rows))}"
    )


def growth_line(row: dict) -> list[str]:
    connections, edges = row["connections"], row["edges"]
    building = sum(row[name] for name in GRAPH)
    told = [f"{1e6 * building / connections:.3f}", f"{row['graph_bytes'] / connections:.0f}"]
    told += [f"{1e6 * row['OSLOM'] / edges:.1f}", memory_of(row), str(row["modules"])]
    pieces = [f"{row[name]:.3f}" for name in PIECES]
    return [row["network"], str(row["classes"]), f"{connections:,}", f"{edges:,}", *pieces, *told]


def memory_of(row: dict) -> str:
    """The program's bytes per connection; none of a graph too small to be told from its start."""
    seen = row["oslom_mib"] > row["least_mib"] + MARGIN_MIB
    return f"{row['oslom_mib'] * 2**20 / row['edges']:.0f}" if seen else "–"


# ------------------------------------------------------------------------------------------ start


STARTS = {
    "`python -c pass`": ["-c", "pass"],
    "`MNIST/main.py --help`": ["MNIST/main.py", "--help"],
    "`CIFAR10/main.py --help`": ["CIFAR10/main.py", "--help"],
    "`import specdnn`": ["-c", "import specdnn"],
    "`import torch`": ["-c", "import torch"],
}


def measure_start(given) -> Iterator[dict]:
    for name, words in STARTS.items():
        yield {"what": name, "seconds": median_seconds(starting(words), repeats=7)}


def starting(words: list[str]) -> Callable[[], None]:
    command = [sys.executable, *words]
    return lambda: subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def text_start(rows: list[dict]) -> str:
    lines = [[row["what"], f"{row['seconds']:.3f}"] for row in rows]
    return "Median seconds of seven starts, after one that is not counted.\n\n" + table(["start", "seconds"], lines)
