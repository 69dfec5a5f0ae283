"""How the cost of oslom_undir grows: planted graphs of 10^3, 10^4, 10^5 and 10^6 vertices.

The graphs are those of `planted` in oslom_graphs.py with its own degrees (8 to 50, average 15), mu 0.3, seed 1, and
are made in a temporary folder. Seconds, peak memory and NMI go to benchmarks/oslom-growth.tsv, the table and the
fitted exponent to oslom/README.md. A run broken off goes on where it stopped, unless our programs were built anew.

    python benchmarks/oslom_growth.py --largest 100000
"""

import argparse
import tempfile
from pathlib import Path

from oslom_graphs import cases, write_planted
from oslom_measures import communities, measures
from oslom_programs import run_ours, version_of_ours
from oslom_tables import GROWTH, growth_section, header, read_results, refresh, write_results
from pages import processor
from tqdm import tqdm

SIZES = (10**3, 10**4, 10**5, 10**6)
MU, SEED = 0.3, 1


def row_of(vertices: int, bar: tqdm) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        bar.set_postfix_str(f"making the graph of {vertices} vertices")
        edges = write_planted(Path(folder), f"growth_{vertices}", vertices, MU, SEED)
        (case,) = cases(Path(folder))
        bar.set_postfix_str(f"oslom_undir on {edges} edges")
        run = run_ours(case, SEED)
        bar.set_postfix_str(f"NMI of {vertices} vertices")
        nmi = measures(run.tp, communities(case.planted))["nmi"]
    row = {"vertices": vertices, "edges": edges, "flags": " ".join(case.flags), "user_seconds": run.user_seconds}
    return row | {"wall_seconds": run.wall_seconds, "peak_mib": run.peak_mib, "nmi": nmi}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="no graph of more vertices")
    parser.add_argument("--results", type=Path, default=GROWTH, help="another file, for a trial")
    args = parser.parse_args()
    versions = f"{version_of_ours()}, one thread, {processor()}, mu {MU}, graph and program seed {SEED}"
    head, rows = read_results(args.results)
    rows = rows if head.endswith(versions) else []
    done = {row["vertices"] for row in rows}
    for vertices in (bar := tqdm([n for n in SIZES if n <= args.largest and str(n) not in done], unit="graph")):
        rows.append(row_of(vertices, bar))
        write_results(args.results, header(versions), rows)
    print(growth_section(args.results))
    refresh()


if __name__ == "__main__":
    main()
