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
from snpkit.data.rows import SPLITS, VideoText, WrongRow
from snpkit.errors import AnnotationError, UserError

METADATA = "metadata.jsonl"
LABELS, MAPPING, PICKLE = "train_ans2label.json", "youtube_mapping.txt", "raw-captions.pkl"
# The test videos of 2017 have no sentences.
_OFFICIAL = r"msrvtt_data\.json|\w+_videodatainfo\.json|(train_|train_val_)?videodatainfo_\d+\.json"
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
# Data set and suffix -> what reads its files, where `read_captions` does not.
_READERS: dict[tuple[str, str], Callable[[Reading], Iterator[VideoText]]] = {
    ("msrvtt", ".csv"): read.read_msrvtt_test,
    ("cc3m", ".tsv"): read.read_cc3m,
    ("webvid", ".csv"): read.read_webvid,
}


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
            places = (labels_beside(file.path) for file in self.files)
            return next((path for path in places if path.is_file()), None)
        return self._beside(LABELS, *self.files)

    def rows(self, wrong: Wrong) -> Iterator[VideoText]:
        """All rows, read as they are asked for.

        Args:
            wrong: is called with the error of each row that is left out; its `trap` says in a word
                what is wrong. So is it with that of a file that cannot be read on ("damaged file"),
                or whose name says no split ("no split in the name").
        """
        locator = Locator(self.root)
        readings = [Reading(locator, file, wrong) for file in self.files]
        official = [each for each in readings if self.name == "msrvtt" and is_official(each.file)]
        if official:
            tables = [each for each in readings if each.file.name.endswith(".csv")]
            for reading in readings:
                if reading not in tables + official:
                    problem = f"not read, as {official[0].file.path.name} has the captions"
                    wrong(WrongRow(f"{reading.file.path}: {problem}.", "files passed over"))
            readings = [each for each in tables if "jsfusion" in each.file.name]
            lists = [each for each in tables if each not in readings]
            rows = read.read_msrvtt(official, lists, whole=not readings)
            yield from official[0].up_to_damage(rows)
        for reading in readings:
            file = reading.file
            if file.split is None and self.name not in ("manifest", "videofolder", "vg"):
                problem = f"{file.path}: no word of its name says a split; its rows are of train"
                wrong(WrongRow(f"{problem}.", "no split in the name"))
            yield from reading.up_to_damage(self._read(reading))

    def _read(self, reading: Reading) -> Iterator[VideoText]:
        file, suffix = reading.file, reading.file.path.suffix.lower()
        if self.name in ("manifest", "videofolder"):
            yield from _manifest_rows(reading)
        elif self.name.endswith("-qa"):
            labels = AnswerLabels.load(self.labels_file) if self.labels_file else None
            mapping = self._beside(MAPPING, file) if self.name == "msvd-qa" else None
            yield from read_questions(reading, labels, mapping)
        elif self.name == "msrvtt-mc":
            yield from read_choices(reading)
        elif self.name == "msvd" and suffix == ".txt":
            captions = read_pickle(self._beside(PICKLE, file) or self.root / PICKLE)
            yield from read_msvd(reading, captions)
        elif file.name == "region_descriptions.json":
            yield from read.read_visual_genome(reading)
        elif self.name == "coco" and re.fullmatch(r"captions_\w+\.json", file.name):
            yield from read.read_coco(reading)
        else:
            yield from _READERS.get((self.name, suffix), read.read_captions)(reading)

    def _beside(self, name: str, *files: File) -> Path | None:
        """The file of that name beside others or, if it is not there, in the root."""
        folders = (*(file.path.parent for file in files), self.root)
        return next((path for folder in folders if (path := folder / name).is_file()), None)


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
        kind = _kind(file)
        if kind is not None:
            groups.setdefault(kind, []).append(file)
        elif file.name != LABELS and not file.name.endswith((".txt", ".pkl", ".answers.json")):
            others.append(file)
    if name == "videofolder" and name not in groups:  # to be written as one
        name, groups = "manifest", {"manifest": groups.get("manifest", [])[:1]}
    elif name is not None and name not in groups:
        pattern = _NAMED.get(name, r".*\.jsonl?")
        left = [file for kind, some in groups.items() if kind not in ("manifest", "videofolder")
                for file in some] + others  # fmt: skip
        groups = {name: [file for file in left if re.fullmatch(pattern, file.name)]}
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
    return bool(re.fullmatch(_OFFICIAL, file.name))


def _manifest_rows(reading: Reading) -> Iterator[VideoText]:
    """Of a manifest, or of metadata.jsonl or .csv of VideoFolder or ImageFolder."""
    file = reading.file
    folder = file.below[: -len(file.path.name)]
    if file.name.endswith(".csv"):
        for record in reading.records(columns=("file_name",)):
            with reading.row(record):
                row = VideoText.from_json(record.value, record.number, file.split)
                yield replace(row, video=reading.locator.check(folder + row.video))
        return
    every = FileRows(file.path, file.path.parent, file.split)
    if not len(every):
        raise AnnotationError(f"{file.path} holds no row; is it the right file?")
    for row in every.read(reading.wrong):
        yield replace(row, video=folder + row.video) if folder else row


def _kind(file: File) -> str | None:
    folder = file.path.parent
    kind = next((kind for kind, names in _TABLE.items() if re.fullmatch(names, file.name)), None)
    if kind is None and file.split and re.fullmatch(_IN_SPLIT, file.name):  # in train/, val/, ...
        kind = "captions"
    if kind == "captions" and (folder / LABELS).is_file():
        kind = "msrvtt-qa"
    if kind == "msrvtt-qa" and (file.name.startswith("msvd") or (folder / MAPPING).is_file()):
        kind = "msvd-qa"
    return kind


def _variant(file: File) -> str:
    """The list that a file is of; "" = of each. The videos of 2016 and of 2017 are the same."""
    found = None if is_official(file) else _VARIANT.search(file.name)
    return found[1] if found else ""
