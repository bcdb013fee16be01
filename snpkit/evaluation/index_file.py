"""The search index on disk, one of each folder of videos for each model; nothing is unpickled.

    INDEX/<model>/<folder>.json                   what each file was when it was last looked at
    INDEX/<model>/<folder>.<digest>.safetensors   the vectors of the files' contents

A file of the same size and time of change is not opened; of another one a digest of its content
tells whether its vectors are known. Who writes holds a lock and takes up what others wrote
meanwhile; the vectors are there before the JSON names them. What is damaged is made again.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from snpkit import __version__
from snpkit.errors import UserError
from snpkit.files import atomic_path, open_regular, write_text

Vectors = tuple[Tensor, Tensor]  # of one video: clip features and clip tokens, [clips, hidden] each
_NAMES = ("clip_features", "clip_tokens")
_FORMAT = 1  # to be raised when the same weights give other vectors of the same file
_IRRELEVANT = ("transformers_version", "_name_or_path", "architectures", "dtype")  # of a config
_WHOLE = 64 << 20  # bytes; of a larger file two pieces are hashed
_SETTLED = 2_000_000_000  # ns; what changed later may change again within one tick of a clock
_LOCK_SECONDS = 60.0
_DAMAGE = (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError, MemoryError,
           SafetensorError)  # fmt: skip
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """A file as it was: its size in bytes, time of change (-1 = a moment before), digest of its
    content, and why it cannot be read (None = it can)."""

    size: int
    mtime_ns: int
    content: str
    error: str | None = None


class IndexFile:
    """The index of one folder for one model.

    Attributes:
        path: its JSON file; None = nothing is kept, or cannot be.
        files: name below the folder -> what is remembered of it.
        vectors: content -> its vectors.
    """

    def __init__(self, path: Path | None, folder: Path) -> None:
        """Read what there is; an index that is damaged or closed to this user gives one warning."""
        self.path, self.folder = path, folder
        self.files: dict[str, Seen] = {}
        self.vectors: dict[str, Vectors] = {}
        self._stored: set[str] = set()  # contents whose vectors are on disk
        self._others: dict[str, Path] | None = None  # content -> another folder's index
        self._on_disk({}, frozenset())

    def look(self, name: str, path: Path, now: os.stat_result) -> Seen:
        """What a file is: as remembered where size and time are the same, else by its content.

        Raises:
            OSError: it cannot be read.
        """
        settled, known = time.time_ns() - now.st_mtime_ns > _SETTLED, self.files.get(name)
        if settled and known and (known.size, known.mtime_ns) == (now.st_size, now.st_mtime_ns):
            return known
        if self.path is None:
            open_regular(path, "rb").close()
            return Seen(now.st_size, now.st_mtime_ns, name)
        content = content_key(path, now)
        error = known.error if known and known.content == content else None
        return Seen(now.st_size, now.st_mtime_ns if settled else -1, content, error)

    def knows(self, content: str) -> bool:
        """Whether it has vectors, here or in another folder's index of the same model."""
        if content not in self.vectors and self.path is not None:
            if self._others is None:
                self._others = {}
                for path in self.path.parent.glob("*.json"):
                    with suppress(*_DAMAGE):
                        self._others |= dict.fromkeys(_read_json(path)["contents"], path)
            if path := self._others.get(content):
                with suppress(*_DAMAGE):
                    self.vectors = _read_vectors(path, _read_json(path)) | self.vectors
        return content in self.vectors

    def save(self, seen: Mapping[str, Seen], gone: Set[str]) -> None:
        """Keep what was seen, beside what others wrote meanwhile; forget names that are gone.

        Where that cannot be, one warning: it ends no search.
        """
        contents = {one.content for one in seen.values() if one.error is None}
        known = seen.items() <= self.files.items() and contents <= self._stored
        if not known or gone & self.files.keys():
            self._on_disk(seen, gone)

    def _on_disk(self, seen: Mapping[str, Seen], gone: Set[str]) -> None:
        """Take up what is on disk, then write it with what is new; nothing new = only read."""
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(self.path.with_suffix(".lock"), timeout=_LOCK_SECONDS):
                self._take_up()
                if seen or gone:
                    kept = {name: self.files[name] for name in self.files.keys() - gone}
                    self._write(kept | dict(seen))
        except (UserError, OSError, NotImplementedError) as error:  # the last: no locks there
            reason = str(getattr(error, "strerror", None) or error).rstrip(".")
            _log.warning(f"The search index in {self.path.parent} is not kept: {reason}.")
            self.path = None

    def _take_up(self) -> None:
        """Read what is on disk now."""
        self.files, self._stored = {}, set()
        if not os.path.lexists(self.path):
            return
        try:
            listing = _read_json(self.path)
            self.files = _files_of(listing)
            vectors = _read_vectors(self.path, listing)
            self._stored, self.vectors = set(vectors), vectors | self.vectors
        except PermissionError:
            raise
        except _DAMAGE:
            _log.warning(f"The search index {self.path} is damaged; it is made again.")
            self.path.unlink()

    def _write(self, files: dict[str, Seen]) -> None:
        contents = sorted({seen.content for seen in files.values()} & self.vectors.keys())
        columns = zip(*(self.vectors[content] for content in contents), strict=True)
        tensors = {name: torch.stack(column) for name, column in zip(_NAMES, columns, strict=False)}
        data = save(tensors)
        digest = hashlib.sha256(data).hexdigest()
        vectors = _vectors_path(self.path, digest)
        if set(contents) != self._stored or not vectors.exists():
            with atomic_path(vectors) as temporary:
                temporary.write_bytes(data)
        listing = {
            "folder": str(self.folder),
            "readers": _readers(),
            "vectors": digest,
            "contents": contents,
            "files": {name: vars(seen) for name, seen in files.items()},
        }
        # ASCII: names that are no Unicode are kept as they are.
        write_text(self.path, json.dumps(listing) + "\n")
        for old in self.path.parent.glob(f"*{self.path.stem}.*"):  # a killed run's too
            if old.suffix in (".safetensors", ".part") and old != vectors:
                old.unlink()
        self.files, self._stored = files, set(contents)


def _read_json(path: Path) -> dict[str, Any]:
    with open_regular(path, "rb") as file:
        return json.loads(file.read())


def _files_of(listing: dict[str, Any]) -> dict[str, Seen]:
    files = {name: Seen(**entry) for name, entry in listing["files"].items()}
    for seen in files.values():
        numbers, words = (seen.size, seen.mtime_ns), (seen.content, seen.error or "")
        if {*map(type, numbers)} != {int} or {*map(type, words)} != {str}:
            raise TypeError("an entry has a value of the wrong kind")
    if listing["readers"] != _readers():  # what could not be read then may be readable now
        files = {name: seen for name, seen in files.items() if seen.error is None}
    return files


def _read_vectors(path: Path, listing: dict[str, Any]) -> dict[str, Vectors]:
    contents, digest = listing["contents"], listing["vectors"]
    with open_regular(_vectors_path(path, digest), "rb") as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError("the vectors are damaged")
    tensors = load(data)
    return dict(zip(contents, zip(*(tensors[name] for name in _NAMES), strict=True), strict=True))


def _vectors_path(path: Path, digest: str) -> Path:
    return path.with_name(f"{path.stem}.{bytes.fromhex(digest).hex()[:16]}.safetensors")


def _readers() -> str:
    """The versions of what decodes: a newer one may read what this one cannot."""
    return f"snpkit {__version__}, av {version('av')}, pillow {version('pillow')}"


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


def index_path(cache: Path, folder: Path, model: nn.Module, sampling: Mapping[str, Any]) -> Path:
    """The index of a folder: named by the model's weights and config, the sampling, and the folder.

    Code that reads and encodes is no part of it; `_FORMAT` stands for that.
    """
    config = model.config.to_dict() if hasattr(model.config, "to_dict") else vars(model.config)
    fields = {name: value for name, value in config.items() if name not in _IRRELEVANT}
    about = [_FORMAT, type(model).__name__, fields, dict(sampling)]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
    return cache.expanduser() / digest.hexdigest()[:32] / f"{place[:32]}.json"
