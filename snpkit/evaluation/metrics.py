"""Retrieval metrics with one stated rule for ties, and accuracy.

The rank of a query's true item counts from 1 (best). Items with equal scores share the mean of the
places they fill: a model that gives every item the same score ranks the truth in the middle, not
first. With several true items the best placed one counts; under ties its rank is the mean over all
orders of the tied items, which for one true item is again the mean rank.

R@K is the share of queries, in percent, whose rank is at most K.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snpkit.errors import UserError

RECALLS = (1, 5, 10)
Truth = Tensor | np.ndarray | Sequence[int] | Sequence[Sequence[bool]] | None
_ROWS = 256  # queries ranked at a time: the comparison masks stay small beside the scores


def rank_of_truth(scores: Tensor | np.ndarray, truth: Truth = None) -> Tensor:
    """Rank the true item of every query.

    Args:
        scores: [queries, items], higher is better; infinities are allowed, NaN is not.
        truth: what is true for each query. None: item i for query i. [queries] integers: one item
            each. bool [queries, items]: several true items.

    Returns:
        float64 [queries], ranks from 1 to `items`; halves and other fractions come from ties.

    Raises:
        UserError: NaN scores, a query without a true item, or shapes that do not fit.
    """
    scores = torch.as_tensor(scores).detach().cpu()
    scores = scores if scores.is_floating_point() else scores.double()
    if scores.ndim != 2 or 0 in scores.shape:
        raise UserError(f"Scores must be [queries, items], not of shape {tuple(scores.shape)}.")
    is_true, ranks = truth_mask(truth, *scores.shape), []
    for start in range(0, len(scores), _ROWS):
        rows = scores[start : start + _ROWS]
        if rows.isnan().any():
            row, column = rows.isnan().nonzero()[0].tolist()
            raise UserError(
                f"The score of query {start + row}, item {column} is not a number (NaN); "
                "ranks would be meaningless: look for a diverged model."
            )
        ranks.append(_rank_rows(rows, is_true[start : start + _ROWS]))
    return torch.cat(ranks)


def _rank_rows(scores: Tensor, is_true: Tensor) -> Tensor:
    best = scores.masked_fill(~is_true, -torch.inf).amax(dim=1, keepdim=True)
    above = (scores > best).sum(dim=1)
    tied = scores == best
    # The first of t true items among m tied ones stands, over all orders, at (m + 1) / (t + 1).
    place = (tied.sum(dim=1) + 1).double() / ((tied & is_true).sum(dim=1) + 1)
    return above + place


def truth_mask(truth: Truth, queries: int, items: int) -> Tensor:
    """Write any form of `truth` (see `rank_of_truth`) as bool [queries, items].

    Raises:
        UserError: an item out of range, a query without a true item, or a wrong number of queries.
    """
    if truth is None:
        if queries != items:
            raise UserError(
                f"{queries} queries and {items} items do not pair up: say which item is true."
            )
        return torch.eye(queries, dtype=torch.bool)
    try:
        mask = torch.as_tensor(truth).cpu()
    except (TypeError, ValueError):  # lists of unequal length, or of what is no number
        mask = torch.empty(0)
    numbers = not mask.is_floating_point() and mask.dtype != torch.bool
    if numbers and mask.shape == (queries,):
        if mask.min() < 0 or mask.max() >= items:
            raise UserError(f"The truth names an item outside 0..{items - 1}.")
        return mask[:, None] == torch.arange(items)
    if mask.dtype != torch.bool or mask.shape != (queries, items):
        raise UserError(
            f"The truth must be the number of one item for each of the {queries} queries, or a "
            f"matrix of booleans of shape ({queries}, {items})."
        )
    if not bool(mask.any(dim=1).all()):
        query = int((~mask.any(dim=1)).nonzero()[0])
        raise UserError(f"Query {query} has no true item; leave it out of the evaluation.")
    return mask


def summarise_ranks(ranks: Tensor | np.ndarray | Sequence[float]) -> dict[str, float]:
    """Sum up ranks [queries] as {"r1", "r5", "r10"} in percent, "median_rank" and "mean_rank"."""
    ranks = np.asarray(ranks, dtype=np.float64)
    if not ranks.size:
        raise UserError("There is no query to evaluate.")
    summary = {f"r{k}": 100.0 * float(np.mean(ranks <= k)) for k in RECALLS}
    return summary | {
        "median_rank": float(np.median(ranks)),
        "mean_rank": float(np.mean(ranks)),
    }


def retrieval_metrics(scores: Tensor | np.ndarray, truth: Truth = None) -> dict[str, float]:
    """R@1, R@5, R@10 (percent), median and mean rank of `scores` [queries, items].

    Arguments and errors are those of `rank_of_truth`.
    """
    return summarise_ranks(rank_of_truth(scores, truth))


def chance_metrics(items: int, true_items: int | Sequence[int] = 1) -> dict[str, float]:
    """What a model that orders `items` at random reaches on average, in the same form.

    Args:
        items: size of the gallery.
        true_items: how many items are true, for all queries or for each one.
    """
    counts = np.atleast_1d(np.asarray(true_items, dtype=np.int64))
    if items < 1 or counts.min() < 1 or counts.max() > items:
        raise UserError(f"Each query needs between 1 and {items} true items.")
    distinct, queries = np.unique(counts, return_counts=True)
    share = queries / queries.sum()
    # missed[t, k]: all true items miss the first k + 1 places. The draw after k others hits one of
    # `true` among the `items - k` that are left.
    left = items - np.arange(items)
    missed = np.cumprod(np.maximum(1 - distinct[:, None] / left, 0), axis=1)
    within = 1 - share @ missed  # [items] share of queries with a rank of at most k + 1
    # As numpy's median of an even number of values: the mean of the two in the middle.
    middle = np.searchsorted(within, (0.5 - 1e-12, 0.5 + 1e-12)) + 1
    return {f"r{k}": 100.0 * float(within[min(k, items) - 1]) for k in RECALLS} | {
        "median_rank": float(middle.mean()),
        "mean_rank": float(np.sum(share * (items + 1) / (distinct + 1))),
    }


def both_directions(
    scores: Tensor, truth: Truth = None, *, backward: Tensor | None = None
) -> dict[str, dict[str, float]]:
    """Metrics of scores [texts, videos] as {"text_to_video": ..., "video_to_text": ...}.

    Args:
        scores: [texts, videos]; several texts may share a video.
        truth: the video(s) of each text, as in `rank_of_truth`.
        backward: [videos, texts] scores of the other direction, if they are not the transpose.
    """
    mask = truth_mask(truth, *scores.shape)
    backward = scores.T if backward is None else backward
    return {
        "text_to_video": retrieval_metrics(scores, mask),
        "video_to_text": retrieval_metrics(backward, mask.T),
    }


def accuracy(predicted: Sequence[Any], true: Sequence[Any]) -> float:
    """Share of predictions that equal the truth, in percent; [samples] each.

    Raises:
        UserError: nothing to compare, or lists of different length.
    """
    if not len(true) or len(predicted) != len(true):
        raise UserError(f"Accuracy compares {len(true)} truths with {len(predicted)} predictions.")
    return 100 * sum(bool(p == t) for p, t in zip(predicted, true, strict=True)) / len(true)
