"""Which 2-D backbone a config names, its weights, and where its stages are."""

import json

import pytest
import torch
from transformers import (
    BertConfig,
    ConvNextConfig,
    ConvNextForImageClassification,
    Dinov2Config,
    Dinov2Model,
    PvtV2Config,
    PvtV2ForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    ResNetModel,
    SwinConfig,
    SwinForImageClassification,
)

from snpkit.errors import CheckpointError, UserError
from snpkit.model.config import SNPConfig
from snpkit.model.vision.backbones import build_backbone, find_stages

TINY_RESNET = {"embedding_size": 4, "hidden_sizes": [4, 8, 8, 16], "depths": [1, 2, 1, 1]}
TINY_PVT = {
    "hidden_sizes": [4, 8, 12, 16],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 2, 2],
    "mlp_ratios": [2, 2, 2, 2],
}
CLASSIFIERS = {
    "resnet": (ResNetForImageClassification, ResNetConfig(**TINY_RESNET)),
    "pvt_v2": (PvtV2ForImageClassification, PvtV2Config(**TINY_PVT)),
    "convnext": (
        ConvNextForImageClassification,
        ConvNextConfig(hidden_sizes=[4, 8, 8, 16], depths=[1, 1, 1, 1]),
    ),
    "swin": (
        SwinForImageClassification,
        SwinConfig(embed_dim=4, depths=[1, 1], num_heads=[1, 2], window_size=2, image_size=32),
    ),
    "dinov2": (
        Dinov2Model,
        Dinov2Config(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, image_size=28),
    ),
}


@pytest.mark.parametrize(
    ("vision", "parameters"), [("resnet50", 23_508_032), ("pvt_v2_b2", 24_849_856)]
)
def test_true_parameter_counts(vision, parameters):
    # With their 1000-class heads: 25,557,032 (ResNet-50) and 25,362,856 (PVTv2-B2).
    with torch.device("meta"):
        backbone = build_backbone(SNPConfig(vision=vision))
    assert sum(p.numel() for p in backbone.parameters()) == parameters


@pytest.mark.parametrize("name", sorted(CLASSIFIERS))
def test_a_directory_gives_architecture_and_weights_without_the_classifier(name, tmp_path):
    torch.manual_seed(0)
    kind, config = CLASSIFIERS[name]
    saved = kind(config)
    for parameter in saved.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    saved.save_pretrained(tmp_path)
    backbone = build_backbone(SNPConfig(vision=str(tmp_path)))
    bare = {n.removeprefix(f"{name}."): v for n, v in saved.state_dict().items()}
    loaded = backbone.state_dict()
    added = {n for n in loaded if n.startswith("hidden_states_norms.")}
    shared = {n.removeprefix(f"{name}."): n for n in loaded.keys() - added}
    assert shared.keys() <= bare.keys()
    assert all(torch.equal(loaded[full], bare[n]) for n, full in shared.items())
    assert "classifier" not in " ".join(loaded)


def test_the_preset_takes_weights_from_a_directory(tmp_path):
    torch.manual_seed(0)
    saved = ResNetModel(ResNetConfig())
    saved.save_pretrained(tmp_path)
    backbone = build_backbone(SNPConfig(vision="resnet50", vision_pretrained=str(tmp_path)))
    loaded = backbone.state_dict()
    assert all(torch.equal(loaded[n], v) for n, v in saved.state_dict().items())


def test_half_precision_weights_come_in_the_working_precision(tmp_path):
    ResNetModel(ResNetConfig(**TINY_RESNET)).half().save_pretrained(tmp_path)
    backbone = build_backbone(SNPConfig(vision=str(tmp_path)))
    assert {p.dtype for p in backbone.parameters()} == {torch.float32}


def test_a_directory_without_weights_is_an_architecture(tmp_path):
    ResNetConfig(**TINY_RESNET).save_pretrained(tmp_path)
    backbone = build_backbone(SNPConfig(vision=str(tmp_path)))
    assert backbone.channels == [16]


def test_the_last_stage_is_taken_whatever_the_directory_asks_for(tmp_path):
    ResNetConfig(**TINY_RESNET, out_features=["stage1", "stage2"]).save_pretrained(tmp_path)
    backbone = build_backbone(SNPConfig(vision=str(tmp_path)))
    assert [m.shape[1] for m in backbone.eval()(torch.ones(1, 3, 32, 32)).feature_maps] == [16]


def test_the_architecture_is_kept_in_the_config(tmp_path):
    ResNetConfig(**TINY_RESNET).save_pretrained(tmp_path)
    config = SNPConfig(vision=str(tmp_path))
    build_backbone(config)
    again = SNPConfig(**json.loads(config.to_json_string()))
    (tmp_path / "config.json").unlink()
    assert build_backbone(again).channels == [16]


def test_weights_that_do_not_fit_are_an_error_that_lists_them(tmp_path):
    saved = ResNetModel(ResNetConfig(**TINY_RESNET))
    saved.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"depths": [2, 1, 1, 1]}))
    with pytest.raises(CheckpointError) as error:
        build_backbone(SNPConfig(vision=str(tmp_path)))
    assert "encoder.stages.0.layers.1.layer.0.convolution.weight (missing)" in str(error.value)
    (tmp_path / "config.json").write_text(json.dumps(config | {"depths": [1, 1, 1, 1]}))
    with pytest.raises(CheckpointError) as error:
        build_backbone(SNPConfig(vision=str(tmp_path)))
    assert "encoder.stages.1.layers.1.layer.0.convolution.weight (unknown)" in str(error.value)
    with pytest.raises(CheckpointError, match=r"do not fit the encoder: .*, .*, .* and \d+ more"):
        build_backbone(SNPConfig(vision="resnet50", vision_pretrained=str(tmp_path)))
    wider = config | {"embedding_size": 2 * config["embedding_size"]}
    (tmp_path / "config.json").write_text(json.dumps(wider))
    with pytest.raises(CheckpointError, match=r"embedder\..* \(of another shape\)"):
        build_backbone(SNPConfig(vision=str(tmp_path)))


def test_damaged_or_absent_weights_are_one_sentence(tmp_path):
    ResNetModel(ResNetConfig(**TINY_RESNET)).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_text("cut off")
    for source in (tmp_path, tmp_path / "absent"):
        config = SNPConfig(vision="resnet50", vision_pretrained=str(source))
        with pytest.raises(CheckpointError) as error:
            build_backbone(config)
        assert str(source) in str(error.value) and "\n" not in str(error.value)


def test_unknown_names_and_other_models_are_refused(tmp_path):
    with pytest.raises(UserError, match="no visual encoder"):
        build_backbone(SNPConfig(vision=str(tmp_path / "absent")))
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="'bert'"):
        build_backbone(SNPConfig(vision=str(tmp_path)))


def test_a_backbone_that_needs_another_library_says_so():
    with pytest.raises(UserError, match="cannot run: DinatBackbone requires the natten"):
        build_backbone(SNPConfig(vision="dinat"))


@pytest.mark.parametrize("name", ["resnet", "pvt_v2", "convnext", "swin", "dinov2"])
def test_stem_and_stages_hold_every_parameter_but_the_last_norms(name, tmp_path):
    CLASSIFIERS[name][1].save_pretrained(tmp_path)
    backbone = build_backbone(SNPConfig(vision=str(tmp_path)))
    stem, stages = find_stages(backbone)
    assert len(stages) == sum(stage != "stem" for stage in backbone.stage_names)
    assert bool(stem) == (name != "pvt_v2")
    found = {p for module in (*stem, *stages) for p in module.parameters()}
    names = [n for n, p in backbone.named_parameters() if p not in found]
    assert all("norm" in n for n in names), names
