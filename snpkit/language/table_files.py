"""The files of a significance table: our own JSON and the published code's parallel lists.

The published form has one list per column over a whole vocabulary: id, name, total_count,
verb_count, noun_count, adj_count, rank (0-based), and verb_percentage, noun_percentage,
adj_percentage: shares in [0, 1] of the kept parts of speech.
"""

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snpkit.errors import UserError
from snpkit.files import read_json, write_json

SCHEMA = "snpkit.significance"
VERSION = 1
NEVER_SEEN = 19084  # rank of a token that does not occur in the captions
_PARTS = {"VERB": "verb", "NOUN": "noun", "ADJ": "adj"}
_COUNTS = ("total_count", "verb_count", "noun_count", "adj_count", "rank")
_SHARES = ("verb_percentage", "noun_percentage", "adj_percentage")
_KEYS = ("id", "name", *_COUNTS, *_SHARES)


@dataclass(frozen=True)
class WordEntry:
    """What the table knows of one word.

    Attributes:
        word: lower case, without accents.
        rank: 0 = most frequent.
        count: occurrences as a kept part of speech.
        parts: kept part of speech (UPOS) -> occurrences.
        examples: captions with the word.
    """

    word: str
    rank: int
    count: int
    parts: Mapping[str, int]
    examples: tuple[str, ...] = ()

    @property
    def shares(self) -> dict[str, float]:
        """Kept part of speech -> its share of the word, the largest first; they sum to 1."""
        total = sum(self.parts.values())
        ordered = sorted(self.parts.items(), key=lambda item: (-item[1], item[0]))
        return {part: count / total for part, count in ordered}


def write_table(
    path: str | Path, entries: Mapping[str, WordEntry], top_k: int, settings: Mapping[str, Any]
) -> None:
    """Write a table as JSON, atomically."""
    words = [
        {
            "word": entry.word,
            "rank": entry.rank,
            "count": entry.count,
            "parts": dict(entry.parts),
            "examples": list(entry.examples),
        }
        for entry in entries.values()
    ]
    head = {"schema": SCHEMA, "version": VERSION, "top_k": top_k, "settings": dict(settings)}
    write_json(path, {**head, "words": words})


def read_table(path: str | Path) -> tuple[dict[str, WordEntry], int, dict[str, Any]]:
    """Read what `write_table` wrote: entries in the order of rank, top K, settings.

    Raises:
        UserError: not such a file, of another version, or damaged; names file and word.
    """
    value = read_json(path)
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise UserError(
            f"{path} is not a significance table; make one with `snpkit mine`, or read the "
            "reference's file with SignificanceTable.read_reference."
        )
    if value.get("version") != VERSION:
        shown = reprlib.repr(value.get("version"))
        raise UserError(
            f"{path} has version {shown} of the significance table, this "
            f"program reads version {VERSION}; update snpkit or mine the table anew."
        )
    words, top_k, settings = (value.get(key) for key in ("words", "top_k", "settings"))
    if not isinstance(words, list) or not _is_count(top_k) or not isinstance(settings, dict):
        raise UserError(f"{path} is damaged: words, top_k or settings are missing or wrong.")
    entries = [_read_entry(path, index, item) for index, item in enumerate(words)]
    return _in_order(path, entries), top_k, settings


def read_reference(path: str | Path) -> dict[str, WordEntry]:
    """Read the published code's file: parallel lists over a whole vocabulary.

    The words that were seen come with the file's own ranks (0-based; equal counts share one).

    Raises:
        UserError: a list is missing, shorter than the others or holds a wrong value.
    """
    lists = _checked(path, read_json(path))
    entries = []
    for index, name in enumerate(lists["name"]):
        if lists["total_count"][index] == 0:
            continue
        parts = {part: lists[f"{key}_count"][index] for part, key in _PARTS.items()}
        parts = {part: count for part, count in parts.items() if count}
        count = lists["total_count"][index]
        entries.append(WordEntry(name, lists["rank"][index], count, parts))
    return _in_order(path, entries)


def write_reference(
    path: str | Path,
    entries: Mapping[str, WordEntry],
    vocabulary: Mapping[str, int] | Sequence[str],
) -> None:
    """Write the published code's file for a vocabulary (token -> id, or tokens in order).

    Tokens without an entry get the rank NEVER_SEEN. Verbs, nouns and adjectives only: the form has
    no room for other parts of speech or examples.
    """
    names = list(vocabulary)
    if isinstance(vocabulary, Mapping):
        names.sort(key=vocabulary.__getitem__)
    lists: dict[str, list[Any]] = {key: [] for key in _KEYS}
    never = max(NEVER_SEEN, 1 + max((e.rank for e in entries.values()), default=0))
    for index, name in enumerate(names):
        entry = entries.get(name)
        parts = {} if entry is None else {p: entry.parts.get(p, 0) for p in _PARTS}
        total = sum(parts.values())
        seen = entry is not None and total > 0
        lists["id"].append(index)
        lists["name"].append(name)
        lists["total_count"].append(entry.count if seen else 0)
        lists["rank"].append(entry.rank if seen else never)
        for part, key in _PARTS.items():
            count = parts[part] if seen else 0
            lists[f"{key}_count"].append(count)
            lists[f"{key}_percentage"].append(count / total if seen else 0.0)
    write_json(path, lists, indent=None)


def _checked(path: str | Path, value: Any) -> dict[str, list[Any]]:
    missing = [key for key in _KEYS if not isinstance(value, dict) or key not in value]
    if missing:
        raise UserError(f"{path} is not the reference's significance file: no {missing[0]!r} list.")
    lengths = {len(value[key]) if isinstance(value[key], list) else -1 for key in _KEYS}
    if len(lengths) != 1 or -1 in lengths:
        raise UserError(f"{path}: the lists {', '.join(_KEYS)} must be equally long.")
    for key in _KEYS:
        for index, item in enumerate(value[key]):
            if not _fits(key, item):
                raise UserError(f"{path}: {key} number {index} is wrong: {str(item)[:40]!r}.")
    return value


def _fits(key: str, item: Any) -> bool:
    if key == "name":
        return isinstance(item, str) and item != ""
    if key in _SHARES:
        return type(item) in (int, float) and 0 <= item <= 1
    return type(item) is int and item >= 0


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _read_entry(path: str | Path, index: int, item: Any) -> WordEntry:
    try:
        word, rank, count, parts = item["word"], item["rank"], item["count"], item["parts"]
        examples = tuple(item.get("examples", ()))
        right = isinstance(word, str) and word and _is_count(rank) and _is_count(count) and parts
        right = right and all(_is_count(n) and n > 0 for n in parts.values())
        right = right and all(isinstance(example, str) for example in examples)
    except (KeyError, TypeError, AttributeError):
        right = False
    if not right:
        raise UserError(f"{path} is damaged at word number {index}: {reprlib.repr(item)}.")
    return WordEntry(word, rank, count, parts, examples)


def _in_order(path: str | Path, entries: Iterable[WordEntry]) -> dict[str, WordEntry]:
    ordered = sorted(entries, key=lambda entry: (entry.rank, entry.word))
    table = {entry.word: entry for entry in ordered}
    if len(table) != len(ordered):
        raise UserError(f"{path} is damaged: a word occurs twice.")
    return table
