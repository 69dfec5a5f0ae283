"""What a cut removes is replaced by what the rest can say of it, from images on, without a gradient.

`mean`: what is removed becomes its mean, folded into the biases of the links that read it, or into the BatchNorm behind
them. `regress`: layer by layer, from the images on, weights and bias of a link become the ridge solution that gives the
parent's own pre-activations from what the cut network has at that place: least squares as He, Zhang and Sun 2017
("Channel pruning for accelerating very deep neural networks", section 3.1) and Luo, Wu and Lin 2017 ("ThiNet", section
3.3) have them; here class and rest count equally, and nothing is repeated.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

from specdnn.network.modules import named
from specdnn.network.surgery import CompactNetwork, can_shift, rewrite, shift
from specdnn.network.watching import BATCH_SIZE, class_means
from specdnn.network.wiring import Alive, Link
from specdnn.structures import Split, Tick

MOST_IMAGES = 20_000
MEMORY = 4 << 30  # bytes of intermediate results of all images
ROWS = 120_000  # places of all images that a convolution is solved on
AS_THEY_ARE = (0.0, 1.0)  # pixels, as the network has them
RIDGE = 0.01  # of the mean of the diagonal


@dataclass(frozen=True)
class Sample:
    """Images that a cut network is fitted on: a tensor (n, ...), or what is streamed like one.

    `groups` (n,): the number of the wanted class, or that of the rest; `seed`: of the places that are looked at.
    """

    images: Any
    groups: torch.Tensor
    seed: int = 0

    @functools.cached_property
    def weights(self) -> torch.Tensor:
        """(n,) of which every group has the same sum."""
        counts = torch.bincount(self.groups).double()
        return (1 / (counts.clamp(min=1) * (counts > 0).sum()))[self.groups] * len(self.groups)

    def batches(self) -> list[slice]:
        return [slice(first, first + BATCH_SIZE) for first in range(0, len(self.groups), BATCH_SIZE)]


def enough_of(split: Split, most: int | None = None) -> Split:
    """At most so many images (MOST_IMAGES unless given), evenly spaced."""
    most = most or MOST_IMAGES
    return split if len(split) <= most else split.part(torch.linspace(0, len(split) - 1, most).long())


def sample_of(split: Split, classes: Sequence[int], seed: int) -> Sample:
    """Enough of the images: each wanted class and all the rest together count the same."""
    some = enough_of(split)
    group = torch.full_like(some.labels, len(classes))
    for number, wanted in enumerate(classes):
        group[some.labels == wanted] = number
    return Sample(some.images, group, seed)


# ------------------------------------------------------------------------------------------ means


@torch.no_grad()
def by_means(parent: CompactNetwork, cut: CompactNetwork, sample: Sample, tick: Tick = lambda: None) -> None:
    """Fold the means of all that a link of the parent reads and the cut network lacks into the cut network, in place.

    Exact for the inputs of a Linear; of a convolution away from the border, where padding is 0 and not the mean. A link
    without a bias and without a BatchNorm behind it stays as it is.
    """
    alive = Alive(parent.wiring, cut.kept)
    for link, mean in zip(parent.wiring.links, means(parent, sample), strict=True):
        gone, rows = ~alive(link.sources), alive(link.targets)
        weight = named(parent.network, f"{link.name}.weight").double()
        total = weight.flatten(2).sum(2) if weight.dim() > 2 else weight
        missing = total[torch.as_tensor(rows)][:, torch.as_tensor(gone)] @ mean[torch.as_tensor(gone)]
        shift(cut.network, link, missing)
        tick()


@torch.no_grad()
def means(parent: CompactNetwork, sample: Sample, tick: Tick = lambda: None) -> list[torch.Tensor]:
    """Per link the mean of each of its inputs over images and places, (inputs,) float64."""
    groups = int(sample.groups.max()) + 1
    found = class_means(parent, Split(sample.images, sample.groups), groups, AS_THEY_ARE, tick=tick)
    there = found.counts > 0  # of which each counts the same
    return [torch.as_tensor(own[there].mean(0), device=sample.weights.device) for own in found.means]


# ------------------------------------------------------------------------------------------ regression


@torch.no_grad()
def by_regression(parent: CompactNetwork, cut: CompactNetwork, sample: Sample, tick: Tick = lambda: None) -> None:
    """Give the links of a cut network new weights, in the order of execution, in place; see the head of this file.

    `parent` is the network that is to be imitated, which holds all units of `cut`. Convolutions of two dimensions and
    Linears are solved, links of other kinds keep their weights. Takes one pass through either network, on as many of
    the images as leave its intermediate results in MEMORY.
    """
    sample = fitting_in_memory(cut, sample)
    places = Places(parent, cut, sample)
    wanted = places.of_parent()
    parent.network.eval()
    cut.network.eval()
    Fitting(cut, places, wanted, sample, tick).solve_all()


def fitting_in_memory(cut: CompactNetwork, sample: Sample) -> Sample:
    """All of the images, or fewer, evenly spaced, of which a network's intermediate results are held at once."""
    sizes = Sizes(cut.network.eval())
    sizes.run(sample.images[:1])
    some = enough_of(Split(sample.images, sample.groups), max(1, MEMORY // sizes.most()))
    return Sample(some.images, some.labels, sample.seed)


class Sizes(fx.Interpreter):
    """Runs a network once and tells how many bytes of its intermediate results are needed at the same time."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.bytes: dict[fx.Node, int] = {}

    def run_node(self, node: fx.Node) -> Any:
        found = super().run_node(node)
        self.bytes[node] = found.numel() * found.element_size() if torch.is_tensor(found) else 0
        return found

    def most(self) -> int:
        now = most = 0
        for node in self.graph.nodes:
            now += self.bytes[node]
            most = max(most, now)
            now -= sum(self.bytes[gone] for gone in self.user_to_last_uses.get(node, []))
        return most


class Pieces:
    """What is found batch by batch, the tensors of all batches in one piece of memory.

    Batches apart, some megabytes each and of many sizes, leave holes in the heap of the C library that nothing fits
    into: it grows to several times of what they need, and is never given back.
    """

    def __init__(self, batches: list[slice]) -> None:
        self.batches = batches
        self.values: dict[Any, list[Any]] = {}
        self.memory: dict[Any, torch.Tensor] = {}

    def add(self, key: Any, value: Any) -> None:
        """The value of the next batch, of which none is larger than the first."""
        several = self.values.setdefault(key, [])
        if torch.is_tensor(value) and value.dim():
            value = self._moved(key, value, len(several))
        several.append(value)

    def _moved(self, key: Any, value: torch.Tensor, number: int) -> torch.Tensor:
        if key not in self.memory:
            last = value.dim() == 4 and value.is_contiguous(memory_format=torch.channels_last)
            layout = torch.channels_last if last else torch.contiguous_format
            shape = len(value) * len(self.batches), *value.shape[1:]
            self.memory[key] = torch.empty(shape, dtype=value.dtype, device=value.device, memory_format=layout)
        each = len(self.memory[key]) // len(self.batches)
        place = self.memory[key][each * number :][: len(value)]
        if place.shape != value.shape:
            return value
        place[:] = value
        return place


class Places:
    """Where a link is looked at: all rows of a Linear's input, some places of a convolution's output, drawn once."""

    def __init__(self, parent: CompactNetwork, cut: CompactNetwork, sample: Sample) -> None:
        self.parent, self.cut, self.sample = parent, cut, sample
        self.drawn: dict[tuple[str, int], torch.Tensor] = {}
        self.alive = Alive(parent.wiring, cut.kept)

    def chosen(self, name: str, some: slice, count: int) -> torch.Tensor:
        """(images, places) of `count` places, the same whenever it is asked."""
        key = name, some.start
        if key not in self.drawn:
            images = len(self.sample.weights[some])
            each = max(1, min(count, -(-ROWS // len(self.sample.weights))))
            generator = torch.Generator().manual_seed(hash_of(name, some.start, self.sample.seed))
            self.drawn[key] = torch.randint(count, (images, each), generator=generator)
        return self.drawn[key].to(self.sample.weights.device)

    def of_parent(self) -> dict[str, list[torch.Tensor]]:
        """Link -> per batch the parent's pre-activations (rows of the cut network) at the chosen places."""
        wanted = Pieces(self.sample.batches())
        for some in wanted.batches:
            hooks = [
                self.parent.network.get_submodule(link.name).register_forward_hook(self.keeper(link, some, wanted))
                for link in self.parent.wiring.links
            ]
            try:
                self.parent.network.eval()(self.sample.images[some])
            finally:
                for hook in hooks:
                    hook.remove()
        return wanted.values

    def keeper(self, link: Link, some: slice, wanted: Pieces) -> Callable[..., None]:
        rows = torch.as_tensor(np.flatnonzero(self.alive(link.targets)))

        def keep(module: nn.Module, _: object, output: torch.Tensor) -> None:
            if solvable(module, output):
                wanted.add(link.name, self.outputs(link.name, module, output, some)[:, rows])

        return keep

    def outputs(self, name: str, module: nn.Module, output: torch.Tensor, some: slice) -> torch.Tensor:
        """(places of all images, rows)."""
        if isinstance(module, nn.Linear):
            return output.reshape(-1, output.shape[-1])
        chosen = self.chosen(name, some, output[0, 0].numel())
        taken = output.flatten(2).gather(2, chosen[:, None].expand(-1, output.shape[1], -1))
        return taken.transpose(1, 2).reshape(-1, output.shape[1])

    def inputs(self, name: str, module: nn.Linear | nn.Conv2d, given: torch.Tensor, some: slice) -> torch.Tensor:
        """(places of all images, numbers that a row of weights is multiplied by)."""
        if isinstance(module, nn.Linear):
            return given.reshape(-1, given.shape[-1])
        padded, (height, width) = _padded(given, module), module.kernel_size
        down, right = module.stride
        columns = (padded.shape[3] - module.dilation[1] * (width - 1) - 1) // right + 1
        rows = (padded.shape[2] - module.dilation[0] * (height - 1) - 1) // down + 1
        chosen = self.chosen(name, some, rows * columns)[..., None, None]
        y = chosen // columns * down + _steps(height, module.dilation[0], given)[:, None]
        x = chosen % columns * right + _steps(width, module.dilation[1], given)
        each = torch.arange(len(given), device=given.device)[:, None, None, None]
        taken = padded[each, :, y, x]  # (images, places, height, width, channels)
        return taken.movedim(4, 2).reshape(-1, given.shape[1] * height * width)


def _steps(count: int, dilation: int, like: torch.Tensor) -> torch.Tensor:
    return torch.arange(0, count * dilation, dilation, device=like.device)


def hash_of(name: str, start: int, seed: int) -> int:
    """The same number in every process, unlike Python's own hash."""
    return int.from_bytes(f"{name} {start} {seed}".encode(), "big") % (1 << 63)


def solvable(module: nn.Module, output: torch.Tensor) -> bool:
    """Whether its weights are a matrix that patches of its input are multiplied by."""
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and output.dim() == 4)


def _padded(given: torch.Tensor, module: nn.Conv2d) -> torch.Tensor:
    """The input as the convolution sees it."""
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    return functional.pad(given, module._reversed_padding_repeated_twice, mode)


class Fitting(fx.Interpreter):
    """Runs a network from link to link on all batches, and solves each link before it is run."""

    def __init__(
        self, cut: CompactNetwork, places: Places, wanted: dict[str, list[torch.Tensor]], sample: Sample, tick: Tick
    ) -> None:
        super().__init__(cut.network)
        self.links = {link.name: link for link in cut.wiring.links}
        self.places, self.wanted, self.sample, self.tick = places, wanted, sample, tick
        self.extra_traceback = False
        self.constants = {node: self.run_node(node) for node in self.graph.nodes if node.op == "get_attr"}

    def solve_all(self) -> None:
        """Link by link; what nobody reads any more is forgotten, what is behind the last one is not run."""
        stretch, *others = self.stretches()
        held: dict[fx.Node, list[Any]] = {}
        for following in others:
            held = self.run_all(stretch, held)
            self.solve(following[0], held[following[0].all_input_nodes[0]])
            self.tick()
            stretch = following

    def stretches(self) -> list[list[fx.Node]]:
        """All operations in their order; every stretch but the first begins with a link that is solved."""
        found: list[list[fx.Node]] = [[]]
        for node in self.graph.nodes:
            if node.op == "call_module" and node.target in self.wanted:
                found.append([])
            if node not in self.constants:
                found[-1].append(node)
        return found

    def run_all(self, stretch: list[fx.Node], held: dict[fx.Node, list[Any]]) -> dict[fx.Node, list[Any]]:
        """What is read behind a stretch, batch by batch; `held` is what is read in it or behind it."""
        found = Pieces(self.sample.batches())
        for number, some in enumerate(found.batches):
            self.env = self.constants | {known: several[number] for known, several in held.items()}
            for node in stretch:
                self.env[node] = self.sample.images[some] if node.op == "placeholder" else self.run_node(node)
                for gone in self.user_to_last_uses.get(node, []):
                    self.env.pop(gone, None)
            for node, value in self.env.items():
                if node not in held and node not in self.constants:
                    found.add(node, value)
        return {known: several for known, several in held.items() if known in self.env} | found.values

    def solve(self, node: fx.Node, given: list[torch.Tensor]) -> None:
        """The ridge solution of one link, from running sums."""
        name = str(node.target)
        module, link = named(self.module, name), self.links[name]
        sums = Sums(can_shift(self.module, link))
        for some, inputs, outputs in zip(self.sample.batches(), given, self.wanted[name], strict=True):
            seen = self.places.inputs(name, module, inputs, some)
            each = len(seen) // len(self.sample.weights[some])
            sums.add(seen, outputs, self.sample.weights[some].repeat_interleave(each))
        weight, bias = sums.solution()
        before = module.bias.double() if module.bias is not None else 0.0
        rewrite(module, weight)
        shift(self.module, link, bias - before)


class Sums:
    """Running sums of outer products for a weighted least squares, in double precision."""

    def __init__(self, free: bool) -> None:
        self.free = free
        self.inner: torch.Tensor = torch.zeros(())
        self.outer: torch.Tensor = torch.zeros(())

    def add(self, inputs: torch.Tensor, outputs: torch.Tensor, weights: torch.Tensor) -> None:
        """`inputs` (n, inputs), `outputs` (n, rows), `weights` (n,)."""
        ones = inputs.new_ones(len(inputs), 1)
        both = torch.cat([inputs, ones], 1) if self.free else inputs
        scaled = (both * weights.to(both)[:, None]).T
        self.inner = self.inner + (scaled @ both).double()
        self.outer = self.outer + (scaled @ outputs).double()

    def solution(self) -> tuple[torch.Tensor, torch.Tensor]:
        """((rows, inputs), (rows,)); the intercept, 0 where none is free, is not held down."""
        inputs = len(self.inner) - self.free
        diagonal = self.inner.diagonal()
        ridge = torch.zeros_like(diagonal)
        ridge[:inputs] = RIDGE * diagonal[:inputs].mean() + torch.finfo(torch.float64).eps
        found = torch.linalg.solve(self.inner + torch.diag(ridge), self.outer).T
        return found[:, :inputs], found[:, inputs] if self.free else found.new_zeros(len(found))


COMPENSATIONS = {"mean": by_means, "regress": by_regression}
