"""Which frames of a video to look at: pure functions of the frame count (paper, section IV)."""

import math
from typing import Literal

import numpy as np

from snpkit.errors import UserError

Middle = Literal["upper", "lower"]


def sample_frames(
    frame_count: int,
    clips: int,
    frames: int,
    generator: np.random.Generator | None = None,
    middle: Middle = "upper",
) -> np.ndarray:
    """Cut a video into `clips * frames` equal ranges and take one frame of each.

    Training draws a random frame of each range, testing takes the middle one. Every frame of the
    video belongs to exactly one range and can be drawn, the last one too (the reference code never
    reaches the last frame of a range). A video with fewer frames than ranges repeats frames.

    Args:
        frame_count: frames in the video, at least 1.
        clips: clips per video, at least 1.
        frames: frames per clip, at least 1.
        generator: where the random numbers come from; None takes the middle frames.
        middle: which of the two middle frames of a range of even length; the published code takes
            the "lower". (Where a video has fewer frames than ranges it also repeats other frames.)

    Returns:
        int64 [clips, frames], never decreasing, each in [0, frame_count).

    Raises:
        UserError: one of the counts is below 1.
    """
    if min(frame_count, clips, frames) < 1:
        raise UserError(
            f"Cannot take {clips} clips of {frames} frames from {frame_count} frames; "
            "each of the three must be at least 1."
        )
    ranges = clips * frames
    edges = np.arange(ranges + 1, dtype=np.int64) * frame_count // ranges
    first = edges[:-1]
    # In a short video some ranges hold no whole frame: they take the frame they lie in.
    stop = np.maximum(edges[1:], first + 1)
    if generator is None:
        chosen = (first + stop - (middle == "lower")) // 2
    else:
        chosen = generator.integers(first, stop)
    return chosen.astype(np.int64).reshape(clips, frames)


def frames_within(
    times: np.ndarray, duration: float, start: float | None = None, end: float | None = None
) -> range:
    """The frames shown during an annotated window, also of a video with a variable frame rate.

    A window that ends after the video is cut; a window shorter than a frame gives the frame on
    screen at `start`.

    Args:
        times: seconds [frames], increasing, the first frame at 0.
        duration: when the last frame leaves the screen, in seconds.
        start: begin of the window in seconds; None is the begin of the video.
        end: end of the window in seconds; None is the end of the video.

    Returns:
        A range of frame indices with at least one frame.

    Raises:
        UserError: the window is empty, or starts after the video has ended.
    """
    begin = 0.0 if start is None else float(start)
    finish = math.inf if end is None else float(end)
    if math.isnan(begin) or math.isnan(finish) or finish <= max(begin, 0.0):
        raise UserError(f"The window from {start} s to {end} s is empty; end must follow start.")
    if begin >= duration:
        raise UserError(
            f"The window starts at {begin:g} s but the video lasts {duration:.2f} s; "
            "check the annotation's times."
        )
    # Times are rounded: a microsecond of slack keeps 0.3 s on frame 3 of 10 a second.
    first = max(int(np.searchsorted(times, begin + 1e-6, side="right")) - 1, 0)
    stop = int(np.searchsorted(times, finish - 1e-6, side="left"))
    return range(first, max(stop, first + 1))
