"""LeNet-300-100 (LeCun et al. 1998): 784-300-100-10, ReLU, logits."""

import torch
from torch import nn


class LeNet_300_100(nn.Module):
    """A multi-layer perceptron on 28x28 images."""

    def __init__(self):
        super().__init__()
        self.ip1 = nn.Linear(784, 300)
        self.ip2 = nn.Linear(300, 100)
        self.ip3 = nn.Linear(100, 10)

    def forward(self, images):
        """Images (n, 1, 28, 28), normalised, to logits (n, 10)."""
        hidden = torch.relu(self.ip1(images.flatten(1)))
        hidden = torch.relu(self.ip2(hidden))
        return self.ip3(hidden)


def paper_rule_weights(widths):
    """Weights as the published table counts them: both pruned sides, all ten output columns.

    `widths`: kept units of the input, ip1, ip2 and the outputs.
    """
    pixels, ip1, ip2, _ = widths
    return pixels * ip1 + ip1 * ip2 + 10 * ip2
