"""What a video file holds, read from its packets: almost nothing is decoded here.

Every reader works from this index, so that frame i means the same picture whoever decodes it: the
i-th picture in the order in which a player shows them.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from snpkit.errors import VideoError


@dataclass(frozen=True)
class VideoInfo:
    """Size of a video: frames, upright width and height in pixels, mean frames per second."""

    frames: int
    width: int
    height: int
    rate: float


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """Where the pictures of a file are.

    Attributes:
        path: the file.
        info: its size; width and height already follow the rotation.
        stamps: int64 [frames], increasing: what names a frame while decoding. Its presentation time
            stamp, or its number if `counted`.
        times: float64 [frames], when each frame appears, in seconds, the first one at 0.
        duration: when the last frame leaves the screen, in seconds.
        keyframes: int64 [keyframes], numbers of the frames at which decoding can start.
        plain: decord finds every frame (see `_is_plain`).
        counted: the file's time stamps are of no use: frames are counted from its beginning.
        still: a still image, not a video.
    """

    path: Path
    info: VideoInfo
    stamps: np.ndarray = field(repr=False)
    times: np.ndarray = field(repr=False)
    duration: float
    keyframes: np.ndarray = field(repr=False)
    plain: bool = False
    counted: bool = False
    still: bool = False


# Containers in which a picture keeps its time stamp, however one got to it. In AVI and MPEG program
# streams stamps are partly guessed, and guessed otherwise after a seek.
_STAMPED = ("mp4", "matroska", "mpegts", "flv")


def damaged(path: Path) -> VideoError:
    """The error of a file whose pictures are not all there."""
    return VideoError(f"{path} is cut short or damaged; fetch or encode it again.")


def check_file(path: Path) -> None:
    """Raise VideoError unless `path` is a file with something in it."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise VideoError(f"{path} {what}; give the path of a video or image file.")
    if path.stat().st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes); fetch or encode it again.")


def open_container(path: Path) -> Any:
    """Open a file with PyAV, quietly, for decoding on one thread; the caller closes it.

    Raises:
        VideoError: missing, empty, a folder, not a video, or without a picture.
    """
    import av

    check_file(path)
    av.logging.set_level(None)
    try:
        # A playlist that calls itself a video must not fetch anything from the network.
        container = av.open(str(path), options={"protocol_whitelist": "file"})
    except av.PermissionError:
        raise VideoError(f"{path} may not be read; change its access rights.") from None
    except (av.FFmpegError, OSError, ValueError):
        raise VideoError(
            f"{path} is not a video that can be opened (other content, or cut short); "
            "fetch or encode it again."
        ) from None
    if not container.streams.video or not container.streams.video[0].codec_context:
        container.close()
        raise VideoError(f"{path} holds no picture that can be decoded; give a video file.")
    # One thread: workers read in parallel, and a pool of threads costs more than a short clip.
    container.streams.video[0].codec_context.thread_count = 1
    return container


def build_index(path: str | Path) -> VideoIndex:
    """Read the packet headers of a video file.

    Raises:
        VideoError: the file cannot be opened, or is cut short or damaged; one sentence.
    """
    import av

    path = Path(path)
    try:
        with open_container(path) as container:
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            promised = stream.frames if _has_format(container, "mp4") else 0
            broken = any(packet.is_corrupt for packet in packets)
            if broken or not packets or len(packets) < promised:
                raise damaged(path)
            # Packets that an edit list hides are decoded but never shown.
            stamps = [packet.pts for packet in packets if not packet.is_discard]
            unusable = not stamps or None in stamps or len(set(stamps)) < len(stamps)
            if unusable or not any(_has_format(container, name) for name in _STAMPED):
                return _counted_index(path)
            return _stamped_index(path, container, packets)
    except (av.FFmpegError, OSError, IndexError, ZeroDivisionError):
        # The last two: a stream that vanishes in the middle, a rate of no denominator.
        raise damaged(path) from None


def _stamped_index(path: Path, container: Any, packets: list[Any]) -> VideoIndex:
    stream = container.streams.video[0]
    unit = stream.time_base  # a fraction: 24 frames at 10 a second last 2.4 s and no bit more
    shown = {packet.pts: packet.duration or 0 for packet in packets if not packet.is_discard}
    stamps = np.sort(np.array(list(shown), dtype=np.int64))
    keys = np.sort(np.array([packet.pts for packet in packets if packet.is_keyframe], np.int64))
    last = shown[int(stamps[-1])] * unit or 1 / (stream.average_rate or 1)
    duration = float(int(stamps[-1] - stamps[0]) * unit + last)
    width, height = stream.codec_context.width, stream.codec_context.height
    if _is_turned(path, container, packets):
        width, height = height, width
    return VideoIndex(
        path=path,
        info=VideoInfo(len(stamps), width, height, len(stamps) / duration),
        stamps=stamps,
        times=(stamps - stamps[0]) * float(unit),
        duration=duration,
        keyframes=np.unique(np.searchsorted(stamps, keys)),
        plain=_is_plain(container, packets),
    )


def _counted_index(path: Path) -> VideoIndex:
    """The index of a file without trusted stamps: only decoding tells which pictures it holds."""
    with open_container(path) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        count = 0
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise damaged(path)
            count += 1
        if count == 0:
            raise damaged(path)
        return VideoIndex(
            path=path,
            info=VideoInfo(count, stream.codec_context.width, stream.codec_context.height, rate),
            stamps=np.arange(count),
            times=np.arange(count) / rate,
            duration=count / rate,
            keyframes=np.zeros(1, dtype=np.int64),
            counted=True,
        )


def _has_format(container: Any, name: str) -> bool:
    return name in container.format.name.split(",")


def _is_plain(container: Any, packets: list[Any]) -> bool:
    """Whether decord's random access can be trusted.

    Measured with decord 0.6: in MPEG streams, in files with an edit list, and where pictures follow
    a key frame in the file but are shown before it ("open" groups of pictures, usual in HEVC and
    MPEG-4), it silently gives other frames than asked for.
    """
    if not (_has_format(container, "mp4") or _has_format(container, "matroska")):
        return False
    key = None
    for packet in packets:
        if packet.is_discard:
            return False
        if packet.is_keyframe:
            key = packet.pts
        elif key is None or packet.pts < key:
            return False
    return True


def _is_turned(path: Path, container: Any, packets: list[Any]) -> bool:
    """Whether a player turns the picture by 90 or 270 degrees, as phones ask for."""
    if _has_format(container, "mp4") and not _has_matrix(path):
        return False
    # PyAV shows the matrix on decoded frames only: decode the first key frame.
    context = container.streams.video[0].codec_context
    first = next((packet for packet in packets if packet.is_keyframe), packets[0])
    frames = context.decode(first) + context.decode(None)
    return bool(frames) and quarter_turns(frames[0]) % 2 == 1


def quarter_turns(frame: Any) -> int:
    """Quarter turns counter-clockwise, 0 to 3, by which a player shows a PyAV frame."""
    return round(frame.rotation / 90) % 4


# The nine numbers of a display matrix that leaves the picture as it is, as an mp4 file holds them.
_IDENTITY = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], dtype=">i4").tobytes()


def _has_matrix(path: Path) -> bool:
    """Whether a track header of an mp4 file may hold another display matrix than the identity."""
    with open(path, "rb") as file:
        header = _movie_header(file)
    # Box name, version and flags, times, ids: the matrix begins 40 bytes after the name; 52 bytes
    # after it in version 1, whose times are twice as long.
    starts = [match.end() for match in re.finditer(b"tkhd", header)]
    matrices = [header[at + (52 if header[at] else 40) :][:36] for at in starts]
    return not matrices or any(matrix != _IDENTITY for matrix in matrices)


def _movie_header(file: BinaryIO) -> bytes:
    """The `moov` box of an mp4 file, or nothing if the file is laid out in another way."""
    while len(head := file.read(8)) == 8:
        size, skip = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, skip = int.from_bytes(file.read(8), "big"), 16
        if size < skip:
            return b""
        if head[4:] == b"moov":
            return file.read(size - skip)
        file.seek(size - skip, 1)
    return b""
