"""What pre-training and every downstream model share: the encoders and the two matching scores."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init

from snpkit.model import objectives
from snpkit.model.config import SNPConfig
from snpkit.model.initialisation import initial_log_scales, initialise, was_loaded
from snpkit.model.lengths import Lengths
from snpkit.model.shared import NETWORKS, TextPass
from snpkit.model.unpadded import text_pass
from snpkit.model.video import VideoFeatures, VideoTower
from snpkit.model.weights import pretrained


@dataclass
class TextFeatures:
    """pooled [batch, hidden]: L2-normalised; tokens [batch, tokens, hidden]: contextual vectors."""

    pooled: Tensor
    tokens: Tensor


class SNPPreTrainedModel(PreTrainedModel):
    """Encoders shared by pre-training and the downstream models."""

    config_class = SNPConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    _supports_sdpa = True

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
            UserError, CheckpointError: see `snpkit.model.weights.pretrained`.
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

    def encode_text(
        self, input_ids: Tensor, attention_mask: Tensor, lengths: Lengths | None = None
    ) -> TextFeatures:
        """Text pass: [batch, tokens] -> TextFeatures; with `lengths` padding is not computed."""
        output: TextPass = text_pass(self.network.bert, input_ids, attention_mask, lengths)
        return TextFeatures(F.normalize(output.pooled, dim=-1), output.tokens)

    def encode_video(self, pixel_values: Tensor, pixel_mask: Tensor | None = None) -> VideoFeatures:
        """Visual side: [batch, clips, frames, channels, height, width] -> VideoFeatures."""
        return self.video(pixel_values, pixel_mask)

    def scale(self, task: str) -> Tensor | float:
        """The learnable logit scale of "text_video", "cross_modal" or "words"; 1 when it is off."""
        if self.config.initial_logit_scale is None:
            return 1.0
        index = ("text_video", "cross_modal", "words").index(task)
        return self.log_scales[index].clamp(max=4.6052).exp()  # at most 100, as in CLIP

    def text_video_scores(self, text: Tensor, clips: Tensor) -> Tensor:
        """Scaled dot products: [text, hidden], [video, clip, hidden] -> [text, video, clip]."""
        return self.scale("text_video") * objectives.text_video_similarity(text, clips)

    def match(self, text: Tensor, clip_features: Tensor) -> Tensor:
        """Text-video matching score, log-sum-exp over clips: -> [text, video]."""
        return self.text_video_scores(text, clip_features).logsumexp(-1)


def similarity_head(config: SNPConfig) -> nn.Module:
    """The perceptron of the cross-modal matching score: [pairs, hidden] -> [pairs, 1]."""
    hidden = config.hidden_size
    return nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, 1))


class SNPMatchingModel(SNPPreTrainedModel):
    """Encoders with a cross-modal matching score; a subclass builds `self.similarity`."""

    def pair_score(self, pooled: Tensor) -> Tensor:
        """Cross-modal matching score of pooled pairs: [pairs, hidden] -> [pairs]."""
        return self.scale("cross_modal") * self.similarity(pooled).squeeze(-1)

    def cross_match(self, input_ids: Tensor, attention_mask: Tensor, clip_tokens: Tensor) -> Tensor:
        """Cross-modal matching score of aligned pairs: ids and mask [pairs, tokens], clip tokens
        [pairs, clips, hidden] -> [pairs].

        Raises:
            UserError: the model is a twin tower.
        """
        output = self.network.cross_modal_pass(input_ids, attention_mask, clip_tokens)
        return self.pair_score(output.pooled)

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
