"""MoCo: several steps against the straightforward implementation, then the queue and the keys."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from snpkit.model.config import SNPConfig
from snpkit.model.pretraining import SNPForPreTraining
from tests.benchmarks import straightforward as plain
from tests.model.cases import (
    TIGHT,
    build,
    choices,
    compare_gradients,
    double,
    random_batch,
    random_weights,
    small_config,
)


def moco_pair(config: SNPConfig) -> tuple[SNPForPreTraining, dict[str, Tensor], plain.Moco]:
    """Our model, and the straightforward weights and MoCo state that start equal to it."""
    weights = random_weights(config)
    model = build(config, weights).train()
    leaves = double({name: value.clone() for name, value in weights.items()}, grad=True)
    own = (plain.TEXT, plain.IMAGE, "model.module.img_proj")
    keys = {n: v.detach().clone() for n, v in leaves.items() if n.startswith(own)}
    queues = model.moco.text_queue.clone(), model.moco.video_queue.clone()
    moco = plain.Moco(keys, *queues, config.moco_momentum, config.moco_temperature)
    return model, leaves, moco


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"clips": 1, "frames": 1, "vision_width": 16},
        {"architecture": "three_fusion", "pooling": "mean_max"},
        {"moco_temperature": 0.2, "moco_queue": 20, "lvwm_stage": "both", "itm": True},
        {"moco_queue": 2},  # smaller than one step's keys: only the newest stay
    ],
)
def test_training_steps_with_queues_and_momentum(changes) -> None:
    config = small_config(negative_source="moco", **({"moco_momentum": 0.7} | changes))
    model, leaves, moco = moco_pair(config)
    ours = torch.optim.SGD(model.parameters(), lr=0.05)
    theirs = torch.optim.SGD(leaves.values(), lr=0.05)
    for step in range(6):
        batch = random_batch(config, (6, 9, 5)[: 1 + (step + 2) % 3], seed=step)
        expected = plain.pretraining(leaves, batch, choices(config), moco=moco)
        output = model(batch)
        torch.testing.assert_close(output.losses, expected.losses, **TIGHT)
        for optimiser, loss in ((ours, output.loss), (theirs, expected.loss)):
            optimiser.zero_grad()
            loss.backward()
        compare_gradients(model, leaves)
        ours.step()
        theirs.step()
        compare_state(model, moco)
    evaluated = model.eval()(batch).losses
    torch.testing.assert_close(
        evaluated, plain.pretraining(leaves, batch, choices(config)).losses, **TIGHT
    )
    compare_state(model, moco)  # evaluation moves neither keys nor queues


def compare_state(model: SNPForPreTraining, moco: plain.Moco) -> None:
    """Key encoders weight for weight; queues as sets of keys, told oldest first."""
    for name, pointer in (("text", model.moco.text_pointer), ("video", model.moco.video_pointer)):
        queue = getattr(model.moco, f"{name}_queue").roll(-int(pointer), 0)
        expected = moco.text_queue if name == "text" else moco.clip_queue
        torch.testing.assert_close(queue, expected, **TIGHT)
    word = f"{plain.TEXT}embeddings.word_embeddings.weight"
    own = model.moco.bert.embeddings.word_embeddings.weight
    torch.testing.assert_close(own, moco.keys[word], **TIGHT)
    torch.testing.assert_close(
        model.moco.video.clip_head[2].weight, moco.keys[f"{plain.IMAGE}2.weight"], **TIGHT
    )
    layer = f"{plain.TEXT}encoder.layer.1.output.dense.weight"
    torch.testing.assert_close(
        model.moco.bert.encoder.layer[1].output.dense.weight, moco.keys[layer], **TIGHT
    )


def test_keys_get_no_gradient_and_are_no_parameters_to_train() -> None:
    config = small_config(negative_source="moco")
    model = build(config, random_weights(config)).train()
    model(random_batch(config)).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith("moco.")
        assert parameter.grad is None or not name.startswith("moco.")


def test_queue_starts_with_random_unit_vectors() -> None:
    moco = SNPForPreTraining(small_config(negative_source="moco", moco_queue=50)).moco
    for queue in (moco.text_queue, moco.video_queue):
        assert queue.shape == (50, 24)
        torch.testing.assert_close(queue.norm(dim=1), torch.ones(50))
        assert torch.linalg.matrix_rank(queue) == 24


def test_keys_start_as_copies_of_their_own_and_follow_by_one_minus_the_momentum() -> None:
    config = small_config(negative_source="moco", moco_momentum=0.9)
    model = build(config, random_weights(config)).train()
    key, query = model.moco.bert.pooler.dense.weight, model.network.bert.pooler.dense.weight
    assert torch.equal(key, query) and key is not query
    assert key.data_ptr() != query.data_ptr()
    start = query.detach().clone()
    with torch.no_grad():
        query.add_(1.0)
    model.moco.update(model.network.bert, model.video)
    torch.testing.assert_close(key, start + 0.1, **TIGHT)
    assert model.moco.start(model.network.bert, model.video) is None
    assert torch.equal(key, query)


def test_batch_statistics_of_the_key_encoder_follow_the_trained_one() -> None:
    config = small_config(negative_source="moco", vision="patch", vision_width=24, image_size=16)
    model = SNPForPreTraining(config).train()
    statistics = {n: b for n, b in model.video.named_buffers() if "running" in n}
    assert statistics
    for buffer in statistics.values():
        torch.nn.init.uniform_(buffer, 1.0, 2.0)
    model.moco.update(model.network.bert, model.video)
    keys = dict(model.moco.video.named_buffers())
    assert all(torch.equal(keys[name], buffer) for name, buffer in statistics.items())


def test_queues_hold_unit_vectors_after_training() -> None:
    config = small_config(negative_source="moco", moco_queue=9)
    model = build(config, random_weights(config)).train()
    for seed in range(4):
        model(random_batch(config, seed=seed))
    assert int(model.moco.text_pointer) == 4 * 3 % 9
    assert int(model.moco.video_pointer) == 4 * 9 % 9
    for queue in (model.moco.text_queue, model.moco.video_queue):
        torch.testing.assert_close(queue, F.normalize(queue, dim=-1))
