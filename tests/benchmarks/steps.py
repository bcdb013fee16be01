"""`race step` and `race forward`: a step of training, and the losses alone."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks import training
from tests.benchmarks.comparison import Round, Subject, farthest
from tests.benchmarks.processes import Answer, Turn, Worker
from tests.benchmarks.workload import Workload

if TYPE_CHECKING:
    import torch

TOLERANCE = {"fp32": 1e-4, "bf16": 1e-2}  # relative: of every loss; in bfloat16 of their sum


class FixedBatch:
    """The same batch for ever, in the loop's protocol."""

    def __init__(self, batch: "dict[str, Any]") -> None:
        from snpkit.model.slices import count_lengths

        self.batch = batch | {
            "lengths": count_lengths(batch["attention_mask"]),
            "mismatched_lengths": count_lengths(batch["mismatched_attention_mask"]),
            "label_count": int((batch["labels"] != -100).sum()),
        }

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> "Iterator[tuple[dict[str, Any], list[str]]]":
        while True:
            yield self.batch, ["generated"]

    def state_dict(self) -> dict[str, Any]:
        """Nothing: every batch is the same."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to come back to."""


def plain_way(kind: str, work: Workload) -> Turn:
    """The straightforward step ("step") or losses ("forward"): a function that does it once."""
    config, batch = work.config(), work.make_batch()
    weights = training.small_random_weights(config, work.seed)
    if kind == "forward":
        return _total(training.forward_pass(weights, batch, config))
    return _total(training.training_step(weights, batch, config, _recipe(work).optimisation))


def our_way(kind: str, work: Workload) -> Turn:
    """The same as snpkit does it."""
    import torch

    from snpkit.model.reference import from_reference
    from snpkit.training.loop import new_run, train_step

    config = work.config()
    weights = training.small_random_weights(config, work.seed)
    model = from_reference(weights, config)
    del weights
    batches = FixedBatch(work.make_batch())
    run = new_run(model, batches, _recipe(work), Path(), torch.device("cpu"))
    if kind == "forward":
        model.eval()

        @torch.no_grad()
        def losses() -> "dict[str, torch.Tensor]":
            with torch.autocast("cpu", run.dtype, enabled=run.dtype is not None):
                return model(batches.batch).losses

        return _total(losses)
    source = iter(batches)

    def step() -> "dict[str, torch.Tensor]":
        record = train_step(run, source)
        run.result.step += 1
        named = record.values.items()
        return {name[7:]: value for name, value in named if name.startswith("losses/")}

    return _total(step)


def _total(losses: "Callable[[], dict[str, torch.Tensor]]") -> Turn:
    def turn() -> dict[str, float]:
        found = {name: float(value) for name, value in losses().items()}
        return found | {"loss": sum(found.values())}

    return turn


def _recipe(work: Workload) -> Any:
    from snpkit.training.recipe import OptimisationRecipe, Recipe

    return Recipe(
        name="bench", seed=work.seed,
        optimisation=OptimisationRecipe(total_steps=100_000, precision=work.precision),
    )  # fmt: skip


def prepare(way: str) -> None:
    """Set a process up: ours as training does, the straightforward way as torch comes.

    Both have the same number of threads, and denormal numbers count as zero in both.
    """
    import torch

    from snpkit.machine import available_cores
    from snpkit.training.device import prepare_cpu

    if way == "ours":
        prepare_cpu()
    else:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", available_cores())))
        torch.set_flush_denormal(True)


def build(way: str, kind: str, work: Workload) -> Turn:
    """What a process does again and again."""
    prepare(way)
    return (plain_way if way == "plain" else our_way)(kind, work)


class _Shared:
    """A process that several subjects compare with: one turn in a round serves all of them."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.answer: Answer | None = None
        self.served: set[str] = set()

    def turn(self, asking: str) -> Answer:
        """The answer of this round; a new round begins when somebody asks again."""
        if self.answer is None or asking in self.served:
            self.answer, self.served = self.worker.turn(), set()
        self.served.add(asking)
        return self.answer


def step_subjects(kind: str, work: Workload, precisions: tuple[str, ...]) -> list[Subject]:
    """A step ("step"), or the losses alone ("forward"), each way in a process of its own.

    Args:
        precisions: of our way, one subject for each; one straightforward way stands for all.
    """
    works = {name: replace(work, precision=name) for name in precisions}
    plain = _Shared(Worker(build, ("plain", kind, work)))
    return [_subject(kind, each, plain) for each in works.values()]


def _subject(kind: str, work: Workload, plain: _Shared) -> Subject:
    ours = Worker(build, ("ours", kind, work))

    def measure() -> Round:
        theirs, mine = plain.turn(work.precision), ours.turn()
        compared = theirs.result if work.precision == "fp32" else ["loss"]
        return Round(
            plain=work.batch / theirs.seconds,
            ours=work.batch / mine.seconds,
            difference=farthest(abs(mine.result[n] / theirs.result[n] - 1) for n in compared),
            plain_peak=theirs.peak,
            ours_peak=mine.peak,
        )

    def close() -> None:
        plain.worker.close()
        ours.close()

    number = {"fp32": "float32", "bf16": "bfloat16"}[work.precision]
    return Subject(
        name=f"{kind} {work.precision}", unit="captions/s",
        plain="straightforward, float32", ours=f"snpkit, {number}",
        measure=measure, tolerance=TOLERANCE[work.precision], close=close,
        facts=work.describe() | {"Machine": ours.machine, "Float32": ours.products},
    )  # fmt: skip
