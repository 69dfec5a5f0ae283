"""The class graph: what is kept, how it is scaled and numbered, and the view of it."""

import networkx
import numpy as np
import pytest
import six_units
from hypothesis import given
from hypothesis import strategies as st

from specdnn.community.class_graph import class_graph, strongest_connections, to_networkx
from specdnn.community.formats import LEAST, MOST
from specdnn.structures import Connections, KeptUnits, Layer, Layers

LAYERS = Layers((Layer("input", 2), Layer("hidden", 2), Layer("out", 2, prunable=False)))
KEPT = KeptUnits(((0, 1), (0, 1), (0,)))
# the strengths of class 0, worked by hand in test_scores.py
STRENGTHS = [np.array([[9.0, 7.5], [6.0, 10.0]]) / 11, np.array([[3.0], [2.5]])]
RELEVANCE = [np.array([16.5, 16.0]) / 16.25, np.array([12.0, 10.0]) / 11, np.array([1.0])]


def link(sources, targets, strengths):
    return Connections(np.array(sources), np.array(targets), np.array(strengths, dtype=float))


def chain(layers, kept, strengths):
    """One link from every layer to the next."""
    nodes = [first + np.array(units) for first, units in zip(layers.offsets, kept.units, strict=False)]
    return [link(*ends) for ends in zip(nodes, nodes[1:], strengths, strict=False)]


def seen(keep, strengths=STRENGTHS, kept=KEPT):
    return class_graph(LAYERS, kept, chain(LAYERS, kept, strengths), RELEVANCE, keep)


def test_the_layers_are_those_of_the_network_of_six_units():
    assert six_units.compact().wiring.layers == LAYERS


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
    layers = Layers((Layer("input", 5), Layer("hidden", 4), Layer("out", 3, prunable=False)))
    kept = KeptUnits(((1, 4), (2, 3), (2,)))
    later = class_graph(layers, kept, chain(layers, kept, STRENGTHS), RELEVANCE, 0.5)
    # input units 1 and 4 are nodes 1 and 4, hidden units 2 and 3 are 7 and 8, output 2 is 11
    assert later.edges.tolist() == [[1, 7], [4, 8], [7, 11], [8, 11]]
    assert [r.tolist() for r in later.relevance] == [
        [0, RELEVANCE[0][0], 0, 0, RELEVANCE[0][1]],
        [0, 0, RELEVANCE[1][0], RELEVANCE[1][1]],
        [0, 0, 1],
    ]
    assert later.wanted == (2,) and later.outputs.tolist() == [11]


# ------------------------------------------------------------------------------------------ graphs of all shapes

IMAGE = Layers((Layer("input", 2, prunable=False), Layer("conv", 2), Layer("out", 2, prunable=False)))
ONES = [np.ones(2)] * 3


def in_image(*links, keep=1.0):
    return class_graph(IMAGE, KeptUnits.everything(IMAGE), list(links), ONES, keep)


def lines(graph):
    return {tuple(edge): strength for edge, strength in zip(graph.edges.tolist(), graph.strengths, strict=True)}


def test_an_image_that_cannot_be_pruned_has_no_nodes():
    into, out = link([0, 1], [2, 3], np.ones((2, 2))), link([2, 3], [4], [[3.0], [2.5]])
    assert in_image(into, out).edges.tolist() == [[2, 4], [3, 4]]
    assert in_image(into).edges.shape == (0, 2)


def test_what_a_link_reads_beside_such_an_image_counts():
    """Pixels that are joined with units: the share and the mean are those of the others."""
    both = link([0, 2, 3], [4], [[9.0], [3.0], [1.0]])
    assert lines(in_image(both)) == {(2, 4): 1.5, (3, 4): 0.5}


def test_layers_of_units_that_cannot_be_pruned_have_nodes():
    layers = Layers((Layer("input", 1), Layer("fixed", 1, prunable=False), Layer("out", 1, prunable=False)))
    links = [link([0], [1], [[2.0]]), link([1], [2], [[3.0]])]
    found = class_graph(layers, KeptUnits.everything(layers), links, [np.ones(1)] * 3, 1.0)
    assert found.edges.tolist() == [[0, 1], [1, 2]]


def test_parallel_connections_are_one_line_of_their_sum():
    """Each link is scaled to mean 1 by itself: 1/2 and 3/2, 3/2 and 1/2, then 1/3, 4/3 and 4/3."""
    one, other = link([2, 3], [4], [[1.0], [3.0]]), link([2, 3], [4], [[6.0], [2.0]])
    third = link([3, 2], [5, 4], [[2.0, 0.5], [0.0, 5.5]])
    found = lines(in_image(one, other, third))
    assert found.keys() == {(2, 4), (3, 4), (3, 5)}
    assert found[2, 4] == pytest.approx(0.5 + 1.5 + 5.5 / 2)
    assert found[3, 4] == pytest.approx(1.5 + 0.5 + 0.5 / 2)
    assert found[3, 5] == pytest.approx(2 / 2)


def test_connections_there_and_back_are_one_line_in_the_first_direction():
    """A block of a residual network reads the stream and adds to it."""
    down, up = link([2], [3], [[5.0]]), link([3], [2], [[7.0]])
    assert lines(in_image(down, up)) == {(2, 3): 2.0}
    assert lines(in_image(up, down)) == {(3, 2): 2.0}


def test_a_unit_has_no_line_to_itself():
    """A link that reads the units which it makes: only its share and its mean know of them."""
    within = link([2, 3], [2, 3], [[5.0, 1.0], [0.0, 2.0]])
    assert lines(in_image(within)) == {(2, 3): 0.5}
    assert in_image(link([2], [2], [[5.0]])).edges.shape == (0, 2)


def test_lines_come_in_the_order_of_the_first_of_each():
    first, second = link([3], [5], [[1.0]]), link([2], [4], [[1.0]])
    assert in_image(first, second, first).edges.tolist() == [[3, 5], [2, 4]]
    assert in_image(second, first, first).edges.tolist() == [[2, 4], [3, 5]]


def test_every_connection_of_every_link_into_an_output_is_kept():
    far, near = link([2], [4, 5], [[1.0, 2.0]]), link([3], [4, 5], [[5.0, 1.0]])
    hidden = link([2], [3], [[1.0]])
    assert len(in_image(hidden, far, near, keep=0.01).edges) == 5


@st.composite
def drawn_links(draw):
    """Links between any of the four nodes that are no pixels."""
    found = []
    for _ in range(draw(st.integers(1, 5))):
        ends = st.lists(st.sampled_from([2, 3, 4, 5]), min_size=1, max_size=4, unique=True)
        sources, targets = draw(ends), draw(ends)
        numbers = st.lists(st.sampled_from([0.0, 1.0, 2.0, 7.0]), min_size=len(targets), max_size=len(targets))
        found.append(link(sources, targets, [draw(numbers) for _ in sources]))
    return found


@given(drawn_links())
def test_a_graph_is_the_sum_of_its_links(links):
    """Against a dull double loop: every pair once, no unit with itself, the strengths of all links together."""
    dull = {}
    for one in links:
        scaled = one.strengths / (one.strengths.mean() or 1.0)
        for i, source in enumerate(one.sources.tolist()):
            for j, target in enumerate(one.targets.tolist()):
                if source != target and scaled[i, j]:
                    pair = frozenset((source, target))
                    dull[pair] = dull.get(pair, 0.0) + scaled[i, j]
    found = in_image(*links)
    assert len({frozenset(edge) for edge in found.edges.tolist()}) == len(found.edges)
    assert {frozenset(pair): strength for pair, strength in lines(found).items()} == pytest.approx(dull)


# ------------------------------------------------------------------------------------------ the strongest, the view


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
