"""Networks made by different options, parents or runs never stand in one mean; the same options always do."""

import json

import pytest
from metrics_files import pruned, retrained, trained

from specdnn.files import SavedModels
from specdnn.results import runs, scorecard

SIX = {"retrain_epochs": 6, "retrain_lr": 0.01, "loss": "bce"}
ONE = {"retrain_epochs": 1, "retrain_lr": 0.0001, "loss": "mse"}


def cells(*found):
    return scorecard.cells(list(found), "net")


def names(rows) -> list[str]:
    return [row["recipe_name"] for row in rows]


def test_a_network_made_by_other_options_leaves_the_mean_alone():
    """The one in the save folder is the main one, for the two are as many."""
    other = retrained(0, options=ONE, accuracy=0.975, place=("below",))
    rows = cells(other, retrained(0, options=SIX, accuracy=0.9944))
    assert scorecard.mean(scorecard.main_rows(rows), "accuracy") == 0.9944
    told = {row["accuracy"]: row["recipe_name"] for row in rows}
    assert told == {0.9944: "none", 0.975: "loss mse, retrain-epochs 1, retrain-lr 0.0001"}


def test_the_recipe_of_most_cells_is_the_main_one():
    few = [retrained(0, options=SIX)]
    many = [retrained(k, options=ONE, place=("below",)) for k in (0, 1)]
    rows = cells(*few, *many)
    assert names(scorecard.main_rows(rows)) == ["none", "none"] and len(scorecard.main_rows(rows)) == 2
    assert [row["recipe_name"] for row in rows if row["recipe"]] == ["loss bce, retrain-epochs 6, retrain-lr 0.01"]


@pytest.mark.parametrize("stage", ["train", "prune", "retrain"])
def test_the_options_of_every_stage_tell_recipes_apart(stage):
    make = {"train": lambda k, **more: trained(k, **more), "prune": lambda k, **more: pruned(0, k, **more)}
    make["retrain"] = lambda k, **more: retrained(0, k, **more)
    for name, one, two in (("momentum", 0.9, 0.5), ("candidates", ["shape"], ["shape", "score"]), ("new", None, "x")):
        stages = {verb: [make[verb](k) for k in (1, 2, 3)] for verb in make}
        stages[stage] = [make[stage](k, options={name: value, "lr": 1}) for k, value in ((1, one), (2, one), (3, two))]
        rows = cells(*(m for made in stages.values() for m in made))
        assert len({row["recipe"] for row in rows}) == 2, name
        shown = {"momentum": "0.5", "candidates": "shape score", "new": "x"}[name]
        assert names(rows) == ["none", "none", f"{name} {shown}"]


def test_a_stage_is_named_where_others_have_the_option_too():
    made = [m for k in (1, 2) for m in (trained(k, options={"loss": "bce"}), pruned(0, k, options={"loss": "bce"}))]
    rows = cells(*made, retrained(0, 1, options={"loss": "bce"}), retrained(0, 2, options={"loss": "mse"}))
    assert names(rows) == ["none", "loss mse in retrain"]
    made = [m for k in (1, 2, 3) for m in (retrained(0, k, options={"loss": "mse" if k == 3 else "bce"}),)]
    made += [pruned(0, k, options={"loss": "mse" if k == 3 else "bce"}) for k in (1, 2, 3)]
    assert names(cells(*made)) == ["none", "none", "loss mse"]


@pytest.mark.parametrize("name", ["threads", "cuda", "seed", "classes", "oslom_seeds"])
def test_where_a_network_was_made_is_no_part_of_its_recipe(name):
    rows = cells(*(retrained(0, k, options={name: k, "loss": "bce"}) for k in (1, 2)))
    assert {row["recipe"] for row in rows} == {0}


def test_another_oslom_program_is_another_recipe():
    made = [pruned(0, k, options={"oslom_bin": program}) for k, program in ((1, None), (2, None), (3, "/x/oslom"))]
    assert names(cells(*made, *(retrained(0, k) for k in (1, 2, 3)))) == ["none", "none", "oslom-bin /x/oslom"]


def test_an_option_that_an_older_file_lacks_has_its_default():
    new = [retrained(0, k, options={"loss": "bce", "retrain_epochs": 20}) for k in (1, 2)]  # 20 is the default
    assert {row["recipe"] for row in cells(*new, retrained(0, 3, options={"loss": "bce"}))} == {0}
    other = [retrained(0, k, options={"loss": "bce", "retrain_epochs": 7}) for k in (1, 2)]
    assert len({row["recipe"] for row in cells(*other, retrained(0, 3, options={"loss": "bce"}))}) == 2


def test_budgets_have_names_of_their_own():
    kept = [{"input": [k], "out": [0]} for k in range(3)]
    options = [{"rate": 0.5, "trim": "norm"}, {"rate": 0.5, "trim": "ties"}, {"max_params": 9, "trim": "norm"}]
    found = [pruned(0, kept=units, options=told) for units, told in zip(kept, options, strict=True)]
    found += [retrained(0, kept=units) for units in kept]
    again = [pruned(1, options={"rate": 0.5, "trim": "norm"}), retrained(1)]
    rows = cells(*found, *again)
    assert sorted(names(rows)) == ["max-params 9", "rate 0.5", "rate 0.5", "rate 0.5, trim ties"]
    assert sorted(names(scorecard.usual_rows(rows))) == ["max-params 9", "rate 0.5", "rate 0.5"]


# ------------------------------------------------------------------------------------------ parents and runs


def family(k, start, algo="OSLOM", seed=1, **more):
    """A pruned and a retrained network; `start` stands for the parent."""
    return [pruned(k, seed, algo=algo, input_hash=start, **more), retrained(k, seed, algo=algo)]


def test_two_parents_of_one_seed_are_two_recipes():
    rows = cells(*family(0, "a"), *family(1, "a"), *family(2, "b"), *family(2, "c", seed=2))
    assert [(row["class"], row["seed"], row["recipe_name"]) for row in rows] == [
        (0, 1, "none"), (1, 1, "none"), (2, 1, "parent 2"), (2, 2, "none"),
    ]  # fmt: skip


def test_a_rival_has_the_parent_of_the_run_it_follows():
    """Its input hash covers that run too, and so differs from class to class."""
    follow = [m for k in (0, 1) for m in family(k, f"a {k}", "random", schedule="OSLOM")]
    stranger = family(2, "b", "random", schedule="own")
    rows = cells(*family(0, "a"), *family(1, "a"), *follow, *stranger)
    assert {row["recipe"] for row in rows if row["class"] < 2} == {0}
    assert [row["recipe_name"] for row in rows if row["class"] == 2] == ["parent 2"]


def test_parents_of_the_main_rows_are_told_once_each():
    """A copy below, and another parent whose networks are set apart."""
    found = [trained(checkpoint_hash="A"), trained(checkpoint_hash="A", place=("copy",))]
    found += [trained(checkpoint_hash="B", accuracy=0.25, place=("other",))]
    found += [*family(0, "a"), *family(1, "a")]
    found += [{**m, "place": ("other",)} for m in family(1, "b")]
    rows = cells(*found)
    assert [m["accuracy"] for m in scorecard.parents(found, scorecard.main_rows(rows))] == [0.5]
    assert [m["accuracy"] for m in scorecard.parents(found, rows)] == [0.5, 0.25]


def test_the_same_cell_twice_is_never_averaged():
    again = retrained(0, accuracy=0.25, checkpoint_hash="y", place=("again",))
    rows = cells(again, retrained(0, accuracy=0.75, checkpoint_hash="x"), retrained(1, accuracy=0.75))
    assert scorecard.mean(scorecard.main_rows(rows), "accuracy") == 0.75
    assert [row["accuracy"] for row in rows if row["recipe_name"] == "run 2"] == [0.25]


def test_a_copy_counts_once():
    """The backup of a seed does not weigh more than the others; the one nearest to the save folder stays."""
    seeds = [retrained(0, k, accuracy=k / 4, checkpoint_hash=str(k)) for k in (1, 2)]
    rows = cells({**seeds[1], "place": ("backup",)}, *seeds, retrained(0, 2, split="validation", checkpoint_hash="2"))
    assert [(row["seed"], row.get("place", ())) for row in rows] == [(1, ()), (2, ())]
    assert scorecard.spread(scorecard.main_rows(rows), "accuracy")[0] == 0.375


def test_a_network_comes_from_the_pruned_one_beside_it():
    """The same units were kept in two folders with different options; a third folder has no pruned network."""
    found = [m for place, rate in ((("a",), 0.5), (("b",), 0.25)) for m in (
        pruned(0, place=place, options={"rate": rate}), retrained(0, place=place, checkpoint_hash=place[0]),
    )]  # fmt: skip
    rows = cells(*found, retrained(0, place=("c",), checkpoint_hash="c"))
    budgets = {row["place"]: row["budget"] for row in rows}
    assert budgets == {("a",): (0.5, None, None), ("b",): (0.25, None, None), ("c",): None}
    (row,) = cells(pruned(0, place=("a",), options={"rate": 0.5}), retrained(0, place=("c",)))
    assert row["budget"] == (0.5, None, None)  # there is no other it could be


# ------------------------------------------------------------------------------------------ the published runs


def test_the_published_runs_are_grouped_by_their_budgets(folder):
    """No published mean mixes recipes, nor does any published recipe share its budget with another one."""
    for arch, cells_of_main in (("LeNet_300_100", 330), ("LeNet_5", 240)):
        found = runs.read(SavedModels(folder.path / "results", arch), folder.dataset.DEFAULT)
        assert found.left_out == []
        rows = scorecard.cells(found.found, arch)
        groups = {recipe: {row["budget"] for row in group} for recipe, group in scorecard.by_recipe(rows).items()}
        assert all(len(budgets) == 1 for budgets in groups.values())
        assert len({json.dumps(sorted(budgets)) for budgets in groups.values()}) == len(groups)
        assert len(scorecard.main_rows(rows)) == cells_of_main
