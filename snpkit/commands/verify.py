"""`snpkit verify`: is a data set whole, and free of the classic traps?"""

from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from snpkit.text import format_table

if TYPE_CHECKING:
    from snpkit.data.annotations.checks import Finding, Verification

_NAMES = 3  # shown for each finding


def verify(
    root: tyro.conf.Positional[Path],
    layout: str | None = None,
    decode: int = 8,
    duplicates: bool = False,
    json: bool = False,
) -> int:
    """Look through the annotations and files of a data set; status 1 if something is wrong.

    Known are MSR-VTT (7k, 9k, 1k-A, multiple choice, question answering), MSVD, DiDeMo, WebVid,
    CC3M, COCO, Visual Genome, the reference's jsonl and snpkit's manifest.

    Args:
        root: Folder with the annotation files, and the videos in it or in its folders.
        layout: Which data set, if the folder holds several; all of them if not given.
        decode: Videos of each split to decode a frame of; 0 = none, -1 = all.
        duplicates: Also look for files with the same content.
        json: Print JSON with every name in place of a table.
    """
    from json import dumps

    from snpkit.data.annotations.checks import verify_layout
    from snpkit.data.annotations.layouts import detect, layouts_in

    layouts = layouts_in(root) if layout is None else []
    layouts = layouts or [detect(root, layout)]
    names = None if json else _NAMES
    options = {"decode": decode, "duplicates": duplicates, "names": names}
    found = [verify_layout(one, **options) for one in layouts]
    if json:
        said = {"root": str(root), "data_sets": [one.to_json() for one in found]}
        said["problems"] = sum(one.problems for one in found)
        print(dumps(said, indent=2, ensure_ascii=False))
    else:
        print("\n\n".join(verification_text(root, one) for one in found))
    return 1 if any(one.problems for one in found) else 0


def verification_text(root: Path, found: "Verification") -> str:
    """What was found in one data set, as lines of text."""
    lines = [f"{root}: {found.layout} ({found.task})"]
    counts = [
        [split, f"{each['captions']:,}", f"{each['videos']:,}"]
        for split, each in found.splits.items()
    ]
    table = format_table([["split", "captions", "videos"], *counts])
    lines += [f"  {line}" for line in table.splitlines()]
    for finding in found.findings:
        lines += _finding_lines(finding)
    problems = f"{found.problems:,} problems" if found.problems != 1 else "1 problem"
    decoded = f"{found.decoded:,} videos decoded"
    lines.append(f"  {problems if found.problems else 'no problems'}; {decoded}")
    return "\n".join(lines)


def _finding_lines(finding: "Finding") -> list[str]:
    sort = "PROBLEM" if finding.problem else "note"
    place = f" in {finding.split}" if finding.split else ""
    lines = [f"  {sort:8} {finding.count:,} x {finding.kind}{place}: {finding.advice}"]
    lines += [f"           {name}" for name in finding.names]
    rest = finding.count - len(finding.names)
    return [*lines, f"           and {rest:,} more"] if rest else lines
