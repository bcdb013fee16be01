"""How steadily a run went: seconds a step, and the memory that its process held."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from snpkit.errors import UserError
from snpkit.explore.plots.curves import step_axes
from snpkit.explore.plots.style import BLUE, MUTED, Picture, heading

_PARTS = 60  # of a run, each drawn as one point


@dataclass(frozen=True)
class Pace:
    """A run cut into parts of equal length.

    Attributes:
        steps: the last step of each part.
        seconds: median time of a step in it; steps that evaluated or saved do not move a median.
        memory_mb: the most memory that was noted in it, in megabytes; NaN where none was.
    """

    steps: np.ndarray
    seconds: np.ndarray
    memory_mb: np.ndarray

    @property
    def slowdown(self) -> float:
        """Time of a step in the last quarter over that in the first: 1 = as fast as before."""
        quarter = max(len(self.seconds) // 4, 1)
        return float(np.median(self.seconds[-quarter:]) / np.median(self.seconds[:quarter]))

    @property
    def growth_mb(self) -> float:
        """Memory at the end less that after the first tenth, in which caches fill."""
        noted = self.memory_mb[np.isfinite(self.memory_mb)]
        return float(noted[-1] - noted[min(max(len(noted) // 10, 1), len(noted) - 1)])


def read_pace(history: Iterable[Mapping[str, Any]], parts: int = _PARTS) -> Pace:
    """Cut the lines of a run's history into parts.

    Args:
        history: rows such as {"step": 10, "loss": 9.2, "seconds": 8.1, "memory_mb": 812.5};
            "seconds" count from the start of the run, other rows are left alone.

    Raises:
        UserError: fewer than three steps, or no memory noted (a run of an older snpkit).
    """
    rows = [row for row in history if "seconds" in row and "loss" in row]
    if len(rows) < 3 or not any("memory_mb" in row for row in rows):
        raise UserError(
            "The history notes no pace: it takes three steps, and the memory that runs write since "
            "snpkit 0.1."
        )
    times = [later["seconds"] - earlier["seconds"] for earlier, later in pairwise(rows)]
    groups = np.array_split(np.arange(1, len(rows)), min(parts, len(rows) - 1))
    memory = [[rows[n].get("memory_mb", np.nan) for n in group] for group in groups]
    return Pace(
        np.array([rows[group[-1]]["step"] for group in groups]),
        np.array([np.median([times[n - 1] for n in group]) for group in groups]),
        np.array([np.nanmax(part) if np.isfinite(part).any() else np.nan for part in memory]),
    )


def pace_curves(pace: Pace) -> Picture:
    """Seconds a step and memory over a run, both from zero."""
    figure = Picture(5.2, 2.1)
    left, right = figure.panels(1, 2)
    seconds, noted = pace.seconds, np.isfinite(pace.memory_mb)
    gigabytes = pace.memory_mb / 1000
    left.plot(pace.steps, seconds, color=BLUE, linewidth=1.6)
    right.plot(pace.steps[noted], gigabytes[noted], color=BLUE, linewidth=1.6)
    titles = ("Time of a step", f"{np.median(seconds):.2f} s"), (
        "Memory", f"{gigabytes[noted][-1]:.2f} GB",
    )  # fmt: skip
    for ax, (title, value), unit, most in zip(
        (left, right), titles, ("seconds", "gigabytes"),
        (seconds.max(), gigabytes[noted].max()), strict=True,
    ):  # fmt: skip
        step_axes(ax)
        ax.set_ylim(0, 1.2 * most)
        ax.set_ylabel(unit, fontsize=8, color=MUTED)
        heading(ax, title, value)
    figure.alt = (
        f"A run of {pace.steps[-1]:,} steps: a step takes {np.median(seconds):.2f} s, in the last "
        f"quarter {pace.slowdown:.2f} times as long as in the first; memory goes from "
        f"{gigabytes[noted][0]:.2f} to {gigabytes[noted][-1]:.2f} GB."
    )
    return figure
