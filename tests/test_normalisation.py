"""A checkpoint of others knows how its images are normalised; every stage follows it."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from specdnn import exhibits, files
from specdnn.network import netfile, watching
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.structures import Dataset, SpecDNNError, Split, normalisation_words

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


# ------------------------------------------------------------------------------------------ one number per channel

COLOURS = ((0.5, 0.25, 0.75), (0.25, 0.5, 0.125))
RAW = torch.rand(12, 3, 2, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 2


def colourful(normalisation) -> Dataset:
    """The images RAW, every channel normalised by itself in a dull loop."""
    images = RAW.clone()
    for channel, (mean, deviation) in enumerate(zip(*(np.resize(n, 3).tolist() for n in normalisation), strict=True)):
        images[:, channel] = (RAW[:, channel] - mean) / deviation
    return Dataset("colours", ("even", "odd"), normalisation, *[Split(images, LABELS)] * 3)


@pytest.mark.parametrize("before", [(0.5, 0.25), COLOURS])
@pytest.mark.parametrize("after", [(0.25, 0.5), COLOURS[:1] + ((0.5, 0.5, 0.5),)])
def test_images_are_renormalised_channel_by_channel(before, after):
    changed, expected = colourful(before).renormalised(after), colourful(after)
    assert changed.normalisation == after
    for name in ("train", "validation", "test"):
        torch.testing.assert_close(changed.split(name).images, expected.split(name).images)
        assert torch.equal(changed.split(name).labels, LABELS)


def test_the_same_numbers_leave_the_images_as_they_are():
    for data, same in ((colourful(COLOURS), COLOURS), (colourful((0.5, 0.25)), ((0.5,) * 3, (0.25,) * 3))):
        assert data.renormalised(same) is data
        assert data.renormalised(tuple(np.float32(n).tolist() for n in same)) is data


def test_normalisations_in_words():
    assert normalisation_words((0.5, 0.25)) == "mean 0.5 and deviation 0.25"
    assert normalisation_words(COLOURS) == "mean 0.5, 0.25, 0.75 and deviation 0.25, 0.5, 0.125"


@pytest.mark.parametrize("normalisation", [(0.5, 0.25), ((0.5,), (0.25,)), COLOURS])
def test_class_means_of_pixels_are_raw_intensities_of_their_channels(normalisation):
    """Of what a convolution reads, and of what is left of a Linear that reads pixels of all channels."""
    data, wide = colourful(normalisation), nn.Sequential(nn.Flatten(), nn.Linear(24, 2))
    kept, narrow = [0, 5, 8, 13, 15, 16, 23], nn.Sequential(nn.Conv2d(3, 2, (2, 4)), nn.Flatten())
    parent = CompactNetwork.parent(wide, RAW[0])
    small = cut(parent, parent.kept.replace(0, kept))
    for compact, raw in (
        (parent, RAW.flatten(1)),
        (small, RAW.flatten(1)[:, kept]),
        (CompactNetwork.parent(narrow, RAW[0]), RAW.mean((2, 3))),
    ):
        found = watching.class_means(compact, data.train, 2, normalisation).means[0]
        np.testing.assert_allclose(found, [raw[::2].mean(0), raw[1::2].mean(0)], rtol=1e-5)


@pytest.mark.parametrize("normalisation", [(0.5, 0.25), ((0.5,), (0.25,)), COLOURS])
def test_what_is_shown_of_an_image_is_the_mean_of_its_raw_channels(normalisation):
    data = colourful(normalisation)
    np.testing.assert_allclose(exhibits.mean_image(data, 1), RAW[1::2].mean((0, 1)), rtol=1e-5)
    for number in range(12):
        greys = [[int(grey, 16) / 15 for grey in row] for row in exhibits.greys(data, number)]
        np.testing.assert_allclose(greys, RAW[number].mean(0), atol=0.5001 / 15)


@pytest.fixture
def three_linear():
    """A file of weights for images of three channels, with what somebody writes beside them -> Checkpoint."""

    class Flat(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Flatten(), nn.Linear(24, 2))

    def load(place, beside):
        torch.save({"state_dict": Flat().state_dict(), **beside}, place / "x.pth")
        return netfile.load(place / "x.pth", {"Flat": Flat}, image=(3, 2, 4))

    return load


@pytest.mark.parametrize(
    "beside",
    [
        {"mean": COLOURS[0], "std": COLOURS[1]},
        {"normalisation": torch.tensor(COLOURS)},
        {"normalization": {"mean": np.array(COLOURS[0]), "std": list(COLOURS[1])}},
    ],
)
def test_others_tell_a_mean_and_a_deviation_per_channel(tmp_path, three_linear, beside):
    assert three_linear(tmp_path, beside).normalisation == COLOURS


@pytest.mark.parametrize("beside", [{"mean": (0.5, 0.5), "std": (0.5, 0.5)}, {"mean": COLOURS[0], "std": 0.5}])
def test_others_tell_as_many_as_there_are_channels(tmp_path, three_linear, beside):
    with pytest.raises(SpecDNNError, match="or one per channel of images 3x2x4"):
        three_linear(tmp_path, beside)
