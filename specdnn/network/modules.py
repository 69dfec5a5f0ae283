"""Torch's modules by class and constructor arguments, and the two modules that are ours."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import fx, nn

from specdnn.network import operations
from specdnn.network.labels import NOTHING

PLACES = ("device", "dtype")
Given: TypeAlias = Any  # an argument of a node: another node, a number, a list of them, ...


class Select(nn.Module):
    """Gathers what a cut leaves where an operation no longer fits.

    The inputs lie side by side along dimension 1, flattened from there on if `shape` is given; of that the elements at
    `index` are taken, and given the shape (images, *shape). `padded`: zeros stand behind them, at the index after the
    last.
    """

    index: torch.Tensor

    def __init__(self, index: torch.Tensor | Sequence[int], shape: Sequence[int] = (), padded: bool = False) -> None:
        super().__init__()
        self.shape, self.padded = tuple(shape), padded
        self.register_buffer("index", torch.as_tensor(index, dtype=torch.int64))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.moved(*inputs, nothing=0)

    def moved(self, *inputs: torch.Tensor, nothing: float = NOTHING) -> torch.Tensor:
        """The same with `nothing` instead of zeros."""
        parts = [x.flatten(1) for x in inputs] if self.shape else list(inputs)
        if self.padded:
            parts.append(torch.full_like(parts[0][:, :1], nothing))
        together = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        chosen = together.index_select(1, self.index.to(together.device))
        return chosen.unflatten(1, self.shape) if len(self.shape) > 1 else chosen

    def extra_repr(self) -> str:
        return f"{len(self.index)} elements"


class Mode(nn.Module):
    """Whether the network is in training mode, for functions that want to be told."""

    def forward(self) -> bool:
        return self.training


def named(network: nn.Module, target: str) -> Any:
    """The module, parameter or buffer of a dotted name."""
    for word in target.split("."):
        network = getattr(network, word)
    return network


def module_of(node: fx.Node, network: nn.Module) -> Any:
    """The module that a node calls, None if it calls none; what attributes it has, its class tells."""
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None


def parameters(kind: type[nn.Module]) -> dict[str, inspect.Parameter]:
    """What a module's class is constructed with; recurrent classes do not tell it themselves."""
    recurrent = issubclass(kind, nn.RNNBase)
    told = inspect.signature((nn.RNNBase if recurrent else kind).__init__).parameters
    hidden = {"self", "args", "kwargs", *PLACES}
    if recurrent:
        hidden |= {"mode"} if kind is nn.LSTM else {"mode", "proj_size"}
    return {name: one for name, one in told.items() if not (name in hidden or name.startswith("_"))}


def arguments(module: nn.Module) -> dict[str, Any]:
    """What the constructor of a module's class was given, as far as it kept it under the same names."""
    found = {name: getattr(module, name) for name in parameters(type(module)) if hasattr(module, name)}
    if "bias" in found and not isinstance(found["bias"], bool):
        found["bias"] = found["bias"] is not None
    return found


def is_question(node: fx.Node) -> bool:
    """Whether a node asks a tensor for its size, its type or its place."""
    if node.target is getattr:
        return node.args[1] in operations.ATTRIBUTES
    return node.op in ("call_function", "call_method") and node.target in operations.QUESTIONS


def reading(graph: fx.Graph, numbers: Sequence[str] = ("placeholder", "get_attr", "call_module")) -> set[fx.Node]:
    """The nodes that read the numbers of images, of own tensors or of modules; all others know sizes at most."""
    found = set[fx.Node]()
    for node in graph.nodes:
        if node.op in numbers or (not is_question(node) and not found.isdisjoint(node.all_input_nodes)):
            found.add(node)
    return found
