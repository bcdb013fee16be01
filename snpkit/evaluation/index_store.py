"""The search index on disk: vectors by content, files by name; nothing of it is unpickled.

    INDEX/<model>/<folder>/       one folder of videos as one model encodes it
        files.json                what each file was when it was last seen
        part-<random>.safetensors vectors, with the contents that they are of and a checksum

Every file is written whole or not at all, and what a part holds stands in the part itself. So a run
that is killed leaves all parts that it wrote, two runs at once do no damage (the last `files.json`
wins; the vectors of both are found), and of a damaged index only the damaged file is lost.
"""

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from snpkit.errors import UserError
from snpkit.evaluation.index_keys import Stamp, readers_key
from snpkit.files import atomic_path, open_regular, read_json, write_text

Vectors = tuple[Tensor, Tensor]  # of one video: clip features and clip tokens, [clips, hidden] each
_LISTING, _PARTS = "files.json", "part-*.safetensors"
_NAMES = ("clip_features", "clip_tokens")
_MOST_PARTS = 8  # more are put together at the end of a run
_ABANDONED = 3600  # seconds after which a temporary file belongs to nobody
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """A file as it was when it was last looked at.

    Attributes:
        stamp: its size and time of change.
        content: key of its content.
        error: why it could not be read, if it could not.
    """

    stamp: Stamp
    content: str
    error: str | None = None


class IndexStore:
    """The index of one folder of videos for one model.

    Attributes:
        folder: where it lies.
        files: name below the videos' folder -> what is remembered of it.
        vectors: content -> vectors.
    """

    def __init__(self, index: Path, videos: Path, model: str) -> None:
        """Read what there is; a damaged index gives one warning, and what is whole of it.

        Args:
            index: the folder of all indices.
            videos: the folder that is indexed.
            model: its key.
        """
        self.videos = videos.resolve()
        name = hashlib.sha256(str(self.videos).encode("utf-8", "surrogatepass")).hexdigest()
        self.folder = index.expanduser() / model[:32] / name[:32]
        self.files: dict[str, Seen] = {}
        self.vectors: dict[str, Vectors] = {}
        self._stored: dict[Path, set[str]] = {}  # the parts that this process knows of
        self._other_folders: dict[str, Path] | None = None
        self._works = True
        self._read()
        self._listed = dict(self.files)  # as it stands on disk

    def _read(self) -> None:
        damaged = []
        for path in sorted(self.folder.glob(_PARTS)):
            try:
                found = _read_part(path)
            except FileNotFoundError:
                continue  # another process has just put the parts together
            except (OSError, ValueError, SafetensorError):
                damaged.append(path)
                continue
            self._stored[path] = set(found)
            self.vectors |= found
        listing = self.folder / _LISTING
        try:
            self.files = _read_listing(listing) if listing.exists() else {}
        except (UserError, KeyError, TypeError, ValueError, AttributeError):
            damaged.append(listing)
        if damaged:
            names = ", ".join(path.name for path in damaged)
            _log.warning(
                f"The search index in {self.folder} was damaged ({names}); "
                "what is lost of it is made again."
            )
            _remove(damaged)

    @property
    def kept_in(self) -> Path | None:
        """Where it lies; None = it could not be written."""
        return self.folder if self._works else None

    def find(self, content: str) -> Vectors | None:
        """The vectors of a content, from this index or another folder's of the same model."""
        if content not in self.vectors:
            if self._other_folders is None:
                self._other_folders = _contents_of_others(self.folder)
            if (path := self._other_folders.get(content)) is not None:
                with suppress(OSError, ValueError, SafetensorError):
                    found = _read_part(path)
                    self.vectors |= {key: found[key] for key in found if key not in self.vectors}
        return self.vectors.get(content)

    def save(self, files: Mapping[str, Seen]) -> None:
        """Write the vectors of these files that are not stored yet, then the files."""
        self.files = dict(files)
        stored = set().union(*self._stored.values())
        needed = {seen.content for seen in files.values()} & self.vectors.keys()
        with self._or_warn():
            if new := sorted(needed - stored):
                self._write_part(new)
            if self._listed != self.files:
                self._write_listing()
                self._listed = self.files

    def finish(self, files: Mapping[str, Seen]) -> None:
        """Save, forget what is of no file any more, and put small parts together."""
        self.save(files)
        needed = {seen.content for seen in files.values()} & self.vectors.keys()
        rows = sum(map(len, self._stored.values()))
        self.vectors = {content: self.vectors[content] for content in needed}
        if self._works and (rows > len(needed) or len(self._stored) > _MOST_PARTS):
            # Only parts that this process knows: another one may be writing its own.
            old = list(self._stored)
            with self._or_warn():
                if needed:
                    self._write_part(sorted(needed))
                _remove(old)
                for path in old:
                    del self._stored[path]
        _remove(path for path in self.folder.glob(".*.part") if _is_abandoned(path))

    def _write_part(self, contents: list[str]) -> None:
        path = self.folder / f"part-{secrets.token_hex(8)}.safetensors"
        rows = [self.vectors[content] for content in contents]
        tensors = {name: torch.stack(column) for name, column in
                   zip(_NAMES, zip(*rows, strict=True), strict=True)}  # fmt: skip
        metadata = {"contents": json.dumps(contents), "sha256": _checksum(contents, tensors)}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata)
        self._stored[path] = set(contents)

    def _write_listing(self) -> None:
        files = {
            name: {"size": seen.stamp.size, "mtime_ns": seen.stamp.mtime_ns,
                   "content": seen.content} | ({"error": seen.error} if seen.error else {})
            for name, seen in self.files.items()
        }  # fmt: skip
        listing = {"folder": str(self.videos), "readers": readers_key(), "files": files}
        # ASCII: names that are no Unicode (a Linux file system may hold them) are kept as they are.
        write_text(self.folder / _LISTING, json.dumps(listing) + "\n")

    @contextmanager
    def _or_warn(self) -> Iterator[None]:
        """An index that cannot be written is no reason to end a search: one warning, and on."""
        try:
            with suppress(OSError):  # said when the file itself cannot be written
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            yield
        except (UserError, SafetensorError) as error:
            if self._works:
                _log.warning(f"The search index is not kept: {error}")
            self._works = False


def _read_part(path: Path) -> dict[str, Vectors]:
    """Content -> vectors. Raises OSError, ValueError or SafetensorError if it is damaged."""
    with open_regular(path), safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    contents = _contents(metadata)
    if set(tensors) != set(_NAMES) or _checksum(contents, tensors) != metadata.get("sha256"):
        raise ValueError("its checksum does not fit")
    features, tokens = (tensors[name] for name in _NAMES)
    if features.ndim != 3 or features.shape != tokens.shape or len(features) != len(contents):
        raise ValueError("its vectors do not fit its contents")
    return dict(zip(contents, zip(features, tokens, strict=True), strict=True))


def _contents(metadata: Mapping[str, str]) -> list[str]:
    contents = json.loads(metadata.get("contents", "null"))
    if not isinstance(contents, list) or not all(isinstance(one, str) for one in contents):
        raise ValueError("it does not say what it holds")
    return contents


def _checksum(contents: list[str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(contents).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _read_listing(path: Path) -> dict[str, Seen]:
    """Raises UserError, KeyError, TypeError, ValueError or AttributeError if it is damaged."""
    listing = read_json(path, most_bytes=1 << 40)
    files = {name: _seen(entry) for name, entry in listing["files"].items()}
    if listing["readers"] != readers_key():  # what could not be read then may be readable now
        files = {name: seen for name, seen in files.items() if seen.error is None}
    return files


def _seen(entry: Mapping[str, Any]) -> Seen:
    size, mtime_ns, content = entry["size"], entry["mtime_ns"], entry["content"]
    error = entry.get("error")
    kinds = ((size, int), (mtime_ns, int), (content, str), (error, str | None))
    if not all(isinstance(value, kind) for value, kind in kinds):
        raise TypeError("an entry has a value of the wrong kind")
    return Seen(Stamp(size, mtime_ns), content, error)


def _contents_of_others(folder: Path) -> dict[str, Path]:
    """Content -> the part that holds it, of the other folders that this model has indexed."""
    found: dict[str, Path] = {}
    for path in sorted(folder.parent.glob(f"*/{_PARTS}")):
        if path.parent == folder:
            continue
        with (
            suppress(OSError, ValueError, SafetensorError),
            open_regular(path),
            safe_open(path, "pt") as file,
        ):
            found |= dict.fromkeys(_contents(file.metadata() or {}), path)
    return found


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()


def _is_abandoned(path: Path) -> bool:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > _ABANDONED
    return False
