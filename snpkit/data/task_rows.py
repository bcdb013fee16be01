"""Rows of questions and of choices: what their `extra` must hold, and how it is read.

* question answering: the caption is the question, "answer" its answer, "answer_type" optional;
  without an answer "label" is its place in a label set, -1 = outside of it;
* multiple choice: "options" and "label", the place of the right one.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from snpkit.data.cache import clip_name
from snpkit.data.labels import (
    AnswerLabels,
    answer_of,
    answer_text,
    label_of,
    wrong_choice,
    wrong_question,
)
from snpkit.data.rows import VideoText
from snpkit.errors import UserError
from snpkit.language.tokenizer import encode_captions

__all__ = ["Texts", "answer_of", "check_rows", "digest_rows", "encode_options", "label_of",
           "label_set", "type_of"]  # fmt: skip

Encoded = tuple[Tensor, Tensor]  # input_ids, attention_mask


def encode_options(tokenizer: Any, rows: Sequence[VideoText], max_tokens: int) -> Encoded:
    """The options of rows that have equally many: two of int64 [rows, options, tokens]."""
    options = [option for row in rows for option in row.extra["options"]]
    batch = encode_captions(tokenizer, options, max_tokens)
    shape = (len(rows), -1)
    return batch.input_ids.unflatten(0, shape), batch.attention_mask.unflatten(0, shape)


@dataclass(frozen=True)
class Texts:
    """What a model reads of rows; each pass over it goes through the rows anew, none are held."""

    rows: Iterable[VideoText]
    options: bool = False  # those of multiple choice too, behind all captions

    def __iter__(self) -> Iterator[str]:
        yield from (row.caption for row in self.rows)
        if self.options:
            yield from (option for row in self.rows for option in row.extra.get("options", ()))


def check_rows(task: str, rows: Sequence[VideoText]) -> None:
    """Raise UserError, which names the first wrong row, where rows do not fit the task."""
    count = None
    for row in rows if task in ("qa", "multichoice") else ():
        wrong = wrong_question(row) if task == "qa" else wrong_choice(row, count)
        if wrong is not None:
            raise UserError(f"{row.id} {wrong}.")
        count = count or len(row.extra.get("options", ()))


def type_of(row: VideoText) -> str:
    """Type of a question: "answer_type" of its row, else its first word."""
    return str(row.extra.get("answer_type") or row.caption.split()[0].lower())


def label_set(
    rows: Sequence[VideoText], size: int, given: Sequence[str] | None = None
) -> list[str]:
    """The answers that a model learns to give.

    Args:
        given: the data set's own label set; None = the `size` commonest answers of the rows, ties
            in alphabetical order.

    Raises:
        UserError: the rows have only one answer of the label set, or none.
    """
    said = Counter(answer for row in rows if (answer := answer_of(row)) is not None)
    if given is None:
        answers = list(AnswerLabels.build(said.elements(), size).answers) if said else []
    else:
        answers = list(dict.fromkeys(map(answer_text, given)))
    known = [answer for answer in answers if answer in said]
    if not known:
        raise UserError("No training question has an answer of the label set; is it of this data?")
    if len(known) < 2:
        raise UserError(f"All questions have the answer {known[0]!r}; there is nothing to learn.")
    return answers


def one_row_a_clip(rows: Sequence[VideoText]) -> list[VideoText]:
    """The first row of every clip."""
    first: dict[str, VideoText] = {}
    for row in rows:
        first.setdefault(clip_name(row), row)
    return list(first.values())


def digest_rows(rows: Iterable[VideoText]) -> str:
    """SHA-256 of all that training sees of the rows, in their order; ids may be others."""
    digest = hashlib.sha256()
    for row in rows:
        seen = [row.video, row.kind, row.start, row.end, row.caption]
        seen += [row.extra.get(name) for name in ("answer", "options", "label")]
        digest.update(json.dumps(seen).encode() + b"\n")
    return digest.hexdigest()
