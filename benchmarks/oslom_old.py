"""Ask the old OSLOM program for its answers on the reference graphs, once, and keep them.

The old program is run as a black box through `pyoslom==0.1.6`, in an environment of its own, which is named by
--python. Each answer (graph, seed) is one tp file under benchmarks/oslom-old/, and one row with its flags and user
seconds in benchmarks/oslom-old.tsv; answers that are there already are not asked for again, so that a run broken off
goes on where it stopped.

    python benchmarks/oslom_old.py --python OTHER_ENV/bin/python --graphs ../shared/oslom-reference --seeds 10
"""

import argparse
import csv
import shutil
import subprocess
import tempfile
from pathlib import Path

from tqdm import tqdm

HERE = Path(__file__).resolve().parent
TABLE = HERE / "oslom-old.tsv"
COVERS = HERE / "oslom-old"
# The user processor time of the call alone: the interpreter's start does not count.
CALL = """
import resource, sys
from pyoslom import oslom_imp
before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
run = oslom_imp.run_dir if sys.argv[1] == "oslom_dir" else oslom_imp.run_undir
code = run(sys.argv[1:])
print("user seconds", resource.getrusage(resource.RUSAGE_SELF).ru_utime - before)
sys.exit(code or 0)
"""
SLOW = ("lfr_0.6", "pp_0.7", "dpp", "planted_5000")  # graphs that get -fast


def flags_of(name: str) -> list[str]:
    """The flags of the reference figures for a graph, by its name."""
    if name.startswith("class"):
        return ["-w", "-r", "1", "-hr", "0", "-singlet"]
    weighted = "-w" if name.startswith("w") else "-uw"
    return [weighted, "-singlet"] + (["-fast"] if name.startswith(SLOW) else [])


def program_of(name: str) -> str:
    return "oslom_dir" if name.startswith("d") else "oslom_undir"


def answer(python: str, graph: Path, seed: int) -> tuple[str, float]:
    """(tp file, user seconds) of the old program on one graph."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(graph, Path(folder) / "g")
        command = [program_of(graph.stem), "-f", "g", *flags_of(graph.stem), "-seed", str(seed)]
        done = subprocess.run([python, "-c", CALL, *command], cwd=folder, check=True, capture_output=True, text=True)
        seconds = float(done.stdout.rsplit("user seconds", 1)[1])
        return (Path(folder) / "g_oslo_files" / "tp").read_text(), seconds


def keep(graph: Path, seed: int, tp: str, seconds: float) -> None:
    COVERS.mkdir(exist_ok=True)
    cover_path(graph, seed).write_text(tp)
    fresh = not TABLE.exists()
    with TABLE.open("a", newline="") as file:
        rows = csv.writer(file, delimiter="\t", lineterminator="\n")
        if fresh:
            rows.writerow(["graph", "flags", "seed", "user_seconds"])
        rows.writerow([graph.stem, " ".join(flags_of(graph.stem)), seed, f"{seconds:.2f}"])


def cover_path(graph: Path, seed: int) -> Path:
    return COVERS / f"{graph.stem}.seed{seed}.tp"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="interpreter of an environment with pyoslom==0.1.6")
    parser.add_argument("--graphs", type=Path, required=True, help="folder of NAME.edges files")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these graphs only")
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args()
    graphs = [g for g in sorted(args.graphs.glob("*.edges")) if not args.only or g.stem in args.only]
    cells = [(graph, seed) for seed in range(1, args.seeds + 1) for graph in graphs]
    for graph, seed in tqdm([cell for cell in cells if not cover_path(*cell).exists()]):
        keep(graph, seed, *answer(args.python, graph, seed))


if __name__ == "__main__":
    main()
