"""Bars of accuracy: as long as their numbers, named in the alt text, refused where they differ."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figures import accuracy_bars
from snpkit.errors import UserError
from snpkit.explore.plots import to_png

SHARES = {"colour": 90.0, "count": 100.0, "what $is$ it": 0.0}


def widths(figure):
    return [bar.get_width() for bar in figure.axes[0].patches]


# Torch may have switched off subnormal numbers, which hypothesis would else ask for.
PERCENT = st.floats(0, 100, allow_subnormal=False)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(PERCENT, min_size=4, max_size=4), min_size=1, max_size=3))
def test_every_value_is_a_bar_of_its_length_and_a_number_of_the_alt_text(table):
    series = {f"model {n}": dict(zip("abcd", row, strict=True)) for n, row in enumerate(table)}
    figure = accuracy_bars(series)
    assert widths(figure) == [value for row in table for value in row]
    for name, row in series.items():
        for group, value in row.items():
            (said,) = re.findall(rf"{group}: ([^;]*?)[;.]", figure.alt)
            assert f"{name} {value:.0f}" in said


def test_bars_of_one_group_lie_beside_each_other():
    figure = accuracy_bars({"a": SHARES, "b": SHARES, "c": SHARES})
    edges = sorted((b.get_y(), b.get_y() + b.get_height()) for b in figure.axes[0].patches)
    assert all(end <= start for (_, end), (start, _) in pairwise(edges))
    colours = [bar.get_facecolor() for bar in figure.axes[0].patches]
    assert len(set(colours)) == 3


def test_the_baseline_alone_is_grey():
    figure = accuracy_bars({"a": SHARES, "b": SHARES, "c": SHARES}, baseline="b")
    colours = [bar.get_facecolor()[:3] for bar in figure.axes[0].patches]
    grey = [max(colour) - min(colour) < 0.1 for colour in colours]
    assert grey == [False] * 3 + [True] * 3 + [False] * 3


def test_guessing_is_a_line_at_its_place_and_is_told():
    figure = accuracy_bars({"a": SHARES}, guessing=20.0, title="Choosing")
    assert figure.axes[0].lines[0].get_xdata()[0] == 20
    assert "dashed: guessing, 20 %" in figure.axes[0].get_title(loc="right")
    assert figure.alt.startswith("Choosing, in percent. ")
    assert figure.alt.endswith("Guessing gives 20.")
    assert not accuracy_bars({"a": SHARES}).axes[0].lines


def test_any_names_can_be_drawn():
    assert to_png(accuracy_bars({"$a^ 🙂": SHARES, "b" * 90: SHARES})).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "series", [{}, {"a": {}}, {name: SHARES for name in "abcd"}, {"a": SHARES, "b": {"x": 1.0}}]
)
def test_what_cannot_be_compared_is_refused(series):
    with pytest.raises(UserError, match=r"Bars need|has other groups"):
        accuracy_bars(series)
