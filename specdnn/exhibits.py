"""Compact networks and images -> what contact sheet and page show of each class, as plain numbers."""

from __future__ import annotations

import numpy as np

from specdnn.network import evaluation, scores, watching
from specdnn.network.deployed import unnormalised
from specdnn.network.surgery import CompactNetwork
from specdnn.structures import Connections, Dataset, KeptUnits, Layers, Record, Tensor

EXAMPLES = 4  # of each kind
MOST_PIXELS = 56  # of a side of an example


def exhibit(compact: CompactNetwork, data: Dataset) -> Record:
    """A network of one class as plain numbers.

    Mean image and strengths (class activation: contrast) are those of the validation images. `beyond`, where there is
    any: [layer, later layer, strengths] of connections that skip layers. `examples`: validation images that are found,
    missed, or taken for the class, of each kind the surest first, as rows of greys from 0 to f.
    """
    wanted = compact.kept.classes[0]
    means = watching.class_means(compact, data.validation, len(data.class_names), data.normalisation)
    active = watching.contrast(means, (wanted,))
    layers = compact.wiring.layers
    between = between_layers(scores.strengths(compact, active)[0], layers, compact.kept)
    tables = {pair: [[float(f"{s:.3g}") for s in line] for line in one.tolist()] for pair, one in between.items()}
    beyond = [[one, other, table] for (one, other), table in sorted(tables.items()) if other > one + 1]
    image = mean_image(data, wanted)
    return {
        "class": wanted,
        "name": data.class_names[wanted],
        "kept": compact.kept.by_layer(layers),
        "mean_image": np.rint(255 * image).astype(int).tolist(),
        "places": places(compact.kept, layers, image.shape).tolist(),
        "strengths": [tables[depth, depth + 1] for depth in range(len(layers.layers) - 1)],
        **({"beyond": beyond} if beyond else {}),
        "examples": {kind: [greys(data, n) for n in which] for kind, which in examples(compact, data).items()},
    }


def between_layers(found: list[Connections], layers: Layers, kept: KeptUnits) -> dict[tuple[int, int], np.ndarray]:
    """(layer, later layer) -> sum of the strengths (units, units) of all links between them, back and forth.

    Neighbouring layers are always there; what connects a layer with itself is left out.
    """
    place = np.zeros(layers.offsets[-1], dtype=np.int64)
    for first, units in zip(layers.offsets, kept.units, strict=False):
        place[first + np.array(units)] = np.arange(len(units))
    widths = kept.widths
    total = {(d, d + 1): np.zeros(widths[d : d + 2]) for d in range(len(widths) - 1)}
    for one in found:
        sources, targets = (np.searchsorted(layers.offsets, n, "right") - 1 for n in (one.sources, one.targets))
        for pair in {(a, b) for a in sources.tolist() for b in targets.tolist() if a != b}:
            block = np.zeros((widths[pair[0]], widths[pair[1]]))
            rows, columns = sources == pair[0], targets == pair[1]
            own = np.ix_(place[one.sources[rows]], place[one.targets[columns]])
            block[own] = one.strengths[np.ix_(rows, columns)]
            low, high = sorted(pair)
            total[low, high] = total.get((low, high), 0) + (block if pair[0] == low else block.T)
    return total


def examples(compact: CompactNetwork, data: Dataset) -> dict[str, list[int]]:
    """Kind -> numbers of the validation images that show it best."""
    logits = evaluation.logits_of(compact.network, data.validation.images)[:, 0].cpu().numpy()
    wanted, said = (data.validation.labels == compact.kept.classes[0]).cpu().numpy(), logits > 0
    kinds = {"found": wanted & said, "missed": wanted & ~said, "taken for it": ~wanted & said}
    surest = np.argsort(-np.abs(logits), kind="stable")
    return {kind: surest[shown[surest]][:EXAMPLES].tolist() for kind, shown in kinds.items()}


def greys(data: Dataset, number: int) -> list[str]:
    """Rows of a validation image, the mean of its channels, with a hexadecimal digit per pixel; large ones thinned."""
    image = _grey(data, data.validation.images[[number]])
    step = -(-max(image.shape) // MOST_PIXELS)
    thinned = np.rint(15 * image[step // 2 :: step, step // 2 :: step]).astype(int)
    return ["".join(f"{grey:x}" for grey in row) for row in thinned.tolist()]


def mean_image(data: Dataset, wanted: int) -> np.ndarray:
    """Mean of the validation images of a class and of their channels, (height, width) in 0..1."""
    return _grey(data, data.validation.images[data.validation.labels == wanted])


def _grey(data: Dataset, images: Tensor) -> np.ndarray:
    """Mean of normalised images and of their channels, as intensities, (height, width) in 0..1."""
    return unnormalised(images.mean(0, keepdim=True), data.normalisation).mean((0, 1)).clamp(0, 1).numpy()


def places(kept: KeptUnits, layers: Layers, image_shape: tuple[int, int]) -> np.ndarray:
    """Kept units at every place of the image, (rows, columns).

    Of the first prunable layer whose units have a place there: the pixels, or the features where a convolution is
    flattened; where there is none the channels of the image, which are all kept everywhere.
    """
    height, width = image_shape
    depth = next((d for d in layers.prunable if d == 0 or layers.layers[d].channels), None)
    if depth is None:
        return np.full(image_shape, len(kept.units[0]))
    channels = layers.layers[depth].channels
    positions = len(channels) // len(set(channels)) if depth else height * width
    counts = np.bincount(np.array(kept.units[depth]) % positions, minlength=positions)
    return counts.reshape(_rows(positions, height / width), -1)


def _rows(positions: int, ratio: float) -> int:
    """How many rows so many places have, in the shape of the image as far as they can be divided so."""
    dividing = (rows for rows in range(1, positions + 1) if positions % rows == 0)
    return min(dividing, key=lambda rows: abs(rows - (positions * ratio) ** 0.5))
