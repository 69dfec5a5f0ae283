"""What torch's operations are in C: formulas for elements, reductions, movements, products and convolutions.

The operations are those of torch's Core ATen and a few around it. Each gets the program, then its arguments as torch
would, with values of the program in the place of tensors; it gives a value, or a tuple of values.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch.nn import functional

from specdnn.network.c99_program import Computed, Placed, Program, Statement, Value
from specdnn.structures import SpecDNNError

Operand: TypeAlias = Value | float
Weights: TypeAlias = torch.Tensor | None
Values: TypeAlias = tuple[Value | None, ...]  # None for what inference has no use for
Ints: TypeAlias = Sequence[int]
Operation: TypeAlias = Callable[..., Any]  # a value of the program, or a tuple of values
Dim: TypeAlias = int | Ints | None  # of one dimension, of several, or of all

MINUS_INFINITY = torch.tensor(-math.inf)
ZERO = torch.tensor(0.0)
WHOLE = (torch.int64, torch.int32)

# ------------------------------------------------------------------------------------------ element by element

_OF_MATH = "exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh"
_UNARY = {
    **{name: f"{name}f({{0}})" for name in f"{_OF_MATH} erf erfc floor ceil trunc".split()},
    "abs": "fabsf({0})",
    "neg": "-{0}",
    "reciprocal": "1.0f / {0}",
    "rsqrt": "1.0f / sqrtf({0})",
    "sigmoid": "1.0f / (1.0f + expf(-{0}))",
    "relu": "{0} < 0.0f ? 0.0f : {0}",
    "sign": "(float)(({0} > 0.0f) - ({0} < 0.0f))",
}
_BINARY = {
    "mul": "{0} * {1}",
    "atan2": "atan2f({0}, {1})",
    **{name: f"{name}f({{0}}, {{1}})" for name in ("fmod", "fmax", "fmin", "hypot", "copysign")},
    "maximum": "{0} != {0} || {0} > {1} ? {0} : {1}",
    "minimum": "{0} != {0} || {0} < {1} ? {0} : {1}",
}
_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_TRUE, _FALSE = "{0} != 0.0f", "{0} == 0.0f"
_LOGIC = {
    **{name: f"{{0}} {sign} {{1}}" for name, sign in _SIGNS.items()},
    "isnan": "{0} != {0}",
    "isinf": "fabsf({0}) > 3.4028234e38f",
    **{f"{kind}_not": _FALSE for kind in ("logical", "bitwise")},
    **{f"{kind}_and": "{0} != 0.0f && {1} != 0.0f" for kind in ("logical", "bitwise")},
    **{f"{kind}_or": "{0} != 0.0f || {1} != 0.0f" for kind in ("logical", "bitwise")},
    **{f"{kind}_xor": "({0} != 0.0f) != ({1} != 0.0f)" for kind in ("logical", "bitwise")},
}
# truths are stored as the numbers 0 and 1
FORMULAS = _UNARY | _BINARY | {name: f"(float)({formula})" for name, formula in _LOGIC.items()}
FORMULAS["where"] = "{0} != 0.0f ? {1} : {2}"
_POWERS = {0.0: "1.0f", 1.0: "{0}", 2.0: "{0} * {0}", 3.0: "{0} * {0} * {0}", 0.5: "sqrtf({0})", -1.0: "1.0f / {0}"}
_GELU = {
    "none": "0.5f * {0} * (1.0f + erff({0} * 0.70710678f))",
    "tanh": "0.5f * {0} * (1.0f + tanhf(0.79788456f * ({0} + 0.044715f * {0} * {0} * {0})))",
}


def _add(p: Program, one: Operand, other: Operand, alpha: float = 1, sign: str = "+") -> Value:
    return p.computed(f"{{0}} {sign} {{1}}", one, other if alpha == 1 else p.computed("{0} * {1}", other, alpha))


def _sub(p: Program, one: Operand, other: Operand, alpha: float = 1) -> Value:
    return _add(p, one, other, alpha, "-")


def _div(p: Program, one: Operand, other: Operand, rounding_mode: str | None = None) -> Value:
    if rounding_mode == "floor":
        return p.computed(f"{p.helper('floor_divide')}({{0}}, {{1}})", one, other)
    return p.computed("truncf({0} / {1})" if rounding_mode else "{0} / {1}", one, other)


def _remainder(p: Program, one: Operand, other: Operand) -> Value:
    return p.computed(f"{p.helper('remainder')}({{0}}, {{1}})", one, other)


def _pow(p: Program, base: Value, exponent: Operand) -> Value:
    if isinstance(exponent, (int, float)) and exponent in _POWERS:
        return p.computed(_POWERS[exponent], base)
    return p.computed("powf({0}, {1})", base, exponent)


def _clamp(p: Program, x: Value, min: Operand | None = None, max: Operand | None = None) -> Value:
    """What is no number stays none."""
    x = x if min is None else p.computed("{0} < {1} ? {1} : {0}", x, min)
    return x if max is None else p.computed("{0} > {1} ? {1} : {0}", x, max)


def _hardtanh(p: Program, x: Value, min_val: Operand = -1.0, max_val: Operand = 1.0) -> Value:
    return _clamp(p, x, min_val, max_val)


def _round(p: Program, x: Value, decimals: int = 0) -> Value:
    _must(decimals == 0, "rounds to decimals")
    return p.computed("rintf({0})", x)


def _elu(p: Program, x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Value:
    formula = "{0} > 0.0f ? {0} * {2} : {1} * expm1f({0} * {3})"
    return p.computed(formula, x, alpha * scale, scale, input_scale)


def _leaky_relu(p: Program, x: Value, negative_slope: float = 0.01) -> Value:
    return p.computed("{0} < 0.0f ? {0} * {1} : {0}", x, negative_slope)


def _rrelu(
    p: Program,
    x: Value,
    noise: Value,
    lower: float = 0.125,
    upper: float = 1 / 3,
    training: bool = False,
    generator: None = None,
) -> Values:
    _must(not training, "is random")
    return _leaky_relu(p, x, (lower + upper) / 2), None


def _gelu(p: Program, x: Value, approximate: str = "none") -> Value:
    return p.computed(_GELU[approximate], x)


def _to_copy(p: Program, x: Value, dtype: torch.dtype | None = None, **where: Any) -> Value:
    if dtype == torch.bool:
        return p.computed(f"(float)({_TRUE})", x)
    return p.computed("truncf({0})", x) if dtype in WHOLE else x


def _full_like(p: Program, x: Value, value: float = 0.0, dtype: torch.dtype | None = None) -> Value:
    return torch.tensor(float(value)).expand(x.shape)


# ------------------------------------------------------------------------------------------ reductions


def _sum(p: Program, x: Value, dim: Dim = (), keepdim: bool = False, dtype: torch.dtype | None = None) -> Value:
    return p.reduced(x, _dims(dim), keepdim, "0.0f", "{0} += {1};")


def _mean(p: Program, x: Value, dim: Dim = (), keepdim: bool = False, dtype: torch.dtype | None = None) -> Value:
    return p.computed("{0} / {1}", _sum(p, x, dim, keepdim), _count(x.shape, dim))


def _amax(p: Program, x: Value, dim: Dim = (), keepdim: bool = False) -> Value:
    return p.reduced(x, _dims(dim), keepdim, "-INFINITY", "{0} = {1} != {1} || {1} > {0} ? {1} : {0};")


def _amin(p: Program, x: Value, dim: Dim = (), keepdim: bool = False) -> Value:
    return p.reduced(x, _dims(dim), keepdim, "INFINITY", "{0} = {1} != {1} || {1} < {0} ? {1} : {0};")


def _prod(p: Program, x: Value, dim: Dim = (), keepdim: bool = False, dtype: torch.dtype | None = None) -> Value:
    return p.reduced(x, _dims(dim), keepdim, "1.0f", "{0} *= {1};")


def _any(p: Program, x: Value, dim: Dim = (), keepdim: bool = False) -> Value:
    return p.reduced(x, _dims(dim), keepdim, "0.0f", "{0} = {0} != 0.0f || {1} != 0.0f ? 1.0f : 0.0f;")


def _var(p: Program, x: Value, dim: Dim = (), correction: float | None = 1, keepdim: bool = False) -> Value:
    return _var_mean(p, x, dim, correction, keepdim)[0]


def _var_mean(
    p: Program, x: Value, dim: Dim = (), correction: float | None = 1, keepdim: bool = False
) -> tuple[Value, Value]:
    x = p.placed(x)
    mean = p.placed(_mean(p, x, dim, True))
    centred = p.computed("{0} - {1}", x, mean)
    total = _sum(p, p.computed("{0} * {0}", centred), dim, keepdim)
    count = _count(x.shape, dim) - (1 if correction is None else correction)
    mean = mean if keepdim else moved(p, torch.squeeze, mean, tuple(_dims(dim) or range(len(x.shape))))
    return p.computed("{0} / {1}", total, max(count, 0)), mean


def _dims(dim: Dim) -> Ints:
    return () if dim is None else (dim,) if isinstance(dim, int) else dim


def _count(shape: Ints, dim: Dim) -> int:
    return math.prod(shape[d] for d in _dims(dim)) if _dims(dim) else math.prod(shape)


def _cumsum(p: Program, x: Value, dim: int, dtype: torch.dtype | None = None) -> Value:
    return _cumulated(p, x, dim, "+=")


def _cumprod(p: Program, x: Value, dim: int, dtype: torch.dtype | None = None) -> Value:
    return _cumulated(p, x, dim, "*=")


def _cumulated(p: Program, x: Value, dim: int, sign: str) -> Value:
    """What has been found is put together with the next element, in a copy."""
    buffer = p.buffer(math.prod(x.shape))
    p.fill(buffer, x, x.shape)
    dim %= len(x.shape) or 1
    step = math.prod(x.shape[dim + 1 :])
    loops = f"for (int i = 0; i < {buffer.size // (step * x.shape[dim])}; i++)", f"for (int k = 0; k < {step}; k++)"
    turn = f"for (int j = {step}; j < {step * x.shape[dim]}; j += {step})"
    at = f"{buffer.name}[i * {step * x.shape[dim]} + j + k"
    lines = [f"{loops[0]} {{", f"    {turn} {{", f"        {loops[1]} {{", f"            {at}] {sign} {at} - {step}];"]
    p.add(Statement([*lines, "        }", "    }", "}"], {buffer.name}, buffer.name))
    return p.whole(buffer, x.shape)


def _softmax(p: Program, x: Value, dim: int, half_to_float: bool = False) -> Value:
    x = p.placed(x)
    powers = p.placed(p.computed("expf({0} - {1})", x, _amax(p, x, dim, True)))
    return p.computed("{0} / {1}", powers, _sum(p, powers, dim, True))


def _log_softmax(p: Program, x: Value, dim: int, half_to_float: bool = False) -> Value:
    x = p.placed(x)
    centred = p.placed(p.computed("{0} - {1}", x, _amax(p, x, dim, True)))
    return p.computed("{0} - logf({1})", centred, _sum(p, p.computed("expf({0})", centred), dim, True))


def _cdist(p: Program, one: Value, other: Value, power: float, mode: int | None = None) -> Value:
    """The distance of every row of one to every row of the other."""
    one, other = moved(p, torch.unsqueeze, one, -2), moved(p, torch.unsqueeze, other, -3)
    apart = p.placed(p.computed("fabsf({0} - {1})", one, other))
    if power == math.inf:
        return _amax(p, apart, -1)
    return _pow(p, p.placed(_sum(p, _pow(p, apart, power), -1)), 1 / power)


# ------------------------------------------------------------------------------------------ norms


def _normalised(p: Program, x: Value, dims: Ints, eps: float) -> Value:
    x = p.placed(x)
    variance, mean = _var_mean(p, x, dims, 0, True)
    scale = p.placed(p.computed("1.0f / sqrtf({0} + {1})", variance, eps))
    return p.computed("({0} - {1}) * {2}", x, mean, scale)


def _scaled(p: Program, x: Value, weight: Weights, bias: Weights) -> Value:
    x = x if weight is None else p.computed("{0} * {1}", x, weight)
    return x if bias is None else p.computed("{0} + {1}", x, bias)


def _layer_norm(p: Program, x: Value, shape: Ints, weight: Weights, bias: Weights, eps: float) -> Values:
    dims = range(len(x.shape) - len(shape), len(x.shape))
    return _scaled(p, _normalised(p, x, dims, eps), weight, bias), None, None


def _group_norm(
    p: Program, x: Value, weight: Weights, bias: Weights, n: int, channels: int, places: int, groups: int, eps: float
) -> Values:
    shape, x = x.shape, reshaped(p, x, (n, groups, -1))
    found = reshaped(p, _normalised(p, x, (2,), eps), shape)
    return _scaled(p, found, *(_per_channel(w, shape) for w in (weight, bias))), None, None


def _batch_norm(
    p: Program,
    x: Value,
    weight: Weights,
    bias: Weights,
    mean: torch.Tensor,
    var: torch.Tensor,
    momentum: float,
    eps: float,
) -> Values:
    """With statistics from training: a scale and a shift per channel."""
    _must(all(isinstance(w, torch.Tensor | None) for w in (weight, bias, mean, var)), "has weights that are computed")
    mean, var = mean.double(), var.double()
    scale = torch.rsqrt(var + eps) * (1 if weight is None else weight.double())
    shift = (0 if bias is None else bias.double()) - mean * scale
    return _scaled(p, x, *(_per_channel(w, x.shape) for w in (scale, shift))), None, None


def _own_batch_norm(
    p: Program, x: Value, weight: Weights, bias: Weights, training: bool, momentum: float, eps: float
) -> Values:
    """With the statistics of the image itself."""
    dims = [dim for dim in range(len(x.shape)) if dim != 1]
    found = _normalised(p, x, dims, eps)
    return _scaled(p, found, *(_per_channel(w, x.shape) for w in (weight, bias))), None, None


def _per_channel(weight: Weights, shape: Ints) -> Weights:
    return weight if weight is None else weight.view(-1, *[1] * (len(shape) - 2))


# ------------------------------------------------------------------------------------------ movements

# name -> how many of the first arguments are tensors whose elements are moved
_OF_ONE = """
    permute transpose t unsqueeze squeeze expand select slice split_with_sizes split chunk unbind index_select index
    flip roll repeat diagonal unfold pixel_shuffle pixel_unshuffle channel_shuffle take gather tril triu
"""
_OF_TWO = ("slice_scatter", "select_scatter", "diagonal_scatter")
MOVEMENTS = dict.fromkeys(_OF_ONE.split(), 1) | dict.fromkeys(_OF_TWO, 2)
SAME = {"clone", "alias", "detach", "lift_fresh_copy", "contiguous", "lift"}
_RESHAPED = ("view", "_unsafe_view", "reshape", "_reshape_alias")


def moved(p: Program, function: Callable[..., Any], x: Value, *args: Any, tensors: int = 1, **kwargs: Any) -> Any:
    """What a movement makes of a value, found by running it on addresses."""
    others = [p.placed(other).addresses for other in args[: tensors - 1]]
    rest = args[tensors - 1 :]
    _must(not any(isinstance(a, (Placed, Computed)) for a in _flat(rest)), "is told by the image what to move")
    found = function(p.placed(x).addresses, *others, *rest, **kwargs)
    return tuple(map(Placed, found)) if isinstance(found, (tuple, list)) else Placed(found)


def reshaped(p: Program, x: Value, shape: Ints) -> Placed:
    found: Placed = moved(p, torch.reshape, x, tuple(shape))
    return found


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield from _flat(value) if isinstance(value, (tuple, list)) else (value,)


def _view(p: Program, x: Value, shape: Ints) -> Value:
    _must(not isinstance(shape, torch.dtype), "looks at numbers as if they were of another type")
    return reshaped(p, x, shape)


def _cat(p: Program, tensors: Sequence[Value], dim: int = 0) -> Value:
    parts = [p.placed(x).addresses for x in tensors if tuple(x.shape) != (0,)]
    return Placed(torch.cat(parts, dim))


def _copy(p: Program, x: Value, source: Value, non_blocking: bool = False) -> Any:
    return moved(p, torch.Tensor.expand, source, x.shape)


def _pad(p: Program, x: Value, sides: Ints, value: float = 0.0) -> Placed:
    """A border of one value; what lies outside is cut off."""
    border = p.constant(torch.tensor(float(value)))
    return Placed(functional.pad(p.placed(x).addresses, tuple(sides), value=int(border.addresses)))


# ------------------------------------------------------------------------------------------ pools


def _windows(
    p: Program, x: Value, size: Ints, stride: Ints, padding: Ints, dilation: Ints, outputs: Ints, border: float
) -> Placed:
    """The windows over the last dimensions, each in as many dimensions behind all others."""
    places = list(zip(size, stride, padding, dilation, outputs, x.shape[-len(size) :], strict=True))
    spans = [(k - 1) * d + 1 for k, _, _, d, _, _ in places]
    behind = [
        max((out - 1) * s + span - pad - have, 0) for (_, s, pad, _, out, have), span in zip(places, spans, strict=True)
    ]
    placed = p.placed(x)
    if any(behind) or any(padding):
        sides = [n for pad, more in zip(reversed(padding), reversed(behind), strict=True) for n in (pad, more)]
        placed = p.gathered(_pad(p, placed, sides, border))
    addresses = placed.addresses
    for dim, ((_, s, _, d, out, _), span) in enumerate(zip(places, spans, strict=True), addresses.dim() - len(size)):
        addresses = addresses.unfold(dim, span, s)[..., ::d].narrow(dim, 0, out)
    return Placed(addresses)


def _sizes(value: Dim, count: int, default: Ints | None = None) -> list[int]:
    given = default if value is None or value == [] else value
    numbers = [given] if isinstance(given, int) else list(given or ())
    return numbers * count if len(numbers) == 1 else numbers


def _last(count: int) -> list[int]:
    return list(range(-count, 0))


def max_pool(dims: int) -> Operation:
    def pool(
        p: Program,
        x: Value,
        size: int | Ints,
        stride: Dim = None,
        padding: int | Ints = 0,
        dilation: int | Ints = 1,
        ceil_mode: bool = False,
    ) -> Values:
        size, stride = _sizes(size, dims), _sizes(stride, dims, size)
        padding, dilation = _sizes(padding, dims), _sizes(dilation, dims)
        run = getattr(functional, f"max_pool{dims}d")
        outputs = _meta(run, x, size, stride, padding, dilation, ceil_mode)[-dims:]
        windows = _windows(p, x, size, stride, padding, dilation, outputs, -math.inf)
        return _amax(p, windows, _last(dims)), None

    return pool


def avg_pool(dims: int) -> Operation:
    def pool(
        p: Program,
        x: Value,
        size: int | Ints,
        stride: Dim = None,
        padding: int | Ints = 0,
        ceil_mode: bool = False,
        count_pad: bool = True,
        divisor: int | None = None,
    ) -> Value:
        size, stride, padding = _sizes(size, dims), _sizes(stride, dims, size), _sizes(padding, dims)
        run, ones = getattr(functional, f"avg_pool{dims}d"), torch.ones(1, 1, *x.shape[-dims:])
        average, total = (run(ones, size, stride, padding, ceil_mode, count_pad, by)[0, 0] for by in (divisor, 1))
        windows = _windows(p, x, size, stride, padding, [1] * dims, average.shape, 0.0)
        return p.computed("{0} * {1}", _sum(p, windows, _last(dims)), average / total)

    return pool


def _meta(function: Callable[..., Any], x: Value, *args: Any) -> torch.Size:
    """The shape that a function gives."""
    shape: torch.Size = function(torch.empty(tuple(x.shape), device="meta"), *args[:-1], ceil_mode=args[-1]).shape
    return shape


def adaptive_avg_pool(dims: int) -> Operation:
    def pool(p: Program, x: Value, outputs: int | Ints) -> Value:
        windows, shares = _adaptive_windows(p, x, _sizes(outputs, dims), dims)
        return _sum(p, p.computed("{0} * {1}", windows, shares), _last(dims))

    return pool


def adaptive_max_pool(dims: int) -> Operation:
    def pool(p: Program, x: Value, outputs: int | Ints) -> Values:
        windows, _ = _adaptive_windows(p, x, _sizes(outputs, dims), dims)
        return _amax(p, windows, _last(dims)), None

    return pool


def _adaptive_windows(p: Program, x: Value, outputs: Ints, dims: int) -> tuple[Placed, torch.Tensor]:
    """(windows as long as the longest, which take their last element again; the share of each element)."""
    addresses, shares, first = p.placed(x).addresses, torch.ones(()), len(x.shape) - dims
    for place, (inputs, out) in enumerate(zip(x.shape[-dims:], outputs, strict=True)):
        starts = [i * inputs // out for i in range(out)]
        ends = [-(-(i + 1) * inputs // out) for i in range(out)]
        longest = max(map(operator.sub, ends, starts))
        index = torch.tensor([[min(a + k, b - 1) for k in range(longest)] for a, b in zip(starts, ends, strict=True)])
        own = [[(a + k < b) / (b - a) for k in range(longest)] for a, b in zip(starts, ends, strict=True)]
        dim = first + place
        addresses = addresses[(slice(None),) * dim + (index.flatten(),)].unflatten(dim, index.shape)
        addresses = addresses.movedim(dim + 1, -1)
        shape = [out if k == place else longest if k == dims + place else 1 for k in range(2 * dims)]
        shares = shares * torch.tensor(own).view(shape)
    return Placed(addresses), shares


# ------------------------------------------------------------------------------------------ products


def _matmul(p: Program, one: Value, other: Value, start: Value = ZERO) -> Value:
    """(..., m, k) times (..., k, n), added to a start."""
    (m, k), n = one.shape[-2:], other.shape[-1]
    batch = math.prod(one.shape[:-2])
    shape = (*one.shape[:-1], n)
    (left, a), (right, b), into = p.pointer(one), p.pointer(other), p.buffer(batch * m * n)
    p.fill(into, start, shape)
    call = f"{p.helper('multiply')}({left}, {right}, {into.name}, {m}, {k}, {n});"
    if batch > 1:
        parts = (f"{left} + i * {m * k}", f"{right} + i * {k * n}", f"{into.name} + i * {m * n}")
        call = f"{p.helper('multiply')}({', '.join(parts)}, {m}, {k}, {n});"
        call = f"for (int i = 0; i < {batch}; i++) {call}"
    p.add(Statement([call], p.read(a, b, into), into.name, macs=batch * m * k * n))
    return p.whole(into, shape)


def _addmm(p: Program, start: Value, one: Value, other: Value, beta: float = 1, alpha: float = 1) -> Value:
    one = one if alpha == 1 else p.computed("{0} * {1}", one, alpha)
    start = ZERO if beta == 0 else start if beta == 1 else p.computed("{0} * {1}", start, beta)
    return _matmul(p, one, other, start)


def _embedding(p: Program, table: torch.Tensor, which: Value, *options: Any) -> Value:
    """The vectors of these numbers; of a number that no vector has, the first or the last."""
    (count, size), numbers = table.shape, math.prod(which.shape)
    (vectors, t), (asked, w), into = p.pointer(table), p.pointer(which), p.buffer(numbers * size)
    lines = [
        f"for (int i = 0; i < {numbers}; i++) {{",
        f"    const float at = ({asked})[i] < {count}.0f ? ({asked})[i] : {count - 1}.0f;",
        f"    const float *const row = {vectors} + (at > 0.0f ? (int)at : 0) * {size};",
        f"    for (int k = 0; k < {size}; k++) {into.name}[i * {size} + k] = row[k];",
        "}",
    ]
    p.add(Statement(lines, p.read(t, w), into.name))
    return p.whole(into, (*which.shape, size))


def convolution(
    p: Program,
    x: Value,
    weight: torch.Tensor,
    bias: Weights,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    transposed: bool,
    output_padding: Ints,
    groups: int,
) -> Value:
    """In three dimensions, the first of size 1 where there are fewer."""
    _must(isinstance(weight, torch.Tensor), "has weights that are computed from the image")
    dims = len(x.shape) - 2
    stride, padding, dilation = (_sizes(value, dims) for value in (stride, padding, dilation))
    if transposed:
        more = _sizes(output_padding, dims)
        x, weight, stride, padding = _turned(p, x, weight, stride, padding, dilation, more, groups)
    spans = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    outputs = [
        (n + 2 * pad - span) // s + 1 for n, pad, span, s in zip(x.shape[2:], padding, spans, stride, strict=True)
    ]
    start = ZERO if bias is None else bias.view(-1, *[1] * dims)
    shape = (1, weight.shape[0], *outputs)
    if groups == 1 and math.prod(weight.shape[2:]) == math.prod(stride) == 1 and not any(padding):
        maps = reshaped(p, x, (x.shape[1], -1))
        start = start if bias is None else start.view(-1, 1)
        return reshaped(p, _matmul(p, weight.flatten(1), maps, start), shape)
    (read, source), (kernels, w), into = p.pointer(x), p.pointer(weight), p.buffer(math.prod(shape))
    p.fill(into, start, shape)
    macs = math.prod(shape) * math.prod(weight.shape[1:])
    sides = (x.shape[2:], weight.shape[2:], outputs, stride, dilation, padding)
    filled = [n for side, one in zip(sides, (1, 1, 1, 1, 1, 0), strict=True) for n in (*[one] * (3 - dims), *side)]
    sizes = p.numbers([groups, weight.shape[1], weight.shape[0] // groups, *filled])
    call = f"{p.helper('convolve')}({read}, {kernels}, {into.name}, {sizes});"
    p.add(Statement([call], p.read(source, w, into), into.name, macs=macs))
    return p.whole(into, shape)


def _turned(
    p: Program, x: Value, weight: torch.Tensor, stride: Ints, padding: Ints, dilation: Ints, more: Ints, groups: int
) -> tuple[Placed, torch.Tensor, list[int], list[int]]:
    """A transposed convolution as a convolution: zeros between the elements, the kernels the other way round."""
    dims = len(stride)
    addresses = p.placed(x).addresses
    for dim, s in enumerate(stride, 2):
        zeros = p.constant(ZERO).addresses.expand(*addresses.shape, s - 1)
        addresses = torch.cat((addresses.unsqueeze(-1), zeros), -1).movedim(-1, dim + 1).flatten(dim, dim + 1)
        addresses = addresses.narrow(dim, 0, addresses.shape[dim] - s + 1)
    sides = [
        n
        for k, d, pad, extra in reversed([*zip(weight.shape[2:], dilation, padding, more, strict=True)])
        for n in ((k - 1) * d - pad, (k - 1) * d - pad + extra)
    ]
    weight = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1).flip(_last(dims))
    return _pad(p, Placed(addresses), sides), weight, [1] * dims, [0] * dims


# ------------------------------------------------------------------------------------------ all of them


def _must(condition: bool, what: str) -> None:
    if not condition:
        raise SpecDNNError(f"it {what}")


def _on_addresses(name: str, tensors: int) -> Operation:
    function = getattr(torch.ops.aten, name)
    return lambda p, *args, **kwargs: moved(p, function, *args, tensors=tensors, **kwargs)


def _formula(text: str) -> Operation:
    return lambda p, *operands: p.computed(text, *operands)


OPERATIONS: dict[str, Operation] = {
    **{name: _formula(text) for name, text in FORMULAS.items()},
    **{name: _on_addresses(name, tensors) for name, tensors in MOVEMENTS.items()},
    **dict.fromkeys(SAME, lambda p, x, **layout: x),
    **dict.fromkeys(_RESHAPED, _view),
    **{"add": _add, "sub": _sub, "div": _div, "remainder": _remainder, "pow": _pow, "clamp": _clamp},
    **{"hardtanh": _hardtanh, "round": _round, "elu": _elu, "leaky_relu": _leaky_relu, "gelu": _gelu},
    **{"rrelu_with_noise_functional": _rrelu, "_to_copy": _to_copy},
    **{"sum": _sum, "mean": _mean, "amax": _amax, "amin": _amin, "prod": _prod, "any": _any, "var": _var},
    **{"var_mean": _var_mean, "cumsum": _cumsum, "cumprod": _cumprod, "_cdist_forward": _cdist},
    **{"_softmax": _softmax, "_log_softmax": _log_softmax},
    **{"native_layer_norm": _layer_norm, "native_group_norm": _group_norm},
    **{"_native_batch_norm_legit_no_training": _batch_norm, "_native_batch_norm_legit": _own_batch_norm},
    **{"cat": _cat, "copy": _copy, "constant_pad_nd": _pad},
    **{f"max_pool{n}d_with_indices": max_pool(n) for n in (2, 3)},
    **{f"avg_pool{n}d": avg_pool(n) for n in (2, 3)},
    **{f"_adaptive_avg_pool{n}d": adaptive_avg_pool(n) for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": adaptive_max_pool(n) for n in (2, 3)},
    **{"mm": _matmul, "bmm": _matmul, "addmm": _addmm, "convolution": convolution, "embedding": _embedding},
    **{"full_like": _full_like, "zeros_like": _full_like, "empty_like": _full_like},
    "getitem": lambda p, values, place: values[place],
}
