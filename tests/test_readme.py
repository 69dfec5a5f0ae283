"""The README is short, its links lead somewhere, and its Python runs as it stands."""

import re
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


BEFORE = """
import sys
sys.path[:0] = [{folder!r}]
import dataset, torch
from pathlib import Path
from models import ARCHITECTURES
digits = dataset.load("digits", Path("unused"), torch.device("cpu"))
images, labels = digits.train.images, digits.train.labels
torch.manual_seed(1)
model = ARCHITECTURES["LeNet_300_100"]()
optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
for batch in 10 * list(torch.arange(len(labels)).split(64)):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
    optimizer.step()
"""


def test_its_python_extracts_saves_and_loads(real_program, folder, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    text = BEFORE.format(folder=str(folder.path)) + code
    done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"\d\.\d+", done.stdout)) == 15
    assert (tmp_path / "three.pth.tar").stat().st_size < 200_000


def test_a_file_of_the_scripts_loads_without_its_class(pruned, tmp_path):
    code = "import sys, specdnn; found = specdnn.load(sys.argv[1]); print(found.classes, found.normalisation)"
    path = pruned["LeNet_300_100"]
    done = subprocess.run([sys.executable, "-c", code, path], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("(3,) (0.305, 0.3247")
