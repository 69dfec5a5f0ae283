"""What stands in for tensors while the code of a user's network runs once, so that its operations are recorded."""

from __future__ import annotations

import builtins
import contextlib
import functools
import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from specdnn.network.modules import Given, Mode, Select, is_question, reading

BATCHES = (1, 2)  # images of the batches that are tried
COMPARISONS = (operator.lt, operator.le, operator.eq, operator.ne, operator.ge, operator.gt)
CALL, GETATTR = nn.Module.__call__, nn.Module.__getattr__  # as they are while nothing is recorded
WITHOUT_STAND_INS = (
    *("zeros", "ones", "empty", "full", "rand", "randn", "arange", "linspace", "eye"),
    *("cat", "concat", "stack", "hstack"),
)


# ------------------------------------------------------------------------------------------ of tensors


class Proxy(fx.Proxy):
    """A stand-in that keeps `x += y` apart from `x = x + y`, as others may read the same x, and knows its sizes."""

    tracer: Tracer

    def __getattr__(self, name: str) -> Any:
        rank = self.tracer.rank(self.node) if name == "ndim" else None
        return Attribute(self, name) if rank is None else rank

    def dim(self) -> Any:
        rank = self.tracer.rank(self.node)
        return Attribute(self, "dim")() if rank is None else rank

    ndimension = dim

    def __len__(self) -> int:
        parts = self.tracer.parts(self.node)
        if parts is None:
            raise TypeError("of a stand-in for a tensor the length is no number")
        return parts

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
        before = [buffer.clone() for buffer in root.buffers()]
        try:
            return super().trace(root, concrete_args)
        finally:
            self.trials = []  # which hold all that was found
            with torch.no_grad():  # statistics are learnt in training mode, whoever runs the code
                for buffer, old in zip(root.buffers(), before, strict=False):
                    buffer[...] = old

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
        if parts is None:
            return super().iter(obj)
        return iter([self.create_proxy("call_function", operator.getitem, (obj, k), {}) for k in range(parts)])

    def size(self, node: fx.Node) -> Any:
        """What a node gives that knows sizes at most, and not how many images there are; torch's refusal of others."""
        values = [] if node in reading(self.graph) else self._tried(node)
        if not values or values[0] != values[1] or self._counts_images(node):
            super().to_bool(self.proxy(node))
        self.counted |= asks_for_size(node)
        return values[0]

    def _counts_images(self, node: fx.Node) -> bool:
        """Whether a fixed number is compared with one that grows with the images, if both batches lie on one side."""
        if is_question(node):
            return False
        if node.target in COMPARISONS and len(node.all_input_nodes) == 1:
            fewer, more = self._tried(node.all_input_nodes[0])
            if fewer != more:
                return True
        return any(map(self._counts_images, node.all_input_nodes))

    def parts(self, node: fx.Node) -> int | None:
        """Of how many parts a tuple is, such as the shape of a tensor, or several tensors; None of a tensor."""
        lengths = {len(value) if isinstance(value, (tuple, list)) else None for value in self._tried(node)}
        return lengths.pop() if len(lengths) == 1 else None

    def rank(self, node: fx.Node) -> int | None:
        """How many dimensions a tensor has, which no cut changes; None of anything else, and where it is not known."""
        ranks = {value.dim() if torch.is_tensor(value) else None for value in self._tried(node)}
        return ranks.pop() if len(ranks) == 1 else None

    def _tried(self, node: fx.Node) -> list[Any]:
        """What a node gives for each of BATCHES; nothing where it fails or there is no image."""
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
        if node not in self.env:
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
            for patch in _for_einops():
                stack.enter_context(patch)
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _for_einops() -> Iterator[Any]:
    """einops, where a network uses it, knows tensors by their class, and would remember stand-ins by their shapes."""
    backends, main = (sys.modules.get(f"einops.{name}") for name in ("_backends", "einops"))
    known, whole = getattr(backends, "_type2backend", None), getattr(main, "_reconstruct_from_shape_uncached", None)
    if backends is not None and known is not None and whole is not None:
        own = backends.get_backend(torch.empty(0))
        yield mock.patch.dict(known, {Proxy: own, Attribute: own})
        yield mock.patch.object(main, "_reconstruct_from_shape", whole)


def _length(of: Any, count: Callable[[Any], int] = len) -> Any:
    """Python's len must be a number; of a stand-in for a tensor it is the size of its first dimension."""
    return of.size(0) if isinstance(of, Proxy) and of.tracer.parts(of.node) is None else count(of)


def _with_stand_ins(function: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Given, **kwargs: Given) -> Any:
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, fx.Proxy)]
        if not given:
            return function(*args, **kwargs)
        return given[0].tracer.create_proxy("call_function", function, args, kwargs)

    return called
