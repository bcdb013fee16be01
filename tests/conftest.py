"""What every test shares: a quiet, repeatable CPU, hypothesis settings, and the browser rule."""

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

ON_CI = os.environ.get("CI") == "true"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# A shell that starts the tests in the background hands Ctrl-C down as ignored, and every program
# inherits that; the tests of Ctrl-C need it to work.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Indices of folders that tests search go into a folder of this run, not into the user's cache.
if "SNPKIT_CACHE" not in os.environ:  # workers take the folder of the process that started them
    os.environ["SNPKIT_CACHE"] = tempfile.mkdtemp(prefix="snpkit-cache-")
    atexit.register(shutil.rmtree, os.environ["SNPKIT_CACHE"], ignore_errors=True)

# Denormals slow a CPU down many times over, and more threads than cores do so too when tests run
# side by side. One thread also makes sums come out the same on every machine, and in every process:
# whoever trains, here or in a process that a test starts, takes the number from the environment.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_flush_denormal(True)
torch.set_num_threads(1)

# No deadline: a busy machine is no failure. CI tries the same examples every time, so that a red
# run can be repeated; at home new examples are tried.
settings.register_profile("snpkit", deadline=None, derandomize=ON_CI, print_blob=True)
settings.load_profile("snpkit")


def find_chromium() -> str | None:
    """Path of a Chromium to drive: SNPKIT_CHROMIUM, else the first one on PATH, else None."""
    named = os.environ.get("SNPKIT_CHROMIUM")
    return named or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # A test that leaves two of them behind would make a later one, which compares its process with
    # a fresh one, fail in the last digits.
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser for tests marked `browser`: missing, it skips at home, fails in CI."""
    path = find_chromium()
    if path is None:
        sentence = "No Chromium found; install it or set SNPKIT_CHROMIUM to its path."
        (pytest.fail if ON_CI else pytest.skip)(sentence)
    return path


@pytest.fixture(autouse=True)
def _browser_rule(request: pytest.FixtureRequest) -> Iterator[None]:
    # A test that carries the mark but forgets the fixture obeys the same rule.
    if not request.node.get_closest_marker("browser"):
        yield
        return
    from tests.browser.leash import leashed

    request.getfixturevalue("chromium")
    with leashed():
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # A browser that dies on a busy machine says nothing of our pages: once more, for this alone.
    again = pytest.mark.flaky(reruns=1, only_rerun=["TargetClosedError"])
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(again)
