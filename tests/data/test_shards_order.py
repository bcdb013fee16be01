"""The order of batches from shards: every row once, shared without overlap, exactly resumed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data.shards import Shard, ShardRows
from snpkit.data.shards_order import ShardBatches
from snpkit.errors import UserError


def rows_of(videos, images=()):
    """Rows of shards of these lengths; nothing of them is ever read."""
    lengths = [("video", count) for count in videos] + [("image", count) for count in images]
    shards = [
        Shard(Path("nowhere"), f"train-{kind}-{number:06d}", "train", kind, count, count, count)
        for number, (kind, count) in enumerate(lengths)
    ]
    return ShardRows(shards)


def endless(batches):
    while True:
        yield from batches


lengths = st.lists(st.integers(1, 12), min_size=1, max_size=8)


@given(lengths, st.integers(1, 9), st.integers(0, 3), st.integers(1, 5))
def test_an_epoch_takes_every_row_once(videos, batch_size, seed, together):
    rows = rows_of(videos)
    if len(rows) < batch_size:
        with pytest.raises(UserError, match="smaller batch size"):
            ShardBatches(rows, batch_size)
        return
    batches = ShardBatches(rows, batch_size, seed, together=together)
    for epoch in range(3):
        assert batches.epoch == epoch
        flat = [index for batch in batches for index in batch]
        assert len(flat) == len(set(flat)) == len(rows) // batch_size * batch_size
        assert set(flat) <= set(range(len(rows)))


@given(lengths, st.sampled_from([2, 3, 4]), st.integers(1, 3), st.integers(0, 3))
def test_processes_share_each_batch(videos, world, times, seed):
    rows, size = rows_of([*videos, 12]), world * times
    whole = list(ShardBatches(rows, size, seed))
    options = {"world_size": world}
    shares = [list(ShardBatches(rows, size, seed, rank=rank, **options)) for rank in range(world)]
    for number, batch in enumerate(whole):
        parts = [share[number] for share in shares]
        assert {len(part) for part in parts} == {times}
        assert sorted(index for part in parts for index in part) == sorted(batch)


@given(lengths, lengths, st.integers(2, 8), st.integers(0, 60), st.integers(1, 3))
def test_a_saved_position_is_exact(videos, images, batch_size, steps, together):
    rows = rows_of([*videos, 8], images)
    options = {"seed": 7, "together": together}
    first = ShardBatches(rows, batch_size, **options)
    stream = endless(first)
    for _ in range(steps):
        next(stream)
    state = first.state_dict()
    second = ShardBatches(rows, batch_size, **options)
    second.load_state_dict(state)
    resumed = endless(second)
    assert [next(resumed) for _ in range(20)] == [next(stream) for _ in range(20)]


@pytest.mark.parametrize(
    ("epoch", "position", "expected"),
    [
        (0, 0, [11, 14, 21, 13, 19, 20]),
        (0, 3, [17, 6, 1, 3, 4, 2]),
        (5, 1, [2, 9, 3, 1, 12, 14]),
    ],
)
def test_the_order_is_that_of_earlier_versions(epoch, position, expected):
    rows = rows_of([5, 3, 7], [4, 6])
    batches = ShardBatches(rows, 6, 3, together=2)
    # A position as it was saved when images and videos could be mixed in a given proportion.
    batches.load_state_dict(
        batches.state_dict() | {"images": -1, "epoch": epoch, "position": position}
    )
    assert next(iter(batches)) == expected


def test_reading_stays_within_a_few_shards():
    rows = rows_of([100] * 20)
    batches = [{index // 100 for index in b} for b in ShardBatches(rows, 50, together=4)]
    assert max(map(len, batches)) <= 4
    assert all(len(set.union(*batches[at : at + 8])) <= 4 for at in range(0, 40, 8))


def test_the_order_changes_with_seed_and_epoch():
    rows = rows_of([10] * 6)
    batches = ShardBatches(rows, 10, 0)
    first, second = list(batches), list(batches)
    assert first != second and first != list(ShardBatches(rows, 10, 1))
    assert first == list(ShardBatches(rows, 10, 0))


@pytest.mark.parametrize(
    "other",
    [
        {"rows": rows_of([11, 9], [20])},
        {"together": 2},
        {"seed": 1},
        {"batch_size": 5},
    ],
)
def test_a_position_of_another_order_is_refused(other):
    settings = {"rows": rows_of([10, 10], [20]), "batch_size": 4}
    state = ShardBatches(**settings).state_dict()
    assert ShardBatches(**settings).load_state_dict(state) is None
    with pytest.raises(UserError, match="resume with the settings"):
        ShardBatches(**settings | other).load_state_dict(state)


def test_impossible_orders():
    with pytest.raises(UserError, match="does not divide among 3"):
        ShardBatches(rows_of([20]), 4, world_size=3)
    with pytest.raises(UserError, match="together=0"):
        ShardBatches(rows_of([20]), 4, together=0)
