"""From a task's rows and a checkpoint, or nothing, to a fine-tuned model: the real loop."""

import json

import pytest
import torch
from training_toys import same_weights

import snpkit
from snpkit.cli import main
from snpkit.data.samples import Manifest, VideoText
from snpkit.data.synthetic import generate_corpus
from snpkit.data.synthetic.tasks import write_tasks
from snpkit.data.task_rows import label_set
from snpkit.errors import UserError
from snpkit.training.loop import pretrain
from snpkit.training.recipe import get_recipe, override
from snpkit.training.setup import prepare

SHORT = {
    "data.batch_size": 8, "optimisation.total_steps": 6, "optimisation.warmup_steps": 1,
    "evaluation.every": 3, "evaluation.checkpoint_every": 3, "evaluation.log_every": 1,
}  # fmt: skip
FILES = {"retrieval": "manifest.jsonl", "qa": "questions.jsonl", "multichoice": "choices.jsonl"}
MONITORED = {"retrieval": "matching.text_to_video.r1", "qa": "accuracy", "multichoice": "accuracy"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    manifest = generate_corpus(folder, train=24, validation=8, test=8, size=64, seconds=1.0,
                               workers=1, progress=False)  # fmt: skip
    write_tasks(manifest)
    return folder


def setup_of(corpus, task, start="laptop", **changes):
    recipe = override(get_recipe(f"laptop_{task}"), SHORT | changes)
    manifest = Manifest.load(corpus / FILES[task])
    return prepare(recipe, manifest, start=start, progress=False)


@pytest.mark.parametrize("task", FILES)
def test_attention_is_computed_as_the_recipe_says_whatever_training_starts_from(corpus, task):
    for start in ("laptop", None):
        for asked in ("eager", "sdpa"):
            model = setup_of(corpus, task, start, **{"model.attn_implementation": asked}).model
            layer = model.network.bert.encoder.layer[0].attention.self
            assert layer.config._attn_implementation == asked


@pytest.mark.parametrize("task", FILES)
def test_a_run_learns_is_measured_and_resumes_to_the_same_weights(corpus, tmp_path, task):
    def run(name, evaluate=None, **options):
        setup = setup_of(corpus, task)
        result = pretrain(
            setup.model, setup.batches, setup.recipe, output=tmp_path / name,
            evaluate=evaluate or setup.evaluation, tokenizer=setup.tokenizer, table=setup.table,
            device="cpu", progress=False, **options,
        )  # fmt: skip
        return setup, result

    setup, result = run("whole")
    assert result.stopped == "finished" and result.step == 6
    assert MONITORED[task] in result.best

    def dies_at_the_end(model, step):
        if step == 6:
            raise RuntimeError("power cut")
        return {MONITORED[task]: 1.0}

    with pytest.raises(RuntimeError, match="power cut"):
        run("cut", dies_at_the_end)
    resumed, result = run("cut", resume=True)
    assert result.step == 6
    assert same_weights(setup.model, resumed.model)
    loaded = snpkit.load(tmp_path / "whole" / "last", device="cpu")
    assert type(loaded.model) is type(setup.model)
    assert same_weights(setup.model, loaded.model)
    assert setup.evaluate(setup.model) == setup.evaluate(loaded.model)
    lines = (tmp_path / "whole" / "history.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines if "loss" in json.loads(line)]
    # Of a model that errs in none of eight clips the loss is 0, but for rounding.
    assert all(-1e-5 < loss < 100 for loss in losses)


def test_the_recipe_decides_the_head_the_score_and_the_middle_frame(corpus):
    given = {"task.answer_head": "linear", "task.choice_score": "cross_modal"}
    for start in ("laptop", None):
        changes = given | {"data.middle": "lower"}
        asked = setup_of(corpus, "qa", start, **changes)
        assert isinstance(asked.model.answer_head, torch.nn.Linear)
        assert (asked.batches.dataset.middle, asked.held_out.middle) == ("lower", "lower")
        chosen = setup_of(corpus, "multichoice", start, **changes).model.config
        assert (chosen.choice_score, chosen.frame_middle) == ("cross_modal", "lower")


def test_from_scratch_it_has_its_own_words_and_other_weights(corpus):
    given, nothing = setup_of(corpus, "qa"), setup_of(corpus, "qa", start=None)
    assert nothing.table is None and given.table is not None
    assert nothing.model.answers == given.model.answers
    sizes = [sum(p.numel() for p in setup.model.video.parameters()) for setup in (given, nothing)]
    assert sizes[0] == sizes[1]
    weights = [setup.model.video.projection.state_dict() for setup in (given, nothing)]
    shipped = snpkit.load("laptop", device="cpu").model.video
    assert same_weights(given.model.video, shipped)
    assert weights[0].keys() == weights[1].keys()
    first = [next(iter(setup.model.video.parameters())) for setup in (given, nothing)]
    assert not torch.equal(*first)


def test_the_label_set_is_of_the_training_split(corpus):
    rows = Manifest.load(corpus / "questions.jsonl").split("train").rows
    answers = [row.extra["answer"] for row in rows]
    setup = setup_of(corpus, "qa")
    assert set(setup.model.answers) == set(answers)
    few = label_set(rows, 3)
    counted = sorted(set(answers), key=lambda answer: (-answers.count(answer), answer))
    assert few == counted[:3]
    with pytest.raises(UserError, match="nothing to learn"):
        label_set([row for row in rows if row.extra["answer"] == "one"], 10)


def test_the_label_set_that_a_data_set_brings_along(corpus):
    rows = Manifest.load(corpus / "questions.jsonl").split("train").rows
    given = ["never asked", " Red ", "one", "red", "two"]
    assert label_set(rows, 2, given) == ["never asked", "red", "one", "two"]
    with pytest.raises(UserError, match="No training question"):
        label_set(rows, 100, ["elephant", "giraffe"])
    with pytest.raises(UserError, match="'one'; there is nothing to learn"):
        label_set([row for row in rows if row.extra["answer"] == "one"], 10, given)
    unknown = [VideoText("1", "a.mp4", "what?", "train", extra={"answer": None, "label": -1})]
    with pytest.raises(UserError, match="No training question"):
        label_set(unknown, 10)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["qa", "--recipe", "laptop_multichoice"], "is for multichoice, not for qa"),
        (["qa", "--recipe", "laptop"], "is for pretraining"),
        (["qa", "--data", "manifest.jsonl"], 'has no "answer"'),
        (["multichoice", "--data", "questions.jsonl"], 'has no "options"'),
        (["qa", "--set", "data.frames=2"], "trained on 4 frames of 64 px"),
        (["qa", "--start", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_one_sentence(corpus, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(corpus)
    if "--data" not in arguments:
        arguments = [*arguments, "--data", "questions.jsonl"]
    assert main(["finetune", *arguments, "--output", str(tmp_path / "run"), "--no-progress"]) == 2
    message = capsys.readouterr().err.strip().splitlines()
    assert len(message) == 1 and said in message[0]
    assert not (tmp_path / "run").exists()


def test_the_command_measures_and_evaluate_agrees(corpus, tmp_path, capsys):
    data = str(corpus / "questions.jsonl")
    changes = [f"{name}={value}" for name, value in SHORT.items()]
    command = ["finetune", "qa", "--data", data, "--output", str(tmp_path / "run"), "--set"]
    assert main([*command, *changes, "--seed", "1", "--no-progress"]) == 0
    shown = capsys.readouterr().out
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert "always the commonest answer" in shown and f"{written['accuracy']:.1f}" in shown
    assert main(["evaluate", str(tmp_path / "run" / "last"), "--data", data, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    for name in ("accuracy", "commonest", "by_type"):
        assert measured[name] == pytest.approx(written[name])
    assert main(["evaluate", "laptop", "--task", "qa", "--data", data]) == 2
    assert "snpkit finetune qa" in capsys.readouterr().err
    choices = ["--task", "multichoice", "--data", str(corpus / "choices.jsonl")]
    assert main(["evaluate", "laptop", *choices]) == 0
    assert "choosing by both scores" in capsys.readouterr().out
    found = {}
    for score, column in (("cross_modal", "cross_modal"), ("text_video", "matching")):
        assert main(["evaluate", "laptop", *choices, "--choice-score", score, "--json"]) == 0
        found[score] = json.loads(capsys.readouterr().out)
        assert found[score]["accuracy"] == found[score][column]
        assert found[score]["choice_score"] == score
