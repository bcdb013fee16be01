"""A pickle of captions is read without running what it says."""

import collections
import io
import os
import pickle
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data.prepare import recognise
from snpkit.data.prepare.msvd import _PlainUnpickler, read_pickle
from snpkit.errors import AnnotationError

WORDS = st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), max_size=5)
CAPTIONS = st.dictionaries(
    st.text(st.characters(categories=("Lu", "Nd")), min_size=1),
    st.lists(WORDS, max_size=4),
    min_size=1,
    max_size=5,
)


LOOP: list = []  # holds itself
LOOP.append(LOOP)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "raw-captions.pkl"
    path.write_bytes(content)
    return path


class Evil:
    """Unpickling it makes the file `target`, by a function of Python's own."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_does_nothing(tmp_path, protocol):
    target = tmp_path / "made"
    evils = [
        Evil(os.mkdir, str(target)),
        Evil(eval, f"__import__('os').mkdir({str(target)!r})"),
        {"video": [[Evil(exec, f"open({str(target)!r}, 'w')")]]},
        collections.OrderedDict(video=[["a"]]),
        os.mkdir,
        {"video": {1, 2, len}},
    ]
    for evil in evils:
        content = pickle.dumps(evil, protocol)
        with pytest.raises(AnnotationError, match="do not use this file"):
            read_pickle(written(tmp_path, content))
        assert not target.exists()
    # The pickle is a working one: this is what would have happened.
    pickle.loads(pickle.dumps(evils[0], protocol))
    assert target.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        b"\x80\x04N.",  # None
        b"(lp0\n.",  # an empty list
        b"\x80\x02}.",  # an empty dict
        b"\x80\x02}q\x00r" + struct.pack("<I", 0xFFFFFFF0) + b".",  # a far place to store at
        b"\x80\x04X" + struct.pack("<I", 0xFFFFFFF0) + b"abc.",  # a text longer than the file
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"abc.",
        b"(" * 10_000 + b".",
        b"cos\nsystem\n(S'echo a'\ntR.",
        b"\x80\x02" + b"\x82\x01.",  # an extension's class
        b"Pid\n.",  # a reference
        pickle.dumps({1: [["a"]]}),
        pickle.dumps({" ": [["a"]]}),
        pickle.dumps({"a": ["a caption that was not cut into words"]}),
        pickle.dumps({"a": [["a", 1]]}),
        pickle.dumps({"a": [["a", None]]}),
        pickle.dumps({"a": "text"}),
        pickle.dumps({"a": None}),
        pickle.dumps([["a"]]),
        pickle.dumps({"video": [LOOP]}),
        b"\x80\x02})" + b"\x85" * 1_000_000 + b"Ns.",  # tuples in each other as a key
    ],
)
def test_other_content_is_an_annotation_error(tmp_path, content):
    path = written(tmp_path, content)
    with pytest.raises(AnnotationError) as caught:
        read_pickle(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message and len(message) < 400


def test_the_unpickler_itself_finds_nothing_to_call():
    """The second barrier, should an instruction ever slip through the first."""
    for content in (pickle.dumps(os.mkdir), b"cos\nmkdir\n(S'/nonesuch/a'\ntR.", b"Pid\n."):
        with pytest.raises(pickle.UnpicklingError, match="is no caption"):
            _PlainUnpickler(io.BytesIO(content)).load()


def test_missing_and_huge_files(tmp_path):
    words = ["word"] * 1000  # the pickle holds it once and names it 10,000 times
    with pytest.raises(AnnotationError, match="far more text"):
        read_pickle(written(tmp_path, pickle.dumps({"video": [words] * 10_000})))
    with pytest.raises(AnnotationError, match="Cannot read"):
        read_pickle(tmp_path / "none.pkl")
    path = tmp_path / "raw-captions.pkl"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # a file with a hole: takes no room on the disk
    with pytest.raises(AnnotationError, match="too large"):
        read_pickle(path)


@given(captions=CAPTIONS, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_captions_come_back(tmp_path_factory, captions, protocol):
    path = tmp_path_factory.mktemp("pickle") / "raw-captions.pkl"
    path.write_bytes(pickle.dumps(captions, protocol))
    assert read_pickle(path) == {
        video: [" ".join(words) for words in said] for video, said in captions.items()
    }


@given(captions=CAPTIONS, place=st.integers(0, 10_000), value=st.binary(max_size=5))
def test_damage_is_an_annotation_error_or_captions(tmp_path_factory, captions, place, value):
    path = tmp_path_factory.mktemp("pickle") / "raw-captions.pkl"
    content = pickle.dumps(captions, 2)
    place %= len(content)
    path.write_bytes(content[:place] + value + content[place + 2 :])
    try:
        read = read_pickle(path)
    except AnnotationError:
        return
    assert all(isinstance(caption, str) for said in read.values() for caption in said)


def test_texts_of_python_2(tmp_path):
    """Its texts are bytes, here in protocols 0 and 2."""
    old = b"(dp0\nS'vid_1_2'\np1\n(lp2\n(lp3\nS'a'\naS'caf\\xc3\\xa9'\naas."
    assert read_pickle(written(tmp_path, old)) == {"vid_1_2": ["a café"]}
    new = b"\x80\x02}U\x07vid_1_2]]U\x05caf\xc3\xa9aas."
    assert read_pickle(written(tmp_path, new)) == {"vid_1_2": ["café"]}


def test_a_listed_video_without_captions(tmp_path):
    written(tmp_path, pickle.dumps({"vid_1_2": [["a", "dog"], []]}, 2))
    (tmp_path / "test_list.txt").write_text("vid_1_2\n\nvid_3_4\n")
    problems = []
    rows = list(recognise(tmp_path)[0][0].rows(problems.append))
    assert [(row.id, row.caption) for row in rows] == [("vid_1_2:0", "a dog")]
    assert [error.trap for error in problems] == ["empty caption", "video without captions"]
    assert "test_list.txt, line 3: 'vid_3_4'" in str(problems[1])
