"""Question answering and multiple choice, measured beside baselines without a model."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import VideoText
from snpkit.data.task_rows import answer_of, check_rows, encode_options, label_of, type_of
from snpkit.evaluation.encoding import clip_of, encode_distinct, evaluating, in_batches, to_model
from snpkit.evaluation.metrics import accuracy
from snpkit.language.tokenizer import encode_captions
from snpkit.model.downstream import choice_logits

if TYPE_CHECKING:
    from snpkit.model.base import SNPPreTrainedModel
    from snpkit.model.downstream import SNPForQuestionAnswering

_QUESTIONS, _CHOICES = 128, 32  # of one cross-modal pass


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


def answer_logits(
    model: "SNPForQuestionAnswering",
    tokenizer: Any,
    questions: Sequence[str],
    clip_tokens: Tensor,
    max_tokens: int = 30,
) -> Tensor:
    """Questions and the clip tokens of their videos [questions, clips, hidden] ->
    [questions, answers]."""
    batch = encode_captions(tokenizer, questions, max_tokens)
    parts = (batch.input_ids, batch.attention_mask, clip_tokens)
    return model.answer_logits(*(to_model(model, part) for part in parts))


def evaluate_answering(
    model: "SNPForQuestionAnswering",
    tokenizer: Any,
    dataset: VideoTextDataset,
    majority: Mapping[str, str] | None = None,
    *,
    max_tokens: int = 30,
    predictions: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Accuracy of a question answering model, in percent.

    An answer outside the label set counts as wrong. A question whose video cannot be read is left
    out and counted in "left_out".

    Args:
        majority: answers of the training rows (`commonest_by_type`), as baselines; None = none.
        predictions: takes up, for each question, its row, the answer given and the right one.

    Returns:
        {"accuracy", "by_type": {type: accuracy}, "questions", "left_out", "outside": questions
        whose answer is not in the label set}; with baselines also "commonest" (always the
        majority answer) and "commonest_by_type" (that of the question's type).
    """
    check_rows("qa", dataset.manifest.rows)
    videos, _, pairs = encode_distinct(model, dataset)
    given: list[str] = []
    with evaluating(model):
        for some in in_batches(pairs, _QUESTIONS):
            questions = [row.caption for row, _ in some]
            clips = videos.clip_tokens[[place for _, place in some]]
            logits = answer_logits(model, tokenizer, questions, clips, max_tokens)
            given += [model.answers[number] for number in logits.argmax(1).tolist()]
    rows = [row for row, _ in pairs]
    true, kinds = [answer_of(row) for row in rows], [type_of(row) for row in rows]
    by_type: dict[str, list[list[str | None]]] = defaultdict(list)
    for kind, *pair in zip(kinds, given, true, strict=True):
        by_type[kind].append(pair)
    found: dict[str, Any] = {
        "accuracy": accuracy(given, true),
        "by_type": {
            kind: accuracy(*zip(*pairs, strict=True)) for kind, pairs in sorted(by_type.items())
        },
        "questions": len(rows),
        "left_out": len(dataset) - len(rows),
        "outside": len(rows) - sum(map(set(model.answers).__contains__, true)),
    }
    if majority:
        found["commonest"] = accuracy([majority[""]] * len(rows), true)
        of_type = [majority.get(kind, majority[""]) for kind in kinds]
        found["commonest_by_type"] = accuracy(of_type, true)
    if predictions is not None:
        predictions += [
            {"id": row.id, **clip_of(row), "question": row.caption, "type": kind,
             "predicted": one, "answer": right, "correct": one == right}
            for row, kind, one, right in zip(rows, kinds, given, true, strict=True)
        ]  # fmt: skip
    return found


def evaluate_choices(
    model: "SNPPreTrainedModel",
    tokenizer: Any,
    dataset: VideoTextDataset,
    *,
    max_tokens: int = 30,
    predictions: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Accuracy in choosing the right option, in percent, by three scores.

    Args:
        predictions: takes up, for each row, its options, their scores, the choice and the label.

    Returns:
        {"accuracy" (of the score that `model.config.choice_score` names, which training
        optimises), "choice_score" (its name), "matching", "cross_modal", "chance", "questions",
        "left_out"}.
    """
    check_rows("multichoice", dataset.manifest.rows)
    videos, _, pairs = encode_distinct(model, dataset)
    scores: list[Tensor] = []
    with evaluating(model):
        for some in in_batches(pairs, _CHOICES):
            texts = encode_options(tokenizer, [row for row, _ in some], max_tokens)
            places = [place for _, place in some]
            parts = (*texts, videos.clip_features[places], videos.clip_tokens[places])
            both = model.option_scores(*(to_model(model, part) for part in parts))
            scores.append(torch.stack(both).float().cpu())
    matching, cross_modal = torch.cat(scores, dim=1)  # [rows, options] each
    final = choice_logits(model.config, matching, cross_modal)
    true = [label_of(row) for row, _ in pairs]
    columns = {"accuracy": final, "matching": matching, "cross_modal": cross_modal}
    chosen = {name: values.argmax(1).tolist() for name, values in columns.items()}
    if predictions is not None:
        predictions += [
            {"id": row.id, **clip_of(row), "options": row.extra["options"], "scores": own,
             "predicted": one, "label": right, "correct": one == right}
            for (row, _), own, one, right in zip(
                pairs, final.tolist(), chosen["accuracy"], true, strict=True
            )
        ]  # fmt: skip
    return {name: accuracy(choices, true) for name, choices in chosen.items()} | {
        "choice_score": model.config.choice_score,
        "chance": 100 / matching.shape[1],
        "questions": len(pairs),
        "left_out": len(dataset) - len(pairs),
    }


def ranked(names: Sequence[str], logits: Tensor) -> list[tuple[str, float]]:
    """Names with their probabilities by logits [names], the likeliest first."""
    shares = logits.float().softmax(0).tolist()
    return sorted(zip(names, shares, strict=True), key=lambda pair: -pair[1])
