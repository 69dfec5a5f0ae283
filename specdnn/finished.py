"""When a stage is finished: skip-if-done, and the files that it leaves, the metrics file last."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from specdnn import files
from specdnn.community import OslomError
from specdnn.files import SavedModels
from specdnn.measures import metrics_of, summary
from specdnn.memory import Clock, Memory
from specdnn.network import evaluation, netfile
from specdnn.network.netfile import Checkpoint
from specdnn.network.wiring import Wiring
from specdnn.structures import Architectures, Dataset, Record, SpecDNNError, normalisation_words, paper_rule_of
from specdnn.work import Work, run_of, told


@dataclass(frozen=True)
class Job:
    """What a stage has beside its work: the networks of the folder, names of files, the hash of the images.

    `whole` is the wiring of the network `network_type` that nothing was cut from, `published` the records of
    --resume-from by their names.
    """

    work: Work
    network_type: Callable[[], Any]
    whole: Wiring
    saved: SavedModels
    data_hash: str
    architectures: Architectures = field(default_factory=dict)
    published: dict[str, Record] = field(default_factory=dict)

    def used_to(self, loaded: Checkpoint) -> Job:
        """The same job on images normalised as this network was trained; the hash stays that of the data set."""
        before = self.work.data
        data = before.renormalised(loaded.normalisation or before.normalisation)
        if data is not before:
            self.work.log(
                f"images are normalised with {normalisation_words(data.normalisation)}, as the checkpoint says, "
                f"not with {normalisation_words(before.normalisation)}"
            )
        rule = None if loaded.network == netfile.COMPOSED else self.work.rule  # no published table counts its layers
        return replace(self, work=replace(self.work, data=data, rule=rule))

    def with_options(self, **changed: Any) -> Job:
        """The same job with other options."""
        return replace(self, work=self.work.with_options(**changed))

    def for_cell(self, seed: int, classes: tuple[int, ...], algo: str) -> Job:
        """The job of one cell of a sweep, with a clock of its own."""
        o = self.work.options
        rate = dict(o.class_rates).get(classes[0], o.rate)
        one = self.work.with_options(seed=seed, classes=classes, algo=algo, rate=rate)
        return replace(self, work=replace(one, clock=Clock()), saved=replace(self.saved, seed=seed))


# ------------------------------------------------------------------------------------------ skip if done


def skip(job: Job, verb: str, path: Path, input_hash: str) -> bool:
    """Whether this very step was finished before; says so, and says why where an old result is made again."""
    found = files.read_metrics(files.metrics_path(path))
    if found is None or not path.is_file():
        return False
    reason = why_again(job, verb, found, input_hash, path)
    job.work.log(f"{path.name}: {f'{reason}, so it is made again' if reason else 'already finished'}")
    if not reason:
        files.remove(files.resume(path))  # of a run that was broken just then
    return not reason


def why_again(job: Job, verb: str, found: Record, input_hash: str, path: Path) -> str:
    """What is not as this stage would leave it; empty if nothing is."""
    told, now = found.get("options") or {}, job.work.options.shaping(verb)
    missing = object()
    differing = [name for name in {**told, **now} if told.get(name, missing) != now.get(name, missing)]
    if differing:
        words = "; ".join(f"{name} {told.get(name)}, now {now.get(name)}" for name in differing)
        return f"made with other options ({words})"
    if found.get("input_hash") != stamp(job, input_hash):
        return "made from other inputs (images, or the checkpoint that it starts from)"
    return "" if found.get("checkpoint_hash") == files.file_hash(path) else "not the file that was measured"


def made_by(job: Job, verb: str, found: Record, input_hash: str) -> bool:
    """Whether a metrics file is that of this stage with these options and inputs."""
    return found.get("options") == job.work.options.shaping(verb) and found.get("input_hash") == stamp(job, input_hash)


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


@contextlib.contextmanager
def going_on(job: Job, verb: str, path: Path, input_hash: str) -> Iterator[Work]:
    """The work of a stage that has to be done, which goes on where a broken run with these options and inputs ended.

    Where it ends well, or cannot be done with these options, nothing of it is remembered any more.
    """
    work = job.work
    shaped_by = [verb, work.options.shaping(verb), stamp(job, input_hash), str(job.whole.network)]
    try:
        yield replace(work, memory=Memory.opened(path, json.dumps(shaped_by), work.clock, work.log))
    except (OslomError, files.CannotWrite):  # for lack of time or room: the same command may do it another time
        raise
    except SpecDNNError:
        files.remove(files.resume(path))
        raise
    files.remove(files.resume(path))


# ------------------------------------------------------------------------------------------ finishing


def finish(
    job: Job,
    verb: str,
    path: Path,
    made: Checkpoint,
    input_hash: str,
    story: Record | None = None,
    evidence: Sequence[Mapping[str, str]] = (),
) -> Path:
    """Save the checkpoint and, last, its metrics file, which is what makes the step finished.

    An earlier result of that name is set aside. `story` is for the metrics file, `evidence` the files of every round.
    """
    measured = measured_of(job, verb, made, input_hash)
    content = netfile.written(made)
    if earlier := files.set_aside(path, content):
        job.work.log(f"{path.name}: the earlier one is kept as {earlier}")
    files.write_rounds(path, evidence)
    files.write(path, content)
    file = {"file_bytes": path.stat().st_size, "checkpoint_hash": files.file_hash(path)}
    files.write_metrics(path, {**measured, **(story or {}), **file})
    numbers = {f"{verb}/{name}": value for name, value in measured.items() if type(value) in (int, float)}
    job.work.board.tell(run_of(job.work), numbers, 0)
    job.work.log(f"{told(job.work, made.classes)}{verb}: {summary(measured)} -> {path}")
    return path


def measured_of(job: Job, verb: str, made: Checkpoint, input_hash: str) -> Record:
    """The metrics file of a stage's network."""
    return {**metrics_of(job.work, verb, made, sizes_of(job, made)), "input_hash": stamp(job, input_hash)}


def sizes_of(job: Job, made: Checkpoint) -> dict[str, float]:
    """Both size conventions; a control may be another network of the folder, measured against the same parent."""
    named = {kind.__name__: kind for kind in job.architectures.values()}
    rule, whole = job.work.rule, job.whole
    base = rule(whole.layers.widths) if rule else whole.parent_sizes[0]
    own = paper_rule_of(named[made.network]) if made.network in named else rule
    return evaluation.sizes(made.compact, own, base, whole.parent_sizes)
