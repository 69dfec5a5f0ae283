"""The rules by which every operation of a traced network labels what it gives. `trace` runs them and sums up."""

from __future__ import annotations

import functools
import operator
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import fx, nn

from specdnn.network import operations as ops
from specdnn.network.labels import (
    HALF,
    NOTHING,
    Labels,
    NotUnderstood,
    Sets,
    channels_of,
    places_of,
    rows_of,
    uniform_dimension,
)
from specdnn.network.modules import Given, is_question, module_of, named, reading
from specdnn.network.tracing import in_place, settle_made, settle_signs, settle_tables, tidy
from specdnn.structures import SpecDNNError, first_line

IMAGES = 2  # in the example: two, so that what depends on their number is seen
Rule: TypeAlias = Callable[[fx.Node], Any]  # gives the labels of what a node gives


class Recorder(fx.Interpreter):
    """Runs a network and keeps, per operation, the shape of what it gives, or its plain value."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.seen: dict[str, Any] = {}
        self.tensors: set[str] = set()
        self.rows: dict[str, torch.Tensor] = {}  # which vectors a table is asked for
        self.made: dict[str, torch.Tensor] = {}  # from nothing but sizes and numbers
        self.reading = reading(network.graph)

    def run_node(self, node: fx.Node) -> Any:
        if isinstance(module_of(node, self.module), nn.Embedding):
            self.rows[node.name] = self.env[node.all_input_nodes[0]]
        found = super().run_node(node)
        self.seen[node.name] = fx.node.map_aggregate(found, lambda v: tuple(v.shape) if torch.is_tensor(v) else v)
        if torch.is_tensor(found):
            self.tensors.add(node.name)
            if node not in self.reading:
                self.made[node.name] = found.clone()
        return found


def stand_in(node: fx.Node, network: fx.GraphModule, values: dict[str, Any]) -> Any:
    """What a node gives on stand-ins for its inputs: labels or addresses instead of numbers. Padding adds NOTHING."""
    args: tuple[Given, ...] = fx.node.map_arg(node.args, lambda n: values[n.name])
    kwargs: dict[str, Given] = fx.node.map_arg(node.kwargs, lambda n: values[n.name])
    if (module := module_of(node, network)) is not None:
        return module.moved(*args) if hasattr(module, "moved") else module(*args, **kwargs)
    if node.target in ops.ZEROS:
        shape = args[0].shape if node.op == "call_function" else args[0].new_zeros(*args[1:]).shape
        return torch.full(shape, NOTHING)
    if node.op == "call_method":
        views = node.target == "view" and not any(isinstance(arg, torch.dtype) for arg in args)
        name = "reshape" if views else str(node.target)  # stand-ins lie otherwise in memory than what they stand for
        return getattr(args[0], name)(*args[1:], **kwargs)
    if node.target is nn.functional.pad:
        pad = args[1] if len(args) > 1 else kwargs["pad"]
        return nn.functional.pad(args[0], pad, value=NOTHING)
    function: Any = node.target
    return function(*args, **kwargs)


def is_movement(node: fx.Node, network: fx.GraphModule) -> bool:
    """Whether a node moves elements and computes none."""
    if (module := module_of(node, network)) is not None:
        return isinstance(module, ops.MOVEMENT_MODULES) or hasattr(module, "moved")
    if node.op == "call_function" and node.target is nn.functional.pad:
        return _pads_channels_with_zeros(node)
    return node.op in ("call_function", "call_method") and node.target in ops.MOVEMENTS


def _pads_channels_with_zeros(node: fx.Node) -> bool:
    mode: Given = node.args[2] if len(node.args) > 2 else node.kwargs.get("mode", "constant")
    value: Given = node.args[3] if len(node.args) > 3 else node.kwargs.get("value")
    return bool(mode == "constant" and not value)


class Aliases:
    """Which operations give tensors that share memory, so that a change of one in place changes the others."""

    def __init__(self, network: fx.GraphModule) -> None:
        self.place: dict[fx.Node, int] = {}
        self.base: dict[fx.Node, fx.Node] = {}
        for place, node in enumerate(network.graph.nodes):
            same = bool(node.all_input_nodes) and self.may_share(node, network)
            self.place[node], self.base[node] = place, self.base[node.all_input_nodes[0]] if same else node

    @staticmethod
    def may_share(node: fx.Node, network: fx.GraphModule) -> bool:
        module = module_of(node, network)
        if isinstance(module, ops.SAME_MODULES):
            return True
        if hasattr(module, "moved"):
            return False
        moves = is_movement(node, network) and node.target not in ops.COPIES
        return moves or node.target in ops.SAME or in_place(node)

    def outdated(self, node: fx.Node) -> list[fx.Node]:
        """Views, read later, of what a node changes in place: other ones than it changes or than come after it."""
        changed = node.all_input_nodes[0]
        family = (other for other, base in self.base.items() if base is self.base[node])
        earlier = (other for other in family if self.place[other] < self.place[node] and other is not changed)
        return [other for other in earlier if any(self.place[user] > self.place[node] for user in other.users)]


class Labelling:
    """One walk through the graph. Labels of `values` name channels and places that `channels` and `places` may join."""

    def __init__(self, network: fx.GraphModule, images: torch.Tensor, bundles: Collection[str] = ()) -> None:
        self.network, self.bundles = network, bundles
        recorder, further = Recorder(network), Recorder(network)
        recorder.run(images)
        further.run(torch.cat([images, images[:1]]))
        self.seen, self.seen_of_more = recorder.seen, further.seen  # shapes of IMAGES images, and of one more
        settle_signs(network, recorder.tensors)
        settle_tables(network, recorder.rows, further.rows)
        settle_made(network, recorder.made, further.made)
        tidy(network)
        self.aliases = Aliases(network)
        self.values: dict[str, Any] = {}  # labels, tuples of labels, or the plain value for one image
        self.labelled: set[str] = set()
        self.sized: dict[str, set[str]] = {}  # plain node -> labelled nodes whose size it tells
        self.channels, self.places = Sets(), Sets(1)  # place 0 is the whole channel
        self.pinned: list[tuple[str, torch.Tensor]] = []
        self.whole: list[torch.Tensor] = []  # channels whose places are no units of their own
        self.made: list[tuple[str, torch.Tensor]] = []  # who makes channels, in order of execution
        self.links: list[dict[str, Any]] = []
        self.through: list[dict[str, Any]] = []
        self.bridges: list[dict[str, Any]] = []
        self.input = self.output = torch.zeros(0, dtype=torch.int64)
        self.alone = _why_not_by_themselves(network)

    def run(self) -> None:
        for node in list(self.network.graph.nodes):
            sources = self.sources(node)
            if node.op not in ("placeholder", "get_attr", "output") and (not sources or is_question(node)):
                self.plain(node)
                continue
            try:
                self.must_change_all_alike(node)
                labels = self.rule(node)(node)
            except NotUnderstood as why:
                labels = self.pin(node, str(why))
                self.values[node.name] = why  # for a number, which has no labels
            if labels is not None:
                self.values[node.name] = labels
                self.labelled.add(node.name)

    # ------------------------------------------------------------------------------------- plain values

    def sources(self, node: fx.Node) -> list[fx.Node]:
        return [n for n in node.all_input_nodes if n.name in self.labelled]

    def plain(self, node: fx.Node) -> None:
        """Run what has no labelled inputs, or asks for a size, for one image."""
        origins = {n.name for n in self.sources(node)}
        origins = origins.union(*(self.sized.get(n.name, set()) for n in node.all_input_nodes))
        try:
            value = stand_in(node, self.network, self.values)
        except Exception as error:  # whatever the function raises on what it does not expect
            value = NotUnderstood(first_line(error))
        if torch.is_tensor(value) and origins:  # made in a size that a cut changes
            for name in origins:
                self.fix(f"{describe(node)}, of a size that depends on it", self.values[name])
        self.values[node.name], self.sized[node.name] = value, origins

    # ------------------------------------------------------------------------------------- labels

    def fresh(self, shape: Sequence[int], dim: int, channels: torch.Tensor | None = None) -> torch.Tensor:
        """Labels of a tensor of this shape, whose channels lie along `dim`; every place has a name of its own."""
        channels = self.channels.new(shape[dim]) if channels is None else channels
        over = [1 if d == dim else size for d, size in enumerate(shape)]
        count = int(np.prod(over))
        places = self.places.new(count).view(over) if count > 1 else torch.zeros(over, dtype=torch.int64)
        along = [size if d == dim else 1 for d, size in enumerate(shape)]
        return (channels << HALF).view(along) | places

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """Shape of what a node gives for one image."""
        return self.of_one_image(self.seen[node.name], self.seen_of_more[node.name])

    @staticmethod
    def of_one_image(shape: Sequence[int], of_more: Sequence[int]) -> tuple[int, ...]:
        """A shape with the rows that a further image adds; as it is where the first dimension is not that of images."""
        return (of_more[0] - shape[0] or shape[0], *shape[1:]) if shape else ()

    def roots(self, labels: torch.Tensor) -> torch.Tensor:
        """The channels of labels, joined ones by one name."""
        return self.channels(channels_of(labels))

    def along(self, labels: torch.Tensor, dim: int) -> torch.Tensor:
        """The channel of each index of one dimension; those of one index are joined.

        Raises NotUnderstood if that makes one unit of several indices.
        """
        if labels.dim() <= dim:
            raise NotUnderstood("it reads no batch of images")
        rows = rows_of(labels, dim)
        first = channels_of(rows[:, :1]).expand(rows.shape)
        self.join_if_several_stay(channels_of(rows), first, labels.shape[dim] == 1)
        return self.roots(rows[:, 0])

    def join_if_several_stay(self, one: torch.Tensor, other: torch.Tensor, anyway: bool = False) -> None:
        """Join channels; raises NotUnderstood if that makes a single unit of them, unless it is wanted `anyway`."""
        before = self.channels.root
        if torch.equal(self.channels(one), self.channels(other)):
            return
        self.channels.join(one, other)
        if not anyway and len(self.channels(one).unique()) == 1:
            self.channels.root = before
            raise NotUnderstood("it mixes all units")

    def box(self, labels: torch.Tensor) -> int:
        """The dimension along which units differ; where they are mixed, as few as possible are joined to have one.

        What computes must leave units whole: after a cut they must still form a tensor.
        """
        dim = uniform_dimension(self.roots(labels))
        if dim is None:
            candidates = [d for d in range(1, labels.dim()) if labels.shape[d] > 1]
            dim = max(candidates, key=lambda d: self.left_by_joining(labels, d), default=1)
            self.along(labels, dim)
        return dim

    def left_by_joining(self, labels: torch.Tensor, dim: int) -> int:
        """How many units of a tensor would be left if those at each index of a dimension were joined."""
        before, rows = self.channels.root, channels_of(rows_of(labels, dim))
        self.channels.join(rows, rows[:, :1].expand(rows.shape))
        left = len(self.channels(rows[:, 0]).unique())
        self.channels.root = before
        return left

    def columns(self, labels: torch.Tensor, dim: int) -> torch.Tensor:
        """What is read along a dimension: features or channels where there is just one image's row, else channels."""
        return labels[0] if labels.dim() == 2 else self.along(labels, dim) << HALF

    def one(self, node: fx.Node) -> torch.Tensor:
        """The labels of a node's first argument, which must be one tensor."""
        first: Given = node.args[0] if node.args else next(iter(node.kwargs.values()))
        labels = self.values.get(first.name) if isinstance(first, fx.Node) else None
        if not torch.is_tensor(labels) or first.name not in self.labelled:
            raise NotUnderstood("its first argument is not one tensor of the network")
        if len(self.sources(node)) > 1:
            raise NotUnderstood("it reads several tensors of the network")
        return labels

    def fix(self, why: str, labels: Any) -> None:
        for one in flattened((labels,)):
            if torch.is_tensor(one) and one.numel():
                self.pinned.append((why, self.roots(one).unique()))

    def pin(self, node: fx.Node, why: str) -> Labels:
        """Pin what a node reads and what it gives."""
        text = f"{describe(node)}: {why}" if why else describe(node)
        inputs = [self.values[n.name] for n in self.sources(node)]
        for labels in inputs:
            self.fix(text, labels)
        labels = self.pinned_outputs(node, text, inputs)
        self.bridge(inputs, (labels,))
        return labels

    def bridge(self, read: Iterable[Any], given: Iterable[Any]) -> None:
        """Note from which units which new ones are made in a way that is not understood."""
        sources, targets = (
            [self.units(x) for x in labels if torch.is_tensor(x)] for labels in (flattened(read), flattened(given))
        )
        if sources and targets and not torch.isin(torch.cat(targets), torch.cat(sources)).all():
            ends = {"sources": torch.cat(sources).unique(), "targets": torch.cat(targets).unique()}
            self.bridges.append({**ends, "after": len(self.links)})

    def units(self, labels: torch.Tensor) -> torch.Tensor:
        """The features of a row, the channels of anything else."""
        return labels.flatten() if labels.dim() == 2 else self.roots(labels).unique() << HALF

    def pinned_outputs(self, node: fx.Node, text: str, inputs: list[Any]) -> Labels:
        shapes = self.seen[node.name]
        if isinstance(shapes, tuple) and all(isinstance(size, int) for size in shapes):
            return self.pinned_output(node, text, inputs)
        return self.pinned_parts(node.name, text, shapes, self.seen_of_more[node.name], inputs)

    def pinned_parts(self, name: str, text: str, shapes: Any, of_more: Any, inputs: list[Any]) -> Labels:
        """Labels for a shape, a tuple of them for a tuple of shapes, such as a recurrence gives; None for no tensor."""
        if not isinstance(shapes, (tuple, list)):
            return None
        if all(isinstance(size, int) for size in shapes):
            shape = self.of_one_image(shapes, of_more)
            return self.unknown(name, text, shape, inputs) if shape else None
        parts = zip(shapes, of_more, strict=False)
        return tuple(self.pinned_parts(name, text, one, more, inputs) for one, more in parts) or None

    def pinned_output(self, node: fx.Node, text: str, inputs: list[Any]) -> torch.Tensor | None:
        shape = self.shape(node)
        alike = [labels for labels in inputs if torch.is_tensor(labels) and tuple(labels.shape) == shape]
        return alike[0] if alike else self.unknown(node.name, text, shape, inputs) if shape else None

    def unknown(self, name: str, text: str, shape: Sequence[int], inputs: Iterable[Any] = ()) -> torch.Tensor:
        """Pinned units of something that is not understood, along the dimension in which an input holds its own."""
        dims = [uniform_dimension(self.roots(x)) for x in inputs if torch.is_tensor(x) and x.dim() == len(shape)]
        dim = next((d for d in dims if d is not None), min(1, len(shape) - 1))
        labels = self.fresh(shape, dim)
        self.made.append((re.sub(r"_\d+$", "", name), self.along(labels, dim)))  # numbers change when others go
        self.fix(text, labels)
        return labels

    # ------------------------------------------------------------------------------------- rules

    def rule(self, node: fx.Node) -> Rule:
        own: dict[str, Rule] = {"placeholder": self.image, "get_attr": self.constant, "output": self.outputs}
        if node.op in own:
            return own[node.op]
        if is_movement(node, self.network):
            return self.movement
        if (module := module_of(node, self.network)) is not None:
            return next((rule for kinds, rule in self.modules() if isinstance(module, kinds)), self.strange)
        if node.target is nn.functional.pad:
            return self.per_channel
        kinds = (
            (ops.ELEMENTWISE, self.elementwise),
            (ops.BINARY | ops.TERNARY, self.binary),
            (ops.PER_CHANNEL, self.per_channel),
            (ops.REDUCTIONS, self.reduction),
            (ops.GATES, self.gated),
        )
        name = getattr(node.target, "__name__", "")
        if name == "stochastic_depth":  # torchvision's: rows of a batch are dropped as a whole
            return self.elementwise
        return next((rule for targets, rule in kinds if node.target in targets), self.strange)

    def modules(self) -> tuple[tuple[tuple[type, ...], Rule], ...]:
        return (
            (ops.CONVOLUTIONS, self.convolution),
            (ops.LINEAR, self.linear),
            (ops.NORMS, self.norm),
            (ops.GROUP_NORMS, self.group_norm),
            (ops.PER_CHANNEL_WEIGHTS, self.weight_per_channel),
            (ops.ELEMENTWISE_MODULES, self.elementwise),
            (ops.PER_CHANNEL_MODULES, self.per_channel),
            (ops.GATE_MODULES, self.gated),
            (ops.TABLES, self.looked_up),
        )

    def strange(self, node: fx.Node) -> Labels:
        raise NotUnderstood("")

    def image(self, node: fx.Node) -> torch.Tensor:
        labels = self.fresh(self.shape(node), 1)
        self.input = self.along(labels, 1)
        self.made.append(("input", self.input))
        return labels

    def constant(self, node: fx.Node) -> torch.Tensor | None:
        """A parameter or buffer has a number per unit if it is long in one dimension only; others are plain values, as
        are those of which parts are gathered."""
        value = named(self.network, str(node.target))
        long = [d for d, size in enumerate(value.shape) if size > 1] if torch.is_tensor(value) else []
        gathered = any(user.target is torch.index_select for user in node.users)
        if len(long) != 1 or not value.is_floating_point() or gathered:
            self.values[node.name] = value.detach().cpu() if torch.is_tensor(value) else value
            return None
        labels = self.fresh(tuple(value.shape), long[0])
        if why := self.alone.get(str(node.target)):
            self.fix(f"{node.target}: {why}", labels)
        else:
            self.through_parameter(node, self.along(labels, long[0]), long[0], 1)
        return labels

    def outputs(self, node: fx.Node) -> torch.Tensor:
        last: Given = node.args[0]
        labels: torch.Tensor = self.values[last.name]
        shape = self.seen[last.name]
        if last.name not in self.labelled or len(shape) != 2 or shape[0] != IMAGES:
            sizes = ", ".join(("images" if k == 0 else str(size)) for k, size in enumerate(shape))
            raise SpecDNNError(
                f"the network gives ({sizes}); a classifier gives (images, classes): wrap it in a module that does"
            )
        row = labels[0]
        roots = self.roots(row)
        if len(roots.unique()) < len(roots) or bool(self.places(places_of(row)).any()):
            self.fix("outputs that are no units of their own", labels)
            row = self.unknown("output", "outputs that are no units of their own", tuple(labels.shape))[0]
        self.output = row
        return labels

    def elementwise(self, node: fx.Node) -> torch.Tensor:
        labels = self.one(node)
        self.box(labels)
        return labels

    def must_change_all_alike(self, node: fx.Node) -> None:
        """What is changed in place must not be read through another view later: a cut may make a copy of it."""
        if not in_place(node):
            return
        if views := self.aliases.outdated(node):
            for view in (self.aliases.base[node], *views):
                self.fix(f"{describe(node)}: it changes in place what others read", self.values.get(view.name))
            raise NotUnderstood("it changes in place what others read")

    def binary(self, node: fx.Node) -> torch.Tensor:
        count = 3 if node.target in ops.TERNARY else 2
        given = node.args[:count]
        if len(given) < count:
            raise NotUnderstood("its operands are not tensors and numbers side by side")
        labelled = [labels for labels in map(self.operand, given) if labels is not None]
        plain = [self.plain_operand(value) for value in given]
        found = functools.reduce(self.join, labelled)
        tables = [pair for pair in zip(given, plain, strict=True) if torch.is_tensor(pair[1]) and pair[1].numel() > 1]
        for source, constant in tables:
            found = self.join(found, self.table(node, source, constant, found))
        if len(labelled) + len(tables) == 1:
            self.box(found)
        return found

    def operand(self, value: Given) -> torch.Tensor | None:
        """The labels of an operand, None if it has none."""
        if not isinstance(value, fx.Node) or value.name not in self.labelled:
            return None
        labels = self.values[value.name]
        if not torch.is_tensor(labels):
            raise NotUnderstood("an operand is not one tensor")
        return labels

    def plain_operand(self, value: Given) -> Any:
        """A number or constant tensor that is an operand, None for one that has labels."""
        if self.operand(value) is not None:
            return None
        plain = self.values[value.name] if isinstance(value, fx.Node) else value
        if not isinstance(plain, (int, float, torch.Tensor)):
            raise NotUnderstood("an operand is neither a tensor nor a number")
        return plain

    def table(self, node: fx.Node, source: Given, constant: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        """Labels of a constant that is long in several dimensions; a parameter is sliced along the one of units.

        Where it is none, or is read elsewhere as well, the units that it meets stay.
        """
        dim = self.box(beside) - beside.dim() + constant.dim()
        dim = dim if dim >= 0 and constant.shape[dim] > 1 else constant.dim() - 1
        labels = self.fresh(tuple(constant.shape), dim)
        free = isinstance(source, fx.Node) and source.op == "get_attr" and len(source.users) == 1
        if not free or source.target in self.alone or not constant.is_floating_point():
            self.fix(f"{describe(node)}: a constant of several dimensions is an operand", labels)
            return labels
        numbers = constant.numel() // constant.shape[dim]
        self.through_parameter(source, self.along(labels, dim), dim, numbers)
        self.values[source.name] = labels
        self.labelled.add(source.name)
        return labels

    def through_parameter(self, node: fx.Node, channels: torch.Tensor, dim: int, numbers: int) -> None:
        """A parameter or buffer of which every unit has some numbers, along one dimension."""
        value = named(self.network, str(node.target))
        numbers *= isinstance(value, nn.Parameter)
        counts = {"weights": numbers * (value.dim() > 1), "parameters": numbers}
        self.add_through(str(node.target), "parameter", channels << HALF, dim=dim, **counts)

    def join(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Join the units that meet; places too, unless one operand is spread over those of the other."""
        first, second = torch.broadcast_tensors(one, other)
        self.channels.join(channels_of(first), channels_of(second))
        if one.numel() == other.numel() == first.numel():
            self.places.join(places_of(first), places_of(second))
        whole = next((own for own in (one, other) if own.numel() == first.numel()), None)
        dim = self.box(first)
        if whole is not None:
            return whole.view(first.shape)
        return self.fresh(tuple(first.shape), dim, self.along(first, dim))

    def per_channel(self, node: fx.Node) -> torch.Tensor:
        shape, labels = self.seen[node.name], self.one(node)
        if not all(isinstance(size, int) for size in shape):
            raise NotUnderstood("it gives several tensors")
        if labels.dim() < 3 or len(shape) != labels.dim() or shape[1] != labels.shape[1] or self.touches_channels(node):
            raise NotUnderstood("it changes the channels")
        return self.fresh(self.shape(node), 1, self.along(labels, 1))

    def touches_channels(self, node: fx.Node) -> bool:
        """Whether a pool or a padding reaches beyond the dimensions of places."""
        labels = self.one(node)
        if node.target is nn.functional.pad:
            pad: Given = node.args[1] if len(node.args) > 1 else node.kwargs["pad"]
            return len(pad) > 2 * (labels.dim() - 2)
        module = module_of(node, self.network)
        name = type(module).__name__ if module else getattr(node.target, "__name__", "")
        return name.lower().endswith(("1d", "2d", "3d")) and labels.dim() < int(name[-2]) + 2

    def reduction(self, node: fx.Node) -> torch.Tensor:
        """A mean over places, which must not mix units; units that are averaged one by one are joined."""
        labels, shape = self.one(node), self.shape(node)
        dims = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        dims = [dims] if isinstance(dims, int) else dims
        if not isinstance(dims, (list, tuple)) or not all(isinstance(d, int) for d in dims):
            raise NotUnderstood("it is not over given dimensions")
        dims = sorted({d % labels.dim() for d in dims})
        if 0 in dims or labels.dim() == 2:
            raise NotUnderstood("it is over images or units, not over places")
        channels = channels_of(labels)
        leaders = channels.amax(dims, keepdim=True)
        first: Given = node.args[0] if node.args else None
        stacked = first is not None and first.target is torch.stack  # two tensors, element by element
        self.join_if_several_stay(channels, leaders.expand(channels.shape), stacked or node.name in self.bundles)
        left = leaders.view(shape) << HALF
        dim = self.box(left)
        return self.fresh(shape, dim, self.along(left, dim))

    def gated(self, node: fx.Node) -> torch.Tensor:
        """Two halves, one of which scales the other."""
        module = module_of(node, self.network)
        dim: Given = module.dim if module else node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else -1)
        labels = self.one(node)
        if dim % labels.dim() == 0:
            raise NotUnderstood("it is over images")
        return self.join(*labels.chunk(2, dim))

    def movement(self, node: fx.Node) -> Any:
        """What a movement makes of the labels themselves."""
        self.movers(node)
        try:
            found = stand_in(node, self.network, self.values)
        except Exception as error:  # whatever the function raises on labels
            raise NotUnderstood(first_line(error)) from None
        if node.target is operator.getitem and not torch.is_tensor(found):
            return found
        several = isinstance(found, (tuple, list))
        rows = any(torch.is_tensor(x) and x.dim() == 2 for x in (self.values[n.name] for n in self.sources(node)))
        for labels in found if several else (found,):
            self.must_be_of_one_image(node, labels)
            if rows and labels.dim() != 2:
                self.whole.append(channels_of(labels).clamp(min=0))  # what is a map again is not cut by its places
        return tuple(map(self.named, found)) if several else self.named(found)

    def movers(self, node: fx.Node) -> None:
        """See to it that all that a movement moves has labels, and that it takes nothing but sizes from the rest."""
        moved = node.args[0] if node.args else None
        movers = moved if isinstance(moved, (list, tuple)) else [moved]
        if node.target not in ops.LIKE_ANOTHER and any(source not in movers for source in self.sources(node)):
            raise NotUnderstood("it reads several tensors of the network")
        for mover in movers:
            if isinstance(mover, fx.Node) and mover.name not in self.labelled:
                self.adopt(node, mover)

    def must_be_of_one_image(self, node: fx.Node, labels: Any) -> None:
        if not torch.is_tensor(labels) or labels.dim() == 0:
            raise NotUnderstood("it gives no tensor")
        if labels.shape[0] != 1 and not self.only_constants(node):
            raise NotUnderstood("it moves parts of an image among the images")

    def adopt(self, node: fx.Node, source: fx.Node) -> None:
        """Labels for a constant that is moved beside units; it stays as it is, and so do units joined with it."""
        value = self.values[source.name]
        if not torch.is_tensor(value) or value.dim() == 0 or len(source.users) > 1:
            raise NotUnderstood("a tensor in it is none of the network's units")
        self.values[source.name] = labels = self.fresh(tuple(value.shape), value.dim() - 1)
        self.labelled.add(source.name)
        if value.numel() > 1:
            self.fix(f"{describe(node)}: a constant lies beside units", labels)

    def only_constants(self, node: fx.Node) -> bool:
        """Whether a node moves parameters only, which have no dimension of images."""
        return all(
            n.op == "get_attr" or (is_movement(n, self.network) and self.only_constants(n)) for n in self.sources(node)
        )

    def named(self, labels: torch.Tensor) -> torch.Tensor:
        """The same with names for the zeros that padding added: places of the channel they lie in, else new units."""
        empty = labels == NOTHING
        if not empty.any():
            return labels
        roots = torch.where(empty, NOTHING, self.roots(labels.clamp(min=0)))
        for dim in dict.fromkeys((1, labels.dim() - 1, *range(1, labels.dim()))):
            rows = rows_of(roots, dim)
            own = rows.amax(1)
            if ((rows == own[:, None]) | (rows == NOTHING)).all():
                own = torch.where(own == NOTHING, self.channels.new(len(own)), own)
                return torch.where(empty, self.fresh(tuple(labels.shape), dim, own), labels)
        raise NotUnderstood("zeros are added to mixed units")

    # ------------------------------------------------------------------------------------- modules with numbers

    def module(self, node: fx.Node) -> Any:
        """The module of a node; raises NotUnderstood where its numbers are not its own or are used elsewhere, too."""
        if why := self.alone.get(str(node.target)):
            raise NotUnderstood(why)
        return module_of(node, self.network)

    def convolution(self, node: fx.Node) -> torch.Tensor:
        labels, module, shape = self.one(node), self.module(node), self.shape(node)
        if labels.dim() != module.weight.dim():
            raise NotUnderstood("it reads no batch of images")
        sources, kernel = self.along(labels, 1), int(np.prod(module.kernel_size))
        made, places = self.fresh(shape, 1), int(np.prod(shape[2:]))
        channels = self.along(made, 1)
        if module.groups == 1 and node.target not in self.bundles:
            self.add_link(node, sources << HALF, channels, kernel, places)
            return made
        groups = torch.arange(module.groups)
        inside = (groups.repeat_interleave(len(own) // module.groups) for own in (sources, channels))
        for own, group in zip((sources, channels), inside, strict=True):
            self.channels.join(own, channels[group * (len(channels) // module.groups)])
        per_row = kernel * len(sources) // module.groups
        counts = {"weights": per_row, "parameters": per_row + int(module.bias is not None), "places": places}
        self.add_through(str(node.target), "bundles", channels << HALF, sources << HALF, **counts)
        return made

    def linear(self, node: fx.Node) -> torch.Tensor:
        self.module(node)  # raises where its numbers are not its own
        labels, shape = self.one(node), self.shape(node)
        dim = labels.dim() - 1
        self.along(labels, dim)
        made = self.fresh(shape, dim)
        self.add_link(node, self.columns(labels, dim), self.along(made, dim), 1, int(np.prod(shape[:-1])))
        return made

    def add_link(self, node: fx.Node, sources: torch.Tensor, channels: torch.Tensor, kernel: int, places: int) -> None:
        name, bias = str(node.target), module_of(node, self.network).bias is not None
        scaled_by = next((str(r.target) for r in node.users if len(node.users) == 1 and self.is_own_norm(r)), "")
        self.made.append((name, channels))
        self.links.append(
            {"name": name, "sources": sources, "targets": channels << HALF, "kernel": kernel, "places": places}
            | {"bias": bias, "scaled_by": scaled_by}
        )

    def is_own_norm(self, node: fx.Node) -> bool:
        """Whether a node is a BatchNorm whose numbers are used here alone."""
        return node.target not in self.alone and isinstance(module_of(node, self.network), ops.BATCH_NORMS)

    def add_through(
        self, name: str, kind: str, labels: torch.Tensor, sources: torch.Tensor | None = None, **counts: int
    ) -> None:
        sources = labels[:0] if sources is None else sources
        self.through.append({"name": name, "kind": kind, "labels": labels, "sources": sources} | counts)

    def norm(self, node: fx.Node) -> torch.Tensor:
        labels, module = self.one(node), self.module(node)
        self.along(labels, 1)
        if labels.dim() == 2 and not isinstance(module, ops.BATCH_NORMS):
            raise NotUnderstood("it reads no batch of images")
        affine = 0 if module.weight is None else 1 + int(module.bias is not None)
        self.add_through(str(node.target), "norm", self.columns(labels, 1), weights=0, parameters=affine)
        return labels

    def weight_per_channel(self, node: fx.Node) -> torch.Tensor:
        labels, module = self.one(node), self.module(node)
        if module.num_parameters == 1:
            return self.elementwise(node)
        self.along(labels, 1)
        self.add_through(str(node.target), "norm", self.columns(labels, 1), weights=0, parameters=1)
        return labels

    def looked_up(self, node: fx.Node) -> torch.Tensor:
        """Vectors of a table: their elements are units; which vectors they are is told by units that stay."""
        labels, module, shape = self.one(node), self.module(node), self.shape(node)
        if module.max_norm is not None:
            raise NotUnderstood("it changes its vectors")
        self.fix(f"{describe(node)}: it takes them for numbers of vectors", labels)
        made = self.fresh(shape, len(shape) - 1)
        channels = self.along(made, len(shape) - 1)
        self.made.append((str(node.target), channels))
        self.bridge((labels,), (made,))
        numbers = module.num_embeddings
        self.add_through(str(node.target), "table", channels << HALF, weights=numbers, parameters=numbers)
        return made

    def group_norm(self, node: fx.Node) -> torch.Tensor:
        """Channels that are normalised together go together."""
        labels, module = self.one(node), self.module(node)
        channels = self.along(labels, 1)
        if module.num_groups == 1 and node.target not in self.bundles:
            raise NotUnderstood("all channels are normalised together")
        if self.places(places_of(self.columns(labels, 1))).any():
            raise NotUnderstood("parts of channels are normalised together")
        size = len(channels) // module.num_groups
        self.channels.join(channels, channels.view(-1, size)[:, :1].expand(-1, size).flatten())
        affine = 0 if module.weight is None else 1 + int(module.bias is not None)
        self.add_through(str(node.target), "groups", channels << HALF, weights=0, parameters=affine)
        return labels


def flattened(labels: Iterable[Any]) -> Iterator[Any]:
    """Those of tensors, and of tuples of tensors, which may lie in one another."""
    for one in labels:
        yield from flattened(one) if isinstance(one, tuple) else (one,)


def describe(node: fx.Node) -> str:
    """An operation and where it stands: `softmax in encoder.layer`."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    if node.op == "call_module" and node.graph.owning_module:
        return f"{type(module_of(node, node.graph.owning_module)).__name__} {name}"
    stack = node.meta.get("nn_module_stack") or {}
    place = next(reversed(stack.values()))[0] if stack else ""
    return f"{name} in {place}" if place else name


def _why_not_by_themselves(network: fx.GraphModule) -> dict[str, str]:
    """Modules and parameters whose numbers cannot be sliced for one use alone -> why."""
    calls = Counter(n.target for n in network.graph.nodes if n.op == "call_module")
    found = {}
    for name, module in network.named_modules(remove_duplicate=False):
        if calls[name] > 1 and any(True for _ in module.parameters()):
            found[name] = f"it is used {calls[name]} times"
    for name in _shared_parameters(network):
        found |= dict.fromkeys((name, name.rpartition(".")[0]), "its weights are shared with another module")
    for name in {n.target for n in network.graph.nodes if n.op == "get_attr"}:
        if name.rpartition(".")[0] in calls:  # a parameter that a module uses and the graph as well
            found |= dict.fromkeys((name, name.rpartition(".")[0]), "its weights are read elsewhere, too")
    return found


def _shared_parameters(network: nn.Module) -> list[str]:
    """All names of parameters that have more than one."""
    names: dict[int, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [name for own in names.values() if len(own) > 1 for name in own]
