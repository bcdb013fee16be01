"""One batch over several processes: a gather with gradient. In a single process it does nothing.

Matching compares every text with every video of the batch, also with those of other processes. The
convention that makes gradients exact: every process computes the SAME loss from gathered rows, and
the parameters' gradients are averaged over the processes (DistributedDataParallel does). The
backward pass of a gather therefore SUMS what all processes say about a process's own rows: N equal
contributions, which the average divides by N again.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """Number of this process, 0 when it is alone."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def shares(count: int) -> list[int]:
    """How many rows every process has, in rank order, where this one has `count`."""
    if world_size() == 1:
        return [count]
    own = torch.tensor([count], device=_message_device())
    parts = [torch.empty_like(own) for _ in range(world_size())]
    dist.all_gather(parts, own)
    return torch.cat(parts).tolist()


def own_rows(count: int) -> slice:
    """Where this process's `count` rows stand among the gathered ones."""
    before = sum(shares(count)[: rank()])
    return slice(before, before + count)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        counts = shares(len(rows))
        context.own = slice(sum(counts[: rank()]), sum(counts[: rank() + 1]))
        # Collectives want equal shapes: pad to the longest share, cut after.
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total[context.own]


def gather(rows: Tensor) -> Tensor:
    """Join the rows of all processes in rank order; gradients go back to the rows' owners.

    Args:
        rows: [n, ...]; n may differ between processes (also 0), the other sizes not. Whether the
            rows have a gradient must be the same in all.

    Returns:
        [sum of all n, ...], the same in every process; `rows` itself in a single process.
    """
    if world_size() == 1:
        return rows
    if rows.dtype is torch.bool:  # collectives know no booleans
        return gather(rows.to(torch.uint8)).bool()
    return _Gather.apply(rows)


def mean_over_processes(mean: Tensor, count: Tensor | int) -> Tensor:
    """The mean over the items of all processes, from the mean [] over this one's `count` items.

    The mean of the means would weigh an item by how few its process has. 0 where there is none. In
    a single process it is `mean` itself.
    """
    if world_size() == 1:
        return mean
    count = torch.as_tensor(count, dtype=mean.dtype, device=mean.device)
    sums = gather(torch.stack([mean * count, count])[None]).sum(0)
    return sums[0] / sums[1].clamp(min=1)


def from_first_process(drawn: Tensor) -> Tensor:
    """What the first process has drawn, in all of them (each has a random stream of its own).

    Args:
        drawn: of the same shape in every process.
    """
    if world_size() == 1:
        return drawn
    there = drawn.device if drawn.is_cuda else _message_device()
    number = torch.uint8 if drawn.dtype is torch.bool else drawn.dtype
    shared = drawn.to(there, number, copy=True).contiguous()
    dist.broadcast(shared, src=0)
    return shared.to(drawn.device, drawn.dtype)


def _message_device() -> torch.device:
    # The CPU if the group has gloo, so that no GPU is waited for.
    if "gloo" in str(dist.get_backend_config()):
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())
