"""Notebooks in JupyterLab and Voila: open, run, change the theme, save."""

from pathlib import Path

from tests.browser.servers import Server
from tests.browser.watching import Watch

KERNEL = 120_000  # milliseconds; a busy machine takes its time to import torch and load a model
# Voila's page asks for icons that no explorer needs, wherever it is served from.
VOILAS_OWN = "https://cdn.jsdelivr.net/npm/@fortawesome/fontawesome-free@"


def open_in_lab(watched: Watch, server: Server, notebook: str) -> None:
    """Open a notebook in JupyterLab, run all its cells, wait for the last one."""
    page = watched.page
    page.goto(f"{server.url}lab/tree/{notebook}?reset")
    page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext?.isReady")
    page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(
        """() => {
            const cells = jupyterapp.shell.currentWidget.content.model.cells;
            return [...cells].every(one => one.type !== 'code' || one.executionCount);
        }""",
        timeout=KERNEL,
    )
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    failed = page.locator("[data-mime-type='application/vnd.jupyter.error']")
    assert failed.count() == 0, failed.first.inner_text()


def use_theme(watched: Watch, name: str) -> None:
    """Change JupyterLab's theme to "light" or "dark"."""
    theme = f"JupyterLab {name.capitalize()}"
    page = watched.page
    page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
    light = str(name == "light").lower()
    page.locator(f"body[data-jp-theme-light='{light}']").wait_for(state="attached")
    page.locator("#jupyterlab-splash").wait_for(state="detached")


def save_in_lab(watched: Watch, server: Server, notebook: str) -> Path:
    """Save the notebook that is open; where the server keeps it."""
    watched.page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    return server.root / notebook


def open_in_voila(watched: Watch, server: Server, notebook: str) -> None:
    """Let Voila run a notebook and wait for its first widget."""
    watched.page.goto(f"{server.url}voila/render/{notebook}", timeout=KERNEL)
    watched.page.locator(".snpkit-live").first.wait_for(timeout=KERNEL)
