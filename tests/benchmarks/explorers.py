"""How soon the explorers answer, and what running a cell again and again costs.

    python -m tests.benchmarks.explorers

Times are those of Python, from a change to its view; hovering asks Python nothing.
"""

import argparse
import gc
import statistics
import time

import psutil
import torch

import snpkit
from snpkit.explore.explorer import (
    RetrievalExplorer,
    SharedNetworkExplorer,
    SignificanceExplorer,
)

CAPTIONS = [
    "a red kite falls over the beach", "the blue boat spins in a city at night",
    "one green ball slides to the left", "a yellow bird rises over the sea",
]  # fmt: skip


def p95(change, values: list) -> str:
    """The 95th percentile and the median of the milliseconds that a change takes."""
    taken = []
    for value in values:
        start = time.perf_counter()
        change(value)
        taken.append(1000 * (time.perf_counter() - start))
    worst, usual = statistics.quantiles(taken, n=20)[-1], statistics.median(taken)
    return f"p95 {worst:6.0f} ms, median {usual:6.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--cells", type=int, default=50)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = snpkit.load("laptop")
    stage = SignificanceExplorer(pipeline)
    network, found = SharedNetworkExplorer(pipeline), RetrievalExplorer(pipeline)
    clips = [f"generated/test-{n:06}.mp4" for n in (0, 1, 2, 3, 4, 5, 8)]
    texts = [f"{CAPTIONS[n % 4]} {n}" for n in range(arguments.times)]  # each is a new one
    changes = {
        "stage, caption": (lambda value: stage.change(caption=value), texts),
        "stage, clip": (lambda value: stage.change(clip=value), clips * 3),
        "stage, masks": (lambda value: stage.change(seed=value), list(range(1, 21))),
        "network, caption": (lambda value: network.change(caption=value), texts),
        "retrieval, sentence": (lambda value: found.change(sentence=value), texts),
    }
    for name, (change, values) in changes.items():
        print(f"{name:20} {p95(change, values)}")

    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    for _ in range(arguments.cells):
        SignificanceExplorer(pipeline)._repr_mimebundle_()
    gc.collect()
    grown = (process.memory_info().rss - before) / 1e6
    print(f"{arguments.cells} runs of a cell that shows a SignificanceExplorer: {grown:+.0f} MB")


if __name__ == "__main__":
    main()
