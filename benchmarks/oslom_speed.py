"""How many times less processor time our OSLOM programs need than the old one, measured side by side.

For every graph of a reference folder and each of three seeds both programs run one after the other, each with one
thread; the ratio is that of the user seconds of the calls, without the start of an interpreter. On a few graphs ours
also runs with two threads, for the wall time. Rows go to benchmarks/oslom-speed.tsv, medians and ratios to
oslom/README.md. A run broken off goes on where it stopped, unless our programs were built anew since.

    python benchmarks/oslom_speed.py --python OTHER_ENV/bin/python --reference ../shared/oslom-reference
"""

import argparse
from pathlib import Path

from oslom_graphs import Case, cases
from oslom_programs import OLD_VERSION, interpreter, run_old, run_ours, version_of_ours
from oslom_tables import SPEED, header, read_results, refresh, speed_section, write_results
from pages import processor
from tqdm import tqdm

SEEDS = (1, 2, 3)
TWO_THREADS = ("lfr_0.3_1", "pp_0.6_1", "wlfr_0.5_1")  # all with -r 10


def row_of(python: str, case: Case, seed: int) -> dict:
    old, ours = run_old(python, case, seed), run_ours(case, seed)
    row = {"graph": case.name, "flags": " ".join(case.flags), "seed": seed}
    row |= {"old_seconds": old.user_seconds, "our_seconds": ours.user_seconds}
    if case.name in TWO_THREADS:
        row |= {"wall_one_thread": ours.wall_seconds, "wall_two_threads": run_ours(case, seed, threads=2).wall_seconds}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--python", type=interpreter, required=True, help="interpreter of an environment with pyoslom==0.1.6"
    )
    parser.add_argument("--reference", type=Path, required=True, help="folder of NAME.edges files")
    parser.add_argument("--only", nargs="+", metavar="START", help="only graphs whose names start with one of these")
    parser.add_argument("--results", type=Path, default=SPEED, help="another file, for a trial with --only")
    args = parser.parse_args()
    versions = f"{version_of_ours()}, {OLD_VERSION}, {processor()}, seeds {SEEDS[0]} to {SEEDS[-1]}"
    head, rows = read_results(args.results)
    rows = rows if head.endswith(versions) else []
    done = {(row["graph"], row["seed"]) for row in rows}
    cells = [(case, seed) for case in cases(args.reference, only=args.only) for seed in SEEDS]
    cells = [(case, seed) for case, seed in cells if (case.name, str(seed)) not in done]
    for case, seed in (bar := tqdm(cells, unit="pair")):
        bar.set_postfix_str(f"{case.name} seed {seed}")
        rows.append(row_of(args.python, case, seed))
        write_results(args.results, header(versions), rows)
    print(speed_section(args.results))
    refresh()


if __name__ == "__main__":
    main()
