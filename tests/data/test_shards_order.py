"""The order of batches from shards: every row once, shared without overlap, exactly resumed."""

from collections import Counter
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


shares = st.floats(0.05, 0.95)


@given(lengths, lengths, st.integers(2, 8), shares, st.integers(0, 60), st.integers(1, 3))
def test_a_saved_position_is_exact(videos, images, batch_size, share, steps, together):
    rows = rows_of([*videos, 8], [*images, 8])
    images_wanted = round(share * batch_size)
    if not 0 < images_wanted < batch_size:
        with pytest.raises(UserError, match="image share"):
            ShardBatches(rows, batch_size, image_share=share)
        return
    options = {"seed": 7, "image_share": share, "together": together}
    first = ShardBatches(rows, batch_size, **options)
    stream = endless(first)
    for _ in range(steps):
        next(stream)
    state = first.state_dict()
    second = ShardBatches(rows, batch_size, **options)
    second.load_state_dict(state)
    resumed = endless(second)
    assert [next(resumed) for _ in range(20)] == [next(stream) for _ in range(20)]


@given(lengths, lengths, st.integers(2, 9), st.data())
def test_images_and_videos_in_proportion(videos, images, batch_size, data):
    rows = rows_of([*videos, 9], [*images, 9])
    count = data.draw(st.integers(1, batch_size - 1))
    batches = ShardBatches(rows, batch_size, 1, image_share=count / batch_size)
    split = sum(map(len, rows.ranges("video")))
    shown = Counter()
    stream = endless(batches)
    for _ in range(40):
        batch = next(stream)
        assert len(set(batch)) == batch_size
        assert sum(index >= split for index in batch) == count
        shown.update(batch)
        # Within a kind no row is shown a third time before nearly every one was shown a first.
        for kind, one in ((range(split), batch_size - count), (range(split, len(rows)), count)):
            seen = [shown[index] for index in kind]
            passes = max(seen)
            assert sum(seen) <= passes * len(kind)
            assert sum(seen) >= (passes - 1) * (len(kind) - one + 1)


def test_processes_keep_the_proportion():
    rows = rows_of([20, 20], [20, 20])
    for rank in range(4):
        share = ShardBatches(rows, 16, image_share=0.25, rank=rank, world_size=4)
        assert all(sum(index >= 40 for index in batch) == 1 for batch in share)


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
        {"image_share": 0.5},
        {"image_share": None},
        {"together": 2},
        {"seed": 1},
        {"batch_size": 5},
    ],
)
def test_a_position_of_another_order_is_refused(other):
    settings = {"rows": rows_of([10, 10], [20]), "batch_size": 4, "image_share": 0.25}
    state = ShardBatches(**settings).state_dict()
    assert ShardBatches(**settings).load_state_dict(state) is None
    with pytest.raises(UserError, match="resume with the settings"):
        ShardBatches(**settings | other).load_state_dict(state)


def test_impossible_orders():
    with pytest.raises(UserError, match="0 images"):
        ShardBatches(rows_of([20]), 4, image_share=0.5)
    with pytest.raises(UserError, match="does not divide among 3"):
        ShardBatches(rows_of([20]), 4, world_size=3)
    with pytest.raises(UserError, match="together=0"):
        ShardBatches(rows_of([20]), 4, together=0)
