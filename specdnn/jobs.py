"""Groups of tasks in several processes. A process that dies costs its group a second try; a signal ends them all.

joblib's own pools end every process as soon as one dies, so what is used of it is what they are made of: processes
that start fresh, beside threads and CUDA, and can be sent what the folder of a data set defines.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeAlias, TypeVar, cast

PATIENCE = 10  # seconds that a process gets to tidy up when it is told to end

Say = Callable[[str], None]
Task = TypeVar("Task", bound=Hashable)
Do: TypeAlias = Callable[[Task], str]  # a task -> what went wrong, empty if nothing did
Opening: TypeAlias = Callable[[Say], Do[Task]]  # makes that in a process, once, given where its lines go


@dataclass(frozen=True)
class Outcome:
    """What a task said, line by line, what it wrote to stderr, and what went wrong."""

    lines: tuple[str, ...] = ()
    noise: str = ""
    failure: str = ""


# ------------------------------------------------------------------------------------------ in the driver


def outcomes(
    groups: Sequence[Sequence[Task]],
    processes: int,
    opening: Opening[Task],
    running: Callable[[list[Task], int], None],
) -> Generator[list[Outcome], None, None]:
    """What the tasks of each group left, group by group in their order, as soon as that is known.

    The tasks of a group follow each other in one process. `running(tasks, done)` is told what runs, and
    how many tasks are done, whenever that changes. However this ends, with it end all processes and what they started.
    """
    waiting, done, told = list(enumerate(groups)), dict[int, list[Outcome]](), 0
    workers = [_Worker(opening) for _ in groups[:processes]]
    try:
        while told < len(groups):
            for worker in workers:
                if worker.idle and waiting:
                    worker.take(*waiting.pop(0))
            busy = {worker.pipe: worker for worker in workers if not worker.idle}
            left = sum(len(group) for _, group in waiting) + sum(len(worker.left) for worker in workers)
            running([worker.left[0] for worker in busy.values()], sum(map(len, groups)) - left)
            for pipe in connection.wait(list(busy)):
                worker = busy[cast(Connection, pipe)]
                worker.hear()
                if worker.idle:
                    done[worker.number] = worker.outcomes
            while told in done:
                yield done.pop(told)
                told += 1
    finally:
        _end([worker.process for worker in workers if worker.process])


class _Worker(Generic[Task]):
    """A process, when there is one, and the group that it works at."""

    pipe: Connection  # there is one as long as it works at a group

    def __init__(self, opening: Opening[Task]) -> None:
        self.opening, self.number, self.tries = opening, -1, 0
        self.process: BaseProcess | None = None
        self.left: list[Task] = []
        self.outcomes: list[Outcome] = []

    @property
    def idle(self) -> bool:
        return not self.left

    def take(self, number: int, group: Sequence[Task]) -> None:
        self.number, self.left, self.outcomes, self.tries = number, list(group), [], 2
        self._send()

    def hear(self) -> None:
        """Take what the process says of its task, or notice that it is there no more."""
        try:
            self.outcomes.append(self.pipe.recv())
        except (EOFError, ConnectionError):
            self._died()
        else:
            del self.left[0]
            if self.left:
                self._send()

    def _send(self) -> None:
        """Give the next task to the process. One that has died meanwhile is found when it is listened to."""
        if self.process is None:
            self._start()
        with contextlib.suppress(ConnectionError):
            self.pipe.send(self.left[0])

    def _start(self) -> None:
        """A fresh process. Ctrl-C and the end of the terminal are not for it: the driver hears them, and ends it."""
        from joblib.externals.loky.backend import get_context

        context = get_context("loky")
        self.pipe, theirs = context.Pipe()
        started = self.process = context.Process(target=_serve, args=(theirs, self.opening))
        resource_tracker.ensure_running()  # if this were done in between, it would let the signals through
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))  # which is inherited
        try:
            started.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def _died(self) -> None:
        """Have another process go on with the group, or give the group up."""
        how, self.process = _how_it_ended(cast(BaseProcess, self.process)), None
        self.pipe.close()
        self.tries -= 1
        if self.tries:
            again = f"{self.left[0]}: its process {how}, so it is tried once more in a new one"
            self.outcomes.append(Outcome((again,)))
            self._send()
            return
        first, *others = self.left
        self.outcomes.append(_lost(first, f"its process {how}, for the second time"))
        self.outcomes += [_lost(task, "not begun, as its process was lost twice") for task in others]
        self.left = []


def _lost(task: Hashable, why: str) -> Outcome:
    return Outcome((f"{task} failed: {why}",), failure=f"{task} ({why})")


def _how_it_ended(process: BaseProcess) -> str:
    """That of a process that has nothing more to say."""
    process.join(PATIENCE)
    _end([process])
    code = process.exitcode or 0
    if code == -signal.SIGKILL:
        return "was ended by SIGKILL (is there too little memory?)"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _end(processes: Iterable[BaseProcess]) -> None:
    """End processes and what they started. They may tidy up, but not for long."""
    until = time.monotonic() + PATIENCE
    started = [process for process in processes if process.pid]
    try:
        for process in started:
            process.terminate()
        for process in started:
            process.join(max(0, until - time.monotonic()))
    finally:
        for process in started:
            if process.is_alive() and process.pid:
                os.kill(process.pid, signal.SIGKILL)
            process.join()


# ------------------------------------------------------------------------------------------ in a process of its own


class _Ended(KeyboardInterrupt):
    """The driver ends this process: everything is tidied up on the way out."""


def _serve(pipe: Connection, opening: Opening[Any]) -> None:
    """Do one task after the other, as long as the driver is there."""

    def end(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # to be told once is enough
        raise _Ended

    signal.signal(signal.SIGTERM, end)
    lines: list[str] = []
    with contextlib.suppress(_Ended, EOFError, BrokenPipeError):
        do = opening(lines.append)
        while True:
            task = pipe.recv()
            lines.clear()
            pipe.send(_done(do, task, lines))


def _done(do: Do[Task], task: Task, lines: list[str]) -> Outcome:
    """Progress bars are silent where stderr is no terminal; what else is written there is kept together."""
    with contextlib.redirect_stderr(io.StringIO()) as noise:
        failure = do(task)
    return Outcome(tuple(lines), noise.getvalue(), failure)
