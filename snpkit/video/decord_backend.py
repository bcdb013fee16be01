"""Frames by decord, the faster reader; x86-64 Linux and Windows only."""

import importlib.util
from functools import cache
from typing import Any

import numpy as np

from snpkit.video.index import VideoIndex

# Widths of a frame whose rows, once padded, decord takes for pixels of 4 and more channels.
_MISREAD_WIDTHS = {8, 12, 16, 24, 48, 72}


@cache
def available() -> bool:
    """Whether decord is installed."""
    return importlib.util.find_spec("decord") is not None


@cache
def _decord() -> Any:
    # decord must come after torch: loaded first, its copy of ffmpeg breaks torch's libraries.
    import torch  # noqa: F401, I001
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    return decord


def decode(index: VideoIndex, wanted: np.ndarray, width: int, height: int) -> np.ndarray | None:
    """Decode some frames of a file, scaled (bilinear) to `width` x `height`.

    Args:
        index: the file; `index.plain` must hold.
        wanted: frame numbers [n], increasing.
        width: pixels of the upright frame.
        height: pixels of the upright frame.

    Returns:
        uint8 [n, height, width, 3], or None where decord cannot decode them: some widths, damaged
        files, formats younger than its ffmpeg of 2018, such as AV1.
    """
    # A reader kept alive decodes on in the background and takes gigabytes, so it is opened, read,
    # rewound and dropped here; no exception may leave, because its traceback holds the reader.
    if width in _MISREAD_WIDTHS:
        return None
    decord = _decord()
    try:
        # decord repeats a neighbour where it cannot decode a frame; fault_tol makes that an error.
        reader = decord.VideoReader(
            str(index.path.absolute()), width=width, height=height, num_threads=1, fault_tol=1e-9
        )
        if len(reader) != index.info.frames:
            return None
        frames = reader.get_batch(wanted.tolist()).asnumpy()
        reader.seek(0)
    except Exception:
        return None
    return frames
