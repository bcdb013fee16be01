"""Visual encoders behind one interface: ResNet-50, PVTv2-B2, Video Swin, any AutoBackbone.

Each takes normalised pixels of clips and gives grid features (paper, section III-A):

    encoder(pixels [clips, frames, 3, height, width])
        -> grid [clips, frames', grid_height, grid_width, width]

An image is a clip of one frame. The 2-D networks see every frame by itself (frames' = frames);
Video Swin also joins frames in twos (frames' = frames / 2, rounded up).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # of all dimensions, and the synchronised one
from torch.utils.checkpoint import checkpoint
from transformers import PretrainedConfig

from snpkit.errors import UserError
from snpkit.model.backbones import build_backbone, find_stages, is_skeleton, mark_loaded
from snpkit.model.swin import VIDEO_SWIN_SIZES, VideoSwin
from snpkit.model.swin_weights import load_swin_weights
from snpkit.model.weights import read_weights


def build_vision_encoder(config: PretrainedConfig) -> nn.Module:
    """Build the encoder that `config.vision` names.

    Args:
        config: an SNPConfig. `vision`: "patch", "resnet50", "pvt_v2_b2", "video_swin_s",
            "video_swin_b", a transformers backbone type such as "convnext" (random weights), or a
            directory or hub id of one (with its weights where it has some). `vision_pretrained`:
            directory or hub id of weights; for Video Swin also a .safetensors or .pth file under
            torchvision's or the Video-Swin-Transformer repository's names.
            `vision_frozen_stages`: n > 0 freezes the stem and the first n stages: no gradients,
            and always evaluation mode. `gradient_checkpointing_vision`: recompute activations in
            the backward pass instead of keeping them. `vision_drop_path`: stochastic depth of
            Video Swin.

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
    if config.vision in VIDEO_SWIN_SIZES:
        encoder: VisionEncoder = _build_video_swin(config)
    else:
        encoder = _build_frame_encoder(config)
    encoder.freeze(config.vision_frozen_stages)
    return encoder


class VisionEncoder(nn.Module):
    """A backbone, the channels it gives, and which of its parts stay as they are."""

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        stem: Sequence[nn.Module],
        stages: Sequence[nn.Module],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = width
        # Plain tuples: these modules belong to `backbone` and must not be registered twice.
        self._parts = (tuple(stem), tuple(stages))
        self._frozen: tuple[nn.Module, ...] = ()

    def freeze(self, stages: int) -> None:
        """Freeze the stem and the first `stages` stages; 0 freezes nothing.

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
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As in torch, except that frozen parts stay in evaluation mode and without gradients.

        Their batch-norms then keep the statistics they came with, and nothing in them is dropped.
        """
        super().train(mode)
        for module in self._frozen:
            # `from_pretrained` makes new parameters, so the gradients are switched off here too.
            module.eval().requires_grad_(False)
        return self


class ClipEncoder(VisionEncoder):
    """A backbone that takes whole clips."""

    def forward(self, pixels: Tensor) -> Tensor:
        """[clips, frames, 3, height, width] -> [clips, frames', grid_height, grid_width, width]."""
        return self.backbone(pixels)


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
    """A ResNet that keeps only what goes between its stages (transformers offers none).

    Batch-norm needs care: a stage that is run again for the backward pass would count its batch
    twice in the running statistics.
    """

    def encode_images(self, images: Tensor) -> Tensor:
        """[images, 3, height, width] -> [images, width, grid_height, grid_width]."""
        hidden = self.backbone.embedder(images)
        for stage in self.backbone.encoder.stages:
            if self.training and torch.is_grad_enabled():
                hidden = checkpoint(
                    stage,
                    hidden,
                    use_reentrant=False,
                    context_fn=lambda stage=stage: (nullcontext(), _kept_statistics(stage)),
                )
            else:
                hidden = stage(hidden)
        return hidden


@contextmanager
def _kept_statistics(module: nn.Module) -> Iterator[None]:
    # With momentum 0 a batch-norm still normalises by its batch, and keeps the running mean and
    # variance as they are.
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches


def _build_patch_encoder(config: PretrainedConfig) -> nn.Module:
    from snpkit.model.patches import PatchEncoder

    large = ("vision_pretrained", "vision_frozen_stages", "gradient_checkpointing_vision")
    for field in (*large, "vision_drop_path"):
        if getattr(config, field):
            raise UserError(f'{field} is for the large visual encoders; vision="patch" has no use.')
    return PatchEncoder(config)


def _build_video_swin(config: PretrainedConfig) -> ClipEncoder:
    swin = VideoSwin(**VIDEO_SWIN_SIZES[config.vision], drop_path=config.vision_drop_path)
    if config.vision_pretrained and not is_skeleton():
        load_swin_weights(swin, read_weights(config.vision_pretrained))
        mark_loaded(swin)
    for stage in swin.stages:
        stage.gradient_checkpointing = config.gradient_checkpointing_vision
    return ClipEncoder(swin, swin.width, [swin.embed], swin.stages)


def _build_frame_encoder(config: PretrainedConfig) -> FrameEncoder:
    backbone = build_backbone(config)
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
    return kind(backbone, backbone.channels[-1], *find_stages(backbone))
