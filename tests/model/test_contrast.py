"""Pairs of a share of the joined batch, and who stands beside whom."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snpkit.model.contrast import Pairs
from snpkit.model.gathering import Rows
from snpkit.model.pretraining import SNPForPreTraining
from tests.model.cases import small_config


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_shares_make_up_all_pairs_once_with_their_own_first(counts, piece):
    total = sum(counts)
    scores = torch.arange(total * total, dtype=torch.float64).view(total, total)
    model = SNPForPreTraining.__new__(SNPForPreTraining)
    torch.nn.Module.__init__(model)
    model.config = small_config()
    found = []
    for rank in range(len(counts)):
        rows = Rows(tuple(counts), rank)
        others = model.other_videos(rows, None, torch.device("cpu"))
        pairs = Pairs.of(others, rows.own)
        count = counts[rank]
        assert torch.equal(pairs.text[:count], torch.arange(count))
        assert torch.equal(pairs.video[:count], torch.arange(total)[rows.own])
        parts = pairs.split(piece)
        assert all(0 < len(part.text) <= piece for part in parts)
        values = torch.cat([scores[rows.own][part.text, part.video] for part in parts])
        found.append(pairs.matrix(values, count, total))
    assert torch.equal(torch.cat(found), scores)


def test_what_is_not_paired_has_no_score():
    pairs = Pairs.of(torch.tensor([[2], [0], [1]]), slice(1, 3))
    matrix = pairs.matrix(torch.tensor([1.0, 2.0, 3.0, 4.0]), 2, 3)
    assert matrix.tolist() == [[3.0, 1.0, -torch.inf], [-torch.inf, 4.0, 2.0]]
