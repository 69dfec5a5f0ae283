"""Result files of the OSLOM benchmarks, and the sections of oslom/README.md that are made of them.

A result file is a line `# date, versions, ...` and a table with tabs. `python benchmarks/oslom_tables.py` writes the
sections anew; a section without its result file is empty.
"""

import csv
import datetime
import functools
from collections import defaultdict
from math import log
from pathlib import Path
from statistics import linear_regression, median

import pages

HERE = Path(__file__).resolve().parent
README = HERE.parent / "oslom" / "README.md"
EQUIVALENCE, SPEED, GROWTH = (HERE / f"oslom-{name}.tsv" for name in ("equivalence", "speed", "growth"))
RIVAL = HERE / "oslom-rival.tsv"
LEAST_SECONDS = 1.0  # graphs on which the old program needs less do not count


def header(versions: str) -> str:
    return f"{datetime.date.today()}, {versions}"


def write_results(path: Path, head: str, rows: list[dict]) -> None:
    """Writes all rows under the union of their columns."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", newline="") as file:
        file.write(f"# {head}\n")
        table = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerows({key: rounded(value) for key, value in row.items()} for row in rows)


def rounded(value):
    return f"{value:.6g}" if isinstance(value, float) else value


def read_results(path: Path) -> tuple[str, list[dict[str, str]]]:
    """(what the first line says, rows); nothing where there is no such file."""
    if not path.exists():
        return "", []
    with path.open(newline="") as file:
        head = file.readline().removeprefix("# ").strip()
        return head, list(csv.DictReader(file, delimiter="\t"))


table = functools.partial(pages.table, numbers="---")


# ---------------------------------------------------------------------------------------- equivalence


def equivalence_section(path: Path = EQUIVALENCE, rival: Path = RIVAL) -> str:
    head, rows = read_results(path)
    if not rows:
        return ""
    graphs = defaultdict(dict)
    for row in rows:
        graphs[row["graph"]][row["measure"]] = row
    exchanged = graphs.pop("exchanged", {}).get("holding")
    kinds = [plain_table, class_table, group_table, random_table]
    closing = [verdict(graphs, exchanged), rival_table(rival)]
    parts = [part for part in [*(kind(graphs) for kind in kinds), *closing] if part]
    return "\n\n".join([f"Measured: {head}. Each cell: ours / the original program.", *parts])


def plain_table(graphs) -> str:
    chosen = {name: rows for name, rows in graphs.items() if "overlap" in rows}
    lines = [
        [name, rows["modules"]["flags"], rows["modules"]["seeds"]]
        + [means(rows.get(measure)) for measure in ("modules", "homeless", "overlap")]
        + [means(rows.get("nmi"), 4), pair(rows.get("nmi_between"), 4), holds(rows)]
        for name, rows in chosen.items()
    ]
    columns = ["graph", "flags", "seeds", "modules", "homeless", "overlap", "NMI to planted"]
    return lines and table([*columns, "NMI ours-to-old / old-to-old", "holds"], lines)


def class_table(graphs) -> str:
    """Dense weighted graphs of a network's class: quartiles over seeds."""
    chosen = {name: rows for name, rows in graphs.items() if "largest" in rows}
    lines = [
        [name, rows["modules"]["flags"], rows["modules"]["seeds"], means(rows["modules"]), means(rows["homeless"])]
        + [spread(rows["modules"]), spread(rows["largest"]), pair(rows["jaccard_between"], 3), holds(rows)]
        for name, rows in chosen.items()
    ]
    columns = ["graph", "flags", "seeds", "modules", "homeless", "modules, quartiles", "largest module, quartiles"]
    return lines and table([*columns, "Jaccard of the largest, ours-to-old / old-to-old", "holds"], lines)


def group_table(graphs) -> str:
    """Single groups given with -hint: how often two answers are the very same module."""
    chosen = {name: rows for name, rows in graphs.items() if "@" in name}
    lines = [
        [name.split("@")[0], next(iter(rows.values()))["flags"], next(iter(rows.values()))["seeds"]]
        + [pair(row, 3) for row in rows.values()]
        + [holds(rows)]
        for name, rows in chosen.items()
    ]
    kinds = [f"{kind} groups: identical ours-to-old / old-to-old" for kind in next(iter(chosen.values()), ())]
    return lines and table(["graph", "flags, with -hint", "seeds", *kinds, "holds"], lines)


def random_table(graphs) -> str:
    chosen = {name: rows for name, rows in graphs.items() if "covered" in rows}
    measures = ["answers with modules", "modules", "covered"]
    lines = [
        [name, rows["modules"]["flags"], rows["modules"]["seeds"]]
        + [f"{rows[m]['ours']} / {rows[m]['old']} ({100 * float(rows[m]['chance']):.0f} %)" for m in measures]
        + [holds(rows)]
        for name, rows in chosen.items()
    ]
    columns = ["graphs", "flags", "answers (graphs × seeds)", "answers with modules", "false modules"]
    not_more = "not more (in brackets the chance of so many when answers are exchanged; above 5 %)"
    return lines and table([*columns, "vertices in them", not_more], lines)


def rival_table(path: Path) -> str:
    """pyoslom 0.3.0, which is another program, beside the original one on the same graph and seed."""
    _, rows = read_results(path)
    lines = [
        [row["graph"], row["flags"], row["seed"]]
        + [f"{row[m]} / {row[f'old_{m}']}" for m in ("modules", "homeless", "overlap")]
        + [f"{float(row['nmi']):.4f} / {float(row['old_nmi']):.4f}" if row["nmi"] else "-"]
        for row in rows
    ]
    title = (
        "A rival, pyoslom 0.3.0, is another program, whose answers vary from run to run with the same seed. "
        "Each cell: the rival / the original program.\n\n"
    )
    return lines and title + table(
        ["graph", "flags", "seed", "modules", "homeless", "overlap", "NMI to planted"], lines
    )


def means(row, digits: int = 2) -> str:
    if not row:
        return "-"
    sides = (f"{float(row[side]):.{digits}f} ± {float(row[f'{side}_error']):.{digits}f}" for side in ("ours", "old"))
    return " / ".join(sides)


def pair(row, digits: int) -> str:
    return f"{float(row['ours']):.{digits}f} / {float(row['old']):.{digits}f}" if row else "-"


def spread(row) -> str:
    return f"{row['ours_quartiles']} / {row['old_quartiles']}"


def holds(rows) -> str:
    differing = [measure for measure, row in rows.items() if row["holds"] != "True"]
    return "yes" if not differing else "not: " + ", ".join(differing)


def verdict(graphs, exchanged=None) -> str:
    """The closing line: graphs and measures that hold, and how many would if both programs were one."""
    graphs_holding = sum(holds(rows) == "yes" for rows in graphs.values())
    cells = [row["holds"] == "True" for rows in graphs.values() for row in rows.values()]
    return (
        f"All measures hold on {graphs_holding} of {len(graphs)} graphs, {sum(cells)} of {len(cells)} measures in all. "
        "Two standard errors are left by chance by about one measure in twenty, more often with few seeds."
    ) + (exchange(exchanged) if exchanged else "")


def exchange(row) -> str:
    return (
        f" If the two programs were one, {float(row['old']):.1f} ± {float(row['old_error']):.1f} measures would hold "
        f"(mean and standard deviation of {row['seeds']} random exchanges of the two programs' answers to a seed); "
        f"{100 * float(row['share']):.0f} % of the exchanges have {row['ours']} or fewer."
    )


# ---------------------------------------------------------------------------------------- speed


def speed_section(path: Path = SPEED) -> str:
    head, rows = read_results(path)
    if not rows:
        return ""
    graphs = defaultdict(list)
    for row in rows:
        graphs[row["graph"], row["flags"]].append(row)
    lines, ratios = [], []
    for (name, flags), runs in graphs.items():
        old, ours = (median(float(run[side]) for run in runs) for side in ("old_seconds", "our_seconds"))
        counts = old >= LEAST_SECONDS
        ratios += [old / ours] * counts
        lines.append([name, flags, f"{old:.2f}", f"{ours:.3f}", f"{old / ours:.1f}" if counts else "(not counted)"])
    start = f"Measured: {head}. User seconds of the call, one thread, medians of the seeds."
    parts = [start, table(["graph", "flags", "original", "ours", "ratio"], lines), speed_summary(ratios), threads(rows)]
    return "\n\n".join(part for part in parts if part)


def speed_summary(ratios: list[float]) -> str:
    if not ratios:
        return f"On no graph does the original program need {LEAST_SECONDS:g} s."
    return (
        f"Median ratio {median(ratios):.1f}, smallest {min(ratios):.1f}, "
        f"over {len(ratios)} graphs on which the original program needs at least {LEAST_SECONDS:g} s."
    )


def threads(rows) -> str:
    """Wall time of `-threads 1` over that of `-threads 2`."""
    graphs = defaultdict(list)
    for row in rows:
        if row.get("wall_two_threads"):
            graphs[row["graph"]].append((float(row["wall_one_thread"]), float(row["wall_two_threads"])))
    lines = []
    for name, walls in graphs.items():
        one, two = map(median, zip(*walls, strict=True))
        lines.append([name, f"{one:.2f}", f"{two:.2f}", f"{one / two:.2f}"])
    return lines and table(["graph, `-r 10`", "seconds of one thread", "of two threads", "ratio"], lines)


# ---------------------------------------------------------------------------------------- growth


def growth_section(path: Path = GROWTH) -> str:
    head, rows = read_results(path)
    if not rows:
        return ""
    measured = ("user_seconds", "wall_seconds", "peak_mib")
    lines = [
        [row["vertices"], row["edges"], *(f"{float(row[name]):.1f}" for name in measured), f"{float(row['nmi']):.4f}"]
        for row in rows
    ]
    columns = ["vertices", "edges", "user seconds", "wall seconds", "peak MiB", "NMI to planted"]
    parts = [f"Measured: {head}. Planted graphs, `{rows[0]['flags']}`.", table(columns, lines)]
    if len(rows) > 1:
        edges, seconds = ([float(row[name]) for row in rows] for name in ("edges", "user_seconds"))
        parts.append(
            f"User seconds grow as the edges to the power of {exponent(edges, seconds):.2f} "
            "(least squares of the logarithms)."
        )
    return "\n\n".join(parts)


def exponent(sizes: list[float], seconds: list[float]) -> float:
    return linear_regression(list(map(log, sizes)), list(map(log, seconds))).slope


# ---------------------------------------------------------------------------------------- README

SECTIONS = {"equivalence": equivalence_section, "speed": speed_section, "growth": growth_section}


def marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: generated by benchmarks/oslom_tables.py -->", f"<!-- end of {name} -->"


def with_sections(text: str) -> str:
    """The README's text with every section between its marks as the result files give it."""
    for name, section in SECTIONS.items():
        start, end = marks(name)
        before, rest = text.split(start)
        content = section()
        text = before + start + "\n" + (content and f"\n{content}\n\n") + end + rest.split(end)[1]
    return text


def refresh() -> None:
    README.write_text(with_sections(README.read_text()))


if __name__ == "__main__":
    refresh()
