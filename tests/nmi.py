"""Overlapping normalised mutual information of two covers.

Lancichinetti, Fortunato, Kertesz, New Journal of Physics 11, 033015 (2009), appendix B. A cover is a
list of sets of vertices; modules may overlap and need not cover every vertex.
"""

from math import log2
from pathlib import Path


def read_groups(path):
    """Groups of a file with one group per line; lines that start with `#` are headers (tp, planted)."""
    lines = Path(path).read_text().splitlines()
    return [set(map(int, line.split())) for line in lines if line.split() and not line.startswith("#")]


def communities(path):
    """The groups of two or more."""
    return [group for group in read_groups(path) if len(group) > 1]


def entropy_term(p):
    return -p * log2(p) if p > 0 else 0.0


def module_entropy(size, total):
    return entropy_term(size / total) + entropy_term(1 - size / total)


def conditional_entropy(first, second, total):
    """H(first | second), or None where the pair is not admissible (more alike to the complement)."""
    both = len(first & second)
    only_first, only_second = len(first) - both, len(second) - both
    neither = total - both - only_first - only_second
    alike = entropy_term(both / total) + entropy_term(neither / total)
    unlike = entropy_term(only_first / total) + entropy_term(only_second / total)
    return alike + unlike - module_entropy(len(second), total) if alike > unlike else None


def mean_conditional_share(cover, other, total):
    """The mean over the modules of a cover of H(module | other cover) / H(module)."""
    shares = []
    for module in cover:
        own = module_entropy(len(module), total)
        if own == 0:
            continue
        terms = [conditional_entropy(module, candidate, total) for candidate in other]
        shares.append(min([own] + [term for term in terms if term is not None]) / own)
    return sum(shares) / len(shares) if shares else 1.0  # a cover of whole-graph modules tells nothing


def overlapping_nmi(cover, other, total):
    """1 for equal covers, near 0 for unrelated ones, 0 if one of them is empty."""
    if not cover or not other:
        return 0.0
    return 1 - (mean_conditional_share(cover, other, total) + mean_conditional_share(other, cover, total)) / 2
