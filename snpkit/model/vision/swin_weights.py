"""Read published Video Swin weights into `VideoSwin`: every name mapped, nothing left over.

Two public sets of names exist: torchvision's (`swin3d_t/s/b`: "features.4.0.attn.qkv.weight") and
those of the Video-Swin-Transformer repository's Kinetics and Something-Something checkpoints
("backbone.layers.2.blocks.0.attn.qkv.weight").
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from snpkit.errors import CheckpointError, listed
from snpkit.model.vision.swin import VideoSwin
from snpkit.model.vision.windows import relative_index
from snpkit.weights import match

_RULES = (  # (pattern, replacement), tried in turn; the first that fits decides
    (r"patch_embed\.proj\.", "embed.projection."),
    (r"patch_embed\.norm\.", "embed.norm."),
    (r"layers\.(\d+)\.blocks\.(\d+)\.", lambda m: f"stages.{m[1]}.blocks.{m[2]}."),
    # Both sets end a stage with the merging; here it opens the next one.
    (r"layers\.(\d+)\.downsample\.", lambda m: f"stages.{int(m[1]) + 1}.merge."),
    # torchvision's list alternates: stage, merging, stage, merging, ...
    (r"features\.(\d*[02468])\.(\d+)\.", lambda m: f"stages.{int(m[1]) // 2}.blocks.{m[2]}."),
    (r"features\.(\d*[13579])\.", lambda m: f"stages.{int(m[1]) // 2 + 1}.merge."),
)
_PARTS = {
    "attn.relative_position_bias_table": "attention.position_bias",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.projection",
    "mlp.fc1": "mlp.0",
    "mlp.fc2": "mlp.2",
    "mlp.3": "mlp.2",  # torchvision counts its two dropouts
}


def swin_name(name: str) -> str:
    """Our name of a parameter that carries torchvision's or the repository's; else `name` itself.

    >>> swin_name("backbone.layers.0.blocks.1.attn.proj.bias")
    'stages.0.blocks.1.attention.projection.bias'
    """
    for wrapper in ("module.", "backbone."):
        name = name.removeprefix(wrapper)
    for pattern, replacement in _RULES:
        match = re.match(pattern, name)
        if match:
            start = replacement if isinstance(replacement, str) else replacement(match)
            rest = name[match.end() :]
            part = next((part for part in _PARTS if f"{rest}.".startswith(f"{part}.")), "")
            return start + _PARTS.get(part, "") + rest[len(part) :]
    return name


def load_swin_weights(model: VideoSwin, state_dict: Mapping[str, Tensor]) -> None:
    """Copy weights under torchvision's, the repository's or our own names into `model`.

    Strict: every parameter of the model must be given once, with its shape, and nothing else may be
    there but a classifier. The stored tables of relative positions are compared with ours.

    Raises:
        CheckpointError: names that are unknown, missing or given twice, or shapes that differ; it
            lists them.
    """
    named, faults = [], []
    for name, value in state_dict.items():
        bare = name.removeprefix("module.")
        if bare.startswith(("head.", "cls_head.")):  # torchvision's, the repository's classifier
            continue
        if not bare.endswith("relative_position_index"):
            named.append((name, swin_name(name), value))
        elif not torch.equal(value.cpu(), relative_index(model.window, model.window)):
            faults.append(f"{name} (positions of another window than {model.window})")
    found, misfits = match(model.state_dict(), named)
    if faults := faults + misfits:
        raise CheckpointError(f"The weights do not fit this Video Swin: {listed(faults)}.")
    model.load_state_dict(found)
