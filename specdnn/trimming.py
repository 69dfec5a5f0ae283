"""Cuts followed by brief training: to given widths, and down to a budget by the best of several choices of widths.

Knows no algorithm: what is cut first is told by a score of every unit.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from specdnn import files, selection
from specdnn.network import evaluation
from specdnn.network.compensation import COMPENSATIONS, sample_of
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.network.watching import ClassMeans
from specdnn.network.wiring import Wiring
from specdnn.options import Options
from specdnn.structures import KeptUnits, Recipe, Record, SpecDNNError, Step
from specdnn.work import Work, bar, fit, measured, recipe, run_of, told, validation_logits

Scores = list[np.ndarray]  # per layer but the outputs the score of every unit; the lowest are cut first
Score = Callable[[Work, CompactNetwork], Scores]
Flows = Callable[[], ClassMeans]  # gives what flows into the links of a network, per class
Choice = Callable[[CompactNetwork, Scores], KeptUnits]  # which units one cut leaves
FINENESS = 1.1  # the search for the smallest network ends when two rates are closer than this factor


@dataclass(frozen=True)
class Extraction:
    """A network on its way to the compact one: every cut so far, and what else the metrics file tells.

    `flows`: gives what flows into its links per class, where others have use for that, too; None if nobody else has.
    """

    compact: CompactNetwork
    steps: tuple[Step, ...] = ()
    story: Record = field(default_factory=dict)
    evidence: tuple[dict[str, str], ...] = ()  # per round: file ending -> text
    flows: Flows | None = None

    def then(self, compact: CompactNetwork, *steps: Step, **story: Any) -> Extraction:
        """The same after another cut."""
        told = {**self.story, **story}
        flows = self.flows if compact is self.compact else None
        return dataclasses.replace(self, compact=compact, steps=(*self.steps, *steps), story=told, flows=flows)

    @property
    def score(self) -> float:
        """Validation score after the last cut."""
        return self.steps[-1].validation_score


@dataclass(frozen=True)
class Reference:
    """The finished OSLOM run that other algorithms follow: its cuts and its kept units."""

    steps: tuple[Step, ...]
    kept: KeptUnits

    @classmethod
    def of(cls, metrics: Record) -> Reference:
        """From the metrics file of the run."""
        rows: list[Record] = [
            {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()} for row in metrics["steps"]
        ]
        kept = KeptUnits(tuple(tuple(units) for units in metrics["kept"].values()))
        return cls(tuple(Step(**row) for row in rows if row["stage"] != "warm-up"), kept)

    def stage(self, word: str) -> list[Step]:
        """The cuts of the rounds (`round`) or of the trim (`trim`)."""
        return [step for step in self.steps if step.stage.startswith(word)]


# ------------------------------------------------------------------------------------------ one cut


def step_of(compact: CompactNetwork, stage: str, score: float) -> Step:
    kept = compact.kept
    weights = compact.wiring.weights(kept)
    return Step(stage, kept.widths, kept.channels(compact.wiring.layers), weights, score)


def cut_and_train(work: Work, compact: CompactNetwork, kept: KeptUnits, stage: str) -> tuple[CompactNetwork, Step]:
    """Cut to `kept` and train briefly."""
    smaller = cut(compact, kept)
    work.board.cut(run_of(work), sizes_told(smaller))
    how, first = brief_recipe(work.options, stage), functools.partial(compensate, work, compact, smaller)
    score = fit(work, smaller, how, f"{stage} to {layers(kept.widths)}", first=first)
    return smaller, step_of(smaller, stage, score)


def compensate(work: Work, before: CompactNetwork, smaller: CompactNetwork) -> None:
    """What --compensate says, of a network that was just cut, in place."""
    data, how = work.data.train, COMPENSATIONS.get(work.options.compensate)
    if how is None:
        return
    with bar(len(smaller.wiring.links), f"compensation by {work.options.compensate}, layer by layer") as shown:
        how(before, smaller, sample_of(data, smaller.kept.classes, work.options.seed), shown.update)


def sizes_told(compact: CompactNetwork) -> dict[str, float]:
    """What TensorBoard shows of a cut: sizes, and how many units of every layer are left."""
    weights, parameters, macs = compact.wiring.sizes(compact.kept)
    units = zip(compact.wiring.layers.names, compact.kept.widths, strict=True)
    sizes: dict[str, float] = {"size/weights": weights, "size/parameters": parameters, "size/MACs": macs}
    return {**sizes, **{f"units/{name}": width for name, width in units}}


def brief_recipe(o: Options, stage: str) -> Recipe:
    """The training after a cut; in the trim, whose cuts go by weight norms, these are held down in the loss."""
    if stage.startswith("trim"):
        return recipe(o, o.brief_epochs, o.trim_lr, o.trim_l1)
    return recipe(o, o.brief_epochs, o.brief_lr)


def layers(widths: Sequence[int]) -> str:
    """Widths without the outputs: `88-7-4`."""
    return files.joined(widths[:-1])


def cuts(work: Work, found: Extraction, choices: list[Choice], scored: Score, stage: str) -> Extraction:
    """One cut and brief training per choice, the units scored anew before each."""
    for number, choice in enumerate(choices, start=1):
        kept = chosen(work, found.compact, choice, scored, f"{stage} {number}")
        found = found.then(*cut_and_train(work, found.compact, kept, f"{stage} {number}"))
    return found


def chosen(work: Work, compact: CompactNetwork, choice: Choice, scored: Score, stage: str) -> KeptUnits:
    """The units that a cut leaves; scored, where they are not remembered."""
    left = work.memory.once(f"the choice of {stage}", lambda: {"kept": choice(compact, scored(work, compact)).units})
    return KeptUnits(left["kept"])


def widths_of(step: Step) -> Choice:
    """The choice that leaves as many units and channels per layer as `step` did: the same true weights."""
    return lambda compact, scores: selection.strongest_in_channels(
        compact.wiring.layers, compact.kept, scores, step.widths, step.channels
    )


# ------------------------------------------------------------------------------------------ the budget


def meets_budget(work: Work, wiring: Wiring, kept: KeptUnits) -> bool:
    """Whether the network of these units meets --rate and --max-params (true parameters), where given."""
    o = work.options
    small = o.rate is None or work.rate(wiring, kept) <= o.rate
    return small and (o.max_params is None or wiring.parameters(kept) <= o.max_params)


def target_widths(work: Work, compact: CompactNetwork, scores: Scores) -> tuple[int, ...] | None:
    """The widths that a cut by `scores` (per layer but the outputs) may keep; None without a budget."""
    if not work.options.budgeted:
        return None

    def fits(widths: tuple[int, ...]) -> bool:
        return meets_budget(work, compact.wiring, selection.strongest(compact.kept, scores, widths))

    layers, kept = compact.wiring.layers, compact.kept
    full = (*layers.widths[:-1], len(kept.classes))
    widths = selection.budget_widths(full, kept.widths, layers.prunable, fits)
    if not fits(widths):
        raise budget_too_small(work, compact.wiring, narrowest(compact, kept))
    return widths


def check_budget(work: Work, whole: CompactNetwork) -> None:
    """Raise SpecDNNError, before anything is trained, if one unit per layer of a network is more than the budget."""
    kept = whole.kept.replace(len(whole.kept.units) - 1, work.options.classes or whole.kept.classes)
    least = narrowest(whole, kept)
    if not meets_budget(work, whole.wiring, least):
        raise budget_too_small(work, whole.wiring, least)


def narrowest(compact: CompactNetwork, kept: KeptUnits) -> KeptUnits:
    """One unit per prunable layer of a choice."""
    for depth in compact.wiring.layers.prunable:
        kept = kept.replace(depth, kept.units[depth][:1])
    return kept


def budget_too_small(work: Work, wiring: Wiring, least: KeptUnits) -> SpecDNNError:
    """`least`: what cannot be cut any further."""
    has = f"{100 * work.rate(wiring, least):.3f} % of the weights and {wiring.parameters(least):,} parameters"
    return SpecDNNError(
        f"the budget is below one unit for each layer that can be cut, {has}: give a larger --rate or --max-params"
    )


# ------------------------------------------------------------------------------------------ the trim


def trim(work: Work, found: Extraction, scored: Score, allotted: Score, reference: Reference | None) -> Extraction:
    """The last cuts, once for each of --candidates; the best on validation after its brief training stays.

    `shape`: the widths lie between one unit per layer and the whole network, or are those of `reference` at every
    step. `score`: the widths come out of one ranking over all layers by `allotted`, with no more true weights than
    `shape` needs, which is all that binds them if there is a `reference`. `scored` chooses the units. As many cuts for
    all.
    """
    known = {score: once(work, score, found.compact) for score in (scored, allotted)}
    scored, allotted = known[scored], known[allotted]
    with work.clock("trim"):
        tried = {}
        for name, plan in trim_plans(work, found.compact, scored, allotted, reference).items():
            work.log(f"{told(work, found.compact.kept.classes)}trim, widths by {name}")
            tried[name] = cuts(work, found, plan, scored, "trim")
    return rounded(work, the_best(work, found, tried) if tried else found, scored)


def the_best(work: Work, found: Extraction, tried: dict[str, Extraction]) -> Extraction:
    """Of several trims of a network that with the highest validation score, with a row for each."""
    best = max(tried, key=lambda name: tried[name].score)  # of equals the first
    if len(tried) > 1:
        scores = ", ".join(f"{name} {100 * one.score:.2f} %" for name, one in tried.items())
        work.log(f"{told(work, found.compact.kept.classes)}widths by {scores}: {best} stays")
    rows = [{"widths_by": name, "chosen": name == best, **last(one)} for name, one in tried.items()]
    return dataclasses.replace(tried[best], story={**found.story, "candidates": rows})


def last(found: Extraction) -> Record:
    """The last cut as a row of the metrics file."""
    return {k: v for k, v in dataclasses.asdict(found.steps[-1]).items() if k != "stage"}


def rounded(work: Work, found: Extraction, scored: Score) -> Extraction:
    """A last cut to multiples of --round-to, which processors work on as fast as on a few units less."""
    if work.options.round_to == 1:
        return found

    def choice(compact: CompactNetwork, scores: Scores) -> KeptUnits:
        return selection.in_multiples(compact.wiring.layers, compact.kept, scores, work.options.round_to)

    compact = found.compact
    kept = chosen(work, compact, choice, scored, "multiples")
    return found if kept == compact.kept else found.then(*cut_and_train(work, compact, kept, "multiples"))


def once(work: Work, scored: Score, start: CompactNetwork) -> Score:
    """The same scores; those of the network that a trim starts from are found once, though every candidate asks."""
    of_start = functools.cache(lambda: scored(work, start))
    return lambda work, compact: of_start() if compact is start else scored(work, compact)


def trim_plans(
    work: Work, compact: CompactNetwork, scored: Score, allotted: Score, reference: Reference | None
) -> dict[str, list[Choice]]:
    """Name of the choice of widths -> one choice of units per cut; empty where nothing has to be cut."""
    if reference:
        shape = [widths_of(step) for step in reference.stage("trim")]
        weights = reference.steps[-1].true_weights
    elif meets_budget(work, compact.wiring, compact.kept):
        return {}
    else:
        goal = functools.partial(by_shape, work)
        target = goal(compact, scored(work, compact))
        shape = gradual(goal, cuts_to(work.options, compact, target))
        weights = compact.wiring.weights(target)
    # equal size is equal true weights: other widths of as many have another paper-rule rate
    own = work.with_options(rate=None) if reference else work
    score = gradual(functools.partial(by_score, own, allotted if allotted is not scored else None, weights), len(shape))
    plans = {"shape": shape, "score": score}
    return {name: plans[name] for name in work.options.candidates} if shape else {}


def cuts_to(o: Options, compact: CompactNetwork, target: KeptUnits) -> int:
    """--trim-steps cuts; more if the last would halve a layer. Where nothing is trained in between, one is enough."""
    if o.compensate != "zero" and not o.brief_epochs:
        return 1
    return max(len(selection.trim_steps(compact.kept.widths, target.widths)), o.trim_steps)


def by_shape(work: Work, compact: CompactNetwork, scores: Scores) -> KeptUnits:
    widths = target_widths(work, compact, scores)
    assert widths is not None  # there is a budget, or nothing would have to be cut
    return selection.strongest(compact.kept, scores, widths)


def by_score(work: Work, allotted: Score | None, weights: int, compact: CompactNetwork, scores: Scores) -> KeptUnits:
    """Widths by one ranking over all layers within the budget and `weights` true weights; units by `scores`."""

    def fits(kept: KeptUnits) -> bool:
        return meets_budget(work, compact.wiring, kept) and compact.wiring.weights(kept) <= weights

    ranking = allotted(work, compact) if allotted else scores
    layers = compact.wiring.layers
    wide = selection.ranked_across_layers(layers, compact.kept, ranking, fits)
    return selection.strongest_in_channels(layers, compact.kept, scores, wide.widths, wide.channels(layers))


def gradual(goal: Choice, count: int) -> list[Choice]:
    """`count` cuts towards what `goal` would keep, by geometric means of the widths; the last one is the goal's own."""

    def choose(left: int, compact: CompactNetwork, scores: Scores) -> KeptUnits:
        target = goal(compact, scores)
        widths = selection.trim_steps(compact.kept.widths, target.widths, left)[0]
        return target if left == 1 else selection.strongest(compact.kept, scores, widths)

    return [functools.partial(choose, left) for left in range(count, 0, -1)]


# ------------------------------------------------------------------------------------------ the smallest network


def smallest(work: Work, found: Extraction, scored: Score, allotted: Score) -> Extraction:
    """The smallest trim whose balanced accuracy on validation is at least --min-balanced: bisection over the rate."""
    search = []

    def attempt(rate: float | None) -> Extraction:
        tried = trim(work.with_options(rate=rate), found, scored, allotted, None)
        weights, balanced = tried.compact.wiring.weights(tried.compact.kept), balanced_accuracy(work, tried.compact)
        search.append({"rate": rate, "true_weights": weights, "balanced_accuracy": balanced})
        work.log(f"{told(work, tried.compact.kept.classes)}{weights} weights reach {100 * balanced:.2f} % balanced")
        return tried

    best = attempt(work.options.rate)
    if not good_enough(work, best.compact):
        raise SpecDNNError(
            f"classes {files.joined(best.compact.kept.classes)}: the largest network reaches a balanced accuracy "
            f"of {search[0]['balanced_accuracy']:.4f} on validation, not {work.options.min_balanced:g}: give a smaller "
            "--min-balanced, a larger budget or longer training (--brief-epochs)"
        )
    low, high = lowest_rate(work, best.compact), work.rate(best.compact.wiring, best.compact.kept)
    while high > low * FINENESS:
        middle = math.sqrt(low * high)
        tried = attempt(middle)
        best, low, high = (tried, low, middle) if good_enough(work, tried.compact) else (best, middle, high)
    return best.then(best.compact, search=search)


def good_enough(work: Work, compact: CompactNetwork) -> bool:
    """Whether a network reaches --min-balanced, where given."""
    wanted = work.options.min_balanced
    return wanted is None or balanced_accuracy(work, compact) >= wanted


def balanced_accuracy(work: Work, compact: CompactNetwork) -> float:
    """On validation."""
    return evaluation.headline(measured(work, validation_logits(work, compact), compact.kept.classes))[1]


def lowest_rate(work: Work, compact: CompactNetwork) -> float:
    """The rate of one unit per prunable layer."""
    return work.rate(compact.wiring, narrowest(compact, compact.kept))
