"""The generated clips of data_samples: held out, whole, with questions that fit."""

from collections import Counter, defaultdict

import pytest

from data_samples.tools.generated_samples import sample_rows
from snpkit.data.samples import Manifest, sample_manifest
from snpkit.data.synthetic import CorpusSettings
from snpkit.data.synthetic.plan import plan_corpus
from snpkit.data.synthetic.sprites import NOUNS
from snpkit.errors import UserError

SAMPLES = sample_manifest().split("samples")


@pytest.fixture(scope="module")
def corpus():
    """The corpus that `make run` draws, as it is planned: rows without pixels."""
    plans = plan_corpus(CorpusSettings(train=4000, validation=128, test=256))
    return Manifest(SAMPLES.root, [plan.row([], None) for plan in plans])


def clips():
    groups = defaultdict(list)
    for row in SAMPLES.rows:
        groups[row.video].append(row)
    return list(groups.values())


def test_there_are_enough_and_every_noun_is_shown():
    assert len(clips()) >= 24
    assert {rows[0].extra["composition"]["noun"] for rows in clips()} == set(NOUNS)


def test_every_clip_has_two_captions_a_question_and_a_choice():
    for rows in clips():
        assert len(rows) == 2 and rows[0].caption != rows[1].caption
        for row in rows:
            extra, shown = row.extra, row.extra["composition"]
            assert extra["question"].endswith("?")
            assert extra["answer"] in (shown["colour"], shown["noun"], shown["scene"])
            assert len(set(extra["options"])) == 5
            assert extra["options"][extra["answer_index"]] == rows[0].caption
    places = Counter(rows[0].extra["answer_index"] for rows in clips())
    assert max(places.values()) - min(places.values()) <= 1


def test_the_shipped_checkpoint_has_not_been_trained_on_them(corpus):
    training = corpus.split("train").rows
    captions = {row.caption for row in training}
    shown = {quadruple(row) for row in training}
    for row in SAMPLES.rows:
        assert row.caption not in captions
        assert quadruple(row) not in shown


def quadruple(row):
    return tuple(row.extra["composition"][name] for name in ("noun", "colour", "motion", "scene"))


def test_the_manifest_is_what_the_maker_makes(corpus):
    made = sample_rows(corpus)
    kept = [(row.id, row.video, row.caption, row.extra["options"]) for row in SAMPLES.rows]
    assert kept == [(row.id, row.video, row.caption, row.extra["options"]) for row in made]


def test_a_corpus_that_is_too_small_is_refused(corpus):
    few = Manifest(corpus.root, corpus.split("test").rows[:3])
    with pytest.raises(UserError, match="only"):
        sample_rows(few)
