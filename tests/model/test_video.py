"""The visual side: pixel scale, masks, pooling, clip features."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import ResNetConfig

from snpkit.errors import UserError
from snpkit.model.config import SNPConfig
from snpkit.model.video import VideoTower
from tests.model.cases import TIGHT, random_batch, small_config


def tower(config: SNPConfig) -> VideoTower:
    torch.manual_seed(0)
    return VideoTower(config).double().eval()


def patch_tower(**changes: object) -> VideoTower:
    return tower(small_config(vision="patch", vision_width=16, image_size=16, **changes))


def byte_pixels(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def test_bytes_are_scaled_and_normalised_per_channel() -> None:
    model, pixels = (
        patch_tower(image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.25, 2.0]),
        byte_pixels(2, 3, 2, 3, 16, 16),
    )
    scaled = model.normalise(pixels)
    for channel, (mean, std) in enumerate(zip((0.1, 0.2, 0.3), (0.5, 0.25, 2.0), strict=True)):
        expected = (pixels[:, :, :, channel].double() / 255 - mean) / std
        torch.testing.assert_close(scaled[:, :, :, channel], expected, **TIGHT)
    assert model.normalise(scaled) is scaled
    torch.testing.assert_close(model(pixels).grid, model(scaled).grid, **TIGHT)


def test_shapes_and_unit_clip_features() -> None:
    features = patch_tower()(byte_pixels(2, 3, 2, 3, 16, 24))
    assert features.grid.shape == (2, 3, 2, 2, 3, 24)
    assert features.grid_mask.shape == (2, 3, 2, 2, 3) and features.grid_mask.all()
    assert features.clip_tokens.shape == features.clip_features.shape == (2, 3, 24)
    norms = features.clip_features.norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones(2, 3).double(), **TIGHT)


@given(st.integers(0, 2**31), st.sampled_from([(16, 16), (24, 16), (16, 32)]))
def test_a_cell_is_real_where_any_of_its_pixels_is(seed, size) -> None:
    generator = torch.Generator().manual_seed(seed)
    (height, width), rows, columns = size, size[0] // 8, size[1] // 8
    mask = torch.rand(2, 3, 2, height, width, generator=generator) < 0.02
    mask[..., 0, 0] = True
    expected = mask.view(2, 3, 2, rows, 8, columns, 8).any(-1).any(4)
    features = patch_tower()(byte_pixels(2, 3, 2, 3, height, width), mask)
    assert torch.equal(features.grid_mask, expected)


@pytest.mark.parametrize("pooling", ["mean", "mean_max"])
def test_pooling_over_the_real_cells_only(pooling) -> None:
    config = small_config(pooling=pooling, vision_width=16)
    batch, model = random_batch(config), tower(config)
    features = model(batch["pixel_values"], batch["pixel_mask"])
    assert torch.equal(features.grid_mask, batch["pixel_mask"])
    projected = batch["pixel_values"].movedim(3, -1) @ model.projection.weight.T
    torch.testing.assert_close(features.grid, projected, **TIGHT)
    for row in range(3):
        for clip in range(3):
            cells = projected[row, clip][batch["pixel_mask"][row, clip]]
            expected = cells.mean(0) + (cells.amax(0) if pooling == "mean_max" else 0)
            torch.testing.assert_close(features.clip_tokens[row, clip], expected, **TIGHT)


@pytest.mark.parametrize(
    "option",
    [
        {"vision_frozen_stages": 1},
        {"gradient_checkpointing_vision": True},
        {"vision_pretrained": "weights"},
        {"vision_drop_path": 0.1},
        {"vision_frozen_norms": True},
    ],
)
def test_patches_refuse_the_options_of_the_large_encoders(option) -> None:
    with pytest.raises(UserError, match=f"{next(iter(option))} is for the large"):
        patch_tower(**option)


def test_a_model_without_pixels_needs_no_visual_encoder() -> None:
    code = (
        "import sys; from snpkit.model.video import VideoTower; "
        "from snpkit.model.config import SNPConfig; "
        "VideoTower(SNPConfig(vision='features', hidden_size=24, num_attention_heads=3)); "
        "sys.exit('snpkit.model.vision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_padding_has_no_brightness() -> None:
    model, pixels = patch_tower(), byte_pixels(2, 3, 2, 3, 16, 24)
    mask = torch.zeros(2, 3, 2, 16, 24, dtype=torch.bool)
    mask[..., :10, :17] = True
    shown = model.normalise(pixels, mask)
    real = mask[:, :, :, None].expand_as(shown)
    assert torch.equal(shown[real], model.normalise(pixels)[real])
    assert (shown[~real] == 0).all() and (model.normalise(pixels)[~real] != 0).any()


@pytest.mark.parametrize("pooling", ["mean", "mean_max"])
@pytest.mark.parametrize("vision", ["patch", "resnet"])
def test_what_lies_in_the_padding_changes_nothing(tmp_path, vision, pooling) -> None:
    if vision == "resnet":
        sizes = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1]}
        ResNetConfig(**sizes, layer_type="basic").save_pretrained(tmp_path / vision)
        model = tower(small_config(vision=str(tmp_path / vision), vision_width=8, pooling=pooling))
    else:
        model = patch_tower(pooling=pooling)
    pixels, other = byte_pixels(2, 3, 2, 3, 32, 32), byte_pixels(2, 3, 2, 3, 32, 32).flip(-1)
    mask = torch.zeros(2, 3, 2, 32, 32, dtype=torch.bool)
    mask[0, ..., :16, :] = mask[1, ..., :, :8] = True
    features = model(pixels, mask)
    changed = model(torch.where(mask[:, :, :, None], pixels, other), mask)
    assert torch.equal(changed.clip_features, features.clip_features)
    assert not torch.equal(model(pixels).clip_features, features.clip_features)
    rows, columns = features.grid.shape[3:5]
    for cells, tokens in (
        (features.grid[0, :, :, : rows // 2], features.clip_tokens[0]),
        (features.grid[1, :, :, :, : columns // 4], features.clip_tokens[1]),
    ):
        cells = cells.flatten(1, 3)
        expected = cells.mean(1) + (cells.amax(1) if pooling == "mean_max" else 0)
        torch.testing.assert_close(tokens, expected, **TIGHT)


def test_features_of_the_hidden_width_are_not_projected() -> None:
    model = tower(small_config())
    assert isinstance(model.projection, torch.nn.Identity)
    batch = random_batch(small_config())
    grid = model(batch["pixel_values"]).grid
    assert torch.equal(grid, batch["pixel_values"].movedim(3, -1))
    assert tower(small_config(vision_width=10)).projection.bias is None


def test_clips_are_encoded_one_by_one() -> None:
    model, pixels = patch_tower(), byte_pixels(2, 3, 2, 3, 16, 16)
    together = model(pixels).clip_features
    alone = torch.cat([model(pixels[:, clip : clip + 1]).clip_features for clip in range(3)], dim=1)
    torch.testing.assert_close(together, alone, **TIGHT)


def test_joint_clips_of_another_length_than_the_configuration_s_are_one_sentence() -> None:
    config = small_config(vision="video_swin_s", swin_joint_clips=True, frames=2)
    with torch.device("meta"):
        model = VideoTower(config)
        with pytest.raises(UserError, match="clips have 3 frames and swin_time_stride is 2; set"):
            model(torch.empty(1, 2, 3, 3, 32, 32))
        assert model(torch.empty(1, 1, 3, 3, 32, 32)).grid.shape[:3] == (1, 1, 2)
