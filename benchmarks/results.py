"""The proof of speed: all figures measured side by side in one run, section by section.

    python benchmarks/results.py --mnist FOLDER --cifar FOLDER --resnet FILE      # `make bench`
    python benchmarks/results.py --only training start                           # the others stay as they are

Figures go to benchmarks/results.jsonl, the page made of them is benchmarks/results.md. A section whose images are not
there says so.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from pages import made_on, read_measures, write_measures
from results_growth import measure_growth, measure_start, text_growth, text_start
from results_scripts import measure_stages, measure_table, text_stages, text_table
from results_training import measure_compact, measure_training, text_compact, text_training

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
sys.path.append(str(ROOT))

FIGURES, PAGE = FOLDER / "results.jsonl", FOLDER / "results.md"
PACKAGES = ("torch", "torchvision", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Section:
    """What is measured, as rows, and the text made of them; `also` names sections whose rows it shows, too."""

    title: str
    measure: Callable[[argparse.Namespace], Iterator[dict]]
    text: Callable[[list[dict]], str]
    also: tuple[str, ...] = ()


SECTIONS = {
    "table": Section("Time to the table", measure_table, text_table),
    "stages": Section("Where our time goes", measure_stages, text_stages, also=("table",)),
    "training": Section("Training beside the peak of matrix products", measure_training, text_training),
    "compact": Section("Compact beside masked whole networks", measure_compact, text_compact),
    "growth": Section("How it grows", measure_growth, text_growth),
    "start": Section("Start", measure_start, text_start),
}


def measured(name: str, given: argparse.Namespace) -> list[dict]:
    """The rows of a section, each with what it was measured on."""
    told = {"section": name, "on": made_on(given.threads, *PACKAGES), "load": os.getloadavg()[0]}
    return [{**told, **row} for row in SECTIONS[name].measure(given)]


def in_order(rows: Iterable[dict]) -> list[dict]:
    return sorted(rows, key=lambda row: list(SECTIONS).index(row["section"]))


def page(rows: list[dict]) -> str:
    parts = [f"## {section.title}\n\n{part(name, rows)}\n" for name, section in SECTIONS.items()]
    return (
        "# How fast it is\n\nMeasured side by side on one machine, what is short as a median; `make bench` measures it "
        "again. A load well above 0 means that other programs ran beside it.\n\n" + "\n".join(parts)
    )


def part(name: str, rows: list[dict]) -> str:
    """The text of a section, what is missing in it, and what it was measured on."""
    section = SECTIONS[name]
    shown = [row for row in rows if row["section"] in (*section.also, name)]
    own = [row for row in shown if row["section"] == name]
    missing = [f"{row['missing'][0].upper()}{row['missing'][1:]}." for row in own if "missing" in row]
    there = [row for row in shown if "missing" not in row]
    made = [f"{row['on']}; load at the start {row['load']:.1f}." for row in own[:1]]
    return "\n\n".join([*missing, *([section.text(there)] if there else []), *(made or ["Not measured yet."])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, default=ROOT / "MNIST" / "data", metavar="DIR", help="images of MNIST")
    parser.add_argument("--cifar", type=Path, default=ROOT / "CIFAR10" / "data", metavar="DIR", help="of CIFAR-10")
    parser.add_argument("--resnet", type=Path, metavar="FILE", help="a trained ResNet-20")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="(default: main.py's, %(default)s)")
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="epochs of the recipe that are timed")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS), help="(default: all)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    warnings.simplefilter("ignore")
    for name in given.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        fresh = measured(name, given)
        write_measures(FIGURES, in_order([row for row in read_measures(FIGURES) if row["section"] != name] + fresh))
        PAGE.write_text(page(read_measures(FIGURES)), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
