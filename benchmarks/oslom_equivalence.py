"""Are our OSLOM programs statistically equivalent to the old one? Answers every question the old one has answered.

For every graph in benchmarks/oslom-old.tsv our program is run with the same flags and seeds; its answers are kept under
build/ until the program is built anew, so that a run broken off goes on where it stopped. The comparison goes to
benchmarks/oslom-equivalence.tsv, and from there to the table in oslom/README.md.

    python benchmarks/oslom_equivalence.py --reference ../shared/oslom-reference

With --rival, pyoslom 0.3.0 is asked about a few graphs, too; its rows go to benchmarks/oslom-rival.tsv.

The seeds are the sample. A measure holds where the two means differ by at most two standard errors of the difference,
or an NMI by at most 1 %. Pairs of answers are not independent, so the standard error of "ours to old less old to old"
is a jackknife: each seed of either program is left out once.
"""

import argparse
import tempfile
from math import hypot
from pathlib import Path
from statistics import mean, quantiles, stdev

import numpy as np
from oslom_graphs import EXCHANGED, Case, random_seed
from oslom_measures import communities, jaccard_of_largest, measures, modules_of, overlapping_nmi, read_groups
from oslom_old import OLD, add_graph_options, ask, chosen_cells
from oslom_programs import OLD_VERSION, Answers, fingerprint_of_ours, interpreter, run_ours, run_rival, version_of_ours
from oslom_tables import EQUIVALENCE, RIVAL, equivalence_section, header, refresh, write_results
from tqdm import tqdm

BUILD = Path(__file__).resolve().parent.parent / "build"
NMI_SLACK = 0.01
RIVAL_GRAPHS = (
    "karate",
    "ring",
    "cave",
    "lfr_0.3_1",
    "lfr_0.5_1",
    "pp_0.3_1",
    "pp_0.5_1",
    "wlfr_0.3_1",
    "er_1",
    "er_2",
)
LEAST_SEEDS = 3  # a jackknife over pairs needs a pair when one seed is left out


# ---------------------------------------------------------------------------------------- statistics


def compare(ours: list[float], old: list[float], relative_slack: float = 0.0) -> dict:
    """Means, their standard errors, quartiles, and whether the means agree."""
    errors = [stdev(values) / len(values) ** 0.5 for values in (ours, old)]
    row = {"ours": mean(ours), "ours_error": errors[0], "old": mean(old), "old_error": errors[1]}
    row |= {"difference_error": hypot(*errors), "ours_quartiles": quartiles(ours), "old_quartiles": quartiles(old)}
    return row | {"holds": agree(mean(ours) - mean(old), hypot(*errors), relative_slack * mean(old))}


def agree(difference: float, error: float, slack: float = 0.0) -> bool:
    """Two standard errors, or the slack; both may be 0, where only equal means agree."""
    return abs(difference) <= max(2 * error, slack) + 1e-9


def quartiles(values: list[float]) -> str:
    return " ".join(f"{value:g}" for value in quantiles(values, n=4, method="inclusive"))


def compare_pairs(across: np.ndarray, within: np.ndarray) -> dict:
    """The mean likeness ours-to-old beside old-to-old; it holds where ours-to-old is not lower.

    `across` has one row per seed of ours and one column per seed of the old program; `within` is the old program's
    own square matrix, whose diagonal is not looked at.
    """
    difference = mean_likeness(across) - mean_likeness(within, square=True)
    without_ours = [mean_likeness(np.delete(across, i, 0)) for i in range(len(across))]
    without_old = [
        mean_likeness(np.delete(across, j, 1)) - mean_likeness(np.delete(np.delete(within, j, 0), j, 1), square=True)
        for j in range(len(within))
    ]
    error = hypot(jackknife_error(without_ours), jackknife_error(without_old))
    row = {"ours": mean_likeness(across), "old": mean_likeness(within, square=True), "difference_error": error}
    return row | {"holds": difference >= 0 or agree(difference, error, NMI_SLACK * row["old"])}


def mean_likeness(matrix: np.ndarray, square: bool = False) -> float:
    """The mean over all pairs, or over the distinct pairs of a square matrix."""
    return float(matrix[~np.eye(len(matrix), dtype=bool)].mean() if square else matrix.mean())


def jackknife_error(left_out: list[float]) -> float:
    """The standard error from the statistic's values with one of n left out (Efron and Stein 1981)."""
    n = len(left_out)
    return float((n - 1) / n * np.sum((np.array(left_out) - np.mean(left_out)) ** 2)) ** 0.5


# ---------------------------------------------------------------------------------------- one graph


def rows_of_graph(case: Case, seeds: list[int], ours: Answers, old: Answers) -> list[dict]:
    """One row per measure of a graph that both programs have answered with these seeds."""
    covers = [[answers.cover(case.name, seed) for seed in seeds] for answers in (ours, old)]
    if case.hint:
        rows = group_rows(covers, read_groups(case.hint))
    else:
        rows = measure_rows(case, seeds, ours, old)
        if case.name.startswith("class"):
            rows.append(pair_row("jaccard_between", covers, jaccard_of_largest))
        elif case.planted:
            total = len(set().union(*communities(case.planted)))
            rows.append(pair_row("nmi_between", covers, lambda a, b: overlapping_nmi(a, b, total)))
    return [{"graph": case.name, "flags": " ".join(case.flags), "seeds": len(seeds)} | row for row in rows]


def measure_rows(case: Case, seeds: list[int], ours: Answers, old: Answers) -> list[dict]:
    measures = ["modules", "homeless", "largest" if case.name.startswith("class") else "overlap"]
    rows = []
    for measure in measures + ["nmi"] * bool(case.planted):
        values = [answers.values(case.name, seeds, measure) for answers in (ours, old)]
        rows.append({"measure": measure} | compare(*values, NMI_SLACK if measure == "nmi" else 0.0))
    return rows


def pair_row(measure: str, covers: list[list[str]], likeness) -> dict:
    ours, old = ([modules_of(tp) for tp in answers] for answers in covers)
    across = np.array([[likeness(a, b) for b in old] for a in ours])
    within = np.array([[likeness(a, b) for b in old] for a in old])
    return {"measure": measure} | compare_pairs(across, within)


def group_rows(covers: list[list[str]], hints: list[set[int]]) -> list[dict]:
    """The share of groups of each kind that became the very same module; kinds follow each other in turn."""
    rows = []
    for k, kind in enumerate(EXCHANGED):
        asked = hints[k :: len(EXCHANGED)]
        rows.append(pair_row(kind, covers, lambda a, b, asked=asked: share_of_identical(a, b, asked)))
    return rows


def share_of_identical(cover, other, hints) -> float:
    return mean(what_became_of(hint, cover) == what_became_of(hint, other) for hint in hints)


def what_became_of(group: set[int], cover: list[set[int]]) -> set[int]:
    """The module with the most vertices of the group; nothing if that is less than a third of them."""
    module = max(cover, key=lambda module: (len(module & group), sorted(module)), default=set())
    return module if 3 * len(module & group) >= len(group) else set()


def rows_of_random_graphs(kind: str, cells: list[tuple[Case, int]], ours: Answers, old: Answers) -> list[dict]:
    """False modules and vertices in them, summed over graphs; ours may not be more."""
    start = {"graph": kind, "flags": " ".join(cells[0][0].flags), "seeds": len(cells)}
    rows = []
    for measure in ("modules", "covered", "graphs with modules"):
        values = [[false_finds(a, case, seed)[measure] for case, seed in cells] for a in (ours, old)]
        row = {"ours": sum(values[0]), "old": sum(values[1]), "holds": sum(values[0]) <= sum(values[1])}
        rows.append(start | {"measure": measure} | row)
    return rows


def false_finds(answers: Answers, case: Case, seed: int) -> dict[str, int]:
    modules = modules_of(answers.cover(case.name, seed))
    return {"modules": len(modules), "covered": len(set().union(*modules)), "graphs with modules": bool(modules)}


# ---------------------------------------------------------------------------------------- all graphs


def comparison(cells: list[tuple[Case, int]], ours: Answers, old: Answers) -> list[dict]:
    by_graph = {}
    for case, seed in cells:
        by_graph.setdefault(case, []).append(seed)
    rows = []
    for case, seeds in tqdm(sorted(by_graph.items()), unit="graph", desc="comparison"):
        if not random_seed(case.name) and len(seeds) >= LEAST_SEEDS:
            rows += rows_of_graph(case, seeds, ours, old)
    for kind in ("random", "wrandom"):
        if chosen := [cell for cell in cells if cell[0].name.startswith(f"{kind}_")]:
            rows += rows_of_random_graphs(kind, chosen, ours, old)
    return rows


def rival_rows(python: str, cells: list[tuple[Case, int]], old: Answers) -> list[dict]:
    """pyoslom 0.3.0, another program, beside the old one: default flags and undirected graphs, one seed."""
    rows = []
    for case, seed in tqdm([cell for cell in cells if cell[0].name in RIVAL_GRAPHS and cell[1] == 1], desc="rival"):
        found = measures(run_rival(python, case, seed).tp, communities(case.planted) if case.planted else None)
        row = {"graph": case.name, "flags": " ".join(case.flags), "seed": seed} | found
        rows.append(row | {f"old_{measure}": f"{old.values(case.name, [seed], measure)[0]:g}" for measure in found})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_graph_options(parser)
    parser.add_argument(
        "--rival", type=interpreter, metavar="PYTHON", help="interpreter of an environment with pyoslom==0.3.0"
    )
    parser.add_argument("--results", type=Path, default=EQUIVALENCE, help="another file, for a trial with --only")
    args = parser.parse_args()
    old, ours = Answers(OLD), Answers(BUILD / f"oslom-ours-{fingerprint_of_ours()}")
    answered = old.have()
    with tempfile.TemporaryDirectory() as folder:
        cells = [(case, seed) for case, seed in chosen_cells(args, Path(folder)) if (case.name, seed) in answered]
        ask(cells, ours, run_ours)
        rows = comparison(cells, ours, old)
        if args.rival:
            write_results(RIVAL, header("pyoslom 0.3.0"), rival_rows(args.rival, cells, old))
    write_results(args.results, header(f"{version_of_ours()}, {OLD_VERSION}"), rows)
    print(equivalence_section(args.results))
    refresh()


if __name__ == "__main__":
    main()
