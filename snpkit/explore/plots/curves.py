"""Curves of a training run: every loss in its own small panel."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter

from snpkit.errors import UserError
from snpkit.explore.plots.style import (
    BLUE,
    GREEN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    RED,
    Picture,
    drawable,
    heading,
    tidy_number,
)

LOSS_TITLES = {
    "text_mlm": "Masked words alone",
    "cross_mlm": "Masked words + video",
    "gvtm_text_video": "Matching, dot product",
    "gvtm_cross_modal": "Matching, cross-modal",
    "lvwm": "Words and videos",
    "lvwm_before": "Words and videos, before",
    "lvwm_after": "Words and videos, after",
    "itm": "True or false caption",
    "loss": "All losses",
}
_POINTS = 500  # of a curve that are drawn: more cannot be told apart and would swell a page
Series = tuple[Sequence[float], Sequence[float]]  # steps, values


def loss_series(history: Iterable[Mapping[str, Any]]) -> dict[str, Series]:
    """Turn the lines of a run's history into one series per loss, the sum of all losses last.

    Args:
        history: rows such as {"step": 10, "loss": 9.2, "losses": {"text_mlm": 5.1, ...}}; None is
            a value that was not finite; rows without losses are left alone.
    """
    series: dict[str, tuple[list[float], list[float]]] = {}
    for row in history:
        values = {**row.get("losses", {}), **({"loss": row["loss"]} if "loss" in row else {})}
        for name, value in values.items():
            steps, numbers = series.setdefault(name, ([], []))
            steps.append(float(row["step"]))
            numbers.append(np.nan if value is None else float(value))
    if "loss" in series:
        series["loss"] = series.pop("loss")
    return dict(series)


def evaluation_series(
    history: Iterable[Mapping[str, Any]], prefix: str = "matching.text_to_video."
) -> dict[str, Series]:
    """R@1, R@5 and R@10 over the steps of a run, from the "evaluation" rows of its history."""
    series: dict[str, tuple[list[float], list[float]]] = {}
    for row in history:
        for name, label in (("r10", "R@10"), ("r5", "R@5"), ("r1", "R@1")):
            value = row.get("evaluation", {}).get(prefix + name)
            if value is not None:
                steps, numbers = series.setdefault(label, ([], []))
                steps.append(float(row["step"]))
                numbers.append(float(value))
    return dict(series)


def smooth(values: Sequence[float], span: float) -> np.ndarray:
    """Average over neighbours (a Gaussian as wide as `span` values); gaps (NaN) are passed over.

    Centred, so that the smooth curve does not lag behind the raw one. Where a run has no finite
    value at all the average is NaN.
    """
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    reach = max(int(2 * span), 1)
    kernel = np.exp(-0.5 * (2 * np.arange(-reach, reach + 1) / max(span, 1e-9)) ** 2)
    centre = slice(reach, reach + len(values))
    total = np.convolve(np.where(finite, values, 0.0), kernel)[centre]
    weight = np.convolve(finite.astype(float), kernel)[centre]
    return np.divide(total, weight, out=np.full(len(values), np.nan), where=weight > 1e-9)


def loss_curves(
    series: Mapping[str, Series],
    *,
    chance: Mapping[str, float] | None = None,
    columns: int = 3,
    span: float | None = None,
) -> Picture:
    """Small multiples of losses: raw values faint, their moving average strong.

    Args:
        series: name -> (steps, values); see `loss_series`. Values that are not finite are marked
            by a tick at the foot of the panel.
        chance: name -> the value that guessing gives, e.g. log(batch) for a matching loss.
        columns: panels in a row.
        span: values that the average covers; None = a 25th of the run.

    Raises:
        UserError: no series, or an empty one.
    """
    if not series or not all(len(values) for _, values in series.values()):
        raise UserError("There is no loss to draw; did the run log anything?")
    columns = min(columns, len(series))
    rows = ceil(len(series) / columns)
    figure = Picture(2.5 * columns + 0.2, 2.0 * rows + 0.1)
    panels = figure.panels(rows, columns)
    for panel in panels[len(series) :]:
        panel.set_axis_off()
    for panel, (name, (steps, values)) in zip(panels, series.items(), strict=False):
        _draw_loss(
            panel, name, np.asarray(steps), np.asarray(values), (chance or {}).get(name), span
        )
    last = max(float(steps[-1]) for steps, _ in series.values())
    said = "; ".join(_in_words(name, values) for name, (_, values) in series.items())
    figure.alt = f"Loss curves over {tidy_number(last)} steps. {said}."
    return figure


def _draw_loss(
    ax: Any, name: str, steps: np.ndarray, values: np.ndarray, chance: float | None,
    span: float | None,
) -> None:  # fmt: skip
    average = smooth(values, span or len(values) / 25)
    some = slice(None, None, max(len(values) // _POINTS, 1))
    ax.plot(steps[some], values[some], color=BLUE, alpha=0.45, linewidth=0.8)
    ax.plot(steps[some], average[some], color=BLUE, linewidth=1.8, solid_capstyle="round")
    final = average[-1]
    if np.isfinite(final):
        ax.plot(steps[-1:], [final], "o", color=BLUE, markersize=4)
    if chance is not None:
        ax.axhline(chance, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 2)))
        ax.annotate(
            f"guessing {tidy_number(chance)}", (1, chance), xycoords=("axes fraction", "data"),
            xytext=(-2, 3), textcoords="offset points", ha="right", fontsize=7.5, color=MUTED,
        )  # fmt: skip
    lost = steps[~np.isfinite(values)]
    ax.plot(lost, np.full(len(lost), 0.02), "|", color=RED, transform=ax.get_xaxis_transform())
    step_axes(ax)
    heading(ax, LOSS_TITLES.get(name, name), f"{final:.2f}" if np.isfinite(final) else "")
    ax.set_ylabel(drawable(name), fontsize=8, color=MUTED)


def step_axes(ax: Any, unit: str = "step") -> None:
    """Axes of a curve over a training: few ticks, and `unit` below."""
    ax.margins(x=0.02, y=0.12)
    ax.set_xlabel(drawable(unit), fontsize=8, color=MUTED)
    ax.locator_params(axis="both", nbins=4)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tidy_number(value)))
    ax.grid(axis="y", color=GRID, linewidth=0.6)


def recall_curves(series: Mapping[str, Series], *, chance: float | None = None) -> Picture:
    """R@K over the steps of a run, each curve named at its end.

    Args:
        series: "R@10", "R@5", ... -> (steps, percent), highest first; see `evaluation_series`.
        chance: R@10 of a random order, in percent.
    """
    if not series or not all(len(values) for _, values in series.values()):
        raise UserError("There is no evaluation to draw; did the run evaluate?")
    figure = Picture(2.7, 2.1)
    (ax,) = figure.panels(1, 1)
    looks = zip(series.items(), (BLUE, GREEN, RED, PURPLE), ("o", "s", "^", "D"), strict=False)
    label_at = np.inf
    for (name, (steps, values)), colour, marker in looks:
        ax.plot(steps, values, color=colour, marker=marker, markersize=4, linewidth=1.6)
        label_at = min(values[-1], label_at - 11)  # labels of close curves move apart
        ax.annotate(
            f"{name} {values[-1]:.0f}", (steps[-1], label_at), xytext=(7, 0), va="center",
            textcoords="offset points", fontsize=8.5, color=INK, annotation_clip=False,
        )  # fmt: skip
    if chance is not None:
        ax.axhline(chance, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 2)))
    step_axes(ax)
    ax.set_ylim(0, 102)
    ax.set_ylabel("R@K, %", fontsize=8, color=MUTED)
    heading(ax, "Found among the first K")
    figure.alt = "Share of captions whose video is found, over the steps of the run: " + "; ".join(
        f"{name} goes from {values[0]:.1f} % to {values[-1]:.1f} %"
        for name, (_, values) in series.items()
    )
    figure.alt += "." if chance is None else f"; a random order reaches R@10 of {chance:.1f} %."
    return figure


def _in_words(name: str, values: Sequence[float]) -> str:
    finite = [value for value in map(float, values) if np.isfinite(value)]
    if not finite:
        return f"{name} is never a number"
    text = f"{name} goes from {tidy_number(finite[0])} to {tidy_number(finite[-1])}"
    missing = len(values) - len(finite)
    return text + (f" ({missing} not finite)" if missing else "")
