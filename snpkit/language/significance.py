"""Significant words: the verbs, nouns and adjectives that occur most often in the captions.

Source: paper, Significant Semantic Strengthening. A table is mined once from the training captions
and then steers masking (MSSM) and word matching (LVWM).
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from snpkit.errors import UserError
from snpkit.language import table_files
from snpkit.language.counting import WordCounts, count_captions, normal_form
from snpkit.language.table_files import PARTS, WordEntry
from snpkit.language.tokenizer import CaptionBatch

if TYPE_CHECKING:
    from transformers import BertTokenizer

STOP_WORDS = frozenset({"be", "is", "are", "was", "were"})


@dataclass
class SignificanceTable:
    """Words ranked by how often they carry meaning; the first `top_k` are significant.

    Attributes:
        entries: word -> entry, in the order of rank.
        top_k: number of significant words.
        settings: how it was mined (shares, parts, stop words, captions), for the record.
    """

    entries: dict[str, WordEntry]
    top_k: int = 3000
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def mine(
        cls, captions: Iterable[str], *, examples: int = 3, **options: Any
    ) -> "SignificanceTable":
        """Tag and count the captions, which may be a generator, then rank their words.

        Args:
            examples: example captions kept per word.
            **options: see `from_counts`.
        """
        counts = WordCounts(limit=examples)
        for chunk in count_captions(captions, examples=examples):
            counts.merge(chunk)
        return cls.from_counts(counts, **options)

    @classmethod
    def from_counts(
        cls,
        counts: WordCounts,
        *,
        top_k: int = 3000,
        min_share: float = 0.25,
        stop_words: Collection[str] = STOP_WORDS,
        vocabulary: Collection[str] | None = None,
        parts: Sequence[str] = PARTS,
        share_of: Literal["all", "parts"] = "all",
        count_dropped: bool = False,
    ) -> "SignificanceTable":
        """Rank counted words.

        A part of speech with less than `min_share` of a word's occurrences is dropped; what is
        left is the word's count, and a word of which nothing is left is out. Words are ranked by
        count, ties alphabetically. That is how the paper puts it; the published code takes its
        shares of `parts` alone, and lets what is dropped stay in the count. For its tables set
        `share_of="parts", count_dropped=True`.

        Args:
            counts: words per part of speech.
            top_k: number of significant words.
            min_share: in [0, 1].
            stop_words: words never ranked; one-letter words never are either.
            vocabulary: if given, only words in it (a tokenizer's `get_vocab()` serves).
            parts: parts of speech that carry meaning (UPOS; also NUM, PROPN).
            share_of: the occurrences that a share refers to: "all" of the word, also as a
                preposition or the like, or those as one of `parts` (the published code's way).
            count_dropped: a word's count, by which it is ranked, is that of all its `parts`, the
                dropped ones too (the published code's way).
        """
        _check_settings(top_k, min_share, parts, share_of)
        stop = {normal_form(word) for word in stop_words}
        allowed = None if vocabulary is None else set(vocabulary)
        kept: dict[str, tuple[int, dict[str, int]]] = {}
        for word, found in counts.counts.items():
            if len(word) < 2 or word in stop or (allowed is not None and word not in allowed):
                continue
            of_parts = sum(found[part] for part in parts)
            base = found.total() if share_of == "all" else of_parts
            chosen = {p: found[p] for p in parts if found[p] and found[p] >= min_share * base}
            if chosen:
                kept[word] = of_parts if count_dropped else sum(chosen.values()), chosen
        order = sorted(kept, key=lambda word: (-kept[word][0], word))
        entries = {
            word: WordEntry(word, rank, *kept[word], tuple(counts.examples.get(word, ())))
            for rank, word in enumerate(order)
        }
        settings = {
            "min_share": min_share,
            "share_of": share_of,
            "parts": list(parts),
            "stop_words": sorted(stop),
            "captions": counts.captions,
        }
        if count_dropped:
            settings["count_dropped"] = True
        return cls(entries, top_k, settings)

    def entry(self, word: str) -> WordEntry | None:
        """All that is known of a word, None if it is not in the table; capitals do not matter."""
        return self.entries.get(word) or self.entries.get(normal_form(word))

    def rank(self, word: str) -> int | None:
        """Rank of the word, 0 = most frequent; None if it is not in the table."""
        entry = self.entry(word)
        return None if entry is None else entry.rank

    def is_significant(self, word: str) -> bool:
        """Whether the word is one of the top K."""
        rank = self.rank(word)
        return rank is not None and rank < self.top_k

    def parts_of(self, word: str) -> dict[str, float]:
        """Kept parts of speech of the word with their shares (sum 1); empty if not in the table."""
        entry = self.entry(word)
        return {} if entry is None else entry.shares

    @property
    def significant_words(self) -> list[str]:
        """The significant words in the order of rank."""
        return [word for word, entry in self.entries.items() if entry.rank < self.top_k]

    def kinds_of(self, captions: Iterable[str]) -> np.ndarray:
        """Captions that share their two commonest significant words are of one kind: int64 [n].

        In a batch of captions of one kind these words tell nothing apart: the others have to.
        """
        numbers: dict[tuple[str, ...], int] = {}
        kinds = []
        for caption in captions:
            words = {normal_form(word) for word in re.findall(r"[\w'-]+", caption)}
            known = sorted((rank, word) for word in words if (rank := self.rank(word)) is not None)
            kinds.append(numbers.setdefault(tuple(word for _, word in known[:2]), len(numbers)))
        return np.array(kinds)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self.entry(word) is not None

    def save(self, path: str | Path) -> None:
        """Write the table as JSON, atomically."""
        table_files.write_table(path, self.entries, self.top_k, self.settings)

    @classmethod
    def load(cls, path: str | Path, *, top_k: int = 3000) -> "SignificanceTable":
        """Read a table that `save` wrote, or the published code's file.

        Args:
            top_k: of the published form, which holds none; its ranks are kept (equal counts share
                one). Our own form says how many words are significant.

        Raises:
            UserError: no such file, of another version, or damaged; names file and place.
        """
        entries, own, settings = table_files.read_table(path)
        return cls(entries, top_k if own is None else own, settings)

    read_reference = load

    def write_reference(
        self, path: str | Path, tokenizer_vocabulary: Mapping[str, int] | Sequence[str]
    ) -> None:
        """Write the published code's form for a vocabulary (token -> id, or tokens in order)."""
        table_files.write_published(path, self.entries, tokenizer_vocabulary)


def significance_of(
    batch: CaptionBatch,
    table: SignificanceTable,
    *,
    unit: Literal["word", "token"] = "word",
    tokenizer: "BertTokenizer | None" = None,
) -> Tensor:
    """Which tokens of a batch belong to significant words.

    Args:
        unit: "word": every piece of a significant word; "token": each WordPiece token is looked up
            by itself, as the reference does (needs `tokenizer`).

    Returns:
        bool [batch, tokens].
    """
    if unit == "token":
        if tokenizer is None:
            raise UserError("significance_of(unit='token') needs the tokenizer.")
        flags = torch.zeros(len(tokenizer), dtype=torch.bool)
        for token, index in tokenizer.get_vocab().items():
            entry = table.entries.get(token)
            flags[index] = entry is not None and entry.rank < table.top_k
        return flags.to(batch.word_ids.device)[batch.input_ids] & (batch.word_ids >= 0)
    longest = max((len(words) for words in batch.words), default=0)
    # One column more, always False: the place of special tokens and padding (word id -1).
    flags = torch.tensor(
        [
            [table.is_significant(word) for word in words] + [False] * (longest + 1 - len(words))
            for words in batch.words
        ]
    ).to(batch.word_ids.device)
    return flags.gather(1, batch.word_ids.where(batch.word_ids >= 0, longest))


@dataclass(frozen=True)
class TableComparison:
    """How the significant words of one table differ from another's.

    Attributes:
        entered: significant only in the second table, by its rank.
        left: significant only in the first table, by its rank.
        moved: word -> (rank before, rank after), the largest moves first.
        kept: number of words significant in both.
    """

    entered: list[str]
    left: list[str]
    moved: dict[str, tuple[int, int]]
    kept: int


def compare(before: SignificanceTable, after: SignificanceTable) -> TableComparison:
    """Which significant words entered, left or moved from one table to the other."""
    first = {word: before.entries[word].rank for word in before.significant_words}
    second = {word: after.entries[word].rank for word in after.significant_words}
    both = [word for word in first if word in second]
    moved = sorted(
        (word for word in both if first[word] != second[word]),
        key=lambda word: (-abs(first[word] - second[word]), word),
    )
    return TableComparison(
        entered=[word for word in second if word not in first],
        left=[word for word in first if word not in second],
        moved={word: (first[word], second[word]) for word in moved},
        kept=len(both),
    )


def _check_settings(top_k: int, min_share: float, parts: Sequence[str], share_of: str) -> None:
    known = ("VERB", "NOUN", "ADJ", "NUM", "PROPN", "ADV")
    unknown = not parts or set(parts) - set(known)
    rules = (
        (top_k >= 0, f"top_k is {top_k}; it must not be negative."),
        (0 <= min_share <= 1, f"min_share is {min_share}; it must lie between 0 and 1."),
        (not unknown, f"parts is {list(parts)}; choose from {', '.join(known)}."),
        (share_of in ("all", "parts"), f"share_of is {share_of!r}; choose 'all' or 'parts'."),
    )
    for holds, sentence in rules:
        if not holds:
            raise UserError(sentence)
