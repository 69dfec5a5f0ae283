"""The method: from a trained network to the small one that its class community is. Steps 0 to 7 of ARCHITECTURE.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from specdnn import community, files, selection
from specdnn.community.class_graph import class_graph
from specdnn.network import scores as network_scores
from specdnn.network import watching
from specdnn.network.compensation import enough_of, means, sample_of
from specdnn.network.surgery import CompactNetwork
from specdnn.structures import ClassGraph, Connections, KeptUnits, Record, SpecDNNError, Split
from specdnn.trimming import (
    Extraction,
    Flows,
    Reference,
    Score,
    Scores,
    cut_and_train,
    good_enough,
    layers,
    meets_budget,
    smallest,
    step_of,
    target_widths,
    trim,
)
from specdnn.work import Work, bar, fit, progress, recipe, told, wanted_outputs

Rounds = Callable[[Work, Extraction, Reference | None], Extraction]
UnitScores = tuple[list[Connections], Scores]  # strengths per link, relevance per layer
Found = tuple[KeptUnits, community.CommunityRun, Record]  # a class community: its units, the search, figures
ENOUGH_FOR_SCORES = 5_000  # images of which the gradients that rank units are taken
ROUND_MAY_COST = 0.005  # the trim, which cuts little by little, loses less than a deep second cut


# ------------------------------------------------------------------------------------------ the method


def extract(work: Work, algorithm: Algorithm, start: Extraction, reference: Reference | None) -> Extraction:
    """Steps 1 to 7: the first cuts of the algorithm, then its trim to the budget."""
    o = work.options
    found = algorithm.rounds(work, start, reference)
    found = found.then(found.compact, schedule="OSLOM" if reference else "own")
    if o.min_balanced is not None and reference is None:
        found = smallest(work, found, algorithm.scored, algorithm.allotted)
    else:
        found = trim(work, found, algorithm.scored, algorithm.allotted, reference)
    return found.then(found.compact, epochs=o.warmup_epochs + o.brief_epochs * (len(found.steps) - 1))


def warmed_up(work: Work, whole: CompactNetwork, classes: Iterable[int]) -> Extraction:
    """Step 0: the whole network, trained one-against-rest."""
    o = work.options
    with work.clock("warm-up"):
        compact = wanted_outputs(whole, classes)
        score = fit(work, compact, recipe(o, o.warmup_epochs, o.brief_lr, o.group_l1), "warm-up")
    return Extraction(compact, (step_of(compact, "warm-up", score),))


@dataclass(frozen=True)
class Search:
    """What finds modules in a class graph: its name, the option that holds its significance level, a run at one."""

    name: str
    level: str
    run: Callable[[Work, ClassGraph, float], community.CommunityRun]

    @property
    def flag(self) -> str:
        return f"--{self.level.replace('_', '-')}"


def run_oslom(work: Work, seen: ClassGraph, level: float) -> community.CommunityRun:
    o = work.options
    how: dict[str, Any] = {"binary": o.oslom_bin, "seed": o.seed, "runs": o.oslom_runs, "timeout": o.oslom_timeout}
    how["threads"] = o.threads if community.is_ours(o.oslom_bin) else None  # others may not know the flag
    return community.run_program(seen.edges, seen.strengths, tolerance=level, **how)


def run_ccme(work: Work, seen: ClassGraph, level: float) -> community.CommunityRun:
    o, widths = work.options, seen.layers.widths
    how: dict[str, Any] = {"groups": np.repeat(np.arange(len(widths)), widths), "null": o.ccme_null, "seed": o.seed}
    return community.run_ccme(seen.edges, seen.strengths, alpha=level, progress=lambda s: progress(s, "ccme"), **how)


OSLOM = Search("OSLOM", "oslom_t", run_oslom)
CCME = Search("CCME", "ccme_alpha", run_ccme)


def rounds_by(search: Search) -> Rounds:
    """The rounds whose communities a search finds."""
    return lambda work, found, reference: community_rounds(work, found, search)


def community_rounds(work: Work, found: Extraction, search: Search) -> Extraction:
    """Graph, search, class community, cut, brief training; again on the survivor until the budget is met.

    A later round whose community does not carry the class as well as the one before is not taken.
    """
    for number in range(1, work.options.rounds + 1):
        if number > 1 and work.options.budgeted and meets_budget(work, found.compact.wiring, found.compact.kept):
            break
        further = one_round(work, found, number, search)
        if further is None or (number > 1 and not carries(work, found, further)):
            reason = "no community is left" if further is None else "it is not good enough"
            work.log(f"{told(work, found.compact.kept.classes)}round {number}: {reason}, the rounds end")
            break
        found = further
    return found


def carries(work: Work, found: Extraction, further: Extraction) -> bool:
    """Whether a round costs no more than ROUND_MAY_COST of the validation score, and leaves --min-balanced."""
    return further.score >= found.score - ROUND_MAY_COST and good_enough(work, further.compact)


def one_round(work: Work, found: Extraction, number: int, search: Search) -> Extraction | None:
    """Cut to the class community and train briefly; None if there is no community in a later round."""
    with work.clock(search.name.lower()):
        left = work.memory.once(f"the search of round {number}", lambda: searched(work, found, number, search))
    if not left:
        return None
    kept, figures = KeptUnits(left["kept"]), left["figures"]
    with work.clock("brief training"):
        compact, step = cut_and_train(work, found.compact, kept, f"round {number}")
    story = {**(figures if number == 1 else {}), "rounds": number, "community_true_weights": step.true_weights}
    figures = {**figures, "validation_score": step.validation_score, "true_weights": step.true_weights}
    figures["kept"] = kept.by_layer(compact.wiring.layers)
    evidence = {"edges": left["edges"], "tp": left["tp"], "json": files.json_text(figures)}
    return dataclasses.replace(found.then(compact, step, **story), evidence=(*found.evidence, evidence))


def searched(work: Work, start: Extraction, number: int, search: Search) -> Record:
    """What a search finds, as plain values; nothing where there is no community in a later round."""
    found = find_community(work, start.compact, number, search, start.flows)
    if found is None:
        return {}
    kept, run, figures = found
    return {"kept": kept.units, "edges": run.edges, "tp": run.tp, "figures": figures}


def find_community(
    work: Work, compact: CompactNetwork, number: int, search: Search, flows: Flows | None = None
) -> Found | None:
    """(kept units, run of the search, figures) of the class community, or None in a later round without one.

    In round 1 a denser graph, then a larger tolerance, then joining modules of several depths are tried before it is an
    error.
    """
    o, scores, classes = work.options, unit_scores(work, compact, flows), compact.kept.classes
    lacking = lacking_connection(work, compact, scores)
    if lacking and number == 1:
        raise SpecDNNError(lacking)
    if lacking:
        work.log(f"{told(work, classes)}round {number}: {lacking}")
        return None
    level = getattr(o, search.level)
    dense, tolerant = min(1.0, 2 * o.keep), min(1.0, 3 * level)
    attempts = [(o.keep, level, True), (dense, level, True), (dense, tolerant, True), (o.keep, level, False)]
    for keep, tolerance, spanning in attempts if number == 1 else attempts[:1]:
        found = try_community(work, compact, scores, search, keep, tolerance, number == 1, spanning)
        if found:
            work.log(f"{told(work, classes)}round {number}: {found_words(compact, *found)}")
            if number == 1 and o.oslom_seeds > 1:
                found[2]["stability"] = stability(work, compact, scores, search, found)
            return found
        tried = f"--keep {keep:g} and {search.flag} {tolerance:g}{'' if spanning else ', all of them joined'}"
        work.log(
            f"{told(work, classes)}round {number}: no significant module spans the layers widely enough with {tried}"
        )
    if number > 1:
        return None
    raise SpecDNNError(
        f"classes {files.joined(classes)}: {search.name} found no significant module with a unit in every layer, "
        "nor several that have one together; "
        f"try a larger --keep or {search.flag}, --warmup-epochs, or another --algo"
    )


def try_community(
    work: Work,
    compact: CompactNetwork,
    scores: UnitScores,
    search: Search,
    keep: float,
    tolerance: float,
    may_be_narrow: bool,
    spanning: bool = True,
) -> Found | None:
    """(kept units, run of the search, figures) of the class community of one class graph, or None.

    A community that is narrower than the budget allows, with all modules joined, counts in round 1 only:
    later the trim, which keeps the widths in balance, does better than a layer of one or two units. `spanning` False
    joins modules of several depths.
    """
    seen = graph_of(work, compact, scores, keep)
    relevance = [r[list(units)] for r, units in zip(seen.relevance, compact.kept.units, strict=True)]
    wanted = target_widths(work, compact, relevance[:-1]) or [1] * len(relevance)
    run = search.run(work, seen, tolerance)
    chosen = selection.class_community(run.cover, seen, wanted, spanning)
    if chosen is None or not (may_be_narrow or selection.wide_enough(seen, chosen.nodes, wanted)):
        return None
    figures = {f.name: getattr(chosen, f.name) for f in dataclasses.fields(chosen) if f.name != "nodes"}
    figures |= {} if spanning else {"spanning": False}
    kept = selection.kept_units(seen, chosen.nodes, compact.kept)
    return kept, run, {**figures, "size": chosen.size, "keep": keep, search.level: tolerance}


def stability(work: Work, compact: CompactNetwork, scores: UnitScores, search: Search, found: Found) -> float:
    """How alike the class communities of --oslom-seeds seeds are, on the class graph that `found` came from."""
    kept, _, figures = found
    seeds = [work.with_options(seed=work.options.seed + k) for k in range(1, work.options.oslom_seeds)]
    how = (compact, scores, search, figures["keep"], figures[search.level])
    others = [try_community(one, *how, True, figures.get("spanning", True)) for one in seeds]
    alike = selection.stability([kept, *(other and other[0] for other in others)], compact.wiring.layers.prunable)
    work.log(
        f"{told(work, kept.classes)}round 1: {len(seeds) + 1} seeds agree with a mean Jaccard index of {alike:.3f}"
    )
    return alike


def found_words(before: CompactNetwork, kept: KeptUnits, run: community.CommunityRun, figures: Record) -> str:
    """A community in one line."""
    return (
        f"{layers(kept.widths)} of {layers(before.kept.widths)} units, bs {figures['significance']:.3g}, "
        f"{figures['joined']} joined, {100 * figures['captured_relevance']:.1f} % of the relevance"
    )


# ------------------------------------------------------------------------------------------ scores


def trim_scores(work: Work, compact: CompactNetwork) -> Scores:
    """What --trim says."""
    return TRIMS[work.options.trim](work, compact)


def norm_scores(work: Work, compact: CompactNetwork) -> Scores:
    return network_scores.weight_norms(compact)


def tie_scores(work: Work, compact: CompactNetwork) -> Scores:
    """Strengths of the ties inside the community."""
    whole = graph_of(work, compact, unit_scores(work, compact), 1.0)
    return selection.ties(whole, compact.kept)


def attribution_scores(work: Work, compact: CompactNetwork) -> Scores:
    """Of the wanted outputs, over training images of which class and rest count equally."""
    some = enough_of(work.data.train, ENOUGH_FOR_SCORES)
    sample = sample_of(some, compact.kept.classes, work.options.seed)
    with bar(2 * len(sample.batches()), "attribution") as shown:
        centres = means(compact, sample, shown.update)
        return network_scores.attribution(compact, sample.images, sample.weights, centres, shown.update)


TRIMS = {"norm": norm_scores, "ties": tie_scores, "attribution": attribution_scores}


def relevance_scores(work: Work, compact: CompactNetwork) -> Scores:
    return unit_scores(work, compact)[1][:-1]


def unit_scores(work: Work, compact: CompactNetwork, flows: Flows | None = None) -> UnitScores:
    """(strengths per link, relevance per layer) of a network for its classes; `flows`: what flows in it, if known."""
    found = flows() if flows else class_means(work, compact)
    active = watching.STRENGTHS[work.options.strength](found, compact.kept.classes)
    for name, values in zip(layers_read(compact), active, strict=True):
        if not np.isfinite(values).all():
            raise SpecDNNError(
                f"class {files.joined(compact.kept.classes)}: activations of layer {name} are not finite: the "
                "network's weights are too large; train it again with a smaller --lr, or name another checkpoint"
            )
    return network_scores.strengths(compact, active)


def class_means(work: Work, compact: CompactNetwork) -> watching.ClassMeans:
    """What flows into the links of a network, per class."""
    data, split = work.data, seen_by_scores(work)
    with bar(-(-len(split) // watching.BATCH_SIZE), "activations") as shown:
        return watching.class_means(compact, split, len(work.all_classes), data.normalisation, tick=shown.update)


def seen_by_scores(work: Work) -> Split:
    """The training images; where cuts are compensated from some of them rather than trained, these say enough."""
    return work.data.train if work.options.compensate == "zero" else enough_of(work.data.train)


def layers_read(compact: CompactNetwork) -> list[str]:
    """Per link the layer that it reads, or the first of them."""
    wiring = compact.wiring
    first = [int(wiring.nodes.of(link.sources).max()) for link in wiring.links]
    return [wiring.layers.names[int(np.searchsorted(wiring.layers.offsets, node, side="right")) - 1] for node in first]


def lacking_connection(work: Work, compact: CompactNetwork, scores: UnitScores) -> str:
    """Where the network leads nowhere, so that no module can span its layers, in words; empty if it is whole."""
    (found, relevance), classes = scores, compact.kept.classes
    layers = compact.wiring.layers
    names, lit = layers.names, set[int]()
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


def graph_of(work: Work, compact: CompactNetwork, scores: UnitScores, keep: float) -> ClassGraph:
    return class_graph(compact.wiring.layers, compact.kept, *scores, keep)


# ------------------------------------------------------------------------------------------ what an algorithm adds


@dataclass(frozen=True)
class Algorithm:
    """What sets one value of `--algo` apart from the others.

    `rounds(work, start, reference)` does the first cuts; `scored` chooses the units in the trim, `allotted` the widths
    of the candidate `score`. `own_schedule`: whether it can be cut without an OSLOM run to follow.
    """

    rounds: Rounds
    scored: Score
    allotted: Score
    follows: bool = True
    own_schedule: bool = True
