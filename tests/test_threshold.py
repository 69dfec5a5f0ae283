"""--threshold: the logit above which the answer is yes, chosen on validation and kept with the network."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

import specdnn
from specdnn import exporting, files
from specdnn.composing import thresholds_of
from specdnn.network import beside, evaluation, netfile

MEASURES = {"balanced": metrics.balanced_accuracy_score, "f1": metrics.f1_score}
PRUNE = "--prune --specialize 3 --warmup-epochs 0 --rounds 1 --brief-epochs 1 --algo magnitude --rate 0.02"
answers = st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=30)


# ------------------------------------------------------------------------------------------ the choice


@pytest.mark.parametrize("measure", MEASURES)
@given(answers)
def test_no_other_threshold_is_better(measure, drawn):
    """The dull twin: every threshold between two logits, below and above them all, measured by scikit-learn."""
    truth, logit = np.array([yes for yes, _ in drawn], int), np.array([number / 2 for _, number in drawn])
    chosen = evaluation.threshold_of(truth, logit, measure)
    if truth.min() == truth.max():
        assert chosen == 0
        return
    known = np.unique(logit)
    tried = [known[0] - 1, *(known[1:] + known[:-1]) / 2]
    scores = [MEASURES[measure](truth, logit > one) for one in tried]
    assert MEASURES[measure](truth, logit > chosen) == pytest.approx(max(scores))


def test_it_lies_midway_between_two_logits_and_nearest_to_0_of_equals():
    truth, logit = np.array([0, 0, 1, 1]), np.array([-3.0, 1.0, 2.0, 5.0])
    assert evaluation.threshold_of(truth, logit, "balanced") == 1.5
    truth, logit = np.array([0, 1, 0, 1]), np.array([-9.0, -8.0, 0.0, 1.0])  # both splits are as good
    assert evaluation.threshold_of(truth, logit, "balanced") == 0.5


def test_one_per_class_and_none_for_zero():
    logits, labels = torch.tensor([[-2.0, 3.0], [-1.0, 5.0], [4.0, 1.0], [-4.0, 2.0]]), torch.tensor([0, 1, 0, 2])
    assert evaluation.thresholds(logits, labels, (0, 1), "zero") == ()
    first, second = evaluation.thresholds(logits, labels, (0, 1), "balanced")
    assert (first, second) == (1.5, 4)  # at -3 the first is as good
    found = evaluation.all_metrics(logits, labels, (0, 1), 3, (first, second))
    assert found["balanced_accuracy"] == [0.75, 1]
    assert evaluation.all_metrics(logits, labels, (0, 1), 3)["balanced_accuracy"] == [0.75, 0.5]


# ------------------------------------------------------------------------------------------ stages and files


@pytest.fixture
def pruned(main, parents, tmp_path):
    """(checkpoint, metrics) of class 3, its threshold chosen for balanced accuracy."""
    words = (PRUNE, "--threshold balanced", "--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path)
    done = main(*words)
    assert done.code == 0, done.err
    path = tmp_path / "digits" / "LeNet_300_100.specialize.3.magnitude.pth.tar"
    return path, json.loads(files.metrics_path(path).read_text())


def test_it_is_stored_with_the_network_and_the_middle_is_reported_beside_it(pruned, digits, folder):
    path, told = pruned
    loaded = netfile.load(path, folder.architectures)
    logits = evaluation.logits_of(loaded.compact.network, digits.validation.images)
    assert loaded.thresholds == evaluation.thresholds(logits, digits.validation.labels, (3,), "balanced")
    assert told["thresholds"] == list(loaded.thresholds) != [0.0]
    test = evaluation.logits_of(loaded.compact.network, digits.test.images)
    at_zero = evaluation.all_metrics(test, digits.test.labels, (3,), 10)
    own = evaluation.all_metrics(test, digits.test.labels, (3,), 10, loaded.thresholds)
    assert told["at_zero"]["balanced_accuracy"] == at_zero["balanced_accuracy"]
    assert told["balanced_accuracy"] == own["balanced_accuracy"]
    assert "auroc" not in told["at_zero"] and told["auroc"] == at_zero["auroc"]
    assert told["validation_balanced_accuracy"] == told["validation_score"] > 0.5
    assert specdnn.load(path).thresholds == loaded.thresholds


def test_evaluate_uses_it_and_can_choose_another(pruned, main):
    path, told = pruned
    again, _ = json.JSONDecoder().raw_decode(main("--evaluate --pretrained", path).out)  # a sentence follows
    assert (again["thresholds"], again["tp"]) == (told["thresholds"], told["tp"])
    other, _ = json.JSONDecoder().raw_decode(main("--evaluate --threshold f1 --pretrained", path).out)
    assert other["f1"] > 0 and len(other["thresholds"]) == 1


def test_without_it_nothing_of_it_is_told(main, parents, tmp_path, folder):
    assert main(PRUNE, "--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path).code == 0
    path = tmp_path / "digits" / "LeNet_300_100.specialize.3.magnitude.pth.tar"
    told = json.loads(files.metrics_path(path).read_text())
    assert not {"thresholds", "at_zero"} & set(told) and "threshold" not in told["options"]
    assert netfile.load(path, folder.architectures).thresholds == ()
    assert "thresholds" not in torch.load(path, weights_only=True)


def test_exported_probabilities_come_with_it(pruned, folder):
    loaded = netfile.load(pruned[0], folder.architectures)
    (probability,) = exporting.use_of(loaded)["threshold"]
    assert probability == pytest.approx(torch.tensor(loaded.thresholds[0]).sigmoid().item())


@pytest.mark.parametrize("logit", [-1000.0, -2.5, 0.0, 2.5, 1000.0])
def test_any_logit_is_a_probability(logit):
    assert exporting.probability(logit) == pytest.approx(torch.tensor(logit, dtype=torch.float64).sigmoid().item())


def test_a_composition_has_those_of_its_members(pruned, folder):
    one = netfile.load(pruned[0], folder.architectures)
    other = netfile.load(pruned[0], folder.architectures)
    assert thresholds_of([one, other]) == one.thresholds  # of the same class


@pytest.mark.parametrize("wrong", [[1.0, 2.0], ["1"], [float("nan")], 3.0, None, [True]])
def test_a_file_with_wrong_thresholds_is_refused(wrong):
    with pytest.raises(ValueError, match="thresholds are not one number for each of its 1 classes"):
        beside.thresholds(wrong, 1)
