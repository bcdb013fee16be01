"""SNPConfig: every choice of an SNP-S3 model in one JSON-able object."""

import importlib.util
import reprlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, get_origin, get_type_hints

from transformers import BertConfig, PretrainedConfig
from transformers.activations import ACT2FN

from snpkit.errors import UserError
from snpkit.weights import MOST_NUMBERS

ARCHITECTURES = ("snp", "three_fusion", "twin_tower")
TASKS = ("text_mlm", "cross_mlm", "gvtm_text_video", "gvtm_cross_modal", "lvwm")
DEFAULT_LOGIT_SCALE = 1 / 0.07
FORMER_NAMES = {"level1", "hard_negatives"}  # which checkpoints and recipes may still use
# BERT's fields of the shared network: sizes, and what else changes the outputs of given weights.
BERT_SIZES = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "type_vocab_size", "hidden_act", "layer_norm_eps",
)  # fmt: skip
BERT_TRAINING = ("hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range")
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


class _Rule(NamedTuple):
    """What a field may hold, written beside its type in the signature of SNPConfig.

    Bounds are beyond any real model, and below what a machine hangs on.
    """

    allows: Callable[[Any], bool]
    advice: str

    def __repr__(self) -> str:  # as `help(SNPConfig)` shows it
        return repr(self.advice)


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: object, least: float, most: float = 1e6) -> bool:
    """Whether it is a number in that range (NaN is in none)."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and least <= value <= most


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 4_096 and "\0" not in value


def _are_numbers(value: object) -> bool:
    three = isinstance(value, list) and len(value) == 3
    return three and all(_is_number(one, -1e6, 1e6) for one in value)


def _choice(*allowed: object) -> _Rule:
    return _Rule(lambda value: value in allowed, f"choose one of {allowed}")


def _whole(least: int, most: int) -> _Rule:
    advice = f"use a whole number from {least} to {most}"
    return _Rule(lambda value: _is_whole(value, least, most), advice)


def _number(least: float, most: float) -> _Rule:
    advice = f"use a number from {least} to {most}"
    return _Rule(lambda value: _is_number(value, least, most), advice)


_Switch = Annotated[bool, _Rule(lambda value: isinstance(value, bool), "use true or false")]
_Share = Annotated[float, _number(0, 1)]
_Positive = Annotated[float, _Rule(lambda v: _is_number(v, 0) and v > 0, "use a number above 0")]
_ACTIVATION = _Rule(
    lambda value: isinstance(value, str) and value in ACT2FN,
    "use an activation of transformers, such as 'gelu'",
)
_NAME = _Rule(_is_name, "use the name of an encoder or a folder")
_NO_NAME = _Rule(lambda value: value is None or _is_name(value), _NAME.advice)
_STAGES = _whole(-1_000, 1_000)  # the encoder says how many it has
_BELOW_ONE = _Rule(lambda v: _is_number(v, 0) and v < 1, "use a number from 0 to below 1")
_MEAN = _Rule(_are_numbers, "use three numbers")
_STD = _Rule(lambda v: _are_numbers(v) and min(v) > 0, "use three numbers, std above 0")
_NEGATIVES = _Rule(
    lambda value: value == "all" or _is_whole(value, 1, 1_000_000),
    'use "all" or a whole number above 0',
)
_DRAWN_BY = _choice("weighted", "uniform", "top_k", "nearest")
_SCALE = _Rule(
    lambda v: v is None or isinstance(v, bool) or (_is_number(v, 0) and v > 0),
    "use true, false or a number above 0",
)
_SOME_TASKS = _Rule(
    lambda value: isinstance(value, list) and all(task in TASKS for task in value),
    f"choose some of {TASKS}",
)


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
        vocab_size: Annotated[int, _whole(1, 5_000_000)] = 30522,
        hidden_size: Annotated[int, _whole(1, 65_536)] = 768,
        num_hidden_layers: Annotated[int, _whole(1, 256)] = 12,
        num_attention_heads: Annotated[int, _whole(1, 1_024)] = 12,
        intermediate_size: Annotated[int, _whole(1, 1_000_000)] = 3072,
        hidden_act: Annotated[str, _ACTIVATION] = "gelu",
        hidden_dropout_prob: _Share = 0.1,
        attention_probs_dropout_prob: _Share = 0.1,
        max_position_embeddings: Annotated[int, _whole(1, 1_000_000)] = 512,
        type_vocab_size: Annotated[int, _whole(2, 1_024)] = 2,
        initializer_range: Annotated[float, _number(0, 100)] = 0.02,
        layer_norm_eps: _Positive = 1e-12,
        mlm_layer_norm_eps: _Positive = 1e-6,
        pad_token_id: int = 0,
        cls_token_id: int = 101,
        sep_token_id: int = 102,
        mask_token_id: int = 103,
        architecture: Annotated[str, _choice(*ARCHITECTURES)] = "snp",
        cross_layers: Annotated[int, _whole(1, 256)] = 3,
        vision: Annotated[str, _NAME] = "patch",
        vision_width: Annotated[int | None, _whole(1, 65_536)] = None,
        vision_projection: Annotated[str, _choice("matrix", "affine")] = "matrix",
        vision_pretrained: Annotated[str | None, _NO_NAME] = None,
        vision_frozen_stages: Annotated[int, _STAGES] = 0,
        vision_frozen_norms: Annotated[bool | None, _choice(None, True, False)] = None,
        gradient_checkpointing_vision: _Switch = False,
        gradient_checkpointing_pairs: _Switch = False,
        vision_drop_path: Annotated[float, _BELOW_ONE] = 0.0,
        swin_time_stride: Annotated[int, _choice(1, 2)] = 2,
        swin_joint_clips: _Switch = False,
        image_size: Annotated[int, _whole(1, 16_384)] = 64,
        image_fit: Annotated[str, _choice("crop", "long")] = "crop",
        frame_middle: Annotated[str, _choice("upper", "lower")] = "upper",
        image_mean: Annotated[Sequence[float], _MEAN] = (0.485, 0.456, 0.406),
        image_std: Annotated[Sequence[float], _STD] = (0.229, 0.224, 0.225),
        clips: Annotated[int, _whole(1, 10_000)] = 2,
        frames: Annotated[int, _whole(1, 10_000)] = 4,
        patch_size: Annotated[int, _whole(1, 16_384)] = 8,
        patch_stem: Annotated[str, _choice("patch", "overlapping", "deep")] = "overlapping",
        patch_layers: Annotated[int, _whole(0, 256)] = 2,
        patch_heads: Annotated[int, _whole(1, 1_024)] = 4,
        patch_motion: _Switch = False,
        pooling: Annotated[str, _choice("mean", "mean_max")] = "mean",
        text_mlm: Annotated[str, _choice("masked", "unmasked")] = "masked",
        lvwm_stage: Annotated[str, _choice("after", "before", "both")] = "after",
        lvwm_words: Annotated[int, _whole(1, 10_000)] = 3,
        negative_source: Annotated[str, _choice("in_batch", "moco")] = "in_batch",
        moco_temperature: _Positive = 0.05,
        moco_momentum: _Share = 0.9999,
        moco_queue: Annotated[int, _whole(1, 100_000_000)] = 16384,
        negatives: Annotated[str | int, _NEGATIVES] = "all",
        negative_sampling: Annotated[str, _DRAWN_BY] = "weighted",
        itm: _Switch = False,
        attentive_masking: _Share = 0.0,
        logit_scale: Annotated[float | bool | None, _SCALE] = None,
        answer_from: Annotated[str, _choice("pooled", "pooled_and_clips")] = "pooled",
        answer_head: Annotated[str, _choice("mlp", "linear")] = "mlp",
        choice_score: Annotated[str, _choice("both", "cross_modal", "text_video")] = "both",
        tasks: Annotated[Sequence[str], _SOME_TASKS] = TASKS,
        **kwargs: Any,
    ) -> None:
        values = {k: v for k, v in locals().items() if k not in ("self", "kwargs", "__class__")}
        self.__dict__.update(values | _new_names(kwargs))
        self.vision_width = vision_width or hidden_size
        self.check()
        kept = {name: value for name, value in kwargs.items() if name in _KEPT}
        self._check_kept(kept)
        super().__init__(pad_token_id=pad_token_id, **kept)

    def check(self) -> None:
        """Raise UserError where a field holds a value outside its choices."""
        for field in ("image_mean", "image_std", "tasks"):
            if isinstance(value := getattr(self, field), Sequence) and not isinstance(value, str):
                setattr(self, field, list(value))  # as it comes back from JSON
        for field, rule in _RULES.items():
            self._require(field, rule.allows(getattr(self, field)), rule.advice)
        for field, own in _TOKENS.items():
            known = _is_whole(getattr(self, field), 0, max(self.vocab_size - 1, own))
            self._require(field, known, f"use a token below vocab_size={self.vocab_size}")
        self._require("tasks", bool(self.tasks or self.itm), f"choose some of {TASKS}")
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
        # Not a field of ours, and absent while one is made.
        _check_attention(getattr(self, "_attn_implementation_internal", None))
        whole = self.clips == 1 or self.frames % self.swin_time_stride == 0
        advice = f"with frames={self.frames} set swin_time_stride to 1"
        self._require("swin_joint_clips", whole or not self.swin_joint_clips, advice)
        if self.vision == "patch":
            if self.patch_stem != "patch":  # it halves the image, with half the channels before
                power = self.patch_size > 1 and self.patch_size.bit_count() == 1
                advice = "the overlapping and deep stems halve the image: use 2 or a power of it"
                self._require("patch_size", power, advice)
                advice = f"use half of patch_size={self.patch_size} or more"
                self._require("vision_width", 2 * self.vision_width >= self.patch_size, advice)
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
        fields = {name: getattr(self, name) for name in BERT_SIZES + BERT_TRAINING}
        fields["num_hidden_layers"] = num_hidden_layers or self.num_hidden_layers
        # transformers takes no whole number for these.
        fields |= {name: float(fields[name]) for name in ("initializer_range", "layer_norm_eps")}
        config = BertConfig(**fields, pad_token_id=self.pad_token_id)
        config._attn_implementation = self._attn_implementation
        return config


_RULES: dict[str, _Rule] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(SNPConfig.__init__, include_extras=True).items()
    if get_origin(hint) is Annotated
}


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
