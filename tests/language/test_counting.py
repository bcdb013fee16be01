"""Counting words per part of speech: by hand, in chunks, in processes."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snpkit.errors import UserError
from snpkit.language import counting
from snpkit.language.counting import WordCounts, count_captions, count_chunk, normal_form
from snpkit.language.tagging import TaggedWord
from snpkit.language.tokenizer import encode_captions, train_tokenizer

words = st.sampled_from(["dog", "Dog", "runs", "café", "<b>", "e-mail", "7", "..."])
tagged_captions = st.lists(
    st.tuples(
        st.sampled_from(["one caption", "another", "a third", "the fourth"]),
        st.lists(st.tuples(words, st.sampled_from(["NOUN", "VERB", "PUNCT"])), max_size=6),
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["a few words"], 64)


def count(captions, limit=2):
    counts = WordCounts(limit=limit)
    for caption, tags in captions:
        counts.add(caption, [TaggedWord(text, "", pos, 0, 0) for text, pos in tags])
    return counts


def test_the_normal_form_has_no_capitals_and_no_accents():
    assert normal_form("Café") == normal_form("CAFE") == "cafe"
    assert normal_form("naïve") == "naive"


def test_counts_by_hand():
    counts = count(
        [
            ("The Dog runs.", [("The", "DET"), ("Dog", "NOUN"), ("runs", "VERB"), (".", "PUNCT")]),
            ("a dog dog", [("a", "DET"), ("dog", "NOUN"), ("dog", "VERB"), ("dog</b", "NOUN")]),
            ("dogs", [("dog", "NOUN")]),
        ]
    )
    assert counts.captions == 3
    assert counts.counts == {
        "the": Counter(DET=1),
        "dog": Counter(NOUN=3, VERB=1),
        "runs": Counter(VERB=1),
        "a": Counter(DET=1),
    }
    # The first two captions, each once.
    assert counts.examples["dog"] == ["The Dog runs.", "a dog dog"]


@given(tagged_captions, st.integers(0, 8), st.integers(0, 3))
def test_two_halves_merged_are_the_whole(captions, cut, limit):
    whole = count(captions, limit)
    merged = count(captions[:cut], limit)
    merged.merge(count(captions[cut:], limit))
    assert merged == whole


CASES = Path(__file__).parent.parent / "cases" / "annotations" / "captions"


@pytest.mark.parametrize("change", [str, str.upper, str.title, str.capitalize])
def test_captions_in_any_case_give_the_same_words(change):
    lower = (CASES / "lower.txt").read_text().splitlines()
    title = (CASES / "title.txt").read_text().splitlines()
    (expected,) = count_captions(lower, examples=0)
    assert {"red", "green", "white", "water", "run"} <= set(expected.counts)
    assert list(count_captions(map(change, title), examples=0)) == [expected]


def counted(caption):
    return count_chunk([caption], examples=0).counts


def test_only_words_that_a_tokenizer_finds_are_counted():
    # The tagger cuts "gonna" into "gon" and "na", "dont" into "do" and "nt", "can't" into "ca" ...
    assert set(counted("the dogs dont bark, can't run and gonna sleep")) == {
        *("the", "dogs", "bark", "run", "and", "sleep")
    }
    assert set(counted("ein Käfer fliegt über Zürich")) == {
        *("ein", "kafer", "fliegt", "uber", "zurich")
    }
    # BERT reads Chinese sign by sign, and does not see what has no shape.
    assert all(len(word) == 1 for word in counted("红色的汽车 在路上"))
    assert "dog" in counted("a do\u200bg runs") and "x" * 101 not in counted("a " + "x" * 101)


HARD = ["Can't", "10km", "don\u2019t", "it's", "gimme", "L'été", "t-shirt"]


@settings(max_examples=60)
@given(st.lists(st.text(max_size=12) | st.sampled_from(HARD)).map(" ".join))
def test_every_counted_word_is_one_of_the_tokenizer(tokenizer, caption):
    try:
        (found,) = encode_captions(tokenizer, [caption], 10_000).words
    except UserError:
        found = []
    assert set(counted(caption)) <= set(map(normal_form, found))


def test_chunks_and_processes_change_nothing(monkeypatch):
    captions = [f"{n} small dogs run over the hill" for n in range(50)]
    (whole,) = count_captions(captions, examples=2)
    monkeypatch.setattr(counting, "CHUNK", 7)
    monkeypatch.setattr(counting, "FEW", 3)
    monkeypatch.setattr(counting, "available_cores", lambda: 2)
    for workers in (1, None):  # as many as there are cores
        chunks = list(count_captions(iter(captions), examples=2, workers=workers))
        assert len(chunks) == 8
        merged = WordCounts(limit=2)
        for chunk in chunks:
            merged.merge(chunk)
        assert merged == whole
    assert whole.counts["dogs"] == Counter(NOUN=50)


def test_few_captions_start_no_process(monkeypatch):
    monkeypatch.setattr(counting, "_in_processes", None)
    captions = ["a dog runs"] * 20
    assert [chunk.captions for chunk in count_captions(captions, workers=None)] == [20]


def _end_the_process(captions):
    import os

    os._exit(1)


def test_a_dying_process_is_one_clear_error():
    with pytest.raises(UserError, match="fewer workers"):
        list(counting._in_processes(_end_the_process, [["a"], ["b"]], 2))
