"""The pieces of the method's first round, one timed after the other, and the memory that its graph takes."""

from __future__ import annotations

import functools
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from oslom_graphs import Case
from oslom_programs import run_ours

from specdnn import method, selection
from specdnn.community import formats
from specdnn.network import scores, watching
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.options import DEFAULTS, Options
from specdnn.structures import Dataset
from specdnn.work import Work, wanted_outputs

PIECES = ("activations", "strengths, relevance", "class graph", "edge file", "OSLOM", "choice", "cut")
SEED = 1


def work_of(data: Dataset, arch: str, classes: tuple[int, ...], threads: int, **changed) -> Work:
    """What the method works with, at its defaults but for what is changed; nothing is said."""
    given = {"arch": arch, "dataset": data.name, "classes": classes, "seed": SEED, "threads": threads, **changed}
    return Work(Options(**{**DEFAULTS, **given}), data, lambda text: None)


def first_round(work: Work, network: CompactNetwork) -> dict:
    """Seconds of every piece; the connections there are and those in the graph; the most memory that is taken.

    `graph_bytes`: of Python and numpy for strengths and graph; `oslom_mib`: of the program, where it is
    above `least_mib`.
    """
    taken: dict[str, float] = {}

    def timed(name: str, what: Callable):
        start = time.perf_counter()
        found = what()
        taken[name] = time.perf_counter() - start
        return found

    data, classes, count = work.data, work.options.classes, len(work.all_classes)
    whole, split = wanted_outputs(network, classes), method.seen_by_scores(work)
    flows = timed("activations", lambda: watching.class_means(whole, split, count, data.normalisation))
    active = watching.contrast(flows, classes)
    found = timed("strengths, relevance", lambda: scores.strengths(whole, active))
    graph = timed("class graph", lambda: method.graph_of(work, whole, found, work.options.keep))
    text = timed("edge file", lambda: formats.edge_text(graph.edges, graph.strengths))
    run = oslom(text, work.options.threads)
    taken["OSLOM"] = run.wall_seconds
    cover = formats.read_answers({"tp": run.tp}, graph.edges)
    chosen = timed("choice", lambda: community(cover, graph))
    kept = whole.kept if chosen is None else selection.kept_units(graph, chosen.nodes, whole.kept)
    timed("cut", lambda: cut(whole, kept))
    told = {"images": len(split), "connections": sum(one.strengths.size for one in found[0]), "edges": len(graph.edges)}
    told |= {
        "graph_bytes": peak_of(lambda: built(work, whole, active)),
        "oslom_mib": run.peak_mib,
        "least_mib": least_mib(),
    }
    return {**taken, **told, "modules": len(cover.significant), "units": sum(kept.widths[:-1])}


def oslom(text: str, threads: int):
    """A run of the program with the method's flags, measured by the kernel."""
    with tempfile.TemporaryDirectory() as place:
        edges = Path(place) / "class.edges"
        edges.write_text(text, encoding="utf-8")
        return run_ours(Case("class", edges, None, None), SEED, threads)


@functools.cache
def least_mib() -> float:
    """What is measured for three edges: the memory of the interpreter that starts the program."""
    return oslom("0 1 1.0\n1 2 1.0\n0 2 1.0\n", 1).peak_mib


def community(cover, graph):
    """The class community, of modules of several depths where none spans all layers."""
    wanted = [1] * len(graph.relevance)
    found = selection.class_community(cover, graph, wanted)
    return found or selection.class_community(cover, graph, wanted, spanning=False)


def built(work: Work, whole: CompactNetwork, active):
    """Strengths and class graph."""
    return method.graph_of(work, whole, scores.strengths(whole, active), work.options.keep)


def peak_of(what: Callable) -> int:
    """Most bytes of Python and numpy that a call has at a time."""
    tracemalloc.start()
    try:
        what()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
