"""The call of CCME for any graph in Python, and a run on the edges of a class graph with evidence like OSLOM's."""

from __future__ import annotations

from collections.abc import Hashable
from numbers import Integral, Real
from typing import Any

import numpy as np

from specdnn.community.any_graph import Labels, edge_list, shown
from specdnn.community.ccme_null import Null
from specdnn.community.ccme_search import Progress, communities
from specdnn.community.formats import CommunityRun, edge_text, tp_text
from specdnn.structures import Cover, Module, SpecDNNError

NULLS = ("link", "whole")


def ccme(
    graph: Any,
    *,
    weighted: bool = True,
    weight: str = "weight",
    groups: Any = None,
    null: str = "link",
    alpha: float = 0.05,
    seed: int = 1,
) -> Cover:
    """The statistically significant communities of an undirected graph; they may overlap (CCME, JMLR 18(188), 2018).

    `graph`, `weighted` and `weight` are those of `oslom`. `groups[node]` is the group of every node, such as the layer
    it lies in, where there are any: by chance links are expected between linked groups only. By the `null` link a node
    keeps its links and weights into each group, by whole just their sums, so that what groups have to do with each
    other counts for a community, too. `alpha` is the share of false members that the tests of a community allow.

    A community's significance is how probable its inner weight is by chance, a member's score how probable its weight
    into the rest is. The same graph, its nodes in the same order, and the same `seed`, which draws neighbours in a
    weighted graph, give the same cover.

    Raises SpecDNNError for a graph, groups or options that make no sense.
    """
    labels, edges, weights = edge_list(graph, weighted, None, weight)
    _check(null, alpha, seed)
    told = np.zeros(len(labels), dtype=int) if groups is None else _numbers(groups, labels)
    return cover_of(Null(edges, weights, told, len(labels), null == "whole"), labels, alpha, seed)


def run_ccme(
    edges: np.ndarray,
    weights: np.ndarray,
    *,
    groups: np.ndarray,
    null: str = "link",
    alpha: float = 0.05,
    seed: int = 1,
    progress: Progress = iter,
) -> CommunityRun:
    """CCME on edges (E, 2) of node ids, each pair once, with positive weights (E,); `groups`: of all ids.

    `progress` wraps the nodes to start from, then the start sets, like `iter`.
    """
    nodes, places = np.unique(edges, return_inverse=True)
    model = Null(places.reshape(-1, 2), weights, groups[nodes], len(nodes), null == "whole")
    cover = cover_of(model, nodes.tolist(), alpha, seed, progress)
    return CommunityRun(cover, edge_text(edges, weights), tp_text(cover))


def cover_of(null: Null, labels: Labels, alpha: float, seed: int, progress: Progress = iter) -> Cover:
    """The cover of a graph whose nodes have these labels; who is in no community is homeless."""
    found = sorted(communities(null, alpha, seed, progress), key=lambda members: (-len(members), members.tolist()))
    alone = np.setdiff1d(np.arange(len(labels)), np.concatenate([*found, np.array([], dtype=int)]))
    modules = [_module(null, members, labels) for members in found]
    return Cover(tuple(modules + [Module((labels[k],), 1.0) for k in alone.tolist()]))


def _module(null: Null, members: np.ndarray, labels: Labels) -> Module:
    scores = null.of_nodes(members)[members]
    return Module(tuple(labels[k] for k in members.tolist()), null.of_set(members)[0], tuple(scores.tolist()))


def _check(null: str, alpha: float, seed: int) -> None:
    if null not in NULLS:
        raise SpecDNNError(f"null must be {' or '.join(NULLS)}, got {shown(null)}")
    if not (isinstance(alpha, Real) and 0 <= alpha <= 1):
        raise SpecDNNError(f"alpha must be between 0 and 1, got {shown(alpha)}")
    if not (isinstance(seed, Integral) and seed >= 0):
        raise SpecDNNError(f"seed must be a whole number of at least 0, got {shown(seed)}")


def _numbers(groups: Any, labels: Labels) -> np.ndarray:
    """(labels,): the group of every node as a number."""
    known: dict[Hashable, int] = {}
    told = []
    for label in labels:
        try:
            told.append(known.setdefault(groups[label], len(known)))
        except (LookupError, TypeError):
            raise SpecDNNError(f"groups must give every node a group by groups[node], not so {shown(label)}") from None
    return np.array(told, dtype=int)
