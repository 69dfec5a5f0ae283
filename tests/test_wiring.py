"""What a trace finds: layers, links, pins; what it says of networks that it does not follow; whom it leaves alone."""

import copy
import importlib.util

import numpy as np
import pytest
import torch
from test_network_surgery import assert_alike, results
from torch import nn
from torch.nn import functional, utils
from torch.nn.utils import parametrizations
from zoo_networks import ZOO, LeNet5, free_units

from specdnn.network.surgery import CompactNetwork, cut, masked
from specdnn.network.tracing import traced
from specdnn.network.wiring import trace
from specdnn.structures import SpecDNNError

IMAGE = torch.randn(2, 8, 8)


class Plain(nn.Module):
    """Two convolutions and a Linear; the networks below are this one with something strange."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.fc = nn.Linear(6, 4)

    def features(self, x):
        return functional.relu(self.conv2(functional.relu(self.conv1(x))))

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


def layers_of(wiring):
    return {layer.name: layer.units for layer in wiring.layers.layers}


def pinned(wiring) -> str:
    return "; ".join(pin.operation for pin in wiring.pins)


def assert_exact(network, image=IMAGE, seed=0):
    """Half of all that may be cut, cut: the compact network is the masked parent."""
    network = copy.deepcopy(network).eval().double()
    parent, rng = CompactNetwork.parent(network, image), np.random.default_rng(seed)
    layers, kept = parent.wiring.layers, parent.kept
    for depth in layers.prunable:
        width = layers.widths[depth]
        kept = kept.replace(depth, rng.choice(width, width - width // 2, replace=False))
    images = torch.randn(3, *image.shape, dtype=torch.float64)
    assert_alike(*results(images, cut(parent, kept).network, masked(parent, kept, network)))
    return parent.wiring


# ------------------------------------------------------------------------------------------ what is found


def test_a_flattened_map_has_a_unit_at_every_place_and_a_literal_size_does_no_harm():
    wiring = assert_exact(LeNet5(), torch.randn(1, 28, 28))
    assert layers_of(wiring) == {"input": 1, "conv1": 20, "conv2": 800, "ip1": 500, "ip2": 10}
    assert wiring.layers.layers[2].channels == tuple(np.repeat(range(50), 16))
    assert not wiring.pins and not wiring.notes


def test_pixels_that_a_linear_reads_are_units():
    wiring = assert_exact(nn.Sequential(nn.Flatten(), nn.Linear(128, 5), nn.ReLU(), nn.Linear(5, 3)))
    assert layers_of(wiring) == {"input": 128, "1": 5, "3": 3}
    assert wiring.layers.prunable == (0, 1)


def test_a_residual_stream_is_one_layer_and_a_batch_norm_scales_its_link():
    wiring = trace(ZOO["resnet18"].network(), torch.randn(3, 64, 64))
    names = layers_of(wiring)
    assert names["conv1"] == 64 and names["layer1.0.conv1"] == 64 and "layer1.0.conv2" not in names
    scaled = {link.name: link.scaled_by for link in wiring.links}
    assert scaled["layer2.0.downsample.0"] == "layer2.0.downsample.1" and scaled["fc"] == ""


@pytest.mark.parametrize("name", ["LeNet-5", "resnet18", "densenet121", "shufflenet_v2_x0_5", "mobilenet_v2"])
def test_nothing_is_pinned_in_plain_convolutional_networks(name):
    parent = CompactNetwork.parent(ZOO[name].network(), torch.randn(*ZOO[name].image_shape))
    free, units = free_units(parent)
    assert free == units and not parent.wiring.pins


def test_modules_that_nothing_reads_make_no_layers():
    class Auxiliary(Plain):
        def __init__(self):
            super().__init__()
            self.auxiliary, self.forgotten = nn.Linear(6, 3), nn.Parameter(torch.ones(7))

        def forward(self, x):
            x = self.features(x).mean((2, 3))
            self.auxiliary(x)
            return self.fc(x)

    wiring = assert_exact(Auxiliary())
    assert list(layers_of(wiring)) == ["input", "conv1", "conv2", "fc"]
    assert wiring.notes == (
        "left out, since the outputs do not depend on it: forgotten, auxiliary.weight, auxiliary.bias",
    )


class ClassToken(Plain):
    """Channels of the map become those of tokens, with one token more and a place added to each."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.places = nn.Parameter(torch.randn(1, 65, 6))
        self.mlp = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 6))

    def forward(self, x):
        x = self.features(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.places
        return self.fc((x + self.mlp(x))[:, 0])


def test_a_token_beside_others_has_their_units_and_a_table_of_places_is_sliced():
    wiring = assert_exact(ClassToken())
    assert layers_of(wiring) == {"input": 2, "conv1": 6, "conv2": 6, "mlp.0": 8, "fc": 4}
    assert not wiring.pins and {one.name for one in wiring.through} == {"token", "places"}


# ------------------------------------------------------------------------------------------ in place


def test_a_sum_in_place_is_seen_by_whoever_reads_the_tensor():
    class Plus(Plain):
        def forward(self, x):
            first = self.conv1(x)
            second = self.conv2(first)
            second += first
            first *= 2
            return self.fc((second - first).mean((2, 3)))

    network = Plus().double()
    images = torch.randn(3, *IMAGE.shape, dtype=torch.float64)
    assert_alike(*results(images, trace(network, IMAGE).network, network))
    assert not assert_exact(network).pins


def test_a_counter_is_no_tensor():
    class Counting(Plain):
        def forward(self, x):
            x = self.features(x)
            places = x.size(2)
            more = places
            more *= x.size(3)
            return self.fc(x.flatten(2).sum(2) / more + places)

    assert_exact(Counting())


def test_a_change_through_a_view_that_others_read_pins():
    class Views(Plain):
        def forward(self, x):
            x = self.features(x)
            half = x[:, :3]
            half.mul_(2)
            return self.fc(x.mean((2, 3)))

    assert "changes in place what others read" in pinned(assert_exact(Views()))


# ------------------------------------------------------------------------------------------ pins


class Twice(Plain):
    def features(self, x):
        return self.conv2(functional.relu(self.conv2(functional.relu(self.conv1(x)))))


class Tied(Plain):
    def __init__(self):
        super().__init__()
        self.conv3 = nn.Conv2d(6, 6, 3, padding=1)
        self.conv3.weight = self.conv2.weight

    def features(self, x):
        return self.conv3(functional.relu(super().features(x)))


def computed(change, *names):
    """The plain network after a step of training in which weights were computed from others."""
    network = Plain()
    for name in names:
        setattr(network, name, change(getattr(network, name)))
    network.train()(torch.randn(2, *IMAGE.shape)).sum().backward()
    return network


class Reading(Plain):
    def features(self, x):
        return super().features(x) * self.conv2.bias.view(1, -1, 1, 1)


class Normalised(Plain):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(6)

    def features(self, x):
        return self.norm(super().features(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Softmaxed(Plain):
    def features(self, x):
        return super().features(x).softmax(1)


OLD_NORMS = (utils.weight_norm, utils.spectral_norm)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("change", (parametrizations.weight_norm, parametrizations.spectral_norm, *OLD_NORMS))
def test_weights_that_are_computed_become_plain_ones(change):
    network = computed(change, "conv2", "fc")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found, notes = traced(network)
    assert notes == ("weights that are computed from others (parametrization) are plain ones from here on: conv2, fc",)
    assert {name for name, _ in found.named_parameters()} == {name for name, _ in Plain().named_parameters()}
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    images = torch.randn(3, *IMAGE.shape)
    torch.testing.assert_close(found(images), network.eval()(images))
    assert not assert_exact(found).pins


def test_a_hook_that_is_not_known_is_refused():
    network = Plain()
    network.conv2.register_forward_hook(lambda module, given, found: found * 2)
    with pytest.raises(SpecDNNError, match="^module conv2 carries hooks, which cannot be traced: remove them first$"):
        traced(network)


@pytest.mark.parametrize(
    "make, told, free",
    [
        (Twice, "Conv2d conv2: it is used 2 times", set()),
        (Tied, "Conv2d conv2: its weights are shared with another module", set()),
        (Reading, "Conv2d conv2: its weights are read elsewhere, too", set()),
        (Normalised, "LayerNorm norm", {"conv1"}),
        (Softmaxed, "softmax", {"conv1"}),
    ],
)
def test_what_is_not_understood_pins_what_it_touches_by_name(make, told, free):
    wiring = assert_exact(make())
    assert told in pinned(wiring)
    assert {wiring.layers.names[d] for d in wiring.layers.prunable} == free
    assert all(pin.units > 0 for pin in wiring.pins)


# ------------------------------------------------------------------------------------------ strangers


class TwoInputs(Plain):
    def forward(self, x, y):
        return super().forward(x + y)


class TwoOutputs(Plain):
    def forward(self, x):
        return super().forward(x), x


class Dictionary(Plain):
    def forward(self, x):
        return {"out": super().forward(x)}


class Branching(Plain):
    def forward(self, x):
        if x.sum() > 0:
            x = -x
        return super().forward(x)


class Wrong(Plain):
    def forward(self, x):
        return self.fc(self.features(x).flatten(1))


class Scores(Plain):
    def forward(self, x):
        return self.features(x)


@pytest.mark.parametrize(
    "make, told",
    [
        (TwoInputs, r"takes 2 tensors \(x, y\); a classifier takes one, .*: wrap it in a module that does"),
        (TwoOutputs, "gives 2 tensors; a classifier gives one tensor of logits: wrap it in a module that does"),
        (Dictionary, "gives a dictionary; a classifier gives one tensor of logits: wrap it in a module that does"),
        (Branching, r"cannot be traced: .*\(.*test_wiring.py, line \d+\); what the network does must not depend"),
        (Wrong, r"Wrong fails on images of shape \(2, 8, 8\): .*; give images of the shape that it was made for"),
        (Scores, r"gives \(images, 6, 8, 8\); a classifier gives \(images, classes\)"),
    ],
)
def test_a_network_that_cannot_be_followed_is_refused_in_one_sentence(make, told):
    with pytest.raises(SpecDNNError, match=told) as raised:
        trace(make(), IMAGE)
    assert "\n" not in str(raised.value)


def test_an_ordinary_sequential_is_traced():
    network = nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    wiring = assert_exact(network.append(nn.Linear(20, 3)))
    assert layers_of(wiring) == {"input": 2, "0": 20, "4": 3}


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_worked_on_in_single_precision(kind):
    wiring = trace(Plain().to(kind), IMAGE)
    assert {p.dtype for p in wiring.network.parameters()} == {torch.float32}
    assert wiring.notes == (f"the network's {str(kind)[6:]} is worked on in single precision",)


def test_a_wrapper_for_several_devices_is_taken_off():
    plain = Plain()
    wiring = trace(nn.DataParallel(plain), IMAGE)
    assert [link.name for link in wiring.links] == ["conv1", "conv2", "fc"]


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LogSoftmax(1), nn.Sigmoid()])
def test_a_last_softmax_or_sigmoid_is_left_out_and_told(last):
    plain = Plain()
    for network in (nn.Sequential(plain, last), Ended(plain, last)):
        wiring = trace(network, IMAGE)
        assert_alike(*results(IMAGE[None], wiring.network, plain))
        assert len(wiring.notes) == 1 and "what goes into it are the logits" in wiring.notes[0]


class Ended(nn.Module):
    def __init__(self, plain, last):
        super().__init__()
        self.plain = plain
        functions = {nn.Softmax: functional.softmax, nn.LogSoftmax: functional.log_softmax}
        self.function = functions.get(type(last))

    def forward(self, x):
        x = self.plain(x)
        return self.function(x, dim=1) if self.function else x.sigmoid()


def test_what_forward_may_take_besides_stays_at_its_default():
    class Optional(Plain):
        def forward(self, x, mask=None, scale=2.0, *, flat=True):
            x = self.features(x) * scale
            return self.fc(x.mean((2, 3)) if flat else x)

    assert not assert_exact(Optional()).notes


def test_dropout_as_a_function_follows_the_mode():
    class Dropped(Plain):
        def __init__(self):
            super().__init__()
            self.mode = nn.Identity()  # a name that the room would like to use

        def features(self, x):
            x = self.mode(super().features(x)) * torch.tensor(2.0)  # a constant made on the way
            return functional.dropout(x, 0.5, training=self.training)

    network = trace(Dropped(), IMAGE).network
    one, other = results(IMAGE[None], network, network)
    assert torch.equal(one, other)
    one, other = results(IMAGE[None], network.train(), network)
    assert not torch.equal(one, other)
    assert not assert_exact(Dropped()).notes


def test_a_network_that_does_something_else_in_training_is_told_of():
    class Noisy(Plain):
        def features(self, x):
            x = super().features(x)
            return x + torch.randn_like(x) if self.training else x

    (note,) = trace(Noisy(), IMAGE).notes
    assert note.startswith("the network does something else in training mode")


def test_the_users_network_stays_as_it_is():
    network = nn.Sequential(Plain(), nn.BatchNorm1d(4), nn.Dropout()).train()
    network[0].conv1.requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    modes = [module.training for module in network.modules()]
    grads, state = [p.requires_grad for p in network.parameters()], torch.get_rng_state()
    parent = CompactNetwork.parent(network, IMAGE)
    cut(parent, parent.kept.replace(1, [0, 2]))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert [p.requires_grad for p in network.parameters()] == grads
    assert torch.equal(torch.get_rng_state(), state)


# ------------------------------------------------------------------------------------------ beside a rival


@pytest.mark.skipif(importlib.util.find_spec("torch_pruning") is None, reason="needs torch-pruning")
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121"])
def test_coupled_units_are_those_of_torch_pruning(name):
    from zoo_rival import coupled

    network, image = ZOO[name].network(), torch.randn(*ZOO[name].image_shape)
    parent = CompactNetwork.parent(network, image)
    ours, theirs = coupled(network, parent, image)
    assert ours == theirs and len(ours) > 10
