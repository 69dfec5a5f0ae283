"""How far a network agrees with its parent on other images: `--compare`."""

import json

import numpy as np
import pytest
import torch
from conftest import MNIST_DATA
from PIL import Image
from scipy import stats
from sklearn import metrics

from specdnn import comparing, files
from specdnn.comparing import Compared, Images
from specdnn.structures import SpecDNNError


@pytest.fixture(scope="module")
def small(pruned, tmp_path_factory):
    """A folder of its own with a class of LeNet-300-100."""
    place = tmp_path_factory.mktemp("small") / "LeNet_300_100.specialize.3.OSLOM.pth.tar"
    place.write_bytes(pruned["LeNet_300_100"].read_bytes())
    return place


@pytest.fixture(scope="module")
def shifted(digits, tmp_path_factory):
    """A folder of the first 40 test images, moved by three pixels, as files of several kinds and depths."""
    place = tmp_path_factory.mktemp("shifted")
    (place / "more").mkdir()
    pixels = digits.test.images[:40, 0] * digits.normalisation[1] + digits.normalisation[0]
    for number, image in enumerate((255 * pixels).round().clamp(0, 255).byte().roll(3, 1)):
        name = f"more/{number:03}.bmp" if number % 2 else f"{number:03}.PNG"
        Image.fromarray(image.numpy()).save(place / name)
    (place / "notes.txt").write_text("no image")
    return place


def test_agreement_is_told_beside_that_on_the_networks_own_images(main, small, parents, shifted, loaded, digits):
    told = main("--compare", parents["LeNet_300_100"], "--dataset digits --pretrained", small, "--images", shifted)
    assert told.code == 0, told.err
    rows = json.loads(files.comparison(small, shifted.name, "json").read_text())["rows"]
    assert [(row["of"], row["images"], row["class"]) for row in rows] == [
        ("digits (test)", 360, 3),
        (shifted.name, 40, 3),
    ]
    own, whole = loaded(small).compact.network, loaded(parents["LeNet_300_100"]).compact.network
    with torch.no_grad():
        said, parent = own(digits.test.images)[:, 0] > 0, whole(digits.test.images).argmax(1) == 3
    assert rows[0]["agreement"] == pytest.approx((said == parent).float().mean().item())
    assert rows[0]["both"] == int((said & parent).sum()) and rows[0]["only_this"] == int((said & ~parent).sum())
    assert rows[0]["kappa"] == pytest.approx(metrics.cohen_kappa_score(said, parent))
    for row in rows:
        assert sum(row[name] for name in ("both", "only_this", "only_parent", "neither")) == row["images"]
        assert row["low"] <= row["agreement"] <= row["high"]
        assert f"{100 * row['agreement']:.2f}" in told.out
    with Image.open(files.comparison(small, shifted.name, "png")) as sheet:
        assert sheet.size[0] > 1000


def test_another_data_set_of_the_folder(main, small, parents, mnist):
    words = ("--dataset digits --split validation --data-dir", MNIST_DATA, "--images MNIST --pretrained", small)
    assert main("--compare", parents["LeNet_300_100"], *words).code == 0
    rows = json.loads(files.comparison(small, "MNIST (validation)", "json").read_text())["rows"]
    assert [row["images"] for row in rows] == [180, 5000]


def test_image_files_are_what_was_written(shifted, digits):
    found = comparing.of_folder(shifted, (1, 28, 28))
    assert found.pixels.shape == (40, 1, 28, 28) and 0 <= found.pixels.min() < found.pixels.max() <= 1
    raw = digits.test.images[:40] * digits.normalisation[1] + digits.normalisation[0]
    names = sorted([f"more/{n:03}.bmp" if n % 2 else f"{n:03}.PNG" for n in range(40)])
    numbers = [int(name.removeprefix("more/")[:3]) for name in names]
    assert (found.pixels - raw.roll(3, 2)[numbers]).abs().max() <= 0.5 / 255 + 1e-6


def test_image_files_are_scaled_and_take_the_networks_colours(tmp_path):
    grey = Image.fromarray(np.full((10, 20), 51, np.uint8))
    grey.save(tmp_path / "a.png")
    Image.new("RGBA", (7, 7), (255, 0, 0, 255)).save(tmp_path / "b.png")
    found = comparing.of_folder(tmp_path, (3, 8, 6)).pixels
    assert found.shape == (2, 3, 8, 6)
    assert torch.allclose(found[0], torch.tensor(0.2)) and found[1].mean((1, 2)).tolist() == [1, 0, 0]


def test_figures_are_scipys_and_scikit_learns():
    generator = np.random.default_rng(0)
    probabilities, parent = generator.random((200, 2)), generator.integers(0, 4, 200)
    found = Compared((1, 3), probabilities, probabilities > 0.5, parent)
    for k, row in enumerate(comparing.figures(found)):
        own, whole = probabilities[:, k] > 0.5, parent == (1, 3)[k]
        interval = stats.binomtest(int((own == whole).sum()), 200).proportion_ci(0.95, "wilson")
        assert (row["low"], row["high"]) == (interval.low, interval.high)
        assert row["kappa"] == pytest.approx(metrics.cohen_kappa_score(own, whole))
        assert row["agreement"] == metrics.accuracy_score(whole, own)


def test_where_both_always_say_no_there_is_no_kappa():
    (row,) = comparing.figures(Compared((1,), np.zeros((5, 1)), np.zeros((5, 1), bool), np.zeros(5, int)))
    assert np.isnan(row["kappa"]) and row["agreement"] == 1 and row["neither"] == 5


def test_the_surest_difference_comes_first():
    probabilities = np.array([[0.9], [0.2], [0.6], [0.01]])
    found = Compared((0,), probabilities, probabilities > 0.5, np.array([0, 0, 1, 0]))
    assert found.differing().tolist() == [3, 1, 2]
    images = Images("x", torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 2, 2) / 4)
    shown = comparing.differences(found, images, ("cat", "dog"))
    assert [words for _, words in shown] == ["cat 0.01\nparent: cat", "cat 0.20\nparent: cat", "cat 0.60\nparent: dog"]
    assert [image[0, 0] for image, _ in shown] == [0.75, 0.25, 0.5]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--images nowhere", "--images nowhere is no folder, and none of the data sets MNIST"),
        ("", "--compare needs images: give --images"),
    ],
)
def test_images_that_are_not_there(main, small, parents, words, told):
    found = main("--compare", parents["LeNet_300_100"], "--dataset digits --pretrained", small, words)
    assert found.code == 2 and told in found.err and "Traceback" not in found.err


def test_images_go_with_compare(main):
    found = main("--images digits")
    assert found.code == 2 and "--images goes with --compare PARENT" in found.err


def test_what_cannot_be_read_as_an_image_is_named(tmp_path):
    with pytest.raises(SpecDNNError, match="no images lie in it"):
        comparing.of_folder(tmp_path, (1, 28, 28))
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(SpecDNNError, match="broken.png cannot be read as an image"):
        comparing.of_folder(tmp_path, (1, 28, 28))
    with pytest.raises(SpecDNNError, match="images of 5x28x28, which no image file has"):
        comparing.of_folder(tmp_path, (5, 28, 28))


def test_a_network_of_some_classes_is_no_parent(main, small, pruned, shifted):
    found = main("--compare", pruned["LeNet_5"], "--dataset digits --pretrained", small, "--images", shifted)
    assert found.code == 2 and "knows classes 3 only: name a network of all classes" in found.err
