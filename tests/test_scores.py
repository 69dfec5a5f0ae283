"""Strengths, relevance, norms and Taylor scores against numbers worked by hand and against finite differences."""

from functools import partial

import numpy as np
import pytest
import six_units
import torch
from numpy.testing import assert_allclose
from six_units import filled
from torch import nn

from specdnn.network import scores, watching
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.structures import Connections

CONTRAST = [np.array([0.75, 0.5]), np.array([1.0, 2.5])]


def for_class_0():
    parent = six_units.compact()
    return cut(parent, parent.kept.replace(2, (0,)))


def matrices(found: list[Connections]) -> list[np.ndarray]:
    return [one.strengths for one in found]


# ------------------------------------------------------------------------------------------ six units by hand


def test_mean_weights_are_absolute_source_by_target():
    into_hidden, into_outputs = scores.mean_weights(six_units.compact())
    assert into_hidden.tolist() == [[1, 1], [1, 2]]
    assert into_outputs.tolist() == [[3, 1], [1, 1]]


def test_connections_say_between_which_nodes_they_are():
    into_hidden, into_output = scores.strengths(for_class_0(), CONTRAST)[0]
    assert into_hidden.sources.tolist() == [0, 1] and into_hidden.targets.tolist() == [2, 3]
    assert into_output.sources.tolist() == [2, 3] and into_output.targets.tolist() == [4]


def test_strengths_of_one_class():
    into_hidden, into_output = matrices(scores.strengths(for_class_0(), CONTRAST)[0])
    # |3| x 1 and |-1| x 2.5, the output's relevance being 1
    assert_allclose(into_output, [[3], [2.5]])
    # relevance of the hidden units 3 and 2.5, scaled to mean 1: 12/11 and 10/11
    assert_allclose(into_hidden, [[0.75 * 12 / 11, 0.75 * 10 / 11], [0.5 * 12 / 11, 0.5 * 2 * 10 / 11]])


def test_relevance_runs_backwards_and_every_layer_has_mean_one():
    pixels, hidden, output = scores.strengths(for_class_0(), CONTRAST)[1]
    assert_allclose(output, [1])
    assert_allclose(hidden, [12 / 11, 10 / 11])
    # sums of the strengths that leave the pixels: 16.5/11 and 16/11
    assert_allclose(pixels, [16.5 / 16.25, 16 / 16.25])


def test_each_wanted_output_has_relevance_one():
    strengths, relevance = scores.strengths(six_units.compact(), CONTRAST)
    assert relevance[2].tolist() == [1, 1]
    assert_allclose(strengths[1].strengths, [[3, 1], [2.5, 2.5]])
    assert_allclose(relevance[1], np.array([4, 5]) / 4.5)


def test_a_silent_layer_has_no_strength_and_no_relevance():
    strengths, relevance = scores.strengths(six_units.compact(), [CONTRAST[0], np.zeros(2)])
    assert not strengths[1].strengths.any() and not strengths[0].strengths.any()
    assert not relevance[1].any() and not relevance[0].any()


def test_a_unit_that_the_class_does_not_activate_has_no_relevance():
    strengths, relevance = scores.strengths(for_class_0(), [CONTRAST[0], np.array([1.0, 0])])
    assert_allclose(relevance[1], [2, 0])
    assert strengths[0].strengths[:, 1].tolist() == [0, 0]


def test_outgoing_norms_of_every_layer_but_the_outputs():
    pixels, hidden = scores.weight_norms(six_units.compact())
    assert_allclose(pixels, [np.sqrt(2), np.sqrt(5)], rtol=1e-6)  # columns (1, -1) and (-1, 2)
    assert_allclose(hidden, [np.sqrt(10), np.sqrt(2)], rtol=1e-6)  # columns (3, 1) and (-1, 1)


# ------------------------------------------------------------------------------------------ both networks


def test_a_convolution_counts_with_the_mean_of_its_kernel(folder, whole):
    torch.manual_seed(0)
    compact = whole(folder.architectures["LeNet_5"]())
    network = compact.network
    found = scores.mean_weights(compact)
    assert [m.shape for m in found] == [(1, 20), (20, 50), (800, 500), (500, 10)]
    kernel = network.conv2.weight[7, 3].abs().mean().item()
    assert found[1][3, 7] == pytest.approx(kernel)
    assert found[2][799, 2] == pytest.approx(abs(network.ip1.weight[2, 799].item()))
    _, into_features, into_ip1, _ = scores.plain_weights(compact)
    assert into_features.strengths.shape == (20, 800)  # a row that makes a channel makes all its features
    assert_allclose(into_features.strengths[3, 7 * 16 : 8 * 16], kernel, rtol=1e-6)
    assert into_features.targets.tolist() == into_ip1.sources.tolist() == list(range(21, 821))


def test_the_features_of_a_compact_network_keep_their_channels_and_their_nodes(folder, whole):
    torch.manual_seed(0)
    parent = whole(folder.architectures["LeNet_5"]())
    kept = parent.kept.replace(2, (5, 100, 110, 799)).replace(1, (2, 3))
    before, after = scores.plain_weights(parent), scores.plain_weights(cut(parent, kept))
    assert_allclose(after[1].strengths, before[1].strengths[[2, 3]][:, [5, 100, 110, 799]])
    assert_allclose(after[2].strengths, before[2].strengths[[5, 100, 110, 799]])
    assert after[1].sources.tolist() == [3, 4] and after[1].targets.tolist() == [26, 121, 131, 820]
    assert after[2].sources.tolist() == after[1].targets.tolist()


@pytest.mark.parametrize("classes", [(3,), (0, 3, 7), tuple(range(10))])
def test_strengths_of_both_networks_are_what_the_formula_says(network_type, whole, digits, classes):
    torch.manual_seed(0)
    parent = whole(network_type())
    compact = cut(parent, parent.kept.replace(len(parent.kept.units) - 1, classes))
    means = watching.class_means(compact, digits.validation, 10, digits.normalisation)
    active, weights = watching.contrast(means, classes), scores.plain_weights(compact)
    strengths, relevance = scores.strengths(compact, active)
    for depth, matrix in enumerate(matrices(strengths)):
        i, j = np.unravel_index(matrix.argmax(), matrix.shape)
        assert matrix[i, j] == pytest.approx(
            weights[depth].strengths[i, j] * active[depth][i] * relevance[depth + 1][j]
        )
        assert_allclose(relevance[depth], matrix.sum(1) / matrix.sum(1).mean())


# ------------------------------------------------------------------------------------------ a small graph by hand


class Graph(nn.Module):
    """Two pixels, two units h, one unit m that two links make of h, two outputs that m and h make together."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.inner, self.again = nn.Linear(2, 1), nn.Linear(2, 1)
        self.far, self.near = nn.Linear(1, 2), nn.Linear(2, 2)
        filled(self.first, [[1.0, -1.0], [-1.0, 2.0]], [0.25, 0.5])
        filled(self.inner, [[1.0, -2.0]], [0.125])
        filled(self.again, [[3.0, 0.0]])
        filled(self.far, [[2.0], [-1.0]])
        filled(self.near, [[1.0, 0.0], [0.0, -3.0]])

    def forward(self, images, scale=None):
        """`scale` multiplies the units h, which three links read."""
        h = torch.relu(self.first(images.flatten(1)))
        h = h if scale is None else h * scale
        return self.far(torch.relu(self.inner(h) + self.again(h))) + self.near(h)


ACTIVE = [np.array([0.75, 0.5]), np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.array([4.0]), np.array([1.0, 2.0])]


def graph(*outputs) -> CompactNetwork:
    parent = CompactNetwork.parent(Graph(), six_units.IMAGE)
    return cut(parent, parent.kept.replace(3, outputs)) if outputs else parent


def test_the_graph_is_understood():
    wiring = graph().wiring
    assert [link.name for link in wiring.links] == ["first", "inner", "again", "far", "near"]
    assert wiring.layers.names == ("input", "first", "inner", "far") and wiring.layers.widths == (2, 2, 1, 2)


def test_relevance_over_a_graph_sums_what_every_reader_gives():
    found, relevance = scores.strengths(graph(), ACTIVE)
    first, inner, again, far, near = found
    # both outputs have relevance 1
    assert far.strengths.tolist() == [[8, 4]] and near.strengths.tolist() == [[1, 0], [0, 6]]
    # m alone in its layer has relevance 1; h: 1 + 3 + 1 and 6 + 0 + 4, scaled to mean 1
    assert again.strengths.tolist() == [[3], [0]] and inner.strengths.tolist() == [[1], [4]]
    assert relevance[2].tolist() == [1]
    assert_allclose(relevance[1], [5 / 7.5, 10 / 7.5])
    assert_allclose(first.strengths, [[0.75 * 2 / 3, 0.75 * 4 / 3], [0.5 * 2 / 3, 2 * 0.5 * 4 / 3]])
    assert_allclose(relevance[0], [1.5 / (19 / 12), 5 / 3 / (19 / 12)])


def test_nodes_of_links_that_skip_a_layer():
    first, inner, again, far, near = scores.strengths(graph(), ACTIVE)[0]
    assert [first.sources.tolist(), first.targets.tolist()] == [[0, 1], [2, 3]]
    assert [inner.sources.tolist(), inner.targets.tolist()] == [[2, 3], [4]]
    assert [again.sources.tolist(), again.targets.tolist()] == [[2, 3], [4]]
    assert [far.sources.tolist(), far.targets.tolist()] == [[4], [5, 6]]
    assert [near.sources.tolist(), near.targets.tolist()] == [[2, 3], [5, 6]]


def test_relevance_over_a_graph_for_the_second_output():
    """Output 1: far gives 4, near 0 and 6; m is scaled to 1 again; h: 0 + 3 + 1 and 6 + 0 + 4."""
    found, relevance = scores.strengths(graph(1), ACTIVE)
    assert found[3].strengths.tolist() == [[4]] and found[4].strengths.tolist() == [[0], [6]]
    assert found[3].targets.tolist() == [6]
    assert_allclose(relevance[1], [4 / 7, 10 / 7])


def test_norms_are_over_all_readers():
    pixels, h, m = scores.weight_norms(graph())
    assert_allclose(pixels, [np.sqrt(2), np.sqrt(5)], rtol=1e-6)
    assert_allclose(h, [np.sqrt(1 + 9 + 1), np.sqrt(4 + 0 + 9)], rtol=1e-6)
    assert_allclose(m, [np.sqrt(5)], rtol=1e-6)
    assert_allclose(scores.weight_norms(graph(0))[1], [np.sqrt(1 + 9 + 1), 2], rtol=1e-6)


def test_norms_have_a_gradient_and_a_unit_that_nobody_reads_has_none():
    compact = graph()
    network = compact.network
    with torch.no_grad():
        for link in (network.inner, network.again, network.near):
            link.weight[:, 1] = 0
    scores.outgoing_norms(compact)()[1].sum().backward()
    for link in (network.inner, network.again, network.near):
        expected = link.weight.detach().clone() / np.sqrt(11)
        torch.testing.assert_close(link.weight.grad, expected)


# ------------------------------------------------------------------------------------------ BatchNorm


def normed(norm: nn.Module, *between: nn.Module) -> CompactNetwork:
    hidden = nn.Linear(2, 2)
    filled(hidden, [[1.0, -1.0], [-1.0, 2.0]])
    network = nn.Sequential(nn.Flatten(), hidden, *between, norm, nn.ReLU(), nn.Linear(2, 2))
    return CompactNetwork.parent(network, six_units.IMAGE)


def norm_of(gamma, variance, **options) -> nn.Module:
    norm = nn.BatchNorm1d(2, eps=0.25, **options)
    if norm.weight is not None:
        filled(norm, gamma, [5.0, 5.0])
    if norm.running_var is not None:
        norm.running_var.copy_(torch.tensor(variance))
    return norm


@pytest.mark.parametrize(
    "options, scale",
    [
        ({}, [3 / 2, 2 / 0.5]),
        ({"affine": False}, [1 / 2, 1 / 0.5]),
        ({"track_running_stats": False}, [3, 2]),
        ({"affine": False, "track_running_stats": False}, [1, 1]),
    ],
)
def test_the_scale_of_a_batch_norm_counts_as_part_of_the_weights_before_it(options, scale):
    """|gamma| / sqrt(variance + eps) of every row: gamma -3 and 2, variances 3.75 and 0."""
    compact = normed(norm_of([-3.0, 2.0], [3.75, 0.0], **options))
    assert_allclose(scores.mean_weights(compact)[0], np.array([[1, 1], [1, 2]]) * scale)


def test_a_batch_norm_behind_the_activation_changes_no_weight():
    compact = normed(norm_of([-3.0, 2.0], [3.75, 0.0]), nn.ReLU())
    assert scores.mean_weights(compact)[0].tolist() == [[1, 1], [1, 2]]


def test_the_scale_of_a_convolutions_batch_norm():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    norm = network[1]
    with torch.no_grad():
        norm.weight.uniform_(-2, 2)
        norm.running_var.uniform_(0.5, 3)
    compact = CompactNetwork.parent(network, torch.zeros(2, 4, 4))
    scale = norm.weight.abs() / (norm.running_var + norm.eps).sqrt()
    expected = (network[0].weight.abs().mean((2, 3)) * scale[:, None]).T.detach().numpy()
    assert_allclose(scores.mean_weights(compact)[0], expected, rtol=1e-6)
    assert_allclose(scores.plain_weights(compact)[0].strengths, np.repeat(expected, 4, axis=1), rtol=1e-6)


# ------------------------------------------------------------------------------------------ Taylor


def test_taylor_scores_worked_by_hand():
    """The loss is the mean of output 0, so dloss/da of a hidden unit is its outgoing weight 3 or -1."""
    data = six_units.data()
    pixels, hidden = scores.taylor(
        six_units.compact(), data.images, torch.zeros(4, 2), lambda logits, _: logits[:, 0].mean()
    )
    activity = np.array(six_units.HIDDEN)
    assert_allclose(hidden, (np.abs(activity) * [3, 1]).mean(0))
    # pixels: through unit 0 where it is active (3 x (1, -1)), through unit 1 where it is (-1 x (-1, 2))
    slope = (activity[:, :1] > 0) * np.array([[3, -3]]) + (activity[:, 1:] > 0) * np.array([[1, -2]])
    assert_allclose(pixels, np.abs(data.images.flatten(1).numpy() * slope).mean(0))


def test_taylor_scores_do_not_depend_on_the_batches_and_leave_no_gradients(network_type, whole, digits, monkeypatch):
    torch.manual_seed(0)
    compact, images = whole(network_type()), digits.validation.images
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    targets = torch.nn.functional.one_hot(digits.validation.labels, 10).float()
    at_once = scores.taylor(compact, images, targets, loss)
    monkeypatch.setattr(scores, "BATCH_SIZE", 50)
    ticks = []
    parts = scores.taylor(compact, images, targets, loss, lambda: ticks.append(1))
    assert len(ticks) == 4 and [len(score) for score in at_once] == list(compact.wiring.layers.widths[:-1])
    for one, other in zip(at_once, parts, strict=True):
        assert_allclose(one, other, rtol=1e-4, atol=1e-9)
    assert all(parameter.grad is None for parameter in compact.network.parameters())


def slope(output, count: int, unit: int) -> float:
    """How much `output(scale)`, a number, changes where one of `count` units is scaled by 1 + h, over h."""
    ends = []
    for factor in (1 + 1e-5, 1 - 1e-5):
        scale = torch.ones(count, dtype=torch.double)
        scale[unit] = factor
        with torch.no_grad():
            ends.append(output(scale).item())
    return (ends[0] - ends[1]) / 2e-5


def test_the_taylor_score_of_a_channel_is_the_change_summed_over_its_places(folder, whole, digits):
    """To first order: what a scaling of the whole channel by 1 + h does to the loss of an image, over h."""
    torch.manual_seed(0)
    compact, image = whole(folder.architectures["LeNet_5"]().double()), digits.train.images[:1].double()
    found = scores.taylor(compact, image, torch.zeros(1, 10), lambda logits, _: logits[:, 3].mean())[1]

    def output(scale):
        into_conv2 = lambda n, maps: maps * scale.view(1, -1, 1, 1) if n == 1 else None  # noqa: E731
        with watching.watched(compact, into_conv2):
            return compact.network(image)[0, 3]

    for channel in (0, 7, 19):
        assert found[channel] == pytest.approx(abs(slope(output, 20, channel)), rel=1e-4, abs=1e-9)


def test_the_taylor_score_of_a_unit_with_several_readers_is_that_of_the_unit():
    """Three links read the units h: the change is what a scaling of the unit itself does, image by image."""
    network, images = Graph().double(), six_units.data().images.double()
    compact = CompactNetwork.parent(network, six_units.IMAGE)
    found = scores.taylor(compact, images, torch.zeros(4, 2), lambda logits, _: logits[:, 0].mean())
    for unit in (0, 1):
        each = [slope(lambda scale, one=one: network(one[None], scale)[0, 0], 2, unit) for one in images]
        assert found[1][unit] == pytest.approx(np.abs(each).mean(), rel=1e-6) and found[1][unit] > 0.1


class Residual(nn.Module):
    """A stream of three channels that a block adds to: the block reads it before, the last layer after that."""

    def __init__(self):
        super().__init__()
        self.stem, self.down, self.up = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 2, 1), nn.Conv2d(2, 3, 1)
        self.out = nn.Linear(3, 2)

    def forward(self, images):
        stream = torch.tanh(self.stem(images))
        stream = stream + self.up(torch.relu(self.down(stream)))
        return self.out(stream.mean((2, 3)))


def test_the_taylor_score_in_a_residual_stream_is_the_sum_over_all_its_readers():
    torch.manual_seed(0)
    images = torch.randn(3, 1, 5, 5, dtype=torch.double)
    compact = CompactNetwork.parent(Residual().double(), torch.zeros(1, 5, 5))
    assert compact.wiring.layers.names == ("input", "stem", "down", "out")
    readers = {number for number, link in enumerate(compact.wiring.links) if link.name in ("down", "out")}
    found = scores.taylor(compact, images, torch.zeros(3, 2), lambda logits, _: logits[:, 1].mean())[1]

    def output(image, scale):
        def see(number, inputs):
            return inputs * scale.view(1, -1, *[1] * (inputs.dim() - 2)) if number in readers else None

        with watching.watched(compact, see):
            return compact.network(image[None])[0, 1]

    for channel in range(3):
        each = [slope(partial(output, image), 3, channel) for image in images]
        assert found[channel] == pytest.approx(np.abs(each).mean(), rel=1e-6)


# ------------------------------------------------------------------------------------------ centred Taylor


def test_attribution_worked_by_hand():
    """Of output 0, whose gradient at the hidden units is 3 and -1; the images of class 0 count twice as much."""
    data, weights = six_units.data(), torch.tensor([2.0, 2.0, 1.0, 1.0])
    activity, raw = np.array(six_units.HIDDEN), data.images.flatten(1).numpy()
    centres = [torch.tensor([0.1, -0.2]), torch.tensor([1.0, 2.0])]
    pixels, hidden = scores.attribution(for_class_0(), data.images, weights, centres)
    mean = partial(np.average, axis=0, weights=weights.numpy())
    assert_allclose(hidden, mean(np.abs(activity - [1, 2]) * [3, 1]))
    slopes = (activity[:, :1] > 0) * np.array([[3, -3]]) + (activity[:, 1:] > 0) * np.array([[1, -2]])
    assert_allclose(pixels, mean(np.abs((raw - [0.1, -0.2]) * slopes)), rtol=1e-6)


def test_of_several_outputs_attribution_is_the_mean():
    data, weights, whole = six_units.data(), torch.ones(4), six_units.compact()
    centres = [torch.zeros(2), torch.tensor([0.5, 1.0])]
    alone = [cut(whole, whole.kept.replace(2, (k,))) for k in (0, 1)]
    each = [scores.attribution(one, data.images, weights, centres) for one in alone]
    for both, one, other in zip(scores.attribution(whole, data.images, weights, centres), *each, strict=True):
        assert_allclose(both, (one + other) / 2)


def test_attribution_in_a_residual_stream_is_how_the_output_moves_when_the_unit_moves_to_its_mean():
    """The dull twin: finite differences of the output along (mean - a) of one channel at all its readers."""
    torch.manual_seed(0)
    images = torch.randn(3, 1, 5, 5, dtype=torch.double)
    compact = CompactNetwork.parent(Residual().double(), torch.zeros(1, 5, 5))
    one = cut(compact, compact.kept.replace(3, (1,)))
    centres = [torch.randn(len(link.sources), dtype=torch.double) for link in one.wiring.links]
    found = scores.attribution(one, images, torch.ones(3), centres)[1]
    names = {number: link.name for number, link in enumerate(one.wiring.links)}

    def output(image, channel, share):
        def see(number, inputs):
            if names[number] not in ("down", "out"):
                return None
            moved = inputs.clone()
            moved[:, channel] += share * (inputs[:, channel] - centres[number][channel])
            return moved

        with watching.watched(one, see):
            return one.network(image[None])[0, 0].item()

    for channel in range(3):
        with torch.no_grad():
            each = [(output(image, channel, 1e-5) - output(image, channel, -1e-5)) / 2e-5 for image in images]
        assert found[channel] == pytest.approx(np.abs(each).mean(), rel=1e-6)
