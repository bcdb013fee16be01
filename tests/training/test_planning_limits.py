"""Where one machine comes to its end: every limit against the memory model it is derived from."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.training.planning import Fleet, Machine
from snpkit.training.planning_limits import largest_batch, limits
from snpkit.training.planning_model import Growth
from snpkit.training.planning_report import limits_text, plan_text
from tests.training.planning_cases import CLIPS, SCALED, measurement

MACHINE = Machine(device=16e9, ram=64e9, disk=1e12)
EVERY = replace(
    measurement(batch=16, growth=Growth(0.001, 1e6, 1e6, 2.0)), pairs=64 * 64, machine=MACHINE
)  # all pairs of a batch, a megabyte each


def row(found, fleet, what):
    (one,) = [limit for limit in limits(found, fleet) if limit.what.startswith(what)]
    return one


@given(st.floats(1e6, 1e11))
def test_the_largest_batch_fits_and_the_next_does_not(room):
    for found, pairs in ((SCALED, lambda b: 4 * b), (EVERY, lambda b: b * b)):
        batch = largest_batch(found, room)
        assert batch == 0 or found.activations_at(batch, pairs(batch)) <= room
        assert found.activations_at(batch + 1, pairs(batch + 1)) > room


def test_pairs_fill_the_memory_by_their_square():
    assert largest_batch(EVERY, 1e11) / largest_batch(EVERY, 1e9) < 15  # of 100 times the room
    assert largest_batch(SCALED, 1e11) / largest_batch(SCALED, 1e9) > 90


def test_parameters_that_fit_a_device_and_its_shards():
    found = replace(SCALED, machine=MACHINE)
    one = row(found, Fleet(), "weights")
    # 4e8 bytes of state for 25 million parameters: 16 bytes each; the program takes 4e8.
    assert one.value == pytest.approx((16e9 - 4e8) / 16) and "FSDP" in one.beyond
    four = row(found, Fleet(4), "weights")
    assert four.value == pytest.approx((16e9 - 4e8) / 20)  # the gradients' buckets
    shards = row(found, Fleet(4), "the same in 4 shards")
    assert shards.value == pytest.approx(4 * four.value) and "Megatron" in shards.beyond
    assert row(found, Fleet(memory=80e9), "weights").value == pytest.approx((80e9 - 4e8) / 16)


def test_data_outgrows_memory_disk_and_time():
    found = replace(measurement(), machine=MACHINE)
    cached = 0.5 * 20 * 3 * 64 * 64  # bytes a pair
    assert row(found, Fleet(), "decoded frames").value == pytest.approx(64e9 / cached)
    assert row(found, Fleet(), "clips on this disk").value == pytest.approx(1e12 / (0.5 * 1000))
    week = row(found, Fleet(speedup=10), "one pass").value
    assert week == pytest.approx(10 * 7 * 86400 / (0.5 / 64))
    uncached = replace(measurement(changes={"data.cache": False}), machine=MACHINE)
    assert not any(one.what.startswith("decoded") for one in limits(uncached, Fleet()))


def test_unknown_memory_gives_no_limit_of_memory():
    rows = limits(measurement(), Fleet())
    assert [one.what for one in rows] == ["one pass in a week"]


def test_the_table_is_shown_where_asked():
    found = replace(measurement(), machine=MACHINE)
    text = limits_text(limits(found, Fleet()), Fleet())
    lines = text.splitlines()
    assert lines[0].startswith("One device") and len(lines) == 2 + len(limits(found, Fleet()))
    assert len({line.find("  ", 40) >= 0 for line in lines[1:]}) == 1
    assert "FSDP" not in plan_text(found, []) and "FSDP" in plan_text(found, [], table=True)


def test_devices_and_their_memory_are_said():
    text = plan_text(measurement(), [], Fleet(4, 12.0, 0.9, price=2.5))
    assert "4, each 12 times as fast as this one" in text
    assert "Memory of each  " in text and "Step there      " in text
    assert "your figure, not measured" in text and "90% of it is reached" in text
    assert "EUR 2.50" in text
    alone = plan_text(measurement(), [])
    assert "on 1 device like this one; no other was measured" in alone
    assert "Step there" not in alone and "EUR" not in alone


@pytest.mark.parametrize(
    ("seconds", "fleet", "said"),
    [
        (0.01, Fleet(), "2 workers feed one device"),  # 64 samples in 0.5 s: 1.28 cores
        (0.001, Fleet(), "1 worker feeds one device"),
        (0.01, Fleet(speedup=10), "13 workers feed one device"),
        # 64 samples in (0.1 + 0.4 / 4) s on four devices: 80 a second each
        (0.01, Fleet(4), "1 worker feeds one device"),
    ],
)
def test_workers_that_feed_a_device(seconds, fleet, said):
    found = replace(measurement(changes={"data.cache": False}),
                    clips=replace(CLIPS, decode_seconds=seconds))  # fmt: skip
    assert said in plan_text(found, [], fleet)
    cached = replace(measurement(), clips=replace(CLIPS, decode_seconds=seconds))
    assert "that is done once" in plan_text(cached, [], fleet)
