"""From a folder to its data set: which layout it has, its splits, and their rows."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from snpkit.data.annotations import caption_lists, msrvtt, msvd, pictures, questions, webvid
from snpkit.data.annotations.fields import Context, Problems
from snpkit.data.annotations.kinds import Found, annotation_files
from snpkit.data.annotations.labels import AnswerLabels
from snpkit.data.annotations.paths import Locator
from snpkit.data.samples import VideoText
from snpkit.errors import UserError
from snpkit.files import inside

Reader = Callable[[Context], Iterator[VideoText]]
ALIASES = {"val": "validation", "dev": "validation", "training": "train"}
LABELS = {"msvd": 1000}  # size of a label set that has no file; the paper's, 1500 elsewhere

# kind -> task, name (a {} takes the data set's), reader of one file
_SIMPLE = {
    "manifest": ("retrieval", "manifest", caption_lists.read_manifest),
    "clips-typed": ("pre-training", "reference", caption_lists.read_clips),
    "clips": ("retrieval", "{}jsonl", caption_lists.read_clips),
    "list": ("retrieval", "{}list", caption_lists.read_list),
    "didemo": ("retrieval", "didemo", caption_lists.read_didemo),
    "webvid": ("pre-training", "webvid", webvid.read_webvid),
    "cc3m": ("pre-training", "cc3m", pictures.read_cc3m_table),
    "image-list": ("pre-training", "cc3m-list", pictures.read_image_list),
    "coco": ("pre-training", "coco", pictures.read_coco),
    "visual-genome": ("pre-training", "visual-genome", pictures.read_visual_genome),
    "questions": ("question answering", "{}qa", questions.read_questions),
    "questions-labelled": ("question answering", "{}qa-labels", questions.read_labelled),
    "choices": ("multiple choice", "{}mc", questions.read_choices),
    "choices-list": ("multiple choice", "{}mc-list", questions.read_choices),
}


@dataclass(frozen=True)
class Part:
    """A file of a layout: its split ("" = its rows say it), its path and what reads it.

    `also` are further files that its reader opens.
    """

    split: str
    path: Path
    read: Reader
    also: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A data set as it lies in a folder.

    Attributes:
        root: the folder; the rows' paths start from it.
        name: such as "msrvtt-7k" or "webvid-2m".
        task: "retrieval", "question answering", "multiple choice" or "pre-training".
        parts: its annotation files.
        label_file: `train_ans2label.json`, if there is one.
    """

    root: Path
    name: str
    task: str
    parts: tuple[Part, ...]
    label_file: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All annotation files that the rows come from."""
        paths = [path for part in self.parts for path in (part.path, *part.also)]
        return tuple(dict.fromkeys(paths + [self.label_file] * (self.label_file is not None)))

    def path_of(self, video: str) -> Path:
        """Where the file of a row that was read already lies; for millions of rows, so quick."""
        return inside(self.root, video) if "\\" in video else self.root / video

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of its splits; where only the rows say them, all rows are read for it."""
        if all(part.split for part in self.parts):
            return tuple(dict.fromkeys(part.split for part in self.parts))
        return tuple(dict.fromkeys(row.split for row in self.rows(problems=lambda error: None)))

    @cached_property
    def labels(self) -> AnswerLabels | None:
        """The label set: of its file, else of the most frequent answers of the training split."""
        if self.task != "question answering":
            return None
        if self.label_file is not None:
            return AnswerLabels.load(self.label_file)
        answers = (
            row.extra["answer"]
            for part in self.parts
            if part.split == "train"
            for row in part.read(Context(Locator(self.root), "train", lambda error: None))
        )
        known = [answer for answer in answers if answer is not None]
        size = next((n for start, n in LABELS.items() if self.name.startswith(start)), 1500)
        return AnswerLabels.build(known, size) if known else None

    def rows(
        self, split: str | None = None, problems: Problems | None = None
    ) -> Iterator[VideoText]:
        """The rows of a split, or of all, read as they are asked for.

        Args:
            split: its name; None = all splits.
            problems: told of each wrong row, which is left out; None raises the first one. A file
                that cannot be read on is raised always.

        Raises:
            AnnotationError: names file, place and what is wrong.
            UserError: there is no such split, or it has no rows.
        """
        names = {split, ALIASES.get(split or "", split)}
        chosen = [part for part in self.parts if not split or part.split in ("", *names)]
        if not chosen:
            there = ", ".join(dict.fromkeys(part.split for part in self.parts))
            raise UserError(f"{self.name} in {self.root} has no split {split!r}; it has: {there}.")
        return self._rows(chosen, names, problems)

    def rows_of(self, part: Part, problems: Problems | None = None) -> Iterator[VideoText]:
        """The rows of one of the parts; else as `rows`."""
        return part.read(Context(Locator(self.root), part.split, problems, self.labels))

    def _rows(
        self, parts: list[Part], names: set[str | None], problems: Problems | None
    ) -> Iterator[VideoText]:
        found = None in names or any(part.split for part in parts)
        for part in parts:
            for row in self.rows_of(part, problems):
                if None in names or row.split in names:
                    found = True
                    yield row
        if not found:  # the rows of a manifest say their split themselves
            raise UserError(f"{self.name} in {self.root} has no rows of {sorted(names)[-1]!r}.")


def layouts_in(root: str | Path) -> list[Layout]:
    """Every data set that lies in a folder; MSR-VTT's 7k and 9k lists make two.

    Raises:
        UserError: there is no such folder.
    """
    root = Path(root)
    files = annotation_files(root)
    layouts = [*_msrvtt(root, files), *_msvd(root, files), *_numbered(root, files)]
    groups: dict[str, list[Found]] = {}
    for file in files:
        if file.kind in _SIMPLE:
            # A damaged file does not say how its videos are called; its neighbours do.
            kin = (other.video for other in files if other.kind == file.kind and other.video)
            prefix = _data_set(file.video or next(kin, ""))
            groups.setdefault(_SIMPLE[file.kind][1].format(prefix), []).append(file)
    for name, group in groups.items():
        task, _, reader = _SIMPLE[group[0].kind]
        for suffix, some in _variants(group):
            parts = tuple(_part(file, reader, name) for file in some)
            layouts.append(Layout(root, name + suffix, task, parts, _labels(files, some)))
    return layouts


def detect(root: str | Path, name: str | None = None) -> Layout:
    """The layout of the data set in a folder.

    Args:
        root: the folder.
        name: which one, if it holds several.

    Raises:
        UserError: there is none, or none of that name, or several to choose from.
    """
    layouts = layouts_in(root)
    names = ", ".join(layout.name for layout in layouts)
    if not layouts:
        raise UserError(f"{root} holds no data set that snpkit knows; is it the right folder?")
    chosen = [layout for layout in layouts if name in (None, layout.name)]
    if not chosen:
        raise UserError(f"{root} holds no data set {name!r}; it holds: {names}.")
    if len(chosen) > 1:
        raise UserError(f"{root} holds several data sets; name one of them: {names}.")
    return chosen[0]


def open_dataset(
    root: str | Path,
    split: str | None = None,
    *,
    layout: str | None = None,
    problems: Problems | None = None,
) -> Iterator[VideoText]:
    """The rows of a data set in one of the public formats, in constant memory.

    Args:
        root: its folder.
        split: "train", "validation", "test"; None = all.
        layout: which one, if the folder holds several; see `layouts_in`.
        problems: see `Layout.rows`.

    Raises:
        AnnotationError: a row is wrong; names file, place and what is wrong.
        UserError: no such data set or split.
    """
    return detect(root, layout).rows(split, problems)


def _msrvtt(root: Path, files: list[Found]) -> Iterator[Layout]:
    data = next((file.path for file in files if file.kind == "msrvtt-data"), None)
    tests = [file for file in files if file.kind == "msrvtt-test"]
    lists = [file for file in files if file.kind == "msrvtt-list"] if data else []
    test_parts = tuple(
        Part(file.split, file.path, partial(msrvtt.read_test_list, path=file.path))
        for file in tests
    )
    for suffix, some in _variants(lists):
        read = partial(msrvtt.read_listed, data=data)
        parts = tuple(
            Part(file.split, file.path, partial(read, listed=file.path), (data,)) for file in some
        )
        yield Layout(root, "msrvtt" + suffix, "retrieval", parts + test_parts)
    if data and not lists and not tests:
        part = Part("", data, partial(msrvtt.read_official, data=data))
        yield Layout(root, "msrvtt-full", "retrieval", (part,))
    elif tests and not lists:
        yield Layout(root, "msrvtt-1k-a", "retrieval", test_parts)


def _msvd(root: Path, files: list[Found]) -> Iterator[Layout]:
    pickled = next((file.path for file in files if file.kind == "msvd-captions"), None)
    lists = [file for file in files if file.kind == "msvd-list"]
    if pickled and lists:
        read = partial(msvd.read_msvd, pickled=pickled)
        parts = tuple(
            Part(file.split, file.path, partial(read, listed=file.path), (pickled,))
            for file in lists
        )
        yield Layout(root, "msvd", "retrieval", parts)


def _numbered(root: Path, files: list[Found]) -> Iterator[Layout]:
    """The original question files: one set a folder, MSVD's with its mapping."""
    numbered = [file for file in files if file.kind == "questions-numbered"]
    mappings = [file.path for file in files if file.kind == "msvd-mapping"]
    for folder in dict.fromkeys(file.path.parent for file in numbered):
        near = [path for path in mappings if path.parent == folder]
        # A mapping in the root belongs to all only if there is one set of questions.
        alone = len({file.path.parent for file in numbered}) == 1
        mapping = next(iter(near or (mappings if alone else [])), None)
        some = [file for file in numbered if file.path.parent == folder]
        read = partial(questions.read_numbered, mapping=mapping)
        also = (mapping,) if mapping else ()
        parts = tuple(
            Part(file.split, file.path, partial(read, path=file.path), also) for file in some
        )
        name = "msvd-qa-original" if mapping else "msrvtt-qa-original"
        yield Layout(root, name, "question answering", parts, _labels(files, some))


def _labels(files: list[Found], some: list[Found]) -> Path | None:
    """The label file beside the files of a layout, else the only one there is."""
    paths = [file.path for file in files if file.kind == "labels"]
    near = [path for path in paths if path.parent in {file.path.parent for file in some}]
    return near[0] if near else paths[0] if len(paths) == 1 else None


def _part(file: Found, reader: Callable, name: str) -> Part:
    split = "" if name == "manifest" else file.split
    return Part(split, file.path, partial(reader, path=file.path))


def _variants(files: list[Found]) -> Iterator[tuple[str, list[Found]]]:
    """Files of "7k" and "9k" are two data sets; a file of no variant belongs to each."""
    variants = sorted({file.variant for file in files} - {""}) or ([""] if files else [])
    for variant in variants:
        some = [file for file in files if file.variant in ("", variant)]
        yield (f"-{variant}" if variant else ""), some


def _data_set(video: str) -> str:
    """The data set whose videos are called like this, with a dash, or ""."""
    stem = video.rpartition("/")[2].split(".")[0]
    if re.fullmatch(r"video\d+", stem):
        return "msrvtt-"
    return "msvd-" if re.fullmatch(r"vid\d+|[\w-]{11}_\d+_\d+", stem) else ""
