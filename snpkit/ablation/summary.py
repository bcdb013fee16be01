"""From the records of finished runs to one small set of results: every row, curve and comparison.

Two comparisons are made of each table. *Same steps*: each run's last evaluation. *Same time*: each
run at the CPU time in which the fastest row of the table did all its steps, read off between
two evaluations.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np

from snpkit.ablation.plan import Plan, Table
from snpkit.ablation.statistics import Paired, Sample, holm
from snpkit.errors import UserError

METRICS = ("r1", "r5", "r10", "median_rank", "matching_r1", "matching_r5", "matching_r10",
           "matching_median_rank", "questions")  # fmt: skip
CURVES = ("r1", "r5", "r10", "matching_r10")
COMPARED = ("r1", "r5", "r10", "matching_r10", "questions")
HEADLINE = "r1"  # not yet saturated where R@10 is; its p-values are adjusted for a table's rows
Record = Mapping[str, Any]
Values = dict[int, float]  # of one metric, by seed


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
    """Processor seconds of a step: the median over the runs, as a machine is busy now and then."""
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
    pooled: dict[str, Any] = {name: {} for name in plan.tables}
    for corpus, wanted in plan.corpora.items():
        groups = {row: _of(records, corpus, row) for row in plan.rows}
        groups = {row: own for row, own in groups.items() if own}
        corpora[corpus] = {
            "title": wanted.title,
            "rows": {row: _row(plan, row, own) for row, own in groups.items()},
            "tables": {name: _table(t, groups, pooled[name]) for name, t in plan.tables.items()},
        }
    machines = [record["machine"] for record in records]
    return _rounded({
        "plan": plan.name,
        "corpora": corpora,
        "pooled": {
            name: _adjusted({row: {m: _comparison(d) for m, d in own.items()}
                             for row, own in table.items()})
            for name, table in pooled.items()
        },
        "machines": [one for n, one in enumerate(machines) if one not in machines[:n]],
    })  # fmt: skip


def _of(records: Sequence[Record], corpus: str, row: str) -> list[Record]:
    own = [r for r in records if r["corpus"] == corpus and r["row"] == row]
    return sorted(own, key=lambda record: record["seed"])


def _row(plan: Plan, row: str, records: Sequence[Record]) -> dict[str, Any]:
    final = {record["seed"]: last_metrics(record) for record in records}
    points = [[metrics_of(point) for point in record["curve"]] for record in records]
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
            name: _mean([record["losses"][name] for record in records])
            for name in records[0]["losses"]
        },
        "final": _described(final, METRICS),
        "curve": {"steps": [point["step"] for point in records[0]["curve"]]}
        | {name: _band([[p[name] for p in run] for run in points]) for name in CURVES},
    }


def _table(table: Table, groups: Mapping[str, list[Record]], pooled: dict) -> dict[str, Any]:
    """Rows of a table at the same time, and compared with the baseline in both ways."""
    rows = [row for row in table.rows if row in groups]
    if not rows:
        return {"rows": {}}
    totals = {
        row: step_cost(groups[row]) * groups[row][0]["curve"][-1]["step"] for row in rows
    }
    budget = min(totals.values())
    ways: dict[str, dict[str, dict[int, dict[str, float]]]] = {"same_steps": {}, "same_time": {}}
    for row in rows:
        step = budget / step_cost(groups[row])
        ways["same_steps"][row] = {r["seed"]: last_metrics(r) for r in groups[row]}
        ways["same_time"][row] = {r["seed"]: metrics_at(r, step) for r in groups[row]}
    found: dict[str, Any] = {
        "cpu_seconds": budget,
        "fastest": min(totals, key=totals.__getitem__),
        "rows": {
            row: {
                "steps_in_time": budget / step_cost(groups[row]),
                "same_time": _described(ways["same_time"][row], CURVES),
            }
            for row in rows
        },
    }
    for way, values in ways.items():
        compared = _compare(values, table.baseline, pooled if way == "same_steps" else {})
        for row, differences in compared.items():
            found["rows"][row][f"difference_{way}"] = differences
    return found


def _compare(
    values: Mapping[str, dict[int, dict[str, float]]], baseline: str, pooled: dict
) -> dict[str, dict[str, Any]]:
    """Each row minus the baseline, in pairs of equal seed; the differences join `pooled`."""
    compared: dict[str, dict[str, Any]] = {}
    for row in (name for name in values if baseline in values and name != baseline):
        compared[row] = {}
        for metric in COMPARED:
            own, base = _by_seed(values[row], metric), _by_seed(values[baseline], metric)
            differences = [own[seed] - base[seed] for seed in own if seed in base]
            if differences:
                compared[row][metric] = _comparison(differences)
                pooled.setdefault(row, {}).setdefault(metric, []).extend(differences)
    return _adjusted(compared)


def _adjusted(compared: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """With "holm_p", the t-test's value for the headline metric adjusted for the number of rows."""
    tested = [own[HEADLINE] for own in compared.values() if HEADLINE in own]
    tested = [one for one in tested if one["t_p"] is not None]
    for one, adjusted in zip(tested, holm([one["t_p"] for one in tested]), strict=True):
        one["holm_p"] = adjusted
    return compared


def _comparison(differences: Sequence[float]) -> dict[str, Any]:
    return asdict(Paired.of(differences)) | {"values": list(differences)}


def _by_seed(runs: Mapping[int, Mapping[str, float]], metric: str) -> Values:
    return {seed: values[metric] for seed, values in runs.items() if metric in values}


def _described(
    runs: Mapping[int, Mapping[str, float]], metrics: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Those of the metrics that the runs have: the values of all seeds, mean and deviation."""
    found = {metric: list(_by_seed(runs, metric).values()) for metric in metrics}
    return {m: asdict(Sample.of(own)) | {"values": own} for m, own in found.items() if own}


def _band(runs: Sequence[Sequence[float]]) -> dict[str, list[float | None]]:
    """Mean and deviation over the runs, at each point that all of them have."""
    samples = [Sample.of(values) for values in zip(*runs, strict=False)]
    return {"mean": [sample.mean for sample in samples], "sd": [sample.sd for sample in samples]}


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None]
    return float(np.mean(finite)) if finite else None


def _rounded(value: Any) -> Any:
    """Numbers to four significant digits: more is noise, and would swell the file."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
