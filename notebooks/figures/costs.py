"""What a step costs: how parts grow with the batch, and which share each of them has."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from snpkit.errors import UserError
from snpkit.explore.plots.curves import Series
from snpkit.explore.plots.style import (
    BLUE,
    GREEN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    RED,
    SKY,
    Picture,
    drawable,
    heading,
    readable_on,
    text_width,
    tidy_number,
)

_LINES = (BLUE, RED, GREEN, PURPLE)
_SHARES = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
_NAMED_FROM = 0.06  # a narrower share has no room for its number
_APART = 0.09  # of the axis, between the names of two lines


def growth_curves(series: Mapping[str, Series], *, title: str, across: str, along: str) -> Picture:
    """Lines on logarithmic axes, each named at its end: a square is twice as steep as a line.

    Args:
        series: name (at most four) -> (numbers across, numbers along), all above 0, more than one.
        title: written above.
        across, along: what the axes count.

    Raises:
        UserError: no series, more than four, or a number that has no logarithm.
    """
    if not 0 < len(series) <= len(_LINES):
        raise UserError(f"Growth is drawn of one to {len(_LINES)} series, not {len(series)}.")
    for name, points in series.items():
        if min(map(len, points)) < 2 or not all(np.all(np.asarray(axis) > 0) for axis in points):
            raise UserError(f"The series {name!r} needs two or more points, all above 0.")
    figure = Picture(7.4, 3.0)
    (ax,) = figure.panels(1, 1)
    ax.set(xscale="log", yscale="log")
    for (numbers, values), colour in zip(series.values(), _LINES, strict=False):
        ax.plot(numbers, values, color=colour, marker="o", markersize=4, linewidth=1.8)
    ticks = sorted({number for numbers, _ in series.values() for number in numbers})
    _set_axes(ax, ticks)
    ax.set_xlabel(drawable(across), fontsize=8, color=MUTED)
    ax.set_ylabel(drawable(along), fontsize=8, color=MUTED)
    heading(ax, title, "both axes logarithmic")
    _name_lines(ax, series)
    said = "; ".join(
        f"{name} goes from {tidy_number(float(values[0]))} to {tidy_number(float(values[-1]))}"
        for name, (_, values) in series.items()
    )
    figure.alt = f"{title}, over {across} from {ticks[0]:g} to {ticks[-1]:g}: {said}."
    return figure


def _set_axes(ax: Any, ticks: list[float]) -> None:
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_major_locator(LogLocator(numticks=6))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: tidy_number(value)))
    ax.grid(color=GRID, linewidth=0.6)


def _name_lines(ax: Any, series: Mapping[str, Series]) -> None:
    """Names right of the lines' ends, moved apart where the ends are close."""
    low, high = np.log(ax.get_ylim())
    ends = {name: (np.log(values[-1]) - low) / (high - low) for name, (_, values) in series.items()}
    place = np.inf
    for name in sorted(ends, key=ends.get, reverse=True):
        place = min(ends[name], place - _APART)
        ax.annotate(drawable(name, 30), (1, place), xycoords="axes fraction", xytext=(6, 0),
                    textcoords="offset points", va="center", fontsize=8.5, color=INK,
                    annotation_clip=False)  # fmt: skip


def share_bars(rows: Mapping[str, Mapping[str, float]], *, title: str) -> Picture:
    """A bar for each row, cut into the shares of its parts.

    Args:
        rows: label -> {part: amount, 0 or more}; the parts (at most six) are those of the first.
        title: written above.

    Raises:
        UserError: no row, too many parts, rows of different parts, or a row without any amount.
    """
    parts = list(next(iter(rows.values()), ()))
    if not 0 < len(parts) <= len(_SHARES):
        raise UserError(f"Bars are cut into one to {len(_SHARES)} parts, not {len(parts)}.")
    for label, amounts in rows.items():
        if set(amounts) != set(parts) or min(amounts.values()) < 0 or not sum(amounts.values()):
            raise UserError(f"The row {label!r} has other parts than the first, or no amount.")
    figure = Picture(7.4, 0.85 + 0.34 * len(rows))
    (ax,) = figure.panels(1, 1)
    shares = {label: {part: amounts[part] / sum(amounts.values()) for part in parts}
              for label, amounts in rows.items()}  # fmt: skip
    _draw_shares(ax, shares, parts)
    heading(ax, title)
    _draw_key(ax, parts)
    said = "; ".join(
        f"{label}: " + ", ".join(f"{part} {share:.0%}" for part, share in of_row.items())
        for label, of_row in shares.items()
    )
    figure.alt = f"{title}. {said}."
    return figure


def _draw_shares(ax: Any, shares: dict[str, dict[str, float]], parts: list[str]) -> None:
    places, left = np.arange(len(shares)), np.zeros(len(shares))
    for part, colour in zip(parts, _SHARES, strict=False):
        widths = np.asarray([of_row[part] for of_row in shares.values()])
        bars = ax.barh(places, widths, left=left, color=colour, edgecolor=PAPER, height=0.72)
        labels = [f"{width:.0%}" if width >= _NAMED_FROM else "" for width in widths]
        ax.bar_label(bars, labels, label_type="center", fontsize=8,
                     color=readable_on(to_rgb(colour)))  # fmt: skip
        left = left + widths
    ax.set_yticks(places, [drawable(label, 30) for label in shares], fontsize=8.5, color=INK)
    ax.set(xlim=(0, 1), ylim=(len(shares) - 0.5, -0.5), xticks=[])
    ax.spines[:].set_visible(False)


def _draw_key(ax: Any, parts: list[str]) -> None:
    start = 0.0
    for part, colour in zip(parts, _SHARES, strict=False):
        for text, shift, ink in (("■", 0, colour), (drawable(part, 30), 11, INK)):
            ax.annotate(text, (0, 0), xycoords="axes fraction", xytext=(start + shift, -13),
                        textcoords="offset points", fontsize=8.5, color=ink,
                        va="center")  # fmt: skip
        start += 11 + text_width(drawable(part, 30), 8.5) + 18
