"""A network as two files that other programs read: its tensors in safetensors, all else in JSON."""

from __future__ import annotations

import json
import os.path
from pathlib import Path
from typing import Any

from specdnn import files
from specdnn.network.beside import IMPLIED
from specdnn.structures import Record, SpecDNNError

TENSORS, CONFIG = "model.safetensors", "config.json"
LONGEST = 1 << 26  # bytes of a config


def written(content: Record, more: Record) -> dict[str, bytes]:
    """Name -> bytes of the two files. `content`: that of a checkpoint; `more`: what else the config tells."""
    from safetensors import torch as safetensors

    facts = {name: value for name, value in content.items() if name not in ("state_dict", "mask")}
    facts |= {"graph": json.loads(content["graph"]), **more}
    tensors = safetensors.save(content["state_dict"], {"format": "pt"})
    return {TENSORS: tensors, CONFIG: files.json_text(facts).encode()}


def is_folder(path: Path) -> bool:
    """Whether a path is a folder with these files."""
    return os.path.isfile(path / CONFIG)  # which never raises, whatever the name


def read(folder: Path) -> Record:
    """The content of a checkpoint from the two files. Nothing in them is run. Raises SpecDNNError if they are wrong."""
    config = folder / CONFIG
    if config.stat().st_size > LONGEST:
        raise SpecDNNError(f"{config} is larger than any network's")
    try:
        facts = json.loads(files.read_text(config))
        graph = json.dumps(facts["graph"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise SpecDNNError(f"{config} does not tell a network: it is no JSON with a graph") from None
    return {**facts, "mask": IMPLIED, "graph": graph, "state_dict": _tensors(folder / TENSORS)}


def _tensors(path: Path) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors import torch as safetensors
    except ImportError:
        raise SpecDNNError(f"reading {path} needs safetensors: pip install specdnn[export]") from None
    try:
        return safetensors.load(files.read_bytes(path))
    except SafetensorError as error:
        raise SpecDNNError(f"{path} cannot be read: {error}") from None
