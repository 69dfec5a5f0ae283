"""The metrics file of a composed network -> a table beside its members, its rival and its parent, and a picture of what
the members share.
"""

from __future__ import annotations

import math

import numpy as np

from specdnn.results import pictures
from specdnn.structures import Record

ROWS = {
    "composed": "composed",
    "separate": "separate networks",
    "joint": "one extraction of the same size",
    "parent": "parent, these outputs",
}
MEASURES = {
    "accuracy_among": "among the classes %",
    "accuracy_or_none": "with none %",
    "balanced_accuracy_or_none": "with none, balanced %",
}
SIZES = {"true_weights": "weights", "true_parameters": "parameters", "macs": "MACs"}
SAME = "–"  # the outputs of the separate networks are those of the composed one


def table(told: Record) -> str:
    """Accuracy and sizes, a line per network, as text in columns."""
    compared = told["compared"]
    lines = [[f"{told['split']} images", *MEASURES.values(), *SIZES.values()]]
    lines += [[words, *_figures(compared[name])] for name, words in ROWS.items() if name in compared]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(line, widths) for line in lines)


def _figures(row: Record) -> list[str]:
    shares = [SAME if row.get(name) is None else f"{100 * row[name]:.2f}" for name in MEASURES]
    return [*shares, *(f"{row[name]:,}" for name in SIZES)]


def _line(words: list[str], widths: list[int]) -> str:
    first, *others = zip(words, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(word.rjust(width) for word, width in others)])


def picture(told: Record) -> bytes:
    """PNG: the Jaccard index of every two members in every layer, and how many of them look at each pixel."""
    classes = ["-".join(map(str, one["classes"])) for one in told["members"]]
    return pictures.shared(told["overlap"], classes, members_per_pixel(told))


def members_per_pixel(told: Record) -> np.ndarray | None:
    """(height, width) of how many members keep a pixel, in any of its channels, where pixels are units; else None."""
    shape, width = told["image_shape"], told["parent_widths"][0]
    if len(shape) != 3 or math.prod(shape) != width:
        return None
    kept = np.zeros((len(told["members"]), width), dtype=bool)
    for row, one in zip(kept, told["members"], strict=True):
        row[next(iter(one["kept"].values()))] = True
    members: np.ndarray = kept.reshape(-1, *shape).any(1).sum(0)
    return members
