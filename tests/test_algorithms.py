"""The rivals and controls beside OSLOM on `digits`: same cuts, epochs and true weights; the smallest network."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from specdnn import files, method, rivals, selection, stages
from specdnn.community import binaries
from specdnn.network import evaluation, scores
from specdnn.network.surgery import cut
from specdnn.structures import SpecDNNError

BRIEF = "--prune --specialize 3 --warmup-epochs 1 --rounds 2 --brief-epochs 1 --retrain-epochs 2"
RIVALS = ("OSLOM-null", "graph-null", "random", "magnitude", "taylor", "relevance", "attribution")
BUDGET = {"LeNet_300_100": "--rate 0.01", "LeNet_5": "--rate 0.04"}


def metrics(path):
    return json.loads(files.metrics_path(path).read_text())


@pytest.fixture(scope="module")
def extracted(call, parents, every_third, tmp_path_factory):
    """Makes a cell once: (network, algorithm) -> path of the pruned checkpoint. OSLOM first, the others follow it."""
    saved, made = tmp_path_factory.mktemp("extracted"), {}

    def run(arch, algo):
        if (arch, algo) not in made:
            if algo != "OSLOM":
                run(arch, "OSLOM")
            words = ("--pretrained", parents[arch], "--save-dir", saved, "--oslom-bin", every_third)
            assert call(BRIEF, BUDGET[arch], "--algo", algo, *words) == 0
            made[arch, algo] = saved / "digits" / f"{arch}.specialize.3.{algo}.pth.tar"
        return made[arch, algo]

    return run


@pytest.fixture
def prune(main, parents, every_third, tmp_path):
    """Prune LeNet-300-100 in a folder of its own: words -> (path, result)."""

    def run(algo, *words, oslom=every_third):
        where = ("--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path, "--oslom-bin", oslom)
        done = main("--prune --specialize 3 --warmup-epochs 0 --brief-epochs 0 --algo", algo, *words, *where)
        return tmp_path / "digits" / f"LeNet_300_100.specialize.3.{algo}.pth.tar", done

    return run


# ------------------------------------------------------------------------------------------ what OSLOM leaves


def test_every_cut_is_recorded(extracted):
    found = metrics(extracted("LeNet_300_100", "OSLOM"))
    steps = found["steps"]
    stages = [step["stage"] for step in steps]
    assert stages[:2] == ["warm-up", "round 1"] and stages[-1] == f"trim {sum('trim' in s for s in stages)}"
    assert steps[0]["widths"] == [784, 300, 100, 1] and steps[0]["true_weights"] == 784 * 300 + 300 * 100 + 100
    for before, after in zip(steps, steps[1:], strict=False):
        assert all(a <= b for a, b in zip(after["widths"], before["widths"], strict=True))
        assert after["true_weights"] < before["true_weights"]
    assert steps[-1]["widths"] == [len(units) for units in found["kept"].values()]
    assert steps[-1]["true_weights"] == found["true_weights"]
    assert steps[-1]["validation_score"] == pytest.approx(found["validation_score"])
    assert found["epochs"] == len(steps) and found["schedule"] == "own"
    last_round = [step for step in steps if step["stage"].startswith("round")][-1]
    assert found["community_true_weights"] == last_round["true_weights"]


@pytest.mark.parametrize("algo", ["OSLOM", *RIVALS])
@pytest.mark.parametrize("arch", BUDGET)
def test_every_algorithm_has_two_candidates_and_the_better_one_stays(arch, algo, extracted):
    found = metrics(extracted(arch, algo))
    assert [row["widths_by"] for row in found["candidates"]] == ["shape", "score"]
    chosen = [row for row in found["candidates"] if row["chosen"]]
    assert len(chosen) == 1
    assert chosen[0]["validation_score"] == max(row["validation_score"] for row in found["candidates"])
    assert chosen[0]["widths"] == found["steps"][-1]["widths"]
    assert chosen[0]["true_weights"] == found["true_weights"]
    # none of them is larger than the budget or than what it is compared with
    limit = {True: found["candidates"][0], False: metrics(extracted(arch, "OSLOM"))}[algo == "OSLOM"]["true_weights"]
    assert all(row["true_weights"] <= limit for row in found["candidates"][1:])
    if algo == "OSLOM":
        assert found["paper_rule_rate"] <= float(BUDGET[arch].split()[1])
    else:  # equal size, whatever the paper rule counts
        assert found["candidates"][1]["true_weights"] > 0.98 * limit


@pytest.mark.parametrize("algo", RIVALS)
@pytest.mark.parametrize("arch", BUDGET)
def test_a_rival_follows_the_cuts_of_oslom(arch, algo, extracted):
    oslom, rival = metrics(extracted(arch, "OSLOM")), metrics(extracted(arch, algo))
    assert rival["schedule"] == "OSLOM" and rival["algo"] == algo
    assert rival["epochs"] == oslom["epochs"] and rival["rounds"] == oslom["rounds"]
    assert [step["stage"] for step in rival["steps"]] == [step["stage"] for step in oslom["steps"]]
    shape = ("widths", "channels", "true_weights")
    for step, other in zip(rival["steps"], oslom["steps"], strict=True):
        if not step["stage"].startswith("trim"):
            assert [step[name] for name in shape] == [other[name] for name in shape]
    assert rival["candidates"][0]["widths"] == oslom["steps"][-1]["widths"]
    assert rival["candidates"][0]["true_weights"] == oslom["true_weights"]
    assert rival["steps"][0] == oslom["steps"][0]  # the same warm-up
    assert rival["kept"] != oslom["kept"]


def test_a_rival_keeps_its_strongest_units(prune, loaded, parents):
    """Nothing trained, one round, no trim: the units with the largest outgoing weights, as many as OSLOM kept."""
    prune("OSLOM", "--rounds 1")
    path, done = prune("magnitude", "--rounds 1")
    assert done.code == 0, done.err
    parent, made = loaded(parents["LeNet_300_100"]).compact, loaded(path).compact
    wanted = cut(parent, parent.kept.replace(3, (3,)))
    norms = scores.weight_norms(wanted)
    assert made.kept == selection.strongest(wanted.kept, norms, made.kept.widths)
    dull = cut(parent, made.kept).network.state_dict()
    assert all(torch.equal(tensor, dull[name]) for name, tensor in made.network.state_dict().items())


def test_a_trim_by_attribution_keeps_what_changes_the_output_most(prune, loaded, monkeypatch):
    """Nothing trained, so the community is cut at once: to its units with the largest scores."""
    told, scored = [], method.TRIMS["attribution"]

    def listening(work, compact):
        told.append((compact.kept, scored(work, compact)))
        return told[-1][1]

    monkeypatch.setitem(method.TRIMS, "attribution", listening)
    words = "--rounds 1 --compensate mean --candidates shape --rate 0.002 --trim"
    path, done = prune("OSLOM", words, "attribution")
    assert done.code == 0, done.err
    made, ((community, found), *more) = loaded(path).compact.kept, told
    assert not more and made == selection.strongest(community, found, made.widths) != community
    assert all((score >= 0).all() and score.any() for score in found)
    other = loaded(prune("OSLOM", words, "norm")[0]).compact.kept
    assert other.widths == made.widths and other != made


def test_the_nulls_draw_their_units_from_the_layer_and_from_the_class_graph(prune):
    """A third of the graph is the fake community; both nulls keep as many, others, the second one no black pixel."""
    kept = {}
    for algo in ("OSLOM", "OSLOM-null", "graph-null"):
        path, done = prune(algo, "--rounds 1 --keep 0.01")
        assert done.code == 0, done.err
        kept[algo] = metrics(path)["kept"]
    edges = (path.parent / "LeNet_300_100.specialize.3.OSLOM.rounds" / "1.edges").read_text()
    there = {int(word) for line in edges.splitlines() for word in line.split()[:2]}
    for layer, offset in (("input", 0), ("ip1", 784), ("ip2", 1084)):
        null, graph, oslom = (
            {offset + unit for unit in kept[algo][layer]} for algo in ("OSLOM-null", "graph-null", "OSLOM")
        )
        assert len(null) == len(graph) == len(oslom) and len({*map(frozenset, (null, graph, oslom))}) == 3
        assert graph <= there and (layer != "input" or not null <= there)


def test_random_units_depend_on_the_seed_alone(prune):
    kept = []
    for seed in (1, 1, 2):
        split = "validation" if len(kept) == 1 else "test"  # so that the same cell is made again
        path, _ = prune("random", "--rate 0.05 --split", split, "--seed", str(seed))
        path = path if seed == 1 else path.parent / "seed2" / path.name
        kept.append(metrics(path)["kept"])
    assert kept[0] == kept[1] != kept[2]


# ------------------------------------------------------------------------------------------ without an OSLOM run


@pytest.mark.parametrize("algo", ["random", "magnitude", "taylor"])
def test_a_rival_alone_is_cut_from_the_whole_network_to_the_budget(algo, prune):
    path, done = prune(algo, "--rate 0.02")
    assert done.code == 0, done.err
    found = metrics(path)
    assert found["schedule"] == "own" and 0.01 < found["paper_rule_rate"] <= 0.02
    assert [s["stage"] for s in found["steps"]] == ["warm-up", *(f"trim {k}" for k in range(1, len(found["steps"])))]
    widths = [step["widths"] for step in found["steps"]]
    assert len(widths) > 2 and all(b <= 2 * a for a, b in zip(widths[-1], widths[-2], strict=True))


def test_a_rival_needs_no_oslom_program(main, parents, tmp_path):
    words = ("--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path, "--oslom-bin", tmp_path / "none")
    alone = "--prune --specialize 3 --warmup-epochs 0 --brief-epochs 0 --rate 0.02 --algo"
    assert main(alone, "magnitude", *words).code == 0
    assert main(alone, "OSLOM", *words).code == 2


def test_several_classes_are_one_cell(main, parents, every_third, tmp_path):
    words = ("--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path, "--oslom-bin", every_third)
    for algo in ("OSLOM", "taylor"):
        brief = "--prune --specialize 7 3 --warmup-epochs 0 --brief-epochs 0 --rate 0.02 --algo"
        assert main(brief, algo, *words).code == 0
    stem = tmp_path / "digits" / "LeNet_300_100.specialize.3-7"
    oslom, taylor = (stem.with_name(f"{stem.name}.{algo}.pth.tar") for algo in ("OSLOM", "taylor"))
    assert metrics(taylor)["classes"] == [3, 7] and metrics(taylor)["schedule"] == "OSLOM"
    assert metrics(taylor)["true_weights"] <= metrics(oslom)["true_weights"]


@pytest.mark.parametrize("algo", ["random", "magnitude", "taylor", "OSLOM-null", "graph-null", "scratch"])
def test_without_budget_and_oslom_run_there_is_nothing_to_do(algo, prune, tmp_path):
    path, done = prune(algo)
    assert done.code == 2 and done.err.count("\n") == 1 and "--algo OSLOM" in done.err
    assert not path.exists()


def test_an_oslom_run_with_other_options_is_not_followed(prune):
    prune("OSLOM", "--rate 0.02 --keep 0.3")
    path, _ = prune("magnitude", "--rate 0.02")
    assert metrics(path)["schedule"] == "own"
    prune("OSLOM", "--rate 0.02")
    path, done = prune("magnitude", "--rate 0.02")
    assert metrics(path)["schedule"] == "OSLOM" and "made again" in done.out
    assert "already finished" in prune("magnitude", "--rate 0.02")[1].out


# ------------------------------------------------------------------------------------------ controls


def test_scratch_has_the_units_of_oslom_first_weights_and_the_same_epochs_in_all(extracted, main, loaded, tmp_path):
    total = {}
    for algo in ("OSLOM", "magnitude", "scratch"):
        path = extracted("LeNet_5", algo)
        words = ("--retrain --retrain-epochs 2 --pretrained", path, "--save-dir", tmp_path)
        assert main(*words).code == 0
        stem = "LeNet_5.specialize.3" + ("" if algo == "OSLOM" else f".{algo}")
        again = metrics(tmp_path / "digits" / f"{stem}.best_retrained.pth.tar")
        total[algo] = metrics(path)["epochs"] + again["epochs"]
    assert len(set(total.values())) == 1
    oslom, scratch = loaded(extracted("LeNet_5", "OSLOM")), loaded(extracted("LeNet_5", "scratch"))
    assert scratch.compact.kept == oslom.compact.kept
    assert not torch.equal(scratch.compact.network.conv1.weight, oslom.compact.network.conv1.weight)
    bound = 25**-0.5  # torch's first weights
    assert scratch.compact.network.conv1.weight.abs().max() <= bound
    assert scratch.owed_epochs == total["OSLOM"] - 2 and oslom.owed_epochs == 0


def test_the_linear_control_is_a_network_like_the_others(extracted, main, loaded, digits, tmp_path):
    path = extracted("LeNet_300_100", "linear")
    assert main("--retrain --retrain-epochs 3 --pretrained", path, "--save-dir", tmp_path).code == 0
    again = tmp_path / "digits" / "LeNet_300_100.specialize.3.linear.best_retrained.pth.tar"
    found, made = metrics(again), loaded(again)
    assert found["arch"] == made.arch == "LeNet_300_100" and made.network == "Linear"
    assert found["true_parameters"] == 785 and found["true_weights"] == found["macs"] == 784
    assert found["true_rate"] == pytest.approx(785 / 266_610)
    logits = evaluation.logits_of(made.compact.network, digits.test.images)[:, 0]
    plane = made.compact.network.ip1
    torch.testing.assert_close(logits, digits.test.images.flatten(1) @ plane.weight[0] + plane.bias[0])
    assert found["accuracy"] == pytest.approx(((logits > 0) == (digits.test.labels == 3)).double().mean().item())
    assert found["accuracy"] > found["always_no_accuracy"]


def test_a_folder_without_a_linear_network_says_so(folder, parents, capsys, tmp_path):
    from specdnn import cli

    few = {name: folder.architectures[name] for name in parents}
    words = ["--prune", "--specialize", "3", "--algo", "linear", "--save-dir", str(tmp_path)]
    assert cli.main(folder.path, few, folder.dataset, [*words, "--pretrained", str(parents["LeNet_5"])]) == 2
    assert "without a hidden layer" in capsys.readouterr().err


def test_the_published_formula_usually_keeps_nothing_and_says_so(prune):
    path, done = prune("OSLOM-layerwise", "--rate 0.02")
    assert done.code == 2 and "keeps no unit" in done.err and done.err.count("\n") == 1
    assert not path.exists()


def test_where_the_published_formula_keeps_units_they_are_trimmed_like_a_community(prune, monkeypatch):
    monkeypatch.setattr(
        rivals.selection, "layerwise_community", lambda layers, weights, kept: kept.replace(0, range(200, 600))
    )
    path, done = prune("OSLOM-layerwise", "--rate 0.02")
    assert done.code == 0, done.err
    found = metrics(path)
    assert found["steps"][1]["widths"] == [400, 300, 100, 1] and found["paper_rule_rate"] <= 0.02
    assert set(found["kept"]["input"]) <= set(range(200, 600)) and len(found["candidates"]) == 2


# ------------------------------------------------------------------------------------------ the smallest network


def test_the_smallest_network_that_is_good_enough(prune):
    path, done = prune("OSLOM", "--brief-epochs 8 --rounds 1 --min-balanced 0.85")
    assert done.code == 0, done.err
    found = metrics(path)
    tried = found["search"]
    good = [row for row in tried if row["balanced_accuracy"] >= 0.85]
    assert found["true_weights"] == min(row["true_weights"] for row in good)
    assert tried[0]["rate"] is None and len(tried) > 4
    # bisection: every rate lies between the best so far and the largest that failed
    below, above = 0.0, float("inf")
    for row in tried[1:]:
        assert below < row["rate"] < above
        below, above = (below, row["rate"]) if row in good else (row["rate"], above)
    assert above <= below * 1.11 or not below
    assert (
        "made again" not in done.out
        and "already finished" in prune("OSLOM", "--brief-epochs 8 --rounds 1 --min-balanced 0.85")[1].out
    )


def test_a_round_that_loses_too_much_is_not_taken(prune, narrowing):
    """The second round's module is one unit per layer, which cannot be good enough; the first one's network is."""
    path, done = prune("OSLOM", "--rounds 3 --brief-epochs 8 --min-balanced 0.85", oslom=narrowing)
    assert done.code == 0, done.err
    found = metrics(path)
    assert found["rounds"] == 1 and found["search"][0]["true_weights"] == found["community_true_weights"]
    assert "not good enough" in done.out


def test_a_round_that_costs_too_much_is_not_taken_without_a_goal_either(prune, narrowing):
    path, done = prune("OSLOM", "--rounds 3 --brief-epochs 8", oslom=narrowing)
    assert done.code == 0, done.err
    found = metrics(path)
    assert found["rounds"] == 1 and found["true_weights"] == found["community_true_weights"]
    assert "not good enough" in done.out


def test_a_goal_that_even_the_largest_network_misses_is_an_error(prune):
    path, done = prune("OSLOM", "--rounds 1 --min-balanced 1 --rate 0.001")
    assert done.code == 2 and done.err.count("\n") == 1 and "--min-balanced" in done.err
    assert not path.exists()


# ------------------------------------------------------------------------------------------ stability


def test_the_first_community_of_several_oslom_seeds_is_compared(prune, fake_program):
    """A program whose module is every second node from its seed on: even and odd seeds share nothing."""
    told = """
import os, sys
nodes = sorted({int(word) for line in open("graph") for word in line.split()[:2]})
module = nodes[int(sys.argv[sys.argv.index("-seed") + 1]) % 2 :: 2]
os.mkdir("graph_oslo_files")
with open("graph_oslo_files/tp", "w") as tp:
    tp.write(f"#module 0 size: {len(module)} bs: 0.01\\n{' '.join(map(str, module))} \\n")
"""
    program = fake_program(told)
    assert "stability" not in metrics(prune("OSLOM", "--rounds 1", oslom=program)[0])
    path, done = prune("OSLOM", "--rounds 1 --oslom-seeds 3", oslom=program)
    assert done.code == 0, done.err
    assert metrics(path)["stability"] == pytest.approx(1 / 3)  # seeds 1 and 3 agree, 2 with neither


# ------------------------------------------------------------------------------------------ scores


def test_the_taylor_rival_uses_the_loss_of_the_training(extracted, loaded):
    oslom, taylor = (metrics(extracted("LeNet_300_100", algo)) for algo in ("OSLOM", "taylor"))
    assert np.isfinite(taylor["validation_score"]) and taylor["true_weights"] <= oslom["true_weights"] * 1.02


def test_activations_that_are_not_finite_are_told(loaded, parents, digits):
    found = loaded(parents["LeNet_300_100"]).compact
    found = cut(found, found.kept.replace(3, [3]))
    options = SimpleNamespace(strength="contrast", compensate="zero")
    work = SimpleNamespace(data=digits, all_classes=range(10), options=options)
    with torch.no_grad():
        found.network.ip1.weight *= 1e25
        assert np.isfinite(method.unit_scores(work, found)[1][0]).all()
        found.network.ip2.weight *= 1e25
    with pytest.raises(SpecDNNError, match="class 3: activations of layer ip2 are not finite"):
        method.unit_scores(work, found)


# ------------------------------------------------------------------------------------------ the program's words


def test_our_own_program_gets_the_threads_and_no_other_one(main, parents, fake_program, monkeypatch, tmp_path):
    """A stand-in for our own, at its place, is told; the same file elsewhere is not, for it may not know the flag."""
    noted = tmp_path / "noted"
    program = fake_program(f"import sys; open({str(noted)!r}, 'w').write(' '.join(sys.argv)); sys.exit(3)")
    words = ("--prune --specialize 3 --warmup-epochs 0 --brief-epochs 0 --save-dir", tmp_path / "saved")
    for named in ((), ("--oslom-bin", program)):
        assert main(*words, "--pretrained", parents["LeNet_300_100"], "--oslom-bin", program).code == 2
        assert "-threads" not in noted.read_text()
        monkeypatch.setattr(binaries, "PROGRAM", program)
        monkeypatch.setenv("OSLOM_BIN", "")  # as good as unset
        assert main(*words, "--pretrained", parents["LeNet_300_100"], *named).code == 2
        assert noted.read_text().endswith(" -t 0.1 -threads 1")
        monkeypatch.undo()


def test_a_round_without_a_community_says_with_which_options(prune, fake_program):
    homeless = "import os; os.mkdir('graph_oslo_files'); "
    homeless += "open('graph_oslo_files/tp', 'w').write('#module 0 size: 1 bs: 1\\n784 \\n')"
    _, done = prune("OSLOM", "--rounds 1", oslom=fake_program(homeless))
    assert "with --keep 0.4 and --oslom-t 0.3" in done.out and "-t 0." not in done.out.replace("--oslom-t", "")


def test_a_later_round_in_which_nothing_leads_to_the_class_is_not_taken(prune, monkeypatch):
    """What the first round found stays."""
    real = method.unit_scores

    def nothing_after_the_first_round(work, compact, flows=None):
        strengths, relevance = real(work, compact, flows)
        first = len(compact.kept.units[1]) == 300
        return [dataclasses.replace(one, strengths=one.strengths * first) for one in strengths], relevance

    monkeypatch.setattr(method, "unit_scores", nothing_after_the_first_round)
    path, done = prune("OSLOM", "--rounds 2")
    assert done.code == 0, done.err
    assert metrics(path)["rounds"] == 1
    assert "round 2: no connection of the network leads to class 3" in done.out


# ------------------------------------------------------------------------------------------ one pass for all classes


def test_what_flows_in_a_parent_is_seen_once_for_all_classes(call, parents, every_third, tmp_path, monkeypatch):
    """Where nothing is trained before the search; every class is cut as it is alone."""
    seen, real = [], method.class_means

    def noted(work, compact):
        seen.extend([work] * (compact.kept.widths[0] == 784))  # nothing is cut from it yet
        return real(work, compact)

    for module in (method, stages):
        monkeypatch.setattr(module, "class_means", noted)
    words = "--warmup-epochs 0 --rounds 1 --brief-epochs 0 --rate 0.05 --retrain-epochs 1"
    given = ("--pretrained", parents["LeNet_300_100"], "--oslom-bin", every_third)
    assert call("--sweep --classes 3 7", words, *given, "--save-dir", tmp_path / "all") == 0
    assert len(seen) == 1
    for wanted in (3, 7):
        assert call("--prune --specialize", wanted, words, *given, "--save-dir", tmp_path / "alone") == 0
        name = f"digits/LeNet_300_100.specialize.{wanted}.OSLOM"
        for part in (".pth.tar", ".rounds/1.edges", ".rounds/1.tp"):
            assert (tmp_path / "all" / f"{name}{part}").read_bytes() == (
                tmp_path / "alone" / f"{name}{part}"
            ).read_bytes()
    assert len(seen) == 3
