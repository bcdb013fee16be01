"""The explorers in a real JupyterLab: changed by hand, refused, undone, saved, without a kernel."""

import pytest
from playwright.sync_api import expect

from tests.browser.checking import assert_every_control_is_reached_by_tab, assert_fits
from tests.browser.in_jupyter import open_in_lab, save_in_lab, use_theme
from tests.browser.watching import HOSTILE, Watch, violations

pytestmark = pytest.mark.browser
NOTEBOOK = "explorers.ipynb"
NAMES = ("significance", "network", "retrieval")
CAPTION = "a blue boat spins in a city at night"
EXPLORERS = pytest.mark.parametrize("name", NAMES)
expect.set_options(timeout=30_000)  # a busy machine


@pytest.fixture(scope="module")
def opened(lab, browser):
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(30_000)
    watched = Watch(context.new_page())
    open_in_lab(watched, lab, NOTEBOOK)
    yield watched
    context.close()


@pytest.fixture
def watched(opened):
    yield opened
    opened.assert_quiet()


def region_of(page, name):
    return page.locator(".snpkit-live").nth(NAMES.index(name))


def settled(region):
    expect(region).to_have_attribute("aria-busy", "false")


@EXPLORERS
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_explorer_is_accessible_and_fits_in_both_themes(watched, theme, name):
    use_theme(watched, theme)
    region = region_of(watched.page, name)
    region.scroll_into_view_if_needed()
    watched.picture(f"lab-{name}-{theme}", region)
    assert_fits(region)
    assert violations(watched.page, region) == []


@EXPLORERS
def test_tab_reaches_every_control(watched, name):
    assert_every_control_is_reached_by_tab(region_of(watched.page, name))


@EXPLORERS
def test_text_is_typed_refused_where_it_stands_and_undone(watched, name):
    region = region_of(watched.page, name)
    field = region.locator("input[type=text]").first
    before = field.input_value()
    cells = "[...jupyterapp.shell.currentWidget.content.model.cells].map(cell => cell.id)"
    notebook = watched.page.evaluate(cells)
    field.focus()
    field.press("ControlOrMeta+a")
    watched.page.keyboard.type(CAPTION)
    expect(region.get_by_role("button", name="Undo")).to_be_enabled()
    settled(region)
    assert watched.page.evaluate(cells) == notebook  # the notebook took none of the keys
    expect(field).to_be_focused()
    shown = region.locator(".body").inner_text()
    field.fill("   ")
    expect(region.locator(".problem").first).to_contain_text("is empty; write at least one word")
    assert field.get_attribute("aria-invalid") == "true"
    assert region.locator(".body").inner_text() == shown  # the last good state stays whole
    field.fill(HOSTILE[0])
    expect(region.locator(".problem").first).to_be_empty()
    settled(region)
    watched.assert_harmless()
    region.get_by_role("button", name="Undo").click()
    settled(region)
    field.blur()
    region.get_by_role("button", name="Undo").click()
    expect(field).to_have_value(before)


def test_a_chip_changes_the_words_on_the_stage(watched):
    region = region_of(watched.page, "significance")
    region.get_by_role("button", name="An unknown word").click()
    expect(region.locator(".word.unknown")).to_have_count(1)
    expect(region.locator(".warn")).to_contain_text("has never seen")
    region.get_by_role("button", name="Undo").click()
    expect(region.locator(".word.unknown")).to_have_count(0)


def test_a_guess_moves_the_score(watched):
    region = region_of(watched.page, "significance")
    place = "dot => +dot.style.getPropertyValue('--s')"
    own = region.locator(".line i.own")
    before = own.evaluate(place)
    region.locator(".word").nth(2).click()
    region.locator(".guess").nth(1).click()
    assert own.evaluate(place) != before
    region.locator(".undo").click()
    assert own.evaluate(place) == before


def test_a_clip_that_is_not_there_is_told_at_its_field(watched):
    region = region_of(watched.page, "significance")
    field = region.locator("[name=path]")
    field.fill("no/such/video.mp4")
    field.press("Enter")
    problem = region.locator(".field:has([name=path]) .problem")
    expect(problem).to_contain_text("There is no video")
    field.fill("")
    field.press("Enter")
    expect(problem).to_be_empty()


def test_a_card_opens_on_the_stage(watched):
    region = region_of(watched.page, "retrieval")
    region.locator(".card .open").first.click()
    expect(region.locator(".stage canvas")).to_have_count(1)


def test_a_page_is_saved_that_plays_on(watched, browser, tmp_path):
    region = region_of(watched.page, "significance")
    with watched.page.expect_download() as download:
        region.get_by_role("button", name="Save page").click()
    download.value.save_as(tmp_path / "saved.html")
    page = browser.new_context(offline=True).new_page()
    page.goto((tmp_path / "saved.html").as_uri())
    said = page.locator(".told").inner_text()
    page.locator(".word").last.hover()
    assert page.locator(".told").inner_text() != said
    page.context.close()


def test_without_a_kernel_the_saved_notebook_plays_on(watched, lab, browser, tmp_path):
    from nbconvert import HTMLExporter

    path = save_in_lab(watched, lab, NOTEBOOK)
    watched.page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")
    (lab.root / "again.ipynb").write_text(path.read_text("utf-8"), "utf-8")
    html, _ = HTMLExporter().from_filename(str(path))
    (tmp_path / "saved.html").write_text(html, encoding="utf-8")
    for offline, url in ((True, (tmp_path / "saved.html").as_uri()),
                         (False, f"{lab.url}lab/tree/again.ipynb?reset")):  # fmt: skip
        context = browser.new_context(viewport={"width": 1400, "height": 900}, offline=offline)
        page = context.new_page()
        page.goto(url, wait_until="domcontentloaded")
        saved = page.locator("iframe.snpkit-saved")
        expect(saved).to_have_count(3)
        expect(saved.first).to_be_visible()
        stage = saved.first.content_frame
        expect(stage.locator(".note").first).to_contain_text("Saved without its kernel")
        stage.locator(".word").nth(1).hover()
        told = stage.locator(".told")
        second = stage.locator(".word").nth(1).inner_text()
        expect(told).to_contain_text(f"“{second}”")
        assert "Error displaying widget" not in page.locator("body").inner_text()
        Watch(page).picture(f"without-kernel-{'nbconvert' if offline else 'lab'}")
        context.close()


def test_a_kernel_that_is_gone_is_told(opened):
    opened.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    for name in NAMES:
        region = region_of(opened.page, name)
        expect(region.locator("> .note")).to_contain_text("The kernel is gone")
        assert region.locator(".fields input").count() == 0
    word = region_of(opened.page, "significance").locator(".word").nth(2)
    word.hover()  # what is there plays on
    told = region_of(opened.page, "significance").locator(".told")
    assert word.inner_text() in told.inner_text()
