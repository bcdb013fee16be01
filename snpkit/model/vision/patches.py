"""The teaching encoder: patch embedding and a small space-time patch transformer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snpkit.model.config import SNPConfig


class PatchEmbedding(nn.Module):
    """Cut frames into patches and turn each into a vector.

    Three stems give the same grid of `image_size // patch_size` cells a side:

    * "patch": one convolution whose stride is its kernel, so patches do not overlap (ViT).
    * "overlapping": 3 x 3 convolutions of stride 2 with batch-norm, so neighbouring patches share
      pixels (as in PVTv2). From random weights it learns far sooner than the plain cut.
    * "deep": wider convolutions, and behind each of them a residual block (`Refine`) that keeps the
      size: it tells shapes apart, not only colours.

    With `patch_motion` every frame is joined by its difference from the frame before it in the
    clip (zero for the first), so that even the first layer sees what moves.
    """

    def __init__(self, config: SNPConfig) -> None:
        super().__init__()
        self.motion = config.patch_motion
        channels, width, size = 6 if self.motion else 3, config.vision_width, config.patch_size
        if config.patch_stem == "patch":
            self.stem = nn.Sequential(nn.Conv2d(channels, width, size, stride=size))
            return
        layers: list[nn.Module] = []
        steps = size.bit_length() - 1  # patch_size 8 = 2 ** 3: three halvings
        deep = config.patch_stem == "deep"
        for step in range(steps):
            # Half the channels at twice the size; of "deep" three quarters of the width before
            # the last halving, as its blocks need room where shapes can still be seen.
            wide = min(width, (3 if deep else 2) * width // 2 ** (steps - step))
            layers += [nn.Conv2d(channels, wide, 3, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(wide), nn.ReLU()]
            if deep:
                # Large maps cost most: one convolution there, two on the two smallest.
                layers += [Refine(wide, depth=1 if step < steps - 2 else 2)]
            channels = wide
        self.stem = nn.Sequential(*layers)

    def forward(self, pixels: Tensor) -> Tensor:
        """[clips, frames, 3, height, width] -> [clips, frames, grid_height, grid_width, width]."""
        clips, frames = pixels.shape[:2]
        if self.motion:
            before = torch.cat([pixels[:, :1], pixels[:, :-1]], dim=1)
            pixels = torch.cat([pixels, pixels - before], dim=2)  # [clips, frames, 6, h, w]
        # Channels last in memory: the layout that convolutions on a CPU compute in.
        images = pixels.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        grid = self.stem(images)  # [clips * frames, width, gh, gw]
        return grid.unflatten(0, (clips, frames)).permute(0, 1, 3, 4, 2)


class SilentNorm(nn.BatchNorm2d):
    """Batch-norm whose scale starts at 0: the branch that it ends is silent at first."""

    def reset_parameters(self) -> None:
        """Scale and shift 0, statistics of a standard normal variable."""
        super().reset_parameters()
        nn.init.zeros_(self.weight)


class Refine(nn.Module):
    """A residual block of 3 x 3 convolutions that begins as the identity (arXiv 1706.02677, 5.1).

    Without the identity, matching was seen to stay on the plateau where it tells scenes apart and
    nothing else for more than 700 steps of the laptop recipe.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(depth - 1):
            layers += [nn.Conv2d(width, width, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), SilentNorm(width)]
        self.branch = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        """[images, width, height, width] -> the same shape, none below 0."""
        return (maps + self.branch(maps)).relu()


class PatchBlock(nn.Module):
    """One pre-norm transformer layer over all patches of a clip, in space and time at once."""

    def __init__(self, config: SNPConfig) -> None:
        super().__init__()
        self.config, self.heads, width = config, config.patch_heads, config.vision_width
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, patches: Tensor) -> Tensor:
        """[clips, patches, width] -> the same shape."""
        parts = self.query_key_value(self.attention_norm(patches))
        parts = parts.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = self.attend(*parts)  # [clips, heads, patches, width / heads]
        patches = patches + self.projection(mixed.transpose(1, 2).flatten(2))
        return patches + self.mlp(self.mlp_norm(patches))

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention over patches, fused or (attn_implementation="eager") spelt out.

        On CPUs with bfloat16 units the spelt-out form trains faster on so few patches.
        """
        if self.config._attn_implementation != "eager":
            return F.scaled_dot_product_attention(query, key, value)
        scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
        return scores.softmax(-1).to(value.dtype) @ value


class PatchEncoder(nn.Module):
    """PatchEmbedding, learned positions in space and time, a few PatchBlocks, a last LayerNorm."""

    def __init__(self, config: SNPConfig) -> None:
        super().__init__()
        self.width = config.vision_width
        self.embedding = PatchEmbedding(config)
        side = config.image_size // config.patch_size
        self.space = nn.Parameter(torch.zeros(side, side, self.width))
        self.time = nn.Parameter(torch.zeros(config.frames, self.width))
        self.blocks = nn.ModuleList(PatchBlock(config) for _ in range(config.patch_layers))
        self.norm = nn.LayerNorm(self.width)

    def positions(self, frames: int, height: int, width: int) -> Tensor:
        """Positions [frames, height, width, channels]; other sizes are interpolated."""
        space, time = self.space, self.time
        if (height, width) != space.shape[:2]:
            space = _resize(space.permute(2, 0, 1), (height, width)).permute(1, 2, 0)
        if frames != len(time):
            time = _resize(time.T[:, None], (1, frames))[:, 0].T
        return space + time[:, None, None]

    def forward(self, pixels: Tensor) -> Tensor:
        """[clips, frames, 3, height, width] -> [clips, frames, grid_height, grid_width, width]."""
        grid = self.embedding(pixels)
        shape = grid.shape[1:4]
        patches = (grid + self.positions(*shape)).flatten(1, 3)  # [clips, patches, width]
        for block in self.blocks:
            patches = block(patches)
        return self.norm(patches).unflatten(1, shape)


def _resize(values: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(values[None], size=size, mode="bilinear", align_corners=False)[0]
