"""`snpkit run`: the main job of `make run`, from mp4 files to a report."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snpkit.data.samples import Manifest
    from snpkit.training.recipe import Recipe
    from snpkit.training.run import TrainingResult
    from snpkit.training.setup import Setup

# Where a CPU has no units for bfloat16 a step takes 2.5 times as long: fewer steps, with the whole
# schedule in them, end better than many that are cut off.
_STEPS_IN_FLOAT32 = 450


def run(
    output: Path = Path("runs/laptop"),
    data: Path = Path("data/generated"),
    steps: int | None = None,
    start: str | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    workers: int | None = None,
    train: int = 4000,
    validation: int = 128,
    test: int = 256,
) -> int:
    """Generate clips, mine significant words, pre-train the laptop recipe, evaluate, report.

    Args:
        output: Folder of the run: report.html, metrics.json, history.jsonl, checkpoints.
        data: Folder of the generated clips; a finished corpus there is reused.
        steps: Training steps; 1000 by default (450 on a CPU without bfloat16 units).
        start: Pre-trained checkpoint to go on from; random weights by default.
        seed: Of weights, batches and masks; the clips are the same for every seed.
        device: auto, cpu, cuda or mps.
        resume: Continue an interrupted run; else a run that lies in the output folder is replaced.
        workers: Processes that draw clips; one per core by default.
        train: Clips to train on.
        validation: Clips to watch the training with.
        test: Clips to measure with at the end.
    """
    from snpkit.commands.tables import metrics_table
    from snpkit.commands.training import run_training
    from snpkit.data.synthetic import generate_corpus
    from snpkit.training.run import run_folder
    from snpkit.training.setup import prepare

    phases: dict[str, float] = {}
    recipe = laptop_recipe(steps, seed, device)
    choices = {"resume": resume, "overwrite": not resume}
    with run_folder(output, **choices):
        with _timed(phases, "Generate"):
            counts = {"train": train, "validation": validation, "test": test}
            manifest = generate_corpus(data, workers=workers, **counts)
        with _timed(phases, "Read clips, mine words"):
            setup = prepare(recipe, manifest, start=start)
        with _timed(phases, "Pre-train"):
            result = run_training(setup, output, device=device, **choices)
        if result.stopped == "interrupted":
            return 130
        with _timed(phases, "Evaluate, report"):
            metrics = _finish(setup, manifest, result, output, phases)
    print(metrics_table(metrics))
    print(f"The report: {output / 'report.html'}")
    return 0


def laptop_recipe(steps: int | None, seed: int, device: str = "auto") -> "Recipe":
    """The laptop recipe with a length that suits this machine."""
    from snpkit.training.device import autocast_dtype, choose_device
    from snpkit.training.recipe import get_recipe, override

    recipe = get_recipe("laptop")
    target = choose_device(device)
    slow = target.type == "cpu" and autocast_dtype("auto", target) is None
    if steps is None:
        steps = _STEPS_IN_FLOAT32 if slow else recipe.optimisation.total_steps
    return override(recipe, {"optimisation.total_steps": steps, "seed": seed})


def _finish(
    setup: "Setup",
    manifest: "Manifest",
    result: "TrainingResult",
    output: Path,
    phases: dict[str, float],
) -> dict[str, Any]:
    """Measure on the test split, write metrics.json and report.html; the metrics."""
    import torch

    from snpkit.commands.facts import run_facts
    from snpkit.evaluation.retrieval import run_retrieval
    from snpkit.explore.examples import retrieval_examples
    from snpkit.explore.report import write_report
    from snpkit.files import write_json
    from snpkit.machine import peak_memory
    from snpkit.training.history import read_history
    from snpkit.training.setup import make_dataset

    test = make_dataset(setup.recipe, manifest.split("test"), training=False)
    start = time.perf_counter()
    retrieval = run_retrieval(setup.model, setup.tokenizer, test, top_k=20, matching_weight=1.0)
    metrics = retrieval.metrics()
    examples = retrieval_examples(retrieval, test, seed=setup.recipe.seed)
    phases["Evaluate"] = time.perf_counter() - start
    peak = peak_memory(torch.device("cpu"))  # of the program, wherever it trains
    parameters = sum(parameter.numel() for parameter in setup.model.parameters())
    seconds = {f"{name} (s)": round(took, 1) for name, took in phases.items()}
    memory = {"Peak memory (GB)": None if peak is None else round(peak / 1e9, 2)}
    facts = run_facts(setup, result, Parameters=parameters, **seconds, **memory)
    unreadable = {**setup.batches.dataset.report().reasons, **test.report().reasons}
    write_json(output / "metrics.json", metrics | {"facts": facts, "unreadable": unreadable})
    write_report(
        output / "report.html",
        title="SNP-S3 on a laptop: from mp4 files to text-to-video retrieval",
        history=read_history(output), metrics=metrics, examples=examples, significance=setup.table,
        facts=facts | {"Unreadable clips": len(unreadable)}, chance=_guessing(setup),
        validation=len(setup.held_out) if setup.held_out else None,
    )  # fmt: skip
    return metrics


def _guessing(setup: "Setup") -> dict[str, float]:
    """What each loss would be if the model guessed: the plateau that it has to leave.

    MIL-NCE compares a pair with the other captions and other videos of its batch: log(2B - 1). Of
    cross-modal pairs only `negatives` per caption are computed, and on average as many per video.
    """
    config, batch = setup.model.config, setup.recipe.data.batch_size
    matching, words = math.log(2 * batch - 1), math.log(config.vocab_size)
    pairs = 2 * batch - 1 if config.negatives == "all" else 1 + 2 * config.negatives
    return {
        "text_mlm": words,
        "cross_mlm": words,
        "gvtm_text_video": matching,
        "lvwm": matching,
        "gvtm_cross_modal": math.log(pairs),
    }


@contextmanager
def _timed(phases: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    phases[name] = time.perf_counter() - start
    print(f"{name}: {phases[name]:.1f} s", flush=True)
