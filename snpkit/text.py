"""Text as people read it: tables of even columns, and names of files that cannot act on a terminal.
"""

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
