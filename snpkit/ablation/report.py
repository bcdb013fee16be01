"""Results as tables in Markdown, which can be read in a terminal too, and as files of a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snpkit.ablation.figures import curves_figure, differences_figure
from snpkit.ablation.plan import Plan
from snpkit.ablation.summary import HEADLINE
from snpkit.explore.plots.style import clean, to_png
from snpkit.files import atomic_path, write_json, write_text

_COLUMNS = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "median_rank": "MdR",
            "matching_r10": "R@10, matching", "questions": "QA"}  # fmt: skip
_HOW = (
    "Mean ± standard deviation over the seeds, on the held-out test clips: text-to-video retrieval "
    "(re-ranked by the cross-modal pass where there is one), the same by the matching score alone, "
    "and accuracy on questions, in %. MdR: median rank, less is better. Difference: mean "
    "difference in R@1 from the first row in bold, in pairs of equal seed, with its 95 % "
    "confidence interval (Student's t); p of the paired t-test, adjusted for the rows of the table "
    "(Holm), and of the exact sign-flip test, which cannot fall below 2 / 2^seeds. The clips are "
    "the same for all seeds: the spread is that of training, not of the choice of clips."
)


def write_report(plan: Plan, results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write results.json, results.md and a figure of every table into a folder; the files.

    Raises:
        UserError: they cannot be written.
    """
    paths = [folder / "results.json", folder / "results.md"]
    write_json(paths[0], results, indent=None)
    parts = [f"# Ablation {plan.name}", _HOW, *plan.notes, markdown_tables(plan, results)]
    for name in plan.tables:
        for kind, draw in (("curves", curves_figure), ("differences", differences_figure)):
            figure = draw(plan, results, name)
            if figure is None:
                continue
            path = folder / f"{kind}_{name}.png"
            with atomic_path(path) as temporary:
                temporary.write_bytes(to_png(figure))
            parts.append(f"![{clean(figure.alt)}]({path.name})")
            paths.append(path)
    write_text(paths[1], "\n\n".join(parts) + "\n")
    return paths


def markdown_tables(plan: Plan, results: Mapping[str, Any]) -> str:
    """Every table on every corpus, at the same steps and at the same time."""
    parts = []
    for corpus in results["corpora"].values():
        for name, table in plan.tables.items():
            found = corpus["tables"][name]
            if not found["rows"]:
                continue
            seconds = found["cpu_seconds"]
            parts += [
                f"## Table {name}, {corpus['title']}: {table.title}",
                "Same steps:",
                _rows_table(corpus, name, table.baseline, "same_steps"),
                f"Same time, {seconds:.0f} s of CPU time: so long takes "
                f"{corpus['rows'][found['fastest']]['title']}.",
                _rows_table(corpus, name, table.baseline, "same_time"),
            ]
    if len(plan.corpora) > 1:
        parts += ["## All corpora together, same steps", _pooled(plan, results["pooled"])]
    return "\n\n".join(parts)


def _pooled(plan: Plan, pooled: Mapping[str, Any]) -> str:
    lines = []
    for name, table in plan.tables.items():
        for row, differences in pooled[name].items():
            titles = (plan.rows[row].title, plan.rows[table.baseline].title)
            pairs = f"{differences[HEADLINE]['n']}"
            lines.append([name, *titles, pairs, *_compared(differences)])
    return _markdown(["table", "row", "minus", "pairs", *_COMPARED], lines)


def verdict(comparison: Mapping[str, Any]) -> str:
    """What the adjusted t-test says at 5 %: "higher", "lower", or "not decided"."""
    if comparison["t_p"] is None or comparison["holm_p"] >= 0.05:
        return "not decided"
    return "higher" if comparison["mean"] > 0 else "lower"


def _rows_table(corpus: Mapping[str, Any], table: str, baseline: str, way: str) -> str:
    """The rows of a table, "same_steps" or "same_time", and their differences from the baseline."""
    at_end = way == "same_steps"
    metrics = list(_COLUMNS) if at_end else ["r1", "r5", "r10", "matching_r10"]
    costs = ["steps", "s a step", "million weights"] if at_end else ["steps"]
    lines = []
    for name, own in corpus["tables"][table]["rows"].items():
        row = corpus["rows"][name]
        title = row["title"].replace("|", "/")
        title = f"**{title}**" if name == baseline else title
        measured = row["final"] if at_end else own["same_time"]
        numbers = [f"{row['steps']}", f"{row['cpu_seconds_per_step']:.3f}",
                   f"{row['parameters'] / 1e6:.2f}"]  # fmt: skip
        numbers = numbers if at_end else [f"{own['steps_in_time']:.0f}"]
        spreads = (_spread(measured.get(metric)) for metric in metrics)
        compared = _compared(own.get(f"difference_{way}"))
        lines.append([f"{title}, n = {len(row['seeds'])}", *spreads, *numbers, *compared])
    return _markdown(["", *(_COLUMNS[metric] for metric in metrics), *costs, *_COMPARED], lines)


_COMPARED = ("difference in R@1", "p (t, Holm)", "p (signs)", "R@1 is")


def _compared(differences: Mapping[str, Any] | None) -> list[str]:
    if not differences:
        return [""] * len(_COMPARED)
    one = differences[HEADLINE]
    if one["low"] is None:
        return [f"{one['mean']:+.1f}", "", "", verdict(one)]
    interval = f"{one['mean']:+.1f} ({one['low']:+.1f} to {one['high']:+.1f})"
    flips = "" if one["flip_p"] is None else _chance(one["flip_p"])
    return [interval, _chance(one["holm_p"]), flips, verdict(one)]


def _chance(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _spread(sample: Mapping[str, Any] | None) -> str:
    if sample is None:
        return "-"
    return f"{sample['mean']:.1f}" + ("" if sample["sd"] is None else f" ± {sample['sd']:.1f}")


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table with columns of even width."""
    wide = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    rule = ["-" * max(width, 3) for width in wide]
    rows = ([cell.ljust(max(width, 3)) for cell, width in zip(line, wide, strict=True)]
            for line in (head, rule, *lines))  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
