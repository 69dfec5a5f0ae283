"""Splits, normalisation and missing files of the data sets."""

import gzip
import os
import shutil
import subprocess
import sys
import zlib
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision import datasets as torchvision_datasets
from torchvision.datasets import mnist as torchvision_mnist

from specdnn.structures import SpecDNNError

CPU = torch.device("cpu")


def counts(split):
    return torch.bincount(split.labels, minlength=10)


def rows(split):
    return {image.numpy().tobytes() for image in split.images}


def pixels(data, split):
    return split.images.double() * data.normalisation[1] + data.normalisation[0]


# ------------------------------------------------------------------------------------------ digits


def test_digits_has_1257_180_and_360_images(digits):
    assert [len(digits.split(name)) for name in ("train", "validation", "test")] == [1257, 180, 360]
    for split in (digits.train, digits.validation, digits.test):
        assert split.images.shape[1:] == (1, 28, 28)
        assert split.images.dtype == torch.float32 and split.labels.dtype == torch.int64
    assert digits.class_names == tuple("0123456789") and digits.name == "digits"


def test_the_splits_of_digits_are_stratified(digits):
    whole = sum(counts(digits.split(name)) for name in ("train", "validation", "test"))
    for split in (digits.train, digits.validation, digits.test):
        assert (counts(split) - whole * len(split) / 1797).abs().max() <= 1.5


def test_the_splits_of_digits_are_disjoint_and_hold_every_image(digits):
    from sklearn.datasets import load_digits

    train, validation, test = rows(digits.train), rows(digits.validation), rows(digits.test)
    assert not (train & validation or train & test or validation & test)
    assert len(train | validation | test) == len({image.tobytes() for image in load_digits().images})


def test_the_pixels_of_digits_lie_in_0_to_1_and_show_the_digit(digits):
    raw = pixels(digits, digits.train)
    assert raw.min() == pytest.approx(0, abs=1e-6) and 0.9 < raw.max() <= 1 + 1e-6
    centre = raw[:, 0, 8:20, 8:20].mean()
    assert centre > raw[:, 0, :, :3].mean()


def test_the_splits_do_not_move(folder, digits):
    again = folder.dataset.load("digits", Path("unused"), CPU)
    for name in ("train", "validation", "test"):
        assert torch.equal(again.split(name).images, digits.split(name).images)
        assert torch.equal(again.split(name).labels, digits.split(name).labels)


def assert_measured(data, apart):
    raw = pixels(data, data.train)
    assert (raw.mean().item(), raw.std().item()) == pytest.approx(data.normalisation, abs=apart)


def test_the_normalisation_of_digits_is_the_measured_one(digits):
    assert_measured(digits, 5e-5 + 1e-9)


# ------------------------------------------------------------------------------------------ MNIST where present


def test_mnist_has_55000_5000_and_10000_images(mnist):
    assert [len(mnist.split(name)) for name in ("train", "validation", "test")] == [55_000, 5_000, 10_000]
    whole = counts(mnist.train) + counts(mnist.validation)
    assert (counts(mnist.validation) - whole / 12).abs().max() <= 1.5
    assert counts(mnist.test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_the_splits_of_mnist_are_disjoint(mnist):
    assert not rows(mnist.train) & rows(mnist.validation)


def test_the_normalisation_of_mnist_is_the_measured_one(mnist):
    """0.1307 and 0.3081 are those of all 60,000 images."""
    raw = torch.cat([pixels(mnist, mnist.train), pixels(mnist, mnist.validation)])
    assert (raw.mean().item(), raw.std().item()) == pytest.approx((0.1307, 0.3081), abs=5e-5)


# ------------------------------------------------------------------------------------------ files


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + array.astype(np.uint8).tobytes()


def lay_out(data_dir: Path, name="MNIST", train=240, test=60) -> Path:
    """A tiny data set in the files of the real one."""
    raw = data_dir / name / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, count in (("train", train), ("t10k", test)):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(random.integers(0, 256, (count, 28, 28))))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(count) % 10))
    return raw


@pytest.fixture
def no_network(monkeypatch):
    """Downloads fail as they do without a network; the files asked for are noted."""
    asked = []

    def fail(url, **options):
        asked.append(url)
        raise URLError("no network in tests")

    monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", fail)
    return asked


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_files_that_are_there_are_not_downloaded(folder, tmp_path, no_network, name):
    lay_out(tmp_path, name)
    data = folder.dataset.load(name, tmp_path, CPU)
    assert [len(data.split(split)) for split in ("train", "validation", "test")] == [220, 20, 60]
    assert counts(data.train).tolist() == [22] * 10 and counts(data.validation).tolist() == [2] * 10
    assert len(data.class_names) == 10 and data.normalisation == folder.dataset.NORMALISATION[name]
    assert no_network == []


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
@pytest.mark.parametrize("place", ["there", "not/yet/there"])
def test_missing_files_are_named_with_the_ways_out_and_nothing_is_left_behind(
    folder, tmp_path, no_network, name, place
):
    (tmp_path / "there").mkdir()
    with pytest.raises(SpecDNNError) as error:
        folder.dataset.load(name, tmp_path / place, CPU)
    for word in (
        name,
        str(tmp_path / place / name / "raw"),
        "train-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
        "--data-dir",
        "--dataset digits",
        "SPECDNN_DATA",
    ):
        assert word in str(error.value)
    assert "\n" not in str(error.value)
    assert no_network and sorted(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_only_the_missing_files_are_named_and_the_others_stay(folder, tmp_path, no_network):
    raw = lay_out(tmp_path)
    (raw / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(SpecDNNError) as error:
        folder.dataset.load("MNIST", tmp_path, CPU)
    assert "t10k-labels-idx1-ubyte" in str(error.value) and "train-images" not in str(error.value)
    assert len(os.listdir(raw)) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b[:10],
        lambda b: b"",
        lambda b: b"\0" * len(b),
        gzip.compress,
        lambda b: b + b"\0",
        lambda b: b"<html>not found</html>",
    ],
    ids=["truncated", "head only", "empty", "zeros", "still packed", "too long", "a web page"],
)
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_damaged_files_are_an_error_that_says_so(folder, tmp_path, no_network, damage, file):
    raw = lay_out(tmp_path)
    (raw / file).write_bytes(damage((raw / file).read_bytes()))
    with pytest.raises(SpecDNNError, match="cannot be read") as error:
        folder.dataset.load("MNIST", tmp_path, CPU)
    assert "--data-dir" in str(error.value) and "\n" not in str(error.value)


def test_images_and_labels_that_do_not_match_are_refused(folder, tmp_path, no_network):
    raw = lay_out(tmp_path)
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(100) % 10))
    with pytest.raises(SpecDNNError):
        folder.dataset.load("MNIST", tmp_path, CPU)


def test_a_data_folder_below_a_file(folder, tmp_path, no_network):
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecDNNError, match="--data-dir"):
        folder.dataset.load("MNIST", tmp_path / "file" / "data", CPU)
    assert os.listdir(tmp_path) == ["file"]


# ------------------------------------------------------------------------------------------ other places and names


def dotted(raw: Path) -> None:
    for path in list(raw.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))


def packed(raw: Path) -> None:
    for path in list(raw.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def moved_to(*parts):
    def move(raw: Path) -> None:
        place = raw.parent.parent.joinpath(*parts)
        for path in list(raw.iterdir()):
            path.rename(place / path.name)
        raw.rmdir()

    return move


@pytest.mark.parametrize("name", ["MNIST", "KMNIST"])
@pytest.mark.parametrize("place", [None, (), ("{name}",)], ids=["raw", "the folder itself", "the data set's folder"])
@pytest.mark.parametrize("spelling", [[], [dotted], [packed], [dotted, packed]], ids=lambda s: f"{len(s)}")
def test_files_are_read_under_their_common_names_and_places_and_nothing_is_written(
    folder, tmp_path, no_network, listing, name, place, spelling
):
    expected = folder.dataset.load(name, lay_out(tmp_path / "usual", name).parent.parent, CPU)
    raw = lay_out(tmp_path / "data", name)
    for change in spelling:
        change(raw)
    if place is not None:
        moved_to(*(part.format(name=name) for part in place))(raw)
    before = listing(tmp_path)
    data = folder.dataset.load(name, tmp_path / "data", CPU)
    for split in ("train", "validation", "test"):
        assert torch.equal(data.split(split).images, expected.split(split).images)
        assert torch.equal(data.split(split).labels, expected.split(split).labels)
    assert listing(tmp_path) == before and no_network == []
    found_in = [note for note in data.notes if note.startswith(f"{name} is read from ")]
    assert len(found_in) == (place is not None)


def test_a_whole_set_is_preferred_to_a_part_of_one(folder, tmp_path, no_network):
    raw = lay_out(tmp_path)
    shutil.copytree(raw, tmp_path, dirs_exist_ok=True)
    (raw / "t10k-labels-idx1-ubyte").unlink()
    assert len(folder.dataset.load("MNIST", tmp_path, CPU).test) == 60


def test_a_part_of_a_set_is_not_completed_by_a_download(folder, tmp_path, no_network, listing):
    raw = lay_out(tmp_path)
    dotted(raw)
    (raw / "train-labels.idx1-ubyte").unlink()
    before = listing(tmp_path)
    with pytest.raises(SpecDNNError, match="lacks train-labels-idx1-ubyte: add what is missing"):
        folder.dataset.load("MNIST", tmp_path, CPU)
    assert no_network == [] and listing(tmp_path) == before


def test_what_lies_there_instead_is_told(folder, tmp_path, no_network):
    (tmp_path / "mnist.npz").write_bytes(b"")
    with pytest.raises(SpecDNNError, match=r"holds mnist.npz\)"):
        folder.dataset.load("MNIST", tmp_path, CPU)
    for number in range(7):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with pytest.raises(SpecDNNError, match=r"holds 0.png, 1.png, 2.png, 3.png, 4.png and more\)"):
        folder.dataset.load("MNIST", tmp_path, CPU)


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Downloads come from a tiny set of files; after `fail_at` of them the connection breaks."""
    source, state = lay_out(tmp_path / "server"), {"fail_at": 9, "error": URLError("broken")}

    def fetch(url, download_root, filename, **options):
        if state["fail_at"] == 0:
            (Path(download_root) / filename).write_bytes(b"half")
            raise state["error"]
        state["fail_at"] -= 1
        file = filename.removesuffix(".gz")
        shutil.copy(source / file, Path(download_root) / file)

    monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", fetch)
    return state


def test_a_download_leaves_the_four_files(folder, tmp_path, server):
    data = folder.dataset.load("KMNIST", tmp_path / "data", CPU)
    assert len(data.test) == 60
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == sorted(folder.dataset.RAW_FILES)
    assert {path.parent for path in files} == {tmp_path / "data" / "KMNIST" / "raw"}
    assert len(os.listdir(tmp_path / "data")) == 1


@pytest.mark.parametrize(
    "error, raised",
    [(error, SpecDNNError) for error in (URLError("broken"), IncompleteRead(b""), EOFError("half"), zlib.error("x"))]
    + [(KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_broken_download_leaves_nothing(folder, tmp_path, server, error, raised):
    server.update(fail_at=3, error=error)
    with pytest.raises(raised):
        folder.dataset.load("MNIST", tmp_path / "data", CPU)
    assert not (tmp_path / "data").exists()


# ------------------------------------------------------------------------------------------ files that are wrong


def refused(folder, data_dir: Path, name="MNIST") -> str:
    with pytest.raises(SpecDNNError) as error:
        folder.dataset.load(name, data_dir, CPU)
    assert "\n" not in str(error.value)
    return str(error.value)


def head(kind: int, *sizes: int) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in (kind, *sizes))


@pytest.mark.parametrize("pack", [lambda b: b, gzip.compress], ids=["plain", "packed"])
@pytest.mark.parametrize(
    "content, told",
    [
        (head(2051, 2**32 - 1, 28, 28) + bytes(784), "says that it holds 4,294,967,295 images"),
        (head(2051, 0, 28, 28), "says that it holds 0 images"),
        (head(2051, 10**6, 28, 28) + bytes(784), "does not hold the 1,000,000 images"),
        (head(2051, 2, 28, 28) + bytes(3 * 784), "does not hold the 2 images"),
        (head(2051, 2, 32, 32) + bytes(2 * 1024), "32x32 pixels, not 28x28"),
        (head(2051, 2, 2**32 - 1, 2**32 - 1), "4294967295x4294967295 pixels"),
        (head(2049, 784) + bytes(784), "begins with the number 2049, a file of images with 2051"),
        (head(0x0D03, 2, 28, 28) + bytes(8 * 784), "begins with the number 3331"),
    ],
    ids=["bomb", "none", "a million", "one too many", "32x32", "huge images", "labels", "floats"],
)
def test_a_file_whose_head_is_wrong_is_named_with_what_is_wrong(folder, tmp_path, no_network, content, told, pack):
    raw = lay_out(tmp_path)
    packed(raw)
    path = raw / ("train-images-idx3-ubyte" + ("" if pack(b"") == b"" else ".gz"))
    path.write_bytes(pack(content))
    sentence = refused(folder, tmp_path)
    assert f"{path} cannot be read: " in sentence and told in sentence


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b[:5],
        lambda b: b"",
        gzip.decompress,
        lambda b: b[:-8] + bytes(8),
        lambda b: b[: len(b) // 2] + bytes(8) + b[len(b) // 2 + 8 :],
        lambda b: b + b"more",
    ],
    ids=["truncated", "head only", "empty", "not packed", "wrong checksum", "damaged", "too long"],
)
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
def test_a_damaged_packed_file_is_named(folder, tmp_path, no_network, damage, file):
    raw = lay_out(tmp_path)
    packed(raw)
    whole = (raw / file).read_bytes()
    (raw / file).write_bytes(damage(whole))
    assert f"{raw / file} cannot be read: " in refused(folder, tmp_path)


def test_files_of_different_length_are_both_named(folder, tmp_path, no_network):
    raw = lay_out(tmp_path)
    (raw / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(59) % 10))
    sentence = refused(folder, tmp_path)
    assert f"{raw / 't10k-images-idx3-ubyte'} holds 60 images, t10k-labels-idx1-ubyte 59 labels" in sentence


@pytest.mark.parametrize("file, count", [("train-labels-idx1-ubyte", 240), ("t10k-labels-idx1-ubyte", 60)])
@pytest.mark.parametrize(
    "labels, wrong", [(lambda n: n % 26 + 1, 26), (lambda n: n % 11, 10), (lambda n: n % 256, 239)]
)
def test_labels_that_are_no_class_are_refused(folder, tmp_path, no_network, file, count, labels, wrong):
    raw = lay_out(tmp_path)
    numbers = labels(np.arange(240))[-count:]
    (raw / file).write_bytes(idx(numbers))
    assert f"{raw / file} holds label {wrong}: labels of MNIST are 0 to 9" in refused(folder, tmp_path)


# ------------------------------------------------------------------------------------------ small and uneven sets


def labelled(data_dir: Path, labels, test=60) -> Path:
    """A tiny data set with these training labels."""
    raw = lay_out(data_dir, train=len(labels), test=test)
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(np.array(labels)))
    return data_dir


@pytest.mark.parametrize("size", [20, 37, 100, 101, 240, 1813, 6000])
def test_small_sets_are_divided_so_that_every_class_is_in_both_parts(folder, tmp_path, no_network, size):
    data = folder.dataset.load("MNIST", labelled(tmp_path, np.arange(size) % 10), CPU)
    counts = data.images_per_class()
    assert min(counts["train"]) >= 1 and min(counts["validation"]) >= 1
    assert sum(counts["train"]) + sum(counts["validation"]) == size
    assert sum(counts["validation"]) <= size / 2 and max(counts["validation"]) - min(counts["validation"]) <= 1
    assert counts["test"] == (6,) * 10


@pytest.mark.parametrize("of_three", [0, 1, 2, 5])
@pytest.mark.parametrize("size", [100, 6000])
def test_a_class_of_few_images_does_not_keep_the_others_from_being_loaded(folder, tmp_path, no_network, of_three, size):
    others = np.array([c for c in range(10) if c != 3])[np.arange(size) % 9]
    labels = np.concatenate([others, np.full(of_three, 3)])
    counts = folder.dataset.load("MNIST", labelled(tmp_path, labels), CPU).images_per_class()
    assert counts["train"][3] + counts["validation"][3] == of_three
    assert of_three == 0 or counts["train"][3] >= 1
    assert all(n > 0 for c, n in enumerate(counts["validation"]) if c != 3)


@pytest.mark.parametrize("labels", [range(10), [0, 0, 1, 1, 2, 2], [5]])
def test_a_set_that_cannot_be_divided_is_refused(folder, tmp_path, no_network, labels):
    sentence = refused(folder, labelled(tmp_path, list(labels)))
    assert f"holds {len(labels)} image" in sentence and "at least 2 of each class are needed" in sentence
    assert "class 0 has 1" in sentence or "class 3 has 0" in sentence or len(labels) == 1


def test_another_size_than_the_standard_one_is_told(folder, tmp_path, no_network):
    notes = folder.dataset.load("MNIST", labelled(tmp_path, np.arange(1813) % 10), CPU).notes
    assert len(notes) == 1 and "holds 1,813 training and 60 test images" in notes[0]
    assert "MNIST has 60,000 training and 10,000 test images" in notes[0]


def test_nothing_is_told_of_the_standard_sets(digits, mnist):
    assert digits.notes == () and mnist.notes == ()


# ------------------------------------------------------------------------------------------ normalised otherwise


def test_images_normalised_otherwise_are_the_same_images(digits):
    other = digits.renormalised((0.5, 0.25))
    assert other.normalisation == (0.5, 0.25) and other.class_names == digits.class_names
    for split in ("train", "validation", "test"):
        torch.testing.assert_close(pixels(other, other.split(split)), pixels(digits, digits.split(split)))
        assert torch.equal(other.split(split).labels, digits.split(split).labels)
    assert digits.renormalised(digits.normalisation) is digits


# ------------------------------------------------------------------------------------------ start-up


def test_the_class_names_are_torchvision_s(folder):
    for name in ("FashionMNIST", "KMNIST"):
        assert folder.dataset.CLASS_NAMES[name] == tuple(getattr(torchvision_datasets, name).classes)


def test_importing_the_data_sets_loads_no_heavy_library(folder):
    asked = "import sys, dataset; print({'torch', 'torchvision', 'sklearn'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=folder.path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder.path.parent), str(folder.path)])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set()\n"
