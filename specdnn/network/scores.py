"""Every score of a connection or a unit: strengths, relevance, weight norms, Taylor. Torch in, numpy out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from specdnn.network.labels import channels_of
from specdnn.network.modules import named
from specdnn.network.surgery import CompactNetwork, Reading
from specdnn.network.watching import BATCH_SIZE, by_unit, watched
from specdnn.network.wiring import Link
from specdnn.structures import Connections, Tick

Total: TypeAlias = Callable[[torch.Tensor], torch.Tensor]  # logits -> a number
Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # logits, targets -> a number

# ------------------------------------------------------------------------------------------ ends of links


@dataclass(frozen=True)
class Ends:
    """Which units a link connects: the node of each input (-1: none), and the rows that make each target node."""

    sources: np.ndarray
    rows: np.ndarray
    targets: np.ndarray


def ends_of(compact: CompactNetwork, link: Link) -> Ends:
    """A row that makes a channel makes all its features."""
    nodes = compact.wiring.nodes
    stays = np.flatnonzero(compact.wiring.marked(compact.kept))
    made = np.isin(nodes.channel[stays], channels_of(link.targets))
    targets = stays[made]
    channels = channels_of(link.targets)
    order = np.argsort(channels, kind="stable")
    first = np.searchsorted(channels, nodes.channel[targets], side="left", sorter=order)
    past = np.searchsorted(channels, nodes.channel[targets], side="right", sorter=order)
    rows = np.concatenate([order[a:b] for a, b in zip(first, past, strict=True)] or [np.zeros(0, dtype=np.int64)])
    return Ends(nodes.of(link.sources), rows, np.repeat(targets, past - first))


def _mean_by(values: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distinct names, mean of the rows of each); as it is where they are distinct."""
    distinct, group, counts = np.unique(names, return_inverse=True, return_counts=True)
    if len(distinct) == len(names):
        return names, values
    total = np.zeros((len(distinct), *values.shape[1:]))
    np.add.at(total, group, values)
    return distinct, total / counts.reshape(-1, *[1] * (values.ndim - 1))


# ------------------------------------------------------------------------------------------ strengths, relevance


def mean_weights(compact: CompactNetwork) -> list[np.ndarray]:
    """Mean |weight| of every connection: per link (inputs, rows) float64, times |gamma|/sigma of its BatchNorm."""
    return [_mean_weight(compact, link) for link in compact.wiring.links]


def _mean_weight(compact: CompactNetwork, link: Link) -> np.ndarray:
    weight = named(compact.network, f"{link.name}.weight").detach().abs().double()
    mean = (weight.flatten(2).mean(2) if weight.dim() > 2 else weight).T  # (inputs, rows)
    if link.scaled_by:
        mean = mean * _scale(named(compact.network, link.scaled_by))
    numbers: np.ndarray = mean.cpu().numpy()
    return numbers


def _scale(norm: Any) -> Any:
    """|gamma|/sigma of a BatchNorm, (channels,), or 1; it lies where the network does."""
    gamma = 1.0 if norm.weight is None else norm.weight.detach().abs().double()
    return gamma if norm.running_var is None else gamma / (norm.running_var.double() + norm.eps).sqrt()


def plain_weights(compact: CompactNetwork) -> list[Connections]:
    """Per link the mean |weight| between units."""
    links = compact.wiring.links
    return [_connections(ends_of(compact, one), w) for one, w in zip(links, mean_weights(compact), strict=True)]


def strengths(compact: CompactNetwork, activations: list[np.ndarray]) -> tuple[list[Connections], list[np.ndarray]]:
    """Strengths of all connections and relevance of all units, from the outputs backwards.

    strength(i->j) = mean|weight| x activation_i x relevance_j, `activations` per link (inputs,); relevance is 1 at
    each output and r_i += sum_j strength(i->j) over the links in reverse order of execution, every layer scaled to mean
    1. What an operation that is not understood reads has the mean relevance of what it gives. Returns (per link, in
    order of execution; per layer (kept units,)).
    """
    relevance = Relevance(compact)
    found: list[Connections] = []
    links = list(enumerate(zip(compact.wiring.links, activations, strict=True)))
    relevance.pass_on(compact, after=len(links))
    for number, (link, active) in reversed(links):
        one = _connections(ends_of(compact, link), _mean_weight(compact, link) * active[:, None])
        own = Connections(one.sources, one.targets, one.strengths * relevance.at(one.targets)[None, :])
        relevance.add(own.sources, own.strengths.sum(axis=1))
        found.insert(0, own)
        relevance.pass_on(compact, after=number)
    return found, relevance.by_layer()


def _connections(ends: Ends, weights: np.ndarray) -> Connections:
    """From unit to unit, the mean over all weights between them; what reads a constant is no unit's."""
    there = ends.sources >= 0
    sources, by_source = _mean_by(weights[there] if not there.all() else weights, ends.sources[there])
    targets, by_target = _mean_by(by_source.T[ends.rows], ends.targets)
    return Connections(sources, targets, by_target.T)


class Relevance:
    """Sums of strengths per unit, scaled to mean 1 in every layer when they are read."""

    def __init__(self, compact: CompactNetwork) -> None:
        layers = compact.wiring.layers
        self.nodes = [first + np.array(units) for first, units in zip(layers.offsets, compact.kept.units, strict=False)]
        self.layer_of = np.repeat(np.arange(len(layers.layers)), layers.widths)
        self.total = np.zeros(layers.offsets[-1])
        self.total[self.nodes[-1]] = 1.0

    def add(self, nodes: np.ndarray, values: np.ndarray) -> None:
        np.add.at(self.total, nodes, values)

    def pass_on(self, compact: CompactNetwork, after: int) -> None:
        """Over the operations between two links that are not understood, backwards."""
        for bridge in reversed(compact.wiring.bridges):
            if bridge.after == after:
                read, made = (self.known(compact.wiring.nodes.of(ends)) for ends in (bridge.sources, bridge.targets))
                self.add(read, np.full(len(read), self.at(made).mean() if len(made) else 0.0))

    def known(self, nodes: np.ndarray) -> np.ndarray:
        """Those that are units, each once, and are kept."""
        return np.intersect1d(nodes, np.concatenate(self.nodes))

    def at(self, nodes: np.ndarray) -> Any:
        scaled = np.zeros(len(self.total))
        for depth in np.unique(self.layer_of[nodes]):
            scaled[self.nodes[depth]] = self.layer(depth)
        return scaled[nodes]

    def layer(self, depth: int) -> np.ndarray:
        values: np.ndarray = self.total[self.nodes[depth]]
        outputs = depth == len(self.nodes) - 1
        return values if outputs or not values.any() else values / values.mean()

    def by_layer(self) -> list[np.ndarray]:
        return [self.layer(depth) for depth in range(len(self.nodes))]


# ------------------------------------------------------------------------------------------ scores of units


def _as_it_is(reading: list[Reading], inputs: int, width: int) -> bool:
    """Whether one link reads the units of one layer in their order, and nothing else."""
    if len(reading) != 1:
        return False
    _, own, places = reading[0]
    return len(own) == inputs == width and bool((own == places).all()) and bool((own == np.arange(width)).all())


def summed(compact: CompactNetwork, values: list[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Per layer but the outputs the sums (..., kept units) over all readers of `values`, per link (..., inputs)."""
    for units, reading in zip(compact.kept.units[:-1], compact.readers, strict=True):
        if reading and _as_it_is(reading, values[reading[0][0]].shape[-1], len(units)):
            yield values[reading[0][0]]
            continue
        total = values[0].new_zeros(*values[0].shape[:-1], len(units))
        for number, inputs, places in reading:
            taken = values[number][..., torch.as_tensor(inputs, device=total.device)]
            total = total.index_add(-1, torch.as_tensor(places, device=total.device), taken)
        yield total


def outgoing_norms(compact: CompactNetwork) -> Callable[[], list[torch.Tensor]]:
    """Gives per layer but the outputs the L2 norm of each unit's outgoing weights over all its readers, differentiable.

    Who reads what is found once, since a training asks for the norms in every step.
    """
    weights = [named(compact.network, f"{link.name}.weight") for link in compact.wiring.links]
    widths = map(len, compact.kept.units[:-1])
    layers = [_norms_of(*one, weights) for one in zip(compact.readers, widths, strict=True)]
    return lambda: [norms() for norms in layers]


def _norms_of(reading: list[Reading], units: int, weights: list[torch.Tensor]) -> Callable[[], torch.Tensor]:
    """Gives the norms of one layer."""
    if reading and _as_it_is(reading, weights[reading[0][0]].shape[1], units):
        return lambda: _rows(weights[reading[0][0]]).norm(dim=1)
    device = weights[0].device
    taken = [(weights[k], *(torch.as_tensor(part, device=device) for part in parts)) for k, *parts in reading]
    return lambda: _norms_over(taken, weights[0].new_zeros(units))


def _rows(weight: torch.Tensor) -> torch.Tensor:
    """The weights (inputs, ...) that each input of a link goes out by."""
    return weight.transpose(0, 1).flatten(1)


def _norms_over(reading: list[tuple[torch.Tensor, ...]], squares: torch.Tensor) -> torch.Tensor:
    """The root of the sum of squares per unit; 0, with gradient 0, for a unit that nothing reads."""
    for weight, inputs, places in reading:
        squares = squares.index_add(0, places, _rows(weight)[inputs].pow(2).sum(1))
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1.0).sqrt(), 0.0)


def weight_norms(compact: CompactNetwork) -> list[np.ndarray]:
    """`outgoing_norms` as numpy arrays: the magnitude criterion.

    Outgoing weights, because pixels have no others; filters are often ranked by their incoming ones (Li et al. 2017).
    """
    return [norms.detach().double().cpu().numpy() for norms in outgoing_norms(compact)()]


def taylor(
    compact: CompactNetwork, images: torch.Tensor, targets: torch.Tensor, loss: Loss, tick: Tick = lambda: None
) -> list[np.ndarray]:
    """Per layer but the outputs each unit's Taylor score, (kept units,): how much the loss changes if it were 0.

    Mean over the images of |a x dloss/da| at the inputs of all links that read the unit, for a channel summed over its
    places first (Molchanov et al. 2017, "Pruning convolutional neural networks for resource efficient inference",
    equation 8). `images` (n, ...), `targets` (n, outputs), `loss(logits, targets)` their mean. A pixel is 0 where its
    normalised intensity is.
    """
    sums: list[Any] = [0] * (len(compact.kept.units) - 1)
    compact.network.eval()

    def total(wanted: torch.Tensor) -> Total:
        return lambda logits: loss(logits, wanted) * len(wanted)

    for batch, wanted in zip(images.split(BATCH_SIZE), targets.split(BATCH_SIZE), strict=True):
        for depth, change in enumerate(summed(compact, _changes(compact, batch, total(wanted)))):
            sums[depth] = sums[depth] + change.abs().double().sum(0)
        tick()
    return [(total / len(images)).cpu().numpy() for total in sums]


def attribution(
    compact: CompactNetwork,
    images: torch.Tensor,
    weights: torch.Tensor,
    means: Sequence[torch.Tensor],
    tick: Tick = lambda: None,
) -> list[np.ndarray]:
    """Per layer but the outputs each unit's centred Taylor score, (kept units,): how much the outputs change if it were
    its mean.

    Weighted mean over the images, and mean over the outputs z, of |(a - mean a) x dz/da| at the inputs of all links
    that read the unit, for a channel summed over its places first. `images` (n, ...), `weights` (n,), `means` per link
    (inputs,).
    """
    sums: list[Any] = [0] * (len(compact.kept.units) - 1)
    compact.network.eval()
    outputs = len(compact.kept.classes)
    for batch, weight in zip(images.split(BATCH_SIZE), weights.split(BATCH_SIZE), strict=True):
        for k in range(outputs):
            found = _changes(compact, batch, _sum_of(k), means)
            for depth, change in enumerate(summed(compact, found)):
                sums[depth] = sums[depth] + weight.double() @ change.abs().double() / outputs
        tick()
    return [(total / weights.sum()).cpu().numpy() for total in sums]


def _sum_of(output: int) -> Total:
    return lambda logits: logits[:, output].sum()


def _changes(
    compact: CompactNetwork, images: torch.Tensor, total: Total, centres: Sequence[torch.Tensor] | None = None
) -> list[torch.Tensor]:
    """Per link (a - centre) x dtotal/da of every image and input, (images, inputs); `total(logits)` is a number."""
    seen: dict[int, torch.Tensor] = {}

    def watch(number: int, inputs: torch.Tensor) -> torch.Tensor:
        # a view, since several links may read one tensor, and each has a part of its own in the gradient
        seen[number] = inputs.view_as(inputs) if inputs.requires_grad else inputs.detach().requires_grad_()
        return seen[number]

    with watched(compact, watch):
        logits = compact.network(images)
        own = [seen[number] for number in range(len(compact.wiring.links))]
        gradients = torch.autograd.grad(total(logits), own)
    found = []
    for number, (link, inputs, gradient) in enumerate(zip(compact.wiring.links, own, gradients, strict=True)):
        module = compact.network.get_submodule(link.name)
        if centres is None:
            change = by_unit(inputs.detach() * gradient, module)
        else:
            units, slope = by_unit(inputs.detach(), module), by_unit(gradient, module)
            change = (units - centres[number].to(units).view(1, -1, *[1] * (units.dim() - 2))) * slope
        found.append(change.sum(2) if change.dim() > 2 else change)
    return found
