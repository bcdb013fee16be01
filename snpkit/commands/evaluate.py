"""`snpkit evaluate`: retrieval metrics of a checkpoint, and how well its explanations point."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from snpkit.errors import UserError
from snpkit.files import check_output, write_text

if TYPE_CHECKING:
    from snpkit.pipeline import Pipeline

Task = Literal["retrieval", "qa", "multichoice"]
ChoiceScore = Literal["both", "cross_modal", "text_video"]


def evaluate(
    checkpoint: tyro.conf.Positional[str] = "laptop",
    task: Task | None = None,
    data: tuple[Path, ...] = (),
    root: tuple[Path, ...] = (),
    split: str = "test",
    max_tokens: int | None = None,
    clips: int | None = None,
    top_k: int = 20,
    matching_weight: float = 1.0,
    dual_softmax: bool = False,
    choice_score: ChoiceScore | None = None,
    explanations: bool = False,
    predictions: Path | None = None,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Measure a checkpoint at its task on held-out clips: retrieval, questions or choices.

    Args:
        checkpoint: "laptop", a checkpoint folder or a hub id.
        task: retrieval, qa or multichoice; by default what the checkpoint was made for. A model
            of pre-training or retrieval chooses zero-shot.
        data: Manifests of the rows, or folders with manifest.jsonl, with metadata.jsonl as
            Hugging Face's VideoFolder has it, or with shards; several are mixed in proportion to
            their sizes. By default the generated corpus. `snpkit prepare` makes manifests of public
            data sets.
        root: Folders that the paths of each manifest start from, if they are not its own.
        split: Its split to measure on.
        max_tokens: Where captions, questions and options are cut; by default where training did.
        clips: Clips per video; by default as many as the run's own evaluation took, which are as
            many as in training if its recipe says nothing else.
        top_k: Best matches that the cross-modal pass reads again; 0 leaves re-ranking out.
        matching_weight: A re-ranked score is cross-modal + this weight x matching.
        dual_softmax: Also report scores normalised over all queries (not fair to compare).
        choice_score: What multiple choice compares: both matching scores in sum, or one of them
            (the paper's own code: cross_modal); by default as the checkpoint says.
        explanations: Also explain every clip, and measure the maps against the objects' true boxes
            and the words against their true parts of speech; for generated clips.
        predictions: Also write a file of JSON lines (.jsonl): of every caption and every video the
            rank of the truth and the best found; of every question or choice what the model said
            and what is right.
        device: auto, cpu, cuda or mps.
        json: Print JSON in place of a table.
    """
    from json import dumps

    import snpkit
    from snpkit.commands.data_option import read_source
    from snpkit.commands.tables import grounding_lines, task_table
    from snpkit.evaluation.answering import commonest_by_type
    from snpkit.evaluation.tasks import evaluate_task

    if predictions is not None:
        check_output(predictions)
    pipeline = snpkit.load(checkpoint, device=device)
    config = pipeline.model.config
    task = _task(pipeline, task)
    source = read_source(task, data, root)
    manifest = source.manifest.split(source.split_name(split, "--split"))
    longest, config.clips = _limits(pipeline, max_tokens, clips)
    dataset = pipeline.dataset(manifest)
    options: dict[str, Any] = {"max_tokens": longest}
    config.choice_score = choice_score or config.choice_score
    if task == "retrieval":
        options |= {"top_k": top_k, "matching_weight": matching_weight}
        options |= {"with_dual_softmax": dual_softmax}
    elif task == "qa" and "train" in source.manifest.splits:
        options["majority"] = commonest_by_type(source.manifest.split("train").rows)
    rows: list[dict[str, Any]] | None = None if predictions is None else []
    options["predictions"] = rows
    metrics = evaluate_task(task, pipeline.model, pipeline.tokenizer, dataset, **options)
    if rows is not None:
        write_text(predictions, "".join(dumps(row) + "\n" for row in rows))
    unreadable = dataset.report()
    grounding = None
    if explanations:
        from snpkit.evaluation.grounding import measure_grounding

        grounding = measure_grounding(pipeline.explain, manifest, middle=config.frame_middle)
    if json:
        from snpkit.commands.facts import command_line, machine_facts

        more = {"explanations": asdict(grounding)} if grounding else {}
        more["facts"] = {"Command": command_line(), **machine_facts(pipeline.model)}
        print(dumps(metrics | more | {"unreadable": unreadable.reasons}, indent=2))
        return 0
    print(task_table(task, metrics))
    print(f"{metrics['queries']} captions; {unreadable}" if task == "retrieval" else unreadable)
    if grounding:
        print(grounding_lines(grounding))
    return 0


def _task(pipeline: "Pipeline", asked: Task | None) -> Task:
    """What to measure: what was asked for, else what the model was made for."""
    from snpkit.model.downstream import DOWNSTREAM

    made_for = {kind: name for name, kind in DOWNSTREAM.items()}.get(type(pipeline.model))
    task = asked or made_for or "retrieval"
    if (task == "qa") != (made_for == "qa"):
        raise UserError(
            f"{pipeline.folder} was made for {made_for or 'pre-training'} and cannot be measured "
            f"at {task}; make such a model with `snpkit finetune {task}`."
        )
    return task


def _limits(
    pipeline: "Pipeline", max_tokens: int | None, clips: int | None
) -> tuple[int, int]:
    """Tokens of a caption and clips of a video: as asked for, else as in the checkpoint's run."""
    from snpkit.model.limits import check_clips, check_lengths
    from snpkit.training.recipe import DataRecipe, EvaluationRecipe, read_recipe

    config, saved = pipeline.model.config, pipeline.folder / "recipe.json"
    data, evaluation = DataRecipe(), EvaluationRecipe()
    if saved.is_file():
        recipe = read_recipe(saved)
        data, evaluation = recipe.data, recipe.evaluation
    longest = data.max_tokens if max_tokens is None else max_tokens
    check_lengths(config, longest, "--max-tokens")
    chosen = evaluation.clips if clips is None else clips
    check_clips(config, chosen, "--clips")
    return longest, config.clips if chosen is None else chosen
