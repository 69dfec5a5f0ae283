"""The file of published runs: what comes back from it, what takes whose place, and what stays whatever happens."""

import json

import pytest
from metrics_files import pruned, retrained, trained

from specdnn import files
from specdnn.files import SavedModels
from specdnn.results import records, runs
from specdnn.structures import SpecDNNError

FOUND = {
    "net.0.json": retrained(0, checkpoint_hash="a", date="März\u2028", seconds={"train": 0.1 + 0.2}),
    "net.0.OSLOM.json": pruned(0, checkpoint_hash="b"),
    "seed2.net.json": trained(2, checkpoint_hash="c"),
    "small.seed2.net.0.json": retrained(0, 2, checkpoint_hash="d"),
}


def named(found) -> list[dict]:
    return [{**told, "name": name} for name, told in found.items()]


@pytest.fixture
def saved(tmp_path):
    return SavedModels(tmp_path / "results", "net")


def read(saved) -> list[dict]:
    found = runs.read(saved, "pairs")
    assert found.left_out == []
    return found.found


def lines(saved) -> list[bytes]:
    return saved.runs().read_bytes().split(b"\n")[:-1]


def test_records_come_back_as_they_were_sorted_by_name(saved):
    runs.add(saved, named(FOUND))
    back = {m["name"]: {k: v for k, v in m.items() if k not in ("name", "place")} for m in read(saved)}
    assert back == FOUND and list(back) == sorted(FOUND)
    assert [m["place"] for m in read(saved)] == [(), (), (), ("small",)]
    assert [next(iter(json.loads(line).items())) for line in lines(saved)] == [("name", name) for name in sorted(FOUND)]


def test_the_same_records_give_the_same_bytes_whatever_their_order(saved):
    runs.add(saved, named(FOUND))
    whole = saved.runs().read_bytes()
    runs.add(saved, named(FOUND))
    assert saved.runs().read_bytes() == whole
    saved.runs().unlink()
    for one in reversed(named(FOUND)):
        runs.add(saved, [one])
    assert saved.runs().read_bytes() == whole


def test_a_new_record_takes_the_place_of_one_of_its_name_only(saved):
    runs.add(saved, named(FOUND))
    before = lines(saved)
    runs.add(saved, named({"net.0.json": retrained(0, checkpoint_hash="new")}))
    assert {m["name"]: m["checkpoint_hash"] for m in read(saved)}["net.0.json"] == "new"
    assert [line for line in lines(saved) if line not in before] == [lines(saved)[1]] and len(lines(saved)) == 4


def test_where_a_file_lies_and_that_it_is_outdated_is_not_published(saved, tmp_path):
    extra = {"file": tmp_path / "net.0.json", "place": ("small",), "outdated": True}
    runs.add(saved, [{**records.origin(pruned(0)), **extra, "name": "net.0.json"}])
    (found,) = read(saved)
    assert set(found) == {*records.origin(pruned(0)), "name", "place"}


def test_the_origin_alone_never_takes_the_place_of_what_was_measured(saved):
    runs.add(saved, named(FOUND))
    whole = saved.runs().read_bytes()
    runs.add(saved, [{**records.origin(pruned(0)), "name": "net.0.OSLOM.json", "outdated": True}])
    assert saved.runs().read_bytes() == whole


def test_a_number_that_does_not_exist_is_null(saved):
    """JSON's 1e999 is read as infinite."""
    runs.add(saved, named({"net.0.json": retrained(0, checkpoint_hash="a", latency_ms=float("inf"))}))
    assert read(saved)[0]["latency_ms"] is None


def test_without_a_file_there_are_no_runs(saved):
    assert read(saved) == [] and not saved.root.exists()


def test_runs_of_other_data_sets_stay_and_are_not_read(saved):
    runs.add(saved, named({"net.0.json": retrained(0, dataset="others", checkpoint_hash="x")}))
    assert read(saved) == []
    runs.add(saved, named({"net.1.json": retrained(1, checkpoint_hash="a")}))
    assert [m["name"] for m in read(saved)] == ["net.1.json"] and b'"others"' in lines(saved)[0]


# ------------------------------------------------------------------------------------------ damage


STRANGE = [
    (b"no record", "it cannot be read as JSON"),
    (b'{"name": "net.5.json", "verb"', "it cannot be read as JSON"),
    (b"\xff", "it cannot be read as JSON"),
    (json.dumps(retrained(0, checkpoint_hash="a")).encode(), "its name is missing, or no text"),
    (json.dumps({**retrained(0, checkpoint_hash="a"), "name": 7}).encode(), "its name is missing, or no text"),
    (json.dumps({**retrained(0, checkpoint_hash="e"), "name": "net.0.json"}).encode(), "line 2 has its name"),
]


@pytest.mark.parametrize(("line", "why"), STRANGE)
def test_a_line_without_a_name_of_its_own_is_told_by_its_number_and_never_lost(saved, line, why):
    runs.add(saved, named(FOUND))
    whole = saved.runs().read_bytes()
    for content, number in ((whole + b"\r\n" + line, 6), (whole + line + b"\n", 5)):  # an empty line is no line
        saved.runs().write_bytes(content)
        found = runs.read(saved, "pairs")
        assert len(found.found) == 4 and len(found.left_out) == 1
        assert found.left_out[0].startswith(f"{saved.runs()}, line {number} is left out: {why}")
        runs.add(saved, named(FOUND))
        assert saved.runs().read_bytes() == whole + line + b"\n"


def test_a_run_of_another_network_is_told(saved):
    runs.add(saved, named({"net.0.json": retrained(0, arch="other", checkpoint_hash="a")}))
    assert runs.read(saved, "pairs").left_out == [
        f"{saved.runs()}, line 1 is left out: it is of another network, other"
    ]


def test_a_file_that_cannot_be_read_is_neither_skipped_nor_written_over(saved):
    saved.runs().mkdir(parents=True)
    for act in (lambda: runs.read(saved, "pairs"), lambda: runs.add(saved, named(FOUND))):
        with pytest.raises(SpecDNNError, match="cannot read .*net.runs.jsonl"):
            act()


def test_a_write_that_is_broken_off_leaves_the_file_as_it_was(saved, monkeypatch):
    runs.add(saved, named(FOUND))
    whole = saved.runs().read_bytes()
    monkeypatch.setattr(files.os, "replace", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        runs.add(saved, named({"net.9.json": retrained(9, checkpoint_hash="z")}))
    assert saved.runs().read_bytes() == whole and len(list(saved.root.iterdir())) == 1


# ------------------------------------------------------------------------------------------ the published runs


@pytest.mark.parametrize(("arch", "count"), [("LeNet_300_100", 854), ("LeNet_5", 569)])
def test_the_published_files_are_as_publishing_would_write_them(folder, arch, count, tmp_path):
    committed, again = SavedModels(folder.path / "results", arch), SavedModels(tmp_path, arch)
    found = runs.read(committed, folder.dataset.DEFAULT)
    assert found.left_out == [] and len(found.found) == count
    runs.add(again, found.found)
    assert again.runs().read_bytes() == committed.runs().read_bytes()
