"""WebVid: `results_2M_train.csv` and its like, streamed; files are videos/<page_dir>/<id>.mp4."""

import re
from collections.abc import Iterator
from pathlib import Path

from snpkit.data.annotations.fields import Context, caption, text
from snpkit.data.annotations.records import Record, table
from snpkit.data.samples import VideoText

COLUMNS = ("videoid", "duration", "page_dir", "name")
_DURATION = re.compile(r"PT(\d{1,3})H(\d{1,2})M(\d{1,2})S")


def read_webvid(context: Context, path: Path) -> Iterator[VideoText]:
    """The rows of the file; `extra["duration"]` in seconds where the file says it."""

    def row(record: Record) -> Iterator[VideoText]:
        video, folder = text(record, "videoid"), record.value["page_dir"].strip()
        below = f"videos/{folder}/{video}.mp4" if folder else f"videos/{video}.mp4"
        below = context.locator.check(below)
        found = _DURATION.fullmatch(record.value["duration"])
        extra = {}
        if found:
            hours, minutes, seconds = map(int, found.groups())
            extra["duration"] = 3600 * hours + 60 * minutes + seconds
        yield VideoText(video, below, caption(record, "name"), context.split, extra=extra)

    return context.rows(path, table(path, COLUMNS), row)
