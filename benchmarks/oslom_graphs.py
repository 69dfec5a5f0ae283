"""The graphs on which the OSLOM programs are compared, and the flags they get.

A folder of graphs holds `NAME.edges`, `NAME.planted` (one community per line) where communities were planted, and
`NAME@groups.hint` where the programs are asked about groups of the graph NAME. The reference folder has the first two;
`write_generated` and `write_groups` make such folders on demand, so no generated graph is ever committed. The same
seed gives the same graph on every machine and Python version that keeps `random.Random` (3.2 and later).
"""

import random
from pathlib import Path
from typing import NamedTuple

from oslom_measures import read_groups

SLOW = ("lfr_0.6", "pp_0.7", "dpp", "planted_5000", "growth")  # graphs that get -fast
MIXINGS = (0.2, 0.3, 0.4, 0.5, 0.6)
RANDOM = ("random", "wrandom")  # starts of the names of graphs without communities
RANDOM_GRAPHS = range(1, 21)  # their seeds
GROUPED = ("lfr_0.4_1", "pp_0.6_1", "wlfr_0.3_1", "wlfr_0.5_1")  # reference graphs of which groups are asked
GROUPS_OF_A_KIND = 6
EXCHANGED = {"planted": 0, "perturbed": 0.2, "half-random": 0.5}  # kind of group: share of its members replaced


class Case(NamedTuple):
    """One graph, as both programs get it; with a hint, they only clean its groups."""

    name: str
    edges: Path
    planted: Path | None
    hint: Path | None

    @property
    def flags(self) -> list[str]:
        return flags_of(self.name)

    @property
    def program(self) -> str:
        return "oslom_dir" if self.name.startswith("d") else "oslom_undir"


def flags_of(name: str) -> list[str]:
    """The flags of the reference figures for a graph, by its name."""
    if name.startswith("class"):
        return ["-w", "-r", "1", "-hr", "0", "-singlet"]
    weighted = "-w" if name.startswith("w") else "-uw"
    if "@" in name:
        return [weighted, "-r", "0", "-hr", "0", "-singlet"]
    return [weighted, "-singlet"] + (["-fast"] if name.startswith(SLOW) else [])


def cases(*folders: Path, only: list[str] | None = None) -> list[Case]:
    """The graphs and hints of some folders, by name; a hint and its graph may lie in different folders.

    `only` has starts of names. No graph at all is a SystemExit with one sentence.
    """
    edges, planted, hints = (_by_name(folders, kind) for kind in ("edges", "planted", "hint"))
    graphs = [Case(name, edges[name], planted.get(name), None) for name in edges]
    groups = [Case(name, edges[name.split("@")[0]], None, hint) for name, hint in hints.items()]
    chosen = [case for case in sorted(graphs + groups) if case.name.startswith(tuple(only or [""]))]
    if not chosen:
        start = f" that starts with {' or '.join(only)}" if only else ""
        raise SystemExit(f"no NAME.edges file{start} in {' or '.join(map(str, folders))}")
    return chosen


def _by_name(folders, kind: str) -> dict[str, Path]:
    return {path.name.removesuffix(f".{kind}"): path for folder in folders for path in sorted(folder.glob(f"*.{kind}"))}


# ---------------------------------------------------------------------------------------- planted communities


def planted(n, mu, seed, kmin=8, kmax=50, tau1=2.5, smin=20, smax=60, tau2=1.5):
    """(sorted edges, community of each vertex) of an LFR-like graph whose realised mixing is close to mu.

    Degrees and community sizes follow power laws between the given bounds; with the defaults the average degree is
    15. Time and memory are linear in the edges.
    """
    rng = random.Random(seed)
    sizes = community_sizes(rng, n, smin, smax, tau2)
    community = [c for c, size in enumerate(sizes) for _ in range(size)]
    degree = [power_law(rng, kmin, kmax, tau1) for _ in range(n)]
    inner = [
        min(int((1 - mu) * d + rng.random()), sizes[c] - 1) for d, c in zip(degree, community, strict=True)
    ]  # links inside the community
    edges, start = set(), 0
    for size in sizes:  # a community's vertices follow each other, so no search for them is needed
        stubs = [v for v in range(start, start + size) for _ in range(inner[v])]
        wire(rng, stubs, lambda u, v: True, edges, n)
        start += size
    outer = [v for v in range(n) for _ in range(degree[v] - inner[v])]
    wire(rng, outer, lambda u, v: community[u] != community[v], edges, n)
    return [divmod(edge, n) for edge in sorted(edges)], community


def community_sizes(rng, n, smin, smax, tau):
    sizes = []
    total = 0
    while total < n:
        sizes.append(power_law(rng, smin, smax, tau))
        total += sizes[-1]
    sizes[-1] -= total - n
    if sizes[-1] < smin and len(sizes) > 1:
        rest = sizes.pop()
        sizes[-1] += rest
    return sizes


def power_law(rng, low, high, tau):
    u, a = rng.random(), 1 - tau
    return int(round((low**a + u * (high**a - low**a)) ** (1 / a)))


def wire(rng, stubs, allowed, edges, n, tries=200):
    """Pairs stubs at random and keeps pairs that are new and allowed; retries with the rest.

    An edge u < v is kept as the number u * n + v: a set of 7.5 million pairs would take three times the memory.
    """
    for _ in range(tries):
        if len(stubs) < 2:
            break
        rng.shuffle(stubs)
        rest = []
        for u, v in zip(stubs[::2], stubs[1::2], strict=False):
            edge = min(u, v) * n + max(u, v)
            if u != v and edge not in edges and allowed(u, v):
                edges.add(edge)
            else:
                rest += [u, v]
        if len(stubs) % 2:
            rest.append(stubs[-1])
        stubs = rest


# ---------------------------------------------------------------------------------------- the null of CCME


def null_graph(rng, n=400, degree=20, kappa=0.25, layers=1):
    """(edges (E, 2), weights (E,), layer of each node) of the continuous configuration model, so without communities.

    Degrees follow a power law, strengths are degrees ** 1.5, weights have a Gamma law of variance `kappa` around
    their means. With several `layers` of equal size only neighbouring ones are linked. `rng` is numpy's.
    """
    import numpy

    d = numpy.minimum(rng.pareto(1.5, n) + 1, 20)
    d *= degree / d.mean()
    s, layer = d**1.5, numpy.repeat(numpy.arange(layers), n // layers)
    allowed = numpy.triu(numpy.ones((n, n)), 1) if layers == 1 else layer - layer[:, None] == 1
    share = 1 if layers == 1 else layers / 2  # fewer pairs, so more links and weight for each
    rho = numpy.minimum(1, share * numpy.outer(d, d) / d.sum())
    edges = numpy.argwhere(allowed * (rng.random((n, n)) < rho))
    means = (share * numpy.outer(s, s) / s.sum() / rho)[tuple(edges.T)]
    return edges, means * rng.gamma(1 / kappa, kappa, len(edges)), layer


# ---------------------------------------------------------------------------------------- folders of graphs


def write_generated(folder: Path) -> None:
    """planted_N_MU (graph seed 1), random_S (edges of equal chance) and wrandom_S (with Exp(1) weights)."""
    for n in (1000, 5000):
        for mu in MIXINGS:
            write_planted(folder, f"planted_{n}_{mu}", n, mu, 1)
    write_random(folder)


def write_random(folder: Path) -> None:
    """The graphs of write_generated without communities."""
    for seed in RANDOM_GRAPHS:
        edges = random_graph(1000, 7500, seed)
        rng = random.Random(seed)
        write_edges(folder / f"random_{seed}.edges", edges)
        write_edges(folder / f"wrandom_{seed}.edges", [(u, v, f"{rng.expovariate(1):.6g}") for u, v in edges])


def write_planted(folder: Path, name: str, n: int, mu: float, seed: int) -> int:
    """Writes NAME.edges and NAME.planted; the number of edges."""
    edges, community = planted(n, mu, seed)
    write_edges(folder / f"{name}.edges", edges)
    groups = [[] for _ in range(community[-1] + 1)]
    for vertex, c in enumerate(community):
        groups[c].append(vertex)
    write_edges(folder / f"{name}.planted", groups)
    return len(edges)


def random_graph(n: int, m: int, seed: int) -> list[tuple[int, int]]:
    """The edges of networkx's gnm_random_graph(n, m, seed), sorted."""
    import networkx  # only here: it takes longer to load than most of what this module is used for

    return sorted(networkx.gnm_random_graph(n, m, seed=seed).edges())


def write_edges(path: Path, rows) -> None:
    with path.open("w") as file:
        file.writelines(" ".join(map(str, row)) + "\n" for row in rows)


# ---------------------------------------------------------------------------------------- groups


def write_groups(folder: Path, reference: Path) -> None:
    """Hint files of disjoint groups in every graph of GROUPED: planted, perturbed and half-random ones, in turn."""
    for name in GROUPED:
        communities = read_groups(reference / f"{name}.planted")
        write_edges(folder / f"{name}@groups.hint", some_groups(random.Random(name), communities))


def some_groups(rng, communities):
    """GROUPS_OF_A_KIND times: a community, one with a fifth of its members exchanged, and one with a half.

    The newcomers are vertices of communities that are not chosen, each once, so that all groups are disjoint.
    """
    chosen = rng.sample(communities, GROUPS_OF_A_KIND * len(EXCHANGED))
    newcomers = sorted(set().union(*communities) - set().union(*chosen))
    rng.shuffle(newcomers)
    groups = []
    for number, community in enumerate(chosen):
        share = list(EXCHANGED.values())[number % len(EXCHANGED)]
        leaving = set(rng.sample(sorted(community), round(share * len(community))))
        groups.append(sorted(community - leaving) + [newcomers.pop() for _ in leaving])
    return groups
