"""Frames by PyAV: every platform, and every container that ffmpeg knows."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from snpkit.video.container import damaged, decoded, open_film
from snpkit.video.index import VideoIndex
from snpkit.video.orientation import Filters


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
    frames = np.empty((len(wanted), height, width, 3), dtype=np.uint8)
    missing = set(range(len(wanted)))
    for start, places in _runs(index, wanted):
        # Some containers seek past the key frame; from the beginning nothing is missed.
        for begin in dict.fromkeys((start, None)):
            left = [place for place in places if place in missing]
            for place, picture in in_order(index, wanted[left], width, height, begin):
                frames[left[place]] = picture
                missing.discard(left[place])
    if missing:
        raise damaged(index.path)
    return frames


def in_order(
    index: VideoIndex, wanted: np.ndarray, width: int, height: int, start: int | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """The wanted frames [n], increasing, as they are decoded; those that never come are left out.

    Args:
        start: time stamp to seek to; None = the beginning of the file.

    Yields:
        The place in `wanted`, and uint8 [height, width, 3].

    Raises:
        VideoError: the file is damaged.
    """
    import av

    place = {int(stamp): number for number, stamp in enumerate(index.stamps[wanted])}
    last, graph, shape = max(place, default=None), None, None
    if last is None:
        return
    try:
        with open_film(index.path) as (container, stream):
            if start is not None:
                container.seek(start, stream=stream)
            for number, frame in enumerate(decoded(container, stream, strict=not index.counted)):
                stamp = number if index.counted else frame.pts
                if stamp in place and not frame.is_corrupt:
                    if stream.codec_context.name == "apng":
                        frame = _on_white(frame)
                    if shape != (frame.width, frame.height, frame.format.name):
                        shape = (frame.width, frame.height, frame.format.name)
                        graph = _graph(stream, frame, index.filters, width, height)
                    graph.push(frame)
                    yield place.pop(stamp), graph.pull().to_ndarray()
                if not place or (stamp is not None and stamp > last):
                    break
    except (av.FFmpegError, OSError, IndexError):  # the last: a stream that vanishes in the middle
        raise damaged(index.path) from None


def _runs(index: VideoIndex, wanted: np.ndarray) -> Iterator[tuple[int | None, np.ndarray]]:
    """Cut the wanted frames into runs to decode in one go: (stamp to seek to, places in `wanted`).

    A run begins at a key frame and passes over no other that it could have begun at instead. The
    first one needs no seek (None): it is read from the beginning of the file.
    """
    groups = np.searchsorted(index.keyframes, wanted, side="right") - 1
    for run in np.split(np.arange(len(wanted)), np.flatnonzero(np.diff(groups) > 1) + 1):
        start = groups[run[0]]
        yield (int(index.stamps[index.keyframes[start]]) if start > 0 else None), run


def _graph(stream: Any, frame: Any, filters: Filters, width: int, height: int) -> Any:
    # decord's filters, one by one: 8-bit frames come out the same to the last bit.
    import av

    graph = av.filter.Graph()
    graph.threads = 1  # handing small frames to other threads takes longer than scaling them
    size = {"width": frame.width, "height": frame.height, "format": frame.format}
    steps = [graph.add_buffer(**size, time_base=stream.time_base)]
    steps += [graph.add(name, arguments or None) for name, arguments in filters]
    steps += [graph.add("scale", f"{width}:{height}:flags=bilinear")]
    steps += [graph.add("format", "pix_fmts=rgb24"), graph.add("buffersink")]
    for before, after in pairwise(steps):
        before.link_to(after)
    graph.configure()
    return graph


def _on_white(frame: Any) -> Any:
    """A picture without its transparency, as still images are shown."""
    import av

    pixels = frame.to_ndarray(format="rgba").astype(np.uint16)
    colours, opaque = pixels[..., :3], pixels[..., 3:]
    shown = (colours * opaque + 255 * (255 - opaque) + 127) // 255
    return av.VideoFrame.from_ndarray(shown.astype(np.uint8), format="rgb24")
