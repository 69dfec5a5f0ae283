"""Sentences for what seldom goes wrong, each where it is said."""

import argparse
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import specdnn
from specdnn import cluster, comparing, exporting, extraction, files, images, measures, options
from specdnn.network import c99_moves, deployed, onnxfile, portable, running, surgery, tracing
from specdnn.network.surgery import CompactNetwork
from specdnn.results import card, records
from specdnn.structures import SpecDNNError

IMAGE = torch.zeros(1, 4, 4)


def refused(said: str):
    return pytest.raises(SpecDNNError, match=said)


def test_the_package_gives_its_own_error_without_loading_torch_for_it():
    assert specdnn.SpecDNNError is SpecDNNError


def test_a_cluster_needs_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with refused("needs Dask: pip install"):
        cluster._client("tcp://10.0.0.1:1")


def test_a_worker_that_cannot_load_specdnn_is_told():
    with refused("worker a cannot run specdnn .no module.*: install specdnn"):
        cluster.compare("worker a", ImportError("no module"))


@pytest.mark.parametrize("shape, width", (((1, 28, 28), 4), ((3, 8, 8), 10)))
def test_a_network_is_compared_with_its_parent_only(shape, width):
    def checkpoint(shape, width):
        layers = types.SimpleNamespace(widths=(1, width))
        wiring = types.SimpleNamespace(image_shape=shape, layers=layers)
        return types.SimpleNamespace(compact=types.SimpleNamespace(wiring=wiring), classes=tuple(range(width)))

    with refused(f"x is not the parent: they have .*{width} classes of images"):
        comparing.check(checkpoint((1, 8, 8), 10), checkpoint(shape, width), "x")


def test_c_that_would_take_very_long_to_compile_is_not_tried(monkeypatch):
    monkeypatch.setattr(exporting, "LONGEST_C", 10)
    with refused("a compiler would take very long for 12 parameters"):
        exporting.in_c(None, nn.Linear(3, 3), (3,))


def test_c_needs_a_compiler_that_takes_it(monkeypatch, tmp_path):
    monkeypatch.setattr(running, "compiler", lambda: None)
    with refused("no C compiler was found"):
        running._compiled(tmp_path)
    monkeypatch.setattr(running, "compiler", lambda: "false")
    with refused("false refuses the C header"):
        running._compiled(tmp_path)


def test_none_of_the_classes_means_all_of_them():
    assert extraction._wanted(None, 10) is None


def test_a_folder_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with refused("cannot write .*: .*; choose another folder"):
        files.write_folder(tmp_path / "file" / "new", {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "given, said",
    (
        (5, "validation must be a pair of tensors .* not int"),
        ([(IMAGE, 0, 0)], "validation must give pairs of an image and its label, not tuple"),
    ),
)
def test_what_is_no_data_is_told(given, said):
    data = TensorDataset(IMAGE[None].repeat(8, 1, 1, 1), torch.arange(8) % 2)
    with refused(said):
        images.dataset_of(data, given, None, 2, None, IMAGE, 1e9)


def test_without_git_the_commit_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert measures.git_commit() == "unknown"


def test_moves_of_nothing_and_of_one_number():
    assert c99_moves.strides(torch.empty(0, dtype=torch.int64)) is None
    [(owner, copy)] = c99_moves.copies(torch.tensor(7), torch.tensor(3))
    assert (owner, copy.of) == (3, 7)


def test_padding_by_a_word():
    assert (deployed._numbers("same"), deployed._numbers("valid")) == ((True,), (False,))


def test_what_the_exporter_does_not_know_is_told(monkeypatch):
    def fails(*args):
        raise RuntimeError("no such operation\nand a page of more")

    monkeypatch.setattr(onnxfile, "_exported", fails)
    with refused("no ONNX file can be made of this network: no such operation$"):
        onnxfile.to_bytes(nn.Linear(3, 3), (3,))


def test_a_config_of_any_size_is_not_read(monkeypatch, tmp_path):
    (tmp_path / portable.CONFIG).write_text("{}")
    monkeypatch.setattr(portable, "LONGEST", 1)
    with refused("is larger than any network's"):
        portable.read(tmp_path)


def test_exported_tensors_need_safetensors(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with refused("needs safetensors: pip install"):
        portable._tensors(tmp_path / "x")


def test_first_weights_reach_all_modules_and_no_tensor():
    torch.manual_seed(0)
    block, scale = nn.Sequential(nn.Linear(3, 3)), nn.Parameter(torch.rand(3))
    again = surgery.first(block, None, None, {})
    assert not torch.equal(again[0].weight, block[0].weight)
    assert torch.equal(surgery.first(scale, None, None, {}), scale)


def test_a_network_that_cannot_be_copied_is_told():
    class Single(nn.Linear):
        def __deepcopy__(self, memo):
            raise TypeError("there is only one of me")

    with refused("Single cannot be copied: there is only one of me"):
        tracing.copied(Single(3, 3))


def test_tables_that_change_their_vectors_stay():
    class Renormed(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.fc = nn.Embedding(9, 4, max_norm=1.0), nn.Linear(4, 3)

        def forward(self, words):
            return self.fc(self.words(words).mean(1))

    pins = CompactNetwork.parent(Renormed(), torch.arange(6)).wiring.pins
    assert any("Embedding words: it changes its vectors" in pin.operation for pin in pins)


def test_an_empty_path_means_nothing():
    with pytest.raises(argparse.ArgumentTypeError, match="must name a file or folder, got nothing"):
        options.path("")


def test_normalisation_per_channel_is_told_in_torch():
    facts = {"normalisation": ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2)), "probabilities": "sigmoid"}
    lines = card.in_torch(facts)
    told = {"torch": torch, "images": torch.rand(2, 3, 4, 4), "network": torch.nn.Identity()}
    told["network"].normalisation = facts["normalisation"]
    exec("\n".join(lines), told)
    mean, deviation = (np.array(one)[:, None, None] for one in facts["normalisation"])
    expected = torch.sigmoid((told["images"] - torch.tensor(mean)) / torch.tensor(deviation)).float()
    torch.testing.assert_close(told["probabilities"], expected)


def test_records_that_cannot_be_read_are_told(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="it cannot be read"):
        records._read(tmp_path, "digits")  # a folder
    own = tmp_path / "x.pth.tar"
    own.touch()

    def fails(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "file_hash", fails)
    told = records._outdated(tmp_path / "x.json", {"verb": "prune"})
    assert told == "its checkpoint x.pth.tar cannot be read (Permission denied)"


def test_measures_are_numbers_or_lists_of_them():
    assert records._measures({"accuracy": 0.5, "f1": [0.1, 0.2]})
    assert not records._measures({"accuracy": "high"}) and not records._measures(0.5)
