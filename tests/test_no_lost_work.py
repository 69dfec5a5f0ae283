"""No silent wrong result and no lost work: undefined scores, inputs that stay, results that are looked at, output."""

import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from specdnn import cli, files
from specdnn.network import training
from specdnn.structures import Recipe, Split

QUICK = "--prune --specialize 3 --warmup-epochs 0 --rounds 1 --brief-epochs 0"
STEM = "LeNet_300_100.specialize.3"


@pytest.fixture
def cell(main, parents, every_third, tmp_path):
    """Class 3 pruned and retrained in a folder of its own: words for the two -> the checkpoints' folder."""

    def run(prune="", retrain="--retrain-epochs 1"):
        words = ("--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path, "--oslom-bin", every_third)
        done = main(QUICK, prune, *words)
        assert done.code == 0, done.err
        again = main(f"--retrain {retrain} --pretrained", tmp_path / "digits" / f"{STEM}.OSLOM.pth.tar")
        assert again.code == 0, again.err
        return SimpleNamespace(folder=tmp_path / "digits", pruned=done, retrained=again)

    return run


def told(path):
    return json.loads(files.metrics_path(path).read_text())


# ------------------------------------------------------------------------------------------ undefined scores


@pytest.fixture
def lacking(folder, digits, every_third, tmp_path, capsys):
    """`main.py` on `digits` of which one split has no image of class 3: the split's name -> words -> result."""

    def run(split, *words):
        def load(name, data_dir, device):
            part = digits.split(split)
            rest = part.labels != 3
            return dataclasses.replace(digits, **{split: Split(part.images[rest], part.labels[rest])})

        data = SimpleNamespace(**{**vars(folder.dataset), "load": load})
        words = ["--dataset", "digits", "--threads", "1", "--save-dir", str(tmp_path / "out"), *map(str, words)]
        code = cli.main(folder.path, folder.architectures, data, words)
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("words", [f"{QUICK} --pretrained", "--retrain --specialize 3 --pretrained", "--sweep"])
def test_a_wanted_class_without_images_is_told_before_any_training(lacking, parents, listing, tmp_path, split, words):
    given = [parents["LeNet_300_100"]] if "--pretrained" in words else []
    done = lacking(split, *words.split(), *given)
    assert done.code == 2 and "epoch" not in done.err + done.out
    assert re.search(f"{split} has no image of class 3 .*train.*validation.*test.*--specialize", done.err), done.err
    assert listing(tmp_path) == {}


def test_other_classes_go_on_without_it(lacking, parents, every_third):
    words = ("--oslom-bin", every_third, "--pretrained", parents["LeNet_300_100"])
    assert lacking("validation", *QUICK.replace("3", "4").split(), *words).code == 0


def test_a_parent_is_trained_and_the_missing_class_told(lacking, tmp_path):
    done = lacking("validation", "--epochs", 1)
    assert done.code == 0 and "validation has no image of class 3" in done.out
    found = told(tmp_path / "out" / "digits" / "LeNet_300_100.best_origin.pth.tar")
    assert found["accuracy"] > 0 and found["validation_score"] > 0


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_no_training_compares_a_score_that_is_no_number(score, digits, network_type, whole):
    few = Split(digits.train.images[:64], digits.train.labels[:64])
    with pytest.raises(ValueError, match="score"):
        list(training.train(whole(network_type()), few, range(10), Recipe(1, 0.01), lambda logits: score, few))


@pytest.mark.parametrize("verb", ["--evaluate", f"{QUICK}", "--retrain --specialize 3"])
def test_outputs_that_are_not_finite_are_told(main, parents, every_third, tmp_path, verb):
    content = torch.load(parents["LeNet_300_100"], weights_only=True)
    for name, tensor in content["state_dict"].items():
        content["state_dict"][name] = tensor * 1e15
    torch.save(content, tmp_path / "x.pth.tar")
    done = main(verb, "--oslom-bin", every_third, "--pretrained", tmp_path / "x.pth.tar", "--save-dir", tmp_path / "o")
    assert done.code == 2 and done.err.count("\n") == 1 and "finite" in done.err, done.err
    assert not (tmp_path / "o").exists()


# ------------------------------------------------------------------------------------------ inputs stay


def test_pruning_a_pruned_network_again_leaves_it_alone(main, cell, every_third):
    origin = cell().folder / f"{STEM}.OSLOM.pth.tar"
    before = origin.read_bytes()
    words = (f"{QUICK} --max-params 300 --oslom-bin", every_third, "--pretrained", origin)
    assert main(*words).code == 0
    assert origin.read_bytes() == before and (origin.parent / f"{STEM}.OSLOM.again.pth.tar").is_file()
    assert "already finished" in main(*words).out


def test_retraining_a_retrained_network_again_leaves_it_alone(main, cell):
    origin = cell().folder / f"{STEM}.best_retrained.pth.tar"
    before = origin.read_bytes()
    words = ("--retrain --retrain-epochs 1 --pretrained", origin)
    assert main(*words).code == 0
    assert origin.read_bytes() == before
    assert "already finished" in main(*words).out
    again = origin.with_name(f"{STEM}.best_retrained.again.pth.tar")
    assert main("--retrain --retrain-epochs 1 --pretrained", again).code == 0
    assert origin.read_bytes() == before and again.with_name(f"{STEM}.best_retrained.again.again.pth.tar").is_file()


def test_results_lie_beside_what_they_come_from_unless_told_otherwise(main, cell, tmp_path):
    origin = cell().folder / f"{STEM}.OSLOM.pth.tar"
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "mine.pth.tar"
    moved.write_bytes(origin.read_bytes())
    assert main("--retrain --retrain-epochs 1 --pretrained", moved).code == 0
    assert (tmp_path / "elsewhere" / f"{STEM}.best_retrained.pth.tar").is_file()
    assert main("--retrain --retrain-epochs 1 --pretrained", moved, "--save-dir", tmp_path / "there").code == 0
    assert (tmp_path / "there" / "digits" / f"{STEM}.best_retrained.pth.tar").is_file()


def test_a_second_budget_keeps_the_first_network(cell):
    first = cell().folder / f"{STEM}.OSLOM.pth.tar"
    before = [first.read_bytes(), told(first)]
    done = cell("--max-params 300")
    assert "made with other options (max_params None, now 300)" in done.pruned.out
    kept = first.parent / "replaced" / f"{STEM}.OSLOM.1.pth.tar"
    assert [kept.read_bytes(), told(kept)] == before and str(kept) in done.pruned.out
    assert (first.parent / "replaced" / f"{STEM}.best_retrained.1.pth.tar").is_file()
    assert told(first)["true_parameters"] <= 300


# ---------------------------------------------------------------------------------------- finished steps are looked at


@pytest.mark.parametrize("damage", [lambda b: b[:3000], lambda b: b + b"x", lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_a_file_that_is_not_the_one_that_was_measured_is_made_again(cell, damage):
    path = cell().folder / f"{STEM}.best_retrained.pth.tar"
    good = path.read_bytes()
    path.write_bytes(damage(good))
    done = cell()
    assert "not the file that was measured, so it is made again" in done.retrained.out
    assert path.read_bytes() == good and files.file_hash(path) == told(path)["checkpoint_hash"]


def test_an_exchanged_parent_is_not_taken_for_the_measured_one(main, tmp_path):
    words = ("--dataset digits --epochs 1 --save-dir", tmp_path)
    main(*words)
    path = tmp_path / "digits" / "LeNet_300_100.best_origin.pth.tar"
    mine = path.read_bytes()
    main("--dataset digits --epochs 2 --save-dir", tmp_path / "other")
    path.write_bytes((tmp_path / "other" / "digits" / path.name).read_bytes())
    assert "not the file that was measured" in main(*words).out
    assert path.read_bytes() == mine and len(list((path.parent / "replaced").glob("*.pth.tar"))) == 1


def test_retraining_never_leaves_a_worse_network(main, cell, loaded):
    """One step at a rate that ruins the network: what came in goes out, and that is said."""
    done = cell("--brief-epochs 8", "--retrain-epochs 1 --retrain-lr 30 --optimizer SGD")
    pruned, retrained = (done.folder / f"{STEM}.{kind}.pth.tar" for kind in ("OSLOM", "best_retrained"))
    assert "no epoch was as good on validation as the network before" in done.retrained.out
    assert told(retrained)["validation_score"] == told(pruned)["validation_score"] > 0.7
    one, other = (loaded(path).compact.network.state_dict() for path in (pruned, retrained))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


# ------------------------------------------------------------------------------------------ output


@pytest.fixture(scope="module")
def swept(call, every_third, tmp_path_factory):
    saved = tmp_path_factory.mktemp("swept")
    words = "--sweep --dataset digits --specialize 3 --epochs 1 --retrain-epochs 1 --warmup-epochs 0 --rounds 1"
    assert call(words, "--brief-epochs 0 --oslom-bin", every_third, "--save-dir", saved) == 0
    return saved


@pytest.fixture
def command(folder, swept):
    """`main.py` with more words, as a program."""
    start = [sys.executable, str(folder.path / "main.py"), "--dataset", "digits", "--save-dir", str(swept)]
    return lambda *words: [*start, *map(str, words)]


def test_a_terminal_that_cannot_show_a_letter_loses_nothing(command, swept):
    table = swept / "digits" / "LeNet_300_100.md"
    before = table.read_bytes()
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command("--report"), capture_output=True, env={**os.environ, **ascii_only})
    assert done.returncode == 0, done.stderr
    assert table.read_bytes() == before and b"always no" in done.stdout


def test_a_reader_that_has_enough_ends_nothing(command, swept):
    """`main.py --evaluate | head -1`."""
    words = ("--evaluate", "--pretrained", swept / "digits" / "LeNet_300_100.best_origin.pth.tar")
    with subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"")


def test_work_goes_on_when_nobody_reads(monkeypatch, main, tmp_path):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Closed())
        assert main("--dataset digits --epochs 1 --save-dir", tmp_path).code == 0
    assert (tmp_path / "digits" / "LeNet_300_100.best_origin.json").is_file()


# ------------------------------------------------------------------------------------------ told at once


@pytest.mark.parametrize("words, code", [("--help", 0), ("--version", 0), ("--colour", 2), ("--keep 7 --sweep", 2)])
def test_a_mistake_is_told_before_anything_slow_is_loaded(folder, words, code):
    asked = (
        "import runpy, sys; sys.path.insert(0, sys.argv[1]); sys.argv[:2] = ['main.py']\n"
        "try: runpy.run_path(sys.path[0] + '/main.py', run_name='__main__')\n"
        "except SystemExit as end: code = end.code\n"
        "slow = {'torch', 'torchvision', 'sklearn', 'scipy', 'matplotlib', 'networkx'} & set(sys.modules)\n"
        "print(code or 0, sorted(slow))"
    )
    command = [sys.executable, "-c", asked, str(folder.path), *words.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"{code} []", done.stdout + done.stderr


def test_what_a_run_works_with_is_said_first(main, tmp_path):
    done = main("--dataset digits --epochs 0 --save-dir", tmp_path)
    assert done.out.startswith("digits: 1257 training, 180 validation, 360 test images of 10 classes\n")
    assert "--epochs 0: the network is saved with its first weights, untrained" in done.out
    found = told(tmp_path / "digits" / "LeNet_300_100.best_origin.pth.tar")
    assert (found["train_images"], found["validation_images"], found["test_images"]) == (1257, 180, 360)


def test_more_threads_than_processors_are_capped(main, tmp_path):
    done = main("--threads 100000 --dataset digits --epochs 0 --save-dir", tmp_path)
    there = len(os.sched_getaffinity(0))
    assert f"--threads 100000: this machine runs {there} at a time, so {there} are used" in done.out
    assert told(tmp_path / "digits" / "LeNet_300_100.best_origin.pth.tar")["threads"] == there


@pytest.mark.parametrize("word", ["--rate 0.5", "--max-params 9", "--min-balanced 0.9"])
@pytest.mark.parametrize("verb", ["--dataset digits", "--retrain --pretrained x", "--evaluate --pretrained x"])
def test_a_budget_without_a_verb_that_uses_it(main, verb, word):
    done = main(verb, word)
    assert done.code == 2 and f"{word.split()[0]} goes with --prune or --sweep" in done.err


def test_an_impossible_budget_is_told_before_any_training(main, parents, tmp_path):
    for words in (("--sweep --dataset digits",), ("--prune --specialize 3 --pretrained", parents["LeNet_300_100"])):
        done = main(*words, "--max-params 3 --save-dir", tmp_path)
        assert done.code == 2 and "budget" in done.err and "epoch" not in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words, option",
    [
        ("--retrain --retrain-lr 1e30", "--retrain-lr"),
        ("--prune --warmup-epochs 1 --brief-lr 1e30", "--brief-lr"),
        ("--prune --warmup-epochs 0 --max-params 300 --brief-epochs 1 --rounds 1 --trim-lr 1e30", "--trim-lr"),
    ],
)
def test_divergence_names_the_option_of_that_training(main, parents, every_third, tmp_path, words, option):
    given = ("--oslom-bin", every_third, "--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path)
    done = main(words, "--specialize 3 --optimizer SGD", *given)
    assert done.code == 2 and f"give a smaller {option}" in done.err, done.err


def test_both_balanced_accuracies_are_told(cell):
    """--min-balanced promises the one on validation; the one that is measured may be another."""
    done = cell()
    found = told(done.folder / f"{STEM}.OSLOM.pth.tar")
    assert 0 <= found["validation_balanced_accuracy"] <= 1
    assert f"(validation {100 * found['validation_balanced_accuracy']:.2f} %)" in done.pruned.out


def test_two_processes_on_the_same_cell(folder, parents, every_third, tmp_path):
    """Both end well, the second finds the step finished, and nothing is half made."""
    words = [*QUICK.split(), "--oslom-bin", str(every_third), "--pretrained", str(parents["LeNet_300_100"])]
    command = [sys.executable, str(folder.path / "main.py"), *words, "--threads", "1", "--save-dir", str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("already finished" in out for out, _ in said) == 1
    assert not [path.name for path in (tmp_path / "digits").iterdir() if path.name.startswith(".")]
