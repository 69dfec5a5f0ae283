"""The rival of benchmarks/group_norm.py: torch-pruning leaves our cut with the same units, within the budget."""

import importlib.util
import json

import group_norm
import pytest
import torch

from specdnn import files, options, rivals
from specdnn.network.surgery import CompactNetwork
from specdnn.trimming import Reference

needs_it = pytest.mark.skipif(importlib.util.find_spec("torch_pruning") is None, reason="needs torch-pruning")


@pytest.fixture
def as_an_algorithm(monkeypatch):
    monkeypatch.setitem(rivals.CONTROLS, group_norm.NAME, group_norm.group_norm)
    monkeypatch.setitem(options.ALGORITHMS, group_norm.NAME, group_norm.WORDS)


def resnet_20(cifar_folder):
    image = torch.randn(3, 32, 32)
    return CompactNetwork.parent(cifar_folder.architectures["ResNet_20"](), image), torch.randn(8, 3, 32, 32)


@needs_it
def test_what_it_misunderstands_stays_whole(cifar_folder):
    """Padded shortcuts: only what lies inside the blocks is cut, and the cut is right (kept_by raises otherwise)."""
    parent, images = resnet_20(cifar_folder)
    names = group_norm.understood(parent, images)
    assert names == [f"layer{stage}.{block}.conv1" for stage in (1, 2, 3) for block in (0, 1, 2)]
    kept = group_norm.kept_by(parent, images, names, 0.75)
    layers = dict(zip(parent.wiring.layers.names, kept.widths, strict=True))
    assert {layers[name] for name in names} == {4, 8, 16} and layers["conv1"] == 16


@needs_it
def test_a_cut_that_is_another_network_is_noticed(cifar_folder):
    parent, images = resnet_20(cifar_folder)
    links = [link.name for link in parent.wiring.links][:-1]
    with pytest.raises(RuntimeError, match="not the one with the same units"):
        group_norm.kept_by(parent, images, links, 0.5)


@needs_it
def test_it_follows_the_size_of_oslom(call, parents, every_third, tmp_path, as_an_algorithm):
    words = ("--prune --specialize 3 --warmup-epochs 0 --brief-epochs 0 --rounds 1 --rate 0.05",)
    words += ("--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path, "--oslom-bin", every_third)
    assert call(*words) == 0 and call(*words, "--algo", group_norm.NAME) == 0
    paths = [tmp_path / "digits" / f"LeNet_300_100.specialize.3.{algo}.json" for algo in ("OSLOM", group_norm.NAME)]
    oslom, own = (json.loads(path.read_text()) for path in paths)
    assert 0.8 * oslom["true_weights"] < own["true_weights"] <= oslom["true_weights"]
    assert own["schedule"] == "OSLOM" and own["kept"] != oslom["kept"] and len(own["kept"]["input"]) == 784
    assert Reference.of(json.loads(files.read_text(paths[0]))).kept.widths[0] < 784


def test_a_folder_that_is_none_is_told(capsys, tmp_path):
    assert group_norm.main([str(tmp_path)]) == group_norm.main([]) == 2
    assert capsys.readouterr().err.count("name a dataset folder") == 2
