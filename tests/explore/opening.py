"""A self-contained page in a real browser: from disk, without a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser.leash import leashed

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-sync", "--disable-background-networking", "--disable-component-update",
]  # fmt: skip


@contextmanager
def opened(path: Path, chromium: str, profile: Path, width: int, scheme: str) -> Iterator[Any]:
    """The page, which says nothing, asks for nothing, shows its pictures and fits its width."""
    from playwright.sync_api import sync_playwright

    said, asked = [], []
    with sync_playwright() as playwright, leashed():
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=ARGUMENTS, offline=True,
            viewport={"width": width, "height": 900}, color_scheme=scheme,
        )  # fmt: skip
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        loaded = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
        assert page.evaluate(loaded)
        yield page
        browser.close()
    assert not said
    assert all(url.startswith(("file:", "data:")) for url in asked)
