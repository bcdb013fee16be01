"""Runs with the same seeds compared pair by pair: mean, interval, and two tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snpkit.errors import UserError

_MOST_PAIRS = 20  # 2^20 choices of signs take a moment and 8 MB
_TIE = 1e-9  # sums closer than this, relative to the largest, count as equal


@dataclass(frozen=True)
class Sample:
    """Values of one row, one per seed.

    Attributes:
        n: how many.
        mean: their mean.
        sd: sample standard deviation (n - 1 in the denominator); None of a single value.
    """

    n: int
    mean: float
    sd: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Sample":
        """Of one value or more."""
        array = np.asarray(values, dtype=np.float64)
        sd = float(array.std(ddof=1)) if len(array) > 1 else None
        return cls(len(array), float(array.mean()), sd)


@dataclass(frozen=True)
class Paired:
    """Differences between two rows, seed by seed; None where a single pair cannot say.

    Attributes:
        n: pairs.
        mean: mean difference.
        low, high: 95 % confidence interval of the mean by Student's t, which takes differences
            between seeds as normal.
        t_p: two-sided p-value of the paired t-test.
        flip_p: two-sided p-value of the exact sign-flip permutation test, which takes them as
            symmetrical only. With n pairs it cannot fall below 2 / 2^n: 0.0625 for five. None of
            more than 20 pairs, whose choices of signs are too many.
    """

    n: int
    mean: float
    low: float | None
    high: float | None
    t_p: float | None
    flip_p: float | None

    @classmethod
    def of(cls, differences: Sequence[float]) -> "Paired":
        """Of one difference or more."""
        sample = Sample.of(differences)
        if sample.sd is None:
            return cls(sample.n, sample.mean, None, None, None, None)
        error = sample.sd / math.sqrt(sample.n)
        reach = t_quantile(0.975, sample.n - 1) * error
        if error > 0:
            t_p = 2 * (1 - t_cdf(abs(sample.mean) / error, sample.n - 1))
        else:
            t_p = 1.0 if sample.mean == 0 else 0.0
        flips = sign_flip_p(differences) if sample.n <= _MOST_PAIRS else None
        return cls(sample.n, sample.mean, sample.mean - reach, sample.mean + reach, t_p, flips)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p-value of the exact permutation test of paired differences.

    If two rows are alike, each difference might as well have the other sign: the share of all 2^n
    choices of signs whose sum is at least as far from zero as the one seen.

    Raises:
        UserError: more than 20 differences.
    """
    if len(differences) > _MOST_PAIRS:
        raise UserError(f"The permutation test takes {_MOST_PAIRS} pairs, not {len(differences)}.")
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    tie = _TIE * np.abs(sums).max()
    return float((np.abs(sums) >= abs(sum(differences)) - tie).mean())


def t_cdf(t: float, degrees: int) -> float:
    """Share of Student's t distribution below `t`.

    A finite sum for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
    """
    angle = math.atan(t / math.sqrt(degrees))
    cosine, odd = math.cos(angle), degrees % 2
    # Odd: cos + 2/3 cos^3 + (2 4)/(3 5) cos^5 ...; even: 1 + 1/2 cos^2 + (1 3)/(2 4) cos^4 ...
    term, total = (cosine if odd else 1.0), 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * cosine**2
    within = total * math.sin(angle)
    if odd:
        within = 2 / math.pi * (angle + within)
    return 0.5 + within / 2


def t_quantile(share: float, degrees: int) -> float:
    """The value below which `share` (0.5 to below 1) of Student's t distribution lies."""
    low, high = 0.0, 1.0
    while t_cdf(high, degrees) < share:
        high *= 2
    for _ in range(80):  # halvings: far below rounding
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, degrees) < share else (low, middle)
    return (low + high) / 2


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment of several p-values: testing ten rows finds one at 0.05 half the time."""
    adjusted, floor = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = floor
    return adjusted
