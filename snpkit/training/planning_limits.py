"""What one machine can do, and from where on another engine takes over: by the memory model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from snpkit.training.planning_units import say_bytes, say_count, say_seconds

if TYPE_CHECKING:
    from snpkit.training.planning import Measurement
    from snpkit.training.planning_runs import Fleet

_WEEK = 7 * 86400.0  # seconds that one pass over the data may take before it is called too long
_MOST = 1 << 24  # samples; a batch beyond this is no batch


@dataclass(frozen=True)
class Limit:
    """One thing that grows, and where it no longer fits.

    Attributes:
        what: grows.
        here: what this recipe needs, in words.
        up_to: where it stops fitting, in words.
        value: the same as a number, of parameters, samples or pairs.
        beyond: what takes over there.
    """

    what: str
    here: str
    up_to: str
    value: float
    beyond: str


def limits(found: "Measurement", fleet: "Fleet") -> list[Limit]:
    """Where this machine, or these devices, come to their end; empty where memory is unknown."""
    rows = []
    room, held = fleet.memory or found.machine.device, fleet.memory_of_each(found)
    if room is not None and held is not None:
        rows += _of_devices(found, fleet, room - held.program)
    machine, clips = found.machine, found.clips
    if machine.ram is not None and found.cached_bytes:
        fits = machine.ram / (clips.clips_per_pair * found.cached_bytes)
        each = say_bytes(found.cached_bytes)
        rows.append(Limit("decoded frames in memory", f"{each} a clip", f"{say_count(fits)} pairs",
                          fits, "data.cache=false, or shards"))  # fmt: skip
    if machine.disk is not None and clips.file_bytes:
        fits = machine.disk / (clips.clips_per_pair * clips.file_bytes)
        rows.append(Limit("clips on this disk", f"{say_bytes(clips.file_bytes)} a clip",
                          f"{say_count(fits)} pairs", fits,
                          "WebDataset, MosaicML Streaming: shards elsewhere"))
    each = fleet.step_seconds(found).median / found.recipe.data.batch_size
    rows.append(Limit("one pass in a week", f"{say_seconds(1000 * each)} per 1,000 pairs",
                      f"{say_count(_WEEK / each)} pairs", _WEEK / each,
                      "more devices: torchrun"))  # fmt: skip
    return rows


def _of_devices(found: "Measurement", fleet: "Fleet", room: float) -> list[Limit]:
    """Limits of a device that has `room` bytes beside the program."""
    held = fleet.memory_of_each(found)
    state = held.weights + held.gradients + held.optimiser
    fits = room * found.parameters / state
    rows = [Limit("weights, gradients, optimiser", f"{say_bytes(state)}",
                  f"{say_count(fits)} parameters", fits,
                  "FSDP, DeepSpeed ZeRO: states in shards")]  # fmt: skip
    if fleet.devices > 1:
        rows.append(Limit(f"the same in {fleet.devices} shards",
                          say_bytes(state / fleet.devices),
                          f"{say_count(fits * fleet.devices)} parameters", fits * fleet.devices,
                          "Megatron: layers split over devices"))  # fmt: skip
    share = found.recipe.data.batch_size // fleet.devices
    largest = largest_batch(found, room - state)
    rows.append(Limit("samples of a device in a pass",
                      f"{share:,} take {say_bytes(held.activations)}",
                      f"{largest:,} samples", largest,
                      "optimisation.micro_batch"))
    return rows


def largest_batch(found: "Measurement", room: float) -> int:
    """The most samples of one pass whose activations fit into `room` bytes; 0 = not one."""
    low, high = 0, 1
    while high < _MOST and _activations(found, high) <= room:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _activations(found, middle) <= room else (low, middle)
    return low


def _activations(found: "Measurement", batch: int) -> float:
    full = found.recipe.data.batch_size
    every = found.pairs == full * full
    return found.activations_at(batch, batch * batch if every else found.pairs * batch / full)
