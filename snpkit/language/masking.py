"""Which tokens to hide: MLM and MSSM (significant words first).

All functions work on the whole batch at once, take a torch.Generator and leave their inputs as
they are. Source: paper, Masked Significant Semantic Modeling. One rule differs on purpose: a word
is masked with all its pieces (`unit="word"`), because a lone visible piece gives the word away.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from snpkit.language.tokenizer import CaptionBatch

if TYPE_CHECKING:
    from transformers import BertTokenizer

    from snpkit.language.significance import SignificanceTable

IGNORE = -100  # label of a token that is not predicted (cross-entropy's ignore_index)
Unit = Literal["word", "token"]


class Masked(NamedTuple):
    """A batch with hidden tokens.

    Attributes:
        input_ids: int64 [batch, tokens], with replacements at the chosen positions.
        labels: int64 [batch, tokens], the true id at the chosen positions, else -100.
    """

    input_ids: Tensor
    labels: Tensor


@dataclass(frozen=True)
class MaskVocabulary:
    """The token ids that masking writes.

    Attributes:
        mask_id: id of [MASK].
        word_token_ids: int64 [n], real tokens (no special, no [unused]): replacements for MLM.
        significant_token_ids: int64 [m], tokens that are significant words: replacements for MSSM.
        same_lemma: share, in [0, 1], of the words that MSSM replaces which become another form of
            themselves ("run" -> "runs") where there is one, and not another significant word.
        forms: int64 [vocabulary, most], the tokens that are other forms of each, then -1.
    """

    mask_id: int
    word_token_ids: Tensor
    significant_token_ids: Tensor
    same_lemma: float = 0.0
    forms: Tensor | None = None

    def __post_init__(self) -> None:
        # Sorted, each id once: `_another` draws evenly and searches them.
        for name in ("word_token_ids", "significant_token_ids"):
            object.__setattr__(self, name, torch.unique(getattr(self, name).long()))

    @classmethod
    def build(
        cls,
        tokenizer: "BertTokenizer",
        table: "SignificanceTable | None" = None,
        *,
        same_lemma: float = 0.0,
    ) -> "MaskVocabulary":
        """Collect them; without significant words in the vocabulary MSSM takes any real token."""
        special = set(tokenizer.all_special_tokens)
        real = {
            token: index
            for token, index in tokenizer.get_vocab().items()
            if token not in special and not token.startswith("[unused")
        }
        significant = {
            t: i for t, i in real.items() if table is not None and table.is_significant(t)
        }
        return cls(
            mask_id=tokenizer.mask_token_id,
            word_token_ids=torch.tensor(list(real.values())),
            significant_token_ids=torch.tensor(list((significant or real).values())),
            same_lemma=same_lemma,
            forms=_forms(significant, table, len(tokenizer)) if same_lemma and table else None,
        )


def _forms(tokens: dict[str, int], table: "SignificanceTable", vocabulary: int) -> Tensor:
    """int64 [vocabulary, most]: the tokens of the same lemma and part of speech, then -1."""
    from snpkit.language.tagging import lemmas_of

    pairs = [(token, part) for token in tokens for part in table.parts_of(token)]
    families: dict[tuple[str, str], set[int]] = defaultdict(set)
    for (token, part), lemma in zip(pairs, lemmas_of(pairs), strict=True):
        families[lemma, part].add(tokens[token])
    others: list[set[int]] = [set() for _ in range(vocabulary)]
    for family in families.values():
        for token in family:
            others[token] |= family - {token}
    rows = [torch.tensor([*sorted(forms), -1]) for forms in others]
    return pad_sequence(rows, batch_first=True, padding_value=-1)


class _Units(NamedTuple):
    """Words (or tokens) of a batch, numbered densely per caption; unit axis as long as tokens."""

    of_token: Tensor  # int64 [batch, tokens] unit of each token; 0 where `real` is False
    real: Tensor  # bool [batch, tokens] token belongs to a word
    size: Tensor  # int64 [batch, units] tokens of the unit; 0 = no such unit


def quota(word_tokens: Tensor, ratio: float = 0.15) -> Tensor:
    """How many tokens to mask: floor(n * ratio), one more from a fraction of 0.3 on, at least 1.

    Args:
        word_tokens: int64 [...], tokens of each caption that belong to words.

    Returns:
        int64 [...]; 0 where a caption has no word token.
    """
    # 22 x 0.15 is 3.3, but a hair less in binary: a hair is added back before it is judged.
    wanted = word_tokens.double() * ratio + 1e-9
    rounded = wanted.floor() + (wanted.frac() >= 0.3)
    return torch.minimum(rounded.clamp(min=1).long(), word_tokens)


def mask_tokens(
    batch: CaptionBatch,
    vocabulary: MaskVocabulary,
    *,
    ratio: float = 0.15,
    generator: torch.Generator | None = None,
    unit: Unit = "token",
) -> Masked:
    """MLM: mask `quota` tokens of each caption, drawn evenly; 80 % [MASK], 10 % other, 10 % same.

    Args:
        unit: "token" as BERT does, or "word" to take words with all their pieces.
    """
    nothing = torch.zeros_like(batch.word_ids, dtype=torch.bool)
    return _mask(batch, nothing, vocabulary, vocabulary.word_token_ids, ratio, generator, unit)


def mask_significant(
    batch: CaptionBatch,
    significant: Tensor,
    vocabulary: MaskVocabulary,
    *,
    ratio: float = 0.15,
    generator: torch.Generator | None = None,
    unit: Unit = "word",
) -> Masked:
    """MSSM: mask `quota` tokens of each caption, significant words first.

    Words are taken in random order, the significant ones before all others, until the quota of
    tokens is reached; the last word may overshoot it with its pieces. Of the chosen words 80 %
    become [MASK], 10 % other significant words (a token for each piece), 10 % stay.

    Args:
        significant: bool [batch, tokens], from `significance_of` with the same `unit`.
        vocabulary: what may be written; with its `same_lemma`, other forms of the word too.
        unit: "word", or "token" for the reference's way of choosing single tokens.
    """
    candidates, forms = vocabulary.significant_token_ids, vocabulary.forms
    return _mask(batch, significant, vocabulary, candidates, ratio, generator, unit, forms)


def draw_significant_positions(
    batch: CaptionBatch,
    significant: Tensor,
    words: int = 3,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw words for Local Vision-Word Matching: significant ones first, none twice.

    Args:
        significant: bool [batch, tokens], from `significance_of`.

    Returns:
        int64 [batch, words], position of the first piece of each drawn word; -1 = no word left.
    """
    units = _units(batch.word_ids, "word")
    order = _order(units, significant, generator)
    tokens = batch.word_ids.shape[1]
    place = torch.arange(tokens, device=order.device).expand_as(units.of_token)
    first = torch.full_like(units.size, tokens).scatter_reduce(
        1, units.of_token, place.masked_fill(~units.real, tokens), "amin"
    )  # [batch, units]
    drawn = first.gather(1, order)[:, :words]
    drawn = drawn.masked_fill(drawn == tokens, -1)
    return torch.nn.functional.pad(drawn, (0, words - drawn.shape[1]), value=-1)


def _units(word_ids: Tensor, unit: Unit) -> _Units:
    real = word_ids >= 0
    before = torch.nn.functional.pad(word_ids[:, :-1], (1, 0), value=-1)
    starts = real if unit == "token" else real & (word_ids != before)
    of_token = (starts.cumsum(dim=1) - 1).masked_fill(~real, 0)
    size = torch.zeros_like(word_ids).scatter_add(1, of_token, real.long())
    return _Units(of_token, real, size)


def _order(units: _Units, significant: Tensor, generator: torch.Generator | None) -> Tensor:
    """int64 [batch, units]: significant units shuffled, other units shuffled, then no units."""
    flags = torch.zeros_like(units.size).scatter_reduce(
        1, units.of_token, (significant & units.real).long(), "amax"
    )
    group = torch.where(units.size == 0, 2, 1 - flags)
    return (_rand(group, generator) + group).argsort(dim=1)


def _choose(units: _Units, order: Tensor, ratio: float) -> Tensor:
    """bool [batch, units]: take units in order until the quota of tokens is reached."""
    size = units.size.gather(1, order)
    taken_before = size.cumsum(dim=1) - size
    take = (taken_before < quota(size.sum(dim=1), ratio)[:, None]) & (size > 0)
    return torch.zeros_like(take).scatter(1, order, take)


def _mask(
    batch: CaptionBatch,
    first: Tensor,
    vocabulary: MaskVocabulary,
    candidates: Tensor,
    ratio: float,
    generator: torch.Generator | None,
    unit: Unit,
    forms: Tensor | None = None,
) -> Masked:
    """Of the chosen units 80 % [MASK], 10 % another token of `candidates`, 10 % unchanged.

    Args:
        first: bool [batch, tokens], the tokens whose units are chosen before all others.
    """
    ids, units = batch.input_ids, _units(batch.word_ids, unit)
    chosen = _choose(units, _order(units, first, generator), ratio)
    hidden = chosen.gather(1, units.of_token) & units.real
    fate = _rand(chosen, generator).gather(1, units.of_token)  # [batch, tokens], same in a unit
    other, known = _another(ids, candidates.to(ids.device), generator)
    if forms is not None:
        form, there = _another_form(ids, forms.to(ids.device), generator)
        # Not of a piece: "play" before "##ing" is no word of its own.
        there &= units.size.gather(1, units.of_token) == 1
        there &= _rand(ids, generator) < vocabulary.same_lemma
        other, known = torch.where(there, form, other), known | there
    swap = hidden & (fate >= 0.8) & (fate < 0.9)
    # Without any other candidate the token is masked instead.
    masked = (hidden & (fate < 0.8)) | (swap & ~known)
    replaced = torch.where(swap, other, ids).masked_fill(masked, vocabulary.mask_id)
    return Masked(replaced, ids.masked_fill(~hidden, IGNORE))


def _another(
    input_ids: Tensor, candidates: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """A random candidate other than the token itself, and whether there is one."""
    if not len(candidates):
        return input_ids, torch.zeros_like(input_ids, dtype=torch.bool)
    # Candidates are sorted: draw from those that remain and step over the token's own place.
    place = torch.searchsorted(candidates, input_ids)
    own = candidates[place.clamp(max=len(candidates) - 1)] == input_ids
    remaining = len(candidates) - own.long()
    draw = (_rand(input_ids, generator) * remaining).long()
    draw = draw + (own & (draw >= place))
    return candidates[draw.clamp(max=len(candidates) - 1)], remaining > 0


def _another_form(
    input_ids: Tensor, forms: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """A random other form of each token, and whether there is one."""
    own = forms[input_ids]  # [batch, tokens, most]
    count = (own >= 0).sum(-1)
    draw = (_rand(input_ids, generator) * count).long()
    return own.gather(-1, draw[..., None]).squeeze(-1), count > 0


def _rand(like: Tensor, generator: torch.Generator | None) -> Tensor:
    # float64: a float32 draw times a vocabulary of 30000 could round up to the vocabulary's size.
    device = generator.device if generator is not None else like.device
    draws = torch.rand(like.shape, generator=generator, device=device, dtype=torch.float64)
    return draws.to(like.device)
