"""The one annotation format of snpkit: a manifest, JSON lines beside the videos it names.

    {"id": "kite-1", "video": "videos/kite.mp4", "caption": "a red kite falls", "split": "train"}

Optional: "kind" ("video" or "image") and the window "start", "end" in seconds. Whatever else a line
holds is kept in `VideoText.extra`. The metadata.jsonl of Hugging Face's VideoFolder and ImageFolder
is read as a manifest, too: there "file_name" stands for "video".
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import snpkit
from snpkit.data.manifest_rows import FileRows, JoinedRows, rows_of, splits_of
from snpkit.data.rows import IndexedRows, VideoText, encode_row, shorten
from snpkit.errors import AnnotationError, UserError
from snpkit.files import inside, write_text

__all__ = ["IndexedRows", "Manifest", "VideoText", "sample_manifest", "samples_folder"]

_LARGE = 64 << 20  # bytes of a manifest whose rows are not held in memory: about 300,000 rows


@dataclass(frozen=True)
class Manifest:
    """Rows and the folder that their paths start from.

    Attributes:
        root: the folder; of several data sets that of the first.
        rows: a list, or `IndexedRows` where they are too many to be held in memory.
        parts: of several data sets (`Manifest.join`), each one by its name, with which the paths
            of its rows begin.
    """

    root: Path
    rows: Sequence[VideoText]
    parts: Mapping[str, "Manifest"] = field(default_factory=dict)

    @classmethod
    def load(
        cls, path: str | Path, *, root: str | Path | None = None, split: str | None = None
    ) -> "Manifest":
        """Read a manifest. The rows of a large one are read when they are asked for.

        Args:
            path: the .jsonl file, UTF-8; empty lines are passed over.
            root: folder that the rows' paths start from; None is the manifest's own folder.
            split: of rows of metadata.jsonl that name none; None = "train".

        Raises:
            AnnotationError: a line is wrong, or leads out of `root`; names file, line and field.
                Lines of a large manifest are only looked at when they are asked for.
            UserError: the file cannot be read or holds no row.
        """
        path = Path(path)
        root = path.parent if root is None else Path(root)
        rows = FileRows(path, root, split)
        if not len(rows):
            raise AnnotationError(f"{path} is empty; it needs one JSON object a line.")
        if path.stat().st_size > _LARGE:
            _ = rows[0]  # another file than a manifest is found out now
            return cls(root, rows)
        held: dict[str, VideoText] = {}
        for number, row in enumerate(rows):
            if row.id in held:
                first = rows.line(list(held).index(row.id))
                raise AnnotationError(
                    f'{path}, line {rows.line(number)}: "id" is {shorten(row.id)}, as in line '
                    f"{first} already."
                )
            held[row.id] = row
        return cls(root, list(held.values()))

    @classmethod
    def join(cls, parts: Mapping[str, "Manifest"]) -> "Manifest":
        """Several data sets as one; each keeps its own root.

        Args:
            parts: manifests by their names, with which the ids and paths of their rows will begin.
        """
        rows: Sequence[VideoText] = JoinedRows({name: part.rows for name, part in parts.items()})
        if not any(isinstance(part.rows, IndexedRows) for part in parts.values()):
            rows = list(rows)
        return cls(next(iter(parts.values())).root, rows, parts)

    def save(self, path: str | Path) -> None:
        """Write the manifest, whole or not at all; `root` is not written.

        Raises:
            UserError: the file cannot be written, or "extra" holds what JSON cannot.
        """
        try:
            lines = [encode_row(row) for row in self.rows]
        except (TypeError, ValueError) as error:
            raise UserError(f'{path}: "extra" must hold JSON values only ({error}).') from None
        write_text(path, "".join(lines))

    def split(self, name: str) -> "Manifest":
        """The rows of one split.

        Raises:
            UserError: there is no such split; names those that there are.
        """
        if name not in self.splits:
            there = ", ".join(self.splits) or "none"
            raise UserError(f"The manifest of {self.root} has no split {name!r}; it has: {there}.")
        return replace(self, rows=rows_of(self.rows, name))

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits, in alphabetical order."""
        return splits_of(self.rows)

    def path_of(self, row: VideoText) -> Path:
        """Where the file of a row lies.

        Raises:
            AnnotationError: the path leads out of the root.
        """
        return self._path_of(row.video)

    def _path_of(self, video: str) -> Path:
        if not self.parts:
            return inside(self.root, video)
        name, _, own = video.partition("/")
        return self.parts[name]._path_of(own)


def samples_folder() -> Path:
    """The folder of sample clips: `data_samples` of a checkout, else what SNPKIT_SAMPLES names.

    Raises:
        UserError: neither is there.
    """
    beside = Path(snpkit.__file__).resolve().parent.parent / "data_samples"
    if beside.is_dir():
        return beside
    named = os.environ.get("SNPKIT_SAMPLES")
    if named and Path(named).is_dir():
        return Path(named)
    raise UserError(
        "The sample clips are not there; "
        "set SNPKIT_SAMPLES to the data_samples folder of a checkout of the repository."
    )


def sample_manifest() -> Manifest:
    """The manifest of the sample clips."""
    return Manifest.load(samples_folder() / "manifest.jsonl")
