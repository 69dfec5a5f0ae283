"""The published recipe: images one at a time through a DataLoader, and whole networks, masked for a class.

SGD at 0.1, momentum 0.9, weight decay 1e-4, squared error after the sigmoid, batches of 128, 50 epochs, a pass over the
test images after each. What a class does not need is a weight of 0 in a network of full size, with one output.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

BATCH, EPOCHS, CLASSES = 128, 50, 10
MEAN, DEVIATION = 0.1307, 0.3081


def loaders(data_dir: Path) -> tuple[DataLoader, DataLoader]:
    """60,000 training images in random order, 10,000 test images; each is read, scaled and normalised by itself."""
    each = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (DEVIATION,))])
    parts = (datasets.MNIST(data_dir, train=train, transform=each) for train in (True, False))
    train, test = (DataLoader(part, BATCH, shuffle=part.train) for part in parts)
    return train, test


def with_one_output(network: nn.Module) -> nn.Module:
    """The same network whose last Linear has one output, with first weights; in place."""
    name, last = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Linear)][-1]
    setattr(network.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], nn.Linear(last.in_features, 1))
    return network


def random_masks(network: nn.Module, share: float) -> dict[nn.Parameter, torch.Tensor]:
    """Of every weight tensor which numbers stay: `share` of them, at random. Which they are changes no time."""
    weights = (one for one in network.parameters() if one.dim() > 1)
    return {one: (torch.rand_like(one) < share).to(one) for one in weights}


def optimizer_of(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)


def step(network, optimizer, images: torch.Tensor, targets: torch.Tensor, masks: dict) -> None:
    """One batch: images (n, ...), targets (n, outputs); what is masked is 0 again afterwards."""
    optimizer.zero_grad()
    functional.mse_loss(torch.sigmoid(network(images)), targets).backward()
    optimizer.step()
    with torch.no_grad():
        for weight, mask in masks.items():
            weight.mul_(mask)


def targets_of(labels: torch.Tensor, outputs: int, wanted: int = 0) -> torch.Tensor:
    """(n, outputs) of 0 and 1: one column for each class, or the only one for the wanted class."""
    return functional.one_hot(labels, CLASSES).float() if outputs == CLASSES else (labels == wanted).float()[:, None]


def epoch(network: nn.Module, outputs: int, train: Iterable, test: Iterable, masks: dict) -> float:
    """A pass over the training images and one over the test images; returns the accuracy on these."""
    optimizer, right, seen = optimizer_of(network), 0, 0
    network.train()
    for images, labels in train:
        step(network, optimizer, images, targets_of(labels, outputs), masks)
    network.eval()
    with torch.no_grad():
        for images, labels in test:
            said, true = network(images), targets_of(labels, outputs)
            hits = said.argmax(1) == labels if outputs == CLASSES else (said > 0)[:, 0] == (true > 0.5)[:, 0]
            right, seen = right + int(hits.sum()), seen + len(labels)
    return right / seen


def multiplied(parent: float, masked: float) -> float:
    """Seconds of the whole table, from those of an epoch of the parent and of a masked network."""
    return EPOCHS * (parent + CLASSES * masked)
