"""Decoding: decord, the faster reader, where it gives the frames asked for; else PyAV."""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from snpkit.errors import UserError, VideoError
from snpkit.video import images
from snpkit.video.container import damaged, decoded, open_film
from snpkit.video.index import VideoIndex
from snpkit.video.orientation import Filters

Backend = Literal["auto", "decord", "pyav"]

# Widths of a frame whose rows, once padded, decord takes for pixels of 4 and more channels.
_MISREAD_WIDTHS = {8, 12, 16, 24, 48, 72}


def decode(
    file: VideoIndex, wanted: np.ndarray, width: int, height: int, backend: Backend = "auto"
) -> np.ndarray:
    """Decode some frames of a file, scaled (bilinear) to `width` x `height`.

    Args:
        file: its index.
        wanted: frame numbers [n], increasing.
        width: pixels of the upright frame.
        height: pixels of the upright frame.
        backend: what reads films; pictures are read by Pillow.

    Returns:
        uint8 [n, height, width, 3].

    Raises:
        VideoError: a wanted frame cannot be decoded, or not by this backend.
        UserError: there is no such backend here.
    """
    if backend not in ("auto", "decord", "pyav"):
        raise UserError(f"backend={backend!r} is unknown; choose auto, decord or pyav.")
    if file.pictures or backend == "pyav":
        return _by_others(file, wanted, width, height)
    decord = find_decord() if file.plain or backend == "decord" else None
    frames = _by_decord(decord, file, wanted, width, height) if decord and file.plain else None
    if frames is None and backend == "decord":
        if not decord:
            raise UserError("decord is not installed here; choose backend='pyav'.")
        problem = f"cannot decode {file.path} at {width} x {height}"
        if not file.plain:
            problem = f"would give other frames of {file.path} than asked for"
        raise VideoError(f"decord {problem}; choose backend='auto'.")
    # PyAV's newer ffmpeg knows more formats, and tells for sure whether the file is damaged.
    return _by_others(file, wanted, width, height) if frames is None else frames


@cache
def find_decord() -> Any:
    """The package decord, which is made for x86-64 Linux and Windows only; else None."""
    try:
        # decord must come after torch: loaded first, its copy of ffmpeg breaks torch's libraries.
        import torch  # noqa: F401, I001
        import decord
    except (ImportError, OSError):
        return None
    decord.logging.set_level(decord.logging.QUIET)
    return decord


def _by_decord(
    decord: Any, file: VideoIndex, wanted: np.ndarray, width: int, height: int
) -> np.ndarray | None:
    """As `decode`; None = decord cannot: some widths, damaged files, formats younger than 2018.

    `file.plain` must hold.
    """
    # A reader kept alive decodes on in the background and takes gigabytes, so it is opened, read,
    # rewound and dropped here; no exception may leave, because its traceback holds the reader.
    if width in _MISREAD_WIDTHS:
        return None
    try:
        # decord repeats a neighbour where it cannot decode a frame; fault_tol makes that an error.
        reader = decord.VideoReader(
            str(file.path.absolute()), width=width, height=height, num_threads=1, fault_tol=1e-9
        )
        if len(reader) != file.info.frames:
            return None
        frames = reader.get_batch(wanted.tolist()).asnumpy()
        reader.seek(0)
    except Exception:
        return None
    return frames


def _by_others(file: VideoIndex, wanted: np.ndarray, width: int, height: int) -> np.ndarray:
    frames = np.empty((len(wanted), height, width, 3), dtype=np.uint8)
    missing = set(range(len(wanted)))
    for start, places in _runs(file, wanted):
        # Some containers seek past the key frame; from the beginning nothing is missed.
        for begin in dict.fromkeys((start, None)):
            left = [place for place in places if place in missing]
            for place, picture in in_order(file, wanted[left], width, height, begin):
                frames[left[place]] = picture
                missing.discard(left[place])
    if missing:
        raise damaged(file.path)
    return frames


def _runs(file: VideoIndex, wanted: np.ndarray) -> Iterator[tuple[int | None, np.ndarray]]:
    """Cut the wanted frames into runs to decode in one go: (stamp to seek to, places in `wanted`).

    A run begins at a key frame and passes over no other that it could have begun at instead. The
    first one needs no seek (None): it is read from the beginning of the file.
    """
    groups = np.searchsorted(file.keyframes, wanted, side="right") - 1
    for run in np.split(np.arange(len(wanted)), np.flatnonzero(np.diff(groups) > 1) + 1):
        start = groups[run[0]]
        yield (int(file.stamps[file.keyframes[start]]) if start > 0 else None), run


def in_order(
    file: VideoIndex, wanted: np.ndarray, width: int, height: int, start: int | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """As PyAV or Pillow decodes them: (place in `wanted`, uint8 [height, width, 3]).

    For the arguments see `decode`. Frames that never come are left out.

    Args:
        start: time stamp to seek to; None = the beginning of the file.

    Raises:
        VideoError: the file is damaged.
    """
    import av

    if file.pictures:
        yield from images.in_order(file, wanted, width, height)
        return
    place = {int(stamp): number for number, stamp in enumerate(file.stamps[wanted])}
    last, graph, shape = max(place, default=None), None, None
    if last is None:
        return
    try:
        with open_film(file.path) as (container, stream):
            if start is not None:
                container.seek(start, stream=stream)
            for number, frame in enumerate(decoded(container, stream)):
                stamp = number if file.counted else frame.pts
                if stamp in place:
                    if stream.codec_context.name == "apng":
                        from PIL import Image

                        image = Image.fromarray(frame.to_ndarray(format="rgba"))
                        frame = av.VideoFrame.from_image(images.on_white(image))
                    if shape != (frame.width, frame.height, frame.format.name):
                        shape = (frame.width, frame.height, frame.format.name)
                        graph = _graph(stream, frame, file.filters, width, height)
                    graph.push(frame)
                    yield place.pop(stamp), graph.pull().to_ndarray()
                if not place or (stamp is not None and stamp > last):
                    break
    except (av.FFmpegError, OSError, IndexError):  # the last: a stream that vanishes in the middle
        raise damaged(file.path) from None


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
