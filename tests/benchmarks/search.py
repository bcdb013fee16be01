"""How fast a query finds the best of many clips: snpkit beside numpy and faiss, on one core.

    python -m tests.benchmarks.search
    python -m tests.benchmarks.search --clips 1000 10000 100000 1000000 --hidden 128

Matching and the 20 best videos, of one clip each, so that all exact ways find the same; without the
sentence's encoding and the re-ranking of the 20, which cost the same for any number of clips ("a
whole search" has them, with the shipped checkpoint). Processor time, because other programs keep a
busy machine from it; set OMP_NUM_THREADS=1, else numpy's threads wait for each other. faiss is no
part of snpkit: without it, it is left out.

Median ms on one thread of an AVX2 processor that seven other programs shared, clips 128 wide:

    clips       snpkit  numpy  faiss flat  faiss IVF  a whole search
    10,000         1.1    0.6         0.5       0.16              19
    100,000        3.9    4.4         3.1       0.4               19
    1,000,000     34     45          31         0.9               49

The exact scan waits for memory: an approximate index pays from some 100,000 clips on, where it is a
fifth of a search; at a million it is two thirds. Half a ms of ours does not grow with the clips.
"""

import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
import tyro
from torch import Tensor
from torch.nn import functional

from snpkit.evaluation.encoding import EncodedTexts, EncodedVideos
from snpkit.evaluation.retrieval import best_places, matching_scores
from snpkit.evaluation.search import FolderIndex, for_queries, search
from snpkit.text import format_table

BEST = 20  # videos asked for
CENTRES = 1000  # that clips lie around, as trained vectors do


def make_vectors(clips: int, hidden: int, queries: int) -> tuple[Tensor, Tensor]:
    """Unit vectors of videos [videos, 1, hidden] and of queries near some [queries, hidden]."""
    generator = torch.Generator().manual_seed(0)
    centres = functional.normalize(torch.randn(CENTRES, hidden, generator=generator), dim=-1)

    def near(which: Tensor, noise: float) -> Tensor:
        away = torch.randn(*which.shape, hidden, generator=generator).mul_(noise / hidden**0.5)
        return functional.normalize(away.add_(centres[which]), dim=-1)

    videos = torch.randint(CENTRES, (clips, 1), generator=generator)
    return near(videos, 0.7), near(torch.randint(CENTRES, (queries,), generator=generator), 0.7)


def make_model(hidden: int) -> torch.nn.Module:
    """A model that matches; its towers are not asked."""
    from snpkit.model.config import SNPConfig
    from snpkit.model.downstream import SNPForRetrieval

    return SNPForRetrieval(SNPConfig(
        vocab_size=200, hidden_size=hidden, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=64, vision="features", clips=1, frames=1,
    )).eval()  # fmt: skip


def subjects(videos: Tensor, approximate: bool = True) -> dict[str, Callable[[Tensor], list[int]]]:
    """Ways from a query [hidden] to the BEST videos, best first."""
    count, hidden = len(videos), videos.shape[-1]
    best = min(BEST, count)
    model, flat = make_model(hidden), videos.flatten(0, 1).numpy()
    stored = EncodedVideos(for_queries(videos), videos[:0])

    def ours(query: Tensor) -> list[int]:
        none = torch.zeros(1, 1, dtype=torch.int64)
        scores = matching_scores(model, EncodedTexts(query[None], none, none), stored)
        return best_places(scores, best)[0].tolist()

    def by_numpy(query: Tensor) -> list[int]:
        scores = flat @ query.numpy()
        found = np.argpartition(-scores, best - 1)[:best]
        return found[np.argsort(-scores[found], kind="stable")].tolist()

    ways: dict[str, Callable[[Tensor], list[int]]] = {"snpkit": ours, "numpy": by_numpy}
    if importlib.util.find_spec("faiss") is None:
        return ways
    import faiss

    faiss.omp_set_num_threads(1)

    def by_faiss(index: Any) -> Callable[[Tensor], list[int]]:
        return lambda query: index.search(query[None].numpy(), best)[1][0].tolist()

    exact = faiss.IndexFlatIP(hidden)
    exact.add(flat)
    ways["faiss flat"] = by_faiss(exact)
    if approximate:
        cells = max(min(int(len(flat) ** 0.5), len(flat) // 40), 1)
        lists = faiss.IndexIVFFlat(faiss.IndexFlatIP(hidden), hidden, cells,
                                   faiss.METRIC_INNER_PRODUCT)  # fmt: skip
        lists.train(flat[:: max(len(flat) // (40 * cells), 1)])
        lists.add(flat)
        lists.nprobe = 16
        ways["faiss IVF"] = by_faiss(lists)
    if approximate and len(flat) <= 10_000:  # making a graph of more takes minutes
        graph = faiss.IndexHNSWFlat(hidden, 32, faiss.METRIC_INNER_PRODUCT)
        graph.add(flat)
        ways["faiss HNSW"] = by_faiss(graph)
    return ways


@dataclass(frozen=True)
class Timed:
    """Milliseconds of one query (median and fewest) and the share of the best that it finds."""

    middle: float
    fewest: float
    found: float


def measure(clips: int, hidden: int, queries: int) -> dict[str, Timed]:
    """Time every way with the same queries."""
    videos, asked = make_vectors(clips, hidden, queries)
    ways = subjects(videos)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    right: dict[str, list[float]] = {name: [] for name in ways}
    for query in asked:
        answers = {}
        for name, way in ways.items():
            start = time.process_time()
            answers[name] = way(query)
            taken[name].append(1000 * (time.process_time() - start))
        best = set(answers["snpkit"])
        for name, answer in answers.items():
            right[name].append(len(best & set(answer)) / len(best))
    return {name: Timed(median(ms), min(ms), sum(right[name]) / len(right[name]))
            for name, ms in taken.items()}  # fmt: skip


def whole_search(clips: int, queries: int) -> float:
    """Milliseconds of `search` with the shipped checkpoint: sentence, matching, re-ranking."""
    import snpkit

    pipeline = snpkit.load("laptop", device="cpu")
    videos, _ = make_vectors(clips, pipeline.model.config.hidden_size, 1)
    names = [f"{number}.mp4" for number in range(len(videos))]
    encoded = EncodedVideos(for_queries(videos), videos)
    index = FolderIndex(pipeline.folder, names, encoded, {})
    taken = []
    for _ in range(queries):
        start = time.process_time()
        search(pipeline.model, pipeline.tokenizer, ["a red kite falls over the sea"], index)
        taken.append(1000 * (time.process_time() - start))
    return median(taken)


def main(
    clips: Sequence[int] = (1_000, 10_000, 100_000, 1_000_000),
    hidden: int = 128,
    queries: int = 30,
) -> None:
    """Print milliseconds of a query: median (fewest), and what an approximate index finds."""
    torch.set_num_threads(1)
    print(f"ms a query, one thread, {hidden} wide: median (fewest), and what is found if not all")
    for count in clips:
        rows = [[f"{count:,} clips", "", "", ""]]
        for name, one in measure(count, hidden, queries).items():
            share = f"{100 * one.found:.0f} % found" if one.found < 0.995 else ""
            rows.append([f"  {name}", f"{one.middle:.2f}", f"({one.fewest:.2f})", share])
        rows.append(["  a whole search", f"{whole_search(count, 5):.1f}", "", ""])
        print(format_table(rows), flush=True)
    if importlib.util.find_spec("faiss") is None:
        print("faiss is not installed (pip install faiss-cpu); it is left out.", file=sys.stderr)


if __name__ == "__main__":
    tyro.cli(main)
