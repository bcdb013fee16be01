"""nbval is a real test: one library constant changed, and the notebook that shows it fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import snpkit
from snpkit.data.samples import samples_folder
from tests.notebooks.course import FOLDER, SANITIZE, Notebook

NOTEBOOK = FOLDER / "03_word_significance.ipynb"
NEEDED = {"setup", "quota-needs", "quota"}  # the cells that show the mask quota, self-contained
TRUE, CHANGED = "ratio: float = 0.15", "ratio: float = 0.2"


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """The notebook's cells about the quota, as they are committed, in a notebook of their own."""
    content = nbformat.read(NOTEBOOK, as_version=4)
    content.cells = [c for c in content.cells if NEEDED & set(c.metadata.get("tags", []))]
    path = tmp_path_factory.mktemp("short") / "quota.ipynb"
    nbformat.write(content, path)
    return path


@pytest.fixture
def mutated(tmp_path):
    """A copy of the library that hides a fifth of the tokens where it should hide 15 %."""
    copy = tmp_path / "snpkit"
    shutil.copytree(Path(snpkit.__file__).parent, copy, ignore=shutil.ignore_patterns("*.pyc"))
    masking = copy / "language" / "masking.py"
    source = masking.read_text("utf-8")
    assert TRUE in source
    masking.write_text(source.replace(TRUE, CHANGED), "utf-8")
    return tmp_path


def nbval(path, library=None):
    """Run nbval on a notebook, with the library of this folder if one is given."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "SNPKIT_SAMPLES": str(samples_folder())}
    # The kernel starts in the notebook's folder; PYTHONPATH goes before what is installed.
    # The exercises and drawings of the course stand beside the notebook that this one is cut from.
    places = [library or Path(snpkit.__file__).parents[1], FOLDER]
    variables["PYTHONPATH"] = os.pathsep.join(map(str, places))
    plain = ["-p", "no:cacheprovider", "-q", "-c", os.devnull, "--rootdir", str(path.parent)]
    options = ["--nbval", "--nbval-current-env", "--nbval-sanitize-with", str(SANITIZE)]
    command = [sys.executable, "-m", "pytest", *plain, *options, path.name]
    return subprocess.run(
        command, env=variables, cwd=path.parent, capture_output=True, text=True, timeout=240
    )


def test_the_cells_about_the_quota_show_it():
    shown = [cell.outputs[0].text for cell in Notebook(NOTEBOOK).tagged("quota")]
    assert "15%" in "".join(shown)
    assert len(shown) >= 2


def test_they_pass_with_the_library_as_it_is(short):
    done = nbval(short)
    assert done.returncode == 0, done.stdout


def test_another_quota_makes_them_fail(short, mutated):
    done = nbval(short, mutated)
    assert done.returncode == 1, done.stdout
    cells = len(Notebook(NOTEBOOK).tagged("quota"))
    assert f"{cells} failed" in done.stdout  # each cell that shows it, and no other
    # Not for want of the library: the cell ran and said another number.
    assert "the quota: 20%" in done.stdout
    assert "Cell execution caused an exception" not in done.stdout
