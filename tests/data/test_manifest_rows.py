"""Manifests whose rows are read when they are asked for: the same rows, little memory."""

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data import manifest_rows, samples
from snpkit.data.cache import count_clips
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.loader import ShuffledBatches
from snpkit.data.manifest_rows import FileRows, JoinedRows
from snpkit.data.samples import IndexedRows, Manifest, VideoText
from snpkit.data.task_rows import Texts
from snpkit.data.video_ids import clip_numbers
from snpkit.errors import AnnotationError, UserError
from snpkit.language.tokenizer import train_tokenizer

GOOD = {"id": "1", "video": "a.mp4", "caption": "a kite", "split": "train"}
LINES = st.lists(
    st.tuples(
        st.sampled_from(["train", "test", 'a"b', "\\u0041", "ä", "split"]),
        st.sampled_from(["a", '"split": "x"', '", "split": "x', "split", "é" * 9]),
        st.sampled_from([{}, {"meta": {"split": "nested"}}]),
        st.sampled_from(["", "\n", "  \n", "\r\n", "\t\n\n"]),
    ),
    min_size=1,
)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@given(lines=LINES, block=st.integers(1, 300), end=st.booleans(), mark=st.booleans())
def test_the_rows_are_those_of_the_file(tmp_path_factory, lines, block, end, mark):
    """Whatever the split is called, wherever else the word stands, however large blocks are."""
    path = tmp_path_factory.mktemp("rows") / "m.jsonl"
    rows, text = [], "\ufeff" if mark else ""
    for number, (split, caption, more, blank) in enumerate(lines):
        row = {"id": str(number), "video": f"{number % 3}.mp4", "caption": caption} | more
        row["split"] = split
        rows.append(VideoText.from_json(row))
        text += json.dumps(row, ensure_ascii=bool(number % 2)) + "\n" + blank
    path.write_text(text if end else text.rstrip(), encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_rows, "_BLOCK", block)
        found = FileRows(path, path.parent)
        assert list(found) == [found[n] for n in range(len(found))] == found[:] == rows
        assert found.splits == tuple(sorted({row.split for row in rows}))
        for split in found.splits:
            some = found.split(split)
            assert list(some) == some[:] == [row for row in rows if row.split == split]
            assert some.splits == (split,) and some.clip_count() == count_clips(list(some))
        assert found[-1] == rows[-1] and not len(found.split("nonesuch"))
        with pytest.raises(IndexError):
            found[len(rows)]


def test_a_large_manifest_is_not_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_LARGE", 100)
    rows = [GOOD | {"id": str(n), "split": ("train", "test")[n % 2]} for n in range(9)]
    path = write(tmp_path / "m.jsonl", rows)
    found = Manifest.load(path)
    assert isinstance(found.rows, IndexedRows) and len(found.split("test").rows) == 4
    with pytest.raises(UserError, match="no split 'dev'; it has: test, train"):
        found.split("dev")
    write(path, [*rows, GOOD | {"id": "10", "video": "../a.mp4"}, GOOD | {"caption": "\u200b"}])
    with pytest.raises(UserError, match="has changed since it was opened; start again"):
        found.rows[0]
    found = Manifest.load(path)
    with pytest.raises(AnnotationError, match=r"line 10: .*stay below"):
        list(found.rows)
    with pytest.raises(AnnotationError, match=r'line 11: "caption" is empty'):
        found.split("train").rows[-1]
    write(path, [{"caption": "a", "clip_name": "b" * 100}] * 3)
    with pytest.raises(AnnotationError, match=r"line 1: .*snpkit prepare"):
        Manifest.load(path)


def test_other_processes_and_threads_share_it(tmp_path):
    path = write(tmp_path / "m.jsonl", [GOOD | {"id": str(n)} for n in range(40)])
    rows = FileRows(path, tmp_path)
    expected = list(rows)
    assert list(pickle.loads(pickle.dumps(rows.split("train")))) == expected
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(rows.__getitem__, range(40)) == expected
    seen: list[bool] = []
    threads = [threading.Thread(target=lambda: seen.append(list(rows) == expected))] * 1
    threads += [threading.Thread(target=lambda: seen.append(rows[:] == expected)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 4


def test_several_data_sets_keep_their_roots(tmp_path, monkeypatch):
    for name in ("coco", "vg"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mp4").write_text(name)
    write(tmp_path / "coco" / "m.jsonl", [GOOD, GOOD | {"id": "2", "split": "test"}])
    write(tmp_path / "vg" / "m.jsonl", [GOOD | {"caption": "a dog"}])
    for large in (100_000, 10):  # held in memory and not
        monkeypatch.setattr(samples, "_LARGE", large)
        parts = {name: Manifest.load(tmp_path / name / "m.jsonl") for name in ("coco", "vg")}
        both = Manifest.join(parts)
        assert isinstance(both.rows, JoinedRows) == (large == 10)
        assert [row.id for row in both.rows] == ["coco/1", "coco/2", "vg/1"]
        assert [both.path_of(row).read_text() for row in both.rows] == ["coco", "coco", "vg"]
        assert both.splits == ("test", "train")
        train = both.split("train")
        assert [row.video for row in train.rows] == ["coco/a.mp4", "vg/a.mp4"]
        assert train.path_of(train.rows[1]).read_text() == "vg"
        assert clip_numbers(both.rows).tolist() == [0, 0, 1] and count_clips(both.rows) == 2
        deeper = Manifest.join({"x": both, "y": parts["vg"]})
        assert deeper.path_of(deeper.rows[2]).read_text() == "vg" and len(deeper.rows) == 4
    os.symlink(tmp_path / "vg" / "a.mp4", tmp_path / "coco" / "link.mp4")
    with pytest.raises(AnnotationError, match="leads out"):
        both.path_of(VideoText("1", "coco/link.mp4", "a", "train"))


def peak_of_training(path, count):
    """Bytes of Python and numpy at most, from a manifest of so many rows to batches of them."""
    said = "a red kite number {} over the sea" + " on the day" * 100
    row = {"video": "a.mp4", "note": "x" * 4000}
    write(path, (row | {"id": str(n), "caption": said.format(n), "split": ("train", "test")[n % 2]}
                 for n in range(count)))  # fmt: skip
    tracemalloc.start()
    manifest = Manifest.load(path).split("train")
    dataset = VideoTextDataset(manifest, 1, 1, 32, training=True, max_unreadable=0.99)
    train_tokenizer(Texts(manifest.rows), 300)
    order = ShuffledBatches(len(dataset), 1, clips=np.arange(len(clip_numbers(manifest.rows))))
    assert sum(map(len, order.remaining())) == count // 2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_LARGE", 1 << 16)
    monkeypatch.setattr(manifest_rows, "_BLOCK", 1 << 16)
    peak_of_training(tmp_path / "warm.jsonl", 20)  # modules that are imported when they are needed
    few, many = (peak_of_training(tmp_path / f"{n}.jsonl", n) for n in (60, 460))
    # 400 rows more take 2 MB in the file; of the 200 of training the captions alone take 240 kB.
    assert many - few < 100_000, (few, many)


# What a child process does: opens a manifest as large as WebVid, and prints its memory in MB.
OPEN = """
import sys, time
from snpkit.data.samples import Manifest

path, rows = sys.argv[1], int(sys.argv[2])
line = '{{"id": "{0}", "video": "videos/{0}.mp4", "caption": "a red kite over the sea, number {0}, '
line += 'seen from a boat in the evening", "split": "train"}}\\n'
with open(path, "w") as file:
    file.writelines(line.format(number) for number in range(rows))
start = time.process_time()
training = Manifest.load(path).split("train").rows
print(f"{rows:,} rows opened in {time.process_time() - start:.1f} CPU seconds", file=sys.stderr)
assert len(training) == rows and training[rows // 3].id == str(rows // 3)
(line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(line.split()[1]) / 1024)
"""


@pytest.mark.slow
def test_a_manifest_as_large_as_webvid_opens_in_300_megabytes(tmp_path):
    command = [sys.executable, "-c", OPEN, str(tmp_path / "m.jsonl"), "2500000"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=500, check=True)
    print(out.stderr, out.stdout)
    assert float(out.stdout) < 300


@pytest.mark.parametrize("more", [{"meta": {"split": "test"}}, {"text": "a {", "split": "train"},
                                  {"list": [{"split": "b"}], "split": "train"}])  # fmt: skip
def test_the_split_of_an_object_within_a_row_is_not_the_rows_own(more, tmp_path):
    path = tmp_path / "metadata.jsonl"
    row = {"file_name": "a.mp4", "text": "a", **more}
    path.write_text((json.dumps(row) + "\n") * 3)
    rows = FileRows(path, tmp_path)
    assert rows.splits == ("train",) and len(rows.split("train")) == 3
