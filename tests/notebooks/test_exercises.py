"""Every exercise of the course: open it says so, solved it passes, mistaken it is named."""

import contextlib
import io
import re

import pytest

from exercises import Exercise, Open, called, check, find, of_chapter, verdict
from snpkit.errors import UserError
from tests.notebooks.course import PATHS, Notebook

NOTEBOOKS = [Notebook(path) for path in PATHS]
TASKS = [(notebook, task) for notebook in NOTEBOOKS for task in notebook.tasks()]
each = pytest.mark.parametrize("notebook, task", TASKS, ids=[task.name for _, task in TASKS])


def said(notebook, source):
    """What a cell prints, after the setup cell and in a namespace of its own."""
    (setup,) = notebook.tagged("setup")
    namespace, out = {}, io.StringIO()
    plain = "\n".join(line for line in setup.source.splitlines() if line.lstrip()[:1] not in "!%")
    with contextlib.redirect_stdout(out):
        exec(compile(plain, notebook.path.name, "exec"), namespace)
        out.seek(0)
        out.truncate()
        exec(compile(source, notebook.path.name, "exec"), namespace)
    return out.getvalue()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.path.stem)
def test_a_chapter_asks_all_its_exercises_and_at_least_four(notebook):
    asked = [task.name for task in notebook.tasks()]
    assert len(asked) >= 4
    assert asked == [f"{notebook.chapter}.{task.name}" for task in of_chapter(notebook.chapter)]


@each
def test_the_empty_form_says_that_it_is_open(notebook, task):
    assert said(notebook, task.source).startswith("Open: ")


@each
def test_the_folded_solution_passes(notebook, task):
    assert re.search(r'check\(\s*"' + re.escape(task.name), task.solution)
    assert said(notebook, task.solution).startswith("Right. ")


@each
def test_wrong_answers_are_named(notebook, task):
    exercise = find(task.name)
    sentences = [verdict(exercise, mistake) for mistake in exercise.mistakes]
    assert sentences
    for sentence in sentences:
        assert sentence.startswith("Not yet: ")
        assert len(sentence) > 25
        assert "failed with" not in sentence


def test_an_answer_that_raises_is_told_what_it_raised():
    exercise = Exercise("x", "Begin.", lambda answer: answer + 1, "Good.", ())
    assert verdict(exercise, "one").startswith("Not yet: checking the answer failed with TypeError")


def test_a_function_left_open_is_open_and_no_function_is_named():
    exercise = Exercise("x", "Begin.", lambda f: None if called(f, 1) == 2 else "no", "Good.", ())
    assert verdict(exercise, lambda x: ...) == "Open: Begin."
    assert verdict(exercise, lambda x: x + 1) == "Right. Good."
    assert verdict(exercise, 3).startswith("Not yet: ")
    with pytest.raises(Open):
        called(lambda: None)


@pytest.mark.parametrize("name", ["nowhere.x", "patch_embedding", "patch_embedding.nothing"])
def test_an_unknown_exercise_is_one_sentence(name):
    with pytest.raises(UserError, match=r"no (chapter|exercise)"):
        check(name, 1)
