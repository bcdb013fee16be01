"""Question answering and multiple choice, measured beside baselines without a model."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import VideoText
from snpkit.data.task_rows import answer_of, check_rows, encode_options, label_of, type_of
from snpkit.errors import UserError
from snpkit.evaluation.encoding import (
    EncodedVideos,
    encode_distinct,
    encode_one,
    evaluating,
    to_model,
)
from snpkit.evaluation.metrics import accuracy
from snpkit.language.tokenizer import encode_captions
from snpkit.model.downstream import choice_logits

if TYPE_CHECKING:
    from snpkit.model.base import SNPPreTrainedModel
    from snpkit.model.downstream import SNPForQuestionAnswering

_CHUNK = 128  # questions of one cross-modal pass


def commonest_by_type(rows: Iterable[VideoText]) -> dict[str, str]:
    """The majority answer of every type of question, and of all questions under "".

    Of equally common answers the first in alphabetical order. An answer of which is only known that
    it is outside the label set does not count.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        answer = answer_of(row)
        if answer is not None:
            counts[""][answer] += 1
            counts[type_of(row)][answer] += 1
    return {
        kind: min(answers, key=lambda answer: (-answers[answer], answer))
        for kind, answers in counts.items()
    }


@torch.no_grad()
def answer_questions(
    model: "SNPForQuestionAnswering",
    tokenizer: Any,
    dataset: VideoTextDataset,
    max_tokens: int = 30,
) -> tuple[list[VideoText], list[str]]:
    """The answer of the model to every question whose video can be read.

    Returns:
        The rows that were asked, and the answers.
    """
    videos, _, column = encode_distinct(model, dataset)
    asked = [number for number, place in enumerate(column) if place is not None]
    rows = [dataset.manifest.rows[number] for number in asked]
    answers = model.answers
    predicted: list[str] = []
    with evaluating(model):
        for start in range(0, len(asked), _CHUNK):
            some = asked[start : start + _CHUNK]
            batch = encode_captions(
                tokenizer, [dataset.manifest.rows[number].caption for number in some], max_tokens
            )
            tokens = videos.clip_tokens[[column[number] for number in some]]
            parts = (batch.input_ids, batch.attention_mask, tokens)
            logits = model.answer_logits(*(to_model(model, part) for part in parts))
            predicted += [answers[number] for number in logits.argmax(1).tolist()]
    return rows, predicted


def evaluate_answering(
    model: "SNPForQuestionAnswering",
    tokenizer: Any,
    dataset: VideoTextDataset,
    majority: Mapping[str, str] | None = None,
    *,
    max_tokens: int = 30,
) -> dict[str, Any]:
    """Accuracy of a question answering model, in percent.

    An answer outside the label set counts as wrong. A question whose video cannot be read is left
    out and counted in "left_out".

    Args:
        majority: answers of the training rows (`commonest_by_type`), as baselines; None = none.

    Returns:
        {"accuracy", "by_type": {type: accuracy}, "questions", "left_out", "outside": questions
        whose answer is not in the label set}; with baselines also "commonest" (always the
        majority answer) and "commonest_by_type" (that of the question's type).
    """
    check_rows("qa", dataset.manifest.rows)
    rows, predicted = answer_questions(model, tokenizer, dataset, max_tokens)
    true = [answer_of(row) for row in rows]
    known = set(model.answers)
    types: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        types[type_of(row)].append(number)
    found: dict[str, Any] = {
        "accuracy": accuracy(predicted, true),
        "by_type": {
            kind: accuracy([predicted[n] for n in own], [true[n] for n in own])
            for kind, own in sorted(types.items())
        },
        "questions": len(rows),
        "left_out": len(dataset) - len(rows),
        "outside": sum(answer not in known for answer in true),
    }
    if majority:
        by_type = [majority.get(type_of(row), majority[""]) for row in rows]
        found["commonest"] = accuracy([majority[""]] * len(rows), true)
        found["commonest_by_type"] = accuracy(by_type, true)
    return found


def evaluate_choices(
    model: "SNPPreTrainedModel",
    tokenizer: Any,
    dataset: VideoTextDataset,
    *,
    max_tokens: int = 30,
) -> dict[str, Any]:
    """Accuracy in choosing the right option, in percent, by three scores.

    Returns:
        {"accuracy" (of the score that `model.config.choice_score` names, which training
        optimises), "choice_score" (its name), "matching", "cross_modal", "chance", "questions",
        "left_out"}.
    """
    rows = dataset.manifest.rows
    check_rows("multichoice", rows)
    videos, _, column = encode_distinct(model, dataset)
    asked = [number for number, place in enumerate(column) if place is not None]
    scores = [
        _option_scores(model, tokenizer, videos, rows, column, asked[start : start + _CHUNK // 4],
                       max_tokens)
        for start in range(0, len(asked), _CHUNK // 4)
    ]  # fmt: skip
    matching, cross_modal = (torch.cat(parts) for parts in zip(*scores, strict=True))
    true = [label_of(rows[number]) for number in asked]
    columns = {
        "accuracy": choice_logits(model.config, matching, cross_modal),
        "matching": matching,
        "cross_modal": cross_modal,
    }
    found = {name: accuracy(values.argmax(1).tolist(), true) for name, values in columns.items()}
    return found | {
        "choice_score": model.config.choice_score,
        "chance": 100 / matching.shape[1],
        "questions": len(asked),
        "left_out": len(rows) - len(asked),
    }


def _option_scores(
    model: "SNPPreTrainedModel",
    tokenizer: Any,
    videos: EncodedVideos,
    rows: Sequence[VideoText],
    column: Sequence[int | None],
    some: Sequence[int],
    max_tokens: int,
) -> tuple[Tensor, Tensor]:
    """Text-video and cross-modal scores of some rows' options: two of [rows, options]."""
    ids, mask = encode_options(tokenizer, [rows[number] for number in some], max_tokens)
    places = [column[number] for number in some]
    parts = (ids, mask, videos.clip_features[places], videos.clip_tokens[places])
    with evaluating(model):
        found = model.option_scores(*(to_model(model, part) for part in parts))
    return found[0].float().cpu(), found[1].float().cpu()


def answer(
    model: "SNPForQuestionAnswering",
    tokenizer: Any,
    question: str,
    frames: tuple[Tensor, Tensor | None],
    max_tokens: int = 30,
) -> list[tuple[str, float]]:
    """Every answer with its probability, the likeliest first; see `Pipeline.answer`."""
    batch = encode_captions(tokenizer, [question], max_tokens)
    with evaluating(model):
        video = encode_one(model, *frames)
        ids, mask = to_model(model, batch.input_ids), to_model(model, batch.attention_mask)
        logits = model.answer_logits(ids, mask, video.clip_tokens)[0]
    return _ranked(model.answers, logits)


def choose(
    model: "SNPPreTrainedModel",
    tokenizer: Any,
    options: Sequence[str],
    frames: tuple[Tensor, Tensor | None],
    max_tokens: int = 30,
) -> list[tuple[str, float]]:
    """The options with their probabilities, the likeliest first; see `Pipeline.choose`."""
    options = list(options)
    if len(options) < 2:
        raise UserError(f"{len(options)} option leaves nothing to choose; give two or more.")
    batch = encode_captions(tokenizer, options, max_tokens)
    with evaluating(model):
        video = encode_one(model, *frames)
        ids, mask = to_model(model, batch.input_ids), to_model(model, batch.attention_mask)
        scores = model.option_scores(ids[None], mask[None], video.clip_features, video.clip_tokens)
    return _ranked(options, choice_logits(model.config, *scores)[0])


def _ranked(names: Sequence[str], logits: Tensor) -> list[tuple[str, float]]:
    shares = logits.float().softmax(0).tolist()
    return sorted(zip(names, shares, strict=True), key=lambda pair: -pair[1])
