"""Files that hold a network without its class: what comes back, what is refused, and files of earlier formats."""

import copy
import inspect
import json
import os
import pickle
import re
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_networks import ARCHITECTURES, Borrowing, Everything, LeNet_5, LeNet_300_100, Linear, Tied
from torch import fx, nn

from specdnn import files
from specdnn.network import graphtext, modules, netfile, operations, whitelist
from specdnn.network.netfile import Checkpoint
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.structures import KeptUnits, SpecDNNError

SHAPE = (1, 28, 28)
KEPT = {
    "LeNet_300_100": KeptUnits(((5, 100, 783), (0, 299), (50, 51), (3,))),
    "LeNet_5": KeptUnits(((0,), (4, 19), (2, 15, 48, 791), (0, 499), (1, 8))),
}
NETWORKS = [LeNet_300_100, LeNet_5, Everything, Tied, Borrowing]


def images(count=3) -> torch.Tensor:
    return torch.arange(count * 784, dtype=torch.float64).mul(0.37).sin().view(count, *SHAPE).float()


def logits(network) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(images().to(next(network.parameters()).dtype))


def parent_of(kind) -> CompactNetwork:
    torch.manual_seed(0)
    return CompactNetwork.parent(kind(), images()[0])


def compact_of(kind) -> CompactNetwork:
    """Cut to KEPT, or to every other unit and two classes."""
    parent, kept = parent_of(kind), KEPT.get(kind.__name__)
    if kept is None:
        kept = parent.kept.replace(len(parent.kept.units) - 1, (1, 3))
        for depth in parent.wiring.layers.prunable:
            kept = kept.replace(depth, kept.units[depth][::2])
    return cut(parent, kept)


def checkpoint_of(kind, compact=None, **other) -> Checkpoint:
    own = {"accuracy": 0.9375, "algo": "OSLOM", "seed": 7, **other}
    return Checkpoint(kind.__name__, "digits", compact or compact_of(kind), (0.3050, 0.3247), **own)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.pth.tar"


def content_of(saved: Checkpoint, path: Path) -> dict:
    netfile.save(path, saved)
    return torch.load(path, weights_only=True)


def refusal(path: Path, *args, **options) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(SpecDNNError) as error:
        netfile.load(path, ARCHITECTURES, *args, **options)
    assert "\n" not in str(error.value) and str(error.value).isprintable() and str(path) in str(error.value)
    return str(error.value)


# ------------------------------------------------------------------------------------------ what comes back


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("whole", [True, False])
def test_a_network_comes_back_bit_for_bit_without_its_class(kind, whole, path):
    saved = checkpoint_of(kind, parent_of(kind) if whole else None)
    netfile.save(path, saved)
    loaded = netfile.load(path, {})
    assert loaded.compact.kept == saved.compact.kept and loaded.classes == saved.classes
    assert loaded.compact.wiring.layers == saved.compact.wiring.layers
    for field in ("arch", "dataset", "normalisation", "accuracy", "algo", "seed", "owed_epochs"):
        assert getattr(loaded, field) == getattr(saved, field), field
    expected, found = (one.compact.network.state_dict() for one in (saved, loaded))
    assert set(found) == set(expected) and all(torch.equal(found[name], expected[name]) for name in found)
    assert torch.equal(logits(loaded.compact.network), logits(saved.compact.network))
    assert torch.equal(logits(netfile.load_network(path)), logits(saved.compact.network))


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_same_network_gives_the_same_bytes(kind, tmp_path):
    one, two, three = (tmp_path / name for name in "abc")
    netfile.save(one, checkpoint_of(kind))
    netfile.save(two, checkpoint_of(kind))
    netfile.save(three, netfile.load(one, {}))
    assert one.read_bytes() == two.read_bytes() == three.read_bytes()


def test_the_layout_in_memory_that_training_prefers_leaves_no_trace(tmp_path):
    one, two = tmp_path / "a", tmp_path / "b"
    saved = checkpoint_of(LeNet_5)
    netfile.save(one, saved)
    saved.compact.network.to(memory_format=torch.channels_last)
    netfile.save(two, saved)
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_the_precision_of_the_numbers_stays(kind, path):
    saved = checkpoint_of(LeNet_5)
    saved.compact.network.to(kind)
    netfile.save(path, saved)
    network = netfile.load_network(path)
    assert {parameter.dtype for parameter in network.parameters()} == {kind}
    assert torch.equal(network.conv1.weight, saved.compact.network.conv1.weight)


def test_what_a_loaded_network_carries(path):
    netfile.save(path, checkpoint_of(LeNet_5))
    network = netfile.load_network(path)
    assert (network.classes, network.image_shape, network.normalisation) == ((1, 8), SHAPE, (0.3050, 0.3247))
    assert not network.training and all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("kind", [LeNet_5, Everything, Tied, Borrowing])
def test_a_loaded_network_can_be_cut_again(kind, path):
    saved = checkpoint_of(kind)
    netfile.save(path, saved)
    loaded = netfile.load(path, {}).compact
    kept = loaded.kept.replace(len(loaded.kept.units) - 1, loaded.kept.classes[1:])
    for depth in loaded.wiring.layers.prunable:
        kept = kept.replace(depth, kept.units[depth][1:])
    assert torch.equal(logits(cut(loaded, kept).network), logits(cut(saved.compact, kept).network))
    assert loaded.wiring.sizes(kept) == saved.compact.wiring.sizes(kept)


def test_a_loaded_network_can_be_trained(path):
    netfile.save(path, checkpoint_of(Everything))
    network = netfile.load_network(path).train()
    assert not torch.equal(network(images()), network(images()))  # its dropout follows the mode
    network(images()).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_weights_that_are_shared_stay_shared(path):
    netfile.save(path, checkpoint_of(Tied))
    for network in (netfile.load_network(path), netfile.load(path, {}).compact.network):
        assert network.first.weight is network.again.weight


def test_a_checkpoint_is_a_dictionary_of_tensors_and_plain_values(path):
    saved = checkpoint_of(LeNet_5, owed_epochs=3, notes=("a note",))
    content = content_of(saved, path)
    assert content["acc"] == 0.9375 and content["arch"] == "LeNet_5" and content["owed_epochs"] == 3
    assert content["classes"] == [1, 8] and content["kept"] == [list(units) for units in saved.compact.kept.units]
    assert content["notes"] == ["a note"] and content["parent_sizes"] == [430_500, 431_080, 2_293_000]
    assert content["layers"][2]["name"] == "conv2" and content["layers"][2]["units"] == 800
    # the published mask: per layer that is read its pruned inputs
    for gone, kept, width in zip(content["mask"], content["kept"][:-1], (1, 20, 800, 500), strict=True):
        assert sorted([*gone, *kept]) == list(range(width))
    graph = json.loads(content["graph"])
    assert graph["modules"]["conv2"][0] == "Conv2d" and graph["modules"]["conv2"][1]["in_channels"] == 2


@pytest.mark.parametrize("normalisation", [(), (0.5, 0.25), ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))])
def test_normalisations(normalisation, path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))
    compact = CompactNetwork.parent(network, torch.zeros(3, 8, 8))
    netfile.save(path, Checkpoint("net", "", compact, normalisation, None))
    assert netfile.load(path, {}).normalisation == netfile.load_network(path).normalisation == normalisation


@pytest.mark.parametrize("normalisation", [(0.5,), (0.5, 0.0), (float("nan"), 1.0), ((0.1, 0.2), (0.3, 0.4)), (2, 1)])
def test_normalisations_that_make_no_sense(normalisation, path):
    saved = checkpoint_of(LeNet_5)
    with pytest.raises(SpecDNNError, match="normalisation"):
        netfile.save(path, Checkpoint("LeNet_5", "", saved.compact, normalisation, None))


def test_an_interrupted_save_leaves_the_old_checkpoint(path, monkeypatch):
    netfile.save(path, checkpoint_of(LeNet_5))
    before = path.read_bytes()
    monkeypatch.setattr(files.os, "replace", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        netfile.save(path, checkpoint_of(LeNet_5, parent_of(LeNet_5)))
    assert path.read_bytes() == before and os.listdir(path.parent) == ["x.pth.tar"]


def test_a_network_of_another_name_or_for_other_images(path):
    netfile.save(path, checkpoint_of(LeNet_5))
    assert "holds a LeNet_5, not a Linear: drop --arch" in refusal(path, "Linear")
    assert "made for images of 1x28x28, not of 3x32x32" in refusal(path, image=(3, 32, 32))
    assert netfile.load(path, ARCHITECTURES, "LeNet_5", images()[0]).arch == "LeNet_5"


def test_loading_leaves_the_generator_of_random_numbers_alone(path):
    netfile.save(path, checkpoint_of(Everything))
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    netfile.load_network(path)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "name", ["squeezenet1_1", "shufflenet_v2_x0_5", "mnasnet0_5", "mobilenet_v3_small", "resnet18"]
)
def test_networks_of_torchvision(name, path):
    import torchvision

    torch.manual_seed(0)
    parent = CompactNetwork.parent(getattr(torchvision.models, name)(num_classes=10), torch.zeros(3, 64, 64))
    kept = parent.kept.replace(len(parent.kept.units) - 1, (1, 3))
    for depth in parent.wiring.layers.prunable:
        kept = kept.replace(depth, kept.units[depth][::2])
    compact, some = cut(parent, kept), torch.rand(2, 3, 64, 64)
    netfile.save(path, Checkpoint(name, "", compact, (), None))
    loaded = netfile.load(path, {})
    with torch.no_grad():
        assert torch.equal(netfile.load_network(path)(some), compact.network(some))
        assert torch.equal(loaded.compact.network(some), compact.network(some))
    assert loaded.compact.kept == kept and loaded.compact.wiring.weights(kept) == parent.wiring.weights(kept)


# ------------------------------------------------------------------------------------------ what cannot be saved


class Own(nn.Module):
    """A network that ends in something of its own."""

    def __init__(self, last):
        super().__init__()
        self.ip1, self.last = nn.Linear(784, 10), last

    def forward(self, images):
        return self.last(self.ip1(images.flatten(1)))


class Cosines(nn.Module):
    def forward(self, values):
        return torch.special.bessel_j0(values)


class Fourth(nn.Module):
    def forward(self, values):
        return values.kthvalue(4, 1, True)[0]


@pytest.mark.parametrize(
    "last, told",
    [
        (Cosines(), "the function torch._C._special.special_bessel_j0"),
        (Fourth(), "the method kthvalue of a tensor is none that a file may hold"),
        (nn.Embedding, "the module ip1 is a CircuitLinear"),
    ],
)
def test_what_is_in_no_table_is_refused_by_name(last, told, path):
    network = Own(last if isinstance(last, nn.Module) else nn.Identity())
    if last is nn.Embedding:
        network.ip1.__class__ = type("CircuitLinear", (nn.Linear,), {"__module__": "torch.nn.circuits"})
    with pytest.raises(SpecDNNError) as error:
        netfile.save(path, Checkpoint("net", "", CompactNetwork.parent(network, images()[0]), (), None))
    assert told in str(error.value) and "\n" not in str(error.value) and not path.exists()


@pytest.mark.parametrize(
    "kind, target, args, root, told",
    [
        ("call_function", torch.mul, (2j,), {}, "mul is given a complex (2j), which no file may hold"),
        ("call_module", "act", (), {"act": nn.LeakyReLU(2j)}, "the module act is given a complex (2j)"),
        ("get_attr", "table", None, {"table": 3}, "table is a int, not a tensor"),
    ],
)
def test_values_that_no_file_may_hold(kind, target, args, root, told):
    graph = fx.Graph()
    image = graph.placeholder("images")
    graph.output(graph.create_node(kind, target, () if args is None else (image, *args)))
    with pytest.raises(ValueError, match=re.escape(told)):
        graphtext.to_text(fx.GraphModule(root, graph))


def test_the_tables_hold_what_the_wiring_has_rules_for():
    rules = {f for table in (operations.ELEMENTWISE, operations.MOVEMENTS, operations.REDUCTIONS) for f in table}
    assert not [f for f in rules if callable(f) and whitelist.name_of(f) is None]
    functions = whitelist.functions() | whitelist.of_torchvision()
    assert not [name for name, function in functions.items() if functions[whitelist.name_of(function)] is not function]
    words = {*functions, *whitelist.METHODS, *whitelist.MODULES}
    assert not [word for word in words if "__" in word or word in ("save", "load", "apply_", "map_", "numpy")]


def test_torchvision_is_not_loaded_for_networks_without_it(path):
    netfile.save(path, checkpoint_of(LeNet_5))
    asked = "import sys; from pathlib import Path; from specdnn.network import netfile\n"
    asked += f"netfile.load_network(Path({str(path)!r})); print('torchvision' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_module_tells_all_that_its_constructor_was_given():
    """What a class does not keep under the name of the argument would be lost."""
    deprecated = {"Hardtanh": {"min_value", "max_value"}}
    given = {"padding": 1, "kernel_size": 3, "in_channels": 4, "out_channels": 4, "in_features": 4, "out_features": 4}
    given |= {"num_features": 4, "num_channels": 4, "num_groups": 2, "normalized_shape": (4,), "embed_dim": 4}
    given |= {"num_heads": 2, "threshold": 0.1, "value": 2.0, "output_size": 2, "norm_type": 2, "groups": 2, "size": 4}
    given |= {"in1_features": 4, "in2_features": 4, "input_size": 4, "hidden_size": 4}
    given |= {"num_embeddings": 5, "embedding_dim": 4}
    given |= {"upscale_factor": 2, "downscale_factor": 2, "dim": 1, "unflattened_size": (2, 2), "index": [0]}
    for name, kind in whitelist.MODULES.items():
        parameters = modules.parameters(kind)
        known = set(parameters) - {"index"} - deprecated.get(name, set())
        need = {n: given[n] for n in set(parameters) if parameters[n].default is inspect._empty}
        assert set(graphtext.constructed(kind(**need))) == known, name


# ------------------------------------------------------------------------------------------ hostile files


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> dict:
    """The content of a file of everything."""
    return content_of(checkpoint_of(Everything), tmp_path_factory.mktemp("good") / "x.pth.tar")


def with_graph(content: dict, change) -> dict:
    """The same with a changed graph."""
    graph = json.loads(content["graph"])
    change(graph)
    state = content["state_dict"] if graph.get("modules") or not graph else {}
    return {**content, "graph": json.dumps(graph), "state_dict": state}


def both_refuse(content, path) -> str:
    torch.save(content, path)
    with pytest.raises(SpecDNNError) as error:
        netfile.load_network(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return refusal(path)


def node(op, target, *args, **kwargs) -> dict:
    return {"op": op, "target": target, "args": list(args), "kwargs": kwargs}


HUGE = 10**12
IMAGE = {"node": 0}


def before_output(*nodes):
    """A change that puts nodes behind the image, none of which reads another one but the last."""

    def change(graph):
        made = [graph["nodes"][0]]
        for one in nodes:
            made.append(json.loads(json.dumps(one).replace('"last"', str(len(made) - 1))))
        graph["modules"], graph["tensors"], graph["tied"] = {}, {}, {}
        graph["nodes"] = [*made, node("output", None, {"node": len(made) - 1})]

    return change


def module_with(name, **arguments):
    return lambda graph: graph["modules"][name][1].update(arguments)


def swap(name, kind, **arguments):
    return lambda graph: graph["modules"].update({name: [kind, arguments]})


LAST = {"node": "last"}
HOSTILE = {
    "unknown function": before_output(node("call_function", "os.system", "harm")),
    "builtin": before_output(node("call_function", "builtins.eval", "1")),
    "qualified": before_output(node("call_function", "torch.load", "x")),
    "unknown method": before_output(node("call_method", "apply_", IMAGE)),
    "dunder method": before_output(node("call_method", "__reduce__", IMAGE)),
    "numpy": before_output(node("call_method", "numpy", IMAGE)),
    "attribute": before_output(node("call_function", "getattr", IMAGE, "data")),
    "dunder attribute": before_output(node("call_function", "getattr", IMAGE, "__class__")),
    "attribute by default": before_output(node("call_function", "getattr", IMAGE, "x", None)),
    "attribute by keyword": before_output(node("call_function", "getattr", IMAGE, "shape", default=1)),
    "attribute of text": before_output(node("call_function", "getattr", "text", "shape")),
    "method of a size": before_output(node("call_method", "size", IMAGE), node("call_method", "sum", LAST)),
    "method of text": before_output(node("call_method", "split", "text")),
    "unknown op": before_output(node("call_program", "ls", IMAGE)),
    "op of another kind": before_output(node(["x"], "ls", IMAGE)),
    "target of another kind": before_output(node("call_function", ["torch.relu"], IMAGE)),
    "argument that is code": before_output(node("call_function", "torch.relu", IMAGE, **{"x=1);print(1": 1})),
    "argument that is a word of the language": before_output(
        node("call_function", "torch.relu", IMAGE, **{"lambda": 1})
    ),
    "unknown value": before_output(node("call_function", "torch.relu", {"global": "os"})),
    "unknown type of numbers": before_output(node("call_method", "to", IMAGE, {"dtype": "os"})),
    "a node that comes later": before_output(node("call_function", "torch.relu", {"node": 5})),
    "a node before all": before_output(node("call_function", "torch.relu", {"node": -1})),
    "a node in a circle": before_output(node("call_function", "torch.relu", {"node": 1})),
    "a node that is true": before_output(node("call_function", "torch.relu", {"node": False})),
    "two outputs": before_output(node("output", None, IMAGE)),
    "two inputs": before_output(node("placeholder", None)),
    "view": before_output(node("call_method", "view", IMAGE, HUGE)),
    "expand": before_output(node("call_method", "expand", IMAGE, 10**6, 10**3, 28, 28)),
    "expand once more": before_output(node("call_method", "expand", IMAGE, -1, 10**6, 28, 28)),
    "repeat": before_output(node("call_method", "repeat", IMAGE, 10**4, 10**4, 10, 10)),
    "pad": before_output(node("call_function", "functional.pad", IMAGE, [10**6, 10**6, 10**6, 10**6])),
    "interpolate": before_output(node("call_function", "functional.interpolate", IMAGE, [10**6, 10**6])),
    "broadcast": before_output(node("call_function", "torch.broadcast_to", IMAGE, [HUGE, 1, 28, 28])),
    "tensor_split": before_output(node("call_function", "torch.tensor_split", IMAGE, 10**10)),
    "attention": before_output(
        node("call_method", "repeat", IMAGE, 1, 1, 50, 50),
        node("call_method", "reshape", LAST, 1, 1, 1960000, 1),
        node("call_function", "functional.scaled_dot_product_attention", LAST, LAST, LAST),
    ),
    "many times": before_output(*[node("call_function", "torch.cat", [LAST, LAST], 1)] * 40),
    "power": before_output(node("call_function", "operator.pow", 10**10, 10**10)),
    "powers of powers": before_output(
        node("call_method", "size", IMAGE, 2), *[node("call_function", "operator.pow", LAST, 64)] * 9
    ),
    "a tuple a million times": before_output(node("call_function", "operator.mul", {"tuple": [1]}, 10**10)),
    "text a million times": before_output(node("call_function", "operator.mul", "x", 10**10)),
    "a text of spaces": before_output(node("call_function", "operator.mod", "%9999999999d", 3)),
    "tuples": before_output(
        node("call_method", "size", IMAGE), *[node("call_function", "operator.add", LAST, LAST)] * 40
    ),
    "no logits": before_output(node("call_method", "size", IMAGE)),
    "another number of logits": before_output(node("call_function", "torch.flatten", IMAGE, 1)),
    "channels": module_with("conv2", in_channels=HUGE),
    "channels beyond all": module_with("conv2", in_channels=10**30),
    "all channels": module_with("conv2", in_channels=2**40, out_channels=2**40),
    "groups": module_with("conv2", groups=10**9),
    "groups that fit": module_with("conv2", groups=10**9, in_channels=10**9, out_channels=10**9),
    "kernel": module_with("conv2", kernel_size={"tuple": [10**9, 10**9]}),
    "padding": module_with("conv1", padding={"tuple": [10**6, 10**6]}),
    "features": module_with("last", out_features=10**10),
    "heads": module_with("attention", num_heads=10**9),
    "wide attention": module_with("attention", embed_dim=10**10, num_heads=10**9),
    "a device": module_with("conv2", device="cuda"),
    "a type": module_with("conv2", dtype={"dtype": "torch.float64"}),
    "no channels": module_with("conv2", out_channels=0),
    "a shape": module_with("layer_norm", normalized_shape={"tuple": [10**9, 10**9]}),
    "unknown module": swap("conv2", "Embedding", num_embeddings=3, embedding_dim=3),
    "layers": swap("conv2", "GRU", input_size=3, hidden_size=3, num_layers=10**9),
    "layers of a kind": swap("conv2", "LSTM", input_size=3, hidden_size=3, num_layers="many"),
    "wide states": swap("conv2", "RNN", input_size=10**9, hidden_size=10**9),
    "an argument of others": swap("conv2", "GRU", input_size=3, hidden_size=3, proj_size=2),
    "the kind of another": swap("conv2", "RNN", input_size=3, hidden_size=3, mode="LSTM"),
    "module of another kind": swap("conv2", ["Conv2d"]),
    "a lazy module": swap("conv2", "LazyConv2d", out_channels=3, kernel_size=3),
    "no module": lambda graph: graph["modules"].pop("conv2"),
    "surplus module": swap("more", "ReLU"),
    "module with half a description": lambda graph: graph["modules"].update(conv2=["Conv2d"]),
    "names that are code": lambda graph: graph["modules"].update({'x"];print(1);["': ["ReLU", {}]}),
    "names of torch": swap("forward", "ReLU"),
    "names of a dunder": swap("__class__", "ReLU"),
    "names in a module": swap("conv2.inner", "ReLU"),
    "names of the language": swap("lambda", "ReLU"),
    "a long name": swap("x" * 10**5, "ReLU"),
    "tensor of no kind": lambda graph: graph["tensors"].update(scale="module"),
    "surplus tensor": lambda graph: graph["tensors"].update(more="buffer"),
    "tied": lambda graph: graph["tied"].update({"conv1.weight": "conv2.weight"}),
    "tied to itself": lambda graph: graph["tied"].update({"conv1.weight": ["x"]}),
    "no nodes": lambda graph: graph.update(nodes=[]),
    "one node": lambda graph: graph.update(nodes=[node("output", None, 1)], modules={}, tensors={}, tied={}),
    "an output of two": lambda graph: graph["nodes"][-1]["args"].append(IMAGE),
    "truncated": lambda graph: graph.update(nodes=graph["nodes"][:-3]),
    "nodes that are numbers": lambda graph: graph.update(nodes=[1, 2, 3] * 10),
    "no tables": lambda graph: graph.clear(),
    "deep values": lambda graph: graph["nodes"][1].update(args=json.loads("[" * 200 + "]" * 200)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_graph_is_one_sentence(name, good, path, limited):
    told = both_refuse(with_graph(good, HOSTILE[name]), path)
    assert len(told) < 1000 and ("logits" in told) == ("logits" in name), told
    assert "memory" not in told and "alloc" not in told  # it was not even tried


@pytest.fixture
def limited():
    """Not more memory than half a gigabyte beyond what is there."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 29), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


MILLIONS = {"name": "input", "units": 1 << 21, "prunable": True, "channels": []}
BESIDE = {
    "format": [3, None, [2]],
    "graph": ["", 3, None, "[]", "{", "[" * 10**6, "[" * 10**6 + "]" * 10**6, '{"a":' * 10**5, "9" * 10**5],
    "state_dict": [None, 3, {}, []],
    "layers": [None, [], [1, 2], [{"name": "input"}] * 4, [MILLIONS] * 3],
    "kept": [None, [], 3, [[0], [1], [2], [3]], [[0], [-1], [0], [1, 3]], [[HUGE]] * 4, [["x"]] * 4, [[0.5]] * 4],
    "classes": [None, [1], [3, 1], "x"],
    "mask": [None, [], [[0]] * 3],
    "image_shape": [None, [], [1, 28], [1, 0, 28], [1, HUGE, HUGE], [1, 10**6, 10**6], [1, 4000, 4000], [1, "x", 2]],
    "normalisation": [None, "x", [0.3], [0.3, 0.0], [float("nan"), 1.0], [[0.1, 0.2], [0.3, 0.4]], [[], []]],
    "parent_sizes": [None, [1, 2], [1, 2, -3], [1, 2, 10**30], [1.5, 2, 3]],
    "arch": [None, 3, "../../x", "a\nb"],
    "algo": [None, "../../x"],
    "dataset": [None, "../x", "a\nb"],
    "acc": ["high", [0.5], float("nan")],
    "seed": [-1, None, True, "x"],
    "owed_epochs": [-1, None, "7"],
    "notes": [None, "x", [1], ["two\nlines"]],
}


@pytest.mark.parametrize("field", BESIDE)
def test_a_file_that_contradicts_itself_is_refused(field, good, path, limited):
    for value in BESIDE[field]:
        told = both_refuse({**good, field: value}, path)
        assert len(told) < 1000, told
    both_refuse({name: value for name, value in good.items() if name != field}, path)


def layers_with(content: dict, number: int, **values) -> dict:
    layers = copy.deepcopy(content["layers"])
    layers[number].update(values)
    return {**content, "layers": layers}


@pytest.mark.parametrize(
    "values", [{"units": HUGE}, {"units": 0}, {"units": 2.5}, {"name": 3}, {"prunable": 1}, {"channels": [0]}]
    + [{"name": "other"}, {"units": 10**6}, {"channels": [HUGE] * 8}, {"name": "a\nb"}]
)  # fmt: skip
def test_layers_that_contradict_the_network(values, good, path, limited):
    torch.save(layers_with(good, 1, **values), path)
    refusal(path)


def test_layers_of_a_whole_network_that_are_not_its_own(path):
    content = content_of(checkpoint_of(LeNet_300_100, parent_of(LeNet_300_100)), path)
    torch.save(layers_with(content, 1, name="other"), path)
    assert "its layers are not those of its network" in refusal(path)


def test_a_counter_of_another_type(good, path):
    (name,) = (name for name in good["state_dict"] if name.endswith("num_batches_tracked"))
    torch.save({**good, "state_dict": {**good["state_dict"], name: torch.tensor(0, dtype=torch.int32)}}, path)
    assert f"{name} holds torch.int32 numbers instead of torch.int64" in refusal(path)


def test_kept_units_that_contradict_the_network(good, path):
    kept = copy.deepcopy(good["kept"])
    kept[1] = kept[1][:-1]
    mask = [sorted(set(range(one["units"])) - set(u)) for one, u in zip(good["layers"], kept, strict=True)][:-1]
    torch.save({**good, "kept": kept, "mask": mask}, path)
    assert "must stay" in refusal(path) or "contradict" in refusal(path)


STRANGE = {
    "is sparse": lambda w: w.to_sparse(),
    "is quantised": lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8),
    "holds complex numbers": lambda w: w + 1j,
    "holds int8 numbers instead of float32": lambda w: w.to(torch.int8),
    "has no values, only a shape": lambda w: w.to("meta"),
    "and the file holds": lambda w: torch.zeros(1).expand(10**6, 10**6),
    "is not stored as it is used": lambda w: torch.zeros(1).expand(w.shape),
    "is a part of something else": lambda w: torch.zeros(2 * w.numel())[: w.numel()].view(w.shape),
    "is a list, not a tensor": lambda w: w.tolist(),
    "not finite": lambda w: w / 0,
    "instead of 2x16": lambda w: torch.zeros(10, 3),
    "is missing": None,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("told", STRANGE)
def test_tensors_that_are_no_weights(told, good, path, limited):
    state = dict(good["state_dict"])
    weight = state.pop("last.weight")
    if STRANGE[told]:
        state["last.weight"] = STRANGE[told](weight)
    sentence = both_refuse({**good, "state_dict": state}, path)
    assert told in sentence or (told == "is missing" and "missing: last.weight" in sentence), sentence


@pytest.mark.parametrize("index", [[0, 1, HUGE], [0, 1, -1], [0.0, 1.0, 2.0], [[0, 1, 2]], [0, 1], [0, 1, 784], []])
def test_a_select_that_takes_what_is_not_there(index, path, limited):
    content = content_of(checkpoint_of(LeNet_300_100), path)
    (name,) = (name for name in content["state_dict"] if name.endswith("index"))
    content["state_dict"][name] = torch.tensor(index, dtype=None if index else torch.int64)
    both_refuse(content, path)


class Claims:
    """Pickled as a tensor of more numbers than its storage has."""

    def __init__(self, tensor, size):
        self.tensor, self.size = tensor, size

    def __reduce__(self):
        function, arguments = self.tensor.__reduce_ex__(2)
        return function, (*arguments[:2], (self.size,), (1,), *arguments[4:])


def test_a_tensor_larger_than_its_storage(good, path, limited):
    for size in (10**7, 10**10):
        state = {**good["state_dict"], "last.bias": Claims(torch.zeros(2), size)}
        both_refuse({**good, "state_dict": state}, path)


def test_a_packed_archive(good, path, limited):
    torch.save({**good, "more": torch.zeros(10**7)}, path)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(f"{path}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for part in archive.infolist():
            packed.writestr(part.filename, archive.read(part))
    assert "is packed" in refusal(Path(f"{path}.zip"))


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("harm",))


def test_a_pickled_object_is_refused_and_not_run(good, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    assert "never run" in both_refuse({**good, "notes": Evil()}, path)
    path.write_bytes(pickle.dumps(Evil()))
    refusal(path)
    assert os.listdir() == ["x.pth.tar"]


def test_a_newer_format_is_told(good, path):
    assert "it is of format 3, and this program knows format 2" in both_refuse({**good, "format": 3}, path)


def test_weights_without_a_graph_are_no_network_by_themselves(path):
    torch.save({"state_dict": Linear().state_dict()}, path)
    with pytest.raises(SpecDNNError, match="load it with its architecture"):
        netfile.load_network(path)


# ------------------------------------------------------------------------------------------ damaged files

MORE = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refused_or_works(path: Path) -> None:
    for load in (netfile.load_network, lambda path: netfile.load(path, ARCHITECTURES, image=SHAPE).compact.network):
        try:
            found = load(path)
        except SpecDNNError as error:
            assert "\n" not in str(error)
        else:
            assert logits(found).shape[0] == len(images())


@given(data=st.data())
@MORE
def test_a_truncated_or_damaged_file_is_refused_or_still_a_network(data, good, tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / "x.pth.tar"
    torch.save(good, path)
    whole = bytearray(path.read_bytes())
    start = whole.index(b"format")
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        places = st.integers(0, len(whole) - 1) | st.integers(start, start + 6000)
        for place in data.draw(st.lists(places, min_size=1, max_size=20)):
            whole[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    refused_or_works(path)
    shutil.rmtree(path.parent)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 40) | st.sampled_from([HUGE, -1.5, "conv1", "", "call_function"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["node", "tuple", "slice"]), inner),
    max_leaves=5,
)


def places_in(value, here=()):
    """The ways to everything inside of lists and dictionaries."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*here, key)
        yield from places_in(one, (*here, key))


def mutated(value, data):
    """One part of a JSON value replaced, taken out, or put in the place of another one."""
    places = list(places_in(value))
    place = data.draw(st.sampled_from(places))
    holder, other = value, value
    for key in place[:-1]:
        holder = holder[key]
    for key in data.draw(st.sampled_from(places)):
        other = other[key]
    what = data.draw(st.sampled_from(["replace", "move", "delete"]))
    if what == "delete":
        del holder[place[-1]]
    else:
        holder[place[-1]] = data.draw(JSON) if what == "replace" else copy.deepcopy(other)


@given(data=st.data())
@MORE
def test_a_file_of_other_values_is_refused_or_still_a_network(data, good, tmp_path_factory):
    path = tmp_path_factory.mktemp("mutated") / "x.pth.tar"
    content = copy.deepcopy(good)
    graph = json.loads(content.pop("graph"))
    state = content.pop("state_dict")
    for _ in range(data.draw(st.integers(1, 3))):
        mutated(data.draw(st.sampled_from([graph, graph, content])), data)
    torch.save({**content, "graph": json.dumps(graph), "state_dict": state}, path)
    refused_or_works(path)
    shutil.rmtree(path.parent)


LITTLE_MEMORY = """
import resource, sys, torch
from pathlib import Path
from specdnn.network import netfile
from specdnn.structures import SpecDNNError
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 28),) * 2)
for path in sys.argv[1:]:
    for load in (netfile.load_network, lambda path: netfile.load(path, {})):
        try:
            load(Path(path))
        except SpecDNNError as error:
            assert "memory" not in str(error) and "alloc" not in str(error) and "surplus" not in str(error), error
        else:
            raise AssertionError(path)
"""


def test_bombs_are_not_even_tried(good, tmp_path):
    names = ["expand once more", "repeat", "pad", "interpolate", "attention", "many times", "kernel", "wide attention"]
    paths = [tmp_path / f"{name}.pth.tar" for name in names]
    for name, path in zip(names, paths, strict=True):
        torch.save(with_graph(good, HOSTILE[name]), path)
    done = subprocess.run([sys.executable, "-c", LITTLE_MEMORY, *map(str, paths)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------------ files of earlier formats

OLD = Path(__file__).parent / "old_checkpoints"
TOLD = json.loads((OLD / "told.json").read_text())
SMALL = sorted(name for name in TOLD if (OLD / f"{name}.pth.tar").exists())


def assert_as_told(loaded: Checkpoint, told: dict) -> None:
    fields = {"arch": "arch", "dataset": "dataset", "algo": "algo", "seed": "seed", "owed_epochs": "owed_epochs"}
    for field, key in ({"accuracy": "acc"} | fields).items():
        assert key not in told or getattr(loaded, field) == told[key], field
    assert "normalisation" not in told or list(loaded.normalisation) == told["normalisation"]
    assert "kept" not in told or [list(units) for units in loaded.compact.kept.units] == told["kept"]
    torch.testing.assert_close(logits(loaded.compact.network), torch.tensor(told["logits"]), rtol=1e-5, atol=1e-6)


def whole_state(arch: str, told: dict) -> dict:
    torch.manual_seed(told["seed_of_weights"])
    return ARCHITECTURES[arch]().state_dict()


def test_all_kinds_of_old_checkpoints_are_there():
    assert {"pruned", "retrained", "scratch", "linear", "linear_parent", "pruned_to_two_classes"} <= set(SMALL)
    assert sum(path.stat().st_size for path in OLD.iterdir()) < 300_000


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("image", [SHAPE, torch.zeros(SHAPE)])
def test_old_checkpoints_still_load(name, image, path):
    loaded = netfile.load(OLD / f"{name}.pth.tar", ARCHITECTURES, image=image)
    assert_as_told(loaded, TOLD[name])
    parent = parent_of(ARCHITECTURES[TOLD[name]["network"]])
    assert loaded.compact.wiring.parent_sizes == parent.wiring.sizes(parent.kept)
    netfile.save(path, loaded)
    assert_as_told(netfile.load(path, {}), TOLD[name])


@pytest.mark.parametrize("arch", ["LeNet_300_100", "LeNet_5"])
def test_old_checkpoints_of_parents_still_load(arch, path):
    told = TOLD[f"{arch}_parent"]
    kept = [list(range(width)) for width in told["beside"]["widths"]]
    torch.save({**told["beside"], "kept": kept, "state_dict": whole_state(arch, told)}, path)
    loaded = netfile.load(path, ARCHITECTURES, image=SHAPE)
    assert_as_told(loaded, told)
    assert loaded.compact.kept == KeptUnits.everything(loaded.compact.wiring.layers)


@pytest.mark.parametrize("arch", ["LeNet_300_100", "LeNet_5"])
def test_a_published_mask_is_cut(arch, path):
    told = TOLD[f"{arch}_published"]
    torch.save({"acc": 98.12, "state_dict": whole_state(arch, told), "mask": told["mask"]}, path)
    loaded = netfile.load(path, ARCHITECTURES, image=SHAPE)
    assert_as_told(loaded, told)
    assert loaded.accuracy == pytest.approx(0.9812) and loaded.classes == tuple(range(10))


def test_a_control_is_another_network_under_the_name_of_the_parent():
    few = {name: kind for name, kind in ARCHITECTURES.items() if name != "Linear"}
    with pytest.raises(SpecDNNError, match="Linear"):
        netfile.load(OLD / "linear.pth.tar", few, image=SHAPE)


def test_an_architecture_may_be_a_function_or_name_its_images(path):
    class Named(Linear):
        image_shape = SHAPE

    made = {"Linear": lambda: Linear()}
    assert netfile.load(OLD / "linear_parent.pth.tar", made, image=SHAPE).arch == "Linear"
    assert netfile.load(OLD / "linear_parent.pth.tar", {"Linear": Named}).arch == "Linear"
    assert "give an example image" in refusal(OLD / "linear_parent.pth.tar")


@pytest.mark.parametrize(
    "field, value",
    [("arch", "VGG"), ("arch", 3), ("widths", [784, 300, 100, 10]), ("widths", "x"), ("gather", None)]
    + [("gather", [0, 1]), ("kept", [[0], [1], [2], [3]]), ("kept", 3), ("kept", [[5, 100, 784], [0], [5], [3]])]
    + [("normalisation", None), ("normalisation", [0.3, 0.0]), ("state_dict", {}), ("acc", "high")]
    + [("algo", "../../x"), ("algo", None), ("dataset", "a\nb"), ("seed", -1), ("owed_epochs", "7")],
)
def test_an_old_checkpoint_that_contradicts_itself_is_refused(field, value, path):
    content = torch.load(OLD / "pruned.pth.tar", weights_only=True)
    torch.save({**content, field: value}, path)
    refusal(path, image=SHAPE)
