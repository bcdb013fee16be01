"""Captions and the videos they belong to, a record each: the reference's jsonl, lists, DiDeMo,
and snpkit's own manifest."""

from collections.abc import Iterator
from pathlib import Path

from snpkit.data.annotations.fields import (
    Context,
    caption,
    captions,
    field,
    identity,
    shorten,
    text,
)
from snpkit.data.annotations.records import Record, WrongRow, json_items, records
from snpkit.data.samples import VideoText
from snpkit.errors import AnnotationError


def read_manifest(context: Context, path: Path) -> Iterator[VideoText]:
    """snpkit's own manifest, a line at a time; the rows say their split."""

    def row(record: Record) -> Iterator[VideoText]:
        if isinstance(record.value, dict) and "caption" in record.value:
            caption(record, "caption")
        made = VideoText.from_json(record.value)
        context.locator.check(made.video)
        yield made

    return context.rows(path, records(path), row)


def read_clips(context: Context, path: Path) -> Iterator[VideoText]:
    """{"caption", "clip_name"}, the reference's jsonl, for pre-training and for retrieval.

    A video's name without a dot stands for "<name>.mp4". Optional: "type" ("image" or "video"),
    the window "start", "end" in seconds (not of images), "retrieval_key" of test rows, which
    becomes the id. "sen_id" and "label" are kept in `extra` as "sen_id" and "reference_label".
    """

    def row(record: Record) -> Iterator[VideoText]:
        clip = text(record, "clip_name")
        kind = record.value.get("type", "video")
        if kind not in ("video", "image"):
            raise WrongRow(f'"type" is {shorten(kind)}; it must be "video" or "image"')
        if kind == "image":
            video = context.image(clip)
        else:
            video = context.video(clip if "." in clip else f"{clip}.mp4")
        window = {} if kind == "image" else {k: record.value.get(k) for k in ("start", "end")}
        kept = {"sen_id": "sen_id", "label": "reference_label"}
        extra = {new: record.value[key] for key, new in kept.items() if key in record.value}
        keyed = "retrieval_key" in record.value
        key = text(record, "retrieval_key") if keyed else identity(path, record)
        said = caption(record, "caption")
        yield VideoText(key, video, said, context.split, kind, **window, extra=extra)

    return context.rows(path, records(path), row)


def read_list(context: Context, path: Path) -> Iterator[VideoText]:
    """A list of {"video", "caption": a caption or a list of them}; "duration" goes into `extra`."""

    def rows(record: Record) -> Iterator[VideoText]:
        video = context.video(text(record, "video"))
        said = captions(record, "caption")
        known = "duration" in record.value
        extra = {"duration": record.value["duration"]} if known else {}
        for place, sentence in enumerate(said):
            key = identity(path, record) + (f".{place}" if len(said) > 1 else "")
            yield VideoText(key, video, sentence, context.split, extra=extra)

    return context.rows(path, records(path), rows)


def read_didemo(context: Context, path: Path) -> Iterator[VideoText]:
    """DiDeMo for paragraph retrieval: all descriptions of a video, joined in the file's order.

    `extra["times"]` holds the "times" of each description. The descriptions of a split are held in
    memory (33,000 in the whole set), as those of one video need not stand together.
    """
    joined: dict[str, tuple[Record, list[str], list]] = {}
    for record in json_items(path):
        try:
            video, said = text(record, "video"), caption(record, "description")
            _, sentences, times = joined.setdefault(video, (record, [], []))
            sentences.append(said)
            times.append(field(record, "times") if "times" in record.value else [])
        except AnnotationError as error:
            context.problem(path, f"item {record.number}", error)

    def row(record: Record) -> Iterator[VideoText]:
        _, sentences, times = joined[text(record, "video")]
        video = context.video(text(record, "video"))
        paragraph = " ".join(sentences)
        extra = {"times": times}
        yield VideoText(identity(path, record), video, paragraph, context.split, extra=extra)

    return context.rows(path, (record for record, _, _ in joined.values()), row)
