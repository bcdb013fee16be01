"""Scaling curves: what is drawn, and what the alt text says."""

import pytest

from snpkit.errors import UserError
from snpkit.explore.plots import to_png, to_svg
from tests.benchmarks.scaling import Curve
from tests.benchmarks.scaling_figure import scaling_curves


def curves():
    return [
        Curve("captions of a batch", [4, 8], [(0.1, 0.09, 0.2), (0.4, 0.35, 0.5)], [0.1, 0.3]),
        Curve("layers", [1, 2], [(1.0, 1.0, 1.0), (2.0, 2.0, 2.0)], [1.1, 2.0]),
    ]


def test_points_line_and_alt_text_say_what_was_measured():
    figure = scaling_curves(curves(), "a machine")
    first, second = figure.axes
    line = first.lines[0]
    assert [*line.get_xdata()] == [4, 8] and [*line.get_ydata()] == [0.1, 0.3]
    points = first.containers[0].lines[0]
    assert points.get_ydata().tolist() == [0.1, 0.4]
    low, high = second.get_ylim()
    assert low < 0.09 and high > 2  # one scale for all panels
    assert "Over captions of a batch from 4 to 8" in figure.alt
    assert "from 0.1 to 0.4 seconds, the cost model at most 25% away" in figure.alt
    assert figure._suptitle.get_text() == "a machine"
    assert to_png(figure, 1) and "<svg" in to_svg(figure, "s")


def test_nothing_to_draw_is_a_mistake():
    with pytest.raises(UserError, match="no curve"):
        scaling_curves([])
