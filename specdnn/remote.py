"""Cells of a sweep on machines that share no folder with this one.

The files that a cell starts from go along, those that it makes come back, and the driver puts them in place. A worker
has a save folder of its own, in which the files of one cell lie, for as long as that takes, as they lie here.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from specdnn import files
from specdnn.files import Folder, SavedModels
from specdnn.finished import Job
from specdnn.jobs import Outcome
from specdnn.options import Options
from specdnn.stages import Cell, Cells, Load, is_made
from specdnn.structures import Record, SpecDNNError

Contents = dict[str, bytes]  # path, relative to the folder of a cell's seed -> what is in the file


@dataclass(frozen=True)
class Parent:
    """The file of a parent: its name, whether it lies where the results of its seed do, and what is in it."""

    name: str
    near: bool
    content: bytes


@dataclass(frozen=True)
class Luggage:
    """What every worker needs once for all cells."""

    folder: Folder
    options: Options
    saved: SavedModels
    parents: dict[int, Parent]
    published: dict[str, Record]
    data_hash: str


@dataclass(frozen=True)
class Errand:
    """A cell, the files of it that there are, and names that are taken in `replaced/`."""

    cell: Cell
    contents: Contents
    taken: tuple[str, ...]


@dataclass(frozen=True)
class Made:
    """The results of a cell, by the names of their checkpoints, and the folder that they lay in."""

    results: dict[str, Contents]
    folder: str


# ------------------------------------------------------------------------------------------ in the driver


def luggage(folder: Folder, job: Job, parents: dict[int, Path]) -> Luggage:
    """What goes to every worker. Files that `options` name are not there: they go along, or nobody asks for them."""
    packed = {}
    for seed, path in parents.items():
        near = path.resolve().parent == dataclasses.replace(job.saved, seed=seed).folder.resolve()
        packed[seed] = Parent(path.name, near, files.read_bytes(path))
    options = dataclasses.replace(job.work.options, resume_from=None)
    return Luggage(folder, options, job.saved, packed, job.published, job.data_hash)


def code_of(folder: Folder) -> Contents:
    """The modules and packages of a dataset folder, by their paths from where they are imported from."""
    depth = folder.dataset.__name__.count(".")
    root = folder.path.parents[depth - 1] if depth else folder.path
    packages = [path.parent for path in folder.path.glob("*/__init__.py")]
    found = [*folder.path.glob("*.py"), *(path for package in packages for path in package.rglob("*.py"))]
    return {str(path.relative_to(root)): files.read_bytes(path) for path in sorted(found)}


class Post:
    """What goes to a worker for a cell, and what becomes of the answer."""

    def __init__(self, job: Job, load: Load, parents: dict[int, Path]) -> None:
        self.job, self.parents, self.lines = job, parents, list[str]()
        here = dataclasses.replace(job, work=dataclasses.replace(job.work, log=self.lines.append))
        self.cells = Cells(here, load, parents)

    def pack(self, cell: Cell) -> Errand | Outcome:
        """The Outcome of a cell for which nothing is left to do, else what a worker needs to make it."""
        one = self.job.for_cell(cell.seed, cell.classes, cell.algo)
        if is_made(one, self.parents.get(cell.seed)):
            self.lines.clear()
            failure = self.cells(cell)
            return Outcome(tuple(self.lines), failure=failure)
        folder, own = one.saved.folder, results_of(one)
        oslom = files.metrics_path(one.saved.pruned(one.work.options.classes, "OSLOM"))  # which rivals follow
        there = {path for result in own for path in (result, files.metrics_path(result))} | {oslom}
        contents = {path.name: files.read_bytes(path) for path in sorted(there) if path.is_file()}
        taken = (path.name for path in sorted((folder / files.REPLACED).glob("*")))
        stems = tuple(f"{files.stem(result)}." for result in own)
        return Errand(cell, contents, tuple(name for name in taken if name.startswith(stems)))

    def unpack(self, cell: Cell, outcome: Outcome, made: Made) -> Outcome:
        """Put what a worker made in place, and have what it said name the files here."""
        one = self.job.for_cell(cell.seed, cell.classes, cell.algo)

        def here(text: str) -> str:
            return text.replace(made.folder, str(one.saved.folder))

        lines, failure = [here(line) for line in outcome.lines], here(outcome.failure)
        try:
            for name, contents in made.results.items():
                with files.lock(path := one.saved.folder / name, lines.append):
                    files.put(path, contents)
        except SpecDNNError as error:
            lines.append(f"{cell} failed: {error}")
            failure = f"{cell} ({error})"
        return Outcome(tuple(lines), here(outcome.noise), failure)


def results_of(job: Job) -> tuple[Path, Path]:
    """The checkpoints of a cell."""
    o = job.work.options
    return job.saved.pruned(o.classes, o.algo), job.saved.retrained(o.classes, o.algo)


# ------------------------------------------------------------------------------------------ on a worker


def unpacked(place: Path, bag: Luggage) -> tuple[Options, SavedModels, dict[int, Path]]:
    """Options, save folder and parents, as they are on a worker that was given a folder."""
    saved = SavedModels(place / "saved", bag.saved.arch, bag.saved.dataset)
    parents = {}
    for seed, parent in bag.parents.items():
        apart = place / "parents" / str(seed)
        parents[seed] = (dataclasses.replace(saved, seed=seed).folder if parent.near else apart) / parent.name
        files.write(parents[seed], parent.content)
    given = next(iter(parents.values()), None) if bag.options.pretrained else None
    return dataclasses.replace(bag.options, pretrained=given), saved, parents


class Receiver:
    """Makes the cells that are sent, and gives back what they left. Nothing of them stays."""

    def __init__(self, cells: Cells, settle: Callable[[], None]) -> None:
        self.cells, self.settle, self.stays = cells, settle, set(cells.parents.values())

    def __call__(self, errand: Errand) -> tuple[str, Made]:
        self.settle()  # each time, since another thread may be given the task
        folder = self.cells.job.for_cell(*dataclasses.astuple(errand.cell)).saved.folder
        try:
            for name in errand.taken:
                files.write(folder / files.REPLACED / name, b"")
            for name, content in errand.contents.items():
                files.write(folder / name, content)
            failure = self.cells(errand.cell)
            return failure, Made(self._made(folder, errand.contents), str(folder))
        finally:
            self._clear()

    def _made(self, folder: Path, before: Contents) -> dict[str, Contents]:
        """Those whose metrics file was not there before, or was another one."""
        new = [path for path in sorted(folder.glob("*.json")) if path.read_bytes() != before.get(path.name)]
        made = [path for path in map(files.checkpoint_path, new) if path not in self.stays]
        return {path.name: files.contents(path) for path in made}

    def _clear(self) -> None:
        root = self.cells.job.saved.root
        for path in sorted(root.rglob("*"), key=lambda path: -len(path.parts)):
            if path.is_file() and path not in self.stays:
                path.unlink()
        for place in root.rglob("*.rounds"):
            shutil.rmtree(place)
