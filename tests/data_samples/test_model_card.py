"""The model card says what the run's files say, and the shipped checkpoint loads."""

import hashlib
import json
import shutil

import pytest
import torch

import snpkit
from data_samples.tools.model_card import ship
from snpkit.errors import UserError


@pytest.fixture(scope="module")
def shipped(tiny_run, tmp_path_factory):
    output = tmp_path_factory.mktemp("shipped") / "tiny"
    ship(tiny_run / "run", output)
    return output


def test_the_card_holds_the_measured_numbers(tiny_run, shipped):
    card = (shipped / "README.md").read_text()
    metrics = json.loads((tiny_run / "run" / "metrics.json").read_text())
    for column in ("matching", "reranked", "chance"):
        values = metrics[column]["text_to_video"]
        row = " | ".join(f"{values[name]:.1f}" for name in ("r1", "r5", "r10", "median_rank"))
        assert f"| {column}, text to video | {row} |" in card
    for fact in ("Command", "Seed", "Steps", "Pre-train (s)", "Machine"):
        assert f"| {fact} | {metrics['facts'][fact]} |" in card
    assert "(losses.png)" in card and (shipped / "losses.png").stat().st_size > 1000


def test_the_shipped_checkpoint_is_the_trained_one_without_resume_state(tiny_run, shipped):
    assert not (shipped / "resume.safetensors").exists()
    ours, theirs = snpkit.load(shipped).model, snpkit.load(tiny_run / "run" / "last").model
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name]), name


def test_an_unfinished_run_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"metrics\.json"):
        ship(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_metrics_and_commands_may_come_from_outside(tiny_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run / "run", run)
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").unlink()
    metrics["facts"] = {"Command": "snpkit evaluate run/last --json", "Machine": "mine"}
    (tmp_path / "measured.json").write_text(json.dumps(metrics))
    commands = ["snpkit pretrain laptop", "snpkit pretrain laptop --start first"]
    ship(run, tmp_path / "out", tmp_path / "measured.json", commands)
    card = (tmp_path / "out" / "README.md").read_text()
    training = json.loads((run / "last" / "training.json").read_text())
    assert "```\n" + "\n".join(commands) + "\n```" in card
    assert f"| Steps | {training['step']} |" in card
    assert f"| Training clips | {training['batches']['size']} |" in card
    assert "| Command | snpkit evaluate run/last --json |" in card


def test_the_card_says_where_the_model_departs_from_the_recipe(tiny_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run / "run", run)
    ship(run, tmp_path / "same")
    assert "Other than the recipe" not in (tmp_path / "same" / "README.md").read_text()
    path = run / "last" / "recipe.json"
    recipe = json.loads(path.read_text())
    recipe["model"]["negatives"] = 5
    path.write_text(json.dumps(recipe))
    sums = run / "last" / "checksums.json"
    kept = json.loads(sums.read_text())
    content = path.read_bytes()
    kept["recipe.json"] = {
        "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    sums.write_text(json.dumps(kept))
    ship(run, tmp_path / "other")
    card = (tmp_path / "other" / "README.md").read_text()
    assert "`negatives` is `3` and not `5`" in card
