"""Random access to the rows of large sets: right rows, little memory, one or none."""

import json
import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from snpkit.data.annotations import index, open_dataset
from snpkit.data.annotations.index import RowIndex
from snpkit.data.cache import count_clips
from snpkit.data.samples import VideoText
from snpkit.errors import AnnotationError, UserError
from tests.data.annotations.builders import BUILDERS, webvid, write_lines

# What a child process does with a large CSV; it prints rows, seconds and its peak memory in MB.
LARGE = """
import csv, sys, time
from pathlib import Path
from snpkit.data.annotations.index import RowIndex
rows, root = int(sys.argv[1]), Path(sys.argv[2])
words = "Aerial view of a red kite number {} that falls over the sea in the evening"
with open(root / "results_2M_train.csv", "w", newline="") as file:
    write = csv.writer(file).writerow
    write(["videoid", "contentUrl", "duration", "page_dir", "name"])
    for n in range(rows):
        folder = f"{n // 50 * 50 + 1:06d}_{n // 50 * 50 + 50:06d}"
        write([n, f"https://example.org/{n}.mp4", "PT00H00M14S", folder, words.format(n)])
start = time.perf_counter()
found = RowIndex.build(root, root / "index.sqlite")
took = time.perf_counter() - start
assert len(found) == rows and found.counts == {"train": rows}
for n in (0, 1, rows // 3, rows - 1):
    assert found[n].id == str(n) and found[n].caption == words.format(n), n
# Not getrusage: its maximum counts the process that started this one.
(line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(rows, took, int(line.split()[1]) / 1024)
"""


@pytest.mark.parametrize("name", BUILDERS)
def test_the_rows_are_those_of_the_reader(name, tmp_path):
    BUILDERS[name](
        tmp_path, ["a red kite", "ein Mädchen", "猫\x00 und Hund"][: 3 - (name == "cc3m")]
    )
    rows = list(open_dataset(tmp_path))
    found = RowIndex.build(tmp_path, tmp_path / "index.sqlite")
    by_split = sorted(rows, key=lambda row: list(found.counts).index(row.split))
    assert len(found) == len(rows)
    assert list(found) == [found[n] for n in range(len(found))] == by_split
    assert found[-1] == by_split[-1] and found[1:] == by_split[1:]
    for split, count in found.counts.items():
        some = found.split(split)
        assert len(some) == count
        assert (
            list(some) == [some[n] for n in range(count)] == [r for r in rows if r.split == split]
        )
        with pytest.raises(IndexError):
            some[count]
    with pytest.raises(IndexError):
        found[-len(rows) - 1]
    with pytest.raises(UserError, match="no split 'nonesuch'; it has: "):
        found.split("nonesuch")
    assert found.splits == tuple(found.counts)
    for some in (found, found.split(rows[0].split)):
        assert count_clips(some) == count_clips(list(some)) >= 1
    manifest = found.split(rows[0].split).manifest()
    assert manifest.splits == (rows[0].split,)
    assert list(manifest.split(rows[0].split).rows) == list(manifest.rows)
    assert manifest.path_of(manifest.rows[0]).is_relative_to(tmp_path.resolve())


def test_it_is_made_once_and_anew_when_a_file_changes(tmp_path, monkeypatch):
    path = tmp_path / "index.sqlite"
    webvid(tmp_path, ["a", "b"])
    made = RowIndex.build(tmp_path, path)
    state = path.stat()
    assert list(RowIndex.build(tmp_path, path)) == list(made)
    assert path.stat().st_ino == state.st_ino
    webvid(tmp_path, ["a", "b", "c"])
    assert [row.caption for row in RowIndex.build(tmp_path, path)] == ["a", "b", "c"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["index.sqlite", "results_2M_train.csv"]


def test_a_stopped_build_goes_on_where_it_was(tmp_path, monkeypatch):
    path, part = tmp_path / "index.sqlite", tmp_path / "index.sqlite.part"
    webvid(tmp_path, [f"caption {n}" for n in range(50)])
    monkeypatch.setattr(index, "_BATCH", 10)
    written: list[str] = []
    values = index._values

    def stop_at(stop: int):
        def spy(key: int, row: VideoText) -> tuple:
            if len(written) == stop:
                raise KeyboardInterrupt
            written.append(row.id)
            return values(key, row)

        return spy

    monkeypatch.setattr(index, "_values", stop_at(34))
    with pytest.raises(KeyboardInterrupt):
        RowIndex.build(tmp_path, path)
    assert part.exists() and not path.exists()
    with pytest.raises(UserError, match="no finished index"):
        RowIndex(part)
    del written[30:]  # what was not committed is done again
    monkeypatch.setattr(index, "_values", stop_at(-1))
    found = RowIndex.build(tmp_path, path)
    assert written == [str(n) for n in range(50)]  # each row was written once
    assert [row.id for row in found] == written and not part.exists()


def test_a_part_of_other_files_is_not_gone_on_with(tmp_path, monkeypatch):
    path = tmp_path / "index.sqlite"
    webvid(tmp_path, [f"old {n}" for n in range(20)])
    monkeypatch.setattr(index, "_BATCH", 5)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        calls = iter(range(100))

        def spy(*values):
            if next(calls) == 12:
                raise KeyboardInterrupt
            return _values(*values)

        _values = index._values
        patch.setattr(index, "_values", spy)
        RowIndex.build(tmp_path, path)
    webvid(tmp_path, ["new 0", "new 1"])
    assert [row.caption for row in RowIndex.build(tmp_path, path)] == ["new 0", "new 1"]


def test_wrong_rows_are_raised_or_left_out_and_counted(tmp_path):
    good = {"caption": "a", "clip_name": "a"}
    write_lines(tmp_path / "train.jsonl", [good, good | {"caption": ""}, good])
    path = tmp_path / "index.sqlite"
    with pytest.raises(AnnotationError, match="line 2"):
        RowIndex.build(tmp_path, path)
    assert not path.exists()
    found = RowIndex.build(tmp_path, path, skip_wrong=True)
    assert (len(found), found.left_out) == (2, 1)


def test_other_processes_and_threads_open_it_for_themselves(tmp_path):
    webvid(tmp_path, [f"caption {n}" for n in range(40)])
    found = RowIndex.build(tmp_path, tmp_path / "index.sqlite")
    rows = list(found)
    assert list(pickle.loads(pickle.dumps(found.split("train")))) == rows
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(found.__getitem__, range(40)) == rows
    seen: list[bool] = []
    threads = [threading.Thread(target=lambda: seen.append(list(found) == rows)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 4


def test_files_that_are_no_index(tmp_path):
    path = tmp_path / "index.sqlite"
    for make in (lambda: None, path.touch, lambda: path.write_bytes(b"no database" * 500)):
        make()
        with pytest.raises(UserError, match="no finished index"):
            RowIndex(path)
    webvid(tmp_path, ["a"])
    assert len(RowIndex.build(tmp_path, path)) == 1  # it is made in the place of the damaged one
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="Cannot write"):
        RowIndex.build(tmp_path, tmp_path / "file" / "index.sqlite")


def test_two_at_once_do_not_mix(tmp_path):
    webvid(tmp_path, ["a"])
    path = tmp_path / "index.sqlite"
    other = sqlite3.connect(tmp_path / "index.sqlite.part")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UserError, match="another process"):
        RowIndex.build(tmp_path, path)
    other.rollback()
    other.close()
    assert len(RowIndex.build(tmp_path, path)) == 1


def test_a_killed_build_leaves_no_half_index(tmp_path):
    webvid(tmp_path, [f"caption {n}" for n in range(2000)])
    path = tmp_path / "index.sqlite"
    program = (
        "import os, sys\nfrom snpkit.data.annotations import index\nindex._BATCH = 100\n"
        "values, seen = index._values, []\n"
        "def spy(key, row):\n    seen.append(key)\n"
        "    if len(seen) == 1234: os.kill(os.getpid(), 9)\n    return values(key, row)\n"
        "index._values = spy\nindex.RowIndex.build(sys.argv[1], sys.argv[2])\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, tmp_path, path], check=False)
    assert killed.returncode == -signal.SIGKILL and not path.exists()
    with sqlite3.connect(f"{path}.part") as part:
        (counts,) = part.execute("SELECT value FROM facts WHERE name = 'counts'").fetchone()
        assert json.loads(counts) == {"train": 1200}
        assert part.execute("SELECT count(*) FROM rows").fetchone() == (1200,)
    found = RowIndex.build(tmp_path, path)
    assert [row.id for row in found] == [str(n) for n in range(2000)]


def run_large(rows: int, folder) -> None:
    command = [sys.executable, "-c", LARGE, str(rows), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    count, seconds, memory = map(float, done.stdout.split())
    print(f"{count:.0f} rows, {count / seconds:.0f} rows/s, {memory:.0f} MB")
    assert count == rows and memory < 500


def test_memory_of_a_large_table(tmp_path):
    run_large(100_000, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_of_a_table_as_large_as_webvid(tmp_path):
    run_large(2_500_000, tmp_path)
