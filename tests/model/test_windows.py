"""Window geometry against brute force."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snpkit.model.vision.windows import (
    cut_windows,
    join_windows,
    pad_to_multiple,
    relative_index,
    same_region,
)

side = st.integers(1, 4)
sizes = st.tuples(side, side, side)


@given(window=sizes, counts=sizes, clips=st.integers(1, 2))
def test_cutting_keeps_neighbours_together_and_joining_undoes_it(window, counts, clips):
    size = tuple(w * c for w, c in zip(window, counts, strict=True))
    grid = torch.arange(clips * size[0] * size[1] * size[2] * 2.0).view(clips, *size, 2)
    windows = cut_windows(grid, window)
    first = grid[:, : window[0], : window[1], : window[2]].flatten(1, 3)
    last = grid[:, -window[0] :, -window[1] :, -window[2] :].flatten(1, 3)
    assert torch.equal(windows[:, 0], first)
    assert torch.equal(windows[:, -1], last)
    assert torch.equal(join_windows(windows, window, size), grid)


@given(size=sizes, multiple=sizes)
def test_padding_appends_zeros_up_to_the_multiple(size, multiple):
    padded = pad_to_multiple(torch.ones(1, *size, 1), multiple)
    for got, want, unit in zip(padded.shape[1:4], size, multiple, strict=True):
        assert got % unit == 0 and want <= got < want + unit
    assert torch.equal(padded[:, : size[0], : size[1], : size[2]], torch.ones(1, *size, 1))
    assert padded.sum() == size[0] * size[1] * size[2]


@given(full=sizes, time=st.integers(1, 4))
def test_relative_index_numbers_the_offsets_of_all_pairs(full, time):
    window = (min(time, full[0]), *full[1:])
    places = list(itertools.product(*map(range, window)))
    index = relative_index(window, full)
    assert index.shape == (len(places), len(places))
    for (i, query), (j, key) in itertools.product(enumerate(places), repeat=2):
        t, h, w = (a - b + n - 1 for a, b, n in zip(query, key, full, strict=True))
        assert index[i, j] == (t * (2 * full[1] - 1) + h) * (2 * full[2] - 1) + w


def test_relative_index_of_a_window_cut_in_space_is_the_first_part_of_the_full_one():
    # What the published networks do; see the docstring.
    assert torch.equal(
        relative_index((2, 3, 3), (8, 7, 7)), relative_index((8, 7, 7), (8, 7, 7))[:18, :18]
    )


@given(data=st.data(), window=sizes, counts=sizes)
def test_same_region_forbids_exactly_the_pairs_across_the_seam(data, window, counts):
    size = tuple(w * c for w, c in zip(window, counts, strict=True))
    shift = tuple(data.draw(st.integers(0, w - 1)) for w in window)
    allowed = same_region(size, window, shift)
    # Where each place of the rolled grid was before, and where it is now.
    now = torch.stack(torch.meshgrid(*map(torch.arange, size), indexing="ij"), -1)
    before = now.roll([-s for s in shift], (0, 1, 2))
    now, before = cut_windows(now[None], window)[0], cut_windows(before[None], window)[0]
    distance_now = now[:, :, None] - now[:, None]  # [windows, tokens, tokens, 3]
    distance_before = before[:, :, None] - before[:, None]
    assert torch.equal(allowed, (distance_now == distance_before).all(-1))


def test_same_region_takes_the_size_before_padding():
    assert torch.equal(
        same_region((3, 5, 6), (2, 4, 4), (1, 2, 2)), same_region((4, 8, 8), (2, 4, 4), (1, 2, 2))
    )


@pytest.mark.parametrize("size", [(4, 4, 4), (2, 8, 2)])
def test_without_a_shift_every_pair_is_allowed(size):
    assert same_region(size, (2, 2, 2), (0, 0, 0)).all()
