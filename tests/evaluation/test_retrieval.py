"""Scores in chunks and re-ranking against slow, obvious versions of themselves."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snpkit.errors import UserError
from snpkit.evaluation.encoding import EncodedTexts, EncodedVideos
from snpkit.evaluation.metrics import chance_metrics, rank_of_truth
from snpkit.evaluation.retrieval import (
    cross_scores,
    dual_softmax,
    evaluate_retrieval,
    matching_scores,
    rerank,
    run_retrieval,
)
from snpkit.language.tokenizer import train_tokenizer


def random_encodings(toy, texts, videos, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 7, (texts, 1), generator=generator)
    mask = (torch.arange(6) < lengths).long()
    ids = torch.randint(5, 2000, (texts, 6), generator=generator) * mask
    tokens = torch.randn(videos, 2, toy.hidden, generator=generator)
    return (
        EncodedTexts(torch.randn(texts, toy.hidden, generator=generator), ids, mask),
        EncodedVideos(torch.nn.functional.normalize(tokens, dim=-1), tokens),
    )


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunks_do_not_change_the_scores(toy, chunk):
    model, (texts, videos) = toy.Model(), random_encodings(toy, 7, 5)
    scores = matching_scores(model, texts, videos, chunk)
    with torch.no_grad():
        expected = torch.einsum("th,vch->tvc", texts.pooled, videos.clip_features).logsumexp(-1)
    torch.testing.assert_close(scores, expected)
    assert scores.dtype == torch.float32


def test_memory_of_scoring_is_the_result_and_one_chunk(toy):
    """The peak of tensors alive while scoring stays near the result, not texts x videos x clips."""
    largest = []

    class Watching(toy.Model):
        def match(self, text, clip_features):
            largest.append(len(text) * clip_features.shape[0] * clip_features.shape[1])
            return super().match(text, clip_features)

    texts, videos = random_encodings(toy, 300, 200)
    matching_scores(Watching(), texts, videos, chunk=64)
    assert max(largest) == 64 * 64 * 2
    assert sum(largest) == 300 * 200 * 2


def slow_rerank(scores, cross, top_k, weight):
    """Ranks by sorting Python lists: candidates by final score, the rest by matching score."""
    order = []
    for row, crossed in zip(scores.tolist(), cross.tolist(), strict=True):
        by_match = sorted(range(len(row)), key=lambda i: -row[i])
        best = sorted(by_match[:top_k], key=lambda i: -(crossed[i] + weight * row[i]))
        order.append(best + by_match[top_k:])
    return order


@settings(max_examples=40)
@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.sampled_from([0.0, 0.7]),
    st.integers(0, 1000), st.integers(1, 7),
)  # fmt: skip
def test_rerank_equals_sorting_both_ways(toy, texts, videos, top_k, weight, seed, batch_size):
    model, (text, video) = toy.Model(), random_encodings(toy, texts, videos, seed)
    scores = matching_scores(model, text, video)
    rows, columns = torch.cartesian_prod(torch.arange(texts), torch.arange(videos)).T
    cross = cross_scores(model, text, video, rows, columns).view(texts, videos)
    found = rerank(
        model, text, video, scores, top_k=top_k, batch_size=batch_size, matching_weight=weight
    )
    for result, match, exact in (
        (found.text_to_video, scores, cross), (found.video_to_text, scores.T, cross.T)
    ):  # fmt: skip
        expected = slow_rerank(match, exact, top_k, weight)
        assert result.argsort(dim=1, descending=True, stable=True).tolist() == expected
        best = torch.tensor([order[:top_k] for order in expected])
        torch.testing.assert_close(result.gather(1, best), (exact + weight * match).gather(1, best))


def test_a_pair_that_is_a_candidate_both_ways_is_scored_once(toy):
    model, (text, video) = toy.Model(), random_encodings(toy, 6, 6)
    scores = matching_scores(model, text, video)
    rerank(model, text, video, scores, top_k=6, batch_size=10)
    assert model.seen_pairs == [10, 10, 10, 6]


def test_ties_stay_ties_below_the_candidates(toy):
    model, (text, video) = toy.Model(), random_encodings(toy, 1, 5)
    scores = torch.tensor([[9.0, 1.0, 2.0, 1.0, 2.0]])
    placed = rerank(model, text, video, scores, top_k=1).text_to_video
    assert rank_of_truth(placed, [0]).item() == 1.0
    assert [rank_of_truth(placed, [i]).item() for i in (2, 4)] == [2.5, 2.5]
    assert [rank_of_truth(placed, [i]).item() for i in (1, 3)] == [4.5, 4.5]


def test_wrong_top_k_and_diverged_models_are_clear_errors(toy):
    class Diverged(toy.Model):
        def cross_match(self, input_ids, attention_mask, clip_tokens, lengths=None):
            return torch.full((len(input_ids),), torch.nan)

    text, video = random_encodings(toy, 2, 2)
    with pytest.raises(UserError, match="top_k must be at least 1"):
        rerank(toy.Model(), text, video, torch.zeros(2, 2), top_k=0)
    with pytest.raises(UserError, match="not finite"):
        rerank(Diverged(), text, video, torch.zeros(2, 2), top_k=1)


def test_dual_softmax_is_the_product_of_both_softmaxes():
    scores = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    product = scores.softmax(dim=1) * scores.softmax(dim=0)
    torch.testing.assert_close(dual_softmax(scores).exp(), product)
    # A video that every text likes loses the texts that another video fits alone.
    popular = torch.tensor([[3.0, 0.0], [2.0, 1.9]])
    assert rank_of_truth(popular).tolist() == [1.0, 2.0]
    assert rank_of_truth(dual_softmax(popular)).tolist() == [1.0, 1.0]


NAMES = ["kite", "boat", "house", "tree", "fish", "rocket", "ball", "drum"]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(NAMES, 100)


def test_the_report_has_exactly_the_promised_form(toy, tokenizer):
    model = toy.Model().train()
    state = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    found = evaluate_retrieval(model, tokenizer, toy.Dataset(list(range(8)), NAMES), batch_size=3)
    metrics = {"r1", "r5", "r10", "median_rank", "mean_rank"}
    assert list(found) == ["matching", "reranked", "queries", "chance"]
    for column in ("matching", "reranked", "chance"):
        assert set(found[column]) == {"text_to_video", "video_to_text"}
        assert all(set(values) == metrics for values in found[column].values())
    assert found["queries"] == 8
    assert found["chance"]["text_to_video"] == chance_metrics(8)
    assert model.training
    assert state == (
        random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    )  # fmt: skip


def test_dual_softmax_has_its_own_column_and_reranking_can_be_left_out(toy, tokenizer):
    model, dataset = toy.Model(), toy.Dataset(list(range(8)), NAMES)
    found = evaluate_retrieval(model, tokenizer, dataset, with_dual_softmax=True, top_k=0)
    assert list(found) == ["matching", "dual_softmax", "queries", "chance"]
    assert not model.seen_pairs
    model.config.architecture = "twin_tower"
    assert "reranked" not in evaluate_retrieval(model, tokenizer, dataset)


def test_captions_of_one_video_share_one_reading(toy, tokenizer):
    dataset = toy.Dataset([4, 4, 5, 4, 6], NAMES[:5])
    run = run_retrieval(toy.Model(), tokenizer, dataset)
    assert dataset.read == [0, 2, 4]
    assert (run.samples, run.truth) == ([0, 2, 4], [0, 0, 1, 0, 2])
    assert run.captions == NAMES[:5]
    assert run.scores.shape == (5, 3)
    chance = run.metrics()["chance"]
    assert chance["text_to_video"] == chance_metrics(3)
    assert chance["video_to_text"] == chance_metrics(5, [3, 1, 1])


def test_unreadable_videos_leave_with_their_captions(toy, tokenizer):
    run = run_retrieval(toy.Model(), tokenizer, toy.Dataset([1, 2, 2, 3], NAMES[:4], broken=[2]))
    assert run.captions == ["kite", "tree"]
    assert (run.samples, run.truth, run.unreadable) == ([0, 3], [0, 1], 1)
    whole = run_retrieval(toy.Model(), tokenizer, toy.Dataset([1, 3], ["kite", "tree"]))
    torch.testing.assert_close(run.scores, whole.scores)
    with pytest.raises(UserError, match="no video"):
        run_retrieval(toy.Model(), tokenizer, toy.Dataset([1, 2], NAMES[:2], broken=[1, 2]))


MEASURED = """
import torch
from snpkit.evaluation.encoding import EncodedTexts, EncodedVideos
from snpkit.evaluation.metrics import retrieval_metrics
from snpkit.evaluation.retrieval import dual_softmax, matching_scores

class Model(torch.nn.Module):
    def match(self, text, clips):
        return torch.einsum("th,vch->tvc", text, clips).logsumexp(-1)

def memory(name):
    # Not getrusage: its maximum counts the process that started this one.
    (line,) = [line for line in open("/proc/self/status") if line.startswith(name)]
    return int(line.split()[1]) * 1024

def evaluate(count):
    ids, clips = torch.zeros(count, 1, dtype=torch.int64), torch.randn(count, 2, 8)
    texts = EncodedTexts(torch.randn(count, 8), ids, ids)
    scores = matching_scores(Model(), texts, EncodedVideos(clips, clips))
    retrieval_metrics(scores.T)
    dual_softmax(scores)

evaluate(8)  # what is loaded at the first use does not grow with the scores
before = memory("VmRSS")
evaluate(4_000)
print(before, memory("VmHWM"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_thousand_times_ten_thousand_would_fit_in_two_gigabytes():
    # Measured at 4,000 x 4,000 (64 MB of scores): all that grows, grows with the square.
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert after - before > 4_000**2 * 4
    assert before + (after - before) * 2.5**2 < 2_000_000_000
