"""The metrics file of a network: measures, sizes, origin."""

from __future__ import annotations

import contextlib
import datetime
import platform
import subprocess
from pathlib import Path

import networkx
import numpy as np
import sklearn
import torch

import specdnn
from specdnn.network import evaluation
from specdnn.network.netfile import Checkpoint
from specdnn.structures import Record
from specdnn.work import Work, validation_logits

# what depends on the threshold
FIXED = ("always_no_accuracy", "auroc")
MOVING = {f"{start}{name}" for name in evaluation.PER_CLASS if name not in FIXED for start in ("", "mean_")}


def metrics_of(work: Work, verb: str, made: Checkpoint, sizes: Record) -> Record:
    """The metrics file of a network: measures on the chosen split, these sizes, origin."""
    o, network = work.options, made.compact.network
    split = work.data.split(o.split)
    logits = evaluation.logits_of(network, split.images, o.test_batch_size)
    measured = measures(work, made, logits, split.labels)
    return {
        "verb": verb,
        "arch": made.arch,
        "dataset": work.data.name,
        "classes": list(made.classes),
        "algo": made.algo,
        "seed": o.seed,
        "split": o.split,
        **measured,
        "kept": made.compact.kept.by_layer(made.compact.wiring.layers),
        **sizes,
        "pins": {pin.operation: pin.units for pin in made.compact.wiring.pins},
        "latency_ms": evaluation.latency_ms(network, made.compact.wiring.image_shape),
        "validation_score": made.accuracy,
        "validation_balanced_accuracy": validation_balanced(work, made),
        **{f"{name}_images": sum(counted) for name, counted in work.data.images_per_class().items()},
        "seconds": {stage: round(s, 2) for stage, s in work.clock.seconds.items()},
        "threads": o.threads,
        "options": o.shaping(verb),
        **provenance(),
    }


def measures(work: Work, made: Checkpoint, logits: torch.Tensor, labels: torch.Tensor) -> Record:
    """At the thresholds of the network; where these are not 0, what they are and the measures at 0 beside it.

    Of several classes, but not all, also how often the right one of them is said, without and with "none of them".
    """
    of = (logits, labels, made.classes, len(work.all_classes))
    found = evaluation.all_metrics(*of, made.thresholds)
    if 1 < len(made.classes) < len(work.all_classes):
        found |= evaluation.choices(logits, labels, made.classes, made.classes, made.thresholds or 0.0)
    if not made.thresholds:
        return found
    at_zero = evaluation.all_metrics(*of)
    return {**found, "thresholds": list(made.thresholds), "at_zero": {k: v for k, v in at_zero.items() if k in MOVING}}


def validation_balanced(work: Work, made: Checkpoint) -> float:
    """What --min-balanced asks for, whatever the split that is measured: nan where it is undefined."""
    logits, labels = validation_logits(work, made.compact), work.data.validation.labels
    found = evaluation.all_metrics(logits, labels, made.classes, len(work.all_classes), made.thresholds)
    return evaluation.headline(found)[1]


def summary(found: Record) -> str:
    accuracy, balanced = evaluation.headline(found)
    return (
        f"{found['split']} accuracy {100 * accuracy:.2f} %, balanced {100 * balanced:.2f} % "
        f"(validation {100 * found['validation_balanced_accuracy']:.2f} %), "
        f"{found['true_weights']} weights, {found['true_parameters']} parameters, "
        f"paper rule {100 * found['paper_rule_rate']:.3f} %"
    )


def provenance() -> dict[str, str]:
    """Versions, commit and date."""
    return {
        "specdnn_version": specdnn.__version__,
        "python_version": platform.python_version(),
        "torch_version": torch.__version__,
        "numpy_version": np.__version__,
        "networkx_version": networkx.__version__,
        "sklearn_version": sklearn.__version__,
        "git_commit": git_commit(),
        "date": datetime.date.today().isoformat(),
    }


def git_commit() -> str:
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        here = Path(__file__).resolve().parent
        asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        return asked.stdout.strip()
    return "unknown"
