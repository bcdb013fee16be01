"""The rows of manifests of millions: where each line begins is held in memory, no line is."""

import codecs
import json
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from snpkit.data.rows import IndexedRows, VideoText, WrongRow, check_utf8, decode_line
from snpkit.data.video_ids import clip_numbers
from snpkit.errors import AnnotationError, UserError, explained
from snpkit.files import inside, open_regular

_BLOCK = 1 << 22  # bytes of a file that are looked at together
_SHORTEST_ROW = 28  # bytes: {"file_name":"a","text":"b"}
_SHORT_LINES = 1000  # so many shorter lines are looked at, whether they are blank
_SPLIT_KEY = re.compile(rb'"split"\s*:\s*"((?:[^"\\\n]|\\.)*)"')
_ROWS = 4096  # numbers of rows that are Python objects at a time
_FOLDERS = 100_000  # folders remembered as safe


class FileRows(IndexedRows):
    """The rows of one file, in its order; each is parsed when it is asked for.

    In memory are 8 bytes a row, and 4 more once splits are asked for. Each access opens the file.

    Args:
        path: the file, a JSON object a line, UTF-8; empty lines are passed over.
        root: folder that the rows' paths start from.
        split: of rows that name none (`VideoText.from_json`).

    Raises:
        UserError: the file cannot be read.
    """

    def __init__(self, path: Path, root: Path, split: str | None = None) -> None:
        self.path, self.root, self.default = path, root, split
        self._chosen: np.ndarray | None = None  # numbers of the rows of one split
        self._state: tuple[int, int] | None = None
        with self._open() as file:
            check_utf8(file, path)
            self._starts = _line_starts(file)
        self._check = PathCheck(root)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._starts) - 1 if self._chosen is None else len(self._chosen)

    def __getitem__(self, index: Any) -> Any:
        """The row of that number, or a list for a slice.

        Raises:
            UserError: the line is wrong (AnnotationError), or the file has changed since.
        """
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        number = self._number(index)
        with self._open(buffering=0) as file:
            return self._row(file, number)

    def __iter__(self) -> Iterator[VideoText]:
        """All rows, in their order; a wrong one is raised."""
        return self.read()

    def read(self, wrong: Callable[[WrongRow], None] | None = None) -> Iterator[VideoText]:
        """All rows, in order; `wrong` is told of each that is left out, None = it is raised."""
        every = np.arange(len(self)) if self._chosen is None else self._chosen
        with self._open() as file:
            for first in range(0, len(every), _ROWS):
                for number in every[first : first + _ROWS].tolist():
                    try:
                        yield self._row(file, number)
                    except WrongRow as error:
                        if wrong is None:
                            raise
                        wrong(error)

    def line(self, index: int) -> int:
        """The number of the line, from 1, at which a row stands."""
        with self._open() as file:
            return self._line(file, self._number(index))

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits, in alphabetical order."""
        names, codes = self._codes
        found = np.unique(codes if self._chosen is None else codes[self._chosen])
        return tuple(sorted(names[code] for code in found))

    def split(self, name: str) -> "FileRows":
        """The rows of one split."""
        names, codes = self._codes
        some = FileRows.__new__(FileRows)
        vars(some).update(vars(self))
        some._chosen = np.flatnonzero(codes == (names.index(name) if name in names else -1))
        return some

    def clip_count(self) -> int:
        """The number of distinct clips, which are videos or windows of them."""
        return int(clip_numbers(self).max(initial=-1)) + 1

    @cached_property
    def _codes(self) -> tuple[list[str], np.ndarray]:
        """The names of all splits, and of each row of the file the place of its own: int32 [rows].

        Lines that hold "split" not once, or more than one object, are parsed for it.
        """
        names: dict[str, int] = {}
        codes = np.empty(len(self._starts) - 1, np.int32)
        known: dict[bytes, int] = {}
        with self._open() as file:
            first = 0
            while first < len(codes):
                begin = self._starts[first]
                behind = int(np.searchsorted(self._starts, begin + _BLOCK, "right")) - 1
                behind = min(max(behind, first + 1), len(codes))
                file.seek(begin)
                block = file.read(self._starts[behind] - begin)
                found = [(match.start(), match[1]) for match in _SPLIT_KEY.finditer(block)]
                for value in {value for _, value in found} - known.keys():
                    known[value] = names.setdefault(_text(value), len(names))
                places = np.array([start for start, _ in found], np.int64) + begin
                rows = np.searchsorted(self._starts[first:behind], places, "right") - 1
                codes[first + rows] = [known[value] for _, value in found]
                once = np.bincount(rows, minlength=behind - first) == 1
                if block.count(b"{") != behind - first:  # an object in another
                    opened = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("{")) + begin
                    rows = np.searchsorted(self._starts[first:behind], opened, "right") - 1
                    once &= np.bincount(rows, minlength=behind - first) == 1
                for number in (np.flatnonzero(~once) + first).tolist():
                    split = self._row(file, number).split
                    codes[number] = names.setdefault(split, len(names))
                first = behind
        return list(names), codes

    def _number(self, index: int) -> int:
        place = range(len(self))[index]
        return place if self._chosen is None else int(self._chosen[place])

    def _row(self, file: IO[bytes], number: int) -> VideoText:
        start, end = self._starts[number : number + 2].tolist()
        file.seek(start)
        try:
            row = VideoText.from_json(decode_line(file.read(end - start)), number, self.default)
            self._check(row.video)
            return row
        except AnnotationError as error:
            place = f"{self.path}, line {self._line(file, number)}"
            raise WrongRow.at(place, error) from None

    def _line(self, file: IO[bytes], number: int) -> int:
        left, line = int(self._starts[number]), 1
        file.seek(0)
        while left:
            block = file.read(min(left, _BLOCK))
            line += block.count(b"\n")
            left -= len(block)
        return line

    def _open(self, buffering: int = 1 << 18) -> IO[bytes]:
        with explained(f"Cannot read {self.path}"):
            file = open_regular(self.path, "rb", buffering=buffering)
        found = os.fstat(file.fileno())
        state = found.st_size, found.st_mtime_ns
        if self._state not in (None, state):
            file.close()
            raise UserError(f"{self.path} has changed since it was opened; start again.")
        self._state = state
        return file


class JoinedRows(IndexedRows):
    """The rows of several data sets, one after the other.

    A row's "video" and "id" begin with the name of its data set, so that none is taken for one of
    another data set.

    Args:
        parts: the rows of each data set by its name.
    """

    def __init__(self, parts: dict[str, Sequence[VideoText]]) -> None:
        self.parts = {name: rows for name, rows in parts.items() if len(rows)}
        self._names = list(self.parts)
        self._starts = np.cumsum([0, *map(len, self.parts.values())]).tolist()

    def __len__(self) -> int:
        """The number of rows."""
        return self._starts[-1]

    def __getitem__(self, index: Any) -> Any:
        """The row of that number, or a list for a slice."""
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        index = range(len(self))[index]
        place = bisect_right(self._starts, index) - 1
        name = self._names[place]
        return _named(name, self.parts[name][index - self._starts[place]])

    def __iter__(self) -> Iterator[VideoText]:
        """All rows, in their order."""
        for name, rows in self.parts.items():
            yield from (_named(name, row) for row in rows)

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits of all data sets, in alphabetical order."""
        return tuple(sorted({split for rows in self.parts.values() for split in splits_of(rows)}))

    def split(self, name: str) -> "JoinedRows":
        """The rows of one split, of every data set that has it."""
        return JoinedRows({key: rows_of(rows, name) for key, rows in self.parts.items()})

    def clip_count(self) -> int:
        """The number of distinct clips, which are videos or windows of them."""
        return int(clip_numbers(self).max(initial=-1)) + 1


def splits_of(rows: Sequence[VideoText]) -> tuple[str, ...]:
    """The names of the splits, in alphabetical order."""
    indexed = isinstance(rows, IndexedRows)
    return tuple(sorted(rows.splits if indexed else {row.split for row in rows}))


def rows_of(rows: Sequence[VideoText], split: str) -> Sequence[VideoText]:
    """The rows of one split."""
    if isinstance(rows, IndexedRows):
        return rows.split(split)
    return [row for row in rows if row.split == split]


class PathCheck:
    """Proves that paths of rows stay below a root; each folder is followed once only.

    As `snpkit.files.inside`, which is slow on millions of rows.

    Args:
        root: folder that the paths start from.
    """

    def __init__(self, root: Path) -> None:
        self.root, self._prefix = root, os.path.join(root, "")
        self._known: set[str] = set()

    def __call__(self, path: str) -> None:
        """Raise WrongRow where a path leaves the root, also by a link, or can be none."""
        name = path.rpartition("/")[2]
        folder = path[: len(path) - len(name)]  # with its slash: "/a" is not in ""
        simple = name not in ("", ".", "..") and not set(name) & set("\\:\0")
        try:
            if simple and folder in self._known and not os.path.islink(self._prefix + path):
                return
            inside(self.root, path)
        except AnnotationError as error:
            raise WrongRow(str(error).rstrip("."), "path") from None
        except (OSError, RuntimeError, ValueError):  # loops of links, endless names
            raise WrongRow(f"{path[:80]!r} cannot be a path; mend it", "path") from None
        if len(self._known) < _FOLDERS:
            self._known.add(folder)


def _line_starts(file: IO[bytes]) -> np.ndarray:
    """Where the lines begin that are not blank, and behind them the end of the file: int64."""
    start = len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0
    file.seek(0)
    found, position = [np.array([start])], 0
    while block := file.read(_BLOCK):
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
        found.append(ends + (position + 1))
        position += len(block)
    starts = np.concatenate(found)
    lengths = np.diff(starts, append=position)
    keep = lengths > 2
    short = np.flatnonzero(keep & (lengths < _SHORTEST_ROW))
    for place in short[:_SHORT_LINES].tolist():
        file.seek(starts[place])
        keep[place] = bool(file.read(lengths[place]).strip())
    return np.append(starts[keep], position)


def _text(value: bytes) -> str:
    try:
        return json.loads(b'"' + value + b'"')
    except ValueError:
        return value.decode("utf-8", "replace")  # the row itself says what is wrong when it is read


def _named(name: str, row: VideoText) -> VideoText:
    return replace(row, id=f"{name}/{row.id}", video=f"{name}/{row.video}")
