"""Save, load and rebuild networks.

A checkpoint is a dictionary of tensors and plain values, loaded with `torch.load(weights_only=True)`:
`acc`, `state_dict`, `mask` (the published format) and what rebuilds the network without any other file.
"""

from __future__ import annotations

import io
import re
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from specdnn import files, foreign
from specdnn.files import PUBLISHED_ALGO
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.structures import KeptUnits, SpecDNNError

ENDINGS = (".tar", ".pth", ".pt", ".th", ".ckpt", ".bin")  # how files of checkpoints are named, ours .pth.tar
SAVE_THE_STATE = "save the network's weights alone, torch.save(network.state_dict(), FILE)"
# ------------------------------------------------------------------------------------------ checkpoints


@dataclass(frozen=True)
class Checkpoint:
    """A network with its origin. `algo` is empty for a parent; `accuracy` is that on validation.

    `arch` names the parent; a control may be another network of the folder. `owed_epochs` are added to the long
    retraining of a network that was not trained so far. A file of others may tell no normalisation and no accuracy;
    `understood` are sentences on how it was read.
    """

    arch: str
    dataset: str
    compact: CompactNetwork
    normalisation: tuple[float, float] | tuple[()]
    accuracy: float | None
    algo: str = ""
    seed: int = 1
    owed_epochs: int = 0
    network: str = ""
    understood: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[int, ...]:
        return self.compact.kept.classes


def save(path: Path, saved: Checkpoint) -> None:
    """Write a checkpoint. The same network gives the same bytes."""
    network, kept = saved.compact.network, saved.compact.kept
    # cloned, because how a tensor lies in memory would be saved with it
    state = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
        if not name.startswith("select")
    }
    content = {
        "acc": saved.accuracy,
        "state_dict": state,
        "mask": pruned_inputs(kept, saved.compact.wiring.layers.widths),
        "arch": saved.arch,
        "network": saved.network or None,
        "dataset": saved.dataset,
        "classes": list(saved.classes),
        "kept": [list(units) for units in kept.units],
        "image_shape": list(saved.compact.wiring.image_shape),
        "normalisation": list(saved.normalisation),
        "algo": saved.algo,
        "seed": saved.seed,
        "owed_epochs": saved.owed_epochs,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    files.write(path, buffer.getvalue())


def _indices(state: dict) -> list[int] | None:
    """The gather buffer of a state as plain numbers, None where there is none."""
    return state["gather"].tolist() if "gather" in state else None


def pruned_inputs(kept: KeptUnits, full_widths) -> list[list[int]]:
    """The published `mask`: per layer with weights, the indices of its pruned inputs."""
    rows = zip(kept.units[:-1], full_widths[:-1], strict=True)
    return [sorted(set(range(width)) - set(units)) for units, width in rows]


def load(path: Path, architectures: dict, arch: str | None = None, shape=(1, 28, 28)) -> Checkpoint:
    """Read a checkpoint, of ours, of the published format or of others, and rebuild its network.

    `arch` is the network the user named, if any. Raises SpecDNNError if the file is missing, no
    checkpoint, or of another network.
    """
    content = _read(path)
    named = content.get("arch") if isinstance(content, dict) else None
    if arch and isinstance(named, str) and named in architectures and named != arch:
        raise SpecDNNError(f"{path} holds a {named}, not a {arch}: drop --arch or name another checkpoint")
    try:
        if isinstance(content, dict) and "kept" in content:
            return _ours(content, architectures, shape)
        return _foreign(content, architectures, [arch] if arch else list(architectures), shape)
    except (LookupError, ValueError, RuntimeError, TypeError, AttributeError, ArithmeticError) as error:
        raise SpecDNNError(f"{path} cannot be loaded: {_first_line(error)}") from None


def _ours(content: dict, architectures: dict, shape) -> Checkpoint:
    kept = KeptUnits(tuple(tuple(units) for units in content["kept"]))
    compact = cut(CompactNetwork.parent(_network_type(content, architectures)(), torch.zeros(shape)), kept)
    network = compact.network
    own = network.state_dict()
    selects = {name: index for name, index in own.items() if name.startswith("select")}
    state, _ = foreign.understood_state({"state_dict": {**content["state_dict"], **selects}}, [set(own)])
    _fill(network, state, [content["arch"]])
    if not (normalisation := foreign.normalisation_of(content)):
        raise ValueError("its normalisation is missing")
    accuracy = None if content["acc"] is None else float(content["acc"])
    text = {name: content[name] for name in ("arch", "dataset", "algo")}
    count = {name: content.get(name, 0) for name in ("seed", "owed_epochs")}
    if not all(word.isprintable() and "/" not in word for word in text.values()):  # they become names of files
        raise ValueError(f"its arch, dataset and algo must be words without /, not {list(text.values())}")
    if not all(isinstance(number, int) and number >= 0 for number in count.values()):
        raise ValueError("its seed and owed_epochs must be whole numbers")
    return Checkpoint(
        compact=compact,
        network=content.get("network") or "",
        normalisation=normalisation,
        accuracy=accuracy,
        **text,
        **count,
    )


def _network_type(content: dict, architectures: dict) -> type:
    """The network a checkpoint holds: the parent's, unless it names another one of the folder."""
    named = {kind.__name__: kind for kind in architectures.values()}
    other = content.get("network")
    return named[other] if other else architectures[content["arch"]]


def _fill(network, state: dict, names: list[str]) -> None:
    """Load weights that must be those of this network, the nearest of these; raises ValueError where they are not."""
    expected = network.state_dict()
    state = foreign.completed(state, expected)
    if differ := foreign.differences(state, expected):
        nearest = f" (the nearest is {type(network).__name__})" if len(names) > 1 else ""
        raise ValueError(f"it does not hold the weights of {' or '.join(names)}{nearest}: {differ}")
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise ValueError("it holds weights that are not finite: its training diverged")
    network.load_state_dict(state)


def _foreign(content, architectures: dict, names: list[str], shape) -> Checkpoint:
    """The published format, full-size weights and per layer the pruned inputs, which are cut here; or what others save.

    The network is the one of these that the weights fit.
    """
    networks = {name: architectures[name]() for name in names}
    expected = {name: network.state_dict() for name, network in networks.items()}
    state, told = foreign.understood_state(content, [set(own) for own in expected.values()])
    arch = min(names, key=lambda name: _misfits(state, expected[name]))
    _fill(networks[arch], state, names)
    beside = {} if foreign.is_state(content) else content
    parent = CompactNetwork.parent(networks[arch], torch.zeros(shape))
    kept = _kept_by(beside.get("mask"), parent.kept)
    accuracy, told_accuracy = foreign.accuracy_of(beside)
    dataset, seed = (beside.get(name) for name in ("dataset", "seed"))
    return Checkpoint(
        arch,
        dataset if isinstance(dataset, str) and dataset.isprintable() else "",
        parent if kept == parent.kept else cut(parent, kept),
        foreign.normalisation_of(beside),
        accuracy,
        "" if kept == parent.kept else PUBLISHED_ALGO,
        seed if isinstance(seed, int) and seed >= 0 else 0,
        understood=tuple(filter(None, [*told, told_accuracy])),
    )


def _misfits(state: dict, expected: dict) -> int:
    """How many names and shapes differ."""
    state = foreign.completed(state, expected)
    unlike = [name for name in set(state) & set(expected) if state[name].shape != expected[name].shape]
    return len(set(state) ^ set(expected)) + len(unlike)


def _read(path: Path):
    """What a file holds; nothing but tensors, plain values and numpy's numbers is ever rebuilt."""
    _check_file(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(foreign.numpy_globals()):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make torch raise nearly anything
        raise SpecDNNError(f"{path} cannot be read as a checkpoint: {_why_unreadable(error)}") from None


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


def _first_line(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return foreign.printable(str(error).strip().partition("\n")[0] or type(error).__name__, 2000)


def _kept_by(mask, kept: KeptUnits) -> KeptUnits:
    """The units that a published mask leaves; None masks nothing."""
    try:
        rows = [] if mask is None else [{int(unit) for unit in pruned} for pruned in mask]
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError("its mask is not, per layer, the indices of the pruned inputs") from None
    if len(rows) >= len(kept.units):
        raise ValueError(f"its mask has {len(rows)} layers, the network {len(kept.units) - 1}")
    for depth, gone in enumerate(rows):
        if not gone < set(kept.units[depth]):
            last = kept.units[depth][-1]
            raise ValueError(f"its mask must leave some unit of layer {depth}, whose units are 0 to {last}")
        kept = kept.replace(depth, set(kept.units[depth]) - gone)
    return kept
