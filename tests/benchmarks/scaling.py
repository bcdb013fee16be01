"""`race scaling`: seconds of a step over batch, caption length, clips and layers.

The cost model: a constant, and a price of every token that goes through a layer. Both are taken
from the batch sizes alone; the other curves are predictions.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tests.benchmarks.processes import timed
from tests.benchmarks.steps import build
from tests.benchmarks.workload import Workload

AXES: dict[str, tuple[str, Sequence[float]]] = {
    "batch": ("captions of a batch", (4, 8, 16, 32)),
    "mean": ("tokens of a caption, mean", (6, 12, 18, 24)),
    "clips": ("clips of a video", (1, 2, 4, 8)),
    "layers": ("layers", (1, 2, 4, 8)),
}


@dataclass(frozen=True)
class Curve:
    """Seconds of a step along one axis.

    Attributes:
        name: what changes, in words.
        values: of it.
        seconds: of each: median, least, greatest.
        model: seconds by the cost model.
    """

    name: str
    values: list[float]
    seconds: list[tuple[float, float, float]]
    model: list[float]


def layer_tokens(work: Workload) -> int:
    """Tokens that go through a layer in a step, each layer counted: the cost model's unit.

    Captions pass alone twice (whole and masked), once more with false captions beside their videos,
    and once beside every video of the batch. Of false and of foreign pairs the last layer computes
    the first token alone, which is not counted.
    """
    lengths = [int(length) for length in work.lengths()]
    beside = sum(lengths) + len(lengths) * (work.clips + 1)
    own, others = 2 * sum(lengths) + beside, work.batch * beside
    layers = work.config().num_hidden_layers
    return own * layers + others * (layers - 1)


def measure_scaling(
    work: Workload, repeat: int, *, measure: Callable[[Workload, int], list[float]] | None = None
) -> list[Curve]:
    """Measure steps along every axis around `work`.

    Args:
        measure: seconds of `repeat` steps of a workload; by default they are taken.
    """
    measure = measure or take_steps
    found = {
        axis: [(value, measure(_at(work, axis, value), repeat)) for value in values]
        for axis, (_, values) in AXES.items()
    }
    fixed, price = _fit([
        (layer_tokens(_at(work, "batch", value)), statistics.median(seconds))
        for value, seconds in found["batch"]
    ])  # fmt: skip
    return [
        Curve(
            name=AXES[axis][0],
            values=[value for value, _ in points],
            seconds=[(statistics.median(s), min(s), max(s)) for _, s in points],
            model=[fixed + price * layer_tokens(_at(work, axis, value)) for value, _ in points],
        )
        for axis, points in found.items()
    ]


def _at(work: Workload, axis: str, value: float) -> Workload:
    return replace(work, **{axis: value if axis == "mean" else int(value)})


def _fit(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Constant and slope, both at least 0, of a line: each point counts by its relative error."""
    import numpy as np

    tokens, seconds = map(np.asarray, zip(*points, strict=True))
    sides = np.stack([1 / seconds, tokens / seconds], axis=1)
    fixed, price = np.linalg.lstsq(sides, np.ones(len(points)), rcond=None)[0]
    # What would be negative is left out, and the other fitted alone.
    if fixed < 0:
        fixed, price = 0.0, np.mean(sides[:, 1]) / np.mean(sides[:, 1] ** 2)
    elif price < 0:
        fixed, price = np.mean(sides[:, 0]) / np.mean(sides[:, 0] ** 2), 0.0
    return float(fixed), float(price)


def take_steps(work: Workload, repeat: int) -> list[float]:
    """Seconds of `repeat` steps, after one that is not counted."""
    turn = build("ours", "step", work)
    turn()
    return [timed(turn).seconds for _ in range(repeat)]


def to_dict(work: Workload, curves: list[Curve]) -> dict[str, Any]:
    """As plain JSON values."""
    return {"workload": asdict(work), "curves": [asdict(curve) for curve in curves]}


def table(curves: list[Curve]) -> str:
    """As lines of text."""
    lines = []
    for curve in curves:
        lines.append(f"{curve.name:28} {'measured':>10} {'cost model':>11}")
        points = zip(curve.values, curve.seconds, curve.model, strict=True)
        lines += [f"{value:28g} {s[0]:8.3f} s {model:9.3f} s" for value, s, model in points]
        lines.append("")
    return "\n".join(lines).rstrip()
