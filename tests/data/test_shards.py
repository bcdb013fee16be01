"""Shards: what goes in comes out, to the frame; interrupted, damaged and hostile ones."""

import json
import os
import pickle
import re
import shutil
import tarfile
from multiprocessing import get_all_start_methods

import numpy as np
import pytest
import torch
from PIL import Image

from snpkit.data import shards_writing
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.loader import make_loader
from snpkit.data.samples import Manifest, VideoText
from snpkit.data.shards import is_sharded, open_shards
from snpkit.data.shards_order import ShardBatches
from snpkit.data.shards_packing import pack_clip
from snpkit.data.shards_webdataset import webdataset_stream
from snpkit.data.shards_writing import write_shards
from snpkit.errors import AnnotationError, PassingError, UserError, VideoError
from snpkit.video.guarded import ReaderPool
from snpkit.video.reader import open_index, probe, read_all, read_clips
from tests.video.films import numbers, uneven_times, write_film

SIZE = 32
BAD = "3.mp4"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Manifest:
    """Six films (one unreadable, one with two captions and a window), three images, one test."""
    folder = tmp_path_factory.mktemp("films")
    rows = []
    for number in range(6):
        write_film(folder / f"{number}.mp4", 8 + number, 96, 64)
        rows.append(VideoText(f"v{number}", f"{number}.mp4", f"caption {number}", "train"))
    (folder / BAD).write_text("not a film")
    again = "other\u2028 words\x85"  # breaks of lines to Python, but not in a file of JSON lines
    rows.append(VideoText("again", "1.mp4", again, "train", extra={"source": "me"}))
    rows.append(VideoText("window", "2.mp4", "a part", "train", start=0.2, end=0.7))
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (48, 72, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(VideoText(f"i{number}", f"{number}.png", f"image {number}", "train", "image"))
    rows.append(VideoText("t", "0.mp4", "tested", "te/st"))
    return Manifest(folder, rows)


@pytest.fixture(scope="module", autouse=True)
def in_this_process():
    """Packing without processes: those have tests of their own, and one below."""

    class Here(ReaderPool):
        def map(self, function, jobs):
            for path, options in jobs:
                try:
                    yield path, function(path, **options)
                except VideoError as error:
                    yield path, error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards_writing, "ReaderPool", Here)
        yield


def write(manifest, folder, **options):
    values = {"size": SIZE, "per_shard": 2, "progress": False} | options
    return write_shards(manifest, folder, **values)


@pytest.fixture(scope="module")
def written(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    return folder, write(manifest, folder)


@pytest.fixture
def copy(written, tmp_path):
    return shutil.copytree(written[0], tmp_path / "copy")


def test_every_row_comes_back(manifest, written):
    folder, done = written
    assert set(done.report.reasons) == {BAD} and "not a video" in done.report.reasons[BAD]
    assert json.loads((folder / "shards.json").read_text())["unreadable"] == done.report.reasons
    rows = open_shards(folder).rows
    expected = [row for row in manifest.rows if row.video != BAD]
    by_id = {row.id: row for row in expected}
    assert len(rows) == len(expected) and {row.id: row for row in rows} == by_id
    assert [rows[index] for index in range(len(rows))] == list(rows) == rows[:]
    assert rows.splits == ("te/st", "train") and rows[-1].id == "t"
    train = open_shards(folder).split("train")
    assert len(train.rows) == len(expected) - 1 and train.rows.clip_count() == 5 + 1 + 3
    with pytest.raises(IndexError):
        rows[len(rows)]


def test_a_clip_is_stored_once(written):
    rows = open_shards(written[0]).rows
    places = {row.id: rows.member(index) for index, row in enumerate(rows)}
    assert places["v1"] == places["again"] and places["v2"] == places["window"]
    assert len(set(places.values())) == len(rows) - 2 == sum(s.files for s in rows.shards)


def test_only_clips_and_json_are_in_the_tar(written):
    for path in written[0].glob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                assert member.isreg() and member.name.rpartition(".")[2] in ("mp4", "jpg", "json")
                assert "/" not in member.name and (member.uid, member.mtime) == (0, 0)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("fit", ["crop", "long"])
def test_items_are_those_of_the_files(manifest, tmp_path, training, fit):
    write(manifest, tmp_path, size=0)
    shards = open_shards(tmp_path).split("train")
    settings = {"training": training, "seed": 3, "fit": fit, "min_scale": 0.5, "progress": False}
    ours = VideoTextDataset(shards, 2, 2, SIZE, **settings)
    theirs = VideoTextDataset(Manifest(manifest.root, shards.rows[:]), 2, 2, SIZE, **settings)
    for index in range(len(ours)):
        for key in (index, (4, index)):
            one, other = ours[key], theirs[key]
            assert one.keys() == other.keys() and one["caption"] == other["caption"]
            assert torch.equal(one["frames"], other["frames"])
            if fit == "long":
                assert torch.equal(one["pixel_mask"], other["pixel_mask"])


@pytest.mark.parametrize(
    "film",
    [
        {},
        {"rotation": 90},
        {"milliseconds": uneven_times(24, first=700)},
        {"width": 64, "height": 130},
        {"codec": "mpeg2video"},
        {"pixels": "yuv420p10le"},
    ],
)
def test_a_shrunk_video_shows_the_same_frames_at_the_same_times(tmp_path, film):
    suffix = ".mpg" if "codec" in film else ".mp4"
    settings = {"width": 130, "height": 64, "rate": 25 if "codec" in film else 10} | film
    source = write_film(tmp_path / f"source{suffix}", **settings)
    small = tmp_path / "small.mp4"
    small.write_bytes(pack_clip(source, size=48))
    old, new = open_index(source), open_index(small)
    assert new.info.frames == old.info.frames and new.plain
    assert min(new.info.width, new.info.height) == 48
    assert new.info.width / new.info.height == pytest.approx(
        old.info.width / old.info.height, rel=0.05
    )
    assert np.allclose(new.times, old.times, atol=1e-4) and abs(new.duration - old.duration) < 0.01
    ours, theirs = read_clips(small, 2, 4, size=48), read_clips(source, 2, 4, size=48)
    assert (ours.float() - theirs.float()).abs().mean() < 12
    if "rotation" not in film:
        assert numbers(read_all(small)) == numbers(read_all(source))


def test_nothing_is_scaled_up_and_other_containers_become_mp4(tmp_path):
    film = write_film(tmp_path / "film.mkv", 9, 40, 30)
    for size in (64, 0):
        (tmp_path / "packed.mp4").write_bytes(pack_clip(film, size=size))
        info = probe(tmp_path / "packed.mp4")
        assert (info.frames, info.width, info.height) == (9, 40, 30)


def test_the_same_manifest_gives_the_same_bytes(manifest, written, tmp_path):
    write(manifest, tmp_path)
    for path in written[0].iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_an_interrupted_run_goes_on(manifest, written, tmp_path, monkeypatch):
    taken = []

    def stop(path, *, size):
        taken.append(path.name)
        if len(taken) == 5:
            raise KeyboardInterrupt
        return pack_clip(path, size=size)

    monkeypatch.setattr(shards_writing, "pack_clip", stop)
    with pytest.raises(KeyboardInterrupt):
        write(manifest, tmp_path)
    assert not is_sharded(tmp_path) and not list(tmp_path.glob(".*"))
    with pytest.raises(UserError, match="no finished shards; run `snpkit shard`"):
        open_shards(tmp_path)
    done = write(manifest, tmp_path)
    assert done.reused == 2 and taken[5:] == ["4.mp4", "5.mp4", "0.png", "1.png", "2.png", "0.mp4"]
    names = {path.name for path in written[0].iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert all((tmp_path / n).read_bytes() == (written[0] / n).read_bytes() for n in names)


def test_what_has_changed_is_written_again(manifest, tmp_path):
    films = shutil.copytree(manifest.root, tmp_path / "films")
    manifest = Manifest(films, manifest.rows)
    folder = tmp_path / "shards"
    shards = len(write(manifest, folder).shards)
    assert write(manifest, folder).reused == shards
    write_film(films / "5.mp4", 20, 64, 64)
    assert write(manifest, folder).reused == shards - 1
    shard = next(folder.glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:-512])
    assert write(manifest, folder).reused == shards - 1
    assert write(manifest, folder, size=16).reused == 0


def test_what_failed_in_passing_is_tried_again(manifest, written, tmp_path, monkeypatch):
    def slow(path, *, size):
        if path.name == "4.mp4":
            raise PassingError(f"{path} takes longer than 1 s to read.")
        return pack_clip(path, size=size)

    with monkeypatch.context() as patch:
        patch.setattr(shards_writing, "pack_clip", slow)
        assert set(write(manifest, tmp_path).report.reasons) == {BAD, "4.mp4"}
    done = write(manifest, tmp_path)
    assert done.reused == len(done.shards) - 1 and set(done.report.reasons) == {BAD}
    for path in written[0].iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_packed_in_processes(manifest, written, tmp_path, monkeypatch):
    monkeypatch.setattr(shards_writing, "ReaderPool", ReaderPool)
    done = write(manifest, tmp_path, workers=2)
    assert done.report.reasons == written[1].report.reasons
    name = "train-video-000001.tar"
    assert (tmp_path / name).read_bytes() == (written[0] / name).read_bytes()


@pytest.mark.skipif("fork" not in get_all_start_methods(), reason="no fork here")
def test_workers_read_the_same_batches(written):
    def loader(workers, context=None):
        rows = pickle.loads(pickle.dumps(open_shards(written[0])))  # as for a worker by "spawn"
        dataset = VideoTextDataset(rows.split("train"), 1, 2, SIZE, True)
        batches = ShardBatches(dataset.manifest.rows, 3, 5, together=2)
        return make_loader(dataset, batches, workers, context=context)

    expected = loader(0)
    for ours, theirs in zip(loader(2, "fork"), expected, strict=True):
        assert torch.equal(ours["frames"], theirs["frames"])
        assert ours["captions"] == theirs["captions"]


def test_a_damaged_clip_names_the_shard(copy):
    manifest = open_shards(copy)
    place = manifest.rows.member(0)
    content = bytearray(place.tar.read_bytes())
    content[place.offset : place.offset + place.bytes] = b"x" * place.bytes
    place.tar.write_bytes(content)
    sentence = r"^000000000\.mp4 in .*train-video-000000\.tar is not a video"
    with pytest.raises(VideoError, match=sentence), place.as_file() as path:
        read_clips(path)


def _edit(path, number, change):
    lines = path.read_text().split("\n")
    lines[number] = json.dumps(json.loads(lines[number]) | change)
    path.write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"file": "../../etc/passwd"}, "must be such as"),
        ({"file": "000000000.pyd"}, "must be such as"),
        ({"file": "000000000.pickle"}, "must be such as"),
        ({"file": None}, "must be such as"),
        ({"offset": -512}, "no place"),
        ({"offset": True}, "no place"),
        ({"bytes": 10**12}, "beyond the end"),
        ({"offset": 10**30}, "beyond the end"),
        ({"rows": [{"id": 3}]}, "is missing|must be text"),
        ({"rows": 3}, "no clip"),
        ({"rows": []}, "shards.json says"),
    ],
)
def test_a_wrong_table_is_refused(copy, change, problem):
    _edit(copy / "train-video-000000.jsonl", 1, change)
    with pytest.raises(AnnotationError, match=problem) as caught:
        open_shards(copy).rows[0]
    assert "train-video-000000.jsonl" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../../x-video-000000"},
        {"name": "/etc/x-video-000000"},
        {"name": "train-video-000000\n"},
        {"rows": -1},
        {"files": True},
        {"split": None},
        {"kind": "sound"},
        {"rows": 10**19},
        {"clips": 0},
        {"clips": 10**19},
        {"files": 0},
        {"bytes": "many"},
    ],
)
def test_a_wrong_index_is_refused(copy, change):
    index = json.loads((copy / "shards.json").read_text())
    index["shards"][0] |= change
    (copy / "shards.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="is not the index"):
        open_shards(copy)


def test_a_sparse_tar_of_a_terabyte_takes_no_memory(copy):
    index, length = json.loads((copy / "shards.json").read_text()), 10**12
    with open(copy / "train-video-000000.tar", "rb+") as tar:
        header = tarfile.TarInfo("000000000.mp4")
        header.size = length
        tar.write(header.tobuf(format=tarfile.GNU_FORMAT))
        tar.truncate(length + 10_240)
    index["shards"][0]["bytes"] = length + 10_240
    (copy / "shards.json").write_text(json.dumps(index))
    _edit(copy / "train-video-000000.jsonl", 1, {"bytes": length})
    with pytest.raises(AnnotationError, match=r"line 2: .*more than a clip may have"):
        open_shards(copy).rows[0]


@pytest.mark.parametrize("do", ["header", "cut", "remove", "pipe"])
def test_the_rows_of_a_tar_that_is_not_whole_are_named(copy, do):
    rows = open_shards(copy).split("train").rows
    shard, first = rows.shards[0], rows.member(0)
    lost = range(shard.rows)
    if do == "header":
        lost = [index for index in lost if rows.member(index) == first]
        with open(shard.tar, "rb+") as tar:
            tar.seek(first.offset - tarfile.BLOCKSIZE)
            tar.write(bytes(tarfile.BLOCKSIZE))
    elif do == "cut":
        os.truncate(shard.tar, 1000)
    else:
        shard.tar.unlink()
    if do == "pipe":
        os.mkfifo(copy / f"{shard.name}.tar")
    manifest = Manifest(copy, rows)
    dataset = VideoTextDataset(manifest, 1, 2, SIZE, training=False, max_unreadable=0.9)
    shown = [dataset[index]["index"] for index in range(len(dataset))]
    assert all((index != asked) == (asked in lost) for asked, index in enumerate(shown))
    reasons = dataset.report().reasons
    assert set(reasons) == {rows[index].video for index in lost}
    damage = r" cannot be read: .*train-video-000000\.tar is damaged or incomplete at \d+\.mp4; "
    assert all(re.match(name + damage, text) for name, text in reasons.items())


def test_a_table_that_is_gone_is_named(copy):
    (copy / "train-video-000000.jsonl").unlink()
    with pytest.raises(UserError, match=r"train-video-000000\.jsonl: No such file.*again"):
        open_shards(copy)


def test_a_shard_that_is_a_link_out_of_its_folder_is_refused(copy, tmp_path):
    outside = tmp_path / "outside.tar"
    tar = copy / "train-video-000000.tar"
    shutil.move(tar, outside)
    tar.symlink_to(outside)
    with pytest.raises(AnnotationError, match="by a link"):
        open_shards(copy).rows[0]


def test_impossible_settings(manifest, written, tmp_path):
    for wrong in ({"size": 31}, {"size": -2}, {"per_shard": 0}, {"workers": 0}):
        with pytest.raises(UserError, match="cannot be made"):
            write(manifest, tmp_path, **wrong)
    with pytest.raises(UserError, match="cache=false"):
        VideoTextDataset(open_shards(written[0]), 1, 1, SIZE, True, cache=True)
    (tmp_path / "file").touch()
    (tmp_path / "taken/shards.json").mkdir(parents=True)
    for name in ("file/x", "file", "taken", "a" * 256):
        with pytest.raises(UserError, match=r"Cannot write to .*choose another folder"):
            write(manifest, tmp_path / name)
    bad = Manifest(manifest.root, [row for row in manifest.rows if row.video == BAD])
    with pytest.raises(UserError, match="1 of 1 clips cannot be read"):
        write(bad, tmp_path)
    assert not is_sharded(tmp_path)


def test_webdataset_reads_them_too(written):
    pytest.importorskip("webdataset")
    manifest = open_shards(written[0])
    samples = list(webdataset_stream(manifest))
    assert len(samples) == sum(shard.files for shard in manifest.rows.shards)
    ids = [row["id"] for sample in samples for row in json.loads(sample["json"])["rows"]]
    assert ids == [row.id for row in manifest.rows]
    place = manifest.rows.member(0)
    assert samples[0]["__key__"] == "000000000" and samples[0]["mp4"] == place.read()


def test_webdataset_does_not_wait_for_a_pipe(copy):
    pytest.importorskip("webdataset")
    manifest = open_shards(copy)
    tar = manifest.rows.shards[0].tar
    tar.unlink()
    os.mkfifo(tar)
    with pytest.raises(UserError, match="is no regular file"):
        webdataset_stream(manifest)


def test_without_webdataset_there_is_a_sentence(written, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "webdataset", None)
    with pytest.raises(UserError, match=r'pip install "snpkit\[shards\]"'):
        webdataset_stream(open_shards(written[0]))
