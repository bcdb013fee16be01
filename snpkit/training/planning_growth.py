"""What one more pair and one more sample take, where the recipe's batch is too large to measure."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from snpkit.data.samples import VideoText
from snpkit.language.tokenizer import encode_captions
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.model.slices import count_lengths, cut
from snpkit.training.loop import Batch
from snpkit.training.planning_model import Growth, computed_pairs

_PAIRS = (8, 32)  # few and many: the difference leaves out what does not grow
_REPEATS = 3


def usual_lengths(tokenizer: Any, rows: list[VideoText], batch: int, limit: int) -> list[int]:
    """Of a usual batch of so many captions: its longest one has as many tokens as the longest one
    has in every second batch, and the others are spread as captions are."""
    encoded = encode_captions(tokenizer, [row.caption for row in rows[:1000]], limit)
    lengths = encoded.attention_mask.sum(1).numpy()
    draws = np.random.default_rng(0).choice(lengths, (64, batch))
    usual = np.median(np.sort(draws, axis=1), axis=0).astype(int)  # shortest to longest
    return usual.tolist()


def padded(batches: Iterator[tuple[Batch, list[str]]], tokens: int, pad: int) -> Iterator[Any]:
    """The same batches, their captions padded to `tokens`: a small one's are shorter by chance."""
    fill = {"input_ids": pad, "masked_input_ids": pad, "attention_mask": 0, "labels": -100,
            "mismatched_input_ids": pad, "mismatched_attention_mask": 0}  # fmt: skip
    for batch, files in batches:
        yield {
            name: F.pad(value, (0, max(0, tokens - value.shape[1])), value=fill[name])
            if name in fill else value
            for name, value in batch.items()
        }, files  # fmt: skip


def measure_growth(
    model: SNPForPreTraining,
    small: Batch,
    large: Batch,
    usual: list[int],
    dtype: torch.dtype | None,
    clock: Callable[[], float] = time.perf_counter,
) -> Growth:
    """Time pairs by themselves, and count what the backward pass keeps of two batch sizes.

    Args:
        small, large: batches of the model, on its device and padded to the same length.
        usual: captions of the batch that the growth is to lead to. Among its many pairs those of
            about the same length pass together, so that a pair is narrower than measured here.
        dtype: of the forward pass; None = float32.
        clock: tells seconds.
    """
    sizes = [len(batch["input_ids"]) for batch in (small, large)]
    pairs = [computed_pairs(model.config, size) for size in sizes]
    kept = [_kept_bytes(lambda b=batch: model(b).loss, dtype, model) for batch in (small, large)]
    seconds = pair_bytes = 0.0
    if pairs[1]:
        counts = {count: _pairs_alone(model, large, count) for count in _PAIRS}
        more = _PAIRS[1] - _PAIRS[0]
        bytes_of = [_kept_bytes(counts[count], dtype, model) for count in _PAIRS]
        seconds_of = [_seconds(counts[count], dtype, model, clock) for count in _PAIRS]
        pair_bytes = (bytes_of[1] - bytes_of[0]) / more
        seconds = max(0.0, (seconds_of[1] - seconds_of[0]) / more)
    model.zero_grad(set_to_none=True)
    rest = kept[1] - kept[0] - pair_bytes * (pairs[1] - pairs[0])
    share = _narrower(model, large, usual) if pairs[1] else 1.0
    return Growth(share * seconds, share * pair_bytes, max(0.0, rest / (sizes[1] - sizes[0])))


def _narrower(model: SNPForPreTraining, measured: Batch, usual: list[int]) -> float:
    """Tokens that a pair of a usual batch takes, of those that a measured pair took."""
    lengths = count_lengths(measured["attention_mask"])
    if lengths is None:  # not known: pairs are padded, as they would be in the usual batch
        return 1.0
    few, many = (_computed_tokens(model, lengths, count) for count in _PAIRS)
    pairs = computed_pairs(model.config, len(usual))
    return _computed_tokens(model, usual, pairs) / pairs * (_PAIRS[1] - _PAIRS[0]) / (many - few)


def _computed_tokens(model: SNPForPreTraining, lengths: list[int], pairs: int) -> int:
    """Tokens of so many pairs, the captions in turn, with what padding their slices have."""
    extra = model.config.clips + 1
    rows = [lengths[row % len(lengths)] for row in range(pairs)]
    slices = cut(rows, model.config.hidden_size, model.device, extra=extra)
    return sum(len(one.rows) * (one.width + extra) for one in slices)


def _pairs_alone(
    model: SNPForPreTraining, batch: Batch, count: int
) -> Callable[[], Tensor]:
    """The cross-modal pass of `count` pairs, from embeddings to scores."""
    texts, device = len(batch["input_ids"]), batch["input_ids"].device
    videos = torch.arange(count, device=device) % texts
    pairs = [row % texts for row in range(count)], videos
    captions, lengths = (batch["masked_input_ids"], batch["attention_mask"]), model.lengths(batch)
    shape = (texts, batch["pixel_values"].shape[1], model.config.hidden_size)
    clips = torch.zeros(shape, device=device)

    def scores() -> Tensor:
        output = model.network.cross_modal_pass(
            *captions, clips, lengths, pairs=pairs, pooled_only=True
        )
        return model.pair_score(output.pooled).sum()

    return scores


def _seconds(
    work: Callable[[], Tensor],
    dtype: torch.dtype | None,
    model: Any,
    clock: Callable[[], float],
) -> float:
    """Forward and backward: the quickest of some repeats, the one least disturbed."""
    device, taken = model.device, []
    for _ in range(_REPEATS):
        start = clock()
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            loss = work()
        loss.backward()
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()
        taken.append(clock() - start)
    return min(taken)


def _kept_bytes(work: Callable[[], Tensor], dtype: torch.dtype | None, model: Any) -> int:
    """Bytes that a forward pass keeps for its backward pass, each storage counted once."""
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        # Held, so that no other tensor takes its address while we count.
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        with torch.autocast(model.device.type, dtype, enabled=dtype is not None):
            loss = work()
        total = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del loss
    return total
