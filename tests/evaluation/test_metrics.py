"""Ranks against an oracle that tries every order of the tied items."""

import re
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snpkit.errors import UserError
from snpkit.evaluation.metrics import (
    accuracy,
    both_directions,
    chance_metrics,
    rank_of_truth,
    retrieval_metrics,
)


def oracle_rank(row: list[float], true: list[bool]) -> float:
    """Mean, over every order of the items that keeps higher scores first, of the best true place.

    All orders of all items are tried: no formula is shared with the module."""
    places = []
    for order in permutations(range(len(row))):
        if all(row[a] >= row[b] for a, b in pairwise(order)):
            places.append(1 + [true[item] for item in order].index(True))
    return sum(places) / len(places)


@st.composite
def small_problems(draw):
    items = draw(st.integers(1, 6))
    queries = draw(st.integers(1, 3))
    value = st.sampled_from([-1e9, -1.0, 0.0, 0.5, 2.0])  # few values: many ties
    scores = [[draw(value) for _ in range(items)] for _ in range(queries)]
    some = st.lists(st.booleans(), min_size=items, max_size=items).filter(any)
    return scores, [draw(some) for _ in range(queries)]


@settings(max_examples=80, deadline=None)
@given(small_problems())
def test_ranks_equal_the_brute_force_oracle(problem):
    scores, truth = problem
    expected = [oracle_rank(row, true) for row, true in zip(scores, truth, strict=True)]
    assert rank_of_truth(torch.tensor(scores), truth).tolist() == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(small_problems(), st.randoms(use_true_random=False))
def test_ranks_ignore_monotone_maps_and_the_order_of_items_and_queries(problem, random):
    scores, truth = map(np.array, problem)
    ranks = rank_of_truth(scores, truth)
    assert torch.equal(rank_of_truth(np.arctan(scores) * 7 - 3, truth), ranks)
    items = random.sample(range(scores.shape[1]), scores.shape[1])
    assert torch.equal(rank_of_truth(scores[:, items], truth[:, items]), ranks)
    queries = random.sample(range(len(truth)), len(truth))
    assert torch.equal(rank_of_truth(scores[queries], truth[queries]), ranks[queries])


def test_forms_of_truth_agree():
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    expected = rank_of_truth(scores)
    matrix = torch.eye(5) > 0
    for truth in (list(range(5)), np.arange(5), torch.arange(5), torch.arange(5, dtype=torch.int16),
                  matrix, matrix.numpy(), matrix.tolist()):  # fmt: skip
        assert torch.equal(rank_of_truth(scores, truth), expected)


def test_equal_scores_rank_in_the_middle_and_never_count_as_found():
    metrics = retrieval_metrics(torch.zeros(100, 100))
    assert metrics == {
        "r1": 0.0, "r5": 0.0, "r10": 0.0, "median_rank": 50.5, "mean_rank": 50.5,
    }  # fmt: skip


def test_hand_made_example():
    scores = torch.tensor([[0.9, 0.1, 0.2], [0.8, 0.5, 0.1], [0.3, 0.3, 0.3]])
    assert rank_of_truth(scores).tolist() == [1.0, 2.0, 2.0]
    metrics = retrieval_metrics(scores)
    assert metrics["r1"] == pytest.approx(100 / 3)
    assert metrics["r5"] == 100.0
    assert (metrics["median_rank"], metrics["mean_rank"]) == (2.0, pytest.approx(5 / 3))


@pytest.mark.parametrize(
    ("row", "true", "rank"),
    [([-np.inf, 0.0, -np.inf], 0, 2.5), ([-np.inf, 0.0, -np.inf], 1, 1.0), ([3, 1, 2], 2, 2.0)],
)
def test_infinite_scores_and_whole_numbers_are_ranked(row, true, rank):
    assert rank_of_truth(np.array([row]), [true]).tolist() == [rank]


def test_more_queries_than_one_block_keep_their_order():
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(2500, 7, generator=generator)
    truth = torch.randint(7, (2500,), generator=generator)
    by_sorting = (scores.argsort(dim=1, descending=True) == truth[:, None]).int().argmax(dim=1) + 1
    assert rank_of_truth(scores, truth).tolist() == by_sorting.tolist()


def test_nan_is_an_error_that_names_its_place():
    scores = torch.zeros(2000, 3)
    scores[1500, 2] = torch.nan
    with pytest.raises(UserError, match=r"query 1500, item 2 .*NaN"):
        rank_of_truth(scores, [0] * 2000)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (None, "do not pair up"),
        ([0], "each of the 2 queries"),
        ([0, 3], "outside 0..2"),
        ([0, -1], "outside 0..2"),
        ([[0], []], "the number of one item"),
        ([[0], [1]], "the number of one item"),
        (torch.zeros(2, 3, dtype=torch.bool), "Query 0 has no true item"),
        ([[True, False, False], [False] * 3], "Query 1 has no true item"),
        (torch.zeros(2, 3), "booleans of shape (2, 3)"),
        (torch.zeros(2, 3, dtype=torch.int64), "booleans of shape (2, 3)"),
        ([[True, False], [False, True]], "booleans of shape (2, 3)"),
        ([True, False], "booleans of shape (2, 3)"),
        ([[True, False, False], [True]], "booleans of shape (2, 3)"),
        ([0.0, 1.5], "the number of one item"),
        (["0", "1"], "the number of one item"),
    ],
)
def test_wrong_truth_is_a_clear_error(truth, message):
    with pytest.raises(UserError, match=re.escape(message)):
        rank_of_truth(torch.zeros(2, 3), truth)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (3, 0), (2, 2, 2)])
def test_wrong_shapes_are_a_clear_error(shape):
    with pytest.raises(UserError, match=r"\[queries, items\]"):
        rank_of_truth(torch.zeros(shape))


def test_several_captions_of_a_video_count_by_the_best_one():
    # Captions 0 and 1 tell video 0, caption 2 video 1.
    scores = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.3, 0.5]])
    found = both_directions(scores, [0, 0, 1])
    assert found["text_to_video"]["mean_rank"] == pytest.approx(4 / 3)
    # Video 0 ranks caption 0 first; video 1 ranks caption 1 above its own caption 2.
    assert found["video_to_text"]["mean_rank"] == 1.5


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.data())
def test_chance_is_the_mean_over_all_orders(items, data):
    true = data.draw(st.integers(1, items))
    ranks = [1 + min(order[:true]) for order in permutations(range(items))]
    chance = chance_metrics(items, true)
    for k in (1, 5, 10):
        assert chance[f"r{k}"] == pytest.approx(100 * np.mean(np.array(ranks) <= k))
    assert chance["mean_rank"] == pytest.approx(np.mean(ranks))
    assert chance["median_rank"] == pytest.approx(np.median(ranks))


def test_chance_of_the_laptop_evaluation():
    chance = chance_metrics(256)
    assert (chance["r1"], chance["r10"]) == (pytest.approx(100 / 256), pytest.approx(1000 / 256))
    assert (chance["median_rank"], chance["mean_rank"]) == (128.5, 128.5)
    mixed = chance_metrics(4, [1, 1, 4])
    assert mixed["r1"] == pytest.approx(100 * (0.25 + 0.25 + 1) / 3)


@pytest.mark.parametrize(("items", "true"), [(0, 1), (4, 0), (4, 5)])
def test_impossible_chance_is_an_error(items, true):
    with pytest.raises(UserError, match="true items"):
        chance_metrics(items, true)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_accuracy_is_the_share_of_equal_pairs(pairs):
    predicted, true = zip(*pairs, strict=True)
    expected = 100 * sum(a == b for a, b in pairs) / len(pairs)
    assert accuracy(predicted, true) == pytest.approx(expected)
    assert accuracy(torch.tensor(predicted), true) == pytest.approx(expected)


def test_accuracy_of_nothing_or_of_unequal_lists_is_an_error():
    for bad in (([], []), ([1], [1, 2])):
        with pytest.raises(UserError, match="Accuracy compares"):
            accuracy(*bad)
