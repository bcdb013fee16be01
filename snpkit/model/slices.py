"""Rows of about the same length pass through the layers together: hardly any padding is computed.

A batch is as wide as its longest caption, but limit captions are far shorter. Rows are sorted by
length and cut into slices; each slice is trimmed to its longest row, and the results are put back
in order. Lengths are counted while a batch lies in main memory: asking a GPU for them would make
the processor wait in every step.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import groupby
from math import ceil, inf
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # of all dimensions, and the synchronised one
from torch.utils.checkpoint import checkpoint


class Slice(NamedTuple):
    """Rows that pass together, `width` tokens wide; padded: some of them are shorter."""

    rows: Sequence[int]
    width: int
    padded: bool


def count_lengths(attention_mask: Tensor) -> list[int] | None:
    """Tokens of each row of a mask [rows, tokens]; None where that would ask a device, or where a
    hidden token stands between others, so that trimming is not all there is to do."""
    if attention_mask.device.type != "cpu":
        return None
    real = attention_mask != 0
    lengths = real.sum(1)
    whole = real == (torch.arange(real.shape[1]) < lengths[:, None])
    return lengths.tolist() if bool(whole.all() & (lengths > 0).all()) else None


def cut(
    lengths: Sequence[int], hidden: int, device: torch.device, *, extra: int = 0,
    limit: int | None = None,
) -> list[Slice]:
    """Cut rows, longest first, where the padding of a slice would cost more than one slice more.

    Args:
        lengths: tokens of each row.
        hidden: width of the network.
        extra: tokens that every row has besides (clips and SEP).
        limit: rows of a slice at most; None = any number.
    """
    # Measured on a CPU: every call of a layer has a cost of its own, which in tokens is the larger
    # the narrower the network; and what the widest layer makes of a slice should fit into a cache.
    # A GPU is busy only with many tokens at a time.
    on_cpu = device.type == "cpu"
    cost, tokens = (40 + 16e6 / hidden**2, 768 * 1024 // hidden) if on_cpu else (4096, 2**62)
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    groups: list[list[int]] = []
    padding = 0.0
    for length, found in groupby(order, key=lengths.__getitem__):
        rows = list(found)
        more = len(rows) * (lengths[groups[-1][0]] - length) if groups else inf
        if padding + more > cost:
            groups.append([])
            padding = more = 0.0
        groups[-1] += rows
        padding += more
    slices = []
    for rows in groups:
        own = [lengths[row] for row in rows]
        size = min(limit or len(rows), max(1, tokens // (own[0] + extra)))
        parts = even(len(rows), ceil(len(rows) / ceil(len(rows) / size)))  # of about equal sizes
        slices += [
            Slice([rows[place] for place in part.rows], own[part.rows[0]],
                  own[part.rows[0]] > own[part.rows[-1]])
            for part in parts
        ]  # fmt: skip
    if len(slices) == 1:  # in their own order: nothing needs to be put back
        slices = [slices[0]._replace(rows=range(len(lengths)))]
    return slices or [Slice([], 1, False)]


def even(count: int, limit: int | None, width: int = 0) -> list[Slice]:
    """`count` rows in their own order, at most `limit` at a time, nothing trimmed."""
    size = limit or max(count, 1)
    starts = range(0, max(count, 1), size)
    return [Slice(range(count)[start : start + size], width, True) for start in starts]


def run(
    function: Callable[[Slice], tuple[Tensor, ...]],
    slices: list[Slice],
    *,
    recompute: bool,
    module: nn.Module | None = None,
) -> tuple[Tensor, ...]:
    """Call `function` with each slice, and join what it returns in the order of the rows.

    Args:
        recompute: keep no activations for the backward pass, but compute them again there, with
            the same random numbers.
        module: whose batch norms must not count a slice twice for that.
    """
    options: dict[str, Any] = {"use_reentrant": False}
    if module is not None:
        options["context_fn"] = lambda: (nullcontext(), kept_statistics(module))
    again = recompute and torch.is_grad_enabled()
    parts = [checkpoint(function, one, **options) if again else function(one) for one in slices]
    if len(parts) == 1:
        return parts[0]
    order = [row for one in slices for row in one.rows]
    back = sorted(range(len(order)), key=order.__getitem__)
    return tuple(take(torch.cat(column), back) for column in zip(*parts, strict=True))


def take(tensor: Tensor, rows: Sequence[int]) -> Tensor:
    """These rows of a tensor; without a copy where they are the first ones, in their order.

    index_select adds up gradients in a fixed order; [rows] would add them as its threads come, and
    no run could be repeated bit for bit.
    """
    if len(rows) <= len(tensor) and list(rows) == list(range(len(rows))):
        return tensor[: len(rows)]
    numbers = torch.tensor(rows, dtype=torch.long)
    if tensor.is_cuda:  # so that the processor need not wait for the copy
        numbers = numbers.pin_memory()
    return tensor.index_select(0, numbers.to(tensor.device, non_blocking=True))


def widen(tokens: Tensor, width: int) -> Tensor:
    """Append zeros: [rows, tokens, hidden] -> [rows, width, hidden]."""
    missing = width - tokens.shape[1]
    return F.pad(tokens, (0, 0, 0, missing)) if missing else tokens


@contextmanager
def kept_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norms inside `module` normalise as ever, but their running statistics stay: what is
    computed again for the backward pass is not counted twice."""
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches
