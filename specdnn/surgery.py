"""Kept units -> compact network, and its dull twin, the masked parent. Nobody else slices a parameter.

What a network has to offer: `chain` (its LayerChain), `gathered` (the depth of the layer whose units may
be gathered by index), the buffer `gather` if they are, a constructor `(widths, gather)`, and a `forward`
that shows every layer's units to a visitor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from specdnn.structures import KeptUnits


@dataclass(frozen=True)
class CompactNetwork:
    """An ordinary network together with the parent's units it holds (a parent holds them all)."""

    network: nn.Module
    kept: KeptUnits

    @classmethod
    def parent(cls, network: nn.Module) -> CompactNetwork:
        return cls(network, KeptUnits.everything(network.chain))


def channels_of(network: nn.Module, depth: int) -> np.ndarray:
    """Per unit of a layer the channel of its module (the row of its weight), (units,) int64."""
    layer = network.chain.layers[depth]
    index = _gathered(network) if depth == network.gathered else np.arange(layer.units)
    return index // layer.positions


def _gathered(network: nn.Module) -> np.ndarray:
    """What each unit of the layer that may be gathered is gathered from, (units,) int64."""
    if hasattr(network, "gather"):
        return network.gather.cpu().numpy()
    return np.arange(network.chain.layers[network.gathered].units)


def cut(parent: CompactNetwork, kept: KeptUnits) -> CompactNetwork:
    """The compact network that holds just `kept`, with the weights of `parent`.

    Raises ValueError if `parent` lacks one of the units.
    """
    network, positions, smaller = parent.network, kept.within(parent.kept), fresh(parent, kept).network
    with torch.no_grad():
        for depth in range(1, len(positions)):
            rows = np.unique(channels_of(network, depth)[positions[depth]])
            _slice(network, smaller, network.chain.names[depth], rows, positions[depth - 1])
    return CompactNetwork(smaller, kept)


def fresh(parent: CompactNetwork, kept: KeptUnits) -> CompactNetwork:
    """The compact network that holds just `kept`, with first weights by torch's generator.

    Raises ValueError if `parent` lacks one of the units.
    """
    network = parent.network
    smaller = type(network)(kept.widths, _gather(network, kept.within(parent.kept)))
    return CompactNetwork(smaller.to(next(network.parameters())), kept)


def _slice(network, smaller, name: str, rows: np.ndarray, columns: np.ndarray) -> None:
    """Copy the rows (channels that stay) and columns (units of the layer before) of one module."""
    old, new = network.get_submodule(name), smaller.get_submodule(name)
    rows, columns = (torch.as_tensor(index, device=old.weight.device) for index in (rows, columns))
    new.weight.copy_(old.weight[rows][:, columns])
    new.bias.copy_(old.bias[rows])


def _gather(network: nn.Module, positions: list[np.ndarray]) -> list[int] | None:
    """Indices that gather the kept pixels, or the kept features among the channels that stay.

    None while nothing is cut, so that a whole network has no buffer and loads published weights.
    """
    depth = network.gathered
    layer, kept, index = network.chain.layers[depth], positions[depth], _gathered(network)
    if len(kept) == layer.units and not hasattr(network, "gather"):
        return None
    if depth == 0:  # the image itself stays whole
        return index[kept].tolist()
    channel, place = np.divmod(index[kept], layer.positions)
    return (np.unique(channel, return_inverse=True)[1] * layer.positions + place).tolist()


def masked(parent: CompactNetwork, kept: KeptUnits):
    """The function images -> logits of the parent with all units that are not kept set to 0.

    Each unit is silenced after its activation, and only the kept outputs are returned.
    """
    network, positions = parent.network, kept.within(parent.kept)

    def silence(depth: int, units: torch.Tensor) -> torch.Tensor:
        mask = torch.zeros(units.shape[1], dtype=units.dtype, device=units.device)
        mask[torch.as_tensor(positions[depth], device=units.device)] = 1
        return units * mask.view(1, -1, *[1] * (units.dim() - 2))

    outputs = torch.as_tensor(positions[-1])
    return lambda images: network(images, visit=silence)[:, outputs.to(images.device)]
