"""The pace of a run is that of its history, and slowness or growth show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.errors import UserError
from snpkit.explore.plots import pace_curves, read_pace, to_png


def history(times, memory, every=10):
    """Lines of a run whose steps take `times` seconds; every tenth line notes the memory."""
    clock, lines = 5.0, []
    for step, (seconds, held) in enumerate(zip(times, memory, strict=True), start=1):
        clock += seconds
        line = {"step": step, "loss": 1.0, "losses": {}, "seconds": clock}
        lines.append(line | ({"memory_mb": held} if step % every == 0 else {}))
        if step % 50 == 0:
            lines.append({"step": step, "evaluation": {"r1": 3.0}})
    return lines


NORMAL = {"allow_subnormal": False}


@given(
    st.integers(100, 300), st.floats(0.01, 5), st.floats(1, 4), st.floats(0, 500, **NORMAL)
)
def test_slowness_and_growth_are_those_that_were_put_in(steps, seconds, slower, growth):
    last = np.arange(steps) >= steps // 2
    pace = read_pace(history(np.where(last, slower, 1) * seconds, 1000 + last * growth))
    assert pace.slowdown == pytest.approx(slower, rel=1e-6)
    assert pace.growth_mb == pytest.approx(growth, abs=1e-6)
    assert pace.steps[-1] == steps and (np.diff(pace.steps) > 0).all()


def test_an_evaluation_now_and_then_is_not_taken_for_slowness():
    times = np.ones(400)
    times[300::40] = 30.0
    assert read_pace(history(times, [800] * 400)).slowdown == pytest.approx(1)


def test_what_is_drawn_is_the_pace():
    pace = read_pace(history([0.5] * 100 + [1.0] * 100, [2000.0] * 200), parts=20)
    figure = pace_curves(pace)
    left, right = figure.axes
    assert left.lines[0].get_ydata().tolist() == pace.seconds.tolist()
    assert set(right.lines[0].get_ydata().tolist()) == {2.0}
    assert left.get_ylim()[0] == right.get_ylim()[0] == 0
    assert "2.00 times as long" in figure.alt and "from 2.00 to 2.00 GB" in figure.alt
    assert len(to_png(figure)) > 3000


@pytest.mark.parametrize("steps", [0, 2, 9])
def test_a_history_without_pace_is_refused(steps):
    with pytest.raises(UserError, match="notes no pace"):
        read_pace(history([1.0] * steps, [1.0] * steps))
