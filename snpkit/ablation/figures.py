"""Figures of an ablation's results: how each row learns, and how far it is from the baseline."""

from collections.abc import Mapping
from typing import Any, Literal

from snpkit.ablation.plan import Plan
from snpkit.ablation.summary import HEADLINE
from snpkit.explore.plots.ablations import Curve, Difference, learning_curves, paired_differences
from snpkit.explore.plots.style import Picture


def curves_figure(plan: Plan, results: Mapping[str, Any], table: str) -> Picture | None:
    """R@1 of a table's rows over their steps, as the paper's Fig. 6; a panel for each corpus.

    Returns:
        None where no run of the table is finished.
    """
    panels = {}
    for corpus in results["corpora"].values():
        rows = [corpus["rows"][name] for name in plan.tables[table].rows if name in corpus["rows"]]
        if rows:
            panels[corpus["title"]] = {row["title"]: _curve(row["curve"]) for row in rows}
    return learning_curves(panels, label="R@1, %") if panels else None


def _curve(curve: Mapping[str, Any]) -> Curve:
    band = curve[HEADLINE]
    return Curve(curve["steps"], band["mean"], [sd or 0.0 for sd in band["sd"]])


def differences_figure(
    plan: Plan,
    results: Mapping[str, Any],
    table: str,
    *,
    way: Literal["same_steps", "same_time"] = "same_steps",
) -> Picture | None:
    """Each row's R@1 minus the baseline's, seed by seed; a panel for each corpus.

    Returns:
        None where nothing can be compared yet.
    """
    panels: dict[str, list[Difference]] = {}
    for corpus in results["corpora"].values():
        for name, row in corpus["tables"][table]["rows"].items():
            found = row.get(f"difference_{way}", {}).get(HEADLINE)
            if found:
                fields = {k: found[k] for k in ("mean", "low", "high", "values")}
                one = Difference(corpus["rows"][name]["title"], **fields)
                panels.setdefault(corpus["title"], []).append(one)
    if not panels:
        return None
    baseline = plan.rows[plan.tables[table].baseline].title
    when = f"after the same {way.removeprefix('same_')}"
    label = "difference in R@1, points"
    return paired_differences(panels, baseline=baseline, label=label, note=when)
