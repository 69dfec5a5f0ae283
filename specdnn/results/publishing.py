"""What `--report` and `--publish` write: tables, pictures and pages of what is finished, and of what is published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from specdnn import files
from specdnn.files import Folder, SavedModels
from specdnn.results import overview, records, report, runs
from specdnn.results.overview import Results
from specdnn.results.records import Records
from specdnn.structures import Record, SpecDNNError

Say = Callable[[str], None]
Exhibits = Callable[[Results], list[Record]]  # makes, of some runs, the record of what the contact sheet shows


# ------------------------------------------------------------------------------------------ report


def write_report(
    folder: Folder, saved: SavedModels, dataset: str, exhibits: Exhibits, say: Say, warn: Say, needed: bool
) -> None:
    """Print the report of all that is finished, and write it with its tables and pictures.

    Where nothing is, there is none; raises SpecDNNError if one is needed.
    """
    found = told(records.below(saved.root, dataset), warn)
    bare = overview.of_network(found, saved.arch, folder.published)
    own = overview.of_network(exhibits(bare) + found, saved.arch, folder.published) if bare else None
    if own is not None:
        overview.write(own.files(saved))
        say(f"{own.markdown(saved)}\nwritten to {saved.table('md')}; page, tables and pictures lie beside it")
    elif needed:
        raise SpecDNNError(
            f"nothing to report: no retrained {saved.arch} for {dataset} in {saved.root}; "
            "run --sweep, or --prune and --retrain first"
        )


def told(read: Records, warn: Say) -> list[Record]:
    """The records that were read; what is left out, and why, is told."""
    for sentence in read.left_out:
        warn(sentence)
    return read.found


# ------------------------------------------------------------------------------------------ publishing


def publish(folder: Folder, save_dir: Path, say: Say, warn: Say) -> None:
    """Add what is finished to the published runs; tables, pictures and README's section are built from these alone."""
    readme, marker = folder.path.parent / "README.md", f"results of {folder.path.name}"
    text, dataset = files.read_text(readme), folder.dataset.DEFAULT
    report.between(text, marker, "")  # a README without the section is told before anything is written
    add_finished(folder, told(records.below(save_dir, dataset), warn), say, warn)
    networks = {saved: published(folder, saved, warn) for saved in places(folder)}
    sections = [write_network(folder, saved, own, say) for saved, own in networks.items() if own]
    if not sections:
        raise SpecDNNError(f"nothing to publish: no finished runs in {save_dir} or {folder.results}")
    together = report.beaten_together([own.published for own in networks.values() if own])
    files.write(readme, report.between(text, marker, "\n".join(filter(None, [together, *sections]))))
    say(f"written: runs, tables, pictures and pages in {folder.results}, and the results section of {readme}")


def places(folder: Folder) -> list[SavedModels]:
    """Where the results of each network of a folder lie."""
    return [SavedModels(folder.results, arch) for arch in folder.architectures]


def add_finished(folder: Folder, found: list[Record], say: Say, warn: Say) -> None:
    """Put records into the files of their networks; one of a network that the folder does not have is left out."""
    for unknown in (m for m in found if m["arch"] not in folder.architectures):
        warn(f"{unknown['file']} is left out: {folder.path.name} has no network {unknown['arch']}")
    for saved in places(folder):
        if new := [m for m in found if m["arch"] == saved.arch]:
            with files.lock(saved.runs(), say):
                runs.add(saved, new)


def published(folder: Folder, saved: SavedModels, warn: Say) -> Results | None:
    """The published runs of a network; None without a retrained one."""
    found = told(runs.read(saved, folder.dataset.DEFAULT), warn)
    return overview.of_network(found, saved.arch, folder.published)


def write_network(folder: Folder, saved: SavedModels, own: Results, say: Say) -> str:
    """Write the tables, pictures and page of a network; returns its part of the README."""
    overview.write(own.files(saved))
    if not own.exhibits:
        say(f"{saved.arch}: no contact sheet, for no {saved.exhibits().name} is published; --report makes it")
    return own.readme(saved, folder.path.parent)
