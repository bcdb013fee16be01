"""A measurement and its plans as lines of text."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from snpkit.training.planning_limits import Limit, limits
from snpkit.training.planning_runs import Fleet
from snpkit.training.planning_units import (
    Spread,
    say_bytes,
    say_euros,
    say_pairs,
    say_seconds,
)

if TYPE_CHECKING:
    from snpkit.training.planning import Measurement, Plan


def plan_text(
    measurement: "Measurement",
    plans: Sequence["Plan"],
    fleet: Fleet | None = None,
    *,
    table: bool = False,
) -> str:
    """What was measured, what follows for each number of pairs, and what it rests on.

    Args:
        fleet: the devices that the plans are for; None = one like the device measured.
        table: also show where one machine comes to its end, and what takes over there.
    """
    fleet = fleet or Fleet()
    resting = (*_of_fleet(measurement, fleet), *measurement.assumptions)
    parts = [
        _head(measurement),
        _memory(measurement),
        _devices(measurement, fleet),
        _feeding(measurement, fleet),
        _table(plans, cache=any(plan.cache_bytes is not None for plan in plans)),
        limits_text(limits(measurement, fleet), fleet) if table else "",
        "What this rests on:\n" + "\n".join(f"  - {line}" for line in resting),
    ]
    return "\n\n".join(part for part in parts if part)


def limits_text(rows: Sequence[Limit], fleet: Fleet) -> str:
    """The table of limits: what this machine does, up to where, and what takes over."""
    one = "One device" if fleet.devices == 1 else f"{fleet.devices} devices on one machine"
    cells = [["", "here", "fits up to", "beyond that"]]
    cells += [[row.what, row.here, row.up_to, row.beyond] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(f"{cell:{wide}}" for cell, wide in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
    return f"{one}, and what takes over\n" + "\n".join(f"  {line}" for line in lines)


def _devices(found: "Measurement", fleet: Fleet) -> str:
    """What a run on several or other devices comes to; empty for one like the one measured."""
    if fleet.devices == 1 and fleet.speedup == 1:
        return ""
    step = fleet.step_seconds(found)
    held = fleet.memory_of_each(found)
    like = "like this one" if fleet.speedup == 1 else f"{fleet.speedup:g} times as fast as this one"
    rows = {"Devices": f"{fleet.devices}, {'each ' if fleet.devices > 1 else ''}{like}",
            "Step there": f"{_say_spread(step)}, reckoned"}  # fmt: skip
    if fleet.devices > 1 and held is not None:
        rows["Memory of each"] = f"{say_bytes(held.peak)}, reckoned"
    wide = max(map(len, rows))
    return "\n".join(f"{name:{wide}}  {value}" for name, value in rows.items())


def _feeding(found: "Measurement", fleet: Fleet) -> str:
    """How many loader workers keep a device busy; empty where no clips were decoded."""
    each = found.clips.decode_seconds
    if not each:
        return ""
    rate = found.recipe.data.batch_size / fleet.step_seconds(found).median / fleet.devices
    if found.recipe.data.cache:
        return (f"Decoding: a core decodes {1 / each:,.3g} samples a second; with the frames in "
                "memory that is done once.")  # fmt: skip
    workers = max(1, math.ceil(rate * each))
    loaders = "1 worker feeds" if workers == 1 else f"{workers:,} workers feed"
    return (
        f"Decoding: a core decodes {1 / each:,.3g} samples a second, a device trains on "
        f"{rate:,.3g}: {loaders} one device (data.workers)."
    )


def _of_fleet(found: "Measurement", fleet: Fleet) -> list[str]:
    """How the devices were reckoned with, in sentences."""
    count = "1 device" if fleet.devices == 1 else f"{fleet.devices} devices"
    lines = [
        f"The time is on {count} like this one; no other was measured (--speedup tells what you "
        "know of yours)."
        if fleet.speedup == 1
        else f"The time is on {count}, taken to be {fleet.speedup:g} times as fast as this one: "
        "your figure, not measured here."
    ]
    if fleet.devices > 1:
        fixed = say_seconds(found.steps.fixed_seconds)
        reached = "the whole ideal" if fleet.efficiency == 1 else f"{fleet.efficiency:.0%} of it"
        lines.append(
            f"Each device takes 1/{fleet.devices} of a batch. What does not grow with the batch "
            f"({fixed} here) is not shared; the rest is, and {reached} is reached (--efficiency): "
            "the exchange of gradients was not measured."
        )
    if fleet.price is not None:
        lines.append(
            f"Cost: devices times hours times {say_euros(fleet.price)}; storage is not counted."
        )
    return lines


def _head(found: "Measurement") -> str:
    full, recipe = found.steps.full, found.recipe
    batch = f"{recipe.data.batch_size}"
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
    shards = any(plan.shard_bytes is not None for plan in plans)
    cost = any(plan.cost is not None for plan in plans)
    head += ["in shards"] * shards + ["frames in memory"] * cache + ["cost of run"] * cost
    rows = [head]
    for plan in plans:
        row = [
            say_pairs(plan.pairs),
            say_seconds(plan.epoch_seconds.median),
            f"{plan.steps:,}",
            f"{plan.epochs:,.2g}" if plan.epochs < 10 else f"{plan.epochs:,.0f}",
            say_seconds(plan.seconds.median),
            say_bytes(plan.storage_bytes),
        ]
        row += [say_bytes(plan.shard_bytes or 0)] * shards
        row += [say_bytes(plan.cache_bytes or 0)] * cache + [say_euros(plan.cost or 0)] * cost
        rows.append(row)
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
        f"Measured in one process on {found.device}, with as much else to do as now.",
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
        f"A batch of {own} was not taken here: measured with {full.batch}. Time is taken to grow "
        f"linearly with the samples; {say_seconds(found.steps.fixed_seconds)} of a step do not "
        "grow: the optimiser's share, and what half the batch did not save."
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
