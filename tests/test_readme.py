"""The README is short, its links lead somewhere, and its Python runs as it stands."""

import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

PAGES = ("README.md", "MNIST/README.md", "ARCHITECTURE.md", "oslom/README.md")


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, heading = target.partition("#")
        if name.startswith("http"):
            continue
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), f"{page}: {target}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in {one.lower().replace(" ", "-") for one in headings}, f"{page}: {target}"


def test_its_python_uses_a_result(pruned, folder, tmp_path):
    """Run where `make run` would have left a network of class 3."""
    place = tmp_path / "MNIST" / "saved_models" / "digits"
    place.mkdir(parents=True)
    (tmp_path / "MNIST" / "models").symlink_to(folder.path / "models")
    shutil.copy(pruned["LeNet_300_100"], place / "LeNet_300_100.specialize.3.best_retrained.pth.tar")
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"0?\.\d+", done.stdout)) == 5
