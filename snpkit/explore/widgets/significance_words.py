"""The words of the SignificanceExplorer: what its strips show and what is told of each word."""

from collections.abc import Mapping, Sequence
from typing import Any

from snpkit.explore.significance import Kind
from snpkit.explore.widgets.significance_answers import MASK
from snpkit.language.significance import SignificanceTable

PART_NAMES = {
    "VERB": "verb", "NOUN": "noun", "ADJ": "adjective", "NUM": "number", "PROPN": "name",
    "ADV": "adverb",
}  # fmt: skip


def strip_tokens(
    words: Sequence[str],
    kinds: Sequence[Kind],
    table: SignificanceTable | None,
    top_k: int,
    guesses: Sequence[Sequence[str]] | None = None,
) -> list[dict[str, Any]]:
    """Tokens of a TokenStrip: per word its bars, one per kind, and what is known of it."""
    tokens = []
    for place, word in enumerate(words):
        bars = [{"value": kind.values[place], "text": f"{kind.values[place]:.2f}"}
                for kind in kinds]  # fmt: skip
        detail = word_facts(word, table, top_k)
        detail.append("; ".join(_measured(kind, place) for kind in kinds) + ".")
        if guesses and guesses[place]:
            detail.append(f"Compared with: {', '.join(guesses[place][:5])}.")
        tokens.append({"text": word, "bars": bars, "detail": detail})
    return tokens


def word_facts(word: str, table: SignificanceTable | None, top_k: int) -> list[str]:
    """What the table knows of a word, line by line: part of speech, rank, counts, examples."""
    entry = None if table is None else table.entry(word)
    if table is None:
        return [word, "The checkpoint has no significance table."]
    if entry is None:
        return [f"{word}: not in the table", "Not counted as a verb, noun or adjective."]
    shares = entry.shares.items()
    parts = ", ".join(f"{part_name(part)} {share:.0%}" for part, share in shares)
    counts = ", ".join(f"{count:,} times {part_name(part)}" for part, count in entry.parts.items())
    rank = f"rank {entry.rank + 1:,}"
    place = f"{rank} of the top {top_k:,}" if entry.rank < top_k else (
        f"{rank}, below the top {top_k:,}: not significant"
    )  # fmt: skip
    lines = [f"{word}: {parts}", f"{place[0].upper()}{place[1:]}; {counts}."]
    if entry.examples:
        lines.append("Captions: " + " · ".join(f"“{text}”" for text in entry.examples[:2]))
    return lines


def part_name(part: str) -> str:
    """A part of speech (UPOS) in a word."""
    return PART_NAMES.get(part, part.lower())


def _measured(kind: Kind, place: int) -> str:
    raw, value = kind.raw[place], kind.values[place]
    name = kind.name.capitalize()
    if raw is None:
        return f"{name} {value:.2f}"
    said = f"rank {raw:.0f}" if kind.name == "corpus" else f"raw value {minus(f'{raw + 0:.2f}')}"
    return f"{name} {value:.2f} ({said})"


def mask_tokens_shown(
    words: Sequence[str], drawn: Sequence[str | None], values: Sequence[float]
) -> list[dict[str, Any]]:
    """Tokens of a strip that shows one drawing of masks; significant words are tinted."""
    tokens = []
    for word, there, value in zip(words, drawn, values, strict=True):
        token: dict[str, Any] = {"text": word if there is None else there}
        if there is None:
            token |= {"look": "tinted"} if value > 0 else {}
        elif there == MASK:
            token |= {"look": "masked", "said": f"{word}, masked"}
        elif there == word.lower():
            token |= {"text": word, "look": "kept", "said": f"{word}, kept but asked for"}
        else:
            token |= {"look": "replaced", "said": f"{word}, replaced by {there}"}
        tokens.append(token)
    return tokens


def masks_in_words(words: Sequence[str], masks: Mapping[str, Sequence[str | None]]) -> list[str]:
    """One line per way of masking: the caption as the model would read it."""
    return [
        f"{name}: " + " ".join(w if d is None else d for w, d in zip(words, drawn, strict=True))
        for name, drawn in masks.items()
    ]


def agreement_in_words(one: str, other: str, value: float | None) -> str:
    """What a Spearman correlation says."""
    if value is None:
        return "Agreement is not defined: all values of one kind are equal."
    strength = next(
        said
        for least, said in (
            (0.7, "much the same order"),
            (0.3, "in part"),
            (-0.3, "hardly any"),
            (-1.1, "opposite orders"),
        )
        if value >= least
    )
    return f"Agreement of {one} and {other} {minus(f'{value:.2f}')} (Spearman): {strength}."


def minus(number: str) -> str:
    """A written number with a minus sign that is as wide as its plus."""
    return number.replace("-", "\N{MINUS SIGN}")
