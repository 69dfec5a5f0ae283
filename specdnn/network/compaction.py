"""The graph of a cut network: the same operations, and a Select where one no longer gives what is kept.

Which elements an operation moves where is found by running it on their addresses, once in the shapes of the whole
network and once in those of the cut one: where both agree it stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import fx

from specdnn.network.labelling import describe, is_movement, stand_in
from specdnn.network.labels import NOTHING, Labels, rows_of, uniform_dimension
from specdnn.network.modules import Select, module_of, named
from specdnn.network.tracing import without_dead_code
from specdnn.network.wiring import Alive, Wiring
from specdnn.structures import SpecDNNError


def compacted(
    wiring: Wiring, alive: Alive, outputs: Iterable[int]
) -> tuple[fx.Graph, dict[str, Select], dict[str, Labels]]:
    """(graph, its Selects by name, labels per operation) of what stays of a network, for these of its outputs."""
    work = Compaction(wiring, alive)
    for node in wiring.network.graph.nodes:
        work.take(node, outputs)
    without_dead_code(work.graph)
    return work.graph, work.selects, work.found_labels()


class Compaction:
    """One walk through the graph. `full` and `small` hold, per operation, addresses of elements or a plain value."""

    def __init__(self, wiring: Wiring, alive: Alive) -> None:
        self.wiring, self.alive, self.network = wiring, alive, wiring.network
        self.graph = fx.Graph()
        self.selects: dict[str, Select] = {}
        self.full: dict[str, Any] = {}
        self.small: dict[str, Any] = {}  # lacks what is no tensor in the cut network: it is gathered later
        self.copies: dict[str, fx.Node] = {}
        self.labels: dict[str, Labels] = {}  # by the copy's name
        self.addresses, self.zeros = 0, NOTHING  # the zeros that padding adds have negative addresses

    def found_labels(self) -> dict[str, Labels]:
        return {node.name: self.labels[node.name] for node in self.graph.nodes if node.name in self.labels}

    def take(self, node: fx.Node, outputs: Iterable[int]) -> None:
        """Copy one operation, or put a Select in its place."""
        labels: Any = self.wiring.labels.get(node.name)
        if node.op == "output":
            self.output(node, outputs)
        elif labels is None:
            self.plain(node)
        elif node.op == "placeholder":
            self.images(node, labels)
        elif is_movement(node, self.network):
            self.movement(node, labels)
        else:
            self.computed(node, labels)

    def copy(self, node: fx.Node) -> fx.Node:
        copied = self.graph.node_copy(node, lambda n: self.copies[n.name])
        self.copies[node.name] = copied
        return copied

    # ------------------------------------------------------------------------------------- what computes

    def plain(self, node: fx.Node) -> None:
        """Numbers, sizes, constants: the same operation, on the sizes of the cut network.

        What is asked of tensors that stay as they are has the same answer, also if it depends on what is in them.
        """
        lost = [n for n in node.all_input_nodes if n.name not in self.copies]
        anew = not lost and not all(_same(self.full[n.name], self.small[n.name]) for n in node.all_input_nodes)
        for values in (self.full, self.small) if anew else (self.full,):
            try:
                values[node.name] = (
                    self.constant(node) if node.op == "get_attr" else stand_in(node, self.network, values)
                )
            except Exception as error:  # whatever the function raises on what it does not expect
                values[node.name] = error
        if not lost:
            self.copy(node)
        elif node.name in self.wiring.varying:
            raise SpecDNNError(f"{describe(node)} asks for the size of something that a cut takes apart")
        if not anew:
            self.small[node.name] = self.full[node.name]

    def constant(self, node: fx.Node) -> Any:
        value = named(self.network, str(node.target))
        return value.detach().cpu() if torch.is_tensor(value) else value

    def images(self, node: fx.Node, labels: torch.Tensor) -> None:
        """All images come in whole; channels that are gone are left out at once."""
        self.full[node.name] = self.small[node.name] = self.numbered(labels)
        self.labels[self.copy(node).name] = labels
        wanted = self.shrunk(self.full[node.name], labels)
        if wanted is not None and wanted.shape != labels.shape:
            self.select("select_images", [node.name], wanted, node, labels)

    def computed(self, node: fx.Node, labels: Any) -> None:
        """What computes keeps its units whole: of its elements those stay whose units do."""
        full = self.full[node.name] = self.numbered(labels)
        small = full if isinstance(labels, tuple) else self.shrunk(full, labels)  # several tensors are pinned
        if small is None or any(n.name not in self.copies for n in node.all_input_nodes):
            raise SpecDNNError(f"{describe(node)} computes on something that a cut takes apart")
        self.small[node.name] = small
        self.remember(self.with_its_numbers(node), labels)

    def with_its_numbers(self, node: fx.Node) -> fx.Node:
        """A copy that computes with the same numbers as the whole network, also if they come from a size."""
        copied = self.copy(node)
        for source in node.all_input_nodes:
            full, small = (values[source.name] for values in (self.full, self.small))
            if source.name in self.wiring.labels or _same(full, small):
                continue
            if source.name in self.wiring.varying:
                raise SpecDNNError(f"{describe(node)} computes with a size that a cut changes")
            copied.args = fx.node.map_arg(copied.args, lambda n: full if n is self.copies[source.name] else n)  # noqa: B023
            copied.kwargs = fx.node.map_arg(copied.kwargs, lambda n: full if n is self.copies[source.name] else n)  # noqa: B023
        return copied

    def numbered(self, labels: Labels) -> Any:
        """New addresses for the elements of a tensor, or of several."""
        if isinstance(labels, tuple):
            return tuple(map(self.numbered, labels))
        if labels is None:
            return None
        first, self.addresses = self.addresses, self.addresses + labels.numel()
        return torch.arange(first, self.addresses).view(labels.shape)

    def shrunk(self, elements: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        """Of a tensor what stays; None if that is no tensor, but elements from all over it."""
        stays = torch.from_numpy(self.alive(labels.numpy()))
        if stays.all():
            return elements
        dim = uniform_dimension(stays)
        if dim is None:
            return None
        return elements.index_select(dim, rows_of(stays, dim)[:, 0].nonzero().flatten())

    def remember(self, copied: fx.Node, labels: Labels) -> None:
        """Label a copy with what stays of the labels."""
        self.labels[copied.name] = fx.node.map_aggregate(
            labels, lambda x: self.shrunk(x, x) if torch.is_tensor(x) else x
        )

    # ------------------------------------------------------------------------------------- what moves

    def movement(self, node: fx.Node, labels: Any) -> None:
        """Copy a movement if it still gives what is kept, else gather that, at once or as soon as it is a tensor."""
        try:
            full = self.full[node.name] = self.with_own_zeros(stand_in(node, self.network, self.full))
        except Exception:  # what the function raises on addresses, it raised on labels: all that it touches stays
            return self.computed(node, labels)
        parts = full if isinstance(full, (tuple, list)) else (full,)
        own = labels if isinstance(labels, tuple) else (labels,)
        wanted = [self.shrunk(part, label) for part, label in zip(parts, own, strict=True)]
        if self.still_gives(node, wanted):
            self.small[node.name] = tuple(wanted) if isinstance(labels, tuple) else wanted[0]
            self.remember(self.copy(node), labels)
        elif wanted[0] is not None and not isinstance(labels, tuple):
            self.gather(node, wanted[0], labels)

    def with_own_zeros(self, full: Any) -> Any:
        """Addresses with one of its own for every zero that was added."""
        if not torch.is_tensor(full) or not (new := full == NOTHING).any():
            return full
        first, self.zeros = self.zeros, self.zeros - int(new.sum())
        return full.masked_scatter(new, torch.arange(self.zeros, first))

    def natively(self, node: fx.Node) -> Any:
        """What a movement gives in the cut network; None if it fails there."""
        if any(n.name not in self.copies for n in node.all_input_nodes):
            return None
        try:
            return stand_in(node, self.network, self.small)
        except Exception:  # a literal size no longer fits
            return None

    def still_gives(self, node: fx.Node, wanted: Sequence[torch.Tensor | None]) -> bool:
        found = self.natively(node)
        found = found if isinstance(found, (tuple, list)) else (found,)
        return len(found) == len(wanted) and all(
            w is not None and f is not None and f.shape == w.shape and _agree(f, w)
            for f, w in zip(found, wanted, strict=True)
        )

    def gather(self, node: fx.Node, wanted: torch.Tensor, labels: torch.Tensor) -> None:
        """A Select of the wanted elements from the tensors that they come from."""
        sources = list(dict.fromkeys(self.origins(node)))
        name = str(node.target) if hasattr(module_of(node, self.network), "moved") else f"select_{node.name}"
        self.select(name, sources, wanted, node, labels)

    def select(self, name: str, sources: list[str], wanted: torch.Tensor, node: fx.Node, labels: torch.Tensor) -> None:
        """A Select of the wanted elements of some operations, in the place of `node`."""
        small = [self.small[source] for source in sources]
        select = _by_channel(small, wanted) or _by_element(small, wanted)
        if select is None:
            raise SpecDNNError(f"{describe(node)} moves units in a way that a cut cannot follow")
        name = name if name == node.target else self.new_name(name)
        self.selects[name] = select
        copied = self.graph.call_module(name, tuple(self.copies[source] for source in sources))
        self.copies[node.name], self.small[node.name] = copied, wanted
        self.remember(copied, labels)

    def new_name(self, name: str) -> str:
        """A name that no module of the network has."""
        while name in self.selects or hasattr(self.network, name):
            name += "_"
        return name

    def origins(self, node: fx.Node) -> Iterator[str]:
        """The tensors of the cut network that a movement takes its elements from."""
        for source in node.all_input_nodes:
            if source.name in self.wiring.labels:
                yield from [source.name] if torch.is_tensor(self.small.get(source.name)) else self.origins(source)

    def output(self, node: fx.Node, outputs: Iterable[int]) -> None:
        """The wanted outputs, picked out where all of them are still there."""
        source, chosen = node.all_input_nodes[0], list(outputs)
        labels: Any = self.wiring.labels[source.name]
        wanted = self.full[source.name][:, chosen]
        small, last = self.small[source.name], self.copies[source.name]
        if small.shape != wanted.shape or not _agree(small, wanted):
            self.select("select_outputs", [source.name], wanted, node, labels[:, chosen])
            last = self.copies[node.name]
        self.graph.output(last)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (tuple, list)):
        return type(one) is type(other) and len(one) == len(other) and all(map(_same, one, other))
    if torch.is_tensor(one) and torch.is_tensor(other):
        return one.shape == other.shape and bool((one == other).all())
    return type(one) is type(other) and one == other


def _agree(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Whether elements are those that are wanted; one zero is as good as another."""
    return bool(((found == wanted) | ((found < 0) & (wanted < 0))).all())


def _by_channel(sources: list[torch.Tensor], wanted: torch.Tensor) -> Select | None:
    """The Select that takes whole slices of dimension 1; None if there is none."""
    if wanted.dim() < 2 or any(x.dim() != wanted.dim() or x.shape[2:] != wanted.shape[2:] for x in sources):
        return None
    together = torch.cat(sources, 1)
    index = _places(together.flatten(2)[0, :, 0] if together.dim() > 2 else together[0], _leaders(wanted))
    select = Select(index, padded=bool((index == together.shape[1]).any()))
    return select if _agree(select.moved(*sources), wanted) else None


def _leaders(wanted: torch.Tensor) -> torch.Tensor:
    return wanted.flatten(2)[0, :, 0] if wanted.dim() > 2 else wanted[0]


def _by_element(sources: list[torch.Tensor], wanted: torch.Tensor) -> Select | None:
    """The Select that takes single elements."""
    if wanted.shape[0] != 1 or any(x.shape[0] != 1 for x in sources):
        return None
    together = torch.cat([x.flatten(1) for x in sources], 1)[0]
    index = _places(together, wanted.flatten())
    select = Select(index, wanted.shape[1:], bool((index == len(together)).any()))
    return select if _agree(select.moved(*sources), wanted) else None


def _places(addresses: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Where each wanted address stands; behind the last where it is not there."""
    order = torch.argsort(addresses, stable=True)
    ranked = addresses[order]
    place = torch.searchsorted(ranked, wanted.contiguous()).clamp(max=len(ranked) - 1)
    return torch.where(ranked[place] == wanted, order[place], len(addresses))
