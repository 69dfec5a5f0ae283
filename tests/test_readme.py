"""The README is short, its links lead somewhere, and its Python runs as it stands."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

from specdnn.network import running

PAGES = ("README.md", "MNIST/README.md", "CIFAR10/README.md", "ARCHITECTURE.md", "oslom/README.md")


def test_the_readme_is_short():
    written, results = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Results\n")
    networks = results.split("\n### ")[1:]
    assert len(written.splitlines()) < 130 and max(len(network.splitlines()) for network in networks) < 50


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


def blocks(language: str) -> list[str]:
    """What the page shows in a language."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def followed(real_program, folder, tmp_path_factory):
    """(folder in which all its Python was run, from the first block to the last; what that printed)."""
    pytest.importorskip("onnxscript", reason="needs onnxscript: pip install 'specdnn[export]'")
    place = tmp_path_factory.mktemp("followed")
    after = "\nimport numpy\nnumpy.savetxt('image.txt', images[0].numpy().ravel())"
    text = BEFORE.format(folder=str(folder.path)) + "\n".join(blocks("python")) + after
    done = subprocess.run([sys.executable, "-c", text], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return place, done.stdout


def probabilities(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d*)?(?:e[+-]?\d+)?", text)]


def test_its_python_extracts_saves_exports_and_loads(followed):
    place, told = followed
    assert (place / "three.pth.tar").stat().st_size < 200_000
    assert {path.name for path in (place / "three").iterdir()} >= {"model.onnx", "config.json", "README.md"}
    assert "| parameters |" in told and told.count("True") + told.count("False") == 15
    assert len(probabilities(told.rpartition("[[")[2])) == 15


def test_its_c_says_what_its_python_says(followed):
    place, told = followed
    compiler = running.compiler()
    if compiler is None:
        pytest.skip("needs a C compiler")
    (code,) = blocks("c")
    (place / "use.c").write_text(code)
    line = [compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", "use.c", "-o", "use", "-lm"]
    subprocess.run(line, cwd=place, check=True)
    image = (place / "image.txt").read_text()
    said = subprocess.run([place / "use"], input=image, capture_output=True, text=True, check=True).stdout
    assert probabilities(said) == pytest.approx(probabilities(told.rpartition("[[")[2])[:3], abs=1e-5)


@pytest.mark.parametrize(
    ("language", "number", "most"), [("python", 0, 10), ("python", 1, 5), ("python", 2, 5), ("c", 0, 10)]
)
def test_what_it_shows_is_short(language, number, most):
    lines = [line for line in blocks(language)[number].splitlines() if line.strip()]
    assert len(lines) <= most


def test_a_file_of_the_scripts_loads_without_its_class(pruned, tmp_path):
    code = "import sys, specdnn; found = specdnn.load(sys.argv[1]); print(found.classes, found.normalisation)"
    path = pruned["LeNet_300_100"]
    done = subprocess.run([sys.executable, "-c", code, path], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("(3,) (0.305, 0.3247")
