"""Both networks of the folder: a compact network equals its dull twin, the parent with everything else silenced."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from specdnn.network import netfile
from specdnn.network.surgery import CompactNetwork, cut, fresh, masked, reopened
from specdnn.structures import KeptUnits, Layers

ARCHITECTURES = ("LeNet_300_100", "LeNet_5")
drawn = st.tuples(st.sampled_from(["few", "many", "one", "all"]), st.integers(0, 2**32 - 1))


def some_of(units, amount, seed):
    """A drawn, sorted, non-empty part of some units."""
    random = np.random.default_rng(seed)
    count = {"one": 1, "all": len(units), "few": 1 + len(units) // 20, "many": 1 + len(units) // 2}[amount]
    return sorted(random.choice(units, min(count, len(units)), replace=False).tolist())


def some_units(kept: KeptUnits, layers: Layers, draws) -> KeptUnits:
    for depth, (amount, seed) in zip((*layers.prunable, len(layers.layers) - 1), draws, strict=False):
        kept = kept.replace(depth, some_of(kept.units[depth], amount, seed))
    return kept


@pytest.fixture(scope="module")
def doubles(folder, whole):
    """Both networks with fresh weights in float64, biases far from zero: name -> (network, the same traced)."""
    torch.manual_seed(0)
    found = {}
    for name, network_type in folder.architectures.items():
        network = network_type().double()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.dim() == 1:
                    parameter.uniform_(-0.3, 0.3)
        found[name] = network, whole(network)
    return found


def equal(compact, parent, kept, images, network=None):
    """To 1e-12; `network` is the one that is masked, the user's own or the traced one."""
    with torch.no_grad():
        ours, twin = compact.network(images), masked(parent, kept, network)(images)
    assert ours.shape == (len(images), len(kept.classes))
    assert (ours - twin).abs().max() <= 1e-12


# ------------------------------------------------------------------------------------------ the twin


def test_the_traced_network_is_the_network_itself(network_type, whole, digits):
    network, images = network_type(), digits.test.images[:9]
    with torch.no_grad():
        assert torch.equal(whole(network).network(images), network.eval()(images))


@pytest.mark.parametrize("arch", ARCHITECTURES)
@settings(max_examples=30)
@given(draws=st.tuples(drawn, drawn, drawn, drawn))
def test_compact_logits_equal_the_masked_parent(arch, draws, doubles, digits):
    network, parent = doubles[arch]
    kept = some_units(parent.kept, parent.wiring.layers, draws)
    compact = cut(parent, kept)
    assert compact.kept == kept and compact.wiring.layers == parent.wiring.layers
    for own in (network, None):
        equal(compact, parent, kept, digits.test.images[:20].double(), own)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@settings(max_examples=20)
@given(first=st.tuples(drawn, drawn, drawn, drawn), second=st.tuples(drawn, drawn, drawn, drawn))
def test_a_cut_of_a_cut_is_one_cut_and_equals_the_masked_parent(arch, first, second, doubles, digits):
    (_, parent), images = doubles[arch], digits.test.images[:20].double()
    once = cut(parent, some_units(parent.kept, parent.wiring.layers, first))
    kept = some_units(once.kept, parent.wiring.layers, second)
    twice, direct = cut(once, kept), cut(parent, kept)
    equal(twice, parent, kept, images)
    equal(twice, once, kept, images)
    one, other = direct.network.state_dict(), twice.network.state_dict()
    assert list(one) == list(other) and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("classes", [(4,), (0, 3, 7), tuple(range(10))])
def test_probabilities_of_trained_networks_in_float32(network_type, classes, parents, folder, digits):
    parent = netfile.load(parents[network_type.__name__], folder.architectures).compact
    kept = some_units(parent.kept, parent.wiring.layers, [("many", 1), ("many", 2), ("many", 3)])
    kept = kept.replace(len(kept.units) - 1, classes)
    with torch.no_grad():
        ours, twin = cut(parent, kept).network(digits.test.images), masked(parent, kept)(digits.test.images)
    assert (torch.sigmoid(ours) - torch.sigmoid(twin)).abs().max() <= 1e-5


@pytest.mark.parametrize("classes", [(4,), (0, 3, 7)])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_mnist_images_see_no_difference(arch, classes, doubles, whole, mnist):
    network, parent = doubles[arch]
    kept = some_units(parent.kept, parent.wiring.layers, [("many", 5), ("few", 6), ("many", 7)])
    kept = kept.replace(len(kept.units) - 1, classes)
    images = mnist.test.images[:500]
    equal(cut(parent, kept), parent, kept, images.double())
    single = whole(copy.deepcopy(network).float())
    with torch.no_grad():
        ours, twin = cut(single, kept).network(images), masked(single, kept)(images)
    assert (torch.sigmoid(ours) - torch.sigmoid(twin)).abs().max() <= 1e-5


def test_masking_nothing_is_the_network_itself(network_type, whole, digits):
    torch.manual_seed(0)
    parent, images = whole(network_type()), digits.test.images[:9]
    with torch.no_grad():
        assert torch.equal(masked(parent, parent.kept)(images), parent.network(images))


def test_silenced_units_are_really_silent(folder, whole, digits):
    """The twin is a twin only if the units that go would have mattered."""
    torch.manual_seed(0)
    parent, images = whole(folder.architectures["LeNet_300_100"]()), digits.test.images[:9]
    kept = parent.kept.replace(1, range(0, 300, 2))
    with torch.no_grad():
        apart = masked(parent, kept)(images) - parent.network(images)
    assert apart.abs().max() > 1e-3


# ------------------------------------------------------------------------------------------ what is built


def unchanged(network: nn.Module, before: dict) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_tracing_and_cutting_leave_the_network_alone_and_share_no_memory(network_type, whole):
    torch.manual_seed(0)
    network = network_type()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    parent = whole(network)
    same = cut(parent, parent.kept)
    for own in (same, parent):
        with torch.no_grad():
            for parameter in own.network.parameters():
                parameter.zero_()
        if own is same:
            assert unchanged(parent.network, before)
    assert unchanged(network, before)


def test_the_whole_network_needs_no_select(network_type, whole):
    parent = whole(network_type())
    wanted = cut(parent, parent.kept.replace(len(parent.kept.units) - 1, (3,)))
    assert list(wanted.network.state_dict()) == list(network_type().state_dict())
    assert list(wanted.network.buffers()) == []


def test_lenet_300_100_gathers_the_kept_pixels(folder, whole):
    parent = whole(folder.architectures["LeNet_300_100"]())
    compact = cut(parent, KeptUnits(((5, 100, 783), (0, 299), (50,), (9,))))
    assert compact.network.select_flatten.index.tolist() == [5, 100, 783]
    assert compact.network.ip1.weight.tolist() == parent.network.ip1.weight[[0, 299]][:, [5, 100, 783]].tolist()
    assert compact.network.ip3.bias.tolist() == parent.network.ip3.bias[[9]].tolist()
    fewer = cut(compact, KeptUnits(((100, 783), (0,), (50,), (9,))))
    assert fewer.network.select_flatten.index.tolist() == [100, 783]


def test_lenet_5_gathers_the_kept_features_of_the_channels_that_stay(folder, whole):
    parent = whole(folder.architectures["LeNet_5"]())
    # features 2 and 15 of channel 0, 0 of channel 3, 7 of channel 49: the channels become 0, 1, 2
    kept = KeptUnits(((0,), (4, 19), (2, 15, 48, 791), (0, 499), (1,)))
    compact = cut(parent, kept)
    assert compact.network.select_flatten.index.tolist() == [2, 15, 16, 39]
    assert compact.network.conv2.weight.shape == (3, 2, 5, 5)
    assert torch.equal(compact.network.conv2.weight, parent.network.conv2.weight[[0, 3, 49]][:, [4, 19]])
    assert torch.equal(compact.network.ip1.weight, parent.network.ip1.weight[[0, 499]][:, [2, 15, 48, 791]])
    assert kept.channels(parent.wiring.layers) == (1, 2, 3, 2, 1)
    # channel 3 goes with its only feature
    fewer = cut(compact, kept.replace(2, (2, 791)))
    assert fewer.network.select_flatten.index.tolist() == [2, 23]
    assert fewer.network.conv2.weight.shape == (2, 2, 5, 5)


def test_a_channel_stays_whole_when_all_its_features_do(folder, whole):
    parent = whole(folder.architectures["LeNet_5"]())
    compact = cut(parent, parent.kept.replace(2, range(16, 48)))
    assert compact.network.conv2.weight.shape[0] == 2
    assert list(compact.network.buffers()) == []  # two whole channels, flattened as before


def test_parameters_are_those_of_the_widths_and_nothing_else(folder, whole):
    parent = whole(folder.architectures["LeNet_300_100"]())
    kept = parent.kept.replace(0, range(60)).replace(1, range(8)).replace(2, range(4)).replace(3, (0,))
    shapes = {name: tuple(p.shape) for name, p in cut(parent, kept).network.named_parameters()}
    weights, biases = {"ip1": (8, 60), "ip2": (4, 8), "ip3": (1, 4)}, {"ip1": (8,), "ip2": (4,), "ip3": (1,)}
    assert shapes == {f"{k}.weight": v for k, v in weights.items()} | {f"{k}.bias": v for k, v in biases.items()}


def test_a_unit_that_was_cut_before_cannot_come_back(network_type, whole):
    parent = whole(network_type())
    compact = cut(parent, parent.kept.replace(2, (1, 2)))
    for make in (cut, fresh, masked):
        with pytest.raises(ValueError):
            make(compact, compact.kept.replace(2, (1, 3)))


def test_the_dtype_of_the_parent_stays(doubles):
    for _, parent in doubles.values():
        wanted = parent.kept.replace(len(parent.kept.units) - 1, (3,))
        for make in (cut, fresh):
            assert {p.dtype for p in make(parent, wanted).network.parameters()} == {torch.float64}


def test_the_mode_of_the_parent_stays(network_type, whole):
    parent = whole(network_type())
    kept = parent.kept.replace(2, (1, 2))
    parent.network.train()
    assert all(module.training for module in cut(parent, kept).network.modules())
    parent.network.eval()
    assert not any(module.training for module in cut(parent, kept).network.modules())


# ------------------------------------------------------------------------------------------ first weights


def test_first_weights_are_those_of_torchs_generator(network_type, whole):
    parent = whole(network_type())
    kept = parent.kept.replace(1, (1, 2, 3)).replace(len(parent.kept.units) - 1, (3,))
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(fresh(parent, kept))
    same = cut(parent, kept)
    assert found[0].kept == kept
    for name, tensor in same.network.state_dict().items():
        one, again, other = (made.network.state_dict()[name] for made in found)
        assert tensor.shape == one.shape and torch.equal(one, again)
        if tensor.is_floating_point():
            assert not torch.equal(one, other) and not torch.equal(one, tensor)


def test_first_weights_are_drawn_for_the_inputs_that_there_are(folder, whole):
    """torch draws uniformly within 1 / sqrt(inputs): a network of few inputs starts with larger weights."""
    parent = whole(folder.architectures["LeNet_300_100"]())
    torch.manual_seed(0)
    weight = fresh(parent, parent.kept.replace(0, range(4))).network.ip1.weight
    assert 0.4 < weight.abs().max() <= 0.5


# ------------------------------------------------------------------------------------------ opened again


def test_a_compact_network_traced_again_is_cut_in_the_numbers_of_the_parent(doubles, digits):
    image, images = torch.zeros(1, 28, 28), digits.test.images[:20].double()
    for arch, (_, parent) in doubles.items():
        if arch not in ARCHITECTURES:
            continue
        layers = parent.wiring.layers
        once = cut(parent, some_units(parent.kept, layers, [("many", 1), ("many", 2), ("many", 3), ("few", 4)]))
        again = reopened(once.network, image, layers, once.kept)
        assert again.kept == once.kept and again.wiring.sizes(once.kept) == once.wiring.sizes(once.kept)
        kept = some_units(once.kept, layers, [("many", 5), ("few", 6), ("many", 7)])
        equal(cut(again, kept), parent, kept, images)
        with pytest.raises(ValueError, match="contradict its kept units"):
            reopened(once.network, image, layers, kept)


# ------------------------------------------------------------------------------------------ what forward takes


class Told(nn.Module):
    """A network whose forward takes more than images; what is not given stays at its default."""

    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, images, mask=None, half=False, power: int = 2, *, name="x", scale=1.5):
        hidden = torch.relu(self.hidden(images.flatten(1)))
        hidden = hidden if mask is None else hidden * mask
        hidden = hidden / 2 if half else hidden
        return self.out(scale * hidden**power)


def test_arguments_beside_the_images_stay_at_their_defaults():
    torch.manual_seed(0)
    network, images = Told().double(), torch.randn(5, 1, 2, 2, dtype=torch.double)
    parent = CompactNetwork.parent(network, images[0])
    assert len([node for node in parent.network.graph.nodes if node.op == "placeholder"]) == 1
    assert parent.wiring.pins == () and parent.wiring.layers.widths == (4, 3, 2)
    with torch.no_grad():
        assert torch.equal(parent.network(images), network(images))
    kept = KeptUnits(((0, 2), (0, 1), (1,)))
    equal(cut(parent, kept), parent, kept, images, network)


class PinnedOutputs(nn.Module):
    """Outputs that are not understood stay behind those that are wanted."""

    def __init__(self):
        super().__init__()
        self.hidden, self.last = nn.Linear(6, 8), nn.Linear(8, 5)

    def forward(self, x):
        return self.last(torch.relu(self.hidden(x))) + self.last.bias


def test_pinned_outputs_come_back_in_the_parents_numbers():
    parent, images = CompactNetwork.parent(PinnedOutputs(), torch.zeros(6)), torch.randn(4, 6)
    compact = cut(parent, parent.kept.replace(2, [0, 3]))
    again = reopened(compact.network, torch.zeros(6), parent.wiring.layers, compact.kept)
    less = compact.kept.replace(2, [3])
    assert torch.equal(cut(again, less).network(images), parent.network(images)[:, [3]])


def test_pinned_units_cannot_go():
    parent = CompactNetwork.parent(PinnedOutputs(), torch.zeros(6))
    with pytest.raises(ValueError, match="layer hidden are pinned"):
        cut(parent, parent.kept.replace(1, [0, 1]))
