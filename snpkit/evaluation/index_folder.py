"""A folder of videos as vectors: every file is encoded once, as long as its content is the same."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from snpkit.errors import UserError, VideoError
from snpkit.evaluation.encoding import EncodedVideos, encode_videos, stack_frames
from snpkit.evaluation.index_keys import Stamp, content_key, model_key
from snpkit.evaluation.index_store import IndexStore, Seen, Vectors
from snpkit.video.guarded import ReaderPool
from snpkit.video.padding import read_square
from snpkit.video.reader import read_clips
from snpkit.video.suffixes import VIDEO_SUFFIXES, is_image_name, is_video_name

SAVE_SECONDS = 5.0  # between two savings of an index that is being made


@dataclass(frozen=True)
class FolderIndex:
    """The videos of a folder as vectors.

    Attributes:
        root: the folder.
        names: [videos] paths below it, POSIX style, sorted.
        videos: their vectors, in the same order.
        unreadable: path -> why it could not be read.
        encoded: how many were encoded for this index; the others were taken from the one on disk.
        kept_in: where it is kept on disk; None = it is not.
    """

    root: Path
    names: list[str]
    videos: EncodedVideos
    unreadable: dict[str, str]
    encoded: int = 0
    kept_in: Path | None = None


def encode_folder(
    model: nn.Module,
    folder: str | Path,
    *,
    clips: int | None = None,
    frames: int | None = None,
    size: int | None = None,
    batch_size: int = 16,
    cache: str | Path | None = None,
    guard_seconds: float = 0.0,
    progress: bool = False,
) -> FolderIndex:
    """Read and encode every video and image below a folder.

    Args:
        clips, frames, size: sampling; None = as the model was made for (its config).
        batch_size: videos encoded at a time.
        cache: where the index is kept (see `index_store`), so that the next time only new and
            changed files are encoded; None = nowhere.
        guard_seconds: let a video hang so long, or crash its decoder, in a process of its own; it
            is then left out. 0 = read in this process.
        progress: show a bar on a terminal.

    Raises:
        UserError: no such folder, or no video in it.
        VideoError: none of its videos can be read.
    """
    root, config = Path(folder), model.config
    sampling = {
        "clips": clips or config.clips,
        "frames": frames or config.frames,
        "size": size or config.image_size,
        "fit": config.image_fit,
        "middle": config.frame_middle,
    }
    files = find_videos(root)
    store = None if cache is None else IndexStore(Path(cache), root, model_key(model, sampling))
    guard = ReaderPool(seconds=guard_seconds) if guard_seconds else None
    read = partial(guard.call, read_clips) if guard else read_clips
    run = _Indexing(model, root, sampling, store, read)
    try:
        for path in _shown(files, progress):
            run.take(path)
            if len(run.batch) >= batch_size:
                run.encode()
        run.encode()
    except BaseException:  # Ctrl-C too: what was encoded until then is not encoded again
        run.save()
        raise
    finally:
        if guard is not None:
            guard.close()
    if store is not None:
        store.finish(run.files)
    if not run.vectors_of:
        reason = next(iter(run.unreadable.values()))
        raise VideoError(f"None of the {len(files)} videos in {root} can be read; first: {reason}")
    return run.index()


def _shown(files: list[Path], progress: bool) -> Iterator[Path]:
    from tqdm import tqdm

    # disable=None: a bar for people, not for log files.
    yield from tqdm(files, "Indexing", unit="file", leave=False, disable=None if progress else True)


@dataclass
class _Indexing:
    """One pass over the files of a folder.

    Attributes:
        files: name -> what to remember of it.
        vectors_of: name -> its vectors.
        batch: content -> frames that wait for being encoded.
        waiting: content -> the names of the files that have it.
        reader: `read_clips`, or what reads in its place.
    """

    model: nn.Module
    root: Path
    sampling: dict[str, Any]
    store: IndexStore | None
    reader: Callable[..., Tensor]
    files: dict[str, Seen] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    vectors_of: dict[str, Vectors] = field(default_factory=dict)
    batch: dict[str, tuple[Tensor, Tensor | None]] = field(default_factory=dict)
    waiting: dict[str, list[tuple[str, Seen | None]]] = field(default_factory=dict)
    encoded: int = 0
    saved_at: float = field(default_factory=monotonic)

    def take(self, path: Path) -> None:
        """Look at the next file: known, unreadable, or to be encoded."""
        name = path.relative_to(self.root).as_posix()
        try:
            seen = self._look(path, name)
        except OSError as error:  # gone, or not ours to read: nothing to remember
            self.unreadable[name] = f"Cannot read {path}: {error.strerror or error}."
            return
        if seen.error is not None:
            self._note_failure(name, seen)
        elif self.store is not None and (known := self.store.find(seen.content)) is not None:
            self._note(name, seen, known)
        elif seen.content in self.waiting:
            self.waiting[seen.content].append((name, seen))
        else:
            self._read(path, name, seen)

    def _look(self, path: Path, name: str) -> Seen:
        if self.store is None:
            return Seen(Stamp(0, 0), name)  # nothing is remembered: no need to know the content
        stamp, known = Stamp.of(path), self.store.files.get(name)
        if known is not None and stamp.proves(known.stamp):
            return known
        content = content_key(path)
        same = known is not None and known.content == content
        return Seen(stamp, content, known.error if same else None)

    def _read(self, path: Path, name: str, seen: Seen) -> None:
        try:
            frames = read_square(path, **self.sampling, read=self.reader)
        except VideoError as error:
            self._note_failure(name, Seen(seen.stamp, seen.content, str(error)))
            return
        if self.store is not None and _changed(path, seen.stamp):
            # Somebody writes it right now: good enough for this search, nothing to remember.
            self.batch[name], self.waiting[name] = frames, [(name, None)]
        else:
            self.batch[seen.content], self.waiting[seen.content] = frames, [(name, seen)]

    def _note(self, name: str, seen: Seen | None, vectors: Vectors) -> None:
        self.vectors_of[name] = vectors
        if seen is not None:
            self.files[name] = seen

    def _note_failure(self, name: str, seen: Seen) -> None:
        self.unreadable[name] = str(seen.error)
        self.files[name] = seen

    def encode(self) -> None:
        """Encode what waits; save now and then."""
        if not self.batch:
            return
        videos = encode_videos(self.model, [stack_frames(list(self.batch.values()))])
        rows = zip(videos.clip_features, videos.clip_tokens, strict=True)
        for content, vectors in zip(self.batch, rows, strict=True):
            for name, seen in self.waiting[content]:
                self._note(name, seen, vectors)
                if self.store is not None and seen is not None:
                    self.store.vectors[content] = vectors
        self.encoded += len(self.batch)
        self.batch, self.waiting = {}, {}
        if monotonic() - self.saved_at >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Keep what is known so far, and of the files not yet looked at what was known before."""
        if self.store is not None:
            self.store.save(self.store.files | self.files)
        self.saved_at = monotonic()

    def index(self) -> FolderIndex:
        """All that could be read, by name."""
        names = sorted(self.vectors_of)
        columns = zip(*(self.vectors_of[name] for name in names), strict=True)
        videos = EncodedVideos(*(torch.stack(column) for column in columns))
        unreadable = {name: self.unreadable[name] for name in sorted(self.unreadable)}
        kept_in = None if self.store is None else self.store.kept_in
        return FolderIndex(self.root, names, videos, unreadable, self.encoded, kept_in)


def _changed(path: Path, stamp: Stamp) -> bool:
    """Whether a file is another one than when it was hashed."""
    try:
        found = path.stat()
    except OSError:
        return True
    return found.st_size != stamp.size or stamp.mtime_ns not in (-1, found.st_mtime_ns)


def find_videos(root: Path) -> list[Path]:
    """The videos and images below a folder, by their names' endings; hidden ones are left out.

    Raises:
        UserError: no such folder, or nothing in it.
    """
    if not root.is_dir():
        raise UserError(f"{root} is not a folder; name the folder that holds your videos.")
    files = sorted(
        path
        for path in root.rglob("*")
        if (is_video_name(path) or is_image_name(path))
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    if not files:
        raise UserError(f"{root} holds no videos or images ({', '.join(VIDEO_SUFFIXES[:4])} ...).")
    return files
