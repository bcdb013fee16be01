"""Fine-tuned published weights: the models compute what the published ones do."""

import pytest
import torch
from torch import Tensor

from snpkit.errors import CheckpointError, UserError
from snpkit.model.config import SNPConfig
from snpkit.model.downstream import (
    SNPForMultipleChoice,
    SNPForQuestionAnswering,
    SNPForRetrieval,
)
from snpkit.model.pretraining import SNPForPreTraining
from snpkit.model.reference import PUBLISHED, published_config
from tests.benchmarks.straightforward import (
    CROSS,
    TEXT,
    cross_pass,
    linear,
    nce,
    pair_scores,
    text_pass,
    video_pass,
)
from tests.model.cases import TIGHT, build, random_batch, random_weights, small_config
from tests.model.published_models import ANSWERS, as_saved, fine_tuned
from tests.model.published_vision import (
    convolution,
    pvt_shapes,
    resnet_shapes,
    swin_shapes,
)

KINDS = {"retrieval": SNPForRetrieval, "multichoice": SNPForMultipleChoice,
         "qa": SNPForQuestionAnswering}  # fmt: skip
SAVED = (  # prefix, MoCo copies, in a dict of training
    ("", False, False), ("module.", False, True), ("module.", True, True), ("", True, False),
)  # fmt: skip


def saved(weights, prefix, moco, wrapped):
    whole = as_saved(weights, prefix, moco)
    if not wrapped:
        return whole
    return {"model": whole, "optimizer": {"state": {}}, "current_iteration": 7}


def inputs(batch, *more):
    names = ("input_ids", "attention_mask", "pixel_values", "pixel_mask", *more)
    return {name: batch[name] for name in names if name in batch}


@pytest.mark.parametrize("how", SAVED)
def test_retrieval_has_both_matching_losses(how) -> None:
    config = small_config()
    weights = fine_tuned(config, "retrieval")
    model = build(config, saved(weights, *how), "retrieval").eval()
    assert type(model) is SNPForRetrieval
    batch = random_batch(config)
    tokens, clips = video_pass(weights, batch["pixel_values"], batch["pixel_mask"])
    ids, mask = batch["input_ids"], batch["attention_mask"]
    text = text_pass(weights, ids, mask, 3)[1]
    losses = model(inputs(batch)).losses
    assert set(losses) == {"gvtm_text_video", "gvtm_cross_modal"}
    expected = nce(torch.einsum("th,vch->tvc", text, clips))
    torch.testing.assert_close(losses["gvtm_text_video"], expected, **TIGHT)
    expected = nce(pair_scores(weights, ids, mask, tokens, 3)[:, :, None])
    torch.testing.assert_close(losses["gvtm_cross_modal"], expected, **TIGHT)


@pytest.mark.parametrize("how", SAVED)
def test_answers_are_one_linear_layer_on_the_pooled_vector(how) -> None:
    config = small_config()
    weights = fine_tuned(config, "qa")
    model = build(config, saved(weights, *how), "qa", ANSWERS).eval()
    assert type(model) is SNPForQuestionAnswering and model.answers == list(ANSWERS)
    batch = random_batch(config)
    tokens, _ = video_pass(weights, batch["pixel_values"], batch["pixel_mask"])
    pooled = cross_pass(weights, batch["input_ids"], batch["attention_mask"], tokens, 3)[2]
    expected = linear(weights, "model.clf", pooled)
    torch.testing.assert_close(model(inputs(batch)).logits, expected, **TIGHT)


def choices_of(config: SNPConfig) -> dict[str, Tensor]:
    """Five options for each of three videos."""
    options = [random_batch(config, (6, 11, 4, 8, 7), seed=seed) for seed in range(3)]
    batch = random_batch(config)
    for name in ("input_ids", "attention_mask"):
        batch[name] = torch.stack([each[name] for each in options])
    return batch


@pytest.mark.parametrize("how", SAVED)
def test_options_are_compared_by_the_cross_modal_score_alone(how) -> None:
    config = small_config(choice_score="cross_modal")
    weights = fine_tuned(config, "multichoice")
    model = build(config, saved(weights, *how), "multichoice").eval()
    assert type(model) is SNPForMultipleChoice
    batch = choices_of(config)
    tokens, _ = video_pass(weights, batch["pixel_values"], batch["pixel_mask"])
    logits = model(inputs(batch)).logits
    for row in range(3):
        ids, mask = batch["input_ids"][row], batch["attention_mask"][row]
        pooled = cross_pass(weights, ids, mask, tokens[[row] * 5], 3)[2]
        inner = linear(weights, "model.similarity_dense.0", pooled).relu()
        expected = linear(weights, "model.similarity_dense.2", inner)[:, 0]
        torch.testing.assert_close(logits[row], expected, **TIGHT)


@pytest.mark.parametrize("task", KINDS)
def test_loading_is_strict(task) -> None:
    config = small_config()
    weights = fine_tuned(config, task)
    options = (task, ANSWERS) if task == "qa" else (task,)
    for name in weights:
        rest = {other: value for other, value in weights.items() if other != name}
        with pytest.raises(CheckpointError, match="missing"):
            build(config, rest, *options)
    with pytest.raises(CheckpointError, match=r"unknown names: \['model.extra'\]"):
        build(config, weights | {"model.extra": torch.zeros(1)}, *options)
    other = weights[f"{TEXT}encoder.layer.0.output.dense.bias"] + 1
    with pytest.raises(CheckpointError, match="two different tensors"):
        build(config, weights | {f"{CROSS}encoder.layer.0.output.dense.bias": other}, *options)


def test_a_task_takes_the_weights_of_no_other() -> None:
    config = small_config()
    given = {task: fine_tuned(config, task) for task in KINDS} | {
        "pretraining": random_weights(config)
    }
    for task in given:
        for other, weights in given.items():
            if task == other or {task, other} == {"retrieval", "multichoice"}:
                continue
            with pytest.raises(CheckpointError, match="do not fit"):
                build(config, weights, task)
    with pytest.raises(UserError, match="'captioning' is not one of pretraining, retrieval, qa"):
        build(config, given["qa"], "captioning")
    with pytest.raises(UserError, match="or has no answers"):
        build(config, given["retrieval"], "retrieval", ANSWERS)
    with pytest.raises(CheckpointError, match=r"answer_head.bias \(5,\) instead of \(3,\)"):
        build(config, given["qa"], "qa", ANSWERS[:3])


def test_the_task_is_found_in_the_heads() -> None:
    config = small_config()
    assert type(build(config, random_weights(config), "auto")) is SNPForPreTraining
    for task in ("retrieval", "qa", "multichoice"):
        weights = fine_tuned(config, task, answers=2)
        found = build(config, as_saved(weights, "module.", moco=True), "auto")
        expected = "retrieval" if task == "multichoice" else task
        assert type(found) is KINDS[expected], "choice has the weights of retrieval"


SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
         "intermediate_size", "max_position_embeddings", "type_vocab_size", "vision",
         "vision_width", "architecture", "itm")  # fmt: skip


@pytest.mark.parametrize("task", [None, *KINDS])
@pytest.mark.parametrize("changes", [
    {}, {"vision_width": 10, "num_hidden_layers": 1},
    {"architecture": "three_fusion", "cross_layers": 1},
    {"architecture": "three_fusion", "cross_layers": 2},
])  # fmt: skip
def test_sizes_are_found_in_the_weights(changes, task) -> None:
    config = small_config(**changes, itm=task is None)
    weights = fine_tuned(config, task) if task else random_weights(config)
    if config.architecture == "snp":
        weights = as_saved(weights, "module.")
    found = published_config({"model": weights}, 3, clips=3)
    assert {n: getattr(found, n) for n in SIZES} == {n: getattr(config, n) for n in SIZES}
    if config.architecture == "three_fusion":
        assert found.cross_layers == config.cross_layers
    for name, value in PUBLISHED.items():
        assert getattr(found, name, value) == value
    assert (found.text_mlm, found.answer_head) == ("unmasked", "linear")
    assert (found.choice_score, found.frame_middle, found.clips) == ("cross_modal", "lower", 3)
    if task == "qa":
        assert found.id2label == {number: str(number) for number in range(5)}
    build(found, weights, task or "pretraining")


def test_one_head_for_64_numbers_and_none_for_a_width_that_they_cannot_share() -> None:
    config = small_config(hidden_size=128, num_attention_heads=2)
    assert published_config(fine_tuned(config, "qa")).num_attention_heads == 2
    weights = fine_tuned(small_config(), "qa")
    for heads in (5, -1, 0):
        with pytest.raises(CheckpointError, match=f"{heads} heads cannot share 24"):
            published_config(weights, heads)


@pytest.mark.parametrize("weights", [
    {}, {"a": torch.zeros(1)}, {f"{TEXT}embeddings.word_embeddings.weight": torch.tensor(1.0)},
    fine_tuned(small_config(), "qa") | {"model.module.img_proj": torch.tensor(1.0)},
    fine_tuned(small_config(), "qa") | {"model.clf.bias": torch.tensor(1.0)},
])  # fmt: skip
def test_what_is_no_published_model_has_no_sizes(weights) -> None:
    with pytest.raises(CheckpointError, match="lack a BERT under the published names"):
        published_config(weights)


@pytest.mark.parametrize(("vision", "shapes"), [
    ("resnet50", resnet_shapes() | convolution(2048, 24)),
    ("pvt_v2_b2", pvt_shapes() | convolution(512, 24)),
    ("video_swin_s", swin_shapes(96, (3, 6, 12, 24)) | {"model.module.img_proj": (768, 24)}),
    ("video_swin_b", swin_shapes(128, (4, 8, 16, 32)) | {"model.module.img_proj": (1024, 24)}),
])  # fmt: skip
def test_the_visual_encoder_is_found_in_names_and_widths(vision, shapes) -> None:
    weights = fine_tuned(small_config(), "retrieval")
    weights |= {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    assert published_config(weights, 3).vision == vision
    assert published_config(weights, 3, vision="features").vision == "features"


def test_without_a_cross_modal_pass_it_is_a_twin_tower() -> None:
    config = small_config()
    beyond = (f"{CROSS}pooler", "model.similarity_dense")
    weights = fine_tuned(config, "retrieval")
    weights = as_saved({n: v for n, v in weights.items() if not n.startswith(beyond)})
    found = published_config(weights, 3)
    assert found.architecture == "twin_tower"
    model = build(found, weights, "retrieval").eval()
    batch = random_batch(config)
    _, clips = video_pass(weights, batch["pixel_values"], batch["pixel_mask"])
    text = text_pass(weights, batch["input_ids"], batch["attention_mask"], 3)[1]
    expected = nce(torch.einsum("th,vch->tvc", text, clips))
    torch.testing.assert_close(model(inputs(batch)).loss, expected, **TIGHT)
