"""Which images an epoch of training shows, and what that choice does to the odds of a class."""

from __future__ import annotations

from collections.abc import Iterable

import torch


class Sampling:
    """All images of the wanted classes, and of the others `rest` times as many, drawn anew for every epoch.

    `labels` (n,); `rest` 0, or more than there are: all images. A detector of one class in ten learns little from most
    of what is not the class, and an epoch with three images of the rest for one of the class takes two fifths of the
    time.
    """

    def __init__(self, labels: torch.Tensor, classes: Iterable[int], rest: float) -> None:
        self.labels, self.classes = labels, torch.as_tensor(list(classes), device=labels.device)
        wanted = torch.isin(labels, self.classes)
        self.own, self.others = wanted.nonzero().ravel(), (~wanted).nonzero().ravel()
        asked = max(1, round(rest * len(self.own))) if rest else len(self.others)
        self.drawn = min(asked, len(self.others))

    def __len__(self) -> int:
        """Images of an epoch."""
        return len(self.own) + self.drawn

    def steps(self, batch_size: int) -> int:
        """Batches of an epoch."""
        return -(-len(self) // batch_size)

    @property
    def whole(self) -> bool:
        """Whether every image is shown."""
        return self.drawn == len(self.others)

    def order(self, generator: torch.Generator) -> torch.Tensor:
        """Indices (images of an epoch,) in random order."""
        device = self.own.device
        if self.whole:
            return torch.randperm(len(self), generator=generator).to(device)
        rest = torch.randperm(len(self.others), generator=generator)[: self.drawn].to(device)
        shown = torch.cat([self.own, self.others[rest]])
        return shown[torch.randperm(len(shown), generator=generator).to(device)]

    def offsets(self) -> torch.Tensor:
        """(classes,) by how much the log-odds of each class are higher among the images shown than among all.

        Added to the logits in training, it leaves logits that are right for all images: prior correction (King and
        Zeng 2001, "Logistic regression in rare events data", equation 7).
        """
        own = (self.labels[:, None] == self.classes).sum(0)
        return torch.log((len(self.labels) - own) / (len(self) - own))
