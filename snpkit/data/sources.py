"""What `--data` names: a manifest, shards, or a data set's folder as its authors publish it."""

import hashlib
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from snpkit.data.annotations.caption_lists import read_manifest
from snpkit.data.annotations.index import RowIndex
from snpkit.data.annotations.labels import AnswerLabels
from snpkit.data.annotations.layouts import ALIASES, Layout, Part, layouts_in
from snpkit.data.samples import Manifest
from snpkit.data.shards import is_sharded, open_shards
from snpkit.errors import AnnotationError, UserError
from snpkit.files import cache_folder

FILES = {"qa": "questions.jsonl", "multichoice": "choices.jsonl"}  # else manifest.jsonl
_LARGE = 64 << 20  # bytes of a manifest that is not held in memory: about 300,000 rows
_WRONG_SHARE = 0.2  # more wrong rows than this: it is another data set than it seems
_CAPTIONED = ("retrieval", "pre-training")
# Task of a recipe -> tasks of the layouts that suit it.
_SUITABLE = {
    "pretraining": _CAPTIONED,
    "retrieval": _CAPTIONED,
    "qa": ("question answering",),
    "multichoice": ("multiple choice",),
}


@dataclass(frozen=True)
class Source:
    """The rows of one data set, of all its splits.

    Attributes:
        name: what messages call it.
        manifest: its rows; those of a published layout or a large manifest are read from an index
            file and take no memory.
        answers: the label set that the data set brings along; None = it has none.
        wrong: rows that were left out because they are wrong.
    """

    name: str
    manifest: Manifest
    answers: tuple[str, ...] | None = None
    wrong: int = 0

    def split_name(self, asked: str | None, option: str, *, optional: bool = False) -> str | None:
        """The split that an option asks for, as the rows call it.

        Args:
            asked: a split, such as "validation" or "val"; None or "none" = none.
            option: such as "--held-out", for the message.
            optional: "none" is among the choices.

        Raises:
            UserError: there is no such split; names those that there are.
        """
        if asked is None or (optional and asked == "none"):
            return None
        there = self.manifest.splits
        for name in (asked, ALIASES.get(asked, asked)):
            if name in there:
                return name
        others = [name for name in there if name != "train"] if optional else list(there)
        choices = "|".join(["none"] * optional + others)
        raise UserError(
            f"{self.name} has no split {asked!r}; it has: {', '.join(there)}. "
            f"Choose with {option} {choices}."
        )


def open_source(data: str | Path, task: str, layout: str | None = None) -> Source:
    """The rows that `--data` and `--layout` name.

    Args:
        data: a manifest (.jsonl), or the folder of a data set in one of the layouts that
            `snpkit.data.annotations` knows, or a folder with manifest.jsonl (for "qa"
            questions.jsonl, for "multichoice" choices.jsonl), or one of shards.
        task: "pretraining", "retrieval", "qa" or "multichoice".
        layout: which data set, if the folder holds several that suit the task.

    Raises:
        UserError: no such file or folder, or no data set in it that suits the task, or several.
        AnnotationError: a manifest's row is wrong, or more than a fifth of a data set's rows.
    """
    path = Path(data)
    if path.is_dir() and layout is None and is_sharded(path):
        return Source(f"the shards in {path}", open_shards(path))
    if path.is_dir():
        inner = path / FILES.get(task, "manifest.jsonl")
        if layout is not None or not inner.is_file():
            return _open_layout(_choose(path, task, layout))
        path = inner
    if layout is not None:
        raise UserError(f"--layout {layout} is for the folder of a data set; {path} is none.")
    if path.is_file() and path.suffix.lower() != ".jsonl":
        raise UserError(f"{path} is no manifest (.jsonl); name the folder of the data set.")
    if path.is_file() and path.stat().st_size > _LARGE:
        part = Part("", path, partial(read_manifest, path=path))
        return _open_layout(Layout(path.parent, path.name, "retrieval", (part,)), strict=True)
    return Source(str(path), Manifest.load(path))


def _choose(root: Path, task: str, name: str | None) -> Layout:
    layouts = layouts_in(root)
    suitable = [one for one in layouts if one.task in _SUITABLE[task] or one.name == "manifest"]
    chosen = [one for one in suitable if name in (None, one.name)]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        names = ", ".join(one.name for one in chosen)
        raise UserError(f"{root} holds several data sets; choose with --layout: {names}.")
    there = ", ".join(f"{one.name} ({one.task})" for one in layouts)
    asked = f" {name!r}" if name is not None else ""
    holds = f"it holds: {there}" if there else "name the folder with its annotation files"
    raise UserError(f"{root} holds no data set{asked} for {task} that snpkit knows; {holds}.")


def _open_layout(layout: Layout, *, strict: bool = False) -> Source:
    """Its rows in an index file; wrong ones are counted, or raised where it is `strict`."""
    found = RowIndex.build(layout.root, index_path(layout), layout=layout, skip_wrong=not strict)
    name = f"{layout.name} in {layout.root}"
    if not len(found) or found.left_out > _WRONG_SHARE * (len(found) + found.left_out):
        total = len(found) + found.left_out
        raise AnnotationError(
            f"{found.left_out:,} of {total:,} rows of {name} are wrong{_first_wrong(layout)}; "
            f"`snpkit verify {layout.root}` names them all."
        )
    answers = None
    if layout.label_file is not None and layout.task == "question answering":
        answers = AnswerLabels.load(layout.label_file).answers
    return Source(name, found.manifest(), answers, found.left_out)


def _first_wrong(layout: Layout) -> str:
    try:
        for _ in layout.rows():
            pass
    except UserError as error:
        return f", such as {str(error).rstrip('.')}"
    return ""


def index_path(layout: Layout) -> Path:
    """Where the index file of a data set lies: in its folder, else in the user's cache."""
    if os.access(layout.root, os.W_OK):
        return layout.root / f".snpkit-{layout.name}.sqlite"
    key = hashlib.sha256(str(layout.root.resolve()).encode()).hexdigest()[:16]
    return cache_folder() / f"{key}-{layout.name}.sqlite"
