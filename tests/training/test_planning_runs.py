"""A plan for several devices: what they share, what each keeps whole, what they cost."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.errors import UserError
from snpkit.training.planning import Fleet, extrapolate
from tests.training.planning_cases import CLIPS, SCALED, measurement

factor = st.floats(0.1, 100)


def test_one_device_like_the_one_measured_changes_nothing():
    assert extrapolate(measurement(), 10_000) == extrapolate(measurement(), 10_000, Fleet())
    assert Fleet().memory_of_each(measurement()) == measurement().memory


@given(st.sampled_from([1, 2, 4, 8, 16]), factor, st.floats(0.1, 1))
def test_what_does_not_grow_with_the_batch_is_not_shared(devices, speedup, efficiency):
    # A step takes 0.5 s, of which the optimiser takes 0.1 s.
    step = Fleet(devices, speedup, efficiency).step_seconds(measurement())
    assert step.median == pytest.approx((0.1 + 0.4 / (devices * efficiency)) / speedup)
    assert step.high / step.median == pytest.approx(0.6 / 0.5)


@given(st.sampled_from([2, 4, 8]))
def test_each_device_keeps_the_whole_model_and_its_share_of_the_batch(devices):
    whole, each = SCALED.memory, Fleet(devices).memory_of_each(SCALED)
    assert (each.weights, each.optimiser) == (whole.weights, whole.optimiser)
    assert each.gradients == 2 * whole.gradients  # and the buckets in which they travel
    # 16 samples with 64 pairs held 2e8; a sample more 2e4, a pair more 2e3 bytes.
    samples, pairs = 64 // devices, 4 * 64 // devices
    expected = 2e8 + 2e4 * (samples - 16) + 2e3 * (pairs - 64)
    assert each.activations == pytest.approx(expected)


def test_a_whole_measurement_shares_its_activations():
    assert Fleet(4).memory_of_each(measurement()).activations == pytest.approx(2e8 / 4)


def test_cost_is_devices_times_hours_times_price():
    plan = extrapolate(measurement(), 10_000, Fleet(2, price=1.8))
    assert plan.seconds.median == pytest.approx(1000 * (0.1 + 0.4 / 2))
    assert plan.cost == pytest.approx(2 * 300 / 3600 * 1.8)
    assert extrapolate(measurement(), 10_000).cost is None
    assert extrapolate(measurement(), 10_000, Fleet(price=0.0)).cost == 0


def test_shards_are_storage_of_their_own():
    found = replace(measurement(), clips=replace(CLIPS, shard_bytes=300.0))
    assert extrapolate(found, 10_000).shard_bytes == 10_000 * 0.5 * 300
    assert extrapolate(measurement(), 10_000).shard_bytes is None


@pytest.mark.parametrize(
    "numbers",
    [{"devices": 0}, {"speedup": 0}, {"speedup": float("nan")}, {"efficiency": 0},
     {"efficiency": 1.01}, {"price": -1}, {"price": float("inf")}, {"memory": -1}],
)  # fmt: skip
def test_numbers_out_of_range(numbers):
    with pytest.raises(UserError, match="A plan takes at least one device"):
        Fleet(**numbers)


def test_a_batch_must_divide():
    with pytest.raises(UserError, match="64 does not divide among 3 devices"):
        extrapolate(measurement(), 10_000, Fleet(3))
