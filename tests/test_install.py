"""An installed package: built from its source archive, in folders with blanks, and alone with its programs."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import specdnn
from specdnn import community
from specdnn.community import binaries

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("specdnn", "oslom", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
PIP = ("--no-deps", "--no-index", "--no-build-isolation", "--no-cache-dir", "--disable-pip-version-check", "-q")
ARCHIVE = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
CALL = """
import networkx, specdnn
from specdnn import community
from specdnn.community import binaries
graph = networkx.les_miserables_graph()
directed = networkx.DiGraph(networkx.ring_of_cliques(4, 5).edges)
print(specdnn.__version__, binaries.PROGRAM)
print([sorted(module.nodes) for module in community.oslom(graph, threads=1).modules])
print(len(community.oslom(directed, weighted=False, directed=True, threads=1).modules))
"""


def run(command, cwd, **environment):
    """A program in the bare environment of a user, who has a home and a folder for temporary files."""
    bare = {"HOME": str(cwd), "TMPDIR": str(cwd), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(word) for word in command]
    return subprocess.run(command, cwd=cwd, env={**bare, **environment}, capture_output=True, text=True)


def good(done) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """What an installation takes from the source tree, in a path with a blank, nothing compiled."""
    place = tmp_path_factory.mktemp("a tree")
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("bin", "__pycache__"))
        else:
            shutil.copy(ROOT / name, place)
    return place


@pytest.fixture(scope="module")
def archive(tree, tmp_path_factory):
    place = tmp_path_factory.mktemp("an archive")
    good(run([sys.executable, "-c", ARCHIVE, place], tree))
    return next(place.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(real_program, archive, tmp_path_factory):
    """Unpacked and built in a folder with a blank; not optimised, which changes no answer."""
    place = tmp_path_factory.mktemp("a wheel")
    good(run([sys.executable, "-m", "pip", "wheel", *PIP, archive, "-w", place], place, CXXFLAGS="-O0"))
    return next(place.glob("*.whl"))


@pytest.fixture
def environment(tmp_path):
    """A fresh virtual environment that sees the packages of the running one, pip among them: its interpreter."""
    place = tmp_path / "an environment"
    venv.create(place)
    packages = sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)})
    Path(packages, "seen.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return place / "bin" / "python"


def test_the_source_archive_holds_the_programs_sources_and_nothing_compiled(archive):
    with tarfile.open(archive) as opened:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in opened.getnames()}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "oslom" / "src").rglob("*.*")}
    assert sources <= names and {"oslom/Makefile", "setup.py", "specdnn/community/call.py"} <= names
    assert not [name for name in names if name.startswith("oslom/bin")]


def test_a_wheel_holds_the_programs_and_fits_this_platform_only(wheel):
    with zipfile.ZipFile(wheel) as opened:
        modes = {entry.filename: entry.external_attr >> 16 for entry in opened.infolist()}
    assert "specdnn/results/page.html" in modes
    assert all(modes[f"specdnn/bin/{name}"] & 0o111 for name in ("oslom_undir", "oslom_dir"))
    assert not [name for name in modes if not name.startswith(("specdnn/", f"specdnn-{specdnn.__version__}."))]
    assert wheel.name.startswith(f"specdnn-{specdnn.__version__}-py3-none-") and "-any" not in wheel.name


def test_an_installed_package_needs_neither_source_tree_nor_compiler(wheel, environment, tmp_path, listing):
    (tmp_path / "elsewhere").mkdir()
    good(run([environment, "-m", "pip", "install", "--ignore-installed", *PIP, wheel], tmp_path / "elsewhere"))
    before = listing(tmp_path)
    told = good(run([environment, "-c", CALL], tmp_path / "elsewhere", PATH="")).splitlines()
    version, program = told[0].split(" ", 1)
    assert version == specdnn.__version__ and Path(program).is_relative_to(environment.parent.parent)
    here = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told[1:] == here.stdout.splitlines()[1:]
    assert listing(tmp_path) == before


def test_an_installation_in_place_compiles_nothing(tree, environment, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    command = [environment, "-m", "pip", "install", "--ignore-installed", *PIP, "-e", tree]
    good(run(command, tmp_path / "elsewhere", PATH=""))
    asked = "from specdnn.community import binaries; print(binaries.PROGRAM)"
    told = good(run([environment, "-c", asked], tmp_path / "elsewhere"))
    assert Path(told.strip()) == tree / "oslom" / "bin" / "oslom_undir"
    assert not list(tree.rglob("oslom_undir*"))


def test_without_a_compiler_an_installation_fails_with_a_sentence(tree, tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", *PIP, tree, "-w", tmp_path]
    for tools, missing in ((), "make"), (("make",), "g++"):
        for tool in tools:
            (tmp_path / tool).symlink_to(shutil.which(tool))
        done = run(command, tmp_path, PATH=str(tmp_path))
        assert done.returncode and "Traceback" not in done.stderr, done.stderr
        assert f"error: specdnn holds C++ programs, but '{missing}' was not found" in done.stderr
    done = run(command, tmp_path, CXX="false -std=c++17")
    assert done.returncode and "with false -std=c++17 failed" in done.stderr and "Traceback" not in done.stderr


def test_a_package_that_lost_its_programs_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(binaries, "SOURCE", tmp_path)
    monkeypatch.setattr(binaries, "PROGRAM", tmp_path / "bin" / "oslom_undir")
    with pytest.raises(community.OslomError, match="no OSLOM programs in .*: install specdnn with pip"):
        community.program()
