"""`snpkit finetune`: retrieval, question answering or multiple choice."""

from functools import partial
from typing import TYPE_CHECKING, Literal

import tyro

from snpkit.commands.training import TrainingOptions, train

if TYPE_CHECKING:
    from snpkit.data.samples import Manifest
    from snpkit.training.run import TrainingResult
    from snpkit.training.setup import Setup


def finetune(
    task: tyro.conf.Positional[Literal["retrieval", "qa", "multichoice"]],
    start: str = "laptop",
    recipe: str | None = None,
    test: str | None = "test",
    common: tyro.conf.OmitArgPrefixes[TrainingOptions] = TrainingOptions(),  # noqa: B008 (frozen)
) -> int:
    """Fine-tune a pre-trained model for a task, and measure it on held-out rows.

    Args:
        task: retrieval, qa (question answering) or multichoice.
        start: "laptop", a checkpoint folder or a hub id; "scratch" starts from random weights.
        recipe: Such as laptop_qa or msrvtt_qa, or a .yaml or .json file of your own; laptop_TASK
            by default.
        test: Split to measure the last checkpoint on; "none" leaves it out.
        common: Of data, recipe and run.
    """
    given = None if start in ("scratch", "nothing") else start
    measure = partial(_measure, start)
    return train(recipe or f"laptop_{task}", task, common, test=test, measure=measure, start=given)


def _measure(start: str, setup: "Setup", rows: "Manifest", result: "TrainingResult") -> None:
    """Measure on the test split; print it and write metrics.json."""
    from snpkit.commands.facts import run_facts
    from snpkit.commands.tables import task_table
    from snpkit.files import write_json
    from snpkit.training.setup import make_dataset

    recipe = setup.recipe
    dataset = make_dataset(recipe, rows, training=False, progress=False)
    metrics = setup.measure(setup.model, dataset)
    facts = run_facts(setup, result, Start=start, **{"Train (s)": round(result.seconds, 1)})
    unreadable = dataset.report().reasons
    write_json(result.output / "metrics.json", metrics | {"facts": facts, "unreadable": unreadable})
    print(task_table(recipe.task.name, metrics))
