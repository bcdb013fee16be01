"""Text-to-video and video-to-text retrieval: encode once, score in chunks, re-rank the best.

Two scores are used, as in the paper (sec. III-C). The *matching* score compares a caption and a
video by dot products (GVTM of the encoders): cheap, so all pairs get one. The *cross-modal* score
reads caption and clip tokens together (cross-modal GVTM): expensive, so only the best K of each
query get one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snpkit.errors import UserError
from snpkit.evaluation.encoding import (
    EncodedTexts,
    EncodedVideos,
    clip_key,
    clip_of,
    encode_distinct,
    encode_texts,
    evaluating,
    to_model,
)
from snpkit.evaluation.metrics import both_directions, chance_metrics, rank_of_truth, truth_mask


@dataclass(frozen=True)
class Reranked:
    """Scores after re-ranking; each row holds its own candidates, so there are two matrices."""

    text_to_video: Tensor  # float32 [texts, videos]
    video_to_text: Tensor  # float32 [videos, texts]
    top_k: int  # candidates per query; the places from top_k on hold no real scores


def matching_scores(
    model: nn.Module, texts: EncodedTexts, videos: EncodedVideos, chunk: int = 1024
) -> Tensor:
    """Matching score of every caption with every video: float32 [texts, videos].

    The scores of `chunk` x `chunk` pairs are computed at a time (more videos for fewer captions),
    so that beside the result (400 MB for 10,000 x 10,000) only their products with the clips are
    held.
    """
    width = chunk * chunk // max(min(chunk, len(texts)), 1)
    with evaluating(model):
        if len(texts) <= chunk and len(videos) <= width:  # a query: nothing to put together
            pair = to_model(model, texts.pooled), to_model(model, videos.clip_features)
            return model.match(*pair).float().cpu()
        scores = torch.empty(len(texts), len(videos))
        for column in range(0, len(videos), width):
            clips = to_model(model, videos.clip_features[column : column + width])
            for row in range(0, len(texts), chunk):
                pooled = to_model(model, texts.pooled[row : row + chunk])
                block = model.match(pooled, clips)
                scores[row : row + chunk, column : column + width] = block.float().cpu()
    return scores


def best_places(scores: Tensor, count: int) -> Tensor:
    """Where the `count` highest of each row of [queries, videos] are, best first; of equal scores
    the first. As a stable sort would have it, without sorting all: int64 [queries, count].

    Raises:
        UserError: a score is not a number.
    """
    highest = scores.topk(count, dim=1).values  # of equal scores any may be among them
    if bool(highest.isnan().any()):
        raise UserError("A matching score is not a number (NaN): look for a diverged model.")
    places = []
    for row, least in zip(scores, highest[:, -1], strict=True):
        found = (row >= least).nonzero()[:, 0]
        places.append(found[row[found].argsort(descending=True, stable=True)[:count]])
    return torch.stack(places)


def dual_softmax(scores: Tensor) -> Tensor:
    """Sharpen scores [texts, videos] by a softmax over both of their directions, in logarithms.

    log softmax over videos + log softmax over texts = 2 s - logsumexp(row) - logsumexp(column): a
    video that every text likes is pushed down. It looks at ALL queries of the test at once, which
    a search engine cannot, so its results are reported under their own name.
    """
    # In blocks and in place: of the 10,000 x 10,000 scores there is one copy, the result.
    by_text = torch.cat([rows.logsumexp(dim=1) for rows in scores.split(1024)])
    by_video = torch.cat([columns.logsumexp(dim=0) for columns in scores.split(1024, dim=1)])
    return (2 * scores).sub_(by_text[:, None]).sub_(by_video)


def rerank(
    model: nn.Module,
    texts: EncodedTexts,
    videos: EncodedVideos,
    scores: Tensor,
    *,
    top_k: int = 10,
    batch_size: int = 256,
    matching_weight: float = 0.0,
) -> Reranked:
    """Order the `top_k` best matches of every text and of every video anew by the cross-modal pass.

    Args:
        scores: matching scores [texts, videos].
        matching_weight: final score of a candidate = cross-modal + weight * matching score.

    Returns:
        Scores whose order is final. Candidates carry their final score; all other items follow
        below them in the order of their matching scores (as whole steps, not as scores).
    """
    if top_k < 1:
        raise UserError(f"top_k must be at least 1, not {top_k}.")
    by_text, by_video = (best_places(s, min(top_k, s.shape[1])) for s in (scores, scores.T))
    # A pair may be a candidate of its text and of its video: each is scored once, by its number.
    text_pairs = torch.arange(len(texts))[:, None] * len(videos) + by_text
    video_pairs = by_video * len(videos) + torch.arange(len(videos))[:, None]
    pairs = torch.cat([text_pairs.flatten(), video_pairs.flatten()]).unique()
    rows, columns = pairs // len(videos), pairs % len(videos)
    final = cross_scores(model, texts, videos, rows, columns, batch_size=batch_size)
    if not bool(final.isfinite().all()):
        raise UserError("A cross-modal score is not finite: look for a diverged model.")
    final += matching_weight * scores[rows, columns]
    return Reranked(
        _place(scores, by_text, final[torch.searchsorted(pairs, text_pairs)]),
        _place(scores.T, by_video, final[torch.searchsorted(pairs, video_pairs)]),
        top_k,
    )


def cross_scores(
    model: nn.Module,
    texts: EncodedTexts,
    videos: EncodedVideos,
    rows: Tensor,
    columns: Tensor,
    *,
    batch_size: int = 256,
) -> Tensor:
    """Cross-modal score of the pairs (text rows[i], video columns[i]): float32 [pairs]."""
    lengths, scores = texts.attention_mask.sum(dim=1), torch.empty(len(rows))
    with evaluating(model):
        for some in lengths[rows].argsort().split(batch_size):  # captions of like length together
            text = rows[some]
            clips = videos.clip_tokens[columns[some]]
            pair = texts.input_ids[text], texts.attention_mask[text], clips
            found = model.cross_match(*(to_model(model, x) for x in pair), lengths[text].tolist())
            scores[some] = found.float().cpu()
    return scores


def _place(scores: Tensor, candidates: Tensor, final: Tensor, rows: int = 1024) -> Tensor:
    """Write candidates' final scores over `scores` [queries, items]; rank all others below them."""
    placed = torch.empty(scores.shape)
    for start in range(0, len(scores), rows):
        block = slice(start, start + rows)
        ordered, order = scores[block].sort(dim=1, descending=True)
        steps = torch.zeros_like(ordered)  # 0 for the best matching score, one more for each lower
        steps[:, 1:] = (ordered[:, 1:] < ordered[:, :-1]).cumsum(dim=1)
        lowest = final[block].amin(dim=1, keepdim=True)
        below = torch.empty_like(ordered).scatter_(1, order, lowest - 1 - steps)
        placed[block] = below.scatter_(1, candidates[block], final[block])
    return placed


@dataclass(frozen=True)
class RetrievalRun:
    """One evaluation: its queries, what was scored, and how."""

    captions: list[str]  # [texts]
    samples: list[int]  # [videos] the dataset index that shows each distinct video
    truth: list[int]  # [texts] the column of each caption's video
    unreadable: int  # videos that could not be read; they and their captions are left out
    scores: Tensor  # float32 [texts, videos] matching scores
    reranked: Reranked | None  # None: there was no cross-modal pass

    def metrics(self, *, with_dual_softmax: bool = False) -> dict[str, Any]:
        """R@K, median and mean rank per column and direction, beside what chance would give."""
        mask = truth_mask(self.truth, *self.scores.shape)
        columns = {"matching": both_directions(self.scores, mask)}
        if self.reranked is not None:
            text, video = self.reranked.text_to_video, self.reranked.video_to_text
            columns["reranked"] = both_directions(text, mask, backward=video)
        if with_dual_softmax:
            columns["dual_softmax"] = both_directions(dual_softmax(self.scores), mask)
        texts, videos = self.scores.shape
        return columns | {
            "queries": texts,
            "chance": {
                "text_to_video": chance_metrics(videos),
                "video_to_text": chance_metrics(texts, mask.sum(dim=0).tolist()),
            },
        }

    def predictions(self, dataset: Any, most: int = 10) -> Iterator[dict[str, Any]]:
        """Of every caption, then of every video: the rank of the truth and the best items found.

        Args:
            most: items of a query; after re-ranking no more than were read again.

        Yields:
            {"direction", "query", "matching_rank", "reranked_rank" (where there was a cross-modal
            pass), "true": items, "top": items with their "score", best first}.
        """
        mask = truth_mask(self.truth, *self.scores.shape)
        scores = {"matching": (self.scores, self.scores.T)}
        if self.reranked is not None:
            scores["reranked"] = (self.reranked.text_to_video, self.reranked.video_to_text)
            most = min(most, self.reranked.top_k)
        rows = dataset.manifest.rows
        texts = [{"caption": caption} for caption in self.captions]
        videos = [clip_of(rows[index]) for index in self.samples]
        sides = ("text_to_video", texts, videos, mask), ("video_to_text", videos, texts, mask.T)
        for side, (direction, queries, items, true) in enumerate(sides):
            ranks = {name: rank_of_truth(both[side], true) for name, both in scores.items()}
            final = [both[side] for both in scores.values()][-1]
            best = best_places(final, min(most, len(items)))
            for row, query in enumerate(queries):
                top = best[row].tolist()
                pairs = zip(top, final[row, top].tolist(), strict=True)
                yield {
                    "direction": direction,
                    "query": query,
                    **{f"{name}_rank": rank[row].item() for name, rank in ranks.items()},
                    "true": [items[place] for place in true[row].nonzero()[:, 0].tolist()],
                    "top": [items[place] | {"score": score} for place, score in pairs],
                }


def run_retrieval(
    model: nn.Module,
    tokenizer: Any,
    dataset: Any,
    *,
    batch_size: int = 32,
    top_k: int = 10,
    matching_weight: float = 0.0,
    max_tokens: int = 30,
) -> RetrievalRun:
    """Score every caption of `dataset` (a VideoTextDataset) against every distinct video of it.

    Args:
        batch_size: videos encoded at a time; captions and pairs go through eight times as many.
        top_k, matching_weight: see `rerank`; top_k = 0, or a twin tower, leaves re-ranking out.
        max_tokens: where captions are cut.

    Raises:
        UserError: no video of the data set can be read.
    """
    videos, readable, rows = encode_distinct(model, dataset, batch_size)
    captions, truth = [row.caption for row, _ in rows], [place for _, place in rows]
    texts = encode_texts(model, tokenizer, captions, 8 * batch_size, max_tokens=max_tokens)
    scores = matching_scores(model, texts, videos)
    reranked = None
    if top_k and getattr(model.config, "architecture", "") != "twin_tower":
        options = {"batch_size": 8 * batch_size, "matching_weight": matching_weight}
        reranked = rerank(model, texts, videos, scores, top_k=top_k, **options)
    unreadable = len(set(map(clip_key, dataset.manifest.rows))) - len(readable)
    return RetrievalRun(captions, readable, truth, unreadable, scores, reranked)


def evaluate_retrieval(
    model: nn.Module,
    tokenizer: Any,
    dataset: Any,
    *,
    with_dual_softmax: bool = False,
    predictions: list[dict[str, Any]] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Retrieval metrics of a data set; `settings` are those of `run_retrieval`.

    Args:
        predictions: takes up what was found for every query; see `RetrievalRun.predictions`.

    Returns:
        {"matching": {"text_to_video": {"r1", "r5", "r10", "median_rank", "mean_rank"},
        "video_to_text": {...}}, "reranked": {...}, "queries": N, "chance": {...}}; also
        "dual_softmax" if asked for, and no "reranked" where there is no cross-modal pass.
    """
    run = run_retrieval(model, tokenizer, dataset, **settings)
    if predictions is not None:
        predictions += run.predictions(dataset)
    return run.metrics(with_dual_softmax=with_dual_softmax)
