"""What a result rests on: the command that made it, and the machine."""

import platform
import shlex
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from snpkit.training.recipe import Recipe
    from snpkit.training.run import TrainingResult
    from snpkit.training.setup import Setup


def command_line() -> str:
    """The running command as one would type it; what is no UTF-8 in a file name is escaped."""
    line = shlex.join(["snpkit", *sys.argv[1:]])
    return line.encode(errors="backslashreplace").decode()


def machine_facts(model: "nn.Module", recipe: "Recipe | None" = None) -> dict[str, str]:
    """Device and machine; with a recipe also the number format that its forward passes had."""
    import torch

    from snpkit.training.device import autocast_dtype

    device = next(model.parameters()).device
    facts = {"Device": str(device)}
    if recipe is not None:
        dtype = autocast_dtype(recipe.optimisation.precision, device) or torch.float32
        facts["Number format"] = str(dtype).removeprefix("torch.")
    facts["Machine"] = (
        f"{platform.machine()}, {torch.get_num_threads()} threads, {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
    return facts


def run_facts(setup: "Setup", result: "TrainingResult", **more: Any) -> dict[str, Any]:
    """What the numbers of a training run rest on; `more` stands before the machine."""
    return {
        "Command": command_line(),
        "Recipe": setup.recipe.name,
        "Seed": setup.recipe.seed,
        "Steps": result.step,
        "Batch": setup.recipe.data.batch_size,
        "Training rows": len(setup.batches.dataset),
        **more,
        **machine_facts(setup.model, setup.recipe),
    }
