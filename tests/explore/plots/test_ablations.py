"""Curves and paired differences of an ablation: what goes in is what is drawn."""

import pytest
from matplotlib.colors import same_color

from snpkit.errors import UserError
from snpkit.explore.plots import Curve, Difference, learning_curves, paired_differences, to_png
from snpkit.explore.plots.style import BLUE, MUTED, RED

CURVES = {
    "easy": {"SNP": Curve([1, 2], [10.0, 30.0], [1.0, 2.0]), "twin": Curve([1, 2], [5, 9], [0, 0])},
    "hard": {"SNP": Curve([1, 2], [4.0, 8.0], [0.5, 0.5])},
}


def test_curves_carry_their_values_and_their_band():
    figure = learning_curves(CURVES)
    easy, hard = figure.axes
    assert easy.get_title("left") == "easy" and hard.get_title("left") == "hard"
    assert easy.lines[0].get_ydata().tolist() == [10, 30]
    heights = easy.collections[0].get_paths()[0].vertices[:, 1]
    assert {9.0, 11.0, 28.0, 32.0} <= set(heights.tolist())
    # The same row looks the same in every panel, and two rows differ in more than colour.
    assert easy.lines[0].get_color() == hard.lines[0].get_color()
    assert easy.lines[0].get_marker() != easy.lines[1].get_marker()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["SNP", "twin"]
    assert "hard: SNP from 4.0 to 8.0 (± 0.5)" in figure.alt
    assert to_png(figure)


def test_differences_carry_mean_interval_and_seeds():
    rows = [
        Difference("better", 3.0, 1.0, 5.0, [2.0, 4.0]),
        Difference("worse", -3.0, -5.0, -1.0, [-2.0, -4.0]),
        Difference("open", 1.0, -1.0, 3.0, [0.0, 2.0]),
        Difference("one seed", 2.0, None, None, [2.0]),
    ]
    figure = paired_differences({"easy": rows, "hard": rows[:1]}, baseline="SNP", note="at once")
    easy = figure.axes[0]
    assert [text.get_text() for text in easy.get_yticklabels()] == [one.name for one in rows]
    spans = [line for line in easy.lines if line.get_linewidth() == 1.8]
    drawn = [list(line.get_xdata()) for line in spans]
    assert drawn == [[1.0, 5.0], [-5.0, -1.0], [-1.0, 3.0]]
    assert [list(line.get_ydata()) for line in spans] == [[0, 0], [1, 1], [2, 2]]
    for line, colour in zip(spans, (BLUE, RED, MUTED), strict=True):
        assert same_color(line.get_color(), colour)
    assert "better +3.0 (+1.0 to +5.0)" in figure.alt
    assert "one seed +2.0" in figure.alt and "from SNP, at once" in figure.alt
    assert to_png(figure)


def test_nothing_or_too_much_is_a_clear_error(nasty):
    with pytest.raises(UserError, match="1 to 6 rows, not of 0"):
        learning_curves({})
    many = {str(n): Curve([1], [1.0], [0.0]) for n in range(7)}
    with pytest.raises(UserError, match="not of 7"):
        learning_curves({"easy": many})
    with pytest.raises(UserError, match="no difference to draw"):
        paired_differences({}, baseline="SNP")
    for text in nasty:
        assert to_png(learning_curves({text: {text: Curve([1], [1.0], [0.0])}}))
        one = Difference(text, 1.0, 0.5, 1.5, [1.0])
        assert to_png(paired_differences({text: [one]}, baseline=text, note=text))
