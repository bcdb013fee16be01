"""Layer 3: the explorers in Voila, by keyboard."""

import pytest

from tests.browser import by_hand
from tests.browser.checking import assert_every_control_is_reached_by_tab, assert_fits
from tests.browser.in_jupyter import VOILAS_OWN, open_in_voila
from tests.browser.watching import Watch, violations

pytestmark = pytest.mark.browser
USE = {
    "significance": by_hand.significance,
    "network": by_hand.network,
    "retrieval": by_hand.retrieval,
}


@pytest.fixture(scope="module")
def opened(voila, browser):
    context = browser.new_context(viewport={"width": 1000, "height": 3000})
    context.set_default_timeout(30_000)
    watched = Watch(context.new_page(), known=VOILAS_OWN)
    open_in_voila(watched, voila, "explorers.ipynb")
    yield watched
    context.close()


@pytest.fixture(params=by_hand.NAMES)
def name(request):
    return request.param


@pytest.fixture
def region(opened, name):
    yield by_hand.region_of(opened.page, name)
    opened.assert_quiet()


def test_every_explorer_is_accessible_fits_and_is_reached_by_tab(opened, region, name):
    assert_fits(region)
    assert violations(opened.page, region) == []
    assert_every_control_is_reached_by_tab(region)


def test_every_explorer_answers_to_the_keyboard(opened, region, name, tmp_path):
    USE[name](region, f"Voila, {name}")
    if name == "significance":
        page = by_hand.save(region, "Save HTML", tmp_path).read_text(encoding="utf-8")
        assert by_hand.CAPTION in page
    opened.picture(f"voila-{name}", region)


def test_hostile_captions_stay_text(opened, region, name):
    by_hand.hostile(region, name)
    opened.assert_harmless()
