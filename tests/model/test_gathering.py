"""Alone, joining does nothing; with others it is tested in tests/training/gathering_cases.py."""

import torch

from snpkit.model import gathering
from snpkit.model.gathering import Rows


def test_a_single_process_keeps_what_it_has():
    rows, flag = torch.randn(3, 2, requires_grad=True), torch.tensor([True, False])
    alone = Rows.of(3)
    assert alone == Rows((3,)) and (alone.own, alone.total) == (slice(0, 3), 3)
    assert alone.join(rows) is rows and alone.mean(rows, 5) is rows
    for function in (gathering.gather_rows, gathering.gather_with_gradient,
                     gathering.sum_with_gradient, gathering.sum_over_processes):
        assert function(rows) is rows
    assert gathering.agreed(flag) is flag
    assert (gathering.rank(), gathering.world_size(), gathering.row_counts(4)) == (0, 1, (4,))


def test_own_rows_stand_behind_those_of_lower_ranks():
    assert [Rows((2, 0, 5), rank).own for rank in range(3)] == [
        slice(0, 2), slice(2, 2), slice(2, 7)
    ]  # fmt: skip
    assert Rows((2, 0, 5), 1).total == 7
