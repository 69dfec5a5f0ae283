"""Compact networks and images -> what the contact sheet shows of each class, as plain numbers."""

from __future__ import annotations

import numpy as np

from specdnn.network import scores, watching
from specdnn.network.surgery import CompactNetwork
from specdnn.structures import Dataset, KeptUnits, Layers


def exhibit(compact: CompactNetwork, data: Dataset) -> dict:
    """A network of one class as plain numbers.

    Mean image and strengths (class activation: contrast) are those of the validation images.
    """
    wanted = compact.kept.classes[0]
    means = watching.class_means(compact, data.validation, len(data.class_names), data.normalisation)
    active = watching.contrast(means, (wanted,))
    found, _ = scores.strengths(compact, active)
    layers = compact.wiring.layers
    image = mean_image(data, wanted)
    return {
        "class": wanted,
        "name": data.class_names[wanted],
        "kept": dict(zip(layers.names, compact.kept.units, strict=True)),
        "mean_image": np.rint(255 * image).astype(int).tolist(),
        "places": places(compact.kept, layers, image.shape).tolist(),
        "strengths": [[[float(f"{s:.3g}") for s in line] for line in one.strengths.tolist()] for one in found],
    }


def mean_image(data: Dataset, wanted: int) -> np.ndarray:
    """Mean of the validation images of a class and of their channels, (height, width) in 0..1."""
    mean, deviation = data.normalisation
    images = data.validation.images[data.validation.labels == wanted]
    return (images.mean((0, 1)) * deviation + mean).clamp(0, 1).cpu().numpy()


def places(kept: KeptUnits, layers: Layers, image_shape: tuple[int, int]) -> np.ndarray:
    """Kept units at every place of the image, (rows, columns).

    Of the first prunable layer whose units have a place there: the pixels, or the features where a convolution is
    flattened.
    """
    height, width = image_shape
    depth = next((d for d in layers.prunable if d == 0 or layers.layers[d].channels), 0)
    channels = layers.layers[depth].channels
    positions = len(channels) // len(set(channels)) if depth else height * width
    rows = round((positions * height / width) ** 0.5)
    return np.bincount(np.array(kept.units[depth]) % positions, minlength=positions).reshape(rows, -1)
