"""Small videos; each frame shows its number in columns that survive every codec."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

BITS = 8


def picture(number: int, width: int, height: int) -> np.ndarray:
    """uint8 [height, width, 3]: the number as black and white columns above a moving pattern."""
    y, x = np.mgrid[0:height, 0:width]
    pattern = np.stack([x * 2 + number * 9, y * 3 + number * 5, x + y + number * 13], axis=-1)
    frame = (128 + 90 * np.sin(pattern / 20)).astype(np.uint8)
    columns = np.arange(width) * BITS // width
    frame[: height // 4] = 255 * (number >> columns & 1)[None, :, None]
    return frame


def numbers(frames: torch.Tensor) -> list[int]:
    """The numbers that frames [n, 3, height, width] show."""
    height, width = frames.shape[2:]
    centres = [width * (2 * bit + 1) // (2 * BITS) for bit in range(BITS)]
    row = frames[:, :, height // 8, centres].float().mean(1) > 128
    return (row * 2 ** torch.arange(BITS)).sum(1).tolist()


@contextmanager
def scheduled_as_before() -> Iterator[None]:
    """Root's SVT-AV1 moves the thread that calls it into the real-time class, for good: all that
    this thread starts later would take the cores from everything else, and from each other."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def write_film(
    path: Path,
    frames: int = 24,
    width: int = 96,
    height: int = 64,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rate: int = 10,
    milliseconds: list[int] | None = None,
    options: dict[str, str] | None = None,
    rotation: int = 0,
) -> Path:
    """Write a video with a key frame every 8 frames, at a constant rate or at given times."""
    with scheduled_as_before(), av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.gop_size = 8
        stream.codec_context.thread_count = 1
        if rotation:
            stream.set_display_rotation(rotation)
        unit = Fraction(1, rate) if milliseconds is None else Fraction(1, 1000)
        stream.codec_context.time_base = unit
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number, width, height), format="rgb24")
            frame.pts = number if milliseconds is None else milliseconds[number]
            frame.time_base = unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def open_groups() -> dict[str, str]:
    """x264 options: pictures that are stored behind a key frame but shown before it."""
    return {"x264-params": "open-gop=1:bframes=3:b-adapt=0:keyint=8:min-keyint=8:scenecut=0"}


def uneven_times(frames: int, first: int = 0, seed: int = 0) -> list[int]:
    """Milliseconds [frames] at a variable frame rate."""
    steps = np.random.default_rng(seed).integers(20, 300, frames - 1)
    return [first, *(first + np.cumsum(steps)).tolist()]


def cut_by_edit_list(source: Path, path: Path, seconds: float) -> Path:
    """Copy an mp4 without encoding so that an edit list hides its first `seconds`."""
    with av.open(str(source)) as reading, av.open(str(path), "w") as writing:
        stream = reading.streams.video[0]
        copy = writing.add_stream_from_template(stream)
        shift = round(seconds / stream.time_base)
        for packet in reading.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                writing.mux(packet)
    return path


def write_sound(path: Path) -> Path:
    """Write a file with sound and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for number in range(8):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 16000, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
