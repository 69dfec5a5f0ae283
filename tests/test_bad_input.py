"""What the user may get wrong: one sentence on stderr, exit code 2, no traceback, nothing written."""

import fcntl
import gzip
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision.datasets import mnist as torchvision_mnist

from specdnn import cli
from specdnn.community import binaries
from specdnn.network import training

CRASH = "import sys; print('graph: too many things', file=sys.stderr); sys.exit(3)"
HANG = "import time; time.sleep(60)"
NONSENSE = "import os; os.mkdir('graph_oslo_files'); open('graph_oslo_files/tp', 'w').write('well done')"
NOTHING = "pass"
TP = "import os; os.mkdir('graph_oslo_files'); open('graph_oslo_files/tp', 'w').write({!r})"
STRANGER = TP.format("#module 0 size: 2 bs: 0\n7 99999 \n")
HOMELESS = TP.format("#module 0 size: 1 bs: 1\n784 \n")
PRUNE = "--prune --specialize 3 --warmup-epochs 0 --rounds 1 --brief-epochs 0"


@pytest.fixture
def mistake(main, tmp_path, monkeypatch, listing):
    """Runs `main.py` in a folder of its own and checks what every mistake must look like; returns the sentence."""
    monkeypatch.chdir(tmp_path)

    def run(*words, save_dir="saved"):
        before = listing(tmp_path)
        done = main(*words, "--save-dir", save_dir)
        assert done.code == 2, done
        assert done.err.startswith("main.py: error: ") and done.err.count("\n") == 1 and done.err.endswith("\n"), (
            done.err
        )
        assert "Traceback" not in done.err + done.out
        assert listing(tmp_path) == before
        return done.err

    return run


# ------------------------------------------------------------------------------------------ the command line

WRONG_WORDS = {
    "unknown network": ("--arch VGG", "VGG"),
    "unknown data set": ("--dataset CIFAR", "CIFAR"),
    "unknown algorithm": ("--dataset digits --sweep --algo INFOMAP", "INFOMAP"),
    "unknown option": ("--dataset digits --colour", "--colour"),
    "abbreviated option": ("--dataset digits --epoch 3", "--epoch"),
    "unknown class": ("--dataset digits --sweep --specialize 10", "no class 10.*0 to 9"),
    "negative class": ("--dataset digits --sweep --specialize -1", "no class -1"),
    "class that is no number": ("--dataset digits --sweep --specialize three", "three"),
    "no class after --specialize": ("--dataset digits --sweep --specialize", "--specialize"),
    "classes for the parent": ("--dataset digits --specialize 3", "--prune"),
    "keep 0": ("--dataset digits --sweep --keep 0", "--keep must be above 0 and at most 1, got 0"),
    "keep above 1": ("--dataset digits --sweep --keep 1.01", "--keep"),
    "keep nan": ("--dataset digits --sweep --keep nan", "--keep"),
    "negative keep": ("--dataset digits --sweep --keep -0.2", "--keep"),
    "rate 0": ("--dataset digits --sweep --rate 0", "--rate must be above 0 and at most 1, got 0"),
    "rate above 1": ("--dataset digits --sweep --rate 2.6", "--rate"),
    "rate nan": ("--dataset digits --sweep --rate nan", "--rate"),
    "rate that is no number": ("--dataset digits --sweep --rate small", "--rate.*a number.*published, got small"),
    "rate of one class": (
        "--dataset digits --prune --rate published --pretrained x",
        "--rate published goes with --sweep",
    ),
    "rates that nobody published": (
        "--dataset digits --sweep --rate published",
        "no rate of LeNet_300_100 on digits, class 0",
    ),
    "trim steps 0": ("--dataset digits --sweep --trim-steps 0", "--trim-steps must be at least 1, got 0"),
    "negative trim-l1": ("--dataset digits --sweep --trim-l1 -1", "--trim-l1"),
    "trim-lr 0": ("--dataset digits --sweep --trim-lr 0", "--trim-lr"),
    "max-params 0": ("--dataset digits --sweep --max-params 0", "--max-params"),
    "negative epochs": ("--dataset digits --epochs -1", "--epochs"),
    "negative warm-up": ("--dataset digits --sweep --warmup-epochs -1", "--warmup-epochs"),
    "no rounds": ("--dataset digits --sweep --rounds 0", "--rounds"),
    "no batch": ("--dataset digits --batch-size 0", "--batch-size"),
    "no threads": ("--dataset digits --threads 0", "--threads"),
    "rate of learning 0": ("--dataset digits --lr 0", "--lr"),
    "rate of learning nan": ("--dataset digits --lr nan", "--lr"),
    "seed 0": ("--dataset digits --seed 0", "--seed"),
    "oslom-t above 1": ("--dataset digits --sweep --oslom-t 1.5", "--oslom-t"),
    "oslom-timeout 0": ("--dataset digits --sweep --oslom-timeout 0", "--oslom-timeout"),
    "oslom-timeout inf": ("--dataset digits --sweep --oslom-timeout inf", "--oslom-timeout"),
    "oslom-timeout nan": ("--dataset digits --sweep --oslom-timeout nan", "--oslom-timeout"),
    "epochs that are no number": ("--dataset digits --epochs many", "many"),
    "unknown loss": ("--dataset digits --loss hinge", "hinge"),
    "unknown split": ("--dataset digits --split train", "train"),
    "unknown strength": ("--dataset digits --sweep --strength weight", "weight"),
    "prune and retrain together": ("--prune --retrain --pretrained x.pth.tar", "--prune"),
    "prune and evaluate together": ("--evaluate --prune --pretrained x.pth.tar", "--prune"),
    "prune without pretrained": ("--dataset digits --prune --specialize 3", "--prune needs.*--pretrained"),
    "retrain without pretrained": ("--dataset digits --retrain --specialize 3", "--retrain needs.*--pretrained"),
    "evaluate without pretrained": ("--dataset digits --evaluate", "--evaluate needs.*--pretrained"),
    "pretrained without a verb": ("--dataset digits --pretrained x.pth.tar", "--prune"),
    "nothing to report": ("--dataset digits --report", "nothing to report"),
}


@pytest.mark.parametrize("name", WRONG_WORDS)
def test_words_that_make_no_sense(mistake, name):
    words, told = WRONG_WORDS[name]
    sentence = mistake(*words.split())
    assert re.search(told, sentence), sentence


# ------------------------------------------------------------------------------------------ checkpoints


@pytest.mark.parametrize("verb", ["--prune", "--retrain", "--evaluate"])
def test_a_checkpoint_that_is_missing_or_a_folder(mistake, tmp_path, verb):
    assert "no checkpoint missing.pth.tar" in mistake(verb, "--pretrained missing.pth.tar")
    assert "no checkpoint" in mistake(verb, "--pretrained", tmp_path)
    (tmp_path / "mine.pth.tar").write_text("")
    assert "is a folder" in (told := mistake(verb, "--pretrained", tmp_path)) and "(mine.pth.tar)" in told


@pytest.mark.parametrize("verb", ["--prune", "--retrain", "--evaluate"])
@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[:200], lambda b: b[: len(b) // 2], lambda b: b[:-1], lambda b: b"hello" * 100]
)
def test_a_truncated_checkpoint(mistake, parents, tmp_path, verb, damage):
    (tmp_path / "x.pth.tar").write_bytes(damage(parents["LeNet_300_100"].read_bytes()))
    assert "x.pth.tar" in mistake(verb, "--pretrained x.pth.tar")


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("harm",))


@pytest.mark.parametrize("verb", ["--prune", "--retrain", "--evaluate"])
def test_a_pickled_object(mistake, tmp_path, verb):
    torch.save(Evil(), tmp_path / "x.pth.tar")
    assert "cannot be read as a checkpoint" in mistake(verb, "--pretrained x.pth.tar")


def test_a_whole_pickled_network(mistake, tmp_path, folder):
    torch.save(folder.architectures["LeNet_5"](), tmp_path / "x.pth.tar")
    assert "cannot be read as a checkpoint" in mistake("--evaluate --pretrained x.pth.tar")


def test_a_checkpoint_of_another_network(mistake, parents, pruned, tmp_path):
    for path in (parents["LeNet_5"], pruned["LeNet_5"]):
        assert "LeNet_5, not a LeNet_300_100" in mistake(PRUNE, "--arch LeNet_300_100 --pretrained", path)
    torch.save({"state_dict": {"fc.weight": torch.zeros(3, 3)}}, tmp_path / "x.pth.tar")
    assert "x.pth.tar" in mistake("--evaluate --pretrained x.pth.tar")


def test_a_checkpoint_of_another_data_set(mistake, parents, pruned):
    for path in (parents["LeNet_300_100"], pruned["LeNet_300_100"]):
        assert "trained on digits, not on KMNIST" in mistake(PRUNE, "--dataset KMNIST --pretrained", path)


def test_a_checkpoint_of_a_data_set_that_this_folder_does_not_know(mistake, parents, tmp_path):
    content = torch.load(parents["LeNet_300_100"], weights_only=True)
    torch.save({**content, "dataset": "CIFAR10"}, tmp_path / "x.pth.tar")
    assert "CIFAR10" in mistake("--evaluate --pretrained x.pth.tar")


def test_classes_other_than_the_checkpoint_s(mistake, pruned):
    for verb in ("--prune", "--retrain", "--evaluate"):
        told = mistake(verb, "--specialize 4 --pretrained", pruned["LeNet_300_100"])
        assert "specialised to 3, not to 4" in told
        assert "not to 3-4" in mistake(verb, "--specialize 3 4 --pretrained", pruned["LeNet_300_100"])
    assert "no class 12" in mistake("--prune --specialize 3 12 --pretrained", pruned["LeNet_300_100"])


def test_a_budget_below_one_unit_per_layer(mistake, parents, every_third):
    words = (PRUNE, "--pretrained", parents["LeNet_300_100"], "--oslom-bin", every_third)
    assert "--max-params" in mistake(*words, "--max-params", "3")
    assert "--rate" in mistake(*words, "--rate", "0.000001")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(mistake, parents, tmp_path, value):
    content = torch.load(parents["LeNet_300_100"], weights_only=True)
    content["state_dict"]["ip2.weight"][3, 4] = value
    torch.save(content, tmp_path / "x.pth.tar")
    for verb in ("--prune", "--retrain", "--evaluate"):
        assert "not finite" in mistake(verb, "--pretrained x.pth.tar")


@pytest.fixture
def changed(parents, tmp_path):
    """Saves a LeNet-300-100 whose weights were changed: change(state_dict) -> its checkpoint."""

    def save(change) -> Path:
        content = torch.load(parents["LeNet_300_100"], weights_only=True)
        change(content["state_dict"])
        torch.save(content, tmp_path / "changed.pth.tar")
        return tmp_path / "changed.pth.tar"

    return save


def dead(name):
    """A layer none of whose units is ever active."""
    return lambda state: (state[f"{name}.weight"].zero_(), state[f"{name}.bias"].fill_(-1))


NOWHERE = {
    "a class": (lambda s: s["ip3.weight"][3].zero_(), "leads to class 3: all weights into its output are 0"),
    "one class of two": (lambda s: s["ip3.weight"][7].zero_(), "leads to class 7: all weights into its output are 0"),
    "all classes": (lambda s: s["ip3.weight"].zero_(), "leads to class 3: all weights into its output are 0"),
    "the last layer": (dead("ip2"), "leads to class 3: .* all activations of layer ip2"),
    "the first layer": (dead("ip1"), "leads from layer ip1 to class 3"),
    "no weight of a layer": (lambda s: s["ip2.weight"].zero_(), "leads from layer ip1 to class 3"),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_a_network_in_which_nothing_leads_to_a_wanted_class(mistake, changed, fake_program, name):
    change, told = NOWHERE[name]
    classes = "3 7" if "two" in name else "3"
    words = (PRUNE.replace(" 3 ", f" {classes} "), "--strength activation --pretrained", changed(change))
    sentence = mistake(*words, "--oslom-bin", fake_program(CRASH))
    assert re.search(f"no connection of the network {told}", sentence), sentence


def test_training_that_diverges(mistake, pruned):
    assert "--lr" in mistake("--dataset digits --epochs 2 --optimizer SGD --lr 1e30")
    assert "--lr" in mistake("--retrain --optimizer SGD --lr 1e30 --pretrained", pruned["LeNet_300_100"])


@pytest.mark.parametrize("verb", ["--prune", "--retrain", "--evaluate"])
def test_files_of_others_that_stay_unclear(mistake, parents, tmp_path, verb):
    state = torch.load(parents["LeNet_5"], weights_only=True)["state_dict"]
    wrong = {
        "a pickled torch.nn.modules.linear.Linear": torch.nn.Linear(2, 2),
        "surplus: other": {"model": {**state, "other": torch.zeros(3)}},
        "conv1.weight is 6x1x5x5 instead of 20x1x5x5": {**state, "conv1.weight": torch.zeros(6, 1, 5, 5)},
        "claims 1,000,000,000,000": {**state, "conv1.weight": torch.zeros(1).expand(10**12)},
        "normalisation": {"net": state, "mean": 33.3, "std": 78.6},
        "is sparse": {**state, "conv1.bias": state["conv1.bias"].to_sparse()},
        "was trained on cifar10": {"net": state, "dataset": "cifar10"},
    }
    for told, content in wrong.items():
        torch.save(content, tmp_path / "x.pth")
        assert told in mistake(verb, "--dataset digits --pretrained x.pth")


# ------------------------------------------------------------------------------------------ data


def idx(magic: int, array: np.ndarray) -> bytes:
    sizes = b"".join(int(number).to_bytes(4, "big") for number in (magic, *array.shape))
    return sizes + array.astype(np.uint8).tobytes()


@pytest.fixture
def images(tmp_path):
    """Writes a data set of noise with these labels to train and to test with."""

    def write(train, test):
        for part, labels in (("train", np.array(train)), ("t10k", np.array(test))):
            noise = np.random.default_rng(0).integers(0, 256, (len(labels), 28, 28))
            (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(2051, noise))
            (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(2049, labels))

    return write


def test_data_of_other_classes(mistake, images):
    images(train=np.arange(260) % 26 + 1, test=np.arange(26) % 26 + 1)
    for words in ("", "--sweep --epochs 1", "--dataset FashionMNIST"):
        told = mistake("--data-dir .", words)
        assert "train-labels-idx1-ubyte holds label 26" in told and "are 0 to 9" in told


def test_data_too_few_to_divide(mistake, images):
    images(train=range(10), test=range(10))
    assert "holds 10 images" in (told := mistake("--data-dir .")) and "class 0 has 1" in told


def test_few_images_are_enough_for_every_stage(main, images, every_third, tmp_path):
    images(train=np.arange(100) % 10, test=np.arange(20) % 10)
    words = ("--data-dir", tmp_path, "--save-dir", tmp_path / "saved")
    assert main("--epochs 1", *words).code == 0
    parent = tmp_path / "saved" / "LeNet_300_100.best_origin.pth.tar"
    done = main(PRUNE, *words, "--oslom-bin", every_third, "--pretrained", parent)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    "damage, told",
    [
        (lambda b: gzip.compress(b)[:-100], "cannot be read"),
        (lambda b: gzip.compress(b[:4] + b"\xff" * 4 + b[8:]), "says that it holds 4,294,967,295 images"),
        (lambda b: gzip.compress(b"\0\0\x08\x01" + b[4:]), "begins with the number 2049"),
        (lambda b: gzip.compress(b[:7] + b"\x09" + b[8 : 16 + 9 * 784]), "holds 9 images, t10k-labels-idx1-ubyte 10"),
    ],
    ids=["truncated", "claims too much", "labels", "too few"],
)
def test_damaged_data(mistake, images, tmp_path, damage, told):
    images(train=np.arange(100) % 10, test=range(10))
    whole = tmp_path / "t10k-images-idx3-ubyte"
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(damage(whole.read_bytes()))
    whole.unlink()
    sentence = mistake("--data-dir .")
    assert told in sentence and "t10k-images-idx3-ubyte.gz" in sentence


# ------------------------------------------------------------------------------------------ folders


@pytest.mark.parametrize("place", ["", "missing/below"])
def test_a_data_folder_without_data(mistake, monkeypatch, tmp_path, place):
    def fail(*args, **options):
        raise URLError("no network in tests")

    monkeypatch.setattr(torchvision_mnist, "download_and_extract_archive", fail)
    (tmp_path / "data").mkdir()
    for words in ((), ("--sweep",), ("--dataset", "FashionMNIST")):
        told = mistake("--data-dir", Path("data") / place, *words)
        assert "train-images-idx3-ubyte" in told and "--data-dir" in told and "--dataset digits" in told


@pytest.mark.parametrize("save_dir", ["file", "file/below", "file/below/deep", "link"])
def test_a_save_folder_that_cannot_be_written(mistake, parents, tmp_path, save_dir):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere/at/all")
    for words in (
        ("--dataset digits",),
        ("--dataset digits --sweep",),
        (PRUNE, "--pretrained", parents["LeNet_300_100"]),
    ):
        assert "--save-dir" in mistake(*words, "--epochs", "1", save_dir=save_dir)


def test_a_folder_where_a_file_is_to_be_written(main, parents, listing, tmp_path):
    """The name of a result is taken by a folder."""
    (tmp_path / "digits" / "LeNet_300_100.best_origin.pth.tar").mkdir(parents=True)
    done = main("--dataset digits --epochs 0 --save-dir", tmp_path)
    assert done.code == 2 and done.err.count("\n") == 1 and "cannot write" in done.err
    assert [path.name for path in listing(tmp_path)] == ["digits", "LeNet_300_100.best_origin.pth.tar"]


# ------------------------------------------------------------------------------------------ the OSLOM program


def test_a_missing_compiler(mistake, parents, tmp_path, monkeypatch):
    monkeypatch.setattr(binaries, "PROGRAM", tmp_path / "oslom_undir")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    for words in (
        (PRUNE, "--pretrained", parents["LeNet_300_100"]),
        ("--sweep --dataset digits --epochs 1",),
    ):
        assert "C++17 compiler" in mistake(*words)


def test_a_program_that_is_not_there(mistake, parents, tmp_path, monkeypatch):
    for words in (
        (PRUNE, "--pretrained", parents["LeNet_300_100"]),
        ("--sweep --dataset digits --epochs 1",),
    ):
        assert "no/oslom is not an executable file" in mistake(*words, "--oslom-bin no/oslom")
        assert "program ./python3 is not an executable file" in mistake(*words, "--oslom-bin ./python3")
        monkeypatch.setenv("OSLOM_BIN", "no/oslom")
        assert "no/oslom is not an executable file" in mistake(*words)
        monkeypatch.delenv("OSLOM_BIN")


@pytest.mark.parametrize(
    "program, told",
    [
        (CRASH, "exit code: 3.*too many things"),
        (HANG, "0.5 seconds"),
        (NONSENSE, "tp file"),
        (NOTHING, "no readable tp file"),
        (STRANGER, "node 99999"),
    ],
    ids=["crashes", "hangs", "writes nonsense", "writes nothing", "names a node that is not there"],
)
def test_a_program_that_misbehaves(mistake, parents, fake_program, program, told):
    words = (PRUNE, "--oslom-timeout 0.5 --pretrained", parents["LeNet_300_100"])
    sentence = mistake(*words, "--oslom-bin", fake_program(program))
    assert re.search(told, sentence), sentence


def test_a_program_that_finds_no_community(mistake, parents, fake_program):
    """An error, never another method."""
    words = (PRUNE, "--pretrained", parents["LeNet_300_100"], "--oslom-bin", fake_program(HOMELESS))
    assert "no significant module" in mistake(*words)


def test_a_program_that_crashes_in_a_later_round(mistake, parents, fake_program):
    """What the first round found is not left behind as if it were a result."""
    program = f"""
import os
nodes = sorted({{int(word) for line in open("graph") for word in line.split()[:2]}})
if len(nodes) < 900:
    {CRASH}
os.mkdir("graph_oslo_files")
half = nodes[::2]
open("graph_oslo_files/tp", "w").write(f"#module 0 size: {{len(half)}} bs: 0\\n{{' '.join(map(str, half))}} \\n")
"""
    words = "--prune --specialize 3 --warmup-epochs 0 --rounds 2 --brief-epochs 0"
    told = mistake(words, "--pretrained", parents["LeNet_300_100"], "--oslom-bin", fake_program(program))
    assert "too many things" in told


# ------------------------------------------------------------------------------------------ Ctrl-C


@pytest.mark.parametrize("stage", ["train", "prune", "retrain"])
def test_an_interrupted_step_leaves_no_result(
    main, parents, pruned, every_third, listing, monkeypatch, tmp_path, stage
):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "logits_of", interrupted)  # after the first epoch
    start = {"prune": parents["LeNet_300_100"], "retrain": pruned["LeNet_300_100"]}
    words = {
        "train": "--dataset digits --epochs 1",
        "prune": "--prune --specialize 3 --rounds 1 --warmup-epochs 0 --brief-epochs 1",
        "retrain": "--retrain --retrain-epochs 1",
    }[stage]
    given = ("--pretrained", start[stage], "--oslom-bin", every_third) if stage in start else ()
    done = main(words, *given, "--save-dir", tmp_path / "saved")
    assert done.code == 130 and done.err.count("\n") == 1 and "Traceback" not in done.err
    assert listing(tmp_path) == {}


def test_ctrl_c_for_real(folder, tmp_path):
    words = "--dataset digits --epochs 100000 --threads 1 --save-dir"
    command = [sys.executable, "-u", folder.path / "main.py", *words.split(), tmp_path / "saved"]

    def listen():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the background job of a shell ignores it

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, preexec_fn=listen) as process:
        assert any("epoch 1/100000" in line for line in process.stdout)  # reads no further than that line
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and told.count("\n") == 1 and "interrupted" in told, told
    assert list(tmp_path.rglob("*")) == []


HOLDS_A_LOCK = """
import fcntl, os, time
lock = open({!r}, "w")
fcntl.flock(lock, fcntl.LOCK_EX)
os.fork()
lock.write("busy")
lock.flush()
time.sleep(600)
"""


@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_the_community_program_too(folder, parents, fake_program, listing, tmp_path, name, code):
    lock, temporary = tmp_path / "lock", tmp_path / "temporary"
    temporary.mkdir()
    words = (*PRUNE.split(), "--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path / "saved")
    program = fake_program(HOLDS_A_LOCK.format(str(lock)))
    command = [sys.executable, folder.path / "main.py", *words, "--oslom-bin", program]

    def listen():
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, **pipes, env=environment, preexec_fn=listen) as process:
        while not lock.exists() or not lock.read_text():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.Signals[name])
        _, told = process.communicate(timeout=60)
    assert process.returncode == code and told.count("\n") == 1 and "finished steps are kept" in told, told
    with lock.open() as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody holds it any more
    assert [path.name for path in listing(tmp_path)] == ["lock", "temporary"]


def test_whoever_decided_about_a_signal_keeps_it(main, monkeypatch, tmp_path):
    seen, signals = [], (signal.SIGTERM, signal.SIGHUP)
    monkeypatch.setattr(cli, "run", lambda *_: seen.append([signal.getsignal(number) for number in signals]))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        main("--dataset digits")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert callable(seen[0][0]) and seen[0][1] == signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    thread = threading.Thread(target=main, args=("--dataset digits",))
    thread.start()
    thread.join()
    assert seen[1][0] == signal.SIG_DFL
