"""Labels: integers that name the unit of an element. A label holds a channel (the upper half) and a place in it.

Place 0 is the channel as a whole: what has one place only. Tensors of labels are of the shape of what they label, for
one image: the first dimension is 1.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

HALF = 32
PLACES = (1 << HALF) - 1
NOTHING = -1  # zeros that padding adds, before they are named
Labels: TypeAlias = "torch.Tensor | tuple[Labels, ...] | None"  # of all that an operation gives; None: it has none
Array = TypeVar("Array", torch.Tensor, np.ndarray)


class NotUnderstood(Exception):
    """An operation mixes units in a way that has no rule; it pins them."""


def channels_of(labels: Array) -> Array:
    """The channels of labels, of the same shape."""
    return labels >> HALF


def places_of(labels: Array) -> Array:
    return labels & PLACES


def at_channels(labels: Array) -> Array:
    """The labels of the whole channels."""
    return labels & ~PLACES


def uniform_dimension(values: torch.Tensor) -> int | None:
    """The dimension along which values differ while they are the same along all others, or None.

    Dimension 1 before the last, before the others; the first, which are the images except in constants, comes last.
    """
    dims = (dim for dim in dict.fromkeys((1, values.dim() - 1, *range(values.dim()), 0)) if dim < values.dim())
    return next((dim for dim in sorted(dims, key=lambda d: d == 0) if same_along_the_others(values, dim)), None)


def rows_of(values: torch.Tensor, dim: int) -> torch.Tensor:
    """(size of `dim`, all others): what lies at each index of one dimension."""
    return values.movedim(dim, 0).reshape(values.shape[dim], -1)


def same_along_the_others(values: torch.Tensor, dim: int) -> bool:
    rows = rows_of(values, dim)
    return bool((rows == rows[:, :1]).all())


def spread(values: torch.Tensor) -> torch.Tensor:
    """The same values, stored once along every dimension in which they do not change."""
    once = values
    for dim in range(values.dim()):
        if same_along(once, dim):
            once = once.narrow(dim, 0, min(1, once.shape[dim])).clone()
    return once.expand(values.shape)


def same_along(values: torch.Tensor, dim: int) -> bool:
    return bool((values == values.narrow(dim, 0, min(1, values.shape[dim]))).all())


class Sets:
    """Numbers 0, 1, ... of which some are joined to sets; a set is named by its smallest member."""

    def __init__(self, count: int = 0) -> None:
        self.root = np.arange(count)

    def new(self, count: int) -> torch.Tensor:
        """The next `count` numbers."""
        first = len(self.root)
        self.root = np.concatenate([self.root, np.arange(first, first + count)])
        return torch.arange(first, first + count)

    def __call__(self, numbers: torch.Tensor) -> torch.Tensor:
        """The name of the set of each number."""
        return torch.from_numpy(self.root)[numbers]

    def join(self, one: torch.Tensor, other: torch.Tensor) -> None:
        """Join the sets of numbers that stand at the same place."""
        one, other = self(one).flatten(), self(other).flatten()
        pairs = torch.unique_consecutive(one * len(self.root) + other).unique().numpy()
        first, second = np.divmod(pairs, len(self.root))
        if (first == second).all():
            return
        met, ends = np.unique(np.concatenate([first, second]), return_inverse=True)
        links = coo_matrix((np.ones(len(first)), (ends[: len(first)], ends[len(first) :])), shape=(len(met),) * 2)
        group = connected_components(links, directed=False)[1]
        smallest = np.full(group.max() + 1, len(self.root))
        np.minimum.at(smallest, group, met)
        renamed = np.arange(len(self.root))
        renamed[met] = smallest[group]
        self.root = renamed[self.root]
