"""Edge files, and the tp files and scores that make up a cover: texts only, read strictly."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from specdnn.community.errors import OslomError
from specdnn.structures import Cover, Module

HEADER = re.compile(r"#(?:module|group) (\d+) size: (\d+) bs: (\S+)\s*")
LEAST, MOST = 1e-150, 1e150  # the weights our program takes


@dataclass(frozen=True)
class CommunityRun:
    """A cover with its evidence: the text of the edge file and of the tp file, and what went to stderr."""

    cover: Cover
    edges: str
    tp: str
    said: str = ""


def edge_text(edges: np.ndarray, weights: np.ndarray | None = None) -> str:
    """The edge file of edges (E, 2), with weights (E,) exact to the last bit: `source target weight`.

    Without weights there is no third column: the program would read it as a number of parallel edges.
    """
    columns = [*edges.T] if weights is None else [*edges.T, weights]
    rows = zip(*(map(repr, column.tolist()) for column in columns), strict=True)  # no list per edge: those are slow
    return "".join(f"{' '.join(row)}\n" for row in rows)


def read_edges(text: str) -> tuple[np.ndarray, np.ndarray]:
    """The twin of `edge_text` with weights."""
    rows = [line.split() for line in text.splitlines()]
    edges = np.array([[int(a), int(b)] for a, b, _ in rows], dtype=np.int64).reshape(-1, 2)
    return edges, np.array([float(s) for _, _, s in rows], dtype=np.float64)


def tp_text(cover: Cover) -> str:
    """A cover in the tp format (two lines per module)."""
    rows = enumerate(cover.modules)
    return "".join(
        f"#module {i} size: {len(m.nodes)} bs: {m.significance:g}\n{' '.join(map(str, m.nodes))} \n" for i, m in rows
    )


def read_tp(text: str) -> Cover:
    """A tp file, read strictly; raises OslomError naming the line and what is wrong with it."""
    lines = text.splitlines()
    if not lines or len(lines) % 2:
        raise OslomError(f"tp file: expected two lines per module, got {len(lines)} lines")
    return Cover(tuple(_module(i, lines[i], lines[i + 1]) for i in range(0, len(lines), 2)))


def _module(index: int, header: str, members: str) -> Module:
    match = HEADER.fullmatch(header)
    if not match:
        raise OslomError(f"tp file line {index + 1}: expected '#module N size: N bs: X', got {header[:60]!r}")
    try:
        nodes = tuple(int(word) for word in members.split())
        significance = float(match[3])
    except ValueError as error:
        raise OslomError(f"tp file line {index + 1} or {index + 2}: {error}") from None
    if not nodes or nodes[0] < 0 or len(nodes) != int(match[2]) or list(nodes) != sorted(set(nodes)):
        raise OslomError(
            f"tp file line {index + 2}: expected {match[2]} ascending node ids, at least one, got {members[:60]!r}"
        )
    if not 0 <= significance <= 1:
        raise OslomError(f"tp file line {index + 1}: bs must be between 0 and 1, got {match[3]}")
    return Module(nodes, significance)


def with_scores(cover: Cover, text: str) -> Cover:
    """The cover with the scores of a tp_scores file: its modules in order, `node score` per member under each header.

    Raises OslomError naming the line and what is wrong with it.
    """
    lines = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if not line.startswith("#")]
    members = [node for module in cover.modules for node in module.nodes]
    if len(lines) != len(members):
        raise OslomError(f"tp_scores file: expected a score for each of {len(members)} members, got {len(lines)}")
    scores = iter([_score(*line, node) for line, node in zip(lines, members, strict=True)])
    modules = (dataclasses.replace(m, scores=tuple(itertools.islice(scores, len(m.nodes)))) for m in cover.modules)
    return dataclasses.replace(cover, modules=tuple(modules))


def _score(number: int, line: str, node: Hashable) -> float:
    told, _, score = line.partition(" ")
    with contextlib.suppress(ValueError):
        if told == str(node) and 0 <= float(score) <= 1:
            return float(score)
    raise OslomError(f"tp_scores file line {number}: expected '{node} SCORE', a score of 0 to 1, got {line[:60]!r}")


def answer_names(is_there: Callable[[str], bool]) -> list[str]:
    """The files that make up a cover: tp, and where they are there tp_scores, tp1, tp2, ... up to the first gap."""
    levels = itertools.takewhile(is_there, (f"tp{k}" for k in itertools.count(1)))
    return ["tp", *filter(is_there, ["tp_scores"]), *levels]


def read_answers(answers: Mapping[str, str], edges: np.ndarray) -> Cover:
    """The cover, its scores and levels: name -> text of the files of `answer_names`, the answer to `edges` (E, 2).

    Raises OslomError for a text that is malformed or names a node that is not in the edge file.
    """
    cover, *levels = (_known_nodes(read_tp(text), edges) for name, text in answers.items() if name != "tp_scores")
    cover = dataclasses.replace(cover, levels=tuple(levels))
    return with_scores(cover, answers["tp_scores"]) if "tp_scores" in answers else cover


def _known_nodes(cover: Cover, edges: np.ndarray) -> Cover:
    strangers: set[Any] = {node for module in cover.modules for node in module.nodes} - set(edges.ravel().tolist())
    if strangers:
        raise OslomError(f"tp file: node {min(strangers)} is not in the edge file")
    return cover
