"""Frames by PyAV: every platform, and every container that ffmpeg knows."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from snpkit.video.index import VideoIndex, damaged, open_container, quarter_turns

# ffmpeg filters that turn a picture by 0 to 3 quarter turns counter-clockwise.
_TURNS = ([], ["cclock"], ["clock", "clock"], ["clock"])


def decode(index: VideoIndex, wanted: np.ndarray, width: int, height: int) -> np.ndarray:
    """Decode some frames of a file, scaled (bilinear) to `width` x `height`.

    Args:
        index: the file.
        wanted: frame numbers [n], increasing.
        width: pixels of the upright frame.
        height: pixels of the upright frame.

    Returns:
        uint8 [n, height, width, 3].

    Raises:
        VideoError: a wanted frame cannot be decoded.
    """
    import av

    frames = np.empty((len(wanted), height, width, 3), dtype=np.uint8)
    place = {int(stamp): position for position, stamp in enumerate(index.stamps[wanted])}
    try:
        for start, stamps in _runs(index, wanted):
            missing = _decode_run(index, start, stamps, place, frames)
            if missing and start is not None:
                # Some containers seek past the key frame; from the beginning nothing is missed.
                missing = _decode_run(index, None, missing, place, frames)
            if missing:
                raise damaged(index.path)
    except (av.FFmpegError, OSError, IndexError):  # the last: a stream that vanishes in the middle
        raise damaged(index.path) from None
    return frames


def _runs(index: VideoIndex, wanted: np.ndarray) -> Iterator[tuple[int | None, set[int]]]:
    """Cut the wanted frames into runs to decode in one go: (stamp to seek to, their stamps).

    A run begins at a key frame and passes over no other that it could have begun at instead. The
    first one needs no seek (None): it is read from the beginning of the file.
    """
    groups = np.searchsorted(index.keyframes, wanted, side="right") - 1
    for run in np.split(np.arange(len(wanted)), np.flatnonzero(np.diff(groups) > 1) + 1):
        start = groups[run[0]]
        stamps = set(index.stamps[wanted[run]].tolist())
        yield (int(index.stamps[index.keyframes[start]]) if start > 0 else None), stamps


def _decode_run(
    index: VideoIndex,
    start: int | None,
    stamps: set[int],
    place: dict[int, int],
    frames: np.ndarray,
) -> set[int]:
    """Decode until all `stamps` are in `frames`; returns those that never came."""
    missing, last, graph = set(stamps), max(stamps), None
    with open_container(index.path) as container:
        stream = container.streams.video[0]
        if start is not None:
            container.seek(start, stream=stream)
        for number, frame in enumerate(container.decode(stream)):
            stamp = number if index.counted else frame.pts
            if stamp in missing and not frame.is_corrupt:
                if graph is None:
                    graph = _graph(stream, frame, frames.shape[2], frames.shape[1])
                graph.push(frame)
                frames[place[stamp]] = graph.pull().to_ndarray()
                missing.remove(stamp)
            if not missing or (stamp is not None and stamp > last):
                break
    return missing


def _graph(stream: Any, frame: Any, width: int, height: int) -> Any:
    # decord's filters, one by one: 8-bit frames come out the same to the last bit.
    import av

    graph = av.filter.Graph()
    graph.threads = 1  # handing small frames to other threads takes longer than scaling them
    steps = [graph.add_buffer(template=stream)]
    steps += [graph.add("transpose", turn) for turn in _TURNS[quarter_turns(frame)]]
    steps += [graph.add("scale", f"{width}:{height}:flags=bilinear")]
    steps += [graph.add("format", "pix_fmts=rgb24"), graph.add("buffersink")]
    for before, after in pairwise(steps):
        before.link_to(after)
    graph.configure()
    return graph
