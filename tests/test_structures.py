"""The value types refuse what makes no sense, and say what they are asked."""

import dataclasses

import numpy as np
import pytest

from specdnn.structures import ClassGraph, Cover, Dataset, KeptUnits, Layer, LayerChain, Module, Split

CHAIN = LayerChain((Layer("input", 4), Layer("conv", 6, positions=2), Layer("out", 3, prunable=False)))


def graph(edges=((0, 5), (5, 11)), strengths=(1.0, 2.0)):
    relevance = (np.ones(4), np.ones(6), np.ones(3))
    return ClassGraph(CHAIN, np.array(edges), np.array(strengths), relevance, (1, 2))


@pytest.mark.parametrize("units, positions", [(0, 1), (-3, 1), (4, 0)])
def test_a_layer_has_at_least_one_unit(units, positions):
    with pytest.raises(ValueError, match="ip"):
        Layer("ip", units, positions)


def test_a_chain_ends_in_outputs_that_cannot_be_pruned():
    with pytest.raises(ValueError):
        LayerChain((Layer("input", 4), Layer("out", 2)))
    with pytest.raises(ValueError):
        LayerChain((Layer("out", 2, prunable=False),))


def test_a_chain_tells_its_layers():
    assert CHAIN.names == ("input", "conv", "out")
    assert CHAIN.widths == (4, 6, 3)
    assert CHAIN.prunable == (0, 1)


@pytest.mark.parametrize("units", [(), (2, 1), (1, 1), (-1, 0)])
def test_kept_units_are_sorted_distinct_and_not_empty(units):
    with pytest.raises(ValueError, match="layer 1"):
        KeptUnits(((0,), units, (0,)))


def test_kept_units_of_everything():
    kept = KeptUnits.everything(CHAIN)
    assert kept.units == ((0, 1, 2, 3), (0, 1, 2, 3, 4, 5), (0, 1, 2))
    assert kept.widths == CHAIN.widths
    assert kept.classes == (0, 1, 2)


def test_kept_units_are_replaced_in_a_copy():
    kept = KeptUnits.everything(CHAIN)
    fewer = kept.replace(1, np.array([5, 0])).replace(2, {2})
    assert fewer.units == ((0, 1, 2, 3), (0, 5), (2,))
    assert kept == KeptUnits.everything(CHAIN)
    with pytest.raises(dataclasses.FrozenInstanceError):
        kept.units = ()


def test_positions_of_kept_units_within_wider_ones():
    outer = KeptUnits(((1, 3, 7), (0, 2, 4, 9), (5,)))
    inner = KeptUnits(((3,), (0, 9), (5,)))
    assert [p.tolist() for p in inner.within(outer)] == [[1], [0, 3], [0]]
    with pytest.raises(ValueError, match="subset"):
        KeptUnits(((2,), (0,), (5,))).within(outer)


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
    everything = np.concatenate([seen.nodes(depth, range(width)) for depth, width in enumerate(CHAIN.widths)])
    assert everything.tolist() == list(range(13))
    assert [units.tolist() for units in seen.units(everything)] == [list(range(w)) for w in CHAIN.widths]


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
