"""Runs with the same seeds compared pair by pair: mean, interval, and two tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snpkit.errors import UserError

_MOST_PAIRS = 20  # 2^20 choices of signs take a moment and 8 MB
_TIE = 1e-9  # sums, or differences, closer than this, relative to the largest, count as equal


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
        """Of one difference or more.

        Raises:
            UserError: scipy is not installed.
        """
        sample = Sample.of(differences)
        if sample.sd is None:
            return cls(sample.n, sample.mean, None, None, None, None)
        if sample.sd > _TIE * abs(sample.mean):
            test = _scipy_stats().ttest_1samp(differences, 0.0)
            (low, high), t_p = test.confidence_interval(0.95), float(test.pvalue)
        else:  # all differences are equal: no doubt is left
            low, high, t_p = sample.mean, sample.mean, float(sample.mean == 0)
        flips = sign_flip_p(differences) if sample.n <= _MOST_PAIRS else None
        return cls(sample.n, sample.mean, float(low), float(high), t_p, flips)


def _scipy_stats() -> Any:
    try:
        from scipy import stats
    except ImportError:
        raise UserError(
            "Statistics over seeds need scipy: pip install 'snpkit[statistics]'."
        ) from None
    return stats


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


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment of several p-values: testing ten rows finds one at 0.05 half the time."""
    adjusted, floor = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = floor
    return adjusted
