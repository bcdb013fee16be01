"""Answers and labels of question answering and multiple choice: how they are read and compared."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from snpkit.data.rows import VideoText, shorten
from snpkit.errors import AnnotationError, UserError
from snpkit.files import read_json, write_json

OUTSIDE = -1  # label of an answer outside the set: no prediction equals it, so it counts as wrong


def answer_text(answer: str) -> str:
    """An answer as answers are compared: in lower case without outer spaces."""
    return answer.strip().lower()


def whole_number(value: Any) -> int | None:
    """A whole number, perhaps written as text such as "0"; None = it is none."""
    if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() and len(value) < 19:
        return int(value)
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63
    return value if whole else None


class AnswerLabels:
    """Answers, as they are compared (`answer_text`), and their labels, 0 to len - 1.

    Of answers that differ in their letters' case alone the first one's label counts.

    Args:
        answers: the answers in the order of their labels.

    Raises:
        AnnotationError: there is none, or one comes twice.
    """

    def __init__(self, answers: Sequence[str]) -> None:
        if not answers or len(set(answers)) < len(answers):
            raise AnnotationError("A label set needs answers, and each of them once.")
        self.answers = tuple(map(answer_text, answers))
        self._labels: dict[str, int] = {}
        for label, answer in enumerate(self.answers):
            self._labels.setdefault(answer, label)

    @classmethod
    def build(cls, answers: Iterable[str], size: int) -> "AnswerLabels":
        """The `size` most frequent answers of the training split; ties in alphabetical order."""
        counts = Counter(map(answer_text, answers))
        best = sorted(counts, key=lambda answer: (-counts[answer], answer))
        return cls(best[:size])

    @classmethod
    def load(cls, path: str | Path) -> "AnswerLabels":
        """Read {answer: label}, the form of `train_ans2label.json`.

        Raises:
            AnnotationError: the file cannot be read, or its labels are not 0 to n - 1, each once.
        """
        try:
            found = read_json(path)
        except UserError as error:
            raise AnnotationError(str(error)) from None
        labels = list(found.values()) if isinstance(found, dict) else []
        whole = all(isinstance(label, int) and not isinstance(label, bool) for label in labels)
        if not labels or not whole or sorted(labels) != list(range(len(labels))):
            problem = "must hold answers with labels from 0 on, each label once"
            raise AnnotationError(f"{path} {problem}; fetch it anew or remove it.")
        return cls(sorted(found, key=found.__getitem__))

    def save(self, path: str | Path) -> None:
        """Write {answer: label}, whole or not at all."""
        write_json(path, {answer: label for label, answer in enumerate(self.answers)})

    def label(self, answer: str | None) -> int:
        """The label of an answer; `OUTSIDE` (-1) if it is not in the set."""
        return OUTSIDE if answer is None else self._labels.get(answer_text(answer), OUTSIDE)

    def __len__(self) -> int:
        return len(self.answers)


def answer_of(row: VideoText) -> str | None:
    """The answer of a question; where its file gives only a label, the number of the label.

    None is an answer outside the label set of which nothing else is known: no model gives it.
    """
    answer, label = row.extra.get("answer"), row.extra.get("label")
    if isinstance(answer, str):
        return answer_text(answer)
    return str(label) if _is_number(label) and label >= 0 else None


def label_of(row: VideoText) -> int:
    """Which option is right."""
    return int(row.extra["label"])


def wrong_question(row: VideoText) -> str | None:
    """What is wrong with a row of question answering; None = nothing."""
    # Without an answer, the "label" beside "options" is the place of an option.
    labelled = _is_number(row.extra.get("label")) and "options" not in row.extra
    if isinstance(row.extra.get("answer"), str) or labelled:
        return None
    return (
        'has no "answer"; question answering needs rows of questions, such as questions.jsonl of a '
        "generated corpus"
    )


def wrong_choice(row: VideoText, count: int | None = None) -> str | None:
    """What is wrong with a row of multiple choice, which has so many options; None = nothing."""
    options, label = row.extra.get("options"), whole_number(row.extra.get("label"))
    if not isinstance(options, list) or label is None:
        return (
            'has no "options" with a "label"; multiple choice needs rows such as those of '
            "choices.jsonl of a generated corpus"
        )
    for place, option in enumerate(options):  # empty ones are refused when the row is made
        if not isinstance(option, str):
            return f"is no choice: option {place} is {shorten(option)}; it must be text"
    count = count or max(len(options), 2)
    if len(options) != count or not 0 <= label < count:
        return (
            f"has {len(options)} options and label {label}; every row needs {count} options and "
            "the place of the right one, from 0"
        )
    return None


def _is_number(label: Any) -> bool:
    # A label in letters or in digits of text would be an answer, which "answer" is for.
    return isinstance(label, int) and not isinstance(label, bool)
