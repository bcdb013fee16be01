"""Figures of an ablation's results: how each row learns, and how far it is from the baseline."""

from collections.abc import Mapping
from typing import Any, Literal

from snpkit.ablation.plan import Plan
from snpkit.ablation.summary import HEADLINE
from snpkit.explore.plots.ablations import Curve, Difference, learning_curves, paired_differences
from snpkit.explore.plots.style import Picture

NAMES = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "matching_r10": "R@10 by matching alone",
         "questions": "accuracy on questions"}  # fmt: skip


def curves_figure(
    plan: Plan,
    results: Mapping[str, Any],
    table: str,
    *,
    metric: str = HEADLINE,
    over: Literal["steps", "seconds"] = "steps",
) -> Picture | None:
    """The rows of a table over their training, as the paper's Fig. 6; a panel for each corpus.

    Args:
        metric: "r1", "r5", "r10" or "matching_r10".
        over: steps, or CPU seconds.
    Returns:
        None where no run of the table is finished.
    """
    panels = {}
    for corpus in results["corpora"].values():
        rows = [name for name in plan.tables[table].rows if name in corpus["rows"]]
        if rows:
            own = (corpus["rows"][name] for name in rows)
            panels[corpus["title"]] = {row["title"]: _curve(row, metric, over) for row in own}
    if not panels:
        return None
    unit = "step" if over == "steps" else "CPU time, s"
    return learning_curves(panels, unit=unit, label=f"{NAMES[metric]}, %")


def differences_figure(
    plan: Plan,
    results: Mapping[str, Any],
    table: str,
    *,
    metric: str = HEADLINE,
    way: Literal["same_steps", "same_time"] = "same_steps",
) -> Picture | None:
    """Each row of a table minus its baseline, seed by seed; a panel for each corpus.

    Returns:
        None where nothing can be compared yet.
    """
    panels: dict[str, list[Difference]] = {}
    baseline = plan.rows[plan.tables[table].baseline].title
    for corpus in results["corpora"].values():
        for name, row in corpus["tables"][table]["rows"].items():
            found = row.get(f"difference_{way}", {}).get(metric)
            if found:
                fields = {k: found[k] for k in ("mean", "low", "high", "values")}
                one = Difference(corpus["rows"][name]["title"], **fields)
                panels.setdefault(corpus["title"], []).append(one)
    if not panels:
        return None
    when = "after the same steps" if way == "same_steps" else "after the same time"
    label = f"difference in {NAMES[metric]}, points"
    return paired_differences(panels, baseline=baseline, label=label, note=when)


def _curve(row: Mapping[str, Any], metric: str, over: str) -> Curve:
    steps, band = row["curve"]["steps"], row["curve"][metric]
    cost = 1.0 if over == "steps" else row["cpu_seconds_per_step"]
    return Curve([step * cost for step in steps], band["mean"], [sd or 0.0 for sd in band["sd"]])
