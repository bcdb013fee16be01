"""Write the page of all measured results: every number of a run's file, with its command.

    python -m data_samples.tools.results_page runs/results RESULTS.md

The folder holds, for each of the tasks retrieval, qa and multichoice, what there is of

* TASK-START-seedN/metrics.json, written by `snpkit finetune TASK --output .../TASK-START-seedN`;
  START names what training started from: "pretrained", "nothing", or any word;
* TASK-zeroshot.json, the output of `snpkit evaluate CHECKPOINT --task TASK --json`.

Runs of one task and start that differ in the seed make one row: mean and standard deviation.
"""

import argparse
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from snpkit.errors import UserError
from snpkit.files import read_json, write_text

_FOLDER = re.compile(r"(retrieval|qa|multichoice)-(\w+)-seed(\d+)")
_ZERO_SHOT = "zeroshot"
_LABELS = {
    _ZERO_SHOT: "pre-trained, as it is",
    "pretrained": "fine-tuned from the pre-trained",
    "nothing": "trained from random weights",
}
_RECALLS = {"r1": "R@1 %", "r5": "R@5 %", "r10": "R@10 %", "median_rank": "median rank",
            "mean_rank": "mean rank"}  # fmt: skip
_DIRECTIONS = ("text_to_video", "video_to_text")
_SIZES = {"retrieval": "queries", "qa": "questions", "multichoice": "questions"}
_HEADLINES = {  # metric that tells starts apart, as people call it
    "retrieval": (("reranked", "text_to_video", "r1"), "R@1 after re-ranking, text to video"),
    "qa": (("accuracy",), "Accuracy"),
    "multichoice": (("accuracy",), "Accuracy by both scores"),
}


_NONE = "—"


@dataclass(frozen=True)
class Runs:
    """Results of one task and start, one for each seed."""

    task: str
    start: str  # "zeroshot", "pretrained", "nothing", ...
    metrics: tuple[Mapping[str, Any], ...]

    @property
    def label(self) -> str:
        """What the row is called."""
        return _LABELS.get(self.start, self.start)

    @property
    def first(self) -> "Runs":
        """The first seed alone: what takes no model is the same for all."""
        return replace(self, metrics=self.metrics[:1])

    def table(self, *names: str) -> list[dict[str, float]]:
        """The numbers below some keys, one dict a seed; nested dicts are left out.

        Raises:
            UserError: a run has no such numbers.
        """
        found = []
        for metrics in self.metrics:
            value: Any = metrics
            for name in names:
                value = value.get(name) if isinstance(value, Mapping) else None
            if not isinstance(value, Mapping):
                where = ".".join(names)
                raise UserError(f"A result of {self.task}, {self.label}, has no {where!r}.")
            found.append({k: v for k, v in value.items() if isinstance(v, int | float)})
        return found

    def cells(self, keys: Sequence[str], *names: str) -> list[str]:
        """Mean and spread of some numbers as the cells of a row, a dash for what is not there."""
        rows = self.table(*names)
        columns = ([row.get(key, math.nan) for row in rows] for key in keys)
        pairs = zip(keys, columns, strict=True)
        return [_number(*_mean_and_spread(values), len(rows), key) for key, values in pairs]


def write_results(folder: Path, output: Path) -> None:
    """Write the page of the results in a folder.

    Raises:
        UserError: there are none, a run is unfinished, or runs cannot be compared.
    """
    write_text(output, results_page(read_results(folder)))


def read_results(folder: Path) -> list[Runs]:
    """All results below a folder, in the order of the page.

    Raises:
        UserError: see `write_results`.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; run the experiments first.")
    found: dict[tuple[str, str], dict[int, Path]] = {}
    for path in sorted(folder.iterdir()):
        if match := _FOLDER.fullmatch(path.name):
            task, start, seed = match.groups()
            found.setdefault((task, start), {})[int(seed)] = path / "metrics.json"
        for task in _SIZES:
            if path.name == f"{task}-{_ZERO_SHOT}.json":
                found[task, _ZERO_SHOT] = {0: path}
    if not found:
        raise UserError(f"{folder} holds no results, such as qa-pretrained-seed0/metrics.json.")
    order = (*_LABELS, *sorted({start for _, start in found} - set(_LABELS)))
    runs = [
        Runs(task, start, tuple(_read(path) for _, path in sorted(found[task, start].items())))
        for task in _SIZES
        for start in order
        if (task, start) in found
    ]
    for task in _SIZES:
        _check_alike(task, [one for one in runs if one.task == task])
    return runs


def _read(path: Path) -> Mapping[str, Any]:
    """A file of metrics; names the file that is missing, as an unfinished run's is."""
    metrics = read_json(path)
    facts = metrics.get("facts") if isinstance(metrics, dict) else None
    if not isinstance(facts, dict) or "Command" not in facts:
        raise UserError(f"{path} does not say which command made it; run it with this version.")
    return metrics


def _check_alike(task: str, runs: Sequence[Runs]) -> None:
    sizes = {metrics.get(_SIZES[task]) for one in runs for metrics in one.metrics}
    if len(sizes) > 1:
        said = " and ".join(map(str, sorted(sizes, key=str)))
        raise UserError(f"Results of {task} are of {said} {_SIZES[task]}: not the same test.")


def results_page(runs: Sequence[Runs]) -> str:
    """The page as Markdown."""
    sections = {"retrieval": _retrieval, "qa": _answering, "multichoice": _choosing}
    parts = [_HEAD]
    for task, section in sections.items():
        some = [one for one in runs if one.task == task]
        if some:
            parts += [*section(some), *_compared(task, some)]
    return "\n\n".join([*parts, *_commands(runs)]) + "\n"


def _mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of the sample; 0 for one run."""
    return float(np.mean(values)), float(np.std(values, ddof=min(len(values) - 1, 1)))


def _number(mean: float, spread: float, runs: int, key: str) -> str:
    if not math.isfinite(mean):
        return _NONE
    digits = 2 if key == "mean_rank" else 1  # of good models it lies close above 1
    return f"{mean:.{digits}f}" + (f" ± {spread:.{digits}f}" if runs > 1 else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _retrieval(runs: Sequence[Runs]) -> Iterator[str]:
    first = runs[0].metrics[0]
    yield f"## Retrieval\n\nOn {first['queries']} held-out captions."
    for direction in _DIRECTIONS:
        rows = [
            [one.label, column.replace("_", " "), *one.cells(list(_RECALLS), column, direction)]
            for one in runs
            for column in ("matching", "reranked", "dual_softmax")
            if column in one.metrics[0]
        ]
        rows.append(["chance", "", *runs[0].first.cells(list(_RECALLS), "chance", direction)])
        head = [direction.replace("_", " "), "score", *_RECALLS.values()]
        yield _table(head, rows)


def _answering(runs: Sequence[Runs]) -> Iterator[str]:
    first = runs[0].metrics[0]
    yield (
        f"## Question answering\n\nOn {first['questions']} questions about held-out clips, "
        f"{first['outside']} of them with an answer outside the label set, which counts as wrong. "
        "Accuracy in percent."
    )
    kinds = sorted(first["by_type"])
    rows = [
        [one.label, *one.cells(["accuracy"]), *one.cells(kinds, "by_type")] for one in runs
    ]
    for name, label in (
        ("commonest", "always the commonest answer"),
        ("commonest_by_type", "the commonest of each type"),
    ):
        if name in first:
            rows.append([label, *runs[0].first.cells([name]), *[_NONE] * len(kinds)])
    yield _table(["", "all", *kinds], rows)


def _choosing(runs: Sequence[Runs]) -> Iterator[str]:
    first = runs[0].metrics[0]
    yield (
        f"## Multiple choice\n\nOn {first['questions']} held-out clips with five options each. "
        "Accuracy in percent."
    )
    keys = ["accuracy", "matching", "cross_modal"]
    rows = [[one.label, *one.cells(keys)] for one in runs]
    rows.append(["chance", *runs[0].first.cells(["chance"]), _NONE, _NONE])
    yield _table(["", "both scores", "matching alone", "cross-modal alone"], rows)


def _compared(task: str, runs: Sequence[Runs]) -> Iterator[str]:
    """One sentence: what pre-training is worth, and how far seeds lie apart."""
    by_start = {one.start: one for one in runs}
    if not {"pretrained", "nothing"} <= set(by_start):
        return
    (*names, key), what = _HEADLINES[task]
    ours, theirs = (
        _mean_and_spread([row[key] for row in by_start[start].table(*names)])
        for start in ("pretrained", "nothing")
    )
    gap = ours[0] - theirs[0]
    seeds = " and ".join(str(len(by_start[s].metrics)) for s in ("pretrained", "nothing"))
    yield (
        f"{what}: {ours[0]:.1f} after pre-training, {theirs[0]:.1f} without, a difference of "
        f"{gap:+.1f} points. Standard deviations over {seeds} seeds: {ours[1]:.1f} and "
        f"{theirs[1]:.1f}."
    )


def _commands(runs: Sequence[Runs]) -> Iterator[str]:
    facts = [metrics["facts"] for one in runs for metrics in one.metrics]
    yield "## The commands"
    names = ("Steps", "Batch", "Train (s)", "Number format")
    # A bar or a backtick would end the cell or the code.
    said = [str(one["Command"]).replace("|", r"\|").replace("`", "'") for one in facts]
    rows = [[f"`{command}`", *(str(one.get(name, _NONE)) for name in names)]
            for command, one in zip(said, facts, strict=True)]  # fmt: skip
    yield _table(["command", *(name.lower() for name in names)], rows)
    machines = dict.fromkeys(f"{one.get('Device', '')}; {one.get('Machine', '')}" for one in facts)
    yield "Made on:\n\n" + "\n".join(f"* {machine.strip('; ')}" for machine in machines)


_HEAD = """\
# Measured results

All numbers are of clips that no training has seen. "±" is the standard deviation over runs that
differ in the seed alone. A recall counts ties as their mean rank; "reranked" reads the best matches
of every query again by the cross-modal pass. The commands are at the end."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder with the results")
    parser.add_argument("output", type=Path, help="the page to write, such as RESULTS.md")
    arguments = parser.parse_args()
    try:
        write_results(arguments.results, arguments.output)
    except UserError as error:
        print(f"snpkit: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"Wrote {arguments.output}")
