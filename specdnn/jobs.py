"""Groups of tasks done by a crew, in their order: by several processes, or whatever else takes tasks and answers.

One that dies costs its group a second try; a signal ends them all. joblib's own pools end every process as soon as one
dies, so what is used of it is what they are made of: processes that start fresh, beside threads and CUDA, and can be
sent what the folder of a data set defines.
"""

from __future__ import annotations

import contextlib
import io
import signal
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Protocol, TypeAlias, cast

PATIENCE = 10  # seconds that a process gets to tidy up when it is told to end

Say: TypeAlias = Callable[[str], None]
Do: TypeAlias = Callable[[Any], str]  # a task -> what went wrong, empty if nothing did
Opening: TypeAlias = Callable[[Say], Do]  # makes that in a process, once, given where its lines go


@dataclass(frozen=True)
class Outcome:
    """What a task said, line by line, what it wrote to stderr, and what went wrong."""

    lines: tuple[str, ...] = ()
    noise: str = ""
    failure: str = ""


class Lost(Exception):
    """Nothing more will be heard of a task, in words that go on from `seed 1, class 3, OSLOM: `."""


class Worker(Protocol):
    """Does one task at a time, of the group that it has."""

    group: Group | None

    def send(self, task: Hashable) -> None:
        """Give it a task. If it is there no more, that is noticed when it is listened to."""

    def receive(self) -> Outcome:
        """What came of the task; raises `Lost` if nothing did."""


class Crew(Protocol):
    """Several workers, which may come and go."""

    @property
    def workers(self) -> Sequence[Worker]:
        """Those that can work at a group."""

    def heard(self) -> Sequence[Worker]:
        """Wait, not forever, and return those who have something to say of their task."""

    def close(self) -> None:
        """End all work and all that was started for it."""


# ------------------------------------------------------------------------------------------ in the driver


def outcomes(
    groups: Sequence[Sequence[Hashable]], crew: Crew, running: Callable[[list[Any], int], None]
) -> Generator[list[Outcome], None, None]:
    """What the tasks of each group left, group by group in their order, as soon as that is known.

    The tasks of a group follow each other with one worker. `running(tasks, done)` is told what runs, and how many
    tasks are done, whenever that changes. However this ends, the crew is closed.
    """
    waiting, done, told = [Group(number, tasks) for number, tasks in enumerate(groups)], dict[int, list[Outcome]](), 0
    try:
        while told < len(groups):
            _hand_out(waiting, crew)
            busy = [worker.group for worker in crew.workers if worker.group]
            running([group.left[0] for group in busy], sum(map(len, groups)) - _left([*waiting, *busy]))
            for worker in crew.heard():
                group = _listen(worker, waiting)
                if not group.left:
                    done[group.number] = group.outcomes
            while told in done:
                yield done.pop(told)
                told += 1
    finally:
        crew.close()


class Group:
    """Tasks that follow each other: those that are left, and what the others left."""

    def __init__(self, number: int, tasks: Sequence[Hashable]) -> None:
        self.number, self.left, self.outcomes, self.tries = number, list(tasks), list[Outcome](), 2

    def heard(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        del self.left[0]

    def lost(self, how: str) -> None:
        """The task in hand is tried once more, or the group is given up."""
        self.tries -= 1
        if self.tries:
            self.outcomes.append(Outcome((f"{self.left[0]}: {how}, so it is tried once more",)))
            return
        first, *others = self.left
        self.outcomes.append(_failed(first, f"{how}, for the second time"))
        self.outcomes += [_failed(task, "not begun, as the one before it was lost twice") for task in others]
        self.left = []


def _failed(task: Hashable, why: str) -> Outcome:
    return Outcome((f"{task} failed: {why}",), failure=f"{task} ({why})")


def _left(groups: Sequence[Group]) -> int:
    return sum(len(group.left) for group in groups)


def _hand_out(waiting: list[Group], crew: Crew) -> None:
    for worker in crew.workers:
        if worker.group is None and waiting:
            worker.group = waiting.pop(0)
            worker.send(worker.group.left[0])


def _listen(worker: Worker, waiting: list[Group]) -> Group:
    """Take what a worker says of its task, and give it the next one. A group that lost its worker is next in turn."""
    group = cast(Group, worker.group)  # as it has something to say
    try:
        group.heard(worker.receive())
    except Lost as error:
        worker.group = None
        group.lost(str(error))
        waiting[:0] = [group] if group.left else []
        return group
    if group.left:
        worker.send(group.left[0])
    else:
        worker.group = None
    return group


# ------------------------------------------------------------------------------------------ a crew of processes


class Processes:
    """Processes on this machine, each started for its first task. `opening` is called once in each of them."""

    def __init__(self, number: int, opening: Opening) -> None:
        self.workers = [_Process(opening) for _ in range(number)]

    def heard(self) -> list[_Process]:
        busy = {worker.pipe: worker for worker in self.workers if worker.group}
        return [busy[cast(Connection, pipe)] for pipe in connection.wait(list(busy))]

    def close(self) -> None:
        _end([worker.process for worker in self.workers if worker.process])


class _Process:
    """A worker that is a process, when there is one."""

    pipe: Connection  # there is one as long as there is a process

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.process: BaseProcess | None = None
        self.group: Group | None = None

    def send(self, task: Hashable) -> None:
        if self.process is None:
            self._start()
        with contextlib.suppress(ConnectionError):
            self.pipe.send(task)

    def receive(self) -> Outcome:
        try:
            return cast(Outcome, self.pipe.recv())
        except (EOFError, ConnectionError):
            process, self.process = cast(BaseProcess, self.process), None
            self.pipe.close()
            raise Lost(f"its process {_how_it_ended(process)}") from None

    def _start(self) -> None:
        """A fresh process. Ctrl-C and the end of the terminal are not for it: the driver hears them, and ends it."""
        from joblib.externals.loky.backend import get_context

        context = get_context("loky")
        self.pipe, theirs = context.Pipe()
        self.process = process = context.Process(target=_serve, args=(theirs, self.opening))
        resource_tracker.ensure_running()  # if this were done in between, it would let the signals through
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))  # which is inherited
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()


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
            if process.is_alive():
                process.kill()
            process.join()


# ------------------------------------------------------------------------------------------ in a process of its own


class _Ended(KeyboardInterrupt):
    """The driver ends this process: everything is tidied up on the way out."""


def _serve(pipe: Connection, opening: Opening) -> None:
    """Do one task after the other, as long as the driver is there."""

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # to be told once is enough
        raise _Ended

    signal.signal(signal.SIGTERM, end)
    lines: list[str] = []
    with contextlib.suppress(_Ended, EOFError, BrokenPipeError):
        do = opening(lines.append)
        while True:
            task = pipe.recv()
            lines.clear()
            pipe.send(done(do, task, lines))


def done(do: Do, task: Hashable, lines: list[str]) -> Outcome:
    """Progress bars are silent where stderr is no terminal; what else is written there is kept together."""
    with contextlib.redirect_stderr(io.StringIO()) as noise:
        failure = do(task)
    return Outcome(tuple(lines), noise.getvalue(), failure)
