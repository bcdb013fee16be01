"""Run notebooks of the course anew and store their outputs, in the form that the tests ask for.

    python -m tests.notebooks.execute notebooks/05_downstream_tasks.ipynb

A notebook whose cells fail is left as it is.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from snpkit.files import write_text

# Widget state without its models shows as an error; the explorers bring a page of themselves.
_WIDGET = "application/vnd.jupyter.widget-view+json"
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def execute(path: Path, timeout: float = 600) -> None:
    """Run all cells in the notebook's own folder; write the file whole, or not at all.

    Raises:
        CellExecutionError: a cell failed; the file is as it was.
    """
    content = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    # What a cell prints in several flushes is one output: how many depends on the clock.
    options = {"kernel_name": "python3", "coalesce_streams": True, "resources": resources}
    NotebookClient(content, timeout=timeout, **options).execute()
    content.metadata = {"kernelspec": _KERNEL, "language_info": {"name": "python"}}
    for cell in content.cells:
        cell.metadata.pop("execution", None)  # times, which differ in every run
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(_WIDGET, None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("data") != {}]
    nbformat.validate(content)
    write_text(path, nbformat.writes(content) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        try:
            execute(Path(name))
        except CellExecutionError as error:
            sys.exit(f"{name}: {error}")
        print(f"{name}: every cell run and stored")
