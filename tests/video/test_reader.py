"""Reading: shapes, windows, scaling; bad files end in one sentence; memory, forks and silence."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snpkit.errors import UserError, VideoError
from snpkit.video.reader import VideoInfo, probe, read_all, read_clips, read_frames, scaled_size
from tests.video.films import numbers, uneven_times, write_film, write_sound

FRAMES = 24


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_film(tmp_path_factory.mktemp("films") / "film.mp4", FRAMES)


def test_probe(film):
    assert probe(film) == VideoInfo(FRAMES, 96, 64, 10.0)
    assert probe(str(film)) == probe(film)


def test_middle_frames_of_clips(film):
    clips = read_clips(film, 2, 3)
    assert clips.dtype == torch.uint8 and clips.shape == (2, 3, 3, 64, 96)
    assert numbers(clips.flatten(0, 1)) == [2, 6, 10, 14, 18, 22]


def test_random_frames_of_clips(film):
    drawn = {
        tuple(numbers(read_clips(film, 1, 2, generator=rng)[0])) for rng in map(_rng, range(5))
    }
    assert len(drawn) > 1
    assert all(0 <= first < 12 <= second < 24 for first, second in drawn)
    again = [read_clips(film, 1, 2, generator=_rng(3)) for _ in range(2)]
    assert (again[0] == again[1]).all()


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_short_video_repeats_frames(tmp_path):
    path = write_film(tmp_path / "short.mp4", 2)
    assert numbers(read_clips(path, 2, 2).flatten(0, 1)) == [0, 0, 1, 1]


def test_windows_follow_the_time_stamps(tmp_path):
    times = uneven_times(FRAMES, first=700)
    path = write_film(tmp_path / "uneven.mp4", FRAMES, milliseconds=times)
    start, end = (times[5] - times[0]) / 1000, (times[9] - times[0]) / 1000
    assert numbers(read_clips(path, 1, 4, start=start, end=end)[0]) == [5, 6, 7, 8]
    assert numbers(read_clips(path, 1, 1, start=start + 0.001, end=start + 0.002)[0]) == [5]


@pytest.mark.parametrize(
    ("window", "problem"),
    [((2.4, None), "lasts 2.40 s"), ((1.0, 1.0), "is empty"), ((2.0, 1.0), "is empty")],
)
def test_impossible_windows(film, window, problem):
    with pytest.raises(VideoError, match=problem) as caught:
        read_clips(film, start=window[0], end=window[1])
    assert str(film) in str(caught.value)


@pytest.mark.parametrize(
    ("width", "height", "size", "short", "long"),
    [
        (96, 64, None, (96, 64), (96, 64)),
        (96, 64, 48, (72, 48), (48, 32)),
        (65, 97, 64, (64, 96), (43, 64)),
        (7, 7, 9, (9, 9), (9, 9)),
        (999, 1, 9, (8991, 9), (9, 1)),
    ],
)
def test_scaled_size(width, height, size, short, long):
    assert scaled_size(width, height, size) == short
    assert scaled_size(width, height, size, "long") == long


@pytest.mark.parametrize("shape", [(96, 64), (64, 96), (65, 95), (64, 64)])
def test_crops_are_square_and_whole_frames_have_the_size_at_any_size(tmp_path, shape):
    path = write_film(tmp_path / "film.mp4", 2, *shape, pixels="yuv444p")
    for size in (1, 31, 48, 64, 100):
        assert read_all(path, size=size).shape == (2, 3, size, size)
        width, height = (max(round(side * size / max(shape)), 1) for side in shape)
        for backend in ("auto", "pyav"):
            clips = read_clips(path, 2, 2, size=size, fit="long", backend=backend)
            assert clips.dtype == torch.uint8 and clips.shape == (2, 2, 3, height, width)
    assert read_frames(path, [1], size=max(shape), fit="long").equal(read_frames(path, [1]))


def test_the_centre_is_cut_out(film):
    whole = read_frames(film, [3])
    assert (read_frames(film, [3], size=64) == whole[:, :, :, 16:80]).all()


def test_wrong_arguments(film):
    for indices in ([], [-1], [FRAMES], [0, 99]):
        with pytest.raises(VideoError, match="frames 0 to 23"):
            read_frames(film, indices)
    with pytest.raises(UserError, match="size=0"):
        read_all(film, size=0)
    with pytest.raises(UserError, match="'gpu' is unknown"):
        read_all(film, backend="gpu")
    with pytest.raises(UserError, match="fit='short' is unknown"):
        read_clips(film, size=8, fit="short")


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    for name in ("empty.mp4", "empty.png"):
        (folder / name).touch()
    (folder / "text.mp4").write_text("<html>404 not found</html>" * 200)
    (folder / "text.png").write_text("not an image")
    (folder / "folder.mp4").mkdir()
    (folder / "zeros.mp4").write_bytes(bytes(5000))
    write_sound(folder / "sound.mp4")
    whole = write_film(folder / "film.mp4", FRAMES).read_bytes()
    for share in (10, 50, 98):
        (folder / f"tail{share}.mp4").write_bytes(whole[: len(whole) * share // 100])
    avi = write_film(folder / "whole.avi", FRAMES, codec="mpeg4").read_bytes()
    (folder / "cut.avi").write_bytes(avi[:-4000])
    front = write_film(folder / "front.mp4", FRAMES, options={"movflags": "faststart"})
    damaged = bytearray(front.read_bytes())
    middle = damaged.index(b"mdat") + 2000
    damaged[middle : middle + 1500] = bytes(1500)
    (folder / "hole.mp4").write_bytes(damaged)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(folder / "cut.jpg")
    os.truncate(folder / "cut.jpg", 1500)
    return folder


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing.mp4", "does not exist"), ("missing.png", "does not exist"),
        ("empty.mp4", "is empty"), ("empty.png", "is empty"), ("folder.mp4", "is a folder"),
        ("text.mp4", "is not a video"), ("text.png", "is not a video or image"),
        ("zeros.mp4", "is not a video"), ("sound.mp4", "no picture"),
        ("tail10.mp4", "cut short"), ("tail50.mp4", "cut short"), ("tail98.mp4", "cut short"),
        ("cut.avi", "cut short"), ("hole.mp4", "damaged"), ("cut.jpg", "is not a whole image"),
    ],
)  # fmt: skip
def test_bad_files_end_in_one_sentence(bad_files, name, problem, capfd):
    for read in (read_all, lambda path: read_clips(path, 2, 4, size=32)):
        with pytest.raises(VideoError) as caught:
            read(bad_files / name)
        message = str(caught.value)
        assert problem in message and str(bad_files / name) in message
        assert "\n" not in message and message.endswith(".")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi", "mpg", "flv"])
@pytest.mark.parametrize("share", [25, 60, 95])
def test_a_cut_file_gives_its_true_frames_or_an_error(tmp_path, suffix, share):
    codec = {"avi": "mpeg4", "mpg": "mpeg2video", "flv": "flv"}.get(suffix, "libx264")
    path = write_film(tmp_path / f"film.{suffix}", FRAMES, codec=codec, rate=25)
    pictures = read_all(path).float()
    path.write_bytes(path.read_bytes()[: path.stat().st_size * share // 100])
    for seed in range(6):
        try:
            count = probe(path).frames
            asked = np.sort(_rng(seed).integers(0, count, 3))
            found = read_frames(path, asked)
        except VideoError:
            continue
        # Each is a whole frame of the film, in order: nothing grey, nothing half, no stand-in.
        shown = numbers(found)
        assert shown == sorted(shown) and len(set(shown)) == len(set(asked.tolist()))
        assert (found.float() - pictures[shown]).abs().mean((1, 2, 3)).max() < 1


def test_unreadable_rights(tmp_path):
    path = write_film(tmp_path / "locked.mp4", 2)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(VideoError, match="access rights"):
        read_all(path)


def _read_in_worker(path: Path) -> list[int]:
    return numbers(read_clips(path, 2, 2).flatten(0, 1))


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_may_be_started_after_reading(film, context):
    if context not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {context} here")
    expected = _read_in_worker(film)  # this process has read before its workers start
    with multiprocessing.get_context(context).Pool(1) as pool:
        answers = pool.map_async(_read_in_worker, [film] * 2).get(timeout=120)
    assert answers == [expected] * 2
