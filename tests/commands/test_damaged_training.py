"""Training on a set of which a tenth is damaged: it ends, with the right counts."""

import json

import pytest

from snpkit.cli import main
from snpkit.commands.training import chosen_recipe
from snpkit.data import dataset, decoding
from snpkit.data.synthetic import generate_corpus
from tests.data import misbehaving

CLIPS = 40
STEPS = 6
TINY = (
    "data.batch_size=8", "data.size=32", "data.clips=1", "data.frames=2",
    "data.guard_seconds=3", "model.num_hidden_layers=1", "model.hidden_size=32",
    "model.intermediate_size=32", "model.num_attention_heads=2",
    f"optimisation.total_steps={STEPS}", "optimisation.warmup_steps=1", "evaluation.log_every=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Forty clips: one is cut short, one no video; one hangs its decoder, one crashes it."""
    folder = tmp_path_factory.mktemp("corpus")
    counts = {"train": CLIPS, "validation": 4, "test": 1, "size": 32, "seconds": 0.5}
    generate_corpus(folder, workers=1, progress=False, **counts)
    path = folder / "manifest.jsonl"
    lines = path.read_text().splitlines()
    training = [json.loads(line)["video"] for line in lines if json.loads(line)["split"] == "train"]
    cut = folder / training[3]
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 3])
    (folder / training[11]).write_text("no video")
    text = path.read_text()
    for place, name in zip((20, 33), misbehaving.NAMES, strict=True):
        (folder / training[place]).rename(folder / "videos" / name)
        text = text.replace(training[place], f"videos/{name}")
    path.write_text(text)
    return folder, {training[3], training[11], *(f"videos/{name}" for name in misbehaving.NAMES)}


@pytest.mark.parametrize("reading", ["data.cache=true", "data.cache=false"])
def test_training_ends_and_counts_them(damaged, reading, tmp_path, capsys, monkeypatch):
    folder, bad = damaged
    monkeypatch.setattr(dataset, "read_clips", misbehaving.read)
    monkeypatch.setattr(decoding, "open_index", misbehaving.index)
    fields = ["--set", *TINY, reading, "data.workers=2"]
    command = ["pretrain", "laptop", "--data", str(folder), "--output", str(tmp_path / "run")]
    assert main([*command, "--no-progress", "--device", "cpu", *fields]) == 0
    said = capsys.readouterr().out
    assert f"finished at step {STEPS}; 4 of {CLIPS} clips cannot be read" in said
    history = [json.loads(line) for line in (tmp_path / "run/history.jsonl").open()]
    steps = [line for line in history if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, STEPS + 1))
    assert all(line["loss"] is not None and not line.get("skipped") for line in steps)
    assert any("evaluation" in line for line in history)
    named = [name for name in bad if name.rpartition("/")[2] in said]
    assert len(named) == 3  # the sentence names three and counts the fourth
    assert "(and 1 more)" in said


@pytest.mark.parametrize(
    ("name", "given", "changes", "seconds"),
    [
        ("laptop", False, (), 0),  # its clips are generated
        ("laptop", True, (), 60),
        ("laptop", True, (("data.guard_seconds=0",),), 0),
        ("gpu_subset", False, (), 60),
        ("gpu_subset", True, (("data.guard_seconds=5",),), 5),
    ],
)
def test_clips_of_the_users_own_are_read_behind_a_guard(name, given, changes, seconds):
    assert chosen_recipe(name, changes, None, guarded=given).data.guard_seconds == seconds
