"""The data set: what an item shows, from memory and from files, and what replaces a bad video."""

from pathlib import Path

import numpy as np
import pytest
import torch

from snpkit.data.cache import FrameCache
from snpkit.data.dataset import VideoTextDataset, collate
from snpkit.data.samples import Manifest, VideoText
from snpkit.errors import AnnotationError, UserError
from snpkit.video.reader import read_clips
from tests.data.conftest import BAD, SIZE, row
from tests.video.films import numbers


def make(manifest: Manifest, cache: bool | FrameCache = False, **settings: object):
    values = {"clips": 2, "frames": 2, "size": SIZE, "training": True, "seed": 0} | settings
    return VideoTextDataset(manifest, **values, cache=cache, progress=False)


def same(first: dict, second: dict) -> bool:
    equal = (first["frames"] == second["frames"]).all()
    return bool(equal) and first["index"] == second["index"]


def test_an_item(manifest):
    item = make(manifest)[3]
    assert item["frames"].shape == (2, 2, 3, SIZE, SIZE) and item["frames"].dtype == torch.uint8
    assert (item["caption"], item["index"], item["unreadable"]) == ("caption 3", 3, {})


@pytest.mark.parametrize("from_memory", [False, True])
def test_testing_takes_the_middle_frames(manifest, cached, from_memory):
    dataset = make(manifest, cached if from_memory else False, training=False)
    expected = read_clips(manifest.root / "3.mp4", 2, 2, size=SIZE)
    for epoch in (0, 5):
        dataset.set_epoch(epoch)
        assert (dataset[3]["frames"] == expected).all()


@pytest.mark.parametrize("from_memory", [False, True])
def test_testing_takes_the_lower_middle_frames_where_asked(manifest, cached, from_memory):
    cache = cached if from_memory else False
    for number, expected in ((0, [0, 2, 4, 6]), (2, [0, 3, 5, 8])):  # films of 8 and 10 frames
        dataset = make(manifest, cache, training=False, middle="lower")
        assert numbers(dataset[number]["frames"].flatten(0, 1)) == expected
        upper = make(manifest, cache, training=False)[number]["frames"]
        assert numbers(upper.flatten(0, 1)) != expected
        drawn = [make(manifest, cache, middle=name)[number] for name in ("lower", "upper")]
        assert same(*drawn)  # in training frames are drawn


@pytest.mark.parametrize("training", [False, True])
def test_memory_and_files_give_the_same_items(manifest, cached, training):
    from_memory = make(manifest, cached, training=training)
    from_files = make(manifest, training=training)
    for index in range(len(manifest.rows)):
        assert same(from_memory[index], from_files[index])
    assert from_memory.report().reasons == from_files.report().reasons


def test_items_depend_on_seed_epoch_and_index_only(manifest, cached):
    dataset = make(manifest, cached)
    items = [dataset[index] for index in range(12)]
    again = make(manifest, cached)
    for index in reversed(range(12)):
        assert same(again[index], items[index])
    dataset.set_epoch(1)
    second = [dataset[index] for index in range(12)]
    assert not all(map(same, items, second))
    assert all(same(again[1, index], second[index]) for index in range(12))
    assert not all(same(make(manifest, cached, seed=1)[index], items[index]) for index in range(12))


def test_windows_show_their_frames_only(manifest, cached):
    for index, shown in ((12, {0, 1, 2, 3}), (13, {4, 5, 6, 7})):
        for dataset in (make(manifest, cached, size=SIZE), make(manifest, size=SIZE)):
            drawn = set()
            for epoch in range(20):
                drawn |= set(numbers(dataset[epoch, index]["frames"].flatten(0, 1)))
            assert drawn == shown


def test_another_sample_takes_the_place_of_a_bad_one(manifest, cached):
    for dataset in (make(manifest), make(manifest, cached)):
        for index in BAD:
            item = dataset[index]
            assert item["index"] not in BAD
            assert item["caption"] == manifest.rows[item["index"]].caption
            assert same(item, dataset[item["index"]]) and same(item, make(manifest)[index])
            assert f"{index}.mp4" in item["unreadable"]
        report = dataset.report()
        assert set(report.reasons) == {"4.mp4", "9.mp4"} and report.clips == 14
        assert "not a video" in report.reasons["4.mp4"]
    places = {seed: make(manifest, cached, seed=seed)[4]["index"] for seed in range(8)}
    assert len(set(places.values())) > 1


def test_a_bad_video_is_opened_once_only(manifest, monkeypatch):
    opened = []

    def watched(path: Path, *arguments: object, **options: object) -> torch.Tensor:
        opened.append(path.name)
        return read_clips(path, *arguments, **options)

    monkeypatch.setattr("snpkit.data.dataset.read_clips", watched)
    dataset = make(manifest)
    for _ in range(3):
        dataset[4]
    assert opened.count("4.mp4") == 1


def test_too_many_bad_videos_stop_the_run(manifest):
    with pytest.raises(UserError, match=r"2 of 14 clips .* 10% .*4\.mp4 is not a video"):
        FrameCache.build(manifest, SIZE, max_unreadable=0.1, progress=False)
    dataset = make(manifest, max_unreadable=0.1)
    dataset[4]
    with pytest.raises(UserError, match="2 of 14 clips"):
        dataset[9]


@pytest.mark.parametrize("cache", [False, True])
def test_nothing_readable(manifest, cache):
    bad = Manifest(manifest.root, [row(4), row(9), row(77)])
    with pytest.raises(UserError, match="3 of 3 clips cannot be read"):
        make(bad, cache, max_unreadable=1.0)[0]


def test_a_path_that_leaves_the_root_is_no_unreadable_video(manifest):
    leaving = Manifest(manifest.root, [row(0), VideoText("x", "../x.mp4", "caption", "train")])
    with pytest.raises(AnnotationError, match="stay below"):
        make(leaving)[1]
    with pytest.raises(AnnotationError, match="stay below"):
        make(leaving, True)


def test_impossible_settings(manifest, cached):
    with pytest.raises(UserError, match="0 clips"):
        make(manifest, clips=0)
    with pytest.raises(UserError, match="0 rows"):
        make(Manifest(manifest.root, []))
    with pytest.raises(UserError, match="other frames than 24 x 24"):
        make(manifest, cached, size=24)
    with pytest.raises(IndexError):
        make(manifest)[14]
    assert make(manifest)[-1]["index"] == 13


def test_collate(manifest, cached):
    dataset = make(manifest, cached)
    batch = collate([dataset[index] for index in (3, 4, 5)])
    assert batch["frames"].shape == (3, 2, 2, 3, SIZE, SIZE)
    replaced = dataset[4]["index"]
    assert batch["index"].tolist() == [3, replaced, 5]
    assert batch["captions"] == ["caption 3", manifest.rows[replaced].caption, "caption 5"]
    assert set(batch["unreadable"]) >= {"4.mp4"}
    assert np.array_equal(batch["frames"][2], dataset[5]["frames"])
