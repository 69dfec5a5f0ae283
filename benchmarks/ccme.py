"""CCME beside OSLOM on the same graphs, and how often its tests are wrong on graphs without communities.

    python benchmarks/ccme.py --reference ../shared/oslom-reference     # `make bench-ccme`

The page is benchmarks/ccme.md.
Both are called from Python, on one thread, OSLOM without levels (`higher_runs=0`); seconds are those of the call.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from oslom_graphs import RANDOM_GRAPHS, Case, cases, null_graph, write_random
from oslom_measures import communities, overlapping_nmi
from oslom_programs import version_of_ours
from pages import made_on, table
from scipy import stats
from tqdm import tqdm

from specdnn.community import ccme, oslom
from specdnn.community.ccme_null import Null
from specdnn.structures import Cover

PAGE = Path(__file__).resolve().parent / "ccme.md"
SEED = 1
PLANTED = ("ring", "cave", "karate", "wkarate", "lfr", "pp", "wlfr")  # starts of names; those planted by hand
LAYERS = (784, 300, 100, 1)  # of the class graphs
TOLD = ("NMI", "modules", "homeless", "seconds")

# name -> kappa, size of the sets, layers, weights
NULLS = {
    "weights, sets of 60": (0.25, 60, 1, True),
    "weights, sets of 12": (0.25, 12, 1, True),
    "weights of an exponential law, sets of 30": (1.0, 30, 1, True),
    "no weights, sets of 40": (0.25, 40, 1, False),
    "four layers, weights, sets of 60": (0.25, 60, 4, True),
    "four layers, no weights, sets of 60": (0.25, 60, 4, False),
}
LEVELS = (0.05, 0.01, 0.001)


# ------------------------------------------------------------------------------------------ beside OSLOM


def by_ccme(rows: np.ndarray, **options) -> Cover:
    return ccme(rows, weighted=rows.shape[1] == 3, seed=SEED, **options)


def by_oslom(rows: np.ndarray) -> Cover:
    return oslom(rows, weighted=rows.shape[1] == 3, seed=SEED, higher_runs=0, threads=1)


def measured(search, case: Case, **options) -> dict[str, float]:
    """What a search finds in a graph, with the seconds that it takes."""
    rows = np.loadtxt(case.edges)
    start = time.perf_counter()
    cover = search(rows, **options)
    seconds = time.perf_counter() - start
    modules, nodes = [set(module.nodes) for module in cover.significant], len(np.unique(rows[:, :2]))
    nmi = overlapping_nmi(modules, communities(case.planted), nodes) if case.planted else 0.0
    sizes = {"modules": len(modules), "homeless": len(cover.homeless), "largest": max(map(len, modules), default=0)}
    return {"NMI": nmi, **sizes, "seconds": seconds, "nodes": nodes, "edges": len(rows)}


def planted_rows(reference: Path) -> Iterator[list[str]]:
    yield ["graph", "nodes", "edges", "planted", *(f"{name}, {what}" for what in TOLD for name in ("CCME", "OSLOM"))]
    for case in tqdm([case for case in cases(reference, only=list(PLANTED)) if case.planted], "planted"):
        both = [measured(search, case) for search in (by_ccme, by_oslom)]
        planted = [case.name, f"{both[0]['nodes']:,}", f"{both[0]['edges']:,}", str(len(communities(case.planted)))]
        yield planted + [shown(what, found[what]) for what in TOLD for found in both]


def random_rows(folder: Path) -> Iterator[list[str]]:
    """Sums over the random graphs, of each kind."""
    yield ["kind", "graphs", *(f"{name}, {what}" for what in ("modules", "seconds") for name in ("CCME", "OSLOM"))]
    for kind, told in (("random", "1,000 nodes, 7,500 edges of equal chance"), ("wrandom", "the same, Exp(1) weights")):
        graphs = cases(folder, only=[f"{kind}_"])
        both = [[measured(search, case) for case in tqdm(graphs, kind)] for search in (by_ccme, by_oslom)]
        sums = [shown(what, sum(one[what] for one in found)) for what in ("modules", "seconds") for found in both]
        yield [told, str(len(graphs)), *sums]


def class_rows(reference: Path) -> Iterator[list[str]]:
    yield ["class graph", "edges", "search", "modules", "largest", "homeless", "seconds"]
    layer = np.repeat(np.arange(len(LAYERS)), LAYERS)
    for case in tqdm(cases(reference, only=["class"]), "class graphs"):
        ways = {f"CCME, null {null}": (by_ccme, {"groups": layer, "null": null}) for null in ("whole", "link")}
        for name, (search, options) in {**ways, "OSLOM": (by_oslom, {})}.items():
            found = measured(search, case, **options)
            told = [shown(what, found[what]) for what in ("modules", "largest", "homeless", "seconds")]
            yield [case.name, f"{found['edges']:,}", name, *told]


def shown(what: str, value: float) -> str:
    return {"NMI": "{:.3f}", "seconds": "{:.1f}"}.get(what, "{:,}").format(value)


# ------------------------------------------------------------------------------------------ how often it is wrong


def normal(null: Null, members: np.ndarray) -> np.ndarray:
    """p-values of all nodes with a normal tail, as in the paper."""
    inside = null.marked(members)
    mean, variance, _ = null.cumulants(inside)
    found = null.matrix @ inside
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(found > 0, stats.norm.sf((found - mean) / np.sqrt(variance)), 1.0)


def null_rows(graphs: int = 20, sets: int = 20) -> Iterator[list[str]]:
    """Shares of the nodes outside random sets whose p-value is below a level."""
    yield ["graphs without communities", *(f"p < {level}, {tail}" for level in LEVELS for tail in ("ours", "normal"))]
    for name, (kappa, size, layers, weighted) in tqdm(NULLS.items(), "nulls"):
        rng, p = np.random.default_rng(SEED), {Null.of_nodes: [], normal: []}
        for _ in range(graphs):
            edges, weights, layer = null_graph(rng, kappa=kappa, layers=layers)
            null = Null(edges, weights if weighted else None, layer, len(layer))
            for members in (rng.choice(len(layer), size, replace=False) for _ in range(sets)):
                for test, told in p.items():
                    told.append(np.delete(test(null, members), members))
        yield [name, *(f"{np.mean(np.concatenate(told) < level):.5f}" for level in LEVELS for told in p.values())]


# ------------------------------------------------------------------------------------------ the page


def page(reference: Path) -> str:
    with tempfile.TemporaryDirectory() as place:
        write_random(Path(place))
        parts = {
            "Planted communities": planted_rows(reference),
            f"Random graphs, seeds {RANDOM_GRAPHS[0]} to {RANDOM_GRAPHS[-1]}: false modules": random_rows(Path(place)),
            "Class graphs of a LeNet-300-100": class_rows(reference),
            "How often a node outside a random set is significant": null_rows(),
        }
        told = "\n\n".join(f"## {title}\n\n{table(next(rows), rows)}" for title, rows in parts.items())
    made = f"Seed {SEED}; {version_of_ours()}; {made_on(1, 'numpy', 'scipy')}; `make bench-ccme`."
    return f"# CCME beside OSLOM\n\n{told}\n\n{made}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, help="folder of NAME.edges and NAME.planted files")
    text = page(parser.parse_args().reference)
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
