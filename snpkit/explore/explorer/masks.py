"""One draw of each way of masking a caption: MLM's random words, MSSM's significant ones."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from snpkit.explore.explanation import read_caption
from snpkit.language.masking import IGNORE, MaskVocabulary, mask_significant, mask_tokens
from snpkit.language.significance import SignificanceTable, significance_of

if TYPE_CHECKING:
    from transformers import BertTokenizer

    from snpkit.language.tokenizer import CaptionBatch

MASK = "[MASK]"


def table_at(table: SignificanceTable | None, top_k: int) -> SignificanceTable | None:
    """The table with another number of significant words."""
    return None if table is None else replace(table, top_k=top_k)


def draw_masks(
    tokenizer: "BertTokenizer",
    table: SignificanceTable | None,
    caption: str,
    *,
    ratio: float,
    seed: int,
) -> dict[str, list[str | None]]:
    """What MLM and MSSM (paper, sec. III-C) hide with one seed.

    Returns:
        "MLM" and "MSSM" -> per word None where it stays as it was and is not asked for, else what
        stands in its place: "[MASK]", other text, or the word itself.
    """
    batch, _, _ = read_caption(tokenizer, caption)
    significant = torch.zeros_like(batch.word_ids, dtype=torch.bool)
    if table is not None:
        significant = significance_of(batch, table)
    vocabulary = MaskVocabulary.build(tokenizer, table)

    def options() -> dict[str, object]:
        generator = torch.Generator().manual_seed(seed)
        return {"ratio": ratio, "unit": "word", "generator": generator}

    plain = mask_tokens(batch, vocabulary, **options())
    strong = mask_significant(batch, significant, vocabulary, **options())
    return {"MLM": _drawn(tokenizer, batch, *plain), "MSSM": _drawn(tokenizer, batch, *strong)}


def _drawn(
    tokenizer: "BertTokenizer", batch: "CaptionBatch", ids: Tensor, labels: Tensor
) -> list[str | None]:
    drawn: list[str | None] = []
    for place, word in enumerate(batch.words[0]):
        own = batch.word_ids[0] == place
        if (labels[0, own] == IGNORE).all():
            drawn.append(None)
        elif torch.equal(ids[0, own], batch.input_ids[0, own]):
            drawn.append(word)
        else:
            pieces = tokenizer.convert_ids_to_tokens(ids[0, own].tolist())
            text = "".join(piece.removeprefix("##") for piece in pieces)
            drawn.append(MASK if set(pieces) == {MASK} else text)
    return drawn
