"""Separately extracted networks as one: the same outputs, equal parts stored once; saved, loaded, trained, measured."""

import dataclasses

import numpy as np
import pytest
import torch
from drawn_networks import Drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from specdnn.network import netfile
from specdnn.network.composition import composed
from specdnn.network.netfile import Checkpoint
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.structures import SpecDNNError

PARTS = (((0,), (1,)), ((1, 3), (0,)), ((0, 2), (1,), (3,)), ((2,), (0, 1, 3)))  # of four classes


@torch.no_grad()
def separate(members, images):
    """The dull twin: what the networks give one by one, in the order of the classes."""
    columns = {}
    for member in members:
        columns |= dict(zip(member.kept.classes, member.network(images.clone()).unbind(1), strict=True))
    return torch.stack([columns[c] for c in sorted(columns)], 1)


def parameters(*networks) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())


def saved_and_loaded(compact, path):
    netfile.save(path, Checkpoint("net", "data", compact, (), 0.5, "composed", 1))
    return netfile.load(path, {}).compact


# ------------------------------------------------------------------------------------------ drawn networks


def check(pick, place) -> None:
    """All that is asked of a composition, of drawn cuts of one drawn network."""
    shape = (pick((1, 2, 3)), 4, 4)
    network = Drawn(pick, shape, maps=4, rows=2).double()
    images = torch.randn(3, *shape, dtype=torch.float64)
    parent = CompactNetwork.parent(network, images[0])
    members = [cut(parent, some(pick, parent, classes)) for classes in pick(PARTS)]
    made = composed(members)
    with torch.no_grad():
        assert torch.equal(made.network(images.clone()), separate(members, images))
    assert made.kept.classes == tuple(sorted(c for member in members for c in member.kept.classes))
    assert parameters(made.network) == made.wiring.parameters(made.kept) <= parameters(*(m.network for m in members))
    again = saved_and_loaded(made, place / "composed.pth.tar")
    assert (again.kept, again.wiring.layers) == (made.kept, made.wiring.layers)
    assert again.wiring.parent_sizes == parent.wiring.parent_sizes
    assert again.wiring.sizes(again.kept) == made.wiring.sizes(made.kept)
    with torch.no_grad():
        assert torch.allclose(again.network(images.clone()), separate(members, images), rtol=1e-12, atol=1e-12)


def some(pick, parent, classes):
    """Any units of every layer that may be cut, at least one."""
    kept, layers = parent.kept, parent.wiring.layers
    for depth in layers.prunable:
        units = kept.units[depth]
        kept = kept.replace(depth, [u for u in units if pick((True, False))] or [pick(units)])
    return kept.replace(len(layers.layers) - 1, classes)


@settings(max_examples=25)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_a_composition_gives_the_outputs_of_its_members(tmp_path_factory, data, seed):
    torch.manual_seed(seed)
    check(lambda choices: data.draw(st.sampled_from(list(choices))), tmp_path_factory.mktemp("drawn"))


@pytest.mark.parametrize("seed", range(20))
def test_a_composition_of_longer_networks_does(tmp_path, seed):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    check(lambda choices: choices[int(rng.integers(len(choices)))], tmp_path)


# ------------------------------------------------------------------------------------------ networks of the folder


def part(parent, classes, seed, depths=None):
    """A cut to some classes, of the layers `depths` (all that may be cut) to half."""
    rng, kept = np.random.default_rng(seed), parent.kept
    for depth in parent.wiring.layers.prunable if depths is None else depths:
        units = kept.units[depth]
        kept = kept.replace(depth, rng.choice(units, -(-len(units) // 2), replace=False))
    return cut(parent, kept.replace(len(kept.units) - 1, classes))


@pytest.fixture
def parent(network_type, whole):
    torch.manual_seed(0)
    return whole(network_type())


@pytest.fixture
def members(parent):
    return [part(parent, classes, seed) for seed, classes in enumerate([(7,), (0, 8), (3,)])]


def test_outputs_are_bit_for_bit_those_of_the_members_in_the_order_of_classes(members, digits):
    made = composed(members)
    with torch.no_grad():
        assert torch.equal(made.network(digits.test.images), separate(members, digits.test.images))
    assert made.kept.classes == (0, 3, 7, 8) and made.kept.widths[-1] == 4
    assert made.wiring.parent_sizes == members[0].wiring.parent_sizes
    sums = [sum(sizes) for sizes in zip(*(m.wiring.sizes(m.kept) for m in members), strict=True)]
    assert list(made.wiring.sizes(made.kept)) == sums  # nothing is equal here


def test_what_is_equal_is_stored_and_computed_once(parent, digits):
    last = len(parent.kept.units) - 2
    members = [part(parent, (c,), seed=c, depths=[last]) for c in (0, 3, 7)]  # all but the last hidden layer is whole
    made = composed(members)
    layers = list(members[0].network.named_children())
    common = sum(parameters(module) for _, module in layers[: len(layers) - 2])
    assert parameters(made.network) == parameters(*(m.network for m in members)) - 2 * common
    calls = [node.target for node in made.network.graph.nodes if node.op == "call_module"]
    assert len([name for name in calls if name.endswith(layers[0][0])]) == 1
    with torch.no_grad():
        assert torch.equal(made.network(digits.test.images), separate(members, digits.test.images))


def test_one_bit_makes_the_difference(parent):
    members = [part(parent, (c,), seed=c, depths=[]) for c in (0, 3)]
    whole = parameters(*(m.network for m in members))
    assert parameters(composed(members).network) < whole
    with torch.no_grad():
        first = next(members[1].network.parameters())
        first.view(-1)[0] = torch.nextafter(first.view(-1)[0], torch.tensor(9.0))
    again = composed(members)
    assert parameters(again.network) == whole


def test_classes_whose_outputs_are_equal_keep_an_output_each_that_can_be_trained(parent):
    with torch.no_grad():
        for parameter in list(parent.network.parameters())[-2:]:
            parameter.fill_(0.5)
    made = composed([part(parent, (c,), seed=0, depths=[]) for c in (0, 3)])
    assert made.kept.classes == (0, 3)
    assert parameters(made.network) == made.wiring.parameters(made.kept)
    assert len([module for _, module in made.network.named_modules() if getattr(module, "out_features", 0) == 1]) == 2


class Pooled(nn.Module):
    """What gives the outputs is no Linear, and the last operation has no weights."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 3, 1)

    def forward(self, images):
        return self.last(torch.relu(self.first(images))).mean((2, 3))


def test_classes_with_equal_outputs_of_shared_weights_stay_apart(tmp_path):
    torch.manual_seed(0)
    network = Pooled()
    nn.init.constant_(network.last.weight, 0.5), nn.init.constant_(network.last.bias, 0.5)
    parent, images = CompactNetwork.parent(network, torch.randn(1, 6, 6)), torch.randn(4, 1, 6, 6)
    members = [cut(parent, parent.kept.replace(len(parent.kept.units) - 1, (c,))) for c in (0, 2)]
    again = saved_and_loaded(composed(members), tmp_path / "pooled.pth.tar")
    with torch.no_grad():
        assert again.kept.classes == (0, 2) and torch.equal(again.network(images), separate(members, images))


def test_a_saved_composition_is_loaded_without_its_class(members, digits, tmp_path):
    import specdnn

    made = composed(members)
    assert saved_and_loaded(made, tmp_path / "one.pth.tar").kept == made.kept
    saved_and_loaded(composed(members[::-1]), tmp_path / "two.pth.tar")
    assert (tmp_path / "one.pth.tar").read_bytes() == (tmp_path / "two.pth.tar").read_bytes()
    network = specdnn.load(tmp_path / "one.pth.tar")
    assert network.classes == (0, 3, 7, 8)
    with torch.no_grad():
        assert torch.equal(network(digits.test.images), separate(members, digits.test.images))


def test_training_changes_every_part_of_it(members, digits):
    made = composed(members)
    before = {name: p.clone() for name, p in made.network.named_parameters()}
    optimizer = torch.optim.SGD(made.network.train().parameters(), lr=0.1)
    targets = torch.stack([digits.train.labels[:200] == c for c in made.kept.classes], 1).float()
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        losses.append(nn.functional.binary_cross_entropy_with_logits(made.network(digits.train.images[:200]), targets))
        losses[-1].backward()
        optimizer.step()
    assert losses[1] < losses[0]
    assert all(not torch.equal(p, before[name]) for name, p in made.network.named_parameters())


# ------------------------------------------------------------------------------------------ in place


class Changing(nn.Module):
    """It changes its images, and what others read."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, images):
        images.mul_(2.0)
        hidden = torch.relu_(self.first(images))
        hidden += 1
        return self.last(hidden)


def test_members_that_change_tensors_in_place_do_not_disturb_each_other():
    torch.manual_seed(0)
    parent, images = CompactNetwork.parent(Changing(), torch.randn(6)), torch.randn(4, 6)
    members = [cut(parent, parent.kept.replace(len(parent.kept.units) - 1, (c,))) for c in (0, 1, 2)]
    made, before = composed(members), images.clone()
    with torch.no_grad():
        assert torch.equal(made.network(images), separate(members, images)) and torch.equal(images, before)


# ------------------------------------------------------------------------------------------ what does not fit


def test_what_does_not_fit_together_is_told_in_a_sentence(parent, members, folder, whole):
    other = next(kind for kind in folder.architectures.values() if kind.__name__ not in str(type(parent.network)))
    stranger = part(whole(other()), (5,), 0)
    if stranger.wiring.layers == parent.wiring.layers:
        stranger = part(whole(list(folder.architectures.values())[2]()), (5,), 0, depths=[])
    shape = dataclasses.replace(members[2].wiring, image_shape=(1, 14, 56))
    for several, words in [
        (members[:1], "at least two networks"),
        ([*members, part(parent, (8,), 5)], "class 8 is in two of the networks"),
        ([*members, stranger], "different parents"),
        ([*members[:2], dataclasses.replace(members[2], wiring=shape)], "28x28 and 1x14x56"),
    ]:
        with pytest.raises(SpecDNNError, match=words) as error:
            composed(several)
        assert "\n" not in str(error.value)
