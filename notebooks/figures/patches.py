"""From pixels to clip tokens: which frames are taken and how they are cut."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from snpkit.errors import UserError
from snpkit.explore.plots.style import (
    GRID,
    INK,
    MUTED,
    PAPER,
    RED,
    Picture,
    drawable,
    heading,
    to_frames,
)

_OUTLINED = {"path_effects": [withStroke(linewidth=2.2, foreground=INK)], "color": PAPER}
_BANDS = ("#b5d4e9", GRID)  # of neighbouring ranges


def sampling_plan(frame_count: int, ranges: int, rows: Mapping[str, Sequence[int]]) -> Picture:
    """A video as a line of frames, cut into equal ranges, and which frames each way takes.

    Args:
        frame_count: frames of the video.
        ranges: how many equal ranges it is cut into.
        rows: name -> numbers of the frames taken.

    Raises:
        UserError: nothing to draw, or a frame outside the video.
    """
    taken = [int(number) for row in rows.values() for number in row]
    if not taken or min(taken) < 0 or max(taken) >= frame_count:
        raise UserError(f"A sampling plan needs frames of a video that has {frame_count} of them.")
    figure = Picture(height=0.75 + 0.34 * len(rows))
    (ax,) = figure.panels(1, 1)
    edges = np.arange(ranges + 1) * frame_count // ranges
    for place, (first, stop) in enumerate(pairwise(edges)):
        ax.axvspan(first - 0.5, stop - 0.5, color=_BANDS[place % 2], alpha=0.55, linewidth=0)
    for line, numbers in enumerate(rows.values()):
        ax.scatter(range(frame_count), [line] * frame_count, s=9, color=MUTED, linewidth=0)
        ax.scatter(numbers, [line] * len(numbers), s=52, color=RED, linewidth=0, zorder=3)
    ax.set_yticks(range(len(rows)), [drawable(name, 26) for name in rows], fontsize=8.5, color=INK)
    ax.set(xlim=(-0.7, frame_count - 0.3), ylim=(len(rows) - 0.4, -0.6))
    ax.set_xlabel("frame of the video", fontsize=8, color=MUTED)
    ax.spines[:].set_visible(False)
    heading(ax, f"{frame_count} frames in {ranges} equal ranges", "red: taken")
    said = "; ".join(f"{name}: {_listed(numbers)}" for name, numbers in rows.items())
    figure.alt = f"{frame_count} frames in {ranges} equal ranges. Frames taken, {said}."
    return figure


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(int(number)) for number in numbers)


def clip_frames(
    clips: Any,
    *,
    numbers: Any = None,
    cells: tuple[int, int] | None = None,
    values: Any = None,
    title: str = "",
) -> Picture:
    """The frames of a video as the model sees them, one row a clip, with the grid over them.

    Args:
        clips: uint8 [clips, frames, 3, height, width].
        numbers: int [clips, frames], where in the video each frame was taken.
        cells: grid height and width; their borders are drawn.
        values: [clips, frames, grid_height, grid_width], written into the cells.
        title: written above.
    """
    rows, columns = clips.shape[:2]
    pictures = to_frames(clips.reshape(rows * columns, *clips.shape[2:]))
    wide = min(7.2 / columns, 1.8 if values is not None else 1.4)
    tall = wide * pictures.shape[1] / pictures.shape[2]
    figure = Picture(wide * columns + 0.2, (tall + 0.24) * rows + (0.4 if title else 0.1))
    if title:
        figure.suptitle(
            drawable(title, 100), fontsize=9, color=INK, x=0.01, ha="left", fontweight="bold"
        )
    for place, (ax, picture) in enumerate(zip(figure.panels(rows, columns), pictures, strict=True)):
        clip, frame = divmod(place, columns)
        _show(ax, picture)
        where = "" if numbers is None else f" (no. {int(numbers[clip][frame])})"
        ax.set_title(f"clip {clip}, frame {frame}{where}", fontsize=6.8, color=MUTED, pad=3)
        if cells:
            _draw_grid(ax, picture.shape[:2], cells)
        if values is not None:
            ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, color=PAPER, alpha=0.6))
            _write_cells(ax, picture.shape[:2], np.asarray(values[clip][frame]), {"color": INK})
    figure.alt = _clips_in_words(rows, columns, cells, numbers, values, title)
    return figure


def _show(ax: Any, picture: np.ndarray) -> None:
    ax.imshow(picture, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _draw_grid(ax: Any, size: tuple[int, int], cells: tuple[int, int]) -> None:
    # Dark below light: the lines show on bright and on dark pictures.
    for colour, width in ((INK, 1.6), (PAPER, 0.7)):
        for row in range(1, cells[0]):
            ax.axhline(row * size[0] / cells[0] - 0.5, color=colour, linewidth=width)
        for column in range(1, cells[1]):
            ax.axvline(column * size[1] / cells[1] - 0.5, color=colour, linewidth=width)


def _write_cells(
    ax: Any, size: tuple[int, int], values: np.ndarray, look: Mapping[str, Any]
) -> None:
    for (row, column), value in np.ndenumerate(values):
        y, x = ((row + 0.5) * size[0] / len(values), (column + 0.5) * size[1] / len(values[0]))
        ax.text(x - 0.5, y - 0.5, f"{value:g}", fontsize=8, ha="center", va="center",
                **look)  # fmt: skip


def _clips_in_words(
    rows: int, columns: int, cells: tuple[int, int] | None, numbers: Any, values: Any, title: str
) -> str:
    said = [f"{title or 'Frames of a video'}: {rows} clips of {columns} frames"]
    if numbers is not None:
        said.append(f"taken at {_listed(np.asarray(numbers).reshape(-1))}")
    if cells:
        said.append(f"cut into {cells[0]} by {cells[1]} cells each")
    if values is not None:
        array = np.asarray(values, dtype=np.float64)
        place = [int(i) for i in np.unravel_index(array.argmax(), array.shape)]
        said.append(
            f"largest value {array.max():g} in clip {place[0]}, frame {place[1]}, "
            f"row {place[2]}, column {place[3]}"
        )
    return ", ".join(said) + "."


def patch_sheet(frame: Any, size: int) -> Picture:
    """A frame with its patches numbered, and the same patches laid out in reading order.

    Args:
        frame: uint8 [3, height, width], both sides multiples of `size`.
        size: pixels a side of a patch.

    Raises:
        UserError: the patches do not cut the frame evenly.
    """
    picture = to_frames(frame)[0]
    height, width = picture.shape[:2]
    if height % size or width % size:
        raise UserError(f"Patches of {size} pixels do not cut {width} x {height} pixels evenly.")
    rows, columns = height // size, width // size
    figure = Picture(7.4, 2.6)
    whole, sheet = figure.subplots(1, 2, width_ratios=(1, 1.9))
    _show(whole, picture)
    _draw_grid(whole, (height, width), (rows, columns))
    numbers = np.arange(rows * columns).reshape(rows, columns)
    _write_cells(whole, (height, width), numbers, _OUTLINED)
    heading(whole, f"A frame of {width} x {height} pixels")
    patches = picture.reshape(rows, size, columns, size, 3).swapaxes(1, 2)
    patches = patches.reshape(-1, size, size, 3)
    wide = int(np.ceil(np.sqrt(3.5 * len(patches))))
    for number, patch in enumerate(patches):
        line, place = divmod(number, wide)
        left, top = place * 1.12, line * 1.42
        sheet.imshow(patch, extent=(left, left + 1, top + 1, top), interpolation="nearest")
        sheet.text(left + 0.5, top + 1.2, number, ha="center", va="center", fontsize=7, color=MUTED)
    sheet.set(xlim=(-0.1, wide * 1.12), ylim=((line + 1) * 1.42, -0.1), xticks=[], yticks=[])
    sheet.spines[:].set_visible(False)
    sheet.set_facecolor("none")
    heading(sheet, f"{len(patches)} patches of {size} x {size} pixels, in reading order")
    figure.alt = (
        f"A frame of {width} x {height} pixels, cut into {rows} by {columns} = {len(patches)} "
        f"patches of {size} x {size} pixels, laid out in reading order."
    )
    return figure
