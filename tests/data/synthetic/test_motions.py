import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data.synthetic.motions import (
    ANGLE,
    HEIGHT,
    MOTIONS,
    OPACITY,
    WIDTH,
    Course,
    X,
    Y,
    direction_of,
)

TIME = (np.arange(16) + 0.5) / 8


def percent(low: int, high: int) -> st.SearchStrategy[float]:
    """Not st.floats: it needs denormal numbers, which the tests switch off."""
    return st.integers(low, high).map(lambda number: number / 100)


COURSES = st.builds(
    Course,
    duration=st.just(2.0),
    x=percent(30, 70),
    y=percent(30, 70),
    sign=st.sampled_from([-1, 1]),
    speed=percent(88, 112),
    phase=percent(0, 100),
)


@given(st.sampled_from(list(MOTIONS)), COURSES)
def test_either_half_shows_the_motion_within_the_picture(motion: str, course: Course) -> None:
    state = MOTIONS[motion](TIME, course)
    assert state.shape == (16, 6)
    assert np.isfinite(state).all()
    assert (state[:, [X, Y]] > 0.1).all() and (state[:, [X, Y]] < 0.9).all()
    assert (state[:, [WIDTH, HEIGHT]] > 0.3).all() and (state[:, [WIDTH, HEIGHT]] < 1.4).all()
    assert (state[:, OPACITY] > 0).all() and (state[:, OPACITY] <= 1).all()
    scale = np.array([1, 1, 1, 1, 1 / 90, 1])
    for half in (state[:8], state[8:]):
        assert np.ptp(half * scale, axis=0).max() > 0.07


@given(st.lists(COURSES, min_size=12, max_size=12))
def test_motions_differ_from_each_other(courses: list[Course]) -> None:
    """Normalised by where they start, no two motions follow nearly the same course."""
    scale = np.array([1, 1, 1, 1, 1 / 180, 1])
    states = []
    for motion, course in zip(MOTIONS, courses, strict=True):
        state = MOTIONS[motion](TIME, course)
        states.append((state - state.mean(axis=0)) * scale)
    for (one, a), (two, b) in itertools.combinations(zip(MOTIONS, states, strict=True), 2):
        assert np.abs(a - b).max() > 0.08, (one, two)


@pytest.mark.parametrize("sign", [1, -1])
def test_directions_are_what_they_say(sign: int) -> None:
    course = Course(2.0, sign=sign, phase=0.1)
    for motion in ("slides", "zigzags"):
        moved = np.diff(MOTIONS[motion](TIME, course)[:, X])
        assert (moved > 0).all() == (direction_of(motion, sign) == "right")
        assert (moved < 0).all() == (direction_of(motion, sign) == "left")
    assert (np.diff(MOTIONS["falls"](TIME, course)[:, Y]) > 0).all()
    assert direction_of("falls", sign) == "down"
    assert (np.diff(MOTIONS["rises"](TIME, course)[:, Y]) < 0).all()
    assert direction_of("rises", sign) == "up"
    turned = np.diff(MOTIONS["spins"](TIME, course)[:, ANGLE])
    assert (turned > 0).all() == (direction_of("spins", sign) == "clockwise")
    circle = MOTIONS["circles"](TIME, course)[:, [X, Y]] - 0.5
    cross = circle[:-1, 0] * circle[1:, 1] - circle[:-1, 1] * circle[1:, 0]
    # y points down, so a positive cross product is clockwise on the screen.
    assert (cross > 0).all() == (direction_of("circles", sign) == "clockwise")
    assert direction_of("blinks", sign) is None


def test_growing_is_shrinking_backwards() -> None:
    course = Course(2.0)
    grown, shrunk = (MOTIONS[m](TIME, course)[:, WIDTH] for m in ("grows", "shrinks"))
    assert (np.diff(grown) > 0).all()
    np.testing.assert_allclose(grown, shrunk[::-1])
