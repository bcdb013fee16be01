"""One row of a manifest: a video, or a window of it, and a sentence about it."""

import codecs
import json
import math
import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

from snpkit.errors import AnnotationError
from snpkit.text import is_empty
from snpkit.video.suffixes import is_image_name

_KINDS = ("video", "image")
_FIELDS = ("id", "video", "caption", "split", "kind", "start", "end")
# The names of splits on the Hugging Face hub, as words of a file's or folder's name.
SPLITS = {
    "train": "train|training|trn",
    "validation": "val|valid|validate|validation|dev|development",
    "test": "test|testing|tst|eval|evaluation",
}
_SPLIT = re.compile(
    "(?<![a-z])(?:" + "|".join(f"(?P<{k}>{names})" for k, names in SPLITS.items()) + ")(?![a-z])"
)


# How files begin that are no UTF-8 text -> what they are, and what to do first
_OTHER_FILES = {
    (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zX", b"\x28\xb5\x2f\xfd"): "compressed; unpack it",
    (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"[\0", b"{\0"): "UTF-16; open it in an editor",
}


class WrongRow(AnnotationError):
    """A row that cannot be used; those behind it can.

    Attributes:
        trap: what is wrong, in a word that `snpkit verify` counts by.
        split: where it stands, as far as that is known.
    """

    def __init__(self, message: str, trap: str = "wrong row", split: str = "") -> None:
        super().__init__(message)
        self.trap, self.split = trap, split

    @classmethod
    def at(cls, place: str, error: AnnotationError, split: str = "") -> "WrongRow":
        """The error of a row that stands at `place`, as a whole sentence."""
        sentence = f"{place}: {error}"
        sentence += "" if sentence.endswith((".", "?")) else "."
        return cls(sentence, getattr(error, "trap", "wrong row"), split)


@dataclass(frozen=True)
class VideoText:
    """One video, or a window of it, and one sentence about it.

    Attributes:
        id: unique in its manifest.
        video: path of the file, relative to the manifest's root, with forward slashes.
        caption: the sentence.
        split: the part of the data set that it belongs to, such as "train".
        kind: "video" or "image".
        start: begin of the window in seconds; None is the begin of the video.
        end: end of the window in seconds; None is the end of the video.
        extra: whatever else is known, as JSON values.

    Raises:
        AnnotationError: a field holds what it must not; one sentence that names the field.
    """

    id: str
    video: str
    caption: str
    split: str
    kind: str = "video"
    start: float | None = None
    end: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("id", "video", "caption", "split"):
            check_text(name, getattr(self, name))
        if self.kind not in _KINDS:
            raise AnnotationError(f'"kind" is {shorten(self.kind)}; it must be "video" or "image"')
        for name in ("start", "end"):
            _check_seconds(name, getattr(self, name))
        if self.end is not None and self.end <= (self.start or 0):
            raise AnnotationError(f'"end" is {self.end:g}; it must come after "start"')
        options = self.extra.get("options")  # of multiple choice; what else there is stays as it is
        for place, option in enumerate(options if isinstance(options, list) else ()):
            if isinstance(option, str):
                check_text(f"options[{place}]", option, "options")
        taken = sorted(set(_FIELDS) & set(self.extra))
        if taken:
            raise AnnotationError(f'"extra" holds {taken[0]!r}, which is the name of a field')

    @classmethod
    def from_json(cls, row: Any, number: int = 0, split: str | None = None) -> "VideoText":
        """Make a row of a decoded JSON object; unknown keys go into `extra`.

        A row of Hugging Face's metadata.jsonl, which has "file_name" in place of "video", needs
        neither "id" nor "split", and may call its sentence "text".

        Args:
            number: of the row in its file, for the id of a row of metadata.jsonl.
            split: of such a row where neither it nor its "file_name" names one; None = "train".

        Raises:
            AnnotationError: a field is missing or holds what it must not.
        """
        if not isinstance(row, dict):
            raise AnnotationError(f"the line is {shorten(row)}; it must be a JSON object")
        if "file_name" in row and "video" not in row:
            row = _from_metadata(row, number, split)
        for name in ("id", "video", "caption", "split"):
            if name not in row:
                raise AnnotationError(
                    f'"{name}" is missing; of a data set\'s own files `snpkit prepare` makes a '
                    "manifest"
                )
        known = {name: row[name] for name in _FIELDS if name in row}
        return cls(**known, extra={name: row[name] for name in row if name not in _FIELDS})

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON object; what has its default value is left out."""
        row = {"id": self.id, "video": self.video, "caption": self.caption, "split": self.split}
        if self.kind != "video":
            row["kind"] = self.kind
        row |= {k: v for k, v in (("start", self.start), ("end", self.end)) if v is not None}
        return row | self.extra


class IndexedRows(Sequence[VideoText]):
    """Rows that are read when they are asked for: a data set may exceed the memory."""

    @property
    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""

    @abstractmethod
    def split(self, name: str) -> "IndexedRows":
        """The rows of one of the splits."""

    @abstractmethod
    def clip_count(self) -> int:
        """The number of distinct clips, which are videos or windows of them."""


def encode_row(row: VideoText, *, metadata: bool = False) -> str:
    """A row as a line of a manifest, or of Hugging Face's metadata.jsonl.

    Raises:
        TypeError, ValueError: "extra" holds what JSON cannot.
    """
    values = row.to_json()
    if metadata:
        values = {"file_name": values.pop("video")} | values
    line = json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"
    line.encode("utf-8")  # a lone surrogate is an error here and not half-way through the file
    return line


def decode_line(line: bytes) -> Any:
    """The JSON value of a line.

    Raises:
        AnnotationError: it is no JSON; NaN and Infinity are none.
    """
    try:
        return _DECODER.decode(line.decode().strip())
    except UnicodeDecodeError:
        raise AnnotationError("the line is not UTF-8 text; is it the right file?") from None
    except json.JSONDecodeError as error:
        raise AnnotationError(f"the line is not JSON ({error.msg}, column {error.colno})") from None
    except AnnotationError:
        raise
    except (RecursionError, ValueError):
        raise AnnotationError("the line is JSON of absurd depth or length") from None


def _refuse(constant: str) -> NoReturn:
    raise AnnotationError(f"the line holds {constant}, which is no finite number; write null")


def _finite(number: str) -> float:
    return value if math.isfinite(value := float(number)) else _refuse(number[:40])


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def check_utf8(file: IO[bytes], path: Path) -> None:
    """Refuse a file that is compressed or UTF-16, as its first bytes say; read from its start.

    Raises:
        AnnotationError: it is one; says which.
    """
    head = file.read(4)
    file.seek(0)
    for marks, what in _OTHER_FILES.items():
        if head.startswith(marks):
            raise AnnotationError(f"{path} is {what} and save it as UTF-8 text.")


def split_named(name: str) -> str | None:
    """ "train", "validation" or "test", if a word of the name says so, such as "val" or "dev"."""
    found = _SPLIT.search(name.lower())
    return found.lastgroup if found else None


def shorten(value: Any) -> str:
    """A value as a message shows it, 40 characters at most."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _from_metadata(row: dict[str, Any], number: int, split: str | None) -> dict[str, Any]:
    name = row["file_name"]
    check_text("file_name", name)
    folder = name.rpartition("/")[0]
    made = {key: value for key, value in row.items() if key not in ("file_name", "text")}
    if "text" in row:
        made.setdefault("caption", row["text"])
    made["video"] = name
    made.setdefault("split", split_named(folder) or split or "train")
    made.setdefault("id", f"{made['split']}:{number}")
    if is_image_name(name):
        made.setdefault("kind", "image")
    return made


def check_text(name: str, value: Any, trap: str | None = None) -> None:
    """Raise AnnotationError, which names the field, where a value is no text or shows nothing."""
    if not isinstance(value, str):
        raise AnnotationError(f'"{name}" is {shorten(value)}; it must be text')
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise AnnotationError(f'"{name}" holds half a character (a lone surrogate)') from None
    if is_empty(value):
        trap = trap or f"empty {name}"
        raise WrongRow(f'"{name}" is empty; write one or take the row out', trap)


def _check_seconds(name: str, value: Any) -> None:
    if value is None:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise AnnotationError(f'"{name}" is {shorten(value)}; it must be seconds, 0 or more')
