"""The teaching encoder: what a cell sees, where it lies, and how patches mix."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.model.vision.patches import PatchBlock, PatchEmbedding, PatchEncoder, Refine
from tests.model.cases import TIGHT


def patch_config(**changes: object) -> SNPConfig:
    settings = dict(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        vision="patch", vision_width=16, image_size=32, patch_size=8, clips=2, frames=3,
    )  # fmt: skip
    return SNPConfig(**(settings | changes))


def pixels(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_plain_patches_are_cut_and_multiplied_by_one_matrix() -> None:
    embedding = PatchEmbedding(patch_config(patch_stem="patch")).double()
    clip = pixels(2, 3, 3, 32, 24)
    grid = embedding(clip)
    assert grid.shape == (2, 3, 4, 3, 16)
    weight, bias = embedding.stem[0].weight.flatten(1), embedding.stem[0].bias
    for row, column in ((0, 0), (3, 2), (1, 1)):
        cut = clip[:, :, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        expected = cut.flatten(2) @ weight.T + bias
        torch.testing.assert_close(grid[:, :, row, column], expected, **TIGHT)


def cells_that_change(stem: str, row: int, column: int) -> set[tuple[int, int]]:
    """Grid cells that feel one pixel of a 32 x 32 image."""
    embedding = PatchEmbedding(patch_config(patch_stem=stem)).double().eval()
    image = pixels(1, 1, 3, 32, 32)
    other = image.clone()
    other[..., row, column] += 1000.0
    changed = (embedding(image) != embedding(other)).any(-1)[0, 0]
    return {tuple(cell) for cell in changed.nonzero().tolist()}


def test_plain_patches_share_nothing_and_overlapping_ones_share_their_borders() -> None:
    assert cells_that_change("patch", 7, 7) == {(0, 0)}
    assert cells_that_change("patch", 8, 7) == {(1, 0)}
    border = cells_that_change("overlapping", 7, 7)
    assert (0, 0) in border and len(border) > 1
    assert border <= {(0, 0), (0, 1), (1, 0), (1, 1)}  # neighbours only


def test_a_deep_stem_begins_without_its_blocks_and_learns_to_see_further() -> None:
    torch.manual_seed(0)
    config = patch_config(patch_stem="deep")
    embedding = PatchEmbedding(config).double()
    blocks = [layer for layer in embedding.stem if isinstance(layer, Refine)]
    assert [len(block.branch) for block in blocks] == [2, 5, 5]  # patches of 8: three halvings
    kept = [layer for layer in embedding.stem if not isinstance(layer, Refine)]
    plain = torch.nn.Sequential(*kept)
    image = pixels(1, 1, 3, 32, 32)

    def grid(stem, clip):
        return stem(clip.flatten(0, 1)).permute(0, 2, 3, 1)[:, None]

    torch.testing.assert_close(embedding(image), grid(plain, image), **TIGHT)
    embedding(image).square().sum().backward()
    assert all(block.branch[-1].weight.grad.abs().max() > 0 for block in blocks)
    for block in blocks:
        torch.nn.init.ones_(block.branch[-1].weight)
    embedding.eval()
    seen = [
        (grid(stem, other_pixel(image)) != grid(stem, image)).any(-1).sum()
        for stem in (plain, embedding.stem)
    ]
    assert seen[1] > seen[0]


def test_a_whole_model_begins_with_silent_blocks_too() -> None:
    model = SNPForPreTraining(patch_config(patch_stem="deep", vocab_size=110))
    blocks = [module for module in model.modules() if isinstance(module, Refine)]
    assert len(blocks) == 3
    assert all((block.branch[-1].weight == 0).all() for block in blocks)
    assert all((block.branch[0].weight != 0).any() for block in blocks)


def other_pixel(image: Tensor) -> Tensor:
    """The image with one pixel changed."""
    other = image.clone()
    other[..., 15, 15] += 1000.0
    return other


@settings(max_examples=25)
@given(
    st.sampled_from(["patch", "overlapping", "deep"]),
    st.sampled_from([2, 4, 8, 16]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
)
def test_all_stems_give_the_same_grid(stem, size, rows, columns, motion) -> None:
    config = patch_config(patch_stem=stem, patch_size=size, patch_motion=motion)
    clip = torch.randn(2, 2, 3, rows * size, columns * size)
    assert PatchEmbedding(config)(clip).shape == (2, 2, rows, columns, 16)


def test_motion_joins_the_difference_from_the_frame_before() -> None:
    config = patch_config(patch_stem="patch", patch_motion=True)
    embedding = PatchEmbedding(config).double()
    still = pixels(2, 1, 3, 8, 8).expand(2, 3, 3, 8, 8)
    moving = pixels(2, 3, 3, 8, 8, seed=1)
    weight, bias = embedding.stem[0].weight, embedding.stem[0].bias
    for clip in (still, moving):
        for frame in range(3):
            now, before = clip[:, frame], clip[:, max(frame - 1, 0)]
            expected = now.flatten(1) @ weight[:, :3].flatten(1).T + bias
            expected = expected + (now - before).flatten(1) @ weight[:, 3:].flatten(1).T
            torch.testing.assert_close(embedding(clip)[:, frame, 0, 0], expected, **TIGHT)


@torch.no_grad()
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_block_is_pre_norm_attention_and_a_perceptron(attention) -> None:
    config = patch_config(patch_heads=4, attn_implementation=attention)
    block, patches = PatchBlock(config).double(), pixels(2, 5, 16)
    parts = block.query_key_value(block.attention_norm(patches)).split(16, dim=-1)
    mixed = torch.zeros_like(patches)
    for clip in range(2):
        for head in range(4):
            query, key, value = (part[clip, :, 4 * head : 4 * head + 4] for part in parts)
            for place in range(5):
                weights = [math.exp(query[place] @ key[other] / 2) for other in range(5)]
                for other in range(5):
                    share = weights[other] / sum(weights)
                    mixed[clip, place, 4 * head : 4 * head + 4] += share * value[other]
    after = patches + block.projection(mixed)
    expected = after + block.mlp(block.mlp_norm(after))
    torch.testing.assert_close(block(patches), expected, **TIGHT)


def encoder(**changes: object) -> PatchEncoder:
    torch.manual_seed(0)
    return PatchEncoder(patch_config(**changes)).double().eval()


def test_grid_keeps_the_places_and_the_clips_apart() -> None:
    model, clip = encoder(), pixels(2, 3, 3, 32, 24)
    grid = model(clip)
    assert grid.shape == (2, 3, 4, 3, 16) and model.width == 16
    torch.testing.assert_close(model(clip[1:]), grid[1:], **TIGHT)
    # A new last frame is felt in the first one: attention joins space and time.
    other = clip.clone()
    other[0, 2] = pixels(3, 32, 24, seed=5)
    assert not torch.allclose(model(other)[0, 0], grid[0, 0])
    torch.testing.assert_close(model(other)[1], grid[1], **TIGHT)


def test_without_layers_a_cell_is_its_patch_and_its_place() -> None:
    model, clip = encoder(patch_layers=0, patch_stem="patch"), pixels(2, 3, 3, 32, 32)
    torch.nn.init.normal_(model.space)
    torch.nn.init.normal_(model.time)
    placed = model.embedding(clip)
    for frame in range(3):
        placed[:, frame] += model.space + model.time[frame]
    torch.testing.assert_close(model(clip), model.norm(placed), **TIGHT)


def test_without_positions_the_order_of_frames_does_not_matter() -> None:
    model, clip, order = encoder(patch_stem="patch"), pixels(1, 3, 3, 32, 32), [2, 0, 1]
    torch.testing.assert_close(model(clip[:, order]), model(clip)[:, order], **TIGHT)
    torch.nn.init.normal_(model.time)
    assert not torch.allclose(model(clip[:, order]), model(clip)[:, order])


def test_positions_of_other_sizes_are_interpolated() -> None:
    model = encoder(image_size=16, frames=2)
    model.space.data[:] = torch.tensor([[0.0, 1.0], [2.0, 3.0]])[..., None]
    model.time.data[:] = torch.tensor([[0.0], [10.0]])
    own = model.positions(2, 2, 2)
    assert torch.equal(own[:, :, :, 0], torch.tensor([[[0, 1], [2, 3]], [[10, 11], [12, 13]]]))
    larger = model.positions(4, 4, 2)[..., 0]
    assert larger.shape == (4, 4, 2)
    # Bilinear, cell centres kept: ends stay, quarters lie between.
    expected = torch.tensor([0.0, 2.5, 7.5, 10.0], dtype=torch.float64)
    torch.testing.assert_close(larger[:, 0, 0], expected, **TIGHT)
    rows = torch.tensor([0.0, 0.5, 1.5, 2.0], dtype=torch.float64)
    torch.testing.assert_close(larger[0, :, 0], rows, **TIGHT)
    torch.testing.assert_close(model.positions(1, 2, 2)[0, 0, 0, 0].item(), 5.0)


@pytest.mark.parametrize("frames", [1, 3, 7])
def test_every_parameter_learns(frames) -> None:
    model = encoder(patch_motion=True).train()
    model(pixels(2, frames, 3, 40, 24)).pow(3).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name
