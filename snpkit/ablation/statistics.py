"""Runs with the same seeds compared pair by pair: mean, interval, and two tests."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from snpkit.errors import UserError

_MOST_PAIRS = 20  # 2^20 choices of signs take a moment and 8 MB
_TIE = 1e-9  # sums, or differences, closer than this, relative to the largest, count as equal


def described(values: Sequence[float]) -> dict[str, Any]:
    """Values of one row, one or more seeds: how many, their mean, and their spread.

    Returns:
        "n", "mean", "sd" (sample standard deviation, n - 1 in the denominator; None of a single
        value) and "values".
    """
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"n": len(values), "mean": float(np.mean(values)), "sd": sd, "values": list(values)}


def compared(differences: Sequence[float]) -> dict[str, Any]:
    """Differences between two rows, seed by seed; None where a single pair cannot say.

    Returns:
        "n" and "mean"; "low" and "high", the 95 % confidence interval of the mean by Student's t,
        which takes differences between seeds as normal; "t_p", the two-sided p-value of the paired
        t-test; "flip_p", that of the exact sign-flip permutation test, which takes them as
        symmetrical only: with n pairs it cannot fall below 2 / 2^n, 0.0625 for five, and more than
        20 pairs have too many choices of signs (None); and the "values".

    Raises:
        UserError: scipy is not installed.
    """
    sample = described(differences)
    mean, sd, low, high, t_p, flip_p = sample["mean"], sample.pop("sd"), *[None] * 4
    if sd is not None:
        if sd > _TIE * abs(mean):
            test = _scipy_stats().ttest_1samp(differences, 0.0)
            (low, high), t_p = map(float, test.confidence_interval(0.95)), float(test.pvalue)
        else:  # all differences are equal: no doubt is left
            low, high, t_p = mean, mean, float(mean == 0)
        flip_p = sign_flip_p(differences)
    values = sample.pop("values")
    return sample | {"low": low, "high": high, "t_p": t_p, "flip_p": flip_p, "values": values}


def mean_of(values: Iterable[float | None]) -> float | None:
    """The mean of those that are there; None where none is."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def _scipy_stats() -> Any:
    try:
        from scipy import stats
    except ImportError:
        raise UserError(
            "Statistics over seeds need scipy: pip install 'snpkit[statistics]'."
        ) from None
    return stats


def sign_flip_p(differences: Sequence[float]) -> float | None:
    """Two-sided p-value of the exact permutation test of paired differences.

    If two rows are alike, each difference might as well have the other sign: the share of all 2^n
    choices of signs whose sum is at least as far from zero as the one seen. None of more than 20.
    """
    if len(differences) > _MOST_PAIRS:
        return None
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
