"""LeNet-5 in the Caffe shape: conv 20, pool, conv 50, pool, 500, 10; ReLU, logits."""

import torch
from torch import nn
from torch.nn.functional import max_pool2d

from models.LeNet_300_100 import as_it_is
from specdnn.structures import Layer, LayerChain

POSITIONS = 16  # a 28x28 image leaves 4x4 positions per conv2 channel at the flatten


class LeNet_5(nn.Module):
    """A convolutional network on 28x28 images.

    `widths`: units of input, conv1 (channels), conv2 (flattened features), ip1 and outputs. `gather`:
    the features kept, where not all are (`widths[2]` indices into the flattened conv2 channels).
    """

    image_shape = (1, 28, 28)
    full_widths = (1, 20, 50 * POSITIONS, 500, 10)

    def __init__(self, widths=full_widths, gather=None):
        super().__init__()
        images, conv1, features, ip1, outputs = widths
        self.chain = LayerChain(
            (
                Layer("input", images, prunable=False),
                Layer("conv1", conv1),
                Layer("conv2", features, positions=POSITIONS),
                Layer("ip1", ip1),
                Layer("ip2", outputs, prunable=False),
            )
        )
        self.gathered = 2
        channels = features // POSITIONS
        if gather is not None:
            channels = max(int(feature) for feature in gather) // POSITIONS + 1
            self.register_buffer("gather", torch.as_tensor(gather, dtype=torch.int64))
        self.conv1 = nn.Conv2d(images, conv1, kernel_size=5)
        self.conv2 = nn.Conv2d(conv1, channels, kernel_size=5)
        self.ip1 = nn.Linear(features, ip1)
        self.ip2 = nn.Linear(ip1, outputs)

    def forward(self, images, visit=as_it_is):
        """Images (n, 1, 28, 28), normalised, to logits (n, outputs); `visit` as in LeNet_300_100."""
        maps = visit(0, images)
        maps = visit(1, torch.relu(max_pool2d(self.conv1(maps), 2)))  # (n, conv1, 12, 12)
        maps = torch.relu(max_pool2d(self.conv2(maps), 2))  # (n, channels, 4, 4)
        features = maps.flatten(1)
        if hasattr(self, "gather"):
            features = features[:, self.gather]
        hidden = visit(2, features)
        hidden = visit(3, torch.relu(self.ip1(hidden)))
        return self.ip2(hidden)

    @staticmethod
    def paper_rule_weights(widths):
        """Weights as the published table counts them: the kept inputs of each layer, all its outputs."""
        images, conv1, features, ip1, _ = widths
        return 25 * 20 * images + 25 * 50 * conv1 + 500 * features + 10 * ip1
