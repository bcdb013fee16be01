"""Captions of about the same length go through the layers together, so that hardly any padding is
computed.

A batch is as wide as its longest caption, but most captions are far shorter. Their lengths must be
known where Python runs: asking a GPU for them would make the processor wait in every step. So
`move_batch` counts them while a batch still lies in main memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

# A chunk more costs as much as so many padding tokens: a call of every layer, and a sum over every
# weight's gradient. On a GPU the calls of a small chunk take longer than its arithmetic.
_OVERHEAD = {"cpu": 48}
_OVERHEAD_ELSEWHERE = 4096
# What the widest layer makes of so many tokens still fits into a processor's cache.
_MOST = {"cpu": 1024}


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
        last = (real * places).amax(1)
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


def with_facts(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch with what a step must know without asking the device.

    Adds "lengths" (and "mismatched_lengths") of the captions, and "labelled", how many tokens have
    a label; only what is not there yet, and only of tensors in main memory.
    """
    batch = dict(batch)
    for name in ("", "mismatched_"):
        mask = batch.get(f"{name}attention_mask")
        if f"{name}lengths" not in batch and _counts(mask):
            batch[f"{name}lengths"] = Lengths.of(mask)
    if "labelled" not in batch and _counts(batch.get("labels")):
        batch["labelled"] = int((batch["labels"] != -100).sum())
    return batch


def _counts(tokens: Tensor | None) -> bool:
    """Whether it is [batch, tokens] in main memory."""
    return tokens is not None and tokens.ndim == 2 and tokens.device.type == "cpu"


def move_batch(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The batch with its tensors on a device; its facts are counted before and stay with Python."""
    return {
        name: value.to(device, non_blocking=True) if torch.is_tensor(value) else value
        for name, value in with_facts(batch).items()
    }


def make_chunks(lengths: Lengths, device: torch.device, extra: int = 0) -> list[Chunk]:
    """Cut rows, sorted by length, into chunks that take the least time.

    The best cuts are found exactly: the time of a chunk is that of its tokens, padding included,
    and a constant on top (dynamic programming over the distinct lengths).

    Args:
        extra: tokens that every row has besides its caption's (clips and SEP).
    """
    overhead = _OVERHEAD.get(device.type, _OVERHEAD_ELSEWHERE)
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
        chunks[:0] = _split(rows, widths[end - 1], padded, _MOST.get(device.type), extra)
        end = start
    if len(chunks) == 1:  # nothing to put back in order
        return [Chunk(tuple(range(len(order))), chunks[0].length, chunks[0].padded)]
    return chunks


def _split(
    rows: list[int], length: int, padded: bool, most: int | None, extra: int
) -> list[Chunk]:
    """Even parts of at most `most` tokens."""
    parts = -(-len(rows) * (length + extra) // most) if most else 1
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
    return F.pad(tokens, (0, 0, 0, width - tokens.shape[1]))


def to_device(rows: Sequence[int], device: torch.device) -> Tensor:
    """Row numbers as int64 on a device, without waiting for it."""
    numbers = torch.tensor(rows, dtype=torch.long)
    if device.type == "cuda":
        numbers = numbers.pin_memory()
    return numbers.to(device, non_blocking=True)
