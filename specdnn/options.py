"""Every option of `main.py` once: its help, its range, and which stages' results it shapes.

The command line, the checks and skip-if-done read these declarations; nothing else lists an option.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from specdnn.structures import SpecDNNError

# value of --algo -> what it is, in the words of the report
ALGORITHMS = {
    "OSLOM": "the class community",
    "CCME": "the class community as another search finds it",
    "OSLOM-null": "modules of the same sizes with the units permuted within each layer",
    "graph-null": "the same, permuted among the units with a connection in the class graph",
    "OSLOM-layerwise": "the published formula",
    "random": "random units",
    "magnitude": "largest weight norms",
    "taylor": "largest Taylor scores",
    "relevance": "largest relevance in the class graph, no communities",
    "attribution": "largest centred Taylor scores",
    "scratch": "the same kept units with fresh weights",
    "linear": "a linear model, exempt from equal size",
}
MOST_SEEDS = 2147483399  # what the OSLOM programs take

VERBS = ("evaluate", "prune", "retrain", "sweep", "report", "export", "compose", "compare", "publish")
ON_A_CHECKPOINT = ("prune", "retrain", "evaluate", "export", "compare")  # verbs that start from --pretrained
MAY_START_FROM_ONE = (*ON_A_CHECKPOINT, "sweep")
# The stages, each of which leaves a result; an option says which of these it shapes.
TRAIN, PRUNE, RETRAIN, EVALUATE, COMPOSE = STAGES = ("train", "prune", "retrain", "evaluate", "compose")
EXTRACTING = (PRUNE,)
NOTHING = ()  # where things lie, what is printed, which cells a sweep has

WHERE, TRAINING, EXTRACTION = "what and where", "training", "extraction (--prune, --sweep)"
OSLOM, SWEEP = "the OSLOM program (--prune, --sweep)", "the cells of --sweep"
CCME = "the other search, --algo CCME (--prune, --sweep)"
GROUPS = (WHERE, TRAINING, EXTRACTION, OSLOM, CCME, SWEEP)


@dataclass(frozen=True)
class Range:
    """Which values are right, and how that is said."""

    holds: Callable[[Any], bool]
    words: str


def at_least(least: int) -> Range:
    return Range(lambda value: least <= value < float("inf"), f"at least {least}")


def up_to(most: float, words: str) -> Range:
    return Range(lambda value: 0 < value <= most, words)


SHARE = up_to(1, "above 0 and at most 1")
POSITIVE = Range(lambda value: 0 < value < float("inf"), "above 0")
SEED = Range(lambda value: 1 <= value <= MOST_SEEDS, f"between 1 and {MOST_SEEDS}")


def option(
    default: Any,
    help: str,
    *,
    shapes: tuple[str, ...],
    group: str,
    right: Range | None = None,
    later: bool = False,
    **argument: Any,
) -> Any:
    """A field of `Options` with its declaration.

    `shapes`: the stages whose results depend on it. `right`: the values allowed, of each of several. `later`: the
    default is not recorded, so that results made before there was the option are those of its default. `argument` goes
    to argparse (`type`, `choices`, `nargs`, `metavar`), but for `flags`, its names where the field has another one, and
    `setting`, the environment variable that sets it, too.
    """
    declared = {"help": help, "shapes": shapes, "group": group, "right": right, "later": later, "argument": argument}
    return field(default=default, metadata=declared)


def path(text: str) -> Path:
    """A path of the user's, `~` expanded. An empty one means nothing."""
    if not text:
        raise argparse.ArgumentTypeError("must name a file or folder, got nothing")
    return Path(text).expanduser()


def rate(text: str) -> float | str:
    """The value of --rate."""
    if text == "published":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, or with --sweep the word published, got {text}") from None


def setting(name: str) -> str | None:
    """An environment variable; an empty one is unset."""
    return os.environ.get(name) or None


@dataclass(frozen=True)
class Options:
    """All options of `main.py`, resolved."""

    # ---- what and where
    arch: str = option(None, "the network (default: that of --pretrained, else {first})", shapes=STAGES, group=WHERE)
    dataset: str = option(None, "(default: that of --pretrained, else {first})", shapes=STAGES, group=WHERE)
    data_dir: Path = option(
        None,
        "where the images lie or are downloaded to; SPECDNN_DATA sets it too (default: {beside}/data)",
        shapes=NOTHING,  # the images themselves are part of a stage's input hash
        group=WHERE,
        setting="SPECDNN_DATA",
        type=path,
        metavar="DIR",
    )
    save_dir: Path = option(
        None,
        "checkpoints and metrics files (default: the folder of --pretrained, else {beside}/saved_models)",
        shapes=NOTHING,
        group=WHERE,
        type=path,
        metavar="DIR",
    )
    pretrained: Path | None = option(
        None, "the checkpoint to start from", shapes=NOTHING, group=WHERE, type=path, metavar="FILE"
    )
    classes: tuple[int, ...] | None = option(
        None,
        "the wanted classes (default: all of the checkpoint's); with --sweep each gets its own network",
        shapes=(PRUNE, RETRAIN, EVALUATE),
        group=WHERE,
        flags=("--specialize", "--classes"),
        type=int,
        nargs="+",
        metavar="N",
    )
    images: str | None = option(
        None,
        "for --compare: another data set of this folder, or a folder of image files",
        shapes=NOTHING,
        group=WHERE,
        metavar="DIR_OR_DATASET",
    )
    split: str = option(
        "test",
        "what metrics files are measured on; choices are always made on validation",
        shapes=STAGES,
        group=WHERE,
        choices=("test", "validation"),
    )
    seed: int = option(
        1, "of first weights, order of images, and the OSLOM program", shapes=STAGES, group=WHERE, right=SEED, type=int
    )
    threads: int = option(
        2,
        "processor threads; the same number and seed give the same networks",
        shapes=STAGES,
        group=WHERE,
        right=at_least(1),
        type=int,
    )
    cuda: bool = option(
        True,
        "stay on the processor even if there is a GPU",
        shapes=STAGES,
        group=WHERE,
        flags=("--no-cuda",),
        action="store_false",
    )
    log_interval: int = option(
        1,
        "epochs between two lines of metrics",
        shapes=NOTHING,
        group=WHERE,
        right=at_least(1),
        type=int,
    )
    save_every: int = option(
        None,
        "epochs between two points that a broken training can go on from; 0: none (default: one a minute). Behind each "
        "cut there is one anyway",
        shapes=NOTHING,
        group=WHERE,
        right=at_least(0),
        type=int,
    )

    tensorboard: Path | None = option(
        None,
        "also write losses, scores and sizes to this folder, for TensorBoard",
        shapes=NOTHING,
        group=WHERE,
        type=path,
        metavar="DIR",
    )

    # ---- training
    batch_size: int = option(128, "images per step", shapes=STAGES, group=TRAINING, right=at_least(1), type=int)
    rest: float = option(
        0.0,
        "images of the rest that an epoch shows for each image of a wanted class, drawn anew every time; 0: all there "
        "are",
        shapes=(PRUNE, RETRAIN),
        group=TRAINING,
        right=at_least(0),
        later=True,
        type=float,
    )
    test_batch_size: int = option(
        128, "images at a time when measuring", shapes=NOTHING, group=TRAINING, right=at_least(1), type=int
    )
    epochs: int = option(
        None,
        "of the verb's training: the parent's 20 (with --sweep too), else --brief-epochs or --retrain-epochs",
        shapes=(TRAIN,),
        group=TRAINING,
        right=at_least(0),
        type=int,
    )
    lr: float = option(
        None,
        "highest rate of the verb's training: the parent's 0.003, else --brief-lr or --retrain-lr",
        shapes=(TRAIN,),
        group=TRAINING,
        right=POSITIVE,
        type=float,
    )
    lr_epochs: int = option(
        0,
        "divide the learning rate by 10 every N epochs; 0: one cycle up and down",
        shapes=STAGES,
        group=TRAINING,
        right=at_least(0),
        type=int,
    )
    optimizer: str = option("AdamW", "SGD as published", shapes=STAGES, group=TRAINING, choices=("AdamW", "SGD"))
    momentum: float = option(
        0.9,
        "of SGD",
        shapes=STAGES,
        group=TRAINING,
        right=Range(lambda value: 0 <= value < 1, "between 0 and 1"),
        type=float,
    )
    weight_decay: float = option(
        1e-4,
        "of either optimizer",
        shapes=STAGES,
        group=TRAINING,
        right=at_least(0),
        flags=("--weight-decay", "--wd"),
        type=float,
    )
    loss: str = option(
        "bce",
        "bce on the logits, mse after the sigmoid, ce over all classes (one-against-rest stays bce)",
        shapes=STAGES,
        group=TRAINING,
        choices=("bce", "ce", "mse"),
    )
    precision: str = option(
        "float32",
        "of the layers in training; bfloat16 is faster where processor or GPU have units for it. Weights, loss and all "
        "measuring stay float32",
        shapes=STAGES,
        group=TRAINING,
        later=True,
        choices=("float32", "bfloat16"),
    )
    threshold: str = option(
        "zero",
        "a logit above which the answer is yes: 0; or where balanced accuracy, or F1, is highest on validation, which "
        "is then what epochs and candidates are chosen by",
        shapes=STAGES,
        group=TRAINING,
        later=True,
        choices=("zero", "balanced", "f1"),
    )
    retrain_epochs: int = option(20, "of --retrain", shapes=(RETRAIN,), group=TRAINING, right=at_least(0), type=int)
    retrain_lr: float = option(
        0.01, "highest rate of --retrain", shapes=(RETRAIN,), group=TRAINING, right=POSITIVE, type=float
    )

    # ---- extraction
    algo: str = option(
        "OSLOM",
        "what chooses the units; the rivals follow the cuts of a finished OSLOM run with the same options",
        shapes=EXTRACTING,
        group=EXTRACTION,
        choices=ALGORITHMS,
    )
    warmup_epochs: int = option(
        2,
        "one-against-rest training before the first class graph; may be 0",
        shapes=EXTRACTING,
        group=EXTRACTION,
        right=at_least(0),
        type=int,
    )
    group_l1: float = option(
        5e-5,
        "weight of the unit norms in the warm-up's loss",
        shapes=EXTRACTING,
        group=EXTRACTION,
        right=at_least(0),
        type=float,
    )
    rounds: int = option(
        2,
        "class graph, community, cut: at most this often",
        shapes=EXTRACTING,
        group=EXTRACTION,
        right=at_least(1),
        type=int,
    )
    brief_epochs: int = option(
        2, "training after every cut; may be 0", shapes=EXTRACTING, group=EXTRACTION, right=at_least(0), type=int
    )
    brief_lr: float = option(
        0.003,
        "of warm-up and of brief training in the rounds",
        shapes=EXTRACTING,
        group=EXTRACTION,
        right=POSITIVE,
        type=float,
    )
    trim_steps: int = option(
        5,
        "cuts of the trim; more if the last would halve a layer",
        shapes=EXTRACTING,
        group=EXTRACTION,
        right=at_least(1),
        type=int,
    )
    compensate: str = option(
        "zero",
        "what a cut puts in the place of what it removes: nothing; its mean; or what the rest can say of it, by "
        "regression of every link on the network before the cut",
        shapes=EXTRACTING,
        group=EXTRACTION,
        later=True,
        choices=("zero", "mean", "regress"),
    )
    round_to: int = option(
        1,
        "at last cut every layer but the input to a multiple of N units (channels where a map is flattened)",
        shapes=EXTRACTING,
        group=EXTRACTION,
        right=at_least(1),
        later=True,
        type=int,
    )
    trim_l1: float = option(
        1e-3,
        "weight of the unit norms in the trim's loss",
        shapes=EXTRACTING,
        group=EXTRACTION,
        right=at_least(0),
        type=float,
    )
    trim_lr: float = option(
        0.01, "of brief training in the trim", shapes=EXTRACTING, group=EXTRACTION, right=POSITIVE, type=float
    )
    keep: float = option(
        0.2,
        "share of the connections kept in the class graph",
        shapes=EXTRACTING,
        group=EXTRACTION,
        right=SHARE,
        type=float,
    )
    strength: str = option(
        "contrast",
        "class activation: class against rest, or class alone",
        shapes=EXTRACTING,
        group=EXTRACTION,
        choices=("activation", "contrast"),
    )
    rate: float | None = option(
        None,
        "budget: share of the weights by the paper rule, above 0 and at most 1 (default: the community as it is); "
        "with --sweep also `published`: each class a little less than its published share",
        shapes=EXTRACTING,
        group=EXTRACTION,
        right=Range(lambda value: value == "published" or 0 < value <= 1, SHARE.words),
        type=rate,
        metavar="X",
    )
    max_params: int | None = option(
        None,
        "budget: true parameters, weights and biases",
        shapes=EXTRACTING,
        group=EXTRACTION,
        right=at_least(1),
        type=int,
    )
    min_balanced: float | None = option(
        None,
        "the smallest network whose balanced accuracy on the validation split, before --retrain, is at least this; at "
        "most the budget. On the test split it may be a little less: metrics files hold both",
        shapes=EXTRACTING,
        group=EXTRACTION,
        right=SHARE,
        type=float,
    )
    candidates: tuple[str, ...] = option(
        ("shape", "score"),
        "widths that the last cut tries, the best on validation stays: between one unit per layer and the whole "
        "network (a rival: OSLOM's), or by one ranking of all units",
        shapes=EXTRACTING,
        group=EXTRACTION,
        choices=("shape", "score"),
        nargs="+",
    )
    trim: str = option(
        "norm",
        "what the last cut to the budget drops first: weak ties inside the community, small weight norms, or small "
        "centred Taylor scores",
        shapes=EXTRACTING,
        group=EXTRACTION,
        choices=("ties", "norm", "attribution"),
    )

    # ---- the OSLOM program
    oslom_bin: str | None = option(
        None,
        "another program with the same command line (OSLOM_BIN sets it too; else oslom/, built when missing)",
        shapes=EXTRACTING,
        group=OSLOM,
        setting="OSLOM_BIN",
        type=str,  # as it was typed: a path would lose its `./`
        metavar="FILE",
    )
    oslom_runs: int = option(1, "its -r", shapes=EXTRACTING, group=OSLOM, right=at_least(1), type=int)
    oslom_t: float = option(
        0.1,
        "its -t, the significance level",
        shapes=EXTRACTING,
        group=OSLOM,
        right=Range(lambda value: 0 <= value <= 1, "between 0 and 1"),
        type=float,
    )
    oslom_timeout: float = option(
        600,
        "seconds it may take",
        shapes=NOTHING,
        group=OSLOM,
        right=up_to(1e6, "above 0 and at most 1000000"),
        type=float,
    )
    oslom_seeds: int = option(
        1,
        "record how alike the first communities of so many seeds are (Jaccard index)",
        shapes=EXTRACTING,
        group=OSLOM,
        right=at_least(1),
        type=int,
    )

    # ---- the other search
    ccme_null: str = option(
        "whole",
        "by chance a unit is expected to keep its number and strength of connections in all, or those in each link",
        shapes=EXTRACTING,
        group=CCME,
        later=True,
        choices=("whole", "link"),
    )
    ccme_alpha: float = option(
        0.05,
        "the significance level of its tests",
        shapes=EXTRACTING,
        group=CCME,
        right=Range(lambda value: 0 <= value <= 1, "between 0 and 1"),
        later=True,
        type=float,
    )

    # ---- the cells of a sweep
    seeds: tuple[int, ...] = option(
        None, "(default: that of --seed)", shapes=NOTHING, group=SWEEP, right=SEED, type=int, nargs="+", metavar="N"
    )
    algos: tuple[str, ...] = option(
        None, "(default: that of --algo)", shapes=NOTHING, group=SWEEP, choices=ALGORITHMS, nargs="+"
    )
    jobs: int = option(
        None,
        "processes that work at several classes at once, each with --threads threads and the images in memory; the "
        "networks do not depend on N, but to the last bit on --threads (default: 1)",
        shapes=NOTHING,
        group=SWEEP,
        right=at_least(1),
        type=int,
    )
    scheduler: str | None = option(
        None,
        "of a Dask cluster, whose workers make the cells, one at a time each: tcp://HOST:PORT",
        shapes=NOTHING,
        group=SWEEP,
        right=Range(
            lambda value: bool(re.fullmatch(r"(tcp|tls)://[^\s/]+:\d+", value)),
            "tcp://HOST:PORT, as `dask scheduler` tells",
        ),
        type=str,
        metavar="ADDRESS",
    )
    class_rates: tuple[tuple[int, float], ...] = field(default=(), metadata={"shapes": NOTHING})
    resume_from: Path | None = option(
        None,
        "folder of published runs (ARCH.runs.jsonl), whose cells need not be made again",
        shapes=NOTHING,
        group=SWEEP,
        type=path,
        metavar="DIR",
    )

    @property
    def budgeted(self) -> bool:
        return self.rate is not None or self.max_params is not None

    def shaping(self, stage: str) -> dict[str, Any]:
        """Name -> value, as JSON keeps it, of every option that shapes the result of a stage."""
        told = {f.name: plain(getattr(self, f.name)) for f in fields(self) if stage in f.metadata["shapes"]}
        silent = {f.name for f in fields(self) if f.metadata.get("later") and getattr(self, f.name) == f.default}
        return {name: value for name, value in told.items() if name not in silent}


def plain(value: Any) -> Any:
    """An option's value as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


DEFAULTS = {declared.name: declared.default for declared in fields(Options)}


# ------------------------------------------------------------------------------------------ the command line


def add_options(parser: argparse.ArgumentParser, known: dict[str, tuple[str, ...]], beside: Path) -> None:
    """Every option in its group.

    `known`: field -> the values that this dataset folder has, the default first; `beside`: the folder of `main.py`.
    """
    groups = {name: parser.add_argument_group(name) for name in GROUPS}
    for declared in fields(Options):
        if "group" in declared.metadata:
            given = argument(declared, known.get(declared.name, ()), beside)
            groups[declared.metadata["group"]].add_argument(*flags(declared), **given)


def flags(declared: Field[Any]) -> tuple[str, ...]:
    named = declared.metadata["argument"].get("flags")
    return named or (f"--{declared.name.replace('_', '-')}",)


def argument(declared: Field[Any], known: tuple[str, ...], beside: Path) -> dict[str, Any]:
    """What argparse needs to know of an option."""
    given = {name: value for name, value in declared.metadata["argument"].items() if name not in ("flags", "setting")}
    if known:
        given["choices"] = list(known)
    if "type" in given and "choices" not in given:
        given.setdefault("metavar", {int: "N", float: "X"}.get(given["type"]))
    named = declared.metadata["argument"].get("setting")
    default = setting(named) if named else None  # argparse converts it like a word of the command line
    told = declared.metadata["help"].format(first=next(iter(known), ""), beside=beside)
    return {**given, "dest": declared.name, "default": default or declared.default, "help": told.replace("%", "%%")}


def check_ranges(args: object) -> None:
    """Raise SpecDNNError for the first option whose value is out of its range."""
    for declared in fields(Options):
        right, value = declared.metadata.get("right"), getattr(args, declared.name, None)
        if right is None or value is None:
            continue
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if not right.holds(one):
                raise SpecDNNError(f"{flags(declared)[0]} must be {right.words}, got {one}")
