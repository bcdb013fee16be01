"""`race decode`: frames a second in a data loader's workers, against two libraries plainly.

All ways decode the same frames of the shipped clips and cut out the centre square.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from snpkit.errors import UserError
from tests.benchmarks import decoding
from tests.benchmarks.comparison import Round, Subject, farthest

if TYPE_CHECKING:
    import torch

_FRAMES = 8  # of every clip
_SIZE = 64  # pixels a side
# Mean difference of a pixel, of 255. The libraries scale in other ways; another frame differs more.
_TOLERANCE = 6.0


def decoding_subjects(workers: int, rounds_of: int = 4) -> list[Subject]:
    """Against decord, where it is installed, and against PyAV.

    Args:
        workers: processes that decode; 0 = this one.
        rounds_of: times that every clip is read in a round.

    Raises:
        UserError: fewer than 0 workers.
    """
    from snpkit.data.samples import sample_manifest

    if workers < 0:
        raise UserError(f"--workers is {workers}; decoding takes 0 processes or more.")
    manifest = sample_manifest()
    paths = sorted({str(manifest.path_of(row)) for row in manifest.rows})
    paths = [path for path in paths if path.endswith(".mp4")]
    libraries = ["decord"] if find_spec("decord") is not None else []
    return [
        _subject(name, Plainly(name), paths, workers, rounds_of) for name in (*libraries, "PyAV")
    ]


def _subject(
    name: str, way: Callable[[str], Any], paths: list[str], workers: int, times: int
) -> Subject:
    frames = len(paths) * times * _FRAMES

    def measure() -> Round:
        slow, theirs = _read_all(way, paths * times, workers)
        fast, ours = _read_all(read_ours, paths * times, workers)
        pairs = zip(theirs, ours, strict=True)
        apart = farthest((a.float() - b.float()).abs().mean().item() for a, b in pairs)
        return Round(frames / slow, frames / fast, apart)

    where = f"{workers} worker{'s' * (workers != 1)}" if workers else "no workers"
    return Subject(
        f"decode {name}", "frames/s", f"{name}, plainly", "snpkit's read_clips", measure,
        {"Clips": f"{len(paths)} shipped clips, {_FRAMES} frames each, {_SIZE} pixels; {where}; "
         "results: the greatest mean difference of a clip's pixels, of 255"},
        tolerance=_TOLERANCE,
    )  # fmt: skip


@dataclass(frozen=True)
class Plainly:
    """The straightforward way by a library: path -> uint8 [frames, 3, size, size]."""

    library: str

    def __call__(self, path: str) -> "torch.Tensor":
        by = getattr(decoding, f"by_{self.library.lower()}")
        return by(path, count=_FRAMES, size=_SIZE)


def read_ours(path: str) -> "torch.Tensor":
    """uint8 [frames, 3, size, size]."""
    from snpkit.video.reader import read_clips

    return read_clips(path, 1, _FRAMES, size=_SIZE)[0]


class _Paths:
    """A data set of what one way makes of each file."""

    def __init__(self, way: Callable[[str], Any], paths: list[str]) -> None:
        self.way, self.paths = way, paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return self.way(self.paths[index])


def _read_all(
    way: Callable[[str], Any], paths: list[str], workers: int
) -> tuple[float, "list[torch.Tensor]"]:
    """Seconds after the warm-up, when every worker is up, and the frames of all files."""
    from torch.utils.data import DataLoader

    # The first file of every worker is its warm-up: imports, and the start of the process.
    warm = max(workers, 1)
    loader = DataLoader(_Paths(way, paths[:warm] + paths), batch_size=1, num_workers=workers)
    found, start = [], 0.0
    for number, batch in enumerate(loader):
        if number == warm - 1:
            start = time.perf_counter()
        found.append(batch[0])
    return time.perf_counter() - start, found[warm:]
