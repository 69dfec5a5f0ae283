"""How every operation that a file of a network may hold is called, for the test of its C."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from specdnn.network import whitelist
from specdnn.network.modules import Mode

MAP, ROW, LINE, CUBE = (4, 6, 6), (12,), (4, 10), (4, 3, 4, 5)
SHAPES = {1: LINE, 2: MAP, 3: CUBE}


def known(*shape) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel()).mul(0.7).add(0.3).sin().view(shape)


def words(text: str) -> list[str]:
    return text.split()


@dataclass(frozen=True)
class On:
    """Something for images of a shape; what stands alone is for MAP."""

    shape: tuple[int, ...]
    one: object


def each(*several) -> list:
    return list(several)


def ways(given) -> list[On]:
    """What stands in a table: one thing, or each of several."""
    return [one if isinstance(one, On) else On(MAP, one) for one in (given if isinstance(given, list) else [given])]


PAIR = each(lambda f, x: f(x, 0.7), lambda f, x: f(x, x.flip(1)), lambda f, x: f(x, known(6)))
POSITIVE = lambda f, x: f(x.abs() + 0.1)  # noqa: E731
BETWEEN = lambda f, x: f(torch.tanh(x) * 0.9)  # noqa: E731


def pools(dims: int, *more):
    shape = SHAPES[dims]
    ways = ({}, {"stride": 1}, {"stride": 3, "padding": 1, "ceil_mode": True}, *more)
    return each(*(On(shape, lambda f, x, way=way: f(x, 2, **way)) for way in ways))


def convs(dims: int):
    shape, k = SHAPES[dims], (2,) * dims
    return each(
        On(shape, lambda f, x: f(x, known(3, 4, *k))),
        On(shape, lambda f, x: f(x, known(3, 4, *k), known(3), stride=2, padding=1)),
        On(shape, lambda f, x: f(x, known(6, 2, *k), known(6), dilation=2, groups=2)),
        On(shape, lambda f, x: f(x, known(5, 4, *(1 for _ in k)), known(5))),
    )


def adaptive(dims: int):
    shape = SHAPES[dims]
    return each(*(On(shape, lambda f, x, n=n: values(f(x, n))) for n in (1, 2, 4)))


def values(found) -> torch.Tensor:
    """Without the places of the largest elements."""
    return found[0] if isinstance(found, tuple) else found


REDUCTION = each(
    lambda f, x: f(x, 1), lambda f, x: f(x, (2, 3), keepdim=True), lambda f, x: f(x, -1), lambda f, x: f(x).view(1, 1)
)
ASKED = lambda f, x: x * f(x)  # noqa: E731

# last word of a function's name, or a method -> ways to call it as f; what is not here is called with a map alone
CALLS = {
    **dict.fromkeys(
        words("add iadd add_ isub sub_ imul mul_ itruediv div div_ mul multiply"),
        PAIR,
    ),
    **dict.fromkeys(words("sub subtract truediv true_divide divide eq ne lt le gt ge"), PAIR),
    **dict.fromkeys(
        words("greater greater_equal less less_equal not_equal copysign atan2 arctan2 fmod hypot"), PAIR[1:]
    ),
    **dict.fromkeys(words("remainder logaddexp logaddexp2 logical_and logical_or logical_xor"), PAIR[1:]),
    **dict.fromkeys(words("floordiv ifloordiv mod floor_divide floor_divide_"), PAIR),
    **dict.fromkeys(words("log log2 log10 sqrt sqrt_ rsqrt reciprocal"), POSITIVE),
    **dict.fromkeys(words("log1p asin acos arcsin arccos atanh"), BETWEEN),
    "acosh": lambda f, x: f(x.abs() + 1.1),
    "logit": each(lambda f, x: f(x.sigmoid()), lambda f, x: f(x, 0.1)),
    **dict.fromkeys(("isnan", "isinf", "isfinite"), lambda f, x: f(torch.where(x > 1, x / 0, x.log()))),
    **dict.fromkeys(("fmax", "fmin"), each(*PAIR[1:], lambda f, x: f(x.log(), x))),
    **dict.fromkeys(("xlogy", "float_power"), lambda f, x: f(x.abs() + 0.1, x.flip(1).abs() + 0.1)),
    "lerp": each(lambda f, x: f(x, x.flip(1), 0.3), lambda f, x: f(x, x.flip(1), known(6))),
    **dict.fromkeys(("addcmul", "addcdiv"), lambda f, x: f(x, x.flip(1), x.abs() + 0.1, value=0.3)),
    "clamp_min": lambda f, x: f(x, 0.1),
    "clamp_max": lambda f, x: f(x, 0.1),
    "add": each(*PAIR, lambda f, x: f(x, (x > 0).float())),
    "div": each(
        *PAIR,
        lambda f, x: torch.div(x, 0.3, rounding_mode="floor"),
        lambda f, x: torch.div(x, 0.3, rounding_mode="trunc"),
    ),
    "sub": each(*PAIR, lambda f, x: torch.sub(x, x.flip(1), alpha=0.5)),
    **dict.fromkeys(("maximum", "minimum"), lambda f, x: f(x, x.flip(1))),
    "rsub": each(lambda f, x: f(x, 2.0), lambda f, x: f(x, x.flip(1), alpha=2)),
    **dict.fromkeys(
        ("pow", "pow_", "ipow"),
        each(
            *(lambda f, x, n=n: f(x.abs() + 0.1, n) for n in (2, 3, 0.5, -1, 1.7)),
            lambda f, x: f(x.abs() + 0.1, x.tanh()),
        ),
    ),
    **dict.fromkeys(
        ("clamp", "clamp_", "clip"),
        each(lambda f, x: f(x, -0.5, 0.5), lambda f, x: f(x, max=0.2), lambda f, x: f(x, min=known(6))),
    ),
    **dict.fromkeys(("sum", "mean", "var", "std"), REDUCTION),
    **dict.fromkeys(("amax", "amin"), each(*REDUCTION[:3], lambda f, x: f(x, (0, 1, 2, 3)).view(1, 1))),
    "var": each(*REDUCTION, lambda f, x: torch.var(x, 1, correction=0)),
    "logsumexp": each(*REDUCTION[:3]),
    "norm": each(*(lambda f, x, p=p: f(x, p, 1, True) for p in (2, 1, 3.0, float("inf"))), lambda f, x: x / f(x)),
    "bilinear": lambda f, x: f(x, x.flip(1), known(3, 6, 6), known(3)),
    "index_select": each(*(lambda f, x, d=d: f(x, d, torch.tensor([2, 0, 3, 2])) for d in (1, 2, 3))),
    "prod": each(lambda f, x: f(x, 1), lambda f, x: f(x, -1, keepdim=True), lambda f, x: f(x).view(1, 1)),
    **dict.fromkeys(("any", "all"), each(lambda f, x: f(x > 0.5, 1), lambda f, x: f(x > 0.5, -1, keepdim=True))),
    **dict.fromkeys(("std_mean", "var_mean"), each(lambda f, x: f(x, 1), lambda f, x: f(x, (2, 3), correction=0))),
    **dict.fromkeys(("nansum", "diff"), each(lambda f, x: f(x.log(), dim=1), lambda f, x: f(x))),
    "cdist": each(*(lambda f, x, p=p: f(x, x.flip(1), p) for p in (2.0, 1.0, 3.0, float("inf")))),
    "vector_norm": each(lambda f, x: f(x, dim=1), lambda f, x: f(x, 3, (1, 2))),
    "cosine_similarity": each(lambda f, x: f(x, x.flip(1)), lambda f, x: f(x, known(6), dim=-1)),
    "pairwise_distance": lambda f, x: f(x, x.flip(1)),
    "gather": lambda f, x: f(x, 1, torch.tensor([2, 0]).view(1, 2, 1, 1).expand(1, 2, 6, 6)),
    "take_along_dim": lambda f, x: f(x, torch.tensor([2, 0]).view(1, 2, 1, 1), 1),
    **dict.fromkeys(("tril", "triu"), each(lambda f, x: f(x), lambda f, x: f(x, 1))),
    **dict.fromkeys(("mm", "inner"), lambda f, x: f(x[0, 0], x[0, 1])),
    "mv": lambda f, x: f(x[0, 0], x[0, 1, 2]),
    "outer": lambda f, x: f(x[0, 0, 0], x[0, 1, 2]),
    "tensordot": lambda f, x: f(x, known(6, 4, 3), ([3, 1], [0, 1])),
    **dict.fromkeys(("cumsum", "cumprod"), each(lambda f, x: f(x, 1), lambda f, x: f(x, -1))),
    **dict.fromkeys(("softmax", "log_softmax", "softmin"), each(lambda f, x: f(x, dim=1), lambda f, x: f(x, dim=-1))),
    "glu": lambda f, x: f(x, 1),
    "normalize": each(lambda f, x: f(x), lambda f, x: f(x, p=1.0, dim=-1)),
    "gelu": each(lambda f, x: f(x), lambda f, x: f(x, approximate="tanh")),
    **dict.fromkeys(("threshold", "threshold_", "_threshold"), lambda f, x: f(x, 0.1, 2.0)),
    "leaky_relu": lambda f, x: f(x, 0.2),
    **dict.fromkeys(("dropout", "alpha_dropout", "feature_alpha_dropout"), lambda f, x: f(x, 0.5, False)),
    **{f"dropout{n}d": On(s, lambda f, x: f(x, 0.5, False)) for n, s in SHAPES.items()},
    "prelu": lambda f, x: f(x, known(4)),
    "nan_to_num": each(lambda f, x: f(x.log()), lambda f, x: f(x.log(), 7.0)),
    **{f"conv{n}d": convs(n) for n in (1, 2, 3)},
    "linear": each(lambda f, x: f(x, known(3, 6), known(3)), On(ROW, lambda f, x: f(x, known(5, 12)))),
    **{f"max_pool{n}d": pools(n, {"stride": 1, "dilation": 2}) for n in (1, 2, 3)},
    **{f"avg_pool{n}d": pools(n, {"stride": 1, "padding": 1, "count_include_pad": False}) for n in (1, 2, 3)},
    **{f"lp_pool{n}d": On(s, lambda f, x: f(x.abs(), 2.0, 2)) for n, s in SHAPES.items()},
    **{f"adaptive_{kind}_pool{n}d": adaptive(n) for n in (1, 2, 3) for kind in ("avg", "max")},
    "interpolate": each(
        *(lambda f, x, m=m: f(x, scale_factor=2, mode=m) for m in ("nearest", "bilinear")),
        *(lambda f, x, m=m: f(x, size=(9, 5), mode=m) for m in ("nearest-exact", "bilinear", "bicubic", "area")),
        lambda f, x: f(x, scale_factor=2, mode="bilinear", align_corners=True),
        On(LINE, lambda f, x: f(x, scale_factor=2, mode="linear")),
        On(CUBE, lambda f, x: f(x, scale_factor=2, mode="trilinear")),
    ),
    "pad": each(
        lambda f, x: f(x, (1, 2, 0, 1)),
        lambda f, x: f(x, (1, -1), value=2.0),
        *(lambda f, x, m=m: f(x, (2, 1, 0, 2), mode=m) for m in ("reflect", "replicate", "circular")),
    ),
    "batch_norm": each(
        lambda f, x: f(x, known(4), known(4).abs() + 0.1, known(4), known(4)),
        lambda f, x: f(x, known(4), known(4).abs() + 0.1),
    ),
    "instance_norm": each(lambda f, x: f(x), lambda f, x: f(x, weight=known(4), bias=known(4))),
    "group_norm": each(lambda f, x: f(x, 2), lambda f, x: f(x, 2, known(4), known(4))),
    "layer_norm": each(lambda f, x: f(x, [6, 6]), lambda f, x: f(x, [6], known(6), known(6))),
    "local_response_norm": lambda f, x: f(x, 3),
    "scaled_dot_product_attention": each(
        lambda f, x: f(x, x.flip(1), x),
        lambda f, x: f(x, x, x, is_causal=True),
        lambda f, x: f(x, x, x, attn_mask=known(6, 6)),
        lambda f, x: f(x, x, x, attn_mask=known(6, 6) > 0),
    ),
    "unfold": lambda f, x: f(x, 3, padding=1, stride=2),
    "matmul": each(lambda f, x: f(x, x.flip(1)), lambda f, x: f(x, known(6, 3)), lambda f, x: f(x, x[0, 0, 0])),
    "einsum": each(lambda f, x: f("bchw,bcvw->bhv", x, x), lambda f, x: f("bchw,cd->bdhw", x, known(4, 3))),
    "bmm": lambda f, x: f(x[0], x[0].transpose(1, 2)),
    "addmm": each(
        lambda f, x: f(x[0, 0], x[0, 1], x[0, 2]), lambda f, x: f(known(6), x[0, 1], x[0, 2], beta=0.5, alpha=2)
    ),
    "baddbmm": lambda f, x: f(x[0], x[0], x[0].flip(0), beta=0.5, alpha=2),
    "where": each(  # as a method, the first two change places
        lambda f, x: f(x > 0, x < 0.5, x.flip(1) > 0),
        lambda f, x: f(x > 0, x, 0.5),
        lambda f, x: f(x.flip(1) > x, x, known(6)),
    ),
    **dict.fromkeys(("masked_fill", "masked_fill_"), lambda f, x: f(x, x > 0.3, -2.0)),
    # movements
    **dict.fromkeys(
        ("cat", "concat", "hstack", "stack"),
        each(lambda f, x: f([x, x * 2]), lambda f, x: f((x[:, :1], known(1, 1, 6, 6)))),
    ),
    "cat": each(lambda f, x: f([x, x[:, 1:3]], 1), lambda f, x: f((x, known(1, 4, 6, 2)), dim=3)),
    **dict.fromkeys(("chunk", "tensor_split"), each(lambda f, x: f(x, 2, 1), lambda f, x: f(x, 3, 1))),
    "split": each(lambda f, x: f(x, 3, 1), lambda f, x: f(x, [1, 3], dim=1)),
    "unbind": lambda f, x: f(x, 1),
    **dict.fromkeys(("flatten", "unsqueeze"), each(lambda f, x: f(x, 1), lambda f, x: f(x, 2))),
    "flip": each(lambda f, x: f(x, [1]), lambda f, x: f(x, (2, 3))),
    "squeeze": each(lambda f, x: f(x[:, :1]), lambda f, x: f(x[:, :1], 1)),
    **dict.fromkeys(("reshape", "view"), each(lambda f, x: f(x, (1, 8, 18)), lambda f, x: f(x, (1, -1)))),
    "reshape": each(lambda f, x: f(x, (1, 8, 18)), lambda f, x: f(x.transpose(1, 2), (1, 8, 18))),
    **dict.fromkeys(("view_as", "reshape_as"), lambda f, x: f(x, known(1, 8, 18))),
    "permute": each(lambda f, x: f(x, (0, 2, 3, 1)), lambda f, x: torch.relu(f(x, (0, 3, 1, 2))).flatten(1) * 2),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims", "movedim", "moveaxis"), lambda f, x: f(x, 1, 3)),
    "diagonal": each(lambda f, x: f(x, 0, 2, 3), lambda f, x: f(x, 1, 1, 2)),
    "narrow": lambda f, x: f(x, 1, 1, 2),
    "roll": each(lambda f, x: f(x, (1, 2), (1, 2)), lambda f, x: f(x, 5)),
    "unflatten": lambda f, x: f(x, 1, (2, 2)),
    "select": lambda f, x: f(x, 1, 2),
    "repeat_interleave": each(lambda f, x: f(x, 2, 1), lambda f, x: f(x, torch.tensor([1, 2, 0, 3]), 1)),
    "channel_shuffle": lambda f, x: f(x, 2),
    "pixel_shuffle": lambda f, x: f(x, 2),
    "pixel_unshuffle": lambda f, x: f(x, 2),
    "broadcast_to": lambda f, x: f(x[:, :1], (1, 3, 6, 6)),
    "expand": lambda f, x: f(x[:, :1], (-1, 3, -1, -1)),
    "expand_as": lambda f, x: f(x[:, :1], x),
    "repeat": each(lambda f, x: f(x, (1, 2, 1, 1)), lambda f, x: f(x, (1, 2, 1, 1, 3))),
    "t": lambda f, x: f(x[0, 0]),
    "getitem": each(
        lambda f, x: f(x, (slice(None), slice(0, None, 2))),
        lambda f, x: f(x, (0, [2, 0], slice(None), [1, 3])),
        lambda f, x: f(x, (..., -1)),
        lambda f, x: f(x, (slice(None), [3, 1, 1])),
        lambda f, x: f(x, (slice(None), None)),
    ),
    "zeros_like": lambda f, x: torch.cat((x, f(x)), 1),
    "new_zeros": lambda f, x: torch.cat((x, f(x, (1, 2, 6, 6))), 1),
    # casts and questions
    "type_as": lambda f, x: f(x, known(1)),
    "to": each(lambda f, x: f(x, torch.float64), lambda f, x: f(x, known(1)), lambda f, x: f(x.round(), torch.bool)),
    "type": lambda f, x: f(x, torch.float64) * 2,
    "getattr": lambda f, x: x * f(x, "shape")[1] + f(x, "ndim"),
    "size": lambda f, x: x * f(x, 1),
    "stride": lambda f, x: x * f(x, 1),
    **dict.fromkeys(("dim", "element_size", "is_contiguous", "ndimension", "numel"), ASKED),
    # functions of torchvision
    "stochastic_depth": lambda f, x: f(x, 0.5, "row", False),
    "patch_merging_pad": On((5, 5, 3), lambda f, x: f(x)),
    "relative_position_bias": On(
        (4, 4), lambda f, x: x + f(known(9, 2), torch.tensor([4, 3, 1, 0, 5, 4, 2, 1] * 2), [2, 2])
    ),
    "shifted_window_attention": each(
        *(
            On(
                (6, 6, 4),
                lambda f, x, s=s: f(x, known(12, 4), known(4, 4), known(1, 2, 4, 4), [2, 2], 2, s, training=False),
            )
            for s in ([0, 0], [1, 1])
        )
    ),
}

# module -> ways to construct it: arguments, or (shape of the image, arguments)
MODULES = {
    **{f"{kind}{n}d": On(s, (4,)) for kind in ("BatchNorm", "InstanceNorm") for n, s in SHAPES.items()},
    **{f"{kind}{n}d": On(s, (2,)) for kind in ("MaxPool", "AvgPool") for n, s in SHAPES.items()},
    **{f"LPPool{n}d": On(s, (2, 2)) for n, s in SHAPES.items()},
    **{f"Adaptive{k}Pool{n}d": On(s, (2,)) for k in ("Avg", "Max") for n, s in SHAPES.items()},
    **{
        f"{k}Pad{n}d": On(s, (1,)) for k in ("Zero", "Reflection", "Replication", "Circular") for n, s in SHAPES.items()
    },
    **{f"ConstantPad{n}d": On(s, (1, 2.5)) for n, s in SHAPES.items()},
    **{f"Conv{n}d": each(On(s, (4, 3, 2)), On(s, (4, 4, 3, 1, 1, 1, 2, True, "reflect"))) for n, s in SHAPES.items()},
    **{f"ConvTranspose{n}d": each(On(s, (4, 3, 3)), On(s, (4, 6, 3, 2, 1, 1, 2, False, 1))) for n, s in SHAPES.items()},
    **{f"Dropout{n}d": On(s, (0.5,)) for n, s in SHAPES.items()},
    "ChannelShuffle": (2,),
    "PixelShuffle": (2,),
    "PixelUnshuffle": (2,),
    "GLU": (1,),
    "GroupNorm": (2, 4),
    "LayerNorm": each(([6, 6],), ([6],)),
    "RMSNorm": ([6],),
    "LocalResponseNorm": (2,),
    "Linear": (6, 3),
    "PReLU": each((), (4,)),
    "Softmax": (1,),
    "LogSoftmax": (1,),
    "Softmin": (1,),
    "Threshold": (0.1, 2.0),
    "Unflatten": (1, (2, 2)),
    "UpsamplingBilinear2d": (None, 2),
    "UpsamplingNearest2d": (None, 2),
    "Upsample": each((None, 2), ((9, 9), None, "bicubic")),
    "Select": each(([3, 0, 1],), ([5, 144, 140, 4], (2, 2), True), ([1, 4, 2], (), True)),
}

# what C cannot say in any way, as its numbers are of single precision and it has no words for an order; all of them
# stand in SENTENCES as well
NONE = ("half", "bfloat16", "long", "int", "EmbeddingBag", "sort", "argsort", "topk", "median", "argmax", "argmin")
BAG = nn.EmbeddingBag(5, 3)
# what is told by a sentence: the name -> (a way to call it, what the sentence says)
SENTENCES = {
    "half": (lambda x: x.half(), "numbers of type float16"),
    "bfloat16": (lambda x: x.bfloat16(), "numbers of type bfloat16"),
    "long": (lambda x: x.long().float(), "numbers of type int64"),
    "int": (lambda x: x.int().float(), "numbers of type int32"),
    "EmbeddingBag": (lambda x: BAG(x.flatten(1).abs().long() % 5), "numbers of type int64"),
    "sort": (lambda x: x.sort(1)[0], "sort cannot be written in C: there are no words"),
    "argsort": (lambda x: x.argsort(1).float(), "sort cannot be written in C: there are no words"),
    "median": (lambda x: x.median(1)[0], "median cannot be written in C: there are no words"),
    "argmax": (lambda x: x.argmax(1).float(), "argmax cannot be written in C: there are no words"),
    "argmin": (lambda x: x.argmin(1).float(), "argmin cannot be written in C: there are no words"),
    "topk": (lambda x: torch.topk(x, 2, 1)[0], "topk cannot be written in C: there are no words"),
    # ways to call what is covered otherwise
    "type": (lambda x: x.type(torch.int64).float(), "numbers of type int64"),
    "interpolate": (lambda x: functional.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True), "no words"),
    "max_pool2d": (lambda x: functional.max_pool2d(x, 2, return_indices=True)[1].float(), "numbers of type int64"),
    "round": (lambda x: torch.round(x, decimals=1), "rounds to decimals"),
    "getitem": (lambda x: known(7)[x[0].long()], "numbers of type int64"),
    "add": (lambda x: ((x > 0) + (x > 1)).float(), "adds truths"),
    "conv2d": (lambda x: functional.conv2d(x, x), "weights that are computed"),
}


class Attention(nn.MultiheadAttention):
    """The module as it is called: three times the same, of which the first result counts."""

    def forward(self, x):
        return super().forward(x[0], x[0], x[0])[0]


class First(nn.Module):
    """The first result of a module that is given an image, or several images, once or twice."""

    def __init__(self, module, times=1):
        super().__init__()
        self.module, self.times = module, times

    def forward(self, x):
        return values(self.module(*[x] * self.times))


class Sequence(nn.Module):
    """A table that is asked for the numbers that an image tells."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, x):
        return self.table((x.abs() * 2).clamp(max=self.table.num_embeddings - 1).long())


class Moody(nn.Module):
    """Asks for its mode."""

    def __init__(self):
        super().__init__()
        self.mode = Mode()

    def forward(self, x):
        return functional.dropout(x, 0.5, self.mode())


def cases() -> dict[str, list[tuple[tuple[int, ...], object]]]:
    """Name -> (image shape, function of an image or module) of all that a file may hold and C can say.

    What has several names is called in all its ways by the first, in one way by the others.
    """
    methods = {f"Tensor.{name}": _method(name) for name in sorted(whitelist.METHODS)}
    functions = {**whitelist.functions(), **whitelist.of_torchvision(), **methods}
    functions = {name: one for name, one in functions.items() if name.rpartition(".")[2] not in NONE}
    words = [name.rpartition(".")[2] for name in functions]
    found = {
        name: _of_function(word, function)[: None if words.index(word) == place else 1]
        for place, (word, (name, function)) in enumerate(zip(words, functions.items(), strict=True))
    }
    modules = {name: kind for name, kind in sorted(whitelist.MODULES.items()) if name not in NONE}
    return found | {name: _of_module(name, kind) for name, kind in modules.items()}


def _method(name: str):
    def call(x, *args, **kwargs):
        return getattr(x, name)(*args, **kwargs)

    return call


def _of_function(word: str, function) -> list:
    found = ways(CALLS.get(word, lambda f, x: f(x)))
    return [(way.shape, lambda x, call=way.one: call(function, x)) for way in found]


def _of_module(name: str, kind) -> list:
    if kind is Mode:
        return [(MAP, Moody())]
    if kind is nn.MultiheadAttention:
        more = {"bias": False, "add_bias_kv": True, "add_zero_attn": True}
        return [((5, 6), _random(Attention(6, 2))), ((5, 6), _random(Attention(6, 2, **more)))]
    if issubclass(kind, nn.RNNBase):
        more = {"bias": False, "batch_first": True, "bidirectional": True}
        return [((5, 6), _random(First(kind(6, 4)))), ((5, 6), _random(First(kind(6, 3, 2, **more))))]
    if kind is nn.Embedding:
        return [((4, 6), _random(Sequence(kind(5, 3)))), ((1,), _random(Sequence(kind(3, 7))))]
    if kind is nn.Bilinear:
        return [((5, 6), _random(First(kind(6, 6, 4), 2)))]
    return [(way.shape, _random(kind(*way.one))) for way in ways(MODULES.get(name, ()))]


def _random(module: nn.Module) -> nn.Module:
    """The module with other numbers than those that it begins with."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(known(*tensor.shape).abs() + 0.1 if name.endswith("var") else known(*tensor.shape))
    return module.eval()
