"""The manifest: what is written reads back, and every wrong line is named."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snpkit.data import samples
from snpkit.data.samples import Manifest, VideoText, sample_manifest, samples_folder
from snpkit.errors import AnnotationError, UserError
from snpkit.text import is_empty

GOOD = {"id": "1", "video": "videos/a.mp4", "caption": "a kite falls", "split": "train"}


def load(folder: Path, *lines: object) -> Manifest:
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return Manifest.load(path)


plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner),
    max_leaves=5,
)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: not is_empty(text)
)
rows = st.builds(
    VideoText,
    id=texts,
    video=st.integers(0, 99).map(lambda number: f"videos/{number}.mp4"),
    caption=texts,
    split=texts,
    kind=st.sampled_from(["video", "image"]),
    start=st.none() | st.integers(0, 50).map(float),
    end=st.none() | st.integers(51, 99).map(float),
    extra=st.dictionaries(
        plain.filter(lambda name: name not in {*GOOD, "kind", "start", "end"}), json_values
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(rows, min_size=1, max_size=4, unique_by=lambda row: row.id))
def test_what_is_saved_reads_back(tmp_path_factory, many):
    folder = tmp_path_factory.mktemp("manifest")
    manifest = Manifest(folder, many)
    manifest.save(folder / "manifest.jsonl")
    assert Manifest.load(folder / "manifest.jsonl") == manifest


@pytest.mark.parametrize(
    "caption", ["word " * 500, "🎈🚀 a balloon", "<script>alert('x')</script> & <b>", "one"]
)
def test_any_sentence_is_data(tmp_path, caption):
    assert load(tmp_path, GOOD | {"caption": caption}).rows[0].caption == caption


def test_unknown_keys_are_kept(tmp_path):
    row = load(tmp_path, GOOD | {"tags": [["kite", "NOUN"]], "duration": 2}).rows[0]
    assert row.extra == {"tags": [["kite", "NOUN"]], "duration": 2}
    assert row.kind == "video" and row.start is None and row.end is None


def without(name: str) -> dict:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize("video", ["/a.mp4", "//a.mp4", "C:/a.mp4", "../a.mp4", "videos//../../a"])
def test_a_path_that_leaves_is_refused_after_rows_that_stay(tmp_path, video):
    """The quick check of folders that are known must not let it through."""
    stay = [GOOD | {"id": "0", "video": "a.mp4"}, GOOD]
    with pytest.raises(AnnotationError, match=r"line 3: .*must be relative"):
        load(tmp_path, *stay, GOOD | {"id": "2", "video": video})


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{broken", "not JSON"),
        ("[1, 2]", "must be a JSON object"),
        ("NaN", "NaN"),
        ("[" * 100_000, "absurd depth"),
        (without("id"), '"id" is missing'),
        (without("video"), '"video" is missing'),
        (without("caption"), '"caption" is missing'),
        (without("split"), '"split" is missing'),
        (GOOD | {"id": 7}, '"id" is 7'),
        (GOOD | {"caption": ["a"]}, '"caption" is'),
        (GOOD | {"caption": ""}, '"caption" is empty'),
        (GOOD | {"caption": " \n\t"}, '"caption" is empty'),
        (GOOD | {"caption": "\u200b"}, '"caption" is empty'),
        (GOOD | {"options": ["a kite", "\u200b"]}, '"options[1]" is empty'),
        (GOOD | {"caption": "\ud800"}, "half a character"),
        (GOOD | {"split": ""}, '"split" is empty'),
        (GOOD | {"kind": "film"}, '"kind" is'),
        (GOOD | {"kind": ["film"]}, '"kind" is'),
        (GOOD | {"start": "1"}, '"start" is'),
        (GOOD | {"start": True}, '"start" is True'),
        (GOOD | {"start": -1}, '"start" is -1'),
        ('{"id": "1", "video": "a", "caption": "a", "split": "b", "end": 1e999}', "holds 1e999"),
        (GOOD | {"start": 2, "end": 2.0}, '"end" is 2'),
        (GOOD | {"extra": 1, "video": "../a.mp4"}, "stay below"),
        (GOOD | {"video": "videos/.."}, "stay below"),
        (GOOD | {"video": "/etc/passwd"}, "must be relative"),
        (GOOD | {"video": "C:\\a.mp4"}, "must be relative"),
        (GOOD | {"video": "videos\\..\\..\\a.mp4"}, "stay below"),
        (GOOD | {"video": "videos/a\0.mp4"}, "stay below"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, problem):
    with pytest.raises(AnnotationError) as caught:
        load(tmp_path, GOOD | {"id": "0"}, "", line)
    message = str(caught.value)
    assert problem in message
    assert f"{tmp_path / 'manifest.jsonl'}, line 3: " in message
    assert "\n" not in message and len(message) < 500


def test_a_manifest_that_windows_wrote(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a b.mp4").write_text("film")
    manifest = load(tmp_path, GOOD | {"video": "videos\\a b.mp4"})
    assert manifest.path_of(manifest.rows[0]).read_text() == "film"


def test_an_id_may_come_once_only(tmp_path):
    with pytest.raises(AnnotationError, match=r"line 2: .*'1', as in line 1"):
        load(tmp_path, GOOD, GOOD)


def test_links_must_not_lead_out_of_the_root(tmp_path):
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    for folder in (outside, inside / "videos"):
        folder.mkdir(parents=True)
    (outside / "secret.mp4").write_bytes(b"x")
    os.symlink(outside, inside / "linked")
    os.symlink(outside / "secret.mp4", inside / "videos" / "file.mp4")
    good = GOOD | {"id": "0"}
    for video in ("linked/secret.mp4", "videos/file.mp4"):
        with pytest.raises(AnnotationError, match=r"line 2: .*leads out"):
            load(inside, good, GOOD | {"video": video})
        row = VideoText(**(GOOD | {"video": video}))
        with pytest.raises(AnnotationError, match="leads out"):
            Manifest(inside, [row]).path_of(row)


def test_links_inside_the_root_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    os.symlink(tmp_path / "real", tmp_path / "videos")
    manifest = load(tmp_path, GOOD)
    assert manifest.path_of(manifest.rows[0]) == tmp_path.resolve() / "real" / "a.mp4"


def test_another_root(tmp_path):
    manifest = load(tmp_path, GOOD)
    moved = Manifest.load(tmp_path / "manifest.jsonl", root=tmp_path / "elsewhere")
    assert moved.rows == manifest.rows
    assert moved.path_of(moved.rows[0]) == (tmp_path / "elsewhere/videos/a.mp4").resolve()


def test_an_empty_manifest_says_so(tmp_path):
    with pytest.raises(AnnotationError, match="is empty"):
        load(tmp_path, "", "  ")


def test_missing_and_binary_manifests(tmp_path):
    with pytest.raises(UserError, match="Cannot read"):
        Manifest.load(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="Cannot read"):
        Manifest.load(tmp_path)
    (tmp_path / "film.jsonl").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match="UTF-8"):
        Manifest.load(tmp_path / "film.jsonl")


def test_a_byte_order_mark_is_no_error(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    assert Manifest.load(path).rows == [VideoText(**GOOD)]


def test_splits(tmp_path):
    manifest = load(tmp_path, GOOD, GOOD | {"id": "2", "split": "test"})
    assert [row.id for row in manifest.split("test").rows] == ["2"]
    with pytest.raises(UserError, match="no split 'dev'; it has: test, train"):
        manifest.split("dev")


def test_rows_that_cannot_be_written(tmp_path):
    for value in (object(), float("nan"), "\ud800"):
        bad = VideoText(**GOOD, extra={"x": value})
        with pytest.raises(UserError, match="JSON values"):
            Manifest(tmp_path, [bad]).save(tmp_path / "m.jsonl")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(AnnotationError, match="name of a field"):
        VideoText(**GOOD, extra={"caption": "other"})


def test_where_the_samples_lie(tmp_path, monkeypatch):
    package = tmp_path / "checkout" / "snpkit"
    package.mkdir(parents=True)
    monkeypatch.setattr(samples.snpkit, "__file__", str(package / "__init__.py"))
    monkeypatch.delenv("SNPKIT_SAMPLES", raising=False)
    with pytest.raises(UserError, match="SNPKIT_SAMPLES"):
        samples_folder()
    named = tmp_path / "named"
    named.mkdir()
    (named / "manifest.jsonl").write_text(json.dumps(GOOD))
    monkeypatch.setenv("SNPKIT_SAMPLES", str(named))
    assert samples_folder() == named
    assert sample_manifest().rows == [VideoText(**GOOD)]
    beside = tmp_path / "checkout" / "data_samples"
    beside.mkdir()
    assert samples_folder() == beside.resolve()
