"""JupyterLab and Voila as subprocesses of the tests, ended with their kernels."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

NOTEBOOKS = Path(__file__).parent / "notebooks"
START_SECONDS = 90
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of linux/prctl.h
# What asks the outside world or the file system for things that no test needs.
_DISABLED = (
    "@jupyterlab/apputils-extension:announcements",
    "@jupyterlab/extensionmanager-extension",
)


@dataclass(frozen=True)
class Server:
    """A running server: where it answers, what it serves, what it has said."""

    url: str
    root: Path
    log: Path


def environment(home: Path) -> dict[str, str]:
    """An environment in which Jupyter finds nothing of the user's and leaves nothing with them."""
    theirs = ("JUPYTER", "VOILA", "PYTEST")
    outer = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    places = {
        name: str(home / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
                     "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    }  # fmt: skip
    own = {"HOME": str(home), "OMP_NUM_THREADS": "1", "JUPYTER_PLATFORM_DIRS": "0"}
    # These tests' own machine may be offline; the hub must not be asked on the others either.
    return outer | places | own | {"HF_HUB_OFFLINE": "1", "no_proxy": "*"}


@contextmanager
def jupyterlab(home: Path) -> Iterator[Server]:
    """JupyterLab over a copy of the notebooks, without token, news, or extension manager."""
    config = Path(environment(home)["JUPYTER_CONFIG_DIR"])
    disabled = {"disabledExtensions": dict.fromkeys(_DISABLED, True)}
    _write(config / "labconfig/page_config.json", disabled)
    settings = Path(environment(home)["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab"
    # Cells out of sight stay in the page, so that they can be looked for.
    _write(settings / "notebook-extension/tracker.jupyterlab-settings", {"windowingMode": "none"})
    options = [
        "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser",
        "--ServerApp.allow_root=True", "--ServerApp.ip=127.0.0.1", "--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.root_dir={root}", "--IdentityProvider.token=", "--ServerApp.password=",
        "--ServerApp.terminals_enabled=False", "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with _server(home, options, "api/status") as server:
        yield server


@contextmanager
def voila(home: Path) -> Iterator[Server]:
    """Voila over a copy of the notebooks."""
    options = [
        "-m", "voila", "--no-browser", "--Voila.ip=127.0.0.1", "--port={port}",
        "--Voila.port_retries=0", "--show_tracebacks=True", "{root}",
    ]  # fmt: skip
    with _server(home, options, "voila/static/voila.js") as server:
        yield server


def _write(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@contextmanager
def _server(home: Path, options: list[str], probe: str) -> Iterator[Server]:
    """A server that answers; the whole family is gone afterwards."""
    root, log = home / "root", home / "server.log"
    shutil.copytree(NOTEBOOKS, root)
    port = _free_port()
    command = [sys.executable, *(o.format(port=port, root=root) for o in options)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=root, env=environment(home), stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_leashed(),
        )  # fmt: skip
    server = Server(f"http://127.0.0.1:{port}/", root, log)
    try:
        _wait(process, server, probe)
        yield server
    finally:
        end(process)


def _leashed() -> Callable[[], object] | None:
    """On Linux: what a new process calls to be ended by the kernel when the tests are killed."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl  # looked up before the fork, where little is allowed
    return lambda: prctl(_DIE_WITH_PARENT, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(process: subprocess.Popen, server: Server, probe: str) -> None:
    end = time.monotonic() + START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end and process.poll() is None:
        try:
            opener.open(server.url + probe, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # it answers, if only to say that there is no such page
        except OSError:
            time.sleep(0.1)
    said = server.log.read_text(encoding="utf-8", errors="replace")[-3000:]
    raise RuntimeError(f"{server.url} did not answer within {START_SECONDS} s. It said:\n{said}")


def end(process: subprocess.Popen) -> None:
    """Ask the server to end, which ends its kernels; of the whole family, nobody is left after."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    process.kill()
    for member in family:  # kernels lead sessions of their own: no signal to a group finds them
        with suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait(timeout=10)
