"""Opening films with PyAV, and walking through their pictures; neither name nor content is trusted.

A name is always that of a file, never of a protocol, and only containers of pictures are opened: a
playlist or a list of parts under a film's name would lead to other files or to the network.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snpkit.errors import PassingError, VideoError

_FORMATS = (
    "3gp,asf,asf_o,avi,dv,flv,gif,apng,h263,h264,hevc,vvc,av1,obu,ivf,m4v,matroska,mjpeg,mov,mp4,"
    "mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,vc1,webm,wtv,yuv4mpegpipe"
)
_MOST_LOST = 0.2  # of the pictures of a film that is read all the same
_PATIENCE = 60.0  # seconds; ffmpeg would search a terabyte of nothing for the next picture
# Of a picture; larger ones are refused before memory is taken.
MOST_PIXELS, _LONGEST_SIDE = 150_000_000, 65_535


class DamagedError(VideoError):
    """Not all pictures of a file are there, or can be decoded."""


def damaged(path: Path) -> DamagedError:
    """The error of a file whose pictures are not all there."""
    return DamagedError(f"{path} is cut short or damaged; fetch or encode it again.")


def check_pixels(path: Path, width: int, height: int) -> None:
    """Raise VideoError if a picture would take far more memory than any real one."""
    if width * height > MOST_PIXELS or max(width, height) > _LONGEST_SIDE:
        raise VideoError(
            f"{path} says that it has {width} x {height} pixels, which is too large; scale it down "
            "or leave it out."
        )


def first_bytes(path: Path) -> bytes:
    """The first 16 bytes of a file.

    Raises:
        VideoError: it is missing, empty, no regular file, or may not be read.
    """
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode) and status.st_size:
            with open(path, "rb") as file:
                return file.read(16)
    except PermissionError:
        raise VideoError(f"{path} may not be read; change its access rights.") from None
    except (OSError, ValueError):  # also names that are endless, or that no file can have
        status = None
    if status and stat.S_ISREG(status.st_mode):
        raise VideoError(f"{path} is empty (0 bytes); fetch or encode it again.")
    folder = status and stat.S_ISDIR(status.st_mode)
    what = "is a folder" if folder else "is no regular file" if status else "does not exist"
    raise VideoError(f"{path} {what}; give the path of a video or image file.")


@contextmanager
def open_film(path: Path, *, headers: bool = False) -> Iterator[tuple[Any, Any]]:
    """A file opened with PyAV, and the stream that is the film: the best one, as ffmpeg judges.

    Args:
        path: the file.
        headers: for packets and a first picture only: what an mp4 file with one film says of itself
            is enough for that, and ffmpeg need not decode a little of each stream on its own.

    Yields:
        The container and the stream, for decoding on one thread.

    Raises:
        VideoError: missing, empty, no regular file, not a video, or without a picture.
        PassingError: nothing comes of it for a minute, also while it is read.
    """
    import av
    from av.stream import Disposition

    av.logging.set_level(None)
    begin, name = first_bytes(path), str(path.absolute())
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    headers = headers and begin[4:8] == b"ftyp"
    try:
        try:
            # Left to itself ffmpeg takes a picture's name with "%03d" in it for many files.
            kind = "apng" if begin.startswith(b"\x89PNG") else None
            first = options | {"codec_whitelist": "none"} if headers else options
            container = av.open(name, format=kind, options=first, timeout=_PATIENCE)
            if headers and len(container.streams.video) > 1:  # to choose, ffmpeg looks into them
                container.close()
                container = av.open(name, options=options, timeout=_PATIENCE)
        except av.ExitError:
            raise
        except (av.FFmpegError, OSError, ValueError):
            raise VideoError(
                f"{path} is not a video or image that can be opened (other content, or cut short); "
                "fetch or encode it again."
            ) from None
        with container:
            films = [stream for stream in container.streams.video if stream.codec_context]
            # An attached picture is the cover of a record.
            films = [film for film in films if not film.disposition & Disposition.attached_pic]
            if not films:
                raise VideoError(f"{path} holds no picture that can be decoded; give a video file.")
            best = container.streams.best("video")
            stream = best if best in films else films[0]
            # One thread: workers read in parallel, and many threads cost more than a short clip.
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.ExitError:
        raise PassingError(
            f"{path} gives nothing in {_PATIENCE:g} s of reading (a slow disk, or a gap in the "
            "file); fetch or encode it again if that goes on."
        ) from None


def has_format(container: Any, *names: str) -> bool:
    """Whether a file is of one of the named kinds."""
    return not set(names).isdisjoint(container.format.name.split(","))


def decoded(container: Any, stream: Any) -> Iterator[Any]:
    """The pictures of a film as PyAV frames, in the order in which they are shown.

    What cannot be decoded, or comes out damaged, is passed over: one flaw does not condemn a film.

    Raises:
        DamagedError: at the end, if more is passed over than a film with a flaw has. What comes
            before the first picture does not count: films begin inside a group of pictures.
    """
    import av

    shown = lost = 0
    for packet in container.demux(stream):
        try:
            frames = stream.codec_context.decode(packet if packet.size else None)
        except av.FFmpegError:
            frames, lost = [], lost + bool(shown)
        for frame in frames:
            if frame.is_corrupt:
                lost += 1
            else:
                shown += 1
                yield frame
    if lost > _MOST_LOST * (lost + shown):
        raise damaged(Path(container.name))
