"""Captions out of any usual file, one after another, in constant memory."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from snpkit.errors import AnnotationError, UserError
from snpkit.files import open_regular

FIELDS = ("caption", "sentence", "text", "phrase", "description")  # keys that hold a caption
SUFFIXES = (".jsonl", ".csv", ".tsv", ".json", ".txt")
_BLOCK = 1 << 16  # characters read at a time from a JSON file
_LONGEST_CELL = 1 << 24


def read_captions(path: str | Path, *, field: str | None = None) -> Iterator[str]:
    """Yield the captions of a file in their order; blank ones are left out.

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
    readers = {".jsonl": _jsonl, ".csv": _table, ".tsv": _table, ".json": _json, ".txt": _lines}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: captions are read from {', '.join(SUFFIXES)} files only.")
    found = False
    try:
        with open_regular(path, encoding="utf-8-sig", newline="") as file:
            for caption in readers[path.suffix.lower()](path, file, field):
                if caption.strip():
                    found = True
                    yield caption.strip()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; is it the right file?") from error
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from error
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{path} holds a number of absurd length; is it the right file?") from error
    if not found:
        raise UserError(f"{path} holds no captions; name the right key or column if it does.")


def _lines(path: Path, file: TextIO, field: str | None) -> Iterator[str]:
    yield from file


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


def _json(path: Path, file: TextIO, field: str | None) -> Iterator[str]:
    try:
        for value in JsonStream(file).elements():
            yield from _captions_in(value, field)
    except (json.JSONDecodeError, RecursionError) as error:
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


class JsonStream:
    """The elements of a JSON file's arrays, one at a time: the file may exceed the memory."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.text, self.place, self.ended = file, "", 0, False
        self.decode = json.JSONDecoder().raw_decode

    def elements(self) -> Iterator[Any]:
        """Elements of the outer array, or of every array directly in the outer object."""
        opening = self.next_mark()
        if opening == "[":
            yield from self.array()
        elif opening == "{":
            while self.peek() == '"':
                self.value()
                self.expect(":")
                if self.peek() == "[":
                    self.next_mark()
                    yield from self.array()
                else:
                    self.value()
                if self.peek() == ",":
                    self.next_mark()
            self.expect("}")
        else:
            self.fail()
        if self.peek():
            self.fail()

    def array(self) -> Iterator[Any]:
        while self.peek() not in ("]", ""):
            yield self.value()
            if self.peek() == ",":
                self.next_mark()
        self.expect("]")

    def value(self) -> Any:
        """One complete value; reads on until it is whole."""
        self.peek()
        while True:
            try:
                value, end = self.decode(self.text, self.place)
                # A number at the very end of the text may go on in the next block.
                if end < len(self.text) or self.ended:
                    self.place = end
                    return value
            except json.JSONDecodeError:
                if self.ended:
                    raise
            self.fill()

    def peek(self) -> str:
        """The next character that is not white space, "" at the end of the file."""
        while True:
            while self.place < len(self.text):
                if not self.text[self.place].isspace():
                    return self.text[self.place]
                self.place += 1
            if self.ended:
                return ""
            self.fill()

    def next_mark(self) -> str:
        mark = self.peek()
        self.place += 1
        return mark

    def expect(self, mark: str) -> None:
        if self.next_mark() != mark:
            self.fail()

    def fill(self) -> None:
        # Blocks grow with what is held back, so that a very long value is not parsed too often.
        rest = self.text[self.place :]
        block = self.file.read(max(_BLOCK, len(rest)))
        self.text, self.place, self.ended = rest + block, 0, not block

    def fail(self) -> None:
        raise json.JSONDecodeError("unexpected text", self.text, min(self.place, len(self.text)))
