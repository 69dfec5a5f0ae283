"""The proof of speed and the null networks: what is multiplied out, shuffled, timed piece by piece, and the pages."""

import argparse
import json
from collections import Counter
from pathlib import Path

import null_networks
import numpy as np
import pages
import published_recipe as recipe
import pytest
import results
import results_growth
import results_pieces
import results_scripts
import results_training
import torch
from hypothesis import given
from hypothesis import strategies as st

from specdnn import method
from specdnn.network.surgery import CompactNetwork
from specdnn.structures import Recipe
from specdnn.work import fit, wanted_outputs

# ------------------------------------------------------------------------------------------ pages


def test_a_table_has_a_line_for_its_heading_one_for_alignment_and_one_for_each_row():
    lines = ["| a | b |", "| --- | ---: |", "| x | 1 |", "| y | 2.5 |"]
    assert pages.table(["a", "b"], [["x", 1], ["y", 2.5]]).splitlines() == lines


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers())
def test_measures_are_rounded_to_six_digits_however_deep_and_whole_numbers_not_at_all(value, count):
    deep = pages.rounded({"a": [value, (count, "text")], "b": {"c": True}})
    assert deep == {"a": [pytest.approx(value, rel=1e-5), [count, "text"]], "b": {"c": True}}


def test_measures_come_back_from_their_file(tmp_path):
    rows = [{"section": "start", "seconds": 0.25}, {"section": "growth", "pieces": {"cut": 1.5}}]
    assert pages.read_measures(tmp_path / "none.jsonl") == []
    pages.write_measures(tmp_path / "some.jsonl", rows)
    assert pages.read_measures(tmp_path / "some.jsonl") == rows
    assert [path.name for path in tmp_path.iterdir()] == ["some.jsonl"]


def test_the_median_leaves_out_the_first_call(monkeypatch):
    calls, clock = [], iter([10, 12, 20, 21, 30, 34])  # of three calls
    monkeypatch.setattr(pages.time, "perf_counter", lambda: next(clock))
    assert pages.median_seconds(lambda: calls.append(0)) == 2
    assert len(calls) == 4


# ------------------------------------------------------------------------------------------ the published recipe


def test_the_recipe_is_fifty_epochs_of_the_parent_and_of_each_of_ten_classes():
    assert recipe.multiplied(parent=3, masked=2) == sum([3] * 50 + [2] * 50 * 10)


def test_the_recipe_reads_the_images_as_this_folder_does(folder):
    assert folder.dataset.NORMALISATION["MNIST"] == (recipe.MEAN, recipe.DEVIATION)


def test_the_recipe_loads_single_images_normalised_as_ours(mnist):
    from conftest import MNIST_DATA

    train, test = recipe.loaders(MNIST_DATA)
    images, labels = next(iter(test))
    assert torch.allclose(images, mnist.test.images[: len(images)], atol=1e-5)
    assert (labels == mnist.test.labels[: len(labels)]).all()
    assert (len(train.dataset), train.batch_size, len(train)) == (60_000, 128, 469)


def test_a_network_with_one_output_is_otherwise_the_same(network_type):
    whole = {name: tuple(one.shape) for name, one in network_type().state_dict().items()}
    network = recipe.with_one_output(network_type())
    assert network(torch.zeros(3, 1, 28, 28)).shape == (3, 1)
    changed = {name for name, one in network.state_dict().items() if tuple(one.shape) != whole[name]}
    assert len(changed) == 2 and len({name.rpartition(".")[0] for name in changed}) == 1


def test_what_is_masked_is_zero_after_every_step_and_the_rest_learns(network_type):
    torch.manual_seed(0)
    network = recipe.with_one_output(network_type())
    masks, optimizer = recipe.random_masks(network, 0.3), recipe.optimizer_of(network)
    before = {one: one.detach().clone() for one in masks}
    images, targets = torch.randn(8, 1, 28, 28), recipe.targets_of(torch.arange(8), 1)
    for _ in range(2):
        recipe.step(network, optimizer, images, targets, masks)
    assert all((weight[mask == 0] == 0).all() for weight, mask in masks.items())
    assert all((weight != before[weight])[mask == 1].any() for weight, mask in masks.items())


def test_targets_are_a_column_for_each_class_or_for_the_wanted_one():
    labels = torch.tensor([0, 3, 3])
    assert recipe.targets_of(labels, 10).argmax(1).tolist() == [0, 3, 3]
    assert recipe.targets_of(labels, 1, wanted=3).tolist() == [[0.0], [1.0], [1.0]]


@pytest.mark.parametrize("outputs, accuracy", [(10, 0.25), (1, 0.75)])
def test_an_epoch_ends_with_the_share_of_test_images_that_are_right(outputs, accuracy):
    network = torch.nn.Linear(2, outputs)
    torch.nn.init.zeros_(network.weight)
    with torch.no_grad():
        network.bias[:] = -1.0
        network.bias[-1] = 2.0 if outputs == 10 else -1.0  # always the last class; always no
    test = [(torch.zeros(4, 2), torch.tensor([9, 0, 1, 2]))]
    assert recipe.epoch(network, outputs, [], test, {}) == accuracy


# ------------------------------------------------------------------------------------------ our scripts


@given(st.floats(1, 100), st.lists(st.floats(0.1, 50), min_size=1, max_size=10), st.integers(1, 4))
def test_classes_that_did_not_run_take_the_mean_of_those_that_did(start, classes, jobs):
    whole = results_scripts.multiplied(start + sum(classes), classes, jobs)
    mean = float(np.mean(classes))
    dull = start + sum(classes) + sum(mean / jobs for _ in range(10 - len(classes)))
    assert whole == pytest.approx(dull)


def test_the_stages_of_a_class_are_those_of_both_files_without_the_training_of_the_parent(tmp_path):
    script = results_scripts.Script("net", "Net", "MNIST", "spec.sh", (4,))
    for part, told in (("OSLOM", {"train": 9.0, "oslom": 1.0}), ("best_retrained", {"oslom": 1.0, "retrain": 5.0})):
        (tmp_path / f"Net.specialize.4.{part}.json").write_text(json.dumps({"seconds": told, "accuracy": 0.5}))
    assert results_scripts.stages(script, tmp_path) == {"4": {"oslom": 1.0, "retrain": 5.0}}
    assert results_scripts.accuracy(script, tmp_path) == 0.5


def test_the_accuracy_beside_a_script_is_that_of_the_same_classes_in_the_published_results():
    for script in results_scripts.LENETS:
        assert 0.9 < results_scripts.published_accuracy(script) < 1


@pytest.mark.parametrize("script", [*results_scripts.LENETS, results_scripts.RESNET], ids=lambda one: one.network)
def test_the_scripts_that_are_timed_are_there(script):
    assert (results_scripts.ROOT / script.folder / script.spec).is_file()


def test_without_images_a_section_says_so_and_measures_nothing(tmp_path):
    given = argparse.Namespace(mnist=tmp_path, cifar=tmp_path, resnet=None, threads=1, repeats=1)
    ((name, sentence),) = list(results_scripts.measure_table(given))[0].items()
    assert (name, sentence) == ("missing", "not measured: --mnist names no images of MNIST")
    assert list(results_scripts.measure_stages(given)) == [{name: "not measured: --cifar names no images of CIFAR-10"}]
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert list(results_scripts.measure_stages(given)) == [{name: "not measured: --resnet names no trained ResNet-20"}]


# ------------------------------------------------------------------------------------------ pieces of a round


@pytest.fixture(scope="module")
def small_parent(digits, folder):
    """A LeNet-300-100 after five epochs on `digits`, and what the method works with for class 3."""
    torch.manual_seed(0)
    network = CompactNetwork.parent(folder.architectures["LeNet_300_100"](), digits.train.images[0])
    work = results_pieces.work_of(digits, "LeNet_300_100", (3,), 1)
    fit(work, network, Recipe(epochs=5, lr=3e-3), "train")
    return network, work


def test_the_pieces_of_a_round_find_what_the_method_finds(small_parent, real_program):
    network, work = small_parent
    kept, run, figures = method.find_community(work, wanted_outputs(network, (3,)), 1, method.OSLOM)
    found = results_pieces.first_round(work, network)
    assert figures["keep"] == work.options.keep  # at the first attempt
    assert (found["units"], found["modules"]) == (sum(kept.widths[:-1]), len(run.cover.significant))
    assert found["edges"] == len(run.edges.splitlines())
    assert found["connections"] == 784 * 300 + 300 * 100 + 100
    assert all(found[name] >= 0 for name in results_pieces.PIECES)


def test_the_memory_of_a_call_is_that_of_what_it_holds_at_a_time():
    eight_megabytes = results_pieces.peak_of(lambda: np.ones(10**6))
    assert 8e6 <= eight_megabytes < 8.2e6
    assert results_pieces.peak_of(lambda: [np.ones(10**6), np.ones(10**6)]) > 1.9 * eight_megabytes


# ------------------------------------------------------------------------------------------ growth, training


@pytest.mark.parametrize("times", [1, 4])
def test_wider_networks_have_so_many_times_the_hidden_units(times):
    shapes = [tuple(one.shape) for one in results_growth.wider(times).parameters() if one.dim() > 1]
    assert shapes == [(300 * times, 784), (100 * times, 300 * times), (10, 100 * times)]


def test_settled_norms_give_mean_0_and_deviation_1():
    norm, images = torch.nn.BatchNorm2d(3), 5 + 2 * torch.randn(50, 3, 6, 6)
    found = results_growth.settled(torch.nn.Sequential(norm), images)(images).detach()
    assert torch.allclose(found.mean((0, 2, 3)), torch.zeros(3), atol=1e-3)
    assert torch.allclose(found.std((0, 2, 3)), torch.ones(3), atol=1e-2)


def test_shares_of_time_are_of_arithmetic_of_no_operation_and_of_the_longest_others():
    spent = {"aten::addmm": 2.0, "aten::convolution_backward": 1.0, "aten::relu": 0.5, "aten::add_": 0.4, "x": 0.1}
    found = results_training.shares({**spent, "y": 0.05}, taken=10.0)
    assert found == pytest.approx({"arithmetic": 0.3, "python": 0.595, "relu": 0.05, "add_": 0.04, "x": 0.01})


def test_operations_are_six_for_each_connection_less_the_gradient_of_the_pixels():
    case = results_training.CASES[0]
    whole = results_training.networks(case)["whole"]
    forward = 784 * 300 + 300 * 100 + 100
    assert results_training.operations(whole, case) == pytest.approx(2 * (3 * forward - 784 * 300))


# ------------------------------------------------------------------------------------------ null networks


def test_shuffled_weights_are_the_same_numbers_of_every_tensor_in_another_order(network_type):
    network = network_type()
    before = {name: one.clone() for name, one in network.state_dict().items()}
    first, again, other = (null_networks.with_shuffled_weights(network, seed).state_dict() for seed in (1, 1, 2))
    for name, one in before.items():
        assert torch.equal(one.flatten().sort().values, first[name].flatten().sort().values)
        assert torch.equal(first[name], again[name]) and torch.equal(network.state_dict()[name], one)
        assert not torch.equal(first[name], one) and not torch.equal(first[name], other[name])


def test_shuffled_labels_are_as_many_of_each_class_on_the_same_images(digits):
    shuffled, again = (null_networks.with_shuffled_labels(digits, 1) for _ in range(2))
    for name in ("train", "validation"):
        before, after = digits.split(name), shuffled.split(name)
        assert Counter(before.labels.tolist()) == Counter(after.labels.tolist())
        assert 0.03 < (before.labels == after.labels).float().mean() < 0.2  # a tenth agrees by chance
        assert after.images is before.images and torch.equal(after.labels, again.split(name).labels)
    assert shuffled.test is digits.test


def test_every_kind_of_network_is_made_of_the_same_start_and_the_trained_one_stays(digits, folder):
    made = {}
    for kind, work, network in null_networks.networks(folder.architectures["LeNet_300_100"], digits, 3, epochs=1):
        state = network.network.state_dict()
        made[kind] = (work.options.classes, {name: one.clone() for name, one in state.items()})
    assert list(made) == list(null_networks.KINDS)
    assert {classes for classes, _ in made.values()} == {(3,)}
    weights = {kind: state["ip1.weight"] for kind, (_, state) in made.items()}
    assert torch.equal(weights["trained"].flatten().sort().values, weights["shuffled weights"].flatten().sort().values)
    assert torch.equal(weights["shuffled labels"], weights["shuffled labels, true classes"])
    apart = [weights[kind] for kind in ("trained", "untrained", "shuffled labels", "trained, warmed up")]
    assert all(not torch.equal(a, b) for k, a in enumerate(apart) for b in apart[:k])


def null_row(kind: str, seed: int, **told) -> dict:
    found = {"significance": 0.01 * seed, "captured_relevance": 0.5, "joined": 0, "output_in_community": True}
    found |= {"at_once": seed > 1, "units": 100 * seed, "weights": 0.1 * seed, "modules": seed}
    return {"kind": kind, "seed": seed, "class": seed, "epochs": 3, "on": "here", "found": True, **found, **told}


def test_the_page_of_null_networks_counts_what_is_reported():
    rows = [null_row("trained", seed) for seed in (1, 2, 3)]
    rows += [{**{name: rows[0][name] for name in ("seed", "epochs", "on")}, "kind": "untrained", "found": False}]
    lines = {line.split(" | ")[0]: line for line in null_networks.page(rows).splitlines() if line.startswith("| ")}
    assert lines["| trained"].startswith(
        "| trained | 3 | 3 | 2 | 2.0 (1 to 3) | 0.02 | 200.0 (100 to 300) | 20.0 (10 to"
    )
    assert lines["| untrained"].startswith("| untrained | 1 | 0 | 0 | –")
    assert "| shuffled weights" not in lines
    sentence = null_networks.page(rows).split("\n\n")[1]
    assert "in 0 of 1 class graphs of networks that learnt nothing" in sentence and "in 3 of 3 of networks" in sentence


# ------------------------------------------------------------------------------------------ the page of results


def rows_of_all() -> list[dict]:
    """A row or two of every section, as they are measured."""
    pieces = dict.fromkeys(results_pieces.PIECES, 0.5) | {"edges": 1000, "connections": 10**6, "modules": 2}
    pieces |= {"graph_bytes": 2 * 10**7, "oslom_mib": 1.0, "least_mib": 0.1, "units": 10}
    stages = {
        "0": {"warm-up": 1.0, "oslom": 2.0, "retrain": 20.0},
        "1": {"warm-up": 3.0, "oslom": 2.0, "retrain": 20.0},
    }
    script = {"wall": 50.0, "parent": 4.0, "stages": stages, "accuracy": 0.99, "published": 0.98, "pieces": pieces}
    script["jobs"] = 1
    spent = {"arithmetic": 0.7, "python": 0.1, "relu": 0.1}
    rows = {
        "table": [
            {"network": "LeNet-5", "recipe": {"parent": 20.0, "masked": 10.0}},
            {"network": "LeNet-5", **script},
        ],
        "stages": [{"network": "ResNet-20", **script, "epochs": 6}],
        "training": [{"peak": 2e11}, {"network": "LeNet-5", "kind": "whole", "images": 1000.0, "operations": 2e10}],
        "compact": [{"network": "LeNet-5", "rates": {"training, torch": {"whole": 1000.0, "compact": 4000.0}}}],
        "growth": [{"network": "600-200", "classes": 1, **pieces}],
        "start": [{"what": "`import torch`", "seconds": 1.25}],
    }
    rows["training"][1] |= {"spent": spent, "peak": 2e11}
    return [{"section": name, "on": "here", "load": 0.5, **row} for name, own in rows.items() for row in own]


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_table_is_the_recipe_over_the_script_both_multiplied_out():
    text = section(results.page(rows_of_all()), "Time to the table")
    script = 50 + 8 * (23 + 25) / 2
    assert f"| LeNet-5 | 20.0 | 10.0 | 6,000 | {script:.0f} | 2 of 10 classes | {6000 / script:.0f} | ≥ 60 |" in text


def test_the_stages_name_the_share_of_the_search():
    text = section(results.page(rows_of_all()), "Where our time goes")
    assert "| LeNet-5 | 4.0 | 2.0 | 2.0 | 20.0 | 10.0 % | ≤ 5 % |" in text and "| ResNet-20 | 4.0 |" in text


def test_training_is_told_beside_the_peak_and_growth_per_million():
    text = results.page(rows_of_all())
    assert "| LeNet-5, whole | 1,000 | 20.00 | 10 | 70 | 10 | `relu` 10 |" in text
    assert "Limited by small matrices" in text
    assert "| 1.000 | 20 | 500.0 | 1049 | 2 |" in section(text, "How it grows")
    assert results_growth.memory_of({"oslom_mib": 11.2, "least_mib": 11.0, "edges": 10}) == "–"
    assert "| 1,000 | 4,000 | 4 |" in text and "| `import torch` | 1.250 |" in text


def test_a_section_that_was_not_measured_says_so_and_why():
    assert results.page([]).count("Not measured yet.") == len(results.SECTIONS)
    row = {"section": "table", "on": "here", "load": 0.0, "missing": "not measured: --mnist names no images of MNIST"}
    text = section(results.page([row]), "Time to the table")
    assert "Not measured: --mnist names no images of MNIST." in text and "| network" not in text
    assert "here; load at the start 0.0." in text


def test_one_section_is_replaced_and_the_others_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FIGURES", tmp_path / "results.jsonl")
    monkeypatch.setattr(results, "PAGE", tmp_path / "results.md")
    pages.write_measures(results.FIGURES, rows_of_all())
    fresh = results.Section("Start", lambda given: iter([{"what": "`it`", "seconds": 7.0}]), results_growth.text_start)
    monkeypatch.setitem(results.SECTIONS, "start", fresh)
    monkeypatch.setattr("sys.argv", ["results.py", "--only", "start", "--threads", "1"])
    results.main()
    text = Path(results.PAGE).read_text(encoding="utf-8")
    assert "| `it` | 7.000 |" in text and "import torch" not in text and "| 600-200 |" in text
    assert [row["section"] for row in pages.read_measures(results.FIGURES)][-1] == "start"
