"""From a file to frames: uint8 [clips, frames, 3, height, width].

decord reads where it gives the frames asked for; PyAV reads everything else, and everything on
machines for which decord is not made. Both decode at the target size and give the same pictures:
equal to the last bit for 8-bit video and for scaled 10-bit video, close for 10-bit video at its
native size. Turned and mirrored video comes upright; pixels are taken as square.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional

from snpkit.errors import UserError, VideoError
from snpkit.video import images, index
from snpkit.video.backends import Backend, decode
from snpkit.video.container import MOST_PIXELS, DamagedError
from snpkit.video.index import VideoIndex, VideoInfo
from snpkit.video.sampling import Middle, frames_within, sample_frames

Fit = Literal["crop", "long"]


def probe(path: str | Path) -> VideoInfo:
    """Frames, upright size and mean frame rate of a video or image.

    Raises:
        VideoError: it cannot be read.
    """
    return open_index(path).info


def read_clips(
    path: str | Path,
    clips: int = 1,
    frames: int = 1,
    *,
    size: int | None = None,
    fit: Fit = "crop",
    start: float | None = None,
    end: float | None = None,
    generator: np.random.Generator | None = None,
    middle: Middle = "upper",
    backend: Backend = "auto",
) -> torch.Tensor:
    """Read `clips` clips of `frames` frames, spread over the video (see `sample_frames`).

    Args:
        path: a video, or an image (a video of one frame).
        clips: number of clips.
        frames: frames per clip.
        size: pixels to scale one side to; None keeps the native size.
        fit: "crop" scales the short side to `size` and cuts the centre square; "long" scales the
            long side to `size` and keeps the whole picture.
        start: begin of the window to read, in seconds; None is the begin of the video.
        end: end of the window, in seconds; None is the end of the video.
        generator: draws random frames; None takes the middle ones.
        middle: which middle frame of a range: see `sample_frames`.
        backend: "decord", "pyav" or "auto".

    Returns:
        uint8 [clips, frames, 3, height, width].

    Raises:
        VideoError: the file cannot be read or has no such window; one sentence that names it.
    """

    def read(file: VideoIndex) -> torch.Tensor:
        window = window_of(file, start, end)
        chosen = sample_frames(len(window), clips, frames, generator, middle) + window.start
        return read_indexed(file, chosen, size=size, fit=fit, backend=backend)

    return with_index(path, read).unflatten(0, (clips, frames))


def read_frames(
    path: str | Path,
    indices: np.ndarray | list[int] | range,
    *,
    size: int | None = None,
    fit: Fit = "crop",
    backend: Backend = "auto",
) -> torch.Tensor:
    """Read single frames, in any order, repeats allowed; frame 0 is the first one shown.

    Returns:
        uint8 [n, 3, height, width].

    Raises:
        VideoError: the file cannot be read or has no such frame; one sentence that names it.
    """
    return read_indexed(open_index(path), indices, size=size, fit=fit, backend=backend)


def read_all(
    path: str | Path, *, size: int | None = None, backend: Backend = "auto"
) -> torch.Tensor:
    """Read every frame of a short video.

    Returns:
        uint8 [frames, 3, height, width].

    Raises:
        VideoError: the file cannot be read; one sentence that names it.
    """
    options = {"size": size, "backend": backend}
    return with_index(path, lambda file: read_indexed(file, range(file.info.frames), **options))


def with_index(path: str | Path, use: Callable[[VideoIndex], Any]) -> Any:
    """`use(index)` of a file; where it asks for a lost frame, of those that can be decoded.

    Raises:
        VideoError: it cannot be read; as `use`.
    """
    file = open_index(path)
    try:
        return use(file)
    except DamagedError:
        if file.counted or file.pictures:
            raise
        return use(index.build_index(path, decode=True))


def open_index(path: str | Path) -> VideoIndex:
    """The index of a video, an image or a folder of frames (see `images.folder_index`).

    It is what `read_indexed` needs to find frames.

    Raises:
        VideoError: it cannot be read.
    """
    path = Path(path)
    if os.path.isdir(path):
        return images.folder_index(path)
    found = images.build_index(path) if images.is_picture(path) else None
    return found or index.build_index(path)


def window_of(file: VideoIndex, start: float | None, end: float | None) -> range:
    """The frames of a video shown between `start` and `end`, in seconds; an image is always shown.

    Raises:
        VideoError: the window is empty or lies behind the video; names the file.
    """
    if file.still:
        return range(1)
    try:
        return frames_within(file.times, file.duration, start, end)
    except UserError as error:
        raise VideoError(f"{file.path}: {error}") from None


def read_indexed(
    file: VideoIndex,
    indices: np.ndarray | list[int] | range,
    *,
    size: int | None = None,
    fit: Fit = "crop",
    backend: Backend = "auto",
) -> torch.Tensor:
    """As `read_frames`, of a file that is indexed already.

    Returns:
        uint8 [n, 3, height, width].

    Raises:
        VideoError: a frame is not there or cannot be decoded; one sentence that names the file.
    """
    indices = np.asarray(indices, dtype=np.int64).reshape(-1)
    count = file.info.frames
    if len(indices) == 0 or indices.min() < 0 or indices.max() >= count:
        raise VideoError(f"{file.path} has frames 0 to {count - 1}; ask for one or more of these.")
    if min(file.info.width, file.info.height) < 1:
        raise VideoError(f"{file.path} says that its picture has no size; encode it again.")
    width, height = scaled_size(file.info.width, file.info.height, size, fit)
    if width * height > MOST_PIXELS:
        raise VideoError(
            f"{file.path} has {file.info.width} x {file.info.height} pixels, which are too narrow "
            f"to be scaled to {width} x {height}; cut it or leave it out."
        )
    wanted, position = np.unique(indices, return_inverse=True)
    pictures = decode(file, wanted, width, height, backend)
    if size is not None and fit == "crop":
        top, left = (height - size) // 2, (width - size) // 2
        pictures = pictures[:, top : top + size, left : left + size]
    if len(wanted) < len(indices) or (position[1:] < position[:-1]).any():
        pictures = pictures[position]  # repeats and the order asked for
    # [n, height, width, 3] -> [n, 3, height, width]
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))


def scaled_size(width: int, height: int, size: int | None, fit: Fit = "crop") -> tuple[int, int]:
    """Width and height after scaling one side to `size`; None changes nothing.

    It is the short side with fit="crop" and the long one with fit="long".

    Raises:
        UserError: `size` is below 1, or there is no such fit.
    """
    if fit not in ("crop", "long"):
        raise UserError(f"fit={fit!r} is unknown; choose crop or long.")
    if size is None:
        return width, height
    if size < 1:
        raise UserError(f"size={size} is no frame size; give at least 1 pixel.")
    side = min(width, height) if fit == "crop" else max(width, height)
    # A very narrow picture keeps a width of one pixel.
    return max(round(width * size / side), 1), max(round(height * size / side), 1)


def pad_square(frames: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
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
    read: Callable[..., torch.Tensor] = read_clips,
) -> tuple[torch.Tensor, torch.Tensor | None]:
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
