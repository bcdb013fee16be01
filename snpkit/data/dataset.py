"""Videos with their captions as a torch data set."""

import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from snpkit.data.augment import Augmentation
from snpkit.data.cache import FrameCache, clip_name, count_clips
from snpkit.data.samples import Manifest, VideoText
from snpkit.data.shards import ShardRows
from snpkit.data.unreadable import UnreadableReport
from snpkit.errors import UserError, VideoError
from snpkit.files import cache_folder
from snpkit.video.guarded import ReaderPool
from snpkit.video.reader import Fit, pad_square, read_clips
from snpkit.video.sampling import Middle

# Draws of another sample before giving up: at 20 % unreadable, 100 failures in a row do not happen.
_ATTEMPTS = 100
# Threads may read side by side. One lock for all data sets: a data set travels to other processes.
_NOTING = threading.Lock()


class VideoTextDataset(Dataset):
    """The rows of a manifest: frames, caption, number.

    What an item shows depends on nothing but (seed, epoch, number), whoever asks and in what order.
    The place of a video that cannot be read is taken by another sample, always the same one.

    Args:
        manifest: the rows to serve, also those of shards (`snpkit.data.shards.open_shards`).
        clips: clips per video.
        frames: frames per clip.
        size: frames are size x size pixels.
        training: take random frames (else the middle ones).
        seed: of the random frames and of the samples that replace unreadable ones.
        cache: keep all decoded frames in memory (True) or in a file of snpkit's cache folder
            ("disk"); or a cache built before, to share it.
        cache_frames: frames of each clip that are kept there; None = all.
        fit: "crop" cuts out the centre square; "long" shows the whole picture, its long side
            scaled to `size` and the rest filled with zeros (items then have a "pixel_mask").
        min_scale: in training with fit="long", the long side is drawn uniformly from
            min_scale x size to size.
        middle: which middle frame of a range, where none is drawn: see `sample_frames`.
        augmentation: in training, what may happen to the frames; drawn by (seed, epoch, number),
            too. Crops are taken from larger frames, or from those of the cache, then scaled up.
        workers: threads that fill the cache; None takes two per core.
        max_unreadable: share of the videos that may be unreadable.
        guard_seconds: read each video in a process that may hang so long, or crash, without harm
            to this one; such a video counts as unreadable. 0 = read in this process.
        progress: show progress bars while the cache is filled.

    Raises:
        UserError: no row, a count below 1, an unknown fit, a scale outside of (0, 1], a guard
            below 0, a cache, crops or RandAugment with fit="long", too many unreadable videos, or a
            cache too large.

    Attributes:
        manifest: the rows.
        cache: the decoded clips, or None where each item is decoded on demand.
        guard: processes that may die, in which items are decoded; None = here, or in the cache.
    """

    def __init__(
        self,
        manifest: Manifest,
        clips: int,
        frames: int,
        size: int,
        training: bool,
        seed: int = 0,
        cache: bool | Literal["disk"] | FrameCache = False,
        *,
        cache_frames: int | None = None,
        fit: Fit = "crop",
        min_scale: float = 1.0,
        middle: Middle = "upper",
        augmentation: Augmentation | None = None,
        workers: int | None = None,
        max_unreadable: float = 0.2,
        guard_seconds: float = 0.0,
        progress: bool = True,
    ) -> None:
        if not manifest.rows or min(clips, frames, size) < 1:
            raise UserError(
                f"A data set of {len(manifest.rows)} rows with {clips} clips of {frames} frames of "
                f"{size} pixels has nothing to show; each must be at least 1."
            )
        _check_fit(fit, min_scale, bool(cache))
        if cache and isinstance(manifest.rows, ShardRows):
            raise UserError("Shards are decoded on demand; set data.cache=false.")
        self.manifest, self.clips, self.frames, self.size = manifest, clips, frames, size
        self.training, self.seed, self.epoch = training, seed, 0
        self.fit, self.min_scale, self.middle = fit, min_scale, middle
        self.augmentation = augmentation if augmentation and training else None
        if fit == "long" and self.augmentation and self.augmentation.moves:
            raise UserError('Random crops and RandAugment need fit="crop"; "long" shows all.')
        self._max_unreadable = max_unreadable
        if cache is True or cache == "disk":
            folder = cache_folder() / "frames" if cache == "disk" else None
            cache = FrameCache.build(
                manifest, size, kept=cache_frames, folder=folder, workers=workers,
                max_unreadable=max_unreadable, guard_seconds=guard_seconds, progress=progress,
            )  # fmt: skip
        self.cache = cache or None
        self.guard = ReaderPool(seconds=guard_seconds) if guard_seconds and not self.cache else None
        self._read_clips = read_clips
        if self.cache and self.cache.frames.shape[-1] != size:
            raise UserError(f"The cache holds other frames than {size} x {size}; build a new one.")
        self._report = UnreadableReport(count_clips(manifest.rows))
        if self.cache:
            self.note(self.cache.report.reasons)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.manifest.rows)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose random frames `dataset[index]` serves from now on."""
        self.epoch = epoch

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """One sample.

        Args:
            key: number of the row, or (epoch, number).

        Returns:
            "frames": uint8 [clips, frames, 3, size, size]; "caption": str; "index": number of the
            row that is shown, another one than asked for where its video cannot be read;
            "unreadable": {clip: reason} of those that failed on the way, usually empty; with
            fit="long" also "pixel_mask": bool [clips, frames, size, size], True = real.

        Raises:
            UserError: more videos than `max_unreadable` fail, or nothing at all can be read.
        """
        epoch, asked = key if isinstance(key, tuple) else (self.epoch, key)
        asked = range(len(self))[asked]  # IndexError beyond the end, negative numbers as in lists
        index, failed = asked, {}
        others = np.random.default_rng([self.seed, asked])
        for _ in range(_ATTEMPTS):
            row = self.manifest.rows[index]
            try:
                shown = self._read(row, epoch, index)
            except VideoError as error:
                failed[clip_name(row)] = str(error)
                index = int(others.integers(len(self)))
                continue
            self.note(failed)
            return shown | {"caption": row.caption, "index": index, "unreadable": failed}
        self.note(failed)
        raise UserError(f"No sample can be read in {_ATTEMPTS} attempts: {self._report}")

    def _read(self, row: VideoText, epoch: int, index: int) -> dict[str, Tensor]:
        generator = np.random.default_rng([self.seed, epoch, index]) if self.training else None
        if self.cache:
            sampling = (self.clips, self.frames, generator, self.middle)
            pictures = self.cache.read(row, *sampling)
            return {"frames": self._augmented(pictures, row, generator)}
        known = self._report.reasons.get(clip_name(row))
        if known:
            raise VideoError(known)
        side = self.size if not self.augmentation else self.augmentation.source_size(self.size)
        if self.fit == "long" and generator is not None:
            side = max(round(side * generator.uniform(self.min_scale, 1)), 1)
        options = {"clips": self.clips, "frames": self.frames, "size": side, "fit": self.fit}
        options |= {"start": row.start, "end": row.end, "generator": generator}
        options |= {"middle": self.middle}
        with self._file(row, index) as path:
            if self.guard is None:
                pictures = self._read_clips(path, **options)
            else:
                pictures = self.guard.call(self._read_clips, path, **options)
        pictures = self._augmented(pictures, row, generator)
        if self.fit == "crop":
            return {"frames": pictures}
        # After a flip, so that the padding stays where it always is.
        padded, mask = pad_square(pictures, self.size)
        return {"frames": padded, "pixel_mask": mask}

    def _augmented(
        self, pictures: Tensor, row: VideoText, generator: np.random.Generator | None
    ) -> Tensor:
        if self.augmentation is None or generator is None:
            return pictures
        return self.augmentation(pictures, row, self.size, generator)

    def _file(self, row: VideoText, index: int) -> AbstractContextManager[Path]:
        """The file of a row, for as long as it is read."""
        rows = self.manifest.rows
        if isinstance(rows, ShardRows):
            return rows.member(index).as_file()
        return nullcontext(self.manifest.path_of(row))

    def note(self, failed: dict[str, str]) -> None:
        """Add unreadable clips {name: reason} to the report, such as those that a worker met.

        Raises:
            UserError: they are now more than the share that may be unreadable.
        """
        with _NOTING:
            if failed.keys() <= self._report.reasons.keys():
                return
            for name, reason in failed.items():
                self._report.add(name, reason)
            self._report.check(self._max_unreadable)

    def report(self) -> UnreadableReport:
        """The videos met so far that cannot be read, with the reasons."""
        return self._report


def _check_fit(fit: str, min_scale: float, cached: bool) -> None:
    if fit not in ("crop", "long"):
        raise UserError(f"fit={fit!r} is unknown; choose crop or long.")
    if not 0 < min_scale <= 1:
        raise UserError(f"min_scale={min_scale} is no scale; choose one above 0 and up to 1.")
    if fit == "long" and cached:
        raise UserError(
            'The cache holds square crops only; with fit="long" switch the cache off, so that '
            "frames are decoded on demand."
        )


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Put samples into a batch.

    Returns:
        "frames": uint8 [batch, clips, frames, 3, size, size]; "captions": list of str; "index":
        int64 [batch]; "unreadable": {clip: reason}; where the samples have one, "pixel_mask": bool
        [batch, clips, frames, size, size].
    """
    unreadable: dict[str, str] = {}
    for item in items:
        unreadable |= item["unreadable"]
    stacked = ["frames", *(["pixel_mask"] if "pixel_mask" in items[0] else [])]
    return {name: torch.stack([item[name] for item in items]) for name in stacked} | {
        "captions": [item["caption"] for item in items],
        "index": torch.tensor([item["index"] for item in items]),
        "unreadable": unreadable,
    }
