"""What a person does with each explorer, by keyboard alone, and what must come of it."""

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.browser.checking import answer_time
from tests.browser.watching import HOSTILE

CAPTION = "a red kite falls over the beach"
NAMES = ("significance", "network", "retrieval")
# Milliseconds at most, on a machine that does much else; the aim on a quiet one is 200 and 1000.
FAST, SLOW = 10_000, 30_000
expect.set_options(timeout=SLOW)


def region_of(page: Any, name: str) -> Any:
    """The explorer of this name in the notebook explorers.ipynb."""
    return page.locator(".snpkit-explorer").nth(NAMES.index(name))


def type_text(field: Any, text: str) -> None:
    """Replace what a field holds, key by key, and send it."""
    field.focus()
    field.press("ControlOrMeta+a")
    field.page.keyboard.insert_text(text)
    field.press("Enter")


def press_slider(region: Any, label: str, key: str) -> str:
    """Press a key on a slider; its number is then another one."""
    slider = region.get_by_role("slider", name=label)
    output = slider.locator("xpath=following-sibling::output")
    before = output.inner_text()
    slider.press(key)
    expect(output).not_to_have_text(before)
    expect(slider).to_be_focused()
    return output.inner_text()


def choose(region: Any, label: str, key: str, value: str) -> None:
    """Choose from a select by the keyboard."""
    field = region.get_by_label(label, exact=True)
    field.focus()
    for _ in range(20):
        if field.input_value() == value:
            break
        field.press(key)
    expect(field).to_have_value(value)
    expect(field).to_be_focused()


def words_in(strip: Any) -> Any:
    """The words of a strip, without their numbers."""
    return strip.locator(".snpkit-word > b")


def significance(region: Any, times: str) -> None:
    """Caption, kinds, words, map, masks, and what if."""
    strip = region.get_by_role("toolbar", name="Words of the caption")
    caption = region.get_by_label("Caption", exact=True)
    answer_time(strip, lambda: type_text(caption, CAPTION), f"{times}: caption", SLOW)
    expect(words_in(strip)).to_have_text(CAPTION.split())
    choose(region, "Kind of significance", "ArrowDown", "match")
    choose(region, "Compare with", "ArrowDown", "counterfactual")
    expect(region).to_contain_text(re.compile("agree", re.I))
    expect(strip.locator(".snpkit-word").nth(2).locator(".snpkit-bar")).to_have_count(2)
    choose(region, "Kind of significance", "ArrowUp", "corpus")
    press = region.get_by_role("slider", name="Top K").press
    answer_time(strip, lambda: press("Home"), f"{times}: top K", FAST)
    _select_words(region, strip, times)
    _draw_masks(region, times)
    _what_if(region, times)


def _select_words(region: Any, strip: Any, times: str) -> None:
    word = strip.locator("button[tabindex='0']")
    word.press("Home")
    word.press("ArrowRight")
    chosen = strip.get_by_role("button").nth(1)
    expect(chosen).to_be_focused()
    detail = region.locator(".snpkit-detail").first
    expect(detail).to_contain_text("red")
    strip.get_by_role("button").nth(2).hover()
    expect(detail).to_contain_text("kite")
    picture = region.locator(".snpkit-picture img").first
    answer_time(picture, lambda: chosen.press("Enter"), f"{times}: map of a word", SLOW)
    expect(chosen).to_have_attribute("aria-pressed", "true")
    expect(picture).to_have_attribute("alt", re.compile("red"))
    strip.get_by_role("button").nth(2).click()  # by mouse, and off again
    expect(picture).to_have_attribute("alt", re.compile("kite"))
    strip.get_by_role("button").nth(2).click()
    expect(picture).not_to_have_attribute("alt", re.compile("kite"))
    before = picture.get_attribute("alt")
    press_slider(region, "Time", "ArrowRight")
    expect(picture).not_to_have_attribute("alt", before)


def _draw_masks(region: Any, times: str) -> None:
    press_slider(region, "Mask ratio", "End")
    masked = [region.get_by_role("group", name=f"Masked by {name}") for name in ("MLM", "MSSM")]
    for strip in masked:
        expect(strip.locator(".is-masked").nth(2)).to_be_visible()
    for _ in range(9):
        press_slider(region, "Mask ratio", "ArrowLeft")
    seed = region.get_by_label("Seed", exact=True)
    before = seed.input_value()
    draw = region.get_by_role("button", name="Draw a mask")
    answer_time(masked[0], lambda: draw.press("Enter"), f"{times}: draw a mask", FAST)
    expect(seed).not_to_have_value(before)


def _what_if(region: Any, times: str) -> None:
    choose(region, "The selected words", "ArrowDown", "mask")
    expect(region).to_contain_text("[MASK]")
    choose(region, "The selected words", "ArrowDown", "replace")
    field = region.get_by_label("Replacement")
    expect(field).to_be_enabled()
    type_text(field, "blue")
    expect(region).to_contain_text("a blue kite falls over the beach”:")


def save(region: Any, button: str, folder: Path) -> Path:
    """Press an export button and catch the file."""
    with region.page.expect_download() as download:
        region.get_by_role("button", name=button).press("Enter")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def network(region: Any, times: str) -> None:
    """Caption, layer, head, and the token that looks."""
    strip = region.get_by_role("toolbar", name="Querying token")
    type_text(region.get_by_label("Caption", exact=True), CAPTION)
    expect(words_in(strip)).to_contain_text(CAPTION.split())
    maps = region.locator("section[data-role] svg")
    expect(maps).to_have_count(2)
    before = maps.first.get_attribute("aria-label")
    slide = region.get_by_role("slider", name="Layer")
    answer_time(region.locator(".snpkit-view"), lambda: slide.press("ArrowRight"),
                f"{times}: layer", SLOW)  # fmt: skip
    expect(maps.first).not_to_have_attribute("aria-label", before)
    choose(region, "Head", "ArrowDown", "0")
    expect(maps.first).to_have_attribute("aria-label", re.compile("head 0"))
    word = strip.locator("button[tabindex='0']")
    word.press("Home")
    strip.get_by_role("button").first.press("Enter")
    expect(maps.first).to_have_attribute("aria-label", re.compile(r"\[CLS\] looks most at"))


def retrieval(region: Any, times: str) -> None:
    """Sentence, re-ranking, and how many are shown and explained."""
    hits, view = region.locator(".snpkit-hits"), region.locator(".snpkit-view")
    field = region.get_by_label("Sentence", exact=True)
    text = "a red cat is wobbling in the town"
    answer_time(view, lambda: type_text(field, text), f"{times}: search", SLOW)
    expect(hits.locator("li").first).to_contain_text("written for this clip")
    expect(hits.locator("li").first.locator(".snpkit-word b")).to_have_text(text.split())
    expect(hits.locator("li").first).to_contain_text("Cross-modal")
    again = region.get_by_label("Re-ranking", exact=True)
    answer_time(view, lambda: again.press("Space"), f"{times}: without re-ranking", SLOW)
    expect(hits).not_to_contain_text("Cross-modal")
    expect(region.get_by_role("slider", name="Candidates")).to_be_disabled()
    press_slider(region, "Results", "Home")
    expect(hits.locator("li")).to_have_count(1)
    for key in ("ArrowRight", "ArrowRight"):
        press_slider(region, "Results", key)
    expect(hits.locator("li")).to_have_count(3)
    press_slider(region, "Explained", "Home")
    expect(hits.locator(".snpkit-why")).to_have_count(0)
    press_slider(region, "Explained", "ArrowRight")
    expect(hits.locator(".snpkit-why")).to_have_count(1)


def hostile(region: Any, name: str) -> None:
    """Captions that try to be elements are shown as they were typed."""
    field = region.get_by_label("Sentence" if name == "retrieval" else "Caption", exact=True)
    for caption in HOSTILE:
        type_text(field, caption)
        # The network's explorer shows pieces of words; the others, words as they were written.
        telling = "[UNK]" if name == "network" else re.findall(r"img|script", caption)[0]
        shown = region.locator(".snpkit-word > b").get_by_text(telling, exact=True)
        expect(shown.first).to_be_visible()
        expect(field).to_have_value(caption)


def keys_that_are_the_notebooks(region: Any) -> None:
    """Press what JupyterLab moves, cuts and deletes cells with, on one control of each sort."""
    for sort in ("slider input", "select select", "toggle input", "button button", "strip button"):
        control = region.locator(f".snpkit-{sort}:not(:disabled)")
        if control.count():
            control.first.focus()
            for key in ("ArrowUp", "Escape", "d", "d", "x", "b", "m"):
                region.page.keyboard.press(key)
            held = region.evaluate("region => region.contains(document.activeElement)")
            assert held, f"the notebook took the focus from {sort}"
