"""Edge files, tp files and the runner, with programs that behave and programs that do not."""

import concurrent.futures
import contextlib
import fcntl
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specdnn import community
from specdnn.community import OslomError, binaries, formats, processes
from specdnn.structures import Cover, Module, SpecDNNError

# two triangles joined by an edge
EDGES = np.array([[0, 1], [1, 2], [0, 2], [2, 3], [3, 4], [4, 5], [3, 5]])
STRENGTHS = np.array([1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0])
SAY_TP = "import os; os.mkdir('graph_oslo_files'); open('graph_oslo_files/tp', 'w').write({!r})"
GOOD_TP = "#module 0 size: 3 bs: 0.02\n0 1 2 \n#module 1 size: 3 bs: 0.03\n3 4 5 \n"


def run(binary, **options):
    return community.run_program(EDGES, STRENGTHS, binary=binary, **options)


# ------------------------------------------------------------------------------------------ edge file


def test_one_line_per_edge():
    assert community.edge_text(EDGES[:2], STRENGTHS[2:4]) == "0 1 1.0\n1 2 0.5\n"
    assert community.edge_text(np.empty((0, 2), int), np.empty(0)) == ""


node = st.integers(0, 2**31 - 1)
strength = st.floats(min_value=0, exclude_min=True, allow_infinity=False)


@given(st.lists(st.tuples(node, node, strength)))
def test_an_edge_file_read_back_is_the_graph_to_the_last_bit(rows):
    edges = np.array([row[:2] for row in rows], dtype=np.int64).reshape(-1, 2)
    strengths = np.array([row[2] for row in rows], dtype=np.float64)
    read, weights = community.read_edges(community.edge_text(edges, strengths))
    assert np.array_equal(read, edges) and np.array_equal(weights, strengths)
    assert read.shape == edges.shape and read.dtype == np.int64


# ------------------------------------------------------------------------------------------ tp file

group = st.sets(st.integers(0, 10**6), min_size=1).map(lambda nodes: tuple(sorted(nodes)))


@given(st.lists(st.builds(Module, group, st.sampled_from([0.0, 1e-100, 0.0534396, 0.25, 1.0])), min_size=1))
def test_a_tp_file_read_back_is_the_cover(modules):
    assert community.read_tp(community.tp_text(Cover(tuple(modules)))) == Cover(tuple(modules))


def test_what_the_programs_write_is_read():
    text = "#module 0 size: 2 bs: 1.9e-13\n3 7 \n#module 1 size: 1 bs: 1\n5 \n#group 2 size: 1 bs: 0.5 \n6\n"
    cover = community.read_tp(text)
    assert cover.modules == (Module((3, 7), 1.9e-13), Module((5,), 1.0), Module((6,), 0.5))


MALFORMED = {
    "empty": ("", "two lines per module"),
    "odd number of lines": ("#module 0 size: 1 bs: 1\n", "1 lines"),
    "text": ("well done\nall fine\n", "line 1.*'well done'"),
    "header without bs": ("#module 0 size: 1\n4 \n", "line 1"),
    "second header wrong": ("#module 0 size: 1 bs: 1\n4 \n#modul 1 size: 1 bs: 1\n5 \n", "line 3"),
    "negative size": ("#module 0 size: -1 bs: 1\n4 \n", "line 1"),
    "bs is a word": ("#module 0 size: 1 bs: small\n4 \n", "line 1.*small"),
    "bs is nan": ("#module 0 size: 1 bs: nan\n4 \n", "line 1.*nan"),
    "bs is negative": ("#module 0 size: 1 bs: -0.5\n4 \n", "line 1.*-0.5"),
    "too few nodes": ("#module 0 size: 3 bs: 0.1\n4 5 \n", "line 2: expected 3 .*got '4 5 '"),
    "too many nodes": ("#module 0 size: 1 bs: 0.1\n4 5 \n", "line 2: expected 1 .*got '4 5 '"),
    "no nodes": ("#module 0 size: 2 bs: 0.1\n\n", "line 2"),
    "not ascending": ("#module 0 size: 2 bs: 0.1\n5 4 \n", "line 2.*ascending"),
    "twice the same": ("#module 0 size: 2 bs: 0.1\n4 4 \n", "line 2.*ascending"),
    "a word among nodes": ("#module 0 size: 2 bs: 0.1\n4 x \n", "line.* 2.*'x'"),
    "a fraction among nodes": ("#module 0 size: 2 bs: 0.1\n4 5.5 \n", "line.* 2.*'5.5'"),
    "size zero": ("#module 0 size: 0 bs: 0.1\n\n", "line 2: .*at least one"),
    "negative node": ("#module 0 size: 2 bs: 0.1\n-4 5 \n", "line 2"),
    "bs above one": ("#module 0 size: 2 bs: 7\n4 5 \n", "line 1.*7"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_tp_file_is_refused_with_its_line(name):
    text, told = MALFORMED[name]
    with pytest.raises(OslomError, match=told) as error:
        community.read_tp(text)
    assert "\n" not in str(error.value)


@given(st.text())
def test_no_text_breaks_the_reader(text):
    try:
        assert community.read_tp(text).modules
    except OslomError as error:
        assert str(error).startswith("tp file")


def test_the_files_of_a_cover_end_with_the_last_level_in_a_row():
    assert formats.answer_names(lambda name: False) == ["tp"]
    there = {"tp", "tp_scores", "tp1", "tp2", "tp4", "tp_without_singletons", "statistics.dat"}
    assert formats.answer_names(there.__contains__) == ["tp", "tp_scores", "tp1", "tp2"]


# ------------------------------------------------------------------------------------------ the runner


def test_a_run_gives_the_cover_and_its_evidence(fake_program):
    found = run(fake_program(SAY_TP.format(GOOD_TP)))
    assert found.cover.modules == (Module((0, 1, 2), 0.02), Module((3, 4, 5), 0.03))
    assert found.tp == GOOD_TP
    assert found.edges == community.edge_text(EDGES, STRENGTHS)


def test_the_program_runs_in_a_folder_of_its_own_with_the_published_options(fake_program, tmp_path, monkeypatch):
    noted = tmp_path / "noted"
    program = fake_program(
        f"import os, sys; open({str(noted)!r}, 'w').write(repr((os.getcwd(), os.listdir(), sys.argv[1:])));"
        + SAY_TP.format(GOOD_TP)
    )
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run(program, seed=7, tolerance=0.25, runs=3)
    place, files, words = eval(noted.read_text())
    assert files == ["graph"]
    assert words == ["-f", "graph", "-w", "-r", "3", "-hr", "0", "-singlet", "-seed", "7", "-t", "0.25"]
    assert not os.path.exists(place) and os.listdir() == []


def test_a_crash_tells_command_code_and_the_last_lines(fake_program):
    program = fake_program("import sys; [print('line', k, file=sys.stderr) for k in range(20)]; sys.exit(3)")
    with pytest.raises(OslomError, match="failed") as error:
        run(program)
    assert error.value.code == 3
    assert error.value.command[0] == str(program) and "-singlet" in error.value.command
    assert error.value.last_lines.splitlines() == [f"line {k}" for k in range(15, 20)]
    assert str(program) in str(error.value) and "exit code: 3" in str(error.value) and "line 19" in str(error.value)
    assert isinstance(error.value, SpecDNNError)


def test_a_killed_program_is_a_crash(fake_program):
    with pytest.raises(OslomError, match="ended by SIGKILL") as error:
        run(fake_program("import os; os.kill(os.getpid(), 9)"))
    assert error.value.code == -9


def test_a_program_that_hangs_is_stopped(fake_program):
    start = time.monotonic()
    with pytest.raises(OslomError, match="0.5 seconds") as error:
        run(fake_program("import sys, time; print('busy', file=sys.stderr, flush=True); time.sleep(60)"), timeout=0.5)
    assert time.monotonic() - start < 10
    assert error.value.code is None
    assert error.value.last_lines == "busy"


@pytest.mark.parametrize("stubborn", [False, True])
def test_what_a_program_started_is_ended_with_it(fake_program, tmp_path, monkeypatch, stubborn):
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    text = "import fcntl, os, signal, time\n"
    text += "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if stubborn else ""
    text += f"lock = open({str(tmp_path / 'lock')!r}, 'w'); fcntl.flock(lock, fcntl.LOCK_EX); os.fork(); time.sleep(60)"
    with pytest.raises(OslomError, match="no answer within 1 seconds"):
        run(fake_program(text), timeout=1)
    wait_for(tmp_path / "lock")


def wait_for(path):
    """Until nobody holds the lock; a killed process takes a moment to be gone."""
    with path.open() as lock:
        for _ in range(50):
            with contextlib.suppress(BlockingIOError):
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            time.sleep(0.1)
    pytest.fail("a process goes on")


def test_a_program_ends_with_the_process_that_it_works_for_even_if_that_is_killed(fake_program, tmp_path):
    place = tmp_path / "lock"
    text = f"import fcntl, os, time; lock = open({str(place)!r}, 'w'); fcntl.flock(lock, fcntl.LOCK_EX); os.fork()\n"
    text += "lock.write('held'); lock.flush(); time.sleep(60)"
    asked = (
        "import sys; from specdnn.community import processes as p; p.run(sys.argv[1:], cwd='.', timeout=60, failed='')"
    )
    with subprocess.Popen([sys.executable, "-c", asked, str(fake_program(text))]) as process:
        while not (place.exists() and place.read_text()):
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    wait_for(place)


def test_a_program_may_tidy_up_when_its_time_is_over(fake_program, tmp_path):
    text = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(open({!r}, 'w').close()));"
    with pytest.raises(OslomError, match="no answer"):
        run(fake_program(text.format(str(tmp_path / "tidy")) + "time.sleep(60)"), timeout=1)
    assert (tmp_path / "tidy").exists()


def test_a_program_has_no_input_to_wait_for(fake_program):
    assert run(fake_program("import sys; assert sys.stdin.read() == '';" + SAY_TP.format(GOOD_TP))).tp == GOOD_TP


def test_an_error_is_one_line_however_much_the_program_says(fake_program):
    with pytest.raises(OslomError, match="it said: one / two$") as error:
        run(fake_program("import sys; sys.exit('one\\ntwo')"))
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_on_stderr(fake_program):
    with pytest.raises(OslomError, match="exit code: 1"):
        run(fake_program("import sys; sys.stderr.buffer.write(bytes([255, 254, 10])); sys.exit(1)"))


@pytest.mark.parametrize(
    "text", ["pass", "import os; os.mkdir('graph_oslo_files')", "import os; os.makedirs('graph_oslo_files/tp')"]
)
def test_a_program_that_ends_well_without_a_tp_file(fake_program, text):
    with pytest.raises(OslomError, match="no readable tp file") as error:
        run(fake_program(text))
    assert error.value.code == 0


def test_a_tp_file_of_bytes_that_are_no_text(fake_program):
    text = "import os; os.mkdir('graph_oslo_files'); open('graph_oslo_files/tp', 'wb').write(bytes([255, 0, 200]))"
    with pytest.raises(OslomError, match="no readable tp file"):
        run(fake_program(text))


@pytest.mark.parametrize("text", ["", "nonsense\n", "#module 0 size: 2 bs: 0.1\n0 1 2 \n"])
def test_a_program_that_writes_nonsense(fake_program, text):
    with pytest.raises(OslomError, match="tp file") as error:
        run(fake_program(SAY_TP.format(text)))
    assert "Traceback" not in str(error.value)


def test_a_node_that_is_not_in_the_edge_file(fake_program):
    with pytest.raises(OslomError, match="node 6 is not in the edge file"):
        run(fake_program(SAY_TP.format("#module 0 size: 2 bs: 0.1\n5 6 \n")))


def test_a_file_that_cannot_be_started(tmp_path):
    program = tmp_path / "oslom"
    program.write_text("no program at all")
    program.chmod(0o755)
    with pytest.raises(OslomError, match="failed"):
        run(program)


# ------------------------------------------------------------------------------------------ no room

ROOM = "make room, or let TMPDIR name another folder for temporary files"


@pytest.fixture
def no_temporary_folder(monkeypatch):
    """Call it with the folder that TMPDIR names."""

    def set_to(place):
        monkeypatch.setattr(tempfile, "tempdir", None)
        monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(place)])

    return set_to


def test_no_folder_for_temporary_files(fake_program, no_temporary_folder, tmp_path):
    no_temporary_folder(tmp_path / "missing")
    with pytest.raises(OslomError, match=f"cannot write the edge file .*missing.*: {ROOM}$"):
        run(fake_program(SAY_TP.format(GOOD_TP)))


def test_a_folder_for_temporary_files_that_is_gone(fake_program, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    told = f"edge file in {tmp_path}/gone (No such file or directory): {ROOM}"
    with pytest.raises(OslomError, match=re.escape(told)):
        run(fake_program(SAY_TP.format(GOOD_TP)))


@contextlib.contextmanager
def largest_file(size: int):
    """`ulimit -f`, in bytes; for these lines alone, since pytest itself may write into a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_for_the_edge_file(fake_program, monkeypatch, tmp_path):
    program = fake_program(SAY_TP.format(GOOD_TP))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with (
        largest_file(10),
        pytest.raises(OslomError, match=re.escape(f"edge file in {tmp_path} (File too large): {ROOM}")),
    ):
        run(program)
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_what_the_program_writes(real_program):
    told = f"failed, for lack of room: {ROOM}.*(SIGXFSZ|File too large)"
    with largest_file(1000), pytest.raises(OslomError, match=told):  # the edge file has 600
        community.run_program(file_of_a_ring(), None, binary=real_program)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 32 KB, where the user may make one."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize("left, told", [(0, "cannot write the edge file in"), (2, "failed, for lack of room")])
def test_a_disk_that_is_full(real_program, small_disk, monkeypatch, left, told):
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    (small_disk / "full").write_bytes(bytes((8 - left) * 4096))
    with pytest.raises(OslomError, match=f"{told}.*{ROOM}"):
        community.run_program(file_of_a_ring(), None, binary=real_program)
    assert [path.name for path in small_disk.iterdir()] == ["full"]


def file_of_a_ring() -> np.ndarray:
    return np.array(networkx.ring_of_cliques(10, 5).edges)


# ------------------------------------------------------------------------------------------ which program


def test_the_option_comes_before_the_environment(fake_program, monkeypatch):
    chosen, other = fake_program("pass"), fake_program("pass")
    assert community.program(chosen) == chosen
    monkeypatch.setenv("OSLOM_BIN", str(other))
    assert community.program() == other
    assert community.program(chosen) == chosen


def test_a_name_without_a_folder_is_sought_on_the_path(fake_program, monkeypatch):
    program = fake_program("pass")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("OSLOM_BIN", program.name)
    assert community.program() == program


def test_a_name_with_a_separator_is_a_path_as_it_was_typed(fake_program, monkeypatch, tmp_path):
    program = fake_program("pass")
    monkeypatch.chdir(program.parent)
    assert community.program("./oslom") == program
    with pytest.raises(OslomError, match=r"program \./missing is not an executable file: "):
        community.program("./missing")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OslomError, match="program oslom is not an executable file on the PATH: "):
        community.program("oslom")


@pytest.mark.parametrize("named", ["~/oslom", Path("~/oslom")])
def test_a_tilde_is_the_home(fake_program, monkeypatch, named):
    program = fake_program("pass")
    monkeypatch.setenv("HOME", str(program.parent))
    assert community.program(named) == program
    monkeypatch.setenv("OSLOM_BIN", str(named))
    assert community.program() == program


def test_an_empty_name_is_none(real_program, monkeypatch):
    monkeypatch.setenv("OSLOM_BIN", "")
    assert community.program() == community.program("") == real_program


def test_our_own_program_is_known_by_any_name(real_program, fake_program, monkeypatch):
    monkeypatch.chdir(real_program.parent)
    assert all(community.is_ours(name) for name in (None, real_program, "./oslom_undir", "../bin/oslom_undir"))
    assert not community.is_ours(fake_program("pass"))
    monkeypatch.setenv("OSLOM_BIN", str(fake_program("pass")))
    assert not community.is_ours(None)


def test_a_relative_program_is_found_from_the_current_folder(fake_program, monkeypatch):
    program = fake_program(SAY_TP.format(GOOD_TP))
    monkeypatch.chdir(program.parent)
    monkeypatch.setenv("OSLOM_BIN", "./oslom")
    assert run(None).tp == GOOD_TP


def test_a_program_that_is_not_there_or_cannot_be_executed(tmp_path, monkeypatch):
    (tmp_path / "text").write_text("")
    for named in (tmp_path / "missing", tmp_path / "text", tmp_path):
        with pytest.raises(OslomError, match=re.escape(str(named)) + ".*--oslom-bin"):
            community.program(named)
        monkeypatch.setenv("OSLOM_BIN", str(named))
        with pytest.raises(OslomError, match="OSLOM_BIN"):
            community.program()


def test_a_missing_compiler_is_told_with_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setattr(binaries, "PROGRAM", tmp_path / "oslom_undir")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OslomError, match="compiled first.*'make' was not found.*--oslom-bin"):
        run(None)
    (tmp_path / "make").write_text("#!/bin/sh\n")
    (tmp_path / "make").chmod(0o755)
    with pytest.raises(OslomError, match=r"'g\+\+' was not found.*C\+\+17 compiler.*--oslom-bin"):
        run(None)
    monkeypatch.setenv("CXX", "clang++-99 -O2")
    with pytest.raises(OslomError, match=r"'clang\+\+-99' was not found"):
        run(None)


def test_a_program_that_is_missing_is_built(tmp_path, monkeypatch):
    source, program = tmp_path / "oslom", tmp_path / "oslom" / "oslom_undir"
    source.mkdir()
    (source / "Makefile").write_text("all:\n\tprintf '#!/bin/sh\\n' > oslom_undir\n\tchmod +x oslom_undir\n")
    monkeypatch.setattr(binaries, "SOURCE", source)
    monkeypatch.setattr(binaries, "PROGRAM", program)
    assert community.program() == program and os.access(program, os.X_OK)


SLOW_COMPILER = """
import sys, time
place = sys.argv[sys.argv.index("-o") + 1]
with open(place, "w") as file:  # as a compiler does: piece by piece
    import os
    os.chmod(place, 0o755)
    for piece in {pieces!r}:
        file.write(piece)
        file.flush()
        time.sleep(0.2)
"""
USE = """
import sys, numpy
from pathlib import Path
from specdnn import community
from specdnn.community import binaries
binaries.SOURCE, binaries.PROGRAM = Path(sys.argv[1]), Path(sys.argv[1]) / "bin" / "oslom_undir"
print(community.run_program(numpy.array([[0, 1]]), None).tp)
"""
TWO = "#module 0 size: 2 bs: 0.1\n0 1 \n"


def test_two_at_once_build_the_program_and_none_runs_half_of_it(tmp_path):
    source, script, compiler = tmp_path / "oslom", tmp_path / "compiler.py", tmp_path / "c++"
    shutil.copytree(binaries.SOURCE, source, ignore=shutil.ignore_patterns("bin"))
    pieces = ["#!/bin/sh\n", "mkdir graph_oslo_files\n", f"printf '{TWO}' > graph_oslo_files/tp\n"]
    script.write_text(SLOW_COMPILER.format(pieces=pieces))
    compiler.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')  # whose path may hold blanks
    compiler.chmod(0o755)
    start = lambda: subprocess.Popen(  # noqa: E731
        [sys.executable, "-c", USE, source], env={**os.environ, "CXX": str(compiler)}, stdout=subprocess.PIPE, text=True
    )
    users = [start()]
    for _ in range(4):
        time.sleep(0.15)
        users.append(start())
    assert [user.communicate(timeout=60)[0] for user in users] == [TWO + "\n"] * 5
    assert sorted(path.name for path in (source / "bin").iterdir()) == ["oslom_dir", "oslom_undir"]


def test_an_empty_name_of_a_compiler_is_none(tmp_path, monkeypatch):
    (tmp_path / "Makefile").write_text("all:\n\ttest '$(CXX)' = g++ && printf '#!/bin/sh\\n' > oslom_undir\n")
    monkeypatch.setattr(binaries, "SOURCE", tmp_path)
    monkeypatch.setattr(binaries, "PROGRAM", tmp_path / "oslom_undir")
    monkeypatch.setenv("CXX", " ")
    assert community.program().exists()


def test_a_compiler_that_fails_is_told_with_its_words(tmp_path, monkeypatch):
    (tmp_path / "Makefile").write_text("all:\n\t@echo 'graph.h:1: what is this' >&2; exit 1\n")
    monkeypatch.setattr(binaries, "SOURCE", tmp_path)
    monkeypatch.setattr(binaries, "PROGRAM", tmp_path / "oslom_undir")
    with pytest.raises(OslomError, match="compiling oslom failed") as error:
        community.program()
    assert error.value.code == 2 and "what is this" in error.value.last_lines


# ------------------------------------------------------------------------------------------ the real program


def planted():
    """A graph with four obvious groups of 25 nodes."""
    view = networkx.planted_partition_graph(4, 25, 0.6, 0.01, seed=3)
    edges = np.array(sorted(view.edges))
    return edges, np.random.default_rng(0).uniform(0.5, 1.5, len(edges))


def test_the_real_program_finds_planted_groups(real_program):
    found = community.run_program(*planted(), binary=real_program, seed=1)
    groups = {m.nodes for m in found.cover.significant}
    assert groups == {tuple(range(start, start + 25)) for start in (0, 25, 50, 75)}


def test_the_real_program_answers_the_same_for_the_same_seed(real_program):
    assert (
        community.run_program(*planted(), binary=real_program, seed=5).tp
        == community.run_program(*planted(), binary=real_program, seed=5).tp
    )


def test_the_real_program_accounts_for_every_node(real_program):
    cover = community.run_program(*planted(), binary=real_program).cover
    assert {node for m in cover.modules for node in m.nodes} == set(range(100))


def test_calls_from_several_threads_do_not_disturb_each_other(real_program):
    edges, weights = planted()
    alone = [community.run_program(edges, weights, binary=real_program, seed=seed).tp for seed in range(1, 5)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(community.run_program, edges, weights, binary=real_program, seed=s) for s in range(1, 5)]
    assert [run.result().tp for run in runs] == alone
