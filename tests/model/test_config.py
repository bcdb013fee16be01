"""SNPConfig, and saving and loading of the models that it describes."""

import json

import pytest
import torch
from torch import Tensor
from transformers import BertConfig

from snpkit.errors import UserError
from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining
from tests.model.cases import build, random_batch, random_weights, small_config

WRONG = {
    "architecture": "p3e",
    "pooling": "max",
    "patch_stem": "plain",
    "text_mlm": "raw",
    "lvwm_stage": "never",
    "negative_source": "queue",
    "tasks": ["mlm"],
    "negatives": 0,
    "attentive_masking": 1.5,
    "cross_layers": 0,
    "clips": 0,
    "lvwm_words": 0,
    "moco_momentum": -0.1,
    "moco_temperature": 0.0,
    "patch_size": 12,
    "image_fit": "short",
    "frame_middle": "left",
    "answer_head": "deep",
    "choice_score": "matching",
    "vision_width": 6,
    "vision_drop_path": 1.0,
    "vision_projection": "bias",
    "negative_sampling": "hardest",
    "vision_frozen_norms": "yes",
    "swin_time_stride": 3,
    "swin_joint_clips": "yes",
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_choice_is_one_sentence_that_names_the_field(field) -> None:
    with pytest.raises(UserError) as refusal:
        SNPConfig(**{field: WRONG[field]})
    sentence = str(refusal.value)
    assert f"SNPConfig.{field}" in sentence and "\n" not in sentence


NOT_WHOLE = [0, -1, 10**9, 10**400, 2.0, "12", True, None, float("nan"), [4], {}]
NOT_NUMBERS = [-0.5, float("nan"), float("inf"), 10**400, "0.1", True, None, [0.1]]
IMPOSSIBLE = [
    *((name, value) for name in ("vocab_size", "hidden_size", "num_hidden_layers",
      "num_attention_heads", "intermediate_size", "max_position_embeddings", "type_vocab_size",
      "cross_layers", "image_size", "clips", "frames", "patch_size", "patch_heads", "lvwm_words",
      "moco_queue") for value in NOT_WHOLE),
    *((name, value) for name in ("hidden_dropout_prob", "attention_probs_dropout_prob",
      "initializer_range", "layer_norm_eps", "mlm_layer_norm_eps", "vision_drop_path",
      "moco_temperature", "moco_momentum", "attentive_masking") for value in NOT_NUMBERS),
    *((name, value) for name in ("image_mean", "image_std")
      for value in (0.5, "abc", [0.5], [0.5] * 4, [0.5, 0.5, "x"], [0.5, 0.5, float("nan")], None)),
    *((name, value) for name in ("pad_token_id", "cls_token_id", "sep_token_id", "mask_token_id")
      for value in (-1, 30522, "0", None, 0.0)),
    *((name, value) for name in ("itm", "patch_motion",
      "gradient_checkpointing_vision", "gradient_checkpointing_pairs")
      for value in (1, "yes", None)),
    *(("tasks", value) for value in ([], "lvwm", None, 3, [["lvwm"]], ["lvwm", 1], {"lvwm": 1})),
    *(("hidden_act", value) for value in ("nope", None, 3, ["gelu"], "")),
    *(("attn_implementation", value) for value in ("owner/kernel", "nope", 3, {"": "eager"}, "")),
    *(("vision", value) for value in ("", None, 3, ["patch"], "x" * 5000, "a\0b")),
    *(("vision_pretrained", value) for value in ("", 3, ["x"], "a\0b")),
    *(("id2label", value) for value in ("ab", {"1": "a"}, {"0": 3}, {"x": "a"}, {"0": ["a"]})),
    *(("dtype", value) for value in ("nope", "nn", 3, ["float32"])),
    ("image_std", [0.0, 0.2, 0.2]), ("num_attention_heads", 7), ("hidden_size", 100),
    ("patch_layers", -1), ("vision_frozen_stages", "3"), ("vision_width", 10**9),
    ("vision_width", "8"), ("logit_scale", "x"), ("logit_scale", float("nan")),
    ("architecture", ["snp"]), ("negatives", 10**12),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), IMPOSSIBLE, ids=lambda part: repr(part)[:20])
def test_an_impossible_value_is_one_sentence_before_anything_is_made(field, value) -> None:
    with pytest.raises(UserError) as refusal:
        SNPConfig(**{field: value})
    sentence = str(refusal.value)
    related = {"num_attention_heads": "hidden_size"}.get(field, field)
    assert f"SNPConfig.{field}" in sentence or f"SNPConfig.{related}" in sentence
    assert "\n" not in sentence and len(sentence) < 300


def test_a_network_of_absurd_size_is_refused_by_its_sum() -> None:
    with pytest.raises(UserError, match="the network would have"):
        SNPConfig(hidden_size=49152, intermediate_size=196608, num_hidden_layers=96)
    sizes = {"hidden_size": 4096, "intermediate_size": 16384, "num_attention_heads": 32}
    SNPConfig(**sizes, num_hidden_layers=48)


def test_what_a_config_has_no_field_for_is_left_out(tmp_path) -> None:
    strange = {"auto_map": {"AutoModel": "x.X"}, "transformers_weights": "../x",
               "quantization_config": {"quant_method": "awq"}}  # fmt: skip
    assert SNPConfig(**strange).to_dict() == SNPConfig().to_dict()
def test_joint_clips_share_no_time_step() -> None:
    wrong = {"vision": "video_swin_s", "swin_joint_clips": True, "clips": 4, "frames": 1}
    with pytest.raises(UserError, match="joint_clips is True; with frames=1 set swin_time_stride"):
        SNPConfig(**wrong)
    for right in ({"clips": 1}, {"frames": 2}, {"swin_time_stride": 1}):
        SNPConfig(**wrong | right)


@pytest.mark.parametrize("value", [-1, 1.5, "some", True, None])
def test_negatives_is_all_or_a_whole_number(value) -> None:
    with pytest.raises(UserError, match=r"SNPConfig\.negatives"):
        SNPConfig(negatives=value)


@pytest.mark.parametrize("value", [0.0, -2.0])
def test_a_logit_scale_is_above_zero(value) -> None:
    with pytest.raises(UserError, match=r"SNPConfig\.logit_scale"):
        SNPConfig(logit_scale=value)


def test_logit_scale_off_on_or_a_number() -> None:
    assert SNPConfig().initial_logit_scale is None
    assert SNPConfig(logit_scale=False).initial_logit_scale is None
    assert SNPConfig(logit_scale=True).initial_logit_scale == pytest.approx(1 / 0.07)
    assert SNPConfig(logit_scale=3).initial_logit_scale == 3.0


CHANGES: dict[str, object] = {
    "architecture": "three_fusion", "vision": "features", "vision_width": 40, "clips": 5,
    "negatives": 3, "logit_scale": 2.5, "tasks": ["lvwm", "text_mlm"], "itm": True,
    "image_mean": [0.1, 0.2, 0.3], "attentive_masking": 0.5, "lvwm_stage": "both",
}  # fmt: skip


def test_round_trip_through_json(tmp_path) -> None:
    config = small_config(**CHANGES)
    config.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["model_type"] == "snpkit"
    assert {name: stored[name] for name in CHANGES} == CHANGES
    loaded = SNPConfig.from_pretrained(tmp_path)
    assert loaded.to_dict() == config.to_dict()
    changed = SNPConfig.from_pretrained(tmp_path, clips=2, level1="moco")
    assert (changed.clips, changed.level1, changed.hidden_size) == (2, "moco", 24)
    changed = SNPConfig.from_pretrained(tmp_path, level1="queue")
    with pytest.raises(UserError, match=r"SNPConfig\.negative_source is 'queue'"):
        SNPForPreTraining(changed)


@pytest.mark.parametrize("old", [{"level1": "moco"}, {"hard_negatives": False}])
def test_fields_keep_working_under_their_former_names(old, tmp_path) -> None:
    config = small_config(negatives=2, **old)
    found = config.negative_source, config.negative_sampling
    assert found == (("moco", "weighted") if "level1" in old else ("in_batch", "uniform"))
    config.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert not stored.keys() & {"level1", "hard_negatives"}
    new = {"level1": "negative_source", "hard_negatives": "negative_sampling"}
    for name, value in old.items():  # as an older version wrote it
        del stored[new[name]]
        stored[name] = value
    (tmp_path / "config.json").write_text(json.dumps(stored))
    again = SNPConfig.from_pretrained(tmp_path)
    assert (again.negative_source, again.negative_sampling) == found


def test_a_tuple_of_tasks_is_as_good_as_a_list(tmp_path) -> None:
    small_config().save_pretrained(tmp_path)
    changed = SNPConfig.from_pretrained(tmp_path, tasks=("lvwm",))
    assert SNPForPreTraining(changed).config.tasks == ["lvwm"]


def test_defaults_are_those_of_bert_base() -> None:
    ours, theirs = SNPConfig().bert_config().to_dict(), BertConfig().to_dict()
    assert {name for name in theirs if ours.get(name) != theirs[name]} <= {"_attn_implementation"}
    assert SNPConfig().bert_config(num_hidden_layers=3).num_hidden_layers == 3
    assert SNPConfig().vision_width == 768 and SNPConfig(hidden_size=24).vision_width == 24


def outputs(model: SNPForPreTraining, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    with torch.no_grad():
        output = model.eval()(batch)
    return {**output.losses, **{f"score {n}": s for n, s in output.similarities.items()}}


@pytest.mark.parametrize(
    "changes",
    [
        {"itm": True},
        {"architecture": "three_fusion", "vision_width": 16},
        {"level1": "moco", "logit_scale": True},
        {"architecture": "twin_tower", "tasks": ["text_mlm", "gvtm_text_video", "lvwm"]},
        {"vision": "patch", "image_size": 16, "vision_width": 16},
    ],
)
def test_saved_and_loaded_models_say_the_same(changes, tmp_path) -> None:
    config = small_config(**changes)
    torch.manual_seed(0)
    model, batch = SNPForPreTraining(config), random_batch(config)
    if config.vision == "patch":
        pixels = torch.randint(0, 256, (3, 3, 2, 3, 16, 16), dtype=torch.uint8)
        batch |= {"pixel_values": pixels, "pixel_mask": torch.ones(3, 3, 2, 16, 16).bool()}
    else:
        batch["pixel_values"] = batch["pixel_values"].float()
    model.train()(batch)  # batch statistics and queues move
    model.save_pretrained(tmp_path)
    loaded, report = SNPForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    # All tensors are bit-equal (below); where in memory they lie decides the last bit of a product.
    torch.testing.assert_close(outputs(loaded, batch), outputs(model, batch), rtol=0, atol=1e-7)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    buffers = dict(loaded.named_buffers())  # among them those that are never saved
    assert all(torch.equal(buffers[name], value) for name, value in model.named_buffers())
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert {name for name, p in loaded.named_parameters() if not p.requires_grad} == frozen
    assert (tmp_path / "model.safetensors").exists()


def test_eager_sdpa_and_bfloat16(tmp_path) -> None:
    config = small_config(itm=True)
    batch = random_batch(config)
    build(config, random_weights(config)).save_pretrained(tmp_path)
    expected = outputs(build(config, random_weights(config)), batch)
    for attention in ("eager", "sdpa"):
        model = SNPForPreTraining.from_pretrained(
            tmp_path, dtype=torch.float64, attn_implementation=attention
        )
        assert model.network.bert.config._attn_implementation == attention
        torch.testing.assert_close(outputs(model, batch), expected, rtol=0, atol=1e-9)
    model = SNPForPreTraining.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    batch["pixel_values"] = batch["pixel_values"].bfloat16()
    rounded = outputs(model, batch)
    for name in ("text_mlm", "cross_mlm", "gvtm_text_video", "gvtm_cross_modal", "lvwm", "itm"):
        assert rounded[name].item() == pytest.approx(expected[name].item(), rel=0.05), name


def test_a_checkpoint_without_moco_or_scale_starts_them_well(tmp_path) -> None:
    config = small_config()
    build(config, random_weights(config)).save_pretrained(tmp_path)
    torch.manual_seed(1)
    model = SNPForPreTraining.from_pretrained(
        tmp_path, level1="moco", logit_scale=3.0, dtype=torch.float64
    )
    torch.testing.assert_close(model.log_scales.exp(), torch.tensor([3.0, 1.0, 1.0]).double())
    for queue in (model.moco.text_queue, model.moco.video_queue):
        torch.testing.assert_close(queue.norm(dim=1), torch.ones(len(queue)).double())
        assert torch.linalg.matrix_rank(queue) == len(queue)
    for key, query in ((model.moco.bert, model.network.bert), (model.moco.video, model.video)):
        for name, value in query.state_dict().items():
            assert torch.equal(key.state_dict()[name], value), name
    assert model.moco.text_pointer == 0 and model.moco.video_pointer == 0
    assert torch.isfinite(model.train()(random_batch(config)).loss)


def test_a_new_encoder_starts_like_a_fresh_one(tmp_path) -> None:
    torch.manual_seed(0)
    SNPForPreTraining(small_config()).save_pretrained(tmp_path)
    changes = {"vision": "patch", "image_size": 16, "vision_width": 16, "itm": True}
    loaded = SNPForPreTraining.from_pretrained(tmp_path, **changes)
    fresh = dict(SNPForPreTraining(small_config(**changes)).named_parameters())
    for name, value in loaded.named_parameters():
        spread = value.std().item() if value.numel() > 1 else value.item()
        expected = fresh[name].std().item() if value.numel() > 1 else fresh[name].item()
        assert value.isfinite().all()
        assert spread == pytest.approx(expected, rel=0.5, abs=1e-6), name


def test_a_checkpoint_of_another_architecture_is_not_loaded_in_silence(tmp_path) -> None:
    config = small_config()
    SNPForPreTraining(config).save_pretrained(tmp_path)
    three, report = SNPForPreTraining.from_pretrained(
        tmp_path, architecture="three_fusion", output_loading_info=True
    )
    assert {name.split(".")[1] for name in report["missing_keys"]} == {
        "separate_embeddings", "separate_encoder"
    }  # fmt: skip
    positions = three.network.separate_embeddings.position_ids
    assert torch.equal(positions, three.network.bert.embeddings.position_ids)
    assert torch.isfinite(three.network.separate_embeddings.word_embeddings.weight).all()
    assert three.network.separate_encoder.layer[0].output.dense.weight.std() < 0.03
