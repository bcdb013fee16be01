"""Mine a significance table from a caption file of any size; an interrupted run goes on."""

import hashlib
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from snpkit.errors import UserError
from snpkit.files import open_regular, read_json, write_json
from snpkit.language.caption_files import read_captions
from snpkit.language.counting import WordCounts, count_captions
from snpkit.language.significance import SignificanceTable

SAVE_EVERY = 30.0  # seconds between two saved states


def mine_file(
    path: str | Path,
    output: str | Path,
    *,
    workers: int = 1,
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
        path: `.jsonl`, `.csv`, `.tsv`, `.json` or `.txt`; see `caption_files.read_captions`.
        output: JSON file of the table.
        workers: processes that tag.
        field: key or column of the caption; None = found by its usual names.
        examples: example captions kept per word.
        resume: go on from a saved state; False = start anew.
        progress: show a progress bar.
        **options: `top_k`, `min_share`, `stop_words`, `vocabulary`, `parts`, `share_of`: see
            `SignificanceTable.from_counts`.

    Raises:
        UserError: the file cannot be read or holds no captions; the table cannot be written.
    """
    SignificanceTable.from_counts(WordCounts(), **options)  # wrong options show before the work
    state = _State(Path(path), Path(output), {"field": field, "examples": examples})
    counts = (state.load() if resume else None) or WordCounts(limit=examples)
    state.save(counts)  # a folder that cannot be written shows now, not after hours
    captions = islice(read_captions(path, field=field), counts.captions, None)
    chunks = count_captions(captions, examples=examples, workers=workers)
    saved, whole = time.monotonic(), True
    try:
        for chunk in _with_bar(chunks, counts.captions, shown=progress):
            whole = False  # Ctrl-C inside merge would leave half a chunk counted
            counts.merge(chunk)
            whole = True
            if time.monotonic() - saved > SAVE_EVERY:
                state.save(counts)
                saved = time.monotonic()
    except KeyboardInterrupt:
        if whole:
            state.save(counts)
        raise
    state.save(counts)
    table = SignificanceTable.from_counts(counts, **options)
    table.save(output)
    state.path.unlink(missing_ok=True)
    return table


def _with_bar(chunks: Iterator[WordCounts], done: int, *, shown: bool) -> Iterator[WordCounts]:
    from tqdm.auto import tqdm

    with tqdm(initial=done, unit=" captions", desc="Mining", disable=not shown) as bar:
        for chunk in chunks:
            yield chunk
            bar.update(chunk.captions)


class _State:
    """The counts of an unfinished run, and the proof that they belong to the same file."""

    def __init__(self, source: Path, output: Path, settings: dict[str, Any]) -> None:
        self.path = output.with_name(f"{output.name}.unfinished")
        self.source, self.settings = source, settings

    def key(self) -> dict[str, Any]:
        try:
            stat = self.source.stat()
            with open_regular(self.source, "rb") as file:
                start = hashlib.sha256(file.read(1 << 16)).hexdigest()
        except OSError as error:
            raise UserError(f"Cannot read {self.source}: {error.strerror or error}.") from error
        return {
            "bytes": stat.st_size,
            "modified": stat.st_mtime_ns,
            "start": start,
            **self.settings,
        }

    def load(self) -> WordCounts | None:
        """The saved counts; None if there are none, or of another file or other settings."""
        if not self.path.exists():
            return None
        saved = read_json(self.path, most_bytes=1 << 40)
        if not isinstance(saved, dict) or saved.get("key") != self.key():
            return None
        return WordCounts.from_dict(saved.get("counts"))

    def save(self, counts: WordCounts) -> None:
        write_json(self.path, {"key": self.key(), "counts": counts.to_dict()}, indent=None)
