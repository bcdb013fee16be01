"""Shards: a data set in tar files of a thousand clips each, as WebDataset lays them out.

    shards.json               what there is, and the clips that could not be read
    train-video-000000.tar    000000000.mp4  000000000.json  000000001.mp4  ...
    train-video-000000.jsonl  where each clip lies in the tar, and its captions

A network disk gives a few large files faster than millions of small ones. The .json beside a clip
holds its rows (see `VideoText`), so that any reader of WebDataset finds all in the tar; we read by
the table of contents, which allows an exact position. `snpkit shard` writes them.
"""

import io
import json
import os
import re
import tarfile
import tempfile
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

from snpkit.data.samples import IndexedRows, Manifest, VideoText
from snpkit.errors import AnnotationError, UserError, VideoError
from snpkit.files import inside, open_regular, read_json, read_text

INDEX = "shards.json"
VERSION = 1
CLIP_SUFFIXES = ("mp4", "jpg", "png")  # beside them only .json: nothing that a reader would run
_SHARD_NAME = re.compile(r"[A-Za-z0-9_-]+-(video|image)-\d{6,}", re.ASCII)
_CLIP_NAME = re.compile(rf"\d{{9,}}\.({'|'.join(CLIP_SUFFIXES)})", re.ASCII)
_TEXTS, _COUNTS = ("name", "split", "kind"), ("files", "clips", "rows", "bytes")
_MOST_BYTES = 2 << 30  # of a table, and of a clip: what a process that packs one may hold
_OPEN_TABLES = 8  # tables of contents in memory: more than the shards that are mixed at a time
_LOOKING = threading.Lock()  # threads may read side by side


@dataclass(frozen=True)
class Shard:
    """One tar file.

    Attributes:
        folder: where it lies.
        name: of the file, without its suffix.
        split: of all its rows.
        kind: "video" or "image", of all its rows.
        files: how many it holds, .json not counted.
        clips: how many distinct ones that is, windows of a file counted each.
        rows: how many captions they have together.
        bytes: the length of the tar.
    """

    folder: Path
    name: str
    split: str
    kind: str
    files: int
    clips: int
    rows: int
    bytes: int = 0

    @property
    def tar(self) -> Path:
        """The shard itself."""
        return inside(self.folder, f"{self.name}.tar")

    @property
    def table(self) -> Path:
        """Its table of contents."""
        return inside(self.folder, f"{self.name}.jsonl")


@dataclass(frozen=True)
class Member:
    """Where the clip of a video is: file `name` in the tar, from `offset` on, so many `bytes`."""

    tar: Path
    name: str
    offset: int
    bytes: int
    video: str

    def read(self) -> bytes:
        """The bytes of the clip; raises as `as_file`."""
        content = io.BytesIO()
        self._copy(content)
        return content.getvalue()

    @contextmanager
    def as_file(self) -> Iterator[Path]:
        """The clip as a file, for a while: decoders want paths.

        Raises:
            VideoError: the tar is missing, cut short or another one than the table is about; names
                the video. One that is raised meanwhile names the shard.
        """
        descriptor, path = tempfile.mkstemp(suffix=f"-{self.name}", prefix="snpkit-")
        try:
            with open(descriptor, "wb") as file:
                self._copy(file)
            yield Path(path)
        except VideoError as error:
            shown = str(error).replace(path, f"{self.name} in {self.tar}")
            raise type(error)(shown) from None
        finally:
            with suppress(OSError):  # Windows keeps a file that a decoder still holds open
                os.unlink(path)

    def _copy(self, target: IO[bytes]) -> None:
        damaged = VideoError(
            f"{self.video} cannot be read: {self.tar} is damaged or incomplete at {self.name}; "
            "write the shards again."
        )
        try:
            with open_regular(self.tar, "rb") as file:
                file.seek(self.offset - tarfile.BLOCKSIZE)
                header = tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "replace")
                there = os.fstat(file.fileno()).st_size - self.offset
                if (header.name, header.size) != (self.name, self.bytes) or there < self.bytes:
                    raise damaged
                for left in range(self.bytes, 0, -(1 << 20)):
                    target.write(file.read(min(left, 1 << 20)))
        except (tarfile.HeaderError, OSError, OverflowError):
            raise damaged from None


class ShardRows(IndexedRows):
    """The rows of shards, one shard after the other; read when they are asked for.

    Attributes:
        shards: those that hold a row.
    """

    def __init__(self, shards: Iterable[Shard]) -> None:
        self.shards = tuple(shard for shard in shards if shard.rows)
        self._starts = list(accumulate((shard.rows for shard in self.shards), initial=0))
        self._tables: OrderedDict[int, list[tuple[VideoText, Member]]] = OrderedDict()

    def __len__(self) -> int:
        """The number of rows."""
        return self._starts[-1]

    def __getitem__(self, index: Any) -> Any:
        """The row of that number, or a list for a slice.

        A row's `video` names the file that the shard was made of.

        Raises:
            UserError, AnnotationError: the table of contents is missing or wrong.
        """
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        return self._entry(index)[0]

    def __iter__(self) -> Iterator[VideoText]:
        """All rows, in their order."""
        for shard in self.shards:
            yield from (row for row, _ in read_table(shard))

    def member(self, index: int) -> Member:
        """Where the clip of a row is."""
        return self._entry(index)[1]

    def spans(self) -> list[tuple[Shard, range]]:
        """Each shard with the numbers of its rows."""
        return list(zip(self.shards, map(range, self._starts, self._starts[1:]), strict=True))

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits, in alphabetical order."""
        return tuple(sorted({shard.split for shard in self.shards}))

    def split(self, name: str) -> "ShardRows":
        """The rows of one split."""
        return ShardRows(shard for shard in self.shards if shard.split == name)

    def clip_count(self) -> int:
        """The number of distinct clips, which are files or windows of them."""
        return sum(shard.clips for shard in self.shards)

    def __getstate__(self) -> dict[str, Any]:
        # Worker processes read their own tables.
        return self.__dict__ | {"_tables": OrderedDict()}

    def _entry(self, index: int) -> tuple[VideoText, Member]:
        index = range(len(self))[index]
        place = bisect_right(self._starts, index) - 1
        with _LOOKING:
            if place not in self._tables:
                self._tables[place] = read_table(self.shards[place])
                if len(self._tables) > _OPEN_TABLES:
                    self._tables.popitem(last=False)
            self._tables.move_to_end(place)
            return self._tables[place][index - self._starts[place]]


def is_sharded(folder: str | Path) -> bool:
    """Whether a folder holds finished shards."""
    return (Path(folder) / INDEX).is_file()


def open_shards(*folders: str | Path) -> Manifest:
    """The rows of the shards in one or several folders.

    Returns:
        A manifest whose rows are `ShardRows`; its root is the first folder.

    Raises:
        UserError: a folder has no finished shards, or its index holds what it must not.
    """
    rows = ShardRows(shard for folder in folders for shard in _read_index(Path(folder)))
    if not rows:
        raise UserError(f"There is no clip in the shards of {', '.join(map(str, folders))}.")
    return Manifest(Path(folders[0]), rows)


def _read_index(folder: Path) -> list[Shard]:
    path = folder / INDEX
    if not path.exists():
        raise UserError(
            f"{folder} holds no finished shards; run `snpkit shard` (again) to write them."
        )
    index = read_json(path)
    try:
        if index["format"] != "snpkit shards" or index["version"] != VERSION:
            raise KeyError
        return [_shard(folder, entry) for entry in index["shards"]]
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is not the index of snpkit's shards; write them again.") from None
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
        raise UserError(f"A shard of {path} cannot be read ({reason}); write it again.") from None


def _shard(folder: Path, entry: dict[str, Any]) -> Shard:
    texts, counts = ([entry[key] for key in keys] for keys in (_TEXTS, _COUNTS))
    right = all(type(text) is str for text in texts) and all(type(n) is int for n in counts)
    if not right or not _SHARD_NAME.fullmatch(texts[0]) or texts[2] not in ("video", "image"):
        raise KeyError
    shard = Shard(folder, *texts, *counts)
    # Every row takes more than a byte of the table, which tells impossible numbers of rows.
    most = shard.table.stat().st_size if shard.rows else 0
    least = min(shard.rows, 1)
    if not least <= shard.files <= shard.clips <= shard.rows <= most:
        raise KeyError
    return shard


def read_table(shard: Shard) -> list[tuple[VideoText, Member]]:
    """All rows of a shard with their clips.

    Raises:
        UserError: the table is missing.
        AnnotationError: a line is wrong, or rows are missing; names file and line.
    """
    entries, files = [], 0
    lines = read_text(shard.table, most_bytes=_MOST_BYTES).rstrip("\n").split("\n")
    for number, line in enumerate(lines[1:], start=2):  # the first tells how the shard was made
        try:
            entries += _clip_rows(shard, json.loads(line))
            files += 1
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            said = str(error) if isinstance(error, AnnotationError) else "the line is no clip"
            sentence = f"{shard.table}, line {number}: {said.rstrip('.')}; write the shards again."
            raise AnnotationError(sentence) from None
    if (files, len(entries)) != (shard.files, shard.rows):
        raise AnnotationError(
            f"{shard.table} has {len(entries)} rows of {files} files, but {INDEX} says {shard.rows}"
            f" of {shard.files}; write the shards again."
        )
    return entries


def _clip_rows(shard: Shard, entry: dict[str, Any]) -> list[tuple[VideoText, Member]]:
    name, offset, size = entry["file"], entry["offset"], entry["bytes"]
    if not (isinstance(name, str) and _CLIP_NAME.fullmatch(name)):
        raise AnnotationError(f'"file" is {str(name)[:40]!r}; it must be such as 000000000.mp4')
    if not (type(offset) is type(size) is int and offset >= tarfile.BLOCKSIZE and size >= 0):
        raise AnnotationError('"offset" or "bytes" is no place in a tar file')
    if offset + size > shard.bytes:
        raise AnnotationError('"offset" and "bytes" lie beyond the end of the tar file')
    if size > _MOST_BYTES:
        raise AnnotationError(f'"bytes" is {size:,}, more than a clip may have ({_MOST_BYTES:,})')
    rows = [VideoText.from_json(row) for row in entry["rows"]]
    if any((row.split, row.kind) != (shard.split, shard.kind) for row in rows):
        raise AnnotationError(f"a row is not of {shard.split} or no {shard.kind}")
    return [(row, Member(shard.tar, name, offset, size, row.video)) for row in rows]
