"""The search of CCME: from neighbourhoods to sets that the test of all nodes leaves as they are. Numbers only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import scipy.sparse

from specdnn.community.ccme_null import Null

MOST_UPDATES = 100  # of one set; it may wander
OVERLAP = 0.9  # share of a set above which it tells nothing new beside another


Progress = Callable[[Iterable[Any]], Iterable[Any]]  # what wraps a long list, to show how far it is worked off


def communities(null: Null, alpha: float, seed: int, progress: Progress = iter) -> list[np.ndarray]:
    """The stable communities of a graph, sorted nodes each; they may overlap."""
    found: list[np.ndarray] = []
    covered = np.zeros(null.size, dtype=bool)
    for node, start in progress(starts(null, alpha, seed, progress)):
        if not covered[node]:
            settled = stable(null, start, alpha)
            covered[settled] = True
            found += [settled] if len(settled) > 1 else []
    return distinct(null, found)


def rejected(p: np.ndarray, alpha: float) -> np.ndarray:
    """Marks the p-values that Benjamini and Hochberg's procedure rejects at level `alpha`."""
    ordered = np.sort(p)
    low = np.flatnonzero(ordered * len(p) <= alpha * np.arange(1, len(p) + 1))
    return p <= ordered[low[-1]] if len(low) else np.zeros(len(p), dtype=bool)


def updated(null: Null, members: np.ndarray, alpha: float) -> np.ndarray:
    """All nodes that are linked to a set significantly, its members tested like the others."""
    return np.flatnonzero(rejected(null.of_nodes(members), alpha))


# ------------------------------------------------------------------------------------------ where it starts


def starts(null: Null, alpha: float, seed: int, progress: Progress = iter) -> list[tuple[int, np.ndarray]]:
    """(node, itself and its neighbourhood) for every node whose neighbourhood is linked inside significantly."""
    near = [(node, neighbourhood(null, node, seed)) for node in np.flatnonzero(null.degree > 1).tolist()]
    near = [(node, others) for node, others in near if len(others) > 1]
    if not near:
        return []
    kept = rejected(np.array([of_neighbourhood(null, node, others) for node, others in progress(near)]), alpha)
    return [(node, np.union1d(others, node)) for (node, others), stays in zip(near, kept, strict=True) if stays]


def of_neighbourhood(null: Null, node: int, others: np.ndarray) -> float:
    """How probable a neighbourhood is by chance, by what is not known of it already, the links of its node.

    In a layered graph its nodes cannot be linked with each other; there the links of all other nodes to it count, by
    one p-value for all (Simes 1986).
    """
    if not null.layered:
        return null.of_set(others)[0]
    p = np.sort(np.delete(null.of_nodes(others), node))
    return float((p * len(p) / np.arange(1, len(p) + 1)).min())


def neighbourhood(null: Null, node: int, seed: int) -> np.ndarray:
    """Neighbours of a node, drawn as often as it has some, in proportion to how far a weight is above its mean.

    Without weights it is all of them.
    """
    own = null.excess[[node]]
    others: np.ndarray = own.indices
    above = np.maximum(own.data, 0)
    if not null.weighted or not above.any():
        return others[: len(others) * (not null.weighted)]
    drawn = np.random.default_rng([seed, node]).choice(others, len(others), p=above / above.sum())
    return np.unique(drawn)


# ------------------------------------------------------------------------------------------ where it ends


def stable(null: Null, start: np.ndarray, alpha: float) -> np.ndarray:
    """The set at which the updates of a start set stay; empty if they die out, fall apart or do not end.

    Where they go in a circle, they go on from its union, unless the circle falls apart. In a layered graph it does:
    neighbours lie in other layers, and what is found of a community is every other layer in turn.
    """
    chain = [start]
    while len(chain[-1]) > 1 and len(chain) <= MOST_UPDATES:
        new = updated(null, chain[-1], alpha)
        if np.array_equal(new, chain[-1]):
            return new
        if (last := position(chain, new)) is not None:
            circle = [*chain[last:], new]
            apart = [not np.isin(a, b).any() for a, b in zip(circle[:-1], circle[1:], strict=True)]
            if any(apart) and not null.layered:
                break
            new = np.unique(np.concatenate(circle))
            if position(chain, new) is not None:
                return new
        chain.append(new)
    return start[:0]


def position(chain: list[np.ndarray], members: np.ndarray) -> int | None:
    """Where a chain has a set last."""
    return next((k for k in reversed(range(len(chain))) if np.array_equal(chain[k], members)), None)


def distinct(null: Null, found: list[np.ndarray]) -> list[np.ndarray]:
    """The sets without those that lie in another by more than OVERLAP; of two the one with the smaller score goes."""
    found = list({members.tobytes(): members for members in found}.values())
    if not found:
        return []
    score = [null.of_set(members)[1] for members in found]
    shared = shares(found, null.size)
    while (pair := np.unravel_index(shared.argmax(), shared.shape)) and shared[pair] > OVERLAP:
        gone = min(pair, key=lambda k: (score[k], -k))
        shared[gone] = shared[:, gone] = 0
        found[gone] = found[gone][:0]
    return [members for members in found if len(members)]


def shares(found: list[np.ndarray], size: int) -> np.ndarray:
    """(i, j): which share of set i lies in set j, 0 on the diagonal."""
    sizes = np.array([len(members) for members in found])
    places = np.concatenate(found), np.repeat(np.arange(len(found)), sizes)
    member = scipy.sparse.csr_array((np.ones(sizes.sum()), places), shape=(size, len(found)))
    shared: np.ndarray = (member.T @ member).toarray() / sizes[:, None]
    np.fill_diagonal(shared, 0)
    return shared
