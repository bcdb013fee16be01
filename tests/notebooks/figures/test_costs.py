"""Figures of cost: what they say in words, and what they refuse."""

import pytest

from figures import growth_curves, share_bars
from snpkit.errors import UserError

BATCHES = [8, 32, 128]
SQUARE = {"pairs": (BATCHES, [64, 1024, 16384]), "samples": (BATCHES, BATCHES)}


def draw_growth(series):
    return growth_curves(series, title="Growth", across="batch", along="passes")


def test_growth_says_where_each_line_begins_and_ends():
    figure = draw_growth(SQUARE)
    assert "over batch from 8 to 128" in figure.alt
    assert "pairs goes from 64 to 16,384" in figure.alt
    assert "samples goes from 8 to 128" in figure.alt


def test_a_square_is_drawn_twice_as_steep_as_a_line():
    (ax,) = draw_growth(SQUARE).axes
    pairs, samples = (ax.transData.transform(line.get_xydata()) for line in ax.lines[:2])

    def rise(points):
        return points[-1][1] - points[0][1]

    assert rise(pairs) == pytest.approx(2 * rise(samples))


def test_names_of_lines_that_end_together_do_not_touch():
    figure = draw_growth({"one": ([1, 2], [1, 4]), "other": ([1, 2], [2, 4.01])})
    figure.canvas.draw()
    first, second = (text.get_window_extent() for text in figure.axes[0].texts)
    assert not first.overlaps(second)


@pytest.mark.parametrize(
    "series",
    [{}, {"zero": ([1, 2], [0, 1])}, {"short": ([1], [1])}, {n: ([1, 2], [1, 2]) for n in "abcde"}],
)
def test_growth_that_cannot_be_drawn_is_refused(series):
    with pytest.raises(UserError, match="series"):
        draw_growth(series)


def test_shares_of_a_row_fill_its_bar():
    rows = {"batch 8": {"samples": 3.0, "pairs": 1.0}, "batch 64": {"samples": 1.0, "pairs": 3.0}}
    figure = share_bars(rows, title="A step")
    assert "batch 8: samples 75%, pairs 25%" in figure.alt
    ends = [bar.get_x() + bar.get_width() for bar in figure.axes[0].patches[-2:]]
    assert ends == pytest.approx([1, 1])


@pytest.mark.parametrize(
    "rows",
    [
        {},
        {"none": {"samples": 0.0}},
        {"one": {"samples": 1.0}, "other": {"pairs": 1.0}},
        {"less": {"samples": -1.0, "pairs": 3.0}},
        {"many": dict.fromkeys("abcdefg", 1.0)},
    ],
)
def test_shares_that_cannot_be_drawn_are_refused(rows):
    with pytest.raises(UserError):
        share_bars(rows, title="A step")
