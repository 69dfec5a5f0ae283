"""The value types refuse what makes no sense, and say what they are asked."""

import dataclasses

import numpy as np
import pytest

from specdnn.structures import (
    ClassGraph,
    Cover,
    Dataset,
    KeptUnits,
    Layer,
    Layers,
    Module,
    Networks,
    Split,
    paper_rule_of,
)

# the hidden layer: three channels of two places
LAYERS = Layers((Layer("input", 4), Layer("conv", 6, channels=(0, 0, 1, 1, 2, 2)), Layer("out", 3, prunable=False)))


def graph(edges=((0, 5), (5, 11)), strengths=(1.0, 2.0)):
    relevance = (np.ones(4), np.ones(6), np.ones(3))
    return ClassGraph(LAYERS, np.array(edges), np.array(strengths), relevance, (1, 2))


@pytest.mark.parametrize("units", [0, -3])
def test_a_layer_has_at_least_one_unit(units):
    with pytest.raises(ValueError, match="ip"):
        Layer("ip", units)


@pytest.mark.parametrize("channels", [(0,), (0, 0, 1), (0, 0, 1, 1, 2)])
def test_a_layer_has_a_channel_for_each_unit_or_none(channels):
    with pytest.raises(ValueError, match="ip: .* a channel for each or none"):
        Layer("ip", 4, channels=channels)


def test_the_last_layer_are_outputs_that_cannot_be_pruned():
    with pytest.raises(ValueError):
        Layers((Layer("input", 4), Layer("out", 2)))
    with pytest.raises(ValueError):
        Layers((Layer("out", 2, prunable=False),))


def test_layers_tell_names_widths_and_first_nodes():
    assert LAYERS.names == ("input", "conv", "out")
    assert LAYERS.widths == (4, 6, 3)
    assert LAYERS.prunable == (0, 1)
    assert LAYERS.offsets.tolist() == [0, 4, 10, 13]


def test_a_network_is_imported_when_it_is_asked_for(folder):
    found = Networks("models", "LeNet_5", "Missing")
    assert list(found) == ["LeNet_5", "Missing"] and len(found) == 2 and "Missing" in list(found)
    assert found["LeNet_5"] is folder.architectures["LeNet_5"]
    with pytest.raises(KeyError):
        found["dataset"]
    with pytest.raises(ModuleNotFoundError):
        found["Missing"]


def test_the_paper_rule_is_what_the_file_of_a_network_says(folder):
    rule = paper_rule_of(folder.architectures["LeNet_300_100"])
    assert rule((784, 300, 100, 10)) == 266_200 and rule((60, 8, 4, 1)) == 552
    assert paper_rule_of(folder.architectures["LeNet_5"])((1, 20, 800, 500, 10)) == 430_500
    assert paper_rule_of(Networks) is None


@pytest.mark.parametrize("units", [(), (2, 1), (1, 1), (-1, 0)])
def test_kept_units_are_sorted_distinct_and_not_empty(units):
    with pytest.raises(ValueError, match="layer 1"):
        KeptUnits(((0,), units, (0,)))


def test_kept_units_of_everything():
    kept = KeptUnits.everything(LAYERS)
    assert kept.units == ((0, 1, 2, 3), (0, 1, 2, 3, 4, 5), (0, 1, 2))
    assert kept.widths == LAYERS.widths
    assert kept.classes == (0, 1, 2)


def test_kept_units_are_replaced_in_a_copy():
    kept = KeptUnits.everything(LAYERS)
    fewer = kept.replace(1, np.array([5, 0])).replace(2, {2})
    assert fewer.units == ((0, 1, 2, 3), (0, 5), (2,))
    assert kept == KeptUnits.everything(LAYERS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        kept.units = ()


def test_positions_of_kept_units_within_wider_ones():
    outer = KeptUnits(((1, 3, 7), (0, 2, 4, 9), (5,)))
    inner = KeptUnits(((3,), (0, 9), (5,)))
    assert [p.tolist() for p in inner.within(outer)] == [[1], [0, 3], [0]]
    with pytest.raises(ValueError, match="subset"):
        KeptUnits(((2,), (0,), (5,))).within(outer)


def test_kept_units_lie_in_channels():
    assert KeptUnits(((0, 3), (0, 1, 5), (2,))).channels(LAYERS) == (2, 2, 1)
    assert KeptUnits(((0,), (1, 2, 4), (0, 1))).channels(LAYERS) == (1, 3, 2)


def test_a_class_graph_needs_one_positive_finite_strength_per_edge():
    graph()
    for strengths in [(1.0,), (1.0, 0.0), (1.0, -2.0), (1.0, np.nan), (1.0, np.inf)]:
        with pytest.raises(ValueError):
            graph(strengths=strengths)


def test_a_class_graph_numbers_nodes_both_ways():
    assert graph().offsets.tolist() == [0, 4, 10, 13]
    assert graph().nodes(1, [0, 5]).tolist() == [4, 9]
    assert graph().outputs.tolist() == [11, 12]
    assert [units.tolist() for units in graph().units([12, 9, 0, 4, 9])] == [[0], [0, 5], [2]]


def test_numbering_there_and_back_gives_every_unit_again():
    seen = graph()
    everything = np.concatenate([seen.nodes(depth, range(width)) for depth, width in enumerate(LAYERS.widths)])
    assert everything.tolist() == list(range(13))
    assert [units.tolist() for units in seen.units(everything)] == [list(range(w)) for w in LAYERS.widths]


def test_a_homeless_node_is_no_significant_module():
    cover = Cover((Module((1, 2, 3), 0.02), Module((4,), 1.0), Module((5, 6), 1.0), Module((7,), 0.01)))
    assert cover.significant == (Module((1, 2, 3), 0.02),)
    assert cover.homeless == (4, 7)


def test_a_module_has_one_score_per_node_or_none():
    assert Module(("a", "b"), 0.02, (0.1, 0.2)).scores == (0.1, 0.2)
    assert Module(("a", "b"), 0.02).scores == ()
    with pytest.raises(ValueError, match="one score per node"):
        Module(("a", "b"), 0.02, (0.1,))


def test_covers_and_their_levels_are_frozen_and_can_be_compared():
    above = Cover((Module((1, 2, 4), 0.01),))
    cover = Cover((Module((1, 2), 0.02), Module((4,), 1.0)), (above,))
    assert cover == dataclasses.replace(cover) and hash(cover) == hash(dataclasses.replace(cover))
    assert cover != dataclasses.replace(cover, levels=())
    with pytest.raises(dataclasses.FrozenInstanceError):
        cover.levels = ()


def test_a_data_set_gives_its_splits_by_name():
    train, validation, test = (Split([None] * n, [0] * n) for n in (3, 2, 1))
    data = Dataset("toy", ("a", "b"), (0.5, 0.5), train, validation, test)
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [3, 2, 1]
