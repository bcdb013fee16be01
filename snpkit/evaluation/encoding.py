"""Captions and videos as the vectors that retrieval compares, computed once for all queries."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from snpkit.data.dataset import VideoTextDataset
from snpkit.data.samples import VideoText
from snpkit.errors import UserError
from snpkit.language.tokenizer import encode_captions
from snpkit.model.video import VideoFeatures

# Of one video: uint8 [clips, frames, 3, height, width], and bool [clips, frames, height, width],
# True = a real pixel; None = all are.
Frames = tuple[Tensor, Tensor | None]
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class EncodedTexts:
    """Captions: pooled features for matching, ids for the cross-modal pass. All on the CPU."""

    pooled: Tensor  # float32 [texts, hidden]
    input_ids: Tensor  # int64 [texts, tokens]
    attention_mask: Tensor  # int64 [texts, tokens]

    def __len__(self) -> int:
        return len(self.pooled)


@dataclass(frozen=True)
class EncodedVideos:
    """Videos: clip features for matching, clip tokens for the cross-modal pass. On the CPU."""

    clip_features: Tensor  # float32 [videos, clips, hidden]
    clip_tokens: Tensor  # float32 [videos, clips, hidden]

    def __len__(self) -> int:
        return len(self.clip_features)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch off dropout and gradients; afterwards every submodule is in its own mode again, as a
    frozen part of a training model may be in evaluation mode on purpose."""
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def to_model(model: nn.Module, tensor: Tensor) -> Tensor:
    """Move a tensor to the model's device; fractions also take the precision of its weights."""
    weight = next(model.parameters(), torch.empty(0))
    return tensor.to(weight.device, weight.dtype if tensor.is_floating_point() else tensor.dtype)


def encode_texts(
    model: nn.Module,
    tokenizer: Any,
    captions: Sequence[str],
    batch_size: int = 256,
    *,
    max_tokens: int = 30,
) -> EncodedTexts:
    """Encode captions alone (the text role of the shared network).

    Raises:
        UserError: no captions, or an empty one.
    """
    batch = encode_captions(tokenizer, list(captions), max_tokens)
    lengths, pooled = batch.attention_mask.sum(dim=1), []
    with evaluating(model):
        for some in torch.arange(len(lengths)).split(batch_size):
            pair = batch.input_ids[some], batch.attention_mask[some]
            found = model.encode_text(
                *(to_model(model, part) for part in pair), lengths=lengths[some].tolist()
            )
            pooled.append(found.pooled.float().cpu())
    return EncodedTexts(torch.cat(pooled), batch.input_ids, batch.attention_mask)


def in_batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Lists of `size` items each; the last may be shorter."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def encode_videos(
    model: nn.Module, videos: Iterable[Frames], batch_size: int = 32
) -> EncodedVideos:
    """Encode videos, each as it was read: frames, and the mask of their real pixels or None.

    Only the clip vectors are kept: grid features of 10,000 videos would fill the memory.

    Raises:
        UserError: no video.
    """
    features, tokens = [], []
    with evaluating(model):
        for some in in_batches(videos, batch_size):
            frames, masks = zip(*some, strict=True)
            parts = [frames] if masks[0] is None else [frames, masks]
            found = model.encode_video(*(to_model(model, torch.stack(part)) for part in parts))
            features.append(found.clip_features.float().cpu())
            tokens.append(found.clip_tokens.float().cpu())
    if not features:
        raise UserError("There is no video to encode.")
    return EncodedVideos(torch.cat(features), torch.cat(tokens))


def encode_one(model: nn.Module, frames: Tensor, mask: Tensor | None = None) -> VideoFeatures:
    """Encode one video (see `Frames`), grid features included."""
    real = None if mask is None else to_model(model, mask[None])
    return model.encode_video(to_model(model, frames[None]), real)


def encode_distinct(
    model: nn.Module, dataset: VideoTextDataset, batch_size: int = 32
) -> tuple[EncodedVideos, list[int], list[tuple[VideoText, int]]]:
    """Encode every distinct video of a data set once: rows with the same file and window are
    captions of one video.

    Returns:
        The videos; for each the number of the row that shows it; every row whose video can be
        read, with the place of its video.

    Raises:
        UserError: no video of the data set can be read.
    """
    rows, readable = dataset.manifest.rows, []
    first: dict[tuple, int] = {}
    for index, row in enumerate(rows):
        first.setdefault(clip_key(row), index)

    def read() -> Iterator[Frames]:
        for index in first.values():
            item = dataset[index]
            if item["index"] == index:  # else it is unreadable, and this is another one
                readable.append(index)
                yield item["frames"], item.get("pixel_mask")

    videos = encode_videos(model, read(), batch_size)
    place_of = {clip_key(rows[index]): place for place, index in enumerate(readable)}
    pairs = [(row, place_of.get(clip_key(row))) for row in rows]
    return videos, readable, [(row, place) for row, place in pairs if place is not None]


def sampling_of(config: Any) -> dict[str, Any]:
    """How a model reads a video, as `read_square` and `VideoTextDataset` take it."""
    return {
        "clips": config.clips,
        "frames": config.frames,
        "size": config.image_size,
        "fit": config.image_fit,
        "middle": config.frame_middle,
    }


def clip_key(row: VideoText) -> tuple[str, float | None, float | None]:
    """What rows that show the same video have in common: its file and window."""
    return row.video, row.start, row.end


def clip_of(row: VideoText) -> dict[str, Any]:
    """The file of a row, and its window in seconds if it has one, as JSON values."""
    window = {"start": row.start, "end": row.end}
    return {"video": row.video} | {name: at for name, at in window.items() if at is not None}
