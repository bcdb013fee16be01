"""Image data sets: COCO, Visual Genome and CC3M; an image is a clip of one frame."""

from collections.abc import Iterator
from pathlib import Path

from snpkit.data.annotations.fields import (
    Context,
    caption,
    captions,
    identity,
    lookup,
    name,
    shorten,
    text,
)
from snpkit.data.annotations.records import Record, WrongRow, json_items, records, text_lines
from snpkit.data.samples import VideoText

_SHARD = 10_000  # images per folder that img2dataset writes
_FOLDERS = {"train": ("train", "training", "images"), "validation": ("validation", "val")}


def read_coco(context: Context, path: Path) -> Iterator[VideoText]:
    """`captions_*.json`; the names of the images are held in memory (123,000 in the whole set)."""
    names = lookup(context, path, "images", key="id", value="file_name")

    def row(record: Record) -> Iterator[VideoText]:
        image = name(record, "image_id")
        if image not in names:
            raise WrongRow(f'"image_id" is {image}, which "images" does not hold; add it')
        place = context.image(names[image])
        key, said = name(record, "id"), caption(record, "caption")
        yield VideoText(key, place, said, context.split, "image")

    return context.rows(path, json_items(path, "annotations"), row)


def read_visual_genome(context: Context, path: Path) -> Iterator[VideoText]:
    """`region_descriptions.json`: one row a region, `extra["box"]` = [x, y, width, height]."""

    def row(record: Record) -> Iterator[VideoText]:
        image = name(record, "image_id", "outer id")
        region = record.value
        box = [region.get(key) for key in ("x", "y", "width", "height")]
        extra = {"box": box} if all(isinstance(side, int | float) for side in box) else {}
        place = context.image(image, default="VG_100K")
        key, said = name(record, "region_id"), caption(record, "phrase")
        yield VideoText(key, place, said, context.split, "image", extra=extra)

    return context.rows(path, _regions(context, path), row)


def _regions(context: Context, path: Path) -> Iterator[Record]:
    for record in json_items(path):
        image = record.value if isinstance(record.value, dict) else {}
        regions = image.get("regions")
        if not isinstance(regions, list):
            problem = f'"regions" is {shorten(regions)}; it must be a list'
            context.problem(path, f"item {record.number}", WrongRow(problem))
            continue
        for place, region in enumerate(regions, start=1):
            if isinstance(region, dict):
                region = {"outer id": image.get("id"), **region}
            yield Record(f"item {record.number}, region", place, region)


def read_cc3m_table(context: Context, path: Path) -> Iterator[VideoText]:
    """CC3M's tsv, caption<TAB>url.

    The file does not say how images are called. They are looked for as img2dataset writes them:
    <5 digits>/<9 digits>.jpg, row number // 10,000 and row number, from 0, in a folder of the
    split's name ("train", "training", "validation", "val", ...), or for training in "images".
    """
    folders = _FOLDERS.get(context.split, (context.split,))

    def row(record: Record) -> Iterator[VideoText]:
        said, tab, url = record.value.partition("\t")
        if not tab or "\t" in url or not url.strip():
            raise WrongRow("the line must be a caption, a tab and an address")
        place = record.number - 1
        image = f"{place // _SHARD:05d}/{place:09d}.jpg"
        image = context.locator.first(tuple(f"{folder}/{image}" for folder in folders))
        inner = Record(record.unit, record.number, {"caption": said})
        key, extra = identity(path, record), {"url": url.strip()}
        said = caption(inner, "caption")
        yield VideoText(key, image, said, context.split, "image", extra=extra)

    lines = (Record("line", number, line) for number, line in text_lines(path))
    return context.rows(path, lines, row)


def read_image_list(context: Context, path: Path) -> Iterator[VideoText]:
    """A list of {"image", "caption": a caption or a list of them}, the other form of CC3M."""

    def rows(record: Record) -> Iterator[VideoText]:
        image, said = context.image(text(record, "image")), captions(record, "caption")
        for place, sentence in enumerate(said):
            key = identity(path, record) + (f".{place}" if len(said) > 1 else "")
            yield VideoText(key, image, sentence, context.split, "image")

    return context.rows(path, records(path), rows)
