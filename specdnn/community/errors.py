"""What goes wrong around the OSLOM program, in one sentence with the command, the exit code and the last words."""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections.abc import Sequence

from specdnn.structures import SpecDNNError


class OslomError(SpecDNNError):
    """The program could not be built or run, or its answer cannot be read."""

    def __init__(
        self, sentence: str, command: Sequence[object] = (), code: int | None = None, stderr: str = ""
    ) -> None:
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
