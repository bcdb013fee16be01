"""The index of a folder of videos: each file is encoded once, as long as it is the same.

    INDEX/<model>/<folder>.json                   what each file was when it was last looked at
    INDEX/<model>/<folder>.<digest>.safetensors   the vectors of the files' contents

A file of the same size and time of change is not opened; of another one a digest of its content
tells whether its vectors are known. Who writes holds a lock and takes up what others wrote
meanwhile; the vectors are there before the JSON names them. What is damaged is made again; nothing
is unpickled.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from snpkit import __version__
from snpkit.errors import PassingError, UserError, VideoError, explained
from snpkit.evaluation.encoding import Frames
from snpkit.files import atomic_path, locked_folder, open_regular, write_text

Vectors = tuple[Tensor, Tensor]  # of one video: clip features and clip tokens, [clips, hidden] each
_NAMES = ("clip_features", "clip_tokens")
_FORMAT = 2  # to be raised when the same weights give other vectors of the same file
_IRRELEVANT = ("transformers_version", "_name_or_path", "architectures", "dtype")  # of a config
_WHOLE = 64 << 20  # bytes; of a larger file two pieces are hashed
_SETTLED = 2_000_000_000  # ns; what changed later may change again within one tick of a clock
_DAMAGE = (OSError, ValueError, TypeError, LookupError, RecursionError, MemoryError,
           SafetensorError)  # fmt: skip
_READERS = f"snpkit {__version__}, av {version('av')}, pillow {version('pillow')}"
_log = logging.getLogger(__name__)


class Seen(NamedTuple):
    """A file as it was."""

    size: int
    mtime_ns: int  # -1: it had changed a moment before
    content: str  # a digest
    error: str | None = None  # why it cannot be read


_FILES = TypeAdapter(dict[str, Seen])


class Index:
    """The index of a folder for a model, while the folder is looked at.

    Attributes:
        path: its JSON file; None = nothing is kept, or cannot be.
        files: name below the folder -> what it was, as on disk.
        vectors: content -> its vectors.
        seen: name -> what to remember of it.
        contents: name -> the content whose vectors it has; unreadable: name -> why it has none.
    """

    def __init__(self, path: Path | None, root: Path, names: Iterable[str] = ()) -> None:
        """Read what there is; an index that is damaged or closed to this user gives one warning."""
        self.path, self.root = path, root
        self.files: dict[str, Seen] = {}
        self.vectors: dict[str, Vectors] = {}
        self.seen: dict[str, Seen] = {}
        self.contents: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}
        self.gone: set[str] = set()  # what the folder held when it was last looked at
        self._stored: list[str] = []  # contents whose vectors are on disk
        self._meet_disk()
        self.gone = set(self.files) - set(names)

    def to_encode(
        self, names: Iterable[str], read: Callable[[Path], Frames]
    ) -> Iterator[tuple[str, Frames]]:
        """Look at the files: known, unreadable, or a content whose frames are to be encoded."""
        waiting: set[str] = set()
        for name in names:
            path, frames = self.root / name, None
            try:
                now = os.stat(path)
                seen = self._look(name, path, now)
                if seen.error is not None:
                    raise VideoError(seen.error)
                content = seen.content
                if content not in waiting and not self._knows(content):
                    frames, after = read(path), os.stat(path)
                    if (now.st_size, now.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                        content = f"{name}, while it was written"  # enough for this search
            except OSError as error:  # gone, or not ours to read
                self.unreadable[name] = f"Cannot read {path}: {error.strerror or error}."
            except VideoError as error:
                self.unreadable[name] = str(error)
                if not isinstance(error, PassingError):
                    self.seen[name] = seen._replace(error=str(error))
            else:
                self.contents[name] = content
                if content == seen.content:
                    self.seen[name] = seen
                if frames is not None:
                    waiting.add(content)
                    yield content, frames

    def _look(self, name: str, path: Path, now: os.stat_result) -> Seen:
        """What a file is: as remembered where size and time are the same, else by its content."""
        settled, known = time.time_ns() - now.st_mtime_ns > _SETTLED, self.files.get(name)
        if settled and known and (known.size, known.mtime_ns) == (now.st_size, now.st_mtime_ns):
            return known
        if self.path is None:
            open_regular(path, "rb").close()
            return Seen(now.st_size, now.st_mtime_ns, name)
        content = content_key(path, now)
        error = known.error if known and known.content == content else None
        return Seen(now.st_size, now.st_mtime_ns if settled else -1, content, error)

    def _knows(self, content: str) -> bool:
        """Whether it has vectors, here or in another folder's index of the same model."""
        if content not in self.vectors and content in self._others:
            with suppress(*_DAMAGE):
                self.vectors = _read_index(self._others[content])[1] | self.vectors
        return content in self.vectors

    @cached_property
    def _others(self) -> dict[str, Path]:
        """The contents that are in other folders' indices, and where these are."""
        found: dict[str, Path] = {}
        for path in [] if self.path is None else self.path.parent.glob("*.json"):
            with suppress(*_DAMAGE):
                found |= dict.fromkeys(_read_json(path)["contents"], path)
        return found

    def save(self) -> None:
        """Keep what was seen, beside what others wrote meanwhile; forget names that are gone."""
        contents = {seen.content for seen in self.seen.values() if seen.error is None}
        known = self.seen.items() <= self.files.items() and contents <= set(self._stored)
        if not known or self.gone & self.files.keys():
            self._meet_disk()

    def _meet_disk(self) -> None:
        """Take up what is on disk, and write it with what is new; where that cannot be, one
        warning: it ends no search."""
        if self.path is None:
            return
        folder = self.path.parent
        try:
            with explained(f"Cannot use {folder}", "choose another folder"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                with locked_folder(folder, wait=True):
                    self._read()
                    if self.seen or self.gone:
                        self._write()
        except UserError as error:
            _log.warning(f"The search index is not kept: {error}")
            if not self.files:  # one that is closed for writing may be read
                with suppress(*_DAMAGE):
                    self._take_up(*_read_index(self.path))
            self.path = None

    def _read(self) -> None:
        self.files, self._stored = {}, []
        if not os.path.lexists(self.path):
            return
        try:
            self._take_up(*_read_index(self.path))
        except PermissionError:
            raise
        except _DAMAGE:
            _log.warning(f"The search index {self.path} is damaged; it is made again.")
            for path in self.path.parent.glob(f"{self.path.stem}.*"):
                path.unlink()

    def _take_up(self, listing: dict[str, Any], vectors: dict[str, Vectors]) -> None:
        files = _FILES.validate_python(listing["files"])
        if listing["readers"] != _READERS:  # what could not be read then may be readable now
            files = {name: seen for name, seen in files.items() if seen.error is None}
        self.files, self._stored = files, list(vectors)
        self.vectors = vectors | self.vectors

    def _write(self) -> None:
        files = {name: seen for name, seen in self.files.items() if name not in self.gone}
        files |= self.seen
        contents = sorted({seen.content for seen in files.values()} & self.vectors.keys())
        columns = zip(*(self.vectors[content] for content in contents), strict=True)
        data = save(dict(zip(_NAMES, map(torch.stack, columns), strict=False)))
        digest = hashlib.sha256(data).hexdigest()
        vectors = _vectors_path(self.path, digest)
        if contents != self._stored or not vectors.exists():
            with atomic_path(vectors) as temporary:
                temporary.write_bytes(data)
        listing = {"folder": str(self.root), "readers": _READERS, "vectors": digest,
                   "contents": contents, "files": files}  # fmt: skip
        write_text(self.path, json.dumps(listing) + "\n")  # ASCII: names may be no Unicode
        for old in self.path.parent.glob(f"*{self.path.stem}.*"):  # a killed run's too
            if old.suffix in (".safetensors", ".part") and old != vectors:
                old.unlink()
        self.files, self._stored = files, contents


def _read_json(path: Path) -> dict[str, Any]:
    with open_regular(path, "rb") as file:
        return json.loads(file.read())


def _read_index(path: Path) -> tuple[dict[str, Any], dict[str, Vectors]]:
    """The listing, and the vectors of its contents."""
    listing = _read_json(path)
    with open_regular(_vectors_path(path, listing["vectors"]), "rb") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != listing["vectors"]:
        raise ValueError("the vectors are damaged")
    columns = load(data)
    pairs = zip(*(columns.get(name, ()) for name in _NAMES), strict=True)  # () where none is kept
    return listing, dict(zip(listing["contents"], pairs, strict=True))


def _vectors_path(path: Path, digest: str) -> Path:
    return path.with_name(f"{path.stem}.{bytes.fromhex(digest).hex()[:16]}.safetensors")


def content_key(path: Path, now: os.stat_result) -> str:
    """A digest of a file's bytes; the same for a renamed, moved or copied file.

    Of a file of more than 64 MB the first and the last 32 MB count, its size and its time of
    change: such a file is read again once it was touched.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    digest = hashlib.sha256()
    with open_regular(path, "rb") as file:
        if now.st_size > _WHOLE:
            digest.update(f"{now.st_size} {now.st_mtime_ns} ".encode() + file.read(_WHOLE // 2))
            file.seek(-_WHOLE // 2, os.SEEK_END)
        digest.update(file.read(_WHOLE))
    return digest.hexdigest()[:32]


def index_path(cache: Path, folder: Path, model: nn.Module) -> Path:
    """The index of a folder: named by the model's weights and config, and the folder.

    Code that reads and encodes is no part of it; `_FORMAT` stands for that.
    """
    config = {name: value for name, value in model.config.to_dict().items()
              if name not in _IRRELEVANT}  # fmt: skip
    about = json.dumps([_FORMAT, type(model).__name__, config], sort_keys=True, default=str)
    digest = hashlib.sha256(about.encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
    return cache.expanduser() / digest.hexdigest()[:32] / f"{place[:32]}.json"
