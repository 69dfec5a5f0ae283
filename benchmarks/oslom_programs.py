"""Runs our OSLOM programs and the old one on the same case, measures them, and keeps their answers.

The old program is a black box in an environment of its own (`pyoslom==0.1.6`), named by its interpreter. Both are
started by a small interpreter that measures nothing but the call: our process, or the old program's function.
"""

import argparse
import csv
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

from oslom_graphs import Case
from oslom_measures import communities, measures

BINARIES = Path(__file__).resolve().parent.parent / "oslom" / "bin"

OLD_VERSION = "pyoslom 0.1.6"
OLD_CALL = """
import resource, sys, time
from pyoslom import oslom_imp
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_utime, time.perf_counter()
code = (oslom_imp.run_dir if sys.argv[1] == "oslom_dir" else oslom_imp.run_undir)(sys.argv[1:])
wall, usage = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
print("measured", usage.ru_utime - before, wall, usage.ru_maxrss)
sys.exit(code or 0)
"""
OUR_CALL = """
import resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.call(sys.argv[1:])
wall, usage = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
print("measured", usage.ru_utime, wall, usage.ru_maxrss)
sys.exit(code)
"""
# pyoslom 0.3.0 takes networkx graphs; vertices without a cluster of their own at its first level are homeless.
RIVAL_CALL = """
import os, resource, sys, time
import networkx
from pyoslom import OSLOM
lines = [line.split() for line in open("g")]
graph = networkx.Graph()
graph.add_nodes_from(sorted({int(word) for line in lines for word in line[:2]}))
graph.add_edges_from((int(a), int(b), {"weight": float(*rest[:1] or "1")}) for a, b, *rest in lines)
names, program = list(graph), OSLOM(r=10, hr=50, singlet=True, random_state=int(sys.argv[-1]))
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_utime, time.perf_counter()
found = [[names[node] for node in nodes] for nodes in program.fit_transform(graph)["clusters"][0].values()]
wall, usage = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
found += [[name] for name in set(names).difference(*found)]
os.mkdir("g_oslo_files")
with open("g_oslo_files/tp", "w") as tp:
    tp.writelines("#module\\n" + " ".join(map(str, nodes)) + "\\n" for nodes in found)
print("measured", usage.ru_utime - before, wall, usage.ru_maxrss)
"""


class Run(NamedTuple):
    """A tp file's text and what it took."""

    tp: str
    user_seconds: float
    wall_seconds: float
    peak_mib: float


def interpreter(name: str) -> str:
    """An option's value -> the full path, since programs run in folders of their own."""
    found = shutil.which(name)
    if not found:
        raise argparse.ArgumentTypeError(f"there is no program {name}; it should be a Python interpreter")
    return os.path.abspath(found)  # links stay: the link's place is what makes a virtual environment


def run_old(python: str, case: Case, seed: int) -> Run:
    return _run([python, "-c", OLD_CALL, case.program], case, seed)


def run_ours(case: Case, seed: int, threads: int = 1) -> Run:
    return _run(
        [sys.executable, "-c", OUR_CALL, str(our_program(case.program)), "-quiet", "-threads", str(threads)], case, seed
    )


def _run(command: list[str], case: Case, seed: int) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(case.edges, Path(folder) / "g")
        arguments = ["-f", "g", *case.flags, "-seed", str(seed)]
        if case.hint:
            shutil.copy(case.hint, Path(folder) / "hint")
            arguments += ["-hint", "hint"]
        done = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            sys.exit(
                f"{case.program} {' '.join(arguments)} on {case.name} ended with code {done.returncode}: {last[0]}"
            )
        user, wall, kib = map(float, done.stdout.rsplit("measured", 1)[1].split())
        return Run((Path(folder) / "g_oslo_files" / "tp").read_text(), user, wall, kib / 1024)


def run_rival(python: str, case: Case, seed: int) -> Run:
    return _run([python, "-c", RIVAL_CALL], case, seed)


def our_program(name: str) -> Path:
    if not (BINARIES / name).exists():
        sys.exit(f"{BINARIES / name} is not built; run: make -C oslom")
    return BINARIES / name


def fingerprint_of_ours() -> str:
    """Names the two programs as they are built now."""
    contents = b"".join(our_program(name).read_bytes() for name in ("oslom_undir", "oslom_dir"))
    return hashlib.sha256(contents).hexdigest()[:8]


def version_of_ours() -> str:
    done = subprocess.run([BINARIES / "oslom_undir", "--version"], capture_output=True, text=True, check=True)
    return f"{done.stdout.strip()} (build {fingerprint_of_ours()})"


class Answers:
    """Answers to (case, seed): a table of measures PATH.tsv, and the covers in PATH.zip.

    The covers (tp files without their homeless vertices) are needed for comparing answers with each other. They are
    one archive because some thousand small files would fill forty times its space on a disk; what is added keeps the
    bytes before it, so that versions of it differ little. Several processes may add answers at the same time.
    """

    COLUMNS = ("graph", "flags", "seed", "user_seconds", "modules", "homeless", "overlap", "largest", "nmi")

    def __init__(self, path: Path):
        self.table, self.archive = path.with_suffix(".tsv"), path.with_suffix(".zip")

    def rows(self) -> list[dict[str, str]]:
        if not self.table.exists():
            return []
        with self.table.open(newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    def have(self) -> set[tuple[str, int]]:
        return {(row["graph"], int(row["seed"])) for row in self.rows()}

    def values(self, name: str, seeds: list[int], measure: str) -> list[float]:
        """One measure of the answers to a graph with these seeds."""
        return [float(self._by_cell[name, seed][measure]) for seed in seeds]

    @cached_property
    def _by_cell(self) -> dict[tuple[str, int], dict[str, str]]:
        return {(row["graph"], int(row["seed"])): row for row in self.rows()}

    def cover(self, name: str, seed: int) -> str:
        """The tp text of the modules."""
        return self._covers.read(_member(name, seed)).decode()

    @cached_property
    def _covers(self) -> ZipFile:
        return ZipFile(self.archive)

    def add(self, case: Case, seed: int, run: Run) -> None:
        """The row comes last: an answer without a row does not count and is asked again."""
        self.table.parent.mkdir(parents=True, exist_ok=True)
        with self.table.open("a", newline="") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if (case.name, seed) in self.have():  # another process was faster
                return
            self._archive(_member(case.name, seed), without_homeless(run.tp))
            rows = csv.DictWriter(file, self.COLUMNS, delimiter="\t", lineterminator="\n")
            if self.table.stat().st_size == 0:
                rows.writeheader()
            rows.writerow(self._row(case, seed, run))

    def _row(self, case: Case, seed: int, run: Run) -> dict:
        values = measures(run.tp, communities(case.planted) if case.planted else None)
        if "nmi" in values:
            values["nmi"] = f"{values['nmi']:.6f}"
        flags = " ".join(case.flags)
        return {"graph": case.name, "flags": flags, "seed": seed, "user_seconds": f"{run.user_seconds:.2f}"} | values

    def _archive(self, member: str, text: str) -> None:
        """Into a copy that replaces the archive: an interrupt leaves the old one whole."""
        fresh = self.archive.with_suffix(".tmp")
        fresh.unlink(missing_ok=True)
        if self.archive.exists():
            shutil.copy(self.archive, fresh)
        with ZipFile(fresh, "a", ZIP_DEFLATED, compresslevel=9) as covers:
            if member not in covers.namelist():
                covers.writestr(member, text)
        fresh.replace(self.archive)


def _member(name: str, seed: int) -> str:
    return f"{name}.seed{seed}.tp"


def without_homeless(tp: str) -> str:
    lines = tp.splitlines(keepends=True)
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return "".join(header + members for header, members in pairs if len(members.split()) > 1)
