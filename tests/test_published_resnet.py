"""A network that others trained: the ResNet-20 of He et al. 2015, section 4.2, from the file of its best-known port.

The images that it was trained on are not here; what is compared is the network itself.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from torch import nn
from torch.nn import functional

from specdnn.network import netfile
from specdnn.network.surgery import cut, masked

DATA = Path(os.environ.get("SPECDNN_DATA") or ROOT.parent / "shared" / "data")
FILE = DATA / "pretrained" / "resnet20-12fca82f.th"


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.added = (outputs - inputs) // 2  # zeros on both sides of the channels of a shortcut

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.added:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added, self.added))
        return functional.relu(y + x)


class ResNet_20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(BasicBlock(first, own, stride), BasicBlock(own, own, 1), BasicBlock(own, own, 1))
            for first, own, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        )
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(functional.relu(self.bn1(self.conv1(x))))))
        x = functional.avg_pool2d(x, x.size()[3])
        return self.linear(x.view(x.size(0), -1))


@pytest.fixture(scope="module")
def published():
    if not FILE.exists():
        pytest.skip(f"needs {FILE.name}: {FILE} is not there; SPECDNN_DATA names a folder with pretrained/{FILE.name}")
    return netfile.load(FILE, {"ResNet_20": ResNet_20}, image=(3, 32, 32))


def test_it_loads_by_the_names_of_its_weights(published):
    weights = torch.load(FILE, weights_only=True, map_location="cpu")["state_dict"]
    network, state = published.compact.network, published.compact.network.state_dict()
    assert sum(p.numel() for p in network.parameters()) == 269_722
    for name, tensor in weights.items():
        assert torch.equal(state[name.removeprefix("module.")], tensor), name


def test_all_its_units_are_free_and_three_stages_share_one_stream(published):
    layers = published.compact.wiring.layers
    assert published.compact.wiring.pins == ()
    assert layers.prunable == tuple(range(1, len(layers.layers) - 1))  # all but pixels and outputs
    assert sum(layers.widths[1:-1]) == 64 + 3 * (
        16 + 32 + 64
    )  # one stream, and one hidden layer in each of nine blocks


def test_a_cut_gives_what_the_masked_parent_gives(published, tmp_path):
    parent, kept, generator = published.compact, published.compact.kept, np.random.default_rng(0)
    for depth in parent.wiring.layers.prunable:
        units = parent.wiring.layers.widths[depth]
        kept = kept.replace(depth, generator.choice(units, units // 2, replace=False))
    kept = kept.replace(len(kept.units) - 1, [3])
    compact, images = cut(parent, kept), torch.randn(8, 3, 32, 32)
    expected = masked(parent, kept)(images)
    assert torch.allclose(compact.network(images), expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(parent.network(images)[:, [3]], expected, atol=0.1)
