"""A network of six units worked by hand: two pixels, two hidden units, two outputs."""

import torch
from torch import nn

from specdnn.network.surgery import CompactNetwork
from specdnn.structures import Split

NORMALISATION = (0.5, 0.5)
IMAGE = torch.zeros(1, 1, 2)
# raw pixels in 0..1 and classes; normalised, the rows are (1, -1), (0, 0), (-1, 1), (-1, 0)
RAW = [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.0, 0.5]]
LABELS = [0, 0, 1, 1]
# activations of the hidden units, ReLU applied, on the four images
HIDDEN = [[2.0, 0.0], [0.0, 1.0], [0.0, 4.0], [0.0, 2.0]]


class SixUnits(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(2, 2)
        self.out = nn.Linear(2, 2)

    def forward(self, images):
        return self.out(torch.relu(self.hidden(images.flatten(1))))


def paper_rule_weights(widths):
    return widths[0] * widths[1] + 2 * widths[1]


def filled(module: nn.Module, weight, bias=None) -> None:
    """Give a module these numbers, its bias zeros where none are given."""
    with torch.no_grad():
        module.weight.copy_(torch.tensor(weight).view_as(module.weight))
        if module.bias is not None:
            module.bias.copy_(torch.tensor(bias or [0.0] * len(module.bias)))


def network() -> SixUnits:
    built = SixUnits()
    filled(built.hidden, [[1.0, -1.0], [-1.0, 2.0]], [0.0, 1.0])
    filled(built.out, [[3.0, -1.0], [1.0, 1.0]], [0.5, 0.0])
    return built


def compact() -> CompactNetwork:
    return CompactNetwork.parent(network(), IMAGE)


def data() -> Split:
    mean, deviation = NORMALISATION
    images = (torch.tensor(RAW) - mean) / deviation
    return Split(images.view(4, 1, 1, 2), torch.tensor(LABELS))
