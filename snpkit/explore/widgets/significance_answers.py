"""What the SignificanceExplorer asks of a model and a table; answers that cost time are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from snpkit.errors import UserError
from snpkit.evaluation.encoding import encode_one, evaluating, to_model
from snpkit.explore.explanation import Explanation, read_caption
from snpkit.explore.significance import (
    Kind,
    attention_significance,
    corpus_significance,
    score_name,
    scores_with,
)
from snpkit.language.masking import IGNORE, MaskVocabulary, mask_significant, mask_tokens
from snpkit.language.significance import SignificanceTable, significance_of
from snpkit.language.tokenizer import CaptionBatch

if TYPE_CHECKING:
    from snpkit.explore.protocols import TrainedModel
    from snpkit.model.video import VideoFeatures

MASK = "[MASK]"


@dataclass(frozen=True)
class Reading:
    """A caption as the model reads it.

    Attributes:
        words: as they were written; spans: where each stands in the caption.
        left_out: words after the last token that is read.
    """

    caption: str
    batch: CaptionBatch
    words: list[str]
    spans: list[tuple[int, int]]
    left_out: list[str]

    def with_words(self, places: Sequence[int], text: str) -> str:
        """The caption with `text` in the place of some of its words."""
        changed = self.caption
        for place in sorted(places, reverse=True):
            start, end = self.spans[place]
            changed = changed[:start] + text + changed[end:]
        return changed


@dataclass(frozen=True)
class Clip:
    """A video as the model reads it: uint8 [clips, frames, 3, height, width], and encoded."""

    frames: Tensor
    features: "VideoFeatures"


class Answers:
    """Questions about captions and clips.

    Args:
        pipeline: None = table and tokenizer alone: corpus significance and masks.
        table: whose significance; None = the pipeline's, which may have none.
        tokenizer: None = the pipeline's; without one, one is trained on the table's words.
    """

    def __init__(
        self,
        pipeline: "TrainedModel | None",
        table: SignificanceTable | None = None,
        tokenizer: Any = None,
    ) -> None:
        self.pipeline = pipeline
        self.table = table if table is not None or pipeline is None else pipeline.table
        if tokenizer is None and pipeline is not None:
            tokenizer = pipeline.tokenizer
        self.tokenizer = _words_only(self.table) if tokenizer is None else tokenizer
        # Bounded: an afternoon of typing must not fill the memory.
        self.read = lru_cache(maxsize=64)(self._read)
        self.clip = lru_cache(maxsize=8)(self._clip)
        self.explanation = lru_cache(maxsize=32)(self._explanation)
        self.score = lru_cache(maxsize=256)(self._score)
        self._at = lru_cache(maxsize=16)(self._table_and_vocabulary)

    def table_at(self, top_k: int) -> SignificanceTable | None:
        """The table with another number of significant words."""
        return self._at(top_k)[0]

    def kind(self, name: str, caption: str, clip: str, top_k: int) -> Kind:
        """One kind of significance; "corpus" counts with `top_k`, the others as explain() does."""
        reading = self.read(caption)
        if name == "corpus":
            return corpus_significance(reading.batch.words[0], self.table_at(top_k))
        if name == "attention":
            with evaluating(self._model()):
                return attention_significance(self._model(), reading.batch)
        return self.explanation(caption, clip).kind(name)

    def masks(
        self, caption: str, *, top_k: int, ratio: float, seed: int
    ) -> dict[str, list[str | None]]:
        """One draw of MLM and one of MSSM, of the same seed.

        Returns:
            "MLM" and "MSSM" -> per word None where it stays as it was and is not asked for, else
            what stands in its place: "[MASK]", other text, or the word itself.
        """
        batch = self.read(caption).batch
        table, vocabulary = self._at(top_k)
        significant = (
            torch.zeros_like(batch.word_ids, dtype=torch.bool)
            if table is None
            else significance_of(batch, table)
        )
        options = {"ratio": ratio, "unit": "word"}
        plain = mask_tokens(batch, vocabulary, generator=_generator(seed), **options)
        strong = mask_significant(
            batch, significant, vocabulary, generator=_generator(seed), **options
        )
        return {
            name: self._drawn(batch, *masked) for name, masked in (("MLM", plain), ("MSSM", strong))
        }

    def _drawn(self, batch: CaptionBatch, ids: Tensor, labels: Tensor) -> list[str | None]:
        drawn: list[str | None] = []
        for place, word in enumerate(batch.words[0]):
            own = batch.word_ids[0] == place
            if (labels[0, own] == IGNORE).all():
                drawn.append(None)
            elif torch.equal(ids[0, own], batch.input_ids[0, own]):
                drawn.append(word)
            else:
                pieces = self.tokenizer.convert_ids_to_tokens(ids[0, own].tolist())
                text = "".join(piece.removeprefix("##") for piece in pieces)
                drawn.append(MASK if set(pieces) == {MASK} else text)
        return drawn

    def _score(self, caption: str, clip: str, hidden: tuple[int, ...] = ()) -> float:
        """Matching score of caption and clip, some words replaced by [MASK]."""
        model, batch = self._model(), self.read(caption).batch
        own = torch.isin(batch.word_ids, torch.tensor(hidden, dtype=torch.int64))
        ids = to_model(model, batch.input_ids.masked_fill(own, self.tokenizer.mask_token_id))
        mask, seen = to_model(model, batch.attention_mask), self.clip(clip).features
        with evaluating(model):
            return float(scores_with(model, ids, mask, seen))

    @property
    def score_name(self) -> str:
        """What `score` is called."""
        return score_name(self._model()).capitalize()

    def _read(self, caption: str) -> Reading:
        if not caption.strip():
            raise UserError("The caption is empty; write at least one word.")
        # Bytes that are no text reach a program as lone surrogates, which no tokenizer takes.
        caption = caption.encode("utf-8", "replace").decode()
        try:
            batch, spans, left_out = read_caption(self.tokenizer, caption)
        except UserError as error:
            raise UserError(
                f"The caption {caption[:60]!r} holds no word; write at least one."
            ) from error
        words = [caption[start:end] for start, end in spans]
        return Reading(caption, batch, words, spans, left_out)

    def _clip(self, path: str) -> Clip:
        model = self._model()
        frames, mask = self.pipeline.frames_of(Path(path))
        with evaluating(model):
            return Clip(frames, encode_one(model, frames, mask))

    def _explanation(self, caption: str, clip: str) -> Explanation:
        self._model()
        return self.pipeline.explain(caption, clip)

    def _model(self) -> Any:
        if self.pipeline is None:
            raise UserError("This needs a model; make the explorer with a pipeline.")
        return self.pipeline.model

    def _table_and_vocabulary(self, top_k: int) -> tuple[SignificanceTable | None, MaskVocabulary]:
        table = None if self.table is None else replace(self.table, top_k=top_k)
        return table, MaskVocabulary.build(self.tokenizer, table)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _words_only(table: SignificanceTable | None) -> Any:
    from snpkit.language.tokenizer import train_tokenizer

    if table is None or not len(table):
        raise UserError("Without a pipeline the explorer needs a significance table with words.")
    texts = [text for entry in table.entries.values() for text in (entry.word, *entry.examples)]
    return train_tokenizer(texts, 3 * len(table) + 2000)
