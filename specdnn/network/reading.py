"""A file -> the tensors and plain values in it. Nothing that is pickled is run, and nothing grows beyond the file."""

from __future__ import annotations

import re
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from specdnn import foreign
from specdnn.network import portable
from specdnn.structures import SpecDNNError

ENDINGS = (".tar", ".pth", ".pt", ".th", ".ckpt", ".bin")  # how files of checkpoints are named, ours .pth.tar
SAVE_THE_STATE = "save the network's weights alone, torch.save(network.state_dict(), FILE)"
DEEPEST = 4  # a dictionary may hold itself


def content_of(path: Path) -> Any:
    """What a file, or a folder of exported files, holds: tensors, plain values and numpy's numbers.

    Raises SpecDNNError if it is missing or no such.
    """
    if portable.is_folder(path):
        return portable.read(path)
    _check_file(path)
    size = path.stat().st_size
    _check_unpacked(path, size)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(foreign.numpy_globals()):
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make torch raise nearly anything
        raise SpecDNNError(f"{path} cannot be read as a checkpoint: {_why_unreadable(error)}") from None
    if sum(_storages(content, DEEPEST).values()) > size:  # torch makes a storage as large as a tensor says
        raise SpecDNNError(f"{path} cannot be read as a checkpoint: its tensors claim more numbers than it holds")
    return content


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            found = foreign.few(sorted(p.name for p in path.iterdir() if p.suffix in ENDINGS))
            ways = f"name one of its checkpoints with --pretrained ({found})" if found else "no checkpoint lies in it"
            raise SpecDNNError(f"{path} is a folder: {ways}; --pretrained wants a file")
        if not stat.S_ISREG(path.stat().st_mode):
            raise SpecDNNError(f"{path} is no file: check --pretrained")
    except OSError as error:
        raise SpecDNNError(
            f"there is no checkpoint {path} ({error.strerror}): train one first, or check --pretrained"
        ) from None


def _check_unpacked(path: Path, size: int) -> None:
    """torch stores the parts of its archives as they are; packed ones can be endless."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            script = any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # no archive, or a damaged one, which torch will tell
        return
    if unpacked > size and not script:  # torch unpacks no TorchScript here
        raise SpecDNNError(f"{path} cannot be read as a checkpoint: it is packed; {SAVE_THE_STATE}")


def _storages(content: Any, deepest: int) -> dict[int, int]:
    """The storages of all tensors in it and how many bytes each has."""
    if isinstance(content, torch.Tensor):
        if content.is_meta or content.layout != torch.strided:
            return {}
        return {content.untyped_storage().data_ptr(): content.untyped_storage().nbytes()}
    inner = content.values() if isinstance(content, dict) else content if isinstance(content, (list, tuple)) else ()
    found: dict[int, int] = {}
    for one in inner if deepest else ():
        found |= _storages(one, deepest - 1)
    return found


def _why_unreadable(error: Exception) -> str:
    text = str(error)
    if strange := re.search(r"GLOBAL (\S+)", text):
        return f"it holds a pickled {foreign.printable(strange[1])}, and what is pickled is never run: {SAVE_THE_STATE}"
    if "TorchScript" in text:
        return f"it is a TorchScript archive: {SAVE_THE_STATE}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    why = text.rpartition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
    return f"it is damaged, or another kind of file ({foreign.printable(why or type(error).__name__, 200)})"


def why(error: Exception) -> str:
    """The first line of what went wrong inside of a file."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return foreign.printable(str(error).strip().partition("\n")[0] or type(error).__name__, 2000)
