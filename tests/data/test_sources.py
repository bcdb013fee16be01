"""What `--data` takes: manifests and published layouts; what is wrong is said in one sentence."""

import json
import os
import subprocess
import sys

import pytest

from snpkit.data import sources
from snpkit.data.annotations import open_dataset
from snpkit.data.samples import IndexedRows, Manifest
from snpkit.data.sources import index_path, open_source
from snpkit.errors import AnnotationError, UserError
from tests.data.annotations.builders import (
    BUILDERS,
    choices,
    msrvtt,
    questions,
    webvid,
    write_csv,
    write_lines,
)

TASKS = {
    "retrieval": "retrieval", "pre-training": "pretraining", "question answering": "qa",
    "multiple choice": "multichoice",
}  # fmt: skip
SAID = ["a red kite", "a dog", "a cat"]


@pytest.mark.parametrize("name", BUILDERS)
def test_every_layout_gives_the_rows_of_its_reader(name, tmp_path):
    BUILDERS[name](tmp_path, SAID[: 3 - (name == "cc3m")])
    layout = sources.layouts_in(tmp_path)[0]
    source = open_source(tmp_path, TASKS[layout.task])
    rows = list(open_dataset(tmp_path))
    assert sorted(source.manifest.rows, key=str) == sorted(rows, key=str)
    assert source.manifest.splits == tuple(sorted({row.split for row in rows}))
    for split in source.manifest.splits:
        some = source.manifest.split(split)
        assert list(some.rows) == [row for row in rows if row.split == split]
        assert some.path_of(some.rows[0]).is_relative_to(tmp_path.resolve())
    if name == "manifest":
        assert isinstance(source.manifest, Manifest) and source.answers is None
    else:
        assert isinstance(source.manifest.rows, IndexedRows)


def test_the_index_is_made_once_and_hides_from_the_layouts(tmp_path):
    webvid(tmp_path, SAID)
    open_source(tmp_path, "pretraining")
    path = tmp_path / ".snpkit-webvid-2m.sqlite"
    state = path.stat()
    assert [row.caption for row in open_source(tmp_path, "pretraining").manifest.rows] == SAID
    assert path.stat().st_ino == state.st_ino
    assert [layout.name for layout in sources.layouts_in(tmp_path)] == ["webvid-2m"]


def test_a_folder_that_cannot_be_written_has_its_index_in_the_cache(tmp_path, monkeypatch):
    root = tmp_path / "data"
    root.mkdir()
    webvid(root, SAID)
    monkeypatch.delenv("SNPKIT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert [row.caption for row in open_source(root, "pretraining").manifest.rows] == SAID
    assert index_path(sources.layouts_in(root)[0]).is_relative_to(tmp_path / "cache" / "snpkit")
    assert [path.name for path in root.iterdir()] == ["results_2M_train.csv"]


def test_the_task_chooses_among_the_layouts_of_a_folder(tmp_path):
    msrvtt(tmp_path, SAID)
    (tmp_path / "qa").mkdir()
    (tmp_path / "mc").mkdir()
    questions(tmp_path / "qa", SAID)
    choices(tmp_path / "mc", SAID)
    names = {task: open_source(tmp_path, task).name.split()[0] for task in TASKS.values()}
    assert names == {"retrieval": "msrvtt-7k", "pretraining": "msrvtt-7k", "qa": "msrvtt-qa",
                     "multichoice": "msrvtt-mc"}  # fmt: skip


def test_two_lists_need_a_choice(tmp_path):
    msrvtt(tmp_path, SAID, "7k")
    write_csv(tmp_path / "MSRVTT_train.9k.csv", ["video_id"], [["video0"]])
    with pytest.raises(UserError, match=r"choose with --layout: msrvtt-7k, msrvtt-9k\.$"):
        open_source(tmp_path, "retrieval")
    counts = {
        name: len(open_source(tmp_path, "retrieval", name).manifest.split("train").rows)
        for name in ("msrvtt-7k", "msrvtt-9k")
    }
    assert counts == {"msrvtt-7k": 2, "msrvtt-9k": 1}
    with pytest.raises(UserError, match=r"no data set 'msvd' for retrieval .*msrvtt-7k"):
        open_source(tmp_path, "retrieval", "msvd")


def test_a_data_set_of_another_task_is_said(tmp_path):
    choices(tmp_path, SAID)
    with pytest.raises(UserError, match=r"for qa .* holds: msrvtt-mc \(multiple choice\)\.$"):
        open_source(tmp_path, "qa")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no data set for qa"):
        open_source(tmp_path / "empty", "qa")


def test_splits_by_their_names_and_what_to_choose(tmp_path):
    msrvtt(tmp_path, SAID)
    source = open_source(tmp_path, "retrieval")
    assert source.split_name("test", "--test", optional=True) == "test"
    assert source.split_name("none", "--test", optional=True) is None
    assert source.split_name(None, "--test", optional=True) is None
    sentence = "has no split 'validation'; it has: test, train. Choose with --held-out none|test."
    with pytest.raises(UserError, match=sentence.replace("|", r"\|") + "$"):
        source.split_name("validation", "--held-out", optional=True)
    with pytest.raises(UserError, match=r"Choose with --split test\|train\.$"):
        source.split_name("none", "--split")
    write_lines(
        tmp_path / "own" / "manifest.jsonl",
        [{"id": s, "video": "a.mp4", "caption": s, "split": s} for s in ("val", "trn")],
    )
    own = open_source(tmp_path / "own", "retrieval")
    assert own.split_name("val", "--held-out") == "val"
    coco = tmp_path / "coco"
    BUILDERS["coco-2017"](coco, SAID)
    assert open_source(coco, "pretraining").split_name("val", "--held-out") == "validation"


def test_wrong_rows_are_counted_until_they_are_many(tmp_path):
    rows = [{"caption": f"kite {n}", "clip_name": f"video{n}", "sen_id": n} for n in range(20)]
    write_lines(tmp_path / "train.jsonl", [*rows, rows[0] | {"caption": " "}])
    source = open_source(tmp_path, "retrieval")
    assert source.wrong == 1 and len(source.manifest.rows) == 20
    escapes = [row | {"clip_name": "../../secret.mp4"} for row in rows[:6]]
    write_lines(tmp_path / "train.jsonl", [*rows, *escapes])
    with pytest.raises(AnnotationError, match=r"6 of 26 rows .*line 21.*`snpkit verify"):
        open_source(tmp_path, "retrieval")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nowhere.jsonl", None, "Cannot read .*nowhere.jsonl"),
        ("nowhere", None, "Cannot read .*nowhere"),
        ("data.json", "{}", "no manifest .*name the folder"),
        ("rows.jsonl", '{"id": 1}', 'line 1: "video" is missing'),
    ],
)
def test_other_files_are_named(tmp_path, name, content, said):
    if content:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        open_source(tmp_path / name, "retrieval")
    with pytest.raises(UserError, match="--layout msvd is for the folder"):
        open_source(tmp_path / name, "retrieval", "msvd")


def test_a_large_manifest_is_not_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_LARGE", 100)
    path = tmp_path / "rows.jsonl"
    rows = [{"id": str(n), "video": "a.mp4", "caption": "a", "split": "train"} for n in range(9)]
    write_lines(path, rows)
    source = open_source(path, "retrieval")
    assert isinstance(source.manifest.rows, IndexedRows)
    assert list(source.manifest.rows) == Manifest.load(path).rows
    write_lines(path, [*rows, rows[0] | {"video": "../a.mp4"}])
    with pytest.raises(AnnotationError, match="line 10"):
        open_source(path, "retrieval")


def test_the_label_set_of_the_data_set_is_handed_on(tmp_path):
    questions(tmp_path, SAID)
    assert open_source(tmp_path, "qa").answers == ("no", "yes")
    os.remove(tmp_path / "train_ans2label.json")
    assert open_source(tmp_path, "qa").answers is None


# What a child process does with a large data set; it prints its memory in MB before and at most.
LARGE = """
import csv, json, sys
from pathlib import Path
from snpkit.data.dataset import VideoTextDataset
from snpkit.data.loader import ShuffledBatches
from snpkit.data.sources import open_source
from snpkit.data.task_rows import Texts
from snpkit.language.tokenizer import train_tokenizer

root, rows = Path(sys.argv[1]), int(sys.argv[2])
with open(root / "results_2M_train.csv", "w", newline="") as file:
    write = csv.writer(file).writerow
    write(["videoid", "contentUrl", "duration", "page_dir", "name"])
    for n in range(rows):
        said = f"Aerial view of a red kite number {n % 997} over the sea in the evening"
        write([n, f"https://example.org/{n}.mp4", "PT00H00M14S", f"{n // 50:06d}", said])

def peak():
    # Not getrusage: its maximum counts the process that started this one.
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

train_tokenizer(["warm up the imports"], 64)
before = peak()
manifest = open_source(root, "pretraining").manifest.split("train")
dataset = VideoTextDataset(manifest, 1, 1, 32, training=True, max_unreadable=0.99)
train_tokenizer(Texts(manifest.rows), 300)
order = ShuffledBatches(len(dataset), 64)
seen = sum(len(batch) for batch in order.remaining())
assert len(dataset) == rows and seen == rows // 64 * 64 and dataset.report().clips == rows
print(json.dumps([before, peak()]))
"""


def test_memory_does_not_grow_with_the_rows(tmp_path):
    command = [sys.executable, "-c", LARGE, str(tmp_path), "200000"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    before, peak = json.loads(out.stdout)
    # Held as objects, 200,000 rows take more than 150 MB; a list of their captions alone 20 MB.
    assert peak - before < 50, out.stdout
