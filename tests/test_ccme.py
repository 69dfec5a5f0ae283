"""CCME: its null against sums written out, how often it is wrong on random graphs, what it finds, and `--algo CCME`."""

import itertools
import json
import os
import subprocess
import sys

import ccme as benchmark
import networkx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from oslom_graphs import cases, null_graph, write_edges
from scipy import stats

from specdnn import community, files
from specdnn.community import ccme, ccme_null, ccme_search
from specdnn.community.ccme_null import Null
from specdnn.structures import Cover, SpecDNNError


@st.composite
def graphs(draw):
    """(edges, weights or None, groups, size, whole) of a small graph; some groups are linked, some are not."""
    size = draw(st.integers(3, 9))
    pairs = list(itertools.combinations(range(size), 2))
    edges = np.array(draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True)))
    weights = np.array(draw(st.lists(st.floats(0.1, 10), min_size=len(edges), max_size=len(edges))))
    groups = np.array(draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)))
    told = weights / weights.max() if draw(st.booleans()) and np.ptp(weights) > 0 else None
    return edges, told, groups, size, draw(st.booleans())


def cliques(count: int, size: int) -> networkx.Graph:
    """A ring of cliques, one edge between neighbours."""
    graph = networkx.ring_of_cliques(count, size)
    networkx.set_edge_attributes(graph, 1.0, "weight")
    return graph


# ------------------------------------------------------------------------------------------ the null


class Dull:
    """The formulas, pair by pair."""

    def __init__(self, edges, weights, groups, size, whole):
        self.groups, self.size, self.whole, self.weighted = groups, size, whole, weights is not None
        told = weights.tolist() if self.weighted else [1.0] * len(edges)
        ends = [(a, b, w) for (a, b), w in zip(edges.tolist(), told, strict=True)]
        self.weights = {pair: w for a, b, w in ends for pair in ((a, b), (b, a))}

    def of_kind(self, own, other):
        """The halves of edges that degrees, strengths, totals and kappa of a pair of groups count."""
        inside = lambda a, b: self.whole or (self.groups[a], self.groups[b]) == (own, other)  # noqa: E731
        return {(a, b): w for (a, b), w in self.weights.items() if inside(a, b)}

    def pair(self, u, v):
        """(rho, g, f) of two nodes, None where no link is expected."""
        groups = self.groups[u], self.groups[v]
        if groups not in {(self.groups[a], self.groups[b]) for a, b in self.weights}:
            return None
        there = self.of_kind(*groups)
        own, other = [w for (a, _), w in there.items() if a == u], [w for (_, b), w in there.items() if b == v]
        if not own or not other:
            return None
        rho = min(1, len(own) * len(other) / len(there))
        g = sum(own) * sum(other) / sum(there.values())
        return rho, g, g / rho

    def kappa(self, own, other):
        there = self.of_kind(own, other)
        f = {pair: self.pair(*pair)[2] for pair in there}
        kappa = sum((w - f[pair]) ** 2 for pair, w in there.items()) / sum(value**2 for value in f.values())
        return kappa if self.weighted and kappa > ccme_null.LEAST_VARIANCE else 0.0

    def cumulants(self, u, members):
        """Of W = f xi with probability rho, xi of a Gamma law: from its first three moments."""
        total = np.zeros(3)
        for v in members:
            if v != u and (known := self.pair(u, v)):
                rho, _, f = known
                kappa = self.kappa(self.groups[u], self.groups[v])
                first, second = rho * f, rho * f**2 * (1 + kappa)
                third = rho * f**3 * (1 + kappa) * (1 + 2 * kappa)  # E xi^3 of shape 1 / kappa, scale kappa
                total += first, second - first**2, third - 3 * first * second + 2 * first**3
        return total


@settings(deadline=None, max_examples=60)
@given(graphs(), st.data())
def test_cumulants_are_the_sums_over_pairs(graph, data):
    size = graph[3]
    members = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    null, dull = Null(*graph), Dull(*graph)
    expected = np.array([dull.cumulants(u, members) for u in range(size)]).T
    assert np.allclose(null.cumulants(null.marked(np.array(members))), expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(graphs(), st.data())
def test_p_values_are_those_of_the_written_out_laws(graph, data):
    size = graph[3]
    members = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    null, dull = Null(*graph), Dull(*graph)
    told = null.of_nodes(np.array(members))
    for u in range(size):
        found = sum(dull.weights.get((u, v), 0.0) for v in members)
        mean, variance, third = dull.cumulants(u, members)
        degree = sum(a == u for a, _ in dull.weights)
        if not found:
            expected = 1.0
        elif not dull.weighted:
            expected = stats.binom.sf(found - 1, degree, min(1, mean / degree))
        elif variance < 1e-9:
            continue
        else:
            skew = max(third / variance**1.5, ccme_null.LEAST_SKEW)
            expected = stats.pearson3.sf(found, skew, mean, variance**0.5)
        assert told[u] == pytest.approx(expected, rel=1e-5, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(graphs(), st.data())
def test_the_test_of_a_set_sums_over_its_pairs(graph, data):
    size = graph[3]
    members = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=2)))
    null, dull = Null(*graph), Dull(*graph)
    pairs = list(itertools.combinations(members, 2))
    found = sum(dull.weights.get(pair, 0.0) for pair in pairs)
    mean, variance, third = sum((dull.cumulants(u, [v]) for u, v in pairs), np.zeros(3))
    p, z = null.of_set(np.array(members))
    if not dull.weighted:
        assert p == pytest.approx(stats.poisson.sf(found - 1, mean) if found else 1.0)
    elif variance > 1e-9:
        assert z == pytest.approx((found - mean) / variance**0.5, rel=1e-6, abs=1e-6)
        skew = max(third / variance**1.5, ccme_null.LEAST_SKEW)
        expected = stats.pearson3.sf(found, skew, mean, variance**0.5) if found else 1.0
        assert p == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_links_that_are_certain_are_among_those_that_are_tested():
    """A star's centre is linked with everybody for sure: rho is cut off at 1."""
    star = np.array([(0, k) for k in range(1, 8)] + [(1, 2), (3, 4)])
    null = Null(star, np.arange(1.0, 10), np.zeros(8, dtype=int), 8)
    assert sum(block.clipped.sum() for block in null.blocks) > 0


@settings(deadline=None, max_examples=40)
@given(graphs(), st.data())
def test_other_numbers_of_the_nodes_change_no_test(graph, data):
    edges, weights, groups, size, whole = graph
    members = np.array(sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1))))
    new = np.array(data.draw(st.permutations(range(size))))
    moved = np.empty_like(groups)
    moved[new] = groups
    null, other = Null(*graph), Null(new[edges], weights, moved, size, whole)
    assert np.allclose(null.of_nodes(members), other.of_nodes(new[members])[new], rtol=1e-6, atol=1e-12)
    assert null.of_set(members) == pytest.approx(other.of_set(new[members]), rel=1e-6, abs=1e-9)


def test_the_unit_of_weights_does_not_matter():
    edges, weights, groups = null_graph(np.random.default_rng(1))
    members = np.arange(0, 400, 10)
    tests = [Null(edges, scale * weights, groups, 400).of_nodes(members) for scale in (1, 2.0**-400, 2.0**300)]
    assert np.array_equal(tests[0], tests[1]) and np.array_equal(tests[0], tests[2])


def test_kappa_is_found_again():
    """A little less of it: the degrees and strengths that were drawn take their part of the differences."""
    rng = np.random.default_rng(2)
    for kappa in (0.1, 0.5):
        edges, weights, groups = null_graph(rng, kappa=kappa)
        assert Null(edges, weights, groups, 400).blocks[0].kappa == pytest.approx(kappa, rel=0.35)


# ------------------------------------------------------------------------------------------ how often it is wrong


CASES = {  # kappa, size of the sets, layers, weights
    "weights": (0.25, 60, 1, True),
    "small sets": (0.25, 12, 1, True),
    "wide weights": (1.0, 30, 1, True),
    "links": (0.25, 40, 1, False),
    "layers": (0.25, 60, 4, True),
    "links between layers": (0.25, 60, 4, False),
}


def false_positives(name: str, level: float, test) -> float:
    """How often a node outside a random set of a graph without communities is significant, in times the level."""
    kappa, size, layers, weighted = CASES[name]
    rng, p = np.random.default_rng(3), []
    for _ in range(12):
        edges, weights, groups = null_graph(rng, kappa=kappa, layers=layers)
        null = Null(edges, weights if weighted else None, groups, 400)
        for members in (rng.choice(400, size, replace=False) for _ in range(20)):
            p.append(np.delete(test(null, members), members))
    return np.mean(np.concatenate(p) < level) / level


@pytest.mark.parametrize("name", CASES)
def test_nodes_are_hardly_more_often_significant_than_told(name):
    assert false_positives(name, 0.01, Null.of_nodes) <= 1.5
    assert false_positives(name, 0.001, Null.of_nodes) <= 1.5


def test_a_normal_tail_would_be_too_light():
    def normal(null, members):
        inside = null.marked(members)
        mean, variance, _ = null.cumulants(inside)
        return stats.norm.sf(null.matrix @ inside, mean, np.sqrt(variance))

    assert false_positives("small sets", 0.001, normal) > 5


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("layers", [1, 4])
def test_random_graphs_have_no_communities(layers, weighted):
    found = 0
    for seed in range(5):
        edges, weights, groups = null_graph(np.random.default_rng(seed), layers=layers)
        rows = np.column_stack([edges, weights])
        found += len(ccme(rows, weighted=weighted, groups=groups).significant)
    assert found <= 1


# ------------------------------------------------------------------------------------------ the search


@given(st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.03, 0.5, 1.0]) | st.floats(0, 1), min_size=1, max_size=20))
def test_what_benjamini_and_hochberg_reject(p):
    p, alpha = np.array(p), 0.05
    ordered = sorted(p)
    ranks = [i for i in range(1, len(p) + 1) if ordered[i - 1] * len(p) <= alpha * i]
    expected = [bool(ranks) and value <= ordered[ranks[-1] - 1] for value in p]
    assert ccme_search.rejected(p, alpha).tolist() == expected


class Told:
    """A null whose updates are told: set -> next set."""

    def __init__(self, steps, layered=False):
        self.steps, self.layered = {frozenset(a): sorted(b) for a, b in steps}, layered


@pytest.mark.parametrize(
    "steps, layered, result",
    [
        ([("ab", "abc"), ("abc", "abc")], False, "abc"),
        ([("ab", "")], False, ""),
        ([("ab", "a")], False, ""),
        ([("ab", "bc"), ("bc", "ab"), ("abc", "abc")], False, "abc"),  # a circle, and on from its union
        ([("ab", "abc"), ("abc", "ab")], False, "abc"),  # a circle whose union was there
        ([("ab", "cd"), ("cd", "ab"), ("abcd", "abcd")], False, ""),  # it falls apart
        ([("ab", "cd"), ("cd", "ab"), ("abcd", "abc"), ("abc", "abc")], True, "abc"),  # every other layer in turn
        ([("ab", "cd"), ("cd", "ef"), ("ef", "ed"), ("ed", "cd"), ("cdef", "cdef")], True, "cdef"),
        ([("ab", "cd"), ("cd", "ef"), ("ef", "ed"), ("ed", "cd"), ("cdef", "cdef")], False, ""),
    ],
)
def test_where_updates_end(steps, layered, result, monkeypatch):
    code = {letter: k for k, letter in enumerate("abcdef")}
    told = Told([[{code[x] for x in word} for word in step] for step in steps], layered)
    monkeypatch.setattr(ccme_search, "updated", lambda null, members, _: np.array(null.steps[frozenset(members)], int))
    start = np.array(sorted(code[x] for x in steps[0][0]))
    assert ccme_search.stable(told, start, 0.05).tolist() == sorted(code[x] for x in result)


def test_updates_that_wander_end_with_nothing(monkeypatch):
    monkeypatch.setattr(ccme_search, "updated", lambda null, members, _: members + 1)
    assert len(ccme_search.stable(Told([]), np.array([0, 1]), 0.05)) == 0


def test_of_sets_that_lie_in_one_another_the_best_stays():
    graph = networkx.disjoint_union(networkx.complete_graph(12), networkx.complete_graph(30))
    null = Null(np.array(graph.edges), None, np.zeros(42, dtype=int), 42)
    first, second = np.arange(12), np.arange(12, 42)
    most, other = np.arange(12, 40), np.arange(6, 24)
    score = {len(s): null.of_set(s)[1] for s in (second, most)}
    assert score[30] > score[28]
    kept = ccme_search.distinct(null, [first, most, second, first.copy(), other])
    assert [s.tolist() for s in kept] == [s.tolist() for s in (first, second, other)]
    assert ccme_search.distinct(null, []) == []


def test_neighbours_are_drawn_by_how_heavy_their_links_are():
    graph = cliques(6, 8)
    heavy = networkx.Graph()
    heavy.add_weighted_edges_from((a, b, 1 + (a // 8 == b // 8) + ((a * b) % 7) / 10) for a, b in graph.edges)
    edges, weights = np.array(heavy.edges), np.array([w for *_, w in heavy.edges(data="weight")])
    null = Null(edges, weights, np.zeros(48, dtype=int), 48)
    for node in range(48):
        own = set(ccme_search.neighbourhood(null, node, 1).tolist())
        above = null.excess[[node]].toarray()[0]
        assert own <= set(np.flatnonzero(above > 0).tolist())
    drawn = [ccme_search.neighbourhood(null, 3, seed).tolist() for seed in (1, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1] and any(other != drawn[0] for other in drawn[2:])


# ------------------------------------------------------------------------------------------ what it finds


def modules(cover: Cover) -> set[frozenset]:
    return {frozenset(module.nodes) for module in cover.significant}


PLANTED = {frozenset(range(start, start + 12)) for start in range(0, 240, 12)}


def test_cliques_are_found_with_and_without_weights():
    graph = cliques(20, 12)
    assert modules(ccme(graph, weighted=False)) == modules(ccme(graph)) == PLANTED
    rng = np.random.default_rng(0)
    for _, _, told in graph.edges(data=True):
        told["weight"] = float(rng.gamma(4, 0.25))
    assert modules(ccme(graph)) == PLANTED


def test_communities_that_weights_alone_tell_are_found():
    rng, graph = np.random.default_rng(0), networkx.gnp_random_graph(400, 0.5, seed=1)
    for a, b, told in graph.edges(data=True):
        told["weight"] = float(rng.gamma(4, 0.25) * (4 if a // 50 == b // 50 else 1))
    groups = {frozenset(range(start, start + 50)) for start in range(0, 400, 50)}
    assert modules(ccme(graph)) == groups
    assert not ccme(graph, weighted=False).significant


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(60)))
def test_other_numbers_of_the_nodes_find_the_same(new):
    graph = networkx.relabel_nodes(cliques(10, 6), dict(enumerate(new)))
    shuffled = networkx.Graph()
    shuffled.add_nodes_from(sorted(graph))
    shuffled.add_edges_from(sorted(graph.edges))
    expected = {frozenset(new[k] for k in range(start, start + 6)) for start in range(0, 60, 6)}
    assert modules(ccme(shuffled, weighted=False)) == expected


def layered_graph(inside=0.8, outside=0.05, seed=0):
    """(edge rows, layer of each node, planted communities): three layers of 120, four communities with 30 of each."""
    rng, layer, own = np.random.default_rng(seed), np.repeat(np.arange(3), 120), np.arange(360) % 120 // 30
    chance = np.where(own[:, None] == own, inside, outside) * (layer - layer[:, None] == 1)
    edges = np.argwhere(rng.random((360, 360)) < chance)
    rows = np.column_stack([edges, rng.gamma(4, 0.25, len(edges))])
    return rows, layer, {frozenset(np.flatnonzero(own == k).tolist()) for k in range(4)}


@pytest.mark.parametrize("options", [{}, {"null": "whole"}, {"weighted": False}])
def test_communities_span_layers(options):
    rows, layer, planted = layered_graph()
    found = ccme(rows, groups=layer, **options)
    assert modules(found) == planted
    for module in found.significant:
        assert module.significance < 1e-50 and max(module.scores) < 0.05


def test_by_the_whole_graph_layers_are_a_community_and_by_link_they_are_not():
    """Two in three pairs cannot be linked, so that the others seem to be linked more than chance has it."""
    rows, layer, _ = layered_graph(0.6, 0.6)
    assert modules(ccme(rows, groups=layer, null="whole")) == {frozenset(range(360))}
    assert not ccme(rows, groups=layer, null="link").significant


def test_the_same_seed_gives_the_same_cover_and_so_do_threads():
    code = (
        "import numpy as np; from specdnn import community; rng = np.random.default_rng(4);"
        "same = np.arange(300) // 30; same = same == same[:, None];"
        "edges = np.argwhere(np.triu(rng.random((300, 300)) < np.where(same, 0.6, 0.05), 1));"
        "print(community.ccme(np.column_stack([edges, rng.gamma(2, 1, len(edges))])))"
    )
    said = set()
    for threads in ("1", "4"):
        told = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        said.add(subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True).stdout)
    assert len(said) == 1 and said.pop().count("Module") > 5


def test_nodes_keep_their_labels_and_those_without_links_are_homeless():
    graph = networkx.relabel_nodes(cliques(8, 6), lambda k: f"node {k}")
    graph.add_node("alone")
    graph.add_edge("loop", "loop", weight=3.0)
    found = ccme(graph)
    assert set(found.homeless) == {"alone", "loop"} and len(found.significant) == 8
    assert all(len(module.scores) == len(module.nodes) for module in found.significant)
    matrix = networkx.to_scipy_sparse_array(cliques(8, 6))
    assert modules(ccme(matrix)) == modules(ccme(cliques(8, 6)))


def test_graphs_with_hardly_anything():
    assert ccme(networkx.Graph()) == Cover(())
    assert ccme(networkx.path_graph(4), weighted=False).homeless == (0, 1, 2, 3)
    assert ccme(np.array([[0, 1, 2.0]])).homeless == (0, 1)
    assert ccme(networkx.complete_graph(8), weighted=False).significant == ()
    assert ccme(np.array([[0, 1, 1e-150], [1, 2, 1e150], [0, 2, 1.0], [2, 3, 1e-150]])).homeless == (0, 1, 2, 3)


REFUSED = {
    "a directed graph": (networkx.DiGraph([(0, 1)]), {}, "the graph is directed: only undirected ones are supported"),
    "one half": (scipy.sparse.csr_array(np.triu(np.ones((3, 3)), 1)), {}, r"is 0: pass matrix\.maximum\(matrix\.T\)$"),
    "two weights": (np.array([[0, 1, 1], [1, 0, 2]]), {}, "comes with two weights, 1.0 and 2.0: give it one$"),
    "no weights": (networkx.path_graph(3), {}, "edge 0, 1 has no weight"),
    "no graph": ("karate", {}, "a graph is a networkx graph"),
    "a level above 1": (np.eye(2), {"alpha": 2}, "alpha must be between 0 and 1, got 2$"),
    "a level that is nan": (np.eye(2), {"alpha": float("nan")}, "alpha must be .*, got nan$"),
    "a level in words": (np.eye(2), {"alpha": "low"}, "alpha must be .*, got 'low'$"),
    "a seed below 0": (np.eye(2), {"seed": -1}, "seed must be a whole number of at least 0, got -1$"),
    "half a seed": (np.eye(2), {"seed": 0.5}, "seed must be .*, got 0.5$"),
    "another null": (np.eye(2), {"null": "none"}, "null must be link or whole, got 'none'$"),
    "a missing group": (networkx.path_graph("abc"), {"groups": {"a": 1}}, "every node a group .*, not so 'b'$"),
    "too few groups": (networkx.path_graph(3), {"groups": [1]}, "every node a group .*, not so 1$"),
    "groups of nobody": (networkx.path_graph(3), {"groups": 7}, "every node a group .*, not so 0$"),
    "a group in pieces": (networkx.path_graph(2), {"groups": [[1], [2]]}, "every node a group .*, not so 0$"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_with_a_sentence(name):
    graph, options, told = REFUSED[name]
    weighted = name in ("one half", "two weights", "no weights")
    with pytest.raises(SpecDNNError, match=told) as error:
        ccme(graph, weighted=weighted, **options)
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------ in the pipeline


def test_a_run_leaves_evidence_that_reads_back():
    rows, layer, planted = layered_graph()
    apart = np.zeros(2000, dtype=int)
    apart[5 * np.arange(360) + 3] = layer  # ids with gaps, as those of kept units have
    edges = 5 * rows[:, :2].astype(int) + 3
    seen = []
    run = community.run_ccme(edges, rows[:, 2], groups=apart, progress=lambda items: seen.append(len(items)) or items)
    assert modules(run.cover) == {frozenset(5 * k + 3 for k in group) for group in planted}
    assert len(seen) == 2 and 0 < seen[1] <= seen[0] == 360
    back, weights = community.read_edges(run.edges)
    assert np.array_equal(back, edges) and np.array_equal(weights, rows[:, 2])
    assert [m.nodes for m in community.read_tp(run.tp).modules] == [m.nodes for m in run.cover.modules]


def test_the_method_takes_it_for_its_search(main, parents, tmp_path):
    words = "--prune --specialize 3 --algo CCME --warmup-epochs 1 --rounds 1 --brief-epochs 0 --oslom-seeds 2"
    done = main(words, "--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path, "--oslom-bin", "no/program")
    assert done.code == 0, done.err
    path = tmp_path / "digits" / "LeNet_300_100.specialize.3.CCME.pth.tar"
    found = json.loads(files.metrics_path(path).read_text())
    assert found["ccme_alpha"] == 0.05 and "oslom_t" not in found and found["algo"] == "CCME"
    assert found["schedule"] == "own" and found["rounds"] == 1 and 0 <= found["stability"] <= 1
    rounds = files.rounds(path)
    edges, _ = community.read_edges((rounds / "1.edges").read_text())
    cover = community.read_tp((rounds / "1.tp").read_text())
    told = json.loads((rounds / "1.json").read_text())
    assert told["module_sizes"] == sorted((len(m.nodes) for m in cover.significant), reverse=True)
    assert {node for m in cover.modules for node in m.nodes} == set(edges.ravel().tolist())


def test_without_a_community_the_error_names_its_own_options(main, parents, tmp_path):
    words = "--prune --specialize 3 --algo CCME --ccme-alpha 0 --keep 0.02 --warmup-epochs 0 --save-dir"
    done = main(words, tmp_path, "--pretrained", parents["LeNet_300_100"])
    assert done.code == 2 and "CCME found no significant module" in done.err and "--ccme-alpha" in done.err
    assert not list(tmp_path.rglob("*.tar"))


def test_the_benchmark_measures_both(tmp_path, real_program):
    write_edges(tmp_path / "ring.edges", cliques(8, 6).edges)
    write_edges(tmp_path / "ring.planted", [range(start, start + 6) for start in range(0, 48, 6)])
    for search in (benchmark.by_ccme, benchmark.by_oslom):
        found = benchmark.measured(search, cases(tmp_path)[0])
        expected = {"NMI": 1, "modules": 8, "homeless": 0, "largest": 6, "nodes": 48, "edges": 8 * 15 + 8}
        assert found.items() >= expected.items() and found["seconds"] > 0
    rows = benchmark.planted_rows(tmp_path)
    heading, dashes, row = benchmark.table(next(rows), rows).splitlines()
    assert row.startswith("| ring | 48 | 128 | 8 | 1.000 | 1.000 | 8 | 8 | 0 | 0 |")
    assert len(dashes.split("|")) == len(row.split("|")) == len(heading.split("|"))
