"""Class activations: what every unit does when the network looks at the wanted class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from specdnn.structures import Split

BATCH_SIZE = 1024  # images at a time


@dataclass(frozen=True)
class ClassMeans:
    """Per layer (the outputs left out) the mean activation of each unit over each class.

    `means`: per layer (classes, units) float64; `counts`: (classes,) images per class.
    """

    means: tuple[np.ndarray, ...]
    counts: np.ndarray


@torch.no_grad()
def class_means(
    network, split: Split, classes: int, normalisation, batch_size=BATCH_SIZE, tick=lambda: None
) -> ClassMeans:
    """Mean activations over `split`, ReLU applied, a channel being the mean over its positions.

    Pixels count with their raw intensity in 0..1, whatever the normalisation (mean, standard deviation).
    """
    sums: list = [0] * (len(network.chain.layers) - 1)
    network.eval()
    for images, labels in zip(split.images.split(batch_size), split.labels.split(batch_size), strict=True):
        one_hot = torch.nn.functional.one_hot(labels, classes).double()  # (batch, classes)

        def add(depth, units, one_hot=one_hot):
            seen = units.flatten(2).mean(2) if units.dim() > 2 else units  # (batch, units)
            seen = _raw(seen, normalisation) if depth == 0 else seen
            sums[depth] = sums[depth] + one_hot.T @ seen.double()
            return units

        network(images, visit=add)
        tick()
    counts = torch.bincount(split.labels, minlength=classes).double()
    return ClassMeans(tuple((s / counts[:, None].clamp(min=1)).cpu().numpy() for s in sums), counts.cpu().numpy())


def _raw(pixels, normalisation):
    mean, deviation = normalisation
    return pixels * deviation + mean


def contrast(found: ClassMeans, wanted) -> list[np.ndarray]:
    """Per layer |mean over the class - mean over the rest|, averaged over the wanted classes, (units,)."""
    return [np.mean([_contrast(means, found.counts, c) for c in wanted], axis=0) for means in found.means]


def _contrast(means: np.ndarray, counts: np.ndarray, wanted: int) -> np.ndarray:
    rest = np.delete(np.arange(len(counts)), wanted)
    return np.abs(means[wanted] - counts[rest] @ means[rest] / counts[rest].sum())


def activation(found: ClassMeans, wanted) -> list[np.ndarray]:
    """Per layer the mean over the class, averaged over the wanted classes, (units,)."""
    return [means[list(wanted)].mean(axis=0) for means in found.means]


STRENGTHS = {"contrast": contrast, "activation": activation}
