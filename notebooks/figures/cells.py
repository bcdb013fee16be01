"""The cells of a grid: which pixels one sees, which places are alike, which cells form a window."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from snpkit.errors import UserError
from snpkit.explore.plots.style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    SEQUENTIAL,
    Picture,
    drawable,
    heading,
    readable_on,
)

_DRAWN = 56  # squares a side of a map that are drawn
_FAINTEST = 0.12  # shade of a pixel that is only just seen
Box = tuple[int, int, int, int]  # top, left, height, width in pixels
# Light tints on which black numbers can be read: neighbours differ, the number tells windows apart.
_TINTS = (
    "#b5d4e9", "#f7d58c", "#9fdcc6", "#f3b99a", "#e9c9da", "#d3e7f5", "#dfe3e6", "#fbeecb",
)  # fmt: skip


def receptive_fields(
    panels: Mapping[str, Any], cells: Mapping[str, Box], *, shared: bool = False
) -> Picture:
    """What a cell can see: how strongly each pixel moves its feature.

    Blue is the strength, on a square-root scale that starts at a visible tint, so that weak ties
    show too; the solid orange frame is the cell's own place, the dashed one surrounds all pixels
    that reach it.

    Args:
        panels: name -> strength [height, width], not negative; exactly 0 = the pixel is not seen.
        cells: name -> the cell's own pixels (top, left, height, width); a name may be missing.
        shared: one colour scale for all panels, e.g. for the frames of one clip.
    """
    if not panels:
        raise UserError("There is no receptive field to draw.")
    maps = {name: _to_map(values) for name, values in panels.items()}
    columns = min(len(maps), 4)
    rows = -(-len(maps) // columns)
    side = min(7.2 / columns, 2.3)
    figure = Picture(side * columns + 0.2, (side + 0.4) * rows)
    axes = figure.panels(rows, columns)
    highest = max(values.max() for values in maps.values())
    said = []
    for ax, (name, values) in zip(axes, maps.items(), strict=False):
        top = (highest if shared else values.max()) or 1.0
        height, width = values.shape
        ax.imshow(
            _shades(values, top),
            cmap=SEQUENTIAL,
            vmin=0,
            vmax=1,
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
            interpolation="nearest",
        )
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(color=MUTED, visible=True)
        reach = _extent(values)
        for box, line in ((cells.get(name), "-"), (reach, (0, (3, 2)))):
            if box:
                _outline(ax, box, line)
        ax.set_title(drawable(name, 30), loc="left", fontsize=8.5, color=INK, fontweight="bold")
        seen = (
            "sees {} x {}".format(*(reach[:1:-1] if reach else (0, 0))) + f" of {width} x {height}"
        )
        ax.set_xlabel(seen, fontsize=7.5, color=MUTED)
        said.append(f"{name} {seen} pixels")
    for ax in axes[len(maps) :]:
        ax.set_axis_off()
    figure.alt = f"Pixels that reach one cell of the grid. {'; '.join(said)}."
    return figure


def _to_map(values: Any) -> np.ndarray:
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, np.float64)
    if array.ndim != 2 or not array.size or not (array >= 0).all():
        raise UserError(f"A receptive field is [height, width], 0 or more, not {array.shape}.")
    return array


def _shades(values: np.ndarray, top: float) -> np.ndarray:
    small = _shrunk(values)
    return np.where(small > 0, _FAINTEST + (1 - _FAINTEST) * np.sqrt(small / top), 0.0)


def _shrunk(values: np.ndarray) -> np.ndarray:
    """Means over square blocks, so that large maps of noise do not swell a notebook."""
    side = max(values.shape) // _DRAWN
    height, width = values.shape
    if side < 2 or height % side or width % side:
        return values
    return values.reshape(height // side, side, width // side, side).mean((1, 3))


def _extent(values: np.ndarray) -> Box | None:
    """The smallest box around everything that is not 0."""
    rows, columns = np.flatnonzero(values.any(1)), np.flatnonzero(values.any(0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1


def _outline(ax: Any, box: Box, line: Any) -> None:
    top, left, height, width = box
    ax.add_patch(
        Rectangle((left - 0.5, top - 0.5), width, height, fill=False, linewidth=1.5,
                  edgecolor=ORANGE, linestyle=line, clip_on=False)
    )  # fmt: skip


def position_similarity(space: Any, time: Any) -> Picture:
    """Which positions a model holds for alike: cosine of every two position vectors.

    Args:
        space: [grid_height, grid_width, channels]; one tile for each cell, at the cell's place,
            shows how like it the vectors of all cells are.
        time: [frames, channels].
    """
    space, time = (np.asarray(v.detach().cpu(), np.float64) for v in (space, time))
    rows, columns = space.shape[:2]
    cosines = _cosines(space.reshape(rows * columns, -1)).reshape(rows, columns, rows, columns)
    figure = Picture(7.4, 3.5)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    sheet = np.full((rows * (rows + 1) - 1, columns * (columns + 1) - 1), np.nan)
    for row, column in np.ndindex(rows, columns):
        y, x = row * (rows + 1), column * (columns + 1)
        sheet[y : y + rows, x : x + columns] = cosines[row, column]
        _outline(left, (y + row, x + column, 1, 1), "-")
    times = _cosines(time)
    low = min(np.nanmin(sheet), times.min(), 0.99)
    for ax, values in ((left, sheet), (right, times)):
        image = ax.imshow(values, cmap=SEQUENTIAL, vmin=low, vmax=1, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(times):
        ink = readable_on(SEQUENTIAL((value - low) / ((1 - low) or 1)))
        right.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=ink)
    right.set(xticks=range(len(time)), yticks=range(len(time)))
    right.tick_params(colors=MUTED, labelsize=8, length=0)
    figure.colorbar(image, ax=right, fraction=0.045).outline.set_visible(False)
    heading(left, "Space: each cell with all cells", "framed: itself")
    heading(right, "Time: frame with frame")
    near, last = _near_and_far(cosines), len(time) - 1
    figure.alt = (
        f"Cosines of position vectors. Space: {rows} by {columns} cells, neighbours {near[0]:.2f} "
        f"on average, other cells {near[1]:.2f}. Time: {len(time)} frames, first with second "
        f"{times[0, min(1, last)]:.2f}, first with last {times[0, last]:.2f}."
    )
    return figure


def _cosines(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.clip(unit @ unit.T, -1, 1)


def _near_and_far(cosines: np.ndarray) -> tuple[float, float]:
    """Mean cosine of cells that share an edge, and of all other pairs."""
    y, x, v, u = np.indices(cosines.shape)
    steps = abs(y - v) + abs(x - u)
    near, far = cosines[steps == 1], cosines[steps > 1]
    return tuple(float(pairs.mean()) if len(pairs) else np.nan for pairs in (near, far))


def window_partition(panels: Mapping[str, Any]) -> Picture:
    """Which cells of a space-time grid belong together: one row a partition, one picture a time.

    Args:
        panels: name -> int [time, height, width], the number of each cell's group.
    """
    grids = {name: np.asarray(groups) for name, groups in panels.items()}
    longest = max(len(groups) for groups in grids.values())
    figure = Picture(7.4, (7.2 / max(longest, 3) + 0.36) * len(grids))
    axes = figure.panels(len(grids), longest)
    said = []
    for row, (name, groups) in enumerate(grids.items()):
        for time, ax in enumerate(axes[row * longest : (row + 1) * longest]):
            if time < len(groups):
                _draw_groups(ax, groups[time])
                ax.set_xlabel(f"time {time}", fontsize=7.5, color=MUTED)
            else:
                ax.set_axis_off()
        heading(axes[row * longest], name)
        counts = np.unique(groups, return_counts=True)[1]
        sizes = " to ".join(str(size) for size in sorted({counts.min(), counts.max()}))
        said.append(f"{name}: {len(counts)} groups of {sizes} cells")
    figure.alt = f"Cells that may attend to each other. {'; '.join(said)}."
    return figure


def _draw_groups(ax: Any, groups: np.ndarray) -> None:
    height, width = groups.shape
    for (row, column), group in np.ndenumerate(groups):
        tint = _TINTS[int(group) % len(_TINTS)]
        ax.add_patch(Rectangle((column, row), 1, 1, facecolor=tint, edgecolor=PAPER, linewidth=0.4))
    for group in np.unique(groups):
        y, x = np.argwhere(groups == group).mean(0)
        ax.text(x + 0.5, y + 0.54, int(group), ha="center", va="center", fontsize=8.5, color=INK)
    # A line wherever neighbours do not belong together.
    for row, column in np.argwhere(groups[:, 1:] != groups[:, :-1]):
        ax.plot([column + 1, column + 1], [row, row + 1], color=BLUE, linewidth=1.8)
    for row, column in np.argwhere(groups[1:] != groups[:-1]):
        ax.plot([column, column + 1], [row + 1, row + 1], color=BLUE, linewidth=1.8)
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)
