"""What the converters share: a folder's files, where its videos lie, and wrong rows."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from snpkit.data.manifest_rows import PathCheck
from snpkit.data.prepare.records import Record, records
from snpkit.data.rows import VideoText, WrongRow, split_named
from snpkit.errors import AnnotationError, UserError, explained
from snpkit.video.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES

Wrong = Callable[[WrongRow], None]
ANNOTATIONS = (".json", ".jsonl", ".csv", ".tsv", ".pkl", ".txt")
_MEDIA = VIDEO_SUFFIXES + IMAGE_SUFFIXES
_FOLDERS = 64  # so many folders are searched for videos at most
_ENTRIES = 20_000  # files looked at in each subfolder for annotations: those with more hold videos


class File(NamedTuple):
    """An annotation file: where it lies, and its path below the data set's folder."""

    path: Path
    below: str

    @property
    def name(self) -> str:
        """Its name in lower case, by which it is recognised."""
        return self.path.name.lower()

    @property
    def split(self) -> str | None:
        """What its name says, else its folder's: "train", "validation", "test"; None = nothing."""
        folder, _, base = self.below.rpartition("/")
        return split_named(base) or split_named(folder)


@dataclass(frozen=True)
class Reading:
    """A file, what finds its videos, and what is called with the error of each row left out."""

    locator: "Locator"
    file: File
    wrong: Wrong

    @property
    def split(self) -> str:
        """The split of the rows; "train" where the file's name says none."""
        return self.file.split or "train"

    def records(self, key: str | None = None, columns: tuple[str, ...] = ()) -> Iterator[Record]:
        """The file's records, as `records` says; those that cannot be read are reported."""
        record = None
        for record in records(self.file.path, key, columns):
            if isinstance(record.value, WrongRow):
                self.report(record, record.value)
            else:
                yield record
        if record is None:
            raise AnnotationError(f"{self.file.path} holds no row; is it the right file?")

    @contextmanager
    def row(self, record: Record) -> Iterator[None]:
        """Around what makes rows of a record: its error is reported, and the next one is read."""
        try:
            yield
        except AnnotationError as error:
            self.report(record, error)

    def up_to_damage(self, rows: Iterator[VideoText]) -> Iterator[VideoText]:
        """The file's rows up to where it cannot be read on, which is reported."""
        try:
            yield from rows
        except UserError as error:
            self.wrong(WrongRow(str(error), "damaged file", self.file.split or ""))

    def report(self, record: Record, error: AnnotationError) -> None:
        """Call `wrong` with a record's error, with file and place before it."""
        place = f"{self.file.path}, {record.unit} {record.number}"
        self.wrong(WrongRow.at(place, error, self.file.split or ""))

    def identity(self, record: Record) -> str:
        """An id for a record that has none of its own: its file and its number."""
        return f"{os.path.splitext(self.file.below)[0]}:{record.number}"

    def video(self, name: str, folder: str = "videos") -> str:
        """Path of the video of that name, with or without its suffix; `folder` if it is nowhere."""
        return self.locator.find(name, VIDEO_SUFFIXES, folder)

    def image(self, name: str, folder: str = "images") -> str:
        """Path of the image of that name, with or without its suffix."""
        return self.locator.find(name, IMAGE_SUFFIXES, folder)

    def lookup(self, items: str, *, key: str, value: str) -> dict[str, str]:
        """One text by the name of each record in the list `items` of the JSON file."""
        found: dict[str, str] = {}
        for record in self.records(items):
            with self.row(record):
                found[record.name(key)] = record.text(value)
        return found


def annotation_files(root: Path) -> list[File]:
    """The files in a folder and the folders directly below that may hold annotations.

    Raises:
        UserError: there is no such folder, or one cannot be read.
    """
    if not root.is_dir():
        raise UserError(f"{root} is no folder; name the folder that holds the data set.")
    found = []
    for folder in ("", *_subfolders(root, "")):
        with explained(f"Cannot read {root / folder}"):
            _, files = _entries(root / folder, _ENTRIES if folder else None)
        for base in files:
            path = root / folder / base
            if base.lower().endswith(ANNOTATIONS) and base[0] != "." and path.is_file():
                found.append(File(path, folder + base))
    return found


class Locator:
    """Finds videos and images by their names, below one folder.

    Looked for in the folder, its subfolders and theirs is first the name as it stands, then with
    any other suffix, then in any other case: data sets name what others have downloaded and
    converted since.

    Args:
        root: folder of the data set.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._inside = PathCheck(root)
        self._last = ""
        # Many captions in a row speak of the same video; thousands of folders may be listed.
        self.find = lru_cache(maxsize=1 << 16)(self._find)
        self._list = lru_cache(maxsize=256)(self._listed)

    def check(self, relative: str) -> str:
        """The path itself; WrongRow where it leaves the root, also by a link, or can be none."""
        self._inside(relative)
        return relative

    def first(self, candidates: tuple[str, ...]) -> str:
        """The first path that is a file, else the first one."""
        there = (path for path in candidates if os.path.isfile(self.root / self.check(path)))
        return next(there, candidates[0])

    def _find(self, name: str, suffixes: tuple[str, ...], folder: str) -> str:
        self.check(name)
        above, _, base = name.replace("\\", "/").rpartition("/")
        above += "/" if above else ""
        keys = [base, *_stems(base), base.lower(), *_stems(base.lower())]
        # A literal name anywhere counts more than another suffix in the place looked at first.
        for key in keys:
            for place in dict.fromkeys((self._last, *self._folders)):
                found = self._list(place + above, suffixes).get(key)
                if found is not None:
                    self._last = place
                    return self.check(place + above + found)
        named = base.lower().endswith(_MEDIA) or base.endswith(".")
        return self.check(f"{folder}/{above}{base}{'' if named else suffixes[0]}")

    def _listed(self, folder: str, suffixes: tuple[str, ...]) -> dict[str, str]:
        """The files of a folder by their names, by these without suffix, and both in lower case."""
        try:
            _, files = _entries(self.root / folder)
        except (OSError, ValueError):
            return {}
        found = {file: file for file in files}
        media = [file for file in files if file.lower().endswith(suffixes)]
        for change in (str, str.lower):
            for file in media:
                found.setdefault(change(os.path.splitext(file)[0]), file)
        for file in files:
            found.setdefault(file.lower(), file)
        return found

    @cached_property
    def _folders(self) -> list[str]:
        """The root, its subfolders and theirs, each with a slash behind it."""
        first = _subfolders(self.root, "")[:_FOLDERS]
        second = (below for folder in first for below in _subfolders(self.root, folder))
        return ["", *first, *islice(second, _FOLDERS - len(first))]


def _stems(name: str) -> list[str]:
    """The name without its last dot or its suffix, where that is one of a video or an image."""
    stem, suffix = os.path.splitext(name)
    return [stem] if suffix == "." or suffix.lower() in _MEDIA else []


def _subfolders(root: Path, folder: str) -> list[str]:
    try:
        names, _ = _entries(root / folder, _ENTRIES)
    except OSError:
        return []
    return [f"{folder}{name}/" for name in names if not name.startswith(".")]


def _entries(folder: Path, most: int | None = None) -> tuple[list[str], list[str]]:
    """The names of the folders and of the files in a folder, each in order."""
    folders, files = [], []
    with os.scandir(folder) as entries:
        for entry in islice(entries, most):
            # `entry.is_dir` fails at a link that leads round in a circle.
            linked = entry.is_symlink() and os.path.isdir(entry.path)
            below = linked or entry.is_dir(follow_symlinks=False)
            (folders if below else files).append(entry.name)
    return sorted(folders), sorted(files)
