"""What the tests share: the dataset folder, the data, `main.py` in this process, OSLOM programs of all kinds."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the tests compare bits, so they stay on the processor

import hypothesis
import pytest
import torch

from specdnn import cli, community
from specdnn.network import netfile
from specdnn.network.surgery import CompactNetwork
from specdnn.results import pictures

ROOT = Path(__file__).resolve().parent.parent
MNIST_DATA = Path(os.environ.get("SPECDNN_DATA") or ROOT.parent / "shared" / "data")
CIFAR_DATA = Path(os.environ.get("SPECDNN_CIFAR10") or MNIST_DATA)  # holds cifar-10-batches-bin

# Few tests that take long: begun first, so that at the end no worker waits for the other.
LONG = ("test_recorded", "test_scripts", "test_cluster", "test_jobs", "test_resume", "test_readme", "test_exporting")

hypothesis.settings.register_profile("specdnn", deadline=None, derandomize=True, database=None, max_examples=50)
hypothesis.settings.load_profile("specdnn")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(autouse=True)
def one_thread_and_no_settings_of_the_user(monkeypatch):
    torch.set_num_threads(1)
    for name in ("OSLOM_BIN", "SPECDNN_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def folder():
    """The dataset folder MNIST/: its path, its networks, its `dataset` module."""
    path = ROOT / "MNIST"
    sys.path.insert(0, str(path))
    import dataset
    from models import ARCHITECTURES

    yield SimpleNamespace(path=path, architectures=ARCHITECTURES, dataset=dataset)
    sys.path.remove(str(path))


@pytest.fixture(scope="session")
def cifar_folder():
    """The dataset folder CIFAR10/, whose modules have the names of the other folder's: as a package of its own."""
    sys.path.insert(0, str(ROOT))
    from CIFAR10 import dataset, models

    sys.path.remove(str(ROOT))
    return SimpleNamespace(path=ROOT / "CIFAR10", architectures=models.ARCHITECTURES, dataset=dataset)


@pytest.fixture(params=["LeNet_300_100", "LeNet_5"])
def network_type(request, folder):
    return folder.architectures[request.param]


@pytest.fixture(scope="session")
def whole():
    """A network of that folder -> the same, traced."""
    return lambda network: CompactNetwork.parent(network, torch.zeros(1, 28, 28))


# ------------------------------------------------------------------------------------------ data


@pytest.fixture(scope="session")
def digits(folder):
    return folder.dataset.load("digits", Path("unused"), torch.device("cpu"))


@pytest.fixture(scope="session")
def mnist(folder):
    missing = [name for name in folder.dataset.RAW_FILES if not (MNIST_DATA / "MNIST" / "raw" / name).exists()]
    if missing:
        pytest.skip(f"needs MNIST: {MNIST_DATA} lacks MNIST/raw/{missing[0]}; SPECDNN_DATA names a folder that has it")
    return folder.dataset.load("MNIST", MNIST_DATA, torch.device("cpu"))


@pytest.fixture(scope="session")
def cifar(cifar_folder):
    place = CIFAR_DATA / cifar_folder.dataset.BINARY
    if not place.is_dir():
        pytest.skip(f"needs CIFAR-10: {place} is not there; SPECDNN_CIFAR10 names a folder that holds {place.name}")
    return cifar_folder.dataset.load("CIFAR10", CIFAR_DATA, torch.device("cpu"))


# ------------------------------------------------------------------------------------------ main.py


@pytest.fixture(scope="session")
def call(folder):
    """`main.py` in this process: words (text is split, a path is one word) -> exit code."""

    def run(*words) -> int:
        parts = [word.split() if isinstance(word, str) else [str(word)] for word in words]
        argv = ["--threads", "1", *(word for part in parts for word in part)]
        return cli.main(folder.path, folder.architectures, folder.dataset, argv)

    return run


@pytest.fixture
def main(call, capsys):
    """The same -> (code, out, err)."""

    def run(*words):
        code = call(*words)
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


@pytest.fixture(scope="module")
def undrawn():
    """Pictures without content, which take half of a small sweep's time otherwise; test_pictures.py draws them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "drawn", lambda draw, height: b"a picture")
        yield


@pytest.fixture(scope="session")
def parents(call, tmp_path_factory):
    """Checkpoints of both networks, trained on `digits` for an epoch or three: name -> path."""
    saved = tmp_path_factory.mktemp("parents")
    for arch, epochs in (("LeNet_300_100", 3), ("LeNet_5", 1)):
        assert call(f"--dataset digits --arch {arch} --epochs {epochs} --save-dir", saved) == 0
    return {arch: saved / "digits" / f"{arch}.best_origin.pth.tar" for arch in ("LeNet_300_100", "LeNet_5")}


@pytest.fixture(scope="session")
def pruned(call, parents, every_third, tmp_path_factory):
    """Checkpoints of both networks cut to class 3 by a fake program: name -> path."""
    saved = tmp_path_factory.mktemp("pruned")
    for path in parents.values():
        words = ("--pretrained", path, "--save-dir", saved, "--oslom-bin", every_third)
        assert call("--prune --specialize 3 --warmup-epochs 0 --rounds 1 --brief-epochs 0", *words) == 0
    return {arch: saved / "digits" / f"{arch}.specialize.3.OSLOM.pth.tar" for arch in parents}


@pytest.fixture
def loaded(folder):
    """Checkpoint file -> Checkpoint."""
    return lambda path: netfile.load(path, folder.architectures, image=folder.dataset.IMAGE_SHAPE)


# ------------------------------------------------------------------------------------------ OSLOM programs


@pytest.fixture(scope="session")
def real_program():
    """Our own program, or a skip where it is not built and cannot be."""
    try:
        return community.program()
    except community.OslomError as error:
        pytest.skip(f"needs the oslom_undir program: {error}")


EVERY_THIRD = """
import os, sys
nodes = sorted({int(word) for line in open("graph") for word in line.split()[:2]})
module, rest = nodes[::3], [node for k, node in enumerate(nodes) if k % 3]
os.mkdir("graph_oslo_files")
with open("graph_oslo_files/tp", "w") as tp:
    tp.write(f"#module 0 size: {len(module)} bs: 0.01\\n{' '.join(map(str, module))} \\n")
    for k, node in enumerate(rest, start=1):
        tp.write(f"#module {k} size: 1 bs: 1\\n{node} \\n")
"""


@pytest.fixture(scope="session")
def every_third(tmp_path_factory):
    """A fast fake program: every third node of the edge file is one module, the others are homeless."""
    return executable(tmp_path_factory.mktemp("every third"), EVERY_THIRD)


@pytest.fixture
def fake_program(tmp_path_factory):
    """Makes a program of Python text; it runs in the folder that holds the edge file `graph`."""
    return lambda text: executable(tmp_path_factory.mktemp("fake"), text)


def executable(place: Path, text: str) -> Path:
    script, program = place / "script.py", place / "oslom"
    script.write_text(text)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -ES "{script}" "$@"\n')
    program.chmod(0o755)
    return program


NARROWING = """
import os
nodes = sorted({int(word) for line in open("graph") for word in line.split()[:2]})
first = [next(node for node in nodes if node >= start) for start in (0, 784, 1084)]
module = nodes[::2] if len(nodes) > 700 else first
os.mkdir("graph_oslo_files")
with open("graph_oslo_files/tp", "w") as tp:
    tp.write(f"#module 0 size: {len(module)} bs: 0.01\\n{' '.join(map(str, module))} \\n")
"""


@pytest.fixture
def narrowing(fake_program):
    """A program that finds half of the whole LeNet-300-100, then one unit per layer in the survivor."""
    return fake_program(NARROWING)


# ------------------------------------------------------------------------------------------ files


def results_below(place: Path) -> list[Path]:
    """Every path below a folder but those that only hold what a broken stage remembers, or are part of that."""
    remembered = [path for path in place.rglob("*") if any(part.endswith(".resume") for part in path.parts)]
    holders = {parent for path in remembered for parent in path.parents}
    others = [path for path in place.rglob("*") if path not in remembered and path not in holders]
    return sorted(
        {*others, *(parent for path in others for parent in path.parents if parent in holders)}
        - {place, *place.parents}
    )


@pytest.fixture
def listing():
    """Every path below a folder, files with size and time of change: equal listings, nothing was written.

    What a broken stage remembers, to go on from, is no result.
    """

    def of(place: Path):
        paths = results_below(place)
        return {path: path.is_file() and (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}

    return of
