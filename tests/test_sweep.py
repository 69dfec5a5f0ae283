"""All cells in one process: what is shared, what is skipped, what a failing cell does."""

import json
import shutil

import pytest

from specdnn import files, rivals
from specdnn.files import SavedModels
from specdnn.results import records, runs

pytestmark = pytest.mark.usefixtures("undrawn")

QUICK = """--sweep --dataset digits --epochs 1 --retrain-epochs 1 --warmup-epochs 1 --rounds 1 --brief-epochs 1
    --rate 0.02 --classes 0 3"""
# what differs between two networks that are measured alike
VARYING = dict.fromkeys(("seconds", "latency_ms", "date", "checkpoint_hash", "file_bytes", "git_commit"))
CELLS = ("OSLOM", "magnitude", "scratch", "linear")


def metrics(path):
    return json.loads(files.metrics_path(path).read_text())


def names(place):
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def swept(call, every_third, tmp_path_factory):
    saved = tmp_path_factory.mktemp("cells")
    words = ("--seeds 1 2 --algos linear scratch magnitude OSLOM --oslom-bin", every_third, "--save-dir", saved)
    assert call(QUICK, *words) == 0
    return saved / "digits"


@pytest.fixture(scope="module")
def published(swept, tmp_path_factory):
    """The folder of the published runs, as `--publish` leaves it."""
    place = tmp_path_factory.mktemp("runs")
    runs.add(SavedModels(place, "LeNet_300_100"), records.below(swept, "digits").found)
    return place


def test_a_sweep_makes_every_cell(swept):
    for folder, seed in ((swept, 1), (swept / "seed2", 2)):
        for wanted in (0, 3):
            for algo in CELLS:
                stem = f"LeNet_300_100.specialize.{wanted}"
                pruned = metrics(folder / f"{stem}.{algo}.pth.tar")
                retrained = metrics(folder / f"{stem}{'' if algo == 'OSLOM' else f'.{algo}'}.best_retrained.pth.tar")
                for found in (pruned, retrained):
                    assert (found["seed"], found["classes"], found["algo"]) == (seed, [wanted], algo)
                assert pruned["schedule"] == ("own" if algo == "OSLOM" else "OSLOM")  # OSLOM comes first


def test_a_cell_of_a_sweep_is_the_same_as_that_cell_alone(swept, main, every_third, tmp_path):
    """Whatever is shared in the sweep, the parent and the warm-up, the networks are the same to the last bit."""
    shutil.copytree(swept, tmp_path / "digits")
    for path in (tmp_path / "digits").glob("*magnitude*"):
        path.unlink()
    words = ("--save-dir", tmp_path, "--oslom-bin", every_third)
    origin = tmp_path / "digits" / "LeNet_300_100.best_origin.pth.tar"
    alone = "--prune --algo magnitude --specialize 3 --warmup-epochs 1 --rounds 1 --brief-epochs 1 --rate 0.02"
    assert main(alone, "--pretrained", origin, *words).code == 0
    name = "LeNet_300_100.specialize.3.magnitude.pth.tar"
    assert (tmp_path / "digits" / name).read_bytes() == (swept / name).read_bytes()


def test_the_warm_up_is_shared_by_the_algorithms_of_a_class_and_seed(main, every_third, tmp_path):
    words = ("--algos OSLOM magnitude random --oslom-bin", every_third, "--save-dir", tmp_path)
    done = main(QUICK, *words)
    assert done.code == 0 and done.out.count("warm-up epoch 1/1") == 2 and done.out.count("train epoch") == 3 * 2 + 1
    seconds = [
        metrics(tmp_path / "digits" / f"LeNet_300_100.specialize.0.{algo}.pth.tar")["seconds"]["warm-up"]
        for algo in ("OSLOM", "magnitude", "random")
    ]
    assert seconds[0] > 0 and len(set(seconds)) == 1


def test_a_sweep_may_start_from_a_network_that_is_given(main, swept, every_third, tmp_path):
    """Nothing is trained but the cells, which are those that --prune makes of it; it is measured as their parent."""
    given, saved = tmp_path / "others.pth.tar", tmp_path / "digits"
    shutil.copy(swept / "LeNet_300_100.best_origin.pth.tar", given)
    words = (QUICK, "--algos OSLOM magnitude --oslom-bin", every_third, "--save-dir", tmp_path, "--pretrained", given)
    done = main(*words)
    assert done.code == 0 and "train epoch" not in done.out.replace("retrain epoch", ""), done.err
    parent, before = (
        metrics(saved / "LeNet_300_100.best_origin.pth.tar"),
        metrics(swept / "LeNet_300_100.best_origin.pth.tar"),
    )
    assert parent["given"] == given.name and parent["verb"] == "train"
    assert {**parent, **VARYING} == {**before, "given": given.name, "input_hash": parent["input_hash"], **VARYING}
    for stem in ("specialize.0.OSLOM", "specialize.3.magnitude", "specialize.3.best_retrained"):
        own, other = (place / f"LeNet_300_100.{stem}.pth.tar" for place in (saved, swept))
        assert metrics(own)["kept"] == metrics(other)["kept"] and own.read_bytes() == other.read_bytes()
    again = main(*words)
    assert again.code == 0 and "epoch" not in again.out and again.out.count("already finished") == 2 * 2 * 2 + 1
    runs.add(place := SavedModels(tmp_path / "runs", "LeNet_300_100"), records.below(saved, "digits").found)
    elsewhere = main(*words, "--save-dir", tmp_path / "new", "--resume-from", place.folder)
    assert elsewhere.code == 0 and elsewhere.out.count("already published") == 4, elsewhere.err


def test_the_network_that_is_given_may_lie_where_the_parent_would(main, swept, every_third, tmp_path):
    shutil.copytree(swept, tmp_path / "digits", ignore=shutil.ignore_patterns("*.specialize.*", "seed2"))
    given = tmp_path / "digits" / "LeNet_300_100.best_origin.pth.tar"
    before = given.read_bytes(), files.metrics_path(given).read_bytes()
    done = main(QUICK, "--algos magnitude --save-dir", tmp_path, "--pretrained", given)
    assert done.code == 0 and (given.read_bytes(), files.metrics_path(given).read_bytes()) == before


def test_a_part_of_a_network_is_no_parent(main, swept, tmp_path):
    given = swept / "LeNet_300_100.specialize.3.magnitude.pth.tar"
    done = main(QUICK, "--classes 3 --algos magnitude --save-dir", tmp_path, "--pretrained", given)
    assert done.code == 2 and f"{given} holds a part of a network" in done.err and "Traceback" not in done.err


def test_a_failing_cell_is_told_and_ends_nothing(main, every_third, tmp_path):
    words = ("--algos OSLOM-layerwise OSLOM --oslom-bin", every_third, "--save-dir", tmp_path)
    done = main(QUICK, *words)
    assert done.code == 1 and done.err.count("\n") == 1
    assert "2 cells failed" in done.err and "seed 1, class 3, OSLOM-layerwise" in done.err
    assert "### What the networks detect" in done.out  # the report of the others
    assert {name for name in names(tmp_path / "digits") if "layerwise" in name} == set()
    assert len([name for name in names(tmp_path / "digits") if name.endswith("best_retrained.pth.tar")]) == 2


def test_a_sweep_in_which_every_cell_fails(main, every_third, tmp_path):
    done = main(QUICK, "--algos OSLOM-layerwise --oslom-bin", every_third, "--save-dir", tmp_path)
    assert done.code == 1 and done.err.count("\n") == 1 and "2 cells failed" in done.err


# ------------------------------------------------------------------------------------------ published cells


def test_published_cells_are_not_made_again(main, published, every_third, tmp_path):
    words = ("--seeds 1 2 --oslom-bin", every_third, "--save-dir", tmp_path, "--resume-from", published)
    done = main(QUICK, "--algos", " ".join(CELLS), *words)
    assert done.code == 0 and done.out.count("already published") == 16 and "epoch" not in done.out
    assert [name for name in names(tmp_path) if name.endswith(".tar")] == []


@pytest.mark.parametrize("changed", ["--retrain-epochs 2", "--keep 0.3", "--epochs 2"])
def test_published_cells_of_other_options_are_made(changed, main, published, every_third, tmp_path):
    words = ("--algos OSLOM --oslom-bin", every_third, "--save-dir", tmp_path, "--resume-from", published)
    done = main(QUICK, changed, *words)
    assert done.code == 0 and "already published" not in done.out
    assert len([name for name in names(tmp_path) if name.endswith("best_retrained.pth.tar")]) == 2


def test_a_further_rival_follows_the_published_oslom_runs(main, published, every_third, tmp_path):
    """The parent is trained again and gives the same file, so the published run is the one to follow."""
    words = ("--oslom-bin", every_third, "--save-dir", tmp_path, "--resume-from", published)
    done = main(QUICK, "--algos OSLOM taylor", *words)
    assert done.code == 0, done.err
    assert done.out.count("already published") == 2
    found = metrics(tmp_path / "digits" / "LeNet_300_100.specialize.3.taylor.pth.tar")
    assert found["schedule"] == "OSLOM"
    assert not (tmp_path / "digits" / "LeNet_300_100.specialize.3.OSLOM.pth.tar").exists()


def test_oslom_is_extracted_again_where_the_published_run_is_of_another_parent(
    main, published, every_third, tmp_path, monkeypatch
):
    """Another machine trains another parent: the published cells stay, but their cuts are not those of a rival here."""
    original = files.file_hash
    monkeypatch.setattr(files, "file_hash", lambda path: original(path)[::-1])
    words = ("--oslom-bin", every_third, "--save-dir", tmp_path, "--resume-from", published)
    done = main(QUICK, "--algos OSLOM taylor", *words)
    assert done.code == 0, done.err
    found = metrics(tmp_path / "digits" / "LeNet_300_100.specialize.3.taylor.pth.tar")
    assert found["schedule"] == "OSLOM"
    assert (tmp_path / "digits" / "LeNet_300_100.specialize.3.OSLOM.pth.tar").exists()


def test_a_published_line_that_is_damaged_is_told_and_its_cell_made_again(main, published, every_third, tmp_path):
    saved = SavedModels(tmp_path / "published", "LeNet_300_100")
    shutil.copytree(published, saved.root)
    lines = saved.runs().read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if '"LeNet_300_100.specialize.3.OSLOM.json"' in line)
    saved.runs().write_text("\n".join([*lines[:number], lines[number][:-9], *lines[number + 1 :]]))
    words = ("--oslom-bin", every_third, "--save-dir", tmp_path / "new", "--resume-from", saved.root)
    done = main(QUICK, "--algos OSLOM", *words)
    assert done.code == 0 and done.out.count("already published") == 1
    assert f"{saved.runs()}, line {number + 1} is left out: " in done.out
    assert names(tmp_path / "new" / "digits").count("LeNet_300_100.specialize.3.best_retrained.pth.tar") == 1


def test_a_folder_without_published_runs_is_a_mistake(main, tmp_path, listing):
    done = main(QUICK, "--save-dir", tmp_path / "new", "--resume-from", tmp_path)
    assert done.code == 2 and done.err.count("\n") == 1 and "no LeNet_300_100.runs.jsonl in it" in done.err
    assert listing(tmp_path) == {}


# ------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    "words, told",
    [
        ("--dataset digits --seeds 1 2", "--seeds goes with --sweep"),
        ("--dataset digits --algos random", "--algos goes with --sweep"),
        ("--sweep --dataset digits --seeds 0", "--seeds"),
        ("--sweep --dataset digits --algos chance", "chance"),
        ("--sweep --dataset digits --min-balanced 1.2", "--min-balanced"),
        ("--sweep --dataset digits --candidates width", "width"),
        ("--sweep --dataset digits --oslom-seeds 0", "--oslom-seeds"),
    ],
)
def test_words_that_make_no_sense(main, words, told, tmp_path, listing):
    done = main(words, "--save-dir", tmp_path)
    assert done.code == 2 and told in done.err and done.err.count("\n") == 1 and listing(tmp_path) == {}


def test_the_algorithms_are_those_of_the_help(main, capsys):
    with pytest.raises(SystemExit):
        main("--help")
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*rivals.ALGORITHMS, *rivals.CONTROLS))
