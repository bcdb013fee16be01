"""Which data sets there are, by which names of files a folder is recognised, and their rows."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from snpkit.data.labels import AnswerLabels
from snpkit.data.manifest_rows import FileRows
from snpkit.data.prepare import captions as read
from snpkit.data.prepare.msvd import read_msvd, read_pickle
from snpkit.data.prepare.questions import read_choices, read_questions
from snpkit.data.prepare.reading import File, Locator, Reading, Wrong, annotation_files
from snpkit.data.prepare.records import Record, table
from snpkit.data.rows import SPLITS, VideoText, WrongRow
from snpkit.errors import AnnotationError, UserError

METADATA = "metadata.jsonl"
LABELS, MAPPING, PICKLE = "train_ans2label.json", "youtube_mapping.txt", "raw-captions.pkl"
_OFFICIAL = r"msrvtt_data\.json|\w+_videodatainfo\.json"
_SPLIT = f"({'|'.join(SPLITS.values())})"
# Name of a data set -> names of its files, in lower case; a file belongs to the first that it fits.
_TABLE = {
    "manifest": r"(manifest|questions|choices)\.jsonl",
    "videofolder": r"metadata\.(jsonl|csv)",
    "msrvtt-mc": r"(.*_)?mc(_.*)?\.jsonl?",
    "msrvtt-qa": rf"(.*_)?qa(_.*)?\.jsonl?|{_SPLIT}_qa\.json",  # MSVD's with their mapping
    "msrvtt": rf"{_OFFICIAL}|msrvtt_\w*{_SPLIT}[\w.]*\.csv|msrvtt_\w+\.jsonl?",
    "msvd": rf"{_SPLIT}_list\.txt|msvd_\w+\.jsonl?",
    "didemo": rf"{_SPLIT}_data\.json|didemo_\w+\.jsonl?",
    "coco": r"captions_\w+\.json|coco_\w+\.jsonl?",
    "vg": r"region_descriptions\.json|vg_\w+\.jsonl?",
    "cc3m": r".*(gcc|cc3m|conceptual).*\.(tsv|jsonl?)",
    "webvid": rf"results_\w+_{_SPLIT}\.csv|webvid_\w+\.jsonl?",
    "captions": rf"(.*[_-])?{_SPLIT}[\w.-]*\.jsonl|(.*[_-])?{_SPLIT}\d*\w?\.json",
}
# Files of other names that are read where the user names the data set.
_NAMED = {"cc3m": r".*\.(tsv|jsonl?)", "webvid": r".*\.(csv|jsonl?)"}
_IN_SPLIT = r".*\.jsonl|(data|captions|annotations)\.json"
NAMES = (*list(_TABLE)[1:], "msvd-qa")
_VARIANT = re.compile(r"(?<!\d)(7k|9k|2m|10m|20\d\d)(?![0-9a-z])")


@dataclass(frozen=True)
class DataSet:
    """A data set as it lies in a folder.

    Attributes:
        root: the folder; the rows' paths start from it.
        name: one of `NAMES`, or "manifest".
        files: its annotation files.
        variant: which of its lists, such as "9k" or "2017"; "" = it has no other.
    """

    root: Path
    name: str
    files: tuple[File, ...]
    variant: str = ""

    @property
    def title(self) -> str:
        """Its name with its variant, such as "msrvtt-9k"."""
        return f"{self.name}-{self.variant}" if self.variant else self.name

    @property
    def labels_file(self) -> Path | None:
        """The file of its answers' labels, if it has one."""
        if self.name == "manifest":
            places = [labels_beside(file.path) for file in self.files]
        else:
            folders = dict.fromkeys((*(file.path.parent for file in self.files), self.root))
            places = [folder / LABELS for folder in folders]
        return next((path for path in places if path.is_file()), None)

    def rows(self, wrong: Wrong) -> Iterator[VideoText]:
        """All rows, read as they are asked for.

        Args:
            wrong: is called with the error of each row that is left out; its `trap` says in a word
                what is wrong. So is it with that of a file that cannot be read on ("damaged file"),
                or whose name says no split ("no split in the name").
        """
        locator = Locator(self.root)
        files = list(self.files)
        official = [file for file in files if is_official(file)]
        if self.name == "msrvtt" and official:
            tables = [file for file in files if file.path.suffix.lower() == ".csv"]
            for file in set(files) - {*tables, *official}:
                problem = f"{file.path}: not read, as {official[0].path.name} has the captions"
                wrong(WrongRow(f"{problem}.", "files passed over"))
            files = [file for file in tables if "jsfusion" in file.path.name.lower()]
            lists = [file for file in tables if file not in files]
            readings = [Reading(locator, file, wrong) for file in official]
            yield from _up_to_damage(lambda: read.read_msrvtt(readings, lists, not files), wrong)
        for file in files:
            if file.split is None and self.name not in ("manifest", "videofolder", "vg"):
                problem = f"{file.path}: no word of its name says a split; its rows are of train"
                wrong(WrongRow(f"{problem}.", "no split in the name"))
            reading = Reading(locator, file, wrong)
            yield from _up_to_damage(lambda reading=reading: self._read(reading), wrong, file.split)

    def _read(self, reading: Reading) -> Iterator[VideoText]:
        file, suffix = reading.file, reading.file.path.suffix.lower()
        if self.name in ("manifest", "videofolder"):
            folder = file.below[: -len(file.path.name)]
            if suffix == ".csv":
                return read_metadata(reading, folder)
            every = FileRows(file.path, file.path.parent, file.split)
            if not len(every):
                raise AnnotationError(f"{file.path} holds no row; is it the right file?")
            rows = every.read(reading.wrong)
            return (replace(row, video=folder + row.video) if folder else row for row in rows)
        if self.name.endswith("-qa"):
            labels = AnswerLabels.load(self.labels_file) if self.labels_file else None
            mapping = self._beside(file, MAPPING) if self.name == "msvd-qa" else None
            return read_questions(reading, labels, mapping)
        if self.name == "msvd" and suffix == ".txt":
            return read_msvd(reading, read_pickle(self._beside(file, PICKLE) or self.root / PICKLE))
        readers: dict[tuple[str, str], Callable[[Reading], Iterator[VideoText]]] = {
            ("msrvtt", ".csv"): read.read_msrvtt_test,
            ("cc3m", ".tsv"): read.read_cc3m,
            ("webvid", ".csv"): read.read_webvid,
        }
        if self.name == "msrvtt-mc":
            return read_choices(reading)
        if file.path.name.lower() == "region_descriptions.json":
            return read.read_visual_genome(reading)
        if self.name == "coco" and re.fullmatch(r"captions_\w+\.json", file.path.name.lower()):
            return read.read_coco(reading)
        return readers.get((self.name, suffix), read.read_captions)(reading)

    def _beside(self, file: File, name: str) -> Path | None:
        places = (file.path.parent / name, self.root / name)
        return next((path for path in places if path.is_file()), None)


def read_metadata(reading: Reading, folder: str) -> Iterator[VideoText]:
    """The rows of metadata.csv of VideoFolder or ImageFolder; `folder` is its own, with a slash."""

    def row(record: Record) -> Iterator[VideoText]:
        made = VideoText.from_json(record.value, record.number, reading.file.split)
        yield replace(made, video=reading.locator.check(folder + made.video))

    return reading.rows(table(reading.file.path, ("file_name",)), row)


def recognise(root: Path, name: str | None = None) -> tuple[list[DataSet], list[File]]:
    """The data sets of a folder, by the names of its files; MSR-VTT's 7k and 9k lists make two.

    Args:
        name: the data set that it holds, whatever its files are called; None = go by their names.

    Returns:
        The data sets, and the files that belong to none of them.

    Raises:
        UserError: there is no such folder, or no such data set.
    """
    if name is not None and name not in NAMES:
        raise UserError(f"There is no data set {name!r}; choose one of {', '.join(NAMES)}.")
    groups: dict[str, list[File]] = {}
    others: list[File] = []
    for file in annotation_files(root):
        base = file.path.name.lower()
        kind = _kind(file)
        if kind is not None:
            groups.setdefault(kind, []).append(file)
        elif base != LABELS and not base.endswith((".txt", ".pkl", ".answers.json")):
            others.append(file)
    if name == "videofolder" and name not in groups:  # to be written as one
        name, groups = "manifest", {"manifest": groups.get("manifest", [])[:1]}
    if name is not None and name not in groups:
        pattern = _NAMED.get(name, r".*\.jsonl?")
        left = [file for kind, some in groups.items() if kind not in ("manifest", "videofolder")
                for file in some] + others  # fmt: skip
        groups = {name: [f for f in left if re.fullmatch(pattern, f.path.name.lower())]}
        others = [file for file in others if file not in groups[name]]
    sets = []
    for kind, some in groups.items():
        if name not in (None, kind) or not some:
            continue
        if kind == "manifest":
            sets += [DataSet(root, kind, (file,)) for file in some]
            continue
        for variant in sorted({_variant(file) for file in some} - {""}) or [""]:
            own = tuple(file for file in some if _variant(file) in ("", variant))
            sets.append(DataSet(root, kind, own, variant))
    return sets, others


def labels_beside(manifest: Path) -> Path:
    """Where `snpkit prepare` writes the label set of a manifest of questions."""
    return manifest.with_suffix(".answers.json")


def is_official(file: File) -> bool:
    """Whether it is one of MSR-VTT's own files, with all sentences about its videos."""
    return bool(re.fullmatch(_OFFICIAL, file.path.name.lower()))


def _kind(file: File) -> str | None:
    base, folder = file.path.name.lower(), file.path.parent
    kind = next((kind for kind, names in _TABLE.items() if re.fullmatch(names, base)), None)
    if kind is None and file.split and re.fullmatch(_IN_SPLIT, base):  # in a folder train, val, ..
        kind = "captions"
    if kind == "captions" and (folder / LABELS).is_file():
        kind = "msrvtt-qa"
    if kind == "msrvtt-qa" and (base.startswith("msvd") or (folder / MAPPING).is_file()):
        kind = "msvd-qa"
    return kind


def _variant(file: File) -> str:
    found = _VARIANT.search(file.path.name.lower())
    return found.group(1) if found else ""


def _up_to_damage(
    read: Callable[[], Iterator[VideoText]], wrong: Wrong, split: str | None = None
) -> Iterator[VideoText]:
    """The rows of a file up to where it cannot be read on, which `wrong` is called with."""
    try:
        yield from read()
    except UserError as error:
        wrong(WrongRow(str(error), "damaged file", split or ""))
