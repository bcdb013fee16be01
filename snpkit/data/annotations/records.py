"""The records of an annotation file, one after another: the file may exceed the memory.

Whatever is wrong with a file is an `AnnotationError` of one sentence that names the file and, where
it is known, the line or item.
"""

import csv
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TextIO

from snpkit.errors import AnnotationError
from snpkit.files import open_regular

_BLOCK = 1 << 16  # characters read at a time from a JSON file


class Record(NamedTuple):
    """One record and its place: `unit` and `number`, such as "line" 3 or "sentences item" 1."""

    unit: str
    number: int
    value: Any


class WrongRow(AnnotationError):
    """A record that cannot be used; the records after it can.

    Attributes:
        trap: what is wrong, in a word that `snpkit verify` counts by.
    """

    def __init__(self, message: str, trap: str = "wrong row") -> None:
        super().__init__(message)
        self.trap = trap


def records(path: Path) -> Iterator[Record]:
    """The objects of a .jsonl file, or the items of the outer list of a .json file."""
    return json_lines(path) if path.suffix.lower() == ".jsonl" else json_items(path)


def json_lines(path: Path) -> Iterator[Record]:
    """The JSON value of each line; blank lines are passed over."""
    for number, line in text_lines(path):
        try:
            yield Record("line", number, _DECODER.decode(line.strip()))
        except (ValueError, RecursionError):
            message = f"{path}, line {number}: the line is not JSON; is the file cut off?"
            raise AnnotationError(message) from None


def json_items(path: Path, key: str | None = None) -> Iterator[Record]:
    """The items of the list `key` of the file's object; without a key, of the file's outer list.

    Raises:
        AnnotationError: not JSON, cut off, or without that list.
    """
    found = False
    unit = "item" if key is None else f"{key} item"
    for name, number, value in json_walk(path):
        if name == key and number is not None:
            found = True
            if number:
                yield Record(unit, number, value)
    if not found:
        wanted = "list" if key is None else f"list {key!r}"
        raise AnnotationError(f"{path} has no {wanted}; is it the right file?")


def json_walk(path: Path) -> Iterator[tuple[str | None, int | None, Any]]:
    """Key, number and value of what a JSON file holds in its outer list or in its object's lists.

    Numbers count from 1; a list begins with number 0 and value None, so that an empty one is seen.
    The key is None in an outer list. A value that is no list has the number None.
    """
    with _reading(path), open_regular(path, encoding="utf-8-sig") as file:
        yield from _Stream(file).walk()


def table(path: Path, columns: tuple[str, ...]) -> Iterator[Record]:
    """The rows of a .csv file with a header, as {column: text}; other columns are left out.

    Raises:
        AnnotationError: a column is missing, or a row has more or fewer cells than the header.
    """
    with _reading(path), open_regular(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            header = [cell.strip() for cell in next(rows, [])]
            places = [_column(path, header, name) for name in columns]
            for row in rows:
                if len(row) != len(header):
                    if not row:
                        continue
                    problem = f"{len(row)} cells under a header of {len(header)}; is it cut off?"
                    raise AnnotationError(f"{path}, line {rows.line_num}: {problem}")
                values = [row[place] for place in places]
                yield Record("line", rows.line_num, dict(zip(columns, values, strict=True)))
        except csv.Error as error:
            raise AnnotationError(f"{path}, line {rows.line_num}: {error}.") from None


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line that is not blank."""
    with _reading(path), open_regular(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line.rstrip("\n")


def _column(path: Path, header: list[str], name: str) -> int:
    if name not in header:
        raise AnnotationError(f"{path} has no column {name!r}; is it the right file?")
    return header.index(name)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except AnnotationError:
        raise
    except UnicodeDecodeError:
        raise AnnotationError(f"{path} is not UTF-8 text; is it the right file?") from None
    except OSError as error:
        raise AnnotationError(f"Cannot read {path}: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        # json: broken text, numbers of thousands of digits, thousands of brackets
        raise AnnotationError(f"{path} is not JSON, or it is cut off; fetch it anew.") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refuse(digits)


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


class _JsonStream:
    """The elements of a JSON file's arrays, one at a time: the file may exceed the memory."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.text, self.place, self.ended = file, "", 0, False
        self.decode = json.JSONDecoder().raw_decode

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


class _Stream(_JsonStream):
    """The same reader, which also says in which list an item stands."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.decode = _DECODER.raw_decode

    def walk(self) -> Iterator[tuple[str | None, int | None, Any]]:
        if self.peek() == "[":
            yield from self.listed(None)
        else:
            self.expect("{")
            while self.peek() != "}":
                key = self.value()
                self.expect(":")
                if self.peek() == "[":
                    yield from self.listed(key)
                else:
                    yield key, None, self.value()
                self.comma("}")
            self.expect("}")
        if self.peek():
            self.fail()

    def listed(self, key: str | None) -> Iterator[tuple[str | None, int | None, Any]]:
        self.expect("[")
        yield key, 0, None
        number = 0
        while self.peek() != "]":
            number += 1
            yield key, number, self.value()
            self.comma("]")
        self.expect("]")

    def comma(self, closing: str) -> None:
        if self.peek() != closing:
            self.expect(",")
            if self.peek() == closing:
                self.fail()
