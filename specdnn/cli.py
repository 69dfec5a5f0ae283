"""argv -> options -> one verb. The only Python file that prints or exits."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from specdnn import (
    activations,
    algorithms,
    checkpoint,
    community,
    exhibits,
    job,
    pipeline,
    records,
    report,
    results,
    training,
)
from specdnn.checkpoint import Checkpoint, SavedModels
from specdnn.structures import Options, SpecDNNError

ALGORITHMS = (*algorithms.ALGORITHMS, *algorithms.CONTROLS)
VERBS = ("evaluate", "prune", "retrain", "sweep", "report", "publish")


class Parser(argparse.ArgumentParser):
    """argparse, but an error is one sentence and exit code 2."""

    def error(self, message: str):
        raise SpecDNNError(message)

    def plain_metavars(self) -> Parser:
        """N for whole numbers, X for others, FILE or DIR as named; never the option's own name again."""
        for action in self._actions:
            if action.metavar is None and action.choices is None:
                action.metavar = {int: "N", float: "X", Path: "DIR"}.get(action.type)
        return self


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Tells a default where there is one."""

    def _get_help_string(self, action):
        silent = action.default is None or action.default is False
        return action.help if silent else super()._get_help_string(action)


@dataclass(frozen=True)
class Folder:
    """A dataset folder: its place, its networks, and its `dataset` module."""

    path: Path
    architectures: dict
    dataset: object

    @property
    def published(self) -> Path:
        """The published figures to compare with, where the folder has them."""
        return self.path / "published.csv"


def main(path: Path, architectures: dict, dataset, argv: list[str] | None = None) -> int:
    """Run `main.py` of a dataset folder; returns the exit code (2 for a user's mistake)."""
    try:
        return run(Folder(path, architectures, dataset), sys.argv[1:] if argv is None else argv)
    except SpecDNNError as error:
        print(f"main.py: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("main.py: interrupted; finished steps are kept and the same command goes on from them", file=sys.stderr)
        return 130


def run(folder: Folder, argv: list[str]) -> int:
    args = parser(folder).parse_args(argv)
    verb = chosen_verb(args)
    check_ranges(args)
    if verb == "publish":
        return publish(folder, args)
    loaded = load_pretrained(folder, args)
    options = resolve(folder, args, verb, loaded)
    if verb != "evaluate":  # which writes nothing
        checkpoint.check_writable(options.save_dir)
    if "OSLOM" in {"prune": (options.algo,), "sweep": options.algos}.get(verb, ()):
        community.program(options.oslom_bin)  # a missing program or compiler is told before hours of training
    saved = saved_models(folder, options.save_dir, options.arch, options.dataset, options.seed)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if verb == "report":
        return print_report(folder, options)
    work = open_job(folder, options, saved)
    if verb == "sweep":
        load = lambda path: on_device(checkpoint.load(path, folder.architectures), work)  # noqa: E731
        return told_failures(pipeline.sweep(work, load), folder, options)
    verb_of(verb, work, loaded)
    return 0


def verb_of(verb: str, work: job.Job, loaded: Checkpoint | None) -> None:
    if verb == "train":
        pipeline.train_parent(work)
    elif verb == "evaluate":
        found = pipeline.evaluate(work, work.options.pretrained, on_device(loaded, work))
        print(checkpoint.json_text({k: v for k, v in found.items() if k not in ("kept", "options")}), end="")
        print(job.summary(found))
    else:
        stage = pipeline.prune if verb == "prune" else pipeline.retrain
        stage(work, work.options.pretrained, on_device(loaded, work))


def told_failures(failures: list[str], folder: Folder, options: Options) -> int:
    """Print the report of what a sweep made, if anything; exit code 1 and one sentence if cells failed."""
    write_report(folder, options)
    if not failures:
        return 0
    print(f"main.py: {len(failures)} cells failed, all others are finished: {'; '.join(failures)}", file=sys.stderr)
    return 1


# ------------------------------------------------------------------------------------------ the command line


def parser(folder: Folder) -> Parser:
    p = Parser(
        prog="main.py",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
        description=(
            "Train a network; extract from it the small network that recognises the wanted classes; retrain that. "
            "Without a verb the whole network is trained."
        ),
    )
    add_verbs(p.add_argument_group("verbs (one of them)").add_mutually_exclusive_group())
    add_common(p.add_argument_group("what and where"), folder)
    add_training(p.add_argument_group("training"))
    add_extraction(p.add_argument_group("extraction (--prune, --sweep)"))
    add_oslom(p.add_argument_group("the OSLOM program (--prune, --sweep)"))
    add_sweep(p.add_argument_group("the cells of --sweep"))
    return p.plain_metavars()


def add_verbs(verbs) -> None:
    verbs.add_argument("--evaluate", action="store_true", help="measure any checkpoint given by --pretrained")
    verbs.add_argument("--prune", action="store_true", help="cut --pretrained to the community of the wanted classes")
    verbs.add_argument("--retrain", action="store_true", help="train what --prune saved, given by --pretrained")
    verbs.add_argument(
        "--sweep",
        action="store_true",
        help="train, then prune and retrain every class, then report; goes on where it was broken off",
    )
    verbs.add_argument(
        "--report", action="store_true", help="print and write tables and pictures of the finished classes"
    )
    verbs.add_argument(
        "--publish",
        action="store_true",
        help="copy the finished metrics files to results/ and rebuild tables, pictures and README from them",
    )


def add_common(group, folder: Folder) -> None:
    group.add_argument(
        "--arch",
        choices=list(folder.architectures),
        help=f"the network (default: that of --pretrained, else {next(iter(folder.architectures))})",
    )
    group.add_argument(
        "--dataset",
        choices=sorted(folder.dataset.NORMALISATION),
        help=f"(default: that of --pretrained, else {folder.dataset.DEFAULT})",
    )
    group.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("SPECDNN_DATA", folder.path / "data")),
        help="where the images lie or are downloaded to; SPECDNN_DATA sets it too",
    )
    group.add_argument(
        "--save-dir", type=Path, default=folder.path / "saved_models", help="checkpoints and metrics files"
    )
    group.add_argument("--pretrained", type=Path, metavar="FILE", help="the checkpoint to start from")
    group.add_argument(
        "--specialize",
        "--classes",
        type=int,
        nargs="+",
        metavar="N",
        help="the wanted classes (default: all of the checkpoint's); with --sweep each gets its own network",
    )
    group.add_argument(
        "--split",
        choices=("test", "validation"),
        default="test",
        help="what metrics files are measured on; choices are always made on validation",
    )
    group.add_argument("--seed", type=int, default=1, help="of first weights, order of images, and the OSLOM program")
    group.add_argument(
        "--threads", type=int, default=2, help="processor threads; the same number and seed give the same networks"
    )
    group.add_argument("--no-cuda", action="store_true", help="stay on the processor even if there is a GPU")
    group.add_argument("--log-interval", type=int, default=1, metavar="N", help="epochs between two lines of metrics")


def add_training(group) -> None:
    group.add_argument("--batch-size", type=int, default=128, help="images per step")
    group.add_argument("--test-batch-size", type=int, default=128, help="images at a time when measuring")
    group.add_argument(
        "--epochs",
        type=int,
        help="of the verb's training: the parent's 20 (with --sweep too), else --brief-epochs or --retrain-epochs",
    )
    group.add_argument(
        "--lr",
        type=float,
        help="highest rate of the verb's training: the parent's 0.003, else --brief-lr or --retrain-lr",
    )
    group.add_argument(
        "--lr-epochs",
        type=int,
        default=0,
        metavar="N",
        help="divide the learning rate by 10 every N epochs; 0: one cycle up and down",
    )
    group.add_argument("--optimizer", choices=("AdamW", "SGD"), default="AdamW", help="SGD as published")
    group.add_argument("--momentum", type=float, default=0.9, help="of SGD")
    group.add_argument("--weight-decay", "--wd", type=float, default=1e-4, help="of either optimizer")
    group.add_argument(
        "--loss",
        choices=sorted(training.LOSSES),
        default="bce",
        help="bce on the logits, mse after the sigmoid, ce over all classes (one-against-rest stays bce)",
    )
    group.add_argument("--retrain-epochs", type=int, default=20, help="of --retrain")
    group.add_argument("--retrain-lr", type=float, default=0.01, help="highest rate of --retrain")


def add_extraction(group) -> None:
    group.add_argument(
        "--algo",
        choices=ALGORITHMS,
        default="OSLOM",
        help="what chooses the units; the rivals follow the cuts of a finished OSLOM run with the same options",
    )
    group.add_argument(
        "--warmup-epochs", type=int, default=2, help="one-against-rest training before the first class graph; may be 0"
    )
    group.add_argument("--group-l1", type=float, default=5e-5, help="weight of the unit norms in the warm-up's loss")
    group.add_argument("--rounds", type=int, default=2, help="class graph, community, cut: at most this often")
    group.add_argument("--brief-epochs", type=int, default=2, help="training after every cut; may be 0")
    group.add_argument("--brief-lr", type=float, default=0.003, help="of warm-up and of brief training in the rounds")
    group.add_argument(
        "--trim-steps", type=int, default=5, help="cuts of the trim; more if the last would halve a layer"
    )
    group.add_argument("--trim-l1", type=float, default=1e-3, help="weight of the unit norms in the trim's loss")
    group.add_argument("--trim-lr", type=float, default=0.01, help="of brief training in the trim")
    group.add_argument("--keep", type=float, default=0.2, help="share of the connections kept in the class graph")
    group.add_argument(
        "--strength",
        choices=sorted(activations.STRENGTHS),
        default="contrast",
        help="class activation: class against rest, or class alone",
    )
    group.add_argument(
        "--rate",
        type=rate,
        metavar="X",
        help="budget: share of the weights by the paper rule, above 0 and at most 1 (default: the community as it is); "
        "with --sweep also `published`: each class a little less than its published share",
    )
    group.add_argument("--max-params", type=int, help="budget: true parameters, weights and biases")
    group.add_argument(
        "--min-balanced",
        type=float,
        help="the smallest network with this balanced accuracy on validation, before --retrain; at most the budget",
    )
    group.add_argument(
        "--candidates",
        choices=("shape", "score"),
        nargs="+",
        default=["shape", "score"],
        help="widths that the last cut tries, the best on validation stays: between one unit per layer and the whole "
        "network (a rival: OSLOM's), or by one ranking of all units",
    )
    group.add_argument(
        "--trim",
        choices=("ties", "norm"),
        default="norm",
        help="what the last cut to the budget drops first: weak ties inside the community, or small weight norms",
    )


def add_oslom(group) -> None:
    group.add_argument(
        "--oslom-bin",
        type=Path,
        default=os.environ.get("OSLOM_BIN"),
        metavar="FILE",
        help="another program with the same command line (OSLOM_BIN sets it too; else oslom/, built when missing)",
    )
    group.add_argument("--oslom-runs", type=int, default=1, help="its -r")
    group.add_argument("--oslom-t", type=float, default=0.1, help="its -t, the significance level")
    group.add_argument("--oslom-timeout", type=float, default=600, help="seconds it may take")
    group.add_argument(
        "--oslom-seeds",
        type=int,
        default=1,
        help="record how alike the first communities of so many seeds are (Jaccard index)",
    )


def add_sweep(group) -> None:
    group.add_argument("--seeds", type=int, nargs="+", metavar="N", help="(default: that of --seed)")
    group.add_argument("--algos", choices=ALGORITHMS, nargs="+", help="(default: that of --algo)")
    group.add_argument(
        "--resume-from", type=Path, metavar="DIR", help="published metrics files whose cells need not be made again"
    )


def chosen_verb(args) -> str:
    verb = next((name for name in VERBS if getattr(args, name)), "train")
    if verb in ("evaluate", "prune", "retrain") and args.pretrained is None:
        raise SpecDNNError(f"--{verb} needs a checkpoint: give --pretrained FILE")
    if verb not in ("evaluate", "prune", "retrain") and args.pretrained is not None:
        raise SpecDNNError("--pretrained goes with --prune, --retrain or --evaluate: name one of them")
    if verb != "sweep" and args.rate == "published":
        raise SpecDNNError("--rate published goes with --sweep: give a number")
    if verb == "train" and args.specialize is not None:
        raise SpecDNNError("--specialize goes with --prune, --retrain, --evaluate or --sweep: name one of them")
    for name in ("seeds", "algos"):
        if verb != "sweep" and getattr(args, name) is not None:
            raise SpecDNNError(f"--{name} goes with --sweep; without it, --{name.removesuffix('s')} names one")
    return verb


# option -> (test, what is right)
RANGES = {
    "keep": (lambda v: 0 < v <= 1, "above 0 and at most 1"),
    "rate": (lambda v: v == "published" or 0 < v <= 1, "above 0 and at most 1"),
    "max_params": (lambda v: v >= 1, "at least 1"),
    "min_balanced": (lambda v: 0 < v <= 1, "above 0 and at most 1"),
    "seeds": (lambda v: all(1 <= seed <= 2147483399 for seed in v), "between 1 and 2147483399"),
    "oslom_t": (lambda v: 0 <= v <= 1, "between 0 and 1"),
    "oslom_timeout": (lambda v: 0 < v <= 1e6, "above 0 and at most 1000000"),
    "momentum": (lambda v: 0 <= v < 1, "between 0 and 1"),
    "seed": (lambda v: 1 <= v <= 2147483399, "between 1 and 2147483399"),
    **dict.fromkeys(("lr", "brief_lr", "trim_lr", "retrain_lr"), (lambda v: 0 < v < float("inf"), "above 0")),
    **dict.fromkeys(
        (
            "threads",
            "batch_size",
            "test_batch_size",
            "rounds",
            "trim_steps",
            "log_interval",
            "oslom_runs",
            "oslom_seeds",
        ),
        (lambda v: v >= 1, "at least 1"),
    ),
    **dict.fromkeys(
        ("epochs", "lr_epochs", "warmup_epochs", "brief_epochs", "retrain_epochs"), (lambda v: v >= 0, "at least 0")
    ),
    **dict.fromkeys(("weight_decay", "group_l1", "trim_l1"), (lambda v: 0 <= v < float("inf"), "at least 0")),
}


def rate(text: str) -> float | str:
    """The value of --rate."""
    if text == "published":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, or with --sweep the word published, got {text}") from None


def check_ranges(args) -> None:
    for name, (right, words) in RANGES.items():
        value = getattr(args, name)
        if value is not None and not right(value):
            raise SpecDNNError(f"--{name.replace('_', '-')} must be {words}, got {value}")


# ------------------------------------------------------------------------------------------ options


def load_pretrained(folder: Folder, args) -> Checkpoint | None:
    if args.pretrained is None:
        return None
    loaded = checkpoint.load(args.pretrained, folder.architectures, args.arch)
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


def resolve(folder: Folder, args, verb: str, loaded: Checkpoint | None) -> Options:
    """The command line with every default filled in."""
    values = vars(args).copy()
    specialize = values.pop("specialize")
    for name in VERBS:
        values.pop(name)
    values["arch"] = loaded.arch if loaded else args.arch or next(iter(folder.architectures))
    values["dataset"] = args.dataset or (loaded.dataset if loaded else "") or folder.dataset.DEFAULT
    values["cuda"] = not values.pop("no_cuda") and torch.cuda.is_available()
    values["classes"] = wanted_classes(
        specialize, len(folder.dataset.CLASS_NAMES[values["dataset"]]), loaded, args.pretrained
    )
    values["class_rates"] = ()
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
            f"{path} is specialised to {checkpoint.joined(own)}, not to {checkpoint.joined(wanted)}: "
            "drop --specialize or name another checkpoint"
        )
    return None if len(wanted) == all_classes else wanted


def saved_models(folder: Folder, root: Path, arch: str, dataset: str, seed: int) -> SavedModels:
    return SavedModels(root, arch, "" if dataset == folder.dataset.DEFAULT else dataset, seed)


def open_job(folder: Folder, options: Options, saved: SavedModels) -> job.Job:
    device = torch.device("cuda" if options.cuda else "cpu")
    data = folder.dataset.load(options.dataset, options.data_dir, device)
    network_type, digest = folder.architectures[options.arch], job.hash_of(data)
    return job.Job(options, data, network_type, saved, tqdm.write, digest, folder.architectures)


def on_device(loaded: Checkpoint, work: job.Job) -> Checkpoint:
    loaded.compact.network.to(work.data.train.images.device)
    return loaded


# ------------------------------------------------------------------------------------------ results


def print_report(folder: Folder, options: Options) -> int:
    """Print the report of the finished classes, and write it with its tables and pictures."""
    if not write_report(folder, options):
        raise SpecDNNError(
            f"nothing to report: no retrained {options.arch} for {options.dataset} in {options.save_dir}; "
            "run --sweep, or --prune and --retrain first"
        )
    return 0


def write_report(folder: Folder, options: Options) -> bool:
    """Print and write the report of all that is finished; False where nothing is."""
    saved = saved_models(folder, options.save_dir, options.arch, options.dataset, seed=1)  # holds all seeds
    found = finished(options.save_dir, options.dataset, checkpoints=True)
    own = results.of_network(found, options.arch, folder.published)
    if own is None:
        return False
    found = written_exhibits(folder, options, saved, own) + found
    own = results.of_network(found, options.arch, folder.published)
    results.write(own.files(saved))
    print(f"{own.markdown(saved)}\nwritten to {saved.table('md')}; tables and pictures lie beside it")
    return True


def finished(place: Path, dataset: str, checkpoints: bool) -> list[dict]:
    """The records of a data set below a folder; which metrics files are left out, and why, is told."""
    told = records.below(place, dataset, checkpoints)
    for sentence in told.left_out:
        print(f"main.py: {sentence}", file=sys.stderr)
    return told.found


def written_exhibits(folder: Folder, options: Options, saved: SavedModels, own: results.Results) -> list[dict]:
    """What the contact sheet shows of each class, from the checkpoints of the first seed and the images."""
    rows = [row for row in own.ours if row["seed"] == own.ours[0]["seed"]]
    if not rows:
        return []  # nothing to show, and no reason to replace what was shown
    try:
        data = folder.dataset.load(options.dataset, options.data_dir, torch.device("cpu"))
        classes = [exhibit_of(folder, saved, row, data) for row in rows]
    except SpecDNNError as missing:
        print(f"the contact sheet of the classes is left as it is: {missing}")
        return []
    text = checkpoint.json_text(
        {"verb": "exhibits", "arch": saved.arch, "dataset": options.dataset, "classes": classes}
    )
    checkpoint.write(saved.exhibits(), text)
    return [json.loads(text)]


def exhibit_of(folder: Folder, saved: SavedModels, row: dict, data) -> dict:
    compact = checkpoint.load(checkpoint.checkpoint_path(row["file"]), folder.architectures).compact
    return exhibits.exhibit(compact, data, folder.architectures[saved.arch]().chain)


def publish(folder: Folder, args) -> int:
    """Copy the metrics files to results/runs, build tables, pictures and README's section from those alone."""
    runs, readme, dataset = folder.path / "results" / "runs", folder.path.parent / "README.md", folder.dataset.DEFAULT
    text, marker = checkpoint.read_text(readme), f"results of {folder.path.name}"
    report.between(text, marker, "")  # a README without the section is told before anything is written
    for metrics in finished(args.save_dir, dataset, checkpoints=True):
        publish_metrics(metrics, runs / ".".join(metrics["file"].relative_to(args.save_dir).parts))
    found = finished(runs, dataset, checkpoints=False)
    networks = {arch: results.of_network(found, arch, folder.published) for arch in folder.architectures}
    sections = [publish_network(folder, arch, own) for arch, own in networks.items() if own]
    if not sections:
        raise SpecDNNError(f"nothing to publish: no finished runs in {args.save_dir} or {runs}")
    together = report.beaten_together([own.published for own in networks.values() if own])
    checkpoint.write(readme, report.between(text, marker, "\n".join(filter(None, [together, *sections]))))
    print(f"written: {runs}, the tables and pictures beside it, and the results section of {readme}")
    return 0


def publish_metrics(metrics: dict, copy: Path) -> None:
    """A copy named after its folders: seed2/x.json is seed2.x.json.

    Of a network that is no longer there only its origin is told, unless more is published already.
    """
    if not metrics.get("outdated"):
        checkpoint.write(copy, metrics["file"].read_bytes())
    elif not copy.exists():
        checkpoint.write(copy, checkpoint.json_text(records.origin(metrics)))


def publish_network(folder: Folder, arch: str, own: results.Results) -> str:
    """Write the tables and pictures of a network; returns its part of the README."""
    saved = SavedModels(folder.path / "results", arch)
    results.write(own.files(saved))
    if not own.exhibits:
        print(f"{saved.arch}: no contact sheet, for no {saved.exhibits().name} is published; --report makes it")
    return own.readme(saved, folder.path.parent)
