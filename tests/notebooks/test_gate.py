"""What every notebook of the course must be, read from the files as they are committed."""

import json
import re

import pytest

from tests.notebooks.course import FOLDER, PATHS, Notebook, is_compared

NOTEBOOKS = [Notebook(path) for path in PATHS]
each = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.path.stem)


def test_the_course_is_there():
    assert [path.stem for path in PATHS][:4] == [
        "01_patch_embedding",
        "02_shared_network",
        "03_word_significance",
        "04_pretraining",
    ]


def test_most_cells_are_compared_with_their_stored_output():
    cells = [cell for notebook in NOTEBOOKS for cell in notebook.code]
    compared = sum(map(is_compared, cells))
    print(f"{compared} of {len(cells)} code cells are compared: {compared / len(cells):.0%}")
    assert compared / len(cells) >= 0.60


@each
def test_every_cell_was_run_in_order_and_none_failed(notebook):
    assert [cell.execution_count for cell in notebook.code] == list(
        range(1, len(notebook.code) + 1)
    )
    kinds = {output.output_type for cell in notebook.code for output in cell.outputs}
    assert "error" not in kinds


@each
def test_outputs_and_cells_are_small(notebook):
    assert notebook.path.stat().st_size <= 2_000_000
    for cell in notebook.code:
        assert len(cell.source.splitlines()) <= 25, cell.source
        for output in cell.outputs:
            assert len(json.dumps(output)) <= 300_000, cell.source


@each
def test_stored_widgets_are_pictures_that_need_no_kernel(notebook):
    # Widget state without its models shows as an error; every page shows a picture instead.
    assert "widgets" not in notebook.content.metadata
    for cell in notebook.code:
        for output in cell.outputs:
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


@each
def test_every_picture_has_an_alt_text(notebook):
    for cell in notebook.code:
        for output in cell.outputs:
            data = output.get("data", {})
            for image in re.findall(r"<img[^>]*>", data.get("text/html", "")):
                assert re.search(r'alt="[^"]{15,}"', image), cell.source
            # A picture beside nothing else has no alt text anywhere.
            assert not ("image/png" in data and "text/html" not in data), cell.source
            for drawing in re.findall(r"<svg[^>]*>", data.get("text/html", "")):
                assert re.search(r'aria-label="[^"]{15,}"', drawing), cell.source


@each
def test_the_header_says_what_a_reader_wants_to_know(notebook):
    head = notebook.content.cells[0].source
    assert head.startswith("# ")
    for said in ("Goal", "You need", "minutes", "At the end"):
        assert said in head, f"{notebook.path.name}: the header does not say {said!r}."


@each
def test_links_lead_to_neighbours_and_to_files_that_are_there(notebook):
    stems = [other.path.stem for other in NOTEBOOKS]
    place = stems.index(notebook.path.stem)
    for neighbour in stems[max(place - 1, 0) : place] + stems[place + 1 : place + 2]:
        assert f"({neighbour}.ipynb)" in notebook.text
    for target in re.findall(r"\]\(([^)#:]+)\)", notebook.text):
        assert (FOLDER / target).exists(), target


@each
def test_one_setup_cell_comes_first_and_fetches_snpkit_on_colab(notebook):
    (setup,) = notebook.tagged("setup")
    assert setup is notebook.code[0]
    assert "google.colab" in setup.source


@each
def test_no_path_of_the_machine_that_ran_it_is_stored(notebook):
    assert not re.search(r"/(home|Users|root|work)/\w", notebook.path.read_text("utf-8"))
