"""Damaged videos and images: each gives whole frames or a sentence; nothing crashes or grows.

A sample of 600 files by default; SNPKIT_FUZZ=full makes 3,000, SNPKIT_FUZZ_SEED=n others.
"""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from snpkit.data.shards_packing import pack_clip
from snpkit.video.reader import read_clips
from tests.fuzz.damage import BINARY
from tests.fuzz.running import FULL, run
from tests.video.films import cut_by_edit_list, open_groups, uneven_times, write_film, write_sound

COUNT = 3000 if FULL else 600
SEED = int(os.environ.get("SNPKIT_FUZZ_SEED", 20))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """Small files of every sort that the reader knows: name -> content."""
    folder = tmp_path_factory.mktemp("whole")
    films = {
        "plain.mp4": {}, "one.mp4": {"frames": 1}, "turned.mp4": {"rotation": 90},
        "ten-bit.mp4": {"pixels": "yuv420p10le"}, "uneven.mp4": {"milliseconds": uneven_times(24)},
        "odd.mp4": {"width": 97, "height": 51, "pixels": "yuv444p"}, "open.mp4": {
            "options": open_groups()}, "tiny.mp4": {"width": 16, "height": 16}, "slow.mp4": {
            "rate": 1}, "plain.mkv": {}, "plain.avi": {"codec": "mpeg4"},
        "plain.ts": {}, "plain.mpg": {"codec": "mpeg2video", "rate": 25},
    }  # fmt: skip
    for name, settings in films.items():
        write_film(folder / name, **settings)
    cut_by_edit_list(folder / "plain.mp4", folder / "edit.mp4", 0.4)
    write_sound(folder / "sound.mp4")
    found = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    pixels = np.random.default_rng(0).integers(0, 255, (3, 40, 60, 3), np.uint8)
    first, *others = map(Image.fromarray, pixels)
    for suffix in ("jpg", "png", "webp", "gif", "avif"):
        moving = {} if suffix == "jpg" else {"save_all": True, "append_images": others}
        for name, more in (("still", {}), ("moving", moving)):
            first.save(path := folder / f"{name}.{suffix}", **more)
            found[path.name] = path.read_bytes()
    return found


def test_what_is_whole_is_read(whole, tmp_path):
    """Else the test below would be one of readers that refuse everything."""
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
        if name != "sound.mp4":
            assert read_clips(tmp_path / name, 2, 2, size=32).shape == (2, 2, 3, 32, 32)


def fuzzed(function, whole, folder, count, right, **options):
    """What comes of so many damaged files."""
    names = list(whole)
    (folder / "damaged").mkdir()
    (folder / "plain.mp4").write_bytes(whole["plain.mp4"])

    def make(number):
        random = np.random.default_rng([SEED, number])
        name = names[number % len(names)]
        damage = BINARY[random.integers(len(BINARY))]
        content = damage(whole[name], random)
        if random.random() < 0.2:  # and once more
            content = BINARY[random.integers(len(BINARY))](content, random)
        # One in twenty carries the suffix of another format.
        suffix = names[random.integers(len(names))] if random.random() < 0.05 else name
        path = folder / "damaged" / f"{number:04d}-{damage.__name__}.{suffix.rpartition('.')[2]}"
        path.write_bytes(content)
        return path

    outcome = run(function, make, count, right, whole=folder / "plain.mp4", **options)
    outcome.check(folder / "quarantine.json")
    assert len(outcome.read) > count // 20 and len(outcome.quarantine) > count // 4


def test_damaged_videos(whole, tmp_path):
    def right(frames):
        return frames.shape == (2, 2, 3, 32, 32) and frames.dtype == torch.uint8

    fuzzed(read_clips, whole, tmp_path, COUNT, right, clips=2, frames=2, size=32)


def test_damaged_videos_are_packed_or_refused(whole, tmp_path):
    """`snpkit shard` has the same promise."""
    fuzzed(pack_clip, whole, tmp_path, COUNT // 6, lambda packed: len(packed) > 100, size=32)
