"""Two and three processes on one machine compute what one process computes with all rows."""

import faulthandler
import os
import socket
import sys

import pytest
import torch
import torch.multiprocessing as processes
from torch import nn
from training_toys import ToyBatches, noisy_evaluation, same_weights, toy_model, toy_recipe

from snpkit.errors import CheckpointError, UserError
from snpkit.training import distributed
from snpkit.training.history import read_history
from snpkit.training.loop import pretrain


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def join(rank, world, port):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                   "RANK": str(rank), "WORLD_SIZE": str(world)}
    torch.set_num_threads(1)
    # A process that waits for ever says where, and ends; so do then the others.
    faulthandler.dump_traceback_later(150, exit=True, file=sys.__stderr__)
    assert distributed.init_if_needed(torch.device("cpu"))


def launch(task, world, *arguments):
    # Forked processes need not import torch again: seconds less for each.
    method = "fork" if hasattr(os, "fork") else "spawn"
    processes.start_processes(run_task, args=(task, world, free_port(), *arguments), nprocs=world,
                              start_method=method)


def run_task(rank, task, *arguments):
    """The task, and then the end of its process group, after all that held on to it is gone."""
    task(rank, *arguments)
    distributed.shutdown()


def contrastive_loss(text, video):
    """InfoNCE over all rows, plus a mean over a number of tokens that differs between rows."""
    text, video = (distributed.gather(rows) for rows in (text, video))
    scores = text @ video.T
    return nn.functional.cross_entropy(scores, torch.arange(len(scores)))


def tower():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 4))


def rows_of(sizes):
    torch.manual_seed(4)
    return [(torch.randn(n, 5), torch.randn(n, 5), torch.randn(n) > 0) for n in sizes]


def loss_of(model, x, y, labelled):
    loss = contrastive_loss(model(x), model(y))
    # Labels are spread unevenly: the mean must weigh each label alike, wherever it lies.
    token_loss = model(x).square().sum(1)
    count = labelled.sum()
    mean = (token_loss * labelled).sum() / count.clamp(min=1)
    return loss + distributed.mean_over_processes(mean, count)


def exact_task(rank, world, port, sizes, file):
    join(rank, world, port)
    model = nn.parallel.DistributedDataParallel(tower())
    loss = loss_of(model, *rows_of(sizes)[rank])
    loss.backward()
    torch.save([loss.detach(), *(p.grad for p in model.parameters())], f"{file}{rank}")


@pytest.mark.parametrize("sizes", [(4, 4), (5, 2), (3, 1, 4)])
def test_loss_and_gradients_equal_one_process_with_all_rows(tmp_path, sizes):
    model = tower()
    joined = [torch.cat(parts) for parts in zip(*rows_of(sizes), strict=True)]
    expected = loss_of(model, *joined)
    expected.backward()
    launch(exact_task, len(sizes), sizes, str(tmp_path / "rank"))
    for rank in range(len(sizes)):
        loss, *gradients = torch.load(tmp_path / f"rank{rank}", weights_only=True)
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-6, atol=1e-6)
        for gradient, parameter in zip(gradients, model.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-5, atol=1e-6)


def helpers_task(rank, world, port, file):
    join(rank, world, port)
    own = torch.full((rank, 2), float(rank))  # the first process has no row at all
    names = [[], ["zwei", "ä.mp4"]][rank]
    found = {
        "rows": distributed.gather(own),
        "any": distributed.any_process(torch.tensor([rank == 1, False]).float()),
    }
    assert distributed.gather_names(names, torch.device("cpu")) == ["zwei", "ä.mp4"]
    assert distributed.gather_names([], torch.device("cpu")) == []
    assert distributed.is_main() == (rank == 0)
    torch.save(found, f"{file}{rank}")
    distributed.barrier()


def test_helpers_agree_in_all_processes(tmp_path):
    launch(helpers_task, 2, str(tmp_path / "rank"))
    for rank in range(2):
        found = torch.load(tmp_path / f"rank{rank}", weights_only=True)
        assert found["rows"].tolist() == [[1.0, 1.0]]
        assert found["any"].tolist() == [1.0, 0.0]


def train_task(rank, world, port, folder, resume, stop):
    join(rank, world, port)
    # The second process alone meets a NaN, and alone gets the signal to stop.
    batches = ToyBatches(poison=[3] if rank == 1 else [])
    steps = 12
    recipe = toy_recipe(optimisation__total_steps=steps, data__batch_size=16)
    if stop and rank == 1:
        import signal

        batches.on_step = lambda at: at == 5 and os.kill(os.getpid(), signal.SIGTERM)
    model = toy_model(seed=0 if rank == 0 else 9)
    result = pretrain(model, batches, recipe, output=folder, evaluate=noisy_evaluation,
                      resume=resume, progress=False, device="cpu")
    assert result.skipped == 1 and result.suspects == ["clip3.mp4"]
    assert result.stopped == ("interrupted" if stop else "finished")
    assert result.step == (6 if stop else steps)  # they agree where losses are read
    torch.save(model.state_dict(), f"{folder}/rank{rank}")


def test_training_in_two_processes_agrees_stops_together_and_resumes_exactly(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    launch(train_task, 2, str(whole), False, False)
    launch(train_task, 2, str(cut), False, True)
    launch(train_task, 2, str(cut), True, False)
    states = [torch.load(folder / f"rank{rank}", weights_only=True)
              for folder in (whole, cut) for rank in range(2)]
    parameters = [name for name in states[0] if "running" not in name]
    assert all(torch.equal(states[0][n], state[n]) for state in states for n in parameters)
    assert [line["step"] for line in read_history(cut) if "loss" in line] == list(range(1, 13))
    with pytest.raises(CheckpointError, match="trained by 2 processes"):
        pretrain(toy_model(), ToyBatches(), toy_recipe(data__batch_size=16), output=cut,
                 resume=True, progress=False, device="cpu")


def test_alone_nothing_happens(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert not distributed.init_if_needed(torch.device("cpu"))
    rows, model = torch.randn(3, 2, requires_grad=True), toy_model()
    assert distributed.gather(rows) is rows
    assert distributed.mean_over_processes(rows, 3) is rows
    assert distributed.parallelise(model, torch.device("cpu")) is model
    assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
    assert same_weights(model, toy_model())


def test_a_group_that_cannot_be_joined_is_one_sentence(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UserError, match="start with torchrun or unset WORLD_SIZE"):
        distributed.init_if_needed(torch.device("cpu"))
