"""--scheduler: a sweep on the workers of a Dask cluster leaves and says what it does without one.

Scheduler and workers are processes on this machine, which share no folder with the sweep but what a fake program needs.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from conftest import ROOT, executable
from test_jobs import EVERY_THIRD, FAILS, FOR_A_CLASS, KILLS, QUICK, contents

from specdnn import cluster, files, finished, verbs
from specdnn.structures import SpecDNNError

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


# KILLS: the first time the community program is asked for class 7, it ends the worker that asks; and every time.
ALWAYS_KILLS = "if wanted == 7: os.kill(os.getppid(), signal.SIGKILL); time.sleep(1)"


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
        found = [json.loads(files.metrics_path(run.saved / name).read_text()) for run in (runs.here, runs.cluster)]
        differing = {key for key in {**found[0], **found[1]} if found[0].get(key) != found[1].get(key)}
        assert differing <= {"seconds", "latency_ms"}


def test_what_is_printed_is_the_same_but_for_the_death_of_a_worker(runs):
    lines = runs.cluster.out.splitlines()
    died = [line for line in lines if "so it is tried once more" in line]
    assert len(died) == 1 and died[0].startswith("seed 2, class 7, OSLOM: its worker tcp://127.0.0.1:")
    assert [line for line in lines if line not in died] == runs.here.out.splitlines()
    waited = [line for line in runs.cluster.err.splitlines() if "has no worker: waiting for one" in line]
    assert len(waited) <= 1  # of a busy machine, on which the workers come after the sweep
    assert [line for line in runs.cluster.err.splitlines() if line not in waited] == runs.here.err.splitlines()
    assert runs.cluster.code == runs.here.code == 1
    assert "seed 2, class 3, OSLOM (the OSLOM program failed" in runs.cluster.err


def with_parent_of(run, saved):
    """A folder that holds the finished parent of the first seed and no cell."""
    (saved / "digits").mkdir(parents=True)
    for path in (run.saved / "digits" / "seed2").glob("*.best_origin.*"):
        (saved / "digits" / "seed2").mkdir(exist_ok=True)
        shutil.copy(path, saved / "digits" / "seed2")
    return saved


@pytest.fixture
def no_report(monkeypatch):
    """Tables and pictures, which take longer than such networks, are compared above."""
    monkeypatch.setattr(verbs, "report", lambda *args, **named: None)


def test_what_is_finished_is_not_made_again_and_what_is_half_finished_goes_on(call, address, runs, no_report, tmp_path):
    """The driver decides; a worker is sent the pruned network that is there, and says what it would say here."""
    saved = shutil.copytree(runs.cluster.saved, tmp_path / "saved")
    half = "LeNet_300_100.specialize.7.best_retrained"
    for ending in ("json", "pth.tar"):
        (saved / "digits" / "seed2" / f"{half}.{ending}").unlink()
    words = (*runs.words, "--algos OSLOM --classes 7 --retrain-lr 0.002", "--save-dir")
    found = {}
    for name, more in (("cluster", f"--scheduler {address}"), ("here", "--jobs 1")):
        place = shutil.copytree(saved, tmp_path / name)
        found[name] = sweep(call, more, *words, place)
    there, here = found["cluster"], found["here"]
    assert (there.code, there.out, there.err) == (here.code, here.out, here.err) and there.code == 0
    assert "specialize.7.OSLOM.pth.tar: already finished" in there.out and f"{half}.pth.tar: already" not in there.out
    again = sweep(call, f"--scheduler {address}", *words, there.saved)
    assert again.code == 0 and again.out.count("already finished") == 3 and "epoch" not in again.out


def test_results_of_other_options_are_set_aside_as_they_are_without_a_cluster(call, address, runs, no_report, tmp_path):
    found = {}
    for name, more in (("cluster", f"--scheduler {address}"), ("here", "--jobs 1")):
        place = shutil.copytree(runs.here.saved, tmp_path / name)
        words = (*runs.words, "--algos magnitude --classes 7 --trim-lr 0.02 --save-dir", place)
        found[name] = sweep(call, more, *words)
    assert found["cluster"].out == found["here"].out and "is kept as SAVED/digits/seed2/replaced/" in found["here"].out
    here, there = (contents(found[name].saved) for name in ("here", "cluster"))
    assert list(here) == list(there) and [name for name in here if here[name] != there[name]] == []


def test_a_cell_whose_worker_dies_twice_is_lost_and_the_others_go_on(call, address, runs, no_report, tmp_path):
    program = executable(tmp_path, FOR_A_CLASS + ALWAYS_KILLS + EVERY_THIRD)
    words = ("--seeds 2 --classes 7 8 --algos OSLOM magnitude --oslom-bin", program, "--save-dir")
    done = sweep(call, f"--scheduler {address}", *words, with_parent_of(runs.here, tmp_path / "saved"))
    assert done.code == 1 and done.err.startswith("main.py: 2 cells failed, all others are finished: ")
    assert "seed 2, class 7, OSLOM (its worker tcp://" in done.err and "for the second time)" in done.err
    assert "seed 2, class 7, magnitude (not begun, as the one before it was lost twice)" in done.err
    made = [path.name for path in done.saved.rglob("*.best_retrained.pth.tar")]
    stem = "LeNet_300_100.specialize.8."
    assert set(made) == {f"{stem}best_retrained.pth.tar", f"{stem}magnitude.best_retrained.pth.tar"}


HOLDS = """
if wanted == 8:
    with open({0!r} + ".new", "w") as told:
        told.write(str(os.getpid()))
    os.rename({0!r} + ".new", {0!r})
    time.sleep(600)
"""


def test_a_signal_ends_what_workers_do(address, folder, runs, tmp_path):
    """They are free again then, and so is the community program that one of them was waiting for."""
    held, saved = tmp_path / "held", with_parent_of(runs.here, tmp_path / "saved")
    program = executable(tmp_path, FOR_A_CLASS + HOLDS.format(str(held)) + EVERY_THIRD)
    words = (*QUICK.split(), "--threads=1", "--seeds=2", "--classes", "7", "8", "--scheduler", address)
    command = [sys.executable, folder.path / "main.py", *words, "--save-dir", saved, "--oslom-bin", program]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        wait_until(held.exists)
        wait_until(lambda: list(saved.rglob("*.7.best_retrained.json")))
        process.terminate()
        _, told = process.communicate(timeout=LONG)
    assert process.returncode == 143 and told.count("\n") == 1 and "finished steps are kept" in told, told
    wait_until(lambda: not os.path.exists(f"/proc/{held.read_text()}"))
    assert not [path.name for path in saved.rglob("*") if path.name.startswith(".") or ".8." in path.name]


# ------------------------------------------------------------------------------------------ what cannot be


@contextlib.contextmanager
def listening(answer: bytes):
    """The address of something on this machine that is no scheduler."""
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])
                    held[-1].sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    "answer", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 99], ids=["nobody", "silent", "other"]
)
def test_where_no_scheduler_is(answer, call, monkeypatch, tmp_path, listing):
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with listening(answer or b"") if answer is not None else contextlib.nullcontext("tcp://127.0.0.1:9") as where:
        done = sweep(call, f"--scheduler {where}", "--save-dir", tmp_path)
    assert done.code == 2 and done.err.count("\n") == 1 and listing(tmp_path) == {}
    assert done.err.startswith(f"main.py: error: --scheduler {where}: no Dask scheduler answers there")


@pytest.mark.parametrize(
    "words, told",
    [
        ("--sweep --scheduler tcp://127.0.0.1:9 --jobs 2", "--scheduler and --jobs exclude each other"),
        ("--scheduler tcp://127.0.0.1:9", "--scheduler goes with --sweep"),
        ("--sweep --scheduler 127.0.0.1", "--scheduler must be tcp://HOST:PORT"),
        ("--sweep --scheduler http://127.0.0.1:9", "--scheduler must be tcp://HOST:PORT"),
        (
            "--sweep --scheduler tcp://127.0.0.1:9 --tensorboard board",
            "--scheduler and --tensorboard exclude each other",
        ),
    ],
)
def test_words_that_make_no_sense(main, words, told, tmp_path, listing):
    done = main("--dataset digits", words, "--save-dir", tmp_path)
    assert done.code == 2 and told in done.err and done.err.count("\n") == 1 and listing(tmp_path) == {}


def test_other_versions_are_a_mistake(call, address, monkeypatch, tmp_path, listing):
    monkeypatch.setattr("specdnn.__version__", "9.9")
    done = sweep(call, f"--scheduler {address}", "--save-dir", tmp_path)
    assert done.code == 2 and done.err.count("\n") == 1 and listing(tmp_path) == {}
    assert "the scheduler has another version of specdnn than the driver: 0.1.0, not 9.9" in done.err


def test_workers_that_have_other_images_are_left_out(call, address, every_third, monkeypatch, tmp_path):
    monkeypatch.setattr(finished, "hash_of", lambda data: "that of the images that only the driver has")
    words = ("--classes 7 --algos magnitude --oslom-bin", every_third, "--save-dir", tmp_path)
    done = sweep(call, f"--scheduler {address}", *words)
    told = done.err.splitlines()[-1]
    assert done.code == 2 and told.startswith(f"main.py: error: --scheduler {address}: worker tcp://127.0.0.1:")
    assert "cannot begin: its images of digits in " in told and told.endswith("are not those of the driver")
    assert not list(tmp_path.rglob("*specialize*"))


def test_a_scheduler_without_workers_is_told_and_one_that_goes_away_is_a_mistake(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    told = []
    with scheduler(tmp_path) as found, cluster.connected(found.address, told.append) as crew:
        wait_until(lambda: crew.heard() or told)
        assert crew.heard() == [] and len(told) == 1
        assert told[0].startswith(f"--scheduler {found.address} has no worker: waiting for one")
        found.process.kill()
        with pytest.raises(SpecDNNError, match="the scheduler is gone; finished steps are kept"):
            wait_until(crew.heard)
