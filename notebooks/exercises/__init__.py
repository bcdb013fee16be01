"""The exercises of the notebooks: questions with a checker that names what is wrong.

Every chapter has a module here of the notebook's name, with a tuple `EXERCISES`. A notebook asks
in a cell that runs as it stands, with the answer left open as `...`:

    answer = ...
    check("patch_embedding.grid_size", answer)

`check` then says "open", "right", or what is wrong with this very answer. Functions are answers
too: a checker calls them and compares with what it knows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from snpkit.errors import UserError

CHAPTERS = (
    "patch_embedding", "shared_network", "word_significance", "pretraining",
    "downstream_tasks", "scaling",
)  # fmt: skip


@dataclass(frozen=True)
class Exercise:
    """One question.

    Attributes:
        name: unique in its chapter.
        hint: said while the answer is open; one sentence that helps to begin.
        judge: answer -> None if it is right, else one sentence that names what is wrong with it.
        praise: said when it is right: what the answer teaches, one sentence.
        mistakes: answers that people give, each wrong; tests see that every one is named.
    """

    name: str
    hint: str
    judge: Callable[[Any], str | None]
    praise: str
    mistakes: tuple[Any, ...]


class Open(Exception):
    """Raised by a judge that called a function whose body is still `...`."""


def check(name: str, answer: Any) -> None:
    """Judge an answer and print what there is to say of it.

    Args:
        name: "chapter.exercise".
        answer: the answer; `...` = still open.

    Raises:
        UserError: there is no such exercise.
    """
    print(verdict(find(name), answer))


def verdict(exercise: Exercise, answer: Any) -> str:
    """What there is to say of an answer: starts with "Open:", "Right." or "Not yet:"."""
    if answer is ...:
        return f"Open: {exercise.hint}"
    try:
        wrong = exercise.judge(answer)
    except Open:
        return f"Open: {exercise.hint}"
    except Exception as error:  # the learner's own function, or an answer of an odd type
        return f"Not yet: checking the answer failed with {type(error).__name__}: {error}"
    return f"Right. {exercise.praise}" if wrong is None else f"Not yet: {wrong}"


def called(function: Any, *arguments: Any) -> Any:
    """Call a learner's function for a judge.

    Raises:
        Open: its body is still `...`, so it returned None or `...`.
        TypeError: it is no function.
    """
    if not callable(function):
        raise TypeError(f"a function was asked for, not {type(function).__name__}")
    found = function(*arguments)
    if found is None or found is ...:
        raise Open
    return found


def number(answer: Any, what: str) -> float | str:
    """An answer as a plain number, or the sentence that says why it is none."""
    try:
        return float(answer)
    except (TypeError, ValueError):
        return f"{what} is a number, not {type(answer).__name__}."


def find(name: str) -> Exercise:
    """The exercise of this name.

    Raises:
        UserError: there is none; lists what there is.
    """
    chapter, _, own = name.partition(".")
    if chapter not in CHAPTERS:
        raise UserError(f"There is no chapter {chapter!r}; choose one of {', '.join(CHAPTERS)}.")
    exercises = {exercise.name: exercise for exercise in of_chapter(chapter)}
    if own not in exercises:
        raise UserError(f"{chapter} has no exercise {own!r}, only {', '.join(exercises)}.")
    return exercises[own]


def of_chapter(chapter: str) -> tuple[Exercise, ...]:
    """The exercises of a chapter, in the notebook's order."""
    return import_module(f"{__name__}.{chapter}").EXERCISES
