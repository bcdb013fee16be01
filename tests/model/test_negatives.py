"""Which videos are negatives: never a video's own; drawn, nearest or of the highest scores; and in
which number format they are compared."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from snpkit.model import objectives
from snpkit.model.downstream import SNPForRetrieval
from snpkit.model.pretraining import SNPForPreTraining
from tests.benchmarks import straightforward as plain
from tests.model.cases import TIGHT, build, choices, random_batch, random_weights, small_config

LENGTHS = (6, 11, 4, 5, 7)
VIDEOS = torch.tensor([4, 2**50, 4, -7, 4])  # rows 0, 2 and 4 show one video


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def nce_without(scores, videos):
    """MIL-NCE term by term, without the pairs of two rows of one video."""
    size, _, clips = scores.shape
    centre, total = clips // 2, 0.0
    for i in range(size):
        other = [j for j in range(size) if videos[j] != videos[i]]
        positive = clips * scores[i, i, centre].exp()
        negative = clips * sum(scores[t, i, centre].exp() for t in other)
        negative = negative + sum(scores[i, v].exp().sum() for v in other)
        total = total - (positive / (positive + negative)).log()
    return total / size


@pytest.mark.parametrize("clips", [1, 2, 3])
def test_a_video_is_not_its_own_negative(clips):
    scores = torch.randn(5, 5, clips, dtype=torch.float64, requires_grad=True)
    found = objectives.mil_nce(scores, VIDEOS)
    torch.testing.assert_close(found, nce_without(scores, VIDEOS.tolist()), **TIGHT)
    found.backward()
    same = (VIDEOS[:, None] == VIDEOS) & ~torch.eye(5, dtype=torch.bool)
    assert not scores.grad[same].any() and scores.grad[~same].any(-1).all()
    different = objectives.mil_nce(scores, torch.arange(5))
    torch.testing.assert_close(different, objectives.mil_nce(scores), **TIGHT)


def test_a_batch_of_one_video_has_nothing_to_tell_apart():
    scores = torch.randn(3, 3, 2, dtype=torch.float64)
    found = objectives.mil_nce(scores, torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(found, torch.zeros_like(found), **TIGHT)


@pytest.mark.parametrize("changes", [{}, {"negatives": 4, "lvwm_stage": "both"}])
def test_every_matching_loss_leaves_the_own_video_out(changes):
    config = small_config(**changes)
    batch, weights = random_batch(config, LENGTHS), random_weights(config)
    expected = plain.pretraining(weights, batch, choices(config))
    output = build(config, weights).train()(batch | {"video_ids": VIDEOS})
    matching = [name for name in output.losses if not name.endswith("mlm")]
    assert len(matching) == (4 if changes else 3)
    for name in matching:
        scores = expected.scores[name.removeprefix("gvtm_")]
        wanted = nce_without(scores, VIDEOS.tolist())
        torch.testing.assert_close(output.losses[name], wanted, **TIGHT, msg=name)


def test_retrieval_leaves_the_own_video_out():
    config = small_config()
    batch, weights = random_batch(config, LENGTHS), random_weights(config)
    model = SNPForRetrieval(config).double().train()
    model.load_state_dict(build(config, weights).state_dict(), strict=False)
    batch["masked_input_ids"] = batch["input_ids"]  # fine-tuning reads whole captions
    expected = plain.pretraining(weights, batch, choices(config))
    del batch["masked_input_ids"]
    losses = model(batch | {"video_ids": VIDEOS}).losses
    for name in ("text_video", "cross_modal"):
        wanted = nce_without(expected.scores[name], VIDEOS.tolist())
        torch.testing.assert_close(losses[f"gvtm_{name}"], wanted, **TIGHT)


def contrast_without(query, positives, queue, keep, temperature):
    good = (positives @ query / temperature).exp().sum()
    bad = (queue @ query / temperature).exp()[keep].sum()
    return -(good / (good + bad)).log()


def test_queued_keys_of_the_own_video_are_left_out():
    config = small_config(negative_source="moco", moco_queue=9, moco_momentum=0.7,
                          tasks=["gvtm_text_video"])  # fmt: skip
    model = build(config, random_weights(config)).train()
    videos = [torch.tensor([5, 6, 7]), torch.tensor([6, 8, 5]), torch.tensor([9, 5, 5])]
    queued_texts, queued_clips = [None] * 9, [None] * 9  # which video a key is of
    for step, ids in enumerate(videos):
        batch = random_batch(config, (6, 9, 5), seed=step) | {"video_ids": ids}
        queues = model.moco.text_queue.clone(), model.moco.video_queue.clone()
        found = model(batch).losses["gvtm_text_video"]
        with torch.no_grad():
            text = model.encode_text(batch["input_ids"], batch["attention_mask"]).pooled
            clips = model.encode_clips(batch)[1]
            text_keys, clip_keys = model.moco.keys(model.network, batch)
        by_clip = [
            contrast_without(clip, text_keys[row][None], queues[0],
                             [v != int(ids[row]) for v in queued_texts], config.moco_temperature)
            for row in range(3) for clip in clips[row]
        ]  # fmt: skip
        by_text = [
            contrast_without(text[row], clip_keys[row], queues[1],
                             [v != int(ids[row]) for v in queued_clips], config.moco_temperature)
            for row in range(3)
        ]  # fmt: skip
        wanted = (torch.stack(by_clip).mean() + torch.stack(by_text).mean()) / 2
        torch.testing.assert_close(found, wanted, **TIGHT)
        for row in range(3):  # the rings hold 9 keys: 3 steps of texts, 1 step of clips
            queued_texts[3 * step + row] = int(ids[row])
        queued_clips = [int(v) for v in ids for _ in range(3)]


def test_retrieval_learns_with_moco_as_pretraining_does():
    config = small_config(negative_source="moco", moco_momentum=0.7, tasks=["gvtm_text_video"])
    pretraining = build(config, random_weights(config)).train()
    retrieval = SNPForRetrieval(config).double().train()
    retrieval.load_state_dict(pretraining.state_dict(), strict=False)
    for step in range(3):
        batch = random_batch(config, (6, 9, 5), seed=step)
        expected = pretraining(batch).losses["gvtm_text_video"]
        found = retrieval(batch).losses["gvtm_text_video"]
        torch.testing.assert_close(found, expected, **TIGHT)
    assert int(retrieval.moco.text_pointer) == 9 % 7
    in_batch = SNPForRetrieval(small_config()).double().train()
    in_batch.load_state_dict(retrieval.state_dict(), strict=False)
    assert not torch.isclose(in_batch(batch).losses["gvtm_text_video"], expected)


@given(st.integers(2, 7), st.integers(1, 8), st.integers(0, 99))
def test_the_highest_and_the_nearest_scores_are_chosen(videos, count, seed):
    scores = torch.randn(videos, videos, generator=torch.Generator().manual_seed(seed)).double()
    for sampling in ("top_k", "nearest"):
        found = objectives.draw_negatives(scores, count, sampling)
        assert found.shape == (videos, min(count, videos - 1))
        for row in range(videos):
            others = [column for column in range(videos) if column != row]
            if sampling == "top_k":
                others.sort(key=lambda c, row=row: -scores[row, c])
            else:
                others.sort(key=lambda c, row=row: abs(scores[row, c] - scores[row, row]))
            assert found[row].tolist() == others[:count]


@pytest.mark.parametrize("sampling", ["weighted", "uniform", "top_k", "nearest"])
def test_other_rows_of_the_own_video_are_chosen_last(sampling):
    scores = torch.randn(5, 5)
    for _ in range(20):
        found = objectives.draw_negatives(scores, 2, sampling, VIDEOS)
        for row, chosen in enumerate(found.tolist()):
            assert row not in chosen and all(VIDEOS[c] != VIDEOS[row] for c in chosen)
        every = objectives.draw_negatives(scores, 4, sampling, VIDEOS)
        assert all(sorted([row, *chosen]) == list(range(5))
                   for row, chosen in enumerate(every.tolist()))  # fmt: skip


def test_weighted_draws_follow_the_scores_and_uniform_ones_do_not():
    scores = torch.tensor([[0.0, 0.0, math.log(4.0)]]).expand(3, 3)
    counts = {
        sampling: sum(
            objectives.draw_negatives(scores, 1, sampling)[0].item() == 2 for _ in range(1000)
        )
        for sampling in ("weighted", "uniform")
    }
    assert abs(counts["weighted"] - 800) < 60 and abs(counts["uniform"] - 500) < 60


@pytest.mark.parametrize("task", ["gvtm_cross_modal", "gvtm_text_video"])
def test_bfloat16_keeps_the_gradients_of_well_separated_pairs(task):
    """The scores' own gradients: with scores rounded to bfloat16 they are off by a quarter."""
    changes = {"negative_source": "moco"} if task == "gvtm_text_video" else {}
    config = small_config(tasks=[task], **changes)
    model = build(config, random_weights(config)).float().train()
    batch = random_batch(config, LENGTHS)
    batch["pixel_values"] = batch["pixel_values"].float()
    pooled = torch.randn(6, 24).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        if task == "gvtm_cross_modal":
            score = model.pair_score(pooled)
            assert score.dtype == torch.float32
            with torch.autocast("cpu", enabled=False):
                expected = model.similarity(pooled.float()).squeeze(-1)
            assert torch.equal(score, expected)
        assert model(batch).losses[task].dtype == torch.float32
        # What comes in bfloat16 all the same is compared in float32.
        scores = 30 + torch.randn(4, 4, 1)
        half = scores.bfloat16()
        assert torch.equal(objectives.mil_nce(half), objectives.mil_nce(half.float()))
        loss = objectives.momentum_contrast(half[:, :1, 0], half[:, 1:, 0], 0.05)
        exact = objectives.momentum_contrast(half[:, :1, 0].float(), half[:, 1:, 0].float(), 0.05)
        assert torch.equal(loss, exact) and loss.dtype == torch.float32


def test_a_logit_scale_stops_at_100_and_comes_back():
    config = small_config(logit_scale=90.0, tasks=["gvtm_text_video"])
    torch.manual_seed(0)
    model = SNPForPreTraining(config).train()
    batch = random_batch(config, LENGTHS)
    batch["pixel_values"] = batch["pixel_values"].float()
    with torch.no_grad():
        model.log_scales.fill_(7.0)  # as a step that went too far leaves it
    output = model(batch)
    assert model.log_scales.max().item() == pytest.approx(math.log(100))
    assert model.scale("text_video").item() == pytest.approx(100)
    output.loss.backward()
    assert model.log_scales.grad[0] != 0  # so that it can come back
