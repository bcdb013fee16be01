"""Captions of videos and images: from the files of each data set to rows.

An image is a clip of one frame. Lists that hold a name for each video or image are held in memory
(123,000 names in the whole of COCO); captions never are.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from snpkit.data.prepare.reading import File, Reading
from snpkit.data.prepare.records import (
    Record,
    field,
    json_items,
    name,
    records,
    sentence,
    table,
    text,
    text_lines,
)
from snpkit.data.rows import VideoText, WrongRow, shorten

WEBVID = ("videoid", "duration", "page_dir", "name")
_NAMES = ("clip_name", "video", "image", "video_id", "file_name")
_KEPT = {"duration": "duration", "times": "times", "sen_id": "sen_id", "label": "reference_label"}
_MSRVTT_SPLITS = {"train": "train", "validate": "validation", "test": "test"}
_DURATION = re.compile(r"PT(\d{1,3})H(\d{1,2})M(\d{1,2})S")
_SHARD = 10_000  # images in a folder that img2dataset writes
_ADDRESS = re.compile(r"\s*[A-Za-z]+://\S+\s*")
_ADDRESS_NAME = re.compile(r"\W*(\w+[ _-])?(url|link|href)s?\W*", re.IGNORECASE)  # in a header
_SAID = re.compile(r"\W*(\w+[ _-])?(caption|title|text|alt)s?\W*", re.IGNORECASE)
_CC3M_FOLDERS = {"train": ("train", "training", "images"), "validation": ("validation", "val")}


def read_captions(reading: Reading) -> Iterator[VideoText]:
    """Records of a name and a caption or a list of them, as .jsonl or as a list in a .json file.

    So are the published code's files {"caption", "clip_name"}, with "type" ("image" or "video"),
    the window "start", "end" in seconds (not of images) and "retrieval_key" of test rows, which
    becomes the id; lists of {"video" or "image", "caption"}; and DiDeMo's {"video", "description"}.
    """

    def rows(record: Record) -> Iterator[VideoText]:
        clip, value = text(record, *_NAMES), record.value
        image = "clip_name" not in value and "video" not in value and "image" in value
        kind = value.get("type", "image" if image else "video")
        if kind not in ("video", "image"):
            raise WrongRow(f'"type" is {shorten(kind)}; it must be "video" or "image"')
        video = reading.image(clip) if kind == "image" else reading.video(clip)
        window = {} if kind == "image" else {key: value.get(key) for key in ("start", "end")}
        extra = {new: value[key] for key, new in _KEPT.items() if key in value}
        key = reading.identity(record)
        if "retrieval_key" in value:
            key = text(record, "retrieval_key")
            key = key if reading.split == "test" else f"{reading.split}:{key}"
        said = field(record, "caption", "description", "sentence", "text")
        if said == []:
            raise WrongRow('"caption" is an empty list; write one', "empty caption")
        many = said if isinstance(said, list) else [said]
        for place, one in enumerate(many):
            own = f"{key}.{place}" if len(many) > 1 else key
            yield VideoText(own, video, sentence(one), reading.split, kind, **window, extra=extra)

    return reading.rows(records(reading.file.path), rows)


def read_msrvtt(
    readings: Sequence[Reading], lists: Sequence[File], whole: bool
) -> Iterator[VideoText]:
    """The sentences of the official files, split as lists of videos say, else as the files do.

    Args:
        readings: of `MSRVTT_data.json`, or `train_val_videodatainfo.json` and
            `test_videodatainfo.json` (6,513, 497 and 2,990 videos), or the like.
        lists: `MSRVTT_train.9k.csv` or the like; none = the files' own splits.
        whole: whether to take the test split, too; else another file has it.
    """
    splits: dict[str, set[str]] = {}
    unseen: dict[str, tuple[Reading, Record]] = {}
    for listed in (replace(readings[0], file=file) for file in lists):
        for record in table(listed.file.path, ("video_id",)):
            try:
                video = name(record, "video_id")
            except WrongRow as error:
                listed.report(record, error)
            else:
                splits.setdefault(video, set()).add(listed.split)
                unseen[video] = listed, record
    for reading in readings:
        own = {} if lists else reading.lookup("videos", key="video_id", value="split")

        def rows(record: Record) -> Iterator[VideoText]:
            video = name(record, "video_id")
            unseen.pop(video, None)
            if not lists and own.get(video) not in _MSRVTT_SPLITS:  # noqa: B023 (used up at once)
                raise WrongRow(f'{video!r} has no split in "videos"; add it or take the row out')
            wanted = splits.get(video, set()) if lists else {_MSRVTT_SPLITS[own[video]]}  # noqa: B023
            for split in sorted(wanted - (set() if whole else {"test"})):
                key = f"{video}:{name(record, 'sen_id')}" + (f":{split}" if len(wanted) > 1 else "")
                said = sentence(field(record, "caption"))
                yield VideoText(key, reading.video(video), said, split)  # noqa: B023

        yield from reading.rows(json_items(reading.file.path, "sentences"), rows)
    for video, (listed, record) in unseen.items():
        problem = f"{video!r} has no sentence; is it the list of another data set?"
        listed.report(record, WrongRow(problem, "video without captions"))


def read_msrvtt_test(reading: Reading) -> Iterator[VideoText]:
    """`MSRVTT_JSFUSION_test.csv`, the 1k-A test list: one sentence for each of 1,000 videos."""

    def row(record: Record) -> Iterator[VideoText]:
        video = reading.video(name(record, "video_id"))
        said = sentence(field(record, "sentence"))
        yield VideoText(text(record, "key"), video, said, reading.split)

    return reading.rows(table(reading.file.path, ("key", "video_id", "sentence")), row)


def read_webvid(reading: Reading) -> Iterator[VideoText]:
    """`results_2M_train.csv` and its like; the files are videos/<page_dir>/<videoid>.mp4.

    `extra["duration"]` is in seconds.
    """

    def row(record: Record) -> Iterator[VideoText]:
        video, folder = text(record, "videoid"), record.value["page_dir"].strip()
        below = f"videos/{folder}/{video}.mp4" if folder else f"videos/{video}.mp4"
        found = _DURATION.fullmatch(record.value["duration"])
        extra = {}
        if found:
            hours, minutes, seconds = map(int, found.groups())
            extra["duration"] = 3600 * hours + 60 * minutes + seconds
        said = sentence(record.value["name"])
        yield VideoText(video, reading.locator.check(below), said, reading.split, extra=extra)

    return reading.rows(table(reading.file.path, WEBVID), row)


def read_coco(reading: Reading) -> Iterator[VideoText]:
    """`captions_*.json` of COCO."""
    names = reading.lookup("images", key="id", value="file_name")

    def row(record: Record) -> Iterator[VideoText]:
        image = name(record, "image_id")
        if image not in names:
            raise WrongRow(f'"image_id" is {image}, which "images" does not hold; add it')
        place, said = reading.image(names[image]), sentence(field(record, "caption"))
        yield VideoText(name(record, "id"), place, said, reading.split, "image")

    return reading.rows(json_items(reading.file.path, "annotations"), row)


def read_visual_genome(reading: Reading) -> Iterator[VideoText]:
    """`region_descriptions.json`: one row a region, `extra["box"]` = [x, y, width, height]."""

    def rows(record: Record) -> Iterator[VideoText]:
        image, value = name(record, "image_id", "id"), record.value
        box = [value.get(key) for key in ("x", "y", "width", "height")]
        extra = {"box": box} if all(isinstance(side, int | float) for side in box) else {}
        place, said = reading.image(image, "VG_100K"), sentence(field(record, "phrase"))
        yield VideoText(name(record, "region_id"), place, said, reading.split, "image", extra=extra)

    def regions() -> Iterator[Record]:
        for record in json_items(reading.file.path):
            known: Any = record.value if isinstance(record.value, dict) else {}
            if not isinstance(known.get("regions"), list):
                yield record._replace(value=WrongRow('"regions" must be a list'))
                continue
            for place, region in enumerate(known["regions"], start=1):
                if isinstance(region, dict) and "id" in known:
                    region = {"image_id": known["id"]} | region
                yield Record(f"item {record.number}, region", place, region)

    return reading.rows(regions(), rows)


def read_cc3m(reading: Reading) -> Iterator[VideoText]:
    """CC3M's tsv, caption<TAB>address, in either order; of more columns as its header says.

    The file does not say how images are called. They are looked for as img2dataset writes them:
    <5 digits>/<9 digits>.jpg, row number // 10,000 and row number, from 0, in a folder of the
    split's name ("train", "training", "validation", "val", ...), or for training in "images".
    """
    folders = _CC3M_FOLDERS.get(reading.split, (reading.split,))

    def row(record: Record) -> Iterator[VideoText]:
        place, said, url = record.value
        if said is None:
            raise WrongRow("the line must be a caption, a tab and an address")
        image = f"{place // _SHARD:05d}/{place:09d}.jpg"
        found = reading.locator.first(tuple(f"{folder}/{image}" for folder in folders))
        key, extra = reading.identity(record), {"url": url.strip()}
        yield VideoText(key, found, sentence(said), reading.split, "image", extra=extra)

    def lines() -> Iterator[Record]:
        place, places = 0, None
        for number, line in text_lines(reading.file.path):
            cells = line.split("\t")
            urls = [bool(_ADDRESS.fullmatch(cell)) for cell in cells]
            if place == 0 and places is None and not any(urls):
                places = _columns(cells)
                if places is not None:
                    continue
            pair = (1, 0) if urls[0] else (0, 1)
            said, url = places or pair
            whole = len(cells) == 2 if places is None else len(cells) > max(places)
            value = (place, cells[said], cells[url]) if whole and urls[url] else (place, None, None)
            yield Record("line", number, value)
            place += 1

    return reading.rows(lines(), row)


def _columns(header: Sequence[str]) -> tuple[int, int] | None:
    """Where a header has captions and addresses; None = it is none, or does not say."""
    found = []
    for names in (_SAID, _ADDRESS_NAME):
        found.append(next((n for n, cell in enumerate(header) if names.fullmatch(cell)), None))
    said, url = found
    if len(header) == 2:  # one of the names is enough
        said, url = (1 - url if said is None and url is not None else said), url
        url = 1 - said if url is None and said is not None else url
    return None if said is None or url is None or said == url else (said, url)
