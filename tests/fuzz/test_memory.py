"""Memory of a process that reads videos itself, as a notebook does: flat over 1,000 reads."""

import gc

import psutil
import pytest

from snpkit.errors import VideoError
from snpkit.video.reader import read_clips
from tests.video.films import write_film


def test_memory_stays_flat_over_1000_reads(tmp_path):
    # The first two are read by decord where it is there, the others by PyAV.
    films = [
        write_film(tmp_path / "plain.mp4", 12, 160, 120),
        write_film(tmp_path / "plain.mkv", 12, 160, 120),
        write_film(tmp_path / "plain.avi", 12, 160, 120, codec="mpeg4"),
        write_film(tmp_path / "turned.mp4", 12, 160, 120, rotation=90),
    ]
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(films[0].read_bytes()[:9000])
    process, memory = psutil.Process(), []
    for number in range(1000):
        read_clips(films[number % len(films)], 2, 4, size=64)
        if number % 4 == 0:
            with pytest.raises(VideoError):
                read_clips(cut)
        if number % 100 == 99:
            gc.collect()
            memory.append(process.memory_info().rss)
    # A frame reader that stays alive takes 5 MB and more a file.
    assert max(memory[2:]) - max(memory[:2]) < 30e6, [round(one / 1e6) for one in memory]
