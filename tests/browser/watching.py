"""A page of the browser that remembers everything that it should not have said, asked or done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT

ARTEFACTS = Path(__file__).parents[2] / "test-artefacts" / "browser"
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-sync", "--disable-background-networking", "--disable-component-update",
    # Nothing but this machine has an address: what slips through the watch gets nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
LOCAL = ("data:", "blob:", "file:", "about:", "http://127.0.0.1:", "ws://127.0.0.1:")
# Captions that try to become elements, and what must never come of them.
HOSTILE = ("red <img src=x onerror=alert(1)> kite", "red <script>alert(1)</script> kite")
_HOSTILE_ELEMENTS = "img[src='x'], img[src$='/x'], [onerror], [onload='alert(1)']"


class Watch:
    """What a page said (errors, dialogs) and asked for, from its first moment on."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.dialogs: list[str] = []
        self.outside: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self._request(request.url))
        page.on("websocket", lambda socket: self._request(socket.url))
        page.on("requestfailed", self._failed)
        page.on("response", self._response)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} [{message.location.get('url', '')}]")

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _request(self, url: str) -> None:
        self.requests.append(url)
        if not url.startswith(LOCAL):
            self.outside.append(url)

    def _failed(self, request: Any) -> None:
        # A page that is left gives up what it was loading: no fault of anybody's.
        if request.failure != "net::ERR_ABORTED":
            self.errors.append(f"{request.failure}: {request.url}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.errors.append(f"{response.status}: {response.url}")

    def assert_quiet(self, known: Callable[[str], bool] = lambda error: False) -> None:
        """No error, no dialog, nothing from outside.

        Args:
            known: errors of the surroundings that are not the widget's.
        """
        errors = [error for error in self.errors if not known(error)]
        assert not errors, "\n".join(errors)
        assert not self.dialogs, self.dialogs
        assert not self.outside, self.outside

    def assert_harmless(self) -> None:
        """Nothing of `HOSTILE` became an element, and no dialog came up."""
        assert not self.dialogs, self.dialogs
        assert self.page.locator(_HOSTILE_ELEMENTS).count() == 0
        scripts = "[...document.scripts].filter(s => /^\\s*alert\\(/.test(s.textContent)).length"
        assert self.page.evaluate(scripts) == 0

    def picture(self, name: str, of: Any = None) -> None:
        """Keep a screenshot for people to look at."""
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        target = self.page if of is None else of
        more = {"full_page": True} if of is None else {}
        target.screenshot(path=ARTEFACTS / f"{name}.png", **more)


def violations(page: Any, region: str | None = None, off: tuple[str, ...] = ()) -> list[str]:
    """Serious and critical findings of axe-core, one line each.

    Args:
        region: CSS selector of what is checked; None = the whole page.
        off: rules that the region cannot answer for.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    options = {
        "resultTypes": ["violations"],
        "preload": False,
        "rules": {rule: {"enabled": False} for rule in off},
    }
    script = "async ([region, options]) => await axe.run(region || document, options)"
    found = page.evaluate(script, [region, options])["violations"]
    return [
        f"{one['impact']} {one['id']}: {one['help']}: {node['html'][:160]} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
