"""All clips of a data set decoded once and kept as uint8 at training size, in memory or on disk.

On disk they outlive the run: the next one, or another process, maps the same file into memory.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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
from snpkit.files import read_json, write_json
from snpkit.machine import available_cores
from snpkit.video.guarded import ReaderPool
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
        file: where the frames are mapped from; None = they are in memory alone.
    """

    frames: Tensor
    spans: dict[str, range]
    report: UnreadableReport
    file: Path | None = None

    @classmethod
    def build(
        cls,
        manifest: Manifest,
        size: int,
        *,
        kept: int | None = None,
        folder: Path | None = None,
        workers: int | None = None,
        max_unreadable: float = 0.2,
        max_gigabytes: float = 8.0,
        guard_seconds: float = 0.0,
        progress: bool = True,
    ) -> "FrameCache":
        """Decode a data set, or open what another run of the same clips left in `folder`.

        Args:
            manifest: the rows; each video and window is decoded once, whatever its captions.
            size: frames are scaled and cut to size x size pixels.
            kept: frames of each clip to keep, spread evenly over it; None = all. Training then
                draws among these; an odd number of each range keeps the range's middle frame.
            folder: keep the frames in a file below it; None = in memory. Two processes that want
                the same frames decode them once.
            workers: threads; None takes two per core: decord's own threads wait for each other.
                With a guard processes, one per core.
            max_unreadable: share of the videos that may be unreadable.
            max_gigabytes: memory that the frames may take (1 GB = 10^9 bytes); on disk what is
                free is the limit.
            guard_seconds: let a video hang so long, or crash its decoder, in a process of its own;
                0 = decode in this process.
            progress: show progress bars.

        Raises:
            UserError: too many unreadable videos (names some), or frames beyond `max_gigabytes` or
                what is free on the disk.
            AnnotationError: a path leads out of the manifest's root.
        """
        rows = {clip_name(row): row for row in manifest.rows}
        decode = partial(
            cls._decode, manifest, rows, size, kept, workers=workers, progress=progress,
            max_unreadable=max_unreadable, guard_seconds=guard_seconds,
        )  # fmt: skip
        if folder is None:
            return decode(partial(_in_memory, max_gigabytes=max_gigabytes))
        from filelock import FileLock

        place = folder / _digest(manifest, rows, size, kept)
        try:
            place.mkdir(parents=True, exist_ok=True)
            # It goes with the process that holds it: no run waits for one that was killed.
            with FileLock(place / "lock"):
                found = cls._open(place, len(rows), max_unreadable)
                if found is None:
                    try:
                        found = decode(partial(_on_disk, place / "frames.part"))._keep(place)
                    finally:
                        (place / "frames.part").unlink(missing_ok=True)
        except OSError as error:
            raise UserError(
                f"Cannot keep the frames in {place}: {error.strerror or error}; free some space, "
                "or name another folder by the environment variable SNPKIT_CACHE."
            ) from error
        return found

    @classmethod
    def _decode(
        cls,
        manifest: Manifest,
        rows: dict[str, VideoText],
        size: int,
        kept: int | None,
        allocate: Callable[[int, int], Tensor],
        *,
        workers: int | None,
        max_unreadable: float,
        guard_seconds: float,
        progress: bool,
    ) -> "FrameCache":
        report = UnreadableReport(len(rows))
        guard = ReaderPool(seconds=guard_seconds) if guard_seconds else None
        workers = workers or (1 if guard else 2) * available_cores()
        run = partial(_run, report=report, workers=workers, progress=progress)
        kind = _Clips if guard is None else partial(_GuardedClips, guard=guard)
        clips = kind(manifest, rows, kept)
        # First where the frames are: that is quick and tells how much room they take.
        lengths = run("index videos", clips.length, list(rows))
        report.check(max_unreadable)
        spans = _lay_out(lengths)
        frames = allocate(sum(map(len, spans.values())), size)
        # Then the frames, each clip straight into its place.
        places = {name: frames[span.start : span.stop] for name, span in spans.items()}
        decoded = run("decode videos", lambda name: clips.decode(name, places[name]), list(spans))
        report.check(max_unreadable)
        if guard is not None:
            guard.close()
        return cls(frames, {name: spans[name] for name in decoded}, report)

    @classmethod
    def _open(cls, place: Path, clips: int, max_unreadable: float) -> "FrameCache | None":
        """What was kept at `place`; None = nothing, or not all of it."""
        index, file = place / "index.json", place / "frames"
        if not index.is_file() or not file.is_file():
            return None
        values = read_json(index)
        if file.stat().st_size != math.prod(values["shape"]):
            return None
        report = UnreadableReport(clips, values["unreadable"])
        report.check(max_unreadable)
        spans = {name: range(*ends) for name, ends in values["spans"].items()}
        return cls(_mapped(file, values["shape"]), spans, report, file)

    def _keep(self, place: Path) -> "FrameCache":
        """Give the finished file its name, and write down what it holds: the last thing."""
        with open(place / "frames.part", "rb+") as file:
            os.fsync(file.fileno())
        (place / "frames.part").replace(place / "frames")
        write_json(place / "index.json", {
            "shape": list(self.frames.shape),
            "spans": {name: [span.start, span.stop] for name, span in self.spans.items()},
            "unreadable": self.report.reasons,
        })  # fmt: skip
        return replace(self, file=place / "frames")

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker that is spawned maps the file anew, in place of a copy of all frames.
        frames = list(self.frames.shape) if self.file else self.frames
        return _unpacked, (frames, self.spans, self.report, self.file)

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

    def __init__(
        self, manifest: Manifest, rows: dict[str, VideoText], kept: int | None
    ) -> None:
        self.manifest, self.rows, self.kept = manifest, rows, kept
        self.windows: dict[str, tuple[VideoIndex, np.ndarray]] = {}

    def length(self, name: str) -> int:
        """How many frames it keeps."""
        row = self.rows[name]
        file = open_index(self.manifest.path_of(row))
        self.windows[name] = file, kept_frames(window_of(file, row.start, row.end), self.kept)
        return len(self.windows[name][1])

    def decode(self, name: str, place: Tensor) -> None:
        """Write its frames where they belong: uint8 [frames, 3, size, size]."""
        place[:] = read_indexed(*self.windows[name], size=place.shape[-1])


class _GuardedClips(_Clips):
    """The same in processes that may die; an index does not travel, so that each clip has two."""

    def __init__(
        self,
        manifest: Manifest,
        rows: dict[str, VideoText],
        kept: int | None,
        guard: ReaderPool,
    ) -> None:
        super().__init__(manifest, rows, kept)
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
        options |= {"start": row.start, "end": row.end, "kept": self.kept}
        return self.guard.call(function, self.manifest.path_of(row), **options)


def kept_frames(window: range, kept: int | None) -> np.ndarray:
    """The frames of a video's window that a cache keeps: all, or the middles of `kept` ranges."""
    if kept is None or len(window) <= kept:
        return np.arange(window.start, window.stop)
    return sample_frames(len(window), 1, kept)[0] + window.start


def count_frames(
    path: Path, *, start: float | None, end: float | None, kept: int | None
) -> int:
    """Frames that are kept of a video's window."""
    return len(kept_frames(window_of(open_index(path), start, end), kept))


def read_window(
    path: Path, *, size: int, start: float | None, end: float | None, kept: int | None
) -> Tensor:
    """These frames: uint8 [frames, 3, size, size]."""
    file = open_index(path)
    return read_indexed(file, kept_frames(window_of(file, start, end), kept), size=size)


def _lay_out(lengths: dict[str, int]) -> dict[str, range]:
    """Put clips one after the other."""
    spans, total = {}, 0
    for name, length in lengths.items():
        spans[name] = range(total, total + length)
        total += length
    return spans


def _in_memory(frames: int, size: int, *, max_gigabytes: float) -> Tensor:
    needed = frames * 3 * size * size / 1e9
    if needed > max_gigabytes:
        raise UserError(
            f"The decoded frames take {needed:.1f} GB, more than the {max_gigabytes:g} GB that "
            'the cache may use; keep them on disk with data.cache="disk", choose a smaller size, '
            "or decode on demand with data.cache=false."
        )
    return torch.empty(frames, 3, size, size, dtype=torch.uint8)


_SPARE = 1e9  # bytes that a cache leaves free on its disk


def _on_disk(path: Path, frames: int, size: int) -> Tensor:
    path.unlink(missing_ok=True)  # of a run that was killed
    needed, free = frames * 3 * size * size, shutil.disk_usage(path.parent).free
    if needed > free - _SPARE:
        raise UserError(
            f"The decoded frames take {needed / 1e9:.1f} GB, and the disk of {path.parent} has "
            f"{free / 1e9:.1f} GB free; keep fewer frames of each clip (data.cache_frames), or "
            "name another folder by the environment variable SNPKIT_CACHE."
        )
    with open(path, "wb") as file:
        file.truncate(needed)
    return _mapped(path, (frames, 3, size, size))


def _mapped(path: Path, shape: Sequence[int]) -> Tensor:
    """The file's bytes as a tensor that the system reads when they are asked for."""
    flat = torch.from_file(str(path), shared=True, size=math.prod(shape), dtype=torch.uint8)
    return flat.view(*shape)


def _unpacked(
    frames: Any, spans: dict[str, range], report: UnreadableReport, file: Path | None
) -> FrameCache:
    return FrameCache(_mapped(file, frames) if file else frames, spans, report, file)


def _digest(
    manifest: Manifest, rows: dict[str, VideoText], size: int, kept: int | None
) -> str:
    """Names the frames: another file, date, window or size of a clip is another cache."""
    parts = hashlib.sha256(json.dumps([str(manifest.root.resolve()), size, kept]).encode())
    for name, row in rows.items():
        try:
            known = os.stat(manifest.path_of(row))
            facts = [name, known.st_size, known.st_mtime_ns]
        except OSError:
            facts = [name]
        parts.update(json.dumps(facts).encode())
    return parts.hexdigest()[:24]


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
