"""Trains on a GPU and prints what test_cuda.py asks: is a replayed graph the plain step, are two trainings one?"""

import copy
import functools
import itertools
import json
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "MNIST")]

import dataset  # noqa: E402
from models import ARCHITECTURES  # noqa: E402

from specdnn.network import training  # noqa: E402
from specdnn.network.surgery import CompactNetwork, cut  # noqa: E402
from specdnn.structures import Recipe, Split  # noqa: E402

WIDTHS = {"LeNet_300_100": (784, 30, 10, 1), "LeNet_5": (1, 3, 160, 10, 1)}  # of the first units of every layer


def brightened(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Images that a CUDA graph could not have drawn by itself."""
    return images + torch.rand(len(images), 1, 1, 1, generator=generator).to(images.device)


def trained(arch: str, data: Split, replayed, augment=None, precision="float32", broken=False) -> list[torch.Tensor]:
    """The weights after two epochs of 300 images in batches of 128, 128 and 44; the second in another run if broken."""
    torch.manual_seed(1)
    parent = CompactNetwork.parent(ARCHITECTURES[arch]().cuda(), data.images[0])
    kept = parent.kept
    for depth, width in enumerate(WIDTHS[arch]):
        kept = kept.replace(depth, range(width))
    compact = cut(parent, kept)
    training._replayed = replayed
    recipe = Recipe(epochs=2, lr=0.01, group_l1=0.001, precision=precision)
    score = lambda logits: 0.0 * float(logits.sum())  # noqa: E731
    train = functools.partial(training.train, data=data, classes=(3,), recipe=recipe, validate=score, validation=data)
    first = copy.deepcopy(compact)
    states = [copy.deepcopy(record.state()) for record in train(compact, augment=augment)]
    if broken:
        list(train(compact := first, augment=augment, state=states[0]))
    return list(compact.network.parameters())


def main() -> None:
    if not torch.cuda.is_available():
        print(json.dumps(None))
        return
    torch.set_deterministic_debug_mode("warn")
    train = dataset.load("digits", Path("unused"), torch.device("cuda")).train
    data, graphs, found = Split(train.images[:300], train.labels[:300]), training._replayed, {}
    ways = graphs, graphs, lambda network, fresh: fresh
    kinds = {"": (None, "float32"), ", augmented": (brightened, "float32"), ", bfloat16": (None, "bfloat16")}
    for arch, (kind, how) in itertools.product(WIDTHS, kinds.items()):
        first, second, plain = (trained(arch, data, way, *how) for way in ways)
        found[arch + kind] = {
            "repeats": all(map(torch.equal, first, second)),
            "goes_on": all(map(torch.equal, first, trained(arch, data, graphs, *how, broken=True))),
            "is_plain": all(map(torch.equal, first, plain)),
            "differs_by": max(float((a - b).abs().max()) for a, b in zip(first, plain, strict=True)),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
