"""`race mask` and `race retrieve`: masking a batch, and ranking videos for captions."""

import random
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from tests.benchmarks import masking, retrieval
from tests.benchmarks.comparison import Round, Subject
from tests.benchmarks.mining import default_captions

CAPTIONS = 2048  # masked in a round
QUERIES = 1000  # captions, and as many videos


def _seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def masking_subject(count: int = CAPTIONS) -> Subject:
    """MSSM over batches of 64 against one caption at a time. Equal: how many tokens are hidden of
    every caption, and how many of them are significant; which ones is chance."""
    import torch

    from snpkit.language.masking import MaskVocabulary, mask_significant
    from snpkit.language.significance import SignificanceTable, significance_of
    from snpkit.language.tokenizer import encode_captions, train_tokenizer

    captions = (default_captions(count) * 2)[:count]
    tokenizer, table = train_tokenizer(captions), SignificanceTable.mine(captions, top_k=300)
    vocabulary = MaskVocabulary.build(tokenizer, table)
    generator, rng = torch.Generator().manual_seed(0), random.Random(0)
    batches = []
    for start in range(0, count, 64):
        batch = encode_captions(tokenizer, captions[start : start + 64])
        batches.append((batch, significance_of(batch, table)))

    def by_hand() -> list[torch.Tensor]:
        found = []
        for batch, flags in batches:
            rows = (batch.input_ids.tolist(), batch.word_ids.tolist(), flags.tolist())
            allowed = vocabulary.significant_token_ids.tolist()
            ids, labels = masking.mask_captions(*rows, allowed, vocabulary.mask_id, rng)
            found.append(torch.tensor([ids, labels])[1])
        return found

    def by_batch() -> list[torch.Tensor]:
        options = {"generator": generator, "unit": "token"}
        return [mask_significant(b, f, vocabulary, **options).labels for b, f in batches]

    def measure() -> Round:
        slow, theirs = _seconds(by_hand)
        fast, ours = _seconds(by_batch)
        apart = 0
        for (_, flags), one, other in zip(batches, theirs, ours, strict=True):
            for which in (torch.ones_like(flags), flags):
                counts = [((labels != -100) & which).sum(1) for labels in (one, other)]
                apart = max(apart, int((counts[0] - counts[1]).abs().max()))
        return Round(count / slow, count / fast, float(apart))

    return Subject(
        "mask", "captions/s", "one caption at a time", "snpkit, batches of 64", measure,
        {"Captions": f"{count:,}; equal: tokens hidden of each, and significant ones of them",
         "Machine": _machine()},
    )  # fmt: skip


def retrieval_subject(queries: int = QUERIES, hidden: int = 256, clips: int = 2) -> Subject:
    """Scores of all captions with all videos and the rank of the true one, against one caption at a
    time. Equal: the mean difference of ranks; rounding may swap two videos of nearly one score."""
    import torch
    import torch.nn.functional as F

    from snpkit.evaluation.encoding import EncodedTexts, EncodedVideos
    from snpkit.evaluation.metrics import rank_of_truth
    from snpkit.evaluation.retrieval import matching_scores
    from snpkit.model.config import SNPConfig
    from snpkit.model.downstream import SNPForRetrieval

    generator = torch.Generator().manual_seed(0)
    model = SNPForRetrieval(SNPConfig(
        vocab_size=200, hidden_size=hidden, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=64, vision="features", clips=clips, frames=1,
    )).eval()  # fmt: skip
    centre = torch.randn(queries, hidden, generator=generator)

    def near(*shape: int) -> torch.Tensor:
        noise = torch.randn(*shape, hidden, generator=generator)
        return F.normalize(centre.view(queries, *[1] * (len(shape) - 1), hidden) + 4 * noise, -1)

    text, video = near(queries), near(queries, clips)
    none = torch.zeros(queries, 1, dtype=torch.long)
    texts = EncodedTexts(text, none, none)
    videos = EncodedVideos(video, video)

    def measure() -> Round:
        slow, theirs = _seconds(lambda: retrieval.ranks(text, video))
        fast, ours = _seconds(lambda: rank_of_truth(matching_scores(model, texts, videos)))
        apart = (torch.tensor(theirs, dtype=torch.float64) - ours).abs().mean()
        return Round(queries / slow, queries / fast, float(apart))

    return Subject(
        "retrieve", "captions/s", "one caption at a time", "snpkit, in chunks", measure,
        {"Captions": f"{queries:,} beside as many videos of {clips} clips, {hidden} wide; equal: "
         "mean difference of the true video's rank", "Machine": _machine()},
        tolerance=0.05,
    )  # fmt: skip


def _machine() -> str:
    import torch

    threads = torch.get_num_threads()
    return f"{threads} thread{'s' * (threads > 1)}, torch {version('torch')}"
