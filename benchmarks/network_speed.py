"""What tracing, cutting and the class graph cost, as ratios measured side by side in one run.

    python benchmarks/network_speed.py            # `make bench`; the page is benchmarks/network.md

Tracing and one cut of ResNet-50 beside a forward pass of 32 images; what an extraction step does beside OSLOM and
training (strengths, class graph, community, cut) beside a training epoch; the peak memory of the class graph of
ResNet-50.
Networks have first weights and images are random: nothing here depends on their values.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pages import REPEATS, made_on, median_seconds, table
from torch import nn
from torchvision import models
from zoo_networks import ZOO

from specdnn import selection
from specdnn.community.class_graph import class_graph
from specdnn.network import scores
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.network.training import train
from specdnn.structures import Cover, Module, Recipe, Split

PAGE = Path(__file__).resolve().parent / "network.md"
THREADS, KEEP = 1, 0.2
BATCHES, BATCH = 10, 128  # of an epoch, timed and multiplied out


# name -> (network, image shape, training images)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "LeNet-5": (lambda: ZOO["LeNet-5"].network(0).float(), (1, 28, 28), 55_000),
    "ResNet-20": (lambda: ZOO["ResNet-20, padded"].network(0).float(), (3, 32, 32), 45_000),
    "ResNet-18": (lambda: models.resnet18(num_classes=10), (3, 32, 32), 45_000),
}


def half_of(compact: CompactNetwork):
    """The first half of every prunable layer."""
    kept = compact.kept
    for depth in compact.wiring.layers.prunable:
        kept = kept.replace(depth, kept.units[depth][: max(1, len(kept.units[depth]) // 2)])
    return kept


def tracing_beside_forward() -> tuple[float, float]:
    """(seconds of tracing and one cut, seconds of a forward pass of 32 images) of ResNet-50 at 224x224."""
    network, image = models.resnet50().eval(), torch.randn(3, 224, 224)
    images = torch.randn(32, 3, 224, 224)

    def trace_and_cut():
        parent = CompactNetwork.parent(network, image)
        cut(parent, half_of(parent))

    with torch.no_grad():
        return median_seconds(trace_and_cut), median_seconds(lambda: network(images))


def bookkeeping(compact: CompactNetwork) -> None:
    """From class means to the cut network, without OSLOM: strengths, class graph, community, cut."""
    rng = np.random.default_rng(0)
    active = [rng.random(len(link.sources)) for link in compact.wiring.links]
    found, relevance = scores.strengths(compact, active)
    graph = class_graph(compact.wiring.layers, compact.kept, found, relevance, KEEP)
    every_third = Module(tuple(np.unique(graph.edges)[::3].tolist()), 0.01)
    chosen = selection.class_community(Cover((every_third,)), graph, [1] * len(relevance))
    cut(compact, selection.kept_units(graph, chosen.nodes, compact.kept))


def step_beside_epoch(name: str) -> tuple[float, float]:
    """(seconds of an extraction step's bookkeeping, seconds of a training epoch)."""
    make, shape, count = NETWORKS[name]
    parent = CompactNetwork.parent(make(), torch.zeros(shape))
    compact = cut(parent, parent.kept.replace(len(parent.kept.units) - 1, [3]))
    images = torch.randn(BATCHES * BATCH, *shape)
    part, few = Split(images, torch.arange(len(images)) % 10), Split(images[:10], torch.arange(10))
    recipe = Recipe(epochs=1, lr=1e-3, batch_size=BATCH)
    epoch = lambda: list(train(compact, part, (3,), recipe, lambda logits: 0.0, few))  # noqa: E731
    return median_seconds(lambda: bookkeeping(compact)), median_seconds(epoch) * count / (BATCHES * BATCH)


def peak_memory() -> tuple[int, float]:
    """(connections, peak MB of the process) of the class graph of ResNet-50."""
    text = "import network_speed as n; n.print_peak()"
    done = subprocess.run([sys.executable, "-c", text], cwd=PAGE.parent, capture_output=True, text=True, check=True)
    edges, kilobytes = done.stdout.split()
    return int(edges), int(kilobytes) / 1024


def print_peak() -> None:
    parent = CompactNetwork.parent(models.resnet50(), torch.zeros(3, 224, 224))
    compact = cut(parent, parent.kept.replace(len(parent.kept.units) - 1, [3]))
    active = [np.random.default_rng(0).random(len(link.sources)) for link in compact.wiring.links]
    found, relevance = scores.strengths(compact, active)
    graph = class_graph(compact.wiring.layers, compact.kept, found, relevance, KEEP)
    status = Path("/proc/self/status").read_text()  # getrusage would tell the peak of the process that started this one
    print(len(graph.edges), status.partition("VmHWM:")[2].split()[0])


def page() -> str:
    """The measurements as Markdown."""
    columns = ["what", "seconds", "beside it", "seconds", "ratio", "goal"]
    both = tracing_beside_forward()
    lines = [line("tracing and one cut of ResNet-50", "forward pass, 32 images", both, "< 3")]
    for name in NETWORKS:
        lines.append(line(f"bookkeeping of a step, {name}", "training epoch", step_beside_epoch(name), "< 0.05"))
    edges, megabytes = peak_memory()
    memory = (
        f"The class graph of ResNet-50 at a share of {KEEP}: {edges:,} connections, peak memory {megabytes:.0f} MB."
    )
    made = f"Medians of {REPEATS}; {made_on(THREADS, 'torch')}; `make bench`."
    return "\n\n".join(["# What the traced network costs", table(columns, lines), memory, f"{made}\n"])


def line(what: str, beside: str, taken: tuple[float, float], goal: str) -> list[str]:
    ours, theirs = taken
    return [what, f"{ours:.3f}", beside, f"{theirs:.2f}", f"{ours / theirs:.3f}", goal]


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(THREADS)
    text = page()
    PAGE.write_text(text, encoding="utf-8")
    print(text)
