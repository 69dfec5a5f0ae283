"""Images as people have them (two tensors, a torch Dataset, a DataLoader) -> splits that the method works with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from specdnn.structures import Dataset, SpecDNNError, Split

HELD_OUT = 1 / 8  # of the images, for validation, where none are given
KINDS = "a pair of tensors (images, labels), a torch.utils.data.Dataset of (image, label), or a DataLoader of one"


class Streamed:
    """Images of a torch Dataset, read when they are needed: what is used of a tensor (n, channels, height, width)."""

    def __init__(self, source: Any, indices: np.ndarray, device: torch.device, dtype: torch.dtype) -> None:
        self.source, self.indices, self.device, self.dtype = source, indices, device, dtype

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, which: int | slice | torch.Tensor) -> torch.Tensor:
        """One image by its number, or those of a tensor of numbers or a slice as one tensor."""
        if isinstance(which, int):
            return self._image(self.indices[which])
        chosen = self.indices[which.cpu().numpy() if torch.is_tensor(which) else which]
        return torch.stack([self._image(index) for index in chosen])

    def index_select(self, dimension: int, which: torch.Tensor) -> torch.Tensor:
        """As a tensor's along dimension 0."""
        return self[which]

    def part(self, which: torch.Tensor) -> Streamed:
        return Streamed(self.source, self.indices[which.cpu().numpy()], self.device, self.dtype)

    def _image(self, index: int) -> torch.Tensor:
        return torch.as_tensor(self.source[int(index)][0]).to(self.device, self.dtype)

    def split(self, size: int) -> Iterator[torch.Tensor]:
        return (self[first : first + size] for first in range(0, len(self), size))

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"


def dataset_of(
    data: Any,
    validation: Any,
    test: Any,
    classes: int,
    names: Iterable[str] | None,
    like: torch.Tensor,
    limit: float,
    vocabulary: float = 0,
) -> Dataset:
    """A data set of what a user gives; without `validation` a part of `data` is held out, every class in proportion.

    Images are of the device and type of `like`; those that take more than `limit` bytes are streamed. Without `test`
    its place is taken by validation. `vocabulary`: images may be whole numbers below it, those of words. Raises
    SpecDNNError where images or labels are not what a classifier of so many `classes` is trained on.
    """
    read = functools.partial(_read, classes=classes, like=like, limit=limit, vocabulary=vocabulary)
    train = read(data, what="data")
    held = read(validation, what="validation") if validation is not None else None
    if held is None:
        train, held = _divided(train)
    tested = read(test, what="test") if test is not None else held
    names = tuple(map(str, names)) if names is not None else tuple(map(str, range(classes)))
    if len(names) != classes:
        raise SpecDNNError(f"class_names has {len(names)} names; the network has {classes} classes")
    return Dataset("", names, (0.0, 1.0), train, held, tested)


def _read(given: Any, classes: int, like: torch.Tensor, limit: float, vocabulary: float, what: str) -> Split:
    if isinstance(given, DataLoader):
        given = given.dataset
    if isinstance(given, (tuple, list)) and len(given) == 2 and all(map(torch.is_tensor, given)):
        images, labels = given[0].detach(), given[1].detach()
        read: Callable[[], torch.Tensor | Streamed] = lambda: images.to(like)  # noqa: E731
    elif hasattr(given, "__getitem__") and hasattr(given, "__len__") and not isinstance(given, IterableDataset):
        images, labels = given, _labels_of(given, what)
        read = lambda: _stacked(given, like, limit)  # noqa: E731
    else:
        raise SpecDNNError(f"{what} must be {KINDS}, not {type(given).__name__}")
    _check(images, labels, classes, vocabulary, what)
    split = Split(read(), labels.to(like.device, torch.int64))
    if vocabulary and torch.is_tensor(split.images):
        _check_range(split.images, vocabulary, what, "words")
    return split


def _stacked(given: Any, like: torch.Tensor, limit: float) -> torch.Tensor | Streamed:
    """All images as one tensor, if it is not larger than the limit."""
    streamed = Streamed(given, np.arange(len(given)), like.device, like.dtype)
    size = streamed[0].numel() * like.element_size() * len(given)
    return streamed if size > limit else streamed[:]


def _labels_of(given: Any, what: str) -> torch.Tensor:
    """(n,) labels of a Dataset; `targets`, as torchvision's have them, spare reading the images."""
    told = getattr(given, "targets", None)
    if told is None or len(told) != len(given) or getattr(given, "target_transform", None) is not None:
        told = [_second(given[k], what) for k in range(len(given))]
    return torch.as_tensor(np.asarray(told))


def _second(pair: Any, what: str) -> int:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise SpecDNNError(f"{what} must give pairs of an image and its label, not {type(pair).__name__}")
    return int(pair[1])


def _check(images: Any, labels: torch.Tensor, classes: int, vocabulary: float, what: str) -> None:
    if torch.is_tensor(images) and not (images.is_floating_point() or vocabulary):
        raise SpecDNNError(
            f"{what}: images are {images.dtype}; give numbers as the network takes them, such as x / 255"
        )
    if labels.dim() != 1 or labels.is_floating_point() or len(labels) != len(images) or len(labels) == 0:
        raise SpecDNNError(
            f"{what}: labels must be one whole number per image, not {tuple(labels.shape)} of {labels.dtype} for "
            f"{len(images)} images"
        )
    _check_range(labels, classes, what, "labels", "classes")


def _check_range(given: torch.Tensor, limit: float, what: str, name: str, names: str = "") -> None:
    low, high = int(given.min()), int(given.max())
    if low < 0 or high >= limit:
        raise SpecDNNError(f"{what}: {name} go from {low} to {high}; the network has {names or name} 0 to {limit - 1}")


def _divided(whole: Split) -> tuple[Split, Split]:
    """(training, validation), every class in proportion; the same division whatever the seed."""
    labels = whole.labels.cpu().numpy()
    generator = np.random.default_rng(0)
    held = np.zeros(len(labels), dtype=bool)
    for wanted in np.unique(labels):
        own = generator.permutation(np.flatnonzero(labels == wanted))
        held[own[: max(1, round(HELD_OUT * len(own)))] if len(own) > 1 else own[:0]] = True
    train, validation = (whole.part(torch.as_tensor(np.flatnonzero(own))) for own in (~held, held))
    return train, validation
