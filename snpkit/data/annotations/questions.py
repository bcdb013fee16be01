"""Question answering and multiple choice.

Each row keeps in `extra`, under these keys whatever the file calls them:

* question answering: "question" (also the caption), "answer" (None if only its label is known) and
  "label", the place of the answer in the label set; -1 = outside the set, which counts as wrong.
* multiple choice: "question" (the file's title; "" if it has none), "options", "label", the place
  of the right option, and "answer", its text (also the caption).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snpkit.data.annotations.fields import (
    Context,
    field,
    identity,
    name,
    number,
    plain,
    shorten,
    text,
)
from snpkit.data.annotations.labels import OUTSIDE
from snpkit.data.annotations.records import Record, WrongRow, records, text_lines
from snpkit.data.samples import VideoText
from snpkit.errors import AnnotationError


def read_questions(context: Context, path: Path) -> Iterator[VideoText]:
    """{"question", "answer", "video_id"} with the name of the video; "answer_type" is kept."""

    def row(record: Record) -> Iterator[VideoText]:
        video = context.video(text(record, "video_id", "video"))
        kept = {key: record.value[key] for key in ("answer_type",) if key in record.value}
        yield _question(context, path, record, video, text(record, "question"), kept)

    return context.rows(path, records(path), row)


def read_numbered(context: Context, path: Path, mapping: Path | None) -> Iterator[VideoText]:
    """The original files, {"question", "answer", "video_id": number}.

    Args:
        context: where to read.
        path: `train_qa.json`, `val_qa.json` or `test_qa.json`.
        mapping: MSVD's `youtube_mapping.txt`, lines "<name of the file> vid<number>"; None is
            MSR-VTT, whose files are called video<number>.
    """
    names = read_mapping(mapping) if mapping else None

    def row(record: Record) -> Iterator[VideoText]:
        video_id = number(record, "video_id")
        clip = f"video{video_id}" if names is None else names.get(f"vid{video_id}")
        if clip is None:
            raise WrongRow(f'"video_id" is {video_id}, which {mapping.name} does not name; add it')
        kept = {key: record.value[key] for key in ("category_id",) if key in record.value}
        yield _question(context, path, record, context.video(clip), text(record, "question"), kept)

    return context.rows(path, records(path), row)


def read_labelled(context: Context, path: Path) -> Iterator[VideoText]:
    """{"caption": question, "clip_name", "label": number of the answer, or the answer itself}."""

    def row(record: Record) -> Iterator[VideoText]:
        video = context.video(text(record, "clip_name"))
        question = text(record, "caption")
        if isinstance(field(record, "label"), str):
            yield _question(context, path, record, video, question, {}, answer_key="label")
            return
        label, labels, answer = number(record, "label"), context.labels, None
        if labels is not None and 0 <= label < len(labels):
            answer = labels.answers[label]
        elif labels is not None or label < 0:
            label = OUTSIDE
        extra = {"question": question, "answer": answer, "label": label}
        yield VideoText(identity(path, record), video, question, context.split, extra=extra)

    return context.rows(path, records(path), row)


def read_choices(context: Context, path: Path) -> Iterator[VideoText]:
    """{"clip_name", "options", "answer": index} or {"video", "caption": [options], "answer"}."""

    def row(record: Record) -> Iterator[VideoText]:
        video = context.video(text(record, "clip_name", "video"))
        options = _options(field(record, "options", "caption"))
        label = number(record, "answer")
        if not 0 <= label < len(options):
            problem = f'"answer" is {label}; it must be 0 to {len(options) - 1}, an option'
            raise WrongRow(problem, "answer outside the options")
        title = record.value.get("title") or record.value.get("question") or ""
        right = options[label]
        extra = {"question": title.strip() if isinstance(title, str) else "", "options": options}
        extra |= {"answer": right, "label": label}
        named = "qid" in record.value
        key = f"{path.stem}:{name(record, 'qid')}" if named else identity(path, record)
        yield VideoText(key, video, right, context.split, extra=extra)

    return context.rows(path, records(path), row)


def read_mapping(path: Path) -> dict[str, str]:
    """`youtube_mapping.txt` as {"vid<number>": name of the file}.

    Raises:
        AnnotationError: a line is not "<name> vid<number>".
    """
    names: dict[str, str] = {}
    for line, content in text_lines(path):
        clip, _, video = content.strip().rpartition(" ")
        if not clip.strip() or not video.removeprefix("vid").isdecimal():
            raise AnnotationError(f'{path}, line {line}: it must be "<name> vid<number>".')
        names[video] = clip.strip()
    return names


def _question(
    context: Context,
    path: Path,
    record: Record,
    video: str,
    question: str,
    kept: dict[str, Any],
    answer_key: str = "answer",
) -> VideoText:
    answer = name(record, answer_key)
    label = context.labels.label(answer) if context.labels is not None else OUTSIDE
    extra = {"question": question, "answer": answer, "label": label} | kept
    return VideoText(identity(path, record), video, question, context.split, extra=extra)


def _options(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) < 2:
        problem = f'"options" is {shorten(value)}; it must be a list of two or more'
        raise WrongRow(problem, "options")
    return [plain(option, "option") for option in value]
