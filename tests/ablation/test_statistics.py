"""Paired statistics against brute force, numerical integration and printed tables."""

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from snpkit.ablation.statistics import Paired, Sample, holm, sign_flip_p, t_cdf, t_quantile
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
    assert Paired.of([1.0] * 21).flip_p is None
    with pytest.raises(UserError, match="takes 20 pairs, not 21"):
        sign_flip_p([1.0] * 21)


def integrated(t, degrees):
    """The share of Student's density below t, by Simpson's rule from 0."""
    x = np.linspace(0, abs(t), 20_001)
    constant = math.gamma((degrees + 1) / 2) / math.sqrt(degrees * math.pi)
    density = constant / math.gamma(degrees / 2) * (1 + x**2 / degrees) ** (-(degrees + 1) / 2)
    weights = np.full(len(x), 2.0)
    weights[1::2], weights[0], weights[-1] = 4.0, 1.0, 1.0
    area = float((weights * density).sum() * (x[1] - x[0]) / 3)
    return 0.5 + math.copysign(area, t)


@given(st.floats(-12, 12, allow_subnormal=False), st.integers(1, 40))
def test_students_t_is_the_integral_of_its_density(t, degrees):
    assert t_cdf(t, degrees) == pytest.approx(integrated(t, degrees), abs=1e-9)


@pytest.mark.parametrize(
    ("degrees", "printed"),  # of any printed table, two-sided 5 %
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (120, 1.980)],
)
def test_quantiles_are_those_of_printed_tables(degrees, printed):
    assert t_quantile(0.975, degrees) == pytest.approx(printed, abs=6e-4)


@given(st.floats(0.5, 0.9999), st.integers(1, 30))
def test_the_quantile_is_the_inverse(share, degrees):
    assert t_cdf(t_quantile(share, degrees), degrees) == pytest.approx(share, abs=1e-9)


def test_a_paired_test_by_hand():
    # Differences 2, 4, 6: mean 4, deviation 2, error 2 / sqrt 3, t = 3.4641 with 2 degrees, whose
    # distribution function is 1/2 + t / (2 sqrt(2 + t^2)).
    found = Paired.of([2.0, 4.0, 6.0])
    t = 4 / (2 / math.sqrt(3))
    assert found.t_p == pytest.approx(1 - t / math.sqrt(2 + t * t))
    reach = 4.302653 * 2 / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((4 - reach, 4 + reach), rel=1e-6)
    assert (found.n, found.mean, found.flip_p) == (3, 4.0, 0.25)


@given(st.lists(points, min_size=2, max_size=9))
def test_interval_and_t_test_agree(differences):
    found = Paired.of(differences)
    assume(max(differences) > min(differences))
    edge = min(abs(found.low), abs(found.high))
    assume(edge > 1e-6)
    assert (found.low <= 0 <= found.high) == (found.t_p > 0.05)
    assert found.mean == pytest.approx(statistics.fmean(differences))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(1.5, 2.0, (2000, 5))
    held = [found.low <= 1.5 <= found.high for found in map(Paired.of, draws.tolist())]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)  # three standard errors


def test_what_one_pair_or_equal_pairs_can_say():
    assert Paired.of([3.0]) == Paired(1, 3.0, None, None, None, None)
    assert Sample.of([3.0]) == Sample(1, 3.0, None)
    same = Paired.of([0.0, 0.0, 0.0])
    assert (same.t_p, same.flip_p, same.low, same.high) == (1.0, 1.0, 0.0, 0.0)
    sure = Paired.of([2.0, 2.0, 2.0])
    assert (sure.t_p, sure.low, sure.high) == (0.0, 2.0, 2.0)


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
