"""What is wrong with a data set: rows, files, splits, and the classic traps.

Of each row and video a number of 8 bytes is held, so that a set of millions fits.
"""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from snpkit.data.labels import OUTSIDE, AnswerLabels, answer_of, wrong_choice
from snpkit.data.prepare.datasets import DataSet, is_official
from snpkit.data.rows import VideoText, WrongRow
from snpkit.data.video_ids import number_of
from snpkit.errors import AnnotationError, VideoError
from snpkit.files import inside, open_regular

OPTIONS = 5  # of MSRVTT-MC
LABELS = {"msvd-qa": 1000}  # size of a label set that has no file; the paper's, 1500 elsewhere
_OUTSIDE = "answer outside the label set"
_OUTSIDE_SHARE = 0.5  # more answers outside the label set than this: it is of another data set
_TEST_1K = 1000  # videos of the 1k-A test list

# What can be found -> is it a problem (else a note), and what to do. Others are wrong rows.
KINDS = {
    "damaged file": (True, "fetch it anew; rows behind the damage were not read"),
    "wrong row": (True, "mend the row or take it out"),
    "empty caption": (True, "write a caption or take the row out"),
    "path": (True, "paths must stay below the root; copy the files there"),
    "answer outside the options": (True, "the index counts from 0; mend it"),
    "options": (True, "a question needs a list of options"),
    "not five options": (True, "the task has five options a question; add or remove some"),
    "video without captions": (True, "the list is of another data set or release"),
    "same id twice": (True, "rows need ids of their own; take repeated rows out"),
    "no split in the name": (True, "name files or folders train, validation or test"),
    "missing file": (True, "put the file there, or take its rows out"),
    "empty file": (True, "fetch the video anew"),
    "unreadable file": (True, "fetch the video anew, or take its rows out"),
    "video in two splits": (True, "test on videos that were not trained on; check the lists"),
    "same content in two splits": (True, "one video under two names; take one of them out"),
    "several captions per 1k-A test video": (True, "use MSRVTT_JSFUSION_test.csv, one a video"),
    "label set of other answers": (True, "most answers are outside of it; build it anew"),
    _OUTSIDE: (False, "counts as wrong, as in the published figures"),
    "duplicate files": (False, "the same content under several names"),
    "files passed over": (False, "of no known name, or another file holds the same"),
    "no row": (True, "nothing could be read"),
}
_NO_ROWS = ("damaged file", "no split in the name", "files passed over", "video without captions")


@dataclass
class Finding:
    """Something found: what, where (split "" = none), how often, and the names it is about."""

    kind: str
    problem: bool
    split: str
    count: int
    names: list[str]
    advice: str


@dataclass
class Survey:
    """What is found in a data set while its rows go by, and afterwards.

    Args:
        data: the data set.
        names: so many names are kept for each finding; None = all.

    Attributes:
        captions: rows of each split.
        videos: videos of each split; windows of one file are one video.
        left_out: wrong rows.
        first: the sentence of the first of them.
        decoded: videos that were decoded.
    """

    data: DataSet
    names: int | None = None
    captions: Counter[str] = field(default_factory=Counter)
    videos: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    first: str = ""
    decoded: int = 0

    def __post_init__(self) -> None:
        self._found: dict[tuple[str, str], Finding] = {}
        self._ids: set[int] = set()
        self._splits: dict[int, frozenset[str]] = {}  # number of a video -> where it stands
        self._shared: dict[frozenset[str], frozenset[str]] = {}
        self._tested: Counter[str] = Counter()
        self._answers: dict[str, Counter[str]] = defaultdict(Counter)

    def rows(self) -> Iterator[VideoText]:
        """The rows that can be used; what is wrong with the others is found."""
        for row in self.data.rows(self._wrong):
            if self._take(row):
                yield row
        if not self.captions and not self.problems:
            self.add("no row", "", ", ".join(file.below for file in self.data.files))
        for video, count in self._tested.items() if self._tests_1k() else ():
            if count > 1:
                self.add("several captions per 1k-A test video", "test", f"{video} ({count})")
        self._compare_answers()

    def add(self, kind: str, split: str, name: str) -> None:
        """Note something found."""
        problem, advice = KINDS.get(kind, KINDS["wrong row"])
        new = Finding(kind, problem, split, 0, [], advice)
        finding = self._found.setdefault((kind, split), new)
        finding.count += 1
        if self.names is None or len(finding.names) < self.names:
            finding.names.append(name.encode("utf-8", "replace").decode())

    def drop(self, row: VideoText, problem: str) -> None:
        """Leave out a row that was counted."""
        self.captions[row.split] -= 1
        self._wrong(WrongRow(f"{row.id}: {problem}.", split=row.split))

    def open_files(self, decode: int, duplicates: bool) -> None:
        """Decode a frame of some videos of each split, and compare what files of one size hold."""
        seen: Counter[str] = Counter()
        due: Counter[str] = Counter()
        sizes: dict[int, list[VideoText]] = defaultdict(list)
        for row in self._first_rows() if decode or duplicates else ():
            if duplicates:
                sizes[self._bytes(row) or 0].append(row)
            seen[row.split] += 1
            if decode and seen[row.split] > due[row.split]:
                due[row.split] += 1 if decode < 0 else max(self.videos[row.split] / decode, 1.0)
                self._decode(row)
        for rows in (rows for rows in sizes.values() if len(rows) > 1):
            contents: dict[bytes | None, list[VideoText]] = defaultdict(list)
            for row in rows:
                contents[_digest(inside(self.data.root, row.video))].append(row)
            contents.pop(None, None)
            for same in (same for same in contents.values() if len(same) > 1):
                videos = sorted(row.video for row in same)
                splits = frozenset().union(*(self._splits[number_of(video)] for video in videos))
                leak = len(splits) > 1
                kind = "same content in two splits" if leak else "duplicate files"
                self.add(kind, "" if leak else min(splits), " = ".join(videos))

    def findings(self) -> list[Finding]:
        """All that was found, problems first."""
        return sorted(self._found.values(), key=lambda one: (not one.problem, one.kind, one.split))

    @property
    def problems(self) -> int:
        """How many things were found that must be mended."""
        return sum(finding.count for finding in self._found.values() if finding.problem)

    def splits(self) -> dict[str, dict[str, int]]:
        """{split: {"captions", "videos"}}, training first."""
        order = {"train": 0, "validation": 1, "test": 2}
        names = sorted(self.captions, key=lambda name: (order.get(name, 3), name))
        return {s: {"captions": self.captions[s], "videos": self.videos[s]} for s in names}

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "name": self.data.title,
            "files": [file.below for file in self.data.files],
            "splits": self.splits(),
            "decoded": self.decoded,
            "findings": [asdict(finding) for finding in self.findings()],
            "problems": self.problems,
        }

    def _wrong(self, error: WrongRow) -> None:
        if error.trap not in _NO_ROWS:
            self.left_out += 1
            self.first = self.first or str(error)
        self.add(error.trap, error.split, str(error))

    def _take(self, row: VideoText) -> bool:
        """Count a row; False = it is left out."""
        number = number_of(row.id)
        if number in self._ids:
            self._wrong(WrongRow(row.id, "same id twice", row.split))
            return False
        self._ids.add(number)
        self.captions[row.split] += 1
        options = row.extra.get("options")
        if options is None:
            answer = answer_of(row)
            if answer is not None or row.extra.get("label") == OUTSIDE:
                self._answers[row.split][answer or "?"] += 1
        elif (wrong := wrong_choice(row)) is not None:
            self.add("options", row.split, f"{row.id} {wrong}")
        elif len(options) != OPTIONS:
            self.add("not five options", row.split, f"{row.id} ({len(options)})")
        if row.split == "test" and len(self._tested) <= _TEST_1K:
            self._tested[row.video] += 1
        video = number_of(row.video)
        splits = self._splits.get(video, frozenset())
        if row.split in splits:
            return True
        self.videos[row.split] += 1
        now = splits | {row.split}
        self._splits[video] = self._shared.setdefault(now, now)
        if splits:
            self.add("video in two splits", "", f"{row.video} ({', '.join(sorted(now))})")
        elif not (held := self._bytes(row)):
            self.add("missing file" if held is None else "empty file", row.split, row.video)
        return True

    def _bytes(self, row: VideoText) -> int | None:
        """The size of a row's file, or how much its folder holds; None = nothing there."""
        path = self.data.root / row.video.replace("\\", "/")
        try:
            return path.stat().st_size if path.is_file() else len(os.listdir(path)) or None
        except (OSError, ValueError):
            return None

    def _first_rows(self) -> Iterator[VideoText]:
        """The first row of each video whose file is there, read anew."""
        seen = set()
        for row in self.data.rows(lambda error: None):
            number = number_of(row.video)
            if number not in seen and self._bytes(row):
                seen.add(number)
                yield row

    def _decode(self, row: VideoText) -> None:
        from snpkit.video.reader import read_clips  # takes seconds: only who decodes pays

        self.decoded += 1
        try:
            read_clips(inside(self.data.root, row.video), size=32)
        except VideoError as error:
            self.add("unreadable file", row.split, f"{row.video}: {error}")

    def _tests_1k(self) -> bool:
        """Whether the test list is MSR-VTT's 1k-A, by its name or its number of videos."""
        if self.data.name != "msrvtt" or len(self._tested) > _TEST_1K:
            return False
        named = any(re.search("jsfusion|1k", file.name) for file in self.data.files)
        return named or not any(map(is_official, self.data.files))

    def _compare_answers(self) -> None:
        """Which answers are outside of the label set, known once all rows have been seen."""
        if not self._answers:
            return
        try:
            labels = AnswerLabels.load(self.data.labels_file) if self.data.labels_file else None
        except AnnotationError:  # reported already: the rows were read with it
            return
        if labels is None and "train" in self._answers:
            size = LABELS.get(self.data.name, 1500)
            labels = AnswerLabels.build(self._answers["train"].elements(), size)
        for split, answers in self._answers.items() if labels is not None else ():
            outside = Counter({a: n for a, n in answers.items() if labels.label(a) == OUTSIDE})
            most = outside.total() > _OUTSIDE_SHARE * answers.total()
            for answer in outside.elements():
                self.add("label set of other answers" if most else _OUTSIDE, split, answer)


def survey(
    data: DataSet, *, decode: int = 8, duplicates: bool = False, names: int | None = None
) -> Survey:
    """Look through a data set.

    Args:
        data: the data set, of `recognise`.
        decode: videos of each split to decode a frame of, spread over it; -1 = all.
        duplicates: also look for files with the same content.
        names: so many names are kept for each finding; None = all.
    """
    found = Survey(data, names)
    for _ in found.rows():
        pass
    found.open_files(decode, duplicates)
    return found


def _digest(path: Path) -> bytes | None:
    try:
        with open_regular(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None
