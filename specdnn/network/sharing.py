"""Convolutions and Linears that several members keep of one parent -> one tensor, of which each takes its own part.

    the parent's numbers     member 0 keeps o, member 8 keeps x, both keep *     stored once, the gaps are 0

                                 o  *  .  x                                          a b 0
                                 o  *  .  x       rows 0 1, columns 0 1              c d e
                                 .  x  .  x       rows 1 2, columns 1 2              0 f g

A member reads whole rows and columns of it, gathered by `index_select`, and has the very numbers that it had before:
so it gives the very outputs. Which rows and columns are the same is told by the units that they make and read; what
this puts together is checked to the last bit, so that a name can never make an output wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

from specdnn.network.modules import Given
from specdnn.network.operations import GATHERED
from specdnn.network.wiring import Link, Wiring

FUNCTIONS: dict[type[nn.Module], Callable[..., torch.Tensor]] = {
    **{nn.Linear: functional.linear, nn.Conv1d: functional.conv1d},
    **{nn.Conv2d: functional.conv2d, nn.Conv3d: functional.conv3d},
}
BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # bytes of a number -> what compares it to the last bit
Grid: TypeAlias = tuple[torch.Tensor, ...]  # places of the rows and of the columns
Root: TypeAlias = dict[str, Any]  # name -> module or tensor of a graph
SHARED, PLACES = "shared", "places"  # names in the network


@dataclass(frozen=True)
class Block:
    """A link of one member in the graph of all. `rows`, `columns`: names of its units, in the parent's numbers."""

    node: fx.Node
    module: Any  # of a class that FUNCTIONS has
    rows: list[tuple[int, int]]
    columns: list[tuple[int, int]]

    @classmethod
    def of(cls, node: fx.Node, module: Any, link: Link, wiring: Wiring) -> Block | None:
        """None where a module does more than multiply, or a unit has no name in the parent."""
        rows, columns = names(wiring, link.targets), names(wiring, link.sources)
        plain = type(module) in FUNCTIONS and getattr(module, "groups", 1) == 1
        plain &= getattr(module, "padding_mode", "zeros") == "zeros"
        return None if rows is None or columns is None or not plain else cls(node, module, rows, columns)


def names(wiring: Wiring, labels: np.ndarray) -> list[tuple[int, int]] | None:
    """Per label (node of the parent, how many of the same came before); None where one is no unit.

    Of a channel that is flattened, members may keep different features: as a whole it goes by the first of all.
    """
    nodes, feature = wiring.nodes.of(labels), wiring.nodes.feature(labels)
    if (nodes < 0).any():
        return None
    whole = first_of_channels(wiring)[nodes]
    found = whole if feature is None else np.where(feature >= 0, nodes, whole)
    before: dict[int, Iterator[int]] = defaultdict(count)
    return [(node, next(before[node])) for node in found.tolist()]


def first_of_channels(wiring: Wiring) -> np.ndarray:
    """(nodes,) the first node of the channel in which each lies, in the parent's numbers."""
    found = np.arange(wiring.layers.offsets[-1])
    for start, layer in zip(wiring.layers.offsets, wiring.layers.layers, strict=False):
        if layer.channels:
            _, first, inside = np.unique(layer.channels, return_index=True, return_inverse=True)
            found[start : start + layer.units] = start + first[inside.reshape(-1)]
    return found


# ------------------------------------------------------------------------------------------ what blocks hold together


class Union:
    """One tensor for the blocks of one link.

    `grids`: per block its places (rows, columns) in it. `tensors`: weight, and bias if there is one; None for one on
    which the blocks do not agree.
    """

    def __init__(self, blocks: list[Block]) -> None:
        sides = (_places([getattr(block, side) for block in blocks]) for side in ("rows", "columns"))
        grids, self.sizes = zip(*sides, strict=True)
        self.blocks, self.grids = blocks, list(zip(*grids, strict=True))
        held = [{name: p.detach() for name, p in block.module.named_parameters()} for block in blocks]
        self.tensors: dict[str, Any] = {name: self.together([own[name] for own in held]) for name in held[0]}

    def together(self, tensors: list[torch.Tensor]) -> torch.Tensor | None:
        """The tensors of all blocks in one; None unless they meet somewhere, and agree there to the last bit."""
        sides = min(2, tensors[0].dim())
        found = tensors[0].new_zeros((*self.sizes[:sides], *tensors[0].shape[sides:]))
        seen, met = torch.zeros(self.sizes[:sides], dtype=torch.bool, device=found.device), False
        for (rows, columns), tensor in zip(self.grids, tensors, strict=True):
            grid = (rows[:, None], columns) if sides == 2 else (rows,)
            twice = seen[grid]
            if not torch.equal(*(one[twice].view(BITS[one.element_size()]) for one in (found[grid], tensor))):
                return None
            found[grid], seen[grid], met = tensor, True, met or bool(twice.any())
        return found if met else None

    def selected(self, grid: Grid) -> list[torch.Tensor | None]:
        """Rows and columns to be gathered; None where all of them are wanted, in their order."""
        whole = (torch.arange(size, dtype=torch.int32) for size in self.sizes)
        return [None if torch.equal(own, every) else own for own, every in zip(grid, whole, strict=True)]

    def pays(self, known: Mapping[bytes, str]) -> bool:
        """Whether it stores fewer numbers than its blocks, the places included that are not `known`, and can be read
        within the bounds of a file."""
        if None in self.tensors.values():
            return False
        held, blocks = (sum(t.numel() for t in some) for some in (self.tensors.values(), self.parameters()))
        places = {_key(own): len(own) for grid in self.grids for own in self.selected(grid) if own is not None}
        stored = held + sum(size for key, size in places.items() if key not in known)
        return stored < blocks and sum(map(self.gathered, self.grids)) <= GATHERED * held

    def parameters(self) -> list[nn.Parameter]:
        """Those of all blocks."""
        return [parameter for block in self.blocks for parameter in block.module.parameters()]

    def gathered(self, grid: Grid) -> int:
        """How many numbers a block gathers for one pass."""
        (rows, columns), (own, others) = self.selected(grid), map(len, grid)
        per_pair = self.tensors["weight"][0, 0].numel()
        total = 0 if rows is None else own * (self.sizes[1] * per_pair + len(self.tensors) - 1)
        return total + (0 if columns is None else own * others * per_pair)


def _places(names: list[list[tuple[int, int]]]) -> tuple[list[torch.Tensor], int]:
    """Per list the places of its names among those of all, sorted, and how many they are."""
    place = {name: number for number, name in enumerate(sorted(set(chain(*names))))}
    return [torch.tensor([place[name] for name in own], dtype=torch.int32) for own in names], len(place)


def _key(places: torch.Tensor) -> bytes:
    return places.numpy().tobytes()


# ------------------------------------------------------------------------------------------ in the graph


def share(graph: fx.Graph, root: Root, links: dict[str, list[Block]]) -> None:
    """Put one tensor in the place of the blocks of a link wherever that stores fewer numbers.

    `root`: name -> module or tensor of the graph; `links`: name of a link -> its blocks, of several members.
    """
    known: dict[bytes, str] = {}
    for name, blocks in links.items():
        kinds = {tuple((n, p.dtype, p.device, p.requires_grad) for n, p in b.module.named_parameters()) for b in blocks}
        if len(blocks) > 1 and len(kinds) == 1 and (union := Union(blocks)).pays(known):
            for kind, tensor in union.tensors.items():
                old = getattr(blocks[0].module, kind)
                root[f"{SHARED}.{name}.{kind}"] = nn.Parameter(tensor, old.requires_grad)
            for block, grid in zip(blocks, union.grids, strict=True):
                _read(graph, root, block, f"{SHARED}.{name}", [_held(root, own, known) for own in union.selected(grid)])


def _held(root: Root, places: torch.Tensor | None, known: dict[bytes, str]) -> str | None:
    """The name of a list of places in the network, where equal ones are one."""
    if places is None:
        return None
    name = known.setdefault(_key(places), f"{PLACES}_{len(known)}")
    root.setdefault(name, places)
    return name


def _read(graph: fx.Graph, root: Root, block: Block, name: str, places: list[str | None]) -> None:
    """A function of gathered numbers in the place of a module."""
    module, node = block.module, block.node
    with graph.inserting_before(node):
        tensors = [_gathered(graph, f"{name}.{kind}", places[: p.dim()]) for kind, p in module.named_parameters()]
        given: list[Given] = [*tensors, None][:2]
        if not isinstance(module, nn.Linear):
            given += [module.stride, module.padding, module.dilation]
        made = graph.call_function(FUNCTIONS[type(module)], (node.all_input_nodes[0], *given))
    node.replace_all_uses_with(made)
    graph.erase_node(node)
    del root[str(node.target)]


def _gathered(graph: fx.Graph, name: str, places: list[str | None]) -> fx.Node:
    found = graph.get_attr(name)
    for dim, own in enumerate(places):
        if own is not None:
            found = graph.call_function(torch.index_select, (found, dim, graph.get_attr(own)))
    return found
