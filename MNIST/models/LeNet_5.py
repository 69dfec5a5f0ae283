"""LeNet-5 in the Caffe shape: conv 20, pool, conv 50, pool, 500, 10; ReLU, logits."""

import torch
from torch import nn
from torch.nn.functional import max_pool2d


class LeNet_5(nn.Module):
    """A convolutional network on 28x28 images."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, kernel_size=5)
        self.conv2 = nn.Conv2d(20, 50, kernel_size=5)
        self.ip1 = nn.Linear(800, 500)
        self.ip2 = nn.Linear(500, 10)

    def forward(self, images):
        """Images (n, 1, 28, 28), normalised, to logits (n, 10)."""
        maps = torch.relu(max_pool2d(self.conv1(images), 2))  # (n, 20, 12, 12)
        maps = torch.relu(max_pool2d(self.conv2(maps), 2))  # (n, 50, 4, 4)
        hidden = torch.relu(self.ip1(maps.flatten(1)))
        return self.ip2(hidden)


def paper_rule_weights(widths):
    """Weights as the published table counts them: the kept inputs of each layer, all its outputs.

    `widths`: kept units of the input, conv1, conv2 (flattened features), ip1 and the outputs.
    """
    images, conv1, features, ip1, _ = widths
    return 25 * 20 * images + 25 * 50 * conv1 + 500 * features + 10 * ip1
