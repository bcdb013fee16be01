"""Diagrams: drawn inside their paper, legible in both themes, the same bytes every time."""

import base64
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from figures import diagrams
from figures.diagrams.drawing import COLOURS, Diagram, fitting
from snpkit.errors import UserError
from snpkit.explore.plots.style import relative_luminance, text_width

ALL = {
    "patch_pipeline": diagrams.patch_pipeline,
    "transformer_layer": diagrams.transformer_layer,
    "alone": diagrams.shared_network,
    "cross_modal": lambda: diagrams.shared_network("cross_modal"),
    "three_fusion": diagrams.three_fusion,
    "twin_tower": diagrams.twin_tower,
    "objectives": diagrams.objectives,
    "downstream_heads": diagrams.downstream_heads,
}
each = pytest.mark.parametrize("draw", ALL.values(), ids=ALL)
SVG = "{http://www.w3.org/2000/svg}"


def parts(drawing, kind):
    return ElementTree.fromstring(drawing.svg).findall(f"{SVG}{kind}")


def extent(text):
    """From where to where a drawn text runs, at most: in a font wider than a reader's."""
    wide = text_width(text.text, float(text.get("font-size"))) * 0.95
    x = float(text.get("x"))
    start = x - wide * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")]
    return start, start + wide


@each
def test_a_notebook_gets_an_image_with_its_words_and_the_same_drawing_as_svg(draw):
    bundle = draw()._repr_mimebundle_()
    assert set(bundle) == {"text/html", "image/svg+xml", "text/plain"}
    (data,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', bundle["text/html"])
    assert base64.b64decode(data).decode() == bundle["image/svg+xml"]
    (alt,) = re.findall(r'<img alt="([^"]{80,})"', bundle["text/html"])
    assert f'role="img" aria-label="{alt}"' in bundle["image/svg+xml"]
    assert bundle["text/plain"].startswith("Diagram: ") and "\n" not in bundle["text/plain"]
    assert len(bundle["text/html"]) < 20_000


@each
def test_equal_calls_give_equal_bytes(draw):
    assert draw().svg == draw().svg


@each
def test_everything_lies_on_the_paper(draw):
    drawing = draw()
    for rect in parts(drawing, "rect")[1:]:
        x, y, width, height = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
        assert x >= 1 and x + width <= drawing.width - 1, rect.attrib
        assert y >= 1 and y + height <= drawing.height - 1, rect.attrib
    for text in parts(drawing, "text"):
        start, end = extent(text)
        assert start >= 0 and end <= drawing.width, text.text
        assert float(text.get("font-size")) >= 11
        assert 10 <= float(text.get("y")) <= drawing.height - 3, text.text
    for path in parts(drawing, "path"):
        points = [float(number) for number in re.findall(r"-?[\d.]+", path.get("d"))]
        assert all(0 <= x <= drawing.width for x in points[::2])
        assert all(0 <= y <= drawing.height for y in points[1::2])


@each
def test_no_text_runs_into_another(draw):
    spans = [(float(t.get("y")), *extent(t), t) for t in parts(draw(), "text")]
    for place, (y, start, end, text) in enumerate(spans):
        for other_y, other_start, other_end, other in spans[:place]:
            if abs(y - other_y) < min(float(text.get("font-size")), float(other.get("font-size"))):
                assert end <= other_start or other_end <= start, (text.text, other.text)


@each
def test_text_stays_clear_of_the_frame_around_it(draw):
    drawing = draw()
    frames = [[float(rect.get(k)) for k in ("x", "y", "width", "height")]
              for rect in parts(drawing, "rect")[1:]]  # fmt: skip
    for text in parts(drawing, "text"):
        start, end = extent(text)
        base, size = float(text.get("y")), float(text.get("font-size"))
        for x, y, width, height in frames:
            if y < base < y + height and x < (start + end) / 2 < x + width:
                assert x + 2 <= start and end <= x + width - 2, text.text
                assert y + 3 <= base - 0.73 * size and base + 0.22 * size <= y + height - 2, (
                    text.text
                )


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_has_contrast_on_the_paper_and_on_every_filling(theme):
    rgb = {k: [int(v[theme][i : i + 2], 16) / 255 for i in (1, 3, 5)] for k, v in COLOURS.items()}

    def contrast(ink, ground):
        low, high = sorted((relative_luminance(ink), relative_luminance(ground)))
        return (high + 0.05) / (low + 0.05)

    for name, colour in rgb.items():
        if name != "paper":
            assert contrast(colour, rgb["paper"]) >= 4.5, name
            pale = [0.2 * c + 0.8 * p for c, p in zip(colour, rgb["paper"], strict=True)]
            assert contrast(rgb["muted"], pale) >= 4.0 and contrast(rgb["ink"], pale) >= 7, name


def test_dark_pages_recolour_every_kind_that_is_drawn():
    drawing = Diagram(100, 50, "x")
    drawing.box(2, 2, 40, 20, "a", kind="own")
    drawing.arrow((1, 1), (9, 9), kind="video")
    (dark,) = re.findall(r"prefers-color-scheme:dark\)\{(.*)\}</style>", drawing.svg)
    for name in re.findall(r'class="([^"]+)"', drawing.svg):
        for one in name.split():
            assert f".{one}{{" in dark
    assert 'marker-end="url(#head-video)"' in drawing.svg and 'id="head-video"' in drawing.svg


def test_the_page_tells_the_picture_its_theme_and_no_other_image():
    shown = diagrams.objectives()._repr_mimebundle_()["text/html"]
    style = re.search(r"<style>(.*?)</style>", shown)
    assert style.group(1).startswith('[data-jp-theme-light="false"] img[src^="data:image/svg"]')


def test_any_text_stays_text():
    drawing = Diagram(300, 60, 'say "<hi>" & go\x00')
    drawing.box(2, 2, 290, 50, "<script>alert(1)</script>", note="a & b")
    root = ElementTree.fromstring(drawing.svg)
    assert [t.text for t in root.findall(f"{SVG}text")] == ["<script>alert(1)</script>", "a & b"]
    assert "<hi>" not in drawing._repr_mimebundle_()["text/html"]


def test_tokens_of_a_row_are_as_wide_as_their_text_and_do_not_touch():
    boxes = Diagram(400, 40, "x").row(2, 2, ["a", "considerable", "b"], gap=6)
    assert boxes[1].width >= fitting("considerable") - 1 > boxes[0].width
    for before, after in pairwise(boxes):
        assert after.x - before.right[0] == pytest.approx(6)
    assert boxes[0].top == (boxes[0].x + boxes[0].width / 2, 2)
    assert boxes[0].bottom[1] == 28 and boxes[0].left == (2, 15)


def test_the_two_roles_differ_in_what_is_read_and_in_the_pooler():
    def tokens(role):
        return [text.text for text in parts(diagrams.shared_network(role), "text")]

    assert "clip 1" not in tokens("alone") and tokens("cross_modal").count("clip 1") == 2
    for role in ("alone", "cross_modal"):
        assert tokens(role).count("not in this role") == 1
        assert "the same parameters in both roles" in tokens(role)
    with pytest.raises(UserError, match="'alone' and 'cross_modal', not 'both'"):
        diagrams.shared_network("both")


def test_the_losses_drawn_are_the_losses_of_the_model():
    from snpkit.model.config import TASKS

    said = [text.text for text in parts(diagrams.objectives(), "text")]
    assert set(TASKS) <= set(said)
    assert all(f"{task}:" in diagrams.objectives().alt for task in TASKS)



def test_the_heads_drawn_are_the_heads_of_the_models():
    """Which model has which head, and that only the answer head begins at random."""
    from snpkit.model.config import SNPConfig
    from snpkit.model.downstream import SNPForMultipleChoice, SNPForQuestionAnswering

    config = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
              "vocab_size": 40}  # fmt: skip
    asked = SNPForQuestionAnswering(SNPConfig(**config), answers=["red", "blue"])
    chosen = SNPForMultipleChoice(SNPConfig(**config))
    heads = {name for model in (asked, chosen) for name, _ in model.named_children()}
    said = [text.text for text in parts(diagrams.downstream_heads(), "text")]
    assert {"answer_head", "similarity"} <= heads
    assert {"answer head", "similarity head", "new: random weights"} <= set(said)
    assert not hasattr(asked, "similarity") and not hasattr(chosen, "answer_head")
    assert {"retrieval", "multiple choice", "question answering"} <= set(said)
