"""The one training loop: losses, targets, schedule, best epoch, repeatability."""

import copy
import math

import pytest
import six_units
import torch
from torch import nn

from specdnn.network import training
from specdnn.network.scores import weight_norms
from specdnn.network.surgery import CompactNetwork, cut, without_gathering
from specdnn.structures import Recipe, Split

LOGITS = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
TARGETS = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
SIGMOID = [[1 / (1 + math.exp(-z)) for z in row] for row in LOGITS.tolist()]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def test_bce_of_each_logit():
    terms = (
        -math.log(p if t else 1 - p)
        for ps, ts in zip(SIGMOID, TARGETS.tolist(), strict=True)
        for p, t in zip(ps, ts, strict=True)
    )
    assert training.bce(LOGITS, TARGETS).item() == pytest.approx(mean(terms), rel=1e-5)


def test_mse_after_the_sigmoid():
    terms = (
        (p - t) ** 2 for ps, ts in zip(SIGMOID, TARGETS.tolist(), strict=True) for p, t in zip(ps, ts, strict=True)
    )
    assert training.mse(LOGITS, TARGETS).item() == pytest.approx(mean(terms), rel=1e-5)


def test_cross_entropy_over_all_classes():
    terms = (math.log(sum(math.exp(z) for z in row)) - row[k] for k, row in enumerate(LOGITS.tolist()))
    assert training.cross_entropy(LOGITS, TARGETS).item() == pytest.approx(mean(terms), rel=1e-5)


def test_targets_are_one_against_rest_in_the_order_of_the_classes():
    labels = torch.tensor([3, 0, 7, 3, 5])
    assert training.one_against_rest(labels, (3,)).tolist() == [[1], [0], [0], [1], [0]]
    columns = training.one_against_rest(labels, (0, 3, 7)).T.tolist()
    assert columns == [[0, 1, 0, 0, 0], [1, 0, 0, 1, 0], [0, 0, 1, 0, 0]]
    assert training.one_against_rest(labels, range(10)).argmax(1).tolist() == labels.tolist()


# ------------------------------------------------------------------------------------------ the loop


def run(compact, recipe, scores=None, classes=(0, 1), data=None):
    """(records, state after every epoch) of a training on the four images."""
    data, states, records = data or six_units.data(), [], []
    scores = iter(scores or range(1, recipe.epochs + 1))
    for record in training.train(compact, data, classes, recipe, lambda logits: next(scores), data):
        records.append(record)
        states.append(copy.deepcopy(compact.network.state_dict()))
    return records, states


def same(one, other):
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_one_record_an_epoch():
    records, _ = run(six_units.compact(), Recipe(epochs=3, lr=0.01), [0.5, 0.7, 0.6])
    assert [(r.epoch, r.score, r.best) for r in records] == [(1, 0.5, True), (2, 0.7, True), (3, 0.6, False)]
    assert all(math.isfinite(r.loss) and r.loss > 0 for r in records)


def test_the_best_epoch_is_restored():
    compact = six_units.compact()
    _, states = run(compact, Recipe(epochs=4, lr=0.05), [1, 3, 2, 2.5])
    assert same(compact.network.state_dict(), states[1])
    assert not same(compact.network.state_dict(), states[3])


def test_of_equal_epochs_the_first_stays():
    compact = six_units.compact()
    _, states = run(compact, Recipe(epochs=3, lr=0.05), [2, 2, 2])
    assert same(compact.network.state_dict(), states[0])


def test_no_epochs_change_nothing():
    compact = six_units.compact()
    for optimizer, lr_epochs in (("AdamW", 0), ("SGD", 0), ("SGD", 15)):
        assert run(compact, Recipe(epochs=0, lr=0.1, optimizer=optimizer, lr_epochs=lr_epochs)) == ([], [])
    assert same(compact.network.state_dict(), six_units.network().state_dict())


def test_validation_sees_the_logits_of_the_validation_images():
    compact, data = six_units.compact(), six_units.data()
    seen = []
    few = Split(data.images[:3], data.labels[:3])
    list(training.train(compact, data, (0, 1), Recipe(epochs=1, lr=1e-9), lambda logits: seen.append(logits) or 1, few))
    torch.testing.assert_close(seen[0], compact.network(few.images))


@pytest.mark.parametrize("loss", ["bce", "mse", "ce"])
def test_the_loss_of_an_epoch_is_the_mean_over_its_images(loss):
    compact, data = six_units.compact(), six_units.data()
    expected = training.LOSSES[loss](
        compact.network(data.images), training.one_against_rest(data.labels, (0, 1))
    ).item()
    for batch_size in (1, 3, 4, 128):
        records, _ = run(six_units.compact(), Recipe(epochs=1, lr=1e-9, loss=loss, batch_size=batch_size))
        assert records[0].loss == pytest.approx(expected, rel=1e-4)


def test_layers_may_be_trained_in_bfloat16_and_nothing_else_is():
    shown = {}
    for precision, kind in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        compact, kinds, scored = six_units.compact(), set(), []
        for layer in compact.network.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.register_forward_hook(lambda one, _, out, kinds=kinds: kinds.add((one.training, out.dtype)))
        recipe, data = Recipe(epochs=3, lr=0.01, precision=precision), six_units.data()
        records = list(training.train(compact, data, (0, 1), recipe, lambda z, s=scored: s.append(z) or 1, data))
        assert kinds == {(True, kind), (False, torch.float32)}
        assert {weight.dtype for weight in compact.network.parameters()} == {torch.float32}
        shown[precision] = [record.loss for record in records], scored[0]
    (exact, logits), (rough, near) = shown["float32"], shown["bfloat16"]
    assert exact != rough and rough == pytest.approx(exact, rel=0.02)
    torch.testing.assert_close(near, logits, rtol=0.05, atol=0.05)


def test_a_tick_after_every_batch():
    ticks = []
    data = six_units.data()
    recipe = Recipe(epochs=2, lr=0.01, batch_size=3)
    list(training.train(six_units.compact(), data, (0, 1), recipe, lambda z: 0.0, data, lambda: ticks.append(1)))
    assert len(ticks) == 4


def stepped(compact, seen, seed=1, epochs=2):
    """Trained with an `augment` that shifts every image by a drawn number and tells what it is given and gives."""

    def augment(images, generator):
        moved = images + torch.rand(len(images), 1, 1, 1, generator=generator)
        seen.append((images, moved))
        return moved

    data, recipe = six_units.data(), Recipe(epochs, lr=0.05, batch_size=3, seed=seed)
    shown = []
    hook = compact.network.register_forward_pre_hook(lambda _, given: shown.append(given[0].clone()))
    list(training.train(compact, data, (0, 1), recipe, lambda logits: len(shown), data, augment=augment))
    hook.remove()
    return shown


def test_augmented_images_are_shown_in_training_and_the_images_themselves_in_validation():
    data, seen = six_units.data(), []
    shown = stepped(six_units.compact(), seen)
    assert [len(images) for images, _ in seen] == [3, 1, 3, 1]
    assert all(torch.equal(a, b) for a, b in zip((shown[k] for k in (0, 1, 3, 4)), (m for _, m in seen), strict=True))
    assert torch.equal(shown[2], data.images) and torch.equal(shown[5], data.images)
    for epoch in (seen[:2], seen[2:]):
        given = torch.cat([images for images, _ in epoch]).flatten(1)
        assert sorted(given.tolist()) == sorted(data.images.flatten(1).tolist())


def test_what_is_drawn_for_images_depends_on_the_seed_alone():
    first, same_seed, other = [], [], []
    one, two = six_units.compact(), six_units.compact()
    stepped(one, first)
    torch.rand(3)  # torch's own generator has no part in it
    stepped(two, same_seed)
    stepped(six_units.compact(), other, seed=2)
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(first, same_seed, strict=True))
    assert same(one.network.state_dict(), two.network.state_dict())
    assert not torch.equal(first[0][1] - first[0][0], other[0][1] - other[0][0])


def test_the_same_seed_gives_the_same_weights(network_type, whole, digits):
    few = Split(digits.train.images[:200], digits.train.labels[:200])
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        compact = whole(network_type())
        run(compact, Recipe(epochs=2, lr=0.003, batch_size=32, seed=seed), classes=range(10), data=few)
        found.append(compact.network.state_dict())
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_training_leaves_the_layout_in_memory_as_it_was(network_type, whole, digits):
    compact, few = whole(network_type()), Split(digits.train.images[:64], digits.train.labels[:64])
    run(compact, Recipe(epochs=1, lr=0.003, batch_size=32), classes=range(10), data=few)
    assert all(parameter.is_contiguous() for parameter in compact.network.parameters())


def test_the_seed_of_torch_and_of_numpy_do_not_matter():
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        compact = six_units.compact()
        run(compact, Recipe(epochs=3, lr=0.05, batch_size=1))
        found.append(compact.network.state_dict())
    assert same(*found)


def test_training_reduces_the_loss(digits, network_type, whole):
    torch.manual_seed(0)
    few = Split(digits.train.images[:200], digits.train.labels[:200])
    records, _ = run(whole(network_type()), Recipe(epochs=6, lr=0.003, batch_size=32), classes=range(10), data=few)
    assert records[-1].loss < records[0].loss / 2


def test_training_that_diverges_says_so():
    with pytest.raises(training.Diverged, match="diverged in epoch 1"):
        run(six_units.compact(), Recipe(epochs=3, lr=1e38, optimizer="SGD", batch_size=1, lr_epochs=5))


def test_group_l1_shrinks_the_norms_of_units():
    free, held = six_units.compact(), six_units.compact()
    run(free, Recipe(epochs=30, lr=0.02))
    run(held, Recipe(epochs=30, lr=0.02, group_l1=0.3))
    for lighter, norms in zip(weight_norms(held), weight_norms(free), strict=True):
        assert lighter.sum() < norms.sum()


def test_group_l1_is_the_sum_of_the_norms_of_the_prunable_layers():
    compact = six_units.compact()
    plain = run(six_units.compact(), Recipe(epochs=1, lr=1e-9))[0][0].loss
    heavy = run(six_units.compact(), Recipe(epochs=1, lr=1e-9, group_l1=0.1))[0][0].loss
    assert heavy - plain == pytest.approx(0.1 * sum(norms.sum() for norms in weight_norms(compact)), rel=1e-4)


def test_group_l1_holds_units_down_over_all_their_readers():
    """Two layers read a unit: its norm is over both, and a unit that neither reads has no gradient."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.one, self.other = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, images):
            hidden = torch.relu(self.hidden(images.flatten(1)))
            return self.one(hidden) + self.other(hidden)

    torch.manual_seed(0)
    compact = CompactNetwork.parent(Twice(), six_units.IMAGE)
    with torch.no_grad():
        for reader in (compact.network.one, compact.network.other):
            reader.weight[:, 1] = 0
    plain, heavy = (run(copy.deepcopy(compact), Recipe(epochs=1, lr=1e-9, group_l1=l1))[0][0].loss for l1 in (0.0, 0.1))
    readers = torch.cat([compact.network.one.weight, compact.network.other.weight])
    pixels = compact.network.hidden.weight
    expected = 0.1 * (readers.norm(dim=0).sum() + pixels.norm(dim=0).sum()).item()
    assert heavy - plain == pytest.approx(expected, rel=1e-4)
    _, states = run(compact, Recipe(epochs=3, lr=0.05, group_l1=0.1))
    assert all(tensor.isfinite().all() for tensor in states[-1].values())


def test_a_cut_network_is_trained_like_any_other(network_type, whole, digits):
    parent = whole(network_type())
    kept = parent.kept.replace(2, range(0, parent.kept.widths[2], 7)).replace(len(parent.kept.units) - 1, (3,))
    compact, few = cut(parent, kept), Split(digits.train.images[:200], digits.train.labels[:200])
    before = copy.deepcopy(parent.network.state_dict())
    records, states = run(compact, Recipe(epochs=6, lr=0.003, batch_size=32), classes=(3,), data=few)
    assert records[-1].loss < records[0].loss / 2 and same(parent.network.state_dict(), before)
    assert same({n: t for n, t in states[0].items() if "select" in n}, compact.network.state_dict())


class Normed(nn.Module):
    """BatchNorm and dropout: what training mode does."""

    def __init__(self):
        super().__init__()
        self.hidden, self.norm, self.out = nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, images):
        hidden = torch.relu(self.norm(self.hidden(images.flatten(1))))
        return self.out(nn.functional.dropout(hidden, 0.5, self.training))


def test_a_network_trains_in_training_mode_and_is_scored_in_evaluation_mode():
    torch.manual_seed(0)
    compact, data = CompactNetwork.parent(Normed(), six_units.IMAGE), six_units.data()
    seen, modes = [], []
    compact.network.norm.register_forward_hook(lambda module, *_: modes.append(module.training))
    score = lambda logits: seen.append(logits.clone()) or 1.0  # noqa: E731
    recipe = Recipe(epochs=1, lr=0.01, batch_size=2)
    list(training.train(compact, data, (0, 1), recipe, score, data))
    assert modes == [True, True, False] and compact.network.norm.num_batches_tracked == 2
    assert compact.network.norm.running_mean.any()
    with torch.no_grad():
        torch.testing.assert_close(compact.network.eval()(data.images), seen[0])


# ------------------------------------------------------------------------------------------ the kept pixels


class Pixels(nn.Module):
    """Linear from the pixels on, with what draws and learns in training mode."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.out = nn.Linear(16, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)

    def forward(self, images):
        hidden = torch.relu(self.norm(self.first(images.flatten(1))))
        return self.out(nn.functional.dropout(hidden, 0.2, self.training))


def of_few_pixels(pixels=(0, 3, 5, 12)):
    torch.manual_seed(4)
    parent = CompactNetwork.parent(Pixels(), torch.zeros(1, 4, 4))
    return cut(parent, parent.kept.replace(0, pixels).replace(1, (1, 2, 5)))


def drawn(count=40):
    generator = torch.Generator().manual_seed(5)
    return Split(torch.randn(count, 1, 4, 4, generator=generator), torch.randint(2, (count,), generator=generator))


def test_a_network_behind_its_gathering_is_the_same_modules_and_gives_the_same():
    compact, images = of_few_pixels(), drawn().images
    gathering, rest = without_gathering(compact.network)
    assert gathering(images).shape == (40, 4)
    for mode in (True, False):
        compact.network.train(mode)
        results = []
        for given in (lambda: compact.network(images), lambda: rest(gathering(images))):
            torch.manual_seed(6)
            results.append(given())
        assert torch.equal(*results)
    ours, theirs = dict(compact.network.named_parameters()), dict(rest.named_parameters())
    assert ours.keys() == theirs.keys() and all(ours[name] is theirs[name] for name in ours)


def test_a_network_that_does_something_else_with_the_images_has_no_part_behind_a_gathering():
    assert without_gathering(six_units.compact().network) is None
    assert without_gathering(of_few_pixels(range(16)).network) is None


@pytest.mark.parametrize("group_l1", [0.0, 0.01])
def test_taking_the_kept_pixels_out_once_changes_no_bit(monkeypatch, group_l1):
    recipe = Recipe(epochs=4, lr=0.02, batch_size=16, group_l1=group_l1)
    once, always = of_few_pixels(), of_few_pixels()
    records, states = run(once, recipe, data=drawn())
    monkeypatch.setattr(training, "without_gathering", lambda network: None)
    told, left = run(always, recipe, data=drawn())
    assert told == records and len(states) == 4 and all(map(same, states, left))


# ------------------------------------------------------------------------------------------ the schedule


def one_weight(start=1.0):
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 1, bias=False))
    nn.init.constant_(network[1].weight, start)
    return CompactNetwork.parent(network, torch.zeros(1, 1, 1))


DULL = Split(torch.ones(1, 1, 1, 1), torch.tensor([1]))


def test_sgd_is_gradient_descent_and_divides_the_rate_by_ten_every_so_many_epochs():
    """Two equal images, one weight w: the loss is -log sigmoid(w), its slope sigmoid(w) - 1; two steps an epoch."""
    compact, twice = one_weight(), Split(torch.ones(2, 1, 1, 1), torch.tensor([1, 1]))
    recipe = Recipe(4, 0.5, optimizer="SGD", momentum=0, weight_decay=0, lr_epochs=2, batch_size=1)
    _, states = run(compact, recipe, classes=(1,), data=twice)
    weight = 1.0
    for rate, state in zip((0.5, 0.5, 0.05, 0.05), states, strict=True):
        for _ in range(2):
            weight -= rate * (1 / (1 + math.exp(-weight)) - 1)
        assert state["1.weight"].item() == pytest.approx(weight, rel=1e-5)


def test_momentum_and_weight_decay_as_given():
    compact = one_weight()
    recipe = Recipe(epochs=2, lr=0.5, optimizer="SGD", momentum=0.9, weight_decay=0.1, lr_epochs=5)
    _, states = run(compact, recipe, classes=(1,), data=DULL)
    weight, velocity = 1.0, 0.0
    for state in states:
        velocity = 0.9 * velocity + (1 / (1 + math.exp(-weight)) - 1) + 0.1 * weight
        weight -= 0.5 * velocity
        assert state["1.weight"].item() == pytest.approx(weight, rel=1e-5)


def test_one_cycle_rises_to_the_rate_and_falls():
    """Without a step rule the rate starts low, reaches --lr and ends near 0: Adam's steps show it."""
    compact = one_weight(0.0)
    _, states = run(compact, Recipe(epochs=20, lr=0.1, weight_decay=0), classes=(1,), data=DULL)
    weights = [0.0] + [state["1.weight"].item() for state in states]
    steps = [b - a for a, b in zip(weights, weights[1:], strict=False)]
    assert steps[0] < 0.02 and 0.06 < max(steps) <= 0.1 and steps[-1] < 0.001
    assert 3 < steps.index(max(steps)) < 10
