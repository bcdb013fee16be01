"""What a training run is made of, and what comes out of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from snpkit.training.optimisation import BufferGuard
from snpkit.training.schema import Recipe

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
