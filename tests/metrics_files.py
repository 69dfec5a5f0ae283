"""Metrics files made by hand: of a pruned and of a retrained network of one class."""

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
    versions = dict.fromkeys(("threads", "specdnn_version", "torch_version", "python_version", "date"), 1)
    versions["options"] = {"cuda": False}
    return {**origin, "split": "test", **numbers, "kept": KEPT, **versions, **more, "class": k}


def pruned(k, seed=1, **more) -> dict:
    return retrained(k, seed, **{"verb": "prune", **more})
