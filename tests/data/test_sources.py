"""What `--data` takes: manifests, VideoFolder's folders and shards; the rest in one sentence."""

import os

import pytest

from snpkit.data.prepare import recognise, write_manifest
from snpkit.data.sources import open_source
from snpkit.errors import UserError
from tests.data.prepare.builders import (
    BUILDERS,
    msrvtt,
    questions,
    video_folder,
    write_csv,
    write_lines,
)

SAID = ["a red kite", "a dog", "a cat"]


def rows(*splits: str, **change) -> list[dict]:
    return [{"id": str(n), "video": "a.mp4", "caption": s, "split": s} | change
            for n, s in enumerate(splits)]  # fmt: skip


@pytest.mark.parametrize(("name", "build"), BUILDERS)
def test_a_data_sets_own_folder_names_the_command(name, build, tmp_path):
    build(tmp_path, SAID)
    plain = recognise(tmp_path)[0][0].name
    if plain == "videofolder":
        return
    command = f"`snpkit prepare {plain} {tmp_path} -o {tmp_path}/manifest.jsonl`"
    with pytest.raises(UserError, match="convert them first: ") as error:
        open_source([tmp_path], "retrieval")
    assert command in str(error.value)
    write_manifest(recognise(tmp_path)[0][0], tmp_path / "manifest.jsonl")
    assert len(open_source([tmp_path], "retrieval").manifest.rows) >= 2


def test_two_lists_name_two_commands(tmp_path):
    msrvtt(tmp_path, SAID)
    write_csv(tmp_path / "MSRVTT_train.9k.csv", ["video_id"], [["video0"]])
    with pytest.raises(UserError, match=r"--variant 7k` or .* --variant 9k`"):
        open_source([tmp_path], "retrieval")


def test_a_video_folder(tmp_path):
    expected = video_folder(tmp_path, SAID)
    source = open_source([tmp_path], "pretraining")
    assert [(r.split, r.video, r.caption, r.extra) for r in source.manifest.rows] == expected
    last = source.manifest.rows[-1]
    assert source.manifest.path_of(last) == (tmp_path / "train" / "2.mp4").resolve()
    images = [{"file_name": f"{s}/1.PNG", "caption": s} for s in ("test", "more")]
    write_lines(tmp_path / "one" / "metadata.jsonl", images)
    found = open_source([tmp_path / "one"], "retrieval").manifest.rows
    assert [(row.split, row.kind, row.id) for row in found] == [
        ("test", "image", "test:0"), ("train", "image", "train:1"),
    ]  # fmt: skip


def test_splits_by_their_names_and_what_to_choose(tmp_path):
    write_lines(tmp_path / "manifest.jsonl", rows("train", "test"))
    source = open_source([tmp_path], "retrieval")
    assert source.split_name("eval", "--test", optional=True) == "test"
    assert source.split_name("none", "--test", optional=True) is None
    assert source.split_name(None, "--test", optional=True) is None
    sentence = "has no split 'validation'; it has: test, train. Choose with --held-out none|test."
    with pytest.raises(UserError, match=sentence.replace("|", r"\|") + "$"):
        source.split_name("validation", "--held-out", optional=True)
    with pytest.raises(UserError, match=r"Choose with --split test\|train\.$"):
        source.split_name("none", "--split")
    write_lines(tmp_path / "own" / "manifest.jsonl", rows("val", "trn", "mine"))
    own = open_source([tmp_path / "own"], "retrieval")
    for asked, split in (("validation", "val"), ("train", "trn"), ("mine", "mine")):
        assert own.split_name(asked, "--held-out") == split


def test_several_data_sets(tmp_path):
    write_lines(tmp_path / "a" / "m.jsonl", rows("train", "train", "test"))
    write_lines(tmp_path / "b" / "m.jsonl", rows("train"))
    source = open_source([tmp_path / "a" / "m.jsonl", tmp_path / "b" / "m.jsonl"], "pretraining")
    assert [row.video for row in source.manifest.rows] == ["m/a.mp4"] * 3 + ["m-2/a.mp4"]
    assert source.split_name("train", "--train") == "train"
    assert source.split_name("test", "--held-out", optional=True) == "test"
    with pytest.raises(UserError, match=r"m-2 has no split 'test' .* it has: train"):
        source.split_name("test", "--train")
    with pytest.raises(UserError, match="names 1 folders for 2 data sets"):
        open_source([tmp_path / "a" / "m.jsonl"] * 2, "pretraining", [tmp_path])


def test_another_root(tmp_path):
    write_lines(tmp_path / "m.jsonl", rows("train"))
    source = open_source([tmp_path / "m.jsonl"], "retrieval", [tmp_path / "far"])
    assert source.manifest.path_of(source.manifest.rows[0]) == (tmp_path / "far/a.mp4").resolve()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nowhere.jsonl", None, "Cannot read .*nowhere.jsonl"),
        ("nowhere", None, "Cannot read .*nowhere"),
        ("data.json", "{}", "no manifest .*snpkit prepare"),
        ("rows.jsonl", '{"id": 1}', 'line 1: "video" is missing'),
        ("train.jsonl", '{"caption": "a", "clip_name": "b"}', "line 1: .*`snpkit prepare`"),
        ("", None, "no manifest.jsonl and no metadata.jsonl"),
    ],
)
def test_other_files_are_named(tmp_path, name, content, said):
    if content:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        open_source([tmp_path / name], "retrieval")


def test_the_label_set_of_the_data_set_is_handed_on(tmp_path):
    questions(tmp_path, SAID)
    write_manifest(recognise(tmp_path)[0][0], tmp_path / "out" / "manifest.jsonl")
    file = tmp_path / "out" / "manifest.jsonl"
    assert open_source([file], "qa").answers == ("no", "yes")
    os.remove(tmp_path / "out" / "manifest.answers.json")
    assert open_source([file], "qa").answers is None
