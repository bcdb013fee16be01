"""Measurements made by hand, for tests of what is reckoned from them."""

from snpkit.training.planning import Measurement, Memory
from snpkit.training.planning_data import ClipFacts
from snpkit.training.planning_model import Growth, StepModel, Timing
from snpkit.training.recipes import get_recipe
from snpkit.training.schema import override

CLIPS = ClipFacts("10 clips", file_bytes=1000.0, frames=20.0, clips_per_pair=0.5)


def measurement(name="laptop", changes=None, *, batch=None, seconds=(0.5, 0.4, 0.6), growth=None):
    """A measurement with round numbers; `batch` below the recipe's = scaled."""
    recipe = override(get_recipe(name), changes or {})
    batch, full = batch or recipe.data.batch_size, recipe.data.batch_size
    timing = Timing(batch, 4 * batch, tuple(seconds), 0.1, 0.05, 1e9)
    memory = Memory(4e8, 0.0, 1e8, 1e8, 2e8, 2e8)
    steps = StepModel(timing, growth, activations=2e8)
    if growth is not None and batch == full:
        raise ValueError("nothing is scaled")
    return Measurement(
        recipe=recipe, steps=steps, pairs=4 * full, memory=memory, measured_peak=1e9,
        parameters=25_000_000, device="cpu (1 of 2 cores)", precision="bfloat16",
        source="noise and generated captions", loading=None, clips=CLIPS, vocabulary=1000,
    )  # fmt: skip


SCALED = measurement(batch=16, growth=Growth(0.001, 1000.0, 10_000.0, 2.0))
