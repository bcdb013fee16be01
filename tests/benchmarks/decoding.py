"""Frames of a video, plainly: decord and PyAV as their own examples use them."""

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def by_decord(path: str, count: int, size: int) -> Tensor:
    """The middle frames of `count` equal ranges, decoded at full size, then scaled and cut."""
    import decord

    reader = decord.VideoReader(path)
    frames = reader.get_batch(middles(len(reader), count)).asnumpy()
    return crop(torch.from_numpy(frames), size)


def by_pyav(path: str, count: int, size: int) -> Tensor:
    """The same: every frame is decoded, and those that are wanted are kept."""
    import av

    with av.open(path) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    chosen = np.stack([frames[place] for place in middles(len(frames), count)])
    return crop(torch.from_numpy(chosen), size)


def middles(frames: int, count: int) -> list[int]:
    """The middle frame of each of `count` equal ranges."""
    edges = [frames * n // count for n in range(count + 1)]
    ends = [max(end, start + 1) for start, end in pairwise(edges)]
    return [(start + end) // 2 for start, end in zip(edges, ends, strict=False)]


def crop(frames: Tensor, size: int) -> Tensor:
    """uint8 [n, height, width, 3] -> the centre square, uint8 [n, 3, size, size]."""
    pictures = frames.permute(0, 3, 1, 2).float()
    scale = size / min(pictures.shape[2:])
    shape = [max(size, round(side * scale)) for side in pictures.shape[2:]]
    pictures = F.interpolate(pictures, shape, mode="bilinear", antialias=True)
    top, left = ((side - size) // 2 for side in shape)
    cut = pictures[:, :, top : top + size, left : left + size]
    return cut.round().clamp(0, 255).to(torch.uint8)
