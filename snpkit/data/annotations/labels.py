"""The label set of a question answering task: the answers that a model can give."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from snpkit.errors import AnnotationError, UserError
from snpkit.files import read_json, write_json

OUTSIDE = -1  # label of an answer outside the set: no prediction equals it, so it counts as wrong


class AnswerLabels:
    """Answers and their labels, 0 to len - 1.

    Args:
        answers: the answers in the order of their labels.

    Raises:
        AnnotationError: there is none, or one comes twice.
    """

    def __init__(self, answers: Sequence[str]) -> None:
        self.answers = tuple(answers)
        self._labels = {answer: label for label, answer in enumerate(self.answers)}
        if not self.answers or len(self._labels) < len(self.answers):
            raise AnnotationError("A label set needs answers, and each of them once.")

    @classmethod
    def build(cls, answers: Iterable[str], size: int) -> "AnswerLabels":
        """The `size` most frequent answers of the training split; ties in alphabetical order."""
        counts = Counter(answers)
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
        write_json(path, self._labels)

    def label(self, answer: str | None) -> int:
        """The label of an answer; `OUTSIDE` (-1) if it is not in the set."""
        return self._labels.get(answer, OUTSIDE) if answer is not None else OUTSIDE

    def __len__(self) -> int:
        return len(self.answers)
