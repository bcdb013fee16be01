"""`snpkit verify`: counts, everything that can be wrong, exit codes, JSON."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from snpkit.cli import main
from tests.data.prepare.builders import msrvtt, questions, write_csv, write_json, write_lines


@pytest.fixture
def healthy(tmp_path, films) -> Path:
    """MSR-VTT in small: video0, video1 to train on, video10 to test with; nothing is wrong."""
    root = tmp_path / "msrvtt"
    msrvtt(root, ["a kite", "a dog", "a cat sleeps"])
    (root / "videos").mkdir()
    for film, name in zip(films, ("video0", "video1", "video10"), strict=False):
        shutil.copy(film, root / "videos" / f"{name}.mp4")
    return root


@pytest.fixture
def verified(capsys):
    """Run `snpkit verify --json`: the status, and {(kind, split): names} of the first data set."""

    def run(root: Path, *options: str) -> tuple[int, dict]:
        capsys.readouterr()
        status = main(["verify", str(root), "--json", *options])
        found = json.loads(capsys.readouterr().out)["data_sets"][0]["findings"]
        for finding in found:
            assert finding["count"] == len(finding["names"]) and finding["advice"]
        return status, {(one["kind"], one["split"]): one["names"] for one in found}

    return run


def test_a_healthy_set_is_counted(healthy, capsys, verified):
    assert main(["verify", str(healthy)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{healthy}: msrvtt-7k",
        "  split  captions  videos",
        "  train         2       2",
        "  test          1       1",
        "  no problems; 3 videos decoded",
    ]
    assert verified(healthy, "--decode", "0", "--duplicates") == (0, {})
    shutil.copy(healthy / "MSRVTT_train.7k.csv", healthy / "MSRVTT_train.9k.csv")
    assert main(["verify", str(healthy)]) == 0
    out = capsys.readouterr().out
    assert ": msrvtt-7k\n" in out and ": msrvtt-9k\n" in out


def test_missing_empty_and_unreadable_files(healthy, verified):
    (healthy / "videos" / "video0.mp4").unlink()
    (healthy / "videos" / "video1.mp4").write_bytes(b"")
    (healthy / "videos" / "video10.mp4").write_bytes(b"this is no film")
    status, found = verified(healthy)
    assert status == 1
    (unreadable,) = found.pop(("unreadable file", "test"))
    assert unreadable.startswith("videos/video10.mp4: ") and "\n" not in unreadable
    assert found == {
        ("missing file", "train"): ["videos/video0.mp4"],
        ("empty file", "train"): ["videos/video1.mp4"],
    }
    assert ("unreadable file", "test") not in verified(healthy, "--decode", "0")[1]


def test_so_many_are_decoded_of_each_split(tmp_path, films, capsys):
    rows = [
        {"id": f"{n}", "video": f"{n}.mp4", "caption": "a", "split": "train" if n < 10 else "test"}
        for n in range(15)
    ]
    write_lines(tmp_path / "manifest.jsonl", rows)
    for n in range(15):
        shutil.copy(films[0], tmp_path / f"{n}.mp4")
    for asked, tried in (("3", 6), ("10", 15), ("1000", 15), ("-1", 15), ("0", 0)):
        assert main(["verify", str(tmp_path), "--decode", asked]) == 0
        assert f"no problems; {tried} videos decoded" in capsys.readouterr().out


def test_a_folder_of_frames_is_not_missing(tmp_path, verified):
    row = {"caption": "a dog", "split": "train"}
    write_lines(tmp_path / "manifest.jsonl", [row | {"id": n, "video": n} for n in "abc"])
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (32, 32)).save(tmp_path / name / "1.png")
    (tmp_path / "c").mkdir()
    assert verified(tmp_path, "--duplicates") == (1, {("missing file", "train"): ["c"]})


def test_a_video_in_two_splits(healthy, verified):
    write_csv(healthy / "MSRVTT_train.7k.csv", ["video_id"], [["video0"], ["video1"], ["video10"]])
    kind = ("video in two splits", "")
    assert verified(healthy) == (1, {kind: ["videos/video10.mp4 (test, train)"]})


@pytest.mark.parametrize("name", ["msrvtt_ret_test1k.json", "test.json"])
def test_twenty_captions_a_video_in_the_1ka_test_list_and_in_the_full_one(tmp_path, verified, name):
    items = [{"video": f"video{n}.mp4", "caption": ["a"] * (20 - 19 * n)} for n in range(2)]
    write_json(tmp_path / name, items)
    status, found = verified(tmp_path, "--as", "msrvtt")
    kind = "several captions per 1k-A test video"
    assert status == 1 and found[kind, "test"] == ["videos/video0.mp4 (20)"]
    items = [{"video": f"video{n}.mp4", "caption": ["a", "b"]} for n in range(1001)]
    write_json(tmp_path / name, items)
    assert set(verified(tmp_path, "--as", "msrvtt")[1]) == {("missing file", "test")}


def test_multiple_choice_traps(tmp_path, verified):
    row = {"clip_name": "video1", "title": "", "answer": "4", "options": list("abcde")}
    bad = [{"answer": 5}, {"answer": "-1"}, {"options": list("abcdef")}, {"options": list("ab de")}]
    write_lines(tmp_path / "msrvtt_mc_test.jsonl", [row, *(row | change for change in bad)])
    status, found = verified(tmp_path)
    assert status == 1
    found.pop(("missing file", "test"))
    assert [(kind, len(names)) for (kind, _), names in found.items()] == [
        ("answer outside the options", 2),
        ("empty option", 1),
        ("not five options", 1),
    ]
    assert "line 2" in found["answer outside the options", "test"][0]


def test_answers_outside_the_label_set_are_a_note_until_they_are_most(healthy, verified):
    for path in healthy.glob("MSRVTT*"):
        path.unlink()
    questions(healthy, ["who?", "what?", "where?"])
    shutil.copy(healthy / "videos" / "video0.mp4", healthy / "videos" / "video2.mp4")
    kind = ("answer outside the label set", "train")
    assert verified(healthy) == (0, {kind: ["a purple elephant"]})
    write_json(healthy / "train_ans2label.json", {"yes": 0})
    status, found = verified(healthy)
    assert status == 1
    names = ["no", "a purple elephant"]
    assert found == {("label set of other answers", "train"): names}
    write_json(healthy / "train_ans2label.json", {"yes": 1, "no": 1})
    status, found = verified(healthy)
    assert status == 1 and "damaged file" in {kind for kind, _ in found}


def test_wrong_rows_are_named_and_the_others_counted(tmp_path, capsys, verified):
    (tmp_path / "a.mp4").mkdir()  # a folder is no film
    good = {"id": "1", "video": "b.mp4", "caption": "a", "split": "train"}
    bad = [{"caption": " "}, {"video": "../x.mp4"}, {"start": -1}, {}]
    rows = [good, *(good | change for change in bad), good | {"id": "2", "video": "a.mp4"}]
    write_lines(tmp_path / "manifest.jsonl", rows)
    status, found = verified(tmp_path)
    assert status == 1
    assert {key: len(names) for key, names in found.items()} == {
        ("empty caption", ""): 1,
        ("path", ""): 1,
        ("wrong row", ""): 1,
        ("same id twice", "train"): 1,
        ("missing file", "train"): 2,
    }
    assert "manifest.jsonl, line 3: " in found["path", ""][0]
    main(["verify", str(tmp_path)])
    assert "train         2       2" in capsys.readouterr().out


def test_a_file_that_is_cut_off(healthy, verified):
    path = healthy / "MSRVTT_data.json"
    path.write_bytes(path.read_bytes()[:-20])
    status, found = verified(healthy)
    assert status == 1
    assert "MSRVTT_data.json is not JSON, or it is cut off" in found["damaged file", ""][0]


def test_the_same_content_under_two_names(healthy, verified):
    videos = healthy / "videos"
    shutil.copy(videos / "video0.mp4", videos / "video1.mp4")
    kind = ("duplicate files", "train")
    found = {kind: ["videos/video0.mp4 = videos/video1.mp4"]}
    assert verified(healthy, "--duplicates") == (0, found)
    shutil.copy(videos / "video0.mp4", videos / "video10.mp4")
    status, found = verified(healthy, "--duplicates")
    assert status == 1 and len(found["same content in two splits", ""]) == 1
    assert verified(healthy) == (0, {})


def test_the_rest_of_many_names_is_counted(tmp_path, capsys):
    items = [{"video": f"video{n}.mp4", "caption": "a"} for n in range(1234)]
    write_json(tmp_path / "train.json", items)
    assert main(["verify", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].startswith("  PROBLEM  1,234 x missing file in train: ")
    assert lines[7:] == ["           and 1,231 more", "  1,234 problems; 0 videos decoded"]


def test_a_manifest_by_its_name_and_videos_that_come_later(tmp_path, films, verified):
    row = {"id": "1", "video": "a.mp4", "caption": "a", "split": "train"}
    rows = [row, row | {"id": "2", "options": ["a", "\u200b"], "label": "0"}]
    write_lines(tmp_path / "mine.jsonl", [*rows, row | {"id": "3", "caption": "\u200b"}])
    found = verified(tmp_path / "mine.jsonl")[1]
    assert found.pop(("empty caption", ""))[0].startswith(f"{tmp_path}/mine.jsonl, line 3: ")
    assert found.pop(("options", ""))[0].endswith(
        'line 2: "options[1]" is empty; write one or take the row out.'
    )
    assert found == {("missing file", "train"): ["a.mp4"]}
    (tmp_path / "videos").mkdir()
    shutil.copy(films[0], tmp_path / "videos" / "a.mp4")
    found = verified(tmp_path / "mine.jsonl", "--root", str(tmp_path / "videos"))[1]
    assert ("missing file", "train") not in found


@pytest.mark.parametrize(
    ("content", "kind"), [('[{"question": 1}]', "wrong row"), ("[]", "damaged file")]
)
def test_a_folder_of_which_no_row_can_be_read(tmp_path, verified, content, kind):
    (tmp_path / "train_qa.json").write_text(content)
    status, found = verified(tmp_path)
    assert status == 1 and set(found) == {(kind, "train")}


def test_what_is_no_data_set(tmp_path, said):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("a")
    for arguments, sentence in (
        ((tmp_path, "--decode", "-2"), "--decode is -2"),
        ((tmp_path / "none",), "is no folder"),
        ((tmp_path,), "holds no data set"),
        ((tmp_path, "--as", "imagenet"), "choose one of videofolder, msrvtt-mc"),
        ((tmp_path / "config.json",), "is no manifest (.jsonl)"),
    ):
        status, problem = said("verify", *arguments)
        assert status == 2 and sentence in problem
