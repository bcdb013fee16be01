"""Frame sampling: every frame can be drawn, nothing else ever is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snpkit.errors import UserError
from snpkit.video.sampling import frames_within, sample_frames

counts = st.integers(1, 400)
small = st.integers(1, 12)
# Built from integers: a library loaded before may have switched off subnormal floats.
rates = st.integers(10, 600).map(lambda tenths: tenths / 10)
starts = st.integers(0, 20_000).map(lambda milliseconds: milliseconds / 1000)
lengths = st.integers(10, 20_000).map(lambda milliseconds: milliseconds / 1000)


@given(counts, small, small, st.one_of(st.none(), st.integers(0, 2**31)))
def test_indices_are_sorted_and_in_range(frame_count, clips, frames, seed):
    generator = None if seed is None else np.random.default_rng(seed)
    indices = sample_frames(frame_count, clips, frames, generator)
    assert indices.shape == (clips, frames) and indices.dtype == np.int64
    flat = indices.reshape(-1)
    assert (np.diff(flat) >= 0).all()
    assert flat[0] >= 0 and flat[-1] < frame_count


@given(counts, small, small, st.integers(0, 2**31))
def test_long_videos_never_repeat_a_frame(frame_count, clips, frames, seed):
    indices = sample_frames(frame_count, clips, frames, np.random.default_rng(seed)).reshape(-1)
    # Short videos repeat, but drop no frame; long ones repeat none.
    assert len(np.unique(indices)) == min(frame_count, clips * frames)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**31))
def test_every_frame_can_be_drawn(frame_count, clips, frames, seed):
    generator = np.random.default_rng(seed)
    # A range holds at most 60 frames; 1500 draws miss one of them with probability < 60 e^-25.
    draws = [sample_frames(frame_count, clips, frames, generator) for _ in range(1500)]
    assert set(np.concatenate(draws).reshape(-1).tolist()) == set(range(frame_count))


@pytest.mark.parametrize(
    ("counts", "upper", "lower"),
    [
        ((10, 1, 1), [[5]], [[4]]),
        ((15, 1, 3), [[2, 7, 12]], [[2, 7, 12]]),
        ((16, 2, 2), [[2, 6], [10, 14]], [[1, 5], [9, 13]]),
        # Short videos repeat frames.
        ((2, 1, 4), [[0, 0, 1, 1]], [[0, 0, 1, 1]]),
        ((1, 2, 2), [[0, 0], [0, 0]], [[0, 0], [0, 0]]),
    ],
)
def test_testing_takes_the_middle_frames_the_lower_ones_as_the_published_code(counts, upper, lower):
    assert sample_frames(*counts).tolist() == upper
    assert sample_frames(*counts, middle="lower").tolist() == lower


@pytest.mark.parametrize(("middle", "apart"), [("upper", 1.0), ("lower", 1.5)])
@given(frame_count=st.integers(1, 200), clips=small, frames=small)
def test_middle_frames_lie_in_the_middle_of_their_range(frame_count, clips, frames, middle, apart):
    chosen = sample_frames(frame_count, clips, frames, middle=middle).reshape(-1)
    ideal = (np.arange(clips * frames) + 0.5) * frame_count / (clips * frames)
    assert np.abs(chosen + 0.5 - ideal).max() <= apart


@pytest.mark.parametrize("counts", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-5, 1, 1)])
def test_counts_below_one_are_errors(counts):
    with pytest.raises(UserError, match="at least 1"):
        sample_frames(*counts)


def frames_between(count, rate, start=None, end=None):
    """The window of a film with a constant frame rate."""
    return frames_within(np.arange(count) / rate, count / rate, start, end)


@given(st.integers(1, 300), rates, starts, lengths)
def test_windows_hold_frames_shown_during_them(frame_count, rate, start, length):
    if start >= frame_count / rate:
        with pytest.raises(UserError, match="lasts"):
            frames_between(frame_count, rate, start, start + length)
        return
    window = frames_between(frame_count, rate, start, start + length)
    assert 0 <= window.start < window.stop <= frame_count
    slack = 2e-6
    for frame in (window.start, window.stop - 1):
        assert frame / rate <= start + length + slack
        assert (frame + 1) / rate >= start - slack


def test_windows_of_known_videos():
    assert frames_between(40, 10.0) == range(0, 40)
    assert frames_between(40, 10.0, 0.3, 0.6) == range(3, 6)
    assert frames_between(40, 10.0, 0.35, 0.36) == range(3, 4)
    assert frames_between(40, 10.0, 3.0, 100) == range(30, 40)
    assert frames_between(40, 10.0, None, 0.5) == range(0, 5)
    times = np.array([0.0, 1.0, 1.1, 5.0])
    assert frames_within(times, 6.0, 1.05, 5.5) == range(1, 4)
    assert frames_within(times, 6.0, 3.0, 4.0) == range(2, 3)


@pytest.mark.parametrize("window", [(2.0, 2.0), (3.0, 1.0), (float("nan"), 1.0), (None, -1.0)])
def test_windows_without_time_are_errors(window):
    with pytest.raises(UserError, match="is empty"):
        frames_between(40, 10.0, *window)
