"""One run of an ablation: train, measure, fine-tune on questions, and leave one small record."""

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snpkit.ablation.corpus import SharedCorpus, open_corpus
from snpkit.ablation.plan import Plan
from snpkit.ablation.statistics import mean_of
from snpkit.ablation.stopwatch import TimedBatches
from snpkit.errors import UserError
from snpkit.evaluation.retrieval import evaluate_retrieval
from snpkit.files import read_json, write_json
from snpkit.machine import versions
from snpkit.training.device import autocast_dtype, choose_device
from snpkit.training.history import leaves, read_history
from snpkit.training.loop import pretrain
from snpkit.training.recipe import Recipe
from snpkit.training.setup import Setup, make_dataset, prepare

FORMAT = 1  # of the records; raised whenever an older one would be misread
_LAST_STEPS = 20  # whose losses are averaged for the record
_MEASURES = ("r1", "r5", "r10", "median_rank")
_QUIET = {"progress": False}


@dataclass(frozen=True)
class Job:
    """A run: one row on one corpus with one seed."""

    corpus: str
    row: str
    seed: int

    def __str__(self) -> str:
        return f"{self.corpus}/{self.row}/seed-{self.seed}"


@dataclass(frozen=True)
class Workplace:
    """Where the runs of a plan happen.

    Attributes:
        plan: what is to be run.
        output: folder of the records, and of the runs under way.
        data: folder of the generated corpora.
        device: auto, cpu, cuda or mps.
        keep: keep the weights of finished runs.
    """

    plan: Plan
    output: Path
    data: Path
    device: str = "auto"
    keep: bool = False

    def folder(self, job: Job) -> Path:
        """Checkpoints and history of a run."""
        return self.output / str(job)

    def record(self, job: Job) -> Path:
        """What a finished run leaves."""
        return self.output / f"{job}.json"


def read_record(place: Workplace, job: Job) -> dict[str, Any] | None:
    """The record of a finished run; None if it is not finished.

    Raises:
        UserError: the record is damaged, or of a run with other settings.
    """
    path = place.record(job)
    if not path.is_file():
        return None
    record = read_json(path)
    parts = isinstance(record, dict) and {"curve", "identity"} <= record.keys()
    if not parts or record.get("format") != FORMAT or not isinstance(record["identity"], dict):
        raise UserError(f"{path} is no record of this version of snpkit; delete it or move it.")
    there = leaves(record["identity"])
    here = leaves(place.plan.identity_of(job.corpus, job.row, job.seed))
    # A field that is newer than the record had, in effect, its default value: it is passed over.
    other = [name for name in here if name in there and there[name] != here[name]]
    if other := [*other, *(name for name in there if name not in here)]:
        raise UserError(
            f"{path} was made with another {other[0]}; give the changed plan another --output, or "
            "delete the records that it concerns."
        )
    return record


def run_job(place: Workplace, job: Job) -> bool:
    """Do a run, from its last checkpoint on if there is one; False where it was interrupted.

    Raises:
        UserError: the run cannot be done.
    """
    plan, folder = place.plan, place.folder(job)
    recipe = plan.recipe_of(job.row, job.seed)
    settings = plan.corpora[job.corpus].parsed()
    shared = open_corpus(place.data / job.corpus, settings, recipe.data.size)
    setup = prepare(recipe, shared.captions, held_out="test", cache=shared.cache, **_QUIET)
    batches = TimedBatches(setup.batches)

    def evaluate(model: nn.Module, step: int) -> dict[str, Any]:
        batches.pause()
        return _measure(setup, model, plan.top_k) | {
            "seconds": batches.seconds, "cpu_seconds": batches.cpu_seconds
        }  # fmt: skip

    result = pretrain(
        setup.model, batches, recipe, output=folder, evaluate=evaluate, resume=True,
        tokenizer=setup.tokenizer, table=setup.table, device=place.device, **_QUIET,
    )  # fmt: skip
    if result.stopped == "interrupted":
        return False
    questions = plan.questions_of(job.row, job.seed)
    answered = questions and _answer(place, shared, questions, folder)
    if questions and answered is None:
        return False
    record = _record(place, job, folder, setup.model) | {"questions": answered}
    write_json(place.record(job), record | {"skipped": result.skipped}, indent=1)
    if not place.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _measure(setup: Setup, model: nn.Module, top_k: int) -> dict[str, Any]:
    options = {"top_k": top_k, "matching_weight": 1.0, "max_tokens": setup.recipe.data.max_tokens}
    return evaluate_retrieval(model, setup.tokenizer, setup.held_out, **options)


def _answer(
    place: Workplace, shared: SharedCorpus, recipe: Recipe, folder: Path
) -> dict[str, Any] | None:
    """Fine-tune the run's last weights on questions; accuracies in percent, None = interrupted."""
    options = {"cache": shared.cache, **_QUIET}
    setup = prepare(recipe, shared.questions, start=folder / "last", held_out=None, **options)
    result = pretrain(
        setup.model, setup.batches, recipe, output=folder / "questions", resume=True,
        tokenizer=setup.tokenizer, device=place.device, **_QUIET,
    )  # fmt: skip
    if result.stopped == "interrupted":
        return None
    rows = shared.questions.split("test")
    return setup.measure(setup.model, make_dataset(recipe, rows, training=False, **options))


def _record(place: Workplace, job: Job, folder: Path, model: nn.Module) -> dict[str, Any]:
    history = read_history(folder)
    lines = [line for line in history if "losses" in line][-_LAST_STEPS:]
    names = lines[-1]["losses"]
    device = choose_device(place.device)
    number_format = autocast_dtype(place.plan.recipe_of(job.row, job.seed).optimisation.precision,
                                   device) or torch.float32  # fmt: skip
    return {
        "format": FORMAT,
        "corpus": job.corpus,
        "row": job.row,
        "seed": job.seed,
        "identity": place.plan.identity_of(job.corpus, job.row, job.seed),
        "curve": [_point(line) for line in history if "evaluation" in line],
        "losses": {name: mean_of(line["losses"][name] for line in lines) for name in names},
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "machine": {
            "device": device.type, "threads": torch.get_num_threads(),
            "number_format": str(number_format).removeprefix("torch."),
            "machine": f"{platform.machine()}, {platform.system()}",
            "python": platform.python_version(), **versions(),
        },
    }  # fmt: skip


def _point(line: dict[str, Any]) -> dict[str, Any]:
    """A point of a run's curve: text-to-video metrics, by matching and, if there, re-ranked."""
    values = line["evaluation"]
    point = {"step": line["step"], "seconds": values["seconds"],
             "cpu_seconds": values["cpu_seconds"]}  # fmt: skip
    for column in ("matching", "reranked"):
        prefix = f"{column}.text_to_video."
        if f"{prefix}r1" in values:
            point[column] = {name: values[prefix + name] for name in _MEASURES}
    return point
