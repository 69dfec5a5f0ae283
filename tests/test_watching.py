"""Class activations against numbers worked by hand on the six-unit network, and against a dull loop."""

import numpy as np
import pytest
import six_units
import torch
from torch import nn

from specdnn.network import watching
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.network.watching import ClassMeans, watched


def found(**options):
    return watching.class_means(six_units.compact(), six_units.data(), 2, six_units.NORMALISATION, **options)


def inputs_of(compact, images) -> dict[int, torch.Tensor]:
    """What every link reads, by its number."""
    seen = {}
    with watched(compact, lambda number, inputs: seen.__setitem__(number, inputs)), torch.no_grad():
        compact.network(images)
    return seen


def test_the_network_does_what_was_worked_by_hand():
    images = six_units.data().images
    assert [link.name for link in six_units.compact().wiring.links] == ["hidden", "out"]
    seen = inputs_of(six_units.compact(), images)
    assert torch.equal(seen[0], images.flatten(1)) and torch.equal(seen[1], torch.tensor(six_units.HIDDEN))


def test_means_per_class_with_raw_pixels_and_rectified_hidden_units():
    pixels, hidden = found().means
    np.testing.assert_allclose(pixels, [[0.75, 0.25], [0.0, 0.75]], atol=1e-7)
    np.testing.assert_allclose(hidden, [[1.0, 0.5], [0.0, 3.0]], atol=1e-7)
    assert found().counts.tolist() == [2, 2]


def test_the_kept_pixels_of_a_cut_network_are_raw_too():
    parent = six_units.compact()
    compact = cut(parent, parent.kept.replace(0, (1,)))
    pixels, _ = watching.class_means(compact, six_units.data(), 2, six_units.NORMALISATION).means
    np.testing.assert_allclose(pixels, [[0.25], [0.75]], atol=1e-7)


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
    pixels, hidden = watching.contrast(found(), (wanted,))
    np.testing.assert_allclose(pixels, [0.75, 0.5], atol=1e-7)
    np.testing.assert_allclose(hidden, [1.0, 2.5], atol=1e-7)


def test_activation_is_the_mean_over_the_class():
    pixels, hidden = watching.activation(found(), (1,))
    np.testing.assert_allclose(pixels, [0.0, 0.75], atol=1e-7)
    np.testing.assert_allclose(hidden, [0.0, 3.0], atol=1e-7)


THREE = ClassMeans((np.array([[4.0, 0.0], [1.0, 2.0], [0.0, 6.0]]),), np.array([1.0, 1.0, 3.0]))


def test_the_rest_is_a_mean_over_images_not_over_classes():
    # the rest of class 0: one image at 1 and three at 0 -> 1/4; one at 2 and three at 6 -> 5
    np.testing.assert_allclose(watching.contrast(THREE, (0,))[0], [4 - 0.25, 5])


def test_several_wanted_classes_have_the_mean_of_their_contrasts():
    one, two = (watching.contrast(THREE, (c,))[0] for c in (0, 2))
    np.testing.assert_allclose(watching.contrast(THREE, (0, 2))[0], (one + two) / 2)
    np.testing.assert_allclose(watching.activation(THREE, (0, 2))[0], [2, 3])


def test_all_classes_wanted_is_each_against_its_rest():
    each = [watching.contrast(THREE, (c,))[0] for c in range(3)]
    np.testing.assert_allclose(watching.contrast(THREE, (0, 1, 2))[0], np.mean(each, axis=0))


def test_a_class_without_images_has_mean_zero():
    means = watching.class_means(six_units.compact(), six_units.data(), 3, six_units.NORMALISATION).means
    assert [m[2].tolist() for m in means] == [[0, 0], [0, 0]]


# ------------------------------------------------------------------------------------------ networks of all shapes


def dull_inputs(network, links, image) -> dict[str, torch.Tensor]:
    """What the modules of the user's own network read of one image, by their names."""
    seen = {}
    hooks = [
        network.get_submodule(link.name).register_forward_pre_hook(
            lambda _, inputs, name=link.name: seen.update({name: inputs[0][0].detach().double()})
        )
        for link in links
    ]
    network.eval()(image[None])
    for hook in hooks:
        hook.remove()
    return seen


def test_a_channel_counts_as_the_mean_over_its_places(network_type, whole, digits):
    """Every link of both networks against a loop over images."""
    torch.manual_seed(0)
    network, few = network_type(), type(digits.train)(digits.train.images[:30], digits.train.labels[:30])
    compact = whole(network)
    means = watching.class_means(compact, few, 10, digits.normalisation, batch_size=7).means
    dull, shares = [np.zeros_like(m) for m in means], 1 / torch.bincount(few.labels, minlength=10)
    for image, label in zip(few.images, few.labels.tolist(), strict=True):
        for number, inputs in enumerate(dull_inputs(network, compact.wiring.links, image).values()):
            per_unit = inputs.reshape(len(inputs), -1).mean(1).numpy()
            raw = per_unit * digits.normalisation[1] + digits.normalisation[0] if number == 0 else per_unit
            dull[number][label] += raw * shares[label].item()
    for fast, slow in zip(means, dull, strict=True):
        np.testing.assert_allclose(fast, slow, atol=1e-6)


def test_every_link_shows_what_it_reads(network_type, whole, digits):
    compact = whole(network_type())
    seen = inputs_of(compact, digits.test.images[:2])
    assert list(seen) == list(range(len(compact.wiring.links)))
    widths = [watching.by_unit(seen[n], compact.network.get_submodule(link.name)).shape[1]
              for n, link in enumerate(compact.wiring.links)]  # fmt: skip
    assert widths == [len(link.sources) for link in compact.wiring.links]
    assert all((inputs >= 0).all() for number, inputs in seen.items() if number > 0)


def test_what_a_watcher_returns_goes_on_and_nothing_watches_afterwards():
    compact, images = six_units.compact(), six_units.data().images
    with torch.no_grad():
        plain = compact.network(images)
        with watched(compact, lambda number, inputs: inputs * 0 if number == 1 else None):
            assert torch.equal(compact.network(images), torch.tensor([[0.5, 0.0]] * 4))  # the biases of the outputs
        with pytest.raises(ZeroDivisionError), watched(compact, lambda number, inputs: 1 / 0):
            compact.network(images)
        assert torch.equal(compact.network(images), plain)


class Tokens(nn.Module):
    """An image of two rows of three pixels as two tokens: a Linear that reads the last of three dimensions."""

    def __init__(self):
        super().__init__()
        self.first, self.out = nn.Linear(3, 2), nn.Linear(2, 2)
        six_units.filled(self.first, [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])

    def forward(self, images):
        return self.out(torch.relu(self.first(images.flatten(1, 2))).mean(1))


def test_the_tokens_of_a_linear_are_places():
    """Rows (1, 2, 3) and (5, -6, 3) of one image: units are the columns, means (3, -2, 3), then relu to (3, 5/2)."""
    compact = CompactNetwork.parent(Tokens(), torch.zeros(1, 2, 3))
    images = torch.tensor([[[[1.0, 2.0, 3.0], [5.0, -6.0, 3.0]]]])
    split = type(six_units.data())(images, torch.tensor([0]))
    first, out = watching.class_means(compact, split, 1, (0.0, 1.0)).means
    assert first.tolist() == [[3, -2, 3]] and out.tolist() == [[3, 2.5]]


class TwoReaders(nn.Module):
    """Two links read the image, a third one what both give."""

    def __init__(self):
        super().__init__()
        self.one, self.other, self.out = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, images):
        pixels = images.flatten(1)
        return self.out(torch.relu(self.one(pixels) + self.other(pixels)))


def test_every_link_that_reads_the_image_sees_raw_pixels():
    compact = CompactNetwork.parent(TwoReaders(), six_units.IMAGE)
    one, other, _ = watching.class_means(compact, six_units.data(), 2, six_units.NORMALISATION).means
    for pixels in (one, other):
        np.testing.assert_allclose(pixels, [[0.75, 0.25], [0.0, 0.75]], atol=1e-7)
