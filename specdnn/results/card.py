"""The model card of an exported network: a README.md with a head of YAML, as model hubs read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from specdnn.results.report import MISSING, Section
from specdnn.structures import Record

NAME = "README.md"
SHARES = {  # measure -> heading; of one class against the rest
    "accuracy": "accuracy %",
    "always_no_accuracy": "always no %",
    "balanced_accuracy": "balanced %",
    "precision": "precision %",
    "recall": "recall %",
    "f1": "F1 %",
    "auroc": "AUROC %",
}
COUNTS = ("tp", "fp", "fn", "tn")
ON_A_HUB = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc")
WORDS = {"softmax": "the classes exclude each other", "sigmoid": "every class by itself, against the rest"}


@dataclass(frozen=True)
class Row:
    """A quantity of a network, and of its parent, exported the same way; None where there is none."""

    name: str
    own: float
    parent: float | None

    def cells(self) -> list[str]:
        ratio = MISSING if not self.parent or not self.own else f"{self.parent / self.own:.3g}"
        return [self.name, _number(self.own), MISSING if self.parent is None else _number(self.parent), ratio]


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def sizes_and_speeds(rows: list[Row]) -> str:
    """The table of an export."""
    headings = ("quantity", "this network", "its parent", "times smaller or faster")
    sentence = "Both exported the same way and measured in one run, on one thread of one processor; medians."
    return str(Section("Sizes and speeds", sentence, headings, [row.cells() for row in rows]))


def text(measured: Record, facts: Record) -> str:
    """The card. `measured`: the metrics file; `facts`: `class_names` of all classes, how the network is used (`name`,
    `image_shape`, `probabilities`, `threshold`), what was exported (`rows`, `agreement`, `images`, `left_out`) and
    `provenance`.
    """
    parts = (head(measured, facts), what_it_is(measured, facts), use(measured, facts), per_class(measured, facts))
    return "\n".join((*parts, sizes_and_speeds(facts["rows"]), origin(measured, facts), limits(measured, facts)))


# ------------------------------------------------------------------------------------------ for model hubs


def head(measured: Record, facts: Record) -> str:
    """YAML between two lines of dashes. JSON is YAML, so its strings need no other quotes."""
    results = {
        "task": {"type": "image-classification"},
        "dataset": {"name": data_of(measured), "type": data_of(measured), "split": measured["split"]},
        "metrics": [
            {"type": name, "value": value, "name": f"{name.replace('_', ' ')}, {wanted}"}
            for wanted, found in by_class(measured, facts).items()
            for name, value in found.items()
            if name in ON_A_HUB and value is not None
        ],
    }
    told = {
        "library_name": "specdnn",
        "pipeline_tag": "image-classification",
        "license": "unknown",  # that of the parent and of its images, which no file tells
        "tags": ["image-classification", "one-vs-rest", "model-compression", "onnx", "c99", "specdnn"],
        "datasets": [data_of(measured)],
        "metrics": list(ON_A_HUB),
        "model-index": [{"name": facts["name"], "results": [results]}],
    }
    lines = [f"{key}: {json.dumps(value, default=str)}" for key, value in told.items()]
    return "\n".join(["---", *lines, "---", ""])


def data_of(measured: Record) -> str:
    return measured["dataset"] or "the images that were given"


def by_class(measured: Record, facts: Record) -> dict[str, Record]:
    """Class in words -> its measures, against the rest; a number that does not exist is None."""
    classes, names = measured["classes"], facts["class_names"]
    lists = {name: measured[name] for name in (*SHARES, *COUNTS)}
    lists["accuracy"] = measured.get("one_against_rest_accuracy", measured["accuracy"])
    several = {name: one if isinstance(one, list) else [one] for name, one in lists.items()}
    return {
        title(c, names): {name: _known(values[k]) for name, values in several.items()} for k, c in enumerate(classes)
    }


def title(number: int, names: Sequence[str]) -> str:
    """`3`, or `3 (cat)`, in one line that breaks no table."""
    name = " ".join(str(names[number]).split()).replace("|", "/")
    return str(number) if name == str(number) else f"{number} ({name})"


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else value


# ------------------------------------------------------------------------------------------ for people


def what_it_is(measured: Record, facts: Record) -> str:
    wanted = ", ".join(by_class(measured, facts))
    shape = "x".join(map(str, facts["image_shape"]))
    plural = "classes" if len(measured["classes"]) > 1 else "class"
    return (
        f"# {facts['name']}\n\nRecognises {plural} {wanted} of {data_of(measured)}: the part of a {measured['arch']} "
        f"that does just that. An image ({shape}) goes in, {facts['input']}; a probability per class comes out, in "
        f"that order ({facts['probabilities']}: {WORDS[facts['probabilities']]}). Yes above "
        f"{', '.join(f'{one:g}' for one in facts['threshold'])}.\n"
    )


def use(measured: Record, facts: Record) -> str:
    """How each file is used."""
    shape, count = ", ".join(map(str, facts["image_shape"])), len(measured["classes"])
    pixels = " * ".join(map(str, facts["image_shape"]))
    ways = [
        "### Use",
        "",
        "```python",
        "import onnxruntime  # model.onnx",
        "",
        'session = onnxruntime.InferenceSession("model.onnx")',
        f'probabilities = session.run(None, {{"image": images}})[0]  # float32 (n, {shape}) -> (n, {count})',
        "```",
        "",
        "```python",
        "import specdnn, torch  # model.safetensors and config.json",
        "",
        'network = specdnn.load(".")',
        *in_torch(facts),
        "```",
        "",
    ]
    if "model.h" in facts["left_out"]:
        return "\n".join([*ways, f"There is no C header: {facts['left_out']['model.h']}.", ""])
    return "\n".join(
        [
            *ways,
            "```c",
            '#include "model.h"',
            "",
            f"float image[{pixels}], probabilities[{count}];",
            f"{facts['name']}_predict(image, probabilities);",
            "```",
            "",
        ]
    )


def in_torch(facts: Record) -> list[str]:
    """The lines that give the probabilities of the network that `load` gives, which takes normalised images."""
    given = facts["normalisation"]
    if given in ((), (0.0, 1.0)):
        images, before = "images", []
    else:
        images, before = "(images - mean) / deviation", ["mean, deviation = network.normalisation"]
        if isinstance(given[0], tuple):  # one per channel
            before = ["mean, deviation = (torch.tensor(one)[:, None, None] for one in network.normalisation)"]
    last = f"network({images}).softmax(1)" if facts["probabilities"] == "softmax" else f"network({images}).sigmoid()"
    return [*before, f"probabilities = {last}"]


def per_class(measured: Record, facts: Record) -> str:
    """The measures of every class."""
    lines = [
        [name, *(_percent(found[measure]) for measure in SHARES), *(str(found[count]) for count in COUNTS)]
        for name, found in by_class(measured, facts).items()
    ]
    sentence = (
        f"Each class against the rest, on the {measured['split']} split of {data_of(measured)}"
        f"{_images_of(measured)}, at the thresholds above. *Always no* is the accuracy of an answer that never changes."
    )
    headings = ("class", *SHARES.values(), *(count.upper() for count in COUNTS))
    return str(Section("How good it is", sentence, headings, lines))


def _images_of(measured: Record) -> str:
    counted = measured.get(f"{measured['split']}_images")
    return f" ({counted:,} images)" if counted else ""


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:.2f}"


def origin(measured: Record, facts: Record) -> str:
    """Where it comes from, and that all forms of it were compared."""
    compared = ", ".join(f"{name} {difference:.1g}" for name, difference in facts["agreement"].items())
    lines = [
        f"- Cut out of a {measured['arch']} by `{measured['algo'] or 'nothing'}`, seed {measured['seed']}; "
        f"{measured['true_parameters']:,} parameters are left, {100 * measured['true_rate']:.3g} % of its parent's.",
        f"- On {facts['images']:,} images no form differs from torch by more than this in probability: {compared}.",
        *(f"- {name.replace('_', ' ')}: {value}" for name, value in facts["provenance"].items() if value),
    ]
    return "\n".join(["### Where it comes from", "", *lines, ""])


def limits(measured: Record, facts: Record) -> str:
    """What is not known of it."""
    rest = len(facts["class_names"]) - len(measured["classes"])
    moved = "the thresholds were chosen on validation images, not for"
    chosen = moved if "at_zero" in measured else "thresholds are the middle, not a choice for"
    lines = [
        f"- It was measured on the {measured['split']} split of {data_of(measured)} and on nothing else: not on images "
        "of other sources, other lighting, sizes, crops, turned, noisy or damaged ones, and not against attacks.",
        "- What belongs to no class that its parent knew was never shown to it: its answers there mean nothing.",
        *([f"- *The rest* are {rest} other classes of the same images."] if rest else []),
        f"- The probabilities were not calibrated; {chosen} your costs of errors.",
        "- One seed; how much results vary over seeds is not told here.",
    ]
    return "\n".join(["### Limits", "", *lines, ""])
