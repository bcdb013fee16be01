"""Motions: how the place, size, angle and visibility of an object change with time.

A motion is a function of the time in seconds that returns one row per time with the columns
x, y (centre, 0..1 across the stage the object moves on), width and height (factors of the object's
size), angle (degrees clockwise) and opacity. Every motion goes on during the whole clip, so either
half of it shows what happens.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

X, Y, WIDTH, HEIGHT, ANGLE, OPACITY = range(6)


@dataclass(frozen=True)
class Course:
    """What differs between two clips of one motion.

    Attributes:
        duration: length of the clip in seconds.
        x: the place of motions that stay in one column, 0..1 across the stage.
        y: the place of motions that stay in one row.
        sign: 1 = to the right or clockwise, -1 = the other way.
        speed: factor of periodic motions, about 1.
        phase: where in its period a periodic motion starts, 0..1.
    """

    duration: float
    x: float = 0.5
    y: float = 0.5
    sign: int = 1
    speed: float = 1.0
    phase: float = 0.0

    def turns(self, time: np.ndarray, period: float) -> np.ndarray:
        """Periods gone by at each time."""
        return self.speed * time / period + self.phase

    def share(self, time: np.ndarray) -> np.ndarray:
        """Share of the clip gone by at each time, 0..1."""
        return time / self.duration


def _states(time: np.ndarray, course: Course, **columns: np.ndarray | float) -> np.ndarray:
    """States at rest where the course lies, but for some columns."""
    rest = {"x": course.x, "y": course.y, "width": 1.0, "height": 1.0, "angle": 0.0, "opacity": 1.0}
    values = np.broadcast_arrays(time, *(rest | columns).values())[1:]
    return np.stack(values, axis=1)


def _across(time: np.ndarray, course: Course) -> np.ndarray:
    return 0.5 + course.sign * 0.64 * (course.share(time) - 0.5)


def slides(time: np.ndarray, course: Course) -> np.ndarray:
    """From one side to the other at an even speed."""
    return _states(time, course, x=_across(time, course))


def falls(time: np.ndarray, course: Course) -> np.ndarray:
    """From the top to the bottom, faster and faster."""
    share = course.share(time)
    return _states(time, course, y=0.16 + 0.68 * (0.75 * share + 0.25 * share * np.abs(share)))


def rises(time: np.ndarray, course: Course) -> np.ndarray:
    """From the bottom to the top."""
    return _states(time, course, y=0.84 - 0.68 * course.share(time))


def bounces(time: np.ndarray, course: Course) -> np.ndarray:
    """Up and down; flattened for a moment where it hits the ground."""
    height = np.abs(np.sin(np.pi * course.turns(time, 0.7)))
    flat = np.clip(1 - height / 0.35, 0, 1)  # squashed while it touches the ground
    y = 0.76 - 0.46 * height + 0.06 * flat
    return _states(time, course, y=y, width=1 + 0.2 * flat, height=1 - 0.24 * flat)


def spins(time: np.ndarray, course: Course) -> np.ndarray:
    """Around its own centre."""
    return _states(time, course, angle=course.sign * 360 * course.turns(time, 1.1))


def grows(time: np.ndarray, course: Course) -> np.ndarray:
    """Bigger by the same factor in the same time."""
    size = 0.5 * (1.3 / 0.5) ** course.share(time)
    return _states(time, course, width=size, height=size)


def shrinks(time: np.ndarray, course: Course) -> np.ndarray:
    """Smaller: growing, played backwards."""
    return grows(course.duration - time, course)


def circles(time: np.ndarray, course: Course) -> np.ndarray:
    """Along a circle, upright."""
    angle = course.sign * 2 * np.pi * course.turns(time, 1.1)
    return _states(time, course, x=0.5 + 0.24 * np.cos(angle), y=0.5 + 0.24 * np.sin(angle))


def zigzags(time: np.ndarray, course: Course) -> np.ndarray:
    """From one side to the other, up and down in straight lines."""
    wave = 4 * np.abs(course.turns(time, 0.8) % 1 - 0.5) - 1  # a triangle between -1 and 1
    return _states(time, course, x=_across(time, course), y=0.5 + 0.26 * wave)


def swings(time: np.ndarray, course: Course) -> np.ndarray:
    """To and fro like a pendulum: it hangs from a point above and leans as it goes."""
    angle = np.deg2rad(52) * np.sin(2 * np.pi * course.turns(time, 1.2))
    x, y = 0.5 + 0.34 * np.sin(angle), 0.28 + 0.34 * np.cos(angle)
    return _states(time, course, x=x, y=y, angle=-np.rad2deg(angle))


def shakes(time: np.ndarray, course: Course) -> np.ndarray:
    """Quick small turns and shifts around its place."""
    shake = np.sin(2 * np.pi * course.turns(time, 0.29))
    return _states(time, course, x=course.x + 0.05 * shake, angle=16 * shake)


def blinks(time: np.ndarray, course: Course) -> np.ndarray:
    """There and nearly gone, twice a second."""
    return _states(time, course, opacity=np.where(course.turns(time, 0.5) % 1 < 0.55, 1.0, 0.12))


_ALL = (slides, falls, rises, bounces, spins, grows)
_ALL += (shrinks, circles, zigzags, swings, shakes, blinks)
MOTIONS: dict[str, Callable[[np.ndarray, Course], np.ndarray]] = {
    motion.__name__: motion for motion in _ALL
}


def direction_of(motion: str, sign: int) -> str | None:
    """The direction that a motion has: left, right, up, down, clockwise, anticlockwise or None."""
    if motion in ("slides", "zigzags"):
        return "right" if sign > 0 else "left"
    if motion in ("spins", "circles"):
        return "clockwise" if sign > 0 else "anticlockwise"
    return {"falls": "down", "rises": "up"}.get(motion)
