"""A second dataset folder costs one folder: its data and its networks, and nothing in `specdnn`."""

import json
from types import SimpleNamespace

import pytest
import six_units
import torch

from specdnn import cli
from specdnn.structures import Dataset, Split

CLASSES = ("left", "right")


def load(name, data_dir, device):
    """Images of two pixels: the brighter one is the class."""
    raw = torch.rand(600, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    labels = (raw[:, 0, 0, 1] > raw[:, 0, 0, 0]).long()
    images = (raw - 0.5) / 0.5
    parts = [Split(images[a:b], labels[a:b]) for a, b in ((0, 400), (400, 500), (500, 600))]
    return Dataset(name, CLASSES, (0.5, 0.5), *parts)


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
        code = cli.main(tmp_path / "Pairs", {"SixUnits": six_units.SixUnits}, DATA, words)
        return SimpleNamespace(code=code, err=capsys.readouterr().err)

    return run


def test_the_whole_way_with_another_network_and_other_data(main, tmp_path):
    done = main("--sweep", "--epochs", 30, "--lr", 0.05, "--retrain-epochs", 5, "--max-params", 5)
    assert done.code == 0, done.err
    for name in ("SixUnits.best_origin", "SixUnits.specialize.0.OSLOM", "SixUnits.specialize.1.best_retrained"):
        assert (tmp_path / f"{name}.pth.tar").is_file()
    found = json.loads((tmp_path / "SixUnits.specialize.1.best_retrained.json").read_text())
    assert (
        found["dataset"] == "pairs"
        and found["true_parameters"] <= 5
        and list(found["kept"]) == ["input", "hidden", "out"]
    )
    assert json.loads((tmp_path / "SixUnits.best_origin.json").read_text())["accuracy"] > 0.9
    report = (tmp_path / "SixUnits.md").read_text()
    assert "\n| 0 |" in report and "\n| 1 |" in report and "### Beside the published table" not in report
    assert (tmp_path / "classes.SixUnits.png").is_file() and (tmp_path / "pareto.SixUnits.png").is_file()


def test_its_mistakes_are_told_in_its_own_words(main):
    done = main("--sweep", "--specialize", 2)
    assert done.code == 2 and "classes are 0 to 1" in done.err


def test_each_class_may_have_its_published_rate(main, tmp_path):
    folder = tmp_path / "Pairs"
    folder.mkdir()
    lines = ("pairs,SixUnits,0,0.9,0.5", "pairs,SixUnits,1,0.6,0.5", "other,SixUnits,0,0.1,0.5")
    (folder / "published.csv").write_text("\n".join(("dataset,arch,class,paper_rule_rate,accuracy", *lines)))
    done = main("--sweep", "--rate", "published", "--epochs", 2, "--retrain-epochs", 1, "--rounds", 1)
    assert done.code == 0, done.err
    for wanted, rate in ((0, 0.9), (1, 0.6)):
        found = json.loads((tmp_path / f"SixUnits.specialize.{wanted}.OSLOM.json").read_text())
        assert found["options"]["rate"] == pytest.approx(rate - 1e-6)
        assert found["paper_rule_rate"] < rate
    (folder / "published.csv").write_text("\n".join(("dataset,arch,class,paper_rule_rate,accuracy", *lines[1:])))
    done = main("--sweep", "--rate", "published")
    assert done.code == 2 and "has no rate of SixUnits on pairs, class 0" in done.err
