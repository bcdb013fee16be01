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


def test_last_frame_of_each_range_is_drawn():
    generator = np.random.default_rng(0)
    drawn = np.stack([sample_frames(12, 1, 3, generator)[0] for _ in range(400)])
    assert [set(column.tolist()) for column in drawn.T] == [
        {0, 1, 2, 3},
        {4, 5, 6, 7},
        {8, 9, 10, 11},
    ]


def test_testing_takes_the_middle_frames():
    assert sample_frames(10, 1, 1).tolist() == [[5]]
    assert sample_frames(15, 1, 3).tolist() == [[2, 7, 12]]
    assert sample_frames(16, 2, 2).tolist() == [[2, 6], [10, 14]]


def test_the_lower_of_two_middle_frames_as_the_published_code_takes_it():
    assert sample_frames(10, 1, 1, middle="lower").tolist() == [[4]]
    assert sample_frames(15, 1, 3, middle="lower").tolist() == [[2, 7, 12]]
    assert sample_frames(16, 2, 2, middle="lower").tolist() == [[1, 5], [9, 13]]
    assert sample_frames(2, 1, 4, middle="lower").tolist() == [[0, 0, 1, 1]]


@given(st.integers(1, 60), small, small)
def test_the_lower_middle_has_as_many_frames_of_its_range_before_it_as_the_upper_has_behind(
    frame_count, clips, frames
):
    # Turned round, the ranges of an evenly cut video are its own ranges, from the last to the first
    count = frame_count * clips * frames
    lower = sample_frames(count, clips, frames, middle="lower").reshape(-1)
    upper = sample_frames(count, clips, frames).reshape(-1)
    assert (count - 1 - lower[::-1]).tolist() == upper.tolist()
    assert (upper - lower == 1 - frame_count % 2).all()


def test_short_videos_repeat_frames():
    assert sample_frames(1, 2, 2).tolist() == [[0, 0], [0, 0]]
    assert sample_frames(2, 1, 4).tolist() == [[0, 0, 1, 1]]
    assert sample_frames(3, 1, 5, np.random.default_rng(0)).tolist() == [[0, 0, 1, 1, 2]]


@given(st.integers(1, 200), small, small)
def test_middle_frames_lie_in_the_middle_of_their_range(frame_count, clips, frames):
    middle = sample_frames(frame_count, clips, frames).reshape(-1)
    ideal = (np.arange(clips * frames) + 0.5) * frame_count / (clips * frames)
    assert np.abs(middle + 0.5 - ideal).max() <= 1.0


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
