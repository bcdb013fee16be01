"""How fast a folder of 10,000 clips answers, with the shipped checkpoint."""

import time
from pathlib import Path

import pytest
import torch

import snpkit
from snpkit.data.samples import samples_folder
from snpkit.evaluation.encoding import EncodedVideos
from snpkit.evaluation.search import FolderIndex

CLIPS, SENTENCE = 10_000, "a red fish is shaking over the meadow"


@pytest.fixture(scope="module")
def searched():
    """A pipeline that has indexed 10,000 clips: real vectors, again and again, plus noise."""
    pipeline = snpkit.load("laptop", device="cpu")
    folder = samples_folder() / "generated"
    real = pipeline.index(folder, cache=False)
    copies, generator = torch.arange(CLIPS) % len(real.names), torch.Generator().manual_seed(0)

    def many(vectors):
        noise = torch.randn(CLIPS, *vectors.shape[1:], generator=generator)
        return vectors[copies] + 0.3 * vectors.std() * noise

    features = torch.nn.functional.normalize(many(real.videos.clip_features), dim=-1)
    videos = EncodedVideos(features, many(real.videos.clip_tokens))
    names = [f"copy-{i}-of-{real.names[copy]}" for i, copy in enumerate(copies.tolist())]
    pipeline._indices[folder.resolve(), None] = FolderIndex(Path("made"), names, videos, {})
    return pipeline, folder


def test_ten_thousand_clips_answer_within_the_blink_of_an_eye(searched):
    """Text encoding, matching with all, re-ranking of the 20 best. The aim is 100 ms on one core;
    processor time, because other programs keep a busy machine from it."""
    pipeline, folder = searched
    took = []
    for _ in range(7):
        start = time.process_time()
        (hits,) = pipeline.search(SENTENCE, folder, cache=False)
        took.append(time.process_time() - start)
        assert len(hits) == 5
    print(f"{1000 * sorted(took)[3]:.0f} ms (median of 7)")
    assert hits[0].path.name.endswith("test-000008.mp4")
    assert sorted(took)[3] < 0.3
