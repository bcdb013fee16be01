"""Captions from every kind of file: right, in order, in constant memory, errors with their line."""

import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ijson import JSONError

from snpkit.errors import AnnotationError, UserError
from snpkit.language.caption_files import json_elements, read_captions


def read(tmp_path, name, content, **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_captions(path, **options))


def test_lines_of_text(tmp_path):
    text = "Tom &amp; Jerry\n\u200b\n&#8203;\n"  # two lines show nothing
    assert read(tmp_path, "a.txt", text) == ["Tom & Jerry"]
    assert read(tmp_path, "a.txt", "﻿A dog\r\n\n  two cats \nlast") == ["A dog", "two cats", "last"]


def test_json_lines(tmp_path):
    rows = [
        {"caption": "A dog", "clip_name": "x"},
        {"caption": ["two cats", " ", "three"]},
        {"caption": None},
        {"sentence": "a bird", "text": "later key"},
        "plain string",
    ]
    text = "\n".join(map(json.dumps, rows)) + "\n\n"
    assert read(tmp_path, "a.JSONL", text) == [
        *("A dog", "two cats", "three", "a bird", "plain string")
    ]
    text = json.dumps({"title": "a title", "caption": "a caption"})
    assert read(tmp_path, "a.jsonl", text, field="title") == ["a title"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("webvid.csv", 'id,name,dir\n1,"a dog, running",x\n2,cat,y\n', ["a dog, running", "cat"]),
        ("msrvtt.csv", "key,video_id,sentence\nr0,v1,a man sings\n", ["a man sings"]),
        ("lines.csv", 'caption,x\n"two\nlines",1\n', ["two\nlines"]),
        ("cc3m.tsv", 'a "big dog\thttp://a/b\ncat\thttp://c\n', ['a "big dog', "cat"]),
        ("head.tsv", "id\tcaption\n1\ta cat\n", ["a cat"]),
    ],
)  # fmt: skip
def test_tables(tmp_path, name, content, expected):
    assert read(tmp_path, name, content) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["a dog", "a cat"], ["a dog", "a cat"]),
        ([{"caption": "a dog"}, {"video": "v", "caption": ["b", "c"]}], ["a dog", "b", "c"]),
        (
            {
                "info": {"description": "not a caption", "year": 2017},
                "images": [{"id": 1, "file_name": "a.jpg"}],
                "annotations": [{"id": 2, "caption": "a dog"}, {"caption": "a cat"}],
            },
            ["a dog", "a cat"],
        ),
        ({"videos": [{"video_id": "v"}], "sentences": [{"caption": "a man"}]}, ["a man"]),
        ([{"id": 1, "regions": [{"phrase": "a"}, {"phrase": "b"}]}, {"regions": []}], ["a", "b"]),
        ({"v1": [["a", "dog"], ["a", "cat"]], "v2": ["one bird"]}, ["a dog", "a cat", "one bird"]),
    ],
)
def test_json_documents(tmp_path, value, expected):
    assert read(tmp_path, "a.json", json.dumps(value)) == expected
    assert read(tmp_path, "b.json", json.dumps(value, indent=3)) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"caption": "x"}\n{"caption"\n', r"a\.jsonl, line 2: not a JSON value"),
        ("a.jsonl", '{"caption": "x"}\n\n{"other": 1}\n', r"line 3: no key 'caption' or"),
        ("a.jsonl", "3\n", "line 1: no key"),
        ("a.csv", "caption,x\na dog,1\n\nb\n", None),
        ("a.csv", "x,caption\n1,a dog\n2\n", "line 3: the row has no caption"),
        ("a.csv", "x,y\n1,2\n", "no column 'caption'"),
        ("a.tsv", "dog\tcat\n", "no column"),
        ("a.csv", "", "no column"),
        ("a.json", '[{"caption": "x"}', "not JSON, or it is cut off"),
        ("a.json", '[{"caption": "x"}] x', "not JSON"),
        ("a.json", "3", "not JSON"),
        ("a.jsonl", '"\\ud800"', "not UTF-8"),
        ("a.json", "", "not JSON"),
        ("a.json", '{"a": ["x"', "not JSON"),
        ("a.json", '{"images": []}', "no captions"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.txt", "\n \n", "no captions"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("a.mp4", "", r"\.jsonl, \.csv, \.tsv, \.json, \.txt files only"),
    ],
)
def test_errors_name_file_and_line(tmp_path, name, content, message):
    if message is None:
        assert read(tmp_path, name, content) == ["a dog", "b"]
        return
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, name, content)
    assert name in str(caught.value)


def test_more_errors(tmp_path):
    with pytest.raises(UserError, match=r"Cannot read .*none\.txt"):
        list(read_captions(tmp_path / "none.txt"))
    with pytest.raises(AnnotationError, match="no key 'title'"):
        read(tmp_path, "a.jsonl", '{"caption": "x"}', field="title")
    with pytest.raises(UserError, match="no column 'title'"):
        read(tmp_path, "a.csv", "caption\nx\n", field="title")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


@given(st.lists(json_values, max_size=5), st.sampled_from([None, 2]))
def test_streaming_gives_what_json_gives(values, indent):
    file = io.BytesIO(json.dumps(values, indent=indent).encode())
    assert list(json_elements(file)) == values


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_streaming_an_object_gives_its_arrays(value):
    expected = [item for array in value.values() if isinstance(array, list) for item in array]
    assert list(json_elements(io.BytesIO(json.dumps(value).encode()))) == expected


@given(st.lists(json_values, min_size=1, max_size=4), st.data())
def test_a_cut_file_is_an_error_after_what_was_whole(values, data):
    text = json.dumps(values)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    found = []
    with pytest.raises(JSONError):
        for value in json_elements(io.BytesIO(cut.encode())):
            found.append(value)
    # A number at the cut may be shorter than it was ("12" of "123"); all before it are whole.
    assert found[:-1] == values[: max(0, len(found) - 1)]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_number_of_thousands_of_digits_is_a_sentence(tmp_path, name):
    (tmp_path / name).write_text(f"[{'9' * 5000}]")
    with pytest.raises(UserError, match="absurd length"):
        list(read_captions(tmp_path / name))


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv", "a.txt"])
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    caption = "a small red kite falls over the beach while two dogs run"
    count = 40_000
    rows = {
        "a.json": '{"annotations": [' + ",".join([json.dumps({"caption": caption})] * count) + "]}",
        "a.jsonl": (json.dumps({"caption": caption}) + "\n") * count,
        "a.csv": "id,caption\n" + f"1,{caption}\n" * count,
        "a.txt": f"{caption}\n" * count,
    }  # fmt: skip
    (tmp_path / name).write_text(rows[name])
    tracemalloc.start()
    assert sum(1 for _ in read_captions(tmp_path / name)) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000 < len(rows[name])
