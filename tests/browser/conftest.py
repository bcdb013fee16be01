"""One browser per file, and JupyterLab and Voila servers, for the tests of the widgets."""

import pytest

from tests.browser import servers
from tests.browser.leash import leashed
from tests.browser.watching import ARGUMENTS, Watch


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    with servers.jupyterlab(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="session")
def voila(tmp_path_factory):
    with servers.voila(tmp_path_factory.mktemp("voila")) as server:
        yield server


# Not for the session: while Playwright runs, no other test of this process can run an event loop.
@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        with leashed(60):
            browser.close()


@pytest.fixture
def watch(browser):
    """Open watched pages; each call gives one, in a fresh profile, closed after the test."""
    contexts = []

    def open_page(**options):
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(30_000)
        return Watch(contexts[-1].new_page())

    yield open_page
    for context in contexts:
        context.close()
