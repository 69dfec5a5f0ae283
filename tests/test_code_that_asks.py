"""What a user's code decides by sizes and numbers of dimensions is followed; what it decides by numbers is refused."""

import math

import einops
import pytest
import torch
from einops.layers.torch import Rearrange
from test_wiring import IMAGE, Plain, assert_exact
from torch import nn
from torch.nn import functional as f

from specdnn.network.surgery import CompactNetwork
from specdnn.network.tracing import traced
from specdnn.structures import SpecDNNError


class Asking(Plain):
    """The plain network, its six maps (images, 6, 8, 8) changed by code that asks for their sizes first."""

    def __init__(self, code):
        super().__init__()
        self.code = [code]
        self.key, self.step, self.inner, self.back = (nn.Linear(*sizes) for sizes in ((6, 6), (6, 6), (6, 12), (12, 6)))
        self.in_rows = Rearrange("n c h w -> n (h w) c")
        self.places = nn.Parameter(torch.randn(1, 100, 6))
        self.register_buffer("before", torch.tril(torch.ones(100, 100)))

    def features(self, x):
        return self.code[0](self, super().features(x))


def rows(x):
    return x.flatten(2).transpose(1, 2)


def maps(x):
    return x.transpose(1, 2).unflatten(2, (8, 8))


def ranks(m, x):
    if x.dim() == 3:
        x = x.unsqueeze(0)
    if len(x.shape) != 4 or x.ndim not in range(3, 5) or not x.dtype.is_floating_point:
        raise ValueError(f"maps of shape {x.shape}")
    return f.relu(x)


def asserted(m, x):
    assert x.shape[1] == 6 and x.shape[-2:] == (8, 8), f"six maps of 8 x 8, not {x.shape}"
    return x


def unpacked(m, x):
    *leading, last = rows(x).shape
    first, *others = x.chunk(3, 1)
    inner = m.back(torch.relu(m.inner(rows(x).reshape(-1, last)))).reshape(*leading, 6)
    return maps(inner) + torch.cat([*others, first], 1)


def padded(m, x):
    height, width = x.shape[-2:]
    down, right = (3 - height % 3) % 3, (3 - width % 3) % 3
    if down > 0 or right > 0:
        x = f.pad(x, (0, right, 0, down))
    side = int(math.sqrt(x.shape[2] * x.shape[3]))
    return x.flatten(2).view(len(x), -1, side, side)[..., : int(height), : int(width)]


def attended(m, x):
    """Causal attention as it is often written, `math.sqrt` and slices of a buffer by a size included."""
    x = rows(x)
    images, count, width = x.size()
    x = x + m.places[:, :count]
    query, key = (part.view(images, count, 2, width // 2).transpose(1, 2) for part in (x, m.key(x)))
    scores = query @ key.transpose(-2, -1) / math.sqrt(key.size(-1))
    scores = scores.masked_fill(m.before[:count, :count] == 0, -math.inf)
    found = (f.softmax(scores, -1) @ query).transpose(1, 2).reshape(images, count, width)
    return maps(found + m.back(torch.relu(m.inner(found))))


def step_by_step(m, x):
    steps, state, seen = rows(x), torch.zeros(x.shape[0], 6, dtype=x.dtype), []
    for number in range(steps.size(1)):
        state = torch.tanh(m.key(steps[:, number]) + m.step(state))
        seen.append(state)
    return maps(torch.stack(seen, 1))


def one_by_one(m, x):
    return torch.stack([x[:, number] * float(x.shape[1] - number) for number in range(x.shape[1])], 1)


def by_einops(m, x):
    """Functions and layers, groups of a dimension that is split and joined, a mean and a repetition."""
    inner = m.back(torch.relu(m.inner(einops.rearrange(x, "n c (h a) (w b) -> n (h w) (a b) c", a=2, b=2))))
    x = x + einops.rearrange(inner, "n (h w) (a b) c -> n c (h a) (w b)", h=4, a=2)
    centre = einops.repeat(einops.reduce(x, "n c h w -> n c", "mean"), "n c -> n c h w", h=8, w=8)
    return maps(m.in_rows(x - centre))


COUNTING = (asserted, padded, attended, step_by_step, one_by_one)


@pytest.mark.parametrize("code", (ranks, unpacked, by_einops, *COUNTING))
def test_what_code_decides_by_sizes_is_followed(code):
    network = Asking(code).eval().double()
    wiring = assert_exact(network)
    images = torch.randn(4, *IMAGE.shape, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(wiring.network(images), network(images))
    told = [note for note in wiring.notes if "sizes" in note]
    shape = tuple(IMAGE.shape)
    sentence = f"the network decides by the sizes of its images: what is traced is right for those of shape {shape}"
    assert told == ([sentence] if code in COUNTING else [])
    assert any(layer.prunable for layer in wiring.layers.layers)


def test_images_that_the_code_does_not_want_are_told():
    told = (
        r"^Asking fails on images of shape \(2, 6, 8\): six maps of 8 x 8, not .*; give images of the shape that it was"
    )
    with pytest.raises(SpecDNNError, match=told):
        CompactNetwork.parent(Asking(asserted), torch.zeros(2, 6, 8))


def test_what_a_network_fails_on_before_it_is_asked_is_told():
    with pytest.raises(SpecDNNError, match=r"^Asking fails on images of shape \(3, 8, 8\): .*channels"):
        CompactNetwork.parent(Asking(asserted), torch.zeros(3, 8, 8))


def test_without_an_image_nothing_is_known_of_sizes():
    with pytest.raises(SpecDNNError, match="cannot be traced: .*control flow"):
        traced(Asking(asserted))
    network = traced(Asking(lambda m, x: x.view(len(x), 6, -1).view(x.shape[0], 6, 8, 8)))[0]
    assert network(IMAGE[None]).shape == (1, 4)


def by_number_of_images(m, x):
    return x * 2 if len(x) == 1 else x


def by_many_images(m, x):
    return x * 2 if x.shape[0] > 100 else x


def image_by_image(m, x):
    return torch.stack([x[number] for number in range(x.shape[0])])


def all_images_apart(m, x):
    return torch.stack([*x])


def by_a_length_as_a_number(m, x):
    return x * x.__len__()


def by_values(m, x):
    return x * 2 if x.mean() > 0 else x


def by_one_value(m, x):
    return x * float(x.sum())


def as_many_as_a_value(m, x):
    return x[:, : int(x.argmax())]


@pytest.mark.parametrize(
    "code",
    (
        by_number_of_images,
        by_many_images,
        image_by_image,
        all_images_apart,
        by_a_length_as_a_number,
        by_values,
        by_one_value,
        as_many_as_a_value,
    ),
)
def test_what_code_decides_by_numbers_or_by_the_number_of_images_is_refused(code):
    told = "must not depend on the values of its tensors or on how many images there are"
    with pytest.raises(SpecDNNError, match=told) as raised:
        CompactNetwork.parent(Asking(code), IMAGE)
    assert "test_code_that_asks.py, line" in str(raised.value)


def test_asking_leaves_the_network_as_it_was():
    """Statistics and modes, and what is drawn next: what is asked is found by running the network so far."""

    class Asked(Plain):
        def forward(self, images):
            found = f.dropout(self.norm(self.conv1(images)), 0.5, self.training)
            return self.fc(self.features(found if found.shape[1] == 6 else images).mean((2, 3)))

        def features(self, x):
            return torch.relu(self.conv2(torch.relu(x)))

    network = Asked()
    network.norm = nn.BatchNorm2d(network.conv1.out_channels)
    network.fc = nn.Linear(6, 5)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    wiring = CompactNetwork.parent(network.train(), IMAGE).wiring
    assert torch.equal(torch.rand(3), expected) and network.training and network.norm.training
    assert torch.equal(wiring.network.get_submodule("norm").running_mean, torch.zeros(6))
    assert int(wiring.network.get_submodule("norm").num_batches_tracked) == 0
