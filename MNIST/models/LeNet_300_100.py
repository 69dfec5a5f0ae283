"""LeNet-300-100 (LeCun et al. 1998): 784-300-100-10, ReLU, logits."""

import torch
from torch import nn

from specdnn.structures import Layer, LayerChain


def as_it_is(layer, units):
    """The default visitor of a forward pass."""
    return units


class LeNet_300_100(nn.Module):
    """A multi-layer perceptron on 28x28 images.

    `widths`: units of input, ip1, ip2 and outputs. `gather`: the pixels the input layer keeps, where
    it does not keep them all (`widths[0]` indices in 0..783).
    """

    image_shape = (1, 28, 28)
    full_widths = (784, 300, 100, 10)

    def __init__(self, widths=full_widths, gather=None):
        super().__init__()
        pixels, ip1, ip2, outputs = widths
        self.chain = LayerChain(
            (Layer("input", pixels), Layer("ip1", ip1), Layer("ip2", ip2), Layer("ip3", outputs, prunable=False))
        )
        self.gathered = 0
        if gather is not None:
            self.register_buffer("gather", torch.as_tensor(gather, dtype=torch.int64))
        self.ip1 = nn.Linear(pixels, ip1)
        self.ip2 = nn.Linear(ip1, ip2)
        self.ip3 = nn.Linear(ip2, outputs)

    def forward(self, images, visit=as_it_is):
        """Images (n, 1, 28, 28), normalised, to logits (n, outputs).

        `visit(depth, units)` sees the units of every layer but the outputs, after their activation, and
        returns what goes on.
        """
        pixels = images.flatten(1)  # (n, 784)
        if hasattr(self, "gather"):
            pixels = pixels[:, self.gather]
        hidden = visit(0, pixels)
        hidden = visit(1, torch.relu(self.ip1(hidden)))
        hidden = visit(2, torch.relu(self.ip2(hidden)))
        return self.ip3(hidden)

    @staticmethod
    def paper_rule_weights(widths):
        """Weights as the published table counts them: both pruned sides, all ten output columns."""
        pixels, ip1, ip2, _ = widths
        return pixels * ip1 + ip1 * ip2 + 10 * ip2
