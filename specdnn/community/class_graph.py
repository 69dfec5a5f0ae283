"""Strengths -> class graph, and a networkx view of it. No torch, no disk."""

from __future__ import annotations

import math

import networkx
import numpy as np

from specdnn.community.formats import LEAST
from specdnn.structures import ClassGraph, KeptUnits, LayerChain


def class_graph(chain: LayerChain, kept: KeptUnits, strengths, relevance, keep: float) -> ClassGraph:
    """The class graph of a network that holds the parent's units `kept`.

    `chain` is the parent's; `strengths` (per pair of layers) and `relevance` (per layer) are those of
    the network. Per pair of layers strengths are scaled to mean 1 and the strongest share `keep` stays;
    every connection into an output stays; a strength of 0, or below LEAST, is no connection. Layers that cannot be
    pruned, other than the outputs, have no nodes in the graph.
    """
    offsets = np.concatenate([[0], np.cumsum(chain.widths)])
    edges, values = [], []
    for depth, matrix in enumerate(strengths):
        if not chain.layers[depth].prunable:
            continue
        into_outputs = depth == len(strengths) - 1
        rows, columns, strongest = strongest_connections(matrix, 1.0 if into_outputs else keep)
        source = offsets[depth] + np.array(kept.units[depth])[rows]
        target = offsets[depth + 1] + np.array(kept.units[depth + 1])[columns]
        edges.append(np.stack([source, target], axis=1))
        values.append(strongest)
    full = tuple(_widened(r, units, width) for r, units, width in zip(relevance, kept.units, chain.widths, strict=True))
    return ClassGraph(chain, np.concatenate(edges), np.concatenate(values), full, kept.classes)


def strongest_connections(matrix: np.ndarray, share: float):
    """(rows, columns, strengths scaled to mean 1) of the strongest `share` of a matrix, those below LEAST left out.

    LEAST is the smallest weight that the program takes, and a connection this much weaker than the mean is none. Ties
    are settled by position; the connections come in row order.
    """
    flat = matrix.ravel() / (matrix.mean() or 1.0)
    strongest = np.argsort(-flat, kind="stable")[: math.ceil(share * flat.size)]
    strongest = np.sort(strongest[flat[strongest] >= LEAST])
    rows, columns = np.divmod(strongest, matrix.shape[1])
    return rows, columns, flat[strongest]


def _widened(values: np.ndarray, units, width: int) -> np.ndarray:
    full = np.zeros(width)
    full[list(units)] = values
    return full


def to_networkx(graph: ClassGraph) -> networkx.Graph:
    """The class graph for looking at: nodes carry `layer`, `unit`, `relevance`, edges `weight`."""
    view = networkx.Graph()
    used = graph.units(np.concatenate([graph.edges.ravel(), graph.outputs]))
    for depth, units in enumerate(used):
        name = graph.chain.layers[depth].name
        for node, unit in zip(graph.nodes(depth, units), units, strict=True):
            view.add_node(int(node), layer=name, unit=int(unit), relevance=float(graph.relevance[depth][unit]))
    view.add_weighted_edges_from(
        (int(a), int(b), float(s)) for (a, b), s in zip(graph.edges, graph.strengths, strict=True)
    )
    return view
