"""The records of an annotation file, one after another: the file may exceed the memory.

What is wrong with a whole file is an `AnnotationError` that names it. A record that cannot be read
has its error, a `WrongRow`, in the place of its value; the records behind it can be read.
"""

import codecs
import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, NamedTuple

import ijson
import numpy as np

from snpkit.data.rows import WrongRow, check_text, check_utf8, decode_line
from snpkit.errors import AnnotationError
from snpkit.files import open_regular
from snpkit.text import clean_caption

_BLOCK = 1 << 20  # bytes
_DEEPEST = 100  # lists and objects in each other; the data sets have 6
_LONGEST = 1 << 26  # bytes of one text
_LARGEST = 200_000_000  # bytes of a file that ijson cannot read, which is held in memory
# A text of JSON; of one that goes on behind the end its first mark, and a last backslash, are kept.
_INNER = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_TEXT = re.compile(rb'"' + _INNER + rb'"|(")' + _INNER + rb"(\\?)\Z", re.DOTALL)
# Half a character, which ijson makes a question mark of; what follows has to be known
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ALONE = b"(?!" + _LOW + b")(?=.{6})|(?<!" + rb"\\u[dD][89abAB].." + b")"
_HALF = re.compile(_HIGH + _ALONE + _LOW, re.DOTALL)
# Outside of texts: at these, and at numbers that are or may be too large for it, ijson gives up.
_NO_NUMBER = re.compile(rb"NaN|Infinity|[eE]\+?[0-9]{3}|[0-9]{19}")


class Record(NamedTuple):
    """One record and its place: `unit` and `number`, such as "line" 3 or "sentences item" 1.

    The methods raise AnnotationError where the record has no such field or something else in it.
    """

    unit: str
    number: int
    value: Any

    def field(self, *keys: str) -> Any:
        """The value of the first of `keys` that the record's object has."""
        if not isinstance(self.value, dict):
            raise WrongRow("the record must be a JSON object")
        for key in keys:
            if key in self.value:
                return self.value[key]
        raise WrongRow(f'"{keys[0]}" is missing; add it or take the row out')

    def text(self, *keys: str) -> str:
        """A field that must be text, without space around it."""
        return _plain(self.field(*keys), keys[0])

    def name(self, *keys: str) -> str:
        """A field that names something: text or a whole number."""
        value = self.field(*keys)
        whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63
        return str(value) if whole else _plain(value, keys[0])


def records(path: Path, key: str | None = None, columns: tuple[str, ...] = ()) -> Iterator[Record]:
    """The records of a file, by its suffix.

    Of .jsonl each line's object; of .json the items of the outer list, or of the list `key` of the
    outer object; of .csv, which must have these columns, the rows as {column: text}; of other
    files the lines that are not blank, as text.

    Raises:
        AnnotationError: the file cannot be read, or not on from here; or it has no such list with
            items or no such column.
    """
    suffix = path.suffix.lower()
    with _opened(path) as file:
        if suffix == ".json":
            yield from _json_items(path, file, key)
        elif suffix == ".jsonl":
            yield from _json_lines(file)
        elif suffix == ".csv":
            yield from _table_rows(path, file, columns)
        else:
            lines = enumerate(TextIOWrapper(file, "utf-8-sig"), start=1)
            yield from (Record("line", n, line.rstrip("\n")) for n, line in lines if line.strip())


def sentence(value: Any, name: str = "caption") -> str:
    """A caption, question or option: text with HTML's entities (&amp;) decoded.

    Raises:
        AnnotationError: it is no text, or shows nothing.
    """
    return _plain(clean_caption(value) if isinstance(value, str) else value, name)


def _plain(value: Any, key: str) -> str:
    check_text(key, value)
    return value.strip()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with open_regular(path, "rb") as file:
            check_utf8(file, path)
            yield file
    except AnnotationError:
        raise
    except UnicodeDecodeError:
        raise AnnotationError(f"{path} is not UTF-8 text; is it the right file?") from None
    except OSError as error:
        raise AnnotationError(f"Cannot read {path}: {error.strerror or error}.") from None
    except (ValueError, RecursionError, ijson.JSONError):
        # broken text, numbers of thousands of digits, thousands of brackets
        raise AnnotationError(f"{path} is not JSON, or it is cut off; fetch it anew.") from None


def _json_lines(file: IO[bytes]) -> Iterator[Record]:
    for number, line in enumerate(file, start=1):
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if not line.strip():
            continue
        try:
            value = decode_line(line)
        except AnnotationError as error:
            value = WrongRow(str(error))
        yield Record("line", number, value)


def _table_rows(path: Path, file: IO[bytes], columns: tuple[str, ...]) -> Iterator[Record]:
    rows = csv.DictReader(TextIOWrapper(file, "utf-8-sig", newline=""), strict=True)
    try:
        rows.fieldnames = [cell.strip() for cell in rows.fieldnames or ()]
        if missing := [name for name in columns if name not in rows.fieldnames]:
            raise AnnotationError(f"{path} has no column {missing[0]!r}; is it the right file?")
        for row in rows:
            uneven = None in row or None in row.values()
            value = WrongRow("it has more or fewer cells than the header") if uneven else row
            yield Record("line", rows.line_num, value)
    except csv.Error as error:
        raise AnnotationError(f"{path}, line {rows.line_num}: {error}.") from None


def _json_items(path: Path, file: IO[bytes], key: str | None) -> Iterator[Record]:
    if _needs_memory(file):
        items = _held_items(path, file, key)
    else:
        place = "item" if key is None else f"{key}.item"
        items = ijson.items(file, place, use_float=True, buf_size=_BLOCK)
    number = 0
    for number, value in enumerate(items, start=1):
        yield Record("item" if key is None else f"{key} item", number, value)
    if not number:
        wanted = "list" if key is None else f"list {key!r}"
        raise AnnotationError(f"{path} has no {wanted} with items; is it the right file?")


def _needs_memory(file: IO[bytes]) -> bool:
    """Whether a JSON file holds what ijson cannot read or misreads; the place is then its start.

    ijson takes memory with the square of the depth of what it reads: that is limited here.

    Raises:
        ValueError: it is nested too deeply, or holds a text of absurd length.
    """
    begin = len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0
    file.seek(begin)
    depth, found, rest, length = 0, False, b"", 0
    letters, numbers = bytes(18), b""  # the end of what was searched: two halves and a number
    while block := file.read(_BLOCK):
        marks = _TEXT.sub(rb"\1\2", rest + block)
        length = length + len(block) if rest and marks[:1] == b'"' else 0
        if length > _LONGEST:
            raise ValueError
        opened = marks.find(b'"')  # a text that goes on in the next block
        marks, rest = (marks, b"") if opened < 0 else (marks[:opened], marks[opened:])
        letters, numbers = letters[-18:] + block, numbers[-18:] + marks
        found = found or bool(_HALF.search(letters, 7) or _NO_NUMBER.search(numbers))
        values = np.frombuffer(marks, np.uint8)
        steps = np.isin(values, list(b"[{")).astype(np.int64) - np.isin(values, list(b"]}"))
        if depth + steps.cumsum().max(initial=0) > _DEEPEST:
            raise ValueError
        depth += int(steps.sum())
    file.seek(begin)
    return found or bool(_HALF.search(letters[-18:] + bytes(6), 7))


def _held_items(path: Path, file: IO[bytes], key: str | None) -> Iterator[Any]:
    """The items of a list, read as a whole; one with a number that is none is wrong."""
    content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        problem = "holds NaN, Infinity, a number too large or half a character"
        raise AnnotationError(f"{path} {problem}; write null there.")
    value = json.loads(content)
    if key is not None and isinstance(value, dict):
        value = value.get(key)
    for item in value if isinstance(value, list) else []:
        try:
            json.dumps(item, allow_nan=False)
            yield item
        except ValueError:
            problem = "the record holds NaN, Infinity or a number too large"
            yield WrongRow(f"{problem}, which are not JSON; write null")
