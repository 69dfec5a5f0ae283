"""Both published scripts with one epoch on `digits`."""

import csv
import os
import re
import subprocess
import sys

import pytest

QUICK = "--dataset digits --epochs 1 --retrain-epochs 1 --warmup-epochs 0 --rounds 1 --brief-epochs 0 --threads 1"
SCRIPTS = {"spec.lenet_300_100.sh": "LeNet_300_100", "spec.lenet_5.sh": "LeNet_5"}


@pytest.fixture
def run(folder, tmp_path):
    """Run a script from another folder, with this Python: name, words -> finished process."""
    home = os.path.dirname(os.path.dirname(sys.executable))
    environment = {**os.environ, "VIRTUAL_ENV": home, "PATH": f"{home}/bin:{os.environ['PATH']}"}
    return lambda name, *words: subprocess.run(
        [folder.path / name, *map(str, words)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_strict_and_passes_its_words_on(folder, name):
    text = (folder.path / name).read_text()
    assert text.startswith("#!") and "set -euo pipefail" in text
    calls = [line for line in text.splitlines() if "main.py" in line and not line.startswith("#")]
    assert calls and all(line.rstrip().endswith('"$@"') for line in calls)
    assert all(SCRIPTS[name] in line for line in calls)
    assert os.access(folder.path / name, os.X_OK)
    assert subprocess.run(["bash", "-n", folder.path / name]).returncode == 0


@pytest.mark.parametrize("name, classes", [("spec.lenet_300_100.sh", (0, 7)), ("spec.lenet_5.sh", (3,))])
def test_a_script_trains_prunes_retrains_and_reports(run, folder, real_program, tmp_path, name, classes):
    arch, saved = SCRIPTS[name], tmp_path / "out" / "digits"
    words = [*QUICK.split(), "--save-dir", "out", "--oslom-bin", real_program]
    words += ["--classes", *classes, "--jobs", 1]
    done = run(name, *words)
    assert done.returncode == 0, done.stderr
    with open(saved / f"{arch}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == [str(k) for k in classes]
    for k in classes:
        for stem in ("OSLOM", "best_retrained"):
            assert (saved / f"{arch}.specialize.{k}.{stem}.pth.tar").is_file()
            assert (saved / f"{arch}.specialize.{k}.{stem}.json").is_file()
    assert (saved / f"{arch}.best_origin.pth.tar").is_file()
    assert (saved / f"{arch}.md").read_text() in done.stdout
    budget = float(re.search(r"--rate (\S+)", (folder.path / name).read_text())[1])
    assert all(float(row["paper_rule_rate"]) <= budget for row in rows)
    again = run(name, *words)
    finished = 1 + 2 * len(classes)
    assert again.returncode == 0 and again.stdout.count("already finished") == finished and "epoch" not in again.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_ends_with_the_mistake_and_its_code(run, tmp_path, name):
    done = run(name, "--dataset", "digits", "--keep", "7", "--save-dir", "out")
    assert done.returncode == 2 and done.stderr.startswith("main.py: error: --keep") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
