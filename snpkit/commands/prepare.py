"""`snpkit prepare`: from a public data set's own files to a manifest."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from snpkit.errors import UserError

Name = Literal[
    "msrvtt", "msvd", "didemo", "msrvtt-qa", "msvd-qa", "msrvtt-mc", "coco", "vg", "cc3m", "webvid",
    "captions", "videofolder",
]  # fmt: skip


def prepare(
    name: tyro.conf.Positional[Name],
    folder: tyro.conf.Positional[Path],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    variant: str | None = None,
    paragraphs: Literal["protocol", "yes", "no"] = "protocol",
    strict: bool = False,
) -> int:
    """Convert a public data set's own files into a manifest, and say what was found and left out.

    Args:
        name: The data set; captions are any .jsonl or .json lists of videos and their captions,
            videofolder is a folder as Hugging Face's VideoFolder and ImageFolder have it.
        folder: Folder with its annotation files, and the videos in it or in its folders.
        output: The manifest, best FOLDER/manifest.jsonl: its paths start from its own folder. One
            called metadata.jsonl is written as Hugging Face's VideoFolder has it.
        variant: Which list, if there are several: 7k or 9k of MSR-VTT, 2014 or 2017 of COCO, 2M or
            10M of WebVid.
        paragraphs: Join all captions of a video (yes), or not (no); protocol does so for DiDeMo.
        strict: Write nothing if any row is wrong.
    """
    from snpkit.commands.verify import NAMES_SHOWN, survey_text
    from snpkit.data.prepare import recognise, write_manifest
    from snpkit.data.prepare.writing import paths_start

    sets, others = recognise(folder, name)
    chosen = [one for one in sets if variant is None or one.variant == variant.lower()]
    if not chosen:
        there = ", ".join(one.variant for one in sets)
        raise UserError(
            f"{folder} holds no list {variant!r}; it holds: {there}." if there else
            f"{folder} holds no files of {name}; name the folder that holds them."
        )  # fmt: skip
    if len(chosen) > 1:
        names = ", ".join(one.variant for one in chosen)
        raise UserError(f"{folder} holds several lists of {name}; choose with --variant: {names}.")
    if output.resolve() in {file.path.resolve() for file in chosen[0].files}:
        raise UserError(f"{output} is one of the files that are read; write manifest.jsonl.")
    found = write_manifest(
        chosen[0],
        output,
        paragraphs={"protocol": None, "yes": True, "no": False}[paragraphs],
        strict=strict,
        names=NAMES_SHOWN,
    )
    for file in others:
        if file.path.resolve() != output.resolve():  # else of an earlier run
            found.add("files passed over", "", file.below)
    print(survey_text(folder, found))
    rows = sum(found.captions.values())
    left = f", {found.left_out:,} left out" if found.left_out else ""
    print(f"{output}: {rows:,} captions{left}.")
    if paths_start(folder, output) is None:
        print(f"Its paths start from {folder}: give --root {folder} wherever you give --data.")
    return 0
