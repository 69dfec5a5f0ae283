"""Kept units -> compact network, and its dull twin, the masked parent. Nobody else slices a parameter."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from torch import fx, nn

from specdnn.network.compaction import compacted
from specdnn.network.labels import Labels
from specdnn.network.modules import Select, arguments, module_of, named
from specdnn.network.operations import Multiplying
from specdnn.network.wiring import Alive, Link, Through, Wiring, trace
from specdnn.structures import KeptUnits, Layers

Reading: TypeAlias = tuple[int, np.ndarray, np.ndarray]  # number of a link, its inputs, the places of their units
AnyCut = TypeVar("AnyCut", Link, Through)


@dataclass(frozen=True)
class CompactNetwork:
    """A traced network together with the parent's units that it holds (a parent holds them all)."""

    wiring: Wiring
    kept: KeptUnits

    @classmethod
    def parent(cls, network: nn.Module, image: torch.Tensor) -> CompactNetwork:
        """A copy of a network, traced with an example image (channels, height, width)."""
        wiring = trace(network, image)
        return cls(wiring, wiring.everything)

    @property
    def network(self) -> fx.GraphModule:
        return self.wiring.network

    @functools.cached_property
    def readers(self) -> list[list[Reading]]:
        """Per layer but the outputs the links that read it: (number of the link, its inputs, their units' places)."""
        nodes, offsets = self.wiring.nodes, self.wiring.layers.offsets
        found: list[list[Reading]] = [[] for _ in self.kept.units[:-1]]
        sources = [nodes.of(link.sources) for link in self.wiring.links]
        for depth, (first, units) in enumerate(zip(offsets, self.kept.units[:-1], strict=False)):
            own = first + np.array(units)
            for number, read in enumerate(sources):
                inputs = np.flatnonzero(np.isin(read, own))
                if len(inputs):
                    found[depth].append((number, inputs, np.searchsorted(own, read[inputs])))
        return found


def cut(parent: CompactNetwork, kept: KeptUnits) -> CompactNetwork:
    """The compact network that holds just `kept`, with the weights of `parent`.

    Raises ValueError if `parent` lacks one of the units.
    """
    return _made(parent, kept, sliced)


def fresh(parent: CompactNetwork, kept: KeptUnits) -> CompactNetwork:
    """The compact network that holds just `kept`, with first weights by torch's generator.

    Raises ValueError if `parent` lacks one of the units.
    """
    return _made(parent, kept, first)


def _made(parent: CompactNetwork, kept: KeptUnits, make: Callable[..., Any]) -> CompactNetwork:
    outputs, alive = kept.within(parent.kept)[-1], Alive(parent.wiring, kept)
    for layer, units, before in zip(parent.wiring.layers.layers[:-1], kept.units, parent.kept.units, strict=False):
        if units != before and not layer.prunable:
            raise ValueError(f"the units of layer {layer.name} are pinned: none of them can go")
    graph, selects, labels = compacted(parent.wiring, alive, outputs)
    root: dict[str, Any] = {name: select.to(_device(parent.network)) for name, select in selects.items()}
    links, through = parent.wiring.links, parent.wiring.through
    cuts: dict[str, Link | Through] = {**{one.name: one for one in links}, **{one.name: one for one in through}}
    copies: dict[int, Any] = {}  # one memory of copies for all, so that what is shared stays shared
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr") and node.target not in root:
            root[node.target] = make(named(parent.network, node.target), cuts.get(node.target), alive, copies)
    network = fx.GraphModule(root, graph, type(parent.network).__name__).train(parent.network.training)
    return CompactNetwork(restricted(parent.wiring, network, alive, labels), kept)


def _device(network: nn.Module) -> torch.device | None:
    return next((p.device for p in network.parameters()), None)


def without_gathering(network: fx.GraphModule) -> tuple[Select, fx.GraphModule] | None:
    """What takes the kept pixels out of the images, and what follows it; None if a network begins with something else.

    What follows is made of the same modules, so it is trained and restored with the network.
    """
    images = next(node for node in network.graph.nodes if node.op == "placeholder")
    reader, *others = images.users
    gathering = module_of(reader, network)
    if others or not isinstance(gathering, Select):
        return None
    graph = fx.Graph()
    pixels = graph.placeholder(images.name)
    graph.output(graph.graph_copy(network.graph, {images: pixels, reader: pixels}))
    return gathering, fx.GraphModule(network, graph, type(network).__name__)


def restricted(wiring: Wiring, network: fx.GraphModule, alive: Alive, labels: dict[str, Labels]) -> Wiring:
    """The wiring of what a cut left, in the numbers of the parent."""

    def left(one: AnyCut, *names: str) -> AnyCut:
        return dataclasses.replace(one, **{name: getattr(one, name)[alive(getattr(one, name))] for name in names})

    return dataclasses.replace(
        wiring,
        network=network,
        labels=labels,
        links=tuple(left(link, "sources", "targets") for link in wiring.links),
        through=tuple(left(one, "labels", "sources") for one in wiring.through),
    )


# ------------------------------------------------------------------------------------------ modules


def sliced(module: Any, one: Link | Through | None, alive: Alive, copies: dict[int, Any]) -> Any:
    """A copy of a module or tensor of what stays."""
    if one is None:
        return copy.deepcopy(module, copies)
    labels = (one.targets, one.sources) if isinstance(one, Link) else (one.labels, one.sources)
    rows, columns = (torch.as_tensor(np.flatnonzero(alive(own))) for own in labels)
    if isinstance(one, Through) and torch.is_tensor(module):
        return _like(module, module.detach().index_select(one.dim, rows.to(module.device)))
    smaller = nn.utils.skip_init(type(module), **_resized(module, one, len(rows), len(columns)), device="cpu")
    if isinstance(one, Link):
        _fill(smaller, module, rows, columns)
    elif one.kind == "table":
        _fill(smaller, module, torch.arange(module.num_embeddings), rows)
    else:
        _fill(smaller, module, rows, None)
    return smaller.train(module.training)


def first(module: Any, one: Link | Through | None, alive: Alive, copies: dict[int, Any]) -> Any:
    """The same with first weights; a parameter of the network itself keeps its own."""
    if one is None and not torch.is_tensor(module):
        again = copy.deepcopy(module, copies)
        for inner in again.modules():
            if hasattr(inner, "reset_parameters"):
                inner.reset_parameters()
        return again
    if one is None or torch.is_tensor(module):
        return sliced(module, one, alive, copies)
    rows = alive.count(one.targets if isinstance(one, Link) else one.labels)
    again = type(module)(**_resized(module, one, rows, alive.count(one.sources)))
    tensor = next(iter(module.state_dict().values()))
    return again.to(tensor.device, tensor.dtype if tensor.is_floating_point() else None).train(module.training)


def _resized(module: Any, one: Link | Through, rows: int, columns: int) -> dict[str, Any]:
    """The arguments of a module's class for other numbers of outputs and inputs."""
    own = arguments(module)
    if isinstance(one, Through) and one.kind == "bundles":
        own["groups"] = columns * module.groups // module.in_channels
    if isinstance(one, Through) and one.kind == "groups":
        own["num_groups"] = rows * module.num_groups // module.num_channels
    names = {"out_features": rows, "out_channels": rows, "in_features": columns, "in_channels": columns}
    if isinstance(one, Through) and one.kind != "bundles":
        names = dict.fromkeys(("num_features", "num_channels", "num_parameters", "embedding_dim"), rows)
    return own | {name: value for name, value in names.items() if name in own}


def _fill(smaller: nn.Module, module: nn.Module, rows: torch.Tensor, columns: torch.Tensor | None) -> None:
    """Give a new module the rows (first dimension) and columns (second) of an old one's tensors."""
    parameters = dict(module.named_parameters(recurse=False))
    for name, old in (*parameters.items(), *module.named_buffers(recurse=False)):
        new = old.detach().clone() if old.dim() == 0 else old.detach()[rows.to(old.device)]
        if columns is not None and old.dim() > 1:
            new = new[:, columns.to(old.device)]
        setattr(smaller, name, _like(old, new.contiguous()))


def _like(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    return nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new


@torch.no_grad()
def absorb(module: Multiplying, mean: float, deviation: float) -> None:
    """Make a Linear or a convolution without padding take x where it took (x - mean) / deviation.

    Worked out in double precision, in place.
    """
    weight = module.weight.double() / deviation
    bias = -mean * weight.flatten(1).sum(1)
    bias = bias if module.bias is None else bias + module.bias.double()
    for name, tensor in {"weight": weight, "bias": bias}.items():
        setattr(module, name, nn.Parameter(tensor.to(module.weight)))


@torch.no_grad()
def rewrite(module: Multiplying, weight: torch.Tensor) -> None:
    """Give a Linear or a convolution other weights, (rows, inputs x places of the kernel), in place."""
    module.weight.copy_(weight.reshape(module.weight.shape))


@torch.no_grad()
def shift(network: nn.Module, link: Link, by: torch.Tensor) -> None:
    """Add `by` (rows,) to what a link gives: to its bias, else to what the BatchNorm behind it takes for its mean.

    In place. Nothing happens where neither is there; see `can_shift`.
    """
    bias = named(network, link.name).bias
    if bias is not None:
        bias.add_(by.to(bias))
    elif can_shift(network, link):
        running = named(network, link.scaled_by).running_mean
        running.sub_(by.to(running))


def can_shift(network: nn.Module, link: Link) -> bool:
    """Whether something holds a number that is added to each row of a link."""
    norm = named(network, link.scaled_by) if link.scaled_by else None
    return named(network, link.name).bias is not None or getattr(norm, "running_mean", None) is not None


# ------------------------------------------------------------------------------------------ the masked parent


class Masked(nn.Module):
    """A network that silences, at the input of every link, what is not kept, and gives the wanted outputs only.

    images -> logits (images, wanted classes). The links' modules are found by name, so it works on the user's own
    network as well as on a traced one.
    """

    def __init__(self, network: nn.Module, parent: CompactNetwork, kept: KeptUnits) -> None:
        super().__init__()
        self.network, self.outputs = copy.deepcopy(network), kept.within(parent.kept)[-1].tolist()
        alive = Alive(parent.wiring, kept)
        for link in parent.wiring.links:
            module = self.network.get_submodule(link.name)
            module.register_forward_pre_hook(_silencer(torch.as_tensor(alive(link.sources)), module))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(images)
        return logits[:, self.outputs]


def _silencer(stays: torch.Tensor, module: nn.Module) -> Callable[..., tuple[Any, ...]]:
    """What multiplies a module's input by 0 or 1 along the dimension that it reads."""
    dim = -1 if isinstance(module, nn.Linear) else 1

    def silence(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x, shape = inputs[0], [1] * inputs[0].dim()
        shape[dim] = len(stays)
        return (x * stays.to(x).view(shape), *inputs[1:])

    return silence


def masked(parent: CompactNetwork, kept: KeptUnits, network: nn.Module | None = None) -> Masked:
    """The parent with the inputs of every link silenced where a unit is not kept; of `network`, if it is given."""
    return Masked(network or parent.network, parent, kept)


# ------------------------------------------------------------------------------------------ after loading


def reopened(
    network: nn.Module, image: torch.Tensor, layers: Layers, kept: KeptUnits, sizes: tuple[int, int, int] | None = None
) -> CompactNetwork:
    """A compact network that was saved, traced again, in the numbers of the parent, whose layers `layers` are, and
    which has `sizes` (weights, parameters, MACs).

    Raises ValueError if its layers are not those of the parent with these units.
    """
    own = trace(network, image)
    names, widths, places = _expected(layers, kept, own.layers)
    found = dict(zip(own.layers.names, own.layers.widths, strict=True))
    single = (trace(network, image, bundles) for bundles in _single_groups(own, layers))
    fitting = (one for one in chain([own], single) if _fits(one.layers, names, widths, layers))
    fits = next(fitting, None)
    if fits is None:
        expected = dict(zip(layers.names, kept.widths, strict=True))
        raise ValueError(f"its layers {found} contradict its kept units {expected}")
    place = np.concatenate(places)
    total, channels = int(layers.offsets[-1]), fits.nodes.channels
    fixed, channel = np.zeros(total, dtype=bool), channels + np.arange(total)  # what is gone has channels of its own
    channel[place], fixed[place] = fits.nodes.channel, fits.nodes.fixed
    features = place[fits.nodes.features]
    nodes = dataclasses.replace(fits.nodes, channel=channel, fixed=fixed, features=features, channels=channels + total)
    sizes = sizes or fits.parent_sizes
    return CompactNetwork(dataclasses.replace(fits, layers=layers, nodes=nodes, parent_sizes=sizes), kept)


def _expected(
    layers: Layers, kept: KeptUnits, own: Layers
) -> tuple[tuple[str, ...], tuple[int, ...], list[np.ndarray]]:
    """(names, widths, nodes of the parent) of the layers that a cut leaves, as a trace of it finds them.

    Outputs that nobody wants, but that are pinned, are a layer of their own then.
    """
    places = [first + np.array(units) for first, units in zip(layers.offsets, kept.units, strict=False)]
    names, last = layers.names, layers.names[-1]
    if own.names == (*names, f"{last}:2"):
        whole = np.arange(layers.offsets[-2], layers.offsets[-1])
        names, places = own.names, [*places[:-1], np.setdiff1d(whole, places[-1]), places[-1]]
    return names, tuple(map(len, places)), places


def _fits(own: Layers, names: tuple[str, ...], widths: tuple[int, ...], layers: Layers) -> bool:
    """Whether layers have these names and widths, and nothing is pinned that is not in the parent's."""
    if own.names != names or own.widths != widths:
        return False
    pairs = zip(own.layers, layers.layers[:-1], strict=False)
    return all(mine.prunable or mine.units == 1 or not parents.prunable for mine, parents in pairs)


def _single_groups(own: Wiring, layers: Layers) -> Iterator[list[str]]:
    """Names of what may be all that a cut left of several groups: fewer at first, then more."""
    modules, nodes = dict(own.network.named_modules()), own.network.graph.nodes
    means = [node.name for node in nodes if node.op in ("call_function", "call_method")]
    norms = [name for name, module in modules.items() if getattr(module, "num_groups", 0) == 1]
    plain = [n for n, module in modules.items() if getattr(module, "groups", 0) == 1 and n not in layers.names]
    extra = [name for name in own.layers.names if name in plain]  # in the parent they make no units
    yield from (extra, norms + extra, extra + means, norms + extra + means, norms + plain + means)
