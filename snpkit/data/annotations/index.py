"""Random access to the rows of a data set of millions, in little memory: an SQLite file.

    index = RowIndex.build("data/webvid", "data/webvid/.snpkit-index.sqlite")
    index.counts                      # {"train": 2500000, "validation": 5000}
    index.split("train")[1_234_567]   # a VideoText

The file is made once. A build that is stopped goes on where it was when it is called again; a
finished index whose annotation files have changed is made anew.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any, overload

from snpkit.data.annotations.layouts import Layout, detect
from snpkit.data.samples import IndexedRows, Manifest, VideoText
from snpkit.errors import AnnotationError, UserError

_FORMAT = 1
_BATCH = 20_000  # rows written at a time: what a stopped build loses at most
_SPLIT_BITS = 40  # the key of a row is split number << 40 | number in the split
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rows (key INTEGER PRIMARY KEY, id TEXT NOT NULL, video TEXT NOT NULL,
    caption TEXT NOT NULL, kind TEXT, start REAL, "end" REAL, extra TEXT);
"""


class RowIndex(IndexedRows):
    """The rows of an index file, one split after another; nothing is held in memory.

    It may be handed to other processes and threads: each opens the file for itself.

    Args:
        path: the finished index file.
        only: the split to show; None = all.

    Raises:
        UserError: no finished index file, or it has no such split.
    """

    def __init__(self, path: str | Path, only: str | None = None) -> None:
        self.path, self.only = Path(path), only
        self._local = threading.local()
        facts = _facts(self.path)
        if facts.get("format") != _FORMAT or not facts.get("finished"):
            raise UserError(f"{path} is no finished index of rows; build it anew.")
        self.root = Path(facts["root"])
        self.counts: dict[str, int] = facts["counts"]
        self.left_out: int = facts["left_out"]
        if only is not None and only not in self.counts:
            there = ", ".join(self.counts) or "none"
            raise UserError(f"{path} has no split {only!r}; it has: {there}.")

    @classmethod
    def build(
        cls,
        root: str | Path,
        path: str | Path,
        *,
        layout: str | Layout | None = None,
        skip_wrong: bool = False,
    ) -> "RowIndex":
        """Write the rows of a data set to an index file, or take the one that is there.

        Args:
            root: folder of the data set.
            path: the index file.
            layout: which data set, or its name if the folder holds several.
            skip_wrong: leave wrong rows out, counted in `left_out`, in place of raising.

        Raises:
            AnnotationError: a row is wrong.
            UserError: the file cannot be written, or another process is writing it.
        """
        path = Path(path)
        found = layout if isinstance(layout, Layout) else detect(root, layout)
        part = path.with_name(path.name + ".part")
        try:
            source = _source(found, skip_wrong)
            facts = _facts(path) if path.is_file() else {}
            if facts.get("source") == source and facts.get("finished"):
                return cls(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(part, found, source, skip_wrong)
            os.replace(part, path)
        except sqlite3.Error as error:
            raise UserError(f"Cannot write {part}: {error}.") from None
        except OSError as error:
            raise UserError(f"Cannot write {path}: {error.strerror or error}.") from None
        return cls(path)

    def split(self, name: str) -> "RowIndex":
        """The rows of one split.

        Raises:
            UserError: there is no such split.
        """
        return RowIndex(self.path, name)

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits that it shows."""
        return tuple(self.counts) if self.only is None else (self.only,)

    def clip_count(self) -> int:
        """The number of distinct clips, which are videos or windows of them."""
        query = """SELECT count(*) FROM
            (SELECT DISTINCT video, start, "end" FROM rows WHERE key >= ? AND key < ?)"""
        first = 0 if self.only is None else list(self.counts).index(self.only)
        behind = len(self.counts) if self.only is None else first + 1
        limits = (first << _SPLIT_BITS, behind << _SPLIT_BITS)
        return self._file.execute(query, limits).fetchone()[0]

    def manifest(self) -> Manifest:
        """The rows as a manifest, for `VideoTextDataset`."""
        return Manifest(self.root, self)

    def __len__(self) -> int:
        return sum(self.counts.values()) if self.only is None else self.counts[self.only]

    @overload
    def __getitem__(self, number: int) -> VideoText: ...
    @overload
    def __getitem__(self, number: slice) -> list[VideoText]: ...
    def __getitem__(self, number: int | slice) -> VideoText | list[VideoText]:
        """The row of that number, or a list for a slice."""
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        place = number + len(self) if number < 0 else number
        if not 0 <= place < len(self):
            raise IndexError(f"row {number} of {len(self)}")
        for code, (split, count) in enumerate(self.counts.items()):
            if self.only not in (None, split):
                continue
            if place < count:
                query = "SELECT * FROM rows WHERE key = ?"
                found = self._file.execute(query, (code << _SPLIT_BITS | place,)).fetchone()
                return _row(found, split)
            place -= count
        raise IndexError(f"row {number} of {len(self)}")

    def __iter__(self) -> Iterator[VideoText]:
        query = "SELECT * FROM rows WHERE key >= ? AND key < ? ORDER BY key"
        for code, split in enumerate(self.counts):
            if self.only in (None, split):
                limits = (code << _SPLIT_BITS, (code + 1) << _SPLIT_BITS)
                for found in self._file.execute(query, limits):
                    yield _row(found, split)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _local=threading.local())

    @property
    def _file(self) -> sqlite3.Connection:
        # A connection must not cross a fork, nor a thread.
        if getattr(self._local, "process", None) != os.getpid():
            self._local.file = _open(self.path)
            self._local.process = os.getpid()
        return self._local.file


def _write(part: Path, layout: Layout, source: str, skip_wrong: bool) -> None:
    """Write all rows to `part`, going on where an earlier call stopped."""
    with closing(_own(part)) as file:
        if _read_facts(file).get("source") != source:
            file.executescript("DROP TABLE IF EXISTS facts; DROP TABLE IF EXISTS rows;" + _TABLES)
        written = _read_facts(file)
        counts: dict[str, int] = written.get("counts", {})
        wrong: list[AnnotationError] = []
        rows = layout.rows(problems=wrong.append if skip_wrong else None)
        rows = islice(rows, sum(counts.values()), None)  # those that are written already
        codes = {split: code for code, split in enumerate(counts)}
        while batch := list(islice(rows, _BATCH)):
            values = []
            for row in batch:
                code = codes.setdefault(row.split, len(codes))
                number = counts.get(row.split, 0)
                counts[row.split] = number + 1
                values.append(_values(code << _SPLIT_BITS | number, row))
            with file:  # the rows and their number, both or none
                file.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
                _set_facts(file, source=source, counts=counts)
        root = str(layout.root.resolve())
        facts = {"format": _FORMAT, "root": root, "left_out": len(wrong), "counts": counts}
        with file:
            _set_facts(file, source=source, finished=True, **facts)


def _own(part: Path) -> sqlite3.Connection:
    """Open the unfinished index for this process alone, until it is closed."""
    file = sqlite3.connect(part, timeout=0)
    try:
        file.executescript("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;")
        return file
    except sqlite3.OperationalError as error:
        file.close()
        message = f"{part} cannot be written ({error}); is another process at it? Wait for it."
        raise UserError(message) from None
    except sqlite3.DatabaseError:  # no database, or a damaged one: of no use to anybody
        file.close()
        part.unlink()
        return _own(part)


def _values(key: int, row: VideoText) -> tuple:
    extra = json.dumps(row.extra) if row.extra else None
    kind = None if row.kind == "video" else row.kind
    return key, row.id, row.video, row.caption, kind, row.start, row.end, extra


def _row(found: tuple, split: str) -> VideoText:
    _, key, video, caption, kind, start, end, extra = found
    more = json.loads(extra) if extra else {}
    return VideoText(key, video, caption, split, kind or "video", start, end, more)


def _source(layout: Layout, skip_wrong: bool) -> str:
    """What an index is made of: it holds while the annotation files do not change."""
    states = ((str(path), path.stat()) for path in layout.files)
    facts = [[path, state.st_size, state.st_mtime_ns] for path, state in states]
    head = [_FORMAT, layout.name, str(layout.root.resolve()), skip_wrong]
    return json.dumps(list(chain(head, facts)))


def _open(path: Path) -> sqlite3.Connection:
    # Read only: nothing is made where no file is.
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, check_same_thread=False)


def _facts(path: Path) -> dict[str, Any]:
    """What an index file says of itself; {} if it is none."""
    try:
        with closing(_open(path)) as file:
            return _read_facts(file)
    except sqlite3.Error:
        return {}


def _read_facts(file: sqlite3.Connection) -> dict[str, Any]:
    try:
        return {name: json.loads(value) for name, value in file.execute("SELECT * FROM facts")}
    except (ValueError, sqlite3.Error):
        return {}


def _set_facts(file: sqlite3.Connection, **facts: Any) -> None:
    values = [(name, json.dumps(value)) for name, value in facts.items()]
    file.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", values)
