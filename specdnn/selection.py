"""Cover -> kept units: the class community, the budget's widths, the trim's cut. numpy only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from specdnn.structures import ClassCommunity, ClassGraph, Cover, KeptUnits

# How much faster than the others a prunable input layer widens with the budget; chosen on the validation split.
INPUT_POWER = 2


def captured_relevance(graph: ClassGraph, nodes) -> float:
    """Mean over the prunable layers of (relevance of these nodes' units / relevance of the layer)."""
    units = graph.units(nodes)
    shares = [graph.relevance[d][units[d]].sum() / (graph.relevance[d].sum() or 1.0) for d in graph.chain.prunable]
    return float(np.mean(shares))


def class_community(cover: Cover, graph: ClassGraph, wanted_widths) -> ClassCommunity | None:
    """The module that carries the wanted classes, or None if no significant module can.

    Candidates have a unit in every prunable layer; one that holds a wanted output comes first, then the
    one with the most captured relevance. While a layer has fewer units than `wanted_widths` (per layer)
    the module with the next most captured relevance is joined.
    """
    modules = sorted(cover.significant, key=lambda m: (-captured_relevance(graph, m.nodes), m.nodes))
    whole = [m for m in modules if all(len(graph.units(m.nodes)[d]) for d in graph.chain.prunable)]
    if not whole:
        return None
    chosen = next((m for m in whole if _holds_output(graph, m.nodes)), whole[0])
    nodes, joined = np.array(chosen.nodes), 0
    for module in (m for m in modules if m is not chosen):
        if wide_enough(graph, nodes, wanted_widths):
            break
        nodes, joined = np.union1d(nodes, module.nodes), joined + 1
    return ClassCommunity(
        nodes=nodes,
        significance=chosen.significance,
        output_in_community=_holds_output(graph, nodes),
        captured_relevance=captured_relevance(graph, nodes),
        joined=joined,
        module_sizes=tuple(sorted((len(m.nodes) for m in cover.significant), reverse=True)),
    )


def _holds_output(graph: ClassGraph, nodes) -> bool:
    return bool(np.isin(graph.outputs, nodes).any())


def wide_enough(graph: ClassGraph, nodes, wanted_widths) -> bool:
    """Whether every prunable layer has at least its wanted number of units among these nodes."""
    units = graph.units(nodes)
    return all(len(units[d]) >= wanted_widths[d] for d in graph.chain.prunable)


def kept_units(graph: ClassGraph, nodes, current: KeptUnits) -> KeptUnits:
    """The units of a community; layers that cannot be pruned stay as in `current`."""
    units = graph.units(nodes)
    kept = current
    for depth in graph.chain.prunable:
        kept = kept.replace(depth, units[depth])
    return kept


# ------------------------------------------------------------------------------------------ the budget


def strongest(kept: KeptUnits, scores, widths) -> KeptUnits:
    """Of every layer the `widths` units with the highest scores (ties: the lower index)."""
    for depth, (units, score) in enumerate(zip(kept.units[:-1], scores, strict=True)):
        order = np.argsort(-np.asarray(score), kind="stable")[: widths[depth]]
        kept = kept.replace(depth, np.array(units)[order])
    return kept


def ties(graph: ClassGraph, kept: KeptUnits) -> list[np.ndarray]:
    """Per layer but the outputs each unit's ties inside the community: its strengths to other kept units."""
    inside = np.concatenate([graph.nodes(d, units) for d, units in enumerate(kept.units)])
    within = np.isin(graph.edges, inside).all(axis=1)
    total = np.zeros(graph.offsets[-1])
    for end in (0, 1):
        np.add.at(total, graph.edges[within, end], graph.strengths[within])
    return [total[graph.nodes(d, units)] for d, units in enumerate(kept.units[:-1])]


def budget_widths(full, current, prunable, fits: Callable[[tuple[int, ...]], bool]) -> tuple[int, ...]:
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


def trim_steps(current, target) -> list[tuple[int, ...]]:
    """Widths of the cuts from `current` to `target`: geometric means until the last step halves at most."""
    steps = []
    while any(now > 2 * wanted for now, wanted in zip(current, target, strict=True)):
        current = tuple(max(t, round((c * t) ** 0.5)) for c, t in zip(current, target, strict=True))
        steps.append(current)
    return steps + [tuple(target)] if steps == [] or steps[-1] != tuple(target) else steps
