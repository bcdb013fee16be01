"""The errors a user meets: each carries one sentence that says what, where and what to do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class UserError(ValueError):
    """Something the user can mend. The command line prints its sentence and exits with status 2."""


class VideoError(UserError):
    """A video or image that cannot be read; the message names the file."""


class PassingError(VideoError):
    """A file that could not be read this time: too slow, too much memory, or its reader crashed."""


class AnnotationError(UserError):
    """A manifest or annotation file with a wrong row; the message names the file and the line."""


class CheckpointError(UserError):
    """A checkpoint folder that is missing, damaged or made for another configuration."""


@contextmanager
def explained(what: str, advice: str = "") -> Iterator[None]:
    """Raise UserError for an OSError: "WHAT: the system's reason; ADVICE." """
    try:
        yield
    except OSError as error:
        ending = f"; {advice}." if advice else "."
        raise UserError(f"{what}: {error.strerror or error}{ending}") from error


def listed(faults: Sequence[str], most: int = 20) -> str:
    """The first `most` faults of a long list, separated by commas, and how many more there are."""
    rest = f" and {len(faults) - most} more" if len(faults) > most else ""
    return ", ".join(faults[:most]) + rest
