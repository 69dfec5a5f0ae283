"""Cover -> kept units: the class community, the budget's widths, the trim's cut, the rivals' choices. numpy only."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from scipy import stats

from specdnn.structures import ClassCommunity, ClassGraph, Connections, Cover, KeptUnits, Layers, Nodes

Scores: TypeAlias = Sequence[np.ndarray]  # per layer but the outputs, (kept units,)

# How much faster than the others a prunable input layer widens with the budget; chosen on the validation split.
INPUT_POWER = 2
# Share of the relevance below which a community does not carry its class: those seen have 58 to 99 %, or under 15 %.
LEAST_RELEVANCE = 0.25


def captured_relevance(graph: ClassGraph, nodes: Nodes) -> float:
    """Mean over the prunable layers of (relevance of these nodes' units / relevance of the layer)."""
    units = graph.units(nodes)
    shares = [graph.relevance[d][units[d]].sum() / (graph.relevance[d].sum() or 1.0) for d in graph.layers.prunable]
    return float(np.mean(shares))


def class_community(
    cover: Cover, graph: ClassGraph, wanted_widths: Sequence[int], spanning: bool = True
) -> ClassCommunity | None:
    """The module that carries the wanted classes, or None if no significant module can.

    Candidates have a unit in every prunable layer; one that holds a wanted output comes first, then the
    one with the most captured relevance. While a layer has fewer units than `wanted_widths` (per layer), or
    less than LEAST_RELEVANCE is captured, the module with the next most captured relevance is joined.

    `spanning` False: any significant module is a candidate, and modules are joined until every prunable layer has a
    unit. In a deep network a module is local in depth, so that none spans it.
    """
    modules = sorted(cover.significant, key=lambda m: (-captured_relevance(graph, m.nodes), m.nodes))
    candidates = [m for m in modules if not spanning or spans(graph, m.nodes)]
    if not candidates:
        return None
    chosen = next((m for m in candidates if _holds_output(graph, m.nodes)), candidates[0])
    nodes, joined = np.array(chosen.nodes), 0
    for module in (m for m in modules if m is not chosen):
        enough = wide_enough(graph, nodes, wanted_widths) and spans(graph, nodes)
        if enough and captured_relevance(graph, nodes) >= LEAST_RELEVANCE:
            break
        nodes, joined = np.union1d(nodes, np.array(module.nodes)), joined + 1
    if not spans(graph, nodes):
        return None
    return ClassCommunity(
        nodes=nodes,
        significance=chosen.significance,
        output_in_community=_holds_output(graph, nodes),
        captured_relevance=captured_relevance(graph, nodes),
        joined=joined,
        module_sizes=tuple(sorted((len(m.nodes) for m in cover.significant), reverse=True)),
    )


def _holds_output(graph: ClassGraph, nodes: Nodes) -> bool:
    return bool(np.isin(graph.outputs, nodes).any())


def spans(graph: ClassGraph, nodes: Nodes) -> bool:
    """Whether every prunable layer has a unit among these nodes."""
    units = graph.units(nodes)
    return all(len(units[d]) for d in graph.layers.prunable)


def wide_enough(graph: ClassGraph, nodes: Nodes, wanted_widths: Sequence[int]) -> bool:
    """Whether every prunable layer has at least its wanted number of units among these nodes."""
    units = graph.units(nodes)
    return all(len(units[d]) >= wanted_widths[d] for d in graph.layers.prunable)


def kept_units(graph: ClassGraph, nodes: Nodes, current: KeptUnits) -> KeptUnits:
    """The units of a community; layers that cannot be pruned stay as in `current`."""
    units = graph.units(nodes)
    kept = current
    for depth in graph.layers.prunable:
        kept = kept.replace(depth, units[depth])
    return kept


def jaccard(one: KeptUnits, other: KeptUnits, depths: Sequence[int]) -> float:
    """Shared units / all units of two choices in the layers at `depths`; 0 where there is none."""
    first, second = ({(d, unit) for d in depths for unit in kept.units[d]} for kept in (one, other))
    return len(first & second) / (len(first | second) or 1)


def stability(chosen: Sequence[KeptUnits | None], depths: Sequence[int]) -> float:
    """Mean Jaccard of all pairs of `chosen` in the layers at `depths`; None (nothing found) has 0 with everything."""
    pairs = itertools.combinations(chosen, 2)
    return float(np.mean([jaccard(a, b, depths) if a and b else 0.0 for a, b in pairs]))


# ------------------------------------------------------------------------------------------ layer by layer


def layerwise_community(
    layers: Layers, weights: list[Connections], kept: KeptUnits, tolerance: float = 0.99
) -> KeptUnits | None:
    """The units of the published formula, which looks at one layer at a time; None if a layer loses all.

    C = the wanted outputs; layer by layer backwards, with w_ij = `weights` (per link the mean |weight| between units)
    and m units in the layer: x_j = sum over i in C of w_ij, r_j = exp(-(m/2) x_j / sum_k x_k - 1/2), sorted upwards;
    Omega_q = P(Bin(m, r_(q)) >= q); kept are the units before the first q with Omega_q > `tolerance`, and they are
    added to C. Layers that cannot be pruned stay whole.
    """
    inside = np.zeros(layers.offsets[-1], dtype=bool)
    for depth in reversed(range(len(layers.layers))):
        own = layers.offsets[depth] + np.array(kept.units[depth])
        if layers.layers[depth].prunable:
            best = _before_the_first_excess(_tied_to(inside, weights, own), tolerance)
            if len(best) == 0:
                return None
            own, kept = own[best], kept.replace(depth, np.array(kept.units[depth])[best])
        inside[own] = True
    return kept


def _tied_to(inside: np.ndarray, weights: list[Connections], nodes: np.ndarray) -> np.ndarray:
    """Sum of the weights from each of some nodes to the nodes marked `inside`."""
    total = np.zeros(len(inside))
    for one in weights:
        np.add.at(total, one.sources, one.strengths[:, inside[one.targets]].sum(axis=1))
    ties: np.ndarray = total[nodes]
    return ties


def _before_the_first_excess(into: np.ndarray, tolerance: float) -> np.ndarray:
    """Positions of the units of one layer that the published formula keeps, strongest first."""
    m = len(into)
    r = np.exp(-m / 2 * into / (into.sum() or 1.0) - 0.5)
    order = np.argsort(r, kind="stable")
    omega = stats.binom.sf(np.arange(m), m, r[order])  # P(X >= q) = P(X > q - 1)
    excess = np.flatnonzero(omega > tolerance)
    return order[: excess[0]] if len(excess) else order


# ------------------------------------------------------------------------------------------ the budget


def strongest(kept: KeptUnits, scores: Scores, widths: Sequence[int]) -> KeptUnits:
    """Of every layer the `widths` units with the highest scores (ties: the lower index)."""
    for depth, (units, score) in enumerate(zip(kept.units[:-1], scores, strict=True)):
        order = np.argsort(-np.asarray(score), kind="stable")[: widths[depth]]
        kept = kept.replace(depth, np.array(units)[order])
    return kept


def strongest_in_channels(
    layers: Layers, kept: KeptUnits, scores: Scores, widths: Sequence[int], channels: Sequence[int]
) -> KeptUnits:
    """Like `strongest`, but a flattened layer keeps features of exactly so many channels of its convolution.

    Features in more channels need more weights: with `channels` (per layer) the same, choices of the same widths
    have the same true weights. `layers` are the parent's.
    """
    found = strongest(kept, scores, widths)
    for depth, layer in enumerate(layers.layers[:-1]):
        if layer.channels:
            units = np.array(kept.units[depth])
            own = np.array(layer.channels)[units]
            best = _in_channels(own, scores[depth], widths[depth], channels[depth])
            found = found.replace(depth, units[best])
    return found


def _in_channels(channel: np.ndarray, score: np.ndarray, width: int, count: int) -> list[int]:
    """Positions of `width` units in `count` channels: of the best channels the best unit each, then the best others.

    `channel`: (units,), that of every unit. A channel is passed over if the units left could not fill the width; where
    no choice of channels can, more are taken.
    """
    order = np.argsort(-np.asarray(score), kind="stable").tolist()
    first: dict[int, int] = {}  # channel -> its best unit, the best channel first
    for unit in order:
        first.setdefault(int(channel[unit]), unit)
    size = {c: int((channel == c).sum()) for c in first}
    count = max(count, next(n for n in range(1, len(size) + 1) if _room(size.values(), n) >= width))
    taken: list[int] = []
    for c in first:
        left = [size[x] for x in first if x != c and x not in taken]
        room = sum(size[x] for x in [*taken, c]) + _room(left, count - len(taken) - 1)
        if len(taken) < count and room >= width:
            taken.append(c)
    best = [first[c] for c in taken]
    return (best + [unit for unit in order if channel[unit] in taken and unit not in best])[:width]


def _room(sizes: Iterable[int], count: int) -> int:
    """Units of the `count` largest channels."""
    return sum(sorted(sizes, reverse=True)[:count])


def ranked_across_layers(
    layers: Layers, kept: KeptUnits, scores: Scores, fits: Callable[[KeptUnits], bool]
) -> KeptUnits:
    """The units that lead one ranking over all layers and fit a budget: a choice that sets its widths itself.

    Scores are divided by the mean of their layer; by its L2 norm, as Molchanov et al. 2017 do, hardly a pixel stays
    (magnitude, class 3, 642 weights: 15-18-15 units and 86.2 % on validation instead of 27-21-3 and 95.6 %). The best
    unit of every layer comes first; a unit that does not fit any more is passed over, so that the budget is used up.
    `layers` are the parent's.
    """
    order = sorted((-score, depth, unit) for depth in layers.prunable for score, unit in _relative(kept, scores, depth))
    first = [1 if layer.prunable else layer.units for layer in layers.layers]
    found, too_dear = strongest(kept, scores, first), set()
    for _, depth, unit in order:
        channels = layers.layers[depth].channels
        alike = depth, channels[unit] if channels else 0  # what costs as much as this unit
        if alike in too_dear or unit in found.units[depth]:
            continue
        wider = found.replace(depth, (*found.units[depth], unit))
        if fits(wider):
            found = wider
        else:
            too_dear.add(alike)
    return found


def _relative(kept: KeptUnits, scores: Scores, depth: int) -> Iterator[tuple[float, int]]:
    """(score / mean of the layer, unit) of every unit of a layer."""
    score = np.asarray(scores[depth])
    return zip(score / (score.mean() or 1.0), kept.units[depth], strict=True)


def ties(graph: ClassGraph, kept: KeptUnits) -> list[np.ndarray]:
    """Per layer but the outputs each unit's ties inside the community: its strengths to other kept units."""
    inside = np.concatenate([graph.nodes(d, units) for d, units in enumerate(kept.units)])
    within = np.isin(graph.edges, inside).all(axis=1)
    total = np.zeros(graph.offsets[-1])
    for end in (0, 1):
        np.add.at(total, graph.edges[within, end], graph.strengths[within])
    return [total[graph.nodes(d, units)] for d, units in enumerate(kept.units[:-1])]


def budget_widths(
    full: Sequence[int],
    current: Sequence[int],
    prunable: Collection[int],
    fits: Callable[[tuple[int, ...]], bool],
) -> tuple[int, ...]:
    """The widest layers that meet a budget: width = full width ** s for one s in 0..1, at most `current`.

    A power keeps the shape between one unit per layer and the whole network. Units of a prunable input
    layer have no weights of their own and are near copies of their neighbours: they get 2 s. `fits`
    judges widths and must not turn false when a layer shrinks. With s = 0 every prunable layer has one
    unit; that is returned even if it does not fit.
    """

    def at(s: float) -> tuple[int, ...]:
        powers = (INPUT_POWER * s if depth == 0 else s for depth in range(len(full)))
        shrunk = (min(now, max(1, round(width**p))) for width, now, p in zip(full, current, powers, strict=True))
        return tuple(w if d in prunable else now for d, (w, now) in enumerate(zip(shrunk, current, strict=True)))

    low, high = 0.0, 1.0
    if fits(at(high)):
        return at(high)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(at(middle)) else (low, middle)
    return at(low)


def in_multiples(layers: Layers, kept: KeptUnits, scores: Scores, number: int) -> KeptUnits:
    """Of every prunable layer but the input a multiple of `number` units, those with the highest scores.

    A layer with fewer stays as it is. Of a flattened layer whole channels go, by the best unit of each. `layers` are
    the parent's.
    """
    for depth in layers.prunable:
        channels, units = layers.layers[depth].channels, kept.units[depth]
        group = np.array([channels[unit] for unit in units]) if channels else np.arange(len(units))
        _, place = np.unique(group, return_inverse=True)
        best = np.full(place.max() + 1, -np.inf)
        np.maximum.at(best, place, scores[depth])
        if depth > 0 and len(best) > number:
            stay = np.argsort(-best, kind="stable")[: len(best) // number * number]
            kept = kept.replace(depth, np.array(units)[np.isin(place, stay)])
    return kept


def trim_steps(current: Sequence[int], target: Sequence[int], count: int | None = None) -> list[tuple[int, ...]]:
    """Widths of the cuts from `current` to `target`: geometric means, then the target itself.

    `count` cuts, or as many as it takes until the last one halves at most.
    """
    steps: list[tuple[int, ...]] = []
    while len(steps) + 1 < count if count else any(c > 2 * t for c, t in zip(current, target, strict=True)):
        current = tuple(max(t, round((c * t) ** 0.5)) for c, t in zip(current, target, strict=True))
        steps.append(current)
    return steps + [tuple(target)] if count or steps == [] or steps[-1] != tuple(target) else steps
