"""Matrices: who attends to whom, and which caption fits which video."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from snpkit.errors import UserError
from snpkit.explore.plots.style import (
    GRID,
    INK,
    MUTED,
    RED,
    SEQUENTIAL,
    Picture,
    drawable,
    heading,
    quiet,
    readable_on,
    tidy_number,
)

_NAMED = 40  # rows or columns that still get a label each
_NUMBERED = 10  # rows or columns whose cells still hold their number


def to_matrix(values: Any) -> np.ndarray:
    """A tensor or nested list as float64 [rows, columns].

    Raises:
        UserError: not two-dimensional, or empty.
    """
    if hasattr(values, "detach"):
        values = values.detach().float().cpu()
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.size:
        raise UserError(f"A matrix must be [rows, columns], not of shape {matrix.shape}.")
    return matrix


def attention_maps(
    panels: Mapping[str, tuple[Any, Sequence[str], Sequence[str]]], *, title: str = ""
) -> Picture:
    """Attention weights side by side, e.g. one layer alone and in the cross-modal pass.

    Args:
        panels: heading -> (weights [queries, keys], query labels, key labels). A row says where one
            token looks; each panel has its own colour scale, written beside it.
        title: written above all.
    """
    if not panels:
        raise UserError("There is no attention to draw.")
    matrices = {name: to_matrix(weights) for name, (weights, _, _) in panels.items()}
    tallest = max(len(matrix) for matrix in matrices.values())
    height = min(1.6 + 0.22 * tallest, 8.0)
    figure = Picture(3.7 * len(panels), height)
    if title:
        figure.suptitle(drawable(title, 90), fontsize=10.5, color=INK, x=0.01, ha="left")
    axes = figure.panels(1, len(panels))
    said = []
    for ax, (name, (_, queries, keys)) in zip(axes, panels.items(), strict=True):
        matrix = matrices[name]
        _draw_matrix(ax, matrix, queries, keys)
        heading(ax, name, "{:.2f} to {:.2f}".format(*_limits(matrix)))
        ax.set_ylabel("looks from", fontsize=8, color=MUTED)
        ax.set_xlabel("looks at", fontsize=8, color=MUTED)
        row, column = np.unravel_index(np.nan_to_num(matrix).argmax(), matrix.shape)
        said.append(
            f"{name}: {len(queries)} by {len(keys)} tokens, strongest from {queries[row]} to "
            f"{keys[column]} ({matrix[row, column]:.2f})"
        )
    figure.alt = f"{title or 'Attention weights'}. {'; '.join(said)}."
    return figure


def similarity_matrix(
    scores: Any,
    texts: Sequence[str] | None = None,
    videos: Sequence[str] | None = None,
    *,
    truth: Sequence[int] | None = None,
    title: str = "Captions against videos",
) -> Picture:
    """Scores of captions (rows) with videos (columns); true pairs are framed.

    Args:
        scores: [texts, videos].
        texts, videos: labels.
        truth: true video of each text; None = the diagonal of a square matrix.
    """
    matrix = to_matrix(scores)
    rows, columns = matrix.shape
    if truth is None and rows == columns:
        truth = range(rows)
    small = max(rows, columns) <= _NAMED
    width = min(max(0.34 * columns, 2.4), 4.6) + (3.2 if texts and small else 1.2)
    height = min(max(0.34 * rows, 2.0), 4.6) + (1.3 if videos and small else 0.7)
    figure = Picture(min(width, 7.4), height)
    (ax,) = figure.panels(1, 1)
    image = _draw_matrix(ax, matrix, texts, videos)
    for row, column in enumerate(truth or () if small else ()):
        corner, look = (column - 0.5, row - 0.5), {"edgecolor": RED, "linewidth": 1.8}
        ax.add_patch(Rectangle(corner, 1, 1, fill=False, clip_on=False, **look))
    bar = figure.colorbar(image, ax=ax, fraction=0.045, pad=0.02)
    bar.outline.set_visible(False)
    quiet(bar.ax)
    heading(ax, title, "framed: true pairs" if truth is not None and small else "")
    ax.set_xlabel("videos", fontsize=8, color=MUTED)
    ax.set_ylabel("captions", fontsize=8, color=MUTED)
    low, high = _limits(matrix)
    figure.alt = (
        f"{title}: {rows} by {columns} scores from {tidy_number(low)} to {tidy_number(high)}."
        f"{_hits(matrix, truth)}"
    )
    return figure


def _hits(matrix: np.ndarray, truth: Sequence[int] | None) -> str:
    if truth is None:
        return ""
    best = int(np.sum(matrix.argmax(axis=1) == np.asarray(truth)))
    return f" For {best} of {len(matrix)} captions the true video scores highest."


def _limits(matrix: np.ndarray) -> tuple[float, float]:
    finite = matrix[np.isfinite(matrix)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _draw_matrix(
    ax: Any, matrix: np.ndarray, rows: Sequence[str] | None, columns: Sequence[str] | None
) -> Any:
    low, high = _limits(matrix)
    image = ax.imshow(matrix, cmap=SEQUENTIAL, vmin=low, vmax=high, aspect="auto")
    ax.spines[:].set_visible(False)
    for labels, count, axis in (
        (rows, len(matrix), ax.yaxis),
        (columns, matrix.shape[1], ax.xaxis),
    ):
        if labels is not None and len(labels) != count:
            raise UserError(f"{len(labels)} labels do not fit {count} rows or columns.")
        if labels is not None and count <= _NAMED:
            size = 8 if count <= 20 else 6.5
            axis.set_ticks(range(count), [drawable(label, 34) for label in labels], fontsize=size)
        elif labels is None:
            axis.set_major_locator(MaxNLocator(5, integer=True))
    if columns is not None and matrix.shape[1] <= _NAMED:
        ax.tick_params(axis="x", labelrotation=90 if matrix.shape[1] > 6 else 30)
    if max(matrix.shape) <= _NUMBERED:
        span = (high - low) or 1.0
        for (row, column), value in np.ndenumerate(matrix):
            shade = SEQUENTIAL((value - low) / span if np.isfinite(value) else 0.0)
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7,
                    color=readable_on(shade))  # fmt: skip
    elif max(matrix.shape) <= _NAMED:
        ax.set_xticks(np.arange(-0.5, matrix.shape[1]), minor=True)
        ax.set_yticks(np.arange(-0.5, len(matrix)), minor=True)
        ax.grid(which="minor", color=GRID, linewidth=0.4)
        ax.tick_params(which="minor", length=0)
    return image
