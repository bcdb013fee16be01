"""Exercises of notebook 03: which words matter, which are hidden, how they meet clips."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from snpkit.language.counting import WordCounts
from snpkit.language.masking import quota
from snpkit.language.significance import SignificanceTable

from . import Exercise, called

_TOKENS = range(1, 21)  # lengths of captions that are tried
_COUNTS = (
    {"NOUN": 60, "VERB": 30, "ADV": 10},
    {"NOUN": 75, "VERB": 25},  # exactly a quarter stays
    {"ADP": 76, "ADJ": 24},  # most of it is a preposition: nothing stays
    {"NOUN": 20, "VERB": 20, "ADP": 60},
    {"ADJ": 90, "PROPN": 10, "VERB": 1},
)
_RANKED = {"sea": 3, "pink": 9, "ball": 5, "kite": 3, "drum": 5, "moth": 1}
_WORD_IDS = torch.tensor([-1, 0, 1, 1, 1, 2, 3, 3, -1, -1])  # [CLS] ... [SEP] [PAD]


def _quota(answer: Any) -> str | None:
    for tokens in _TOKENS:
        found, true = called(answer, tokens), int(quota(torch.tensor(tokens)))
        if found != true:
            return (
                f"of {tokens} tokens you hide {found}, but {true} is right "
                f"({tokens} x 0.15 = {tokens * 0.15:.2f})."
            )
    return None


def _kept_parts(answer: Any) -> str | None:
    for counts in _COUNTS:
        found = called(answer, dict(counts))
        table = SignificanceTable.from_counts(WordCounts({"word": Counter(counts)}))
        entry = table.entry("word")
        true = dict(entry.parts) if entry else {}
        if not isinstance(found, dict):
            return f"a dict such as {true} was asked for, not {type(found).__name__}."
        if found != true:
            wrong = sorted(set(found) ^ set(true)) or sorted(found)
            return (
                f"of {counts} you keep {found}; look at {', '.join(wrong)}: a part stays if it is "
                "VERB, NOUN or ADJ and has at least 25 % of all occurrences."
            )
    return None


def _rank_words(answer: Any) -> str | None:
    found = called(answer, dict(_RANKED))
    true = sorted(_RANKED, key=lambda word: (-_RANKED[word], word))
    if not isinstance(found, list | tuple) or sorted(map(str, found)) != sorted(_RANKED):
        return f"the answer must list each of the words {', '.join(_RANKED)} once."
    for place, (mine, right) in enumerate(zip(found, true, strict=True)):
        if mine != right:
            return (
                f"rank {place} goes to {right!r} ({_RANKED[right]} times), not to {mine!r} "
                f"({_RANKED[mine]}); the most frequent comes first, ties go by the alphabet."
            )
    return None


def _whole_words(answer: Any) -> str | None:
    for words in ([1], [0, 2], [3, 0], []):
        found = called(answer, _WORD_IDS.clone(), list(words))
        true = torch.isin(_WORD_IDS, torch.tensor(words, dtype=torch.long))
        found = torch.as_tensor(found)
        if found.shape != true.shape or found.dtype != torch.bool:
            shape = list(found.shape)
            return f"a bool tensor {list(true.shape)} was asked for, not {found.dtype} {shape}."
        if wrong := (found != true).nonzero().flatten().tolist():
            return (
                f"for the words {words} of {_WORD_IDS.tolist()} position {wrong[0]} is "
                f"{found[wrong[0]].item()}, but its word is number {_WORD_IDS[wrong[0]].item()}."
            )
    return None


def _no_hit(answer: Any) -> str | None:
    if not isinstance(answer, int | float):
        return f"a number between 0 and 1 was asked for, not {type(answer).__name__}."
    true = math.comb(4, 2) / math.comb(9, 2)
    if math.isclose(answer, true, abs_tol=0.005):
        return None
    if math.isclose(answer, (4 / 9) ** 2, abs_tol=0.005):
        return f"{answer:.3f} draws the same token twice; the second draw has 8 tokens left."
    if math.isclose(answer, 1 - true, abs_tol=0.005):
        return f"{answer:.3f} is the chance of at least one hit; we ask for none."
    return f"{answer:.3f} is not it: the first draw misses in 4 of 9 cases, and the second?"


def _word_score(answer: Any) -> str | None:
    generator = torch.Generator().manual_seed(0)
    words = torch.randn(3, 8, generator=generator)  # [word, hidden]
    clips = torch.randn(2, 8, generator=generator)  # [clip, hidden]
    found = torch.as_tensor(called(answer, words, clips))
    dots = clips @ words.T  # [clip, word]
    if found.shape != (2,):
        return f"the scores must be of shape [clip] = [2], yours are {list(found.shape)}."
    if torch.allclose(found.float(), dots.logsumexp(1), atol=1e-5):
        return None
    for name, other in _RIVALS.items():
        if torch.allclose(found.float(), other(dots), atol=1e-5):
            return f"this is the {name} of the dot products; LVWM takes the log-sum-exp over words."
    return (
        f"the first clip scores {dots.logsumexp(1)[0]:.3f}, yours {float(found[0]):.3f}; "
        "take the dot products first, then the log-sum-exp over the words."
    )


_RIVALS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda dots: dots.mean(1),
    "maximum": lambda dots: dots.amax(1),
    "sum": lambda dots: dots.sum(1),
    "sum of exponentials (the log is missing)": lambda dots: dots.exp().sum(1),
}

EXERCISES = (
    Exercise(
        name="quota",
        hint="return how many of `tokens` word tokens are hidden; begin with tokens * 0.15.",
        judge=_quota,
        praise="Rounding up from 0.3 on and at least one: short captions give more than 15 %.",
        mistakes=(
            lambda n: round(n * 0.15),
            lambda n: int(n * 0.15),
            lambda n: max(1, int(n * 0.15)),
            lambda n: math.ceil(n * 0.15),
        ),
    ),
    Exercise(
        name="kept_parts",
        hint="return the dict of the parts of speech that stay, with their counts.",
        judge=_kept_parts,
        praise="A part of speech under a quarter is more often the tagger's slip than a meaning.",
        mistakes=(
            dict,
            lambda counts: {p: n for p, n in counts.items() if n >= 0.25 * sum(counts.values())},
            lambda counts: {
                p: n
                for p, n in counts.items()
                if p in ("VERB", "NOUN", "ADJ") and n > 0.25 * sum(counts.values())
            },
            lambda counts: list(counts),
        ),
    ),
    Exercise(
        name="rank_words",
        hint="return the words as a list, the most frequent first; sorted() takes a key.",
        judge=_rank_words,
        praise="With ties by the alphabet the same captions always give the same table.",
        mistakes=(
            sorted,
            lambda counts: sorted(counts, key=counts.get),
            lambda counts: sorted(counts, key=counts.get, reverse=True),
            lambda counts: ["pink"],
        ),
    ),
    Exercise(
        name="whole_words",
        hint="return a bool tensor as long as `word_ids`, True on every piece of the words.",
        judge=_whole_words,
        praise="All pieces go together: one visible piece would give the word away.",
        mistakes=(
            lambda ids, words: torch.isin(torch.arange(len(ids)), torch.tensor(words).long()),
            lambda ids, words: (
                torch.isin(ids, torch.tensor(words).long())
                & (ids != torch.cat([torch.tensor([-2]), ids[:-1]]))
            ),
            lambda ids, words: torch.isin(ids, torch.tensor(words).long()).long(),
            lambda ids, words: torch.isin(ids, torch.tensor([*words, -1])),
        ),
    ),
    Exercise(
        name="no_hit",
        hint="of 9 tokens 5 are significant; draw 2 without putting back: how likely is no hit?",
        judge=_no_hit,
        praise="One caption in six teaches MLM no word of meaning; MSSM always draws one.",
        mistakes=((4 / 9) ** 2, 5 / 6, 4 / 9, "1/6"),
    ),
    Exercise(
        name="word_score",
        hint="return one score per clip: words [word, hidden] and clips [clip, hidden] -> [clip].",
        judge=_word_score,
        praise="Log-sum-exp is a soft maximum: one word that fits well is enough for a high score.",
        mistakes=(
            lambda words, clips: (clips @ words.T).mean(1),
            lambda words, clips: (clips @ words.T).amax(1),
            lambda words, clips: (clips @ words.T).logsumexp(0),
            lambda words, clips: (clips @ words.T).exp().sum(1),
            lambda words, clips: clips @ words.mean(0),
            lambda words, clips: (clips @ words.T).logsumexp(1) / 2,
        ),
    ),
)
