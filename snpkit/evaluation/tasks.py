"""The tasks that a model is measured at: the evaluation of each, and the names of its metrics."""

import difflib
from collections.abc import Sequence
from itertools import product
from typing import Any

from torch import nn

from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import VideoText
from snpkit.data.task_rows import type_of
from snpkit.errors import UserError
from snpkit.evaluation.answering import evaluate_answering, evaluate_choices
from snpkit.evaluation.metrics import summarise_ranks
from snpkit.evaluation.retrieval import evaluate_retrieval


def evaluate_task(
    task: str,
    model: nn.Module,
    tokenizer: Any,
    dataset: VideoTextDataset,
    **options: Any,
) -> dict[str, Any]:
    """The metrics of "retrieval", "qa" or "multichoice" on a data set; accuracies in percent.

    Options are those of `evaluate_retrieval`, `evaluate_answering` or `evaluate_choices`.
    """
    if task == "qa":
        return evaluate_answering(model, tokenizer, dataset, **options)
    if task == "multichoice":
        return evaluate_choices(model, tokenizer, dataset, **options)
    defaults = {"top_k": 20, "matching_weight": 1.0}
    return evaluate_retrieval(model, tokenizer, dataset, **defaults | options)


def check_metric(
    metric: str, task: str, architecture: str = "", rows: Sequence[VideoText] = ()
) -> None:
    """Raise UserError, with near names, where no evaluation of the task gives such a metric.

    Args:
        metric: the dotted name of what the best checkpoint is chosen by.
        task: "pretraining" and "retrieval" are measured alike.
        architecture: of the model; a twin tower has no cross-modal pass to re-rank by.
        rows: of "qa", the questions, whose types have an accuracy each.
    """
    if task == "qa":
        types = sorted({f"by_type.{type_of(row)}" for row in rows})
        known = ["accuracy", "commonest", "commonest_by_type", *types]
    elif task == "multichoice":
        known = ["accuracy", "matching", "cross_modal"]
    else:
        columns = ("matching",) if architecture == "twin_tower" else ("matching", "reranked")
        directions = ("text_to_video", "video_to_text")
        known = [".".join(parts) for parts in product(columns, directions, summarise_ranks([1]))]
    if metric not in known:
        nearest = difflib.get_close_matches(metric, known, n=3, cutoff=0.0)
        raise UserError(
            f"evaluation.monitor is {metric!r}, which an evaluation of {task} does not give; "
            f"choose another metric, such as {' or '.join(nearest)}."
        )
