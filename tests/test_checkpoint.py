"""Names, whole files or none, metrics files, checkpoints of ours and of the published format."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from specdnn import checkpoint, files
from specdnn.checkpoint import Checkpoint
from specdnn.files import SavedModels
from specdnn.structures import KeptUnits, SpecDNNError
from specdnn.surgery import CompactNetwork, cut

KEPT = {
    "LeNet_300_100": KeptUnits(((5, 100, 783), (0, 299), (50, 51), (3,))),
    "LeNet_5": KeptUnits(((0,), (4, 19), (2, 15, 48, 791), (0, 499), (1, 8))),
}


def compact_of(network_type) -> CompactNetwork:
    torch.manual_seed(0)
    return cut(CompactNetwork.parent(network_type()), KEPT[network_type.__name__])


def checkpoint_of(network_type, compact=None) -> Checkpoint:
    compact = compact or compact_of(network_type)
    return Checkpoint(network_type.__name__, "digits", compact, (0.3050, 0.3247), 0.9375, "OSLOM", 7)


# ------------------------------------------------------------------------------------------ names

ROOT = Path("saved_models")
FIRST = SavedModels(ROOT, "LeNet_5")


def test_the_published_names():
    assert FIRST.parent() == ROOT / "LeNet_5.best_origin.pth.tar"
    assert FIRST.pruned((0,), "OSLOM") == ROOT / "LeNet_5.specialize.0.OSLOM.pth.tar"
    assert FIRST.retrained((0,), "OSLOM") == ROOT / "LeNet_5.specialize.0.best_retrained.pth.tar"
    assert FIRST.pruned(None, "OSLOM") == ROOT / "LeNet_5.prune.OSLOM.pth.tar"
    assert FIRST.retrained(None, "OSLOM") == ROOT / "LeNet_5.best_retrained.pth.tar"


def test_several_classes_are_joined():
    assert FIRST.pruned((0, 3, 7), "OSLOM") == ROOT / "LeNet_5.specialize.0-3-7.OSLOM.pth.tar"
    assert FIRST.retrained((0, 3, 7), "OSLOM") == ROOT / "LeNet_5.specialize.0-3-7.best_retrained.pth.tar"


def test_other_seeds_data_sets_and_algorithms():
    other = SavedModels(ROOT, "LeNet_300_100", "KMNIST", 2)
    assert other.parent() == ROOT / "KMNIST" / "seed2" / "LeNet_300_100.best_origin.pth.tar"
    assert (
        other.retrained((4,), "magnitude")
        == ROOT / "KMNIST" / "seed2" / "LeNet_300_100.specialize.4.magnitude.best_retrained.pth.tar"
    )
    assert other.retrained(None, "magnitude").name == "LeNet_300_100.magnitude.best_retrained.pth.tar"
    assert SavedModels(ROOT, "LeNet_5", "", 3).folder == ROOT / "seed3"
    assert SavedModels(ROOT, "LeNet_5", "digits").folder == ROOT / "digits"


def test_what_lies_beside_a_checkpoint():
    path = FIRST.pruned((0,), "OSLOM")
    assert files.metrics_path(path) == ROOT / "LeNet_5.specialize.0.OSLOM.json"
    assert checkpoint.round_path(path, 2, "edges") == ROOT / "LeNet_5.specialize.0.OSLOM.rounds" / "2.edges"
    assert FIRST.table("csv") == ROOT / "LeNet_5.csv"


# ------------------------------------------------------------------------------------------ writing


def test_a_file_is_written_whole_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "c.json"
    files.write(path, "né")
    assert path.read_bytes() == "né".encode()
    assert os.listdir(path.parent) == ["c.json"]
    assert path.stat().st_mode & 0o777 == 0o644
    files.write(path, b"other")
    assert path.read_bytes() == b"other" and os.listdir(path.parent) == ["c.json"]


@pytest.mark.parametrize("function", ["replace", "chmod", "fdopen"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), MemoryError])
def test_an_interruption_leaves_no_half_written_file(tmp_path, monkeypatch, function, error):
    path = tmp_path / "c.json"
    path.write_text("before")

    def interrupted(*args, **kwargs):
        raise error

    monkeypatch.setattr(checkpoint.os, function, interrupted)
    with pytest.raises(SpecDNNError if isinstance(error, OSError) else error):
        files.write(path, "after")
    assert os.listdir(tmp_path) == ["c.json"] and path.read_text() == "before"


def test_a_folder_that_cannot_be_written_is_told_before_and_after(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below" / "deep"):
        with pytest.raises(SpecDNNError, match="--save-dir") as error:
            files.check_writable(folder)
        assert str(tmp_path / "file") in str(error.value)
        with pytest.raises(SpecDNNError, match="--save-dir"):
            files.write(folder / "x.json", "")
    files.check_writable(tmp_path)
    files.check_writable(tmp_path / "new" / "deep")
    assert os.listdir(tmp_path) == ["file"]


def test_a_metrics_file_is_valid_json_with_one_key_a_line(tmp_path):
    path = tmp_path / "x.pth.tar"
    files.write_metrics(
        path,
        {"f1": 0.5, "auroc": float("nan"), "kept": {"input": (1, 2)}, "rates": [1.0, float("inf")], "path": Path("a")},
    )
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == {"f1": 0.5, "auroc": None, "kept": {"input": [1, 2]}, "rates": [1.0, None], "path": "a"}
    assert "NaN" not in text and len(text.splitlines()) == 7
    assert files.read_metrics(tmp_path / "x.json") == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_a_damaged_metrics_file_counts_as_none(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    assert files.read_metrics(tmp_path / "x.json") is None
    assert files.read_metrics(tmp_path / "missing.json") is None


# ------------------------------------------------------------------------------------------ our checkpoints


def test_a_checkpoint_comes_back_bit_for_bit(network_type, folder, digits, tmp_path):
    saved = checkpoint_of(network_type)
    checkpoint.save(tmp_path / "x.pth.tar", saved)
    loaded = checkpoint.load(tmp_path / "x.pth.tar", folder.architectures)
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
    checkpoint.save(one, checkpoint_of(network_type))
    checkpoint.save(two, checkpoint_of(network_type))
    checkpoint.save(three, checkpoint.load(one, folder.architectures))
    assert one.read_bytes() == two.read_bytes() == three.read_bytes()


def test_the_layout_in_memory_that_training_prefers_leaves_no_trace(network_type, tmp_path):
    one, two = tmp_path / "a.pth.tar", tmp_path / "b.pth.tar"
    saved = checkpoint_of(network_type)
    checkpoint.save(one, saved)
    saved.compact.network.to(memory_format=torch.channels_last)
    checkpoint.save(two, saved)
    assert one.read_bytes() == two.read_bytes()


def test_a_control_is_another_network_under_the_name_of_the_parent(folder, tmp_path):
    linear = CompactNetwork.parent(folder.architectures["Linear"]())
    compact = cut(linear, linear.kept.replace(1, (3,)))
    saved = Checkpoint("LeNet_5", "digits", compact, (0.1, 0.3), 0.5, "linear", owed_epochs=7)
    checkpoint.save(tmp_path / "x.pth.tar", saved)
    loaded = checkpoint.load(tmp_path / "x.pth.tar", folder.architectures)
    assert type(loaded.compact.network) is folder.architectures["Linear"] and loaded.arch == "LeNet_5"
    assert loaded.owed_epochs == 7 and loaded.classes == (3,)
    few = {name: kind for name, kind in folder.architectures.items() if name != "Linear"}
    with pytest.raises(SpecDNNError, match="Linear"):
        checkpoint.load(tmp_path / "x.pth.tar", few)


def test_published_metrics_files_lie_in_one_folder():
    path = SavedModels(Path("saved"), "net").pruned((3,), "random")
    named = [SavedModels(Path("saved"), "net", seed=seed).published(Path("runs"), path).name for seed in (1, 2)]
    assert named == ["net.specialize.3.random.json", "seed2.net.specialize.3.random.json"]


def test_a_checkpoint_is_a_dictionary_of_tensors_and_plain_values(network_type, tmp_path):
    saved = checkpoint_of(network_type)
    checkpoint.save(tmp_path / "x.pth.tar", saved)
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
    checkpoint.save(tmp_path / "x.pth.tar", checkpoint_of(network_type, CompactNetwork.parent(network_type())))
    loaded = checkpoint.load(tmp_path / "x.pth.tar", folder.architectures)
    assert loaded.compact.kept == KeptUnits.everything(network_type().chain)
    assert "gather" not in loaded.compact.network.state_dict()


def test_an_interrupted_save_leaves_the_old_checkpoint(network_type, folder, tmp_path, monkeypatch):
    path = tmp_path / "x.pth.tar"
    checkpoint.save(path, checkpoint_of(network_type))
    before = path.read_bytes()
    monkeypatch.setattr(checkpoint.os, "replace", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, checkpoint_of(network_type, CompactNetwork.parent(network_type())))
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
    return checkpoint.load(tmp_path / "published.pth.tar", folder.architectures, arch)


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
    assert loaded.accuracy == 98.12 and loaded.classes == everything
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
    checkpoint.save(tmp_path / "ours.pth.tar", checkpoint_of(network_type))
    with pytest.raises(SpecDNNError, match="--arch"):
        checkpoint.load(tmp_path / "ours.pth.tar", folder.architectures, other)


# ------------------------------------------------------------------------------------------ no checkpoints


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("harm",))


def test_a_pickled_object_is_refused_and_not_run(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "mask": Evil()}, "evil.pth.tar")
    with pytest.raises(SpecDNNError, match="cannot be read as a checkpoint"):
        checkpoint.load(Path("evil.pth.tar"), folder.architectures)
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
            checkpoint.load(path, folder.architectures)


@given(data=st.data())
def test_a_truncated_or_damaged_file_is_refused_or_still_a_network(data, folder, tmp_path_factory):
    network_type = folder.architectures["LeNet_300_100"]
    path = tmp_path_factory.mktemp("damaged") / "x.pth.tar"
    checkpoint.save(path, checkpoint_of(network_type))
    whole = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=20)):
            whole[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    try:
        assert checkpoint.load(path, folder.architectures).compact.network.chain
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
    + [("normalisation", None), ("state_dict", {}), ("acc", None)],
)
def test_a_checkpoint_that_contradicts_itself_is_refused(folder, tmp_path, field, value):
    path = tmp_path / "x.pth.tar"
    checkpoint.save(path, checkpoint_of(folder.architectures["LeNet_300_100"]))
    content = torch.load(path, weights_only=True)
    torch.save({**content, field: value}, path)
    with pytest.raises(SpecDNNError):
        checkpoint.load(path, folder.architectures)
