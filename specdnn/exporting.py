"""A network handed out: safetensors, ONNX, C and a model card in one folder, checked against torch and measured."""

from __future__ import annotations

import importlib.util
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from specdnn import files
from specdnn.network import c99, netfile, onnxfile, running
from specdnn.network.deployed import UNCHANGED, deployed, reference, unnormalised
from specdnn.network.netfile import Checkpoint
from specdnn.results import card
from specdnn.structures import Normalisation, Record, SpecDNNError
from specdnn.work import bar

MOST_IMAGES = 1000  # on which the exported networks are compared
TOLERANCE = 1e-5  # in probability
NEEDED = ("safetensors", *onnxfile.NEEDED)
BATCHES = (1, 256)
LONGEST_C = 1 << 24  # parameters beyond which a compiler takes many minutes
ORIGIN = ("specdnn_version", "torch_version", "python_version", "git_commit", "date")
IN_TORCH, IN_ONNX, IN_C = "torch", "onnxruntime", "C"


@dataclass(frozen=True)
class Exported:
    """A network in all its forms.

    `contents`: file -> bytes; `runners`: what runs it -> how; `sizes`: file, or "C object" -> bytes; `left_out`: file
    -> why there is none.
    """

    contents: dict[str, bytes]
    runners: dict[str, running.Runner]
    sizes: dict[str, int]
    left_out: dict[str, str] = field(default_factory=dict)


def export(
    folder: Path, saved: Checkpoint, parent: Checkpoint, images: np.ndarray, measured: Record, told: Record
) -> str:
    """Write a network for use elsewhere into a new folder, all files or none; returns the table of sizes and speeds.

    `images` (n, *shape) float32: intensities in 0..1, or, where the normalisation is not known, images as the network
    takes them; `measured`: its metrics file; `told`: what config and card say beside it (`class_names`, `provenance`).
    `parent` is exported, too, to be measured beside it. Raises SpecDNNError, one sentence, and writes nothing, if a
    package is missing, if `folder` is there already, or if an exported network does not do what torch does.
    """
    check(folder)
    told = {**told, **use_of(saved)}
    with bar(4, "export") as shown:
        own = exported(saved, told)
        shown.update()
        agreement = agreeing(own, saved, images)
        shown.update()
        rows = compared(own, exported(parent, {}), saved, parent, images)
        shown.update()
        made = {"agreement": agreement, "left_out": own.left_out, "images": len(images), "rows": rows}
        network = {"name": c_name(saved), "normalisation": saved.normalisation, "image_shape": images.shape[1:]}
        text = card.text(measured, {**told, **made, **network})
        files.write_folder(folder, {**own.contents, card.NAME: text.encode()})
        shown.update()
    return card.sizes_and_speeds(rows)


def raw_images(images: Any, normalisation: Normalisation) -> np.ndarray:
    """The first images (n, *shape) of those that a network takes, as they were before their normalisation."""
    return unnormalised(images[:MOST_IMAGES], normalisation).numpy()


def check(folder: Path) -> None:
    """Raise SpecDNNError, before any work is done, if a package is missing or the folder is there already."""
    files.check_free(folder)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise SpecDNNError(f"exporting needs {', '.join(missing)}: pip install 'specdnn[export]'")


def provenance(measured: Record, **more: object) -> Record:
    """Where a network comes from, of its metrics file: versions, commit, date."""
    return {**more, **{name: measured[name] for name in ORIGIN}}


def use_of(saved: Checkpoint) -> Record:
    """What is to be known to use the probabilities."""
    raw = saved.normalisation not in UNCHANGED
    return {
        "input": "intensities in 0..1" if raw else "numbers as its parent took them",
        "probabilities": "softmax" if saved.softmax else "sigmoid",
        "threshold": [probability(one) for one in saved.thresholds or [0.0] * len(saved.classes)],
    }


def probability(logit: float) -> float:
    """The sigmoid."""
    return 1 / (1 + math.exp(-logit)) if logit > 0 else math.exp(logit) / (1 + math.exp(logit))


def c_name(saved: Checkpoint) -> str:
    """The network's name in C: `lenet_5_0_3`, of a parent `lenet_5`."""
    whole = len(saved.classes) == saved.compact.wiring.layers.widths[-1]
    return c_word(saved.arch if whole else f"{saved.arch}_{files.joined(saved.classes)}")


def c_word(text: str) -> str:
    """A name that C allows."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"network_{name}".rstrip("_")


# ------------------------------------------------------------------------------------------ all forms of a network


def exported(saved: Checkpoint, more: Record) -> Exported:
    """Every form of a network, nothing written yet."""
    network = deployed(saved.compact.network, saved.normalisation, saved.softmax)
    shape = saved.compact.wiring.image_shape
    contents = netfile.portable_files(saved, more)
    contents["model.onnx"] = onnxfile.to_bytes(network, shape)
    runners = {IN_TORCH: running.in_torch(network), IN_ONNX: running.in_onnxruntime(contents["model.onnx"])}
    sizes, left_out = {}, {}
    try:
        header, compiled = in_c(saved, network, shape)
        contents["model.h"], runners[IN_C] = header.encode("ascii"), compiled.run
        sizes = {"C object": compiled.object_bytes}
    except SpecDNNError as error:
        left_out["model.h"] = str(error)
    return Exported(contents, runners, {**{name: len(one) for name, one in contents.items()}, **sizes}, left_out)


def in_c(saved: Checkpoint, network: nn.Module, shape: tuple[int, ...]) -> tuple[str, running.Compiled]:
    """(header, what a compiler made of it)."""
    if running.compiler() is None:
        raise SpecDNNError("no C compiler was found to check it with (CC names one)")
    if (count := sum(p.numel() for p in network.parameters())) > LONGEST_C:
        raise SpecDNNError(f"a compiler would take very long for {count:,} parameters")
    header = c99.header(network, shape, c_name(saved))
    return header, running.in_c(header, c_name(saved), len(saved.classes))


# ------------------------------------------------------------------------------------------ checked, measured


def agreeing(own: Exported, saved: Checkpoint, images: np.ndarray) -> dict[str, float]:
    """What runs it -> the largest difference to torch in probability; raises SpecDNNError if it is too large."""
    expected = running.in_torch(reference(saved.compact.network, saved.normalisation, saved.softmax))(images)
    found = {}
    for name, run in own.runners.items():
        found[name] = float(np.abs(run(images) - expected).max())
        if not found[name] <= TOLERANCE:
            raise SpecDNNError(
                f"the network in {name} differs from torch's by {found[name]:.2g} in probability on {len(images)} "
                f"images, where {TOLERANCE:g} is allowed: nothing is written"
            )
    return found


def compared(
    own: Exported, whole: Exported, saved: Checkpoint, parent: Checkpoint, images: np.ndarray
) -> list[card.Row]:
    """Sizes and speeds of a network beside its parent's."""
    counts = zip(
        ("weights", "parameters", "multiply-accumulates"),
        saved.compact.wiring.sizes(saved.compact.kept),
        parent.compact.wiring.sizes(parent.compact.kept),
        strict=True,
    )
    rows = [card.Row(name, mine, theirs) for name, mine, theirs in counts]
    sizes = {name: size for name, size in own.sizes.items() if name != "config.json"}
    rows += [card.Row(f"{name}, bytes", size, whole.sizes.get(name)) for name, size in sizes.items()]
    both = {(who, n): run for who, one in (("own", own), ("whole", whole)) for n, run in one.runners.items()}
    for batch in BATCHES:
        some = np.resize(images, (batch, *images.shape[1:]))
        taken = running.medians_ms(both, some)
        label = "image" if batch == 1 else f"{batch} images"
        rows += [
            card.Row(f"{name}, ms for {label}", taken["own", name], taken.get(("whole", name))) for name in own.runners
        ]
    return rows
