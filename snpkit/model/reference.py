"""Read weights that carry the published code's parameter names, strictly.

Its models for pre-training, retrieval, multiple choice and question answering are known. Retrieval
and multiple choice have the same weights; those of question answering have one linear layer on the
pooled vector of question and video as the answer head.

The visual encoder comes with them where `config.vision` is "resnet50", "pvt_v2_b2", "video_swin_s"
(which the published code calls Swin-B) or "video_swin_b"; `reference_vision.py` knows their names.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from snpkit.errors import CheckpointError, UserError
from snpkit.model.base import SNPPreTrainedModel
from snpkit.model.config import SNPConfig
from snpkit.model.downstream import DOWNSTREAM
from snpkit.model.initialisation import take_weights
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.model.reference_vision import PROJECTION, VisionNames, join_projection, vision_of

# (pattern of a published name, our name); the first that matches the whole name wins.
_RULES: tuple[tuple[str, str], ...] = (
    # The published text encoder holds its BERT, and BERT's three parts beside it once more.
    (
        r"model\.module\.text_encoder\.(?:module\.)?((?:embeddings|encoder|pooler)\..+)",
        r"network.bert.\1",
    ),
    (r"model\.module\.cross_pooler\.(.+)", r"network.cross_pooler.\1"),
    (r"model\.module\.img_encoder\.img_fc\.(.+)", r"video.clip_head.\1"),
    (r"model\.similarity_dense\.(.+)", r"similarity.\1"),
    (r"model\.clf\.(.+)", r"answer_head.\1"),
    (r"itm_head\.cls\.seq_relationship\.(.+)", r"itm_head.\1"),
    # The decoders are tied; they are saved again under the heads' own names.
    (r"mlm_head\..+\.decoder\.weight", r"network.bert.embeddings.word_embeddings.weight"),
    *(
        (rf"mlm_head\.{theirs}_mlm\.cls\.predictions\.{part}", rf"{ours}_mlm_head.{target}")
        for theirs, ours in (("text_encoder", "text"), ("transformer", "cross"))
        for part, target in (
            (r"(?:decoder\.)?bias", "bias"),
            (r"transform\.dense\.(.+)", r"dense.\1"),
            (r"transform\.LayerNorm\.(.+)", r"norm.\1"),
        )
    ),
)
_CROSS = r"model\.module\.cross_((?:embeddings|encoder)\..+)"
_SHARED, _SEPARATE = ((_CROSS, r"network.bert.\1"),), ((_CROSS, r"network.separate_\1"),)
# Not weights: constants, and the MoCo copies, which a model rebuilds from its own weights.
_IGNORED = (r".*\.position_ids", r"(?:.*\.)?moco_utils\..+", r".*\.num_batches_tracked")
# DistributedDataParallel puts "module." before all names; a saved pre-training run holds the model,
# and its heads beside it, as `model`.
_WRAPPERS = re.compile(r"(?:module\.)*(?:model\.(?=(?:model|mlm_head|itm_head)\.))?")
_plain = partial(_WRAPPERS.sub, "", count=1)

# Choices of the published code, which do not follow from weights: fields of SNPConfig.
PUBLISHED: dict[str, Any] = {
    "text_mlm": "unmasked", "logit_scale": None, "frame_middle": "lower", "answer_head": "linear",
    "choice_score": "cross_modal", "vision_frozen_norms": True, "swin_time_stride": 1,
    "swin_joint_clips": True,
}  # fmt: skip


def from_reference(
    state_dict: Mapping[str, Any],
    config: SNPConfig,
    task: str = "pretraining",
    answers: Sequence[str] | None = None,
) -> SNPPreTrainedModel:
    """Build the model of `config` from weights under the published code's names.

    A whole published checkpoint is read too: prefixes of DistributedDataParallel are taken off,
    MoCo copies and a backbone's classifier are ignored by name, a tensor saved under several names
    must be the same under each. Loading is strict: all parameters must be there, and nothing
    unknown. What the weights decide the model's copy of `config` says: for "qa" `answer_head` is
    "linear", and where they project the grid with a bias `vision_projection` is "affine".

    Args:
        state_dict: name -> tensor, in any floating type; the model takes torch's default type. Or
            `{"model": such a dict, ...}`, as training saves it.
        task: what the model was made for: "pretraining", "retrieval", "qa", "multichoice"; or
            "auto", as its heads say (those of multiple choice are those of retrieval).
        answers: of "qa", the label set in order; None = that of `config`.
    Raises:
        CheckpointError: names that are unknown, missing, of another shape, or that contradict one
            another; the message lists them.
        UserError: no such task, or a label set that is not its own or has an answer twice.
    """
    state_dict, config = _unwrapped(state_dict), copy.deepcopy(config)
    names = {_plain(name) for name in state_dict}
    if names & set(PROJECTION[1:]):  # the convolution, which has a bias
        config.vision_projection = "affine"
    if task == "auto":
        pretraining = any(name.startswith("mlm_head.") for name in names)
        task = "pretraining" if pretraining else "qa" if "model.clf.bias" in names else "retrieval"
    if task == "qa":
        config.answer_head = "linear"
    kinds = {"pretraining": SNPForPreTraining, **DOWNSTREAM}
    if task not in kinds or (answers is not None and task != "qa"):
        raise UserError(f"The task {task!r} is not one of {', '.join(kinds)}, or has no answers.")
    model = kinds[task](config, **({} if answers is None else {"answers": answers}))
    weights = _rename(state_dict, model)
    _compare(weights, model.state_dict())
    take_weights(model, weights)
    return model


def published_config(
    state_dict: Mapping[str, Any], heads: int | None = None, **choices: Any
) -> SNPConfig:
    """The configuration of a published model: sizes from its weights, switches as its code has.

    Args:
        state_dict: as `from_reference` takes it.
        heads: attention heads, which no weight shows; None = one for 64 numbers, as in BERT.
        choices: further fields of SNPConfig, and such as are to be in place of what is found.

    Raises:
        CheckpointError: no text encoder under the published names, or no such number of heads.
        UserError: a choice that SNPConfig refuses.
    """
    bert, separate, matrix = "network.bert.", "network.separate_", PROJECTION[0]
    found = {
        _target(_plain(name), _RULES + _SEPARATE) or _plain(name): value
        for name, value in _unwrapped(state_dict).items()
        if isinstance(value, Tensor)
    }
    try:
        words, positions, types = (
            len(found[f"{bert}embeddings.{part}_embeddings.weight"])
            for part in ("word", "position", "token_type")
        )
        inner, hidden = found[f"{bert}encoder.layer.0.intermediate.dense.weight"].shape
        width = len(found[matrix]) if matrix in found else None
        answers = len(found.get("answer_head.bias", ()))
        vision = vision_of(found)
    except (KeyError, TypeError, ValueError):
        raise CheckpointError("The weights lack a BERT under the published names.") from None
    heads = heads or hidden // 64
    if heads < 1 or hidden % heads:
        raise CheckpointError(f"{heads} heads cannot share {hidden} numbers; say how many.")
    # One encoder under two names, or two: then their tensors differ.
    names = {name: name.replace(separate, bert) for name in found if name.startswith(separate)}
    three = any(n not in found or not torch.equal(found[n], found[s]) for s, n in names.items())
    layers = [name.split("layer.")[0] for name in found if name.endswith("intermediate.dense.bias")]
    values = {
        "vocab_size": words, "max_position_embeddings": positions, "type_vocab_size": types,
        "hidden_size": hidden, "intermediate_size": inner, "num_attention_heads": heads,
        "num_hidden_layers": layers.count(f"{bert}encoder."),
        "cross_layers": layers.count(f"{separate}encoder.") or 1,
        "vision": vision, "vision_width": width,
        "architecture": "three_fusion" if three else "snp", "itm": "itm_head.weight" in found,
    }  # fmt: skip
    if "network.cross_pooler.dense.weight" not in found:
        values["architecture"] = "twin_tower"
    if answers:  # numbers, until their names are given
        values["id2label"] = {number: str(number) for number in range(answers)}
    known = vars(SNPConfig())
    return SNPConfig(**values | {n: v for n, v in PUBLISHED.items() if n in known} | choices)


def _unwrapped(state_dict: Mapping[str, Any]) -> Mapping[str, Any]:
    while isinstance(state_dict.get("model"), Mapping):
        state_dict = state_dict["model"]
    return state_dict


def _compare(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    own_names = {n for n in own if not re.fullmatch(r"moco\..+|.+\.num_batches_tracked", n)}
    missing = sorted(own_names - weights.keys() - {"log_scales"})
    unknown = sorted(weights.keys() - own_names)
    wrong = sorted(
        f"{n} {tuple(weights[n].shape)} instead of {tuple(own[n].shape)}"
        for n in own_names & weights.keys()
        if weights[n].shape != own[n].shape
    )
    if missing or unknown or wrong:
        raise CheckpointError(
            f"The reference weights do not fit this configuration: missing {missing}, "
            f"unknown {unknown}, of another shape {wrong}."
        )


def _rename(state_dict: Mapping[str, Any], model: SNPPreTrainedModel) -> dict[str, Tensor]:
    rules = _RULES + (_SEPARATE if model.config.architecture == "three_fusion" else _SHARED)
    vision = VisionNames(model.config.vision, model.video.encoder)
    renamed: dict[str, Tensor] = {}
    unknown: list[str] = []
    for name, value in state_dict.items():
        plain = _plain(name)
        if any(re.fullmatch(pattern, plain) for pattern in _IGNORED):
            continue
        target = plain if plain in PROJECTION else _target(plain, rules)
        placed = None
        if isinstance(value, Tensor):
            placed = {target: value} if target else vision.place(plain, value)
        if placed is None:
            unknown.append(name)
            continue
        for target, tensor in placed.items():
            if target in renamed and not torch.equal(renamed[target], tensor):
                raise CheckpointError(
                    f"The reference weights hold two different tensors for {target}; one is {name}."
                )
            renamed[target] = tensor
    if unknown:
        raise CheckpointError(f"The reference weights hold unknown names: {sorted(unknown)}.")
    return join_projection(renamed)


def _target(name: str, rules: tuple[tuple[str, str], ...]) -> str | None:
    matches = ((re.fullmatch(pattern, name), target) for pattern, target in rules)
    return next((match.expand(target) for match, target in matches if match), None)
