"""The value types that pass between the rooms: plain, frozen, checked when built.

Nothing here imports torch or touches a disk; `Split` and `Dataset` merely carry tensors.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np

Tensor: TypeAlias = Any  # a torch.Tensor, or images that are streamed; named without torch
Record: TypeAlias = dict[str, Any]  # what a file of JSON or of a checkpoint holds under names
PerChannel: TypeAlias = float | tuple[float, ...]  # a number for all channels, or one for each
Normalisation: TypeAlias = tuple[PerChannel, ...]  # mean and deviation of pixels in 0..1; empty where not known
Architectures: TypeAlias = Mapping[str, Callable[[], Any]]  # name -> what makes a network, a torch module
Nodes: TypeAlias = np.ndarray | Sequence[Any]  # numbers of nodes of a class graph
Tick: TypeAlias = Callable[[], object]  # called after each part of a long work


class SpecDNNError(Exception):
    """Something the user can put right; the message is one sentence that says how."""


def first_line(error: Exception) -> str:
    """What an error says, in a line that a sentence can go on after."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


# ------------------------------------------------------------------------------------------ networks


class Networks(Mapping[str, type]):
    """Name -> class of the networks of a dataset folder, each in a file of its own name; imported when asked for.

    So the command line knows the names before anything slow is loaded.
    """

    def __init__(self, package: str, *names: str) -> None:
        self.package, self.names = package, names

    def __getitem__(self, name: str) -> type:
        if name not in self.names:
            raise KeyError(name)
        network_type: type = getattr(importlib.import_module(f"{self.package}.{name}"), name)
        return network_type

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def paper_rule_of(network_type: Callable[[], Any]) -> Callable[[tuple[int, ...]], int] | None:
    """The function `paper_rule_weights(widths)` in the file of a network: weights as a published table counts them."""
    return getattr(sys.modules.get(network_type.__module__), "paper_rule_weights", None)


@dataclass(frozen=True)
class Layer:
    """The units that the same modules make and read, in the order of the module that makes them first.

    `name` is that module's (`input` for the image). `channels`: the channel of each unit where several places of one
    are units (a map that is flattened), else empty.
    """

    name: str
    units: int
    prunable: bool = True
    channels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.units < 1 or len(self.channels) not in (0, self.units):
            raise ValueError(f"layer {self.name}: needs at least one unit, and a channel for each or none")


@dataclass(frozen=True)
class Layers:
    """The layers of a network in order of execution, the input first, the outputs last."""

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if len(self.layers) < 2 or self.layers[-1].prunable:
            raise ValueError("the last layer are the outputs, which are not prunable")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.layers)

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(layer.units for layer in self.layers)

    @property
    def prunable(self) -> tuple[int, ...]:
        """Depths of the prunable layers."""
        return tuple(d for d, layer in enumerate(self.layers) if layer.prunable)

    @property
    def offsets(self) -> np.ndarray:
        """First node of every layer, and the number of nodes at the end."""
        return np.concatenate([[0], np.cumsum(self.widths)]).astype(np.int64)


@dataclass(frozen=True)
class Pin:
    """An operation that is not understood, and how many units have to stay for it."""

    operation: str
    units: int


@dataclass(frozen=True)
class KeptUnits:
    """Per layer, the input and the outputs included, which units of the parent stay (sorted indices)."""

    units: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        for depth, units in enumerate(self.units):
            if not units or list(units) != sorted(set(units)) or units[0] < 0:
                raise ValueError(f"kept units of layer {depth} must be sorted, distinct and not empty")

    @classmethod
    def everything(cls, layers: Layers) -> KeptUnits:
        return cls(tuple(tuple(range(width)) for width in layers.widths))

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(len(units) for units in self.units)

    def channels(self, layers: Layers) -> tuple[int, ...]:
        """Per layer the number of channels these units lie in; `layers` are the parent's."""
        both = zip(self.units, layers.layers, strict=True)
        return tuple(len({layer.channels[u] for u in units} if layer.channels else units) for units, layer in both)

    def by_layer(self, layers: Layers) -> dict[str, tuple[int, ...]]:
        """Name of the layer -> its kept units, as the metrics file has them."""
        return dict(zip(layers.names, self.units, strict=True))

    @property
    def classes(self) -> tuple[int, ...]:
        """The wanted classes are the kept units of the output layer."""
        return self.units[-1]

    def replace(self, depth: int, units: Iterable[int]) -> KeptUnits:
        """The same with other units at one depth (0 is the input)."""
        changed = tuple(sorted(int(u) for u in units))
        return KeptUnits(self.units[:depth] + (changed,) + self.units[depth + 1 :])

    def within(self, wider: KeptUnits) -> list[np.ndarray]:
        """Per layer the positions of these units among those of `wider`.

        Raises ValueError if a unit is not there.
        """
        positions = []
        for inner, outer in zip(self.units, wider.units, strict=True):
            if not set(inner) <= set(outer):
                raise ValueError("these units are not a subset of the network's units")
            positions.append(np.searchsorted(np.array(outer), np.array(inner)))
        return positions


# ------------------------------------------------------------------------------------------ graphs


@dataclass(frozen=True)
class Connections:
    """All connections of one link: `strengths` (sources, targets) between these nodes."""

    sources: np.ndarray
    targets: np.ndarray
    strengths: np.ndarray


@dataclass(frozen=True)
class ClassGraph:
    """Units and kept connections, weighted by what the wanted classes activate.

    Nodes number the parent's units layer after layer, so an id means the same unit in every round.
    `edges`: (E, 2) int64 nodes, source then target. `strengths`: (E,) float64, positive.
    `relevance`: per layer an array of the parent's width, 0 for units that are no longer there.
    """

    layers: Layers
    edges: np.ndarray
    strengths: np.ndarray
    relevance: tuple[np.ndarray, ...]
    wanted: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.edges.shape != (len(self.strengths), 2):
            raise ValueError("one strength per edge")
        if not np.all(np.isfinite(self.strengths) & (self.strengths > 0)):
            raise ValueError("strengths must be positive and finite")

    @property
    def offsets(self) -> np.ndarray:
        """First node of every layer, and the number of nodes at the end."""
        return self.layers.offsets

    def nodes(self, depth: int, units: Sequence[int] | np.ndarray) -> np.ndarray:
        numbers: np.ndarray = self.offsets[depth] + np.asarray(units, dtype=np.int64)
        return numbers

    def units(self, nodes: Nodes) -> list[np.ndarray]:
        """Per layer the parent's unit indices of these nodes, ascending."""
        nodes = np.unique(np.asarray(nodes, dtype=np.int64))
        offsets = self.offsets
        cuts = np.searchsorted(nodes, offsets)
        return [nodes[a:b] - start for a, b, start in zip(cuts[:-1], cuts[1:], offsets[:-1], strict=True)]

    @property
    def outputs(self) -> np.ndarray:
        """Nodes of the wanted outputs."""
        return self.nodes(len(self.layers.layers) - 1, self.wanted)


@dataclass(frozen=True)
class Module:
    """One community of a cover: its nodes in the graph's order, and its significance (bs; small is strong).

    `scores` has one number per node, how probable links like its own to the rest of the module are by chance (small:
    firmly inside), or none where nothing was scored: at higher levels, and for a node without edges.
    """

    nodes: tuple[Hashable, ...]
    significance: float
    scores: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.scores and len(self.scores) != len(self.nodes):
            raise ValueError("one score per node, or none")

    @property
    def significant(self) -> bool:
        """A homeless node is listed as a module of one node with bs 1."""
        return len(self.nodes) > 1 and self.significance < 1


@dataclass(frozen=True)
class Cover:
    """What OSLOM or CCME answers: modules that may overlap, the homeless nodes as modules of one.

    `levels` are coarser covers, the first made of these modules, each other one of those before it. A module that
    is carried over alone has bs 1 there.
    """

    modules: tuple[Module, ...]
    levels: tuple[Cover, ...] = ()

    @property
    def significant(self) -> tuple[Module, ...]:
        return tuple(module for module in self.modules if module.significant)

    @property
    def homeless(self) -> tuple[Hashable, ...]:
        return tuple(m.nodes[0] for m in self.modules if len(m.nodes) == 1)


@dataclass(frozen=True)
class ClassCommunity:
    """The module chosen for the wanted classes, with the modules joined to it and the figures to report."""

    nodes: np.ndarray
    significance: float
    output_in_community: bool
    captured_relevance: float
    joined: int
    module_sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.nodes)


@dataclass(frozen=True)
class Step:
    """One cut and the brief training after it, as the metrics file records it.

    `widths` and `channels` per layer, the outputs included; they differ where a convolution is flattened.
    """

    stage: str
    widths: tuple[int, ...]
    channels: tuple[int, ...]
    true_weights: int
    validation_score: float


@dataclass(frozen=True)
class Exhibit:
    """What a picture shows of the compact network of a class.

    `mean_image` (height, width) in 0..255, `places` (rows, columns) the number of kept units at every place of the
    image, `layers` the names of the layers, `strengths` per pair of neighbours an array (source, target), `beyond` such
    arrays between a layer and a later one that is no neighbour: (layer, later layer, strengths).
    """

    name: str
    mean_image: np.ndarray
    places: np.ndarray
    layers: tuple[str, ...]
    strengths: tuple[np.ndarray, ...]
    beyond: tuple[tuple[int, int, np.ndarray], ...] = ()


# ------------------------------------------------------------------------------------------ data


@dataclass(frozen=True)
class Split:
    """Images (n, channels, height, width), normalised, and labels (n,), tensors on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, which: Tensor) -> Split:
        """The images of these numbers (k,), which are not read yet where they are streamed."""
        streamed = getattr(self.images, "part", None)
        images = streamed(which) if streamed else self.images[which.to(self.images.device)]
        return Split(images, self.labels[which.to(self.labels.device)])


@dataclass(frozen=True)
class Dataset:
    """Three splits and what is needed to read them.

    `normalisation` is (mean, standard deviation) of pixels in 0..1, each a number or one per channel. `notes` are
    sentences that the user should read before anything is computed. `augment(images, generator)`, if there is one,
    gives normalised training images changed at random, as many and of the same shape; all that it draws comes from the
    generator, which lies on the processor.
    """

    name: str
    class_names: tuple[str, ...]
    normalisation: Normalisation
    train: Split
    validation: Split
    test: Split
    notes: tuple[str, ...] = ()
    augment: Callable[[Any, Any], Any] | None = None

    def split(self, name: str) -> Split:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def images_per_class(self) -> dict[str, tuple[int, ...]]:
        """Split -> number of images of each class."""
        classes = range(len(self.class_names))
        labels = {name: self.split(name).labels for name in ("train", "validation", "test")}
        return {name: tuple(int((own == c).sum()) for c in classes) for name, own in labels.items()}

    def renormalised(self, normalisation: Normalisation) -> Dataset:
        """The same images, normalised with another (mean, standard deviation), each a number or one per channel."""
        (mean, deviation), (other_mean, other_deviation) = own, other = _rows(self.normalisation), _rows(normalisation)
        if all(np.allclose(a, b, rtol=1e-6, atol=0) for a, b in zip(own, other, strict=True)):  # float32 of the same
            return self
        scale, shift = deviation / other_deviation, (mean - other_mean) / other_deviation
        train, validation, test = (
            replace(split, images=_scaled(split.images, scale, shift))
            for split in (self.train, self.validation, self.test)
        )
        return replace(self, normalisation=normalisation, train=train, validation=validation, test=test)


def _rows(normalisation: Normalisation) -> tuple[np.ndarray, ...]:
    """Mean and deviation, each (1,) or (channels,)."""
    return tuple(np.atleast_1d(np.asarray(one, dtype=np.float64)) for one in normalisation)


def _scaled(images: Tensor, scale: np.ndarray, shift: np.ndarray) -> Tensor:
    """images * scale + shift, numbers for all channels or one for each (dimension 1)."""
    scale, shift = (images.new_tensor(one).reshape(-1, *[1] * (images.dim() - 2)) for one in (scale, shift))
    return images * scale + shift


def normalisation_words(normalisation: Normalisation) -> str:
    """`mean 0.5 and deviation 0.25`; of several channels the numbers with commas between."""
    mean, deviation = (", ".join(f"{number:g}" for number in row) for row in _rows(normalisation))
    return f"mean {mean} and deviation {deviation}"


class DatasetModule(Protocol):
    """The module `dataset` of a dataset folder; it may tell `IMAGE_SHAPE`, that of one image, too."""

    __name__: str
    DEFAULT: str
    NORMALISATION: Mapping[str, Normalisation]
    CLASS_NAMES: Mapping[str, Sequence[str]]

    def load(self, name: str, folder: Any, device: Any, /) -> Dataset: ...


# ------------------------------------------------------------------------------------------ training


@dataclass(frozen=True)
class Recipe:
    """One training: everything that shapes it except network and data."""

    epochs: int
    lr: float
    loss: str = "bce"
    optimizer: str = "AdamW"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    lr_epochs: int = 0
    batch_size: int = 128
    rest: float = 0.0
    group_l1: float = 0.0
    precision: str = "float32"
    seed: int = 1
