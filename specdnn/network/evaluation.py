"""Metrics and sizes, one definition of each. The metrics are scikit-learn's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from sklearn import metrics
from torch import nn

from specdnn.network.surgery import CompactNetwork
from specdnn.network.watching import BATCH_SIZE
from specdnn.structures import Record, SpecDNNError

PER_CLASS = (
    "accuracy",
    "always_no_accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "auroc",
    "tp",
    "fp",
    "fn",
    "tn",
)


@torch.no_grad()
def logits_of(network: nn.Module, images: torch.Tensor, batch_size: int = BATCH_SIZE) -> torch.Tensor:
    """Logits (n, outputs) of a network in evaluation mode."""
    network.eval()
    return torch.cat([network(batch) for batch in images.split(batch_size)])


def one_class(truth: np.ndarray, logit: np.ndarray, threshold: float = 0.0) -> dict[str, float]:
    """Metrics of one one-against-rest output: yes where the logit exceeds the threshold (0: the sigmoid 1/2).

    `truth` (n,) of 0/1, `logit` (n,). Undefined ratios count as 0; AUROC needs both kinds of image.
    """
    said = logit > threshold
    tn, fp, fn, tp = (int(count) for count in metrics.confusion_matrix(truth, said, labels=[0, 1]).ravel())
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, said, average="binary", zero_division=0)
    both = 0 < truth.sum() < len(truth)
    return {
        "accuracy": float(metrics.accuracy_score(truth, said)),
        "always_no_accuracy": float(1 - np.mean(truth)),
        "balanced_accuracy": (tp / (tp + fn) + tn / (tn + fp)) / 2 if both else float("nan"),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "auroc": float(metrics.roc_auc_score(truth, logit)) if both else float("nan"),
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "tn": tn,
    }


def all_metrics(
    logits: torch.Tensor,
    labels: torch.Tensor,
    classes: Sequence[int],
    all_classes: int,
    thresholds: Sequence[float] = (),
) -> Record:
    """The metrics of a network with one output per class of `classes`; `thresholds` of their logits, 0 unless given.

    One class: numbers. Several: lists in their order and `mean_...` beside them. All classes (ten-way):
    `accuracy` is argmax accuracy and the one-against-rest list is `one_against_rest_accuracy`. Raises SpecDNNError if
    a logit is not finite.
    """
    if not logits.isfinite().all():
        raise SpecDNNError("the outputs of the network are not finite on these images: its weights are too large")
    found, truth = _arrays(logits, labels)
    several = zip(classes, found.T, thresholds or [0.0] * len(classes), strict=True)
    columns = [one_class((truth == c).astype(int), logit, threshold) for c, logit, threshold in several]
    if len(columns) == 1:
        return columns[0]
    told: Record = {name: [column[name] for column in columns] for name in PER_CLASS}
    told |= {f"mean_{name}": float(np.mean(told[name])) for name in PER_CLASS[:7]}
    if len(columns) == all_classes:
        told["one_against_rest_accuracy"] = told["accuracy"]
        told["accuracy"] = float(np.mean(np.array(classes)[found.argmax(1)] == truth))
    return told


def _arrays(logits: torch.Tensor, labels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    return logits.detach().double().cpu().numpy(), labels.cpu().numpy()


def threshold_of(truth: np.ndarray, logit: np.ndarray, measure: str) -> float:
    """The logit above which yes is best said, by `balanced` accuracy or by `f1`; 0 where one kind of image is missing.

    It lies midway between two logits; of equals it is the one nearest to 0.
    """
    yes = int(truth.sum())
    if not 0 < yes < len(truth):
        return 0.0
    fpr, tpr, logits = metrics.roc_curve(truth, logit, drop_intermediate=False)
    tp, fp = tpr[1:] * yes, fpr[1:] * (len(truth) - yes)  # of yes from logits[k] on
    found = tpr[1:] - fpr[1:] if measure == "balanced" else 2 * tp / (tp + fp + yes)
    below = np.append(logits[2:], 2 * logits[-1] - logits[1] - 1)
    middle = (logits[1:] + below) / 2
    best = np.flatnonzero(np.isclose(found, found.max(), rtol=0, atol=1e-12))
    return float(middle[best[np.abs(middle[best]).argmin()]])


def thresholds(logits: torch.Tensor, labels: torch.Tensor, classes: Iterable[int], measure: str) -> tuple[float, ...]:
    """One per class, of logits (n, classes); none for `zero`."""
    if measure == "zero":
        return ()
    found, truth = _arrays(logits, labels)
    return tuple(threshold_of((truth == c).astype(int), found[:, k], measure) for k, c in enumerate(classes))


def kappa(one: np.ndarray, other: np.ndarray) -> float:
    """Cohen's kappa of two lists of yes and no: agreement beyond chance; nan where both always say the same."""
    return float(metrics.cohen_kappa_score(one, other)) if len({*one.tolist(), *other.tolist()}) > 1 else float("nan")


def headline(found: Record) -> tuple[float, float]:
    """(accuracy, balanced accuracy) of a metrics dictionary, means where there are several outputs."""
    several = "mean_" if "mean_balanced_accuracy" in found else ""
    accuracy: Any = found["accuracy"] if np.isscalar(found["accuracy"]) else found["mean_accuracy"]
    return accuracy, found[f"{several}balanced_accuracy"]


def choices(
    logits: torch.Tensor,
    labels: torch.Tensor,
    outputs: Sequence[int],
    wanted: Sequence[int],
    threshold: float | Sequence[float] = float("-inf"),
) -> dict[str, float]:
    """How often the class that a network says is the right one.

    `logits` (n, outputs), `outputs` the class of each. `accuracy_among`: over the images of the `wanted` classes, of
    whose logits the highest wins; nan without such images. `accuracy_or_none`, `balanced_accuracy_or_none`: over all
    images, where "none of them" is an answer too: that of the highest logit if it is of another class, or below its
    `threshold` (one for all, or one each). Balanced: the mean over the answers of the share of their images that get
    them.
    """
    found, right = _arrays(logits, labels)
    classes, none = np.asarray(outputs), -1
    own, among = np.isin(right, wanted), np.isin(classes, wanted)
    said = classes[among][found[:, among].argmax(1)]
    highest = classes[found.argmax(1)]
    sure = (found >= np.broadcast_to(threshold, found.shape))[np.arange(len(found)), found.argmax(1)]
    answers = np.where(np.isin(highest, wanted) & sure, highest, none)
    truth = np.where(own, right, none)
    there = np.unique(truth)  # no share of no images
    return {
        "accuracy_among": float(metrics.accuracy_score(right[own], said[own])) if own.any() else float("nan"),
        "accuracy_or_none": float(metrics.accuracy_score(truth, answers)),
        "balanced_accuracy_or_none": float(metrics.recall_score(truth, answers, labels=there, average="macro")),
    }


# ------------------------------------------------------------------------------------------ sizes


def sizes(
    compact: CompactNetwork,
    rule: Callable[[tuple[int, ...]], int] | None,
    base: float,
    parent: tuple[int, int, int],
) -> dict[str, float]:
    """Both size conventions of a compact network, beside those of its parent, which has `parent` (weights, parameters,
    MACs).

    `true_...` counts weights and parameters (weights and biases) of the network; `paper_rule_...` is the published
    count `rule(widths)`, which the network's file may define, over its `base`, that of the parent. Without a rule it is
    the count of weights.
    """
    weights, parameters, macs = compact.wiring.sizes(compact.kept)
    counted = rule(compact.kept.widths) if rule else weights
    return {
        "true_weights": weights,
        "true_parameters": parameters,
        "true_rate": parameters / parent[1],
        "paper_rule_weights": counted,
        "paper_rule_rate": counted / base,
        "macs": macs,
        "buffer_bytes": sum(b.numel() * b.element_size() for b in compact.network.buffers()),
    }


def latency_ms(network: nn.Module, image_shape: Sequence[int], repeats: int = 50) -> float:
    """Median milliseconds of one image through the network where it lies, batch size 1."""
    image, seconds = _blank(network, image_shape), []
    for _ in range(repeats):
        start = time.perf_counter()
        logits_of(network, image).cpu()
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds))


def _blank(network: nn.Module, image_shape: Sequence[int]) -> torch.Tensor:
    parameter = next(network.parameters())
    return torch.zeros(1, *image_shape, dtype=parameter.dtype, device=parameter.device)
