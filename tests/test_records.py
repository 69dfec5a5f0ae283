"""Which metrics files count: all of a data set below a folder, unless hidden, wrong, or no longer of their network."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metrics_files import KEPT, pruned, retrained, trained, written

from specdnn import files
from specdnn.files import SavedModels
from specdnn.results import overview, records, report, runs, scorecard

STEPS = [{"stage": "warm-up", "widths": [5, 4, 1], "true_weights": 90, "validation_score": None}]
STEPS += [{"stage": "round 1", "widths": [3, 2, 1], "true_weights": 60, "validation_score": 0.8}]
STORY = {"significance": 0.01, "captured_relevance": 0.5, "joined": 0, "output_in_community": True, "rounds": 1}
STORY |= {"steps": STEPS, "community_true_weights": 40, "schedule": "own", "input_hash": "x", "options": {"rate": 0.5}}
EXHIBIT = {
    "class": 0,
    "name": "nought",
    "kept": KEPT,
    "mean_image": [[0, 255], [9, 1]],
    "places": [[1, 0], [0, 2]],
    "strengths": [[[0.5, 1], [0, 2], [1, 0]], [[0.25], [1e-3]]],
}
WHOLE = {"accuracy": [0.5, 0.25], "mean_accuracy": 0.375, "balanced_accuracy": [0.5, None], "auroc": [None, 0.5]}
FILES = {
    "net.best_origin": trained(checkpoint_hash="a"),
    "net.specialize.0.OSLOM": pruned(0, checkpoint_hash="b", **STORY),
    "net.specialize.0.best_retrained": retrained(0, checkpoint_hash="c"),
    "net.specialize.1.best_retrained": retrained(1, checkpoint_hash="d", auroc=None, kept={**KEPT, "input": [1]}),
    "net.specialize.0.random.best_retrained": retrained(0, algo="random", checkpoint_hash="e"),
    "net.specialize.0-1.best_retrained": retrained(0, classes=[0, 1], checkpoint_hash="f", **WHOLE),
    "net.exhibits": {"verb": "exhibits", "arch": "net", "dataset": "pairs", "classes": [EXHIBIT]},
}


def below(folder):
    return records.below(folder, "pairs")


def files_of(found, folder):
    return sorted(m["file"].relative_to(folder).as_posix() for m in found.found)


def write(path, told) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told), encoding="utf-8")


def test_all_of_the_data_set_below_the_folder_is_found(tmp_path):
    for name, seed in (("a", 1), ("seed2/a", 2), ("half/pairs/a", 1), ("pairs/seed3/a", 3), ("half/seed2/small/a", 2)):
        written(tmp_path / f"{name}.json", retrained(0, seed))
    written(tmp_path / "pairs/b.json", retrained(0, dataset="others"))
    found = below(tmp_path)
    assert found.left_out == []
    assert {m["file"].parent.relative_to(tmp_path).as_posix(): m["place"] for m in found.found} == {
        ".": (), "seed2": (), "half/pairs": ("half",), "pairs/seed3": (), "half/seed2/small": ("half", "small"),
    }  # fmt: skip
    assert {m["name"] for m in found.found} == {
        "a.json", "seed2.a.json", "half.pairs.a.json", "pairs.seed3.a.json", "half.seed2.small.a.json",
    }  # fmt: skip


def test_hidden_replaced_and_evidence_files_are_not_read(tmp_path):
    for name in (".hidden/a", "x/.ipynb_checkpoints/a", "replaced/a", "x/replaced/2/a", "a.rounds/1", ".a"):
        write(tmp_path / f"{name}.json", ["no metrics"])
    written(tmp_path / "a.json", retrained(0))
    assert files_of(below(tmp_path), tmp_path) == ["a.json"] and below(tmp_path).left_out == []


# ------------------------------------------------------------------------------------------ networks that are gone


def test_the_checkpoint_must_be_the_one_that_was_measured(tmp_path):
    paths = [written(tmp_path / f"{k}.json", retrained(k)) for k in range(3)]
    paths[0].with_suffix(".pth.tar").write_bytes(b"another one")
    paths[1].with_suffix(".pth.tar").unlink()
    found = below(tmp_path)
    assert files_of(found, tmp_path) == ["2.json"]
    assert found.left_out == [
        f"{paths[0]} is left out: its checkpoint is another file than the one that was measured",
        f"{paths[1]} is left out: its checkpoint 1.pth.tar is missing",
    ]


def test_a_lost_pruned_network_still_tells_the_budget(tmp_path):
    """But none of its figures; those of the parent are gone likewise."""
    path = written(tmp_path / "net.0.OSLOM.json", pruned(0, options={"rate": 0.25}))
    parent = written(tmp_path / "net.json", trained())
    written(tmp_path / "net.0.best_retrained.json", retrained(0))
    for lost in (path, parent):
        lost.with_suffix(".pth.tar").unlink()
    found = below(tmp_path)
    (row,) = scorecard.cells(found.found, "net")
    assert len(found.left_out) == 2 and row["budget"] == (0.25, None, None)
    assert "pruned_accuracy" not in row and scorecard.parents(found.found, [row]) == []


def test_every_checkpoint_is_read_once(tmp_path, monkeypatch):
    for k in range(3):
        written(tmp_path / f"{k}.json", retrained(k))
    seen, original = [], files.file_hash
    monkeypatch.setattr(files, "file_hash", lambda path: seen.append(path) or original(path))
    assert len(below(tmp_path).found) == 3 and len(seen) == len(set(seen)) == 3


# ------------------------------------------------------------------------------------------ files that are wrong


def broken(**more) -> str:
    return json.dumps(retrained(0, **{"checkpoint_hash": "a", **more}))


def lacking(name: str) -> str:
    return json.dumps({k: v for k, v in json.loads(broken()).items() if k != name})


WRONG = pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "it is no metrics file but []"),
        ("7", "it is no metrics file but 7"),
        ("{}", "dataset is missing"),
        (broken()[:300], "it cannot be read as JSON"),
        ("[" * 100000, "it cannot be read as JSON"),
        (broken().replace("{", '{"deep": ' + 500 * "[" + 500 * "]" + ", ", 1), "nested more than 20 levels deep"),
        (b"\xff\xfe", "it cannot be read as JSON"),
        (broken().replace("0.5", "NaN", 1), "NaN is no number"),
        (broken().replace("0.5", "Infinity", 1), "Infinity is no number"),
        (broken(verb="sweep"), 'verb must be train, prune, retrain, compose or exhibits, got "sweep"'),
        (lacking("seed"), "seed is missing"),
        (lacking("options"), "options is missing"),
        (lacking("true_weights"), "true_weights is missing"),
        (broken(accuracy="0.99"), 'accuracy must be a number from 0 to 1 or null, got "0.99"'),
        (broken(accuracy=99.0), "accuracy must be a number from 0 to 1 or null, got 99.0"),
        (broken(accuracy=[0.5]), "accuracy must be"),
        (broken(true_weights=0), "true_weights must be a whole number above 0, got 0"),
        (broken(true_weights=1e400).replace("Infinity", "1e400"), "true_weights must be"),
        (broken(paper_rule_rate=None), "paper_rule_rate must be a number above 0, got null"),
        (broken(classes=[]), "classes must be a list of different classes, got []"),
        (broken(classes=[1, 1]), "classes must be"),
        (broken(classes="3"), "classes must be"),
        (broken(seed=True), "seed must be a whole number, got true"),
        (broken(kept={"input": [1]}), "kept must be"),
        (broken(kept={"input": ["1"], "out": [0]}), "kept must be"),
        (broken(options={"rate": "half"}), "options must be"),
        (broken(options=[]), "options must be"),
        (broken(steps=[{"stage": "round 1"}]), "steps must be"),
        (json.dumps({"verb": "exhibits", "dataset": "pairs", "arch": "net", "classes": [{}]}), "classes must be"),
    ],
)


@WRONG
def test_a_file_that_is_wrong_is_left_out_with_one_sentence(text, why, tmp_path):
    path = tmp_path / "net.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = below(tmp_path)
    assert found.found == [] and len(found.left_out) == 1
    assert found.left_out[0].startswith(f"{path} is left out: ") and why in found.left_out[0]
    assert "\n" not in found.left_out[0] and len(found.left_out[0]) < len(str(path)) + 150


@WRONG
def test_a_published_line_that_is_wrong_is_left_out_with_one_sentence(text, why, tmp_path):
    saved = SavedModels(tmp_path, "net")
    runs.add(saved, [{**retrained(k, checkpoint_hash="a"), "name": f"net.{k}.json"} for k in (0, 1)])
    first, second = saved.runs().read_bytes().splitlines()
    saved.runs().write_bytes(b"\n".join([first, text if isinstance(text, bytes) else text.encode(), second]))
    found = runs.read(saved, "pairs")
    assert [m["name"] for m in found.found] == ["net.0.json", "net.1.json"] and len(found.left_out) == 1
    assert found.left_out[0].startswith(f"{saved.runs()}, line 2 is left out: ") and why in found.left_out[0]
    assert "\n" not in found.left_out[0] and len(found.left_out[0]) < len(str(saved.runs())) + 160


def test_texts_are_utf8_whatever_the_terminal_speaks(tmp_path, monkeypatch):
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ascii")
    path = written(tmp_path / "net.json", retrained(0, date="März"))
    path.write_bytes(json.dumps(json.loads(path.read_bytes()), ensure_ascii=False).encode())
    assert [m["date"] for m in below(tmp_path).found] == ["März"]


# ------------------------------------------------------------------------------------------ any file at all


def paths_in(value, path=()):
    """Every place in nested lists and dictionaries."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from paths_in(value[key], (*path, key))


PLACES = [(name, path) for name, told in FILES.items() for path in paths_in(told)]
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([10**400, 2**63, -0.5, 0.5, 1e300, 1e999])
VALUES = st.recursive(
    SCALARS | st.text(max_size=3) | st.sampled_from(["OSLOM", "net", "$x$", "round"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rate", "a", "stage"]), inner),
    max_leaves=4,
)
CHANGES = st.lists(st.tuples(st.sampled_from(PLACES), st.just("delete") | VALUES), min_size=1, max_size=3)


def changed(changes) -> dict[str, object]:
    """The files with some values replaced or taken away."""
    files = json.loads(json.dumps(FILES))  # nothing shared
    for (name, path), value in changes:
        holder, (*way, last) = {"": files[name]}, ("", *path)
        try:
            for key in way:
                holder = holder[key]
            if value == "delete":
                del holder[last]
            else:
                holder[last] = value
            files[name] = files[name] if path or value == "delete" else value
        except (LookupError, TypeError):
            pass  # an earlier change took the place away
    return files


def read(folder):
    return runs.read(SavedModels(folder, "net"), "pairs")


def results_of(files, folder):
    """Of what is published, whose lines may be anything."""
    named = [{"name": f"{k}.json", **told} if isinstance(told, dict) else told for k, told in files.items()]
    SavedModels(folder, "net").runs().write_text("\n".join(map(json.dumps, named)), encoding="utf-8")
    return overview.of_network(read(folder).found, "net", folder / "published.csv")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    lines = ["dataset,arch,class,paper_rule_rate,accuracy", *(f"pairs,net,{k},0.6,0.4" for k in range(3))]
    (folder / "published.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_the_files_as_they_are_give_everything(place):
    own = results_of(FILES, place)
    assert read(place).left_out == [] and len(own.exhibits) == 1 and len(own.several) == 1 and len(own.rows) == 3
    kinds = {path.name for path in own.files(SavedModels(place, "net"))}
    pictures = {f"{kind}.net.png" for kind in ("pareto", "classes", "kept", "overlap")}
    assert kinds == {"net.md", "net.html", "net.csv", "pareto.net.csv", *pictures}


@given(CHANGES)
def test_no_change_of_a_file_ends_the_report(place, changes):
    """A changed file counts or is left out; the texts are made in any case."""
    own = results_of(changed(changes), place)
    if own is not None:
        text = own.markdown(SavedModels(place, "net"))
        assert "nan" not in text and own.readme(SavedModels(place, "net"), place)
        report.csv_table([*own.rows, *own.several])
        report.csv_points(scorecard.pareto_points(own.rows))


OSLOM, SHOWN = "net.specialize.0.OSLOM", "net.specialize.0.best_retrained"


@pytest.mark.parametrize(
    "change",
    [
        ((OSLOM, ("steps", 1, "validation_score")), None),
        ((SHOWN, ("accuracy",)), None),
        ((SHOWN, ("kept", "hidden")), "delete"),
        (("net.exhibits", ("classes", 0, "name")), "$x_$"),
    ],
    ids=["score", "accuracy", "layer", "name"],
)
def test_pictures_are_drawn_of_what_is_undefined_or_strange(place, change):
    own = results_of(changed([change]), place)
    drawn = [content for content in own.files(SavedModels(place, "net")).values() if isinstance(content, bytes)]
    assert read(place).left_out == [] and drawn
