"""Frames: what a search found, and where in the picture a word belongs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from snpkit.errors import UserError
from snpkit.explore.plots.style import (
    GREEN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    Picture,
    drawable,
    quiet,
    shorten,
    tidy_number,
    to_frames,
)


@dataclass(frozen=True)
class Found:
    """One answer to a search."""

    frames: Any  # uint8 [frames, 3, height, width]
    score: float
    is_true: bool = False  # the video that the sentence was written for
    label: str = ""  # e.g. its file or its caption


def retrieval_strip(query: str, found: Sequence[Found], *, rank: float | None = None) -> Picture:
    """A sentence and its best videos from left to right; the true one is framed and says so.

    Args:
        query: the sentence.
        found: best first; frames of one video stand under each other.
        rank: rank of the true video, to be told if it is not among `found`.
    """
    if not found:
        raise UserError("The search found nothing to draw.")
    videos = [to_frames(answer.frames) for answer in found]
    figure, axes = _film(videos, 7.4 / max(len(found), 4), 0.62, 0.3)
    place = "" if rank is None else f"   (true video: rank {tidy_number(rank)})"
    _title(figure, f"“{shorten(query, 78)}”{place}")
    for column, (answer, video) in enumerate(zip(found, videos, strict=True)):
        for ax, picture in zip(axes[column], video, strict=True):
            ax.imshow(picture)
            _frame(ax, GREEN if answer.is_true else GRID, 3.5 if answer.is_true else 0.8)
        mark = "✓ true  " if answer.is_true else ""
        axes[column][0].set_title(
            f"{column + 1}.  {mark}{answer.score:.2f}", fontsize=8.5, loc="left", pad=5,
            color=INK if answer.is_true else MUTED,
            fontweight="bold" if answer.is_true else "normal",
        )  # fmt: skip
        axes[column][-1].set_xlabel(drawable(answer.label, 22), fontsize=7.5, color=MUTED)
    figure.alt = _strip_in_words(query, found, rank)
    return figure


def _film(
    columns: Sequence[np.ndarray], cell: float, above: float, below: float
) -> tuple[Picture, list[list[Any]]]:
    """Axes for columns of frames, packed to the frames' own shape.

    Args:
        columns: per column its frames [n, height, width, 3].
        cell: width of a column in inches; above, below: room for text in inches.
    """
    gap, margin = 0.07, 0.08
    tall = cell * max(video.shape[1] / video.shape[2] for video in columns)
    rows = max(len(video) for video in columns)
    width = 2 * margin + cell * len(columns)
    height = above + below + tall * rows
    figure = Picture(width, height, layout=None)
    axes = []
    for column, video in enumerate(columns):
        axes.append([])
        for row in range(len(video)):
            left, bottom = margin + column * cell, height - above - (row + 1) * tall
            place = (left / width, (bottom + gap / 2) / height, (cell - gap) / width,
                     (tall - gap) / height)  # fmt: skip
            ax = figure.add_axes(place)
            quiet(ax)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            axes[-1].append(ax)
    return figure, axes


def _title(figure: Picture, text: str) -> None:
    width, height = figure.get_size_inches()
    figure.text(
        0.08 / width, 1 - 0.18 / height, drawable(text), fontsize=9, fontweight="bold", color=INK,
        va="center",
    )  # fmt: skip


def _frame(ax: Any, colour: str, width: float) -> None:
    ax.spines[:].set_visible(True)
    for spine in ax.spines.values():
        spine.set(color=colour, linewidth=width)


def _strip_in_words(query: str, found: Sequence[Found], rank: float | None) -> str:
    true = [place for place, answer in enumerate(found, start=1) if answer.is_true]
    if true:
        where = f"the true one is number {true[0]}"
    elif rank is not None:
        where = f"the true one is not among them (rank {tidy_number(rank)})"
    else:
        where = "none is marked as the true one"
    return f"The {len(found)} best videos for “{shorten(query, 200)}”; {where}."


def relevance_overlay(
    frames: Any,
    relevance: Any,
    word: str,
    *,
    boxes: Sequence[Sequence[float]] | None = None,
) -> Picture:
    """Where in each frame a word belongs: frames above, the same frames under its relevance below.

    Args:
        frames: uint8 [frames, 3, height, width].
        relevance: [frames, grid_height, grid_width], higher is more relevant; scaled over all
            frames together, so that frames can be compared.
        word: the word.
        boxes: per frame [x0, y0, x1, y1] in 0..1, drawn dashed.
    """
    pictures, maps = to_frames(frames), _to_maps(relevance, len(frames))
    count = len(pictures)
    pairs = [np.stack([picture, picture]) for picture in pictures]
    figure, axes = _film(pairs, min(1.6, 7.2 / count), 0.36, 0.08)
    _title(figure, f"Where is “{shorten(word, 30)}”?")
    for place, ((plain, tinted), grid) in enumerate(zip(axes, maps, strict=True)):
        for ax in (plain, tinted):
            ax.imshow(pictures[place])
        _tint(tinted, grid, pictures[place].shape[:2])
        if boxes is not None:
            _draw_box(tinted, boxes[place], pictures[place].shape[:2])
    figure.alt = f"Relevance of the word “{word}” over {count} frames. {_peaks(maps)}"
    return figure


def _to_maps(relevance: Any, frames: int) -> np.ndarray:
    if hasattr(relevance, "detach"):
        relevance = relevance.detach().float().cpu()
    maps = np.nan_to_num(np.asarray(relevance, dtype=np.float64))
    if maps.ndim != 3 or len(maps) != frames or not maps.size:
        raise UserError(
            f"Relevance must be [frames, height, width] for {frames} frames, not {maps.shape}."
        )
    maps = maps - maps.min()
    return maps / (maps.max() or 1.0)


def _tint(ax: Any, grid: np.ndarray, size: tuple[int, int]) -> None:
    # Darken what is irrelevant and tint what is relevant: told apart by light, not only by hue.
    height, width = size
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    veil = np.zeros((*grid.shape, 4))
    veil[..., 3] = 0.72 * (1 - grid)
    glow = np.zeros((*grid.shape, 4))
    glow[..., :3], glow[..., 3] = to_rgb(ORANGE), 0.45 * grid**2
    for layer in (veil, glow):
        ax.imshow(layer, extent=extent, interpolation="bilinear", aspect="equal")
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    x, y = (column + 0.5) * width / grid.shape[1], (row + 0.5) * height / grid.shape[0]
    ax.plot(x, y, "+", color=PAPER, markersize=9, markeredgewidth=2.6)
    ax.plot(x, y, "+", color=INK, markersize=8, markeredgewidth=1.2)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _draw_box(ax: Any, box: Sequence[float], size: tuple[int, int]) -> None:
    height, width = size
    x0, y0, x1, y1 = box
    corner, extent = (x0 * width, y0 * height), ((x1 - x0) * width, (y1 - y0) * height)
    for colour, style in ((INK, "-"), (PAPER, (0, (4, 3)))):
        ax.add_patch(
            Rectangle(corner, *extent, fill=False, edgecolor=colour, linestyle=style, linewidth=1.3)
        )


def _peaks(maps: np.ndarray) -> str:
    frame, row, column = np.unravel_index(maps.argmax(), maps.shape)
    across = ("left", "middle", "right")[int(3 * column / maps.shape[2])]
    down = ("top", "centre", "bottom")[int(3 * row / maps.shape[1])]
    return f"Strongest in frame {frame + 1}, {down} {across}."
