"""Metrics files -> text: Markdown and CSV. Computes no metric, loads no network."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from specdnn.options import ALGORITHMS
from specdnn.results import recipes, scorecard
from specdnn.results.scorecard import OURS, Paired, PublishedCell
from specdnn.structures import Record, SpecDNNError

CELL = ("arch", "class", "algo", "seed", "split")
MEASURES = (
    *("accuracy", "balanced_accuracy", "always_no_accuracy", "precision", "recall", "f1", "auroc"),
    *("tp", "fp", "fn", "tn", "true_weights", "true_parameters", "true_rate", "paper_rule_weights"),
    *("paper_rule_rate", "macs", "file_bytes"),
)
# the pruned network before its retraining, and the community it was trimmed from
PRUNED = ("accuracy", "balanced_accuracy", "significance", "captured_relevance", "community_true_weights")
POINT = (
    *("arch", "class", "algo", "seed", "budget", "point", "split", "true_weights", "true_parameters"),
    *("paper_rule_rate", "accuracy", "balanced_accuracy", "validation_score"),
)

MISSING = "–"
Rows = list[Record]
Pictures = dict[str, str]  # what is to be seen -> where the file lies, as seen from the text


# ------------------------------------------------------------------------------------------ how a number is written


def number(measure: str, form: str = ".4g", scale: float = 1) -> Callable[[Rows], str]:
    """Mean of a measure over the rows and, where seeds differ, ± its standard deviation over them."""
    return spread(measure, lambda value: f"{scale * value:{form}}")


def percent(measure: str, places: int = 2) -> Callable[[Rows], str]:
    return number(measure, f".{places}f", 100)


def count(measure: str) -> Callable[[Rows], str]:
    """A whole number, or the mean of such with one place."""
    return spread(measure, lambda value: f"{value:.1f}".removesuffix(".0"))


def spread(measure: str, write: Callable[[float], str]) -> Callable[[Rows], str]:
    def written(rows: Rows) -> str:
        mean, sd = scorecard.spread(rows, measure)
        if mean is None:
            return MISSING
        return f"{write(mean)} ± {write(sd)}" if sd else write(mean)

    return written


def largest(measure: str) -> Callable[[Rows], str]:
    """The largest value, where a mean would hide the weakest of the rows."""

    def written(rows: Rows) -> str:
        known = [row[measure] for row in rows if row.get(measure) is not None]
        return f"{max(known):.2g}" if known else MISSING

    return written


def shape(measure: str = "widths") -> Callable[[Rows], str]:
    """Units per layer: `88-7-4`, or their means."""

    def write(rows: Rows) -> str:
        known = [row[measure] for row in rows if row.get(measure)]
        if len({len(widths) for widths in known}) != 1:
            return MISSING  # nothing known, or networks of different depths
        means = [sum(widths) / len(widths) for widths in zip(*known, strict=True)]
        return "-".join(f"{m:.1f}".removesuffix(".0") for m in means)

    return write


def how_often(measure: str) -> Callable[[Rows], str]:
    """`2 of 3` rows in which something is so."""

    def write(rows: Rows) -> str:
        known = [row[measure] for row in rows if row.get(measure) is not None]
        return f"{sum(known)} of {len(known)}" if known else MISSING

    return write


# ------------------------------------------------------------------------------------------ tables per class


@dataclass(frozen=True)
class Section:
    """A heading, a sentence and a table, every line as wide as the headings; as a text it is Markdown."""

    heading: str
    sentence: str
    headings: tuple[str, ...]
    lines: list[list[str]]

    def __str__(self) -> str:
        """The first column to the left, numbers to the right."""
        rule = "|---|" + "---:|" * (len(self.headings) - 1)
        written = [f"| {' | '.join(cells)} |" for cells in (self.headings, *self.lines)]
        return "\n".join([f"### {self.heading}", "", self.sentence, "", written[0], rule, *written[1:], ""])


@dataclass(frozen=True)
class Table:
    """A heading, one sentence, and columns (heading, how the rows of a class are written)."""

    heading: str
    sentence: str
    columns: tuple[tuple[str, Callable[[Rows], str]], ...]

    def section(self, rows: Rows) -> Section | None:
        """A line per class and, of several, their mean; None if nothing is known of the first column."""
        groups: list[tuple[Any, Rows]] = list(scorecard.by_class(rows).items())
        groups += [("mean", rows)] if len(groups) > 1 else []
        lines = [[str(name), *(write(group) for _, write in self.columns)] for name, group in groups]
        if all(line[1] == MISSING for line in lines):
            return None
        return Section(self.heading, self.sentence, ("class", *(name for name, _ in self.columns)), lines)


DETECTION = Table(
    "What the networks detect",
    "*Always no* is the accuracy of a network that detects nothing.",
    (
        ("accuracy %", percent("accuracy")),
        ("always no %", percent("always_no_accuracy")),
        ("balanced %", percent("balanced_accuracy")),
        ("precision %", percent("precision")),
        ("recall %", percent("recall")),
        ("F1 %", percent("f1")),
        ("AUROC", number("auroc", ".4f")),
    ),
)
THRESHOLDS = Table(
    "Where yes begins",
    "The logit above which the answer is yes was chosen on validation; beside the measures at it those at 0.",
    (
        ("threshold", number("threshold", ".2f")),
        ("accuracy %", percent("accuracy")),
        ("at 0", percent("at_zero_accuracy")),
        ("balanced %", percent("balanced_accuracy")),
        ("at 0", percent("at_zero_balanced_accuracy")),
        ("F1 %", percent("f1")),
        ("at 0", percent("at_zero_f1")),
    ),
)
COUNTS = Table(
    "Counts",
    "Images of the class that are detected (TP) or missed (FN), others that are taken for it (FP) or not (TN).",
    (("TP", count("tp")), ("FP", count("fp")), ("FN", count("fn")), ("TN", count("tn"))),
)
SIZES = Table(
    "How big they are",
    "Weights and parameters (weights and biases) of the network that runs; *true rate*: its parameters over those of "
    "the ten-output parent; *paper rule*: weights as the published table counts them, over the parent's.",
    (
        ("kept units", shape()),
        ("weights", count("true_weights")),
        ("parameters", count("true_parameters")),
        ("true rate %", percent("true_rate", 3)),
        ("paper rule %", percent("paper_rule_rate", 3)),
        ("MACs", count("macs")),
        ("file bytes", count("file_bytes")),
    ),
)
SHARES = Table(
    "Who removed the weights",
    "Of the parent's weights, the share cut away by communities, the share cut away by the last trim to the budget, "
    "and what is left.",
    (
        ("communities %", percent("community_share")),
        ("trim %", percent("trim_share")),
        ("left %", percent("left_share", 3)),
    ),
)
FIRST_ROUND = Table(
    "The first round",
    "The community that OSLOM finds in the whole network: its significance (bs; the smaller, the less it can be "
    "chance; of several the largest), how alike those of other OSLOM seeds are (Jaccard), the share of the relevance "
    "it captures, and how many modules were joined because a layer was too narrow.",
    (
        ("significance", largest("pruned_significance")),
        ("stability", number("pruned_stability", ".2f")),
        ("relevance %", percent("pruned_captured_relevance", 1)),
        ("joined", count("pruned_joined")),
        ("output inside", how_often("pruned_output_in_community")),
        ("units", shape("round1_widths")),
        ("weights", count("round1_true_weights")),
        ("of all %", percent("round1_share", 1)),
    ),
)
FIRST_ROUND_ALONE = Table(
    "The first round alone",
    "The community that OSLOM finds in the whole network, retrained, and nothing else: its significance, how alike "
    "those of other OSLOM seeds are (Jaccard), its size, and what it detects.",
    (
        *FIRST_ROUND.columns[:3],
        *SIZES.columns[:2],
        FIRST_ROUND.columns[-1],
        DETECTION.columns[0],
        DETECTION.columns[2],
    ),
)
WITHOUT_RETRAINING = Table(
    "Without retraining",
    "The extracted network as it leaves the pruning, beside the same network after its retraining.",
    (
        ("accuracy %", percent("pruned_accuracy")),
        ("balanced %", percent("pruned_balanced_accuracy")),
        ("recall %", percent("pruned_recall")),
        ("retrained: accuracy %", percent("accuracy")),
        ("balanced %", percent("balanced_accuracy")),
    ),
)


# ------------------------------------------------------------------------------------------ rivals

IN_WHAT = "in mean balanced accuracy, in percentage points; less than its standard error is a tie"


def lead(rows: Rows) -> str:
    """The first sentence: who is ahead in mean balanced accuracy, by how much."""
    ours, compared = scorecard.of_algo(rows, OURS), []
    if not ours:
        return f"{OURS} has not been measured yet."
    for algo in scorecard.rivals(rows):
        difference = scorecard.paired(ours, scorecard.of_algo(rows, algo), "balanced_accuracy")
        compared += [(difference, algo)] if difference else []
    if not compared:
        return f"No rival has been measured beside {OURS} yet."
    compared.sort(key=lambda one: (one[0].mean, one[1]))
    in_front = [one for one in compared if one[0].mean < 0]
    classes = len(scorecard.by_class(ours))
    named = _list(f"{algo} (by {_points(found)}{_fewer(found, classes)})" for found, algo in in_front or compared)
    if in_front:
        return f"**{named} {'is' if len(in_front) == 1 else 'are'} ahead of {OURS} {IN_WHAT}.**"
    return f"{OURS} is ahead of {named} {IN_WHAT}."


def _points(found: Paired) -> str:
    return f"{100 * abs(found.mean):.2f}{_error(found)}"


def _fewer(found: Paired, classes: int) -> str:
    return f", in {found.classes} of {classes} classes" if found.classes < classes else ""


def _list(words: Iterable[str]) -> str:
    words = list(words)
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _error(difference: Paired) -> str:
    return "" if difference.error is None else f" ± {100 * difference.error:.2f}"


def rivals(rows: Rows) -> Section | None:
    """A line per algorithm, the paired differences beside it; None without a rival."""
    algos, ours = scorecard.rivals(rows), scorecard.of_algo(rows, OURS)
    if not (ours and algos):
        return None
    words = "; ".join(f"*{algo}*: {ALGORITHMS[algo]}" for algo in algos if algo in ALGORITHMS)
    headings = ("algorithm", "classes", "accuracy %", "balanced %", "weights", f"{OURS} minus it: accuracy", "balanced")
    lines = [_rival_line(OURS, ours, []), *(_rival_line(a, scorecard.of_algo(rows, a), ours) for a in algos)]
    return Section(
        "The rivals",
        f"Means of the classes at equal size ({words}). The differences are percentage points, paired by class and "
        "seed: mean over the seeds of a class, then mean and standard error over the classes, and in how many "
        f"classes {OURS} is ahead.",
        headings,
        lines,
    )


def _rival_line(algo: str, rows: Rows, ours: Rows) -> list[str]:
    measures = ("accuracy", "balanced_accuracy")
    differences = [_difference(scorecard.paired(ours, rows, measure)) for measure in measures]
    figures = [percent("accuracy")(rows), percent("balanced_accuracy")(rows), count("true_weights")(rows)]
    return [algo, str(len(scorecard.by_class(rows))), *figures, *differences]


def _difference(found: Paired | None) -> str:
    if found is None:
        return MISSING
    return f"{100 * found.mean:+.2f}{_error(found)} ({found.ahead} of {found.classes})"


# ------------------------------------------------------------------------------------------ other recipes


def _rest(rows: Rows) -> str:
    """How many images of the rest an epoch shows for each of the class."""
    asked = (rows[0].get("options") or {}).get("rest")
    return f"{asked:g}" if asked else "all"


def budgets(rows: Rows) -> Section | None:
    """A line per recipe of ours, the smallest networks first; None if there is only one."""
    groups = list(scorecard.by_recipe(scorecard.of_algo(rows, OURS)).values())
    if len(groups) < 2:
        return None
    shown = (("rest", _rest),) if any(_rest(group) != "all" for group in groups) else ()
    columns = (("epochs", count("epochs")), *shown, *(DETECTION.columns[k] for k in (0, 2, 6)), *SIZES.columns[1:5])
    ordered = sorted(groups, key=lambda group: scorecard.mean(group, "true_parameters") or 0.0)
    names = [next((row for row in group if row["budget"]), group[0])["recipe_name"] for group in ordered]
    lines = [
        [name, _few(list(scorecard.by_class(group))), *(write(group) for _, write in columns)]
        for name, group in zip(names, ordered, strict=True)
    ]
    sentence = f"What {OURS} reaches at every size asked for; *none*: the whole community; epochs of the retraining"
    sentence += "; *rest*: images of the rest that each shows for one of the class." if shown else "."
    return Section("Every budget", sentence, ("budget", "of", *(name for name, _ in columns)), lines)


def rivals_apart(rows: Rows) -> str:
    """One sentence: the rivals that were made by other recipes, so that no table compares them; empty without any."""
    apart = [row for row in rows if row["recipe"] != 0 and row["algo"] != OURS]
    named = sorted({f"{row['algo']} ({row['recipe_name']})" for row in apart})
    return f"Made with other options, and therefore in the .csv only: {_list(named)}." if named else ""


def _few(classes: list[int]) -> str:
    """A few classes by name, many by number."""
    named = f"class{'es' * (len(classes) > 1)} {', '.join(map(str, classes))}"
    return named if len(classes) < 4 else f"{len(classes)} classes"


# ------------------------------------------------------------------------------------------ networks of several classes


def several(rows: Rows) -> Section | None:
    """A line per set of classes, algorithm and recipe; None without any."""
    groups: dict[tuple[str, str, str], Rows] = {}
    for row in sorted(rows, key=lambda row: (row["classes"], row["algo"] != OURS, row["algo"], row["recipe"])):
        groups.setdefault((row["class"], row["algo"], row["recipe_name"]), []).append(row)
    columns = (*DETECTION.columns[:3], DETECTION.columns[6], *SIZES.columns[:3], SIZES.columns[4])
    if any("accuracy_among" in row for row in rows):
        columns += (("among %", percent("accuracy_among")),)
    lines = [[*named, *(write(group) for _, write in columns)] for named, group in groups.items()]
    headings = ("classes", "algorithm", "budget", *(name for name, _ in columns))
    sentence = (
        "One network with an output per class, each one-against-rest: means over the outputs. Of all classes at once "
        "the accuracy is that of the largest output. *Among*: how many of the images of these classes have the largest "
        "output for their own one."
    )
    return Section("Networks of several classes", sentence, headings, lines) if lines else None


# ------------------------------------------------------------------------------------------ the published table


def published(cells: list[PublishedCell]) -> Section | None:
    """Our networks beside the published table; None where none is published."""
    cells = [cell for cell in cells if cell.ours]
    if not cells:
        return None
    lines = [_published_line(cell) for cell in cells]
    means = [f"{100 * sum(getattr(c, name) for c in cells) / len(cells):.{d}f}" for name, d in _PRINTED]
    ours = [row for cell in cells for row in cell.ours]
    lines += [["mean", means[0], percent("accuracy")(ours), means[1], percent("paper_rule_rate", 4)(ours), ""]]
    return Section(
        "Beside the published table",
        "A class is beaten where the network is both more accurate and smaller by the paper rule, each strictly and "
        "after rounding as published; of several sizes the largest that is still smaller counts.",
        ("class", "published accuracy %", "ours %", "published paper rule %", "ours %", "beaten"),
        lines,
    )


_PRINTED = (("accuracy", 2), ("rate", 4))  # places of the published percentages


def _published_line(cell: PublishedCell) -> list[str]:
    verdict = [word for word, good in (("accuracy", cell.more_accurate), ("size", cell.smaller)) if not good]
    return [
        str(cell.wanted),
        f"{100 * cell.accuracy:.2f}",
        percent("accuracy")(cell.ours),
        f"{100 * cell.rate:.4f}",
        percent("paper_rule_rate", 4)(cell.ours),
        f"no: {' and '.join(verdict)}" if verdict else "yes",
    ]


def beaten(cells: list[PublishedCell]) -> str:
    """`9 of 10`: of the classes that were run."""
    run = [cell for cell in cells if cell.ours]
    return f"{sum(cell.beaten for cell in run)} of {len(run)}"


def beaten_together(networks: list[list[PublishedCell]]) -> str:
    """The sentence above the sections of several networks; empty where nothing is published."""
    cells = [cell for cells in networks for cell in cells]
    return f"Published classes beaten in accuracy and size at once: {beaten(cells)}.\n" if _any(cells) else ""


def _any(cells: list[PublishedCell]) -> bool:
    return any(cell.ours for cell in cells)


# ------------------------------------------------------------------------------------------ whole texts


def parts(rows: Rows, others: Rows, parents: list[Record], cells: list[PublishedCell]) -> list[str | Section]:
    """The whole report of a network: who is ahead, what was measured, the tables.

    `others` are the networks of several classes.
    """
    main = scorecard.main_rows(rows)
    ours = scorecard.of_algo(main, OURS)
    tables = (THRESHOLDS, COUNTS, SIZES, SHARES, FIRST_ROUND, WITHOUT_RETRAINING)
    told = [
        lead(main) if rows else "",
        measured(main, parents, cells) if rows else "",
        DETECTION.section(ours),
        published(cells),
        rivals(main),
        budgets(rows),
        rivals_apart(rows),
        *(table.section(ours) for table in tables),
        FIRST_ROUND_ALONE.section(scorecard.first_round_alone(rows)),
        several(others),
    ]
    return [part for part in told if part]


def markdown(rows: Rows, others: Rows, parents: list[Record], cells: list[PublishedCell], pictures: Pictures) -> str:
    """The whole report, and the pictures beside it."""
    told = [str(part) for part in (*parts(rows, others, parents, cells), *_shown(pictures))]
    return "\n".join(part if part.endswith("\n") else f"{part}\n" for part in told)


def readme_section(
    rows: Rows,
    others: Rows,
    parents: list[Record],
    cells: list[PublishedCell],
    pictures: Pictures,
    whole: str,
    page: str,
) -> str:
    """The same in short; `whole`, `page`: where the whole report lies, and the page of it."""
    main = scorecard.main_rows(rows)
    link = f"[The whole report]({whole}) has every table and picture: per class, per budget, and round by round; "
    link += f"[as a page]({page}), opened in a browser, it has every network to sort and to look into."
    told = [
        f"{lead(main)} {measured(main, parents, cells)}" if rows else "",
        provenance(main or others),
        published(cells) or budgets(rows) or DETECTION.section(scorecard.of_algo(main, OURS)),
        rivals(main),
        "" if rows else several(others),
        *_shown(pictures),
        link,
    ]
    return "\n\n".join(str(part).strip() for part in told if part).replace("\n### ", "\n#### ") + "\n"


def _shown(pictures: Pictures) -> list[str]:
    return [f"{words}:\n\n![{words}]({path})" for words, path in pictures.items()]


def measured(rows: Rows, parents: list[Record], cells: list[PublishedCell]) -> str:
    """What the tables rest on, in a few words."""
    seeds = sorted({row["seed"] for row in rows})
    budget = recipes.budget_words(next((row["budget"] for row in rows if row["budget"]), None))
    told = [f"Measured on the {rows[0]['split']} split, seed{'s' * (len(seeds) > 1)} {_list(map(str, seeds))}"]
    told += [f"budget: {budget}"]
    told += [f"parent: {percent('accuracy')(parents)} % accuracy"] if parents else []
    told += ["± is the standard deviation over the seeds, where it is not 0"] if len(seeds) > 1 else []
    told += ["choices were made on this split, so these are no results"] if rows[0]["split"] != "test" else []
    told += [f"published classes beaten in accuracy and size: {beaten(cells)}"] if _any(cells) else []
    return "; ".join(told) + "."


def provenance(rows: Rows) -> str:
    """One sentence: device, threads, versions and dates behind a table."""
    return f"{made_with(rows)}; {_each(rows, 'date')}."


def made_with(rows: Rows) -> str:
    """The same without the dates, and without a full stop."""
    devices = sorted({"GPU" if row["options"].get("cuda") else "processor" for row in rows})
    versions = [f"{name} {_each(rows, f'{name.lower()}_version')}" for name in ("specdnn", "torch", "Python")]
    threads = _each(rows, "threads")
    return f"On the {_list(devices)}, {threads} thread{'s' * (threads != '1')}; {', '.join(versions)}"


def _each(rows: Rows, name: str) -> str:
    return ", ".join(sorted({str(row[name]) for row in rows if row.get(name) is not None})) or MISSING


def between(text: str, marker: str, content: str) -> str:
    """`text` with what stands between `<!-- marker -->` and `<!-- /marker -->` replaced.

    Raises SpecDNNError if the markers are not there.
    """
    head, start, rest = text.partition(f"<!-- {marker} -->")
    _, end, tail = rest.partition(f"<!-- /{marker} -->")
    if not (start and end):
        raise SpecDNNError(f"no <!-- {marker} --> … <!-- /{marker} --> section in the README")
    return f"{head}{start}\n{content}\n{end}{tail}"


# ------------------------------------------------------------------------------------------ CSV


def csv_table(rows: Rows) -> str:
    """One row per cell (network, class, algorithm, seed, recipe)."""
    pruned = [f"pruned_{name}" for name in PRUNED]
    named = ({**row, "budget": row["recipe_name"], "kept": shape()([row])} for row in rows)
    return _csv((*CELL, *MEASURES, *pruned, "budget", "kept"), named)


def csv_points(points: Iterable[Record]) -> str:
    """The points of the Pareto picture."""
    return _csv(POINT, points)


def _csv(columns: tuple[str, ...], rows: Iterable[Record]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_exact(row.get(name)) for name in columns] for row in rows)
    return text.getvalue()


def _exact(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def published_table(text: str, arch: str, dataset: str) -> dict[int, tuple[float, float]]:
    """A dataset folder's published figures: class -> (paper-rule rate, accuracy), fractions.

    CSV with the columns `dataset,arch,class,paper_rule_rate,accuracy` after lines that start with `#`. Raises
    SpecDNNError if it is not.
    """
    lines = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    try:
        mine = [line for line in lines if (line["arch"], line["dataset"]) == (arch, dataset)]
        return {int(line["class"]): (float(line["paper_rule_rate"]), float(line["accuracy"])) for line in mine}
    except (KeyError, TypeError, ValueError) as error:
        columns = "dataset,arch,class,paper_rule_rate,accuracy"
        raise SpecDNNError(f"the published figures are no table of {columns}: {error} is wrong or missing") from None
