"""Tensors of addresses -> loops that copy: which element goes where, as strides where they do, else as tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Axis:
    """One loop of a copy: `count` turns, and per turn where to write and where to read.

    Each of `to` and `of` is a step (a number) or a table of places, a tensor of `count` whole numbers.
    """

    count: int
    to: int | torch.Tensor
    of: int | torch.Tensor


@dataclass(frozen=True)
class Copy:
    """Loops, the outermost first, that write elements from `to` on and read those of one source from `of` on."""

    axes: tuple[Axis, ...]
    to: int
    of: int


def strides(addresses: torch.Tensor) -> tuple[int, list[int]] | None:
    """(first address, step along each dimension) of addresses that go on in equal steps; None if they do not."""
    if not addresses.numel():
        return None
    first = int(addresses[(0,) * addresses.dim()])
    steps = [int(_line(addresses, dim)[1]) - first if size > 1 else 0 for dim, size in enumerate(addresses.shape)]
    lines = [step * torch.arange(size) for step, size in zip(steps, addresses.shape, strict=True)]
    return (first, steps) if _equal(addresses, first, lines) else None


def contiguous(shape: Sequence[int]) -> list[int]:
    """The steps of a tensor without gaps."""
    steps, step = list[int](), 1
    for size in reversed(shape):
        steps.insert(0, step if size > 1 else 0)
        step *= size
    return steps


def copies(addresses: torch.Tensor, owners: torch.Tensor) -> Iterator[tuple[int, Copy]]:
    """(owner, copy) for each owner of some of the addresses; the copies write a tensor of that shape without gaps."""
    if addresses.dim() == 0:
        addresses, owners = addresses.view(1), owners.view(1)
    places = torch.arange(addresses.numel()).view(addresses.shape)
    for owner in owners.unique().tolist():
        own = owners == owner
        lists = [own.movedim(dim, 0).reshape(size, -1).any(1).nonzero().flatten() for dim, size in enumerate(own.shape)]
        if math.prod(map(len, lists)) == int(own.sum()):
            yield owner, _of_box(_box(addresses, lists), _box(places, lists))
        else:
            yield owner, _of_box(addresses[own], places[own])


def _box(tensor: torch.Tensor, lists: list[torch.Tensor]) -> torch.Tensor:
    return tensor[torch.meshgrid(*lists, indexing="ij")]


def _of_box(of: torch.Tensor, to: torch.Tensor) -> Copy:
    """The copy between two tensors of places of the same shape."""
    if not all(_is_sum_of_lines(places) for places in (of, to)):
        of, to = of.flatten(), to.flatten()
    origin = (0,) * of.dim()
    axes = [axis for dim in range(of.dim()) for axis in _axes(*(_line(x, dim) - x[origin] for x in (to, of)))]
    return _without_negative_places(axes, int(to[origin]), int(of[origin]))


def _line(tensor: torch.Tensor, dim: int) -> torch.Tensor:
    """What stands along a dimension, from the origin on."""
    return tensor[tuple(slice(None) if place == dim else 0 for place in range(tensor.dim()))]


def _is_sum_of_lines(places: torch.Tensor) -> bool:
    """Whether an element's place is the sum of what each of its indices gives."""
    first = int(places[(0,) * places.dim()])
    return _equal(places, first, [_line(places, dim) - first for dim in range(places.dim())])


def _equal(places: torch.Tensor, first: int, lines: list[torch.Tensor]) -> bool:
    total = torch.tensor(first)
    for line in lines:
        total = total.unsqueeze(-1) + line
    return torch.equal(total.expand(places.shape), places)


def _axes(to: torch.Tensor, of: torch.Tensor) -> list[Axis]:
    """Loops for two sequences of places that begin with 0: as many steps as there are, a table for what is left."""
    count = len(to)
    if count == 1:
        return []
    steps = int(to[1]), int(of[1])
    breaks = ((to.diff() != steps[0]) | (of.diff() != steps[1])).nonzero().flatten() + 1
    run = int(np.gcd.reduce(breaks.numpy(), initial=count))  # the longest that all turns of equal steps consist of
    if run > 1:
        return [*_axes(*(x[::run] for x in (to, of))), Axis(run, *steps)]
    return [Axis(count, _step(to), _step(of))]


def _step(places: torch.Tensor) -> int | torch.Tensor:
    """The step of a sequence that goes on in equal steps, else the sequence itself."""
    return int(places[1]) if bool((places.diff() == places[1]).all()) else places


def _without_negative_places(axes: list[Axis], to: int, of: int) -> Copy:
    """The same with tables whose smallest number is 0."""
    found = []
    for axis in axes:
        least = [int(x.min()) if torch.is_tensor(x) else 0 for x in (axis.to, axis.of)]
        to, of = to + least[0], of + least[1]
        found.append(Axis(axis.count, axis.to - least[0], axis.of - least[1]))
    return Copy(tuple(found), to, of)
