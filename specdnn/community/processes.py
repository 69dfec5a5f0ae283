"""Run one program to its end, or end it and all that it started: no time left, a signal, no room on the disk."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from specdnn.community.errors import OslomError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room for a file
OTHER_PLACE = "make room, or let TMPDIR name another folder for temporary files"
PATIENCE = 2  # seconds that a program gets to end by itself when it is told to


def run(command: Sequence[str], *, cwd: Path, timeout: float | None, failed: str) -> str:
    """What a program that ended well wrote to stderr."""
    nothing, piped = subprocess.DEVNULL, subprocess.PIPE
    try:  # in a session of its own, so that all that it starts can be ended with it
        process = subprocess.Popen(command, cwd=cwd, stdin=nothing, stdout=piped, stderr=piped, start_new_session=True)
    except OSError as error:
        raise OslomError(f"{failed}: {error.strerror}", command) from None
    try:
        with process, _ended_if_left(process), _ended_if_we_die(process):
            said = _said(process, timeout)
    except subprocess.TimeoutExpired as error:
        sentence, said = f"{failed}: no answer within {timeout:g} seconds", error.stderr or b""
        raise OslomError(sentence, command, None, said.decode(errors="replace")) from None
    text = said.decode(errors="replace")
    if process.returncode:
        failed += f", for lack of room: {OTHER_PLACE}" if _lacked_room(process.returncode, text) else ""
        raise OslomError(failed, command, process.returncode, text)
    return text


def _said(process: subprocess.Popen[bytes], timeout: float | None) -> bytes:
    """What it writes to stderr. It is looked at every second, so that another thread can have this one stop waiting."""
    until = math.inf if timeout is None else time.monotonic() + timeout
    while True:
        try:
            said: bytes = process.communicate(timeout=min(1, max(0, until - time.monotonic())))[1]
            return said
        except subprocess.TimeoutExpired:
            if time.monotonic() >= until:
                raise


def _lacked_room(code: int, said: str) -> bool:
    return code == -signal.SIGXFSZ or any(os.strerror(number) in said for number in FULL)


@contextlib.contextmanager
def _ended_if_we_die(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Where this process is killed, and can tidy up nothing, a shell that then reads to its end ends the program."""
    command = ["/bin/sh", "-c", 'read -r nothing; kill -s KILL -- "-$0"', str(process.pid)]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    with subprocess.Popen(command, stdin=subprocess.PIPE, **quiet) as watch:
        try:
            yield
        finally:
            watch.kill()


@contextlib.contextmanager
def _ended_if_left(process: subprocess.Popen[bytes]) -> Iterator[None]:
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
