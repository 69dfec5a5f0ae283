"""A rival from elsewhere, as a further value of --algo: torch-pruning's group norm, which knows no class.

    python benchmarks/group_norm.py CIFAR10 --prune --specialize 3 --algo group-norm --rate 0.25 --pretrained FILE ...
    python benchmarks/group_norm.py CIFAR10 --retrain --pretrained .../ResNet_20.specialize.3.group-norm.pth.tar ...

The first word is a dataset folder, the rest are options of its main.py. Channels are ranked and removed as
torch-pruning does by itself (magnitude over coupled groups, Fang et al. 2023, "DepGraph", the same share of every
group), as many as needed to have at most the weights of the finished OSLOM run; then they are trained like all others.
Needs `pip install torch-pruning==1.6.1`, and one process (no --jobs).
"""

from __future__ import annotations

import bisect
import copy
import importlib
import sys
from pathlib import Path

import torch
from torch import nn

from specdnn import cli, options, rivals
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.structures import KeptUnits, SpecDNNError
from specdnn.trimming import Extraction, Reference
from specdnn.work import Work, wanted_outputs

NAME = "group-norm"
WORDS = "torch-pruning's channels of the largest group norm, for any class the same"
SHARES = 1000  # the share that is removed is searched for in steps of one thousandth
TOLERANCE = 1e-4  # logits of two networks with the same weights, float32


def group_norm(work: Work, whole: CompactNetwork, reference: Reference) -> Extraction:
    """The largest cut that has at most the weights OSLOM left, with the wanted outputs; nothing is trained."""
    most, images = whole.wiring.weights(reference.kept), work.data.validation.images[:8]
    start = wanted_outputs(whole, rivals.classes_of(work, whole))
    names = understood(start, images)
    work.log(f"{len(names)} of {len(start.wiring.links)} layers are cut: {', '.join(names)}")

    def cut_by(step: int) -> CompactNetwork:
        return cut(start, kept_by(start, images, names, step / SHARES))

    def fits(step: int) -> bool:
        small = cut_by(step)
        return small.wiring.weights(small.kept) <= most

    step = bisect.bisect_left(range(SHARES), True, key=fits)
    if step == SHARES:
        raise SpecDNNError(f"torch-pruning has no cut of this network with at most {most} weights")
    return rivals.untrained(work, cut_by(step), reference)


def understood(start: CompactNetwork, images: torch.Tensor) -> list[str]:
    """The links whose outputs torch-pruning removes without changing what the rest computes.

    It takes padded shortcuts for plain ones, so what it would leave of such a stream is another network: there only
    what lies inside the blocks is cut.
    """
    outputs = start.wiring.layers.offsets[-2]
    inner = [one.name for one in start.wiring.links if (start.wiring.nodes.of(one.targets) < outputs).all()]

    def right(names: list[str]) -> bool:
        theirs, kept = _theirs(start, images, names, 0.5)
        return kept != start.kept and _agree(start, images, theirs, kept)

    return inner if right(inner) else [name for name in inner if right([name])]


def kept_by(start: CompactNetwork, images: torch.Tensor, names: list[str], share: float) -> KeptUnits:
    """What torch-pruning keeps if it removes a share of the outputs of these links.

    Raises RuntimeError if its network and ours with the same units do not say the same.
    """
    theirs, kept = _theirs(start, images, names, share)
    if not _agree(start, images, theirs, kept):
        raise RuntimeError("torch-pruning's network is not the one with the same units")
    return kept


def _agree(start: CompactNetwork, images: torch.Tensor, theirs: nn.Module, kept: KeptUnits) -> bool:
    with torch.no_grad():
        return torch.allclose(theirs(images), cut(start, kept).network.eval()(images), rtol=TOLERANCE, atol=TOLERANCE)


def _theirs(start: CompactNetwork, images: torch.Tensor, names: list[str], share: float) -> tuple[nn.Module, KeptUnits]:
    """A copy of a network as torch-pruning cuts it, and the units that it keeps."""
    import torch_pruning

    theirs = copy.deepcopy(start.network).eval()
    links = {theirs.get_submodule(one.name): one for one in start.wiring.links}
    whole = [module for module, link in links.items() if link.name not in names]
    norm = torch_pruning.importance.GroupMagnitudeImportance(p=2)
    pruner = torch_pruning.pruner.BasePruner(theirs, images[:1], norm, pruning_ratio=share, ignored_layers=whole)
    removed: set[int] = set()
    for group in pruner.step(interactive=True):
        for dependency, places in group:
            link = links.get(dependency.target.module)
            if link and "out_channels" in dependency.handler.__name__:
                removed |= set(start.wiring.nodes.of(link.targets)[places].tolist())
        group.prune()
    kept, offsets = start.kept, start.wiring.layers.offsets
    for depth, units in enumerate(kept.units[:-1]):
        kept = kept.replace(depth, [unit for unit in units if offsets[depth] + unit not in removed])
    return theirs, kept


def main(argv: list[str]) -> int:
    """main.py of a dataset folder, with a further algorithm."""
    if not argv or not (Path(argv[0]) / "main.py").is_file():
        print("group_norm.py: error: name a dataset folder, then options of its main.py", file=sys.stderr)
        return 2
    folder = Path(argv[0]).resolve()
    sys.path.insert(0, str(folder))  # as for its main.py
    rivals.CONTROLS[NAME] = group_norm
    options.ALGORITHMS[NAME] = WORDS
    networks, images = (importlib.import_module(name) for name in ("models", "dataset"))
    return cli.main(folder, networks.ARCHITECTURES, images, argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
