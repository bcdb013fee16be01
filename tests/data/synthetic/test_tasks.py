"""Questions and choices of the generated corpus say what is true of their clips."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data.samples import Manifest, VideoText
from snpkit.data.synthetic.composition import ATTRIBUTES, complete
from snpkit.data.synthetic.tasks import (
    choice_rows,
    options_for,
    question_rows,
    questions_about,
    write_tasks,
)
from snpkit.data.synthetic.vocabulary import NOUN_WORDS, PLACES, VERBS, tag
from snpkit.errors import UserError
from snpkit.evaluation.answering import commonest_by_type

KINDS = {"colour", "thing", "count", "place", "direction", "motion"}


def draw(seed):
    rng = np.random.default_rng(seed)
    quadruple = tuple(str(rng.choice(values)) for values in ATTRIBUTES)
    return complete(quadruple, 1, 0.5, rng, set()), rng


def phrases_of(kind, value):
    """Every phrase that names a value in a caption; "gets bigger" and "gets smaller" differ."""
    if kind == "noun":
        return {tag(word)[0] for word in NOUN_WORDS[value]}
    if kind == "motion":
        whole = (form.split() for forms in VERBS[value] for form in forms)
        return {" ".join(tag(word)[0] for word in form) for form in whole}
    if kind == "scene":
        return {" ".join(tag(word)[0] for word in place.split()) for place in PLACES[value]}
    return {value}


@given(st.integers(0, 10_000))
def test_answers_are_what_the_clip_shows(seed):
    shown, rng = draw(seed)
    asked = questions_about(shown, rng)
    true = {"colour": shown.colour, "thing": shown.noun, "place": shown.scene,
            "count": "two" if shown.second else "one", "motion": shown.motion,
            "direction": shown.direction}  # fmt: skip
    assert {kind for kind, _, _ in asked} == {kind for kind in KINDS if true[kind] is not None}
    for kind, question, answer in asked:
        assert answer == true[kind]
        assert question.endswith("?") and "{" not in question
        assert answer not in question.rstrip("?").split()  # never given away


@given(st.integers(0, 10_000))
def test_one_option_is_true_and_each_other_is_wrong_in_another_way(seed):
    shown, rng = draw(seed)
    options, place, changed = options_for(shown, rng)
    assert len(set(options)) == 5
    own = [(kind, getattr(shown, kind)) for kind in ("noun", "colour", "motion", "scene")]

    def named(option):
        text = f" {option.replace(',', '')} "
        said = {kind: phrases_of(kind, value) for kind, value in own}
        return {kind for kind in said if any(f" {phrase} " in text for phrase in said[kind])}

    assert named(options[place]) == {"noun", "colour", "motion", "scene"}
    missing = [sorted({"noun", "colour", "motion", "scene"} - named(option)) for option in options]
    assert missing == [[] if name is None else [name] for name in changed]
    assert changed[place] is None and len(set(changed)) == 5


def corpus(tmp_path, clips=40):
    rows = []
    for number in range(clips):
        shown, _ = draw(number)
        split = "train" if number % 4 else "test"
        extra = {"composition": asdict(shown), "boxes": []}
        rows.append(VideoText(f"clip-{number}", f"{number}.mp4", "a thing", split, extra=extra))
    (tmp_path / "videos").mkdir()
    return Manifest(tmp_path, rows)


def test_rows_keep_video_and_split_and_are_the_same_every_time(tmp_path):
    manifest = corpus(tmp_path)
    questions, choices = question_rows(manifest, 3), choice_rows(manifest, 3)
    assert questions == question_rows(manifest, 3) != question_rows(manifest, 4)
    assert len(choices) == 40
    assert len({row.id for row in questions}) == len(questions) > 190
    split_of = {row.video: row.split for row in manifest.rows}
    for row in (*questions, *choices):
        assert row.split == split_of[row.video]
    for row in choices:
        assert row.caption == row.extra["options"][row.extra["label"]] == row.extra["answer"]
    places = [row.extra["label"] for row in choices]
    assert min(map(places.count, range(5))) > 1  # no place is favoured
    assert {row.extra["answer_type"] for row in questions} == KINDS


def test_the_files_are_manifests_again(tmp_path):
    manifest = corpus(tmp_path)
    questions, choices = map(Manifest.load, write_tasks(manifest))
    assert questions.rows == question_rows(manifest)
    assert choices.rows == choice_rows(manifest)


def test_other_clips_are_refused_by_name(tmp_path):
    rows = [VideoText("real-1", "a.mp4", "a dog", "train")]
    with pytest.raises(UserError, match="real-1 does not say"):
        question_rows(Manifest(tmp_path, rows))


def test_blind_guessing_is_known(tmp_path):
    rows = question_rows(corpus(tmp_path, 200))
    best = commonest_by_type(rows)
    assert best[""] == best["count"] == "one"
    assert set(best) == KINDS | {""}
