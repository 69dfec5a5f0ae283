"""argv -> options -> one verb. The only Python file that prints or exits.

Nothing slow is imported before the command line is known to be right: a mistake is told at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

import specdnn
from specdnn import options
from specdnn.structures import Architectures, DatasetModule, SpecDNNError


class Parser(argparse.ArgumentParser):
    """argparse, but an error is one sentence and exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise SpecDNNError(message)


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Tells a default where there is one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default is None or action.default is False
        return action.help if silent else super()._get_help_string(action)


class Stopped(KeyboardInterrupt):
    """A signal, given by its number, that ends the program as Ctrl-C does: everything is tidied up on the way out."""


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `Stopped`, unless somebody has decided otherwise (nohup does)."""

    def stop(number: int, frame: object) -> None:
        raise Stopped(number)

    here = threading.current_thread() is threading.main_thread()  # no other thread may set handlers
    ours = [n for n in (signal.SIGTERM, signal.SIGHUP) if here and signal.getsignal(n) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def main(path: Path, architectures: Architectures, dataset: DatasetModule, argv: Sequence[str] | None = None) -> int:
    """Run `main.py` of a dataset folder; returns the exit code (2 for a user's mistake, 128 + n for signal n)."""
    show_what_can_be_shown()
    try:
        with stopped_by_signals():
            return run(path, architectures, dataset, sys.argv[1:] if argv is None else argv)
    except SpecDNNError as error:
        print(f"main.py: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        number = error.args[0] if isinstance(error, Stopped) else signal.SIGINT
        told = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        print(f"main.py: {told}; finished steps are kept and the same command goes on from them", file=sys.stderr)
        return 128 + number
    finally:
        close_output()


def run(path: Path, architectures: Architectures, dataset: DatasetModule, argv: Sequence[str]) -> int:
    args = parser(path, architectures, dataset).parse_args(argv)
    verb = chosen_verb(args)
    options.check_ranges(args)
    set_environment()
    from specdnn import files, verbs

    failures = verbs.run(files.Folder(path, architectures, dataset), verb, args, say, warn)
    if not failures:
        return 0
    warn(f"{len(failures)} cells failed, all others are finished: {'; '.join(failures)}")
    return 1


def set_environment() -> None:
    """What torch reads once, when it is loaded."""
    # Threads of its OpenMP runtime (libgomp) wait a little by spinning and then sleep. With the runtime's own, long
    # spin the short operations of a small network take several times as long as soon as anything else runs.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # Without it matrix products on CUDA may differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


# ------------------------------------------------------------------------------------------ output


def show_what_can_be_shown() -> None:
    """What the terminal's encoding lacks is replaced, so that no finished work is lost to an arrow or a dash."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # somebody else's stream
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a TextIOWrapper, unless suppressed


def say(text: str) -> None:
    """Print a line beside the progress bars. Work goes on when nobody reads any more (`| head`)."""
    try:
        tqdm.write(text)
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def warn(text: str) -> None:
    print(f"main.py: {text}", file=sys.stderr)


def close_output() -> None:
    """Flush here, where a closed pipe can be caught; Python's own flush at its end would complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# ------------------------------------------------------------------------------------------ the command line


def parser(path: Path, architectures: Architectures, dataset: DatasetModule) -> Parser:
    p = Parser(
        prog="main.py",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
        description=(
            "Train a network; extract from it the small network that recognises the wanted classes; retrain that. "
            "Without a verb the whole network is trained."
        ),
    )
    p.add_argument("--version", action="version", version=f"specdnn {specdnn.__version__}", help="print it and exit")
    add_verbs(p.add_argument_group("verbs (one of them)").add_mutually_exclusive_group())
    datasets = (dataset.DEFAULT, *sorted(set(dataset.NORMALISATION) - {dataset.DEFAULT}))
    options.add_options(p, {"arch": tuple(architectures), "dataset": datasets}, path)
    return p


def add_verbs(verbs: argparse._ActionsContainer) -> None:
    verbs.add_argument("--evaluate", action="store_true", help="measure any checkpoint given by --pretrained")
    verbs.add_argument("--prune", action="store_true", help="cut --pretrained to the community of the wanted classes")
    verbs.add_argument("--retrain", action="store_true", help="train what --prune saved, given by --pretrained")
    verbs.add_argument(
        "--sweep",
        action="store_true",
        help="train, or start from --pretrained; then prune and retrain every class, then report; goes on where it was "
        "broken off",
    )
    verbs.add_argument(
        "--report", action="store_true", help="print and write tables and pictures of the finished classes"
    )
    verbs.add_argument(
        "--export",
        type=options.path,
        metavar="DIR",
        help="write --pretrained for use elsewhere: safetensors, ONNX, a C header, a model card, all measured",
    )
    verbs.add_argument(
        "--compose",
        type=int,
        nargs="+",
        metavar="N",
        help="join the retrained networks of these classes to one network with all their outputs",
    )
    verbs.add_argument(
        "--compare",
        type=options.path,
        metavar="PARENT",
        help="how far --pretrained agrees with its parent's checkpoint on --images",
    )
    verbs.add_argument(
        "--publish",
        action="store_true",
        help="add the finished runs to those in results/ and rebuild tables, pictures and README from them",
    )


def chosen_verb(args: argparse.Namespace) -> str:
    """The verb, `train` if none is named; raises SpecDNNError if another option does not go with it."""
    verb = next((name for name in options.VERBS if getattr(args, name)), "train")
    if verb in options.ON_A_CHECKPOINT and args.pretrained is None:
        raise SpecDNNError(f"--{verb} needs a checkpoint: give --pretrained FILE")
    if verb not in options.MAY_START_FROM_ONE and args.pretrained is not None:
        *first, last = (f"--{name}" for name in options.MAY_START_FROM_ONE)
        raise SpecDNNError(f"--pretrained goes with {', '.join(first)} or {last}: name one of them")
    if verb in ("train", "compose") and args.classes is not None:
        raise SpecDNNError("--specialize goes with --prune, --retrain, --evaluate or --sweep: name one of them")
    for name in ("rate", "max_params", "min_balanced"):
        if verb not in ("prune", "sweep") and getattr(args, name) is not None:
            raise SpecDNNError(f"--{name.replace('_', '-')} goes with --prune or --sweep: name one of them")
    if verb != "sweep" and args.rate == "published":
        raise SpecDNNError("--rate published goes with --sweep: give a number")
    if verb == "compare" and args.images is None:
        raise SpecDNNError("--compare needs images: give --images with a data set or a folder of image files")
    if verb != "compare" and args.images is not None:
        raise SpecDNNError("--images goes with --compare PARENT")
    for name in ("seeds", "algos"):
        if verb != "sweep" and getattr(args, name) is not None:
            raise SpecDNNError(f"--{name} goes with --sweep; without it, --{name.removesuffix('s')} names one")
    if verb != "sweep" and args.jobs is not None:
        raise SpecDNNError("--jobs goes with --sweep: the other verbs make one network")
    check_scheduler(verb, args)
    return verb


def check_scheduler(verb: str, args: argparse.Namespace) -> None:
    """Raise SpecDNNError if --scheduler does not go with the other options."""
    if args.scheduler is None:
        return
    if verb != "sweep":
        raise SpecDNNError("--scheduler goes with --sweep: the other verbs make one network")
    if args.jobs is not None:
        raise SpecDNNError("--scheduler and --jobs exclude each other: the workers of a cluster are all that work")
    if args.tensorboard is not None:
        raise SpecDNNError(
            "--scheduler and --tensorboard exclude each other: a worker shares no folder with this machine"
        )
