"""The files of a significance table: our own JSON and the published code's parallel lists.

The published form has one list per column over a whole vocabulary: id, name, total_count,
verb_count, noun_count, adj_count, rank (0-based), and verb_percentage, noun_percentage,
adj_percentage: shares in [0, 1] of the kept parts of speech.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from snpkit.errors import UserError
from snpkit.fields import sentence_of
from snpkit.files import read_json, write_json

SCHEMA = "snpkit.significance"
NEVER_SEEN = 19084  # rank of a token that does not occur in the captions
PARTS = ("VERB", "NOUN", "ADJ")

Text = Annotated[str, Field(strict=True)]
Word = Annotated[str, Field(strict=True, min_length=1)]
Count = Annotated[int, Field(strict=True, ge=0)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]


@dataclass(frozen=True)
class WordEntry:
    """What the table knows of one word.

    Attributes:
        word: lower case, without accents.
        rank: 0 = most frequent.
        count: occurrences as a kept part of speech (see `SignificanceTable.from_counts`).
        parts: kept part of speech (UPOS) -> occurrences.
        examples: captions with the word.
    """

    word: Word
    rank: Count
    count: Count
    parts: Annotated[Mapping[str, Annotated[Count, Field(gt=0)]], Field(min_length=1)]
    examples: tuple[Text, ...] = ()

    @property
    def shares(self) -> dict[str, float]:
        """Kept part of speech -> its share of the word, the largest first; they sum to 1."""
        total = sum(self.parts.values())
        ordered = sorted(self.parts.items(), key=lambda item: (-item[1], item[0]))
        return {part: count / total for part, count in ordered}


class TableFile(BaseModel):
    """Our own form; `words` in any order."""

    version: Literal[1]
    top_k: Count
    settings: dict[str, Any]
    words: list[WordEntry]


class PublishedFile(BaseModel):
    """The published code's form: one item per token of a vocabulary in each list."""

    id: list[Count]
    name: list[Word]
    total_count: list[Count]
    verb_count: list[Count]
    noun_count: list[Count]
    adj_count: list[Count]
    rank: list[Count]
    verb_percentage: list[Share]
    noun_percentage: list[Share]
    adj_percentage: list[Share]


Table = tuple[dict[str, WordEntry], int | None, dict[str, Any]]


def read_table(path: str | Path) -> Table:
    """Read a table in either form: its entries in the order of rank, top K and settings.

    The published form holds no top K (None); its ranks are kept (equal counts share one).

    Raises:
        UserError: no such file, of another version, or damaged; names file and place.
    """
    value = read_json(path)
    ours = isinstance(value, dict) and value.get("schema") == SCHEMA
    if not ours and (not isinstance(value, dict) or "total_count" not in value):
        raise UserError(f"{path} is not a significance table; make one with `snpkit mine`.")
    try:
        if not ours:
            entries = _published_entries(path, PublishedFile.model_validate(value))
            return _in_order(path, entries), None, {"source": "reference"}
        table = TableFile.model_validate(value)
    except ValidationError as error:
        found = sentence_of(error, (), "the table")
        raise UserError(f"{path} is damaged or of another version: {found}.") from error
    return _in_order(path, table.words), table.top_k, table.settings


def write_table(
    path: str | Path, entries: Mapping[str, WordEntry], top_k: int, settings: Mapping[str, Any]
) -> None:
    """Write a table in our own form, atomically."""
    head = {"schema": SCHEMA, "version": 1, "top_k": top_k, "settings": settings}
    write_json(path, {**head, "words": [vars(entry) for entry in entries.values()]})


def write_published(
    path: str | Path,
    entries: Mapping[str, WordEntry],
    vocabulary: Mapping[str, int] | Sequence[str],
) -> None:
    """Write the published code's form for a vocabulary (token -> id, or tokens in order).

    Tokens without an entry get the rank NEVER_SEEN. Verbs, nouns and adjectives only: the form has
    no room for other parts of speech or examples.
    """
    names = list(vocabulary)
    if isinstance(vocabulary, Mapping):
        names.sort(key=vocabulary.__getitem__)
    never = max(NEVER_SEEN, 1 + max((e.rank for e in entries.values()), default=0))
    rows = []
    for index, name in enumerate(names):
        entry = entries.get(name)
        parts = [entry.parts.get(part, 0) if entry else 0 for part in PARTS]
        total = sum(parts)
        seen = (entry.count, entry.rank) if entry and total else (0, never)
        shares = [count / total if total else 0.0 for count in parts]
        rows.append((index, name, seen[0], *parts, seen[1], *shares))
    columns = zip(*rows, strict=True) if rows else [()] * len(PublishedFile.model_fields)
    lists = dict(zip(PublishedFile.model_fields, columns, strict=True))
    write_json(path, lists, indent=None)


def _published_entries(path: str | Path, lists: PublishedFile) -> list[WordEntry]:
    columns = dict(lists)
    if len({len(column) for column in columns.values()}) != 1:
        raise UserError(f"{path}: the lists {', '.join(columns)} must be equally long.")
    counts = zip(lists.verb_count, lists.noun_count, lists.adj_count, strict=True)
    rows = zip(lists.name, lists.rank, lists.total_count, counts, strict=True)
    return [
        WordEntry(word, rank, total, {p: n for p, n in zip(PARTS, found, strict=True) if n})
        for word, rank, total, found in rows
        if total
    ]


def _in_order(path: str | Path, entries: list[WordEntry]) -> dict[str, WordEntry]:
    ordered = sorted(entries, key=lambda entry: (entry.rank, entry.word))
    table = {entry.word: entry for entry in ordered}
    if len(table) != len(ordered):
        raise UserError(f"{path} is damaged: a word occurs twice.")
    return table
