"""Search a folder of videos with sentences: the folder is encoded once for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from snpkit.errors import UserError, VideoError
from snpkit.evaluation.encoding import (
    EncodedVideos,
    encode_texts,
    encode_videos,
    in_batches,
    sampling_of,
)
from snpkit.evaluation.index import Index, index_path
from snpkit.evaluation.retrieval import best_places, cross_scores, matching_scores
from snpkit.video.guarded import ReaderPool
from snpkit.video.reader import read_clips, read_square
from snpkit.video.suffixes import find_videos

_SAVE_SECONDS = 5.0  # between two savings, which take a twentieth of the time at most


@dataclass(frozen=True)
class FolderIndex:
    """The videos of a folder as vectors.

    Attributes:
        root: the folder.
        names: [videos] paths below it, POSIX style, sorted.
        videos: their vectors, in the same order.
        unreadable: file or folder -> why it could not be read.
        encoded: how many were encoded for this index; the others were taken from the one on disk.
        kept_in: the file that lists it; None = it is not kept.
        passed_over: ending of a name -> how many files are no videos or images by their names.
    """

    root: Path
    names: list[str]
    videos: EncodedVideos
    unreadable: dict[str, str]
    encoded: int = 0
    kept_in: Path | None = None
    passed_over: dict[str, int] = field(default_factory=dict)


def encode_folder(
    model: nn.Module,
    folder: str | Path,
    *,
    batch_size: int = 16,
    cache: str | Path | None = None,
    guard_seconds: float = 0.0,
    progress: bool = False,
) -> FolderIndex:
    """Read every video and image below a folder as the model's config says, and encode them.

    Args:
        batch_size: videos encoded at a time.
        cache: the folder of all indices; the next time only new and changed files are encoded.
            None = nothing is kept.
        guard_seconds: let a video hang so long, or crash its decoder, in a process of its own; it
            is then left out, and tried again next time. 0 = read in this process.
        progress: show a bar on a terminal.

    Raises:
        UserError: no such folder, or no video in it.
        VideoError: none of its videos can be read.
    """
    from tqdm import tqdm

    root = Path(folder)
    names, left_out, passed_over = find_videos(root)
    index = Index(None if cache is None else index_path(Path(cache), root, model), root, names)
    guard = ReaderPool(seconds=guard_seconds) if guard_seconds else None
    by = partial(guard.call, read_clips) if guard else read_clips
    read = partial(read_square, **sampling_of(model.config), read=by)
    # disable=None: a bar for people, not for log files.
    shown = tqdm(names, "Indexing", unit="file", leave=False, disable=None if progress else True)
    encoded, save_at = 0, monotonic() + _SAVE_SECONDS
    try:
        for some in in_batches(index.to_encode(shown, read), batch_size):
            contents, frames = zip(*some, strict=True)
            videos = encode_videos(model, frames, batch_size)
            pairs = zip(videos.clip_features, videos.clip_tokens, strict=True)
            index.vectors |= zip(contents, pairs, strict=True)
            encoded += len(some)
            if (start := monotonic()) >= save_at:
                index.save()
                took = monotonic() - start
                save_at = start + took + max(_SAVE_SECONDS, 20 * took)
    finally:  # after Ctrl-C too: what was encoded until then is not encoded again
        index.save()
        if guard is not None:
            guard.close()
    if not index.contents:
        reason = next(iter(index.unreadable.values()))
        raise VideoError(f"None of the {len(names)} videos in {root} can be read; first: {reason}")
    found = sorted(index.contents)
    columns = zip(*(index.vectors[index.contents[name]] for name in found), strict=True)
    features, tokens = (torch.stack(column) for column in columns)
    unreadable = dict(sorted((left_out | index.unreadable).items()))
    videos = EncodedVideos(for_queries(features), tokens)
    return FolderIndex(root, found, videos, unreadable, encoded, index.path, passed_over)


def for_queries(features: Tensor) -> Tensor:
    """The same [videos, clips, hidden], in memory [hidden, videos x clips]: a query reads it in
    half the time, as it adds whole rows in place of summing up each."""
    return features.flatten(0, 1).T.contiguous().T.unflatten(0, features.shape[:2])


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
