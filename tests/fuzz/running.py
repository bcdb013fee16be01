"""Running damaged files through a reader: how many, what came of each, and the memory it took."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from snpkit.errors import UserError, VideoError
from snpkit.files import write_json
from snpkit.video.guarded import UNEXPECTED, ReaderPool

FULL = os.environ.get("SNPKIT_FUZZ") == "full"  # all files; else a sample of them
ROOM = 100e6  # bytes that memory may grow by over a run


@dataclass
class Outcome:
    """What came of a run: the quarantine, name of a file -> why it cannot be read; the rest was."""

    made: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    quarantine: dict[str, str] = field(default_factory=dict)
    replaced: int = 0
    memory: list[int] = field(default_factory=list)  # bytes of all processes, after each file

    @property
    def kinds(self) -> Counter:
        signs = {"crash": "made the reader crash", "slow": "takes longer than",
                 "memory": "of memory to read", "unexpected": UNEXPECTED}  # fmt: skip
        found = Counter({"read": len(self.read)})
        for reason in self.quarantine.values():
            found[next((kind for kind in signs if signs[kind] in reason), "refused")] += 1
        return found

    @property
    def growth(self) -> float:
        """Bytes that memory has grown by since a fifth of the run."""
        start = max(len(self.memory) // 5, 1)
        return max(self.memory[-10:]) - max(self.memory[start : start + 10])

    def check(self, report: Path) -> None:
        """Every file is read or named in the report, for a reason that is a sentence about it."""
        write_json(report, {"kinds": self.kinds, "quarantine": self.quarantine})
        if FULL:
            grown = f"memory grew by {self.growth / 1e6:.1f} MB"
            print(f"\n{dict(self.kinds)}, {self.replaced} readers replaced, {grown}")
        assert sorted([*self.read, *self.quarantine]) == sorted(self.made)
        wrong = [reason for name, reason in self.quarantine.items() if not _sentence(name, reason)]
        assert not wrong, "\n".join(reason[:1000] for reason in wrong)
        assert self.growth < ROOM


def _sentence(name: str, reason: str) -> bool:
    """One sentence about this file, of a fault that the reader knows."""
    return UNEXPECTED not in reason and name in reason and "\n" not in reason and len(reason) < 1000


def run(
    function: Callable[..., Any],
    make: Callable[[int], Path],
    count: int,
    right: Callable[[Any], bool],
    *,
    whole: Path,
    seconds: float = 60.0,
    **options: Any,
) -> Outcome:
    """Make `count` files one after the other, read each in a pool, and delete it.

    The readers read `whole`, an undamaged file, first: what they import is no leak.
    """
    outcome, paths = Outcome(), {}

    def jobs() -> Iterable[tuple[Path, dict[str, Any]]]:
        for number in range(count):
            paths[number] = make(number)
            outcome.made.append(paths[number].name)
            yield paths[number], options

    with ReaderPool(2, seconds=seconds, megabytes=1024) as pool:
        assert all(right(result) for _, result in pool.map(function, [(whole, options)] * 8))
        for number, (path, result) in enumerate(pool.map(function, jobs())):
            if isinstance(result, VideoError):
                outcome.quarantine[path.name] = str(result)
            else:
                assert right(result), path
                outcome.read.append(path.name)
            remove(paths.pop(number))
            outcome.memory.append(_memory())
        outcome.replaced = pool.replaced
    return outcome


def remove(path: Path) -> None:
    """A file or a folder of files."""
    if path.is_dir():
        for inner in path.iterdir():
            remove(inner)
        path.rmdir()
    else:
        path.unlink()


def _memory() -> int:
    me, total = psutil.Process(), 0
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total


def refused(function: Callable[[Path], Any], path: Path) -> Any:
    """`function(path)`; what it says to the user becomes the reason in the report."""
    try:
        return function(path)
    except UserError as error:
        raise VideoError(str(error)) from None


def read_annotations(path: Path) -> int:
    """All rows of all data sets in a folder, as `snpkit prepare` and `snpkit verify` read them."""
    from snpkit.data.prepare import recognise

    def raised(error: UserError) -> None:
        raise error

    def read(folder: Path) -> int:
        sets, _ = recognise(folder)
        if not sets:
            raise UserError(f"{folder} holds no data set.")
        return sum(len(list(one.rows(raised))) for one in sets)

    return refused(read, path)


def read_manifest(path: Path) -> int:
    """The rows of a manifest."""
    from snpkit.data.samples import Manifest

    return refused(lambda path: len(Manifest.load(path).rows), path)


def read_shards(path: Path) -> int:
    """The frames of all rows of shards."""
    from snpkit.data.shards import open_shards
    from snpkit.video.reader import read_clips

    def read(folder: Path) -> int:
        rows = open_shards(folder).rows
        for index in range(len(rows)):
            with rows.member(index).as_file() as clip:
                read_clips(clip, 1, 2, size=16)
        return len(rows)

    return refused(read, path)


def read_checkpoint(path: Path) -> int:
    """A whole checkpoint, as `snpkit.load` reads it."""
    import snpkit

    return refused(lambda folder: len(snpkit.load(folder, device="cpu").tokenizer), path)


def read_table(path: Path) -> int:
    """A table of significant words."""
    from snpkit.language.significance import SignificanceTable

    return refused(lambda path: len(SignificanceTable.load(path)), path)


def read_recipe(path: Path) -> str:
    """A recipe file."""
    from snpkit.commands.training import chosen_recipe

    return refused(lambda path: chosen_recipe(str(path), [], None).name, path)
