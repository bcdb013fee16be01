"""What `--data` names: manifests, folders as Hugging Face's VideoFolder has them, or shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snpkit.data.labels import AnswerLabels
from snpkit.data.prepare.datasets import labels_beside, recognise
from snpkit.data.rows import split_named
from snpkit.data.samples import Manifest
from snpkit.data.shards import is_sharded, open_shards
from snpkit.errors import UserError

FILES = {"qa": "questions.jsonl", "multichoice": "choices.jsonl"}  # else manifest.jsonl


@dataclass(frozen=True)
class Source:
    """The rows of one data set or of several, of all their splits.

    Attributes:
        name: what messages call it.
        manifest: its rows; those of a large manifest are not held in memory.
        answers: the label set that the data set brings along; None = it has none.
    """

    name: str
    manifest: Manifest
    answers: tuple[str, ...] | None = None

    def split_name(self, asked: str | None, option: str, *, optional: bool = False) -> str | None:
        """The split that an option asks for, as the rows call it.

        Args:
            asked: a split, such as "validation" or "val"; None or "none" = none.
            option: such as "--held-out", for the message.
            optional: "none" is among the choices. Of several data sets each must have a split that
                is not optional.

        Raises:
            UserError: there is no such split; names those that there are.
        """
        if asked is None or (optional and asked == "none"):
            return None
        there = self.manifest.splits
        meant = split_named(asked) or asked
        name = next((s for s in (asked, meant) if s in there), None)
        name = name or next((s for s in there if split_named(s) == meant), None)
        if name is None:
            others = [split for split in there if split != "train"] if optional else list(there)
            choices = "|".join(["none"] * optional + others)
            raise UserError(
                f"{self.name} has no split {asked!r}; it has: {', '.join(there)}. "
                f"Choose with {option} {choices}."
            )
        for key, part in self.manifest.parts.items():
            if not optional and name not in part.splits:
                raise UserError(
                    f"{key} has no split {name!r} and would not be used; it has: "
                    f"{', '.join(part.splits)}. Leave it out, or give its rows that split."
                )
        return name


def open_source(data: Sequence[Path], task: str, roots: Sequence[Path] = ()) -> Source:
    """The rows that `--data` names; of several data sets those of all, in one.

    Batches draw from all rows alike, so that data sets are mixed in proportion to their sizes.

    Args:
        data: manifests (.jsonl); folders with manifest.jsonl (for "qa" questions.jsonl, for
            "multichoice" choices.jsonl), or as Hugging Face's VideoFolder and ImageFolder have
            them, with metadata.jsonl; or folders of shards.
        task: "pretraining", "retrieval", "qa" or "multichoice".
        roots: folder that the paths of each manifest start from; none = their own folders.

    Raises:
        UserError: no such file or folder, or none with a manifest; a data set's own files are to be
            converted first, which names the command.
        AnnotationError: a manifest's row is wrong.
    """
    if roots and len(roots) != len(data):
        raise UserError(f"--root names {len(roots)} folders for {len(data)} data sets; name each.")
    sharded = [path for path in data if path.is_dir() and is_sharded(path)]
    if sharded:
        if len(sharded) < len(data):
            raise UserError("Shards and manifests cannot be mixed; make shards of all, or of none.")
        return Source(f"the shards in {', '.join(map(str, data))}", open_shards(*data))
    each = [
        _open(path, task, root)
        for path, root in zip(data, roots or [None] * len(data), strict=True)
    ]
    if len(each) == 1:
        return each[0]
    parts: dict[str, Manifest] = {}
    for path, one in zip(data, each, strict=True):
        name = path.resolve().stem or "data"
        more = (f"{name}-{number}" for number in range(2, len(data) + 2))
        parts[next(n for n in (name, *more) if n not in parts)] = one.manifest
    answers = {one.answers for one in each}
    if len(answers) > 1:
        raise UserError("The data sets have different label sets; fine-tune on one of them.")
    names = " and ".join(one.name for one in each)
    return Source(names, Manifest.join(parts), answers.pop())


def _open(path: Path, task: str, root: Path | None) -> Source:
    file = path
    if path.is_dir():
        file = path / FILES.get(task, "manifest.jsonl")
        if not file.is_file():
            return _open_folder(path)
    if file.is_file() and file.suffix.lower() != ".jsonl":
        raise UserError(f"{file} is no manifest (.jsonl); `snpkit prepare` makes one.")
    labels = labels_beside(file)
    answers = AnswerLabels.load(labels).answers if labels.is_file() else None
    return Source(str(file), Manifest.load(file, root=root), answers)


def _open_folder(folder: Path) -> Source:
    """A folder with metadata.jsonl in it or in its folders, one for each split."""
    sets, _ = recognise(folder)
    for found in sets:
        plain = all(file.path.name.lower().endswith(".jsonl") for file in found.files)
        if found.name == "videofolder" and plain:
            if [file.path.parent for file in found.files] == [folder]:
                return Source(str(folder), Manifest.load(found.files[0].path))
            parts = {
                file.path.parent.name: Manifest.load(file.path, split=file.split)
                for file in found.files
            }
            return Source(str(folder), Manifest.join(parts))
    others = [found for found in sets if found.name != "manifest"]
    if others:
        commands = " or ".join(
            f"`snpkit prepare {one.name} {folder} -o {folder / 'manifest.jsonl'}"
            + (f" --variant {one.variant}`" if len(others) > 1 and one.variant else "`")
            for one in others
        )
        raise UserError(f"{folder} holds a data set's own files; convert them first: {commands}.")
    raise UserError(
        f"{folder} holds no manifest.jsonl and no metadata.jsonl; name a manifest, or make one "
        "with `snpkit prepare`."
    )
