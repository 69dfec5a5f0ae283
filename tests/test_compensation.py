"""What takes the place of what a cut removes: its mean, or what the rest can say of it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from specdnn import files
from specdnn.images import Streamed
from specdnn.network import compensation, evaluation
from specdnn.network.compensation import by_means, by_regression, sample_of
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.structures import Split


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.out = nn.Linear(12, 8), nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.out(torch.relu(self.two(torch.relu(self.one(x.flatten(1))))))


class Residual(nn.Module):
    """Convolutions without bias before BatchNorm, a shortcut, places averaged."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.second, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.out = nn.Linear(8, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.norm2(self.second(x)) + x)
        return self.out(x.mean((2, 3)))


def parent_of(kind, shape):
    torch.manual_seed(0)
    network = kind()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return CompactNetwork.parent(network.eval(), torch.zeros(shape))


@pytest.fixture
def dense():
    return parent_of(Dense, (1, 3, 4))


@pytest.fixture
def residual():
    return parent_of(Residual, (3, 6, 6))


def drawn(shape, count=600):
    torch.manual_seed(1)
    return torch.rand(count, *shape), torch.randint(4, (count,))


def keep(parent, **units):
    kept = parent.kept
    for name, own in units.items():
        kept = kept.replace(parent.wiring.layers.names.index(name), own)
    return kept


# ------------------------------------------------------------------------------------------ the sample


def test_class_and_rest_count_the_same():
    _, labels = drawn((1, 3, 4))
    sample = sample_of(Split(torch.zeros(len(labels), 1), labels), (2,), 1)
    inside = labels == 2
    assert sample.weights[inside].sum().item() == pytest.approx(sample.weights[~inside].sum().item())
    assert sample.weights.sum().item() == pytest.approx(len(labels))


def test_so_does_each_of_several_classes_and_a_class_without_images_nothing():
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    weights = sample_of(Split(torch.zeros(6, 1), labels), (0, 1, 3), 1).weights
    sums = [weights[labels == c].sum().item() for c in range(3)]
    assert sums == pytest.approx([2, 2, 2])


def test_of_many_images_some_are_taken_all_over(monkeypatch):
    monkeypatch.setattr(compensation, "MOST_IMAGES", 10)
    images = torch.arange(100.0)
    assert sample_of(Split(images, torch.arange(100) % 2), (0,), 1).images.tolist() == list(
        np.linspace(0, 99, 10).astype(int)
    )


def test_so_many_images_as_fit_into_memory(residual, monkeypatch):
    images, labels = drawn((3, 6, 6))
    sample, small = sample_of(Split(images, labels), (1,), 3), cut(residual, keep(residual, first=(0, 1)))
    assert len(compensation.fitting_in_memory(small, sample).images) == 600
    with_all = compensation.Sizes(residual.network.eval())
    with_all.run(images[:1])
    maps = 4 * 8 * 6 * 6  # bytes of a map of eight channels; what a shortcut needs waits beside two of them
    assert with_all.most() == 3 * maps
    monkeypatch.setattr(compensation, "MEMORY", 100 * 3 * maps)
    some = compensation.fitting_in_memory(residual, sample)
    assert len(some.images) == 100 and some.seed == 3
    assert torch.equal(some.images, images[torch.linspace(0, 599, 100).long()])
    monkeypatch.setattr(compensation, "MEMORY", 1)
    assert len(compensation.fitting_in_memory(residual, sample).images) == 1


class Asked:
    """A data set that counts the images it was asked for."""

    def __init__(self, images, labels):
        self.images, self.labels, self.count = images, labels, 0

    def __getitem__(self, number):
        self.count += 1
        return self.images[number], self.labels[number]


def test_streamed_images_are_read_batch_by_batch(residual, monkeypatch):
    """With the weights that the same images have as a tensor; those that are not looked at are not read."""
    monkeypatch.setattr(compensation, "MOST_IMAGES", 200)
    images, labels = drawn((3, 6, 6))
    source = Asked(images, labels)
    streamed = Streamed(source, np.arange(600), images.device, images.dtype)
    ways = [cut(residual, keep(residual, first=(0, 1, 2))) for _ in range(2)]
    for small, given in zip(ways, (images, streamed), strict=True):
        by_regression(residual, small, sample_of(Split(given, labels), (1,), 3))
    assert 400 <= source.count < 500  # by the parent and by the cut network, and one for the sizes
    for one, other in zip(*(small.network.state_dict().values() for small in ways), strict=True):
        assert torch.equal(one, other)


def test_places_are_those_that_unfold_gives(monkeypatch):
    """The dull twin: all patches, of which those at the drawn places are taken."""
    monkeypatch.setattr(compensation, "ROWS", 5 * 40)
    for module in (
        nn.Conv2d(3, 4, (3, 2), padding=(1, 2)),
        nn.Conv2d(3, 4, 3, stride=(2, 1), padding=1),
        nn.Conv2d(3, 4, (2, 3), dilation=(2, 1), padding_mode="reflect", padding=1),
    ):
        network = nn.Sequential(module, nn.Flatten(), nn.LazyLinear(2)).eval()
        images, labels = drawn((3, 7, 6), 40)
        network(images)
        parent = CompactNetwork.parent(network, images[0])
        places = compensation.Places(parent, parent, sample_of(Split(images, labels), (1,), 1))
        some, name = slice(0, 40), parent.wiring.links[0].name
        found = places.inputs(name, module, images, some)
        padded = compensation._padded(images, module)
        patches = functional.unfold(padded, module.kernel_size, module.dilation, 0, module.stride)
        chosen = places.chosen(name, some, patches.shape[2])
        taken = patches.gather(2, chosen[:, None].expand(-1, patches.shape[1], -1)).transpose(1, 2)
        assert torch.equal(found, taken.reshape(-1, patches.shape[1]))
        product = found @ module.weight.flatten(1).T + module.bias
        assert torch.allclose(product, places.outputs(name, module, module(images), some), atol=1e-5)


# ------------------------------------------------------------------------------------------ means


def test_means_are_what_the_parent_gives_where_removed_inputs_are_their_means(dense):
    """The dull twin: the parent with the inputs of one link replaced by their weighted means where they are gone."""
    images, labels = drawn((1, 3, 4))
    sample = sample_of(Split(images, labels), (1,), 1)
    small = cut(dense, keep(dense, one=(0, 2, 5)))
    by_means(dense, small, sample)
    network = dense.network
    with torch.no_grad():
        hidden = torch.relu(network.one(images.flatten(1)))
        mean = (sample.weights @ hidden.double() / sample.weights.sum()).float()
        gone = [1, 3, 4, 6, 7]
        hidden[:, gone] = mean[gone]
        expected = network.out(torch.relu(network.two(hidden)))
        assert torch.allclose(small.network.eval()(images), expected, atol=1e-5)


def test_means_go_into_the_batchnorm_behind_a_convolution(residual):
    """Exact away from the border, where padding is 0 and not the mean."""
    images, labels = drawn((3, 6, 6))
    sample = sample_of(Split(images, labels), (1,), 1)
    kept = keep(residual, first=(0, 1, 2, 4, 6))
    small = cut(residual, kept)
    plain = cut(residual, kept)
    by_means(residual, small, sample)
    network = residual.network
    with torch.no_grad():
        hidden = torch.relu(network.norm(network.first(images)))
        mean = (sample.weights @ hidden.mean((2, 3)).double() / sample.weights.sum()).float()
        hidden[:, [3, 5, 7]] = mean[[3, 5, 7], None, None]
        expected = network.norm2(network.second(hidden))[:, [0, 1, 2, 4, 6], 1:-1, 1:-1]
        own = torch.relu(small.network.norm(small.network.first(images)))
        found = small.network.norm2(small.network.second(own))[:, :, 1:-1, 1:-1]
        without = plain.network.norm2(plain.network.second(own))[:, :, 1:-1, 1:-1]
    assert torch.allclose(found, expected, atol=1e-5) and not torch.allclose(without, expected, atol=1e-3)


def test_what_has_neither_bias_nor_batchnorm_stays(dense):
    images, labels = drawn((1, 3, 4))
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2, bias=False))
    parent = CompactNetwork.parent(network.eval(), torch.zeros(1, 3, 4))
    small = cut(parent, parent.kept.replace(1, (0, 1)))
    before = small.network.state_dict()["3.weight"].clone()
    by_means(parent, small, sample_of(Split(images, labels % 2), (1,), 1))
    assert torch.equal(small.network.state_dict()["3.weight"], before)


# ------------------------------------------------------------------------------------------ regression


def test_the_first_link_is_the_weighted_ridge_solution(dense):
    """The dull twin: numpy's least squares on rows times the root of their weights, the ridge as more rows."""
    images, labels = drawn((1, 3, 4))
    sample = sample_of(Split(images, labels), (1,), 1)
    pixels = (0, 3, 4, 7, 9)
    small = cut(dense, keep(dense, input=pixels))
    by_regression(dense, small, sample)
    x = images.flatten(1)[:, pixels].double()
    with torch.no_grad():
        y = dense.network.one(images.flatten(1)).double()
    w = sample.weights
    ridge = 0.01 * (w[:, None] * x * x).sum(0).mean()
    rows = torch.cat([torch.cat([x, torch.ones(len(x), 1)], 1) * w.sqrt()[:, None], torch.eye(5, 6) * ridge.sqrt()])
    targets = torch.cat([y * w.sqrt()[:, None], torch.zeros(5, 8)])
    expected = np.linalg.lstsq(rows.numpy(), targets.numpy(), rcond=None)[0].T
    found = small.network.one
    assert np.allclose(found.weight.detach().numpy(), expected[:, :5], atol=1e-4)
    assert np.allclose(found.bias.detach().numpy(), expected[:, 5], atol=1e-4)


class Winding(nn.Module):
    """Read again behind links: the images, a constant, what has no dimension of images first, several of one tuple."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.out = nn.Linear(12, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.shift = nn.Parameter(torch.rand(8))

    def forward(self, x):
        x = x.flatten(1)
        first = torch.relu(self.one(x))
        turned, (left, right) = first.transpose(0, 1), first.chunk(2, 1)
        second = torch.relu(self.two(first)) + self.shift
        return self.out(second + turned.transpose(0, 1) * torch.cat([right, left], 1) + x[:, :8])


@pytest.mark.parametrize(("kind", "gone"), [(Winding, 0), (Dense, 3)])
def test_every_link_is_solved_on_what_the_links_before_it_leave(kind, gone):
    """The dull twin: what the finished network and its parent have there, all images at once."""
    parent, (images, labels) = parent_of(kind, (1, 3, 4)), drawn((1, 3, 4), 600)
    sample = sample_of(Split(images, labels), (1,), 3)
    small, ticks = cut(parent, parent.kept.replace(1, parent.kept.units[1][gone:])), []
    by_regression(parent, small, sample, lambda: ticks.append(1))
    assert len(ticks) == 3
    for link in parent.wiring.links:
        seen, wanted = {}, {}
        for network, into in ((small.network, seen), (parent.network, wanted)):
            hook = network.get_submodule(link.name).register_forward_hook(
                lambda _, given, output, into=into: into.update(given=given[0].detach(), output=output.detach())
            )
            network.eval()(images)
            hook.remove()
        sums = compensation.Sums(free=True)
        alive = compensation.Alive(parent.wiring, small.kept)
        sums.add(seen["given"], wanted["output"][:, alive(link.targets)], sample.weights)
        weight, bias = sums.solution()
        found = small.network.get_submodule(link.name)
        assert torch.allclose(found.weight.double(), weight, atol=1e-3), link.name
        assert torch.allclose(found.bias.double(), bias, atol=1e-3), link.name


def test_all_batches_of_a_tensor_lie_in_one_piece_of_memory():
    batches = [slice(0, 4), slice(4, 8), slice(8, 11)]
    images = torch.arange(11 * 2 * 3 * 3.0).reshape(11, 2, 3, 3)
    pieces = compensation.Pieces(batches)
    for some in batches:
        pieces.add("rows", images[some])
        pieces.add("last", images[some].to(memory_format=torch.channels_last))
        pieces.add("turned", images[some].transpose(0, 1))
        pieces.add("one", images[some].sum())
        pieces.add("several", images[some].chunk(2, 1))
    for name in ("rows", "last"):
        found = pieces.values[name]
        assert torch.equal(torch.cat(found), images)
        assert len({one.untyped_storage().data_ptr() for one in found}) == 1
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in pieces.values["last"])
    for some, turned, one, several in zip(
        batches, pieces.values["turned"], pieces.values["one"], pieces.values["several"], strict=True
    ):
        assert torch.equal(turned, images[some].transpose(0, 1)) and torch.equal(one, images[some].sum())
        assert torch.equal(torch.cat(several, 1), images[some])


@pytest.mark.parametrize(("kind", "shape"), [(Dense, (1, 3, 4)), (Residual, (3, 6, 6))])
def test_nothing_removed_leaves_what_the_network_says(kind, shape, monkeypatch):
    monkeypatch.setattr(compensation, "RIDGE", 1e-9)
    parent, (images, labels) = parent_of(kind, shape), drawn(shape)
    small = cut(parent, parent.kept)
    by_regression(parent, small, sample_of(Split(images, labels), (1,), 1))
    with torch.no_grad():
        assert torch.allclose(small.network.eval()(images), parent.network(images), atol=1e-3)


def test_what_is_dropped_goes_onto_its_copy(dense, monkeypatch):
    """A unit that is twice there, removed once: outputs are the parent's."""
    monkeypatch.setattr(compensation, "RIDGE", 1e-9)
    with torch.no_grad():
        dense.network.one.weight[3] = 2 * dense.network.one.weight[0]
        dense.network.one.bias[3] = 2 * dense.network.one.bias[0]
    images, labels = drawn((1, 3, 4))
    small, plain = (cut(dense, keep(dense, one=(0, 1, 2, 4, 5, 6, 7))) for _ in range(2))
    by_regression(dense, small, sample_of(Split(images, labels), (1,), 1))
    with torch.no_grad():
        expected = dense.network(images)
        assert torch.allclose(small.network.eval()(images), expected, atol=1e-3)
        assert not torch.allclose(plain.network.eval()(images), expected, atol=1e-2)


def test_regression_comes_closer_than_zeros_and_means(residual):
    images, labels = drawn((3, 6, 6))
    sample, kept = sample_of(Split(images, labels), (1,), 1), keep(residual, first=(0, 1, 2, 4))
    errors = {}
    for how in (None, by_means, by_regression):
        small = cut(residual, kept)
        if how:
            how(residual, small, sample)
        with torch.no_grad():
            errors[how] = (small.network.eval()(images) - residual.network(images)).pow(2).mean().item()
    assert errors[by_regression] < errors[by_means] < errors[None]


def test_the_parent_stays_and_the_same_seed_gives_the_same_bytes(residual):
    images, labels = drawn((3, 6, 6))
    before = {name: tensor.clone() for name, tensor in residual.network.state_dict().items()}
    made = []
    for _ in range(2):
        small = cut(residual, keep(residual, first=(0, 1, 2, 4)))
        by_regression(residual, small, sample_of(Split(images, labels), (1,), 7))
        made.append(small.network.state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
    assert all(torch.equal(before[name], tensor) for name, tensor in residual.network.state_dict().items())


def test_patches_are_what_a_convolution_multiplies():
    torch.manual_seed(0)
    for mode, padding in (("zeros", (2, 1)), ("reflect", 1), ("zeros", "same")):
        stride = 1 if padding == "same" else (2, 1)
        module = nn.Conv2d(3, 4, (3, 2), stride, padding, dilation=(1, 2), padding_mode=mode)
        images = torch.rand(2, 3, 9, 8)
        seen = compensation._padded(images, module)
        patches = functional.unfold(seen, module.kernel_size, module.dilation, 0, module.stride)
        expected = module(images).flatten(2)
        found = module.weight.flatten(1) @ patches + module.bias[:, None]
        assert torch.allclose(found, expected, atol=1e-5)


# ------------------------------------------------------------------------------------------ in the method


def test_a_cut_without_training_is_better_with_regression(call, parents, loaded, digits, tmp_path):
    """Nothing is trained."""
    short, reached = "--warmup-epochs 0 --brief-epochs 0 --candidates shape --split validation", {}
    for how in ("zero", "mean", "regress"):
        words = f"--prune --specialize 3 --algo relevance --rate 0.06 --compensate {how} {short}"
        assert call(words, "--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path / how) == 0
        path = tmp_path / how / "digits" / "LeNet_300_100.specialize.3.relevance.pth.tar"
        metrics = files.read_metrics(files.metrics_path(path))
        reached[how] = metrics["balanced_accuracy"]
        logits = evaluation.logits_of(loaded(path).compact.network, digits.validation.images)
        assert logits.isfinite().all()
    assert reached["regress"] > reached["zero"]
