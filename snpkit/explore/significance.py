"""Four kinds of significance of the words of a caption, each in [0, 1] with its raw value.

* corpus: how often the word carries meaning in the training captions (no video needed);
* attention: how much the caption's own words attend to it in the text pass (no video needed);
* match: what its contextual vector adds to Local Vision-Word Matching;
* counterfactual: what the cross-modal matching score loses without it.

The last two compare the caption with itself after the word has been exchanged, because a plain
similarity says little of a single word: contextual vectors carry the whole sentence, and with LVWM
every word of a fitting caption comes to match its video. Measured on held-out generated clips,
content words exceed function words by plain similarity in half of the captions, as chance would
have it, and by the difference from exchanged words in more than nine of ten.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from snpkit.evaluation.encoding import to_model
from snpkit.explore.word_strip import word_share
from snpkit.language.significance import SignificanceTable
from snpkit.language.tokenizer import CaptionBatch

if TYPE_CHECKING:
    from snpkit.explore.substitution import Substitution
    from snpkit.model.pretraining import SNPForPreTraining
    from snpkit.model.video import VideoFeatures

KINDS = ("corpus", "attention", "match", "counterfactual")


@dataclass(frozen=True)
class Kind:
    """One kind of significance of the words of a caption.

    Attributes:
        name: one of KINDS.
        rule: what the raw value is and how it becomes a number in [0, 1].
        raw: float [words]; None = there is none (a word that the table does not rank).
        values: float [words] in [0, 1], never falling as the raw value rises ("corpus": as the
            rank falls).
        detail: further numbers, float [words, ...], by name.
    """

    name: str
    rule: str
    raw: list[float | None]
    values: list[float]
    detail: dict[str, Tensor] = field(default_factory=dict)


def corpus_significance(words: Sequence[str], table: SignificanceTable | None) -> Kind:
    """Rank of each word in a significance table; takes any words and no model."""
    rule = (
        "The word's rank among the significant words of the training captions, 1 = most frequent. "
        "Value: 1 - log(rank) / log(K + 1) for K significant words; 0 = not significant."
    )
    if table is None:
        return Kind("corpus", "The checkpoint has no significance table.", [None] * len(words),
                    [0.0] * len(words))  # fmt: skip
    ranks = [table.rank(word) for word in words]
    values = [0.0 if rank is None else word_share(rank, table.top_k) for rank in ranks]
    return Kind("corpus", rule, [None if r is None else r + 1.0 for r in ranks], values)


def attention_significance(model: "SNPForPreTraining", batch: CaptionBatch) -> Kind:
    """Attention that each word of one caption receives in the text pass (as attentive masking)."""
    from snpkit.model.shared import attention_received

    ids, mask = to_model(model, batch.input_ids), to_model(model, batch.attention_mask)
    received = attention_received(model.network.bert, ids, mask)[0].float().cpu()  # [tokens]
    word_ids = batch.word_ids[0].cpu()
    raw = torch.zeros(len(batch.words[0])).index_add(
        0, word_ids[word_ids >= 0], received[word_ids >= 0]
    )
    rule = (
        "Attention that the word receives in the text pass: summed over layers, querying tokens "
        "and the word's pieces, averaged over heads. Value: its share of the caption's largest."
    )
    return Kind("attention", rule, raw.tolist(), (raw / raw.max()).tolist())


def match_significance(similarity: Tensor, others: Tensor, *, guessed: bool = True) -> Kind:
    """What each word adds to Local Vision-Word Matching.

    Args:
        similarity: [words, clips] LVWM score (scaled dot product) of the word's contextual vector
            with each clip feature; others: the same, of what else could stand in its place.
        guessed: False = nothing but [MASK] stood in its place.
    """
    gain = similarity - others
    instead = "the mean similarity of the words that could stand" if guessed else "that of [MASK]"
    rule = (
        f"LVWM similarity of the word with each clip, minus {instead} in its place; averaged over "
        f"clips. {_RELATIVE}"
    )
    detail = {"similarity": similarity, "gain": gain}
    raw = gain.mean(1)
    return Kind("match", rule, raw.tolist(), relative_values(raw), detail)


def counterfactual_significance(
    score: Tensor, others: Tensor, masked: Tensor, what: str, *, guessed: bool = True
) -> Kind:
    """What the matching score of caption and video loses without each word.

    Args:
        score: [] of the caption; others: [words], mean over what else could stand in the word's
            place; masked: [words], with [MASK] there.
        what: name of the score.
        guessed: False = nothing but [MASK] stood in its place.
    """
    filled = " and the gap filled with what else could stand there (mean over the guesses)"
    rule = f"Drop of the {what} when the word is masked{filled if guessed else ''}. {_RELATIVE}"
    raw = score - others
    detail = {"mask_drop": score - masked}
    return Kind("counterfactual", rule, raw.tolist(), relative_values(raw), detail)


_RELATIVE = "Value: its share of the caption's largest (of 1, if all are smaller); 0 if negative."


def relative_values(raw: Tensor) -> list[float]:
    """max(0, raw) / max(1, largest raw): [words] -> [0, 1].

    The 1 is one unit of a logit: where no word matters, noise is not blown up to the full scale.
    """
    return (raw.clamp(min=0) / raw.max().clamp(min=1)).tolist()


@torch.no_grad()
def word_vectors(model: "SNPForPreTraining", swap: "Substitution") -> tuple[Tensor, Tensor]:
    """Vectors that LVWM compares with clips: of each word, and the mean of its substitutes.

    LVWM takes a word's first piece, and so does this.

    Returns:
        Two of float [words, hidden], scaled as in training.
    """
    if model.config.lvwm_stage == "before":
        tokens = model.network.embed_text(swap.input_ids)
    else:
        tokens = model.encode_text(swap.input_ids, swap.attention_mask).tokens
    tokens = tokens.float() * model.scale("words")
    changed = tokens[torch.arange(1, len(tokens), device=tokens.device), swap.positions]
    return tokens[0, swap.first], swap.per_word(changed)[1]


@torch.no_grad()
def matching_scores(
    model: "SNPForPreTraining", swap: "Substitution", video: "VideoFeatures"
) -> tuple[Tensor, Tensor, Tensor, str]:
    """Score of the caption [], of its substitutes [words], with [MASK] [words], and its name."""
    scores = scores_with(model, swap.input_ids, swap.attention_mask, video).float().cpu()
    masked, others = swap.per_word(scores[1:])
    return scores[0], others, masked, score_name(model)


def scores_with(
    model: "SNPForPreTraining", input_ids: Tensor, attention_mask: Tensor, video: "VideoFeatures"
) -> Tensor:
    """Score of captions [rows, tokens] with one video: [rows].

    It is the cross-modal score; a twin tower, which has none, gives its text-video score.
    """
    if model.config.architecture == "twin_tower":
        pooled = model.encode_text(input_ids, attention_mask).pooled
        return model.match(pooled, video.clip_features)[:, 0]
    clips = video.clip_tokens.expand(len(input_ids), -1, -1)
    return model.cross_match(input_ids, attention_mask, clips)


def score_name(model: "SNPForPreTraining") -> str:
    """What `scores_with` gives."""
    twin = model.config.architecture == "twin_tower"
    return f"{'text-video' if twin else 'cross-modal'} matching score"


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Rank correlation of two lists; equal values share the mean of their ranks.

    Returns:
        -1 to 1; None where it is not defined: fewer than two words, or a list of one value.
    """
    if len(one) != len(other):
        raise ValueError(f"Two lists of {len(one)} and {len(other)} numbers cannot be compared.")
    if len(one) < 2:
        return None
    first, second = _centred_ranks(one), _centred_ranks(other)
    spread = first.norm() * second.norm()
    return float((first @ second / spread).clamp(-1, 1)) if spread else None


def _centred_ranks(numbers: Sequence[float]) -> Tensor:
    values = torch.tensor(list(numbers), dtype=torch.float64)
    below = (values[:, None] > values).sum(1).double()
    equal = (values[:, None] == values).sum(1).double()
    return below + (equal + 1) / 2 - (len(values) + 1) / 2


def agreement(kinds: Sequence[Kind]) -> dict[tuple[str, str], float | None]:
    """Spearman agreement of the values of every two kinds, in the order of `kinds`."""
    return {
        (one.name, other.name): spearman(one.values, other.values)
        for one, other in combinations(kinds, 2)
    }
