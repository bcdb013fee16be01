"""Label sets: built, loaded, and answers that are not in them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data.annotations import AnswerLabels, detect, open_dataset
from snpkit.errors import AnnotationError
from tests.data.annotations.builders import write_json, write_lines


def test_the_most_frequent_answers_are_the_label_set():
    labels = AnswerLabels.build(["b", "c", "a", "c", "d", "a", "c"], 3)
    assert labels.answers == ("c", "a", "b")  # b and d come once: in alphabetical order
    assert [labels.label(answer) for answer in ("c", "a", "b", "d", None)] == [0, 1, 2, -1, -1]


@given(answers=st.lists(st.text(), min_size=1), size=st.integers(1, 10))
def test_a_label_set_keeps_the_most_frequent(answers, size):
    labels = AnswerLabels.build(answers, size)
    assert len(labels) == min(size, len(set(answers)))
    least = min(answers.count(answer) for answer in labels.answers)
    assert all(answers.count(a) <= least for a in answers if labels.label(a) == -1)
    assert [labels.label(answer) for answer in labels.answers] == list(range(len(labels)))


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
    with pytest.raises(AnnotationError):
        AnswerLabels([])


def test_without_a_file_the_labels_come_from_the_training_split(tmp_path):
    row = {"question": "what?", "video_id": 3}
    counts = {"cat": 3, "dog": 2, "ant": 1}
    train = [row | {"answer": answer} for answer, n in counts.items() for _ in range(n)]
    write_json(tmp_path / "train_qa.json", train)
    write_json(tmp_path / "test_qa.json", [row | {"answer": a} for a in ("dog", "emu", "ant", 7)])
    rows = list(open_dataset(tmp_path, "test"))
    assert [r.extra["answer"] for r in rows] == ["dog", "emu", "ant", "7"]
    assert [r.extra["label"] for r in rows] == [1, -1, 2, -1]
    assert rows[0].video == "videos/video3.mp4"
    assert len(detect(tmp_path).labels) == 3


@pytest.mark.parametrize(("video", "size"), [("video7", 1500), ("-4wsuPCjDBc_5_15", 1000)])
def test_the_papers_sizes(tmp_path, video, size):
    rows = [
        {"question": "what?", "video_id": video, "answer": f"{n:04d}"}
        for n in range(1600)
        for _ in range(1 + (n >= 100))
    ]
    write_lines(tmp_path / "train.jsonl", rows)
    labels = detect(tmp_path).labels
    assert len(labels) == size
    assert labels.label("0100") == 0 and labels.label("0099") == -1


def test_labels_that_are_answers_or_numbers(tmp_path):
    row = {"caption": "what?", "clip_name": "video1"}
    write_lines(tmp_path / "train.jsonl", [row | {"label": label} for label in ("a", "b", "b")])
    assert [r.extra["label"] for r in open_dataset(tmp_path)] == [1, 0, 0]
    write_lines(tmp_path / "train.jsonl", [row | {"label": label} for label in (4, "2", -3)])
    # "2" is an answer as any text is; no text of any answer is known for the numbers.
    found = [(r.extra["answer"], r.extra["label"]) for r in open_dataset(tmp_path)]
    assert found == [(None, -1), ("2", 0), (None, -1)]


def test_numbers_without_a_label_set_are_kept(tmp_path):
    row = {"caption": "what?", "clip_name": "video1"}
    write_lines(tmp_path / "test.jsonl", [row | {"label": label} for label in (4, 0)])
    assert [r.extra["label"] for r in open_dataset(tmp_path)] == [4, 0]


def test_labels_of_the_same_folder_are_taken(tmp_path):
    row = {"question": "what?", "answer": "cat", "video_id": "video1"}
    for name, label in (("one", "cat"), ("two", "dog")):
        write_json(tmp_path / name / "train_ans2label.json", {label: 0})
    write_lines(tmp_path / "two" / "test.jsonl", [row])
    assert detect(tmp_path).label_file == tmp_path / "two" / "train_ans2label.json"
    assert [r.extra["label"] for r in open_dataset(tmp_path)] == [-1]
