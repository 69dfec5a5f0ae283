"""What is handed out: every file does what the network does, and all of them are there or none."""

import dataclasses
import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from drawn_networks import Drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import specdnn
from specdnn import exporting, files
from specdnn.network import evaluation, onnxfile, portable, running
from specdnn.network.deployed import Normalise, deployed, reference
from specdnn.network.netfile import Checkpoint, load, save
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.results import card
from specdnn.structures import KeptUnits, SpecDNNError

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install 'specdnn[export]'")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'specdnn[export]'")
pytest.importorskip("safetensors", reason="needs safetensors: pip install 'specdnn[export]'")
needs_a_compiler = pytest.mark.skipif(running.compiler() is None, reason="needs a C compiler")

FILES = {"README.md", "config.json", "model.h", "model.onnx", "model.safetensors"}
SMALL = {"input": 100, "ip1": 6, "ip2": 5}  # 635 weights with the output


@pytest.fixture(scope="module", autouse=True)
def measured_in_a_moment():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "TURN_SECONDS", 0.002)
        yield


def cut_to(parent, widths, classes=(3,)):
    generator = np.random.default_rng(0)
    drawn = [
        generator.choice(layer.units, widths.get(layer.name, layer.units), False)
        for layer in parent.wiring.layers.layers[:-1]
    ]
    kept = (*(tuple(sorted(units.tolist())) for units in drawn), classes)
    return cut(parent, KeptUnits(kept))


@pytest.fixture(scope="module")
def saved(parents, folder):
    """The LeNet-300-100 of the tests, as a checkpoint, and a class of it at 635 weights."""
    parent = load(parents["LeNet_300_100"], folder.architectures, image=folder.dataset.IMAGE_SHAPE)
    compact = cut_to(parent.compact, SMALL)
    return parent, Checkpoint("LeNet_300_100", "digits", compact, parent.normalisation, 0.9, "random")


@pytest.fixture(scope="module")
def raw(digits):
    """Real images, intensities in 0..1."""
    return exporting.raw_images(digits.test.images, digits.normalisation)


@pytest.fixture(scope="module")
def exported(call, pruned, tmp_path_factory):
    """Folder of a class of LeNet-5, exported by the command line."""
    place = tmp_path_factory.mktemp("exported") / "three"
    assert call("--export", place, "--pretrained", pruned["LeNet_5"], "--dataset digits") == 0
    return place


def in_onnxruntime(path, images):
    return running.in_onnxruntime(path.read_bytes())(images)


# ------------------------------------------------------------------------------------------ the files


@needs_a_compiler
def test_a_folder_holds_every_form_of_the_network(exported):
    assert {path.name for path in exported.iterdir()} == FILES
    assert list(exported.parent.iterdir()) == [exported]


def test_onnx_takes_intensities_in_batches_of_any_size(exported, pruned, loaded, raw):
    model = onnx.load(exported / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [one.version for one in model.opset_import if one.domain == ""][0] >= 18
    assert not [one for one in model.graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL]
    ours = loaded(pruned["LeNet_5"])
    expected = running.in_torch(reference(ours.compact.network, ours.normalisation))(raw)
    for count in (1, 2, 7, 256):
        found = in_onnxruntime(exported / "model.onnx", raw[:count])
        assert found.shape == (count, 1) and np.abs(found - expected[:count]).max() <= 1e-5
    assert 0 <= expected.min() < expected.max() <= 1


def test_safetensors_and_json_are_the_network_to_the_last_bit(exported, pruned, loaded, digits):
    network, ours = specdnn.load(exported), loaded(pruned["LeNet_5"])
    images = digits.test.images[:50]
    with torch.no_grad():
        assert torch.equal(network(images), ours.compact.network.eval()(images))
    assert network.classes == (3,) and network.normalisation == digits.normalisation
    config = json.loads((exported / "config.json").read_text())
    assert config["threshold"] == [0.5] and config["class_names"] == list(digits.class_names)
    assert config["provenance"]["checkpoint_sha256"] == files.file_hash(pruned["LeNet_5"])


def test_an_exported_folder_is_a_checkpoint(main, exported, pruned):
    told = [main("--evaluate --dataset digits --pretrained", path) for path in (exported, pruned["LeNet_5"])]
    assert [one.code for one in told] == [0, 0]
    ours, theirs = (json.loads(one.out.rpartition("}")[0] + "}") for one in told)
    varying = ("latency_ms", "seconds", "input_hash")
    assert {k: v for k, v in ours.items() if k not in varying} == {k: v for k, v in theirs.items() if k not in varying}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", b"{", "no JSON with a graph"),
        ("config.json", b'{"graph": 3}', "cannot be loaded"),
        ("model.safetensors", b"nothing", "cannot be read"),
        ("model.safetensors", None, "cannot read"),
    ],
)
def test_a_damaged_folder_is_told_in_a_sentence(exported, tmp_path, name, content, words):
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecDNNError, match=words):
        specdnn.load(tmp_path)


def test_the_same_network_gives_the_same_files(saved, raw):
    first, second = (exporting.exported(saved[1], {}).contents for _ in range(2))
    assert first == second and set(first) >= {"model.onnx", "model.safetensors", "config.json"}


@needs_a_compiler
def test_a_class_of_650_weights_is_a_small_file(saved):
    made = exporting.exported(saved[1], {})
    assert saved[1].compact.wiring.weights(saved[1].compact.kept) == 635
    assert made.sizes["model.onnx"] <= 10_000
    assert made.sizes["C object"] <= 6_000


# ------------------------------------------------------------------------------------------ the card


def test_the_card_is_filled_from_measurements(exported, pruned):
    text = (exported / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    told = {key: json.loads(value) for key, value in (line.split(": ", 1) for line in head.splitlines())}
    measured = files.read_metrics(files.metrics_path(pruned["LeNet_5"]))
    (results,) = told["model-index"][0]["results"]
    found = {one["type"]: one["value"] for one in results["metrics"]}
    assert found == {name: measured[name] for name in card.ON_A_HUB} and told["datasets"] == ["digits"]
    assert f"| 3 | {100 * measured['accuracy']:.2f} |" in body and f"{measured['true_parameters']:,} parameters" in body
    assert not re.search(r": null|\bnan\b|: None", text) and "[More" not in text
    for word in ("Limits", "model.onnx, bytes", "onnxruntime, ms for 256 images", "model.h, bytes", "C, ms for image"):
        assert word in body


def test_the_python_of_the_card_runs(exported, raw, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (exported / "README.md").read_text(), re.S)
    monkeypatch.chdir(exported)
    first, second = {"images": raw}, {"images": torch.from_numpy(raw)}
    exec(blocks[0], first)
    exec(blocks[1], second)
    assert np.abs(first["probabilities"] - second["probabilities"].detach().numpy()).max() <= 1e-5


@needs_a_compiler
def test_the_c_of_the_card_runs(exported, raw, tmp_path):
    block = re.search(r"```c\n(.*?)```", (exported / "README.md").read_text(), re.S)[1]
    include, declared, call = (line for line in block.splitlines() if line)
    read = 'for (int i = 0; i < 784; i++) if (scanf("%f", image + i) != 1) return 1;'
    body = f'{declared}\nint main(void) {{ {read} {call} printf("%.7f", probabilities[0]); return 0; }}'
    (tmp_path / "use.c").write_text(f"#include <stdio.h>\n{include}\n{body}\n")
    line = [running.compiler(), "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{exported}", "use.c", "-o", "use", "-lm"]
    subprocess.run(line, cwd=tmp_path, check=True)
    pixels = " ".join(map(repr, raw[0].flatten().tolist()))
    told = subprocess.run([tmp_path / "use"], input=pixels, capture_output=True, text=True, check=True).stdout
    assert abs(float(told) - in_onnxruntime(exported / "model.onnx", raw[:1])[0, 0]) <= 1e-5


def test_several_classes_have_a_line_and_a_threshold_each(saved, raw, digits, tmp_path):
    parent, _ = saved
    several = Checkpoint("A net", "digits", cut_to(parent.compact, SMALL, (0, 3, 7)), parent.normalisation, 0.9)
    logits = several.compact.network(digits.test.images)
    measured = evaluation.all_metrics(logits, digits.test.labels, (0, 3, 7), 10)
    measured |= {"classes": [0, 3, 7], "split": "test", "dataset": "digits", "arch": "A net", "algo": "", "seed": 1}
    measured |= {"true_parameters": 1, "true_rate": 0.1}
    names = ["zero", "1", "2", '"3"\n# x', *"456789"]
    told = {"class_names": names, "provenance": {}}
    exporting.export(tmp_path / "new", several, several, raw, measured, told)
    text = (tmp_path / "new" / "README.md").read_text()
    assert "| 0 (zero) |" in text and "0.5, 0.5, 0.5" in text and "# a_net_0_3_7" in text
    assert in_onnxruntime(tmp_path / "new" / "model.onnx", raw).shape == (len(raw), 3)
    head = text.split("---\n", 2)[1]
    assert all(json.loads(line.split(": ", 1)[1]) for line in head.splitlines())
    assert "\n# x" not in text


# ------------------------------------------------------------------------------------------ raw intensities in


@st.composite
def drawn(draw):
    return Drawn(lambda options: draw(st.sampled_from(list(options))), maps=3, rows=1).float()


@settings(max_examples=25)
@given(drawn(), st.booleans())
def test_deployed_is_the_network_after_normalisation(network, per_channel):
    torch.manual_seed(0)
    compact = CompactNetwork.parent(network, torch.zeros(2, 4, 4))
    normalisation = ((0.4, 0.5), (0.3, 0.2)) if per_channel else (0.4, 0.3)
    images = torch.rand(5, 2, 4, 4)
    with torch.no_grad():
        found = deployed(compact.network, normalisation)(images)
        expected = reference(compact.network, normalisation)(images)
    assert torch.allclose(found, expected, atol=1e-5)


class Padded(nn.Module):
    def __init__(self, padding):
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding=padding, bias=False)
        self.last = nn.Linear(3 * (2 + 2 * padding) ** 2, 2)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)).flatten(1))


@pytest.mark.parametrize(("padding", "folded"), [(0, True), (1, False)])
def test_normalisation_goes_into_weights_only_where_nothing_is_padded(padding, folded):
    torch.manual_seed(0)
    compact = CompactNetwork.parent(Padded(padding), torch.zeros(1, 4, 4))
    before = {name: tensor.clone() for name, tensor in compact.network.state_dict().items()}
    made = deployed(compact.network, (0.5, 0.1))
    assert folded != any(isinstance(module, Normalise) for module in made.modules())
    images = torch.rand(4, 1, 4, 4)
    assert torch.allclose(made(images), reference(compact.network, (0.5, 0.1))(images), atol=1e-6)
    after = compact.network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_normalising_can_be_undone():
    images = torch.rand(3, 2, 4, 4)
    for given_as in ((0.3, 0.2), ((0.3, 0.4), (0.2, 0.1))):
        both = Normalise(*given_as)
        assert torch.allclose(both.undone(both(images)), images, atol=1e-6)


def test_columns_are_gathered_by_a_product_where_that_is_faster(saved, raw):
    _, small = saved
    network = deployed(small.compact.network, small.normalisation)
    model = onnx.load_from_string(onnxfile.to_bytes(network, (1, 28, 28)))
    kinds = [node.op_type for node in model.graph.node]
    assert "ScatterND" in kinds and "Gather" not in kinds
    found = running.in_onnxruntime(model.SerializeToString())(raw)
    assert np.abs(found - running.in_torch(network)(raw)).max() <= 1e-6


def test_few_columns_of_a_wide_matrix_are_gathered_one_by_one(saved, raw):
    parent, _ = saved
    network = deployed(cut_to(parent.compact, {"input": 20, "ip1": 40, "ip2": 5}).network, parent.normalisation)
    model = onnx.load_from_string(onnxfile.to_bytes(network, (1, 28, 28)))
    assert "Gather" in [node.op_type for node in model.graph.node]
    found = running.in_onnxruntime(model.SerializeToString())(raw)
    assert np.abs(found - running.in_torch(network)(raw)).max() <= 1e-6


# ------------------------------------------------------------------------------------------ classes that exclude others


def test_cross_entropy_over_all_classes_gives_probabilities_that_sum_to_one(main, tmp_path, raw):
    words = "--dataset digits --epochs 1 --loss ce --save-dir"
    assert main(words, tmp_path / "ce").code == 0
    path = tmp_path / "ce" / "digits" / "LeNet_300_100.best_origin.pth.tar"
    assert main("--export", tmp_path / "new", "--dataset digits --pretrained", path).code == 0
    found = in_onnxruntime(tmp_path / "new" / "model.onnx", raw)
    assert np.allclose(found.sum(1), 1, atol=1e-5)
    assert json.loads((tmp_path / "new" / "config.json").read_text())["probabilities"] == "softmax"


def test_softmax_is_remembered_by_the_file(saved, loaded, tmp_path):
    parent, _ = saved
    save(tmp_path / "a.pth.tar", dataclasses.replace(parent, softmax=True))
    save(tmp_path / "b.pth.tar", parent)
    assert [loaded(tmp_path / name).softmax for name in ("a.pth.tar", "b.pth.tar")] == [True, False]


# ------------------------------------------------------------------------------------------ all or nothing


@pytest.fixture
def attempt(saved, raw, tmp_path, digits):
    """Export into a folder that is not there."""
    _, small = saved
    measured = dict.fromkeys((*card.SHARES, *card.COUNTS), 0) | {"classes": [3], "split": "test", "dataset": "digits"}
    measured |= {"arch": "LeNet_300_100", "algo": "random", "seed": 1, "true_parameters": 1, "true_rate": 0.1}
    told = {"class_names": digits.class_names, "provenance": {}}
    return lambda folder: exporting.export(folder, small, small, raw, measured, told)


def test_a_form_that_differs_leaves_nothing(attempt, tmp_path, monkeypatch):
    right = running.in_onnxruntime
    monkeypatch.setattr(running, "in_onnxruntime", lambda content: lambda images: right(content)(images) + 2e-5)
    with pytest.raises(SpecDNNError, match="onnxruntime differs from torch's by 2e-05 .* nothing is written"):
        attempt(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_number_differs(attempt, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "in_onnxruntime", lambda content: lambda images: np.full((len(images), 1), np.nan))
    with pytest.raises(SpecDNNError, match="nothing is written"):
        attempt(tmp_path / "new")


@pytest.mark.parametrize("name", exporting.NEEDED)
def test_a_missing_package_is_told(attempt, tmp_path, monkeypatch, name):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda one: None if one == name else there(one))
    with pytest.raises(SpecDNNError, match=rf"exporting needs {name}: pip install 'specdnn\[export\]'"):
        attempt(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_there_is_no_header_and_the_card_says_why(attempt, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "compiler", lambda: None)
    attempt(tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == FILES - {"model.h"}
    assert "There is no C header: no C compiler was found" in (tmp_path / "new" / "README.md").read_text()


def test_what_is_there_is_never_written_over(main, pruned, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name, words in (("full", "holds files already"), ("file", "is a file already")):
        told = main("--export", tmp_path / name, "--dataset digits --pretrained", pruned["LeNet_5"])
        assert told.code == 2 and words in told.err and "Traceback" not in told.err
    assert (tmp_path / "full" / "mine").read_text() == (tmp_path / "file").read_text() == "mine"


def test_an_export_needs_a_checkpoint(main, tmp_path):
    told = main("--export", tmp_path / "new")
    assert told.code == 2 and "--export needs a checkpoint: give --pretrained FILE" in told.err


# ------------------------------------------------------------------------------------------ from Python


@pytest.fixture(scope="module")
def specialised(folder, parents, digits, every_third):
    parent = load(parents["LeNet_300_100"], folder.architectures, image=folder.dataset.IMAGE_SHAPE)
    own = {"warmup_epochs": 0, "brief_epochs": 0, "retrain_epochs": 1, "rounds": 1, "threads": 1, "rate": 0.02}
    data = (digits.train.images, digits.train.labels)
    return specdnn.extract(parent.compact.network, data, 3, oslom_bin=str(every_third), **own)


def test_what_extract_gives_is_exported(specialised, digits, tmp_path):
    table = specialised.export(tmp_path / "as given")
    assert "| parameters |" in table and "its parent" in table
    images = digits.test.images.numpy()
    found = in_onnxruntime(tmp_path / "as given" / "model.onnx", images)
    with torch.no_grad():
        expected = specialised.network(digits.test.images).sigmoid().numpy()
    assert np.abs(found - expected).max() <= 1e-5
    assert "numbers as its parent took them" in (tmp_path / "as given" / "README.md").read_text()


def test_a_normalisation_that_is_told_goes_into_the_exported_networks(specialised, digits, raw, tmp_path):
    specialised.export(tmp_path / "raw", normalisation=digits.normalisation)
    found = in_onnxruntime(tmp_path / "raw" / "model.onnx", raw)
    with torch.no_grad():
        expected = specialised.network(digits.test.images).sigmoid().numpy()
    assert np.abs(found - expected).max() <= 1e-5
    assert specdnn.load(tmp_path / "raw").normalisation == digits.normalisation


# ------------------------------------------------------------------------------------------ multiples


def test_layers_are_cut_to_multiples(call, parents, every_third, loaded, tmp_path):
    words = ("--pretrained", parents["LeNet_5"], "--save-dir", tmp_path, "--oslom-bin", every_third)
    short = "--prune --specialize 3 --warmup-epochs 0 --rounds 1 --brief-epochs 0 --rate 0.1 --round-to 4"
    assert call(short, *words) == 0
    path = tmp_path / "digits" / "LeNet_5.specialize.3.OSLOM.pth.tar"
    compact = loaded(path).compact
    modules = {name: module for name, module in compact.network.named_modules() if hasattr(module, "weight")}
    widths = {name: len(module.weight) for name, module in modules.items()}
    assert all(width % 4 == 0 or width < 4 for name, width in widths.items() if name != "ip2")
    assert files.read_metrics(files.metrics_path(path))["steps"][-1]["stage"] == "multiples"


NEEDED_BY_FEW = {"onnx", "onnxruntime", "safetensors", "torch._dynamo", "torch._inductor"}


def test_what_takes_long_to_load_is_loaded_when_it_is_needed():
    """Also where torch is told to compute the same bits every time."""
    asked = f"""if True:
        import sys
        from types import SimpleNamespace
        from specdnn import extraction, verbs
        verbs.set_torch(SimpleNamespace(threads=1))
        assert sys.modules["torch"].get_deterministic_debug_mode() == 1
        print({NEEDED_BY_FEW} & set(sys.modules))
    """
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_names_in_c():
    names = {"LeNet_5": "lenet_5", "ResNet 20!": "resnet_20", "3net": "network_3net", "é": "network"}
    for arch, name in names.items():
        assert exporting.c_word(arch) == name


def test_the_two_files_tell_all_but_the_published_mask(saved):
    from specdnn.network import netfile

    content = netfile._content(saved[1])
    assert "mask" in content
    config = json.loads(portable.written(content, {})["config.json"])
    assert set(config) == set(content) - {"mask", "state_dict"}
