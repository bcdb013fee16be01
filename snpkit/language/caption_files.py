"""Captions out of any usual file, one after another, in constant memory."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from snpkit.errors import AnnotationError, UserError, explained
from snpkit.files import open_regular
from snpkit.text import clean_caption, is_empty

FIELDS = ("caption", "sentence", "text", "phrase", "description")  # keys that hold a caption
SUFFIXES = (".jsonl", ".csv", ".tsv", ".json", ".txt")
_LONGEST_CELL = 1 << 24


def read_captions(path: str | Path, *, field: str | None = None) -> Iterator[str]:
    """Yield the captions of a file in their order, HTML entities decoded; empty ones are left out.

    * `.txt`: one caption a line.
    * `.jsonl`: one object (or string) a line.
    * `.csv`, `.tsv`: a header with a caption column (WebVid's `name` serves too), or rows
      caption<TAB>url without a header (CC3M).
    * `.json`: every object or string in the file's arrays: COCO, MSR-VTT, Visual Genome regions,
      lists of captions, video id -> captions.

    A value may be a list of captions; null (a clip without one) is left out.

    Args:
        path: the file; the suffix tells its form.
        field: key or column of the caption; None = the first of `FIELDS` that is there.

    Raises:
        UserError: the file is missing, of another kind, not UTF-8 or without any caption.
        AnnotationError: a row is wrong; names file and line.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: captions are read from {', '.join(SUFFIXES)} files only.")
    found = False
    try:
        with explained(f"Cannot read {path}"), open_regular(path, "rb") as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            if suffix == ".json":
                captions = _json(path, file, field)
            elif suffix == ".jsonl":
                captions = _jsonl(path, text, field)
            else:
                captions = text if suffix == ".txt" else _table(path, text, field)
            for caption in map(clean_caption, captions):
                caption.encode()  # half a character (a lone surrogate) is an error here
                if not is_empty(caption):
                    found = True
                    yield caption
    except UnicodeError as error:
        raise UserError(f"{path} is not UTF-8 text; is it the right file?") from error
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{path} holds a number of absurd length; is it the right file?") from error
    if not found:
        raise UserError(f"{path} holds no captions; name the right key or column if it does.")


def _jsonl(path: Path, file: TextIO, field: str | None) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise AnnotationError(f"{path}, line {number}: not a JSON value.") from error
        captions = list(_captions_in(value, field))
        if not captions and not (isinstance(value, dict) and _keys(value, field)):
            wanted = repr(field) if field else " or ".join(map(repr, FIELDS))
            raise AnnotationError(f"{path}, line {number}: no key {wanted}.")
        yield from captions


def _table(path: Path, file: TextIO, field: str | None) -> Iterator[str]:
    csv.field_size_limit(_LONGEST_CELL)
    tabs = path.suffix.lower() == ".tsv"
    # In tab-separated captions a quotation mark is a mark like any other.
    rows = csv.reader(
        file,
        delimiter="\t" if tabs else ",",
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
    )
    try:
        header = next(rows, [])
        names = (field,) if field else (*FIELDS, "name")
        column = next((header.index(name) for name in names if name in header), None)
        if column is None:
            if field or len(header) != 2 or not header[1].startswith(("http://", "https://")):
                raise UserError(f"{path} has no column {' or '.join(map(repr, names))}.")
            column = 0
            yield header[0]
        for row in rows:
            if len(row) > column:
                yield row[column]
            elif row:
                raise AnnotationError(f"{path}, line {rows.line_num}: the row has no caption.")
    except csv.Error as error:
        raise AnnotationError(f"{path}, line {rows.line_num}: {error}.") from error


def _json(path: Path, file: BinaryIO, field: str | None) -> Iterator[str]:
    from ijson import JSONError

    try:
        for value in json_elements(file):
            yield from _captions_in(value, field)
    except JSONError as error:
        if "overflow" in str(error):  # as Python says it of the other files
            raise ValueError("a number of more than 64 bits") from error
        raise UserError(f"{path} is not JSON, or it is cut off.") from error


def _keys(value: dict[str, Any], field: str | None) -> list[str]:
    return [name for name in ((field,) if field else FIELDS) if name in value]


def _captions_in(value: Any, field: str | None) -> Iterator[str]:
    """The captions of one element: a string, a list of words or captions, an object."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        yield " ".join(value)  # a caption cut into words
    elif isinstance(value, dict):
        if isinstance(value.get("regions"), list):  # Visual Genome: many phrases an image
            for region in value["regions"]:
                yield from _captions_in(region, field)
            return
        for name in _keys(value, field)[:1]:
            found = value[name]
            captions = found if isinstance(found, list) else [found]
            yield from (caption for caption in captions if isinstance(caption, str))


def json_elements(file: BinaryIO) -> Iterator[Any]:
    """The elements of a JSON file's outer array, or of every array directly in its outer object.

    One at a time: the file may exceed the memory.

    Raises:
        ijson.JSONError: the file is not JSON, is cut off, or is neither array nor object.
    """
    import ijson

    if file.read(3) != b"\xef\xbb\xbf":  # a mark of UTF-8 that Windows writes
        file.seek(0)
    depth, level, in_array, builder = 0, 0, False, None
    # Without `use_float` a number of thousands of digits ends the process (ijson 3.6, yajl2_c).
    for event, value in ijson.basic_parse(file, use_float=True):
        if not level:  # how deep the elements stand
            level = {"start_array": 1, "start_map": 2}.get(event, 0)
            if not level:
                raise ijson.JSONError("neither array nor object")
        if event in ("end_array", "end_map"):
            depth -= 1
        elif builder is None and depth == level and in_array:
            builder = ijson.ObjectBuilder()
        if builder is not None:
            builder.event(event, value)
        if event in ("start_array", "start_map"):
            depth += 1
            in_array = in_array if depth > level else event == "start_array"
        elif builder is not None and depth == level:
            yield builder.value
            builder = None
