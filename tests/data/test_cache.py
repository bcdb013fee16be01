"""The cache of decoded clips: each clip once, whoever decodes it, and what it refuses."""

import json
import multiprocessing
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from snpkit.data import cache as cache_module
from snpkit.data import decoding
from snpkit.data.cache import FrameCache, clip_name
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.decoding import kept_frames
from snpkit.data.loader import ShuffledBatches, make_loader
from snpkit.data.samples import Manifest, VideoText
from snpkit.errors import PassingError, UserError, VideoError
from snpkit.video.reader import open_index, read_clips
from tests.data.conftest import SIZE, row
from tests.video.films import numbers, write_film


@pytest.mark.parametrize("kept", [None, 6])
def test_of_a_damaged_film_the_cache_holds_what_can_be_decoded(tmp_path, kept):
    content = bytearray(write_film(tmp_path / "0.mp4", 16, 64, 64).read_bytes())
    pictures, behind = content.index(b"mdat") + 4, content.index(b"moov") - 4
    for number, lost in ((1, slice(pictures + 900, pictures + 1200)), (2, slice(pictures, behind))):
        damaged = content.copy()
        damaged[lost] = bytes(lost.stop - lost.start)
        (tmp_path / f"{number}.mp4").write_bytes(damaged)
    part = VideoText("part", "1.mp4", "its second half", "train", start=0.8)
    rows = Manifest(tmp_path, [row(0), row(1), row(2), part])
    made = FrameCache.build(rows, SIZE, kept=kept, max_unreadable=0.5, progress=False)
    assert set(made.report.reasons) == {"2.mp4"}
    with pytest.raises(VideoError, match="damaged"):
        made.read(row(2), 1, 1, None)
    counts = {"1.mp4": kept or 13, clip_name(part): kept or 8}  # 3 of 16 frames are lost
    for shown in (row(1), part):
        count = counts[clip_name(shown)]
        assert len(made.spans[clip_name(shown)]) == count
        read = read_clips(tmp_path / "1.mp4", 1, count, size=SIZE, start=shown.start)
        assert torch.equal(made.read(shown, 1, count, None), read)


def test_the_cache_holds_each_clip_once(manifest, cached):
    rows = manifest.rows
    twice = Manifest(manifest.root, [rows[0], VideoText("again", "0.mp4", "other words", "train")])
    made = FrameCache.build(twice, SIZE, progress=False)
    assert made.frames.shape == (8, 3, SIZE, SIZE)
    shown = {clip_name(row) for row in rows} - {"4.mp4", "9.mp4"}
    assert set(cached.spans) == shown
    assert len(cached.frames) == sum(map(len, cached.spans.values()))
    for name, span in list(cached.spans.items())[:10]:
        found = numbers(cached.frames[span.start : span.stop])
        assert found == list(range(8 + int(name.split(".")[0]) % 6))


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_do_not_change_the_cache(manifest, cached, workers):
    made = FrameCache.build(manifest, SIZE, workers=workers, progress=False)
    assert made.spans == cached.spans and (made.frames == cached.frames).all()


def test_a_cache_too_large_is_refused_before_it_is_filled(manifest, monkeypatch):
    monkeypatch.setattr(decoding, "read_indexed", None)  # decoding would fail
    with pytest.raises(UserError, match=r"take 0\.0 GB, more than the 0\.0001 GB"):
        FrameCache.build(manifest, SIZE, max_gigabytes=0.0001, progress=False)


def test_an_interrupt_leaves_the_rest_alone(manifest, monkeypatch):
    begun = []

    def interrupted(path: Path) -> None:
        begun.append(path)
        if len(begun) == 1:
            raise KeyboardInterrupt
        time.sleep(0.3)  # time for the main thread to call the rest off
        raise VideoError("interrupted")

    monkeypatch.setattr(decoding, "open_index", interrupted)
    with pytest.raises(KeyboardInterrupt):
        FrameCache.build(manifest, SIZE, workers=1, progress=False)
    assert len(begun) < len(manifest.rows)


# Frames on disk


def refuse_to_decode(monkeypatch):
    monkeypatch.setattr(decoding, "open_index", None)


def test_frames_on_disk_are_those_in_memory_and_outlive_the_run(
    manifest, cached, tmp_path, monkeypatch
):
    made = FrameCache.build(manifest, SIZE, folder=tmp_path, progress=False)
    assert made.spans == cached.spans and (made.frames == cached.frames).all()
    refuse_to_decode(monkeypatch)
    again = FrameCache.build(manifest, SIZE, folder=tmp_path, progress=False)
    assert again.spans == cached.spans and (again.frames == cached.frames).all()
    assert again.report.reasons == cached.report.reasons
    travelled = pickle.loads(pickle.dumps(again))
    assert len(pickle.dumps(again)) < 10_000 and (travelled.frames == cached.frames).all()


@pytest.mark.parametrize("change", ["size", "kept", "file"])
def test_what_is_kept_for_other_frames_is_not_taken(change, tmp_path):
    write_film(tmp_path / "0.mp4", 12, 64, 64)
    one = Manifest(tmp_path, [row(0)])
    first = FrameCache.build(one, SIZE, folder=tmp_path / "kept", progress=False)
    size, kept = SIZE, None
    if change == "size":
        size = SIZE + 8
    elif change == "kept":
        kept = 3
    else:
        write_film(tmp_path / "0.mp4", 9, 64, 64)
    second = FrameCache.build(one, size, kept=kept, folder=tmp_path / "kept", progress=False)
    assert second.frames.shape != first.frames.shape


@pytest.mark.parametrize("left", ["frames", "short", "long"])
def test_what_a_killed_run_left_is_made_anew(manifest, cached, tmp_path, left):
    made = FrameCache.build(manifest, SIZE, folder=tmp_path, progress=False)
    place = made.file.parent
    if left == "short":
        with open(place / "frames", "rb+") as file:
            file.truncate(1000)
    elif left == "long":  # killed while it added the frames of one more clip
        with open(place / "frames", "ab") as file:
            file.write(bytes(1000))
    else:
        (place / "index.json").unlink()
    again = FrameCache.build(manifest, SIZE, folder=tmp_path, progress=False)
    assert (again.frames == cached.frames).all()
    assert {path.name for path in place.iterdir()} == {"frames", "index.json"}
    assert json.loads((place / "index.json").read_text())["shape"] == list(cached.frames.shape)


def test_a_failure_leaves_no_file_behind(manifest, tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        FrameCache.build(manifest, SIZE, folder=tmp_path, max_unreadable=0, progress=False)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith("frames")]


def test_a_disk_too_small_is_found_out_before_anything_is_decoded(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "read_indexed", None)
    usage = type("Usage", (), {"free": 1e9 + 1000})
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"has 1\.0 GB free; keep fewer frames"):
        FrameCache.build(manifest, SIZE, folder=tmp_path, progress=False)


def test_what_failed_in_passing_is_tried_again_and_added(manifest, cached, tmp_path, monkeypatch):
    def slow(path):
        if path.name in ("2.mp4", "5.mp4"):
            raise PassingError(f"{path} takes longer than 1 s to read.")
        return open_index(path)

    options = {"folder": tmp_path, "max_unreadable": 0.3, "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "open_index", slow)
        first = FrameCache.build(manifest, SIZE, **options)
    assert first.report.passing == {"2.mp4", "5.mp4"} == cached.spans.keys() - first.spans.keys()
    read = []
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "open_index", lambda path: read.append(path.name) or slow(path))
        with pytest.raises(UserError, match=r"4 of 14 clips"):  # those before are as they were
            FrameCache.build(manifest, SIZE, **options | {"max_unreadable": 0.2})
    assert sorted(read) == ["2.mp4", "5.mp4"]
    for _ in range(2):
        whole = FrameCache.build(manifest, SIZE, **options)
        assert whole.report.reasons == cached.report.reasons and not whole.report.passing
        assert whole.spans.keys() == cached.spans.keys()
        for name, span in cached.spans.items():
            ours, theirs = whole.spans[name], cached.frames[span.start : span.stop]
            assert torch.equal(whole.frames[ours.start : ours.stop], theirs)
        refuse_to_decode(monkeypatch)  # the second one finds all of it


def build_in_process(manifest, folder, answers):
    begun = []
    honest = decoding.read_indexed
    decoding.read_indexed = lambda *a, **o: begun.append(1) or honest(*a, **o)
    made = FrameCache.build(manifest, SIZE, folder=folder, progress=False)
    answers.put((len(begun), int(made.frames.sum(dtype=torch.int64))))


def test_processes_that_want_the_same_frames_decode_them_once(manifest, cached, tmp_path):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    both = [
        context.Process(target=build_in_process, args=(manifest, tmp_path, answers))
        for _ in range(2)
    ]
    for process in both:
        process.start()
    found = sorted(answers.get(timeout=120) for _ in both)
    for process in both:
        process.join()
    assert found[0][0] == 0 and found[1][0] == len(cached.spans)
    assert found[0][1] == found[1][1] == int(cached.frames.sum(dtype=torch.int64))


@pytest.mark.parametrize(("frames", "kept"), [(100, 20), (7, 20), (97, 12), (5, 1)])
def test_kept_frames_are_spread_evenly(frames, kept):
    chosen = kept_frames(range(3, 3 + frames), kept)
    assert len(chosen) == min(frames, kept)
    assert chosen[0] >= 3 and chosen[-1] < 3 + frames and (np.diff(chosen) > 0).all()
    if frames > kept:
        assert np.abs(chosen - 3 - (np.arange(kept) + 0.5) * frames / kept).max() <= 1


def test_a_cache_of_few_frames_keeps_the_middle_of_each_range(tmp_path):
    write_film(tmp_path / "0.mp4", 60, 64, 64)
    one = Manifest(tmp_path, [row(0)])
    whole = FrameCache.build(one, SIZE, progress=False)
    few = FrameCache.build(one, SIZE, kept=12, progress=False)
    assert len(few.frames) == 12
    assert numbers(few.read(row(0), 4, 1, None)[:, 0]) == numbers(
        whole.read(row(0), 4, 1, None)[:, 0]
    )


def test_workers_read_from_the_disk(manifest, cached, tmp_path, monkeypatch):
    monkeypatch.setenv("SNPKIT_CACHE", str(tmp_path))
    options = {"progress": False, "max_unreadable": 0.3}
    sampling = (manifest, 2, 1, SIZE, True)
    disk = VideoTextDataset(*sampling, cache="disk", **options)
    memory = VideoTextDataset(*sampling, cache=cached, **options)
    assert disk.cache.file.is_relative_to(tmp_path)
    loaders = [
        make_loader(data, ShuffledBatches(len(data), 4, seed=1), workers, context="fork")
        for data, workers in ((disk, 2), (memory, 0))
    ]
    for _, one, other in zip(range(5), *loaders, strict=False):
        assert one["captions"] == other["captions"] and (one["frames"] == other["frames"]).all()
    assert os.path.getsize(disk.cache.file) == disk.cache.frames.numel()
