"""What metrics files say together, on figures small enough to do by hand, and beside numpy and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metrics_files import pruned, retrained, trained
from scipy import stats

from specdnn.results import scorecard


def cells(*found):
    return scorecard.cells(list(found), "net")


# ------------------------------------------------------------------------------------------ cells


def test_cells_are_the_retrained_networks_of_one_class_in_order():
    others = [
        retrained(1, verb="evaluate"),
        retrained(1, arch="other"),
        retrained(1, classes=[1, 2]),
        {"some": "thing"},
    ]
    rows = cells(retrained(2), retrained(1, seed=2), *others, retrained(0), retrained(2, algo="A"))
    assert [(m["algo"], m["seed"], m["class"]) for m in rows] == [
        ("A", 1, 2), ("OSLOM", 1, 0), ("OSLOM", 1, 2), ("OSLOM", 2, 1),
    ]  # fmt: skip


def test_a_cell_knows_the_pruned_network_it_came_from_and_no_other():
    mine = pruned(3, accuracy=0.7, options={"rate": 0.25})
    others = [pruned(3, seed=2), pruned(3, algo="random"), pruned(4), pruned(3, kept={"input": [9], "out": [3]})]
    (row,) = cells(*others, mine, retrained(3))
    assert row["pruned_accuracy"] == 0.7 and row["accuracy"] == 0.5 and row["budget"] == (0.25, None, None)
    (alone,) = cells(*others, retrained(3))
    assert alone["budget"] is None and "pruned_accuracy" not in alone


def test_shares_of_the_parents_weights_add_up():
    """Of 100 weights the communities leave 40, the trim 10."""
    parent = {"verb": "train", "arch": "net", "classes": [0, 1], "true_weights": 100}
    steps = [{"stage": s, "widths": [4, 2, 1], "true_weights": w} for s, w in (("warm-up", 100), ("round 1", 60))]
    story = pruned(0, community_true_weights=40, steps=steps)
    (row,) = cells(parent, story, retrained(0, true_weights=10))
    assert (row["community_share"], row["trim_share"], row["left_share"]) == (0.6, 0.3, 0.1)
    assert row["round1_widths"] == [4, 2] and row["round1_true_weights"] == 60 and row["round1_share"] == 0.6
    (bare,) = cells(story, retrained(0))
    assert "community_share" not in bare and bare["round1_share"] is None


def test_validation_never_stands_beside_test():
    assert [row["class"] for row in cells(retrained(0, split="validation"), retrained(1))] == [1]
    assert [row["class"] for row in cells(retrained(0, split="validation"))] == [0]


def test_the_main_rows_share_the_most_used_budget():
    half = [pruned(k, options={"rate": 0.5}) for k in (0, 1)]
    one = pruned(2, kept={"input": [7], "out": [2]}, options={"max_params": 9})
    rows = cells(*half, one, retrained(0), retrained(1), retrained(2, kept=one["kept"]), retrained(0, algo="linear"))
    assert [(r["algo"], r["class"]) for r in scorecard.main_rows(rows)] == [("OSLOM", 0), ("OSLOM", 1), ("linear", 0)]
    assert [row["recipe_name"] for row in rows] == ["rate 0.5", "rate 0.5", "max-params 9", "none"]
    assert [r["class"] for r in scorecard.of_all_classes(rows, "OSLOM")] == [0, 1]
    assert scorecard.of_all_classes(rows, "linear") == []  # which made the first of two classes


# ------------------------------------------------------------------------------------------ spreads and pairs


def test_the_spread_is_that_of_the_means_of_the_seeds():
    """Means over the classes 98.5 and 99.5, so the standard deviation is sqrt(1/2)."""
    values = [(0, 1, 98), (1, 1, 99), (0, 2, 99), (1, 2, 100)]
    found = scorecard.spread([retrained(k, seed, accuracy=v) for k, seed, v in values], "accuracy")
    assert found == pytest.approx((99, 0.5**0.5))
    assert scorecard.spread([retrained(0, accuracy=98)], "accuracy") == (98, None)
    assert scorecard.spread([retrained(0, accuracy=None), {"seed": 1}], "accuracy") == (None, None)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=2, max_size=10))
def test_paired_differences_are_those_of_numpy_and_scipy(figures):
    """Two seeds of two algorithms in every class; a third seed of one of them has no partner."""
    table = np.array(figures).reshape(-1, 2, 2)  # class, algorithm, seed
    ours, theirs = (
        [retrained(k, seed + 1, accuracy=table[k, algo, seed]) for k in range(len(table)) for seed in (0, 1)]
        for algo in (0, 1)
    )
    found = scorecard.paired([*ours, retrained(0, seed=3, accuracy=9)], theirs, "accuracy")
    differences = (table[:, 0] - table[:, 1]).mean(axis=1)
    assert found.mean == pytest.approx(differences.mean(), abs=1e-12)
    assert found.error == pytest.approx(stats.sem(differences), abs=1e-12)
    assert found.classes == len(table)
    assert (differences > 1e-12).sum() <= found.ahead <= (differences > -1e-12).sum()  # rounding decides ties


def test_pairs_of_one_class_have_no_error_and_strangers_no_difference():
    one = scorecard.paired([retrained(0, accuracy=0.75)], [retrained(0, accuracy=0.5)], "accuracy")
    assert (one.mean, one.error, one.ahead, one.classes) == (0.25, None, 1, 1)
    assert scorecard.paired([retrained(0)], [retrained(1), retrained(0, seed=2)], "accuracy") is None


def test_rivals_come_best_first():
    found = {"random": 0.6, "taylor": 0.8, "OSLOM": 0.7}
    rows = [retrained(0, algo=algo, balanced_accuracy=value) for algo, value in found.items()]
    assert scorecard.rivals(rows) == ["taylor", "random"]


# ------------------------------------------------------------------------------------------ undefined scores


def test_an_undefined_score_is_no_nought():
    """Neither in means nor in differences, and who has none is not the worst of the rivals but the last told."""
    ours = [retrained(0, accuracy=None), retrained(1, accuracy=0.75)]
    theirs = [retrained(0, accuracy=0.5), retrained(1, accuracy=0.5)]
    for one, other, difference in ((ours, theirs, 0.25), (theirs, ours, -0.25)):
        found = scorecard.paired(one, other, "accuracy")
        assert (found.mean, found.classes) == (difference, 1)
    assert scorecard.mean(ours, "accuracy") == 0.75
    assert scorecard.paired(ours[:1], theirs, "accuracy") is None
    rows = [retrained(0, algo=algo, balanced_accuracy=b) for algo, b in (("a", None), ("b", 0.0), ("c", 0.5))]
    assert scorecard.rivals(rows) == ["c", "b", "a"]


@pytest.mark.parametrize("name", ["accuracy", "paper_rule_rate"])
def test_an_undefined_figure_stands_beside_no_published_one(name):
    numbers = {"accuracy": 0.9901, "paper_rule_rate": 0.004}
    undefined = retrained(0, 2, **{**numbers, name: None})
    (alone,) = scorecard.published_cells(cells(undefined), {0: (0.005, 0.99)})
    assert alone.ours == [] and not alone.beaten
    (cell,) = scorecard.published_cells(cells(undefined, retrained(0, **numbers)), {0: (0.005, 0.99)})
    assert [row["seed"] for row in cell.ours] == [1] and cell.beaten


# ------------------------------------------------------------------------------------------ the published table


@pytest.mark.parametrize(
    ("accuracy", "rate", "beaten"),
    [
        (0.9901, 0.00499, True),
        (0.9900, 0.00499, False),
        (0.99004, 0.00499, False),  # printed with two digits these are equal
        (0.99006, 0.00499, True),
        (0.9901, 0.005, False),
        (0.9901, 0.0049996, False),  # likewise with four
        (0.9899, 0.006, False),
    ],
)
def test_a_published_cell_is_beaten_strictly_in_both(accuracy, rate, beaten):
    rows = cells(retrained(0, accuracy=accuracy, paper_rule_rate=rate))
    (cell,) = scorecard.published_cells(rows, {0: (0.005, 0.99)})
    assert cell.beaten == beaten


def test_the_means_over_the_seeds_are_compared():
    rows = cells(*(retrained(0, seed, accuracy=a, paper_rule_rate=0.004) for seed, a in ((1, 0.98), (2, 1.0))))
    (cell,) = scorecard.published_cells(rows, {0: (0.005, 0.989)})
    assert cell.beaten and len(cell.ours) == 2


def test_of_several_budgets_the_size_decides_which_one_speaks():
    """The most accurate one is too large, the smallest one is better than the one that counts."""
    runs = [(0.001, 0.995), (0.004, 0.991), (0.006, 0.999)]
    found = []
    for rate, accuracy in runs:
        kept = {"input": [int(1000 * rate)], "out": [0]}
        found += [pruned(0, kept=kept, options={"rate": rate})]
        found += [retrained(0, kept=kept, accuracy=accuracy, paper_rule_rate=rate)]
    (cell,) = scorecard.published_cells(cells(*found), {0: (0.005, 0.99)})
    assert [row["accuracy"] for row in cell.ours] == [0.991]
    (cell,) = scorecard.published_cells(cells(*found), {0: (0.0005, 0.99)})
    assert [row["paper_rule_rate"] for row in cell.ours] == [0.001] and not cell.beaten


def test_of_two_recipes_of_a_budget_the_usual_one_speaks():
    """The other one, of a single seed, is a little larger and still smaller than the published network."""
    usual = [retrained(0, k, accuracy=0.99, paper_rule_rate=0.004, options={"loss": "bce"}) for k in (1, 2)]
    other = retrained(0, 1, accuracy=0.5, paper_rule_rate=0.0045, options={"loss": "mse"}, place=("other",))
    (cell,) = scorecard.published_cells(cells(other, *usual), {0: (0.005, 0.98)})
    assert [row["accuracy"] for row in cell.ours] == [0.99, 0.99] and cell.beaten


def test_a_class_without_a_run_and_measures_of_validation_beat_nothing():
    rows = cells(retrained(0, split="validation", accuracy=1.0, paper_rule_rate=0.0))
    assert [cell.beaten for cell in scorecard.published_cells(rows, {0: (0.5, 0.5), 1: (0.5, 0.5)})] == [False, False]


# ------------------------------------------------------------------------------------------ curves and overlaps


def test_points_of_validation_and_of_test_are_told_apart():
    steps = [{"stage": "round 1", "widths": [2, 1], "true_weights": 60, "validation_score": 0.9}]
    on_the_way, end = scorecard.pareto_points(cells(pruned(0, steps=steps), retrained(0)))
    assert on_the_way["split"] == "validation" and on_the_way["point"] == "round 1" and "accuracy" not in on_the_way
    assert end["split"] == "test" and end["point"] == "retrained" and end["accuracy"] == 0.5


def test_shares_of_layers_are_means_over_the_seeds():
    """Of four inputs and two hidden units; the outputs and what all keep whole have nothing to tell."""
    parent = trained(kept={"input": [0, 1, 2, 3], "hidden": [0, 1], "full": [0], "out": [0, 1]})
    units = {(0, 1): [0], (0, 2): [0, 1], (3, 1): [0, 1, 2, 3]}
    rows = cells(
        *(
            retrained(k, seed, kept={"input": kept, "hidden": [0], "full": [0], "out": [0]})
            for (k, seed), kept in units.items()
        )
    )
    assert scorecard.kept_shares(rows, [parent]) == ([[0.375, 0.5], [1, 0.5]], ["input", "hidden"], [0, 3])
    assert scorecard.kept_shares(rows, []) is None is scorecard.kept_shares([], [parent])


def test_overlaps_are_jaccard_indices_averaged_over_the_seeds():
    """Inputs {0,1,2} and {2,3}: 1 of 4; in the second seed they are the same. `hidden` is kept alike by all."""
    units = {(0, 1): [0, 1, 2], (1, 1): [2, 3], (0, 2): [5], (1, 2): [5]}
    rows = [retrained(k, seed, kept={"input": kept, "hidden": [0], "out": [k]}) for (k, seed), kept in units.items()]
    assert scorecard.overlaps(cells(*rows)) == {"input": [[1, 0.625], [0.625, 1]]}
    assert scorecard.overlaps(cells(*rows[:1])) == {} == scorecard.overlaps([])
