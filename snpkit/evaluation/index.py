"""A folder of videos as vectors: every file is encoded once, as long as it is the same."""

import os
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from snpkit.errors import PassingError, VideoError
from snpkit.evaluation.encoding import EncodedVideos, encode_videos, stack_frames
from snpkit.evaluation.index_file import IndexFile, Seen, index_path
from snpkit.video.guarded import ReaderPool
from snpkit.video.reader import read_clips, read_square
from snpkit.video.suffixes import find_videos

_SAVE_SECONDS = 5.0  # between two savings, which take a twentieth of the time at most


@dataclass(frozen=True)
class FolderIndex:
    """The videos of a folder as vectors.

    Attributes:
        root: the folder.
        names: [videos] paths below it, POSIX style, sorted.
        videos: their vectors, in the same order.
        unreadable: file or folder -> why it could not be read.
        encoded: how many were encoded for this index; the others were taken from the one on disk.
        kept_in: the file that lists it; None = it is not kept.
        passed_over: ending of a name -> how many files are no videos or images by their names.
    """

    root: Path
    names: list[str]
    videos: EncodedVideos
    unreadable: dict[str, str]
    encoded: int = 0
    kept_in: Path | None = None
    passed_over: dict[str, int] = field(default_factory=dict)


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
        cache: the folder of all indices; the next time only new and changed files are encoded.
            None = nothing is kept.
        guard_seconds: let a video hang so long, or crash its decoder, in a process of its own; it
            is then left out, and tried again next time. 0 = read in this process.
        progress: show a bar on a terminal.

    Raises:
        UserError: no such folder, or no video in it.
        VideoError: none of its videos can be read.
    """
    from tqdm import tqdm

    root, config = Path(folder), model.config
    sampling = {
        "clips": clips or config.clips,
        "frames": frames or config.frames,
        "size": size or config.image_size,
        "fit": config.image_fit,
        "middle": config.frame_middle,
    }
    names, left_out, passed_over = find_videos(root)
    path = None if cache is None else index_path(Path(cache), root, model, sampling)
    guard = ReaderPool(seconds=guard_seconds) if guard_seconds else None
    read = partial(guard.call, read_clips) if guard else read_clips
    kept = IndexFile(path, root)
    run = _Indexing(model, root, names, kept, **sampling, read=read)
    # disable=None: a bar for people, not for log files.
    shown = tqdm(names, "Indexing", unit="file", leave=False, disable=None if progress else True)
    try:
        for name in shown:
            run.take(name)
            if len(run.batch) >= batch_size:
                run.encode()
        run.encode()
    finally:  # after Ctrl-C too: what was encoded until then is not encoded again
        run.save()
        if guard is not None:
            guard.close()
    unreadable = dict(sorted((left_out | run.unreadable).items()))
    if not run.contents:
        reason = next(iter(run.unreadable.values()))
        raise VideoError(f"None of the {len(names)} videos in {root} can be read; first: {reason}")
    found = sorted(run.contents)
    columns = zip(*(kept.vectors[run.contents[name]] for name in found), strict=True)
    features, tokens = (torch.stack(column) for column in columns)
    videos = EncodedVideos(for_queries(features), tokens)
    return FolderIndex(root, found, videos, unreadable, run.encoded, kept.path, passed_over)


def for_queries(features: Tensor) -> Tensor:
    """The same [videos, clips, hidden], in memory [hidden, videos x clips]: a query reads it in
    half the time, as it adds whole rows in place of summing up each."""
    return features.flatten(0, 1).T.contiguous().T.unflatten(0, features.shape[:2])


class _Indexing:
    """One pass over the files of a folder.

    Attributes:
        seen: name -> what to remember of it; contents: name -> the content whose vectors it has.
        batch: content -> frames that wait for being encoded.
    """

    def __init__(
        self, model: nn.Module, root: Path, names: list[str], kept: IndexFile, **sampling: Any
    ) -> None:
        self.model, self.root, self.kept, self.sampling = model, root, kept, sampling
        self.gone = set(kept.files) - set(names)
        self.seen: dict[str, Seen] = {}
        self.contents: dict[str, str] = {}
        self.batch: dict[str, tuple[Tensor, Tensor | None]] = {}
        self.unreadable: dict[str, str] = {}
        self.encoded, self.save_at = 0, monotonic() + _SAVE_SECONDS

    def take(self, name: str) -> None:
        """Look at the next file: known, unreadable, or to be encoded."""
        path = self.root / name
        try:
            now = os.stat(path)
            seen = self.kept.look(name, path, now)
            if seen.error is not None:
                raise VideoError(seen.error)
            content = seen.content
            if not self.kept.knows(content) and content not in self.batch:
                frames, after = read_square(path, **self.sampling), os.stat(path)
                if (now.st_size, now.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                    content = f"{name}, while it was written"  # enough for this search
                self.batch[content] = frames
        except OSError as error:  # gone, or not ours to read
            self.unreadable[name] = f"Cannot read {path}: {error.strerror or error}."
        except VideoError as error:
            self.unreadable[name] = str(error)
            if not isinstance(error, PassingError):
                self.seen[name] = replace(seen, error=str(error))
        else:
            self.contents[name] = content
            if content == seen.content:
                self.seen[name] = seen

    def encode(self) -> None:
        """Encode what waits; save now and then."""
        if self.batch:
            videos = encode_videos(self.model, [stack_frames(list(self.batch.values()))])
            pairs = zip(videos.clip_features, videos.clip_tokens, strict=True)
            self.kept.vectors |= zip(self.batch, pairs, strict=True)
            self.encoded += len(self.batch)
            self.batch = {}
        if (start := monotonic()) >= self.save_at:
            self.save()
            end = monotonic()
            self.save_at = end + max(_SAVE_SECONDS, 20 * (end - start))

    def save(self) -> None:
        """Keep what is known by now."""
        self.kept.save(self.seen, self.gone)
