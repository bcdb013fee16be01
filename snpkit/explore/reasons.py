"""Why a search found a clip: what each word of the sentence adds to that clip's score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from snpkit.errors import UserError
from snpkit.evaluation.encoding import evaluating, to_model
from snpkit.explore.explanation import read_caption
from snpkit.explore.substitution import Substitution, exchange_words

if TYPE_CHECKING:
    from snpkit.evaluation.search import FolderIndex
    from snpkit.explore.protocols import TrainedModel
    from snpkit.model.pretraining import SNPForPreTraining

MATCHING_WEIGHT = 1.0  # of the matching score in a re-ranked score; as `search` has it


@dataclass(frozen=True)
class Reasons:
    """What the words of a sentence add to the score of one clip.

    Attributes:
        words: the words that the model reads, as they were written.
        gains: [words] the clip's score minus its mean score when something else that could stand
            there takes the word's place. Above 0 the word raises the score, below it lowers it.
        score: of the whole sentence; the very score that orders the hits of a search.
    """

    words: list[str]
    gains: list[float]
    score: float

    def raising(self, most: int = 3, least: float = 0.5) -> list[tuple[str, float]]:
        """The words that raise the score by more than `least` logits, the strongest first."""
        pairs = sorted(zip(self.words, self.gains, strict=True), key=lambda pair: -pair[1])
        return [pair for pair in pairs if pair[1] > least][:most]


def reasons(
    pipeline: "TrainedModel",
    sentence: str,
    index: "FolderIndex",
    columns: Sequence[int],
    *,
    reranked: bool = True,
    guesses: int = 8,
    matching_weight: float = MATCHING_WEIGHT,
) -> list[Reasons]:
    """What each word of a sentence adds to the scores of some clips of an index.

    Args:
        sentence: any text with a word in it.
        columns: the clips, by their places in `index.names`.
        reranked: explain the score after re-ranking (cross-modal + weight * matching score), not
            the matching score; a twin tower has the latter only.
        guesses: words that take each word's place in turn; 0 = [MASK] alone.

    Returns:
        One for each of `columns`.

    Raises:
        UserError: no word in the sentence, or no such clip.
    """
    if wrong := [column for column in columns if not 0 <= column < len(index.names)]:
        raise UserError(f"There is no clip {wrong[0]}; the index holds {len(index.names)} clips.")
    model = pipeline.model
    reranked = reranked and model.config.architecture != "twin_tower"
    batch, spans, _ = read_caption(pipeline.tokenizer, sentence)
    words = [sentence[start:end] for start, end in spans]
    clips = to_model(model, index.videos.clip_features[list(columns)])  # [videos, clips, hidden]
    with evaluating(model):
        swap = exchange_words(model, pipeline.tokenizer, batch, pipeline.table, guesses)
        pooled = model.encode_text(swap.input_ids, swap.attention_mask).pooled
        scores = model.match(pooled, clips).T  # [videos, rows]
        if reranked:
            tokens = to_model(model, index.videos.clip_tokens[list(columns)])
            scores = matching_weight * scores + _cross_modal(model, swap, tokens)
    found = []
    for row in scores.float().cpu():
        gains = row[0] - swap.per_word(row[1:])[1]
        found.append(Reasons(words, gains.tolist(), row[0].item()))
    return found


def _cross_modal(model: "SNPForPreTraining", swap: Substitution, clips: Tensor) -> Tensor:
    """Cross-modal score of every clip with every row: clips [videos, clips, hidden] ->
    [videos, rows]."""
    rows = len(swap.input_ids)
    each = [
        model.cross_match(swap.input_ids, swap.attention_mask, tokens.expand(rows, -1, -1))
        for tokens in clips
    ]
    return torch.stack(each) if each else clips.new_empty(0, rows)
