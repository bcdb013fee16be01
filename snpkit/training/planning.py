"""From a few measured steps to the time, memory and storage of a whole run.

    measurement = measure(get_recipe("laptop"))
    measurement.step_seconds.median, measurement.memory.peak
    plan = extrapolate(measurement, pairs=250_000)
    plan.seconds.median, plan.storage_bytes

What is measured and what is reckoned from it is kept apart: `Measurement.assumptions` says it in
sentences.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from snpkit.data.samples import Manifest
from snpkit.errors import UserError
from snpkit.files import read_json, write_json
from snpkit.training.planning_data import ClipFacts, measure_clips
from snpkit.training.planning_model import Growth, Memory, StepModel, Timing
from snpkit.training.planning_runs import PAIRS, Fleet, Plan, check_pairs, extrapolate
from snpkit.training.planning_units import Spread
from snpkit.training.schema import Recipe, recipe_to_dict

__all__ = ["PAIRS", "Fleet", "Machine", "Measurement", "Memory", "Plan", "check_pairs",
           "extrapolate", "measure"]  # fmt: skip
# A step under way is finished, and the first ones always run: so much longer may it take.
_PATIENCE = (4.0, 60.0)  # times the limit, and seconds for starting the process


@dataclass(frozen=True)
class Machine:
    """What the machine of a measurement has, in bytes; None if unknown.

    Attributes:
        device: memory of the device that the steps ran on.
        ram: of the processor.
        disk: the disk with the clips, or that of the working folder.
    """

    device: float | None = None
    ram: float | None = None
    disk: float | None = None


@dataclass(frozen=True)
class Measurement:
    """What a few steps of a recipe took on this machine.

    Attributes:
        recipe: the recipe as it is, whatever batch was measured.
        steps: the measured steps, and the model that takes them to the recipe's batch.
        pairs: cross-modal pairs of the recipe's own batch.
        memory: at the recipe's batch; None where nobody counts memory.
        measured_peak: bytes held at most in the measured steps.
        parameters: of the model, each shared one once.
        device, precision: where and in which number format the steps ran.
        source: what the steps were taken on, in words.
        loading: seconds of filling the frame cache, per pair; None without a cache.
        clips: sizes of the clips' files.
        vocabulary: words of the model.
        words_known: False where the recipe's tokenizer was not at hand.
        cores, load: of the machine; how many processes wanted to run on them; None if unknown.
        machine: how much memory and disk there is.
    """

    recipe: Recipe
    steps: StepModel
    pairs: int
    memory: Memory | None
    measured_peak: float | None
    parameters: int
    device: str
    precision: str
    source: str
    loading: float | None
    clips: ClipFacts
    vocabulary: int
    words_known: bool = True
    cores: int = 1
    load: float | None = None
    machine: Machine = Machine()

    @property
    def scaled(self) -> bool:
        """Whether a smaller batch than the recipe's was measured."""
        return self.steps.full.batch < self.recipe.data.batch_size

    @property
    def step_seconds(self) -> Spread:
        """Seconds of one of the recipe's steps."""
        return self.steps.seconds_at(self.recipe.data.batch_size, self.pairs)

    @property
    def samples_per_second(self) -> float:
        """Samples trained on in a second, by the median step."""
        return self.recipe.data.batch_size / self.step_seconds.median

    @property
    def cached_bytes(self) -> float | None:
        """Decoded frames of a clip in memory; None where the recipe keeps none."""
        if not self.recipe.data.cache or self.clips.frames is None:
            return None
        return self.clips.frames * 3 * self.recipe.data.size**2

    def activations_at(self, batch: int, pairs: float) -> float:
        """Bytes of activations with `batch` samples and `pairs` pairs."""
        return self.steps.activations_at(batch, pairs)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the figures rest on, in sentences."""
        from snpkit.training.planning_report import assumptions

        return assumptions(self)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        values = asdict(self) | {"recipe": recipe_to_dict(self.recipe)}
        reckoned = {
            "scaled": self.scaled,
            "step_seconds": asdict(self.step_seconds),
            "samples_per_second": self.samples_per_second,
            "assumptions": self.assumptions,
        }
        return json.loads(json.dumps(values | reckoned))


def measure(
    recipe: Recipe,
    *,
    manifest: str | Path | None = None,
    steps: int = 8,
    batch: int | None = None,
    device: str = "auto",
    time_limit: float = 120.0,
    clock: Literal["wall", "process"] = "wall",
) -> Measurement:
    """Take a few steps of a recipe in a fresh process and measure them.

    The steps are those of `pretrain`; without a manifest they see noise and generated captions.

    Args:
        manifest: clips to train the steps on, read as the recipe reads them.
        steps: to measure, after warm-up; fewer where the time runs out, but at least one.
        batch: samples to measure with; None = the recipe's, or the largest that seems to fit.
        device: auto, cpu, cuda or mps.
        time_limit: seconds to measure for; a step under way is finished.
        clock: of the steps; "process" counts the seconds that a processor worked for this
            process, which other processes disturb little. For one thread without a device.

    Raises:
        UserError: a number is out of range, no manifest, or too little time or memory for a step.
    """
    full = recipe.data.batch_size
    if steps < 1 or not time_limit > 0:
        raise UserError("Measuring takes at least one step and a positive time limit.")
    if batch is not None and not 2 <= batch <= full:
        raise UserError(f"--batch is {batch}; measure with 2 to {full} samples, the recipe's own.")
    loaded = None if manifest is None else Manifest.load(manifest)
    clips = measure_clips(loaded, recipe)
    request = {
        "recipe": recipe_to_dict(recipe), "steps": steps, "batch": batch, "device": device,
        "manifest": None if manifest is None else str(Path(manifest).resolve()),
        "time_limit": time_limit, "clock": clock,
    }  # fmt: skip
    answer = _ask_fresh_process(request, _PATIENCE[0] * time_limit + _PATIENCE[1])
    if "error" in answer:
        raise UserError(answer["error"])
    source = "noise and generated captions" if manifest is None else f"clips of {manifest}"
    disk = shutil.disk_usage(Path.cwd() if loaded is None else loaded.root).total
    machine = Machine(answer["device_memory"], answer["ram"], disk)
    return replace(_measurement(recipe, answer, clips, source), machine=machine)


def _ask_fresh_process(request: dict[str, Any], patience: float) -> dict[str, Any]:
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "request.json", Path(folder) / "answer.json"
        write_json(asked, request)
        command = [sys.executable, "-m", "snpkit.training.planning_steps", asked, answered]
        try:
            ended = subprocess.run(
                command, env=os.environ | offline, timeout=patience, capture_output=True, text=True
            )
        except subprocess.TimeoutExpired:
            raise UserError(
                f"The steps did not end within {patience:.0f} s; measure a smaller batch (--batch) "
                "or allow more time (--time-limit)."
            ) from None
        if answered.is_file():
            return read_json(answered)
        lines = ended.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"it ended with status {ended.returncode}"
        if ended.returncode == -9:
            reason = "it was killed, probably for want of memory"
        raise UserError(f"The steps could not be measured ({reason}); try a smaller --batch.")


def _measurement(
    recipe: Recipe, answer: dict[str, Any], clips: ClipFacts, source: str
) -> Measurement:
    """Put together what the fresh process wrote down."""
    full = Timing(**answer["full"])
    growth = None if answer["growth"] is None else Growth(**answer["growth"])
    held = {"program": answer["program"], "cache": answer["cache"], **answer["parts"]}
    known = full.peak is not None
    rest = max(0.0, full.peak - sum(held.values())) if known else 0.0
    half = None if answer["half"] is None else Timing(**answer["half"])
    steps, pairs = StepModel(full, growth, rest, half), answer["pairs"]
    rest = steps.activations_at(recipe.data.batch_size, pairs)
    return Measurement(
        recipe=recipe,
        steps=steps,
        pairs=pairs,
        memory=Memory(**held, activations=rest) if known else None,
        measured_peak=full.peak,
        source=source,
        clips=clips,
        **{name: answer[name] for name in (
            "parameters", "device", "precision", "loading", "vocabulary", "words_known",
            "cores", "load",
        )},
    )
