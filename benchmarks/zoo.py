"""The zoo: 23 networks, half of the units of every layer cut at random. Is what is left exactly the masked parent?

Each compact network is compared in double precision with the parent whose links read zeros where a unit is gone: as it
is, cut a second time, in training mode, after a step of training by the loss, by its sizes, from a file, and by ONNX.
Beside it the same cut by torch-pruning. Rows go to benchmarks/zoo.tsv, the page made of them is benchmarks/zoo.md.
A run broken off goes on where it stopped, unless a version changed.

    python benchmarks/zoo.py                      # `make zoo`
    python benchmarks/zoo.py --only resnet18      # prints a row and writes nothing
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from oslom_tables import header, read_results, table, write_results
from torch import nn
from torch.nn import functional
from tqdm import tqdm
from zoo_networks import ZOO, Entry, counted, difference, free_units, half, without_dropout
from zoo_rival import rivals_cut

from specdnn.network import onnxfile, running
from specdnn.network.deployed import deployed
from specdnn.network.surgery import CompactNetwork, cut, masked
from specdnn.structures import KeptUnits

HERE = Path(__file__).resolve().parent
ROWS, PAGE = HERE / "zoo.tsv", HERE / "zoo.md"
SEED, THREADS = 0, 1
EXACT, ONNX = 1e-10, 1e-5  # relative differences that count as none
PACKAGES = ("torch", "torchvision", "onnx", "onnxruntime", "torch-pruning")


class Case:
    """One network of the zoo, its cuts and images."""

    def __init__(self, entry: Entry) -> None:
        self.entry, self.network = entry, entry.network(SEED)
        start = time.perf_counter()
        self.parent = CompactNetwork.parent(self.network, torch.randn(*entry.image_shape))
        self.wiring_seconds, rng = time.perf_counter() - start, np.random.default_rng(SEED)
        self.layers = self.parent.wiring.layers
        self.kept = half(self.parent.kept, self.layers, rng)
        self.less = half(self.kept, self.layers, rng)
        start = time.perf_counter()
        self.compact = cut(self.parent, self.kept)
        self.cutting_seconds = time.perf_counter() - start
        self.again = cut(self.compact, self.less)
        self.images = torch.randn(4, *entry.image_shape, dtype=torch.float64)

    @torch.no_grad()
    def gap(self, compact: CompactNetwork, kept: KeptUnits) -> float:
        return difference(compact.network(self.images), masked(self.parent, kept, self.network)(self.images))

    @torch.no_grad()
    def gap_in_training(self) -> float:
        """With batch statistics and the same stochastic depth; dropout, whose masks differ in shape, drops nothing."""
        ours = without_dropout(self.compact.network)
        theirs = masked(self.parent, self.kept, without_dropout(self.network)).train()
        return difference(*(seeded(network, self.images) for network in (ours, theirs)))

    def sizes_hold(self) -> bool:
        """Whether sizes by arithmetic, on either wiring, are those counted."""
        once, twice = (counted(c.network, self.entry.image_shape) for c in (self.compact, self.again))
        first, second = self.parent.wiring, self.compact.wiring
        return once == first.sizes(self.kept) and twice == first.sizes(self.less) == second.sizes(self.less)

    def step_changes_the_loss(self) -> bool:
        network = without_dropout(self.compact.network)
        targets = torch.arange(len(self.images)) % len(self.kept.classes)
        optimizer, losses = torch.optim.SGD(network.parameters(), lr=1e-3), []
        for _ in range(2):
            loss = functional.cross_entropy(network(self.images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return bool(np.isfinite(losses).all()) and losses[0] != losses[1]

    def hidden_are_free(self) -> bool:
        """Whether all units that the Linears with these names make may be cut."""
        wiring, prunable = self.parent.wiring, np.zeros(int(self.layers.offsets[-1]), dtype=bool)
        for depth in self.layers.prunable:
            prunable[self.layers.offsets[depth] : self.layers.offsets[depth + 1]] = True
        ends = [name for name, _ in self.network.named_modules() if name.endswith(self.entry.hidden or "no module")]
        links = {link.name: link for link in wiring.links}
        return all(name in links and prunable[wiring.nodes.of(links[name].targets)].all() for name in ends)


def seeded(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(SEED)
    return network(images)


def by_onnx(case: Case) -> float:
    """The difference that an export makes, in probabilities and in single precision."""
    network, images = deployed(case.compact.network, ()), case.images.float().numpy()
    session = running.in_onnxruntime(onnxfile.to_bytes(network, case.entry.image_shape))
    return difference(torch.from_numpy(session(images)), torch.from_numpy(running.in_torch(network)(images)))


def reloaded(compact: CompactNetwork) -> nn.Module:
    """The compact network as it comes back from a file, without its class."""
    from specdnn.network import netfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.pth.tar"
        netfile.save(path, netfile.Checkpoint("zoo", "none", compact, (), None))
        return netfile.load_network(path)


def by_file(case: Case) -> float:
    """The difference that a file makes."""
    network = reloaded(case.compact)
    with torch.no_grad():
        return difference(network(case.images), case.compact.network(case.images))


def row_of(name: str) -> dict:
    case = Case(ZOO[name])
    free, units = free_units(case.parent)
    row = {"network": name, "image": "x".join(map(str, case.entry.image_shape)), "units": units, "free": free}
    row |= {"pins": len(case.parent.wiring.pins), "hidden": case.hidden_are_free(), "least": case.entry.free}
    row |= {"parameters": case.parent.wiring.parameters(case.parent.kept)}
    row |= {"compact": case.compact.wiring.parameters(case.kept)}
    row |= {"gap": case.gap(case.compact, case.kept), "gap_again": case.gap(case.again, case.less)}
    row |= {"gap_training": case.gap_in_training(), "step": case.step_changes_the_loss(), "sizes": case.sizes_hold()}
    row |= {"onnx": tried(by_onnx, case), "file": tried(by_file, case)}
    row |= {"wiring_seconds": case.wiring_seconds, "cutting_seconds": case.cutting_seconds}
    return row | {"rival": rivals_cut(case.network, case.parent, case.kept, case.images)}


def tried(measure, case: Case):
    """What a measure gives, or the first words of its error."""
    try:
        return measure(case)
    except Exception as error:  # whatever an exporter raises on what it does not know
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:80]


# ---------------------------------------------------------------------------------------- the gate on speed


def gate() -> tuple[float, float]:
    """(seconds of tracing and cutting ResNet-50, seconds of one forward pass of 32 images), at 224x224."""
    network, image = ZOO["resnet50"].network(SEED).float(), torch.randn(3, 224, 224)
    images, cuts, passes = torch.randn(32, 3, 224, 224), [], []
    for _ in range(3):  # side by side, so that what else runs on the machine slows both
        start = time.perf_counter()
        parent = CompactNetwork.parent(network, image)
        cut(parent, half(parent.kept, parent.wiring.layers, np.random.default_rng(SEED)))
        middle = time.perf_counter()
        with torch.no_grad():
            network(images)
        cuts.append(middle - start)
        passes.append(time.perf_counter() - middle)
    return statistics.median(cuts), statistics.median(passes)


# ---------------------------------------------------------------------------------------- the page


def holds(row: dict) -> bool:
    """Whether all that is asked of every network is so."""
    gaps = (row["gap"], row["gap_again"], row["gap_training"])
    exact = all(float(gap) < EXACT for gap in gaps) and all(row[name] == "True" for name in ("step", "sizes", "hidden"))
    return exact and int(row["free"]) >= float(row["least"]) * int(row["units"])


def agrees(figure: str, limit: float) -> bool:
    try:
        return float(figure) <= limit
    except ValueError:  # nothing, or the words of an error
        return False


def shown(figure: str, limit: float) -> str:
    """A difference if it is one, else yes."""
    return "yes" if agrees(figure, limit) else figure or "–"


def line_of(row: dict) -> list[str]:
    share, left = int(row["free"]) / int(row["units"]), int(row["compact"]) / int(row["parameters"])
    gaps = [shown(row[name], EXACT) for name in ("gap", "gap_again", "gap_training")]
    told = ["yes" if row[name] == "True" else "no" for name in ("sizes", "step")]
    outside = [shown(row["file"], EXACT), shown(row["onnx"], ONNX), row["rival"]]
    sizes = [row["units"], f"{share:.1%}", row["pins"], f"{int(row['parameters']):,}", f"{left:.1%}"]
    seconds = [f"{float(row[name]):.2f}" for name in ("wiring_seconds", "cutting_seconds")]
    return [row["network"], row["image"], *sizes, *gaps, *told, *outside, *seconds]


COLUMNS = ["network", "image", "units", "free", "pins", "parameters", "left", "equal", "cut again", "in training"]
COLUMNS += ["sizes", "step", "file", "ONNX", "torch-pruning", "trace (s)", "cut (s)"]
TEXT = """# The zoo

Generated by `make zoo` ({head}). Random weights, half of the units of every layer cut at random, everything in double precision.

{holding} of {all} networks hold all that is asked of them; the ONNX file agrees for {onnx}, the file for {file}, torch-pruning's network is the masked parent for {rival}.
Tracing and one cut of ResNet-50 take {gate:.2f} times as long as a forward pass of 32 images of 224x224 on the same {threads} thread (asked for: below 3).

{table}

* *units*: all but inputs and outputs; *free*: the share that may be cut (asked for: 95 %, ResNeXt and RegNet 60 %, ConvNeXt 90 %, and all hidden units of the MLPs of ViT, Swin and MaxViT); *pins*: reasons why others must stay; *left*: parameters of the compact network.
* *equal*: the compact network gives what the masked parent gives (the user's own network, with hooks that silence the inputs of its links), to a relative {exact:.0e}; *cut again*: also after a second cut of the cut network; *in training*: also with batch statistics. Stochastic depth draws the same in both, dropout is off, since its masks have other shapes; no network is left out.
* *sizes*: weights, parameters and multiply-accumulates by arithmetic on the wiring are those counted on the network; *step*: a step of SGD changes the loss.
* *file*: what comes back from a file, without the network's class; *ONNX*: the exported file run by onnxruntime in single precision, to {onnx_limit:.0e}.
* *torch-pruning*: the same units (whole channels where a map is flattened) cut by its dependency graph; "equal" to the masked parent or what happened. Of a grouped convolution (ResNeXt, RegNet) it cuts channels inside every group, never whole groups as here.
"""  # noqa: E501


def page(head: str, rows: list[dict]) -> str:
    counts = {"all": len(rows), "holding": sum(map(holds, rows)), "rival": sum(r["rival"] == "equal" for r in rows)}
    counts |= {"onnx": sum(agrees(r["onnx"], ONNX) for r in rows), "file": sum(agrees(r["file"], EXACT) for r in rows)}
    ratio = next((float(row["gate"]) for row in rows if row.get("gate")), float("nan"))
    lines = table(COLUMNS, [line_of(row) for row in rows])
    limits = {"exact": EXACT, "onnx_limit": ONNX, "threads": THREADS}
    return TEXT.format(head=head, gate=ratio, table=lines, **counts, **limits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(ZOO), default=[], help="print these rows, write nothing")
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    if args.only:
        for name in args.only:
            print(*(f"{key} {value}" for key, value in row_of(name).items()), sep=", ")
        return
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    written(f"{versions}, seed {SEED}")


def written(versions: str) -> None:
    """Measure what is not measured yet, and write rows and page."""
    head, rows = read_results(ROWS)
    rows = rows if head.endswith(versions) else []
    done = {row["network"] for row in rows}
    for name in tqdm([name for name in ZOO if name not in done], unit="network"):
        row = row_of(name)
        if name == "resnet50":
            tracing, passing = gate()
            row["gate"] = tracing / passing
        rows.append(row)
        write_results(ROWS, header(versions), rows)
    head, rows = read_results(ROWS)
    PAGE.write_text(page(head, rows), encoding="utf-8")
    print(f"{sum(map(holds, rows))} of {len(rows)} networks hold; see {PAGE.name}")


if __name__ == "__main__":
    main()
