"""What flows into the links of a network: its means over each class."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from specdnn.network.surgery import CompactNetwork
from specdnn.network.wiring import Link
from specdnn.structures import Normalisation, Split, Tick

BATCH_SIZE = 128  # images at a time when nothing is learnt: several times as many no longer fit a cache


@dataclass(frozen=True)
class ClassMeans:
    """Per link, in order of execution, the mean input over each class.

    `means`: per link (classes, inputs) float64; `counts`: (classes,) images per class.
    """

    means: tuple[np.ndarray, ...]
    counts: np.ndarray


@contextlib.contextmanager
def watched(compact: CompactNetwork, see: Callable[[int, torch.Tensor], torch.Tensor | None]) -> Iterator[None]:
    """While this lasts, `see(number of the link, its input)` is called before each link; what it returns goes on."""

    def hook(number: int) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], torch.Tensor | None]:
        return lambda _, inputs: see(number, inputs[0])

    modules = [compact.network.get_submodule(link.name) for link in compact.wiring.links]
    hooks = [module.register_forward_pre_hook(hook(number)) for number, module in enumerate(modules)]
    try:
        yield
    finally:
        for one in hooks:
            one.remove()


def by_unit(inputs: torch.Tensor, module: nn.Module) -> torch.Tensor:
    """(images, inputs, places) of what a link reads; (images, inputs) where there is one place."""
    if isinstance(module, nn.Linear):
        inputs = inputs.movedim(-1, 1)
    return inputs.flatten(2) if inputs.dim() > 2 else inputs


@torch.no_grad()
def class_means(
    compact: CompactNetwork,
    split: Split,
    classes: int,
    normalisation: Normalisation,
    batch_size: int = BATCH_SIZE,
    tick: Tick = lambda: None,
) -> ClassMeans:
    """Mean inputs of the links over `split`, a channel being the mean over its places.

    Pixels count with their raw intensity in 0..1, whatever the normalisation (mean and standard deviation, each a
    number or one per channel).
    """
    links, network = compact.wiring.links, compact.network
    modules = [network.get_submodule(link.name) for link in links]
    channels = [_channels_of_pixels(compact, link) for link in links]
    sums: list[Any] = [0] * len(links)  # tensors as soon as something is added
    network.eval()
    for images, labels in zip(split.images.split(batch_size), split.labels.split(batch_size), strict=True):
        one_hot = torch.nn.functional.one_hot(labels, classes).double()  # (batch, classes)

        def add(number: int, inputs: torch.Tensor, one_hot: torch.Tensor = one_hot) -> None:
            seen = by_unit(inputs, modules[number])
            seen = seen.mean(2) if seen.dim() > 2 else seen  # (batch, inputs)
            pixels = channels[number]
            seen = seen if pixels is None else _raw(seen, normalisation, pixels)
            sums[number] = sums[number] + one_hot.T @ seen.double()

        with watched(compact, add):
            network(images)
        tick()
    counts = torch.bincount(split.labels, minlength=classes).double()
    return ClassMeans(tuple((s / counts[:, None].clamp(min=1)).cpu().numpy() for s in sums), counts.cpu().numpy())


def _channels_of_pixels(compact: CompactNetwork, link: Link) -> np.ndarray | None:
    """(inputs,) the channel of the image that each input of a link lies in; None if it does not read the image."""
    pixels, nodes = compact.wiring.layers.widths[0], compact.wiring.nodes.of(link.sources)
    if (nodes >= pixels).any():
        return None
    channels = np.unique(compact.wiring.nodes.channel[:pixels], return_inverse=True)[1].reshape(-1)
    found: np.ndarray = channels[nodes]
    return found


def _raw(pixels: torch.Tensor, normalisation: Normalisation, channels: np.ndarray) -> torch.Tensor:
    """Intensities in 0..1 of normalised pixels (batch, inputs), which lie in these channels."""
    numbers = map(pixels.new_tensor, normalisation)
    mean, deviation = (one[channels] if one.numel() > 1 else one for one in numbers)
    return pixels * deviation + mean


def contrast(found: ClassMeans, wanted: Iterable[int]) -> list[np.ndarray]:
    """Per link |mean over the class - mean over the rest|, averaged over the wanted classes, (inputs,)."""
    return [np.mean([_contrast(means, found.counts, c) for c in wanted], axis=0) for means in found.means]


def _contrast(means: np.ndarray, counts: np.ndarray, wanted: int) -> np.ndarray:
    rest = np.delete(np.arange(len(counts)), wanted)
    far: np.ndarray = np.abs(means[wanted] - counts[rest] @ means[rest] / counts[rest].sum())
    return far


def activation(found: ClassMeans, wanted: Iterable[int]) -> list[np.ndarray]:
    """Per link the mean over the class, averaged over the wanted classes, (inputs,)."""
    return [means[list(wanted)].mean(axis=0) for means in found.means]


STRENGTHS = {"contrast": contrast, "activation": activation}
