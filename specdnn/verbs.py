"""What each verb does, once the command line is known to be right. Prints nothing itself: `say` does."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from specdnn import (
    cluster,
    community,
    comparing,
    composing,
    exhibits,
    exporting,
    files,
    finished,
    jobs,
    measures,
    remote,
    stages,
)
from specdnn.board import Board
from specdnn.files import Folder, SavedModels
from specdnn.finished import Job
from specdnn.network import netfile
from specdnn.network.deployed import unnormalised
from specdnn.network.netfile import Checkpoint
from specdnn.network.surgery import CompactNetwork
from specdnn.network.wiring import Wiring, trace
from specdnn.options import VERBS, Options
from specdnn.results import comparison, drift, overview, publishing, runs
from specdnn.results.publishing import Say
from specdnn.structures import Dataset, Record, SpecDNNError, paper_rule_of
from specdnn.work import Work, classes_among


def run(folder: Folder, verb: str, args: argparse.Namespace, say: Say, warn: Say) -> list[str]:
    """Do what a verb says; returns what went wrong with the cells of a sweep. `warn` tells what was left out."""
    if verb == "publish":
        publishing.publish(folder, root_of(folder, args), say, warn)
        return []
    note = warn if verb == "evaluate" else say  # whose output is JSON, and a sentence
    if verb == "export":
        exporting.check(args.export)
    loaded = load_pretrained(folder, args)
    options = resolve(folder, args, verb, loaded, note)
    saved = saved_models(folder, options)
    if verb not in ("evaluate", "export"):  # which write nothing there
        files.check_writable(saved.folder)
    if "OSLOM" in {"prune": (options.algo,), "compose": (options.algo,), "sweep": options.algos}.get(verb, ()):
        community.program(options.oslom_bin)  # a missing program or compiler is told before hours of training
    set_torch(options)
    if verb == "report":
        report(folder, options, say, warn, needed=True)
        return []
    job = open_job(folder, options, saved, note)
    for told in introduction(verb, job.work.data, options, loaded):
        note(told)
    if verb == "sweep":
        return sweep(folder, job, say, warn)
    verb_of(verb, folder, args, job, loaded, say)
    return []


def set_torch(options: Options) -> None:
    """What a process computes with."""
    torch.set_num_threads(options.threads)
    torch.set_deterministic_debug_mode("warn")  # `use_deterministic_algorithms` also loads torch's compiler: a second


def introduction(verb: str, data: Dataset, options: Options, loaded: Checkpoint | None) -> list[str]:
    """What is to be known before anything is computed: the images, and how somebody's checkpoint was understood."""
    told = list(data.notes) if verb == "evaluate" else [images_words(data), *data.notes]
    return told + ([f"{options.pretrained}: {'; '.join(loaded.understood)}"] if loaded and loaded.understood else [])


def verb_of(verb: str, folder: Folder, args: argparse.Namespace, job: Job, loaded: Checkpoint | None, say: Say) -> None:
    if verb == "train":
        stages.train_parent(job)
    elif verb == "compose":
        compose(folder, job, say)
    elif loaded:
        verb_on(verb, folder, args, job, on_device(loaded, job), say)


def verb_on(verb: str, folder: Folder, args: argparse.Namespace, job: Job, loaded: Checkpoint, say: Say) -> None:
    """A verb that works on --pretrained."""
    if verb == "evaluate":
        found = stages.evaluate(job, args.pretrained, loaded)
        say(files.json_text({k: v for k, v in found.items() if k not in ("kept", "options")}).rstrip("\n"))
        say(measures.summary(found))
    elif verb == "export":
        say(export(args.export, job, args.pretrained, loaded))
    elif verb == "compare":
        compare(folder, args.compare, job, args.pretrained, loaded, say)
    else:
        stage = stages.prune if verb == "prune" else stages.retrain
        stage(job, args.pretrained, loaded)


def export(folder: Path, job: Job, origin: Path, loaded: Checkpoint) -> str:
    """Write a checkpoint for use elsewhere, measured on the split, beside the whole network of the folder."""
    data = job.used_to(loaded).work.data
    wanted = stages.wanted(job, loaded)
    measured = stages.evaluate(job, origin, wanted)
    whole = dataclasses.replace(loaded, compact=CompactNetwork(job.whole, job.whole.everything))
    raw = exporting.raw_images(data.split(job.work.options.split).images, loaded.normalisation or data.normalisation)
    told = {
        "class_names": data.class_names,
        "provenance": exporting.provenance(measured, checkpoint=origin.name, checkpoint_sha256=files.file_hash(origin)),
    }
    return exporting.export(folder, wanted, whole, raw, measured, told)


def compare(folder: Folder, path: Path, job: Job, origin: Path, loaded: Checkpoint, say: Say) -> None:
    """How far a network agrees with its parent on its own images and on --images; leaves figures and a picture."""
    data = job.work.data
    small = known(stages.wanted(job, loaded), data)
    parent = known(loading(folder, job)(path), data)
    comparing.check(small, parent, path)
    sets = (images_of(data, job.work.options.split), other_images(folder, job, small))
    rows = []
    for images in sets:
        found = comparing.compared(small, parent, images)
        rows += [{"of": images.name, **row} for row in comparing.figures(found)]
    shown, last = comparing.differences(found, images, data.class_names), sets[-1].name
    text = files.json_text({"verb": "compare", "checkpoint": origin.name, "parent": path.name, "rows": rows})
    files.write(files.comparison(origin, last, "json"), text)
    say(drift.table(rows, data.class_names))
    if shown:
        files.write(files.comparison(origin, last, "png"), drift.sheet(shown))
    say(f"they differ on {len(found.differing())} of {len(images)} images -> {files.comparison(origin, last, 'json')}")


def known(one: Checkpoint, data: Dataset) -> Checkpoint:
    """A checkpoint with the data set's normalisation, if it tells none."""
    return dataclasses.replace(one, normalisation=one.normalisation or data.normalisation)


def images_of(data: Dataset, split: str) -> comparing.Images:
    """A split of a data set as it was before its normalisation."""
    pixels = unnormalised(data.split(split).images, data.normalisation)
    return comparing.Images(f"{data.name} ({split})", pixels)


def other_images(folder: Folder, job: Job, small: Checkpoint) -> comparing.Images:
    """What --images names."""
    o, given = job.work.options, job.work.options.images or ""
    if given in folder.dataset.NORMALISATION:
        return images_of(folder.dataset.load(given, o.data_dir, torch.device("cpu")), o.split)
    if not Path(given).expanduser().is_dir():
        sets = ", ".join(folder.dataset.NORMALISATION)
        raise SpecDNNError(f"--images {given} is no folder, and none of the data sets {sets}")
    return comparing.of_folder(Path(given).expanduser(), small.compact.wiring.image_shape)


def sweep(folder: Folder, job: Job, say: Say, warn: Say) -> list[str]:
    """All cells, then the report of what there is."""
    o, load = job.work.options, loading(folder, job)
    if told := too_many(o):
        warn(told)  # on stderr: what a sweep prints is the same for any --jobs
    with cluster.connected(o.scheduler, warn) if o.scheduler else contextlib.nullcontext() as there:

        def crew_of(parents: dict[int, Path], groups: int) -> jobs.Crew | None:
            if there:
                post = remote.Post(job, load, parents)
                opening = functools.partial(cells_afar, remote.luggage(folder, job, parents))
                return there.crew(cluster.Sent.of(remote.code_of(folder), opening), post.pack, post.unpack)
            here = functools.partial(cells_elsewhere, folder, o, job.saved, parents)
            return jobs.Processes(min(o.jobs, groups), here) if min(o.jobs, groups) > 1 else None

        failures = stages.sweep(job, load, crew_of)
    report(folder, job.work.options, say, warn, needed=False)
    return failures


def cells_elsewhere(
    folder: Folder, options: Options, saved: SavedModels, parents: dict[int, Path], log: Say
) -> stages.Cells:
    """The cells of a sweep in a process of their own, which has the same settings and loads the images for itself."""
    set_torch(options)
    job = open_job(folder, options, saved, log)
    return stages.Cells(job, loading(folder, job), parents)


def cells_afar(bag: remote.Luggage, place: Path, log: Say) -> remote.Receiver:
    """The same on a machine that shares no folder with this one; raises SpecDNNError if it lacks what cells need."""
    options, saved, parents = remote.unpacked(place, bag)
    if options.cuda and not torch.cuda.is_available():
        raise SpecDNNError("torch finds no GPU there, but one at the driver; --no-cuda does without")
    if "OSLOM" in options.algos:
        community.program(options.oslom_bin)
    cells = cells_elsewhere(bag.folder, options, saved, parents, log)
    cells.job = dataclasses.replace(cells.job, published=bag.published)
    if cells.job.data_hash != bag.data_hash:
        raise SpecDNNError(f"its images of {options.dataset} in {options.data_dir} are not those of the driver")
    return remote.Receiver(cells, functools.partial(set_torch, options))


def compose(folder: Folder, job: Job, say: Say) -> None:
    """The composed network, its figures as a table, and the picture of what its members share."""
    path = composing.compose(job, loading(folder, job))
    found = json.loads(files.read_text(files.metrics_path(path)))
    say(comparison.table(found))
    files.write(files.picture_path(path), comparison.picture(found))


def loading(folder: Folder, job: Job) -> Callable[[Path], Checkpoint]:
    """What loads a checkpoint of the folder where the images lie."""
    return lambda path: on_device(netfile.load(path, folder.architectures, image=image_shape(folder)), job)


# ------------------------------------------------------------------------------------------ options


def load_pretrained(folder: Folder, args: argparse.Namespace) -> Checkpoint | None:
    if args.pretrained is None:
        return None
    loaded = netfile.load(args.pretrained, folder.architectures, args.arch, image_shape(folder))
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
    values: Record = {
        name: tuple(v) if isinstance(v, list) else v for name, v in vars(args).items() if name not in VERBS
    }
    values["arch"] = loaded.arch if loaded else args.arch or next(iter(folder.architectures))
    values["dataset"] = args.dataset or (loaded.dataset if loaded else "") or folder.dataset.DEFAULT
    values["data_dir"] = args.data_dir or folder.data
    values["cuda"] = args.cuda and torch.cuda.is_available()
    values["threads"] = there_are(args.threads, say)
    values["classes"] = wanted_classes(
        args.compose or args.classes, len(folder.dataset.CLASS_NAMES[values["dataset"]]), loaded, args.pretrained
    )
    if args.rate == "published":
        values["rate"], values["class_rates"] = None, published_rates(folder, values)
    values["candidates"] = tuple(dict.fromkeys(args.candidates))
    values["seeds"] = tuple(dict.fromkeys(args.seeds or [args.seed]))
    values["algos"] = tuple(dict.fromkeys(args.algos or [args.algo]))
    values["jobs"] = args.jobs or 1
    values["epochs"] = 20 if args.epochs is None else args.epochs
    values["lr"] = 0.003 if args.lr is None else args.lr
    stage = {"prune": "brief", "retrain": "retrain"}.get(verb)  # the training that --epochs and --lr mean
    for name in ("epochs", "lr") if stage else ():
        if getattr(args, name) is not None:
            values[f"{stage}_{name}"] = values[name]
    return Options(**values)


def there_are(threads: int, say: Say) -> int:
    """As many threads as the machine has processors for: more would only wait for each other."""
    if threads > processors():
        say(f"--threads {threads}: this machine runs {processors()} at a time, so {processors()} are used")
    return min(threads, processors())


def too_many(o: Options) -> str:
    """What is to be said where --jobs asks for more threads than may run at a time; empty if it does not."""
    if o.jobs == 1 or o.jobs * o.threads <= processors():
        return ""
    return (
        f"--jobs {o.jobs} with --threads {o.threads} each: this machine runs {processors()} threads at a time; "
        "fewer --threads are faster, but may give networks that differ in the last bits"
    )


def processors() -> int:
    """How many threads may run here at a time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def published_rates(folder: Folder, values: Record) -> tuple[tuple[int, float], ...]:
    """(class, rate) of the wanted classes: less than the published one by a unit of its last digit."""
    arch, dataset, path = values["arch"], values["dataset"], folder.published
    found = overview.published_figures(path, arch, dataset)
    wanted = values["classes"] or range(len(folder.dataset.CLASS_NAMES[dataset]))
    for missing in (c for c in wanted if c not in found):
        raise SpecDNNError(
            f"--rate published: {path} has no rate of {arch} on {dataset}, class {missing}; give a number"
        )
    return tuple((c, found[c][0] - 1e-6) for c in wanted)


def wanted_classes(
    specialize: list[int] | None, all_classes: int, loaded: Checkpoint | None, path: Path | None
) -> tuple[int, ...] | None:
    """The classes asked for, sorted, or those of the checkpoint; None for all of them."""
    own = loaded.classes if loaded else tuple(range(all_classes))
    if specialize is None:
        return None if len(own) == all_classes else own
    wanted = classes_among(specialize, all_classes)
    fixed = len(own) < all_classes or (loaded and loaded.network == netfile.COMPOSED)
    if fixed and wanted != own:
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


def open_job(folder: Folder, options: Options, saved: SavedModels, say: Say) -> Job:
    published, board = published_runs(options, say), Board(options.tensorboard)
    device = torch.device("cuda" if options.cuda else "cpu")
    data = folder.dataset.load(options.dataset, options.data_dir, device)
    network_type, digest, image = folder.architectures[options.arch], finished.hash_of(data), data.train.images[0].cpu()
    linear = linear_of(folder, image) if "linear" in (options.algo, *options.algos) else None
    work = Work(options, data, say, paper_rule_of(network_type), linear, board=board)
    return Job(work, network_type, untrained(network_type, image), saved, digest, folder.architectures, published)


def image_shape(folder: Folder) -> tuple[int, ...] | None:
    """Shape of an image of the folder, which files of weights alone do not tell."""
    return getattr(folder.dataset, "IMAGE_SHAPE", None)


def untrained(network_type: Callable[[], Any], image: torch.Tensor) -> Wiring:
    """The wiring of a network of the folder; no random number is used up."""
    with torch.random.fork_rng(devices=[]):
        return trace(network_type(), image)


def linear_of(folder: Folder, image: torch.Tensor) -> Callable[[], Any] | None:
    """The network of the folder that has no hidden layer, if there is one."""
    found = folder.architectures.values()
    return next((kind for kind in found if len(untrained(kind, image).layers.layers) == 2), None)


def images_words(data: Dataset) -> str:
    """What a run works with, so that half a data set does not pass for the whole."""
    train, validation, test = (len(part) for part in (data.train, data.validation, data.test))
    return (
        f"{data.name}: {train} training, {validation} validation, {test} test images of {len(data.class_names)} classes"
    )


def on_device(loaded: Checkpoint, job: Job) -> Checkpoint:
    loaded.compact.network.to(job.work.data.train.images.device)
    return loaded


# ------------------------------------------------------------------------------------------ results


def report(folder: Folder, options: Options, say: Say, warn: Say, needed: bool) -> None:
    """Print and write the report of the save folder, whatever the seed; `needed` where nothing else is wanted."""
    saved = dataclasses.replace(saved_models(folder, options), seed=1)  # holds all seeds
    shown = functools.partial(written_exhibits, folder, options, saved, say=say)
    publishing.write_report(folder, saved, options.dataset, shown, say, warn, needed)


def written_exhibits(
    folder: Folder, options: Options, saved: SavedModels, own: overview.Results, say: Say
) -> list[Record]:
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


def exhibit_of(folder: Folder, saved: SavedModels, row: Record, data: Dataset) -> Record:
    loaded = netfile.load(files.checkpoint_path(row["file"]), folder.architectures, image=image_shape(folder))
    data = data.renormalised(loaded.normalisation or data.normalisation)
    return exhibits.exhibit(loaded.compact, data)


def published_runs(options: Options, say: Say) -> dict[str, Record]:
    """Name -> record of the runs that --resume-from holds; raises SpecDNNError where it holds none of the network."""
    if options.resume_from is None:
        return {}
    saved = SavedModels(options.resume_from, options.arch)
    if not saved.runs().exists():
        raise SpecDNNError(f"--resume-from {options.resume_from}: there is no {saved.runs().name} in it")
    return {found["name"]: found for found in publishing.told(runs.read(saved, options.dataset), say)}
