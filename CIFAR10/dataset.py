"""CIFAR-10: where the images come from, their splits, normalisation, class names, and what training changes in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specdnn import files
from specdnn.structures import Dataset, SpecDNNError, Split

if TYPE_CHECKING:
    import torch  # loaded where it is needed: the help and a mistake in the options do not wait for it

DEFAULT = "CIFAR10"  # its checkpoints lie in the save folder itself
# (means, standard deviations) of red, green and blue in 0..1 that the published networks were trained with
NORMALISATION = {DEFAULT: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLASS_NAMES = {DEFAULT: NAMES}
IMAGE_SHAPE = (3, 32, 32)
PICKLED, BINARY = "cifar-10-batches-py", "cifar-10-batches-bin"  # torchvision's folder, and the authors' other one
BATCHES = ([f"data_batch_{number}.bin" for number in range(1, 6)], ["test_batch.bin"])
RECORD = 1 + 3 * 32 * 32  # bytes: the label, then red, green and blue, row by row
STANDARD_SIZE = (50_000, 10_000)  # training (and validation) and test images
HELD_OUT = 1 / 10  # of the training images, for validation
# The splits do not depend on --seed: no parent of any seed may have trained on validation images.
SPLIT_SEED = 0
PADDING = 4  # pixels that a training image is moved by, at most


def load(name: str, data_dir: Path, device: torch.device) -> Dataset:
    """The data set as tensors on `device`, images (n, 3, 32, 32) float32 normalised: 45,000/5,000/10,000.

    Raises SpecDNNError if files are missing or damaged.
    """
    place, train, test = _lying(data_dir) or _pickled(_downloaded(data_dir))
    parts = (*_divided(place, *train), test)
    splits = (_split(*part, device) for part in parts)
    return Dataset(name, NAMES, NORMALISATION[name], *splits, _notes(place, train, test), augmented)


# ------------------------------------------------------------------------------------------ in training


def augmented(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each image mirrored or not, and moved by up to 4 pixels either way, zeros beyond its edge (He et al. 2015)."""
    import torch

    (count, _, height, width), device = images.shape, images.device
    drawn = torch.randint(0, 2 * PADDING + 1, (2, count, 1), generator=generator).to(device)
    mirrored = torch.randint(0, 2, (count, 1), generator=generator).to(device).bool()
    columns = torch.arange(width, device=device).expand(count, -1)
    columns = torch.where(mirrored, columns.flip(1), columns) + drawn[1]
    rows = torch.arange(height, device=device) + drawn[0]
    padded = torch.nn.functional.pad(images, [PADDING] * 4).movedim(1, -1)
    each = torch.arange(count, device=device)[:, None, None]
    return padded[each, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


# ------------------------------------------------------------------------------------------ splits


def _divided(place: Path, images: np.ndarray, labels: np.ndarray):
    """((images, labels) to train on, (images, labels) held out), every class in proportion."""
    from sklearn.model_selection import train_test_split

    counts = np.bincount(labels, minlength=len(NAMES))
    if counts.min() < 2:
        raise SpecDNNError(
            f"{place} holds {len(labels):,} images to train and validate on, too few to divide: class "
            f"{counts.argmin()} ({NAMES[counts.argmin()]}) has {counts.min()}, and at least 2 of each class are needed"
        )
    held_out = max(round(HELD_OUT * len(labels)), len(NAMES))
    numbers = np.arange(len(labels))
    parts = train_test_split(numbers, test_size=held_out, stratify=labels, random_state=SPLIT_SEED)
    return tuple((images[np.sort(part)], labels[np.sort(part)]) for part in parts)


def _split(images: np.ndarray, labels: np.ndarray, device: torch.device) -> Split:
    """Pixels in 0..255 to normalised tensors."""
    import torch

    mean, deviation = (torch.tensor(one, device=device)[:, None, None] for one in NORMALISATION[DEFAULT])
    pixels = torch.as_tensor(images, device=device).float().div_(255).sub_(mean).div_(deviation)
    return Split(pixels, torch.as_tensor(labels, device=device).long())


def _notes(place: Path, train, test) -> tuple[str, ...]:
    """What the user may not expect of these files."""
    sizes = tuple(len(labels) for _, labels in (train, test))
    if sizes == STANDARD_SIZE:
        return ()
    found, standard = (f"{train:,} training and {test:,} test images" for train, test in (sizes, STANDARD_SIZE))
    return (f"{place} holds {found}, where {DEFAULT} has {standard}",)


# ------------------------------------------------------------------------------------------ files


def _lying(data_dir: Path):
    """(folder, (images, labels) to train on, (images, labels) to test with) as they lie there; None if none do.

    Images (n, 3, 32, 32) and labels (n,), uint8.
    """
    if os.path.isdir(data_dir / PICKLED):
        return _pickled(data_dir)
    return _binary(data_dir / BINARY) if os.path.isdir(data_dir / BINARY) else None


def _pickled(data_dir: Path):
    """The same of torchvision's folder, whose files must have the checksums that torchvision knows."""
    from torchvision import datasets

    place = data_dir / PICKLED
    for file, checksum in _checksums(datasets.CIFAR10):
        if not datasets.utils.check_integrity(str(place / file), checksum):
            why = "lacks its checksum" if os.path.isfile(place / file) else "is missing"
            ways = "replace it, or take the folder away to have all downloaded"
            raise _no_data(f"{place / file} {why} ({checksum} in MD5): {ways}")
    parts = (datasets.CIFAR10(data_dir, train=train) for train in (True, False))
    return place, *((part.data.transpose(0, 3, 1, 2), np.array(part.targets, np.uint8)) for part in parts)


def _checksums(source) -> list[tuple[str, str]]:
    """(file, MD5) of what torchvision reads."""
    return [*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])]


def _binary(place: Path):
    """The same of the authors' folder for programs in C."""
    if missing := [file for part in BATCHES for file in part if not os.path.isfile(place / file)]:
        ways = "add what is missing, or take the others away to have all downloaded"
        raise _no_data(f"{place} lacks {', '.join(missing)}: {ways}")
    return place, *(_records([place / file for file in part]) for part in BATCHES)


def _records(paths: list[Path]):
    """(images, labels) of some files of records."""
    found = np.concatenate([_records_of(path) for path in paths])
    return found[:, 1:].reshape(-1, *IMAGE_SHAPE), found[:, 0]


def _records_of(path: Path) -> np.ndarray:
    """(images, 3073) uint8 of a file; raises SpecDNNError if it is none of records with labels 0 to 9."""
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise _no_data(f"{path} cannot be read: {error.strerror or error}") from None
    if not len(content) or len(content) % RECORD:
        raise _no_data(f"{path} has {len(content):,} bytes, not a whole number of images of {RECORD:,} bytes each")
    records = content.reshape(-1, RECORD)
    wrong = np.flatnonzero(records[:, 0] >= len(NAMES))
    if len(wrong):
        first = wrong[0]
        raise _no_data(
            f"{path} holds label {records[first, 0]} (image {first}, counted from 0): labels are 0 to {len(NAMES) - 1}"
        )
    return records


def _no_data(why: str) -> SpecDNNError:
    return SpecDNNError(
        f"no {DEFAULT} data: {why}; name a folder that holds {PICKLED} or {BINARY} with --data-dir (or SPECDNN_DATA)"
    )


# ------------------------------------------------------------------------------------------ downloading


def _downloaded(data_dir: Path) -> Path:
    """Where torchvision's folder lies, in place when all of it is there; a broken download leaves nothing behind."""
    from torchvision import datasets

    try:
        with files.aside(data_dir, DEFAULT, data_dir) as place:
            datasets.CIFAR10(place, download=True)
            os.replace(place / PICKLED, data_dir / PICKLED)
    except Exception:  # a connection, or an archive, breaks in many ways
        raise _no_data(_nothing_of_the_kind(data_dir)) from None
    return data_dir


def _nothing_of_the_kind(data_dir: Path) -> str:
    """What is sought, what lies there instead, and that it could not be downloaded."""
    instead = files.what_lies_in(data_dir)
    return f"neither {data_dir / PICKLED} nor {data_dir / BINARY} is there{instead}, and downloading failed"
