"""Who may import what, who may do what: the rooms of the design, read from the source text."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import specdnn

ROOM = Path(specdnn.__file__).parent


def dotted(path: Path) -> str:
    """`network/wiring.py` is `network.wiring`, and the `__init__.py` of a room the room's own name."""
    return ".".join(path.relative_to(ROOM).with_suffix("").parts).removesuffix(".__init__")


FILES = {dotted(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOM.rglob("*.py"))}
COMMUNITY = {name for name in FILES if name.split(".")[0] == "community"}
PROGRAM = {f"community.{name}" for name in ("processes", "binaries", "runner")}  # the modules that run programs
TORCH_FREE = ("structures", "selection", "scorecard", "report", "pictures", *sorted(COMMUNITY))
DISK = {"os", "pathlib", "shutil", "subprocess", "tempfile", "io", "glob", "socket"}


def imports(name: str) -> set[str]:
    """Top-level names of the foreign modules, and `specdnn.x` for our own."""
    found = set()
    for node in ast.walk(FILES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            within = f"{node.module}.".removeprefix("specdnn.")  # empty for `from specdnn import`
            inside = [f"specdnn.{within}{alias.name}" for alias in node.names if f"{within}{alias.name}" in FILES]
            found |= set(inside) if inside else {node.module}
    return {word if word.startswith("specdnn") else word.split(".")[0] for word in found}


def own_imports(name: str) -> set[str]:
    return {word.removeprefix("specdnn.") for word in imports(name) if word.startswith("specdnn.")}


def reached(name: str) -> set[str]:
    """The module and every specdnn module it imports, however indirectly."""
    seen, waiting = set(), {name}
    while waiting:
        seen |= waiting
        waiting = set().union(*(own_imports(m) for m in waiting)) - seen
    return seen


def calls(name: str) -> set[str]:
    """What a module calls: `print`, `sys.exit`, `copy_` (the last word of a method), ..."""
    found = set()
    for node in ast.walk(FILES[name]):
        if isinstance(node, ast.Call):
            found |= {ast.unparse(node.func), ast.unparse(node.func).rpartition(".")[2]}
    return found


@pytest.mark.parametrize("name", TORCH_FREE)
def test_the_value_and_community_rooms_never_load_torch(name):
    for module in reached(name):
        assert not {"torch", "torchvision"} & imports(module), module


@pytest.mark.parametrize(
    "name", ["selection", "scorecard", "report", "pictures", "exhibits", "foreign", *sorted(COMMUNITY - PROGRAM)]
)
def test_rooms_of_numbers_and_texts_touch_no_disk(name):
    """`io` makes texts and pictures in memory."""
    assert not (DISK - {"io"}) & imports(name)
    assert not {"open", "Path", "write_text", "write_bytes", "unlink"} & calls(name)


def test_pictures_are_drawn_in_one_room_and_metrics_measured_in_another():
    assert {name for name in FILES if "matplotlib" in imports(name)} == {"pictures"}
    measuring = {name for name in FILES if "from sklearn import metrics" in ast.unparse(FILES[name])}
    assert measuring == {"evaluation"}


def test_structures_touches_no_disk():
    assert not imports("structures") & DISK
    assert "Path" not in calls("structures") and "open" not in calls("structures")


def test_processes_are_started_by_the_community_room_and_for_the_git_commit():
    assert {name for name in FILES if "subprocess" in imports(name)} <= {"community.processes", "job"}


def test_nobody_but_the_command_line_prints_or_exits():
    for name in set(FILES) - {"cli"}:
        assert not {"print", "exit", "quit", "_exit", "SystemExit", "sys.stdout.write"} & calls(name), name
        raised = [ast.unparse(node) for node in ast.walk(FILES[name]) if isinstance(node, ast.Raise)]
        assert not [line for line in raised if "SystemExit" in line], name
        assert "argparse" not in imports(name) or name in ("options", "verbs"), name


def test_data_flows_one_way():
    assert [name for name in FILES if "cli" in own_imports(name)] == []
    assert {name for name in FILES if "pipeline" in own_imports(name)} == {"verbs"}
    assert {name for name in FILES if "verbs" in own_imports(name)} == {"cli"}
    assert own_imports("structures") == set()
    for name in FILES:
        assert not any(name in reached(other) for other in own_imports(name)), f"{name} imports itself in a circle"


@pytest.mark.parametrize("names", [{"selection"}, {"activations"}, COMMUNITY])
def test_the_rooms_of_the_method_meet_in_value_types_only(names):
    assert set().union(*map(own_imports, names)) - names == {"structures"}


def test_the_community_room_is_one_way_from_formats_to_program_to_call():
    below = {"structures", "community.errors"}
    assert reached("community.formats") == below | {"community.formats"}
    assert reached("community.processes") == below | {"community.processes"}
    assert reached("community.any_graph") == below | {"community.formats", "community.any_graph"}
    assert reached("community.class_graph") == below | {"community.formats", "community.class_graph"}
    assert reached("community.runner") == below | {"community.formats"} | PROGRAM
    assert {name for name in FILES if "community.call" in own_imports(name)} == {"community"}


def test_the_community_room_is_entered_by_its_face_or_for_the_class_graph():
    assert [name for name in COMMUNITY if "community" in own_imports(name)] == []
    entered = set().union(*(own_imports(name) for name in set(FILES) - COMMUNITY)) & COMMUNITY
    assert entered == {"community", "community.class_graph"}


@pytest.mark.parametrize(
    "owner, words",
    [
        ("community.formats", ("#module", "#group", " bs: ", "tp_scores")),
        ("community.runner", ("_oslo_files", "-singlet")),
    ],
)
def test_one_module_knows_edge_and_tp_files_and_one_the_programs_words(owner, words):
    def known(name):
        texts = [n.value for n in ast.walk(FILES[name]) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        return {word for text in texts for word in words if word in text}

    assert known(owner) >= set(words) - {"#group"}
    assert [name for name in set(FILES) - {owner} if known(name)] == []


def test_only_the_runner_of_the_program_writes_and_reads_edge_and_tp_files():
    readers = {"edge_text", "read_edges", "tp_text", "read_tp", "with_scores", "answer_names", "read_answers"}
    assert {name for name in FILES if readers & calls(name)} == {"community.formats", "community.runner"}


def test_only_surgery_writes_or_slices_parameters():
    for name in set(FILES) - {"surgery"}:
        assert not {"copy_", "index_select", "Parameter"} & calls(name), name
        for node in ast.walk(FILES[name]):
            if isinstance(node, ast.Subscript):
                last = ast.unparse(node.value).rpartition(".")[2]
                assert last not in ("weight", "bias", "data"), f"{name}: {ast.unparse(node)}"
            if isinstance(node, ast.Assign):
                ends = {
                    ast.unparse(target).rpartition(".")[2]
                    for target in node.targets
                    if isinstance(target, ast.Attribute)
                }
                ours = {"grad"} if name == "training" else set()  # gradients are the business of training
                assert not ({"weight", "bias", "data", "grad"} - ours) & ends, f"{name}: {ast.unparse(node)}"


def test_only_the_core_of_the_room_of_networks_knows_torch_fx():
    """Wiring and surgery make and read graphs; files of networks write them down."""
    core = {"tracing", "labelling", "wiring", "compaction", "surgery", "modules", "netfile", "graphtext", "dryrun"}
    for name, tree in FILES.items():
        froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        words = {f"{node.module}.{alias.name}" for node in froms for alias in node.names} | imports(name)
        if any(f"{word}.".startswith("torch.fx.") for word in words):
            assert name.removeprefix("network.") in core and name.startswith("network."), name


def test_specdnn_names_no_data_set_and_no_layer():
    names = ("MNIST", "digits", "LeNet", "conv1", "conv2", "ip1", "ip2", "ip3")
    for path in sorted(ROOM.rglob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            assert not [word for word in names if word in line], f"{dotted(path)}, line {number}: {line.strip()}"


def test_main_py_only_hands_over(folder):
    tree = ast.parse((folder.path / "main.py").read_text())
    assert not [
        node for node in ast.walk(tree) if isinstance(node, (ast.For, ast.While, ast.FunctionDef, ast.ClassDef))
    ]
    assert len((folder.path / "main.py").read_text().splitlines()) <= 25


def test_importing_specdnn_loads_neither_torch_nor_numpy():
    asked = "import sys, specdnn; print({'torch', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "set()\n"
