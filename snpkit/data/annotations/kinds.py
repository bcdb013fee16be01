"""What an annotation file is: told by what it holds, else, if that cannot be read, by its name."""

import csv
import os
import re
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from snpkit.data.annotations.paths import is_folder
from snpkit.data.annotations.records import json_lines, json_walk, text_lines
from snpkit.data.annotations.webvid import COLUMNS
from snpkit.errors import AnnotationError, UserError

_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".pkl", ".txt")
_ENTRIES = 20_000  # files looked at in each subfolder: those with more hold videos
_SUBFOLDERS = 64
_KEYS = 100  # of a JSON object, looked at to find its first list

# Keys of the first record -> kind; the first line that fits counts.
_BY_KEYS = (
    ("manifest", ("id", "video", "caption", "split")),
    ("choices", ("clip_name", "options", "answer")),
    ("choices-list", ("video", "caption", "answer")),
    ("clips-typed", ("clip_name", "caption", "type")),
    ("questions-labelled", ("clip_name", "caption", "label")),
    ("questions", ("question", "answer", "video_id")),
    ("questions", ("question", "answer", "video")),
    ("didemo", ("video", "description")),
    ("visual-genome", ("regions",)),
    ("clips", ("clip_name", "caption")),
    ("list", ("video", "caption")),
    ("image-list", ("image", "caption")),
)
_BY_HEADER = (
    ("webvid", COLUMNS),
    ("msrvtt-test", ("key", "video_id", "sentence")),
    ("msrvtt-list", ("video_id",)),
)
_BY_NAME = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("msrvtt-data", r"msrvtt_data\.json|train_val_videodatainfo\.json"),
        ("msrvtt-test", r"msrvtt_jsfusion_test\.csv"),
        ("msrvtt-list", r"msrvtt_\w*(train|val|test)[\w.]*\.csv"),
        ("msvd-captions", r"raw-captions\.pkl"),
        ("msvd-list", r"(train|val|test)_list\.txt"),
        ("msvd-mapping", r"youtube_mapping\.txt"),
        ("labels", r".*ans2label\.json"),
        ("questions-numbered", r"(train|val|test)_qa\.json"),
        ("didemo", r"(train|val|test)_data\.json"),
        ("webvid", r"results_\w+_(train|val)\.csv"),
        ("coco", r"captions_\w+\.json"),
        ("visual-genome", r"region_descriptions\.json"),
        ("cc3m", r".*(gcc|cc3m|conceptual).*\.tsv"),
        ("manifest", r"manifest\.jsonl"),
        ("choices", r".*(^|_)mc_.*\.jsonl?"),
        ("questions", r".*(^|_)qa_.*\.jsonl"),
        ("clips", r"(.*_)?(train|val|test)[\w.]*\.jsonl"),
    )
)
_SPLIT = re.compile(r"(?<![a-z])(train|trn|val|dev|test)(?:ing|idation)?(?![a-z])")
_VARIANT = re.compile(r"(?<!\d)(7k|9k|2m|10m|20\d\d)(?![0-9a-z])")


class Found(NamedTuple):
    """An annotation file and what it is; `video` is how its first record names its video."""

    path: Path
    kind: str
    video: str

    @property
    def split(self) -> str:
        """The split of the file, by its name; without one it is "train"."""
        found = _SPLIT.search(self.path.name.lower())
        short = found.group(1) if found else "train"
        return {"trn": "train", "val": "validation", "dev": "validation"}.get(short, short)

    @property
    def variant(self) -> str:
        """What tells it from another file of its split: "7k", "9k", "2m", "2017", ... or ""."""
        found = _VARIANT.search(self.path.name.lower())
        return found.group(1) if found else ""


def annotation_files(root: Path) -> list[Found]:
    """The annotation files of a data set: in its root and in the folders directly below.

    Raises:
        UserError: there is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"{root} is no folder; name the folder that holds the data set.")
    folders = [root]
    found: list[Found] = []
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                some = sorted(islice(entries, None if folder is root else _ENTRIES), key=_name)
        except OSError as error:
            raise UserError(f"Cannot read {folder}: {error.strerror or error}.") from None
        for entry in some:
            if entry.name.startswith("."):
                continue
            if folder is root and is_folder(entry) and len(folders) <= _SUBFOLDERS:
                folders.append(Path(entry.path))
            elif entry.name.lower().endswith(_SUFFIXES) and os.path.isfile(entry.path):
                kind, video = _identify(Path(entry.path))
                if kind:
                    found.append(Found(Path(entry.path), kind, video))
    return found


def _name(entry: os.DirEntry) -> str:
    return entry.name


def _identify(path: Path) -> tuple[str | None, str]:
    """Kind, None if it is none of ours, and the name of the first video."""
    named = next((k for k, form in _BY_NAME if form.fullmatch(path.name.lower())), None)
    if named in ("msvd-captions", "msvd-list", "msvd-mapping", "labels"):
        return named, ""
    readers = {".json": _of_json, ".jsonl": _of_lines, ".csv": _of_csv, ".tsv": _of_tsv}
    try:
        reader = readers.get(path.suffix.lower())
        return reader(path) if reader else (None, "")
    except AnnotationError:
        return named, ""  # it is damaged, which its reader tells


def _of_lines(path: Path) -> tuple[str | None, str]:
    for record in json_lines(path):
        return _of_record(record.value)
    raise AnnotationError(f"{path} is empty.")


def _of_json(path: Path) -> tuple[str | None, str]:
    for key, number, value in islice(json_walk(path), _KEYS):
        if key is None and number:
            return _of_record(value)
        if key in ("videos", "sentences") and number is not None:
            return "msrvtt-data", ""
        if key in ("images", "annotations") and number is not None:
            return ("coco" if "caption" in path.name.lower() else None), ""
    if path.stat().st_size < 3:
        raise AnnotationError(f"{path} is empty.")
    return None, ""


def _of_record(value: Any) -> tuple[str | None, str]:
    if not isinstance(value, dict):
        return None, ""
    kind = next((kind for kind, keys in _BY_KEYS if all(key in value for key in keys)), None)
    video = next((value[key] for key in ("clip_name", "video_id", "video") if key in value), "")
    if kind == "questions" and isinstance(video, int):
        kind = "questions-numbered"
    if kind in ("list", "choices-list") and isinstance(video, str) and not video.strip():
        return kind, ""
    return kind, str(video)


def _of_csv(path: Path) -> tuple[str | None, str]:
    try:
        for _, line in text_lines(path):
            header = [cell.strip() for cell in next(csv.reader([line]))]
            return next((k for k, names in _BY_HEADER if set(names) <= set(header)), None), ""
    except csv.Error as error:
        raise AnnotationError(f"{path}: {error}.") from None
    raise AnnotationError(f"{path} is empty.")


def _of_tsv(path: Path) -> tuple[str | None, str]:
    for _, line in text_lines(path):
        _, _, url = line.partition("\t")
        return ("cc3m" if url.startswith(("http://", "https://")) else None), ""
    raise AnnotationError(f"{path} is empty.")
