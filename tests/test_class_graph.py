"""The class graph: what is kept, how it is scaled and numbered, and the view of it."""

import networkx
import numpy as np
import pytest
import six_units
from hypothesis import given
from hypothesis import strategies as st

from specdnn.community.class_graph import class_graph, strongest_connections, to_networkx
from specdnn.community.formats import LEAST, MOST
from specdnn.structures import KeptUnits, Layer, LayerChain

CHAIN = six_units.SixUnits().chain
KEPT = KeptUnits(((0, 1), (0, 1), (0,)))
# the strengths of class 0, worked by hand in test_connections.py
STRENGTHS = [np.array([[9.0, 7.5], [6.0, 10.0]]) / 11, np.array([[3.0], [2.5]])]
RELEVANCE = [np.array([16.5, 16.0]) / 16.25, np.array([12.0, 10.0]) / 11, np.array([1.0])]


def seen(keep, strengths=STRENGTHS, kept=KEPT):
    return class_graph(CHAIN, kept, strengths, RELEVANCE, keep)


def test_the_strongest_share_is_kept_and_scaled_to_mean_one():
    half = seen(0.5)
    assert half.edges.tolist() == [[0, 2], [1, 3], [2, 4], [3, 4]]
    # 9 and 10 over the mean 8.125 of all four; 3 and 2.5 over 2.75
    np.testing.assert_allclose(half.strengths, [9 / 8.125, 10 / 8.125, 3 / 2.75, 2.5 / 2.75])
    assert half.edges.dtype == np.int64 and half.strengths.dtype == np.float64


@pytest.mark.parametrize("keep, into_hidden", [(0.01, 1), (0.25, 1), (0.26, 2), (0.75, 3), (1.0, 4)])
def test_the_share_rounds_up(keep, into_hidden):
    assert len(seen(keep).edges) == into_hidden + 2


def test_every_connection_into_an_output_is_kept():
    assert seen(0.01).edges[-2:].tolist() == [[2, 4], [3, 4]]


def test_zero_strengths_are_never_edges():
    sparse = [np.array([[0.0, 4.0], [0.0, 0.0]]), np.array([[0.0], [2.0]])]
    assert seen(1.0, sparse).edges.tolist() == [[0, 3], [3, 4]]
    assert (seen(1.0, sparse).strengths > 0).all()


@given(st.lists(st.floats(0, 1e30), min_size=4, max_size=4))
def test_strengths_are_such_as_the_program_takes(values):
    found = seen(1.0, [np.array(values).reshape(2, 2), np.array([[1e-300], [2.5]])])
    assert ((found.strengths >= LEAST) & (found.strengths <= MOST)).all()
    assert found.edges[-1].tolist() == [3, 4] and [2, 4] not in found.edges.tolist()


def test_a_silent_network_has_a_graph_without_edges():
    nothing = [np.zeros((2, 2)), np.zeros((2, 1))]
    assert len(seen(1.0, nothing).edges) == 0


def test_ties_are_settled_by_position():
    even = [np.ones((2, 2)), np.ones((2, 1))]
    assert seen(0.5, even).edges[:2].tolist() == [[0, 2], [0, 3]]


def test_many_ties_are_settled_by_position_too():
    rows, columns, _ = strongest_connections(np.tile([1.0, 2.0], (40, 20)), 0.75)
    kept = sorted(40 * rows + columns)
    # all 800 twos and the first 400 ones, which stand at the even positions
    assert kept == sorted([*range(1, 1600, 2), *range(0, 800, 2)])


def test_nodes_number_the_units_of_the_parent():
    """In a later round the network holds fewer units; their ids stay."""
    chain = LayerChain((Layer("input", 5), Layer("hidden", 4), Layer("out", 3, prunable=False)))
    kept = KeptUnits(((1, 4), (2, 3), (2,)))
    later = class_graph(chain, kept, STRENGTHS, RELEVANCE, 0.5)
    # input units 1 and 4 are nodes 1 and 4, hidden units 2 and 3 are 7 and 8, output 2 is 11
    assert later.edges.tolist() == [[1, 7], [4, 8], [7, 11], [8, 11]]
    assert [r.tolist() for r in later.relevance] == [
        [0, RELEVANCE[0][0], 0, 0, RELEVANCE[0][1]],
        [0, 0, RELEVANCE[1][0], RELEVANCE[1][1]],
        [0, 0, 1],
    ]
    assert later.wanted == (2,) and later.outputs.tolist() == [11]


def test_a_layer_that_cannot_be_pruned_has_no_nodes():
    layers = (Layer("image", 1, prunable=False), Layer("conv", 2), Layer("out", 1, prunable=False))
    kept = KeptUnits(((0,), (0, 1), (0,)))
    strengths = [np.ones((1, 2)), np.array([[3.0], [2.5]])]
    found = class_graph(LayerChain(layers), kept, strengths, [np.ones(1), np.ones(2), np.ones(1)], 1.0)
    assert found.edges.tolist() == [[1, 3], [2, 3]]


@given(st.integers(1, 8), st.integers(1, 8), st.floats(0.01, 1), st.randoms(use_true_random=False))
def test_what_is_kept_is_never_weaker_than_what_is_left_out(rows, columns, share, random):
    matrix = np.array([[random.choice([0, 1, 1, 2.5, 7]) for _ in range(columns)] for _ in range(rows)])
    i, j, strongest = strongest_connections(matrix, share)
    kept = set(zip(i.tolist(), j.tolist(), strict=True))
    assert len(kept) == len(i) <= int(np.ceil(share * matrix.size))
    left_out = [matrix[a, b] for a in range(rows) for b in range(columns) if (a, b) not in kept]
    assert not kept or not left_out or matrix[i, j].min() >= max(left_out)
    assert sorted(kept) == list(zip(i.tolist(), j.tolist(), strict=True))
    if matrix.any():
        np.testing.assert_allclose(strongest, matrix[i, j] / matrix.mean())


def test_the_networkx_view_carries_layers_units_relevance_and_weights():
    view = to_networkx(seen(0.5))
    assert isinstance(view, networkx.Graph)
    assert sorted(view.nodes) == [0, 1, 2, 3, 4]
    assert view.nodes[3] == {"layer": "hidden", "unit": 1, "relevance": pytest.approx(10 / 11)}
    assert view.nodes[4]["layer"] == "out" and view.nodes[4]["unit"] == 0
    assert view.edges[2, 4]["weight"] == pytest.approx(3 / 2.75)
    assert networkx.is_connected(view) and view.number_of_edges() == 4


def test_the_view_shows_an_output_without_edges_too():
    nothing = [np.zeros((2, 2)), np.zeros((2, 1))]
    assert list(to_networkx(seen(1.0, nothing)).nodes) == [4]
