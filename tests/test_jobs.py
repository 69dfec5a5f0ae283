"""--jobs: classes of a sweep in several processes. What is left and printed does not depend on how many there are."""

import contextlib
import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from conftest import executable

from specdnn import jobs, stages, verbs
from specdnn.options import Options

QUICK = """--sweep --dataset digits --epochs 1 --retrain-epochs 1 --warmup-epochs 1 --rounds 1 --brief-epochs 1
    --trim-steps 1 --candidates shape --rate 0.02"""
# what differs between two networks that are measured alike
VARYING = ("seconds", "latency_ms", "date", "checkpoint_hash", "file_bytes", "git_commit")
FIRST_OUTPUT = 784 + 300 + 100  # the node of class 0

# What follows does its work as `every_third` does, if it comes to that; `wanted` is the class.
FOR_A_CLASS = f"""
import os, signal, sys, time
nodes = sorted({{int(word) for line in open("graph") for word in line.split()[:2]}})
wanted = nodes[-1] - {FIRST_OUTPUT}
"""
EVERY_THIRD = """
os.mkdir("graph_oslo_files")
with open("graph_oslo_files/tp", "w") as tp:
    tp.write(f"#module 0 size: {len(nodes[::3])} bs: 0.01\\n{' '.join(map(str, nodes[::3]))} \\n")
"""
FAILS = "if wanted == 3: sys.exit('too many things')"


def program_of(fake_program, what: str):
    return fake_program(FOR_A_CLASS + what + EVERY_THIRD)


def contents(place):
    """Name -> bytes of every file, of a metrics file what does not depend on the day; but for what is unfinished."""
    found = {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}
    found = {name: content for name, content in found.items() if ".resume/" not in name}
    for name in found:
        if name.endswith(".json"):
            found[name] = {key: value for key, value in json.loads(found[name]).items() if key not in VARYING}
    return found


@pytest.fixture(scope="module")
def runs(call, tmp_path_factory):
    """The same sweep with one process and with two: number -> folder, what was printed, what the bar said."""
    program, found = executable(tmp_path_factory.mktemp("fails"), FOR_A_CLASS + FAILS + EVERY_THIRD), {}
    words = ("--seeds 1 2 --classes 3 7 --algos magnitude OSLOM --oslom-bin", program, "--save-dir")
    for number in (1, 2):
        saved, out, err, shown = tmp_path_factory.mktemp("saved"), io.StringIO(), io.StringIO(), []
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr(stages, "bar", lambda total, text, shown=shown: contextlib.nullcontext(Bar(total, shown)))
            code = call(QUICK, f"--jobs {number}", *words, saved)
        told = [text.getvalue().replace(str(saved), "SAVED") for text in (out, err)]
        found[number] = SimpleNamespace(saved=saved, code=code, out=told[0], err=told[1], shown=shown)
    return found


class Bar:
    """Notes what a progress bar is told: how far it is, and what runs."""

    def __init__(self, total: int, shown: list) -> None:
        self.total, self.n, self.shown = total, 0, shown

    def update(self, number: int) -> None:
        self.n += number

    def set_postfix_str(self, text: str) -> None:
        self.shown.append((self.n, self.total, text))


def test_files_do_not_depend_on_the_number_of_processes(runs):
    one, two = (contents(runs[number].saved) for number in (1, 2))
    per_seed = 1 + 2 * 2 * 2 - 2  # parent, classes, algorithms, pruned and retrained; of class 3 none by OSLOM
    assert list(one) == list(two) and len([name for name in one if name.endswith(".pth.tar")]) == 2 * per_seed
    assert [name for name in one if one[name] != two[name]] == []


def test_what_is_printed_does_not_depend_on_the_number_of_processes(runs):
    assert runs[1].out == runs[2].out and runs[1].err == runs[2].err
    names = [line for line in runs[2].out.splitlines() if line.startswith("seed ") and "failed" not in line]
    algos = ("OSLOM", "magnitude")
    assert names == [f"seed {seed}, class {wanted}, {algo}" for seed in (1, 2) for wanted in (3, 7) for algo in algos]


def test_a_failing_cell_does_not_end_the_others(runs):
    failed = [f"seed {seed}, class 3, OSLOM" for seed in (1, 2)]
    for found in runs.values():
        assert found.code == 1 and found.err.startswith("main.py: 2 cells failed")
        assert all(f"{name} failed: the OSLOM program failed" in found.out and name in found.err for name in failed)
        assert (found.saved / "digits" / "LeNet_300_100.specialize.3.magnitude.best_retrained.pth.tar").exists()


def test_the_bar_says_what_runs(runs):
    numbers, totals, texts = zip(*runs[2].shown, strict=True)
    assert sorted(numbers) == list(numbers) and numbers[0] == 0 and set(totals) == {2 * 2 * 2}
    assert texts[0] == "seed 1, class 3, OSLOM | seed 1, class 7, OSLOM" and "seed 2, class 7, magnitude" in texts
    assert all(text.count(" | ") <= 1 for text in texts)


def with_parent_of(runs, saved):
    """A folder that holds the finished parent."""
    (saved / "digits").mkdir(parents=True)
    for path in (runs[1].saved / "digits").glob("*.best_origin.*"):
        shutil.copy(path, saved / "digits")
    return saved


KILLS = """
first = {!r}
if wanted == 7 and not os.path.exists(first):
    open(first, "w").close()
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1)
"""


def test_a_process_that_is_killed_costs_its_group_a_second_try(main, runs, fake_program, monkeypatch, tmp_path):
    """The networks are those that it leaves where nothing happens."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # a killed process cannot tidy up
    saved = with_parent_of(runs, tmp_path / "saved")
    program = program_of(fake_program, KILLS.format(str(tmp_path / "first")))
    words = ("--jobs 2 --classes 3 7 --algos magnitude OSLOM --save-dir", saved, "--oslom-bin", program)
    done = main(QUICK, *words)
    told = "seed 1, class 7, OSLOM: its process was ended by SIGKILL (is there too little memory?), so it is tried once"
    assert done.code == 0 and done.err == "" and done.out.count(told) == done.out.count("SIGKILL") == 1
    assert done.out.count("specialize.7.OSLOM.pth.tar: goes on after warm-up") == done.out.count("goes on after") == 1
    assert done.out.index("class 3, magnitude") < done.out.index(told) < done.out.index("class 7, magnitude")
    made = [path.name for path in (saved / "digits").glob("*.tar")]
    assert len(made) == 1 + 2 * 2 * 2
    for name in (name for name in made if ".7." in name):
        assert (saved / "digits" / name).read_bytes() == (runs[1].saved / "digits" / name).read_bytes()


HOLDS = """
import fcntl
if wanted > 7:
    held = open({!r} + str(wanted), "w")
    fcntl.flock(held, fcntl.LOCK_EX)
    held.write(str(os.getppid()))
    held.flush()
    os.fork()
    time.sleep(600)
"""


@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_ends_all_processes(runs, folder, fake_program, tmp_path, name, code):
    """Two processes are in the middle of a community program then; the class before them is finished and stays."""
    temporary, saved = tmp_path / "temporary", with_parent_of(runs, tmp_path / "saved")
    temporary.mkdir()
    held = [tmp_path / "held8", tmp_path / "held9"]
    words = (*QUICK.split(), "--threads=1", "--jobs=2", "--classes", "7", "8", "9", "--save-dir", saved)
    program = program_of(fake_program, HOLDS.format(str(tmp_path / "held")))
    command = [sys.executable, folder.path / "main.py", *words, "--oslom-bin", program]

    def listen():
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the background job of a shell ignores it

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, **pipes, env=environment, preexec_fn=listen) as process:
        while not all(path.exists() and path.read_text() for path in held):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        # Ctrl-C is heard by all that a terminal runs, another signal by the one that it is sent to
        os.killpg(process.pid, signal.SIGINT) if name == "SIGINT" else process.terminate()
        _, told = process.communicate(timeout=60)
    assert not any(os.path.exists(f"/proc/{path.read_text()}") for path in held), "a process is left"
    assert process.returncode == code and told.count("\n") == 1 and "finished steps are kept" in told, told
    for path in held:
        with path.open() as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)  # no program holds it any more
    made = [path.name for path in saved.rglob("*") if path.is_file()]
    assert "LeNet_300_100.specialize.7.best_retrained.json" in made and list(temporary.rglob("*")) == []
    unfinished = [path for path in saved.rglob("*.resume/*")]  # where each of the two goes on
    assert {path.parent.name for path in unfinished} == {f"LeNet_300_100.specialize.{c}.OSLOM.resume" for c in (8, 9)}
    made = [path.name for path in saved.rglob("*") if path.is_file() and path not in unfinished]
    assert not [name for name in made if name.startswith(".") or ".8." in name or ".9." in name]


@pytest.mark.parametrize(
    "words, told",
    [
        ("--dataset digits --jobs 2", "--jobs goes with --sweep"),
        ("--dataset digits --jobs 1", "--jobs goes with --sweep"),
        ("--sweep --dataset digits --jobs 0", "--jobs must be at least 1, got 0"),
        ("--sweep --dataset digits --jobs two", "--jobs"),
    ],
)
def test_numbers_of_processes_that_make_no_sense(main, words, told, tmp_path, listing):
    done = main(words, "--save-dir", tmp_path)
    assert done.code == 2 and told in done.err and done.err.count("\n") == 1 and listing(tmp_path) == {}


def test_more_threads_than_may_run_are_told(monkeypatch):
    monkeypatch.setattr(verbs, "processors", lambda: 4)
    told = verbs.too_many(Options(jobs=3, threads=2))
    assert told.startswith("--jobs 3 with --threads 2 each: this machine runs 4 threads at a time")
    assert verbs.too_many(Options(jobs=2, threads=2)) == verbs.too_many(Options(jobs=1, threads=4)) == ""


# ------------------------------------------------------------------------------------------ tasks of any kind


def answers(groups, processes, do, running=lambda *_: None):
    """What the tasks of each group left; `do(task, say)` is done elsewhere."""
    crew = jobs.Processes(processes, lambda say: lambda task: do(task, say))
    return list(jobs.outcomes(groups, crew, running))


def test_what_tasks_leave_comes_in_the_order_of_their_groups():
    def do(task, say):
        time.sleep(0.5 if task == "a1" else 0)
        say(f"{task} says")
        print("noise", file=sys.stderr)
        return "it failed" if task == "b2" else ""

    shown = []
    found = answers([["a1", "a2"], ["b1", "b2"], ["c1"]], 2, do, lambda *now: shown.append(now))
    assert [[one.lines for one in group] for group in found] == [
        [("a1 says",), ("a2 says",)],
        [("b1 says",), ("b2 says",)],
        [("c1 says",)],
    ]
    assert {one.noise for group in found for one in group} == {"noise\n"}
    assert [one.failure for group in found for one in group] == ["", "", "", "it failed", ""]
    assert shown[0] == (["a1", "b1"], 0) and max(len(tasks) for tasks, _ in shown) == 2
    assert [done for _, done in shown] == sorted(done for _, done in shown) and shown[-1][1] == 4


def test_a_group_is_done_by_one_process_one_after_the_other():
    def do(task, say):
        say(str(os.getpid()))
        return ""

    first, second = ({line for one in group for line in one.lines} for group in answers([[1, 2], [3, 4]], 2, do))
    assert len(first) == len(second) == 1 and first != second and str(os.getpid()) not in first | second


def test_a_group_whose_process_dies_twice_is_lost_and_the_others_go_on():
    def do(task, say):
        if task == "a2":
            os.kill(os.getpid(), signal.SIGKILL)
        say(f"{task} says")
        return ""

    lost, fine = answers([["a1", "a2", "a3"], ["b1", "b2", "b3"]], 2, do)
    how = "its process was ended by SIGKILL (is there too little memory?)"
    assert [one.lines for one in fine] == [("b1 says",), ("b2 says",), ("b3 says",)]
    assert [line for one in lost for line in one.lines] == [
        "a1 says",
        f"a2: {how}, so it is tried once more",
        f"a2 failed: {how}, for the second time",
        "a3 failed: not begun, as the one before it was lost twice",
    ]
    failures = [one.failure for one in lost if one.failure]
    assert failures == [f"a2 ({how}, for the second time)", "a3 (not begun, as the one before it was lost twice)"]


def test_an_error_that_nobody_foresaw_is_shown_and_costs_the_group_only(capfd):
    def do(task, say):
        return str(1 // task)

    (lost,), (fine,) = answers([[0], [1]], 2, do)[0][1:], answers([[1]], 1, do)[0]
    assert "exit code 1, for the second time" in lost.failure and fine.failure == "1"
    assert "ZeroDivisionError" in capfd.readouterr().err
