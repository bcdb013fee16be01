"""A training step and a forward pass, straightforwardly: one function over the padded batch, every
pair in float32, AdamW as it comes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.benchmarks import straightforward as plain
from tests.benchmarks.weights import weight_shapes


def small_random_weights(config: Any, seed: int) -> dict[str, Tensor]:
    """Float32 weights as BERT starts from, under the published names: N(0, 0.02), norms at 1."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.ones(shape) if "LayerNorm.weight" in name
        else 0.02 * torch.randn(shape, generator=generator)
        for name, shape in weight_shapes(config).items()
    }  # fmt: skip


def choices(config: Any) -> plain.Choices:
    """The options of a configuration."""
    return plain.Choices(
        heads=config.num_attention_heads, text_mlm=config.text_mlm, lvwm_stage=config.lvwm_stage,
        itm=config.itm, pooling=config.pooling,
    )  # fmt: skip


def training_step(
    weights: dict[str, Tensor], batch: dict[str, Tensor], config: Any, optimisation: Any
) -> Callable[[], dict[str, Tensor]]:
    """A function that takes one step and returns its losses.

    Args:
        optimisation: learning_rate, warmup_steps, betas, weight_decay and gradient_clip.
    """
    leaves = {name: value.requires_grad_() for name, value in weights.items()}
    matrices = [p for p in leaves.values() if p.ndim >= 2]
    vectors = [p for p in leaves.values() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}],
        betas=optimisation.betas, weight_decay=optimisation.weight_decay,
    )  # fmt: skip
    done = 0

    def step() -> dict[str, Tensor]:
        nonlocal done
        done += 1
        for group in optimizer.param_groups:
            warm = min(1.0, done / (optimisation.warmup_steps + 1))
            group["lr"] = optimisation.learning_rate * warm
        optimizer.zero_grad()
        result = plain.pretraining(leaves, batch, choices(config))
        result.loss.backward()
        torch.nn.utils.clip_grad_norm_(leaves.values(), optimisation.gradient_clip)
        optimizer.step()
        return {name: loss.detach() for name, loss in result.losses.items()}

    return step


def forward_pass(
    weights: dict[str, Tensor], batch: dict[str, Tensor], config: Any
) -> Callable[[], dict[str, Tensor]]:
    """A function that computes the losses."""

    @torch.no_grad()
    def losses() -> dict[str, Tensor]:
        return plain.pretraining(weights, batch, choices(config)).losses

    return losses
