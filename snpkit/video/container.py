"""Opening films with PyAV, and walking through their pictures; neither name nor content is trusted.

A name is always that of a file, never of a protocol, and only containers of pictures are opened: a
playlist or a list of parts under a film's name would lead to other files or to the network.
"""

import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from snpkit.errors import VideoError

# ffmpeg's filters, with their arguments, that show a picture as its display matrix asks for.
Filters = tuple[tuple[str, str], ...]

_ONE_DEGREE = math.sin(math.radians(1))
_MOST_LOST = 0.2  # of the pictures of a film that is read all the same
# Of a picture; larger ones are refused before memory is taken.
MOST_PIXELS, _LONGEST_SIDE = 150_000_000, 65_535
_FORMATS = (
    "3gp,asf,asf_o,avi,dv,flv,gif,apng,h263,h264,hevc,vvc,av1,obu,ivf,jpeg_pipe,m4v,matroska,mjpeg,"
    "mov,mp4,mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,vc1,webm,wtv,yuv4mpegpipe"
)


class DamagedError(VideoError):
    """Not all pictures of a file are there, or can be decoded."""


def damaged(path: Path) -> DamagedError:
    """The error of a file whose pictures are not all there."""
    return DamagedError(f"{path} is cut short or damaged; fetch or encode it again.")


def check_file(path: Path) -> None:
    """Raise VideoError unless `path` is a regular file with something in it."""
    try:
        status = os.stat(path)
    except PermissionError:
        raise VideoError(f"{path} may not be read; change its access rights.") from None
    except (OSError, ValueError):  # also endless names, and such as no file can have
        raise VideoError(
            f"{path} does not exist; give the path of a video or image file."
        ) from None
    if not stat.S_ISREG(status.st_mode):
        what = "is a folder" if stat.S_ISDIR(status.st_mode) else "is no regular file"
        raise VideoError(f"{path} {what}; give the path of a video or image file.")
    if status.st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes); fetch or encode it again.")


def check_pixels(path: Path, width: int, height: int) -> None:
    """Raise VideoError if a picture would take far more memory than any real one."""
    if width * height > MOST_PIXELS or max(width, height) > _LONGEST_SIDE:
        raise VideoError(
            f"{path} says that it has {width} x {height} pixels, which is too large; "
            "scale it down or leave it out."
        )


@contextmanager
def open_film(path: Path) -> Iterator[tuple[Any, Any]]:
    """A file opened with PyAV, and the stream that is the film: the best one, as ffmpeg judges.

    Yields:
        The container and the stream, for decoding on one thread.

    Raises:
        VideoError: missing, empty, no regular file, not a video, or without a picture.
    """
    import av

    check_file(path)
    av.logging.set_level(None)
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    try:
        container = av.open(str(path.absolute()), options=options)
    except av.PermissionError:
        raise VideoError(f"{path} may not be read; change its access rights.") from None
    except (av.FFmpegError, OSError, ValueError):
        raise VideoError(
            f"{path} is not a video that can be opened (other content, or cut short); "
            "fetch or encode it again."
        ) from None
    with container:
        streams = container.streams.video
        films = [film for film in streams if film.codec_context and not _is_cover(film)]
        if not films:
            raise VideoError(f"{path} holds no picture that can be decoded; give a video file.")
        best = container.streams.best("video")
        stream = best if best in films else films[0]
        # One thread: workers read in parallel, and many threads cost more than a short clip.
        stream.codec_context.thread_count = 1
        yield container, stream


def _is_cover(stream: Any) -> bool:
    """Whether it is the picture on a record's sleeve, and no film."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)


def has_format(container: Any, *names: str) -> bool:
    """Whether a file is of one of the named kinds."""
    return not set(names).isdisjoint(container.format.name.split(","))


def decoded(container: Any, stream: Any, strict: bool) -> Iterator[Any]:
    """The pictures of a film as PyAV frames, in the order in which they are shown.

    Args:
        strict: what cannot be decoded is an error (av.FFmpegError); else it is passed over, and so
            are pictures that came out damaged. Before the first picture nothing is an error: films
            begin inside a group of pictures.

    Raises:
        DamagedError: not strict, and more is passed over than a film with a flaw has.
    """
    import av

    begun, shown, lost = False, 0, 0
    for packet in container.demux(stream):
        try:
            frames = stream.codec_context.decode(packet if packet.size else None)
        except av.FFmpegError:
            if strict and begun:
                raise
            frames, lost = [], lost + begun
        for frame in frames:
            begun = True
            if strict or not frame.is_corrupt:
                shown += 1
                yield frame
            else:
                lost += 1
    if lost > _MOST_LOST * (lost + shown) and not strict:
        raise damaged(Path(container.name))


# What ffmpeg does for the signs of a display matrix (a, b, 0, c, d, 0, x, y, 1).
_UPRIGHT: dict[tuple[int, ...], Filters] = {
    (1, 0, 0, 1): (),
    (-1, 0, 0, 1): (("hflip", ""),),
    (1, 0, 0, -1): (("vflip", ""),),
    (-1, 0, 0, -1): (("hflip", ""), ("vflip", "")),
    (0, 1, -1, 0): (("transpose", "clock"),),
    (0, -1, 1, 0): (("transpose", "cclock"),),
    (0, 1, 1, 0): (("transpose", "cclock_flip"),),
    (0, -1, -1, 0): (("transpose", "clock_flip"),),
}


def upright(frame: Any) -> Filters:
    """What ffmpeg does to a PyAV frame before it shows it: its display matrix, as filters."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return ()
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    except ValueError:  # a kind of side data that PyAV has no name for: only the angle is known
        angle = math.radians(frame.rotation)
        a, b, c, d = math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
    across, down = math.hypot(a, c), math.hypot(b, d)
    if not across or not down:
        return ()
    axes = a / across, b / down, c / across, d / down
    signs = tuple(round(axis) for axis in axes)
    if max(abs(axis - sign) for axis, sign in zip(axes, signs, strict=True)) < _ONE_DEGREE:
        return _UPRIGHT.get(signs, ())
    return (("rotate", f"{round(math.degrees(math.atan2(axes[1], axes[0])))}*PI/180"),)


def turns(filters: Filters) -> bool:
    """Whether they swap width and height."""
    return any(name == "transpose" for name, _ in filters)
