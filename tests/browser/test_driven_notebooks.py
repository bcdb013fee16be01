"""Layer 2: notebook cells drive each explorer, and nbval sees when a callback is broken."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.browser.servers import NOTEBOOKS

EXPLORERS = {
    "significance": "SignificanceExplorer",
    "network": "SharedNetworkExplorer",
    "retrieval": "RetrievalExplorer",
}


def nbval(folder: Path) -> tuple[int, dict[str, set[int]], str]:
    """Run the notebooks of a folder; per notebook the cells (from 0) that differ or raise."""
    options = ["--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "-p", "no:xdist",
               "-c", os.devnull, "--rootdir", str(folder), "-q", "-rf"]  # fmt: skip
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)], cwd=folder, timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}, capture_output=True, text=True,
    )  # fmt: skip
    failed: dict[str, set[int]] = {}
    for notebook, cell in re.findall(r"^FAILED (\w+)\.ipynb::Cell (\d+)", found.stdout, re.M):
        failed.setdefault(notebook, set()).add(int(cell))
    return found.returncode, failed, found.stdout + found.stderr


def test_the_committed_notebooks_say_what_the_explorers_do(tmp_path):
    for name in EXPLORERS:
        shutil.copy(NOTEBOOKS / f"{name}.ipynb", tmp_path)
    code, failed, said = nbval(tmp_path)
    assert (code, failed) == (0, {}), said[-5000:]


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_committed_notebooks_show_something_in_every_cell(name):
    first, *others = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    assert not first.outputs
    for cell in others:
        (output,) = cell.outputs  # one stream of text: nothing that nbval passes over
        assert output.name == "stdout" and output.text.strip(), cell.source
        assert "nbval" not in "".join(cell.metadata.get("tags", []))


def test_a_broken_callback_fails_the_notebook_that_drives_it(tmp_path):
    """All three in one kernel, to save time; each explorer no longer redraws."""
    whole = nbformat.v4.new_notebook()
    parts: dict[str, range] = {}
    for name, explorer in EXPLORERS.items():
        cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
        cells[0].source += f"\n{explorer}.redraw = lambda self, names: None\n"
        if name == "retrieval":  # its first search is a redraw: that one may still happen
            cells[0].source = cells[0].source.replace(
                "lambda self, names: None",
                "lambda self, names, draw=RetrievalExplorer.redraw: names or draw(self, names)",
            )
        parts[name] = range(len(whole.cells) + 1, len(whole.cells) + len(cells))
        whole.cells += cells
    nbformat.write(whole, tmp_path / "broken.ipynb")
    code, failed, said = nbval(tmp_path)
    assert code == 1, said[-5000:]
    for name, cells in parts.items():
        assert failed["broken"] & set(cells), f"{name}: no cell noticed\n{said[-3000:]}"
    assert not failed["broken"] - {cell for cells in parts.values() for cell in cells}
