"""decord and PyAV give the same pictures, and the ones that were asked for."""

import os
from pathlib import Path

import av
import numpy as np
import pytest

from snpkit.errors import VideoError
from snpkit.video import backends
from snpkit.video.reader import open_index, read_all, read_frames
from tests.video.films import cut_by_edit_list, numbers, open_groups, uneven_times, write_film

FRAMES = 24
needs_decord = pytest.mark.skipif(not backends.find_decord(), reason="decord is not installed")

X265 = {"x265-params": "log-level=none:open-gop=1:bframes=3:b-adapt=0:keyint=8:min-keyint=8"}
# name -> how it is made; the first ones decord may read, the last ones only PyAV reads rightly
PLAIN = {
    "constant.mp4": {},
    "variable.mp4": {"milliseconds": uneven_times(FRAMES)},
    "late.mp4": {"milliseconds": uneven_times(FRAMES, first=1500)},
    "variable.mkv": {"milliseconds": uneven_times(FRAMES, seed=1)},
    "odd.mp4": {"width": 97, "height": 65, "pixels": "yuv444p"},
    "one.mp4": {"frames": 1},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "closed_hevc.mp4": {
        "codec": "libx265",
        "options": {"x265-params": "log-level=none:open-gop=0"},
    },
}
OTHER = {
    "open.mp4": {"options": open_groups()},
    "open.mkv": {"options": open_groups(), "milliseconds": uneven_times(FRAMES)},
    "hevc.mp4": {"codec": "libx265", "options": X265},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "h264.avi": {},
    "program.mpg": {"codec": "mpeg2video", "rate": 25, "options": {"bf": "2"}},
    "transport.ts": {},
    "bare.h264": {},
    "flash.flv": {"codec": "flv"},
    "moving.gif": {"codec": "gif", "pixels": "rgb8"},
}


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name, how in (PLAIN | OTHER).items():
        write_film(folder / name, **({"frames": FRAMES} | how))
    write_film(folder / "ten_bits.mp4", FRAMES, pixels="yuv420p10le")
    write_film(folder / "turned.mp4", FRAMES, rotation=90)
    cut_by_edit_list(folder / "constant.mp4", folder / "cut.mp4", 0.5)
    return folder


@pytest.mark.parametrize("name", [*PLAIN, *OTHER])
def test_every_frame_is_found_in_presentation_order(films, name):
    count = open_index(films / name).info.frames
    assert count == (1 if name == "one.mp4" else FRAMES)
    assert numbers(read_all(films / name)) == list(range(count))


@pytest.mark.parametrize("backend", ["auto", "pyav"])
@pytest.mark.parametrize("name", [*PLAIN, *OTHER])
def test_any_frames_can_be_asked_for(films, name, backend):
    count = open_index(films / name).info.frames
    rng = np.random.default_rng(len(name))
    for _ in range(4):
        asked = rng.integers(0, count, rng.integers(1, 4)).tolist()  # any order, repeats
        assert numbers(read_frames(films / name, asked, backend=backend)) == asked


@needs_decord
@pytest.mark.parametrize("size", [None, 40, 80])
@pytest.mark.parametrize("name", [name for name in PLAIN if name != "closed_hevc.mp4"])
def test_both_backends_give_the_same_pixels(films, name, size):
    ours = read_all(films / name, size=size, backend="decord")
    theirs = read_all(films / name, size=size, backend="pyav")
    assert ours.shape == theirs.shape and (ours == theirs).all()
    assert ours.float().std() > 20  # a picture, not a grey field


@needs_decord
@pytest.mark.parametrize(("size", "bound"), [(None, 2.5), (40, 0.0)])
def test_ten_bit_video_is_close(films, size, bound):
    # The step from 10 to 8 bits alone differs between ffmpeg 4 (decord) and newer ones.
    ours = read_all(films / "ten_bits.mp4", size=size, backend="decord").float()
    theirs = read_all(films / "ten_bits.mp4", size=size, backend="pyav").float()
    assert (ours - theirs).abs().mean() <= bound
    if size is None:
        assert numbers(theirs) == list(range(FRAMES))


@needs_decord
@pytest.mark.parametrize("width", [8, 16, 24, 47, 48, 49, 71, 72, 73, 95, 96])
def test_rows_of_any_width_are_read(films, width):
    index = open_index(films / "one.mp4")
    ours = backends._by_decord(backends.find_decord(), index, np.arange(1), width, 48)
    if ours is None:
        assert width in (8, 16, 24, 48, 72)
    else:
        assert (ours == backends.decode(index, np.arange(1), width, 48, "pyav")).all()


@pytest.mark.parametrize("backend", ["pyav", pytest.param("decord", marks=needs_decord)])
def test_rotated_video_is_upright(films, backend):
    plain = read_all(films / "constant.mp4", backend=backend)
    turned = read_all(films / "turned.mp4", backend=backend)
    assert turned.shape == (FRAMES, 3, 96, 64)
    # ... a quarter turn counter-clockwise of the pictures as stored
    assert (turned.float() - plain.rot90(1, (2, 3)).float()).abs().mean() < 3
    assert open_index(films / "turned.mp4").info.width == 64


def test_what_an_edit_list_hides_is_not_shown(films):
    count = open_index(films / "cut.mp4").info.frames
    assert count == FRAMES - 5
    assert numbers(read_all(films / "cut.mp4")) == list(range(5, FRAMES))
    assert numbers(read_frames(films / "cut.mp4", [9, 0])) == [14, 5]


@needs_decord
@pytest.mark.parametrize("name", [*OTHER, "cut.mp4"])
def test_decord_is_not_trusted_with_files_it_misreads(films, name):
    with pytest.raises(VideoError, match="other frames of"):
        read_frames(films / name, [0], backend="decord")


@pytest.mark.parametrize("name", PLAIN)
def test_plain_files_are_left_to_decord(films, name):
    assert open_index(films / name).plain


@pytest.mark.skipif("libsvtav1" not in av.codecs_available, reason="PyAV without AV1 encoder")
def test_formats_that_decord_does_not_know_are_read(tmp_path, capfd):
    # decord's ffmpeg is older than the AV1 decoder, but opens the file.
    schedule = getattr(os, "sched_getscheduler", lambda _: None)
    before = schedule(0)
    path = write_film(tmp_path / "film.mp4", FRAMES, codec="libsvtav1")
    assert schedule(0) == before  # the encoder would leave root in the real-time class
    capfd.readouterr()
    assert numbers(read_frames(path, [20, 3])) == [20, 3]
    assert capfd.readouterr().err == ""


def test_without_decord_pyav_reads(films, monkeypatch):
    expected = read_all(films / "constant.mp4", size=32)
    monkeypatch.setattr(backends, "find_decord", lambda: None)
    monkeypatch.setattr(backends, "_by_decord", None)  # calling it would fail
    assert (read_all(films / "constant.mp4", size=32) == expected).all()


def test_what_decord_cannot_decode_pyav_gets(films, monkeypatch):
    expected = read_all(films / "constant.mp4")
    monkeypatch.setattr(backends, "find_decord", lambda: "decord")
    monkeypatch.setattr(backends, "_by_decord", lambda *arguments: None)
    assert (read_all(films / "constant.mp4") == expected).all()
    with pytest.raises(VideoError, match=r"decord cannot decode .*constant\.mp4"):
        read_all(films / "constant.mp4", backend="decord")
