"""Rows of questions and of choices: what their `extra` must hold, and how it is read.

* question answering: the caption is the question, "answer" its answer, "answer_type" optional;
* multiple choice: "options" and "label", the place of the right one.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from snpkit.data.samples import VideoText
from snpkit.errors import UserError
from snpkit.language.tokenizer import encode_captions

Encoded = tuple[Tensor, Tensor]  # input_ids, attention_mask


def encode_options(tokenizer: Any, rows: Sequence[VideoText], max_tokens: int) -> Encoded:
    """The options of rows that have equally many: two of int64 [rows, options, tokens]."""
    options = [option for row in rows for option in row.extra["options"]]
    batch = encode_captions(tokenizer, options, max_tokens)
    shape = (len(rows), -1)
    return batch.input_ids.unflatten(0, shape), batch.attention_mask.unflatten(0, shape)


def answer_of(row: VideoText) -> str:
    """The answer of a question, in lower case without outer spaces."""
    return str(row.extra["answer"]).strip().lower()


def label_of(row: VideoText) -> int:
    """Which option is right."""
    return int(row.extra["label"])


def check_rows(task: str, rows: Sequence[VideoText]) -> None:
    """Raise UserError, which names the first wrong row, where rows do not fit the task."""
    count = None
    for row in rows:
        if task == "qa" and not isinstance(row.extra.get("answer"), str):
            raise UserError(
                f'{row.id} has no "answer"; question answering needs rows of questions, such as '
                "questions.jsonl of a generated corpus."
            )
        if task != "multichoice":
            continue
        options, label = row.extra.get("options"), row.extra.get("label")
        if not isinstance(options, list) or not isinstance(label, int):
            raise UserError(
                f'{row.id} has no "options" with a "label"; multiple choice needs rows such as '
                "those of choices.jsonl of a generated corpus."
            )
        count = count or len(options)
        if len(options) != count or not 0 <= label < count or count < 2:
            raise UserError(
                f"{row.id} has {len(options)} options and label {label}; every row needs "
                f"{max(count, 2)} options and the place of the right one, from 0."
            )


def type_of(row: VideoText) -> str:
    """Type of a question: "answer_type" of its row, else its first word."""
    return str(row.extra.get("answer_type") or row.caption.split()[0].lower())
