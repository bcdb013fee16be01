"""Read weights that carry the published code's parameter names, strictly.

The visual encoder comes with them where `config.vision` is "resnet50", "pvt_v2_b2", "video_swin_s"
(which the published code calls Swin-B) or "video_swin_b"; `reference_vision.py` knows their names.

One thing does not follow from weights: the published Video Swin moves its patches by one frame and
sees all clips of a video as one sequence. `config.swin_time_stride=1` with
`config.swin_joint_clips=True` computes exactly that; the defaults (2 and False) take the same
weights, but give other grids.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from snpkit.errors import CheckpointError
from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.model.reference_vision import CONVOLUTION, PROJECTION, VisionNames, join_projection

# (pattern of a published name, our name); the first that matches the whole name wins.
_HEAD = r"\.cls\.predictions\."
_RULES: tuple[tuple[str, str], ...] = (
    # The published text encoder holds its BERT, and BERT's three parts beside it once more.
    (
        r"model\.module\.text_encoder\.(?:module\.)?((?:embeddings|encoder|pooler)\..+)",
        r"network.bert.\1",
    ),
    (r"model\.module\.cross_pooler\.(.+)", r"network.cross_pooler.\1"),
    (r"model\.module\.img_encoder\.img_fc\.(.+)", r"video.clip_head.\1"),
    (r"model\.similarity_dense\.(.+)", r"similarity.\1"),
    (r"itm_head\.cls\.seq_relationship\.(.+)", r"itm_head.\1"),
    (rf"mlm_head\.text_encoder_mlm{_HEAD}bias", r"text_mlm_head.bias"),
    (rf"mlm_head\.text_encoder_mlm{_HEAD}transform\.dense\.(.+)", r"text_mlm_head.dense.\1"),
    (rf"mlm_head\.text_encoder_mlm{_HEAD}transform\.LayerNorm\.(.+)", r"text_mlm_head.norm.\1"),
    (rf"mlm_head\.transformer_mlm{_HEAD}bias", r"cross_mlm_head.bias"),
    (rf"mlm_head\.transformer_mlm{_HEAD}transform\.dense\.(.+)", r"cross_mlm_head.dense.\1"),
    (rf"mlm_head\.transformer_mlm{_HEAD}transform\.LayerNorm\.(.+)", r"cross_mlm_head.norm.\1"),
)
_SHARED_CROSS = (
    (r"model\.module\.cross_embeddings\.(.+)", r"network.bert.embeddings.\1"),
    (r"model\.module\.cross_encoder\.(.+)", r"network.bert.encoder.\1"),
)
_SEPARATE_CROSS = (
    (r"model\.module\.cross_embeddings\.(.+)", r"network.separate_embeddings.\1"),
    (r"model\.module\.cross_encoder\.(.+)", r"network.separate_encoder.\1"),
)
# The tied MLM decoders, saved again by the published code under the heads' own names.
_TIED = (
    (rf"mlm_head\.(?:.+){_HEAD}decoder\.weight", r"network.bert.embeddings.word_embeddings.weight"),
    (rf"mlm_head\.text_encoder_mlm{_HEAD}decoder\.bias", r"text_mlm_head.bias"),
    (rf"mlm_head\.transformer_mlm{_HEAD}decoder\.bias", r"cross_mlm_head.bias"),
)
# Not weights: constants, and the MoCo copies, which a model rebuilds from its own weights.
_IGNORED = (r".*\.position_ids", r"(?:.*\.)?moco_utils\..+", r".*\.num_batches_tracked")
# DistributedDataParallel puts "module." before all names; a saved training run holds the model, and
# its heads beside it, as `model`.
_WRAPPERS = re.compile(r"(?:module\.)*(?:model\.(?=(?:model|mlm_head|itm_head)\.))?")


def from_reference(state_dict: Mapping[str, Any], config: SNPConfig) -> SNPForPreTraining:
    """Build the model of `config` from weights under the published code's names.

    A whole published checkpoint is read too: prefixes of DistributedDataParallel are taken off,
    MoCo copies and a backbone's classifier are ignored by name, a tensor saved under several names
    must be the same under each. Loading is strict: all parameters must be there, and nothing
    unknown. Where the weights project the grid with a bias, the model gets a config of its own
    with `vision_projection="affine"`.

    Args:
        state_dict: name -> tensor, in any floating type; the model takes torch's default type. Or
            `{"model": such a dict, ...}`, as training saves it.
    Raises:
        CheckpointError: names that are unknown, missing, of another shape, or that contradict one
            another; the message lists them.
    """
    while isinstance(state_dict.get("model"), Mapping):
        state_dict = state_dict["model"]
    if any(_plain(name) in CONVOLUTION for name in state_dict):
        config = copy.deepcopy(config)
        config.vision_projection = "affine"
    model = SNPForPreTraining(config)
    weights = _rename(state_dict, model)
    own = model.state_dict()
    _compare(weights, own)
    with torch.no_grad():
        for name, value in weights.items():
            own[name].copy_(value)
        if config.negative_source == "moco":
            model.moco.start(model.network.bert, model.video)
    return model


def _compare(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    own_names = {n for n in own if not n.startswith("moco.")}
    optional = {"log_scales"} | {n for n in own_names if n.endswith("num_batches_tracked")}
    missing = sorted(own_names - weights.keys() - optional)
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


def _rename(state_dict: Mapping[str, Any], model: SNPForPreTraining) -> dict[str, Tensor]:
    three = model.config.architecture == "three_fusion"
    rules = _RULES + (_SEPARATE_CROSS if three else _SHARED_CROSS) + _TIED
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


def _plain(name: str) -> str:
    return _WRAPPERS.sub("", name, count=1)


def _target(name: str, rules: tuple[tuple[str, str], ...]) -> str | None:
    for pattern, target in rules:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(target)
    return None
