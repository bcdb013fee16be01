"""What would spoil a run is one sentence before anything is decoded; a run that holds, holds."""

import errno
import io
import json
import os
import shutil
import sys
import threading

import pytest

from snpkit import files
from snpkit.cli import main
from snpkit.data.dataset import VideoTextDataset
from snpkit.errors import UserError
from snpkit.training import loop
from snpkit.training.run import run_folder

SMALL = ("data.batch_size=8", "optimisation.total_steps=1", "optimisation.precision=fp32")


def command(name, corpus, output, *changes):
    """The command's arguments for a run of one step in `output`."""
    if name == "run":
        counts = ("--train", "64", "--validation", "16", "--test", "48", "--steps", "1")
        return ["run", "--data", str(corpus), "--output", str(output), *counts]
    what = ["pretrain", "laptop"] if name == "pretrain" else ["finetune", "retrieval"]
    data = ["--data", str(corpus / "manifest.jsonl"), "--output", str(output), "--no-progress"]
    return [*what, *data, "--set", *SMALL, *changes]


@pytest.fixture
def nothing_is_decoded(monkeypatch):
    def decoded(*_, **__):
        pytest.fail("clips were read")

    monkeypatch.setattr(VideoTextDataset, "__init__", decoded)


@pytest.mark.usefixtures("nothing_is_decoded")
@pytest.mark.parametrize("name", ["pretrain", "finetune", "run"])
@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("file", "is a file"), ("file/below", "Not a directory"), ("n" * 256, "name too long"),
        (os.fsdecode(b"caf\xe9"), "not text"), ("closed", "Permission denied"),
        ("busy", "Another run"),
    ],
)  # fmt: skip
def test_an_unfit_output_is_one_sentence(
    said, tiny_run, tmp_path, monkeypatch, name, where, sentence
):
    (tmp_path / "file").write_text("mine")
    if where == "closed":

        def closed(path, *_):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr(os, "open", closed)
    if where == "busy":

        def busy(*_):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        monkeypatch.setattr("fcntl.flock", busy)
    status, text = said(*command(name, tiny_run / "corpus", tmp_path / where))
    assert status == 2 and sentence in text and len(text.splitlines()) == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.usefixtures("nothing_is_decoded")
@pytest.mark.parametrize(
    ("name", "monitor", "better"),
    [
        ("pretrain", "matching.text_to_video.r11", "matching.text_to_video.r1"),
        ("pretrain", "accuracy", "such as"),
        ("finetune", "reranked.text_to_vide.r1", "reranked.text_to_video.r1"),
    ],
)
def test_a_metric_that_no_evaluation_gives_is_found_out_before(
    said, tiny_run, tmp_path, name, monitor, better
):
    change = f"evaluation.monitor={monitor}"
    status, text = said(*command(name, tiny_run / "corpus", tmp_path / "run", change))
    assert status == 2 and f"'{monitor}'" in text and better in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["pretrain", "run"])
def test_a_folder_is_held_until_the_last_file_is_written(tiny_run, tmp_path, monkeypatch, name):
    """Nobody else gets it while the run trains, nor while it measures and writes its report."""
    output, refused = tmp_path / "run", []

    def ask(moment):
        def start():
            with pytest.raises(UserError, match="Another run is writing"), run_folder(output):
                pytest.fail("taken twice")
            refused.append(moment)

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()

    def watch(module, function):
        real = getattr(module, function)

        def watched(*arguments, **options):
            ask(function)
            return real(*arguments, **options)

        monkeypatch.setattr(module, function, watched)

    watch(loop, "train_step")
    watch(files, "write_json")
    assert main(command(name, tiny_run / "corpus", output)) == 0
    assert refused[0] == "train_step" and refused.count("write_json") >= (name == "run")
    assert not (output / ".lock").exists()


def test_other_captions_do_not_continue_a_run_and_leave_it_as_it_was(said, corpus, tmp_path):
    assert said(*command("pretrain", corpus, tmp_path / "run"))[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    manifest = corpus / "manifest.jsonl"
    whole = manifest.read_text()
    rows = [json.loads(line) for line in whole.splitlines()]
    captions = [row["caption"] for row in rows]
    for row, caption in zip(rows, captions[1:] + captions[:1], strict=True):
        row["caption"] = caption
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    longer = [*command("pretrain", corpus, tmp_path / "run"), "--resume"]
    status, text = said(*longer)
    assert status == 2 and "other training rows" in text and len(text.splitlines()) == 1
    after = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert before == after
    manifest.write_text(whole)
    assert said(*longer)[0] == 0


def test_a_name_that_the_terminal_cannot_show_is_escaped(tiny_run, tmp_path, monkeypatch):
    written = io.BytesIO()
    terminal = io.TextIOWrapper(written, encoding="ascii", errors="strict")
    output = tmp_path / "Läufe" / "字"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        assert main(command("pretrain", tiny_run / "corpus", output)) == 0
    assert rb"L\xe4ufe/\u5b57" in written.getvalue()
    assert (output / "last/model.safetensors").is_file()


def test_a_corpus_whose_videos_are_gone_is_made_again(corpus):
    shutil.rmtree(corpus / "videos")
    counts = ("--train", "64", "--validation", "16", "--test", "48", "--workers", "1")
    assert main(["generate", "--output", str(corpus), *counts]) == 0
    assert len(list((corpus / "videos").iterdir())) == 128
