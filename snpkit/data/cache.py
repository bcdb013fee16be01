"""All clips of a data set in memory: decoded once, kept as uint8 at training size."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from snpkit.data.samples import IndexedRows, Manifest, VideoText
from snpkit.data.unreadable import UnreadableReport
from snpkit.errors import UserError, VideoError
from snpkit.video.guarded_reading import GuardedReader
from snpkit.video.index import VideoIndex
from snpkit.video.reader import open_index, read_indexed, window_of
from snpkit.video.sampling import Middle, sample_frames


def clip_name(row: VideoText) -> str:
    """Names what a row shows, its video and window. Captions of the same clip share its frames."""
    if row.start is None and row.end is None:
        return row.video
    return f"{row.video} [{row.start} s to {row.end} s]"


def count_clips(rows: Sequence[VideoText]) -> int:
    """How many clips with names of their own the rows show."""
    if isinstance(rows, IndexedRows):
        return rows.clip_count()
    return len({clip_name(row) for row in rows})


@dataclass(frozen=True, eq=False)
class FrameCache:
    """Frames of every readable clip of a manifest, one after the other.

    Attributes:
        frames: uint8 [all frames, 3, size, size].
        spans: name of the clip (see `clip_name`) -> the range of its frames.
        report: the clips that could not be read.
    """

    frames: Tensor
    spans: dict[str, range]
    report: UnreadableReport

    @classmethod
    def build(
        cls,
        manifest: Manifest,
        size: int,
        *,
        workers: int | None = None,
        max_unreadable: float = 0.2,
        max_gigabytes: float = 8.0,
        guard_seconds: float = 0.0,
        progress: bool = True,
    ) -> "FrameCache":
        """Decode a data set.

        Args:
            manifest: the rows; each video and window is decoded once, whatever its captions.
            size: frames are scaled and cut to size x size pixels.
            workers: threads; None takes two per core: decord's own threads wait for each other.
                With a guard processes, one per core.
            max_unreadable: share of the videos that may be unreadable.
            max_gigabytes: memory that the frames may take (1 GB = 10^9 bytes).
            guard_seconds: let a video hang so long, or crash its decoder, in a process of its own;
                0 = decode in this process.
            progress: show progress bars.

        Raises:
            UserError: too many unreadable videos (names some), or frames beyond `max_gigabytes`.
            AnnotationError: a path leads out of the manifest's root.
        """
        rows = {clip_name(row): row for row in manifest.rows}
        report = UnreadableReport(len(rows))
        guard = GuardedReader(guard_seconds) if guard_seconds else None
        workers = workers or (1 if guard else 2) * core_count()
        run = partial(_run, report=report, workers=workers, progress=progress)
        clips = _Clips(manifest, rows) if guard is None else _GuardedClips(manifest, rows, guard)
        # First where the frames are: that is quick and tells how much memory they take.
        lengths = run("index videos", clips.length, list(rows))
        report.check(max_unreadable)
        spans = _lay_out(lengths)
        frames = _room(sum(map(len, spans.values())), size, max_gigabytes)
        # Then the frames, each clip straight into its place.
        places = {name: frames[span.start : span.stop] for name, span in spans.items()}
        decoded = run("decode videos", lambda name: clips.decode(name, places[name]), list(spans))
        report.check(max_unreadable)
        if guard is not None:
            guard.close()
        return cls(frames, {name: spans[name] for name in decoded}, report)

    def read(
        self,
        row: VideoText,
        clips: int,
        frames: int,
        generator: np.random.Generator | None,
        middle: Middle = "upper",
    ) -> Tensor:
        """The frames that `read_clips` takes for the row: uint8 [clips, frames, 3, size, size].

        Raises:
            VideoError: the video could not be read when the cache was built.
        """
        name = clip_name(row)
        if name in self.report.reasons:
            raise VideoError(self.report.reasons[name])
        span = self.spans[name]
        indices = sample_frames(len(span), clips, frames, generator, middle) + span.start
        return self.frames[torch.from_numpy(indices)]


class _Clips:
    """The clips of a cache that is being built, read in this process."""

    def __init__(self, manifest: Manifest, rows: dict[str, VideoText]) -> None:
        self.manifest, self.rows = manifest, rows
        self.windows: dict[str, tuple[VideoIndex, range]] = {}

    def length(self, name: str) -> int:
        """Its frames."""
        row = self.rows[name]
        file = open_index(self.manifest.path_of(row))
        self.windows[name] = file, window_of(file, row.start, row.end)
        return len(self.windows[name][1])

    def decode(self, name: str, place: Tensor) -> None:
        """Write its frames where they belong: uint8 [frames, 3, size, size]."""
        place[:] = read_indexed(*self.windows[name], size=place.shape[-1])


class _GuardedClips(_Clips):
    """The same in processes that may die; an index does not travel, so that each clip has two."""

    def __init__(
        self, manifest: Manifest, rows: dict[str, VideoText], guard: GuardedReader
    ) -> None:
        super().__init__(manifest, rows)
        self.guard = guard

    def length(self, name: str) -> int:
        return self._call(count_frames, name)

    def decode(self, name: str, place: Tensor) -> None:
        frames = self._call(read_window, name, size=place.shape[-1])
        if len(frames) != len(place):
            raise VideoError(f"{self.rows[name].video} has changed while it was read.")
        place[:] = frames

    def _call(self, function: Callable[..., Any], name: str, **options: Any) -> Any:
        row = self.rows[name]
        options |= {"start": row.start, "end": row.end}
        return self.guard.call(function, self.manifest.path_of(row), **options)


def count_frames(path: Path, *, start: float | None, end: float | None) -> int:
    """Frames of a video's window."""
    return len(window_of(open_index(path), start, end))


def read_window(path: Path, *, size: int, start: float | None, end: float | None) -> Tensor:
    """All frames of a video's window: uint8 [frames, 3, size, size]."""
    file = open_index(path)
    return read_indexed(file, window_of(file, start, end), size=size)


def _lay_out(lengths: dict[str, int]) -> dict[str, range]:
    """Put clips one after the other."""
    spans, total = {}, 0
    for name, length in lengths.items():
        spans[name] = range(total, total + length)
        total += length
    return spans


def _room(frames: int, size: int, max_gigabytes: float) -> Tensor:
    needed = frames * 3 * size * size / 1e9
    if needed > max_gigabytes:
        raise UserError(
            f"The decoded frames take {needed:.1f} GB, more than the {max_gigabytes:g} GB that "
            "the cache may use; choose a smaller size, or decode on demand with data.cache=false."
        )
    return torch.empty(frames, 3, size, size, dtype=torch.uint8)


def core_count() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run(
    label: str,
    function: Callable[[str], Any],
    names: list[str],
    *,
    report: UnreadableReport,
    workers: int,
    progress: bool,
) -> dict[str, Any]:
    """`function(name)` of every name, in threads; failures go into the report."""

    def attempt(name: str) -> Any:
        try:
            return function(name)
        except VideoError as error:
            return error

    results = {}
    # Threads, because ffmpeg works outside of Python's lock and the frames need no copying.
    pool = ThreadPoolExecutor(workers)
    try:
        answers = zip(names, pool.map(attempt, names), strict=True)
        for name, answer in tqdm(answers, label, len(names), disable=not progress, leave=False):
            if isinstance(answer, VideoError):
                report.add(name, str(answer))
            else:
                results[name] = answer
    finally:
        # After Ctrl-C or an error the clips not yet begun are left alone.
        pool.shutdown(cancel_futures=True)
    return results
