"""Checkpoints: a dictionary of tensors and plain values that holds a network without its class.

It loads with `torch.load(weights_only=True)`: `acc`, `state_dict`, `mask` (the published format), `graph` (the text of
`graphtext`), the parent's `layers` and sizes, the kept units, and where the network comes from.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx

from specdnn import files, foreign
from specdnn.network import beside, dryrun, graphtext, oldfiles, portable, reading
from specdnn.network.surgery import CompactNetwork, reopened
from specdnn.structures import Architectures, KeptUnits, Normalisation, Record, SpecDNNError

COMPOSED = "composed"  # the `network` of a Checkpoint that was put together from others of its `arch`
LOST = (LookupError, ValueError, RuntimeError, TypeError, AttributeError, ArithmeticError, AssertionError, MemoryError)


@dataclass(frozen=True)
class Checkpoint:
    """A network with its origin. `algo` is empty for a parent; `accuracy` is that on validation.

    `arch` names the parent. `normalisation`: mean and standard
    deviation of the pixels in 0..1, numbers or one per channel; empty where it is not known. `network`:
    the class of the network where it is another one than the parent, or COMPOSED. `owed_epochs` are added to the
    long retraining of a network that was not trained so far. `softmax`: its outputs are classes that exclude each
    other, else each is one against the rest. `thresholds`: per class the logit above which the answer is yes; empty
    where that is 0. `notes` say in which respects the traced network is not what was given;
    `understood` are sentences on how a file of others was read, which may tell no normalisation and no accuracy.
    """

    arch: str
    dataset: str
    compact: CompactNetwork
    normalisation: Normalisation
    accuracy: float | None
    algo: str = ""
    seed: int = 1
    owed_epochs: int = 0
    network: str = ""
    softmax: bool = False
    thresholds: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    understood: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[int, ...]:
        return self.compact.kept.classes


# ------------------------------------------------------------------------------------------ saving


def save(path: Path, saved: Checkpoint) -> None:
    """Write a checkpoint. Raises as `written` does."""
    files.write(path, written(saved))


def written(saved: Checkpoint) -> bytes:
    """A checkpoint as a file; the same network gives the same bytes.

    Raises SpecDNNError, one sentence, if the network has something in it that cannot be rebuilt from a file.
    """
    buffer = io.BytesIO()
    torch.save(_shared(_checked(saved), {}), buffer)
    return buffer.getvalue()


def portable_files(saved: Checkpoint, more: Record) -> dict[str, bytes]:
    """Name -> bytes of the network in safetensors and JSON, which tells `more` beside it. Raises as `save` does."""
    return portable.written(_checked(saved), more)


def _checked(saved: Checkpoint) -> Record:
    """What is to be written, after it was found to load again."""
    try:
        content = _content(saved)
        beside.facts_of(content)
        _network(content)
    except LOST as error:
        raise SpecDNNError(f"{saved.arch} cannot be saved: {reading.why(error)}") from None
    return content


def _content(saved: Checkpoint) -> Record:
    network, wiring, kept = saved.compact.network, saved.compact.wiring, saved.compact.kept
    # cloned, because how a tensor lies in memory would be saved with it
    state = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in sorted(network.state_dict().items())
    }
    return {
        "format": beside.FORMAT,
        "acc": saved.accuracy,
        "state_dict": state,
        "mask": beside.pruned_inputs(kept, wiring.layers.widths),
        "graph": graphtext.to_text(network),
        "layers": [
            {"name": one.name, "units": one.units, "prunable": one.prunable, "channels": list(one.channels)}
            for one in wiring.layers.layers
        ],
        "kept": [list(units) for units in kept.units],
        "classes": list(kept.classes),
        "image_shape": list(wiring.image_shape),
        "normalisation": [list(one) if isinstance(one, tuple) else one for one in saved.normalisation],
        "parent_sizes": list(wiring.parent_sizes),
        "arch": saved.arch,
        "network": saved.network,
        "dataset": saved.dataset,
        "algo": saved.algo,
        "seed": saved.seed,
        "owed_epochs": saved.owed_epochs,
        **({"softmax": True} if saved.softmax else {}),
        **({"thresholds": list(saved.thresholds)} if saved.thresholds else {}),
        "notes": list(dict.fromkeys((*saved.notes, *wiring.notes))),
    }


def _shared(value: Any, known: dict[str, str]) -> Any:
    """The same with equal texts as one object, which pickle would tell apart."""
    if isinstance(value, str):
        return known.setdefault(value, value)
    if isinstance(value, list):
        return [_shared(one, known) for one in value]
    if isinstance(value, dict):
        return {_shared(name, known): _shared(one, known) for name, one in value.items()}
    return value


# ------------------------------------------------------------------------------------------ loading


def load(
    path: Path,
    architectures: Architectures,
    arch: str | None = None,
    image: torch.Tensor | Sequence[int] | None = None,
) -> Checkpoint:
    """Read a checkpoint: of ours, of ours as they once were, of the published format or of others.

    `architectures`: name -> what gives an nn.Module of full size, for files without a graph; it is traced on `image`,
    an image (channels, height, width) of the data set, or its shape. `arch` is the network the user named, if any.
    Raises SpecDNNError if the file is missing, no checkpoint, or of another network.
    """
    content = reading.content_of(path)
    named = content.get("arch") if isinstance(content, dict) else None
    if arch and isinstance(named, str) and named in architectures and named != arch:
        raise SpecDNNError(f"{path} holds a {named}, not a {arch}: drop --arch or name another checkpoint")
    image = image if image is None or torch.is_tensor(image) else torch.zeros(image)
    try:
        if isinstance(content, dict) and "graph" in content:
            return _ours(content, image)
        if isinstance(content, dict) and "kept" in content:
            return Checkpoint(**oldfiles.ours(content, architectures, image))
        return Checkpoint(**oldfiles.of_others(content, architectures, [arch] if arch else list(architectures), image))
    except Exception as error:  # whatever a graph that nobody traced makes the rules for units raise
        raise SpecDNNError(f"{path} cannot be loaded: {reading.why(error)}") from None


def load_network(path: Path) -> fx.GraphModule:
    """The network of a checkpoint, in evaluation mode: images (n, *image_shape), normalised -> logits (n, classes).

    It carries `classes`, `image_shape`, `normalisation` (mean and standard deviation, numbers or one per channel; empty
    where they are not known) and `thresholds` (logits above which the answer is yes; empty where that is 0). Raises
    SpecDNNError, one sentence, if the file holds no such network.
    """
    content = reading.content_of(path)
    try:
        if not isinstance(content, dict) or "graph" not in content:
            raise ValueError("it holds weights without a graph: load it with its architecture")
        facts, network = beside.facts_of(content), _network(content)
        network.classes, network.image_shape = facts["kept"].classes, facts["image_shape"]
        network.normalisation, network.thresholds = facts["normalisation"], facts["thresholds"]
        _try(network, facts["image_shape"])
    except LOST as error:
        raise SpecDNNError(f"{path} cannot be loaded: {reading.why(error)}") from None
    return network


def _ours(content: Record, image: torch.Tensor | None) -> Checkpoint:
    facts, network = beside.facts_of(content), _network(content)
    shape, layers, kept, sizes = (facts.pop(name) for name in ("image_shape", "layers", "kept", "parent_sizes"))
    if image is not None and tuple(image.shape) != shape:
        raise ValueError(f"its network is made for images of {_sizes(shape)}, not of {_sizes(image.shape)}")
    image = torch.zeros(shape) if image is None else image
    if kept != KeptUnits.everything(layers):
        return Checkpoint(compact=reopened(network, image, layers, kept, sizes), **facts)
    parent = CompactNetwork.parent(network, image)
    if parent.wiring.layers != layers:
        raise ValueError("its layers are not those of its network")
    wiring = dataclasses.replace(parent.wiring, parent_sizes=sizes)  # of a composition those of what it came from
    return Checkpoint(compact=CompactNetwork(wiring, kept), **facts)


def _sizes(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _try(network: fx.GraphModule, shape: tuple[int, ...]) -> None:
    """Run a network once, for what shows with numbers only; those of half precision may need another device."""
    floats = next((t.dtype for t in network.state_dict().values() if t.is_floating_point()), torch.float32)
    if floats in (torch.float32, torch.float64):
        with torch.no_grad():
            network(torch.zeros((1, *shape), dtype=floats))


# ------------------------------------------------------------------------------------------ the network in a file


def _network(content: Record) -> fx.GraphModule:
    """The network with its numbers; memory is taken only when the file's tensors are those that its graph implies."""
    state = {name: _whole(name, value) for name, value in _mapping(content["state_dict"]).items()}
    network = graphtext.from_text(content["graph"], state)
    expected = network.state_dict()
    if differ := foreign.differences(state, expected):
        raise ValueError(f"it does not hold the weights of its graph: {differ}")
    if wrong := next((n for n, t in state.items() if not t.is_floating_point() and t.dtype != expected[n].dtype), None):
        raise ValueError(f"{wrong} holds {state[wrong].dtype} numbers instead of {expected[wrong].dtype}")
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise ValueError("it holds weights that are not finite: its training diverged")
    outputs = dryrun.outputs_of(network, state, beside.image_shape(content["image_shape"]))
    if outputs != len(content["classes"]):
        raise ValueError(f"its network gives {outputs} logits for {len(content['classes'])} classes")
    network.load_state_dict(state, assign=True)
    _tie(network, graphtext.tied(content["graph"]), state)
    return network


def _mapping(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("its state_dict is no dictionary")
    return value


def _whole(name: Any, value: Any) -> torch.Tensor:
    """A tensor that is stored number by number."""
    tensor = foreign.dense(name, value)
    if not isinstance(name, str) or not tensor.is_contiguous():
        raise ValueError(f"{foreign.printable(name)} is not stored as it is used")
    if tensor.untyped_storage().nbytes() != tensor.numel() * tensor.element_size():
        raise ValueError(f"{foreign.printable(name)} is a part of something else")
    return tensor


def _tie(network: fx.GraphModule, tied: dict[str, str], state: dict[str, torch.Tensor]) -> None:
    """Give parameters of several names to all who use them."""
    own = dict(network.named_parameters())
    for name, first in tied.items():
        known = name in own and isinstance(first, str) and first in own
        if not known or not torch.equal(state[name], state[first]):
            raise ValueError(f"{name!r:.100} and {first!r:.100} are not the same parameter")
        holder, _, last = name.rpartition(".")
        setattr(network.get_submodule(holder), last, own[first])
