"""Every data set's own files become rows; what cannot is named, and the rest is kept."""

import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from snpkit.data.manifest_rows import PathCheck
from snpkit.data.prepare import recognise, records, write_manifest
from snpkit.data.prepare.reading import File, Locator
from snpkit.data.rows import VideoText, WrongRow, split_named
from snpkit.data.samples import Manifest
from snpkit.data.sources import open_source
from snpkit.errors import AnnotationError, UserError
from snpkit.files import inside
from snpkit.text import is_empty
from snpkit.video.suffixes import VIDEO_SUFFIXES
from tests.data.prepare.builders import (
    BUILDERS,
    coco,
    didemo,
    msrvtt,
    write_csv,
    write_json,
    write_lines,
)
from tests.fuzz.damage import TEXT

CASES = Path(__file__).parents[2] / "cases" / "annotations"
# Any text that a caption may be: no line breaks or tabs (CC3M's tsv cannot hold them), no entities,
# something that can be seen, and no space around it, which is taken off.
LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="&")
CAPTION = (
    st.text(LETTERS, min_size=1, max_size=30).map(str.strip).filter(lambda text: not is_empty(text))
)
PLAIN = ["a red kite falls", 'he said "stop", twice', "ein Mädchen läuft", "猫 und Hund"]
every_builder = pytest.mark.parametrize(("name", "build"), BUILDERS)


def read(root: Path, name: str | None = None) -> tuple[list[VideoText], list[WrongRow]]:
    """All rows of all data sets in a folder, and what was left out."""
    wrong: list[WrongRow] = []
    return [row for one in recognise(root, name)[0] for row in one.rows(wrong.append)], wrong


def converted(root: Path, **options) -> Manifest:
    """The manifest of the only data set in a folder."""
    (data,) = [one for one in recognise(root)[0] if one.name != "manifest"]
    write_manifest(data, root / "manifest.jsonl", **options)
    return Manifest.load(root / "manifest.jsonl")


def told(row: VideoText) -> tuple:
    return row.split, row.video, row.caption, row.extra


@every_builder
@given(captions=st.lists(CAPTION, min_size=3, max_size=6))
@example(captions=PLAIN)
@settings(max_examples=5)
def test_a_data_set_is_recognised_and_any_caption_comes_back(name, build, captions):
    with tempfile.TemporaryDirectory() as folder:
        expected = build(Path(folder), captions)
        assert [one.title for one in recognise(Path(folder))[0]] == [name]
        rows = converted(Path(folder)).rows
        assert [told(row) for row in rows] == expected
        assert all((row.kind == "image") == row.video.endswith(".jpg") for row in rows)


@every_builder
@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_damage_is_named_and_nothing_else_is_lost(name, build, seed):
    draw = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), PLAIN)
        path = draw.choice(sorted(path for path in Path(folder).rglob("*") if path.is_file()))
        path.write_bytes(draw.choice(TEXT)(path.read_bytes(), draw))
        rows, wrong = read(Path(folder))
        assert all(isinstance(row, VideoText) and not is_empty(row.caption) for row in rows)
        assert all(folder in str(error) and "\n" not in str(error) for error in wrong)


def test_json_of_absurd_depth_or_length_takes_no_memory(tmp_path):
    path = tmp_path / "cc3m_train.json"
    for content in ("[" * 300_000, '{"a":' * 200_000, f"[{'9' * 100_000}]", '["' + "a" * 10**6):
        path.write_text(content)
        rows, wrong = read(tmp_path)
        assert not rows and [error.trap for error in wrong] == ["damaged file"]
    said = '\\"' * 1_000_000  # ran for hours: each mark began a search of the whole text
    write_json(path, [{"caption": said + "NaN", "clip_name": "a"}])
    assert read(tmp_path)[0][0].caption == said + "NaN"


@pytest.mark.parametrize(
    ("said", "whole"),
    [(r'"\ud83d\udc0d"', True), (r'"\ud83d-"', False), (r'"-\udc0d"', False), ("NaN", False)],
)
def test_where_a_block_of_json_ends_does_not_matter(said, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_LARGEST", 9)  # nothing is held in memory
    row = '{"clip_name": "a", "caption": ' + said + "}"
    (tmp_path / "train.json").write_text(f"[{row}]")
    for block in range(16, 64):
        monkeypatch.setattr(records, "_BLOCK", block)
        rows, wrong = read(tmp_path)
        assert (len(rows), len(wrong)) == ((1, 0) if whole else (0, 1))


@pytest.mark.parametrize(
    ("case", "splits", "wrong"),
    [
        ("hfvalid", {"train": 3, "validation": 3, "test": 3}, []),
        ("msr2", {"train": 2, "validation": 1, "test": 2}, []),
        ("cc3m_header", {"train": 5}, []),
        ("didemo", {"train": 13}, []),
        ("nan_json", {"train": 2}, ["item 2"]),
        ("nan_jsonl", {"train": 2}, ["line 2"]),
    ],
)
def test_files_as_people_have_them(case, splits, wrong, tmp_path):
    root = shutil.copytree(CASES / case, tmp_path / case)
    rows, found = read(root)
    assert {split: sum(r.split == split for r in rows) for split in splits} == splits
    assert len(rows) == sum(splits.values()) and len(found) == len(wrong)
    for place, error in zip(wrong, found, strict=True):
        assert f"{place}: " in str(error) and "NaN" in str(error) and error.trap == "wrong row"
    if case == "didemo":
        assert all((root / row.video).is_file() for row in rows)
    if case == "cc3m_header":
        assert [row.video for row in rows] == [f"train/00000/{n:09d}.jpg" for n in range(5)]


@pytest.mark.parametrize("lines", [
    "a dog\thttp://a.b/0", "http://a.b/0\ta dog", "Caption\tImage URL\na dog\thttp://a.b/0",
    "text\timage\na dog\thttp://a.b/0", "id\turl\ttitle\n7\thttp://a.b/0\ta dog",
    "URL\tTitle\nhttp://a.b/0\ta dog",
])  # fmt: skip
def test_a_header_of_cc3m_moves_no_caption_to_another_image(lines, tmp_path):
    (tmp_path / "cc3m_val.tsv").write_text(lines + "\nx\ty\n", encoding="utf-8-sig")
    (row,), (wrong,) = read(tmp_path)
    assert (row.caption, row.video) == ("a dog", "validation/00000/000000000.jpg")
    assert row.extra == {"url": "http://a.b/0"}
    assert f"line {len(lines.splitlines()) + 1}: " in str(wrong)


@pytest.mark.parametrize("split", ["training", "validate", "development", "evaluation", "tst"])
@pytest.mark.parametrize("name", ["{}.json", "caps_{}.json", "{}/captions.json", "{}/qa.json",
                                  "results_2M_{}.csv", "{}_data.json", "{}_list.txt"])  # fmt: skip
def test_every_name_of_a_split_is_known_to_every_data_set(name, split, tmp_path):
    path = tmp_path / name.format(split)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    (data,) = recognise(tmp_path)[0]
    assert data.files[0].split == split_named(split)


@pytest.mark.parametrize(("content", "problem"), [
    (b"\x1f\x8b\x08\0", "compressed"), (b"PK\x03\x04", "compressed"), (b"", "row"),
    ('{"a": 1}'.encode("utf-16"), "UTF-16"), ("[]".encode("utf-16-le"), "UTF-16"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["train.jsonl", "train.json", "gcc_train.tsv", "metadata.jsonl"])
def test_a_file_that_is_no_text_is_named_once(name, content, problem, tmp_path):
    (tmp_path / name).write_bytes(content)
    (data,) = recognise(tmp_path)[0]
    with pytest.raises(UserError, match=name):
        write_manifest(data, tmp_path / "manifest.jsonl")
    (wrong,) = read(tmp_path)[1]
    assert wrong.trap == "damaged file" and (problem in str(wrong) or name == "train.json")


def test_a_video_folder_with_csv_and_with_files_on_two_levels(tmp_path):
    write_lines(tmp_path / "metadata.jsonl", [{"file_name": "test/a.mp4", "text": "one"}])
    write_lines(tmp_path / "val" / "metadata.jsonl", [{"file_name": "b.mp4", "text": "two"}])
    both = open_source([tmp_path], "pretraining").manifest
    said = [(row.split, row.caption) for row in both.rows]
    assert said == [("test", "one"), ("validation", "two")]
    assert [both.path_of(row).relative_to(tmp_path).as_posix() for row in both.rows] == [
        "test/a.mp4", "val/b.mp4"
    ]  # fmt: skip
    rows = [["c.mp4", "three"], ["../d.mp4", "four"]]
    write_csv(tmp_path / "train" / "metadata.csv", ["file_name", "text"], rows)
    found, (wrong,) = read(tmp_path)
    assert ("train", "train/c.mp4", "three", {}) in map(told, found) and wrong.trap == "path"
    with pytest.raises(UserError, match=r"convert them first: `snpkit prepare videofolder"):
        open_source([tmp_path], "pretraining")


def test_folders_of_splits_and_names_without_one(tmp_path):
    for folder in ("train", "val", "test"):
        write_lines(tmp_path / folder / "data.jsonl", [{"caption": folder, "clip_name": "a"}])
    rows, wrong = read(tmp_path)
    assert [(row.split, row.caption) for row in rows] == [
        ("test", "test"), ("train", "train"), ("validation", "val"),
    ] and not wrong  # fmt: skip
    write_lines(tmp_path / "more.jsonl", [{"caption": "a", "clip_name": "a"}])
    assert [file.below for file in recognise(tmp_path)[1]] == ["more.jsonl"]
    (tmp_path / "one").mkdir()
    shutil.move(tmp_path / "more.jsonl", tmp_path / "one")
    rows, wrong = read(tmp_path / "one", "msrvtt")
    assert [row.split for row in rows] == ["train"]
    assert [error.trap for error in wrong] == ["no split in the name"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("training", "Train_GCC-training", "train9k", "x-trn")),
        *((name, "validation") for name in ("valid", "val2017", "x_2M_val", "dev", "Validate")),
        *((name, "test") for name in ("test1k", "MSRVTT_JSFUSION_test", "eval", "testing.v2")),
        *((name, None) for name in ("latest_contest", "descriptions", "evaluator", "trains")),
    ],
)
def test_splits_by_their_names_on_the_hub(name, split):
    assert split_named(name) == split
    assert File(Path("a"), f"{name}/data.json").split == split


def test_lists_of_msrvtt(tmp_path):
    msrvtt(tmp_path, ["a kite", "a dog", "a cat"], "7k")
    write_csv(tmp_path / "MSRVTT_train.9k.csv", ["video_id"], [["video1"], ["video99"]])
    assert [data.title for data in recognise(tmp_path)[0]] == ["msrvtt-7k", "msrvtt-9k"]
    nine = recognise(tmp_path)[0][1]
    wrong = []
    assert [row.caption for row in nine.rows(wrong.append)] == ["a dog", "a cat"]
    assert wrong[0].trap == "video without captions" and "line 3: 'video99'" in str(wrong[0])
    assert str(wrong[0]).endswith("the list of another data set?")
    for path in tmp_path.glob("*.csv"):
        path.unlink()
    videos = [{"video_id": f"video{n}", "split": s} for n, s in enumerate(("validate", "other"))]
    sentences = [{"video_id": f"video{n}", "caption": "c", "sen_id": n} for n in range(2)]
    write_json(tmp_path / "MSRVTT_data.json", {"sentences": sentences, "videos": videos})
    rows, wrong = read(tmp_path)
    assert [row.split for row in rows] == ["validation"]
    assert "sentences item 2: 'video1' has no split" in str(wrong[0])


def test_a_second_official_file_of_msrvtt_is_named_and_not_read_twice(tmp_path):
    every = [{"video_id": f"video{n}", "split": ("train", "validate", "test")[n % 3],
              "caption": "a", "sen_id": n} for n in range(6)]  # fmt: skip
    write_json(tmp_path / "videodatainfo_2017.json", {"videos": every, "sentences": every})
    write_json(tmp_path / "test_videodatainfo_2017.json", {"videos": every})
    rows, wrong = read(tmp_path)
    assert [row.split for row in rows] == ["train", "validation", "test"] * 2 and not wrong
    assert [f.below for f in recognise(tmp_path)[1]] == ["test_videodatainfo_2017.json"]
    some = [row for row in every if row["split"] != "test"]
    write_json(tmp_path / "train_val_videodatainfo.json", {"videos": some, "sentences": some})
    rows, (passed,) = read(tmp_path)
    assert sorted(row.id for row in rows) == [f"video{n}:{n}" for n in range(6)]
    problem = "2017.json: 4 sentences not read, as train_val_videodatainfo.json has their videos."
    assert passed.trap == "files passed over" and str(passed).endswith(problem)
    (tmp_path / "test_videodatainfo.json").write_text("[")  # damage in one hides no other
    rows, wrong = read(tmp_path)
    assert len(rows) == 6 and [error.trap for error in wrong] == ["damaged file", passed.trap]


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "-1.5E+400"])
@pytest.mark.parametrize("name", ["train.json", "train.jsonl", "train/metadata.jsonl"])
def test_a_number_that_is_none_is_one_wrong_row(name, number, tmp_path):
    good = '{"caption": "a", "clip_name": "a", "file_name": "a.mp4", "duration": 1e5}'
    rows = [good, good.replace("1e5", number), good]
    (tmp_path / "train").mkdir()
    content = "\n".join(rows) if name.endswith("l") else f"[{', '.join(rows)}]"
    (tmp_path / name).write_text(content)
    found, (wrong,) = read(tmp_path)
    assert [row.extra["duration"] for row in found] == [1e5, 1e5]
    assert re.search("(line|item) 2: .*; write null", str(wrong)) and wrong.trap == "wrong row"


def test_the_published_retrieval_file_is_no_file_of_questions(tmp_path):
    row = {"caption": "a kite", "clip_name": "video1", "sen_id": 0, "label": 0}
    write_lines(tmp_path / "train.jsonl", [row])
    assert [told(row) for row in read(tmp_path)[0]] == [
        ("train", "videos/video1.mp4", "a kite", {"sen_id": 0, "reference_label": 0})
    ]
    assert recognise(tmp_path)[0][0].name == "captions"
    asked = read(tmp_path, "msrvtt-qa")[0]  # where the user says so
    assert asked[0].extra == {"question": "a kite", "label": 0}


def test_numbered_questions_and_their_mapping(tmp_path):
    row = {"answer": 7, "question": "what?", "video_id": 1301, "category_id": 3}
    write_json(tmp_path / "msrvtt" / "val_qa.json", [row])
    write_json(tmp_path / "msvd" / "val_qa.json", [row, row | {"video_id": 5}])
    (tmp_path / "msvd" / "youtube_mapping.txt").write_text("-4w_5_15 vid1301\n")
    rows, wrong = read(tmp_path)
    assert [(row.video, row.extra["answer"]) for row in rows] == [
        ("videos/video1301.mp4", "7"), ("videos/-4w_5_15.mp4", "7"),
    ]  # fmt: skip
    assert len(wrong) == 1 and "5, which youtube_mapping.txt does not name" in str(wrong[0])
    (tmp_path / "msvd" / "youtube_mapping.txt").write_text("abc\n")
    assert [error.trap for error in read(tmp_path)[1]] == ["damaged file"]


def test_html_is_decoded_once(tmp_path):
    said = "Tom &amp; Jerry run &quot;fast&quot; &amp;lt;"
    write_lines(tmp_path / "train.jsonl", [{"caption": said, "clip_name": "a"}])
    assert converted(tmp_path).rows[0].caption == 'Tom & Jerry run "fast" &lt;'


@pytest.mark.parametrize("said", ["", " ", "\u200b", "\ufffd", "\u0301", "\x00", "\xad \ue000",
                                  "&#8203;", 7, None, [], "a\ud800"])  # fmt: skip
@pytest.mark.parametrize("name", ["train.jsonl", "train.json"])
def test_a_caption_that_shows_nothing_is_a_wrong_row(said, name, tmp_path):
    good = {"caption": "a \U0001f40d", "clip_name": "video1"}
    write = write_lines if name.endswith("l") else write_json
    write(tmp_path / name, [good, good | {"caption": said}, good])
    rows, (wrong,) = read(tmp_path)
    assert [row.caption for row in rows] == ["a \U0001f40d"] * 2
    assert re.search(f"{name}, (line|item) 2: ", str(wrong))


def test_a_manifest_with_an_invisible_caption_is_named_on_loading():
    with pytest.raises(AnnotationError, match=r"caption.jsonl, line 38: \"caption\" is empty"):
        Manifest.load(CASES / "zero_width_caption.jsonl")


@given(said=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4))
@settings(max_examples=300)
def test_a_caption_that_is_taken_has_a_word(said):
    words = BertPreTokenizer().pre_tokenize_str(BertNormalizer().normalize_str(said))
    assert is_empty(said) or words


def test_paragraphs_where_the_protocol_has_them_or_are_asked_for(tmp_path):
    didemo(tmp_path, PLAIN)
    apart = converted(tmp_path, paragraphs=False).rows
    assert sorted(row.caption for row in apart) == sorted([*PLAIN, "between"])
    (tmp_path / "other").mkdir()
    msrvtt(tmp_path / "other", ["a", "b", "c", "d", "e"])
    together = converted(tmp_path / "other", paragraphs=True).rows
    assert [row.caption for row in together] == ["a d", "b", "c", "e"]


def test_what_is_written_is_whole_and_can_be_read(tmp_path):
    row = {"caption": "a", "clip_name": "a", "retrieval_key": "1", "sen_id": "\ud800"}
    write_lines(tmp_path / "test.jsonl", [row, row | {"retrieval_key": "2", "sen_id": 2}])
    found = write_manifest(recognise(tmp_path)[0][0], tmp_path / "manifest.jsonl")
    assert found.left_out == 1 and Manifest.load(tmp_path / "manifest.jsonl").rows[0].id == "2"
    with pytest.raises(UserError, match=r"1 wrong rows, such as 1: .*nothing was written"):
        converted(tmp_path, strict=True)
    write_lines(tmp_path / "test.jsonl", [row | {"caption": ""}])
    with pytest.raises(UserError, match=r"No row of .* line 1: \"caption\" is empty"):
        converted(tmp_path)
    assert Manifest.load(tmp_path / "manifest.jsonl").rows[0].id == "2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.jsonl", "test.jsonl"]


def test_a_manifest_above_the_data_set_and_a_folder_of_videos(tmp_path):
    root = tmp_path / "data" / "coco"
    coco(root, PLAIN)
    (data,) = recognise(root)[0]
    write_manifest(data, tmp_path / "m.jsonl")
    assert Manifest.load(tmp_path / "m.jsonl").rows[0].video == (
        "data/coco/images/000000000009.jpg"
    )
    write_manifest(data, root / "metadata.jsonl")
    line = json.loads((root / "metadata.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert line["file_name"] == "images/000000000009.jpg" and "video" not in line
    assert [row.caption for row in Manifest.load(root / "metadata.jsonl").rows] == PLAIN


ESCAPES = ["../x.mp4", "a/../../x.mp4", "/etc/passwd", "a/..", "C:\\x.mp4", "a\\..\\..\\x.mp4",
           "//host/x.mp4", "a\0.mp4", ".."]  # fmt: skip


@pytest.mark.parametrize("name", ESCAPES)
def test_no_format_lets_a_path_out(tmp_path, name):
    rows = {
        "a/train.jsonl": {"caption": "a", "clip_name": name},
        "b/train.jsonl": {"caption": "a", "clip_name": name, "type": "image"},
        "c/cc3m_train.json": {"caption": "a", "image": name},
        "d/train_data.json": {"description": "a", "video": name, "times": []},
        "e/qa_train.jsonl": {"question": "a", "answer": "b", "video_id": name},
        "f/mc_test.jsonl": {"options": ["a", "b"], "answer": 0, "clip_name": name},
        "g/manifest.jsonl": {"id": "1", "video": name, "caption": "a", "split": "train"},
        "h/metadata.jsonl": {"file_name": name, "text": "a"},
    }
    for file, row in rows.items():
        write = write_lines if file.endswith("jsonl") else write_json
        write(tmp_path / file, [row])
        found, wrong = read(tmp_path / file[0])
        assert not found and [error.trap for error in wrong] == ["path"], file
    header = ["videoid", "contentUrl", "duration", "page_dir", "name"]
    write_csv(tmp_path / "i" / "results_2M_val.csv", header, [["1", "", "", name, "b"]])
    assert not any(row.video.startswith("..") for row in read(tmp_path / "i")[0])


def test_links_must_not_lead_out(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "videos").mkdir(parents=True)
    outside.mkdir()
    (outside / "a.mp4").write_bytes(b"x")
    (root / "real.mp4").write_bytes(b"x")
    os.symlink(outside, root / "linked")
    os.symlink(outside / "a.mp4", root / "videos" / "c.mp4")
    os.symlink(root / "real.mp4", root / "videos" / "d.mp4")
    os.symlink("loop.mp4", root / "videos" / "loop.mp4")
    os.symlink("loop", root / "loop")
    locator = Locator(root)
    for name in ("linked/a.mp4", "videos/c.mp4", "a.mp4", "c"):
        with pytest.raises(WrongRow, match="leads out") as caught:
            locator.find(name, VIDEO_SUFFIXES, "videos")
        assert caught.value.trap == "path"
    assert locator.find("d", VIDEO_SUFFIXES, "videos") == "videos/d.mp4"
    with pytest.raises(WrongRow, match="cannot be a path"):
        locator.check("videos/loop.mp4")


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        ("video7.mp4", "video7"),
        ("videos/video7.mp4", "video7.mp4"),
        ("videos/video7.avi", "video7.mp4"),
        ("YouTubeClips/video7.AVI", "video7"),
        ("data/TrainValVideo/video7.webm", "video7"),
        ("videos/1@N0_2.mov.mp4", "1@N0_2.mov"),
        ("videos/1@N0_2.mp4", "1@N0_2."),
        ("videos/1@N0_2..mp4", "1@N0_2."),
        ("videos/1@N0_2.", "1@N0_2."),
        ("videos/1@n0_2.3G2", "1@N0_2.mov"),
        ("videos/v1.5_2.mp4", "v1.5_2"),
        ("clips/a/b/video7.mkv", "a/b/video7"),
    ],
)
def test_files_are_found_in_usual_places(tmp_path, there, asked):
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).write_bytes(b"x")
    (tmp_path / there).with_suffix(".jpg").write_bytes(b"a thumbnail")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "video8.mp4").write_bytes(b"x")
    locator = Locator(tmp_path)
    assert locator.find(asked, VIDEO_SUFFIXES, "videos") == there
    assert locator.find("video8", VIDEO_SUFFIXES, "videos") == "other/video8.mp4"
    assert locator.find("video9", VIDEO_SUFFIXES, "videos") == "videos/video9.mp4"


@given(path=st.text(st.sampled_from("ab./\\:\0~é"), max_size=12), again=st.booleans())
def test_what_is_let_through_is_inside(tmp_path_factory, path, again):
    """The quick check lets through what `inside` lets through, and nothing else."""
    root = tmp_path_factory.getbasetemp()
    check = PathCheck(root)
    for folder in ("", "a/", "a/b/", "./") if again else ():
        check(folder + "x")
    try:
        passed = inside(root, path) is not None
    except (AnnotationError, OSError, RuntimeError, ValueError):
        passed = False
    try:
        check(path)
    except WrongRow:
        assert not passed
    else:
        assert passed
