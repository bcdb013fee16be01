"""The loop: it learns, evaluates, skips what is not finite, and stops when asked."""

import os
import signal
import time

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from training_toys import ToyBatches, ToyModel, ToyTable, same_weights, toy_model, toy_recipe, train

from snpkit.errors import UserError
from snpkit.files import read_json
from snpkit.training import loop
from snpkit.training.history import read_history
from snpkit.training.recipe import override


def test_it_learns_and_leaves_everything_behind(tmp_path):
    recipe = toy_recipe(optimisation__total_steps=60, optimisation__learning_rate=0.03)
    model, result = train(tmp_path, recipe=recipe, table=ToyTable())
    steps = [line for line in read_history(tmp_path) if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 61))
    assert set(steps[0]["losses"]) == {"text_mlm", "itm"}
    assert steps[0]["loss"] == pytest.approx(sum(steps[0]["losses"].values()))
    course = [line["losses"]["text_mlm"] for line in steps]
    assert sum(course[-10:]) < 0.7 * sum(course[:10])
    assert (result.step, result.stopped, result.skipped) == (60, "finished", 0)
    assert same_weights(model, ToyModel.from_pretrained(tmp_path / "last"))
    assert (tmp_path / "last/significance.json").is_file()
    assert read_json(tmp_path / "last/training.json")["step"] == 60


def test_best_is_the_best_evaluation_and_not_the_last(tmp_path):
    scores = iter([1.0, 5.0, float("nan")])
    _, result = train(tmp_path, evaluate=lambda model, step: {"score": next(scores)})
    assert result.best == {"score": 5.0, "step": 8}
    assert read_json(tmp_path / "best/training.json")["step"] == 8
    evaluations = [line for line in read_history(tmp_path) if "evaluation" in line]
    assert [line["evaluation"]["score"] for line in evaluations] == [1.0, 5.0, None]


def test_the_monitored_metric_must_be_there(tmp_path):
    with pytest.raises(UserError, match=r"gave no 'score'.*one of r1"):
        train(tmp_path, evaluate=lambda model, step: {"r1": 3.0})


def test_ctrl_c_says_in_one_sentence_how_to_go_on(tmp_path, capsys):
    batches = ToyBatches(on_step=lambda at: at == 3 and os.kill(os.getpid(), signal.SIGTERM))
    train(tmp_path, batches=batches)
    assert "Stopped at step 3 of 12 and saved" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    def twice(position):
        if position == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, batches=ToyBatches(on_step=twice))
    assert not (tmp_path / "last").exists()


def test_the_time_limit_stops_but_keeps_the_schedule(tmp_path):
    recipe = toy_recipe(optimisation__time_limit=0.05, optimisation__total_steps=100_000,
                        optimisation__warmup_steps=0)
    _, result = train(tmp_path, recipe=recipe)
    assert result.stopped == "time_limit" and 0 < result.step < 100_000
    assert result.last["step"] == result.step  # evaluated at its end
    last = [line for line in read_history(tmp_path) if "loss" in line][-1]
    assert last["learning_rate"] == pytest.approx(0.01, rel=0.01)  # cosine's beginning


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_changes_nothing_and_is_named(tmp_path, value):
    batches = ToyBatches(poison=[5], value=value)
    recipe = toy_recipe(evaluation__log_every=1, evaluation__checkpoint_every=1,
                        optimisation__schedule="constant")
    weights = {}

    def remember(model, step):
        weights[step] = {n: t.clone() for n, t in model.state_dict().items()}
        return {"score": 0.0}

    recipe = override(recipe, {"evaluation.every": 1})
    _, result = train(tmp_path, batches=batches, recipe=recipe, evaluate=remember)
    assert all(torch.equal(weights[4][n], weights[5][n]) for n in weights[4])
    assert any(not torch.equal(weights[5][n], weights[6][n]) for n in weights[5])
    assert all(tensor.isfinite().all() for tensor in weights[12].values())
    assert (result.skipped, result.suspects) == (1, ["clip5.mp4"])
    line = next(x for x in read_history(tmp_path) if x["step"] == 5 and "loss" in x)
    assert line["skipped"] and line["files"] == ["clip5.mp4"] and line["loss"] is None


def test_too_many_such_steps_stop_the_run_with_the_files(tmp_path):
    recipe = toy_recipe(optimisation__nonfinite_limit=2)
    with pytest.raises(UserError, match=r"3 steps had a loss.*clip2\.mp4, clip3\.mp4, clip5\.mp4"):
        train(tmp_path, batches=ToyBatches(poison=[2, 3, 5]), recipe=recipe)


def test_a_folder_with_a_run_is_not_overwritten_unasked(tmp_path):
    train(tmp_path)
    with pytest.raises(UserError, match="holds a run already"):
        train(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    train(tmp_path, overwrite=True, recipe=toy_recipe(optimisation__total_steps=2))
    assert [x["step"] for x in read_history(tmp_path) if "loss" in x] == [1, 2]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_gradients_are_clipped_and_small_matrices_decay_only(tmp_path):
    recipe = toy_recipe(optimisation__gradient_clip=1e-9, optimisation__weight_decay=0.5,
                        optimisation__schedule="constant", optimisation__warmup_steps=0)
    before = toy_model()
    after, _ = train(tmp_path, recipe=recipe, batches=ToyBatches(poison=()))
    assert torch.equal(before.unused, after.unused)
    shrink = (after.encoder.weight.norm() / before.encoder.weight.norm()).item()
    assert shrink == pytest.approx((1 - 0.01 * 0.5) ** 12, rel=0.1)


class NothingIsRead(TorchDispatchMode):
    """Fails when a tensor's number is asked for: on a GPU that would stop the whole queue."""

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        assert "_local_scalar_dense" not in str(function), "a number was read inside a step"
        return function(*arguments, **(keywords or {}))


def test_no_number_is_read_inside_a_step(monkeypatch, tmp_path):
    with pytest.raises(AssertionError, match="inside a step"), NothingIsRead():
        torch.ones(1).item()
    plain = loop.train_step

    def watched(run, source):
        with NothingIsRead():
            return plain(run, source)

    monkeypatch.setattr(loop, "train_step", watched)
    _, result = train(tmp_path, batches=ToyBatches(poison=[2]))
    assert result.step == 12 and result.skipped == 1
