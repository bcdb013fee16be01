"""From the records of finished runs to one small set of results: every row, curve and comparison.

Two comparisons are made of each table. *Same steps*: each run's last evaluation. *Same time*: each
run at the CPU time in which the fastest row of the table did all its steps, read off between
two evaluations.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from snpkit.ablation.plan import Plan, Table
from snpkit.ablation.statistics import compared, described, holm, mean_of
from snpkit.errors import UserError

METRICS = ("r1", "r5", "r10", "median_rank", "matching_r1", "matching_r5", "matching_r10",
           "matching_median_rank", "questions")  # fmt: skip
CURVES = ("r1", "r5", "r10", "matching_r10")
COMPARED = ("r1", "r5", "r10", "matching_r10", "questions")
HEADLINE = "r1"  # not yet saturated where R@10 is; its p-values are adjusted for a table's rows
Record = Mapping[str, Any]
Metrics = Mapping[str, float]
Differences = dict[str, dict[str, list[float]]]  # of a row, of a metric: one a pair of seeds


def metrics_of(point: Record) -> dict[str, float]:
    """The text-to-video metrics of a point of a curve, in percent or as ranks.

    "r1" ... are those of the model as it is used: re-ranked by the cross-modal pass if it has one.
    "matching_r1" ... are of the matching score alone, for every model.
    """
    used = point.get("reranked", point["matching"])
    return dict(used) | {f"matching_{name}": value for name, value in point["matching"].items()}


def last_metrics(record: Record) -> dict[str, float]:
    """All metrics at the end of a run, accuracy on questions included where it was measured."""
    answered = record.get("questions")
    more = {"questions": answered["accuracy"]} if answered else {}
    return metrics_of(record["curve"][-1]) | more


def metrics_at(record: Record, step: float) -> dict[str, float]:
    """Metrics at a step, interpolated linearly between the two evaluations around it.

    Before the first evaluation its values hold, and after the last one those of the last.
    """
    steps = [point["step"] for point in record["curve"]]
    points = [metrics_of(point) for point in record["curve"]]
    return {
        name: float(np.interp(step, steps, [point[name] for point in points]))
        for name in points[0]
    }


def step_cost(records: Iterable[Record]) -> float:
    """CPU seconds of a step: the median over the runs, as a machine is busy now and then."""
    return median(r["curve"][-1]["cpu_seconds"] / r["curve"][-1]["step"] for r in records)


def summarise(plan: Plan, records: Sequence[Record]) -> dict[str, Any]:
    """The results of a plan as JSON values; rows without a finished run are left out.

    Returns:
        {"plan", "corpora": {corpus: {"title", "rows": {row: ...}, "tables": {table: ...}}},
        "pooled": {table: {row: {metric: comparison over all corpora and seeds}}}, "machines"}.

    Raises:
        UserError: no run is finished.
    """
    if not records:
        raise UserError(f"No run of the plan {plan.name} is finished; there is nothing to report.")
    corpora: dict[str, Any] = {}
    pooled: dict[str, Differences] = {name: {} for name in plan.tables}
    for corpus, wanted in plan.corpora.items():
        groups: dict[str, list[Record]] = {row: [] for row in plan.rows}
        for record in sorted(records, key=lambda record: record["seed"]):
            if record["corpus"] == corpus:
                groups[record["row"]].append(record)
        corpora[corpus] = {
            "title": wanted.title,
            "rows": {row: _row(plan, row, own) for row, own in groups.items() if own},
            "tables": {name: _table(t, groups, pooled[name]) for name, t in plan.tables.items()},
        }
    machines = [record["machine"] for record in records]
    return _rounded({
        "plan": plan.name,
        "corpora": corpora,
        "pooled": {name: _tested(differences) for name, differences in pooled.items()},
        "machines": [one for n, one in enumerate(machines) if one not in machines[:n]],
    })


def _row(plan: Plan, row: str, records: Sequence[Record]) -> dict[str, Any]:
    last = [record["curve"][-1] for record in records]
    return {
        "title": plan.rows[row].title,
        "seeds": [record["seed"] for record in records],
        "parameters": records[0]["parameters"],
        "steps": last[0]["step"],
        "cpu_seconds_per_step": step_cost(records),
        "wall_seconds": median(point["seconds"] for point in last),
        "skipped_steps": sum(record["skipped"] for record in records),
        "losses": {
            name: mean_of(record["losses"][name] for record in records)
            for name in records[0]["losses"]
        },
        "final": _described(map(last_metrics, records), METRICS),
        "curve": _curves([record["curve"] for record in records]),
    }


def _curves(curves: Iterable[Sequence[Record]]) -> dict[str, Any]:
    """Mean and deviation over the runs, at each point that all of them have."""
    at = list(zip(*curves, strict=False))
    bands: dict[str, Any] = {"steps": [points[0]["step"] for points in at]}
    found = [_described(map(metrics_of, points), CURVES) for points in at]
    for name in CURVES:
        bands[name] = {key: [one[name][key] for one in found] for key in ("mean", "sd")}
    return bands


def _table(
    table: Table, groups: Mapping[str, list[Record]], pooled: Differences
) -> dict[str, Any]:
    """Rows of a table at the same time, and compared with the baseline in both ways.

    The differences after the same steps join `pooled`.
    """
    runs = {row: groups[row] for row in table.rows if groups[row]}
    if not runs:
        return {"rows": {}}
    costs = {row: step_cost(own) for row, own in runs.items()}
    totals = {row: costs[row] * own[0]["curve"][-1]["step"] for row, own in runs.items()}
    fastest = min(totals, key=totals.__getitem__)
    steps = {row: totals[fastest] / cost for row, cost in costs.items()}
    at_end = {row: {r["seed"]: last_metrics(r) for r in own} for row, own in runs.items()}
    in_time = {row: {r["seed"]: metrics_at(r, steps[row]) for r in own}
               for row, own in runs.items()}  # fmt: skip
    rows: dict[str, dict[str, Any]] = {
        row: {"steps_in_time": steps[row], "same_time": _described(own.values(), CURVES)}
        for row, own in in_time.items()
    }
    differences = _differences(at_end, table.baseline)
    for row, own in differences.items():
        for metric, values in own.items():
            pooled.setdefault(row, {}).setdefault(metric, []).extend(values)
    late = _tested(_differences(in_time, table.baseline))
    for row, compared_rows in _tested(differences).items():
        rows[row] |= {"difference_same_steps": compared_rows, "difference_same_time": late[row]}
    return {"cpu_seconds": totals[fastest], "fastest": fastest, "rows": rows}


def _differences(runs: Mapping[str, Mapping[int, Metrics]], baseline: str) -> Differences:
    """Each row minus the baseline, in pairs of equal seed."""
    found: Differences = {}
    base = runs.get(baseline, {})
    for row in (name for name in runs if base and name != baseline):
        pairs = [(own, base[seed]) for seed, own in runs[row].items() if seed in base]
        taken = {m: [a[m] - b[m] for a, b in pairs if m in a and m in b] for m in COMPARED}
        found[row] = {metric: values for metric, values in taken.items() if values}
    return found


def _tested(differences: Differences) -> dict[str, dict[str, Any]]:
    """Every comparison; the headline metric's p-values of the t-test are also adjusted ("holm_p")
    for the number of rows."""
    found = {row: {m: compared(d) for m, d in own.items()} for row, own in differences.items()}
    tested = [own[HEADLINE] for own in found.values() if HEADLINE in own]
    tested = [one for one in tested if one["t_p"] is not None]
    for one, adjusted in zip(tested, holm([one["t_p"] for one in tested]), strict=True):
        one["holm_p"] = adjusted
    return found


def _described(runs: Iterable[Metrics], metrics: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Those of the metrics that the runs have: the values of all seeds, mean and deviation."""
    runs = list(runs)
    found = {metric: [run[metric] for run in runs if metric in run] for metric in metrics}
    return {metric: described(values) for metric, values in found.items() if values}


def _rounded(value: Any) -> Any:
    """Numbers to four significant digits: more is noise, and would swell the file."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
