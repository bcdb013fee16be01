"""The folder of a run: one process at a time, and what is wrong with it is one sentence."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from training_toys import ToyBatches, toy_recipe, train

from snpkit import checkpoint
from snpkit.errors import CheckpointError, UserError
from snpkit.files import read_json
from snpkit.training.history import History, read_history
from snpkit.training.run import run_folder

HOLD = "import sys, time; from snpkit.training.run import run_folder\n" \
       "with run_folder(sys.argv[1]): print('held', flush=True); time.sleep(300)"  # fmt: skip


def refusal(output, **choices):
    with pytest.raises(UserError) as error, run_folder(output, **choices):
        pytest.fail("the folder was taken")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_another_process_waits_and_a_killed_one_is_no_hindrance(tmp_path):
    output = tmp_path / "run"
    other = subprocess.Popen([sys.executable, "-c", HOLD, output], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"
    assert "Another run is writing to" in refusal(output, resume=True)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    assert (output / ".lock").exists()  # the file stays, the lock does not
    with run_folder(output):
        pass
    assert not output.joinpath(".lock").exists()


def test_another_thread_waits_and_the_same_one_may_ask_again(tmp_path):
    said = []

    def ask():
        said.append(refusal(tmp_path))

    with run_folder(tmp_path), run_folder(tmp_path):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        with run_folder(tmp_path / "other"):
            pass
        assert "Another run" in refusal_in_process(tmp_path)
    assert len(said) == 1 and "Another run" in said[0]
    with run_folder(tmp_path):
        pass


def refusal_in_process(output):
    done = subprocess.run([sys.executable, "-c", HOLD, output], capture_output=True, text=True)
    return done.stderr.strip().splitlines()[-1]


def test_a_folder_in_which_nothing_came_about_is_taken_away_again(tmp_path):
    with pytest.raises(KeyError), run_folder(tmp_path / "runs/a/b"):
        raise KeyError
    assert not any(tmp_path.iterdir())
    with pytest.raises(KeyError), run_folder(tmp_path / "runs/a"):
        (tmp_path / "runs/a/mine").write_text("")
        raise KeyError
    assert [path.name for path in (tmp_path / "runs/a").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("file", "is a file"), ("file/below", "Not a directory"), ("n" * 256, "name too long"),
        (os.fsdecode(b"caf\xe9"), r"caf\udce9"), ("closed", "Permission denied"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_folder_is_one_sentence(tmp_path, monkeypatch, name, said):
    (tmp_path / "file").write_text("mine")
    if name == "closed":  # as for a user who is not root
        def closed(path, *_):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr(os, "open", closed)
    assert said in refusal(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_system_without_locks_does_not_keep_anybody_from_training(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    with run_folder(tmp_path / "run") as held:
        assert held.is_dir()


def remove(output):
    for path in sorted(output.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    output.rmdir()


def test_a_folder_that_is_removed_during_the_run_ends_it(tmp_path, capfd):
    output = tmp_path / "run"
    batches = ToyBatches(on_step=lambda step: step == 6 and remove(output))
    with pytest.raises(CheckpointError, match=r"run was removed while the run was writing to it"):
        train(output, batches=batches)
    assert not output.exists()
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("saved_before", [False, True])
def test_a_folder_that_becomes_read_only_ends_the_run(tmp_path, monkeypatch, capfd, saved_before):
    """Only what was saved before is called whole; root may write everywhere, so it is acted."""
    def close_folder(step):
        if step == (6 if saved_before else 2):
            monkeypatch.setattr(Path, "mkdir", closed)

    def closed(path, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with pytest.raises(CheckpointError) as error:
        train(tmp_path, recipe=toy_recipe(evaluation__every=100),
              batches=ToyBatches(on_step=close_folder))
    ending = "the one saved before it is whole." if saved_before else "none was saved before it."
    assert str(error.value).endswith(f"last: Permission denied; {ending}")
    assert (tmp_path / "last").exists() == saved_before
    assert "Traceback" not in "".join(capfd.readouterr())


def fill_the_disk(*files):
    """From now on the operating system has no room for what these files are given."""
    for file in files:
        os.dup2(os.open("/dev/full", os.O_WRONLY), file.fileno())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux only")
@pytest.mark.parametrize("what", ["history", "board"])
def test_a_full_disk_is_one_sentence_and_no_traceback(tmp_path, monkeypatch, capfd, what):
    """The history ends the run, which goes on from its checkpoint; TensorBoard's copy does not."""
    pytest.importorskip("tensorboard")
    opened, made = [], History.__init__

    def remember(history, *arguments, **options):
        made(history, *arguments, **options)
        opened.append(history)

    def fill(step):
        if step == 6:
            fill_the_disk(opened[-1].file if what == "history" else opened[-1].board.file)

    monkeypatch.setattr(History, "__init__", remember)
    batches = ToyBatches(on_step=fill)
    if what == "history":
        with pytest.raises(UserError, match=r"history\.jsonl: No space left on device; free some"):
            train(tmp_path, batches=batches)
        assert read_json(tmp_path / "last/training.json")["step"] == 4
        _, result = train(tmp_path, resume=True)
    else:
        _, result = train(tmp_path, batches=batches)
    assert result.step == 12
    assert [x["step"] for x in read_history(tmp_path) if "loss" in x] == list(range(1, 13))
    shown = "".join(capfd.readouterr())
    assert "Traceback" not in shown
    assert shown.count("TensorBoard gets no more lines") == (what == "board")


def closed_to_this_user(monkeypatch, name):
    """As for a user who is not root and finds another one's file with mode 0600."""
    real = os.access
    monkeypatch.setattr(checkpoint.os, "access",
                        lambda path, mode: Path(path).name != name and real(path, mode))


@pytest.mark.parametrize("name", ["last", "model.safetensors", "training.json", "recipe.json"])
def test_a_checkpoint_of_another_user_is_not_called_damaged(tmp_path, monkeypatch, name):
    train(tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    closed_to_this_user(monkeypatch, name)
    with pytest.raises(UserError) as error:
        train(tmp_path, resume=True)
    assert f"{name} may not be read by this user" in str(error.value)
    assert "damaged" not in str(error.value)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before  # none gave way to another
