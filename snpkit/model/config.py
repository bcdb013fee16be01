"""SNPConfig: every choice of an SNP-S3 model in one JSON-able object."""

import importlib.util
import reprlib
from collections.abc import Sequence
from typing import Any, ClassVar

from transformers import BertConfig, PretrainedConfig
from transformers.activations import ACT2FN

from snpkit.errors import UserError
from snpkit.weights import MOST_NUMBERS

ARCHITECTURES = ("snp", "three_fusion", "twin_tower")
TASKS = ("text_mlm", "cross_mlm", "gvtm_text_video", "gvtm_cross_modal", "lvwm")
DEFAULT_LOGIT_SCALE = 1 / 0.07
FORMER_NAMES = {"level1", "hard_negatives"}  # which checkpoints and recipes may still use
_CHOICES = {
    "architecture": ARCHITECTURES,
    "image_fit": ("crop", "long"),
    "vision_projection": ("matrix", "affine"),
    "vision_frozen_norms": (None, True, False),
    "swin_time_stride": (1, 2),
    "pooling": ("mean", "mean_max"),
    "patch_stem": ("patch", "overlapping", "deep"),
    "text_mlm": ("masked", "unmasked"),
    "lvwm_stage": ("after", "before", "both"),
    "negative_source": ("in_batch", "moco"),
    "negative_sampling": ("weighted", "uniform", "top_k", "nearest"),
    "answer_from": ("pooled", "pooled_and_clips"),
    "answer_head": ("mlp", "linear"),
    "choice_score": ("both", "cross_modal", "text_video"),
    "frame_middle": ("upper", "lower"),
}
# The least and the most: beyond any real model, and less than what a machine hangs on.
_WHOLE = {
    "vocab_size": (1, 5_000_000),
    "hidden_size": (1, 65_536),
    "num_hidden_layers": (1, 256),
    "num_attention_heads": (1, 1_024),
    "intermediate_size": (1, 1_000_000),
    "max_position_embeddings": (1, 1_000_000),
    "type_vocab_size": (1, 1_024),
    "cross_layers": (1, 256),
    "vision_width": (1, 65_536),
    "vision_frozen_stages": (-1_000, 1_000),  # the encoder says how many it has
    "image_size": (1, 16_384),
    "clips": (1, 10_000),
    "frames": (1, 10_000),
    "patch_size": (1, 16_384),
    "patch_layers": (0, 256),
    "patch_heads": (1, 1_024),
    "lvwm_words": (1, 10_000),
    "moco_queue": (1, 100_000_000),
}
_SHARES = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "attentive_masking", "moco_momentum",
)  # fmt: skip
_POSITIVE = ("layer_norm_eps", "mlm_layer_norm_eps", "moco_temperature")
_SWITCHES = (
    "gradient_checkpointing_vision", "gradient_checkpointing_pairs", "patch_motion",
    "swin_joint_clips", "itm",
)  # fmt: skip
# BERT's own numbers, which stay where a small vocabulary's are not known.
_TOKENS = {"pad_token_id": 0, "cls_token_id": 101, "sep_token_id": 102, "mask_token_id": 103}
# What transformers and our models keep beside these fields. A config.json of a stranger may hold
# anything else, such as names of files or of code; that is left out.
_KEPT = {
    "architectures", "attn_implementation", "dtype", "id2label", "label2id", "model_type",
    "output_attentions", "output_hidden_states", "return_dict", "torch_dtype",
    "transformers_version", "vision_config",
}  # fmt: skip
_DTYPES = ("float64", "float32", "bfloat16", "float16")


class SNPConfig(PretrainedConfig):
    """Configuration of an SNP-S3 model: BertConfig's names flat, then vision and tasks.

    Args:
        vocab_size ... type_vocab_size: as in `transformers.BertConfig`; the shared network is a
            `BertModel` of exactly these sizes.
        architecture: "snp" (one shared network, paper sec. III-B), "three_fusion" (P3E: a separate
            cross-modal encoder of `cross_layers` layers with its own embeddings) or "twin_tower"
            (no cross-modal pass).
        vision: "patch" | "features" | "resnet50" | "pvt_v2_b2" | "video_swin_s" | "video_swin_b",
            a transformers backbone type such as "convnext" (random weights), or a directory or hub
            id of one (with its weights where it has some). With "features" the pixel input already
            is a grid feature map of `vision_width` channels.
        vision_width: channels of the grid features.
        vision_projection: "matrix" brings grid features of another width than `hidden_size` to it
            without a bias; "affine" projects any width, with a bias (as the published code does
            behind ResNet-50 and PVTv2).
        vision_pretrained: directory or hub id of the encoder's first weights; for Video Swin also a
            .safetensors or .pth file under torchvision's or the Video-Swin-Transformer repository's
            names.
        vision_frozen_stages: n > 0 freezes the encoder's stem and first n stages: no gradients, and
            always evaluation mode.
        vision_frozen_norms: the same for all its batch norms, as in the published code: they
            normalise by the statistics they came with, which never change. None = where the encoder
            starts from pretrained weights; building it replaces None by what was found.
        vision_drop_path: stochastic depth of Video Swin: how often, in training, its last block
            leaves a residual branch out.
        swin_time_stride: frames from one patch of Video Swin to the next, which are 2 frames long:
            2 (its authors), or 1 (the published SNP-S3 code): a time step for every frame.
        swin_joint_clips: Video Swin sees all clips of a video as one sequence in time, as in the
            published code, so that clips of a single frame tell it of motion; False = each clip by
            itself. `frames` must then be a multiple of `swin_time_stride`.
        gradient_checkpointing_vision: recompute the visual encoder's activations in the backward
            pass: less memory, more time.
        gradient_checkpointing_pairs: the same for the pairs of the cross-modal matching.
        image_size: pixels a side of the frames.
        image_fit: "crop" (frames are the centre square) or "long" (whole pictures, the long side
            `image_size`, padded to a square with a `pixel_mask`).
        frame_middle: which frame of a range is read when nothing is drawn, see `sample_frames`:
            the "upper" or the "lower" of two middle ones (as the published code does).
        pooling: "mean" over frames and grid (the paper) or "mean_max" (mean plus maximum).
        text_mlm: "masked" (the text pass reads the masked caption) or "unmasked" (as the published
            code does: a copying task).
        lvwm_stage: match the words "after" the text pass, "before" it (embeddings), or "both".
        lvwm_words: significant words drawn per caption for LVWM (paper: 3).
        negative_source: "in_batch" or "moco" negatives for text-video matching. (Checkpoints and
            recipes may still call it `level1`.)
        negatives: pairs of the cross-modal matching: "all" B x B, or that many negative videos per
            caption, chosen by their text-video score.
        negative_sampling: where `negatives` is a number, choose them "weighted" (with probability
            proportional to e^score), "uniform", "top_k" (the highest scores) or "nearest" (the
            scores closest to the true video's); the last two are the published code's. (Formerly
            `hard_negatives`: True = "weighted", False = "uniform".)
        itm: add image-text matching with one mismatched caption per sample.
        attentive_masking: probability of a step whose masked positions follow the attention.
        logit_scale: None or False = no temperature (the paper); True = learnable, from 1/0.07; a
            number = learnable, from that number. LVWM and cross-modal scores then get their own,
            which start at 1, because their scores are not cosines.
        answer_from: what the answer head of question answering reads: "pooled", the pooled vector
            of question and video (the paper), or "pooled_and_clips", the mean clip token as well,
            so that the gradient of an answer reaches the visual side without passing the layers.
        answer_head: "mlp", a perceptron of two layers, or "linear", one layer (as in the published
            code).
        choice_score: what multiple choice compares: "both", the sum of the two matching scores,
            "cross_modal" alone (as the published code does) or "text_video" alone. A twin tower
            has only the last.
        tasks: the losses to compute.

    Raises:
        UserError: a value outside the choices above; the message names the field.
    """

    model_type = "snpkit"
    attribute_map: ClassVar = {"level1": "negative_source"}  # its former name

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
        vision_frozen_norms: bool | None = None,
        gradient_checkpointing_vision: bool = False,
        gradient_checkpointing_pairs: bool = False,
        vision_drop_path: float = 0.0,
        swin_time_stride: int = 2,
        swin_joint_clips: bool = False,
        image_size: int = 64,
        image_fit: str = "crop",
        frame_middle: str = "upper",
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
        negative_source: str = "in_batch",
        moco_temperature: float = 0.05,
        moco_momentum: float = 0.9999,
        moco_queue: int = 16384,
        negatives: str | int = "all",
        negative_sampling: str = "weighted",
        itm: bool = False,
        attentive_masking: float = 0.0,
        logit_scale: float | bool | None = None,
        answer_from: str = "pooled",
        answer_head: str = "mlp",
        choice_score: str = "both",
        tasks: Sequence[str] = TASKS,
        **kwargs: Any,
    ) -> None:
        values = {k: v for k, v in locals().items() if k not in ("self", "kwargs", "__class__")}
        self.__dict__.update(values | _new_names(kwargs))
        self.vision_width = vision_width or hidden_size
        for field in ("image_mean", "image_std", "tasks"):
            if isinstance(value := getattr(self, field), Sequence) and not isinstance(value, str):
                setattr(self, field, list(value))  # as it comes back from JSON
        self.check()
        kept = {name: value for name, value in kwargs.items() if name in _KEPT}
        self._check_kept(kept)
        super().__init__(pad_token_id=pad_token_id, **kept)

    def check(self) -> None:
        """Raise UserError where a field holds a value outside its choices."""
        for field, allowed in _CHOICES.items():
            self._require(field, getattr(self, field) in allowed, f"choose one of {allowed}")
        for field, (least, most) in _WHOLE.items():
            whole = _is_whole(getattr(self, field), least, most)
            self._require(field, whole, f"use a whole number from {least} to {most}")
        for field in _SHARES:
            share = _is_number(getattr(self, field), 0, 1)
            self._require(field, share, "use a number from 0 to 1")
        for field in _POSITIVE:
            value = getattr(self, field)
            self._require(field, _is_number(value, 0) and value > 0, "use a number above 0")
        for field in _SWITCHES:
            self._require(field, isinstance(getattr(self, field), bool), "use true or false")
        for field, own in _TOKENS.items():
            known = _is_whole(getattr(self, field), 0, max(self.vocab_size - 1, own))
            self._require(field, known, f"use a token below vocab_size={self.vocab_size}")
        self._check_network()
        self._check_vision()
        tasks = isinstance(self.tasks, list) and (self.tasks or self.itm)
        tasks = tasks and all(task in TASKS for task in self.tasks)
        self._require("tasks", bool(tasks), f"choose some of {TASKS}")
        drawn = self.negatives == "all" or _is_whole(self.negatives, 1, 1_000_000)
        self._require("negatives", drawn, 'use "all" or a whole number above 0')
        scale = self.logit_scale
        known = scale is None or isinstance(scale, bool) or (_is_number(scale, 0) and scale > 0)
        self._require("logit_scale", known, "use true, false or a number above 0")

    def _check_network(self) -> None:
        self._require(
            "hidden_size",
            self.hidden_size % self.num_attention_heads == 0,
            f"use a multiple of num_attention_heads={self.num_attention_heads}",
        )
        layer = 4 * self.hidden_size**2 + 2 * self.hidden_size * self.intermediate_size
        numbers = self.hidden_size * (self.vocab_size + self.max_position_embeddings)
        numbers += (self.num_hidden_layers + self.cross_layers) * layer
        if self.negative_source == "moco":
            numbers += 2 * self.moco_queue * self.hidden_size
        fits = numbers <= MOST_NUMBERS
        self._require("hidden_size", fits, f"the network would have {numbers:,} numbers")
        known = isinstance(self.hidden_act, str) and self.hidden_act in ACT2FN
        self._require("hidden_act", known, "use an activation of transformers, such as 'gelu'")
        spread = _is_number(self.initializer_range, 0, 100)
        self._require("initializer_range", spread, "use a number from 0 to 100")
        # Not a field of ours, and absent while one is made.
        _check_attention(getattr(self, "_attn_implementation_internal", None))

    def _check_vision(self) -> None:
        for field in ("vision", "vision_pretrained"):
            value = getattr(self, field)
            named = isinstance(value, str) and 0 < len(value) <= 4_096 and "\0" not in value
            absent = field == "vision_pretrained" and value is None
            self._require(field, named or absent, "use the name of an encoder or a folder")
        for field in ("image_mean", "image_std"):
            value = getattr(self, field)
            three = isinstance(value, list) and len(value) == 3
            right = three and all(_is_number(one, -1e6, 1e6) for one in value)
            right = right and (field == "image_mean" or min(value) > 0)
            self._require(field, right, "use three numbers" + ", std above 0" * (field[-1] == "d"))
        drops = _is_number(self.vision_drop_path, 0, 1) and self.vision_drop_path < 1
        self._require("vision_drop_path", drops, "use a number from 0 to below 1")
        whole = self.clips == 1 or self.frames % self.swin_time_stride == 0
        advice = f"with frames={self.frames} set swin_time_stride to 1"
        self._require("swin_joint_clips", whole or not self.swin_joint_clips, advice)
        if self.vision == "patch":
            power = self.patch_stem == "patch" or self.patch_size.bit_count() == 1
            advice = "the overlapping and deep stems halve the image: use a power of 2"
            self._require("patch_size", power, advice)
            fits = self.vision_width % self.patch_heads == 0
            self._require("vision_width", fits, f"use a multiple of patch_heads={self.patch_heads}")

    @staticmethod
    def _check_kept(kept: dict[str, Any]) -> None:
        """Raise UserError where a value that transformers keeps is none that it can use."""
        _check_attention(kept.get("attn_implementation"))
        for field in ("dtype", "torch_dtype"):
            name = str(kept.get(field) or "float32").removeprefix("torch.")
            _require_value(field, kept.get(field), name in _DTYPES, f"choose one of {_DTYPES}")
        labels = kept.get("id2label") or {}
        right = isinstance(labels, dict) and len(labels) <= 1_000_000
        right = right and {str(key) for key in labels} == {str(n) for n in range(len(labels))}
        right = right and all(isinstance(label, str) for label in labels.values())
        _require_value("id2label", labels, right, "use texts under the numbers from 0 on")
        if not isinstance(kept.get("label2id") or {}, dict):
            kept.pop("label2id")

    def _require(self, field: str, holds: bool, advice: str) -> None:
        _require_value(field, getattr(self, field), holds, advice)

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


def _require_value(field: str, value: object, holds: bool, advice: str) -> None:
    if not holds:
        shown = reprlib.repr(value)  # a damaged file may hold a very long value
        raise UserError(f"SNPConfig.{field} is {shown}; {advice}.")


def _check_attention(value: object) -> None:
    # Any other name is one of code on the hub, which transformers would fetch and run.
    known = ["eager", "sdpa"]
    if importlib.util.find_spec("flash_attn"):
        known.append("flash_attention_2")
    _require_value("attn_implementation", value, value is None or value in known,
                   f"choose one of {known}")  # fmt: skip


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: object, least: float, most: float = 1e6) -> bool:
    """Whether it is a number in that range (NaN is in none)."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and least <= value <= most


def _new_names(values: dict[str, Any]) -> dict[str, Any]:
    """Fields that a checkpoint or recipe calls by their former names, taken out of `values`."""
    renamed = {}
    if "level1" in values:
        renamed["negative_source"] = values.pop("level1")
    if "hard_negatives" in values:
        old = values.pop("hard_negatives")
        by_switch = "weighted" if old else "uniform"
        renamed["negative_sampling"] = by_switch if isinstance(old, bool) else old
    return renamed
