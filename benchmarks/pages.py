"""What the pages of the benchmarks share: tables, words on machine and versions, seconds, measures in JSON lines."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

REPEATS = 3


def table(columns: list[str], rows: Iterable[Iterable], numbers: str = "---:") -> str:
    """A Markdown table; all columns but the first are aligned as `numbers` says."""
    lines = [columns, ["---", *[numbers] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def processor() -> str:
    """The model of the processor, where the system tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def made_on(threads: int, *packages: str) -> str:
    """Machine, threads, versions and date, in a line."""
    versions = ", ".join([*(f"{name} {version(name)}" for name in packages), f"Python {platform.python_version()}"])
    counted = f"{threads} thread{'' if threads == 1 else 's'} of {os.cpu_count()} cores"
    return f"{processor()}, {counted}; {versions}; {datetime.date.today().isoformat()}"


def seconds(what: Callable) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


def median_seconds(what: Callable, repeats: int = REPEATS) -> float:
    """Median of the seconds that a call takes, after one that is not counted."""
    what()
    return statistics.median(seconds(what) for _ in range(repeats))


def read_measures(path: Path) -> list[dict]:
    """The measures of a file of JSON lines; none where there is no such file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_measures(path: Path, rows: Iterable[dict]) -> None:
    """Numbers to six digits: more is noise. The file is replaced as a whole, so that a break leaves the old one."""
    fresh = path.with_suffix(".tmp")
    fresh.write_text("".join(f"{json.dumps(rounded(row))}\n" for row in rows), encoding="utf-8")
    fresh.replace(path)


def rounded(value):
    """The same with every number, however deep, to six digits."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
