"""Who may import what, who may do what: the rooms of the design, read from the source text."""

import ast
import functools
import re
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
COMMUNITY = {name for name in FILES if name.partition(".")[0] == "community"}
PROGRAM = {f"community.{name}" for name in ("processes", "binaries", "runner")}  # the modules that run programs
RESULTS = {name for name in FILES if name.partition(".")[0] == "results"}
# the room of networks, from the bottom up; first the networks themselves, then their files
NETWORK = tuple(
    f"network.{name}"
    for name in (
        *("labels", "operations", "modules", "standins", "tracing", "labelling", "wiring", "compaction", "surgery"),
        *("sharing", "composition", "watching", "compensation", "scores", "evaluation", "sampling", "training"),
        *("deployed", "onnxfile", "running"),
    )
)
NETWORK_FILES = tuple(
    f"network.{name}"
    for name in ("whitelist", "dryrun", "graphtext", "beside", "portable", "reading", "oldfiles", "netfile")
)
C99 = tuple(f"network.c99{part}" for part in ("_memory", "_moves", "_helpers", "_program", "_operations", ""))
METHOD = ("work", "trimming", "method", "rivals")  # from the bottom up
WITH_TORCH = {*NETWORK, *NETWORK_FILES, *C99, "foreign", "rivals", "measures", "stages", "verbs"}
WITH_TORCH |= {"extraction", "exporting", "comparing", "images", "board", "memory"}
# numbers and texts only
WITH_TORCH -= {f"network.{name}" for name in ("beside", "portable", "c99_memory", "c99_helpers")}
TORCH_FREE = ("structures", "files", "options", "jobs", "cluster", "selection", *sorted(COMMUNITY | RESULTS))
COMPILED = "network.running"  # which has a compiler try what was written
NUMBERS_AND_TEXTS = ("selection", "exhibits", "foreign", "images", *METHOD, *NETWORK, *C99)
NUMBERS_AND_TEXTS += tuple(sorted(COMMUNITY - PROGRAM))
NUMBERS_AND_TEXTS = tuple(name for name in NUMBERS_AND_TEXTS if name != COMPILED)
NUMBERS_AND_TEXTS += tuple(f"network.{name}" for name in ("whitelist", "dryrun", "graphtext", "beside", "oldfiles"))
NUMBERS_AND_TEXTS += tuple(
    f"results.{name}"
    for name in (
        *("recipes", "scorecard", "report", "pictures", "shown", "charts", "markup"),
        *("card", "drift", "comparison"),
    )
)
DISK = {"os", "pathlib", "shutil", "subprocess", "tempfile", "io", "glob", "socket"}


@functools.cache
def imports(name: str) -> frozenset[str]:
    """Top-level names of the foreign modules, and `specdnn.x` for our own."""
    found = set()
    for node in ast.walk(FILES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            within = f"{node.module}.".removeprefix("specdnn.")  # empty for `from specdnn import`
            inside = [f"specdnn.{within}{alias.name}" for alias in node.names if f"{within}{alias.name}" in FILES]
            found |= set(inside) if inside else {node.module}
    return frozenset(word if word.startswith("specdnn") else word.split(".")[0] for word in found)


def own_imports(name: str) -> set[str]:
    return {word.removeprefix("specdnn.") for word in imports(name) if word.startswith("specdnn.")}


def reached(name: str) -> set[str]:
    """The module and every specdnn module it imports, however indirectly."""
    seen, waiting = set(), {name}
    while waiting:
        seen |= waiting
        waiting = set().union(*(own_imports(m) for m in waiting)) - seen
    return seen


@functools.cache
def calls(name: str) -> frozenset[str]:
    """What a module calls: `print`, `sys.exit`, `copy_` (the last word of a method), ..."""
    found = set()
    for node in ast.walk(FILES[name]):
        if isinstance(node, ast.Call):
            found |= {ast.unparse(node.func), ast.unparse(node.func).rpartition(".")[2]}
    return frozenset(found)


@pytest.mark.parametrize("name", TORCH_FREE)
def test_the_value_community_and_results_rooms_never_load_torch(name):
    for module in reached(name):
        assert not {"torch", "torchvision"} & imports(module), module


def test_who_knows_torch():
    assert {name for name in FILES if {"torch", "torchvision"} & imports(name)} == WITH_TORCH


@pytest.mark.parametrize("name", NUMBERS_AND_TEXTS)
def test_rooms_of_numbers_and_texts_touch_no_disk(name):
    """`io` makes texts and pictures in memory."""
    assert not (DISK - {"io"}) & imports(name)
    assert not {"open", "Path", "write_text", "write_bytes", "unlink"} & calls(name)


def test_pictures_are_drawn_in_one_room_and_metrics_measured_in_another():
    assert {name for name in FILES if "matplotlib" in imports(name)} == {"results.pictures"}
    measuring = {name for name in FILES if "from sklearn import metrics" in ast.unparse(FILES[name])}
    assert measuring == {"network.evaluation"}


def test_the_room_of_results_knows_files_and_options_and_only_the_verbs_know_it():
    for name in RESULTS:
        assert own_imports(name) - RESULTS <= {"files", "options", "structures"}, name
    assert {name for name in FILES if own_imports(name) & RESULTS} - RESULTS == {"verbs", "exporting"}
    drawing = {name for name in RESULTS if "results.pictures" in own_imports(name)}
    assert drawing == {"results.overview", "results.comparison", "results.drift"}


def test_structures_touches_no_disk():
    assert not imports("structures") & DISK
    assert "Path" not in calls("structures") and "open" not in calls("structures")


def test_processes_are_started_by_the_community_room_for_the_git_commit_and_to_compile():
    assert {name for name in FILES if "subprocess" in imports(name)} == {"community.processes", "measures", COMPILED}
    assert {name for name in FILES if {"joblib", "multiprocessing"} & imports(name)} == {"jobs"}
    assert {name for name in FILES if {"dask", "distributed"} & imports(name)} == {"cluster"}


def test_nobody_but_the_command_line_prints_or_exits():
    for name in set(FILES) - {"cli"}:
        assert not {"print", "exit", "quit", "_exit", "SystemExit", "sys.stdout.write"} & calls(name), name
        raised = [ast.unparse(node) for node in ast.walk(FILES[name]) if isinstance(node, ast.Raise)]
        assert not [line for line in raised if "SystemExit" in line], name
        assert "argparse" not in imports(name) or name in ("options", "verbs"), name


def test_data_flows_one_way():
    assert [name for name in FILES if "cli" in own_imports(name)] == []
    assert {name for name in FILES if "stages" in own_imports(name)} == {"verbs", "extraction", "composing", "remote"}
    assert {name for name in FILES if "finished" in own_imports(name)} == {"stages", "verbs", "composing", "remote"}
    assert {name for name in FILES if "rivals" in own_imports(name)} == {"stages", "extraction", "composing"}
    assert {name for name in FILES if "composing" in own_imports(name)} == {"verbs", "extraction"}
    assert {name for name in FILES if "extraction" in own_imports(name)} == {"__init__"}
    assert {name for name in FILES if "images" in own_imports(name)} == {"extraction"}
    assert {name for name in FILES if "verbs" in own_imports(name)} == {"cli"}
    assert {name for name in FILES if "jobs" in own_imports(name)} == {"stages", "verbs", "cluster", "remote"}
    assert {name for name in FILES if {"cluster", "remote"} & own_imports(name)} == {"verbs"}
    assert own_imports("jobs") == set() and own_imports("cluster") == {"jobs", "files", "structures"}
    assert own_imports("structures") == set()
    for name in FILES:
        assert not any(name in reached(other) for other in own_imports(name)), f"{name} imports itself in a circle"


@pytest.mark.parametrize("names", [{"selection"}, set(NETWORK), COMMUNITY])
def test_the_rooms_of_the_method_meet_in_value_types_only(names):
    assert set().union(*map(own_imports, names)) - names == {"structures"}


@pytest.mark.parametrize("room", [(*NETWORK, *NETWORK_FILES), C99, METHOD])
def test_a_room_is_built_from_the_bottom_up(room):
    for place, name in enumerate(room):
        assert own_imports(name) & set(room) <= set(room[:place]), name


def test_the_room_of_networks_has_no_other_module():
    assert {n for n in FILES if n.partition(".")[0] == "network"} == {"network", *NETWORK, *NETWORK_FILES, *C99}
    assert own_imports("network") == set()


def test_files_of_networks_lie_apart_from_networks():
    """What is read and written of networks knows how they are cut, not what they are trained and scored by."""
    assert not set(NETWORK_FILES) & set().union(*map(own_imports, NETWORK))
    below = {f"network.{name}" for name in ("modules", "operations", "surgery")}
    for name in NETWORK_FILES:
        assert own_imports(name) <= {*NETWORK_FILES, *below, "files", "foreign", "structures"}, name


def test_what_writes_a_network_in_c_knows_torch_alone():
    assert set().union(*map(own_imports, C99)) - set(C99) == {"structures"}
    assert not set(C99) & set().union(*map(own_imports, (*NETWORK, *NETWORK_FILES)))


def test_the_method_knows_nothing_of_checkpoints_stages_and_folders():
    for name in METHOD:
        assert not {"network.netfile", "measures", "finished", "stages", "verbs", "foreign", "exhibits"} & reached(
            name
        ), name


def test_what_is_asked_of_the_room_of_networks():
    """How a network is traced, labelled and taken apart stays inside."""
    room = {*NETWORK, *NETWORK_FILES, *C99}
    entered = set().union(*(own_imports(name) for name in set(FILES) - room)) & room
    doors = ("wiring", "surgery", "composition", "watching", "scores", "evaluation", "training", "netfile")
    doors += ("c99", "compensation", "deployed", "onnxfile", "running")
    assert entered == {f"network.{name}" for name in doors}


def test_the_community_room_is_one_way_from_formats_to_program_to_call():
    below = {"structures", "community.errors"}
    assert reached("community.formats") == below | {"community.formats"}
    assert reached("community.processes") == below | {"community.processes"}
    assert reached("community.any_graph") == below | {"community.formats", "community.any_graph"}
    assert reached("community.class_graph") == below | {"community.formats", "community.class_graph"}
    assert reached("community.runner") == below | {"community.formats"} | PROGRAM
    assert {name for name in FILES if "community.call" in own_imports(name)} == {"community"}


def test_the_other_search_is_one_way_from_null_to_search_to_call_and_runs_no_program():
    ccme = {"community.ccme_null", "community.ccme_search", "community.ccme"}
    assert reached("community.ccme_null") == {"community.ccme_null"}
    assert reached("community.ccme_search") == {"community.ccme_null", "community.ccme_search"}
    assert own_imports("community.ccme") - ccme == {"community.any_graph", "community.formats", "structures"}
    assert {name for name in FILES if ccme & own_imports(name)} - ccme == {"community"}
    assert not PROGRAM & reached("community.ccme")


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


def test_only_the_runner_of_the_program_and_the_other_search_write_and_read_edge_and_tp_files():
    readers = {"edge_text", "read_edges", "tp_text", "read_tp", "with_scores", "answer_names", "read_answers"}
    used = {name: readers & calls(name) for name in FILES if readers & calls(name)}
    assert set(used) == {"community.formats", "community.runner", "community.ccme"}
    assert used["community.ccme"] == {"edge_text", "tp_text"}


def attributes(name: str) -> set[str]:
    """The last words of all attributes that a module reads or sets."""
    return {node.attr for node in ast.walk(FILES[name]) if isinstance(node, ast.Attribute)}


def assigned(name: str) -> set[str]:
    """The last words of the attributes that a module sets."""
    nodes = [node for node in ast.walk(FILES[name]) if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign))]
    targets = [target for node in nodes for target in getattr(node, "targets", [getattr(node, "target", None)])]
    return {target.attr for target in targets if isinstance(target, ast.Attribute)}


def test_only_surgery_makes_or_slices_parameters():
    makes = {"copy_", "skip_init", "setattr", "__setattr__", "reset_parameters", "set_", "zero_", "fill_"}
    read = "network.netfile"  # which ties the parameters that a file says are one
    assert {name for name in FILES if makes & calls(name)} == {"network.surgery", read}
    assert makes & calls(read) == {"setattr"}
    makers = {"network.surgery", "network.graphtext", "network.sharing"}  # sharing puts slices together again
    makers |= {"network.tracing"}  # of what a table of vectors always gives
    assert {name for name in FILES if "Parameter" in calls(name)} == makers
    # the compaction selects addresses of elements, a Select what flows through a network, training a batch of images
    selects = {name for name in FILES if "index_select" in calls(name)}
    assert selects == {"network.surgery", "network.compaction", "network.modules", "network.training"}
    for name in FILES:
        for node in ast.walk(FILES[name]):
            if isinstance(node, ast.Subscript):
                last = ast.unparse(node.value).rpartition(".")[2]
                whole = ast.unparse(node.value)  # `data` alone is a variable
                assert last not in ("weight", "bias", "data") or whole == "data", f"{name}: {ast.unparse(node)}"
        ours = {"grad"} if name == "network.training" else set()  # gradients are the business of training
        assert not ({"weight", "bias", "data", "grad"} - ours) & assigned(name), name


def test_nobody_outside_the_room_of_networks_looks_at_weights():
    looking = {name for name in FILES if {"weight", "bias", "running_var", "running_mean"} & attributes(name)}
    assert looking == {f"network.{name}" for name in ("labelling", "wiring", "scores", "surgery", "compensation")}


def test_files_of_networks_are_read_and_written_in_one_place_each_and_nothing_in_them_is_run():
    assert {name for name in FILES if "torch.load" in calls(name)} == {"network.reading", "memory"}
    assert {name for name in FILES if "torch.save" in calls(name)} == {"network.netfile", "memory"}
    loads = [node for name in FILES for node in ast.walk(FILES[name]) if isinstance(node, ast.Call)]
    loads = [node for node in loads if ast.unparse(node.func) == "torch.load"]
    assert len(loads) == 2 and all("weights_only=True" in ast.unparse(node) for node in loads)
    pickles = {name for name in FILES if {"pickle", "cloudpickle", "joblib"} & imports(name)}
    assert pickles == {"cluster", "jobs"}  # what passes between processes, never a file
    for name in set(FILES) - {"structures"}:  # which imports the networks of a folder, by the names of its files
        functions = {ast.unparse(node.func) for node in ast.walk(FILES[name]) if isinstance(node, ast.Call)}
        assert not {"eval", "exec", "compile", "__import__"} & functions and "import_module" not in calls(name), name
    for name in ("whitelist", "graphtext", "dryrun", "beside"):
        assert not DISK & imports(f"network.{name}") and not {"open", "Path"} & calls(f"network.{name}"), name


def test_only_the_core_of_the_room_of_networks_knows_torch_fx():
    """Wiring and surgery make and read graphs; files of networks write them down, and so does C."""
    core = {"standins", "tracing", "labelling", "wiring", "compaction", "surgery", "composition", "modules", "deployed"}
    core |= {"sharing", "compensation"}
    core |= {"netfile", "graphtext", "dryrun", "c99"}
    for name, tree in FILES.items():
        froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        words = {f"{node.module}.{alias.name}" for node in froms for alias in node.names} | imports(name)
        if any(f"{word}.".startswith("torch.fx.") for word in words):
            assert name.removeprefix("network.") in core and name.startswith("network."), name


def test_specdnn_names_no_data_set_and_no_layer():
    """torch's own functions may be called what they are called."""
    names = re.compile(r"MNIST|digits|CIFAR|LeNet|ResNet_|VGG_|(?<!functional\.)conv[12]|ip[123]")
    for path in sorted(ROOM.rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            assert not names.search(line), f"{dotted(path)}, line {number}: {line.strip()}"


def test_main_py_only_hands_over(folder, cifar_folder):
    for path in (folder.path, cifar_folder.path):
        tree = ast.parse((path / "main.py").read_text())
        assert not [
            node for node in ast.walk(tree) if isinstance(node, (ast.For, ast.While, ast.FunctionDef, ast.ClassDef))
        ]
        assert len((path / "main.py").read_text().splitlines()) <= 25


@pytest.mark.parametrize(
    ("module", "unloaded"),
    [
        ("specdnn", {"torch", "numpy"}),
        ("specdnn.selection", {"torch", "matplotlib"}),
        ("specdnn.community.class_graph", {"torch", "matplotlib"}),
        ("specdnn.results", {"torch", "numpy", "matplotlib"}),
        ("specdnn.results.runs", {"torch", "matplotlib"}),
        ("specdnn.results.publishing", {"torch", "torchvision", "sklearn"}),
    ],
)
def test_what_importing_does_not_load(module, unloaded):
    asked = f"import sys, {module}; print({unloaded} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_importing_specdnn_leaves_the_process_as_it_was():
    asked = (
        "import os, signal, sys, threading, warnings; "
        "state = lambda: (dict(os.environ), os.getcwd(), list(sys.path), list(warnings.filters), sys.excepthook, "
        "threading.active_count(), [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]); "
        "before = state(); import specdnn; print(state() == before)"
    )
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout == "True\n"
