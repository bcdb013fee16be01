"""From a recipe, the rows of a task and perhaps a checkpoint to what the training loop takes."""

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from torch import nn

from snpkit.data.cache import FrameCache
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import Manifest, VideoText
from snpkit.data.task_rows import Texts, check_rows, label_set
from snpkit.errors import UserError
from snpkit.evaluation.answering import commonest_by_type
from snpkit.evaluation.tasks import check_metric, evaluate_task
from snpkit.language.significance import SignificanceTable
from snpkit.model.config import SNPConfig
from snpkit.model.downstream import from_pretraining
from snpkit.training.batches import TaskBatches, one_row_a_clip
from snpkit.training.randomness import seed_everything
from snpkit.training.recipe import Recipe
from snpkit.training.setup import (
    Setup,
    make_config,
    make_dataset,
    make_tokenizer,
    mine_table,
    start_from,
)


class TaskSetup(Setup):
    """All parts of one fine-tuning run: see `prepare_task`."""

    def measure(self, model: nn.Module, dataset: VideoTextDataset) -> dict[str, Any]:
        """The task's metrics on a data set."""
        options: dict[str, Any] = {"max_tokens": self.recipe.data.max_tokens}
        if self.recipe.task.name == "qa":
            options["majority"] = self.majority
        return evaluate_task(self.recipe.task.name, model, self.tokenizer, dataset, **options)

    @cached_property
    def majority(self) -> dict[str, str]:
        """Of "qa": the majority answers of training, which go through all training rows."""
        return commonest_by_type(self.batches.rows)


def prepare_task(
    recipe: Recipe,
    manifest: Manifest,
    *,
    start: str | Path | None,
    train: str = "train",
    held_out: str | None = "validation",
    answers: Sequence[str] | None = None,
    cache: FrameCache | None = None,
    progress: bool = True,
) -> TaskSetup:
    """Load or build the model, its tokenizer and the batches of a downstream task.

    Args:
        recipe: of a task other than pre-training.
        start: checkpoint (a folder, a shipped name or a hub id) that brings weights, model
            settings and tokenizer; None = random weights, with the recipe's model section.
        train, held_out: names of splits.
        answers: the label set of "qa"; None = the commonest answers of the training split.
        cache: the decoded clips of all splits, built before; None = as the recipe says.

    Raises:
        UserError: rows that do not fit the task, or parts that do not fit each other.
    """
    task, training = recipe.task.name, manifest.split(train)
    if task == "pretraining":
        raise UserError(f"The recipe {recipe.name} pre-trains; use `snpkit pretrain` with it.")
    check_rows(task, training.rows)
    given, tokenizer, table, config = _start(recipe, training.rows, start)
    unseen = None if held_out is None else manifest.split(held_out)
    if unseen is not None:
        check_rows(task, unseen.rows)
        check_metric(recipe.evaluation.monitor, task, rows=unseen.rows)
    options = {}
    if task == "qa":
        options["answers"] = label_set(training.rows, recipe.task.answers, answers)
        config.answer_from = recipe.task.answer_from
        config.answer_head = recipe.task.answer_head
    elif task == "multichoice":
        config.choice_score = recipe.task.choice_score
    seed_everything(recipe.seed)  # new weights are a function of the recipe's seed alone
    model = from_pretraining(task, given, config, **options)
    dataset = partial(make_dataset, recipe, cache=cache, progress=progress)
    questions = None
    if recipe.task.questions > 1:
        questions = training.rows
        training = Manifest(training.root, one_row_a_clip(questions))
    if recipe.data.group > 1 and table is None:
        table = mine_table(recipe, Texts(training.rows))
    batches = TaskBatches(
        dataset(training, training=True), tokenizer, recipe, options.get("answers", ()), questions,
        table,
    )  # fmt: skip
    watched = None if unseen is None else dataset(unseen, training=False)
    return TaskSetup(recipe, tokenizer, table, model, batches, watched)


def _start(
    recipe: Recipe, rows: Sequence[VideoText], start: str | Path | None
) -> tuple[nn.Module | None, Any, SignificanceTable | None, SNPConfig]:
    """The model that gives its weights, tokenizer, table and the configuration."""
    if start is None:
        tokenizer = make_tokenizer(recipe, Texts(rows, options=True))
        return None, tokenizer, None, make_config(recipe, tokenizer)
    given, config = start_from(start, recipe)
    return given.model, given.tokenizer, given.table, config
