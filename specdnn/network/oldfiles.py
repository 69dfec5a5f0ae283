"""Files of weights that do not say what network they belong to: ours as they once were, the published format, others.

Their network is made by its class, traced on an example image, and cut to the kept units. What is found is given as
the fields of a Checkpoint. ValueError or KeyError where it has no clear meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from specdnn import foreign
from specdnn.files import PUBLISHED_ALGO
from specdnn.foreign import State
from specdnn.network import beside
from specdnn.network.modules import Select
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.structures import Architectures, KeptUnits, Record


def parent_of(network: nn.Module, image: torch.Tensor | None) -> CompactNetwork:
    """A full-size network traced on an image, or on one of the shape that it names itself."""
    shape = getattr(network, "image_shape", None)
    if image is None and shape is None:
        raise ValueError("it does not say what images its network is made for: give an example image")
    return CompactNetwork.parent(network, torch.zeros(shape or ()) if image is None else image)


# ------------------------------------------------------------------------------------------ ours as they once were


def ours(content: Record, architectures: Architectures, image: torch.Tensor | None) -> Record:
    """A file with the kept units, and the weights of the compact network by the names of its class."""
    parent = parent_of(_network_type(content, architectures)(), image)
    kept = KeptUnits(tuple(tuple(units) for units in content["kept"]))
    compact = parent if kept == parent.kept else cut(parent, kept)
    indices = {f"{n}.index": m.index for n, m in compact.network.named_modules() if isinstance(m, Select)}
    if content["widths"] != list(kept.widths) or ("gather" in content and not _agree(content["gather"], indices)):
        raise ValueError("its widths or gather contradict its kept units")
    own = set(compact.network.state_dict()) - set(indices)
    state, _ = foreign.understood_state({"state_dict": content["state_dict"]}, [own])
    fill(compact.network, state | indices, [content["arch"]])
    if not (normalisation := beside.normalisation(foreign.normalisation_of(content), parent.wiring.image_shape)):
        raise ValueError("its normalisation is missing")
    return {
        "compact": compact,
        "normalisation": normalisation,
        "accuracy": beside.accuracy(content["acc"]),
        "notes": parent.wiring.notes,
        **beside.origin({"seed": 0, "owed_epochs": 0, **content}),
    }


def _network_type(content: Record, architectures: Architectures) -> Callable[[], Any]:
    """The network a checkpoint holds: the parent's, unless it names another one of the folder."""
    named = {getattr(kind, "__name__", name): kind for name, kind in architectures.items()} | dict(architectures)
    return named[content.get("network") or content["arch"]]


def _agree(gather: list[int] | None, indices: State) -> bool:
    """Whether the elements that a file gathers are those that the cut network selects: all, where it selects none."""
    if not indices:
        return gather is None or gather == list(range(len(gather)))
    return [gather] == [index.tolist() for index in indices.values()]


def fill(network: nn.Module, state: State, names: list[str]) -> None:
    """Load weights that must be those of this network, the nearest of these; raises ValueError where they are not."""
    expected = network.state_dict()
    state = foreign.completed(state, expected)
    if differ := foreign.differences(state, expected):
        nearest = f" (the nearest is {type(network).__name__})" if len(names) > 1 else ""
        raise ValueError(f"it does not hold the weights of {' or '.join(names)}{nearest}: {differ}")
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise ValueError("it holds weights that are not finite: its training diverged")
    network.load_state_dict(state)


# ------------------------------------------------------------------------------------------ those of others


def of_others(content: Any, architectures: Architectures, names: list[str], image: torch.Tensor | None) -> Record:
    """The published format, full-size weights and per layer the pruned inputs, which are cut here; or what others save.

    The network is the one of these that the weights fit.
    """
    networks = {name: architectures[name]() for name in names}
    expected = {name: network.state_dict() for name, network in networks.items()}
    state, told = foreign.understood_state(content, [set(own) for own in expected.values()])
    arch = min(names, key=lambda name: _misfits(state, expected[name]))
    fill(networks[arch], state, names)
    told_beside = {} if foreign.is_state(content) else content
    parent = parent_of(networks[arch], image)
    kept = _kept_by(told_beside.get("mask"), parent.kept)
    share, told_accuracy = foreign.accuracy_of(told_beside)
    dataset, seed = (told_beside.get(name) for name in ("dataset", "seed"))
    return {
        "arch": arch,
        "dataset": dataset if isinstance(dataset, str) and dataset.isprintable() else "",
        "compact": parent if kept == parent.kept else cut(parent, kept),
        "normalisation": beside.normalisation(foreign.normalisation_of(told_beside), parent.wiring.image_shape),
        "accuracy": share,
        "algo": "" if kept == parent.kept else PUBLISHED_ALGO,
        "seed": seed if isinstance(seed, int) and seed >= 0 else 0,
        "notes": parent.wiring.notes,
        "understood": tuple(filter(None, [*told, told_accuracy])),
    }


def _misfits(state: State, expected: State) -> int:
    """How many names and shapes differ."""
    state = foreign.completed(state, expected)
    unlike = [name for name in set(state) & set(expected) if state[name].shape != expected[name].shape]
    return len(set(state) ^ set(expected)) + len(unlike)


def _kept_by(mask: Any, kept: KeptUnits) -> KeptUnits:
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
