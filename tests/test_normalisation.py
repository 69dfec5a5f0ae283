"""A checkpoint of others knows how its images are normalised; every stage follows it."""

import json

import numpy as np
import pytest
import torch

from specdnn import files

SHIFTED = (0.5, 0.25)
STRETCHED = (0.3050, 0.1)  # the mean of `digits`: a pixel that is cut means the same
QUICK = "--prune --specialize 3 --warmup-epochs 0 --rounds 1 --brief-epochs 0"


@pytest.fixture
def renormalised(parents, digits, tmp_path):
    """The parent as others save it, its first layer changed to read images of this mean and deviation; -> path."""

    def write(new_mean, new_deviation):
        state = torch.load(parents["LeNet_300_100"], weights_only=True)["state_dict"]
        (mean, deviation), weight = digits.normalisation, state["ip1.weight"].double()
        state["ip1.bias"] = (state["ip1.bias"] + weight.sum(1) * (new_mean - mean) / deviation).float()
        state["ip1.weight"] = (weight * new_deviation / deviation).float()
        content = {"model": {f"module.{name}": value for name, value in state.items()}}
        torch.save({**content, "mean": new_mean, "std": new_deviation, "best_prec1": 91.5}, tmp_path / "other.pth")
        return tmp_path / "other.pth"

    return write


def told_by(done) -> dict:
    assert done.code == 0, done.err
    return json.loads(done.out[done.out.index("{\n") : done.out.rindex("}") + 1])


def same_measures(one: dict, other: dict) -> bool:
    return all(one[name] == other[name] for name in ("accuracy", "tp", "fp", "fn", "tn"))


def test_a_checkpoint_is_evaluated_with_its_own_normalisation(main, parents, renormalised):
    path = renormalised(*SHIFTED)
    done = main("--evaluate --dataset digits --pretrained", path)
    found = told_by(done)
    assert same_measures(found, told_by(main("--evaluate --pretrained", parents["LeNet_300_100"])))
    assert found["validation_score"] == pytest.approx(0.915)
    told = [line for line in done.err.splitlines() if str(path) in line]
    assert len(told) == 1 and "under model; module. is taken off" in told[0] and "accuracy of 91.5 %" in told[0]
    assert done.err.count("images are normalised with mean 0.5 and deviation 0.25") == 1
    assert done.out.startswith("{\n")  # JSON, whatever there is to say


def test_without_an_accuracy_there_is_no_validation_score(main, folder, tmp_path):
    torch.save({"state_dict": folder.architectures["Linear"]().state_dict()}, tmp_path / "x.pth")
    assert told_by(main("--evaluate --dataset digits --pretrained", tmp_path / "x.pth"))["validation_score"] is None


@pytest.fixture
def both_ways(main, parents, renormalised, every_third, tmp_path):
    """The same network of both normalisations pruned and retrained: (own, other), each with its folder."""
    places = tmp_path / "own", tmp_path / "other"
    for place, origin in zip(places, (parents["LeNet_300_100"], renormalised(*STRETCHED)), strict=True):
        words = ("--dataset digits --oslom-bin", every_third, "--save-dir", place)
        assert main(QUICK, *words, "--pretrained", origin).code == 0
        pruned = place / "digits" / "LeNet_300_100.specialize.3.OSLOM.pth.tar"
        assert main("--retrain --retrain-epochs 0", *words, "--pretrained", pruned).code == 0
    return places


def test_the_normalisation_goes_through_every_stage(main, both_ways, folder, loaded):
    for name in ("OSLOM.pth.tar", "best_retrained.pth.tar"):
        own, other = (place / "digits" / f"LeNet_300_100.specialize.3.{name}" for place in both_ways)
        measured = [files.read_metrics(files.metrics_path(path)) for path in (own, other)]
        assert measured[0]["kept"] == measured[1]["kept"] and same_measures(*measured)
        assert 0.5 < measured[0]["auroc"] == pytest.approx(measured[1]["auroc"], abs=1e-4)
        for path, normalisation in ((own, folder.dataset.NORMALISATION["digits"]), (other, STRETCHED)):
            assert loaded(path).normalisation == normalisation
            assert same_measures(told_by(main("--evaluate --pretrained", path)), measured[0])


def test_exhibits_show_the_network_the_images_it_was_trained_on(main, both_ways):
    """Its strengths behind the first layer do not depend on how the images are normalised."""
    shown = []
    for place in both_ways:
        assert main("--report --arch LeNet_300_100 --dataset digits --save-dir", place).code == 0
        shown.append(json.loads((place / "digits" / "LeNet_300_100.exhibits.json").read_text())["classes"][0])
    assert shown[0]["mean_image"] == shown[1]["mean_image"] and shown[0]["kept"] == shown[1]["kept"]
    for one, other in zip(shown[0]["strengths"][1:], shown[1]["strengths"][1:], strict=True):
        np.testing.assert_allclose(np.array(one), np.array(other), rtol=2e-2)


def test_the_same_command_twice_is_already_finished_with_any_normalisation(main, renormalised, every_third, tmp_path):
    words = (QUICK, "--dataset digits --pretrained", renormalised(*SHIFTED))
    words = (*words, "--oslom-bin", every_third, "--save-dir", tmp_path / "saved")
    assert "already finished" not in main(*words).out
    assert "already finished" in main(*words).out
