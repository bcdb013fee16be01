"""The explorers in Voila: two sessions side by side, each with its own state."""

import pytest
from playwright.sync_api import expect

from tests.browser.checking import assert_fits
from tests.browser.in_jupyter import VOILAS_OWN, open_in_voila
from tests.browser.watching import Watch, violations

pytestmark = pytest.mark.browser


def test_two_sessions_do_not_meet(voila, browser):
    sessions = []
    for _ in range(2):
        context = browser.new_context(viewport={"width": 900, "height": 900})
        context.set_default_timeout(30_000)
        watched = Watch(context.new_page(), known=VOILAS_OWN)
        open_in_voila(watched, voila, "explorers.ipynb")
        sessions.append((context, watched))
    regions = [watched.page.locator(".snpkit-live").first for _, watched in sessions]
    before = regions[1].locator(".sentence").text_content()
    field = regions[0].locator("[name=caption]")
    field.fill("a red kite falls over the beach")
    sentence = regions[0].locator(".sentence")
    expect(sentence).to_have_text("a red kite falls over the beach", timeout=30_000)
    assert regions[1].locator(".sentence").text_content() == before
    for place, (context, watched) in enumerate(sessions):
        assert_fits(regions[place])
        assert violations(watched.page, regions[place]) == []
        watched.picture(f"voila-{place}", regions[place])
        watched.assert_quiet()
        context.close()
