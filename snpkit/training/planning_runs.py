"""From a measurement to a whole run: on so many pairs, on so many devices, at such a price."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from snpkit.errors import UserError
from snpkit.training.optimisation import total_steps
from snpkit.training.planning_model import Memory
from snpkit.training.planning_units import Spread
from snpkit.training.schema import Recipe

if TYPE_CHECKING:
    from snpkit.training.planning import Measurement

PAIRS = (10_000, 250_000, 2_500_000, 10_000_000)


@dataclass(frozen=True)
class Fleet:
    """The devices of a run. What is not measured here is the user's figure, or 1.

    Attributes:
        devices: how many; each takes its share of every batch.
        speedup: of one of them over the device measured.
        efficiency: share of `devices` times the speed that they reach together, in (0, 1].
        price: of one device for an hour, in EUR; None = no cost is reckoned.
        memory: bytes of one device; None = as much as the device measured has.

    Raises:
        UserError: a number is out of range.
    """

    devices: int = 1
    speedup: float = 1.0
    efficiency: float = 1.0
    price: float | None = None
    memory: float | None = None

    def __post_init__(self) -> None:
        positive = (self.devices, self.speedup, self.efficiency, self.memory or 1)
        prices = self.price is None or 0 <= self.price < math.inf
        if not all(0 < value < math.inf for value in positive) or self.efficiency > 1 or not prices:
            raise UserError(
                "A plan takes at least one device, a speed-up and a memory above 0, an efficiency "
                "above 0 and up to 1, and a price of 0 or more."
            )

    def check(self, recipe: Recipe) -> None:
        """Raise UserError where a batch does not divide among the devices."""
        if recipe.data.batch_size % self.devices:
            raise UserError(
                f"A batch of {recipe.data.batch_size} does not divide among {self.devices} devices;"
                " change --gpus or --set data.batch_size."
            )

    def step_seconds(self, found: "Measurement") -> Spread:
        """Seconds of one of the recipe's steps: what does not grow with the batch is not shared."""
        step = found.step_seconds
        fixed = min(found.steps.fixed_seconds, step.median)
        shared = (step.median - fixed) / (self.devices * self.efficiency)
        return step.times((fixed + shared) / self.speedup / step.median)

    def memory_of_each(self, found: "Measurement") -> Memory | None:
        """Where the memory of one device goes; None where nobody counted it."""
        if found.memory is None or self.devices == 1:
            return found.memory
        batch = found.recipe.data.batch_size // self.devices
        kept = asdict(found.memory)
        # The buckets in which gradients travel are as large as the gradients.
        kept["gradients"] *= 2
        kept["activations"] = found.activations_at(batch, found.pairs / self.devices)
        return Memory(**kept)

    def cost(self, seconds: float) -> float | None:
        """EUR for so many seconds."""
        return None if self.price is None else self.devices * seconds / 3600 * self.price


@dataclass(frozen=True)
class Plan:
    """What a recipe takes on so many pairs.

    Attributes:
        pairs: caption-video pairs that an epoch visits; where the recipe draws videos, one of each
            video, whatever captions it has.
        steps_per_epoch: optimiser steps of one pass over them.
        epoch_seconds: time of one pass.
        steps: of the recipe's whole run.
        epochs: passes over the pairs in it.
        seconds: its time.
        storage_bytes: the clips' files.
        cache_bytes: decoded frames in memory; None where the recipe keeps none.
        shard_bytes: the clips in shards at the training size; None where none could be packed.
        cost: of the run, in EUR; None without a price.
    """

    pairs: int
    steps_per_epoch: float
    epoch_seconds: Spread
    steps: int
    epochs: float
    seconds: Spread
    storage_bytes: float
    cache_bytes: float | None
    shard_bytes: float | None = None
    cost: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def check_pairs(recipe: Recipe, pairs: int) -> None:
    """Raise UserError where so many pairs do not fill one batch."""
    if pairs < recipe.data.batch_size:
        raise UserError(
            f"{pairs} pairs give no batch of {recipe.data.batch_size}; take more pairs."
        )


def extrapolate(found: "Measurement", pairs: int, fleet: Fleet | None = None) -> Plan:
    """Time, storage and cost of the measured recipe on `pairs` pairs.

    Args:
        fleet: the devices; None = one like the device measured.

    Raises:
        UserError: the pairs are less than a batch, or it does not divide among the devices.
    """
    recipe, clips, fleet = found.recipe, found.clips, fleet or Fleet()
    check_pairs(recipe, pairs)
    fleet.check(recipe)
    per_epoch = pairs // recipe.data.batch_size
    steps = total_steps(recipe.optimisation, per_epoch)
    step, files = fleet.step_seconds(found), pairs * clips.clips_per_pair
    return Plan(
        pairs=pairs,
        steps_per_epoch=per_epoch,
        epoch_seconds=step.times(per_epoch),
        steps=steps,
        epochs=steps / per_epoch,
        seconds=step.times(steps),
        storage_bytes=files * clips.file_bytes,
        cache_bytes=files * found.cached_bytes if found.cached_bytes else None,
        shard_bytes=files * clips.shard_bytes if clips.shard_bytes else None,
        cost=fleet.cost(step.median * steps),
    )
