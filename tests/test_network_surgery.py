"""The compact network is exactly the masked parent: five networks of the zoo, and networks drawn at random."""

import copy

import numpy as np
import pytest
import torch
from drawn_networks import Drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from zoo_networks import ZOO, counted, difference, half, without_dropout

from specdnn.network.modules import Mode, Select
from specdnn.network.surgery import CompactNetwork, cut, fresh, masked, reopened
from specdnn.structures import KeptUnits

SMALL = ("LeNet-5", "ResNet-20, padded", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1")
EXACT = 1e-9


@torch.no_grad()
def results(images, *networks):
    """What networks give for images, each for a copy: networks may change their input in place."""
    return [network(images.clone()) for network in networks]


def assert_alike(one, other, exact=EXACT):
    assert one.shape == other.shape
    assert torch.allclose(one, other, rtol=exact, atol=exact * float(other.abs().max()))


# ------------------------------------------------------------------------------------------ the zoo


@pytest.fixture(scope="module", params=SMALL)
def zoo(request):
    """(the user's network, its parent, half of its units, images)."""
    torch.set_num_threads(1)
    entry = ZOO[request.param]
    network = entry.network()
    parent = CompactNetwork.parent(network, torch.randn(*entry.image_shape))
    kept = half(parent.kept, parent.wiring.layers, np.random.default_rng(0))
    return network, parent, kept, torch.randn(2, *entry.image_shape, dtype=torch.float64)


def test_a_compact_network_of_the_zoo_is_the_masked_parent(zoo):
    network, parent, kept, images = zoo
    ours, theirs, whole = results(images, cut(parent, kept).network, masked(parent, kept, network), network)
    assert difference(ours, theirs) < 1e-10
    assert difference(theirs, whole[:, list(kept.classes)]) > 1e-3  # the cut did something


def test_a_cut_network_is_cut_again(zoo):
    network, parent, kept, images = zoo
    less = half(kept, parent.wiring.layers, np.random.default_rng(1))
    compact = cut(parent, kept)
    twice, once, theirs = results(
        images, cut(compact, less).network, cut(parent, less).network, masked(parent, less, network)
    )
    assert difference(twice, theirs) < 1e-10 and difference(once, theirs) < 1e-10


def test_sizes_by_arithmetic_are_those_counted(zoo):
    _, parent, kept, images = zoo
    compact = cut(parent, kept)
    assert parent.wiring.sizes(kept) == compact.wiring.sizes(kept) == counted(compact.network, images.shape[1:])
    assert parent.wiring.sizes(parent.kept) == counted(parent.network, images.shape[1:])


def test_in_training_mode_batch_statistics_are_those_of_the_masked_parent(zoo):
    network, parent, kept, images = zoo
    ours = without_dropout(cut(parent, kept).network)
    theirs = masked(parent, kept, without_dropout(network)).train()
    assert difference(*results(images, ours, theirs)) < 1e-9


def test_one_step_of_training_changes_the_loss(zoo):
    _, parent, kept, images = zoo
    network = without_dropout(cut(parent, kept).network)
    optimizer, losses = torch.optim.SGD(network.parameters(), lr=1e-3), []
    for _ in range(2):
        losses.append(nn.functional.cross_entropy(network(images), torch.arange(len(images))))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[0].item() != losses[1].item()


def test_names_of_modules_stay(zoo):
    network, parent, kept, _ = zoo
    compact, names = cut(parent, kept).network, dict(network.named_modules())
    ours = (Select, Mode)
    assert all(name in names or isinstance(m, ours) for name, m in compact.named_modules())
    assert not [name for name, m in compact.named_modules() if isinstance(m, ours) and name in names]


def test_a_compact_network_is_reopened_in_the_parents_numbers(zoo):
    _, parent, kept, images = zoo
    layers = parent.wiring.layers
    less = half(kept, layers, np.random.default_rng(1))
    compact = cut(parent, kept)
    again = reopened(copy.deepcopy(compact.network), images[0], layers, kept)
    assert again.wiring.layers == layers and again.wiring.sizes(less) == compact.wiring.sizes(less)
    assert difference(*results(images, cut(again, less).network, cut(compact, less).network)) == 0


def test_a_network_is_not_reopened_with_units_that_it_does_not_hold():
    image = torch.randn(1, 28, 28)
    parent = CompactNetwork.parent(ZOO["LeNet-5"].network(), image)
    kept = parent.kept.replace(1, [0, 3])
    with pytest.raises(ValueError, match="contradict its kept units"):
        reopened(parent.network, image, parent.wiring.layers, kept)


def test_fresh_weights_have_the_same_shapes_and_other_numbers(zoo):
    _, parent, kept, _ = zoo
    shapes = [{name: p.shape for name, p in c.network.named_parameters()} for c in (cut(parent, kept),) * 2]
    first = fresh(parent, kept).network
    assert {name: p.shape for name, p in first.named_parameters()} == shapes[0]
    weights = zip(first.parameters(), cut(parent, kept).network.parameters(), strict=True)
    assert not any(p.dim() > 1 and torch.equal(p, q) for p, q in weights)


def test_units_that_are_not_there_cannot_be_kept(zoo):
    _, parent, kept, _ = zoo
    with pytest.raises(ValueError, match="not a subset"):
        cut(cut(parent, kept), parent.kept)


# ------------------------------------------------------------------------------------------ drawn networks


def some(pick, kept: KeptUnits, layers) -> KeptUnits:
    """Any units of every layer that may be cut, at least one."""
    for depth in layers.prunable:
        units = kept.units[depth]
        kept = kept.replace(depth, [u for u in units if pick((True, False))] or [pick(units)])
    outputs = kept.units[-1]
    return kept.replace(len(layers.layers) - 1, [u for u in outputs if pick((True, True, False))] or outputs[:1])


def check(pick, maps: int, rows: int) -> None:
    """All that is asked of a cut, of one drawn network and two drawn cuts."""
    shape = (pick((1, 2, 3)), 4, 4)
    network = Drawn(pick, shape, maps, rows).double()
    images = torch.randn(3, *shape, dtype=torch.float64)
    parent = CompactNetwork.parent(network, images[0])
    layers = parent.wiring.layers
    kept = some(pick, parent.kept, layers)
    less = some(pick, kept, layers)
    compact = cut(parent, kept)
    twice = cut(compact, less)
    again = cut(reopened(copy.deepcopy(compact.network), images[0], layers, kept), less)
    theirs, least = masked(parent, kept, network), masked(parent, less, network)
    ours, expected = results(images, compact.network, theirs)
    assert_alike(ours, expected)
    *found, expected = results(images, twice.network, cut(parent, less).network, again.network, least)
    for one in found:
        assert_alike(one, expected)
    assert counted(compact.network, shape) == parent.wiring.sizes(kept) == compact.wiring.sizes(kept)
    assert counted(twice.network, shape) == compact.wiring.sizes(less) == again.wiring.sizes(less)
    names = {name for name, _ in network.named_modules()}
    assert all(name in names or isinstance(m, (Select, Mode)) for name, m in compact.network.named_modules())
    assert_alike(*results(images, copy.deepcopy(compact.network).train(), theirs.train()), exact=1e-7)


@settings(max_examples=30)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_a_cut_of_any_network_is_its_masked_parent(data, seed):
    torch.manual_seed(seed)
    check(lambda choices: data.draw(st.sampled_from(list(choices))), maps=data.draw(st.integers(1, 5)), rows=1)


@pytest.mark.parametrize("seed", range(40))
def test_a_cut_of_a_longer_network_is_its_masked_parent(seed):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    check(lambda choices: choices[int(rng.integers(len(choices)))], maps=8, rows=3)
