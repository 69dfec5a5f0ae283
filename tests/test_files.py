"""Names, whole files or none, what is never written over, what is set aside, and the lock that two processes share."""

import json
import multiprocessing
import os
import tempfile
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


# ------------------------------------------------------------------------------------------ names

ROOT = Path("saved_models")
FIRST = SavedModels(ROOT, "LeNet_5")


def test_the_published_names():
    assert FIRST.parent() == ROOT / "LeNet_5.best_origin.pth.tar"
    assert FIRST.pruned((0,), "OSLOM") == ROOT / "LeNet_5.specialize.0.OSLOM.pth.tar"
    assert FIRST.retrained((0,), "OSLOM") == ROOT / "LeNet_5.specialize.0.best_retrained.pth.tar"
    assert FIRST.pruned(None, "OSLOM") == ROOT / "LeNet_5.prune.OSLOM.pth.tar"
    assert FIRST.retrained(None, "OSLOM") == ROOT / "LeNet_5.best_retrained.pth.tar"


def test_several_classes_are_joined():
    assert FIRST.pruned((0, 3, 7), "OSLOM") == ROOT / "LeNet_5.specialize.0-3-7.OSLOM.pth.tar"
    assert FIRST.retrained((0, 3, 7), "OSLOM") == ROOT / "LeNet_5.specialize.0-3-7.best_retrained.pth.tar"


def test_other_seeds_data_sets_and_algorithms():
    other = SavedModels(ROOT, "LeNet_300_100", "KMNIST", 2)
    assert other.parent() == ROOT / "KMNIST" / "seed2" / "LeNet_300_100.best_origin.pth.tar"
    assert (
        other.retrained((4,), "magnitude")
        == ROOT / "KMNIST" / "seed2" / "LeNet_300_100.specialize.4.magnitude.best_retrained.pth.tar"
    )
    assert other.retrained(None, "magnitude").name == "LeNet_300_100.magnitude.best_retrained.pth.tar"
    assert SavedModels(ROOT, "LeNet_5", "", 3).folder == ROOT / "seed3"
    assert SavedModels(ROOT, "LeNet_5", "digits").folder == ROOT / "digits"


def test_compositions_and_what_they_are_compared_with():
    assert FIRST.composed((0, 3), "OSLOM") == ROOT / "LeNet_5.compose.0-3.pth.tar"
    assert FIRST.composed((0, 3), "random") == ROOT / "LeNet_5.compose.0-3.random.pth.tar"
    assert files.picture_path(FIRST.composed((0, 3), "OSLOM")) == ROOT / "LeNet_5.compose.0-3.png"
    assert FIRST.joint((0, 3), "OSLOM").folder == ROOT / "joint-0-3"
    other = SavedModels(ROOT, "LeNet_5", "digits", 2)
    assert other.joint((0, 3), "random").folder == ROOT / "digits" / "joint-0-3-random" / "seed2"


def test_what_lies_beside_a_checkpoint():
    path = FIRST.pruned((0,), "OSLOM")
    assert files.metrics_path(path) == ROOT / "LeNet_5.specialize.0.OSLOM.json"
    assert files.rounds(path) / "2.edges" == ROOT / "LeNet_5.specialize.0.OSLOM.rounds" / "2.edges"
    assert FIRST.table("csv") == ROOT / "LeNet_5.csv"


def test_a_published_run_is_named_after_its_metrics_file_and_its_seed():
    path = SavedModels(Path("saved"), "net").pruned((3,), "random")
    named = [SavedModels(Path("saved"), "net", seed=seed).published_name(path) for seed in (1, 2)]
    assert named == ["net.specialize.3.random.json", "seed2.net.specialize.3.random.json"]


# ------------------------------------------------------------------------------------------ writing


def test_a_file_is_written_whole_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "c.json"
    files.write(path, "né")
    assert path.read_bytes() == "né".encode()
    assert os.listdir(path.parent) == ["c.json"]
    assert path.stat().st_mode & 0o777 == 0o644
    files.write(path, b"other")
    assert path.read_bytes() == b"other" and os.listdir(path.parent) == ["c.json"]


@pytest.mark.parametrize("function", ["replace", "chmod", "fdopen"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), MemoryError])
def test_an_interruption_leaves_no_half_written_file(tmp_path, monkeypatch, function, error):
    path = tmp_path / "c.json"
    path.write_text("before")

    def interrupted(*args, **kwargs):
        raise error

    monkeypatch.setattr(files.os, function, interrupted)
    with pytest.raises(SpecDNNError if isinstance(error, OSError) else error):
        files.write(path, "after")
    assert os.listdir(tmp_path) == ["c.json"] and path.read_text() == "before"


def test_a_folder_that_cannot_be_written_is_told_before_and_after(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below" / "deep"):
        with pytest.raises(SpecDNNError, match="--save-dir") as error:
            files.check_writable(folder)
        assert str(tmp_path / "file") in str(error.value)
        with pytest.raises(SpecDNNError, match="--save-dir"):
            files.write(folder / "x.json", "")
    files.check_writable(tmp_path)
    files.check_writable(tmp_path / "new" / "deep")
    assert os.listdir(tmp_path) == ["file"]


def test_a_metrics_file_is_valid_json_with_one_key_a_line(tmp_path):
    path = tmp_path / "x.pth.tar"
    files.write_metrics(
        path,
        {"f1": 0.5, "auroc": float("nan"), "kept": {"input": (1, 2)}, "rates": [1.0, float("inf")], "path": Path("a")},
    )
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == {"f1": 0.5, "auroc": None, "kept": {"input": [1, 2]}, "rates": [1.0, None], "path": "a"}
    assert "NaN" not in text and len(text.splitlines()) == 7
    assert files.read_metrics(tmp_path / "x.json") == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_a_damaged_metrics_file_counts_as_none(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    assert files.read_metrics(tmp_path / "x.json") is None
    assert files.read_metrics(tmp_path / "missing.json") is None


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


def test_what_a_broken_run_wrote_of_the_same_result_is_not_set_aside(tmp_path):
    """Its checkpoint is there, its metrics file is not yet; another checkpoint is somebody's, and kept."""
    path = result(tmp_path, "one")
    made = files.contents(path)
    files.metrics_path(path).unlink()
    assert files.set_aside(path, b"one") is None
    files.put(path, made)
    assert files.contents(path) == made and not (tmp_path / "replaced").exists()
    files.metrics_path(path).unlink()
    assert files.set_aside(path, b"two") == tmp_path / "replaced" / f"{NAME}.1.pth.tar"


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


def test_a_folder_that_goes_between_two_looks_is_made_again(tmp_path, monkeypatch):
    """`mkdir(exist_ok=True)` finds the folder there, looks whether it is one, and it has gone in between."""
    real, gone = Path.mkdir, []

    def mkdir(self, *args, **kwargs):
        if self.name == "a" and not gone:
            gone.append(self)
            raise FileExistsError(17, "File exists")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with files.lock(tmp_path / "a" / "x.pth.tar", lambda text: None):
        assert gone and (tmp_path / "a").is_dir()


@pytest.mark.parametrize("look", [1, 2])
def test_a_lock_file_that_goes_between_two_looks_is_another_one(tmp_path, monkeypatch, look):
    """The one who held it takes it away, while the next one asks whether what it opened is still there."""
    place, real, looks = tmp_path / ".x.pth.tar.lock", os.stat, []

    def stat(path, **options):
        if path == place:
            looks.append(path)
            if len(looks) == look:
                place.unlink()
        return real(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    with files.lock(tmp_path / "x.pth.tar", lambda text: None):
        assert looks and os.listdir(tmp_path) == [place.name]
    assert contents(tmp_path) == {}


def test_a_file_is_written_though_its_folder_goes_away_in_between(tmp_path, monkeypatch):
    real, gone = tempfile.mkstemp, []

    def mkstemp(dir, **options):
        if len(gone) < 3:
            gone.append(dir.rmdir())
        return real(dir=dir, **options)

    monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
    files.write(tmp_path / "a" / "x.json", "{}")
    assert contents(tmp_path) == {"a/x.json": "{}"}


def test_one_file_by_two_names(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("")
    other.symlink_to(one)
    assert files.same_file(one, other) and not files.same_file(one, tmp_path)
    assert not files.same_file(one, tmp_path / "none") and not files.same_file(one / "below", one)
    assert not files.same_file(tmp_path / "none", tmp_path / "none")


def test_a_link_that_leads_nowhere_is_told(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "none")
    for path in (tmp_path / "a" / "x", tmp_path / "a" / "b" / "x"):
        with pytest.raises(SpecDNNError, match="cannot write"):
            files.write(path, "")
        with pytest.raises(SpecDNNError, match="cannot write"), files.lock(path, lambda text: None):
            pass


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(SpecDNNError, match="cannot write"), files.lock(tmp_path / "a" / "x", lambda text: None):
        pass


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
