"""Files of weights that others save, and the published format: what is understood of them, and what is refused."""

import argparse
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain_networks import ARCHITECTURES
from torch import nn
from torch.nn.utils import prune

from specdnn import foreign
from specdnn.network import netfile
from specdnn.structures import KeptUnits, SpecDNNError

SHAPE = (1, 28, 28)
PARTS = ("weight", "bias")


@pytest.fixture(params=["LeNet_300_100", "LeNet_5"])
def network_type(request):
    return ARCHITECTURES[request.param]


# ------------------------------------------------------------------------------------------ the published format


def published(network_type, mask=None, **more):
    torch.manual_seed(0)
    content = {"state_dict": network_type().state_dict(), **more}
    return content if mask is None else {**content, "mask": mask}


def loaded_from(content, tmp_path, arch=None):
    torch.save(content, tmp_path / "published.pth.tar")
    return netfile.load(tmp_path / "published.pth.tar", ARCHITECTURES, arch, SHAPE)


def test_a_published_checkpoint_without_anything_else_is_a_parent(network_type, tmp_path):
    loaded = loaded_from(published(network_type), tmp_path)
    assert loaded.arch == network_type.__name__ and loaded.algo == "" and loaded.dataset == ""
    assert loaded.compact.kept == KeptUnits.everything(loaded.compact.wiring.layers)
    expected = published(network_type)["state_dict"]
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.compact.network.state_dict().items())


@pytest.mark.parametrize("kind", [list, set, tuple, torch.tensor])
def test_masks_of_several_kinds(tmp_path, kind):
    mask = [kind(part) for part in ([0, 1], [2], [3])]
    loaded = loaded_from(published(ARCHITECTURES["LeNet_300_100"], mask), tmp_path)
    assert loaded.compact.kept.widths == (782, 299, 99, 10)


def test_a_shorter_mask_leaves_the_other_layers(tmp_path):
    loaded = loaded_from(published(ARCHITECTURES["LeNet_300_100"], [[0, 1]]), tmp_path)
    assert loaded.compact.kept.widths == (782, 300, 100, 10)


@pytest.mark.parametrize("mask", [[[784]], [[-1]], [list(range(784))], [["x"]], 3, [3], [[], [], [], [0], [0], [0]]])
def test_a_mask_that_makes_no_sense_is_refused(tmp_path, mask):
    with pytest.raises(SpecDNNError, match="mask"):
        loaded_from(published(ARCHITECTURES["LeNet_300_100"], mask), tmp_path)


def test_the_network_named_by_the_user_must_be_the_one_in_the_file(network_type, tmp_path):
    other = next(name for name in ARCHITECTURES if name != network_type.__name__)
    assert loaded_from(published(network_type), tmp_path, network_type.__name__).arch == network_type.__name__
    with pytest.raises(SpecDNNError, match=other):
        loaded_from(published(network_type), tmp_path, other)
    with pytest.raises(SpecDNNError, match="--arch"):
        loaded_from(published(network_type, arch=network_type.__name__), tmp_path, other)
    netfile.save(tmp_path / "ours.pth.tar", loaded_from(published(network_type), tmp_path))
    with pytest.raises(SpecDNNError, match="--arch"):
        netfile.load(tmp_path / "ours.pth.tar", ARCHITECTURES, other)


# ------------------------------------------------------------------------------------------ checkpoints of others


def refusal(path, arch=None, architectures=None) -> str:
    with pytest.raises(SpecDNNError) as error:
        netfile.load(path, architectures or ARCHITECTURES, arch, SHAPE)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


def refused_content(content, tmp_path, arch=None) -> str:
    torch.save(content, tmp_path / "x.pth.tar")
    return refusal(tmp_path / "x.pth.tar", arch)


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
def test_where_the_weights_lie(network_type, tmp_path, wrapped):
    wrap, told = WRAPPED[wrapped]
    loaded = loaded_from(wrap(published(network_type)["state_dict"]), tmp_path)
    assert_holds(loaded, network_type)
    assert loaded.accuracy is None and loaded.normalisation == ()
    assert len(loaded.understood) == (told is not None) and (told or "") in "".join(loaded.understood)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "module.model.", "_orig_mod.module.", "model.module._orig_mod."]
)
def test_what_wrappers_put_before_every_name(network_type, tmp_path, prefix):
    state = published(network_type)["state_dict"]
    loaded = loaded_from({"state_dict": {prefix + name: v for name, v in state.items()}}, tmp_path)
    assert_holds(loaded, network_type)
    assert loaded.understood == (f"{prefix} is taken off every name",)


def test_a_prefix_that_some_names_lack_stays(tmp_path):
    state = published(ARCHITECTURES["LeNet_5"])["state_dict"]
    mixed = {("module." if "conv" in name else "") + name: v for name, v in state.items()}
    told = refused_content({"state_dict": mixed}, tmp_path)
    assert "missing: conv1.weight, conv1.bias" in told and "surplus: module.conv1.weight, module.conv1.bias" in told


def test_a_network_may_itself_use_a_name_that_wrappers_use():
    state = {"model.0.weight": torch.zeros(2, 2), "model.0.bias": torch.zeros(2)}
    wrapped = {f"module.{name}": value for name, value in state.items()}
    for known, expected in (([set(state)], set(state)), ([], {"0.weight", "0.bias"})):
        assert set(foreign.understood_state(wrapped, known)[0]) == expected


def test_masks_of_torch_s_pruning_are_applied(network_type, tmp_path):
    network = network_type()
    names = [name for name, _ in network.named_children()]
    for name in names:
        prune.random_unstructured(network.get_submodule(name), "weight", amount=0.3)
    prune.l1_unstructured(network.get_submodule(names[0]), "bias", amount=2)
    expected = {f"{name}.{part}": getattr(network.get_submodule(name), part) for name in names for part in PARTS}
    loaded = loaded_from(nn.DataParallel(network).state_dict(), tmp_path)
    assert_holds(loaded, network_type, {name: value.detach() for name, value in expected.items()})
    assert any("prune" in told and f"{names[0]}.weight" in told for told in loaded.understood)


def test_a_mask_of_another_shape_than_its_weight(tmp_path):
    state = published(ARCHITECTURES["Linear"])["state_dict"]
    state["ip1.weight_orig"], state["ip1.weight_mask"] = state.pop("ip1.weight"), torch.ones(10)
    assert "ip1.weight_orig is 10x784, but its mask 10" in refused_content(state, tmp_path)


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
def test_the_accuracy_of_others(tmp_path, beside, accuracy):
    loaded = loaded_from(published(ARCHITECTURES["Linear"], **beside), tmp_path)
    assert loaded.accuracy is accuracy is None or loaded.accuracy == pytest.approx(accuracy)
    value = next((value for value in beside.values() if value is not None), None)
    told = "".join(loaded.understood)
    assert ("is left out" in told) == (accuracy is None and bool(beside)), told
    if accuracy is not None and value != loaded.accuracy:
        assert "is an accuracy of 97.3 %" in told


def test_a_network_without_an_accuracy_is_saved_without_one(tmp_path):
    loaded = loaded_from(published(ARCHITECTURES["Linear"], normalisation=[0.5, 0.25]), tmp_path)
    netfile.save(tmp_path / "x.pth.tar", loaded)
    assert netfile.load(tmp_path / "x.pth.tar", ARCHITECTURES, image=SHAPE).accuracy is None


def test_weights_that_were_saved_on_a_gpu(network_type, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.serialization.location_tag", lambda storage: "cuda:0")
    torch.save(published(network_type), tmp_path / "gpu.pth.tar")
    assert b"cuda:0" in (tmp_path / "gpu.pth.tar").read_bytes()
    assert_holds(netfile.load(tmp_path / "gpu.pth.tar", ARCHITECTURES, image=SHAPE), network_type)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision(network_type, tmp_path, kind):
    state = {name: value.to(kind) for name, value in published(network_type)["state_dict"].items()}
    loaded = loaded_from({"state_dict": state}, tmp_path)
    assert_holds(loaded, network_type, {name: value.float() for name, value in state.items()})
    assert loaded.understood == (f"its {str(kind).removeprefix('torch.')} numbers are read as float32",)


@pytest.mark.parametrize("kind", [np.float32, ">f4", np.asfortranarray])
def test_numpy_arrays_as_weights(network_type, tmp_path, kind):
    change = kind if callable(kind) and kind is not np.float32 else lambda array: array.astype(kind)
    state = {name: change(value.numpy()) for name, value in published(network_type)["state_dict"].items()}
    assert_holds(loaded_from({"model": state}, tmp_path), network_type)
    assert_holds(loaded_from(state, tmp_path), network_type)


def test_numpy_arrays_keep_their_shape(tmp_path):
    """That of a counter of batch normalisation is empty."""
    state = {"n.num_batches_tracked": np.array(5), "n.weight": np.arange(6.0).reshape(3, 2)[::-1, :1]}
    torch.save(state, tmp_path / "x.pth")
    with torch.serialization.safe_globals(foreign.numpy_globals()):
        found, _ = foreign.understood_state(torch.load(tmp_path / "x.pth", weights_only=True))
    for name, array in state.items():
        assert tuple(found[name].shape) == array.shape and found[name].tolist() == array.tolist()


def test_a_dictionary_that_holds_itself_is_refused(tmp_path):
    content = {}
    content["model"] = content
    assert "model is a dict, not a tensor" in refused_content(content, tmp_path)


def test_the_old_format_of_torch(network_type, tmp_path):
    torch.save(published(network_type), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_holds(netfile.load(tmp_path / "old.pth", ARCHITECTURES, image=SHAPE), network_type)


class WithNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.ip1 = nn.BatchNorm1d(784), nn.Linear(784, 10)

    def forward(self, images):
        return self.ip1(self.norm(images.flatten(1)))


@pytest.fixture
def with_norm():
    """Networks of which one has a batch normalisation."""
    return {"WithNorm": WithNorm, **ARCHITECTURES}


@pytest.mark.parametrize("counted", [True, False])
def test_the_counters_of_batch_normalisation_may_be_missing(tmp_path, with_norm, counted):
    network = with_norm["WithNorm"]()
    network.norm.running_mean += 3
    network.norm.num_batches_tracked += 5
    state = {name: value for name, value in network.state_dict().items() if counted or "tracked" not in name}
    torch.save({"state_dict": state}, tmp_path / "x.pth.tar")
    loaded = netfile.load(tmp_path / "x.pth.tar", with_norm, image=SHAPE).compact.network
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
def test_the_normalisation_of_others(tmp_path, beside):
    loaded = loaded_from(published(ARCHITECTURES["Linear"], **beside), tmp_path)
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
        {"normalisation": [[0.5], [0.25, 0.25]]},
        {"normalisation": [[0.5, None], [0.25, 0.25]]},
        {"normalisation": []},
    ],
)
def test_a_normalisation_that_makes_no_sense(tmp_path, beside):
    told = refused_content(published(ARCHITECTURES["Linear"], **beside), tmp_path)
    assert "normalisation is not means from 0 to 1 and standard deviations above 0, one of each, or one per" in told


def test_what_else_others_write_beside_the_weights(tmp_path):
    beside = {"arch": "resnet20", "seed": None, "dataset": ["a", "list"], "scheduler": {"step": 3}}
    loaded = loaded_from(published(ARCHITECTURES["LeNet_5"], **beside), tmp_path, "LeNet_5")
    assert_holds(loaded, ARCHITECTURES["LeNet_5"])
    assert loaded.dataset == "" and loaded.seed == 0


# ------------------------------------------------------------------------------------------ what stays unclear


def test_missing_and_surplus_names_are_told_five_of_each(tmp_path):
    state = {f"layer{number}.weight": torch.zeros(3) for number in range(17)}
    told = refused_content({"state_dict": state}, tmp_path, "LeNet_5")
    assert "does not hold the weights of LeNet_5: missing: conv1.weight, conv1.bias, conv2.weight, " in told
    assert "conv2.bias, ip1.weight and 3 more; surplus: layer0.weight, " in told and "and 12 more" in told


def test_names_that_cannot_be_shown_are_told_all_the_same(tmp_path):
    state = {
        "two\nlines": torch.zeros(3),
        "\x1b[2Jgone": torch.zeros(3),
        "x" * 10**6: torch.zeros(3),
        7: torch.zeros(3),
    }
    told = refused_content({"state_dict": state}, tmp_path)
    assert "surplus: 'two\\nlines', '\\x1b[2Jgone', xxx" in told and told.endswith("..., 7") and len(told) < 1000
    told = refused_content({"state_dict": {"two\nlines": [1]}}, tmp_path)
    assert "'two\\nlines' is a list, not a tensor" in told


def test_the_nearest_network_is_compared(tmp_path):
    state = published(ARCHITECTURES["LeNet_5"])["state_dict"]
    state.pop("ip2.bias")
    told = refused_content({"state_dict": state}, tmp_path)
    assert "LeNet_300_100 or LeNet_5 or Linear (the nearest is LeNet_5): missing: ip2.bias" in told
    assert "surplus" not in told


def test_shapes_that_differ_are_told(tmp_path):
    state = published(ARCHITECTURES["LeNet_5"])["state_dict"]
    state["conv1.weight"] = torch.zeros(6, 1, 5, 5)
    state["ip2.bias"] = torch.tensor(0.5)
    told = refused_content({"state_dict": state}, tmp_path)
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
def test_tensors_that_are_no_weights(tmp_path, told, recwarn):
    state = published(ARCHITECTURES["Linear"])["state_dict"]
    state["ip1.weight"] = STRANGE[told](state["ip1.weight"])
    torch.save({"state_dict": state}, tmp_path / "x.pth.tar")
    recwarn.clear()
    sentence = refusal(tmp_path / "x.pth.tar")
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
def test_a_pickled_class_is_told_by_name_with_what_to_do(tmp_path, content, told, old):
    torch.save(content, tmp_path / "x.pth.tar", _use_new_zipfile_serialization=not old)
    sentence = refusal(tmp_path / "x.pth.tar")
    assert told in sentence and "torch.save(network.state_dict(), FILE)" in sentence and "weights_only" not in sentence


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_archive_is_told(tmp_path, recwarn):
    torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "x.pt")
    recwarn.clear()
    assert "TorchScript" in refusal(tmp_path / "x.pt") and not recwarn.list


@pytest.mark.parametrize("content", [b"hello" * 100, b"", b"\x80\x04\x95junk", b"<html>no such file</html>"])
def test_another_kind_of_file_is_told_without_torch_s_advice(tmp_path, content):
    (tmp_path / "x.pth.tar").write_bytes(content)
    sentence = refusal(tmp_path / "x.pth.tar")
    assert "it is damaged, or another kind of file" in sentence and "PyTorch" not in sentence


def test_numpy_s_numbers_are_the_only_classes_rebuilt(tmp_path):
    objects = np.array([torch.zeros(2)], dtype=object)
    told = {"a pickled pathlib": Path("x"), "a numpy array of O8": objects, "a numpy array of U4": np.array(["text"])}
    for words, content in told.items():
        assert words in refused_content({"acc": content}, tmp_path)


class Lying:
    """Pickled as what the function of numpy would rebuild from this state."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


def test_a_kind_of_numbers_that_lies_about_its_size_does_no_harm(tmp_path):
    """numpy itself would believe that a number has a million bytes, and read as many."""
    kind = Lying(np.dtype, ("f8", False, True), (3, "<", None, None, None, 10**6, 1, 63))
    number = Lying(np.float64(0).__reduce__()[0], (kind, np.float64(0.973).tobytes()))
    loaded = loaded_from(published(ARCHITECTURES["Linear"], acc=number), tmp_path)
    assert loaded.accuracy == 0.973


@pytest.mark.parametrize("old", [True, False])
@given(data=st.data())
def test_a_damaged_file_of_others_is_refused_or_still_a_network(old, data, tmp_path_factory):
    beside = {"acc": np.float64(97.3), "mean": np.array([0.5]), "std": torch.tensor(0.25), "mask": [[1, 2]]}
    state = {f"module.{name}": value for name, value in ARCHITECTURES["Linear"]().state_dict().items()}
    path = tmp_path_factory.mktemp("damaged") / "x.pth"
    torch.save({"model": state, **beside}, path, _use_new_zipfile_serialization=not old)
    pickled = bytearray(path.read_bytes())
    start = pickled.index(b"model")
    for place in data.draw(st.lists(st.integers(start, start + 800), min_size=1, max_size=4)):
        pickled[place] = data.draw(st.integers(0, 255))
    path.write_bytes(pickled)
    try:
        assert netfile.load(path, ARCHITECTURES, image=SHAPE).compact.wiring.layers
    except SpecDNNError as error:
        assert str(error).isprintable()
    shutil.rmtree(path.parent)


# ------------------------------------------------------------------------------------------ no checkpoints


@pytest.mark.parametrize(
    "content",
    [[1, 2], {"weights": 1}, {"state_dict": 3}, {"state_dict": {}}, {"state_dict": {"ip1.weight": torch.zeros(3)}}],
)
def test_other_content_is_refused(tmp_path, content):
    with pytest.raises(SpecDNNError):
        loaded_from(content, tmp_path)


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "missing.pth.tar", tmp_path):
        with pytest.raises(SpecDNNError, match="--pretrained"):
            netfile.load(path, ARCHITECTURES, image=SHAPE)


def test_a_folder_is_told_with_the_checkpoints_in_it(tmp_path):
    for name in ("notes.txt", "a.json", *(f"{letter}.pth.tar" for letter in "gfedc"), "b.pt", "a.th"):
        (tmp_path / name).write_text("")
    told = refusal(tmp_path)
    assert f"{tmp_path} is a folder" in told and "(a.th, b.pt, c.pth.tar, d.pth.tar, e.pth.tar and 2 more)" in told


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_file_that_cannot_be_opened(tmp_path, monkeypatch, error):
    def fail(*args, **options):
        raise error

    path = tmp_path / "x.pth.tar"
    torch.save(published(ARCHITECTURES["LeNet_5"]), path)
    monkeypatch.setattr("torch.serialization._open_file", fail)
    assert refusal(path) == f"{path} cannot be read as a checkpoint: {error.strerror}"


def test_what_is_no_file_or_has_no_possible_name(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "is no file" in refusal(tmp_path / "pipe")
    assert "there is no checkpoint" in refusal(tmp_path / ("x" * 300))
    (tmp_path / "file").write_text("")
    assert "there is no checkpoint" in refusal(tmp_path / "file" / "x.pth.tar")
