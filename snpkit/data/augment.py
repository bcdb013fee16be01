"""Augmentation of training frames: flips, random crops and RandAugment, alike for all frames.

What is drawn holds for a whole video, so that its motion stays true.
"""

import math
import re
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from snpkit.data.samples import VideoText

_SIDED = re.compile(r"\b(left|right|(anti|counter-?)?clockwise)", re.IGNORECASE)
_APPLIED = 0.5  # probability of each operation of RandAugment, as in the published configuration
_GREY = 128.0  # where a moved picture leaves a gap
_SMOOTH = torch.tensor([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13


@dataclass(frozen=True)
class Augmentation:
    """What may happen to the frames of a video in training.

    Attributes:
        flip: mirror half of the videos, but none whose text says left, right or clockwise: in the
            caption, the answer or an option.
        crop: (smallest, largest) share of the picture's area that is cut out at a random place and
            scaled to the frame size (the random resized crop of Inception); None = all of it.
        aspect: the crop's width / height is drawn between 1 / aspect and aspect, uniformly in its
            logarithm; 1 = squares. What would be longer than the picture is cut.
        operations: of RandAugment (Cubuk et al. 2020), each with probability 1/2. Of its operations
            those that change hues are left out, since captions name colours.
        magnitude: their strength, from 0 (none) to 10.
    """

    flip: bool = False
    crop: tuple[float, float] | None = None
    aspect: float = 1.0
    operations: int = 0
    magnitude: int = 9

    def __bool__(self) -> bool:
        return self.flip or self.moves

    @property
    def moves(self) -> bool:
        """Whether it changes which part of the picture is shown, or what fills its gaps."""
        return self.crop is not None or self.operations > 0

    def source_size(self, size: int) -> int:
        """The size at which to read frames, so that a crop need not be scaled up.

        At most twice `size`: small crops are blurred rather than large frames decoded.
        """
        return size if self.crop is None else min(round(size / math.sqrt(self.crop[0])), 2 * size)

    def __call__(
        self, frames: Tensor, row: VideoText, size: int, random: np.random.Generator
    ) -> Tensor:
        """Augment one video.

        Args:
            frames: uint8 [clips, frames, 3, height, width].
            row: whose text is looked at before a flip.
            size: height and width of the result, where there is a crop.
            random: drawn from, the same numbers for the same settings.

        Returns:
            uint8 [clips, frames, 3, height, width], or [..., size, size] after a crop.
        """
        if self.crop is not None:
            top, left, height, width = self._box(*frames.shape[-2:], random)
            frames = resized(frames[..., top : top + height, left : left + width], size)
        if self.flip and random.random() < 0.5 and may_flip(row):
            frames = frames.flip(-1)
        for _ in range(self.operations):
            name, sign = _NAMES[random.integers(len(_NAMES))], random.choice((-1.0, 1.0))
            if random.random() < _APPLIED:
                frames = operate(frames, name, float(sign) * self.magnitude / 10)
        return frames

    def _box(self, height: int, width: int, random: np.random.Generator) -> tuple[int, ...]:
        """Top, left, height and width of a crop in pixels."""
        assert self.crop is not None
        area = random.uniform(*self.crop) * height * width
        ratio = self.aspect ** random.uniform(-1, 1)
        high = min(max(round(math.sqrt(area / ratio)), 1), height)
        wide = min(max(round(math.sqrt(area * ratio)), 1), width)
        return *map(int, random.integers((height - high + 1, width - wide + 1))), high, wide


def may_flip(row: VideoText) -> bool:
    """Whether a row's text stays true when its video is mirrored: no word in it names a side."""
    return _SIDED.search(f"{row.caption} {row.extra}") is None


def resized(frames: Tensor, size: int) -> Tensor:
    """Frames [..., 3, height, width] at size x size pixels: uint8, bilinear, antialiased."""
    flat = frames.flatten(0, -4).float()
    scaled = F.interpolate(flat, (size, size), mode="bilinear", antialias=True)
    return _pixels(scaled).unflatten(0, frames.shape[:-3])


def operate(frames: Tensor, name: str, strength: float) -> Tensor:
    """One operation of RandAugment on square frames, uint8 [..., 3, size, size].

    `strength` lies between -1 and 1: the direction, or whether the picture gets less or more of it.
    Statistics of the picture, such as its mean grey, are those of all frames together.
    """
    flat = frames.flatten(0, -4).float()
    if name in _MOVES:
        matrix = torch.tensor([_MOVES[name](strength)])
        grid = F.affine_grid(matrix, [1, 3, *flat.shape[-2:]], align_corners=False)
        grid = grid.expand(len(flat), -1, -1, -1)
        moved = F.grid_sample(flat - _GREY, grid, align_corners=False) + _GREY
    elif name == "autocontrast":
        low, high = flat.aminmax()  # of all colours together: each by itself would change hues
        moved = (flat - low) / (high - low) * 255 if high > low else flat
    else:
        base = torch.zeros(())
        if name == "contrast":
            base = (flat.mean((0, 2, 3)) * torch.tensor([0.299, 0.587, 0.114])).sum()
        elif name == "sharpness":
            padded = F.pad(flat, (1, 1, 1, 1), mode="replicate")
            base = F.conv2d(padded, _SMOOTH.expand(3, 1, 3, 3), groups=3)
        moved = base + (1 + 0.9 * strength) * (flat - base)
    return _pixels(moved).unflatten(0, frames.shape[:-3])


def _rotation(strength: float) -> list[list[float]]:
    angle = math.radians(30 * strength)
    return [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]]


# Where each pixel of the result comes from; places run from -1 to 1 in both directions.
_MOVES = {
    "rotate": _rotation,  # up to 30 degrees
    "shear_x": lambda s: [[1, 0.3 * s, 0], [0, 1, 0]],
    "shear_y": lambda s: [[1, 0, 0], [0.3 * s, 1, 0]],
    "translate_x": lambda s: [[1, 0, 0.9 * s], [0, 1, 0]],  # up to 45 % of the width
    "translate_y": lambda s: [[1, 0, 0], [0, 1, 0.9 * s]],
}
_NAMES = ("autocontrast", "brightness", "contrast", "sharpness", *_MOVES)


def _pixels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
