"""From measured steps to a plan: arithmetic, and steps that are really taken."""

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snpkit.data.samples import samples_folder
from snpkit.errors import UserError
from snpkit.training import planning
from snpkit.training.planning import extrapolate, measure
from snpkit.training.recipes import get_recipe
from snpkit.training.schema import override
from tests.training.planning_cases import CLIPS, SCALED, measurement

SAMPLES = samples_folder() / "manifest.jsonl"
TINY = override(
    get_recipe("laptop"),
    {"data.batch_size": 8, "model.num_hidden_layers": 2, "optimisation.precision": "fp32"},
)


@given(st.integers(1, 10**5), st.integers(2, 50))
def test_a_pass_over_more_pairs_takes_longer_in_proportion(batches, times):
    found = measurement()
    one, more = (extrapolate(found, 64 * batches * factor) for factor in (1, times))
    assert one.epoch_seconds.median == pytest.approx(0.5 * batches)
    assert more.epoch_seconds.median == pytest.approx(times * one.epoch_seconds.median)
    assert more.storage_bytes == pytest.approx(times * one.storage_bytes)
    assert more.seconds == one.seconds  # the recipe has a fixed number of steps
    assert one.epochs * one.steps_per_epoch == pytest.approx(one.steps) == 1000


@given(st.integers(1, 10**5), st.integers(1, 30))
def test_a_recipe_of_epochs(batches, epochs):
    plan = extrapolate(measurement(changes={"optimisation.epochs": epochs}), 64 * batches)
    assert plan.steps == epochs * batches
    assert plan.seconds.median == pytest.approx(0.5 * plan.steps)
    assert plan.seconds.low == pytest.approx(0.4 * plan.steps)
    assert plan.seconds.high == pytest.approx(0.6 * plan.steps)
    assert plan.epoch_seconds.median == pytest.approx(0.5 * batches)


def test_storage_counts_a_clip_once_and_its_frames_at_training_size():
    plan = extrapolate(measurement(), 10_000)
    clips = 10_000 * CLIPS.clips_per_pair
    assert plan.storage_bytes == clips * CLIPS.file_bytes
    assert plan.cache_bytes == clips * CLIPS.frames * 3 * 64 * 64
    without = extrapolate(measurement(changes={"data.cache": False}), 10_000)
    assert without.cache_bytes is None


def test_less_than_a_batch_is_a_mistake():
    with pytest.raises(UserError, match="63 pairs give no batch of 64"):
        extrapolate(measurement(), 63)


def test_samples_a_second_are_those_of_the_batch():
    assert measurement().samples_per_second == 64 / 0.5


def test_scaling_is_said():
    assert SCALED.scaled and not measurement().scaled
    assert any("measured with 16" in line for line in SCALED.assumptions)
    assert not any("measured with" in line for line in measurement().assumptions)


def test_a_measurement_is_json():
    values = SCALED.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["scaled"] and values["recipe"]["name"] == "laptop"
    assert values["memory"]["weights"] == 1e8
    assert values["step_seconds"]["low"] < values["step_seconds"]["high"]


def test_steps_measured_here_agree_with_a_longer_run():
    # Within 20 % by the seconds that cores work: a busy machine may spoil one comparison, not all.
    options = {"batch": TINY.data.batch_size, "clock": "process", "time_limit": 300.0}
    for _ in range(3):
        short, longer = (measure(TINY, steps=steps, **options) for steps in (3, 12))
        assert len(short.steps.full.seconds) == 3 and len(longer.steps.full.seconds) == 12
        assert short.memory.peak == pytest.approx(longer.memory.peak, rel=0.15)
        if 0.8 < short.step_seconds.low / longer.step_seconds.low < 1.2:
            break
    else:
        raise AssertionError((short.step_seconds, longer.step_seconds))
    assert short.memory.peak == pytest.approx(short.measured_peak)
    weights = 4 * short.parameters  # float32; buffers are a little more
    assert weights <= short.memory.weights < 1.05 * weights
    assert short.memory.gradients == weights
    assert short.memory.optimiser == pytest.approx(2 * weights, rel=0.01)
    assert short.vocabulary > 100 and short.words_known


def test_real_clips_are_read_as_the_recipe_reads_them():
    recipe = override(TINY, {"data.batch_size": 32, "data.cache": False})
    found = measure(recipe, manifest=SAMPLES, steps=1, batch=4)
    assert found.scaled and found.steps.full.batch == 4
    assert found.steps.full.waiting > 0 and found.source.endswith("manifest.jsonl")
    assert found.clips.source == "43 manifest's clips" and found.clips.clips_per_pair == 43 / 97
    assert found.step_seconds.median > found.steps.seconds_at(4, 16).median
    assert found.memory.peak > found.measured_peak


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"steps": 0}, "at least one step"),
        ({"time_limit": 0}, "time limit"),
        ({"batch": 1}, "--batch is 1"),
        ({"batch": 9}, "2 to 8"),
        ({"manifest": "/nowhere/manifest.jsonl"}, r"manifest\.jsonl"),
    ],
)
def test_mistakes_show_before_the_work(options, named, monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    with pytest.raises(UserError, match=named):
        measure(TINY, **options)


def test_a_mistake_found_by_the_fresh_process_is_one_sentence():
    with pytest.raises(UserError, match=r"no field 'hiden_size'.*hidden_size"):
        measure(override(TINY, {"model.hiden_size": 4}))


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("import os; os.kill(os.getpid(), 9)", "want of memory"),
        ("raise SystemExit('no such library')", "no such library"),
        ("import time; time.sleep(60)", "did not end within 1 s"),
    ],
)
def test_a_process_that_dies_or_hangs_is_said(command, named, monkeypatch):
    run = subprocess.run
    monkeypatch.setattr(
        planning.subprocess, "run",
        lambda asked, **options: run([asked[0], "-c", command], **options),
    )  # fmt: skip
    with pytest.raises(UserError, match=named):
        planning._ask_fresh_process({}, patience=1.0 if "sleep" in command else 60.0)
