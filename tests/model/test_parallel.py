"""Alone, a gather does nothing; with others it is tested in tests/training/gathering_cases.py."""

import torch

from snpkit.model import parallel


def test_a_single_process_keeps_what_it_has():
    rows, flag = torch.randn(3, 2, requires_grad=True), torch.tensor([True, False])
    assert parallel.gather(rows) is rows and parallel.from_first_process(flag) is flag
    assert parallel.mean_over_processes(rows, 5) is rows
    assert (parallel.rank(), parallel.world_size(), parallel.shares(4)) == (0, 1, [4])
    assert parallel.own_rows(4) == slice(0, 4)
