"""Every visual encoder behind the one interface: shapes, freezing, checkpointing, saving."""

import copy
import json
import warnings

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import (
    ConvNextConfig,
    Dinov2Config,
    PreTrainedModel,
    PvtV2Config,
    ResNetConfig,
    ResNetModel,
    SwinConfig,
)

from snpkit.errors import CheckpointError, UserError
from snpkit.model import vision
from snpkit.model.config import SNPConfig
from snpkit.model.vision import build_vision_encoder
from snpkit.model.vision.swin import VideoSwin

TINY_SWIN = {"embed_width": 4, "depths": (2, 2), "heads": (1, 2), "window": (2, 3, 3)}
TINY = {
    "resnet": ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8, 8, 16], depths=[1, 2, 1, 1], layer_type="basic"
    ),
    "pvt_v2": PvtV2Config(
        hidden_sizes=[4, 8, 12, 16],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 2, 2],
        mlp_ratios=[2, 2, 2, 2],
        drop_path_rate=0.3,
    ),
    "convnext": ConvNextConfig(hidden_sizes=[4, 8, 8, 16], depths=[1, 1, 1, 1]),
    "swin": SwinConfig(embed_dim=4, depths=[1, 1], num_heads=[1, 2], window_size=2),
    "dinov2": Dinov2Config(hidden_size=8, num_hidden_layers=2, num_attention_heads=2),
}
ENCODERS = (*TINY, "video_swin_s")


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Build a tiny encoder of a named kind."""
    monkeypatch.setitem(vision.VIDEO_SWIN_SIZES, "video_swin_s", TINY_SWIN)

    def build_tiny(name, seed=0, **choices):
        torch.manual_seed(seed)
        return build_vision_encoder(tiny_config(name, tmp_path, **choices))

    return build_tiny


def tiny_config(name, folder, **choices):
    if name in TINY:
        TINY[name].save_pretrained(folder / name)
        name = str(folder / name)
    return SNPConfig(vision=name, **choices)


def pixels(clips=2, frames=3, height=48, width=80, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(clips, frames, 3, height, width, generator=generator)


@pytest.mark.parametrize(
    ("name", "width", "frames"),
    [
        ("resnet50", 2048, 3),
        ("pvt_v2_b2", 512, 3),
        ("video_swin_s", 768, 2),
        ("video_swin_b", 1024, 2),
    ],
)
def test_the_papers_encoders_have_their_true_widths_and_strides(name, width, frames):
    # On the meta device only shapes are computed.
    with torch.device("meta"):
        encoder = build_vision_encoder(SNPConfig(vision=name))
        grid = encoder(torch.empty(2, 3, 3, 224, 160))
    assert encoder.width == width
    assert grid.shape == (2, frames, 7, 5, width)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("frames", [1, 3])
def test_every_encoder_gives_a_grid_of_its_width(build, name, frames):
    encoder = build(name).eval()
    grid = encoder(pixels(frames=frames))
    clips, times, high, wide, channels = grid.shape
    assert (clips, channels) == (2, encoder.width)
    assert times == (-(-frames // 2) if name == "video_swin_s" else frames)
    assert (high < wide) and grid.isfinite().all()


@pytest.mark.parametrize("name", TINY)
def test_frames_keep_their_place_and_do_not_mix(build, name):
    encoder, clips = build(name).eval(), pixels()
    alone = torch.stack([encoder(clips[:, [n]])[:, 0] for n in range(3)], dim=1)
    torch.testing.assert_close(encoder(clips), alone)


def test_the_grid_is_the_last_stage_of_the_network(build, tmp_path):
    encoder, images = build("resnet").eval(), pixels()
    plain = ResNetModel(TINY["resnet"]).eval()
    plain.load_state_dict(encoder.backbone.state_dict())
    expected = plain(images.flatten(0, 1)).last_hidden_state  # [6, 16, 2, 3]
    torch.testing.assert_close(encoder(images)[1, 2, 1, 0], expected[5, :, 1, 0])


@pytest.mark.parametrize("name", ENCODERS)
def test_gradients_reach_every_parameter(build, name):
    encoder = build(name, vision_drop_path=0.0)
    encoder.eval()(pixels()).square().mean().backward()
    without = {n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.any()}
    # A bias before a softmax cancels out. Two backbones carry what only their own training needs.
    spare = ("key.bias", "mask_token", "swin.layernorm")
    assert not {n for n in without if not any(part in n for part in spare)}


@pytest.mark.parametrize("name", ["resnet", "pvt_v2", "dinov2", "video_swin_s"])
def test_checkpointing_changes_neither_gradients_nor_statistics(build, name):
    results = []
    for checkpointing in (False, True):
        encoder = build(name, gradient_checkpointing_vision=checkpointing, vision_drop_path=0.3)
        inside = [m for m in encoder._parts[1][1].modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        calls = []
        inside[-1].register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        torch.manual_seed(3)
        encoder.train()(pixels()).square().mean().backward()
        grads = [p.grad for p in encoder.parameters() if p.grad is not None]
        results.append((grads, list(encoder.buffers()), len(calls)))
    (grads, buffers, calls), (grads_again, buffers_again, calls_again) = results
    assert (calls, calls_again) == (1, 2)
    for kept, recomputed in zip(grads + buffers, grads_again + buffers_again, strict=True):
        torch.testing.assert_close(kept, recomputed, rtol=0, atol=0)


def test_stochastic_depth_grows_to_what_the_config_says(build):
    rates = [
        b.drop_rate for s in build("video_swin_s", vision_drop_path=0.3)._parts[1] for b in s.blocks
    ]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_checkpointing_a_resnet_still_learns_its_statistics_once(build):
    encoder = build("resnet", gradient_checkpointing_vision=True)
    norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    encoder.train()(pixels()).sum().backward()
    assert all(m.num_batches_tracked == 1 and m.track_running_stats for m in norms)
    encoder(pixels(seed=2)).sum().backward()
    assert all(m.num_batches_tracked == 2 for m in norms)


def test_a_backbone_without_checkpointing_says_so(build):
    with pytest.raises(UserError, match="gradient_checkpointing_vision"):
        build("convnext", gradient_checkpointing_vision=True)


@pytest.mark.parametrize("name", ENCODERS)
def test_frozen_stages_keep_still_and_the_rest_learns(build, name):
    encoder = build(name, vision_frozen_stages=1)
    stem, stages = encoder._parts
    frozen = {p for module in (*stem, stages[0]) for p in module.parameters()}
    assert frozen
    assert all(p.requires_grad == (p not in frozen) for p in encoder.parameters())
    encoder.train()
    assert not any(m.training for part in (*stem, stages[0]) for m in part.modules())
    assert all(m.training for m in stages[1].modules())
    encoder(pixels()).sum().backward()
    assert all(p.grad is None for p in frozen)
    assert any(p.grad is not None for p in stages[1].parameters())
    assert not encoder.eval().training


def test_frozen_batch_norms_keep_their_statistics(build):
    encoder = build("resnet", vision_frozen_stages=2)
    before = {n: b.clone() for n, b in encoder.named_buffers()}
    encoder.train()(pixels())
    moved = {n for n, b in encoder.named_buffers() if not torch.equal(b, before[n])}
    later = {n for n in before if "stages.2." in n or "stages.3." in n}
    assert moved == later


def train_one_step(encoder):
    """Two passes in training mode and an SGD step; which tensors changed, by name."""
    before = {n: t.clone() for n, t in encoder.state_dict().items()}
    trained = [p for p in encoder.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.1)
    for seed in (1, 2):
        encoder.train()(pixels(seed=seed)).square().sum().backward()
    optimiser.step()
    return {n for n, t in encoder.state_dict().items() if not torch.equal(t, before[n])}


def norm_tensors(encoder):
    kinds = (nn.BatchNorm2d, nn.SyncBatchNorm)
    norms = {n: m for n, m in encoder.named_modules() if isinstance(m, kinds)}
    return {f"{n}.{part}" for n, m in norms.items() for part in m.state_dict()}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("frozen", [False, True, None])
def test_frozen_batch_norms_never_change_and_all_else_learns(build, frozen, checkpointing):
    encoder = build(
        "resnet", vision_frozen_norms=frozen, gradient_checkpointing_vision=checkpointing
    )
    norms, names = norm_tensors(encoder), set(encoder.state_dict())
    assert norms and norms < names
    with torch.no_grad():  # statistics that are not those of any batch
        for name, tensor in encoder.named_buffers():
            if name.endswith(("mean", "var")):
                tensor.add_(0.5 if name.endswith("var") else -0.5)
    assert train_one_step(encoder) == (names - norms if frozen else names)


def test_frozen_batch_norms_compute_the_same_in_training_and_evaluation(build):
    encoder = build("resnet", vision_frozen_norms=True)
    assert torch.equal(encoder.train()(pixels()), encoder.eval()(pixels()))
    trains = build("resnet", vision_frozen_norms=False)
    assert not torch.equal(trains.train()(pixels()), trains.eval()(pixels()))


def test_batch_norms_stay_frozen_when_they_become_synchronised(build):
    encoder = nn.SyncBatchNorm.convert_sync_batchnorm(build("resnet", vision_frozen_norms=True))
    norms = [m for m in encoder.train().modules() if isinstance(m, nn.SyncBatchNorm)]
    assert norms and not any(m.training for m in norms)
    assert not any(p.requires_grad for m in norms for p in m.parameters())


def test_batch_norms_are_frozen_by_default_where_weights_are_pretrained(tmp_path, monkeypatch):
    def frozen_by(**choices):
        config = SNPConfig(**choices)
        build_vision_encoder(config)
        return config.vision_frozen_norms

    weights = tmp_path / "weights"
    ResNetModel(TINY["resnet"]).save_pretrained(weights)
    TINY["resnet"].save_pretrained(tmp_path / "architecture")
    assert frozen_by(vision=str(weights)) is True
    assert frozen_by(vision=str(tmp_path / "architecture")) is False
    assert frozen_by(vision=str(tmp_path / "architecture"), vision_pretrained=str(weights)) is True
    assert frozen_by(vision=str(weights), vision_frozen_norms=False) is False
    with torch.device("meta"):
        assert frozen_by(vision="resnet50", vision_pretrained=str(weights)) is True
        for vision_name in ("resnet50", "convnext", "video_swin_s", "patch"):
            assert frozen_by(vision=vision_name) is False


@pytest.mark.parametrize("pretrained", [True, False])
def test_what_none_became_is_saved_with_the_model(pretrained, tmp_path):
    source = tmp_path / "resnet"
    TINY["resnet"].save_pretrained(source)
    if pretrained:
        ResNetModel(TINY["resnet"]).save_pretrained(source)
    whole = Whole(SNPConfig(vision=str(source)))
    assert whole.config.vision_frozen_norms is pretrained
    whole.save_pretrained(tmp_path / "whole")
    for file in source.iterdir():
        file.unlink()
    again = Whole.from_pretrained(tmp_path / "whole")
    assert again.config.vision_frozen_norms is pretrained
    norms, names = norm_tensors(again.encoder), set(again.encoder.state_dict())
    assert train_one_step(again.encoder) == (names - norms if pretrained else names)


def test_a_configuration_from_before_the_field_still_loads(tmp_path):
    source = tmp_path / "resnet"
    TINY["resnet"].save_pretrained(source)
    whole = Whole(SNPConfig(vision=str(source)))
    whole.save_pretrained(tmp_path / "whole")
    file = tmp_path / "whole" / "config.json"
    fields = json.loads(file.read_text())
    for field in ("vision_frozen_norms", "swin_time_stride", "swin_joint_clips"):
        del fields[field]
    file.write_text(json.dumps(fields))
    config = Whole.from_pretrained(tmp_path / "whole").config
    assert (config.vision_frozen_norms, config.swin_time_stride) == (False, 2)
    assert config.swin_joint_clips is False


def test_kept_statistics_normalise_by_the_batch_and_keep_what_was_learnt(build):
    encoder = build("resnet").train()
    with vision.kept_statistics(encoder):
        inside = encoder(pixels())
        assert all(b.eq(0).all() for n, b in encoder.named_buffers() if n.endswith("mean"))
    assert all(b == 0 for n, b in encoder.named_buffers() if n.endswith("tracked"))
    assert torch.equal(inside, encoder(pixels()))
    assert all(b == 1 for n, b in encoder.named_buffers() if n.endswith("tracked"))


def test_freezing_nothing_freezes_not_even_the_stem(build):
    encoder = build("resnet").train()
    assert all(p.requires_grad for p in encoder.parameters())
    assert all(m.training for m in encoder.modules())


@pytest.mark.parametrize("stages", [5, -1])
def test_freezing_more_stages_than_there_are_is_an_error(build, stages):
    with pytest.raises(UserError, match="has 4 stages"):
        build("resnet", vision_frozen_stages=stages)


def test_a_copy_freezes_its_own_modules(build):
    # Momentum encoders are deep copies.
    encoder = build("resnet", vision_frozen_stages=1)
    other = copy.deepcopy(encoder)
    for module in encoder.modules():
        module.training = True
    other.train()
    assert not any(m.training for m in other.backbone.embedder.modules())
    assert all(m.training for m in encoder.modules())


class Whole(PreTrainedModel):
    """A model that owns an encoder, as SNPForPreTraining does."""

    config_class = SNPConfig
    supports_gradient_checkpointing = True

    def __init__(self, config):
        super().__init__(config)
        self.encoder = build_vision_encoder(config)
        self.post_init()


@pytest.mark.parametrize("name", ENCODERS)
def test_saved_and_loaded_within_a_model(build, name, tmp_path):
    torch.manual_seed(0)
    whole = Whole(tiny_config(name, tmp_path, vision_frozen_stages=1)).eval()
    whole.save_pretrained(tmp_path / "whole")
    for file in tmp_path.glob(f"{name}/*"):  # the encoder's own directory may be gone by then
        file.unlink()
    again, info = Whole.from_pretrained(tmp_path / "whole", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(whole.encoder(pixels()), again.encoder(pixels()))
    frozen = [n for n, p in whole.named_parameters() if not p.requires_grad]
    assert frozen and frozen == [n for n, p in again.named_parameters() if not p.requires_grad]


@pytest.mark.parametrize("name", ["resnet", "video_swin_s"])
def test_a_new_model_keeps_the_pretrained_weights(build, name, tmp_path):
    torch.manual_seed(0)
    saved = VideoSwin(**TINY_SWIN) if name == "video_swin_s" else ResNetModel(TINY[name])
    for parameter in saved.parameters():
        nn.init.normal_(parameter)
    source = tmp_path / "weights"
    if name == "video_swin_s":
        source.mkdir()
        save_file(saved.state_dict(), source / "model.safetensors")
    else:
        saved.save_pretrained(source)
    whole = Whole(tiny_config(name, tmp_path, vision_pretrained=str(source)))
    for key, value in saved.state_dict().items():
        assert torch.equal(whole.encoder.backbone.state_dict()[key], value)
    whole.save_pretrained(tmp_path / "whole")
    for file in source.iterdir():  # a trained model does not read the first weights again
        file.unlink()
    again = Whole.from_pretrained(tmp_path / "whole")
    assert torch.equal(again.encoder.backbone.state_dict()[key], value)


def test_checkpointing_can_be_switched_on_from_the_whole_model(build, tmp_path):
    whole = Whole(tiny_config("video_swin_s", tmp_path))
    with warnings.catch_warnings():  # the name is deprecated, but users of transformers 5 know it
        warnings.simplefilter("ignore")
        whole.gradient_checkpointing_enable()
    assert all(stage.gradient_checkpointing for stage in whole.encoder.backbone.stages)


def test_absent_video_swin_weights_are_one_sentence(build, tmp_path):
    with pytest.raises(CheckpointError, match="Cannot read weights from"):
        build("video_swin_s", vision_pretrained=str(tmp_path / "absent.pth"))


def test_features_have_no_encoder_and_patches_no_options(tmp_path):
    with pytest.raises(UserError, match="already is a grid"):
        build_vision_encoder(SNPConfig(vision="features"))
    with pytest.raises(UserError, match="vision_frozen_stages"):
        build_vision_encoder(SNPConfig(vision="patch", vision_frozen_stages=1))
    grid = build_vision_encoder(SNPConfig(vision="patch"))(pixels(height=64, width=64))
    assert grid.shape[:4] == (2, 3, 8, 8)
