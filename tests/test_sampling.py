"""Which images an epoch shows: every one of the wanted classes, and as many of the rest as --rest says."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from specdnn.network import training
from specdnn.network.sampling import Sampling
from specdnn.network.surgery import CompactNetwork
from specdnn.structures import Recipe, Split

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=40)
CLASSES = st.sets(st.integers(0, 4), min_size=1).map(sorted)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


@given(LABELS, CLASSES, st.floats(0.1, 9))
def test_an_epoch_shows_every_wanted_image_once_and_no_other_twice(labels, classes, rest):
    sampling = Sampling(torch.tensor(labels), classes, rest)
    own = [k for k, label in enumerate(labels) if label in classes]
    others = len(labels) - len(own)
    shown = sampling.order(seeded()).tolist()
    assert len(set(shown)) == len(shown) == len(sampling)
    assert set(own) <= set(shown)
    assert len(shown) - len(own) == min(others, max(1, round(rest * len(own))))
    assert sampling.whole == (len(shown) == len(labels))


@pytest.mark.parametrize("rest", [0, 3, 100.0])  # 3: as many as there are
def test_where_all_are_shown_the_order_is_a_permutation_of_them(rest):
    sampling = Sampling(torch.tensor([0, 1, 1, 1, 0, 1, 1, 1]), (0,), rest)
    assert sampling.order(seeded(7)).tolist() == torch.randperm(8, generator=seeded(7)).tolist()
    assert sampling.offsets().tolist() == [0]


def test_the_rest_is_drawn_anew_and_mixed_with_the_class():
    labels = torch.tensor([1] * 5 + [0] * 40)
    sampling, generator = Sampling(labels, (1,), 2), seeded()
    epochs = [sampling.order(generator).tolist() for _ in range(40)]
    assert {k for epoch in epochs for k in epoch} == set(range(45))
    assert len({tuple(sorted(epoch)) for epoch in epochs}) == 40
    assert len({k for epoch in epochs for k in epoch[:3]} & set(range(5))) == 5  # the class is not shown in one block
    assert any(k >= 5 for epoch in epochs for k in epoch[:3])


@given(LABELS, CLASSES, st.floats(0.1, 9))
def test_offsets_are_the_log_odds_among_those_shown_over_those_among_all(labels, classes, rest):
    labels = torch.tensor(labels)
    sampling = Sampling(labels, classes, rest)
    shown = labels[sampling.order(seeded())].tolist()

    def odds(among, wanted):
        return among.count(wanted) / (len(among) - among.count(wanted))

    for wanted, offset in zip(classes, sampling.offsets().tolist(), strict=True):
        if 0 < shown.count(wanted) < len(shown):
            expected = math.log(odds(shown, wanted) / odds(labels.tolist(), wanted))
            assert offset == pytest.approx(expected, abs=1e-5)


class Constant(nn.Module):
    """The same logits whatever it is shown."""

    def __init__(self, outputs):
        super().__init__()
        self.out = nn.Linear(1, outputs)

    def forward(self, images):
        return self.out(images.flatten(1))


@pytest.mark.parametrize("classes", [(1,), (0, 2)])
@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_logits_are_right_for_all_images_though_only_some_are_shown(classes, loss):
    """What knows nothing of an image can at best say how often the class is to be seen: the log-odds among all."""
    labels = torch.tensor([0] * 20 + [1] * 30 + [2] * 10 + [3] * 140)
    network = CompactNetwork.parent(Constant(len(classes)), torch.zeros(1, 1, 1))
    nn.init.zeros_(network.network.get_submodule("out").bias)
    data = Split(torch.zeros(200, 1, 1, 1), labels)
    recipe = Recipe(400, 2.0, loss, "SGD", momentum=0.0, weight_decay=0.0, lr_epochs=400, batch_size=200, rest=1)
    scores = iter(range(recipe.epochs))  # the last epoch is the best
    list(training.train(network, data, classes, recipe, lambda logits: next(scores), data))
    bias = network.network.get_submodule("out").bias.tolist()
    for wanted, found in zip(classes, bias, strict=True):
        own = (labels == wanted).sum().item()
        assert found == pytest.approx(math.log(own / (200 - own)), abs=0.01)
