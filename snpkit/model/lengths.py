"""Captions of about the same length go through the layers together, so that hardly any padding is
computed.

A batch is as wide as its longest caption, but most captions are far shorter. Their lengths must be
known where Python runs: asking a GPU for them would make the processor wait in every step. So they
are counted while a batch still lies in main memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, inf
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Lengths:
    """Tokens of every caption up to its last real one; whole: no hidden token lies before it."""

    tokens: tuple[int, ...]
    whole: bool = True

    @classmethod
    def of(cls, attention_mask: Tensor) -> Self:
        """Those of a mask [batch, tokens] in main memory."""
        places = torch.arange(1, attention_mask.shape[1] + 1)
        real = attention_mask != 0
        last = (real * places).amax(1).clamp(min=1)  # one hidden token where none is real
        return cls(tuple(last.tolist()), bool((real.sum(1) == last).all()))

    def of_rows(self, rows: Sequence[int]) -> Self:
        """Those of some rows, which may repeat."""
        return type(self)(tuple(self.tokens[row] for row in rows), self.whole)


@dataclass(frozen=True)
class Chunk:
    """Rows that pass together, `length` tokens wide; padded: some have hidden tokens in there."""

    rows: tuple[int, ...]
    length: int
    padded: bool


@dataclass(frozen=True)
class Facts:
    """What a step must know of a batch without asking the device; None = not known.

    lengths: of the captions; mismatched: of the false ones; labelled: tokens that have a label.
    """

    lengths: Lengths | None = None
    mismatched: Lengths | None = None
    labelled: int | None = None

    @classmethod
    def of(cls, batch: dict[str, Any]) -> Self:
        """Those of a batch, of its tensors in main memory."""
        masks = (batch.get(f"{kind}attention_mask") for kind in ("", "mismatched_"))
        lengths = (Lengths.of(mask) if _counts(mask) else None for mask in masks)
        labels = batch.get("labels")
        return cls(*lengths, int((labels != -100).sum()) if _counts(labels) else None)

    def to(self, *_: Any, **__: Any) -> Self:
        """Themselves: a batch moves to a device, but its facts stay where Python runs."""
        return self


def with_facts(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch with its "facts", where it has none yet; who changes its tensors drops them."""
    return batch if "facts" in batch else {**batch, "facts": Facts.of(batch)}


def _counts(tokens: Tensor | None) -> bool:
    """Whether it is [batch, tokens] in main memory."""
    return tokens is not None and tokens.ndim == 2 and tokens.device.type == "cpu"


def chunk_overhead(device: torch.device, hidden: int) -> float:
    """What a chunk more costs, in tokens of a network `hidden` wide (measured on a CPU).

    A call of every layer takes the same time whatever its width, while a token's arithmetic grows
    with the square of it; and every chunk adds up the weights' gradients once more. Narrow networks
    therefore take few chunks. So do GPUs, where the calls of a small chunk outlast its arithmetic.
    """
    return 40 + 16e6 / hidden**2 if device.type == "cpu" else 4096


def chunk_limit(device: torch.device, hidden: int) -> float:
    """Tokens that pass together at most: what the widest layer makes of them fits into a cache."""
    return 768 * 1024 / hidden if device.type == "cpu" else inf


def make_chunks(
    lengths: Lengths, device: torch.device, hidden: int, extra: int = 0
) -> list[Chunk]:
    """Cut rows, sorted by length, into chunks that take the least time.

    The best cuts are found exactly: the time of a chunk is that of its tokens, padding included,
    and a constant on top (dynamic programming over the distinct lengths).

    Args:
        hidden: width of the network.
        extra: tokens that every row has besides its caption's (clips and SEP).
    """
    overhead, limit = chunk_overhead(device, hidden), chunk_limit(device, hidden)
    order = sorted(range(len(lengths.tokens)), key=lengths.tokens.__getitem__)
    groups = [list(rows) for _, rows in groupby(order, key=lengths.tokens.__getitem__)]
    widths = [lengths.tokens[rows[0]] for rows in groups]
    best: list[tuple[float, int]] = [(0.0, 0)]  # of the first groups: cost, start of the last chunk
    for end in range(1, len(groups) + 1):
        count, found = 0, []
        for start in reversed(range(end)):
            count += len(groups[start])
            cost = count * (widths[end - 1] + extra) + overhead
            found.append((best[start][0] + cost, start))
        best.append(min(found))
    chunks: list[Chunk] = []
    end = len(groups)
    while end:
        start = best[end][1]
        rows = [row for group in groups[start:end] for row in group]
        padded = not lengths.whole or end - start > 1
        chunks[:0] = _split(rows, widths[end - 1], padded, limit, extra)
        end = start
    if len(chunks) == 1:  # nothing to put back in order
        return [Chunk(tuple(range(len(order))), chunks[0].length, chunks[0].padded)]
    return chunks


def _split(rows: list[int], length: int, padded: bool, limit: float, extra: int) -> list[Chunk]:
    """Even parts of at most `limit` tokens."""
    parts = max(1, ceil(len(rows) * (length + extra) / limit))
    size = -(-len(rows) // min(parts, len(rows)))
    starts = range(0, len(rows), size)
    return [Chunk(tuple(rows[start : start + size]), length, padded) for start in starts]


def put_back(parts: list[Tensor], rows: list[tuple[int, ...]]) -> Tensor:
    """Join what chunks gave, in the order of the rows.

    Args:
        parts: [rows of a chunk, ...] each.
        rows: their numbers: 0, 1, 2, ... in any order.
    """
    if len(parts) == 1:
        return parts[0]
    order = [row for chunk in rows for row in chunk]
    back = sorted(range(len(order)), key=order.__getitem__)
    return torch.cat(parts).index_select(0, to_device(back, parts[0].device))


def widen(tokens: Tensor, width: int) -> Tensor:
    """Zeros behind the tokens: [rows, tokens, hidden] -> [rows, width, hidden]."""
    missing = width - tokens.shape[1]
    return F.pad(tokens, (0, 0, 0, missing)) if missing else tokens


def take_rows(tensor: Tensor, rows: Sequence[int]) -> Tensor:
    """These rows; without a copy where they are the first ones, in their order.

    index_select adds up gradients in a fixed order; [rows] would add them as its threads come, and
    no run could be repeated bit for bit.
    """
    if len(rows) <= len(tensor) and list(rows) == list(range(len(rows))):
        return tensor[: len(rows)]
    return tensor.index_select(0, to_device(rows, tensor.device))


def to_device(rows: Sequence[int], device: torch.device) -> Tensor:
    """Row numbers as int64 on a device, without waiting for it."""
    numbers = torch.tensor(rows, dtype=torch.long)
    if device.type == "cuda":
        numbers = numbers.pin_memory()
    return numbers.to(device, non_blocking=True)
