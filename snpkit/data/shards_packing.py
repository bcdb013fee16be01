"""Clips for shards: encoded again at the training size, with the times of their frames kept."""

import io
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from snpkit.errors import VideoError
from snpkit.video.backends import decode, in_order
from snpkit.video.container import damaged
from snpkit.video.index import VideoIndex, VideoInfo
from snpkit.video.reader import read_indexed, with_index

_TICKS = 90_000  # a second, in the units of the encoded file
# A key frame every 16 makes single frames quick to get at; without B frames they are stored in the
# order in which they are shown, which every reader gets right.
_CODING = {"preset": "veryfast", "crf": "18", "bf": "0", "g": "16"}
# x264 plans ahead from memory that it has not always written to: 1 clip in 30 came out otherwise.
_CODING["x264-params"] = "threads=1:mbtree=0:rc-lookahead=0"


def packed_suffix(content: bytes | VideoError) -> str:
    """The suffix of a packed clip in a shard: "mp4", "jpg" or "png"; that of an error is "mp4"."""
    begin = content[:4] if isinstance(content, bytes) else b""
    return "jpg" if begin.startswith(b"\xff\xd8") else "png" if begin == b"\x89PNG" else "mp4"


def pack_clip(path: str | Path, *, size: int) -> bytes:
    """A video as H.264 mp4, an image as JPEG, its short side scaled down to `size` pixels.

    Smaller ones keep their size. The sound is left out. Frame i of the result shows what frame i of
    the file shows, at the same time.

    Args:
        size: pixels, even; 0 keeps mp4, JPEG and PNG files as they are, and encodes others anew at
            their native size.

    Raises:
        VideoError: the file cannot be read or encoded.
    """
    return with_index(path, partial(_pack, size))


def _pack(size: int, file: VideoIndex) -> bytes:
    path = file.path
    if min(file.info.width, file.info.height) < 1:
        raise damaged(path)
    if not size and path.is_file() and path.suffix.lower() in (".mp4", ".jpg", ".jpeg", ".png"):
        read_indexed(file, [file.info.frames // 2], size=16)  # whether it can be decoded at all
        return path.read_bytes()
    width, height = packed_size(file.info, size)
    if file.still:
        return _pack_image(file, width, height, size)
    return _pack_video(file, width, height)


def packed_size(info: VideoInfo, size: int) -> tuple[int, int]:
    """Upright width and height in a shard: short side `size` at most, both even (H.264's rule)."""
    short = min(info.width, info.height)
    factor = Fraction(min(size or short, short), short)
    return tuple(max(2 * round(side * factor / 2), 2) for side in (info.width, info.height))


def _pack_image(file: VideoIndex, width: int, height: int, size: int) -> bytes:
    from PIL import Image

    picture = decode(file, np.zeros(1, np.int64), width, height)[0]
    buffer = io.BytesIO()
    options = {"format": "JPEG", "quality": 95, "subsampling": 0} if size else {"format": "PNG"}
    Image.fromarray(picture).save(buffer, **options)
    return buffer.getvalue()


def _pack_video(file: VideoIndex, width: int, height: int) -> bytes:
    import av

    ticks, spans = _ticks(file)
    buffer = io.BytesIO()
    try:
        with av.open(buffer, "w", format="mp4") as container:
            stream = container.add_stream("libx264", options=_CODING)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, _TICKS)
            stream.codec_context.thread_count = 1

            def write(packets: list[Any]) -> None:
                for packet in packets:
                    packet.duration = spans[packet.pts]  # else each lasts as long as an average one
                    container.mux(packet)

            numbers = np.arange(file.info.frames)
            packed = 0
            for place, picture in in_order(file, numbers, width, height):
                if place != packed:
                    break
                packed, tick = packed + 1, ticks[place]
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = tick, Fraction(1, _TICKS)
                write(stream.encode(frame))
            write(stream.encode())
            if packed < len(numbers):
                raise damaged(file.path)
    except (av.FFmpegError, OSError) as error:
        sentence = f"{file.path} cannot be encoded at {width} x {height} pixels"
        raise VideoError(f"{sentence} ({error}).") from None
    return buffer.getvalue()


def _ticks(file: VideoIndex) -> tuple[list[int], dict[int, int]]:
    """When each frame appears, and by that how long it is shown, in ticks."""
    numbers = np.arange(len(file.times))
    # A tick apart at least: damaged files claim a million frames a second.
    ticks = np.maximum.accumulate(np.rint(file.times * _TICKS).astype(np.int64) - numbers) + numbers
    last = max(round(file.duration * _TICKS) - int(ticks[-1]), 1)
    spans = np.append(np.diff(ticks), last)
    return ticks.tolist(), dict(zip(ticks.tolist(), spans.tolist(), strict=True))
