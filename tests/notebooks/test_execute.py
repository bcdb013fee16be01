"""Notebooks are stored as the gate wants them, or left alone when a cell fails."""

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from tests.notebooks.execute import execute


def notebook(path, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_outputs_are_stored_in_order_without_times_and_without_widget_views(tmp_path):
    shown = (
        "class Shown:\n"
        "    def _repr_mimebundle_(self, **_):\n"
        "        return {'text/plain': 'a picture',\n"
        "                'application/vnd.jupyter.widget-view+json': {'model_id': 'x'}}\n"
        "Shown()"
    )
    path = notebook(tmp_path / "a.ipynb", "import os; print(os.path.basename(os.getcwd()))", shown)
    execute(path)
    content = nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in content.cells] == [1, 2]
    assert content.cells[0].outputs[0].text.strip() == tmp_path.name
    assert content.cells[1].outputs[0].data == {"text/plain": "a picture"}
    assert set(content.metadata) == {"kernelspec", "language_info"}
    assert all(not cell.metadata for cell in content.cells)


def test_a_failing_cell_leaves_the_file_as_it_was(tmp_path):
    path = notebook(tmp_path / "a.ipynb", "print(1)", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(path)
    assert path.read_bytes() == before
