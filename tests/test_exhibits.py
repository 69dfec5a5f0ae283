"""What the contact sheet shows of a class: worked by hand on six units, and through the file."""

import json

import numpy as np
import pytest
import six_units
import torch
from numpy.testing import assert_allclose
from torch import nn

from specdnn import exhibits, files
from specdnn.network import scores, watching
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.results import shown
from specdnn.structures import Dataset, KeptUnits, Layer, Layers, Split

DATA = Dataset("pairs", ("left", "right"), six_units.NORMALISATION, *[six_units.data()] * 3)


def compact():
    """The second pixel, both hidden units, class 1."""
    return cut(six_units.compact(), KeptUnits(((1,), (0, 1), (1,))))


def test_the_mean_image_is_that_of_the_class_in_raw_intensity():
    """The images of class 1 are (0, 1) and (0, 1/2)."""
    assert_allclose(exhibits.mean_image(DATA, 1), [[0, 0.75]])


def test_an_exhibit_by_hand():
    """The pixel is 0.75 in class 1, 0.25 in class 0; the kept weights to the hidden units are -1 and 2.

    On its own normalised values -1, 0 (class 0) and 1, 0 (class 1) the hidden units are 1, 0 and 0, 0, then 0, 1
    and 3, 1: contrasts 1/2 and |2 - 1/2|. The output's weights are 1 and 1, so relevance is (1/2, 3/2).
    """
    told = exhibits.exhibit(compact(), DATA)
    assert told["class"] == 1 and told["name"] == "right" and told["mean_image"] == [[0, 191]]
    assert told["kept"] == {"input": (1,), "hidden": (0, 1), "out": (1,)} and told["places"] == [[0, 1]]
    assert_allclose(told["strengths"][1], [[0.5], [1.5]])
    assert_allclose(told["strengths"][0], [[0.5 * 1 * 0.5, 0.5 * 2 * 1.5]])


def test_an_exhibit_comes_back_from_its_file(tmp_path):
    told = exhibits.exhibit(compact(), DATA)
    files.write(tmp_path / "x.json", files.json_text(told))
    found = shown.exhibit(json.loads((tmp_path / "x.json").read_text()))
    assert found.name == "right" and found.layers == ("input", "hidden", "out")
    assert_allclose(found.mean_image, [[0, 191]])
    assert [pair.shape for pair in found.strengths] == [(1, 2), (2, 1)]
    assert_allclose(found.strengths[0], told["strengths"][0])


def test_examples_are_the_surest_of_their_kind():
    """Against every image by itself, and sorted by hand."""
    for wanted in (0, 1):
        small, images, labels = cut(six_units.compact(), KeptUnits(((0, 1), (0, 1), (wanted,)))), *_validation()
        logits = [small.network(image[None]).item() for image in images]
        kinds = {"found": [], "missed": [], "taken for it": []}
        for n, (logit, label) in enumerate(zip(logits, labels, strict=True)):
            if label == wanted:
                kinds["found" if logit > 0 else "missed"].append(n)
            elif logit > 0:
                kinds["taken for it"].append(n)
        by_hand = {kind: sorted(which, key=lambda n: -abs(logits[n]))[:4] for kind, which in kinds.items()}
        assert exhibits.examples(small, DATA) == by_hand and sum(map(len, by_hand.values())) >= 2


def _validation():
    return DATA.validation.images, DATA.validation.labels.tolist()


def test_an_example_is_written_in_greys():
    """The images of six_units in raw intensity, a digit a pixel."""
    told = [exhibits.greys(DATA, n) for n in range(4)]
    assert told == [["".join(f"{round(15 * value):x}" for value in raw)] for raw in six_units.RAW]
    whole = exhibits.exhibit(compact(), DATA)
    seen = shown.examples(json.loads(files.json_text(whole)))
    assert list(seen) == ["found", "missed", "taken for it"] and shown.examples({}) == {}
    greys = {
        kind: [exhibits.greys(DATA, n) for n in which] for kind, which in exhibits.examples(compact(), DATA).items()
    }
    assert {
        kind: [["".join(f"{g:x}" for g in row) for row in one] for one in found] for kind, found in seen.items()
    } == greys


def test_a_large_example_is_thinned():
    images = torch.zeros(2, 3, 200, 120)
    images[1, :, :, 60:] = 1
    data = Dataset("x", ("a", "b"), (0.0, 1.0), *[Split(images, torch.tensor([0, 1]))] * 3)
    assert exhibits.greys(data, 0) == ["0" * 30] * 50 and exhibits.greys(data, 1) == ["0" * 15 + "f" * 15] * 50


@pytest.mark.parametrize("examples", [[], {"found": 1}, {"found": [[]]}, {"found": [["0f", "0"]]}, {"found": ["0f"]},
                                      {"found": [["0g"]]}, {"found": [[1]]}, {"found": [[""]]}, None])  # fmt: skip
def test_what_is_no_image_is_no_exhibit(examples):
    told = json.loads(files.json_text(exhibits.exhibit(compact(), DATA)))
    assert shown.is_exhibit(told) and not shown.is_exhibit({**told, "examples": examples})


class Residual(nn.Module):
    """Two pixels make the stream; a block of one unit reads it and adds to it; the stream makes the outputs."""

    def __init__(self):
        super().__init__()
        self.stem, self.down, self.up, self.out = nn.Linear(2, 2), nn.Linear(2, 1), nn.Linear(1, 2), nn.Linear(2, 2)

    def forward(self, images):
        stream = torch.relu(self.stem(images.flatten(1)))
        return self.out(stream + self.up(torch.relu(self.down(stream))))


def test_what_connects_layers_that_are_no_neighbours(tmp_path):
    """Back and forth between the stream and the block is one table; from the stream to the output is beyond."""
    torch.manual_seed(1)
    compact = CompactNetwork.parent(Residual(), six_units.IMAGE)
    compact = cut(compact, KeptUnits(((0, 1), (0, 1), (0,), (1,))))
    assert compact.wiring.layers.names == ("input", "stem", "down", "out")
    told = exhibits.exhibit(compact, DATA)
    active = watching.contrast(watching.class_means(compact, DATA.validation, 2, DATA.normalisation), (1,))
    stem, down, up, out = (one.strengths for one in scores.strengths(compact, active)[0])
    assert_allclose(told["strengths"][0], stem, rtol=0.01)
    assert_allclose(told["strengths"][1], down + up.T, rtol=0.01)
    assert told["strengths"][2] == [[0.0]]
    [(one, other, table)] = told["beyond"]
    assert (one, other) == (1, 3)
    assert_allclose(table, out, rtol=0.01)
    files.write(tmp_path / "x.json", files.json_text(told))
    again = json.loads((tmp_path / "x.json").read_text())
    assert shown.is_exhibit(again)
    [(one, other, table)] = shown.exhibit(again).beyond
    assert (one, other, table.shape) == (1, 3, (2, 1))


@pytest.mark.parametrize(
    "beyond", [[[0, 1, [[1.0], [1.0]]]], [[0, 9, [[1.0]]]], [[0, 2, [[1.0, 2.0]]]], [[0, 2, [[-1.0]]]], [[0]], 7]
)
def test_what_is_no_table_beyond_neighbours_is_no_exhibit(beyond):
    told = json.loads(files.json_text(exhibits.exhibit(compact(), DATA)))
    assert shown.is_exhibit(told) and shown.is_exhibit({**told, "beyond": [[0, 2, [[1.0]]]]})
    assert not shown.is_exhibit({**told, "beyond": beyond})


@pytest.fixture
def layers(folder, whole):
    """Layers of a network of the folder, by its name."""
    return lambda arch: whole(folder.architectures[arch]()).wiring.layers


def test_places_are_pixels_or_the_places_of_flattened_features(layers):
    kept = KeptUnits(((0, 29, 783), (0,), (0,), (0,)))
    counts = exhibits.places(kept, layers("LeNet_300_100"), (28, 28))
    assert counts.shape == (28, 28) and np.argwhere(counts).tolist() == [[0, 0], [1, 1], [27, 27]]
    # features 5 and 21 are the same place (row 1, column 1) of two channels, 799 the last one of the last
    kept = KeptUnits(((0,), (0,), (5, 21, 799), (0,), (0,)))
    counts = exhibits.places(kept, layers("LeNet_5"), (28, 28))
    assert counts.shape == (4, 4) and counts[1, 1] == 2 and counts[3, 3] == 1 and counts.sum() == 3


@pytest.mark.parametrize("shape", [(2, 8), (4, 4)])
def test_the_grid_has_the_shape_of_the_image(layers, shape):
    kept = KeptUnits(((0,), (0,), (5,), (0,), (0,)))
    assert exhibits.places(kept, layers("LeNet_5"), (7 * shape[0], 7 * shape[1])).shape == shape


def test_places_that_fill_no_grid_of_that_shape_fill_the_nearest_one():
    """35 places of a square image: 5 rows of 7, 7 being as near."""
    channels = tuple(np.repeat([0, 1], 35).tolist())
    layers = (Layer("input", 1, prunable=False), Layer("conv", 70, channels=channels), Layer("out", 1, prunable=False))
    counts = exhibits.places(KeptUnits(((0,), (0, 35, 36), (0,))), Layers(layers), (28, 28))
    assert counts.shape == (5, 7) and counts[0].tolist() == [2, 1, 0, 0, 0, 0, 0]


def test_an_image_whose_units_have_no_place_is_seen_everywhere():
    layers = (Layer("input", 3, prunable=False), Layer("conv", 4), Layer("out", 1, prunable=False))
    counts = exhibits.places(KeptUnits(((0, 1, 2), (0, 3), (0,))), Layers(layers), (2, 3))
    assert counts.tolist() == [[3, 3, 3], [3, 3, 3]]
