"""A traced network <-> a text (JSON) that says how it is built, without its numbers.

    {"modules": {"first": ["Conv2d", {"in_channels": 1, ...}], ...}, "tensors": {"scale": "parameter"},
     "nodes": [{"op": "placeholder", ...}, {"op": "call_module", "target": "first", "args": [{"node": 0}], ...}, ...],
     "tied": {}}

Nodes are named by their place, so no name from a file ever becomes code; every target is looked up in the tables of
`whitelist`. What JSON lacks is a dictionary of one key: {"tuple": [...]}, {"slice": [...]}, {"float": "-inf"}, ...
"""

from __future__ import annotations

import json
import keyword
import re
import warnings
from collections.abc import Collection, Container
from typing import Any

import torch
from torch import fx, nn

from specdnn.foreign import State
from specdnn.network import whitelist
from specdnn.network.modules import Select, arguments, named, parameters
from specdnn.structures import Record

LONGEST = 1 << 24  # characters of a text
DEEPEST = 16  # lists in lists
MOST_NODES = 50_000
LARGEST = 1 << 63  # of a whole number
KINDS: dict[str, tuple[type, dict[str, Any]]] = {
    "dtype": (torch.dtype, {str(d): d for d in vars(torch).values() if isinstance(d, torch.dtype)}),
    "memory_format": (torch.memory_format, {str(f): f for f in (torch.contiguous_format, torch.channels_last)}),
    "device": (torch.device, {"cpu": torch.device("cpu")}),
}
TAKEN = frozenset(dir(fx.GraphModule(nn.Module(), fx.Graph())))  # what a network's own names must not cover


# ------------------------------------------------------------------------------------------ network -> text


def to_text(network: fx.GraphModule) -> str:
    """The text of a traced network; the same network gives the same text.

    Raises ValueError, one sentence, if it has an operation, a module or an argument that no file may hold.
    """
    nodes = list(network.graph.nodes)
    places = {node: place for place, node in enumerate(nodes)}
    modules = {node.target: _module(network, node.target) for node in nodes if node.op == "call_module"}
    tensors = {n.target: _tensor_kind(network, n.target) for n in nodes if n.op == "get_attr"}
    content = {
        "modules": modules,
        "tensors": {name: kind for name, kind in tensors.items() if not _inside(name, modules)},
        "tied": _tied(network),
        "nodes": [_node(node, places) for node in nodes],
    }
    return json.dumps(content, allow_nan=False)


def _node(node: fx.Node, places: dict[fx.Node, int]) -> Record:
    try:
        args = [_encoded(value, places) for value in node.args]
        kwargs = {name: _encoded(value, places) for name, value in node.kwargs.items()}
    except ValueError as error:
        raise ValueError(f"{node.name} is given {error}") from None
    return {"op": node.op, "target": _target(node), "args": args, "kwargs": kwargs}


def _target(node: fx.Node) -> str | None:
    if node.op in ("placeholder", "output"):
        return None
    if node.op == "call_function":
        function: Any = node.target
        name = whitelist.name_of(function)
        if name is None:
            raise ValueError(f"the function {fx.node._get_qualified_name(function)} is none that a file may hold")
        return name
    if node.op == "call_method" and node.target not in whitelist.METHODS:
        raise ValueError(f"the method {node.target} of a tensor is none that a file may hold")
    return str(node.target)


def _module(network: fx.GraphModule, target: str) -> list[Any]:
    module = network.get_submodule(target)
    kind = type(module)
    if whitelist.MODULES.get(kind.__name__) is not kind:
        raise ValueError(f"the module {target} is a {kind.__name__}, which is none that a file may hold")
    own = constructed(module)
    try:
        return [kind.__name__, {name: _encoded(value, {}) for name, value in own.items()}]
    except ValueError as error:
        raise ValueError(f"the module {target} is given {error}") from None


def constructed(module: nn.Module) -> dict[str, Any]:
    """What the constructor of a module's class was given; the elements of a Select are among its tensors."""
    own = arguments(module)
    if isinstance(module, nn.MultiheadAttention):
        own |= {"bias": module.in_proj_bias is not None, "add_bias_kv": module.bias_k is not None}
    own.pop("index", None)
    return own


def _tensor_kind(network: fx.GraphModule, target: str) -> str:
    tensor = named(network, target)
    if not torch.is_tensor(tensor):
        raise ValueError(f"{target} is a {type(tensor).__name__}, not a tensor")
    return "parameter" if isinstance(tensor, nn.Parameter) else "buffer"


def _tied(network: nn.Module) -> dict[str, str]:
    """Parameters that are the same as one of another name -> that name."""
    first, tied = dict[int, str](), dict[str, str]()
    for name, parameter in sorted(network.named_parameters(remove_duplicate=False)):
        if first.setdefault(id(parameter), name) != name:
            tied[name] = first[id(parameter)]
    return tied


def _encoded(value: Any, places: dict[fx.Node, int]) -> Any:
    """A plain value, or a node by its place, as JSON knows it."""
    if value is None or isinstance(value, (bool, str)) or (isinstance(value, int) and abs(value) < LARGEST):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else {"float": str(value)}
    if isinstance(value, fx.Node):
        return {"node": places[value]}
    if isinstance(value, (tuple, list)):
        inner = [_encoded(one, places) for one in value]
        return {"tuple": inner} if isinstance(value, tuple) else inner
    if isinstance(value, slice):
        return {"slice": [_encoded(one, places) for one in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"ellipsis": None}
    for kind, (type_, values) in KINDS.items():
        if isinstance(value, type_) and value in values.values():
            return {kind: str(value)}
    raise ValueError(f"a {type(value).__name__} ({value}), which no file may hold".partition("\n")[0])


# ------------------------------------------------------------------------------------------ text -> network


def from_text(text: str, state: dict[str, torch.Tensor]) -> fx.GraphModule:
    """The network of a text on the meta device: shapes without memory, except for the elements of Selects.

    `state`: its tensors, whose shapes must be those that the text implies. Raises ValueError, one sentence, for a text
    of anything else.
    """
    content = _parsed(text)
    kinds = {"modules": dict, "tensors": dict, "nodes": list}
    modules, tensors, listed = (_of(content.get(key), kind, key) for key, kind in kinds.items())
    if not max(len(modules), len(tensors)) < len(listed) < MOST_NODES:
        raise ValueError("its graph has more parts than it uses, or than any network")
    for name in (*modules, *tensors):
        _check_name(name)
        if _inside(name, {**modules, **tensors}):
            raise ValueError(f"{name} lies inside another of its modules")
    root = {name: _built(name, given, state) for name, given in modules.items()}
    held = {f"{name}.{own}": tensor for name, module in root.items() for own, tensor in _tensors(module)}
    root |= {name: _attribute(name, kind, state) for name, kind in tensors.items()}
    graph = _graph(listed, {"call_method": whitelist.METHODS, "call_module": modules, "get_attr": {**tensors, **held}})
    used = {node.target for node in graph.nodes if node.op in ("call_module", "get_attr")}
    if unused := set(root) - used:
        raise ValueError(f"its graph does not use {sorted(unused)[0]}")
    return fx.GraphModule(root | {name: held[name] for name in used & set(held)}, graph).eval()


def _tensors(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def tied(text: str) -> dict[str, str]:
    """Of a text that was understood: the parameters that are the same as one of another name -> that name."""
    tied: dict[str, str] = _of(_parsed(text).get("tied"), dict, "tied")
    return tied


def _parsed(text: Any) -> Record:
    if not isinstance(text, str) or len(text) > LONGEST:
        raise ValueError("its graph is no text, or longer than any network's")
    try:
        parsed: Record = _of(json.loads(text), dict, "graph")
    except (ValueError, RecursionError):
        raise ValueError("its graph is no JSON of a network") from None
    return parsed


def _of(value: Any, kind: type, what: str) -> Any:
    if type(value) is not kind:
        raise ValueError(f"its graph has no {kind.__name__} of {what}")
    return value


def _check_name(name: str) -> None:
    """A dotted name of words that torch's own modules do not use; it stands in the code that torch.fx writes."""
    words = name.split(".")
    if len(name) > 1000 or len(words) > DEEPEST:
        raise ValueError("it has a module of a name longer than any network's")
    for word in words:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", word) or keyword.iskeyword(word) or word in TAKEN or word[:2] == "__":
            raise ValueError(f"{name!r:.200} is no name of a module")


def _inside(name: str, modules: Collection[str]) -> bool:
    """Whether a name lies inside one of these modules."""
    words = name.split(".")
    return any(".".join(words[:n]) in modules for n in range(1, len(words)))


def _built(name: str, given: Any, state: State) -> nn.Module:
    """One module on the meta device; nothing that its arguments say takes memory."""
    kind, own = given if isinstance(given, list) and len(given) == 2 else (None, {})
    found = whitelist.MODULES.get(kind) if isinstance(kind, str) else None
    if found is None:
        raise ValueError(f"its module {name} is a {kind!r:.100}, which is none that a file may hold")
    own = {key: _decoded(value, []) for key, value in _of(own, dict, "arguments").items()}
    if not set(own) <= set(parameters(found)) - {"index"}:
        raise ValueError(f"its module {name} has arguments that a {kind} does not know")
    if isinstance(own.get("num_layers"), int) and own["num_layers"] > len(state):
        raise ValueError(f"its module {name} has more layers than there are tensors")
    if found is Select:
        own["index"] = _elements(state.get(f"{name}.index"), name)
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on tensors without elements, which are refused later
            return found(**own)
    except Exception as error:  # whatever a constructor raises on what it does not expect
        raise ValueError(f"its module {name} cannot be a {kind} of these arguments: {error}") from None


def _elements(index: torch.Tensor | None, name: str) -> torch.Tensor:
    if (
        not torch.is_tensor(index)
        or index.dtype != torch.int64
        or index.dim() != 1
        or not len(index)
        or index.min() < 0
    ):
        raise ValueError(f"the elements of {name} are no list of places")
    return index


def _attribute(name: str, kind: Any, state: State) -> torch.Tensor:
    """A parameter or buffer of the network itself, on the meta device."""
    tensor = state.get(name)
    if not torch.is_tensor(tensor) or kind not in ("parameter", "buffer"):
        raise ValueError(f"its {name} is missing")
    empty = torch.empty(
        tensor.shape, dtype=torch.float32 if tensor.is_floating_point() else tensor.dtype, device="meta"
    )
    return nn.Parameter(empty) if kind == "parameter" else empty


def _graph(listed: list[Any], tables: dict[str, Container[str]]) -> fx.Graph:
    """The nodes one by one; each may read those before it, and call what its table holds."""
    graph, made = fx.Graph(), list[fx.Node]()
    for place, given in enumerate(listed):
        given = _of(given, dict, "nodes")
        op, target = given.get("op"), given.get("target")
        args = [_decoded(value, made) for value in _of(given.get("args"), list, "arguments")]
        kwargs = {k: _decoded(v, made) for k, v in _of(given.get("kwargs"), dict, "arguments").items()}
        if not all(re.fullmatch(r"_?[A-Za-z][A-Za-z0-9_]*", key) and not keyword.iskeyword(key) for key in kwargs):
            raise ValueError(f"an operation of its graph has arguments of no possible name: {list(kwargs)!r:.100}")
        ends = {0: "placeholder", len(listed) - 1: "output"}
        if (place in ends or op in ends.values()) and op != ends.get(place):
            raise ValueError("its graph does not begin with the images and end with an output")
        made.append(_made(graph, op, target, args, kwargs, tables))
    return graph


def _made(
    graph: fx.Graph, op: Any, target: Any, args: list[Any], kwargs: Record, tables: dict[str, Container[str]]
) -> fx.Node:
    if op == "placeholder":
        return graph.placeholder("images")
    if op == "output":
        if len(args) != 1 or not isinstance(args[0], fx.Node):
            raise ValueError("its output is not one tensor")
        return graph.create_node("output", "output", (args[0],))
    known = isinstance(op, str) and isinstance(target, str)
    found: Any = whitelist.function(target) if known and op == "call_function" else target
    if not known or (target not in tables.get(op, ()) if op != "call_function" else found is None):
        raise ValueError(f"its graph holds the {op!r:.50} of {target!r:.100}, which no file may")
    if found is getattr and (len(args) != 2 or kwargs or args[1] not in whitelist.ATTRIBUTES):
        raise ValueError(f"it may ask a tensor for {', '.join(whitelist.ATTRIBUTES)} only")
    if op == "call_method" and not (args and isinstance(args[0], fx.Node)):
        raise ValueError(f"the method {target} of its graph belongs to no tensor")
    return graph.create_node(op, found, tuple(args), kwargs)


def _decoded(value: Any, made: list[fx.Node], depth: int = 0) -> Any:
    """What `_encoded` made a JSON value of; raises ValueError for anything else."""
    if depth > DEEPEST:
        raise ValueError("its graph has lists deeper than any network's")
    if value is None or isinstance(value, (bool, str, float)) or (isinstance(value, int) and abs(value) < LARGEST):
        return value
    if isinstance(value, list):
        return [_decoded(one, made, depth + 1) for one in value]
    if isinstance(value, dict) and len(value) == 1:
        ((kind, inner),) = value.items()
        if kind in ("tuple", "slice") and isinstance(inner, list):
            parts = tuple(_decoded(one, made, depth + 1) for one in inner)
            if kind == "tuple" or len(parts) == 3:
                return parts if kind == "tuple" else slice(*parts)
        if kind == "node" and type(inner) is int and 0 <= inner < len(made):
            return made[inner]
        if kind == "float" and inner in ("inf", "-inf", "nan"):
            return float(inner)
        if kind == "ellipsis":
            return Ellipsis
        if kind in KINDS and isinstance(inner, str) and inner in KINDS[kind][1]:
            return KINDS[kind][1][inner]
    raise ValueError(f"its graph holds a value of no known kind: {value!r:.100}")
