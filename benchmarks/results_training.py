"""Sections of results.py: training beside the peak of matrix products, compact networks beside masked whole ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import published_recipe as recipe
import torch
from export_speed import CASES, Case, smallest
from pages import median_seconds, seconds, table
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from specdnn import exporting
from specdnn.network import running
from specdnn.network.netfile import Checkpoint
from specdnn.network.surgery import CompactNetwork
from specdnn.network.training import bce, one_against_rest, train
from specdnn.structures import Recipe, Split
from specdnn.work import wanted_outputs

BATCH, BATCHES = recipe.BATCH, 20  # of what is timed
SIDE = 2048  # of the matrices whose product is the peak
WANTED = 3
ARITHMETIC = ("mm", "conv")  # parts of the names of operations that multiply matrices or convolve
SHOWN = 3  # other operations that are named


# ------------------------------------------------------------------------------------------ networks


def networks(case: Case) -> dict[str, CompactNetwork]:
    """A network for one class, whole and compact, with random weights and units."""
    torch.manual_seed(0)
    parent = CompactNetwork.parent(case.network(), torch.zeros(case.image_shape))
    return {"whole": wanted_outputs(parent, (WANTED,)), "compact": smallest(parent, case.share, 1)}


def some_images(case: Case, count: int) -> Split:
    return Split(torch.randn(count, *case.image_shape), torch.arange(count) % recipe.CLASSES)


# ------------------------------------------------------------------------------------------ beside the peak


def measure_training(given) -> Iterator[dict]:
    yield {"peak": peak()}
    for case in CASES:
        for kind, compact in networks(case).items():
            yield {"network": case.name, "kind": kind, **of_training(compact, case), "peak": peak()}


def peak() -> float:
    """Operations a second of the product of two large matrices in single precision."""
    one, other = torch.randn(2, SIDE, SIDE)
    return 2 * SIDE**3 / median_seconds(lambda: one @ other)


def of_training(compact: CompactNetwork, case: Case) -> dict:
    """Images and operations a second of an epoch of few batches, and the shares of time by operation."""
    data, few = some_images(case, BATCHES * BATCH), some_images(case, recipe.CLASSES)
    how = Recipe(epochs=1, lr=1e-3, batch_size=BATCH)

    def epoch() -> None:
        list(train(compact, data, (WANTED,), how, lambda logits: 0.0, few))

    images = len(data) / median_seconds(epoch)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        taken = seconds(epoch)
    spent = {one.key: one.self_cpu_time_total / 1e6 for one in seen.key_averages()}
    return {"images": images, "operations": images * operations(compact, case), "spent": shares(spent, taken)}


def operations(compact: CompactNetwork, case: Case) -> float:
    """Floating-point operations of an image, forwards and backwards, as torch counts them."""
    data = some_images(case, BATCH)
    with FlopCounterMode(display=False) as counted:
        bce(compact.network(data.images), one_against_rest(data.labels, (WANTED,))).backward()
    return counted.get_total_flops() / BATCH


def shares(spent: dict[str, float], taken: float) -> dict[str, float]:
    """Name -> share of the time `taken`: what multiplies matrices and convolves, in one; what is in no operation at
    all, which is Python; the longest of the others. `spent`: operation -> seconds of its own."""
    short = {name.removeprefix("aten::"): time / taken for name, time in spent.items()}
    busy = {name for name in short if any(part in name for part in ARITHMETIC)}
    longest = sorted(set(short) - busy, key=lambda name: (-short[name], name))[:SHOWN]
    both = {"arithmetic": sum(short[name] for name in busy), "python": max(0.0, 1 - sum(short.values()))}
    return both | {name: short[name] for name in longest}


def text_training(rows: list[dict]) -> str:
    columns = ["network", "images / s", "GFLOP / s", "of the peak %", "products and convolutions, % of the time"]
    columns += ["outside of operations %", "the longest others %"]
    own, peaks = [row for row in rows if "network" in row], [row["peak"] for row in rows]
    lines = [training_line(row, float(np.median(peaks))) for row in own]
    told = [f"{value / 1e9:.0f}" for value in (np.median(peaks), min(peaks), max(peaks))]
    return (
        f"The product of two {SIDE} x {SIDE} matrices in single precision: {told[0]} GFLOP/s (median of {len(peaks)} "
        f"measurements between the others, {told[1]} to {told[2]}). Training as the method does it, {BATCHES} batches "
        f"of {BATCH}, one class; operations forwards and backwards as torch counts them. Shares of the time are the "
        f"profiler's, whose own time counts as outside of operations.\n\n{table(columns, lines)}\n\n{limits(own)}"
    )


def training_line(row: dict, highest: float) -> list[str]:
    busy, outside, *others = row["spent"].items()
    told = [f"{row['images']:,.0f}", f"{row['operations'] / 1e9:.2f}", f"{100 * row['operations'] / highest:.2g}"]
    told += [f"{100 * share:.0f}" for _, share in (busy, outside)]
    return [named(row), *told, ", ".join(f"`{name}` {100 * share:.0f}" for name, share in others)]


def named(row: dict) -> str:
    return f"{row['network']}, {row['kind']}"


def limits(rows: list[dict]) -> str:
    """What limits each network: the largest of three parts of its time."""
    parts = {
        "small matrices and maps, far from the shape of the peak": lambda spent: spent["arithmetic"],
        "Python and the start of operations": lambda spent: spent["python"],
        "what reads and writes memory (norms, activations, pooling, copies, the optimizer)": lambda spent: (
            1 - spent["arithmetic"] - spent["python"]
        ),
    }
    largest = {named(row): max(parts, key=lambda part, row=row: parts[part](row["spent"])) for row in rows}
    limited = {part: [name for name, found in largest.items() if found == part] for part in parts}
    return "\n".join(f"* Limited by {part}: {'; '.join(names)}." for part, names in limited.items() if names)


# ------------------------------------------------------------------------------------------ compact beside masked


def measure_compact(given) -> Iterator[dict]:
    """Images a second of whole networks masked for a class, and of compact ones."""
    for case in CASES:
        made = networks(case)
        steps = {kind: stepping(compact, case, kind == "whole") for kind, compact in made.items()}
        rates = {"training, torch": {kind: BATCH / median_seconds(step, BATCHES) for kind, step in steps.items()}}
        yield {"network": case.name, "rates": {**rates, **inferred(made, case)}}


def stepping(compact: CompactNetwork, case: Case, is_masked: bool) -> Callable[[], None]:
    """A step of the published recipe."""
    network, data = compact.network.train(), some_images(case, BATCH)
    optimizer, targets = recipe.optimizer_of(network), one_against_rest(data.labels, (WANTED,))
    masks = recipe.random_masks(network, case.share) if is_masked else {}
    return lambda: recipe.step(network, optimizer, data.images, targets, masks)


def inferred(made: dict[str, CompactNetwork], case: Case) -> dict[str, dict[str, float]]:
    """what runs it -> kind -> images a second, all exported the same way, on one thread."""
    images = np.random.default_rng(0).random((BATCH, *case.image_shape), np.float32)
    exported = {kind: exporting.exported(Checkpoint("net", "", one, (), None), {}) for kind, one in made.items()}
    runners = {(kind, form): run for kind, one in exported.items() for form, run in one.runners.items()}
    forms = (exporting.IN_TORCH, exporting.IN_ONNX)
    taken = running.medians_ms({key: run for key, run in runners.items() if key[1] in forms}, images)
    return {f"inference, {form}": {kind: 1000 * BATCH / taken[kind, form] for kind in made} for form in forms}


def text_compact(rows: list[dict]) -> str:
    columns = ["network", "what", "masked whole, images / s", "compact, images / s", "times as fast"]
    lines = [
        [row["network"], what, *(f"{rates[kind]:,.0f}" for kind in ("whole", "compact")), f"{ratio(rates):.3g}"]
        for row in rows
        for what, rates in row["rates"].items()
    ]
    shares = ", ".join(f"{case.name} {100 * case.share:.2g} %" for case in CASES)
    return (
        f"One class, cut at random to these shares of the weights: {shares}; the masked network holds zeros instead. "
        f"Training: steps of the published recipe; batches of {BATCH}. Inference on one thread; a single image, C "
        "and sizes in bytes are in [export.md](export.md).\n\n" + table(columns, lines)
    )


def ratio(rates: dict[str, float]) -> float:
    return rates["compact"] / rates["whole"]
