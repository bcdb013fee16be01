"""Which rows show the same video: numbers in place of names, as memory for millions is short."""

import posixpath
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

from snpkit.data.rows import VideoText

_CAPTIONS = 0x63617074  # sets the random numbers that choose captions apart from those of the order


def number_of(text: str) -> int:
    digest = blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def video_id(row: VideoText) -> int:
    """A number of the file that a row shows, in the range of int64, the same in every process.

    Windows of one file have one number: windows may overlap, and then a caption of one is true of
    the other, too. Matching losses compare no two samples of one number; to leave out a negative
    that would have been right costs little, to learn from a wrong one costs more. Of ten million
    files two have the same number with a probability of 3e-6.
    """
    return number_of(posixpath.normpath(row.video))


def clip_numbers(rows: Iterable[VideoText]) -> np.ndarray:
    """The clip (a file, or a window of it) that each row shows: int64 [rows].

    Clips are numbered from 0 in the order of their first rows; "./a.mp4" is "a.mp4". In memory are
    a few numbers for each row.
    """
    names = (f"{posixpath.normpath(row.video)}\0{row.start or 0.0}\0{row.end}" for row in rows)
    ids = np.fromiter(map(number_of, names), np.int64)
    _, first, places = np.unique(ids, return_index=True, return_inverse=True)
    numbers = np.empty(len(first), np.int64)
    numbers[np.argsort(first)] = np.arange(len(first))
    return numbers[places]


class RowsByClip:
    """The rows of each clip, to draw one row of every clip.

    Args:
        numbers: int [rows], the clip of each row, from 0 without gaps (`clip_numbers`).
    """

    def __init__(self, numbers: np.ndarray) -> None:
        self._rows = np.argsort(numbers, kind="stable")
        self._counts = np.bincount(numbers)
        self._starts = self._counts.cumsum() - self._counts

    def __len__(self) -> int:
        """The number of clips."""
        return len(self._counts)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """One row of every clip, each of its rows with the same probability: int64 [clips]."""
        return self._rows[self._starts + random.integers(0, self._counts)]


def caption_draws(*parts: int) -> np.random.Generator:
    """Random numbers that choose one caption of every clip, independent of those of the order."""
    return np.random.default_rng([*parts, _CAPTIONS])
