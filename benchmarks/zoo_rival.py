"""The same cut by torch-pruning: link by link, with the units that it couples to them itself."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn
from zoo_networks import difference

from specdnn.network.surgery import CompactNetwork, masked
from specdnn.network.wiring import Alive
from specdnn.structures import KeptUnits


def whole_channels(parent: CompactNetwork, kept: KeptUnits) -> KeptUnits:
    """Kept units with all features of every channel that stays, since torch-pruning knows no parts of channels."""
    for depth, layer in enumerate(parent.wiring.layers.layers):
        if layer.channels:
            channels = np.array(layer.channels)
            alive = np.unique(channels)[::2]  # every second, for with half of the features every channel stays
            kept = kept.replace(depth, np.flatnonzero(np.isin(channels, alive)))
    return kept


def dependencies(network: nn.Module, image: torch.Tensor):
    """torch-pruning's graph of a network."""
    import torch_pruning

    return torch_pruning.DependencyGraph().build_dependency(network, example_inputs=image[None].to(_dtype(network)))


def _dtype(network: nn.Module) -> torch.dtype:
    return next(network.parameters()).dtype


def pruner_of(module: nn.Module):
    """What prunes the outputs of a module."""
    import torch_pruning as rival

    return rival.prune_linear_out_channels if isinstance(module, nn.Linear) else rival.prune_conv_out_channels


def pruned(network: nn.Module, parent: CompactNetwork, kept: KeptUnits, image: torch.Tensor) -> nn.Module:
    """A copy of a network that torch-pruning has cut to these units, outputs excepted."""
    network, alive = copy.deepcopy(network), Alive(parent.wiring, kept)
    graph = dependencies(network, image)
    outputs = parent.wiring.layers.offsets[-2]
    gone: set[int] = set()  # nodes that are cut already, whoever makes them
    for link in parent.wiring.links:
        module, nodes = network.get_submodule(link.name), parent.wiring.nodes.of(link.targets)
        left = ~np.isin(nodes, list(gone))
        now = (~alive(link.targets) & (nodes < outputs))[left]
        if now.any():
            graph.get_pruning_group(module, pruner_of(module), np.flatnonzero(now).tolist()).prune()
            gone |= set(nodes[left][now].tolist())
    return network


def rivals_cut(network: nn.Module, parent: CompactNetwork, kept: KeptUnits, images: torch.Tensor) -> str:
    """Whether torch-pruning's network is the masked parent: "equal", "differs by ...", or the error it fails with."""
    kept = whole_channels(parent, kept)
    try:
        expected = masked(parent, kept, network)(images).detach()
        found = pruned(network, parent, kept, images[0])(images)[:, list(kept.classes)].detach()
    except Exception as error:  # whatever it raises
        return f"fails: {type(error).__name__}: {str(error).strip().partition(chr(10))[0][:60]}"
    gap = difference(found, expected)
    return "equal" if gap < 1e-10 else f"differs by {gap:.1e}"


def coupled(network: nn.Module, parent: CompactNetwork, image: torch.Tensor) -> tuple[dict, dict]:
    """Per link, the links that lose a row when it loses its first, by our wiring and by torch-pruning."""
    links, outputs = parent.wiring.links, parent.wiring.layers.offsets[-2]
    nodes = {link.name: parent.wiring.nodes.of(link.targets) for link in links}
    inner = [link.name for link in links if nodes[link.name][0] < outputs]
    ours = {name: {other for other in inner if nodes[name][0] in nodes[other]} for name in inner}
    graph, theirs = dependencies(network, image), {}
    names = {module: name for name, module in network.named_modules()}
    for name in inner:
        module = network.get_submodule(name)
        group = graph.get_pruning_group(module, pruner_of(module), [0])
        rows = (names.get(item.dep.target.module) for item in group if "out_channels" in item.dep.handler.__name__)
        theirs[name] = set(rows) & set(inner)
    return ours, theirs
