"""`race step` and `race forward`: both ways do the same, at a tiny size."""

from dataclasses import replace

import pytest
import torch

from snpkit.errors import UserError
from snpkit.training import device
from tests.benchmarks import processes, steps
from tests.benchmarks.comparison import compare_all
from tests.benchmarks.processes import Answer, Worker
from tests.benchmarks.workload import Workload

TINY = Workload(size="tiny", batch=5)


@pytest.mark.parametrize("changes", [{}, {"clips": 3, "mean": 9.0}, {"checkpointing": True}])
def test_both_ways_take_the_same_steps(changes):
    work = replace(TINY, **changes)
    plain, ours = (steps.build(way, "step", work) for way in ("plain", "ours"))
    first = plain()
    assert set(first) == {"text_mlm", "cross_mlm", "gvtm_text_video", "gvtm_cross_modal", "lvwm",
                          "itm", "loss"}  # fmt: skip
    assert ours() == pytest.approx(first, rel=1e-5)
    # Later losses are the same only if gradients, clipping and the optimiser are.
    for _ in range(3):
        second = plain()
        assert ours() == pytest.approx(second, rel=1e-4)
    assert second["loss"] < first["loss"]


@pytest.mark.parametrize("said", ["1", "2", None])
def test_both_ways_have_the_threads_that_the_user_said(monkeypatch, said):
    monkeypatch.setattr(device, "available_cores", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS")
    if said:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    found = []
    for way in ("plain", "ours"):
        torch.set_num_threads(int(said or 1))  # torch takes the variable when it starts
        steps.prepare(way)
        found.append(torch.get_num_threads())
    assert found == [int(said or 2)] * 2


def test_the_losses_alone_and_bfloat16_are_the_same():
    plain = steps.build("plain", "forward", TINY)()
    assert steps.build("ours", "forward", TINY)() == pytest.approx(plain, rel=1e-5)
    half = steps.build("ours", "forward", replace(TINY, precision="bf16"))()
    assert half["loss"] == pytest.approx(plain["loss"], rel=1e-2)
    assert half["loss"] != plain["loss"]


def test_the_batch_is_what_the_facts_say():
    work = Workload(size="tiny", batch=64, mean=12)
    batch, lengths = work.make_batch(), torch.from_numpy(work.lengths())
    assert 11.5 < lengths.float().mean() < 12.5 and lengths.min() < 8 and lengths.max() > 17
    assert torch.equal(batch["attention_mask"].sum(1), lengths)
    assert batch["input_ids"].shape == (64, 30)  # padded to the limit
    hidden = batch["labels"] != -100
    assert torch.equal(batch["labels"][hidden], batch["input_ids"][hidden])
    assert (batch["masked_input_ids"] == batch["input_ids"])[~hidden].all()
    assert (hidden.sum(1) == ((lengths - 2) * 0.15).round().clamp(min=1)).all()
    words = batch["input_ids"].gather(1, batch["significant_positions"])
    assert (words >= 104).all()
    assert torch.equal(work.make_batch()["input_ids"], batch["input_ids"])


class Pretended:
    """A process whose turns are numbers."""

    def __init__(self, build, arguments):
        self.way, self.work = arguments[0], arguments[2]
        self.machine, self.products, self.turns, self.closed = "here", "exactly", 0, False
        workers_made.append(self)

    def turn(self):
        self.turns += 1
        if self.way == "plain":
            return Answer(4.0, {"lvwm": 5.0, "loss": 10.0}, 100.0)
        loss = wrong[self.work.precision]
        return Answer(1.0, {"lvwm": 5.0, "loss": loss}, 40.0)  # what is wrong comes last

    def close(self):
        self.closed = True


workers_made: list[Pretended] = []
wrong = {"fp32": 10.0, "bf16": 10.0}


@pytest.mark.parametrize(
    ("losses", "equal"),
    [((10.0005, 10.05), (True, True)), ((10.002, 10.2), (False, False)),
     ((float("nan"), 10.0), (False, True))],
)  # fmt: skip
def test_one_straightforward_turn_serves_both_precisions(monkeypatch, losses, equal):
    workers_made.clear()
    monkeypatch.setattr(steps, "Worker", Pretended)
    monkeypatch.setitem(wrong, "fp32", losses[0])
    monkeypatch.setitem(wrong, "bf16", losses[1])
    found = compare_all(steps.step_subjects("step", TINY, ("fp32", "bf16")), 3)
    assert [made.turns for made in workers_made] == [3, 3, 3]
    assert all(made.closed for made in workers_made)
    assert [each.ratio.median for each in found] == [4, 4]
    assert [each.memory for each in found] == [(100, 40)] * 2
    assert tuple(each.equal for each in found) == equal
    assert "40%" in found[0].table()
    assert ("NOT EQUAL" in found[0].table()) == (not equal[0])


def doubled(number):
    kept = []

    def turn():
        kept.append(b"x" * number)  # zeros would take no memory
        return {"held": len(kept)}

    return turn


def refused():
    raise UserError("Nothing to do.")


def test_a_worker_works_in_a_process_of_its_own():
    worker = Worker(doubled, (30_000_000,))
    try:
        first, second = worker.turn(), worker.turn()
        assert (first.result, second.result) == ({"held": 2}, {"held": 3})  # one was the warm-up
        assert first.seconds >= 0 and "torch" in worker.machine
        if first.peak is not None:
            assert second.peak - first.peak > 15e6
    finally:
        worker.close()
    assert not worker._process.is_alive()


def test_a_worker_that_ended_while_it_waited_is_named():
    worker = Worker(doubled, (10,))
    worker._process.kill()
    worker._process.join()
    with pytest.raises(UserError, match="ended before its time"):
        worker.turn()
    worker.close()


def test_what_a_worker_cannot_do_is_told():
    with pytest.raises(UserError, match="Nothing to do"):
        Worker(refused, ())


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"size": "huge"}, "huge"), ({"precision": "fp8"}, "fp8"), ({"batch": 1}, "--batch"),
     ({"mean": 40}, "--tokens is 40"), ({"layers": 0}, "layers"), ({"clips": 0}, "clips")],
)  # fmt: skip
def test_impossible_workloads_are_refused(changes, named):
    with pytest.raises(UserError, match=named):
        replace(TINY, **changes)


def test_one_thread_is_timed_by_its_own_seconds(monkeypatch):
    monkeypatch.setattr(processes.time, "process_time", iter([1.0, 3.0]).__next__)
    monkeypatch.setattr(processes.time, "perf_counter", iter([1.0, 9.0]).__next__)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert processes.timed(dict).seconds == 2
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert processes.timed(dict).seconds == 8
