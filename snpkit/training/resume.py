"""A run's folder: what is saved so that it continues as if it had never stopped."""

import reprlib
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snpkit.errors import CheckpointError, UserError
from snpkit.training import distributed
from snpkit.training.checkpoint import (
    Checkpoint,
    adopt,
    find_checkpoint,
    has_checkpoint,
    load_weights,
    previous_of,
    save_checkpoint,
)
from snpkit.training.optimisation import load_optimizer_tensors, optimizer_tensors
from snpkit.training.randomness import random_state, set_random_state
from snpkit.training.run import Run
from snpkit.training.schema import Recipe, read_recipe, recipe_to_dict

# What may differ between a run and its continuation without changing any weight.
_RECIPE = "recipe.json"
# data.draw: the saved position says what was drawn, also of runs that are older than the field.
_FREE = {"name", "choices", "evaluation", "optimisation.time_limit", "data.draw", "data.workers",
         "data.cache", "data.guard_seconds", "optimisation.nonfinite_limit"}


@dataclass(frozen=True)
class RunFiles:
    """The checkpoints of a run, and what is written into them besides the run's own state."""

    output: Path
    tokenizer: Any = None
    table: Any = None

    @property
    def last(self) -> Path:
        """The newest checkpoint: weights and everything that a continuation needs."""
        return self.output / "last"

    @property
    def best(self) -> Path:
        """The checkpoint of the best evaluation: weights only."""
        return self.output / "best"

    def prepare(self, *, resume: bool, overwrite: bool) -> Checkpoint | None:
        """The checkpoint to continue from; None = start from the beginning.

        Raises:
            UserError: a run lies here already and neither `resume` nor `overwrite` was said.
            CheckpointError: it cannot be continued, as it is damaged.
        """
        if self.output.exists() and not self.output.is_dir():
            raise UserError(f"{self.output} is a file; name a folder for the run.")
        there = has_checkpoint(self.last)
        if there and not (resume or overwrite):
            raise UserError(
                f"{self.output} holds a run already; continue it with --resume, replace it with "
                "--overwrite, or choose another folder."
            )
        if there and resume:
            return find_checkpoint(self.last)
        if overwrite and distributed.is_main():
            self._clear()
        distributed.barrier()
        return None

    def _clear(self) -> None:
        for folder in (self.last, self.best):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(previous_of(folder), ignore_errors=True)
        shutil.rmtree(self.output / "tensorboard", ignore_errors=True)
        (self.output / "history.jsonl").unlink(missing_ok=True)

    def save_last(self, run: Run) -> None:
        """Save the run at a step boundary; every process calls this, the main one writes."""
        states = distributed.gather(random_state()[None].to(run.device))  # [processes, bytes]
        if distributed.is_main():
            tensors = optimizer_tensors(run.model, run.optimizer) | {"random_states": states}
            self._save(self.last, run, tensors)
        distributed.barrier()

    def save_best(self, run: Run) -> None:
        """Save the weights as the best so far."""
        if distributed.is_main():
            self._save(self.best, run, None)
        distributed.barrier()

    def _save(self, folder: Path, run: Run, tensors: dict[str, Tensor] | None) -> None:
        save_checkpoint(
            folder,
            run.model,
            training=_training_state(run),
            tokenizer=self.tokenizer,
            table=self.table,
            recipe=recipe_to_dict(run.recipe),
            resume=tensors,
        )

    def load(self, run: Run, checkpoint: Checkpoint) -> None:
        """Put a run back to where `checkpoint` was saved.

        Raises:
            CheckpointError: it is damaged, of another model or recipe, or of another number of
                processes.
        """
        training = checkpoint.training
        _same_recipe(checkpoint, run.recipe)
        processes = training.get("processes")
        if processes != distributed.world_size():
            raise CheckpointError(
                f"{checkpoint.folder} was trained by {processes} processes and continues exactly "
                f"only with as many, not {distributed.world_size()}."
            )
        load_weights(run.model, checkpoint.folder)
        tensors = checkpoint.resume_tensors()
        try:
            states = tensors.pop("random_states")
            result = run.result
            result.step, result.seconds = int(training["step"]), float(training["seconds"])
            result.skipped, result.suspects = training["skipped"], list(training["suspects"])
            result.last, result.best = dict(training["metrics"]), dict(training["best"])
            run.batches.load_state_dict(training["batches"])
            run.scaler.load_state_dict(training["scaler"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"{checkpoint.folder} cannot be continued: its training.json or "
                f"resume.safetensors lacks {error}."
            ) from error
        _warn_of_threads(checkpoint, run.device)
        load_optimizer_tensors(run.model, run.optimizer, tensors)
        set_random_state(states[distributed.rank()])
        # All have read it; now the damaged newest one, if there was one, may give way.
        distributed.barrier()
        if distributed.is_main():
            adopt(checkpoint, self.last)


def _warn_of_threads(checkpoint: Checkpoint, device: torch.device) -> None:
    """Several threads add numbers up in another order than one: the last bits become others."""
    before, now = checkpoint.training.get("threads"), torch.get_num_threads()
    if device.type == "cpu" and before not in (None, now):
        sentence = (
            f"{checkpoint.folder} was trained with OMP_NUM_THREADS={before} and goes on with "
            f"{now}: its last digits will differ from an uninterrupted run's."
        )
        checkpoint.warning = " ".join(filter(None, (checkpoint.warning, sentence)))


def _training_state(run: Run) -> dict[str, Any]:
    result = run.result
    return {
        "step": result.step,
        "total_steps": run.total,
        "seconds": result.seconds,
        "metrics": result.last,
        "best": result.best,
        "skipped": result.skipped,
        "suspects": result.suspects,
        "processes": distributed.world_size(),
        "device": run.device.type,
        "threads": torch.get_num_threads(),
        "batches": run.batches.state_dict(),
        "scaler": run.scaler.state_dict(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that decide the numbers of a run."""
    found = {"torch": torch.__version__}
    for package in ("snpkit", "transformers", "tokenizers", "numpy", "safetensors"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a checkout that is not installed
            continue
    return found


def _same_recipe(checkpoint: Checkpoint, recipe: Recipe) -> None:
    path = checkpoint.folder / _RECIPE
    try:
        # A field that is newer than the run had, in effect, its default value.
        saved = _leaves(recipe_to_dict(read_recipe(path)))
    except UserError as error:
        raise CheckpointError(str(error)) from error
    wanted = _leaves(recipe_to_dict(recipe))
    for name in sorted(saved.keys() | wanted.keys()):
        free = name in _FREE or name.partition(".")[0] in _FREE
        if not free and saved.get(name) != wanted.get(name):
            shown = reprlib.repr(saved.get(name))
            raise CheckpointError(
                f"{checkpoint.folder} was trained with {name} = {shown}, not "
                f"{wanted.get(name)!r}; continue with the same recipe or start a new run."
            )


def _leaves(recipe: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in recipe.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": item for inner, item in value.items()}
        else:
            flat[name] = value
    return flat
