"""Separately extracted networks as one: the same outputs, equal parts stored once; saved, loaded, trained, measured."""

import copy
import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
import torch
from drawn_networks import Drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from zoo_networks import ZOO

import specdnn
from specdnn import exporting, extraction, files
from specdnn.network import composition, evaluation, netfile, onnxfile, running, sharing, wiring
from specdnn.network.composition import composed
from specdnn.network.netfile import Checkpoint
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.results import comparison, pictures
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


def stored(network) -> int:
    """Numbers that a network stores, with those that say which part of a tensor a member takes."""
    places = [b for name, b in network.named_buffers() if name.startswith(sharing.PLACES)]
    return parameters(network) + sum(map(len, places))


def side_by_side(members) -> CompactNetwork:
    """The dull twin: no link shares its numbers with another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(composition, "share", lambda *_: None)
        return composed(members)


def retrained(member) -> CompactNetwork:
    """A copy all of whose weights have moved by one bit."""
    member = copy.deepcopy(member)
    with torch.no_grad():
        for parameter in member.network.parameters():
            parameter.copy_(torch.nextafter(parameter, torch.tensor(9.0)))
    return member


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
    with torch.no_grad():  # where numbers lie in memory, torch may add them in another order
        assert torch.allclose(made.network(images.clone()), separate(members, images), rtol=1e-12, atol=1e-12)
    assert made.kept.classes == tuple(sorted(c for member in members for c in member.kept.classes))
    assert parameters(made.network) == made.wiring.parameters(made.kept) <= parameters(*(m.network for m in members))
    again = saved_and_loaded(made, place / "composed.pth.tar")
    assert (again.kept, again.wiring.layers) == (made.kept, made.wiring.layers)
    assert again.wiring.parent_sizes == parent.wiring.parent_sizes
    assert again.wiring.sizes(again.kept) == made.wiring.sizes(made.kept)
    with torch.no_grad():
        assert torch.allclose(again.network(images.clone()), separate(members, images), rtol=1e-12, atol=1e-12)
    blocks = side_by_side(members)
    assert made.wiring.macs(made.kept) == blocks.wiring.macs(blocks.kept)
    loaded = composed([saved_and_loaded(member, place / "member.pth.tar") for member in members])
    with torch.no_grad():
        assert torch.allclose(loaded.network(images.clone()), separate(members, images), rtol=1e-12, atol=1e-12)
    assert stored(loaded.network) == stored(made.network)


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
    weights, numbers, macs = made.wiring.sizes(made.kept)
    assert weights <= sums[0] and numbers == parameters(made.network) <= sums[1] and macs == sums[2]
    blocks = side_by_side(members)
    assert list(blocks.wiring.sizes(blocks.kept)) == sums  # no operation is the same here


def test_what_is_equal_is_stored_and_computed_once(parent, digits):
    last = len(parent.kept.units) - 2
    members = [part(parent, (c,), seed=c, depths=[last]) for c in (0, 3, 7)]  # all but the last hidden layer is whole
    made = side_by_side(members)
    layers = list(members[0].network.named_children())
    common = sum(parameters(module) for _, module in layers[: len(layers) - 2])
    assert parameters(made.network) == parameters(*(m.network for m in members)) - 2 * common
    assert stored(composed(members).network) < parameters(made.network)  # units of the last hidden layer
    calls = [node.target for node in made.network.graph.nodes if node.op == "call_module"]
    assert len([name for name in calls if name.endswith(layers[0][0])]) == 1
    with torch.no_grad():
        assert torch.equal(made.network(digits.test.images), separate(members, digits.test.images))


def test_one_bit_makes_the_difference(parent):
    members = [part(parent, (c,), seed=c, depths=[]) for c in (0, 3)]
    whole = parameters(*(m.network for m in members))
    assert parameters(composed(members).network) < whole
    link = members[1].wiring.links[0].name
    with torch.no_grad():
        first = members[1].network.get_submodule(link).weight
        first.view(-1)[0] = torch.nextafter(first.view(-1)[0], torch.tensor(9.0))
    made = composed(members)
    assert [name for name, _ in made.network.named_modules() if name.endswith(link)] == [f"of_0.{link}", f"of_3.{link}"]
    assert parameters(composed([members[0], retrained(members[1])]).network) == whole


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


# ------------------------------------------------------------------------------------------ units of several members


def overlapping(parent, share=0.8, classes=(0, 3, 7)):
    """Cuts to one class each that keep `share` of the units of every layer, drawn by themselves."""
    found = []
    for c in classes:
        rng, kept = np.random.default_rng(c), parent.kept
        for depth in parent.wiring.layers.prunable:
            units = kept.units[depth]
            kept = kept.replace(depth, rng.choice(units, round(share * len(units)), replace=False))
        found.append(cut(parent, kept.replace(len(kept.units) - 1, (c,))))
    return found


@pytest.fixture(params=["ResNet-20, padded", "LeNet-5"])
def untrained(request):
    """(parent, three cuts of it that overlap), in double precision."""
    entry = ZOO[request.param]
    parent = CompactNetwork.parent(entry.network(), torch.zeros(entry.image_shape))
    return parent, overlapping(parent)


def test_units_that_several_members_keep_are_stored_once(untrained, tmp_path):
    parent, members = untrained
    made, images = composed(members), torch.randn(4, *parent.wiring.image_shape, dtype=torch.float64)
    expected = separate(members, images)
    for compact in (made, saved_and_loaded(made, tmp_path / "made.pth.tar")):
        with torch.no_grad():
            assert torch.allclose(compact.network(images), expected, rtol=1e-12, atol=1e-12)
        assert compact.wiring.parameters(compact.kept) == parameters(compact.network)
        assert compact.wiring.macs(compact.kept) == sum(m.wiring.macs(m.kept) for m in members)
    assert stored(made.network) < 0.7 * parameters(*(m.network for m in members))
    assert parameters(made.network) < 1.1 * parameters(parent.network)
    again = specdnn.load(tmp_path / "made.pth.tar")
    with torch.no_grad():
        assert torch.allclose(again(images), expected, rtol=1e-12, atol=1e-12)


def test_a_shared_tensor_holds_every_kept_weight_of_the_parent_once(untrained):
    """The dull twin of a union: one by one, which weights of the parent has any member?"""
    parent, members = untrained
    made, links = composed(members).network, {link.name: link for link in parent.wiring.links}
    shared = [
        name for name, _ in made.named_parameters() if name.startswith(sharing.SHARED) and name.endswith("weight")
    ]
    assert len(shared) > len(links) / 2
    for name in shared:
        link = name.removeprefix(f"{sharing.SHARED}.").removesuffix(".weight")
        whole = parent.network.get_submodule(link).weight
        held = torch.zeros(whole.shape[:2], dtype=torch.bool)
        for member in members:
            alive = wiring.Alive(parent.wiring, member.kept)
            held |= torch.from_numpy(np.outer(alive(links[link].targets), alive(links[link].sources)))
        found = made.get_parameter(name).detach()
        assert found.shape[:2] == (held.any(1).sum(), held.any(0).sum())
        expected = torch.where(held.view(*held.shape, *(1,) * (whole.dim() - 2)), whole, 0)[held.any(1)][:, held.any(0)]
        assert torch.equal(found.flatten().sort().values, expected.flatten().sort().values)


def test_names_are_those_of_the_slices_of_the_parent(untrained, tmp_path):
    """Of cuts in memory, and of those that were saved and are traced again."""
    parent, members = untrained
    own = {link.name: link for link in parent.wiring.links}
    loaded = [saved_and_loaded(member, tmp_path / f"{k}.pth.tar") for k, member in enumerate(members)]
    for member in (*members, *loaded):
        for link in member.wiring.links:
            sides = []
            for side in ("targets", "sources"):
                whole = sharing.names(parent.wiring, getattr(own[link.name], side))
                places = [whole.index(name) for name in sharing.names(member.wiring, getattr(link, side))]
                assert len(set(places)) == len(places)
                sides.append(torch.tensor(places))
            weight, whole = (compact.network.get_submodule(link.name).weight for compact in (member, parent))
            assert torch.equal(weight, whole[sides[0]][:, sides[1]]), link.name


def test_retrained_members_stand_side_by_side_as_ever(untrained, tmp_path):
    parent, (first, second, third) = untrained
    members = [first, retrained(second), retrained(retrained(third))]
    for name, made in (("one", composed(members)), ("two", side_by_side(members))):
        saved_and_loaded(made, tmp_path / f"{name}.pth.tar")
        assert parameters(made.network) == parameters(*(m.network for m in members))
    assert (tmp_path / "one.pth.tar").read_bytes() == (tmp_path / "two.pth.tar").read_bytes()


def test_what_several_classes_share_is_trained_by_each_of_them(untrained):
    parent, members = untrained
    made, images = composed(members).network, torch.randn(4, *parent.wiring.image_shape, dtype=torch.float64)
    before = made(images)
    shared = {name: p for name, p in made.named_parameters() if name.startswith(sharing.SHARED)}
    for output in before.unbind(1):
        gradients = torch.autograd.grad(output.sum(), shared.values(), retain_graph=True, allow_unused=True)
        assert sum(g is not None and bool(g.abs().max() > 0) for g in gradients) > len(shared) / 2
    before[:, 0].sum().backward()
    with torch.no_grad():
        for parameter in shared.values():
            parameter -= 1e-3 * (0 if parameter.grad is None else parameter.grad)
        assert (made(images) != before).any(0).all()  # the outputs of all classes


def test_it_can_be_copied_halved_and_exported(untrained):
    pytest.importorskip("onnxruntime")
    import onnxruntime

    parent, members = untrained
    made, images = composed(members).network, torch.randn(4, *parent.wiring.image_shape)
    half = copy.deepcopy(made).half()
    assert {p.dtype for p in half.parameters()} == {torch.float16}
    with torch.no_grad():
        expected = made.float()(images)
        assert torch.allclose(half(images.half()).float(), expected, rtol=0.1, atol=0.1 * expected.abs().max().item())
    session = onnxruntime.InferenceSession(onnxfile.to_bytes(made, parent.wiring.image_shape))
    found = torch.from_numpy(session.run(None, {onnxfile.IMAGE: images.numpy()})[0])
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)


def damaged(path, name, change) -> None:
    """The file with other places, or with another text of its graph."""
    content = torch.load(path, weights_only=True)
    content["state_dict"][name] = change(content["state_dict"][name])
    torch.save(content, path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda places: places + 1000, "places_0 takes elements that are not there"),
        (lambda places: places - 1000, "places_0 takes elements that are not there"),
        (lambda places: places[:0].clone(), "index_select takes no list of places"),
        (lambda places: places[None], "index_select takes no list of places"),
        (lambda places: places.to(torch.int16), "index_select takes no list of places"),
        (lambda places: places.float(), "index_select takes no list of places"),
        (lambda places: places.repeat(100_000), "numbers for one image"),
    ],
)
def test_a_file_of_other_places_is_refused_in_a_sentence(change, told, parent, tmp_path):
    path = tmp_path / "made.pth.tar"
    saved_and_loaded(composed(overlapping(parent)), path)
    damaged(path, "places_0", change)
    with pytest.raises(SpecDNNError, match=told) as error:
        specdnn.load(path)
    assert "\n" not in str(error.value)


def test_places_that_a_file_computes_are_refused(parent, tmp_path):
    path = tmp_path / "made.pth.tar"
    saved_and_loaded(composed(overlapping(parent)), path)
    content = torch.load(path, weights_only=True)
    graph = json.loads(content["graph"])
    gather = next(node for node in graph["nodes"] if node["target"] == "torch.index_select")
    gather["args"][2] = {"node": 0}  # the images
    torch.save(content | {"graph": json.dumps(graph)}, path)
    with pytest.raises(SpecDNNError, match="takes no list of places"):
        specdnn.load(path)


def test_members_too_many_to_be_gathered_within_the_bounds_of_a_file_stay_blocks(parent, monkeypatch, tmp_path):
    members = overlapping(parent)
    monkeypatch.setattr(sharing, "GATHERED", 1)
    assert "index_select" not in str(composed(members).network.graph)


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


# ------------------------------------------------------------------------------------------ from Python


@pytest.fixture
def specialised(members, parent, digits):
    """The members as `specdnn.extract` gives them."""
    made = lambda m: Checkpoint("net", "data", m, (0.1, 0.3), 0.9, "OSLOM", 1)  # noqa: E731
    told = {**dict.fromkeys(extraction.OF_ALL, "told"), "split": "test"}
    more = ({}, parent, digits.test, digits.class_names)
    return [specdnn.Specialised(made(member), told, *more) for member in members]


def test_the_python_door_composes_specialised_networks(specialised, members, digits, tmp_path):
    made = specdnn.compose(specialised)
    with torch.no_grad():
        assert torch.equal(made.network(digits.test.images), separate(members, digits.test.images))
    found = made.metrics
    assert found["classes"] == [0, 3, 7, 8] and [one["classes"] for one in found["members"]] == [[0, 8], [3], [7]]
    counted = {"composed": parameters(made.network), "separate": parameters(*(m.network for m in members))}
    assert {name: found["compared"][name]["true_parameters"] for name in counted} == counted
    assert found["compared"]["parent"]["true_weights"] == members[0].wiring.parent_sizes[0]
    made.save(tmp_path / "net.pth.tar")
    assert specdnn.load(tmp_path / "net.pth.tar").normalisation == (0.1, 0.3)


def test_a_composition_is_measured_and_exported(specialised, members, digits, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'specdnn[export]'")
    monkeypatch.setattr(running, "TURN_SECONDS", 0.002)
    monkeypatch.setattr(running, "compiler", lambda: None)  # C takes long for so many weights
    made = specdnn.compose(specialised)
    said = made.network(digits.test.images)[:, 2] > 0
    assert made.metrics["accuracy"][2] == pytest.approx((said == (digits.test.labels == 7)).float().mean().item())
    made.export(tmp_path / "new")
    found = running.in_onnxruntime((tmp_path / "new" / "model.onnx").read_bytes())
    raw = exporting.raw_images(digits.test.images[:20], (0.1, 0.3))
    expected = separate(members, digits.test.images[:20]).sigmoid()
    assert torch.allclose(torch.from_numpy(found(raw)), expected, atol=1e-5)


def test_overlaps_are_jaccard_indices_of_kept_units(specialised, members):
    found = specdnn.compose(specialised).metrics["overlap"]
    layers = members[0].wiring.layers
    assert list(found) == [*(layers.names[depth] for depth in layers.prunable), "all"]
    ordered, pairs = sorted(members, key=lambda m: m.kept.classes), [(0, 1), (0, 2), (1, 2)]
    for depth in layers.prunable:
        for a, b in pairs:
            one, other = (set(ordered[k].kept.units[depth]) for k in (a, b))
            assert found[layers.names[depth]][a][b] == len(one & other) / len(one | other)
    assert all(found["all"][k][k] == 1 for k in range(3))


def test_networks_of_other_origin_are_refused(specialised):
    first, second, third = specialised
    for name, value, words in [
        ("arch", "other", "cut from net and other"),
        ("dataset", "more", "trained on data and more"),
        ("normalisation", (0.5, 0.5), "normalised by"),
    ]:
        stranger = dataclasses.replace(second, checkpoint=dataclasses.replace(second.checkpoint, **{name: value}))
        with pytest.raises(SpecDNNError, match=words):
            specdnn.compose([first, stranger, third])
    with pytest.raises(SpecDNNError, match="at least two"):
        specdnn.compose([])
    with pytest.raises(SpecDNNError, match="classes 3-7 is a composition itself"):
        specdnn.compose([specdnn.compose([first, third]), second])


# ------------------------------------------------------------------------------------------ what is measured


def test_choices_among_classes_and_with_none():
    logits = torch.tensor([[3.0, 1.0], [-1.0, -2.0], [0.5, 2.0], [-1.0, -3.0], [2.0, 1.0], [-1.0, 4.0]])
    labels = torch.tensor([4, 4, 7, 7, 0, 7])
    found = evaluation.choices(logits, labels, (4, 7), (4, 7), threshold=0.0)
    assert found["accuracy_among"] == pytest.approx(4 / 5)
    assert found["accuracy_or_none"] == pytest.approx(3 / 6)  # 4, none, 7, none, 4, 7
    assert found["balanced_accuracy_or_none"] == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)


def test_a_parent_says_none_where_another_class_is_higher():
    logits = torch.tensor([[1.0, 5.0, 0.0], [-3.0, -2.0, -1.0], [4.0, 0.0, 0.0]])
    found = evaluation.choices(logits, torch.tensor([0, 2, 0]), (0, 1, 2), (0, 2))
    assert found["accuracy_among"] == 1
    assert found["accuracy_or_none"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy_or_none"] == pytest.approx((1 / 2 + 1) / 2)


def test_without_images_of_the_classes_there_is_no_accuracy_among_them():
    found = evaluation.choices(torch.tensor([[-1.0], [1.0]]), torch.tensor([5, 6]), (3,), (3,), 0.0)
    assert np.isnan(found["accuracy_among"]) and found["accuracy_or_none"] == 0.5


# ------------------------------------------------------------------------------------------ the verb

BRIEF = "--dataset digits --retrain-epochs 3 --warmup-epochs 0 --rounds 1 --brief-epochs 0 --trim-steps 1"


@pytest.fixture(scope="module")
def swept(call, every_third, tmp_path_factory):
    """A save folder with the retrained networks of classes 0, 3 and 7."""
    saved = tmp_path_factory.mktemp("swept")
    words = ("--sweep --epochs 3 --classes 0 3 7 --max-params 900", BRIEF, "--oslom-bin", every_third)
    assert call(*words, "--save-dir", saved) == 0
    return saved


@pytest.fixture
def compose(main, every_third, swept, tmp_path):
    """`--compose` in a copy of that folder: words -> (checkpoint, what was printed)."""
    shutil.copytree(swept, tmp_path / "saved")

    def run(*words):
        done = main("--compose 7 0 3", BRIEF, "--oslom-bin", every_third, "--save-dir", tmp_path / "saved", *words)
        assert done.code == 0, done.err
        return tmp_path / "saved" / "digits" / "LeNet_300_100.compose.0-3-7.pth.tar", done.out

    return run


def test_the_verb_composes_measures_compares_and_draws(compose, loaded, digits):
    path, out = compose()
    members = [loaded(path.with_name(f"LeNet_300_100.specialize.{c}.best_retrained.pth.tar")) for c in (0, 3, 7)]
    made = loaded(path)
    expected = separate([one.compact for one in members], digits.test.images)
    with torch.no_grad():
        assert torch.equal(made.compact.network(digits.test.images), expected)
    assert made.classes == (0, 3, 7) and (made.algo, made.network) == ("composed-OSLOM", "composed")
    found = json.loads(files.metrics_path(path).read_text())
    assert found["verb"] == "compose" and found["classes"] == [0, 3, 7] and len(found["accuracy"]) == 3
    assert [one["file"] for one in found["members"]] == [
        f"LeNet_300_100.specialize.{c}.best_retrained.pth.tar" for c in (0, 3, 7)
    ]
    said = torch.tensor([0, 3, 7])[expected.argmax(1)]
    own = torch.isin(digits.test.labels, torch.tensor([0, 3, 7]))
    compared = found["compared"]
    among = (said == digits.test.labels)[own].double().mean().item()
    assert compared["composed"]["accuracy_among"] == pytest.approx(among)
    answers, truth = torch.where(expected.max(1).values >= 0, said, -1), torch.where(own, digits.test.labels, -1)
    assert compared["composed"]["accuracy_or_none"] == pytest.approx((answers == truth).double().mean().item())
    assert compared["parent"]["true_parameters"] == 266_610
    assert compared["joint"]["true_parameters"] <= compared["composed"]["true_parameters"] == found["true_parameters"]
    for words in (*comparison.ROWS.values(), *comparison.MEASURES.values(), f"{found['true_parameters']:,}"):
        assert words in out, words
    assert Image.open(files.picture_path(path)).format == "PNG"
    joint = path.with_name("joint-0-3-7") / "LeNet_300_100.specialize.0-3-7.best_retrained.pth.tar"
    assert loaded(joint).classes == (0, 3, 7)


def test_a_finished_composition_is_not_made_again_unless_a_member_changes(compose):
    path, _ = compose()
    before = path.read_bytes()
    assert f"{path.name}: already finished" in compose()[1] and path.read_bytes() == before
    member = path.with_name("LeNet_300_100.specialize.3.best_retrained.pth.tar")
    shutil.copy(path.with_name("LeNet_300_100.specialize.7.best_retrained.pth.tar"), member)
    with pytest.raises(AssertionError, match="class 7 is in two"):
        compose()
    first = path.with_name("LeNet_300_100.specialize.3.OSLOM.pth.tar")  # not retrained
    shutil.copy(first, member)
    out = compose()[1]
    assert "made from other inputs" in out and path.read_bytes() != before
    assert (path.parent / "replaced" / "LeNet_300_100.compose.0-3-7.1.pth.tar").read_bytes() == before


def test_a_composition_is_evaluated_and_retrained(compose, main, loaded):
    path, _ = compose()
    told = json.loads(files.metrics_path(path).read_text())
    done = main("--evaluate --pretrained", path)
    assert done.code == 0, done.err
    found = json.loads(done.out[: done.out.rindex("}") + 1])
    for name in ("accuracy", "true_parameters", "true_rate", "paper_rule_rate", "macs"):
        assert found[name] == told[name], name
    assert main("--retrain --retrain-epochs 2 --pretrained", path).code == 0
    again = path.with_name("LeNet_300_100.specialize.0-3-7.composed-OSLOM.best_retrained.pth.tar")
    assert loaded(again).classes == (0, 3, 7) and loaded(again).compact.kept == loaded(path).compact.kept
    assert json.loads(files.metrics_path(again).read_text())["true_parameters"] == told["true_parameters"]
    done = main("--evaluate --specialize 3 --pretrained", path)
    assert done.code == 2 and "specialised to 0-3-7, not to 3" in done.err


def test_the_report_leaves_a_composition_where_it_is(compose, main, tmp_path):
    compose()
    done = main("--report --dataset digits --save-dir", tmp_path / "saved")
    assert done.code == 0 and "left out" not in done.err, done.err
    assert "| 0-3-7 | OSLOM |" in done.out  # the one extraction of all classes


def test_a_composition_of_all_classes_keeps_the_sizes_of_the_parent(parent, tmp_path):
    members = [part(parent, classes, seed) for seed, classes in enumerate([(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)])]
    again = saved_and_loaded(composed(members), tmp_path / "all.pth.tar")
    assert again.kept.classes == tuple(range(10)) and again.wiring.parent_sizes == parent.wiring.parent_sizes


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "--compose 0 3 4",
            "LeNet_300_100.specialize.4.best_retrained.pth.tar is missing: main.py --sweep --algo OSLOM ",
        ),
        ("--compose 0 3 4", "--classes 4 --arch LeNet_300_100 --dataset digits --seed 1"),
        ("--compose 0 3 --seed 2", "seed2/LeNet_300_100.best_origin.pth.tar is missing: main.py --arch LeNet_300_100"),
        ("--compose 0 12", "there is no class 12"),
        ("--compose 3 3", "--compose needs two classes or more, got 3"),
        ("--compose 0 3 --specialize 0", "--specialize goes with"),
        ("--compose 0 3 --pretrained x.pth.tar", "--pretrained goes with"),
        ("--compose 0 3 --rate 0.1", "--rate goes with"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_nothing_is_written(words, told, main, swept, every_third, listing):
    before = listing(swept)
    done = main(words, "--dataset digits --save-dir", swept, "--oslom-bin", every_third)
    assert done.code == 2 and told in done.err and done.err.count("\n") == 1, done.err
    assert listing(swept) == before


# ------------------------------------------------------------------------------------------ the picture


def test_the_picture_is_a_png_and_always_the_same():
    matrices = {"input": [[1, 0.2], [0.2, 1]], "hidden": [[1, 0], [0, 1]], "all": [[1, 0.1], [0.1, 1]]}
    for pixels in (None, np.array([[0, 1], [2, 1]])):
        first, again = (pictures.shared(matrices, ["0", "3-7"], pixels) for _ in range(2))
        assert first == again and Image.open(io.BytesIO(first)).width == 1280
    many = {f"layer{k}": [[1, 0.2], [0.2, 1]] for k in range(12)}
    assert Image.open(io.BytesIO(pictures.shared(many, ["0", "1"], None))).height > 600


def test_pixels_are_counted_where_they_are_units():
    kept = ([0, 3, 5], [3], [3, 11])
    told = {"image_shape": [2, 2, 3], "parent_widths": [12, 4, 2], "members": [{"kept": {"input": k}} for k in kept]}
    assert comparison.members_per_pixel(told).tolist() == [[1, 0, 0], [3, 0, 2]]
    assert comparison.members_per_pixel({**told, "parent_widths": [2, 4, 2]}) is None
