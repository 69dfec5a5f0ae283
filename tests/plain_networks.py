"""Networks as people write them, without a word of pruning: those of MNIST/models, and harder ones."""

import sys

import torch
from conftest import ROOT
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(ROOT / "MNIST"))
from models import ARCHITECTURES  # noqa: E402

LeNet_300_100, LeNet_5, Linear = ARCHITECTURES.values()


class Everything(nn.Module):
    """A bit of everything that needs care: slices, a padded shortcut, parameters of its own, attention, sizes."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.scale = nn.Parameter(torch.rand(8, 1, 1))
        self.register_buffer("shift", torch.rand(8, 1, 1))
        self.conv2 = nn.Conv2d(8, 16, 3, padding="same", padding_mode="reflect")
        self.conv3 = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.attention = nn.MultiheadAttention(16, 2, bias=False, batch_first=True)
        self.layer_norm = nn.LayerNorm(16)
        self.last = nn.Linear(16, 10)

    def forward(self, images):
        maps = functional.relu6(self.norm(self.conv1(images))) * self.scale + self.shift
        more = functional.pad(maps[..., ::2, ::2], (0, 0, 0, 0, 4, 4), "constant", 0)
        maps = functional.max_pool2d(functional.leaky_relu(self.conv2(maps), 0.1), 2) + more
        maps = functional.dropout(torch.clamp(self.conv3(maps), -float("inf"), 6.0), 0.5, self.training)
        size = maps.shape
        tokens = maps.view(size[0], 16, size[2] * size[3]).permute(0, 2, 1)
        tokens = self.layer_norm(tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0])
        return self.last(tokens.to(torch.float32).mean(1))


class Tied(nn.Module):
    """Two modules that share their weights."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.last = nn.Linear(28, 28), nn.Linear(28, 28), nn.Linear(784, 10)
        self.again.weight = self.first.weight

    def forward(self, images):
        return self.last(torch.tanh(self.again(torch.relu(self.first(images)))).flatten(1))


class Borrowing(nn.Module):
    """Parameters of modules that are read elsewhere, too, or only elsewhere; names that are no words."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({"the-first": nn.Linear(784, 20), "1": nn.Linear(20, 20)})
        self.last = nn.Linear(20, 10)

    def forward(self, images):
        hidden = torch.relu(self.parts["the-first"](images.flatten(1)))
        hidden = functional.linear(hidden, self.parts["1"].weight, self.parts["1"].bias) * torch.sigmoid(hidden)
        return self.last(hidden + self.parts["the-first"].bias)
