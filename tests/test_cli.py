"""Every verb of `main.py` on `digits`: what is written, what is skipped, what the options do."""

import csv
import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from metrics_files import written

from specdnn import cli, community, files, stages, verbs
from specdnn.community.class_graph import class_graph
from specdnn.files import SavedModels
from specdnn.network import evaluation, netfile, scores, watching
from specdnn.network.surgery import cut
from specdnn.results import report, runs
from specdnn.structures import paper_rule_of

pytestmark = pytest.mark.usefixtures("undrawn")

ONLY_THE_COMMUNITY = "--prune --warmup-epochs 0 --rounds 1 --brief-epochs 0"
QUICK_SWEEP = """--sweep --dataset digits --epochs 1 --retrain-epochs 1
    --warmup-epochs 0 --rounds 1 --brief-epochs 0"""
FLAGS = """--batch-size --test-batch-size --epochs --lr-epochs --lr --momentum --weight-decay --wd --no-cuda --seed
    --log-interval --arch --pretrained --evaluate --retrain --prune --specialize --algo --dataset --data-dir
    --warmup-epochs --rounds --brief-epochs --retrain-epochs --keep --strength --rate --max-params --loss --split
    --threads --oslom-bin --oslom-runs --oslom-t --save-dir --report --sweep"""
MEASURED = """arch dataset classes algo seed split accuracy always_no_accuracy balanced_accuracy precision recall f1
    auroc tp fp fn tn kept true_weights true_parameters true_rate paper_rule_rate macs seconds options threads
    git_commit torch_version python_version output_in_community significance module_sizes captured_relevance joined"""
TRAINED = ("LeNet_300_100.best_origin.json", "LeNet_300_100.best_origin.pth.tar")


def metrics(path):
    return json.loads(files.metrics_path(path).read_text())


def names(place):
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


@pytest.fixture
def prune(main, parents, every_third, tmp_path):
    """Prune with the fast fake program: words -> (checkpoint path, result)."""

    def run(*words, arch="LeNet_300_100", oslom=every_third, stem="specialize.3"):
        words = (*words, "--oslom-bin", oslom) if oslom else words
        done = main("--pretrained", parents[arch], "--save-dir", tmp_path, *words)
        assert done.code == 0, done.err
        return tmp_path / "digits" / f"{arch}.{stem}.OSLOM.pth.tar", done

    return run


# ------------------------------------------------------------------------------------------ once for real


def test_main_py_as_a_program(folder, tmp_path):
    """From another folder, with a relative path: train, and a mistake."""

    def run(words):
        command = [sys.executable, str(folder.path / "main.py"), *words.split(), "--threads", "1"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    done = run("--dataset digits --epochs 1 --save-dir out")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert names(tmp_path) == [f"out/digits/{name}" for name in TRAINED]
    done = run("--arch VGG")
    assert done.returncode == 2 and done.stderr.startswith("main.py: error: ") and done.stderr.count("\n") == 1


def test_help_groups_the_options_and_gives_their_defaults(folder):
    done = subprocess.run([sys.executable, str(folder.path / "main.py"), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for flag in FLAGS.split():
        assert f"{flag} " in done.stdout or f"{flag}," in done.stdout or f"[{flag}]" in done.stdout, flag
    for group in ("training:", "extraction", "the OSLOM program"):
        assert f"\n{group}" in done.stdout, group


def test_every_option_has_a_line_of_help_and_shows_its_default(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # no line breaks inside a path
    parser = cli.parser(folder.path, folder.architectures, folder.dataset)
    for action in parser._actions:
        assert action.help, action.option_strings
        if action.default not in (None, False, "==SUPPRESS=="):
            assert f"(default: {action.default})" in parser.format_help(), action.option_strings


# ------------------------------------------------------------------------------------------ train and evaluate


@pytest.mark.parametrize("arch", ["LeNet_300_100", "LeNet_5"])
def test_training_leaves_a_checkpoint_and_its_metrics(arch, parents, loaded, digits):
    path = parents[arch]
    found, network = metrics(path), loaded(path).compact.network
    assert found["arch"] == arch and found["dataset"] == "digits" and found["verb"] == "train"
    assert found["seed"] == 1 and found["split"] == "test" and found["classes"] == list(range(10))
    said = evaluation.logits_of(network, digits.test.images).argmax(1)
    assert found["accuracy"] == pytest.approx((said == digits.test.labels).double().mean().item())
    assert found["always_no_accuracy"] == pytest.approx(
        [1 - (digits.test.labels == c).double().mean().item() for c in range(10)]
    )
    assert found["true_weights"] == found["paper_rule_weights"] == {"LeNet_300_100": 266_200, "LeNet_5": 430_500}[arch]
    assert found["file_bytes"] == path.stat().st_size


def test_a_metrics_file_tells_what_was_measured_and_how(pruned):
    for path in pruned.values():
        found = metrics(path)
        for name in MEASURED.split():
            assert name in found, name
        for name in (
            "accuracy",
            "balanced_accuracy",
            "precision",
            "recall",
            "true_rate",
            "paper_rule_rate",
            "captured_relevance",
        ):
            assert 0 <= found[name] <= 1
        assert found["tp"] + found["fp"] + found["fn"] + found["tn"] == 360
        assert found["algo"] == "OSLOM" and found["classes"] == [3] and found["options"]["keep"] == 0.2
        assert {name for name, value in found.items() if isinstance(value, dict)} == {
            "kept",
            "options",
            "seconds",
            "pins",
        }
        assert found["pins"] == {}


def test_evaluating_measures_any_checkpoint_and_writes_nothing(main, parents, pruned, tmp_path, listing):
    for path in (*parents.values(), *pruned.values()):
        before = listing(path.parent)
        done = main("--evaluate --pretrained", path, "--save-dir", tmp_path / "none")
        assert done.code == 0, done.err
        told = json.loads(done.out[: done.out.rindex("}") + 1])
        assert (
            told["accuracy"] == metrics(path)["accuracy"]
            and told["balanced_accuracy"] == metrics(path)["balanced_accuracy"]
        )
        assert listing(path.parent) == before and not (tmp_path / "none").exists()


def test_evaluating_needs_no_folder_to_write_to(main, parents, tmp_path):
    (tmp_path / "file").write_text("")
    words = ("--evaluate --pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path / "file")
    assert main(*words).code == 0


def test_evaluating_a_parent_for_one_class_is_one_against_rest(main, parents, tmp_path):
    done = main("--evaluate --specialize 4 --pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path)
    told = json.loads(done.out[: done.out.rindex("}") + 1])
    assert told["accuracy"] == metrics(parents["LeNet_300_100"])["one_against_rest_accuracy"][4]


def test_choices_are_made_on_the_validation_split(parents, pruned, loaded, digits):
    """What epochs are chosen by: argmax accuracy, or the mean of accuracy and balanced accuracy."""
    for path in (*parents.values(), *pruned.values()):
        made = loaded(path)
        logits = evaluation.logits_of(made.compact.network, digits.validation.images)
        accuracy, balanced = evaluation.headline(
            evaluation.all_metrics(logits, digits.validation.labels, made.classes, 10)
        )
        expected = accuracy if len(made.classes) == 10 else (accuracy + balanced) / 2
        assert metrics(path)["validation_score"] == made.accuracy == pytest.approx(expected)


def test_the_validation_split_is_measured_on_request(main, parents, tmp_path):
    done = main("--evaluate --specialize 4 --split validation --pretrained", parents["LeNet_300_100"])
    told = json.loads(done.out[: done.out.rindex("}") + 1])
    assert told["split"] == "validation" and told["tp"] + told["fp"] + told["fn"] + told["tn"] == 180


def test_a_line_of_metrics_per_epoch(main, tmp_path):
    done = main("--dataset digits --epochs 3 --save-dir", tmp_path)
    assert [f"epoch {k}/3" in done.out for k in (1, 2, 3)] == [True] * 3
    done = main("--dataset digits --epochs 3 --log-interval 2 --seed 2 --save-dir", tmp_path)
    assert [f"epoch {k}/3" in done.out for k in (1, 2, 3)] == [False, True, True]


def test_other_seeds_have_a_folder_of_their_own(main, tmp_path):
    assert main("--dataset digits --epochs 0 --seed 2 --save-dir", tmp_path).code == 0
    assert names(tmp_path) == [f"digits/seed2/{name}" for name in TRAINED]


@pytest.mark.parametrize(
    "words", ["--loss mse --loss ce --optimizer SGD --lr 0.1 --lr-epochs 15 --wd 0.01 --batch-size 64"]
)
def test_the_published_training_options(main, tmp_path, words):
    assert main("--dataset digits --epochs 1 --save-dir", tmp_path, *words.split()).code == 0
    assert names(tmp_path) == [f"digits/{name}" for name in TRAINED]


# ------------------------------------------------------------------------------------------ skipping finished steps


def test_a_finished_step_is_skipped_and_says_so(main, tmp_path, listing):
    words = ("--dataset digits --epochs 1 --save-dir", tmp_path)
    main(*words)
    before = listing(tmp_path)
    assert "already finished" in main(*words).out
    assert listing(tmp_path) == before


@pytest.mark.parametrize("changed", ["--epochs 2", "--lr 0.001", "--split validation", "--loss mse", "--batch-size 64"])
def test_a_step_with_other_options_is_made_again_and_says_so(main, tmp_path, changed):
    main("--dataset digits --epochs 1 --save-dir", tmp_path)
    path = tmp_path / "digits" / TRAINED[0]
    before = path.read_text()
    assert "made again" in main("--dataset digits --epochs 1 --save-dir", tmp_path, *changed.split()).out
    assert path.read_text() != before


def test_options_that_do_not_shape_the_result_do_not_redo_it(main, tmp_path):
    main("--dataset digits --epochs 1 --save-dir", tmp_path)
    words = "--epochs 1 --log-interval 5 --keep 0.5 --retrain-epochs 3 --oslom-timeout 7 --data-dir elsewhere"
    assert "already finished" in main(words, "--dataset digits --save-dir", tmp_path).out


def test_another_input_redoes_a_step(main, prune, tmp_path):
    path, _ = prune(ONLY_THE_COMMUNITY, "--specialize 3")
    words = ("--retrain --retrain-epochs 1 --pretrained", path, "--save-dir", tmp_path)
    assert "already finished" not in main(*words).out
    assert "already finished" in main(*words).out
    prune(ONLY_THE_COMMUNITY, "--specialize 3 --strength activation --keep 0.01")
    assert "made again" in main(*words).out


def test_a_missing_checkpoint_or_a_damaged_metrics_file_redoes_a_step(main, tmp_path):
    words = ("--dataset digits --epochs 0 --save-dir", tmp_path)
    main(*words)
    (tmp_path / "digits" / TRAINED[1]).unlink()
    assert "already finished" not in main(*words).out
    (tmp_path / "digits" / TRAINED[0]).write_text("{")
    assert "already finished" not in main(*words).out
    assert "already finished" in main(*words).out


def test_a_step_broken_off_before_its_metrics_is_not_finished(main, monkeypatch, tmp_path):
    """The metrics file of the step before must not vouch for the new checkpoint."""
    words = ("--dataset digits --save-dir", tmp_path, "--epochs")
    main(*words, "0")

    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_metrics", interrupted)
        assert main(*words, "1").code == 130
    assert "already finished" not in main(*words, "0").out


# ------------------------------------------------------------------------------------------ prune


@pytest.mark.parametrize("arch", ["LeNet_300_100", "LeNet_5"])
def test_the_published_meaning_of_prune(arch, prune, parents, loaded, digits, folder):
    """No warm-up, one round, no training: the community of the pretrained network, its weights as they were."""
    path, _ = prune(ONLY_THE_COMMUNITY, "--specialize 3", arch=arch)
    parent, made = loaded(parents[arch]), loaded(path)
    outputs = len(parent.compact.kept.units) - 1
    wanted = cut(parent.compact, parent.compact.kept.replace(outputs, (3,)))
    means = watching.class_means(wanted, digits.train, 10, digits.normalisation)
    found = scores.strengths(wanted, watching.contrast(means, (3,)))
    seen = class_graph(parent.compact.wiring.layers, wanted.kept, *found, 0.2)
    evidence = path.parent / f"{arch}.specialize.3.OSLOM.rounds"
    assert (evidence / "1.edges").read_text() == community.edge_text(seen.edges, seen.strengths)
    module = community.read_tp((evidence / "1.tp").read_text()).significant[0]
    expected = wanted.kept
    for depth in seen.layers.prunable:
        expected = expected.replace(depth, seen.units(module.nodes)[depth])
    assert made.compact.kept == expected
    dull = cut(parent.compact, expected).network.state_dict()
    assert all(torch.equal(tensor, dull[name]) for name, tensor in made.compact.network.state_dict().items())
    found = metrics(path)
    assert found["kept"] == dict(zip(seen.layers.names, map(list, expected.units), strict=True))
    assert found["rounds"] == 1 and found["joined"] == 0 and found["module_sizes"] == [len(module.nodes)]
    assert found["output_in_community"] == bool(set(module.nodes) & set(seen.outputs.tolist()))


def test_every_round_leaves_its_evidence(prune, loaded):
    path, _ = prune("--prune --specialize 3 --rounds 2 --warmup-epochs 0 --brief-epochs 1")
    evidence = path.with_name("LeNet_300_100.specialize.3.OSLOM.rounds")
    assert names(evidence) == [f"{k}.{ending}" for k in (1, 2) for ending in ("edges", "json", "tp")]
    first, second = (json.loads((evidence / f"{k}.json").read_text()) for k in (1, 2))
    for k, told in enumerate((first, second), start=1):
        edges, strengths = community.read_edges((evidence / f"{k}.edges").read_text())
        cover = community.read_tp((evidence / f"{k}.tp").read_text())
        assert {node for m in cover.modules for node in m.nodes} == set(edges.ravel().tolist())
        assert (strengths > 0).all()
        assert 0 <= told["validation_score"] <= 1 and told["true_weights"] > 0
    assert all(set(second["kept"][layer]) <= set(units) for layer, units in first["kept"].items())
    assert second["true_weights"] < first["true_weights"]
    assert [list(units) for units in loaded(path).compact.kept.units] == list(second["kept"].values())
    # the second graph holds no unit that the first round dropped
    later, _ = community.read_edges((evidence / "2.edges").read_text())
    assert set(later[:, 0].tolist()) <= set(first["kept"]["input"]) | {784 + u for u in first["kept"]["ip1"]} | {
        1084 + u for u in first["kept"]["ip2"]
    }
    assert metrics(path)["rounds"] == 2


def test_fewer_rounds_leave_no_evidence_of_the_rounds_before(prune):
    path, _ = prune("--prune --specialize 3 --rounds 2 --warmup-epochs 0 --brief-epochs 0")
    path, done = prune(ONLY_THE_COMMUNITY, "--specialize 3")
    assert "made again" in done.out
    assert names(path.with_name("LeNet_300_100.specialize.3.OSLOM.rounds")) == ["1.edges", "1.json", "1.tp"]


def test_several_classes_give_one_network_with_an_output_each(main, prune, loaded, tmp_path, digits):
    path, _ = prune(ONLY_THE_COMMUNITY, "--specialize 7 0 3", stem="specialize.0-3-7")
    found = metrics(path)
    assert found["classes"] == [0, 3, 7] and loaded(path).compact.kept.widths[-1] == 3
    assert len(found["accuracy"]) == len(found["auroc"]) == 3
    assert found["mean_accuracy"] == pytest.approx(np.mean(found["accuracy"]))
    done = main("--retrain --specialize 0 3 7 --retrain-epochs 1 --pretrained", path, "--save-dir", tmp_path)
    assert done.code == 0, done.err
    again = tmp_path / "digits" / "LeNet_300_100.specialize.0-3-7.best_retrained.pth.tar"
    assert metrics(again)["classes"] == [0, 3, 7]
    logits = evaluation.logits_of(loaded(again).compact.network, digits.test.images)
    for k, c in enumerate((0, 3, 7)):
        right = ((logits[:, k] > 0) == (digits.test.labels == c)).double().mean().item()
        assert metrics(again)["accuracy"][k] == pytest.approx(right)
    own = np.isin(digits.test.labels, (0, 3, 7))
    said = np.array([0, 3, 7])[logits.argmax(1)][own]
    assert metrics(again)["accuracy_among"] == pytest.approx((said == digits.test.labels.numpy()[own]).mean())


def test_no_class_named_means_all_ten(main, prune, loaded, tmp_path, digits):
    path, _ = prune(ONLY_THE_COMMUNITY, stem="prune")
    found = metrics(path)
    assert found["classes"] == list(range(10)) and len(found["balanced_accuracy"]) == 10
    done = main("--retrain --retrain-epochs 1 --pretrained", path, "--save-dir", tmp_path)
    assert done.code == 0, done.err
    again = tmp_path / "digits" / "LeNet_300_100.best_retrained.pth.tar"
    said = evaluation.logits_of(loaded(again).compact.network, digits.test.images).argmax(1)
    assert metrics(again)["accuracy"] == pytest.approx((said == digits.test.labels).double().mean().item())
    assert len(metrics(again)["one_against_rest_accuracy"]) == 10


def test_naming_all_ten_classes_is_naming_none(prune):
    prune(ONLY_THE_COMMUNITY, "--specialize 9 8 7 6 5 4 3 2 1 0", stem="prune")
    path, again = prune(ONLY_THE_COMMUNITY, stem="prune")
    assert metrics(path)["classes"] == list(range(10)) and "already finished" in again.out


def test_retraining_a_network_that_nothing_was_cut_from_is_not_called_oslom(main, parents, tmp_path):
    words = ("--retrain --specialize 3 --retrain-epochs 1 --pretrained", parents["LeNet_300_100"])
    assert main(*words, "--save-dir", tmp_path).code == 0
    path = tmp_path / "digits" / "LeNet_300_100.specialize.3.none.best_retrained.pth.tar"
    assert metrics(path)["algo"] == "none"


@pytest.mark.parametrize("arch", ["LeNet_300_100", "LeNet_5"])
@pytest.mark.parametrize("trim", ["norm", "ties", "attribution"])
def test_the_budget_of_the_paper_rule_is_met(arch, trim, prune, loaded, folder):
    words = ("--prune --specialize 3 --warmup-epochs 0 --rounds 1 --brief-epochs 0 --trim", trim)
    path, _ = prune(*words, "--rate 0.02", arch=arch)
    found, rule = metrics(path), paper_rule_of(folder.architectures[arch])
    assert 0.01 < found["paper_rule_rate"] <= 0.02
    widths = loaded(path).compact.kept.widths
    assert found["paper_rule_weights"] == rule(widths)
    assert found["community_true_weights"] > found["true_weights"]


@pytest.mark.parametrize("arch", ["LeNet_300_100", "LeNet_5"])
def test_the_budget_of_true_parameters_is_met(arch, prune, loaded):
    path, _ = prune(ONLY_THE_COMMUNITY, "--specialize 3 --max-params 900", arch=arch)
    parameters = sum(p.numel() for p in loaded(path).compact.network.parameters())
    assert metrics(path)["true_parameters"] == parameters
    assert 450 < parameters <= 900


def test_both_budgets_are_met_together(prune):
    path, _ = prune(ONLY_THE_COMMUNITY, "--specialize 3 --max-params 1500 --rate 0.5")
    assert metrics(path)["true_parameters"] <= 1500
    path, _ = prune(ONLY_THE_COMMUNITY, "--specialize 3 --max-params 100000 --rate 0.01")
    assert metrics(path)["paper_rule_rate"] <= 0.01


def test_a_budget_that_the_community_meets_changes_nothing(prune):
    one, _ = prune(ONLY_THE_COMMUNITY, "--specialize 3")
    kept = metrics(one)["kept"]
    two, _ = prune(ONLY_THE_COMMUNITY, "--specialize 3 --rate 0.9 --max-params 200000")
    assert metrics(two)["kept"] == kept


def test_the_rounds_end_when_the_budget_is_met(prune):
    path, _ = prune("--prune --specialize 3 --warmup-epochs 0 --rounds 4 --brief-epochs 0 --rate", 0.05)
    found = metrics(path)
    assert found["paper_rule_rate"] <= 0.05 and found["rounds"] < 4


def test_warm_up_trains_one_against_rest_and_is_recorded(prune, parents, loaded):
    path, done = prune("--prune --specialize 3 --warmup-epochs 1 --rounds 1 --brief-epochs 0")
    assert "warm-up epoch 1/1" in done.out
    found = metrics(path)
    assert found["options"]["warmup_epochs"] == 1 and found["seconds"]["warm-up"] > 0
    parent, made = loaded(parents["LeNet_300_100"]).compact, loaded(path).compact
    outputs = len(made.kept.units) - 1
    dull = cut(cut(parent, parent.kept.replace(outputs, (3,))), made.kept).network
    assert not torch.equal(dull.ip2.weight, made.network.ip2.weight)


def test_group_l1_belongs_to_the_warm_up(prune):
    words = "--prune --specialize 3 --warmup-epochs 1 --rounds 1 --brief-epochs 1 --group-l1"
    losses = []
    for weight in (0, 1):
        _, done = prune(words, str(weight))
        losses.append([float(line.split("loss ")[1].split()[0]) for line in done.out.splitlines() if " loss " in line])
    (warm_up, brief), (heavy_warm_up, heavy_brief) = losses
    assert heavy_warm_up > warm_up + 100 and heavy_brief < brief + 10


def test_the_trim_has_cuts_and_a_loss_of_its_own(prune):
    words = "--prune --specialize 3 --warmup-epochs 0 --rounds 1 --brief-epochs 1 --rate 0.02 --trim-steps 6"
    losses = {}
    for weight in (0, 1):
        path, done = prune(words, "--trim-l1", weight, "--candidates", "shape")
        assert [step["stage"] for step in metrics(path)["steps"]][-6:] == [f"trim {k}" for k in range(1, 7)]
        told = [line for line in done.out.splitlines() if " loss " in line]
        for stage in ("round 1", "trim 1"):
            losses[stage, weight] = float(next(x for x in told if stage in x).split("loss ")[1].split()[0])
    assert losses["trim 1", 1] > losses["trim 1", 0] + 10 and losses["round 1", 1] == losses["round 1", 0]


def test_a_later_round_without_a_community_ends_the_rounds(prune, fake_program):
    """A program that finds one module in the whole network and none in the survivor."""
    told = """
import os
lines = open("graph").read().split("\\n")
nodes = sorted({int(word) for line in lines for word in line.split()[:2]})
half = nodes[::2]
os.mkdir("graph_oslo_files")
with open("graph_oslo_files/tp", "w") as tp:
    if len(nodes) > 700:
        tp.write(f"#module 0 size: {len(half)} bs: 0.01\\n{' '.join(map(str, half))} \\n")
    else:
        tp.write(f"#module 0 size: 1 bs: 1\\n{nodes[0]} \\n")
"""
    words = "--prune --specialize 3 --warmup-epochs 0 --rounds 3 --brief-epochs 0"
    path, done = prune(words, oslom=fake_program(told))
    assert "rounds end" in done.out and metrics(path)["rounds"] == 1


def test_a_later_community_narrower_than_the_budget_ends_the_rounds(prune, narrowing):
    """The second graph gives one unit per layer, where the budget allows many more: the trim does the rest."""
    words = "--prune --specialize 3 --warmup-epochs 0 --rounds 3 --brief-epochs 0 --rate 0.02"
    path, done = prune(words, oslom=narrowing)
    assert "rounds end" in done.out and metrics(path)["rounds"] == 1
    assert 0.01 < metrics(path)["paper_rule_rate"] <= 0.02


def test_a_first_round_without_a_community_tries_a_denser_graph_and_then_a_larger_tolerance(prune, fake_program):
    told = """
import os, sys
edges = len(open("graph").readlines())
nodes = sorted({int(word) for line in open("graph") for word in line.split()[:2]})
half, tolerance = nodes[::2], float(sys.argv[sys.argv.index("-t") + 1])
os.mkdir("graph_oslo_files")
with open("graph_oslo_files/tp", "w") as tp:
    if tolerance > 0.25 and edges > 90_000:
        tp.write(f"#module 0 size: {len(half)} bs: 0.2\\n{' '.join(map(str, half))} \\n")
    else:
        tp.write(f"#module 0 size: 1 bs: 1\\n{nodes[0]} \\n")
"""
    path, done = prune(ONLY_THE_COMMUNITY, "--specialize 3", oslom=fake_program(told))
    assert "--keep 0.2 and --oslom-t 0.1" in done.out and "--keep 0.4 and --oslom-t 0.1" in done.out
    assert metrics(path)["keep"] == 0.4 and metrics(path)["oslom_t"] == pytest.approx(0.3)


def test_an_already_pruned_network_is_pruned_further(main, prune, pruned, loaded, tmp_path, every_third):
    words = ("--pretrained", pruned["LeNet_300_100"], "--save-dir", tmp_path, "--oslom-bin", every_third)
    assert main(ONLY_THE_COMMUNITY, *words).code == 0
    before, after = (
        loaded(p).compact.kept for p in (pruned["LeNet_300_100"], tmp_path / "digits" / pruned["LeNet_300_100"].name)
    )
    assert all(set(few) <= set(many) for few, many in zip(after.units, before.units, strict=True)) and after != before


# ------------------------------------------------------------------------------------------ retrain


@pytest.mark.parametrize("arch", ["LeNet_300_100", "LeNet_5"])
def test_retraining_keeps_the_units_and_changes_the_weights(arch, main, pruned, loaded, tmp_path):
    done = main("--retrain --specialize 3 --retrain-epochs 2 --pretrained", pruned[arch], "--save-dir", tmp_path)
    assert done.code == 0, done.err
    path = tmp_path / "digits" / f"{arch}.specialize.3.best_retrained.pth.tar"
    before, after = loaded(pruned[arch]), loaded(path)
    assert after.compact.kept == before.compact.kept and after.algo == "OSLOM"
    assert not torch.equal(after.compact.network.ip1.weight, before.compact.network.ip1.weight)
    assert metrics(path)["verb"] == "retrain" and metrics(path)["options"]["retrain_epochs"] == 2


def test_epochs_and_lr_mean_those_of_the_verb(main, pruned, tmp_path):
    words = ("--pretrained", pruned["LeNet_300_100"], "--save-dir", tmp_path)
    done = main("--retrain --epochs 1 --lr 0.002", *words)
    assert "retrain epoch 1/1" in done.out
    options = metrics(tmp_path / "digits" / "LeNet_300_100.specialize.3.best_retrained.pth.tar")["options"]
    assert options["retrain_epochs"] == 1 and options["retrain_lr"] == 0.002


def test_the_published_format_is_evaluated_pruned_and_retrained(
    network_type, main, folder, every_third, tmp_path, parents
):
    """A full-size state_dict with a mask and nothing else, trained elsewhere."""
    arch, state = network_type.__name__, torch.load(parents[network_type.__name__], weights_only=True)["state_dict"]
    mask = [[], [0, 1, 2], [5], [6, 7]] if arch == "LeNet_5" else [[0, 1, 28], [3, 4], [9]]
    torch.save({"state_dict": state, "mask": mask}, tmp_path / "published.pth.tar")
    words = ("--pretrained", tmp_path / "published.pth.tar", "--dataset digits --save-dir", tmp_path / "out")
    assert main("--evaluate", *words).code == 0
    done = main(ONLY_THE_COMMUNITY, "--specialize 3 --oslom-bin", every_third, *words)
    assert done.code == 0, done.err
    path = tmp_path / "out" / "digits" / f"{arch}.specialize.3.OSLOM.pth.tar"
    kept = list(metrics(path)["kept"].values())
    assert not any(set(gone) & set(units) for gone, units in zip(mask, kept, strict=False))
    made = netfile.load(path, folder.architectures)
    assert made.dataset == "digits" and made.normalisation == folder.dataset.NORMALISATION["digits"] and made.seed == 1
    done = main("--retrain --specialize 3 --retrain-epochs 1", *words)
    assert done.code == 0, done.err


# ------------------------------------------------------------------------------------------ sweep, report, publish


@pytest.fixture(scope="module")
def swept(call, real_program, tmp_path_factory):
    """A sweep over two classes with the real program."""
    place = tmp_path_factory.mktemp("swept")
    assert call(QUICK_SWEEP, "--specialize 0 3 --save-dir", place) == 0
    return place


def test_a_sweep_leaves_parent_classes_and_table(swept):
    stems = ["best_origin", *(f"specialize.{k}.{what}" for k in (0, 3) for what in ("OSLOM", "best_retrained"))]
    files = [f"LeNet_300_100.{stem}.{ending}" for stem in stems for ending in ("json", "pth.tar")]
    files += [
        f"LeNet_300_100.specialize.{k}.OSLOM.rounds/1.{ending}" for k in (0, 3) for ending in ("edges", "json", "tp")
    ]
    files += [f"LeNet_300_100.{ending}" for ending in ("md", "html", "csv", "exhibits.json")]
    files += [f"{kind}.LeNet_300_100.png" for kind in ("pareto", "classes", "kept", "overlap")]
    files += ["pareto.LeNet_300_100.csv"]
    assert names(swept / "digits") == sorted(files)


def test_the_same_seed_twice_gives_the_same_bytes(main, swept, tmp_path):
    assert main(QUICK_SWEEP, "--specialize 0 3 --save-dir", tmp_path).code == 0
    ours = [name for name in names(swept) if not name.endswith(".json")]
    assert [name for name in ours if (swept / name).read_bytes() != (tmp_path / name).read_bytes()] == []
    for name in names(swept):
        if name.endswith(".json"):
            one, two = (json.loads((place / name).read_text()) for place in (swept, tmp_path))
            for told in ("kept", "accuracy", "classes"):
                assert one.get(told) == two.get(told), f"{told} of {name}"


def test_tables_hold_neither_times_nor_dates_nor_versions(swept):
    for ending in ("md", "csv"):
        text = (swept / "digits" / f"LeNet_300_100.{ending}").read_text()
        assert not [word for word in ("seconds", "latency", torch.__version__, "date") if word in text]


def test_the_tables_say_what_the_metrics_files_say(swept):
    with open(swept / "digits" / "LeNet_300_100.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["0", "3"]
    for row in rows:
        found = metrics(swept / "digits" / f"LeNet_300_100.specialize.{row['class']}.best_retrained.pth.tar")
        for name in (
            "accuracy",
            "balanced_accuracy",
            "auroc",
            "tp",
            "true_weights",
            "true_parameters",
            "paper_rule_rate",
            "macs",
        ):
            assert float(row[name]) == pytest.approx(found[name], rel=1e-5), name
        assert row["kept"] == "-".join(str(len(units)) for units in list(found["kept"].values())[:-1])
    text = (swept / "digits" / "LeNet_300_100.md").read_text()
    for row in rows:
        assert f"| {row['class']} | {100 * float(row['accuracy']):.2f} |" in text
    assert "| mean |" in text and "always no" in text


def test_a_sweep_that_is_finished_does_nothing_again(main, swept, listing):
    before = listing(swept / "digits")
    done = main(QUICK_SWEEP, "--specialize 0 3 --save-dir", swept)
    assert done.code == 0 and done.out.count("already finished") == 5 and "epoch" not in done.out
    changed = {path.name for path, seen in listing(swept / "digits").items() if before[path] != seen and seen}
    assert {name for name in changed if not name.endswith((".md", ".html", ".csv", ".png"))} <= {
        "LeNet_300_100.exhibits.json"
    }


def test_a_report_writes_the_same_table_again(main, swept):
    table = swept / "digits" / "LeNet_300_100.md"
    before = table.read_bytes()
    table.unlink()
    written = [path for path in (swept / "digits").iterdir() if path.suffix in (".csv", ".png")]
    pictures = {path: path.read_bytes() for path in written}
    for path in pictures:
        path.unlink()
    done = main("--report --dataset digits --save-dir", swept)
    assert done.code == 0 and table.read_bytes() == before
    assert before.decode() in done.out
    assert len(pictures) == 6 and {path: path.read_bytes() for path in pictures} == pictures


def test_a_report_of_rivals_alone_shows_no_exhibits(main, swept, tmp_path):
    """A folder that continues a published run has nothing to put in the place of its exhibits."""
    (tmp_path / "digits").mkdir()
    for ours, theirs in (("OSLOM", "magnitude"), ("best_retrained", "magnitude.best_retrained")):
        told = json.loads((swept / "digits" / f"LeNet_300_100.specialize.0.{ours}.json").read_text())
        theirs = tmp_path / "digits" / f"LeNet_300_100.specialize.0.{theirs}.json"
        written(theirs, {**told, "algo": "magnitude"})
    done = main("--report --dataset digits --save-dir", tmp_path)
    assert done.code == 0 and "OSLOM has not been measured yet" in done.out
    assert not any("exhibits" in name for name in names(tmp_path))


def test_a_report_of_all_seeds_loads_no_network(main, swept, tmp_path):
    """Metrics files alone give the tables; why the contact sheet shows nothing is told."""
    for name in (path.name for path in (swept / "digits").glob("*.json") if "exhibits" not in path.name):
        for seed in (1, 2):
            folder = tmp_path / "digits" / ("" if seed == 1 else "seed2")
            told = json.loads((swept / "digits" / name).read_text(encoding="utf-8"))
            written(folder / name, {**told, "seed": seed})  # beside what is no checkpoint
    done = main("--report --dataset digits --save-dir", tmp_path)
    assert done.code == 0 and "seeds 1 and 2" in done.out and " over the seeds" in done.out
    assert "contact sheet of the classes is left as it is: " in done.out and "cannot be read" in done.out
    made = [name for name in names(tmp_path) if not name.endswith((".json", ".tar"))]
    assert made == [f"digits/{n}" for n in (
        "LeNet_300_100.csv", "LeNet_300_100.html", "LeNet_300_100.md", "kept.LeNet_300_100.png",
        "overlap.LeNet_300_100.png", "pareto.LeNet_300_100.csv", "pareto.LeNet_300_100.png",
    )]  # fmt: skip


def rows_of(place) -> list[dict]:
    with open(place / "digits" / "LeNet_300_100.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_other_options_below_leave_the_report_as_it_is(main, swept, tmp_path):
    """Retrained again in a folder of the data set below, with other options: it has a line and a name of its own."""
    shutil.copytree(swept, tmp_path, dirs_exist_ok=True)
    origin = tmp_path / "digits" / "LeNet_300_100.specialize.0.OSLOM.pth.tar"
    before = main("--report --dataset digits --save-dir", tmp_path).out
    words = ("--retrain --retrain-epochs 1 --retrain-lr 0.0001 --loss mse --pretrained", origin)
    assert main(*words, "--save-dir", tmp_path / "half").code == 0
    done = main("--report --dataset digits --save-dir", tmp_path)
    heading = "### What the networks detect"
    tables = [text.partition(heading)[2].partition("###")[0] for text in (before, done.out)]
    assert done.err == "" and tables[0] == tables[1] != ""
    assert "\n| retrain-lr 0.0001, loss mse in retrain | class 0 |" in done.out
    assert [row["class"] for row in rows_of(tmp_path)] == ["0", "0", "3"]


def test_a_copied_folder_changes_nothing(main, swept, tmp_path):
    shutil.copytree(swept, tmp_path, dirs_exist_ok=True)
    before = main("--report --dataset digits --save-dir", tmp_path).out
    for copy in ("digits_backup", "digits/.ipynb_checkpoints", "digits/replaced", "elsewhere/digits"):
        shutil.copytree(swept / "digits", tmp_path / copy)
    done = main("--report --dataset digits --save-dir", tmp_path)
    assert done.out == before and done.err == ""


def test_networks_of_several_classes_are_reported(main, swept, every_third, tmp_path):
    """One of two classes and one of all, with no network of a single class beside them."""
    origin = swept / "digits" / "LeNet_300_100.best_origin.pth.tar"
    for words in ("--specialize 0 7", ""):
        cut = (ONLY_THE_COMMUNITY, words, "--pretrained", origin, "--oslom-bin", every_third, "--save-dir", tmp_path)
        assert main(*cut).code == 0
        stem = "specialize.0-7" if words else "prune"
        pruned = tmp_path / "digits" / f"LeNet_300_100.{stem}.OSLOM.pth.tar"
        assert main("--retrain --retrain-epochs 1 --pretrained", pruned, "--save-dir", tmp_path).code == 0
    done = main("--report --dataset digits --save-dir", tmp_path)
    assert done.code == 0 and done.err == "" and "### Networks of several classes" in done.out
    assert "\n| 0-7 | OSLOM |" in done.out and "\n| 0-1-2-3-4-5-6-7-8-9 | OSLOM |" in done.out
    assert [row["class"] for row in rows_of(tmp_path)] == ["0-1-2-3-4-5-6-7-8-9", "0-7"]


def test_a_network_that_is_gone_is_not_reported(main, swept, tmp_path):
    shutil.copytree(swept, tmp_path, dirs_exist_ok=True)
    (tmp_path / "digits" / "LeNet_300_100.specialize.0.best_retrained.pth.tar").unlink()
    (tmp_path / "digits" / "LeNet_300_100.specialize.9.best_retrained.json").write_text("{", encoding="utf-8")
    done = main("--report --dataset digits --save-dir", tmp_path)
    assert done.code == 0 and done.err.count("\n") == 2 and done.err.count("is left out: ") == 2
    assert "its checkpoint LeNet_300_100.specialize.0.best_retrained.pth.tar is missing" in done.err
    assert [row["class"] for row in rows_of(tmp_path)] == ["3"]


def test_a_sweep_broken_off_goes_on(main, monkeypatch, every_third, tmp_path, listing):
    words = (QUICK_SWEEP, "--specialize 0 3 5 --oslom-bin", every_third, "--save-dir")
    assert main(*words, tmp_path / "whole").code == 0
    original, calls = stages.retrain, []

    def broken_off(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(stages, "retrain", broken_off)
    done = main(*words, tmp_path / "part")
    assert done.code == 130 and done.err.count("\n") == 1
    assert not (tmp_path / "part" / "digits" / "LeNet_300_100.csv").exists()
    before = {path: seen for path, seen in listing(tmp_path / "part").items() if path.is_file()}
    monkeypatch.setattr(stages, "retrain", original)
    done = main(*words, tmp_path / "part")
    # the parent, class 0 twice, the pruning of class 3
    assert done.code == 0 and done.out.count("already finished") == 4
    assert {path: seen for path, seen in listing(tmp_path / "part").items() if path in before} == before
    assert names(tmp_path / "part") == names(tmp_path / "whole")
    for ending in ("md", "csv"):
        one, two = (tmp_path / place / "digits" / f"LeNet_300_100.{ending}" for place in ("part", "whole"))
        assert one.read_bytes() == two.read_bytes()


def test_paths_are_relative_to_the_current_folder(main, monkeypatch, tmp_path, every_third):
    monkeypatch.chdir(tmp_path)
    assert main("--dataset digits --epochs 0 --save-dir here").code == 0
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    origin = "../here/digits/LeNet_300_100.best_origin.pth.tar"
    words = (ONLY_THE_COMMUNITY, "--specialize 3 --save-dir ../there --pretrained", origin)
    done = main(*words, "--oslom-bin", every_third)
    assert done.code == 0, done.err
    assert (tmp_path / "there" / "digits" / "LeNet_300_100.specialize.3.OSLOM.pth.tar").is_file()


def test_the_defaults_lie_beside_main_py(folder, parents):
    place = verbs.Folder(folder.path, folder.architectures, folder.dataset)
    args = cli.parser(folder.path, folder.architectures, folder.dataset).parse_args([])
    resolved = verbs.resolve(place, args, "train", None, print)
    assert verbs.saved_models(place, resolved).folder == folder.path / "saved_models"
    assert resolved.data_dir == folder.path / "data"
    assert resolved.seed == 1 and resolved.batch_size == resolved.test_batch_size == 128 and resolved.algo == "OSLOM"


def test_the_data_set_may_come_from_the_environment(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("SPECDNN_DATA", str(tmp_path))
    args = cli.parser(folder.path, folder.architectures, folder.dataset).parse_args([])
    assert args.data_dir == tmp_path


@pytest.fixture
def publish(folder, swept, tmp_path):
    """`--publish` in a folder of its own, which holds `digits` for its MNIST: save folder -> exit code."""
    (tmp_path / "MNIST").mkdir()
    (tmp_path / "README.md").write_text("before\n<!-- results of MNIST -->\nold\n<!-- /results of MNIST -->\nafter\n")
    data = SimpleNamespace(**{**vars(folder.dataset), "DEFAULT": "digits"})
    words = ["--publish", "--save-dir"]
    return lambda saved: cli.main(tmp_path / "MNIST", folder.architectures, data, [*words, str(saved)])


def published(tmp_path) -> dict[str, dict]:
    """Name -> published run of the folder of `publish`."""
    found = runs.read(SavedModels(tmp_path / "MNIST" / "results", "LeNet_300_100"), "digits")
    assert found.left_out == []
    return {m["name"]: m for m in found.found}


def test_publishing_needs_the_metrics_files_only(swept, publish, listing, tmp_path):
    """Published runs give tables and pictures; a clone builds the same ones from them alone."""
    readme, place = tmp_path / "README.md", tmp_path / "MNIST" / "results"
    assert publish(swept / "digits") == 0
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "### LeNet_300_100" in text and "(MNIST/results/LeNet_300_100.md)" in text
    assert text.count("(MNIST/results/pareto.LeNet_300_100.png)") == 1 == text.count("![")
    report_itself = (place / "LeNet_300_100.md").read_text(encoding="utf-8")
    assert all(f"({kind}.LeNet_300_100.png)" in report_itself for kind in ("pareto", "classes", "kept", "overlap"))
    made = {path.name: path.read_bytes() for path in place.iterdir()}
    assert made.pop("LeNet_300_100.runs.jsonl") and len(made) == 8
    assert all((swept / "digits" / name).read_bytes() == content for name, content in made.items())
    stems = [
        *(f"specialize.{k}.{what}" for k in (0, 3) for what in ("OSLOM", "best_retrained")),
        "best_origin",
        "exhibits",
    ]
    assert list(published(tmp_path)) == sorted(f"LeNet_300_100.{stem}.json" for stem in stems)
    for name, found in published(tmp_path).items():
        told = {k: v for k, v in found.items() if k not in ("name", "place")}
        assert told == json.loads((swept / "digits" / name).read_text(encoding="utf-8"))
    before = {path: path.read_bytes() for path in listing(tmp_path) if path.is_file()}
    for path in place.iterdir():
        if path.suffix != ".jsonl":
            path.unlink()
    assert publish(tmp_path / "nothing here") == 0
    assert {path: path.read_bytes() for path in before} == before


def test_publishing_keeps_other_seeds_and_budgets_apart(swept, publish, tmp_path):
    """A folder below the save folder becomes a part of the name; data sets of other names stay away."""
    name = "LeNet_300_100.specialize.0.best_retrained.json"
    told = json.loads((swept / "digits" / name).read_text(encoding="utf-8"))
    for below in (".", "seed2", "small/seed2"):
        written(tmp_path / "saved" / below / name, told)
    written(tmp_path / "saved" / "KMNIST" / name, {**told, "dataset": "KMNIST"})
    assert publish(tmp_path / "saved") == 0
    assert list(published(tmp_path)) == sorted([name, f"seed2.{name}", f"small.seed2.{name}"])


def test_a_network_that_the_folder_does_not_have_is_not_published(swept, publish, capsys, tmp_path):
    shutil.copytree(swept / "digits", tmp_path / "saved")
    path = tmp_path / "saved" / "LeNet_300_100.exhibits.json"
    path.write_text(path.read_text(encoding="utf-8").replace("LeNet_300_100", "../x"), encoding="utf-8")
    assert publish(tmp_path / "saved") == 0
    assert capsys.readouterr().err == f"main.py: {path} is left out: MNIST has no network ../x\n"
    assert len(published(tmp_path)) == 5


def test_a_published_line_that_is_damaged_is_told_and_stays(swept, publish, capsys, tmp_path):
    """Until the run of that name is published again; the others are built from as before."""
    assert publish(swept / "digits") == 0
    saved = SavedModels(tmp_path / "MNIST" / "results", "LeNet_300_100")
    whole = saved.runs().read_bytes()
    lines = whole.splitlines(keepends=True)
    lines[-1] = lines[-1].replace(b'"true_weights": ', b'"true_weights": -')
    damaged = b"".join([*lines, b"no record\n"])
    saved.runs().write_bytes(damaged)
    capsys.readouterr()
    assert publish(tmp_path / "nothing here") == 0
    told = capsys.readouterr().err.splitlines()
    assert [line.split(" is left out: ")[0] for line in told] == [
        f"main.py: {saved.runs()}, line {number}" for number in (6, 7)
    ]
    assert saved.runs().read_bytes() == damaged
    assert publish(swept / "digits") == 0
    assert saved.runs().read_bytes() == whole + b"no record\n"


def test_only_what_is_there_is_published(swept, publish, capsys, tmp_path):
    """Another checkpoint lies beside a metrics file, and one has been taken away."""
    shutil.copytree(swept / "digits", tmp_path / "saved")
    shutil.copytree(swept / "digits", tmp_path / "saved" / ".ipynb_checkpoints")
    (tmp_path / "saved" / "LeNet_300_100.specialize.0.best_retrained.pth.tar").write_bytes(b"another")
    (tmp_path / "saved" / "LeNet_300_100.specialize.3.OSLOM.pth.tar").unlink()
    assert publish(tmp_path / "saved") == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "another file than the one" in told[0] and "is missing" in told[1]
    assert "LeNet_300_100.specialize.0.best_retrained.json" not in published(tmp_path)
    lost = published(tmp_path)["LeNet_300_100.specialize.3.OSLOM.json"]
    assert lost["options"] and "accuracy" not in lost  # how the retrained one was made, but no figures
    with open(tmp_path / "MNIST" / "results" / "LeNet_300_100.csv", newline="", encoding="utf-8") as file:
        assert [(row["class"], row["pruned_accuracy"]) for row in csv.DictReader(file)] == [("3", "")]


def test_an_exhibit_of_other_units_is_not_shown(swept, publish, capsys, tmp_path):
    shutil.copytree(swept / "digits", tmp_path / "saved")
    path = tmp_path / "saved" / "LeNet_300_100.exhibits.json"
    told = json.loads(path.read_text())
    for one in told["classes"]:
        one["kept"]["ip1"] = [0]
    path.write_text(json.dumps(told))
    assert publish(tmp_path / "saved") == 0
    assert "no contact sheet" in capsys.readouterr().out
    assert "classes.LeNet_300_100.png" not in (tmp_path / "README.md").read_text()


def test_what_is_published_is_what_publishing_makes(folder, tmp_path):
    """README and tables of this repository, built anew from the committed runs."""
    (tmp_path / "MNIST" / "results").mkdir(parents=True)
    for path in (folder.path / "results").glob("*.runs.jsonl"):
        shutil.copy(path, tmp_path / "MNIST" / "results")
    shutil.copy(folder.path / "published.csv", tmp_path / "MNIST")
    readme = (folder.path.parent / "README.md").read_text()
    (tmp_path / "README.md").write_text(report.between(readme, "results of MNIST", "to be made"))
    words = ["--publish", "--save-dir", str(tmp_path / "nothing")]
    assert cli.main(tmp_path / "MNIST", folder.architectures, folder.dataset, words) == 0
    assert (tmp_path / "README.md").read_text() == readme
    made = [path for path in (tmp_path / "MNIST" / "results").iterdir() if path.is_file()]
    assert {path.name for path in made} >= {f"pareto.{arch}.png" for arch in ("LeNet_300_100", "LeNet_5")}
    for path in made:
        committed = folder.path / "results" / path.name
        assert committed.is_file() and (path.suffix == ".png" or committed.read_bytes() == path.read_bytes()), path.name


@pytest.mark.parametrize("readme", [None, "no section"])
def test_publishing_into_a_readme_without_the_section_writes_nothing(folder, swept, capsys, tmp_path, listing, readme):
    if readme is not None:
        (tmp_path / "README.md").write_text(readme)
    before = listing(tmp_path)
    words = ["--publish", "--save-dir", str(swept / "digits")]
    assert cli.main(tmp_path / "Digits", folder.architectures, folder.dataset, words) == 2
    assert "README" in capsys.readouterr().err
    assert listing(tmp_path) == before
