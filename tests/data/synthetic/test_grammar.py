import re
from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data.synthetic.composition import RELATIONS, SIZES, Composition
from snpkit.data.synthetic.grammar import (
    COLOUR_SHAPES,
    SHAPES,
    Caption,
    join_words,
    write_caption,
)
from snpkit.data.synthetic.motions import MOTIONS, direction_of
from snpkit.data.synthetic.scenes import SCENES
from snpkit.data.synthetic.sprites import COLOURS, NOUNS, TEXTURES
from snpkit.data.synthetic.vocabulary import NOUN_WORDS, PLACES, RELATION_WORDS, VERBS, tag

UPOS = {
    *("DET", "NOUN", "VERB", "ADJ", "ADP", "AUX", "ADV", "PRON", "PUNCT", "SCONJ", "CCONJ", "NUM"),
}


@st.composite
def compositions(draw: st.DrawFn) -> Composition:
    motion = draw(st.sampled_from(list(MOTIONS)))
    second = relation = None
    if draw(st.booleans()):
        relation = draw(st.sampled_from(RELATIONS))
        names = st.fixed_dictionaries(
            {"noun": st.sampled_from(NOUNS), "colour": st.sampled_from(list(COLOURS))}
        )
        second = draw(names)
    return Composition(
        noun=draw(st.sampled_from(NOUNS)),
        colour=draw(st.sampled_from(list(COLOURS))),
        motion=motion,
        scene=draw(st.sampled_from(list(SCENES))),
        size=draw(st.sampled_from(SIZES)),
        texture=draw(st.sampled_from(TEXTURES)),
        direction=direction_of(motion, draw(st.sampled_from([-1, 1]))),
        second=second,
        relation=relation,
        count=1 + (second is not None),
    )


def caption_of(composition: Composition, seed: int) -> Caption:
    return write_caption(composition, np.random.default_rng(seed), omission=0.2)


def many(count: int = 3000) -> list[tuple[Composition, Caption]]:
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(count):
        motion = str(rng.choice(list(MOTIONS)))
        composition = Composition(
            str(rng.choice(NOUNS)),
            str(rng.choice(list(COLOURS))),
            motion,
            str(rng.choice(list(SCENES))),
            size=str(rng.choice(SIZES, p=(0.25, 0.5, 0.25))),
            texture=str(rng.choice(TEXTURES)),
            direction=direction_of(motion, 1),
        )
        pairs.append((composition, write_caption(composition, rng)))
    return pairs


def words_for(options: dict[str, tuple]) -> dict[str, set[str]]:
    return {key: {tag(word)[0] for word in words} for key, words in options.items()}


@given(compositions(), st.integers(0, 2**32))
def test_tags_are_the_captions_words(composition: Composition, seed: int) -> None:
    caption = caption_of(composition, seed)
    words = [word for word, _ in caption.tags]
    assert words == re.findall(r"[a-z]+|,", caption.text)
    assert join_words(words) == caption.text == caption.text.strip()
    assert {label for _, label in caption.tags} <= UPOS
    assert all((word == ",") == (label == "PUNCT") for word, label in caption.tags)
    assert ", ," not in caption.text and words[0] != "," and words[-1] != ","


@given(compositions(), st.integers(0, 2**32))
def test_articles_are_right(composition: Composition, seed: int) -> None:
    words = [word for word, _ in caption_of(composition, seed).tags]
    for first, second in pairwise(words):
        if first in ("a", "an"):
            assert (first == "an") == (second[0] in "aeiou"), (first, second)
    assert words[-1] not in ("a", "an")


@given(compositions(), st.integers(0, 2**32))
def test_a_caption_says_what_is_there_and_nothing_else(composition: Composition, seed: int) -> None:
    caption = caption_of(composition, seed)
    words = [word for word, _ in caption.tags]
    nouns = words_for(NOUN_WORDS)
    shown = nouns[composition.noun] if "noun" in caption.named else set()
    if "second" in caption.named:
        shown = shown | nouns[composition.second["noun"]]
        relations = words_for_relations(composition.relation)
        assert any(f" {phrase} " in f" {caption.text} " for phrase in relations)
    every = set().union(*nouns.values())
    assert set(words) & every <= shown
    assert ("noun" in caption.named) <= bool(set(words) & nouns[composition.noun])
    colours = set(words) & set(COLOURS)
    assert ("colour" in caption.named) <= (composition.colour in colours)
    allowed = {composition.colour} if "colour" in caption.named else set()
    assert colours <= allowed | ({composition.second["colour"]} if composition.second else set())
    if "direction" in caption.named:
        assert f"to the {composition.direction}" in caption.text
    if "scene" in caption.named:
        places = [" ".join(tag(w)[0] for w in p.split()) for p in PLACES[composition.scene]]
        assert any(place in caption.text for place in places)


def words_for_relations(relation: str) -> list[str]:
    return [" ".join(tag(w)[0] for w in p.split()) for p in RELATION_WORDS[relation]]


@given(compositions(), st.integers(0, 2**32))
def test_the_verb_belongs_to_the_motion(composition: Composition, seed: int) -> None:
    caption = caption_of(composition, seed)
    verbs = {word for word, label in caption.tags if label == "VERB"}
    forms = {form.split()[0] for verb in VERBS[composition.motion] for form in verb}
    helpers = {"look", "watch", "see", "is"}
    assert verbs <= forms | helpers
    assert ("motion" in caption.named) == bool(verbs & forms)


def test_each_noun_and_motion_has_words_of_its_own() -> None:
    assert (len(NOUNS), len(COLOURS), len(MOTIONS), len(SCENES)) == (28, 8, 12, 8)
    assert set(NOUN_WORDS) == set(NOUNS) and set(VERBS) == set(MOTIONS)
    assert set(PLACES) == set(SCENES) and set(RELATION_WORDS) == set(RELATIONS)
    nouns = [word for words in NOUN_WORDS.values() for word in words]
    assert len(nouns) == len(set(nouns))
    forms = [form for verbs in VERBS.values() for verb in verbs for form in verb]
    assert len(forms) == len(set(forms))
    places = [place for options in PLACES.values() for place in options]
    assert len(places) == len(set(places))


def test_captions_look_like_language() -> None:
    pairs = many()
    lengths = [sum(label != "PUNCT" for _, label in caption.tags) for _, caption in pairs]
    assert 9 <= np.mean(lengths) <= 13
    full = [{"noun", "colour", "motion", "scene"} <= caption.named for _, caption in pairs]
    assert np.mean(full) >= 0.85
    assert len(SHAPES) + len(COLOUR_SHAPES) >= 6
    counts = Counter(word for _, caption in pairs for word, _ in caption.tags)
    ordered = [count for _, count in counts.most_common()]
    assert len(counts) > 180
    assert sum(ordered[:10]) > 0.3 * sum(ordered), "function words must be the commonest"
    first, second = (counts[word] for word in ("boat", "ship"))
    assert first > 1.5 * second > 0, "the first synonym is the commonest"
    starts = Counter(caption.tags[0][1] for _, caption in pairs)
    assert len(starts) >= 5, "captions begin in many ways"


def test_all_parts_of_speech_occur() -> None:
    rng = np.random.default_rng(1)
    near = Composition("cat", "red", "spins", "sea", second={"noun": "key", "colour": "blue"},
                       relation="beside", count=2)  # fmt: skip
    captions = [caption for _, caption in many(1500)]
    without_omission = [write_caption(near, rng, omission=0) for _ in range(100)]
    for caption in without_omission:
        assert {"noun", "colour", "motion", "scene"} <= caption.named
    captions += without_omission
    assert {label for caption in captions for _, label in caption.tags} == UPOS
