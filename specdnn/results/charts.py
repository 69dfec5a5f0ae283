"""Numbers -> drawings of the page, as SVG that fits any width and tells what is under the pointer. Computes no metric.

Marks have a `title`, which the page's script shows; without it the browser does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

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
MOST_MARKS = 256  # of the units of a layer, and of the places of an image, that have a mark each
GRADES = 6  # widths of a connection
MOST_PIXELS, SHADES = 56, 15  # of an image: a side, and greys


# ------------------------------------------------------------------------------------------ axes


@dataclass(frozen=True)
class Axis:
    """Positive values from `low` to `high` by their logarithm."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Iterable[float]) -> Axis:
        """With a margin; values that are nearly the same have room around them."""
        values = list(values)
        low, high = min(values), max(values)
        wider = 2 if high < 4 * low else (high / low) ** 0.06
        return cls(low / wider, high * wider)

    def place(self, value: float) -> str:
        """From the low end, as it is written in a drawing: `12.50%`."""
        low, high, at = map(math.log, (self.low, self.high, value))
        return f"{100 * (at - low) / (high - low):.2f}%"

    def ticks(self) -> list[float]:
        """At most seven round numbers."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        candidates = [[n * 10.0**d for d in decades for n in numbers] for numbers in ((1, 2, 5), (1, 3), (1,))]
        fitting = [[tick for tick in ticks if self.low <= tick <= self.high] for ticks in candidates]
        fewer = fitting[-1][:: 1 + len(fitting[-1]) // 7]  # where even the decades are many
        return next((ticks for ticks in fitting if len(ticks) <= 7), fewer)


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
    """Points against size, both by logarithms: large ones on top, those of a look joined by a line.

    `y` is in percent, spaced by what is missing to 100; nothing missing is drawn as half of the least that is.
    """
    least = min((100 - p.y for p in points if p.y < 100), default=1.0) / 2
    missing = {p: max(100 - p.y, least) for p in points}
    x, y = Axis.around(p.x for p in points), Axis.around(missing.values())
    ordered = sorted(points, key=lambda p: (p.large, p.look is None, -(p.look or 0), p.x, p.y))
    placed = [(p, x.place(p.x), y.place(missing[p])) for p in ordered]
    lines = _lines([one for one in placed if one[0].large])
    parts = (_grid(x, y, x_label, y_label), *lines, *(_mark(*one) for one in placed))
    return tag("svg", *parts, class_="chart marks", role="group", aria_label=label)


def _mark(point: Point, x: str, y: str) -> Html:
    looks = f"mark {look_class(point.look)}{' large' if point.large else ''}"
    return tag("use", tag("title", point.told), class_=looks, href=mark(point.look, point.large), x=x, y=y)


def _lines(placed: list[tuple[Point, str, str]]) -> Iterator[Html]:
    for (one, x1, y1), (other, x2, y2) in zip(placed, placed[1:], strict=False):
        if one.look == other.look:
            yield tag("line", class_=look_class(one.look), x1=x1, y1=y1, x2=x2, y2=y2)


def _grid(x: Axis, y: Axis, x_label: str, y_label: str) -> Html:
    parts = []
    for k, tick in enumerate(x.ticks()):
        at = x.place(tick)
        number = tag("text", _plain(tick), x=at, y="100%", dy="1.5em", class_="second" if k % 2 else None)
        parts += [tag("line", x1=at, x2=at, y1="0", y2="100%"), number]
    for tick in (one for one in y.ticks() if one <= 100):
        at = y.place(tick)
        number = tag("text", _plain(100 - tick), x="0", y=at, dx="-0.6em", dy="0.35em", class_="y")
        parts += [tag("line", x1="0", x2="100%", y1=at, y2=at), number]
    parts.append(tag("text", x_label, x="50%", y="100%", dy="3.2em", class_="name"))
    parts.append(tag("text", y_label, x="0", y="0", dx="-3.2em", dy="-1em", class_="name y-name"))
    return tag("g", *parts, class_="grid", aria_hidden="true")


def _plain(value: float) -> str:
    return f"{value:,.10g}"


# ------------------------------------------------------------------------------------------ a class


def kept_places(shown: Exhibit, label: str) -> Html:
    """The mean image in grey, the places of the kept units over it: the more units, the denser the colour."""
    (height, width), places = shown.mean_image.shape, shown.places
    side = height / len(places)
    cells = [_place(row, column, side, places) for row, column in np.argwhere(places).tolist()]
    cells = cells if len(cells) <= MOST_MARKS else _many_places(places, side)
    viewed = {"viewBox": f"0 0 {width} {height}"}
    return tag("svg", _image(shown.mean_image), *cells, class_="map marks", role="group", aria_label=label, **viewed)


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
        fill_opacity=_density(units, places),
    )


def _many_places(places: np.ndarray, side: float) -> list[Html]:
    """A mark per number of units, on all the places that have it."""
    return [
        tag(
            "path",
            tag("title", f"places with {count:g} kept unit{'s' * (count > 1)}: {(places == count).sum()}"),
            class_="mark",
            d=_runs(places == count),
            transform=f"scale({side:g})",
            fill_opacity=_density(count, places),
        )
        for count in np.unique(places[places > 0]).tolist()
    ]


def _density(units: float, places: np.ndarray) -> str:
    return f"{0.25 + 0.55 * units / places.max():.2f}"


def _image(image: np.ndarray) -> Html:
    """The ink of an image in 0..255."""
    step = -(-max(image.shape) // MOST_PIXELS)
    thinned = np.clip(image[step // 2 :: step, step // 2 :: step], 0, 255)
    return tag("g", *_ink(np.rint(SHADES * thinned / 255), 0.67), class_="ink", transform=f"scale({step})")


def _ink(shades: np.ndarray, darkest: float) -> Iterator[Html]:
    """A path per shade, row by row of as many pixels as are alike; no encoder of images, whose bytes differ."""
    for shade in range(1, SHADES + 1):
        if outlines := _runs(shades == shade):
            yield tag("path", d=outlines, opacity=f"{darkest * shade / SHADES:.2f}")


def example(greys: np.ndarray, label: str) -> Html:
    """An image in greys from 0 to 15, full of ink at 15."""
    height, width = greys.shape
    viewed = {"viewBox": f"0 0 {width} {height}"}
    return tag("svg", *_ink(greys, 1), class_="example ink", role="img", aria_label=label, **viewed)


def _runs(dark: np.ndarray) -> str:
    """Outlines of the runs of dark pixels in every row."""
    edges = np.diff(np.pad(dark.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = np.argwhere(edges > 0).tolist(), np.argwhere(edges < 0).tolist()
    return "".join(f"M{x} {y}H{end}v1H{x}" for (y, x), (_, end) in zip(starts, ends, strict=True))


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
    least = strongest(found)
    grades: list[list[str]] = [[] for _ in range(GRADES)]
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


def _units(shown: Exhibit, kept: dict[str, list[int]], counts: list[int]) -> Iterator[Html]:
    """A mark per unit, with its number and its share of what its layer gives to the next one; one for very many."""
    for layer, (name, units) in enumerate(kept.items()):
        class_ = f"mark{' first' if layer == 0 else ''}"
        if len(units) > MOST_MARKS:
            x, title = _spot(layer, 0, counts)[0], tag("title", f"{name}: {len(units)} units")
            yield tag("rect", title, class_=class_, x=_short(x - 1.5), y=TOP, width=3, height=HIGH - TOP)
            continue
        radius = f"{min(4.5, 0.42 * (HIGH - TOP) / len(units)):.2g}"
        for k, (unit, share) in enumerate(zip(units, _shares(shown, layer, len(units)), strict=True)):
            cx, cy = map(_short, _spot(layer, k, counts))
            yield tag("circle", tag("title", f"{name}, unit {unit}{share}"), class_=class_, cx=cx, cy=cy, r=radius)


def _shares(shown: Exhibit, layer: int, width: int) -> list[str]:
    """Of every unit its share of what the layer gives to the next one, in words; of the last layer nothing."""
    given = shown.strengths[layer].sum(1) if layer < len(shown.strengths) else np.zeros(width)
    whole = given.sum()
    return [
        f"\n{100 * own / whole:.1f} % of what its layer gives to the next" if whole else "" for own in given.tolist()
    ]


def _names(layers: tuple[str, ...], counts: list[int]) -> list[Html]:
    return [
        tag("text", tag("tspan", name, x=_short(x), dy=0), tag("tspan", count, x=_short(x), dy="1.25em"), y=HIGH + 14)
        for layer, (name, count) in enumerate(zip(layers, counts, strict=True))
        for x in [_spot(layer, 0, counts)[0]]
    ]


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
