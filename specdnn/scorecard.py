"""What metrics files say together: cells, spreads, paired differences, beaten cells. Computes no metric itself."""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

OURS = "OSLOM"
BUDGETS = ("rate", "max_params", "min_balanced")  # options that ask for a size or a quality


# ------------------------------------------------------------------------------------------ cells


def cells(found: list[dict], arch: str) -> list[dict]:
    """One flat row per retrained network of one wanted class, sorted by algorithm, seed and class.

    Beside the network's own metrics stand those of its pruned checkpoint (`pruned_...`), the shares of the parent's
    weights that the communities and the trim removed, its widths, its class and its budget. Measures of the
    validation split do not stand beside those of the test split: where there are both, the test split counts.
    """
    mine = [m for m in found if m.get("arch") == arch and m.get("verb") in ("prune", "retrain", "train")]
    pruned = {_origin(m): m for m in mine if m["verb"] == "prune"}
    whole = next((m["true_weights"] for m in mine if m["verb"] == "train"), None)
    retrained = [m for m in mine if m["verb"] == "retrain" and len(m["classes"]) == 1]
    rows = [_row(m, pruned.get(_origin(m), {}), whole) for m in retrained]
    split = "test" if any(row["split"] == "test" for row in rows) else "validation"
    return sorted((r for r in rows if r["split"] == split), key=lambda r: (r["algo"], r["seed"], r["class"]))


def _origin(metrics: dict) -> str:
    """What a retrained network shares with the pruned one it came from, and with no other."""
    return json.dumps([metrics.get(name) for name in ("classes", "algo", "seed", "split", "kept")])


def _row(retrained: dict, pruned: dict, whole: int | None) -> dict:
    row = {**retrained, **{f"pruned_{name}": value for name, value in pruned.items()}}
    steps = pruned.get("steps", [])
    first = next((step for step in steps if str(step["stage"]).startswith("round")), {})
    return {
        **row,
        **_shares(row.get("pruned_community_true_weights"), row["true_weights"], whole),
        "class": retrained["classes"][0],
        "widths": [len(units) for units in list((row.get("kept") or {}).values())[:-1]],
        "budget": _budget(row.get("pruned_options")),
        "round1_widths": first.get("widths", [])[:-1],
        "round1_true_weights": first.get("true_weights"),
        "round1_share": first["true_weights"] / whole if first and whole else None,
    }


def _shares(after_communities: int | None, left: int, whole: int | None) -> dict:
    if not (after_communities and whole):
        return {}
    removed = {"community_share": whole - after_communities, "trim_share": after_communities - left}
    return {**{name: weights / whole for name, weights in removed.items()}, "left_share": left / whole}


def _budget(options: dict | None) -> tuple | None:
    """What was asked for, one entry per option of `BUDGETS`; None where nothing tells."""
    return None if options is None else tuple(options.get(name) for name in BUDGETS)


def budget_words(budget: tuple | None) -> str:
    """`rate 0.0026`, or `none` where nothing was asked for."""
    asked = [f"{name.replace('_', '-')} {b:g}" for name, b in zip(BUDGETS, budget or (), strict=False) if b is not None]
    return " ".join(asked) or "none"


def main_rows(rows: list[dict]) -> list[dict]:
    """The rows of the budget that most cells share; rows of which no budget is known belong to it."""
    counted = Counter(row["budget"] for row in rows if row["budget"] is not None)
    main = max(counted, key=lambda b: (counted[b], budget_words(b)), default=None)
    return [row for row in rows if row["budget"] in (main, None)]


def ours(rows: list[dict]) -> list[dict]:
    """OSLOM's rows of the main budget: those the pictures of the classes show."""
    return of_algo(main_rows(rows), OURS)


def first_round_alone(rows: list[dict]) -> list[dict]:
    """OSLOM's rows in which the first community of the whole network was all that was cut to."""
    whole = [row for row in of_algo(rows, OURS) if row["budget"] is not None and not any(row["budget"])]
    return [row for row in whole if row.get("pruned_rounds") == 1]


def of_algo(rows: list[dict], algo: str) -> list[dict]:
    return [row for row in rows if row["algo"] == algo]


def of_all_classes(rows: list[dict]) -> list[dict]:
    """The rows of the budgets that every class was given: a mean over some classes is no mean."""
    classes = {budget: {row["class"] for row in group} for budget, group in by_budget(rows).items()}
    most = max(map(len, classes.values()), default=0)
    return [row for row in rows if len(classes[row["budget"]]) == most]


def by_budget(rows: list[dict]) -> dict[tuple | None, list[dict]]:
    """Budget -> its rows, both in the order of the rows."""
    found = defaultdict(list)
    for row in rows:
        found[row["budget"]].append(row)
    return dict(found)


def by_class(rows: list[dict]) -> dict[int, list[dict]]:
    """Class -> its rows, in ascending order."""
    found = defaultdict(list)
    for row in sorted(rows, key=lambda r: (r["class"], r["seed"])):
        found[row["class"]].append(row)
    return dict(found)


# ------------------------------------------------------------------------------------------ spreads


def spread(rows: list[dict], measure: str) -> tuple[float | None, float | None]:
    """(mean over the seeds, standard deviation over the seeds) of the mean over the classes.

    A measure that a row lacks is left out; None where too few are left.
    """
    seeds = defaultdict(list)
    for row in rows:
        if row.get(measure) is not None:
            seeds[row["seed"]].append(row[measure])
    means = [statistics.fmean(values) for values in seeds.values()]
    return statistics.fmean(means) if means else None, statistics.stdev(means) if len(means) > 1 else None


def mean(rows: list[dict], measure: str) -> float | None:
    return spread(rows, measure)[0]


# ------------------------------------------------------------------------------------------ rivals


@dataclass(frozen=True)
class Paired:
    """Differences of two algorithms in one measure, paired by class and seed."""

    mean: float
    error: float | None  # standard error over the classes; None for a single class
    ahead: int  # classes in which the difference is positive
    classes: int


def paired(ours: list[dict], theirs: list[dict], measure: str) -> Paired | None:
    """Ours minus theirs: per class the mean over the seeds both have, then mean and standard error over the classes.

    None if no class and seed has both.
    """
    other = {(row["class"], row["seed"]): row[measure] for row in theirs}
    differences = defaultdict(list)
    for row in ours:
        if (row["class"], row["seed"]) in other:
            differences[row["class"]].append(row[measure] - other[row["class"], row["seed"]])
    means = [statistics.fmean(values) for values in differences.values()]
    if not means:
        return None
    error = statistics.stdev(means) / len(means) ** 0.5 if len(means) > 1 else None
    return Paired(statistics.fmean(means), error, sum(m > 0 for m in means), len(means))


def rivals(rows: list[dict]) -> list[str]:
    """The other algorithms, the best mean balanced accuracy first."""
    others = {row["algo"] for row in rows} - {OURS}
    return sorted(others, key=lambda algo: (-(mean(of_algo(rows, algo), "balanced_accuracy") or 0), algo))


# ------------------------------------------------------------------------------------------ the published table


@dataclass(frozen=True)
class PublishedCell:
    """A class of the published table beside our runs of it (fractions; None where there is no run)."""

    wanted: int
    accuracy: float
    rate: float
    ours: list[dict]

    @property
    def more_accurate(self) -> bool:
        """Strictly, after rounding as the table prints it."""
        found = mean(self.ours, "accuracy")
        return found is not None and round(found, 4) > self.accuracy

    @property
    def smaller(self) -> bool:
        found = mean(self.ours, "paper_rule_rate")
        return found is not None and round(found, 6) < self.rate

    @property
    def beaten(self) -> bool:
        return self.more_accurate and self.smaller


def published_cells(rows: list[dict], published: dict[int, tuple[float, float]]) -> list[PublishedCell]:
    """Our runs beside the published (paper-rule rate, accuracy) of each class.

    Of several budgets that of the largest network still smaller than the published one speaks for the class: its
    size decides, never its accuracy. The published figures are of the test set, so others do not stand beside them.
    """
    ours, found = by_class([row for row in of_algo(rows, OURS) if row["split"] == "test"]), []
    for wanted, (rate, accuracy) in sorted(published.items()):
        runs = by_budget(ours.get(wanted, [])).values()
        candidates = [PublishedCell(wanted, accuracy, rate, group) for group in runs]
        found.append(max(candidates, key=_size_order, default=PublishedCell(wanted, accuracy, rate, [])))
    return found


def _size_order(cell: PublishedCell) -> tuple[bool, float]:
    """The largest among the smaller ones, else the smallest."""
    rate = mean(cell.ours, "paper_rule_rate")
    return cell.smaller, rate if cell.smaller else -rate


# ------------------------------------------------------------------------------------------ curves and overlaps


def pareto_points(rows: list[dict]) -> Iterator[dict]:
    """Every retrained network, and the steps on its way, which carry a validation score only."""
    for row in rows:
        for step in row.get("pruned_steps", []):
            told = {"point": step["stage"], "split": "validation"}
            told |= {name: step.get(name) for name in ("true_weights", "validation_score")}
            yield {**_cell(row), **told}
        yield {**row, **_cell(row), "point": "retrained"}


def _cell(row: dict) -> dict:
    return {**{name: row[name] for name in ("arch", "class", "algo", "seed")}, "budget": budget_words(row["budget"])}


def overlaps(rows: list[dict]) -> dict[str, list[list[float]]]:
    """Layer -> Jaccard overlap of the kept units of every two classes, the mean over the seeds.

    Layers that all networks keep alike, and the outputs, have nothing to tell.
    """
    seeds = defaultdict(dict)
    for row in rows:
        seeds[row["seed"]][row["class"]] = {layer: set(units) for layer, units in row["kept"].items()}
    classes = sorted(by_class(rows))
    complete = [kept for kept in seeds.values() if sorted(kept) == classes]
    layers = list(rows[0]["kept"])[:-1] if rows else []
    return {layer: matrix for layer in layers if not _alike(matrix := _mean_overlap(complete, classes, layer))}


def _mean_overlap(seeds: list[dict], classes: list[int], layer: str) -> list[list[float]]:
    def overlap(a: int, b: int) -> float:
        pairs = [(kept[a][layer], kept[b][layer]) for kept in seeds]
        return statistics.fmean(len(one & two) / len(one | two) for one, two in pairs)

    return [[overlap(a, b) for b in classes] for a in classes] if seeds else []


def _alike(matrix: list[list[float]]) -> bool:
    return all(value == 1 for line in matrix for value in line)
