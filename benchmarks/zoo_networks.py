"""Networks to be cut, and what is asked of every cut: for the zoo (`zoo.py`) and for the tests.

All weights are random. What is the same for all units at the start (biases of 0, scales of 1 or 1e-6, running means)
is made random, too: where units do not differ a wrong cut goes unseen.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional

from specdnn.network.surgery import CompactNetwork
from specdnn.structures import KeptUnits, Layers

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class LeNet5(nn.Module):
    """The Caffe shape, flattened by a literal size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
        self.ip1, self.ip2 = nn.Linear(800, 500), nn.Linear(500, 10)

    def forward(self, x):
        x = functional.relu(functional.max_pool2d(self.conv1(x), 2))
        x = functional.relu(functional.max_pool2d(self.conv2(x), 2))
        return self.ip2(functional.relu(self.ip1(x.view(-1, 800))))


class PaddedBlock(nn.Module):
    """Two convolutions and a shortcut without weights: every second pixel, and channels of zeros on both sides."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.padding = (outputs - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.padding:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding), "constant", 0)
        return functional.relu(y + x)


class PaddedResNet20(nn.Module):
    """ResNet-20 for images of 32x32 with the shortcuts that the ResNet paper calls A."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        widths = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
        self.blocks = nn.Sequential(*(PaddedBlock(*width) for width in widths))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(functional.relu(self.bn(self.conv(x))))
        return self.fc(functional.avg_pool2d(x, x.size()[3]).view(x.size(0), -1))


@dataclass(frozen=True)
class Entry:
    """A network of the zoo.

    `free`: the least share of its units (all but inputs and outputs) that must not be pinned. `hidden`: ends of the
    names of Linears all of whose units must be free, however many others are pinned.
    """

    make: type | str
    image_shape: tuple[int, ...]
    free: float = 0.95
    hidden: str = ""
    options: dict = field(default_factory=dict)

    def network(self, seed: int = 0) -> nn.Module:
        """The network in evaluation mode, in double precision, with random numbers everywhere."""
        torch.manual_seed(seed)
        make = getattr(torchvision.models, self.make) if isinstance(self.make, str) else self.make
        return randomised(make(**self.options).eval().double())


def _of_torchvision(*names: str, size: int = 64, **more) -> dict[str, Entry]:
    return {name: Entry(name, (3, size, size), **more) for name in names}


WITH_AUXILIARY = {"options": {"aux_logits": False, "init_weights": False}}  # second outputs, which are not built
ZOO = {
    "LeNet-5": Entry(LeNet5, (1, 28, 28)),
    "ResNet-20, padded": Entry(PaddedResNet20, (3, 32, 32)),
    **_of_torchvision("alexnet", size=224),
    **_of_torchvision("vgg11_bn", size=224),
    **_of_torchvision("resnet18", "resnet50", "wide_resnet50_2"),
    **_of_torchvision("resnext50_32x4d", free=0.6),
    **_of_torchvision("squeezenet1_1", "densenet121"),
    **_of_torchvision("googlenet", **WITH_AUXILIARY),
    **_of_torchvision("inception_v3", size=128, **WITH_AUXILIARY),
    **_of_torchvision("mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x0_5"),
    **_of_torchvision("efficientnet_b0", "efficientnet_v2_s"),
    **_of_torchvision("regnet_y_400mf", free=0.6),
    **_of_torchvision("convnext_tiny", free=0.9),
    **_of_torchvision("vit_b_16", size=224, free=0, hidden=".mlp.0"),
    **_of_torchvision("swin_t", free=0, hidden=".mlp.0"),
    **_of_torchvision("maxvit_t", size=224, free=0, hidden=".mlp_layer.1"),
}


def randomised(network: nn.Module) -> nn.Module:
    """The same network with random numbers wherever all numbers of a tensor are alike."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.numel() and bool((parameter == parameter.flatten()[0]).all()):
                shift = parameter.flatten()[0] if parameter.any() else 0.0
                parameter.copy_(torch.empty_like(parameter).uniform_(-0.5, 0.5) + (1.0 if shift else 0.0))
        for module in network.modules():
            if isinstance(module, NORMS) and module.track_running_stats:
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
    return network


def half(kept: KeptUnits, layers: Layers, rng: np.random.Generator) -> KeptUnits:
    """Half of the units of every layer that may be cut, rounded up, at random; of the outputs every second."""
    for depth in layers.prunable:
        units = np.array(kept.units[depth])
        kept = kept.replace(depth, rng.choice(units, len(units) - len(units) // 2, replace=False))
    return kept.replace(len(layers.layers) - 1, kept.units[-1][1::2])


def free_units(parent: CompactNetwork) -> tuple[int, int]:
    """(units that may be cut, units), of all layers but inputs and outputs."""
    layers = parent.wiring.layers
    inner = range(1, len(layers.layers) - 1)
    return sum(layers.widths[d] for d in inner if layers.layers[d].prunable), sum(layers.widths[d] for d in inner)


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, relative to the largest number of `other`."""
    if one.shape != other.shape:
        return float("inf")
    return float((one - other).abs().max() / other.abs().max())


def counted(network: nn.Module, image_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(weights, parameters, MACs) of a network, counted on it while it runs on one image."""
    macs = []

    def count(module, _, result):
        rows = result.shape[-1] if isinstance(module, nn.Linear) else result.shape[1]
        macs.append(module.weight.numel() * (result.numel() // rows))

    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    own = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        network(torch.zeros(1, *image_shape).to(next(network.parameters())))
    for hook in own:
        hook.remove()
    parameters = list(network.parameters())
    return sum(p.numel() for p in parameters if p.dim() > 1), sum(p.numel() for p in parameters), sum(macs)


def without_dropout(network: nn.Module) -> nn.Module:
    """A copy in training mode whose dropout drops nothing."""
    network = copy.deepcopy(network).train()
    for module in network.modules():
        if type(module).__name__.startswith("Dropout"):
            module.p = 0.0
    return network
