"""A network of six units worked by hand: two pixels, two hidden units, two outputs."""

import torch
from torch import nn

from specdnn.structures import Layer, LayerChain, Split

NORMALISATION = (0.5, 0.5)
# raw pixels in 0..1 and classes; normalised, the rows are (1, -1), (0, 0), (-1, 1), (-1, 0)
RAW = [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.0, 0.5]]
LABELS = [0, 0, 1, 1]
# activations of the hidden units, ReLU applied, on the four images
HIDDEN = [[2.0, 0.0], [0.0, 1.0], [0.0, 4.0], [0.0, 2.0]]


class SixUnits(nn.Module):
    image_shape = (1, 1, 2)
    full_widths = (2, 2, 2)

    def __init__(self, widths=full_widths, gather=None):
        super().__init__()
        pixels, hidden, outputs = widths
        self.chain = LayerChain(
            (Layer("input", pixels), Layer("hidden", hidden), Layer("out", outputs, prunable=False))
        )
        self.gathered = 0
        if gather is not None:
            self.register_buffer("gather", torch.as_tensor(gather, dtype=torch.int64))
        self.hidden = nn.Linear(pixels, hidden)
        self.out = nn.Linear(hidden, outputs)

    def forward(self, images, visit=lambda depth, units: units):
        pixels = images.flatten(1)
        if hasattr(self, "gather"):
            pixels = pixels[:, self.gather]
        return self.out(visit(1, torch.relu(self.hidden(visit(0, pixels)))))

    @staticmethod
    def paper_rule_weights(widths):
        return widths[0] * widths[1] + 2 * widths[1]


def network() -> SixUnits:
    built = SixUnits()
    with torch.no_grad():
        built.hidden.weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 2.0]]))
        built.hidden.bias.copy_(torch.tensor([0.0, 1.0]))
        built.out.weight.copy_(torch.tensor([[3.0, -1.0], [1.0, 1.0]]))
        built.out.bias.copy_(torch.tensor([0.5, 0.0]))
    return built


def data() -> Split:
    mean, deviation = NORMALISATION
    images = (torch.tensor(RAW) - mean) / deviation
    return Split(images.view(4, 1, 1, 2), torch.tensor(LABELS))
