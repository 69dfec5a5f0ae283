"""A network as it is handed out: raw intensities in, probabilities out, the normalisation folded into its weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import fx, nn

from specdnn.network.labelling import is_movement
from specdnn.network.modules import module_of
from specdnn.network.operations import CONVOLUTIONS, LINEAR, ZEROS
from specdnn.network.surgery import absorb
from specdnn.structures import Normalisation, PerChannel

UNCHANGED = ((), (0.0, 1.0))  # normalisations that leave an image as it is


class Normalise(nn.Module):
    """(x - mean) / deviation, numbers or one per channel (dimension 1)."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, mean: PerChannel, deviation: PerChannel) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.as_tensor(deviation, dtype=torch.float32))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        mean, deviation = self._beside(image)
        return (image - mean) / deviation

    def undone(self, normalised: torch.Tensor) -> torch.Tensor:
        """The images before."""
        mean, deviation = self._beside(normalised)
        return normalised * deviation + mean

    def _beside(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation in a shape that the image takes."""
        shape = (-1, *[1] * (image.dim() - 2)) if self.mean.dim() else ()
        return self.mean.view(shape), self.deviation.view(shape)


def normaliser(normalisation: Normalisation) -> nn.Module:
    """What makes images of intensities those that a network takes."""
    return nn.Identity() if normalisation in UNCHANGED else Normalise(*normalisation)


def unnormalised(images: torch.Tensor, normalisation: Normalisation) -> torch.Tensor:
    """Images that a network takes, as they were before their normalisation: single precision, on the processor."""
    images = torch.as_tensor(images).cpu().float()
    return images if normalisation in UNCHANGED else Normalise(*normalisation).undone(images)


class Probabilities(nn.Module):
    """Images (n, *shape) -> probabilities (n, wanted classes) of a network that gives logits.

    `softmax`: of classes that exclude each other; else of every class by itself, against the rest.
    """

    def __init__(self, network: nn.Module, softmax: bool) -> None:
        super().__init__()
        self.network, self.softmax = network, softmax

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(image)
        return logits.softmax(1) if self.softmax else logits.sigmoid()


def deployed(network: fx.GraphModule, normalisation: Normalisation, softmax: bool = False) -> Probabilities:
    """The network for images of intensities in 0..1, in single precision, on the processor, in evaluation mode."""
    own = copy.deepcopy(network).cpu().float().eval()
    return Probabilities(normalising(own, normalisation), softmax).eval()


def reference(network: nn.Module, normalisation: Normalisation, softmax: bool = False) -> Probabilities:
    """The dull twin of `deployed`: normalise, then the network as it is."""
    own = copy.deepcopy(network).cpu().float().eval()
    return Probabilities(nn.Sequential(normaliser(normalisation), own), softmax).eval()


# ------------------------------------------------------------------------------------------ normalisation


def normalising(network: fx.GraphModule, normalisation: Normalisation) -> fx.GraphModule:
    """The same network for images that are not normalised yet; it is changed in place.

    One mean and deviation for all pixels waits until the kept ones are gathered, and goes into the weights of the
    convolution or Linear that reads them where no padding lies between: what is padded is 0 *after* normalisation.
    """
    if normalisation in UNCHANGED:
        return network
    last, (mean, deviation) = next(iter(network.graph.nodes)), normalisation
    if isinstance(mean, (int, float)) and isinstance(deviation, (int, float)):
        while (reader := _only_reader(last)) and _only_moves(reader, network):
            last = reader
        if (reader := _only_reader(last)) and _can_fold(reader, network):
            absorb(module_of(reader, network), mean, deviation)
            return network
    network.add_module("normalise", Normalise(mean, deviation))
    with network.graph.inserting_after(last):
        made = network.graph.call_module("normalise", (last,))
    last.replace_all_uses_with(made, delete_user_cb=lambda user: user is not made)
    network.recompile()
    return network


def _only_reader(node: fx.Node) -> fx.Node | None:
    readers = list(node.users)
    return readers[0] if len(readers) == 1 and readers[0].all_input_nodes == [node] else None


def _only_moves(node: fx.Node, network: fx.GraphModule) -> bool:
    """Whether an operation moves elements and adds none."""
    pads = node.target is nn.functional.pad or node.target in ZEROS
    padded = getattr(module_of(node, network), "padded", False)
    return is_movement(node, network) and not pads and not padded


def _can_fold(node: fx.Node, network: fx.GraphModule) -> bool:
    """Whether it is a Linear, or a convolution without padding, whose weights nothing else uses."""
    module = module_of(node, network)
    if not isinstance(module, (*CONVOLUTIONS, *LINEAR)) or any(_numbers(getattr(module, "padding", 0))):
        return False
    own = {id(one) for one in module.parameters()}
    names = [name for name, one in network.named_parameters(remove_duplicate=False) if id(one) in own]
    calls = sum(other.op == "call_module" and other.target == node.target for other in network.graph.nodes)
    return len(names) == len(own) and calls == 1


def _numbers(padding: Any) -> tuple[Any, ...]:
    if isinstance(padding, str):
        return (padding != "valid",)
    return padding if isinstance(padding, tuple) else (padding,)
