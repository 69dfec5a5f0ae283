"""A network, handed out: safetensors, ONNX, C and a model card in one folder, checked against torch and measured."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from specdnn import files
from specdnn.network import c99, netfile, onnxfile, running
from specdnn.network.deployed import deployed, reference
from specdnn.network.netfile import Checkpoint
from specdnn.results import card
from specdnn.structures import SpecDNNError
from specdnn.work import bar

MOST_IMAGES = 1000  # on which the exported networks are compared
TOLERANCE = 1e-5  # in probability
BATCHES = (1, 256)
NEEDED = ("safetensors", *onnxfile.NEEDED)
THRESHOLD = 0.5  # of every probability
LONGEST_C = 1 << 23  # parameters beyond which a compiler takes minutes


@dataclass(frozen=True)
class Exported:
    """One network in all forms: name of the file -> bytes, runners by the name of what runs it."""

    contents: dict[str, bytes]
    runners: dict[str, running.Runner]
    sizes: dict[str, int]
    left_out: dict[str, str] = field(default_factory=dict)  # file -> why


def export(
    folder: Path, saved: Checkpoint, parent: Checkpoint, images: np.ndarray, measured: dict, names, told: dict
) -> str:
    """Write a network for use elsewhere into a new folder, all files or none; returns the table of sizes and speeds.

    `images` (n, *shape) float32: intensities in 0..1, or where the normalisation is not known as the network takes
    them; `measured`: its metrics file; `names`: of all classes; `told`: what else config and card say. `parent` is
    exported beside it to be measured. Raises SpecDNNError, one sentence, and writes nothing if a package is missing,
    if `folder` is there already, or if one of the exported networks does not do what torch does.
    """
    check_packages()
    files.check_free(folder)
    with bar(4, "export") as shown:
        own = exported(saved, config(saved, measured, names, told))
        shown.update()
        agreement = check(own, saved, images)
        shown.update()
        whole = exported(parent, {})
        rows = compared(own, whole, saved, parent, images)
        shown.update()
        facts = {"rows": rows, "agreement": agreement, "left_out": own.left_out, "images": len(images), **told}
        own.contents[card.NAME] = card.text(saved_facts(saved, names), measured, facts).encode()
        files.write_folder(folder, own.contents)
        shown.update()
    return card.table(rows)


def check_packages() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise SpecDNNError(f"exporting needs {', '.join(missing)}: pip install 'specdnn[export]'")
