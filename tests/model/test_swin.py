"""Video Swin: torchvision's recorded features, gradients, odd sizes, stochastic depth."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from snpkit.model.vision.swin import (
    VIDEO_SWIN_SIZES,
    PatchMerging,
    SwinBlock,
    VideoSwin,
    WindowAttention,
    drop_branch,
)
from snpkit.model.vision.swin_weights import load_swin_weights
from snpkit.model.vision.windows import relative_index, same_region

HERE = Path(__file__).parent
recipe = SimpleNamespace(**runpy.run_path(str(HERE / "swin_recipe.py")))
GOLDEN = json.loads((HERE.parent / "golden" / "swin3d.json").read_text())
TINY = {"embed_width": 8, "depths": (2, 2), "heads": (2, 4), "window": (2, 3, 3)}


@pytest.mark.parametrize("size", ["video_swin_s", "video_swin_b"])
def test_features_agree_with_torchvision(size):
    model = VideoSwin(**VIDEO_SWIN_SIZES[size]).eval()
    load_swin_weights(model, recipe.make_weights(size))
    assert len(GOLDEN[size]) == len(recipe.GOLDEN_SHAPES)
    for dtype, limit in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
        model.to(dtype)
        for case in GOLDEN[size]:
            with torch.inference_mode():
                got = recipe.summary(model(recipe.make_pixels(case["input"]).to(dtype)))
            assert got["shape"] == case["shape"]
            scale = max(map(abs, case["values"]))
            for field in ("mean", "std", "values"):
                assert got[field] == pytest.approx(case[field], abs=limit * scale, rel=0)


@pytest.mark.parametrize(
    ("size", "parameters"), [("video_swin_s", 49_509_078), ("video_swin_b", 87_638_984)]
)
def test_true_parameter_counts(size, parameters):
    # torchvision's counts with the 400-class head are 49,816,678 and 88,048,984.
    with torch.device("meta"):
        model = VideoSwin(**VIDEO_SWIN_SIZES[size])
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert not list(model.buffers())


def tiny_swin(seed=0, **choices):
    torch.manual_seed(seed)
    model = VideoSwin(**TINY | choices).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def tiny_pixels(clips=2, frames=7, height=29, width=38, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(clips, frames, 3, height, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (29, 38), (4, 4), (1, 3)])
@pytest.mark.parametrize("stride", [1, 2])
def test_any_size_gives_the_grid_that_the_strides_say(frames, height, width, stride):
    model = tiny_swin(time_stride=stride).eval()
    grid = model(tiny_pixels(2, frames, height, width))
    assert grid.shape == (2, -(-frames // stride), -(-height // 8), -(-width // 8), model.width)
    assert grid.isfinite().all()


def test_clips_do_not_see_each_other():
    model, pixels = tiny_swin().eval(), tiny_pixels(3)
    alone = torch.cat([model(clip[None]) for clip in pixels])
    torch.testing.assert_close(model(pixels), alone, rtol=0, atol=1e-12)


def test_attention_equals_the_written_out_formula():
    attention = WindowAttention(6, 2, (2, 3, 3)).double()
    index, allowed = (
        relative_index((2, 3, 3), (2, 3, 3)),
        same_region((4, 6, 3), (2, 3, 3), (1, 1, 0)),
    )
    tokens = torch.randn(2, 4, 18, 6, dtype=torch.float64)
    got = attention(tokens, index, allowed)
    query, key, value = attention.qkv(tokens).view(2, 4, 18, 3, 2, 3).unbind(3)
    scores = torch.einsum("nwqhd,nwkhd->nwhqk", query, key) / 3**0.5
    scores = scores + attention.position_bias[index].movedim(-1, 0)
    weights = scores.masked_fill(~allowed[:, None], -torch.inf).softmax(-1)
    mixed = torch.einsum("nwhqk,nwkhd->nwqhd", weights, value).flatten(3)
    torch.testing.assert_close(got, attention.projection(mixed))
    assert not torch.allclose(got, attention(tokens, index, None))


def test_a_shifted_block_mixes_across_window_borders_and_a_plain_one_does_not():
    block = SwinBlock(4, 2, (2, 2, 2), 0.0).double()
    index = relative_index((2, 2, 2), (2, 2, 2))
    grid = torch.randn(1, 4, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    shifted_mask = same_region((4, 4, 4), (2, 2, 2), (1, 1, 1))

    def reach(shift, allowed):  # which patches the patch (1, 1, 1) depends on
        out = block(grid, (2, 2, 2), shift, index, allowed)[0, 1, 1, 1].sum()
        return torch.autograd.grad(out, grid)[0][0].abs().sum(-1) > 0

    plain, shifted = torch.zeros(4, 4, 4, dtype=bool), torch.zeros(4, 4, 4, dtype=bool)
    plain[:2, :2, :2] = True
    shifted[1:3, 1:3, 1:3] = True
    assert torch.equal(reach((0, 0, 0), None), plain)
    assert torch.equal(reach((1, 1, 1), shifted_mask), shifted)


def test_merging_joins_two_by_two_in_the_published_order():
    merging = PatchMerging(1)
    merging.norm, merging.reduction = torch.nn.Identity(), torch.nn.Identity()
    grid = torch.tensor([[1.0, 2, 3], [4, 5, 6]]).view(1, 1, 2, 3, 1)
    assert merging(grid).tolist() == [[[[[1, 4, 2, 5], [3, 6, 0, 0]]]]]


def test_every_parameter_gets_a_gradient():
    model = tiny_swin()
    model(tiny_pixels()).square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_gradients_are_right():
    model = tiny_swin(embed_width=2, heads=(1, 2), depths=(2, 1)).eval()
    table = model.stages[0].blocks[1].attention.position_bias
    pixels = tiny_pixels(1, 5, 16, 20).requires_grad_()
    weight = torch.randn(model(pixels).shape, dtype=torch.float64)
    # The bias table steers the shifted, masked attention; a random direction checks the pixels.
    direction = torch.randn_like(pixels)
    for tensor, step in ((table, torch.randn_like(table)), (pixels, direction)):
        (gradient,) = torch.autograd.grad((model(pixels) * weight).sum(), tensor)
        with torch.no_grad():
            values = []
            for sign in (1, -1):
                tensor += sign * 1e-6 * step
                values.append((model(pixels) * weight).sum())
                tensor -= sign * 1e-6 * step
        numeric = (values[0] - values[1]) / 2e-6
        torch.testing.assert_close((gradient * step).sum(), numeric, rtol=1e-6, atol=1e-6)


def test_checkpointing_gives_the_same_gradients_and_runs_blocks_twice():
    pixels, results = tiny_pixels(), []
    for checkpointing in (False, True):
        model, calls = tiny_swin(drop_path=0.5), []
        for stage in model.stages:
            stage.gradient_checkpointing = checkpointing
            for block in stage.blocks:
                block.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        torch.manual_seed(5)  # stochastic depth: the second run must leave out the same branches
        out = model(pixels)
        out.square().sum().backward()
        results.append((out, [p.grad for p in model.parameters()], len(calls)))
    (out, grads, calls), (out_again, grads_again, calls_again) = results
    assert torch.equal(out, out_again)
    assert all(torch.equal(a, b) for a, b in zip(grads, grads_again, strict=True))
    assert (calls, calls_again) == (4, 8)


def test_checkpointing_costs_nothing_outside_training():
    model, calls = tiny_swin().eval(), []
    for stage in model.stages:
        stage.gradient_checkpointing = True
        stage.blocks[0].register_forward_pre_hook(lambda *_: calls.append(1))
    model(tiny_pixels()).sum().backward()
    assert len(calls) == 2


def test_stochastic_depth_drops_whole_clips_and_keeps_the_mean():
    torch.manual_seed(0)
    branch = torch.ones(10_000, 1, 1, 2, 1)
    dropped = drop_branch(branch, 0.25, training=True)
    assert torch.equal(dropped[:, :, :, 0], dropped[:, :, :, 1])
    torch.testing.assert_close(dropped.unique(), torch.tensor([0.0, 1 / 0.75]))
    assert 0.98 < dropped.mean() < 1.02  # 3.5 standard deviations
    assert torch.equal(drop_branch(branch, 0.25, training=False), branch)


def test_a_block_whose_branches_are_both_dropped_passes_its_grid_on():
    block = SwinBlock(4, 2, (2, 2, 2), drop_rate=1 - 1e-7)
    grid, index = torch.randn(2, 2, 2, 2, 4), relative_index((2, 2, 2), (2, 2, 2))
    assert torch.equal(block(grid, (2, 2, 2), (0, 0, 0), index, None), grid)
    assert not torch.allclose(block.eval()(grid, (2, 2, 2), (0, 0, 0), index, None), grid)


def test_stochastic_depth_grows_linearly_to_the_last_block():
    model = tiny_swin(drop_path=0.3)
    rates = [block.drop_rate for stage in model.stages for block in stage.blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])


def test_bfloat16_runs():
    model = VideoSwin(**TINY).to(torch.bfloat16)
    assert model(tiny_pixels().bfloat16()).dtype == torch.bfloat16
