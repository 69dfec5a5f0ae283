"""Whole sweeps of both networks give what they gave when they were recorded, to the last bit.

`recorded/digits.json` holds hashes of the rounds' edge and tp files, of the kept units, of what is printed, and of the
tables: classes of `digits` by OSLOM, and the rivals for one. It was recorded when agreeing passes of the OSLOM program
began to decide earlier. With the program before that all was as recorded before networks were traced, while every
network still named its layers itself (commit 8f38603; but for the tables, which were of more classes). What a
checkpoint file looks like, and with it the column of its size, is not part of it, nor is any time, date or version.

    python tests/test_recorded.py --write

records anew, which gives up the comparison with everything before: do so for a change that is meant to change results.
"""

import csv
import functools
import hashlib
import io
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from specdnn import community, files
from specdnn.files import SavedModels

HERE = Path(__file__).resolve().parent
RECORD = HERE / "recorded" / "digits.json"
SWEEP = "--sweep --dataset digits --seed 1 --threads 1 --no-cuda --rate 0.02"
RIVALS = {
    "LeNet_300_100": ("OSLOM-null", "graph-null", "magnitude", "taylor", "scratch", "linear", "random"),
    "LeNet_5": ("OSLOM-null", "taylor"),  # what has channels to permute and to score
}
# As few epochs as leave a community to every class and a second round to some; the rivals follow two rounds.
EPOCHS = {
    "LeNet_300_100": "--epochs 8 --warmup-epochs 3 --brief-epochs 2 --retrain-epochs 3",
    "LeNet_5": "--epochs 6 --warmup-epochs 2 --brief-epochs 1 --retrain-epochs 2",
}
CLASSES = {"LeNet_300_100": "4 9", "LeNet_5": "3 7"}
WITH_RIVALS = {"LeNet_300_100": "4", "LeNet_5": "7"}

# ------------------------------------------------------------------------------------------ what is recorded


def results(arch: str, place: Path, program) -> dict[str, dict]:
    """What the sweeps of a network give: cell or `the tables` -> part -> hash, or the steps in words."""
    words = [*SWEEP.split(), *EPOCHS[arch].split(), "--arch", arch, "--save-dir", place, "--oslom-bin", program]
    printed = main(*words, "--classes", *CLASSES[arch].split())
    printed += main(*words, "--classes", *WITH_RIVALS[arch].split(), "--algos", "OSLOM", *RIVALS[arch])
    saved = SavedModels(place, arch, "digits")
    told = {name: cell(saved, *name, lines) for name, lines in by_cell(printed).items()}
    return {"the tables": tables(saved)} | {f"class {wanted}, {algo}": parts for (wanted, algo), parts in told.items()}


def main(*words) -> str:
    """What `main.py` of this checkout prints, in a process of its own."""
    command = [sys.executable, HERE.parent / "MNIST" / "main.py", *words]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_cell(printed: str) -> dict[tuple[str, str], list[str]]:
    """(class, algorithm) -> what is printed of its training and cuts; no paths, and nothing of finished steps."""
    found, lines = {}, []
    for line in printed.splitlines():
        if heading := re.fullmatch(r"seed 1, class (\d), (\S+)", line):
            lines = found.setdefault(heading.groups(), [])
        elif line.startswith(("train", "class ")):
            lines.append(line.partition(" -> ")[0])
    return found


def cell(saved: SavedModels, wanted: str, algo: str, printed: list[str]) -> dict:
    pruned, retrained = saved.pruned((wanted,), algo), saved.retrained((wanted,), algo)
    metrics = json.loads(files.metrics_path(pruned).read_text())
    return {
        **{f"round {path.name}": part(path) for path in files.rounds(pruned).glob("*")},
        "printed": digest("\n".join(printed)),
        "pruned, kept": kept(files.metrics_path(pruned)),
        "retrained, kept": kept(files.metrics_path(retrained)),
        "steps": [f"{s['stage']}: {s['widths']}, {s['true_weights']} weights" for s in metrics["steps"]],
    }


def part(path: Path) -> str:
    """A file of a round: the edges and the tp file as they are, of the figures the kept units."""
    return kept(path) if path.suffix == ".json" else digest(path.read_text())


def kept(metrics: Path) -> str:
    return digest(json.dumps(json.loads(metrics.read_text())["kept"]))


def tables(saved: SavedModels) -> dict[str, str]:
    return {
        "report": digest(markdown_without_file_bytes(saved.table("md").read_text())),
        "cells": digest(csv_without_file_bytes(saved.table("csv").read_text())),
        "points": digest(saved.picture("pareto", "csv").read_text()),
        "exhibits": digest(without_examples(saved.exhibits().read_text())),
    }


def without_examples(text: str) -> str:
    """The exhibits without images of hits and misses, which were not recorded."""
    told = json.loads(text)
    for one in told["classes"]:
        assert set(one.pop("examples")) == {"found", "missed", "taken for it"}
    return files.json_text(told)


def markdown_without_file_bytes(text: str) -> str:
    """The last column of its table."""
    head, heading, rest = text.partition("### How big they are")
    table, following, tail = rest.partition("\n### ")
    assert "| file bytes |\n" in table
    return head + heading + re.sub(r"(?m)^(\|.*\|)[^|]*\|$", r"\1", table) + following + tail


def csv_without_file_bytes(text: str) -> str:
    return "\n".join(str({**row, "file_bytes": ""}) for row in csv.DictReader(io.StringIO(text)))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# ------------------------------------------------------------------------------------------ comparing


@functools.cache
def arithmetic() -> dict[str, str]:
    """What this machine makes of floats, told by a process of its own."""
    child = [sys.executable, HERE / "arithmetic.py"]
    return json.loads(subprocess.run(child, capture_output=True, text=True, check=True).stdout)


def differences(recorded: dict[str, dict], found: dict[str, dict]) -> list[str]:
    """One line per part that is not as recorded, class by class, the tables last."""
    old, new = by_part(recorded), by_part(found)
    differing = sorted(name for name in {**old, **new} if old.get(name) != new.get(name))
    return [f"{name}: {difference(old.get(name), new.get(name))}" for name in differing]


def by_part(told: dict[str, dict]) -> dict:
    return {f"{name}: {part}": value for name, parts in told.items() for part, value in parts.items()}


def difference(old, new) -> str:
    if None in (old, new):
        return "not recorded" if old is None else "missing"
    if isinstance(old, str):
        return f"recorded {old[:12]}, now {new[:12]}"
    steps = itertools.zip_longest(old, new, fillvalue="no further step")
    return "recorded {}, now {}".format(*next(pair for pair in steps if pair[0] != pair[1]))


def check_arithmetic(recorded: dict[str, str]) -> None:
    """Skip where floats are not those of the record."""
    here = arithmetic()
    if other := [name for name, value in recorded.items() if here[name] != value]:
        pytest.skip(f"recorded where floats are others than on this machine, which differs in {', '.join(other)}")


class AsRecorded:
    """A class for each network, so that its sweeps run once and two workers share the networks."""

    arch: str

    @pytest.fixture(scope="class")
    @classmethod
    def told(cls, real_program, tmp_path_factory):
        recorded = json.loads(RECORD.read_text())
        check_arithmetic(recorded["arithmetic"])
        return differences(recorded[cls.arch], results(cls.arch, tmp_path_factory.mktemp("recorded"), real_program))

    def compare(self, told, what):
        own = [line for line in told if line.startswith(what)]
        assert not own, "\n".join([f"{self.arch} is not as recorded", *own])


def parts_of(arch: str):
    return pytest.mark.parametrize("what", [*(f"class {wanted}" for wanted in CLASSES[arch].split()), "the tables"])


class TestLeNet_300_100(AsRecorded):
    arch = "LeNet_300_100"

    @parts_of(arch)
    def test_is_as_recorded(self, told, what):
        self.compare(told, what)


class TestLeNet_5(AsRecorded):
    arch = "LeNet_5"

    @parts_of(arch)
    def test_is_as_recorded(self, told, what):
        self.compare(told, what)


# ------------------------------------------------------------------------------------------ the test itself


@pytest.fixture
def recorded():
    return json.loads(RECORD.read_text())["LeNet_5"]


def test_every_class_and_every_rival_is_recorded(recorded):
    rivals = {f"class {wanted}, {algo}" for wanted in WITH_RIVALS["LeNet_5"].split() for algo in RIVALS["LeNet_5"]}
    classes = CLASSES["LeNet_5"].split()
    assert set(recorded) == {f"class {wanted}, OSLOM" for wanted in classes} | rivals | {"the tables"}
    parts = {"round 1.edges", "round 1.tp", "round 1.json", "printed", "pruned, kept", "retrained, kept", "steps"}
    assert all(parts <= set(recorded[f"class {wanted}, OSLOM"]) for wanted in classes)
    assert "round 2.edges" in recorded["class 7, OSLOM"]


def test_the_first_difference_is_told_first(recorded):
    found = json.loads(json.dumps(recorded))
    assert differences(recorded, found) == []
    found["class 3, OSLOM"]["steps"][1] = "round 1: [1, 2, 3], 4 weights"
    found["class 3, OSLOM"]["round 1.tp"] = digest("another")
    del found["class 7, OSLOM"]["round 2.edges"]
    first, second, third = differences(recorded, found)
    assert first.startswith("class 3, OSLOM: round 1.tp: recorded ") and first.endswith(digest("another")[:12])
    assert second.endswith(f"recorded {recorded['class 3, OSLOM']['steps'][1]}, now round 1: [1, 2, 3], 4 weights")
    assert third == "class 7, OSLOM: round 2.edges: missing"


def test_tables_count_but_for_the_size_of_the_file():
    sizes = "### How big they are\n\n| class | MACs | file bytes |\n|---|---:|---:|\n| 0 | {} | {} |\n"
    report, table = f"### A\n\n| a |\n\n{sizes}\n### B\n\n| b |\n", "macs,file_bytes,kept\n{},{},5\n"
    for text, without in ((report, markdown_without_file_bytes), (table, csv_without_file_bytes)):
        one, other_size, other_figure = (without(text.format(*n)) for n in ((1, 2), (1, 3), (4, 2)))
        assert one == other_size != other_figure
    shown = markdown_without_file_bytes(report)
    assert "| 0 | {} |\n" in shown and "| a |" in shown and "| b |" in shown


def test_another_arithmetic_skips_and_says_so():
    with pytest.raises(pytest.skip.Exception, match="differs in torch$"):
        check_arithmetic({**arithmetic(), "torch": "0"})
    assert json.loads(RECORD.read_text())["arithmetic"].keys() == arithmetic().keys()


# ------------------------------------------------------------------------------------------ recording


def write() -> None:
    with tempfile.TemporaryDirectory() as place:
        told = {arch: results(arch, Path(place), community.program()) for arch in EPOCHS}
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps({"arithmetic": arithmetic(), **told}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    write()
