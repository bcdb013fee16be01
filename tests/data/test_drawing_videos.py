"""Epochs over videos: none twice in a batch, each once an epoch, captions equally often, exact."""

from collections import Counter
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data.loader import ShuffledBatches
from snpkit.data.samples import Manifest, VideoText
from snpkit.data.shards import Shard, ShardRows, open_shards
from snpkit.data.shards_order import ShardBatches
from snpkit.data.shards_writing import write_shards
from snpkit.data.video_ids import clip_numbers, video_id
from snpkit.errors import AnnotationError, UserError
from tests.video.films import write_film

# The clip of each row: some have many captions, and they need not stand side by side.
clips_of_rows = st.lists(st.integers(0, 12), min_size=1, max_size=60).map(
    lambda clips: np.unique(clips, return_inverse=True)[1]
)


def row(video, caption="a ball", **window):
    return VideoText("x", video, caption, "train", **window)


def take(order, count):
    batches = []
    while len(batches) < count:
        batches += list(order)
    return batches[:count]


@given(clips_of_rows, st.integers(1, 8), st.integers(0, 5), st.integers(1, 3))
def test_each_video_once_an_epoch_and_none_twice_in_a_batch(clips, batch_size, seed, group):
    videos = clips.max() + 1
    options = {"clips": clips, "kinds": np.arange(len(clips)) % 3, "group": group}
    if videos < batch_size:
        with pytest.raises(UserError, match=r"give no batch of \d+; choose a smaller batch size"):
            ShuffledBatches(len(clips), batch_size, seed, **options)
        return
    batches = ShuffledBatches(len(clips), batch_size, seed, **options)
    assert len(batches) == videos // batch_size
    for _ in range(3):
        shown = [clips[index] for batch in batches for index in batch]
        assert len(shown) == len(set(shown)) == len(batches) * batch_size
    whole = ShuffledBatches(len(clips), batch_size, seed, drop_last=False, **options)
    assert sorted(clips[index] for batch in whole for index in batch) == list(range(videos))


@given(clips_of_rows, st.integers(1, 4), st.sampled_from([1, 2, 3]), st.integers(0, 40))
def test_any_position_is_come_back_to_and_processes_share_each_batch(clips, times, world, steps):
    batch_size = times * world
    clips = np.concatenate([clips, clips.max() + 1 + np.arange(batch_size)])

    def order(**share):
        return ShuffledBatches(len(clips), batch_size, 7, clips=clips, **share)

    whole = take(order(), steps + 9)
    parts = [take(order(rank=rank, world_size=world), steps + 9) for rank in range(world)]
    for number, batch in enumerate(whole):
        assert sorted(index for part in parts for index in part[number]) == sorted(batch)
        assert {len(part[number]) for part in parts} == {times}
    first = order()
    while first.epoch * len(first) + first.position < steps:
        next(iter(first))
    second = order()
    second.load_state_dict(first.state_dict())
    assert take(second, 9) == whole[steps:]


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 5), st.integers(1, 4), st.data())
def test_with_one_caption_a_video_nothing_changes(size, batch_size, seed, group, data):
    kinds = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    options = {"drop_last": False, "kinds": kinds, "group": group}
    plain = ShuffledBatches(size, batch_size, seed, **options)
    drawn = ShuffledBatches(size, batch_size, seed, clips=np.arange(size), **options)
    assert plain.state_dict() == drawn.state_dict()  # runs resume across the change
    assert take(plain, 12) == take(drawn, 12)


def test_the_order_of_recorded_results_has_not_changed():
    """Written down before videos were drawn."""
    for options, expected in (
        ({}, "db7b930a3cc9fe45"),
        ({"kinds": np.arange(37) % 5, "group": 3}, "2ea74fbbab34e822"),
    ):
        order = ShuffledBatches(37, 5, 3, clips=np.arange(37), **options)
        epochs = repr([list(order) for _ in range(3)]).encode()
        assert blake2b(epochs, digest_size=8).hexdigest() == expected


def test_the_captions_of_a_video_are_drawn_equally_often():
    clips = np.array([0, 1, 1, 2, 2, 2, 0, 0, 0, 0])
    order = ShuffledBatches(10, 3, 1, clips=clips)
    epochs = 3000
    counts = Counter(index for _ in range(epochs) for batch in order for index in batch)
    for index, clip in enumerate(clips):
        share = 1 / (clips == clip).sum()
        deviation = (epochs * share * (1 - share)) ** 0.5
        assert abs(counts[index] - epochs * share) < 4 * deviation
    # A caption is drawn independently of those of other videos.
    order = ShuffledBatches(4, 2, 1, clips=np.array([0, 0, 1, 1]))
    pairs = Counter(tuple(sorted(batch)) for _ in range(2000) for batch in order)
    assert len(pairs) == 4 and all(abs(count - 500) < 80 for count in pairs.values())


def test_positions_of_captions_and_of_videos_are_told_apart():
    clips = np.array([0, 0, 1, 2])
    captions, videos = ShuffledBatches(4, 2), ShuffledBatches(4, 2, clips=clips)
    with pytest.raises(UserError, match=r"draws captions but .* resume with data\.draw=captions"):
        videos.load_state_dict(captions.state_dict())
    with pytest.raises(UserError, match=r"draws videos but .* resume with data\.draw=videos"):
        captions.load_state_dict(videos.state_dict())
    with pytest.raises(UserError, match="has videos 3 but this run has 2"):
        ShuffledBatches(4, 2, clips=np.array([0, 0, 1, 1])).load_state_dict(videos.state_dict())


def test_a_clip_is_a_file_and_a_window_and_an_id_is_of_the_file():
    rows = [row("b.mp4"), row("a.mp4"), row("./b.mp4"), row("a.mp4", start=1.0, end=2.0),
            row("c/../a.mp4"), row("a.mp4", start=1.0), row("a.mp4", start=0.0)]  # fmt: skip
    assert clip_numbers(rows).tolist() == [0, 1, 0, 2, 1, 3, 1]
    ids = [video_id(one) for one in rows]
    assert [ids.index(one) for one in ids] == [0, 1, 0, 1, 1, 1, 1]
    # The same in every process and version: a checkpoint's queue may hold them.
    digest = blake2b(b"a.mp4", digest_size=8).digest()
    assert ids[1] == int.from_bytes(digest, "little", signed=True)
    assert clip_numbers([]).tolist() == []


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30))
def test_clips_are_numbered_by_their_first_rows(names):
    expected = [list(dict.fromkeys(names)).index(name) for name in names]
    assert clip_numbers([row(f"{name}.mp4") for name in names]).tolist() == expected


class MadeUpRows(ShardRows):
    """Rows of shards in which clip c of shard s has counts[s][c] captions; no file is read."""

    def __init__(self, counts):
        super().__init__(
            Shard(Path("nowhere"), f"train-video-{number:06d}", "train", "video", len(clips),
                  len(clips), sum(clips))
            for number, clips in enumerate(counts)
        )  # fmt: skip
        self.clips = [f"{shard}-{clip}" for shard, clips in enumerate(counts)
                      for clip, count in enumerate(clips) for _ in range(count)]  # fmt: skip

    def _entry(self, index):
        return row(self.clips[index]), None


shard_counts = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=6), min_size=1, max_size=5)


@given(shard_counts, st.integers(1, 6), st.integers(1, 3), st.integers(0, 30))
def test_shards_show_each_video_once_and_resume(counts, batch_size, together, steps):
    rows = MadeUpRows([*counts, [2] * batch_size])
    options = {"together": together, "draw_videos": True}

    def order(**more):
        return ShardBatches(rows, batch_size, 5, **options, **more)

    first = order()
    assert len(first) == rows.clip_count() // batch_size
    for _ in range(3):
        shown = [rows.clips[index] for batch in first for index in batch]
        assert len(shown) == len(set(shown)) == len(first) * batch_size
    whole = take(order(), steps + 9)
    second = order()
    while second.epoch * len(second) + second.position < steps:
        next(iter(second))
    third = order()
    third.load_state_dict(second.state_dict())
    assert take(third, 9) == whole[steps:]


def test_shards_with_one_caption_a_video_are_not_read_for_the_order():
    rows = MadeUpRows([[1] * 9, [1] * 5])
    rows._entry = None
    plain, drawn = (ShardBatches(rows, 3, 2, draw_videos=draw) for draw in (False, True))
    assert plain.state_dict() == drawn.state_dict()
    assert take(plain, 12) == take(drawn, 12)


def test_shards_with_another_number_of_clips_than_their_index_says():
    rows = MadeUpRows([[2, 2, 2]])
    rows.shards = (replace(rows.shards[0], clips=4),)
    with pytest.raises(AnnotationError, match="show 3 clips, but the index of their shard says 4"):
        list(ShardBatches(rows, 2, draw_videos=True))


def test_written_shards_keep_the_captions_of_a_video_together(tmp_path):
    rows = []
    for number in range(6):
        write_film(tmp_path / f"{number}.mp4", 4, 32, 32)
    for number in range(18):  # captions of a video lie far apart
        rows.append(VideoText(str(number), f"{number % 6}.mp4", f"caption {number}", "train"))
    write_shards(Manifest(tmp_path, rows), tmp_path / "shards", size=32, per_shard=2, workers=1,
                 progress=False)  # fmt: skip
    shards = open_shards(tmp_path / "shards").rows
    assert len(shards.shards) == 3
    for batch in take(ShardBatches(shards, 6, together=1, draw_videos=True), 5):
        assert len({shards[index].video for index in batch}) == 6
