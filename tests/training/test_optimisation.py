"""Learning rates by hand, decay groups, and steps that a flag on the device prevents."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from training_toys import toy_model, toy_recipe, train

from snpkit.errors import CheckpointError
from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.training.optimisation import (
    BufferGuard,
    learning_rate,
    load_optimizer_tensors,
    make_optimizer,
    optimizer_tensors,
    step_unless,
    total_steps,
)
from snpkit.training.recipe import OptimisationRecipe


def rates(total, **settings):
    recipe = OptimisationRecipe(**{"learning_rate": 1.0, "warmup_steps": 0, **settings})
    return [learning_rate(recipe, step, total) for step in range(total)]


def test_warm_up_is_linear_and_then_each_schedule_takes_its_course():
    assert rates(6, total_steps=6, warmup_steps=3) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert rates(4, total_steps=4, schedule="linear") == pytest.approx([1, 0.75, 0.5, 0.25])
    assert rates(4, total_steps=4, schedule="cosine") == pytest.approx(
        [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2])


def test_milestones_count_in_the_unit_of_the_length():
    steps = rates(6, total_steps=6, schedule="step", milestones=(2, 4), gamma=0.1)
    assert steps == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    # The WebVid recipe: ten epochs (here of 2 steps), a tenth of the rate from epoch 5 on.
    epochs = rates(20, epochs=10, schedule="step", milestones=(5,), gamma=0.1)
    assert epochs == pytest.approx([1] * 10 + [0.1] * 10)


@given(total=st.integers(1, 300), warmup=st.integers(0, 400), step=st.integers(0, 500),
       schedule=st.sampled_from(["constant", "linear", "cosine", "step"]))
def test_a_rate_is_never_negative_nor_above_the_full_one(total, warmup, step, schedule):
    recipe = OptimisationRecipe(learning_rate=0.3, total_steps=total, warmup_steps=warmup,
                                schedule=schedule, milestones=(5,))
    assert 0 <= learning_rate(recipe, step, total) <= 0.3


def test_epochs_become_steps():
    assert total_steps(OptimisationRecipe(total_steps=7), 1000) == 7
    assert total_steps(OptimisationRecipe(epochs=2.5), 100) == 250
    assert total_steps(OptimisationRecipe(epochs=0.75), 100) == 75
    assert total_steps(OptimisationRecipe(epochs=0.001), 10) == 1


def test_only_matrices_decay():
    model = toy_model()
    optimizer = make_optimizer(model, OptimisationRecipe(total_steps=1, weight_decay=0.5))
    decayed, free = optimizer.param_groups
    assert {id(p) for p in decayed["params"]} == {id(model.encoder.weight)}  # tied: once
    assert {id(p) for p in free["params"]} == {
        id(p) for p in (model.encoder.bias, model.norm.weight, model.norm.bias, model.unused)}
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.5, 0.0)
    assert decayed["betas"] == (0.9, 0.98)


def adamw_by_hand(start, gradient, rate, decay, betas=(0.9, 0.98), eps=1e-8):
    """The first step of AdamW (Loshchilov and Hutter, algorithm 2), in float64."""
    mean, square = (1 - betas[0]) * gradient, (1 - betas[1]) * gradient**2
    mean, square = mean / (1 - betas[0]), square / (1 - betas[1])
    return start - rate * (mean / (square.sqrt() + eps) + decay * start)


@pytest.mark.parametrize(
    ("encoder_rate", "text_rate"), [(1, 1), (0.1, 1), (1, 0.01), (0.1, 0.1), (0.25, 0.5), (0, 1)]
)
def test_each_part_takes_a_step_at_its_own_rate(encoder_rate, text_rate):
    """One step of the real loop's rule on a whole model, beside AdamW by hand."""
    torch.manual_seed(0)
    config = SNPConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                       intermediate_size=16, vocab_size=110, vision="patch", image_size=32)
    model = SNPForPreTraining(config).double()
    recipe = OptimisationRecipe(learning_rate=0.01, weight_decay=0.3, total_steps=1,
                                encoder_rate=encoder_rate, text_rate=text_rate)
    optimizer = make_optimizer(model, recipe)
    for group in optimizer.param_groups:
        assert group["lr"] == pytest.approx(0.01 * group["rate"])
        group["lr"] = 0.02 * group["rate"]  # as the loop does at every step
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    factors = Counter()
    for name, parameter in model.named_parameters():
        factor = {"video.encoder": encoder_rate, "network.bert": text_rate}.get(
            ".".join(name.split(".")[:2]), 1)
        factors[factor] += 1
        expected = adamw_by_hand(before[name], parameter.grad, 0.02 * factor,
                                 0.3 if parameter.ndim >= 2 else 0)
        torch.testing.assert_close(parameter, expected, rtol=0, atol=1e-12, msg=name)
    assert set(factors) == {1, encoder_rate, text_rate}
    given = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(given) == sorted(map(id, model.parameters()))  # each once


def test_the_loop_multiplies_the_schedule_with_each_groups_rate(tmp_path):
    """At rate 0 the visual encoder stays as it was; the rest of the model learns."""
    model = toy_model()
    norm = model.__dict__["norm"] = model._modules.pop("norm")
    model.video = nn.ModuleDict({"encoder": norm})
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    changes = {"optimisation__encoder_rate": 0.0, "optimisation__total_steps": 3}
    train(tmp_path, model, recipe=toy_recipe(**changes), evaluate=None)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"encoder.weight", "encoder.bias"}


def test_frozen_parameters_are_left_out():
    model = toy_model()
    model.encoder.requires_grad_(False)
    optimizer = make_optimizer(model, OptimisationRecipe(total_steps=1))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 3


@pytest.mark.parametrize("fused", [True, False])
def test_a_bad_step_leaves_weights_and_moments(fused):
    parameter = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter], lr=0.1, fused=fused)
    other = nn.Parameter(torch.ones(3))
    plain = torch.optim.AdamW([other], lr=0.1)
    for gradient in (1.0, math.nan, -2.0, math.inf, 0.5):
        parameter.grad = torch.full((3,), gradient)
        step_unless(optimizer, torch.tensor(not math.isfinite(gradient)))
        if math.isfinite(gradient):
            other.grad = torch.full((3,), gradient)
            plain.step()
    torch.testing.assert_close(parameter, other)
    assert optimizer.state[parameter]["step"] == 3


def test_buffers_go_back_only_after_a_bad_batch():
    norm = nn.BatchNorm1d(2)
    guard = BufferGuard(norm)
    guard.remember()
    norm(torch.randn(4, 2))
    changed = norm.running_mean.clone()
    guard.restore_if(torch.tensor(False))
    assert torch.equal(norm.running_mean, changed) and norm.num_batches_tracked == 1
    guard.remember()
    norm(torch.full((4, 2), math.nan))
    assert norm.running_mean.isnan().all()
    guard.restore_if(torch.tensor(True))
    assert torch.equal(norm.running_mean, changed) and norm.num_batches_tracked == 1


def test_a_buffer_that_was_replaced_goes_back_too():
    module = nn.Module()
    module.register_buffer("queue", torch.zeros(2))
    guard = BufferGuard(module)
    guard.remember()
    module.queue = torch.full((2,), math.nan)
    guard.restore_if(torch.tensor(True))
    assert module.queue.tolist() == [0, 0]


def test_optimizer_state_goes_by_parameter_name():
    model, other = toy_model(), toy_model()
    recipe = OptimisationRecipe(total_steps=1)
    optimizer, fresh = make_optimizer(model, recipe), make_optimizer(other, recipe)
    model({"x": torch.randn(4, 6), "y": torch.randn(4, 6)}).loss.backward()
    optimizer.step()
    tensors = optimizer_tensors(model, optimizer)
    assert {"exp_avg/encoder.weight", "exp_avg_sq/norm.bias", "step/encoder.bias"} <= set(tensors)
    assert not any("unused" in name for name in tensors)
    load_optimizer_tensors(other, fresh, tensors)
    again = optimizer_tensors(other, fresh)
    assert all(torch.equal(tensors[name], again[name]) for name in tensors | again)


@pytest.mark.parametrize("key", ["exp_avg/nothing", "exp_avg/encoder.bias", "nonsense"])
def test_optimizer_state_of_another_model_is_refused(key):
    model = toy_model()
    optimizer = make_optimizer(model, OptimisationRecipe(total_steps=1))
    with pytest.raises(CheckpointError, match="fits no parameter"):
        load_optimizer_tensors(model, optimizer, {key: torch.zeros(2)})
