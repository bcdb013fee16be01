"""What a training run is made of, and how it is saved so that it continues as if never stopped."""

import reprlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from snpkit.checkpoint import (
    Checkpoint,
    adopt,
    find_checkpoint,
    has_checkpoint,
    load_weights,
    previous_of,
    save_checkpoint,
)
from snpkit.errors import CheckpointError, UserError, explained
from snpkit.files import locked_folder, made_folder
from snpkit.machine import versions
from snpkit.training import distributed
from snpkit.training.history import leaves
from snpkit.training.optimisation import BufferGuard, load_optimizer_tensors, optimizer_tensors
from snpkit.training.randomness import random_state, set_random_state
from snpkit.training.recipe import Recipe, read_recipe, recipe_to_dict

Batch = dict[str, Any]
Evaluate = Callable[[nn.Module, int], dict[str, Any]]


class Batches(Protocol):
    """What the loop draws from: endless batches with their files, and a position to come back to.

    `len` is the number of batches in an epoch; iterating starts at the present position.
    """

    def __iter__(self) -> Iterator[tuple[Batch, list[str]]]: ...
    def __len__(self) -> int: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass
class TrainingResult:
    """What a run came to.

    Attributes:
        step: optimiser steps done, skipped ones included.
        stopped: "finished", "time_limit" or "interrupted".
        best: the metrics of the best evaluation, with its "step"; empty without evaluations.
        last: the metrics of the last evaluation.
        skipped: steps skipped because a loss or gradient was not finite.
        suspects: files of the batches that gave such a loss.
        seconds: time spent training, earlier runs included.
        output: the run's folder, with `last` and `best` checkpoints and history.jsonl.
    """

    output: Path
    step: int = 0
    stopped: str = "finished"
    best: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    skipped: int = 0
    suspects: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Run:
    """The parts of a run that change with every step."""

    recipe: Recipe
    model: nn.Module
    parallel: nn.Module  # the model, or DistributedDataParallel around it
    batches: Batches
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    guard: BufferGuard
    device: torch.device
    total: int
    result: TrainingResult
    dtype: torch.dtype | None  # of the forward pass; None = float32


# Fields that may differ between a run and its continuation without changing any weight. data.draw:
# the saved position says what was drawn, also of runs that are older than the field.
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
            CheckpointError: it cannot be continued, as it is damaged.
            UserError: the former run cannot be deleted.
        """
        if resume and has_checkpoint(self.last):
            return find_checkpoint(self.last)
        if overwrite and distributed.is_main():
            self._clear()
        distributed.barrier()
        return None

    def _clear(self) -> None:
        for folder in (self.last, self.best, self.output / "tensorboard"):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(previous_of(folder), ignore_errors=True)
        with explained(f"Cannot delete the run in {self.output}"):
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
        if not self.output.is_dir():
            raise CheckpointError(
                f"The folder {self.output} was removed while the run was writing to it; nothing of "
                "the run is left, start it again."
            )
        save_checkpoint(
            folder, run.model, training=_training_state(run), tokenizer=self.tokenizer,
            table=self.table, recipe=recipe_to_dict(run.recipe), resume=tensors,
        )  # fmt: skip

    def load(self, run: Run, checkpoint: Checkpoint) -> None:
        """Put a run back to where `checkpoint` was saved.

        Raises:
            CheckpointError: it is damaged, of another model, recipe or data, or of another number
                of processes.
        """
        folder, training = checkpoint.folder, checkpoint.training
        _same_recipe(folder, run.recipe)
        processes = training.get("processes")
        if processes != distributed.world_size():
            raise CheckpointError(
                f"{folder} was trained by {processes} processes and continues exactly only with "
                f"as many, not {distributed.world_size()}."
            )
        try:
            # First: other captions give another tokenizer, and with it a model of another size.
            run.batches.load_state_dict(training["batches"])
            load_weights(run.model, folder)
            tensors = checkpoint.resume_tensors()
            states = tensors.pop("random_states")
            result = run.result
            result.step, result.seconds = int(training["step"]), float(training["seconds"])
            result.skipped, result.suspects = training["skipped"], list(training["suspects"])
            result.last, result.best = dict(training["metrics"]), dict(training["best"])
            run.scaler.load_state_dict(training["scaler"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"{folder} cannot be continued: its training.json or resume.safetensors lacks "
                f"{error}."
            ) from error
        # Several threads add numbers up in another order than one: the last bits become others.
        before, now = training.get("threads"), torch.get_num_threads()
        if run.device.type == "cpu" and before not in (None, now):
            sentence = (
                f"{folder} was trained with OMP_NUM_THREADS={before} and goes on with {now}: its "
                "last digits will differ from an uninterrupted run's."
            )
            checkpoint.warning = " ".join(filter(None, (checkpoint.warning, sentence)))
        load_optimizer_tensors(run.model, run.optimizer, tensors)
        set_random_state(states[distributed.rank()])
        # All have read it; now the damaged newest one, if there was one, may give way.
        distributed.barrier()
        if distributed.is_main():
            adopt(checkpoint, self.last)


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


def _same_recipe(folder: Path, recipe: Recipe) -> None:
    try:
        # A field that is newer than the run had, in effect, its default value.
        saved = leaves(recipe_to_dict(read_recipe(folder / "recipe.json")))
    except UserError as error:
        raise CheckpointError(str(error)) from error
    wanted = leaves(recipe_to_dict(recipe))
    for name in sorted(saved.keys() | wanted.keys()):
        free = name in _FREE or name.partition(".")[0] in _FREE
        if not free and saved.get(name) != wanted.get(name):
            shown = reprlib.repr(saved.get(name))
            raise CheckpointError(
                f"{folder} was trained with {name} = {shown}, not {wanted.get(name)!r}; continue "
                "with the same recipe or start a new run."
            )


@contextmanager
def run_folder(
    output: str | Path, *, resume: bool = False, overwrite: bool = False
) -> Iterator[Path]:
    """Hold the folder of a run; made if it is missing, removed again if it stays empty.

    Whatever is wrong with it is found out here, before a command decodes anything. Of several
    processes the main one holds it.

    Args:
        resume, overwrite: a run that lies there already will be continued, or deleted.

    Raises:
        UserError: the folder cannot be made or written to, its name is no text, another process
            writes to it, or it holds a run that is neither to be continued nor to be replaced.
    """
    folder, problem = Path(output), None
    with ExitStack() as stack:
        if distributed.is_main():
            try:
                stack.enter_context(made_folder(folder))
                stack.enter_context(locked_folder(folder))
                if has_checkpoint(folder / "last") and not (resume or overwrite):
                    raise UserError(
                        f"{folder} holds a run already; continue it with --resume, replace it with "
                        "--overwrite, or choose another folder."
                    )
            except UserError as error:
                problem = error
        if distributed.any_process(torch.tensor(float(problem is not None))) > 0:
            raise problem or UserError(f"The first process cannot use {folder}; it says why.")
        yield folder
