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
    * "deep": behind each of these another 3 x 3 convolution that keeps the size (`Refine`), which
      tells shapes apart, not only colours.

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
        for step in range(steps):
            wide = width // 2 ** (steps - 1 - step)
            layers += [nn.Conv2d(channels, wide, 3, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(wide), nn.ReLU()]
            if config.patch_stem == "deep":
                layers += [Refine(wide)]
            channels = wide
        self.stem = nn.Sequential(*layers)

    def forward(self, pixels: Tensor) -> Tensor:
        """[clips, frames, 3, height, width] -> [clips, frames, grid_height, grid_width, width]."""
        clips, frames = pixels.shape[:2]
        if self.motion:
            before = torch.cat([pixels[:, :1], pixels[:, :-1]], dim=1)
            pixels = torch.cat([pixels, pixels - before], dim=2)  # [clips, frames, 6, h, w]
        grid = self.stem(pixels.flatten(0, 1))  # [clips * frames, width, gh, gw]
        return grid.unflatten(0, (clips, frames)).permute(0, 1, 3, 4, 2)


class Refine(nn.Module):
    """A 3 x 3 convolution beside the identity, which it is at first (ReZero, arXiv 2003.04887).

    Without the identity, matching was seen to stay on the plateau where it tells scenes apart and
    nothing else for more than 700 steps of the laptop recipe; with it, for 160.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Tensor) -> Tensor:
        """[images, width, height, width] -> the same shape."""
        return maps + self.share * self.norm(self.convolution(maps)).relu()


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
        self.blocks = nn.ModuleList(
            PatchBlock(config) for _ in range(config.patch_layers)
        )
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
