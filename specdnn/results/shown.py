"""What an exhibits file tells of a class -> what contact sheet and page show of it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from specdnn.structures import Exhibit, Record


def exhibit(told: Record) -> Exhibit:
    """An exhibit from what its file tells."""
    arrays = [np.array(pair) for pair in told["strengths"]]
    image, kept_places = np.array(told["mean_image"]), np.array(told["places"])
    beyond = tuple((one, other, np.array(pair)) for one, other, pair in told.get("beyond", ()))
    return Exhibit(told["name"], image, kept_places, tuple(told["kept"]), tuple(arrays), beyond)


def examples(told: Record) -> dict[str, list[np.ndarray]]:
    """Kind -> images that show it, in greys from 0 to 15; older files have none."""
    kinds = told.get("examples", {}).items()
    return {kind: [np.array([[int(grey, 16) for grey in row] for row in rows]) for rows in one] for kind, one in kinds}


def is_exhibit(told: Any) -> bool:
    """Whether this tells of a class all that contact sheet and page need."""
    try:
        one, kept = exhibit(told), told["kept"].values()
        tables = (one.mean_image, one.places, *one.strengths, *(pair for _, _, pair in one.beyond))
        named = isinstance(told["class"], int) and isinstance(one.name, str)
        seen = all(_is_image(rows) for images in told.get("examples", {}).values() for rows in images)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError):
        return False
    widths = [len(units) for units in kept if isinstance(units, list)]
    shapes = list(zip(widths, widths[1:], strict=False))
    fitting = len(widths) == len(one.layers) > 1 and [pair.shape for pair in one.strengths] == shapes
    fitting = fitting and all(_is_beyond(*told_of, widths) for told_of in one.beyond)
    return named and seen and fitting and all(map(_is_table, tables)) and one.places.max() > 0


def _is_beyond(one: Any, other: Any, pair: np.ndarray, widths: list[int]) -> bool:
    """Whether these are strengths between two layers that are no neighbours."""
    numbers = isinstance(one, int) and isinstance(other, int) and 0 <= one < other - 1 < len(widths) - 1
    return numbers and pair.shape == (widths[one], widths[other])


def _is_image(rows: Any) -> bool:
    """Whether these are rows of greys in hexadecimal, equally long."""
    texts = isinstance(rows, list) and all(isinstance(row, str) and re.fullmatch("[0-9a-f]+", row) for row in rows)
    return texts and len({len(row) for row in rows}) == 1


def _is_table(values: np.ndarray) -> bool:
    """Rows of numbers that are not negative."""
    numbers = values.ndim == 2 and values.size > 0 and values.dtype.kind in "if"
    return numbers and bool(values.min() >= 0 and values.max() < 1e15)
