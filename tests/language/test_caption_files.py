"""Captions from every kind of file: right, in order, in constant memory, errors with their line."""

import json
import tracemalloc

import pytest

from snpkit.errors import AnnotationError, UserError
from snpkit.language.caption_files import read_captions


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
        ("cells.csv", "x,caption\n1,a dog\n\n2,a cat,9\n", ["a dog", "a cat"]),
        ("short.csv", "caption,x\na dog,1\n\nb\n", ["a dog", "b"]),
        ("head.tsv", 'id\tcaption\n1\ta "big dog\n', ['a "big dog']),
    ],
)  # fmt: skip
def test_tables(tmp_path, name, content, expected):
    assert read(tmp_path, name, content) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"caption": "x"}\n{"caption"\n', r"a\.jsonl, line 2: not a JSON value"),
        ("a.jsonl", '{"caption": "x"}\n\n{"other": 1}\n', r"line 3: no key or column 'caption' or"),
        ("a.jsonl", "3\n", "line 1: no key"),
        ("a.jsonl", "[" * 100_000, "line 1: not a JSON value"),
        ("a.jsonl", f"[{'9' * 5000}]", "line 1: not a JSON value"),
        ("a.jsonl", '"\\ud800"', "not UTF-8"),
        ("a.csv", "x,caption\n1,a dog\n2\n", "line 3: the row ends before its 'caption'"),
        ("a.csv", "x,y\n1,2\n", "no key or column 'caption' .*`snpkit prepare`"),
        ("a.csv", "", "no captions"),
        ("a.csv", "caption\n" + "x" * (1 << 24) + "y\n", "line 1: field larger than"),
        ("a.tsv", "a dog\thttp://a/b\na cat\thttp://c\n", "line 2: no key.*`snpkit prepare`"),
        ("a.txt", "\n \n", "no captions"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("a.json", "[]", r"a\.json: .* `snpkit prepare` makes a \.jsonl file"),
        ("a.mp4", "", r"\.txt, \.jsonl, \.csv and \.tsv files"),
    ],
)
def test_errors_name_file_and_line(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, name, content)
    assert name in str(caught.value)


def test_more_errors(tmp_path):
    with pytest.raises(UserError, match=r"Cannot read .*none\.txt"):
        list(read_captions(tmp_path / "none.txt"))
    with pytest.raises(AnnotationError, match="no key or column 'title'"):
        read(tmp_path, "a.jsonl", '{"caption": "x"}', field="title")
    with pytest.raises(UserError, match="line 2: no key or column 'title'"):
        read(tmp_path, "a.csv", "caption\nx\n", field="title")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    caption = "a small red kite falls over the beach while two dogs run"
    count = 40_000
    rows = {
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
