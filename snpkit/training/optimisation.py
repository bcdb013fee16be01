"""AdamW, the learning rate of every step, and a step that a NaN cannot spoil."""

import math

import torch
from torch import Tensor, nn

from snpkit.errors import CheckpointError
from snpkit.training.sections import OptimisationRecipe


def make_optimizer(model: nn.Module, recipe: OptimisationRecipe) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only: biases, norms and logit scales are vectors.

    Every group carries "rate", the factor on its learning rate: the recipe's `encoder_rate` for the
    visual encoder, `text_rate` for the shared network, 1 for heads and all else.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = []
    for rate in dict.fromkeys((1.0, recipe.encoder_rate, recipe.text_rate)):
        some = [p for name, p in named if _rate_of(name, recipe) == rate]
        for decay, chosen in (
            (recipe.weight_decay, [p for p in some if p.ndim >= 2]),
            (0.0, [p for p in some if p.ndim < 2]),
        ):
            lr = recipe.learning_rate * rate
            groups.append({"params": chosen, "weight_decay": decay, "rate": rate, "lr": lr})
    # Fused: one kernel for all parameters, which also skips a step on the device's own word.
    fused = named[0][1].device.type in ("cpu", "cuda")
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=fused)


def _rate_of(name: str, recipe: OptimisationRecipe) -> float:
    if name.startswith("video.encoder."):
        return recipe.encoder_rate
    return recipe.text_rate if name.startswith("network.bert.") else 1.0


def total_steps(recipe: OptimisationRecipe, batches_per_epoch: int) -> int:
    """Optimiser steps of the whole run.

    Args:
        batches_per_epoch: of an epoch over videos or captions, as `data.draw` says.
    """
    if recipe.total_steps is not None:
        return recipe.total_steps
    assert recipe.epochs is not None  # the recipe checks that one of the two is set
    return max(1, round(recipe.epochs * batches_per_epoch))


def learning_rate(recipe: OptimisationRecipe, step: int, total: int) -> float:
    """The learning rate of step `step` (0-based) in a run of `total` steps: a pure function.

    Linear warm-up reaches the full rate after `warmup_steps`; "linear" and "cosine" then fall to 0
    at `total`, "step" multiplies by `gamma` at each milestone.
    """
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / (recipe.warmup_steps + 1)
    done = (step - recipe.warmup_steps) / max(1, total - recipe.warmup_steps)
    done = min(done, 1.0)
    if recipe.schedule == "linear":
        factor = 1 - done
    elif recipe.schedule == "cosine":
        factor = (1 + math.cos(math.pi * done)) / 2
    elif recipe.schedule == "step":
        position = step if recipe.epochs is None else step * recipe.epochs / total
        factor = recipe.gamma ** sum(position >= milestone for milestone in recipe.milestones)
    else:
        factor = 1.0
    return recipe.learning_rate * factor


def clip_gradients(model: nn.Module, limit: float) -> Tensor:
    """Scale the gradients down to a global norm of at most `limit`; returns the norm before, []."""
    return nn.utils.clip_grad_norm_(model.parameters(), limit)


def step_unless(optimizer: torch.optim.Optimizer, bad: Tensor) -> None:
    """One optimiser step, or none where `bad` (bool []) is true, without asking the device.

    The fused kernels read the flag themselves (the mechanism made for GradScaler), so that the
    processor need not wait for the device in every step.
    """
    if optimizer.param_groups[0]["fused"]:
        optimizer.grad_scale, optimizer.found_inf = None, bad.float()  # type: ignore[attr-defined]
        optimizer.step()
    elif not bool(bad):
        optimizer.step()


class BufferGuard:
    """Undoes what a bad batch did to the model's buffers: one NaN would stay in a batch norm's
    running mean for ever, although the step itself was skipped."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.saved: dict[str, Tensor] = {}

    def remember(self) -> None:
        """Keep the buffers as they are before a step."""
        # By name, as a model may put a new tensor in a buffer's place (a queue of keys does).
        self.saved = {name: buffer.clone() for name, buffer in self.model.named_buffers()}

    def restore_if(self, bad: Tensor) -> None:
        """Put them back where `bad` (bool []) is true."""
        for name, buffer in self.model.named_buffers():
            buffer.copy_(torch.where(bad, self.saved[name], buffer))


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state by parameter name: "exp_avg/NAME", "exp_avg_sq/NAME", "step/NAME"."""
    return {
        f"{kind}/{name}": tensor.detach().clone()
        for name, parameter in model.named_parameters()
        for kind, tensor in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    """Put back what `optimizer_tensors` gave.

    Raises:
        CheckpointError: a tensor belongs to no parameter, or has another shape.
    """
    parameters = dict(model.named_parameters())
    for key, tensor in tensors.items():
        kind, _, name = key.partition("/")
        parameter = parameters.get(name)
        if parameter is None or (kind != "step" and tensor.shape != parameter.shape):
            raise CheckpointError(
                f"The optimiser's state {key} fits no parameter of this model; "
                "the checkpoint is of another configuration."
            )
        optimizer.state[parameter][kind] = tensor.to(parameter.device)
