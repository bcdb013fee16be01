"""`snpkit verify`: is a data set whole, and free of the classic traps?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from snpkit.errors import UserError
from snpkit.text import format_table

if TYPE_CHECKING:
    from snpkit.data.prepare import DataSet, Survey
    from snpkit.data.prepare.reading import File

NAMES_SHOWN = 3  # for each finding


def verify(
    data: tyro.conf.Positional[Path],
    name: Annotated[str | None, tyro.conf.arg(name="as", metavar="NAME")] = None,
    root: Path | None = None,
    decode: int = 8,
    duplicates: bool = False,
    json: bool = False,
) -> int:
    """Look through a manifest or a public data set's own files; status 1 if something is wrong.

    Args:
        data: A manifest, or a folder with one, or with a public data set's own files, which are
            recognised by their names.
        name: Which data set the folder holds, whatever its files are called: a name that
            `snpkit prepare` takes.
        root: Folder that a manifest's paths start from, if it is not the manifest's own.
        decode: Videos of each split to decode a frame of; 0 = none, -1 = all.
        duplicates: Also look for files with the same content.
        json: Print JSON with every name in place of a table.
    """
    from json import dumps

    from snpkit.data.prepare import survey

    if decode < -1:
        raise UserError(f"--decode is {decode}; use a number of videos, 0 = none or -1 = all.")
    sets, others = _data_sets(data, name, root)
    names = None if json else NAMES_SHOWN
    found = [survey(one, decode=decode, duplicates=duplicates, names=names) for one in sets]
    for file in others if name is None else ():
        found[0].add("files passed over", "", file.below)
    if json:
        said = {"root": str(data), "data_sets": [one.to_json() for one in found]}
        said["problems"] = sum(one.problems for one in found)
        print(dumps(said, indent=2, ensure_ascii=False))
    else:
        print("\n\n".join(survey_text(data, one) for one in found))
    return 1 if any(one.problems for one in found) else 0


def _data_sets(
    data: Path, name: str | None, root: Path | None
) -> tuple[list["DataSet"], list["File"]]:
    from snpkit.data.prepare import DataSet, recognise
    from snpkit.data.prepare.reading import File

    if data.is_file():
        if data.suffix.lower() != ".jsonl":
            raise UserError(f"{data} is no manifest (.jsonl); name the folder of the data set.")
        return [DataSet(root or data.parent, "manifest", (File(data, data.name),))], []
    sets, others = recognise(data, name)
    if not sets:
        raise UserError(
            f"{data} holds no data set that snpkit knows by the names of its files; name the right "
            "folder, or say which data set it holds: --as NAME."
        )
    return sets, others


def survey_text(data: Path, found: "Survey") -> str:
    """What was found in one data set, as lines of text."""
    counts = [
        [split, f"{each['captions']:,}", f"{each['videos']:,}"]
        for split, each in found.splits().items()
    ]
    lines = format_table([["split", "captions", "videos"], *counts]).splitlines()
    for finding in found.findings():
        sort = "PROBLEM" if finding.problem else "note"
        place = f" in {finding.split}" if finding.split else ""
        lines.append(f"{sort:8} {finding.count:,} x {finding.kind}{place}: {finding.advice}")
        rest = finding.count - len(finding.names)
        more = [f"and {rest:,} more"] if rest else []
        lines += [f"{'':9}{name}" for name in finding.names + more]
    ending = {0: "no problems", 1: "1 problem"}.get(found.problems, f"{found.problems:,} problems")
    lines.append(f"{ending}; {found.decoded:,} videos decoded")
    return "\n  ".join([f"{data}: {found.data.title}", *lines])
