"""Video Swin Transformer: self-attention inside 3-D windows that shift from block to block.

Z. Liu, J. Ning, Y. Cao, Y. Wei, Z. Zhang, S. Lin, H. Hu, "Video Swin Transformer", CVPR 2022
(arXiv 2106.13230). A clip is cut into patches of 2 frames x 4 x 4 pixels; their grid passes four
stages, each of which halves height and width, doubles the channels and lets a patch attend only to
the others of its window (8 x 7 x 7 patches). Every second block moves the windows by half their
size, so that what a border separated in one block meets in the next. In the published SNP-S3 code
patches begin at every frame, so that they overlap in time (`time_stride=1`).

Sizes and windows are written (time, height, width); `windows.py` holds their geometry.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from snpkit.model.vision.windows import (
    Size,
    cut_windows,
    join_windows,
    pad_to_multiple,
    relative_index,
    same_region,
)

# Section 3.2 of the Video Swin paper. All sizes have four stages and the head width 32.
VIDEO_SWIN_SIZES = {
    "video_swin_s": {"embed_width": 96, "depths": (2, 2, 18, 2), "heads": (3, 6, 12, 24)},
    "video_swin_b": {"embed_width": 128, "depths": (2, 2, 18, 2), "heads": (4, 8, 16, 32)},
}


def drop_branch(branch: Tensor, rate: float, training: bool) -> Tensor:
    """Stochastic depth: leave a residual branch out for a random share `rate` of the clips.

    What stays is divided by 1 - rate, so that its expected value does not change.
    """
    if not training or rate == 0.0:
        return branch
    kept = torch.rand(branch.shape[0], 1, 1, 1, 1, device=branch.device) >= rate
    return branch * kept / (1.0 - rate)


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a learned bias for each relative offset."""

    def __init__(self, width: int, heads: int, window: Size) -> None:
        super().__init__()
        self.heads = heads
        rows = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
        self.position_bias = nn.Parameter(torch.empty(rows, heads))
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        nn.init.trunc_normal_(self.position_bias, std=0.02)

    def forward(self, windows: Tensor, index: Tensor, allowed: Tensor | None) -> Tensor:
        """Mix the tokens of each window.

        Args:
            windows: [clips, windows, tokens, width].
            index: int64 [tokens, tokens], see `relative_index`.
            allowed: bool [windows, tokens, tokens], see `same_region`; None = all pairs.
        """
        clips, count, tokens, width = windows.shape
        qkv = self.qkv(windows).view(clips, count, tokens, 3, self.heads, width // self.heads)
        qkv = qkv.permute(3, 0, 1, 4, 2, 5)  # [3, clips, windows, heads, tokens, head width]
        bias = self.position_bias[index].permute(2, 0, 1)  # [heads, tokens, tokens]
        # The fused kernels want four axes. The bias is the same for all windows, the mask is not:
        # fold the windows into the batch, or into the heads, so that neither is copied per clip.
        if allowed is None:
            fold = (clips * count, self.heads)
        else:
            fold = (clips, count * self.heads)
            bias = bias.where(allowed[:, None], float("-inf")).flatten(0, 1)
        query, key, value = (part.reshape(*fold, tokens, -1) for part in qkv)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None])
        mixed = mixed.view(clips, count, self.heads, tokens, -1).transpose(2, 3)
        return self.projection(mixed.reshape(clips, count, tokens, width))


class SwinBlock(nn.Module):
    """Window attention, then a two-layer perceptron; each normalised before and added after."""

    def __init__(self, width: int, heads: int, window: Size, drop_rate: float) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        self.norm1 = nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        hidden = 4 * width
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(
        self, grid: Tensor, window: Size, shift: Size, index: Tensor, allowed: Tensor | None
    ) -> Tensor:
        """Update [clips, time, height, width, channels]; see `SwinStage.forward` for the rest."""
        t, h, w = grid.shape[1:4]
        padded = pad_to_multiple(self.norm1(grid), window)
        if any(shift):
            padded = padded.roll([-step for step in shift], dims=(1, 2, 3))
        windows = self.attention(cut_windows(padded, window), index, allowed)
        mixed = join_windows(windows, window, tuple(padded.shape[1:4]))
        if any(shift):
            mixed = mixed.roll(shift, dims=(1, 2, 3))
        grid = grid + drop_branch(mixed[:, :t, :h, :w], self.drop_rate, self.training)
        return grid + drop_branch(self.mlp(self.norm2(grid)), self.drop_rate, self.training)


class PatchMerging(nn.Module):
    """Join each 2 x 2 patches of a frame: half the height and width, twice the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, grid: Tensor) -> Tensor:
        """[clips, time, height, width, C] -> [clips, time, ceil(height/2), ceil(width/2), 2C]."""
        grid = pad_to_multiple(grid, (1, 2, 2))
        clips, t, h, w, channels = grid.shape
        grid = grid.reshape(clips, t, h // 2, 2, w // 2, 2, channels)
        # The four neighbours in the order of the published weights: down first, then right.
        grid = grid.permute(0, 1, 2, 4, 5, 3, 6).flatten(4)
        return self.reduction(self.norm(grid))


class PatchEmbedding(nn.Module):
    """Pixels to a grid of patch vectors: a convolution and a norm.

    Patches are 2 frames long and begin every `time_stride` frames: at 2 they lie side by side, at 1
    they overlap. The weights fit both.
    """

    def __init__(self, width: int, time_stride: int) -> None:
        super().__init__()
        self.time_stride = time_stride
        self.projection = nn.Conv3d(3, width, kernel_size=(2, 4, 4), stride=(time_stride, 4, 4))
        self.norm = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> Tensor:
        """[clips, frames, 3, height, width] -> [clips, frames', height/4, width/4, channels].

        frames' = frames / time_stride. Divisions round up: zeros follow each axis until the last
        patch is whole, so one frame and odd sizes work.
        """
        frames, _, height, width = pixels.shape[1:]
        missing = 1 if self.time_stride == 1 else frames % 2
        pixels = F.pad(pixels.transpose(1, 2), (0, -width % 4, 0, -height % 4, 0, missing))
        return self.norm(self.projection(pixels).permute(0, 2, 3, 4, 1))


class SwinStage(nn.Module):
    """Blocks of one resolution; all stages but the first begin by merging patches."""

    def __init__(
        self, width: int, heads: int, window: Size, drop_rates: list[float], *, merge: bool
    ) -> None:
        super().__init__()
        self.window = window
        self.gradient_checkpointing = False
        self.merge = PatchMerging(width // 2) if merge else nn.Identity()
        self.blocks = nn.ModuleList(SwinBlock(width, heads, window, rate) for rate in drop_rates)

    def forward(self, grid: Tensor) -> Tensor:
        """[clips, time, height, width, C] -> the stage's grid, after merging where it merges."""
        grid = self.merge(grid)
        sides = list(zip(grid.shape[1:4], self.window, strict=True))
        # A window larger than the grid shrinks to it; along such a side there is nothing to shift.
        window = tuple(min(side, full) for side, full in sides)
        shift = tuple(full // 2 if side > full else 0 for side, full in sides)
        index = relative_index(window, self.window, grid.device)
        allowed = same_region(grid.shape[1:4], window, shift, grid.device) if any(shift) else None
        plans = ((window, (0, 0, 0), index, None), (window, shift, index, allowed))
        for number, block in enumerate(self.blocks):
            plan = plans[number % 2]
            if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                grid = checkpoint(block, grid, *plan, use_reentrant=False)
            else:
                grid = block(grid, *plan)
        return grid


class VideoSwin(nn.Module):
    """The Video Swin Transformer without its classifier; the whole model initialises it.

    Args:
        embed_width: channels of the first stage; stage i has `embed_width * 2**i`.
        depths: blocks of each stage.
        heads: attention heads of each stage.
        window: patches of a window.
        time_stride: frames from one patch to the next, 1 or 2.
        drop_path: stochastic depth of the last block; it grows linearly from 0 at the first.

    Attributes:
        width: channels of the grid that comes out.
    """

    def __init__(
        self,
        embed_width: int = 96,
        depths: tuple[int, ...] = (2, 2, 18, 2),
        heads: tuple[int, ...] = (3, 6, 12, 24),
        *,
        window: Size = (8, 7, 7),
        time_stride: int = 2,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.window = window
        self.width = embed_width * 2 ** (len(depths) - 1)
        self.embed = PatchEmbedding(embed_width, time_stride)
        rates = [drop_path * n / max(1, sum(depths) - 1) for n in range(sum(depths))]
        self.stages = nn.ModuleList()
        for stage, (depth, count) in enumerate(zip(depths, heads, strict=True)):
            own, rates = rates[:depth], rates[depth:]
            channels = embed_width * 2**stage
            self.stages.append(SwinStage(channels, count, window, own, merge=stage > 0))
        self.norm = nn.LayerNorm(self.width)

    def forward(self, pixels: Tensor) -> Tensor:
        """[clips, frames, 3, height, width] -> [clips, frames', height/32, width/32, width].

        frames' = frames / time_stride. Every division rounds up; pixels are normalised floats.
        """
        grid = self.embed(pixels)
        for stage in self.stages:
            grid = stage(grid)
        return self.norm(grid)
