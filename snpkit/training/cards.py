"""Common cards: their memory and peak speed, and what operations keep there that a CPU does not.

Peaks are dense (not sparse) products that add up in float32, as training has them.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from snpkit.machine import total_memory
from snpkit.model import shared, slices
from snpkit.training.device import autocast_dtype


@dataclass(frozen=True)
class Card:
    """A device: bytes of memory, and dense (not sparse) peak FLOP/s of products that add up in
    float32, in the formats of 16 bits; None = it has no such units. fp32: of plain float32."""

    name: str
    memory: float
    fp16: float | None
    bf16: float | None
    fp32: float

    def dtype(self, precision: str) -> torch.dtype | None:
        """The number format of the forward pass, as `autocast_dtype` chooses it there."""
        if self.name == "cpu":
            return autocast_dtype(precision, torch.device("cpu"))
        if precision == "auto":
            precision = "bf16" if self.bf16 else "fp16"
        return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]

    def peak(self, dtype: torch.dtype | None) -> float:
        """FLOP/s at most with products of that format; emulated ones count as float32."""
        if self.name == "cpu":
            return measured_peak("cpu", dtype)
        return {torch.float16: self.fp16, torch.bfloat16: self.bf16}.get(dtype) or self.fp32


_CARDS = (
    # NVIDIA's data sheets: peak of the tensor cores without sparsity, and of float32 without them.
    Card("t4", 16e9, 65e12, None, 8.1e12),  # T4 data sheet
    Card("rtx3060", 12e9, 25e12, 25e12, 12.7e12),  # GA10x white paper; 51 if added up in float16
    Card("rtx4090", 24e9, 165e12, 165e12, 82.6e12),  # Ada white paper; 330 if added up in float16
    Card("l4", 24e9, 121e12, 121e12, 30.3e12),  # L4 data sheet: half of 242 with sparsity
    Card("a10g", 24e9, 70e12, 70e12, 35e12),  # AWS, of G5 instances; NVIDIA's A10 has 125
    Card("v100", 16e9, 125e12, None, 15.7e12),  # V100 data sheet, SXM2
    Card("v100-32", 32e9, 125e12, None, 15.7e12),
    Card("a100-40", 40e9, 312e12, 312e12, 19.5e12),  # A100 data sheet
    Card("a100-80", 80e9, 312e12, 312e12, 19.5e12),
    Card("h100", 80e9, 989e12, 989e12, 67e12),  # H100 data sheet, SXM: half of 1,979
    Card("h200", 141e9, 989e12, 989e12, 67e12),  # H200 data sheet, SXM
    Card("cpu", total_memory(torch.device("cpu")) or 0.0, None, None, 0.0),  # this machine
)
GPUS = {card.name: card for card in _CARDS}


@cache
def measured_peak(device: str, dtype: torch.dtype | None) -> float:
    """FLOP/s that this machine reaches in products of square matrices: of so many rows, up to
    8,192, that one takes a twentieth of a second (an emulated number format is very slow)."""
    size, took = 128, 0.0
    while took < 0.05 and size < 8192:
        size *= 2
        left = torch.ones((size, size), dtype=dtype, device=device)
        took = min(seconds_of(lambda: left @ left, device) for _ in range(3))  # noqa: B023
    return 2 * size**3 / took


def seconds_of(work: Callable[[], Any], device: str) -> float:
    """Seconds of one call, and of what it started on the device."""
    start = time.perf_counter()
    result = work()
    if device != "cpu":
        getattr(torch, device).synchronize()
    del result
    return time.perf_counter() - start


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Operations keep what they keep on a GPU: attention is fused, dropout keeps bytes, and under
    autocast norms, softmax and cross-entropy are in float32; slices are as large as on a GPU."""
    cuda = torch.device("cuda")
    with ExitStack() as stack:
        for name in ("layer_norm", "softmax", "cross_entropy"):
            stack.enter_context(mock.patch.object(F, name, _in_float32(getattr(F, name))))
        stack.enter_context(mock.patch.object(F, "dropout", _dropout))
        stack.enter_context(mock.patch.object(F, "scaled_dot_product_attention", _attention))
        stack.enter_context(mock.patch.object(
            shared, "cut", lambda lengths, hidden, _, **limits: slices.cut(
                lengths, hidden, cuda, **limits)))  # fmt: skip
        yield


def _in_float32(function: Any) -> Any:
    return lambda tensor, *more, **options: function(tensor.float(), *more, **options)


def _dropout(tensor: Tensor, p: float, training: bool = True, inplace: bool = False) -> Tensor:
    return torch.native_dropout(tensor, p, training)[0] if training and p else tensor


def _attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, **_: Any,
) -> Tensor:  # fmt: skip
    if attn_mask is not None:
        bias = torch.zeros((), dtype=query.dtype) + attn_mask
        attn_mask = bias.to(query.dtype).expand(*query.shape[:3], key.shape[2])
    return torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, attn_mask, True, dropout_p, is_causal, scale=scale
    )[0]
