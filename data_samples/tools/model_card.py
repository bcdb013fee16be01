"""Write the model card of a finished `snpkit run`, and ship its checkpoint.

    python -m data_samples.tools.model_card runs/long data_samples/checkpoints/laptop

The card is a README.md whose every number is read from the files of the run. A run of `snpkit
pretrain` has no metrics.json; give it what `snpkit evaluate RUN/last --json` printed:

    python -m data_samples.tools.model_card runs/hour data_samples/checkpoints/laptop \\
        --metrics hour.json --command "snpkit pretrain laptop ..." --command "snpkit ..."
"""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from inspect import signature
from pathlib import Path
from typing import Any

from snpkit.checkpoint import save_checkpoint
from snpkit.errors import UserError
from snpkit.explore.plots import (
    Picture,
    evaluation_series,
    loss_curves,
    loss_series,
    pace_curves,
    read_pace,
    recall_curves,
    to_png,
)
from snpkit.files import read_json, write_text
from snpkit.model.config import SNPConfig
from snpkit.pipeline import Pipeline, load

_ROWS = (
    ("matching", "text_to_video"),
    ("matching", "video_to_text"),
    ("reranked", "text_to_video"),
    ("reranked", "video_to_text"),
    ("chance", "text_to_video"),
)
_COLUMNS = {"r1": "R@1 %", "r5": "R@5 %", "r10": "R@10 %", "median_rank": "median rank"}


def ship(
    run: Path, output: Path, metrics: Path | None = None, commands: Sequence[str] = ()
) -> None:
    """Copy the last checkpoint of a run without its resume state, and write its card.

    Args:
        metrics: measured on the test clips; None = the run's own metrics.json.
        commands: all that led to the checkpoint, in their order, where it took more than one.

    Raises:
        UserError: the run is not finished, or the output cannot be written.
    """
    measured = read_json(metrics or run / "metrics.json")
    pipeline = load(run / "last", device="cpu")
    recipe = read_json(run / "last" / "recipe.json")
    if metrics is not None:
        measured["facts"] = _facts(pipeline, recipe) | measured["facts"]
    shutil.rmtree(output, ignore_errors=True)
    save_checkpoint(
        output,
        pipeline.model,
        training=pipeline.training,
        tokenizer=pipeline.tokenizer,
        table=pipeline.table,
        recipe=recipe,
    )
    lines = (run / "history.jsonl").read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines]
    pictures = {
        "losses.png": loss_curves(loss_series(history)),
        "recall.png": recall_curves(evaluation_series(history)),
    }
    with suppress(UserError):  # a run of a few steps has no pace
        pictures["pace.png"] = pace_curves(read_pace(history))
    for name, picture in pictures.items():
        (output / name).write_bytes(to_png(picture, scale=1.5))
    choices = [*recipe["choices"], *_departures(pipeline, recipe)]
    text = card(measured, recipe | {"choices": choices}, pictures, commands)
    write_text(output / "README.md", text)


def _facts(pipeline: Pipeline, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint itself says of its last run."""
    training = pipeline.training
    return {
        "Seed": recipe["seed"],
        "Steps": training["step"],
        "Batch": recipe["data"]["batch_size"],
        "Parameters": sum(weight.numel() for weight in pipeline.model.parameters()),
        "Training clips": training["batches"]["size"],
        "Pre-train (s)": round(training["seconds"], 1),
    }


def _departures(pipeline: Pipeline, recipe: Mapping[str, Any]) -> list[str]:
    """Where the model is not what its last recipe says: training that goes on from a checkpoint
    keeps the settings of that."""
    config, asked = pipeline.model.config, SNPConfig(**recipe["model"])
    return [
        f"Other than the recipe says, `{name}` is `{getattr(config, name)}` and not "
        f"`{getattr(asked, name)}`: the settings of the first training count."
        for name in signature(SNPConfig).parameters
        if name in recipe["model"] or name.startswith(("patch", "vision"))
        # None is what the model itself decides.
        if getattr(asked, name, None) not in (None, getattr(config, name))
    ]


def card(
    metrics: Mapping[str, Any],
    recipe: Mapping[str, Any],
    pictures: Mapping[str, Picture],
    commands: Sequence[str] = (),
) -> str:
    """The text of a model card, as Markdown.

    Args:
        metrics: of the test clips, with "facts" about the run.
        recipe: the run's recipe.json.
        pictures: file beside the card -> what is in it.
        commands: see `ship`.
    """
    facts = metrics["facts"]
    table = [f"| | {' | '.join(_COLUMNS.values())} |", f"|---|{'---|' * len(_COLUMNS)}"]
    for column, direction in _ROWS:
        values = metrics[column][direction]
        label = f"{column}, {direction.replace('_', ' ')}"
        table.append(f"| {label} | {' | '.join(f'{values[name]:.1f}' for name in _COLUMNS)} |")
    listed = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    choices = "\n".join(f"* {choice}" for choice in recipe["choices"])
    course = ""
    if commands:
        typed = "\n".join(commands)
        course = f"It took these commands; numbers are of the last one.\n\n```\n{typed}\n```\n\n"
    return _CARD.format(
        name=recipe["name"],
        queries=metrics["queries"],
        table="\n".join(table),
        facts=listed,
        choices=choices,
        course=course,
        pictures="\n\n".join(f"![{shown.alt}]({file})" for file, shown in pictures.items()),
    )


_CARD = """\
# Model card: {name}

A small SNP-S3 model (one shared BERT, a patch encoder for 64 px frames), pre-trained on generated
clips only. Load it with `snpkit.load("{name}")`.

## What it is for

Learning how SNP-S3 works, trying the tools on a laptop, and tests. It has seen the nouns,
colours, motions and scenes of the generated corpus and nothing else; how well it tells each of them
apart is under "Which words matter" in the repository's README. On real
videos its answers mean little, and it must not be used to decide anything about people.

## How well it finds

On {queries} held-out generated clips with distinct captions, whose combinations of noun, colour,
motion and scene were not trained on. Re-ranked: the 20 best matches of every query are read again
by the cross-modal pass; the score is the sum of both. Ties count as their mean rank.

{table}

## The run that made it

{course}| | |
|---|---|
{facts}

{pictures}

The recall curves are of the validation clips, which the training is watched with; the table above
is of the test clips.

## Choices

{choices}

Training data: the output of `snpkit generate` (MIT), no real videos, no people. Licence: MIT.
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished snpkit run")
    parser.add_argument("output", type=Path, help="where the checkpoint and its card go")
    parser.add_argument("--metrics", type=Path, help="output of `snpkit evaluate --json`")
    parser.add_argument("--command", action="append", default=[], dest="commands",
                        help="a command that led to the checkpoint; give each in its order")
    arguments = parser.parse_args()
    ship(arguments.run, arguments.output, arguments.metrics, arguments.commands)
    print(f"Shipped to {arguments.output}")
