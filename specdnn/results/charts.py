"""Numbers -> drawings of the page, as SVG that fits any width and tells what is under the pointer. Computes no metric.

Marks have a `title`, which the page's script shows; without it the browser does.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from specdnn.results.markup import Html, tag
from specdnn.structures import Exhibit

COLOURS = 8  # variables --c0, --c1, ... of the page
SHAPES = (  # outlines of radius 1
    "M-1 0A1 1 0 0 1 1 0A1 1 0 0 1-1 0Z",
    "M-.88-.88H.88V.88H-.88Z",
    "M0-1.25L1.25 0L0 1.25L-1.25 0Z",
    "M0-1.15L1.1.85H-1.1Z",
    "M0 1.15L1.1-.85H-1.1Z",
    "M-.4-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
    "M0-1.15L1.1-.36L.68.93H-.68L-1.1-.36Z",
    "M-1.05-.55L-.55-1.05L0-.5L.55-1.05L1.05-.55L.5 0L1.05.55L.55 1.05L0 .5L-.55 1.05L-1.05.55L-.5 0Z",
    "M-1.15 0L.85 1.1V-1.1Z",
)
STAR = "M0-1.4L.33-.45H1.33L.53.17L.82 1.13L0 .56L-.82 1.13L-.53.17L-1.33-.45H-.33Z"
MOST_EDGES = 1500  # of the strongest connections that are drawn
GRADES = 6  # widths of a connection


# ------------------------------------------------------------------------------------------ axes


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high`, evenly or by their logarithm."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, values: Iterable[float], log: bool = False) -> Axis:
        """With a margin; sizes that are nearly the same have room around them."""
        values = list(values)
        low, high = min(values), max(values)
        if log:
            wider = 2 if high < 4 * low else (high / low) ** 0.06
            return cls(low / wider, high * wider, True)
        margin = 0.06 * (high - low) or 1
        return cls(low - margin, high + margin)

    def place(self, value: float) -> float:
        """In percent from the low end."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return 100 * (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """At most seven round numbers."""
        return next((found for found in self._candidates() if len(found) <= 7), [])

    def _candidates(self) -> Iterable[list[float]]:
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for every, numbers in ((1, (1, 2, 5)), (1, (1, 3)), (1, (1,)), (2, (1,)), (3, (1,))):
                yield [n * 10.0**d for d in decades if d % every == 0 for n in numbers if self._holds(n * 10.0**d)]
        else:
            first = math.floor(math.log10((self.high - self.low) / 7))
            for step in (n * 10.0**d for d in (first, first + 1) for n in (1, 2, 5)):
                ends = math.ceil(self.low / step), math.floor(self.high / step)
                yield [round(step * k, 9) for k in range(ends[0], ends[1] + 1)]

    def _holds(self, value: float) -> bool:
        return self.low <= value <= self.high


# ------------------------------------------------------------------------------------------ points


@dataclass(frozen=True)
class Point:
    """A mark: its place on both axes, the number of its look, whether it is a mean of many, and what it tells."""

    x: float
    y: float
    look: int | None  # None: published
    large: bool
    told: str


def shapes() -> Html:
    """The outlines that marks are made of, small (`s0`, `s1`, ... and `sp`) and large (`l0`, ...)."""
    outlines = {**{str(k): outline for k, outline in enumerate(SHAPES)}, "p": STAR}
    looks = [(size, {"class_": size, "transform": f"scale({radius})"}) for size, radius in (("s", 4), ("l", 7.5))]
    paths = [tag("path", id=f"{size}{k}", d=d, **look) for size, look in looks for k, d in outlines.items()]
    return tag("svg", tag("defs", *paths), class_="shapes", width=0, height=0, aria_hidden="true")


def mark(look: int | None, large: bool) -> str:
    return f"#{'l' if large else 's'}{'p' if look is None else look % len(SHAPES)}"


def look_class(look: int | None) -> str:
    return "published" if look is None else f"a{look}"


def chart(points: list[Point], label: str, x_label: str, y_label: str) -> Html:
    """Points against a logarithmic size: large ones on top, those of a look joined by a line."""
    x, y = Axis.around((p.x for p in points), log=True), Axis.around(p.y for p in points)
    ordered = sorted(points, key=lambda p: (p.large, p.look is None, -(p.look or 0), p.x, p.y))
    marks = (_mark(p, x, y) for p in ordered)
    parts = (_grid(x, y, x_label, y_label), *_lines([p for p in ordered if p.large], x, y), *marks)
    return tag("svg", *parts, class_="chart marks", role="group", aria_label=label)


def _mark(point: Point, x: Axis, y: Axis) -> Html:
    large = " large" if point.large else ""
    return tag(
        "use",
        tag("title", point.told),
        class_=f"mark {look_class(point.look)}{large}",
        href=mark(point.look, point.large),
        x=_percent(x.place(point.x)),
        y=_percent(100 - y.place(point.y)),
    )


def _lines(points: list[Point], x: Axis, y: Axis) -> list[Html]:
    pairs = [(one, other) for one, other in zip(points, points[1:], strict=False) if one.look == other.look]
    return [
        tag(
            "line",
            class_=look_class(one.look),
            x1=_percent(x.place(one.x)),
            y1=_percent(100 - y.place(one.y)),
            x2=_percent(x.place(other.x)),
            y2=_percent(100 - y.place(other.y)),
        )
        for one, other in pairs
        if one.look is not None
    ]


def _grid(x: Axis, y: Axis, x_label: str, y_label: str) -> Html:
    """Lines and numbers; `y` is in percent, of which there are no more than 100."""
    parts = []
    for k, tick in enumerate(x.ticks()):
        at = _percent(x.place(tick))
        number = tag("text", _plain(tick), x=at, y="100%", dy="1.5em", class_="second" if k % 2 else None)
        parts += [tag("line", x1=at, x2=at, y1="0", y2="100%"), number]
    for tick in (t for t in y.ticks() if t <= 100):
        at = _percent(100 - y.place(tick))
        number = tag("text", _plain(tick), x="0", y=at, dx="-0.6em", dy="0.35em", class_="y")
        parts += [tag("line", x1="0", x2="100%", y1=at, y2=at), number]
    parts.append(tag("text", x_label, x="50%", y="100%", dy="3.2em", class_="name"))
    parts.append(tag("text", y_label, x="0", y="0", dx="-3.2em", dy="-1em", class_="name y-name"))
    return tag("g", *parts, class_="grid", aria_hidden="true")


def _percent(value: float) -> str:
    return f"{value:.2f}%"


def _plain(value: float) -> str:
    return f"{value:,.10g}"


# ------------------------------------------------------------------------------------------ a class


def kept_places(shown: Exhibit, label: str) -> Html:
    """The mean image in grey, the places of the kept units over it: the more units, the denser the colour."""
    (height, width), places = shown.mean_image.shape, shown.places
    side = height / len(places)
    image = tag("image", href=_png(shown.mean_image), width=width, height=height, preserveAspectRatio="none")
    cells = [_place(row, column, side, places) for row, column in np.argwhere(places).tolist()]
    viewed = {"viewBox": f"0 0 {width} {height}"}
    return tag("svg", image, *cells, class_="map marks", role="group", aria_label=label, **viewed)


def _place(row: int, column: int, side: float, places: np.ndarray) -> Html:
    units, gap = int(places[row, column]), 0.06 * side
    told = f"row {row + 1}, column {column + 1}: {units} kept unit{'s' * (units > 1)}"
    return tag(
        "rect",
        tag("title", told),
        class_="mark",
        x=_short(column * side + gap),
        y=_short(row * side + gap),
        width=_short(side - 2 * gap),
        height=_short(side - 2 * gap),
        fill_opacity=f"{0.35 + 0.55 * units / places.max():.2f}",
    )


def _png(image: np.ndarray) -> str:
    """A grey image in 0..255, ink dark, as the address of its own content."""
    file, grey = io.BytesIO(), 255 - 0.67 * np.clip(image, 0, 255)
    Image.fromarray(grey.astype(np.uint8)).save(file, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


WIDE, HIGH, TOP = 400, 230, 6  # of the drawing of a network, its names below the units


def network(shown: Exhibit, kept: dict[str, list[int]], label: str) -> Html:
    """The surviving network layer by layer, the input left; the wider a line, the stronger the connection."""
    counts = [len(units) for units in kept.values()]
    parts = (*_edges(connections(shown), counts), *_units(shown, kept, counts), *_names(shown.layers, counts))
    viewed = {"viewBox": f"0 0 {WIDE} {HIGH + 40}"}
    return tag("svg", *parts, class_="network marks", role="group", aria_label=label, **viewed)


def connections(shown: Exhibit) -> list[tuple[int, int, np.ndarray]]:
    """(layer, later layer, strengths relative to the strongest of the two layers)."""
    between = [*((k, k + 1, pair) for k, pair in enumerate(shown.strengths)), *shown.beyond]
    return [(one, other, pair / (pair.max() or 1)) for one, other, pair in between]


def strongest(found: list[tuple[int, int, np.ndarray]]) -> float:
    """The strength from which on connections are drawn, so that they are no more than MOST_EDGES."""
    strengths = np.sort(np.concatenate([pair.ravel() for _, _, pair in found]))[::-1]
    return max(0.02, float(strengths[MOST_EDGES - 1]) if len(strengths) > MOST_EDGES else 0)


def _edges(found: list[tuple[int, int, np.ndarray]], counts: list[int]) -> list[Html]:
    """A path per width, the weakest first, so that the strong ones lie on top."""
    least, grades = strongest(found), [[] for _ in range(GRADES)]
    for one, other, pair in found:
        for source, target in np.argwhere(pair >= least).tolist():
            start, end = _at(one, source, counts), _at(other, target, counts)
            grades[min(GRADES - 1, int(GRADES * pair[source, target]))].append(f"M{start}L{end}")
    shares = [(grade + 0.5) / GRADES for grade in range(GRADES)]
    looks = [{"stroke_width": f"{0.2 + 2.2 * s:.2f}", "stroke_opacity": f"{0.1 + 0.75 * s:.2f}"} for s in shares]
    return [tag("path", class_="edge", d="".join(d), **look) for d, look in zip(grades, looks, strict=True) if d]


def _at(layer: int, unit: int, counts: list[int]) -> str:
    x, y = _spot(layer, unit, counts)
    return f"{_short(x)} {_short(y)}"


def _spot(layer: int, unit: int, counts: list[int]) -> tuple[float, float]:
    return 24 + (WIDE - 48) * layer / (len(counts) - 1), TOP + (unit + 0.5) * (HIGH - TOP) / counts[layer]


def _units(shown: Exhibit, kept: dict[str, list[int]], counts: list[int]) -> list[Html]:
    """A mark per unit, with its number and its share of what its layer gives to the next one."""
    found = []
    for layer, (name, units) in enumerate(kept.items()):
        given = shown.strengths[layer].sum(1) if layer < len(shown.strengths) else None
        for k, unit in enumerate(units):
            share = (
                "" if given is None or not given.sum() else f"\n{100 * given[k] / given.sum():.1f} % of the strength"
            )
            x, y = _spot(layer, k, counts)
            radius = min(4.5, 0.42 * (HIGH - TOP) / counts[layer])
            title = tag("title", f"{name}, unit {unit}{share}")
            looks = {"class_": f"mark{' first' if layer == 0 else ''}", "r": f"{max(radius, 0.6):.2g}"}
            found.append(tag("circle", title, cx=_short(x), cy=_short(y), **looks))
    return found


def _names(layers: tuple[str, ...], counts: list[int]) -> list[Html]:
    return [
        tag("text", tag("tspan", name, x=_short(x), dy=0), tag("tspan", count, x=_short(x), dy="1.25em"), y=HIGH + 14)
        for layer, (name, count) in enumerate(zip(layers, counts, strict=True))
        for x in [_spot(layer, 0, counts)[0]]
    ]


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
