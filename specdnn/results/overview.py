"""Records -> every table, picture and page of a network, in the save folder as in `results/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from specdnn import files
from specdnn.files import SavedModels
from specdnn.results import page, pictures, report, scorecard, shown
from specdnn.results.scorecard import PublishedCell
from specdnn.structures import Record

PICTURES = {  # kind -> what is to be seen
    "pareto": "Accuracy and balanced accuracy against size, the published table, and the score while a network is cut",
    "classes": "Per class the places of its kept units over its mean image (pixels, or positions of flattened "
    "features), and the surviving network, edges as wide as connections are strong; of a large one the widths of its "
    "layers",
    "kept": "Share of the units of every layer that is kept for every class, in percent",
    "overlap": "Jaccard overlap of the units kept for every two classes, layer by layer",
}


@dataclass(frozen=True)
class Results:
    """The finished runs of one network: those of one class, those of several, and the parents of the main ones."""

    rows: list[Record]
    several: list[Record]
    parents: list[Record]
    published: list[PublishedCell]
    exhibits: list[Record]

    @property
    def ours(self) -> list[Record]:
        return scorecard.ours(self.rows)

    def markdown(self, saved: SavedModels) -> str:
        linked = self._pictures(saved, saved.folder)
        return report.markdown(self.rows, self.several, self.parents, self.published, linked)

    def page(self, saved: SavedModels) -> str:
        return page.page(self.rows, self.several, self.parents, self.published, self.exhibits, saved.table("md").name)

    def files(self, saved: SavedModels) -> dict[Path, str | bytes]:
        """Every table, picture and page these runs allow: path -> content."""
        points = report.csv_points(scorecard.pareto_points(self.rows))
        table = report.csv_table([*self.rows, *self.several])
        texts = {
            saved.table("md"): self.markdown(saved),
            saved.table("html"): self.page(saved),
            saved.table("csv"): table,
        }
        drawn = {saved.picture(kind): draw() for kind, draw in self._drawings().items()}
        return {**texts, saved.picture("pareto", "csv"): points, **drawn}

    def _drawings(self) -> dict[str, Callable[[], bytes]]:
        """Kind -> what draws it, of the pictures these runs allow."""
        drawings = {}
        if self.rows:
            drawings["pareto"] = lambda: pictures.pareto(self.rows, self.published)
        if self.exhibits:
            drawings["classes"] = lambda: pictures.contact_sheet([shown.exhibit(one) for one in self.exhibits])
        if shares := scorecard.kept_shares(self.ours, self.parents):
            drawings["kept"] = lambda: pictures.kept_shares(*shares)
        if overlaps := scorecard.overlaps(self.ours):
            drawings["overlap"] = lambda: pictures.overlap(overlaps, list(scorecard.by_class(self.ours)))
        return drawings

    def _pictures(self, saved: SavedModels, beside: Path) -> dict[str, str]:
        """What is to be seen -> where `saved` says that the picture lies, as seen from the folder `beside`."""
        return {PICTURES[kind]: saved.picture(kind).relative_to(beside).as_posix() for kind in self._drawings()}

    def readme(self, saved: SavedModels, beside: Path) -> str:
        """The README's section with the first picture; all others are in the report it links to."""
        first = dict(list(self._pictures(saved, beside).items())[:1])
        whole, page = (saved.table(ending).relative_to(beside).as_posix() for ending in ("md", "html"))
        text = report.readme_section(self.rows, self.several, self.parents, self.published, first, whole, page)
        return f"### {saved.arch}\n\n{text}"


def of_network(found: list[Record], arch: str, published: Path) -> Results | None:
    """The runs of one network among the records found; None without a retrained one.

    `published`: the dataset folder's table of published figures, if it has one. An exhibit counts where it shows
    just the units that a run of the main recipe kept.
    """
    rows, several = scorecard.cells(found, arch), scorecard.several(found, arch)
    if not (rows or several):
        return None
    figures = published_figures(published, arch, (rows or several)[0]["dataset"])
    parents = scorecard.parents(found, scorecard.main_rows(rows))
    told = [one for m in found if m["verb"] == "exhibits" and m["arch"] == arch for one in m["classes"]]
    kept = [(row["class"], row["kept"]) for row in scorecard.ours(rows)]
    fitting = {one["class"]: one for one in reversed(told) if (one["class"], one["kept"]) in kept}
    fit = [fitting[wanted] for wanted in sorted(fitting)]
    return Results(rows, several, parents, scorecard.published_cells(rows, figures), fit)


def published_figures(path: Path, arch: str, dataset: str) -> dict[int, tuple[float, float]]:
    """Class -> published (paper-rule rate, accuracy) of a network; empty where the folder has no such table."""
    return report.published_table(files.read_text(path), arch, dataset) if path.exists() else {}


def write(contents: dict[Path, str | bytes]) -> None:
    for path, content in contents.items():
        files.write(path, content)
