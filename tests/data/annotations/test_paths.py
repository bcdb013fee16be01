"""Where videos lie, and paths that must not be followed."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data.annotations import WrongRow, layouts_in, open_dataset
from snpkit.data.annotations.paths import Locator
from snpkit.errors import AnnotationError
from snpkit.files import inside
from snpkit.video.suffixes import VIDEO_SUFFIXES
from tests.data.annotations.builders import write_csv, write_json, write_lines

ESCAPES = [
    "../x.mp4", "a/../../x.mp4", "/etc/passwd", "a/..", "C:\\x.mp4", "a\\..\\..\\x.mp4",
    "//host/x.mp4", "a\0.mp4", "..",
]  # fmt: skip


@pytest.mark.parametrize("name", ESCAPES)
def test_no_format_lets_a_path_out(tmp_path, name):
    sets = {
        "jsonl": ("train.jsonl", [{"caption": "a", "clip_name": name}]),
        "reference": ("train.jsonl", [{"caption": "a", "clip_name": name, "type": "image"}]),
        "list": ("train.json", [{"caption": "a", "video": name}]),
        "images": ("cc3m_train.json", [{"caption": "a", "image": name}]),
        "didemo": ("train_data.json", [{"description": "a", "video": name, "times": []}]),
        "qa": ("train.jsonl", [{"question": "a", "answer": "b", "video_id": name}]),
        "mc": ("test.jsonl", [{"options": ["a", "b"], "answer": 0, "clip_name": name}]),
        "manifest": ("m.jsonl", [{"id": "1", "video": name, "caption": "a", "split": "train"}]),
    }
    for folder, (file, rows) in sets.items():
        write = write_lines if file.endswith("jsonl") else write_json
        write(tmp_path / folder / file, rows)
        with pytest.raises(AnnotationError, match=r"(line|item) 1: .*(below|cannot be a path)"):
            list(open_dataset(tmp_path / folder))


@pytest.mark.parametrize("column", ["videoid", "page_dir"])
def test_webvid_and_coco_stay_inside(tmp_path, column):
    row = {"videoid": "1", "contentUrl": "", "duration": "", "page_dir": "a", "name": "b"}
    row[column] = "../../x"
    write_csv(tmp_path / "results_2M_val.csv", list(row), [list(row.values())])
    with pytest.raises(AnnotationError, match=r"line 2: .*stay below"):
        list(open_dataset(tmp_path))
    images = [{"id": 1, "file_name": "../../x.jpg"}]
    captions = [{"id": 1, "image_id": 1, "caption": "a"}]
    coco = tmp_path / "coco" / "captions_val2014.json"
    write_json(coco, {"images": images, "annotations": captions})
    with pytest.raises(AnnotationError, match=r"annotations item 1: .*stay below"):
        list(open_dataset(tmp_path / "coco"))


def test_links(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "videos").mkdir(parents=True)
    (root / "real").mkdir()
    outside.mkdir()
    for path in (outside / "a.mp4", root / "real" / "b.mp4"):
        path.write_bytes(b"x")
    os.symlink(outside, root / "linked")
    os.symlink(outside / "a.mp4", root / "videos" / "c.mp4")
    os.symlink(root / "real" / "b.mp4", root / "videos" / "d.mp4")
    os.symlink("loop.mp4", root / "videos" / "loop.mp4")
    os.symlink("loop", root / "loop")
    assert layouts_in(root) == []
    locator = Locator(root)
    for name in ("linked/a.mp4", "videos/c.mp4", "a.mp4", "c"):
        with pytest.raises(WrongRow, match="leads out") as caught:
            locator.find(name, VIDEO_SUFFIXES, "videos")
        assert caught.value.trap == "path"
    locator.check("videos/d.mp4")
    with pytest.raises(WrongRow):  # also where the folder is known already
        locator.check("videos/c.mp4")
    assert locator.find("d", VIDEO_SUFFIXES, "videos") == "videos/d.mp4"
    with pytest.raises(WrongRow, match="cannot be a path"):
        locator.check("videos/loop.mp4")


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        ("video7.mp4", "video7"),
        ("videos/video7.mp4", "video7"),
        ("videos/video7.mp4", "video7.mp4"),
        ("videos/video7.avi", "video7.mp4"),
        ("YouTubeClips/video7.avi", "video7"),
        ("data/TrainValVideo/video7.webm", "video7"),
        ("videos/1@N0_2.mov.mp4", "1@N0_2.mov"),
        ("videos/v1.5_2.mp4", "v1.5_2"),
        ("clips/a/b/video7.mkv", "a/b/video7"),
    ],
)
def test_files_are_found_in_usual_places(tmp_path, there, asked):
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).write_bytes(b"x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "video8.mp4").write_bytes(b"x")
    locator = Locator(tmp_path)
    assert locator.find(asked, VIDEO_SUFFIXES, "videos") == there
    assert locator.find("video8", VIDEO_SUFFIXES, "videos") == "other/video8.mp4"
    assert locator.find(asked, VIDEO_SUFFIXES, "videos") == there
    assert locator.find("video9", VIDEO_SUFFIXES, "videos") == "videos/video9.mp4"


@given(path=st.text(st.sampled_from("ab./\\:\0~é"), max_size=12), again=st.booleans())
def test_what_is_let_through_is_inside(tmp_path_factory, path, again):
    """The quick check lets through what `inside` lets through, and nothing else."""
    root = tmp_path_factory.getbasetemp()
    locator = Locator(root)
    if again:
        for folder in ("", "a/", "a/b/", "./"):
            locator.check(folder + "x")
    try:
        passed = inside(root, path) is not None
    except (AnnotationError, OSError, RuntimeError, ValueError):
        passed = False
    try:
        assert locator.check(path) == path
    except WrongRow:
        assert not passed
    else:
        assert passed


def test_cc3m_images_as_img2dataset_writes_them(tmp_path):
    lines = "".join(f"caption {n}\thttps://example.org/{n}\n" for n in range(3))
    (tmp_path / "Validation_GCC-1.1.0-Validation.tsv").write_text(lines)
    for folder in ("train", "val"):
        (tmp_path / folder / "00000").mkdir(parents=True)
        (tmp_path / folder / "00000" / "000000001.jpg").write_bytes(b"x")
    places = [row.video for row in open_dataset(tmp_path, "val")]
    assert places == [
        "validation/00000/000000000.jpg",
        "val/00000/000000001.jpg",
        "validation/00000/000000002.jpg",
    ]


def test_the_damage_of_one_row_is_named(tmp_path):
    rows = [{"caption": "a", "clip_name": "a"}, {"caption": "", "clip_name": "b"}, 7, {}]
    path = tmp_path / "train.jsonl"
    write_lines(path, rows)
    path.write_text(path.read_text() + '{"caption": NaN}\n')
    problems: list[AnnotationError] = []
    with pytest.raises(AnnotationError, match="line 5: the line is not JSON"):
        for row in open_dataset(tmp_path, problems=problems.append):
            assert row.caption == "a"
    assert [str(error) for error in problems] == [
        f'{path}, line 2: "caption" is empty; write one or take the row out.',
        f"{path}, line 3: the record must be a JSON object.",
        f'{path}, line 4: "clip_name" is missing; add it or take the row out.',
    ]
    with pytest.raises(AnnotationError, match='line 2: "caption" is empty'):
        list(open_dataset(tmp_path))
    assert json.loads(path.read_text().splitlines()[0])["caption"] == "a"


def test_an_absolute_path_is_not_in_the_root_because_its_neighbour_is(tmp_path):
    locator = Locator(tmp_path)
    assert locator.check("a.mp4") == "a.mp4"
    with pytest.raises(WrongRow, match="must be relative"):
        locator.check("/a.mp4")
