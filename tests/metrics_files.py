"""Metrics files made by hand: of a pruned and of a retrained network of one class."""

import hashlib
import json
from pathlib import Path

KEPT = {"input": [1, 2, 3], "hidden": [0, 4], "out": [5]}
MEASURES = ("accuracy", "always_no_accuracy", "balanced_accuracy", "precision", "recall", "f1", "auroc", "true_rate")
COUNTS = (
    "tp",
    "fp",
    "fn",
    "tn",
    "true_weights",
    "true_parameters",
    "paper_rule_weights",
    "macs",
    "file_bytes",
    "epochs",
)


def retrained(k, seed=1, **more) -> dict:
    numbers = dict.fromkeys((*MEASURES, "paper_rule_rate"), 0.5) | dict.fromkeys(COUNTS, 7)
    origin = {"verb": "retrain", "arch": "net", "dataset": "pairs", "classes": [k], "algo": "OSLOM", "seed": seed}
    versions = dict.fromkeys(("specdnn_version", "torch_version", "python_version", "date"), "1")
    made = {"threads": 1, "options": {"cuda": False}}
    return {**origin, "split": "test", **numbers, "kept": KEPT, **versions, **made, **more, "class": k}


def pruned(k, seed=1, **more) -> dict:
    return retrained(k, seed, **{"verb": "prune", **more})


def trained(seed=1, **more) -> dict:
    """Of a parent of two classes."""
    return retrained(0, seed, **{"verb": "train", "classes": [0, 1], "algo": "", "true_weights": 100, **more})


def written(path: Path, metrics: dict) -> Path:
    """A metrics file, and beside it the checkpoint that it tells of; the same metrics have the same checkpoint."""
    content = json.dumps({k: v for k, v in metrics.items() if k not in ("place", "options")}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name.replace(".json", ".pth.tar")).write_bytes(content)
    told = {**metrics, "checkpoint_hash": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(told), encoding="utf-8")
    return path
