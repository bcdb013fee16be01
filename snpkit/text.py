"""Text as people read it: captions, tables, durations, and names that cannot act on a terminal."""

import html
import math
import re
import unicodedata
from collections.abc import Sequence
from html.entities import html5

# Control characters but tab and newline (C0, DEL, C1), and marks that turn the reading direction.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_ENTITY = re.compile("&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]*)(;?)")
_WITHOUT_SEMICOLON = ("amp", "quot", "lt", "gt", "nbsp")  # often seen so; "&copy" may be a word
# Letters and signs of Unicode that have no shape: fillers of Hangul, the empty Braille cell; and
# the sign for what could not be decoded.
_SHAPELESS = frozenset("\u115f\u1160\u2800\u3164\uffa0\ufffd")


def is_empty(text: str) -> bool:
    """Whether a text shows nothing: it holds only blanks, marks and characters without a shape.

    This is what an empty caption, option or name is everywhere. Whatever BERT's tokenizer makes no
    token of is empty.
    """
    return not any(map(_is_visible, text))


def _is_visible(character: str) -> bool:
    return (
        character.isprintable()
        and not character.isspace()
        and character not in _SHAPELESS
        and not unicodedata.category(character).startswith("M")  # an accent without its letter
    )


def clean_caption(text: str) -> str:
    """A caption as it goes into a manifest: HTML entities decoded once, no blanks around it.

    "Tom &amp; Jerry" becomes "Tom & Jerry", and "&amp;lt;" becomes "&lt;". What is no entity stays:
    "R&D; more", "black&region".
    """
    return _ENTITY.sub(_decoded, text).strip()


def _decoded(entity: re.Match[str]) -> str:
    name, closed = entity[1], entity[2]
    if name.startswith("#"):
        known = True
    else:
        known = f"{name};" in html5 if closed else name in _WITHOUT_SEMICOLON
    return html.unescape(f"&{name};") if known else entity[0]


def printable(text: str) -> str:
    r"""The text with its control characters spelt out: ESC becomes ``\x1b``.

    The name of a file or a row of a manifest may hold sequences that colour, erase or retitle a
    terminal, or hide what follows.
    """
    return _UNSAFE.sub(lambda found: repr(found[0])[1:-1], text)


def one_line(text: str) -> str:
    """As `printable`, with line breaks spelt out too: a name cannot pass for another line."""
    return printable(text).replace("\n", "\\n")


def format_table(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Rows of cells as lines of text, each column as wide as its widest cell.

    Args:
        left: so many columns are set to the left, the others, which hold numbers, to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def format_seconds(seconds: float) -> str:
    """A duration in its natural unit: "0.12 s", "3.4 min", "5.0 h", "12 days", "3.1 years"."""
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h"),
                              (730 * 86400, 86400, "days")):  # fmt: skip
        if seconds < limit:
            return f"{format_digits(seconds / size)} {unit}"
    return f"{format_digits(seconds / (365.25 * 86400))} years"


def format_bytes(count: float) -> str:
    """A size in decimal units (1 GB = 10^9 bytes), such as "5.7 MB"."""
    for power, unit in ((3, "bytes"), (6, "kB"), (9, "MB"), (12, "GB")):
        if count < 10**power:
            return f"{format_digits(count / 10 ** (power - 3))} {unit}"
    return f"{format_digits(count / 1e12)} TB"


def format_digits(value: float) -> str:
    """Two significant digits at least, whole numbers from 10 on."""
    if value == 0:
        return "0"
    if value >= 9.95:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"
