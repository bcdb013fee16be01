"""Captions of videos and images: from the files of each data set to rows.

An image is a clip of one frame. Lists that hold a name for each video or image are held in memory
(123,000 names in the whole of COCO); captions never are.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from snpkit.data.prepare.reading import Reading
from snpkit.data.prepare.records import Record, sentence
from snpkit.data.rows import VideoText, WrongRow, shorten

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
    for record in reading.records():
        with reading.row(record):
            clip, value = record.text(*_NAMES), record.value
            image = "clip_name" not in value and "video" not in value and "image" in value
            kind = value.get("type", "image" if image else "video")
            if kind not in ("video", "image"):
                raise WrongRow(f'"type" is {shorten(kind)}; it must be "video" or "image"')
            video = reading.image(clip) if kind == "image" else reading.video(clip)
            window = {} if kind == "image" else {key: value.get(key) for key in ("start", "end")}
            extra = {new: value[key] for key, new in _KEPT.items() if key in value}
            key = reading.identity(record)
            if "retrieval_key" in value:
                key = record.text("retrieval_key")
                key = key if reading.split == "test" else f"{reading.split}:{key}"
            said = record.field("caption", "description", "sentence", "text")
            if said == []:
                raise WrongRow('"caption" is an empty list; write one', "empty caption")
            many = said if isinstance(said, list) else [said]
            keys = [f"{key}.{place}" for place in range(len(many))] if len(many) > 1 else [key]
            yield from [  # all of them or none
                VideoText(own, video, sentence(one), reading.split, kind, **window, extra=extra)
                for own, one in zip(keys, many, strict=True)
            ]


def read_msrvtt(
    readings: Sequence[Reading], lists: Sequence[Reading], whole: bool
) -> Iterator[VideoText]:
    """The sentences of the official files, split as lists of videos say, else as the files do.

    The files of 2016 and 2017 hold the same videos: each video's sentences are of the first file.

    Args:
        readings: of `MSRVTT_data.json`, or `train_val_videodatainfo.json` and
            `test_videodatainfo.json` (6,513, 497 and 2,990 videos), or the like.
        lists: of `MSRVTT_train.9k.csv` or the like; none = the files' own splits.
        whole: whether to take the test split, too; else another file has it.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    unseen: dict[str, tuple[Reading, Record]] = {}
    for listed in lists:
        for record in listed.records(columns=("video_id",)):
            with listed.row(record):
                video = record.name("video_id")
                splits[video].add(listed.split)
                unseen[video] = listed, record
    undamaged: list[Reading] = []
    first: dict[str, Reading] = {}
    again: Counter[tuple[str, str]] = Counter()

    def sentences(reading: Reading) -> Iterator[VideoText]:
        own = {} if lists else reading.lookup("videos", key="video_id", value="split")
        for record in reading.records("sentences"):
            with reading.row(record):
                video = record.name("video_id")
                unseen.pop(video, None)
                if first.setdefault(video, reading) is not reading:
                    again[str(reading.file.path), first[video].file.path.name] += 1
                    continue
                if not lists and own.get(video) not in _MSRVTT_SPLITS:
                    problem = f'{video!r} has no split in "videos"; add it or take the row out'
                    raise WrongRow(problem)
                wanted = splits.get(video, set()) if lists else {_MSRVTT_SPLITS[own[video]]}
                for split in sorted(wanted - (set() if whole else {"test"})):
                    key = f"{video}:{record.name('sen_id')}"
                    key += f":{split}" if len(wanted) > 1 else ""
                    said = sentence(record.field("caption"))
                    yield VideoText(key, reading.video(video), said, split)
        undamaged.append(reading)

    for reading in readings:
        yield from reading.up_to_damage(sentences(reading))
    for (path, other), count in again.items():
        problem = f"{path}: {count:,} sentences not read, as {other} has their videos."
        readings[0].wrong(WrongRow(problem, "files passed over"))
    for video, (listed, record) in unseen.items() if undamaged == list(readings) else ():
        problem = f"{video!r} has no sentence; is it the list of another data set?"
        listed.report(record, WrongRow(problem, "video without captions"))


def read_msrvtt_test(reading: Reading) -> Iterator[VideoText]:
    """`MSRVTT_JSFUSION_test.csv`, the 1k-A test list: one sentence for each of 1,000 videos."""
    for record in reading.records(columns=("key", "video_id", "sentence")):
        with reading.row(record):
            video, said = reading.video(record.name("video_id")), record.field("sentence")
            yield VideoText(record.text("key"), video, sentence(said), reading.split)


def read_webvid(reading: Reading) -> Iterator[VideoText]:
    """`results_2M_train.csv` and its like; the files are videos/<page_dir>/<videoid>.mp4.

    `extra["duration"]` is in seconds.
    """
    for record in reading.records(columns=("videoid", "duration", "page_dir", "name")):
        with reading.row(record):
            video, folder = record.text("videoid"), record.field("page_dir").strip()
            below = f"videos/{folder}/{video}.mp4" if folder else f"videos/{video}.mp4"
            extra = {}
            if found := _DURATION.fullmatch(record.field("duration")):
                hours, minutes, seconds = map(int, found.groups())
                extra["duration"] = 3600 * hours + 60 * minutes + seconds
            said = sentence(record.field("name"))
            yield VideoText(video, reading.locator.check(below), said, reading.split, extra=extra)


def read_coco(reading: Reading) -> Iterator[VideoText]:
    """`captions_*.json` of COCO."""
    names = reading.lookup("images", key="id", value="file_name")
    for record in reading.records("annotations"):
        with reading.row(record):
            image = record.name("image_id")
            if image not in names:
                raise WrongRow(f'"image_id" is {image}, which "images" does not hold; add it')
            place, said = reading.image(names[image]), sentence(record.field("caption"))
            yield VideoText(record.name("id"), place, said, reading.split, "image")


def read_visual_genome(reading: Reading) -> Iterator[VideoText]:
    """`region_descriptions.json`: one row a region, `extra["box"]` = [x, y, width, height]."""
    for item in reading.records():
        regions = item.value.get("regions") if isinstance(item.value, dict) else None
        if not isinstance(regions, list):
            reading.report(item, WrongRow('"regions" must be a list'))
            continue
        known = {"image_id": item.value["id"]} if "id" in item.value else {}
        for number, region in enumerate(regions, start=1):
            region = known | region if isinstance(region, dict) else region
            record = Record(f"item {item.number}, region", number, region)
            with reading.row(record):
                image, said = record.name("image_id", "id"), sentence(record.field("phrase"))
                box = [region.get(key) for key in ("x", "y", "width", "height")]
                extra = {"box": box} if all(isinstance(side, int | float) for side in box) else {}
                key, place = record.name("region_id"), reading.image(image, "VG_100K")
                yield VideoText(key, place, said, reading.split, "image", extra=extra)


def read_cc3m(reading: Reading) -> Iterator[VideoText]:
    """CC3M's tsv, caption<TAB>address, in either order; of more columns as its header says.

    The file does not say how images are called. They are looked for as img2dataset writes them:
    <5 digits>/<9 digits>.jpg, row number // 10,000 and row number, from 0, in a folder of the
    split's name ("train", "training", "validation", "val", ...), or for training in "images".
    """
    folders = _CC3M_FOLDERS.get(reading.split, (reading.split,))
    number, columns = -1, None
    for record in reading.records():
        cells = record.value.split("\t")
        urls = [bool(_ADDRESS.fullmatch(cell)) for cell in cells]
        if number < 0 and columns is None and not any(urls):
            columns = _columns(cells)
            if columns is not None:
                continue
        number += 1
        said, url = columns or ((1, 0) if urls[0] else (0, 1))
        whole = len(cells) == 2 if columns is None else len(cells) > max(columns)
        with reading.row(record):
            if not whole or not urls[url]:
                raise WrongRow("the line must be a caption, a tab and an address")
            image = f"{number // _SHARD:05d}/{number:09d}.jpg"
            found = reading.locator.first(tuple(f"{folder}/{image}" for folder in folders))
            key, extra = reading.identity(record), {"url": cells[url].strip()}
            yield VideoText(key, found, sentence(cells[said]), reading.split, "image", extra=extra)


def _columns(header: Sequence[str]) -> tuple[int, int] | None:
    """Where a header has captions and addresses; None = it is none, or does not say."""
    said = [n for n, cell in enumerate(header) if _SAID.fullmatch(cell)]
    urls = [n for n, cell in enumerate(header) if _ADDRESS_NAME.fullmatch(cell)]
    if len(header) == 2:  # one of the names is enough
        said, urls = said or [1 - n for n in urls], urls or [1 - n for n in said]
    return (said[0], urls[0]) if said and urls and said[0] != urls[0] else None
