"""The servers of the browser tests: nothing of the user's goes in, nobody is left behind."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.browser import servers

# Like a server with a kernel: a child that leads a session of its own.
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                         start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def test_the_end_of_a_server_is_the_end_of_its_kernels():
    process = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True)
    with process.stdout as said:
        child = psutil.Process(int(said.readline()))
        servers.end(process)
    assert process.poll() is not None
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux ends it for us")
def test_a_server_does_not_outlive_tests_that_are_killed(tmp_path):
    tests = """
import sys, time
from pathlib import Path
from tests.browser import servers
servers._wait = lambda process, *_: print(process.pid, flush=True)
with servers._server(Path(sys.argv[1]), ["-c", "import time; time.sleep(60)"], ""):
    time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", tests, str(tmp_path)], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    with process.stdout as said:
        server = psutil.Process(int(said.readline()))
        process.kill()
    process.wait()
    psutil.wait_procs([server], timeout=5)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


def test_a_server_that_dies_at_once_says_why(tmp_path):
    begun = time.monotonic()
    try:
        with servers._server(tmp_path, ["-c", "raise SystemExit('no port for {port}')"], "x"):
            raise AssertionError("it never answered")
    except RuntimeError as error:
        assert "no port for" in str(error)
    assert time.monotonic() - begun < servers.START_SECONDS / 2


def test_nothing_of_the_user_s_own_jupyter_is_seen(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_TOKEN", "secret")
    monkeypatch.setenv("JUPYTER_PATH", "/elsewhere")
    seen = servers.environment(tmp_path)
    assert "JUPYTER_TOKEN" not in seen and "JUPYTER_PATH" not in seen
    places = [seen[name] for name in seen if name.startswith(("JUPYTER", "IPYTHON"))]
    assert all(Path(place).is_relative_to(tmp_path) for place in places if "/" in place)
    assert seen["HOME"] == str(tmp_path)
