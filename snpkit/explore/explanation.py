"""Explain one caption and one video: which words matter, in four ways, and where they look."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from snpkit.errors import UserError
from snpkit.evaluation.encoding import encode_one, evaluating
from snpkit.explore.protocols import TrainedModel
from snpkit.explore.relevance import Method, relevance_maps, upsample
from snpkit.explore.significance import (
    Kind,
    agreement,
    attention_significance,
    corpus_significance,
    counterfactual_significance,
    match_significance,
    matching_scores,
    word_vectors,
)
from snpkit.explore.substitution import Substitution, exchange_words
from snpkit.language.tokenizer import CaptionBatch, encode_captions, word_spans

if TYPE_CHECKING:
    from transformers import BertTokenizer

    from snpkit.language.significance import SignificanceTable
    from snpkit.model.video import VideoFeatures

MAX_TOKENS = 30  # of a caption, [CLS] and [SEP] included (paper, sec. IV)


@dataclass(frozen=True)
class Explanation:
    """What a model makes of a caption and a video.

    Attributes:
        caption: as it was given.
        words: its words that the model reads, as they were written.
        spans: per word where it starts and ends in the caption.
        left_out: its words that the model does not read, because they come after the last token.
        parts: per word its commonest part of speech in the table (UPOS); None = not in the table.
        kinds: the four kinds of significance, in the order of `significance.KINDS`.
        agreement: Spearman correlation of every two kinds; None = not defined.
        score: matching score of caption and video; `score_name` says which.
        score_name: the cross-modal score, or of a twin tower the text-video score.
        guesses: per word what else could stand in its place, the likeliest first.
        frames: uint8 [clips, frames, 3, height, width], as the model read them.
        relevance: float32 [words, clips, frames, grid_height, grid_width], higher is more relevant;
            a map can be compared over frames, not with another word's.
        method: how `relevance` was made, see `snpkit.explore.relevance`.
    """

    caption: str
    words: list[str]
    spans: list[tuple[int, int]]
    left_out: list[str]
    parts: list[str | None]
    kinds: list[Kind]
    agreement: dict[tuple[str, str], float | None]
    score: float
    score_name: str
    guesses: list[list[str]]
    frames: Tensor
    relevance: Tensor
    method: Method

    def kind(self, name: str) -> Kind:
        """The kind of significance of this name."""
        return next(kind for kind in self.kinds if kind.name == name)

    def values(self, kind: str) -> list[float]:
        """Significance of each word, in [0, 1], of the kind of this name."""
        return self.kind(kind).values

    def relevance_of(self, word: int) -> Tensor:
        """The map of a word over the frames, in [0, 1]: [clips, frames, height, width]."""
        maps = upsample(self.relevance[word], tuple(self.frames.shape[-2:]))
        maps = maps - maps.min()
        return maps / maps.max().clamp(min=torch.finfo(maps.dtype).tiny)

    def rows(self) -> list[dict[str, object]]:
        """One dict per word: word, part, and per kind its value and raw value (for tables, CSV)."""
        return [
            {"word": word, "part": self.parts[place]}
            | {
                key: number
                for kind in self.kinds
                for key, number in (
                    (kind.name, kind.values[place]), (f"{kind.name}_raw", kind.raw[place])
                )
            }
            for place, word in enumerate(self.words)
        ]  # fmt: skip


def explain(
    pipeline: TrainedModel,
    caption: str,
    video: "str | Path | Tensor",
    *,
    method: Method = "pixels",
    guesses: int = 8,
) -> Explanation:
    """Explain how a caption and a video match.

    Args:
        pipeline: what `snpkit.load` gave.
        caption: any text with a word in it.
        video: a file, or uint8 frames [clips, frames, 3, height, width] as `pipeline.read` gives.
        method: how the word -> patch maps are made.
        guesses: words that take each word's place in turn; 0 = [MASK] alone.

    Raises:
        UserError: no word in the caption, frames of another form, or guesses below 0; VideoError:
            the file cannot be read.
    """
    if guesses < 0:
        raise UserError(f"guesses is {guesses}; use 0 or more.")
    model = pipeline.model
    # Bytes that are no text reach a program as lone surrogates, which no tokenizer takes.
    caption = caption.encode("utf-8", "replace").decode()
    batch, spans, left_out = read_caption(pipeline.tokenizer, caption)
    frames, mask = pipeline.frames_of(video)
    with evaluating(model):
        seen = encode_one(model, frames, mask)
        swap = exchange_words(model, pipeline.tokenizer, batch, pipeline.table, guesses)
        own, others = word_vectors(model, swap)
        kinds, score, score_name = _kinds(pipeline, batch, swap, (own, others), seen)
    return Explanation(
        caption=caption,
        words=[caption[start:end] for start, end in spans],
        spans=spans,
        left_out=left_out,
        parts=_parts(batch.words[0], pipeline.table),
        kinds=kinds,
        agreement=agreement(kinds),
        score=score,
        score_name=score_name,
        guesses=swap.guesses,
        frames=frames,
        relevance=relevance_maps(model, own - others, frames, mask, method=method),
        method=method,
    )


def _kinds(
    pipeline: TrainedModel,
    batch: CaptionBatch,
    swap: Substitution,
    vectors: tuple[Tensor, Tensor],
    seen: "VideoFeatures",
) -> tuple[list[Kind], float, str]:
    """The four kinds, the score of caption and video, and the name of that score."""
    clips = seen.clip_features[0].float().T  # [hidden, clips]
    own, others = ((vector @ clips).cpu() for vector in vectors)  # [words, clips]
    score, *without, score_name = matching_scores(pipeline.model, swap, seen)
    guessed = bool(swap.guesses[0])
    kinds = [
        corpus_significance(batch.words[0], pipeline.table),
        attention_significance(pipeline.model, batch),
        match_significance(own, others, guessed=guessed),
        counterfactual_significance(score, *without, score_name, guessed=guessed),
    ]
    return kinds, float(score), score_name


def read_caption(
    tokenizer: "BertTokenizer", caption: str
) -> tuple[CaptionBatch, list[tuple[int, int]], list[str]]:
    """A caption as the model reads it, where its words stand, and the words that are left out.

    Raises:
        UserError: there is no word in the caption.
    """
    batch = encode_captions(tokenizer, [caption], MAX_TOKENS)
    spans = word_spans(tokenizer, caption)
    read = len(batch.words[0])
    return batch, spans[:read], [caption[start:end] for start, end in spans[read:]]


def _parts(words: Sequence[str], table: "SignificanceTable | None") -> list[str | None]:
    shares = ({} if table is None else table.parts_of(word) for word in words)
    return [next(iter(share), None) for share in shares]
