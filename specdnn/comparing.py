"""How far a specialised network still agrees with its parent on other images than those it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from scipy import stats

from specdnn.files import joined
from specdnn.network import evaluation
from specdnn.network.deployed import normaliser
from specdnn.network.netfile import Checkpoint
from specdnn.structures import Record, SpecDNNError
from specdnn.work import progress

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
CONFIDENCE = 0.95
SHOWN = 60  # images on the contact sheet
MODES = {1: "L", 3: "RGB"}  # channels -> what Pillow calls them


@dataclass(frozen=True)
class Images:
    """Images (n, *shape) of intensities in 0..1, and what they are called."""

    name: str
    pixels: torch.Tensor

    def __len__(self) -> int:
        return len(self.pixels)


# ------------------------------------------------------------------------------------------ images


def of_folder(folder: Path, shape: tuple[int, ...]) -> Images:
    """All image files below a folder, in the order of their paths, scaled to `shape` (channels, height, width).

    Raises SpecDNNError if there are none, or one cannot be read.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not paths:
        raise SpecDNNError(f"--images {folder}: no images lie in it ({', '.join(sorted(ENDINGS))})")
    if len(shape) != 3 or shape[0] not in MODES:
        raise SpecDNNError(f"the network takes images of {'x'.join(map(str, shape))}, which no image file has")
    pixels = torch.stack([_of_file(path, shape) for path in progress(paths, "images")])
    return Images(folder.name, pixels)


def _of_file(path: Path, shape: tuple[int, ...]) -> torch.Tensor:
    channels, height, width = shape
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert(MODES[channels])
            found = np.asarray(upright.resize((width, height), Image.Resampling.BILINEAR))
    except Exception as error:  # Pillow raises nearly anything on damaged files
        raise SpecDNNError(f"{path} cannot be read as an image: {error}") from None
    return torch.from_numpy(found.reshape(height, width, channels).copy()).permute(2, 0, 1).float() / 255


# ------------------------------------------------------------------------------------------ agreement


@dataclass(frozen=True)
class Compared:
    """What a specialised network and its parent say of images.

    `probabilities` (n, classes): the network's; `yes` (n, classes): whether it says that an image is of the class;
    `parent` (n,): the class that its parent gives the highest output.
    """

    classes: tuple[int, ...]
    probabilities: np.ndarray
    yes: np.ndarray
    parent: np.ndarray

    @property
    def parents(self) -> np.ndarray:
        """(n, classes) whether its parent does."""
        same: np.ndarray = self.parent[:, None] == np.array(self.classes)
        return same

    def differing(self) -> np.ndarray:
        """Numbers of the images of which they say different things, those first that the network is surest of."""
        apart = np.where(self.yes != self.parents, np.abs(self.probabilities - self.parents), 0).max(1)
        return np.argsort(-apart, kind="stable")[: np.count_nonzero(apart)]


def compared(small: Checkpoint, parent: Checkpoint, images: Images) -> Compared:
    """Both networks on the same images, each normalised as that network was trained."""
    logits = [evaluation.logits_of(one.compact.network, normalised(one, images.pixels)) for one in (small, parent)]
    own, whole = (found.double().cpu() for found in logits)
    yes = own > torch.tensor(small.thresholds or [0.0] * len(small.classes), dtype=own.dtype)
    said = np.array(parent.classes)[whole.argmax(1).numpy()]
    return Compared(small.classes, own.sigmoid().numpy(), yes.numpy(), said)


def normalised(one: Checkpoint, pixels: torch.Tensor) -> torch.Tensor:
    """Images as a network takes them, where it lies."""
    like = next(one.compact.network.parameters())
    images: torch.Tensor = normaliser(one.normalisation)(pixels)
    return images.to(like)


def figures(found: Compared) -> list[Record]:
    """Per class: how often they agree, with a 95 % confidence interval (Wilson 1927), Cohen's kappa, and the counts."""
    rows = []
    for k, wanted in enumerate(found.classes):
        own, whole = found.yes[:, k], found.parents[:, k]
        agree = int((own == whole).sum())
        interval = stats.binomtest(agree, len(own)).proportion_ci(CONFIDENCE, "wilson")
        counts = {"both": own & whole, "only_this": own & ~whole, "only_parent": whole & ~own, "neither": ~own & ~whole}
        rows.append(
            {
                "class": wanted,
                "images": len(own),
                "agreement": agree / len(own),
                "low": interval.low,
                "high": interval.high,
                "kappa": evaluation.kappa(own, whole),
                **{name: int(several.sum()) for name, several in counts.items()},
            }
        )
    return rows


def differences(found: Compared, images: Images, names: Sequence[str]) -> list[tuple[np.ndarray, str]]:
    """(image (height, width) or (height, width, 3) in 0..1, what both say of it) of the first that they differ on."""
    shown = []
    for number in found.differing()[:SHOWN]:
        pixels = images.pixels[number].cpu().permute(1, 2, 0).clamp(0, 1).numpy()
        said = zip(found.classes, found.probabilities[number], strict=True)
        words = f"{', '.join(f'{names[c]} {p:.2f}' for c, p in said)}\nparent: {names[found.parent[number]]}"
        shown.append((pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels, words))
    return shown


def check(small: Checkpoint, parent: Checkpoint, path: Path) -> None:
    """Raise SpecDNNError where this cannot be the parent."""
    shapes = [one.compact.wiring.image_shape for one in (small, parent)]
    widths = [one.compact.wiring.layers.widths[-1] for one in (small, parent)]
    if len(parent.classes) < widths[1]:
        raise SpecDNNError(f"{path} knows classes {joined(parent.classes)} only: name a network of all classes")
    if shapes[0] != shapes[1] or widths[0] != widths[1]:
        told = ", ".join(f"{n} classes of images {'x'.join(map(str, s))}" for n, s in zip(widths, shapes, strict=True))
        raise SpecDNNError(f"{path} is not the parent: they have {told}")
