"""Which header of the C++ programs may include which, read from the `#include` lines; the README's list of them."""

import re

import pytest
from conftest import ROOT

SOURCE = ROOT / "oslom" / "src"
PROGRAMS = ("undirected", "directed")
VALUES = {"graph_types.h", "graph.h", "module.h", "level.h", "error.h"}
TEXT_OUT = {"tp_file.h", "level_files.h", "output_folder.h", "number_text.h"}
TEXT_IN = {"options.h", "line_reader.h", "edge_reader.h", "partition_reader.h", "number_text.h"}


def included(name: str, program: str) -> set[str]:
    """The headers of ours that a header includes. Raises StopIteration where there is none of that name."""
    path = next(path for path in (SOURCE / name, SOURCE / program / name) if path.exists())
    return set(re.findall(r'^#include "(.+)"', path.read_text(encoding="utf-8"), flags=re.MULTILINE))


def reached(names: set[str], program: str) -> set[str]:
    """These headers and all that they include, however indirectly."""
    seen, waiting = set(), names
    while waiting:
        seen = seen | waiting
        waiting = set().union(*(included(name, program) for name in waiting)) - seen
    return seen


@pytest.mark.parametrize("program", PROGRAMS)
def test_texts_are_written_and_read_without_the_search(program):
    assert reached(TEXT_OUT, program) == TEXT_OUT | VALUES
    assert reached(TEXT_IN, program) <= TEXT_IN | VALUES


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_search_writes_and_reads_no_texts(program):
    assert "search.h" in reached({"hierarchy.h", "member_scores.h"}, program)
    assert not (TEXT_OUT | TEXT_IN) & reached({"hierarchy.h", "member_scores.h"}, program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_header_includes_itself_in_a_circle(program):
    for path in [*SOURCE.glob("*.h"), *(SOURCE / program).glob("*.h")]:
        assert path.name not in reached(included(path.name, program), program), path.name


def test_the_readme_lists_every_file_once():
    readme = (ROOT / "oslom" / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| file in `src/`.*?\n\n", readme, flags=re.MULTILINE | re.DOTALL)
    listed = [name for row in table.strip().splitlines() for name in re.findall(r"`(\S+\.\w+)`", row.split("|")[1])]
    assert sorted(listed) == sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.*"))
