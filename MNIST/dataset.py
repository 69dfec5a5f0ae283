"""The MNIST family and `digits`: where the images come from, their splits, normalisation, class names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torchvision import datasets

from specdnn.structures import Dataset, SpecDNNError, Split

# (mean, standard deviation) of the training pixels in 0..1
NORMALISATION = {
    "MNIST": (0.1307, 0.3081),
    "FashionMNIST": (0.2860, 0.3530),
    "KMNIST": (0.1918, 0.3483),
    "digits": (0.3050, 0.3247),
}
CLASS_NAMES = {name: tuple("0123456789") for name in NORMALISATION} | {
    "FashionMNIST": tuple(datasets.FashionMNIST.classes),
    "KMNIST": tuple(datasets.KMNIST.classes),
}
RAW_FILES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
# The splits do not depend on --seed: no parent of any seed may have trained on validation images.
SPLIT_SEED = 0
DEFAULT = "MNIST"  # its checkpoints lie in the save folder itself


def load(name: str, data_dir: Path, device: torch.device) -> Dataset:
    """The data set as tensors on `device`, images (n, 1, 28, 28) float32 normalised.

    MNIST and its kin: 55,000/5,000/10,000; `digits`: 1,257/180/360. Raises SpecDNNError if files are missing.
    """
    (images, labels), test = _digits() if name == "digits" else _torchvision(name, data_dir)
    held_out = round(len(labels) / (8 if name == "digits" else 12))
    training, validation = _stratified(images, labels, held_out)
    splits = (_split(name, part, device) for part in (training, validation, test))
    return Dataset(name, CLASS_NAMES[name], NORMALISATION[name], *splits)


def _stratified(images, labels, held_out: int):
    """((images, labels) to train on, (images, labels) held out), every class in proportion."""
    first, second = train_test_split(
        np.arange(len(labels)), test_size=held_out, stratify=labels, random_state=SPLIT_SEED
    )
    return tuple((images[np.sort(part)], labels[np.sort(part)]) for part in (first, second))


def _split(name: str, part, device: torch.device) -> Split:
    """Pixels in 0..255 to normalised tensors."""
    images, labels = part
    mean, deviation = NORMALISATION[name]
    pixels = torch.as_tensor(images, device=device).float().div(255).sub(mean).div(deviation)
    return Split(pixels[:, None], torch.as_tensor(labels, device=device).long())


def _digits():
    """scikit-learn's 1,797 real handwritten digits, 8x8 scaled to 28x28; 360 are the test set."""
    found = load_digits()
    small = torch.as_tensor(found.images)[:, None] * (255 / 16)
    images = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear")[:, 0]
    return _stratified(images.numpy(), found.target, held_out=360)


def _torchvision(name: str, data_dir: Path):
    source = getattr(datasets, name)
    raw = data_dir / name / "raw"
    before = {path for path in (raw, *raw.parents) if path.exists()}
    try:
        parts = [source(data_dir, train=train, download=not _complete(name, data_dir)) for train in (True, False)]
        if any(part.data.shape != (len(part.targets), 28, 28) for part in parts):
            raise ValueError("expected a label for each image of 28x28 pixels")
    except (OSError, RuntimeError, ValueError, AssertionError, KeyError) as error:
        _remove_empty(raw, before)
        raise SpecDNNError(_missing(name, data_dir, error)) from None
    return [(part.data.numpy(), part.targets.numpy()) for part in parts]


def _complete(name: str, data_dir: Path) -> bool:
    return all((data_dir / name / "raw" / file).exists() for file in RAW_FILES)


def _missing(name: str, data_dir: Path, error: Exception) -> str:
    raw = data_dir / name / "raw"
    sought = [file for file in RAW_FILES if not (raw / file).exists()]
    if sought:
        what = f"lacks {', '.join(sought)}, and downloading failed"
    else:
        what = f"cannot be read ({str(error) or 'damaged'})"
    return (
        f"no {name} data: {raw} {what}; name a folder that holds {name}/raw "
        "with --data-dir (or SPECDNN_DATA), or use the embedded data with --dataset digits"
    )


def _remove_empty(folder: Path, before: set[Path]) -> None:
    """Take away the folders that a failed download has left empty."""
    for path in (folder, *folder.parents):
        if path not in before and path.is_dir() and not os.listdir(path):
            path.rmdir()
