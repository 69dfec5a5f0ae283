"""Are our OSLOM programs statistically equivalent to the old one? Answers every question the old one has answered.

For every graph in benchmarks/oslom-old.tsv our program is run with the same flags and seeds; its answers are kept under
build/ until the program is built anew, so that a run broken off goes on where it stopped. The comparison goes to
benchmarks/oslom-equivalence.tsv, and from there to the table in oslom/README.md.

    python benchmarks/oslom_equivalence.py --reference ../shared/oslom-reference

With --rival, pyoslom 0.3.0 is asked about a few graphs, too; its rows go to benchmarks/oslom-rival.tsv.

The seeds are the sample. A measure holds where the two means differ by at most two standard errors of the difference,
or an NMI by at most 1 %. Pairs of answers are not independent, so the standard error of "ours to old less old to old"
is a jackknife: each seed of either program is left out once. How many measures would hold if the two programs were one
is seen by exchanging, at random, which of the two gave the answers of a seed (a permutation test).
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from math import hypot
from pathlib import Path
from statistics import mean, quantiles, stdev
from typing import NamedTuple

import numpy as np
from oslom_graphs import EXCHANGED, RANDOM, Case
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
EXCHANGES = 200
SIGN_FLIPS = 2000
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


class Question(NamedTuple):
    """A measure of a graph. `row` compares the answers at some positions, as ours, with those at others, as the old
    program's; the n answers of ours come first, those of the old program follow."""

    measure: str
    row: Callable[[np.ndarray, np.ndarray], dict]


def questions_of_graph(case: Case, seeds: list[int], ours: Answers, old: Answers) -> list[Question]:
    """The measures of a graph that both programs have answered with these seeds."""
    covers = [modules_of(answers.cover(case.name, seed)) for answers in (ours, old) for seed in seeds]
    if case.hint:
        return group_questions(covers, read_groups(case.hint))
    found = value_questions(case, seeds, ours, old)
    if case.name.startswith("class"):
        found.append(pair_question("jaccard_between", covers, jaccard_of_largest))
    elif case.planted:
        total = len(set().union(*communities(case.planted)))
        found.append(pair_question("nmi_between", covers, lambda a, b: overlapping_nmi(a, b, total)))
    return found


def value_questions(case: Case, seeds: list[int], ours: Answers, old: Answers) -> list[Question]:
    measures = ["modules", "homeless", "largest" if case.name.startswith("class") else "overlap"]
    found = []
    for measure in measures + ["nmi"] * bool(case.planted):
        values = np.concatenate([answers.values(case.name, seeds, measure) for answers in (ours, old)])
        slack = NMI_SLACK if measure == "nmi" else 0.0
        found.append(Question(measure, lambda a, b, v=values, s=slack: compare(v[a].tolist(), v[b].tolist(), s)))
    return found


def pair_question(measure: str, covers: list, likeness) -> Question:
    alike = np.array([[likeness(a, b) for b in covers] for a in covers])
    return Question(measure, lambda a, b: compare_pairs(alike[np.ix_(a, b)], alike[np.ix_(b, b)]))


def group_questions(covers: list, hints: list[set[int]]) -> list[Question]:
    """The share of groups of each kind that became the very same module; kinds follow each other in turn."""
    found = []
    for k, kind in enumerate(EXCHANGED):
        asked = hints[k :: len(EXCHANGED)]
        found.append(pair_question(kind, covers, lambda a, b, asked=asked: share_of_identical(a, b, asked)))
    return found


def share_of_identical(cover, other, hints) -> float:
    return mean(what_became_of(hint, cover) == what_became_of(hint, other) for hint in hints)


def what_became_of(group: set[int], cover: list[set[int]]) -> set[int]:
    """The module with the most vertices of the group; nothing if that is less than a third of them."""
    module = max(cover, key=lambda module: (len(module & group), sorted(module)), default=set())
    return module if 3 * len(module & group) >= len(group) else set()


def questions_of_random_graphs(cells: list[tuple[Case, int]], ours: Answers, old: Answers) -> list[Question]:
    """False modules and vertices in them, summed over graphs and seeds; ours may not be more, as far as chance
    can tell."""
    finds = [false_finds(answers, case, seed) for answers in (ours, old) for case, seed in cells]
    found = []
    for measure in ("modules", "covered", "answers with modules"):
        values = np.array([find[measure] for find in finds], dtype=int)
        found.append(Question(measure, lambda a, b, v=values: not_more(v[a], v[b])))
    return found


def not_more(ours: np.ndarray, old: np.ndarray) -> dict:
    """Sums over cells; `chance`: how often ours is as much more, or further, when each cell's two answers are
    exchanged at random (a sign-flip test)."""
    signs = np.random.default_rng(1).choice([-1, 1], (SIGN_FLIPS, len(ours)))
    chance = float(np.mean(signs @ (ours - old) >= (ours - old).sum()))
    return {"ours": int(ours.sum()), "old": int(old.sum()), "chance": chance, "holds": chance > 0.05}


def false_finds(answers: Answers, case: Case, seed: int) -> dict[str, int]:
    modules = modules_of(answers.cover(case.name, seed))
    return {"modules": len(modules), "covered": len(set().union(*modules)), "answers with modules": bool(modules)}


# ---------------------------------------------------------------------------------------- all graphs


class Subject(NamedTuple):
    """A graph, or a kind of random graph, and what is asked about the `seeds` answers of either program."""

    graph: str
    flags: str
    seeds: int
    questions: list[Question]


def subjects(cells: list[tuple[Case, int]], ours: Answers, old: Answers) -> Iterator[Subject]:
    by_graph = {}
    for case, seed in cells:
        by_graph.setdefault(case, []).append(seed)
    for case, seeds in tqdm(sorted(by_graph.items()), unit="graph", desc="comparison"):
        if not case.name.startswith(RANDOM) and len(seeds) >= LEAST_SEEDS:
            asked = questions_of_graph(case, seeds, ours, old)
            yield Subject(case.name, " ".join(case.flags), len(seeds), asked)
    for kind in RANDOM:
        if chosen := [cell for cell in cells if cell[0].name.startswith(kind)]:
            asked = questions_of_random_graphs(chosen, ours, old)
            yield Subject(kind, " ".join(chosen[0][0].flags), len(chosen), asked)


def rows_of(asked: list[Subject]) -> list[dict]:
    rows = []
    for graph, flags, n, questions in asked:
        start = {"graph": graph, "flags": flags, "seeds": n}
        rows += [start | {"measure": q.measure} | q.row(np.arange(n), n + np.arange(n)) for q in questions]
    return rows


def exchanged_row(asked: list[Subject], held: int, times: int = EXCHANGES) -> dict:
    """How many measures hold when programs and answers are exchanged: `old`, with its standard deviation, beside the
    `held` ones; `holds` unless at most 5 % of the exchanges have as few."""
    rng = np.random.default_rng(1)
    counts = np.array([holding_when_exchanged(asked, rng) for _ in tqdm(range(times), desc="exchanges")])
    share = float(np.mean(counts <= held))
    row = {"graph": "exchanged", "seeds": times, "measure": "holding", "ours": held, "old": float(counts.mean())}
    return row | {"old_error": float(counts.std()), "share": share, "holds": share > 0.05}


def holding_when_exchanged(asked: list[Subject], rng) -> int:
    """Of every seed's two answers, which is ours is drawn; all measures of a graph share the draw."""
    held = 0
    for _, _, n, questions in asked:
        first = np.arange(n) + n * rng.integers(0, 2, n)
        held += sum(q.row(first, (first + n) % (2 * n))["holds"] for q in questions)
    return held


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
        asked = list(subjects(cells, ours, old))
        rows = rows_of(asked)
        rows.append(exchanged_row(asked, sum(row["holds"] for row in rows)))
        if args.rival:
            write_results(RIVAL, header("pyoslom 0.3.0"), rival_rows(args.rival, cells, old))
    write_results(args.results, header(f"{version_of_ours()}, {OLD_VERSION}"), rows)
    print(equivalence_section(args.results))
    refresh()


if __name__ == "__main__":
    main()
