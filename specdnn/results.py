"""Metrics files -> every table and picture of a network, in the save folder as in `results/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from specdnn import exhibits, files, pictures, report, scorecard
from specdnn.files import SavedModels
from specdnn.scorecard import PublishedCell

PICTURES = {  # kind -> what is to be seen
    "pareto": "Accuracy and balanced accuracy against size, the published table, and the score while a network is cut",
    "classes": "Per class the places of its kept units over its mean image (pixels, or positions of flattened "
    "features), and the surviving network, edges as wide as connections are strong",
    "overlap": "Jaccard overlap of the units kept for every two classes, layer by layer",
}


@dataclass(frozen=True)
class Results:
    """The finished runs of one network."""

    rows: list[dict]
    parents: list[dict]
    published: list[PublishedCell]
    exhibits: list[dict]

    @property
    def ours(self) -> list[dict]:
        return scorecard.ours(self.rows)

    def markdown(self) -> str:
        return report.markdown(self.rows, self.parents, self.published)

    def files(self, saved: SavedModels) -> dict[Path, str | bytes]:
        """Every table and picture these runs allow: path -> content."""
        points = report.csv_points(scorecard.pareto_points(self.rows))
        texts = {saved.table("md"): self.markdown(), saved.table("csv"): report.csv_table(self.rows)}
        drawn = {saved.picture(kind): draw() for kind, draw in self._drawings().items()}
        return {**texts, saved.picture("pareto", "csv"): points, **drawn}

    def _drawings(self) -> dict[str, Callable[[], bytes]]:
        """Kind -> what draws it, of the pictures these runs allow."""
        drawings = {"pareto": lambda: pictures.pareto(self.rows, self.published)}
        if self.exhibits:
            drawings["classes"] = lambda: pictures.contact_sheet([exhibits.shown(one) for one in self.exhibits])
        if overlaps := scorecard.overlaps(self.ours):
            drawings["overlap"] = lambda: pictures.overlap(overlaps, list(scorecard.by_class(self.ours)))
        return drawings

    def readme(self, saved: SavedModels, beside: Path) -> str:
        """The README's section; its pictures lie where `saved` says, as seen from the folder `beside`."""
        shown = {PICTURES[kind]: saved.picture(kind).relative_to(beside).as_posix() for kind in self._drawings()}
        return f"### {saved.arch}\n\n" + report.readme_section(self.rows, self.parents, self.published, shown)


def finished(folder: Path, dataset: str) -> list[dict]:
    """The metrics files of a data set in a folder and below (other seeds, other budgets), each with its `file`."""
    found = [(path, files.read_metrics(path)) for path in sorted(folder.rglob("*.json"))]
    return [{**m, "file": path} for path, m in found if m and m.get("dataset") == dataset and "verb" in m]


def of_network(found: list[dict], arch: str, published: Path) -> Results | None:
    """The runs of one network among the metrics found; None without a retrained network of one class.

    `published`: the dataset folder's table of published figures, if it has one. An exhibit counts where it shows
    just the units that a run of the main budget kept.
    """
    rows = scorecard.cells(found, arch)
    if not rows:
        return None
    figures = published_figures(published, arch, rows[0]["dataset"])
    parents = sorted((m for m in found if m["verb"] == "train" and m["arch"] == arch), key=lambda m: m["seed"])
    told = [one for m in found if m["verb"] == "exhibits" and m["arch"] == arch for one in m["classes"]]
    kept = [(row["class"], row["kept"]) for row in scorecard.ours(rows)]
    fitting = [one for one in told if (one["class"], one["kept"]) in kept]
    return Results(rows, parents, scorecard.published_cells(rows, figures), fitting)


def published_figures(path: Path, arch: str, dataset: str) -> dict[int, tuple[float, float]]:
    """Class -> published (paper-rule rate, accuracy) of a network; empty where the folder has no such table."""
    return report.published_table(files.read_text(path), arch, dataset) if path.exists() else {}


def write(contents: dict[Path, str | bytes]) -> None:
    for path, content in contents.items():
        files.write(path, content)
