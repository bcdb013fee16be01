"""Captions out of a file, one after another, in constant memory."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from snpkit.errors import AnnotationError, UserError, explained
from snpkit.files import open_regular
from snpkit.text import clean_caption, is_empty

# Keys and columns that hold a caption; the last one is WebVid's.
FIELDS = ("caption", "sentence", "text", "phrase", "description", "name")
_LONGEST_CELL = 1 << 24
_CUT = object()  # the cell of a row that ends before it


def read_captions(path: str | Path, *, field: str | None = None) -> Iterator[str]:
    """Yield the captions of a file in their order, HTML entities decoded; empty ones are left out.

    Args:
        path: `.txt`: one caption a line; `.jsonl`, such as a manifest: an object or string a line;
            `.csv`, `.tsv`: a header and rows. A value may be a list of captions, or null for none.
        field: key or column of the caption; None = the first of `FIELDS` that is there.

    Raises:
        UserError: the file is missing, of another kind, not UTF-8 or without any caption.
        AnnotationError: a row is wrong; names file and line.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".txt", ".jsonl", ".csv", ".tsv"):
        raise UserError(
            f"{path}: captions are read from .txt, .jsonl, .csv and .tsv files; `snpkit prepare` "
            "makes a .jsonl file of a data set's own."
        )
    found = False
    try:
        with explained(f"Cannot read {path}"), open_regular(path, "rb") as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            captions: Iterable[str] = text
            if suffix != ".txt":
                records = _objects(path, text) if suffix == ".jsonl" else _rows(path, text)
                captions = _captions(path, records, (field,) if field else FIELDS)
            for caption in map(clean_caption, captions):
                caption.encode()  # half a character (a lone surrogate) is an error here
                if not is_empty(caption):
                    found = True
                    yield caption
    except UnicodeError as error:
        raise UserError(f"{path} is not UTF-8 text; is it the right file?") from error
    if not found:
        raise UserError(f"{path} holds no captions; name the right key or column if it does.")


def _objects(path: Path, file: TextIO) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:  # also a number of absurd length
                raise AnnotationError(f"{path}, line {number}: not a JSON value.") from error


def _rows(path: Path, file: TextIO) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(_LONGEST_CELL)
    # In tab-separated captions a quotation mark is a mark like any other.
    tabs = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    rows = csv.DictReader(file, **(tabs if path.suffix.lower() == ".tsv" else {}))
    try:
        for row in rows:
            yield rows.line_num, {key: _CUT if cell is None else cell for key, cell in row.items()}
    except csv.Error as error:
        raise AnnotationError(f"{path}, line {rows.line_num}: {error}.") from error


def _captions(
    path: Path, records: Iterable[tuple[int, Any]], names: tuple[str, ...]
) -> Iterator[str]:
    for number, value in records:
        if isinstance(value, str):
            value = {names[0]: value}
        key = next((name for name in names if isinstance(value, dict) and name in value), None)
        if key is None:
            wanted = " or ".join(map(repr, names))
            raise AnnotationError(
                f"{path}, line {number}: no key or column {wanted}; name the one that holds the "
                "caption, or make a manifest of a data set with `snpkit prepare`."
            )
        if value[key] is _CUT:
            raise AnnotationError(f"{path}, line {number}: the row ends before its {key!r}.")
        found = value[key] if isinstance(value[key], list) else [value[key]]
        yield from (caption for caption in found if isinstance(caption, str))
