"""An explanation as HTML: everything in it, nothing but it, safe and readable."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from snpkit.errors import UserError
from snpkit.explore.export import explanation_page, overlay, write_explanation
from tests.explore.explaining import noise, small_pipeline
from tests.explore.opening import opened

CAPTION = "A red kite falls over the beach"


@pytest.fixture(scope="module")
def pipeline():
    return small_pipeline()


@pytest.fixture(scope="module")
def explained(pipeline):
    return pipeline.explain(CAPTION, noise())


def test_every_kind_has_its_strip_with_tint_bar_and_number(explained, parse):
    page = parse(explanation_page(explained, video="clip.mp4"))
    assert f"“{CAPTION}”" in page.words
    assert "snpkit explanation of clip.mp4" in page.words
    marked = [a for a in page.all("span") if a.get("class") == "word on"]
    assert len(marked) == 4 * 7
    tints = [float(a["style"].removeprefix("--s:")) for a in marked]
    expected = [value for kind in explained.kinds for value in kind.values]
    assert tints == pytest.approx(expected, abs=0.006)
    assert len([a for a in page.all("span") if a.get("class") == "bar"]) == 4 * 7
    for kind in explained.kinds:
        assert kind.rule in page.words
    for value in expected:
        assert f"{value:.2f}" in page.words


def test_the_tables_hold_all_numbers(explained, parse):
    page = parse(explanation_page(explained))
    assert len(page.all("table")) == len(page.all("caption")) == 3
    rows = [a for a in page.all("th") if a.get("scope") == "row"]
    assert len(rows) == 7 + 7 + 4
    for row in explained.rows():
        assert f"{round(row['match_raw'], 2) + 0:.2f}".removesuffix(".00") in page.words
    for number in explained.kind("match").detail["similarity"].flatten().tolist():
        assert f"{number:.2f}" in page.words
    for value in explained.agreement.values():
        assert f"{value:.2f}" in page.words


def test_maps_of_the_most_significant_words_stand_over_the_frames(explained, parse):
    page = parse(explanation_page(explained))
    images = page.all("img")
    assert len(images) == 2 * (1 + 4)  # two clips: the frames, and four significant words
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in images)
    alts = [image["alt"] for image in images]
    assert alts[0] == "Clip 1 of 2, 2 frames, as the model reads it"
    for word in ("red", "kite", "falls", "beach"):
        assert sum(f"under the relevance of “{word}”; strongest in frame" in a for a in alts) == 2
    chosen = parse(explanation_page(explained, words=[0, 4]))
    assert [a["alt"].split("”")[0].split("“")[1] for a in chosen.all("img")[2:]] == [
        "A", "A", "over", "over",
    ]  # fmt: skip
    guesses = ", ".join(explained.guesses[4][:5])
    assert f"over rather than {guesses}" in chosen.words


def test_a_word_that_is_not_there_is_a_users_error(explained):
    with pytest.raises(UserError, match="no word 7"):
        explanation_page(explained, words=[1, 7])


def test_words_that_the_model_does_not_read_are_told(pipeline, parse):
    words = ["red", "kite", "falls"] * 10
    page = parse(explanation_page(pipeline.explain(" ".join(words), noise())))
    assert "left out at the end: 2 words." in page.words
    assert f"“{' '.join(words[:28])} …”" in page.words
    assert page.all("details")
    short = parse(explanation_page(pipeline.explain("red", noise())))
    assert not short.all("details")


def test_what_is_not_defined_is_a_dash(pipeline, parse):
    page = parse(explanation_page(pipeline.explain("the", noise())))
    assert "— = not defined" in page.words
    assert page.words.count("—") >= 12


def test_nasty_captions_and_names_stay_text(pipeline, nasty, parse):
    for text in nasty:
        found = pipeline.explain(text, noise())
        page = parse(explanation_page(found, video=text, words=[0]))
        assert len(page.all("img")) == 4
        assert {name for name, _ in page.elements if name.startswith("s")} == {
            "section", "small", "span", "style",
        } | ({"summary"} if found.left_out else set())  # fmt: skip
    page = parse(explanation_page(pipeline.explain(nasty[0], noise()), video=nasty[1]))
    assert f"“{nasty[0]}”" in page.words
    assert f"explanation of {nasty[1]}" in page.words


def test_a_map_lights_its_place_and_crosses_it(explained):
    frames = torch.full((1, 2, 3, 32, 32), 128, dtype=torch.uint8)
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, 1, 2] = 1.0
    picture = overlay(frames, maps)
    scale = picture.shape[-1] // 32
    assert picture.shape == (1, 2, 3, 32 * scale, 32 * scale) and scale >= 4
    light = picture.float().mean(2)[0]
    cell = light[0, 8 * scale : 16 * scale, 16 * scale : 24 * scale]
    assert cell.mean() > 1.8 * light[0, 24 * scale :].mean()
    middle = picture[0, 0, :, 12 * scale, 20 * scale]
    assert middle.tolist() == [255, 255, 255]
    assert light[1].median() == light[0, -1, 0]  # the frame without relevance is dark all over
    assert torch.equal(frames, torch.full_like(frames, 128))


def test_frames_are_shown_as_they_are(pipeline):
    frames = torch.zeros(2, 2, 3, 32, 32, dtype=torch.uint8)
    frames[0, 0] = 200
    document = explanation_page(pipeline.explain("a red kite", frames))
    data = base64.b64decode(re.search(r"base64,([^\"]+)", document).group(1))
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("L"), dtype=int)
    height, width = picture.shape
    assert width > 2 * height - 10
    assert abs(picture[height // 2, height // 2] - 200) < 10
    assert picture[height // 2, -height // 2] < 10


def test_it_is_written_whole_or_not_at_all(explained, tmp_path, parse):
    path = tmp_path / "deep" / "out.html"
    write_explanation(path, explained)
    assert parse(path.read_text(encoding="utf-8")).words.startswith("Which words matter")
    with pytest.raises(UserError, match="Cannot write"):
        write_explanation(path / "below.html", explained)


def test_minus_zero_is_never_shown(explained):
    kinds = [replace(kind, raw=[-0.001] * 7) for kind in explained.kinds]
    assert "-0<" not in explanation_page(replace(explained, kinds=kinds))


READ_CONTRAST = """() => {
  const channel = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4 };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const numbers = text => {
    const n = text.match(/[0-9.]+%?/g).map(parseFloat);
    return n.length > 3 ? n : [...n, 1];
  };
  const behind = element => {
    const [r, g, b, a] = numbers(getComputedStyle(element).backgroundColor);
    if (a >= 1 || !element.parentElement) return [r, g, b];
    return behind(element.parentElement).map((c, i) => a * [r, g, b][i] + (1 - a) * c);
  };
  const worst = {ratio: 99, text: ''};
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const [one, other] = [light(numbers(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < worst.ratio) { worst.ratio = ratio; worst.text = e.outerHTML.slice(0, 90); }
  }
  return worst;
}"""


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 400])
def test_in_a_browser_all_is_readable_and_nothing_loads(
    pipeline, nasty, chromium, tmp_path, width, scheme
):
    path = tmp_path / "out.html"
    found = pipeline.explain(f"{nasty[0]} {nasty[5]} a red kite falls", noise())
    write_explanation(path, found, video=nasty[1])
    with opened(path, chromium, tmp_path / "profile", width, scheme) as page:
        worst = page.evaluate(READ_CONTRAST)
    assert worst["ratio"] >= 4.5, worst
