"""Layer 3: the explorers in JupyterLab, by keyboard, in both themes, and saved without a kernel."""

import pytest

from tests.browser import by_hand
from tests.browser.checking import assert_every_control_is_reached_by_tab, assert_fits
from tests.browser.in_jupyter import open_in_lab, save_in_lab, use_theme
from tests.browser.watching import ARTEFACTS, Watch, violations

pytestmark = pytest.mark.browser
NOTEBOOK = "explorers.ipynb"
EXPLORERS = pytest.mark.parametrize("name", by_hand.NAMES)


@pytest.fixture(scope="module")
def opened(lab, browser):
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    context.set_default_timeout(30_000)
    watched = Watch(context.new_page())
    open_in_lab(watched, lab, NOTEBOOK)
    yield watched
    context.close()


@pytest.fixture
def watched(opened):
    yield opened
    opened.assert_quiet()


@EXPLORERS
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_explorer_is_accessible_and_fits_in_both_themes(watched, theme, name):
    use_theme(watched, theme)
    region = by_hand.region_of(watched.page, name)
    watched.page.set_viewport_size({"width": 1000, "height": 3000})  # the whole explorer is seen
    region.scroll_into_view_if_needed()
    watched.picture(f"lab-{name}-{theme}", region)
    assert_fits(region)
    assert violations(watched.page, region) == []


@EXPLORERS
def test_tab_reaches_every_control(watched, name):
    assert_every_control_is_reached_by_tab(by_hand.region_of(watched.page, name))


def test_significance_by_keyboard(watched, tmp_path):
    region = by_hand.region_of(watched.page, "significance")
    by_hand.significance(region, "JupyterLab")
    for button, check in (("CSV", b"word,"), ("PNG", b"\x89PNG"), ("HTML", b"<!doctype html>")):
        saved = by_hand.save(region, f"Save {button}", tmp_path)
        assert check in saved.read_bytes()[:100].lower() or check in saved.read_bytes()[:100]
    watched.picture("lab-significance-used", region)


def test_network_by_keyboard(watched):
    region = by_hand.region_of(watched.page, "network")
    by_hand.network(region, "JupyterLab")
    watched.picture("lab-network-used", region)


def test_retrieval_by_keyboard(watched):
    region = by_hand.region_of(watched.page, "retrieval")
    by_hand.retrieval(region, "JupyterLab")
    watched.picture("lab-retrieval-used", region)


@EXPLORERS
def test_hostile_captions_stay_text(watched, name):
    region = by_hand.region_of(watched.page, name)
    by_hand.hostile(region, name)
    watched.picture(f"lab-{name}-hostile", region)
    watched.assert_harmless()


@EXPLORERS
def test_the_notebook_leaves_the_keys_to_the_explorer(watched, name):
    cells = "[...jupyterapp.shell.currentWidget.content.model.cells].map(cell => cell.id)"
    before = watched.page.evaluate(cells)
    by_hand.keys_that_are_the_notebooks(by_hand.region_of(watched.page, name))
    assert watched.page.evaluate(cells) == before


def test_the_saved_notebook_shows_pictures_without_a_kernel(watched, lab, browser, tmp_path):
    from nbconvert import HTMLExporter

    html, _ = HTMLExporter().from_filename(str(save_in_lab(watched, lab, NOTEBOOK)))
    path = tmp_path / "saved.html"
    path.write_text(html, encoding="utf-8")
    context = browser.new_context(offline=True, viewport={"width": 1000, "height": 900})
    page = context.new_page()
    page.goto(path.as_uri(), wait_until="domcontentloaded")
    outputs = page.locator(".jp-OutputArea-output")
    assert outputs.count() == len(by_hand.NAMES)
    for place, name in enumerate(by_hand.NAMES):
        images = outputs.nth(place).locator("img")
        wide = "all => Promise.all(all.map(i => i.decode().then(() => i.naturalWidth)))"
        assert images.count() and min(images.evaluate_all(wide)) > 0, name
        assert all(images.evaluate_all("all => all.map(image => image.alt)")), name
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / "saved-notebook.png", full_page=True)
    context.close()
