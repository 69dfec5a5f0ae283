"""Cover -> class community -> kept units, the budget, the rivals' choices, on a graph small enough to draw."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specdnn import selection
from specdnn.structures import ClassGraph, Connections, Cover, KeptUnits, Layer, Layers, Module

# input units are nodes 0..3, hidden units 4..7, outputs 8 and 9; class 1 (node 9) is wanted
LAYERS = Layers((Layer("input", 4), Layer("hidden", 4), Layer("out", 2, prunable=False)))
EDGES = np.array([[0, 4], [1, 4], [1, 5], [2, 6], [3, 7], [4, 9], [5, 9], [6, 9]])
STRENGTHS = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0])
RELEVANCE = (np.array([1.0, 2.0, 3.0, 4.0]), np.array([4.0, 3.0, 2.0, 1.0]), np.array([0.0, 1.0]))
GRAPH = ClassGraph(LAYERS, EDGES, STRENGTHS, RELEVANCE, (1,))
EVERYTHING = KeptUnits(((0, 1, 2, 3), (0, 1, 2, 3), (1,)))
NARROW = (1, 1, 1)


def chosen(*modules, wanted_widths=NARROW):
    return selection.class_community(Cover(tuple(Module(nodes, bs) for nodes, bs in modules)), GRAPH, wanted_widths)


# ------------------------------------------------------------------------------------------ captured relevance


def test_captured_relevance_is_the_mean_share_over_the_prunable_layers():
    # units 1 and 3 of the input: 6 of 10; unit 0 of the hidden layer: 4 of 10; the output counts nothing
    assert selection.captured_relevance(GRAPH, [1, 3, 4, 9]) == pytest.approx(0.5)
    assert selection.captured_relevance(GRAPH, range(10)) == pytest.approx(1)
    assert selection.captured_relevance(GRAPH, []) == 0


# ------------------------------------------------------------------------------------------ the class community


def test_the_module_that_holds_the_wanted_output_comes_first():
    found = chosen(((0, 2, 3, 4), 0.001), ((1, 5, 9), 0.05))
    assert found.nodes.tolist() == [1, 5, 9]
    assert found.output_in_community and found.significance == 0.05 and found.joined == 0
    assert found.captured_relevance == pytest.approx((0.2 + 0.3) / 2)
    assert found.module_sizes == (4, 3)


def test_a_module_that_captures_little_is_joined_although_it_is_wide_enough():
    modules = ((0, 7, 9), 0.05), ((1, 5), 0.2), ((2,), 0.01)
    found = chosen(*modules)
    assert found.nodes.tolist() == [0, 1, 5, 7, 9] and found.joined == 1
    assert found.captured_relevance == pytest.approx((0.3 + 0.4) / 2)
    assert chosen(modules[0]).nodes.tolist() == [0, 7, 9]  # nothing to join


def test_an_output_that_nobody_wants_counts_for_nothing():
    found = chosen(((0, 7, 8), 0.001), ((2, 3, 4, 5), 0.05))
    assert found.nodes.tolist() == [2, 3, 4, 5]
    assert not found.output_in_community


def test_without_the_output_the_most_captured_relevance_wins():
    found = chosen(((0, 7), 0.0), ((3, 4), 0.09), ((2, 5), 0.01))
    assert found.nodes.tolist() == [3, 4]
    assert found.captured_relevance == pytest.approx(0.4)


def test_of_two_modules_with_the_output_the_more_relevant_one():
    assert chosen(((0, 7, 9), 0.01), ((3, 4, 9), 0.02)).nodes.tolist() == [3, 4, 9]


def test_a_candidate_has_a_unit_in_every_prunable_layer():
    assert chosen(((0, 1, 2, 3), 0.001), ((4, 5, 9), 0.001), ((0, 4), 0.05)).nodes.tolist() == [0, 4]


def test_none_if_no_significant_module_spans_all_layers():
    assert chosen(((0, 1), 0.001), ((4, 9), 0.001)) is None
    assert chosen(((0, 4, 9), 1.0)) is None  # not significant
    assert chosen(((0,), 0.0), ((4,), 0.0)) is None
    assert selection.class_community(Cover(()), GRAPH, NARROW) is None


def test_modules_are_joined_by_relevance_until_every_layer_is_wide_enough():
    modules = ((0, 4, 9), 0.05), ((3,), 1.0), ((1, 2), 0.01), ((5, 6, 7), 0.02)
    assert chosen(*modules, wanted_widths=(1, 1, 1)).joined == 0
    two = chosen(*modules, wanted_widths=(1, 2, 1))
    # (5, 6, 7) captures (0 + 0.6) / 2, (1, 2) captures (0.5 + 0) / 2
    assert two.nodes.tolist() == [0, 4, 5, 6, 7, 9] and two.joined == 1
    three = chosen(*modules, wanted_widths=(2, 2, 1))
    assert three.nodes.tolist() == [0, 1, 2, 4, 5, 6, 7, 9] and three.joined == 2
    assert three.captured_relevance == pytest.approx((0.6 + 1) / 2)
    assert three.significance == 0.05 and three.module_sizes == (3, 3, 2)


def test_joining_ends_when_no_module_is_left():
    found = chosen(((0, 7, 9), 0.05), ((1, 4), 0.5), wanted_widths=(4, 4, 1))
    assert found.nodes.tolist() == [0, 1, 4, 7, 9] and found.joined == 1


def test_wide_enough_looks_at_the_prunable_layers_only():
    assert selection.wide_enough(GRAPH, [0, 1, 4], (2, 1, 5))
    assert not selection.wide_enough(GRAPH, [0, 1, 4], (2, 2, 1))
    assert not selection.wide_enough(GRAPH, [0, 4, 9], (2, 1, 1))


def test_an_output_joined_later_is_recorded():
    found = chosen(((3, 4), 0.05), ((7, 9), 0.5), wanted_widths=(1, 2, 1))
    assert found.nodes.tolist() == [3, 4, 7, 9] and found.output_in_community


def test_overlapping_modules_are_united():
    found = chosen(((3, 4, 5), 0.05), ((3, 4), 0.5), ((3, 6), 0.5), wanted_widths=(1, 3, 1))
    assert found.nodes.tolist() == [3, 4, 5, 6]


def test_the_order_of_the_modules_changes_nothing():
    modules = [((0, 4), 0.05), ((1, 4), 0.5), ((1, 5), 0.2), ((2, 7), 0.01)]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        found, again = (chosen(*ms, wanted_widths=(2, 2, 1)) for ms in (modules, [modules[k] for k in order]))
        assert found.nodes.tolist() == again.nodes.tolist()


# ------------------------------------------------------------------------------------------ kept units


def test_kept_units_of_a_community():
    kept = selection.kept_units(GRAPH, [1, 3, 4, 9], EVERYTHING)
    assert kept.units == ((1, 3), (0,), (1,))


def test_layers_that_cannot_be_pruned_stay():
    assert selection.kept_units(GRAPH, [0, 4], EVERYTHING).classes == (1,)
    assert selection.kept_units(GRAPH, [0, 4, 8, 9], EVERYTHING).classes == (1,)


# ------------------------------------------------------------------------------------------ the budget


def test_the_strongest_units_stay_and_ties_go_to_the_lower_index():
    kept = KeptUnits(((2, 5, 9), (0, 1, 4, 6), (3,)))
    scores = [np.array([0.1, 0.5, 0.3]), np.array([1.0, 2.0, 1.0, 1.0])]
    assert selection.strongest(kept, scores, (2, 3, 1)).units == ((5, 9), (0, 1, 4), (3,))
    assert selection.strongest(kept, scores, (3, 4, 1)) == kept
    many = KeptUnits((tuple(range(200)), (0,)))
    assert selection.strongest(many, [np.tile([1.0, 2.0], 100)], (150, 1)).units[0] == tuple(
        sorted([*range(1, 200, 2), *range(0, 100, 2)])
    )


def test_ties_are_the_strengths_to_other_kept_units():
    kept = KeptUnits(((1, 2), (0, 2), (1,)))
    # 1-4 stays (2), 1-5 does not; 2-6 stays (8); 4-9 (32) and 6-9 (128) stay
    assert [t.tolist() for t in selection.ties(GRAPH, kept)] == [[2, 8], [2 + 32, 8 + 128]]


def test_ties_of_the_whole_graph():
    assert [t.tolist() for t in selection.ties(GRAPH, EVERYTHING)] == [[1, 6, 8, 16], [35, 68, 136, 16]]


FULL = (784, 300, 100, 10)
widths_now = st.tuples(*(st.integers(1, width) for width in FULL[:3])).map(lambda w: (*w, 1))


def weights(widths):
    return widths[0] * widths[1] + widths[1] * widths[2] + widths[2] * widths[3]


@given(widths_now, st.integers(1, 300_000))
def test_the_widths_meet_the_budget_and_never_grow(current, budget):
    found = selection.budget_widths((*FULL[:3], 1), current, (0, 1, 2), lambda w: weights(w) <= budget)
    assert all(1 <= w <= now for w, now in zip(found, current, strict=True))
    assert weights(found) <= max(budget, 3)
    assert found[3] == 1


@given(widths_now, st.integers(3, 300_000), st.integers(0, 100_000))
def test_a_larger_budget_gives_no_narrower_layer(current, budget, more):
    small = selection.budget_widths((*FULL[:3], 1), current, (0, 1, 2), lambda w: weights(w) <= budget)
    large = selection.budget_widths((*FULL[:3], 1), current, (0, 1, 2), lambda w: weights(w) <= budget + more)
    assert all(s <= w for s, w in zip(small, large, strict=True))


def test_a_network_within_the_budget_keeps_its_widths():
    assert selection.budget_widths(FULL, (88, 7, 4, 1), (0, 1, 2), lambda w: True) == (88, 7, 4, 1)


def test_a_budget_below_one_unit_per_layer_gives_one_unit_per_layer():
    assert selection.budget_widths(FULL, (88, 7, 4, 1), (0, 1, 2), lambda w: False) == (1, 1, 1, 1)


def test_a_layer_that_cannot_be_pruned_keeps_its_width():
    found = selection.budget_widths((3, 20, 800, 500, 10), (3, 8, 40, 9, 2), (1, 2, 3), lambda w: False)
    assert found == (3, 1, 1, 1, 2)


def test_no_wider_network_of_the_family_fits():
    """The widths are the widest: one unit more in every layer that was cut breaks the budget."""
    found = selection.budget_widths((*FULL[:3], 1), (*FULL[:3], 1), (0, 1, 2), lambda w: weights(w) <= 700)
    assert weights(found) <= 700 < weights(tuple(w + 1 for w in found[:3]) + (1,))


@given(widths_now, widths_now)
def test_trim_steps_go_down_to_the_target_and_the_last_halves_at_most(one, other):
    current, target = tuple(map(max, one, other)), tuple(map(min, one, other))
    steps = selection.trim_steps(current, target)
    assert steps[-1] == target
    for before, after in zip([current, *steps], steps, strict=False):
        assert all(t <= a <= b for t, a, b in zip(target, after, before, strict=True))
    assert all(b <= 2 * t for t, b in zip(target, [current, *steps][-2], strict=True))


def test_trim_steps_are_geometric_means():
    # 800 -> 50: sqrt(800 x 50) = 200, sqrt(200 x 50) = 100, and 100 is not more than twice 50
    assert selection.trim_steps((800, 1), (50, 1)) == [(200, 1), (100, 1), (50, 1)]
    assert selection.trim_steps((100, 1), (50, 1)) == [(50, 1)]
    assert selection.trim_steps((50, 1), (50, 1)) == [(50, 1)]
    assert selection.trim_steps((800, 1), (50, 1), 2) == [(200, 1), (50, 1)]
    assert selection.trim_steps((100, 1), (50, 1), 1) == [(50, 1)]
    assert selection.trim_steps((50, 1), (50, 1), 2) == [(50, 1), (50, 1)]


# ------------------------------------------------------------------------------------------ channels

# 3 channels of 4 places each between two pixels and two hidden units
PLACES = tuple(np.repeat([0, 1, 2], 4).tolist())
FLATTENED = Layers(
    (Layer("input", 2), Layer("conv", 12, channels=PLACES), Layer("hidden", 2), Layer("out", 2, prunable=False))
)


def test_channels_are_counted_where_a_convolution_is_flattened():
    assert KeptUnits(((0, 1), (0, 3, 4, 11), (1,), (1,))).channels(FLATTENED) == (2, 3, 1, 1)
    assert KeptUnits(((0,), (4, 5, 6, 7), (1,), (1,))).channels(FLATTENED) == (1, 1, 1, 1)


def test_features_of_so_many_channels():
    kept = KeptUnits(((0, 1), tuple(range(12)), (0, 1), (1,)))
    feature = np.array([9, 8, 7, 6, 5, 4, 3, 2, 10, 1, 1, 1])
    scores = [np.ones(2), feature, np.ones(2)]

    def chosen(width, channels):
        found = selection.strongest_in_channels(FLATTENED, kept, scores, (2, width, 2, 1), (2, channels, 2, 1))
        assert found.channels(FLATTENED)[1] == channels or channels * 4 < width
        return found.units[1]

    assert chosen(3, 2) == (0, 1, 8)  # the three strongest as they are
    assert chosen(3, 3) == (0, 4, 8)  # the best of each channel
    assert chosen(3, 1) == (8, 9, 10)  # the best channel, ties to the lower index
    assert chosen(6, 2) == (0, 1, 2, 3, 8, 9)
    assert chosen(6, 1) == (0, 1, 2, 3, 8, 9)  # one channel has four features only


def test_a_channel_too_small_for_the_width_is_passed_over():
    kept = KeptUnits(((0, 1), (0, 4, 5, 6, 8), (0, 1), (1,)))  # 1, 3 and 1 features of the channels
    scores = [np.ones(2), np.array([9, 1, 2, 3, 8]), np.ones(2)]
    found = selection.strongest_in_channels(FLATTENED, kept, scores, (2, 4, 2, 1), (2, 2, 2, 1))
    assert found.units[1] == (0, 4, 5, 6)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 30), st.integers(1, 6), st.randoms())
def test_the_channels_are_as_many_as_asked_for_where_any_choice_can_be(channel, width, count, random):
    channel, score = np.sort(channel), np.array([random.random() for _ in channel])
    sizes = sorted((channel == c).sum() for c in set(channel.tolist()))[::-1]
    width = min(width, len(channel))
    found = selection._in_channels(channel, score, width, min(count, len(sizes), width))
    assert len(found) == len(set(found)) == width
    needed = next(n for n in range(1, len(sizes) + 1) if sum(sizes[:n]) >= width)
    assert len(set(channel[found].tolist())) == max(min(count, len(sizes), width), needed)


# ------------------------------------------------------------------------------------------ one ranking for all layers


def test_one_ranking_over_all_layers_uses_the_budget_up():
    kept = KeptUnits(((2, 5, 9), (0, 1, 4), (3,)))
    scores = [np.array([1.0, 2.0, 3.0]), np.array([10.0, 70.0, 10.0])]
    # divided by their means 2 and 30: 0.5 1 1.5 and 1/3 7/3 1/3; one of each layer, then unit 5, 2, ...

    layers = Layers((Layer("input", 10), Layer("hidden", 5), Layer("out", 4, prunable=False)))

    def chosen(budget):
        return selection.ranked_across_layers(layers, kept, scores, lambda k: sum(k.widths[:2]) <= budget).units[:2]

    assert chosen(2) == ((9,), (1,))
    assert chosen(3) == ((5, 9), (1,))
    assert chosen(5) == ((2, 5, 9), (0, 1))
    # a unit too dear is passed over: hidden units cost 5, pixels 1
    found = selection.ranked_across_layers(layers, kept, scores, lambda k: k.widths[0] + 5 * k.widths[1] <= 9)
    assert found.units[:2] == ((2, 5, 9), (1,))


def test_a_feature_of_an_open_channel_may_fit_where_a_new_channel_does_not():
    kept = KeptUnits(((0, 1), tuple(range(12)), (0, 1), (1,)))
    scores = [np.array([1.0, 0.1]), np.array([9, 1, 1, 1, 8, 1, 1, 1, 7, 1, 1, 1.0]), np.array([1.0, 0.1])]
    one_channel = lambda k: k.channels(FLATTENED)[1] == 1 and k.widths[1] <= 3  # noqa: E731
    found = selection.ranked_across_layers(FLATTENED, kept, scores, one_channel)
    assert found.units == ((0, 1), (0, 1, 2), (0, 1), (1,))


def test_a_layer_that_cannot_be_pruned_stays_whole_in_the_ranking():
    kept = KeptUnits(((0, 1), (0, 1), (0,)))
    layers = Layer("input", 2, prunable=False), Layer("hidden", 2), Layer("out", 1, prunable=False)
    found = selection.ranked_across_layers(Layers(layers), kept, [np.ones(2), np.ones(2)], lambda k: False)
    assert found.units == ((0, 1), (0,), (0,))


# ------------------------------------------------------------------------------------------ the published formula


def binomial_tail(m, p, q):
    """P(Bin(m, p) >= q) as a sum of its terms: the dull twin."""
    return sum(math.comb(m, k) * p**k * (1 - p) ** (m - k) for k in range(q, m + 1))


def layer_kept(into, tolerance=0.99):
    m = len(into)
    r = [math.exp(-m / 2 * x / sum(into) - 0.5) for x in into]
    order = sorted(range(m), key=lambda j: r[j])
    for q, unit in enumerate(order, start=1):
        if binomial_tail(m, r[unit], q) > tolerance:
            return sorted(order[: q - 1])
    return sorted(order)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=12), st.floats(0.05, 0.999))
def test_the_published_formula_against_direct_sums(into, tolerance):
    found = selection._before_the_first_excess(np.array(into), tolerance)
    assert sorted(found.tolist()) == layer_kept(into, tolerance)


def layers_of(*widths, prunable=(0, 1)):
    """Layers of so many units, the outputs last."""
    return Layers(tuple(Layer(f"layer {d}", width, d in prunable) for d, width in enumerate(widths)))


def link(layers, kept, depth, strengths, target=None):
    """All connections between the kept units of a layer and those of the next, or of another one."""
    nodes = [first + np.array(units) for first, units in zip(layers.offsets, kept.units, strict=False)]
    return Connections(nodes[depth], nodes[depth + 1 if target is None else target], np.array(strengths))


def test_the_published_formula_goes_backwards_from_the_output():
    """One strong unit in each layer: r = exp(-1.5), P(Bin(2, 0.22) >= 1) = 0.396; the other's exp(-0.5) 0.37."""
    kept, layers = KeptUnits(((3, 4), (6, 8), (1,))), layers_of(5, 9, 2)
    weights = [link(layers, kept, 0, [[1.0, 0.0], [0.0, 50.0]]), link(layers, kept, 1, [[0.0], [7.0]])]
    assert binomial_tail(2, math.exp(-1.5), 1) == pytest.approx(0.396, abs=1e-3)
    assert binomial_tail(2, math.exp(-0.5), 2) == pytest.approx(0.368, abs=1e-3)
    found = selection.layerwise_community(layers, weights, kept, tolerance=0.38)
    assert found is None  # 0.396 > 0.38 for the very first unit
    assert selection.layerwise_community(layers, weights, kept, tolerance=0.5) == kept
    fixed = layers_of(5, 9, 2, prunable=())
    assert selection.layerwise_community(fixed, weights, kept, tolerance=0.1) == kept


# five hidden units, one with all the weight to the output
FIVE, STRONG = KeptUnits((tuple(range(6)), tuple(range(5)), (0,))), [[20.0], [0.1], [0.1], [0.1], [0.1]]


def test_the_published_formula_follows_the_kept_units_only():
    """The formula keeps the strong unit alone, and then looks at its pixels only."""
    layers, into = layers_of(6, 5, 1), np.zeros((6, 5))
    into[2, 0], into[4, 1] = 1.0, 1000.0
    assert layer_kept([row[0] for row in STRONG], 0.5) == [0] and layer_kept(into[:, 0].tolist(), 0.5) == [2]
    weights = [link(layers, FIVE, 0, into), link(layers, FIVE, 1, STRONG)]
    assert selection.layerwise_community(layers, weights, FIVE, 0.5).units[:2] == ((2,), (0,))


def test_the_published_formula_sums_all_links_to_what_was_kept_behind():
    """Two links between the same layers, and one that skips the hidden layer: a pixel's weights are added up."""
    layers, into, again, past = layers_of(6, 5, 1), np.zeros((6, 5)), np.zeros((6, 5)), np.zeros((6, 1))
    into[2, 0], again[4, 0], past[4, 0] = 1.0, 0.75, 0.75
    weights = [link(layers, FIVE, 0, into), link(layers, FIVE, 0, again)]
    weights += [link(layers, FIVE, 0, past, target=2), link(layers, FIVE, 1, STRONG)]
    summed = [0, 0, 1.0, 0, 1.5, 0]
    found = selection.layerwise_community(layers, weights, FIVE, 0.5)
    assert list(found.units[0]) == layer_kept(summed, 0.5) and found.units[1] == (0,)
    assert 4 in found.units[0]
    alone = selection.layerwise_community(layers, [weights[0], weights[3]], FIVE, 0.5)
    assert alone.units[0] == (2,)


# ------------------------------------------------------------------------------------------ stability


def test_the_jaccard_index_counts_units_of_the_prunable_layers():
    one, other = KeptUnits(((0, 1), (5,), (3,))), KeptUnits(((1, 2), (5,), (3,)))
    assert selection.jaccard(one, other, (0, 1)) == pytest.approx(2 / 4)
    assert selection.jaccard(one, other, (1,)) == 1
    assert selection.jaccard(one, one, (0, 1)) == 1


def test_stability_is_the_mean_over_all_pairs_and_nothing_found_agrees_with_nobody():
    one, other = KeptUnits(((0, 1), (5,), (3,))), KeptUnits(((1, 2), (5,), (3,)))
    assert selection.stability([one, one, other], (0, 1)) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert selection.stability([one, one, None], (0, 1)) == pytest.approx(1 / 3)
