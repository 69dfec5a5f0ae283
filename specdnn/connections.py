"""Every score of a connection or a unit: strengths, relevance, weight norms, Taylor. Torch in, numpy out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from specdnn.surgery import channels_of

BATCH_SIZE = 1024  # images at a time


def mean_weights(network) -> list[np.ndarray]:
    """Mean |weight| of every connection: per pair of layers (source units, target units) float64.

    The features of one flattened channel share its kernels.
    """
    found = []
    for depth, layer in enumerate(network.chain.layers[1:], start=1):
        weight = network.get_submodule(layer.name).weight.detach().abs().double()
        mean = weight.flatten(2).mean(2) if weight.dim() > 2 else weight  # (channels, source units)
        found.append(mean.cpu().numpy()[channels_of(network, depth)].T)
    return found


def strengths(weights: list[np.ndarray], activations: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Strengths of all connections and relevance of all units, from the outputs backwards.

    strength(i->j) = mean|weight| x activation_i x relevance_j; relevance is 1 at each output and
    r_i = sum_j strength(i->j), every layer scaled to mean 1. Returns (per pair of layers (source, target),
    per layer (units,)).
    """
    relevance = [np.ones(weights[-1].shape[1])]
    found: list[np.ndarray] = []
    for weight, active in zip(reversed(weights), reversed(activations), strict=True):
        found.insert(0, weight * active[:, None] * relevance[0][None, :])
        relevance.insert(0, _mean_one(found[0].sum(axis=1)))
    return found, relevance


def _mean_one(values: np.ndarray) -> np.ndarray:
    return values / values.mean() if values.any() else values


def outgoing_norms(network) -> Iterator[torch.Tensor]:
    """Per layer but the outputs the L2 norm of each unit's outgoing weights, (units,), differentiable."""
    for layer in network.chain.layers[1:]:
        weight = network.get_submodule(layer.name).weight
        yield weight.transpose(0, 1).flatten(1).norm(dim=1)


def weight_norms(network) -> list[np.ndarray]:
    """`outgoing_norms` as numpy arrays: the magnitude criterion.

    Outgoing weights, because pixels have no others; filters are often ranked by their incoming ones (Li et al. 2017).
    """
    return [norms.detach().double().cpu().numpy() for norms in outgoing_norms(network)]


def taylor(network, images, targets, loss: Callable, tick=lambda: None) -> list[np.ndarray]:
    """Per layer but the outputs each unit's Taylor score, (units,): how much the loss changes if it were 0.

    Mean over the images of |a x dloss/da|, for a channel summed over its positions first (Molchanov et al. 2017,
    "Pruning convolutional neural networks for resource efficient inference", equation 8). `images` (n, ...),
    `targets` (n, outputs), `loss(logits, targets)` their mean. A pixel is 0 where its normalised intensity is.
    """
    sums: list = [0] * (len(network.chain.layers) - 1)
    network.eval()
    for batch, wanted in zip(images.split(BATCH_SIZE), targets.split(BATCH_SIZE), strict=True):
        for depth, change in enumerate(_changes(network, batch, wanted, loss)):
            sums[depth] = sums[depth] + change.abs().double().sum(0)
        tick()
    return [(total / len(images)).cpu().numpy() for total in sums]


def _changes(network, images, targets, loss: Callable) -> Iterator[torch.Tensor]:
    """Per layer a x dloss/da of every image and unit, (images, units)."""
    seen: list[torch.Tensor] = []

    def watch(depth: int, units: torch.Tensor) -> torch.Tensor:
        seen.append(units if units.requires_grad else units.detach().requires_grad_())
        return seen[-1]

    total = loss(network(images, visit=watch), targets) * len(images)
    for units, gradient in zip(seen, torch.autograd.grad(total, seen), strict=True):
        change = units.detach() * gradient
        yield change.flatten(2).sum(2) if change.dim() > 2 else change
