"""Which way up a film is: its display matrix, as ffmpeg's filters that show it upright."""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

Filters = tuple[tuple[str, str], ...]  # names, arguments

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
TURNS = tuple(_UPRIGHT[signs] for signs in ((0, 1, -1, 0), (0, -1, 1, 0), (-1, 0, 0, -1)))
_ONE_DEGREE = math.sin(math.radians(1))


def upright(frame: Any) -> Filters:
    """What ffmpeg does to a PyAV frame before it shows it."""
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


# The nine numbers of a display matrix that leaves the picture as it is, as an mp4 file holds them.
_IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def says_upright(path: Path, stream: Any, packet: Any) -> bool:
    """Whether an mp4 file and its first key frame say that nothing turns or scales its H.264 film.

    Nothing is decoded for that.
    """
    import av

    header, context = _movie_header(path), stream.codec_context
    # The film has a matrix, and each of its tracks, there with the size at which it is shown.
    size = struct.pack(">II", context.width << 16, context.height << 16)
    matrices = header.count(b"mvhd") + header.count(b"tkhd")
    if _IDENTITY + size not in header or matrices > header.count(_IDENTITY):
        return False
    # And so may its coded pictures have one.
    extract = "h264_metadata=display_orientation=extract"
    bitstream = av.bitstream.BitStreamFilterContext(extract, in_stream=stream)
    copies = bitstream.filter(av.Packet(bytes(packet)))  # it keeps what it is given
    return not any(copy.has_sidedata("display_matrix") for copy in copies)


def _movie_header(path: Path) -> bytes:
    """The `moov` box of an mp4 file; nothing if it is laid out in another way, or very long."""
    with open(path, "rb") as file:
        while len(head := file.read(16)) == 16:
            size = int.from_bytes(head[:4] if head[:4] != b"\0\0\0\1" else head[8:])
            if not 8 <= size < 1 << (24 if head[4:8] == b"moov" else 62):
                break
            if head[4:8] == b"moov":
                return head[8:] + file.read(max(size - 16, 0))
            file.seek(size - 16, 1)
    return b""
