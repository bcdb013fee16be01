"""MSR-VTT: `MSRVTT_data.json`, lists of training videos, and the 1k-A test list."""

from collections.abc import Iterator
from pathlib import Path

from snpkit.data.annotations.fields import Context, caption, lookup, name, text
from snpkit.data.annotations.records import Record, WrongRow, json_items, table
from snpkit.data.samples import VideoText

_SPLITS = {"train": "train", "validate": "validation", "test": "test"}


def read_listed(context: Context, data: Path, listed: Path) -> Iterator[VideoText]:
    """The sentences of `MSRVTT_data.json` about the videos of `MSRVTT_train.7k.csv` or `9k.csv`."""
    unseen: dict[str, int] = {}  # video -> line of the list
    for record in table(listed, ("video_id",)):
        try:
            unseen[name(record, "video_id")] = record.number
        except WrongRow as error:
            context.problem(listed, f"line {record.number}", error)
    wanted = set(unseen)

    def sentence(record: Record) -> Iterator[VideoText]:
        video = name(record, "video_id")
        if video in wanted:
            unseen.pop(video, None)
            yield _row(context, record, video, context.split)

    yield from context.rows(data, json_items(data, "sentences"), sentence)
    for video, line in unseen.items():
        problem = f"{video!r} has no sentence in {data.name}; is it the list of another data set?"
        context.problem(listed, f"line {line}", WrongRow(problem, "video without captions"))


def read_official(context: Context, data: Path) -> Iterator[VideoText]:
    """All sentences, split as the "split" of each video in the file says (6,513/497/2,990)."""
    splits = lookup(context, data, "videos", key="video_id", value="split")

    def sentence(record: Record) -> Iterator[VideoText]:
        video = name(record, "video_id")
        if splits.get(video) not in _SPLITS:
            raise WrongRow(f'{video!r} has no split in "videos"; add it or take the row out')
        yield _row(context, record, video, _SPLITS[splits[video]])

    return context.rows(data, json_items(data, "sentences"), sentence)


def read_test_list(context: Context, path: Path) -> Iterator[VideoText]:
    """`MSRVTT_JSFUSION_test.csv`, the 1k-A test list: one sentence for each of 1,000 videos."""

    def row(record: Record) -> Iterator[VideoText]:
        video = name(record, "video_id")
        path_of = context.video(video)
        yield VideoText(text(record, "key"), path_of, caption(record, "sentence"), context.split)

    return context.rows(path, table(path, ("key", "video_id", "sentence")), row)


def _row(context: Context, record: Record, video: str, split: str) -> VideoText:
    key = f"{video}:{name(record, 'sen_id')}"
    return VideoText(key, context.video(video), caption(record, "caption"), split)
