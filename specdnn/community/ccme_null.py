"""The null of CCME: how strongly nodes would be linked to a set by chance, in cumulants, and how probable more is.

Palowitch, Bhamidi, Nobel, "Significance-based community detection in weighted networks" (JMLR 18(188), 2018): between u
and v there is a link with probability rho = min(1, d_u d_v / d_T), d the degrees, and its weight has the mean f =
g / rho, g = s_u s_v / s_T, s the strengths, and the variance kappa f^2.

Own to this code: nodes may lie in groups, and links are expected between linked groups only, where each pair of groups
(a block) may have degrees, strengths, totals and a kappa of its own; a node is never expected to be linked with itself;
and the tail is that of a Gamma law of the same mean, variance and third cumulant: a normal one is so light that on
random graphs p-values below 0.001 come up 2 to 17 times too often (benchmarks/ccme.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.sparse
from scipy import special

Sums: TypeAlias = tuple[np.ndarray, np.ndarray]  # degree and strength of every node

LEAST_SKEW = 1e-3  # below, the Gamma law is a normal one
LEAST_VARIANCE = 1e-12  # in squared means (kappa in squared mean weights); below, it is rounding
POWERS = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))  # of strength, and of 1 / degree


@dataclass(frozen=True)
class Block:
    """All nodes of one group with links into another (`rows`), and those they may be linked with (`columns`).

    `degree`, `strength` (rows,): into the other group; `powers` (6, columns): those of POWERS of the columns, whose
    degrees descend; `clipped` (rows,): with how many of the first columns a link is certain; `links`, `total`: number
    and weight of all links, twice if they lie within one group. `inner`: the two groups are one.
    """

    rows: np.ndarray
    columns: np.ndarray
    degree: np.ndarray
    strength: np.ndarray
    powers: np.ndarray
    clipped: np.ndarray
    links: float
    total: float
    kappa: float
    inner: bool

    def cumulants(self, inside: np.ndarray) -> np.ndarray:
        """(3, rows): mean, variance and third cumulant of each row's strength into the nodes marked `inside`.

        Every pair adds g, g^2 ((1 + kappa) / rho - 1) and g^3 (m / rho^2 - 3 (1 + kappa) / rho + 2), m the third moment
        of a Gamma law with mean 1; as rho and g are products, sums over the columns up to each clipping are enough.
        """
        sums = np.zeros((len(POWERS), len(self.columns) + 1))
        np.cumsum(self.powers * inside[self.columns], axis=1, out=sums[:, 1:])
        certain = sums[:, self.clipped]
        found = self._added(certain, sums[:, -1:] - certain)
        return found - inside[self.rows] * self._own() if self.inner else found

    def _added(self, certain: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Cumulants from sums of POWERS over the columns where a link is certain, and over the others."""
        scale, odds = self.strength / self.total, self.links / self.degree
        spread, third = 1 + self.kappa, 2 * self.kappa**2
        mean = certain[0] + free[0]
        variance = self.kappa * certain[1] + spread * odds * free[2] - free[1]
        skew = third * certain[3] + (third + 3 * spread - 2) * odds**2 * free[5] - 3 * spread * odds * free[4]
        return np.stack([scale * mean, scale**2 * variance, scale**3 * (skew + 2 * free[3])])

    def _own(self) -> np.ndarray:
        """What each row would add to itself."""
        own = powers_of(self.degree, self.strength)
        certain = own * (self.degree**2 >= self.links)
        return self._added(certain, own - certain)


def powers_of(degree: np.ndarray, strength: np.ndarray) -> np.ndarray:
    return np.stack([strength**p / degree**q for p, q in POWERS])


class Null:
    """The null model of a graph of nodes 0 to `size` - 1.

    `edges` (E, 2), each pair once; `weights` (E,), positive, or None; `groups` (size,), whole numbers. `whole`:
    degrees, strengths and totals are those of the whole graph, not of each pair of groups. `layered`: no link lies
    within a group.

    Without weights, or with equal ones, which tell as little, links are counted: a node has a binomial number of them
    in a set, one chance for each of its own, and a set a Poisson number.
    """

    def __init__(
        self, edges: np.ndarray, weights: np.ndarray | None, groups: np.ndarray, size: int, whole: bool = False
    ) -> None:
        self.weighted = weights is not None and len(weights) > 0 and np.ptp(weights) > 0
        told = np.ones(len(edges)) if weights is None or not self.weighted else weights / weights.max()
        self.size, half = size, np.concatenate([edges, edges[:, ::-1]])
        self.sources, self.targets = half.T
        self.weights = np.concatenate([told, told])
        self.matrix = scipy.sparse.csr_array((self.weights, (self.sources, self.targets)), shape=(size, size))
        self.degree = np.bincount(self.sources, minlength=size)
        excess = np.zeros(len(half)) if self.weighted else np.ones(len(half))
        self.layered = not (groups[edges[:, 0]] == groups[edges[:, 1]]).any()
        self.blocks = tuple(self._blocks(groups, whole, excess))
        # per entry of the matrix how far its weight is above f, in standard deviations; 1 where there are no weights
        self.excess = scipy.sparse.csr_array((excess, (self.sources, self.targets)), shape=(size, size))

    def _blocks(self, groups: np.ndarray, whole: bool, excess: np.ndarray) -> Iterator[Block]:
        """A block for each pair of groups with links; how far the weights of each are above f is left in `excess`."""
        kinds = groups[self.sources] * (groups.max(initial=0) + 1) + groups[self.targets]
        for first in np.unique(kinds, return_index=True)[1]:
            half = np.arange(len(kinds)) if whole else np.flatnonzero(kinds == kinds[first])
            ends = self._sums(self.sources[half], half), self._sums(self.targets[half], half)
            kappa, above = self._kappa(half, *ends) if self.weighted else (0.0, 0.0)
            if kappa > 0:
                excess[half] = above / np.sqrt(kappa)
            yield self._block(
                half, *ends, kappa, *(groups == groups[end[first]] for end in (self.sources, self.targets))
            )

    def _kappa(self, half: np.ndarray, source: Sums, target: Sums) -> tuple[float, np.ndarray]:
        """(kappa, how far each weight is above f, in f) of some halves of edges."""
        (d, s), (e, t), sources, targets = source, target, self.sources[half], self.targets[half]
        rho = np.minimum(1, d[sources] * e[targets] / len(half))
        f = s[sources] * t[targets] / self.weights[half].sum() / rho
        above = self.weights[half] - f
        kappa = float((above**2).sum() / (f**2).sum())
        return kappa if kappa > LEAST_VARIANCE else 0.0, np.divide(above, f, out=np.zeros(len(half)), where=f > 0)

    def _block(
        self, half: np.ndarray, source: Sums, target: Sums, kappa: float, own: np.ndarray, other: np.ndarray
    ) -> Block:
        """The block of the marked nodes, with degrees, strengths and totals of some halves of edges."""
        (d, s), (e, t), links, total = source, target, len(half), self.weights[half].sum()
        rows, columns = np.flatnonzero(own & (d > 0)), np.flatnonzero(other & (e > 0))
        columns = columns[np.argsort(-e[columns], kind="stable")]
        clipped = np.searchsorted(-e[columns], -links / d[rows], side="right")
        known = d[rows], s[rows], powers_of(e[columns], t[columns]), clipped
        return Block(rows, columns, *known, float(links), float(total), kappa, np.array_equal(own, other))

    def _sums(self, ends: np.ndarray, half: np.ndarray) -> Sums:
        """Degree and strength of every node, of these halves of edges alone."""
        degree = np.bincount(ends, minlength=self.size).astype(float)
        return degree, np.bincount(ends, self.weights[half], minlength=self.size)

    def marked(self, members: np.ndarray) -> np.ndarray:
        inside = np.zeros(self.size)
        inside[members] = 1.0
        return inside

    def cumulants(self, inside: np.ndarray) -> np.ndarray:
        """(3, size): of every node's strength into the nodes marked `inside`, itself left out."""
        total = np.zeros((3, self.size))
        for block in self.blocks:
            total[:, block.rows] += block.cumulants(inside)
        return total

    def of_nodes(self, members: np.ndarray) -> np.ndarray:
        """(size,): how probable it is that a node is linked as strongly to a set as it is; 1 without a link."""
        inside = self.marked(members)
        found, cumulants = self.matrix @ inside, self.cumulants(inside)
        if self.weighted:
            return gamma_tail(found, *cumulants)
        degree = np.maximum(self.degree, 1)
        chance = np.clip(cumulants[0] / degree, 0, 1)
        return np.where(found > 0, special.bdtrc(np.maximum(found - 1, 0), degree, chance), 1.0)

    def of_set(self, members: np.ndarray) -> tuple[float, float]:
        """How probable it is that a set is linked as strongly inside as it is, and in standard deviations above."""
        inside = self.marked(members)
        found = (self.matrix @ inside)[members].sum() / 2  # every pair once
        mean, variance, third = self.cumulants(inside)[:, members].sum(axis=1) / 2
        if self.weighted:
            p = gamma_tail(*(np.array([value]) for value in (found, mean, variance, third)))[0]
        else:
            variance, p = mean, special.pdtrc(found - 1, mean) if found > 0 else 1.0
        return float(p), float((found - mean) / np.sqrt(variance)) if variance > 0 else 0.0


def gamma_tail(found: np.ndarray, mean: np.ndarray, variance: np.ndarray, third: np.ndarray) -> np.ndarray:
    """P(`found` or more) under shifted Gamma laws of these cumulants; 1 where nothing is found, or nothing can vary."""
    p, there = np.ones(len(found)), (found > 0) & (variance > LEAST_VARIANCE * mean**2)
    deviation = np.sqrt(variance[there])
    skew = np.maximum(third[there] / variance[there] / deviation, LEAST_SKEW)
    above = (found[there] - mean[there]) / deviation
    p[there] = special.gammaincc(4 / skew**2, np.maximum(4 / skew**2 + 2 * above / skew, 0))
    return p
