"""What an unfinished stage has done already, step by step, beside its checkpoint: where a broken run goes on.

A stage that is begun again comes to the same steps in the same order. What a step left is then read instead of being
done again, so that every later step finds what it would have found. How long steps took is remembered with them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

import specdnn
from specdnn import files
from specdnn.structures import Record

FORMAT = 1  # of what is remembered; another one is not understood
A_WHILE = 60  # seconds of a training that may be lost, where --save-every does not say it


@dataclass
class Clock:
    """Seconds spent, by the stage of the method."""

    seconds: dict[str, float] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict, repr=False)  # since when

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self.running[stage] = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.so_far()[stage]
            del self.running[stage]

    def so_far(self) -> dict[str, float]:
        """The seconds, with those of what is running."""
        now = time.perf_counter()
        return self.seconds | {s: self.seconds.get(s, 0.0) + now - since for s, since in self.running.items()}


@dataclass
class Memory:
    """The steps of one stage, a file each in `folder`; without one nothing is remembered.

    `stamp`: a hash of all that shapes what the steps leave. `known`: number of a step -> what an earlier run wrote of
    it.
    """

    folder: Path | None = None
    stamp: str = ""
    clock: Clock = field(default_factory=Clock)
    known: dict[int, Record] = field(default_factory=dict, repr=False)
    number: int = 0
    step: str = ""
    since: float = 0.0  # when the last step was begun or kept

    @classmethod
    def opened(cls, checkpoint: Path, shaped_by: str, clock: Clock, log: Callable[[str], None]) -> Memory:
        """What is remembered of the stage that makes a checkpoint, with the seconds that it took; the log says it."""
        versions = f"{FORMAT} {specdnn.__version__} {torch.__version__}"
        stamp = hashlib.sha256(f"{versions} {shaped_by}".encode()).hexdigest()
        folder = files.resume(checkpoint)
        memory = cls(folder, stamp, clock)
        memory._read(folder, log)
        if not memory.known:
            files.remove(folder)  # what nobody can use
            return memory
        last = memory.known[len(memory.known)]
        log(f"{checkpoint.name}: goes on after {last['step']}{', ' * bool(last['until'])}{last['until']}")
        return memory

    def begin(self, step: str) -> Record | None:
        """What is remembered of the next step of the stage; None if there is nothing."""
        self.number, self.step, self.since = self.number + 1, step, time.monotonic()
        found = self.known.pop(self.number, None)
        if found is None or found["step"] != step:
            self.known.clear()
            return None
        self.clock.seconds.update(found["seconds"])
        left: Record = found["left"]
        return left

    def keep(self, left: Record, until: str = "") -> None:
        """Remember what the step that was begun last has left; `until`: how far it is, if it is not done.

        Raises SpecDNNError if it cannot be written.
        """
        if self.folder is None:
            return
        content = {"step": self.step, "until": until, "seconds": self.clock.so_far(), "left": left}
        files.write(_file(self.folder, self.number), sealed(content, self.stamp))
        self.since = time.monotonic()

    def once(self, step: str, do: Callable[[], Record]) -> Record:
        """What a step leaves, done now if it is not remembered."""
        left = self.begin(step)
        if left is None:
            left = do()
            self.keep(left)
        return left

    def is_due(self, epoch: int, every: int | None) -> bool:
        """Whether a training is to be kept after this epoch: after every so many, 0 for never; None for every while."""
        if self.folder is None or every == 0:
            return False
        return epoch % every == 0 if every else time.monotonic() - self.since > A_WHILE

    def _read(self, folder: Path, log: Callable[[str], None]) -> None:
        """All steps up to the first that cannot be used."""
        for number in itertools.count(1):
            path = _file(folder, number)
            if not path.exists():
                return
            try:
                self.known[number] = unsealed(path.read_bytes(), self.stamp)
            except (OSError, ValueError) as error:
                log(f"{path} {error}: {'this step is done again' if self.known else 'the stage begins anew'}")
                files.remove(path)
                return


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.step"


def sealed(content: Record, stamp: str) -> bytes:
    """The bytes of a file that nothing but the same stage will read."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return f"{stamp}\n{hashlib.sha256(buffer.getvalue()).hexdigest()}\n".encode() + buffer.getvalue()


def unsealed(data: bytes, stamp: str) -> Record:
    """What `sealed` was given. Raises ValueError, in words, if these bytes are not that, or of another stamp."""
    own, _, rest = data.partition(b"\n")
    digest, _, content = rest.partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError("is damaged")
    if own != stamp.encode():
        raise ValueError("was left with other options, inputs or versions")
    try:
        found: Record = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # torch raises nearly anything
        raise ValueError("holds something else than numbers and texts") from None
    return found
