"""What is connected to what in a network: one trace with an example image gives units, links and pins.

Every element of every tensor is labelled with its unit. Data movement (flatten, cat, chunk, shuffle, slices, ...) is
executed on the labels themselves, so it needs no rule; what computes has one:

    image (1 channel)   conv, 4 channels      relu, pool      flatten                Linear, 3 neurons
    ┌───┐               a a  b b  c c  d d
    │   │ ── a link ──► a a  b b  c c  d d  ─ passed through ─ a0 a1 .. b0 .. d3 ── a link ──► p  q  r

A convolution or Linear that reads units and makes others is a *link*; BatchNorm, activations, pooling are *passed
through*; an elementwise operation of two tensors *joins* the units that meet (a residual stream is one set of units);
a grouped convolution joins the channels of a group to a bundle that goes as a whole. A Linear that reads a flattened
map makes every place of a channel a unit of its own, a *feature*, unless something else reads the whole channel.
Whatever is not understood *pins* the units that it touches: they stay, and the pin says why. Zeros that padding adds
are units of their own, which take part in joining.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from specdnn.network.labelling import IMAGES, Labelling
from specdnn.network.labels import HALF, Labels, at_channels, channels_of, places_of, spread
from specdnn.network.modules import module_of
from specdnn.network.operations import CONVOLUTIONS, LINEAR, MULTIPLYING, TABLES
from specdnn.network.tracing import fails_on, traced
from specdnn.structures import KeptUnits, Layer, Layers, Pin


@dataclass(frozen=True)
class Link:
    """A module with weights that reads units and makes units.

    `sources`: (inputs,) labels of what each input channel or column reads; `targets`: (outputs,) labels of the channels
    that the rows make. `kernel`: weights per row and column; `places`: how often they are applied to an image.
    `scaled_by`: the BatchNorm that reads what this link makes, or empty.
    """

    name: str
    sources: np.ndarray
    targets: np.ndarray
    kernel: int
    places: int
    bias: bool
    scaled_by: str = ""


@dataclass(frozen=True)
class Through:
    """A module or parameter that holds numbers for every unit that passes.

    `kind`: "norm" (BatchNorm, PReLU, ...), "groups" (GroupNorm), "bundles" (grouped convolution, whose inputs are
    `sources`), "table" (Embedding), "parameter" (along dimension `dim`). `labels`: (n,) of what passes; `weights`,
    `parameters`: numbers per label in tensors of two dimensions or more, and in all; `places`: how often they are
    applied to an image.
    """

    name: str
    kind: str
    labels: np.ndarray
    sources: np.ndarray
    weights: int
    parameters: int
    dim: int = 0
    places: int = 0


@dataclass(frozen=True)
class Bridge:
    """An operation that is not understood makes new units, `targets` (labels), of others, `sources`; it is executed
    after so many links.
    """

    sources: np.ndarray
    targets: np.ndarray
    after: int


@dataclass(frozen=True)
class Nodes:
    """The units of a network, numbered layer after layer.

    `channel`: (nodes,) the channel of each. `labels`: (features,) sorted labels of the units that are features, and
    `features` the node of each. `fixed`: (nodes,) whether a unit can never go, not even as an output nobody wants.
    `channels`: how many there are.
    """

    channel: np.ndarray
    labels: np.ndarray
    features: np.ndarray
    fixed: np.ndarray
    channels: int

    def feature(self, labels: np.ndarray) -> np.ndarray | None:
        """The node of each label that is a feature, -1 for the others; None if there are no features at all."""
        if not len(self.labels):
            return None
        place = np.minimum(np.searchsorted(self.labels, labels), len(self.labels) - 1)
        return np.where(self.labels[place] == labels, self.features[place], -1)

    def of(self, labels: np.ndarray) -> np.ndarray:
        """The node of each label, a feature or a whole channel."""
        first = np.full(self.channels, -1)
        first[self.channel[::-1]] = np.arange(len(self.channel))[::-1]
        whole, found = first[channels_of(labels)], self.feature(labels)
        return whole if found is None else np.where(found >= 0, found, whole)


@dataclass(frozen=True)
class Wiring:
    """Layers, links, passed-through modules and pins of a traced network.

    `network` is the traced one; `layers` and `nodes` are the uncut network's, whatever was cut already. `labels`: per
    operation of the graph the labels of what it gives for one image. `varying`: operations whose plain value depends on
    the number of images. `bridges`: where relevance passes though there is no link. `rest`: (weights, parameters, MACs)
    of what no unit has a part in, `parent_sizes` those of the uncut network. `notes` say in which respects the traced
    network is not what was given.
    """

    network: fx.GraphModule
    layers: Layers
    nodes: Nodes
    links: tuple[Link, ...]
    through: tuple[Through, ...]
    pins: tuple[Pin, ...]
    notes: tuple[str, ...]
    image_shape: tuple[int, ...]
    rest: tuple[int, int, int]
    labels: dict[str, Labels] = field(repr=False)
    varying: frozenset[str] = frozenset()
    bridges: tuple[Bridge, ...] = ()
    parent_sizes: tuple[int, int, int] = (0, 0, 0)

    def marked(self, kept: KeptUnits) -> np.ndarray:
        """(nodes,) whether each unit stays; pinned outputs do, wanted or not."""
        nodes: np.ndarray = self.nodes.fixed.copy()
        for first, units in zip(self.layers.offsets, kept.units, strict=False):
            nodes[first + np.asarray(units, dtype=np.int64)] = True
        return nodes

    @property
    def everything(self) -> KeptUnits:
        return KeptUnits.everything(self.layers)

    @property
    def vocabulary(self) -> float:
        """How many words there are, if images are words and a table has a vector for each; else 0.

        Infinite where something is done to the words before they are looked up, so that others may be allowed.
        """
        called = [(node, module_of(node, self.network)) for node in self.network.graph.nodes]
        tables = [(node.all_input_nodes[0], module) for node, module in called if isinstance(module, TABLES)]
        direct = [table.num_embeddings for source, table in tables if _before_casts(source).op == "placeholder"]
        return min(direct, default=math.inf if tables else 0)

    def weights(self, kept: KeptUnits) -> int:
        """Numbers in tensors of two dimensions or more of the network that holds just `kept`."""
        return self.sizes(kept)[0]

    def parameters(self, kept: KeptUnits) -> int:
        return self.sizes(kept)[1]

    def macs(self, kept: KeptUnits) -> int:
        """Multiply-accumulates of one image in convolutions and Linears."""
        return self.sizes(kept)[2]

    def sizes(self, kept: KeptUnits) -> tuple[int, int, int]:
        """(weights, parameters, MACs), by arithmetic."""
        alive = Alive(self, kept)
        weights, parameters, macs = self.rest
        for link in self.links:
            rows, columns = alive.count(link.targets), alive.count(link.sources)
            own = rows * columns * link.kernel
            weights, parameters, macs = weights + own, parameters + own + rows * link.bias, macs + own * link.places
        for one in self.through:
            count = alive.count(one.labels)
            weights, parameters = weights + count * one.weights, parameters + count * one.parameters
            macs += count * one.weights * one.places
        return weights, parameters, macs

    def told(self) -> tuple[str, ...]:
        """Sentences on what is not as in the given network, and on what cannot be cut."""
        if not self.pins:
            return self.notes
        inside = self.layers.layers[1:-1]
        stay, count = sum(layer.units for layer in inside if not layer.prunable), sum(layer.units for layer in inside)
        first = "; ".join(f"{pin.operation} ({pin.units})" for pin in self.pins[:3])
        more = f"; and {len(self.pins) - 3} more, which the metrics file names" if len(self.pins) > 3 else ""
        return (*self.notes, f"{stay} of {count} units are pinned and stay, since not understood is: {first}{more}")


def _before_casts(node: fx.Node) -> fx.Node:
    while node.op == "call_method" and node.target in ("int", "long", "to"):
        node = node.all_input_nodes[0]
    return node


class Alive:
    """What stays of labels if just some units are kept."""

    def __init__(self, wiring: Wiring, kept: KeptUnits) -> None:
        self.nodes, self.marked = wiring.nodes, wiring.marked(kept)
        self.channels = np.ones(self.nodes.channels, dtype=bool)  # those without units stay
        self.channels[self.nodes.channel] = False
        self.channels[self.nodes.channel[self.marked]] = True

    def __call__(self, labels: np.ndarray) -> Any:
        """(n,) whether each stays: a feature by itself, a channel with any of its features."""
        whole = self.channels[channels_of(labels)]
        found = self.nodes.feature(labels)
        return whole if found is None else np.where(found >= 0, self.marked[found], whole)

    def count(self, labels: np.ndarray) -> int:
        return int(self(labels).sum())


# ------------------------------------------------------------------------------------------ trace


def trace(network: nn.Module, image: torch.Tensor, bundles: Collection[str] = ()) -> Wiring:
    """The wiring of a network, seen on an example image (channels, height, width) or of any other shape.

    The network itself stays as it is: a copy is traced. `bundles` are the names of convolutions, GroupNorms and means
    over parts of channels that work on a single group, all that a cut left of several: its units are one. Raises
    SpecDNNError, one sentence, where torch.fx cannot trace it, where it takes or gives more than one tensor, or where
    it fails on two such images.
    """
    module, notes = traced(network, image)
    parameter = next(module.parameters(), image)
    images = image.to(parameter)[None].expand(IMAGES, *image.shape).contiguous()
    try:
        with torch.no_grad():
            walk = Labelling(module, images, bundles)
    except Exception as error:  # whatever the user's forward raises
        raise fails_on(image, network, error) from None
    walk.run()
    return summed_up(walk, notes, tuple(image.shape))


def summed_up(walk: Labelling, notes: tuple[str, ...], image_shape: tuple[int, ...]) -> Wiring:
    """What a walk through the graph found, in units of final names."""
    units = Units.of(walk)
    layers, nodes = arranged(walk, units)
    links = tuple(Link(**_resolved(walk, one, "sources", "targets")) for one in walk.links)
    through = tuple(Through(**_resolved(walk, one, "labels", "sources")) for one in walk.through)
    bridges = tuple(Bridge(**_resolved(walk, one, "sources", "targets")) for one in walk.bridges)
    plain = (name for name in walk.values if name not in walk.labelled)
    varying = frozenset(name for name in plain if not _same(walk.seen.get(name), walk.values[name]))
    found = Wiring(
        walk.network, layers, nodes, links, through, pins_of(walk, nodes), notes, image_shape, (0, 0, 0),
        all_labels(walk), varying, bridges,
    )  # fmt: skip
    whole = whole_sizes(walk)
    weights, parameters, macs = (a - b for a, b in zip(whole, found.sizes(found.everything), strict=True))
    return dataclasses.replace(found, rest=(weights, parameters, macs), parent_sizes=whole)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and not torch.is_tensor(one) and one == other


def whole_sizes(walk: Labelling) -> tuple[int, int, int]:
    """(weights, parameters, MACs) of the whole network, counted module by module."""
    parameters, macs = list(walk.network.parameters()), 0
    for node in walk.network.graph.nodes:
        module = module_of(node, walk.network)
        if isinstance(module, (*CONVOLUTIONS, *LINEAR)):
            shape = tuple(module.weight.shape)
        elif node.target in MULTIPLYING:
            shape = walk.seen[node.kwargs["weight"].name if "weight" in node.kwargs else node.args[1].name]
        else:
            continue
        macs += int(np.prod(shape)) * (int(np.prod(walk.shape(node))) // shape[0])
    return sum(p.numel() for p in parameters if p.dim() > 1), sum(p.numel() for p in parameters), macs


def resolved(walk: Labelling, labels: torch.Tensor) -> torch.Tensor:
    """Labels whose channels and places have their final names."""
    return (walk.channels(channels_of(labels)) << HALF) | walk.places(places_of(labels))


def _resolved(walk: Labelling, one: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**one, **{name: resolved(walk, one[name]).numpy() for name in names}}


def all_labels(walk: Labelling) -> dict[str, Labels]:
    """Per operation its labels; those of several places name the whole channels, unless they are flattened."""
    done: dict[int, torch.Tensor] = {}

    def final(labels: Any) -> Labels:
        if isinstance(labels, (tuple, list)):
            return tuple(map(final, labels))
        if torch.is_tensor(labels) and id(labels) not in done:
            found = resolved(walk, labels)
            done[id(labels)] = found if labels.dim() == 2 else spread(at_channels(found))
        return done[id(labels)] if torch.is_tensor(labels) else None

    return {node.name: final(walk.values[node.name]) for node in walk.network.graph.nodes if node.name in walk.labelled}


# ------------------------------------------------------------------------------------------ units and layers


@dataclass(frozen=True)
class Units:
    """Labels of all units, sorted, and per channel (channels,) what is known of it.

    `fixed`: whether it can never go; `maker`: which of the makers makes it first, `row`: as which of its rows.
    """

    labels: np.ndarray
    fixed: np.ndarray
    maker: np.ndarray
    row: np.ndarray

    @classmethod
    def of(cls, walk: Labelling) -> Units:
        count = len(walk.channels.root)
        maker, row = np.full(count, len(walk.made)), np.zeros(count, dtype=np.int64)
        for number, (_, channels) in reversed(list(enumerate(walk.made))):
            roots = walk.channels(channels).numpy()[::-1]
            maker[roots], row[roots] = number, np.arange(len(roots))[::-1]
        fixed, inputs = _marked(walk, (channels for _, channels in walk.pinned)), _marked(walk, [walk.input])
        fixed |= inputs & _marked(walk, (channels_of(one["sources"]) for one in walk.through))  # in a bundle
        unmade = maker == len(walk.made)  # zeros that padding adds, and constants
        features = _features(walk, unmade | fixed | _marked(walk, [*walk.whole, channels_of(walk.output)]))
        flattened = np.zeros(count, dtype=bool)
        flattened[channels_of(features)] = True
        whole = np.flatnonzero(~unmade & ~flattened)
        return cls(np.sort(np.concatenate([features, whole << HALF])), fixed | (inputs & ~flattened), maker, row)


def _marked(walk: Labelling, many: Iterable[torch.Tensor]) -> np.ndarray:
    """(channels,) whether each is among some."""
    found = np.zeros(len(walk.channels.root), dtype=bool)
    for channels in many:
        found[walk.channels(channels).numpy()] = True
    return found


def _features(walk: Labelling, whole: np.ndarray) -> np.ndarray:
    """Labels of the features: what is read of channels that nothing reads as a whole and that are not `whole`."""
    sources = [resolved(walk, one["sources"]).numpy() for one in walk.links]
    read: np.ndarray = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *sources]))
    whole = whole.copy()
    whole[channels_of(read[places_of(read) == 0])] = True
    features: np.ndarray = read[~whole[channels_of(read)]]
    return features


def arranged(walk: Labelling, units: Units) -> tuple[Layers, Nodes]:
    """Units that lie in the same tensors and that the same links read form a layer, in order of execution; so nothing
    is ever left empty while every layer keeps a unit.
    """
    channel = channels_of(units.labels)
    order = _layer_order(walk, units, channel)
    labels, group = units.labels[order[0]], order[1]
    channel = channels_of(labels)
    feature = places_of(labels) > 0
    fixed = units.fixed[channel]
    layers = _layers(walk, units, labels, group, fixed)
    known = np.argsort(labels[feature])
    nodes = Nodes(channel, labels[feature][known], np.flatnonzero(feature)[known], fixed, len(units.fixed))
    return layers, nodes


def _layer_order(walk: Labelling, units: Units, channel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(order of the units, number of the layer of each in that order)."""
    outputs = walk.channels(channels_of(walk.output)).numpy()
    wanted = np.isin(channel, outputs)
    alike = _alike(walk, units, channel, wanted)
    maker, row = units.maker[channel].copy(), units.row[channel].copy()
    alike[wanted], maker[wanted] = alike.max() + 1, 0  # the outputs are one layer, in their order, whoever makes them
    number = {root: k for k, root in enumerate(outputs.tolist())}
    row[wanted] = [number[root] for root in channel[wanted].tolist()]
    order = np.lexsort((places_of(units.labels), row, -alike, maker, wanted))
    changes = np.concatenate([[0], np.flatnonzero(np.diff(alike[order])) + 1])
    return order, np.searchsorted(changes, np.arange(len(order)), side="right") - 1


def _alike(walk: Labelling, units: Units, channel: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(units,) equal numbers for units of the same tensors and readers; larger ones for units of earlier tensors.

    So the order of layers does not depend on which units of a layer are there.
    """
    found: np.ndarray = wanted * 2 + units.fixed[channel]
    for member in _tensors(walk, units.labels):
        found = _refined(found, member)
    flattened = np.isin(units.labels, units.labels[places_of(units.labels) > 0])
    for one in walk.links:
        read = resolved(walk, one["sources"]).numpy()
        found = _refined(found, np.where(flattened, np.isin(units.labels, read), np.isin(channel, channels_of(read))))
    return found


def _tensors(walk: Labelling, units: np.ndarray) -> list[np.ndarray]:
    """Per tensor of the network, (units,) whether each lies in it; those alike just once."""
    values = [value for name, value in walk.values.items() if name in walk.labelled]
    tensors = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    distinct = {id(one): one for one in tensors if torch.is_tensor(one)}.values()
    feature = places_of(units) > 0
    members = []
    for one in distinct:
        member = _marked(walk, [channels_of(one)])[channels_of(units)]
        if one.dim() == 2 and member[feature].any():
            member &= ~feature | np.isin(units, resolved(walk, one).numpy())
        members.append(member)
    return list({member.tobytes(): member for member in members}.values())


def _refined(groups: np.ndarray, member: np.ndarray) -> np.ndarray:
    return np.unique(groups * 2 + member, return_inverse=True)[1].reshape(-1)


def _layers(walk: Labelling, units: Units, labels: np.ndarray, group: np.ndarray, fixed: np.ndarray) -> Layers:
    """The layers of units in their order, named after the module that makes them first; the outputs come last."""
    found, taken = [], dict[str, int]()
    for number in range(group.max() + 1):
        own = group == number
        channels = channels_of(labels[own])
        name = walk.made[units.maker[channels[0]]][0]
        taken[name] = taken.get(name, 0) + 1
        name = name if taken[name] == 1 else f"{name}:{taken[name]}"
        inside = np.unique(channels, return_inverse=True)[1].reshape(-1)
        last = number == group.max()
        grouped = number > 0 and len(set(channels.tolist())) < len(channels)  # pixels have no weights of their own
        prunable = not (last or fixed[own].any())
        found.append(Layer(name, len(channels), prunable, tuple(inside.tolist()) if grouped else ()))
    return Layers(tuple(found))


def pins_of(walk: Labelling, nodes: Nodes) -> tuple[Pin, ...]:
    """Why units are pinned, each reason with the number of units that it pins."""
    reasons: dict[str, list[np.ndarray]] = {}
    for why, channels in walk.pinned:
        reasons.setdefault(why, []).append(walk.channels(channels).numpy())
    counts = {why: int(np.isin(nodes.channel, np.concatenate(found)).sum()) for why, found in reasons.items()}
    return tuple(Pin(why, count) for why, count in counts.items() if count)
