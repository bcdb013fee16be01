"""`snpkit bench`: how many times as fast as a straightforward way of doing the same."""

from pathlib import Path
from typing import Annotated

import tyro


def bench(
    subject: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SUBJECT")],
    source: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[FILE]")] = None,
    workers: int = 1,
    repeat: int = 5,
    json: bool = False,
) -> int:
    """Time snpkit against a straightforward way of doing the same, in turns, and print the ratio.

    mine: mining captions, against tagging one at a time with the complete spaCy pipeline.

    Args:
        subject: What to measure: mine.
        source: mine: a file of captions; the samples' and generated ones by default.
        workers: mine: processes that tag.
        repeat: Rounds; each times both ways.
        json: Print JSON in place of a table.
    """
    from json import dumps

    from snpkit.bench.comparison import compare
    from snpkit.bench.subjects import get_subject

    found = compare(get_subject(subject, source, workers), repeat)
    print(dumps(found.to_dict(), indent=2, ensure_ascii=False) if json else found.table())
    return 0
