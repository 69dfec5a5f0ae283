"""What a file of a network may call: functions, methods and modules of torch by name. Tables only.

Nothing here makes a tensor of a size of its own choice, reads a file, or knows other names than these.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional

from specdnn.network import operations as ops
from specdnn.network.modules import Mode, Select

PLACES = {"functional": functional, "torch": torch, "operator": operator}
ATTRIBUTES = ("shape", "ndim", "dtype", "device")  # what may be asked of a tensor by getattr
Function: TypeAlias = Callable[..., Any]

# On plain numbers; on tensors element by element.
ARITHMETIC = {
    *(operator.add, operator.iadd, operator.sub, operator.isub, operator.mul, operator.imul, operator.truediv),
    *(operator.itruediv, operator.floordiv, operator.mod, operator.pow, operator.neg, operator.abs),
    *(operator.ifloordiv, operator.ipow, operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge),
}
# What networks here compute without a rule for units: as functions and as methods, and as functions alone.
_BOTH = ops.words("""
    matmul bmm mm mv outer logsumexp cumsum cumprod prod any all median argmax argmin gather take_along_dim tril triu
    norm sort argsort topk nansum diff
""")
_BEYOND = {
    *(getattr(torch, name) for name in _BOTH),
    *(torch.einsum, torch.addmm, torch.baddbmm, torch.tensordot, torch.inner, torch.cdist, torch.index_select),
    *(torch.std_mean, torch.var_mean, torch.ones_like, functional.cosine_similarity, functional.pairwise_distance),
    *(functional.layer_norm, functional.group_norm, functional.batch_norm, functional.instance_norm),
    *(functional.local_response_norm, functional.normalize, functional.linear, functional.prelu, functional.glu),
    *(getattr(functional, f"conv{dimensions}d") for dimensions in (1, 2, 3)),
    *(functional.scaled_dot_product_attention, functional.softmin, functional.unfold, functional.bilinear),
    operator.matmul,
}
_TABLES: tuple[set[Any], ...] = (
    ops.ELEMENTWISE,
    ops.BINARY,
    ops.TERNARY,
    ops.PER_CHANNEL,
    ops.REDUCTIONS,
    ops.MOVEMENTS,
    ops.QUESTIONS,
    ops.FINAL,
)
_ELSEWHERE = {"cpu", "cuda"}  # they say where, not what
_methods = {name for table in _TABLES for name in table if isinstance(name, str)} - _ELSEWHERE
_methods |= {*_BOTH, "floor_divide", "floor_divide_"}
METHODS = frozenset(name for name in _methods if not name.startswith("__"))
MODULES = {
    kind.__name__: kind
    for kind in (
        *(*ops.ELEMENTWISE_MODULES, *ops.PER_CHANNEL_MODULES, *ops.MOVEMENT_MODULES, *ops.CONVOLUTIONS, *ops.LINEAR),
        *(*ops.NORMS, *ops.GROUP_NORMS, *ops.PER_CHANNEL_WEIGHTS, *ops.TABLES, *ops.FINAL_MODULES),
        *(nn.LayerNorm, nn.MultiheadAttention, nn.LocalResponseNorm, nn.GLU, nn.Softmin, nn.Softmax2d, nn.RMSNorm),
        *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Bilinear, nn.GRU, nn.LSTM, nn.RNN),
        *(Select, Mode),
    )
}


def function(name: str) -> Function | None:
    """The function of a name, None if there is none that a file may call."""
    return (of_torchvision() if name.startswith("torchvision.") else functions()).get(name)


def name_of(function: Function) -> str | None:
    """The name of a function, None if it is none that a file may call."""
    outside = str(getattr(function, "__module__", "")).startswith("torchvision.")
    table = of_torchvision() if outside else functions()
    return next((name for name, one in table.items() if one is function), None)


def _is_in(module: ModuleType, function: Function) -> bool:
    return getattr(module, function.__name__, None) is function


@functools.cache
def functions() -> dict[str, Function]:
    """Name -> function of torch or of Python's operator."""

    allowed: set[Any] = {f for table in _TABLES for f in table if callable(f)} | ARITHMETIC | _BEYOND
    found: dict[str, Function] = {"getattr": getattr, "functional.logsigmoid": functional.logsigmoid}
    found |= {f"linalg.{name}": getattr(torch.linalg, name) for name in ("norm", "vector_norm")}
    for place, module in PLACES.items():
        found |= {f"{place}.{f.__name__}": f for f in allowed if _is_in(module, f)}
    return dict(sorted(found.items()))


@functools.cache
def of_torchvision() -> dict[str, Function]:
    """Functions that torchvision's networks keep whole when they are traced; it is loaded for those only."""
    from torchvision.models import swin_transformer
    from torchvision.ops import stochastic_depth

    return {
        "torchvision.stochastic_depth": stochastic_depth,
        "torchvision.shifted_window_attention": swin_transformer.shifted_window_attention,
        "torchvision.relative_position_bias": swin_transformer._get_relative_position_bias,
        "torchvision.patch_merging_pad": swin_transformer._patch_merging_pad,
    }
