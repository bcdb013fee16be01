"""The stage in a page from disk: it plays, answers to every hand, and asks nobody."""

import pytest
from playwright.sync_api import expect

from snpkit.cli import main
from snpkit.data.samples import samples_folder
from tests.browser.test_pages import open_from_disk
from tests.browser.watching import violations

CAPTION = "a spotted orange mushroom jumps near the zebra"
pytestmark = pytest.mark.browser
PIXELS = """() => { const c = document.querySelector('canvas');
  return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data) }"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    output = tmp_path_factory.mktemp("stage") / "page.html"
    video = samples_folder() / "generated" / "test-000000.mp4"
    assert main(["explain", str(video), CAPTION, "-o", str(output)]) == 0
    return output


@pytest.fixture
def page(path, watch):
    watched = open_from_disk(watch, path, viewport={"width": 1400, "height": 900})
    yield watched.page
    assert watched.asked == []
    watched.assert_quiet()


def words(page):
    return page.locator(".word")


def told(page):
    return page.locator(".told").inner_text()


@pytest.mark.parametrize("size", [(1400, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_frame_are_in_view_together(path, watch, size, scheme):
    viewport = {"width": size[0], "height": size[1]}
    watched = open_from_disk(watch, path, viewport=viewport, color_scheme=scheme)
    for shown in (watched.page.locator(".sentence"), watched.page.locator("canvas")):
        box = shown.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= size[1]
        assert box["x"] >= 0 and box["x"] + box["width"] <= size[0]
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert violations(watched.page) == []
    watched.picture(f"stage-{size[0]}-{scheme}")


def test_hovering_or_focusing_a_word_paints_its_map(page):
    words(page).nth(1).hover()
    first = page.evaluate(PIXELS)
    words(page).nth(3).focus()
    assert told(page).startswith("“mushroom”, clip")
    second = page.evaluate(PIXELS)
    assert first != second
    words(page).nth(1).focus()
    assert page.evaluate(PIXELS) == first


def test_the_clip_plays_steps_and_stops(page):
    page.locator(".thumb").first.click()
    page.get_by_label("next frame").click()
    assert "clip 1, frame 2" in told(page)
    page.get_by_label("previous frame").click()
    page.get_by_label("previous frame").click()
    assert "clip 2, frame 4" in told(page)  # round the end
    page.get_by_label("speed").select_option("2")
    page.locator("canvas").focus()
    page.keyboard.press("Space")
    expect(page.locator(".told")).to_contain_text("clip 1, frame 3")
    page.keyboard.press("Space")
    stopped = told(page)
    page.wait_for_timeout(500)
    assert told(page) == stopped and page.locator(".play").inner_text() == "▶ Play"


def test_a_patch_makes_the_words_swell_by_their_share(page):
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.4)
    assert "patch in row 2, column 3" in told(page)
    style = "w => +w.style.getPropertyValue('--swell')"
    swell = [word.evaluate(style) for word in words(page).all()]
    assert sum(one - 1 for one in swell) == pytest.approx(0.9) and max(swell) > min(swell)
    page.mouse.move(0, 0)
    assert "strongest patch" in told(page)


def test_a_patch_is_found_by_keyboard(page):
    page.locator("canvas").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    assert "patch in row 2, column 2" in told(page)


def test_smoothing_changes_the_picture_and_back(page):
    sharp = page.evaluate(PIXELS)
    page.get_by_label("smooth").check()
    assert page.evaluate(PIXELS) != sharp
    page.get_by_label("smooth").uncheck()
    assert page.evaluate(PIXELS) == sharp


def test_a_hidden_word_is_guessed_with_and_without_the_video(page):
    orange = words(page).nth(2)
    orange.click()
    assert orange.inner_text() == "[MASK]"
    alone, seeing = (page.locator(".guesses > div").nth(n).locator(".guess") for n in range(2))
    assert alone.count() == seeing.count() == 5
    assert seeing.first.locator("span").inner_text() == "orange"
    share = [int(found.first.locator("small").inner_text().split()[0]) for found in (alone, seeing)]
    assert share[1] > 5 * share[0]
    alone.nth(1).click()
    other = alone.nth(1).locator("span").inner_text()
    assert orange.inner_text() == other
    # Another colour fits worse.
    assert f"with “{other}” (\N{MINUS SIGN}" in page.locator(".score").inner_text()
    page.keyboard.press("Escape")
    assert orange.inner_text() == "orange" and page.locator(".guess").count() == 0
    assert "→" not in page.locator(".score").inner_text()


def test_four_kinds_stand_aligned_and_say_their_equation(page):
    rows = page.locator(".kinds tbody tr")
    assert rows.count() == 4
    lefts = [row.locator("td i").nth(3).bounding_box()["x"] for row in rows.all()]
    assert max(lefts) - min(lefts) < 1
    words(page).nth(3).hover()
    assert page.locator(".kinds td.on").count() == 4
    rows.nth(3).get_by_role("button").click()
    assert "S(T, V) \N{MINUS SIGN} mean over g" in page.locator(".rule").inner_text()
    tint = words(page).nth(3).evaluate("w => +w.style.getPropertyValue('--s')")
    bar = rows.nth(3).locator("td").nth(3).evaluate("b => +b.style.getPropertyValue('--s')")
    assert tint == bar


def test_an_unknown_word_is_marked(page):
    assert [w.inner_text() for w in page.locator(".word.unknown").all()] == ["zebra"]
