"""What the OSLOM programs' sources and documents refer to is in this repository."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OSLOM = ROOT / "oslom"
NOT_HERE = ("oslom-" + "spec", "ccme-" + "spec", "design" + ".md")


def texts(folder: Path) -> dict[str, str]:
    """The project's files in a folder, by their path from the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("which files belong to the project is known by git alone")
    paths = [name for name in listed.stdout.split("\0") if (ROOT / name).is_file() and "third_party" not in name]
    contents = {name: (ROOT / name).read_bytes() for name in paths}
    return {name: content.decode(encoding="utf-8") for name, content in contents.items() if is_text(content)}


def is_text(content: bytes) -> bool:
    try:
        return b"\0" not in content and bool(content.decode(encoding="utf-8"))
    except UnicodeDecodeError:
        return False


def unwrapped(text: str) -> str:
    """Comments and paragraphs as one line each, so that a reference may be broken between two lines."""
    return re.sub(r"\s*\n\s*(?://)?\s*", " ", text)


def cited(pattern: str) -> list[tuple[str, str]]:
    return [(name, label) for name, text in texts(OSLOM).items() for label in re.findall(pattern, unwrapped(text))]


def headings(document: str) -> list[str]:
    return re.findall(r"^#+ (.*)", (OSLOM / document).read_text(encoding="utf-8"), flags=re.M)


def test_cited_chapters_of_the_method_exist():
    numbers = {heading.split()[0] for heading in headings("METHOD.md")}
    citations = cited(r"METHOD\.md (\d+(?:\.\d+)?)")
    assert len(citations) > 25
    assert [citation for citation in citations if citation[1] not in numbers] == []


def test_chapters_cited_within_the_method_exist():
    method = (OSLOM / "METHOD.md").read_text(encoding="utf-8")
    numbers = {heading.split()[0] for heading in headings("METHOD.md")}
    within = re.findall(r"\((\d{1,2}\.\d)\)|\b(?:ask|from) (\d\.\d)\b|chapter (\d+)", method)
    assert len(within) > 15
    assert {"".join(groups) for groups in within} <= numbers


def test_cited_parts_of_the_readme_exist():
    citations = cited(r'README\.md, "([^"]+)"')
    assert len(citations) > 5
    known = tuple(headings("README.md"))
    assert [(name, part) for name, part in citations if not any(head.startswith(part) for head in known)] == []


def test_cited_differences_are_in_the_table():
    rows = set(re.findall(r"^\| (D\d+) \|", (OSLOM / "README.md").read_text(encoding="utf-8"), flags=re.M))
    assert [citation for citation in cited(r"\b(D\d{1,2})\b") if citation[1] not in rows] == []
    assert len(rows) == 26


@pytest.mark.parametrize("document", NOT_HERE)
def test_no_file_names_a_document_that_is_not_here(document):
    assert [name for name, text in texts(ROOT).items() if document in text] == []


def test_sources_cite_no_bare_sections_and_questions():
    sources = texts(OSLOM / "src") | texts(OSLOM / "tests") | texts(OSLOM / "fuzz")
    bare = r"\b[Ss]ections? \d\S*|\bQ\d{1,2}\b"
    assert [(name, hit) for name, text in sources.items() for hit in re.findall(bare, unwrapped(text))] == []
