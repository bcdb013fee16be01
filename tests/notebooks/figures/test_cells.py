"""Cells of a grid: fields, positions and windows show the numbers that they were given."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from figures import position_similarity, receptive_fields, window_partition
from snpkit.errors import UserError
from snpkit.explore.plots import to_png, to_svg
from snpkit.explore.plots.style import ORANGE


def test_a_receptive_field_is_measured_and_framed():
    seen = torch.zeros(10, 12)
    seen[2:5, 3:9] = 0.5
    figure = receptive_fields({"a": seen, "none": torch.zeros(10, 12)}, {"a": (2, 4, 2, 2)})
    ax, empty = figure.axes
    framed = [
        (p.get_xy(), p.get_width(), p.get_height())
        for p in ax.patches
        if to_hex(p.get_edgecolor()) == ORANGE
    ]
    assert framed == [((3.5, 1.5), 2, 2), ((2.5, 1.5), 6, 3)]
    assert not empty.patches
    assert figure.alt.endswith("a sees 6 x 3 of 12 x 10 pixels; none sees 0 x 0 of 12 x 10 pixels.")
    for wrong in (torch.zeros(3), -torch.ones(2, 2)):
        with pytest.raises(UserError, match="receptive field"):
            receptive_fields({"a": wrong}, {})
    with pytest.raises(UserError, match="no receptive field"):
        receptive_fields({}, {})


def test_a_large_field_is_drawn_small_and_told_in_full():
    seen = torch.zeros(224, 224)
    seen[100:103, 7] = 1.0
    figure = receptive_fields({"a": seen}, {})
    drawn = figure.axes[0].images[0].get_array()
    assert drawn.shape == (56, 56)
    assert np.argwhere(drawn > 0).tolist() == [[25, 1]]
    assert "a sees 1 x 3 of 224 x 224 pixels" in figure.alt


def test_shared_scale_compares_panels():
    strong, weak = torch.full((4, 4), 4.0), torch.full((4, 4), 1.0)
    for shared, value in ((True, 0.56), (False, 1.0)):
        figure = receptive_fields({"a": strong, "b": weak}, {}, shared=shared)
        assert figure.axes[1].images[0].get_array().max() == pytest.approx(value)


def test_positions_are_compared_by_cosine():
    space = torch.eye(4).reshape(2, 2, 4)
    space[1, 1] = 3 * space[0, 0]  # the length does not count
    time = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    figure = position_similarity(space, time)
    sheet = figure.axes[0].images[0].get_array()
    assert sheet[:2, :2].tolist() == [[1, 0], [0, 1]]  # the tile of the first cell
    assert np.isnan(sheet.astype(float).filled(np.nan)[2]).all()  # the gap between tiles
    numbers = [text.get_text() for text in figure.axes[1].texts]
    assert numbers == ["1.00", "0.71", "0.00", "0.71", "1.00", "0.71", "0.00", "0.71", "1.00"]
    # Of the pairs that share no edge, half are the two equal corners.
    assert "neighbours 0.00 on average, other cells 0.50" in figure.alt
    assert "first with second 0.71, first with last 0.00" in figure.alt


def test_windows_are_numbered_and_parted_by_lines():
    halves = np.zeros((1, 2, 4), dtype=int)
    halves[:, :, 2:] = 1
    figure = window_partition({"halves": halves, "rows": np.arange(8).reshape(2, 4, 1) // 2})
    ax = figure.axes[0]
    assert [(text.get_text(), text.get_position()[0]) for text in ax.texts] == [("0", 1), ("1", 3)]
    assert [list(line.get_xdata()) for line in ax.lines] == [[2, 2], [2, 2]]
    tints = [to_hex(p.get_facecolor()) for p in ax.patches if isinstance(p, Rectangle)]
    assert tints[0] == tints[1] != tints[2]
    assert not figure.axes[1].axison  # the shorter partition has no second time
    assert "halves: 2 groups of 4 cells; rows: 4 groups of 2 cells" in figure.alt


@pytest.mark.filterwarnings("error")
def test_all_draw_as_png_and_svg_whatever_the_names(nasty, parse):
    name = " ".join(nasty[:4])
    figures = [
        receptive_fields({name: torch.ones(4, 4)}, {name: (0, 0, 2, 2)}),
        position_similarity(torch.ones(1, 2, 3), torch.ones(1, 3)),
        window_partition({name: np.zeros((2, 2, 2), dtype=int)}),
    ]
    for figure in figures:
        assert to_png(figure, 1)
        parse(to_svg(figure, "s"))
