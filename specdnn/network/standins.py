"""What stands in for tensors while the code of a user's network runs once, so that its operations are recorded."""

from __future__ import annotations

import builtins
import contextlib
import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from specdnn.network.modules import Given, Mode, Select, is_question, reading

BATCHES = (1, 2, 3)  # images of the batches whose sizes are compared
CALL, GETATTR = nn.Module.__call__, nn.Module.__getattr__  # as they are while nothing is recorded
WITHOUT_STAND_INS = (
    *("zeros", "ones", "empty", "full", "rand", "randn", "arange", "linspace", "eye"),
    *("cat", "concat", "stack", "hstack"),
)


# ------------------------------------------------------------------------------------------ of tensors


class Proxy(fx.Proxy):
    """A stand-in that keeps `x += y` apart from `x = x + y`, as others may read the same x, and knows its sizes."""

    tracer: Tracer

    def __getattr__(self, name: str) -> Attribute:
        return Attribute(self, name)

    def __index__(self) -> int:
        return operator.index(self.tracer.size(self.node))

    def __int__(self) -> int:
        return int(self.tracer.size(self.node))

    def __float__(self) -> float:
        return float(self.tracer.size(self.node))

    def changed(self, sign: Callable[..., Any], other: Given) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", sign, (self, other), {})

    __iadd__ = functools.partialmethod(changed, operator.iadd)
    __isub__ = functools.partialmethod(changed, operator.isub)
    __imul__ = functools.partialmethod(changed, operator.imul)
    __itruediv__ = functools.partialmethod(changed, operator.itruediv)
    __ifloordiv__ = functools.partialmethod(changed, operator.ifloordiv)
    __ipow__ = functools.partialmethod(changed, operator.ipow)


class Attribute(fx.proxy.Attribute, Proxy):
    """What an attribute of a stand-in is, or a method of it once it is called."""


class Tracer(fx.Tracer):
    """Looks into everything but torch's own modules and ours.

    What the code decides by sizes is decided as for images like `image` (of any shape), if it is the same for any
    number of them; what it decides by numbers in tensors cannot be recorded.
    """

    def __init__(self, image: torch.Tensor | None = None) -> None:
        super().__init__()
        self.image = image
        self.counted = False  # whether the code asked for a size as a number
        self.trials: list[Trial] = []

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        self.trials = []
        try:
            return super().trace(root, concrete_args)
        finally:
            self.trials = []  # which hold all that was found

    def notes(self) -> list[str]:
        if not self.counted or self.image is None:
            return []
        shape = tuple(self.image.shape)
        return [f"the network decides by the sizes of its images: what is traced is right for those of shape {shape}"]

    def proxy(self, node: fx.Node) -> Proxy:
        return Proxy(node, self)

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        if type(module) in (*STACKS, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer):
            return False
        return isinstance(module, (Select, Mode)) or super().is_leaf_module(module, name)

    def call_module(self, module: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        forward = functools.partial(STACKS[type(module)], module) if type(module) in STACKS else forward
        return super().call_module(module, forward, args, kwargs)

    def to_bool(self, obj: fx.Proxy) -> bool:
        return bool(self.size(obj.node))

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        parts = self.parts(obj.node)
        return (
            super().iter(obj)
            if parts is None
            else iter([self.create_proxy("call_function", operator.getitem, (obj, k), {}) for k in range(parts)])
        )

    def size(self, node: fx.Node) -> Any:
        """What a node gives that knows sizes at most; torch's own refusal of anything else."""
        values = [] if node in reading(self.graph) else self._tried(node)
        if not values or any(value != values[0] for value in values):
            super().to_bool(self.proxy(node))
        self.counted |= asks_for_size(node)
        return values[0]

    def parts(self, node: fx.Node) -> int | None:
        """Of how many parts a tuple is, such as the shape of a tensor, or several tensors; None of a tensor."""
        lengths = {len(value) if isinstance(value, (tuple, list)) else None for value in self._tried(node)}
        return lengths.pop() if len(lengths) == 1 else None

    def _tried(self, node: fx.Node) -> list[Any]:
        """What a node gives for batches of one, two and three images; nothing where it fails or there is no image."""
        if self.image is None:
            return []
        if not self.trials:
            batches = (self.image.expand(count, *self.image.shape).contiguous() for count in BATCHES)
            self.trials = [Trial(self.root, self.graph, images) for images in batches]
        try:
            return [trial.result(node) for trial in self.trials]
        except Exception:  # whatever a user's function raises
            return []


def asks_for_size(node: fx.Node) -> bool:
    """Whether a number is found from sizes, not from the number of dimensions or a type alone."""
    if is_question(node):
        return node.target in ("size", "numel") or node.args[1:] == ("shape",)
    return any(asks_for_size(one) for one in node.all_input_nodes)


class Trial(fx.Interpreter):
    """Runs what is recorded of a network so far on some images, as far as it is asked for."""

    def __init__(self, network: nn.Module, graph: fx.Graph, images: torch.Tensor) -> None:
        super().__init__(network, garbage_collect_values=False, graph=graph)
        self.images, self.extra_traceback = images, False

    def result(self, node: fx.Node) -> Any:
        with _running(self.module):
            for one in self.graph.nodes:
                if one not in self.env:
                    self.env[one] = self._given(one) if one.op == "placeholder" else self.run_node(one)
        return self.env[node]

    def _given(self, node: fx.Node) -> Any:
        first = next(iter(self.graph.nodes))
        return self.images if node is first else node.args[0] if node.args else None


@contextlib.contextmanager
def _running(network: nn.Module) -> Iterator[None]:
    """While a network is recorded: its modules run, in evaluation mode, and leave nothing behind."""
    modes = {module: module.training for module in network.modules()}
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(torch.random.fork_rng(devices=[]))
            stack.enter_context(mock.patch.object(nn.Module, "__call__", CALL))
            stack.enter_context(mock.patch.object(nn.Module, "__getattr__", GETATTR))
            network.eval()
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


# ------------------------------------------------------------------------------------------ torch's own code


def _encoded(
    encoder: nn.TransformerEncoder,
    src: Given,
    mask: Given = None,
    src_key_padding_mask: Given = None,
    is_causal: bool | None = None,
) -> Given:
    """What torch's encoder gives: its own forward looks at tensors first, to see whether they are nested."""
    for layer in encoder.layers:
        src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal))
    return src if encoder.norm is None else encoder.norm(src)


def _decoded(
    decoder: nn.TransformerDecoder,
    tgt: Given,
    memory: Given,
    tgt_mask: Given = None,
    memory_mask: Given = None,
    tgt_key_padding_mask: Given = None,
    memory_key_padding_mask: Given = None,
    tgt_is_causal: bool | None = None,
    memory_is_causal: bool = False,
) -> Given:
    """What torch's decoder gives: its own forward counts the dimensions first, and looks for causes in a mask."""
    masks = {"tgt_mask": tgt_mask, "memory_mask": memory_mask, "tgt_key_padding_mask": tgt_key_padding_mask}
    masks["memory_key_padding_mask"] = memory_key_padding_mask
    for layer in decoder.layers:
        tgt = layer(tgt, memory, tgt_is_causal=bool(tgt_is_causal), memory_is_causal=memory_is_causal, **masks)
    return tgt if decoder.norm is None else decoder.norm(tgt)


STACKS: dict[type, Callable[..., Given]] = {nn.TransformerEncoder: _encoded, nn.TransformerDecoder: _decoded}


@contextlib.contextmanager
def in_a_form_to_be_followed() -> Iterator[None]:
    """Without torch's one function for a whole layer of a transformer, for which its forward looks at tensors; and with
    functions that take stand-ins where torch's own, in some of its versions, take none: sizes, a device, a tuple."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with contextlib.ExitStack() as stack:
            for name in WITHOUT_STAND_INS:
                stack.enter_context(mock.patch.object(torch, name, _with_stand_ins(getattr(torch, name))))
            stack.enter_context(mock.patch.object(builtins, "len", _length))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _length(of: Any, count: Callable[[Any], int] = len) -> Any:
    """Python's len must be a number; of a stand-in for a tensor it is the size of its first dimension."""
    if not isinstance(of, Proxy):
        return count(of)
    parts = of.tracer.parts(of.node)
    return of.size(0) if parts is None else parts


def _with_stand_ins(function: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Given, **kwargs: Given) -> Any:
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, fx.Proxy)]
        if not given:
            return function(*args, **kwargs)
        return given[0].tracer.create_proxy("call_function", function, args, kwargs)

    return called
