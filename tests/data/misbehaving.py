"""Readers that do with some files what damaged ones may make a decoder do; by the file's name."""

import os
import time
from pathlib import Path

from snpkit.data import cache
from snpkit.video.reader import read_clips

NAMES = ("hang.mp4", "crash.mp4")


def _misbehave(path):
    if Path(path).name == "hang.mp4":
        time.sleep(3600)
    if Path(path).name == "crash.mp4":
        os.abort()


def read(path, **options):
    """As `read_clips`."""
    _misbehave(path)
    return read_clips(path, **options)


def count(path, **options):
    """As the frame cache counts frames."""
    _misbehave(path)
    return cache.count_frames(path, **options)
