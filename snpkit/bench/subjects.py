"""The subjects of `snpkit bench`: to add one, write a function like these and name it here."""

from collections.abc import Callable
from pathlib import Path

from snpkit.bench.comparison import Subject
from snpkit.bench.mining import mining_subject
from snpkit.errors import UserError

# name -> function of (file to take the work from or None, processes)
SUBJECTS: dict[str, Callable[[Path | None, int], Subject]] = {
    "mine": mining_subject,
}


def get_subject(name: str, source: Path | None = None, workers: int = 1) -> Subject:
    """The named subject, ready to be measured.

    Raises:
        UserError: there is no such subject; lists the names.
    """
    if name not in SUBJECTS:
        names = ", ".join(SUBJECTS)
        raise UserError(f"There is no benchmark {name!r}; choose one of: {names}.")
    return SUBJECTS[name](source, workers)
