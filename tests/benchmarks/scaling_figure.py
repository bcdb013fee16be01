"""Curves of what a step takes, beside the cost model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, NullLocator

from snpkit.errors import UserError
from snpkit.explore.plots.style import (
    BLUE,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    Picture,
    heading,
    tidy_number,
)

_COLUMNS = 4


def scaling_curves(curves: Sequence[Any], note: str = "") -> Picture:
    """Small multiples: measured seconds as points with their spread, the cost model as a line.

    Both axes are logarithmic, so that what doubles goes up by the same height everywhere.

    Args:
        curves: of `tests.benchmarks.scaling.Curve`: name, values, seconds (median, least, greatest)
            and model, all above 0.
        note: what was measured; stands above the panels.

    Raises:
        UserError: there is no curve.
    """
    if not curves:
        raise UserError("There is no curve to draw; measure one first.")
    columns = min(_COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    figure = Picture(2.0 * columns + 0.4, 2.3 * rows + 0.3)
    panels = figure.panels(rows, columns, sharey=True)
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    for number, (panel, curve) in enumerate(zip(panels, curves, strict=False)):
        _draw(panel, curve, first=number == 0)
        if number % columns == 0:
            panel.set_ylabel("seconds of a step", fontsize=8, color=MUTED)
    _seconds_axis(panels[0], curves)
    if note:
        figure.suptitle(note, fontsize=8.5, color=MUTED, x=0.01, ha="left")
    said = "; ".join(_in_words(curve) for curve in curves)
    figure.alt = f"Seconds of a training step, measured and by the cost model. {said}."
    return figure


def _draw(ax: Any, curve: Any, *, first: bool) -> None:
    values = np.asarray(curve.values, dtype=float)
    median, low, high = np.asarray(curve.seconds, dtype=float).T
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.plot(values, curve.model, color=ORANGE, linewidth=1.6, linestyle=(0, (4, 2)))
    ax.errorbar(
        values, median, yerr=[median - low, high - median], color=BLUE, fmt="o", markersize=4.5,
        elinewidth=1.2, capsize=2,
    )  # fmt: skip
    if first:
        plate = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}  # over the grid's lines
        for mark, text, at, colour in (
            ("●", "measured", 0.9, BLUE), ("- -", "cost model", 0.79, ORANGE),
        ):  # fmt: skip
            options = {"transform": ax.transAxes, "fontsize": 8, "bbox": plate}
            ax.text(0.04, at, mark, color=colour, **options)
            ax.text(0.18, at, text, color=INK, **options)
    ax.set_xticks(values, [tidy_number(value) for value in values])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.margins(x=0.1)
    ax.grid(axis="y", color=GRID, linewidth=0.6)
    heading(ax, curve.name.capitalize())


def _seconds_axis(ax: Any, curves: Sequence[Any]) -> None:
    """Ticks at 1, 2 and 5 of every power of ten, over all panels."""
    every = [value for curve in curves for point in curve.seconds for value in point]
    every += [value for curve in curves for value in curve.model]
    low, high = min(every) / 1.2, max(every) * 1.2
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    ax.set_ylim(low, high)
    ax.set_yticks([tick for tick in ticks if low <= tick <= high])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tidy_number(value)))
    ax.yaxis.set_minor_locator(NullLocator())


def _in_words(curve: Any) -> str:
    medians = [point[0] for point in curve.seconds]
    apart = max(abs(m / s - 1) for m, s in zip(curve.model, medians, strict=True))
    return (
        f"Over {curve.name} from {tidy_number(curve.values[0])} to "
        f"{tidy_number(curve.values[-1])} a step goes from {tidy_number(medians[0])} to "
        f"{tidy_number(medians[-1])} seconds, the cost model at most {apart:.0%} away"
    )
