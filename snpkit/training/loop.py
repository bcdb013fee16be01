"""The training loop: one function, `pretrain`, and the few parts that it is made of.

    for step in range(start, total):
        losses = forward and backward
        clip, AdamW at this step's learning rate, skipped by itself where a loss is not finite
        now and then: read the losses, evaluate, save

Nothing inside a step asks the device for a number: losses stay where they are until `log_every`
steps are read at once. (Attentive masking is the exception: how much it masks is drawn there.)
Stopping and resuming is exact: on a CPU the weights are bit-equal with those of a run that was
never stopped, if as many threads compute (a warning names another number).
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snpkit.errors import UserError
from snpkit.model.base import SNPPreTrainedModel
from snpkit.training import distributed
from snpkit.training.device import autocast_dtype, choose_device, prepare_cpu, to_device
from snpkit.training.history import flatten
from snpkit.training.logging import Logger, StepRecord
from snpkit.training.optimisation import (
    BufferGuard,
    clip_gradients,
    learning_rate,
    make_optimizer,
    step_unless,
    total_steps,
)
from snpkit.training.randomness import seed_everything, undisturbed
from snpkit.training.recipe import Recipe
from snpkit.training.run import Batch, Batches, Evaluate, Run, RunFiles, TrainingResult, run_folder
from snpkit.training.stopping import StopSignal


def pretrain(
    model: nn.Module,
    batches: Batches,
    recipe: Recipe,
    *,
    output: str | Path,
    evaluate: Evaluate | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tokenizer: Any = None,
    table: Any = None,
    device: str = "auto",
    progress: bool = True,
) -> TrainingResult:
    """Train `model` on `batches` by `recipe` and keep its `last` and `best` checkpoints.

    Args:
        model: called with a batch, returns `.loss` and `.losses` (a dict of scalars).
        evaluate: called with the model (in eval mode) and the step, in every process; returns
            metrics, among them the recipe's `evaluation.monitor`.
        resume: continue from `output`/last if it is there, else start.
        overwrite: delete the run that lies in `output`.
        tokenizer, table: written into every checkpoint.

    Returns:
        How far the run came, and why it stopped: "interrupted" after Ctrl-C or SIGTERM.

    Raises:
        UserError: `output` cannot be used (see `run_folder`); too many losses are not finite.
        CheckpointError: nothing can be saved, or the run cannot be continued.
    """
    target = choose_device(device)
    prepare_cpu()
    distributed.init_if_needed(target)
    with run_folder(output, resume=resume, overwrite=overwrite) as folder:
        files = RunFiles(folder, tokenizer, table)
        checkpoint = files.prepare(resume=resume, overwrite=overwrite)
        run = new_run(model, batches, recipe, folder, target)
        if checkpoint is not None:
            files.load(run, checkpoint)
        run.parallel = distributed.parallelise(run.model, target)
        limit = recipe.optimisation.nonfinite_limit
        with Logger(run.result, limit=limit, total=run.total, progress=progress) as logger:
            if checkpoint is not None and checkpoint.warning:
                logger.message(checkpoint.warning)
            _train(run, logger, files, evaluate)
    return run.result


def new_run(
    model: nn.Module, batches: Batches, recipe: Recipe, output: Path, device: torch.device
) -> Run:
    """A run at step 0, with every generator seeded by the recipe."""
    dtype = autocast_dtype(recipe.optimisation.precision, device)
    model = model.to(device).train()
    model.micro_batch = recipe.optimisation.micro_batch
    if isinstance(model, SNPPreTrainedModel) and "attn_implementation" not in recipe.model:
        # On a CPU, over so few tokens, attention spelt out trains faster than the fused one.
        model.set_attention("eager" if device.type == "cpu" else "sdpa")
    seed_everything(recipe.seed, distributed.rank())
    return Run(
        recipe=recipe,
        model=model,
        parallel=model,
        batches=batches,
        optimizer=make_optimizer(model, recipe.optimisation),
        # Small float16 gradients would vanish: the loss is scaled up before the backward pass.
        scaler=torch.amp.GradScaler(device.type, enabled=dtype is torch.float16),
        guard=BufferGuard(model),
        device=device,
        total=total_steps(recipe.optimisation, len(batches)),
        result=TrainingResult(output),
        dtype=dtype,
    )


def _train(run: Run, logger: Logger, files: RunFiles, evaluate: Evaluate | None) -> None:
    """Steps until the last one or a reason to stop; then a last evaluation and checkpoint."""
    result, every = run.result, run.recipe.evaluation
    evaluated = saved = result.step
    source = iter(run.batches)
    earlier, began = result.seconds, time.monotonic()
    result.stopped = ""
    with StopSignal(run.recipe.optimisation.time_limit) as stop:
        while result.step < run.total and not result.stopped:
            record = train_step(run, source)
            result.step += 1
            result.seconds = record.seconds = earlier + time.monotonic() - began
            logger.pending.append(record)
            report = result.step % every.log_every == 0
            if report:
                logger.flush()
            if evaluate is not None and result.step % every.every == 0:
                evaluated = _evaluate(run, logger, files, evaluate)
            if result.step % every.checkpoint_every == 0:
                saved = _save(run, logger, files)
            result.stopped = stop.check(run.device, agree=report)
        logger.flush()
        result.stopped = result.stopped or "finished"
        interrupted = result.stopped == "interrupted"
        unmeasured = evaluate is not None and evaluated < result.step and not interrupted
        if unmeasured:
            _evaluate(run, logger, files, evaluate)
        if unmeasured or saved < result.step:
            _save(run, logger, files)
    if interrupted:
        logger.message(f"Stopped at step {result.step} of {run.total} and saved {files.last}; "
                    "the same command with --resume continues from there.")


def train_step(run: Run, source: Iterator[tuple[Batch, list[str]]]) -> StepRecord:
    """One optimiser step, without reading anything from the device."""
    recipe, optimizer, scaler = run.recipe.optimisation, run.optimizer, run.scaler
    rate = learning_rate(recipe, run.result.step, run.total)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate"]
    optimizer.zero_grad(set_to_none=True)
    run.guard.remember()
    batch, files = next(source)
    with torch.autocast(run.device.type, run.dtype, enabled=run.dtype is not None):
        output = run.parallel(to_device(batch, run.device))
    scaler.scale(output.loss).backward()
    scaler.unscale_(optimizer)
    norm = clip_gradients(run.model, recipe.gradient_clip)
    # All processes skip or none: the averaged gradients, and so their norm, are the same in all.
    own_bad = ~output.loss.detach().isfinite()
    bad_loss = distributed.any_process(own_bad.float()) > 0
    bad_step = bad_loss | ~norm.isfinite()
    step_unless(optimizer, bad_step)
    run.guard.restore_if(bad_step)
    scaler.update()
    if scaler.is_enabled():
        # float16 gradients overflow now and then: the scaler answers by itself, it is no failure.
        bad_step = bad_loss
    losses = {f"losses/{name}": value.detach() for name, value in output.losses.items()}
    values = {"loss": output.loss.detach(), **losses, "gradient_norm": norm}
    # If every loss was finite and the gradient was not, the batch is under suspicion as well.
    suspect = own_bad | (bad_step & ~bad_loss)
    return StepRecord(run.result.step + 1, values, bad_step, suspect, files, rate)


def _evaluate(run: Run, logger: Logger, files: RunFiles, evaluate: Evaluate) -> int:
    """Evaluate, note the metrics, and save the weights if they are the best; returns the step."""
    logger.flush()
    run.model.eval()
    with undisturbed(), torch.no_grad():
        metrics = flatten(evaluate(run.model, run.result.step))
    run.model.train()
    logger.evaluation(metrics)
    monitor = run.recipe.evaluation.monitor
    if monitor not in metrics:
        raise UserError(
            f"The evaluation gave no {monitor!r} to choose the best checkpoint by; set "
            f"evaluation.monitor to one of {', '.join(sorted(metrics)) or 'its metrics'}."
        )
    result = run.result
    result.last = {n: v for n, v in metrics.items() if math.isfinite(v)} | {"step": result.step}
    # A NaN compares as not better. The first process decides for all: saving waits for everybody.
    better = torch.tensor(metrics[monitor] > result.best.get(monitor, -math.inf))
    if distributed.from_first_process(better):
        result.best = dict(result.last)
        files.save_best(run)
    return result.step


def _save(run: Run, logger: Logger, files: RunFiles) -> int:
    logger.flush()
    logger.sync()
    files.save_last(run)
    return run.result.step
