"""Metrics files -> tables. Computes no metric and loads no network."""

from __future__ import annotations

import csv
import io
import statistics

from specdnn.structures import SpecDNNError

CELL = ("arch", "class", "algo", "seed", "split")
MEASURES = (
    *("accuracy", "always_no_accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc"),
    *("tp", "fp", "fn", "tn", "true_weights", "true_parameters", "true_rate", "paper_rule_weights"),
    *("paper_rule_rate", "macs"),
)
# heading, measure, how it is written
COLUMNS = (
    ("accuracy %", "accuracy", lambda v: f"{100 * v:.2f}"),
    ("always no %", "always_no_accuracy", lambda v: f"{100 * v:.2f}"),
    ("balanced %", "balanced_accuracy", lambda v: f"{100 * v:.2f}"),
    ("precision %", "precision", lambda v: f"{100 * v:.2f}"),
    ("recall %", "recall", lambda v: f"{100 * v:.2f}"),
    ("F1 %", "f1", lambda v: f"{100 * v:.2f}"),
    ("AUROC", "auroc", lambda v: f"{v:.4f}"),
    ("TP", "tp", lambda v: f"{v:g}"),
    ("FP", "fp", lambda v: f"{v:g}"),
    ("FN", "fn", lambda v: f"{v:g}"),
    ("TN", "tn", lambda v: f"{v:g}"),
    ("weights", "true_weights", lambda v: f"{v:g}"),
    ("parameters", "true_parameters", lambda v: f"{v:g}"),
    ("true rate %", "true_rate", lambda v: f"{100 * v:.3f}"),
    ("paper rule %", "paper_rule_rate", lambda v: f"{100 * v:.3f}"),
    ("MACs", "macs", lambda v: f"{v:.0f}"),
)


def cells(found: list[dict], arch: str) -> list[dict]:
    """The metrics of the retrained networks of one wanted class, sorted by algorithm, seed and class."""
    rows = [m for m in found if m.get("arch") == arch and m.get("verb") == "retrain" and len(m["classes"]) == 1]
    return sorted(rows, key=lambda m: (m["algo"], m["seed"], m["classes"][0]))


def csv_table(rows: list[dict]) -> str:
    """One row per cell (network, class, algorithm, seed)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CELL, *MEASURES, "kept"])
    for row in rows:
        named = {**row, "class": row["classes"][0]}
        writer.writerow([*(_exact(named[name]) for name in (*CELL, *MEASURES)), shape(row)])
    return text.getvalue()


def _exact(value):
    return f"{value:.6g}" if isinstance(value, float) else value


def shape(row: dict) -> str:
    """Kept units per layer, the outputs left out: `88-7-4`."""
    return "-".join(str(len(units)) for units in list(row["kept"].values())[:-1])


def markdown_table(rows: list[dict], parents: list[dict]) -> str:
    """Per class and, where there is more than one row, the mean; the parents' accuracy above."""
    lines = [
        f"Parent {p['arch']}, seed {p['seed']}: {100 * p['accuracy']:.2f} % accuracy on {p['split']}." for p in parents
    ]
    lines += ["", "| class | algo | seed | " + " | ".join(c[0] for c in COLUMNS) + " | kept units |"]
    lines += ["|" + "---|" * (len(COLUMNS) + 4)]
    lines += [_line(row["classes"][0], row["algo"], row["seed"], row, shape(row)) for row in rows]
    if len(rows) > 1:
        lines += [_line("mean", "", "", _mean(rows), "")]
        if len({row["seed"] for row in rows}) > 1:
            lines += [_line("sd over seeds", "", "", _sd(rows), "")]
    return "\n".join(lines).lstrip() + "\n"


def _line(first, algo, seed, row: dict, kept: str) -> str:
    written = ["–" if row[name] is None else write(row[name]) for _, name, write in COLUMNS]
    return "| " + " | ".join([str(first), algo, str(seed), *written, kept]) + " |"


def _mean(rows: list[dict]) -> dict:
    return {name: _over([r[name] for r in rows], statistics.fmean, 1) for _, name, _ in COLUMNS}


def _sd(rows: list[dict]) -> dict:
    """Standard deviation, over the seeds, of the mean over the classes."""
    seeds = sorted({row["seed"] for row in rows})
    means = [_mean([row for row in rows if row["seed"] == seed]) for seed in seeds]
    return {name: _over([mean[name] for mean in means], statistics.stdev, 2) for _, name, _ in COLUMNS}


def _over(values: list, statistic, at_least: int) -> float | None:
    """A statistic of the measures that exist, or None where they are too few."""
    values = [value for value in values if value is not None]
    return statistic(values) if len(values) >= at_least else None


def provenance(rows: list[dict]) -> str:
    """One sentence: seeds, split, threads, versions and dates behind a table."""

    def of(name):
        return ", ".join(sorted({str(row[name]) for row in rows}))

    return (
        f"Seeds {of('seed')}; {of('split')} split; {of('threads')} threads; specdnn {of('specdnn_version')}, "
        f"torch {of('torch_version')}, Python {of('python_version')}; {of('date')}."
    )


def between(text: str, marker: str, content: str) -> str:
    """`text` with what stands between `<!-- marker -->` and `<!-- /marker -->` replaced.

    Raises SpecDNNError if the markers are not there.
    """
    head, start, rest = text.partition(f"<!-- {marker} -->")
    _, end, tail = rest.partition(f"<!-- /{marker} -->")
    if not (start and end):
        raise SpecDNNError(f"no <!-- {marker} --> … <!-- /{marker} --> section in the README")
    return f"{head}{start}\n{content}\n{end}{tail}"
