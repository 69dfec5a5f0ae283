"""Texts from metrics files: tables, spreads, what is missing, who is ahead, CSV."""

import csv
import io

import pytest
from metrics_files import pruned, retrained

from specdnn.results import report, scorecard
from specdnn.structures import SpecDNNError


def cells(*found):
    return scorecard.cells(list(found), "net")


def lines(text: str, heading: str) -> list[list[str]]:
    """The rows of the table under a heading, as cells."""
    part = text.partition(f"### {heading}\n")[2].partition("\n### ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:1] == "|"][2:]


def markdown(*found, published=None):
    rows = cells(*found)
    return report.markdown(rows, scorecard.several(list(found), "net"), [], published_cells(rows, published), {})


def published_cells(rows, published):
    return scorecard.published_cells(rows, published or {})


def readme(*found, pictures=None):
    return report.readme_section(cells(*found), [], [], [], pictures or {}, "x/net.md", "x/net.html")


# ------------------------------------------------------------------------------------------ tables per class


def test_a_line_per_class_and_their_mean():
    text = markdown(retrained(0, accuracy=0.98, tp=3), retrained(1, accuracy=0.99, tp=4))
    detection = lines(text, "What the networks detect")
    assert [line[:3] for line in detection] == [
        ["0", "98.00", "50.00"], ["1", "99.00", "50.00"], ["mean", "98.50", "50.00"],
    ]  # fmt: skip
    assert [line[1] for line in lines(text, "Counts")] == ["3", "4", "3.5"]
    assert lines(text, "How big they are")[2] == ["mean", "3-2", "7", "7", "50.000", "50.000", "7", "7"]
    assert len(lines(markdown(retrained(0)), "Counts")) == 1  # of one class there is no mean


def test_every_table_is_as_wide_as_its_heading():
    more = {"significance": 0.01, "joined": 0, "output_in_community": True, "community_true_weights": 40}
    parent = {"verb": "train", "arch": "net", "classes": [0, 1], "true_weights": 100}
    rivals = [retrained(k, algo="random", balanced_accuracy=0.4) for k in (0, 1)]
    other = {"kept": {"input": [7], "out": [1]}, "classes": [0, 1]}
    budgets = [pruned(0, **more), retrained(0), pruned(1, options={"rate": 0.5}), retrained(1)]
    found = [*budgets, parent, *rivals, retrained(0, **other)]
    text = markdown(*found, published={0: (0.6, 0.4), 1: (0.6, 0.4)})
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 10
    assert all(len({line.count("|") for line in block}) == 1 for block in blocks)


def test_several_seeds_have_their_spread():
    """Class 0: 98 and 99; means of the seeds 98.5 and 99.5: sqrt(1/2) both."""
    values = [(0, 1, 0.98), (1, 1, 0.99), (0, 2, 0.99), (1, 2, 1.0)]
    text = markdown(*(retrained(k, seed, accuracy=v) for k, seed, v in values))
    detection = lines(text, "What the networks detect")
    assert detection[0][1] == "98.50 ± 0.71" and detection[-1][1] == "99.00 ± 0.71"
    assert "seeds 1 and 2" in text and "±" not in markdown(retrained(0))
    assert detection[0][2] == "50.00"  # the seeds agree


def test_counts_have_their_spread_too():
    """3 and 5: mean 4, standard deviation sqrt(2)."""
    counts = lines(markdown(retrained(0, 1, tp=3, fp=6), retrained(0, 2, tp=5, fp=6)), "Counts")
    assert counts[0][:3] == ["0", "4 ± 1.4", "6"]


def test_what_is_missing_is_a_dash_and_left_out_of_the_mean():
    text = markdown(retrained(0, auroc=None), retrained(1, auroc=0.75))
    assert [line[-1] for line in lines(text, "What the networks detect")] == ["–", "0.7500", "0.7500"]
    old = retrained(0)
    del old["macs"], old["file_bytes"]
    assert lines(markdown(old), "How big they are")[0][-2:] == ["–", "–"]


def test_a_table_of_which_nothing_is_known_is_left_out():
    headings = [line for line in markdown(retrained(0)).splitlines() if line.startswith("### ")]
    assert headings == ["### What the networks detect", "### Counts", "### How big they are"]


def test_the_way_from_the_whole_network_is_told():
    parent = {"verb": "train", "arch": "net", "classes": [0, 1], "true_weights": 100}
    steps = [{"stage": "warm-up", "widths": [9, 9, 2], "true_weights": 100, "validation_score": 0.9}]
    steps += [{"stage": "round 1", "widths": [5, 4, 1], "true_weights": 60, "validation_score": 0.8}]
    first = {"significance": 0.012, "stability": 0.5, "captured_relevance": 0.7, "joined": 2}
    first |= {"output_in_community": True, "community_true_weights": 40, "steps": steps}
    text = markdown(parent, pruned(0, **first, recall=0.25), retrained(0, true_weights=10))
    assert lines(text, "The first round") == [["0", "0.012", "0.50", "70.0", "2", "1 of 1", "5-4", "60", "60.0"]]
    assert lines(text, "Who removed the weights") == [["0", "60.00", "30.00", "10.000"]]
    assert lines(text, "Without retraining") == [["0", "50.00", "50.00", "25.00", "50.00", "50.00"]]


def test_the_first_round_alone_is_told_where_nothing_else_was_cut():
    steps = [{"stage": "round 1", "widths": [5, 4, 1], "true_weights": 60, "validation_score": 0.8}]
    parent = {"verb": "train", "arch": "net", "classes": [0, 1], "true_weights": 100}
    told = {"significance": 0.012, "stability": 0.5, "captured_relevance": 0.7, "steps": steps}
    alone = [pruned(0, **told, rounds=1, options={}), retrained(0, true_weights=60)]
    assert lines(markdown(parent, *alone), "The first round alone") == [
        ["0", "0.012", "0.50", "70.0", "3-2", "60", "60.0", "50.00", "50.00"]
    ]
    twice = [pruned(0, **told, rounds=2, options={}), retrained(0, true_weights=60)]
    trimmed = [pruned(0, **told, rounds=1, options={"rate": 0.5}), retrained(0, true_weights=60)]
    for more in (twice, trimmed):
        assert "The first round alone" not in markdown(parent, *more)


def test_measures_at_0_stand_beside_those_at_the_chosen_threshold():
    zero = {"accuracy": 0.75, "balanced_accuracy": 0.25, "f1": 0.125}
    found = [retrained(k, thresholds=[k - 2.5], at_zero=zero) for k in (0, 1)]
    told = lines(markdown(*found), "Where yes begins")
    assert told[0] == ["0", "-2.50", "50.00", "75.00", "50.00", "25.00", "50.00", "12.50"]
    assert told[-1][:2] == ["mean", "-2.00"]
    assert "Where yes begins" not in markdown(retrained(0))


def test_the_weakest_significance_speaks_for_several():
    found = [file for k, bs in ((0, 1e-9), (1, 0.02)) for file in (pruned(k, significance=bs), retrained(k))]
    assert lines(markdown(*found), "The first round")[-1][:2] == ["mean", "0.02"]


def test_kept_units_of_different_widths_are_averaged():
    wide = {"input": [1, 2], "hidden": [1, 2, 3], "out": [0]}
    sizes = lines(markdown(retrained(0), retrained(0, seed=2, kept=wide)), "How big they are")
    assert sizes[0][1] == "2.5-2.5"


def test_validation_is_no_result():
    assert "no results" in markdown(retrained(0, split="validation")) and "no results" not in markdown(retrained(0))


# ------------------------------------------------------------------------------------------ rivals


def against(**balanced):
    found = [
        retrained(k, algo=algo.replace("_", "-"), balanced_accuracy=v[k])
        for algo, v in balanced.items()
        for k in (0, 1)
    ]
    return markdown(*found)


def test_the_first_sentence_says_in_how_many_classes_a_rival_was_measured():
    few = markdown(
        *(retrained(k, balanced_accuracy=0.9) for k in (0, 1)), retrained(1, algo="few", balanced_accuracy=0.92)
    )
    assert few.startswith("**few (by 2.00, in 1 of 2 classes) is ahead of OSLOM")


def test_the_first_sentence_says_which_rival_is_ahead():
    """taylor - OSLOM: 2 and 4 points, 3 ± 1; random is behind."""
    text = against(OSLOM=(0.90, 0.90), taylor=(0.92, 0.94), random=(0.5, 0.5))
    assert text.splitlines()[0].startswith("**taylor (by 3.00 ± 1.00) is ahead of OSLOM")
    assert "**magnitude (by 6.00 ± 0.00) and taylor (by 3.00" in against(
        OSLOM=(0.90, 0.90), taylor=(0.92, 0.94), magnitude=(0.96, 0.96)
    )


def test_the_first_sentence_says_that_oslom_is_ahead():
    first = against(OSLOM=(0.95, 0.95), taylor=(0.92, 0.94), OSLOM_null=(0.5, 0.5)).splitlines()[0]
    assert first.startswith("OSLOM is ahead of taylor (by 2.00 ± 1.00) and OSLOM-null (by 45.00 ± 0.00) in mean")
    assert against(OSLOM=(0.95, 0.95)).startswith("No rival has been measured")
    assert against(random=(0.95, 0.95)).startswith("OSLOM has not been measured")


def test_unequal_cells_do_not_decide_who_is_ahead():
    """The rival was measured on the easy class only, where it is behind."""
    found = [retrained(0, balanced_accuracy=0.99), retrained(1, balanced_accuracy=0.5)]
    assert markdown(*found, retrained(0, algo="random", balanced_accuracy=0.9)).startswith("OSLOM is ahead of random")


def test_rivals_stand_side_by_side_with_their_paired_differences():
    table = lines(against(OSLOM=(0.90, 0.90), taylor=(0.92, 0.94), random=(0.5, 0.9)), "The rivals")
    assert [line[0] for line in table] == ["OSLOM", "taylor", "random"]
    assert table[0] == ["OSLOM", "2", "50.00", "90.00", "7", "–", "–"]
    assert table[1][-1] == "-3.00 ± 1.00 (0 of 2)" and table[2][-1] == "+20.00 ± 20.00 (1 of 2)"


def test_every_budget_has_its_line():
    found = []
    for rate, size in ((0.5, 30), (0.25, 20)):
        kept = {"input": [size], "out": [0]}
        found += [pruned(0, kept=kept, options={"rate": rate}), retrained(0, kept=kept, true_parameters=size)]
    table = lines(markdown(*found), "Every budget")
    assert [(line[0], line[1], line[7]) for line in table] == [
        ("rate 0.25", "class 0", "20"),
        ("rate 0.5", "class 0", "30"),
    ]
    assert not lines(markdown(*found[:2]), "Every budget")


def test_a_recipe_of_the_same_budget_has_its_own_line_and_a_name():
    """Twenty epochs in both classes, one epoch in a folder below: the tables of the main recipe do not change."""
    main = [retrained(k, accuracy=0.99, options={"retrain_epochs": 20}) for k in (0, 1)]
    below = [retrained(k, accuracy=0.5, options={"retrain_epochs": 1}, place=("below",), tp=1) for k in (0, 1)]
    alone, text = markdown(*main), markdown(*main, *below)
    assert lines(text, "Every budget") == [
        ["none", "classes 0, 1", "7", "99.00", *["50.00", "0.5000", "7", "7", "50.000", "50.000"]],
        ["retrain-epochs 1", "classes 0, 1", "7", "50.00", *["50.00", "0.5000", "7", "7", "50.000", "50.000"]],
    ]
    assert text.partition("### Every")[0] == alone.partition("### Counts")[0]
    assert text.partition("### Counts")[2] == alone.partition("### Counts")[2]
    rows = list(csv.DictReader(io.StringIO(report.csv_table(cells(*main, *below)))))
    assert [row["budget"] for row in rows] == ["none", "retrain-epochs 1"] * 2


def test_what_an_epoch_shows_is_told_where_it_is_not_everything():
    main = [retrained(k, options={"retrain_epochs": 20}) for k in (0, 1)]
    few = [retrained(k, options={"retrain_epochs": 50, "rest": 2.5}, place=("few",), tp=1) for k in (0, 1)]
    assert [line[3] for line in lines(markdown(*main, *few), "Every budget")] == ["all", "2.5"]
    assert "*rest*" in markdown(*main, *few) and "*rest*" not in markdown(*main, retrained(3, place=("other",)))


def test_rivals_of_another_recipe_are_told():
    other = retrained(0, algo="random", options={"retrain_epochs": 1})
    main = [retrained(k, options={"retrain_epochs": 20}) for k in (0, 1)]
    text = markdown(*main, other)
    assert "in the .csv only: random (retrain-epochs 1)." in text and "No rival has been measured" in text
    assert ".csv only" not in markdown(*main)


# ------------------------------------------------------------------------------------------ networks of several classes


def several(*classes, seed=1, accuracy=(0.9, 0.8), **more):
    """Of a network with an output per class."""
    lists = {"accuracy": list(accuracy), "tp": [3, 4], "mean_accuracy": 0.85, "mean_balanced_accuracy": 0.75}
    return retrained(0, seed, **{"classes": list(classes), **lists, "balanced_accuracy": [0.7, 0.8], **more})


def test_networks_of_several_classes_have_a_table_of_their_own():
    whole = several(0, 1, 2, accuracy=(1, 1), algo="none", kept={"input": [1], "out": [0, 1, 2]})
    found = [several(0, 7), several(0, 7, seed=2, mean_accuracy=0.95), {**whole, "accuracy": 0.97}]
    for text in (markdown(retrained(0), *found), markdown(*found)):
        assert [line[:5] + line[6:8] for line in lines(text, "Networks of several classes")] == [
            ["0-1-2", "none", "none", "97.00", "50.00", "0.5000", "1"],
            ["0-7", "OSLOM", "none", "90.00 ± 7.07", "50.00", "0.5000", "3-2"],
        ]
    assert "Networks of several" not in markdown(retrained(0)) and "among %" not in markdown(*found)
    told = lines(markdown(several(0, 7, accuracy_among=0.75), whole), "Networks of several classes")
    assert [line[-1] for line in told] == ["–", "75.00"]
    rows = list(csv.DictReader(io.StringIO(report.csv_table(scorecard.several(found, "net")))))
    assert [(row["class"], row["accuracy"], row["tp"]) for row in rows] == [
        ("0-7", "0.85", ""), ("0-7", "0.95", ""), ("0-1-2", "0.97", ""),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ the published table


def test_of_the_published_classes_those_count_that_were_run():
    """Two of ten are run, one is beaten."""
    rows = cells(retrained(0, accuracy=0.99, paper_rule_rate=0.004), retrained(1, accuracy=0.5))
    found = published_cells(rows, {k: (0.005, 0.985) for k in range(10)})
    assert report.beaten(found) == "1 of 2"
    assert report.beaten_together([found, found]) == (
        "Published classes beaten in accuracy and size at once: 2 of 4.\n"
    )
    assert report.beaten_together([published_cells([], {0: (0.005, 0.985)})]) == ""


def test_the_published_table_stands_beside_ours():
    found = [retrained(0, accuracy=0.99, paper_rule_rate=0.004), retrained(1, accuracy=0.98, paper_rule_rate=0.006)]
    text = markdown(*found, published={k: (0.005, 0.985) for k in (0, 1, 2)})  # class 2 was not run
    assert lines(text, "Beside the published table") == [
        ["0", "98.50", "99.00", "0.5000", "0.4000", "yes"],
        ["1", "98.50", "98.00", "0.5000", "0.6000", "no: accuracy and size"],
        ["mean", "98.50", "98.50", "0.5000", "0.5000", ""],
    ]
    assert "beaten in accuracy and size: 1 of 2" in text and "### Beside" not in markdown(*found)


def test_published_figures_are_read_for_their_network_and_data_set():
    text = "# where from\ndataset,arch,class,paper_rule_rate,accuracy\nA,net,1,0.5,0.75\nB,net,2,0,0\nA,other,3,0,0\n"
    assert report.published_table(text, "net", "A") == {1: (0.5, 0.75)}
    assert report.published_table("", "net", "A") == {}
    for broken in (text.replace("0.5", "half"), text.replace("arch", "network"), text + "A,net"):
        with pytest.raises(SpecDNNError, match="published figures"):
            report.published_table(broken, "net", "A")


def test_the_folders_published_table_is_complete(folder):
    """Ten classes of both networks; the mean rates are those the paper prints."""
    text = (folder.path / "published.csv").read_text(encoding="utf-8")
    for arch, rate in (("LeNet_300_100", 0.002654), ("LeNet_5", 0.02515)):
        table = report.published_table(text, arch, folder.dataset.DEFAULT)
        assert sorted(table) == list(range(10))
        assert sum(r for r, _ in table.values()) / 10 == pytest.approx(rate, abs=5e-6)
        assert all(0.96 < accuracy < 1 for _, accuracy in table.values())


# ------------------------------------------------------------------------------------------ CSV, README


def test_the_csv_table_has_one_row_per_cell_and_full_numbers():
    found = (
        retrained(3, accuracy=0.123456789),
        retrained(4, auroc=None),
        pruned(4, accuracy=0.25, options={"rate": 0.5}),
    )
    rows = list(csv.DictReader(io.StringIO(report.csv_table(cells(*found)))))
    assert [(row["class"], row["budget"]) for row in rows] == [("3", "none"), ("4", "rate 0.5")]
    assert rows[0]["accuracy"] == "0.123457" and rows[0]["tp"] == "7" and rows[0]["kept"] == "3-2"
    assert rows[1]["auroc"] == "" and rows[1]["pruned_accuracy"] == "0.25" and rows[0]["pruned_accuracy"] == ""


def test_the_points_of_the_curve_are_a_table_too():
    steps = [{"stage": "round 1", "widths": [2, 1], "true_weights": 60, "validation_score": 0.9}]
    points = scorecard.pareto_points(cells(pruned(0, steps=steps), retrained(0)))
    rows = list(csv.DictReader(io.StringIO(report.csv_points(points))))
    assert [(r["point"], r["split"], r["true_weights"], r["accuracy"]) for r in rows] == [
        ("round 1", "validation", "60", ""), ("retrained", "test", "7", "0.5"),
    ]  # fmt: skip


def test_the_readme_shows_the_pictures():
    assert "\n![a curve](x/y.png)\n" in readme(retrained(0), pictures={"a curve": "x/y.png"})


def test_the_readme_is_short_and_links_to_the_whole_report():
    """What the networks are and how they compare; tables per class, budgets and counts are in the report."""
    rival = retrained(0, algo="random", balanced_accuracy=0.4)
    rows = cells(retrained(0), rival)
    cell = published_cells(rows, {0: (0.6, 0.4)})
    text = report.readme_section(rows, [], [], cell, {}, "x/net.md", "x/net.html")
    headings = [line for line in text.splitlines() if line.startswith("####")]
    assert headings == ["#### Beside the published table", "#### The rivals"]
    assert text.startswith("OSLOM is ahead of random") and "\n[The whole report](x/net.md)" in text
    assert "[as a page](x/net.html)" in text


def test_the_readme_tells_every_budget_or_else_every_class():
    """A line per size where there are several; per class the report has it."""
    found = [retrained(0), retrained(1)]
    assert len(lines(readme(*found), "What the networks detect")) == 3
    text = readme(*found, retrained(0, options={"rate": 0.5}, auroc=0.75))
    assert [line[0] for line in lines(text, "Every budget")] == ["none", "rate 0.5"]
    assert "0.7500" in text and "What the networks detect" not in text


def test_the_readme_says_on_what_it_was_measured():
    on_gpu = retrained(1, options={"cuda": True})
    assert "\nOn the processor, 1 thread; specdnn 1" in readme(retrained(0))
    assert "\nOn the GPU and processor, 1 thread;" in readme(retrained(0), on_gpu)


def test_a_section_is_replaced_between_its_markers():
    text = "a\n<!-- here -->\nold\n<!-- /here -->\nb\n"
    once = report.between(text, "here", "new")
    assert once == "a\n<!-- here -->\nnew\n<!-- /here -->\nb\n"
    assert report.between(once, "here", "new") == once
    for broken in ("a\nb\n", "<!-- here -->", "<!-- /here --><!-- here -->"):
        with pytest.raises(SpecDNNError):
            report.between(broken, "here", "new")
