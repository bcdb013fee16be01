"""All clips of a data set decoded once and kept as uint8 at training size, in memory or on disk.

On disk they outlive the run: the next one, or another process, maps the same file into memory. They
lie in the folder "frames" of `snpkit.files.cache_folder`, one folder for each data set and frame
size, until somebody deletes them.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snpkit.data.decoding import Decoder
from snpkit.data.samples import IndexedRows, Manifest, VideoText
from snpkit.data.unreadable import UnreadableReport
from snpkit.errors import UserError, VideoError, explained
from snpkit.files import locked_folder, read_json, write_json
from snpkit.machine import available_cores
from snpkit.video.guarded import ReaderPool
from snpkit.video.sampling import Middle, sample_frames

_FORMAT = 2  # raised when the same file gives other frames than before
_SPARE = 1e9  # bytes that a cache leaves free on its disk


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
            max_unreadable: share of the videos that may be unreadable. One that took too long or
                too much memory, or crashed its reader, is tried again by the next run.
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
        guard = ReaderPool(seconds=guard_seconds) if guard_seconds else None
        workers = workers or (1 if guard else 2) * available_cores()
        decoder = Decoder(manifest, rows, size, kept, workers, max_unreadable, guard, progress)
        report = UnreadableReport(len(rows))
        nothing = cls(torch.empty(0, 3, size, size, dtype=torch.uint8), {}, report)
        if folder is None:
            return nothing._with(decoder, partial(_in_memory, max_gigabytes=max_gigabytes))
        place = folder / _digest(manifest, rows, size, kept)
        advice = (
            f"delete what you no longer need of {folder}, or name another folder by the "
            "environment variable SNPKIT_CACHE"
        )
        with explained(f"Cannot keep the frames in {place}", advice):
            place.mkdir(parents=True, exist_ok=True)
            with locked_folder(place, wait=True):
                found = cls._open(place, report) or nothing
                if found.spans.keys() | report.reasons.keys() == rows.keys():
                    report.check(max_unreadable)
                    return found
                try:
                    return found._with(decoder, partial(_on_disk, place / "frames"))._keep(place)
                except BaseException:
                    _cut(place / "frames", found.frames.numel())
                    raise

    @classmethod
    def _open(cls, place: Path, report: UnreadableReport) -> "FrameCache | None":
        """What was kept at `place`; None = nothing, or not all of it.

        What could not be read for a reason that may have passed was not kept: it is missing.
        """
        index, file = place / "index.json", place / "frames"
        if not index.is_file() or not file.is_file():
            return None
        values = read_json(index)
        if file.stat().st_size < math.prod(values["shape"]):
            return None
        spans = {name: range(*ends) for name, ends in values["spans"].items()}
        # Older versions wrote "unreadable", in which failures that may have passed stand too.
        report.reasons |= values.get("lasting", {})
        return cls(_mapped(file, values["shape"]), spans, report, file)

    def _with(self, decoder: Decoder, allocate: Callable[[int, int], Tensor]) -> "FrameCache":
        """The same with the clips that are missing."""
        known = self.spans.keys() | self.report.reasons.keys()
        missing = [name for name in decoder.rows if name not in known]
        frames, spans = decoder.decode(missing, len(self.frames), allocate, self.report)
        return replace(self, frames=frames, spans=self.spans | spans)

    def _keep(self, place: Path) -> "FrameCache":
        """Write down what the finished file holds: the last thing."""
        file = place / "frames"
        if file.is_file():  # no clip was added to an empty cache
            with open(file, "rb+") as opened:
                os.fsync(opened.fileno())
        lasting = self.report.reasons.keys() - self.report.passing
        write_json(place / "index.json", {
            "shape": list(self.frames.shape),
            "spans": {name: [span.start, span.stop] for name, span in self.spans.items()},
            "lasting": {name: self.report.reasons[name] for name in sorted(lasting)},
        })  # fmt: skip
        return replace(self, file=file)

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


def _in_memory(frames: int, size: int, *, max_gigabytes: float) -> Tensor:
    needed = frames * 3 * size * size / 1e9
    if needed > max_gigabytes:
        raise UserError(
            f"The decoded frames take {needed:.1f} GB, more than the {max_gigabytes:g} GB that "
            'the cache may use; keep them on disk with data.cache="disk", choose a smaller size, '
            "or decode on demand with data.cache=false."
        )
    return torch.empty(frames, 3, size, size, dtype=torch.uint8)


def _on_disk(path: Path, frames: int, size: int) -> Tensor:
    there = path.stat().st_size if path.is_file() else 0
    needed = frames * 3 * size * size
    free = shutil.disk_usage(path.parent).free
    if needed - there > free - _SPARE:
        raise UserError(
            f"The decoded frames take {needed / 1e9:.1f} GB, and the disk of {path.parent} has "
            f"{free / 1e9:.1f} GB free; keep fewer frames of each clip (data.cache_frames), delete "
            f"what you no longer need of {path.parents[1]}, or name another folder by the "
            "environment variable SNPKIT_CACHE."
        )
    with open(path, "ab") as file:
        file.truncate(needed)
    return _mapped(path, (frames, 3, size, size))


def _cut(path: Path, length: int) -> None:
    """Take from a file what a failed run has added to it."""
    with suppress(OSError):
        os.truncate(path, length)
        if not length:
            path.unlink()


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
    about = [_FORMAT, str(manifest.root.resolve()), size, kept]
    parts = hashlib.sha256(json.dumps(about).encode())
    for name, row in rows.items():
        try:
            known = os.stat(manifest.path_of(row))
            facts = [name, known.st_size, known.st_mtime_ns]
        except OSError:
            facts = [name]
        parts.update(json.dumps(facts).encode())
    return parts.hexdigest()[:24]
