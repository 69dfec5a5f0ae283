"""The MNIST family and `digits`: where the images come from, their splits, normalisation, class names."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specdnn import files
from specdnn.structures import Dataset, SpecDNNError, Split

if TYPE_CHECKING:
    import torch  # loaded where it is needed: the help and a mistake in the options do not wait for it

# (mean, standard deviation) of the training pixels in 0..1
NORMALISATION = {
    "MNIST": (0.1307, 0.3081),
    "FashionMNIST": (0.2860, 0.3530),
    "KMNIST": (0.1918, 0.3483),
    "digits": (0.3050, 0.3247),
}
CLASS_NAMES = {name: tuple("0123456789") for name in NORMALISATION} | {
    "FashionMNIST": ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat")
    + ("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    "KMNIST": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}
KINDS = {"images-idx3": (2051, 3), "labels-idx1": (2049, 1)}  # magic number and dimensions of an idx file
RAW_FILES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in KINDS]
STANDARD_SIZE = (60_000, 10_000)  # training (and validation) and test images of MNIST and its kin
MOST_IMAGES = 1_000_000  # a file that claims more is damaged, or would not fit in memory
HELD_OUT = 2  # validation images of a class, on average, in a set too small for a twelfth
# The splits do not depend on --seed: no parent of any seed may have trained on validation images.
SPLIT_SEED = 0
IMAGE_SHAPE = (1, 28, 28)
DEFAULT = "MNIST"  # its checkpoints lie in the save folder itself


def load(name: str, data_dir: Path, device: torch.device) -> Dataset:
    """The data set as tensors on `device`, images (n, 1, 28, 28) float32 normalised.

    MNIST and its kin: 55,000/5,000/10,000; `digits`: 1,257/180/360. Raises SpecDNNError if files are missing.
    """
    (images, labels), test, notes = _digits() if name == "digits" else _mnist_like(name, data_dir)
    held_out = round(len(labels) / (8 if name == "digits" else 12))
    training, validation = _stratified(images, labels, held_out)
    splits = (_split(name, part, device) for part in (training, validation, test))
    return Dataset(name, CLASS_NAMES[name], NORMALISATION[name], *splits, notes)


# ------------------------------------------------------------------------------------------ splits


def _stratified(images, labels, held_out: int):
    """((images, labels) to train on, (images, labels) held out), every class in proportion.

    A set so small that a class would be left out holds out more, at most half; a class of one image is trained on.
    """
    from sklearn.model_selection import train_test_split

    counts = np.bincount(labels)
    single, shared = np.flatnonzero(counts[labels] == 1), np.flatnonzero(counts[labels] > 1)
    held_out = min(max(held_out, HELD_OUT * np.count_nonzero(counts > 1)), len(shared) // 2)
    first, second = train_test_split(shared, test_size=held_out, stratify=labels[shared], random_state=SPLIT_SEED)
    parts = (np.sort(np.concatenate([first, single])), np.sort(second))
    return tuple((images[part], labels[part]) for part in parts)


def _check_divisible(name: str, place: Path, labels: np.ndarray) -> None:
    """Raise SpecDNNError if no training and validation set can be made of these labels."""
    counts = np.bincount(labels, minlength=len(CLASS_NAMES[name]))
    if len(labels) < len(counts) or counts.max() < 2:
        fewest = int(counts.argmin())
        raise SpecDNNError(
            f"{place} holds {_images(len(labels))} to train and validate on, too few to divide: "
            f"class {fewest} has {counts[fewest]}, and at least 2 of each class are needed"
        )


def _images(number: int) -> str:
    return f"{number:,} image{'' if number == 1 else 's'}"


def _split(name: str, part, device: torch.device) -> Split:
    """Pixels in 0..255 to normalised tensors."""
    import torch

    images, labels = part
    mean, deviation = NORMALISATION[name]
    pixels = torch.as_tensor(images, device=device).float().div(255).sub(mean).div(deviation)
    return Split(pixels[:, None], torch.as_tensor(labels, device=device).long())


def _digits():
    """scikit-learn's 1,797 real handwritten digits, 8x8 scaled to 28x28; 360 are the test set."""
    import torch
    from sklearn.datasets import load_digits

    found = load_digits()
    small = torch.as_tensor(found.images)[:, None] * (255 / 16)
    images = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear")[:, 0]
    return *_stratified(images.numpy(), found.target, held_out=360), ()


# ------------------------------------------------------------------------------------------ files


def _mnist_like(name: str, data_dir: Path):
    """((images, labels) to train on, (images, labels) to test with, notes) from the four files of the data set."""
    raw = data_dir / name / "raw"
    paths = _lying(name, data_dir) or _downloaded(name, data_dir)
    train, test = (_part(name, *paths[start : start + 2]) for start in (0, 2))
    place = paths[0].parent
    _check_divisible(name, place, train[1])
    return train, test, tuple(_notes(name, place, place == raw, (train[1], test[1])))


def _notes(name: str, place: Path, usual: bool, labels):
    """What the user may not expect of these files."""
    if not usual:
        yield f"{name} is read from {place}"
    sizes = tuple(len(part) for part in labels)
    if sizes != STANDARD_SIZE:
        found, standard = (f"{train:,} training and {test:,} test images" for train, test in (sizes, STANDARD_SIZE))
        yield f"{place} holds {found}, where {name} has {standard}"


def _lying(name: str, data_dir: Path) -> list[Path]:
    """The four files where they lie, in the order of RAW_FILES; none if nothing of the kind lies there."""
    places = (data_dir / name / "raw", data_dir / name, data_dir)
    found = {place: [_spelt(place, file) for file in RAW_FILES] for place in places}
    for paths in filter(all, found.values()):
        return paths
    for place, paths in found.items():
        if any(paths):
            lacking = ", ".join(file for file, path in zip(RAW_FILES, paths, strict=True) if not path)
            ways = "add what is missing, or take the others away to have all downloaded"
            raise _no_data(name, f"{place} lacks {lacking}: {ways}")
    return []


def _spelt(place: Path, file: str) -> Path | None:
    """The file under one of its common names: `images-idx3` or `images.idx3`, as it is or packed."""
    names = (file, file.replace("-idx", ".idx"))
    paths = (place / f"{spelling}{ending}" for ending in ("", ".gz") for spelling in names)
    return next((path for path in paths if os.path.isfile(path)), None)


def _part(name: str, images_path: Path, labels_path: Path):
    """(images, labels) of two files, which must fit each other and the data set."""
    try:
        images, labels = _read(images_path, "images-idx3"), _read(labels_path, "labels-idx1")
    except _Unreadable as error:
        raise _no_data(name, str(error)) from None
    if len(images) != len(labels):
        unequal = f"{images_path} holds {_images(len(images))}, {labels_path.name} {len(labels):,} labels"
        raise _no_data(name, f"{unequal}, where every image has one label")
    last = len(CLASS_NAMES[name]) - 1
    if labels.max() > last:
        wrong = labels.max()
        raise SpecDNNError(f"{labels_path} holds label {wrong}: labels of {name} are 0 to {last}")
    return images, labels


def _no_data(name: str, why: str) -> SpecDNNError:
    return SpecDNNError(
        f"no {name} data: {why}; name a folder that holds {name}/raw with --data-dir (or SPECDNN_DATA), "
        "or use the embedded data with --dataset digits"
    )


class _Unreadable(Exception):
    """A file that is no idx file of the kind sought; the message names it."""


def _read(path: Path, kind: str) -> np.ndarray:
    """An idx file of 28x28 images or of labels, packed where its name ends in .gz: (n, 28, 28) or (n,) uint8."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = _shape(file.read(4 + 4 * KINDS[kind][1]), kind)
            content = bytearray(file.read(math.prod(shape)))
            if len(content) < math.prod(shape) or file.read(1):
                raise ValueError(f"it does not hold the {shape[0]:,} {kind.partition('-')[0]} that it says")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _Unreadable(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(head: bytes, kind: str) -> tuple[int, ...]:
    """The shape that the head of an idx file tells; raises ValueError if it is another file."""
    magic, dimensions = KINDS[kind]
    numbers = np.frombuffer(head.ljust(4 + 4 * dimensions, b"\0"), ">u4").tolist()
    what = kind.partition("-")[0]
    if numbers[0] != magic:
        raise ValueError(f"it begins with the number {numbers[0]}, a file of {what} with {magic}")
    if tuple(numbers[2:]) not in ((), (28, 28)):
        raise ValueError(f"its images have {numbers[2]}x{numbers[3]} pixels, not 28x28")
    if not 1 <= numbers[1] <= MOST_IMAGES:
        raise ValueError(f"it says that it holds {numbers[1]:,} {what}, where 1 to {MOST_IMAGES:,} are right")
    return tuple(numbers[1:])


# ------------------------------------------------------------------------------------------ downloading


def _downloaded(name: str, data_dir: Path) -> list[Path]:
    """torchvision's files, in place when all of them are there; a broken download leaves nothing behind."""
    from torchvision import datasets

    raw = data_dir / name / "raw"
    try:
        with files.aside(data_dir, name, raw) as place:
            getattr(datasets, name)(place, download=True)
            raw.mkdir(parents=True, exist_ok=True)
            for file in RAW_FILES:
                os.replace(place / name / "raw" / file, raw / file)
    except Exception:  # a connection, or an archive, breaks in many ways
        raise _no_data(name, _nothing_of_the_kind(name, data_dir)) from None
    return [raw / file for file in RAW_FILES]


def _nothing_of_the_kind(name: str, data_dir: Path) -> str:
    """What is sought, what lies there instead, and that it could not be downloaded."""
    instead = files.what_lies_in(data_dir)
    return f"{data_dir / name / 'raw'} lacks {', '.join(RAW_FILES)}{instead}, and downloading failed"
