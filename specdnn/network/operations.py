"""Which of torch's operations do what to units. Tables only; `wiring` says what each kind means.

A function and a method of the same name do the same: a table holds the function itself, and the name as a method.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional


def words(text: str) -> list[str]:
    return text.split()


_ACTIVATIONS = words("""
    relu relu_ relu6 leaky_relu leaky_relu_ elu elu_ selu selu_ celu celu_ gelu silu mish softplus softsign
    tanhshrink hardtanh hardtanh_ hardswish hardsigmoid logsigmoid sigmoid tanh threshold threshold_ hardshrink
    softshrink rrelu rrelu_ dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout
""")
_MATHEMATICS = words("""
    relu relu_ sigmoid sigmoid_ tanh tanh_ exp exp_ exp2 expm1 log log2 log10 log1p sqrt sqrt_ rsqrt abs abs_ absolute
    neg neg_ negative positive square sign sgn sin cos tan asin acos atan arcsin arccos arctan sinh cosh asinh acosh
    atanh sinc erf erfc logit clamp clamp_ clamp_min clamp_max clip clone detach round floor ceil trunc fix frac
    reciprocal nan_to_num isnan isinf isfinite logical_not selu celu
""")
_COMPARISONS = words("eq ne lt le gt ge greater greater_equal less less_equal not_equal")
_OF_TWO = words("""
    add sub mul div true_divide maximum minimum fmax fmin pow subtract multiply divide atan2 arctan2 fmod remainder
    hypot logaddexp logaddexp2 copysign xlogy float_power logical_and logical_or logical_xor
""")
_CASTS = words("float double half bfloat16 long int to type type_as cpu cuda")
_POOLS = words("max_pool avg_pool adaptive_avg_pool adaptive_max_pool lp_pool")
_REDUCTIONS = words("mean sum amax amin var std")
_MOVED = words("""
    flatten reshape permute transpose chunk split squeeze unsqueeze narrow roll unflatten swapaxes movedim
    tensor_split flip fliplr flipud unbind select ravel repeat_interleave moveaxis diagonal
""")
_MOVED_BY_FUNCTIONS = words("""
    cat concat stack swapdims hstack channel_shuffle pixel_shuffle pixel_unshuffle broadcast_to zeros_like
""")
_MOVED_BY_METHODS = words("""
    view expand expand_as t view_as reshape_as repeat new_zeros contiguous
""")


def _functions(names: Iterable[str], *places: ModuleType) -> set[Callable[..., Any]]:
    """The functions of these names in these modules of torch, where they exist."""
    return {getattr(place, name) for name in names for place in places if hasattr(place, name)}


def _kind(number: Any) -> torch.dtype | None:
    """The type of a tensor that is filled with a number, if it is not that of all others."""
    return torch.bool if isinstance(number, bool) else torch.int64 if isinstance(number, int) else None


_pool_names = [f"{name}{dimensions}d" for name in _POOLS for dimensions in (1, 2, 3)]

# One element in, one element out, each by itself: the units are those of the input.
ELEMENTWISE = {
    *_functions(_ACTIVATIONS, functional, torch),
    *_functions(_MATHEMATICS, torch),
    *(name for name in (*_MATHEMATICS, *_CASTS) if hasattr(torch.Tensor, name)),
    operator.neg,
    operator.abs,
}
# Two tensors (or a tensor and a number), element by element, broadcast: units that meet are one unit.
BINARY = {
    *_functions((*_OF_TWO, "rsub"), torch),
    *(getattr(operator, name) for name in ("add", "sub", "mul", "truediv", "pow")),
    *_OF_TWO,
    *words("add_ sub_ mul_ div_ pow_ __add__ __radd__ __mul__"),
    *_functions(_COMPARISONS, torch, operator),
    *_COMPARISONS,
}
# The same with three, such as a condition, and what is taken where it holds and where it does not.
_OF_THREE = words("where lerp addcmul addcdiv")
TERNARY = {*_functions(_OF_THREE, torch), *_OF_THREE, *words("masked_fill masked_fill_")}
# What the two tensors are called that sorting gives -> their places.
PARTS = {"values": 0, "indices": 1}
# The largest and the smallest -> along dimensions, and of two tensors.
LARGEST: dict[Any, tuple[Any, Any]] = {
    **dict.fromkeys((torch.max, "max"), (torch.amax, torch.maximum)),
    **dict.fromkeys((torch.min, "min"), (torch.amin, torch.minimum)),
}
# What changes its left side in place -> the method that does so to a tensor, and what it means for numbers.
IN_PLACE_SIGNS = {
    operator.iadd: ("add_", operator.add),
    operator.isub: ("sub_", operator.sub),
    operator.imul: ("mul_", operator.mul),
    operator.itruediv: ("div_", operator.truediv),
    operator.ifloordiv: ("floor_divide_", operator.floordiv),
    operator.ipow: ("pow_", operator.pow),
}
# Every channel (dimension 1) by itself, its places changed.
PER_CHANNEL = {*_functions((*_pool_names, "interpolate"), functional, torch)}
# Places averaged away.
REDUCTIONS = {*_functions(_REDUCTIONS, torch), *_REDUCTIONS}
# Elements are moved, none is computed.
MOVEMENTS = {
    *_functions((*_MOVED, *_MOVED_BY_FUNCTIONS), torch),
    *(*_MOVED, *_MOVED_BY_METHODS),
    functional.pad,
    operator.getitem,
}
# What may give the very tensor that it is given, or a view of it; all movements but COPIES do as well.
SAME = {
    *_functions([name for name in _ACTIVATIONS if "dropout" in name], functional, torch),
    *("detach", *_CASTS),
}
SAME_MODULES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
COPIES = {
    *_functions(("cat", "concat", "stack", "hstack", "zeros_like"), torch),
    *_functions(("roll", "flip", "fliplr", "flipud", "repeat_interleave"), torch),
    *("roll", "flip", "fliplr", "flipud", "repeat", "repeat_interleave", "new_zeros"),
    functional.pad,
}
# What takes the size of another tensor.
LIKE_ANOTHER = {"expand_as", "view_as", "reshape_as"}
# Zeros in the shape of what is given, or in that of its arguments.
ZEROS = {torch.zeros_like, "new_zeros"}
# What makes a tensor of one number -> its sizes, the number and the type among what it is given.
FILLED: dict[Any, Callable[..., tuple[Any, Any, torch.dtype | None]]] = {
    torch.zeros: lambda *sizes, dtype=None, **_: (sizes if len(sizes) > 1 else sizes[0], 0, dtype),
    torch.ones: lambda *sizes, dtype=None, **_: (sizes if len(sizes) > 1 else sizes[0], 1, dtype),
    torch.full: lambda sizes, fill_value, dtype=None, **_: (sizes, fill_value, dtype or _kind(fill_value)),
}
# What asks for a tensor's size.
ATTRIBUTES = ("shape", "ndim", "dtype", "device", "is_cuda", "requires_grad", "layout")
QUESTIONS = {"size", "dim", "numel", "ndimension", "stride", "is_contiguous", "element_size", len}
# A monotone function of all outputs that classifiers may end in; networks here give what goes into it.
FINAL = {
    *_functions(("softmax", "log_softmax", "sigmoid", "logsigmoid"), functional, torch),
    *("softmax", "log_softmax", "sigmoid"),
}
FINAL_MODULES = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid, nn.LogSigmoid)

ELEMENTWISE_MODULES = (
    *(nn.Threshold, nn.ReLU, nn.RReLU, nn.Hardtanh, nn.ReLU6, nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.Hardshrink, nn.LeakyReLU, nn.LogSigmoid, nn.Softplus),
    *(nn.Softshrink, nn.Softsign, nn.Tanhshrink, nn.Identity),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout),
)
PER_CHANNEL_MODULES = (
    *(
        getattr(nn, f"{kind}{n}d")
        for kind in ("MaxPool", "AvgPool", "LPPool")
        for n in (1, 2, 3)
        if hasattr(nn, f"{kind}{n}d")
    ),
    *(getattr(nn, f"Adaptive{kind}Pool{n}d") for kind in ("Max", "Avg") for n in (1, 2, 3)),
    *(
        getattr(nn, f"{kind}Pad{n}d")
        for kind in ("Zero", "Constant", "Reflection", "Replication", "Circular")
        for n in (1, 2, 3)
    ),
    *(nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d),
)
MOVEMENT_MODULES = (nn.Flatten, nn.Unflatten, nn.ChannelShuffle, nn.PixelShuffle, nn.PixelUnshuffle)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LINEAR = (nn.Linear,)
Multiplying: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
# The same with weights that the graph gives them.
MULTIPLYING = (functional.linear, *(getattr(functional, f"conv{n}d") for n in (1, 2, 3)))
# A scale and a shift of its own for every channel, whatever the channels beside it do.
NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
# The first half along a dimension, times the sigmoid of the second.
GATES = {functional.glu}
GATE_MODULES = (nn.GLU,)
GROUP_NORMS = (nn.GroupNorm,)
PER_CHANNEL_WEIGHTS = (nn.PReLU,)
# Tables of vectors, which are asked for by whole numbers.
TABLES = (nn.Embedding, nn.EmbeddingBag)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
# How many numbers a network may gather from tensors of its own (torch.index_select), for each number that it stores.
GATHERED = 32


@dataclass(frozen=True)
class OfModules:
    """A function that modules of torch call: what it is given, in this order, and what of that the modules hold.

    `numbers`: name -> what it is if it is not given.
    """

    kinds: tuple[type[nn.Module], ...]
    arguments: tuple[str, ...]
    tensors: tuple[str, ...] = ("weight", "bias")
    numbers: Mapping[str, Any] = field(default_factory=dict)


_STEPS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
_STATISTICS = ("running_mean", "running_var", "weight", "bias")
OF_MODULES: dict[Any, OfModules] = {
    functional.linear: OfModules(LINEAR, ("input", "weight", "bias")),
    functional.batch_norm: OfModules(
        BATCH_NORMS,
        ("input", *_STATISTICS, "training", "momentum", "eps"),
        _STATISTICS,
        {"momentum": 0.1, "eps": 1e-5},
    ),
    functional.group_norm: OfModules(
        GROUP_NORMS, ("input", "num_groups", "weight", "bias", "eps"), numbers={"num_groups": None, "eps": 1e-5}
    ),
    **{
        getattr(functional, f"conv{n}d"): OfModules((kind,), ("input", "weight", "bias", *_STEPS), numbers=_STEPS)
        for n, kind in enumerate(CONVOLUTIONS, 1)
    },
}
