"""Count each word of many captions per part of speech, on one core or on many."""

import multiprocessing
import signal
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from snpkit.errors import UserError
from snpkit.language.tagging import MAX_CHARACTERS, TaggedWord, tag_captions
from snpkit.language.tokenizer import LONGEST_WORD
from snpkit.machine import available_cores
from snpkit.spawning import check_main_guard

if TYPE_CHECKING:
    from tokenizers.normalizers import Normalizer
    from tokenizers.pre_tokenizers import PreTokenizer

CHUNK = 1000  # captions that one worker takes at a time
FEW = 8  # chunks that one process counts sooner than others have started


def normal_form(word: str) -> str:
    """Lower case without accents: the form in which BERT's tokenizer and the table see a word."""
    decomposed = unicodedata.normalize("NFD", word.lower())
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn")


@dataclass
class WordCounts:
    """How often each word occurs as each part of speech, with the first captions that hold it.

    Attributes:
        counts: word (lower case) -> part of speech (UPOS) -> occurrences.
        examples: word -> the first captions with the word, at most `limit`.
        captions: number of captions counted.
        limit: examples kept per word.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    captions: int = 0
    limit: int = 3

    def add(self, caption: str, words: Iterable[TaggedWord]) -> None:
        """Count one tagged caption.

        Tokens with anything but letters and digits ("dog</b", "...") are left out: BERT cuts words
        there, so they could never be found in a caption again.
        """
        self.captions += 1
        for tagged in words:
            word = normal_form(tagged.text)
            if word.isalnum():
                self.counts.setdefault(word, Counter())[tagged.pos] += 1
                self._remember(word, [caption])

    def merge(self, other: "WordCounts") -> None:
        """Add the counts of captions that come after the ones counted here."""
        self.captions += other.captions
        for word, parts in other.counts.items():
            self.counts.setdefault(word, Counter()).update(parts)
        for word, captions in other.examples.items():
            self._remember(word, captions)

    def _remember(self, word: str, captions: Iterable[str]) -> None:
        kept = self.examples.setdefault(word, [])
        for caption in captions:
            if len(kept) < self.limit and caption not in kept:
                kept.append(caption)


def count_captions(
    captions: Iterable[str], *, examples: int = 3, workers: int | None = 1
) -> Iterator[WordCounts]:
    """Tag and count captions chunk by chunk, in their order, in constant memory.

    Only the counts travel between processes, not the tagged captions: that is what makes many
    workers worth while. The counts are the same for any number of them.

    Args:
        captions: texts; may be a generator, read only as fast as the results are taken.
        examples: example captions kept per word.
        workers: processes; 1 = this one, None = one per core where there are more than 8,000
            captions.

    Yields:
        The counts of the next `CHUNK` captions; merge them.

    Raises:
        UserError: a process was killed, or a script asks for some outside
            `if __name__ == "__main__":`.
    """
    stream = iter(captions)
    chunks = iter(lambda: list(islice(stream, CHUNK)), [])
    count = partial(count_chunk, examples=examples)
    if workers is None:
        first = list(islice(chunks, FEW + 1))
        chunks, workers = chain(first, chunks), available_cores() if len(first) > FEW else 1
    yield from map(count, chunks) if workers == 1 else _in_processes(count, chunks, workers)


def _in_processes(
    count: "partial[WordCounts]", chunks: Iterable[list[str]], workers: int
) -> Iterator[WordCounts]:
    check_main_guard("Counting words with several workers")
    # Fresh processes ("spawn"): a forked one inherits the threads of torch and may hang. Ctrl-C is
    # for the parent to answer.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    waiting: deque[Future[WordCounts]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(count, chunk))
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


def count_chunk(captions: list[str], examples: int) -> WordCounts:
    """Tag and count one list of captions in this process.

    Only words that BERT's tokenizer finds as a whole count. The tagger cuts other words too:
    "can't" into "ca" and "n't", "gonna" into "gon" and "na", which no caption holds.
    """
    normalizer, cutter = _bert()
    counts = WordCounts(limit=examples)
    texts = [normalizer.normalize_str(caption[:MAX_CHARACTERS]) for caption in captions]
    for caption, text, words in zip(captions, texts, tag_captions(texts), strict=True):
        cut = (span for _, span in cutter.pre_tokenize_str(text))
        whole = {(start, end) for start, end in cut if end - start <= LONGEST_WORD}
        counts.add(caption, [word for word in words if (word.start, word.end) in whole])
    return counts


@lru_cache(maxsize=1)
def _bert() -> "tuple[Normalizer, PreTokenizer]":
    """How BERT's tokenizer reads a text in lower case, and where it cuts words."""
    from tokenizers import normalizers, pre_tokenizers

    return normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
