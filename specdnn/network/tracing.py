"""A user's classifier -> a `torch.fx.GraphModule` that does the same, in evaluation and in training mode."""

from __future__ import annotations

import copy
import inspect
import operator
import re
from collections.abc import Callable, Container, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm, remove_spectral_norm
from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm

import specdnn
from specdnn.network import operations
from specdnn.network.modules import Given, Mode, module_of, reading
from specdnn.network.standins import Tracer, in_a_form_to_be_followed
from specdnn.structures import SpecDNNError, first_line

WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
OURS = tuple(str(package.__file__).removesuffix("__init__.py") for package in (specdnn, torch))  # and torch's
NORMS_OF_WEIGHTS: dict[type, Callable[..., Any]] = {
    WeightNorm: remove_weight_norm,
    SpectralNorm: remove_spectral_norm,
}
WHAT_TO_DO = (
    "what the network does must not depend on the values of its tensors or on how many images there are, and forward "
    "must take one batch of images"
)


def traced(network: nn.Module, image: torch.Tensor | None = None) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """A copy of a network as a GraphModule in evaluation mode, and sentences on what is not as it was.

    `image`, of any shape: what the code decides by sizes is decided as for images like this one.
    Its parameters are of single precision at least. What `forward` hands to functions as `training=self.training`
    follows the mode of the result. A softmax or sigmoid at the end is left out: the result gives logits.
    Raises SpecDNNError where torch.fx cannot trace it, or where it takes or gives more than one tensor.
    """
    while type(network).__name__ in WRAPPERS:
        network = getattr(network, WRAPPERS[type(network).__name__])
    network, notes = copied(network)
    _must_have_no_hooks(network)
    tracer = Tracer(None if image is None else _as_parameters(image, network))
    graph, training = (_graph(network.train(mode), tracer) for mode in (False, True))
    notes += tracer.notes()
    _modules_of_torch(network, graph, training)
    notes += _follow_the_mode(network, graph, training)
    notes += _without_final(network, graph)
    _stack_beside_the_images(graph)
    _parts_by_their_places(graph)
    _largest_without_places(graph)
    _whole_numbers_for_tables(network, graph)
    without_dead_code(graph, network)
    found = fx.GraphModule(network.eval(), graph, type(network).__name__)
    _in_any_memory_layout(found)
    return found, tuple(notes + _left_out(network, found))


def _as_parameters(image: torch.Tensor, network: nn.Module) -> torch.Tensor:
    """On their device, and of their type unless these are numbers of words."""
    like = next(network.parameters(), image)
    return image.to(like.device, like.dtype if image.is_floating_point() else image.dtype)


def _left_out(network: nn.Module, found: nn.Module) -> list[str]:
    """What is told of parameters that nothing uses which reaches the outputs."""
    used = set(map(id, found.parameters()))
    unused = [name for name, parameter in network.named_parameters() if id(parameter) not in used]
    if not unused:
        return []
    return [f"left out, since the outputs do not depend on it: {_first_names(unused)}"]


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _must_have_no_hooks(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if module._forward_pre_hooks or module._forward_hooks:
            raise SpecDNNError(
                f"module {name or type(network).__name__} carries hooks, which cannot be traced: remove them first"
            )


def copied(network: nn.Module) -> tuple[nn.Module, list[str]]:
    """A copy in single precision at least, all weights of which are plain ones, and what to say of it."""
    computed = (t for m in network.modules() for t in vars(m).values() if torch.is_tensor(t) and not t.is_leaf)
    try:  # torch copies no tensor that is computed, such as weight_norm leaves in its module
        network = copy.deepcopy(network, {id(tensor): tensor.detach().clone() for tensor in computed})
        notes = _with_plain_weights(network.eval())
    except Exception as error:  # whatever a user's own __deepcopy__ raises
        raise SpecDNNError(f"{type(network).__name__} cannot be copied: {first_line(error)}") from None
    network.requires_grad_()
    half = {p.dtype for p in network.parameters()} & {torch.float16, torch.bfloat16}
    if half:
        notes.append(f"the network's {half.pop()} is worked on in single precision".replace("torch.", ""))
        network.float()
    return network, notes


def _with_plain_weights(network: nn.Module) -> list[str]:
    """Take the place of weights that are computed from others, by torch's parametrizations or its older hooks."""
    changed = []
    for name, module in network.named_modules():
        hooks = [hook for hook in module._forward_pre_hooks.values() if type(hook) in NORMS_OF_WEIGHTS]
        for hook in hooks:
            NORMS_OF_WEIGHTS[type(hook)](module, hook.name)
        parametrized = parametrize.is_parametrized(module)
        if parametrized:
            _without_parametrizations(module)
        changed += [name] if hooks or parametrized else []
    if not changed:
        return []
    return [
        f"weights that are computed from others (parametrization) are plain ones from here on: {_first_names(changed)}"
    ]


def _without_parametrizations(module: Given) -> None:
    """What torch's remove_parametrizations does, which would change the class of the module that this is a copy of."""
    with torch.no_grad():
        values = {name: getattr(module, name).clone() for name in module.parametrizations}
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value))


def _graph(network: nn.Module, tracer: Tracer) -> fx.Graph:
    """The operations of a network, traced; what forward takes beside the images stays at its defaults."""
    inputs = list(inspect.signature(network.forward).parameters.values())
    needed = [p.name for p in inputs if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(needed) != 1:
        raise SpecDNNError(
            f"{type(network).__name__}.forward takes {len(needed)} tensors ({', '.join(needed)}); a classifier takes "
            "one, a batch of images: wrap it in a module that does"
        )
    if isinstance(network, fx.GraphModule) and _is_traced(network):
        return copy.deepcopy(network.graph)
    defaults = {p.name: p.default for p in inputs if p.default is not p.empty}
    try:
        with in_a_form_to_be_followed():
            graph = tracer.trace(network, defaults)
    except Exception as error:  # torch.fx lets through whatever the user's forward raises on stand-ins
        _must_take(network, tracer.image)
        raise SpecDNNError(
            f"{type(network).__name__} cannot be traced: {first_line(error)}{_place(error)}; {WHAT_TO_DO}"
        ) from None
    for node in [n for n in graph.nodes if n.op == "placeholder"][1:]:
        if node.args or not node.users:  # it stays at its default; all that reads it asserts just that
            _erase(graph, node)
    return graph


def _must_take(network: nn.Module, image: torch.Tensor | None) -> None:
    """Tell of a network that fails on real images of this shape, too."""
    if image is None:
        return
    try:
        with torch.no_grad():
            copy.deepcopy(network).eval()(torch.stack([image, image]))
    except Exception as error:  # whatever the user's forward raises
        raise fails_on(image, network, error) from None


def fails_on(image: torch.Tensor, network: nn.Module, error: Exception) -> SpecDNNError:
    return SpecDNNError(
        f"{type(network).__name__} fails on images of shape {tuple(image.shape)}: {first_line(error)}; "
        "give images of the shape that it was made for"
    )


def _erase(graph: fx.Graph, node: fx.Node) -> None:
    """Erase a node and all that reads it."""
    for user in list(node.users):
        _erase(graph, user)
    graph.erase_node(node)


def _is_traced(network: fx.GraphModule) -> bool:
    """Whether a trace would give the graph that it has: it reads images alone and calls nothing to be looked into.

    A second trace would look into functions that are kept whole in the first one, such as torchvision's.
    """
    calls = [n.target for n in network.graph.nodes if n.op == "call_module"]
    inputs = [n for n in network.graph.nodes if n.op == "placeholder"]
    return len(inputs) == 1 and all(Tracer().is_leaf_module(network.get_submodule(name), name) for name in calls)


def _place(error: Exception) -> str:
    """Where in the user's own code an error came up: the innermost line that is none of torch's."""
    place, trace = "", error.__traceback__
    while trace:
        file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        if not file.startswith(("<", *OURS)):
            place = f" ({file}, line {line})"
        trace = trace.tb_next
    return place


def _modules_of_torch(network: nn.Module, graph: fx.Graph, training: fx.Graph) -> None:
    """What a class made from one of torch's computes by its function, from all that it holds, becomes torch's module.

    Many libraries have a BatchNorm with an activation behind it, or a Linear that minds the precision.
    """
    fixed, learning = (_by_owner(one, network) for one in (graph, training))
    for owner, calls in fixed.items():
        others = learning.get(owner, [])
        modes = [(_given(a).get("training"), _given(b).get("training")) for a, b in zip(calls, others, strict=False)]
        if len(calls) == len(others) and set(modes) in ({(None, None)}, {(False, True)}):
            name = _plain(network, owner)
            for node in (*calls, *others):
                with node.graph.inserting_before(node):
                    node.replace_all_uses_with(node.graph.call_module(name, (_given(node)["input"],)))
                node.graph.erase_node(node)
    for one in (graph, training):
        without_dead_code(one)


def _by_owner(graph: fx.Graph, network: nn.Module) -> dict[str, list[fx.Node]]:
    """Module -> every call of its function that is given all that it holds."""
    found: dict[str, list[fx.Node]] = {}
    for node in graph.nodes:
        if owner := _owner(node, network):
            found.setdefault(owner, []).append(node)
    return found


def _given(node: fx.Node) -> dict[str, Given]:
    """What a function of a module is given, by name; what it is not given is as torch has it, or None."""
    of = operations.OF_MODULES[node.target]
    named = dict(zip(of.arguments, node.args, strict=False)) | node.kwargs
    return dict.fromkeys(of.arguments) | dict(of.numbers) | named


def _owner(node: fx.Node, network: nn.Module) -> str | None:
    """The name of the module of which a function is given all tensors and numbers."""
    if node.op != "call_function" or node.target not in operations.OF_MODULES:
        return None
    of, given = operations.OF_MODULES[node.target], _given(node)
    first = given[of.tensors[0]]
    name = str(first.target).rpartition(".")[0] if isinstance(first, fx.Node) and first.op == "get_attr" else ""
    module = network.get_submodule(name)
    if not name or not isinstance(module, of.kinds) or getattr(module, "padding_mode", "zeros") != "zeros":
        return None
    same = all(_is_own(given[tensor], f"{name}.{tensor}", getattr(module, tensor)) for tensor in of.tensors)
    return name if same and all(_as_tuple(given[n]) == _as_tuple(getattr(module, n)) for n in of.numbers) else None


def _is_own(given: Given, name: str, tensor: torch.Tensor | None) -> bool:
    return given is None if tensor is None else isinstance(given, fx.Node) and given.target == name


def _as_tuple(number: Given) -> tuple[Given, ...]:
    """Of a convolution: its numbers for every dimension, one alone is for all."""
    several = tuple(number) if isinstance(number, (tuple, list)) else (number,)
    return several[:1] if len(set(several)) == 1 else several


def _plain(network: nn.Module, name: str) -> str:
    """The name of a module of torch's class with all that a user's has: in its place, or in it if it holds others."""
    owner = network.get_submodule(name)
    plain = copy.copy(owner)
    plain.__class__ = next(
        kind for of in operations.OF_MODULES.values() for kind in of.kinds if isinstance(owner, kind)
    )
    plain._modules = {}
    if owner._modules:
        name = f"{name}.{_free_name(owner, 'plain')}"
    network.set_submodule(name, plain)
    return name


def _follow_the_mode(network: nn.Module, graph: fx.Graph, training: fx.Graph) -> list[str]:
    """Give the nodes whose arguments are False in evaluation and True in training the mode itself."""
    pairs = list(zip(graph.nodes, training.nodes, strict=False))
    if len(graph.nodes) != len(training.nodes) or any(_does(a) != _does(b) for a, b in pairs):
        return ["the network does something else in training mode; what it does in evaluation mode is traced"]
    switches = [(a, b) for a, b in pairs if _switched(a, b)]
    if switches:
        name = _free_name(network, "mode")
        network.add_module(name, Mode())
        with graph.inserting_before(next(iter(graph.nodes)).next):
            mode = graph.call_module(name)
        for node, other in switches:
            node.args = tuple(_chosen(a, b, mode) for a, b in zip(node.args, other.args, strict=True))
            node.kwargs = {name: _chosen(a, other.kwargs[name], mode) for name, a in node.kwargs.items()}
    return []


def _does(node: fx.Node) -> str:
    """What a node does; every trace of a network numbers the constants that it meets anew."""
    return re.sub(r"_tensor_constant\d+", "constant", str(node.target))


def _switched(node: fx.Node, other: fx.Node) -> bool:
    ours, theirs = (*node.args, *node.kwargs.values()), (*other.args, *other.kwargs.values())
    return any(a is False and b is True for a, b in zip(ours, theirs, strict=False))


def _chosen(here: Given, there: Given, mode: fx.Node) -> Given:
    return mode if here is False and there is True else here


def _in_any_memory_layout(network: fx.GraphModule) -> None:
    """`view` becomes `reshape`, which does the same and takes tensors with the channels last in memory, too."""
    names = {"view": "reshape", "view_as": "reshape_as"}
    for node in network.graph.nodes:
        another_type = any(isinstance(value, torch.dtype) for value in (*node.args, *node.kwargs.values()))
        changed = any(map(in_place, node.users))  # what a view shares with others must stay shared
        if node.op == "call_method" and node.target in names and not (another_type or changed):
            node.target = names[node.target]
    network.recompile()


def _stack_beside_the_images(graph: fx.Graph) -> None:
    """Stack along dimension 1 what is stacked along dimension 0 to be averaged over: the images stay the first."""
    for node in graph.nodes:
        if node.target is torch.stack and _over_the_first(node) and all(map(_averages_the_first, node.users)):
            for changed in (node, *node.users):
                changed.args, changed.kwargs = (changed.args[0], 1), {}


def _over_the_first(node: fx.Node) -> bool:
    """Whether a node with arguments (tensors, dimension) is about dimension 0; a stack is if nothing is said."""
    said = [*node.args[1:], *node.kwargs.values()] or [0 if node.target is torch.stack else None]
    return said in ([0], [[0]], [(0,)])


def _averages_the_first(node: fx.Node) -> bool:
    return node.op != "output" and node.target in operations.REDUCTIONS and len(node.args) > 0 and _over_the_first(node)


def _parts_by_their_places(graph: fx.Graph) -> None:
    """Write `x.sort().values` as `x.sort()[0]`."""
    for node in graph.nodes:
        if node.target is getattr and node.args[1] in operations.PARTS:
            node.target, node.args = operator.getitem, (node.args[0], operations.PARTS[node.args[1]])


def _largest_without_places(graph: fx.Graph) -> None:
    """Write max and min by other functions of torch where nobody asks at which place the largest is.

    Of equal ones each gets its share of a gradient then, not one of them all.
    """
    for node in list(graph.nodes):
        if node.op not in ("call_function", "call_method") or node.target not in operations.LARGEST or not node.args:
            continue
        among, of_two = operations.LARGEST[node.target]
        given = dict(zip(("dim", "keepdim"), node.args[1:], strict=False)) | node.kwargs
        parts = [user for user in node.users if user.target is operator.getitem]
        if _is_a_dimension(given) and len(parts) == len(node.users) and all(user.args[1] == 0 for user in parts):
            node.op, node.target, node.args, node.kwargs = "call_function", among, node.args[:1], given
            for user in parts:
                user.replace_all_uses_with(node)
                graph.erase_node(user)
        elif not parts and not node.kwargs and (not given or list(map(type, given.values())) == [fx.Node]):
            node.op, node.target = "call_function", of_two if given else among


def _whole_numbers_for_tables(network: nn.Module, graph: fx.Graph) -> None:
    """Images that are numbers of vectors, such as those of words, may be given in any type."""
    of_images = reading(graph, ("placeholder",))
    for node in list(graph.nodes):
        if isinstance(module_of(node, network), operations.TABLES):
            for source in [one for one in node.all_input_nodes if one in of_images and one.target != "long"]:
                with graph.inserting_before(node):
                    node.replace_input_with(source, graph.call_method("long", (source,)))


def _is_a_dimension(given: dict[str, Any]) -> bool:
    """Whether a reduction is given one dimension, and at most whether to keep it."""
    flag = isinstance(given.get("keepdim", False), bool)
    return given.keys() <= {"dim", "keepdim"} and isinstance(given.get("dim"), int) and flag


def settle_signs(network: fx.GraphModule, tensors: set[str]) -> None:
    """Write `x += y` as `x.add_(y)` where x is one of `tensors`, and as `x + y` where it is a number."""
    for node in network.graph.nodes:
        if node.op == "call_function" and node.target in operations.IN_PLACE_SIGNS:
            method, function = operations.IN_PLACE_SIGNS[node.target]
            tensor = node.args[0].name in tensors
            node.op, node.target = ("call_method", method) if tensor else ("call_function", function)


def settle_tables(network: fx.GraphModule, rows: dict[str, torch.Tensor], of_more: dict[str, torch.Tensor]) -> None:
    """Make a parameter of the vectors of an Embedding that is asked for the same ones whatever the images: positions.

    `rows`: node -> which vectors it was asked for; `of_more`: the same where there was one image more.
    """
    images = reading(network.graph, ("placeholder",))
    for node in [node for node in network.graph.nodes if node.name in rows]:
        table, asked = module_of(node, network), rows[node.name]
        varying = not torch.equal(asked, of_more[node.name]) or node.all_input_nodes[0] in images
        if varying or len(asked.unique()) < asked.numel() or table.max_norm is not None:
            continue
        name = _free_name(network, f"{node.target}_rows")
        network.register_parameter(name, nn.Parameter(table(asked).detach()))
        node.op, node.target, node.args = "get_attr", name, ()


def settle_made(network: fx.GraphModule, made: dict[str, torch.Tensor], of_more: dict[str, torch.Tensor]) -> None:
    """Make a buffer of what is made from sizes and numbers alone, such as torch.arange, if it is always the same."""
    same = {name for name, tensor in made.items() if torch.equal(tensor, of_more[name])}
    _numbers_of_the_images(network.graph, made.keys() - same)
    for node in [node for node in network.graph.nodes if node.name in same]:
        changed = any(map(in_place, (node, *node.users)))
        if changed or all(user.name in same for user in node.users):
            continue
        name = _free_name(network, node.name)
        network.register_buffer(name, made[node.name])
        node.op, node.target, node.args, node.kwargs = "get_attr", name, (), {}


def _numbers_of_the_images(graph: fx.Graph, varying: Container[str]) -> None:
    """Zeros for every image are asked of the images, as zeros beside units are and files know them; ones are 0 + 1."""
    images = next(iter(graph.nodes))
    for node in list(graph.nodes):
        if node.name not in varying or node.target not in operations.FILLED or not node.args:
            continue
        sizes, value, dtype = operations.FILLED[node.target](*node.args, **node.kwargs)
        kind = {"dtype": dtype} if dtype else {}
        node.op, node.target, node.args, node.kwargs = "call_method", "new_zeros", (images, sizes), kind
        if value:
            with graph.inserting_after(node):
                filled = graph.call_function(operator.add, (node, value))
            node.replace_all_uses_with(filled, lambda user, filled=filled: user is not filled)


def _free_name(network: nn.Module, name: str) -> str:
    name = name.replace(".", "_")
    while hasattr(network, name):
        name += "_"
    return name


def tidy(network: fx.GraphModule) -> None:
    """Leave out what a changed graph reads no more, and let the network do what the graph says."""
    without_dead_code(network.graph, network)
    network.delete_all_unused_submodules()
    network.recompile()


# ------------------------------------------------------------------------------------------ what is left out


def in_place(node: fx.Node) -> bool:
    """Whether a node may change a tensor that others read."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    sign = node.op == "call_function" and node.target in operations.IN_PLACE_SIGNS
    module = module_of(node, node.graph.owning_module) if node.graph.owning_module else None
    return sign or name.endswith("_") or bool(node.kwargs.get("inplace")) or bool(getattr(module, "inplace", False))


def without_dead_code(graph: fx.Graph, network: nn.Module | None = None) -> None:
    """Leave out assertions, and what nobody reads unless it may change something in place.

    `network` is the one that holds the graph's modules, if modules are to go as well.
    """
    for node in reversed(list(graph.nodes)):
        assertion = node.op == "call_function" and node.target in (torch._assert,)
        if node.op == "call_module":
            lazy = network is not None and not getattr(network.get_submodule(node.target), "inplace", False)
        else:
            lazy = node.op in ("get_attr", "call_function", "call_method") and not in_place(node)
        if not node.users and (assertion or lazy):
            graph.erase_node(node)


def _without_final(network: nn.Module, graph: fx.Graph) -> list[str]:
    """Leave out a softmax or sigmoid that is the last thing a network does."""
    output = next(node for node in graph.nodes if node.op == "output")
    last = output.args[0]
    if not isinstance(last, fx.Node):
        kind = (
            "a dictionary" if isinstance(last, dict) else f"{len(last)} tensors" if hasattr(last, "__len__") else last
        )
        raise SpecDNNError(
            f"the network gives {kind}; a classifier gives one tensor of logits: wrap it in a module that does"
        )
    final = last.op in ("call_function", "call_method") and last.target in operations.FINAL
    if last.op == "call_module":
        final = isinstance(module_of(last, network), operations.FINAL_MODULES)
    if not final or len(last.users) > 1:
        return []
    output.args = (last.args[0],)
    graph.erase_node(last)
    return [f"the last operation, {last.name}, is left out: what goes into it are the logits"]
