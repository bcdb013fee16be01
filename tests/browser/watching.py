"""A page of the browser that remembers everything that it should not have said, asked or done."""

import re
from pathlib import Path
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Error as PlaywrightError

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
    """What a page said (errors, dialogs) and asked for, from its first moment on.

    Args:
        known: start of addresses outside that the surroundings ask for, not the explorers; that
            they get no answer is no error.
    """

    def __init__(self, page: Any, known: str | None = None) -> None:
        self.page, self.known = page, known
        self.errors: list[str] = []
        self.dialogs: list[str] = []
        self.outside: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self._request(request.url))
        page.on("websocket", self._websocket)
        page.on("requestfailed", self._failed)
        page.on("response", self._response)

    def _console(self, message: Any) -> None:
        url = message.location.get("url", "")
        if message.type == "error" and not self._is_known(url):
            self.errors.append(f"{message.text} [{url}]")

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _request(self, url: str) -> None:
        self.requests.append(url)
        if not url.startswith(LOCAL) and not self._is_known(url):
            self.outside.append(url)

    def _websocket(self, socket: Any) -> None:
        self._request(socket.url)
        socket.on("framereceived", self._frame)

    def _frame(self, frame: str | bytes) -> None:
        # What a callback in the kernel raises arrives as a message that no page shows.
        text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
        if re.search(r'"msg_type": ?"error"', text):
            plain = re.sub(r"\\u001b\[[\d;]*m", "", text).replace("\\n", "\n")
            self.errors.append(f"raised in the kernel: {plain[-3000:]}")

    def _is_known(self, url: str) -> bool:
        return self.known is not None and url.startswith(self.known)

    def _failed(self, request: Any) -> None:
        # A page that is left gives up what it was loading: no fault of anybody's.
        if request.failure != "net::ERR_ABORTED" and not self._is_known(request.url):
            self.errors.append(f"{request.failure}: {request.url}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.errors.append(f"{response.status}: {response.url}")

    def assert_quiet(self) -> None:
        """No error, no dialog, nothing asked of the outside."""
        assert not self.errors, "\n".join(self.errors)
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
        path = ARTEFACTS / f"{name}.png"
        try:
            target.screenshot(path=path, **more)
        except PlaywrightError:  # Chromium on a busy machine now and then fails to draw: once more
            self.page.wait_for_timeout(500)
            target.screenshot(path=path, **more)


def violations(page: Any, region: Any = None) -> list[str]:
    """Serious and critical findings of axe-core, one line each; no rule is switched off.

    Args:
        region: locator of what is checked; None = the whole page.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    whole = page.locator(":root") if region is None else region
    options = {"resultTypes": ["violations"], "preload": False}
    found = whole.evaluate("(node, options) => axe.run(node, options)", options)["violations"]
    return [
        f"{one['impact']} {one['id']}: {one['help']}: {node['html'][:160]} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
