"""Two ways of doing the same work, timed in turns: rates, their ratio, and how far they scatter."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from snpkit.errors import UserError
from snpkit.training.planning_units import Spread


@dataclass(frozen=True)
class Round:
    """One turn of both ways, right after each other.

    Attributes:
        plain, ours: work done per second by either way, in the subject's unit.
    """

    plain: float
    ours: float


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        name: as in `snpkit bench NAME`.
        unit: of the rates, such as "captions/s".
        plain, ours: the two ways in a few words.
        measure: times both ways once, one after the other.
        facts: what the figures depend on, by name; printed with them.
    """

    name: str
    unit: str
    plain: str
    ours: str
    measure: Callable[[], Round]
    facts: dict[str, Any] = field(default_factory=dict)


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

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, every round included."""
        subject = self.subject
        return {
            "subject": subject.name,
            "unit": subject.unit,
            "plain": {"way": subject.plain, **asdict(self.plain)},
            "ours": {"way": subject.ours, **asdict(self.ours)},
            "ratio": asdict(self.ratio),
            "rounds": [asdict(turn) for turn in self.rounds],
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
        lines += [f"{name}: {value}" for name, value in subject.facts.items()]
        return "\n".join(lines)


def compare(subject: Subject, repeat: int) -> Comparison:
    """Measure a subject `repeat` times: plain, ours, plain, ours, ...

    Raises:
        UserError: `repeat` is less than 1.
    """
    if repeat < 1:
        raise UserError(f"--repeat is {repeat}; measure at least once.")
    return Comparison(subject, [subject.measure() for _ in range(repeat)])


def _say(spread: Spread, digits: int = 0) -> str:
    """Such as "5.2 (4.9 to 5.6)"."""
    median, low, high = (
        f"{value:,.{digits}f}" for value in (spread.median, spread.low, spread.high)
    )
    return f"{median} ({low} to {high})"
