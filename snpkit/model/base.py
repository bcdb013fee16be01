"""What pre-training and every downstream model share: encoders, matching scores, negatives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init

from snpkit.model import objectives, parallel, slices
from snpkit.model.config import SNPConfig
from snpkit.model.initialisation import initial_log_scales, initialise, was_loaded
from snpkit.model.shared import NETWORKS, CrossModalPass
from snpkit.model.slices import Slice
from snpkit.model.video import VideoFeatures, VideoTower
from snpkit.weights import pretrained

MOST_LOG_SCALE = math.log(100)
Batch = dict[str, Any]
"""What a training step reads; what a task has no use for may be absent.

input_ids, attention_mask [batch, tokens]: the captions, row i of video i;
pixel_values [batch, clips, frames, channels, height, width], uint8 or normalised floats;
pixel_mask [batch, clips, frames, height, width], optional, True = real;
video_ids int64 [batch], optional: equal numbers are one video, which is never its own negative.

Pre-training also reads
masked_input_ids, labels [batch, tokens] (-100 = no label);
significant_positions [batch, words], optional, -1 = none; drawn when absent, from
    significant_mask [batch, tokens] or else from all words of the caption;
mismatched_input_ids, mismatched_attention_mask [batch, tokens], for ITM.

Counted while the batch lies in main memory, so that no device is waited for; all optional:
lengths, mismatched_lengths: list[int], tokens of each caption; label_count: int, labelled tokens.
"""


@dataclass
class TextFeatures:
    """pooled [batch, hidden]: L2-normalised; tokens [batch, tokens, hidden]: contextual vectors."""

    pooled: Tensor
    tokens: Tensor


class SNPPreTrainedModel(PreTrainedModel):
    """Encoders and matching scores; a subclass adds its heads.

    Attributes:
        micro_batch: in training, samples whose activations are kept at a time: the encoders and
            the pairs of the cross-modal matching pass slice by slice, and each slice is computed
            again in the backward pass. Losses and gradients are those of the whole batch, but that
            batch norms that train normalise each slice by itself. None = keep all. Set by the
            training loop.
    """

    config_class = SNPConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    micro_batch: int | None = None

    def __init__(self, config: SNPConfig) -> None:
        super().__init__(config)
        config.check()  # `from_pretrained(..., field=value)` sets fields of a finished config
        self.network = NETWORKS[config.architecture](config)
        self.video = VideoTower(config)
        if config.initial_logit_scale is not None:
            self.log_scales = nn.Parameter(initial_log_scales(config))

    @classmethod
    def from_pretrained(cls, source: str | Path | None, *arguments: Any, **options: Any) -> Any:
        """As in transformers, but of config.json and weights of that folder or hub id alone.

        Raises:
            UserError, CheckpointError: see `snpkit.weights.pretrained`.
        """
        fill = super().from_pretrained
        if source is None:
            return fill(None, *arguments, **options)
        config = options.pop("config", None) or cls.config_class
        return pretrained(fill, config, source, *arguments, **options)

    def _init_weights(self, module: nn.Module) -> None:
        if not initialise(module):
            super()._init_weights(module)
        if module is self and hasattr(self, "log_scales"):
            init.copy_(self.log_scales, initial_log_scales(self.config))
        if module is self and hasattr(self, "moco") and not was_loaded(self.moco.text_queue):
            self.moco.start(self.network.bert, self.video)

    def set_attention(self, implementation: str) -> None:
        """Compute the attention of the shared network and of the patch encoder spelt out ("eager")
        or fused ("sdpa"): the same numbers but for rounding."""
        for config in (self.config, self.network.bert.config):
            config._attn_implementation = implementation

    def encode_text(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        lengths: Sequence[int] | None = None,
    ) -> TextFeatures:
        """Text pass: [batch, tokens] -> TextFeatures."""
        output = self.network.text_pass(input_ids, attention_mask, lengths, limit=self.slice_size)
        return TextFeatures(F.normalize(output.pooled, dim=-1), output.tokens)

    def encode_video(self, pixel_values: Tensor, pixel_mask: Tensor | None = None) -> VideoFeatures:
        """Visual side: [batch, clips, frames, channels, height, width] -> VideoFeatures."""
        return self.video(pixel_values, pixel_mask)

    def encode_clips(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Clip tokens and clip features of a batch's videos, each [batch, clips, hidden]."""
        pixels, mask = batch["pixel_values"], batch.get("pixel_mask")

        def encode(one: Slice) -> tuple[Tensor, Tensor]:
            real = None if mask is None else slices.take(mask, one.rows)
            video = self.video(slices.take(pixels, one.rows), real)
            return video.clip_tokens, video.clip_features

        parts = slices.even(len(pixels), self.slice_size)
        return slices.run(encode, parts, recompute=self.slice_size is not None, module=self.video)

    @staticmethod
    def lengths(batch: Batch, captions: str = "") -> Sequence[int] | None:
        """Tokens of a batch's captions ("mismatched_": of its false ones), where they are known."""
        known = batch.get(f"{captions}lengths")
        return slices.count_lengths(batch[f"{captions}attention_mask"]) if known is None else known

    @property
    def slice_size(self) -> int | None:
        """Rows that pass at a time in training with `micro_batch`; None = no limit."""
        return self.micro_batch if self.training and torch.is_grad_enabled() else None

    def gather(self, rows: Tensor | None) -> Tensor | None:
        """The rows of all processes in training; in evaluation a process may be the only one."""
        return parallel.gather(rows) if self.training and rows is not None else rows

    def mean(self, mean: Tensor, count: Tensor | int) -> Tensor:
        """The mean over the items of all processes in training; of this one in evaluation."""
        return parallel.mean_over_processes(mean, count) if self.training else mean

    def scale(self, task: str) -> Tensor | float:
        """The learnable logit scale of "text_video", "cross_modal" or "words"; 1 when it is off."""
        if self.config.initial_logit_scale is None:
            return 1.0
        if self.training:
            # At most 100, as in CLIP. The parameter itself is held there: were only its use
            # clamped, it would have no gradient beyond and never come back.
            with torch.no_grad():
                self.log_scales.clamp_(max=MOST_LOG_SCALE)
        index = ("text_video", "cross_modal", "words").index(task)
        return self.log_scales[index].exp()

    def text_video_scores(self, text: Tensor, clips: Tensor) -> Tensor:
        """Scaled dot products: [text, hidden], [video, clip, hidden] -> [text, video, clip]."""
        return self.scale("text_video") * objectives.text_video_similarity(text, clips)

    def match(self, text: Tensor, clip_features: Tensor) -> Tensor:
        """Text-video matching score, log-sum-exp over clips: -> [text, video]."""
        scores = self.text_video_scores(text, clip_features)
        return scores[..., 0] if scores.shape[-1] == 1 else scores.logsumexp(-1)

    def pair_score(self, pooled: Tensor) -> Tensor:
        """Cross-modal matching score of pooled pairs: [pairs, hidden] -> [pairs].

        In float32 under autocast too: rounded to bfloat16, scores of well-separated pairs give
        gradients that are off by a quarter.
        """
        with torch.autocast(pooled.device.type, enabled=False):
            pooled = pooled.to(self.similarity[0].weight.dtype)
            return self.scale("cross_modal") * self.similarity(pooled).squeeze(-1)

    def cross_match(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        clip_tokens: Tensor,
        lengths: Sequence[int] | None = None,
    ) -> Tensor:
        """Cross-modal matching score of aligned pairs: ids and mask [pairs, tokens], clip tokens
        [pairs, clips, hidden] and, optionally, the tokens of each caption -> [pairs].

        Raises:
            UserError: the model is a twin tower.
        """
        output = self.network.cross_modal_pass(
            input_ids, attention_mask, clip_tokens, lengths, pooled_only=True
        )
        return self.pair_score(output.pooled)

    def contrast(
        self,
        text_video: Tensor,
        texts: Tensor,
        clips: Tensor,
        video_ids: Tensor | None,
        batch: Batch,
    ) -> Tensor:
        """GVTM of the encoders (the paper's L3): MIL-NCE over the batch, or MoCo in training.

        Args:
            text_video: scores [texts, videos, clips] of all processes; texts [texts, hidden],
                clips [videos, clips, hidden] and video_ids [videos]: likewise.
            batch: of this process.
        """
        if self.config.negative_source == "in_batch" or not self.training:
            return objectives.mil_nce(text_video, video_ids)
        self.moco.update(self.network.bert, self.video)
        own = self.moco.keys(self.network, batch, self.lengths(batch))
        keys = (self.gather(each) for each in own)
        return self.moco.loss(texts, clips, *keys, video_ids)

    def match_pairs(
        self,
        batch: Batch,
        clip_tokens: Tensor,
        text_video: Tensor,
        video_ids: Tensor | None = None,
        own: CrossModalPass | None = None,
    ) -> Tensor:
        """Cross-modal scores of this process's captions with the videos of all (GVTM, L4).

        Args:
            batch: of this process; its masked captions are read, where there are any.
            clip_tokens: [batch, clips, hidden], its videos.
            text_video: scores [texts, videos, clips] of all processes, to choose negatives by.
            video_ids: int64 [videos] of all processes.
            own: the pass of each caption with its own video, where it was computed already.

        Returns:
            [batch, videos of all processes], -inf where a pair was not computed.
        """
        ids = batch.get("masked_input_ids", batch["input_ids"])
        captions = ids, batch["attention_mask"]
        size, lengths, limit = len(ids), self.lengths(batch), self.slice_size
        if own is None or batch.get("mlm_input_ids", ids) is not ids:
            own = self.network.cross_modal_pass(
                *captions, clip_tokens, lengths, pooled_only=True, limit=limit
            )
        all_clip_tokens = self.gather(clip_tokens)
        rows = parallel.own_rows(size) if self.training else slice(0, size)
        others = self._other_videos(text_video, video_ids)[rows]  # [batch, negatives]
        count = others.shape[1]
        if not count:  # one video alone
            return self.pair_score(own.pooled)[:, None]
        negative = self.network.cross_modal_pass(
            *captions,
            all_clip_tokens,
            lengths,
            pairs=([row for row in range(size) for _ in range(count)], others.flatten()),
            pooled_only=True,
            limit=limit and limit * min(limit, count + 1),  # as a batch of that size has
        )
        column = torch.arange(rows.start, rows.stop, device=others.device)[:, None]
        scores = self.pair_score(torch.cat([negative.pooled, own.pooled]))
        matrix = scores.new_full((size, len(all_clip_tokens)), -torch.inf)
        matrix = matrix.scatter(1, others, scores[:-size].view(size, count))
        return matrix.scatter(1, column, scores[-size:, None])

    def _other_videos(self, text_video: Tensor, video_ids: Tensor | None) -> Tensor:
        """The negative videos of each text of all processes: int64 [texts, negatives]."""
        total = len(text_video)
        if self.config.negatives == "all":
            texts = torch.arange(total, device=text_video.device)
            return (texts[:, None] + torch.arange(1, total, device=texts.device)) % total
        drawn = objectives.draw_negatives(
            text_video.detach().logsumexp(-1),
            int(self.config.negatives),
            self.config.negative_sampling,
            video_ids,
        )
        return parallel.from_first_process(drawn) if self.training else drawn

    def option_scores(
        self, input_ids: Tensor, attention_mask: Tensor, clip_features: Tensor, clip_tokens: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Text-video and cross-modal score of every option of every video.

        Args:
            input_ids, attention_mask: [batch, options, tokens].
            clip_features, clip_tokens: [batch, clips, hidden].

        Returns:
            Two of [batch, options]; a twin tower's cross-modal scores are 0.
        """
        batch, options = input_ids.shape[:2]
        ids, mask = input_ids.flatten(0, 1), attention_mask.flatten(0, 1)
        pooled = self.encode_text(ids, mask).pooled.unflatten(0, (batch, options))
        clipwise = pooled @ clip_features.transpose(1, 2)  # [batch, options, clips]
        matching = (self.scale("text_video") * clipwise).logsumexp(-1)
        if self.config.architecture == "twin_tower":
            return matching, torch.zeros_like(matching)
        repeated = clip_tokens.repeat_interleave(options, dim=0)  # [batch * options, clips, hidden]
        cross_modal = self.cross_match(ids, mask, repeated).unflatten(0, (batch, options))
        return matching, cross_modal
