"""Operations of all kinds inside a network: each is followed, or pins what it touches; a cut is the masked parent."""

import numpy as np
import pytest
import torch
from test_wiring import IMAGE, Plain, assert_exact, pinned
from torch import nn
from torch.nn import functional as f

from specdnn.network import netfile, scores
from specdnn.network.netfile import Checkpoint
from specdnn.network.surgery import CompactNetwork, cut, masked
from specdnn.structures import SpecDNNError


class Changed(Plain):
    """The plain network, its six maps (images, 6, 8, 8) changed by an operation that may use what is declared here."""

    def __init__(self, change):
        super().__init__()
        self.change = [change]  # in a list, so that torch registers nothing
        self.norm, self.act, self.groups = nn.BatchNorm1d(48), nn.PReLU(6), nn.GroupNorm(2, 6)
        self.over_places, self.over_all = nn.Linear(8, 8), nn.LayerNorm([6, 8, 8])
        self.attention, self.recurrent = nn.MultiheadAttention(6, 2), nn.GRU(6, 6)
        self.memory = nn.LSTM(6, 6)
        self.pairs, self.table, self.grown = nn.Bilinear(6, 6, 6), nn.Embedding(10, 6), nn.ConvTranspose2d(6, 6, 2, 2)
        self.weight, self.factor = nn.Parameter(torch.randn(6, 6)), nn.Parameter(torch.rand(6, 1, 1))
        self.register_buffer("kernel", torch.randn(6, 6, 1, 1))
        self.register_buffer("order", torch.tensor([5, 3, 1, 0, 2, 4]))

    def features(self, x):
        return self.change[0](self, super().features(x))


def rows(x):
    """(places, images, units), as sequences are given to attention."""
    return x.flatten(2).permute(2, 0, 1)


def maps(rows):
    return rows.permute(1, 2, 0).unflatten(2, (8, 8))


FREE = {
    "arithmetic with sizes": lambda m, x: x / (x.shape[1] * 1.0) + x.size(2),
    "sizes in a view": lambda m, x: x.view(x.size(0), -1).view(x.size(0), 6, 8, 8),
    "groups of another size": lambda m, x: f.relu(x.view(-1, 12, 32)).view(-1, 6, 8, 8),
    "mixed groups": lambda m, x: f.relu(x.view(-1, 4, 96)).view(-1, 6, 8, 8),
    "other dimensions first": lambda m, x: f.relu(x.transpose(1, 2)).transpose(1, 2),
    "moved dimensions": lambda m, x: x.movedim(1, -1).movedim(-1, 1),
    "a shuffle": lambda m, x: x.view(x.shape[0], 2, 3, 8, 8).transpose(1, 2).reshape(x.shape[0], 6, 8, 8),
    "parts in another order": lambda m, x: torch.cat([x.split([1, 2, 3], 1)[k] for k in (2, 0, 1)], 1),
    "narrowed parts": lambda m, x: torch.cat([x.narrow(1, 3, 3), x.narrow(1, 0, 3)], 1),
    "selected one by one": lambda m, x: torch.stack([x.select(1, k) for k in (5, 4, 3, 2, 1, 0)], 1),
    "an order by a list": lambda m, x: x[:, [5, 4, 3, 2, 1, 0]],
    "an order by a buffer": lambda m, x: x[:, m.order],
    "every second place": lambda m, x: x[..., ::2],
    "repeated units": lambda m, x: x.repeat_interleave(2, 1)[:, ::2],
    "units beside scaled ones": lambda m, x: torch.cat([x[:, :3] * 2, x[:, 3:]], 1),
    "mirrored units": lambda m, x: torch.maximum(x, x.flip(1)),
    "rolled units": lambda m, x: torch.maximum(x, x.roll(1, 1)),
    "rolled images": lambda m, x: x.roll(1, 0),
    "rows by columns": lambda m, x: x.mean(3, keepdim=True) + x.mean(2, keepdim=True),
    "an outer product": lambda m, x: x.mean((2, 3))[:, :, None, None] * x.mean((2, 3))[:, None, :, None],
    "a spread over places": lambda m, x: x / (x.std((2, 3), keepdim=True) + 1),
    "powers": lambda m, x: x**2 + 2**x,
    "a factor": lambda m, x: x * m.factor + m.factor,
    "a plain table": lambda m, x: x * torch.ones(6, 8, 8),
    "a mean by keywords": lambda m, x: torch.mean(input=x, dim=(2, 3), keepdim=True),
    "reflected edges": lambda m, x: f.pad(x, (1, 1, 1, 1), mode="reflect"),
    "more channels for a while": lambda m, x: f.pad(x, (0, 0, 0, 0, 1, 1))[:, 1:7],
    "larger maps": lambda m, x: f.interpolate(x, scale_factor=2),
    "a norm over rows": lambda m, x: m.norm(x.flatten(1, 2)).unflatten(1, (6, 8)),
    "a norm over columns": lambda m, x: m.norm(x.transpose(1, 2).flatten(1, 2)).unflatten(1, (8, 6)).transpose(1, 2),
    "groups": lambda m, x: m.groups(x),
    "a slope per unit": lambda m, x: m.act(x - 0.2),
    "in place": lambda m, x: x.clone().add_(1),
    "numbers by size": lambda m, x: (
        x * torch.linspace(0.1, 1, x.shape[1])[:, None, None] + torch.eye(8, device=x.device)
    ),
    "zeros beside units": lambda m, x: torch.cat([torch.zeros(x.shape[0], 2, 8, 8, device=x.device), x], 1)[:, 2:],
    "positions": lambda m, x: (x.movedim(1, -1) + m.table(torch.arange(8, device=x.device))).movedim(-1, 1),
    "positions in a buffer": lambda m, x: (x.movedim(1, -1) + m.table(m.order[None, None, :1])).movedim(-1, 1),
    "the larger of two": lambda m, x: torch.max(x, x.flip(1)) + x.min(0.5 * x),
    "the largest of each": lambda m, x: x - x.max(3)[0][..., None] + torch.min(x, dim=2, keepdim=True).values,
    "a condition": lambda m, x: torch.where(x > 0.1, x, x * 0.5) + x.masked_fill(x.lt(0), -1),
    "curves": lambda m, x: torch.sinc(x) + x.atan() + torch.logit(x.sigmoid()) * x.isfinite() + x.clamp_min(0.1).log2(),
    "pairs of numbers": lambda m, x: torch.hypot(x, x.flip(1)) + x.subtract(0.5).divide(2) + torch.atan2(x, m.factor),
    "between two": lambda m, x: torch.lerp(x, x.flip(1), 0.3) + torch.addcmul(x, x, x, value=0.1) + x.lerp(x, m.factor),
    "numbers for every image": lambda m, x: (
        x * torch.full((x.shape[0], x.shape[1], 1, 1), 0.5) + torch.ones(x.shape[0], 1, 8, 1)
    ),
    "ones beside units": lambda m, x: torch.cat([x, torch.ones(x.shape[0], 1, 8, 8)], 1).flip(1)[:, 1:],
    "a condition on a constant": lambda m, x: x * (x >= m.factor) + torch.where(m.factor > 0, x, 0.0),
}

PINNED = {
    "a constant first": (lambda m, x: torch.clamp(m.factor, max=x), "clamp: it reads several tensors"),
    "another bound for each": (lambda m, x: torch.clamp(x, x * 0.5), "clamp: it reads several tensors of the network"),
    "a sum by keywords": (
        lambda m, x: torch.add(input=x, other=x),
        "add: its operands are not tensors and numbers side by side",
    ),
    "sums of tuples": (lambda m, x: torch.cat(x.chunk(2, 1) + x.chunk(2, 1), 1)[:, :6], "an operand is not one tensor"),
    "pools that tell places": (lambda m, x: f.max_pool2d(x, 2, return_indices=True)[0], "max_pool2d_with_indices"),
    "a pool over units": (lambda m, x: f.avg_pool3d(x, (2, 1, 1)).repeat(1, 2, 1, 1), "it changes the channels"),
    "a mean of images": (lambda m, x: x - x.mean(0, keepdim=True), "mean: it is over images or units"),
    "a mean of all": (lambda m, x: x * x.mean(), "mean: it is not over given dimensions"),
    "a mean of all, named": (lambda m, x: x + torch.mean(x, dim=None), "neither a tensor nor a number"),
    "standardised": (lambda m, x: (x - x.mean()) / (x.std() + 1), "std: it is not over given dimensions"),
    "a norm of all": (lambda m, x: x / (x.norm() + 1), "norm"),
    "the largest of all": (lambda m, x: x / (1 + x.abs().amax()), "amax: it is not over given dimensions"),
    "one number of all": (lambda m, x: x * x[0, 0, 0, 0], "getitem: it gives no tensor"),
    "a share of all": (lambda m, x: x * (x > 0).double().mean(), "mean: it is not over given dimensions"),
    "the largest along what is computed": (lambda m, x: x - x.max(x.size(3) - 5)[0][..., None], "max"),
    "the largest number": (lambda m, x: x / (1 + x.max()), "amax: it is not over given dimensions"),
    "the place of the largest": (lambda m, x: x + x.max(1, True)[1], "max"),
    "one image for all": (lambda m, x: x + f.conv2d(x[0], m.kernel), "getitem: it moves parts of an image among"),
    "two of one image": (lambda m, x: torch.stack([x[0], x[0]]).mean(0) + x, "stack: it moves parts of an image among"),
    "rows as images": (lambda m, x: f.relu(x.reshape(-1, 6, 4, 8)).reshape(-1, 6, 8, 8), "among the images"),
    "an order that is computed": (lambda m, x: x[:, x.mean((0, 2, 3)).argsort()], "getitem: it reads several tensors"),
    "gathered": (lambda m, x: x.gather(1, x.argsort(1)), "gather"),
    "sorted": (lambda m, x: x.sort(1)[0], "sort"),
    "the best two": (lambda m, x: x.topk(2, 3)[0], "topk"),
    "the best two by name": (lambda m, x: x.topk(2, 3).values, "topk"),
    "a sum over units": (lambda m, x: x * x.sum(1, keepdim=True), "sum: it mixes all units"),
    "beside their mean": (lambda m, x: torch.cat([x, x.mean(1, keepdim=True)], 1)[:, 1:], "mean: it mixes all units"),
    "whole numbers by size": (lambda m, x: x * torch.arange(x.shape[1]).view(-1, 1, 1), "a constant of several"),
    "a range for every image": (
        lambda m, x: x * torch.linspace(0.5, 1, x.shape[0])[:, None, None, None],
        "of a size that depends on it",
    ),
    "the middle": (lambda m, x: x - x.median(1, keepdim=True)[0] + x.prod(1, keepdim=True), "median"),
    "standardised at once": (lambda m, x: x - torch.std_mean(x, 1, keepdim=True)[1], "std_mean"),
    "likeness to another": (
        lambda m, x: x * f.cosine_similarity(x, x.flip(1), 1)[:, None] + torch.cdist(x, x.flip(2)),
        "cosine_similarity",
    ),
    "the place of the largest, taken": (lambda m, x: x + x.take_along_dim(x.argmax(1, keepdim=True), 1), "argmax"),
    "ones": (lambda m, x: x + torch.ones_like(x), "ones_like"),
    "a function's norm": (lambda m, x: f.layer_norm(x, x.shape[1:]), "layer_norm"),
    "a function's convolution": (lambda m, x: f.conv2d(x, m.kernel), "conv2d"),
    "a function's Linear": (lambda m, x: f.linear(x.movedim(1, -1), m.weight).movedim(-1, 1), "linear"),
    "Einstein's sum": (lambda m, x: torch.einsum("nchw,cd->ndhw", x, m.weight), "einsum"),
    "a product of matrices": (lambda m, x: x @ x.transpose(2, 3), "matmul"),
    "attention as a function": (
        lambda m, x: maps(f.scaled_dot_product_attention(rows(x), rows(x), rows(x))),
        "scaled_dot_product_attention",
    ),
    "attention": (lambda m, x: maps(m.attention(rows(x), rows(x), rows(x))[0]), "MultiheadAttention attention"),
    "recurrence": (lambda m, x: maps(m.recurrent(rows(x))[0]), "GRU recurrent"),
    "recurrence with a memory": (lambda m, x: maps(m.memory(rows(x))[0]), "LSTM memory"),
    "a first state": (
        lambda m, x: maps(
            m.memory(rows(x), (torch.zeros(1, x.size(0), 6).to(x), torch.zeros((1, x.size(0), 6)).to(x)))[0]
        ),
        "LSTM memory",
    ),
    "the last state": (lambda m, x: x + m.memory(rows(x))[1][0][-1][:, :, None, None], "LSTM memory"),
    "a table of vectors": (
        lambda m, x: x + m.table((100 * x.mean((1, 2, 3))).long() % 10)[:, :, None, None],
        "mean: it mixes all units",
    ),
    "pairs": (lambda m, x: x + m.pairs(x.mean((2, 3)), x.amax((2, 3)))[:, :, None, None], "Bilinear pairs"),
    "a transposed convolution": (lambda m, x: m.grown(x), "ConvTranspose2d grown"),
    "a Linear over places": (lambda m, x: m.over_places(x), "Linear over_places: it mixes all units"),
    "a norm over all": (lambda m, x: m.over_all(x), "LayerNorm over_all"),
    "a computed factor": (
        lambda m, x: x * (m.weight @ m.weight).sum(0).view(6, 1, 1),
        "a constant of several dimensions is an operand",
    ),
    "the same vector twice": (
        lambda m, x: x + m.table(m.order // 3).sum(0)[:, None, None],
        "a constant of several dimensions",
    ),
    "frequencies": (lambda m, x: torch.fft.fft2(x).abs(), "fft2"),
    "halves over images": (lambda m, x: f.glu(torch.cat([x, x]), 0), "glu: it is over images"),
}
CHANGES = {**FREE, **{name: change for name, (change, _) in PINNED.items()}}


@pytest.mark.parametrize("change", FREE.values(), ids=FREE)
def test_what_is_followed_pins_nothing(change):
    assert not assert_exact(Changed(change)).pins


@pytest.mark.parametrize("change, told", PINNED.values(), ids=PINNED)
def test_what_is_not_understood_stays_and_says_why(change, told):
    assert told in pinned(assert_exact(Changed(change)))


def relevance_of(change):
    """Layer -> relevance of its units, all activations 1."""
    torch.manual_seed(0)
    compact = CompactNetwork.parent(Changed(change), IMAGE)
    active = [np.ones(len(link.sources)) for link in compact.wiring.links]
    return dict(zip(compact.wiring.layers.names, scores.strengths(compact, active)[1], strict=True))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_relevance_reaches_the_images_whatever_lies_between(change):
    found = relevance_of(change)
    assert all(found[layer].any() for layer in ("fc", "conv2", "conv1", "input"))


def test_what_makes_new_units_passes_their_mean_relevance_on():
    found = relevance_of(CHANGES["a transposed convolution"])
    assert list(found) == ["input", "conv1", "conv2", "grown", "fc"]
    np.testing.assert_allclose(found["conv2"], np.ones(6))
    assert found["grown"].std() > 0 and found["conv1"].std() > 0


def test_relevance_crosses_several_that_follow_each_other():
    def change(m, x):
        return m.recurrent(rows(m.grown(x)))[0].permute(1, 2, 0)[..., None]

    bridges = CompactNetwork.parent(Changed(change), IMAGE).wiring.bridges
    assert len(bridges) > 1 and {bridge.after for bridge in bridges} == {2}
    np.testing.assert_allclose(relevance_of(change)["conv2"], np.ones(6))


# what files of networks may not call: their list is short on purpose
NOT_IN_FILES = {
    *("pools that tell places", "a range for every image"),
    *("the place of the largest", "the largest along what is computed", "frequencies"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_cut_network_is_read_from_its_file_or_not_saved(name, tmp_path):
    parent = CompactNetwork.parent(Changed(CHANGES[name]).eval(), IMAGE)
    kept = parent.kept
    for depth in parent.wiring.layers.prunable:
        kept = kept.replace(depth, range(0, len(kept.units[depth]), 2))
    saved = Checkpoint("Changed", "", cut(parent, kept), (0.0, 1.0), 0.5)
    if name in NOT_IN_FILES:
        with pytest.raises(SpecDNNError, match="cannot be saved: .* none that a file may hold$"):
            netfile.save(tmp_path / "x.pth.tar", saved)
        assert list(tmp_path.iterdir()) == []
        return
    netfile.save(tmp_path / "x.pth.tar", saved)
    images = torch.randn(3, *IMAGE.shape)
    with torch.no_grad():
        found = netfile.load_network(tmp_path / "x.pth.tar").eval()(images)
        assert torch.equal(found, saved.compact.network.eval()(images))


class Words(nn.Module):
    """Classifies a row of twelve words, numbered 0 to 19."""

    def __init__(self, bag):
        super().__init__()
        self.bag = bag
        self.words = nn.EmbeddingBag(20, 8) if bag else nn.Embedding(20, 8, padding_idx=0)
        self.conv, self.fc1, self.fc2 = nn.Conv1d(8, 9, 3), nn.Linear(8 if bag else 9, 10), nn.Linear(10, 4)

    def forward(self, words):
        found = self.words(input=words)
        if not self.bag:
            found = f.relu(self.conv(found.transpose(1, 2))).amax(2)
        return self.fc2(f.relu(self.fc1(found)))


@pytest.mark.parametrize("bag", (False, True))
def test_vectors_of_words_are_cut(bag, tmp_path):
    torch.manual_seed(0)
    words = torch.randint(0, 20, (5, 12))
    parent = CompactNetwork.parent(Words(bag).eval(), words[0])
    names = parent.wiring.layers.names
    assert "words" in {names[depth] for depth in parent.wiring.layers.prunable}
    kept = parent.kept
    for depth in parent.wiring.layers.prunable:
        kept = kept.replace(depth, range(0, len(kept.units[depth]), 3))
    small = cut(parent, kept)
    expected = masked(parent, kept)(words)
    for given in (words, words.float()):
        torch.testing.assert_close(small.network(given), expected)
    numbers = [p for p in small.network.parameters() if p.requires_grad]
    assert parent.wiring.parameters(kept) == sum(map(torch.numel, numbers))
    assert small.network.get_submodule("words").weight.shape == (20, 3)
    netfile.save(tmp_path / "x.pth.tar", Checkpoint("Words", "", small, (0.0, 1.0), 0.5))
    assert torch.equal(netfile.load_network(tmp_path / "x.pth.tar").eval()(words), small.network(words))


class Transformer(nn.Module):
    """Torch's own encoder on columns of maps, with a learned place for each; `mask`: they see those before only."""

    def __init__(self, mask):
        super().__init__()
        layer = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True, norm_first=mask)
        self.conv, self.places, self.fc = nn.Conv2d(2, 6, (8, 1)), nn.Embedding(20, 6), nn.Linear(6, 5)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(6), enable_nested_tensor=False)
        self.mask = nn.Transformer.generate_square_subsequent_mask(8) if mask else None

    def forward(self, images):
        columns = self.conv(images).flatten(2).transpose(1, 2)
        columns = columns + self.places(torch.arange(columns.shape[1], device=images.device))
        return self.fc(self.encoder(columns, mask=self.mask)[:, -1])


@pytest.mark.parametrize("mask", (False, True))
def test_encoders_of_torch_are_looked_into(mask):
    network = Transformer(mask).eval()
    compact = assert_exact(network)
    layers = {name: compact.layers.layers[depth].units for depth, name in enumerate(compact.layers.names)}
    assert [units for name, units in layers.items() if name.endswith("linear1")] == [12, 12]
    images = torch.randn(3, *IMAGE.shape)
    with torch.no_grad():
        found = CompactNetwork.parent(network, IMAGE).network(images)
    torch.testing.assert_close(found, network(images))
    assert torch.backends.mha.get_fastpath_enabled()


class Queries(nn.Module):
    """Torch's own decoder: each class asks the places of a map, and sees the classes before it only."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerDecoderLayer(6, 2, 12, batch_first=True)
        self.conv, self.classes, self.fc = nn.Conv2d(2, 6, 4, 4), nn.Parameter(torch.randn(5, 6)), nn.Linear(6, 1)
        self.decoder = nn.TransformerDecoder(layer, 2, nn.LayerNorm(6))
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(5))

    def forward(self, images):
        places = self.conv(images).flatten(2).transpose(1, 2)
        asked = self.classes.expand(len(images), -1, -1)
        return self.fc(self.decoder(asked, places, tgt_mask=self.mask)).squeeze(-1)


def test_decoders_of_torch_are_looked_into():
    network = Queries().eval()
    compact = assert_exact(network)
    layers = {name: compact.layers.layers[depth].units for depth, name in enumerate(compact.layers.names)}
    assert [units for name, units in layers.items() if name.endswith("linear1")] == [12, 12]
    images = torch.randn(3, *IMAGE.shape)
    with torch.no_grad():
        torch.testing.assert_close(CompactNetwork.parent(network, IMAGE).network(images), network(images))


class Active(nn.BatchNorm2d):
    """With an activation behind it, as libraries have it: the function, given all that it holds."""

    def __init__(self, channels):
        super().__init__(channels, eps=1e-3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        torch._assert(x.ndim == 4, f"expected maps, got {x.ndim} dimensions")
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
        mean, var = (getattr(self, f"running_{what}") for what in ("mean", "var"))
        found = f.batch_norm(x, mean, var, self.weight, self.bias, self.training, self.momentum, self.eps)
        return self.act(found)


class Padding(nn.Conv2d):
    def forward(self, x):
        x = f.pad(x, (0, 1, 0, 1))
        return f.conv2d(x, self.weight, self.bias, self.stride, (0, 0), self.dilation, groups=self.groups)


class Careful(nn.Linear):
    def forward(self, x):
        return f.linear(x, self.weight.to(x.dtype) if x.dtype != self.weight.dtype else self.weight, bias=self.bias)


class Scaling(nn.Linear):
    def forward(self, x):
        return f.linear(x, self.weight * 2, self.bias)


class Mirroring(nn.Conv2d):
    """What its class would do at the border is not what it does."""

    def forward(self, x):
        return f.conv2d(x, self.weight, self.bias, padding=self.padding)


class OfALibrary(nn.Module):
    def __init__(self, last=Careful):
        super().__init__()
        self.conv, self.norm, self.second = Padding(2, 6, 2), Active(6), Padding(6, 6, 2, groups=3, bias=False)
        self.third = Mirroring(6, 5, 3, padding=1, padding_mode="reflect")
        self.norm2, self.head = Active(6), last(5, 4)

    def forward(self, x):
        return self.head(self.third(self.norm2(self.second(self.norm(self.conv(x))))).mean((2, 3)))


def test_classes_made_from_those_of_torch_are_cut_like_these(tmp_path):
    network = OfALibrary()
    wiring = assert_exact(network)
    names = {type(module).__name__ for module in wiring.network.modules()}
    assert {"Conv2d", "BatchNorm2d", "Linear"} <= names and not {"Active", "Padding", "Careful"} & names
    assert {link.name for link in wiring.links} >= {"conv", "head"}
    assert not wiring.notes and "conv" in pinned(wiring)  # Mirroring, of which only the function is right
    images = torch.randn(5, *IMAGE.shape)
    whole = CompactNetwork.parent(network.train(), IMAGE).network.train()
    torch.testing.assert_close(whole(images), network(images))  # by the statistics of these
    torch.testing.assert_close(whole.get_submodule("norm.plain").running_var, network.norm.running_var)
    torch.testing.assert_close(whole.eval()(images), network.eval()(images))
    small = CompactNetwork.parent(network, IMAGE)
    netfile.save(tmp_path / "x.pth.tar", Checkpoint("OfALibrary", "", small, (0.0, 1.0), 0.5))
    assert torch.equal(netfile.load_network(tmp_path / "x.pth.tar").eval()(images), small.network(images))


def test_a_class_made_from_one_of_torch_may_be_called_twice():
    class Twice(Plain):
        def __init__(self):
            super().__init__()
            self.again = Careful(6, 6)

        def features(self, x):
            rows = super().features(x).movedim(1, -1)
            return self.again(torch.relu(self.again(rows))).movedim(-1, 1)

    calls = [n for n in assert_exact(Twice()).network.graph.nodes if n.target == "again"]
    assert len(calls) == 2


def test_weights_that_a_class_changes_on_the_way_are_not_those_of_the_module():
    network = OfALibrary(Scaling).eval()
    images = torch.randn(5, *IMAGE.shape)
    wiring = assert_exact(network)
    torch.testing.assert_close(wiring.network(images.double()), network.double()(images.double()))


def test_images_may_be_standardised_by_their_own_numbers():
    """All of them stay then, and the rest of the network is cut."""

    class Standardised(Plain):
        def forward(self, images):
            return super().forward((images - images.mean()) / images.std())

    wiring = assert_exact(Standardised())
    assert {wiring.layers.names[depth] for depth in wiring.layers.prunable} == {"conv1", "conv2"}


def test_the_rows_of_an_image_are_known_from_those_that_a_further_image_adds():
    """Six units of one image are no three images of two."""
    network = Changed(lambda m, x: x + f.conv2d(x[0], m.kernel)[None])
    wiring = CompactNetwork.parent(network, IMAGE).wiring
    assert {tuple(labels.shape)[0] for labels in wiring.labels.values() if torch.is_tensor(labels)} <= {1, 6}
