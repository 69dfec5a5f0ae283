"""Ask the old OSLOM program for its answers, once, and keep them.

The old program is run as a black box through `pyoslom==0.1.6`, in an environment of its own, which is named by
--python. Its answers are one row each in benchmarks/oslom-old.tsv, with their covers in benchmarks/oslom-old.zip;
answers that are there already are not asked for again, so that a run broken off goes on where it stopped. Asked
about are the graphs of a reference folder, groups of some of them, and generated graphs (see oslom_graphs.py), in
rounds: every graph has its first answer before one has its second.

    python benchmarks/oslom_old.py --python OTHER_ENV/bin/python --reference ../shared/oslom-reference
"""

import argparse
import tempfile
from pathlib import Path

from oslom_graphs import Case, cases, write_generated, write_groups
from oslom_programs import Answers, interpreter, run_old
from tqdm import tqdm

OLD = Path(__file__).resolve().parent / "oslom-old"


def cells(graphs: list[Case], seeds: int) -> list[tuple[Case, int]]:
    """(graph, seed) of everything that is asked, in rounds: every graph once, then every graph again.

    Groups, which take no time, come first.
    """
    found = [(case, seed) for case in graphs for seed in range(1, seeds + 1)]
    return sorted(found, key=lambda cell: (cell[1], not cell[0].hint, cell[0].name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--python", type=interpreter, required=True, help="interpreter of an environment with pyoslom==0.1.6"
    )
    add_graph_options(parser)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ask(chosen_cells(args, Path(folder)), Answers(OLD), lambda case, seed: run_old(args.python, case, seed))


def ask(cells: list[tuple[Case, int]], answers: Answers, run) -> None:
    """Adds run(case, seed) of every cell that has no answer yet; other processes may be at it, too."""
    have = answers.have()
    for case, seed in (bar := tqdm([cell for cell in cells if (cell[0].name, cell[1]) not in have], unit="answer")):
        bar.set_postfix_str(f"{case.name} seed {seed}")
        if (case.name, seed) not in answers.have():
            answers.add(case, seed, run(case, seed))


def add_graph_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reference", type=Path, required=True, help="folder of NAME.edges and NAME.planted files")
    parser.add_argument("--only", nargs="+", metavar="START", help="only graphs whose names start with one of these")
    parser.add_argument("--seeds", type=int, default=10)


def chosen_cells(args: argparse.Namespace, folder: Path) -> list[tuple[Case, int]]:
    """The cells of the options; generated graphs are written into the folder."""
    cases(args.reference)  # says what is wrong with the folder before anything is generated
    write_generated(folder)
    write_groups(folder, args.reference)
    return cells(cases(args.reference, folder, only=args.only), args.seeds)


if __name__ == "__main__":
    main()
