"""The published names of the visual encoders' weights, and ours: tables of patterns.

The published code keeps its encoder under `model.module.img_encoder`: ResNet-50 and PVTv2-B2 as
`model`, Video Swin as `swin`. ResNet's parts carry torchvision's names, or their numbers where the
network was saved as a plain sequence; PVTv2's and Video Swin's are those of their authors. After
it the grid passes a 1 x 1 convolution with a bias (`output_proj`, behind the 2-D networks), a
bias-free matrix (`img_proj`, where the width is not yet the text's), both or neither.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from snpkit.errors import CheckpointError
from snpkit.model.vision.swin_weights import swin_name
from snpkit.model.vision.windows import relative_index

ENCODER = "model.module.img_encoder."
MATRIX = "model.module.img_proj"  # [grid width, hidden]
CONVOLUTION = (f"{ENCODER}output_proj.weight", f"{ENCODER}output_proj.bias")
PROJECTION = (MATRIX, *CONVOLUTION)

# Tables of (pattern of a published module, our module), below the encoder's root. The published
# names count stages, and the convolutions of a block, from 1 and ours from 0: {stage} and {part}
# are lowered by 1. Patterns match whole names.
_THEIRS, _OURS = r"layer(?P<stage>\d)\.(?P<block>\d+)", "encoder.stages.{stage}.layers.{block}"
_RESNET = (
    (r"conv1", "embedder.embedder.convolution"),
    (r"bn1", "embedder.embedder.normalization"),
    (rf"{_THEIRS}\.conv(?P<part>\d)", f"{_OURS}.layer.{{part}}.convolution"),
    (rf"{_THEIRS}\.bn(?P<part>\d)", f"{_OURS}.layer.{{part}}.normalization"),
    (rf"{_THEIRS}\.downsample\.0", f"{_OURS}.shortcut.convolution"),
    (rf"{_THEIRS}\.downsample\.1", f"{_OURS}.shortcut.normalization"),
)
# Places in the plain sequence; 2 and 3 are the activation and the pooling, which have no weights.
_PLACES = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}

_THEIRS, _OURS = r"block(?P<stage>\d)\.(?P<block>\d+)", "encoder.layers.{stage}.blocks.{block}"
_PVT = (
    (r"patch_embed(?P<stage>\d)\.proj", "encoder.layers.{stage}.patch_embedding.proj"),
    (r"patch_embed(?P<stage>\d)\.norm", "encoder.layers.{stage}.patch_embedding.layer_norm"),
    (r"norm(?P<stage>\d)", "encoder.layers.{stage}.layer_norm"),
    (rf"{_THEIRS}\.norm(?P<number>[12])", f"{_OURS}.layer_norm_{{number}}"),
    (rf"{_THEIRS}\.attn\.q", f"{_OURS}.attention.query"),
    (rf"{_THEIRS}\.attn\.kv", f"{_OURS}.attention.{{half}}"),  # keys above values, split here
    (rf"{_THEIRS}\.attn\.proj", f"{_OURS}.attention.proj"),
    (rf"{_THEIRS}\.attn\.sr", f"{_OURS}.attention.spatial_reduction"),
    (rf"{_THEIRS}\.attn\.norm", f"{_OURS}.attention.layer_norm"),
    (rf"{_THEIRS}\.mlp\.fc(?P<number>[12])", f"{_OURS}.mlp.dense{{number}}"),
    (rf"{_THEIRS}\.mlp\.dwconv\.dwconv", f"{_OURS}.mlp.dwconv.dwconv"),
)
_TABLES = {"resnet50": _RESNET, "pvt_v2_b2": _PVT}
_SWIN = r"(?:patch_embed|layers\.\d+|norm)\..+"  # their table is `swin_name`'s
_POSITIONS = r"layers\.\d+\.blocks\.\d+\.attn\.relative_position_index"

_ROOTS = {"resnet50": "model", "pvt_v2_b2": "model", "video_swin_s": "swin", "video_swin_b": "swin"}
_HEADS = ("fc", "head", "cls_head")  # classifiers of ResNet, PVTv2 and Video Swin


def vision_of(names: Mapping[str, Tensor]) -> str:
    """`config.vision` of the encoder that published weights hold; "features" without one."""
    patches = names.get(f"{ENCODER}swin.patch_embed.proj.weight")
    if patches is not None:
        return "video_swin_b" if len(patches) > 96 else "video_swin_s"
    if f"{ENCODER}model.patch_embed1.proj.weight" in names:
        return "pvt_v2_b2"
    return "resnet50" if any(n.startswith(f"{ENCODER}model.") for n in names) else "features"


class VisionNames:
    """Where the published weights of one visual encoder belong in ours.

    Args:
        vision: `config.vision`. Only the published encoders have published names; to any other
            every name is unknown.
        encoder: the module that was built for it.
    """

    def __init__(self, vision: str, encoder: nn.Module) -> None:
        self._vision = vision
        self._root = f"{ENCODER}{_ROOTS.get(vision)}."
        self._own = set(encoder.state_dict())
        self._window = getattr(getattr(encoder, "backbone", None), "window", None)

    def place(self, name: str, value: Tensor) -> dict[str, Tensor] | None:
        """Our names and tensors for a published one; {} where none is needed, None = unknown.

        Raises:
            CheckpointError: Video Swin's table of relative positions is another window's.
        """
        part = name.removeprefix(self._root)
        if part == name:
            return None
        if part.split(".")[0] in _HEADS:
            return {}
        if re.fullmatch(_POSITIONS, part) and self._window:
            # A constant of the window, which we compute.
            if not torch.equal(value.cpu(), relative_index(self._window, self._window)):
                raise CheckpointError(
                    f"The reference weights hold positions of another window than {self._window}: "
                    f"{name}."
                )
            return {}
        names = [f"backbone.{ours}" for ours in _our_names(part, self._vision)]
        if not names or not self._own.issuperset(names):
            return None
        tensors = torch.atleast_1d(value).chunk(2) if len(names) == 2 else (value,)
        return {f"video.encoder.{n}": t for n, t in zip(names, tensors, strict=False)}


def _our_names(name: str, vision: str) -> list[str]:
    """Our names of a published parameter below its root: one, two for keys and values, or none."""
    if vision not in _TABLES:
        return [swin_name(name)] if re.fullmatch(_SWIN, name) else []
    module, _, tensor = name.rpartition(".")
    if vision == "resnet50":
        first, dot, rest = module.partition(".")
        module = _PLACES.get(first, first) + dot + rest
    for pattern, ours in _TABLES[vision]:
        match = re.fullmatch(pattern, module)
        if match:
            fields: dict[str, Any] = match.groupdict()
            fields |= {f: int(fields[f]) - 1 for f in ("stage", "part") if f in fields}
            halves = ("key", "value") if "{half}" in ours else ("",)
            return [f"{ours.format(half=half, **fields)}.{tensor}" for half in halves]
    return []


def join_projection(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace the published way from the grid's width to the text's by our one projection.

    A 1 x 1 convolution is a matrix with a bias; a matrix behind it is multiplied in, in float64.

    Raises:
        CheckpointError: the matrix does not fit behind the convolution.
    """
    rest = {name: value for name, value in weights.items() if name not in PROJECTION}
    matrix, kernel, bias = (weights.get(name) for name in PROJECTION)
    if kernel is not None and kernel.shape[2:] == (1, 1):
        kernel = kernel[..., 0, 0]
    if matrix is not None and (kernel is not None or bias is not None):
        shapes = [tuple(weights[n].shape) if n in weights else None for n in PROJECTION]
        if kernel is None or bias is None or {matrix.shape[:1], kernel.shape[:1]} != {bias.shape}:
            raise CheckpointError(
                f"The reference weights' {MATRIX} does not fit behind {CONVOLUTION[0]} and "
                f"{CONVOLUTION[1]}: their shapes are {', '.join(map(str, shapes))}."
            )
        kernel, bias = matrix.double().T @ kernel.double(), matrix.double().T @ bias.double()
    elif matrix is not None:
        kernel = matrix.T
    joined = {"video.projection.weight": kernel, "video.projection.bias": bias}
    return rest | {name: value for name, value in joined.items() if value is not None}
