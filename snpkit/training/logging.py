"""Logging a run: losses stay on the device step by step and are read together now and then."""

import math
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from snpkit.errors import UserError, listed
from snpkit.machine import current_memory
from snpkit.training import distributed
from snpkit.training.history import History
from snpkit.training.run import TrainingResult


@dataclass
class StepRecord:
    """What one step leaves behind; every tensor is a scalar on the device.

    Attributes:
        values: "loss", "gradient_norm" and "losses/NAME".
        skipped: true where all processes skipped the step for a loss or gradient not finite.
        bad: true where this process's batch may be to blame.
        files: the names of its files.
        learning_rate: of this step.
        seconds: since the run began.
    """

    step: int
    values: dict[str, Tensor]
    skipped: Tensor
    bad: Tensor
    files: list[str]
    learning_rate: float
    seconds: float = 0.0


class Logger(AbstractContextManager):
    """Collects step records and turns them into history lines, a progress bar and warnings.

    The main process writes; the others compute the same and keep silent.

    Args:
        result: its `skipped` and `suspects` are kept up to date.
        limit: so many skipped steps are borne; one more raises UserError.
        total: steps of the whole run.

    Attributes:
        pending: records of which nothing has been read from the device yet.
    """

    def __init__(
        self, result: TrainingResult, *, limit: int, total: int, progress: bool
    ) -> None:
        main = distributed.is_main()
        self.result, self.limit = result, limit
        self.history = History(result.output, result.step) if main else None
        self.pending: list[StepRecord] = []
        self.bar = tqdm(total=total, initial=result.step, disable=not (progress and main),
                        unit="step", file=sys.stderr, dynamic_ncols=True)

    def __exit__(self, *_: object) -> None:
        self.bar.close()
        if self.history is not None:
            self.history.__exit__()

    def flush(self) -> None:
        """Read all pending records at once, write their lines and move the bar.

        Raises:
            UserError: more steps were skipped than the limit allows; names the batches' files.
        """
        records, self.pending = self.pending, []
        if not records:
            return
        tensors = [t for r in records for t in (*r.values.values(), r.skipped, r.bad)]
        numbers = iter(torch.stack([t.float() for t in tensors]).tolist())  # the one transfer
        lines = [self._line(record, numbers) for record in records]
        # Of the whole process: the last line of each group shows whether a long run grows.
        lines[-1]["memory_mb"] = round(current_memory(records[-1].skipped.device) / 1e6, 1)
        if self.history is not None:
            self.history.write(lines)
        self.bar.update(len(records))
        shown = lines[-1]["losses"] | {"loss": lines[-1]["loss"]}
        self.bar.set_postfix({n: f"{v:.3f}" for n, v in shown.items() if v is not None})
        if self.result.skipped > self.limit:
            raise UserError(self._complaint())

    def _line(self, record: StepRecord, numbers: Any) -> dict[str, Any]:
        values = {name: _finite(next(numbers)) for name in record.values}
        skipped, bad = next(numbers) > 0, next(numbers) > 0
        line: dict[str, Any] = {
            "step": record.step,
            "loss": values.pop("loss"),
            "gradient_norm": values.pop("gradient_norm"),
            "losses": {name.removeprefix("losses/"): value for name, value in values.items()},
            "learning_rate": record.learning_rate,
            "seconds": round(record.seconds, 3),
        }
        if skipped:
            own = record.files if bad else []
            files = distributed.gather_names(own, record.skipped.device)
            self.result.skipped += 1
            self.result.suspects += [f for f in files if f not in self.result.suspects]
            line |= {"skipped": True, "files": files}
        return line

    def _complaint(self) -> str:
        result = self.result
        return (
            f"Training stopped at step {result.step}: {result.skipped} steps had a loss or "
            f"gradient that is not finite; lower the learning rate, or look at the files of these "
            f"batches, named in {result.output / 'history.jsonl'}: {listed(result.suspects, 8)}."
        )

    def evaluation(self, metrics: dict[str, float]) -> None:
        """Write an evaluation's line."""
        if self.history is not None:
            values = {name: _finite(value) for name, value in metrics.items()}
            self.history.write([{"step": self.result.step, "evaluation": values}])

    def sync(self) -> None:
        """Force the history to the disk."""
        if self.history is not None:
            self.history.sync()

    def message(self, sentence: str) -> None:
        """Print a sentence without breaking the progress bar."""
        if distributed.is_main():
            tqdm.write(sentence, file=sys.stderr)


def _finite(value: float) -> float | None:
    # JSON has no NaN.
    return value if math.isfinite(value) else None
