"""Networks that were cut from one parent -> one network that gives their outputs side by side.

The graphs of the members become one: a single input, the modules of every member under a prefix of its own, and at the
end their outputs side by side in the order of the classes. Nodes of several members that do the same with equal
numbers to the same inputs are one node, so what members have in common is computed and stored once. All others stay
as they are: before any training every output has the very bits that its own network gives.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import fx, nn

from specdnn.network.labelling import Aliases
from specdnn.network.modules import Select, arguments, named
from specdnn.network.sharing import Block, share
from specdnn.network.surgery import CompactNetwork, reopened
from specdnn.network.tracing import in_place
from specdnn.network.wiring import Link, Wiring, trace
from specdnn.structures import Layers, SpecDNNError

Key: TypeAlias = tuple[Any, ...]  # equal where two nodes, modules or tensors are the same


def composed(members: Sequence[CompactNetwork]) -> CompactNetwork:
    """One network for all classes of networks that were cut from one parent: images -> logits (images, classes),
    ascending.

    It is its own parent: its layers are those of its graph, of which all units are kept, but for the outputs, which are
    those of the parent; the sizes that it is measured against are the parent's. Raises SpecDNNError, one sentence, if
    two members have a class in common, or are not of one parent.
    """
    _check(members)
    members = sorted(members, key=lambda member: member.kept.classes)
    classes = sorted(c for member in members for c in member.kept.classes)
    own = _merged(members, classes)
    *inner, outputs = own.layers.layers
    layers = Layers((*inner, dataclasses.replace(outputs, units=_outputs(members[0]), channels=())))
    kept = own.everything.replace(len(inner), classes)
    return reopened(own.network, torch.zeros(own.image_shape), layers, kept, members[0].wiring.parent_sizes)


def _outputs(member: CompactNetwork) -> int:
    """How many outputs the parent has."""
    return member.wiring.layers.widths[-1]


def _check(members: Sequence[CompactNetwork]) -> None:
    if len(members) < 2:
        raise SpecDNNError("a composition needs at least two networks")
    first, seen = members[0].wiring, set[int]()
    for member in members:
        if twice := sorted(seen & set(member.kept.classes)):
            raise SpecDNNError(f"class {twice[0]} is in two of the networks: compose networks of different classes")
        seen |= set(member.kept.classes)
        own = member.wiring
        if own.image_shape != first.image_shape:
            raise SpecDNNError(
                f"the networks take images of different shapes, {_sizes(first.image_shape)} and "
                f"{_sizes(own.image_shape)}: compose networks of one parent"
            )
        if (own.layers, own.parent_sizes) != (first.layers, first.parent_sizes):
            raise SpecDNNError("the networks were cut from different parents: compose networks of one parent")


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _merged(members: Sequence[CompactNetwork], classes: list[int]) -> Wiring:
    """The wiring of the members as one network."""
    work, first = Merger(), members[0].network
    found = work.graph.call_function(torch.cat, ([work.add(member) for member in members], 1))
    order = [c for member in members for c in member.kept.classes]
    if order != classes:
        work.root["in_order"] = Select([order.index(c) for c in classes])
        found = work.graph.call_module("in_order", (found,))
    work.graph.output(found)
    share(work.graph, work.root, work.links)
    network = fx.GraphModule(work.root, work.graph, type(first).__name__).eval()
    return trace(network.to(next(first.parameters()).device), torch.zeros(members[0].wiring.image_shape))


class Merger:
    """One graph that members are added to, one after the other."""

    def __init__(self) -> None:
        self.graph = fx.Graph()
        self.root: dict[str, Any] = {}
        self.images = self.graph.placeholder("images")
        self.known: dict[Key, fx.Node] = {}  # what a node does -> the node of an earlier member that does it
        self.links: dict[str, list[Block]] = {}  # name of a link -> those of the members that are not one yet

    def add(self, member: CompactNetwork) -> fx.Node:
        """Copy of a member what no earlier one does; returns the node that gives its outputs."""
        *nodes, output = member.network.graph.nodes
        prefix = f"of_{'_'.join(map(str, member.kept.classes))}"
        alone = _alone(member.network) | {output.args[0]}  # every class has an output of its own, to be trained
        copies: dict[fx.Node, fx.Node] = {}
        own: dict[Key, fx.Node] = {}
        links = {link.name: link for link in member.wiring.links}
        memory: dict[
            int, Any
        ] = {}  # one memory of copies for all, so that what a member shares with itself stays shared
        for node in nodes:
            if node.op == "placeholder":
                copies[node] = self.graph.call_method("clone", (self.images,)) if node in alone else self.images
                continue
            value = named(member.network, node.target) if node.op in ("call_module", "get_attr") else None
            key = None if node in alone else _key(node, value, copies)
            known = self.known.get(key) if key else None
            copies[node] = known or self.copy(node, value, prefix, copies, memory)
            if node.target in links and copies[node].target == f"{prefix}.{node.target}":
                self.remember(copies[node], links[node.target], member.wiring)
            if key:
                own.setdefault(key, copies[node])
        self.known.update(own)
        return copies[output.args[0]]

    def copy(
        self, node: fx.Node, value: Any, prefix: str, copies: dict[fx.Node, fx.Node], memory: dict[int, Any]
    ) -> fx.Node:
        """A node of a member in the graph of all, with its module or tensor."""
        target = node.target
        if value is not None:
            target = f"{prefix}.{node.target}"
            self.root[target] = copy.deepcopy(value, memory)
        args = fx.node.map_arg(node.args, lambda n: copies[n])
        return self.graph.create_node(node.op, target, args, fx.node.map_arg(node.kwargs, lambda n: copies[n]))

    def remember(self, node: fx.Node, link: Link, wiring: Wiring) -> None:
        """Note a link of a member, which may share its numbers with those of others."""
        if block := Block.of(node, self.root[str(node.target)], link, wiring):
            self.links.setdefault(link.name, []).append(block)


def _alone(network: fx.GraphModule) -> set[fx.Node]:
    """Nodes whose tensors change in place, now or later: nobody else may read them."""
    bases = Aliases(network).base
    changed = {base for node, base in bases.items() if in_place(node)}
    return {node for node, base in bases.items() if base in changed}


def _key(node: fx.Node, value: Any, copies: dict[fx.Node, fx.Node]) -> Key:
    """What a node does to which nodes; equal keys give equal results."""
    given = fx.node.map_arg((node.args, node.kwargs), lambda n: copies[n])
    return node.op, node.target if value is None else _content(value), repr(given)


def _content(value: nn.Module | torch.Tensor) -> Key:
    """All that a module or tensor is, to the last bit."""
    if torch.is_tensor(value):
        return type(value), _bits(value)
    own = {name: one for name, one in arguments(value).items() if not torch.is_tensor(one)}
    state = tuple((name, _bits(tensor)) for name, tensor in value.state_dict().items())
    return type(value), repr(value), repr(own), state


def _bits(tensor: torch.Tensor) -> Key:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return tensor.dtype, tuple(tensor.shape), flat.view(torch.uint8).numpy().tobytes()
