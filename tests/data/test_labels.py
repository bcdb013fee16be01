"""Label sets: built, loaded, and one rule for answers and numbers everywhere."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data.labels import AnswerLabels, answer_text, whole_number
from snpkit.data.prepare import recognise, survey
from snpkit.data.rows import VideoText
from snpkit.data.task_rows import answer_of, check_rows, label_of, label_set
from snpkit.errors import AnnotationError, UserError
from tests.data.prepare.builders import write_json, write_lines


@given(answers=st.lists(st.text(max_size=2), min_size=1), size=st.integers(1, 10))
def test_a_label_set_keeps_the_most_frequent(answers, size):
    labels, plain = AnswerLabels.build(answers, size), [answer_text(answer) for answer in answers]
    assert len(labels) == min(size, len(set(plain)))
    least = min(plain.count(answer) for answer in labels.answers)
    assert all(plain.count(answer_text(a)) <= least for a in answers if labels.label(a) == -1)
    assert [labels.label(answer) for answer in labels.answers] == list(range(len(labels)))


def test_ties_are_in_alphabetical_order():
    labels = AnswerLabels.build(["b", "c", "a", "c", "d", "a", "C "], 3)
    assert labels.answers == ("c", "a", "b")
    assert [labels.label(answer) for answer in ("C", "a", "b", "d", None)] == [0, 1, 2, -1, -1]


def test_of_answers_that_differ_in_case_the_first_counts():
    labels = AnswerLabels(["cat", "Dog", "dog", "emu"])
    assert [labels.label(answer) for answer in ("DOG", "emu")] == [1, 3] and len(labels) == 4


def test_saved_and_loaded(tmp_path):
    path = tmp_path / "train_ans2label.json"
    AnswerLabels(["yes", "no", "二"]).save(path)
    assert json.loads(path.read_text()) == {"yes": 0, "no": 1, "二": 2}
    assert AnswerLabels.load(path).answers == ("yes", "no", "二")


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", "null", '{"a": "0"}', '{"a": 1}', '{"a": 0, "b": 0}'),
        *('{"a": 0, "b": 2}', '{"a": true}', '{"a": 0.0}', '{"a": -1}'),
        *('{"a": ' + "9" * 5000 + "}", "[" * 100_000),
    ],
)
def test_a_wrong_label_file(tmp_path, content):
    path = tmp_path / "train_ans2label.json"
    path.write_text(content)
    with pytest.raises(AnnotationError, match="train_ans2label"):
        AnswerLabels.load(path)


@pytest.mark.parametrize(
    ("value", "number"),
    [(0, 0), ("0", 0), (" 12 ", 12), ("-1", -1), (True, None), ("1.0", None), (1.0, None),
     ("dog", None), (None, None), ("9" * 30, None)],
)  # fmt: skip
def test_numbers_may_be_written_as_text(value, number):
    assert whole_number(value) == number


def row(**extra) -> VideoText:
    return VideoText("1", "a.mp4", "what?", "train", extra=extra)


def test_a_label_of_a_choice_may_be_text():
    options = ["a", "b"]
    check_rows("multichoice", [row(options=options, label="0"), row(options=options, label=1)])
    assert label_of(row(options=options, label="1")) == 1
    for label in ("2", "x", None):
        with pytest.raises(UserError, match="1 has "):
            check_rows("multichoice", [row(options=options, label=label)])
    with pytest.raises(UserError, match="is empty"):
        check_rows("multichoice", [row(options=["a", "\u200b"], label=0)])


def test_case_is_one_rule_in_verify_and_fine_tuning(tmp_path):
    asked = {"question": "what?", "video_id": "video1"}
    rows = [asked | {"answer": answer} for answer in ("Dog", "dog ", "CAT", "emu")]
    write_lines(tmp_path / "qa_train.jsonl", rows)
    write_json(tmp_path / "train_ans2label.json", {"dog": 0, "Cat": 1})
    found = survey(recognise(tmp_path)[0][0], decode=0)
    outside = [one for one in found.findings() if one.kind == "answer outside the label set"]
    assert [one.names for one in outside] == [["emu"]]
    labels = AnswerLabels.load(tmp_path / "train_ans2label.json")
    said = [row(answer=one["answer"]) for one in rows]
    assert [labels.label(answer_of(one)) for one in said] == [0, 0, 1, -1]
    assert label_set(said, 10, labels.answers) == ["dog", "cat"]
    assert label_set(said, 10) == ["dog", "cat", "emu"]
