"""A network from a file, run once without memory: what does it make of an image, and how large does that get?"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import torch
from torch import fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from specdnn.network import whitelist
from specdnn.network.modules import Given, Select
from specdnn.network.operations import GATHERED
from specdnn.structures import first_line

SMALLEST, LARGEST = 1 << 24, 1 << 29  # how many numbers any network may compute for one image, and how many none may
PER_PIXEL = 1 << 12  # networks give about 50 to 350 numbers per pixel in all
PARTS = 1 << 16  # tensors that one is taken apart into
DEEPEST = 64  # numbers in a plain tuple, and the largest exponent of a plain power
TAKEN_APART = ("split", "chunk", "unbind", "tensor_split")


def outputs_of(network: fx.GraphModule, state: dict[str, torch.Tensor], image_shape: tuple[int, ...]) -> int:
    """How many logits a network on the meta device, in single precision, gives for an image.

    Raises ValueError, one sentence, if it fails, gives no row of logits, or computes anything larger than a network
    for images does.
    """
    image = torch.empty((1, *image_shape), device="meta")
    most = min(LARGEST, max(SMALLEST, PER_PIXEL * image.numel())) + sum(tensor.numel() for tensor in state.values())
    try:
        with torch.no_grad(), Bounded(most):
            found = DryRun(network, state, most).run(image)
    except Exception as error:  # whatever an operation raises on what it does not expect
        raise ValueError(f"its network fails on images of {_shape(image_shape)}: {first_line(error)}") from None
    if not torch.is_tensor(found) or found.dim() != 2 or found.shape[0] != 1 or not found.is_floating_point():
        raise ValueError(f"its network gives no row of logits for an image of {_shape(image_shape)}")
    return found.shape[1]


def _shape(sizes: Iterable[int]) -> str:
    return "x".join(map(str, sizes))


class Bounded(TorchDispatchMode):
    """Looks at every tensor that torch makes, also inside of functions."""

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's, not annotated
        self.most = most

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if torch.is_tensor(tensor) and tensor.numel() > self.most:
                raise ValueError(f"{func.overloadpacket.__name__} gives {tensor.numel():,} numbers for one image")
        return found


class DryRun(fx.Interpreter):
    """Runs node by node, and refuses what the meta device does not see: plain numbers and places out of range."""

    def __init__(self, network: fx.GraphModule, state: dict[str, torch.Tensor], most: int) -> None:
        super().__init__(network)
        self.state, self.most, self.total, self.extra_traceback = state, most, 0, False
        self.gathered = -GATHERED * sum(tensor.numel() for tensor in state.values())  # what is left, if negative

    def run_node(self, node: fx.Node) -> Any:
        if node.target is torch.index_select:
            self.check_places(node)
        found = super().run_node(node)
        leaves = tree_leaves(found)
        numbers = sum(leaf.numel() for leaf in leaves if torch.is_tensor(leaf))
        gathers = node.target is torch.index_select
        self.total, self.gathered = self.total + numbers * (not gathers), self.gathered + numbers * gathers
        if self.total > self.most or self.gathered > 0:
            raise ValueError(f"its operations give more than {self.most:,} numbers for one image")
        if not any(map(torch.is_tensor, leaves)) and (len(leaves) > DEEPEST or any(map(_endless, leaves))):
            raise ValueError(f"{node.name} gives plain numbers beyond any size")
        return found

    def check_places(self, node: fx.Node) -> None:
        """What is gathered must be there; places come from the file, and are no result of other operations."""
        args: Given = node.args if len(node.args) == 3 and not node.kwargs else (None, None, None)
        tensor, dim, index = args
        given = isinstance(tensor, fx.Node) and isinstance(index, fx.Node) and index.op == "get_attr"
        places = self.state.get(str(index.target)) if given else None
        if places is None or places.dtype not in (torch.int32, torch.int64) or places.dim() != 1 or not len(places):
            raise ValueError(f"{node.name} takes no list of places")
        size = self.env[tensor].shape[dim]
        if int(places.min()) < 0 or int(places.max()) >= size:
            raise ValueError(f"{index.target} takes elements that are not there")

    def call_function(self, target: Any, args: tuple[Given, ...], kwargs: dict[str, Given]) -> Any:
        if not any(map(torch.is_tensor, tree_leaves((args, kwargs)))):
            _check_plain(target, args)
        _check_parts(getattr(target, "__name__", ""), args, kwargs)
        return super().call_function(target, args, kwargs)

    def call_method(self, target: Any, args: tuple[Given, ...], kwargs: dict[str, Given]) -> Any:
        if not isinstance(args[0], torch.Tensor):
            raise ValueError(f"the method {target} is one of tensors")
        _check_parts(target, args, kwargs)
        return super().call_method(target, args, kwargs)

    def call_module(self, target: Any, args: tuple[Given, ...], kwargs: dict[str, Given]) -> Any:
        module = self.module.get_submodule(target)
        if isinstance(module, Select):
            sizes = [x[0].numel() if module.shape else x.shape[1] for x in args]
            if int(self.state[f"{target}.index"].max()) >= sum(sizes) + module.padded:
                raise ValueError(f"{target} takes elements that are not there")
        return super().call_module(target, args, kwargs)


def _endless(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) >= 1 << 63 and value not in (float("inf"), -float("inf"))


def _check_plain(target: Any, args: tuple[Given, ...]) -> None:
    """Arithmetic on plain numbers, tuples that are put together, and parts of tuples."""
    if target in (operator.add, operator.iadd) and all(isinstance(a, (tuple, list)) for a in args):
        return
    if target is operator.getitem and isinstance(args[0], (tuple, list)) and isinstance(args[1], (int, slice)):
        return
    numbers = all(isinstance(a, (int, float)) for a in args)
    if target not in whitelist.ARITHMETIC or not numbers:
        raise ValueError(f"{getattr(target, '__name__', target)} is given no tensor")
    if target in (operator.pow, operator.ipow) and abs(args[1]) > DEEPEST:
        raise ValueError("a power of plain numbers is beyond any size")


def _check_parts(name: str, args: tuple[Given, ...], kwargs: dict[str, Given]) -> None:
    """What is taken apart into tensors must not become more of them than a network needs."""
    if name not in TAKEN_APART:
        return
    tensor = args[0] if args else kwargs.get("input", kwargs.get("tensor"))
    numbers = [n for n in tree_leaves((args[1:], kwargs)) if isinstance(n, int)]
    if max((*getattr(tensor, "shape", ()), *numbers), default=0) > PARTS:
        raise ValueError(f"{name} gives more than {PARTS:,} tensors")
