"""--scheduler: a sweep on the workers of a Dask cluster leaves and says what it does without one.

Scheduler and workers are processes on this machine, which share no folder with the sweep but what a fake program needs.
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from conftest import ROOT, executable
from test_jobs import EVERY_THIRD, FAILS, FOR_A_CLASS, QUICK, contents

pytest.importorskip("distributed", reason="needs Dask: pip install 'specdnn[cluster]'")

LONG = 120  # seconds that anything here may take on a busy machine


@contextlib.contextmanager
def processes(place, *words):
    """A Dask program, and all that it starts, until the end of the block."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    with (place / "log").open("a") as log:
        command = [sys.executable, "-m", "dask", *map(str, words), "--no-dashboard"]
        started = subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield started
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


@contextlib.contextmanager
def scheduler(place):
    """The address of a scheduler without workers."""
    told = place / "scheduler.json"
    with processes(place, "scheduler", "--host", "127.0.0.1", "--port", 0, "--scheduler-file", told) as started:
        wait_until(lambda: told.exists() and told.read_text().endswith("}"))
        yield SimpleNamespace(address=json.loads(told.read_text())["address"], process=started)


def wait_until(true):
    until = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """That of a scheduler with two workers, each with a nanny that starts it anew when it dies."""
    place = tmp_path_factory.mktemp("cluster")
    with scheduler(place) as found:
        words = ("worker", found.address, "--nworkers", 2, "--nthreads", 1, "--local-directory", place / "workers")
        with processes(place, *words):
            yield found.address


def sweep(call, *words):
    """Exit code, and what is printed, without the name of the save folder, which comes last."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = call(QUICK, *words)
    told = [text.getvalue().replace(str(words[-1]), "SAVED") for text in (out, err)]
    return SimpleNamespace(saved=words[-1], code=code, out=told[0], err=told[1])


# The first time the community program is asked for class 7, it ends the worker that asks.
KILLS = """
first = {!r}
if wanted == 7 and not os.path.exists(first):
    open(first, "w").close()
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1)
"""


@pytest.fixture(scope="module")
def runs(call, address, tmp_path_factory):
    """The same sweep with a cluster, of which a worker is killed, and without: name -> what it left and said."""
    place = tmp_path_factory.mktemp("program")
    program = executable(place, FOR_A_CLASS + FAILS + KILLS.format(str(place / "first")) + EVERY_THIRD)
    words = ("--seeds 2 --classes 3 7 --algos magnitude OSLOM --oslom-bin", program)
    found = {}
    for name, more in (("cluster", f"--scheduler {address}"), ("here", "--jobs 1")):
        found[name] = sweep(call, more, *words, "--save-dir", tmp_path_factory.mktemp("saved"))
    return SimpleNamespace(**found, words=words)


def test_files_are_those_of_a_sweep_without_a_cluster_although_a_worker_dies(runs):
    here, there = contents(runs.here.saved), contents(runs.cluster.saved)
    made = [name for name in here if name.endswith(".pth.tar")]
    assert list(here) == list(there) and len(made) == 1 + 2 + 2 + 2  # the parent, and no network of class 3 by OSLOM
    assert [name for name in here if here[name] != there[name]] == []
    assert any(name.endswith("1.tp") for name in here) and any(name.endswith(".md") for name in here)
    for name in made:
        measured = [
            json.loads((run.saved / name.replace(".pth.tar", ".json")).read_text()) for run in (runs.here, runs.cluster)
        ]
        assert measured[0]["checkpoint_hash"] == measured[1]["checkpoint_hash"]


def test_what_is_printed_is_the_same_but_for_the_death_of_a_worker(runs):
    lines = runs.cluster.out.splitlines()
    died = [line for line in lines if "so it is tried once more" in line]
    assert len(died) == 1 and died[0].startswith("seed 2, class 7, OSLOM: its worker tcp://127.0.0.1:")
    assert [line for line in lines if line not in died] == runs.here.out.splitlines()
    assert runs.cluster.err == runs.here.err and runs.cluster.code == runs.here.code == 1
    assert "seed 2, class 3, OSLOM (the OSLOM program failed" in runs.cluster.err
