"""What a result rests on: the command that made it, and the machine."""

import platform
import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from snpkit.training.recipe import Recipe


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
