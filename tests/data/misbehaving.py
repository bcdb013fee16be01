"""Readers that do with some files what damaged ones may make a decoder do; by the file's name."""

import os
import time
from pathlib import Path

from snpkit.video.reader import open_index, read_clips

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


def index(path):
    """As `open_index`."""
    _misbehave(path)
    return open_index(path)
