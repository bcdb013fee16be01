"""What the readers share: where they read, what to do with a wrong row, and fields of records."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snpkit.data.annotations.labels import AnswerLabels
from snpkit.data.annotations.paths import Locator
from snpkit.data.annotations.records import Record, WrongRow, json_items
from snpkit.data.samples import VideoText
from snpkit.errors import AnnotationError
from snpkit.video.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES

Problems = Callable[[AnnotationError], None]


@dataclass(frozen=True)
class Context:
    """What a reader needs besides its file.

    Attributes:
        locator: finds the videos.
        split: name that the rows carry; "" = the file says it.
        problems: is told of each row that is left out; None = the first one is raised.
        labels: the label set of the answers, if there is one.
    """

    locator: Locator
    split: str
    problems: Problems | None = None
    labels: AnswerLabels | None = None

    def rows(
        self,
        path: Path,
        records: Iterable[Record],
        make: Callable[[Record], Iterable[VideoText]],
    ) -> Iterator[VideoText]:
        """The rows that `make` makes of each record; a wrong record is a problem."""
        for record in records:
            try:
                made = list(make(record))
            except AnnotationError as error:
                self.problem(path, f"{record.unit} {record.number}", error)
            else:
                yield from made

    def problem(self, path: Path, place: str, error: AnnotationError) -> None:
        """Raise the error with file and place before it, or tell `problems` of it."""
        trap = getattr(error, "trap", "wrong row")
        named = WrongRow(f"{path}, {place}: {str(error).rstrip('.')}.", trap)
        if self.problems is None:
            raise named from None
        self.problems(named)

    def video(self, name: str, *, default: str = "videos") -> str:
        """Path of the video of that name, with or without its suffix."""
        return self.locator.find(name, VIDEO_SUFFIXES, default)

    def image(self, name: str, *, default: str = "images") -> str:
        """Path of the image of that name, with or without its suffix."""
        return self.locator.find(name, IMAGE_SUFFIXES, default)


def field(record: Record, *keys: str) -> Any:
    """The value of the first of `keys` that the record's object has.

    Raises:
        WrongRow: it is no object, or has none of them.
    """
    if not isinstance(record.value, dict):
        raise WrongRow("the record must be a JSON object")
    for key in keys:
        if key in record.value:
            return record.value[key]
    raise WrongRow(f'"{keys[0]}" is missing; add it or take the row out')


def text(record: Record, *keys: str) -> str:
    """A field that must be text.

    Raises:
        WrongRow: it is missing, empty or no text.
    """
    return plain(field(record, *keys), keys[0])


def plain(value: Any, key: str) -> str:
    """A value that must be text, without space around it.

    Raises:
        WrongRow: it is no text, empty, or without any character that can be seen.
    """
    if not isinstance(value, str):
        raise WrongRow(f'"{key}" is {shorten(value)}; it must be text')
    if not any(map(_visible, value)):
        raise WrongRow(f'"{key}" is empty; write one or take the row out', f"empty {key}")
    return value.strip()


def _visible(character: str) -> bool:
    # What else there is, such as zero-width spaces and lone accents, BERT's tokenizer takes out.
    shown = character.isprintable() and not character.isspace() and character != "\ufffd"
    return shown and unicodedata.category(character)[0] != "M"


def caption(record: Record, *keys: str) -> str:
    """A field that must be a caption, whatever its key.

    Raises:
        WrongRow: it is missing, empty or no text.
    """
    return plain(field(record, *keys), "caption")


def captions(record: Record, key: str) -> list[str]:
    """A field that must be a caption or a list of captions.

    Raises:
        WrongRow: it is missing, one is empty or no text, or the list is empty.
    """
    value = field(record, key)
    if not isinstance(value, list):
        return [plain(value, "caption")]
    if not value:
        raise WrongRow(f'"{key}" is an empty list; write one or take the row out', "empty caption")
    return [plain(one, "caption") for one in value]


def name(record: Record, *keys: str) -> str:
    """A field that names something: text or a whole number.

    Raises:
        WrongRow: it is missing, empty or of another kind.
    """
    value = field(record, *keys)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return str(value)
    return text(record, *keys)


def number(record: Record, key: str) -> int:
    """A field that must be a whole number, perhaps written as text.

    Raises:
        WrongRow: it is missing or of another kind.
    """
    value = field(record, key)
    if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() and len(value) < 19:
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 63:
        raise WrongRow(f'"{key}" is {shorten(value)}; it must be a whole number')
    return value


def identity(path: Path, record: Record) -> str:
    """An id for a record that has none of its own: its file and its number."""
    return f"{path.stem}:{record.number}"


def shorten(value: Any) -> str:
    """A value as a message shows it, 40 characters at most."""
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."


def lookup(context: Context, path: Path, items: str, *, key: str, value: str) -> dict[str, str]:
    """One text by the name of each record in the list `items` of a JSON file; a wrong record is a
    problem."""
    found: dict[str, str] = {}
    for record in json_items(path, items):
        try:
            found[name(record, key)] = text(record, value)
        except WrongRow as error:
            context.problem(path, f"{record.unit} {record.number}", error)
    return found
