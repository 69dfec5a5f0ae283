"""Graph -> edge file, the oslom program, tp file -> Cover. Knows nodes and edges only.

`oslom` is the call for any graph in Python, `run_program` what it and the pipeline share. The program is our own, which
lies in an installed package and is built on first use in the source tree (`oslom/`), or any other with the same command
line and files (`--oslom-bin`, `OSLOM_BIN`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import networkx
import numpy as np

from specdnn.structures import Cover, Module, SpecDNNError

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "oslom"
PROGRAM = (HERE if (HERE / "bin").is_dir() else SOURCE) / "bin" / "oslom_undir"  # setup.py puts it into the package
HEADER = re.compile(r"#(?:module|group) (\d+) size: (\d+) bs: (\S+)\s*")
LEAST, MOST = 1e-150, 1e150  # the weights our program takes
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room for a file
OTHER_PLACE = "make room, or let TMPDIR name another folder for temporary files"
PATIENCE = 2  # seconds that a program gets to end by itself when it is told to


class OslomError(SpecDNNError):
    """The program could not be built or run, or its answer cannot be read."""

    def __init__(self, sentence: str, command=(), code: int | None = None, stderr: str = "") -> None:
        self.command, self.code = tuple(str(word) for word in command), code
        self.last_lines = "\n".join(stderr.strip().splitlines()[-5:])
        told = f"; it said: {' / '.join(self.last_lines.splitlines())}" if self.last_lines else ""
        ran = f" (command: {shlex.join(self.command)}; {_ending(code)})" if command else ""
        super().__init__(sentence + ran + told)


def _ending(code: int | None) -> str:
    """How a program ended, in words; it has no code if it was stopped or did not start."""
    if code is None:
        return "no exit code"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"ended by {signal.Signals(-code).name}"
    return f"exit code: {code}"


@dataclass(frozen=True)
class OslomRun:
    """A cover with its evidence: the text of the edge file and of the tp file, and what went to stderr."""

    cover: Cover
    edges: str
    tp: str
    said: str = ""


def oslom(
    graph,
    *,
    weighted: bool = True,
    directed: bool = False,
    weight: str = "weight",
    runs: int = 10,
    higher_runs: int = 50,
    seed: int = 1,
    tolerance: float = 0.1,
    assign_homeless: bool = False,
    threads: int | None = None,
    timeout: float | None = None,
) -> Cover:
    """The statistically significant modules of a graph; they may overlap (OSLOM, doi:10.1371/journal.pone.0018961).

    `graph` is a networkx graph (no multigraph), whose nodes the cover names; a scipy sparse matrix (N, N), an arc
    from row to column, whose indices it names; or an edge array (E, 2) or (E, 3) of ids and weights, whose ids it
    names. Zeros of a matrix are no edges, self loops count as none, and a node without edges is homeless. Weights are
    those of the third column, the matrix or the edge attribute `weight`, positive; `weighted=False` leaves them aside.

    `runs` are pooled, `higher_runs` at every level above (0: no levels); `tolerance` is the probability below which a
    module is significant; `assign_homeless` puts homeless nodes into modules by force; `threads` (default: all
    cores) change no result; `timeout` in seconds. The same graph, its nodes in the same order, and the same `seed`
    give the same cover. `OSLOM_BIN` may name another program for undirected graphs.

    Raises SpecDNNError for a graph that makes no sense, OslomError for a program that fails, as for bad options.
    """
    labels, edges, weights = edge_list(graph, weighted, directed, weight)
    if timeout is not None and not (isinstance(timeout, Real) and 0 < timeout <= 1e6):
        raise SpecDNNError(f"timeout must be None or seconds above 0 and at most 1000000, got {_shown(timeout)}")
    if not len(edges):
        return _labelled(Cover(()), labels)  # a file without edges is an error of the program
    found = run_program(
        edges,
        weights,
        directed=directed,
        seed=seed,
        tolerance=tolerance,
        runs=runs,
        higher_runs=higher_runs,
        assign_homeless=assign_homeless,
        threads=threads,
        timeout=timeout,
    )
    for line in found.said.splitlines():
        warnings.warn(line, stacklevel=2)
    return _labelled(found.cover, labels)


def _labelled(cover: Cover, labels: Sequence) -> Cover:
    """The cover in labels instead of positions; who is not in it (no edge told of it) is homeless."""
    modules = [dataclasses.replace(m, nodes=tuple(labels[k] for k in m.nodes)) for m in cover.modules]
    there = {k for m in cover.modules for k in m.nodes}
    alone = [Module((label,), 1.0) for k, label in enumerate(labels) if k not in there]
    return Cover(tuple(modules + alone), tuple(_labelled(level, labels) for level in cover.levels))


def edge_list(graph, weighted: bool, directed: bool, weight: str):
    """(labels of all nodes, edges (E, 2) as positions among them, weights (E,) or None) of any graph `oslom` takes.

    Every edge is there once, self loops are not. Raises SpecDNNError.
    """
    if isinstance(graph, networkx.Graph):
        labels, rows = _networkx_rows(graph, directed, weight)
    elif hasattr(graph, "tocoo"):
        labels, rows = _matrix_rows(graph, directed)
    else:
        labels, rows = _array_rows(graph)
    links: dict[tuple[int, int], float] = {}
    for a, b, told in rows:
        if a != b:
            value = _checked(told, labels[a], labels[b]) if weighted else 1.0
            first = links.setdefault((a, b) if directed else (min(a, b), max(a, b)), value)
            if first != value:
                raise SpecDNNError(_two_weights(labels[a], labels[b], first, value, directed))
    edges = np.array(list(links), dtype=np.int64).reshape(-1, 2)
    return labels, edges, np.array(list(links.values())) if weighted else None


def _checked(weight, a, b) -> float:
    """The weight of the edge a, b, if it is one."""
    if weight is None:
        raise SpecDNNError(
            f"{_edge(a, b)} has no weight: give every edge one (networkx: the attribute that weight= names), "
            "or pass weighted=False"
        )
    value = math.nan
    with contextlib.suppress(OverflowError):  # a float first: a shorter one would take the bounds for 0 and infinity
        value = float(weight) if isinstance(weight, Real) else value
    if not LEAST <= value <= MOST:
        raise SpecDNNError(f"{_edge(a, b)}: a weight must be a number from {LEAST} to {MOST}, got {_shown(weight)}")
    return value


def _shown(value) -> str:
    """Any value in one short line."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a whole number of enormous length has no text, and a label may be anything
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _edge(a, b) -> str:
    return f"edge {_shown(a)}, {_shown(b)}"


def _two_weights(a, b, first: float, second: float, directed: bool) -> str:
    way_out = "" if directed else ", or pass directed=True if they belong to the two directions"
    return f"{_edge(a, b)} comes with two weights, {first!r} and {second!r}: give it one{way_out}"


def _networkx_rows(graph: networkx.Graph, directed: bool, weight: str):
    if graph.is_multigraph():
        raise SpecDNNError("a multigraph is not supported: join its parallel edges into those of a Graph or DiGraph")
    if graph.is_directed() != directed:
        kind, other = ("undirected", "DiGraph") if directed else ("directed", "Graph")
        raise SpecDNNError(f"the graph is {kind}: pass directed={not directed}, or a networkx.{other}")
    if not isinstance(weight, Hashable):
        raise SpecDNNError(f"weight= must name an edge attribute, got {_shown(weight)}")
    labels = list(graph)
    position = {label: k for k, label in enumerate(labels)}
    return labels, ((position[a], position[b], told.get(weight)) for a, b, told in graph.edges(data=True))


def _matrix_rows(matrix, directed: bool):
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1]:
        raise SpecDNNError(f"the matrix of a graph must be square, got shape {matrix.shape}")
    entries = matrix.tocoo(copy=True)
    entries.sum_duplicates()
    entries.eliminate_zeros()
    rows = list(zip(entries.row.tolist(), entries.col.tolist(), entries.data.tolist(), strict=True))
    if not directed:
        _check_both_halves(rows)
    return range(matrix.shape[0]), rows


def _check_both_halves(rows) -> None:
    """Every entry has its mirror image; that both are equal is for `edge_list` to see."""
    there = {(a, b) for a, b, _ in rows}
    for a, b, value in rows:
        if (b, a) not in there:
            raise SpecDNNError(
                f"the matrix is not symmetric, entry ({a}, {b}) is {value!r} and ({b}, {a}) is 0: pass directed=True, "
                "or matrix.maximum(matrix.T)"
            )


def _array_rows(graph):
    array = _edge_array(graph)
    labels, positions = np.unique(array[:, :2], return_inverse=True)
    told = array[:, 2].tolist() if array.shape[1] == 3 else [None] * len(array)
    pairs = positions.reshape(-1, 2).tolist()
    return [int(label) for label in labels], ((a, b, w) for (a, b), w in zip(pairs, told, strict=True))


def _edge_array(graph) -> np.ndarray:
    array = None
    with contextlib.suppress(ValueError, TypeError, RuntimeError):  # rows of different lengths, a tensor elsewhere
        array = np.asarray(graph)
    if array is None or array.ndim != 2 or array.shape[1] not in (2, 3) or array.dtype.kind not in "iuf":
        got = f"shape {array.shape} of {array.dtype}" if array is not None and array.ndim else type(graph).__name__
        raise SpecDNNError(
            "a graph is a networkx graph, a scipy sparse matrix or an array of numbers with one row "
            f"`id id` or `id id weight` per edge, got {got}"
        )
    if array.dtype.kind == "f":
        _check_ids(array[:, :2])
    return array


def _check_ids(ids: np.ndarray) -> None:
    """Fractions hold whole numbers up to 2**53 (float64); beyond, two ids may have become one."""
    bits = np.finfo(ids.dtype).nmant + 1
    wrong = np.argwhere(~((abs(ids) < 2**bits) & (ids == np.floor(ids))))
    if len(wrong):
        row, column = wrong[0]
        raise SpecDNNError(
            f"row {row} of the edge array: an id must be a whole number, below 2**{bits} in an array of {ids.dtype}, "
            f"got {ids[row, column].item()!r}"
        )


def edge_text(edges: np.ndarray, weights: np.ndarray | None = None) -> str:
    """The edge file of edges (E, 2), with weights (E,) exact to the last bit: `source target weight`.

    Without weights there is no third column: the program would read it as a number of parallel edges.
    """
    if weights is None:
        return "".join(f"{a} {b}\n" for a, b in edges.tolist())
    rows = zip(edges.tolist(), weights.tolist(), strict=True)
    return "".join(f"{a} {b} {w!r}\n" for (a, b), w in rows)


def read_edges(text: str) -> tuple[np.ndarray, np.ndarray]:
    """The twin of `edge_text` with weights."""
    rows = [line.split() for line in text.splitlines()]
    edges = np.array([[int(a), int(b)] for a, b, _ in rows], dtype=np.int64).reshape(-1, 2)
    return edges, np.array([float(s) for _, _, s in rows], dtype=np.float64)


def tp_text(cover: Cover) -> str:
    """A cover in the tp format (two lines per module)."""
    rows = enumerate(cover.modules)
    return "".join(
        f"#module {i} size: {len(m.nodes)} bs: {m.significance:g}\n{' '.join(map(str, m.nodes))} \n" for i, m in rows
    )


def read_tp(text: str) -> Cover:
    """A tp file, read strictly; raises OslomError naming the line and what is wrong with it."""
    lines = text.splitlines()
    if not lines or len(lines) % 2:
        raise OslomError(f"tp file: expected two lines per module, got {len(lines)} lines")
    return Cover(tuple(_module(i, lines[i], lines[i + 1]) for i in range(0, len(lines), 2)))


def _module(index: int, header: str, members: str) -> Module:
    match = HEADER.fullmatch(header)
    if not match:
        raise OslomError(f"tp file line {index + 1}: expected '#module N size: N bs: X', got {header[:60]!r}")
    try:
        nodes = tuple(int(word) for word in members.split())
        significance = float(match[3])
    except ValueError as error:
        raise OslomError(f"tp file line {index + 1} or {index + 2}: {error}") from None
    if not nodes or nodes[0] < 0 or len(nodes) != int(match[2]) or list(nodes) != sorted(set(nodes)):
        raise OslomError(
            f"tp file line {index + 2}: expected {match[2]} ascending node ids, at least one, got {members[:60]!r}"
        )
    if not 0 <= significance <= 1:
        raise OslomError(f"tp file line {index + 1}: bs must be between 0 and 1, got {match[3]}")
    return Module(nodes, significance)


def with_scores(cover: Cover, text: str) -> Cover:
    """The cover with the scores of a tp_scores file: its modules in order, `node score` per member under each header.

    Raises OslomError naming the line and what is wrong with it.
    """
    lines = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if not line.startswith("#")]
    members = [node for module in cover.modules for node in module.nodes]
    if len(lines) != len(members):
        raise OslomError(f"tp_scores file: expected a score for each of {len(members)} members, got {len(lines)}")
    scores = iter([_score(*line, node) for line, node in zip(lines, members, strict=True)])
    modules = (dataclasses.replace(m, scores=tuple(itertools.islice(scores, len(m.nodes)))) for m in cover.modules)
    return dataclasses.replace(cover, modules=tuple(modules))


def _score(number: int, line: str, node: int) -> float:
    told, _, score = line.partition(" ")
    with contextlib.suppress(ValueError):
        if told == str(node) and 0 <= float(score) <= 1:
            return float(score)
    raise OslomError(f"tp_scores file line {number}: expected '{node} SCORE', a score of 0 to 1, got {line[:60]!r}")


def program(chosen: str | Path | None = None, directed: bool = False) -> Path:
    """The program to run: `chosen`, else (undirected only) `OSLOM_BIN`, else our own, built if it is missing.

    A name with a separator, as it was typed, is a path; any other is sought on the PATH.
    Raises OslomError if it is not there, cannot be executed or cannot be built.
    """
    named = os.path.expanduser(chosen or (not directed and os.environ.get("OSLOM_BIN")) or "")
    if named:
        found = named if os.sep in named else shutil.which(named)
        if not found or not os.access(found, os.X_OK) or Path(found).is_dir():
            raise OslomError(
                f"the OSLOM program {named} is not an executable file{'' if os.sep in named else ' on the PATH'}: "
                "check --oslom-bin or OSLOM_BIN"
            )
        return Path(found).absolute()
    own = PROGRAM.with_name("oslom_dir") if directed else PROGRAM
    if not own.exists():
        build()
    return own


def is_ours(chosen: str | Path | None) -> bool:
    """Whether the program for undirected graphs is our own, which knows more flags than the published ones."""
    return program(chosen).resolve() == PROGRAM.resolve()


def build() -> None:
    """Compile `oslom/`; raises OslomError when make or the compiler is missing or fails."""
    if not (SOURCE / "Makefile").is_file():
        raise OslomError(f"there are no OSLOM programs in {HERE}: install specdnn with pip, or set OSLOM_BIN")
    compiler = os.environ.get("CXX", "").split() or ["g++"]
    for tool in ("make", compiler[0]):
        if not shutil.which(tool):
            raise OslomError(
                f"the OSLOM programs must be compiled first, but {tool!r} was not found: "
                "install make and a C++17 compiler (CXX names it), or give another program with --oslom-bin"
            )
    command = ["make", "-j2", "-C", str(SOURCE), f"CXX={' '.join(compiler)}"]
    _run(command, cwd=SOURCE, timeout=600, failed="compiling oslom failed")


def run_program(
    edges: np.ndarray,
    weights: np.ndarray | None,
    *,
    binary: str | Path | None = None,
    directed: bool = False,
    seed: int = 1,
    tolerance: float = 0.1,
    runs: int = 1,
    higher_runs: int = 0,
    assign_homeless: bool = False,
    threads: int | None = None,
    timeout: float | None = 600,
) -> OslomRun:
    """Run the program on edges (E, 2) of node ids with positive weights (E,), or None for an unweighted graph.

    The options are those of `oslom`. Scores and levels are read where the program leaves them.
    Raises OslomError with the command, the exit code and the last lines of stderr.
    """
    command = [program(binary, directed), "-f", "graph", "-uw" if weights is None else "-w", "-r", runs]
    command += ["-hr", higher_runs, *([] if assign_homeless else ["-singlet"]), "-seed", seed, "-t", tolerance]
    command += [] if threads is None else ["-threads", threads]
    command, text = [str(word) for word in command], edge_text(edges, weights)
    with _folder_with(text) as folder:
        said = _run(command, cwd=folder, timeout=timeout, failed="the OSLOM program failed")
        answers = _answers(folder / "graph_oslo_files", command)
    return OslomRun(_cover(answers, edges), text, answers["tp"], said)


@contextlib.contextmanager
def _folder_with(text: str) -> Iterator[Path]:
    """A temporary folder that holds an edge file `graph`, gone afterwards."""
    with contextlib.ExitStack() as stack:
        try:
            made = tempfile.TemporaryDirectory(prefix="specdnn-oslom-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made))
            (folder / "graph").write_text(text, encoding="utf-8")
        except OSError as error:
            place = f" in {tempfile.tempdir}" if tempfile.tempdir else ""
            raise OslomError(f"cannot write the edge file{place} ({error.strerror}): {OTHER_PLACE}") from None
        yield folder


def _answers(folder: Path, command) -> dict[str, str]:
    """Name -> text of the files that make up the cover: tp, and where they are there tp_scores, tp1, tp2, ..."""
    levels = itertools.takewhile(lambda name: (folder / name).exists(), (f"tp{k}" for k in itertools.count(1)))
    scores = ["tp_scores"] if (folder / "tp_scores").exists() else []
    return {name: _answer(folder / name, command) for name in ["tp", *scores, *levels]}


def _answer(path: Path, command) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise OslomError(f"the OSLOM program ended well but left no readable {path.name} file", command, 0) from None


def _cover(answers: dict[str, str], edges: np.ndarray) -> Cover:
    cover, *levels = (_known_nodes(read_tp(text), edges) for name, text in answers.items() if name != "tp_scores")
    cover = dataclasses.replace(cover, levels=tuple(levels))
    return with_scores(cover, answers["tp_scores"]) if "tp_scores" in answers else cover


def _known_nodes(cover: Cover, edges: np.ndarray) -> Cover:
    strangers = {node for module in cover.modules for node in module.nodes} - set(edges.ravel().tolist())
    if strangers:
        raise OslomError(f"tp file: node {min(strangers)} is not in the edge file")
    return cover


def _run(command, *, cwd, timeout: float | None, failed: str) -> str:
    """What a program that ended well wrote to stderr."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:  # in a session of its own, so that all that it starts can be ended with it
        process = subprocess.Popen(command, cwd=cwd, **pipes, start_new_session=True)
    except OSError as error:
        raise OslomError(f"{failed}: {error.strerror}", command) from None
    try:
        with process, _ended_if_left(process):
            _, said = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        sentence, said = f"{failed}: no answer within {timeout:g} seconds", error.stderr or b""
        raise OslomError(sentence, command, None, said.decode(errors="replace")) from None
    text = said.decode(errors="replace")
    if process.returncode:
        failed += f", for lack of room: {OTHER_PLACE}" if _lacked_room(process.returncode, text) else ""
        raise OslomError(failed, command, process.returncode, text)
    return text


def _lacked_room(code: int, said: str) -> bool:
    return code == -signal.SIGXFSZ or any(os.strerror(number) in said for number in FULL)


@contextlib.contextmanager
def _ended_if_left(process: subprocess.Popen) -> Iterator[None]:
    """An exception on the way (no time left, Ctrl-C, a signal) ends the program and all that it started.

    It may tidy up, but not for long.
    """
    try:
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            try:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(PATIENCE)
            finally:
                os.killpg(process.pid, signal.SIGKILL)
        raise
