"""A plan as a user reads it."""

from dataclasses import replace

import pytest

from snpkit.training.planning import PAIRS, extrapolate
from snpkit.training.planning_report import plan_text
from tests.training.planning_cases import SCALED, measurement


def said(found, pairs=PAIRS):
    return plan_text(found, [extrapolate(found, count) for count in pairs]).splitlines()


def test_the_table_is_aligned_and_holds_every_number_of_pairs():
    lines = said(measurement())
    start = next(i for i, line in enumerate(lines) if line.lstrip().startswith("pairs"))
    table = lines[start : start + 5]
    assert len({len(line) for line in table}) == 1
    assert [line.split()[0] for line in table[1:]] == ["10k", "250k", "2.5M", "10M"]
    # 10,000 pairs are 156 batches of 64: 78 s; 1,000 steps of 0.5 s are 8.3 min.
    assert table[1].split()[1:3] == ["1.3", "min"] and "8.3 min" in table[1]
    assert "frames in memory" in table[0]
    assert "frames in memory" not in "\n".join(said(measurement(changes={"data.cache": False})))


def test_the_head_and_the_memory_say_what_was_measured():
    text = "\n".join(said(measurement()))
    assert "25,000,000" in text and "0.50 s (0.40 s to 0.60 s)" in text
    assert "128 a second" in text and "reckoned" not in text
    memory = text.split("Memory\n")[1].split("\n\n")[0].splitlines()
    assert len({len(line) for line in memory}) == 1
    assert "peak, measured" in memory[-1] and memory[-1].endswith("1.0 GB")


def test_what_is_reckoned_is_called_so():
    text = "\n".join(said(SCALED))
    assert "64 (measured with 16)" in text
    assert "s), reckoned" in text and "peak, reckoned" in text
    assert "peak measured with a batch of 16" in text
    assert "10 kB a sample and 1.0 kB a pair, times 2.0" in text
    assert "from 64 to 256 pairs in a step, 0.0010 s each" in text


@pytest.mark.parametrize("loading", [None, 0.01])
def test_reading_is_said(loading):
    found = replace(measurement(), source="clips of manifest.jsonl", loading=loading)
    text = "\n".join(found.assumptions)
    assert "noise" not in text
    assert ("10 s per 1,000 pairs" in text) == (loading is not None)
    assert ("10% of it was waiting" in text) == (loading is None)


def test_no_count_of_memory_is_said():
    assert "Memory: not counted on this system." in said(replace(measurement(), memory=None))


def test_a_busy_machine_is_said():
    busy, quiet = (replace(measurement(), cores=2, load=load) for load in (9.5, 1.2))
    assert any("load 9.5 on 2 cores" in line for line in busy.assumptions)
    assert not any("busy" in line for line in (*quiet.assumptions, *measurement().assumptions))


def test_a_single_step_has_no_spread():
    assert "Step        0.50 s" in said(measurement(seconds=(0.5,)))
