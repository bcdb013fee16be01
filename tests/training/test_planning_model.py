"""The cost model of a step, against costs that are known."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.training.planning_model import Growth, StepModel, Timing, computed_pairs

cost = st.floats(1e-4, 10)
size = st.integers(2, 64)
TASKS = ("text_mlm", "gvtm_cross_modal")


@given(cost, cost, cost, size, st.integers(2, 4096))
def test_known_costs_are_found_again(fixed, sample, pair, batch, larger):
    def true(count):
        return fixed + sample * count + pair * count * count

    timing = Timing(batch, batch**2, (true(batch),) * 3, fixed, 0.0, None)
    model = StepModel(timing, Growth(pair, 0.0, 0.0))
    assert model.seconds_at(larger, larger**2).median == pytest.approx(true(larger))


@given(cost, cost, size, st.integers(2, 4096))
def test_without_pairs_time_is_linear_but_for_the_optimiser(fixed, sample, batch, larger):
    timing = Timing(batch, 0, (fixed + sample * batch,), fixed, 0.0, None)
    reckoned = StepModel(timing).seconds_at(larger, 0)
    assert reckoned.median == pytest.approx(fixed + sample * larger)


@given(cost, cost, cost, cost, st.integers(2, 32), st.integers(2, 4096))
def test_half_the_batch_tells_what_does_not_grow(optimiser, start, sample, pair, half, larger):
    def timing(batch):
        seconds = optimiser + start + sample * batch + pair * batch * batch
        return Timing(batch, batch * batch, (seconds,) * 3, optimiser, 0.0, None)

    model = StepModel(timing(2 * half), Growth(pair, 0.0, 0.0), half=timing(half))
    assert model.fixed_seconds == pytest.approx(optimiser + start, rel=1e-6)
    true = timing(larger).seconds[0]
    assert model.seconds_at(larger, larger * larger).median == pytest.approx(true, rel=1e-6)


@given(cost, cost, st.lists(cost, min_size=1, max_size=3))
def test_noise_never_makes_a_batch_shrink_a_step(optimiser, whole, noisy):
    full = Timing(8, 0, (optimiser + whole,), optimiser, 0.0, None)
    model = StepModel(full, half=Timing(4, 0, tuple(noisy), optimiser, 0.0, None))
    assert optimiser <= model.fixed_seconds <= max(optimiser, min(noisy))
    assert model.seconds_at(16, 0).median >= model.seconds_at(8, 0).median * 0.999


@given(st.lists(cost, min_size=1, max_size=9), size)
def test_the_measured_batch_is_as_measured(seconds, batch):
    timing = Timing(batch, batch, tuple(seconds), 0.01, 0.0, None)
    spread = StepModel(timing, Growth(0.5, 0, 0)).seconds_at(batch, batch)
    assert (spread.low, spread.high) == (min(seconds), max(seconds))


@given(cost, cost, size, size)
def test_a_noisy_pair_never_makes_a_sample_negative(whole, pair, batch, more):
    # Pairs alone that seem dearer than the whole step: as dear as the whole step, no more.
    model = StepModel(Timing(batch, batch**2, (whole,), 0.0, 0.0, None), Growth(pair, 0, 0))
    larger = batch + more
    reckoned = model.seconds_at(larger, larger**2).median
    assert whole * larger / batch * 0.999 <= reckoned <= whole * (larger / batch) ** 2 * 1.001


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.floats(1, 4), size, st.integers(65, 999))
def test_memory_grows_by_what_is_kept(sample, pair, overhead, batch, larger):
    timing = Timing(batch, batch**2, (1.0,), 0.0, 0.0, 1e9)
    model = StepModel(timing, Growth(0.0, pair, sample, overhead), activations=5e8)
    kept = sample * (larger - batch) + pair * (larger**2 - batch**2)
    assert model.activations_at(larger, larger**2) == pytest.approx(5e8 + overhead * kept)
    assert model.activations_at(batch, batch**2) == 5e8


def test_overhead_is_measured_growth_over_counted_growth():
    growth = Growth(0.0, 0.0, 1000.0)

    def timing(batch, peak):
        return Timing(batch, 0, (1.0,), 0.0, 0.0, peak)

    assert growth.with_overhead(timing(2, 10_000), timing(12, 25_000)).overhead == 1.5
    assert growth.with_overhead(timing(2, 10_000), timing(12, 10_000)).overhead == 1
    assert growth.with_overhead(timing(2, 0), timing(12, 10**9)).overhead == 4
    assert growth.with_overhead(timing(2, None), timing(12, None)).overhead == 1
    assert growth.with_overhead(timing(2, 5), timing(2, 9)).overhead == 1


@given(st.integers(2, 500), st.integers(1, 600))
def test_pairs(batch, negatives):
    assert computed_pairs(SimpleNamespace(tasks=TASKS, negatives="all"), batch) == batch**2
    assert computed_pairs(SimpleNamespace(tasks=TASKS[:1], negatives="all"), batch) == 0
    some = computed_pairs(SimpleNamespace(tasks=TASKS, negatives=negatives), batch)
    assert some == min(batch**2, batch * (negatives + 1))
