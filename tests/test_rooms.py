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
RESULTS = {name for name in FILES if name.partition(".")[0] == "results"}
TORCH_FREE = ("structures", "files", "graph", "community", "selection", *sorted(RESULTS))
NUMBERS_AND_TEXTS = ("graph", "selection", "exhibits", "foreign")
NUMBERS_AND_TEXTS += tuple(f"results.{name}" for name in ("recipes", "scorecard", "report", "pictures", "shown"))
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
def test_the_value_community_and_results_rooms_never_load_torch(name):
    for module in reached(name):
        assert not {"torch", "torchvision"} & imports(module), module


@pytest.mark.parametrize("name", NUMBERS_AND_TEXTS)
def test_rooms_of_numbers_and_texts_touch_no_disk(name):
    """`io` makes texts and pictures in memory."""
    assert not (DISK - {"io"}) & imports(name)
    assert not {"open", "Path", "write_text", "write_bytes", "unlink"} & calls(name)


def test_pictures_are_drawn_in_one_room_and_metrics_measured_in_another():
    assert {name for name in FILES if "matplotlib" in imports(name)} == {"results.pictures"}
    measuring = {name for name in FILES if "from sklearn import metrics" in ast.unparse(FILES[name])}
    assert measuring == {"evaluation"}


def test_the_room_of_results_knows_files_and_options_and_only_the_verbs_know_it():
    for name in RESULTS:
        assert own_imports(name) - RESULTS <= {"files", "options", "structures"}, name
    assert {name for name in FILES if own_imports(name) & RESULTS} - RESULTS == {"verbs"}
    assert {name for name in RESULTS if "results.pictures" in own_imports(name)} == {"results.overview"}


def test_structures_touches_no_disk():
    assert not imports("structures") & DISK
    assert "Path" not in calls("structures") and "open" not in calls("structures")


def test_processes_are_started_by_the_community_room_and_for_the_git_commit():
    assert {name for name in FILES if "subprocess" in imports(name)} <= {"community", "job"}


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


@pytest.mark.parametrize("name", ["graph", "community", "selection", "activations"])
def test_the_rooms_of_the_method_meet_in_value_types_only(name):
    assert own_imports(name) == {"structures"}


def test_only_the_community_room_knows_edge_and_tp_files():
    formats = ("#module", "#group", "_oslo_files", " bs: ", "-singlet")
    for name in set(FILES) - {"community"}:
        texts = [n.value for n in ast.walk(FILES[name]) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        assert not [text for text in texts for word in formats if word in text], name
        assert not {"edge_text", "read_edges", "tp_text", "read_tp"} & calls(name), name


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


@pytest.mark.parametrize(
    ("module", "unloaded"),
    [
        ("specdnn", {"torch", "numpy"}),
        ("specdnn.results", {"torch", "numpy", "matplotlib"}),
        ("specdnn.results.runs", {"torch", "matplotlib"}),
        ("specdnn.results.publishing", {"torch", "torchvision", "sklearn"}),
    ],
)
def test_what_importing_does_not_load(module, unloaded):
    asked = f"import sys, {module}; print({unloaded} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "set()\n"
