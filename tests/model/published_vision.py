"""The published visual encoders: names and shapes of their weights, and plain forward passes.

Written down as the published networks have them; nothing is derived from the library's tables.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

ENCODER = "model.module.img_encoder."
Shapes = dict[str, tuple[int, ...]]
Size = tuple[int, int, int]


def pair(name: str, outputs: int, *inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, *inputs), f"{name}.bias": (outputs,)}


def batch_norm(name: str, width: int) -> Shapes:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (width,) for part in parts}


def resnet_shapes() -> Shapes:
    shapes = {"conv1.weight": (64, 3, 7, 7), **batch_norm("bn1", 64)}
    inputs = 64
    for stage, (blocks, inner) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True)):
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            shapes[f"{name}.conv1.weight"] = (inner, inputs, 1, 1)
            shapes[f"{name}.conv2.weight"] = (inner, inner, 3, 3)
            shapes[f"{name}.conv3.weight"] = (4 * inner, inner, 1, 1)
            for norm, width in (("bn1", inner), ("bn2", inner), ("bn3", 4 * inner)):
                shapes |= batch_norm(f"{name}.{norm}", width)
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (4 * inner, inputs, 1, 1)
                shapes |= batch_norm(f"{name}.downsample.1", 4 * inner)
            inputs = 4 * inner
    return {f"{ENCODER}model.{name}": shape for name, shape in shapes.items()}


PVT_STAGES = (  # width, depth, heads, reduction, perceptron ratio
    (64, 3, 1, 8, 8), (128, 4, 2, 4, 8), (320, 6, 5, 2, 4), (512, 3, 8, 1, 4),
)  # fmt: skip


def pvt_shapes(stages: tuple[tuple[int, ...], ...] = PVT_STAGES) -> Shapes:
    shapes: Shapes = {}
    before = 3
    for stage, (width, depth, _, reduction, ratio) in enumerate(stages, 1):
        side = 7 if stage == 1 else 3
        shapes |= pair(f"patch_embed{stage}.proj", width, before, side, side)
        shapes |= pair(f"patch_embed{stage}.norm", width) | pair(f"norm{stage}", width)
        for block in (f"block{stage}.{number}" for number in range(depth)):
            shapes |= pair(f"{block}.norm1", width) | pair(f"{block}.norm2", width)
            shapes |= pair(f"{block}.attn.q", width, width)
            shapes |= pair(f"{block}.attn.kv", 2 * width, width)
            shapes |= pair(f"{block}.attn.proj", width, width)
            if reduction > 1:
                shapes |= pair(f"{block}.attn.sr", width, width, reduction, reduction)
                shapes |= pair(f"{block}.attn.norm", width)
            shapes |= pair(f"{block}.mlp.fc1", ratio * width, width)
            shapes |= pair(f"{block}.mlp.dwconv.dwconv", ratio * width, 1, 3, 3)
            shapes |= pair(f"{block}.mlp.fc2", width, ratio * width)
        before = width
    return {f"{ENCODER}model.{name}": shape for name, shape in shapes.items()}


def swin_shapes(
    width: int, heads: tuple[int, ...], depths: tuple[int, ...] = (2, 2, 18, 2),
    window: Size = (8, 7, 7),
) -> Shapes:  # fmt: skip
    shapes = pair("patch_embed.proj", width, 3, 2, 4, 4) | pair("patch_embed.norm", width)
    offsets = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
    for layer, (depth, count) in enumerate(zip(depths, heads, strict=True)):
        for block in (f"layers.{layer}.blocks.{number}" for number in range(depth)):
            shapes |= pair(f"{block}.norm1", width) | pair(f"{block}.norm2", width)
            shapes[f"{block}.attn.relative_position_bias_table"] = (offsets, count)
            shapes |= pair(f"{block}.attn.qkv", 3 * width, width)
            shapes |= pair(f"{block}.attn.proj", width, width)
            shapes |= pair(f"{block}.mlp.fc1", 4 * width, width)
            shapes |= pair(f"{block}.mlp.fc2", width, 4 * width)
        if layer < len(depths) - 1:
            shapes[f"layers.{layer}.downsample.reduction.weight"] = (2 * width, 4 * width)
            shapes |= pair(f"layers.{layer}.downsample.norm", 4 * width)
            width = 2 * width
    shapes |= pair("norm", width)
    return {f"{ENCODER}swin.{name}": shape for name, shape in shapes.items()}


def convolution(width: int, outputs: int) -> Shapes:
    """The 1 x 1 convolution that brings the grid to another width."""
    return pair(f"{ENCODER}output_proj", outputs, width, 1, 1)


NUMBERS = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}


def numbered(name: str) -> str:
    """A name of ResNet-50 as torch numbers the parts of a plain sequence."""
    first, _, rest = name.removeprefix(f"{ENCODER}model.").partition(".")
    return f"{ENCODER}model.{NUMBERS[first]}.{rest}" if first in NUMBERS else name


def fill(shapes: Shapes, seed: int = 1) -> dict[str, Tensor]:
    """Random tensors at which signals neither die nor explode; variances are above zero."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        value = torch.randn(shape, generator=generator)
        if name.endswith("running_var"):
            value = value.abs() + 0.5
        elif len(shape) > 1:
            value = value / value[0].numel() ** 0.5
        elif name.endswith("weight"):
            value = 0.5 + 0.1 * value
        weights[name] = value
    return weights


def resnet50(images: Tensor, w: dict[str, Tensor]) -> Tensor:
    """ResNet-50 up to its last stage, as K. He and others wrote it (arXiv 1512.03385)."""

    def norm(x: Tensor, name: str) -> Tensor:
        parts = (w[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts)

    x = F.conv2d(images, w["conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(norm(x, "bn1").relu(), 3, 2, 1)
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = norm(F.conv2d(x, w[f"{name}.conv1.weight"]), f"{name}.bn1").relu()
            y = F.conv2d(y, w[f"{name}.conv2.weight"], stride=stride, padding=1)
            y = F.conv2d(norm(y, f"{name}.bn2").relu(), w[f"{name}.conv3.weight"])
            if block == 0:
                x = F.conv2d(x, w[f"{name}.downsample.0.weight"], stride=stride)
                x = norm(x, f"{name}.downsample.1")
            x = (norm(y, f"{name}.bn3") + x).relu()
    return x


def pvt_v2(
    images: Tensor, w: dict[str, Tensor], stages: tuple[tuple[int, ...], ...] = PVT_STAGES
) -> Tensor:
    """PVTv2 up to its last stage, as W. Wang and others wrote it (arXiv 2106.13797)."""

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def conv(x: Tensor, name: str, stride: int = 1, padding: int = 0, groups: int = 1) -> Tensor:
        return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, padding, 1, groups)

    def norm(x: Tensor, name: str) -> Tensor:
        inner = name.startswith("patch_embed") or ".attn." in name
        epsilon = 1e-5 if inner else 1e-6  # transformers has 1e-6 everywhere
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], epsilon)

    def attend(x: Tensor, name: str, heads: int, reduction: int, side: int) -> Tensor:
        keys = x
        if reduction > 1:
            keys = conv(x.mT.unflatten(2, (side, -1)), f"{name}.sr", reduction)
            keys = norm(keys.flatten(2).mT, f"{name}.norm")
        parts = (linear(x, f"{name}.q"), *linear(keys, f"{name}.kv").chunk(2, -1))
        query, key, value = (p.unflatten(2, (heads, -1)).transpose(1, 2) for p in parts)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return linear(mixed.transpose(1, 2).flatten(2), f"{name}.proj")

    x = images
    for stage, (_, depth, heads, reduction, _) in enumerate(stages, 1):
        stride, padding = (4, 3) if stage == 1 else (2, 1)
        x = conv(x, f"patch_embed{stage}.proj", stride, padding)
        side = x.shape[-2]
        x = norm(x.flatten(2).mT, f"patch_embed{stage}.norm")
        for block in (f"block{stage}.{number}" for number in range(depth)):
            x = x + attend(norm(x, f"{block}.norm1"), f"{block}.attn", heads, reduction, side)
            y = linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1").mT.unflatten(2, (side, -1))
            y = conv(y, f"{block}.mlp.dwconv.dwconv", 1, 1, y.shape[1])
            x = x + linear(F.gelu(y.flatten(2).mT), f"{block}.mlp.fc2")
        x = norm(x, f"norm{stage}").mT.unflatten(2, (side, -1))
    return x


def video_swin(
    videos: Tensor, w: dict[str, Tensor], heads: tuple[int, ...], depths: tuple[int, ...],
    window: Size, time_stride: int = 1,
) -> Tensor:  # fmt: skip
    """Video Swin (arXiv 2106.13230) on [videos, 3, time, height, width], channels last in the end.

    With `time_stride` 1 as the published SNP-S3 code has it: a frame of zeros behind the last one,
    and a patch from every frame on. Every token scores all others; a mask leaves its window's.
    """

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)

    def attend(x: Tensor, name: str, count: int, shifted: bool) -> Tensor:
        size = torch.tensor(x.shape[1:4])
        full = torch.tensor(window)
        used = torch.minimum(size, full)
        shift = torch.where(size > full, full // 2, 0) * shifted
        padded = F.pad(
            x, (0, 0, *(n for side in (2, 1, 0) for n in (0, int(-size[side] % used[side]))))
        )
        sides = torch.tensor(padded.shape[1:4])
        place = torch.cartesian_prod(*map(torch.arange, sides.tolist()))  # [tokens, 3]
        moved = (place - shift) % sides
        # Who came round the edge shares a window with strangers.
        group = torch.cat([moved // used, (place < shift).long()], 1)
        together = (group[:, None] == group[None]).all(-1)
        # A window cut short is numbered like the first tokens of a full one.
        inside = moved % used
        number = (inside[:, 0] * used[1] + inside[:, 1]) * used[2] + inside[:, 2]
        row = torch.stack(torch.unravel_index(number, window), 1)
        offset = row[:, None] - row[None] + full - 1
        index = (offset[..., 0] * (2 * full[1] - 1) + offset[..., 1]) * (2 * full[2] - 1) + offset[
            ..., 2
        ]
        bias = w[f"{name}.relative_position_bias_table"][index].movedim(-1, 0)
        parts = linear(padded.flatten(1, 3), f"{name}.qkv").unflatten(-1, (3, count, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each [videos, heads, tokens, width]
        scores = query @ key.mT / query.shape[-1] ** 0.5 + bias
        weights = scores.masked_fill(~together, -torch.inf).softmax(-1)
        mixed = linear((weights @ value).transpose(1, 2).flatten(2), f"{name}.proj")
        return mixed.unflatten(1, padded.shape[1:4])[:, : size[0], : size[1], : size[2]]

    time, height, width = videos.shape[2:]
    behind = 1 if time_stride == 1 else -time % 2
    x = F.pad(videos, (0, -width % 4, 0, -height % 4, 0, behind))
    kernel = (w[f"patch_embed.proj.{part}"] for part in ("weight", "bias"))
    x = norm(F.conv3d(x, *kernel, stride=(time_stride, 4, 4)).movedim(1, -1), "patch_embed.norm")
    for layer, (depth, count) in enumerate(zip(depths, heads, strict=True)):
        for number in range(depth):
            name = f"layers.{layer}.blocks.{number}"
            x = x + attend(norm(x, f"{name}.norm1"), f"{name}.attn", count, number % 2 == 1)
            hidden = F.gelu(linear(norm(x, f"{name}.norm2"), f"{name}.mlp.fc1"))
            x = x + linear(hidden, f"{name}.mlp.fc2")
        if layer < len(depths) - 1:
            name = f"layers.{layer}.downsample"
            x = F.pad(x, (0, 0, 0, x.shape[3] % 2, 0, x.shape[2] % 2))
            corners = ((0, 0), (1, 0), (0, 1), (1, 1))  # (down, right)
            x = torch.cat([x[:, :, down::2, right::2] for down, right in corners], -1)
            x = F.linear(norm(x, f"{name}.norm"), w[f"{name}.reduction.weight"])
    return norm(x, "norm")


def clip_tokens(grid: Tensor, padding: Tensor, matrix: Tensor, clips: int) -> Tensor:
    """The published way from a grid to clip tokens [videos, clips, hidden].

    grid: [videos, clips * frames, height, width, channels], all frames of a video one behind the
    other; padding: bool [videos, clips * frames, pixel height, pixel width], True = no picture.
    """
    size = grid.shape[2:4]
    real = ~F.interpolate(padding.double(), size=size).bool()  # the cell's first pixel decides
    cells = (grid @ matrix).unflatten(1, (clips, -1)).flatten(2, 4)
    real = real.unflatten(1, (clips, -1)).flatten(2)[..., None]
    return (cells * real).sum(2) / real.sum(2)
