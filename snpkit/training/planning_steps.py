"""The fresh process of a plan: takes a few real steps of a recipe and writes down what they took.

    python -m snpkit.training.planning_steps REQUEST.json RESULT.json

A process of its own, because its peak memory is then the recipe's: nothing ran in it before.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from snpkit.data.samples import Manifest
from snpkit.errors import UserError
from snpkit.files import read_json, write_json
from snpkit.language.significance import SignificanceTable
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.training.batches import PreTrainingBatches
from snpkit.training.device import (
    autocast_dtype,
    available_cores,
    choose_device,
    keep_products,
    prepare_cpu,
    to_device,
)
from snpkit.training.loop import Batch, Run, new_run, train_step
from snpkit.training.planning_data import measured_dataset, measured_tokenizer
from snpkit.training.planning_growth import measure_growth, padded, usual_lengths
from snpkit.training.planning_memory import (
    available_memory,
    current_memory,
    peak_memory,
    total_memory,
)
from snpkit.training.planning_model import Growth, Timing, computed_pairs
from snpkit.training.randomness import seed_everything
from snpkit.training.schema import Recipe, override, recipe_from_dict
from snpkit.training.setup import make_config

_PROBE = 2  # samples of the first steps, which tell what larger batches would take
_PROBE_STEPS = 3
_WARM_UP = 2  # steps left out: the first ones allocate memory and the optimiser's state
_MEMORY_SHARE = 0.7  # of what is free
_CLOCKS = {"wall": time.perf_counter, "process": time.process_time}


class Trial:
    """A recipe set up as `pretrain` would, whose batch size can change from step to step."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.deadline = time.monotonic() + request["time_limit"]
        self.recipe: Recipe = recipe_from_dict(request["recipe"])
        path, self.steps = request["manifest"], request["steps"]
        self.clock = _CLOCKS[request["clock"]]
        self.device = choose_device(request["device"])
        self.threads = prepare_cpu()
        if path is None:  # noise is there at once
            self.recipe = override(self.recipe, {"data.workers": 0})
        wanted = min(4096, (request["batch"] or self.recipe.data.batch_size) * (self.steps + 3))
        manifest = None if path is None else Manifest.load(path)
        start = time.monotonic()
        self.dataset = measured_dataset(self.recipe, manifest, max(256, wanted))
        self.loading = time.monotonic() - start
        captions = [row.caption for row in self.dataset.manifest.rows]
        self.tokenizer, vocabulary = measured_tokenizer(self.recipe, captions)
        self.table = SignificanceTable.mine(captions, top_k=self.recipe.significance.top_k)
        self.config = make_config(self.recipe, self.tokenizer)
        self.config.vocab_size = vocabulary
        rows, data = self.dataset.manifest.rows, self.recipe.data
        self.usual = usual_lengths(self.tokenizer, rows, data.batch_size, data.max_tokens)
        self.tokens = max(self.usual)
        if self.device.type == "cpu":
            precision = autocast_dtype(self.recipe.optimisation.precision, self.device)
            keep_products(precision or torch.float32)
        self.program = current_memory(self.device)
        self.run = self._start()

    def _start(self) -> Run:
        seed_everything(self.recipe.seed)
        model = SNPForPreTraining(self.config)
        # The same run that `pretrain` starts, so that its steps are the same.
        run = new_run(model, self.batches(_PROBE), self.recipe, Path(), self.device)
        run.optimizer.register_step_pre_hook(lambda *_: self._note_optimiser(-1))
        run.optimizer.register_step_post_hook(lambda *_: self._note_optimiser(1))
        return run

    def _note_optimiser(self, sign: int) -> None:
        self._settle()
        self.optimiser_seconds += sign * self.clock()

    def _settle(self) -> None:
        if self.device.type != "cpu":  # a device works on while Python goes ahead
            getattr(torch, self.device.type).synchronize()

    def batches(self, size: int) -> PreTrainingBatches:
        """The recipe's batches, of `size` samples each."""
        # What is drawn decides no time; a few videos with many captions are enough to measure.
        recipe = override(self.recipe, {"data.batch_size": size, "data.draw": "captions"})
        settings = {"words": self.config.lvwm_words, "mismatched": self.config.itm}
        return PreTrainingBatches(self.dataset, self.tokenizer, self.table, recipe, **settings)

    def source(self, size: int) -> Iterator[tuple[Batch, list[str]]]:
        """These batches; those smaller than the recipe's padded as the recipe's would be."""
        batches = iter(self.batches(size))
        if size == self.recipe.data.batch_size:
            return batches
        return padded(batches, self.tokens, self.config.pad_token_id)

    def growth(self, batch: int) -> Growth:
        """What larger batches than `batch` add."""
        small, large = (next(self.source(size))[0] for size in (max(2, batch // 2), batch))
        if batch == _PROBE:
            large = next(self.source(2 * _PROBE))[0]
        moved = [to_device(batch, self.device) for batch in (small, large)]
        return measure_growth(self.run.model, *moved, self.usual, self.run.dtype, self.clock)

    def take(self, batch: int, steps: int, warm_up: int) -> Timing:
        """Time so many steps of a batch size, fewer where the time runs out, but one."""
        waits: list[float] = []
        source = _timed(self.source(batch), waits, self.clock)
        seconds, optimiser = [], []
        for step in range(warm_up + steps):
            if step > warm_up and time.monotonic() > self.deadline:
                break
            self.optimiser_seconds = 0.0
            start = self.clock()
            train_step(self.run, source)
            self._settle()
            seconds.append(self.clock() - start)
            optimiser.append(self.optimiser_seconds)
            self.run.result.step += 1
        kept = len(seconds) - warm_up
        return Timing(
            batch=batch,
            pairs=computed_pairs(self.config, batch),
            seconds=tuple(seconds[warm_up:]),
            optimiser=sum(optimiser[warm_up:]) / kept,
            waiting=sum(waits[-kept:]) / kept,
            peak=peak_memory(self.device),
        )

    def affordable(self, probe: Timing) -> int:
        """The largest batch, at most the recipe's, that memory and time seem to allow."""
        full, left = self.recipe.data.batch_size, self.deadline - time.monotonic()
        room = available_memory(self.device)
        variable = probe.seconds[-1] - probe.optimiser
        used = (probe.peak or 0) - self.program - self.state_bytes()
        batch = full
        while batch > _PROBE and left > 0:
            times = max(batch / _PROBE, computed_pairs(self.config, batch) / max(1, probe.pairs))
            seconds = (self.steps + 2) * (probe.optimiser + variable * times)
            fits = room is None or max(used, 0) * times < _MEMORY_SHARE * room
            if fits and seconds < left and batch <= len(self.dataset):
                return batch
            batch = 1 << ((batch - 1).bit_length() - 1)  # the next lower power of two
        return _PROBE

    def state_bytes(self) -> int:
        """Bytes of weights, buffers, gradients and the optimiser's state."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        """Bytes of what the model keeps from step to step."""
        model, state = self.run.model, self.run.optimizer.state
        weights = [*model.parameters(), *model.buffers()]
        kept = [value for values in state.values() for value in values.values()]
        return {
            "weights": sum(tensor.nbytes for tensor in weights),
            "gradients": sum(p.nbytes for p in model.parameters() if p.requires_grad),
            "optimiser": sum(tensor.nbytes for tensor in kept if torch.is_tensor(tensor)),
        }


def _timed(
    source: Iterator[Any], waits: list[float], clock: Callable[[], float]
) -> Iterator[Any]:
    while True:
        start = clock()
        item = next(source)
        waits.append(clock() - start)
        yield item


def take_steps(request: dict[str, Any]) -> dict[str, Any]:
    """Measure; the JSON values that `planning.measure` makes a Measurement of."""
    trial = Trial(request)
    probe = trial.take(_PROBE, _PROBE_STEPS, warm_up=1)
    batch = request["batch"] or trial.affordable(probe)
    late = batch == _PROBE and time.monotonic() > trial.deadline
    scaled = batch < trial.recipe.data.batch_size
    # As many steps as of the whole batch: the peak is that of the worst of them, and memory settles
    # only after some.
    twice = scaled and batch >= 2 * _PROBE
    half = trial.take(batch // 2, trial.steps, _WARM_UP) if twice else None
    full = probe if late else trial.take(batch, trial.steps, _WARM_UP)
    growth = trial.growth(batch).with_overhead(half or probe, full) if scaled else None
    model, cache = trial.run.model, trial.dataset.cache
    dtype = autocast_dtype(trial.recipe.optimisation.precision, trial.device) or torch.float32
    return {
        "full": vars(full),
        "half": half and vars(half),
        "growth": growth and vars(growth),
        "pairs": computed_pairs(trial.config, trial.recipe.data.batch_size),
        "parameters": sum(p.numel() for p in model.parameters()),
        "program": trial.program - (cache.frames.nbytes if cache else 0),
        "cache": cache.frames.nbytes if cache else 0,
        "parts": trial.parts(),
        "loading": trial.loading / len(trial.dataset) if cache else None,
        "precision": str(dtype).removeprefix("torch."),
        "device": _device_name(trial),
        "device_memory": total_memory(trial.device),
        "ram": total_memory(torch.device("cpu")),
        "vocabulary": trial.config.vocab_size,
        "cores": available_cores(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "words_known": trial.config.vocab_size == len(trial.tokenizer),
    }


def _device_name(trial: Trial) -> str:
    if trial.device.type == "cuda":
        return f"{trial.device} ({torch.cuda.get_device_name(trial.device)})"
    if trial.device.type == "cpu":
        return f"cpu ({trial.threads} of {available_cores()} cores)"
    return str(trial.device)


def main() -> int:
    """Answer one request; a mistake of the user is an answer too."""
    request, result = sys.argv[1:]
    try:
        answer = take_steps(read_json(request))
    except UserError as error:
        answer = {"error": str(error)}
    except torch.OutOfMemoryError:
        answer = {"error": "The device has not enough memory; measure a smaller batch (--batch)."}
    write_json(result, answer)
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # not waiting for processes that still read ahead
