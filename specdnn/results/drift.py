"""What --compare found, as a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from specdnn.results import pictures
from specdnn.results.report import MISSING, Section
from specdnn.structures import Record

HEADINGS = (
    *("images", "class", "number", "agree %", "95 % interval", "kappa"),
    *("both yes", "only this", "only its parent", "neither"),
)
SENTENCE = (
    "How often a network and its parent say the same of an image: that it is of the class (the network by a "
    "output above its threshold, its parent by its highest output), or that it is not. "
    "*kappa*: agreement beyond chance (Cohen)."
)


def table(rows: list[Record], names: Sequence[str]) -> str:
    """A line per set of images and class."""
    lines = [_line(row, names[row["class"]]) for row in rows]
    return str(Section("Agreement with the parent", SENTENCE, HEADINGS, lines))


def _line(row: Record, name: str) -> list[str]:
    kappa = MISSING if row["kappa"] != row["kappa"] else f"{row['kappa']:.3f}"
    interval = f"{100 * row['low']:.2f} to {100 * row['high']:.2f}"
    counts = [f"{row[name]:,}" for name in ("both", "only_this", "only_parent", "neither")]
    return [row["of"], name, f"{row['images']:,}", f"{100 * row['agreement']:.2f}", interval, kappa, *counts]


def sheet(images: list[tuple[np.ndarray, str]]) -> bytes:
    """The images that they differ on."""
    return pictures.sheet(images)
