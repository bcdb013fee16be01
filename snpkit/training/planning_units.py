"""Numbers as a plan shows them: a median with its spread, and seconds, bytes and counts as text."""

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from snpkit.errors import UserError

_FACTORS = {"": 1, "k": 1e3, "m": 1e6, "b": 1e9}


@dataclass(frozen=True)
class Spread:
    """The median of some repeats, with the least and the greatest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of one value or more."""
        return cls(statistics.median(values), min(values), max(values))

    def times(self, factor: float) -> "Spread":
        """All three multiplied."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)


def say_seconds(seconds: float) -> str:
    """A duration in its natural unit: "0.12 s", "3.4 min", "5.0 h", "12 days", "3.1 years"."""
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h"),
                              (730 * 86400, 86400, "days")):  # fmt: skip
        if seconds < limit:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds / (365.25 * 86400))} years"


def say_bytes(count: float) -> str:
    """A size in decimal units (1 GB = 10^9 bytes), such as "5.7 MB"."""
    for power, unit in ((3, "bytes"), (6, "kB"), (9, "MB"), (12, "GB")):
        if count < 10**power:
            return f"{_digits(count / 10 ** (power - 3))} {unit}"
    return f"{_digits(count / 1e12)} TB"


def say_pairs(count: int) -> str:
    """A number of pairs as people say it: 10k, 250k, 2.5M, 10M; 1,234 where it is not round."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if count >= size and count % (size / 10) == 0:
            return f"{count / size:.1f}".removesuffix(".0") + unit
    return f"{count:,}"


def say_count(count: float) -> str:
    """A large number as people say it, rounded: "5.1 billion", "23 million", "610 thousand"."""
    for size, word in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if count >= size:
            return _digits(count / size) + word
    return f"{count:,.0f}"


def say_euros(cost: float) -> str:
    """An amount of money: "EUR 0.42", "EUR 1,234"."""
    return f"EUR {cost:,.2f}" if cost < 100 else f"EUR {cost:,.0f}"


def read_pairs(text: str) -> int:
    """The inverse: "10k", "2.5M", "4000" or "4,000" -> a whole number of pairs.

    Raises:
        UserError: the text is no positive number.
    """
    match = re.fullmatch(r"([\d,_]*\.?\d+)([kmb]?)", text.strip(), re.IGNORECASE)
    if match:
        number = float(match[1].replace(",", "").replace("_", ""))
        pairs = number * _FACTORS[match[2].lower()]
        if math.isfinite(pairs) and pairs >= 1:
            return round(pairs)
    raise UserError(f"--data takes a number of pairs, such as 4000, 250k or 2.5M, not {text!r}.")


def _digits(value: float) -> str:
    """Two significant digits at least, whole numbers from 10 on."""
    if value == 0:
        return "0"
    if value >= 9.95:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"
