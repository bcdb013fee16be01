"""SNPConfig: every choice of an SNP-S3 model in one JSON-able object."""

import reprlib
from collections.abc import Sequence
from typing import Any

from transformers import BertConfig, PretrainedConfig

from snpkit.errors import UserError

ARCHITECTURES = ("snp", "three_fusion", "twin_tower")
TASKS = ("text_mlm", "cross_mlm", "gvtm_text_video", "gvtm_cross_modal", "lvwm")
DEFAULT_LOGIT_SCALE = 1 / 0.07


class SNPConfig(PretrainedConfig):
    """Configuration of an SNP-S3 model: BertConfig's names flat, then vision and tasks.

    Args:
        vocab_size ... type_vocab_size: as in `transformers.BertConfig`; the shared network is a
            `BertModel` of exactly these sizes.
        architecture: "snp" (one shared network, paper sec. III-B), "three_fusion" (P3E: a separate
            cross-modal encoder of `cross_layers` layers with its own embeddings) or "twin_tower"
            (no cross-modal pass).
        vision: "patch" | "features" | "resnet50" | "pvt_v2_b2" | "video_swin_s" | "video_swin_b",
            or the name of any transformers AutoBackbone. With "features" the pixel input is already
            a grid feature map of `vision_width` channels.
        vision_width: channels of the grid features.
        vision_projection: "matrix" brings grid features of another width than `hidden_size` to it
            without a bias; "affine" projects any width, with a bias (as the published code does
            behind ResNet-50 and PVTv2).
        vision_drop_path: stochastic depth of Video Swin: how often, in training, its last block
            leaves a residual branch out.
        gradient_checkpointing_vision: recompute the visual encoder's activations in the backward
            pass: less memory, more time.
        gradient_checkpointing_pairs: the same for the pairs of the cross-modal matching.
        image_size: pixels a side of the frames.
        image_fit: "crop" (frames are the centre square) or "long" (whole pictures, the long side
            `image_size`, padded to a square with a `pixel_mask`).
        pooling: "mean" over frames and grid (the paper) or "mean_max" (mean plus maximum).
        text_mlm: "masked" (the text pass reads the masked caption) or "unmasked" (as the published
            code does: a copying task).
        lvwm_stage: match the words "after" the text pass, "before" it (embeddings), or "both".
        lvwm_words: significant words drawn per caption for LVWM (paper: 3).
        level1: "in_batch" or "moco" negatives for text-video matching.
        negatives: pairs of the cross-modal matching: "all" B x B, or that many negative videos per
            caption, drawn by their text-video score.
        hard_negatives: where `negatives` is a number, draw with probability proportional to
            e^score; False = uniformly.
        itm: add image-text matching with one mismatched caption per sample.
        attentive_masking: probability of a step whose masked positions follow the attention.
        logit_scale: None or False = no temperature (the paper); True = learnable, from 1/0.07; a
            number = learnable, from that number. LVWM and cross-modal scores then get their own,
            which start at 1, because their scores are not cosines.
        answer_from: what the answer head of question answering reads: "pooled", the pooled vector
            of question and video (the paper), or "pooled_and_clips", the mean clip token as well,
            so that the gradient of an answer reaches the visual side without passing the layers.
        tasks: the losses to compute.

    Raises:
        UserError: a value outside the choices above; the message names the field.
    """

    model_type = "snpkit"

    def __init__(
        self,
        *,
        vocab_size: int = 30522,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        hidden_act: str = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        initializer_range: float = 0.02,
        layer_norm_eps: float = 1e-12,
        mlm_layer_norm_eps: float = 1e-6,
        pad_token_id: int = 0,
        cls_token_id: int = 101,
        sep_token_id: int = 102,
        mask_token_id: int = 103,
        architecture: str = "snp",
        cross_layers: int = 3,
        vision: str = "patch",
        vision_width: int | None = None,
        vision_projection: str = "matrix",
        vision_pretrained: str | None = None,
        vision_frozen_stages: int = 0,
        gradient_checkpointing_vision: bool = False,
        gradient_checkpointing_pairs: bool = False,
        vision_drop_path: float = 0.0,
        image_size: int = 64,
        image_fit: str = "crop",
        image_mean: Sequence[float] = (0.485, 0.456, 0.406),
        image_std: Sequence[float] = (0.229, 0.224, 0.225),
        clips: int = 2,
        frames: int = 4,
        patch_size: int = 8,
        patch_stem: str = "overlapping",
        patch_layers: int = 2,
        patch_heads: int = 4,
        patch_motion: bool = False,
        pooling: str = "mean",
        text_mlm: str = "masked",
        lvwm_stage: str = "after",
        lvwm_words: int = 3,
        level1: str = "in_batch",
        moco_temperature: float = 0.05,
        moco_momentum: float = 0.9999,
        moco_queue: int = 16384,
        negatives: str | int = "all",
        hard_negatives: bool = True,
        itm: bool = False,
        attentive_masking: float = 0.0,
        logit_scale: float | bool | None = None,
        answer_from: str = "pooled",
        tasks: Sequence[str] = TASKS,
        **kwargs: Any,
    ) -> None:
        values = {k: v for k, v in locals().items() if k not in ("self", "kwargs", "__class__")}
        self.__dict__.update(values)
        self.vision_width = vision_width or hidden_size
        self.image_mean, self.image_std = list(image_mean), list(image_std)
        self.tasks = list(tasks)
        self.check()
        super().__init__(pad_token_id=pad_token_id, **kwargs)

    def check(self) -> None:
        """Raise UserError where a field holds a value outside its choices."""
        choices = {
            "architecture": ARCHITECTURES,
            "image_fit": ("crop", "long"),
            "vision_projection": ("matrix", "affine"),
            "pooling": ("mean", "mean_max"),
            "patch_stem": ("patch", "overlapping", "deep"),
            "text_mlm": ("masked", "unmasked"),
            "lvwm_stage": ("after", "before", "both"),
            "level1": ("in_batch", "moco"),
            "answer_from": ("pooled", "pooled_and_clips"),
        }
        for field, allowed in choices.items():
            self._require(field, getattr(self, field) in allowed, f"choose one of {allowed}")
        known = set(self.tasks) <= set(TASKS)
        self._require("tasks", known, f"the tasks are {TASKS}")
        drawn = self.negatives == "all" or _is_whole(self.negatives)
        self._require("negatives", drawn, 'use "all" or a whole number above 0')
        for field in ("cross_layers", "clips", "frames", "lvwm_words", "moco_queue"):
            self._require(field, _is_whole(getattr(self, field)), "use a whole number above 0")
        for field in ("attentive_masking", "moco_momentum"):
            self._require(field, 0 <= getattr(self, field) <= 1, "use a number from 0 to 1")
        drops = 0 <= self.vision_drop_path < 1
        self._require("vision_drop_path", drops, "use a number from 0 to below 1")
        scale = self.initial_logit_scale
        self._require("logit_scale", scale is None or scale > 0, "use a number above 0")
        self._require("moco_temperature", self.moco_temperature > 0, "use a number above 0")
        if self.vision == "patch":
            halving = self.patch_stem != "patch"
            power = _is_whole(self.patch_size) and self.patch_size.bit_count() == 1
            advice = "the overlapping and deep stems halve the image: use a power of 2"
            self._require("patch_size", power or not halving, advice)
            fits = self.vision_width % self.patch_heads == 0
            self._require("vision_width", fits, f"use a multiple of patch_heads={self.patch_heads}")

    def _require(self, field: str, holds: bool, advice: str) -> None:
        if not holds:
            shown = reprlib.repr(getattr(self, field))  # a damaged file may hold a very long value
            raise UserError(f"SNPConfig.{field} is {shown}; {advice}.")

    @property
    def initial_logit_scale(self) -> float | None:
        """Where the learnable scale of the text-video scores starts; None when it is off."""
        if self.logit_scale is None or self.logit_scale is False:
            return None
        return DEFAULT_LOGIT_SCALE if self.logit_scale is True else float(self.logit_scale)

    def bert_config(self, num_hidden_layers: int | None = None) -> BertConfig:
        """The BertConfig of the shared network (or of a separate encoder of that many layers)."""
        config = BertConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=num_hidden_layers or self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
            hidden_act=self.hidden_act,
            hidden_dropout_prob=self.hidden_dropout_prob,
            attention_probs_dropout_prob=self.attention_probs_dropout_prob,
            max_position_embeddings=self.max_position_embeddings,
            type_vocab_size=self.type_vocab_size,
            initializer_range=self.initializer_range,
            layer_norm_eps=self.layer_norm_eps,
            pad_token_id=self.pad_token_id,
        )
        config._attn_implementation = self._attn_implementation
        return config


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
