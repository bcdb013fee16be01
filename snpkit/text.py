"""Text as people read it: tables, durations, sizes, and names that cannot act on a terminal."""

import math
import re
from collections.abc import Sequence

# Control characters but tab and newline (C0, DEL, C1), and marks that turn the reading direction.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


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
