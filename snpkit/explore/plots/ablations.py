"""Rows of an ablation: their curves with a band for the spread, and paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snpkit.errors import UserError
from snpkit.explore.plots.curves import step_axes
from snpkit.explore.plots.style import (
    BLUE,
    GREEN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    Picture,
    drawable,
    heading,
    shorten,
)

# Told apart by colour and by marker.
_LOOKS = tuple(zip((BLUE, RED, GREEN, PURPLE, ORANGE, SKY), ("o", "s", "^", "D", "v", "P"),
                   strict=True))  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """A metric over a training: where it was measured, its mean over seeds and their deviation."""

    at: Sequence[float]
    mean: Sequence[float]
    sd: Sequence[float]


@dataclass(frozen=True)
class Difference:
    """One row minus the baseline: mean, 95 % interval (None of a single seed), and each seed's."""

    name: str
    mean: float
    low: float | None
    high: float | None
    values: Sequence[float]


def learning_curves(
    panels: Mapping[str, Mapping[str, Curve]], *, unit: str = "step", label: str = "R@10, %"
) -> Picture:
    """Rows over their training, side by side for each corpus; a band one deviation wide each way.

    Args:
        panels: title of the corpus -> name of the row -> its curve.
        unit: of the horizontal axis.
        label: of the vertical axis, which the panels share.

    Raises:
        UserError: nothing to draw, or more rows than can be told apart (6).
    """
    names = list(dict.fromkeys(name for rows in panels.values() for name in rows))
    if not names or len(names) > len(_LOOKS):
        raise UserError(f"Curves are drawn of 1 to {len(_LOOKS)} rows, not of {len(names)}.")
    figure = Picture(7.4, 2.9 + 0.18 * ((len(names) + 1) // 2))
    axes = figure.panels(1, len(panels), sharey=True)
    looks = dict(zip(names, _LOOKS, strict=False))
    lines: dict[str, Any] = {}
    for ax, (title, rows) in zip(axes, panels.items(), strict=True):
        for name, curve in rows.items():
            lines[name] = _draw_curve(ax, curve, *looks[name])
        step_axes(ax, unit)
        ax.set_ylim(bottom=0)
        heading(ax, shorten(title, 46))
    axes[0].set_ylabel(drawable(label), fontsize=8, color=MUTED)
    figure.legend(
        [lines[name] for name in names], [drawable(name, 48) for name in names], ncols=2,
        loc="outside lower left", frameon=False, fontsize=8, labelcolor=INK,
    )  # fmt: skip
    said = "; ".join(f"{title}: {_ends(rows)}" for title, rows in panels.items())
    figure.alt = f"{label} over the training ({unit}), mean and spread of the seeds. {said}."
    return figure


def _draw_curve(ax: Any, curve: Curve, colour: str, marker: str) -> Any:
    at, mean, sd = (np.asarray(values, dtype=float) for values in (curve.at, curve.mean, curve.sd))
    ax.fill_between(at, mean - sd, mean + sd, color=colour, alpha=0.14, linewidth=0)
    (line,) = ax.plot(at, mean, color=colour, marker=marker, markersize=4, linewidth=1.6)
    return line


def _ends(rows: Mapping[str, Curve]) -> str:
    return ", ".join(
        f"{name} from {curve.mean[0]:.1f} to {curve.mean[-1]:.1f} (± {curve.sd[-1]:.1f})"
        for name, curve in rows.items()
    )


def paired_differences(
    panels: Mapping[str, Sequence[Difference]],
    *,
    baseline: str,
    label: str = "difference in R@10, points",
    note: str = "",
) -> Picture:
    """How far rows lie from the baseline: each seed a faint dot, their mean, its 95 % interval.

    An interval that does not hold zero is drawn in blue where the row is better, in red where it
    is worse, and in grey where it is not decided.

    Args:
        panels: title of the corpus -> its rows.
        baseline: name of the row that was subtracted.
        note: what the comparison holds equal.

    Raises:
        UserError: nothing to draw.
    """
    names = list(dict.fromkeys(one.name for rows in panels.values() for one in rows))
    if not names:
        raise UserError("There is no difference to draw; are two rows of a table finished?")
    figure = Picture(7.4, 1.15 + 0.36 * len(names))
    axes = figure.panels(1, len(panels), sharex=True, sharey=True)
    for ax, (title, rows) in zip(axes, panels.items(), strict=True):
        ax.axvline(0, color=INK, linewidth=1.0)
        for one in rows:
            _draw_difference(ax, names.index(one.name), one)
        ax.set_yticks(range(len(names)), [drawable(name, 40) for name in names], color=INK)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.grid(axis="x", color=GRID, linewidth=0.6)
        ax.set_xlabel(drawable(label), fontsize=8, color=MUTED)
        heading(ax, shorten(title, 28))
    minus = ", ".join(filter(None, (baseline, note)))
    title = drawable(f"Minus {minus}", 100)
    figure.suptitle(title, x=0.01, ha="left", fontsize=8.5, color=MUTED)
    said = (f"{title}: {', '.join(map(_in_words, rows))}" for title, rows in panels.items())
    figure.alt = f"Paired {label} from {minus}. {'; '.join(said)}."
    return figure


def _draw_difference(ax: Any, place: int, one: Difference) -> None:
    decided = one.low is not None and not one.low <= 0 <= one.high
    colour = MUTED if not decided else BLUE if one.mean > 0 else RED
    ax.plot(one.values, [place + 0.2] * len(one.values), "o", color=colour, alpha=0.35,
            markersize=3.5, markeredgewidth=0)  # fmt: skip
    if one.low is not None:
        ax.plot([one.low, one.high], [place, place], color=colour, linewidth=1.8,
                solid_capstyle="butt")  # fmt: skip
    ax.plot([one.mean], [place], "D" if decided else "o", color=colour, markersize=5)


def _in_words(one: Difference) -> str:
    interval = "" if one.low is None else f" ({one.low:+.1f} to {one.high:+.1f})"
    return f"{shorten(one.name, 60)} {one.mean:+.1f}{interval}"
