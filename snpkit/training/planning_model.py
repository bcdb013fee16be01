"""The cost model of a step: what is fixed, what each sample takes, what each pair takes.

    seconds(batch) = fixed + batch x sample + pairs(batch) x pair

`pairs` are those of the cross-modal matching: with all of them the square of the batch. Where the
recipe's own batch was measured, nothing is modelled. Where it was too large for this machine, a
smaller one was, and half of that, which tells what is fixed (the optimiser, and starting every
operation) from what grows; and a pair for itself: else the square would hide in the samples.
"""

from dataclasses import dataclass, replace
from typing import Any

from snpkit.training.planning_units import Spread

_MOST_OVERHEAD = 4.0  # what lies above says more of the first allocations than of the growth


def computed_pairs(config: Any, batch: int) -> int:
    """Caption-video pairs of a batch that go through the cross-modal pass for matching.

    Args:
        config: with `tasks` and `negatives` as in SNPConfig.
    """
    if "gvtm_cross_modal" not in config.tasks:
        return 0
    if config.negatives == "all":
        return batch * batch
    return batch * (1 + min(int(config.negatives), batch - 1))


@dataclass(frozen=True)
class Memory:
    """Where the peak of memory goes, in bytes; the parts add up to `peak`.

    Attributes:
        program: held before there was a model: Python, its libraries, tokenizer, tagger.
        cache: decoded frames kept in memory.
        weights: parameters and buffers.
        gradients: one per trainable parameter.
        optimiser: AdamW's two averages per parameter.
        activations: the rest of what was measured: activations and working space.
    """

    program: float
    cache: float
    weights: float
    gradients: float
    optimiser: float
    activations: float

    @property
    def peak(self) -> float:
        """Bytes held at most."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class Timing:
    """Some steps of one batch size.

    Attributes:
        batch: samples of a forward pass.
        pairs: pairs of its cross-modal matching.
        seconds: of each step, warm-up left out.
        optimiser: seconds of a step inside the optimiser.
        waiting: seconds of a step spent on getting its batch: decoding, tokens, masks.
        peak: bytes held at most, up to and with these steps; None if unknown.
    """

    batch: int
    pairs: int
    seconds: tuple[float, ...]
    optimiser: float
    waiting: float
    peak: float | None


@dataclass(frozen=True)
class Growth:
    """What larger batches add, measured where the recipe's own was too large.

    Attributes:
        pair_seconds: of one more pair, forward and backward.
        pair_bytes: that one more pair keeps for the backward pass, counted.
        sample_bytes: that one more sample keeps beside its pairs, counted.
        overhead: measured growth of the peak over the counted one: work space comes on top.
    """

    pair_seconds: float
    pair_bytes: float
    sample_bytes: float
    overhead: float = 1.0

    def bytes_between(self, small: tuple[int, float], large: tuple[int, float]) -> float:
        """Counted bytes that one (batch, pairs) keeps more than another."""
        samples, pairs = large[0] - small[0], large[1] - small[1]
        return self.sample_bytes * samples + self.pair_bytes * pairs

    def with_overhead(self, small: Timing, large: Timing) -> "Growth":
        """The same, its overhead taken from the peaks of two measured batch sizes."""
        counted = self.bytes_between((small.batch, small.pairs), (large.batch, large.pairs))
        if small.peak is None or large.peak is None or counted <= 0:
            return self
        measured = (large.peak - small.peak) / counted
        return replace(self, overhead=min(max(measured, 1.0), _MOST_OVERHEAD))


@dataclass(frozen=True)
class StepModel:
    """Seconds of a step and bytes of its activations, at any batch size.

    Attributes:
        full: the steps measured.
        growth: what larger batches add; None = everything but the optimiser grows with the samples.
        activations: bytes of `full` that are neither weights, gradients, state nor program.
        half: steps of half its batch; None = only the optimiser does not grow.
    """

    full: Timing
    growth: Growth | None = None
    activations: float = 0.0
    half: Timing | None = None

    @property
    def pair_seconds(self) -> float:
        """What one more pair takes: at least 0, and all of them no more than the whole."""
        if self.growth is None or self.full.pairs == 0:
            return 0.0
        variable = Spread.of(self.full.seconds).median - self.full.optimiser
        return min(max(self.growth.pair_seconds, 0.0), max(variable, 0.0) / self.full.pairs)

    @property
    def fixed_seconds(self) -> float:
        """What does not grow with the batch, near the measured one; at least the optimiser's share.

        By the step of half the batch: larger batches keep a processor busier, so that what a
        sample takes falls at first, and much smaller batches tell little.
        """
        full, half = self.full, self.half
        if half is None:
            return full.optimiser
        pairs = self.pair_seconds
        # The quickest of the smaller steps: they are over so soon that any disturbance shows.
        small, large = min(half.seconds) - pairs * half.pairs, self._median - pairs * full.pairs
        of_sample = max(0.0, large - small) / (full.batch - half.batch)
        return min(max(small - of_sample * half.batch, full.optimiser), max(small, full.optimiser))

    @property
    def _median(self) -> float:
        return Spread.of(self.full.seconds).median

    def seconds_at(self, batch: int, pairs: int) -> Spread:
        """Seconds of a step with `batch` samples and `pairs` pairs."""
        spread, full = Spread.of(self.full.seconds), self.full
        if batch == full.batch:
            return spread
        of_pairs, fixed = self.pair_seconds, self.fixed_seconds
        of_sample = (spread.median - fixed - of_pairs * full.pairs) / full.batch
        whole = fixed + batch * max(of_sample, 0) + pairs * of_pairs
        return spread.times(whole / spread.median)

    def activations_at(self, batch: int, pairs: float) -> float:
        """Bytes of activations with `batch` samples and `pairs` pairs; never below 0."""
        if self.growth is None:
            # Nothing tells samples from pairs: what grows faster of the two is taken for all.
            of_pairs = pairs / self.full.pairs if self.full.pairs else 0.0
            return self.activations * max(batch / self.full.batch, of_pairs)
        more = self.growth.bytes_between((self.full.batch, self.full.pairs), (batch, pairs))
        return max(0.0, self.activations + self.growth.overhead * more)
