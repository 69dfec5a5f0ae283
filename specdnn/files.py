"""Every path of a dataset folder and under `saved_models/`, and how files are written, read, locked and set aside.

Knows no network.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import itertools
import json
import math
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from specdnn.structures import Architectures, DatasetModule, Record, SpecDNNError

PUBLISHED_ALGO = "OSLOM"
TRIES = 100  # to make a folder that other processes keep taking away
REPLACED = "replaced"  # the folder for what a later run with other options or inputs took the place of

Made = TypeVar("Made")


class CannotWrite(SpecDNNError):
    """There is no room, or somebody else's file or folder is in the way."""


# ------------------------------------------------------------------------------------------ paths


@dataclass(frozen=True)
class Folder:
    """A dataset folder: its place, its networks, and its `dataset` module."""

    path: Path
    architectures: Architectures
    dataset: DatasetModule

    @property
    def data(self) -> Path:
        """Where the images lie or are downloaded to, unless --data-dir or SPECDNN_DATA says otherwise."""
        return self.path / "data"

    @property
    def saved_models(self) -> Path:
        return self.path / "saved_models"

    @property
    def results(self) -> Path:
        """Where the published runs lie, and what is built from them."""
        return self.path / "results"

    @property
    def published(self) -> Path:
        """The published figures to compare with, where the folder has them."""
        return self.path / "published.csv"


@dataclass(frozen=True)
class SavedModels:
    """Names of everything under the save folder, for one network, data set and seed."""

    root: Path
    arch: str
    dataset: str = ""  # empty for the folder's own data set
    seed: int = 1
    beside: Path | None = None  # the folder of the checkpoint to start from, where the results are to lie beside it

    @property
    def folder(self) -> Path:
        folder = self.root / self.dataset if self.beside is None else _without_seed(self.beside)
        return folder if self.seed == 1 else folder / f"seed{self.seed}"

    def parent(self) -> Path:
        return self.folder / f"{self.arch}.best_origin.pth.tar"

    def pruned(self, classes: Iterable[int] | None, algo: str) -> Path:
        """`classes` None: all of them."""
        stem = f"{self.arch}.prune" if classes is None else f"{self.arch}.specialize.{joined(classes)}"
        return self.folder / f"{stem}.{algo}.pth.tar"

    def retrained(self, classes: Iterable[int] | None, algo: str) -> Path:
        parts = [self.arch] + ([] if classes is None else ["specialize", joined(classes)])
        parts += [algo] if algo != PUBLISHED_ALGO else []
        return self.folder / f"{'.'.join(parts)}.best_retrained.pth.tar"

    def composed(self, classes: Iterable[int], algo: str) -> Path:
        """One network of the retrained ones of these classes; beside it its picture (`.png`)."""
        parts = [self.arch, "compose", joined(classes)] + ([algo] if algo != PUBLISHED_ALGO else [])
        return self.folder / f"{'.'.join(parts)}.pth.tar"

    def joint(self, classes: Iterable[int], algo: str) -> SavedModels:
        """Names of the one extraction of all these classes that a composition is compared with: in a folder apart."""
        name = "-".join(["joint", joined(classes)] + ([algo] if algo != PUBLISHED_ALGO else []))
        return replace(self, beside=replace(self, seed=1).folder / name)

    def published_name(self, path: Path) -> str:
        """The name that the metrics file beside one of these checkpoints is published under."""
        return f"{'' if self.seed == 1 else f'seed{self.seed}.'}{metrics_path(path).name}"

    def runs(self) -> Path:
        """The published runs of the network, a record a line."""
        return self.folder / f"{self.arch}.runs.jsonl"

    def table(self, ending: str) -> Path:
        return self.folder / f"{self.arch}.{ending}"

    def picture(self, kind: str, ending: str = "png") -> Path:
        return self.folder / f"{kind}.{self.arch}.{ending}"

    def exhibits(self) -> Path:
        """What the contact sheet shows, beside the metrics files."""
        return self.folder / f"{self.arch}.exhibits.json"


def _without_seed(folder: Path) -> Path:
    """What holds the folders of the seeds: `seed2/..`, or the folder itself."""
    return folder.parent if re.fullmatch(r"seed\d+", folder.name) else folder


def joined(classes: Iterable[int]) -> str:
    return "-".join(str(c) for c in classes)


def never_over(origin: Path, path: Path) -> Path:
    """`path`, but `….again.pth.tar` where a stage would write over what it starts from, or over what that came from."""
    if same_file(path, origin):
        origin = path
    started = stem(origin).removeprefix(stem(path))
    alike = origin.resolve().parent == path.resolve().parent and re.fullmatch(r"(\.again)*", started)
    return path.with_name(f"{stem(path)}{started}.again.pth.tar") if alike else path


def same_file(path: Path, other: Path | int) -> bool:
    """Whether two names, or a name and an open file, are one file. What is not there, or no more, is none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return os.path.samestat(os.stat(path), os.stat(other))
    return False


def stem(checkpoint: Path) -> str:
    return checkpoint.name.removesuffix(".pth.tar")


def metrics_path(checkpoint: Path) -> Path:
    """The metrics file beside a checkpoint."""
    return checkpoint.with_name(f"{stem(checkpoint)}.json")


def checkpoint_path(metrics: Path) -> Path:
    """The checkpoint beside a metrics file."""
    return metrics.with_name(metrics.name.removesuffix(".json") + ".pth.tar")


def comparison(checkpoint: Path, images: str, ending: str) -> Path:
    """What --compare leaves beside a checkpoint, for other images of this name."""
    return checkpoint.with_name(f"{stem(checkpoint)}.compare.{re.sub(r'[^A-Za-z0-9_-]+', '_', images)}.{ending}")


def picture_path(checkpoint: Path) -> Path:
    """The picture beside a checkpoint."""
    return checkpoint.with_name(f"{stem(checkpoint)}.png")


def rounds(checkpoint: Path) -> Path:
    """The folder of the rounds' evidence, beside the pruned checkpoint: `1.edges`, `1.tp`, `1.json`, `2.edges`, ..."""
    return checkpoint.with_name(f"{stem(checkpoint)}.rounds")


def resume(checkpoint: Path) -> Path:
    """The folder of what an unfinished stage has done already, beside the checkpoint to be: `1.step`, `2.step`, ..."""
    return checkpoint.with_name(f"{stem(checkpoint)}.resume")


def remove(path: Path) -> None:
    """Take away a file or a folder, if there is one."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()


def write_rounds(checkpoint: Path, evidence: Sequence[Mapping[str, str]]) -> None:
    """Edge file, tp file, kept units and figures of every round, in the place of those of an earlier run."""
    shutil.rmtree(rounds(checkpoint), ignore_errors=True)
    for number, contents in enumerate(evidence, start=1):
        for ending, text in contents.items():
            write(rounds(checkpoint) / f"{number}.{ending}", text)


# ------------------------------------------------------------------------------------------ setting aside, locking


def set_aside(checkpoint: Path, content: bytes | None = None) -> Path | None:
    """Move a finished result out of the way of another one, with its metrics file and its rounds.

    Returns its new name in `replaced/`, numbered; None if there was nothing, or if a run was broken when it had
    written `content`, the other one, and not yet its metrics file. Raises SpecDNNError if it cannot be moved.
    """
    if not metrics_path(checkpoint).is_file() and checkpoint.is_file() and checkpoint.read_bytes() == content:
        return None
    if not (checkpoint.is_file() or metrics_path(checkpoint).is_file()):
        return None
    numbered = (checkpoint.parent / REPLACED / f"{stem(checkpoint)}.{n}.pth.tar" for n in itertools.count(1))
    free = next(new for new in numbered if not any(os.path.lexists(part(new)) for part in (Path, metrics_path, rounds)))
    try:
        free.parent.mkdir(exist_ok=True)
        for part in (metrics_path, Path, rounds):  # first what says that the step is finished
            if part(checkpoint).exists():
                os.replace(part(checkpoint), part(free))
    except OSError as error:
        raise CannotWrite(f"cannot move {checkpoint} to {free}: {error.strerror}") from None
    return free


def contents(checkpoint: Path) -> dict[str, bytes]:
    """Path beside a checkpoint -> what is in the file: it, its metrics file and its rounds."""
    paths = [checkpoint, metrics_path(checkpoint), *sorted(rounds(checkpoint).glob("*"))]
    return {str(path.relative_to(checkpoint.parent)): read_bytes(path) for path in paths}


def put(checkpoint: Path, made: dict[str, bytes]) -> None:
    """Put a result in place that was made elsewhere, the metrics file last. An earlier one is set aside."""
    set_aside(checkpoint, made[checkpoint.name])
    shutil.rmtree(rounds(checkpoint), ignore_errors=True)
    for name in sorted(made, key=lambda name: name == metrics_path(checkpoint).name):
        write(checkpoint.parent / name, made[name])


@contextlib.contextmanager
def lock(path: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Hold the name of a result, so that no two processes make it at once.

    Waits for another holder and says who that is. Nothing is left of the lock, and folders that were made for it are
    taken away if they stay empty and nobody else works in them.
    """
    place, made = path.with_name(f".{path.name}.lock"), set[Path]()
    try:
        handle = _locked(place, path.name, log, made)
        try:
            _tidy(path)
            yield
        finally:
            place.unlink(missing_ok=True)
            os.close(handle)
    finally:
        for folder in sorted(made, key=lambda folder: -len(folder.parts)):
            with contextlib.suppress(OSError):  # it is not empty, or somebody else was faster
                folder.rmdir()


def _tidy(checkpoint: Path) -> None:
    """Take away the temporary files of a process that was killed while it wrote; whoever holds the lock writes none."""
    for path in (checkpoint, metrics_path(checkpoint)):
        for left in path.parent.glob(f".{glob.escape(path.name)}.????????"):
            left.unlink(missing_ok=True)


def _locked(place: Path, name: str, log: Callable[[str], None], made: set[Path]) -> int:
    """The open lock file, with its holder in it. Whoever waited for a file that is removed by now begins anew."""
    while True:
        handle = _opened(place, made)
        try:
            _wait(handle, name, log)
            if same_file(place, handle):
                os.truncate(handle, 0)
                os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _opened(place: Path, made: set[Path]) -> int:
    """The lock file; `made` is told of every folder that is made for it."""

    def opening() -> int:
        made.update(folder for folder in place.parents if not folder.exists())
        place.parent.mkdir(parents=True, exist_ok=True)
        return os.open(place, os.O_RDWR | os.O_CREAT, 0o644)

    try:
        return _until_it_stays(opening)
    except OSError as error:
        raise _cannot_write(place.parent, error) from None


def _until_it_stays(make: Callable[[], Made]) -> Made:
    """Make a folder and something in it. Another process may take its empty folder away, between any two looks at it.

    What still cannot be made after many tries has another reason.
    """
    for _ in range(TRIES - 1):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            return make()
    return make()


def _wait(handle: int, name: str, log: Callable[[str], None]) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 300, 0).decode(errors="replace") or "another process"
        log(f"{name} is being made by {holder}: waiting for it")
        fcntl.flock(handle, fcntl.LOCK_EX)


# ------------------------------------------------------------------------------------------ writing


def write(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name, then rename it: there is never half a file.

    Raises SpecDNNError if the folder cannot be written.
    """
    content = content.encode("utf-8") if isinstance(content, str) else content

    def opening() -> tuple[int, str]:
        path.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")

    try:
        handle, name = _until_it_stays(opening)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> CannotWrite:
    return CannotWrite(f"cannot write {path}: {error.strerror}; choose another folder with --save-dir")


def check_writable(folder: Path, way: str = " with --save-dir") -> None:
    """Raise SpecDNNError, before any work is done, if nothing could be written below `folder`."""
    existing = folder
    while not os.path.lexists(existing) and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        reason = "is not a folder" if not existing.is_dir() else "cannot be written"
        raise SpecDNNError(f"cannot write below {folder}: {existing} {reason}; choose another folder{way}")


def check_free(folder: Path) -> None:
    """Raise SpecDNNError if a folder that is to be made is there already, unless it is empty."""
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        what = "holds files" if folder.is_dir() else "is a file"
        raise SpecDNNError(f"{folder} {what} already: name a folder that is not there yet, or take it away")
    check_writable(folder, "")


def write_folder(folder: Path, contents: dict[str, bytes]) -> None:
    """Write a new folder of files, all or none of them."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as aside:
            made = Path(aside) / "all"
            made.mkdir()
            for name, content in contents.items():
                (made / name).write_bytes(content)
            os.replace(made, folder)
    except OSError as error:
        raise SpecDNNError(f"cannot write {folder}: {error.strerror}; choose another folder") from None


@contextlib.contextmanager
def aside(folder: Path, name: str, into: Path) -> Iterator[Path]:
    """A place in a folder to download to, gone afterwards; what it brings goes `into` a folder in there, or itself.

    Of `into` and those above it the folders that were not there before, and are left empty, go, too.
    """
    before = {path for path in (into, *into.parents) if os.path.exists(path)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}.") as place:
            yield Path(place)
    finally:
        for path in (into, *into.parents):
            if path not in before and os.path.isdir(path) and not os.listdir(path):
                path.rmdir()


def what_lies_in(folder: Path) -> str:
    """` (FOLDER holds a, b)`, or nothing where it is empty or cannot be looked into."""
    there: list[str] = []
    with contextlib.suppress(OSError):
        there = sorted(path.name for path in folder.iterdir())
    return f" ({folder} holds {', '.join(there[:5])}{' and more' if len(there) > 5 else ''})" if there else ""


def write_metrics(checkpoint: Path, metrics: Record) -> None:
    write(metrics_path(checkpoint), json_text(metrics))


def json_text(value: Record) -> str:
    """JSON with one key a line; a number that does not exist is null."""
    rows = (f"  {json.dumps(k)}: {json_line(v)}" for k, v in value.items())
    return "{\n" + ",\n".join(rows) + "\n}\n"


def json_line(value: object) -> str:
    """JSON in a single line of ASCII; a number that does not exist is null."""
    return json.dumps(_finite(value), default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, (list, tuple)) else value


def read_metrics(path: Path) -> Record | None:
    """A metrics file, or None if there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else None
    return None


def read_text(path: Path) -> str:
    """A text file; raises SpecDNNError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _cannot_read(path, error) from None
    except UnicodeDecodeError as error:
        raise SpecDNNError(f"cannot read {path}: it is no UTF-8 text ({error.reason}, byte {error.start})") from None


def read_bytes(path: Path) -> bytes:
    """A file as it is; raises SpecDNNError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _cannot_read(path, error) from None


def _cannot_read(path: Path, error: OSError) -> SpecDNNError:
    return SpecDNNError(f"cannot read {path}: {error.strerror}")


def file_hash(path: Path) -> str:
    """Of a file, or of all files of a folder."""
    digest = hashlib.sha256()
    for one in sorted(path.iterdir()) if path.is_dir() else [path]:
        digest.update(one.read_bytes())
    return digest.hexdigest()
