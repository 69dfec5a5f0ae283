"""A program in C99 as it is put together: constants, buffers, and statements one after the other.

What flows through it are values of three kinds. A tensor is known when the header is written. A `Placed` lies in
memory; all that lies there has an address, so whatever moves elements moves addresses and costs nothing until its
result is read. A `Computed` is a formula per element, written down where it is read: what follows element by element
is one loop.
"""

from __future__ import annotations

import bisect
import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch

from specdnn.network import c99_moves as moves
from specdnn.network.c99_helpers import HELPERS
from specdnn.network.c99_memory import Life, planned

DEEPEST = 32  # formulas in formulas
MANY = 1024  # numbers that are added up in double precision
PER_LINE = 12
AT_ONCE = PER_LINE << 12  # numbers that are turned to text together
INDENT = "    "


@dataclass(frozen=True)
class Placed:
    """Where each element lies."""

    addresses: torch.Tensor

    @property
    def shape(self) -> torch.Size:
        return self.addresses.shape


@dataclass(frozen=True, eq=False)
class Computed:
    """A formula for each element, with {0}, {1}, ... for the elements of operands that are broadcast."""

    formula: str
    operands: tuple[Value, ...]
    shape: torch.Size
    depth: int


Value = torch.Tensor | Placed | Computed


@dataclass(frozen=True)
class Source:
    """Something in memory: `size` numbers with addresses from `first` on; `value` where all are equal and known."""

    name: str
    first: int
    size: int
    value: float | None = None


@dataclass
class Statement:
    """Lines of C that read buffers and write one.

    `over`: buffers that it may write over while it reads them; `macs`: its multiply-accumulates.
    """

    lines: list[str]
    reads: set[str]
    writes: str
    over: set[str] = field(default_factory=set)
    macs: int = 0


@dataclass(frozen=True)
class Leaf:
    """An operand of a formula: where it begins, and how far the next element lies along each dimension."""

    source: Source
    offset: int
    steps: tuple[int, ...]


At: TypeAlias = Callable[[Leaf], str]  # C for the element of an operand
Turn: TypeAlias = Callable[[At], list[str]]  # lines for one element
Writer: TypeAlias = Callable[[Any], list[str]]  # texts of numbers
AnyValue = TypeVar("AnyValue", Placed, Computed)


class Program:
    """`name` stands before all names of the header; `image_size`: how many numbers an image is."""

    def __init__(self, name: str, image_size: int) -> None:
        self.name = name
        self.sources: list[Source] = []
        self.firsts: list[int] = []
        self.statements: list[Statement] = []
        self.constants: dict[bytes, Source] = {}
        self.arrays: dict[str, str] = {}  # name -> definition
        self.bytes: dict[str, int] = {}  # of arrays
        self.tables: dict[bytes, str] = {}
        self.sizes: dict[str, int] = {}  # of buffers
        self.helpers: dict[str, str] = {}
        self.made: dict[int, tuple[Value, Placed]] = {}
        self.next_address = 0
        self.image = self._source("image", image_size)

    # ------------------------------------------------------------------------------------- what lies in memory

    def _source(self, name: str, size: int, value: float | None = None) -> Source:
        source = Source(name, self.next_address, size, value)
        self.sources.append(source)
        self.firsts.append(source.first)
        self.next_address += size
        return source

    def buffer(self, size: int) -> Source:
        """Room for what a statement writes."""
        source = self._source(f"b{len(self.sizes)}", size)
        self.sizes[source.name] = size
        return source

    def whole(self, source: Source, shape: Sequence[int]) -> Placed:
        return Placed(torch.arange(source.first, source.first + source.size).view(shape))

    def owners(self, addresses: torch.Tensor) -> torch.Tensor:
        """The number of the source that each address belongs to."""
        return torch.searchsorted(torch.tensor(self.firsts), addresses.contiguous(), right=True) - 1

    def _owner(self, address: int) -> int:
        return bisect.bisect_right(self.firsts, address) - 1

    def constant(self, tensor: torch.Tensor) -> Placed:
        """A known tensor as an array of the header, stored once; nothing is stored of what is broadcast."""
        dense = tensor
        for dim, step in enumerate(tensor.stride()):
            dense = dense.narrow(dim, 0, 1) if step == 0 and tensor.shape[dim] else dense
        numbers = np.ascontiguousarray(dense.detach().cpu().float().numpy())
        key = hashlib.sha256(numbers.tobytes()).digest()
        if key not in self.constants:
            self.constants[key] = self._stored(numbers.ravel())
        source = self.constants[key]
        if source.value is not None:
            return Placed(torch.tensor(source.first).expand(tensor.shape))
        return Placed(self.whole(source, dense.shape).addresses.expand(tensor.shape))

    def _stored(self, numbers: np.ndarray) -> Source:
        if len(numbers) and (numbers == numbers[0]).all():
            return self._source("", 1, float(numbers[0]))
        name = f"{self.name}_w{len(self.arrays)}"
        self._array(name, "float", numbers, literals, 4)
        return self._source(name, len(numbers))

    def table(self, numbers: torch.Tensor) -> str:
        """The name of a table of whole numbers from 0 on, of the smallest type that they fit."""
        kind = next(bits for bits in (8, 16, 32) if int(numbers.max()) < 1 << bits)
        key = f"{kind}".encode() + numbers.numpy().tobytes()
        if key not in self.tables:
            self.tables[key] = f"{self.name}_i{len(self.tables)}"
            self._array(self.tables[key], f"uint{kind}_t", numbers.tolist(), whole, kind // 8)
        return self.tables[key]

    def numbers(self, numbers: Sequence[int]) -> str:
        """The name of a table of sizes that a helper reads."""
        key = repr(tuple(numbers)).encode()
        if key not in self.tables:
            self.tables[key] = f"{self.name}_s{len(self.tables)}"
            self._array(self.tables[key], "int", numbers, whole, 4)
        return self.tables[key]

    def _array(self, name: str, kind: str, numbers: Any, write: Writer, size: int) -> None:
        self.arrays[name], self.bytes[name] = array(kind, name, numbers, write), size * len(numbers)

    # ------------------------------------------------------------------------------------- what is computed

    def computed(self, formula: str, *operands: Value | float) -> Value:
        """A formula of values and plain numbers."""
        values = tuple(x if isinstance(x, Value) else torch.tensor(float(x)) for x in operands)
        depth = 1 + max(x.depth if isinstance(x, Computed) else 0 for x in values)
        made = Computed(formula, values, torch.broadcast_shapes(*(x.shape for x in values)), depth)
        return made if depth < DEEPEST else self.placed(made)

    def placed(self, value: Value) -> Placed:
        """The same in memory."""
        if isinstance(value, torch.Tensor):
            return self.constant(value)
        return value if isinstance(value, Placed) else self._once(value, self._written)

    def _written(self, value: Computed) -> Placed:
        buffer = self.buffer(math.prod(value.shape))
        self.fill(buffer, value, value.shape)
        return self.whole(buffer, value.shape)

    def _once(self, value: AnyValue, make: Callable[[AnyValue], Placed]) -> Placed:
        """What is made of a value, made once."""
        if id(value) not in self.made:
            self.made[id(value)] = (value, make(value))  # the value is kept, so that no other gets its id
        return self.made[id(value)][1]

    def pointer(self, value: Value) -> tuple[str, Source]:
        """(C for a pointer to its elements without gaps, what it points into)."""
        placed = self.gathered(self.placed(value))
        source, offset, steps = self.in_one(placed)
        if steps != moves.contiguous(placed.shape) or source.value is not None:
            source, offset, _ = self.in_one(self._once(placed, self._copied))
        return sum_of(source.name, offset), source

    def located(self, value: Placed) -> tuple[Source, int, list[int]] | None:
        """(source, offset of the first element, step along each dimension); None if that is not all that is to say."""
        least, most = (self._owner(int(x)) for x in value.addresses.aminmax())
        found = moves.strides(value.addresses) if least == most else None
        return found and (self.sources[least], found[0] - self.sources[least].first, found[1])

    def in_one(self, value: Placed) -> tuple[Source, int, list[int]]:
        """`located` of what was gathered, so that it is there."""
        found = self.located(value)
        assert found is not None
        return found

    def gathered(self, value: Placed) -> Placed:
        """The same, copied to one place if it lies in several or goes on in unequal steps."""
        return value if self.located(value) else self._once(value, self._copied)

    def _copied(self, value: Placed) -> Placed:
        buffer = self.buffer(value.addresses.numel())
        for owner, copy in moves.copies(value.addresses, self.owners(value.addresses)):
            self._copy(buffer, self.sources[owner], copy)
        return self.whole(buffer, value.shape)

    def _copy(self, buffer: Source, source: Source, copy: moves.Copy) -> None:
        names = [f"i{place}" for place in range(len(copy.axes))]
        to, of = (
            sum_of(*(self._term(name, step) for name, step in zip(names, steps, strict=True)), first)
            for first, steps in (
                (copy.to, [axis.to for axis in copy.axes]),
                (copy.of - source.first, [axis.of for axis in copy.axes]),
            )
        )
        read = literal(source.value) if source.value is not None else f"{source.name}[{of}]"
        lines = loops(names, [axis.count for axis in copy.axes], [f"{buffer.name}[{to}] = {read};"])
        self.add(Statement(lines, self.read(source), buffer.name))

    def _term(self, name: str, step: int | torch.Tensor) -> str | int:
        return f"{self.table(step)}[{name}]" if torch.is_tensor(step) else times(name, step)

    def add(self, statement: Statement) -> None:
        self.statements.append(statement)

    # ------------------------------------------------------------------------------------- loops over elements

    def fill(self, buffer: Source, value: Value, shape: Sequence[int]) -> None:
        """Write a value, broadcast to a shape, into a buffer."""
        body = Body(self, shape, ())
        result = body.element(value)
        body.leaves.append(Leaf(buffer, 0, tuple(moves.contiguous(shape))))
        own = body.leaves[-1]
        lines = body.loops(lambda at: [*body.lines(at), f"{at(own)} = {result};"])
        same = {leaf.source.name for leaf in body.leaves if (leaf.offset, leaf.steps) == (0, own.steps)}
        other = {leaf.source.name for leaf in body.leaves if (leaf.offset, leaf.steps) != (0, own.steps)}
        self.add(Statement(lines, body.reads() - {buffer.name}, buffer.name, same - other - {buffer.name}))

    def read(self, *sources: Source) -> set[str]:
        """The names of those sources that the program writes or is given."""
        return {source.name for source in sources if source.name == "image" or source.name in self.sizes}

    def helper(self, name: str) -> str:
        """The name of a function that the header takes along."""
        self.helpers[name] = HELPERS[name]
        return f"{self.name}_{name}"

    def reduced(self, value: Value, dims: Sequence[int], keep: bool, start: str, step: str) -> Placed:
        """The elements along some dimensions as one: `start`, then `step` with {0} for the result, {1} for the next."""
        dims = [dim % len(value.shape) for dim in dims] or list(range(len(value.shape)))
        kept = [dim for dim in range(len(value.shape)) if dim not in dims]
        shape = [1 if dim in dims else size for dim, size in enumerate(value.shape)]
        buffer, body = self.buffer(math.prod(shape)), Body(self, value.shape, dims)
        result = body.element(value)
        own = Leaf(buffer, 0, tuple(moves.contiguous(shape)))
        body.leaves.append(own)
        kind = "double" if start == "0.0f" and math.prod(value.shape) // buffer.size > MANY else "float"
        turn = lambda at: [*body.lines(at), step.format("r", result)]  # noqa: E731
        cast = "(float)r" if kind == "double" else "r"
        lines = body.loops(turn, lambda at, inner: [f"{kind} r = {start};", *inner, f"{at(own)} = {cast};"])
        self.add(Statement(lines, body.reads() - {buffer.name}, buffer.name))
        return self.whole(buffer, shape if keep else [value.shape[dim] for dim in kept])

    # ------------------------------------------------------------------------------------- the whole

    def without_dead_code(self, output: str) -> None:
        """Leave out what does not reach the output."""
        needed, kept = {output}, []
        for statement in reversed(self.statements):
            if statement.writes in needed:
                needed |= statement.reads
                kept.append(statement)
        self.statements = kept[::-1]

    def lives(self, output: str) -> dict[str, Life]:
        """The lives of all buffers but the output's."""
        lives: dict[str, Life] = {}
        for step, statement in enumerate(self.statements):
            lives.setdefault(statement.writes, Life(self.sizes[statement.writes], step, step)).dies = step
            for name in sorted(statement.reads & lives.keys()):
                lives[name].dies = step
        born = {life.born: name for name, life in lives.items()}
        for step, statement in enumerate(self.statements):
            for name in sorted(statement.over & lives.keys()):
                if lives[name].dies == step and step in born:
                    lives[name].heirs += (born[step],)
        lives.pop(output)
        return lives

    def places(self, output: str) -> tuple[dict[str, int], int]:
        """(where each buffer but the output lies, size of the workspace), in numbers."""
        return planned(self.lives(output))


class Body:
    """The inside of a loop nest over the elements of a shape: the formulas of what is written there.

    `last`: dimensions that are looped over inside all others.
    """

    def __init__(self, program: Program, shape: Sequence[int], last: Sequence[int]) -> None:
        self.program, self.shape = program, tuple(shape)
        self.leaves: list[Leaf] = []
        self.steps: list[tuple[str, Leaf | None, str]] = []  # (name, what is loaded or None, formula)
        self.names: dict[int, str] = {}
        self.seen: list[Value] = []  # kept, so that no other gets the same id
        self.last = tuple(last)

    def reads(self) -> set[str]:
        return self.program.read(*(leaf.source for leaf in self.leaves))

    def element(self, value: Value) -> str:
        """C for the element of a value."""
        if id(value) not in self.names:
            self.seen.append(value)
            self.names[id(value)] = self._element(value)
        return self.names[id(value)]

    def _element(self, value: Value) -> str:
        if isinstance(value, Computed) and value.shape == self.shape:
            return self._named(value.formula.format(*map(self.element, value.operands)), None)
        placed = self.program.gathered(self.program.placed(value))
        source, offset, steps = self.program.in_one(Placed(placed.addresses.expand(self.shape)))
        if source.value is not None:
            return f"({literal(source.value)})" if source.value < 0 else literal(source.value)
        self.leaves.append(Leaf(source, offset, tuple(steps)))
        return self._named("", self.leaves[-1])

    def _named(self, formula: str, leaf: Leaf | None) -> str:
        name = f"v{len(self.steps)}"
        self.steps.append((name, leaf, formula))
        return name

    def lines(self, at: At) -> list[str]:
        return [f"const float {name} = {formula if leaf is None else at(leaf)};" for name, leaf, formula in self.steps]

    def loops(self, turn: Turn, around: Callable[[At, list[str]], list[str]] | None = None) -> list[str]:
        """The loops around `turn`, lines for one element; `around` puts lines around the loops over `last`."""
        outer = self._merged([dim for dim in range(len(self.shape)) if dim not in self.last])
        inner = self._merged(self.last)
        names = {dims: f"i{place}" for place, dims in enumerate([*outer, *inner])}

        def at(leaf: Leaf) -> str:
            terms = [times(name, leaf.steps[dims[-1]]) for dims, name in names.items()]
            return f"{leaf.source.name}[{sum_of(*terms, leaf.offset)}]"

        lines = turn(at)
        if around:
            lines = around(at, loops([names[dims] for dims in inner], self._counts(inner), lines))
        lines = loops([names[dims] for dims in outer], self._counts(outer), lines)
        return lines if outer else ["{", *(INDENT + line for line in lines), "}"]

    def _counts(self, groups: Iterable[Sequence[int]]) -> list[int]:
        return [math.prod(self.shape[dim] for dim in dims) for dims in groups]

    def _merged(self, dims: Sequence[int]) -> list[tuple[int, ...]]:
        """Dimensions in groups that one loop runs over, since all operands go on in equal steps."""
        groups: list[tuple[int, ...]] = []
        for dim in sorted(dims):
            if self.shape[dim] == 1:
                continue
            if groups and all(self._goes_on(leaf, groups[-1][-1], dim) for leaf in self.leaves):
                groups[-1] += (dim,)
            else:
                groups.append((dim,))
        return groups

    def _goes_on(self, leaf: Leaf, before: int, dim: int) -> bool:
        return leaf.steps[before] == leaf.steps[dim] * self.shape[dim]


# ------------------------------------------------------------------------------------------ text


def loops(names: Sequence[str], counts: Sequence[int], lines: list[str]) -> list[str]:
    """Loops around some lines, the outermost first."""
    for name, count in reversed([*zip(names, counts, strict=True)]):
        lines = [f"for (int {name} = 0; {name} < {count}; {name}++) {{", *(INDENT + line for line in lines), "}"]
    return lines


def times(name: str, step: int) -> str | int:
    return 0 if step == 0 else name if step == 1 else f"{name} * {step}" if step > 0 else f"-{name} * {-step}"


def sum_of(*terms: str | int) -> str:
    """`i * 4 + j + 3`, without what is 0."""
    written = [str(term) for term in terms if term not in (0, "0")]
    return " + ".join(written).replace("+ -", "- ") or "0"


def literal(value: float) -> str:
    """A number in single precision, exactly."""
    return literals(np.array([value], np.float32))[0]


def literals(numbers: np.ndarray) -> list[str]:
    """The shortest decimal numbers that give these in single precision."""
    written = [f"{text}f" for text in numbers.astype("U16").tolist()]
    special = {"inff": "INFINITY", "-inff": "-INFINITY", "nanf": "NAN"}
    return written if np.isfinite(numbers).all() else [special.get(text, text) for text in written]


def whole(numbers: Sequence[int]) -> list[str]:
    return [*map(str, numbers)]


def array(kind: str, name: str, numbers: Any, write: Writer) -> str:
    """The definition of an array of constants; `write` makes texts of some of the numbers."""
    lines = []
    for first in range(0, len(numbers), AT_ONCE):
        texts = write(numbers[first : first + AT_ONCE])
        lines += [INDENT + ", ".join(texts[k : k + PER_LINE]) for k in range(0, len(texts), PER_LINE)]
    return f"static const {kind} {name}[{len(numbers)}] = {{\n" + ",\n".join(lines) + "\n};"
