"""Metrics against scikit-learn and a dull count; sizes against numbers worked by hand."""

import json
import math

import numpy as np
import pytest
import six_units
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from specdnn.network import evaluation
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.structures import paper_rule_of

answers = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([-2.5, -1.0, 0.0, 0.25, 1.0, 3.0])), min_size=1, max_size=60
)


def columns(pairs):
    truth, logit = zip(*pairs, strict=True)
    return np.array(truth), np.array(logit)


# ------------------------------------------------------------------------------------------ metrics


def test_metrics_of_eight_images_worked_by_hand():
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    logit = np.array([2.0, 1.0, -1.0, 3.0, -2.0, -3.0, -4.0, 0.0])  # 0 is a no
    found = evaluation.one_class(truth, logit)
    assert (found["tp"], found["fp"], found["fn"], found["tn"]) == (2, 1, 1, 4)
    assert found["accuracy"] == 6 / 8 and found["always_no_accuracy"] == 5 / 8
    assert found["precision"] == pytest.approx(2 / 3) and found["recall"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    # pairs of a yes and a no in the right order: 4 of 5 for 2.0, 4 for 1.0, 3 for -1.0
    assert found["auroc"] == pytest.approx(11 / 15)


@given(answers)
def test_metrics_against_a_dull_count(pairs):
    found = evaluation.one_class(*columns(pairs))
    tp, fp, fn, tn = (
        sum(1 for t, z in pairs if (t, z > 0) == kind) for kind in ((1, True), (0, True), (1, False), (0, False))
    )
    assert [found[name] for name in ("tp", "fp", "fn", "tn")] == [tp, fp, fn, tn]
    assert found["accuracy"] == pytest.approx((tp + tn) / len(pairs))
    assert found["always_no_accuracy"] == pytest.approx((tn + fp) / len(pairs))
    assert found["precision"] == pytest.approx(tp / (tp + fp) if tp + fp else 0)
    assert found["recall"] == pytest.approx(tp / (tp + fn) if tp + fn else 0)
    assert found["f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0)
    if tp + fn and tn + fp:
        assert found["balanced_accuracy"] == pytest.approx((tp / (tp + fn) + tn / (tn + fp)) / 2)
        order = [(a > b) + (a == b) / 2 for t, a in pairs if t for u, b in pairs if not u]
        assert found["auroc"] == pytest.approx(np.mean(order))
    else:
        assert math.isnan(found["balanced_accuracy"]) and math.isnan(found["auroc"])


@given(answers)
def test_metrics_against_scikit_learn(pairs):
    truth, logit = columns(pairs)
    found, said = evaluation.one_class(truth, logit), logit > 0
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
    assert found["precision"] == pytest.approx(metrics.precision_score(truth, said, zero_division=0))
    assert found["recall"] == pytest.approx(metrics.recall_score(truth, said, zero_division=0))
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, said, zero_division=0))
    if 0 < truth.sum() < len(truth):
        assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, said))
        assert found["auroc"] == pytest.approx(metrics.roc_auc_score(truth, logit))


def test_always_no_is_told_beside_a_network_that_says_no():
    found = evaluation.one_class(np.array([1] + [0] * 9), np.full(10, -1.0))
    assert found["accuracy"] == found["always_no_accuracy"] == pytest.approx(0.9)
    assert found["balanced_accuracy"] == 0.5 and found["recall"] == 0


LOGITS = torch.tensor([[3.0, 1, -1], [-1, 2, -1], [1, -2, -1], [-1, -3, -2], [2, 1, 0.5]])
LABELS = torch.tensor([0, 1, 2, 2, 0])


def test_one_output_is_measured_against_its_class():
    found = evaluation.all_metrics(LOGITS[:, :1], LABELS, (0,), 3)
    assert (found["tp"], found["fp"], found["fn"], found["tn"]) == (2, 1, 0, 2)
    assert found == evaluation.one_class((LABELS == 0).int().numpy(), LOGITS[:, 0].double().numpy())


def test_several_outputs_give_lists_in_their_order_and_means():
    found = evaluation.all_metrics(LOGITS[:, :2], LABELS, (0, 2), 10)
    first = evaluation.one_class((LABELS == 0).int().numpy(), LOGITS[:, 0].numpy())
    second = evaluation.one_class((LABELS == 2).int().numpy(), LOGITS[:, 1].numpy())
    for name in evaluation.PER_CLASS:
        assert found[name] == pytest.approx([first[name], second[name]]), name
    for name in ("accuracy", "balanced_accuracy", "auroc", "f1"):
        assert found[f"mean_{name}"] == pytest.approx((first[name] + second[name]) / 2)
    assert "one_against_rest_accuracy" not in found


def test_all_classes_have_argmax_accuracy_beside_the_lists():
    found = evaluation.all_metrics(LOGITS, LABELS, (0, 1, 2), 3)
    # largest logits: 0, 1, 0, 0, 0
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["one_against_rest_accuracy"] == pytest.approx([4 / 5, 3 / 5, 2 / 5])
    assert len(found["balanced_accuracy"]) == 3


def test_the_headline_is_accuracy_and_balanced_accuracy():
    one = evaluation.all_metrics(LOGITS[:, :1], LABELS, (0,), 3)
    assert evaluation.headline(one) == (one["accuracy"], one["balanced_accuracy"])
    two = evaluation.all_metrics(LOGITS[:, :2], LABELS, (0, 2), 10)
    assert evaluation.headline(two) == (two["mean_accuracy"], two["mean_balanced_accuracy"])
    whole = evaluation.all_metrics(LOGITS, LABELS, (0, 1, 2), 3)
    assert evaluation.headline(whole) == (whole["accuracy"], whole["mean_balanced_accuracy"])


def test_logits_are_the_same_in_any_batches_and_measured_in_evaluation_mode(digits, folder):
    network = folder.architectures["LeNet_5"]().train()
    few, many = (evaluation.logits_of(network, digits.test.images[:50], size) for size in (7, 50))
    torch.testing.assert_close(few, many)
    assert not network.training and not few.requires_grad


# ------------------------------------------------------------------------------------------ sizes


def cut_to(parent: CompactNetwork, *kept) -> CompactNetwork:
    """The network of these units of its first layers, and of the first class."""
    units = parent.kept
    for depth, chosen in enumerate(kept):
        units = units.replace(depth, chosen)
    return cut(parent, units.replace(len(units.units) - 1, (0,)))


def sizes_of(parent: CompactNetwork, rule, *kept):
    base = rule(parent.wiring.layers.widths) if rule else parent.wiring.parent_sizes[0]
    return evaluation.sizes(cut_to(parent, *kept) if kept else parent, rule, base, parent.wiring.parent_sizes)


@pytest.fixture
def measured(folder, whole):
    """Sizes of a network of the folder: name, kept units of its first layers."""
    kinds = folder.architectures
    return lambda arch, *kept: sizes_of(whole(kinds[arch]()), paper_rule_of(kinds[arch]), *kept)


def test_lenet_300_100_with_60_8_and_4_units(measured):
    found = measured("LeNet_300_100", range(60), range(8), range(4))
    assert found["paper_rule_weights"] == 60 * 8 + 8 * 4 + 10 * 4 == 552
    assert found["paper_rule_rate"] == 552 / 266_200
    assert found["true_weights"] == 60 * 8 + 8 * 4 + 4 * 1 == 516
    assert found["true_parameters"] == 516 + 8 + 4 + 1
    assert found["true_rate"] == 529 / 266_610
    assert found["macs"] == 516
    assert found["buffer_bytes"] == 60 * 8


def test_the_published_class_0_of_lenet_5(measured):
    """1 channel, 3 features, 6 neurons: 3,310 of 430,500."""
    found = measured("LeNet_5", (0,), (7,), (0, 1, 2), range(6))
    assert found["paper_rule_weights"] == 500 + 25_000 // 20 * 1 + 400_000 // 800 * 3 + 5_000 // 500 * 6 == 3_310
    assert found["paper_rule_rate"] == 3_310 / 430_500
    # conv1 25, conv2 25 (all three features in one channel), ip1 18, ip2 6
    assert found["true_weights"] == 74
    assert found["true_parameters"] == 74 + 1 + 1 + 6 + 1
    assert found["true_rate"] == 83 / 431_080
    assert found["macs"] == 25 * 24 * 24 + 25 * 8 * 8 + 18 + 6
    assert found["buffer_bytes"] == 3 * 8


def test_three_features_in_three_channels_need_three_kernels(measured):
    found = measured("LeNet_5", (0,), (7,), (0, 16, 32), range(6))
    assert found["paper_rule_weights"] == 3_310
    assert found["true_weights"] == 25 + 3 * 25 + 18 + 6 == 124


@pytest.mark.parametrize(
    "arch, weights, parameters, macs",
    [
        ("LeNet_300_100", 266_200, 266_610, 266_200),
        ("LeNet_5", 430_500, 431_080, 500 * 24 * 24 + 25_000 * 8 * 8 + 405_000),
        ("Linear", 7_840, 7_850, 7_840),
    ],
)
def test_the_parents(measured, arch, weights, parameters, macs):
    found = measured(arch)
    assert found["true_weights"] == found["paper_rule_weights"] == weights
    assert found["true_parameters"] == parameters and found["macs"] == macs
    assert found["true_rate"] == found["paper_rule_rate"] == 1
    assert found["buffer_bytes"] == 0


def test_without_a_published_rule_weights_are_counted(folder, whole):
    found = sizes_of(whole(folder.architectures["LeNet_5"]()), None, (0,), (7,), (0, 16, 32), range(6))
    assert found["paper_rule_weights"] == found["true_weights"] == 124
    assert found["paper_rule_rate"] == 124 / 430_500


def counted(network, image) -> tuple[int, int, int]:
    """(weights, parameters, multiply-accumulates): sizes of tensors, and what the modules do with an image."""
    macs = []

    def count(module, _, output):
        macs.append(module.weight.numel() * output[0].numel() // module.weight.shape[0])

    modules = [m for m in network.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d))]
    hooks = [module.register_forward_hook(count) for module in modules]
    with torch.no_grad():
        network.eval()(image[None])
    for hook in hooks:
        hook.remove()
    parameters = list(network.parameters())
    return sum(p.numel() for p in parameters if p.dim() > 1), sum(p.numel() for p in parameters), sum(macs)


parts = st.lists(st.tuples(st.integers(1, 2**16), st.floats(0.01, 1)), min_size=5, max_size=5)


@pytest.mark.parametrize("arch", ["LeNet_300_100", "LeNet_5", "Linear"])
@settings(max_examples=15)
@given(draws=parts)
def test_sizes_by_arithmetic_are_those_that_are_counted(arch, draws, folder, whole):
    image = torch.zeros(1, 28, 28)
    parent = whole(folder.architectures[arch]())
    assert counted(parent.network, image) == parent.wiring.parent_sizes == parent.wiring.sizes(parent.kept)
    kept = parent.kept
    for depth, (seed, share) in zip((*parent.wiring.layers.prunable, len(kept.units) - 1), draws, strict=False):
        units = kept.units[depth]
        count = max(1, round(share * len(units)))
        kept = kept.replace(depth, np.random.default_rng(seed).choice(units, count, replace=False))
    compact = cut(parent, kept)
    found = counted(compact.network, image)
    assert found == parent.wiring.sizes(kept) == compact.wiring.sizes(kept)
    wiring = parent.wiring
    assert found == (wiring.weights(kept), wiring.parameters(kept), wiring.macs(kept))


def test_measuring_leaves_no_hooks_behind(folder, whole):
    compact = whole(folder.architectures["LeNet_5"]())
    sizes_of(compact, None)
    evaluation.latency_ms(compact.network, (1, 28, 28), repeats=1)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in compact.network.modules())


def test_sizes_are_plain_numbers():
    found = sizes_of(six_units.compact(), six_units.paper_rule_weights, (0, 1), (1,))
    assert json.loads(json.dumps(found)) == found
    assert (found["true_weights"], found["true_parameters"], found["paper_rule_weights"]) == (3, 5, 4)


def test_latency_is_a_positive_number_of_milliseconds():
    assert 0 < evaluation.latency_ms(six_units.network(), tuple(six_units.IMAGE.shape), repeats=3) < 1000
