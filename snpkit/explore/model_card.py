"""Write the model card of a finished `snpkit run`, and ship its checkpoint.

    python -m snpkit.explore.model_card runs/long data_samples/checkpoints/laptop

The card is a README.md whose every number is read from the files of the run.
"""

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snpkit.explore.plots import evaluation_series, loss_curves, loss_series, recall_curves, to_png
from snpkit.files import read_json, write_text
from snpkit.pipeline import load
from snpkit.training.checkpoint import save_checkpoint

_ROWS = (
    ("matching", "text_to_video"),
    ("matching", "video_to_text"),
    ("reranked", "text_to_video"),
    ("reranked", "video_to_text"),
    ("chance", "text_to_video"),
)
_COLUMNS = {"r1": "R@1 %", "r5": "R@5 %", "r10": "R@10 %", "median_rank": "median rank"}


def ship(run: Path, output: Path) -> None:
    """Copy the last checkpoint of a run without its resume state, and write its card.

    Raises:
        UserError: the run is not finished, or the output cannot be written.
    """
    metrics = read_json(run / "metrics.json")
    pipeline = load(run / "last", device="cpu")
    recipe = read_json(run / "last" / "recipe.json")
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
    losses = loss_curves(loss_series(history))
    (output / "losses.png").write_bytes(to_png(losses, scale=1.5))
    recalls = recall_curves(evaluation_series(history))
    (output / "recall.png").write_bytes(to_png(recalls, scale=1.5))
    write_text(output / "README.md", card(metrics, recipe, losses.alt, recalls.alt))


def card(metrics: Mapping[str, Any], recipe: Mapping[str, Any], losses: str, recalls: str) -> str:
    """The text of a model card, as Markdown.

    Args:
        metrics: the run's metrics.json.
        recipe: the run's recipe.json.
        losses, recalls: alt texts of the two pictures beside the card.
    """
    facts = metrics["facts"]
    table = [f"| | {' | '.join(_COLUMNS.values())} |", f"|---|{'---|' * len(_COLUMNS)}"]
    for column, direction in _ROWS:
        values = metrics[column][direction]
        label = f"{column}, {direction.replace('_', ' ')}"
        table.append(f"| {label} | {' | '.join(f'{values[name]:.1f}' for name in _COLUMNS)} |")
    listed = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    choices = "\n".join(f"* {choice}" for choice in recipe["choices"])
    return _CARD.format(
        name=recipe["name"],
        queries=metrics["queries"],
        table="\n".join(table),
        facts=listed,
        choices=choices,
        losses=losses,
        recalls=recalls,
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

| | |
|---|---|
{facts}

![{losses}](losses.png)

![{recalls}](recall.png)

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
    arguments = parser.parse_args()
    ship(arguments.run, arguments.output)
    print(f"Shipped to {arguments.output}")
