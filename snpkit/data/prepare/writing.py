"""From a data set's own files to a manifest."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from snpkit.data.labels import AnswerLabels
from snpkit.data.prepare.checks import Survey
from snpkit.data.prepare.datasets import METADATA, DataSet, labels_beside
from snpkit.data.rows import VideoText, encode_row
from snpkit.errors import UserError
from snpkit.files import atomic_path


def write_manifest(
    data: DataSet,
    output: Path,
    *,
    paragraphs: bool | None = None,
    strict: bool = False,
    names: int | None = None,
) -> Survey:
    """Write the rows of a data set as a manifest, whole or not at all.

    Rows of an output called metadata.jsonl are written as Hugging Face's VideoFolder and
    ImageFolder have them. A label set of answers is written beside the manifest.

    Args:
        data: the data set, of `recognise`.
        output: the file. The paths in it start from its folder where the data set lies in it or
            below; else from the data set's folder, which is then to be named wherever it is read.
        paragraphs: join all captions of a video in the order of its rows; None = as the data set's
            protocol has it (DiDeMo).
        strict: refuse where any row is wrong.
        names: so many names are kept of each finding; None = all.

    Raises:
        UserError: no row can be used, or with `strict` one cannot; nothing is written.
    """
    found = Survey(data, names)
    together = data.name == "didemo" if paragraphs is None else paragraphs
    start = paths_start(data.root, output)
    prefix = f"{start}/" if start not in (None, ".") else ""
    with atomic_path(output) as part, open(part, "w", encoding="utf-8", newline="") as file:
        for row in joined(found.rows()) if together else found.rows():
            moved = replace(row, video=prefix + row.video) if prefix else row
            try:
                file.write(encode_row(moved, metadata=output.name == METADATA))
            except (TypeError, ValueError) as error:  # half a character in another field
                found.drop(row, str(error))
        if not found.captions.total():
            problems = [name for one in found.findings() if one.problem for name in one.names]
            why = found.first or next(iter(problems), "its files hold none.")
            raise UserError(f"No row of {data.root} can be used as {data.title}: {why}")
        if strict and found.left_out:
            first = found.first.rstrip(".?")
            raise UserError(f"{found.left_out:,} wrong rows, such as {first}; nothing was written.")
    if data.labels_file is not None and data.labels_file != labels_beside(output):
        AnswerLabels.load(data.labels_file).save(labels_beside(output))
    return found


def paths_start(root: Path, output: Path) -> str | None:
    """The way from a manifest's folder down to the data set's; None = it lies elsewhere."""
    above, below = output.resolve().parent, root.resolve()
    return below.relative_to(above).as_posix() if below.is_relative_to(above) else None


def joined(rows: Iterable[VideoText]) -> Iterator[VideoText]:
    """One row for each video of a split, whose caption is all of its captions, one after the other.

    `extra["times"]`, where rows have it, becomes the list of theirs. All captions are in memory
    (33,000 in the whole of DiDeMo), as those of one video need not stand together.
    """
    groups: dict[tuple[str, str], list[VideoText]] = {}
    for row in rows:
        groups.setdefault((row.split, row.video), []).append(row)
    for same in groups.values():
        first, extra = same[0], dict(same[0].extra)
        if "times" in extra:
            extra["times"] = [row.extra.get("times", []) for row in same]
        yield replace(first, caption=" ".join(row.caption for row in same), extra=extra)
