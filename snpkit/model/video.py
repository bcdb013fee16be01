"""The visual side: pixels -> grid features -> clip tokens -> clip features (paper sec. III-A)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snpkit.errors import UserError
from snpkit.model.config import SNPConfig


@dataclass
class VideoFeatures:
    """What the visual side knows of a batch of videos.

    grid: [batch, clips, frames, grid_height, grid_width, hidden] projected grid features;
    grid_mask: bool [batch, clips, frames, grid_height, grid_width], True = real;
    clip_tokens: [batch, clips, hidden], the tokens of the cross-modal pass (not normalised);
    clip_features: [batch, clips, hidden], L2-normalised, for matching.
    """

    grid: Tensor
    grid_mask: Tensor
    clip_tokens: Tensor
    clip_features: Tensor


class GridFeatures(nn.Module):
    """The "features" encoder: the input already is a grid feature map."""

    def __init__(self, config: SNPConfig) -> None:
        super().__init__()
        self.width = config.vision_width

    def forward(self, features: Tensor) -> Tensor:
        """[clips, frames, channels, height, width] -> [clips, frames, height, width, channels]."""
        return features.permute(0, 1, 3, 4, 2)


class VideoTower(nn.Module):
    """Encoder, projection, pooling to clip tokens and the perceptron to clip features."""

    def __init__(self, config: SNPConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_size
        if config.vision == "features":
            self.encoder: nn.Module = GridFeatures(config)
        else:
            from snpkit.model.vision import build_vision_encoder  # a large import

            self.encoder = build_vision_encoder(config)
        self.projection: nn.Module = nn.Identity()
        affine = config.vision_projection == "affine"
        if affine or self.encoder.width != hidden:
            self.projection = nn.Linear(self.encoder.width, hidden, bias=affine)
        self.joint_clips = config.swin_joint_clips and config.vision.startswith("video_swin")
        self.clip_head = nn.Sequential(
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )

    def forward(self, pixels: Tensor, mask: Tensor | None = None) -> VideoFeatures:
        """Encode a batch.

        Args:
            pixels: [batch, clips, frames, channels, height, width]; uint8 0..255, or float that
                is already normalised (or grid features).
            mask: bool [batch, clips, frames, height, width], True = real; None = all real. Bytes
                that are not real have no brightness: they are 0 after normalising, as at the
                border of a convolution.
        """
        grid = self.projection(self.encode(self.normalise(pixels, mask)))
        grid_mask = _grid_mask(mask, grid.shape[:5], grid.device)
        tokens = self.pool(grid, grid_mask)
        return VideoFeatures(grid, grid_mask, tokens, self.clip_features(tokens))

    def encode(self, pixels: Tensor) -> Tensor:
        """Grid features of clips, each by itself or (`swin_joint_clips`) in one sequence in time.

        [batch, clips, frames, channels, height, width] ->
        [batch, clips, frames', grid_height, grid_width, width]
        """
        batch, clips, frames = pixels.shape[:3]
        if not self.joint_clips:
            return self.encoder(pixels.flatten(0, 1)).unflatten(0, (batch, clips))
        if clips > 1 and frames % self.config.swin_time_stride:
            raise UserError(
                f"swin_joint_clips joins frames of two clips, as clips have {frames} frames and "
                f"swin_time_stride is {self.config.swin_time_stride}; set swin_time_stride to 1."
            )
        return self.encoder(pixels.flatten(1, 2)).unflatten(1, (clips, -1))

    def normalise(self, pixels: Tensor, mask: Tensor | None = None) -> Tensor:
        """uint8 pixels -> (pixel / 255 - mean) / std, padding -> 0; float pixels pass as they are.

        Args:
            pixels: [..., 3, height, width].
            mask: bool [..., height, width], True = real; None = all real.
        """
        if pixels.dtype != torch.uint8:
            return pixels
        dtype = self.clip_head[0].weight.dtype
        if torch.is_autocast_enabled(pixels.device.type):
            dtype = torch.get_autocast_dtype(pixels.device.type)
        mean = torch.tensor(self.config.image_mean, dtype=dtype, device=pixels.device)
        std = torch.tensor(self.config.image_std, dtype=dtype, device=pixels.device)
        scale, shift = 1 / (255 * std), -mean / std
        pixels = pixels.to(dtype) * scale[:, None, None] + shift[:, None, None]
        return pixels if mask is None else pixels * mask[..., None, :, :]

    def pool(self, grid: Tensor, mask: Tensor) -> Tensor:
        """Masked mean (or mean + maximum) over frames and grid: -> [batch, clips, hidden]."""
        cells, real = grid.flatten(2, 4), mask.flatten(2, 4)[..., None]
        mean = (cells * real).sum(2) / real.sum(2)
        if self.config.pooling == "mean":
            return mean
        return mean + cells.masked_fill(~real, -torch.inf).amax(2)

    def clip_features(self, tokens: Tensor) -> Tensor:
        """2-layer perceptron and L2 norm: [..., hidden] -> [..., hidden]."""
        return F.normalize(self.clip_head(tokens), dim=-1)


def _grid_mask(mask: Tensor | None, shape: torch.Size, device: torch.device) -> Tensor:
    """Bring a pixel mask to the grid: a cell is real where any of its pixels is."""
    if mask is None:
        return torch.ones(shape, dtype=torch.bool, device=device)
    if mask.shape == shape:
        return mask
    pixels = mask.flatten(0, 1).to(torch.float32)[:, None]  # [batch * clips, 1, frames, h, w]
    cells = F.adaptive_max_pool3d(pixels, shape[2:])
    return cells[:, 0].unflatten(0, shape[:2]) > 0
