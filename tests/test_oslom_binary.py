"""The programs oslom_undir and oslom_dir from outside: what it finds, what it refuses, what it leaves on disk."""

import gzip
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from oslom_measures import communities, overlapping_nmi, read_groups

ROOT = Path(__file__).resolve().parent.parent
BINARY = ROOT / "oslom" / "bin" / "oslom_undir"
GRAPHS = Path(__file__).resolve().parent / "graphs"


@pytest.fixture(scope="session")
def oslom():
    """Runs the program and returns the finished process."""
    if not BINARY.exists():
        pytest.fail(f"{BINARY} is not built; run: make -C oslom")

    def run(*arguments, cwd=None):
        command = [str(BINARY), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)

    return run


@pytest.fixture
def graph(tmp_path):
    """Copies a reference graph into a folder of its own."""

    def copy(name):
        return Path(shutil.copy(GRAPHS / f"{name}.edges", tmp_path))

    return copy


@pytest.fixture
def edges(tmp_path):
    """Writes an edge file from text or bytes."""

    def write(content, name="graph.edges"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def folder(path):
    return Path(f"{path}_oslo_files")


def planted(name):
    return communities(GRAPHS / f"{name}.planted")


def found(path):
    return communities(folder(path) / "tp")


def output(path):
    return {file.name: file.read_bytes() for file in sorted(folder(path).iterdir())}


def succeed(process):
    assert process.returncode == 0, process.stderr
    return process


def refuse(process, *pieces):
    assert process.returncode == 255
    assert process.stdout == ""
    message = process.stderr.strip()
    assert message.count("\n") == 0, "one sentence, one line"
    for piece in pieces:
        assert piece in message


CLIQUES = "".join(
    f"{6 * clique + a} {6 * clique + b}\n" for clique in range(8) for a in range(6) for b in range(a + 1, 6)
) + "".join(f"{6 * clique} {(6 * clique + 7) % 48}\n" for clique in range(8))


# What it finds


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name, size", [("ring", 20), ("cave", 30)])
def test_clear_communities_are_found_with_any_seed(oslom, graph, name, size, seed):
    path = graph(name)
    succeed(oslom("-f", path, "-uw", "-singlet", "-seed", seed))
    assert len(found(path)) == size
    assert sorted(map(sorted, read_groups(folder(path) / "tp"))) == sorted(map(sorted, planted(name)))


def test_planted_communities_at_mixing_one_half(oslom, graph):
    path = graph("pp_0.5_1")
    succeed(oslom("-f", path, "-uw", "-singlet"))
    assert overlapping_nmi(found(path), planted("pp_0.5_1"), 1000) >= 0.97
    forced = communities(folder(path) / "tp_without_singletons")
    assert overlapping_nmi(forced, planted("pp_0.5_1"), 1000) >= 0.97


def test_a_random_graph_has_next_to_no_modules(oslom, graph):
    path = graph("er_2")
    succeed(oslom("-f", path, "-uw", "-singlet", "-r", 2))
    assert len(found(path)) <= 2


def test_karate_club_sizes_over_seeds(oslom, graph):
    path = graph("karate")
    sizes = []
    for seed in range(1, 21):
        succeed(oslom("-f", path, "-uw", "-singlet", "-seed", seed))
        sizes.append(sorted(map(len, found(path))))
    assert sum(19 in pair for pair in sizes) >= 17
    assert sum(pair[0] in (14, 15, 16) for pair in sizes) >= 17
    assert all(len(pair) == 2 for pair in sizes)


def test_weighted_planted_communities(oslom, edges):
    rng = random.Random(1)
    lines = []
    for a in range(120):
        for b in range(a + 1, 120):
            together = a // 20 == b // 20
            if rng.random() < (0.5 if together else 0.1):
                lines.append(f"{a} {b} {rng.expovariate(1) * (5 if together else 1):.6f}\n")
    path = edges("".join(lines))
    succeed(oslom("-f", path, "-w", "-singlet"))
    truth = [set(range(20 * k, 20 * k + 20)) for k in range(6)]
    assert overlapping_nmi(found(path), truth, 120) > 0.75


@pytest.mark.parametrize("text", ["1 2\n", "1 2\n2 3\n1 3\n", "0 1\n0 2\n0 3\n0 4\n0 5\n"])
@pytest.mark.parametrize("kind", ["-uw", "-w"])
def test_tiny_graphs_have_no_modules(oslom, edges, text, kind):
    path = edges(text)
    succeed(oslom("-f", path, kind))
    assert found(path) == []


def test_large_simple_graphs_have_no_modules(oslom, edges):
    """A star with 10^5 leaves, and a clique that is the whole graph."""
    star = "".join(f"0 {leaf}\n" for leaf in range(1, 100_001))
    clique = "".join(f"{a} {b}\n" for a in range(60) for b in range(a + 1, 60))
    for text, size in ((star, "100001 vertices"), (clique, "60 vertices")):
        path = edges(text)
        for kind in ("-uw", "-w"):
            assert size in succeed(oslom("-f", path, kind, "-fast", "-singlet")).stdout
            assert found(path) == []


def test_many_parallel_edges_cost_no_more_than_a_few(oslom, edges):
    """Timestamps in the column of the parallel edges: the fixture's limit of time is what fails."""
    rng = random.Random(5)
    pairs = [line.split()[:2] for line in (GRAPHS / "er_2.edges").read_text(encoding="utf-8").splitlines()]
    lines = (f"{a} {b} {rng.expovariate(1):.6g} {1_082_000_000 + rng.randrange(80_000_000)}" for a, b in pairs)
    path = edges("\n".join(lines))
    succeed(oslom("-f", path, "-w", "-r", 1, "-hr", 0))
    assert len(set().union(*found(path))) == 1000


def test_two_hubs_cost_little_more_than_their_edges(oslom, edges):
    path = edges("".join(f"0 {leaf}\n1 {leaf}\n" for leaf in range(2, 200_002)))
    succeed(oslom("-f", path, "-uw", "-r", 1, "-hr", 0))
    assert "\n#module 1 " in (folder(path) / "tp").read_text(encoding="utf-8")


def test_extreme_weights_and_ids_leave_probabilities(oslom, edges):
    weights = ["1e150", "1e-150", "1", "3e100"]
    first = 2**63 - 9
    pairs = [(first + a, first + b) for a in range(8) for b in range(a + 1, 8)]
    path = edges("".join(f"{a} {b} {weights[(a * b) % 4]}\n" for a, b in [*pairs, (0, first)]))
    succeed(oslom("-f", path, "-w", "-r", 2, "-hr", 2))
    text = b"".join(output(path).values())
    assert str(2**63 - 2).encode() in text
    assert b"nan" not in text and b"inf" not in text


# What it writes


def test_tp_format_and_other_files(oslom, graph):
    path = graph("karate")
    succeed(oslom("-f", path, "-uw", "-singlet", "-r", 2))
    lines = (folder(path) / "tp").read_text().splitlines()
    for number, (header, members) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
        match = re.fullmatch(r"#module (\d+) size: (\d+) bs: (\S+)", header)
        ids = [int(token) for token in members.split()]
        assert members == "".join(f"{vertex} " for vertex in ids)
        assert (int(match[1]), int(match[2])) == (number, len(ids))
        assert ids == sorted(ids)
        assert float(match[3]) == 1 if len(ids) == 1 else 0 <= float(match[3]) <= 1
    levels = {name for name in output(path) if re.fullmatch(r"(tp|short_tp|net)[1-9]|.*_level_[1-9](\.dat)?", name)}
    assert set(output(path)) - levels == {
        "partitions_level_0", "statistics_level_0.dat", "tp", "tp_scores", "tp_without_singletons",
    }  # fmt: skip


def test_every_vertex_is_listed_and_statistics_agree(oslom, graph):
    path = graph("karate")
    succeed(oslom("-f", path, "-uw", "-singlet"))
    groups = read_groups(folder(path) / "tp")
    modules = [group for group in groups if len(group) > 1]
    covered = set().union(*modules)
    assert set().union(*groups) == set(range(34))
    assert all(len(group) == 1 for group in groups[len(modules) :])
    text = (folder(path) / "statistics_level_0.dat").read_text()
    assert f"number of modules: {len(modules)}\n" in text
    assert f"number of covered nodes: {len(covered)} fraction of homeless nodes: {(34 - len(covered)) / 34:g}\n" in text


def test_scores_list_every_member_under_its_module(oslom, graph):
    path = graph("ring")
    succeed(oslom("-f", path, "-uw", "-r", 1))
    lines = (folder(path) / "tp_scores").read_text().splitlines()
    headers = [line for line in lines if line.startswith("#")]
    assert headers == (folder(path) / "tp").read_text().splitlines()[::2]
    members = [line.split() for line in lines if not line.startswith("#")]
    assert sorted(int(vertex) for vertex, _ in members) == list(range(120))
    assert all(0 < float(score) < 0.01 for _, score in members)


def test_partitions_hold_one_cover_per_run(oslom, graph):
    path = graph("ring")
    succeed(oslom("-f", path, "-uw", "-r", 3))
    assert len(read_groups(folder(path) / "partitions_level_0")) == 60


# Options


def test_without_singlet_no_connected_vertex_stays_homeless(oslom, graph):
    path = graph("karate")
    succeed(oslom("-f", path, "-uw"))
    assert all(len(group) > 1 for group in read_groups(folder(path) / "tp"))
    assert not (folder(path) / "tp_without_singletons").exists()


def test_fast_is_one_run(oslom, graph):
    path = graph("karate")
    succeed(oslom("-r", 7, "-f", path, "-fast", "-uw"))
    fast = output(path)
    succeed(oslom("-f", path, "-uw", "-r", 1))
    assert output(path) == fast


def test_tolerance_decides_what_is_significant(oslom, graph):
    path = graph("karate")
    succeed(oslom("-f", path, "-uw", "-singlet", "-t", "0.0000001"))
    assert found(path) == []
    succeed(oslom("-f", path, "-uw", "-singlet", "-t", "0.1"))
    assert len(found(path)) == 2


def test_no_runs_leave_everybody_homeless(oslom, graph):
    path = graph("karate")
    succeed(oslom("-f", path, "-uw", "-r", 0))
    assert [len(group) for group in read_groups(folder(path) / "tp")] == [1] * 34


def test_runs_are_silent_when_nobody_watches(oslom, graph):
    path = graph("ring")
    assert succeed(oslom("-f", path, "-uw", "-r", 1)).stderr == ""
    quiet = succeed(oslom("-f", path, "-uw", "-r", 1, "-quiet"))
    assert quiet.stdout == quiet.stderr == ""


def test_progress_is_shown_on_a_terminal_only_and_not_with_quiet(graph):
    path = graph("ring")
    shown = {}
    for extra in ((), ("-quiet",)):
        primary, secondary = os.openpty()
        command = [BINARY, "-f", path, "-uw", "-r", "2", *extra]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=secondary, check=True, timeout=120)
        os.close(secondary)
        try:
            shown[extra] = os.read(primary, 10000).decode()
        except OSError:
            shown[extra] = ""
        os.close(primary)
    assert "level 0: run 2 of 2" in shown[()]
    assert shown[("-quiet",)] == ""


@pytest.mark.parametrize("name, kind", [("karate", "-uw"), ("karate", "-w"), ("ring", "-uw"), ("cave", "-uw")])
@pytest.mark.parametrize("runs", [("-r", 4, "-hr", 4, "-louvain", 1), ("-r", 1, "-hr", 1)], ids=["many", "one"])
def test_the_number_of_threads_changes_no_byte(oslom, graph, name, kind, runs):
    path = graph(name)
    common = ("-f", path, kind, *runs)
    succeed(oslom(*common, "-threads", 1))
    alone = output(path)
    for threads in (2, 7):
        succeed(oslom(*common, "-threads", threads))
        assert output(path) == alone


def test_the_output_folder_can_be_chosen(oslom, graph, tmp_path):
    path = graph("ring")
    elsewhere = tmp_path / "else where"
    succeed(oslom("-f", path, "-uw", "-r", 1, "-out", f"{elsewhere}/"))
    assert not folder(path).exists()
    assert sorted(map(sorted, read_groups(elsewhere / "tp"))) == sorted(map(sorted, planted("ring")))
    (elsewhere / "thesis.tex").write_text("precious")
    refuse(oslom("-f", path, "-uw", "-r", 1, "-out", elsewhere), "thesis.tex")


def test_two_runs_in_one_folder_at_once_leave_one_complete_result(graph):
    path = graph("ring")
    alone = {}
    for seed in ("1", "2"):
        command = [BINARY, "-f", path, "-uw", "-seed", seed]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
        alone[seed] = output(path)
    assert alone["1"] != alone["2"]
    for _ in range(3):
        commands = [[BINARY, "-f", path, "-uw", "-seed", seed] for seed in alone]
        both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
        assert [process.wait(timeout=120) for process in both] == [0, 0]
        assert output(path) in alone.values()


# Higher levels


def test_levels_of_cliques_in_groups(oslom, edges):
    """Twelve groups of six cliques of six: tp has the cliques, tp1 unions of cliques, net1 their graph."""
    rng = random.Random(5)
    lines = []
    for a in range(432):
        for b in range(a + 1, 432):
            p = 1 if a // 6 == b // 6 else 0.08 if a // 36 == b // 36 else 0.0015
            if rng.random() < p:
                lines.append(f"{a} {b}\n")
    path = edges("".join(lines))
    succeed(oslom("-f", path, "-uw", "-r", 2, "-hr", 5, "-singlet"))
    names = set(output(path))
    assert {"tp", "tp1", "short_tp1", "net1", "net2", "partitions_level_1", "statistics_level_1.dat"} <= names
    below, above = read_groups(folder(path) / "tp"), read_groups(folder(path) / "tp1")
    short = read_groups(folder(path) / "short_tp1")
    assert [set().union(*(below[module] for module in group)) for group in short] == [set(group) for group in above]
    groups = [set(range(36 * i, 36 * i + 36)) for i in range(12)]
    assert sum(set(group) in groups for group in above) >= 9
    statistics = (folder(path) / "statistics_level_1.dat").read_text()
    assert statistics.startswith(f"number of modules: {sum(len(group) > 1 for group in above)}\n")
    assert statistics.count("\n") == 4
    net = [line.split("\t") for line in (folder(path) / "net1").read_text().splitlines()]
    assert all(len(line) == 3 and int(line[0]) < int(line[1]) < len(below) for line in net)
    again = edges((folder(path) / "net1").read_text(), "net1.edges")
    assert succeed(oslom("-f", again, "-uw", "-r", 1)).returncode == 0


def test_without_runs_at_higher_levels_nothing_is_merged(oslom, graph):
    path = graph("ring")
    succeed(oslom("-f", path, "-uw", "-r", 1, "-hr", 0))
    files = output(path)
    assert "tp1" not in files and "net2" not in files
    assert files["partitions_level_1"] == files["statistics_level_1.dat"] == b""
    assert [len(group) for group in read_groups(folder(path) / "short_tp1")] == [1] * 20


def test_runs_at_higher_levels_do_not_change_level_0(oslom, graph):
    path = graph("cave")
    succeed(oslom("-f", path, "-uw", "-r", 2, "-hr", 0))
    before = output(path)
    succeed(oslom("-f", path, "-uw", "-r", 2, "-hr", 3))
    after = output(path)
    for name in ("tp", "tp_scores", "partitions_level_0", "statistics_level_0.dat", "net1"):
        assert after[name] == before[name]


# Covers from elsewhere


def test_hint_load_and_louvain_add_one_cover_each(oslom, graph, edges, tmp_path):
    path = graph("ring")
    succeed(oslom("-f", path, "-uw", "-r", 1))
    tp = tmp_path / "old.tp"
    tp.write_bytes((folder(path) / "tp").read_bytes())
    hint = edges("".join(" ".join(map(str, group)) + "\n" for group in planted("ring")), "hint.txt")
    for extra, covers in ((("-hint", hint), 1), (("-load", tp), 1), (("-louvain", 2), 2)):
        succeed(oslom("-f", path, "-uw", "-r", 0, *extra))
        assert len(read_groups(folder(path) / "partitions_level_0")) == 20 * covers
        assert sorted(map(sorted, read_groups(folder(path) / "tp"))) == sorted(map(sorted, planted("ring")))
    succeed(oslom("-f", path, "-uw", "-r", 2, "-hint", hint, "-load", tp, "-louvain", 1))
    assert len(read_groups(folder(path) / "partitions_level_0")) == 100


def test_unknown_ids_in_a_hint_are_skipped_with_a_warning(oslom, graph, edges):
    path = graph("ring")
    process = succeed(oslom("-f", path, "-uw", "-r", 1, "-hint", edges("0 1 2 3 4 5\n7777 8888\n", "hint.txt")))
    assert process.stderr.count("\n") == 1
    assert "hint.txt line 2" in process.stderr and "7777" in process.stderr


@pytest.mark.parametrize(
    "flag, content, pieces",
    [
        ("-hint", None, ["such"]),
        ("-load", None, ["such"]),
        ("-hint", "0 1\n2 x\n", ["line 2", '"x"']),
        ("-load", "0 1\n", ["line 1", "header"]),
        ("-load", "#module 0 size: 2 bs: much\n0 1\n", ["line 1", '"much"']),
        ("-load", "#module 0 size: 99 bs: 0.1\n0 1 2\n", ["line 2", "3 vertices", '"size: 99"']),
    ],
)
def test_bad_hints_are_refused_before_the_work(oslom, graph, edges, tmp_path, flag, content, pieces):
    path = graph("ring")
    other = edges(content, "groups.txt") if content else tmp_path / "groups.txt"
    refuse(oslom("-f", path, "-uw", flag, other), "groups.txt", *pieces)
    assert not folder(path).exists()


def test_help_version_and_no_argument(oslom):
    for flag in ("-h", "--help", "--version"):
        assert "oslom_undir" in succeed(oslom(flag)).stdout
    nothing = oslom()
    assert nothing.returncode == 255
    assert "usage" in nothing.stderr


@pytest.mark.parametrize(
    "arguments, piece",
    [
        (["-uw"], "-f FILE"),
        (["-f", "GRAPH"], "-uw"),
        (["-f", "GRAPH", "-uw", "-r"], "needs a value"),
        (["-f", "GRAPH", "-uw", "-r", "-1"], '"-1"'),
        (["-f", "GRAPH", "-uw", "-seed", "0"], "from 1 to"),
        (["-f", "GRAPH", "-uw", "-t", "2"], "from 0 to 1"),
        (["-f", "GRAPH", "-uw", "-x"], '"-x"'),
        (["-f", "GRAPH", "-uw", "-threads", "0"], "from 1 to"),
        (["-f", "GRAPH", "-uw", "-infomap", "1"], "not supported"),
        (["-f", "GRAPH", "-uw", "-copra", "2"], "not supported"),
        (["-f", "GRAPH", "-uw", "-out", "-singlet"], "-singlet"),
        (["-f", "GRAPH", "-uw", "-r", "2147483399"], "to 100000"),
        (["-f", "GRAPH", "-uw", "-hr", "2147483399"], "to 100000"),
        (["-f", "GRAPH", "-uw", "-louvain", "2147483399"], "to 100000"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(oslom, graph, arguments, piece):
    path = graph("ring")
    refuse(oslom(*[path if argument == "GRAPH" else argument for argument in arguments]), piece)
    assert not folder(path).exists()


# Seeds and invariances


def test_the_same_seed_gives_the_same_bytes(oslom, graph):
    path = graph("karate")
    succeed(oslom("-f", path, "-uw", "-seed", 5, "-singlet"))
    first = output(path)
    succeed(oslom("-f", path, "-uw", "-seed", 5, "-singlet"))
    assert output(path) == first


def test_the_default_seed_is_fixed_and_leaves_no_seed_file(oslom, graph, tmp_path):
    path = graph("karate")
    succeed(oslom("-f", path.name, "-uw", cwd=tmp_path))
    first = output(path)
    succeed(oslom("-f", path.name, "-uw", "-seed", 21111983, cwd=tmp_path))
    assert output(path) == first
    assert sorted(file.name for file in tmp_path.iterdir()) == ["karate.edges", "karate.edges_oslo_files"]


@pytest.mark.parametrize(
    "spell",
    [
        lambda lines: "\r\n".join(lines).encode(),
        lambda lines: b"\xef\xbb\xbf" + "\n".join(lines).encode() + b"\n",
        lambda lines: "\n".join(line.replace(" ", ",") for line in lines).encode(),
        lambda lines: "\n".join(line.replace(" ", " \t;") for line in lines).encode(),
        lambda lines: "\r".join(lines).encode(),
        lambda lines: "\n".join(line.replace(" ", "  \t  ") + "\t" for line in lines).encode(),
        lambda lines: ("# a comment\n\n   \n" + "\n".join(line + " # edge" for line in lines)).encode(),
        lambda lines: "\n".join(reversed(lines)).encode(),
        lambda lines: "\n".join(" ".join(reversed(line.split())) for line in lines).encode(),
        lambda lines: "\n".join(lines + [" ".join(reversed(line.split())) for line in lines]).encode(),
        lambda lines: "\n".join(" ".join(f"{int(id):.6e}" for id in line.split()) for line in lines).encode(),
    ],
    ids=["crlf", "bom", "commas", "semicolons", "cr", "tabs", "comments", "order", "ends", "both directions", "reals"],
)
def test_spelling_does_not_matter(oslom, graph, edges, spell):
    path = graph("karate")
    reference = succeed(oslom("-f", path, "-uw"))
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    other = edges(spell(lines))
    again = succeed(oslom("-f", other, "-uw"))
    assert again.stderr == ""
    assert again.stdout.split(":")[0] == reference.stdout.split(":")[0] == "34 vertices, 78 edges"
    assert output(other) == output(path)


def test_relabelled_vertices_give_the_same_communities(oslom, graph, edges):
    path = graph("ring")
    new_ids = random.Random(3).sample(range(10**18), 120)
    lines = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    other = edges("".join(f"{new_ids[int(a)]} {new_ids[int(b)]}\n" for a, b in lines))
    assert "120 vertices, 320 edges" in succeed(oslom("-f", other, "-uw")).stdout
    expected = [{new_ids[vertex] for vertex in group} for group in planted("ring")]
    assert sorted(map(sorted, found(other))) == sorted(map(sorted, expected))


def test_of_repeated_edges_the_first_counts_with_one_warning(oslom, edges):
    process = succeed(oslom("-f", edges("1 2 1\n2 3 1\n2 1 5\n3 2 7\n"), "-w"))
    assert process.stderr.count("\n") == 1
    assert "line 3" in process.stderr and "line 1" in process.stderr
    assert "2 edges" in process.stdout


@pytest.mark.parametrize("column, kind", [("third", "-uw"), ("fourth", "-w")])
def test_a_column_of_parallel_edges_is_worth_a_warning_that_tells_its_extent(oslom, edges, column, kind):
    first = " 0.5" if kind == "-w" else ""
    process = succeed(oslom("-f", edges(f"1 2{first} 1\n2 3{first} 3\n1 3{first} 1700000\n"), kind))
    assert process.stderr.count("\n") == 1
    assert "line 2" in process.stderr and f"{column} column" in process.stderr and "parallel edges" in process.stderr
    assert "2 lines" in process.stderr and "1700000" in process.stderr


def test_edges_of_weight_0_are_skipped_with_one_warning_and_leave_their_vertices(oslom, edges):
    path = edges(CLIQUES.replace("\n", " 1\n") + "0 13 0\n100 101 0.0\n")
    process = succeed(oslom("-f", path, "-w", "-r", 1, "-singlet"))
    assert process.stderr.count("\n") == 1
    assert "line 129" in process.stderr and "2 such lines" in process.stderr
    assert "50 vertices, 128 edges: 8 modules, 2 homeless vertices" in process.stdout


def test_one_of_a_kind_is_not_called_many(oslom, edges):
    process = succeed(oslom("-f", edges("1 2\n"), "-uw"))
    assert process.stdout.startswith("2 vertices, 1 edge: 0 modules, 2 homeless vertices;")
    triangle = edges("0 1\n1 2\n0 2\n2 3\n")
    load = edges("#module 0 size: 3 bs: 0.01\n0 1 2\n", "one.tp")
    process = succeed(oslom("-f", triangle, "-uw", "-singlet", "-r", 0, "-load", load))
    assert process.stdout.startswith("4 vertices, 4 edges: 1 module, 1 homeless vertex;")


# Input that is refused


@pytest.mark.parametrize(
    "line, kind, value, right",
    [
        ("7", "-uw", '"7"', "two vertex ids"),
        ("-1 2", "-uw", '"-1"', "whole numbers from 0"),
        ("-2.0 2", "-uw", '"-2.0"', "whole numbers from 0"),
        ("1.5 2", "-uw", '"1.5"', "whole numbers from 0"),
        ("1 9223372036854775808", "-uw", "too large", "9223372036854775807"),
        ("nan 2", "-uw", '"nan"', "whole numbers from 0"),
        ("1 inf", "-uw", '"inf"', "whole numbers from 0"),
        ("a b", "-uw", '"a"', "whole numbers from 0"),
        ("n12 3", "-uw", '"n12"', "whole numbers from 0"),
        ("1 2 x", "-uw", '"x"', "finite number"),
        ("1 2 nan", "-w", '"nan"', "finite number"),
        ("1 2 inf", "-w", '"inf"', "finite number"),
        ("1 2 1e999", "-w", '"1e999"', "finite number"),
        ("1 2 -inf", "-w", '"-inf"', "finite number"),
        ("1 2 5e-324", "-w", '"5e-324"', "between 1e-150 and 1e150"),
        ("1 2 1e308", "-w", '"1e308"', "between 1e-150 and 1e150"),
        ("1 2 0.5", "-uw", '"0.5"', "use -w for weights"),
        ("1 2 0", "-uw", '"0"', "positive whole number"),
        ("1 2 1 0.5", "-w", '"0.5"', "positive whole number"),
        ("1 2 3 4 5 6 7", "-uw", '"5"', "two vertex ids and at most two numbers"),
        ("1,,5", "-w", '"5"', "empty cell"),
        ("1\t2\t\t5", "-w", '"5"', "empty cell"),
        ("1;2;1,5", "-w", '"1,5"', "point in decimals"),
        ("1 2 -0.3", "-w", '"-0.3"', "larger than 0"),
        ("1 2 1 1e300", "-w", '"1e300"', "2^53"),
    ],
)
def test_a_bad_line_is_named(oslom, edges, line, kind, value, right):
    path = edges(f"1 2\n# comment\n\n{line}\n3 4\n")
    refuse(oslom("-f", path, kind), "graph.edges line 4", value, right)
    assert not folder(path).exists()


def test_binary_rubbish_is_refused_with_a_printable_message(oslom, edges):
    process = oslom("-f", edges(b"1 2\n\x00\x01\x1b[31m 3\n"), "-uw")
    refuse(process, "line 2")
    assert process.stderr.strip().isprintable()


@pytest.mark.parametrize(
    "content, kind, pieces",
    [
        ("source target\n1 2\n", "-uw", ["line 1", '"source"', "header line", "#"]),
        ("1 2\nann bob\n", "-uw", ["line 2", '"ann"', "specdnn.community.oslom"]),
        (gzip.compress(b"1 2\n"), "-uw", ["gzip", "unpack it first"]),
        (b"PK\x03\x04 and so on", "-w", ["zip", "unpack it first"]),
        ("1 2\n2 3\n".encode("utf-16"), "-uw", ["UTF-16", "UTF-8"]),
        ("1 2\n2 3\n".encode("utf-16-be"), "-uw", ["UTF-16", "UTF-8"]),
    ],
    ids=["header", "names", "gzip", "zip", "utf-16", "utf-16 without a mark"],
)
def test_what_is_no_edge_list_is_told_apart(oslom, edges, content, kind, pieces):
    path = edges(content)
    refuse(oslom("-f", path, kind), "graph.edges line ", *pieces)
    assert not folder(path).exists()


@pytest.mark.parametrize("content", ["", "# only a comment\n", "5 5\n"])
def test_a_file_without_edges_is_refused(oslom, edges, content):
    path = edges(content)
    refuse(oslom("-f", path, "-uw"), "graph.edges", "no edge")
    assert not folder(path).exists()


def test_a_missing_file_and_a_folder_are_refused(oslom, tmp_path):
    refuse(oslom("-f", tmp_path / "none", "-uw"), "none", "No such file")
    refuse(oslom("-f", tmp_path, "-uw"), "folder")
    refuse(oslom("-f", "/dev/zero", "-uw"), "/dev/zero", "device")


# The output folder


def test_an_old_output_folder_is_replaced_completely(oslom, edges):
    path = edges(CLIQUES)
    folder(path).mkdir()
    for name in ("tp", "tp8", "short_tp8", "net8", "partitions_level_8", "statistics_level_8.dat", "tp8.tmp"):
        (folder(path) / name).write_text("old")
    succeed(oslom("-f", path, "-uw"))
    assert not [name for name in output(path) if "8" in name]
    assert len(found(path)) == 8


def limited(command, limit, value):
    """The finished process of a command under a limit of the system."""
    under = lambda: resource.setrlimit(limit, (value, value))  # noqa: E731
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=under, timeout=120)


def test_a_full_disk_leaves_the_old_result(graph):
    path = graph("ring")
    subprocess.run([BINARY, "-f", path, "-uw"], check=True, stdout=subprocess.DEVNULL)
    before = output(path)
    process = limited([BINARY, "-f", path, "-uw", "-seed", "2"], resource.RLIMIT_FSIZE, 2000)
    refuse(process, str(folder(path)), "cannot write", "too large")
    assert output(path) == before


def test_a_folder_with_other_files_is_left_alone(oslom, edges):
    path = edges(CLIQUES)
    folder(path).mkdir()
    (folder(path) / "thesis.tex").write_text("precious")
    refuse(oslom("-f", path, "-uw"), str(folder(path)), "thesis.tex")
    assert output(path) == {"thesis.tex": b"precious"}


def test_a_file_in_the_way_is_left_alone(oslom, edges):
    path = edges(CLIQUES)
    folder(path).write_text("precious")
    refuse(oslom("-f", path, "-uw"), "not a folder")
    assert folder(path).read_text() == "precious"


def test_a_bad_input_leaves_an_old_result_alone(oslom, edges):
    path = edges(CLIQUES)
    succeed(oslom("-f", path, "-uw"))
    before = output(path)
    path.write_text("1 x\n")
    refuse(oslom("-f", path, "-uw"), "line 1")
    assert output(path) == before


@pytest.mark.parametrize("flag", ["-f", "-hint", "-load"])
@pytest.mark.parametrize("spelling", ["as it is", "relative", "symbolic link", "hard link"])
def test_an_input_in_the_output_folder_is_not_deleted(oslom, edges, tmp_path, flag, spelling):
    out = tmp_path / "out"
    out.mkdir()
    text = {"-f": CLIQUES, "-hint": "0 1 2\n", "-load": "#module 0 size: 2 bs: 0.1\n0 1\n"}[flag]
    (out / "tp9").write_text(text)
    name = {"as it is": out / "tp9", "relative": "out/../out//tp9"}.get(spelling, tmp_path / "other")
    if "link" in spelling:
        (name.symlink_to if spelling == "symbolic link" else name.hardlink_to)(out / "tp9")
    others = () if flag == "-f" else ("-f", edges(CLIQUES))
    refuse(oslom(flag, name, *others, "-uw", "-out", out, cwd=tmp_path), "input", str(name), "-out")
    assert [(file.name, file.read_text()) for file in out.iterdir()] == [("tp9", text)]


def test_a_graph_of_modules_is_not_replaced_by_its_own_result(oslom, graph, tmp_path):
    path = graph("ring")
    succeed(oslom("-f", path, "-uw", "-r", 1))
    before = output(path)
    refuse(oslom("-f", folder(path) / "net1", "-uw", "-out", folder(path)), "net1", "-out")
    assert output(path) == before
    succeed(oslom("-f", folder(path) / "net1", "-uw", "-out", tmp_path / "above"))


@pytest.mark.parametrize("target", ["nowhere", "out"], ids=["dangling", "looping"])
def test_a_link_that_leads_nowhere_is_refused_before_the_work(oslom, graph, tmp_path, target):
    (tmp_path / "out").symlink_to(target)
    refuse(oslom("-f", graph("pp_0.5_1"), "-uw", "-r", 100_000, "-out", tmp_path / "out"), "out", "link")


def test_too_few_file_handles_are_refused_before_the_work(graph):
    path = graph("pp_0.5_1")
    process = limited([BINARY, "-f", path, "-uw", "-r", "100000"], resource.RLIMIT_NOFILE, 4)
    refuse(process, "Too many open files", "ulimit -n")
    assert not folder(path).exists()


def test_eight_runs_in_one_folder_at_once_all_end_well(edges):
    path = edges("1 2\n")
    for _ in range(30):
        runs = [subprocess.Popen([BINARY, "-f", path, "-uw", "-quiet"], stderr=subprocess.PIPE) for _ in range(8)]
        assert [run.communicate(timeout=120)[1] for run in runs] == [b""] * 8


@pytest.mark.parametrize("threads", [8, 4096])
def test_where_memory_is_short_fewer_threads_give_the_same_result(oslom, graph, threads):
    path = graph("pp_0.5_1")
    flags = ["-f", path, "-uw", "-r", "100", "-hr", "2", "-t", "0.3"]
    succeed(oslom(*flags))
    expected = output(path)
    succeed(limited([BINARY, *flags, "-threads", str(threads)], resource.RLIMIT_AS, 200_000_000))
    assert output(path) == expected


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused_before_the_work(oslom, edges, tmp_path):
    path = edges(CLIQUES)
    tmp_path.chmod(0o555)
    try:
        refuse(oslom("-f", path, "-uw"), str(folder(path)), "Permission denied")
    finally:
        tmp_path.chmod(0o755)


def test_long_names_and_names_with_blanks(oslom, edges):
    path = edges(CLIQUES, "a name with blanks " + "x" * 180)
    succeed(oslom("-f", path, "-uw", "-r", 1))
    assert len(found(path)) == 8


def test_a_path_of_four_thousand_characters(oslom, tmp_path):
    deep = tmp_path
    while (missing := 3980 - len(str(deep))) > 0:
        deep /= "d" * min(200, missing - 1 or 1)
    deep.mkdir(parents=True)
    path = deep / ("g" * (3999 - len(str(deep))))
    assert len(str(path)) == 4000
    path.write_text(CLIQUES)
    succeed(oslom("-f", path, "-uw", "-r", 1))
    assert len(found(path)) == 8
    longer = path.with_name(path.name + "g" * 80)
    longer.write_text(CLIQUES)
    refuse(oslom("-f", longer, "-uw", "-r", 1), str(longer), "too long", "-out")
    succeed(oslom("-f", longer, "-uw", "-r", 1, "-out", tmp_path / "short"))


def test_a_reader_that_is_full_does_not_cost_the_result(graph):
    path = graph("ring")
    with open("/dev/full", "w") as full:
        process = subprocess.run([BINARY, "-f", path, "-uw", "-r", "1"], stdout=full, stderr=full, timeout=120)
    assert process.returncode == 0
    assert len(found(path)) == 20


def test_a_reader_that_has_gone_does_not_cost_the_result(graph):
    path = graph("ring")
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run([BINARY, "-f", path, "-uw", "-r", "1"], stdout=writing, stderr=writing, timeout=120)
    os.close(writing)
    assert process.returncode == 0
    assert len(found(path)) == 20


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
@pytest.mark.parametrize("piped", [True, False], ids=["pipe", "file"])
def test_standard_input_needs_a_named_output_folder(graph, tmp_path, name, piped):
    path = graph("ring")
    given = {"input": path.read_bytes()} if piped else {"stdin": path.open()}
    process = subprocess.run([BINARY, "-f", name, "-uw", "-r", "1"], capture_output=True, timeout=120, **given)
    assert process.returncode == 255
    assert b"-out DIR" in process.stderr
    given = {"input": path.read_bytes()} if piped else {"stdin": path.open()}
    out = tmp_path / "piped"
    subprocess.run([BINARY, "-f", name, "-uw", "-r", "1", "-out", out, "-quiet"], check=True, timeout=120, **given)
    assert len(communities(out / "tp")) == 20


def test_a_pipe_is_read_like_a_file(graph, tmp_path):
    path = graph("ring")
    process = subprocess.run(
        [BINARY, "-f", "/dev/stdin", "-uw", "-r", "1", "-out", tmp_path / "piped"],
        input=path.read_bytes(), capture_output=True, timeout=120,
    )  # fmt: skip
    assert b"120 vertices, 320 edges" in process.stdout


def test_an_interrupt_at_any_moment_leaves_the_old_or_the_new_result(graph):
    path = graph("ring")
    commands = {seed: [BINARY, "-f", path, "-uw", "-r", "1", "-hr", "1", "-seed", seed] for seed in ("1", "2")}
    complete = []
    for command in commands.values():
        started = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
        complete.append(output(path))
    duration = time.monotonic() - started
    assert complete[0] != complete[1]
    for moment in range(20):
        process = subprocess.Popen(commands["12"[moment % 2]], stdout=subprocess.DEVNULL)
        time.sleep(duration * 1.2 * moment / 20)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) in (0, -signal.SIGINT)
        left = {name: text for name, text in output(path).items() if not name.endswith(".tmp")}
        assert left in complete


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_half_written(oslom, graph, number):
    path = graph("er_2")
    # tests that run in the background of a shell inherit that SIGINT is ignored
    heeding = lambda: signal.signal(number, signal.SIG_DFL)  # noqa: E731
    process = subprocess.Popen([BINARY, "-f", path, "-uw", "-r", "1000"], stdout=subprocess.DEVNULL, preexec_fn=heeding)
    time.sleep(0.3)
    process.send_signal(number)
    assert process.wait(timeout=10) == -number
    assert not folder(path).exists()


# The directed program


@pytest.fixture(scope="session")
def oslom_dir():
    binary = BINARY.with_name("oslom_dir")
    if not binary.exists():
        pytest.fail(f"{binary} is not built; run: make -C oslom")

    def run(*arguments):
        return subprocess.run([str(binary), *map(str, arguments)], capture_output=True, text=True, timeout=120)

    return run


def turned(name, seed=1):
    """The edges of a reference graph as arcs in random directions."""
    rng = random.Random(seed)
    lines = (GRAPHS / f"{name}.edges").read_text().splitlines()
    pairs = [line.split()[:2] for line in lines if line and not line.startswith("#")]
    return [pair if rng.random() < 0.5 else pair[::-1] for pair in pairs]


@pytest.mark.parametrize("kind", ["-uw", "-w"])
def test_arcs_in_random_directions_show_the_planted_communities(oslom_dir, edges, kind):
    rng = random.Random(2)
    truth = planted("pp_0.5_1")
    together = {(a, b) for group in truth for a in group for b in group}
    lines = []
    for a, b in turned("pp_0.5_1"):
        factor = 1.5 if (int(a), int(b)) in together else 1
        lines.append(f"{a} {b}" + (f" {factor * rng.expovariate(1) + 1e-9}" if kind == "-w" else ""))
    path = edges("\n".join(lines))
    process = succeed(oslom_dir("-f", path, kind, "-r", 3, "-hr", 3, "-singlet"))
    assert process.stderr == ""
    assert overlapping_nmi(found(path), truth, 1000) >= 0.9
    net = [line.split("\t") for line in (folder(path) / "net1").read_text().splitlines()]
    assert all(len(line) == (4 if kind == "-w" else 3) for line in net)
    assert any(int(line[0]) > int(line[1]) for line in net)


def test_directed_output_does_not_depend_on_threads_or_the_order_of_lines(oslom_dir, edges):
    lines = [" ".join(pair) for pair in turned("cave")]
    path = edges("\n".join(lines))
    common = ("-f", path, "-uw", "-r", 3, "-hr", 3, "-louvain", 1)
    succeed(oslom_dir(*common, "-threads", 1))
    alone = output(path)
    path.write_text("\n".join(reversed(lines)))
    succeed(oslom_dir(*common, "-threads", 3))
    assert output(path) == alone


def test_the_directed_program_names_itself(oslom_dir, tmp_path):
    assert succeed(oslom_dir("--version")).stdout.startswith("oslom_dir ")
    assert "a directed graph" in succeed(oslom_dir("--help")).stdout
    refuse(oslom_dir("-f", tmp_path / "none", "-uw"), "oslom_dir: ", "No such file")


def test_arcs_that_are_answered_are_worth_a_warning(oslom_dir, edges):
    process = succeed(oslom_dir("-f", edges("1 2\n2 1\n2 3\n3 3\n"), "-uw"))
    assert "3 vertices, 3 arcs" in process.stdout
    assert "66 % of the arcs" in process.stderr


def test_vertices_without_an_arc_are_left_out_with_one_warning(oslom_dir, edges):
    process = succeed(oslom_dir("-f", edges("1 2\n2 3\n3 3\n7 7\n8 8\n"), "-uw"))
    assert "3 vertices, 2 arcs" in process.stdout
    assert process.stderr.count("\n") == 1
    assert "left out: 2, the first is 7" in process.stderr
