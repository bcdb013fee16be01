"""Durations, sizes and numbers of pairs as text, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.errors import UserError
from snpkit.training.planning_units import (
    Spread,
    read_pairs,
    say_bytes,
    say_pairs,
    say_seconds,
)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (0.00123, "0.0012 s"), (0.31, "0.31 s"), (4.2, "4.2 s"), (59, "59 s"),
     (90, "1.5 min"), (3600, "1.0 h"), (47 * 3600, "47 h"), (5 * 86400, "5.0 days"),
     (400 * 86400, "400 days"), (3 * 365.25 * 86400, "3.0 years")],
)  # fmt: skip
def test_durations(seconds, said):
    assert say_seconds(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (5_600, "5.6 kB"), (1_370_876 * 4, "5.5 MB"),
     (2.7e12, "2.7 TB"), (3.1e15, "3,100 TB")],
)  # fmt: skip
def test_sizes(count, said):
    assert say_bytes(count) == said


@given(st.integers(1, 10**10))
def test_a_number_of_pairs_comes_back_as_it_was(pairs):
    assert read_pairs(say_pairs(pairs)) == pairs
    assert read_pairs(str(pairs)) == pairs


def test_usual_numbers_of_pairs():
    assert [say_pairs(n) for n in (10_000, 250_000, 2_500_000, 1234)] == [
        "10k", "250k", "2.5M", "1,234"
    ]  # fmt: skip
    assert read_pairs("2.5m") == 2_500_000 and read_pairs("4_000") == 4000


@pytest.mark.parametrize("text", ["", "many", "-3", "0", "1.5.2", "10kk", "nan", "1e3"])
def test_other_text_is_no_number_of_pairs(text):
    with pytest.raises(UserError, match="--data"):
        read_pairs(text)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1), st.floats(1e-6, 1e6))
def test_a_spread_stays_in_order(values, factor):
    spread = Spread.of(values).times(factor)
    assert spread.low <= spread.median <= spread.high
    assert spread.high == max(values) * factor
