"""Numbers -> pictures (PNG bytes), readable 800 pixels wide and by colour-blind eyes. Computes no metric.

Colours are those of Okabe and Ito (2008). The same numbers give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import networkx
import numpy as np
from matplotlib import colormaps, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from PIL import Image

from specdnn.results import scorecard
from specdnn.results.scorecard import OURS, PublishedCell
from specdnn.structures import Exhibit, Record

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000"),
)
# Of any two rivals the marks differ, of neighbours the colours, too.
RIVAL_MARKS = tuple(zip("sD^vPh<>Xpd8", (ORANGE, GREEN, PURPLE, SKY, BLACK, VERMILION) * 2, strict=True))
Looks: TypeAlias = dict[str, Any]  # keywords of matplotlib
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,
}
DPI = 160
WIDTH = 8.0  # inches
LETTERS = 105  # of a legend, beside each other
A_ROW = 10  # images beside each other
PANELS = 5  # heat maps beside each other


def drawn(draw: Callable[[Figure], None], height: float) -> bytes:
    """A figure as PNG of 256 colours (a third of the bytes where many thin lines overlap), without any metadata."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
        draw(figure)
        canvas, file = FigureCanvasAgg(figure), io.BytesIO()
        canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    image.save(file, "png", optimize=True)
    return file.getvalue()


# ------------------------------------------------------------------------------------------ accuracy against size


def pareto(rows: list[Record], published: list[PublishedCell]) -> bytes:
    """Accuracy and balanced accuracy against size, the published points, and the way down of each class."""
    usual = scorecard.usual_rows(rows)

    def draw(figure: Figure) -> None:
        (left, right), (below, way) = figure.subplots(2, 2)
        for axes, measure in ((left, "accuracy"), (right, "balanced_accuracy")):
            against_size(axes, usual, measure, "true_parameters")
            rival_points(axes, usual, measure)
        against_size(below, scorecard.of_algo(usual, OURS), "accuracy", "paper_rule_rate", 100)
        published_points(below, published)
        way_down(way, rows)
        left.set(xlabel="parameters", ylabel="accuracy %", title="Accuracy")
        right.set(xlabel="parameters", ylabel="balanced accuracy %", title="Balanced accuracy")
        title = "Beside the published table" if published else "By the paper rule"
        below.set(xlabel="weights by the paper rule, %", ylabel="accuracy %", title=title)
        handles = dict(zip(*reversed(left.get_legend_handles_labels()), strict=True))
        handles |= dict(zip(*reversed(below.get_legend_handles_labels()), strict=True))
        title = "large: mean of the classes; small: one class, its number beside its smallest network or in brackets"
        columns = max(1, min(5, LETTERS // (max(map(len, handles), default=0) + 4)))
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns, title=title)
        figure.draw_without_rendering()  # from here on everything has its place
        for axes in (left, right, below, way):
            fit_sizes(axes)
        for axes in (left, right, below):
            number_classes(axes)

    return drawn(draw, 6.8)


def log_sizes(axes: Axes) -> None:
    """A logarithmic axis of sizes with plain numbers."""
    axes.set_xscale("log")
    axes.margins(0.08)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def fit_sizes(axes: Axes) -> None:
    """Room around sizes that are nearly the same; numbers at 1, 2, 5, 10, …, or fewer where these would touch."""
    low, high = axes.get_xlim()
    if high < 4 * low:
        axes.set_xlim((low * high) ** 0.5 / 2, (low * high) ** 0.5 * 2)
    for numbers in ((1, 2, 5), (1, 3), (1,)):
        axes.xaxis.set_major_locator(LogLocator(subs=numbers))
        shown = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
        if all(one.x1 + 4 < other.x0 for one, other in zip(shown, shown[1:], strict=False)):
            return


def against_size(axes: Axes, rows: list[Record], measure: str, size: str, scale: float = 1) -> None:
    """One measure of our retrained networks: a thin line per class, the mean bold."""
    log_sizes(axes)
    ours = scorecard.of_algo(rows, OURS)
    for wanted, group in scorecard.by_class(ours).items():
        x, y = _curve(group, size, measure, scale)
        looks: Looks = {"color": (*to_rgb(BLUE), 0.35), "linewidth": 0.8, "markerfacecolor": BLUE, **CLASS_POINT}
        axes.plot(x, y, gid=str(wanted), **looks)
    x, y = _curve(scorecard.of_all_classes(rows, OURS), size, measure, scale)
    axes.plot(x, y, color=BLUE, marker="o", markersize=7, linewidth=2.5, label=OURS)


CLASS_POINT: Looks = {"marker": "o", "markersize": 2.8, "markeredgewidth": 0}
NUMBER_BOX = np.array([5.5, 8.0])  # points that the number of a class takes, with room around it
NUMBER_PLACES = [  # where it may stand, in points from its network: the nearest first, the left before the right
    radius * np.array([np.cos(angle), np.sin(angle)])
    for radius in range(8, 72, 4)
    for angle in np.radians((180, 155, 205, 130, 230, 90, 270, 50, 310, 25, 335, 0))
]


def number_classes(axes: Axes) -> None:
    """The number of every class beside the smallest of its networks, clear of all points and other numbers.

    A class is a line with a `gid`.
    """
    lines, scale = [line for line in axes.lines if len(_points(line))], 72 / axes.figure.dpi
    places = [(line, scale * axes.transData.transform(_points(line))) for line in lines]
    taken = [(place, np.full(2, line.get_markersize())) for line, at in places for place in at]
    named = [(line, at[0]) for line, at in places if line.get_gid()]
    for line, start in sorted(named, key=lambda one: -one[1][1]):
        offset = next((o for o in NUMBER_PLACES if _is_free(start + o, taken)), NUMBER_PLACES[0])
        taken.append((start + offset, NUMBER_BOX))
        _number(axes, line, offset)


def _points(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_xydata())


def _is_free(place: np.ndarray, taken: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether a number there would cover none of these (middle, size)."""
    return all((np.abs(place - middle) >= (NUMBER_BOX + size) / 2).any() for middle, size in taken)


def _number(axes: Axes, line: Line2D, offset: np.ndarray) -> None:
    """The number of a line at its first point; a thin line leads to it where it stands farther off."""
    colour = line.get_markerfacecolor()
    leader = {"arrowstyle": "-", "linewidth": 0.5, "color": colour, "shrinkA": 0, "shrinkB": 1}
    axes.annotate(
        line.get_gid() or "",
        tuple(_points(line)[0]),
        tuple(offset),
        textcoords="offset points",
        color=colour,
        fontsize=7,
        ha="center",
        va="center",
        arrowprops=leader if np.hypot(*offset) > 10 else None,
        path_effects=[withStroke(linewidth=1.5, foreground="white")],
    ).set_in_layout(False)


def rival_points(axes: Axes, rows: list[Record], measure: str) -> None:
    """The means of the other algorithms, or, small, the networks of one that did not make every class."""
    for k, algo in enumerate(sorted({row["algo"] for row in rows} - {OURS})):
        mark, colour = RIVAL_MARKS[k % len(RIVAL_MARKS)]
        looks: Looks = {"marker": mark, "color": colour}
        if whole := scorecard.of_all_classes(rows, algo):
            x, y = _curve(whole, "true_parameters", measure, 1)
            axes.plot(x, y, label=algo, markersize=6.5, markeredgecolor="white", linewidth=1.2, **looks)
            continue
        some = scorecard.by_class(scorecard.of_algo(rows, algo))
        x, y = np.hstack([_curve(group, "true_parameters", measure, 1) for group in some.values()])
        label = f"{algo} ({', '.join(map(str, some))})"
        axes.plot(x, y, label=label, markersize=4.5, markeredgewidth=0.6, linewidth=0, **looks)


def _curve(rows: list[Record], size: str, measure: str, scale: float) -> tuple[list[float], list[float]]:
    """(sizes, percentages) of the means of every recipe, ascending in size."""
    recipes = scorecard.by_recipe(rows).values()
    points = [(scorecard.mean(group, size), scorecard.mean(group, measure)) for group in recipes]
    known = sorted((scale * x, 100 * y) for x, y in points if x is not None and y is not None)
    return [x for x, _ in known], [y for _, y in known]


def published_points(axes: Axes, published: list[PublishedCell]) -> None:
    if not published:
        return
    x, y = [100 * cell.rate for cell in published], [100 * cell.accuracy for cell in published]
    for cell, rate, accuracy in zip(published, x, y, strict=True):
        axes.plot(rate, accuracy, color=VERMILION, linewidth=0, **CLASS_POINT, gid=str(cell.wanted))
    middle = sum(x) / len(x), sum(y) / len(y)
    axes.plot(*middle, color=VERMILION, marker="*", markersize=11, linewidth=0, label="published")


def way_down(axes: Axes, rows: list[Record]) -> None:
    """Validation score against weights along the steps of each class, and their mean where all classes have been."""
    log_sizes(axes)
    curves = [curve for row in _first_seed(rows) if (curve := _steps(row))]
    for x, y in curves:
        axes.plot(x, y, color=BLUE, alpha=0.35, linewidth=0.8, marker=".", markersize=3)
    if not curves:
        axes.axis("off")
        return
    start, end = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    common = np.geomspace(start, end, 60)
    between = [np.interp(np.log(common), np.log(x), y) for x, y in curves]
    axes.plot(common, np.mean(between, axis=0), color=BLUE, linewidth=2.5)
    axes.set(xlabel="weights", ylabel="validation score %", title="While it is cut (before the long retraining)")


def _first_seed(rows: list[Record]) -> list[Record]:
    ours = scorecard.ours(rows)
    return [row for row in ours if row["seed"] == min(r["seed"] for r in ours)]


def _steps(row: Record) -> tuple[list[float], list[float]] | None:
    """(weights, score in percent) after each step, ascending in weights."""
    told = [s for s in row.get("pruned_steps", []) if s.get("validation_score") is not None]
    steps = {s["true_weights"]: 100 * s["validation_score"] for s in told}
    return (sorted(steps), [steps[weights] for weights in sorted(steps)]) if steps else None


# ------------------------------------------------------------------------------------------ overlaps


def overlap(matrices: dict[str, list[list[float]]], classes: list[int]) -> bytes:
    """Jaccard overlap of the sub-networks of every two classes, one heat map per layer."""
    rows = -(-len(matrices) // PANELS)
    return shared(matrices, classes, None, 2.6 if rows == 1 else 1.9 * rows)


def _off_diagonal(matrix: list[list[float]]) -> float:
    """The largest overlap of two different classes in percent."""
    return 100 * float(np.max(np.array(matrix) - 2 * np.eye(len(matrix))))


def heat_map(axes: Axes, matrix: np.ndarray, classes: Sequence[object], largest: float) -> AxesImage:
    """The matrix with its figures in percent; the diagonal, always 1, stays empty."""
    shown = np.where(np.eye(len(matrix), dtype=bool), np.nan, 100 * matrix)
    image = axes.imshow(shown, cmap="Blues", vmin=0, vmax=largest)
    axes.set_facecolor("#DDDDDD")
    axes.grid(False)
    axes.set_xticks(range(len(classes)), list(map(str, classes)))
    axes.set_yticks(range(len(classes)), list(map(str, classes)))
    axes.tick_params(length=0)
    for (row, column), value in np.ndenumerate(shown):
        if np.isfinite(value):
            colour = "white" if value > 0.6 * largest else "black"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=5.5, color=colour)
    return image


def sheet(images: list[tuple[np.ndarray, str]]) -> bytes:
    """Images, (height, width) or (height, width, 3) in 0..1, ten a row, with what is said of each above it."""

    def draw(figure: Figure) -> None:
        panels = figure.subplots(-(-len(images) // A_ROW), A_ROW, squeeze=False).ravel()
        for axes in panels:
            axes.axis("off")
        for axes, (image, words) in zip(panels, images, strict=False):
            axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_title(words, fontsize=6, pad=2)

    return drawn(draw, 1.05 * -(-len(images) // A_ROW))


def shared(
    overlaps: dict[str, list[list[float]]],
    names: Sequence[object],
    pixels: np.ndarray | None,
    height: float | None = None,
) -> bytes:
    """Jaccard overlap of every two of several networks, one heat map per layer; `pixels` (height, width): how many of
    them keep each pixel. `height` in inches, as high as the heat maps are unless given.
    """
    count, largest = len(overlaps) + (pixels is not None), max(map(_off_diagonal, overlaps.values()))
    columns = min(max(count, 3), PANELS)
    rows = -(-count // columns)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (layer, matrix) in zip(panels, overlaps.items(), strict=False):
            image = heat_map(axes, np.array(matrix), names, largest or 1)
            axes.set_title(layer)
        for axes in panels[len(overlaps) :]:
            axes.axis("off")
        if pixels is not None:
            pixel_map(panels[len(overlaps)], pixels, len(names))
        bar = figure.colorbar(image, ax=list(panels), location="right", shrink=0.75, pad=0.01)
        bar.set_label("Jaccard overlap %")

    return drawn(draw, height or 0.4 + WIDTH / columns * rows)


def pixel_map(axes: Axes, pixels: np.ndarray, most: int) -> None:
    """How many of `most` networks keep each pixel."""
    image = axes.imshow(pixels, cmap=colormaps["Oranges"].resampled(most + 1), vmin=-0.5, vmax=most + 0.5)
    axes.set_title("networks per pixel")
    axes.axis("off")
    axes.figure.colorbar(image, ax=axes, location="bottom", ticks=range(most + 1), shrink=0.8, pad=0.02)


def kept_shares(given: list[list[float]], layers: Sequence[str], classes: Sequence[object]) -> bytes:
    """Share of the units of every layer that every class keeps, (classes, layers), as a heat map."""
    shares = np.array(given)
    return drawn(lambda figure: share_map(figure, shares, layers, classes), 1.4 + 0.22 * len(classes))


def share_map(figure: Figure, shares: np.ndarray, layers: Sequence[str], classes: Sequence[object]) -> None:
    axes = figure.subplots()
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    axes.grid(False)
    axes.set_xticks(range(len(layers)), layers, rotation=40, ha="right", fontsize=7)
    axes.set_yticks(range(len(classes)), list(map(str, classes)))
    axes.set_ylabel("class")
    axes.tick_params(length=0)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.6 else "black"
        axes.text(column, row, f"{100 * share:.3g}", ha="center", va="center", fontsize=6, color=colour)
    figure.colorbar(image, ax=axes, shrink=0.9, pad=0.01).set_label("kept units %")


# ------------------------------------------------------------------------------------------ the classes

MOST_UNITS, MOST_LAYERS = 200, 8  # of a network whose units and connections are drawn one by one


def contact_sheet(exhibits: list[Exhibit]) -> bytes:
    """Two classes a row: where it looks over the mean image, and the surviving network, or how wide its layers are."""

    def draw(figure: Figure) -> None:
        rows = -(-len(exhibits) // 2)
        panels = figure.subplots(rows, 4, squeeze=False, width_ratios=(1, 1.5, 1, 1.5)).ravel()
        for axes in panels:
            axes.axis("off")
        for k, shown in enumerate(exhibits):
            kept_places(panels[2 * k], shown)
            draw_it = network if can_be_drawn(shown) else layer_widths
            draw_it(panels[2 * k + 1], shown)

    return drawn(draw, 1.72 * -(-len(exhibits) // 2))


def kept_places(axes: Axes, shown: Exhibit) -> None:
    """The mean image in grey, the places of the kept units over it: the more units, the denser the colour."""
    places, (height, width) = shown.places, shown.mean_image.shape
    axes.imshow(shown.mean_image, cmap="gray_r", vmin=0, vmax=380, extent=(0, width, height, 0))
    chosen = places * (len(np.unique(places)) > 1)  # all alike: nothing is chosen
    rows, columns = np.nonzero(chosen)
    side = height / len(places)
    alpha = 0.25 + 0.55 * places[rows, columns] / places.max()
    squares = [_square(x * side, y * side, side, dense) for y, x, dense in zip(rows, columns, alpha, strict=True)]
    axes.add_collection(PatchCollection(squares, match_original=True), autolim=False)  # one by one: half a second more
    axes.set_title(shown.name, loc="left", pad=2, fontweight="bold")


def _square(x: float, y: float, side: float, alpha: float) -> Rectangle:
    gap = 0.08 * side
    return Rectangle((x + gap, y + gap), side - 2 * gap, side - 2 * gap, color=VERMILION, alpha=alpha, linewidth=0)


def can_be_drawn(shown: Exhibit) -> bool:
    """Whether a drawing of all units would be a picture."""
    units = len(shown.strengths[0]) + sum(pair.shape[1] for pair in shown.strengths)
    return units <= MOST_UNITS and len(shown.layers) <= MOST_LAYERS


def layer_widths(axes: Axes, shown: Exhibit) -> None:
    """The surviving units of every layer, the input left."""
    counts = [len(shown.strengths[0]), *(pair.shape[1] for pair in shown.strengths)]
    bars = axes.bar(range(len(counts)), counts, color=[VERMILION] + [BLACK] * (len(counts) - 1), width=0.7)
    axes.bar_label(bars, fontsize=6.5)
    for place, name, side in ((0, shown.layers[0], "left"), (len(counts) - 1, shown.layers[-1], "right")):
        axes.text(place, -0.08 * max(counts), name, ha=side, va="top", fontsize=6.5)
    axes.set_axis_off()


def network(axes: Axes, shown: Exhibit) -> None:
    """The surviving network layer by layer, the input left; the wider an edge, the stronger the connection.

    Strengths are relative to the strongest connection between the same two layers.
    """
    graph = network_graph(shown.strengths, shown.beyond)
    layers = networkx.get_node_attributes(graph, "layer")
    counts = np.bincount(list(layers.values()))
    places = {(layer, unit): (layer, 1 - (unit + 0.5) / counts[layer]) for layer, unit in graph}
    draw_edges(axes, graph, places)
    networkx.draw_networkx_nodes(
        graph,
        places,
        node_size=[min(16.0, 260 / counts[layers[node]]) for node in graph],
        node_color=[VERMILION if layers[node] == 0 else BLACK for node in graph],
        linewidths=0,
        ax=axes,
    )
    for layer, (name, count) in enumerate(zip(shown.layers, counts, strict=True)):
        axes.text(layer, -0.08, f"{name}\n{count}", ha="center", va="top", fontsize=6.5)
    axes.set(xlim=(-0.35, len(counts) - 0.65), ylim=(-0.3, 1.05))
    axes.set_axis_off()


def draw_edges(axes: Axes, graph: networkx.DiGraph, places: dict[tuple[int, int], tuple[float, float]]) -> None:
    """The weakest first, so that the strong ones lie on top."""
    edges = sorted(graph.edges(data="strength"), key=lambda edge: edge[2])
    share = np.array([strength for _, _, strength in edges])
    networkx.draw_networkx_edges(
        graph,
        places,
        edgelist=[edge[:2] for edge in edges],
        width=2.2 * share,
        edge_color=[(*to_rgb(BLUE), alpha) for alpha in 0.08 + 0.8 * share],
        arrows=False,
        ax=axes,
    )


def network_graph(
    strengths: Sequence[np.ndarray], beyond: Iterable[tuple[int, int, np.ndarray]] = ()
) -> networkx.DiGraph:
    """The compact network as a graph: nodes (layer, unit), edge `strength` relative to the strongest of its layers.

    `strengths` between neighbouring layers, `beyond` as in an Exhibit.
    """
    graph = networkx.DiGraph()
    for layer, width in enumerate([len(strengths[0]), *(pair.shape[1] for pair in strengths)]):
        graph.add_nodes_from(((layer, unit) for unit in range(width)), layer=layer)
    neighbours = ((layer, layer + 1, pair) for layer, pair in enumerate(strengths))
    for layer, later, pair in (*neighbours, *beyond):
        for (source, target), strength in np.ndenumerate(pair / (pair.max() or 1)):
            graph.add_edge((layer, source), (later, target), strength=float(strength))
    return graph
