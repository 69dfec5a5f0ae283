"""Which networks were made alike. Everything that shapes a network counts, but for what tables tell apart anyway."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

from specdnn.options import DEFAULTS, plain
from specdnn.structures import Record

STAGES = ("train", "prune", "retrain")
BUDGETS = ("rate", "max_params", "min_balanced")  # options that ask for a size or a quality
# Options that have columns or reports of their own, that say where a network was made, or that only record more
# about it. All others shape it; so does --oslom-bin, for another program finds other communities.
NOT_SHAPING = ("seed", "classes", "algo", "arch", "dataset", "split", "threads", "cuda", "oslom_seeds")

Budget = tuple[float | None, ...]  # one entry per option of BUDGETS
Recipe = tuple[tuple[tuple[str, str], str], ...]  # ((stage, option), value as JSON), sorted


def shaping(options: Record | None) -> dict[str, str] | None:
    """The options of a stage that shape its result, as JSON; None where nothing tells."""
    if options is None:
        return None
    return {name: json.dumps(value, sort_keys=True) for name, value in options.items() if name not in NOT_SHAPING}


def with_recipes(rows: list[Record]) -> list[Record]:
    """Every row with the number of its `recipe` and what that is called, in place of `made_by` and `start`.

    A recipe is called by its budget; of several with the same one all but the first also by how they differ from it.
    Recipe 0 is the one that most rows share, of several the one nearest to the save folder. Two parents of one seed
    are two recipes, and so are two networks that nothing else tells apart: they are never averaged.
    """
    stages = [_completed([row["made_by"][stage] for row in rows], stage) for stage in STAGES]
    made = [tuple(sorted(item for stage in told for item in stage)) for told in zip(*stages, strict=True)]
    made = _apart("parent", rows, made, [row["seed"] for row in rows], [row["start"] for row in rows])
    alike = [(row["seed"], row["algo"], *row["classes"]) for row in rows]
    made = _apart("run", rows, made, alike, range(len(rows)))
    numbers = _ranks(rows, [None] * len(rows), made)
    others = _others([recipe for _, recipe in sorted(set(zip(numbers, made, strict=True)))])
    return [_named(row, n, others[n]) for row, n in zip(rows, numbers, strict=True)]


def _apart(
    what: str, rows: list[Record], made: list[Recipe], among: Sequence[Hashable], members: Sequence[Hashable]
) -> list[Recipe]:
    """The recipes with one more entry: the rank of a row's member among those of the same recipe and `among`."""
    ranks = _ranks(rows, list(zip(made, among, strict=True)), members)
    return [(*recipe, (("", what), str(rank + 1))) for recipe, rank in zip(made, ranks, strict=True)]


def _completed(told: list[Record | None], stage: str) -> list[Recipe]:
    """The options of a stage, row by row; an option that a row does not tell, being older than it, has its default."""
    names = {name for options in filter(None, told) for name in options}
    default = {name: json.dumps(plain(DEFAULTS.get(name))) for name in names}
    whole = [None if options is None else tuple(sorted({**default, **options}.items())) for options in told]
    (usual, _), *_ = Counter(options for options in whole if options is not None).most_common(1) or [((), 0)]
    known = [usual if options is None else options for options in whole]
    return [tuple(((stage, name), value) for name, value in options) for options in known]


def depth(metrics: Record) -> tuple[int, tuple[str, ...]]:
    """How far below the save folder a file lies, and the names on the way there."""
    place = metrics.get("place", ())
    return len(place), place


def _ranks(rows: list[Record], groups: Sequence[Hashable], members: Sequence[Hashable]) -> list[int]:
    """Per row the rank of its member in its group: that of most rows first, then the nearest to the save folder.

    A row whose member is unknown, None, counts as one of the first.
    """
    places: dict[tuple[Hashable, Hashable], list[tuple[int, tuple[str, ...]]]] = defaultdict(list)
    for row, group, member in zip(rows, groups, members, strict=True):
        places[group, member].append(depth(row))
    order: dict[Hashable, list[Hashable]] = defaultdict(list)
    for group, member in sorted(places, key=lambda one: (-len(places[one]), min(places[one]), str(one[1]))):
        order[group] += [member] if member is not None else []
    return [0 if m is None else order[group].index(m) for group, m in zip(groups, members, strict=True)]


# ------------------------------------------------------------------------------------------ words


def budget_of(options: Record | None) -> Budget | None:
    """What was asked for, one entry per option of `BUDGETS`; None where nothing tells."""
    return None if options is None else tuple(options.get(name) for name in BUDGETS)


def budget_words(budget: Budget | None) -> str:
    """`rate 0.0026`, or `none` where nothing was asked for."""
    asked = [f"{name.replace('_', '-')} {b:g}" for name, b in zip(BUDGETS, budget or (), strict=False) if b is not None]
    return " ".join(asked) or "none"


def _named(row: Record, number: int, other: list[str]) -> Record:
    asked, rest = budget_words(row["budget"]), {k: v for k, v in row.items() if k not in ("made_by", "start")}
    name = ", ".join(other if other and asked == "none" else [asked, *other])
    return {**rest, "recipe": number, "recipe_name": name}


def _others(recipes: list[Recipe]) -> list[list[str]]:
    """What a recipe has otherwise than the first of the same budget."""
    usual: dict[tuple[str | None, ...], dict[tuple[str, str], str]] = {}
    others = []
    for recipe in map(dict, recipes):
        budget = tuple(recipe.get(("prune", name)) for name in BUDGETS)
        others.append(_differing(recipe, usual.setdefault(budget, recipe)))
    return others


def _differing(recipe: dict[tuple[str, str], str], usual: dict[tuple[str, str], str]) -> list[str]:
    """`retrain-epochs 1`, `loss mse in retrain`: what a recipe has otherwise, options of a single stage first."""
    stages, changed = defaultdict(list), defaultdict(list)
    for stage, name in recipe:
        stages[name].append(stage)
        if recipe[stage, name] != usual.get((stage, name)):
            changed[name, recipe[stage, name]].append(stage)
    told = sorted(changed, key=lambda one: (len(stages[one[0]]), one))
    return [_words(name, value, changed[name, value], stages[name]) for name, value in told]


def _words(name: str, value: str, changed: list[str], stages: list[str]) -> str:
    where = "" if changed == stages else f" in {' and '.join(sorted(changed, key=STAGES.index))}"
    return f"{name.replace('_', '-')} {_plain(json.loads(value))}{where}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
