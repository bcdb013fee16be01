"""Accuracy of answers and choices, against simple loops; what cannot be read is left out."""

from copy import deepcopy

import pytest
import torch

import snpkit
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import Manifest, VideoText, sample_manifest, samples_folder
from snpkit.data.task_rows import answer_of, check_rows
from snpkit.errors import UserError
from snpkit.evaluation.answering import commonest_by_type, evaluate_answering, evaluate_choices
from snpkit.model.downstream import from_pretraining


@pytest.fixture(scope="module")
def pipeline():
    return snpkit.load("laptop", device="cpu")


def shipped(**changes):
    """The first eight generated clips that are shipped, with question and choice."""
    rows = [row for row in sample_manifest().rows if "tags" in row.extra][:8]
    return [
        VideoText(row.id, row.video, row.extra["question"], "test", extra={
            "answer": row.extra["answer"], "answer_type": row.extra["question"].split()[1],
            "options": row.extra["options"], "label": row.extra["answer_index"],
        } | changes)
        for row in rows
    ]  # fmt: skip


def dataset_of(rows):
    return VideoTextDataset(
        Manifest(samples_folder(), rows), 2, 4, 64, training=False, max_unreadable=0.5
    )


def test_answers_are_counted_as_by_hand(pipeline):
    rows = shipped()
    answers = sorted({row.extra["answer"] for row in rows[:-1]} - {rows[-1].extra["answer"]})
    torch.manual_seed(0)
    model = from_pretraining("qa", pipeline.model, pipeline.model.config, answers=answers).eval()
    predictions, by_hand = [], []
    found = evaluate_answering(
        model, pipeline.tokenizer, dataset_of(rows), commonest_by_type(rows),
        predictions=predictions,
    )  # fmt: skip
    asker = snpkit.pipeline.Pipeline(model, pipeline.tokenizer, None, pipeline.folder)
    for row in rows:
        ((best, share), *_) = asker.answer(row.caption, samples_folder() / row.video)
        assert 0 < share <= 1
        by_hand.append(best == row.extra["answer"])
        said = predictions[len(by_hand) - 1]
        assert said["id"] == row.id and said["video"] == row.video
        assert (said["predicted"], said["correct"]) == (best, by_hand[-1])
        assert said["question"] == row.caption and said["answer"] == row.extra["answer"]
    assert found["accuracy"] == pytest.approx(100 * sum(by_hand) / len(rows))
    assert found["questions"] == 8 and found["left_out"] == 0
    assert found["outside"] == sum(row.extra["answer"] not in answers for row in rows) >= 1
    best = commonest_by_type(rows)[""]
    share = 100 * sum(row.extra["answer"] == best for row in rows) / 8
    assert found["commonest"] == pytest.approx(share)
    kinds = {row.extra["answer_type"] for row in rows}
    assert set(found["by_type"]) == kinds
    own = [hit for hit, row in zip(by_hand, rows, strict=True)
           if row.extra["answer_type"] == min(kinds)]  # fmt: skip
    assert found["by_type"][min(kinds)] == pytest.approx(100 * sum(own) / len(own))


def test_choices_are_counted_as_by_hand_and_zero_shot(pipeline):
    rows = shipped()
    predictions, hits = [], 0
    found = evaluate_choices(
        pipeline.model, pipeline.tokenizer, dataset_of(rows), predictions=predictions
    )
    for row, said in zip(rows, predictions, strict=True):
        (best, _), *others = pipeline.choose(row.extra["options"], samples_folder() / row.video)
        assert said["id"] == row.id and said["options"][said["predicted"]] == best
        assert said["label"] == row.extra["label"]
        assert said["correct"] == (said["predicted"] == said["label"])
        assert len(others) == 4
        hits += best == row.caption or best == row.extra["options"][row.extra["label"]]
    assert found["accuracy"] == pytest.approx(100 * hits / 8)
    assert found["chance"] == 20
    assert found["accuracy"] >= 60  # wrong options of other clips are easy


@pytest.mark.parametrize(("score", "column"), [("cross_modal", 1), ("text_video", 0)])
def test_zero_shot_choices_by_one_score_alone(pipeline, score, column, monkeypatch):
    rows = shipped()
    config = deepcopy(pipeline.model.config)
    config.choice_score = score
    monkeypatch.setattr(pipeline.model, "config", config)
    # The two scores are made to disagree: one is right about every row, the other about none.
    scores = torch.zeros(2, 1, 5)
    scores[column, 0, 2], scores[1 - column, 0, 3] = 1, 9
    stand_in = lambda ids, *_: tuple(scores.expand(2, len(ids), 5))  # noqa: E731
    monkeypatch.setattr(pipeline.model, "option_scores", stand_in)
    found = evaluate_choices(pipeline.model, pipeline.tokenizer, dataset_of(shipped(label=2)))
    assert found["accuracy"] == 100
    assert (found["matching"], found["cross_modal"]) == ((0, 100) if column else (100, 0))
    options = rows[0].extra["options"]
    ranked = pipeline.choose(options, samples_folder() / rows[0].video)
    expected = scores[column, 0].softmax(0)[2].item()
    assert ranked[0] == (options[2], pytest.approx(expected))


def test_an_unreadable_video_is_left_out_and_counted(pipeline, tmp_path):
    rows = shipped()
    for row in rows:
        target = tmp_path / row.video
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((samples_folder() / row.video).read_bytes())
    (tmp_path / rows[0].video).write_bytes(b"no video")
    dataset = VideoTextDataset(Manifest(tmp_path, rows), 2, 4, 64, False, max_unreadable=0.5)
    found = evaluate_choices(pipeline.model, pipeline.tokenizer, dataset)
    assert (found["questions"], found["left_out"]) == (7, 1)
    assert list(dataset.report().reasons) == [rows[0].video]


def test_ties_of_the_commonest_answer_go_by_the_alphabet():
    rows = [VideoText(str(n), "v.mp4", "what is it?", "train", extra={"answer": answer})
            for n, answer in enumerate(["pear", "apple", "Apple ", "pear"])]  # fmt: skip
    assert commonest_by_type(rows) == {"": "apple", "what": "apple"}


def labelled(*labels, answer=None):
    return [
        VideoText(str(n), "v.mp4", "what is it?", "train", extra={"answer": answer, "label": label})
        for n, label in enumerate(labels)
    ]


def test_a_label_stands_for_an_answer_that_is_not_written_down():
    rows = labelled(12, 3, -1, -1, -1)
    check_rows("qa", rows)
    assert [answer_of(row) for row in rows] == ["12", "3", None, None, None]
    assert commonest_by_type(rows) == {"": "12", "what": "12"}
    assert commonest_by_type(labelled(-1)) == {}
    assert answer_of(labelled(-1, answer=" Red ")[0]) == "red"
    for wrong in (True, "3", None):
        with pytest.raises(UserError, match='has no "answer"'):
            check_rows("qa", labelled(wrong))


def test_answers_outside_the_label_set_are_wrong_and_counted(pipeline):
    rows = [
        VideoText(row.id, row.video, row.caption, row.split, extra={"answer": None, "label": label})
        for row, label in zip(shipped(), [0, 1, 0, 1, -1, 7, -1, 0], strict=True)
    ]
    config = deepcopy(pipeline.model.config)
    model = from_pretraining("qa", pipeline.model, config, answers=["0", "1"]).eval()
    baselines = commonest_by_type(labelled(-1, -1))
    found = evaluate_answering(model, pipeline.tokenizer, dataset_of(rows), baselines)
    assert found["outside"] == 3 and found["questions"] == 8
    assert found["accuracy"] <= 100 * 5 / 8
    assert "commonest" not in found  # nothing is known of the training answers


@pytest.mark.parametrize(
    ("task", "place", "changes", "said"),
    [
        ("qa", 0, {"answer": None}, 'has no "answer"'),
        ("multichoice", 0, {"options": "red"}, 'has no "options"'),
        ("multichoice", 0, {"label": 5}, "label 5"),
        ("multichoice", 0, {"options": ["one"], "label": 0}, "1 options"),
        ("multichoice", 3, {"options": list("abcd"), "label": 0}, "has 4 options"),
        ("multichoice", 0, {"options": ["one", 2], "label": 0}, "option 1 is 2"),
    ],
)
def test_rows_that_do_not_fit_are_named(task, place, changes, said):
    rows = shipped()
    rows[place].extra.update(changes)
    with pytest.raises(UserError, match=f"{rows[place].id} .*{said}"):
        check_rows(task, rows)


def test_a_model_that_cannot_answer_says_so(pipeline):
    with pytest.raises(UserError, match="snpkit finetune qa"):
        pipeline.answer("what colour is it?", samples_folder() / shipped()[0].video)
    with pytest.raises(UserError, match="give two or more"):
        pipeline.choose(["a red ball"], samples_folder() / shipped()[0].video)
