"""A page that waits for ever costs a test, not the whole run."""

import time

import pytest

from tests.browser.leash import leashed

pytestmark = pytest.mark.browser


def test_a_page_that_never_answers_is_an_error(chromium):
    from playwright.sync_api import Error, sync_playwright

    begun = time.monotonic()
    with sync_playwright() as playwright, leashed(3):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with pytest.raises(Error, match=r"closed|crashed"):
            browser.new_page().evaluate("new Promise(() => {})")
        assert not browser.is_connected()
        browser.close()
    assert 2 < time.monotonic() - begun < 60
