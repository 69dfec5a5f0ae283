"""Tables from metrics files: rows, means, spread over seeds, and what is missing."""

import csv
import io

import pytest

from specdnn import report
from specdnn.structures import SpecDNNError

KEPT = {"input": [1, 2, 3], "hidden": [0, 4], "out": [5]}


def found(k, seed=1, **more):
    numbers = dict.fromkeys(report.MEASURES, 0.5) | dict.fromkeys(("tp", "fp", "fn", "tn", "true_weights", "macs"), 7)
    origin = {"verb": "retrain", "arch": "net", "classes": [k], "algo": "OSLOM", "seed": seed, "split": "test"}
    return {**origin, **numbers, "kept": KEPT, **more}


def lines(rows):
    return report.markdown_table(rows, []).splitlines()


def test_cells_are_the_retrained_networks_of_one_class_in_order():
    others = [found(1, verb="prune"), found(1, arch="other"), found(1, classes=[1, 2]), {"something": "else"}]
    rows = report.cells([found(2), found(1, seed=2), *others, found(0), found(2, algo="A")], "net")
    assert [(m["algo"], m["seed"], m["classes"]) for m in rows] == [
        ("A", 1, [2]), ("OSLOM", 1, [0]), ("OSLOM", 1, [2]), ("OSLOM", 2, [1]),
    ]  # fmt: skip


def test_a_row_per_class_and_their_mean():
    told = lines([found(0, accuracy=0.98), found(1, accuracy=0.99)])
    assert len(told) == 5
    assert told[2].startswith("| 0 | OSLOM | 1 | 98.00 | 50.00 |") and told[2].endswith("| 3-2 |")
    assert told[4].startswith("| mean |  |  | 98.50 |")
    assert len({line.count("|") for line in told}) == 1


def test_one_row_has_no_mean():
    assert len(lines([found(0)])) == 3


def test_several_seeds_have_their_spread():
    """Means over the classes 98.5 and 99.5, so the standard deviation is sqrt(1/2)."""
    rows = [
        found(0, 1, accuracy=0.98),
        found(1, 1, accuracy=0.99),
        found(0, 2, accuracy=0.99),
        found(1, 2, accuracy=1.0),
    ]
    assert lines(rows)[-1].startswith("| sd over seeds |  |  | 0.71 |")


def test_a_measure_that_does_not_exist_is_a_dash_and_left_out_of_the_mean():
    rows = [found(0, auroc=None), found(1, auroc=0.75), found(0, 2, auroc=None), found(1, 2, auroc=None)]
    told = lines(rows)
    assert "| – |" in told[2] and "| 0.7500 |" in told[-2] and "| – |" in told[-1]
    assert len(lines([found(0, auroc=None), found(1, auroc=None)])) == 5


def test_the_parents_stand_above():
    parent = {"arch": "net", "seed": 1, "accuracy": 0.9876, "split": "test"}
    assert report.markdown_table([found(0)], [parent]).startswith("Parent net, seed 1: 98.76 % accuracy on test.\n\n|")


def test_the_csv_table_has_one_row_per_cell_and_full_numbers():
    rows = list(csv.DictReader(io.StringIO(report.csv_table([found(3, accuracy=0.123456789), found(4, auroc=None)]))))
    assert [row["class"] for row in rows] == ["3", "4"]
    assert rows[0]["accuracy"] == "0.123457" and rows[0]["tp"] == "7" and rows[0]["kept"] == "3-2"
    assert rows[1]["auroc"] == ""


def test_a_section_is_replaced_between_its_markers():
    text = "a\n<!-- here -->\nold\n<!-- /here -->\nb\n"
    once = report.between(text, "here", "new")
    assert once == "a\n<!-- here -->\nnew\n<!-- /here -->\nb\n"
    assert report.between(once, "here", "new") == once
    for broken in ("a\nb\n", "<!-- here -->", "<!-- /here --><!-- here -->"):
        with pytest.raises(SpecDNNError):
            report.between(broken, "here", "new")
