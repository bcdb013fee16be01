"""Paired statistics against brute force, numerical integration and printed tables."""

import itertools
import math
import statistics
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from snpkit.ablation.statistics import compared, described, holm, sign_flip_p
from snpkit.errors import UserError

points = st.integers(-50, 50).map(lambda whole: whole / 4)  # sums that are exact, so ties are too
few = st.lists(points, min_size=1, max_size=9)


def brute_force_flip(differences):
    """Every choice of signs, spelt out."""
    seen = abs(sum(differences))
    signs = list(itertools.product((1, -1), repeat=len(differences)))
    sums = [abs(sum(s * d for s, d in zip(choice, differences, strict=True))) for choice in signs]
    return sum(total >= seen for total in sums) / len(signs)


@given(few)
def test_the_sign_flip_test_counts_every_choice_of_signs(differences):
    assert sign_flip_p(differences) == pytest.approx(brute_force_flip(differences), abs=1e-12)


@given(few, st.floats(0.01, 100))
def test_it_does_not_ask_for_scale_or_direction(differences, scale):
    p = sign_flip_p(differences)
    assert 2 / 2 ** len(differences) <= p <= 1
    assert sign_flip_p([-d for d in differences]) == p
    assert sign_flip_p([scale * d for d in differences]) == pytest.approx(p)


def test_five_pairs_of_one_sign_give_the_smallest_value():
    assert sign_flip_p([1, 2, 3, 4, 5]) == 2 / 32
    assert compared([1.0] * 21)["flip_p"] is None
    assert sign_flip_p([1.0] * 20) == 2 / 2**20


@pytest.mark.parametrize(
    ("pairs", "printed"),  # of any printed table, two-sided 5 %
    [(2, 12.706), (3, 4.303), (4, 3.182), (5, 2.776), (10, 2.262), (31, 2.042)],
)
def test_the_interval_reaches_as_far_as_printed_tables_say(pairs, printed):
    found = compared(list(range(pairs)))
    error = statistics.stdev(range(pairs)) / math.sqrt(pairs)
    assert (found["high"] - found["mean"]) / error == pytest.approx(printed, abs=6e-4)


def test_without_scipy_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(UserError, match=r"pip install 'snpkit\[statistics\]'"):
        compared([1.0, 2.0])


def test_a_paired_test_by_hand():
    # Differences 2, 4, 6: mean 4, deviation 2, error 2 / sqrt 3, t = 3.4641 with 2 degrees, whose
    # distribution function is 1/2 + t / (2 sqrt(2 + t^2)).
    found = compared([2.0, 4.0, 6.0])
    t = 4 / (2 / math.sqrt(3))
    assert found["t_p"] == pytest.approx(1 - t / math.sqrt(2 + t * t))
    reach = 4.302653 * 2 / math.sqrt(3)
    assert (found["low"], found["high"]) == pytest.approx((4 - reach, 4 + reach), rel=1e-6)
    assert (found["n"], found["mean"], found["flip_p"]) == (3, 4.0, 0.25)


@given(st.lists(points, min_size=2, max_size=9))
def test_interval_and_t_test_agree(differences):
    found = compared(differences)
    assume(max(differences) > min(differences))
    edge = min(abs(found["low"]), abs(found["high"]))
    assume(edge > 1e-6)
    assert (found["low"] <= 0 <= found["high"]) == (found["t_p"] > 0.05)
    assert found["mean"] == pytest.approx(statistics.fmean(differences))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(1.5, 2.0, (2000, 5))
    held = [found["low"] <= 1.5 <= found["high"] for found in map(compared, draws.tolist())]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)  # three standard errors


def test_what_one_pair_or_equal_pairs_can_say():
    unknown = dict.fromkeys(("low", "high", "t_p", "flip_p"))
    assert compared([3.0]) == {"n": 1, "mean": 3.0, "values": [3.0], **unknown}
    assert described([3.0]) == {"n": 1, "mean": 3.0, "sd": None, "values": [3.0]}
    same = compared([0.0, 0.0, 0.0])
    assert (same["t_p"], same["flip_p"], same["low"], same["high"]) == (1.0, 1.0, 0.0, 0.0)
    sure = compared([2.0, 2.0, 2.0])
    assert (sure["t_p"], sure["low"], sure["high"]) == (0.0, 2.0, 2.0)


@given(st.lists(st.floats(0, 1, allow_subnormal=False), max_size=8))
def test_holm_is_the_step_down_rule(p_values):
    adjusted = holm(p_values)
    assert len(adjusted) == len(p_values)
    # Independent of the formula: Holm rejects, from the smallest on, while p <= level / left.
    for level in (0.001, 0.01, 0.05, 0.3):
        rejected, left = set(), len(p_values)
        for index in sorted(range(len(p_values)), key=lambda i: p_values[i]):
            if p_values[index] * left > level:
                break
            rejected.add(index)
            left -= 1
        assert {i for i, p in enumerate(adjusted) if p <= level} == rejected
