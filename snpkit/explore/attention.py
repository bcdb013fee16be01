"""Attention of the shared network in its two roles: the caption alone, and caption + clip tokens.

SNP reads a caption alone (text pass) and a caption followed by clip tokens (cross-modal pass) with
the very same layers (paper, sec. III-B). Here both passes are run as the model runs them, every
layer that takes part is noted, and its attention probabilities are computed from what went into it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers.models.bert.modeling_bert import BertLayer

from snpkit.evaluation.encoding import encode_videos, evaluating, to_model
from snpkit.explore.explanation import read_caption
from snpkit.model.shared import attention_probabilities

if TYPE_CHECKING:
    from snpkit.explore.protocols import TrainedModel
    from snpkit.language.tokenizer import CaptionBatch
    from snpkit.model.pretraining import SNPForPreTraining

_NOTES = {
    "snp": "One network, two roles: both sides ran the same layers with the same parameters.",
    "three_fusion": (
        "Three-fusion (P3E) reads caption and clips in a separate encoder with parameters of its "
        "own, so the two sides show different layers."
    ),
    "twin_tower": (
        "A twin tower never reads caption and clips together: there is attention of the caption "
        "alone, and no cross-modal pass to show."
    ),
}


@dataclass(frozen=True)
class AttentionPass:
    """One pass of the network over one input of T tokens.

    Attributes:
        tokens: [T] as the tokenizer cuts the words ("##" continues one), "[CLS]", "[SEP]"; in the
            cross-modal pass "clip 1" ... and a second "[SEP]" follow.
        words: [T] index of the token's word in the caption; -1 = of no word.
        weights: float32 [layers, heads, T (querying), T (attended)]; each row sums to 1.
        names: [layers] the layers that ran, by their names in the model.
        modules: [layers] these layers themselves.
    """

    tokens: list[str]
    words: list[int]
    weights: Tensor
    names: list[str]
    modules: list[nn.Module]

    def matrix(self, layer: int, head: int | None = None) -> Tensor:
        """Weights of one layer: [T (querying), T (attended)]; head None = mean over the heads."""
        heads = self.weights[layer]
        return heads.mean(0) if head is None else heads[head]

    def parameters(self, layer: int) -> list[nn.Parameter]:
        """The parameters of one layer, as objects: `a is b` tells whether two are one."""
        return list(self.modules[layer].parameters())


@dataclass(frozen=True)
class AttentionMaps:
    """The two roles for one caption and one video.

    Attributes:
        caption: as it was given.
        alone: the caption alone.
        together: caption and clip tokens; None if there was no video, or the model cannot.
        left_out: words of the caption that the model does not read (after its last token).
        note: what the two roles have in common, in one sentence.
    """

    caption: str
    alone: AttentionPass
    together: AttentionPass | None
    left_out: list[str]
    note: str

    def shares_weights(self, layer: int) -> bool:
        """Whether this layer of both passes is made of the same parameters, tensor by tensor."""
        passes = (self.alone, self.together)
        if any(one is None or layer >= len(one.modules) for one in passes):
            return False
        ours, theirs = (one.parameters(layer) for one in passes)
        return len(ours) == len(theirs) and all(a is b for a, b in zip(ours, theirs, strict=True))


def attention_maps(
    pipeline: "TrainedModel", caption: str, video: "str | Path | Tensor | None" = None
) -> AttentionMaps:
    """Attention probabilities of every layer and head in both roles.

    Args:
        pipeline: what `snpkit.load` gave.
        caption: any text with a word in it; cut after 30 tokens.
        video: a file, or uint8 frames [clips, frames, 3, height, width]; None = caption alone.

    Raises:
        UserError: no word in the caption, or frames of another form; VideoError: the file cannot
            be read.
    """
    model = pipeline.model
    caption = caption.encode("utf-8", "replace").decode()  # lone surrogates are no text
    batch, _, left_out = read_caption(pipeline.tokenizer, caption)
    tokens = pipeline.tokenizer.convert_ids_to_tokens(batch.input_ids[0].tolist())
    words = batch.word_ids[0].tolist()
    with evaluating(model), _layers_that_run(model) as seen:
        model.encode_text(*_inputs(model, batch))
    alone = _attention(seen, tokens, words)
    together = None
    if model.config.architecture != "twin_tower" and video is not None:
        clips = _clip_tokens(pipeline, video)  # [1, clips, hidden]
        with evaluating(model), _layers_that_run(model) as seen:
            model.network.cross_modal_pass(*_inputs(model, batch), to_model(model, clips))
        names = [f"clip {number}" for number in range(1, clips.shape[1] + 1)]
        added = [*names, pipeline.tokenizer.sep_token]
        together = _attention(seen, [*tokens, *added], [*words, *(-1 for _ in added)])
    note = _NOTES[model.config.architecture]
    if together is None and model.config.architecture != "twin_tower":
        note = "There is no video, so only the caption alone is shown; choose one to see both."
    return AttentionMaps(caption, alone, together, left_out, note)


def _inputs(model: "SNPForPreTraining", batch: "CaptionBatch") -> tuple[Tensor, Tensor]:
    return to_model(model, batch.input_ids), to_model(model, batch.attention_mask)


@contextmanager
def _layers_that_run(model: nn.Module) -> Iterator[list[tuple[str, nn.Module, Tensor]]]:
    """Note every BERT layer that runs meanwhile: its name, itself, and its input
    [1, tokens, hidden]."""
    seen: list[tuple[str, nn.Module, Tensor]] = []

    def note(name: str, layer: nn.Module) -> torch.utils.hooks.RemovableHandle:
        return layer.register_forward_pre_hook(
            lambda module, inputs: seen.append((name, module, inputs[0]))
        )

    layers = [(name, part) for name, part in model.named_modules() if isinstance(part, BertLayer)]
    handles = [note(name, layer) for name, layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _attention(
    seen: list[tuple[str, nn.Module, Tensor]], tokens: list[str], words: list[int]
) -> AttentionPass:
    names, modules, inputs = zip(*seen, strict=True)
    everything = torch.ones(inputs[0].shape[:2], device=inputs[0].device)  # one input, no padding
    weights = [
        attention_probabilities(layer, hidden, everything)[0].float().cpu()
        for layer, hidden in zip(modules, inputs, strict=True)
    ]
    return AttentionPass(tokens, words, torch.stack(weights), list(names), list(modules))


def _clip_tokens(pipeline: "TrainedModel", video: "str | Path | Tensor") -> Tensor:
    """Clip tokens [1, clips, hidden] of a file or of frames, on the CPU."""
    return encode_videos(pipeline.model, [pipeline.frames_of(video)]).clip_tokens
