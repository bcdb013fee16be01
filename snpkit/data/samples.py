"""The one annotation format of snpkit: a manifest, JSON lines beside the videos it names.

    {"id": "kite-1", "video": "videos/kite.mp4", "caption": "a red kite falls", "split": "train"}

Optional: "kind" ("video" or "image") and the window "start", "end" in seconds. Whatever else a line
holds is kept in `VideoText.extra`.
"""

import json
import math
import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import snpkit
from snpkit.errors import AnnotationError, UserError
from snpkit.files import inside, open_regular, write_text
from snpkit.text import is_empty

_KINDS = ("video", "image")
_FIELDS = ("id", "video", "caption", "split", "kind", "start", "end")


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
            _check_text(name, getattr(self, name))
        if self.kind not in _KINDS:
            raise AnnotationError(f'"kind" is {_show(self.kind)}; it must be "video" or "image"')
        for name in ("start", "end"):
            _check_seconds(name, getattr(self, name))
        if self.end is not None and self.end <= (self.start or 0):
            raise AnnotationError(f'"end" is {self.end:g}; it must come after "start"')
        options = self.extra.get("options")  # of multiple choice; what else there is stays as it is
        for place, option in enumerate(options if isinstance(options, list) else ()):
            if isinstance(option, str):
                _check_text(f"options[{place}]", option)
        taken = sorted(set(_FIELDS) & set(self.extra))
        if taken:
            raise AnnotationError(f'"extra" holds {taken[0]!r}, which is the name of a field')

    @classmethod
    def from_json(cls, row: Any) -> "VideoText":
        """Make a row of a decoded JSON object; unknown keys go into `extra`.

        Raises:
            AnnotationError: a field is missing or holds what it must not.
        """
        if not isinstance(row, dict):
            raise AnnotationError(f"the line is {_show(row)}; it must be a JSON object")
        for name in ("id", "video", "caption", "split"):
            if name not in row:
                raise AnnotationError(f'"{name}" is missing')
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


@dataclass(frozen=True)
class Manifest:
    """Rows and the folder that their paths start from."""

    root: Path
    rows: Sequence[VideoText]

    @classmethod
    def load(cls, path: str | Path, *, root: str | Path | None = None) -> "Manifest":
        """Read a manifest.

        Args:
            path: the .jsonl file, UTF-8; empty lines are passed over.
            root: folder that the rows' paths start from; None is the manifest's own folder.

        Raises:
            AnnotationError: a line is wrong, or leads out of `root`; names file, line and field.
            UserError: the file cannot be read or holds no row.
        """
        path = Path(path)
        root = path.parent if root is None else Path(root)
        rows, lines, folders = [], {}, set()
        for number, line in _numbered_lines(path):
            try:
                row = VideoText.from_json(_decode(line))
                _check_path(root, row.video, folders)
                if row.id in lines:
                    first = lines[row.id]
                    raise AnnotationError(f'"id" is {_show(row.id)}, as in line {first} already')
            except AnnotationError as error:
                problem = str(error).rstrip(".")
                raise AnnotationError(f"{path}, line {number}: {problem}.") from None
            lines[row.id] = number
            rows.append(row)
        if not rows:
            raise AnnotationError(f"{path} is empty; it needs one JSON object a line.")
        return cls(root, rows)

    def save(self, path: str | Path) -> None:
        """Write the manifest, whole or not at all; `root` is not written.

        Raises:
            UserError: the file cannot be written, or "extra" holds what JSON cannot.
        """
        try:
            lines = [_encode(row.to_json()) for row in self.rows]
        except (TypeError, ValueError) as error:
            raise UserError(f'{path}: "extra" must hold JSON values only ({error}).') from None
        write_text(path, "".join(lines))

    def split(self, name: str) -> "Manifest":
        """The rows of one split.

        Raises:
            UserError: there is no such split; names those that there are.
        """
        if name not in self.splits:
            there = ", ".join(self.splits) or "none"
            raise UserError(f"The manifest of {self.root} has no split {name!r}; it has: {there}.")
        if isinstance(self.rows, IndexedRows):
            return Manifest(self.root, self.rows.split(name))
        return Manifest(self.root, [row for row in self.rows if row.split == name])

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits, in alphabetical order."""
        indexed = isinstance(self.rows, IndexedRows)
        names = self.rows.splits if indexed else {row.split for row in self.rows}
        return tuple(sorted(names))

    def path_of(self, row: VideoText) -> Path:
        """Where the file of a row lies.

        Raises:
            AnnotationError: the path leads out of the root.
        """
        return inside(self.root, row.video)


def samples_folder() -> Path:
    """The folder of sample clips: `data_samples` of a checkout, else what SNPKIT_SAMPLES names.

    Raises:
        UserError: neither is there.
    """
    beside = Path(snpkit.__file__).resolve().parent.parent / "data_samples"
    if beside.is_dir():
        return beside
    named = os.environ.get("SNPKIT_SAMPLES")
    if named and Path(named).is_dir():
        return Path(named)
    raise UserError(
        "The sample clips are not there; "
        "set SNPKIT_SAMPLES to the data_samples folder of a checkout of the repository."
    )


def sample_manifest() -> Manifest:
    """The manifest of the sample clips."""
    return Manifest.load(samples_folder() / "manifest.jsonl")


def _numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with open_regular(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; is it the right file?") from None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None


def _check_path(root: Path, video: str, folders: set[str]) -> None:
    """As `inside`, which is slow on millions of rows: each folder is followed once only."""
    name = video.rpartition("/")[2]
    folder = video[: len(video) - len(name)]  # with its slash: "/a" is not in ""
    known = folder in folders and name not in ("", ".", "..") and not set(name) & set("\\:\0")
    if not known or os.path.islink(root / video):
        inside(root, video)
        folders.add(folder)


def _encode(row: dict[str, Any]) -> str:
    line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
    line.encode("utf-8")  # a lone surrogate is an error here and not half-way through the file
    return line


def _decode(line: str) -> Any:
    def refuse(constant: str) -> None:
        raise AnnotationError(f"the line holds {constant}, which is not JSON")

    try:
        return json.loads(line, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise AnnotationError(f"the line is not JSON ({error.msg}, column {error.colno})") from None
    except (RecursionError, ValueError):
        raise AnnotationError("the line is JSON of absurd depth or length") from None


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise AnnotationError(f'"{name}" is {_show(value)}; it must be text')
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise AnnotationError(f'"{name}" holds half a character (a lone surrogate)') from None
    if is_empty(value):
        raise AnnotationError(f'"{name}" is empty; write one or take the line out')


def _check_seconds(name: str, value: Any) -> None:
    if value is None:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise AnnotationError(f'"{name}" is {_show(value)}; it must be seconds, 0 or more')


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
