"""Names that are never written over, what is set aside, and the lock that two processes share."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from specdnn import files
from specdnn.files import SavedModels
from specdnn.structures import SpecDNNError

NAME = "net.specialize.3.OSLOM"


def result(place: Path, content: str, name: str = NAME) -> Path:
    """A checkpoint with its metrics and a round."""
    path = place / f"{name}.pth.tar"
    files.write(path, content)
    files.write_metrics(path, {"content": content})
    files.write_rounds(path, [{"edges": content}])
    return path


def contents(place: Path) -> dict[str, str]:
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------ never over the input


def test_a_stage_never_writes_over_what_it_starts_from(tmp_path):
    path = tmp_path / f"{NAME}.pth.tar"
    again = files.never_over(path, path)
    assert again.name == f"{NAME}.again.pth.tar"
    assert files.never_over(again, path).name == f"{NAME}.again.again.pth.tar"


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_another_name_of_the_same_file_is_the_same_file(tmp_path, make):
    path = result(tmp_path, "x")
    other = tmp_path / "elsewhere" / "other.pth.tar"
    other.parent.mkdir()
    make(path, other)
    assert files.never_over(other, path) != path


def test_other_files_and_folders_leave_the_name_alone(tmp_path):
    path = tmp_path / f"{NAME}.pth.tar"
    for origin in ("net.best_origin.pth.tar", f"{NAME}.x.pth.tar", f"below/{NAME}.pth.tar"):
        assert files.never_over(tmp_path / origin, path) == path


@pytest.mark.parametrize(
    "beside, seed, folder", [("a", 1, "a"), ("a", 2, "a/seed2"), ("a/seed2", 2, "a/seed2"), ("a/seed2", 1, "a")]
)
def test_results_lie_beside_what_they_come_from(beside, seed, folder):
    assert SavedModels(Path("saved"), "net", "digits", seed, Path(beside)).folder == Path(folder)


# ------------------------------------------------------------------------------------------ set aside


def test_what_is_replaced_is_kept_under_numbers(tmp_path):
    for content in ("one", "two", "three"):
        assert (files.set_aside(tmp_path / f"{NAME}.pth.tar") is None) == (content == "one")
        result(tmp_path, content)
    there = contents(tmp_path)
    for content, stem in (("one", f"replaced/{NAME}.1"), ("two", f"replaced/{NAME}.2"), ("three", NAME)):
        assert there[f"{stem}.pth.tar"] == there[f"{stem}.rounds/1.edges"] == content
        assert f'"{content}"' in there[f"{stem}.json"]
    assert len(there) == 9


def test_what_cannot_be_moved_is_told_and_stays(tmp_path):
    path = result(tmp_path, "one")
    (tmp_path / "replaced").write_text("")
    with pytest.raises(SpecDNNError, match="cannot move"):
        files.set_aside(path)
    assert path.read_text() == "one"


# ------------------------------------------------------------------------------------------ the lock


def held(path: Path, order, begin) -> None:
    begin.wait()
    for _ in range(100):
        with files.lock(path, lambda text: None):
            order.append("in")
            time.sleep(0.0005)
            order.append("out")


def test_one_holds_the_lock_at_a_time(tmp_path):
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        order, begin = manager.list(), context.Barrier(4)
        workers = [context.Process(target=held, args=(tmp_path / "a" / "x.pth.tar", order, begin)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0] * 4
        assert list(order) == ["in", "out"] * 400
    assert contents(tmp_path) == {}


def test_who_waits_says_for_whom(tmp_path):
    context, told = multiprocessing.get_context("fork"), []
    path, there, done = tmp_path / "x.pth.tar", context.Event(), context.Event()

    def hold() -> None:
        with files.lock(path, lambda text: None):
            there.set()
            done.wait(60)

    worker = context.Process(target=hold)
    worker.start()
    assert there.wait(60)

    def log(text: str) -> None:
        told.append(text)
        done.set()

    with files.lock(path, log):
        pass
    worker.join(60)
    assert told == [f"x.pth.tar is being made by process {worker.pid} on {os.uname().nodename}: waiting for it"]


def test_the_lock_leaves_nothing_behind_and_no_empty_folder(tmp_path):
    with pytest.raises(KeyError), files.lock(tmp_path / "a" / "b" / "x.pth.tar", print):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with files.lock(tmp_path / "a" / "b" / "x.pth.tar", print):
        (tmp_path / "a" / "kept").write_text("")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "kept"]


def test_a_lock_of_a_killed_process_holds_nobody_up(tmp_path):
    (tmp_path / ".x.pth.tar.lock").write_text("process 1 on nowhere")
    with files.lock(tmp_path / "x.pth.tar", pytest.fail):
        pass


# ------------------------------------------------------------------------------------------ text


def test_text_is_utf_8_whatever_the_locale(tmp_path):
    files.write(tmp_path / "x", "Ω – é")
    assert (tmp_path / "x").read_bytes() == "Ω – é".encode() and files.read_text(tmp_path / "x") == "Ω – é"
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecDNNError, match="UTF-8"):
        files.read_text(tmp_path / "x")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{", b"[" * 1_000_000])
def test_metrics_that_cannot_be_read_are_none(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    assert files.read_metrics(tmp_path / "x.json") is None
