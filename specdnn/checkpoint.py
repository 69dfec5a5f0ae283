"""Save, load and rebuild networks.

A checkpoint is a dictionary of tensors and plain values, loaded with `torch.load(weights_only=True)`:
`acc`, `state_dict`, `mask` (the published format) and what rebuilds the network without any other file.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import torch

from specdnn import files
from specdnn.files import PUBLISHED_ALGO
from specdnn.structures import KeptUnits, SpecDNNError
from specdnn.surgery import CompactNetwork, cut

# ------------------------------------------------------------------------------------------ checkpoints


@dataclass(frozen=True)
class Checkpoint:
    """A network with its origin. `algo` is empty for a parent; `accuracy` is that on validation.

    `arch` names the parent; a control may be another network of the folder. `owed_epochs` are added to the long
    retraining of a network that was not trained so far.
    """

    arch: str
    dataset: str
    compact: CompactNetwork
    normalisation: tuple[float, float]
    accuracy: float
    algo: str = ""
    seed: int = 1
    owed_epochs: int = 0

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
    }
    content = {
        "acc": saved.accuracy,
        "state_dict": {name: tensor for name, tensor in state.items() if name != "gather"},
        "mask": pruned_inputs(kept, type(network)().chain.widths),
        "arch": saved.arch,
        "network": kind if (kind := type(network).__name__) != saved.arch else None,
        "dataset": saved.dataset,
        "classes": list(saved.classes),
        "kept": [list(units) for units in kept.units],
        "widths": list(network.chain.widths),
        "gather": _indices(state),
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


def load(path: Path, architectures: dict, arch: str | None = None) -> Checkpoint:
    """Read a checkpoint of ours or of the published format and rebuild its network.

    `arch` is the network the user named, if any. Raises SpecDNNError if the file is missing, no
    checkpoint, or of another network.
    """
    content = _read(path)
    if arch and content.get("arch", arch) != arch:
        raise SpecDNNError(f"{path} holds a {content['arch']}, not a {arch}: drop --arch or name another checkpoint")
    if "kept" not in content:
        return _published(path, content, architectures, arch)
    try:
        kept = KeptUnits(tuple(tuple(units) for units in content["kept"]))
        network = cut(CompactNetwork.parent(_network_type(content, architectures)()), kept).network
        gather = {"gather": network.gather} if hasattr(network, "gather") else {}
        if (content["widths"], content["gather"]) != (list(kept.widths), _indices(gather)):
            raise ValueError("its widths or gather contradict its kept units")
        network.load_state_dict({**content["state_dict"], **gather})
        return Checkpoint(
            content["arch"],
            content["dataset"],
            CompactNetwork(network, kept),
            tuple(content["normalisation"]),
            float(content["acc"]),
            content["algo"],
            content["seed"],
            content.get("owed_epochs", 0),
        )
    except (LookupError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise SpecDNNError(f"{path} is not a checkpoint of {', '.join(architectures)}: {_first_line(error)}") from None


def _network_type(content: dict, architectures: dict) -> type:
    """The network a checkpoint holds: the parent's, unless it names another one of the folder."""
    named = {kind.__name__: kind for kind in architectures.values()}
    other = content.get("network")
    return named[other] if other else architectures[content["arch"]]


def _read(path: Path) -> dict:
    if not path.is_file():
        raise SpecDNNError(f"there is no checkpoint {path}: train one first, or check --pretrained")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make torch raise nearly anything
        raise SpecDNNError(
            f"{path} cannot be read as a checkpoint (damaged, or it holds more than tensors and plain values): "
            f"{_first_line(error)}"
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise SpecDNNError(f"{path} is not a checkpoint: expected a dictionary with state_dict")
    if not all(tensor.isfinite().all() for tensor in content["state_dict"].values() if torch.is_tensor(tensor)):
        raise SpecDNNError(f"{path} holds weights that are not finite: its training diverged")
    return content


def _first_line(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _published(path: Path, content: dict, architectures: dict, arch: str | None) -> Checkpoint:
    """The published format: full-size weights, and per layer the pruned inputs, which are cut here."""
    candidates = [arch] if arch else list(architectures)
    fitting = [name for name in candidates if _fits(architectures[name], content["state_dict"])]
    if not fitting:
        raise SpecDNNError(
            f"{path} does not hold the weights of {' or '.join(candidates)}: name its network with --arch"
        )
    network = architectures[fitting[0]]()
    network.load_state_dict(content["state_dict"])
    parent = CompactNetwork.parent(network)
    try:
        compact = cut(parent, _kept_by(content.get("mask"), parent.kept))
        accuracy = float(content.get("acc") or 0)
    except (ValueError, TypeError) as error:
        raise SpecDNNError(f"{path}: its mask or acc is not of the published format: {_first_line(error)}") from None
    algo = PUBLISHED_ALGO if compact.kept != parent.kept else ""
    return Checkpoint(fitting[0], content.get("dataset", ""), compact, (), accuracy, algo, content.get("seed", 0))


def _fits(network_type, state: dict) -> bool:
    shapes = {name: tuple(tensor.shape) for name, tensor in network_type().state_dict().items()}
    return shapes == {name: tuple(getattr(tensor, "shape", ())) for name, tensor in state.items()}


def _kept_by(mask, kept: KeptUnits) -> KeptUnits:
    """The units that a published mask leaves; None masks nothing."""
    if len(mask or []) >= len(kept.units):
        raise ValueError(f"it has {len(mask)} layers, the network {len(kept.units) - 1}")
    for depth, pruned in enumerate(mask or []):
        gone = {int(unit) for unit in pruned}
        if not gone <= set(kept.units[depth]):
            raise ValueError(f"layer {depth} has no unit {max(gone)}")
        kept = kept.replace(depth, set(kept.units[depth]) - gone)
    return kept
