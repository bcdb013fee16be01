"""Stopped, killed or finished: a run that is resumed ends bit for bit like one never stopped."""

import json
import multiprocessing
import os
import random
import signal
import time
from multiprocessing import forkserver

import pytest
import torch
from safetensors.torch import load_file
from training_toys import ToyBatches, same_weights, toy_model, toy_recipe, train

from snpkit.errors import CheckpointError
from snpkit.files import read_json
from snpkit.training import loop
from snpkit.training.history import read_history


def numbers(folder):
    """The history without its clock and the memory of the process."""
    machine = ("seconds", "memory_mb")
    return [{k: v for k, v in line.items() if k not in machine} for line in read_history(folder)]


class Killed(BaseException):
    """Stands for a kill: nothing may be saved on its way out."""


def kill_at(step):
    def check(position):
        if position == step:
            raise Killed
    return check


def interrupt_at(step):
    """Ctrl-C: the run saves itself and ends."""
    return lambda position: position == step and os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("killed", [2, 5, 9, 12])
def test_a_killed_run_continues_bit_for_bit(tmp_path, killed):
    whole, expected = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "cut", batches=ToyBatches(on_step=kill_at(killed)))
    torch.manual_seed(99)  # a new process starts from other random numbers
    model = toy_model(seed=0 if killed < 5 else 7)
    resumed, result = train(tmp_path / "cut", model, resume=True)
    assert same_weights(whole, resumed)
    assert result.best == expected.best and result.step == expected.step
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "whole")


def test_a_run_stopped_between_checkpoints_continues_bit_for_bit(tmp_path):
    whole, _ = train(tmp_path / "whole")
    _, result = train(tmp_path / "cut", batches=ToyBatches(on_step=interrupt_at(6)))
    assert (result.step, result.stopped) == (6, "interrupted")
    resumed, result = train(tmp_path / "cut", toy_model(seed=7), resume=True)
    assert result.stopped == "finished"
    assert same_weights(whole, resumed)


def test_the_scale_of_float16_losses_continues(tmp_path, monkeypatch):
    """It is made for CUDA; its arithmetic runs anywhere."""

    class Scaler(torch.amp.GradScaler):
        def __init__(self, device, **options):
            super().__init__(device, init_scale=1024.0, growth_interval=3)

    monkeypatch.setattr(loop.torch.amp, "GradScaler", Scaler)
    whole, _ = train(tmp_path / "whole", batches=ToyBatches(poison=[2]))
    cut = ToyBatches(poison=[2], on_step=kill_at(10))
    with pytest.raises(Killed):
        train(tmp_path / "cut", batches=cut)
    saved = [read_json(tmp_path / run / "last/training.json")["scaler"] for run in ("cut", "whole")]
    assert saved[0] != saved[1] and saved[0]["scale"] != 1024.0
    resumed, _ = train(tmp_path / "cut", resume=True)
    ended = read_json(tmp_path / "cut/last/training.json")["scaler"]
    assert ended == saved[1] and ended["scale"] != saved[0]["scale"]
    assert same_weights(whole, resumed)


def test_a_finished_run_resumes_to_nothing_more(tmp_path):
    first, result = train(tmp_path)
    again, second = train(tmp_path, toy_model(seed=7), resume=True)
    assert same_weights(first, again)
    assert (second.step, second.best, second.last) == (12, result.best, result.last)


def test_another_number_of_threads_gives_a_warning(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    train(tmp_path, batches=ToyBatches(on_step=interrupt_at(6)))
    train(tmp_path, resume=True, batches=ToyBatches(on_step=interrupt_at(9)))
    assert "OMP_NUM_THREADS" not in "".join(capfd.readouterr())
    torch.set_num_threads(2)
    train(tmp_path, resume=True)
    assert "OMP_NUM_THREADS=1 and goes on with 2" in "".join(capfd.readouterr())


def test_another_recipe_does_not_continue_a_run(tmp_path):
    train(tmp_path)
    other = toy_recipe(optimisation__learning_rate=0.5)
    with pytest.raises(CheckpointError, match=r"optimisation\.learning_rate = 0\.01, not 0\.5"):
        train(tmp_path, recipe=other, resume=True)
    # How often a run reports changes no weight.
    train(tmp_path, recipe=toy_recipe(evaluation__log_every=1), resume=True)


def test_a_run_from_before_a_field_was_added_goes_on_with_its_default(tmp_path):
    train(tmp_path)
    for folder in (tmp_path / "last", tmp_path / "last.previous"):
        recipe = json.loads((folder / "recipe.json").read_text())
        del recipe["optimisation"]["micro_batch"], recipe["task"]
        recipe["optimisation"] |= {"accumulation": 1, "gradient_cache": False}
        (folder / "recipe.json").write_text(json.dumps(recipe))
        sums = json.loads((folder / "checksums.json").read_text())
        del sums["recipe.json"]
        (folder / "checksums.json").write_text(json.dumps(sums))
    _, result = train(tmp_path, resume=True)
    assert result.step == 12


def test_another_model_does_not_continue_a_run(tmp_path):
    train(tmp_path)
    with pytest.raises(CheckpointError, match=r"another configuration: width 6 \(here 4\)"):
        train(tmp_path, toy_model(width=4), ToyBatches(width=4), resume=True)


def long_run(folder):
    recipe = toy_recipe(optimisation__total_steps=150, evaluation__checkpoint_every=7,
                        evaluation__log_every=3, evaluation__every=11)
    return train(folder, toy_model(), recipe=recipe, resume=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts its processes by a fork server")
@pytest.mark.timeout(240)
def test_killed_at_twenty_random_moments_it_still_ends_bit_equal(tmp_path):
    # Not a plain fork: this process has threads whose locks a child would inherit locked. All runs
    # are such processes: what other tests left in this one must not reach the numbers of any.
    processes = multiprocessing.get_context("forkserver")
    # A server that another test started would import all this anew for each of the processes.
    forkserver._forkserver._stop()
    processes.set_forkserver_preload(["snpkit.training.loop", "training_toys"])

    def started(folder):
        process = processes.Process(target=long_run, args=(folder,))
        process.start()
        return process

    def finished(folder):
        process = started(folder)
        process.join()
        step = read_json(folder / "last/training.json")["step"]
        return process.exitcode, step, load_file(folder / "last/model.safetensors")

    whole = finished(tmp_path / "whole")
    moments, kills, history = random.Random(5), 0, tmp_path / "cut/history.jsonl"
    for _ in range(20):
        size = history.stat().st_size if history.exists() else -1
        process = started(tmp_path / "cut")
        # The clock starts when the history changes: it is cut on resume, or written to.
        while process.is_alive() and (history.stat().st_size if history.exists() else -1) == size:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.1))
        kills += process.is_alive()
        process.kill()
        process.join()
    resumed = finished(tmp_path / "cut")
    assert kills >= 10 and whole[:2] == resumed[:2] == (0, 150)
    different = [name for name in whole[2] if not torch.equal(whole[2][name], resumed[2][name])]
    assert whole[2].keys() == resumed[2].keys() and not different
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "whole")
