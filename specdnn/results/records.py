"""Metrics files -> records: the finished runs of a data set below a folder, and why some files are left out.

A record is a checked metrics file with its `name` (that of the file, after those of the folders on the way to it), its
`place`, and the `file` where it is one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specdnn import files
from specdnn.results import shown
from specdnn.structures import Record

# What tells how a network was made; all that is told of a pruned network or a parent that is no longer there.
ORIGIN = ("verb", "arch", "dataset", "classes", "algo", "seed", "split", "kept", "options", "input_hash", "schedule")


@dataclass(frozen=True)
class Records:
    """What was found, and a sentence per file or line that is left out."""

    found: list[Record]
    left_out: list[str]


def below(folder: Path, dataset: str) -> Records:
    """The metrics files of a data set in a folder and below (other seeds, other options).

    A file counts only while the network that was measured lies beside it.
    """
    found, left_out = [], []
    for path in _files(folder):
        try:
            told = _read(path, dataset)
        except ValueError as wrong:
            left_out.append(f"{path} is left out: {wrong}")
            continue
        if told and (why := _outdated(path, told)):
            left_out.append(f"{path} is left out: {why}")
            told = None if told["verb"] == "retrain" else {**origin(told), "outdated": True}
        if told:
            inside = path.relative_to(folder)
            found.append({**told, "name": ".".join(inside.parts), "file": path, "place": place(inside, told)})
    return Records(found, left_out)


def origin(told: Record) -> Record:
    """Of a metrics file what tells how the network was made, not what was measured on it."""
    return {name: told[name] for name in ORIGIN if name in told}


def _files(folder: Path) -> Iterator[Path]:
    """JSON files, but for hidden ones, those of checkpoints that were replaced, and the evidence of the rounds."""
    for path in sorted(folder.rglob("*.json")):
        parts = path.relative_to(folder).parts
        if not any(part.startswith(".") or part == "replaced" or part.endswith(".rounds") for part in parts):
            yield path


def _read(path: Path, dataset: str) -> Record | None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from None
    return checked(content, dataset)


def checked(content: bytes, dataset: str) -> Record | None:
    """What a metrics file of the data set tells; None if it is of another one, or of a composition.

    Raises ValueError with what is wrong.
    """
    try:
        told = json.loads(content.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it cannot be read as JSON ({_first_line(error)})") from None
    if not isinstance(told, dict):
        raise ValueError(f"it is no metrics file but {_short(told)}")
    if _deeper(told, DEEPEST):
        raise ValueError(f"its lists are nested more than {DEEPEST} levels deep")
    _check(told, {"dataset": TEXT, "verb": VERB}, {})
    if told["dataset"] != dataset or told["verb"] == "compose":  # whose figures stand in no table of others
        return None
    if told["verb"] == "exhibits":
        _check(told, {"arch": TEXT, "classes": EXHIBITS}, {})
    else:
        figures = FIGURES if told["verb"] == "retrain" else {}
        _check(told, {**MADE, **figures}, {**FIGURES, **MORE})
    return told


def _deeper(value: dict[str, Any] | list[Any], levels: int) -> bool:
    """Whether lists or dictionaries lie in each other more than so many levels deep."""
    if levels == 0:
        return True
    inside = value.values() if isinstance(value, dict) else value
    return any(_deeper(one, levels - 1) for one in inside if isinstance(one, (dict, list)))


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _outdated(path: Path, told: Record) -> str | None:
    """Why a metrics file no longer tells of the checkpoint beside it; None if it does, or if none belongs to it."""
    if told["verb"] == "exhibits":
        return None
    own = files.checkpoint_path(path)
    if not own.is_file():
        return f"its checkpoint {own.name} is missing"
    try:
        same = files.file_hash(own) == told.get("checkpoint_hash")
    except OSError as error:
        return f"its checkpoint {own.name} cannot be read ({error.strerror})"
    return None if same else "its checkpoint is another file than the one that was measured"


def place(path: Path, told: Record) -> tuple[str, ...]:
    """The folders below that runs lie in, without those of data set and seed; `--publish` puts them into the name."""
    before, own, _ = path.name.partition(told["arch"])
    parts = [*path.parts[:-1], *(before.split(".") if own else ())]
    return tuple(part for part in parts if part not in ("", told["dataset"], f"seed{told.get('seed')}"))


# ------------------------------------------------------------------------------------------ what a metrics file holds


@dataclass(frozen=True)
class Kind:
    """What a value must be, in words. `several`: a network of several classes has a list, one value per class."""

    words: str
    right: Callable[[Any], bool]
    several: bool = False

    def holds(self, value: Any, classes: int) -> bool:
        if self.several and classes > 1 and isinstance(value, list):
            return len(value) == classes and all(map(self.right, value))
        return self.right(value)


def _number(value: Any, least: float = 0, most: float = 1e15) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def _whole(value: Any, least: int = 0) -> bool:
    return isinstance(value, int) and _number(value, least)


def _list_of(right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(right, value))


def _distinct(value: Any) -> bool:
    return _list_of(_whole)(value) and len(value) == len(set(value)) > 0


def _kept(value: Any) -> bool:
    return isinstance(value, dict) and len(value) > 1 and all(map(_distinct, value.values()))


def _step(value: Any) -> bool:
    kinds = {"stage": TEXT, "true_weights": SIZE, "validation_score": SHARE, "widths": WIDTHS}
    return isinstance(value, dict) and all(kind.right(value.get(name)) for name, kind in kinds.items())


def _measures(value: Any) -> bool:
    """Of one class numbers, of several lists of them."""
    each = value.values() if isinstance(value, dict) else [""]
    return all(_number(one) or _list_of(_number)(one) for one in each)


def _options(value: Any) -> bool:
    budget = ("rate", "max_params", "min_balanced")
    return isinstance(value, dict) and all(value.get(name) is None or _number(value[name]) for name in budget)


TEXT = Kind("a text", lambda value: isinstance(value, str))
VERBS = ("train", "prune", "retrain", "compose", "exhibits")
VERB = Kind("train, prune, retrain, compose or exhibits", lambda value: value in VERBS)
SHARE = Kind("a number from 0 to 1 or null", lambda value: value is None or _number(value, 0, 1), several=True)
COUNT = Kind("a whole number or null", lambda value: value is None or _whole(value), several=True)
SIZE = Kind("a whole number above 0", lambda value: _whole(value, 1))
RATE = Kind("a number above 0", lambda value: _number(value) and value > 0)
WIDTHS = Kind("a list of whole numbers", lambda value: value is None or _list_of(_whole)(value))
EXHIBITS = Kind("a list of what the contact sheet shows", _list_of(shown.is_exhibit))

DEEPEST = 20  # levels of lists in a metrics file
MADE = {  # how a network was made
    **dict.fromkeys(("arch", "algo", "split"), TEXT),
    "seed": Kind("a whole number", _whole),
    "classes": Kind("a list of different classes", _distinct),
    "kept": Kind("the kept units of every layer", _kept),
    "options": Kind("the options and their values", _options),
}
FIGURES = {  # what every report needs of a finished network
    "checkpoint_hash": TEXT,
    **dict.fromkeys(("accuracy", "balanced_accuracy"), SHARE),
    **dict.fromkeys(("true_weights", "true_parameters"), SIZE),
    **dict.fromkeys(("true_rate", "paper_rule_rate"), RATE),
}
MORE = {  # what older files may lack
    **dict.fromkeys(("always_no_accuracy", "precision", "recall", "f1", "auroc"), SHARE),
    **dict.fromkeys(("mean_accuracy", "mean_balanced_accuracy", "mean_auroc"), SHARE),
    **dict.fromkeys(("captured_relevance", "stability", "validation_score"), SHARE),
    **dict.fromkeys(("tp", "fp", "fn", "tn", "paper_rule_weights", "macs", "file_bytes", "epochs"), COUNT),
    **dict.fromkeys(("joined", "community_true_weights", "rounds", "threads"), COUNT),
    "thresholds": Kind("a list of numbers", _list_of(lambda value: _number(value, -1e15))),
    "at_zero": Kind("measures at a threshold of 0", _measures),
    "significance": Kind("a number or null", lambda value: value is None or _number(value)),
    "output_in_community": Kind("true, false or null", lambda value: value is None or isinstance(value, bool)),
    "steps": Kind("the cuts on the way", _list_of(_step)),
    **dict.fromkeys(("input_hash", "schedule", "date"), TEXT),
    **dict.fromkeys(("specdnn_version", "torch_version", "python_version"), TEXT),
}


def _check(told: Record, required: dict[str, Kind], optional: dict[str, Kind]) -> None:
    """Raise ValueError for the first value that is missing or wrong."""
    if missing := [name for name in required if name not in told]:
        raise ValueError(f"{missing[0]} is missing")
    classes = told.get("classes")
    several = len(classes) if isinstance(classes, list) else 1
    for name, kind in {**required, **optional}.items():
        if name in told and not kind.holds(told[name], several):
            raise ValueError(f"{name} must be {kind.words}, got {_short(told[name])}")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
