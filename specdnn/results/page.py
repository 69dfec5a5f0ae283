"""The report of a network as a page that fetches nothing: tables to sort, a plot, and what is known of each class.

Written from the same values as the Markdown. Style and script are those of `page.html`; without its script the page
shows all it holds. The same runs give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from string import Template

from specdnn.results import charts, report, scorecard, shown
from specdnn.results.charts import Point
from specdnn.results.markup import Html, joined, tag
from specdnn.results.report import DETECTION, FIRST_ROUND, MISSING, SIZES, Rows, Section
from specdnn.results.scorecard import OURS, PublishedCell
from specdnn.structures import Record

NOTHING = tag("p", "Nothing of the kind has been measured yet.")
LEADING = ("What the networks detect", "Beside the published table", "The rivals", "Every budget")  # before the classes


def page(
    rows: Rows, others: Rows, parents: list[Record], cells: list[PublishedCell], exhibits: list[Record], beside: str
) -> str:
    """The whole page of a network; `others` are its networks of several classes, `beside` the name of its Markdown."""
    every, looks = [*rows, *others], {algo: k for k, algo in enumerate(algorithms([*rows, *others]))}
    told = report.parts(rows, others, parents, cells)
    first = [part for part in told if isinstance(part, str) or part.heading in LEADING]
    values = {
        "title": joined([f"{every[0]['arch']} on {every[0]['dataset']}"]),
        "looks": joined(map(_look_rules, looks.values())),
        "shapes": charts.shapes(),
        "introduction": joined(
            [*(paragraph(str(part)) for part in first[:2]), paragraph(f"{report.made_with(every)}.", "quiet")]
        ),
        "plot": plot(rows, cells, looks) or NOTHING,
        "leading": joined(_part(part) for part in first[2:]),
        "networks": networks(every),
        "classes": classes(scorecard.ours(rows), exhibits) or NOTHING,
        "rest": joined(_part(part) for part in told if part not in first),
        "beside": tag("a", beside, href=beside),
    }
    return Template(resources.files(__package__).joinpath("page.html").read_text("utf-8")).substitute(values)


def algorithms(rows: Rows) -> list[str]:
    """Ours, then the others by name, so that a look is the same whoever is ahead."""
    return sorted({row["algo"] for row in rows}, key=lambda algo: (algo != OURS, algo))


def _look_rules(look: int) -> Html:
    """The colour of an algorithm, and that it is not shown where its box is not checked."""
    hidden = f".plot:has(#show-{look}:not(:checked)) .chart .a{look}"
    return Html(f".a{look}{{color:var(--c{look % charts.COLOURS})}}{hidden}{{display:none}}\n")


# ------------------------------------------------------------------------------------------ texts and tables


def paragraph(sentence: str, class_: str | None = None) -> Html:
    return tag("p", emphasised(sentence), class_=class_)


def emphasised(sentence: str) -> Html:
    """A sentence of the Markdown: `**strong**`, `*em*`."""
    strong = re.split(r"\*\*(.+?)\*\*", sentence)
    parts = [tag("strong", words) if k % 2 else _italic(words) for k, words in enumerate(strong)]
    return joined(parts)


def _italic(sentence: str) -> Html:
    return joined(tag("em", words) if k % 2 else words for k, words in enumerate(re.split(r"\*(.+?)\*", sentence)))


def _part(part: str | Section) -> Html:
    if isinstance(part, str):
        return paragraph(part)
    heading, sentence = tag("h2", part.heading), paragraph(part.sentence)
    return tag("section", heading, sentence, table(part.headings, part.lines, part.heading))


def table(headings: Iterable[str], lines: Iterable[Iterable[object]], label: str, class_: str | None = None) -> Html:
    """A table in a box of its own that scrolls, the first column a heading of its line."""
    head = tag("tr", *(tag("th", name, scope="col") for name in headings))
    body = (tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in rest)) for first, *rest in lines)
    whole = tag("table", tag("thead", head), tag("tbody", *body), class_=class_)
    return tag("div", whole, class_="scroll", role="region", aria_label=label, tabindex=0)


# ------------------------------------------------------------------------------------------ every network

NAMED: tuple[tuple[str, Callable[[Record], object]], ...] = (
    ("class", lambda row: row["class"]),
    ("algorithm", lambda row: row["algo"]),
    ("seed", lambda row: row["seed"]),
    ("budget", lambda row: row["recipe_name"]),
)
FILTERS = (0, 1, 3)  # columns by which networks are chosen


def networks(rows: Rows) -> Html:
    """A line per network, to be sorted and chosen from."""
    measured = (*DETECTION.columns, *SIZES.columns)
    headings = [*(name for name, _ in NAMED), *(name for name, _ in measured)]
    lines = [[*(str(of(row)) for _, of in NAMED), *(write([row]) for _, write in measured)] for row in rows]
    chosen = tag("div", *(_filter(headings[k], k, lines) for k in FILTERS), class_="filters script")
    told = tag("p", f"{len(lines)} of {len(lines)} networks", class_="quiet", id="how-many", role="status")
    return joined([chosen, told, table(headings, lines, "All networks", "sortable")])


def _filter(name: str, column: int, lines: list[list[str]]) -> Html:
    values = sorted({line[column] for line in lines}, key=lambda value: (len(value) if value.isdigit() else 99, value))
    options = [tag("option", "all", value=""), *(tag("option", value, value=value) for value in values)]
    chosen = tag("select", *options, id=f"choose-{column}", data_column=column)
    return tag("div", tag("label", name, for_=f"choose-{column}"), chosen)


# ------------------------------------------------------------------------------------------ the plot


@dataclass(frozen=True)
class View:
    """A measure in percent against a size."""

    name: str
    measure: str
    size: str
    scale: float
    size_name: str


VIEWS = (
    View("balanced accuracy", "balanced_accuracy", "true_weights", 1, "weights"),
    View("accuracy", "accuracy", "true_weights", 1, "weights"),
    View("accuracy, beside the published", "accuracy", "paper_rule_rate", 100, "weights by the paper rule, %"),
)


def plot(rows: Rows, cells: list[PublishedCell], looks: dict[str, int]) -> Html:
    """Every class and the means of all against size, an algorithm a colour and a shape; the published beside."""
    views = [(view, points(rows, view, looks)) for view in VIEWS[: 3 if cells else 2]]
    views = [(view, found + _published(view, cells)) for view, found in views if found]
    if not views:
        return Html("")
    kinds = [_choice("radio", f"view-{k}", view.name, k == 0, name="view") for k, (view, _) in enumerate(views)]
    used = {algo: k for algo, k in looks.items() if algo in {row["algo"] for row in rows}}
    algos = [_choice("checkbox", f"show-{k}", joined([_sample(k), algo]), True) for algo, k in used.items()]
    star = [tag("span", _sample(None), "published", class_="choice star")] if cells else []
    controls = [_choices("Shown", kinds), _choices("Algorithms", [*algos, *star])]
    drawn = [_view(k, view, found) for k, (view, found) in enumerate(views)]
    return tag("div", tag("form", *controls, autocomplete="off"), *drawn, class_="plot")


def _view(number: int, view: View, found: list[Point]) -> Html:
    label = f"{view.name} in percent against {view.size_name}; arrow keys go from mark to mark"
    drawn = charts.chart(found, label, view.size_name, f"{view.measure.replace('_', ' ')} %, by the log of the error")
    return tag("div", drawn, class_=f"view v{number}")


def _choices(legend: str, choices: list[Html]) -> Html:
    return tag("fieldset", tag("legend", legend), *choices)


def _choice(kind: str, name_of: str, words: object, checked: bool, name: str | None = None) -> Html:
    box = tag("input", type=kind, id=name_of, name=name, checked="" if checked else None)
    return tag("label", box, words, class_="choice")


def _sample(look: int | None) -> Html:
    drawn = tag("use", href=charts.mark(look, False), class_=charts.look_class(look))
    return tag("svg", drawn, viewBox="-7 -7 14 14", width=14, height=14, aria_hidden="true")


def points(rows: Rows, view: View, looks: dict[str, int]) -> list[Point]:
    """Per algorithm and recipe a small mark per class, and a large one for all, where every class was made."""
    found = []
    for algo, look in looks.items():
        own = scorecard.of_algo(rows, algo)
        whole = scorecard.by_recipe(scorecard.of_all_classes(rows, algo))
        for recipe, group in scorecard.by_recipe(own).items():
            classes = scorecard.by_class(group)
            found += [_point(one, view, look, f"class {k}", False) for k, one in classes.items()]
            found += [_point(group, view, look, f"mean of {len(classes)} classes", True)] if recipe in whole else []
    return [point for point in found if point]


def _point(rows: Rows, view: View, look: int, of: str, large: bool) -> Point | None:
    x, y = scorecard.mean(rows, view.size), scorecard.mean(rows, view.measure)
    if x is None or y is None:
        return None
    seeds = sorted({row["seed"] for row in rows})
    told = [
        f"{rows[0]['algo']}, {of}",
        f"budget: {rows[0]['recipe_name']}; seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}",
        f"balanced accuracy {report.percent('balanced_accuracy')(rows)} %",
        f"accuracy {report.percent('accuracy')(rows)} % (always no: {report.percent('always_no_accuracy')(rows)} %)",
        f"{report.count('true_weights')(rows)} weights; paper rule {report.percent('paper_rule_rate', 3)(rows)} %",
    ]
    return Point(view.scale * x, 100 * y, look, large, "\n".join(told))


def _published(view: View, cells: list[PublishedCell]) -> list[Point]:
    """The published figures, which tell accuracy and the paper rule only."""
    if view.size != "paper_rule_rate":
        return []
    return [Point(100 * c.rate, 100 * c.accuracy, None, False, _published_words(c)) for c in cells]


def _published_words(cell: PublishedCell) -> str:
    return f"published, class {cell.wanted}\naccuracy {100 * cell.accuracy:.2f} %\npaper rule {100 * cell.rate:.4f} %"


# ------------------------------------------------------------------------------------------ the classes

YES_OR_NO = {True: "yes", False: "no", None: MISSING}
_ROUND = [(f"round 1: {name}", write) for name, write in FIRST_ROUND.columns]
FOUND: tuple[tuple[str, Callable[[Rows], str]], ...] = (
    ("seed", lambda group: str(group[0]["seed"])),
    *FIRST_ROUND.columns[:4],
    ("output inside", lambda group: YES_OR_NO[group[0].get("pruned_output_in_community")]),
    _ROUND[5],
    *SIZES.columns[:2],
    *DETECTION.columns[:3:2],
    ("modules", lambda group: modules(group[0])),
)


def classes(rows: Rows, exhibits: list[Record]) -> Html:
    """A part per class, of our networks of the main recipe."""
    shown_of = {told["class"]: told for told in exhibits}
    return joined(_class(k, group, shown_of.get(k)) for k, group in scorecard.by_class(rows).items())


def _class(wanted: int, rows: Rows, told: Record | None) -> Html:
    name = f"Class {wanted}" + (f": {told['name']}" if told and told["name"] != str(wanted) else "")
    steps = [step for row in rows for step in steps_of(row)]
    parts = [
        tag("h3", name, id=f"class-{wanted}"),
        paragraph(detected(rows)),
        _drawings(name, told) if told else "",
        _examples(name, told) if told else "",
        found_table(name, rows),
        _folded("Cut by cut", table([heading for heading, _ in STEP], steps, f"{name}: cut by cut")) if steps else "",
        _folded("Kept units", _kept(rows[0])),
    ]
    return tag("article", *parts, aria_labelledby=f"class-{wanted}")


def detected(rows: Rows) -> str:
    """Hits and misses in a sentence, means over the seeds."""
    counts = [found for name in ("tp", "fp", "fn", "tn") if (found := scorecard.mean(rows, name)) is not None]
    if len(counts) < 4:
        return f"Balanced accuracy {report.percent('balanced_accuracy')(rows)} %."
    tp, fp, fn, tn = counts
    return (
        f"Finds {report.count('tp')(rows)} of {tp + fn:,.0f} images of the class, and takes {report.count('fp')(rows)} "
        f"of {fp + tn:,.0f} others for it; balanced accuracy {report.percent('balanced_accuracy')(rows)} %."
    )


def _drawings(name: str, told: Record) -> Html:
    one = shown.exhibit(told)
    units = ", ".join(f"{len(units)} of {layer}" for layer, units in told["kept"].items())
    drawn = (
        (
            charts.kept_places(one, f"{name}: where kept units lie over the mean image"),
            "Where kept units lie, over the mean image",
        ),
        (charts.network(one, told["kept"], f"{name}: the surviving network: {units}"), "The surviving network"),
    )
    return tag("div", *(tag("figure", svg, tag("figcaption", words)) for svg, words in drawn), class_="drawings")


def _examples(name: str, told: Record) -> Html:
    """Validation images of each kind that there are any of."""
    kinds = [
        tag(
            "figure",
            tag("div", *(charts.example(greys, f"{name}: {kind}") for greys in images)),
            tag("figcaption", kind),
        )
        for kind, images in shown.examples(told).items()
        if images
    ]
    return tag("div", *kinds, class_="examples") if kinds else Html("")


def found_table(name: str, rows: Rows) -> Html:
    """A line per seed: the community of the first round, and what became of it; columns with nothing are left out."""
    written = [(heading, [write([row]) for row in rows]) for heading, write in FOUND]
    known = [(heading, cells) for heading, cells in written if any(cell != MISSING for cell in cells)]
    lines = list(zip(*(cells for _, cells in known), strict=True))
    return table([heading for heading, _ in known], lines, f"{name}: the community of each seed")


def modules(row: Record) -> str:
    """`353 + 70 + 67`: units of the modules that were found."""
    sizes = row.get("pruned_module_sizes")
    whole = isinstance(sizes, list) and all(isinstance(size, int) for size in sizes)
    if not (whole and sizes):
        return MISSING
    return " + ".join(map(str, sizes[:6])) + (f" + {len(sizes) - 6} more" if len(sizes) > 6 else "")


STEP: tuple[tuple[str, Callable[[Rows], str]], ...] = (
    ("seed", lambda steps: str(steps[0]["seed"])),
    ("cut", lambda steps: steps[0]["stage"]),
    ("units per layer", report.shape()),
    ("weights", report.count("true_weights")),
    ("validation score %", report.percent("validation_score")),
)


def steps_of(row: Record) -> list[list[str]]:
    """A line per cut: the network that it left."""
    told = [{**step, "seed": row["seed"]} for step in row.get("pruned_steps", [])]
    return [[write([step]) for _, write in STEP] for step in told]


def _folded(summary: str, content: Html) -> Html:
    return tag("details", tag("summary", summary), content)


def _kept(row: Record) -> Html:
    """The numbers of the units of every layer, of the first seed."""
    layers = (
        joined([tag("dt", f"{name} ({len(units)})"), tag("dd", ranges(units))]) for name, units in row["kept"].items()
    )
    return joined([paragraph(f"Seed {row['seed']}; numbers are those of the parent.", "quiet"), tag("dl", *layers)])


def ranges(numbers: Iterable[int]) -> str:
    """`1–3, 7`"""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{first}–{last}" if last > first else f"{first}" for first, last in runs)
