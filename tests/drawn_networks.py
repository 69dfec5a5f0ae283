"""Small networks drawn at random, from everything that a network may do to its units.

A network is a list of steps; a step reads one or two of the tensors before it and gives one more. `pick` chooses one of
a sequence: hypothesis' choice, or a random generator's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from zoo_networks import randomised

OUTPUTS = 4
SIDE = 4  # images are SIDE x SIDE


class Drawn(nn.Module):
    """Steps on maps (images, channels, height, width), an end that flattens them, steps on rows, and outputs."""

    def __init__(self, pick, image_shape=(2, SIDE, SIDE), maps: int = 5, rows: int = 2) -> None:
        super().__init__()
        self.pick, self.steps, self.told, self.image_channels = pick, [], [], image_shape[0]
        seen = [torch.randn(3, *image_shape)]
        self.draw(seen, [pick((conv, conv, strided, grouped))] + [pick(ON_MAPS) for _ in range(maps)])
        self.draw(seen, [pick(ENDS)])
        self.draw(seen, [pick(ON_ROWS) for _ in range(rows)])
        self.draw(seen, [outputs])
        del self.pick
        randomised(self.eval())

    def draw(self, seen: list[torch.Tensor], makers) -> None:
        for maker in makers:
            step, sources = maker(self, seen)
            self.steps.append((step, sources))
            self.told.append(f"{len(self.told) + 1}: {maker.__name__}{sources}")
            with torch.no_grad():
                seen.append(step(self, *(seen[source].clone() for source in sources)))

    def forward(self, images):
        seen = [images]
        for step, sources in self.steps:
            seen.append(step(self, *(seen[source] for source in sources)))
        return seen[-1]

    def add(self, module: nn.Module | nn.Parameter) -> str:
        """The name of a module or parameter that is now the network's."""
        name = f"part{len(self._modules) + len(self._parameters)}"
        setattr(self, name, module)
        return name

    def __repr__(self) -> str:  # what hypothesis prints
        return "; ".join(self.told)


def last(net: Drawn, seen) -> tuple[int, torch.Tensor]:
    """Mostly the last tensor; now and then an earlier one of as many dimensions."""
    alike = [k for k, x in enumerate(seen) if x.dim() == seen[-1].dim() and k > 0] or [len(seen) - 1]
    place = net.pick((alike[-1], alike[-1], alike[-1], *alike))
    return place, seen[place]


def fellow(net: Drawn, seen, fits) -> int | None:
    """Another tensor that fits."""
    places = [k for k, x in enumerate(seen) if fits(x)]
    return net.pick(places) if places else None


def divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def by_module(make: Callable) -> Callable:
    """A maker of steps that call the module which `make` gives."""

    def maker(net: Drawn, seen):
        place, x = last(net, seen)
        name = net.add(make(net, x))
        return (lambda net, x: getattr(net, name)(x)), (place,)

    maker.__name__ = make.__name__
    return maker


def by_function(make: Callable) -> Callable:
    """A maker of steps that are the function which `make` gives."""

    def maker(net: Drawn, seen):
        place, x = last(net, seen)
        return make(net, x), (place,)

    maker.__name__ = make.__name__
    return maker


# ------------------------------------------------------------------------------------------ on maps


@by_module
def conv(net, x):
    kernel, bias = net.pick((1, 3)), net.pick((True, False))
    return nn.Conv2d(x.shape[1], net.pick((2, 3, 4, 6)), kernel, padding=kernel // 2, bias=bias)


@by_module
def strided(net, x):
    return nn.Conv2d(x.shape[1], net.pick((4, 6)), 3, stride=2, padding=1)


@by_module
def depthwise(net, x):
    channels = x.shape[1]
    return nn.Conv2d(channels, channels * net.pick((1, 2)), 3, padding=1, groups=channels)


@by_module
def grouped(net, x):
    groups = net.pick(divisors(x.shape[1]))
    return nn.Conv2d(x.shape[1], groups * net.pick((1, 2)), 3, padding=1, groups=groups)


@by_module
def batch_norm(net, x):
    return (nn.BatchNorm2d if x.dim() == 4 else nn.BatchNorm1d)(x.shape[1], affine=net.pick((True, True, False)))


@by_module
def group_norm(net, x):
    places = x[0, 0].numel()  # torch refuses to normalise one number
    if x.shape[1] * places == 1:
        return nn.Identity()
    return nn.GroupNorm(net.pick([n for n in divisors(x.shape[1]) if n * 2 <= x.shape[1] * places] or [1]), x.shape[1])


@by_module
def prelu(net, x):
    return nn.PReLU(net.pick((1, x.shape[1])))


@by_module
def activation(net, x):
    return net.pick((nn.ReLU(), nn.ReLU(inplace=True), nn.GELU(), nn.Hardswish(inplace=True), nn.Sigmoid()))


@by_module
def pool(net, x):
    size = min(2, *x.shape[2:])
    return net.pick((nn.MaxPool2d(size), nn.AvgPool2d(size), nn.AdaptiveAvgPool2d(2), nn.ZeroPad2d((1, 0, 0, 1))))


@by_function
def in_place(net, x):
    def doubled(net, x):
        x *= 2
        return x

    return net.pick((lambda net, x: functional.relu_(x), lambda net, x: x.add_(1.5), doubled))


@by_function
def in_place_on_a_part(net, x):
    def half(net, x):
        part = x[:, : x.shape[1] // 2 + 1]
        part.mul_(3)
        return x

    def chunk(net, x):
        functional.relu_(x.chunk(2, 1)[0])
        return x

    return net.pick((half, chunk))


@by_function
def with_numbers(net, x):
    return net.pick(
        (
            lambda net, x: x * x.shape[1] ** -0.5,
            lambda net, x: x / x.size(-1),
            lambda net, x: 1 - x,
            lambda net, x: x + torch.ones(1),
            lambda net, x: x * torch.tensor(2.0),
            lambda net, x: x + x.dim(),
            lambda net, x: torch.rsub(x, 2.0),
        )
    )


@by_function
def dropout(net, x):
    return lambda net, x: functional.dropout(x, 0.0, training=net.training)


@by_function
def shuffle(net, x):
    groups = net.pick(divisors(x.shape[1]))
    n, c, h, w = x.shape

    def by_sizes(net, x):
        n, c, h, w = x.size()
        return x.view(n, groups, c // groups, h, w).transpose(1, 2).contiguous().view(n, c, h, w)

    def literal(net, x):
        return x.reshape(-1, groups, c // groups, h * w).transpose(1, 2).reshape(-1, c, h, w)

    return net.pick((by_sizes, literal, lambda net, x: functional.channel_shuffle(x, groups)))


@by_function
def halves(net, x):
    if x.shape[1] % 2:
        return lambda net, x: torch.cat([x[:, 1:], x[:, :1]], 1)
    half = x.shape[1] // 2

    def gated(net, x):
        one, other = x.chunk(2, dim=1)
        return one * other.sigmoid()

    def added(net, x):
        one, other = torch.split(x, half, 1)
        return one + other

    def swapped(net, x):
        one, other = x.split([half, half], dim=1)
        return torch.cat((other, functional.relu(one)), dim=1)

    return net.pick((gated, added, swapped))


@by_function
def slices(net, x):
    return net.pick(
        (
            lambda net, x: x[:, ::2],
            lambda net, x: x[:, -1:],
            lambda net, x: x[:, [x.shape[1] - 1, 0]],
            lambda net, x: x[..., ::2],
            lambda net, x: x.flip(1),
            lambda net, x: torch.roll(x, 1, 1),
            lambda net, x: x.narrow(1, 0, 1),
            lambda net, x: x.repeat_interleave(2, 1),
            lambda net, x: x[:, 0].unsqueeze(1),
        )
    )


@by_function
def padded(net, x):
    sides = (0, 0) * (x.dim() - 2)
    before, after = net.pick(((0, 2), (1, 1), (3, 0)))
    return net.pick(
        (
            lambda net, x: functional.pad(x, (*sides, before, after)),
            lambda net, x: functional.pad(x, (1, 0)),
            lambda net, x: torch.cat((x, torch.zeros_like(x)), 1),
            lambda net, x: functional.pad(x, (*sides, before, after), value=1.0),
        )
    )


@by_function
def there_and_back(net, x):
    c, h, w = x.shape[1:]
    return net.pick(
        (
            lambda net, x: functional.relu(x.reshape(-1, c, h * w)).view(x.size(0), c, h, w),
            lambda net, x: x.flatten(2).mean(2, keepdim=True).unsqueeze(-1) + x,
            lambda net, x: x.permute(0, 2, 3, 1).mul(2).permute(0, 3, 1, 2),
            lambda net, x: x.transpose(2, 3),
            lambda net, x: x.unflatten(1, (c, 1)).squeeze(2),
            lambda net, x: x.reshape(x.shape[0], -1).view(x.shape[0], c, h, w),
            lambda net, x: torch.stack([x, x * 2], dim=1).sum(1),
            lambda net, x: torch.stack([x, functional.relu(x)]).mean(0),
            lambda net, x: torch.stack([x, x], dim=2).flatten(1, 2),
        )
    )


@by_function
def gate(net, x):
    """Squeeze and excitation."""
    channels = x.shape[1]
    first, second = net.add(nn.Linear(channels, 3)), net.add(nn.Linear(3, channels))
    convolution = net.add(nn.Conv2d(channels, net.pick((1, channels)), 1))

    def by_linears(net, x):
        y = getattr(net, second)(functional.relu(getattr(net, first)(x.mean((2, 3)))))
        return x * torch.sigmoid(y).view(x.size(0), -1, 1, 1)

    def by_convolution(net, x):
        return x * torch.sigmoid(getattr(net, convolution)(functional.adaptive_avg_pool2d(x, 1)))

    return net.pick((by_linears, by_convolution))


@by_function
def constant(net, x):
    channels = x.shape[1]
    along = (1,) * (x.dim() - 2)
    name = net.add(nn.Parameter(torch.randn(*net.pick(((channels, *along), (1, channels, *along))))))
    return net.pick((lambda net, x: x * getattr(net, name), lambda net, x: getattr(net, name) + x))


@by_function
def table(net, x):
    """A parameter with a number for every element."""
    name = net.add(nn.Parameter(torch.randn(1, *x.shape[1:])))
    return lambda net, x: x + getattr(net, name)


@by_function
def channels_last(net, x):
    channels, last = x.shape[1], net.pick((None, 2, 5))
    name = net.add(nn.Linear(channels, last) if last else nn.Identity())
    scale = net.add(nn.Parameter(torch.randn(last or channels)))
    return lambda net, x: (getattr(net, name)(x.permute(0, 2, 3, 1)) * getattr(net, scale)).permute(0, 3, 1, 2)


@by_function
def not_understood(net, x):
    norm = net.add(nn.LayerNorm(x.shape[-1]))
    return net.pick(
        (
            lambda net, x: x.softmax(1),
            lambda net, x: getattr(net, norm)(x),
            lambda net, x: functional.normalize(x, dim=1),
            lambda net, x: x - x.mean(1, keepdim=True),
            lambda net, x: x.cumsum(1),
            lambda net, x: x * x.sum(1, True),
        )
    )


@by_function
def resized(net, x):
    name = net.add(nn.InstanceNorm2d(x.shape[1], affine=True) if x[0, 0].numel() > 1 else nn.Identity())
    small = x.shape[2] < SIDE
    return net.pick(
        (
            lambda net, x: functional.interpolate(x, scale_factor=2) if small else x,
            lambda net, x: functional.avg_pool2d(x, 3, stride=1, padding=1),
            lambda net, x: functional.pad(x, (1, 1, 0, 0), mode="replicate"),
            lambda net, x: getattr(net, name)(x),
            lambda net, x: functional.leaky_relu(x, 0.1, inplace=True),
        )
    )


@by_function
def over_places(net, x):
    """A convolution of one dimension over the flattened places."""
    channels = x.shape[1]
    name = net.add(nn.Conv1d(channels, net.pick((3, channels)), 1))
    height, width = x.shape[2:]
    return lambda net, x: getattr(net, name)(x.flatten(2)).unflatten(2, (height, width))


@by_function
def parts(net, x):
    """Halves by other words; of an odd number of channels the first is done twice."""
    gate = net.add(nn.GLU(1))

    odd, half = x.shape[1] % 2, (x.shape[1] + 1) // 2
    made = (lambda net, x: torch.cat((x, x[:, :1]), 1)) if odd else (lambda net, x: x)
    return net.pick(
        (
            lambda net, x: functional.glu(made(net, x), 1),
            lambda net, x: getattr(net, gate)(made(net, x)),
            lambda net, x: made(net, x).tensor_split(2, 1)[1],
            lambda net, x: made(net, x).unflatten(1, (2, half)).unbind(1)[1],
            lambda net, x: made(net, x).unflatten(1, (2, half)).mean(1),
            lambda net, x: made(net, x).unflatten(1, (half, 2)).amax(2),
        )
    )


def joined(net: Drawn, seen):
    place, x = last(net, seen)
    spread = {(1, *x.shape[2:]), (x.shape[1], *(1 for _ in x.shape[2:]))}
    other = fellow(net, seen, lambda y: y.shape == x.shape or (y.dim() == x.dim() and y.shape[1:] in spread))
    if other is None:
        other = place
    return net.pick(JOINS), (place, other)


def added_in_place(one, other):
    one += 2 * other
    return one


JOINS = (
    lambda net, one, other: one + other,
    lambda net, one, other: torch.mul(one, other),
    lambda net, one, other: torch.maximum(one, other),
    lambda net, one, other: added_in_place(one, other),
    lambda net, one, other: one.sub(other),
    lambda net, one, other: torch.where(torch.ones(1, dtype=torch.bool), one, other),
)


def together(net: Drawn, seen):
    place, x = last(net, seen)
    other = fellow(net, seen, lambda y: y.dim() == x.dim() and y.shape[2:] == x.shape[2:])
    if seen[other].shape[1] + x.shape[1] > 16:
        return (lambda net, one, other: one), (place, other)
    return (lambda net, one, other: torch.cat([one, other], 1)), (place, other)


ON_MAPS = (
    *(conv, conv, conv, strided, depthwise, grouped, batch_norm, group_norm, prelu, activation, pool, in_place),
    *(in_place_on_a_part, with_numbers, dropout, shuffle, halves, slices, padded, there_and_back, gate, constant),
    *(table, channels_last, not_understood, joined, joined, together, resized, over_places, parts),
)


# ------------------------------------------------------------------------------------------ from maps to rows


@by_function
def flattened(net, x):
    size = x[0].numel()
    return net.pick(
        (
            lambda net, x: x.flatten(1),
            lambda net, x: x.contiguous().view(-1, size),
            lambda net, x: x.reshape(x.shape[0], -1),
            lambda net, x: torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1),
            lambda net, x: x.mean([2, 3]),
            lambda net, x: x.amax(dim=(-2, -1)),
            lambda net, x: torch.cat([x.flatten(1), x.mean((2, 3))], 1),
            lambda net, x: x.transpose(1, 2).flatten(1),
            lambda net, x: x.flatten(1)[:, ::3],
            lambda net, x: x.mean(1).flatten(1),
        )
    )


@by_function
def tokens(net, x):
    channels = x.shape[1]
    inner, token = net.add(nn.Linear(channels, 6)), net.add(nn.Parameter(torch.randn(1, 1, 6)))
    outer, position = net.add(nn.Linear(6, 5)), net.add(nn.Parameter(torch.randn(1, x[0, 0].numel(), 6)))
    norm = net.add(nn.LayerNorm(5))

    def averaged(net, x):
        x = functional.gelu(getattr(net, inner)(x.flatten(2).transpose(1, 2)))
        return getattr(net, outer)(x).mean(1)

    def first(net, x):
        x = getattr(net, inner)(x.flatten(2).transpose(1, 2)) + getattr(net, position)
        x = torch.cat([getattr(net, token).expand(x.shape[0], -1, -1), x], dim=1)
        return getattr(net, norm)(getattr(net, outer)(x))[:, 0]

    def all_of_them(net, x):
        return getattr(net, outer)(getattr(net, inner)(x.flatten(2).permute(0, 2, 1))).flatten(1)

    return net.pick((averaged, first, all_of_them))


ENDS = (flattened, flattened, flattened, tokens)


# ------------------------------------------------------------------------------------------ on rows


@by_module
def linear(net, x):
    return nn.Linear(x.shape[1], net.pick((2, 4, 6)), bias=net.pick((True, False)))


@by_module
def outputs(net, x):
    return nn.Linear(x.shape[1], OUTPUTS)


ON_ROWS = (
    *(linear, linear, batch_norm, prelu, activation, in_place, in_place_on_a_part, with_numbers, dropout, halves),
    *(slices, padded, constant, table, joined, joined, together, group_norm, not_understood),
)
