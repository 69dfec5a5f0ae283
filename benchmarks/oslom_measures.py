"""What a cover is measured by: its groups, homeless vertices, overlap, and how alike two covers are.

A cover is a list of sets of vertices; modules may overlap and need not cover every vertex. Overlapping normalised
mutual information (NMI): Lancichinetti, Fortunato, Kertesz, New Journal of Physics 11, 033015 (2009), appendix B.
"""

from collections import Counter, defaultdict
from math import log2
from pathlib import Path


def groups_of(text: str) -> list[set[int]]:
    """Groups of a text with one group per line; lines that start with `#` are headers (tp, planted)."""
    return [set(map(int, line.split())) for line in text.splitlines() if line.split() and not line.startswith("#")]


def modules_of(text: str) -> list[set[int]]:
    """The groups of two or more."""
    return [group for group in groups_of(text) if len(group) > 1]


def read_groups(path) -> list[set[int]]:
    return groups_of(Path(path).read_text())


def communities(path) -> list[set[int]]:
    """The groups of two or more of a file."""
    return modules_of(Path(path).read_text())


def measures(tp: str, planted: list[set[int]] | None) -> dict[str, float]:
    """Modules, homeless vertices, overlap (sum of sizes less covered vertices) of a tp text, and NMI if planted."""
    modules = modules_of(tp)
    covered = set().union(*modules)
    homeless = set().union(*groups_of(tp)) - covered
    values = {
        "modules": len(modules),
        "homeless": len(homeless),
        "overlap": sum(map(len, modules)) - len(covered),
        "largest": max(map(len, modules), default=0),
    }
    if planted:
        values["nmi"] = overlapping_nmi(modules, planted, len(covered) + len(homeless))
    return values


def jaccard_of_largest(cover, other) -> float:
    """Shared vertices over all vertices of the two largest modules; 1 where both covers are empty."""
    first, second = (max(groups, key=len, default=set()) for groups in (cover, other))
    return len(first & second) / len(first | second) if first or second else 1.0


def overlapping_nmi(cover, other, total) -> float:
    """1 for equal covers, near 0 for unrelated ones, 0 if one of them is empty; `total` vertices in all."""
    if not cover or not other:
        return 0.0
    return 1 - (mean_conditional_share(cover, other, total) + mean_conditional_share(other, cover, total)) / 2


def mean_conditional_share(cover, other, total) -> float:
    """The mean over the modules of a cover of H(module | other cover) / H(module).

    Disjoint modules of at most half of the vertices are never admissible (h is concave and h(p) >= h(1 - p) up to
    1/2), so only modules with common vertices, or with a larger one of the two, have to be looked at.
    """
    homes = modules_by_vertex(other)
    large = {b for b, module in enumerate(other) if 2 * len(module) > total}
    shares = []
    for module in cover:
        own = module_entropy(len(module), total)
        if own == 0:
            continue
        common = Counter(b for vertex in module for b in homes.get(vertex, ()))
        looked_at = range(len(other)) if 2 * len(module) > total else common.keys() | large
        terms = [conditional_entropy(common[b], len(module), len(other[b]), total) for b in looked_at]
        shares.append(min([own] + [term for term in terms if term is not None]) / own)
    return sum(shares) / len(shares) if shares else 1.0  # a cover of whole-graph modules tells nothing


def modules_by_vertex(cover) -> dict[int, list[int]]:
    homes = defaultdict(list)
    for index, module in enumerate(cover):
        for vertex in module:
            homes[vertex].append(index)
    return homes


def conditional_entropy(both, first, second, total) -> float | None:
    """H(first | second) of two sizes with `both` common vertices, or None where the pair is not admissible
    (more alike to the complement)."""
    alike = entropy_term(both / total) + entropy_term((total - first - second + both) / total)
    unlike = entropy_term((first - both) / total) + entropy_term((second - both) / total)
    return alike + unlike - module_entropy(second, total) if alike > unlike else None


def module_entropy(size, total) -> float:
    return entropy_term(size / total) + entropy_term(1 - size / total)


def entropy_term(p) -> float:
    return -p * log2(p) if p > 0 else 0.0
