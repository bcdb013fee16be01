"""Geometry of 3-D windows: cut a grid, join it again, who is where, who may see whom.

The index arithmetic of the Video Swin Transformer (arXiv 2106.13230, section 3.3), without weights.
Sizes are written (time, height, width).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int, int]


def pad_to_multiple(grid: Tensor, multiple: Size) -> Tensor:
    """Append zeros to [clips, time, height, width, channels] up to multiples of `multiple`."""
    t, h, w = (-side % unit for side, unit in zip(grid.shape[1:4], multiple, strict=True))
    return F.pad(grid, (0, 0, 0, w, 0, h, 0, t)) if t or h or w else grid


def cut_windows(grid: Tensor, window: Size) -> Tensor:
    """Cut [clips, time, height, width, channels] into [clips, windows, tokens, channels].

    Each side of the grid must be a multiple of the window's; `tokens` counts one window's patches
    in the order time, height, width.
    """
    clips, *size, channels = grid.shape
    (t, h, w), (wt, wh, ww) = (s // d for s, d in zip(size, window, strict=True)), window
    grid = grid.reshape(clips, t, wt, h, wh, w, ww, channels)
    return grid.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(clips, t * h * w, wt * wh * ww, channels)


def join_windows(windows: Tensor, window: Size, size: Size) -> Tensor:
    """Undo `cut_windows`: [clips, windows, tokens, channels] -> [clips, *size, channels]."""
    clips, channels = windows.shape[0], windows.shape[-1]
    t, h, w = (s // d for s, d in zip(size, window, strict=True))
    grid = windows.reshape(clips, t, h, w, *window, channels)
    return grid.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(clips, *size, channels)


def relative_index(window: Size, full: Size, device: torch.device | None = None) -> Tensor:
    """Rows of the position-bias table for each pair of patches in a window.

    A table for windows of `full` = (T, H, W) patches has (2T-1)(2H-1)(2W-1) rows, one for each
    offset (query minus key) a pair can have. `window` is `full`, or smaller where the grid is.

    The published networks number the patches of a smaller window as if they were the first ones of
    the full window. That gives the true offsets when only the time is cut short (one frame instead
    of 16), and wrapped ones when height or width are (frames below 193 pixels, in the last stage).
    It is done the same way here, so that the same weights give the same features.

    Returns:
        int64 [tokens, tokens], the row for (query, key).
    """
    tokens = window[0] * window[1] * window[2]
    number = torch.arange(tokens, device=device)
    _, height, width = full
    place = torch.stack((number // (height * width), number // width % height, number % width))
    offset = place[:, :, None] - place[:, None, :]  # [3, tokens, tokens], each in -(side-1)..side-1
    t, h, w = (offset[axis] + full[axis] - 1 for axis in range(3))
    return (t * (2 * height - 1) + h) * (2 * width - 1) + w


def same_region(
    size: Sequence[int], window: Size, shift: Size, device: torch.device | None = None
) -> Tensor:
    """Which pairs of a window may attend to each other after the grid was rolled by `-shift`.

    Rolling brings the first `shift` rows behind the last ones: they share a window there without
    being neighbours. A pair is allowed when both lie on the same side of that seam on every axis.
    `size` is the grid's before it is padded to multiples of the window.

    Returns:
        bool [windows, tokens, tokens], True = may attend.
    """
    size = [side + -side % unit for side, unit in zip(size, window, strict=True)]
    beyond_seam = torch.meshgrid(
        *(torch.arange(n, device=device) >= n - step for n, step in zip(size, shift, strict=True)),
        indexing="ij",
    )
    region = cut_windows(torch.stack(beyond_seam, -1)[None], window)[0]  # [windows, tokens, 3]
    return (region[:, :, None] == region[:, None, :]).all(-1)
