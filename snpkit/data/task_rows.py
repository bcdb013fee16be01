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
from snpkit.data.samples import VideoText
from snpkit.errors import UserError
from snpkit.language.tokenizer import encode_captions
from snpkit.text import is_empty

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


def answer_text(answer: str) -> str:
    """An answer as answers are compared: in lower case without outer spaces."""
    return answer.strip().lower()


def answer_of(row: VideoText) -> str | None:
    """The answer of a question; where its file gives only a label, the number of the label.

    None is an answer outside the label set of which nothing else is known: no model gives it.
    """
    answer, label = row.extra.get("answer"), row.extra.get("label")
    if isinstance(answer, str):
        return answer_text(answer)
    return str(label) if _is_label(label) and label >= 0 else None


def label_of(row: VideoText) -> int:
    """Which option is right."""
    return int(row.extra["label"])


def check_rows(task: str, rows: Sequence[VideoText]) -> None:
    """Raise UserError, which names the first wrong row, where rows do not fit the task."""
    count = None
    for row in rows:
        if task == "qa" and not _is_question(row):
            raise UserError(
                f'{row.id} has no "answer"; question answering needs rows of questions, such as '
                "questions.jsonl of a generated corpus."
            )
        if task != "multichoice":
            continue
        options, label = row.extra.get("options"), row.extra.get("label")
        if not isinstance(options, list) or not _is_label(label):
            raise UserError(
                f'{row.id} has no "options" with a "label"; multiple choice needs rows such as '
                "those of choices.jsonl of a generated corpus."
            )
        for place, option in enumerate(options):
            if not isinstance(option, str) or is_empty(option):
                raise UserError(f"{row.id}: option {place} is {option!r}; it must be text.")
        count = count or len(options)
        if len(options) != count or not 0 <= label < count or count < 2:
            raise UserError(
                f"{row.id} has {len(options)} options and label {label}; every row needs "
                f"{max(count, 2)} options and the place of the right one, from 0."
            )


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
    from snpkit.data.annotations.labels import AnswerLabels

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


def _is_label(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_question(row: VideoText) -> bool:
    # Without an answer, the "label" beside "options" is the place of an option.
    labelled = _is_label(row.extra.get("label")) and "options" not in row.extra
    return isinstance(row.extra.get("answer"), str) or labelled
