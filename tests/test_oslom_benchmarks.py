"""The benchmarks of the OSLOM programs: graphs, measures, verdicts, and README sections made of the results."""

import argparse
import itertools
import random
import sys
from math import log2
from types import SimpleNamespace

import networkx
import numpy as np
import oslom_equivalence
import oslom_tables
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oslom_graphs import cases, planted, random_graph, some_groups, write_planted
from oslom_measures import groups_of, jaccard_of_largest, measures, overlapping_nmi
from oslom_old import OLD, cells
from oslom_programs import Answers, Run, interpreter

# ------------------------------------------------------------------------------------------ graphs


def literal_power_law(rng, lo, hi, tau):
    u = rng.random()
    a = 1 - tau
    return int(round((lo**a + u * (hi**a - lo**a)) ** (1 / a)))


def literal_wire(rng, stubs, ok, edges, tries=200):
    for _ in range(tries):
        if len(stubs) < 2:
            break
        rng.shuffle(stubs)
        rest = []
        for i in range(0, len(stubs) - 1, 2):
            u, v = stubs[i], stubs[i + 1]
            e = (min(u, v), max(u, v))
            if u != v and ok(u, v) and e not in edges:
                edges.add(e)
            else:
                rest += [u, v]
        if len(stubs) % 2:
            rest.append(stubs[-1])
        stubs[:] = rest


def literal_planted(n, mu, seed):
    """The generator as it was first written: every community's vertices are searched among all."""
    rng = random.Random(seed)
    sizes = []
    while sum(sizes) < n:
        sizes.append(literal_power_law(rng, 20, 60, 1.5))
    sizes[-1] -= sum(sizes) - n
    if sizes[-1] < 20 and len(sizes) > 1:
        r = sizes.pop()
        sizes[-1] += r
    comm = [c for c, s in enumerate(sizes) for _ in range(s)]
    deg = [literal_power_law(rng, 8, 50, 2.5) for _ in range(n)]
    kin = [min(int((1 - mu) * d + rng.random()), sizes[c] - 1) for d, c in zip(deg, comm, strict=True)]
    edges = set()
    for c in range(len(sizes)):
        literal_wire(rng, [v for v in range(n) if comm[v] == c for _ in range(kin[v])], lambda u, v: True, edges)
    outer = [v for v in range(n) for _ in range(deg[v] - kin[v])]
    literal_wire(rng, outer, lambda u, v: comm[u] != comm[v], edges)
    return sorted(edges), comm


@pytest.mark.parametrize("n, mu, seed", [(10, 0.3, 1), (65, 0.3, 2), (300, 0.6, 3), (1000, 0.5, 1)])
def test_the_linear_generator_makes_the_graph_of_the_literal_one(n, mu, seed):
    assert planted(n, mu, seed) == literal_planted(n, mu, seed)


def test_random_graphs_are_those_of_networkx():
    graph = networkx.gnm_random_graph(50, 200, seed=3)
    assert {frozenset(edge) for edge in random_graph(50, 200, 3)} == {frozenset(edge) for edge in graph.edges()}


def test_groups_are_disjoint_and_as_far_from_communities_as_they_say():
    communities = [set(range(20 * k, 20 * k + 20)) for k in range(30)]
    groups = [set(group) for group in some_groups(random.Random(1), communities)]
    assert len(set().union(*groups)) == sum(map(len, groups)) == 18 * 20
    kept = [max(len(group & community) for community in communities) for group in groups]
    assert kept == [20, 16, 10] * 6


def test_every_graph_is_asked_once_before_one_is_asked_again(tmp_path):
    for name in ("a", "b", "random_7"):
        (tmp_path / f"{name}.edges").write_text("0 1\n")
    asked = [(case.name, seed) for case, seed in cells(cases(tmp_path), 4)]
    assert asked == [(name, seed) for seed in (1, 2, 3, 4) for name in ("a", "b", "random_7")]


def test_a_folder_without_graphs_is_refused_by_name(tmp_path):
    with pytest.raises(SystemExit, match=f"no NAME.edges file that starts with x in {tmp_path}"):
        cases(tmp_path, only=["x"])


# ------------------------------------------------------------------------------------------ measures


def dull_nmi(cover, other, total):
    """All pairs of modules, with the four probabilities written out."""

    def h(p):
        return -p * log2(p) if p > 0 else 0.0

    def share(x, y):
        own = h(len(x) / total) + h(1 - len(x) / total)
        best = own
        for module in y:
            p11, p10, p01 = (len(part) / total for part in (x & module, x - module, module - x))
            p00 = (total - len(x | module)) / total
            if h(p11) + h(p00) > h(p01) + h(p10):
                given = h(len(module) / total) + h(1 - len(module) / total)
                best = min(best, h(p11) + h(p00) + h(p01) + h(p10) - given)
        return best / own

    def side(first, second):
        shares = [share(module, second) for module in first if len(module) < total]
        return sum(shares) / len(shares) if shares else 1.0

    return 1 - (side(cover, other) + side(other, cover)) / 2 if cover and other else 0.0


COVERS = st.lists(st.sets(st.integers(0, 29), min_size=1), max_size=6)


@given(COVERS, COVERS)
def test_nmi_looks_at_every_pair_that_matters(cover, other):
    assert overlapping_nmi(cover, other, 30) == pytest.approx(dull_nmi(cover, other, 30), abs=1e-12)


def test_disjoint_modules_can_matter_when_one_is_large():
    cover, other = [set(range(95))], [{95}]
    assert dull_nmi(cover, other, 100) > 0.05
    assert overlapping_nmi(cover, other, 100) == pytest.approx(dull_nmi(cover, other, 100))


def test_measures_of_a_cover():
    tp = "#module 0 size: 3 bs: 0.1\n0 1 2 \n#module 1 size: 2 bs: 0.2\n2 3 \n#module 2 size: 1 bs: 1\n4 \n"
    assert measures(tp, None) == {"modules": 2, "homeless": 1, "overlap": 1, "largest": 3}
    assert measures(tp, [{0, 1, 2}, {2, 3}])["nmi"] == 1
    assert jaccard_of_largest(groups_of(tp), [{1, 2, 3, 4}]) == pytest.approx(2 / 5)
    assert jaccard_of_largest([], []) == 1


# ------------------------------------------------------------------------------------------ answers


def test_an_answer_comes_back_without_its_homeless_vertices(tmp_path):
    write_planted(tmp_path, "g", 50, 0.3, 1)
    (case,) = cases(tmp_path)
    members = " ".join(map(str, range(1, 50)))
    tp = f"#module 0 size: 49 bs: 0.1\n{members} \n#module 1 size: 1 bs: 1\n0 \n"
    Answers(tmp_path / "answers").add(case, 3, Run(tp, 1.25, 2, 3))
    answers = Answers(tmp_path / "answers")
    assert answers.have() == {("g", 3)}
    assert answers.cover("g", 3) == tp[: tp.index("#module 1")]
    assert answers.values("g", [3], "homeless") == [1] and answers.values("g", [3], "user_seconds") == [1.25]


def test_an_interpreter_is_named_from_here_and_run_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    assert interpreter("bin/python") == str(tmp_path / "bin" / "python")
    with pytest.raises(argparse.ArgumentTypeError, match="there is no program nowhere/python"):
        interpreter("nowhere/python")


def test_every_old_answer_has_its_cover():
    answers = Answers(OLD)
    rows = answers.rows()
    assert len(rows) == len(answers.have()) > 0
    for row in rows:
        assert len(groups_of(answers.cover(row["graph"], int(row["seed"])))) == int(row["modules"])


# ------------------------------------------------------------------------------------------ verdicts


def test_means_agree_within_two_standard_errors_or_one_percent():
    assert oslom_equivalence.compare([10, 12, 14], [11, 13, 15])["holds"]
    assert not oslom_equivalence.compare([10, 11, 12], [20, 21, 22])["holds"]
    assert oslom_equivalence.compare([5, 5, 5], [5, 5, 5])["holds"]
    assert not oslom_equivalence.compare([0.99, 0.99], [0.995, 0.995])["holds"]
    assert oslom_equivalence.compare([0.99, 0.99], [0.995, 0.995], 0.01)["holds"]
    row = oslom_equivalence.compare([1, 2, 3], [2, 2, 2])
    assert row["ours_error"] == pytest.approx(1 / 3**0.5) and row["old_error"] == 0


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.array([1.0, 4.0, 4.0, 9.0])
    left_out = [np.delete(values, i).mean() for i in range(4)]
    assert oslom_equivalence.jackknife_error(left_out) == pytest.approx(values.std(ddof=1) / 2)


def test_likeness_may_be_higher_but_not_lower():
    within = np.array([[1, 0.8, 0.8], [0.8, 1, 0.8], [0.8, 0.8, 1]])
    assert oslom_equivalence.compare_pairs(np.full((3, 3), 0.9), within)["holds"]
    assert oslom_equivalence.compare_pairs(np.full((3, 3), 0.795), within)["holds"]
    low = oslom_equivalence.compare_pairs(np.full((3, 3), 0.7), within)
    assert not low["holds"] and (low["ours"], low["old"]) == (pytest.approx(0.7), pytest.approx(0.8))


def test_the_spread_of_seeds_counts_for_likeness():
    across = np.array([[0.9, 0.9, 0.9], [0.7, 0.7, 0.7], [0.8, 0.8, 0.8]]) - 0.05
    within = np.full((3, 3), 0.8)
    row = oslom_equivalence.compare_pairs(across, within)
    assert row["difference_error"] == pytest.approx(0.1 / 3**0.5) and row["holds"]


def test_a_group_is_followed_to_the_module_that_took_it_over():
    cover = [{1, 2, 3, 9}, {4, 5}]
    assert oslom_equivalence.what_became_of({1, 2, 3, 4}, cover) == {1, 2, 3, 9}
    assert oslom_equivalence.what_became_of({1, 6, 7, 8}, cover) == set()
    assert oslom_equivalence.what_became_of({1, 2}, []) == set()


def test_random_graphs_hold_if_there_are_not_more_false_modules():
    case = SimpleNamespace(name="random_1", flags=["-uw"])
    one, two = (SimpleNamespace(cover=lambda *_, tp=tp: tp) for tp in ("#\n1 2\n", "#\n1 2\n#\n3 4 5\n"))

    def rows(cells, ours, old):
        asked = oslom_equivalence.questions_of_random_graphs(cells, ours, old)
        return oslom_equivalence.rows_of([oslom_equivalence.Subject("random", "-uw", len(cells), asked)])

    found = rows([(case, 1), (case, 2)], one, two)
    assert [(row["measure"], row["ours"], row["old"], row["holds"]) for row in found] == [
        ("modules", 2, 4, True),
        ("covered", 4, 10, True),
        ("answers with modules", 2, 2, True),
    ]
    many = [(case, seed) for seed in range(10)]
    assert not rows(many, two, one)[0]["holds"] and rows(many, two, one)[0]["chance"] < 0.01


def test_one_false_module_more_may_be_chance():
    ours, old = np.array([1, 0, 2, 1, 0, 1]), np.array([0, 1, 1, 2, 0, 0])
    row = oslom_equivalence.not_more(ours, old)
    assert (row["ours"], row["old"], row["holds"]) == (5, 4, True)
    signs = np.array(list(itertools.product([-1, 1], repeat=6)))
    assert row["chance"] == pytest.approx((signs @ (ours - old) >= 1).mean(), abs=0.03)


def subject(ours, old):
    values = np.array([*ours, *old])
    question = oslom_equivalence.Question(
        "modules", lambda a, b: oslom_equivalence.compare(values[a].tolist(), values[b].tolist())
    )
    return oslom_equivalence.Subject("graph", "-uw", len(ours), [question])


def test_an_exchange_keeps_the_two_answers_of_a_seed_apart():
    seen = []
    question = oslom_equivalence.Question("modules", lambda a, b: seen.append((a, b)) or {"holds": True})
    rng = np.random.default_rng(0)
    asked = [oslom_equivalence.Subject("graph", "-uw", 4, [question])] * 20
    assert oslom_equivalence.holding_when_exchanged(asked, rng) == 20
    assert all(sorted([*a, *b]) == list(range(8)) and (abs(a - b) == 4).all() for a, b in seen)
    assert len({tuple(a < 4) for a, _ in seen}) > 8


def test_programs_that_differ_everywhere_are_told_from_chance():
    alike = [subject([1, 2, 3, 4, 5], [2, 3, 1, 5, 4])] * 5
    row = oslom_equivalence.exchanged_row(alike, held=5, times=50)
    assert row["share"] == 1 and row["holds"] and row["ours"] == 5
    apart = [subject([1, 2, 3, 4, 5], [12, 13, 11, 15, 14])] * 5
    row = oslom_equivalence.exchanged_row(apart, held=0, times=50)
    assert row["old"] > 3 and row["share"] < 0.05 and not row["holds"]


# ------------------------------------------------------------------------------------------ tables


def test_the_exponent_of_a_power_law():
    assert oslom_tables.exponent([1e3, 1e4, 1e5], [2e-3 * m**1.1 for m in (1e3, 1e4, 1e5)]) == pytest.approx(1.1)


def test_ratios_are_of_medians_and_leave_out_fast_graphs(tmp_path):
    seconds = {"a": [(10, 1), (30, 2), (20, 9)], "b": [(0.9, 0.1)], "c": [(8, 2)]}
    rows = [
        {"graph": name, "flags": "-w", "seed": seed, "old_seconds": old, "our_seconds": ours}
        for name, runs in seconds.items()
        for seed, (old, ours) in enumerate(runs)
    ]
    oslom_tables.write_results(tmp_path / "speed.tsv", "today", rows)
    text = oslom_tables.speed_section(tmp_path / "speed.tsv")
    assert "| a | -w | 20.00 | 2.000 | 10.0 |" in text and "| b | -w | 0.90 | 0.100 | (not counted) |" in text
    assert "Median ratio 7.0, smallest 4.0, over 2 graphs" in text


def test_the_closing_line_counts_graphs_and_measures(tmp_path):
    rows = [
        {"graph": graph, "flags": "-uw", "seeds": 3, "measure": measure} | oslom_equivalence.compare([1, 2], old)
        for graph, old in (("a", [1, 2]), ("b", [9, 9]))
        for measure in ("modules", "homeless", "overlap")
    ]
    rows[3]["holds"] = rows[4]["holds"] = True
    oslom_tables.write_results(tmp_path / "equivalence.tsv", "today", rows)
    text = oslom_tables.equivalence_section(tmp_path / "equivalence.tsv", tmp_path / "none.tsv")
    assert "All measures hold on 1 of 2 graphs, 5 of 6 measures in all." in text
    assert "| not: overlap |" in text
    exchanged = {"graph": "exchanged", "seeds": 200, "measure": "holding", "ours": 5, "old": 5.25, "old_error": 0.5}
    oslom_tables.write_results(tmp_path / "more.tsv", "today", [*rows, exchanged | {"share": 0.58, "holds": True}])
    more = oslom_tables.equivalence_section(tmp_path / "more.tsv", tmp_path / "none.tsv")
    assert "If the two programs were one, 5.2 ± 0.5 measures would hold" in more and more.startswith(text)
    assert more.endswith("58 % of the exchanges have 5 or fewer.")


def test_the_readme_is_what_the_committed_results_give():
    text = oslom_tables.README.read_text()
    assert oslom_tables.with_sections(text) == text, "run: python benchmarks/oslom_tables.py"
