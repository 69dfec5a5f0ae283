"""Strengths, relevance and norms against numbers worked by hand on the six-unit network."""

import numpy as np
import pytest
import six_units
import torch

from specdnn import activations, connections
from specdnn.surgery import CompactNetwork, cut

CONTRAST = [np.array([0.75, 0.5]), np.array([1.0, 2.5])]


def for_class_0():
    parent = CompactNetwork.parent(six_units.network())
    return cut(parent, parent.kept.replace(2, (0,))).network


def test_mean_weights_are_absolute_source_by_target():
    into_hidden, into_outputs = connections.mean_weights(six_units.network())
    assert into_hidden.tolist() == [[1, 1], [1, 2]]
    assert into_outputs.tolist() == [[3, 1], [1, 1]]


def test_strengths_of_one_class():
    into_hidden, into_output = connections.strengths(connections.mean_weights(for_class_0()), CONTRAST)[0]
    # |3| x 1 and |-1| x 2.5, the output's relevance being 1
    np.testing.assert_allclose(into_output, [[3], [2.5]])
    # relevance of the hidden units 3 and 2.5, scaled to mean 1: 12/11 and 10/11
    np.testing.assert_allclose(into_hidden, [[0.75 * 12 / 11, 0.75 * 10 / 11], [0.5 * 12 / 11, 0.5 * 2 * 10 / 11]])


def test_relevance_runs_backwards_and_every_layer_has_mean_one():
    pixels, hidden, output = connections.strengths(connections.mean_weights(for_class_0()), CONTRAST)[1]
    np.testing.assert_allclose(output, [1])
    np.testing.assert_allclose(hidden, [12 / 11, 10 / 11])
    # sums of the strengths that leave the pixels: 16.5/11 and 16/11
    np.testing.assert_allclose(pixels, [16.5 / 16.25, 16 / 16.25])


def test_each_wanted_output_has_relevance_one():
    strengths, relevance = connections.strengths(connections.mean_weights(six_units.network()), CONTRAST)
    assert relevance[2].tolist() == [1, 1]
    np.testing.assert_allclose(strengths[1], [[3, 1], [2.5, 2.5]])
    np.testing.assert_allclose(relevance[1], np.array([4, 5]) / 4.5)


def test_a_silent_layer_has_no_strength_and_no_relevance():
    silent = [CONTRAST[0], np.zeros(2)]
    strengths, relevance = connections.strengths(connections.mean_weights(six_units.network()), silent)
    assert not strengths[1].any() and not strengths[0].any()
    assert not relevance[1].any() and not relevance[0].any()


def test_a_unit_that_the_class_does_not_activate_has_no_relevance():
    strengths, relevance = connections.strengths(
        connections.mean_weights(for_class_0()), [CONTRAST[0], np.array([1.0, 0])]
    )
    np.testing.assert_allclose(relevance[1], [2, 0])
    assert strengths[0][:, 1].tolist() == [0, 0]


def test_outgoing_norms_of_every_layer_but_the_outputs():
    pixels, hidden = connections.weight_norms(six_units.network())
    np.testing.assert_allclose(pixels, [np.sqrt(2), np.sqrt(5)], rtol=1e-6)  # columns (1, -1) and (-1, 2)
    np.testing.assert_allclose(hidden, [np.sqrt(10), np.sqrt(2)], rtol=1e-6)  # columns (3, 1) and (-1, 1)


def test_a_convolution_counts_with_the_mean_of_its_kernel(folder):
    torch.manual_seed(0)
    network = folder.architectures["LeNet_5"]()
    into_conv1, into_features, into_ip1, into_outputs = connections.mean_weights(network)
    shapes = [m.shape for m in (into_conv1, into_features, into_ip1, into_outputs)]
    assert shapes == [(1, 20), (20, 800), (800, 500), (500, 10)]
    kernel = network.conv2.weight[7, 3].abs().mean().item()
    np.testing.assert_allclose(into_features[3, 7 * 16 : 8 * 16], kernel, rtol=1e-6)
    assert into_ip1[799, 2] == pytest.approx(abs(network.ip1.weight[2, 799].item()))


def test_the_features_of_a_compact_network_keep_their_channels(folder):
    torch.manual_seed(0)
    parent = CompactNetwork.parent(folder.architectures["LeNet_5"]())
    compact = cut(parent, parent.kept.replace(2, (5, 100, 110, 799)).replace(1, (2, 3)))
    whole, part = connections.mean_weights(parent.network), connections.mean_weights(compact.network)
    np.testing.assert_allclose(part[1], whole[1][[2, 3]][:, [5, 100, 110, 799]])
    np.testing.assert_allclose(part[2], whole[2][[5, 100, 110, 799]])


@pytest.mark.parametrize("classes", [(3,), (0, 3, 7), tuple(range(10))])
def test_strengths_of_both_networks_are_what_the_formula_says(network_type, digits, classes):
    torch.manual_seed(0)
    parent = CompactNetwork.parent(network_type())
    network = cut(parent, parent.kept.replace(len(parent.kept.units) - 1, classes)).network
    means = activations.class_means(network, digits.validation, 10, digits.normalisation)
    active, weights = activations.contrast(means, classes), connections.mean_weights(network)
    strengths, relevance = connections.strengths(weights, active)
    for depth, matrix in enumerate(strengths):
        i, j = np.unravel_index(matrix.argmax(), matrix.shape)
        assert matrix[i, j] == pytest.approx(weights[depth][i, j] * active[depth][i] * relevance[depth + 1][j])
        np.testing.assert_allclose(relevance[depth], matrix.sum(1) / matrix.sum(1).mean())


# ------------------------------------------------------------------------------------------ Taylor


def test_taylor_scores_worked_by_hand():
    """The loss is the mean of output 0, so dloss/da of a hidden unit is its outgoing weight 3 or -1."""
    data = six_units.data()
    pixels, hidden = connections.taylor(
        six_units.network(), data.images, torch.zeros(4, 2), lambda logits, _: logits[:, 0].mean()
    )
    activity = np.array(six_units.HIDDEN)
    np.testing.assert_allclose(hidden, (np.abs(activity) * [3, 1]).mean(0))
    # pixels: through unit 0 where it is active (3 x (1, -1)), through unit 1 where it is (-1 x (-1, 2))
    slope = (activity[:, :1] > 0) * np.array([[3, -3]]) + (activity[:, 1:] > 0) * np.array([[1, -2]])
    np.testing.assert_allclose(pixels, np.abs(data.images.flatten(1).numpy() * slope).mean(0))


def test_taylor_scores_do_not_depend_on_the_batches_and_leave_no_gradients(network_type, digits, monkeypatch):
    torch.manual_seed(0)
    network, images = network_type(), digits.validation.images
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    targets = torch.nn.functional.one_hot(digits.validation.labels, 10).float()
    whole = connections.taylor(network, images, targets, loss)
    monkeypatch.setattr(connections, "BATCH_SIZE", 50)
    ticks = []
    parts = connections.taylor(network, images, targets, loss, lambda: ticks.append(1))
    assert len(ticks) == 4 and [len(score) for score in whole] == list(network.chain.widths[:-1])
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-9)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_taylor_score_of_a_channel_is_the_change_summed_over_its_positions(folder, digits):
    """To first order: what a scaling of the whole channel by 1 + h does to the loss of an image, over h."""
    torch.manual_seed(0)
    network, image = folder.architectures["LeNet_5"]().double(), digits.train.images[:1].double()
    found = connections.taylor(network, image, torch.zeros(1, 10), lambda logits, _: logits[:, 3].mean())[1]

    def scaled(channel, factor):
        def visit(depth, units):
            if depth != 1:
                return units
            mask = torch.ones(20, dtype=torch.double)
            mask[channel] = factor
            return units * mask.view(1, -1, 1, 1)

        return network(image, visit=visit)[0, 3].item()

    for channel in (0, 7, 19):
        slope = (scaled(channel, 1 + 1e-5) - scaled(channel, 1 - 1e-5)) / 2e-5
        assert found[channel] == pytest.approx(abs(slope), rel=1e-4, abs=1e-9)
