"""What metrics files say together: cells, spreads, paired differences, beaten cells. Computes no metric itself."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from specdnn.results import recipes
from specdnn.structures import Record

OURS = "OSLOM"


# ------------------------------------------------------------------------------------------ cells


def cells(found: list[Record], arch: str) -> list[Record]:
    """One flat row per retrained network of one wanted class, sorted by algorithm, seed and class.

    Beside the network's own metrics stand those of its pruned checkpoint (`pruned_...`), the shares of the parent's
    weights that the communities and the trim removed, its widths, its class, its budget and its recipe. Measures of
    the validation split do not stand beside those of the test split: where there are both, the test split counts.
    """
    rows = _rows(found, arch, [m for m in found if len(m.get("classes", ())) == 1])
    return recipes.with_recipes([{**row, "class": row["classes"][0]} for row in rows])


def several(found: list[Record], arch: str) -> list[Record]:
    """The same rows of networks of several classes; their measures are means over the outputs.

    Of all classes at once the accuracy is that of the largest output. `class` names them all.
    """
    rows = _rows(found, arch, [m for m in found if len(m.get("classes", ())) > 1])
    return recipes.with_recipes([_of_outputs(row) for row in rows])


def _of_outputs(row: Record) -> Record:
    means = {name.removeprefix("mean_"): value for name, value in row.items() if name.startswith("mean_")}
    plain = {k: v for k, v in row.items() if not isinstance(v, list) or k in ("classes", "widths")}  # not per output
    return {**means, **plain, "class": "-".join(map(str, row["classes"]))}


def _rows(found: list[Record], arch: str, wanted: list[Record]) -> list[Record]:
    """One row per retrained network among the wanted; the same one in a copied folder counts once."""
    mine = [m for m in found if m.get("arch") == arch]
    pruned, parents = _grouped(mine, "prune", _origin), _grouped(mine, "train", _seed)
    leaders = {(_seed(m), *_place(m), *m["classes"]): m for m in mine if m.get("verb") == "prune" and m["algo"] == OURS}
    whole = next((m["true_weights"] for m in mine if m.get("verb") == "train" and "true_weights" in m), None)
    rows = []
    for m in once([m for m in wanted if (m.get("arch"), m.get("verb")) == (arch, "retrain")]):
        origin, parent = _nearest(pruned[_origin(m)], m), _nearest(parents[_seed(m)], m)
        leader = leaders.get((_seed(m), *_place(m), *m["classes"]), {})
        rows.append({**_row(m, origin, whole), **_descent(m, origin, parent, leader)})
    split = "test" if any(row["split"] == "test" for row in rows) else "validation"
    return sorted((r for r in rows if r["split"] == split), key=lambda r: (r["algo"], r["seed"], r["classes"]))


def once(found: list[Record]) -> list[Record]:
    """Without copies of the same network measured on the same split; the nearest to the save folder stays."""
    nearest = dict[Hashable, int]()
    for m in sorted(found, key=recipes.depth):
        nearest.setdefault((m.get("checkpoint_hash") or id(m), m.get("split")), id(m))
    kept = set(nearest.values())
    return [m for m in found if id(m) in kept]


def _grouped(found: list[Record], verb: str, by: Callable[[Record], Hashable]) -> dict[Hashable, list[Record]]:
    groups = defaultdict(list)
    for m in found:
        if m.get("verb") == verb:
            groups[by(m)].append(m)
    return groups


def _seed(metrics: Record) -> int | None:
    return metrics.get("seed")


def _place(metrics: Record) -> tuple[str, ...]:
    place: tuple[str, ...] = metrics.get("place", ())
    return place


def _origin(metrics: Record) -> str:
    """What a retrained network shares with the pruned one it came from, and with no other beside it."""
    return json.dumps([metrics.get(name) for name in ("classes", "algo", "seed", "split", "kept")])


def _nearest(candidates: list[Record], metrics: Record) -> Record:
    """The one that lies beside, else the only one there is; empty where it could be another."""
    beside = [m for m in candidates if _place(m) == _place(metrics)]
    elsewhere = once(candidates)
    return beside[-1] if beside else elsewhere[0] if len(elsewhere) == 1 else {}


def _descent(retrained: Record, pruned: Record, parent: Record, leader: Record) -> Record:
    """Options of every stage, the parent's checkpoint, and a hash of what the pruning started from.

    The input hash of an algorithm that follows OSLOM's run covers that run too, so the run's own counts.
    """
    stages = {"train": parent, "prune": pruned, "retrain": retrained}
    own = pruned.get("algo") == OURS or pruned.get("schedule") == "own"
    return {
        "made_by": {stage: recipes.shaping(m.get("options")) for stage, m in stages.items()},
        "start": (pruned if own else leader).get("input_hash"),
        "parent": parent.get("checkpoint_hash"),
    }


def _row(retrained: Record, pruned: Record, whole: int | None) -> Record:
    row = {**retrained, **{f"pruned_{name}": value for name, value in pruned.items()}}
    steps = pruned.get("steps", [])
    first: Record = next((step for step in steps if str(step["stage"]).startswith("round")), {})
    at_zero = {f"at_zero_{name}": value for name, value in (row.get("at_zero") or {}).items()}
    return {
        **row,
        **at_zero,
        "threshold": (row.get("thresholds") or [None])[0],  # of a network of one class
        **_shares(row.get("pruned_community_true_weights"), row["true_weights"], whole),
        "widths": [len(units) for units in list((row.get("kept") or {}).values())[:-1]],
        "budget": recipes.budget_of(row.get("pruned_options")),
        "round1_widths": (first.get("widths") or [])[:-1],
        "round1_true_weights": first.get("true_weights"),
        "round1_share": first["true_weights"] / whole if first and whole else None,
    }


def _shares(after_communities: int | None, left: int, whole: int | None) -> Record:
    if not (after_communities and whole):
        return {}
    removed = {"community_share": whole - after_communities, "trim_share": after_communities - left}
    return {**{name: weights / whole for name, weights in removed.items()}, "left_share": left / whole}


# ------------------------------------------------------------------------------------------ which cells belong together


def main_rows(rows: list[Record]) -> list[Record]:
    """The rows of the recipe that most cells share."""
    return [row for row in rows if row["recipe"] == 0]


def usual_rows(rows: list[Record]) -> list[Record]:
    """Of every budget the rows of the recipe that most cells share."""
    usual = {row["budget"]: row["recipe"] for row in sorted(rows, key=lambda row: -row["recipe"])}
    return [row for row in rows if row["recipe"] == usual[row["budget"]]]


def ours(rows: list[Record]) -> list[Record]:
    """OSLOM's rows of the main recipe: those the pictures of the classes show."""
    return of_algo(main_rows(rows), OURS)


def parents(found: list[Record], rows: list[Record]) -> list[Record]:
    """The parents that these rows were cut from, one after the other seed."""
    wanted = {row["parent"] for row in rows} - {None}
    mine = [m for m in found if m.get("verb") == "train" and m.get("checkpoint_hash") in wanted]
    return sorted(once(mine), key=lambda m: m["seed"])


def first_round_alone(rows: list[Record]) -> list[Record]:
    """OSLOM's rows in which the first community of the whole network was all that was cut to."""
    whole = [row for row in of_algo(rows, OURS) if row["budget"] is not None and not any(row["budget"])]
    return usual_rows([row for row in whole if row.get("pruned_rounds") == 1])


def of_algo(rows: list[Record], algo: str) -> list[Record]:
    return [row for row in rows if row["algo"] == algo]


def of_all_classes(rows: list[Record], algo: str) -> list[Record]:
    """An algorithm's rows of the recipes by which it made every class: a mean over some classes is no mean.

    Every class is what most were made by one recipe and algorithm.
    """
    made = defaultdict(set)
    for row in rows:
        made[row["algo"], row["recipe"]].add(row["class"])
    most: set[int] = max(made.values(), key=len, default=set())
    return [row for row in of_algo(rows, algo) if made[algo, row["recipe"]] >= most]


def by_recipe(rows: list[Record]) -> dict[int, list[Record]]:
    """Recipe -> its rows, both in the order of the rows."""
    found = defaultdict(list)
    for row in rows:
        found[row["recipe"]].append(row)
    return dict(found)


def by_class(rows: list[Record]) -> dict[int, list[Record]]:
    """Class -> its rows, in ascending order."""
    found = defaultdict(list)
    for row in sorted(rows, key=lambda r: (r["class"], r["seed"])):
        found[row["class"]].append(row)
    return dict(found)


# ------------------------------------------------------------------------------------------ spreads


def spread(rows: list[Record], measure: str) -> tuple[float | None, float | None]:
    """(mean over the seeds, standard deviation over the seeds) of the mean over the classes.

    A measure that a row lacks is left out; None where too few are left.
    """
    seeds = defaultdict(list)
    for row in rows:
        if row.get(measure) is not None:
            seeds[row["seed"]].append(row[measure])
    means = [statistics.fmean(values) for values in seeds.values()]
    return statistics.fmean(means) if means else None, statistics.stdev(means) if len(means) > 1 else None


def mean(rows: list[Record], measure: str) -> float | None:
    return spread(rows, measure)[0]


# ------------------------------------------------------------------------------------------ rivals


@dataclass(frozen=True)
class Paired:
    """Differences of two algorithms in one measure, paired by class and seed."""

    mean: float
    error: float | None  # standard error over the classes; None for a single class
    ahead: int  # classes in which the difference is positive
    classes: int


def paired(ours: list[Record], theirs: list[Record], measure: str) -> Paired | None:
    """Ours minus theirs: per class the mean over the seeds both have, then mean and standard error over the classes.

    None if no class and seed has both; where the measure is undefined, there is none.
    """
    other = {(row["class"], row["seed"]): row.get(measure) for row in theirs}
    differences = defaultdict(list)
    for row in ours:
        one, two = row.get(measure), other.get((row["class"], row["seed"]))
        if one is not None and two is not None:
            differences[row["class"]].append(one - two)
    means = [statistics.fmean(values) for values in differences.values()]
    if not means:
        return None
    error = statistics.stdev(means) / len(means) ** 0.5 if len(means) > 1 else None
    return Paired(statistics.fmean(means), error, sum(m > 0 for m in means), len(means))


def rivals(rows: list[Record]) -> list[str]:
    """The other algorithms, the best mean balanced accuracy first, those without any last."""
    means = {algo: mean(of_algo(rows, algo), "balanced_accuracy") for algo in {row["algo"] for row in rows} - {OURS}}
    return sorted(means, key=lambda algo: (means[algo] is None, -(means[algo] or 0), algo))


# ------------------------------------------------------------------------------------------ the published table


@dataclass(frozen=True)
class PublishedCell:
    """A class of the published table beside our runs of it (fractions; None where there is no run)."""

    wanted: int
    accuracy: float
    rate: float
    ours: list[Record]

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


def published_cells(rows: list[Record], published: dict[int, tuple[float, float]]) -> list[PublishedCell]:
    """Our runs beside the published (paper-rule rate, accuracy) of each class.

    Of several budgets that of the largest network still smaller than the published one speaks for the class: its
    size decides, never its accuracy. The published figures are of the test set, so others do not stand beside them.
    """
    counted = [row for row in of_algo(rows, OURS) if row["split"] == "test" and None not in map(row.get, COMPARED)]
    ours, found = by_class(counted), []
    for wanted, (rate, accuracy) in sorted(published.items()):
        runs = by_recipe(usual_rows(ours.get(wanted, []))).values()
        candidates = [PublishedCell(wanted, accuracy, rate, group) for group in runs]
        found.append(max(candidates, key=_size_order, default=PublishedCell(wanted, accuracy, rate, [])))
    return found


COMPARED = ("accuracy", "paper_rule_rate")  # where one is undefined, nothing stands beside the published figures


def _size_order(cell: PublishedCell) -> tuple[bool, float]:
    """The largest among the smaller ones, else the smallest."""
    rate = mean(cell.ours, "paper_rule_rate") or 0.0
    return cell.smaller, rate if cell.smaller else -rate


# ------------------------------------------------------------------------------------------ curves and overlaps


def pareto_points(rows: list[Record]) -> Iterator[Record]:
    """Every retrained network, and the steps on its way, which carry a validation score only."""
    for row in rows:
        for step in row.get("pruned_steps", []):
            told = {"point": step["stage"], "split": "validation"}
            told |= {name: step.get(name) for name in ("true_weights", "validation_score")}
            yield {**_cell(row), **told}
        yield {**row, **_cell(row), "point": "retrained"}


def _cell(row: Record) -> Record:
    return {**{name: row[name] for name in ("arch", "class", "algo", "seed")}, "budget": row["recipe_name"]}


def overlaps(rows: list[Record]) -> dict[str, list[list[float]]]:
    """Layer -> Jaccard overlap of the kept units of every two classes, the mean over the seeds.

    Layers that all networks keep alike, and the outputs, have nothing to tell.
    """
    seeds: dict[int, dict[int, Record]] = defaultdict(dict)
    for row in rows:
        seeds[row["seed"]][row["class"]] = {layer: set(units) for layer, units in row["kept"].items()}
    classes = sorted(by_class(rows))
    complete = [kept for kept in seeds.values() if sorted(kept) == classes]
    layers = [layer for layer in _layers(rows)[:-1] if all(layer in row["kept"] for row in rows)]
    return {layer: matrix for layer in layers if not _alike(matrix := _mean_overlap(complete, classes, layer))}


def kept_shares(rows: list[Record], parents: list[Record]) -> tuple[list[list[float]], list[str], list[int]] | None:
    """(per class and layer the share of the layer's units that its networks keep, the layers, the classes).

    Means over the seeds; without the outputs, and without layers that all keep whole. None where nothing is left, or no
    parent tells how many units there were.
    """
    whole: Record = next((one["kept"] for one in parents if one.get("kept")), {})
    shares = {
        layer: [
            statistics.fmean(len(row["kept"].get(layer, ())) / len(whole[layer]) for row in own)
            for own in by_class(rows).values()
        ]
        for layer in _layers(rows)[:-1]
        if layer in whole
    }
    cut = {layer: several for layer, several in shares.items() if min(several) < 1}
    return ([list(line) for line in zip(*cut.values(), strict=True)], list(cut), list(by_class(rows))) if cut else None


def _layers(rows: list[Record]) -> list[str]:
    return list(rows[0]["kept"]) if rows else []


def _mean_overlap(seeds: list[dict[int, Record]], classes: list[int], layer: str) -> list[list[float]]:
    def overlap(a: int, b: int) -> float:
        pairs = [(kept[a][layer], kept[b][layer]) for kept in seeds]
        return statistics.fmean(len(one & two) / len(one | two) for one, two in pairs)

    return [[overlap(a, b) for b in classes] for a in classes] if seeds else []


def _alike(matrix: list[list[float]]) -> bool:
    return all(value == 1 for line in matrix for value in line)
