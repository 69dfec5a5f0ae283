"""Every option is declared once and says which stages it shapes; command line, checks and skipping read that."""

import json
from dataclasses import fields

import pytest

from specdnn import cli, options, rivals
from specdnn.files import SavedModels
from specdnn.network import training, watching
from specdnn.options import STAGES, Options
from specdnn.results import runs
from specdnn.structures import SpecDNNError

# What shaped the published runs: a run that is published is not made again while these stay as they are.
COMMON = "arch dataset seed threads cuda split loss optimizer batch_size lr_epochs momentum weight_decay"
PUBLISHED = {
    "train": f"{COMMON} epochs lr",
    "prune": f"""{COMMON} classes algo warmup_epochs group_l1 rounds brief_epochs brief_lr keep strength rate trim_steps
        trim_l1 trim_lr max_params min_balanced candidates trim oslom_bin oslom_runs oslom_t oslom_seeds""",
    "retrain": f"{COMMON} classes retrain_epochs retrain_lr",
    "evaluate": f"{COMMON} classes",
    "compose": COMMON,
}


@pytest.fixture
def parser(folder):
    return cli.parser(folder.path, folder.architectures, folder.dataset)


def resolved(**changed) -> Options:
    values = {f.name: f.default for f in fields(Options)}
    return Options(**{**values, **changed})


def test_every_option_says_which_stages_it_shapes():
    for declared in fields(Options):
        assert set(declared.metadata["shapes"]) <= set(STAGES), declared.name


def test_an_option_that_says_nothing_cannot_be_declared():
    with pytest.raises(TypeError, match="shapes"):
        options.option(1, "help", group=options.TRAINING)


def test_the_command_line_has_these_options_and_no_others(parser):
    verbs = {"help", "version", *options.VERBS}
    assert {action.dest for action in parser._actions} - verbs == {
        f.name for f in fields(Options) if "group" in f.metadata
    }


@pytest.mark.parametrize("stage", STAGES)
def test_the_identity_of_published_runs_is_frozen(stage, folder):
    assert set(resolved().shaping(stage)) == set(PUBLISHED[stage].split())
    kinds = {"train": "best_origin", "prune": "specialize.0.OSLOM", "retrain": "specialize.0.best_retrained"}
    if stage in kinds:
        found = runs.read(SavedModels(folder.path / "results", "LeNet_5"), folder.dataset.DEFAULT).found
        published = next(m for m in found if m["name"] == f"LeNet_5.{kinds[stage]}.json")
        assert set(published["options"]) == set(PUBLISHED[stage].split())


def test_options_are_recorded_as_json_gives_them_back():
    told = resolved(classes=(3, 7), oslom_bin="./mine").shaping("prune")
    assert json.loads(json.dumps(told)) == told and told["classes"] == [3, 7] and told["oslom_bin"] == "./mine"


def test_choices_are_those_of_the_rooms_that_have_them():
    choices = {f.name: f.metadata["argument"].get("choices") for f in fields(Options) if "group" in f.metadata}
    assert set(choices["algo"]) == set(choices["algos"]) == set(rivals.ALGORITHMS) | set(rivals.CONTROLS)
    assert set(choices["strength"]) == set(watching.STRENGTHS)
    assert set(choices["loss"]) == set(training.LOSSES)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1])
def test_no_number_may_be_out_of_range(parser, value):
    """Every option that takes a fraction has a range, and no range lets these through."""
    for declared in fields(Options):
        if declared.metadata.get("argument", {}).get("type") in (float, options.rate):
            args = parser.parse_args([])
            setattr(args, declared.name, value)
            with pytest.raises(SpecDNNError, match=options.flags(declared)[0]):
                options.check_ranges(args)


def test_the_home_is_found_in_every_path(parser, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["--data-dir=~/a", "--save-dir", "~/b", "--pretrained=~/c", "--resume-from", "~/d"]
    args = parser.parse_args(words)
    found = [args.data_dir, args.save_dir, args.pretrained, args.resume_from]
    assert found == [tmp_path / name for name in "abcd"]


def test_an_empty_setting_is_none(folder, monkeypatch):
    for name in ("SPECDNN_DATA", "OSLOM_BIN"):
        monkeypatch.setenv(name, "")
    args = cli.parser(folder.path, folder.architectures, folder.dataset).parse_args([])
    assert args.data_dir is None and args.oslom_bin is None


def test_a_program_keeps_its_dot(parser):
    assert parser.parse_args(["--oslom-bin", "./mine"]).oslom_bin == "./mine"
