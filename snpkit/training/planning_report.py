"""A measurement and its plans as lines of text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from snpkit.training.planning_units import Spread, say_bytes, say_pairs, say_seconds

if TYPE_CHECKING:
    from snpkit.training.planning import Measurement, Plan


def plan_text(measurement: "Measurement", plans: Sequence["Plan"]) -> str:
    """What was measured, what follows for each number of pairs, and what it rests on."""
    parts = [
        _head(measurement),
        _memory(measurement),
        _table(plans, cache=any(plan.cache_bytes is not None for plan in plans)),
        "What this rests on:\n" + "\n".join(f"  - {line}" for line in measurement.assumptions),
    ]
    return "\n\n".join(part for part in parts if part)


def _head(found: "Measurement") -> str:
    full, recipe = found.steps.full, found.recipe
    batch = f"{recipe.data.batch_size}"
    if recipe.optimisation.accumulation > 1:
        batch += f" x {recipe.optimisation.accumulation}"
    if found.scaled:
        batch += f" (measured with {full.batch})"
    rows = {
        "Recipe": recipe.name,
        "Device": f"{found.device}, {found.precision}",
        "Parameters": f"{found.parameters:,}",
        "Batch": batch,
        "Step": f"{_say_spread(found.step_seconds)}{', reckoned' if found.scaled else ''}",
        "Samples": f"{found.samples_per_second:,.3g} a second",
    }
    if found.scaled:
        rows["Step of the batch measured"] = _say_spread(Spread.of(full.seconds))
    count = len(full.seconds)
    steps = "1 step" if count == 1 else f"{count} steps"
    rows["Measured"] = f"{steps} after warm-up, on {found.source}"
    wide = max(map(len, rows))
    return "\n".join(f"{name:{wide}}  {value}" for name, value in rows.items())


def _memory(found: "Measurement") -> str:
    if found.memory is None:
        return "Memory: not counted on this system."
    names = {
        "program": "program and libraries",
        "cache": "frames kept in memory",
        "weights": "weights",
        "gradients": "gradients",
        "optimiser": "optimiser state",
        "activations": "activations and work space",
    }
    rows = [(name, getattr(found.memory, key)) for key, name in names.items()]
    rows = [(name, count) for name, count in rows if count]
    rows.append(("peak" + (", reckoned" if found.scaled else ", measured"), found.memory.peak))
    if found.scaled and found.measured_peak is not None:
        rows.append((f"peak measured with a batch of {found.steps.full.batch}",
                     found.measured_peak))  # fmt: skip
    wide = max(len(name) for name, _ in rows)
    lines = (f"  {name:{wide}}  {say_bytes(count):>8}" for name, count in rows)
    return "Memory\n" + "\n".join(lines)


def _table(plans: Sequence["Plan"], cache: bool) -> str:
    head = ["pairs", "one pass", "steps of run", "passes", "time of run", "clips on disk"]
    rows = [head + (["frames in memory"] if cache else [])]
    for plan in plans:
        row = [
            say_pairs(plan.pairs),
            say_seconds(plan.epoch_seconds.median),
            f"{plan.steps:,}",
            f"{plan.epochs:,.2g}" if plan.epochs < 10 else f"{plan.epochs:,.0f}",
            say_seconds(plan.seconds.median),
            say_bytes(plan.storage_bytes),
        ]
        rows.append(row + ([say_bytes(plan.cache_bytes or 0)] if cache else []))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:>{wide}}" for cell, wide in zip(row, widths, strict=True)) for row in rows
    )


def _say_spread(spread: Spread) -> str:
    """Such as "0.31 s (0.30 s to 0.35 s)"; of a single step only the first."""
    if spread.low == spread.high:
        return say_seconds(spread.median)
    low, high = say_seconds(spread.low), say_seconds(spread.high)
    return f"{say_seconds(spread.median)} ({low} to {high})"


def assumptions(found: "Measurement") -> tuple[str, ...]:
    """What the figures of a measurement rest on, in sentences."""
    lines = [
        "Times are medians of the measured steps; evaluation and checkpoints are not counted.",
        f"One process on {found.device}, with as much else to do as now.",
    ]
    if found.load is not None and found.load > 1.5 * found.cores:
        lines.append(
            f"The machine was busy (load {found.load:.1f} on {found.cores} cores): "
            "measured alone, the steps will be quicker."
        )
    if found.scaled:
        lines += _of_scaling(found)
    if found.source.startswith("noise"):
        lines.append("Frames are noise and were not decoded: give --manifest to count reading.")
    elif found.loading is not None:
        lines.append(
            f"Filling the frame cache comes once: {say_seconds(1000 * found.loading)} "
            "per 1,000 pairs."
        )
    else:
        waiting = found.steps.full.waiting / Spread.of(found.steps.full.seconds).median
        lines.append(f"Getting the batches is part of a step: {waiting:.0%} of it was waiting.")
    if not found.words_known:
        lines.append(
            f"The tokenizer {found.recipe.data.tokenizer!r} is not on this machine: a small one "
            f"cut the captions, the model has {found.vocabulary:,} words."
        )
    clips = found.clips
    share = "one" if clips.clips_per_pair == 1 else f"{clips.clips_per_pair:.2g}"
    lines.append(
        f"Clips like the {clips.source}: {say_bytes(clips.file_bytes)} each"
        + (f", {clips.frames:.0f} frames" if clips.frames else "")
        + f"; {share} a pair."
    )
    return tuple(lines)


def _of_scaling(found: "Measurement") -> list[str]:
    full, own = found.steps.full, found.recipe.data.batch_size
    lines = [
        f"A batch of {own} was too much for the time or memory here: measured with {full.batch}. "
        "Time is taken to grow linearly with the samples, the optimiser's share "
        f"({say_seconds(full.optimiser)}) not at all."
    ]
    growth = found.steps.growth
    if growth is not None and growth.sample_bytes:
        lines.append(
            "Memory grows by what the backward pass keeps, counted: "
            f"{say_bytes(growth.sample_bytes)} a sample"
            + (f" and {say_bytes(growth.pair_bytes)} a pair" if found.pairs else "")
            + (f", times {growth.overhead:.1f} for work space." if growth.overhead > 1 else ".")
        )
    if found.pairs:
        lines.append(
            f"Cross-modal matching: from {full.pairs:,} to {found.pairs:,} pairs in a step, "
            f"{say_seconds(found.steps.pair_seconds)} each, measured by themselves."
        )
    return lines
