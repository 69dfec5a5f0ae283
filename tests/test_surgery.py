"""A compact network equals its dull twin, the parent with everything else silenced."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specdnn import checkpoint
from specdnn.structures import KeptUnits
from specdnn.surgery import CompactNetwork, channels_of, cut, masked

ARCHITECTURES = ("LeNet_300_100", "LeNet_5")
drawn = st.tuples(st.sampled_from(["few", "many", "one", "all"]), st.integers(0, 2**32 - 1))


def some_of(units, amount, seed):
    """A drawn, sorted, non-empty part of some units."""
    random = np.random.default_rng(seed)
    count = {"one": 1, "all": len(units), "few": 1 + len(units) // 20, "many": 1 + len(units) // 2}[amount]
    return sorted(random.choice(units, min(count, len(units)), replace=False).tolist())


def some_units(kept: KeptUnits, chain, draws) -> KeptUnits:
    for depth, (amount, seed) in zip((*chain.prunable, len(chain.layers) - 1), draws, strict=False):
        kept = kept.replace(depth, some_of(kept.units[depth], amount, seed))
    return kept


@pytest.fixture(scope="module")
def doubles(folder):
    """Both networks with fresh weights in float64, biases far from zero."""
    torch.manual_seed(0)
    found = {}
    for name, network_type in folder.architectures.items():
        network = network_type().double()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.dim() == 1:
                    parameter.uniform_(-0.3, 0.3)
        found[name] = CompactNetwork.parent(network)
    return found


def equal(compact, parent, kept, images, apart):
    with torch.no_grad():
        ours, twin = compact.network(images), masked(parent, kept)(images)
    assert ours.shape == (len(images), len(kept.classes))
    assert (ours - twin).abs().max() <= apart


# ------------------------------------------------------------------------------------------ the twin


@pytest.mark.parametrize("arch", ARCHITECTURES)
@settings(max_examples=30)
@given(draws=st.tuples(drawn, drawn, drawn, drawn))
def test_compact_logits_equal_the_masked_parent(arch, draws, doubles, digits):
    parent = doubles[arch]
    kept = some_units(parent.kept, parent.network.chain, draws)
    compact = cut(parent, kept)
    assert compact.network.chain.widths == kept.widths
    equal(compact, parent, kept, digits.test.images[:20].double(), 1e-10)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@settings(max_examples=20)
@given(first=st.tuples(drawn, drawn, drawn, drawn), second=st.tuples(drawn, drawn, drawn, drawn))
def test_a_cut_of_a_cut_is_one_cut_and_equals_the_masked_parent(arch, first, second, doubles, digits):
    parent, images = doubles[arch], digits.test.images[:20].double()
    once = cut(parent, some_units(parent.kept, parent.network.chain, first))
    kept = some_units(once.kept, parent.network.chain, second)
    twice, direct = cut(once, kept), cut(parent, kept)
    equal(twice, parent, kept, images, 1e-10)
    equal(twice, once, kept, images, 1e-10)
    for name, tensor in direct.network.state_dict().items():
        assert torch.equal(tensor, twice.network.state_dict()[name]), name


@pytest.mark.parametrize("classes", [(4,), (0, 3, 7), tuple(range(10))])
def test_probabilities_of_trained_networks_in_float32(network_type, classes, parents, folder, digits):
    parent = checkpoint.load(parents[network_type.__name__], folder.architectures).compact
    kept = some_units(parent.kept, parent.network.chain, [("many", 1), ("many", 2), ("many", 3)])
    kept = kept.replace(len(kept.units) - 1, classes)
    with torch.no_grad():
        ours, twin = cut(parent, kept).network(digits.test.images), masked(parent, kept)(digits.test.images)
    assert (torch.sigmoid(ours) - torch.sigmoid(twin)).abs().max() <= 1e-5


@pytest.mark.parametrize("classes", [(4,), (0, 3, 7)])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_mnist_images_see_no_difference(arch, classes, doubles, mnist):
    parent = doubles[arch]
    kept = some_units(parent.kept, parent.network.chain, [("many", 5), ("few", 6), ("many", 7)])
    kept = kept.replace(len(kept.units) - 1, classes)
    images = mnist.test.images[:500]
    equal(cut(parent, kept), parent, kept, images.double(), 1e-10)
    single = CompactNetwork(type(parent.network)(), parent.kept)
    single.network.load_state_dict(parent.network.state_dict())
    with torch.no_grad():
        ours, twin = cut(single, kept).network(images), masked(single, kept)(images)
    assert (torch.sigmoid(ours) - torch.sigmoid(twin)).abs().max() <= 1e-5


def test_masking_nothing_is_the_network_itself(network_type, digits):
    torch.manual_seed(0)
    parent = CompactNetwork.parent(network_type())
    with torch.no_grad():
        assert torch.equal(masked(parent, parent.kept)(digits.test.images[:9]), parent.network(digits.test.images[:9]))


def test_silenced_units_are_really_silent(folder, digits):
    """The twin is a twin only if the units that go would have mattered."""
    torch.manual_seed(0)
    parent = CompactNetwork.parent(folder.architectures["LeNet_300_100"]())
    kept = parent.kept.replace(1, range(0, 300, 2))
    with torch.no_grad():
        apart = masked(parent, kept)(digits.test.images[:9]) - parent.network(digits.test.images[:9])
    assert apart.abs().max() > 1e-3


# ------------------------------------------------------------------------------------------ what is built


def test_cutting_leaves_the_parent_alone_and_shares_no_memory(network_type):
    torch.manual_seed(0)
    parent = CompactNetwork.parent(network_type())
    before = {name: tensor.clone() for name, tensor in parent.network.state_dict().items()}
    same = cut(parent, parent.kept)
    with torch.no_grad():
        for parameter in same.network.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in parent.network.state_dict().items())


def test_the_whole_network_needs_no_gather(network_type):
    parent = CompactNetwork.parent(network_type())
    assert "gather" not in cut(parent, parent.kept.replace(len(parent.kept.units) - 1, (3,))).network.state_dict()


def test_lenet_300_100_gathers_the_kept_pixels(folder):
    parent = CompactNetwork.parent(folder.architectures["LeNet_300_100"]())
    compact = cut(parent, KeptUnits(((5, 100, 783), (0, 299), (50,), (9,))))
    assert compact.network.gather.tolist() == [5, 100, 783]
    assert compact.network.ip1.weight.tolist() == parent.network.ip1.weight[[0, 299]][:, [5, 100, 783]].tolist()
    assert compact.network.ip3.bias.tolist() == parent.network.ip3.bias[[9]].tolist()
    assert cut(compact, KeptUnits(((100, 783), (0,), (50,), (9,)))).network.gather.tolist() == [100, 783]


def test_lenet_5_gathers_the_kept_features_of_the_channels_that_stay(folder):
    parent = CompactNetwork.parent(folder.architectures["LeNet_5"]())
    # features 2 and 15 of channel 0, 0 of channel 3, 7 of channel 49: the channels become 0, 1, 2
    kept = KeptUnits(((0,), (4, 19), (2, 15, 48, 791), (0, 499), (1,)))
    compact = cut(parent, kept)
    assert compact.network.gather.tolist() == [2, 15, 16, 39]
    assert compact.network.conv2.weight.shape == (3, 2, 5, 5)
    assert torch.equal(compact.network.conv2.weight, parent.network.conv2.weight[[0, 3, 49]][:, [4, 19]])
    assert channels_of(compact.network, 2).tolist() == [0, 0, 1, 2]
    # channel 3 goes with its only feature
    fewer = cut(compact, kept.replace(2, (2, 791)))
    assert fewer.network.gather.tolist() == [2, 23]
    assert fewer.network.conv2.weight.shape == (2, 2, 5, 5)


def test_a_channel_stays_whole_when_all_its_features_do(folder):
    parent = CompactNetwork.parent(folder.architectures["LeNet_5"]())
    compact = cut(parent, parent.kept.replace(2, range(16, 48)))
    assert compact.network.gather.tolist() == list(range(32))
    assert compact.network.conv2.weight.shape[0] == 2


def test_parameters_are_those_of_the_widths_and_nothing_else(folder):
    parent = CompactNetwork.parent(folder.architectures["LeNet_300_100"]())
    kept = parent.kept.replace(0, range(60)).replace(1, range(8)).replace(2, range(4)).replace(3, (0,))
    shapes = {name: tuple(p.shape) for name, p in cut(parent, kept).network.named_parameters()}
    weights, biases = {"ip1": (8, 60), "ip2": (4, 8), "ip3": (1, 4)}, {"ip1": (8,), "ip2": (4,), "ip3": (1,)}
    assert shapes == {f"{k}.weight": v for k, v in weights.items()} | {f"{k}.bias": v for k, v in biases.items()}


def test_a_unit_that_was_cut_before_cannot_come_back(network_type):
    parent = CompactNetwork.parent(network_type())
    compact = cut(parent, parent.kept.replace(2, (1, 2)))
    with pytest.raises(ValueError):
        cut(compact, compact.kept.replace(2, (1, 3)))


def test_the_dtype_of_the_parent_stays(doubles):
    for parent in doubles.values():
        wanted = cut(parent, parent.kept.replace(len(parent.kept.units) - 1, (3,)))
        assert {p.dtype for p in wanted.network.parameters()} == {torch.float64}
