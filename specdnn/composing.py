"""Networks of single classes -> one network with all their outputs, measured beside its parent and beside the network
that one extraction of all these classes gives at the same size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from specdnn import files, rivals, selection, stages
from specdnn.finished import Job, finish, skip
from specdnn.memory import Clock
from specdnn.network import evaluation
from specdnn.network.composition import composed
from specdnn.network.netfile import COMPOSED, Checkpoint
from specdnn.network.surgery import CompactNetwork
from specdnn.structures import KeptUnits, Layers, Record, SpecDNNError
from specdnn.work import Work, validation_score

Load = Callable[[Path], Checkpoint]
YES = 0.0  # the logit of a probability of one half


def composition(members: Sequence[Checkpoint]) -> Checkpoint:
    """One network of several that were extracted from one parent, nothing trained, its validation score not known.

    Raises SpecDNNError, one sentence, where they do not belong together.
    """
    if not members:
        raise SpecDNNError("a composition needs at least two networks")
    first = members[0]
    for one in members:
        if one.network == COMPOSED:
            raise SpecDNNError(
                f"the network of classes {files.joined(one.classes)} is a composition itself: "
                "compose the networks that it was made of"
            )
        for name, words in (("arch", "cut from"), ("dataset", "trained on"), ("normalisation", "normalised by")):
            mine, other = getattr(first, name), getattr(one, name)
            if mine != other:
                raise SpecDNNError(f"the networks are {words} {mine} and {other}: compose networks of one parent")
    algo = "+".join(sorted({one.algo or "none" for one in members}))
    return replace(
        first,
        compact=composed([one.compact for one in members]),
        accuracy=None,
        algo=f"{COMPOSED}-{algo}",
        owed_epochs=max(one.owed_epochs for one in members),
        thresholds=thresholds_of(members),
        network=COMPOSED,
        notes=tuple(dict.fromkeys(note for one in members for note in one.notes)),
    )


def thresholds_of(members: Sequence[Checkpoint]) -> tuple[float, ...]:
    """Of all their outputs, by class; none where all are 0."""
    if not any(one.thresholds for one in members):
        return ()
    each: dict[int, float] = {}
    for one in members:
        each |= zip(one.classes, one.thresholds or [YES] * len(one.classes), strict=True)
    return tuple(each[c] for c in sorted(each))


# ------------------------------------------------------------------------------------------ what is told of it


def described(members: Sequence[Checkpoint], made: Checkpoint) -> Record:
    """Sizes of the composition, of its members together and of the parent, and which units the members share.

    `members`: kept units and sizes of each, `overlap`: per layer, and in `all` that can be cut, the Jaccard indices of
    every two members, in the order of `members`.
    """
    ordered = sorted(members, key=lambda one: one.classes)
    layers = ordered[0].compact.wiring.layers
    own: list[Record] = [
        {"classes": list(one.classes), "kept": one.compact.kept.by_layer(layers), **_sizes(one.compact)}
        for one in ordered
    ]
    names = ("true_weights", "true_parameters", "macs")
    sizes = {
        "composed": _sizes(made.compact),
        "separate": {name: sum(one[name] for one in own) for name in names},
        "parent": dict(zip(names, made.compact.wiring.parent_sizes, strict=True)),
    }
    kept = [one.compact.kept for one in ordered]
    facts = {"image_shape": list(made.compact.wiring.image_shape), "parent_widths": list(layers.widths)}
    return {"members": own, "compared": sizes, "overlap": overlaps(layers, kept), **facts}


def _sizes(compact: CompactNetwork) -> dict[str, int]:
    weights, parameters, macs = compact.wiring.sizes(compact.kept)
    return {"true_weights": weights, "true_parameters": parameters, "macs": macs}


def overlaps(layers: Layers, kept: Sequence[KeptUnits]) -> dict[str, list[list[float]]]:
    """Layer -> Jaccard index of every two choices of units, for the layers that can be cut, and for `all` of them."""
    depths = {layers.names[depth]: (depth,) for depth in layers.prunable} | {"all": layers.prunable}
    return {name: [[selection.jaccard(a, b, own) for b in kept] for a in kept] for name, own in depths.items() if own}


# ------------------------------------------------------------------------------------------ the stage


def compose(job: Job, load: Load) -> Path:
    """The composition of the retrained networks of single classes, and what it is compared with, saved and measured.

    Raises SpecDNNError, naming the file and the command that makes it, where one is missing.
    """
    o, saved = job.work.options, job.saved
    classes = o.classes or job.work.all_classes
    if len(classes) < 2:
        raise SpecDNNError(f"--compose needs two classes or more, got {files.joined(classes)}")
    parent, origins = existing(job, classes)
    members = [load(origin) for origin in origins]
    made, path = composition(members), saved.composed(classes, o.algo)
    joint = joint_of(job, classes, parent, made.compact, load)
    job = job.used_to(made)
    with files.lock(path, job.work.log):
        input_hash = "".join(map(files.file_hash, (parent, joint, *origins)))
        if not skip(job, "compose", path, input_hash):
            made = replace(made, accuracy=validation_score(job.work, made.compact))
            told = described(members, made)
            for member, origin in zip(told["members"], origins, strict=True):
                member["file"] = origin.name
            rivalry = {"composed": made, "joint": load(joint), "parent": load(parent)}
            finish(job, "compose", path, made, input_hash, {**told, "compared": compared(job.work, told, rivalry)})
    return path


def compared(work: Work, told: Record, networks: dict[str, Checkpoint]) -> dict[str, Record]:
    """Sizes, as they are told, and measures of a composition, of the joint extraction, and of the parent."""
    sizes = {**told["compared"], "joint": _sizes(networks["joint"].compact)}
    measured = measures(work, networks, networks["composed"].classes)
    return {name: {**own, **measured.get(name, {})} for name, own in sizes.items()}


def existing(job: Job, classes: Sequence[int]) -> tuple[Path, list[Path]]:
    """(the parent's checkpoint, the retrained ones of the classes), all there."""
    o, parent = job.work.options, job.saved.parent()
    origins = [job.saved.retrained((c,), o.algo) for c in classes]
    command = f"--arch {o.arch} --dataset {o.dataset} --seed {o.seed}" + f" --save-dir {o.save_dir}" * bool(o.save_dir)
    if not parent.is_file():
        raise SpecDNNError(f"{parent} is missing: main.py {command} makes it")
    missing = {c: path for c, path in zip(classes, origins, strict=True) if not path.is_file()}
    if missing:
        wanted = " ".join(map(str, missing))
        others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise SpecDNNError(
            f"{next(iter(missing.values()))} is missing{others}: "
            f"main.py --sweep --algo {o.algo} --classes {wanted} {command} makes it"
        )
    return parent, origins


def joint_of(job: Job, classes: Sequence[int], parent: Path, made: CompactNetwork, load: Load) -> Path:
    """The retrained network that one extraction of all the classes leaves with as many parameters as a composition.

    It lies in a folder of its own. An algorithm that only follows OSLOM gives way to it.
    """
    members, most = job.work.options.algo, made.wiring.parameters(made.kept)
    algorithm = rivals.ALGORITHMS.get(members)
    algo = members if algorithm and algorithm.own_schedule else "OSLOM"
    own = replace(job, saved=job.saved.joint(classes, members), work=replace(job.work, clock=Clock()))
    own = own.with_options(max_params=most, algo=algo)
    own.work.log(f"one extraction of all these classes, of at most {most} parameters:")
    pruned = stages.prune(own, parent, load(parent))
    return stages.retrain(own, pruned, load(pruned))


def measures(work: Work, networks: dict[str, Checkpoint], classes: Sequence[int]) -> dict[str, dict[str, float]]:
    """How well networks tell the classes apart, on the split that is measured.

    A network of just these classes answers "none of them" where no output exceeds its threshold, a parent where
    another class has its highest output.
    """
    split, found = work.data.split(work.options.split), {}
    for name, one in networks.items():
        logits = evaluation.logits_of(one.compact.network, split.images, work.options.test_batch_size)
        least = (one.thresholds or YES) if one.classes == tuple(classes) else float("-inf")
        found[name] = evaluation.choices(logits, split.labels, one.classes, classes, least)
    return found
