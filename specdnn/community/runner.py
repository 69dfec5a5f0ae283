"""Edges -> edge file, the OSLOM program in a temporary folder, its files -> cover with its evidence."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from specdnn.community import formats, processes
from specdnn.community.binaries import program
from specdnn.community.errors import OslomError
from specdnn.community.formats import CommunityRun


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
) -> CommunityRun:
    """Run the program on edges (E, 2) of node ids with positive weights (E,), or None for an unweighted graph.

    The options are those of `oslom`. Scores and levels are read where the program leaves them.
    Raises OslomError with the command, the exit code and the last lines of stderr.
    """
    words: list[object] = [program(binary, directed), "-f", "graph", "-uw" if weights is None else "-w", "-r", runs]
    words += ["-hr", higher_runs, *([] if assign_homeless else ["-singlet"]), "-seed", seed, "-t", tolerance]
    words += [] if threads is None else ["-threads", threads]
    command, text = [str(word) for word in words], formats.edge_text(edges, weights)
    with _folder_with(text) as folder:
        said = processes.run(command, cwd=folder, timeout=timeout, failed="the OSLOM program failed")
        answers = _answers(folder / "graph_oslo_files", command)
    return CommunityRun(formats.read_answers(answers, edges), text, answers["tp"], said)


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
            raise OslomError(f"cannot write the edge file{place} ({error.strerror}): {processes.OTHER_PLACE}") from None
        yield folder


def _answers(folder: Path, command: list[str]) -> dict[str, str]:
    """Name -> text of the files that make up the cover."""
    names = formats.answer_names(lambda name: (folder / name).exists())
    return {name: _answer(folder / name, command) for name in names}


def _answer(path: Path, command: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise OslomError(f"the OSLOM program ended well but left no readable {path.name} file", command, 0) from None
