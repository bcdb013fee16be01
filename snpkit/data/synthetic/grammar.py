"""A small caption grammar that knows the part of speech of every word it writes.

Captions differ in sentence shape, word order, inflection and choice of synonym; the first synonym
of each list is the commonest, so that word frequency falls off as in language. Tags are the
Universal POS labels that spaCy uses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from snpkit.data.synthetic.composition import Composition
from snpkit.data.synthetic.vocabulary import (
    DIRECTION_WORDS,
    NOUN_WORDS,
    PLACES,
    RELATION_WORDS,
    SIZE_WORDS,
    TEXTURE_WORDS,
    VERBS,
    Tagged,
    tag,
)

A: Tagged = ("a", "DET")


@dataclass(frozen=True)
class Caption:
    """A caption with the truth about it.

    Attributes:
        text: the caption, lower case.
        tags: every word and comma with its Universal POS label, in order.
        named: which of noun, colour, motion, scene, size, texture, direction, second it names.
    """

    text: str
    tags: tuple[Tagged, ...]
    named: frozenset[str]


def join_words(words: Sequence[str]) -> str:
    """Words to text: single spaces, none before a comma."""
    return " ".join(words).replace(" ,", ",")


def choose(rng: np.random.Generator, options: Sequence, falloff: float = 2.0) -> object:
    """One of the options; the n-th is `falloff` times rarer than the one before (Zipf-like)."""
    weights = falloff ** -np.arange(len(options), dtype=float)
    return options[int(rng.choice(len(options), p=weights / weights.sum()))]


def with_articles(words: Sequence[Tagged]) -> list[Tagged]:
    """Turn "a" into "an" before a vowel (no word of the vocabulary has another sound there)."""
    fixed = list(words)
    for index in range(len(fixed) - 1):
        if fixed[index] == A and fixed[index + 1][0][0] in "aeiou":
            fixed[index] = ("an", "DET")
    return fixed


class _Phrases:
    """The phrases of one composition, their words chosen, and a note of what they name."""

    def __init__(self, scene: Composition, rng: np.random.Generator, omitted: str | None) -> None:
        self.rng, self.omitted = rng, omitted
        self.named = {"noun", "colour", "motion", "scene"} - {omitted}
        self.colour = [] if omitted == "colour" else [(scene.colour, "ADJ")]
        self.kind = [tag(choose(rng, NOUN_WORDS[scene.noun], 2.5))]
        if omitted == "noun":
            self.kind = [tag(choose(rng, ("thing/NOUN", "object/NOUN")))]
        self.size = self._maybe("size", SIZE_WORDS.get(scene.size), 0.75)
        chance = 0.1 if scene.texture == "plain" else 0.8
        self.texture = self._maybe("texture", TEXTURE_WORDS[scene.texture], chance)
        self.forms = [] if omitted == "motion" else choose(rng, VERBS[scene.motion])
        self.direction = [] if omitted == "motion" else self._direction(scene)
        self.relation = self._relation(scene)
        self.place = [] if omitted == "scene" else _phrase(choose(rng, PLACES[scene.scene], 1.6))

    def _maybe(self, name: str, words: Sequence[str] | None, chance: float) -> list[Tagged]:
        if not words or self.rng.random() >= chance:
            return []
        self.named.add(name)
        return [tag(choose(self.rng, words))]

    def _direction(self, scene: Composition) -> list[Tagged]:
        words = DIRECTION_WORDS.get(scene.direction or "")
        if words is None or self.rng.random() >= 0.35:
            return []
        self.named.add("direction")
        return _phrase(words)

    def _relation(self, scene: Composition) -> list[Tagged]:
        if scene.second is None or scene.relation is None:
            return []
        self.named.add("second")
        words = [*_phrase(choose(self.rng, RELATION_WORDS[scene.relation])), A]
        if self.rng.random() < 0.5:
            words.append((scene.second["colour"], "ADJ"))
        return [*words, tag(choose(self.rng, NOUN_WORDS[scene.second["noun"]], 2.5))]

    def fill(self, template: str) -> list[Tagged]:
        """Words with tags are kept; words in capitals are replaced by phrases (see `SHAPES`)."""
        verbs = {"VERB": 0, "VERBS": 1, "VERBING": 2}
        found = []
        for word in template.split():
            if "/" in word:
                found.append(tag(word))
            elif word in verbs:
                found += self._verb(verbs[word])
            else:
                found += getattr(self, word.lower()) if word in _FIXED else self._thing(word)
        return found

    def _thing(self, slot: str) -> list[Tagged]:
        """The main object: article, adjectives, noun."""
        article, _, kind = slot.rpartition("_")
        first = (article.lower(), "DET")
        if not article:
            first = choose(self.rng, (A, ("the", "DET"), ("one", "NUM")), 5)
        shade = self.colour if kind == "THING" else []
        adjectives = [*self.texture, *shade] if self.rng.random() < 0.7 else [*shade, *self.texture]
        return [first, *self.size, *adjectives, *self.kind]

    def _verb(self, form: int) -> list[Tagged]:
        """The verb (0 = base, 1 = third person, 2 = -ing form) with its complement."""
        word, *complement = self.forms[form].split()
        words = [(word, "VERB"), *_phrase(" ".join(complement))]
        return [*words, *self.direction, *self.relation]


def _phrase(text: str) -> list[Tagged]:
    return [tag(word) for word in text.split()]


def _place_first(p: _Phrases) -> str:
    comma = ",/PUNCT" if p.place and p.rng.random() < 0.5 else ""
    ending = "VERBS" if p.rng.random() < 0.5 else "is/AUX VERBING"
    return f"PLACE {comma} THING {ending}"


def _we_see(p: _Phrases) -> str:
    opening = "we/PRON see/VERB" if p.rng.random() >= 0.5 else "you/PRON can/AUX see/VERB"
    ending = "VERBING" if p.rng.random() < 0.5 else "as/SCONJ it/PRON VERBS"
    return f"{opening} THING {ending} PLACE"


def _something(p: _Phrases) -> str:
    comma = ",/PUNCT" if p.place else ""
    return f"PLACE {comma} something/PRON COLOUR ,/PUNCT A_SHAPE ,/PUNCT VERBS"


def _still(p: _Phrases) -> str:
    """A caption without the motion."""
    if p.rng.random() < 0.5:
        start = choose(p.rng, ("there/PRON is/VERB", "we/PRON see/VERB"))
        return f"{start} A_THING RELATION PLACE"
    return "THING RELATION PLACE"


# Sentence shapes and how often each is used: templates, or functions that choose one. THING is the
# object with any article, A_THING and THE_THING with that article; SHAPE is a thing without its
# colour. VERB, VERBS and VERBING are the forms of the verb, with what belongs to it.
_FIXED = ("PLACE", "COLOUR", "RELATION")
Shape = str | Callable[[_Phrases], str]
SHAPES: tuple[tuple[Shape, float], ...] = (
    ("THING VERBS PLACE", 0.22),
    ("THING is/AUX VERBING PLACE", 0.15),
    (_place_first, 0.15),
    ("THING VERBING PLACE", 0.12),
    ("there/PRON is/VERB A_THING that/PRON VERBS PLACE", 0.08),
    ("look/VERB how/SCONJ THE_THING VERBS PLACE", 0.06),
    (_we_see, 0.06),
    ("watch/VERB THING VERB PLACE", 0.04),
)
COLOUR_SHAPES: tuple[tuple[Shape, float], ...] = (
    ("THE_SHAPE that/PRON VERBS PLACE is/AUX COLOUR", 0.05),
    (_something, 0.04),
    ("SHAPE VERBS PLACE ,/PUNCT and/CCONJ it/PRON is/AUX COLOUR", 0.03),
)


def write_caption(
    composition: Composition, rng: np.random.Generator, *, omission: float = 0.1
) -> Caption:
    """Write one caption of a composition.

    Args:
        composition: what is to be seen.
        rng: chooses words and sentence shape.
        omission: chance that one of noun, colour, motion and scene is not named.
    """
    omitted = None
    if rng.random() < omission:
        omitted = str(rng.choice(["noun", "colour", "motion", "scene"]))
    phrases = _Phrases(composition, rng, omitted)
    shapes = SHAPES if omitted in ("colour", "noun") else (*SHAPES, *COLOUR_SHAPES)
    weights = np.array([weight for _, weight in shapes])
    shape = shapes[int(rng.choice(len(shapes), p=weights / weights.sum()))][0]
    shape = _still if omitted == "motion" else shape
    template = shape if isinstance(shape, str) else shape(phrases)
    words = with_articles(phrases.fill(template))
    text = join_words([word for word, _ in words])
    return Caption(text=text, tags=tuple(words), named=frozenset(phrases.named))
