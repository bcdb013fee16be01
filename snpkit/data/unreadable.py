"""The policy for videos that cannot be read: counted, named, replaced; never the end of a run."""

from dataclasses import dataclass, field

from snpkit.errors import UserError


@dataclass
class UnreadableReport:
    """The clips of a data set, its distinct videos and windows of them, that could not be read.

    Attributes:
        clips: how many distinct clips the data set has.
        reasons: name of a clip (its path in the manifest, and its window if it has one) -> the
            reader's sentence, in the order in which they failed.
        passing: those of them that another attempt may read (`PassingError`).
    """

    clips: int
    reasons: dict[str, str] = field(default_factory=dict)
    passing: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        """The number of unreadable clips."""
        return len(self.reasons)

    def __str__(self) -> str:
        if not self.reasons:
            return f"all {self.clips} clips can be read"
        return f"{len(self)} of {self.clips} clips cannot be read: {self._first_few()}"

    def add(self, name: str, reason: str, *, passing: bool = False) -> None:
        """Note a failure; the first reason of a clip is kept."""
        if name not in self.reasons:
            self.reasons[name] = reason
            self.passing |= {name} if passing else set()

    def check(self, allowed: float) -> None:
        """Stop where so much is missing that the data set must be wrong.

        Raises:
            UserError: more than the share `allowed` of the clips is unreadable, or all of them.
        """
        share = len(self) / self.clips
        if share > allowed or len(self) == self.clips:
            raise UserError(
                f"{len(self)} of {self.clips} clips cannot be read, more than the {allowed:.0%} "
                f"that may be missing: {self._first_few()} Check the data set's folder."
            )

    def _first_few(self, count: int = 3) -> str:
        more = f" (and {len(self) - count} more)." if len(self) > count else ""
        return " ".join(list(self.reasons.values())[:count]) + more
