"""Published names reach our parameters, all of them, and anything else is an error."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from snpkit.errors import CheckpointError
from snpkit.model.vision.swin import VIDEO_SWIN_SIZES, VideoSwin
from snpkit.model.vision.swin_weights import load_swin_weights, swin_name
from snpkit.model.vision.windows import relative_index
from snpkit.weights import read_weights

recipe = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent / "swin_recipe.py")))
WINDOW = (2, 2, 2)


def tiny_swin():
    torch.manual_seed(0)
    return VideoSwin(8, (2, 1, 1), (1, 2, 4), window=WINDOW)


OURS_TO_TORCHVISION = {  # written out, not computed: an independent account of the naming
    "embed.projection.weight": "patch_embed.proj.weight",
    "embed.norm.bias": "patch_embed.norm.bias",
    "stages.0.blocks.1.attention.position_bias": ("features.0.1.attn.relative_position_bias_table"),
    "stages.0.blocks.0.attention.qkv.bias": "features.0.0.attn.qkv.bias",
    "stages.2.blocks.0.attention.projection.weight": "features.4.0.attn.proj.weight",
    "stages.1.blocks.0.mlp.0.weight": "features.2.0.mlp.0.weight",
    "stages.1.blocks.0.mlp.2.weight": "features.2.0.mlp.3.weight",
    "stages.1.merge.reduction.weight": "features.1.reduction.weight",
    "stages.2.merge.norm.bias": "features.3.norm.bias",
    "stages.0.blocks.1.norm2.weight": "features.0.1.norm2.weight",
    "norm.weight": "norm.weight",
}
OURS_TO_REPOSITORY = {
    "embed.projection.weight": "backbone.patch_embed.proj.weight",
    "embed.norm.bias": "backbone.patch_embed.norm.bias",
    "stages.0.blocks.1.attention.position_bias": (
        "backbone.layers.0.blocks.1.attn.relative_position_bias_table"
    ),
    "stages.0.blocks.0.attention.qkv.bias": "backbone.layers.0.blocks.0.attn.qkv.bias",
    "stages.2.blocks.0.attention.projection.weight": "backbone.layers.2.blocks.0.attn.proj.weight",
    "stages.1.blocks.0.mlp.0.weight": "backbone.layers.1.blocks.0.mlp.fc1.weight",
    "stages.1.blocks.0.mlp.2.weight": "backbone.layers.1.blocks.0.mlp.fc2.weight",
    "stages.1.merge.reduction.weight": "backbone.layers.0.downsample.reduction.weight",
    "stages.2.merge.norm.bias": "backbone.layers.1.downsample.norm.bias",
    "stages.0.blocks.1.norm2.weight": "backbone.layers.0.blocks.1.norm2.weight",
    "norm.weight": "backbone.norm.weight",
}


@pytest.mark.parametrize("table", [OURS_TO_TORCHVISION, OURS_TO_REPOSITORY])
def test_names_are_mapped(table):
    for ours, theirs in table.items():
        assert swin_name(theirs) == ours
        assert swin_name(f"module.{theirs}") == ours
        assert swin_name(ours) == ours


@pytest.mark.parametrize("size", ["video_swin_s", "video_swin_b"])
def test_all_published_names_fill_the_model_with_their_shapes(size):
    with torch.device("meta"):
        own = VideoSwin(**VIDEO_SWIN_SIZES[size]).state_dict()
    shapes = recipe.torchvision_shapes(size)
    for rename in (str, recipe.repository_name):
        mapped = {swin_name(rename(name)): shape for name, shape in shapes.items()}
        assert mapped == {name: tuple(value.shape) for name, value in own.items()}


def repository_state(model):
    """The model's weights as the repository would have saved them, classifier and all."""
    state = {}
    for ours, value in model.state_dict().items():
        parts = ours.split(".")
        if parts[0] == "embed":
            name = ours.replace("embed.projection", "patch_embed.proj")
            name = name.replace("embed.norm", "patch_embed.norm")
        elif "merge" in parts:
            name = f"layers.{int(parts[1]) - 1}.downsample.{'.'.join(parts[3:])}"
        else:
            name = ours.replace("stages.", "layers.").replace("mlp.0", "mlp.fc1")
            name = name.replace("mlp.2", "mlp.fc2").replace("attention.projection", "attn.proj")
            name = name.replace("attention.position_bias", "attn.relative_position_bias_table")
            name = name.replace("attention.qkv", "attn.qkv")
        state[f"backbone.{name.replace('patch_patch_', 'patch_')}"] = value.clone()
        if name.endswith("relative_position_bias_table"):
            index = name.replace("bias_table", "index")
            state[f"backbone.{index}"] = relative_index(WINDOW, WINDOW)
    return state | {
        "cls_head.fc_cls.weight": torch.ones(4, 32),
        "cls_head.fc_cls.bias": torch.ones(4),
    }


def test_repository_weights_load_and_give_the_same_features():
    model, other = tiny_swin().eval(), VideoSwin(8, (2, 1, 1), (1, 2, 4), window=WINDOW).eval()
    pixels = torch.randn(1, 5, 3, 20, 24)
    assert not torch.equal(model(pixels), other(pixels))
    load_swin_weights(other, repository_state(model))
    assert torch.equal(model(pixels), other(pixels))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda s: s.update({"backbone.layers.0.blocks.0.attn.gate": torch.ones(1)}),
            "attn.gate (unk",
        ),
        (lambda s: s.pop("backbone.norm.weight"), "norm.weight (missing)"),
        (lambda s: s.update({"backbone.norm.weight": torch.ones(3)}), "(shape [3], not [32])"),
        (lambda s: s.update({"norm.weight": torch.ones(32)}), "norm.weight (given twice)"),
        (
            lambda s: s.update(
                {
                    "backbone.layers.0.blocks.0.attn.relative_position_index": torch.zeros(
                        8, 8
                    ).long()
                }
            ),
            "positions of another window",
        ),
    ],
)
def test_anything_else_is_an_error_that_names_it(change, complaint):
    model = tiny_swin()
    state, before = repository_state(model), model.norm.weight.clone()
    state["backbone.norm.weight"] += 1
    change(state)
    with pytest.raises(CheckpointError) as error:
        load_swin_weights(model, state)
    assert complaint in str(error.value)
    assert torch.equal(model.norm.weight, before)  # nothing was loaded by halves


def test_a_wrong_size_lists_the_first_faults_and_counts_the_rest():
    state = VideoSwin(16, (2, 1, 1), (1, 2, 4), window=WINDOW).state_dict()
    with pytest.raises(CheckpointError, match=r"and \d+ more\.$"):
        load_swin_weights(tiny_swin(), state)


def test_weights_are_read_from_each_kind_of_file(tmp_path):
    state = {"norm.weight": torch.arange(3.0)}
    save_file(state, tmp_path / "model.safetensors")
    torch.save({"meta": {"epoch": 30}, "state_dict": state}, tmp_path / "kinetics.pth")
    torch.save(state, tmp_path / "plain.pth")
    for source in (
        tmp_path,
        *(tmp_path / n for n in ("model.safetensors", "kinetics.pth", "plain.pth")),
    ):
        read = read_weights(source)
        assert list(read) == ["norm.weight"] and torch.equal(
            read["norm.weight"], state["norm.weight"]
        )


class _Trap:
    def __reduce__(self):
        return (pytest.fail, ("the file's code was run",))


def test_unreadable_and_hostile_files_are_refused_in_one_sentence(tmp_path):
    torch.save({"state_dict": {"norm.weight": _Trap()}}, tmp_path / "hostile.pth")
    torch.save({"epoch": 3}, tmp_path / "no_state.pth")
    (tmp_path / "text.safetensors").write_text("no tensors")
    (tmp_path / "empty").mkdir()
    for name in ("hostile.pth", "no_state.pth", "text.safetensors", "empty", "absent"):
        with pytest.raises(CheckpointError) as error:
            read_weights(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)
        assert "\n" not in str(error.value)
