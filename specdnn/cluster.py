"""The workers of a Dask cluster as a crew for `jobs.outcomes`: they do tasks as processes on this machine do.

With `distributed.Client`, not with joblib's Dask backend. That one gives tasks to all threads of a worker, but torch's
random numbers belong to a process, so a worker may do one task at a time; the tasks of a group would not stay with one
worker; how often a task whose worker dies is tried again is set at the scheduler; and when it is given up, so are all
others.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import dataclasses
import hashlib
import importlib
import importlib.metadata
import logging
import os
import pickle
import queue
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import specdnn
from specdnn import files, jobs
from specdnn.jobs import Lost, Outcome
from specdnn.structures import SpecDNNError, first_line

PATIENCE = 5  # seconds that a scheduler gets to answer, and that it may be without workers before that is told
ANSWER = 60  # seconds that an answer may be on its way: the worker may die meanwhile, and Dask would wait for its like
LOOK = 1.0  # seconds between two looks at which workers there are
# What torch reads when it is loaded: a worker has it as the driver does.
ENVIRONMENT = ("GOMP_SPINCOUNT", "CUBLAS_WORKSPACE_CONFIG")

Say: TypeAlias = Callable[[str], None]
Packed: TypeAlias = Any  # what a worker needs for a task
Made: TypeAlias = Any  # what it gives back, beside what it says
Do: TypeAlias = Callable[[Packed], tuple[str, Made]]  # -> what went wrong, empty if nothing did; what was made
Opening: TypeAlias = Callable[
    [Path, Say], Do
]  # makes that on a worker, once, given a folder of its own and where its lines go


@dataclasses.dataclass(frozen=True)
class Sent:
    """What every worker gets once: modules to import (path -> content), settings, and a pickled `Opening`."""

    code: dict[str, bytes]
    environment: dict[str, str]
    opening: bytes

    @classmethod
    def of(cls, code: dict[str, bytes], opening: Opening) -> Sent:
        import cloudpickle

        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        return cls(code, environment, cloudpickle.dumps(opening))


def facts() -> dict[str, str]:
    """What has to be the same everywhere."""
    digest, place = hashlib.sha256(), Path(specdnn.__file__).parent
    for path in sorted(place.rglob("*.py")):
        digest.update(path.read_bytes())
    versions = {"specdnn": specdnn.__version__, "torch": importlib.metadata.version("torch")}
    return {**versions, "the source of specdnn": digest.hexdigest()[:12]}


# ------------------------------------------------------------------------------------------ in the driver


@contextlib.contextmanager
def connected(address: str, warn: Say) -> Iterator[Cluster]:
    """A cluster, for as long as it is needed; `warn` tells what the user should know.

    Raises SpecDNNError if no scheduler answers, or if it, or every worker that there is, has other versions.
    """
    found = Cluster(address, _client(address), warn)
    try:
        found.look()
        yield found
    finally:
        found.close()


def _client(address: str) -> Any:
    """The connection to a scheduler. What distributed logs of its loss is told in a sentence instead."""
    try:
        from distributed import Client
    except ImportError:
        raise SpecDNNError("--scheduler needs Dask: pip install 'specdnn[cluster]'") from None
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        kind = asyncio.run(asyncio.wait_for(_kind_at(address), PATIENCE))  # as Client waits on for one that is silent
        if kind != "Scheduler":
            raise ValueError(f"a {kind.lower()} does")
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except Exception as error:  # nobody is there, or something that speaks otherwise
        told = f"no Dask scheduler answers there ({first_line(error)}); `dask scheduler` starts one and says where"
        raise SpecDNNError(f"--scheduler {address}: {told}") from None
    try:
        compare("the scheduler", client.run_on_scheduler(facts))  # which unpacks tasks, too
    except BaseException as error:
        client.close(timeout=PATIENCE)
        if isinstance(error, ImportError):
            raise SpecDNNError(_lacking("the scheduler", error)) from None
        raise
    return client


async def _kind_at(address: str) -> str:
    """What part of a cluster answers at an address."""
    from distributed import Security, rpc

    security = Security().get_connection_args("client")
    async with rpc(address, timeout=PATIENCE, connection_args=security) as there:
        kind: str = (await there.identity())["type"]
        return kind


class Cluster:
    """A crew whose workers may come and go.

    A worker that cannot take part is left out and told; if there are others, but none that can, this is a SpecDNNError.
    """

    def __init__(self, address: str, client: Any, warn: Say) -> None:
        self.address, self.client, self.warn = address, client, warn
        self.token, self.news = uuid.uuid4().hex, queue.SimpleQueue[object]()
        self.seats: dict[str, _Seat] = {}
        self.refused: dict[str, str] = {}  # address -> why
        self.untold: list[str] = []
        self.sent: Sent | None = None
        self.looked = self.seen = time.monotonic()
        from distributed.client import ClosedClientError

        # what is raised where a scheduler does not answer any more
        self._gone = (OSError, asyncio.TimeoutError, ClosedClientError, RuntimeError)

    def crew(
        self, sent: Sent, pack: Callable[[Any], Packed], unpack: Callable[[Any, Outcome, Made], Outcome]
    ) -> Cluster:
        """The same, given what workers need to begin.

        `pack(task)`: what is sent for a task, or its Outcome where a worker has nothing to do. `unpack(task, outcome,
        made)`: its Outcome, from what a worker said and made.
        """
        self.sent, self.pack, self.unpack = sent, pack, unpack
        return self

    @property
    def workers(self) -> list[_Seat]:
        return [seat for seat in self.seats.values() if seat.group or (seat.ready and not seat.gone)]

    def heard(self) -> list[_Seat]:
        with contextlib.suppress(queue.Empty):
            self.news.get(timeout=LOOK)
        if time.monotonic() - self.looked >= LOOK or not self.workers:
            self.look()
        return [seat for seat in self.workers if seat.group and seat.answered]

    def submit(self, seat: _Seat, name: str, function: Callable[..., Any], *given: Any) -> Any:
        """A task for this very worker."""
        key = f"{name}-{uuid.uuid4().hex}"
        with self._told_if_gone():
            future = self.client.submit(function, self.token, *given, key=key, workers=[seat.address], retries=0)
        future.add_done_callback(self.news.put)
        return future

    def close(self) -> None:
        """Cancel what waits, have workers end what they do, and forget all about it."""
        if self.client.status == "closed":
            return
        with contextlib.suppress(*self._gone):
            self.client.cancel([seat.future for seat in self.seats.values() if seat.future])
            self.client.run(forget, self.token, on_error="ignore")
        self.client.close(timeout=PATIENCE)

    # ---- who is there

    def look(self) -> None:
        """Notice who is gone, who is new, and who has opened what it was sent."""
        self.looked = time.monotonic()
        with self._told_if_gone():
            there = set(self.client.nthreads())
            self._part(there)
            self._meet(there - {*self.seats, *self.refused})
            self._begin()
        self._tell(there)

    @contextlib.contextmanager
    def _told_if_gone(self) -> Iterator[None]:
        try:
            yield
        except self._gone:
            told = "the scheduler is gone; finished steps are kept and the same command goes on from them"
            raise SpecDNNError(f"--scheduler {self.address}: {told}") from None

    def _part(self, there: set[str]) -> None:
        """A worker that is gone stays until its group has heard of it."""
        for address, seat in list(self.seats.items()):
            seat.gone |= address not in there
            if seat.gone and seat.group is None:
                del self.seats[address]
                if seat.future and not seat.ready:
                    self.untold.append(f"worker {address} was gone before it could begin")
        self.refused = {address: why for address, why in self.refused.items() if address in there}

    def _meet(self, new: set[str]) -> None:
        """Take in those who have the versions of the driver."""
        answers = self.client.run(facts, workers=list(new), on_error="return") if new else {}
        for address, answer in answers.items():
            if isinstance(answer, OSError):  # it does not answer now: the next look decides
                continue
            try:
                compare(f"worker {address}", answer)
                self.seats[address] = _Seat(self, address)
            except SpecDNNError as error:
                self._refuse(address, str(error))

    def _begin(self) -> None:
        """Send workers what they need to begin, once it is known; those that have opened it are ready."""
        fresh = [seat for seat in self.seats.values() if self.sent and not seat.future]
        if fresh:
            addresses = [seat.address for seat in fresh]
            self.client.run(greet, self.token, self.sent, workers=addresses, on_error="ignore")
        for seat in fresh:
            seat.future = self.submit(seat, "open", open_sent)
        for seat in list(self.seats.values()):
            if seat.future and seat.future.done() and not (seat.ready or seat.gone):
                self._opened(seat)

    def _opened(self, seat: _Seat) -> None:
        try:
            seat.future.result(timeout=ANSWER)
            seat.ready = True
        except Exception as error:  # the user's mistake, or what nobody foresaw
            self._refuse(seat.address, f"worker {seat.address} cannot begin: {first_line(error)}")

    def _refuse(self, address: str, why: str) -> None:
        self.refused[address] = why
        self.untold.append(f"{why}; it is left out")
        self.seats.pop(address, None)

    def _tell(self, there: set[str]) -> None:
        """Raise SpecDNNError if all who are there are left out; say once that nobody is there, if that lasts."""
        if there and there <= set(self.refused):
            raise SpecDNNError(f"--scheduler {self.address}: {next(iter(self.refused.values()))}")
        while self.untold:
            self.warn(self.untold.pop(0))
        if there:
            self.seen = time.monotonic()
        elif time.monotonic() - self.seen > PATIENCE:
            self.warn(f"--scheduler {self.address} has no worker: waiting for one (`dask worker {self.address}`)")
            self.seen = float("inf")


class _Seat:
    """A worker, known by its address. It takes tasks as soon as it has opened what it was sent."""

    def __init__(self, cluster: Cluster, address: str) -> None:
        self.cluster, self.address = cluster, address
        self.group: jobs.Group | None = None
        self.task: Hashable = None
        self.future: Any = None
        self.outcome: Outcome | None = None
        self.ready, self.gone = False, False

    @property
    def answered(self) -> bool:
        return self.gone or self.outcome is not None or bool(self.future.done())

    def send(self, task: Hashable) -> None:
        packed = self.cluster.pack(task)
        self.task, self.outcome = task, packed if isinstance(packed, Outcome) else None
        if self.outcome:
            self.cluster.news.put(self)
        else:
            self.future = self.cluster.submit(self, str(task), do_task, packed)

    def receive(self) -> Outcome:
        if self.outcome:
            return self.outcome
        if self.gone:
            self.cluster.client.cancel([self.future])
            raise Lost(self._how("is gone (did it end, or is there too little memory?)"))
        try:
            outcome, made = self.future.result(timeout=ANSWER)
        except Exception as error:
            self.gone = isinstance(error, Forgotten)  # the next look finds it anew
            raise Lost(self._how(f"met {type(error).__name__}: {first_line(error)}")) from None
        return self.cluster.unpack(self.task, outcome, made)

    def _how(self, text: str) -> str:
        return f"its worker {self.address} {text}"


def compare(who: str, answer: dict[str, str] | Exception) -> None:
    """Raise SpecDNNError where an answer to `facts` differs from the driver's, or is none."""
    if isinstance(answer, Exception):
        raise SpecDNNError(_lacking(who, answer))
    for name, ours in facts().items():
        if answer[name] != ours:
            raise SpecDNNError(
                f"{who} has another version of {name} than the driver: {answer[name]}, not {ours}; install the same"
            )


def _lacking(who: str, error: Exception) -> str:
    return f"{who} cannot run specdnn ({first_line(error)}): install specdnn {specdnn.__version__} there, as here"


# ------------------------------------------------------------------------------------------ on a worker


class _Ended(BaseException):
    """The driver ends what is being done for it: everything is tidied up on the way out."""


class Forgotten(Exception):
    """What a worker was sent is there no more."""

    def __init__(self) -> None:
        super().__init__("the worker was started anew")


class _Session:
    """What a worker process has of one driver: what it was sent, and how tasks are done, once that is opened."""

    def __init__(self, sent: Sent, place: str) -> None:
        self.sent, self.lines = sent, list[str]()
        self.do: Do | None = None
        self.thread: int | None = None
        self.place = tempfile.TemporaryDirectory(prefix="specdnn-", dir=place)

    def open(self) -> Do:
        if self.do is None:
            for other in _sessions.values():
                other.do = None  # one data set in memory is enough
            os.environ.update(self.sent.environment)
            import_from(Path(self.place.name) / "code", self.sent.code)
            opening: Opening = pickle.loads(self.sent.opening)
            self.do = opening(Path(self.place.name), self.lines.append)
        return self.do

    def done(self, packed: Packed) -> tuple[Outcome, Made]:
        made, opened = [], self.open()  # which may load torch, and that must not be broken off

        def do(packed: Packed) -> str:
            with self.at_work():
                failure, found = opened(packed)
            made.append(found)
            return failure

        self.lines.clear()
        return jobs.done(do, packed, self.lines), *made

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """While this lasts, `end` reaches the thread."""
        try:
            with _ending:
                self.thread = threading.get_ident()
            yield
        except _Ended:
            raise Forgotten from None
        finally:
            with _ending:
                self.thread = None

    def end(self) -> None:
        """End what is done, as Dask has no way to end a task that runs, and tidy up.

        Said more than once, since an exception that comes while a callback runs is lost.
        """
        while not _one_at_a_time.acquire(timeout=LOOK / 2):
            with _ending:
                if self.thread is not None:
                    thread, error = ctypes.c_ulong(self.thread), ctypes.py_object(_Ended)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, error)
        self.place.cleanup()
        _one_at_a_time.release()


_sessions: dict[str, _Session] = {}  # by the token of the driver
_ending = threading.Lock()
_one_at_a_time = threading.Lock()  # as random numbers, number of threads and stderr belong to the process


def greet(token: str, sent: Sent, dask_worker: Any) -> None:
    """Keep what a driver sent, and make a folder for it where Dask has its own, which it tidies up."""
    _sessions[token] = _Session(sent, dask_worker.local_directory)


def open_sent(token: str) -> None:
    with _session(token) as session:
        session.open()


def do_task(token: str, packed: Packed) -> tuple[Outcome, Made]:
    with _session(token) as session:
        return session.done(packed)


def forget(token: str) -> None:
    """End what is done for a driver, and keep nothing of it."""
    session = _sessions.pop(token, None)
    if session:
        threading.Thread(target=session.end, daemon=True).start()


@contextlib.contextmanager
def _session(token: str) -> Iterator[_Session]:
    with _one_at_a_time:
        if token not in _sessions:
            raise Forgotten
        yield _sessions[token]


def import_from(folder: Path, code: dict[str, bytes]) -> None:
    """Have modules imported from a folder that this code is written to, and none of these names from elsewhere."""
    for name, content in code.items():
        files.write(folder / name, content)
    ours = {Path(name).parts[0].removesuffix(".py") for name in code}
    for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
        del sys.modules[name]
    sys.path[:] = [str(folder), *(place for place in sys.path if place != str(folder))]
    importlib.invalidate_caches()
