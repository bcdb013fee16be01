"""Shards: a data set in tar files of a thousand clips each, as WebDataset lays them out.

    shards.json               what there is, and the clips that could not be read
    train-video-000000.tar    000000000.mp4  000000000.json  000000001.mp4  ...
    train-video-000000.jsonl  where each clip lies in the tar, and its captions

A network disk gives a few large files faster than millions of small ones. The .json beside a clip
holds its rows (see `VideoText`), so that any reader of WebDataset finds all in the tar; we read by
the table of contents, which allows an exact position. `snpkit shard` writes them.
"""

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
from pathlib import Path
from typing import Any

from snpkit.data.samples import IndexedRows, Manifest, VideoText
from snpkit.errors import AnnotationError, UserError, VideoError
from snpkit.files import inside, open_regular, read_json

INDEX = "shards.json"
VERSION = 1
CLIP_SUFFIXES = ("mp4", "jpg", "png")  # beside them only .json: nothing that a reader would run
_SHARD_NAME = re.compile(r"[A-Za-z0-9_-]+-(video|image)-\d{6,}", re.ASCII)
_CLIP_NAME = re.compile(rf"\d{{9,}}\.({'|'.join(CLIP_SUFFIXES)})", re.ASCII)
_SHARD_FIELDS = ("name", "split", "kind", "files", "clips", "rows")
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
    """

    folder: Path
    name: str
    split: str
    kind: str
    files: int
    clips: int
    rows: int

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
    """Where the bytes of a clip are: file `name` in the tar, from `offset` on, so many `bytes`."""

    tar: Path
    name: str
    offset: int
    bytes: int

    def read(self) -> bytes:
        """The bytes of the clip.

        Raises:
            VideoError: the tar is missing, cut short or another one than the table is about.
        """
        try:
            with open_regular(self.tar, "rb") as file:
                file.seek(self.offset - tarfile.BLOCKSIZE)
                header = tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "replace")
                content = file.read(self.bytes)
        except (tarfile.HeaderError, OSError):
            header, content = None, b""
        if header is None or (header.name, header.size) != (self.name, len(content)):
            raise VideoError(
                f"{self.tar} is damaged or incomplete at {self.name}; write the shards again."
            )
        return content

    @contextmanager
    def as_file(self) -> Iterator[Path]:
        """The clip as a file, for a while: decoders want paths.

        Raises:
            VideoError: as `read`; one that is raised meanwhile names the shard.
        """
        content = self.read()
        descriptor, path = tempfile.mkstemp(suffix=f"-{self.name}", prefix="snpkit-")
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            yield Path(path)
        except VideoError as error:
            shown = str(error).replace(path, f"{self.name} in {self.tar}")
            raise VideoError(shown) from None
        finally:
            with suppress(OSError):  # Windows keeps a file that a decoder still holds open
                os.unlink(path)


class ShardRows(IndexedRows):
    """The rows of shards, one shard after the other; read when they are asked for.

    Attributes:
        shards: those that hold a row.
    """

    def __init__(self, shards: Iterable[Shard]) -> None:
        self.shards = tuple(shard for shard in shards if shard.rows)
        self._starts = [0]
        for shard in self.shards:
            self._starts.append(self._starts[-1] + shard.rows)
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

    def ranges(self, kind: str) -> list[range]:
        """The rows of each shard of a kind."""
        spans = zip(self.shards, self._starts, self._starts[1:], strict=False)
        return [range(start, stop) for shard, start, stop in spans if shard.kind == kind]

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
    shards = [shard for folder in folders for shard in _read_index(Path(folder))]
    rows = ShardRows(shards)
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


def _shard(folder: Path, entry: dict[str, Any]) -> Shard:
    shard = Shard(folder, **{key: entry[key] for key in _SHARD_FIELDS})
    counts = (shard.files, shard.clips, shard.rows)
    texts = (shard.name, shard.split, shard.kind)
    right = all(type(count) is int and count >= 0 for count in counts)
    if not (right and all(isinstance(text, str) for text in texts) and is_shard_name(shard.name)):
        raise KeyError
    return shard


def is_shard_name(name: str) -> bool:
    """Whether a shard may have this name: nothing that leads out of a folder."""
    return bool(_SHARD_NAME.fullmatch(name))


def read_table(shard: Shard) -> list[tuple[VideoText, Member]]:
    """All rows of a shard with their clips.

    Raises:
        UserError: the table is missing.
        AnnotationError: a line is wrong, or rows are missing; names file and line.
    """
    entries, files = [], 0
    for number, line in enumerate(table_lines(shard.table), start=1):
        if number == 1:
            continue  # how the shard was made
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


def table_lines(path: Path) -> list[str]:
    """The lines of a table of contents, the first one about the shard itself.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with open_regular(path, encoding="utf-8", newline="") as file:
            return file.read().splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; write the shards again.") from None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None


def _clip_rows(shard: Shard, entry: dict[str, Any]) -> list[tuple[VideoText, Member]]:
    name, offset, size = entry["file"], entry["offset"], entry["bytes"]
    if not (isinstance(name, str) and _CLIP_NAME.fullmatch(name)):
        raise AnnotationError(f'"file" is {str(name)[:40]!r}; it must be such as 000000000.mp4')
    if not (type(offset) is type(size) is int and offset >= tarfile.BLOCKSIZE and size >= 0):
        raise AnnotationError('"offset" or "bytes" is no place in a tar file')
    if offset + size > shard.tar.stat().st_size:
        raise AnnotationError('"offset" and "bytes" lie beyond the end of the tar file')
    member = Member(shard.tar, name, offset, size)
    rows = [VideoText.from_json(row) for row in entry["rows"]]
    if any((row.split, row.kind) != (shard.split, shard.kind) for row in rows):
        raise AnnotationError(f"a row is not of {shard.split} or no {shard.kind}")
    return [(row, member) for row in rows]
