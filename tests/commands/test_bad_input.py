"""A user's mistake: one clear sentence, a status that is not zero, and nothing lost."""

import errno
import json
import signal
import subprocess
import sys
import time

import pytest

import snpkit
from snpkit import files
from snpkit.cli import main
from snpkit.errors import CheckpointError, UserError


def rows_of(corpus):
    return [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]


def write_rows(corpus, rows):
    (corpus / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def one_sentence(text):
    assert text.startswith("snpkit: ") and len(text.splitlines()) == 1
    assert "Traceback" not in text
    return text


def pretrain(corpus, output, *options):
    fields = ("optimisation.total_steps=1", "data.batch_size=8", "optimisation.precision=fp32")
    data = ("--data", corpus / "manifest.jsonl", "--output", output)
    return ("pretrain", "laptop", *data, "--no-progress", *options, "--set", *fields)


def test_a_missing_manifest(said, tmp_path):
    status, text = said(*pretrain(tmp_path, tmp_path / "run"))
    assert status == 2
    assert "manifest.jsonl" in one_sentence(text)


@pytest.mark.parametrize("path", ["../outside.mp4", "/etc/passwd", "C:\\clip.mp4"])
def test_a_row_that_points_outside_its_root(said, corpus, tmp_path, path):
    rows = rows_of(corpus)
    rows[3]["video"] = path
    write_rows(corpus, rows)
    status, text = said(*pretrain(corpus, tmp_path / "run"))
    assert status == 2
    assert "line 4" in one_sentence(text)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("caption", ["", "   "])
def test_an_empty_caption(said, corpus, tmp_path, caption):
    rows = rows_of(corpus)
    rows[0]["caption"] = caption
    write_rows(corpus, rows)
    status, text = said(*pretrain(corpus, tmp_path / "run"))
    assert status == 2
    assert "line 1" in one_sentence(text) and "caption" in text


def test_odd_captions_are_trained_on(said, corpus, tmp_path):
    rows = rows_of(corpus)
    odd = ["kite", "word " * 500, "a 🪁 flies", "<img src=x onerror=alert(1)> falls"]
    for row, caption in zip(rows, odd, strict=False):
        row["caption"] = caption
    write_rows(corpus, rows)
    assert said(*pretrain(corpus, tmp_path / "run"))[0] == 0


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text"])
def test_one_bad_video_is_named_and_does_not_end_the_run(corpus, tmp_path, capsys, damage):
    name = rows_of(corpus)[0]["video"]
    path = corpus / name
    whole = path.read_bytes()
    path.unlink()
    contents = {"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"no video" * 99}
    if damage in contents:
        path.write_bytes(contents[damage])
    assert main([str(part) for part in pretrain(corpus, tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "1 of 64 clips cannot be read" in said and name in said


def test_too_many_bad_videos_end_the_run(said, corpus, tmp_path):
    for row in rows_of(corpus)[:30]:
        (corpus / row["video"]).write_bytes(b"")
    status, text = said(*pretrain(corpus, tmp_path / "run"))
    assert status == 2
    assert "30 of 64" in one_sentence(text)


def test_a_run_is_not_overwritten_by_accident(said, corpus, tmp_path):
    assert said(*pretrain(corpus, tmp_path / "run"))[0] == 0
    before = (tmp_path / "run" / "last" / "model.safetensors").read_bytes()
    status, text = said(*pretrain(corpus, tmp_path / "run"))
    assert status == 2
    assert "--resume" in one_sentence(text) or "resume" in text
    assert (tmp_path / "run" / "last" / "model.safetensors").read_bytes() == before


def test_a_wrong_recipe_field_or_split(said, corpus, tmp_path):
    status, text = said(*pretrain(corpus, tmp_path / "run"), "data.bacth_size=4")
    assert status == 2 and "bacth_size" in one_sentence(text)
    status, text = said(*pretrain(corpus, tmp_path / "run", "--train", "nowhere"))
    assert status == 2 and "nowhere" in one_sentence(text)


def test_a_mistyped_field_of_the_model(said, corpus, tmp_path):
    status, text = said(*pretrain(corpus, tmp_path / "run"), "model.hiden_size=4")
    assert status == 2 and "'hidden_size'" in one_sentence(text)
    assert not (tmp_path / "run").exists()


def test_an_output_that_is_a_file(said, corpus, tmp_path):
    (tmp_path / "run").write_text("mine")
    status, text = said(*pretrain(corpus, tmp_path / "run"))
    assert status == 2 and "is a file" in one_sentence(text)
    assert (tmp_path / "run").read_text() == "mine"


def test_an_empty_folder(said, checkpoint, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    status, text = said("search", empty, "a red kite", "--checkpoint", checkpoint)
    assert status == 2
    assert "empty" in one_sentence(text)


def test_an_empty_sentence(said, checkpoint, corpus):
    status, text = said("search", corpus / "videos", " ", "--checkpoint", checkpoint)
    assert status == 2
    one_sentence(text)


@pytest.mark.parametrize("field", ["hidden_size", "num_hidden_layers", "vocab_size"])
def test_a_checkpoint_of_another_config(checkpoint, field):
    config = json.loads((checkpoint / "config.json").read_text())
    config[field] = config[field] * 2
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "checksums.json").unlink(missing_ok=True)
    (checkpoint / "training.json").unlink(missing_ok=True)
    with pytest.raises(CheckpointError, match="fit"):
        snpkit.load(checkpoint)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_checkpoint_is_named(checkpoint, name):
    content = (checkpoint / name).read_bytes()
    (checkpoint / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=name):
        snpkit.load(checkpoint)


def test_another_models_checkpoint(checkpoint):
    (checkpoint / "config.json").write_text('{"model_type": "bert"}')
    for name in ("checksums.json", "training.json"):
        (checkpoint / name).unlink(missing_ok=True)
    with pytest.raises(CheckpointError, match="'bert'"):
        snpkit.load(checkpoint)


def test_no_such_checkpoint(said, corpus):
    status, text = said("search", corpus / "videos", "a kite", "--checkpoint", "./nowhere")
    assert status == 2
    assert "nowhere" in one_sentence(text)


def test_a_full_disk_while_the_metrics_are_saved(tiny_run, tmp_path, monkeypatch):
    target = tmp_path / "metrics.json"
    target.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UserError, match="free some space"):
        files.write_json(target, {})
    assert target.read_text() == "old"


@pytest.mark.skipif(sys.platform == "win32", reason="signals work differently there")
def test_ctrl_c_saves_and_says_how_to_go_on(corpus, tmp_path):
    output = tmp_path / "run"
    command = [str(part) for part in pretrain(corpus, output)]
    command[command.index("optimisation.total_steps=1")] = "optimisation.total_steps=100000"
    process = subprocess.Popen(
        [sys.executable, "-m", "snpkit", *command, "evaluation.log_every=1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    history = output / "history.jsonl"
    limit = time.monotonic() + 120
    while not (history.exists() and history.stat().st_size) and time.monotonic() < limit:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert "--resume" in error + out
    assert (output / "last" / "model.safetensors").is_file()
    assert snpkit.load(output / "last").training["step"] >= 1
