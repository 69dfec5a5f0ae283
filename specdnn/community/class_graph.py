"""Strengths -> class graph, and a networkx view of it. No torch, no disk."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import networkx
import numpy as np

from specdnn.community.formats import LEAST
from specdnn.structures import ClassGraph, Connections, KeptUnits, Layers


def class_graph(
    layers: Layers, kept: KeptUnits, found: list[Connections], relevance: Sequence[np.ndarray], keep: float
) -> ClassGraph:
    """The class graph of a network that holds the parent's units `kept`.

    `layers` are the parent's; `found` (per link) and `relevance` (per layer) are those of the network. Per link
    strengths are scaled to mean 1 and the strongest share `keep` stays; every connection into an output stays; a
    strength of 0, or below LEAST, is no connection. Parallel connections are summed, those of a unit with itself left
    out. An image whose pixels cannot be pruned has no nodes in the graph.
    """
    edges, values = [np.zeros((0, 2), dtype=np.int64)], [np.zeros(0)]
    for one in found:
        pairs, strongest = _of_link(layers, one, keep)
        edges.append(pairs)
        values.append(strongest)
    full = tuple(
        _widened(r, units, width) for r, units, width in zip(relevance, kept.units, layers.widths, strict=True)
    )
    return ClassGraph(layers, *_one_per_pair(np.concatenate(edges), np.concatenate(values)), full, kept.classes)


def _of_link(layers: Layers, one: Connections, keep: float) -> tuple[np.ndarray, np.ndarray]:
    """(edges, strengths) of the strongest connections of a link."""
    pixels = layers.widths[0] if not layers.layers[0].prunable else 0
    seen = one.sources >= pixels
    if not seen.any():
        return np.zeros((0, 2), dtype=np.int64), np.zeros(0)
    into_outputs = bool((one.targets >= layers.offsets[-2]).all())
    matrix = one.strengths if seen.all() else one.strengths[seen]
    rows, columns, strongest = strongest_connections(matrix, 1.0 if into_outputs else keep)
    return np.stack([one.sources[seen][rows], one.targets[columns]], axis=1), strongest


def _one_per_pair(edges: np.ndarray, strengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges of different units, parallel ones (in either direction) summed, in the order of the first of each."""
    apart = edges[:, 0] != edges[:, 1]
    edges, strengths = (edges, strengths) if apart.all() else (edges[apart], strengths[apart])
    if not len(edges):
        return edges, strengths
    low, high = edges.min(axis=1), edges.max(axis=1)
    names = low * (high.max() + 1) + high
    if (np.diff(np.sort(names)) > 0).all():
        return edges, strengths
    _, first, pair = np.unique(names, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return edges[first[order]], np.bincount(pair.reshape(-1), strengths)[order]


def strongest_connections(matrix: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, columns, strengths scaled to mean 1) of the strongest `share` of a matrix, those below LEAST left out.

    LEAST is the smallest weight that the program takes, and a connection this much weaker than the mean is none. Ties
    are settled by position; the connections come in row order.
    """
    flat = matrix.ravel() / (matrix.mean() or 1.0)
    strongest = np.argsort(-flat, kind="stable")[: math.ceil(share * flat.size)]
    strongest = np.sort(strongest[flat[strongest] >= LEAST])
    rows, columns = np.divmod(strongest, matrix.shape[1])
    return rows, columns, flat[strongest]


def _widened(values: np.ndarray, units: Iterable[int], width: int) -> np.ndarray:
    full = np.zeros(width)
    full[list(units)] = values
    return full


def to_networkx(graph: ClassGraph) -> networkx.Graph:
    """The class graph for looking at: nodes carry `layer`, `unit`, `relevance`, edges `weight`."""
    view = networkx.Graph()
    used = graph.units(np.concatenate([graph.edges.ravel(), graph.outputs]))
    for depth, units in enumerate(used):
        name = graph.layers.layers[depth].name
        for node, unit in zip(graph.nodes(depth, units), units, strict=True):
            view.add_node(int(node), layer=name, unit=int(unit), relevance=float(graph.relevance[depth][unit]))
    view.add_weighted_edges_from(
        (int(a), int(b), float(s)) for (a, b), s in zip(graph.edges, graph.strengths, strict=True)
    )
    return view
