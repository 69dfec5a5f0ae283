"""A linear model of the pixels: what a network has to beat."""

import torch
from torch import nn

from models.LeNet_300_100 import as_it_is
from specdnn.structures import Layer, LayerChain


class Linear(nn.Module):
    """Logistic regression on 28x28 images, no hidden layer; `widths` and `gather` as in LeNet_300_100."""

    image_shape = (1, 28, 28)
    full_widths = (784, 10)

    def __init__(self, widths=full_widths, gather=None):
        super().__init__()
        pixels, outputs = widths
        self.chain = LayerChain((Layer("input", pixels), Layer("ip1", outputs, prunable=False)))
        self.gathered = 0
        if gather is not None:
            self.register_buffer("gather", torch.as_tensor(gather, dtype=torch.int64))
        self.ip1 = nn.Linear(pixels, outputs)

    def forward(self, images, visit=as_it_is):
        """Images (n, 1, 28, 28), normalised, to logits (n, outputs); `visit` as in LeNet_300_100."""
        pixels = images.flatten(1)  # (n, 784)
        if hasattr(self, "gather"):
            pixels = pixels[:, self.gather]
        return self.ip1(visit(0, pixels))

    @staticmethod
    def paper_rule_weights(widths):
        """All weights; the published table has no linear model."""
        pixels, outputs = widths
        return pixels * outputs
