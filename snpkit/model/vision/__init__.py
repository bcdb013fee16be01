"""Visual encoders behind one interface: ResNet-50, PVTv2-B2, Video Swin, any AutoBackbone.

Each takes normalised pixels of clips and gives grid features (paper, section III-A):

    encoder(pixels [clips, frames, 3, height, width])
        -> grid [clips, frames', grid_height, grid_width, width]

An image is a clip of one frame. The 2-D networks see every frame by itself (frames' = frames); a
time step of Video Swin joins two frames (frames' = frames / swin_time_stride, rounded up).
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # of all dimensions, and the synchronised one
from torch.utils.checkpoint import checkpoint
from transformers import PretrainedConfig

from snpkit.errors import UserError
from snpkit.model.slices import kept_statistics
from snpkit.model.vision import backbones
from snpkit.model.vision.patches import PatchEncoder
from snpkit.model.vision.swin import VIDEO_SWIN_SIZES, VideoSwin
from snpkit.model.vision.swin_weights import load_swin_weights
from snpkit.weights import read_weights

Parts = Sequence[nn.Module]


def build_vision_encoder(config: PretrainedConfig) -> nn.Module:
    """Build the encoder that `config.vision` names.

    Args:
        config: an SNPConfig; its docstring says what `vision`, the fields that begin with `vision_`
            or `swin_`, and `gradient_checkpointing_vision` choose. `vision_frozen_norms` None
            becomes True where the encoder starts from weights, else False.

    Weights are read when a model is made new. Under `from_pretrained` of the whole model they come
    from its own checkpoint, so an encoder's directory need not exist any more; what it said of its
    architecture is kept in `config.vision_config`.

    Returns:
        A module with `width: int`, the channels of its grid.

    Raises:
        UserError: no such encoder, or it cannot do what the config asks of it.
        CheckpointError: weights that are missing or do not fit; it lists the names.
    """
    if config.vision == "features":
        raise UserError('vision="features" has no encoder: the input already is a grid.')
    if config.vision == "patch":
        return _build_patch_encoder(config)
    if config.vision_frozen_norms is None:
        config.vision_frozen_norms = backbones.weights_source(config) is not None
    swin = config.vision in VIDEO_SWIN_SIZES
    encoder = _build_video_swin(config) if swin else _build_frame_encoder(config)
    encoder.freeze(config.vision_frozen_stages, batch_norms=config.vision_frozen_norms)
    return encoder


class VisionEncoder(nn.Module):
    """A network of whole clips, the channels it gives, and which of its parts stay as they are."""

    def __init__(self, backbone: nn.Module, width: int, stem: Parts, stages: Parts) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = width
        # Plain tuples: these modules belong to `backbone` and must not be registered twice.
        self._parts = (tuple(stem), tuple(stages))
        self._frozen: tuple[nn.Module, ...] = ()
        self._frozen_norms = False

    def forward(self, pixels: Tensor) -> Tensor:
        """[clips, frames, 3, height, width] -> [clips, frames', grid_height, grid_width, width]."""
        return self.backbone(pixels)

    def freeze(self, stages: int, *, batch_norms: bool = False) -> None:
        """Freeze the stem and the first `stages` stages (0 = neither), and maybe all batch norms.

        Raises:
            UserError: the backbone has fewer stages.
        """
        stem, known = self._parts
        if not 0 <= stages <= len(known):
            raise UserError(
                f"vision_frozen_stages is {stages}, but {type(self.backbone).__name__} has "
                f"{len(known)} stages to freeze."
            )
        self._frozen = (*stem, *known[:stages]) if stages else ()
        self._frozen_norms = batch_norms
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As in torch, except that frozen parts stay in evaluation mode and without gradients.

        Their batch norms then keep the statistics they came with, and nothing in them is dropped.
        """
        super().train(mode)
        # `from_pretrained` makes new parameters, and SyncBatchNorm new modules: the parts are
        # looked up and switched off each time.
        norms = [part for part in self.backbone.modules() if isinstance(part, _BatchNorm)]
        for module in (*self._frozen, *(norms if self._frozen_norms else ())):
            module.eval().requires_grad_(False)
        return self


class FrameEncoder(VisionEncoder):
    """A transformers backbone that sees each frame by itself; its last stage is the grid."""

    def forward(self, pixels: Tensor) -> Tensor:
        """[clips, frames, 3, height, width] -> [clips, frames, grid_height, grid_width, width]."""
        maps = self.encode_images(pixels.flatten(0, 1))  # [clips * frames, width, gh, gw]
        return maps.permute(0, 2, 3, 1).unflatten(0, pixels.shape[:2])

    def encode_images(self, images: Tensor) -> Tensor:
        """[images, 3, height, width] -> [images, width, grid_height, grid_width]."""
        return self.backbone(images).feature_maps[-1]


class CheckpointedResNet(FrameEncoder):
    """A ResNet that keeps only what goes between its stages (transformers offers none)."""

    def encode_images(self, images: Tensor) -> Tensor:
        """[images, 3, height, width] -> [images, width, grid_height, grid_width]."""
        hidden = self.backbone.embedder(images)
        for stage in self.backbone.encoder.stages:
            if self.training and torch.is_grad_enabled():
                # A stage runs again for the backward pass, and may not count its batch twice.
                hidden = checkpoint(
                    stage,
                    hidden,
                    use_reentrant=False,
                    context_fn=lambda stage=stage: (nullcontext(), kept_statistics(stage)),
                )
            else:
                hidden = stage(hidden)
        return hidden


def _build_patch_encoder(config: PretrainedConfig) -> nn.Module:
    large = ("vision_pretrained", "vision_frozen_stages", "vision_frozen_norms", "vision_drop_path")
    for field in (*large, "gradient_checkpointing_vision"):
        if getattr(config, field):
            raise UserError(f'{field} is for the large visual encoders; vision="patch" has no use.')
    config.vision_frozen_norms = False
    return PatchEncoder(config)


def _build_video_swin(config: PretrainedConfig) -> VisionEncoder:
    choices = {"time_stride": config.swin_time_stride, "drop_path": config.vision_drop_path}
    swin = VideoSwin(**VIDEO_SWIN_SIZES[config.vision], **choices)
    if config.vision_pretrained and not backbones.is_skeleton():
        load_swin_weights(swin, read_weights(config.vision_pretrained))
        backbones.mark_loaded(swin)
    for stage in swin.stages:
        stage.gradient_checkpointing = config.gradient_checkpointing_vision
    return VisionEncoder(swin, swin.width, [swin.embed], swin.stages)


def _build_frame_encoder(config: PretrainedConfig) -> FrameEncoder:
    backbone = backbones.build_backbone(config)
    kind: type[FrameEncoder] = FrameEncoder
    if config.gradient_checkpointing_vision:
        if backbone.config.model_type == "resnet":
            kind = CheckpointedResNet
        elif backbone.supports_gradient_checkpointing:
            # Renamed in transformers 5.23; the old name goes with version 6.
            new_name = getattr(backbone, "activation_checkpointing_enable", None)
            (new_name or backbone.gradient_checkpointing_enable)({"use_reentrant": False})
        else:
            raise UserError(
                f"The visual encoder {config.vision!r} has no gradient checkpointing; set "
                "gradient_checkpointing_vision to false."
            )
    return kind(backbone, backbone.channels[-1], *backbones.find_stages(backbone))
