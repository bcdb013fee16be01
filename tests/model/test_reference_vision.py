"""Published visual encoders: every tensor arrives where the published network uses it.

`published_vision.py` writes down the names, the shapes and the forward passes independently.
"""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from transformers import PvtV2Config, PvtV2Model

from snpkit.errors import CheckpointError
from snpkit.model import vision as vision_module
from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.model.reference import from_reference
from snpkit.model.reference_vision import VisionNames
from snpkit.model.vision import build_vision_encoder
from snpkit.model.vision.windows import relative_index
from tests.model.cases import build, double, random_weights, small_config
from tests.model.published_vision import (
    ENCODER,
    clip_tokens,
    convolution,
    fill,
    numbered,
    pvt_shapes,
    pvt_v2,
    resnet50,
    resnet_shapes,
    swin_shapes,
    video_swin,
)
from tests.model.test_reference import aliases, same

HIDDEN = 24
TINY_SWIN = {"embed_width": 4, "depths": (2, 2), "heads": (1, 2), "window": (2, 3, 3)}
SWIN_SIZES = {"video_swin_s": (96, (3, 6, 12, 24)), "video_swin_b": (128, (4, 8, 16, 32))}
SHAPES = {
    "resnet50": resnet_shapes() | convolution(2048, HIDDEN),
    "pvt_v2_b2": pvt_shapes() | convolution(512, HIDDEN),
    **{name: swin_shapes(*size) for name, size in SWIN_SIZES.items()},
}
WIDTHS = {"resnet50": 2048, "pvt_v2_b2": 512, "video_swin_s": 768, "video_swin_b": 1024}


def text_weights(config: SNPConfig) -> dict[str, Tensor]:
    """The published weights beside the visual encoder, in float32."""
    return {name: value.float() for name, value in random_weights(config).items()}


def with_meta(vision: str) -> tuple[SNPConfig, dict[str, Tensor]]:
    """A configuration and a whole dict of its published shapes without values."""
    config = small_config(vision=vision)
    shapes = {name: tuple(value.shape) for name, value in text_weights(config).items()}
    shapes |= SHAPES[vision]
    if vision.startswith("video_swin"):
        shapes["model.module.img_proj"] = (WIDTHS[vision], HIDDEN)
    return config, {n: torch.empty(shape, device="meta") for n, shape in shapes.items()}


def load_meta(config: SNPConfig, weights: dict[str, Tensor]) -> SNPForPreTraining:
    with torch.device("meta"):
        return from_reference(weights, config)


def of(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)}


@pytest.fixture(scope="module")
def resnet() -> dict[str, Tensor]:
    return text_weights(small_config()) | fill(SHAPES["resnet50"])


@pytest.fixture(scope="module")
def pvt() -> dict[str, Tensor]:
    return text_weights(small_config()) | fill(SHAPES["pvt_v2_b2"])


@pytest.fixture
def tiny_swin(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Tensor]]:
    """Weights of a tiny Video Swin of width 8 that stands in for the S size."""
    monkeypatch.setitem(vision_module.VIDEO_SWIN_SIZES, "video_swin_s", TINY_SWIN)
    shapes = swin_shapes(4, (1, 2), (2, 2), (2, 3, 3)) | {"model.module.img_proj": (8, HIDDEN)}
    weights = text_weights(small_config()) | fill(shapes)
    index = relative_index((2, 3, 3), (2, 3, 3))
    for layer in (0, 1):
        for block in (0, 1):
            name = f"{ENCODER}swin.layers.{layer}.blocks.{block}.attn.relative_position_index"
            weights[name] = index.clone()
    yield weights


def images() -> Tensor:
    return torch.randn(1, 3, 2, 3, 64, 96, generator=torch.Generator().manual_seed(2))


def compare_grids(weights: dict[str, Tensor], config: SNPConfig, features: Tensor) -> None:
    """Both the grid of the backbone, and what the projecting convolution makes of it."""
    model = from_reference(weights, config).eval()
    with torch.no_grad():
        grid = model.video.encoder(images()[0])
        torch.testing.assert_close(grid.flatten(0, 1).permute(0, 3, 1, 2), features)
        projected = F.conv2d(features, *(of(weights, f"{ENCODER}output_proj.").values()))
        ours = model.encode_video(images()).grid
    torch.testing.assert_close(ours[0].flatten(0, 1).permute(0, 3, 1, 2), projected)


def test_resnet50_computes_what_the_published_network_does(resnet) -> None:
    features = resnet50(images().flatten(0, 2), of(resnet, f"{ENCODER}model."))
    assert features.shape == (6, 2048, 2, 3) and features.std() > 0.1
    compare_grids(resnet, small_config(vision="resnet50"), features)


def test_pvt_v2_b2_computes_what_the_published_network_does(pvt) -> None:
    features = pvt_v2(images().flatten(0, 2), of(pvt, f"{ENCODER}model."))
    assert features.shape == (6, 512, 2, 3) and features.std() > 0.1
    compare_grids(pvt, small_config(vision="pvt_v2_b2"), features)


EXACT = {"rtol": 0.0, "atol": 1e-12}


def test_pvt_v2_b2_is_exact_with_the_published_epsilons(pvt) -> None:
    weights = double(pvt)
    frame = images()[:, :1, :1, :, :, :64].double()
    expected = pvt_v2(frame.flatten(0, 2), of(weights, f"{ENCODER}model."))
    model = build(small_config(vision="pvt_v2_b2"), weights).eval()
    with torch.no_grad():
        torch.testing.assert_close(
            model.video.encoder(frame[0])[0, 0], expected[0].movedim(0, -1), **EXACT
        )
        for norm in model.video.encoder.modules():
            if isinstance(norm, torch.nn.LayerNorm):
                norm.eps = 1e-6  # as transformers has it
        other = model.video.encoder(frame[0])[0, 0]
    assert (other - expected[0].movedim(0, -1)).abs().max() > 1e-8


TINY_PVT = ((4, 2, 1, 4, 2), (8, 1, 2, 2, 3), (12, 1, 3, 1, 2))


@pytest.mark.parametrize("weights_in_directory", [False, True])
def test_every_pvt_v2_has_the_epsilons_of_its_authors(weights_in_directory, tmp_path) -> None:
    widths, depths, heads, reductions, ratios = (
        list(column) for column in zip(*TINY_PVT, strict=True)
    )
    config = PvtV2Config(
        num_encoder_blocks=3, hidden_sizes=widths, depths=depths, num_attention_heads=heads,
        sr_ratios=reductions, mlp_ratios=ratios, patch_sizes=[7, 3, 3], strides=[4, 2, 2],
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    weights = double(fill(pvt_shapes(TINY_PVT)))
    snp = SNPConfig(vision=str(tmp_path))
    encoder = build_vision_encoder(snp).double()
    names = VisionNames("pvt_v2_b2", encoder)
    placed = {
        name: tensor for n, w in weights.items() for name, tensor in names.place(n, w).items()
    }
    encoder.load_state_dict(of(placed, "video.encoder."))
    if weights_in_directory:
        PvtV2Model(config).save_pretrained(tmp_path)  # a file as a hub would have it
        save_file(of(placed, "video.encoder.backbone."), tmp_path / "model.safetensors")
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            encoder = build_vision_encoder(SNPConfig(vision=str(tmp_path)))
        finally:
            torch.set_default_dtype(default)
    frames = images()[0].double()
    expected = pvt_v2(frames.flatten(0, 1), of(weights, f"{ENCODER}model."), TINY_PVT)
    grid = encoder.eval()(frames).flatten(0, 1).permute(0, 3, 1, 2)
    torch.testing.assert_close(grid, expected, **EXACT)


def joint_config(**changes: object) -> SNPConfig:
    return small_config(vision="video_swin_s", swin_time_stride=1, swin_joint_clips=True, **changes)


def some_padding(shape: tuple[int, ...]) -> Tensor:
    """bool [videos, clips, frames, height, width], True = padding: pictures of several sizes."""
    padding = torch.zeros(shape, dtype=torch.bool)
    padding[0, ..., shape[3] // 2 + 3 :, :] = True
    padding[1, ..., :, shape[4] // 3 :] = True
    return padding


@pytest.mark.parametrize(("clips", "frames"), [(1, 1), (4, 1), (3, 2), (1, 5)])
@pytest.mark.parametrize("size", [(24, 40), (16, 32)])
def test_clip_tokens_of_video_swin_are_the_published_ones(tiny_swin, clips, frames, size) -> None:
    weights = double(tiny_swin) | {n: v for n, v in tiny_swin.items() if not v.is_floating_point()}
    model = build(joint_config(clips=clips, frames=frames), weights).eval()
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randn(2, clips, frames, 3, *size, generator=generator, dtype=torch.float64)
    padding = some_padding((2, clips, frames, *size))
    w = of(weights, f"{ENCODER}swin.")
    sequence = pixels.flatten(1, 2).transpose(1, 2)  # [videos, 3, clips * frames, height, width]
    grid = video_swin(sequence, w, (1, 2), (2, 2), (2, 3, 3))
    matrix = weights["model.module.img_proj"]
    expected = clip_tokens(grid, padding.flatten(1, 2), matrix, clips)
    with torch.no_grad():
        features = model.encode_video(pixels, ~padding)
    assert features.grid.shape == (2, clips, frames, size[0] // 8, size[1] // 8, HIDDEN)
    torch.testing.assert_close(features.grid.flatten(1, 2), grid @ matrix, **EXACT)
    torch.testing.assert_close(features.clip_tokens, expected, **EXACT)


def test_the_same_weights_serve_both_strides_and_both_ways(tiny_swin) -> None:
    weights = double(tiny_swin) | {n: v for n, v in tiny_swin.items() if not v.is_floating_point()}
    w = of(weights, f"{ENCODER}swin.")
    pixels = torch.randn(2, 3, 4, 3, 24, 40, dtype=torch.float64)
    states = []
    for stride in (1, 2):
        for joint in (False, True):
            config = joint_config(frames=4)
            config.swin_time_stride, config.swin_joint_clips = stride, joint
            model = build(config, weights).eval()
            states.append(model.state_dict())
            clips = pixels.flatten(1, 2) if joint else pixels.flatten(0, 1)
            grid = video_swin(clips.transpose(1, 2), w, (1, 2), (2, 2), (2, 3, 3), stride)
            with torch.no_grad():
                ours = model.encode_video(pixels).grid
            expected = (grid @ weights["model.module.img_proj"]).view(ours.shape)
            assert ours.shape[:3] == (2, 3, 4 // stride)
            torch.testing.assert_close(ours, expected, **EXACT)
    assert all(same(states[0], state) for state in states[1:])


@pytest.mark.parametrize("joint", [False, True])
def test_clips_of_one_frame_tell_of_motion_only_together(tiny_swin, joint) -> None:
    config = small_config(vision="video_swin_s", clips=4, frames=1)
    config.swin_time_stride, config.swin_joint_clips = (1, True) if joint else (2, False)
    model = from_reference(tiny_swin, config).double().eval()
    pixels = torch.randn(1, 4, 1, 3, 24, 40, dtype=torch.float64, requires_grad=True)
    tokens = model.encode_video(pixels).clip_tokens[0]
    reach = torch.stack([
        torch.autograd.grad(token.sum(), pixels, retain_graph=True)[0].flatten(2).abs().sum(-1)[0]
        for token in tokens
    ]) > 0  # [token, clip]  # fmt: skip
    assert torch.equal(reach, torch.ones(4, 4, dtype=bool) if joint else torch.eye(4, dtype=bool))


def test_every_tensor_of_video_swin_arrives(tiny_swin) -> None:
    w = of(tiny_swin, f"{ENCODER}swin.")
    swin = from_reference(tiny_swin, small_config(vision="video_swin_s")).video.encoder.backbone
    assert same(swin.embed.projection.state_dict(), of(w, "patch_embed.proj."))
    assert same(swin.embed.norm.state_dict(), of(w, "patch_embed.norm."))
    assert same(swin.stages[1].merge.norm.state_dict(), of(w, "layers.0.downsample.norm."))
    assert same(
        swin.stages[1].merge.reduction.state_dict(), of(w, "layers.0.downsample.reduction.")
    )
    assert same(swin.norm.state_dict(), of(w, "norm."))
    for layer in (0, 1):
        for number, block in enumerate(swin.stages[layer].blocks):
            name = f"layers.{layer}.blocks.{number}."
            table = w[f"{name}attn.relative_position_bias_table"]
            assert torch.equal(block.attention.position_bias, table)
            assert same(block.norm1.state_dict(), of(w, f"{name}norm1."))
            assert same(block.norm2.state_dict(), of(w, f"{name}norm2."))
            assert same(block.attention.qkv.state_dict(), of(w, f"{name}attn.qkv."))
            assert same(block.attention.projection.state_dict(), of(w, f"{name}attn.proj."))
            assert same(block.mlp[0].state_dict(), of(w, f"{name}mlp.fc1."))
            assert same(block.mlp[2].state_dict(), of(w, f"{name}mlp.fc2."))


@pytest.mark.parametrize("vision", SHAPES)
def test_the_published_names_and_shapes_are_all_that_is_needed(vision) -> None:
    config, weights = with_meta(vision)
    model = load_meta(config, weights)
    assert model.config.vision_projection == ("matrix" if "swin" in vision else "affine")
    backbone = [n for n in weights if n.startswith((f"{ENCODER}model.", f"{ENCODER}swin."))]
    halves = sum(".attn.kv." in n for n in backbone)  # two tensors of ours each
    counters = sum("num_batches_tracked" in n for n in model.video.encoder.state_dict())
    assert len(model.video.encoder.state_dict()) - counters == len(backbone) + halves


@pytest.mark.parametrize("vision", SHAPES)
def test_missing_unknown_and_misshapen_weights_are_listed(vision) -> None:
    config, weights = with_meta(vision)
    names = list(SHAPES[vision])
    root = names[0].split(".")[3]
    for number in (0, len(names) // 2):
        short = dict(weights)
        del short[names[number]]
        with pytest.raises(CheckpointError, match=r"missing \['video\.encoder\.backbone"):
            load_meta(config, short)
    wrong = weights | {names[5]: torch.empty(3, 5, device="meta")}
    with pytest.raises(CheckpointError, match=r"of another shape \['video\.[^']+ \(3, 5\)"):
        load_meta(config, wrong)
    strange = ("layer5.0.conv1.weight", "block1.3.norm1.weight", "layers.0.blocks.2.norm1.weight")
    extra = {
        f"{ENCODER}{root}.{n}": torch.empty(2, device="meta")
        for n in (*strange, "stages.0.blocks.0.norm1.weight", "conv1", "norm1.weight.more")
    } | {f"{ENCODER}position_embedding.row_embed.weight": torch.empty(2, device="meta")}
    with pytest.raises(CheckpointError, match="unknown") as refusal:
        load_meta(config, weights | extra)
    assert all(repr(name) in str(refusal.value) for name in extra)
    assert "\n" not in str(refusal.value)


def test_weights_of_another_encoder_are_unknown() -> None:
    config, _ = with_meta("resnet50")
    _, weights = with_meta("pvt_v2_b2")
    with pytest.raises(CheckpointError, match="unknown") as refusal:
        load_meta(config, weights)
    assert f"'{ENCODER}model.block1.0.attn.q.weight'" in str(refusal.value)
    with pytest.raises(CheckpointError, match="unknown names"):
        load_meta(small_config(vision="patch"), weights)


def test_a_whole_checkpoint_in_its_wrapping(resnet) -> None:
    config = small_config(vision="resnet50", level1="moco")
    norms = [n for n in resnet if n.startswith(f"{ENCODER}model.") and n.endswith("running_var")]
    whole = resnet | aliases(resnet)
    whole |= {n.replace("running_var", "num_batches_tracked"): torch.tensor(7) for n in norms}
    whole |= {f"{ENCODER}model.fc.{n}": torch.ones(1000) for n in ("weight", "bias")}
    whole["model.moco_utils.img_encoder_k.model.conv1.weight"] = torch.ones(2)
    whole = {f"module.model.{numbered(name)}": value for name, value in whole.items()}
    loaded = from_reference({"model": whole, "optimizer": {}, "current_epoch": 3}, config)
    plain = from_reference(resnet, small_config(vision="resnet50")).state_dict()
    kept = {n: v for n, v in loaded.state_dict().items() if not n.startswith("moco.")}
    assert same(kept, plain)
    assert same(loaded.moco.video.state_dict(), loaded.video.state_dict())


@pytest.mark.parametrize("vision", ["pvt_v2_b2", "video_swin_s"])
def test_classifiers_are_ignored_by_name(vision) -> None:
    config, weights = with_meta(vision)
    root = "swin" if "swin" in vision else "model"
    load_meta(config, weights | {f"{ENCODER}{root}.head.bias": torch.empty(1000)})
    with pytest.raises(CheckpointError, match="header"):
        load_meta(config, weights | {f"{ENCODER}{root}.header.bias": torch.empty(4)})


def test_positions_of_another_window_are_refused(tiny_swin) -> None:
    name = f"{ENCODER}swin.layers.1.blocks.0.attn.relative_position_index"
    tiny_swin[name] = tiny_swin[name].T
    with pytest.raises(CheckpointError, match=r"another window than \(2, 3, 3\): .*layers\.1"):
        from_reference(tiny_swin, small_config(vision="video_swin_s"))


def test_a_matrix_without_a_bias_takes_the_convolution_s_place(tiny_swin) -> None:
    model = from_reference(tiny_swin, small_config(vision="video_swin_s"))
    assert model.config.vision_projection == "matrix" and model.video.projection.bias is None
    assert torch.equal(model.video.projection.weight, tiny_swin["model.module.img_proj"].T)


def test_a_matrix_behind_the_convolution_is_multiplied_in(tiny_swin) -> None:
    weights = tiny_swin | fill(convolution(8, 10) | {"model.module.img_proj": (10, HIDDEN)}, 3)
    config = small_config(vision="video_swin_s")
    projection = from_reference(weights, config).video.projection
    features = torch.randn(5, 8, 2, 3, generator=torch.Generator().manual_seed(0))
    grid = F.conv2d(features, *of(weights, f"{ENCODER}output_proj.").values())
    expected = torch.einsum("nchw,cj->nhwj", grid, weights["model.module.img_proj"])
    torch.testing.assert_close(projection(features.permute(0, 2, 3, 1)), expected)
    with pytest.raises(
        CheckpointError, match=r"does not fit behind .*: their shapes are \(9, 24\)"
    ):
        from_reference(weights | {"model.module.img_proj": torch.ones(9, HIDDEN)}, config)
    del weights[f"{ENCODER}output_proj.weight"]
    with pytest.raises(CheckpointError, match=r"does not fit behind .*None"):
        from_reference(weights, config)


def test_a_convolution_stays_where_the_widths_agree(tiny_swin, tmp_path) -> None:
    # PVTv2 of the published code always has it. What is saved knows of it, the caller's
    # configuration stays as it was.
    config = small_config(vision="video_swin_s", hidden_size=8, num_attention_heads=2)
    weights = of_swin(tiny_swin) | text_weights(config) | fill(convolution(8, 8))
    model = from_reference(weights, config)
    assert config.vision_projection == "matrix" and model.config.vision_projection == "affine"
    assert torch.equal(model.video.projection.bias, weights[f"{ENCODER}output_proj.bias"])
    model.save_pretrained(tmp_path)
    again = SNPForPreTraining.from_pretrained(tmp_path)
    assert same(again.state_dict(), model.state_dict())
    del weights[f"{ENCODER}output_proj.bias"]
    with pytest.raises(CheckpointError, match=r"missing \['video\.projection\.bias'\]"):
        from_reference(weights, config)


def of_swin(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n: v for n, v in weights.items() if n.startswith(f"{ENCODER}swin.")}
