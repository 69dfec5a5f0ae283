"""What is handed out beside the whole network, exported the same way: bytes and speed, by torch, onnxruntime and C.

    python benchmarks/export_speed.py            # `make bench`; the page is benchmarks/export.md

Networks are cut to a budget at random, and to multiples of 1, 4 and 8 units; nothing here depends on which units and
what weights they have. Both take turns in one run, on one thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pages import made_on, table
from torch import nn
from zoo_networks import ZOO

from specdnn import exporting, selection
from specdnn.network import running
from specdnn.network.netfile import Checkpoint
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.structures import KeptUnits

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent / "MNIST"))

PAGE = FOLDER / "export.md"
MULTIPLES = (1, 4, 8)
BATCH = 256


@dataclass(frozen=True)
class Case:
    """A network, the weights that are left of it, and what is asked of it at the share of `asked` multiples."""

    name: str
    network: Callable[[], nn.Module]
    image_shape: tuple[int, ...]
    share: float  # of its weights, or weights


def lenet_300_100() -> nn.Module:
    from models.LeNet_300_100 import LeNet_300_100

    return LeNet_300_100()


CASES = (
    Case("LeNet-300-100", lenet_300_100, (1, 28, 28), 650 / 266_200),
    Case("LeNet-5", lambda: ZOO["LeNet-5"].network(0).float(), (1, 28, 28), 1_000 / 430_500),
    Case("ResNet-20", lambda: ZOO["ResNet-20, padded"].network(0).float(), (3, 32, 32), 0.1),
)


def smallest(parent: CompactNetwork, share: float, multiple: int) -> CompactNetwork:
    """A class of a network at a share of its weights, in multiples of so many units."""
    layers, drawn = parent.wiring.layers, np.random.default_rng(0)
    scores = [drawn.random(layer.units) for layer in layers.layers[:-1]]
    wanted = parent.kept.replace(len(layers.layers) - 1, (3,))

    def chosen(widths) -> KeptUnits:
        return selection.strongest(wanted, scores, widths)

    def fits(widths) -> bool:
        return parent.wiring.weights(chosen(widths)) <= share * parent.wiring.parent_sizes[0]

    kept = chosen(selection.budget_widths((*layers.widths[:-1], 1), wanted.widths, layers.prunable, fits))
    own = [score[list(units)] for score, units in zip(scores, kept.units, strict=False)]
    return cut(parent, selection.in_multiples(layers, kept, own, multiple))


def rows(case: Case) -> Iterator[list[str]]:
    torch.manual_seed(0)
    parent = CompactNetwork.parent(case.network(), torch.zeros(case.image_shape))
    images = np.random.default_rng(0).random((BATCH, *case.image_shape), np.float32)
    small = {n: smallest(parent, case.share, n) for n in MULTIPLES}
    made = {n: exporting.exported(Checkpoint("net", "", one, (), None), {}) for n, one in {0: parent, **small}.items()}
    runners = {(n, name): run for n, one in made.items() for name, run in one.runners.items()}
    taken, single = running.medians_ms(runners, images), running.medians_ms(runners, images[:1])
    for n, compact in small.items():
        weights, parameters, macs = compact.wiring.sizes(compact.kept)
        told = [case.name, str(n), f"{weights:,}", f"{parameters:,}", f"{parent.wiring.parent_sizes[2] / macs:.3g}"]
        told += [f"{made[n].sizes[name]:,}" for name in ("model.onnx", "C object")]
        for times in (single, taken):
            told += [f"{times[0, name] / times[n, name]:.3g}" for name in made[n].runners]
        yield told


def main() -> None:
    forms = ("torch", "onnxruntime", "C")
    headings = ["network", "multiples of", "weights", "parameters", "times fewer MACs", "ONNX bytes", "C object bytes"]
    headings += [f"{form}, {what}" for what in ("one image", f"{BATCH} images") for form in forms]
    lines = table(headings, [row for case in CASES for row in rows(case)])
    made = f"Medians of {running.TURNS} turns; {made_on(1, 'torch', 'onnxruntime')}; `make bench`."
    said = "Bytes, and how many times as fast as its whole network, exported the same way, a class of it is."
    text = f"# What is handed out, beside the whole network\n\n{said}\n\n{lines}\n\n{made}\n"
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
