"""One batch over several processes: rows joined with gradient, means over all rows, shared draws.

Matching compares every text with every video of the batch, also with those of other processes. The
convention that makes gradients exact: every process computes the SAME loss from joined rows, and
the parameters' gradients are averaged over the processes (DistributedDataParallel does). The
backward pass of a join therefore SUMS what all processes say about a process's own rows: N equal
contributions, which the average divides by N again. What a process computes from its own rows
alone (a mean over its tokens) enters the loss through `sum_with_gradient`, by the same convention.

In a single process all of it does nothing.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """Number of this process, 0 when it is alone."""
    return dist.get_rank() if _joined() else 0


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if _joined() else 1


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()


def message_device() -> torch.device:
    """Where small messages travel: the CPU if the group has gloo, so that no GPU is waited for."""
    if "gloo" in str(dist.get_backend_config()):
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def row_counts(count: int) -> tuple[int, ...]:
    """How many rows every process has, in rank order."""
    if world_size() == 1:
        return (count,)
    own = torch.tensor([count], device=message_device())
    parts = [torch.empty_like(own) for _ in range(world_size())]
    dist.all_gather(parts, own)
    return tuple(torch.cat(parts).tolist())


def gather_rows(rows: Tensor, counts: tuple[int, ...] | None = None) -> Tensor:
    """Join the rows of all processes in rank order, without gradient.

    Args:
        rows: [n, ...]; n may differ between processes (also 0), the other sizes not.
        counts: of rows in every process, where they are known already.

    Returns:
        [sum of all n, ...]
    """
    if world_size() == 1:
        return rows
    counts = counts or row_counts(len(rows))
    # Collectives want equal shapes and know no booleans: pad to the longest, cut after.
    boolean = rows.dtype is torch.bool
    content = rows.detach().to(torch.uint8) if boolean else rows.detach()
    padded = content.new_zeros(max(counts), *rows.shape[1:])
    padded[: len(rows)] = content
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    joined = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
    return joined.bool() if boolean else joined


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor, counts: tuple[int, ...]) -> Tensor:
        first = sum(counts[: rank()])
        context.own = slice(first, first + len(rows))
        return gather_rows(rows, counts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return sum_over_processes(gradient)[context.own], None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        return sum_over_processes(value.detach())

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return sum_over_processes(gradient)


def gather_with_gradient(rows: Tensor, counts: tuple[int, ...] | None = None) -> Tensor:
    """Join the rows of all processes; gradients flow back to the process that owns each row.

    Args:
        rows: [n, ...]; n may differ between processes.
        counts: of rows in every process, where they are known already.

    Returns:
        [sum of all n, ...], the same in every process; `rows` itself in a single process.
    """
    if world_size() == 1:
        return rows
    return _Gather.apply(rows, counts or row_counts(len(rows)))


def sum_with_gradient(value: Tensor) -> Tensor:
    """Add up a tensor over the processes, for losses that are means over all processes' tokens.

    A mean over labelled tokens is `sum_with_gradient(sum) / sum_with_gradient(count)`: averaging
    each process's own mean would weigh a token by how few its process has.
    """
    return value if world_size() == 1 else _Sum.apply(value)


def sum_over_processes(value: Tensor) -> Tensor:
    """Add up a tensor over the processes, without gradient."""
    if world_size() == 1:
        return value
    total = value.contiguous().clone()
    dist.all_reduce(total)
    return total


def agreed(drawn: Tensor) -> Tensor:
    """What the first process has drawn, in all of them (each has a random stream of its own).

    Args:
        drawn: of the same shape in every process.
    """
    if world_size() == 1:
        return drawn
    there = drawn.device if drawn.is_cuda else message_device()
    number = torch.uint8 if drawn.dtype is torch.bool else drawn.dtype
    shared = drawn.to(there, number, copy=True).contiguous()
    dist.broadcast(shared, src=0)
    return shared.to(drawn.device, drawn.dtype)


@dataclass(frozen=True)
class Rows:
    """Which rows of a joined batch are this process's own; counts: of the rows of every process."""

    counts: tuple[int, ...]
    rank: int = 0

    @classmethod
    def of(cls, count: int, *, joined: bool = True) -> Self:
        """The batch of all processes, where this one has `count` rows; `joined=False`: its own."""
        return cls(row_counts(count), rank()) if joined else cls((count,))

    @property
    def total(self) -> int:
        """Rows of the joined batch."""
        return sum(self.counts)

    @property
    def own(self) -> slice:
        """Where the own rows stand in the joined batch."""
        first = sum(self.counts[: self.rank])
        return slice(first, first + self.counts[self.rank])

    def join(self, rows: Tensor) -> Tensor:
        """[own rows, ...] -> [all rows, ...]; with gradient, where the rows have one.

        Every process must decide alike whether they have one.
        """
        if len(self.counts) == 1:
            return rows
        gather = gather_with_gradient if rows.requires_grad else gather_rows
        return gather(rows, self.counts)

    def mean(self, mean: Tensor, count: Tensor | int) -> Tensor:
        """The mean over what all processes have, from the mean over this one's `count` items.

        0 where no process has an item. In a single process it is `mean` itself.
        """
        if len(self.counts) == 1:
            return mean
        count = torch.as_tensor(count, dtype=mean.dtype, device=mean.device)
        total = sum_over_processes(count).clamp(min=1)
        return sum_with_gradient(mean * count) / total
