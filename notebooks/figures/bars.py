"""Accuracies side by side: several models or baselines, for several kinds of questions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snpkit.errors import UserError
from snpkit.explore.plots.style import (
    BLUE,
    GREEN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    OTHER_COLOUR,
    Picture,
    drawable,
    heading,
    text_width,
)

_COLOURS = (BLUE, ORANGE, GREEN)
_KEY = 8.5  # points, size of the text of the key
Groups = Mapping[str, float]


def accuracy_bars(
    series: Mapping[str, Groups],
    *,
    baseline: str | None = None,
    guessing: float | None = None,
    title: str = "",
) -> Picture:
    """One bar for each series in each group, with its number at the end.

    Args:
        series: name (at most three) -> {group: percent}; all with the same groups, which are drawn
            in the order of the first.
        baseline: name of the series that takes no model, which is drawn in grey.
        guessing: percent that blind guessing gives, drawn as a line.
        title: written above, with ", %".

    Raises:
        UserError: no series, more than three, or series of different groups.
    """
    names = list(series)
    groups = list(next(iter(series.values()), ()))
    if not groups or len(names) > len(_COLOURS):
        raise UserError(f"Bars need one to {len(_COLOURS)} series with groups, not {len(names)}.")
    for name in names:
        if set(series[name]) != set(groups):
            raise UserError(f"The series {name!r} has other groups than {names[0]!r}.")
    figure = Picture(7.4, 0.75 + (0.16 * len(names) + 0.14) * len(groups))
    (ax,) = figure.panels(1, 1)
    colours = [OTHER_COLOUR if name == baseline else colour
               for name, colour in zip(names, _COLOURS, strict=False)]  # fmt: skip
    thick = 0.8 / len(names)
    for place, (name, colour) in enumerate(zip(names, colours, strict=True)):
        rows = np.arange(len(groups)) - 0.4 + thick * (place + 0.5)
        values = [float(series[name][group]) for group in groups]
        ax.barh(rows, values, height=thick * 0.86, color=colour)
        for row, value in zip(rows, values, strict=True):
            ax.annotate(f"{value:.0f}", (value, row), xytext=(3, -0.5), va="center", fontsize=7.5,
                        textcoords="offset points", color=MUTED)  # fmt: skip
    if guessing is not None:
        ax.axvline(guessing, color=INK, linewidth=1, linestyle=(0, (4, 2)))
    ax.set_yticks(range(len(groups)), [drawable(group, 24) for group in groups], fontsize=8.5,
                  color=INK)  # fmt: skip
    ax.set(xlim=(0, 108), ylim=(len(groups) - 0.5, -0.5), xticks=range(0, 101, 25))
    ax.xaxis.grid(color=GRID, linewidth=0.6)
    ax.spines[:].set_visible(False)
    note = "" if guessing is None else f"dashed: guessing, {guessing:.0f} %"
    heading(ax, f"{title or 'Accuracy'}, %", note)
    _draw_key(ax, names, colours)
    figure.alt = _in_words(series, groups, guessing, title)
    return figure


def _draw_key(ax: Any, names: Sequence[str], colours: Sequence[str]) -> None:
    start = 0.0
    for name, colour in zip(names, colours, strict=True):
        for text, shift, ink in (("■", 0, colour), (drawable(name, 40), 11, INK)):
            ax.annotate(text, (0, 0), xycoords="axes fraction", xytext=(start + shift, -27),
                        textcoords="offset points", fontsize=_KEY, color=ink,
                        va="center")  # fmt: skip
        start += 11 + text_width(drawable(name, 40), _KEY) + 18


def _in_words(
    series: Mapping[str, Groups], groups: list[str], guessing: float | None, title: str
) -> str:
    said = [
        f"{group}: " + ", ".join(f"{name} {values[group]:.0f}" for name, values in series.items())
        for group in groups
    ]
    guess = "" if guessing is None else f" Guessing gives {guessing:.0f}."
    return f"{title or 'Accuracy'}, in percent. {'; '.join(said)}.{guess}"
