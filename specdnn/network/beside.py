"""What lies beside the network in a checkpoint: checked values; ValueError or KeyError for all others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from specdnn import foreign
from specdnn.structures import KeptUnits, Layer, Layers, Normalisation, Record

FORMAT = 2  # the files that need the network's class have no number
IMPLIED = object()  # in the place of a mask that is not told beside the kept units
MOST_PIXELS = 1 << 24
MOST_UNITS = 1 << 22


def facts_of(content: Record) -> Record:
    """Everything but the network, checked; raises ValueError or KeyError."""
    if content["format"] != FORMAT:
        raise ValueError(f"it is of format {content['format']!r:.20}, and this program knows format {FORMAT}")
    layers = _layers(content["layers"])
    kept, shape = _kept(content["kept"], layers), image_shape(content["image_shape"])
    mask = pruned_inputs(kept, layers.widths)  # which says the same as kept; it belongs to the published format
    if content["classes"] != list(kept.classes) or (content["mask"] is not IMPLIED and content["mask"] != mask):
        raise ValueError("its classes or its mask contradict its kept units")
    sizes, notes = content["parent_sizes"], content["notes"]
    if not _are_counts(sizes, 1 << 62) or len(sizes) != 3:
        raise ValueError("its parent_sizes are not weights, parameters and MACs")
    if not isinstance(notes, list) or not all(isinstance(note, str) and note.isprintable() for note in notes):
        raise ValueError("its notes are no sentences")
    return {
        "layers": layers,
        "kept": kept,
        "image_shape": shape,
        "normalisation": normalisation(content["normalisation"], shape),
        "accuracy": accuracy(content["acc"]),
        "parent_sizes": tuple(sizes),
        "notes": tuple(notes),
        "softmax": content.get("softmax") is True,
        "thresholds": thresholds(content.get("thresholds", []), len(kept.classes)),
        **origin(content),
    }


def _are_counts(value: Any, below: int, least: int = 0) -> bool:
    return isinstance(value, list) and all(type(one) is int and least <= one < below for one in value)


def image_shape(value: Any) -> tuple[int, ...]:
    """(channels, height, width), or any other shape of one image."""
    if not _are_counts(value, MOST_PIXELS, 1) or not 1 <= len(value) <= 4 or math.prod(value) > MOST_PIXELS:
        raise ValueError(f"its image_shape is not that of an image of at most {MOST_PIXELS:,} numbers")
    return tuple(value)


def _layers(value: Any) -> Layers:
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(one, dict) for one in value):
        raise ValueError("its layers are no list of layers")
    found = []
    for one in value:
        name, units, prunable, channels = (one[key] for key in ("name", "units", "prunable", "channels"))
        words = isinstance(name, str) and name.isprintable() and isinstance(prunable, bool)
        if not words or not _are_counts([units], MOST_UNITS, 1) or not _are_counts(channels, units):
            raise ValueError("its layers need a name, a number of units, and whether they may go")
        if channels and len(channels) != units:
            raise ValueError(f"its layer {foreign.printable(name)} has {units} units in {len(channels)} channels")
        found.append(Layer(name, units, prunable, tuple(channels)))
    if sum(layer.units for layer in found) > MOST_UNITS:
        raise ValueError(f"its layers have more than {MOST_UNITS:,} units")
    return Layers(tuple(found))


def _kept(value: Any, layers: Layers) -> KeptUnits:
    if not isinstance(value, list) or len(value) != len(layers.layers):
        raise ValueError("its kept units are not those of its layers")
    for layer, units in zip(layers.layers, value, strict=True):
        if not _are_counts(units, layer.units):
            raise ValueError(f"its kept units of {foreign.printable(layer.name)} are none of its {layer.units}")
        if not layer.prunable and layer is not layers.layers[-1] and len(units) != layer.units:
            raise ValueError(f"it lacks units of {foreign.printable(layer.name)}, which must stay")
    return KeptUnits(tuple(tuple(units) for units in value))


def normalisation(value: Any, shape: tuple[int, ...]) -> Normalisation:
    """(mean, deviation), each a number or one per channel; empty where none is known."""
    if value == []:
        return ()
    rows = [one if isinstance(one, list) else [one] for one in value] if isinstance(value, list) else []
    numbers = all(type(n) in (int, float) for row in rows for n in row)
    per_channel = numbers and len(rows) == 2 and len(rows[0]) == len(rows[1]) in (1, shape[0])
    if not per_channel or not all(0 <= n <= 1 for n in rows[0]) or not all(0 < n < math.inf for n in rows[1]):
        each = f"one of each, or one per channel of images {'x'.join(map(str, shape))}"
        raise ValueError(f"its normalisation is not means from 0 to 1 and standard deviations above 0, {each}")
    return tuple(tuple(one) if isinstance(one, list) else one for one in value)


def thresholds(value: Any, classes: int) -> tuple[float, ...]:
    """A logit per class; empty where all are 0."""
    numbers = isinstance(value, list) and all(type(n) in (int, float) and math.isfinite(n) for n in value)
    if not numbers or len(value) not in (0, classes):
        raise ValueError(f"its thresholds are not one number for each of its {classes} classes")
    return tuple(map(float, value))


def pruned_inputs(kept: KeptUnits, full_widths: Sequence[int]) -> list[list[int]]:
    """The published `mask`: per layer that is read, the indices of its pruned units."""
    rows = zip(kept.units[:-1], full_widths[:-1], strict=True)
    return [sorted(set(range(width)) - set(units)) for units, width in rows]


def accuracy(value: Any) -> float | None:
    """A share, or None where none is told."""
    if value is None:
        return None
    if not math.isfinite(float(value)):
        raise ValueError("its acc is no number")
    return float(value)


def origin(content: Record) -> Record:
    """arch, dataset, algo, network, seed and owed_epochs."""
    text = {name: content[name] for name in ("arch", "dataset", "algo")} | {"network": content.get("network") or ""}
    count = {name: content[name] for name in ("seed", "owed_epochs")}
    if not all(isinstance(w, str) and w.isprintable() and "/" not in w for w in text.values()):  # they name files
        raise ValueError(
            f"its arch, dataset, algo and network must be words without /, not {list(text.values())!r:.300}"
        )
    if not all(type(number) is int and 0 <= number < 1 << 63 for number in count.values()):
        raise ValueError("its seed and owed_epochs must be whole numbers")
    return text | count
