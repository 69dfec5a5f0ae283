"""A network -> one C99 header that computes it for one image, without dependencies."""

from __future__ import annotations

import math
import re
import warnings
from typing import Any

import torch
from torch import fx, nn
from torch._decomp import get_decompositions
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx.node import map_arg

from specdnn.network.c99_operations import OPERATIONS, WHOLE
from specdnn.network.c99_program import INDENT, Computed, Placed, Program, Value, sum_of
from specdnn.structures import SpecDNNError, first_line

aten = torch.ops.aten
PLACES = ("device", "layout", "pin_memory", "memory_format")
FLOATS = (torch.float32, torch.float64)  # computed in single precision
MORE_DECOMPOSITIONS = (aten.upsample_nearest2d.vec, aten.upsample_bilinear2d.vec)
CHECKS = {"_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range_for_size"}
WORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline int long register
    restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    class new delete this template namespace operator private public protected virtual try catch throw using friend
    bool true false and or not xor
"""


def header(network: nn.Module, image_shape: tuple[int, ...], name: str) -> str:
    """The text of a header with `void NAME_predict(const float *image, float *probabilities)`.

    `network`, in evaluation mode and on the CPU, maps (1, *image_shape) to (1, K), in single precision; what it gives
    is what the function writes. The same network gives the same text. The function keeps its intermediate results in
    static memory unless NAME_STORAGE says otherwise.
    Raises SpecDNNError if `name` is no word of C, or if the network does what has no words in C here.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in WORDS.split():
        raise SpecDNNError(
            f"{name!r} is no name in C: that is a letter or _, then letters, numerals and _, and no keyword"
        )
    program = Program(name, math.prod(image_shape))
    output = Lowering(program, lowered(network, torch.zeros(1, *image_shape))).output(image_shape)
    return _text(program, output, image_shape)


# ------------------------------------------------------------------------------------------ lowering


def lowered(network: nn.Module, image: torch.Tensor) -> torch.export.ExportedProgram:
    """A network in terms of Core ATen."""
    table = torch.export.default_decompositions()
    table.update(get_decompositions(MORE_DECOMPOSITIONS))
    table[aten._trilinear.default] = _trilinear
    table[aten.adaptive_avg_pool2d.default] = aten._adaptive_avg_pool2d.default  # torch's own looks at the layout
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.export.export(network, (image,), strict=False)
            core: torch.export.ExportedProgram = exported.run_decompositions(table)
    except Exception as error:  # whatever a user's forward raises, or torch on what it cannot follow
        raise SpecDNNError(f"{type(network).__name__} cannot be written in C: {first_line(error)}") from None
    return core


def _trilinear(
    one: torch.Tensor,
    two: torch.Tensor,
    three: torch.Tensor,
    expand1: list[int],
    expand2: list[int],
    expand3: list[int],
    sumdim: list[int],
    unroll_dim: int = 1,
) -> torch.Tensor:
    """The products of three tensors, each with new dimensions at some places, summed along others; torch's bilinear
    layer is one of these."""
    for dim in range(len(expand1) + one.dim()):
        one = one.unsqueeze(dim) if dim in expand1 else one
        two = two.unsqueeze(dim) if dim in expand2 else two
        three = three.unsqueeze(dim) if dim in expand3 else three
    return (one * two * three).sum(sumdim)


class Lowering:
    """One walk through a graph of Core ATen that puts together a program."""

    def __init__(self, program: Program, exported: torch.export.ExportedProgram) -> None:
        self.program, self.exported = program, exported
        self.values: dict[str, Any] = {}  # values of the program, tuples of them, and plain numbers

    def output(self, image_shape: tuple[int, ...]) -> str:
        """The name of the buffer with the result."""
        self.inputs(image_shape)
        nodes = list(self.exported.graph.nodes)
        for node in nodes:
            if node.op == "call_function" and _name(node) not in CHECKS:
                self.values[node.name] = self.value(node)
        kinds = [spec.kind for spec in self.exported.graph_signature.output_specs]
        results = [
            self.of(x) for x, kind in zip(nodes[-1].args[0], kinds, strict=True) if kind is OutputKind.USER_OUTPUT
        ]
        if len(results) != 1 or len(getattr(results[0], "shape", ())) != 2 or results[0].shape[0] != 1:
            raise SpecDNNError("the network does not give one row of numbers for an image")
        return self.settled(results[0])

    def inputs(self, image_shape: tuple[int, ...]) -> None:
        """The image, and tensors that are known."""
        own = self.exported.state_dict | self.exported.constants
        for spec in self.exported.graph_signature.input_specs:
            if spec.kind is InputKind.USER_INPUT:
                self.values[spec.arg.name] = self.program.whole(self.program.image, (1, *image_shape))
            else:
                value = own[spec.target]
                self.values[spec.arg.name] = value.detach() if torch.is_tensor(value) else value

    def of(self, argument: Any) -> Any:
        return map_arg(argument, lambda node: self.values[node.name])

    def value(self, node: fx.Node) -> Any:
        """What a node gives: a tensor or number if all that it is given is known, else a value of the program."""
        args, kwargs = self.of(node.args), self.of(node.kwargs)
        if not any(_of_the_image(self.values[n.name]) for n in node.all_input_nodes):
            return _known(node, args, kwargs)
        try:
            _check(node)
            found = OPERATIONS[_name(node)](self.program, *args, **_without_places(kwargs))
        except SpecDNNError as error:
            raise SpecDNNError(f"{_name(node)}{_place(node)} cannot be written in C: {error}") from None
        return self.program.placed(found) if isinstance(found, Value) and len(node.users) > 1 else found

    def settled(self, result: Value) -> str:
        """The name of a buffer that holds the result and nothing else."""
        if isinstance(result, Placed) and (found := self.program.located(result)):
            source, _, steps = found
            if source.name in self.program.sizes and (source.size, steps) == (result.shape[1], [0, 1]):
                return source.name
        buffer = self.program.buffer(math.prod(result.shape))
        self.program.fill(buffer, result, result.shape)
        return buffer.name


def _of_the_image(value: Any) -> bool:
    return any(map(_of_the_image, value)) if isinstance(value, tuple) else isinstance(value, (Placed, Computed))


def _known(node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an operation gives that does not depend on the image."""
    function: Any = node.target
    found = function(*args, **kwargs)
    return torch.zeros_like(found) if _name(node).startswith(("empty", "new_empty")) else found


def _name(node: fx.Node) -> str:
    """`max_pool2d_with_indices` of `aten.max_pool2d_with_indices.default`."""
    packet = getattr(node.target, "overloadpacket", node.target)
    return getattr(packet, "__name__", str(packet))


def _place(node: fx.Node) -> str:
    """The module of the user's network that an operation stands in."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return f" in {stack[-1][0]}" if stack and stack[-1][0] else ""


def _check(node: fx.Node) -> None:
    """Raise what is to be said of an operation that cannot be written."""
    if _name(node) not in OPERATIONS:
        raise SpecDNNError("there are no words for it")
    found = node.meta.get("val")
    kind = getattr(found[0] if isinstance(found, (tuple, list)) and found else found, "dtype", None)
    asks = kind in WHOLE and _name(node) == "_to_copy" and all(_name(user) == "embedding" for user in node.users)
    if kind not in (*FLOATS, torch.bool) and not asks:
        raise SpecDNNError(f"it gives numbers of type {str(kind).removeprefix('torch.')}")
    if kind == torch.bool and _name(node) == "add":
        raise SpecDNNError("it adds truths")


def _without_places(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in PLACES}


# ------------------------------------------------------------------------------------------ text


def _text(program: Program, output: str, image_shape: tuple[int, ...]) -> str:
    name, guard = program.name, program.name.upper()
    program.without_dead_code(output)
    places, workspace = program.places(output)
    body = _body(program, output, places, workspace)
    helpers = {key: text.replace("NAME", name).strip() for key, text in program.helpers.items()}
    code = "\n\n".join([*(text for key, text in helpers.items() if f"{name}_{key}(" in body), body])
    words = set(re.findall(r"\w+", body))
    used = [array for array in program.arrays if array in words]
    arrays = [program.arrays[array] for array in used]
    special = any(word in text for text in arrays for word in ("INFINITY", "NAN"))
    includes = ["#include <math.h>"] if special or re.search(r"\w+f\(|INFINITY|NAN", code) else []
    includes += ["#include <stdint.h>"] if any("uint" in text[:40] for text in arrays) else []
    storage = f"#ifndef {guard}_STORAGE\n#define {guard}_STORAGE static\n#endif" if workspace else ""
    head = _head(program, output, image_shape, workspace, sum(program.bytes[array] for array in used))
    opened = f"#ifndef {guard}_H\n#define {guard}_H"
    return "\n\n".join(filter(None, [head, opened, "\n".join(includes), storage, *arrays, code, "#endif"])) + "\n"


def _head(program: Program, output: str, image_shape: tuple[int, ...], workspace: int, constants: int) -> str:
    """The comment that says what the header needs."""
    name, dims = program.name, " x ".join(map(str, image_shape))
    order = ", channel by channel, row by row" if len(image_shape) == 3 else ", the last dimension fastest"
    lines = [
        f"void {name}_predict(const float *image, float *probabilities)",
        "",
        f"image: {_counted(math.prod(image_shape), 'number')}, {dims}{order}.",
        f"probabilities: {_counted(program.sizes[output], 'number')}, in the order of the network's outputs.",
        f"Weights and tables: {constants} bytes. Workspace: {4 * workspace} bytes. "
        f"Multiply-accumulates: {sum(statement.macs for statement in program.statements)}.",
    ]
    if workspace:
        lines += [
            f"The workspace is static, so that one call runs at a time; with {name.upper()}_STORAGE defined as nothing",
            "before this file is included it lies on the stack of each call.",
        ]
    return "/* " + "\n   ".join(lines).replace("\n   \n", "\n\n") + " */"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number != 1 else ''}"


def _body(program: Program, output: str, places: dict[str, int], workspace: int) -> str:
    lines = [f"{program.name.upper()}_STORAGE float workspace[{workspace}];"] if workspace else []
    used = {statement.writes for statement in program.statements}
    for buffer in program.sizes:
        if buffer in used:
            place = "probabilities" if buffer == output else sum_of("workspace", places[buffer])
            lines.append(f"float *const {buffer} = {place};")
    lines += ["(void)image;"] if not any("image" in statement.reads for statement in program.statements) else []
    lines += [line for statement in program.statements for line in statement.lines]
    opened = f"static inline void {program.name}_predict(const float *image, float *probabilities)\n{{\n"
    return opened + "\n".join(INDENT + line for line in lines) + "\n}"
