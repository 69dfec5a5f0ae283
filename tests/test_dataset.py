"""Splits, normalisation and missing files of the data sets."""

import gzip
import os
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
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
