"""Class activations against numbers worked by hand on the six-unit network, and against a dull loop."""

import numpy as np
import pytest
import six_units
import torch

from specdnn import activations
from specdnn.activations import ClassMeans


def found(**options):
    return activations.class_means(six_units.network(), six_units.data(), 2, six_units.NORMALISATION, **options)


def test_the_network_does_what_was_worked_by_hand():
    seen = []
    six_units.network()(six_units.data().images, visit=lambda depth, units: seen.append(units) or units)
    assert torch.equal(seen[1], torch.tensor(six_units.HIDDEN))


def test_means_per_class_with_raw_pixels_and_rectified_hidden_units():
    pixels, hidden = found().means
    np.testing.assert_allclose(pixels, [[0.75, 0.25], [0.0, 0.75]], atol=1e-7)
    np.testing.assert_allclose(hidden, [[1.0, 0.5], [0.0, 3.0]], atol=1e-7)
    assert found().counts.tolist() == [2, 2]


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_the_batch_size_changes_nothing(batch_size):
    for part, whole in zip(found(batch_size=batch_size).means, found().means, strict=True):
        np.testing.assert_allclose(part, whole, rtol=1e-12)


def test_a_tick_after_every_batch():
    ticks = []
    found(batch_size=3, tick=lambda: ticks.append(1))
    assert len(ticks) == 2


@pytest.mark.parametrize("wanted", [0, 1])
def test_contrast_of_two_classes_is_the_distance_of_their_means(wanted):
    pixels, hidden = activations.contrast(found(), (wanted,))
    np.testing.assert_allclose(pixels, [0.75, 0.5], atol=1e-7)
    np.testing.assert_allclose(hidden, [1.0, 2.5], atol=1e-7)


def test_activation_is_the_mean_over_the_class():
    pixels, hidden = activations.activation(found(), (1,))
    np.testing.assert_allclose(pixels, [0.0, 0.75], atol=1e-7)
    np.testing.assert_allclose(hidden, [0.0, 3.0], atol=1e-7)


THREE = ClassMeans((np.array([[4.0, 0.0], [1.0, 2.0], [0.0, 6.0]]),), np.array([1.0, 1.0, 3.0]))


def test_the_rest_is_a_mean_over_images_not_over_classes():
    # the rest of class 0: one image at 1 and three at 0 -> 1/4; one at 2 and three at 6 -> 5
    np.testing.assert_allclose(activations.contrast(THREE, (0,))[0], [4 - 0.25, 5])


def test_several_wanted_classes_have_the_mean_of_their_contrasts():
    one, two = (activations.contrast(THREE, (c,))[0] for c in (0, 2))
    np.testing.assert_allclose(activations.contrast(THREE, (0, 2))[0], (one + two) / 2)
    np.testing.assert_allclose(activations.activation(THREE, (0, 2))[0], [2, 3])


def test_all_classes_wanted_is_each_against_its_rest():
    each = [activations.contrast(THREE, (c,))[0] for c in range(3)]
    np.testing.assert_allclose(activations.contrast(THREE, (0, 1, 2))[0], np.mean(each, axis=0))


def test_a_class_without_images_has_mean_zero():
    data, network = six_units.data(), six_units.network()
    means = activations.class_means(network, data, 3, six_units.NORMALISATION).means
    assert [m[2].tolist() for m in means] == [[0, 0], [0, 0]]


def test_a_channel_counts_as_the_mean_over_its_positions(network_type, digits):
    """Every layer of both networks against a loop over images."""
    torch.manual_seed(0)
    network, few = network_type(), type(digits.train)(digits.train.images[:30], digits.train.labels[:30])
    means = activations.class_means(network, few, 10, digits.normalisation, batch_size=7).means
    dull, shares = [np.zeros_like(m) for m in means], 1 / torch.bincount(few.labels, minlength=10)
    for image, label in zip(few.images, few.labels.tolist(), strict=True):
        seen = {}
        network(image[None], visit=lambda depth, units, seen=seen: seen.setdefault(depth, units))
        for depth, units in seen.items():
            per_unit = units[0].double().reshape(units.shape[1], -1).mean(1).detach().numpy()
            raw = per_unit * digits.normalisation[1] + digits.normalisation[0] if depth == 0 else per_unit
            dull[depth][label] += raw * shares[label].item()
    for fast, slow in zip(means, dull, strict=True):
        np.testing.assert_allclose(fast, slow, atol=1e-6)


def test_the_visitor_sees_every_unit_of_the_chain(network_type, digits):
    seen = {}
    network = network_type()
    network(digits.test.images[:2], visit=lambda depth, units: seen.setdefault(depth, units))
    assert {depth: units.shape[1] for depth, units in seen.items()} == dict(enumerate(network.chain.widths[:-1]))
    assert all((units >= 0).all() for depth, units in seen.items() if depth > 0)
