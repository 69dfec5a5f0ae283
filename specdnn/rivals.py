"""The values of `--algo` in one table: the method with either search, its rivals, which follow its cuts where its run
is known, and two controls that are cut from nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import torch

from specdnn import files, selection
from specdnn.method import (
    CCME,
    OSLOM,
    Algorithm,
    Rounds,
    attribution_scores,
    extract,
    graph_of,
    norm_scores,
    relevance_scores,
    rounds_by,
    trim_scores,
    unit_scores,
)
from specdnn.network import scores as network_scores
from specdnn.network import training, watching
from specdnn.network.surgery import CompactNetwork, fresh
from specdnn.structures import SpecDNNError
from specdnn.trimming import Extraction, Reference, Score, Scores, check_budget, cut_and_train, cuts, widths_of
from specdnn.work import Work, bar, loss_of, wanted_outputs

# ------------------------------------------------------------------------------------------ scores of units


def random_scores(work: Work, compact: CompactNetwork) -> Scores:
    """Uniformly random, for every seed and classes others; a unit keeps its score from cut to cut."""
    kept, layers = compact.kept, compact.wiring.layers.layers
    generator = np.random.default_rng([work.options.seed, *kept.classes])
    drawn = [generator.random(layer.units) for layer in layers[:-1]]
    return [score[list(units)] for score, units in zip(drawn, kept.units, strict=False)]


def graph_scores(work: Work, compact: CompactNetwork) -> Scores:
    """Random, the units of the class graph before the others: what the graph knows before it is searched."""
    seen = graph_of(work, compact, unit_scores(work, compact), work.options.keep)
    there = seen.units(seen.edges.ravel())
    scores = zip(random_scores(work, compact), compact.kept.units, there, strict=False)
    return [score + np.isin(units, connected) for score, units, connected in scores]


def taylor_scores(work: Work, compact: CompactNetwork) -> Scores:
    """By the loss of the training, over all training images."""
    data, loss = work.data.train, training.LOSSES[loss_of(work, compact)]
    targets = training.one_against_rest(data.labels, compact.kept.classes)
    with bar(-(-len(data) // watching.BATCH_SIZE), "taylor") as shown:
        return network_scores.taylor(compact, data.images, targets, loss, shown.update)


# ------------------------------------------------------------------------------------------ rounds


def following(scored: Score) -> Rounds:
    """Rounds at the widths OSLOM had, the units chosen by `scored`; none where no OSLOM run is known."""

    def rounds(work: Work, found: Extraction, reference: Reference | None) -> Extraction:
        if reference is None:
            return found
        steps = reference.stage("round")
        with work.clock("rounds"):
            found = cuts(work, found, [widths_of(step) for step in steps], scored, "round")
        return found.then(found.compact, rounds=len(steps))

    return rounds


def layerwise_round(work: Work, found: Extraction, reference: Reference | None) -> Extraction:
    """The published formula, once; raises SpecDNNError where it keeps nothing."""
    compact = found.compact
    weights = network_scores.plain_weights(compact)
    kept = selection.layerwise_community(compact.wiring.layers, weights, compact.kept)
    if kept is None:
        raise SpecDNNError(
            f"classes {files.joined(compact.kept.classes)}: the published layer-wise formula keeps no unit of "
            "some layer, which is its usual answer; try other --warmup-epochs, or --algo OSLOM"
        )
    with work.clock("brief training"):
        compact, step = cut_and_train(work, compact, kept, "round 1")
    return found.then(compact, step, rounds=1, community_true_weights=step.true_weights)


# ------------------------------------------------------------------------------------------ the controls


def scratch(work: Work, whole: CompactNetwork, reference: Reference | None) -> Extraction:
    """The units that OSLOM kept, with first weights; the epochs that OSLOM took are added to the long retraining."""
    assert reference is not None  # see `check`
    torch.manual_seed(work.options.seed)
    wanted = whole.kept.replace(len(whole.kept.units) - 1, classes_of(work, whole))
    compact = fresh(fresh(whole, wanted), reference.kept)  # the whole network's are drawn first, as in published runs
    return untrained(work, compact, reference)


def linear(work: Work, whole: CompactNetwork, reference: Reference | None) -> Extraction:
    """The network without a hidden layer: one logistic model per wanted class, on all pixels."""
    images = work.data.train.images
    torch.manual_seed(work.options.seed)
    assert work.linear is not None  # see `check`
    parent = CompactNetwork.parent(work.linear().to(images.device), images[0])
    compact = wanted_outputs(parent, classes_of(work, whole))
    wiring = dataclasses.replace(compact.wiring, parent_sizes=whole.wiring.parent_sizes)  # what it is measured against
    return untrained(work, CompactNetwork(wiring, compact.kept), reference)


def classes_of(work: Work, whole: CompactNetwork) -> tuple[int, ...]:
    """The wanted classes: all of the network's, where none is named."""
    return work.options.classes or whole.kept.classes


def untrained(work: Work, compact: CompactNetwork, reference: Reference | None) -> Extraction:
    o, cuts_made = work.options, len(reference.steps) if reference else 0
    story = {"schedule": "OSLOM" if reference else "own", "epochs": 0}
    return Extraction(compact, (), {**story, "owed_epochs": o.warmup_epochs + o.brief_epochs * cuts_made})


# ------------------------------------------------------------------------------------------ the table


ALGORITHMS = {
    "OSLOM": Algorithm(rounds_by(OSLOM), trim_scores, relevance_scores, follows=False),
    "CCME": Algorithm(rounds_by(CCME), trim_scores, relevance_scores, follows=False),
    "OSLOM-null": Algorithm(following(random_scores), trim_scores, relevance_scores, own_schedule=False),
    "graph-null": Algorithm(following(graph_scores), trim_scores, relevance_scores, own_schedule=False),
    "OSLOM-layerwise": Algorithm(layerwise_round, trim_scores, relevance_scores, follows=False),
    "random": Algorithm(following(random_scores), random_scores, random_scores),
    "magnitude": Algorithm(following(norm_scores), norm_scores, norm_scores),
    "taylor": Algorithm(following(taylor_scores), taylor_scores, taylor_scores),
    "relevance": Algorithm(following(relevance_scores), relevance_scores, relevance_scores),
    "attribution": Algorithm(following(attribution_scores), attribution_scores, attribution_scores),
}


CONTROLS = {"scratch": scratch, "linear": linear}


def extracted(work: Work, whole: CompactNetwork, reference: Reference | None, warm: Extraction | None) -> Extraction:
    """What --algo makes of a whole network; `warm` is that network after step 0, where it is not a control."""
    algo = work.options.algo
    if algo in CONTROLS:
        return CONTROLS[algo](work, whole, reference)
    assert warm is not None  # it is left out for controls only
    return extract(work, ALGORITHMS[algo], warm, reference)


def check(work: Work, whole: CompactNetwork, reference: Reference | None) -> None:
    """Raise SpecDNNError, before anything is trained, if the budget or what the algorithm starts from cannot be had."""
    o = work.options
    algorithm = ALGORITHMS.get(o.algo)
    if algorithm and reference is None:
        check_budget(work, whole)
    if o.algo == "linear":
        if work.linear is None:
            raise SpecDNNError("--algo linear needs a network without a hidden layer among those of models/")
        return
    if reference is None and (algorithm is None or not algorithm.own_schedule):
        raise SpecDNNError(
            f"--algo {o.algo} starts from the units that OSLOM kept: finish --algo OSLOM with the same options first"
        )
    elif reference is None and algorithm and algorithm.follows and not (o.budgeted or o.min_balanced):
        raise SpecDNNError(
            f"--algo {o.algo} has no size of its own: give --rate, --max-params or --min-balanced, "
            "or finish --algo OSLOM with the same options first"
        )


def digest(reference: Reference | None) -> str:
    """Hash of what an algorithm takes over from an OSLOM run, empty without one."""
    return hashlib.sha256(repr(reference).encode()).hexdigest() if reference else ""
