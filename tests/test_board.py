"""What TensorBoard is told, and that nothing else changes by it."""

import importlib.util
import pickle

import pytest

from specdnn import files
from specdnn.board import Board
from specdnn.structures import SpecDNNError

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="needs tensorboard: pip install 'specdnn[tensorboard]'",
)
WORDS = "--prune --specialize 3 --warmup-epochs 1 --rounds 1 --brief-epochs 1 --rate 0.05"


def scalars(folder):
    """Tag -> [(step, value)] of a run."""
    found = accumulator.EventAccumulator(str(folder)).Reload()
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


@pytest.fixture(scope="module")
def run(call, parents, every_third, tmp_path_factory):
    """(metrics of the pruned network, bytes of its checkpoint, folder of the board), watched and not."""
    place, made = tmp_path_factory.mktemp("watched"), {}
    for name, words in (("watched", ("--tensorboard", place / "board")), ("not", ())):
        how = ("--oslom-bin", every_third, "--pretrained", parents["LeNet_300_100"], "--save-dir", place / name)
        assert call(WORDS, *how, *words) == 0
        path = place / name / "digits" / "LeNet_300_100.specialize.3.OSLOM.pth.tar"
        made[name] = files.read_metrics(files.metrics_path(path)), path.read_bytes()
    return made, place / "board"


def test_losses_scores_and_sizes_are_told(run):
    made, board = run
    metrics, _ = made["watched"]
    assert [path.name for path in board.iterdir()] == ["seed1.class3.OSLOM"]
    told = scalars(board / "seed1.class3.OSLOM")
    assert [step for step, _ in told["warm-up/loss"]] == [1] and told["round 1/validation"][0][0] == 1
    cuts = [row for row in metrics["steps"] if row["stage"] != "warm-up"]
    weights = [value for _, value in told["size/weights"]]
    assert weights[0] == cuts[0]["true_weights"] and metrics["true_weights"] in weights
    assert [step for step, _ in told["units/ip1"]] == list(range(1, len(weights) + 1))
    assert told["prune/accuracy"][0][1] == pytest.approx(metrics["accuracy"], rel=1e-6)


def test_nothing_else_changes(run):
    (ours, checkpoint), (theirs, other) = run[0]["watched"], run[0]["not"]
    varying = ("seconds", "latency_ms")
    assert {k: v for k, v in ours.items() if k not in varying} == {k: v for k, v in theirs.items() if k not in varying}
    assert checkpoint == other


def test_without_the_package_a_sentence_says_what_to_install(main, monkeypatch, tmp_path):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda one: None if one == "tensorboard" else there(one))
    told = main("--dataset digits --epochs 1 --save-dir", tmp_path / "a", "--tensorboard", tmp_path / "b")
    assert told.code == 2 and "--tensorboard needs tensorboard: pip install 'specdnn[tensorboard]'" in told.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SpecDNNError, match="cannot write to --tensorboard"):
        Board(tmp_path / "file").tell("run", {"a": 1.0}, 1)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_silent_board_does_nothing_and_any_can_be_sent(tmp_path):
    Board().tell("run", {"a": 1.0}, 1)
    board = Board(tmp_path / "new")
    board.cut("run", {"a": 1.0})
    again = pickle.loads(pickle.dumps(board))
    again.cut("run", {"a": 2.0})
    assert scalars(tmp_path / "new" / "run")["a"] == [(1, 1.0), (2, 2.0)]
