"""Published runs <-> a file of JSON lines per network: a record a line, its name first, sorted by the names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from specdnn import files
from specdnn.files import SavedModels
from specdnn.results import records
from specdnn.results.records import Records
from specdnn.structures import Record

OURS = ("name", "file", "place", "outdated")  # what a record has beside its metrics


def read(saved: SavedModels, dataset: str) -> Records:
    """The published runs of a network on a data set; none where there is no file of them.

    A line that is wrong is left out. Raises SpecDNNError if the file cannot be read.
    """
    found, left_out, numbers = [], [], dict[str, int]()
    for number, line in _lines(saved.runs()):
        try:
            told = _record(line, saved.arch, dataset)
            if told and (first := numbers.setdefault(told["name"], number)) != number:
                raise ValueError(f"line {first} has its name")
        except ValueError as wrong:
            left_out.append(f"{saved.runs()}, line {number} is left out: {wrong}")
            continue
        found += [told] if told else []
    return Records(found, left_out)


def add(saved: SavedModels, new: Iterable[Record]) -> None:
    """Write records into the file of published runs, each in the place of one of the same name.

    Of a network that is no longer there only its origin is told, unless more is published already. All other lines
    stay as they are; those that cannot be told by a name of their own come last.
    """
    named, rest = {}, []
    for _, line in _lines(saved.runs()):
        name = _name(line)
        if name is None or name in named:
            rest.append(line)
        else:
            named[name] = line
    for record in new:
        if not (record.get("outdated") and record["name"] in named):
            named[record["name"]] = _line(record)
    files.write(saved.runs(), b"".join(line + b"\n" for line in [*(named[name] for name in sorted(named)), *rest]))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not empty, and their numbers."""
    content = files.read_bytes(path) if path.exists() else b""
    numbered = enumerate(map(bytes.strip, content.split(b"\n")), start=1)
    return ((number, line) for number, line in numbered if line)


def _line(record: Record) -> bytes:
    told = {name: value for name, value in record.items() if name not in OURS}
    return files.json_line({"name": record["name"], **told}).encode()


def _record(line: bytes, arch: str, dataset: str) -> Record | None:
    """A record of the network; None if it is of another data set. Raises ValueError with what is wrong."""
    told = records.checked(line, dataset)
    if told is None:
        return None
    if not isinstance(told.get("name"), str):
        raise ValueError("its name is missing, or no text")
    if told["arch"] != arch:
        raise ValueError(f"it is of another network, {told['arch']}")
    return {**told, "place": records.place(Path(told["name"]), told)}


def _name(line: bytes) -> str | None:
    """The name in a line; None where it has none that can be read."""
    try:
        told = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    name = told.get("name") if isinstance(told, dict) else None
    return name if isinstance(name, str) else None
