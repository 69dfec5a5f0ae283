"""The call for any graph in Python: its statistically significant modules, in its own names."""

from __future__ import annotations

import dataclasses
import warnings
from numbers import Real
from typing import Any, cast

from specdnn.community.any_graph import Labels, edge_list, shown
from specdnn.community.runner import run_program
from specdnn.structures import Cover, Module, SpecDNNError


def oslom(
    graph: Any,
    *,
    weighted: bool = True,
    directed: bool = False,
    weight: str = "weight",
    runs: int = 10,
    higher_runs: int = 50,
    seed: int = 1,
    tolerance: float = 0.1,
    assign_homeless: bool = False,
    threads: int | None = None,
    timeout: float | None = None,
) -> Cover:
    """The statistically significant modules of a graph; they may overlap (OSLOM, doi:10.1371/journal.pone.0018961).

    `graph` is a networkx graph (no multigraph), whose nodes the cover names; a scipy sparse matrix (N, N), an arc
    from row to column, whose indices it names; or an edge array (E, 2) or (E, 3) of ids and weights, whose ids it
    names. Zeros of a matrix are no edges, self loops count as none, and a node without edges is homeless. Weights are
    those of the third column, the matrix or the edge attribute `weight`, positive; `weighted=False` leaves them aside.

    `runs` are pooled, `higher_runs` at every level above (0: no levels); `tolerance` is the probability below which a
    module is significant; `assign_homeless` puts homeless nodes into modules by force; `threads` (default: all
    cores) change no result; `timeout` in seconds. The same graph, its nodes in the same order, and the same `seed`
    give the same cover. `OSLOM_BIN` may name another program for undirected graphs.

    Raises SpecDNNError for a graph that makes no sense, OslomError for a program that fails, as for bad options.
    """
    labels, edges, weights = edge_list(graph, weighted, directed, weight)
    if timeout is not None and not (isinstance(timeout, Real) and 0 < timeout <= 1e6):
        raise SpecDNNError(f"timeout must be None or seconds above 0 and at most 1000000, got {shown(timeout)}")
    if not len(edges):
        return _labelled(Cover(()), labels)  # a file without edges is an error of the program
    found = run_program(
        edges,
        weights,
        directed=directed,
        seed=seed,
        tolerance=tolerance,
        runs=runs,
        higher_runs=higher_runs,
        assign_homeless=assign_homeless,
        threads=threads,
        timeout=timeout,
    )
    for line in found.said.splitlines():
        warnings.warn(line, stacklevel=2)
    return _labelled(found.cover, labels)


def _labelled(cover: Cover, labels: Labels) -> Cover:
    """The cover in labels instead of positions; who is not in it (no edge told of it) is homeless."""
    modules = [dataclasses.replace(m, nodes=tuple(labels[cast(int, k)] for k in m.nodes)) for m in cover.modules]
    there = {k for m in cover.modules for k in m.nodes}
    alone = [Module((label,), 1.0) for k, label in enumerate(labels) if k not in there]
    return Cover(tuple(modules + alone), tuple(_labelled(level, labels) for level in cover.levels))
