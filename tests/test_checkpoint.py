"""Names, whole files or none, metrics files, checkpoints of ours and of the published format."""

import argparse
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from specdnn.surgery import CompactNetwork, cut
from torch import nn
from torch.nn.utils import prune

from specdnn import files, foreign
from specdnn.network import netfile
from specdnn.network.netfile import Checkpoint
from specdnn.structures import KeptUnits, SpecDNNError

KEPT = {
    "LeNet_300_100": KeptUnits(((5, 100, 783), (0, 299), (50, 51), (3,))),
    "LeNet_5": KeptUnits(((0,), (4, 19), (2, 15, 48, 791), (0, 499), (1, 8))),
}
PARTS = ("weight", "bias")


def compact_of(network_type) -> CompactNetwork:
    torch.manual_seed(0)
    return cut(CompactNetwork.parent(network_type()), KEPT[network_type.__name__])


def checkpoint_of(network_type, compact=None) -> Checkpoint:
    compact = compact or compact_of(network_type)
    return Checkpoint(network_type.__name__, "digits", compact, (0.3050, 0.3247), 0.9375, "OSLOM", 7)


# ------------------------------------------------------------------------------------------ our checkpoints


def test_a_checkpoint_comes_back_bit_for_bit(network_type, folder, digits, tmp_path):
    saved = checkpoint_of(network_type)
    netfile.save(tmp_path / "x.pth.tar", saved)
    loaded = netfile.load(tmp_path / "x.pth.tar", folder.architectures)
    assert loaded.compact.kept == saved.compact.kept
    for name, tensor in saved.compact.network.state_dict().items():
        assert torch.equal(tensor, loaded.compact.network.state_dict()[name]), name
    same = [
        getattr(loaded, field) == getattr(saved, field)
        for field in ("arch", "dataset", "normalisation", "accuracy", "algo", "seed", "classes")
    ]
    assert all(same)
    with torch.no_grad():
        assert torch.equal(loaded.compact.network(digits.test.images), saved.compact.network(digits.test.images))


def test_the_same_network_gives_the_same_bytes(network_type, folder, tmp_path):
    one, two, three = (tmp_path / name for name in ("a.pth.tar", "b.pth.tar", "c.pth.tar"))
    netfile.save(one, checkpoint_of(network_type))
    netfile.save(two, checkpoint_of(network_type))
    netfile.save(three, netfile.load(one, folder.architectures))
    assert one.read_bytes() == two.read_bytes() == three.read_bytes()


def test_the_layout_in_memory_that_training_prefers_leaves_no_trace(network_type, tmp_path):
    one, two = tmp_path / "a.pth.tar", tmp_path / "b.pth.tar"
    saved = checkpoint_of(network_type)
    netfile.save(one, saved)
    saved.compact.network.to(memory_format=torch.channels_last)
    netfile.save(two, saved)
    assert one.read_bytes() == two.read_bytes()


def test_a_control_is_another_network_under_the_name_of_the_parent(folder, tmp_path):
    linear = CompactNetwork.parent(folder.architectures["Linear"]())
    compact = cut(linear, linear.kept.replace(1, (3,)))
    saved = Checkpoint("LeNet_5", "digits", compact, (0.1, 0.3), 0.5, "linear", owed_epochs=7)
    netfile.save(tmp_path / "x.pth.tar", saved)
    loaded = netfile.load(tmp_path / "x.pth.tar", folder.architectures)
    assert type(loaded.compact.network) is folder.architectures["Linear"] and loaded.arch == "LeNet_5"
    assert loaded.owed_epochs == 7 and loaded.classes == (3,)
    few = {name: kind for name, kind in folder.architectures.items() if name != "Linear"}
    with pytest.raises(SpecDNNError, match="Linear"):
        netfile.load(tmp_path / "x.pth.tar", few)


def test_a_checkpoint_is_a_dictionary_of_tensors_and_plain_values(network_type, tmp_path):
    saved = checkpoint_of(network_type)
    netfile.save(tmp_path / "x.pth.tar", saved)
    content = torch.load(tmp_path / "x.pth.tar", weights_only=True)
    assert {"acc", "state_dict", "mask", "arch", "widths", "kept", "classes", "normalisation"} <= set(content)
    assert content["acc"] == 0.9375 and content["arch"] == network_type.__name__
    assert content["classes"] == list(saved.classes) and content["widths"] == list(saved.compact.kept.widths)
    assert content["kept"] == [list(units) for units in saved.compact.kept.units]
    # the published mask: per layer with weights its pruned inputs
    full = network_type.full_widths
    assert [sorted([*gone, *units]) for gone, units in zip(content["mask"], content["kept"][:-1], strict=True)] == [
        list(range(w)) for w in full[:-1]
    ]


def test_a_double_network_comes_back_no_narrower_than_it_was_built(network_type, folder, tmp_path):
    netfile.save(tmp_path / "x.pth.tar", checkpoint_of(network_type, CompactNetwork.parent(network_type())))
    loaded = netfile.load(tmp_path / "x.pth.tar", folder.architectures)
    assert loaded.compact.kept == KeptUnits.everything(network_type().chain)
    assert "gather" not in loaded.compact.network.state_dict()


def test_an_interrupted_save_leaves_the_old_checkpoint(network_type, folder, tmp_path, monkeypatch):
    path = tmp_path / "x.pth.tar"
    netfile.save(path, checkpoint_of(network_type))
    before = path.read_bytes()
    monkeypatch.setattr(files.os, "replace", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        netfile.save(path, checkpoint_of(network_type, CompactNetwork.parent(network_type())))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x.pth.tar"]


# ------------------------------------------------------------------------------------------ the published format


def published(network_type, mask=None, **more):
    torch.manual_seed(0)
    content = {"state_dict": network_type().state_dict(), **more}
    return content if mask is None else {**content, "mask": mask}


def gone(network_type):
    """The mask that leaves KEPT."""
    rows = zip(KEPT[network_type.__name__].units[:-1], network_type.full_widths[:-1], strict=True)
    return [[unit for unit in range(width) if unit not in units] for units, width in rows]


def loaded_from(content, folder, tmp_path, arch=None):
    torch.save(content, tmp_path / "published.pth.tar")
    return netfile.load(tmp_path / "published.pth.tar", folder.architectures, arch)


def test_a_published_checkpoint_without_anything_else_is_a_parent(network_type, folder, tmp_path):
    loaded = loaded_from(published(network_type), folder, tmp_path)
    assert loaded.arch == network_type.__name__ and loaded.algo == "" and loaded.dataset == ""
    assert loaded.compact.kept == KeptUnits.everything(network_type().chain)
    expected = published(network_type)["state_dict"]
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.compact.network.state_dict().items())


def test_a_published_mask_is_cut(network_type, folder, digits, tmp_path):
    """Its masked inputs contribute nothing: so does the compact network."""
    loaded = loaded_from(published(network_type, gone(network_type), acc=98.12), folder, tmp_path)
    kept = KEPT[network_type.__name__]
    everything = tuple(range(10))
    assert loaded.compact.kept.units == (*kept.units[:-1], everything)
    assert loaded.accuracy == pytest.approx(0.9812) and loaded.classes == everything
    parent = network_type()
    parent.load_state_dict(published(network_type)["state_dict"])
    with torch.no_grad():
        for name, pruned in zip(parent.chain.names[1:], gone(network_type), strict=True):
            parent.get_submodule(name).weight[:, pruned] = 0
        torch.testing.assert_close(
            loaded.compact.network(digits.test.images), parent(digits.test.images), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("kind", [list, set, tuple, torch.tensor])
def test_masks_of_several_kinds(folder, tmp_path, kind):
    mask = [kind(part) for part in ([0, 1], [2], [3])]
    loaded = loaded_from(published(folder.architectures["LeNet_300_100"], mask), folder, tmp_path)
    assert loaded.compact.kept.widths == (782, 299, 99, 10)


def test_a_shorter_mask_leaves_the_other_layers(folder, tmp_path):
    loaded = loaded_from(published(folder.architectures["LeNet_300_100"], [[0, 1]]), folder, tmp_path)
    assert loaded.compact.kept.widths == (782, 300, 100, 10)


@pytest.mark.parametrize("mask", [[[784]], [[-1]], [list(range(784))], [["x"]], 3, [3], [[], [], [], [0], [0], [0]]])
def test_a_mask_that_makes_no_sense_is_refused(folder, tmp_path, mask):
    with pytest.raises(SpecDNNError, match="mask"):
        loaded_from(published(folder.architectures["LeNet_300_100"], mask), folder, tmp_path)


def test_the_network_named_by_the_user_must_be_the_one_in_the_file(network_type, folder, tmp_path):
    other = next(name for name in folder.architectures if name != network_type.__name__)
    assert loaded_from(published(network_type), folder, tmp_path, network_type.__name__).arch == network_type.__name__
    with pytest.raises(SpecDNNError, match=other):
        loaded_from(published(network_type), folder, tmp_path, other)
    with pytest.raises(SpecDNNError, match="--arch"):
        loaded_from(published(network_type, arch=network_type.__name__), folder, tmp_path, other)
    netfile.save(tmp_path / "ours.pth.tar", checkpoint_of(network_type))
    with pytest.raises(SpecDNNError, match="--arch"):
        netfile.load(tmp_path / "ours.pth.tar", folder.architectures, other)


# ------------------------------------------------------------------------------------------ checkpoints of others


def refusal(path, folder, arch=None, architectures=None) -> str:
    with pytest.raises(SpecDNNError) as error:
        netfile.load(path, architectures or folder.architectures, arch)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


def refused_content(content, folder, tmp_path, arch=None) -> str:
    torch.save(content, tmp_path / "x.pth.tar")
    return refusal(tmp_path / "x.pth.tar", folder, arch)


def assert_holds(loaded, network_type, state=None):
    expected = state or published(network_type)["state_dict"]
    found = loaded.compact.network.state_dict()
    assert loaded.arch == network_type.__name__ and set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


WRAPPED = {
    "alone": (lambda state: state, "it is a state_dict"),
    "state_dict": (lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"state": {}, "lr": 0.1}}, None),
    "model": (lambda state: {"model": state, "epoch": 3}, "under model"),
    "model_state_dict": (lambda state: {"model_state_dict": state, "loss": 0.1}, "under model_state_dict"),
    "net": (lambda state: {"net": state, "epoch": 3}, "under net"),
    "nested": (lambda state: {"model": {"state_dict": state}}, "under model.state_dict"),
}


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_where_the_weights_lie(network_type, folder, tmp_path, wrapped):
    wrap, told = WRAPPED[wrapped]
    loaded = loaded_from(wrap(published(network_type)["state_dict"]), folder, tmp_path)
    assert_holds(loaded, network_type)
    assert loaded.accuracy is None and loaded.normalisation == ()
    assert len(loaded.understood) == (told is not None) and (told or "") in "".join(loaded.understood)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "module.model.", "_orig_mod.module.", "model.module._orig_mod."]
)
def test_what_wrappers_put_before_every_name(network_type, folder, tmp_path, prefix):
    state = published(network_type)["state_dict"]
    loaded = loaded_from({"state_dict": {prefix + name: v for name, v in state.items()}}, folder, tmp_path)
    assert_holds(loaded, network_type)
    assert loaded.understood == (f"{prefix} is taken off every name",)


def test_a_prefix_that_some_names_lack_stays(folder, tmp_path):
    state = published(folder.architectures["LeNet_5"])["state_dict"]
    mixed = {("module." if "conv" in name else "") + name: v for name, v in state.items()}
    told = refused_content({"state_dict": mixed}, folder, tmp_path)
    assert "missing: conv1.weight, conv1.bias" in told and "surplus: module.conv1.weight, module.conv1.bias" in told


def test_a_network_may_itself_use_a_name_that_wrappers_use():
    state = {"model.0.weight": torch.zeros(2, 2), "model.0.bias": torch.zeros(2)}
    wrapped = {f"module.{name}": value for name, value in state.items()}
    for known, expected in (([set(state)], set(state)), ([], {"0.weight", "0.bias"})):
        assert set(foreign.understood_state(wrapped, known)[0]) == expected


def test_masks_of_torch_s_pruning_are_applied(network_type, folder, tmp_path):
    network = network_type()
    names = list(network.chain.names[1:])
    for name in names:
        prune.random_unstructured(network.get_submodule(name), "weight", amount=0.3)
    prune.l1_unstructured(network.get_submodule(names[0]), "bias", amount=2)
    expected = {f"{name}.{part}": getattr(network.get_submodule(name), part) for name in names for part in PARTS}
    loaded = loaded_from(nn.DataParallel(network).state_dict(), folder, tmp_path)
    assert_holds(loaded, network_type, {name: value.detach() for name, value in expected.items()})
    assert any("prune" in told and f"{names[0]}.weight" in told for told in loaded.understood)


def test_a_mask_of_another_shape_than_its_weight(folder, tmp_path):
    state = published(folder.architectures["Linear"])["state_dict"]
    state["ip1.weight_orig"], state["ip1.weight_mask"] = state.pop("ip1.weight"), torch.ones(10)
    assert "ip1.weight_orig is 10x784, but its mask 10" in refused_content(state, folder, tmp_path)


@pytest.mark.parametrize(
    "beside, accuracy",
    [
        ({}, None),
        ({"acc": 0.973}, 0.973),
        ({"acc": 97.3}, 0.973),
        ({"acc": np.float64(0.973)}, 0.973),
        ({"acc": np.float32(97.3)}, 0.973),
        ({"acc": torch.tensor(97.3)}, 0.973),
        ({"acc": torch.tensor([0.973], dtype=torch.float64)}, 0.973),
        ({"acc": np.array([97.3])}, 0.973),
        ({"acc": 1}, 1.0),
        ({"acc": 0}, 0.0),
        ({"best_prec1": torch.tensor(97.3)}, 0.973),
        ({"best_acc": 97.3, "acc": None}, 0.973),
        ({"best_acc1": 0.973}, 0.973),
        ({"acc": 973.0}, None),
        ({"acc": -1}, None),
        ({"acc": float("nan")}, None),
        ({"acc": "high"}, None),
        ({"acc": True}, None),
        ({"acc": [0.9, 0.8]}, None),
    ],
)
def test_the_accuracy_of_others(folder, tmp_path, beside, accuracy):
    loaded = loaded_from(published(folder.architectures["Linear"], **beside), folder, tmp_path)
    assert loaded.accuracy is accuracy is None or loaded.accuracy == pytest.approx(accuracy)
    value = next((value for value in beside.values() if value is not None), None)
    told = "".join(loaded.understood)
    assert ("is left out" in told) == (accuracy is None and bool(beside)), told
    if accuracy is not None and value != loaded.accuracy:
        assert "is an accuracy of 97.3 %" in told


def test_a_network_without_an_accuracy_is_saved_without_one(folder, tmp_path):
    loaded = loaded_from(published(folder.architectures["Linear"], normalisation=[0.5, 0.25]), folder, tmp_path)
    netfile.save(tmp_path / "x.pth.tar", loaded)
    assert netfile.load(tmp_path / "x.pth.tar", folder.architectures).accuracy is None


def test_weights_that_were_saved_on_a_gpu(network_type, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.serialization.location_tag", lambda storage: "cuda:0")
    torch.save(published(network_type), tmp_path / "gpu.pth.tar")
    assert b"cuda:0" in (tmp_path / "gpu.pth.tar").read_bytes()
    assert_holds(netfile.load(tmp_path / "gpu.pth.tar", folder.architectures), network_type)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision(network_type, folder, tmp_path, kind):
    state = {name: value.to(kind) for name, value in published(network_type)["state_dict"].items()}
    loaded = loaded_from({"state_dict": state}, folder, tmp_path)
    assert_holds(loaded, network_type, {name: value.float() for name, value in state.items()})
    assert loaded.understood == (f"its {str(kind).removeprefix('torch.')} numbers are read as float32",)


@pytest.mark.parametrize("kind", [np.float32, ">f4", np.asfortranarray])
def test_numpy_arrays_as_weights(network_type, folder, tmp_path, kind):
    change = kind if callable(kind) and kind is not np.float32 else lambda array: array.astype(kind)
    state = {name: change(value.numpy()) for name, value in published(network_type)["state_dict"].items()}
    assert_holds(loaded_from({"model": state}, folder, tmp_path), network_type)
    assert_holds(loaded_from(state, folder, tmp_path), network_type)


def test_numpy_arrays_keep_their_shape(tmp_path):
    """That of a counter of batch normalisation is empty."""
    state = {"n.num_batches_tracked": np.array(5), "n.weight": np.arange(6.0).reshape(3, 2)[::-1, :1]}
    torch.save(state, tmp_path / "x.pth")
    with torch.serialization.safe_globals(foreign.numpy_globals()):
        found, _ = foreign.understood_state(torch.load(tmp_path / "x.pth", weights_only=True))
    for name, array in state.items():
        assert tuple(found[name].shape) == array.shape and found[name].tolist() == array.tolist()


def test_a_dictionary_that_holds_itself_is_refused(folder, tmp_path):
    content = {}
    content["model"] = content
    assert "model is a dict, not a tensor" in refused_content(content, folder, tmp_path)


def test_the_old_format_of_torch(network_type, folder, tmp_path):
    torch.save(published(network_type), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_holds(netfile.load(tmp_path / "old.pth", folder.architectures), network_type)


@pytest.fixture
def with_norm(folder):
    """Networks of which one has a batch normalisation."""

    class WithNorm(folder.architectures["Linear"]):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.norm = nn.BatchNorm1d(784)

    return {"WithNorm": WithNorm, **folder.architectures}


@pytest.mark.parametrize("counted", [True, False])
def test_the_counters_of_batch_normalisation_may_be_missing(folder, tmp_path, with_norm, counted):
    network = with_norm["WithNorm"]()
    network.norm.running_mean += 3
    network.norm.num_batches_tracked += 5
    state = {name: value for name, value in network.state_dict().items() if counted or "tracked" not in name}
    torch.save({"state_dict": state}, tmp_path / "x.pth.tar")
    loaded = netfile.load(tmp_path / "x.pth.tar", with_norm).compact.network
    assert torch.equal(loaded.norm.running_mean, network.norm.running_mean)
    assert loaded.norm.num_batches_tracked == 5 * counted


@pytest.mark.parametrize(
    "beside",
    [
        {"normalisation": (0.5, 0.25)},
        {"normalization": [0.5, 0.25]},
        {"normalisation": {"mean": [0.5], "std": torch.tensor([0.25])}},
        {"mean": 0.5, "std": 0.25},
        {"mean": (0.5,), "std": (0.25,)},
        {"mean": np.float64(0.5), "std": np.array([0.25])},
        {"normalisation": torch.tensor([0.5, 0.25])},
    ],
)
def test_the_normalisation_of_others(folder, tmp_path, beside):
    loaded = loaded_from(published(folder.architectures["Linear"], **beside), folder, tmp_path)
    assert loaded.normalisation == (0.5, 0.25)


@pytest.mark.parametrize(
    "beside",
    [
        {"normalisation": (0.5, 0.0)},
        {"normalisation": "imagenet"},
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        {"mean": 33.3, "std": 78.6},
        {"mean": float("nan"), "std": 1.0},
        {"normalisation": {"mean": 0.5}},
        {"normalisation": [0.5, 0.25, 1.0]},
    ],
)
def test_a_normalisation_that_makes_no_sense(folder, tmp_path, beside):
    told = refused_content(published(folder.architectures["Linear"], **beside), folder, tmp_path)
    assert "normalisation is not one mean from 0 to 1 and one standard deviation above 0" in told


def test_what_else_others_write_beside_the_weights(folder, tmp_path):
    beside = {"arch": "resnet20", "seed": None, "dataset": ["a", "list"], "scheduler": {"step": 3}}
    loaded = loaded_from(published(folder.architectures["LeNet_5"], **beside), folder, tmp_path, "LeNet_5")
    assert_holds(loaded, folder.architectures["LeNet_5"])
    assert loaded.dataset == "" and loaded.seed == 0


# ------------------------------------------------------------------------------------------ what stays unclear


def test_missing_and_surplus_names_are_told_five_of_each(folder, tmp_path):
    state = {f"layer{number}.weight": torch.zeros(3) for number in range(17)}
    told = refused_content({"state_dict": state}, folder, tmp_path, "LeNet_5")
    assert "does not hold the weights of LeNet_5: missing: conv1.weight, conv1.bias, conv2.weight, " in told
    assert "conv2.bias, ip1.weight and 3 more; surplus: layer0.weight, " in told and "and 12 more" in told


def test_names_that_cannot_be_shown_are_told_all_the_same(folder, tmp_path):
    state = {
        "two\nlines": torch.zeros(3),
        "\x1b[2Jgone": torch.zeros(3),
        "x" * 10**6: torch.zeros(3),
        7: torch.zeros(3),
    }
    told = refused_content({"state_dict": state}, folder, tmp_path)
    assert "surplus: 'two\\nlines', '\\x1b[2Jgone', xxx" in told and told.endswith("..., 7") and len(told) < 1000
    told = refused_content({"state_dict": {"two\nlines": [1]}}, folder, tmp_path)
    assert "'two\\nlines' is a list, not a tensor" in told


def test_the_nearest_network_is_compared(folder, tmp_path):
    state = published(folder.architectures["LeNet_5"])["state_dict"]
    state.pop("ip2.bias")
    told = refused_content({"state_dict": state}, folder, tmp_path)
    assert "LeNet_300_100 or LeNet_5 or Linear (the nearest is LeNet_5): missing: ip2.bias" in told
    assert "surplus" not in told


def test_shapes_that_differ_are_told(folder, tmp_path):
    state = published(folder.architectures["LeNet_5"])["state_dict"]
    state["conv1.weight"] = torch.zeros(6, 1, 5, 5)
    state["ip2.bias"] = torch.tensor(0.5)
    told = refused_content({"state_dict": state}, folder, tmp_path)
    assert "conv1.weight is 6x1x5x5 instead of 20x1x5x5, ip2.bias is a single number instead of 10" in told


STRANGE = {
    "is sparse": lambda w: w.to_sparse(),
    "is quantised": lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8),
    "holds complex numbers": lambda w: w + 1j,
    "holds int8 numbers instead of float32": lambda w: w.to(torch.int8),
    "holds bool numbers instead of float32": lambda w: w > 0,
    "has no values, only a shape": lambda w: w.to("meta"),
    "claims 1,000,000,000,000 numbers, and the file holds 1": lambda w: torch.zeros(1).expand(10**6, 10**6),
    "is a list, not a tensor": lambda w: w.tolist(),
    "is a ndarray, not a tensor": lambda w: np.array(["a", "b"]),
    "holds weights that are not finite": lambda w: w / 0,
    "is 10x3 instead of 10x784": lambda w: torch.zeros(1).expand(10, 3),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("told", STRANGE)
def test_tensors_that_are_no_weights(folder, tmp_path, told, recwarn):
    state = published(folder.architectures["Linear"])["state_dict"]
    state["ip1.weight"] = STRANGE[told](state["ip1.weight"])
    torch.save({"state_dict": state}, tmp_path / "x.pth.tar")
    recwarn.clear()
    sentence = refusal(tmp_path / "x.pth.tar", folder)
    assert told in sentence or (told.startswith("is a ndarray") and "cannot be read" in sentence), sentence
    assert not recwarn.list


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.ip1 = nn.Linear(2, 2)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(
    "content, told",
    [
        (Whole(), f"a pickled {__name__}.Whole"),
        (nn.Linear(2, 2), "a pickled torch.nn.modules.linear.Linear"),
        ({"state_dict": {}, "args": argparse.Namespace(lr=1)}, "a pickled argparse.Namespace"),
        ({"model": Whole()}, f"a pickled {__name__}.Whole"),
    ],
)
def test_a_pickled_class_is_told_by_name_with_what_to_do(folder, tmp_path, content, told, old):
    torch.save(content, tmp_path / "x.pth.tar", _use_new_zipfile_serialization=not old)
    sentence = refusal(tmp_path / "x.pth.tar", folder)
    assert told in sentence and "torch.save(network.state_dict(), FILE)" in sentence and "weights_only" not in sentence


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_archive_is_told(folder, tmp_path, recwarn):
    torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "x.pt")
    recwarn.clear()
    assert "TorchScript" in refusal(tmp_path / "x.pt", folder) and not recwarn.list


@pytest.mark.parametrize("content", [b"hello" * 100, b"", b"\x80\x04\x95junk", b"<html>no such file</html>"])
def test_another_kind_of_file_is_told_without_torch_s_advice(folder, tmp_path, content):
    (tmp_path / "x.pth.tar").write_bytes(content)
    sentence = refusal(tmp_path / "x.pth.tar", folder)
    assert "it is damaged, or another kind of file" in sentence and "PyTorch" not in sentence


def test_numpy_s_numbers_are_the_only_classes_rebuilt(folder, tmp_path):
    objects = np.array([torch.zeros(2)], dtype=object)
    told = {"a pickled pathlib": Path("x"), "a numpy array of O8": objects, "a numpy array of U4": np.array(["text"])}
    for words, content in told.items():
        assert words in refused_content({"acc": content}, folder, tmp_path)


class Lying:
    """Pickled as what the function of numpy would rebuild from this state."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


def test_a_kind_of_numbers_that_lies_about_its_size_does_no_harm(folder, tmp_path):
    """numpy itself would believe that a number has a million bytes, and read as many."""
    kind = Lying(np.dtype, ("f8", False, True), (3, "<", None, None, None, 10**6, 1, 63))
    number = Lying(np.float64(0).__reduce__()[0], (kind, np.float64(0.973).tobytes()))
    loaded = loaded_from(published(folder.architectures["Linear"], acc=number), folder, tmp_path)
    assert loaded.accuracy == 0.973


@pytest.mark.parametrize("old", [True, False])
@given(data=st.data())
def test_a_damaged_file_of_others_is_refused_or_still_a_network(old, data, folder, tmp_path_factory):
    beside = {"acc": np.float64(97.3), "mean": np.array([0.5]), "std": torch.tensor(0.25), "mask": [[1, 2]]}
    state = {f"module.{name}": value for name, value in folder.architectures["Linear"]().state_dict().items()}
    path = tmp_path_factory.mktemp("damaged") / "x.pth"
    torch.save({"model": state, **beside}, path, _use_new_zipfile_serialization=not old)
    pickled = bytearray(path.read_bytes())
    start = pickled.index(b"model")
    for place in data.draw(st.lists(st.integers(start, start + 800), min_size=1, max_size=4)):
        pickled[place] = data.draw(st.integers(0, 255))
    path.write_bytes(pickled)
    try:
        assert netfile.load(path, folder.architectures).compact.network.chain
    except SpecDNNError as error:
        assert str(error).isprintable()
    shutil.rmtree(path.parent)


# ------------------------------------------------------------------------------------------ no checkpoints


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("harm",))


def test_a_pickled_object_is_refused_and_not_run(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "mask": Evil()}, "evil.pth.tar")
    with pytest.raises(SpecDNNError, match="cannot be read as a checkpoint"):
        netfile.load(Path("evil.pth.tar"), folder.architectures)
    assert os.listdir() == ["evil.pth.tar"]


@pytest.mark.parametrize(
    "content",
    [[1, 2], {"weights": 1}, {"state_dict": 3}, {"state_dict": {}}, {"state_dict": {"ip1.weight": torch.zeros(3)}}],
)
def test_other_content_is_refused(folder, tmp_path, content):
    with pytest.raises(SpecDNNError):
        loaded_from(content, folder, tmp_path)


def test_a_missing_file_and_a_folder(folder, tmp_path):
    for path in (tmp_path / "missing.pth.tar", tmp_path):
        with pytest.raises(SpecDNNError, match="--pretrained"):
            netfile.load(path, folder.architectures)


def test_a_folder_is_told_with_the_checkpoints_in_it(folder, tmp_path):
    for name in ("notes.txt", "a.json", *(f"{letter}.pth.tar" for letter in "gfedc"), "b.pt", "a.th"):
        (tmp_path / name).write_text("")
    told = refusal(tmp_path, folder)
    assert f"{tmp_path} is a folder" in told and "(a.th, b.pt, c.pth.tar, d.pth.tar, e.pth.tar and 2 more)" in told


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_file_that_cannot_be_opened(folder, tmp_path, monkeypatch, error):
    def fail(*args, **options):
        raise error

    path = tmp_path / "x.pth.tar"
    netfile.save(path, checkpoint_of(folder.architectures["LeNet_5"]))
    monkeypatch.setattr("torch.serialization._open_file", fail)
    assert refusal(path, folder) == f"{path} cannot be read as a checkpoint: {error.strerror}"


def test_what_is_no_file_or_has_no_possible_name(folder, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "is no file" in refusal(tmp_path / "pipe", folder)
    assert "there is no checkpoint" in refusal(tmp_path / ("x" * 300), folder)
    (tmp_path / "file").write_text("")
    assert "there is no checkpoint" in refusal(tmp_path / "file" / "x.pth.tar", folder)


@given(data=st.data())
def test_a_truncated_or_damaged_file_is_refused_or_still_a_network(data, folder, tmp_path_factory):
    network_type = folder.architectures["LeNet_300_100"]
    path = tmp_path_factory.mktemp("damaged") / "x.pth.tar"
    netfile.save(path, checkpoint_of(network_type))
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=20)):
            whole[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    try:
        assert netfile.load(path, folder.architectures).compact.network.chain
    except SpecDNNError as error:
        assert "\n" not in str(error)
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    "field, value",
    [
        ("arch", "VGG"),
        ("arch", 3),
        ("widths", [784, 300, 100, 10]),
        ("widths", [3, 2]),
        ("widths", "x"),
        ("gather", None),
    ]
    + [
        ("gather", [0, 1]),
        ("gather", [5, 100, 784]),
        ("kept", [[0], [1], [2], [3]]),
        ("kept", 3),
        ("kept", [[5, 100, 783], [0, 299], [51, 50], [3]]),
    ]
    + [("normalisation", None), ("state_dict", {}), ("acc", "high"), ("acc", [0.5])]
    + [("normalisation", [0.3]), ("normalisation", [0.3, 0.0]), ("normalisation", [float("nan"), 1.0])]
    + [
        ("algo", "../../x"),
        ("algo", None),
        ("dataset", "../x"),
        ("dataset", "a\nb"),
        ("seed", -1),
        ("owed_epochs", "7"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused(folder, tmp_path, field, value):
    path = tmp_path / "x.pth.tar"
    netfile.save(path, checkpoint_of(folder.architectures["LeNet_300_100"]))
    content = torch.load(path, weights_only=True)
    torch.save({**content, field: value}, path)
    with pytest.raises(SpecDNNError):
        netfile.load(path, folder.architectures)
