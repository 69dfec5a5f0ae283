"""The method as named stages (design.md section 3 in code): train, prune, retrain, evaluate, sweep.

A stage leaves a checkpoint and the metrics file beside it. It is skipped when that metrics file carries
the same options and the same hash of its inputs.
"""

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
from specdnn import activations, checkpoint, community, connections, evaluation, graph, selection, training
from specdnn.checkpoint import Checkpoint, SavedModels
from specdnn.structures import ClassGraph, Dataset, KeptUnits, Options, Recipe, SpecDNNError
from specdnn.surgery import CompactNetwork, cut

# Options that shape a stage's result; the others only say where things lie or what is printed.
COMMON = ("arch", "dataset", "seed", "threads", "cuda", "split", "loss", "optimizer", "batch_size", "lr_epochs")
COMMON += ("momentum", "weight_decay")
EXTRACTION = ("algo", "warmup_epochs", "group_l1", "rounds", "brief_epochs", "brief_lr", "keep", "strength", "rate")
EXTRACTION += ("max_params", "trim", "oslom_bin", "oslom_runs", "oslom_t")
STAGE_OPTIONS = {
    "train": (*COMMON, "epochs", "lr"),
    "prune": (*COMMON, "classes", *EXTRACTION),
    "retrain": (*COMMON, "classes", "retrain_epochs", "retrain_lr"),
    "evaluate": (*COMMON, "classes"),
}


@dataclass
class Job:
    """What every stage works with: options, data, the network's type, names of files, a place to log."""

    options: Options
    data: Dataset
    network_type: type
    saved: SavedModels
    log: Callable[[str], None]
    data_hash: str
    seconds: dict = field(default_factory=dict)

    @property
    def all_classes(self) -> tuple[int, ...]:
        return tuple(range(len(self.data.class_names)))

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def for_classes(self, classes) -> Job:
        """The same job for other wanted classes."""
        return dataclasses.replace(self, options=dataclasses.replace(self.options, classes=classes), seconds={})


# ------------------------------------------------------------------------------------------ the verbs


def train_parent(job: Job) -> Path:
    """Train the whole network on all classes."""
    o, path = job.options, job.saved.parent()
    if skip(job, "train", path, ""):
        return path
    torch.manual_seed(o.seed)
    parent = CompactNetwork.parent(job.network_type().to(job.data.train.images.device))
    with job.timed("train"):
        accuracy = fit(job, parent, recipe(o, o.epochs, o.lr), "train")
    return finish(
        job, "train", path, Checkpoint(o.arch, o.dataset, parent, job.data.normalisation, accuracy, "", o.seed), ""
    )


def prune(job: Job, origin: Path, loaded: Checkpoint) -> Path:
    """Steps 0 to 7 of the method: warm-up, rounds of communities, trim to the budget."""
    o, input_hash = job.options, checkpoint.file_hash(origin)
    path = job.saved.pruned(o.classes, o.algo)
    if skip(job, "prune", path, input_hash):
        return path
    compact = wanted_outputs(loaded.compact, o.classes or loaded.classes)
    with job.timed("warm-up"):
        fit(job, compact, recipe(o, o.warmup_epochs, o.brief_lr, o.group_l1), "warm-up")
    rounds = community_rounds(job, compact)
    compact = trim(job, rounds[-1].compact)
    leave_evidence(path, rounds)
    made = origin_of(job, loaded, compact=compact, accuracy=validation_score(job, compact), algo=o.algo)
    communities = {"rounds": len(rounds), "community_true_weights": evaluation.weights(rounds[-1].compact.network)}
    story = {**rounds[0].figures, **communities}
    story.pop("validation_score")
    return finish(job, "prune", path, made, input_hash, story)


def origin_of(job: Job, loaded: Checkpoint, **changed) -> Checkpoint:
    """The checkpoint to save: where it comes from, with what a stage changed."""
    own = {"dataset": job.options.dataset, "normalisation": job.data.normalisation, "seed": job.options.seed}
    return dataclasses.replace(loaded, **own, **changed)


def retrain(job: Job, origin: Path, loaded: Checkpoint) -> Path:
    """The long retraining of what `prune` saved."""
    o, input_hash = job.options, checkpoint.file_hash(origin)
    algo = loaded.algo or "none"  # a network that nothing was cut from
    path = job.saved.retrained(o.classes, algo)
    if skip(job, "retrain", path, input_hash):
        return path
    compact = wanted_outputs(loaded.compact, o.classes or loaded.classes)
    with job.timed("retrain"):
        accuracy = fit(job, compact, recipe(o, o.retrain_epochs, o.retrain_lr), "retrain")
    made = origin_of(job, loaded, compact=compact, accuracy=accuracy, algo=algo)
    return finish(job, "retrain", path, made, input_hash)


def evaluate(job: Job, origin: Path, loaded: Checkpoint) -> dict:
    """All metrics and sizes of any checkpoint; writes nothing."""
    compact = wanted_outputs(loaded.compact, job.options.classes or loaded.classes)
    return metrics_of(job, "evaluate", dataclasses.replace(loaded, compact=compact), checkpoint.file_hash(origin))


def sweep(job: Job, load: Callable[[Path], Checkpoint]) -> None:
    """Parent, then for each class prune and retrain: the published experiment in one process."""
    parent = train_parent(job)
    classes = job.options.classes or job.all_classes
    for wanted in progress(classes, "classes"):
        one = job.for_classes((wanted,))
        pruned = prune(one, parent, load(parent))
        retrain(one, pruned, load(pruned))


# ------------------------------------------------------------------------------------------ training


def recipe(o: Options, epochs: int, lr: float, group_l1: float = 0.0) -> Recipe:
    shared = {f.name: getattr(o, f.name) for f in dataclasses.fields(Recipe) if hasattr(o, f.name)}
    return Recipe(**{**shared, "epochs": epochs, "lr": lr, "group_l1": group_l1})


def fit(job: Job, compact: CompactNetwork, how: Recipe, stage: str) -> float:
    """Train a network in place, one log line an epoch; returns its best validation score."""
    if how.loss == "ce" and compact.kept.classes != job.all_classes:
        how = dataclasses.replace(how, loss="bce")  # one-against-rest has no other class to compare with
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


def told(job: Job, classes) -> str:
    """The prefix of a log line."""
    return "" if classes == job.all_classes else f"class {checkpoint.joined(classes)} "


def score_of(job: Job, logits, classes) -> float:
    """What epochs are chosen by: argmax accuracy for all classes, else the mean of accuracy and balanced accuracy."""
    found = evaluation.all_metrics(logits, job.data.validation.labels, classes, len(job.all_classes))
    accuracy, balanced = evaluation.headline(found)
    return accuracy if classes == job.all_classes else (accuracy + balanced) / 2


def validation_score(job: Job, compact: CompactNetwork) -> float:
    return score_of(job, evaluation.logits_of(compact.network, job.data.validation.images), compact.kept.classes)


def wanted_outputs(compact: CompactNetwork, classes) -> CompactNetwork:
    """The network with the outputs of the wanted classes only."""
    return cut(compact, compact.kept.replace(len(compact.kept.units) - 1, classes))


# ------------------------------------------------------------------------------------------ communities


@dataclass(frozen=True)
class Round:
    """What one round leaves behind: the compact network after brief training, OSLOM's evidence, the figures."""

    compact: CompactNetwork
    run: community.OslomRun
    figures: dict


def community_rounds(job: Job, compact: CompactNetwork) -> list[Round]:
    """Graph, OSLOM, class community, cut, brief training; again on the survivor until the budget is met."""
    rounds: list[Round] = []
    for number in range(1, job.options.rounds + 1):
        if rounds and job.options.budgeted and meets_budget(job, compact):
            break
        found = one_round(job, compact, number)
        if found is None:
            job.log(f"{told(job, compact.kept.classes)}round {number}: no community is left, the rounds end")
            break
        rounds.append(found)
        compact = found.compact
    return rounds


def one_round(job: Job, compact: CompactNetwork, number: int) -> Round | None:
    """Cut to the class community and train briefly; None if there is no community in a later round."""
    o = job.options
    with job.timed("oslom"):
        found = find_community(job, compact, number)
    if found is None:
        return None
    kept, run, figures = found
    survivor = cut(compact, kept)
    with job.timed("brief training"):
        score = fit(job, survivor, recipe(o, o.brief_epochs, o.brief_lr), f"round {number}")
    return Round(survivor, run, {**figures, "validation_score": score})


def find_community(job: Job, compact: CompactNetwork, number: int):
    """(kept units, OSLOM run, figures) of the class community, or None in a later round without one.

    In round 1 a denser graph and then a larger tolerance are tried before it is an error.
    """
    o, scores, classes = job.options, unit_scores(job, compact), compact.kept.classes
    dense, tolerant = min(1.0, 2 * o.keep), min(1.0, 3 * o.oslom_t)
    attempts = [(o.keep, o.oslom_t), (dense, o.oslom_t), (dense, tolerant)]
    for keep, tolerance in attempts if number == 1 else attempts[:1]:
        found = try_community(job, compact, scores, keep, tolerance, may_be_narrow=number == 1)
        if found:
            job.log(f"{told(job, classes)}round {number}: {found_words(compact, *found)}")
            return found
        tried = f"--keep {keep:g} and -t {tolerance:g}"
        job.log(
            f"{told(job, classes)}round {number}: no significant module spans the layers widely enough with {tried}"
        )
    if number > 1:
        return None
    raise SpecDNNError(
        f"classes {checkpoint.joined(classes)}: OSLOM found no significant module with a unit in every layer; "
        "try a larger --keep or --oslom-t, or --warmup-epochs"
    )


def try_community(job: Job, compact: CompactNetwork, scores, keep: float, tolerance: float, may_be_narrow: bool):
    """(kept units, OSLOM run, figures) of the class community of one class graph, or None.

    A community that is narrower than the budget allows, with all modules joined, counts in round 1 only:
    later the trim, which keeps the widths in balance, does better than a layer of one or two units.
    """
    o, seen = job.options, class_graph(job, compact, scores, keep)
    relevance = [r[list(units)] for r, units in zip(seen.relevance, compact.kept.units, strict=True)]
    wanted = target_widths(job, compact, relevance[:-1]) or [1] * len(relevance)
    how = {"binary": o.oslom_bin, "seed": o.seed, "runs": o.oslom_runs, "timeout": o.oslom_timeout}
    run = community.run_program(seen.edges, seen.strengths, tolerance=tolerance, **how)
    chosen = selection.class_community(run.cover, seen, wanted)
    if chosen is None or not (may_be_narrow or selection.wide_enough(seen, chosen.nodes, wanted)):
        return None
    figures = {f.name: getattr(chosen, f.name) for f in dataclasses.fields(chosen) if f.name != "nodes"}
    kept = selection.kept_units(seen, chosen.nodes, compact.kept)
    return kept, run, {**figures, "keep": keep, "oslom_t": tolerance}


def found_words(before: CompactNetwork, kept: KeptUnits, run: community.OslomRun, figures: dict) -> str:
    """A community in one line."""
    return (
        f"{layers(kept.widths)} of {layers(before.kept.widths)} units, bs {figures['significance']:.3g}, "
        f"{figures['joined']} joined, {100 * figures['captured_relevance']:.1f} % of the relevance"
    )


def layers(widths) -> str:
    """Widths without the outputs: `88-7-4`."""
    return checkpoint.joined(widths[:-1])


def unit_scores(job: Job, compact: CompactNetwork):
    """(strengths per pair of layers, relevance per layer) of a network for its classes."""
    data = job.data
    with bar(-(-len(data.train) // activations.BATCH_SIZE), "activations") as shown:
        means = activations.class_means(
            compact.network, data.train, len(job.all_classes), data.normalisation, tick=shown.update
        )
    active = activations.STRENGTHS[job.options.strength](means, compact.kept.classes)
    return connections.strengths(connections.mean_weights(compact.network), active)


def class_graph(job: Job, compact: CompactNetwork, scores, keep: float) -> ClassGraph:
    return graph.class_graph(job.network_type().chain, compact.kept, *scores, keep)


def leave_evidence(path: Path, rounds: list[Round]) -> None:
    """Edge file, tp file, kept units and figures of every round, beside the pruned checkpoint."""
    checkpoint.remove_rounds(path)
    for number, one in enumerate(rounds, start=1):
        names, kept = one.compact.network.chain.names, one.compact.kept
        figures = {**one.figures, "true_weights": evaluation.weights(one.compact.network)}
        figures |= {"kept": dict(zip(names, kept.units, strict=True))}
        checkpoint.write(checkpoint.round_path(path, number, "edges"), one.run.edges)
        checkpoint.write(checkpoint.round_path(path, number, "tp"), one.run.tp)
        checkpoint.write(checkpoint.round_path(path, number, "json"), checkpoint.json_text(figures))


# ------------------------------------------------------------------------------------------ the budget


def meets_budget(job: Job, compact: CompactNetwork) -> bool:
    """Whether a network meets --rate (paper rule) and --max-params (true parameters), where given."""
    o, rule, widths = job.options, job.network_type.paper_rule_weights, compact.kept.widths
    small = o.rate is None or rule(widths) <= o.rate * rule(job.network_type.full_widths)
    return small and (o.max_params is None or evaluation.parameters(compact.network) <= o.max_params)


def target_widths(job: Job, compact: CompactNetwork, scores) -> tuple[int, ...] | None:
    """The widths that a cut by `scores` (per layer but the outputs) may keep; None without a budget."""
    if not job.options.budgeted:
        return None

    def fits(widths) -> bool:
        return meets_budget(job, cut(compact, selection.strongest(compact.kept, scores, widths)))

    chain = compact.network.chain
    widths = selection.budget_widths(
        job.network_type.full_widths[:-1] + (len(compact.kept.classes),), chain.widths, chain.prunable, fits
    )
    if not fits(widths):
        raise SpecDNNError("the budget is below one unit per layer: give a larger --rate or --max-params")
    return widths


def trim(job: Job, compact: CompactNetwork) -> CompactNetwork:
    """Cut to the exact budget in cut-and-retrain steps, by the ties inside the community or weight norms."""
    o, step = job.options, 0
    while o.budgeted and not meets_budget(job, compact):
        step += 1
        with job.timed("trim"):
            scores = trim_scores(job, compact)
            widths = selection.trim_steps(compact.kept.widths, target_widths(job, compact, scores))[0]
            compact = cut(compact, selection.strongest(compact.kept, scores, widths))
            fit(job, compact, recipe(o, o.brief_epochs, o.brief_lr), f"trim {step} to {layers(widths)}")
    return compact


def trim_scores(job: Job, compact: CompactNetwork) -> list[np.ndarray]:
    """Per layer but the outputs the score of every unit; the lowest are cut."""
    if job.options.trim == "norm":
        return connections.weight_norms(compact.network)
    whole = class_graph(job, compact, unit_scores(job, compact), 1.0)
    return selection.ties(whole, compact.kept)


# ------------------------------------------------------------------------------------------ finishing a stage


def skip(job: Job, verb: str, path: Path, input_hash: str) -> bool:
    """Whether this very step was finished before; says so, and says why where an old result is redone."""
    found = checkpoint.read_metrics(checkpoint.metrics_path(path))
    if found is None or not path.exists():
        return False
    same = found.get("options") == stage_options(job, verb) and found.get("input_hash") == stamp(job, input_hash)
    job.log(
        f"{path.name}: " + ("already finished" if same else "made with other options or inputs, so it is made again")
    )
    return same


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
    checkpoint.write_metrics(path, {**found, **(story or {}), "file_bytes": path.stat().st_size})
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
