"""What a video file holds: how many pictures, of what size, and when each is shown.

Every reader works from this index, so that frame i means the same picture whoever decodes it: the
i-th picture in the order in which a player shows them. Where packets can be trusted almost nothing
is decoded; elsewhere the film is decoded once, since only decoding tells what it holds.
"""

from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from snpkit.video.container import check_pixels, damaged, decoded, has_format, open_film
from snpkit.video.orientation import TURNS, Filters, says_upright, upright


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
        path: the file, or a folder of pictures.
        info: its size; width and height are those of the upright picture.
        stamps: int64 [frames], increasing: what names a frame while decoding. Its presentation time
            stamp, or its number if `counted`.
        times: float64 [frames], never decreasing: when each frame appears, in seconds, the first
            one at 0.
        duration: when the last frame leaves the screen, in seconds.
        keyframes: int64 [keyframes], numbers of the frames at which decoding can start.
        filters: what turns and mirrors a decoded frame into the upright picture.
        plain: decord finds every frame (see `_is_plain`).
        counted: time stamps do not find frames: they are counted from the file's beginning.
        pictures: the image files whose pictures these are, one for each frame, or one for all of
            them; none for a film.
    """

    path: Path
    info: VideoInfo
    stamps: np.ndarray = field(repr=False)
    times: np.ndarray = field(repr=False)
    duration: float
    keyframes: np.ndarray = field(repr=False)
    filters: Filters = ()
    plain: bool = False
    counted: bool = False
    pictures: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def still(self) -> bool:
        """Whether it is a still image, and no video."""
        return bool(self.pictures) and self.info.frames == 1


# Containers in which a picture keeps its time stamp, however one got to it. In AVI and MPEG program
# streams stamps are partly guessed, and guessed otherwise after a seek.
_STAMPED = ("mp4", "matroska", "mpegts", "flv")
# In these, recordings are cut and joined anywhere, and their clocks start anew.
_JOINED = ("mpegts", "mpeg")
_LONGEST_GAP = 10.0  # seconds; there ffmpeg takes a longer one for such a new start
_NONE = -(2**63)  # no time stamp
_KEY, _HIDDEN, _CORRUPT = 1, 2, 4  # bits that tell about a packet


def build_index(path: str | Path, *, decode: bool = False) -> VideoIndex:
    """Find the pictures of a video file.

    Args:
        path: the file.
        decode: decode them all once, to count those alone that can be decoded.

    Raises:
        VideoError: the file cannot be opened, or is cut short or damaged; one sentence.
    """
    import av

    path = Path(path)
    try:
        return (None if decode else _from_packets(path)) or _from_frames(path)
    except (av.FFmpegError, OSError, IndexError, ZeroDivisionError, OverflowError):
        # Among them a stream that vanishes in the middle, and a rate of no denominator.
        raise damaged(path) from None


def _from_packets(path: Path) -> VideoIndex | None:
    """The index by the headers of the packets; None = only decoding tells."""
    numbers = array("q")  # and no packets, which would hold the whole film in memory
    first, known_to_decord = None, False
    with open_film(path, headers=True) as (container, stream):
        check_pixels(path, stream.codec_context.width, stream.codec_context.height)
        for packet in container.demux(stream):
            if packet.size:
                if not numbers and packet.is_keyframe:
                    first, known_to_decord = _first_picture(path, container, stream, packet)
                flags = packet.is_keyframe | packet.is_discard << 1 | packet.is_corrupt << 2
                stamps = _or_none(packet.pts), _or_none(packet.dts)
                numbers.extend((*stamps, packet.duration or 0, flags))
        pts, dts, spans, flags = np.array(numbers, dtype=np.int64).reshape(-1, 4).T
        joined = has_format(container, *_JOINED)
        promised = stream.frames if has_format(container, "mp4") else 0
        if len(pts) < max(promised, 1) or (flags[-1] & _CORRUPT and not joined):
            raise damaged(path)
        keys = np.flatnonzero(flags & _KEY)
        # What an edit list hides is decoded but never shown.
        order = np.flatnonzero(flags & _HIDDEN == 0)
        order = order[np.argsort(pts[order])]
        stamps = pts[order]
        trusted = (
            has_format(container, *_STAMPED)
            and len(order) > 0
            and not (flags & _CORRUPT).any()
            and not (joined and (np.diff(dts) < 0).any())
            and stamps[0] > _NONE
            and (np.diff(stamps) > 0).all()
        )
        if not trusted:
            return None
        if first is None or stamps[0] < pts[0]:
            # It begins inside a group of pictures: decoding the first groups tells what is lost.
            if len(keys) < 2:
                return None
            second = pts[keys[1]]
            first, decodable = _decoded_until(path, second)
            if first is None:
                return None
            order = order[(stamps >= second) | np.isin(stamps, decodable)]
            stamps = pts[order]
        return _index(
            path, container, stream, first, stamps, spans[order],
            stamps=stamps,
            keyframes=np.unique(np.searchsorted(stamps, np.sort(pts[keys]))),
            plain=known_to_decord and _is_plain(container, pts, flags),
        )  # fmt: skip


def _from_frames(path: Path) -> VideoIndex:
    """The index of a file whose packets do not tell: every picture is decoded once."""
    numbers, first = array("q"), None
    with open_film(path) as (container, stream):
        for frame in decoded(container, stream):
            numbers.extend((_or_none(frame.pts), _or_none(frame.dts), frame.duration or 0))
            first = first or _shown(frame)
        if first is None:
            raise damaged(path)
        pts, dts, spans = np.array(numbers, dtype=np.int64).reshape(-1, 3).T
        # AVI has no presentation times, and guessed ones may run back: ffmpeg, too, counts faults.
        times = dts if _faults(pts) > _faults(dts) else pts
        if has_format(container, "gif"):  # as in browsers: nobody could see 0.01 s
            spans = np.where(spans < 2, 10, spans)
            times = np.cumsum(spans) - spans
        return _index(
            path, container, stream, first, times, spans,
            stamps=np.arange(len(pts)), keyframes=np.zeros(1, dtype=np.int64), counted=True,
        )  # fmt: skip


def _or_none(stamp: int | None) -> int:
    return _NONE if stamp is None else stamp


def _faults(stamps: np.ndarray) -> int:
    """How often time does not go on."""
    return int((np.diff(stamps[stamps > _NONE]) <= 0).sum())


def _shown(frame: Any) -> tuple[int, int, Filters]:
    """Width and height of a PyAV frame as it is stored, and what turns it upright."""
    return frame.width, frame.height, upright(frame)


def _decoded_until(path: Path, end: int) -> tuple[tuple[int, int, Filters] | None, list[int]]:
    """What is `_shown` first of all that really comes out, and the time stamps before `end`."""
    first, stamps = None, []
    with open_film(path) as (container, stream):
        for frame in decoded(container, stream):
            first = first or _shown(frame)
            if frame.pts is not None and frame.pts >= end:
                break
            stamps.append(_or_none(frame.pts))
    return first, stamps


def _index(
    path: Path,
    container: Any,
    stream: Any,
    first: tuple[int, int, Filters],
    stamps_shown: np.ndarray,
    spans: np.ndarray,
    **facts: Any,
) -> VideoIndex:
    """The index of a film with this first picture; for stamps and spans see `_times`."""
    times, duration = _times(stamps_shown, spans, stream, has_format(container, *_JOINED))
    width, height, filters = first
    if any(name == "transpose" for name, _ in filters):
        width, height = height, width
    info = VideoInfo(len(times), width, height, len(times) / duration)
    return VideoIndex(path, info, times=times, duration=duration, filters=filters, **facts)


def _times(
    stamps: np.ndarray, spans: np.ndarray, stream: Any, joined: bool
) -> tuple[np.ndarray, float]:
    """When pictures appear [frames], and when the last one leaves the screen, in seconds.

    `stamps` (_NONE = unknown) and `spans` (how long each is shown, 0 = unknown) are int64 [frames],
    in the order in which they are shown. `joined`: a long gap is a seam between two recordings.
    """
    unit = stream.time_base
    usual = round(1 / (stream.average_rate or stream.guessed_rate or 25) / unit)
    steps, stamps = np.where(spans > 0, spans, usual), stamps.copy()
    # One stamp that runs back alone is a flaw, and no seam.
    stamps[1:-1][(stamps[1:-1] < stamps[:-2]) & (stamps[2:] > stamps[:-2])] = _NONE
    for place in np.flatnonzero(stamps == _NONE):
        stamps[place] = stamps[place - 1] + steps[place] if place else 0
    gaps = np.diff(stamps)
    seams = (gaps < 0) | (gaps > _LONGEST_GAP / unit) & joined
    ends = np.cumsum(np.append(np.where(seams, steps[:-1], gaps), steps[-1]))
    # Whole units until here: 24 frames at 10 a second last 2.4 s and no bit more.
    seconds = ends * float(unit.numerator) / unit.denominator
    return np.append(0.0, seconds[:-1]), float(seconds[-1])


def _first_picture(
    path: Path, container: Any, stream: Any, packet: Any
) -> tuple[tuple[int, int, Filters] | None, bool]:
    """What is `_shown` of a key frame, None if it cannot be decoded; whether decord shows it so.

    decord reads angles, and those of mp4 files alone: no orientation in the coded picture itself.
    """
    import av

    context, in_header = stream.codec_context, has_format(container, "mp4")
    try:
        if in_header and context.name == "h264" and says_upright(path, stream, packet):
            return (context.width, context.height, ()), True
        first = _shown((context.decode(packet) + context.decode(None))[0])
        if not first[2]:
            return first, True
        bare = av.CodecContext.create(context.name, "r")
        bare.thread_count, bare.extradata = 1, context.extradata
        coded = upright((bare.decode(packet) + bare.decode(None))[0])
    except (av.FFmpegError, IndexError):
        return None, False
    return first, in_header and first[2] in TURNS and not coded


def _is_plain(container: Any, pts: np.ndarray, flags: np.ndarray) -> bool:
    """Whether decord's random access can be trusted.

    Measured with decord 0.6: in MPEG streams, in files with an edit list, and where pictures follow
    a key frame in the file but are shown before it ("open" groups of pictures, usual in HEVC and
    MPEG-4), it silently gives other frames than asked for. Of several streams it may choose another
    one.
    """
    if len(container.streams.video) > 1 or not has_format(container, "mp4", "matroska"):
        return False
    if (flags & _HIDDEN).any():
        return False
    key = np.maximum.accumulate(np.where(flags & _KEY, np.arange(len(pts)), 0))
    return bool((pts >= pts[key]).all())
