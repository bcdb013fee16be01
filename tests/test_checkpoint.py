"""A checkpoint is whole or not there; a damaged one gives way to the one before; no pickle."""

import errno
import json
import os
import random
import shutil

import pytest
import torch

from snpkit import checkpoint as checkpoints
from snpkit.checkpoint import (
    adopt,
    find_checkpoint,
    has_checkpoint,
    load_weights,
    save_checkpoint,
    verify_checkpoint,
)
from snpkit.errors import CheckpointError
from tests.training.training_toys import ToyModel, ToyTable, same_weights, toy_model


def save(folder, model=None, step=1):
    return save_checkpoint(folder, model or toy_model(), training={"step": step}, table=ToyTable(),
                           recipe={"name": "toy"}, resume={"exp_avg/w": torch.arange(5.0)})


def test_it_holds_what_it_should_and_transformers_reads_it(tmp_path):
    model = toy_model()
    folder = save(tmp_path / "deep" / "last", model)
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "significance.json", "recipe.json",
                     "training.json", "resume.safetensors", "checksums.json"}
    assert same_weights(model, ToyModel.from_pretrained(folder))
    found = find_checkpoint(folder)
    assert (found.training, found.warning) == ({"step": 1}, None)
    assert torch.equal(found.resume_tensors()["exp_avg/w"], torch.arange(5.0))


def test_a_tokenizer_is_saved_with_it(tmp_path):
    from snpkit.language.tokenizer import load_tokenizer, train_tokenizer

    tokenizer = train_tokenizer(["a red ball bounces", "a blue kite falls"], vocab_size=100)
    save_checkpoint(tmp_path / "last", toy_model(), training={}, tokenizer=tokenizer)
    verify_checkpoint(tmp_path / "last")
    assert load_tokenizer(tmp_path / "last").get_vocab() == tokenizer.get_vocab()


def test_every_file_is_json_or_safetensors(tmp_path):
    from safetensors.torch import load_file

    for path in save(tmp_path / "last").iterdir():
        assert load_file(path) if path.suffix == ".safetensors" else json.loads(path.read_text())


def test_the_one_before_is_kept(tmp_path):
    for step in (1, 2, 3):
        save(tmp_path / "last", step=step)
    assert find_checkpoint(tmp_path / "last").training == {"step": 3}
    assert verify_checkpoint(tmp_path / "last.previous").training == {"step": 2}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last", "last.previous"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "training.json",
                                  "resume.safetensors", "checksums.json", "significance.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_any_damaged_file_is_found_and_the_one_before_serves(tmp_path, name, damage):
    save(tmp_path / "last", step=1)
    save(tmp_path / "last", step=2)
    path = tmp_path / "last" / name
    content = bytearray(path.read_bytes())
    # Within a digit of checksums.json or a letter of the others: they stay readable as text.
    content[content.index(b"sha256") + 12 if name == "checksums.json" else len(content) // 2] ^= 1
    new = {"flip": content, "cut": content[: len(content) // 2], "empty": b"", "gone": None}[damage]
    path.unlink()
    if new is not None:
        path.write_bytes(new)
    with pytest.raises(CheckpointError, match=r"last"):
        verify_checkpoint(tmp_path / "last")
    found = find_checkpoint(tmp_path / "last")
    assert found.training == {"step": 1}
    assert "is used instead" in found.warning and "\n" not in found.warning


def test_after_a_fallback_the_damaged_one_does_not_push_out_the_whole_one(tmp_path, monkeypatch):
    save(tmp_path / "last", step=1)
    save(tmp_path / "last", step=2)
    (tmp_path / "last/model.safetensors").write_bytes(b"")
    adopt(find_checkpoint(tmp_path / "last"), tmp_path / "last")
    monkeypatch.setattr(checkpoints, "_swap", die_between_renames)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "last", step=3)
    assert find_checkpoint(tmp_path / "last").training == {"step": 1}


def die_between_renames(new, folder):
    shutil.rmtree(checkpoints.previous_of(folder), ignore_errors=True)
    os.replace(folder, checkpoints.previous_of(folder))
    raise KeyboardInterrupt


def test_killed_between_the_two_renames_the_one_before_serves(tmp_path, monkeypatch):
    save(tmp_path / "last", step=1)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "_swap", die_between_renames)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path / "last", step=2)
    assert has_checkpoint(tmp_path / "last")
    assert find_checkpoint(tmp_path / "last").training == {"step": 1}
    save(tmp_path / "last", step=3)  # and the leftovers are in nobody's way
    assert find_checkpoint(tmp_path / "last").training == {"step": 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last", "last.previous"]


def no_space(*arguments, **settings):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("target", [
    "snpkit.checkpoint.save_file", "snpkit.checkpoint.os.fsync",
    "snpkit.checkpoint.os.replace", "pathlib.Path.mkdir", "pathlib.Path.write_text",
    "tests.training.training_toys.ToyModel.save_pretrained",
    "tests.training.training_toys.ToyTable.save",
])
def test_a_full_disk_leaves_the_old_one_whole(tmp_path, monkeypatch, target):
    save(tmp_path / "last", step=1)
    with monkeypatch.context() as patch:
        patch.setattr(target, no_space)
        with pytest.raises(CheckpointError, match=r"disk is full.*before it is whole\.$") as error:
            save(tmp_path / "last", step=2)
    assert "\n" not in str(error.value)
    assert verify_checkpoint(tmp_path / "last").training == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_a_full_disk_under_the_tokenizer_is_one_sentence(tmp_path):
    """Its library raises nothing but a bare Exception."""

    class Full:
        def save_pretrained(self, folder):
            raise Exception("No space left on device (os error 28)")

    with pytest.raises(CheckpointError, match=r"disk is full, free some space; none was saved"):
        save_checkpoint(tmp_path / "last", toy_model(), training={}, tokenizer=Full())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
def test_the_kernels_own_full_disk(tmp_path, monkeypatch):
    def to_full_device(tensors, path):
        with open("/dev/full", "wb") as file:
            file.write(b"x" * 100_000)

    monkeypatch.setattr(checkpoints, "save_file", to_full_device)
    with pytest.raises(CheckpointError, match="the disk is full, free some space"):
        save(tmp_path / "last")


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        find_checkpoint(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        find_checkpoint(tmp_path / "empty")
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        find_checkpoint(file)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "x").symlink_to("nowhere")
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        verify_checkpoint(tmp_path / "link")


def test_a_folder_from_save_pretrained_is_taken_but_cannot_resume(tmp_path):
    toy_model().save_pretrained(tmp_path)
    found = find_checkpoint(tmp_path)
    assert found.training == {}
    with pytest.raises(CheckpointError, match="cannot resume"):
        found.resume_tensors()


def test_weights_load_bit_for_bit_and_completely(tmp_path):
    model, other = toy_model(seed=1), toy_model(seed=2)
    save(tmp_path / "last", model)
    load_weights(other, tmp_path / "last")
    assert same_weights(model, other)
    assert other.decoder.weight is other.encoder.weight


def test_weights_of_another_configuration_are_refused(tmp_path):
    save(tmp_path / "last", toy_model(width=4))
    with pytest.raises(CheckpointError, match=r"another configuration: width 4 \(here 6\)"):
        load_weights(toy_model(), tmp_path / "last")


@pytest.mark.parametrize("change", ["missing", "more", "shape"])
def test_weights_that_do_not_fit_are_refused(tmp_path, change):
    from safetensors.torch import load_file, save_file

    folder = save(tmp_path / "last")
    tensors = load_file(folder / "model.safetensors")
    if change == "missing":
        del tensors["norm.running_mean"]
    elif change == "more":
        tensors["more"] = torch.zeros(1)
    else:
        tensors["unused"] = torch.zeros(7)
    save_file(tensors, folder / "model.safetensors")
    sentence = r"norm\.running_mean is missing|more is unknown|unused is unknown or of another"
    with pytest.raises(CheckpointError, match=sentence):
        load_weights(toy_model(), folder)


def test_a_hundred_damaged_checkpoints_end_in_one_sentence(tmp_path):
    """Each either loads the true values or raises CheckpointError; nothing else."""
    whole, draw = save(tmp_path / "whole"), random.Random(0)
    truth = toy_model()
    names = sorted(path.name for path in whole.iterdir())
    refused = 0
    for number in range(100):
        folder = tmp_path / f"damaged{number}"
        shutil.copytree(whole, folder)
        path = folder / draw.choice(names)
        content = bytearray(path.read_bytes())
        for _ in range(draw.randint(1, 4)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        path.write_bytes(content[: draw.choice([len(content), draw.randrange(len(content))])])
        model = toy_model(seed=5)
        try:
            found = find_checkpoint(folder)
            load_weights(model, found.folder)
            found.resume_tensors()
        except CheckpointError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            assert same_weights(model, truth)
    assert refused >= 90


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "nul\0byte"])
def test_checksums_cannot_lead_out_of_the_folder(tmp_path, name):
    folder = save(tmp_path / "last")
    (tmp_path / "secret").write_text("x")
    sums = json.loads((folder / "checksums.json").read_text())
    sums[name] = checkpoints._fingerprint(tmp_path / "secret")
    (folder / "checksums.json").write_text(json.dumps(sums))
    with pytest.raises(CheckpointError, match="is damaged or missing"):
        verify_checkpoint(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("name", ["checksums.json", "training.json", "config.json", "recipe.json"])
def test_a_pipe_in_a_checkpoint_is_one_sentence(tmp_path, name):
    folder = save(tmp_path / "last")
    sums = json.loads((folder / "checksums.json").read_text())
    sums[name] = {"bytes": 0, "sha256": ""}  # a pipe has no bytes, so its size is as listed
    (folder / "checksums.json").write_text(json.dumps(sums))
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        verify_checkpoint(folder)
