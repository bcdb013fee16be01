"""What `snpkit pretrain` and `finetune` share: options, the choice of a recipe, the run itself."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from snpkit.errors import UserError

if TYPE_CHECKING:
    from snpkit.data.samples import Manifest
    from snpkit.training.recipe import Recipe
    from snpkit.training.run import TrainingResult
    from snpkit.training.setup import Setup

# `--set a=1 b=2 --set c=3` applies all three.
Changes = Annotated[
    tuple[tuple[str, ...], ...],
    tyro.conf.arg(name="set", metavar="FIELD=VALUE ..."),
    tyro.conf.UseAppendAction,
]


@dataclass(frozen=True)
class TrainingOptions:
    """What both commands take.

    Attributes:
        data: Manifests of the task's rows, or folders with manifest.jsonl, with metadata.jsonl as
            Hugging Face's VideoFolder has it, or with shards; several are mixed in proportion to
            their sizes. By default the generated corpus. `snpkit prepare` makes manifests of public
            data sets.
        root: Folders that the paths of each manifest start from, if they are not its own.
        output: Folder of the run; runs/RECIPE by default.
        train: Split to train on.
        held_out: Split to choose the best checkpoint by; "none" leaves evaluation out.
        significance: Table of significant words from `snpkit mine`, or in the published code's
            form; by default the training captions are mined, or the checkpoint's own is taken.
        changes: Fields of the recipe to change, such as optimisation.total_steps=10.
        seed: Of everything random; the recipe's own by default.
        device: auto, cpu, cuda or mps.
        resume: Continue the run that lies in the output folder.
        overwrite: Delete the run that lies in the output folder.
        progress: Show progress bars.
    """

    data: tuple[Path, ...] = ()
    root: tuple[Path, ...] = ()
    output: Path | None = None
    train: str = "train"
    held_out: str = "validation"
    significance: Path | None = None
    changes: Changes = ()
    seed: int | None = None
    device: str = "auto"
    resume: bool = False
    overwrite: bool = False
    progress: bool = True


def train(
    recipe: str,
    task: str,
    options: TrainingOptions,
    *,
    test: str | None = None,
    measure: "Callable[[Setup, Manifest, TrainingResult], None] | None" = None,
    **weights: str | None,
) -> int:
    """Train by a recipe, from its data to its last checkpoint; the command's exit status.

    Args:
        test: split that `measure` is called with when the run has not been interrupted.
        weights: where the first weights come from, see `snpkit.training.setup.prepare`.
    """
    from snpkit.commands.data_option import read_source
    from snpkit.training import distributed
    from snpkit.training.device import choose_device
    from snpkit.training.run import run_folder
    from snpkit.training.setup import prepare

    guarded = bool(options.data)
    chosen = chosen_recipe(recipe, options.changes, options.seed, guarded=guarded)
    own = chosen.task.name
    if own != task:
        command = "pretrain" if own == "pretraining" else f"finetune {own} --recipe"
        raise UserError(f"The recipe {chosen.name} is for {own}, not for {task}; use "
                        f"`snpkit {command} {recipe}`.")  # fmt: skip
    # Before any data is shared out: each process must know its number.
    distributed.init_if_needed(choose_device(options.device))
    progress = options.progress and distributed.is_main()
    output = options.output or Path("runs") / chosen.name
    choices = {"resume": options.resume, "overwrite": options.overwrite}
    with run_folder(output, **choices):
        source = read_source(task, options.data, options.root)
        splits = {
            "train": source.split_name(options.train, "--train"),
            "held_out": source.split_name(options.held_out, "--held-out", optional=True),
        }
        # Now: a wrong --test should not come to light at the end of a long run.
        tested = source.split_name(test, "--test", optional=True)
        setup = prepare(
            chosen, source.manifest, answers=source.answers, significance=options.significance,
            progress=progress, **splits, **weights,
        )  # fmt: skip
        result = run_training(setup, output, device=options.device, progress=progress, **choices)
        interrupted = result.stopped == "interrupted"
        if measure and tested is not None and distributed.is_main() and not interrupted:
            measure(setup, source.manifest.split(tested), result)
    distributed.shutdown()
    return 130 if interrupted else 0


def run_training(
    setup: "Setup", output: Path, *, device: str, progress: bool = True, **choices: bool
) -> "TrainingResult":
    """Train what was set up and print how it ended, with the unreadable clips of all processes."""
    from snpkit.training import distributed
    from snpkit.training.loop import pretrain

    result = pretrain(
        setup.model, setup.batches, setup.recipe, output=output, evaluate=setup.evaluation,
        tokenizer=setup.tokenizer, table=setup.table, device=device, progress=progress, **choices,
    )  # fmt: skip
    unreadable = setup.batches.unreadable()
    if distributed.is_main():
        print(f"{result.stopped} at step {result.step}; {unreadable}; checkpoints in {output}")
    return result


def chosen_recipe(
    name: str,
    changes: Iterable[Iterable[str]],
    seed: int | None,
    *,
    guarded: bool = False,
) -> "Recipe":
    """The recipe of a name or of a file, with changes such as "data.batch_size=16".

    Args:
        changes: what each `--set` was given.
        guarded: read clips behind a guard, also where the named recipe trusts its own ones.
    """
    from snpkit.training.recipe import get_recipe, override, read_recipe
    from snpkit.training.sections import DataRecipe

    is_file = name.endswith((".json", ".yaml", ".yml"))
    chosen = read_recipe(name) if is_file else get_recipe(name)
    asked = dict(_change(text) for given in changes for text in given)
    if seed is not None:
        asked["seed"] = seed
    if guarded and not is_file and not chosen.data.guard_seconds:
        asked = {"data.guard_seconds": DataRecipe().guard_seconds} | asked
    return override(chosen, asked)


def _change(text: str) -> tuple[str, Any]:
    """ "a.b=1" -> ("a.b", 1); a value that is no JSON is text."""
    import json

    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set takes FIELD=VALUE, not {text!r}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
