"""Search a folder of videos with sentences: the folder is encoded once for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snpkit.errors import UserError
from snpkit.evaluation.encoding import encode_texts
from snpkit.evaluation.index import FolderIndex, encode_folder
from snpkit.evaluation.retrieval import best_places, cross_scores, matching_scores

__all__ = ["FolderIndex", "Hit", "encode_folder", "search"]


@dataclass(frozen=True)
class Hit:
    """One video found for a sentence."""

    path: Path
    score: float  # the one that orders the hits: of re-ranking, or matching without it
    matching: float


def search(
    model: nn.Module,
    tokenizer: Any,
    texts: Sequence[str],
    index: FolderIndex,
    *,
    top_k: int = 5,
    candidates: int = 20,
    matching_weight: float = 1.0,
    batch_size: int = 256,
) -> list[list[Hit]]:
    """The videos that match each sentence best.

    Args:
        index: what `encode_folder` gave.
        top_k: hits per sentence, best first; fewer if the folder holds fewer.
        candidates: best matches that the cross-modal pass reads again; 0 = no re-ranking.
        matching_weight: score of a candidate = cross-modal + weight * matching score.
        batch_size: pairs of one cross-modal pass.

    Raises:
        UserError: no sentence or an empty one, top_k below 1 or candidates below 0.
    """
    if top_k < 1 or candidates < 0:
        raise UserError(
            f"top_k is {top_k} and candidates is {candidates}; search for at least 1 video, with 0 "
            "(no re-ranking) or more candidates."
        )
    # Bytes that are no text reach a program as lone surrogates, which no tokenizer takes.
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    encoded = encode_texts(model, tokenizer, texts)
    scores = matching_scores(model, encoded, index.videos)
    order = best_places(scores, min(max(top_k, candidates), len(index.names)))
    matching = scores.gather(1, order)
    final = matching
    if candidates:
        pairs = (torch.arange(len(texts)).repeat_interleave(order.shape[1]), order.flatten())
        final = cross_scores(model, encoded, index.videos, *pairs, batch_size=batch_size)
        final = final.view(order.shape) + matching_weight * matching
    places = final.argsort(dim=1, descending=True, stable=True)[:, :top_k]
    columns = (order.gather(1, places), final.gather(1, places), matching.gather(1, places))
    return [
        [Hit(index.root / index.names[v], s, m) for v, s, m in zip(*row, strict=True)]
        for row in zip(*(column.tolist() for column in columns), strict=True)
    ]
