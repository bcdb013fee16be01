"""A browser that no longer answers is ended, so that a call that waits for it fails.

Playwright has calls without a limit (evaluate, new_page, close). They wait in an event loop of its
own: a time limit of pytest breaks that loop, and then the clean-up waits for the broken loop, for
ever. A browser that dies is an ordinary error to all of them.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

SECONDS = 240.0  # for one test; the longest takes a minute on a busy machine


@contextmanager
def leashed(seconds: float = SECONDS) -> Iterator[None]:
    """After so many seconds inside, the browsers that this process has started are ended."""
    timer = threading.Timer(seconds, end_browsers)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def end_browsers() -> list[str]:
    """Kill every Chromium below this process; the names of what was killed."""
    ended = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "chrom" in process.name():
                process.kill()
                ended.append(process.name())
    return ended
