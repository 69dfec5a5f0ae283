"""`community.oslom` for any graph: what comes in, what goes to the program, what comes back, what is refused."""

import re
import subprocess
import warnings
from fractions import Fraction
from pathlib import Path

import networkx
import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

from specdnn import community
from specdnn.community import OslomError, call, oslom
from specdnn.community.any_graph import edge_list
from specdnn.community.formats import LEAST, MOST
from specdnn.structures import Cover, Module, SpecDNNError

ROOT = Path(__file__).resolve().parent.parent
GRAPHS = Path(__file__).parent / "graphs"
NOTE = """
import os, shutil, sys
shutil.copy('graph', {noted!r}); open({noted!r} + '.words', 'w').write(' '.join(sys.argv[1:]))
os.mkdir('graph_oslo_files'); open('graph_oslo_files/tp', 'w').write({tp!r})
"""


def file_of(name: str) -> np.ndarray:
    return np.loadtxt(GRAPHS / f"{name}.edges", dtype=int)


def nested() -> np.ndarray:
    """Eight groups of five cliques of six, so that there is a higher level."""
    a, b = np.triu_indices(240, 1)
    chance = np.where(a // 6 == b // 6, 1, np.where(a // 30 == b // 30, 0.1, 0.0015))
    return np.column_stack([a, b])[np.random.default_rng(5).uniform(size=len(a)) < chance]


def text_of(edges, weights=None) -> str:
    """An edge file, written plainly."""
    ends = [""] * len(edges) if weights is None else [f" {w}" for w in weights.tolist()]
    return "".join(f"{a} {b}{end}\n" for (a, b), end in zip(edges.tolist(), ends, strict=True))


def by_hand(place: Path, text: str, *flags, program="oslom_undir") -> dict[str, str]:
    """Name -> content of what the program leaves behind, started as a user would."""
    community.program(directed=program == "oslom_dir")  # built, if it is not there
    (place / "edges").write_text(text)
    command = [ROOT / "oslom" / "bin" / program, "-f", place / "edges", *map(str, flags)]
    subprocess.run(command, check=True, capture_output=True)
    return {path.name: path.read_text() for path in (place / "edges_oslo_files").iterdir()}


def plain_cover(files: dict[str, str]) -> Cover:
    """The dull twin: a cover put together from words, line by line."""
    scores, module = [], {}
    for line in files["tp_scores"].splitlines():
        if line.startswith("#"):
            module = {}
            scores.append(module)
        else:
            module[int(line.split()[0])] = float(line.split()[1])
    levels = []
    for k in ("", "1", "2", "3"):
        if f"tp{k}" in files:
            lines = files[f"tp{k}"].splitlines()
            nodes = [tuple(int(word) for word in line.split()) for line in lines[1::2]]
            told = [float(line.split()[5]) for line in lines[0::2]]
            inside = [tuple(s[n] for n in group) if k == "" else () for group, s in zip(nodes, scores, strict=False)]
            levels.append(tuple(Module(*one) for one in zip(nodes, told, inside, strict=True)))
    return Cover(levels[0], tuple(Cover(level) for level in levels[1:]))


# ------------------------------------------------------------------------------------------ beside the program


@pytest.mark.parametrize("options", [{}, {"seed": 4, "runs": 2, "tolerance": 0.3, "assign_homeless": True}])
@pytest.mark.parametrize("name", ["karate", "ring"])
def test_the_call_gives_what_the_program_writes(real_program, tmp_path, name, options):
    used = {"seed": 1, "runs": 10, "tolerance": 0.1, "assign_homeless": False, **options}
    flags = ("-uw", "-r", used["runs"], "-seed", used["seed"], "-t", used["tolerance"])
    flags += () if used["assign_homeless"] else ("-singlet",)
    files = by_hand(tmp_path, text_of(file_of(name)), *flags)
    cover = oslom(file_of(name), weighted=False, **options)
    assert cover == plain_cover(files)
    assert len(cover.significant) == {"karate": 2, "ring": 20}[name]
    assert all(len(module.scores) == len(module.nodes) for module in cover.modules)


def test_weights_and_levels_are_those_of_the_program(real_program, tmp_path):
    edges = nested()
    weights = np.random.default_rng(0).uniform(0.5, 1.5, len(edges))
    flags = ("-w", "-r", 2, "-hr", 5, "-singlet", "-seed", 1)
    files = by_hand(tmp_path, text_of(edges, weights), *flags)
    cover = oslom(np.column_stack([edges, weights]), runs=2, higher_runs=5)
    assert cover == plain_cover(files)
    assert len(cover.levels) >= 1 and len(cover.levels[0].modules) < len(cover.modules)
    assert oslom(np.column_stack([edges, weights]), runs=2, higher_runs=0).levels == ()


def test_arcs_go_to_the_directed_program(real_program, tmp_path):
    edges = np.array([pair if sum(pair) % 2 else pair[::-1] for pair in file_of("cave").tolist()])
    files = by_hand(tmp_path, text_of(edges), "-uw", "-r", 1, "-singlet", "-seed", 1, program="oslom_dir")
    options = {"weighted": False, "directed": True, "runs": 1}
    assert oslom(edges, **options) == plain_cover(files)
    matrix = scipy.sparse.csr_array((np.ones(len(edges)), edges.T))
    assert oslom(matrix, **options) == plain_cover(files)
    ordered = networkx.DiGraph()
    ordered.add_nodes_from(range(edges.max() + 1))
    ordered.add_edges_from(edges.tolist())
    assert oslom(ordered, **options) == plain_cover(files)
    assert len(plain_cover(files).significant) > 10


def test_threads_change_nothing(real_program):
    assert oslom(file_of("karate"), weighted=False, threads=2) == oslom(file_of("karate"), weighted=False, threads=1)


# ------------------------------------------------------------------------------------------ to the program


@pytest.fixture
def noted(fake_program, tmp_path, monkeypatch):
    """A program that puts all in one module; call it to get the edge file and the words it was given."""
    place = tmp_path / "noted"
    program = fake_program(NOTE.format(noted=str(place), tp="#module 0 size: 2 bs: 0.01\n0 1 \n"))
    monkeypatch.setenv("OSLOM_BIN", str(program))
    return lambda: (place.read_text(), Path(f"{place}.words").read_text())


def test_the_command_line_and_the_edge_file(noted):
    oslom(np.array([[1, 2, 5], [7, 2, 3]]))
    assert noted() == ("0 1 5.0\n1 2 3.0\n", "-f graph -w -r 10 -hr 50 -singlet -seed 1 -t 0.1")
    options = {"runs": 3, "higher_runs": 0, "seed": 9, "tolerance": 0.2, "threads": 4, "assign_homeless": True}
    oslom(np.array([[1, 2, 5], [7, 2, 3]]), weighted=False, **options)
    assert noted() == ("0 1\n1 2\n", "-f graph -uw -r 3 -hr 0 -seed 9 -t 0.2 -threads 4")


def test_a_program_that_leaves_a_tp_file_only(noted):
    cover = oslom(networkx.path_graph(["a", "b", "c"]), weighted=False)
    assert cover == Cover((Module(("a", "b"), 0.01), Module(("c",), 1.0)))


label = st.one_of(st.integers(-(2**70), 2**70), st.text(), st.tuples(st.integers(), st.text()))
weight = st.floats(LEAST, MOST)


@st.composite
def any_graph(draw):
    """A networkx graph with nodes of any kind, some without edges, some with loops."""
    nodes = draw(st.lists(label, unique=True, max_size=8))
    graph = draw(st.sampled_from([networkx.Graph, networkx.DiGraph]))()
    graph.add_nodes_from(nodes)
    if nodes:
        one = st.sampled_from(nodes)
        graph.add_weighted_edges_from(draw(st.lists(st.tuples(one, one, weight), max_size=12)), weight="ties")
    return graph


@given(any_graph())
def test_from_a_graph_to_an_edge_file_and_back(graph):
    labels, edges, weights = edge_list(graph, True, graph.is_directed(), "ties")
    read, values = community.read_edges(community.edge_text(edges, weights))
    back = graph.__class__()
    back.add_nodes_from(labels)
    back.add_weighted_edges_from(zip([labels[a] for a, _ in read], [labels[b] for _, b in read], values, strict=True))
    assert list(back) == list(graph) == labels
    told = {(a, b): w for a, b, w in graph.edges(data="ties") if a != b}
    assert len(back.edges) == len(told)
    assert all(back.edges[pair]["weight"] == w for pair, w in told.items())


@given(any_graph())
def test_a_matrix_and_an_array_give_the_edge_list_of_the_graph(graph):
    directed = graph.is_directed()
    _, edges, weights = edge_list(graph, True, directed, "ties")
    expected = sorted(zip(map(tuple, edges.tolist()), weights.tolist(), strict=True))
    size = max(1, len(graph))
    matrix = scipy.sparse.coo_array((weights, edges.T), shape=(size, size))
    for form in ("csr", "csc", "lil", "dok"):
        given = (matrix if directed else matrix + matrix.T).asformat(form)
        labels, read, values = edge_list(given, True, directed, "weight")
        assert list(labels) == list(range(size))
        assert sorted(zip(map(tuple, read.tolist()), values.tolist(), strict=True)) == expected
    array = np.column_stack([edges, weights])
    labels, read, values = edge_list(array, True, directed, "weight")
    ids = [(labels[a], labels[b]) for a, b in read.tolist()]
    assert sorted(zip(ids, values.tolist(), strict=True)) == expected


def test_a_matrix_is_read_with_care():
    """Explicit zeros are no edges, entries of the same place add up, the diagonal is left out; it stays as it was."""
    rows, columns = [0, 1, 0, 1, 2, 0, 2, 1, 1], [1, 0, 1, 0, 2, 2, 0, 2, 2]
    matrix = scipy.sparse.coo_matrix(([1, 2, 1, 0, 9, 0, 0, 3, 1], (rows, columns)), shape=(4, 4))
    with pytest.raises(SpecDNNError, match=r"entry \(1, 2\) is 4 and \(2, 1\) is 0"):
        edge_list(matrix, True, False, "weight")
    labels, edges, weights = edge_list(matrix, True, True, "weight")
    read = zip(map(tuple, edges.tolist()), weights.tolist(), strict=True)
    assert list(labels) == [0, 1, 2, 3] and dict(read) == {(0, 1): 2.0, (1, 0): 2.0, (1, 2): 4.0}
    assert matrix.nnz == 9


# ------------------------------------------------------------------------------------------ back from the program


def test_nodes_keep_their_labels(real_program):
    names = networkx.relabel_nodes(networkx.Graph(file_of("karate").tolist()), lambda k: ("member", 33 - k))
    ordered = networkx.Graph()
    ordered.add_nodes_from(("member", 33 - k) for k in range(34))  # as in the file
    ordered.add_edges_from(names.edges)
    plain, named = oslom(file_of("karate"), weighted=False), oslom(ordered, weighted=False)
    assert [m.nodes for m in named.modules] == [tuple(("member", 33 - k) for k in m.nodes) for m in plain.modules]
    assert [m.scores for m in named.modules] == [m.scores for m in plain.modules]


@pytest.mark.parametrize("scale, shift", [(1, -40), (2**57, 2**63)])
def test_ids_of_an_array_may_be_negative_or_large(real_program, scale, shift):
    ids = [[int(v) * scale + shift for v in pair] for pair in file_of("karate")]
    plain = oslom(file_of("karate"), weighted=False)
    cover = oslom(np.array(ids, dtype=np.uint64 if shift > 0 else np.int64), weighted=False)
    assert [m.nodes for m in cover.modules] == [tuple(k * scale + shift for k in m.nodes) for m in plain.modules]


def test_a_node_without_edges_is_homeless(real_program):
    graph = networkx.Graph(file_of("ring").tolist())
    graph.add_edge("loop", "loop")
    graph.add_node("alone")
    cover = oslom(graph, weighted=False)
    assert set(cover.homeless) == {"loop", "alone"}
    assert len(cover.significant) == 20
    matrix = scipy.sparse.block_diag([networkx.to_scipy_sparse_array(networkx.complete_graph(4)), [[0]]])
    assert 4 in oslom(matrix, weighted=False).homeless


def test_they_are_homeless_at_every_level(real_program):
    graph = networkx.Graph(nested().tolist())
    graph.add_node("alone")
    cover = oslom(graph, weighted=False, runs=1, higher_runs=1)
    assert cover.levels
    assert all("alone" in level.homeless for level in cover.levels)


@pytest.mark.parametrize("directed", [False, True])
def test_without_edges_everybody_is_homeless(directed, monkeypatch):
    monkeypatch.setattr(call, "run_program", None)  # and no program is asked
    kind = networkx.DiGraph if directed else networkx.Graph
    options = {"directed": directed}
    assert oslom(kind(), **options) == Cover(())
    assert oslom(np.empty((0, 3)), **options) == Cover(())
    assert oslom(scipy.sparse.csr_array((2, 2)), **options) == Cover((Module((0,), 1.0), Module((1,), 1.0)))
    lonely = kind()
    lonely.add_nodes_from("ab")
    assert oslom(lonely, **options).homeless == ("a", "b")


def test_what_the_program_warns_of_is_a_warning(real_program):
    graph = networkx.DiGraph(networkx.complete_graph(4))
    with pytest.warns(UserWarning, match="answered by one back"):
        oslom(graph, weighted=False, directed=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        oslom(networkx.complete_graph(4), weighted=False)


# ------------------------------------------------------------------------------------------ refused


def weighted_graph(value, kind=networkx.Graph):
    return kind([("a", "b", {"weight": value})])


ODD = scipy.sparse.csr_array(np.array([[0, 1.5], [0, 0]]))
UNEQUAL = scipy.sparse.csr_array(np.array([[0, 1.5], [2, 0]]))
SHAPES = "a graph is a networkx graph, a scipy sparse matrix or an array of numbers .* per edge, got "
RANGE = "a weight must be a number from 1e-150 to 1e\\+150, got "
REFUSED = {
    "no graph": ("karate.edges", {}, SHAPES + "str$"),
    "nothing": (None, {}, SHAPES + "NoneType$"),
    "an adjacency matrix": (np.ones((4, 4)), {}, SHAPES + r"shape \(4, 4\) of float64$"),
    "one dimension": (np.ones(4), {}, SHAPES + r"shape \(4,\) of float64$"),
    "words": (np.array([["a", "b"]]), {}, SHAPES + r"shape \(1, 2\) of <U1$"),
    "truth values": (np.array([[True, False]]), {}, SHAPES + r"shape \(1, 2\) of bool$"),
    "rows of different lengths": ([[1, 2, 3], [1, 2]], {}, SHAPES + "list$"),
    "beyond 64 bits": ([[2**70, 1]], {}, SHAPES + r"shape \(1, 2\) of object$"),
    "a fraction": ([[0, 1, 1], [0.5, 1, 1]], {}, r"row 1 of the edge array: an id .* whole number.*, got 0\.5$"),
    "an id that is nan": ([[0, np.nan, 1]], {}, "row 0 of the edge array.*, got nan$"),
    "an id that is infinite": ([[0, np.inf, 1]], {}, "row 0 of the edge array.*, got inf$"),
    "an inexact id": ([[0, 2.0**53, 1]], {}, r"row 0 .* below 2\*\*53 in an array of float64, got 9007199254740992.0$"),
    "an inexact short id": (np.float32([[0, 2**24, 1]]), {}, r"below 2\*\*24 in an array of float32"),
    "no third column": (np.array([[4, 5]]), {}, "edge 4, 5 has no weight: .*pass weighted=False$"),
    "no weights": (networkx.path_graph("ab"), {}, "edge 'a', 'b' has no weight: .*pass weighted=False$"),
    "another attribute": (weighted_graph(1), {"weight": "ties"}, "edge 'a', 'b' has no weight: .*weight= names"),
    "no attribute": (weighted_graph(1), {"weight": None}, "edge 'a', 'b' has no weight"),
    "a weight that is nan": (np.array([[4, 5, np.nan]]), {}, f"edge 4, 5: {RANGE}nan$"),
    "an infinite weight": (weighted_graph(np.inf), {}, f"edge 'a', 'b': {RANGE}inf$"),
    "no weight at all": (np.array([[4, 5, 0]]), {}, f"edge 4, 5: {RANGE}0$"),
    "a negative weight": (-UNEQUAL, {"directed": True}, f"edge 0, 1: {RANGE}-1.5$"),
    "a tiny weight": (weighted_graph(1e-200), {}, f"edge 'a', 'b': {RANGE}1e-200$"),
    "a huge weight": (weighted_graph(10**400), {}, f"edge 'a', 'b': {RANGE}1000"),
    "a word as weight": (weighted_graph("heavy"), {}, f"edge 'a', 'b': {RANGE}'heavy'$"),
    "a complex weight": (weighted_graph(1j), {}, f"edge 'a', 'b': {RANGE}1j$"),
    "a short zero as weight": (weighted_graph(np.float32(0)), {}, f"edge 'a', 'b': {RANGE}np.float32"),
    "a weight without text": (weighted_graph(10**5000), {}, f"edge 'a', 'b': {RANGE}a int$"),
    "a weight of several lines": (weighted_graph(np.eye(9)), {}, f"edge 'a', 'b': {RANGE}array.*\\.\\.\\.$"),
    "a label of several lines": (networkx.Graph([("a\nb", "x" * 999)]), {}, r"'a\\nb', 'x{56}\.\.\. has no weight"),
    "an attribute that is no name": (weighted_graph(1), {"weight": ["ties"]}, r"weight= must name .*, got \['ties'\]$"),
    "a tensor of an adjacency matrix": (torch.eye(4), {}, SHAPES + r"shape \(4, 4\) of float32$"),
    "a sparse tensor": (torch.eye(4).to_sparse(), {}, SHAPES + "Tensor$"),
    "a tensor that learns": (torch.ones(4, 3, requires_grad=True), {}, SHAPES + "Tensor$"),
    "a set": ({(0, 1)}, {}, SHAPES + "set$"),
    "a matrix of one dimension": (scipy.sparse.coo_array(np.ones(3)), {}, r"must be square, got shape \(3,\)"),
    "a complex matrix": (UNEQUAL * 1j, {"directed": True}, f"edge 0, 1: {RANGE}1.5j$"),
    "two weights": (np.array([[4, 5, 1], [5, 4, 2]]), {}, "edge 5, 4 comes with two weights, 1.0 and 2.0: .*directed"),
    "two weights of an arc": (np.array([[4, 5, 1], [4, 5, 2]]), {"directed": True}, "1.0 and 2.0: give it one$"),
    "unequal halves": (UNEQUAL, {}, "edge 1, 0 comes with two weights, 1.5 and 2.0: .*directed=True"),
    "one half": (ODD, {}, r"matrix is not symmetric, entry \(0, 1\) is 1.5 and \(1, 0\) is 0: .*directed=True"),
    "one half, unweighted": (ODD, {"weighted": False}, "matrix is not symmetric"),
    "not square": (scipy.sparse.csr_array((2, 3)), {}, r"must be square, got shape \(2, 3\)"),
    "a multigraph": (networkx.MultiGraph([(0, 1)]), {}, "multigraph is not supported: join"),
    "a directed graph": (weighted_graph(1, networkx.DiGraph), {}, "the graph is directed: pass directed=True"),
    "an undirected graph": (weighted_graph(1), {"directed": True}, "undirected: pass directed=False, or .*DiGraph"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_graph_that_makes_no_sense_is_refused_with_a_sentence(name):
    graph, options, told = REFUSED[name]
    with pytest.raises(SpecDNNError, match=told) as error:
        oslom(graph, **options)
    assert "\n" not in str(error.value)


def test_harmless_repetition_is_no_mistake():
    for array in ([[4, 5, 2], [5, 4, 2], [4, 5, 2]], [[5, 4, 2]]):
        labels, edges, weights = edge_list(np.array(array), True, False, "weight")
        assert (labels, edges.tolist(), weights.tolist()) == ([4, 5], [[0, 1]], [2.0])
    assert len(edge_list(np.array([[4, 5, 1], [5, 4, 2]]), True, True, "weight")[1]) == 2
    assert len(edge_list(np.array([[4, 5, 1], [5, 4, 2]]), False, False, "weight")[1]) == 1


@pytest.mark.parametrize(
    "options, told",
    [
        ({"seed": 0}, 'seed needs a whole number from 1 to 2147483399, got "0"'),
        ({"seed": None}, 'got "None"'),
        ({"runs": -1}, '-r needs .*got "-1"'),
        ({"higher_runs": 1.5}, '-hr needs .*got "1.5"'),
        ({"tolerance": 2}, "-t needs a number from 0 to 1"),
        ({"threads": 0}, "-threads needs"),
        ({"timeout": 1e-9}, "no answer within 1e-09 seconds"),
        ({"runs": True}, '-r needs .*got "True"'),
        ({"seed": 2147483400}, '-seed needs .*got "2147483400"'),
        ({"tolerance": float("nan")}, '-t needs a number from 0 to 1, got "nan"'),
    ],
)
def test_the_program_speaks_for_its_options(real_program, options, told):
    with pytest.raises(OslomError, match=told):
        oslom(np.array([[1, 2]]), weighted=False, **options)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e7, "5", [1]])
def test_a_timeout_that_makes_no_sense(timeout):
    with pytest.raises(SpecDNNError, match=f"timeout must be .*, got {re.escape(repr(timeout))}$"):
        oslom(np.array([[1, 2]]), weighted=False, timeout=timeout)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"])
def test_a_matrix_of_any_form_and_of_truth_values(form):
    whole = networkx.to_scipy_sparse_array(networkx.path_graph(3))
    for matrix in (whole.asformat(form), getattr(scipy.sparse, f"{form}_matrix")(whole), (whole > 0).asformat(form)):
        _, edges, weights = edge_list(matrix, True, False, "weight")
        assert (sorted(edges.tolist()), weights.tolist()) == ([[0, 1], [1, 2]], [1.0, 1.0])
    with pytest.raises(SpecDNNError, match=r"must be square, got shape \(2, 3\)"):
        oslom(scipy.sparse.csr_array(np.ones((2, 3))).asformat(form))


def test_a_weight_may_be_any_real_number():
    for value in (True, np.float32(2), np.longdouble(2), np.int8(2), Fraction(1, 2), LEAST, MOST):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert edge_list(weighted_graph(value), True, False, "weight")[2].tolist() == [float(value)]


def test_a_tensor_of_edges_is_an_edge_array(real_program):
    assert oslom(torch.tensor(file_of("karate")), weighted=False) == oslom(file_of("karate"), weighted=False)


SCORES = "#module 0 size: 2 bs: 0.01\n3 1e-05\n7 0.25\n#module 1 size: 1 bs: 1\n5 0.5\n"
COVER = Cover((Module((3, 7), 0.01), Module((5,), 1.0)))


def test_scores_are_put_to_their_nodes():
    scored = community.with_scores(COVER, SCORES).modules
    assert scored == (Module((3, 7), 0.01, (1e-05, 0.25)), Module((5,), 1.0, (0.5,)))


@pytest.mark.parametrize(
    "wrong, told",
    [
        (SCORES.replace("5 0.5\n", ""), "expected a score for each of 3 members, got 2"),
        (SCORES + "8 1\n", "3 members, got 4"),
        (SCORES.replace("7 ", "8 "), "line 3: expected '7 SCORE'.*got '8 0.25'"),
        (SCORES.replace("0.25", "high"), "line 3: .*got '7 high'"),
        (SCORES.replace("0.25", "nan"), "line 3: .*got '7 nan'"),
        (SCORES.replace("0.25", "-0.25"), "line 3: .*got '7 -0.25'"),
        (SCORES.replace("5 0.5", "5"), "line 5: .*got '5'"),
        (SCORES.replace("5 0.5", ""), "line 5: .*got ''"),
    ],
)
def test_malformed_scores_are_refused_with_their_line(wrong, told):
    with pytest.raises(OslomError, match=f"tp_scores file.* {told}|tp_scores file: {told}"):
        community.with_scores(COVER, wrong)


@pytest.mark.parametrize("name", ["tp_scores", "tp1"])
def test_a_file_beside_the_tp_file_is_read_as_strictly(fake_program, monkeypatch, name):
    text = "import os; os.mkdir('graph_oslo_files')\n"
    for other, content in (("tp", "#module 0 size: 2 bs: 0.1\n0 1 \n"), (name, "nonsense\n")):
        text += f"open('graph_oslo_files/{other}', 'w').write({content!r})\n"
    monkeypatch.setenv("OSLOM_BIN", str(fake_program(text)))
    with pytest.raises(OslomError, match="tp"):
        oslom(np.array([[0, 1]]), weighted=False)


def test_a_directed_graph_never_goes_to_the_program_for_undirected_ones(real_program, monkeypatch):
    monkeypatch.setenv("OSLOM_BIN", "no/oslom")
    assert community.program(directed=True) == real_program.with_name("oslom_dir")


# ------------------------------------------------------------------------------------------ the README


def test_the_lines_of_the_readme_work(real_program, capsys):
    section = (ROOT / "oslom" / "README.md").read_text(encoding="utf-8").split("## From Python\n")[1].split("\n## ")[0]
    code = [line.removeprefix("    ") for line in section.splitlines() if line.startswith("    ")]
    assert len(code) == 5
    exec("\n".join(code), {})
    said = capsys.readouterr().out
    assert "'Valjean'" in said and len(said.splitlines()) >= 3
