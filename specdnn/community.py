"""Edge file, the oslom program, tp file -> Cover. Knows nodes and edges only.

The program is the one of `oslom/`, built on first use, or any other with the same command line and files
(`--oslom-bin`, `OSLOM_BIN`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specdnn.structures import Cover, Module, SpecDNNError

SOURCE = Path(__file__).resolve().parent.parent / "oslom"
PROGRAM = SOURCE / "bin" / "oslom_undir"
HEADER = re.compile(r"#(?:module|group) (\d+) size: (\d+) bs: (\S+)\s*")


class OslomError(SpecDNNError):
    """The program could not be built or run, or its answer cannot be read."""

    def __init__(self, sentence: str, command=(), code: int | None = None, stderr: str = "") -> None:
        self.command, self.code = tuple(str(word) for word in command), code
        self.last_lines = "\n".join(stderr.strip().splitlines()[-5:])
        told = f"; it said: {self.last_lines}" if self.last_lines else ""
        ran = f" (command: {' '.join(self.command)}; exit code: {code})" if command else ""
        super().__init__(sentence + ran + told)


@dataclass(frozen=True)
class OslomRun:
    """A cover with its evidence: the text of the edge file and of the tp file."""

    cover: Cover
    edges: str
    tp: str


def edge_text(edges: np.ndarray, strengths: np.ndarray) -> str:
    """The edge file of edges (E, 2) and strengths (E,): `source target strength`, exact to the last bit."""
    rows = zip(edges.tolist(), strengths.tolist(), strict=True)
    return "".join(f"{a} {b} {s!r}\n" for (a, b), s in rows)


def read_edges(text: str) -> tuple[np.ndarray, np.ndarray]:
    """The twin of `edge_text`."""
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


def program(chosen: Path | None = None) -> Path:
    """The program to run: `chosen`, else `OSLOM_BIN`, else our own, built if it is missing.

    Raises OslomError if it is not there, cannot be executed or cannot be built.
    """
    named = chosen or os.environ.get("OSLOM_BIN")
    if named:
        found = shutil.which(named) if os.sep not in str(named) else str(named)
        if not found or not os.access(found, os.X_OK) or Path(found).is_dir():
            raise OslomError(f"the OSLOM program {named} is not an executable file: check --oslom-bin or OSLOM_BIN")
        return Path(found).absolute()
    if not PROGRAM.exists():
        build()
    return PROGRAM


def build() -> None:
    """Compile `oslom/`; raises OslomError when make or the compiler is missing or fails."""
    compiler = os.environ.get("CXX", "g++").split()[0]
    for tool in ("make", compiler):
        if not shutil.which(tool):
            raise OslomError(
                f"the program oslom_undir must be compiled first, but {tool!r} was not found: "
                "install make and a C++17 compiler (CXX names it), or give another program with --oslom-bin"
            )
    _run(["make", "-C", str(SOURCE)], cwd=SOURCE, timeout=600, failed="compiling oslom failed")


def oslom(
    edges: np.ndarray,
    strengths: np.ndarray,
    *,
    binary: Path | None = None,
    seed: int = 1,
    tolerance: float = 0.1,
    runs: int = 1,
    timeout: float = 600,
) -> OslomRun:
    """Run the program on a weighted, undirected graph, one level, homeless nodes left homeless.

    `edges` (E, 2) node ids, `strengths` (E,) positive; `tolerance` is the significance level P,
    `timeout` in seconds. Raises OslomError with the command, the exit code and the last lines of stderr.
    """
    executable = program(binary)
    text = edge_text(edges, strengths)
    with tempfile.TemporaryDirectory(prefix="specdnn-oslom-") as folder:
        (Path(folder) / "graph").write_text(text)
        command = [executable, "-f", "graph", "-w", "-r", runs, "-hr", 0, "-singlet", "-seed", seed, "-t", tolerance]
        command = [str(word) for word in command]
        _run(command, cwd=folder, timeout=timeout, failed="the OSLOM program failed")
        tp = _answer(Path(folder) / "graph_oslo_files" / "tp", command)
    return OslomRun(_known_nodes(read_tp(tp), edges), text, tp)


def _answer(path: Path, command) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        raise OslomError("the OSLOM program ended well but left no readable tp file", command, 0) from None


def _known_nodes(cover: Cover, edges: np.ndarray) -> Cover:
    strangers = {node for module in cover.modules for node in module.nodes} - set(edges.ravel().tolist())
    if strangers:
        raise OslomError(f"tp file: node {min(strangers)} is not in the edge file")
    return cover


def _run(command, *, cwd, timeout: float, failed: str) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, timeout=timeout, capture_output=True, text=True, errors="replace")
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"").decode(errors="replace")
        raise OslomError(f"{failed}: no answer within {timeout:g} seconds", command, None, said) from None
    except OSError as error:
        raise OslomError(f"{failed}: {error.strerror}", command) from None
    if done.returncode:
        raise OslomError(failed, command, done.returncode, done.stderr)
