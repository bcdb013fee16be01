"""What is wrong with a data set: rows, files, splits, and the classic traps.

Everything is counted in a temporary SQLite database, so that a set of millions fits.
"""

import hashlib
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from snpkit.data.annotations.labels import OUTSIDE
from snpkit.data.annotations.layouts import Layout
from snpkit.data.samples import VideoText
from snpkit.errors import AnnotationError, VideoError
from snpkit.files import open_regular

OPTIONS = 5  # of MSRVTT-MC
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
    "missing file": (True, "put the file there, or take its rows out"),
    "empty file": (True, "fetch the video anew"),
    "unreadable file": (True, "fetch the video anew, or take its rows out"),
    "video in two splits": (True, "test on videos that were not trained on; check the lists"),
    "same content in two splits": (True, "one video under two names; take one of them out"),
    "several captions per 1k-A test video": (
        True,
        "the 1k-A protocol has one caption a video; use MSRVTT_JSFUSION_test.csv",
    ),
    "label set of other answers": (True, "most answers are outside of it; build it anew"),
    _OUTSIDE: (False, "counts as wrong, as in the published figures"),
    "no label set": (False, "add train_ans2label.json or the training split"),
    "duplicate files": (False, "the same content under several names"),
    "no split": (True, "no row could be read"),
}


@dataclass(frozen=True)
class Finding:
    """Something found: what, where (split "" = none), how often, and the names it is about."""

    kind: str
    problem: bool
    split: str
    count: int
    names: list[str]
    advice: str


@dataclass(frozen=True)
class Verification:
    """What `verify` found in one data set; `splits` is {split: {"captions", "videos"}}."""

    layout: str
    task: str
    files: list[str]
    splits: dict[str, dict[str, int]]
    decoded: int
    findings: list[Finding]

    @property
    def problems(self) -> int:
        """How many things were found that must be mended."""
        return sum(finding.count for finding in self.findings if finding.problem)

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self) | {"problems": self.problems}


def verify_layout(
    layout: Layout, *, decode: int = 8, duplicates: bool = False, names: int | None = None
) -> Verification:
    """Look through a data set.

    Args:
        layout: the data set, of `layouts_in`.
        decode: videos of each split to decode a frame of, spread over it; -1 = all.
        duplicates: also look for files with the same content.
        names: so many names are kept for each finding; None = all.
    """
    with closing(_Survey(layout)) as survey:
        survey.read_rows()
        survey.compare_splits()
        survey.look_at_files()
        decoded = survey.decode(decode)
        if duplicates:
            survey.compare_contents()
        files = [os.path.relpath(path, layout.root) for path in layout.files]
        findings = list(survey.findings(names))
        return Verification(layout.name, layout.task, files, survey.splits(), decoded, findings)


class _Survey:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.file = sqlite3.connect("")  # a temporary file, which goes when it is closed
        self.file.executescript(
            """PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;
            CREATE TABLE ids (id TEXT, split TEXT);
            CREATE TABLE clips (video TEXT, split TEXT, captions INT, PRIMARY KEY (video, split))
                WITHOUT ROWID;
            CREATE TABLE sizes (video TEXT, bytes INT);
            CREATE TABLE found (kind TEXT, split TEXT, name TEXT);"""
        )

    def close(self) -> None:
        self.file.close()

    def add(self, kind: str, split: str, name: str) -> None:
        self.file.execute("INSERT INTO found VALUES (?, ?, ?)", (kind, split, _writable(name)))

    def read_rows(self) -> None:
        try:
            labels = self.layout.labels
        except AnnotationError as error:
            self.add("damaged file", "", str(error))
            self.layout = replace(self.layout, label_file=None)
            labels = None
        answers: Counter[str] = Counter()
        for part in self.layout.parts:
            try:
                rows = self.layout.rows_of(part, lambda e, split=part.split: self.wrong(e, split))
                for row in rows:
                    self.count(row)
                    answers[row.split] += 1
                    if labels is not None and row.extra["label"] == OUTSIDE:
                        self.add(_OUTSIDE, row.split, row.id)
            except AnnotationError as error:
                self.add("damaged file", part.split, str(error))
        if self.layout.task == "question answering" and labels is None:
            self.add("no label set", "", "no answer has a label")
        outside = "SELECT split, count(*) FROM found WHERE kind = ? GROUP BY split"
        for split, count in self.file.execute(outside, (_OUTSIDE,)).fetchall():
            if count > _OUTSIDE_SHARE * answers[split]:
                other = ("label set of other answers", _OUTSIDE, split)
                self.file.execute("UPDATE found SET kind = ? WHERE kind = ? AND split = ?", other)

    def wrong(self, error: AnnotationError, split: str) -> None:
        self.add(getattr(error, "trap", "wrong row"), split, str(error))

    def count(self, row: VideoText) -> None:
        self.file.execute("INSERT INTO ids VALUES (?, ?)", (row.id, row.split))
        self.file.execute(
            "INSERT INTO clips VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET captions = captions + 1",
            (row.video, row.split),
        )
        options = row.extra.get("options")
        if isinstance(options, list) and len(options) != OPTIONS:
            self.add("not five options", row.split, f"{row.id} ({len(options)})")

    def splits(self) -> dict[str, dict[str, int]]:
        query = "SELECT split, sum(captions), count(*) FROM clips GROUP BY split"
        counted = {split: (said, videos) for split, said, videos in self.file.execute(query)}
        order = {"train": 0, "validation": 1, "test": 2}
        names = {part.split for part in self.layout.parts if part.split} | set(counted)
        return {
            name: dict(zip(("captions", "videos"), counted.get(name, (0, 0)), strict=True))
            for name in sorted(names, key=lambda name: (order.get(name, 3), name))
        }

    def compare_splits(self) -> None:
        self.file.execute(
            "INSERT INTO found SELECT 'same id twice', min(split), id FROM ids "
            "GROUP BY id HAVING count(*) > 1"
        )
        self.file.execute(
            "INSERT INTO found SELECT 'video in two splits', '', "
            "video || ' (' || group_concat(split, ', ') || ')' FROM clips "
            "GROUP BY video HAVING count(*) > 1"
        )
        counted = self.splits()
        if not any(split["captions"] for split in counted.values()):
            self.add("no split", "", "the data set is empty")
        test = counted.get("test", {"captions": 0, "videos": 0})
        if test["captions"] > test["videos"] and self.is_1k_test(test["videos"]):
            self.file.execute(
                "INSERT INTO found SELECT 'several captions per 1k-A test video', split, "
                "video || ' (' || captions || ')' FROM clips WHERE split = 'test' AND captions > 1"
            )

    def is_1k_test(self, videos: int) -> bool:
        """Whether the test list is MSR-VTT's 1k-A, by its name or its number of videos."""
        layout = self.layout
        if not layout.name.startswith("msrvtt") or layout.task != "retrieval":
            return False
        files = [part.path.name.lower() for part in layout.parts if part.split == "test"]
        if any(re.search(r"jsfusion|1k", name) for name in files):
            return True
        return layout.name != "msrvtt-full" and videos <= _TEST_1K

    def look_at_files(self) -> None:
        for video, split in self.videos():
            path = self.layout.path_of(video)
            try:
                size = os.stat(path).st_size
                kind = "missing file" if not path.is_file() else "empty file"
            except (OSError, ValueError):
                size, kind = 0, "missing file"
            if size and kind != "missing file":
                self.file.execute("INSERT INTO sizes VALUES (?, ?)", (video, size))
            else:
                self.add(kind, split, video)

    def videos(self) -> Iterator[tuple[str, str]]:
        """Each video once, with its first split."""
        return iter(self.file.execute("SELECT video, min(split) FROM clips GROUP BY video"))

    def decode(self, wanted: int) -> int:
        """Decode one frame of some videos; gives how many were tried."""
        if not wanted or not self.file.execute("SELECT 1 FROM sizes").fetchone():
            return 0
        from snpkit.video.reader import read_clips  # takes seconds: only who decodes pays

        tried = 0
        for split in self.splits():
            query = "FROM sizes JOIN clips USING (video) WHERE split = ?"
            (there,) = self.file.execute(f"SELECT count(*) {query}", (split,)).fetchone()
            step = 1 if wanted < 0 else max(there / wanted, 1.0)
            due = 0.0
            for place, (video,) in enumerate(
                self.file.execute(f"SELECT video {query} ORDER BY video", (split,))
            ):
                if place < due:
                    continue
                due, tried = due + step, tried + 1
                try:
                    read_clips(self.layout.path_of(video), size=32)
                except VideoError as error:
                    self.add("unreadable file", split, f"{video}: {error}")
        return tried

    def compare_contents(self) -> None:
        """Files of one size are compared by what they hold."""
        query = (
            "SELECT bytes, video FROM sizes WHERE bytes IN "
            "(SELECT bytes FROM sizes GROUP BY bytes HAVING count(*) > 1) ORDER BY bytes, video"
        )
        for _, same_size in groupby(self.file.execute(query), key=lambda row: row[0]):
            contents: dict[bytes, list[str]] = {}
            for _, video in same_size:
                digest = _digest(self.layout.path_of(video))
                if digest is not None:
                    contents.setdefault(digest, []).append(video)
            for videos in contents.values():
                if len(videos) > 1:
                    self.add_same(videos)

    def add_same(self, videos: list[str]) -> None:
        splits: set[str] = set()
        for video in videos:
            query = "SELECT split FROM clips WHERE video = ?"
            splits |= {split for (split,) in self.file.execute(query, (video,))}
        leak = len(splits) > 1
        kind = "same content in two splits" if leak else "duplicate files"
        self.add(kind, "" if leak else splits.pop(), " = ".join(videos))

    def findings(self, names: int | None) -> Iterable[Finding]:
        kinds = "SELECT kind, split, count(*) FROM found GROUP BY kind, split"
        some = "SELECT name FROM found WHERE kind = ? AND split = ? ORDER BY rowid LIMIT ?"
        found = []
        for kind, split, count in self.file.execute(kinds).fetchall():
            limit = -1 if names is None else names
            shown = [name for (name,) in self.file.execute(some, (kind, split, limit))]
            problem, advice = KINDS.get(kind, KINDS["wrong row"])
            found.append(Finding(kind, problem, split, count, shown, advice))
        return sorted(found, key=lambda finding: not finding.problem)


def _digest(path: Path) -> bytes | None:
    try:
        with open_regular(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None


def _writable(text: str) -> str:
    """Half characters, which no database and no terminal takes, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
