"""What a run tells TensorBoard, for people who watch."""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specdnn.structures import SpecDNNError


@dataclass
class Board:
    """Numbers of several runs, each in a folder of its own below `folder`; silent without one.

    It can be sent to another process, which opens files of its own.
    """

    folder: Path | None = None
    writers: dict[str, Any] = field(default_factory=dict, repr=False)
    cuts: Counter[str] = field(default_factory=Counter, repr=False)

    def __post_init__(self) -> None:
        if self.folder is not None and importlib.util.find_spec("tensorboard") is None:
            raise SpecDNNError("--tensorboard needs tensorboard: pip install 'specdnn[tensorboard]'")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "writers": {}}

    def tell(self, run: str, values: dict[str, float], step: int) -> None:
        """Write values by their tags. Raises SpecDNNError if the folder cannot be written."""
        if self.folder is None:
            return
        try:
            if run not in self.writers:
                from torch.utils.tensorboard import SummaryWriter

                self.writers[run] = SummaryWriter(str(self.folder / run))
            for tag, value in values.items():
                self.writers[run].add_scalar(tag, value, step)
            self.writers[run].flush()
        except OSError as error:
            raise SpecDNNError(f"cannot write to --tensorboard {self.folder}: {error.strerror}") from None

    def cut(self, run: str, values: dict[str, float]) -> None:
        """Write what a cut left, as the next step of the run."""
        self.cuts[run] += 1
        self.tell(run, values, self.cuts[run])
