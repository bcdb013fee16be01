"""The arithmetic and the order of the rounds of a race."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.errors import UserError
from tests.benchmarks.comparison import Comparison, Round, Spread, Subject, compare
from tests.benchmarks.subjects import SUBJECTS, get_subjects

rates = st.floats(0.1, 1e6)


def subject(measure=lambda: Round(2.0, 8.0)):
    return Subject("toy", "things/s", "by hand", "by machine", measure, {"Things": "3"})


@given(st.lists(st.tuples(rates, rates), min_size=1, max_size=9))
def test_the_spread_holds_every_round_and_ratios_are_of_one_round(pairs):
    found = Comparison(subject(), [Round(*pair) for pair in pairs])
    for spread, values in (
        (found.plain, [plain for plain, _ in pairs]),
        (found.ours, [ours for _, ours in pairs]),
        (found.ratio, [ours / plain for plain, ours in pairs]),
    ):
        assert spread.low == min(values) and spread.high == max(values)
        assert spread.median == statistics.median(values)


def test_a_slow_moment_of_the_machine_leaves_the_ratio_alone():
    found = Comparison(subject(), [Round(100, 400), Round(10, 40), Round(100, 400)])
    assert found.ratio == Spread(4, 4, 4)
    assert found.ours == Spread(400, 40, 400)


@pytest.mark.parametrize("repeat", [1, 4])
def test_so_many_rounds(repeat):
    turns = []

    def measure():
        turns.append(len(turns) + 1.0)
        return Round(1.0, turns[-1])

    found = compare(subject(measure), repeat)
    assert len(turns) == repeat and found.ours.high == repeat


def test_no_rounds_are_a_mistake():
    with pytest.raises(UserError, match="--repeat is 0"):
        compare(subject(), 0)


def test_the_table_is_aligned_and_says_all():
    rounds = [Round(1000, 5000), Round(900, 5400), Round(1100, 4400)]
    lines = Comparison(subject(), rounds).table().splitlines()
    assert lines[0] == "by hand       1,000 (900 to 1,100) things/s"
    assert lines[1] == "by machine  5,000 (4,400 to 5,400) things/s"
    assert lines[2] == "ratio             5.0 (4.0 to 6.0) times"
    assert "3 rounds" in lines[4] and lines[5] == "Things: 3"


def test_json_holds_every_round():
    found = Comparison(subject(), [Round(2, 8), Round(4, 8)]).to_dict()
    assert found["rounds"] == [{"plain": 2, "ours": 8}, {"plain": 4, "ours": 8}]
    assert found["ratio"] == {"median": 3, "low": 2, "high": 4}
    assert found["plain"]["way"] == "by hand" and found["unit"] == "things/s"


def test_subjects_are_found_by_name():
    assert "mine" in SUBJECTS
    with pytest.raises(UserError, match=r"'fly'.*mine"):
        get_subjects("fly")
