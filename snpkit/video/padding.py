"""Whole pictures in square frames: zeros fill the rest, a mask says which pixels are real."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from snpkit.errors import UserError
from snpkit.video.reader import Fit, read_clips
from snpkit.video.sampling import Middle


def pad_square(frames: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Fill frames up to size x size, at the bottom and at the right.

    Args:
        frames: [..., 3, height, width], no side longer than `size`.

    Returns:
        The same frames as [..., 3, size, size], and bool [..., size, size], True = real.

    Raises:
        UserError: a side is longer than `size`.
    """
    height, width = frames.shape[-2:]
    if max(height, width) > size:
        raise UserError(f"Frames of {width} x {height} do not fit into {size} x {size} pixels.")
    mask = torch.zeros(*frames.shape[:-3], size, size, dtype=torch.bool)
    mask[..., :height, :width] = True
    return functional.pad(frames, (0, size - width, 0, size - height)), mask


def read_square(
    path: str | Path,
    clips: int,
    frames: int,
    *,
    size: int,
    fit: Fit,
    middle: Middle = "upper",
    read: Callable[..., Tensor] = read_clips,
) -> tuple[Tensor, Tensor | None]:
    """The middle frames of a video as a model reads them: its clips, frames, size and fit.

    Args:
        middle: which middle frame of a range: see `sample_frames`.
        read: `read_clips`, or what calls it in a process that may die (`ReaderPool.call`).

    Returns:
        uint8 [clips, frames, 3, size, size]; with fit="long" also the mask of the real pixels,
        bool [clips, frames, size, size], else None.

    Raises:
        VideoError: the file cannot be read; one sentence that names it.
    """
    pictures = read(path, clips=clips, frames=frames, size=size, fit=fit, middle=middle)
    return pad_square(pictures, size) if fit == "long" else (pictures, None)
