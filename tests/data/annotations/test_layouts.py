"""Which files make which data set, where a folder holds several or odd ones."""

import shutil

import pytest

from snpkit.data.annotations import detect, layouts_in, open_dataset
from snpkit.data.annotations.kinds import Found
from snpkit.errors import AnnotationError, UserError
from tests.data.annotations.builders import BUILDERS, msrvtt, write_csv, write_json, write_lines

CAPTIONS = ["a kite", "a dog", "a cat"]


def names(root) -> list[str]:
    return [layout.name for layout in layouts_in(root)]


@pytest.mark.parametrize(
    ("file", "split", "variant"),
    [
        ("MSRVTT_train.7k.csv", "train", "7k"),
        ("MSRVTT_JSFUSION_test.csv", "test", ""),
        ("msrvtt_ret_train9k.json", "train", "9k"),
        ("msrvtt_ret_test1k.json", "test", ""),
        ("results_2M_val.csv", "validation", "2m"),
        ("results_10M_train.csv", "train", "10m"),
        ("captions_val2017.json", "validation", "2017"),
        ("Train_GCC-training.tsv", "train", ""),
        ("Validation_GCC-1.1.0-Validation.tsv", "validation", ""),
        ("dev.jsonl", "validation", ""),
        ("val_data.json", "validation", ""),
        ("test_list.txt", "test", ""),
        ("region_descriptions.json", "train", ""),
        ("latest_contest.jsonl", "train", ""),
    ],
)
def test_splits_and_variants_by_name(tmp_path, file, split, variant):
    found = Found(tmp_path / file, "clips", "")
    assert (found.split, found.variant) == (split, variant)


def test_two_training_lists_are_two_data_sets(tmp_path):
    msrvtt(tmp_path, CAPTIONS, "7k")
    write_csv(tmp_path / "MSRVTT_train.9k.csv", ["video_id"], [["video1"]])
    assert names(tmp_path) == ["msrvtt-7k", "msrvtt-9k"]
    with pytest.raises(UserError, match="name one of them: msrvtt-7k, msrvtt-9k"):
        open_dataset(tmp_path, "train")
    with pytest.raises(UserError, match="no data set 'webvid'; it holds: msrvtt-7k"):
        detect(tmp_path, "webvid")
    chosen = open_dataset(tmp_path, "train", layout="msrvtt-9k")
    assert [row.caption for row in chosen] == ["a dog"]
    tested = [list(open_dataset(tmp_path, "test", layout=f"msrvtt-{n}k")) for n in (7, 9)]
    assert tested[0] == tested[1] and tested[0][0].id == "ret0"


def test_msrvtt_with_its_own_splits(tmp_path):
    splits = {"video0": "train", "video1": "validate", "video2": "test"}
    videos = [{"video_id": video, "split": split} for video, split in splits.items()]
    sentences = [
        {"video_id": f"video{n % 3}", "caption": f"c{n}", "sen_id": n} for n in range(6)
    ] + [{"video_id": "video9", "caption": "c", "sen_id": 9}]
    # The sentences may stand before the videos.
    write_json(tmp_path / "MSRVTT_data.json", {"sentences": sentences, "videos": videos})
    assert names(tmp_path) == ["msrvtt-full"]
    problems = []
    rows = list(open_dataset(tmp_path, problems=problems.append))
    assert [(row.split, row.caption) for row in rows] == [
        (("train", "validation", "test")[n % 3], f"c{n}") for n in range(6)
    ]
    assert "sentences item 7: 'video9' has no split" in str(problems[0])
    assert detect(tmp_path).splits == ("train", "validation", "test")
    assert [row.caption for row in open_dataset(tmp_path, "val", problems=problems.append)] == [
        "c1",
        "c4",
    ]


def test_the_test_list_alone(tmp_path):
    msrvtt(tmp_path, CAPTIONS)
    for file in ("MSRVTT_data.json", "MSRVTT_train.7k.csv"):
        (tmp_path / file).unlink()
    assert names(tmp_path) == ["msrvtt-1k-a"]
    assert [row.caption for row in open_dataset(tmp_path)] == ["a cat"]


def test_years_of_coco(tmp_path):
    BUILDERS["coco-2017"](tmp_path, CAPTIONS)
    folder = tmp_path / "annotations"
    shutil.copy(folder / "captions_val2017.json", folder / "captions_train2014.json")
    shutil.copy(folder / "captions_val2017.json", folder / "instances_val2017.json")
    assert names(tmp_path) == ["coco-2014", "coco-2017"]


def test_a_damaged_file_belongs_to_its_neighbours(tmp_path):
    BUILDERS["msrvtt-jsonl"](tmp_path, CAPTIONS)
    (tmp_path / "test.jsonl").write_text("{broken")
    assert names(tmp_path) == ["msrvtt-jsonl"]
    assert len(list(open_dataset(tmp_path, "train"))) == 3
    with pytest.raises(AnnotationError, match=r"test\.jsonl, line 1: "):
        list(open_dataset(tmp_path, "test"))


def test_other_files_are_left_alone(tmp_path):
    BUILDERS["webvid-2m"](tmp_path, CAPTIONS)
    (tmp_path / "config.json").write_text('{"a": [1, 2]}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "table.csv").write_text('a,b\n"')
    (tmp_path / "other.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    (tmp_path / ".hidden.jsonl").write_text('{"clip_name": "a", "caption": "b"}')
    (tmp_path / "words.jsonl").write_text('"a"\n')
    write_lines(tmp_path / "a" / "b" / "train.jsonl", [{"clip_name": "a", "caption": "too deep"}])
    assert names(tmp_path) == ["webvid-2m"]


def test_originals_of_two_data_sets_in_their_folders(tmp_path):
    (tmp_path / "msvd").mkdir()
    BUILDERS["msvd-qa-original"](tmp_path / "msvd", CAPTIONS)
    row = {"answer": "cat", "id": 1, "question": "what?", "video_id": 7}
    write_json(tmp_path / "msrvtt" / "val_qa.json", [row])
    assert names(tmp_path) == ["msrvtt-qa-original", "msvd-qa-original"]
    (found,) = open_dataset(tmp_path, "validation", layout="msrvtt-qa-original")
    assert found.video == "videos/video7.mp4"
    (tmp_path / "msvd" / "youtube_mapping.txt").write_text("abc vid2\n")
    with pytest.raises(AnnotationError, match=r"item 1: .*1301.*youtube_mapping\.txt"):
        list(open_dataset(tmp_path, "train", layout="msvd-qa-original"))
    (tmp_path / "msvd" / "youtube_mapping.txt").write_text("abc\n")
    with pytest.raises(AnnotationError, match=r"youtube_mapping\.txt, line 1: "):
        list(open_dataset(tmp_path, "train", layout="msvd-qa-original"))


def test_columns_are_found_by_name(tmp_path):
    """Releases of WebVid order and add columns as they like."""
    header = ["name", "more", "page_dir", "videoid", "duration"]
    write_csv(tmp_path / "results_10M_val.csv", header, [["a, b", "", "", "7", "soon"]])
    (row,) = open_dataset(tmp_path, "validation")
    assert (row.id, row.video, row.caption, row.extra) == ("7", "videos/7.mp4", "a, b", {})
