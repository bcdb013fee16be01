"""Clips decoded whole, for a cache of frames: indexed first, then each straight into its place."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from snpkit.data.samples import Manifest, VideoText
from snpkit.data.unreadable import UnreadableReport
from snpkit.errors import PassingError, VideoError
from snpkit.spawning import check_main_guard
from snpkit.video.container import DamagedError
from snpkit.video.guarded import ReaderPool
from snpkit.video.index import VideoIndex
from snpkit.video.reader import open_index, read_indexed, window_of, with_index
from snpkit.video.sampling import sample_frames


@dataclass
class Decoder:
    """Decodes clips whole, by several threads.

    Attributes:
        manifest: where their files are.
        rows: name of a clip -> a row that shows it.
        size: frames are scaled and cut to size x size pixels.
        kept: frames of each clip, spread evenly over it; None = all.
        workers: threads.
        max_unreadable: share of the clips that may be unreadable.
        guard: reads in processes that may die; None = in this one.
        progress: show progress bars.
    """

    manifest: Manifest
    rows: dict[str, VideoText]
    size: int
    kept: int | None
    workers: int
    max_unreadable: float
    guard: ReaderPool | None
    progress: bool

    def decode(
        self,
        names: list[str],
        start: int,
        allocate: Callable[[int, int], Tensor],
        report: UnreadableReport,
    ) -> tuple[Tensor, dict[str, range]]:
        """The frames of these clips, one clip after the other.

        Args:
            start: where the first one goes.
            allocate: gives uint8 [so many frames, 3, so many pixels, so many pixels]; those before
                `start` stay as they are.
            report: takes those that cannot be read.

        Returns:
            What `allocate` gave, filled, and the range of frames of each clip; behind one that has
            lost frames, their places stay empty.

        Raises:
            UserError: too many cannot be read; as `allocate`.
        """
        if self.guard is not None:
            check_main_guard("Decoding behind a guard")
        with self.guard or nullcontext():
            # First where the frames are: that is quick and tells how much room they take.
            windows = self._run("index videos", self._index, names, report)
            lengths = [len(frames) for _, frames in windows.values()]
            ends = list(accumulate(lengths, initial=start))
            spans = dict(zip(windows, map(range, ends, ends[1:]), strict=False))
            frames = allocate(ends[-1], self.size)

            def fill(name: str) -> range:  # straight into its place
                file, chosen = windows[name]
                row, start = self.rows[name], spans[name].start
                options = {"file": file, "frames": chosen, "size": self.size}
                options |= {"start": row.start, "end": row.end}
                read = self._read(_read_frames, file.path, **options)
                frames[start : start + len(read)] = read
                return range(start, start + len(read))

            decoded = self._run("decode videos", fill, list(spans), report)
        return frames, decoded

    def _index(self, name: str) -> tuple[VideoIndex, np.ndarray]:
        """The file of a clip, and which of its frames are kept."""
        row = self.rows[name]
        file = self._read(open_index, self.manifest.path_of(row))
        return file, kept_frames(window_of(file, row.start, row.end), self.kept)

    def _read(self, function: Callable[..., Any], path: Path, **options: Any) -> Any:
        if self.guard is None:
            return function(path, **options)
        return self.guard.call(function, path, **options)

    def _run(
        self,
        label: str,
        function: Callable[[str], Any],
        names: list[str],
        report: UnreadableReport,
    ) -> dict[str, Any]:
        """`function(name)` of every name, in threads; failures go into the report."""

        def attempt(name: str) -> Any:
            try:
                return function(name)
            except VideoError as error:
                return error

        results = {}
        # Threads, because ffmpeg works outside of Python's lock and the frames need no copying.
        pool = ThreadPoolExecutor(self.workers)
        try:
            answers = zip(names, pool.map(attempt, names), strict=True)
            shown = {"disable": not self.progress, "leave": False}
            for name, answer in tqdm(answers, label, len(names), **shown):
                if isinstance(answer, VideoError):
                    report.add(name, str(answer), passing=isinstance(answer, PassingError))
                else:
                    results[name] = answer
        finally:
            # After Ctrl-C or an error the clips not yet begun are left alone.
            pool.shutdown(cancel_futures=True)
        report.check(self.max_unreadable)
        return results


def kept_frames(window: range, kept: int | None) -> np.ndarray:
    """The frames of a video's window that a cache keeps: all, or the middles of `kept` ranges."""
    if kept is None or len(window) <= kept:
        return np.arange(window.start, window.stop)
    return sample_frames(len(window), 1, kept)[0] + window.start


def _read_frames(
    path: Path,
    *,
    file: VideoIndex,
    frames: np.ndarray,
    size: int,
    start: float | None,
    end: float | None,
) -> Tensor:
    """These frames; of a film that has lost some of them as many of the others, or all there are.

    By the path's name: uint8 [frames, 3, size, size].
    """

    def among_decoded(file: VideoIndex) -> Tensor:
        chosen = kept_frames(window_of(file, start, end), len(frames))
        return read_indexed(file, chosen, size=size)

    try:
        return read_indexed(file, frames, size=size)
    except DamagedError:
        return with_index(path, among_decoded)
