"""Every format: what is written is read back; damage is an AnnotationError and nothing else."""

import random
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from snpkit.data.annotations import WrongRow, detect, layouts_in, open_dataset
from snpkit.data.annotations.fields import plain
from snpkit.data.samples import VideoText
from snpkit.errors import AnnotationError, UserError
from tests.data.annotations.builders import BUILDERS, write_lines

# Any text that a caption may be: no line breaks or tabs (CC3M's tsv cannot hold them), no half
# characters, something that can be seen, and no space around it, which the readers take off.
LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))
CAPTION = st.text(LETTERS, min_size=1, max_size=30).map(str.strip).filter(
    lambda text: any(unicodedata.category(c)[0] in "LNPS" and c != "\ufffd" for c in text)
)
CAPTIONS = st.lists(CAPTION, min_size=3, max_size=6)
PLAIN = ["a red kite falls", 'he said "stop", twice', "ein Mädchen läuft", "猫 und Hund"]


IMAGES = ("cc3m", "cc3m-list", "coco-2017", "visual-genome")


def told(row: VideoText) -> tuple:
    return row.split, row.video, row.caption, row.extra


@pytest.mark.parametrize("name", BUILDERS)
def test_a_data_set_is_detected_and_read(name, tmp_path):
    expected = BUILDERS[name](tmp_path, PLAIN)
    assert [layout.name for layout in layouts_in(tmp_path)] == [name]
    rows = list(open_dataset(tmp_path))
    if name != "reference":  # which holds both
        assert {row.kind for row in rows} == {"image" if name in IMAGES else "video"}
    assert [told(row) for row in rows] == expected
    assert len({row.id for row in rows}) == len(rows)
    for split in detect(tmp_path).splits:
        some = [told(row) for row in open_dataset(tmp_path, split)]
        assert some == [row for row in expected if row[0] == split] != []
    with pytest.raises(UserError, match=r"no (split|rows of) 'nonesuch'"):
        list(open_dataset(tmp_path, "nonesuch"))


@pytest.mark.parametrize("said", ["", " ", "\u200b", "\ufffd", "\u0301", "\x00", "\xad \ue000"])
def test_a_caption_that_shows_nothing_is_empty(said, tmp_path):
    """BERT's tokenizer finds no word in it: it must not end a training run."""
    write_lines(tmp_path / "train.jsonl", [{"caption": said, "clip_name": "video1"}])
    with pytest.raises(WrongRow, match=r"line 1: .*caption.* is empty") as error:
        list(open_dataset(tmp_path))
    assert error.value.trap == "empty caption"


@given(said=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4))
@settings(max_examples=300)
def test_a_caption_that_is_taken_has_a_word(said):
    try:
        plain(said, "caption")
    except WrongRow:
        return
    words = BertPreTokenizer().pre_tokenize_str(BertNormalizer().normalize_str(said))
    assert words


@pytest.mark.parametrize("name", BUILDERS)
@given(captions=CAPTIONS)
@settings(max_examples=10)
def test_any_caption_comes_back(name, captions):
    with tempfile.TemporaryDirectory() as folder:
        expected = BUILDERS[name](Path(folder), captions)
        assert [told(row) for row in open_dataset(folder)] == expected


@pytest.mark.parametrize("name", BUILDERS)
@given(seed=st.integers(0, 2**32), how=st.sampled_from(["cut", "flip", "drop", "insert"]))
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_damage_is_an_annotation_error_or_rows(name, seed, how):
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        expected = BUILDERS[name](Path(folder), PLAIN)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        path = draw.choice(files)
        path.write_bytes(damaged(path.read_bytes(), how, draw))
        left_out: list[AnnotationError] = []
        rows = []
        try:
            layouts = layouts_in(folder)
            for layout in layouts:
                for row in layout.rows(problems=left_out.append):
                    assert isinstance(row, VideoText) and row.caption.strip()
                    rows.append(told(row))
        except AnnotationError as error:
            left_out.append(error)
        for error in left_out:
            assert folder in str(error) and "\n" not in str(error)
        if how == "cut" and name in ("webvid-2m", "coco-2017", "manifest", "msrvtt-mc"):
            # A table cut in its last cell cannot be told from a whole one; all before it is right.
            assert rows[:-1] == expected[: len(rows)][:-1]


def damaged(content: bytes, how: str, draw: random.Random) -> bytes:
    place = draw.randrange(len(content))
    if how == "cut":
        return content[:place]
    if how == "flip":
        return content[:place] + bytes([draw.randrange(256)]) + content[place + 1 :]
    if how == "drop":
        return content[:place] + content[place + draw.randrange(1, 20) :]
    some = draw.choice([b'"', b"{", b"]", b"\x00", b"\xff", b"NaN", b"[" * 5000, b"9" * 5000, b","])
    return content[:place] + some + content[place:]
