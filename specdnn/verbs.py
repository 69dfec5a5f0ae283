"""What each verb does, once the command line is known to be right. Prints nothing itself: `say` does."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from specdnn import checkpoint, community, exhibits, files, job, pipeline, records, report, results
from specdnn.checkpoint import Checkpoint
from specdnn.files import SavedModels
from specdnn.network.wiring import trace
from specdnn.options import VERBS, Options
from specdnn.structures import Dataset, SpecDNNError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Folder:
    """A dataset folder: its place, its networks, and its `dataset` module."""

    path: Path
    architectures: dict
    dataset: object

    @property
    def data(self) -> Path:
        """Where the images lie or are downloaded to, unless --data-dir or SPECDNN_DATA says otherwise."""
        return self.path / "data"

    @property
    def saved_models(self) -> Path:
        return self.path / "saved_models"

    @property
    def published(self) -> Path:
        """The published figures to compare with, where the folder has them."""
        return self.path / "published.csv"


def run(folder: Folder, verb: str, args: argparse.Namespace, say: Say, warn: Say) -> list[str]:
    """Do what a verb says; returns what went wrong with the cells of a sweep. `warn` tells what was left out."""
    if verb == "publish":
        publish(folder, args, say, warn)
        return []
    note = warn if verb == "evaluate" else say  # whose output is JSON, and a sentence
    loaded = load_pretrained(folder, args)
    options = resolve(folder, args, verb, loaded, note)
    saved = saved_models(folder, options)
    if verb != "evaluate":  # which writes nothing
        files.check_writable(saved.folder)
    if "OSLOM" in {"prune": (options.algo,), "sweep": options.algos}.get(verb, ()):
        community.program(options.oslom_bin)  # a missing program or compiler is told before hours of training
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if verb == "report":
        print_report(folder, options, say, warn)
        return []
    work = open_job(folder, options, saved, note)
    for told in introduction(verb, work.data, options, loaded):
        note(told)
    if verb == "sweep":
        return sweep(folder, work, say, warn)
    verb_of(verb, work, loaded, say)
    return []


def introduction(verb: str, data: Dataset, options: Options, loaded: Checkpoint | None) -> list[str]:
    """What is to be known before anything is computed: the images, and how somebody's checkpoint was understood."""
    told = list(data.notes) if verb == "evaluate" else [images_words(data), *data.notes]
    return told + ([f"{options.pretrained}: {'; '.join(loaded.understood)}"] if loaded and loaded.understood else [])


def verb_of(verb: str, work: job.Job, loaded: Checkpoint | None, say: Say) -> None:
    if verb == "train":
        pipeline.train_parent(work)
    elif verb == "evaluate":
        found = pipeline.evaluate(work, work.options.pretrained, on_device(loaded, work))
        say(files.json_text({k: v for k, v in found.items() if k not in ("kept", "options")}).rstrip("\n"))
        say(job.summary(found))
    else:
        stage = pipeline.prune if verb == "prune" else pipeline.retrain
        stage(work, work.options.pretrained, on_device(loaded, work))


def sweep(folder: Folder, work: job.Job, say: Say, warn: Say) -> list[str]:
    """All cells, then the report of what there is."""
    load = lambda path: on_device(checkpoint.load(path, folder.architectures), work)  # noqa: E731
    failures = pipeline.sweep(work, load)
    write_report(folder, work.options, say, warn)
    return failures


# ------------------------------------------------------------------------------------------ options


def load_pretrained(folder: Folder, args) -> Checkpoint | None:
    if args.pretrained is None:
        return None
    loaded = checkpoint.load(args.pretrained, folder.architectures, args.arch)
    spelt = {name.lower(): name for name in folder.dataset.NORMALISATION}  # others write data sets in lower case
    loaded = dataclasses.replace(loaded, dataset=spelt.get(loaded.dataset.lower(), loaded.dataset))
    if loaded.dataset and loaded.dataset not in folder.dataset.NORMALISATION:
        raise SpecDNNError(
            f"{args.pretrained} was trained on {loaded.dataset}, which {folder.path.name}/ does not have"
        )
    if args.dataset and loaded.dataset and args.dataset != loaded.dataset:
        raise SpecDNNError(
            f"{args.pretrained} was trained on {loaded.dataset}, not on {args.dataset}: "
            "drop --dataset or name another checkpoint"
        )
    return loaded


def resolve(folder: Folder, args: argparse.Namespace, verb: str, loaded: Checkpoint | None, say: Say) -> Options:
    """The command line with every default filled in."""
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in vars(args).items() if name not in VERBS}
    values["arch"] = loaded.arch if loaded else args.arch or next(iter(folder.architectures))
    values["dataset"] = args.dataset or (loaded.dataset if loaded else "") or folder.dataset.DEFAULT
    values["data_dir"] = args.data_dir or folder.data
    values["cuda"] = args.cuda and torch.cuda.is_available()
    values["threads"] = there_are(args.threads, say)
    values["classes"] = wanted_classes(
        args.classes, len(folder.dataset.CLASS_NAMES[values["dataset"]]), loaded, args.pretrained
    )
    if args.rate == "published":
        values["rate"], values["class_rates"] = None, published_rates(folder, values)
    values["candidates"] = tuple(dict.fromkeys(args.candidates))
    values["seeds"] = tuple(dict.fromkeys(args.seeds or [args.seed]))
    values["algos"] = tuple(dict.fromkeys(args.algos or [args.algo]))
    values["epochs"] = 20 if args.epochs is None else args.epochs
    values["lr"] = 0.003 if args.lr is None else args.lr
    stage = {"prune": "brief", "retrain": "retrain"}.get(verb)  # the training that --epochs and --lr mean
    for name in ("epochs", "lr") if stage else ():
        if getattr(args, name) is not None:
            values[f"{stage}_{name}"] = values[name]
    return Options(**values)


def there_are(threads: int, say: Say) -> int:
    """As many threads as the machine has processors for: more would only wait for each other."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads > processors:
        say(f"--threads {threads}: this machine runs {processors} at a time, so {processors} are used")
    return min(threads, processors)


def published_rates(folder: Folder, values: dict) -> tuple[tuple[int, float], ...]:
    """(class, rate) of the wanted classes: less than the published one by a unit of its last digit."""
    arch, dataset, path = values["arch"], values["dataset"], folder.published
    found = results.published_figures(path, arch, dataset)
    wanted = values["classes"] or range(len(folder.dataset.CLASS_NAMES[dataset]))
    for missing in (c for c in wanted if c not in found):
        raise SpecDNNError(
            f"--rate published: {path} has no rate of {arch} on {dataset}, class {missing}; give a number"
        )
    return tuple((c, found[c][0] - 1e-6) for c in wanted)


def wanted_classes(specialize, all_classes: int, loaded: Checkpoint | None, path) -> tuple[int, ...] | None:
    """The classes asked for, sorted, or those of the checkpoint; None for all of them."""
    own = loaded.classes if loaded else tuple(range(all_classes))
    if specialize is None:
        return None if len(own) == all_classes else own
    wanted = tuple(sorted(set(specialize)))
    unknown = [c for c in wanted if not 0 <= c < all_classes]
    if unknown:
        raise SpecDNNError(f"there is no class {unknown[0]}: classes are 0 to {all_classes - 1}")
    if len(own) < all_classes and wanted != own:
        raise SpecDNNError(
            f"{path} is specialised to {files.joined(own)}, not to {files.joined(wanted)}: "
            "drop --specialize or name another checkpoint"
        )
    return None if len(wanted) == all_classes else wanted


def saved_models(folder: Folder, options: Options) -> SavedModels:
    """Where the results lie: under --save-dir; without one beside --pretrained, else beside `main.py`."""
    dataset = "" if options.dataset == folder.dataset.DEFAULT else options.dataset
    beside = options.pretrained.parent if options.pretrained and options.save_dir is None else None
    return SavedModels(root_of(folder, options), options.arch, dataset, options.seed, beside)


def root_of(folder: Folder, args: Options | argparse.Namespace) -> Path:
    return args.save_dir or folder.saved_models


def open_job(folder: Folder, options: Options, saved: SavedModels, say: Say) -> job.Job:
    device = torch.device("cuda" if options.cuda else "cpu")
    data = folder.dataset.load(options.dataset, options.data_dir, device)
    network_type, digest = folder.architectures[options.arch], job.hash_of(data)
    with torch.random.fork_rng(devices=[]):
        whole = trace(network_type(), data.train.images[0].cpu())
    return job.Job(options, data, network_type, whole, saved, say, digest, folder.architectures)


def images_words(data: Dataset) -> str:
    """What a run works with, so that half a data set does not pass for the whole."""
    train, validation, test = (len(part) for part in (data.train, data.validation, data.test))
    return (
        f"{data.name}: {train} training, {validation} validation, {test} test images of {len(data.class_names)} classes"
    )


def on_device(loaded: Checkpoint, work: job.Job) -> Checkpoint:
    loaded.compact.network.to(work.data.train.images.device)
    return loaded


# ------------------------------------------------------------------------------------------ results


def print_report(folder: Folder, options: Options, say: Say, warn: Say) -> None:
    """Print the report of the finished classes, and write it with its tables and pictures."""
    if not write_report(folder, options, say, warn):
        raise SpecDNNError(
            f"nothing to report: no retrained {options.arch} for {options.dataset} in {root_of(folder, options)}; "
            "run --sweep, or --prune and --retrain first"
        )


def write_report(folder: Folder, options: Options, say: Say, warn: Say) -> bool:
    """Print and write the report of all that is finished; False where nothing is."""
    saved = dataclasses.replace(saved_models(folder, options), seed=1)  # holds all seeds
    found = finished(saved.root, options.dataset, True, warn)
    own = results.of_network(found, options.arch, folder.published)
    if own is None:
        return False
    found = written_exhibits(folder, options, saved, own, say) + found
    own = results.of_network(found, options.arch, folder.published)
    results.write(own.files(saved))
    say(f"{own.markdown(saved)}\nwritten to {saved.table('md')}; tables and pictures lie beside it")
    return True


def finished(place: Path, dataset: str, checkpoints: bool, warn: Say) -> list[dict]:
    """The records of a data set below a folder; which metrics files are left out, and why, is told."""
    told = records.below(place, dataset, checkpoints)
    for sentence in told.left_out:
        warn(sentence)
    return told.found


def written_exhibits(
    folder: Folder, options: Options, saved: SavedModels, own: results.Results, say: Say
) -> list[dict]:
    """What the contact sheet shows of each class, from the checkpoints of the first seed and the images."""
    rows = [row for row in own.ours if row["seed"] == own.ours[0]["seed"]]
    if not rows:
        return []  # nothing to show, and no reason to replace what was shown
    try:
        data = folder.dataset.load(options.dataset, options.data_dir, torch.device("cpu"))
        classes = [exhibit_of(folder, saved, row, data) for row in rows]
    except SpecDNNError as missing:
        say(f"the contact sheet of the classes is left as it is: {missing}")
        return []
    text = files.json_text({"verb": "exhibits", "arch": saved.arch, "dataset": options.dataset, "classes": classes})
    files.write(saved.exhibits(), text)
    return [json.loads(text)]


def exhibit_of(folder: Folder, saved: SavedModels, row: dict, data: Dataset) -> dict:
    loaded = checkpoint.load(files.checkpoint_path(row["file"]), folder.architectures)
    data = data.renormalised(loaded.normalisation or data.normalisation)
    return exhibits.exhibit(loaded.compact, data)


def publish(folder: Folder, args: argparse.Namespace, say: Say, warn: Say) -> None:
    """Copy the metrics files to results/runs, build tables, pictures and README's section from those alone."""
    saved, runs, readme = root_of(folder, args), folder.path / "results" / "runs", folder.path.parent / "README.md"
    text, marker, dataset = files.read_text(readme), f"results of {folder.path.name}", folder.dataset.DEFAULT
    report.between(text, marker, "")  # a README without the section is told before anything is written
    for metrics in finished(saved, dataset, True, warn):
        publish_metrics(metrics, runs / ".".join(metrics["file"].relative_to(saved).parts))
    found = finished(runs, dataset, False, warn)
    networks = {arch: results.of_network(found, arch, folder.published) for arch in folder.architectures}
    sections = [publish_network(folder, arch, own, say) for arch, own in networks.items() if own]
    if not sections:
        raise SpecDNNError(f"nothing to publish: no finished runs in {saved} or {runs}")
    together = report.beaten_together([own.published for own in networks.values() if own])
    files.write(readme, report.between(text, marker, "\n".join(filter(None, [together, *sections]))))
    say(f"written: {runs}, the tables and pictures beside it, and the results section of {readme}")


def publish_metrics(metrics: dict, copy: Path) -> None:
    """A copy named after its folders: seed2/x.json is seed2.x.json.

    Of a network that is no longer there only its origin is told, unless more is published already.
    """
    if not metrics.get("outdated"):
        files.write(copy, metrics["file"].read_bytes())
    elif not copy.exists():
        files.write(copy, files.json_text(records.origin(metrics)))


def publish_network(folder: Folder, arch: str, own: results.Results, say: Say) -> str:
    """Write the tables and pictures of a network; returns its part of the README."""
    saved = SavedModels(folder.path / "results", arch)
    results.write(own.files(saved))
    if not own.exhibits:
        say(f"{saved.arch}: no contact sheet, for no {saved.exhibits().name} is published; --report makes it")
    return own.readme(saved, folder.path.parent)
