"""Any graph -> its labels, edges and weights, or one sentence on what is wrong with it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from numbers import Real
from typing import Any, TypeAlias

import networkx
import numpy as np

from specdnn.community.formats import LEAST, MOST
from specdnn.structures import SpecDNNError

Labels: TypeAlias = Sequence[Hashable]  # what a graph calls its nodes
Row: TypeAlias = tuple[int, int, Any]  # an edge between the nodes of two places, and its weight, unchecked


def edge_list(
    graph: Any, weighted: bool, directed: bool | None, weight: str
) -> tuple[Labels, np.ndarray, np.ndarray | None]:
    """(labels of all nodes, edges (E, 2) as positions among them, weights (E,) or None) of any graph `oslom` takes.

    Every edge is there once, self loops are not. `directed` None is False, and no error offers True. Raises
    SpecDNNError.
    """
    rows: Iterable[Row]
    labels: Labels
    if isinstance(graph, networkx.Graph):
        labels, rows = _networkx_rows(graph, directed, weight)
    elif hasattr(graph, "tocoo"):
        labels, rows = _matrix_rows(graph, directed)
    else:
        labels, rows = _array_rows(graph)
    links: dict[tuple[int, int], float] = {}
    for a, b, told in rows:
        if a != b:
            value = _checked(told, labels[a], labels[b]) if weighted else 1.0
            first = links.setdefault((a, b) if directed else (min(a, b), max(a, b)), value)
            if first != value:
                raise SpecDNNError(_two_weights(labels[a], labels[b], first, value, directed))
    edges = np.array(list(links), dtype=np.int64).reshape(-1, 2)
    return labels, edges, np.array(list(links.values())) if weighted else None


def _checked(weight: Any, a: Hashable, b: Hashable) -> float:
    """The weight of the edge a, b, if it is one."""
    if weight is None:
        raise SpecDNNError(
            f"{_edge(a, b)} has no weight: give every edge one (networkx: the attribute that weight= names), "
            "or pass weighted=False"
        )
    value = math.nan
    with contextlib.suppress(OverflowError):  # a float first: a shorter one would take the bounds for 0 and infinity
        value = float(weight) if isinstance(weight, Real) else value
    if not LEAST <= value <= MOST:
        raise SpecDNNError(f"{_edge(a, b)}: a weight must be a number from {LEAST} to {MOST}, got {shown(weight)}")
    return value


def shown(value: object) -> str:
    """Any value in one short line."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a whole number of enormous length has no text, and a label may be anything
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _edge(a: Hashable, b: Hashable) -> str:
    return f"edge {shown(a)}, {shown(b)}"


def _two_weights(a: Hashable, b: Hashable, first: float, second: float, directed: bool | None) -> str:
    way_out = "" if directed is not False else ", or pass directed=True if they belong to the two directions"
    return f"{_edge(a, b)} comes with two weights, {first!r} and {second!r}: give it one{way_out}"


def _networkx_rows(graph: networkx.Graph, directed: bool | None, weight: str) -> tuple[Labels, Iterator[Row]]:
    if graph.is_multigraph():
        raise SpecDNNError("a multigraph is not supported: join its parallel edges into those of a Graph or DiGraph")
    if directed is None and graph.is_directed():
        raise SpecDNNError("the graph is directed: only undirected ones are supported, such as a networkx.Graph")
    if graph.is_directed() != bool(directed):
        kind, other = ("undirected", "DiGraph") if directed else ("directed", "Graph")
        raise SpecDNNError(f"the graph is {kind}: pass directed={not directed}, or a networkx.{other}")
    if not isinstance(weight, Hashable):
        raise SpecDNNError(f"weight= must name an edge attribute, got {shown(weight)}")
    labels = list(graph)
    position = {label: k for k, label in enumerate(labels)}
    return labels, ((position[a], position[b], told.get(weight)) for a, b, told in graph.edges(data=True))


def _matrix_rows(matrix: Any, directed: bool | None) -> tuple[Labels, list[Row]]:
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
        raise SpecDNNError(f"the matrix of a graph must be square, got shape {matrix.shape}")
    entries = matrix.tocoo(copy=True)
    entries.sum_duplicates()
    entries.eliminate_zeros()
    rows = list(zip(entries.row.tolist(), entries.col.tolist(), entries.data.tolist(), strict=True))
    if not directed:
        _check_both_halves(rows, "" if directed is None else "pass directed=True, or ")
    return range(matrix.shape[0]), rows


def _check_both_halves(rows: list[Row], other_way: str) -> None:
    """Every entry has its mirror image; that both are equal is for `edge_list` to see."""
    there = {(a, b) for a, b, _ in rows}
    for a, b, value in rows:
        if (b, a) not in there:
            raise SpecDNNError(
                f"the matrix is not symmetric, entry ({a}, {b}) is {value!r} and ({b}, {a}) is 0: {other_way}"
                f"{'' if other_way else 'pass '}matrix.maximum(matrix.T)"
            )


def _array_rows(graph: Any) -> tuple[Labels, Iterator[Row]]:
    array = _edge_array(graph)
    labels, positions = np.unique(array[:, :2], return_inverse=True)
    told = array[:, 2].tolist() if array.shape[1] == 3 else [None] * len(array)
    pairs = positions.reshape(-1, 2).tolist()
    return [int(label) for label in labels], ((a, b, w) for (a, b), w in zip(pairs, told, strict=True))


def _edge_array(graph: Any) -> np.ndarray:
    array: np.ndarray | None = None
    with contextlib.suppress(ValueError, TypeError, RuntimeError):  # rows of different lengths, a tensor elsewhere
        array = np.asarray(graph)
    if array is None or array.ndim != 2 or array.shape[1] not in (2, 3) or array.dtype.kind not in "iuf":
        got = f"shape {array.shape} of {array.dtype}" if array is not None and array.ndim else type(graph).__name__
        raise SpecDNNError(
            "a graph is a networkx graph, a scipy sparse matrix or an array of numbers with one row "
            f"`id id` or `id id weight` per edge, got {got}"
        )
    if array.dtype.kind == "f":
        _check_ids(array[:, :2])
    return array


def _check_ids(ids: np.ndarray) -> None:
    """Fractions hold whole numbers up to 2**53 (float64); beyond, two ids may have become one."""
    bits = np.finfo(ids.dtype).nmant + 1
    wrong = np.argwhere(~((abs(ids) < 2**bits) & (ids == np.floor(ids))))
    if len(wrong):
        row, column = wrong[0]
        raise SpecDNNError(
            f"row {row} of the edge array: an id must be a whole number, below 2**{bits} in an array of {ids.dtype}, "
            f"got {ids[row, column].item()!r}"
        )
