"""Lines of specdnn that no test runs must stand in `uncovered.txt`, with the reason; `make coverage` runs this.

A line of the list that begins with `#` is the reason for the entries below it. An entry is `FILE: TEXT`, the text of a
line of the source, and stands for that line and the block below it. Where a text is there more than once, the lines
before it stand in front of it: `FILE: LINE // LINE`.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_name("uncovered.txt")


@dataclass(frozen=True)
class Entry:
    """A line that no test runs, with its block, and why."""

    file: str
    text: str
    reason: str

    def places(self, lines: list[str]) -> list[int]:
        """The numbers of the lines that it may mean: one, if it is right."""
        wanted, bare = self.text.split(" // "), [line.strip() for line in lines]
        count = len(wanted)
        return [k + count for k in range(len(bare) - count + 1) if bare[k : k + count] == wanted]

    def lines(self, lines: list[str]) -> Iterator[int]:
        """The numbers of all lines that it stands for."""
        for first in self.places(lines):
            yield first
            depth = indent(lines[first - 1])
            for number in range(first + 1, len(lines) + 1):
                if lines[number - 1].strip() and indent(lines[number - 1]) <= depth:
                    break
                yield number


def indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def entries(text: str) -> Iterator[Entry]:
    """The entries of a list, in its order."""
    reason = ""
    for line in text.splitlines():
        if line.startswith("#"):
            reason = line.lstrip("# ")
        elif line.strip():
            file, _, source = line.partition(": ")
            yield Entry(file, source.strip(), reason)


def listed() -> dict[str, set[int]]:
    """File -> the numbers of the lines that the list stands for."""
    found: dict[str, set[int]] = {}
    for entry in entries(LIST.read_text(encoding="utf-8")):
        found.setdefault(entry.file, set()).update(entry.lines(source_of(entry.file)))
    return found


def source_of(file: str) -> list[str]:
    return (ROOT / file).read_text(encoding="utf-8").splitlines()


def main() -> int:
    """Print what no test runs and the list does not have; 1 if there is anything."""
    import coverage

    measured, known = coverage.Coverage(data_file=str(ROOT / ".coverage")), listed()
    measured.load()
    told = []
    for path in sorted((ROOT / "specdnn").rglob("*.py")):
        file, lines = path.relative_to(ROOT).as_posix(), source_of(path.relative_to(ROOT).as_posix())
        missing = set(measured.analysis2(str(path))[3]) - known.get(file, set())
        told += [f"{file}:{number}: {lines[number - 1].strip()}" for number in sorted(missing)]
    print("\n".join(told) or "every line of specdnn is run by a test, or is listed with a reason")
    return min(len(told), 1)


if __name__ == "__main__":
    sys.exit(main())
