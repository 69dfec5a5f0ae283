"""Where the OSLOM program lies: at a named place, in an installed package, or in `oslom/`, compiled on first use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from specdnn.community.errors import OslomError
from specdnn.community.processes import run

PACKAGE = Path(__file__).resolve().parent.parent
SOURCE = PACKAGE.parent / "oslom"
PROGRAM = (PACKAGE if (PACKAGE / "bin").is_dir() else SOURCE) / "bin" / "oslom_undir"  # setup.py: into the package


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
        raise OslomError(f"there are no OSLOM programs in {PACKAGE}: install specdnn with pip, or set OSLOM_BIN")
    compiler = os.environ.get("CXX", "").split() or ["g++"]
    for tool in ("make", compiler[0]):
        if not shutil.which(tool):
            raise OslomError(
                f"the OSLOM programs must be compiled first, but {tool!r} was not found: "
                "install make and a C++17 compiler (CXX names it), or give another program with --oslom-bin"
            )
    command = ["make", "-j2", "-C", str(SOURCE), f"CXX={' '.join(compiler)}"]
    run(command, cwd=SOURCE, timeout=600, failed="compiling oslom failed")
