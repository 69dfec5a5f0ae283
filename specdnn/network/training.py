"""One loop for every kind of training. Yields one record an epoch and prints nothing."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from specdnn.network.evaluation import logits_of
from specdnn.network.sampling import Sampling
from specdnn.network.scores import outgoing_norms
from specdnn.network.surgery import CompactNetwork, without_gathering
from specdnn.network.watching import BATCH_SIZE
from specdnn.structures import Recipe, Record, SpecDNNError, Split, Tick

Gradients: TypeAlias = Callable[[torch.Tensor], torch.Tensor]  # indices of a batch -> its loss; leaves the gradients
Captured: TypeAlias = tuple[torch.Tensor, torch.cuda.CUDAGraph, torch.Tensor, list[torch.Tensor | None]]


class Diverged(SpecDNNError):
    """The loss or the outputs are no longer finite."""


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch left: mean training loss, validation score, whether it is the best so far.

    `state()`: tensors and plain values that the training can go on from; to be asked for before the next epoch begins.
    """

    epoch: int
    loss: float
    score: float
    best: bool
    state: Callable[[], Record] = field(default=dict, compare=False, repr=False)


def bce(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of each logit against 0/1."""
    return functional.binary_cross_entropy_with_logits(logits, targets)


def mse(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Squared error after the sigmoid, as published."""
    return functional.mse_loss(torch.sigmoid(logits), targets)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over all classes; `targets` one-hot."""
    return functional.cross_entropy(logits, targets)


LOSSES = {"bce": bce, "mse": mse, "ce": cross_entropy}


def one_against_rest(labels: torch.Tensor, classes: Iterable[int]) -> torch.Tensor:
    """Targets (n, classes) of 0 and 1: column k says whether the image shows classes[k]."""
    wanted = torch.as_tensor(list(classes), device=labels.device)
    return (labels[:, None] == wanted).float()


def steps_of_an_epoch(data: Split, classes: Iterable[int], recipe: Recipe) -> int:
    """Batches that an epoch of `train` shows."""
    return Sampling(data.labels, classes, recipe.rest).steps(recipe.batch_size)


def train(
    compact: CompactNetwork,
    data: Split,
    classes: Iterable[int],
    recipe: Recipe,
    validate: Callable[[torch.Tensor], float],
    validation: Split,
    tick: Tick = lambda: None,
    to_beat: float = float("-inf"),
    augment: Callable[[Any, Any], Any] | None = None,
    state: Record | None = None,
) -> Iterator[EpochRecord]:
    """Train a network in place, one-against-rest for `classes`, and leave it in its best epoch.

    `validate` scores the validation logits (higher is better, finite); `tick` is called after every batch. If no epoch
    is better than `to_beat`, the network stays as it was. `augment(images, generator)` changes every batch before it is
    shown. The order of the images, what `augment` draws, and what a network draws in training, are random from
    `recipe.seed`, by which torch's own generator is set. `state`: what an epoch of this very training, with the same
    network as it was before, left on a device of this kind; it goes on behind it as if it had never ended, to the last
    bit. Raises Diverged if the training diverges, ValueError if a score is not finite.
    """
    network = compact.network
    network.to(memory_format=_memory_format(network, data.images, recipe))
    sampling = Sampling(data.labels, classes, recipe.rest)
    optimizer, schedule = _optimizer(network, recipe, sampling.steps(recipe.batch_size))
    generator = torch.Generator().manual_seed(recipe.seed)
    augmented = None if augment is None else lambda images: augment(images, generator)
    gradients = _gradients(compact, data, sampling, recipe, augmented)
    torch.manual_seed(recipe.seed)  # of dropout and its like
    parts, done = _Parts(network, optimizer, schedule, generator), 0
    best_score, best_state = to_beat, copy.deepcopy(network.state_dict())
    if state is not None:
        _warm(network, gradients, sampling, recipe.batch_size)
        parts.restore(state["parts"])
        done, best_score, best_state = state["epoch"], state["best_score"], state["best_state"]
    for epoch in range(done + 1, recipe.epochs + 1):
        network.train()
        total = torch.zeros((), device=data.images.device)
        for batch in sampling.order(generator).split(recipe.batch_size):
            loss = gradients(batch)
            optimizer.step()
            schedule.step()
            total += loss * len(batch)
            tick()
        logits = logits_of(network, validation.images)
        if not (total.isfinite() and logits.isfinite().all()):
            raise Diverged(f"training diverged in epoch {epoch}")
        score = validate(logits)
        if not math.isfinite(score):
            raise ValueError(f"the score of epoch {epoch} is {score}: no epoch can be the best")
        best = score > best_score
        if best:
            best_score, best_state = score, copy.deepcopy(network.state_dict())
        now = {"epoch": epoch, "best_score": best_score, "best_state": best_state}
        yield EpochRecord(epoch, float(total) / len(sampling), score, best, functools.partial(parts.state, now))
    _leave(network, best_state)


def restore(compact: CompactNetwork, data: Split, recipe: Recipe, state: Record) -> None:
    """Leave a network as its training on `data` left it, which is told by the state_dict that it had then.

    Its tensors lie in memory as they lay then, which decides the last bits of what is computed with them.
    """
    compact.network.to(memory_format=_memory_format(compact.network, data.images, recipe))
    _leave(compact.network, state)
    compact.network.eval()


def _leave(network: nn.Module, state: Record) -> None:
    network.load_state_dict(state)
    network.to(memory_format=torch.contiguous_format)


@dataclass(frozen=True)
class _Parts:
    """All that every step of a training changes."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator

    def state(self, more: Record) -> Record:
        """Tensors and plain values, with `more` of them."""
        named = {name: getattr(self, name).state_dict() for name in ("network", "optimizer", "schedule")}
        drawn = {"order": self.generator.get_state(), "torch": torch.get_rng_state()}
        if torch.cuda.is_initialized():
            drawn["cuda"] = torch.cuda.get_rng_state()
        return {**more, "parts": {**named, "drawn": drawn}}

    def restore(self, state: Record) -> None:
        for name in ("network", "optimizer", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        self.generator.set_state(state["drawn"]["order"])
        torch.set_rng_state(state["drawn"]["torch"])
        if "cuda" in state["drawn"]:
            torch.cuda.set_rng_state(state["drawn"]["cuda"])


def _warm(network: nn.Module, gradients: Gradients, sampling: Sampling, batch_size: int) -> None:
    """Have CUDA graphs captured before a state is restored: a capture draws numbers, and a BatchNorm learns from it."""
    if sampling.own.is_cuda:
        network.train()
        for size in {len(batch) for batch in torch.arange(len(sampling)).split(batch_size)}:
            gradients(torch.arange(size, device=sampling.own.device))


def _memory_format(network: nn.Module, images: torch.Tensor, recipe: Recipe) -> torch.memory_format:
    """How maps of channels lie in memory while a network is trained.

    Channels last, an epoch of a compact convolutional network takes 3/4 of the time, of a whole one half. On several
    threads of a processor, or in bfloat16, torch's BatchNorm learns so slowly from such maps that ResNet-20 with a
    third of its channels takes twice the time, or half as much again.
    """
    slow = images.device.type == "cpu" and (torch.get_num_threads() > 1 or recipe.precision == "bfloat16")
    slow = slow and any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    return torch.contiguous_format if slow else torch.channels_last


def _gradients(
    compact: CompactNetwork, data: Split, sampling: Sampling, recipe: Recipe, augmented: Callable[[Any], Any] | None
) -> Gradients:
    """What leaves the gradients of a batch (indices) in the network and returns its loss.

    A CUDA graph draws no new numbers and reads where it read before: images are augmented ahead of it, into one place.
    """
    network, images = _behind_gathering(compact, data.images, augmented)
    weights, prunable, norms_now = list(network.parameters()), compact.wiring.layers.prunable, outgoing_norms(compact)
    targets = one_against_rest(data.labels, sampling.classes.tolist())
    offsets = None if sampling.whole else sampling.offsets()
    place = None if augmented is None else torch.empty_like(images[: recipe.batch_size])
    lowered = torch.autocast(  # a CUDA graph would read what is cached where it no longer is
        images.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16", cache_enabled=False
    )

    def fresh(batch: torch.Tensor) -> torch.Tensor:
        for weight in weights:
            weight.grad = None
        shown = images.index_select(0, batch) if place is None else place[: len(batch)]
        with lowered:
            logits = network(shown).float()
        if offsets is not None:
            logits = logits + offsets
        loss = LOSSES[recipe.loss](logits, targets.index_select(0, batch))
        if recipe.group_l1:
            norms = norms_now()
            loss = loss + recipe.group_l1 * sum(norms[depth].sum() for depth in prunable)
        loss.backward()
        total: torch.Tensor = loss.detach()
        return total

    def ahead(batch: torch.Tensor) -> torch.Tensor:
        if place is not None and augmented is not None:
            place[: len(batch)] = augmented(images.index_select(0, batch))
        return step(batch)

    step = _replayed(network, fresh) if images.is_cuda else fresh
    return step if augmented is None else ahead


def _behind_gathering(
    compact: CompactNetwork, images: Any, augmented: Callable[[Any], Any] | None
) -> tuple[nn.Module, Any]:
    """A network and what it is shown: the kept pixels, taken out of the images once, where it begins with that.

    A network of 86-7-5 units, on images of 784 pixels, then takes 7/10 of the time. What is augmented is shown whole.
    """
    parts = without_gathering(compact.network) if augmented is None and torch.is_tensor(images) else None
    if parts is None:
        return compact.network, images
    gathering, rest = parts
    return rest, torch.cat([gathering(batch) for batch in images.split(BATCH_SIZE)])


def _replayed(network: nn.Module, fresh: Gradients) -> Gradients:
    """`fresh` as one CUDA graph per size of batch: a small network's step on a GPU is all launches."""
    weights, graphs = list(network.parameters()), dict[int, Captured]()

    def replay(batch: torch.Tensor) -> torch.Tensor:
        if len(batch) not in graphs:
            graphs[len(batch)] = _captured(weights, fresh, batch.clone())
        indices, graph, loss, gradients = graphs[len(batch)]
        indices[:] = batch
        graph.replay()
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        return loss

    return replay


def _captured(weights: list[nn.Parameter], fresh: Gradients, indices: torch.Tensor) -> Captured:
    """(indices to fill, CUDA graph, loss and gradients that it leaves), captured after a warm-up on another stream."""
    here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
    aside.wait_stream(here)
    with torch.cuda.stream(aside):
        for _ in range(3):
            fresh(indices)
    here.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = fresh(indices)
    return indices, graph, loss, [weight.grad for weight in weights]


def _optimizer(network: nn.Module, recipe: Recipe, batches: int) -> tuple[Optimizer, LRScheduler]:
    """The optimizer and its schedule, stepped every batch. Fused: a fifth of a small network's epoch is saved.

    `lr_epochs` > 0 divides the rate by 10 every so many epochs (published); 0 is one cycle
    (Smith and Topin 2018).
    """
    shared: dict[str, Any] = {"weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimizer == "SGD":
        optimizer: Optimizer = torch.optim.SGD(network.parameters(), recipe.lr, recipe.momentum, **shared)
    else:
        optimizer = torch.optim.AdamW(network.parameters(), recipe.lr, **shared)
    if recipe.lr_epochs:
        return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, recipe.lr_epochs * batches, gamma=0.1)
    steps = max(1, recipe.epochs * batches)  # OneCycleLR refuses 0
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps)
