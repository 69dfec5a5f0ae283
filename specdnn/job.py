"""What every stage works with: the job, training with a log, skip-if-done, the metrics file, progress bars."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import networkx
import numpy as np
import sklearn
import torch
from tqdm import tqdm

import specdnn
from specdnn import checkpoint, evaluation, training
from specdnn.checkpoint import Checkpoint, SavedModels
from specdnn.structures import Dataset, LayerChain, Options, Recipe
from specdnn.surgery import CompactNetwork, cut

# Options that shape a stage's result; the others only say where things lie or what is printed.
COMMON = ("arch", "dataset", "seed", "threads", "cuda", "split", "loss", "optimizer", "batch_size", "lr_epochs")
COMMON += ("momentum", "weight_decay")
EXTRACTION = ("algo", "warmup_epochs", "group_l1", "rounds", "brief_epochs", "brief_lr", "keep", "strength", "rate")
EXTRACTION += (
    "trim_steps",
    "trim_l1",
    "trim_lr",
    "max_params",
    "min_balanced",
    "candidates",
    "trim",
    "oslom_bin",
    "oslom_runs",
    "oslom_t",
    "oslom_seeds",
)
STAGE_OPTIONS = {
    "train": (*COMMON, "epochs", "lr"),
    "prune": (*COMMON, "classes", *EXTRACTION),
    "retrain": (*COMMON, "classes", "retrain_epochs", "retrain_lr"),
    "evaluate": (*COMMON, "classes"),
}


@dataclass
class Job:
    """What every stage works with: options, data, the network's type, names of files, a place to log.

    `architectures` are all networks of the folder. `shared` keeps what algorithms have in common: the last warm-up.
    """

    options: Options
    data: Dataset
    network_type: type
    saved: SavedModels
    log: Callable[[str], None]
    data_hash: str
    architectures: dict = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)
    shared: dict = field(default_factory=dict)

    @property
    def all_classes(self) -> tuple[int, ...]:
        return tuple(range(len(self.data.class_names)))

    @property
    def chain(self) -> LayerChain:
        """The parent's layers."""
        return self.network_type().chain

    def used_to(self, loaded: Checkpoint) -> Job:
        """The same job on images normalised as this network was trained; the hash stays that of the data set."""
        data = self.data.renormalised(loaded.normalisation or self.data.normalisation)
        if data is self.data:
            return self
        (mean, deviation), (other_mean, other_deviation) = self.data.normalisation, data.normalisation
        self.log(
            f"images are normalised with mean {other_mean:g} and deviation {other_deviation:g}, "
            f"as the checkpoint says, not with {mean:g} and {deviation:g}"
        )
        return dataclasses.replace(self, data=data)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def with_options(self, **changed) -> Job:
        """The same job with other options."""
        return dataclasses.replace(self, options=dataclasses.replace(self.options, **changed))

    def for_cell(self, seed: int, classes, algo: str) -> Job:
        """The job of one cell of a sweep, with a clock of its own."""
        rate = dict(self.options.class_rates).get(classes[0], self.options.rate)
        one = self.with_options(seed=seed, classes=classes, algo=algo, rate=rate)
        return dataclasses.replace(one, saved=dataclasses.replace(self.saved, seed=seed), seconds={})


# ------------------------------------------------------------------------------------------ training


def recipe(o: Options, epochs: int, lr: float, group_l1: float = 0.0) -> Recipe:
    shared = {f.name: getattr(o, f.name) for f in dataclasses.fields(Recipe) if hasattr(o, f.name)}
    return Recipe(**{**shared, "epochs": epochs, "lr": lr, "group_l1": group_l1})


def fit(job: Job, compact: CompactNetwork, how: Recipe, stage: str) -> float:
    """Train a network in place, one log line an epoch; returns its best validation score."""
    how = dataclasses.replace(how, loss=loss_of(job, compact))
    data, classes = job.data, compact.kept.classes
    best = float("-inf")
    with bar(how.epochs * -(-len(data.train) // how.batch_size), stage) as shown:
        score = lambda logits: score_of(job, logits, classes)  # noqa: E731
        for record in training.train(compact.network, data.train, classes, how, score, data.validation, shown.update):
            best = max(best, record.score)
            if record.epoch % job.options.log_interval == 0 or record.epoch == how.epochs:
                job.log(
                    f"{told(job, classes)}{stage} epoch {record.epoch}/{how.epochs} loss {record.loss:.5f} "
                    f"validation {100 * record.score:.2f} %{' *' if record.best else ''}"
                )
    return best if how.epochs else validation_score(job, compact)


def loss_of(job: Job, compact: CompactNetwork) -> str:
    """--loss, but one-against-rest has no other class that cross-entropy could compare with."""
    loss = job.options.loss
    return "bce" if loss == "ce" and compact.kept.classes != job.all_classes else loss


def told(job: Job, classes) -> str:
    """The prefix of a log line."""
    return "" if classes == job.all_classes else f"class {checkpoint.joined(classes)} "


def score_of(job: Job, logits, classes) -> float:
    """What epochs are chosen by: argmax accuracy for all classes, else the mean of accuracy and balanced accuracy."""
    accuracy, balanced = headline_of(job, logits, classes)
    return accuracy if classes == job.all_classes else (accuracy + balanced) / 2


def headline_of(job: Job, logits, classes) -> tuple[float, float]:
    """(accuracy, balanced accuracy) of validation logits (n, classes)."""
    return evaluation.headline(
        evaluation.all_metrics(logits, job.data.validation.labels, classes, len(job.all_classes))
    )


def validation_score(job: Job, compact: CompactNetwork) -> float:
    return score_of(job, validation_logits(job, compact), compact.kept.classes)


def validation_logits(job: Job, compact: CompactNetwork):
    return evaluation.logits_of(compact.network, job.data.validation.images)


def wanted_outputs(compact: CompactNetwork, classes) -> CompactNetwork:
    """The network with the outputs of the wanted classes only."""
    return cut(compact, compact.kept.replace(len(compact.kept.units) - 1, classes))


# ------------------------------------------------------------------------------------------ finishing a stage


def skip(job: Job, verb: str, path: Path, input_hash: str) -> bool:
    """Whether this very step was finished before; says so, and says why where an old result is redone."""
    found = checkpoint.read_metrics(checkpoint.metrics_path(path))
    if found is None or not path.exists():
        return False
    same = made_by(job, verb, found, input_hash)
    job.log(
        f"{path.name}: " + ("already finished" if same else "made with other options or inputs, so it is made again")
    )
    return same


def made_by(job: Job, verb: str, found: dict, input_hash: str) -> bool:
    """Whether a metrics file is that of this stage with these options and inputs."""
    return found.get("options") == stage_options(job, verb) and found.get("input_hash") == stamp(job, input_hash)


def stage_options(job: Job, verb: str) -> dict:
    values = {name: getattr(job.options, name) for name in STAGE_OPTIONS[verb]}
    return {k: list(v) if isinstance(v, tuple) else str(v) if isinstance(v, Path) else v for k, v in values.items()}


def stamp(job: Job, input_hash: str) -> str:
    """Hash of what a stage starts from: the data and the checkpoint."""
    return hashlib.sha256(f"{job.data_hash} {input_hash}".encode()).hexdigest()


def hash_of(data: Dataset) -> str:
    """Hash of all images and labels, to the last bit."""
    digest = hashlib.sha256()
    for split in (data.train, data.validation, data.test):
        digest.update(split.labels.cpu().numpy())
        digest.update(split.images.cpu().numpy())
    return digest.hexdigest()


def finish(job: Job, verb: str, path: Path, made: Checkpoint, input_hash: str, story: dict | None = None) -> Path:
    """Save the checkpoint and, last, its metrics file, which is what makes the step finished."""
    checkpoint.metrics_path(path).unlink(missing_ok=True)
    checkpoint.save(path, made)
    found = metrics_of(job, verb, made, input_hash)
    file = {"file_bytes": path.stat().st_size, "checkpoint_hash": checkpoint.file_hash(path)}
    checkpoint.write_metrics(path, {**found, **(story or {}), **file})
    job.log(f"{told(job, made.classes)}{verb}: {summary(found)} -> {path}")
    return path


def metrics_of(job: Job, verb: str, made: Checkpoint, input_hash: str) -> dict:
    """The metrics file of a network: measures on the chosen split, sizes, origin."""
    o, network = job.options, made.compact.network
    split = job.data.split(o.split)
    measured = evaluation.all_metrics(
        evaluation.logits_of(network, split.images, o.test_batch_size), split.labels, made.classes, len(job.all_classes)
    )
    return {
        "verb": verb,
        "arch": made.arch,
        "dataset": job.data.name,
        "classes": list(made.classes),
        "algo": made.algo,
        "seed": o.seed,
        "split": o.split,
        **measured,
        "kept": dict(zip(network.chain.names, made.compact.kept.units, strict=True)),
        **evaluation.sizes(network, job.network_type, job.network_type.image_shape),
        "latency_ms": evaluation.latency_ms(network, job.network_type.image_shape),
        "validation_score": made.accuracy,
        "seconds": {stage: round(s, 2) for stage, s in job.seconds.items()},
        "threads": o.threads,
        "options": stage_options(job, verb),
        "input_hash": stamp(job, input_hash),
        **provenance(),
    }


def summary(found: dict) -> str:
    accuracy, balanced = evaluation.headline(found)
    return (
        f"{found['split']} accuracy {100 * accuracy:.2f} %, balanced {100 * balanced:.2f} %, "
        f"{found['true_weights']} weights, {found['true_parameters']} parameters, "
        f"paper rule {100 * found['paper_rule_rate']:.3f} %"
    )


def provenance() -> dict:
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


# ------------------------------------------------------------------------------------------ progress


def bar(total: int, text: str):
    """A progress bar for work that may last longer than two seconds; silent where stderr is no terminal."""
    return tqdm(total=total, desc=text, disable=None, leave=False, delay=2, file=sys.stderr)


def progress(items, text: str):
    return tqdm(items, desc=text, disable=None, leave=False, file=sys.stderr)
