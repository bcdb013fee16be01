"""`snpkit pretrain`: train a model by a recipe."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from snpkit.errors import UserError

if TYPE_CHECKING:
    from snpkit.training.recipe import Recipe
    from snpkit.training.run import TrainingResult
    from snpkit.training.setup import Setup

# `--set a=1 b=2 --set c=3` applies all three.
Changes = Annotated[
    tuple[tuple[str, ...], ...],
    tyro.conf.arg(name="set", metavar="FIELD=VALUE ..."),
    tyro.conf.UseAppendAction,
]


def pretrain(
    recipe: tyro.conf.Positional[str] = "laptop",
    data: Path | None = None,
    layout: str | None = None,
    output: Path | None = None,
    train: str = "train",
    held_out: str = "validation",
    text: str | None = None,
    start: str | None = None,
    changes: Changes = (),
    seed: int | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> int:
    """Pre-train by a recipe: all losses, with evaluation, checkpoints and exact resume.

    Args:
        recipe: laptop, gpu_subset, coco_vg_resnet, coco_vg_pvt, webvid_swin, or a .yaml or
            .json file of your own.
        data: Manifest (manifest.jsonl), or the folder of a data set as its authors
            publish it, such as WebVid, CC3M or COCO; by default the generated corpus.
        layout: Which data set, if the folder holds several: `snpkit verify FOLDER` names them.
        output: Folder of the run; runs/RECIPE by default.
        train: Split to train on.
        held_out: Split to evaluate on; "none" leaves evaluation out.
        text: BERT directory or hub id that initialises the shared network; by default the recipe's
            model.text_pretrained.
        start: Pre-trained checkpoint to go on from: "laptop", a folder or a hub id. The recipe's
            model section is not read then.
        changes: Fields of the recipe to change, such as optimisation.total_steps=10.
        seed: Of everything random; the recipe's own by default.
        device: auto, cpu, cuda or mps.
        resume: Continue the run that lies in the output folder.
        overwrite: Delete the run that lies in the output folder.
        progress: Show progress bars.
    """
    from snpkit.commands.data_option import read_source
    from snpkit.training import distributed
    from snpkit.training.device import choose_device
    from snpkit.training.folder import run_folder
    from snpkit.training.setup import prepare

    chosen = chosen_recipe(recipe, changes, seed, guarded=data is not None)
    if chosen.task.name != "pretraining":
        raise UserError(
            f"The recipe {chosen.name} is for fine-tuning; use `snpkit finetune {chosen.task.name} "
            f"--recipe {recipe}`."
        )
    # Before any data is shared out: each process must know its number.
    distributed.init_if_needed(choose_device(device))
    progress = progress and distributed.is_main()
    folder = output or Path("runs") / chosen.name
    choices = {"resume": resume, "overwrite": overwrite}
    with run_folder(folder, **choices):
        source = read_source("pretraining", data, layout)
        splits = {
            "train": source.split_name(train, "--train"),
            "held_out": source.split_name(held_out, "--held-out", optional=True),
        }
        weights = {"text": text, "start": start}
        setup = prepare(chosen, source.manifest, **splits, **weights, progress=progress)
        result = run_training(setup, folder, device=device, progress=progress, **choices)
    distributed.shutdown()
    return 130 if result.stopped == "interrupted" else 0


def run_training(
    setup: "Setup",
    output: Path,
    *,
    device: str,
    progress: bool = True,
    **choices: bool,
) -> "TrainingResult":
    """Train what was set up and print how it ended, with the unreadable clips of all processes."""
    from snpkit.training import distributed
    from snpkit.training.loop import pretrain as train_model

    result = train_model(
        setup.model,
        setup.batches,
        setup.recipe,
        output=output,
        evaluate=setup.evaluation,
        tokenizer=setup.tokenizer,
        table=setup.table,
        device=device,
        progress=progress,
        **choices,
    )
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
    from snpkit.training.recipe import DataRecipe, get_recipe, override, read_recipe

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
