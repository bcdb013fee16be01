"""Strips of words: nothing overlaps, nothing leaves the figure, every fate is told apart."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch

from figures import caption_strip, masking_comparison
from figures.captions import _flow
from snpkit.errors import UserError
from snpkit.explore.plots import to_png, to_svg
from snpkit.explore.plots.style import BLUE, INK, ORANGE, SEQUENTIAL

WORDS = ["a", "red", "kite", "falls", "over", "the", "beach"]


def boxes_of(figure):
    return [patch for patch in figure.axes[0].get_children() if isinstance(patch, FancyBboxPatch)]


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=90), min_size=1, max_size=30), st.floats(60, 500))
def test_words_flow_in_lines_without_overlap(words, line):
    boxes = _flow(words, line)
    assert len(boxes) == len(words)
    for before, box in itertools.pairwise(boxes):
        below = box.y == before.y + 1 and box.x == 0
        beside = box.y == before.y and box.x >= before.x + before.width
        assert below or beside
    assert all(box.x + box.width <= line + 12 for box in boxes)


def test_tint_bar_and_number_follow_the_value():
    values = [None, 0.9, 0.5, 0.0, None, None, 1.0]
    figure = caption_strip(WORDS, values, title="Corpus")
    tints = [to_hex(box.get_facecolor()) for box in boxes_of(figure)]
    assert tints == [to_hex(SEQUENTIAL(value or 0.0)) for value in values]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in texts if text in WORDS] == WORDS
    assert {"0.90", "0.50", "0.00", "1.00", "—"} <= set(texts)
    assert figure.alt.startswith("Corpus: a —, red 0.90, kite 0.50")
    assert caption_strip(["x"], [7.0], numbers=["rank 1"]).alt.endswith("x rank 1.")


def test_masked_words_differ_by_text_and_frame():
    drawings = {
        "MLM": ["[MASK]", None, None, None, None, "boat", None],
        "MSSM": [None, None, "[MASK]", "falls", None, None, None],
    }
    figure = masking_comparison(WORDS, drawings, [False, True, True, True, False, False, True])
    looks = [
        (text.get_text(), to_hex(box.get_facecolor()), to_hex(box.get_edgecolor()))
        for box, text in zip(
            boxes_of(figure),
            [t for t in figure.axes[0].texts if t.get_ha() == "center"],
            strict=False,
        )
    ]
    assert sum(look[:2] == ("[MASK]", to_hex(INK)) for look in looks) == 2
    assert sum(look[:2] == ("boat", to_hex(ORANGE)) for look in looks) == 1
    assert sum(look[0] == "falls" and look[2] == to_hex(BLUE) for look in looks) == 1
    assert "MLM: a is hidden, the becomes boat." in figure.alt
    assert "MSSM: kite is hidden, falls is kept." in figure.alt
    nothing = masking_comparison(WORDS, {"MLM": [None] * 7}, [False] * 7)
    assert "MLM: nothing is masked." in nothing.alt


@pytest.mark.filterwarnings("error")
def test_nasty_and_long_captions_draw(nasty, parse):
    for words in (nasty, ["x" * 300]):
        values = [0.5] * len(words)
        strip = caption_strip(words, values, title=words[0])
        masks = masking_comparison(words, {"MLM": words, words[0]: [None] * len(words)}, values)
        for figure in (strip, masks):
            assert to_png(figure, 1)
            parse(to_svg(figure, "s"))


def test_a_caption_of_500_words_wraps():
    figure = caption_strip([f"word{i}" for i in range(500)], [0.5] * 500)
    assert figure.get_figheight() > 20
    assert to_png(figure, 0.25)


def test_lists_that_do_not_fit_are_a_clear_error():
    for bad in (([], []), (["a"], []), (["a"], [0.1, 0.2])):
        with pytest.raises(UserError, match="one value"):
            caption_strip(*bad)
    with pytest.raises(UserError, match="one value"):
        caption_strip(["a"], [1.0], numbers=["1", "2"])
    with pytest.raises(UserError, match="one entry per word"):
        masking_comparison(["a"], {"MLM": [None, None]}, [True])
    with pytest.raises(UserError, match="one entry per word"):
        masking_comparison(["a"], {"MLM": [None]}, [])
