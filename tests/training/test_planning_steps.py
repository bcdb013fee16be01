"""The parts that the fresh process of a plan is made of."""

import time
from types import SimpleNamespace

import pytest
import torch

from snpkit.training.planning_data import MadeUpClips, measure_clips, measured_tokenizer
from snpkit.training.planning_growth import _kept_bytes, measure_growth, padded, usual_lengths
from snpkit.training.planning_memory import available_memory, current_memory, peak_memory
from snpkit.training.planning_model import Timing, computed_pairs
from snpkit.training.planning_steps import Trial
from snpkit.training.recipes import get_recipe
from snpkit.training.schema import override, recipe_to_dict

CPU = torch.device("cpu")
SMALL = {"data.batch_size": 64, "model.num_hidden_layers": 1, "optimisation.precision": "fp32"}


@pytest.fixture(scope="module")
def trial():
    recipe = override(get_recipe("laptop"), SMALL | {"model.negatives": "all"})
    return Trial({"recipe": recipe_to_dict(recipe), "manifest": None, "steps": 2, "batch": 8,
                  "device": "cpu", "time_limit": 100.0, "clock": "wall"})  # fmt: skip


def test_pairs_are_those_that_the_model_computes(trial):
    batch, _ = next(trial.source(6))
    for negatives in ("all", 2):
        trial.run.model.config.negatives = negatives
        scores = trial.run.model(batch).similarities["cross_modal"]
        assert scores.isfinite().sum() == computed_pairs(trial.run.model.config, 6)
    trial.run.model.config.negatives = "all"


def test_a_timing_leaves_the_warm_up_out_and_moves_the_model_on(trial):
    before, parameter = trial.run.result.step, next(trial.run.model.parameters())
    weights = parameter.detach().clone()
    timing = trial.take(4, 2, warm_up=1)
    assert len(timing.seconds) == 2 and trial.run.result.step == before + 3
    assert (timing.batch, timing.pairs) == (4, 16)
    assert 0 < timing.optimiser < min(timing.seconds)
    assert 0 < timing.waiting < min(timing.seconds)
    assert not torch.equal(parameter, weights)
    state = trial.parts()["optimiser"]
    assert state == pytest.approx(8 * sum(p.numel() for p in trial.run.model.parameters()), rel=0.1)


def test_out_of_time_leaves_one_step(trial, monkeypatch):
    monkeypatch.setattr(trial, "deadline", 0.0)
    assert len(trial.take(2, 5, warm_up=1).seconds) == 1


def test_small_batches_are_padded_as_the_large_one_would_be(trial):
    captions = [batch["input_ids"].shape[1] for batch, _ in (next(trial.source(2)),)]
    assert captions == [trial.tokens]
    batch, _ = next(trial.source(2))
    empty = batch["attention_mask"] == 0
    assert (batch["labels"][empty] == -100).all()
    assert (batch["input_ids"][empty] == trial.config.pad_token_id).all()
    assert batch["significant_positions"].shape == (2, 3)


def test_padding_leaves_what_is_long_enough():
    batch = {"input_ids": torch.ones(2, 9), "pixel_values": torch.ones(2, 1)}
    same, files = next(padded(iter([(batch, ["a"])]), 5, 0))
    assert same["input_ids"].shape == (2, 9) and same["pixel_values"].shape == (2, 1)
    assert files == ["a"]


def test_usual_batches_have_longer_captions_the_larger_they_are(trial):
    rows = trial.dataset.manifest.rows
    few, many = (usual_lengths(trial.tokenizer, rows, batch, 30) for batch in (2, 200))
    assert max(few) < max(many) <= 30
    assert len(many) == 200 and min(many) < sum(many) / 200 < max(many)


def test_pairs_of_a_large_batch_take_what_their_own_captions_take(trial):
    small, large = (next(trial.source(size))[0] for size in (4, 8))

    def bytes_of(*tokens):
        usual = list(tokens * (64 // len(tokens)))
        return measure_growth(trial.run.model, small, large, usual, None).pair_bytes

    longest, clips = int(large["attention_mask"].sum(1).max()), trial.config.clips
    whole = bytes_of(longest)
    # The few pairs that are measured are as wide as the longest of them.
    assert whole == pytest.approx(trial.growth(8).pair_bytes, rel=0.4)
    share = (4 + clips + 1) / (longest + clips + 1)
    assert bytes_of(4) == pytest.approx(share * whole, rel=1e-6)
    assert bytes_of(4, longest) == pytest.approx((share + 1) / 2 * whole, rel=1e-6)


def test_growth_counts_bytes_of_pairs_and_samples(trial):
    growth = trial.growth(8)
    config = trial.config
    # Of a pair at least what goes into the layer is kept, with its keys and values; the rest of
    # this last layer is computed for one token.
    length = sum(trial.usual) / len(trial.usual) + config.clips + 1
    assert growth.pair_bytes > 3 * length * config.hidden_size * 4
    assert growth.sample_bytes > growth.pair_bytes and growth.pair_seconds >= 0


def test_kept_bytes_are_exact():
    weight = torch.ones(8, 4, requires_grad=True)

    def kept(rows):
        data = torch.ones(rows, 8)
        return _kept_bytes(lambda: (data @ weight).sum(), None, SimpleNamespace(device=CPU))

    assert kept(30) - kept(10) == 20 * 8 * 4  # the input of the matrix product, float32


def test_the_batch_is_as_large_as_time_and_memory_allow(trial, monkeypatch):
    probe = Timing(2, 4, (0.02,), 0.0, 0.0, trial.program + trial.state_bytes() + 1e6)

    def affordable(seconds, room):
        monkeypatch.setattr(trial, "deadline", time.monotonic() + seconds)
        monkeypatch.setattr("snpkit.training.planning_steps.available_memory", lambda _: room)
        return trial.affordable(probe)

    assert affordable(1e6, 10**12) == 64
    assert affordable(1e6, None) == 64
    assert affordable(4 * 0.02 * 64 * 1.01, None) == 16  # (16 / 2)^2 times the pairs, 4 steps
    assert affordable(1e6, 65 * 1e6 / 0.7) == 16
    assert affordable(-1, None) == 2


def test_made_up_clips_have_the_recipes_shapes():
    clips = MadeUpClips(get_recipe("laptop"), 10)
    assert len(clips) == 10
    assert clips[3]["frames"].shape == (2, 4, 3, 64, 64) and clips[3]["caption"]
    whole = MadeUpClips(get_recipe("coco_vg_resnet"), 3)[(1, 2)]
    assert whole["pixel_mask"].shape == (1, 1, 768, 768) and whole["pixel_mask"].all()


def test_a_tokenizer_that_is_not_here_leaves_the_model_its_size(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    recipe = override(get_recipe("gpu_subset"), {"data.tokenizer": "nobody-knows-it"})
    tokenizer, words = measured_tokenizer(recipe, ["a red kite falls"] * 9)
    assert words == 30_522 and len(tokenizer) < 2000


def test_clips_of_the_samples():
    facts = measure_clips(None)
    assert facts.source == "43 shipped sample clips"
    assert 5_000 < facts.file_bytes < 100_000 and 1 < facts.frames < 200


def test_memory_marks():
    before = peak_memory(CPU)
    block = torch.ones(100_000_000, dtype=torch.uint8)
    held = current_memory(CPU)
    assert peak_memory(CPU) >= held > 1e8
    del block
    assert current_memory(CPU) < held - 9e7
    assert peak_memory(CPU) >= before
    assert available_memory(CPU) > 1e8
