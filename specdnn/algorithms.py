"""The values of `--algo`: what each keeps in the rounds and by which score it trims. The method is OSLOM's; the others
are its rivals, which follow its cuts where its run is known, and two controls that are cut from nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from specdnn import community, files, selection
from specdnn.checkpoint import Checkpoint
from specdnn.community.class_graph import class_graph
from specdnn.job import Job, bar, fit, loss_of, recipe, told, wanted_outputs
from specdnn.network import scores as network_scores
from specdnn.network import training, watching
from specdnn.network.surgery import CompactNetwork, fresh
from specdnn.network.wiring import trace
from specdnn.structures import ClassGraph, KeptUnits, SpecDNNError
from specdnn.trimming import (
    Extraction,
    Reference,
    Score,
    Scores,
    check_budget,
    cut_and_train,
    cuts,
    good_enough,
    layers,
    meets_budget,
    smallest,
    step_of,
    target_widths,
    trim,
    widths_of,
)

# ------------------------------------------------------------------------------------------ scores of units


def random_scores(job: Job, compact: CompactNetwork) -> Scores:
    """Uniformly random, for every seed and classes others; a unit keeps its score from cut to cut."""
    kept, layers = compact.kept, compact.wiring.layers.layers
    generator = np.random.default_rng([job.options.seed, *kept.classes])
    drawn = [generator.random(layer.units) for layer in layers[:-1]]
    return [score[list(units)] for score, units in zip(drawn, kept.units, strict=False)]


def graph_scores(job: Job, compact: CompactNetwork) -> Scores:
    """Random, the units of the class graph before the others: what the graph knows before it is searched."""
    seen = graph_of(job, compact, unit_scores(job, compact), job.options.keep)
    there = seen.units(seen.edges.ravel())
    scores = zip(random_scores(job, compact), compact.kept.units, there, strict=False)
    return [score + np.isin(units, connected) for score, units, connected in scores]


def magnitude_scores(job: Job, compact: CompactNetwork) -> Scores:
    return network_scores.weight_norms(compact)


def taylor_scores(job: Job, compact: CompactNetwork) -> Scores:
    """By the loss of the training, over all training images."""
    data, loss = job.data.train, training.LOSSES[loss_of(job, compact)]
    targets = training.one_against_rest(data.labels, compact.kept.classes)
    with bar(-(-len(data) // network_scores.BATCH_SIZE), "taylor") as shown:
        return network_scores.taylor(compact, data.images, targets, loss, shown.update)


def relevance_scores(job: Job, compact: CompactNetwork) -> Scores:
    return unit_scores(job, compact)[1][:-1]


def trim_scores(job: Job, compact: CompactNetwork) -> Scores:
    """What --trim says: weight norms, or the ties inside the community."""
    if job.options.trim == "norm":
        return network_scores.weight_norms(compact)
    whole = graph_of(job, compact, unit_scores(job, compact), 1.0)
    return selection.ties(whole, compact.kept)


def unit_scores(job: Job, compact: CompactNetwork):
    """(strengths per pair of layers, relevance per layer) of a network for its classes."""
    data = job.data
    with bar(-(-len(data.train) // watching.BATCH_SIZE), "activations") as shown:
        means = watching.class_means(compact, data.train, len(job.all_classes), data.normalisation, tick=shown.update)
    active = watching.STRENGTHS[job.options.strength](means, compact.kept.classes)
    for name, values in zip(layers_read(compact), active, strict=True):
        if not np.isfinite(values).all():
            raise SpecDNNError(
                f"class {files.joined(compact.kept.classes)}: activations of layer {name} are not finite: the "
                "network's weights are too large; train it again with a smaller --lr, or name another checkpoint"
            )
    return network_scores.strengths(compact, active)


def layers_read(compact: CompactNetwork) -> list[str]:
    """Per link the layer that it reads, or the first of them."""
    wiring = compact.wiring
    first = [int(wiring.nodes.of(link.sources).max()) for link in wiring.links]
    return [wiring.layers.names[int(np.searchsorted(wiring.layers.offsets, node, side="right")) - 1] for node in first]


def lacking_connection(job: Job, compact: CompactNetwork, scores) -> str:
    """Where the network leads nowhere, so that no module can span its layers, in words; empty if it is whole."""
    (found, relevance), classes = scores, compact.kept.classes
    layers = compact.wiring.layers
    names, lit = layers.names, set()
    for one in found:
        lit |= set(one.targets[one.strengths.any(axis=0)].tolist())
    for wanted in classes:
        if layers.offsets[-2] + wanted not in lit:
            return (
                f"no connection of the network leads to class {wanted}: all weights into its output are 0, or all "
                f"activations of layer {names[-2]} for it; train the network longer, or name other classes"
            )
    for depth in reversed(layers.prunable):
        if not relevance[depth].any():
            return (
                f"no connection of the network leads from layer {names[depth]} to class {files.joined(classes)}: "
                "all its weights are 0, or all its activations for the class; train the network longer"
            )
    return ""


def graph_of(job: Job, compact: CompactNetwork, scores, keep: float) -> ClassGraph:
    return class_graph(compact.wiring.layers, compact.kept, *scores, keep)


# ------------------------------------------------------------------------------------------ OSLOM's rounds

ROUND_MAY_COST = 0.005  # the trim, which cuts little by little, loses less than a deep second cut


def oslom_rounds(job: Job, found: Extraction, reference: Reference | None) -> Extraction:
    """Graph, OSLOM, class community, cut, brief training; again on the survivor until the budget is met.

    A later round whose community does not carry the class as well as the one before is not taken.
    """
    for number in range(1, job.options.rounds + 1):
        if number > 1 and job.options.budgeted and meets_budget(job, found.compact.wiring, found.compact.kept):
            break
        further = one_round(job, found, number)
        if further is None or (number > 1 and not carries(job, found, further)):
            reason = "no community is left" if further is None else "it is not good enough"
            job.log(f"{told(job, found.compact.kept.classes)}round {number}: {reason}, the rounds end")
            break
        found = further
    return found


def carries(job: Job, found: Extraction, further: Extraction) -> bool:
    """Whether a round costs no more than ROUND_MAY_COST of the validation score, and leaves --min-balanced."""
    return further.score >= found.score - ROUND_MAY_COST and good_enough(job, further.compact)


def one_round(job: Job, found: Extraction, number: int) -> Extraction | None:
    """Cut to the class community and train briefly; None if there is no community in a later round."""
    with job.timed("oslom"):
        chosen = find_community(job, found.compact, number)
    if chosen is None:
        return None
    kept, run, figures = chosen
    with job.timed("brief training"):
        compact, step = cut_and_train(job, found.compact, kept, f"round {number}")
    story = {**(figures if number == 1 else {}), "rounds": number, "community_true_weights": step.true_weights}
    figures = {**figures, "validation_score": step.validation_score, "true_weights": step.true_weights}
    figures["kept"] = dict(zip(compact.wiring.layers.names, kept.units, strict=True))
    left = {"edges": run.edges, "tp": run.tp, "json": files.json_text(figures)}
    return dataclasses.replace(found.then(compact, step, **story), evidence=(*found.evidence, left))


def find_community(job: Job, compact: CompactNetwork, number: int):
    """(kept units, OSLOM run, figures) of the class community, or None in a later round without one.

    In round 1 a denser graph and then a larger tolerance are tried before it is an error.
    """
    o, scores, classes = job.options, unit_scores(job, compact), compact.kept.classes
    lacking = lacking_connection(job, compact, scores)
    if lacking and number == 1:
        raise SpecDNNError(lacking)
    if lacking:
        job.log(f"{told(job, classes)}round {number}: {lacking}")
        return None
    dense, tolerant = min(1.0, 2 * o.keep), min(1.0, 3 * o.oslom_t)
    attempts = [(o.keep, o.oslom_t), (dense, o.oslom_t), (dense, tolerant)]
    for keep, tolerance in attempts if number == 1 else attempts[:1]:
        found = try_community(job, compact, scores, keep, tolerance, may_be_narrow=number == 1)
        if found:
            job.log(f"{told(job, classes)}round {number}: {found_words(compact, *found)}")
            if number == 1 and o.oslom_seeds > 1:
                found[2]["stability"] = stability(job, compact, scores, found)
            return found
        tried = f"--keep {keep:g} and --oslom-t {tolerance:g}"
        job.log(
            f"{told(job, classes)}round {number}: no significant module spans the layers widely enough with {tried}"
        )
    if number > 1:
        return None
    raise SpecDNNError(
        f"classes {files.joined(classes)}: OSLOM found no significant module with a unit in every layer; "
        "try a larger --keep or --oslom-t, or --warmup-epochs"
    )


def try_community(job: Job, compact: CompactNetwork, scores, keep: float, tolerance: float, may_be_narrow: bool):
    """(kept units, OSLOM run, figures) of the class community of one class graph, or None.

    A community that is narrower than the budget allows, with all modules joined, counts in round 1 only:
    later the trim, which keeps the widths in balance, does better than a layer of one or two units.
    """
    o, seen = job.options, graph_of(job, compact, scores, keep)
    relevance = [r[list(units)] for r, units in zip(seen.relevance, compact.kept.units, strict=True)]
    wanted = target_widths(job, compact, relevance[:-1]) or [1] * len(relevance)
    how = {"binary": o.oslom_bin, "seed": o.seed, "runs": o.oslom_runs, "timeout": o.oslom_timeout}
    how["threads"] = o.threads if community.is_ours(o.oslom_bin) else None  # others may not know the flag
    run = community.run_program(seen.edges, seen.strengths, tolerance=tolerance, **how)
    chosen = selection.class_community(run.cover, seen, wanted)
    if chosen is None or not (may_be_narrow or selection.wide_enough(seen, chosen.nodes, wanted)):
        return None
    figures = {f.name: getattr(chosen, f.name) for f in dataclasses.fields(chosen) if f.name != "nodes"}
    kept = selection.kept_units(seen, chosen.nodes, compact.kept)
    return kept, run, {**figures, "size": chosen.size, "keep": keep, "oslom_t": tolerance}


def stability(job: Job, compact: CompactNetwork, scores, found) -> float:
    """How alike the class communities of --oslom-seeds seeds are, on the class graph that `found` came from."""
    kept, _, figures = found
    seeds = [job.with_options(seed=job.options.seed + k) for k in range(1, job.options.oslom_seeds)]
    how = (compact, scores, figures["keep"], figures["oslom_t"])
    others = [try_community(one, *how, may_be_narrow=True) for one in seeds]
    alike = selection.stability([kept, *(other and other[0] for other in others)], compact.wiring.layers.prunable)
    job.log(f"{told(job, kept.classes)}round 1: {len(seeds) + 1} seeds agree with a mean Jaccard index of {alike:.3f}")
    return alike


def found_words(before: CompactNetwork, kept: KeptUnits, run: community.OslomRun, figures: dict) -> str:
    """A community in one line."""
    return (
        f"{layers(kept.widths)} of {layers(before.kept.widths)} units, bs {figures['significance']:.3g}, "
        f"{figures['joined']} joined, {100 * figures['captured_relevance']:.1f} % of the relevance"
    )


# ------------------------------------------------------------------------------------------ the rivals' rounds


def following(scored: Score) -> Callable:
    """Rounds at the widths OSLOM had, the units chosen by `scored`; none where no OSLOM run is known."""

    def rounds(job: Job, found: Extraction, reference: Reference | None) -> Extraction:
        if reference is None:
            return found
        steps = reference.stage("round")
        with job.timed("rounds"):
            found = cuts(job, found, [widths_of(step) for step in steps], scored, "round")
        return found.then(found.compact, rounds=len(steps))

    return rounds


def layerwise_round(job: Job, found: Extraction, reference: Reference | None) -> Extraction:
    """The published formula, once; raises SpecDNNError where it keeps nothing."""
    compact = found.compact
    weights = network_scores.plain_weights(compact)
    kept = selection.layerwise_community(compact.wiring.layers, weights, compact.kept)
    if kept is None:
        raise SpecDNNError(
            f"classes {files.joined(compact.kept.classes)}: the published layer-wise formula keeps no unit of "
            "some layer, which is its usual answer; try other --warmup-epochs, or --algo OSLOM"
        )
    with job.timed("brief training"):
        compact, step = cut_and_train(job, compact, kept, "round 1")
    return found.then(compact, step, rounds=1, community_true_weights=step.true_weights)


# ------------------------------------------------------------------------------------------ the table


@dataclass(frozen=True)
class Algorithm:
    """What sets one value of `--algo` apart from the others.

    `rounds(job, start, reference)` does the first cuts; `scored` chooses the units in the trim, `allotted` the widths
    of the candidate `score`. `own_schedule`: whether it can be cut without an OSLOM run to follow.
    """

    rounds: Callable[[Job, Extraction, Reference | None], Extraction]
    scored: Score
    allotted: Score
    follows: bool = True
    own_schedule: bool = True


ALGORITHMS = {
    "OSLOM": Algorithm(oslom_rounds, trim_scores, relevance_scores, follows=False),
    "OSLOM-null": Algorithm(following(random_scores), trim_scores, relevance_scores, own_schedule=False),
    "graph-null": Algorithm(following(graph_scores), trim_scores, relevance_scores, own_schedule=False),
    "OSLOM-layerwise": Algorithm(layerwise_round, trim_scores, relevance_scores, follows=False),
    "random": Algorithm(following(random_scores), random_scores, random_scores),
    "magnitude": Algorithm(following(magnitude_scores), magnitude_scores, magnitude_scores),
    "taylor": Algorithm(following(taylor_scores), taylor_scores, taylor_scores),
}


def warmed_up(job: Job, origin_hash: str, loaded: Checkpoint) -> Extraction:
    """Step 0: the whole network, trained one-against-rest; done once for all algorithms of a class and seed."""
    o = job.options
    how = recipe(o, o.warmup_epochs, o.brief_lr, o.group_l1)
    key = (origin_hash, o.classes, how)
    if key not in job.shared:
        clock = dataclasses.replace(job, seconds={})
        with clock.timed("warm-up"):
            compact = wanted_outputs(loaded.compact, o.classes or loaded.classes)
            score = fit(job, compact, how, "warm-up")
        job.shared.clear()  # a sweep goes on to the next class
        job.shared[key] = Extraction(compact, (step_of(compact, "warm-up", score),)), clock.seconds
    found, seconds = job.shared[key]
    job.seconds.update(seconds)
    return found


def extract(job: Job, start: Extraction, reference: Reference | None) -> Extraction:
    """Steps 1 to 7: the first cuts of the algorithm, then its trim to the budget."""
    o, algorithm = job.options, ALGORITHMS[job.options.algo]
    found = algorithm.rounds(job, start, reference)
    found = found.then(found.compact, schedule="OSLOM" if reference else "own")
    if o.min_balanced is not None and reference is None:
        found = smallest(job, found, algorithm.scored, algorithm.allotted)
    else:
        found = trim(job, found, algorithm.scored, algorithm.allotted, reference)
    return found.then(found.compact, epochs=o.warmup_epochs + o.brief_epochs * (len(found.steps) - 1))


def check(job: Job, loaded: Checkpoint, reference: Reference | None) -> None:
    """Raise SpecDNNError, before anything is trained, if the budget or what the algorithm starts from cannot be had."""
    o = job.options
    algorithm = ALGORITHMS.get(o.algo)
    if algorithm and reference is None:
        check_budget(job, loaded.compact)
    if o.algo == "linear":
        linear_name(job)
    elif reference is None and (algorithm is None or not algorithm.own_schedule):
        raise SpecDNNError(
            f"--algo {o.algo} starts from the units that OSLOM kept: finish --algo OSLOM with the same options first"
        )
    elif reference is None and algorithm.follows and not (o.budgeted or o.min_balanced):
        raise SpecDNNError(
            f"--algo {o.algo} has no size of its own: give --rate, --max-params or --min-balanced, "
            "or finish --algo OSLOM with the same options first"
        )


# ------------------------------------------------------------------------------------------ the controls


def scratch(job: Job, loaded: Checkpoint, reference: Reference) -> Extraction:
    """The units that OSLOM kept, with first weights; the epochs that OSLOM took are added to the long retraining."""
    o = job.options
    torch.manual_seed(o.seed)
    compact = fresh(wanted_outputs(loaded.compact, o.classes or loaded.classes), reference.kept)
    return untrained(job, compact, reference)


def linear(job: Job, loaded: Checkpoint, reference: Reference | None) -> Extraction:
    """The folder's network without a hidden layer: one logistic model per wanted class, on all pixels."""
    torch.manual_seed(job.options.seed)
    network = job.architectures[linear_name(job)]().to(job.data.train.images.device)
    compact = wanted_outputs(
        CompactNetwork.parent(network, job.data.train.images[0]), job.options.classes or loaded.classes
    )
    return untrained(job, compact, reference)


CONTROLS = {"scratch": scratch, "linear": linear}


def linear_name(job: Job) -> str:
    """The network of this folder that has no hidden layer."""
    for name, network_type in job.architectures.items():
        with torch.random.fork_rng(devices=[]):
            if len(trace(network_type(), job.data.train.images[0].cpu()).layers.layers) == 2:
                return name
    raise SpecDNNError("--algo linear needs a network without a hidden layer among those of models/")


def untrained(job: Job, compact: CompactNetwork, reference: Reference | None) -> Extraction:
    o, cuts_made = job.options, len(reference.steps) if reference else 0
    story = {"schedule": "OSLOM" if reference else "own", "epochs": 0}
    return Extraction(compact, (), {**story, "owed_epochs": o.warmup_epochs + o.brief_epochs * cuts_made})


def digest(reference: Reference | None) -> str:
    """Hash of what an algorithm takes over from an OSLOM run, empty without one."""
    return hashlib.sha256(repr(reference).encode()).hexdigest() if reference else ""
