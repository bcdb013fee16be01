"""Exercises of notebook 06: bytes of a model, pairs of a step, what processes share, positions."""

import math
from types import SimpleNamespace
from typing import Any

from snpkit.data.loader import ShuffledBatches

from . import Exercise, called, number

_PARAMETERS = (1000, 1_370_746, 139_000_000)
_BATCHES = ((64, "all"), (64, 3), (128, "all"), (4, 15))
_SHARED = ((64, 2), (128, 8), (96, 3))  # batch, processes
_TURNS = ((8, 2), (12, 3), (6, 1))
_PLACES = ((5, 64, 8), (8, 64, 8), (21, 60, 8), (0, 60, 8))  # batches taken, samples, batch size
_STEPS = ((0.1, 0.8, 8), (0.0, 1.0, 4), (0.5, 0.5, 64), (0.2, 3.0, 1))  # fixed, shared, devices


def computed_pairs(config: Any, batch: int) -> int:
    """Caption-video pairs of a batch that go through the cross-modal pass for matching; `config`
    has `tasks` and `negatives` as SNPConfig has them."""
    if "gvtm_cross_modal" not in config.tasks:
        return 0
    if config.negatives == "all":
        return batch * batch
    return batch * (1 + min(int(config.negatives), batch - 1))


def _state_bytes(answer: Any) -> str | None:
    for parameters in _PARAMETERS:
        found = number(called(answer, parameters), "a size in bytes")
        if isinstance(found, str):
            return found
        each = found / parameters
        if math.isclose(each, 16):
            continue
        line = f"{parameters:,} parameters take {16 * parameters:,} bytes, you say {found:,.0f}"
        for wrong, missing in _MISSING.items():
            if math.isclose(each, wrong):
                return f"{line}: {missing}."
        return f"{line}; count the numbers that are kept for each parameter, 4 bytes each."
    return None


_MISSING = {
    4: "those are the weights alone; gradients and AdamW's two averages are as large each",
    8: "AdamW keeps two averages per parameter as well",
    12: "one of the four is missing: weight, gradient, and TWO averages",
    2: "float32 has 4 bytes, and there are four numbers per parameter",
    128: "those are bits",
}


def _pairs(answer: Any) -> str | None:
    for batch, negatives in _BATCHES:
        found = number(called(answer, batch, negatives), "a count")
        if isinstance(found, str):
            return found
        config = SimpleNamespace(tasks=("gvtm_cross_modal",), negatives=negatives)
        true = computed_pairs(config, batch)
        if found == true:
            continue
        line = f"a batch of {batch} with {negatives} negatives has {true:,} pairs, not {found:,.0f}"
        if negatives != "all" and found == batch * negatives:
            return f"{line}: each caption reads its own video too."
        if negatives != "all" and found == batch * (1 + negatives):
            return f"{line}: there are no more rivals than other videos in the batch."
        if found == batch * (batch - 1):
            return f"{line}: the true pairs are read as well."
        if found == batch:
            return f"{line}: those are the true pairs alone; each caption reads rivals too."
        return f"{line}; each caption is read with its own video and with its rivals."
    return None


def _share_compared(answer: Any) -> str | None:
    for batch, processes in _SHARED:
        found = number(called(answer, batch, processes), "a share")
        if isinstance(found, str):
            return found
        if math.isclose(found, 1 / processes):
            continue
        line = f"{processes} processes with {batch} samples together compare"
        line += f" {1 / processes:.3g} of all pairs, you say {found:.3g}"
        if math.isclose(found, 1 / processes**2):
            return f"{line}: that is what ONE process compares; add up all of them."
        if math.isclose(found, 100 / processes):
            return f"{line}: a share lies between 0 and 1."
        if math.isclose(found, batch**2 / processes):
            return f"{line}: those are pairs; divide by all batch x batch."
        return f"{line}; each compares (batch / processes) squared pairs."
    return None


def _turns(answer: Any) -> str | None:
    for size, world in _TURNS:
        batch = [10 * place for place in range(size)]
        parts = [list(called(answer, list(batch), rank, world)) for rank in range(world)]
        for rank, part in enumerate(parts):
            if part == batch[rank::world]:
                continue
            seen = [sample for each in parts for sample in each]
            line = f"of the batch {batch} process {rank} of {world} takes {batch[rank::world]}"
            line += f", you give it {part}"
            if sorted(seen) == batch:
                return f"{line}: nothing is lost, but the library's processes take turns."
            if len(seen) > len(set(seen)):
                return f"{line}: some samples are read twice."
            return f"{line}: some samples are read by nobody."
    return None


def _place(answer: Any) -> str | None:
    for taken, samples, size in _PLACES:
        found = called(answer, taken, samples, size)
        order = ShuffledBatches(samples, size)
        for _ in range(taken):
            order.advance()
        true = (order.epoch, order.position)
        try:
            pair = tuple(map(int, found))
        except (TypeError, ValueError):
            return f"a pair (epoch, position) was asked for, not {type(found).__name__}."
        if pair == true:
            continue
        asked = f"after {taken} batches of {size} out of {samples} samples"
        line = f"{asked} the place is {true}, you say {pair}"
        if pair == true[::-1]:
            return f"{line}: the epoch comes first."
        if pair == divmod(taken, math.ceil(samples / size)):
            return f"{line}: the incomplete last batch of an epoch is left out."
        return f"{line}; count whole batches of an epoch, both from 0."
    return None


def _step_on(answer: Any) -> str | None:
    for fixed, shared, devices in _STEPS:
        found = number(called(answer, fixed, shared, devices), "a time")
        if isinstance(found, str):
            return found
        true = fixed + shared / devices
        if math.isclose(found, true):
            continue
        line = f"{fixed} s fixed and {shared} s shared take {true:.4g} s on {devices} devices"
        line += f", you say {found:.4g}"
        if math.isclose(found, (fixed + shared) / devices):
            return f"{line}: what does not grow with the batch is done by every device."
        if math.isclose(found, fixed + shared):
            return f"{line}: each device has only its share of the batch."
        return f"{line}; the fixed part stays, the other is divided."
    return None


EXERCISES = (
    Exercise(
        name="state_bytes",
        hint="how many numbers are kept for each parameter, of 4 bytes each?",
        judge=_state_bytes,
        praise="16 bytes a parameter, whatever the batch: the part that batches cannot shrink.",
        mistakes=(
            lambda parameters: 4 * parameters,
            lambda parameters: 8 * parameters,
            lambda parameters: 12 * parameters,
            lambda parameters: 7 * parameters,
            lambda parameters: "16 bytes",
        ),
    ),
    Exercise(
        name="pairs",
        hint='return batch x batch for "all"; else each caption reads its video and some rivals.',
        judge=_pairs,
        praise="With few rivals the pairs grow as the batch does, with all of them as its square.",
        mistakes=(
            lambda batch, negatives: batch,
            lambda batch, negatives: batch * batch,
            lambda batch, negatives: batch * (batch - 1),
            lambda batch, negatives: batch * (batch if negatives == "all" else negatives),
            lambda batch, negatives: batch * (batch if negatives == "all" else 1 + negatives),
            lambda batch, negatives: "B x B",
        ),
    ),
    Exercise(
        name="share_compared",
        hint="each process has batch / processes samples; how many of all pairs do all compare?",
        judge=_share_compared,
        praise="Eight processes on their own would leave out seven pairs of eight.",
        mistakes=(
            lambda batch, processes: 1 / processes**2,
            lambda batch, processes: 100 / processes,
            lambda batch, processes: batch**2 / processes,
            lambda batch, processes: 1.0,
            lambda batch, processes: "half",
        ),
    ),
    Exercise(
        name="turns",
        hint="return the samples of a batch that process `rank` of `world` reads.",
        judge=_turns,
        praise="All processes know the whole order, so that nobody has to tell anybody anything.",
        mistakes=(
            lambda batch, rank, world: batch,
            lambda batch, rank, world: batch[::world],
            lambda batch, rank, world: batch[rank * len(batch) // world :][: len(batch) // world],
            lambda batch, rank, world: batch[rank : rank + 1],
        ),
    ),
    Exercise(
        name="place",
        hint="divide the batches that were taken by the whole batches of an epoch.",
        judge=_place,
        praise="Two numbers are the whole state of the data, however large it is.",
        mistakes=(
            lambda taken, samples, size: divmod(taken, math.ceil(samples / size)),
            lambda taken, samples, size: divmod(taken, samples // size)[::-1],
            lambda taken, samples, size: (0, taken),
            lambda taken, samples, size: taken,
        ),
    ),
    Exercise(
        name="step_on",
        hint="the fixed seconds stay, the seconds that grow with the batch are divided.",
        judge=_step_on,
        praise="What is not shared is the limit: more devices than that gain nothing.",
        mistakes=(
            lambda fixed, shared, devices: (fixed + shared) / devices,
            lambda fixed, shared, devices: fixed + shared,
            lambda fixed, shared, devices: shared / devices,
            lambda fixed, shared, devices: "less",
        ),
    ),
)
