"""A second dataset folder costs one folder: its data and its networks, plain modules, and nothing in `specdnn`."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import six_units
import torch
from torch import nn

from specdnn import cli
from specdnn.network.surgery import CompactNetwork
from specdnn.structures import Dataset, Split

CLASSES = ("left", "right")


def load(name, data_dir, device):
    """Images of two pixels: the brighter one is the class."""
    raw = torch.rand(600, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    labels = (raw[:, 0, 0, 1] > raw[:, 0, 0, 0]).long()
    images = (raw - 0.5) / 0.5
    parts = [Split(images[a:b], labels[a:b]) for a, b in ((0, 400), (400, 500), (500, 600))]
    return Dataset(name, CLASSES, (0.5, 0.5), *parts)


class Plain(nn.Module):
    """A network whose file has no rule of counting weights."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 6), nn.ReLU())
        self.out = nn.Linear(6, 2)

    def forward(self, images):
        return self.out(self.layers(images))


class Residual(nn.Module):
    """A stream of eight channels that a block of two convolutions adds to, with BatchNorm throughout."""

    def __init__(self):
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.down, self.down_norm = nn.Conv2d(8, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.up, self.up_norm = nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.out = nn.Linear(8, 2)

    def forward(self, images):
        stream = torch.relu(self.stem_norm(self.stem(images)))
        block = self.up_norm(self.up(torch.relu(self.down_norm(self.down(stream)))))
        return self.out(torch.relu(stream + block).mean((2, 3)))


NETWORKS = {"SixUnits": six_units.SixUnits, "Plain": Plain, "Residual": Residual}
DATA = SimpleNamespace(NORMALISATION={"pairs": (0.5, 0.5)}, CLASS_NAMES={"pairs": CLASSES}, DEFAULT="pairs", load=load)

EVERYTHING = """
import os
nodes = sorted({int(word) for line in open("graph") for word in line.split()[:2]})
os.mkdir("graph_oslo_files")
with open("graph_oslo_files/tp", "w") as tp:
    tp.write(f"#module 0 size: {len(nodes)} bs: 0.01\\n{' '.join(map(str, nodes))} \\n")
"""


@pytest.fixture
def main(capsys, tmp_path, fake_program):
    program = fake_program(EVERYTHING)

    def run(*words):
        words = ["--threads", "1", "--save-dir", str(tmp_path), "--oslom-bin", str(program), *map(str, words)]
        code = cli.main(tmp_path / "Pairs", NETWORKS, DATA, words)
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


@pytest.fixture
def told(tmp_path):
    """The metrics file of a name."""
    return lambda name: json.loads((tmp_path / f"{name}.json").read_text())


def test_the_whole_way_with_another_network_and_other_data(main, told, tmp_path):
    done = main("--sweep", "--epochs", 30, "--lr", 0.05, "--retrain-epochs", 5, "--max-params", 5)
    assert done.code == 0, done.err
    for name in ("SixUnits.best_origin", "SixUnits.specialize.0.OSLOM", "SixUnits.specialize.1.best_retrained"):
        assert (tmp_path / f"{name}.pth.tar").is_file()
    found = told("SixUnits.specialize.1.best_retrained")
    assert (
        found["dataset"] == "pairs"
        and found["true_parameters"] <= 5
        and list(found["kept"]) == ["input", "hidden", "out"]
    )
    assert told("SixUnits.best_origin")["accuracy"] > 0.9
    report = (tmp_path / "SixUnits.md").read_text()
    assert "\n| 0 |" in report and "\n| 1 |" in report and "### Beside the published table" not in report
    assert (tmp_path / "classes.SixUnits.png").is_file() and (tmp_path / "pareto.SixUnits.png").is_file()


ALGOS = ("OSLOM", "OSLOM-null", "graph-null", "random", "magnitude", "taylor", "scratch")


@pytest.mark.parametrize("arch, budget", [("Plain", 60), ("Residual", 300)])
def test_every_algorithm_on_a_plain_network(arch, budget, main, told, tmp_path):
    """Neither network has a word of pruning, nor a rule of counting: the rate is that of all weights."""
    words = ("--epochs", 20, "--lr", 0.02, "--warmup-epochs", 2, "--brief-epochs", 2, "--retrain-epochs", 5)
    done = main("--sweep", "--arch", arch, "--algos", *ALGOS, "--max-params", budget, *words)
    assert done.code == 0, done.err
    whole = told(f"{arch}.best_origin")
    assert whole["accuracy"] > 0.85 and whole["pins"] == {} and whole["true_rate"] == whole["paper_rule_rate"] == 1
    for wanted in (0, 1):
        for algo in ALGOS:
            cut = told(f"{arch}.specialize.{wanted}.{algo}")
            again = told(f"{arch}.specialize.{wanted}{'' if algo == 'OSLOM' else f'.{algo}'}.best_retrained")
            assert cut["kept"] == again["kept"] and cut["true_parameters"] <= budget
            assert cut["paper_rule_weights"] == cut["true_weights"]
            assert cut["paper_rule_rate"] == pytest.approx(cut["true_weights"] / whole["true_weights"])
            assert again["validation_score"] >= cut["validation_score"]
    retrained = told(f"{arch}.specialize.0.best_retrained")
    assert retrained["balanced_accuracy"] > 0.75
    evaluated = main("--evaluate", "--pretrained", tmp_path / f"{arch}.specialize.0.best_retrained.pth.tar")
    assert evaluated.code == 0 and f'"balanced_accuracy": {retrained["balanced_accuracy"]}' in evaluated.out
    report = (tmp_path / f"{arch}.md").read_text()
    assert "\n| magnitude |" in report and (tmp_path / f"pareto.{arch}.png").is_file()


def test_the_layers_of_a_residual_network(main, told):
    """The stream is one layer whoever adds to it; the image cannot be pruned."""
    layers = CompactNetwork.parent(Residual(), torch.zeros(1, 1, 2)).wiring.layers
    assert layers.names == ("input", "stem", "down", "out") and layers.widths == (1, 8, 6, 2)
    assert layers.prunable == (1, 2)
    assert main("--arch", "Residual", "--epochs", 0).code == 0
    assert {name: len(units) for name, units in told("Residual.best_origin")["kept"].items()} == dict(
        zip(layers.names, layers.widths, strict=True)
    )


def test_the_edge_file_of_a_residual_network_has_every_pair_once(main, tmp_path):
    """Two convolutions connect the stream and the block: their lines are one, and no line is a loop."""
    main("--arch", "Residual", "--epochs", 3)
    words = ("--specialize", 1, "--keep", 1, "--warmup-epochs", 0, "--rounds", 1, "--brief-epochs", 0)
    done = main("--prune", "--pretrained", tmp_path / "Residual.best_origin.pth.tar", *words)
    assert done.code == 0, done.err
    lines = (tmp_path / "Residual.specialize.1.OSLOM.rounds" / "1.edges").read_text().splitlines()
    pairs = np.array([[int(word) for word in line.split()[:2]] for line in lines])
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert len({frozenset(pair) for pair in pairs.tolist()}) == len(pairs)
    # nodes: the image 0, the stream 1 to 8, the block 9 to 14, the outputs 15 and 16
    kinds = {tuple(sorted(np.searchsorted([1, 9, 15], pair, side="right").tolist())) for pair in pairs}
    assert kinds == {(1, 2), (1, 3)} and 0 not in pairs and 15 not in pairs


def test_the_contact_sheet_of_a_residual_network(main, told, tmp_path):
    """A block that leads back to the stream has its strengths between the same two layers; nothing is left out."""
    words = ("--epochs", 3, "--retrain-epochs", 1, "--rounds", 1, "--brief-epochs", 1, "--max-params", 300)
    done = main("--sweep", "--arch", "Residual", *words)
    assert done.code == 0, done.err
    assert "is left out" not in done.out + done.err, done.out + done.err
    assert (tmp_path / "classes.Residual.png").is_file()


def test_there_is_no_linear_control_without_a_linear_network(main, tmp_path):
    main("--arch", "Residual", "--epochs", 0)
    done = main(
        "--prune", "--algo", "linear", "--specialize", 0, "--pretrained", tmp_path / "Residual.best_origin.pth.tar"
    )
    assert done.code == 2 and "without a hidden layer" in done.err and done.err.count("\n") == 1


def test_its_mistakes_are_told_in_its_own_words(main):
    done = main("--sweep", "--specialize", 2)
    assert done.code == 2 and "classes are 0 to 1" in done.err


class Undecided(nn.Module):
    """What it does depends on the values of its tensors."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(2, 2)

    def forward(self, images):
        return self.out(images.flatten(1) if images.sum() > 0 else -images.flatten(1))


def test_a_network_that_cannot_be_traced_is_one_sentence(capsys, tmp_path):
    words = ["--epochs", "1", "--save-dir", str(tmp_path)]
    assert cli.main(tmp_path / "Pairs", {"Undecided": Undecided}, DATA, words) == 2
    said = capsys.readouterr().err
    assert "Undecided cannot be traced" in said and "test_another_folder.py" in said and said.count("\n") == 1


def test_each_class_may_have_its_published_rate(main, told, tmp_path):
    folder = tmp_path / "Pairs"
    folder.mkdir()
    lines = ("pairs,SixUnits,0,0.9,0.5", "pairs,SixUnits,1,0.6,0.5", "other,SixUnits,0,0.1,0.5")
    (folder / "published.csv").write_text("\n".join(("dataset,arch,class,paper_rule_rate,accuracy", *lines)))
    done = main("--sweep", "--rate", "published", "--epochs", 2, "--retrain-epochs", 1, "--rounds", 1)
    assert done.code == 0, done.err
    for wanted, rate in ((0, 0.9), (1, 0.6)):
        found = told(f"SixUnits.specialize.{wanted}.OSLOM")
        assert found["options"]["rate"] == pytest.approx(rate - 1e-6)
        assert found["paper_rule_rate"] < rate
    (folder / "published.csv").write_text("\n".join(("dataset,arch,class,paper_rule_rate,accuracy", *lines[1:])))
    done = main("--sweep", "--rate", "published")
    assert done.code == 2 and "has no rate of SixUnits on pairs, class 0" in done.err
