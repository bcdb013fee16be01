"""Two ways of doing the same work, timed in turns: rates, their ratio, and how far they scatter."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from math import inf, isfinite
from typing import Any

from snpkit.errors import UserError
from snpkit.text import format_bytes


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


@dataclass(frozen=True)
class Round:
    """One turn of both ways, right after each other.

    Attributes:
        plain, ours: work done per second by either way, in the subject's unit.
        difference: how far the results lie apart; None where there is nothing to compare.
        plain_peak, ours_peak: bytes that either way held at most so far; None if unknown.
    """

    plain: float
    ours: float
    difference: float | None = None
    plain_peak: float | None = None
    ours_peak: float | None = None


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        name: as in `python -m tests.benchmarks.race NAME`.
        unit: of the rates, such as "captions/s".
        plain, ours: the two ways in a few words.
        measure: times both ways once, one after the other.
        facts: what the figures depend on, by name; printed with them.
        tolerance: how far the results may lie apart.
        close: to be called when no more is measured.
    """

    name: str
    unit: str
    plain: str
    ours: str
    measure: Callable[[], Round]
    facts: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 0.0
    close: Callable[[], Any] = lambda: None


def farthest(differences: Iterable[float]) -> float:
    """The greatest; inf where one is not finite: a NaN is no agreement, and max() may well pass it
    over."""
    found = list(differences)
    return max(found) if all(map(isfinite, found)) else inf


@dataclass(frozen=True)
class Comparison:
    """The rounds of a subject and what they come to."""

    subject: Subject
    rounds: list[Round]

    @property
    def plain(self) -> Spread:
        """Rates of the straightforward way."""
        return Spread.of([turn.plain for turn in self.rounds])

    @property
    def ours(self) -> Spread:
        """Rates of snpkit's way."""
        return Spread.of([turn.ours for turn in self.rounds])

    @property
    def ratio(self) -> Spread:
        """How many times as fast ours is.

        Of each round by itself: what else the machine did meanwhile slowed both of its halves.
        """
        return Spread.of([turn.ours / turn.plain for turn in self.rounds])

    @property
    def difference(self) -> float | None:
        """The farthest that the results lay apart; None where there was nothing to compare."""
        found = [turn.difference for turn in self.rounds if turn.difference is not None]
        return farthest(found) if found else None

    @property
    def equal(self) -> bool:
        """Whether both ways came to the same."""
        return self.difference is None or self.difference <= self.subject.tolerance

    @property
    def memory(self) -> tuple[float, float] | None:
        """Bytes held at most: straightforward, ours; None if unknown."""
        last = self.rounds[-1]
        if last.plain_peak is None or last.ours_peak is None:
            return None
        return last.plain_peak, last.ours_peak

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, every round included."""
        subject = self.subject
        return {
            "subject": subject.name,
            "unit": subject.unit,
            "plain": {"way": subject.plain, **asdict(self.plain)},
            "ours": {"way": subject.ours, **asdict(self.ours)},
            "ratio": asdict(self.ratio),
            "memory": self.memory and dict(zip(("plain", "ours"), self.memory, strict=True)),
            "difference": self.difference,
            "tolerance": subject.tolerance,
            "equal": self.equal,
            "rounds": [
                {name: value for name, value in asdict(turn).items() if value is not None}
                for turn in self.rounds
            ],
            "facts": subject.facts,
        }

    def table(self) -> str:
        """As lines of text."""
        subject, count = self.subject, len(self.rounds)
        rows = (
            (subject.plain, _say(self.plain), subject.unit),
            (subject.ours, _say(self.ours), subject.unit),
            ("ratio", _say(self.ratio, 1), "times"),
        )
        wide, rates = (max(len(row[column]) for row in rows) for column in (0, 1))
        lines = [f"{way:{wide}}  {rate:>{rates}} {unit}" for way, rate, unit in rows]
        turns = "one round" if count == 1 else f"{count} rounds, in turns"
        lines.append(f"\nMedian (least to greatest) of {turns}.")
        if self.memory is not None:
            plain, ours = self.memory
            sizes = f"{format_bytes(plain)} and {format_bytes(ours)}"
            lines.append(f"Memory: {sizes}, {ours / plain:.0%}")
        if self.difference is not None:
            verdict = "equal" if self.equal else "NOT EQUAL"
            lines.append(
                f"Results: {verdict}, {self.difference:.2g} apart (allowed: {subject.tolerance:g})"
            )
        lines += [f"{name}: {value}" for name, value in subject.facts.items()]
        return "\n".join(lines)


def compare(subject: Subject, repeat: int) -> Comparison:
    """Measure a subject `repeat` times: plain, ours, plain, ours, ...

    Raises:
        UserError: `repeat` is less than 1.
    """
    return compare_all([subject], repeat)[0]


def compare_all(subjects: Sequence[Subject], repeat: int) -> list[Comparison]:
    """Measure subjects in turns, and all of them once more, `repeat` times.

    Raises:
        UserError: `repeat` is less than 1.
    """
    try:
        if repeat < 1:
            raise UserError(f"--repeat is {repeat}; measure at least once.")
        rounds = [[subject.measure() for subject in subjects] for _ in range(repeat)]
    finally:
        for subject in subjects:
            subject.close()
    each = zip(*rounds, strict=True)
    return [Comparison(*pair) for pair in zip(subjects, map(list, each), strict=True)]


def _say(spread: Spread, digits: int = 0) -> str:
    """Such as "5.2 (4.9 to 5.6)", with two digits more where a rate is small."""
    digits = max(digits, 0 if spread.median >= 10 else 2 - (spread.median >= 1))
    median, low, high = (
        f"{value:,.{digits}f}" for value in (spread.median, spread.low, spread.high)
    )
    return f"{median} ({low} to {high})"
