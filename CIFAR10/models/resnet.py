"""Residual networks for 32x32 images (He et al. 2015, section 4.2); modules are named as in published checkpoints."""

import torch
from torch import nn
from torch.nn.functional import pad


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut without parameters (option A)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.added = stride, (outputs - inputs) // 2

    def forward(self, maps):
        """Maps (n, inputs, height, width) to (n, outputs, height / stride, width / stride)."""
        found = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(maps)))))
        return torch.relu(found + self.shortcut(maps))

    def shortcut(self, maps):
        """The maps themselves, or those at every second place between channels of zeros."""
        if not self.added:
            return maps
        return pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.added, self.added))


class ResNet(nn.Module):
    """A residual network of 6 * `blocks` + 2 layers on 32x32 images: three stages of so many blocks."""

    def __init__(self, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(blocks, 16, 16, stride=1)
        self.layer2 = stage(blocks, 16, 32, stride=2)
        self.layer3 = stage(blocks, 32, 64, stride=2)
        self.linear = nn.Linear(64, 10)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images):
        """Images (n, 3, 32, 32), normalised, to logits (n, 10)."""
        maps = torch.relu(self.bn1(self.conv1(images)))  # (n, 16, 32, 32)
        maps = self.layer3(self.layer2(self.layer1(maps)))  # (n, 64, 8, 8)
        return self.linear(maps.mean((2, 3)))


def stage(blocks, inputs, outputs, stride):
    """Blocks one after the other; the first one changes the size."""
    first = BasicBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, stride=1) for _ in range(blocks - 1)))
