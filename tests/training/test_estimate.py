"""Estimated steps against real ones: FLOPs by formula, memory of processes that train."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from snpkit.training import estimate
from snpkit.training.cards import GPUS
from snpkit.training.estimate import Tracker, estimate_step, make_plan
from snpkit.training.recipe import get_recipe, override

CPU, T4 = GPUS["cpu"], GPUS["t4"]
SMALL = {
    "model.hidden_size": 256, "model.num_hidden_layers": 3, "model.num_attention_heads": 4,
    "model.intermediate_size": 1024, "model.vision_pretrained": None, "data.size": 64,
    "data.clips": 2, "data.batch_size": 16, "optimisation.precision": "fp32",
    "optimisation.micro_batch": None,
}  # fmt: skip
TINY = {
    "model.hidden_size": 32, "model.num_hidden_layers": 1, "model.num_attention_heads": 2,
    "model.patch_layers": 1, "model.intermediate_size": 64, "data.size": 32, "data.batch_size": 8,
    "data.vocabulary_size": 400, "optimisation.precision": "fp32",
}  # fmt: skip


def tiny(**changes):
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return override(get_recipe("laptop"), TINY | named)


def test_flops_of_a_bert_base_step_are_those_of_a_count_by_hand():
    """SNP on grid features, all pairs: 2 x inputs x outputs for each product forward, and twice as
    much backward; where the inputs need no gradient, once."""
    batch, tokens, clips, cells, hidden, inner, layers, words = 4, 30, 2, 49, 768, 3072, 12, 30_522
    recipe = override(get_recipe("coco_vg_resnet"), {
        "model.vision_pretrained": None, "model.negatives": "all",
        "data.batch_size": batch, "data.clips": clips, "data.size": 224, "data.fit": "crop",
        "data.min_scale": 1.0, "data.max_tokens": tokens, "optimisation.micro_batch": None,
    })  # fmt: skip
    # Training reads frames: no recipe may ask for grid features. Here no encoder is counted.
    recipe = recipe.model_copy(update={"model": recipe.model | {"vision": "features"}})
    joint = tokens + clips + 1

    def layer(rows, length, queries):
        """Query and output projections and the perceptron for `queries` tokens, keys and values
        for all, and two products of attention."""
        projections = 2 * rows * (2 * queries * hidden**2 + 2 * length * hidden**2)
        return (projections + 2 * rows * queries * 2 * hidden * inner
                + 2 * 2 * rows * queries * length * hidden)  # fmt: skip

    text = layers * layer(2 * batch, tokens, tokens)  # whole and masked captions
    own = layers * layer(batch, joint, joint)
    others = batch * (batch - 1)  # foreign pairs: of the last layer the first token alone
    foreign = (layers - 1) * layer(others, joint, joint) + layer(others, joint, 1)
    pooled = 2 * (2 * batch + batch + others) * hidden**2
    labelled = -(-batch * round(0.15 * (tokens - 2)) // 16) * 16  # in multiples of 16
    decoders = 2 * 2 * labelled * (hidden**2 + hidden * words)
    heads = 2 * 2 * batch * clips * hidden**2 + 2 * (others + batch) * (hidden**2 + hidden)
    scores = 2 * batch * batch * clips * hidden * (1 + 3)  # texts and three words each
    by_hand = 3 * (text + own + foreign + pooled + decoders + heads + scores)
    assert cells == 7 * 7  # averaged, not projected: as wide as the network
    found = estimate_step(recipe, CPU, tokens=tokens).flops
    assert found == pytest.approx(by_hand, rel=0.01)


_TRAINS = """
import ctypes, gc, json, sys
from pathlib import Path
import torch
from snpkit.machine import current_memory, peak_memory
from snpkit.training.device import prepare_cpu
from snpkit.training.estimate import example_batch, model_config
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.training.loop import new_run, train_step
from snpkit.training.recipe import recipe_from_dict, override

prepare_cpu()
recipe, cpu = recipe_from_dict(json.loads(sys.argv[1])), torch.device("cpu")

def train(recipe, steps):
    config = model_config(recipe)
    batch = example_batch(config, recipe.data.batch_size, recipe.data.max_tokens)
    run = new_run(SNPForPreTraining(config), [None], recipe, Path(), cpu)
    for _ in range(steps):
        train_step(run, iter([(batch, [])]))

train(override(recipe, {"data.batch_size": 2}), 1)  # libraries load, and keep what they need
gc.collect()
ctypes.CDLL(None).malloc_trim(0)
before = current_memory(cpu)
train(recipe, 2)  # the first step makes the optimiser's averages
print(peak_memory(cpu) - before)
"""


def measured_peak(recipe):
    """Bytes that two real steps add to a fresh process at most."""
    import json
    import os

    from snpkit.training.recipe import recipe_to_dict

    # Freed arrays go back to the system at once: the heap of C's library keeps up to a quarter.
    options = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _TRAINS, json.dumps(recipe_to_dict(recipe))]
    ended = subprocess.run(command, env=options, capture_output=True, text=True, check=True)
    return int(ended.stdout)


RECIPES = {
    "laptop": {"data.batch_size": 32, "model.negatives": "all", "optimisation.precision": "fp32"},
    "gpu_subset": SMALL,
    "webvid_swin": SMALL,
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is Linux's")
@pytest.mark.parametrize("name", RECIPES)
def test_peak_memory_is_that_of_a_process_that_trains(name):
    recipe = override(get_recipe(name), RECIPES[name])
    estimated, measured = estimate_step(recipe, CPU).memory.peak, measured_peak(recipe)
    print(f"\n{name}: estimated / measured {estimated / measured:.3f} of {measured / 1e6:.0f} MB")
    assert estimated == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_the_tracker_counts_what_a_chain_of_layers_keeps(checkpointed):
    """Layers of [64, 64] on rows [256, 64], each followed by exp, which keeps its result: 6 kept
    results without checkpoints, with them one at a time and the layers' inputs."""
    layers = [nn.Linear(64, 64, bias=False) for _ in range(6)]
    rows, size = torch.ones(256, 64), 256 * 64 * 4
    part = lambda layer, x: layer(x).exp()  # noqa: E731
    weights = [layer.weight for layer in layers]
    with Tracker() as tracker, FlopCounterMode(display=False) as flops:
        tracker.put(weights, "weights")
        x = rows
        for layer in layers:
            x = checkpoint(part, layer, x, use_reentrant=False) if checkpointed else part(layer, x)
        kept = tracker.now["activations"]
        x.sum().backward()
    assert tracker.flops == flops.get_total_flops()
    product = 2 * 256 * 64 * 64
    assert tracker.flops == (6 + 6 + 5 + 6 * checkpointed) * product
    assert tracker.at_peak["weights"] == 6 * 64 * 64 * 4
    assert kept == 6 * size  # exp's results, each the next layer's input
    assert kept < tracker.peak - tracker.at_peak["weights"] <= kept + 5 * size


def test_a_micro_batch_lowers_activations_alone():
    whole, sliced = (
        estimate_step(tiny(data__batch_size=12, optimisation__micro_batch=size), CPU)
        for size in (None, 4)
    )
    assert sliced.memory.activations < 0.6 * whole.memory.activations
    assert sliced.flops > 1.2 * whole.flops  # computed again in the backward pass
    assert sliced.memory.weights == whole.memory.weights
    assert sliced.memory.optimiser == whole.memory.optimiser == pytest.approx(
        8 * whole.parameters, rel=0.01)  # fmt: skip


def test_the_largest_micro_batch_that_fits_is_found():
    """Exactly those cards fit that have the memory which a step with it takes, and a tenth more."""
    recipe = tiny(data__batch_size=12)
    peak = estimate_step(tiny(data__batch_size=12, optimisation__micro_batch=8), T4).memory.peak
    for memory, expected in ((peak / 0.899, 8), (peak / 0.901, 4), (1e5, None)):
        card = replace(T4, memory=memory)
        assert estimate.largest_micro_batch(recipe, card) == expected


def test_several_cards_share_a_batch_but_compare_all_of_it():
    alone, shared = (estimate_step(tiny(model__negatives="all"), T4, gpus=n) for n in (1, 2))
    assert shared.memory.pixels == pytest.approx(alone.memory.pixels / 2, abs=512)
    assert 0.45 * alone.flops < shared.flops < 0.6 * alone.flops  # half of the pairs, not a quarter
    assert shared.memory.gradients > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"model.itm": True, "model.lvwm_stage": "both"},
        {"model.negative_source": "moco", "model.moco_queue": 64},
        {"model.architecture": "three_fusion", "model.attentive_masking": 0.5},
        {"model.architecture": "twin_tower", "model.tasks": ["text_mlm", "gvtm_text_video"]},
        {"data.fit": "long", "data.cache": False},
        {"optimisation.precision": "bf16"},
    ],
)
def test_every_choice_can_be_estimated(changes):
    step = estimate_step(override(tiny(), changes), T4)
    assert step.flops > 0 and step.memory.activations > 0


def test_a_plan_follows_from_its_step():
    recipe = tiny(optimisation__total_steps=100)
    step = estimate_step(recipe, T4)
    plan = make_plan(recipe, step, T4, 1000, gpus=1, utilisation=0.5, price=3.6)
    assert plan.seconds == pytest.approx(100 * step.flops / (0.5 * 8.1e12))  # float32 on a T4
    assert plan.cost == pytest.approx(plan.seconds / 1000)
    assert plan.cache_bytes == 1000 * 2 * 4 * 3 * 32 * 32 and plan.fits


@pytest.mark.slow
def test_gpu_subset_fits_a_t4():
    step = estimate_step(get_recipe("gpu_subset"), T4)
    assert step.dtype is torch.float16 and step.memory.peak <= 14e9
    assert estimate.fits(step, T4.memory)
