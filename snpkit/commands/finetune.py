"""`snpkit finetune`: retrieval, question answering or multiple choice."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from snpkit.commands.pretrain import Changes
from snpkit.errors import UserError

if TYPE_CHECKING:
    from snpkit.data.samples import Manifest
    from snpkit.training.finetuning import TaskSetup
    from snpkit.training.run import TrainingResult


def finetune(
    task: tyro.conf.Positional[Literal["retrieval", "qa", "multichoice"]],
    start: str = "laptop",
    recipe: str | None = None,
    data: Path | None = None,
    layout: str | None = None,
    output: Path | None = None,
    train: str = "train",
    held_out: str = "validation",
    test: str | None = "test",
    changes: Changes = (),
    seed: int | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> int:
    """Fine-tune a pre-trained model for a task, and measure it on held-out rows.

    Args:
        task: retrieval, qa (question answering) or multichoice.
        start: "laptop", a checkpoint folder or a hub id; "scratch" starts from random weights.
        recipe: Such as laptop_qa or msrvtt_qa, or a .yaml or .json file of your own; laptop_TASK
            by default.
        data: Manifest of the task's rows, or the folder of a data set as its authors
            publish it, such as MSR-VTT or MSVD-QA; by default the generated corpus.
        layout: Which data set, if the folder holds several: `snpkit verify FOLDER` names them.
        output: Folder of the run; runs/RECIPE by default.
        train: Split to train on.
        held_out: Split to choose the best checkpoint by; "none" leaves evaluation out.
        test: Split to measure the last checkpoint on; "none" leaves it out.
        changes: Fields of the recipe to change, such as optimisation.total_steps=10.
        seed: Of everything random; the recipe's own by default.
        device: auto, cpu, cuda or mps.
        resume: Continue the run that lies in the output folder.
        overwrite: Delete the run that lies in the output folder.
        progress: Show progress bars.
    """
    from snpkit.commands.data_option import read_source
    from snpkit.commands.pretrain import chosen_recipe, run_training
    from snpkit.training import distributed
    from snpkit.training.device import choose_device
    from snpkit.training.finetuning import prepare_task
    from snpkit.training.folder import run_folder

    chosen = chosen_recipe(
        recipe or f"laptop_{task}", changes, seed, guarded=data is not None
    )
    if chosen.task.name != task:
        raise UserError(f"The recipe {chosen.name} is for {chosen.task.name}, not for {task}.")
    distributed.init_if_needed(choose_device(device))
    progress = progress and distributed.is_main()
    folder = output or Path("runs") / chosen.name
    choices = {"resume": resume, "overwrite": overwrite}
    with run_folder(folder, **choices):
        source = read_source(task, data, layout)
        # All of them now: a wrong --test should not come to light at the end of a long run.
        splits = {
            "train": source.split_name(train, "--train"),
            "held_out": source.split_name(held_out, "--held-out", optional=True),
        }
        tested = source.split_name(test, "--test", optional=True)
        setup = prepare_task(
            chosen,
            source.manifest,
            start=None if start in ("scratch", "nothing") else start,
            answers=source.answers,
            progress=progress,
            **splits,
        )
        result = run_training(setup, folder, device=device, progress=progress, **choices)
        if distributed.is_main() and tested is not None and result.stopped != "interrupted":
            _measure(setup, source.manifest.split(tested), result, start)
    distributed.shutdown()
    return 130 if result.stopped == "interrupted" else 0


def _measure(setup: "TaskSetup", rows: "Manifest", result: "TrainingResult", start: str) -> None:
    """Measure on the test split; print it and write metrics.json."""
    from snpkit.commands.facts import command_line, machine_facts
    from snpkit.commands.tables import task_table
    from snpkit.files import write_json
    from snpkit.training.setup import make_dataset

    recipe = setup.recipe
    dataset = make_dataset(recipe, rows, training=False, progress=False)
    metrics = setup.measure(setup.model, dataset)
    facts = {
        "Command": command_line(),
        "Recipe": recipe.name,
        "Start": start,
        "Seed": recipe.seed,
        "Steps": result.step,
        "Batch": recipe.data.batch_size,
        "Training rows": len(setup.batches.dataset),
        "Train (s)": round(result.seconds, 1),
        **machine_facts(setup.model, recipe),
    }
    unreadable = dataset.report().reasons
    write_json(result.output / "metrics.json", metrics | {"facts": facts, "unreadable": unreadable})
    print(task_table(recipe.task.name, metrics))
