"""Mine a significance table from a caption file of any size; an interrupted run goes on."""

import hashlib
import os
import time
from itertools import islice
from pathlib import Path
from typing import Any

from snpkit.errors import UserError, explained
from snpkit.files import open_regular, read_json, write_json
from snpkit.language.caption_files import read_captions
from snpkit.language.counting import WordCounts, count_captions
from snpkit.language.significance import SignificanceTable

SAVE_EVERY = 30.0  # seconds between two saved states


def mine_file(
    path: str | Path,
    output: str | Path,
    *,
    workers: int | None = 1,
    field: str | None = None,
    examples: int = 3,
    resume: bool = True,
    progress: bool = True,
    **options: Any,
) -> SignificanceTable:
    """Tag the captions of a file, rank their words and write the table.

    The captions are read as they are needed; memory grows only with the number of distinct words.
    Every half minute, and on Ctrl-C, the counts so far are saved beside the output; the same call
    then goes on from there, also with other `options`, and gives the same table as an
    uninterrupted one.

    Args:
        path: `.jsonl`, `.csv`, `.tsv` or `.txt`; see `caption_files.read_captions`.
        output: JSON file of the table.
        workers: processes that tag; 1 = this one, None = one per core for a long file.
        field: key or column of the caption; None = found by its usual names.
        examples: example captions kept per word.
        resume: go on from a saved state; False = start anew.
        progress: show a progress bar.
        **options: see `SignificanceTable.from_counts`.

    Raises:
        UserError: the file cannot be read or holds no captions; the table cannot be written.
    """
    from tqdm.auto import tqdm

    # Wrong options and a wrong file show before the work, and before anything is written.
    SignificanceTable.from_counts(WordCounts(), **options)
    next(read_captions(path, field=field))
    key = _key(Path(path)) | {"field": field, "examples": examples}
    state = Path(f"{output}.unfinished")
    counts = (_load(state, key) if resume else None) or WordCounts(limit=examples)

    def save() -> None:
        write_json(state, {"key": key, "counts": vars(counts)}, indent=None)

    save()  # a folder that cannot be written shows now, not after hours
    captions = islice(read_captions(path, field=field), counts.captions, None)
    chunks = count_captions(captions, examples=examples, workers=workers)
    saved, whole = time.monotonic(), True
    done, hidden = counts.captions, not progress
    try:
        with tqdm(initial=done, unit=" captions", desc="Mining", disable=hidden) as bar:
            for chunk in chunks:
                whole = False  # Ctrl-C inside merge would leave half a chunk counted
                counts.merge(chunk)
                whole = True
                bar.update(chunk.captions)
                if time.monotonic() - saved > SAVE_EVERY:
                    save()
                    saved = time.monotonic()
    except KeyboardInterrupt:
        if whole:
            save()
        raise
    save()
    table = SignificanceTable.from_counts(counts, **options)
    table.save(output)
    state.unlink(missing_ok=True)
    return table


def _key(source: Path) -> dict[str, Any]:
    """What tells one caption file from another, or from its earlier contents."""
    with explained(f"Cannot read {source}"), open_regular(source, "rb") as file:
        stat = os.fstat(file.fileno())
        start = hashlib.sha256(file.read(1 << 16)).hexdigest()
    return {"bytes": stat.st_size, "modified": stat.st_mtime_ns, "start": start}


def _load(state: Path, key: dict[str, Any]) -> WordCounts | None:
    """The counts of an unfinished run; None if there are none, or of another file or settings."""
    from pydantic import TypeAdapter, ValidationError

    if not state.exists():
        return None
    saved = read_json(state, most_bytes=1 << 40)
    if not isinstance(saved, dict) or saved.get("key") != key:
        return None
    try:
        return TypeAdapter(WordCounts).validate_python(saved.get("counts"))
    except ValidationError as error:
        raise UserError(f"{state} is damaged; delete it and mine anew.") from error
